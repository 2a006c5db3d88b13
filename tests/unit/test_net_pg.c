/*
 * The Postgres client against a server of its own: order, errors, lost connections, restarts.
 */
#include "core/clock.h"
#include "workerd/net/net_pg.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SCRIPT "tests/support/postgres.sh"
#define ENDED_MAX 4096

static char directory[] = "/tmp/whale_test_pg_XXXXXX";
static char conninfo[256];

/* ---- the server ------------------------------------------------------------------------------ */

static void postgres(const char *command)
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

static int start_server(void **state)
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

static int remove_server(void **state)
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

static void on_done(void *owner, const net_pg_answer *answer)
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

static void on_notified(void *owner, const char *channel, const char *payload)
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

static fixture *open_with(const char *info, const char *name, const char *password_file)
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

static fixture *open_fixture(const char *name)
{
    return open_with(conninfo, name, NULL);
}

static void close_fixture(fixture *f)
{
    net_pg_close(f->pg);
    while (uv_loop_alive(&f->loop)) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f);
}

static bool run(fixture *f, net_pg_unit *unit, char name)
{
    ticket *t = malloc(sizeof(*t));

    *t = (ticket){.fixture = f, .name = name};
    if (net_pg_run(f->pg, unit, on_done, t)) {
        return true;
    }
    free(t);
    return false;
}

static void run_until(fixture *f, int ended)
{
    while (f->ended < ended) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
}

static void wait_ready(fixture *f, int times)
{
    while (f->ready < times) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
}

static net_pg_unit *unit_of(bool transaction, const char *first, const char *second)
{
    net_pg_unit *unit = net_pg_unit_new(transaction);

    net_pg_statement(unit, first);
    if (second != NULL) {
        net_pg_statement(unit, second);
    }
    return unit;
}

static enum net_pg_outcome run_unit(fixture *f, net_pg_unit *unit)
{
    int before = f->ended;

    assert_true(run(f, unit, 'u'));
    run_until(f, before + 1);
    assert_int_equal(f->ended, before + 1);
    return f->outcome;
}

static const char *ask(fixture *f, const char *sql)
{
    assert_int_equal(run_unit(f, unit_of(false, sql, NULL)), NET_PG_DONE);
    return f->value;
}

/* ---- parameters and values ------------------------------------------------------------------- */

static void test_parameters_arrive_as_given(void **state)
{
    static const char sql[] =
        "select concat_ws('|', $1::text, $2::text is null, $3::bigint, $4::numeric, $5::boolean, "
        "to_char($6::timestamptz at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), "
        "$7::timestamptz is null, encode($8::bytea, 'hex'), $9::bytea is null, $10::bytea = '')";
    fixture *f = open_fixture("parameters");
    net_pg_unit *unit = net_pg_unit_new(false);
    dec value;

    (void)state;
    assert_true(dec_parse("-12345678901234567890.123456789012", 34, &value));
    net_pg_statement(unit, sql);
    net_pg_text(unit, "it's \"\\ {a,b} \xe2\x82\xac");
    net_pg_text(unit, NULL);
    net_pg_int(unit, INT64_MIN);
    net_pg_dec(unit, value);
    net_pg_bool(unit, true);
    net_pg_time(unit, 1763629811123456000);
    net_pg_time(unit, 0);
    net_pg_bytes(unit, "\0\xff'\\", 4);
    net_pg_bytes(unit, NULL, 0);
    net_pg_bytes(unit, "", 0);
    assert_int_equal(run_unit(f, unit), NET_PG_DONE);
    assert_string_equal(f->value,
                        "it's \"\\ {a,b} \xe2\x82\xac|t|-9223372036854775808|"
                        "-12345678901234567890.123456789012|t|2025-11-20 09:10:11.123456|t|"
                        "00ff275c|t|t");
    close_fixture(f);
}

