/*
 * The trade queries against a Postgres of their own: what reserving, claiming and confirming
 * promise under the lock. Decisions and outcomes are made up here; that they are right is tested
 * elsewhere.
 */
#include "database.h"
#include "queries.h"

#define USERS 6
#define ARGUMENTS_MAX 40

static int64_t instrument, whale;

/* ---- statements with parameters ----------------------------------------------------------------
 */

typedef struct {
    const char *values[ARGUMENTS_MAX];
    int count;
} arguments;

static PGresult *run_on(PGconn *connection, const char *sql, const arguments *given)
{
    return PQexecParams(connection, sql, given->count, NULL, given->values, NULL, NULL, 0);
}

static PGresult *run(const char *sql, const arguments *given)
{
    PGresult *result = run_on(database, sql, given);

    if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK) {
        fail_msg("%.60s: %s", sql, PQresultErrorMessage(result));
    }
    return result;
}

/* Where a statement is to be refused: its SQLSTATE. */
static const char *refused(const char *sql, const arguments *given)
{
    static char state[6];
    PGresult *result = run_on(database, sql, given);
    const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    snprintf(state, sizeof(state), "%s", code != NULL ? code : "");
    PQclear(result);
    return state;
}

#define RUN(sql, ...)                                                                              \
    run((sql), &(arguments){.values = {__VA_ARGS__},                                               \
                            .count = sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)})
#define REFUSED(sql, ...)                                                                          \
    refused((sql), &(arguments){.values = {__VA_ARGS__},                                           \
                                .count = sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)})

static const char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One of a few buffers in turn, so that several stand in one call. */
static const char *text(const char *format, ...)
{
    static char rows[32][512];
    static unsigned next;
    char *row = rows[next++ % 32];
    va_list values;

    va_start(values, format);
    assert_true(vsnprintf(row, sizeof(rows[0]), format, values) < (int)sizeof(rows[0]));
    va_end(values);
    return row;
}

/* ---- the world ---------------------------------------------------------------------------------
 */

/* Users 1..USERS with an active account each of the same number, 1,000 USDT, following one whale.
 */
static int world(void **state)
{
    (void)state;
    database_run("truncate users, user_settings, venue_accounts, account_instruments, whales, "
                 "follows, signals, trades, fills, positions, ledger_balances, notifications, "
                 "jobs_dead, instruments, changes restart identity cascade");
    database_run("alter table ledger_entries disable trigger ledger_entries_append_only");
    database_run("delete from ledger_entries");
    database_run("alter table ledger_entries enable trigger ledger_entries_append_only");
    database_run(
        "insert into instruments (name, venue, market, native, underlying, base_asset, "
        "quote_asset, settle_asset, price_tick, quantity_step, quantity_min, quantity_max, "
        "market_quantity_step, market_quantity_min, market_quantity_max) "
        "values ('binance:usdm:BTCUSDT', 'binance', 'usdm', 'BTCUSDT', 'BTC', 'BTC', 'USDT', "
        "'USDT', 0.1, 0.001, 0.001, 1000, 0.001, 0.001, 120), ('okx:usdm:BTC-USDT-SWAP', 'okx', "
        "'usdm', 'BTC-USDT-SWAP', 'BTC', 'BTC', 'USDT', 'USDT', 0.1, 0.001, 0.001, 1000, 0.001, "
        "0.001, 120)");
    database_run("insert into whales (venue, leader_id) values ('binance', 'leader')");
    database_run("insert into users (telegram_id, tier) select i, 'PRO' from generate_series(1, "
                 "%d) i",
                 USERS);
    database_run("insert into user_settings (user_id) select id from users");
    database_run("insert into venue_accounts (user_id, ref, venue, state, secret, key_id, "
                 "can_futures) select id, gen_random_uuid(), 'binance', 'ACTIVE', 'stored', 1, "
                 "true from users order by id");
    database_run("insert into follows (user_id, whale_id) select id, 1 from users order by id");
    database_run("insert into ledger_entries (user_id, account_id, asset, from_kind, to_kind, "
                 "amount, reason) select user_id, id, 'USDT', 'EXTERNAL', 'AVAILABLE', 1000, "
                 "'DEPOSIT' from venue_accounts");
    instrument = 1;
    whale = 1;
    return 0;
}

static int64_t signal_of(const char *kind, const char *side, bool closes)
{
    return strtoll(
        database_value("insert into signals (whale_id, instrument_id, native, position_side, "
                       "whale_version, kind, side, closes, quantity_before, quantity_after, "
                       "fraction, leverage, price, notional) select 1, 1, 'BTCUSDT', 'BOTH', "
                       "coalesce(max(whale_version), 0) + 1, '%s', '%s', %s, 0, 1, 1, 10, 60000, "
                       "600 from signals returning id",
                       kind, side, closes ? "true" : "false"),
        NULL, 10);
}

static void claim_signals(const char *owner)
{
    PQclear(RUN(query_trade_signal_claim, owner, "8000000", "8"));
}

/* One decision of a chunk, as C would give it. */
typedef struct {
    int64_t user_id;
    const char *reason, *hold, *quantity, *positions_max, *position_id, *position_version, *wait;
    int user_version, follow_version;
    bool closes, no_claim;
} decision;

static const char *or_null(const char *value)
{
    return value != NULL ? value : "null";
}

