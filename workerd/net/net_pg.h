/*
 * Postgres for a role: one asynchronous libpq connection in pipeline mode on the role's loop.
 *
 * Promises: never blocks; reconnects by itself (100 ms doubling to 2 s); statements are prepared
 * once per connection, by address of their text; a unit of work is sent as one pipeline and ends in
 * exactly one callback: all results, or one error with nothing committed that the callback was not
 * told of - except NET_PG_LOST, where the connection broke after the commit was sent and the
 * outcome must be asked for. Units run in the order given. At most NET_PG_QUEUE_MAX wait.
 */
#ifndef WHALE_NET_PG_H
#define WHALE_NET_PG_H

#include "core/dec.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define NET_PG_STATEMENTS_MAX 24 /* in a unit */
#define NET_PG_PARAMETERS_MAX 40 /* of a statement */
#define NET_PG_QUEUE_MAX 1024

enum net_pg_outcome {
    NET_PG_DONE,     /* every statement succeeded (and the transaction committed) */
    NET_PG_FAILED,   /* a statement failed: rolled back; sqlstate says why */
    NET_PG_NOT_SENT, /* no connection: nothing was sent */
    NET_PG_LOST,     /* connection lost on the way: ask before you act */
};

typedef struct {
    enum net_pg_outcome outcome;
    char sqlstate[6];    /* of the failed statement, e.g. "40P01" */
    const char *message; /* for the log: primary message, no parameters */
    PGresult **results;  /* one per statement; valid during the callback; NULL unless DONE */
    size_t count;
} net_pg_answer;

typedef void net_pg_done(void *owner, const net_pg_answer *answer);

typedef struct net_pg net_pg;
typedef struct {
    const char *conninfo;
    const char *password_file; /* "" or NULL: none */
    const char *application_name;
    /* Optional: called on NOTIFY, and with channel NULL after each (re)connection, once LISTENing.
     */
    const char *const *listen; /* channels, NULL-terminated */
    void (*notified)(void *owner, const char *channel, const char *payload);
    void *owner;
} net_pg_options;

net_pg *net_pg_new(uv_loop_t *loop, const net_pg_options *options);
bool net_pg_connected(const net_pg *pg);
unsigned net_pg_waiting(const net_pg *pg); /* units not yet ended, on the wire or not */
void net_pg_close(
    net_pg *pg); /* pending units end as NOT_SENT or LOST; freed when the loop drained */

/*
 * A unit of work: build, then run. With `transaction` the statements stand between BEGIN and
 * COMMIT; without, Postgres commits them at the pipeline's one sync: all or nothing too, but no SET
 * LOCAL, LOCK or SAVEPOINT. SQL text must be static (a query_* constant). Parameters are text
 * format; NULL is SQL NULL; they are copied.
 */
typedef struct net_pg_unit net_pg_unit;
net_pg_unit *net_pg_unit_new(bool transaction);
void net_pg_statement(net_pg_unit *unit, const char *sql);
void net_pg_text(net_pg_unit *unit, const char *text);
void net_pg_int(net_pg_unit *unit, int64_t value);
void net_pg_dec(net_pg_unit *unit, dec value);
void net_pg_bool(net_pg_unit *unit, bool value);
void net_pg_time(net_pg_unit *unit, int64_t time_ns);                  /* timestamptz; 0 -> NULL */
void net_pg_bytes(net_pg_unit *unit, const void *data, size_t length); /* bytea */
/* Array parameters, for unnest: begin, then one push per element in order. */
void net_pg_array(net_pg_unit *unit);
void net_pg_push_text(net_pg_unit *unit, const char *text); /* NULL -> NULL element */
void net_pg_push_int(net_pg_unit *unit, int64_t value);
void net_pg_push_dec(net_pg_unit *unit, dec value);
void net_pg_push_bool(net_pg_unit *unit, bool value);
void net_pg_push_time(net_pg_unit *unit, int64_t time_ns);
/* Hands the unit over; it is freed after `done`. False: queue full or unit too large; done not
 * called. */
bool net_pg_run(net_pg *pg, net_pg_unit *unit, net_pg_done *done, void *owner);

/* Reading results. Every getter gives false/NULL on SQL NULL or a malformed value. */
const char *net_pg_value(const PGresult *result, int row, int column); /* NULL for SQL NULL */
bool net_pg_get_int(const PGresult *result, int row, int column, int64_t *value);
bool net_pg_get_dec(const PGresult *result, int row, int column, dec *value);
bool net_pg_get_bool(const PGresult *result, int row, int column, bool *value);
bool net_pg_get_time(const PGresult *result, int row, int column,
                     int64_t *time_ns); /* SQL gives ns as bigint: see whale_ns() */

#endif