static void test_arrays_arrive_as_given(void **state)
{
    static const char sql[] =
        "select string_agg(concat_ws('|', coalesce(t, '<null>'), i, d, b, "
        "coalesce(extract(epoch from at)::bigint::text, '<null>')), ';' order by n) "
        "from unnest($1::text[], $2::bigint[], $3::numeric[], $4::boolean[], $5::timestamptz[]) "
        "with ordinality as x(t, i, d, b, at, n)";
    static const char *const texts[] = {"a\"b\\c", NULL, "", "NULL", "{1,2}", " x ", "\\N\n"};
    fixture *f = open_fixture("arrays");
    net_pg_unit *unit = net_pg_unit_new(true);

    (void)state;
    net_pg_statement(unit, sql);
    net_pg_array(unit);
    for (int i = 0; i < 7; i++) {
        net_pg_push_text(unit, texts[i]);
    }
    net_pg_array(unit);
    for (int i = 0; i < 7; i++) {
        net_pg_push_int(unit, i - 3);
    }
    net_pg_array(unit);
    for (int i = 0; i < 7; i++) {
        net_pg_push_dec(unit, dec_from_int(i));
    }
    net_pg_array(unit);
    for (int i = 0; i < 7; i++) {
        net_pg_push_bool(unit, i % 2 == 0);
    }
    net_pg_array(unit);
    for (int i = 0; i < 7; i++) {
        net_pg_push_time(unit, i * CLOCK_SECOND_NS);
    }
    assert_int_equal(run_unit(f, unit), NET_PG_DONE);
    assert_string_equal(f->value, "a\"b\\c|-3|0|t|<null>;<null>|-2|1|f|1;|-1|2|t|2;NULL|0|3|f|3;"
                                  "{1,2}|1|4|t|4; x |2|5|f|5;\\N\n|3|6|t|6");
    unit = net_pg_unit_new(false);
    net_pg_statement(unit, "select cardinality($1::text[]), $2::int");
    net_pg_array(unit);
    net_pg_int(unit, 1);
    assert_int_equal(run_unit(f, unit), NET_PG_DONE);
    assert_string_equal(f->value, "0");
    close_fixture(f);
}

static void on_values(void *owner, const net_pg_answer *answer)
{
    bool *checked = owner;
    const PGresult *r = answer->results[0];
    int64_t integer = 7;
    dec decimal = dec_from_int(7);
    bool flag = false;

    assert_int_equal(answer->outcome, NET_PG_DONE);
    assert_true(net_pg_get_int(r, 0, 0, &integer) && integer == -42);
    assert_true(net_pg_get_dec(r, 0, 1, &decimal) && decimal.units == 1500000000000);
    assert_true(net_pg_get_bool(r, 0, 2, &flag) && flag);
    assert_true(net_pg_get_time(r, 0, 3, &integer) && integer == 1763629811123456000);
    integer = 7;
    decimal = dec_from_int(7);
    for (int column = 4; column < 6; column++) { /* NULL, then no number at all */
        assert_false(net_pg_get_int(r, 0, column, &integer));
        assert_false(net_pg_get_dec(r, 0, column, &decimal));
        assert_false(net_pg_get_bool(r, 0, column, &flag));
        assert_false(net_pg_get_time(r, 0, column, &integer));
    }
    assert_false(net_pg_get_int(r, 0, 6, &integer)); /* past int64 */
    assert_false(net_pg_get_int(r, 0, 1, &integer)); /* 1.5 */
    assert_true(integer == 7 && decimal.units == dec_from_int(7).units);
    assert_null(net_pg_value(r, 0, 4));
    assert_string_equal(net_pg_value(r, 0, 5), "x");
    assert_null(net_pg_value(r, 1, 0));
    assert_null(net_pg_value(r, 0, 99));
    assert_null(net_pg_value(r, -1, -1));
    *checked = true;
}

static void test_values_are_read_or_refused(void **state)
{
    fixture *f = open_fixture("values");
    bool checked = false;

    (void)state;
    assert_true(net_pg_run(f->pg,
                           unit_of(false,
                                   "select -42, 1.5, true, 1763629811123456000, null, 'x', "
                                   "92233720368547758070",
                                   NULL),
                           on_values, &checked));
    while (!checked) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    close_fixture(f);
}