/* Array literals over the decisions, in the order of reserve.sql from $12 on. */
static void columns(const decision *list, size_t count, char out[18][1024])
{
    for (int c = 0; c < 18; c++) {
        snprintf(out[c], sizeof(out[0]), "{");
    }
    for (size_t i = 0; i < count; i++) {
        const decision *one = &list[i];
        const char *row[18];
        const char *id = text("%lld", (long long)one->user_id);

        row[0] = id;
        row[1] = id; /* follow and account have the user's number */
        row[2] = text("%s", one->user_version != 0
                                ? text("%d", one->user_version)
                                : database_value("select version from users where id = %s", id));
        row[3] = text("%s", one->follow_version != 0
                                ? text("%d", one->follow_version)
                                : database_value("select version from follows where id = %s", id));
        row[4] = one->reason != NULL && one->hold == NULL ? "null" : id;
        row[5] = text("%lld", (long long)instrument);
        row[6] = or_null(one->position_id);
        row[7] = one->position_version != NULL ? one->position_version : "0";
        row[8] = or_null(one->positions_max);
        row[9] = or_null(one->reason);
        row[10] = "60";
        row[11] = "10";
        row[12] = "60000";
        row[13] = one->quantity != NULL ? one->quantity : "0.01";
        row[14] = one->reason != NULL ? "0" : one->hold != NULL ? one->hold : "61";
        row[15] = one->reason != NULL
                      ? "null"
                      : text("w%026lld", (long long)(one->user_id + 100 * (random() % 1000000)));
        row[16] = or_null(one->wait);
        row[17] = one->no_claim || one->wait != NULL ? "f" : "t";
        for (int c = 0; c < 18; c++) {
            strncat(out[c], i > 0 ? "," : "", 1024 - strlen(out[c]) - 1);
            strncat(out[c], row[c], 1024 - strlen(out[c]) - 1);
        }
    }
    for (int c = 0; c < 18; c++) {
        strncat(out[c], "}", 1024 - strlen(out[c]) - 1);
    }
}

static PGresult *reserve_as(const char *owner, int64_t signal, const decision *list, size_t count)
{
    static char arrays[18][1024];
    bool closes = list[0].closes;
    arguments given = {.count = 29};
    PGresult *result;

    columns(list, count, arrays);
    given.values[0] = text("%lld", (long long)signal);
    given.values[1] = "1";
    given.values[2] = closes ? "SELL" : "BUY";
    given.values[3] = closes ? "t" : "f";
    given.values[4] = closes ? "WHALE_EXIT" : NULL;
    given.values[5] = "USDT";
    given.values[6] = owner;
    given.values[7] = "8000000";
    given.values[8] = "2026-11-20T10:00:00Z";
    given.values[9] = text("%lld", (long long)list[count - 1].user_id);
    given.values[10] = "2026-11-20T10:00:01.000001Z";
    for (int c = 0; c < 18; c++) {
        given.values[11 + c] = arrays[c];
    }
    database_run("begin");
    PQclear(RUN(query_trade_lock_users, arrays[0]));
    result = run_on(database, query_trade_reserve, &given);
    database_run(PQresultStatus(result) == PGRES_TUPLES_OK ? "commit" : "rollback");
    return result;
}

/* The state that came back for a user, "" for none. */
static const char *reserved(const PGresult *result, int64_t user_id)
{
    for (int row = 0; row < PQntuples(result); row++) {
        if (strtoll(PQgetvalue(result, row, 0), NULL, 10) == user_id) {
            return PQgetvalue(result, row, 2);
        }
    }
    return "";
}

/* Reserves one decision by "me"; what came back. */
static const char *reserve_one(int64_t signal, decision one)
{
    static char state[16];
    PGresult *result = reserve_as("me", signal, &one, 1);

    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        fail_msg("%s", PQresultErrorMessage(result));
    }
    snprintf(state, sizeof(state), "%s", reserved(result, one.user_id));
    PQclear(result);
    return state;
}

static const char *balance(int64_t user_id, const char *kind)
{
    return database_value("select trim_scale(balance) from ledger_accounts where user_id = %lld "
                          "and asset = 'USDT' and kind = '%s'",
                          (long long)user_id, kind);
}

/* trade's column of the newest trade of a user */
static const char *trade(int64_t user_id, const char *column)
{
    return database_value("select %s from trades where user_id = %lld order by id desc limit 1",
                          column, (long long)user_id);
}

static int64_t open_signal(void)
{
    int64_t signal = signal_of("OPEN", "BUY", false);

    claim_signals("me");
    return signal;
}

/* ---- all of them -------------------------------------------------------------------------------
 */

static void given_the_schema_when_every_query_is_prepared_then_it_is_understood(void **state)
{
    int seen = 0;

    (void)state;
    for (int i = 0; i < query_entry_count; i++) {
        PGresult *result;

        if (strncmp(query_entries[i].name, "queries/trade/", 14) != 0) {
            continue;
        }
        result = PQprepare(database, query_entries[i].name, query_entries[i].text, 0, NULL);
        if (PQresultStatus(result) != PGRES_COMMAND_OK) {
            fail_msg("%s: %s", query_entries[i].name, PQresultErrorMessage(result));
        }
        PQclear(result);
        seen++;
    }
    assert_true(seen > 20);
}

/* ---- reserving ---------------------------------------------------------------------------------
 */

static void given_a_free_lane_when_reserved_then_it_is_claimed_and_funds_are_held(void **state)
{
    int64_t signal = open_signal();

    (void)state;
    assert_string_equal(reserve_one(signal, (decision){.user_id = 1}), "EXECUTING");
    assert_string_equal(trade(1, "owner"), "me");
    assert_string_equal(trade(1, "to_char(requested_at at time zone 'UTC', 'HH24:MI:SS.US')"),
                        "10:00:01.000001");
    assert_string_equal(trade(1, "lease_until > clock_timestamp()"), "t");
    assert_string_equal(balance(1, "AVAILABLE"), "939");
    assert_string_equal(balance(1, "HELD"), "61");
    assert_string_equal(database_value("select fanned_out_to from signals"), "1");
}

static void given_a_follower_reserved_already_when_reserved_again_then_nothing_changes(void **state)
{
    int64_t signal = open_signal();

    (void)state;
    assert_string_equal(reserve_one(signal, (decision){.user_id = 1}), "EXECUTING");
    assert_string_equal(reserve_one(signal, (decision){.user_id = 1}), "");
    assert_string_equal(database_value("select count(*) from trades"), "1");
    assert_string_equal(balance(1, "HELD"), "61");
}

