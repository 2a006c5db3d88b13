/*
 * For tests of the Postgres client: a server of their own, a loop, a client, and what became of its
 * units.
 */
#ifndef WHALE_TESTS_NET_PG_FIXTURE_H
#define WHALE_TESTS_NET_PG_FIXTURE_H

#include "core/clock.h"
#include "workerd/net/net_pg.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SCRIPT "tests/support/postgres.sh"
#define ENDED_MAX 4096

static char directory[] = "/tmp/whale_test_pg_XXXXXX";
static char conninfo[256];

/* ---- the server ------------------------------------------------------------------------------ */

static inline void postgres(const char *command)
{
    char line[512];
    FILE *script;

    snprintf(line, sizeof(line), SCRIPT " %s %s", command, directory);
    script = popen(line, "r");
    assert_non_null(script);
    if (fgets(conninfo, sizeof(conninfo), script) != NULL) {
        conninfo[strcspn(conninfo, "\n")] = '\0';
    }
    assert_int_equal(pclose(script), 0);
}

static inline int start_server(void **state)
{
    (void)state;
    if (access(SCRIPT, X_OK) != 0) {
        fprintf(stderr, "run this from the repository's root\n");
        return -1;
    }
    assert_non_null(mkdtemp(directory));
    postgres("start");
    return 0;
}

static inline int remove_server(void **state)
{
    char lock[64];

    (void)state;
    postgres("clean");
    snprintf(lock, sizeof(lock), "%s.lock", directory);
    unlink(lock);
    return 0;
}

/* ---- the client ------------------------------------------------------------------------------ */

typedef struct {
    uv_loop_t loop;
    net_pg *pg;
    int ended;
    char order[ENDED_MAX];       /* of the ended units' names */
    enum net_pg_outcome outcome; /* of the last */
    char sqlstate[6], message[256], value[512];
    bool value_null;
    size_t count;
    int rows;
    int ready, notified; /* LISTENing again; notifications */
    char payloads[256];
    bool close_in_callback;
} fixture;

typedef struct {
    fixture *fixture;
    char name;
} ticket;

static inline void on_done(void *owner, const net_pg_answer *answer)
{
    ticket *t = owner;
    fixture *f = t->fixture;

    assert_true(f->ended < ENDED_MAX);
    f->order[f->ended++] = t->name;
    free(t);
    f->outcome = answer->outcome;
    f->count = answer->count;
    strcpy(f->sqlstate, answer->sqlstate);
    snprintf(f->message, sizeof(f->message), "%s", answer->message);
    assert_true((answer->results != NULL) == (answer->outcome == NET_PG_DONE));
    if (answer->outcome == NET_PG_DONE) {
        const PGresult *last = answer->results[answer->count - 1];
        const char *value = net_pg_value(last, 0, 0);

        f->rows = PQntuples(last);
        f->value_null = value == NULL;
        snprintf(f->value, sizeof(f->value), "%s", value != NULL ? value : "");
    }
    if (f->close_in_callback) {
        net_pg_close(f->pg);
        f->pg = NULL;
    }
    uv_stop(&f->loop);
}

static inline void on_notified(void *owner, const char *channel, const char *payload)
{
    fixture *f = owner;

    if (channel == NULL) {
        f->ready++;
    } else {
        f->notified++;
        snprintf(f->payloads + strlen(f->payloads), sizeof(f->payloads) - strlen(f->payloads),
                 "%s=%s;", channel, payload);
    }
    uv_stop(&f->loop);
}

static inline fixture *open_with(const char *info, const char *name, const char *password_file)
{
    static const char *const channels[] = {"changes", "Odd Name", NULL};
    fixture *f = calloc(1, sizeof(*f));
    net_pg_options options = {
        .conninfo = info,
        .password_file = password_file,
        .application_name = name,
        .listen = channels,
        .notified = on_notified,
        .owner = f,
    };

    uv_loop_init(&f->loop);
    f->pg = net_pg_new(&f->loop, &options);
    return f;
}

static inline fixture *open_fixture(const char *name)
{
    return open_with(conninfo, name, NULL);
}

static inline void close_fixture(fixture *f)
{
    net_pg_close(f->pg);
    while (uv_loop_alive(&f->loop)) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f);
}

static inline bool run(fixture *f, net_pg_unit *unit, char name)
{
    ticket *t = malloc(sizeof(*t));

    *t = (ticket){.fixture = f, .name = name};
    if (net_pg_run(f->pg, unit, on_done, t)) {
        return true;
    }
    free(t);
    return false;
}

static inline void run_until(fixture *f, int ended)
{
    while (f->ended < ended) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
}

static inline void wait_ready(fixture *f, int times)
{
    while (f->ready < times) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
}

static inline net_pg_unit *unit_of(bool transaction, const char *first, const char *second)
{
    net_pg_unit *unit = net_pg_unit_new(transaction);

    net_pg_statement(unit, first);
    if (second != NULL) {
        net_pg_statement(unit, second);
    }
    return unit;
}

static inline enum net_pg_outcome run_unit(fixture *f, net_pg_unit *unit)
{
    int before = f->ended;

    assert_true(run(f, unit, 'u'));
    run_until(f, before + 1);
    assert_int_equal(f->ended, before + 1);
    return f->outcome;
}

static inline const char *ask(fixture *f, const char *sql)
{
    assert_int_equal(run_unit(f, unit_of(false, sql, NULL)), NET_PG_DONE);
    return f->value;
}

#endif