static void test_malformed_units_are_refused(void **state)
{
    fixture *f = open_fixture("malformed");
    char *large = malloc(9 << 20);
    net_pg_unit *unit;

    (void)state;
    memset(large, 'x', 9 << 20);
    large[(9 << 20) - 1] = '\0';
    assert_false(run(f, NULL, 'x'));
    assert_false(run(f, net_pg_unit_new(true), 'x')); /* no statement */
    unit = net_pg_unit_new(false);
    net_pg_int(unit, 1); /* a parameter of nothing */
    net_pg_statement(unit, "select 1");
    assert_false(run(f, unit, 'x'));
    unit = unit_of(false, "select $1::int[]", NULL);
    net_pg_push_int(unit, 1); /* an element of nothing */
    assert_false(run(f, unit, 'x'));
    unit = net_pg_unit_new(false);
    for (int i = 0; i <= NET_PG_STATEMENTS_MAX; i++) {
        net_pg_statement(unit, "select 1");
    }
    assert_false(run(f, unit, 'x'));
    unit = unit_of(false, "select 1", NULL);
    for (int i = 0; i <= NET_PG_PARAMETERS_MAX; i++) {
        net_pg_int(unit, i);
    }
    assert_false(run(f, unit, 'x'));
    unit = unit_of(false, "select $1 || $2", NULL);
    net_pg_text(unit, large);
    net_pg_text(unit, large);
    assert_false(run(f, unit, 'x'));
    assert_string_equal(ask(f, "select 5"), "5");
    free(large);
    close_fixture(f);
}

static void test_large_parameters_and_results(void **state)
{
    fixture *f = open_fixture("large");
    char *large = malloc(5 << 20);

    (void)state;
    memset(large, 'y', 5 << 20);
    large[(5 << 20) - 1] = '\0';
    for (int i = 0; i < 10; i++) {
        net_pg_unit *unit = unit_of(true, "select length($1), $1 || $1", NULL);

        net_pg_text(unit, large);
        assert_true(run(f, unit, 'l'));
    }
    run_until(f, 10);
    assert_int_equal(f->outcome, NET_PG_DONE);
    assert_string_equal(f->value, "5242879");
    free(large);
    close_fixture(f);
}

/* ---- order and errors ------------------------------------------------------------------------ */

static void test_units_run_in_order(void **state)
{
    fixture *f = open_fixture("order");

    (void)state;
    ask(f, "create table ordered (n bigserial, x int)");
    f->ended = 0;
    for (int i = 0; i < 500; i++) {
        net_pg_unit *unit =
            unit_of(i % 2 == 0, "insert into ordered (x) values ($1) returning x", NULL);

        net_pg_int(unit, i);
        assert_true(run(f, unit, (char)('a' + i % 26)));
    }
    run_until(f, 500);
    for (int i = 0; i < 500; i++) {
        assert_int_equal(f->order[i], 'a' + i % 26);
    }
    assert_string_equal(ask(f, "select count(*) from ordered where n = x + 1"), "500");
    close_fixture(f);
}

static void test_a_failed_transaction_leaves_nothing(void **state)
{
    static const char insert[] = "insert into kept values ($1)";
    fixture *f = open_fixture("failed");
    net_pg_unit *unit;

    (void)state;
    ask(f, "create table kept (x int primary key)");
    f->ended = 0;
    /* given good and bad units, all in flight at once */
    for (int i = 0; i < 8; i++) {
        unit = unit_of(true, insert, NULL);
        net_pg_int(unit, i);
        net_pg_statement(unit, i % 2 == 0 ? "select 1" : "select 1 / 0");
        net_pg_statement(unit, insert);
        net_pg_int(unit, 100 + i);
        assert_true(run(f, unit, (char)('a' + i)));
    }
    for (int i = 0; i < 8; i++) {
        run_until(f, i + 1);
    }
    /* then the good ones stand whole and the bad ones not at all */
    assert_string_equal(f->order, "abcdefgh");
    assert_int_equal(f->outcome, NET_PG_FAILED);
    assert_string_equal(f->sqlstate, "22012");
    assert_string_equal(f->message, "division by zero");
    assert_string_equal(ask(f, "select string_agg(x::text, ',' order by x) from kept"),
                        "0,2,4,6,100,102,104,106");
    close_fixture(f);
}

