/*
 * The Postgres client: parameters and values to the byte, order, and what errors leave behind.
 */
#include "tests/unit/net_pg_fixture.h"

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
    };

    return cmocka_run_group_tests(tests, start_server, remove_server);
}