static void given_facts_that_changed_when_reserved_then_it_is_stale_and_leaves_no_row(void **state)
{
    int64_t signal = open_signal();
    static const struct {
        const char *name;
        decision one;
    } rows[] = {
        {"user's version", {.user_id = 1, .user_version = 77}},
        {"follow's version", {.user_id = 1, .follow_version = 77}},
        {"funds", {.user_id = 1, .hold = "1000.000000000001"}},
        {"limit of positions", {.user_id = 1, .positions_max = "0"}},
        {"position gone", {.user_id = 1, .position_id = "5", .position_version = "1"}},
        {"close without a position", {.user_id = 1, .closes = true, .hold = "0"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *got = reserve_one(signal, rows[i].one);

        if (strcmp(got, "STALE") != 0) {
            fail_msg("%s: %s", rows[i].name, got);
        }
    }
    assert_string_equal(database_value("select count(*) from trades"), "0");
    assert_string_equal(balance(1, "HELD"), "0");
    assert_string_equal(database_value("select fanned_out_to from signals"), "0");
    assert_string_equal(reserve_one(signal, (decision){.user_id = 1, .hold = "1000"}), "EXECUTING");
}

static void
given_one_stale_in_a_chunk_when_reserved_then_the_others_are_and_the_signal_stays_before_it(
    void **state)
{
    int64_t signal = open_signal();
    decision list[] = {{.user_id = 1},
                       {.user_id = 2},
                       {.user_id = 3, .user_version = 99},
                       {.user_id = 4},
                       {.user_id = 5, .reason = "copy_off"}};
    PGresult *result = reserve_as("me", signal, list, 5);

    (void)state;
    assert_string_equal(reserved(result, 2), "EXECUTING");
    assert_string_equal(reserved(result, 3), "STALE");
    assert_string_equal(reserved(result, 4), "EXECUTING");
    assert_string_equal(reserved(result, 5), "SKIPPED");
    PQclear(result);
    assert_string_equal(database_value("select fanned_out_to from signals"), "2");
    assert_string_equal(database_value("select count(*) from trades"), "4");
}

static void given_a_reason_when_reserved_then_it_is_kept_and_nothing_is_held(void **state)
{
    int64_t signal = open_signal();

    (void)state;
    assert_string_equal(reserve_one(signal, (decision){.user_id = 1, .reason = "futures_need_pro"}),
                        "SKIPPED");
    assert_string_equal(trade(1, "reason || ' ' || unfinished || ' ' || (owner is null)"),
                        "futures_need_pro false true");
    assert_string_equal(balance(1, "HELD"), "0");
}

static void
given_a_busy_lane_when_reserved_then_it_waits_and_is_claimed_after_the_other(void **state)
{
    int64_t first = open_signal(), second;
    PGresult *claimed;

    (void)state;
    assert_string_equal(reserve_one(first, (decision){.user_id = 1}), "EXECUTING");
    database_run("update signals set state = 'PROCESSED'");
    second = open_signal();
    assert_string_equal(reserve_one(second, (decision){.user_id = 1}), "PENDING");
    claimed =
        RUN(query_trade_claim, "me", "8000000", "2026-11-20T10:00:05Z", "binance", "usdm", "10");
    assert_int_equal(PQntuples(claimed), 0);
    PQclear(claimed);
    database_run(
        "update trades set state = 'FAILED', unfinished = false, reason = 'venue_rejected' "
        "where signal_id = %lld",
        (long long)first);
    claimed =
        RUN(query_trade_claim, "me", "8000000", "2026-11-20T10:00:05Z", "binance", "usdm", "10");
    assert_int_equal(PQntuples(claimed), 1);
    PQclear(claimed);
    assert_string_equal(trade(1, "state"), "EXECUTING");
}

static void given_a_delay_when_reserved_then_it_is_not_claimed_before(void **state)
{
    int64_t signal = open_signal();
    PGresult *claimed;

    (void)state;
    assert_string_equal(
        reserve_one(signal, (decision){.user_id = 1, .wait = "2099-01-01T00:00:00Z"}), "PENDING");
    claimed =
        RUN(query_trade_claim, "me", "8000000", "2026-11-20T10:00:05Z", "binance", "usdm", "10");
    assert_int_equal(PQntuples(claimed), 0);
    PQclear(claimed);
    database_run("update trades set ask_after = clock_timestamp()");
    claimed = RUN(query_trade_claim, "me", "8000000", "2026-11-20T10:00:05Z", "okx", "usdm", "10");
    assert_int_equal(PQntuples(claimed), 0); /* not this venue's */
    PQclear(claimed);
    claimed =
        RUN(query_trade_claim, "me", "8000000", "2026-11-20T10:00:05Z", "binance", "usdm", "10");
    assert_int_equal(PQntuples(claimed), 1);
    PQclear(claimed);
}

static void given_a_signal_that_another_took_when_reserved_then_nothing_is_written(void **state)
{
    int64_t signal = open_signal();
    decision one = {.user_id = 1};
    PGresult *result = reserve_as("somebody else", signal, &one, 1);

    (void)state;
    assert_string_equal(PQresultErrorField(result, PG_DIAG_SQLSTATE), "WH001");
    PQclear(result);
    assert_string_equal(database_value("select count(*) from trades"), "0");
    assert_string_equal(balance(1, "HELD"), "0");
}

static void open_position(int64_t user_id, const char *quantity, const char *whale_id)
{
    database_run("insert into positions (user_id, account_id, instrument_id, whale_id, quantity, "
                 "entry_notional, margin, leverage) values (%lld, %lld, 1, %s, %s, 600, 60, 10)",
                 (long long)user_id, (long long)user_id, whale_id, quantity);
    database_run("insert into ledger_entries (user_id, account_id, asset, from_kind, to_kind, "
                 "amount, reason) values (%lld, %lld, 'USDT', 'AVAILABLE', 'POSITION', 60, "
                 "'MARGIN')",
                 (long long)user_id, (long long)user_id);
}

static void given_positions_when_reserved_then_version_and_side_are_looked_at_again(void **state)
{
    int64_t signal = open_signal();

    (void)state;
    open_position(1, "-0.01", "99"); /* another whale's short */
    assert_string_equal(reserve_one(signal, (decision){.user_id = 1}), "STALE");
    open_position(2, "0.01", "99"); /* another whale's long */
    assert_string_equal(reserve_one(signal, (decision){.user_id = 2}), "EXECUTING");
    open_position(3, "0.01", "1"); /* this whale's: opened meanwhile */
    assert_string_equal(reserve_one(signal, (decision){.user_id = 3}), "STALE");
    assert_string_equal(
        reserve_one(signal, (decision){.user_id = 3, .position_id = "3", .position_version = "2"}),
        "STALE");
    assert_string_equal(
        reserve_one(signal, (decision){.user_id = 3, .position_id = "3", .position_version = "1"}),
        "EXECUTING");
    assert_string_equal(trade(3, "position_id"), "3");
}

static void given_limits_when_entries_are_on_their_way_then_they_count(void **state)
{
    int64_t signal = open_signal(), other;

    (void)state;
    assert_string_equal(reserve_one(signal, (decision){.user_id = 1, .positions_max = "1"}),
                        "EXECUTING");
    database_run("update signals set state = 'PROCESSED'");
    other = open_signal();
    instrument = 2; /* another lane */
    assert_string_equal(reserve_one(other, (decision){.user_id = 1, .positions_max = "1"}),
                        "STALE");
    assert_string_equal(reserve_one(other, (decision){.user_id = 1, .positions_max = "2"}),
                        "EXECUTING");
}

/* ---- two at once -------------------------------------------------------------------------------
 */

static void
given_two_that_reserve_the_last_funds_when_at_once_then_one_of_them_is_stale(void **state)
{
    int64_t first = open_signal(), second;
    static char arrays[18][1024];
    decision one = {.user_id = 1, .hold = "700"};
    PGconn *other = PQconnectdb(database_conninfo);
    arguments given = {.count = 29};
    PGresult *result;

    (void)state;
    assert_int_equal(PQstatus(other), CONNECTION_OK);
    database_run("update signals set state = 'PROCESSED'");
    second = signal_of("OPEN", "BUY", false);
    database_run("update signals set state = 'PROCESSING', owner = 'me' where id = %lld",
                 (long long)second);
    database_run("update signals set state = 'PROCESSED', owner = 'me' where id = %lld",
                 (long long)first);
    columns(&one, 1, arrays);
    given.values[0] = text("%lld", (long long)second);
    given.values[1] = "1";
    given.values[2] = "BUY";
    given.values[3] = "f";
    given.values[5] = "USDT";
    given.values[6] = "me";
    given.values[7] = "8000000";
    given.values[8] = "2026-11-20T10:00:00Z";
    given.values[9] = "1";
    given.values[10] = "2026-11-20T10:00:01Z";
    for (int c = 0; c < 18; c++) {
        given.values[11 + c] = arrays[c];
    }
    /* The first holds the user and has spent; the second waits for the user, then sees it. */
    database_run("begin");
    PQclear(RUN(query_trade_lock_users, "{1}"));
    PQclear(PQexec(other, "begin"));
    assert_int_equal(PQsendQueryParams(other, query_trade_lock_users, 1, NULL,
                                       (const char *[]){"{1}"}, NULL, NULL, 0),
                     1);
    database_run("insert into ledger_entries (user_id, account_id, asset, from_kind, to_kind, "
                 "amount, reason) values (1, 1, 'USDT', 'AVAILABLE', 'HELD', 700, 'RESERVE')");
    database_run("commit");
    while ((result = PQgetResult(other)) != NULL) {
        PQclear(result);
    }
    result = run_on(other, query_trade_reserve, &given);
    assert_string_equal(reserved(result, 1), "STALE");
    PQclear(result);
    PQclear(PQexec(other, "commit"));
    PQfinish(other);
    assert_string_equal(balance(1, "HELD"), "700");
}

static void given_two_that_claim_when_at_once_then_each_trade_has_one_owner(void **state)
{
    int64_t signal = open_signal();
    PGconn *other = PQconnectdb(database_conninfo);
    arguments given = {
        .values = {"other", "8000000", "2026-11-20T10:00:06Z", "binance", "usdm", "10"},
        .count = 6};
    PGresult *mine, *theirs;

    (void)state;
    for (int64_t user = 1; user <= 4; user++) {
        reserve_one(signal, (decision){.user_id = user, .no_claim = true});
    }
    database_run("begin");
    mine = RUN(query_trade_claim, "me", "8000000", "2026-11-20T10:00:05Z", "binance", "usdm", "2");
    assert_int_equal(PQntuples(mine), 2);
    theirs = run_on(other, query_trade_claim, &given); /* does not wait */
    assert_int_equal(PQntuples(theirs), 2);
    database_run("commit");
    assert_string_equal(
        database_value("select string_agg(owner, ',' order by user_id) from trades"),
        "me,me,other,other");
    PQclear(mine);
    PQclear(theirs);
    PQfinish(other);
}

/* ---- giving back -------------------------------------------------------------------------------
 */

#define REQUESTED "{2026-11-20T10:00:01.000001Z}"

static void given_a_claim_when_released_then_only_this_very_claim_is(void **state)
{
    int64_t signal = open_signal();

    (void)state;
    reserve_one(signal, (decision){.user_id = 1});
    PQclear(RUN(query_trade_release, "me", "{1}", "{1}", "{2026-11-20T10:00:01.000002Z}", "{1}",
                "{NULL}"));
    assert_string_equal(trade(1, "state"), "EXECUTING");
    PQclear(RUN(query_trade_release, "other", "{1}", "{1}", REQUESTED, "{1}", "{NULL}"));
    assert_string_equal(trade(1, "state"), "EXECUTING");
    PQclear(RUN(query_trade_release, "me", "{1}", "{1}", REQUESTED, "{2}", "{NULL}"));
    assert_string_equal(trade(1, "state::text || attempt || coalesce(owner, '-')"), "PENDING2-");
    assert_string_equal(balance(1, "HELD"), "61"); /* still reserved */
    PQclear(RUN(query_trade_release, "me", "{1}", "{1}", REQUESTED, "{3}", "{NULL}"));
    assert_string_equal(trade(1, "attempt"), "2");
}

static void given_a_lost_connection_when_given_back_then_what_was_sent_is_not(void **state)
{
    int64_t signal = open_signal();

    (void)state;
    reserve_one(signal, (decision){.user_id = 1});
    reserve_one(signal, (decision){.user_id = 2});
    database_run("update trades set sent_at = now() where user_id = 2");
    PQclear(RUN(query_trade_release_lost, "me", "2026-11-20T10:00:01.000001Z"));
    assert_string_equal(trade(1, "state"), "PENDING");
    assert_string_equal(trade(2, "state"), "EXECUTING");
}

static void
given_an_expired_lease_when_recovered_then_it_is_asked_about_and_never_sent(void **state)
{
    int64_t signal = open_signal();

    (void)state;
    PQclear(PQexec(database, "select pg_advisory_lock(hashtextextended('me', 0))"));
    reserve_one(signal, (decision){.user_id = 1});
    reserve_one(signal, (decision){.user_id = 2});
    database_run("update trades set lease_until = clock_timestamp() - interval '1 ms' where "
                 "user_id = 2");
    PGconn *other = PQconnectdb(database_conninfo);
    arguments given = {.values = {"other"}, .count = 1};

    PQclear(run_on(other, query_trade_recover, &given));
    assert_string_equal(trade(1, "state"), "EXECUTING"); /* its owner is alive */
    assert_string_equal(trade(2, "state::text || coalesce(owner, '-')"), "UNKNOWN-");
    PQclear(PQexec(database, "select pg_advisory_unlock(hashtextextended('me', 0))"));
    PQclear(run_on(other, query_trade_recover, &given));
    assert_string_equal(trade(1, "state"), "UNKNOWN"); /* at once, though the lease is not over */
    assert_string_equal(database_value("select state from signals"), "PENDING");
    PQclear(
        RUN(query_trade_claim, "me", "8000000", "2026-11-20T10:00:05Z", "binance", "usdm", "10"));
    assert_string_equal(trade(1, "state"), "UNKNOWN");
    PQfinish(other);
}

/* ---- confirming --------------------------------------------------------------------------------
 */

static PGresult *confirm_trade(const char *owner, const char *requested, const char *state,
                               const char *filled)
{
    arguments given = {.values = {owner, "{1}", "{1}", requested, text("{%s}", state),
                                  strcmp(state, "FAILED") == 0 ? "{venue_rejected}" : "{NULL}",
                                  "{0}", "{NULL}", "{77}", text("{%s}", filled), "{60000}", "{0.3}",
                                  "{0}", "{2026-11-20T10:00:01.5Z}", "{2026-11-20T10:00:01.6Z}",
                                  "{NULL}"},
                       .count = 16};

    return run_on(database, query_trade_confirm_trades, &given);
}

static const char *state_of(PGresult *result)
{
    static char state[6];
    const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    snprintf(state, sizeof(state), "%s", code != NULL ? code : "");
    PQclear(result);
    return state;
}

static void given_a_trade_when_confirmed_twice_then_the_second_is_refused(void **state)
{
    int64_t signal = open_signal();

    (void)state;
    reserve_one(signal, (decision){.user_id = 1});
    assert_string_equal(state_of(confirm_trade("me", REQUESTED, "FILLED", "0.01")), "");
    assert_string_equal(trade(1, "state::text || unfinished"), "FILLEDfalse");
    assert_string_equal(state_of(confirm_trade("me", REQUESTED, "FILLED", "0.01")), "WH001");
    assert_string_equal(state_of(confirm_trade("me", REQUESTED, "FAILED", "0")), "WH001");
    assert_string_equal(trade(1, "state"), "FILLED");
}

static void given_a_claim_that_is_not_ours_when_confirmed_then_it_is_refused(void **state)
{
    int64_t signal = open_signal();

    (void)state;
    reserve_one(signal, (decision){.user_id = 1});
    assert_string_equal(state_of(confirm_trade("other", REQUESTED, "FILLED", "0.01")), "WH001");
    assert_string_equal(state_of(confirm_trade("me", "{2026-11-20T10:00:09Z}", "FILLED", "0.01")),
                        "WH001");
    assert_string_equal(trade(1, "state"), "EXECUTING");
}

static void given_figures_that_contradict_when_confirmed_then_the_database_refuses(void **state)
{
    int64_t signal = open_signal();

    (void)state;
    reserve_one(signal, (decision){.user_id = 1});
    assert_string_equal(state_of(confirm_trade("me", REQUESTED, "FILLED", "0.009")), "23514");
    assert_string_equal(state_of(confirm_trade("me", REQUESTED, "FILLED", "0.011")), "23514");
    assert_string_equal(state_of(confirm_trade("me", REQUESTED, "PARTIAL", "0.01")), "23514");
    assert_string_equal(state_of(confirm_trade("me", REQUESTED, "FAILED", "0.001")), "23514");
    assert_string_equal(trade(1, "state"), "EXECUTING");
}

static void given_a_position_that_changed_when_confirmed_then_it_is_refused(void **state)
{
    (void)state;
    open_position(1, "0.01", "1");
    assert_string_equal(REFUSED(query_trade_confirm_changed, "{1}", "{1}", "{2}", "{0.02}",
                                "{1200}", "{120}", "{0}", "{0}", "{EXTERNAL}"),
                        "WH001");
    PQclear(RUN(query_trade_confirm_changed, "{1}", "{1}", "{1}", "{0.02}", "{1200}", "{120}",
                "{0}", "{0}", "{EXTERNAL}"));
    assert_string_equal(database_value("select version || state::text from positions"), "2OPEN");
    assert_string_equal(REFUSED(query_trade_confirm_changed, "{1}", "{1}", "{1}", "{0.03}",
                                "{1200}", "{120}", "{0}", "{0}", "{EXTERNAL}"),
                        "WH001");
    PQclear(RUN(query_trade_confirm_changed, "{1}", "{1}", "{2}", "{0}", "{0}", "{0}", "{5}", "{1}",
                "{WHALE_EXIT}"));
    assert_string_equal(
        database_value("select state || ' ' || close_reason || ' ' || (closed_at is not null) "
                       "from positions"),
        "CLOSED WHALE_EXIT true");
    assert_string_equal(REFUSED(query_trade_confirm_changed, "{1}", "{1}", "{3}", "{1}", "{1}",
                                "{1}", "{5}", "{1}", "{WHALE_EXIT}"),
                        "WH001");
}

static void
given_a_copy_that_is_open_when_another_of_the_same_whale_is_opened_then_it_is_refused(void **state)
{
    (void)state;
    open_position(1, "0.01", "1");
    assert_string_equal(REFUSED(query_trade_confirm_opened, "{1}", "{1}", "{1}", "{1}", "{1}",
                                "{0.01}", "{600}", "{60}", "{10}", "{0}", "{0}"),
                        "23505");
}

static const char *fill(const char *venue_trade_id)
{
    return REFUSED(query_trade_confirm_fills, "{1}", "{1}", text("{%s}", venue_trade_id), "{1}",
                   "{1}", "{BUY}", "{60000}", "{0.01}", "{600}", "{0.3}", "{USDT}", "{0}", "{f}",
                   "{2026-11-20T10:00:01Z}");
}

static void given_a_fill_that_is_booked_when_booked_again_then_it_is_refused(void **state)
{
    (void)state;
    assert_string_equal(fill("1001"), "");
    assert_string_equal(fill("1001"), "23505");
    assert_string_equal(fill("1002"), "");
}

/* ---- the ledger --------------------------------------------------------------------------------
 */

static const char *move(const char *from, const char *to, const char *amount)
{
    return REFUSED(query_trade_confirm_ledger, "{1}", "{1}", "{USDT}", text("{%s}", from),
                   text("{%s}", to), text("{%s}", amount), "{RELEASE}", "{1}");
}

static void given_moves_when_booked_then_balances_are_their_sums_and_held_never_owes(void **state)
{
    (void)state;
    assert_string_equal(move("AVAILABLE", "HELD", "61"), "");
    assert_string_equal(move("HELD", "POSITION", "60.000000000001"), "");
    assert_string_equal(move("HELD", "AVAILABLE", "0.999999999999"), "");
    assert_string_equal(balance(1, "HELD"), "0");
    assert_string_equal(balance(1, "AVAILABLE"), "939.999999999999");
    assert_string_equal(balance(1, "POSITION"), "60.000000000001");
    assert_string_equal(move("HELD", "AVAILABLE", "0.000000000001"), "23514");
    assert_string_equal(move("POSITION", "AVAILABLE", "61"), "23514");
    assert_string_equal(move("AVAILABLE", "AVAILABLE", "1"), "23514");
    assert_string_equal(move("AVAILABLE", "FEE", "0"), "23514");
    assert_string_equal(move("AVAILABLE", "FEE", "2000"), ""); /* a fact: it may go below zero */
    assert_string_equal(balance(1, "AVAILABLE"), "-1060.000000000001");
    assert_string_equal(database_value("select count(*) from ledger_entries e full join (select "
                                       "user_id, account_id, asset, kind, balance from "
                                       "ledger_accounts) a using (user_id) where false"),
                        "0");
    database_run("begin");
    assert_string_equal(refused("update ledger_entries set amount = 1", &(arguments){0}), "23001");
    database_run("rollback");
    database_run("begin");
    assert_string_equal(refused("delete from ledger_entries", &(arguments){0}), "23001");
    database_run("rollback");
}

/* ---- transitions -------------------------------------------------------------------------------
 */

static void given_every_pair_of_states_when_changed_then_only_the_legal_pass(void **state)
{
    static const char *const states[] = {"PENDING", "EXECUTING", "UNKNOWN", "FILLED",
                                         "PARTIAL", "FAILED",    "SKIPPED"};
    static const char *const legal = " PENDING>EXECUTING PENDING>FAILED EXECUTING>PENDING "
                                     "EXECUTING>UNKNOWN EXECUTING>FILLED EXECUTING>PARTIAL "
                                     "EXECUTING>FAILED UNKNOWN>EXECUTING UNKNOWN>FILLED "
                                     "UNKNOWN>PARTIAL UNKNOWN>FAILED ";

    (void)state;
    for (int from = 0; from < 7; from++) {
        for (int to = 0; to < 7; to++) {
            char pair[32];
            const char *filled = to == 3 ? "0.01" : to == 4 ? "0.005" : "0";
            const char *got;

            snprintf(pair, sizeof(pair), " %s>%s ", states[from], states[to]);
            database_run("delete from trades");
            database_run("insert into trades (user_id, account_id, instrument_id, side, state, "
                         "unfinished, quantity, filled_quantity, client_order_id, reason) values "
                         "(1, 1, 1, 'BUY', '%s', %s, 0.01, %s, 'w1', 'venue_rejected')",
                         states[from], from < 3 ? "true" : "false",
                         from == 3   ? "0.01"
                         : from == 4 ? "0.005"
                                     : "0");
            got = refused(text("update trades set state = '%s', unfinished = %s, filled_quantity "
                               "= %s, reason = 'venue_rejected'",
                               states[to], to < 3 ? "true" : "false", filled),
                          &(arguments){0});
            if ((strcmp(got, "") == 0) != (from == to || strstr(legal, pair) != NULL)) {
                fail_msg("%s: %s", pair, got);
            }
        }
    }
}

static void
given_an_entry_that_was_given_up_when_it_surfaces_then_it_is_unfinished_again(void **state)
{
    PGresult *late;

    (void)state;
    database_run("insert into trades (user_id, account_id, instrument_id, side, state, unfinished, "
                 "quantity, hold, client_order_id, reason, settled_at, ask_after, requested_at) "
                 "values (1, 1, 1, 'BUY', 'FAILED', false, 0.01, 61, 'w1', 'venue_rejected', "
                 "now(), null, now()), (2, 2, 1, 'BUY', 'FAILED', false, 0.01, 61, 'w2', "
                 "'unclear_not_found', now(), now() + interval '30 s', now())");
    late = RUN(query_trade_claim_late, "binance", "usdm", "10");
    assert_int_equal(PQntuples(late), 0);
    PQclear(late);
    for (int asked = 0; asked < 3; asked++) { /* 30 s, 2 min, 10 min after the end */
        static const char *const ages[] = {"31 s", "121 s", "601 s"};

        database_run("update trades set settled_at = now() - interval '%s', ask_after = now() - "
                     "interval '%s' + interval '%s' - interval '1 s' where user_id = 2",
                     ages[asked], ages[asked], ages[asked]);
        late = RUN(query_trade_claim_late, "binance", "usdm", "10");
        assert_int_equal(PQntuples(late), 1);
        PQclear(late);
    }
    assert_string_equal(trade(2, "coalesce(ask_after::text, 'never')"), "never");
    PQclear(RUN(query_trade_surface, "{1,2}", "{1,2}"));
    assert_string_equal(trade(1, "state"), "FAILED");
    assert_string_equal(trade(2, "state::text || ' ' || unfinished || ' ' || hold"),
                        "UNKNOWN true 0.000000000000");
}

static void
given_an_unclear_trade_when_resent_then_only_a_close_is_and_under_a_new_time(void **state)
{
    PGresult *result;

    (void)state;
    database_run(
        "insert into trades (user_id, account_id, instrument_id, side, state, reduce_only, "
        "quantity, client_order_id, owner, requested_at, attempt) values (1, 1, 1, 'SELL', "
        "'UNKNOWN', true, 0.01, 'w1', 'me', '2026-11-20T10:00:01Z', 1), (2, 2, 1, 'BUY', "
        "'UNKNOWN', false, 0.01, 'w2', 'me', '2026-11-20T10:00:01Z', 1)");
    result = RUN(query_trade_resend, "me", "8000000", "{1,2}", "{1,2}",
                 "{2026-11-20T10:00:01Z,2026-11-20T10:00:01Z}",
                 "{2026-11-20T10:00:09Z,2026-11-20T10:00:09Z}");
    assert_int_equal(PQntuples(result), 1);
    PQclear(result);
    assert_string_equal(trade(1, "state::text || attempt"), "EXECUTING1");
    assert_string_equal(trade(2, "state"), "UNKNOWN");
}

/* ---- signals -----------------------------------------------------------------------------------
 */

static void
given_a_flip_when_signals_are_claimed_then_its_opening_waits_for_its_closing(void **state)
{
    int64_t closing = signal_of("CLOSE", "SELL", true);
    PGresult *claimed;

    (void)state;
    signal_of("FLIP", "SELL", false);
    claimed = RUN(query_trade_signal_claim, "me", "8000000", "8");
    assert_int_equal(PQntuples(claimed), 1);
    assert_int_equal(strtoll(PQgetvalue(claimed, 0, 0), NULL, 10), closing);
    PQclear(claimed);
    PQclear(
        RUN(query_trade_signal_done, text("%lld", (long long)closing), "other", "PROCESSED", NULL));
    assert_string_equal(
        database_value("select state from signals where id = %lld", (long long)closing),
        "PROCESSING");
    PQclear(
        RUN(query_trade_signal_done, text("%lld", (long long)closing), "me", "PROCESSED", NULL));
    claimed = RUN(query_trade_signal_claim, "me", "8000000", "8");
    assert_int_equal(PQntuples(claimed), 1);
    assert_string_equal(PQgetvalue(claimed, 0, 3), "FLIP");
    PQclear(claimed);
}

static void
given_a_signal_whose_lease_is_over_when_claimed_then_it_goes_on_where_it_was(void **state)
{
    int64_t signal = open_signal();
    PGresult *claimed;

    (void)state;
    reserve_one(signal, (decision){.user_id = 3});
    claimed = RUN(query_trade_signal_claim, "other", "8000000", "8");
    assert_int_equal(PQntuples(claimed), 0);
    PQclear(claimed);
    database_run("update signals set lease_until = clock_timestamp() - interval '1 ms'");
    claimed = RUN(query_trade_signal_claim, "other", "8000000", "8");
    assert_int_equal(PQntuples(claimed), 1);
    assert_string_equal(PQgetvalue(claimed, 0, 9), "3");
    PQclear(claimed);
}

/* ---- left behind -------------------------------------------------------------------------------
 */

static void whale_holds(const char *quantity)
{
    database_run("delete from whale_positions");
    database_run("insert into whale_positions (whale_id, native, position_side, instrument_id, "
                 "quantity, entry_price, updated_at) values (1, 'BTCUSDT', 'BOTH', 1, %s, 60000, "
                 "now() - interval '11 s')",
                 quantity);
}

static int swept(void)
{
    PGresult *result =
        RUN(query_trade_left_behind, text("{w%026d,w%026d}", rand() % 99999, rand() % 99999));
    int count = PQntuples(result);

    PQclear(result);
    return count;
}

static void given_a_copy_that_its_whale_has_left_when_swept_then_a_close_is_made_once(void **state)
{
    (void)state;
    open_position(1, "0.01", "1");
    assert_int_equal(swept(), 0); /* nothing is known of the whale's position */
    whale_holds("0.5");
    assert_int_equal(swept(), 0);
    whale_holds("0");
    signal_of("CLOSE", "SELL", true);
    assert_int_equal(swept(), 0); /* its signal is on its way */
    database_run("update signals set state = 'SKIPPED', reason = 'internal'");
    database_run("update user_settings set close_on_whale_exit = false");
    assert_int_equal(swept(), 0);
    database_run("update user_settings set close_on_whale_exit = true");
    database_run("update venue_accounts set state = 'DISABLED'");
    assert_int_equal(swept(), 0);
    database_run("update venue_accounts set state = 'ACTIVE'");
    assert_int_equal(swept(), 1);
    assert_string_equal(trade(1, "state || ' ' || side || ' ' || reduce_only || ' ' || "
                                 "close_reason || ' ' || trim_scale(quantity) || ' ' || "
                                 "position_id || ' ' || hold::int"),
                        "PENDING SELL true WHALE_EXIT 0.01 1 0");
    assert_int_equal(swept(), 0);
    database_run("update trades set state = 'FAILED', unfinished = false, reason = "
                 "'venue_rejected', settled_at = now()");
    assert_int_equal(swept(), 0);
    database_run("update trades set settled_at = now() - interval '61 s'");
    assert_int_equal(swept(), 1);
}

static void given_a_short_copy_when_the_whale_turned_then_a_purchase_closes_it(void **state)
{
    (void)state;
    open_position(1, "-0.01", "1");
    whale_holds("-0.5");
    assert_int_equal(swept(), 0);
    whale_holds("0.5");
    assert_int_equal(swept(), 1);
    assert_string_equal(trade(1, "side"), "BUY");
}

/* ---- followers ---------------------------------------------------------------------------------
 */

static void given_followers_when_fetched_then_those_reached_come_by_id_and_once(void **state)
{
    int64_t signal = open_signal();
    const char *id = text("%lld", (long long)signal);
    PGresult *rows;

    (void)state;
    database_run("update follows set active = false where user_id = 2");
    database_run("update follows set auto_copy = false where user_id = 3");
    reserve_one(signal, (decision){.user_id = 4});
    rows =
        RUN(query_trade_fanout_entry, id, "1", "0", "1000", "{1}", "binance", "usdm", "USDT", "t");
    assert_int_equal(PQntuples(rows), 3);
    assert_string_equal(PQgetvalue(rows, 0, 0), "1");
    assert_string_equal(PQgetvalue(rows, 1, 0), "5");
    assert_string_equal(PQgetvalue(rows, 2, 0), "6");
    assert_string_equal(PQgetvalue(rows, 0, 30), "1000.000000000000");
    PQclear(rows);
    rows =
        RUN(query_trade_fanout_entry, id, "1", "5", "1000", "{1}", "binance", "usdm", "USDT", "t");
    assert_int_equal(PQntuples(rows), 1);
    PQclear(rows);
    rows = RUN(query_trade_fanout_entry, id, "1", "0", "2", "{1}", "binance", "usdm", "USDT", "t");
    assert_int_equal(PQntuples(rows), 2);
    PQclear(rows);
}

static void
given_holders_when_the_whale_exits_then_copies_and_entries_on_their_way_are_reached(void **state)
{
    int64_t opening = open_signal(), closing;
    const char *id;
    PGresult *rows;

    (void)state;
    reserve_one(opening, (decision){.user_id = 2}); /* on its way */
    open_position(3, "0.01", "1");
    open_position(4, "-0.01", "1"); /* the other side */
    open_position(5, "0.01", "99"); /* another whale's */
    database_run("update signals set state = 'PROCESSED'");
    database_run("update follows set active = false"); /* closes reach them all the same */
    closing = signal_of("CLOSE", "SELL", true);
    id = text("%lld", (long long)closing);
    rows = RUN(query_trade_fanout_holders, id, "1", "0", "1000", "{1}", "t", "t");
    assert_int_equal(PQntuples(rows), 2);
    assert_string_equal(PQgetvalue(rows, 0, 0), "2");
    assert_string_equal(PQgetvalue(rows, 0, 42), "0.010000000000"); /* entries, long */
    assert_string_equal(PQgetvalue(rows, 1, 0), "3");
    assert_string_equal(PQgetvalue(rows, 1, 35), "0.010000000000");
    PQclear(rows);
}

static void given_losses_today_when_fetched_then_the_users_own_day_counts(void **state)
{
    int64_t signal = open_signal();
    const char *id = text("%lld", (long long)signal);
    PGresult *rows;

    (void)state;
    database_run("update user_settings set daily_loss_limit = 50 where user_id = 1");
    database_run("update users set time_zone = 'not a zone' where id = 1");
    database_run("insert into trades (user_id, account_id, instrument_id, side, state, unfinished, "
                 "quantity, filled_quantity, client_order_id, realised_pnl, fee, settled_at) "
                 "values (1, 1, 1, 'SELL', 'FILLED', false, 1, 1, 'w1', -30, 2, now()), (1, 1, 1, "
                 "'SELL', 'FILLED', false, 1, 1, 'w2', 10, 1, now()), (1, 1, 1, 'SELL', 'FILLED', "
                 "false, 1, 1, 'w3', -500, 1, now() - interval '3 days')");
    rows = RUN(query_trade_fanout_entry, id, "1", "0", "1", "{1}", "binance", "usdm", "USDT", "t");
    assert_string_equal(PQgetvalue(rows, 0, 32), "23.000000000000");
    PQclear(rows);
}

static int start(void **state)
{
    (void)state;
    database_start();
    database_migrate();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    database_stop();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(given_the_schema_when_every_query_is_prepared_then_it_is_understood),
        TEST(given_a_free_lane_when_reserved_then_it_is_claimed_and_funds_are_held),
        TEST(given_a_follower_reserved_already_when_reserved_again_then_nothing_changes),
        TEST(given_facts_that_changed_when_reserved_then_it_is_stale_and_leaves_no_row),
        TEST(
            given_one_stale_in_a_chunk_when_reserved_then_the_others_are_and_the_signal_stays_before_it),
        TEST(given_a_reason_when_reserved_then_it_is_kept_and_nothing_is_held),
        TEST(given_a_busy_lane_when_reserved_then_it_waits_and_is_claimed_after_the_other),
        TEST(given_a_delay_when_reserved_then_it_is_not_claimed_before),
        TEST(given_a_signal_that_another_took_when_reserved_then_nothing_is_written),
        TEST(given_positions_when_reserved_then_version_and_side_are_looked_at_again),
        TEST(given_limits_when_entries_are_on_their_way_then_they_count),
        TEST(given_two_that_reserve_the_last_funds_when_at_once_then_one_of_them_is_stale),
        TEST(given_two_that_claim_when_at_once_then_each_trade_has_one_owner),
        TEST(given_a_claim_when_released_then_only_this_very_claim_is),
        TEST(given_a_lost_connection_when_given_back_then_what_was_sent_is_not),
        TEST(given_an_expired_lease_when_recovered_then_it_is_asked_about_and_never_sent),
        TEST(given_a_trade_when_confirmed_twice_then_the_second_is_refused),
        TEST(given_a_claim_that_is_not_ours_when_confirmed_then_it_is_refused),
        TEST(given_figures_that_contradict_when_confirmed_then_the_database_refuses),
        TEST(given_a_position_that_changed_when_confirmed_then_it_is_refused),
        TEST(given_a_copy_that_is_open_when_another_of_the_same_whale_is_opened_then_it_is_refused),
        TEST(given_a_fill_that_is_booked_when_booked_again_then_it_is_refused),
        TEST(given_moves_when_booked_then_balances_are_their_sums_and_held_never_owes),
        TEST(given_every_pair_of_states_when_changed_then_only_the_legal_pass),
        TEST(given_an_entry_that_was_given_up_when_it_surfaces_then_it_is_unfinished_again),
        TEST(given_an_unclear_trade_when_resent_then_only_a_close_is_and_under_a_new_time),
        TEST(given_a_flip_when_signals_are_claimed_then_its_opening_waits_for_its_closing),
        TEST(given_a_signal_whose_lease_is_over_when_claimed_then_it_goes_on_where_it_was),
        TEST(given_a_copy_that_its_whale_has_left_when_swept_then_a_close_is_made_once),
        TEST(given_a_short_copy_when_the_whale_turned_then_a_purchase_closes_it),
        TEST(given_followers_when_fetched_then_those_reached_come_by_id_and_once),
        TEST(given_holders_when_the_whale_exits_then_copies_and_entries_on_their_way_are_reached),
        TEST(given_losses_today_when_fetched_then_the_users_own_day_counts),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