static void test_a_failed_plain_unit_leaves_nothing(void **state)
{
    fixture *f = open_fixture("plain");

    (void)state;
    ask(f, "create table plain (x int)");
    assert_int_equal(run_unit(f, unit_of(false, "insert into plain values (1)", "select 1 / 0")),
                     NET_PG_FAILED);
    assert_string_equal(f->sqlstate, "22012");
    assert_string_equal(ask(f, "select count(*) from plain"), "0");
    assert_int_equal(run_unit(f, unit_of(false, "insert into plain values (1)", "select 7")),
                     NET_PG_DONE);
    assert_int_equal(f->count, 2);
    assert_string_equal(ask(f, "select count(*) from plain"), "1");
    close_fixture(f);
}

static void test_failures_at_the_commit(void **state)
{
    fixture *f = open_fixture("commit");

    (void)state;
    ask(f, "create table parent (id int primary key)");
    ask(f, "create table child (id int references parent deferrable initially deferred)");
    for (int transaction = 0; transaction < 2; transaction++) {
        assert_int_equal(
            run_unit(f, unit_of(transaction != 0, "insert into child values (1)", "select 1")),
            NET_PG_FAILED);
        assert_string_equal(f->sqlstate, "23503");
    }
    assert_string_equal(ask(f, "select count(*) from child"), "0");
    close_fixture(f);
}

static void test_statements_that_cannot_be_prepared(void **state)
{
    fixture *f = open_fixture("unprepared");

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(run_unit(f, unit_of(true, "select 1", "selec 2")), NET_PG_FAILED);
        assert_string_equal(f->sqlstate, "42601");
    }
    /* and one that can be later on */
    assert_int_equal(run_unit(f, unit_of(true, "select count(*) from later", NULL)), NET_PG_FAILED);
    assert_string_equal(f->sqlstate, "42P01");
    ask(f, "create table later (x int)");
    assert_string_equal(ask(f, "select count(*) from later"), "0");
    close_fixture(f);
}

static void test_statements_are_prepared_once(void **state)
{
    static const char sql[] = "select $1::int + 1000";
    fixture *f = open_fixture("prepared");

    (void)state;
    for (int i = 0; i < 20; i++) {
        net_pg_unit *unit = unit_of(true, sql, NULL);

        net_pg_int(unit, i);
        assert_int_equal(run_unit(f, unit), NET_PG_DONE);
    }
    assert_string_equal(ask(f, "select concat_ws(',', count(*), min(generic_plans + custom_plans)) "
                               "from pg_prepared_statements where statement like '%+ 1000'"),
                        "1,20");
    close_fixture(f);
}

static void test_plans_that_went_stale_are_made_anew(void **state)
{
    static const char all[] = "select * from changing";
    fixture *f = open_fixture("stale");

    (void)state;
    ask(f, "create table changing (a int)");
    ask(f, "insert into changing values (1)");
    assert_string_equal(ask(f, all), "1");
    ask(f, "alter table changing add column b int");
    assert_int_equal(run_unit(f, unit_of(false, all, NULL)), NET_PG_FAILED);
    assert_string_equal(f->sqlstate, "0A000");
    assert_string_equal(ask(f, all), "1");
    /* nor does somebody's DISCARD stop us for more than a unit each */
    ask(f, "deallocate all");
    assert_int_equal(run_unit(f, unit_of(false, all, NULL)), NET_PG_FAILED);
    assert_string_equal(f->sqlstate, "26000");
    assert_string_equal(ask(f, all), "1");
    close_fixture(f);
}

