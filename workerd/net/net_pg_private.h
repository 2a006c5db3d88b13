/*
 * What the files of net_pg share: the connection object, the unit, and who calls whom.
 *
 * net_pg.c owns queues and results, net_pg_connect.c the way to a connection, net_pg_send.c the way
 * of a unit onto it, net_pg_unit.c the building of units, net_pg_value.c the reading of results.
 */
#ifndef WHALE_NET_PG_PRIVATE_H
#define WHALE_NET_PG_PRIVATE_H

#include "workerd/net/net_pg.h"

#include "core/clock.h"

#define NET_PG_INFLIGHT_MAX 8 /* units on the wire at once */
#define NET_PG_UNIT_BYTES_MAX (16 * 1024 * 1024)
#define NET_PG_QUEUE_WAIT_NS (5 * CLOCK_SECOND_NS) /* of a unit, without a connection */
#define NET_PG_CONNECT_TIMEOUT_MS 5000
#define NET_PG_BACKOFF_FIRST_MS 100
#define NET_PG_BACKOFF_LAST_MS 2000
#define NET_PG_PREPARED_SLOTS 1024 /* power of two; at most half are used */
#define NET_PG_LISTEN_MAX 16
#define NET_PG_CHANNEL_MAX 64
#define NET_PG_MESSAGE_MAX 256
#define NET_PG_ADDRESSES_MAX 4

/* What the server answers to a unit, in order. Each but the sync ends with a NULL result. */
enum net_pg_step_kind { NET_PG_PREPARE, NET_PG_BEGIN, NET_PG_EXECUTE, NET_PG_COMMIT, NET_PG_SYNC };

typedef struct {
    uint8_t kind;
    uint8_t
        statement; /* EXECUTE: which; PREPARE: which, or COUNT for BEGIN, COUNT + 1 for COMMIT */
} net_pg_step;

/* A prepare and its sync for each statement, BEGIN and COMMIT; themselves; two syncs. */
#define NET_PG_STEPS_MAX (3 * (NET_PG_STATEMENTS_MAX + 2) + 2)

typedef struct {
    const char *sql;
    unsigned first, count; /* of its parameters */
} net_pg_sql;

typedef struct {
    size_t offset; /* in the unit's text */
    bool null;
} net_pg_parameter;

struct net_pg_unit {
    net_pg_unit *next;
    net_pg_done *done;
    void *owner;
    int64_t queued_ns; /* monotonic */

    bool transaction;
    bool plain;     /* run without preparing: the text is not static */
    bool malformed; /* too large, or built in a wrong order */
    bool in_array, array_empty;
    unsigned statement_count, parameter_count, parameter_capacity;
    net_pg_sql statements[NET_PG_STATEMENTS_MAX];
    net_pg_parameter *parameters;
    char *text; /* all parameters, each NUL-terminated */
    size_t length, capacity;

    net_pg_step steps[NET_PG_STEPS_MAX];
    unsigned step_count, step;
    PGresult *results[NET_PG_STATEMENTS_MAX];
    char sqlstate[6]; /* "" until the first error */
    char message[NET_PG_MESSAGE_MAX];
};

typedef struct {
    net_pg_unit *first, *last;
    unsigned count;
} net_pg_queue;

/* A statement by address of its text. `generation` makes a new name when the old one went stale. */
typedef struct {
    const char *sql;
    unsigned generation;
    bool ready; /* prepared on this connection, or on its way there ahead of its use */
} net_pg_prepared;

enum net_pg_state { NET_PG_WAITING, NET_PG_RESOLVING, NET_PG_CONNECTING, NET_PG_READY };

struct net_pg {
    uv_loop_t *loop;
    PGconn *conn;
    uv_poll_t *poll; /* made anew whenever libpq may have another socket */
    int poll_events;
    uv_timer_t timer;  /* backoff, then connect timeout */
    uv_timer_t expiry; /* of units that wait without a connection */
    uv_getaddrinfo_t resolving;
    unsigned references; /* handles and requests that libuv still holds */
    enum net_pg_state state;
    bool closing;
    unsigned backoff_ms;
    int64_t disconnected_ns; /* monotonic */

    char *conninfo, *password_file, *application_name;
    char hosts[NET_PG_ADDRESSES_MAX * 256], addresses[NET_PG_ADDRESSES_MAX * 64]; /* resolved */
    char listen[NET_PG_LISTEN_MAX][NET_PG_CHANNEL_MAX + 16]; /* LISTEN "channel" */
    unsigned listen_count;
    void (*notified)(void *owner, const char *channel, const char *payload);
    void *owner;

    net_pg_queue waiting, inflight;
    net_pg_prepared prepared[NET_PG_PREPARED_SLOTS];
    unsigned prepared_count;
};

/* net_pg.c */
void net_pg_broken(net_pg *pg, const char *reason); /* ends the connection, then tries again */
void net_pg_established(net_pg *pg);                /* logged in: hand over what waits */
void net_pg_readable(net_pg *pg);
void net_pg_flush(net_pg *pg);
void net_pg_release(net_pg *pg); /* drops one reference; frees the object with the last */

/* net_pg_connect.c */
bool net_pg_check_conninfo(const char *conninfo);
void net_pg_connect(net_pg *pg);
void net_pg_reconnect_later(net_pg *pg);
void net_pg_watch(net_pg *pg, int events);
void net_pg_unwatch(net_pg *pg);

/* net_pg_send.c */
bool net_pg_send(net_pg *pg, net_pg_unit *unit); /* false: the connection cannot be used any more */
void net_pg_forget_statements(net_pg *pg);
void net_pg_statement_stale(net_pg *pg, const char *sql);
const char *net_pg_step_sql(const net_pg_unit *unit, net_pg_step step);

/* net_pg_unit.c */
bool net_pg_unit_seal(net_pg_unit *unit); /* false: it cannot be run */
void net_pg_unit_free(net_pg_unit *unit);

#endif