static void test_a_deadlock_fails_one_side(void **state)
{
    static const char first[] = "update accounts set x = x + 1 where id = 1";
    static const char second[] = "update accounts set x = x + 1 where id = 2";
    static const char wait[] = "select pg_sleep(0.3)";
    fixture *a = open_fixture("deadlock a"), *b = open_fixture("deadlock b");
    net_pg_unit *ab = unit_of(true, first, wait), *ba = unit_of(true, second, wait);

    (void)state;
    ask(a, "create table accounts as select id, 0 as x from generate_series(1, 2) id");
    wait_ready(b, 1);
    a->ended = 0;
    net_pg_statement(ab, second);
    net_pg_statement(ba, first);
    assert_true(run(a, ab, 'a'));
    assert_true(run(b, ba, 'b'));
    while (a->ended == 0 || b->ended == 0) {
        uv_run(&a->loop, UV_RUN_NOWAIT);
        uv_run(&b->loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    assert_true((a->outcome == NET_PG_DONE) != (b->outcome == NET_PG_DONE));
    assert_string_equal(a->outcome == NET_PG_FAILED ? a->sqlstate : b->sqlstate, "40P01");
    assert_string_equal(ask(a, "select string_agg(x::text, ',') from accounts"), "1,1");
    close_fixture(a);
    close_fixture(b);
}

/* ---- lost connections ------------------------------------------------------------------------ */

static void terminate(const char *name)
{
    fixture *f = open_fixture("killer");
    net_pg_unit *unit = unit_of(false,
                                "select count(pg_terminate_backend(pid)) from pg_stat_activity "
                                "where application_name = $1",
                                NULL);

    net_pg_text(unit, name);
    assert_int_equal(run_unit(f, unit), NET_PG_DONE);
    assert_string_equal(f->value, "1");
    close_fixture(f);
}

static void test_a_terminated_backend_loses_what_was_in_flight(void **state)
{
    fixture *f = open_fixture("victim");

    (void)state;
    wait_ready(f, 1);
    ask(f, "create table survivors (x int)");
    f->ended = 0;
    memset(f->order, 0, sizeof(f->order));
    /* given one unit that the server works on, seven behind it on the wire, and two in the queue */
    assert_true(run(f, unit_of(true, "select pg_sleep(30)", NULL), 'a'));
    for (char name = 'b'; name <= 'j'; name++) {
        assert_true(run(f, unit_of(true, "insert into survivors values (1)", NULL), name));
    }
    assert_int_equal(net_pg_waiting(f->pg), 10);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    terminate("victim");
    /* then those on the wire are lost, even though an error came for the first */
    run_until(f, 8);
    assert_string_equal(f->order, "abcdefgh");
    assert_int_equal(f->outcome, NET_PG_LOST);
    assert_string_equal(f->sqlstate, "");
    assert_int_equal(f->count, 0);
    assert_false(net_pg_connected(f->pg));
    /* and those in the queue run on the next connection */
    run_until(f, 10);
    assert_int_equal(f->outcome, NET_PG_DONE);
    assert_string_equal(ask(f, "select count(*) from survivors"), "2");
    close_fixture(f);
}

static void test_an_idle_connection_comes_back(void **state)
{
    fixture *f = open_fixture("idle victim");

    (void)state;
    wait_ready(f, 1);
    assert_true(net_pg_connected(f->pg));
    terminate("idle victim");
    wait_ready(f, 2);
    assert_string_equal(ask(f, "select 1"), "1");
    close_fixture(f);
}

static void test_a_restart_of_the_server(void **state)
{
    fixture *f = open_fixture("restart");

    (void)state;
    wait_ready(f, 1);
    postgres("stop");
    while (net_pg_connected(f->pg)) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_true(run(f, unit_of(false, "select 'waited'", NULL), 'w'));
    postgres("start");
    run_until(f, 1);
    assert_int_equal(f->outcome, NET_PG_DONE);
    assert_string_equal(f->value, "waited");
    wait_ready(f, 2);
    close_fixture(f);
}

static void test_without_a_server_nothing_is_sent(void **state)
{
    fixture *f = open_with("host=/nonexistent dbname=whale", "absent", NULL);

    (void)state;
    for (int i = 0; i < NET_PG_QUEUE_MAX; i++) {
        assert_true(run(f, unit_of(true, "select 1", NULL), 'n'));
    }
    assert_false(run(f, unit_of(true, "select 1", NULL), 'x')); /* the queue is full */
    assert_int_equal(net_pg_waiting(f->pg), NET_PG_QUEUE_MAX);
    run_until(f, NET_PG_QUEUE_MAX);
    assert_int_equal(f->outcome, NET_PG_NOT_SENT);
    assert_string_equal(f->message, "no connection");
    assert_int_equal(net_pg_waiting(f->pg), 0);
    close_fixture(f);
}

static void test_closing_ends_everything_once(void **state)
{
    fixture *f = open_fixture("closing");

    (void)state;
    wait_ready(f, 1);
    for (char name = 'a'; name <= 'j'; name++) {
        assert_true(run(f, unit_of(true, "select pg_sleep(30)", NULL), name));
    }
    net_pg_close(f->pg);
    assert_string_equal(f->order, "abcdefghij");
    assert_int_equal(f->outcome, NET_PG_NOT_SENT);
    assert_false(run(f, unit_of(true, "select 1", NULL), 'x'));
    f->pg = NULL;
    close_fixture(f);

    f = open_fixture("closing");
    for (char name = 'a'; name <= 'j'; name++) {
        assert_true(run(f, unit_of(true, "select 1", NULL), name));
    }
    f->close_in_callback = true;
    run_until(f, 10);
    f->pg = NULL;
    close_fixture(f);
}

/* ---- notifications --------------------------------------------------------------------------- */

static void test_notifications_arrive(void **state)
{
    fixture *f = open_fixture("listener"), *g = open_fixture("speaker");

    (void)state;
    wait_ready(f, 1);
    ask(g, "select pg_notify('changes', '7'), pg_notify('Odd Name', 'x y')");
    while (f->notified < 2) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
    assert_string_equal(f->payloads, "changes=7;Odd Name=x y;");
    /* and again on the connection after this one */
    terminate("listener");
    wait_ready(f, 2);
    ask(g, "notify changes, '8'");
    while (f->notified < 3) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
    assert_string_equal(f->payloads, "changes=7;Odd Name=x y;changes=8;");
    close_fixture(f);
    close_fixture(g);
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void test_session_settings(void **state)
{
    char info[512];
    fixture *f;

    (void)state;
    snprintf(info, sizeof(info), "%s options='-c lock_timeout=3s -c statement_timeout=9s'",
             conninfo);
    f = open_with(info, "settings", NULL);
    assert_string_equal(ask(f, "show lock_timeout"), "3s");
    assert_string_equal(ask(f, "show statement_timeout"), "9s"); /* the operator's wins */
    assert_string_equal(ask(f, "show idle_in_transaction_session_timeout"), "30s");
    assert_string_equal(ask(f, "show application_name"), "settings");
    close_fixture(f);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    chmod(path, mode);
}

static void test_passwords_come_from_a_file(void **state)
{
    char path[128], info[512], rules[256];
    fixture *f = open_fixture("passwords");

    (void)state;
    ask(f, "create role secretive login password 'p''ss word'");
    snprintf(rules, sizeof(rules), "%s/data/pg_hba.conf", directory);
    write_file(rules, "local all secretive scram-sha-256\nlocal all all trust\n", 0644);
    ask(f, "select pg_reload_conf()");
    snprintf(path, sizeof(path), "%s.password", directory);
    snprintf(info, sizeof(info), "%s user=secretive", conninfo);
    close_fixture(f);

    write_file(path, "wrong", 0600);
    f = open_with(info, "passwords", path);
    assert_true(run(f, unit_of(false, "select session_user", NULL), 's'));
    assert_int_equal(net_pg_waiting(f->pg), 1);
    usleep(300000);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_false(net_pg_connected(f->pg));
    write_file(path, "p'ss word\n", 0600); /* read again at the next attempt */
    run_until(f, 1);
    assert_string_equal(f->value, "secretive");
    close_fixture(f);
    unlink(path);
}

/* Stands between a TCP port and the server's Unix socket. */
static pid_t start_proxy(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un server = {.sun_family = AF_UNIX};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t pid;

    snprintf(server.sun_path, sizeof(server.sun_path), "%s/.s.PGSQL.5432", directory);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    *port = ntohs(address.sin_port);
    pid = fork();
    if (pid == 0) {
        struct pollfd ends[2] = {{.fd = accept(fd, NULL, NULL), .events = POLLIN},
                                 {.fd = socket(AF_UNIX, SOCK_STREAM, 0), .events = POLLIN}};
        char bytes[65536];

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (connect(ends[1].fd, (struct sockaddr *)&server, sizeof(server)) != 0) {
            _exit(1);
        }
        for (;;) {
            poll(ends, 2, -1);
            for (int i = 0; i < 2; i++) {
                ssize_t got = ends[i].revents != 0 ? read(ends[i].fd, bytes, sizeof(bytes)) : 1;

                if (got <= 0 ||
                    (ends[i].revents != 0 && write(ends[1 - i].fd, bytes, (size_t)got) != got)) {
                    _exit(0);
                }
            }
        }
    }
    close(fd);
    return pid;
}

static void test_host_names_and_a_cut_cable(void **state)
{
    char info[256];
    int port;
    pid_t proxy = start_proxy(&port);
    fixture *f;

    (void)state;
    snprintf(info, sizeof(info), "host=localhost port=%d dbname=whale user=whale sslmode=disable",
             port);
    f = open_with(info, "tcp", NULL);
    assert_string_equal(ask(f, "select 'over tcp'"), "over tcp");
    assert_true(run(f, unit_of(true, "select pg_sleep(30)", NULL), 'x'));
    uv_run(&f->loop, UV_RUN_NOWAIT);
    kill(proxy, SIGKILL);
    waitpid(proxy, NULL, 0);
    run_until(f, 2);
    assert_int_equal(f->outcome, NET_PG_LOST);
    close_fixture(f);
}

static void test_malformed_conninfo_is_refused(void **state)
{
    static const char *const infos[] = {"host", "nonsense=1", "host='open"};
    uv_loop_t loop;

    (void)state;
    uv_loop_init(&loop);
    for (size_t i = 0; i < 3; i++) {
        net_pg_options options = {.conninfo = infos[i]};

        assert_null(net_pg_new(&loop, &options));
    }
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters_arrive_as_given),
        cmocka_unit_test(test_arrays_arrive_as_given),
        cmocka_unit_test(test_values_are_read_or_refused),
        cmocka_unit_test(test_malformed_units_are_refused),
        cmocka_unit_test(test_large_parameters_and_results),
        cmocka_unit_test(test_units_run_in_order),
        cmocka_unit_test(test_a_failed_transaction_leaves_nothing),
        cmocka_unit_test(test_a_failed_plain_unit_leaves_nothing),
        cmocka_unit_test(test_failures_at_the_commit),
        cmocka_unit_test(test_statements_that_cannot_be_prepared),
        cmocka_unit_test(test_statements_are_prepared_once),
        cmocka_unit_test(test_plans_that_went_stale_are_made_anew),
        cmocka_unit_test(test_a_deadlock_fails_one_side),
        cmocka_unit_test(test_a_terminated_backend_loses_what_was_in_flight),
        cmocka_unit_test(test_an_idle_connection_comes_back),
        cmocka_unit_test(test_a_restart_of_the_server),
        cmocka_unit_test(test_without_a_server_nothing_is_sent),
        cmocka_unit_test(test_closing_ends_everything_once),
        cmocka_unit_test(test_notifications_arrive),
        cmocka_unit_test(test_session_settings),
        cmocka_unit_test(test_passwords_come_from_a_file),
        cmocka_unit_test(test_host_names_and_a_cut_cable),
        cmocka_unit_test(test_malformed_conninfo_is_refused),
    };

    return cmocka_run_group_tests(tests, start_server, remove_server);
}
