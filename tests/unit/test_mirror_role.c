/* The mirror role against a real Postgres: the segment becomes what Postgres says, and stays it. */
#include "tests/unit/database.h"

#include "core/json.h"
#include "workerd/mirror/mirror_verify.h"

static whale_config config;
static shm_segment *reader;

static int start_all(void **state)
{
    (void)state;
    database_start();
    database_migrate();
    database_add_instrument("BTCUSDT");
    database_add_instrument("ETHUSDT");
    database_run("insert into whales (venue, leader_id, name, score) values "
                 "('binance', '1', 'Moby \"D\"', 71.5)");
    role_config(&config);
    return 0;
}

static int stop_all(void **state)
{
    (void)state;
    database_stop();
    return 0;
}

static int fresh_segment(void **state)
{
    (void)state;
    role_segment(&config);
    reader = shm_open_reader(config.shm_path);
    return reader == NULL;
}

static int close_segment(void **state)
{
    (void)state;
    shm_close(reader);
    return 0;
}

/* A user with an account and a balance; the id. */
static int64_t add_user(int64_t telegram_id, const char *balance)
{
    int64_t id;

    database_run("insert into users (telegram_id, tier) values (%lld, 'PRO')",
                 (long long)telegram_id);
    id = strtoll(
        database_value("select id from users where telegram_id = %lld", (long long)telegram_id),
        NULL, 10);
    database_run("insert into venue_accounts (user_id, ref, venue, state) values "
                 "(%lld, gen_random_uuid(), 'binance', 'ACTIVE')",
                 (long long)id);
    database_run(
        "insert into ledger_entries (user_id, account_id, asset, from_kind, to_kind, amount, "
        "reason) select user_id, id, 'USDT', 'EXTERNAL', 'AVAILABLE', %s, 'DEPOSIT' "
        "from venue_accounts where user_id = %lld",
        balance, (long long)id);
    return id;
}

static void add_position(int64_t user, const char *native, const char *quantity)
{
    database_run("insert into positions (user_id, account_id, instrument_id, whale_id, quantity, "
                 "entry_notional, margin, leverage) select a.user_id, a.id, i.id, w.id, %s, 741.6, "
                 "74.16, 10 from venue_accounts a, instruments i, whales w "
                 "where a.user_id = %lld and i.native = '%s' and w.leader_id = '1'",
                 quantity, (long long)user, native);
}

static bool has_positions(int64_t user, uint32_t count)
{
    shm_position positions[SHM_USER_POSITIONS_MAX];
    shm_user found;

    shm_refresh(reader);
    return shm_user_by_id(reader, user, &found, positions, SHM_USER_POSITIONS_MAX) == SHM_READ_OK &&
           found.position_count == count;
}

static bool has_balance(int64_t user, const char *total, const char *available)
{
    char text[DEC_TEXT_MAX];
    shm_user found;

    if (shm_user_by_id(reader, user, &found, NULL, 0) != SHM_READ_OK) {
        return false;
    }
    dec_format(found.balance_total, text);
    if (strcmp(text, total) != 0) {
        return false;
    }
    dec_format(found.balance_available, text);
    return strcmp(text, available) == 0;
}

static void given_users_when_it_starts_then_all_are_loaded_and_verified(void **state)
{
    int64_t with, without;
    shm_user user;
    pid_t mirror;

    (void)state;
    with = add_user(1001, "1000.5");
    without = add_user(1002, "0.000000000001");
    add_position(with, "BTCUSDT", "0.012");
    add_position(with, "ETHUSDT", "-1.5");
    assert_int_equal(shm_user_by_id(reader, with, &user, NULL, 0), SHM_READ_BUSY);
    mirror = role_start(mirror_role_run, &config);
    eventually(shm_users_loaded(reader));
    assert_true(has_positions(with, 2));
    assert_true(has_positions(without, 0));
    assert_int_equal(shm_user_by_telegram(reader, 1001, &user, NULL, 0), SHM_READ_OK);
    assert_int_equal(user.id, with);
    assert_int_equal(user.tier, 1);
    assert_int_equal(user.flags, SHM_USER_ACTIVE);
    assert_int_equal(shm_user_by_id(reader, 999999, &user, NULL, 0), SHM_READ_ABSENT);
    assert_true(mirror_verify(&config));
    assert_int_equal(role_stop(mirror, SIGTERM), 0);
}

static void given_changes_when_committed_then_they_show(void **state)
{
    const int64_t user = add_user(2001, "500");
    pid_t mirror = role_start(mirror_role_run, &config);
    int64_t late;
    shm_user found;

    (void)state;
    eventually(shm_users_loaded(reader));
    add_position(user, "BTCUSDT", "1");
    eventually(has_positions(user, 1));
    database_run(
        "insert into ledger_entries (user_id, account_id, asset, from_kind, to_kind, amount, "
        "reason) select user_id, id, 'USDT', 'AVAILABLE', 'HELD', 120.25, 'RESERVE' "
        "from venue_accounts where user_id = %lld",
        (long long)user);
    eventually(has_balance(user, "500", "379.75"));
    database_run("update users set state = 'BANNED', session_epoch = 9 where id = %lld",
                 (long long)user);
    eventually(shm_user_by_id(reader, user, &found, NULL, 0) == SHM_READ_OK &&
               found.flags == SHM_USER_BANNED && found.session_epoch == 9);
    late = add_user(2002, "1");
    eventually(has_balance(late, "1", "1"));
    /* an account that was removed counts no more */
    database_run("update venue_accounts set removed_at = now() where user_id = %lld",
                 (long long)late);
    eventually(has_balance(late, "0", "0"));
    assert_true(mirror_verify(&config));
    assert_int_equal(role_stop(mirror, SIGTERM), 0);
}

/* What an id or a time as cursor would lose: an older transaction that commits after a newer one.
 */
static void given_an_older_transaction_when_it_commits_last_then_it_is_not_skipped(void **state)
{
    const int64_t slow = add_user(3001, "10"), fast = add_user(3002, "10");
    PGconn *other = PQconnectdb(database_conninfo);
    pid_t mirror = role_start(mirror_role_run, &config);
    char sql[128];

    (void)state;
    eventually(shm_users_loaded(reader));
    snprintf(sql, sizeof(sql), "begin; update users set session_epoch = 7 where id = %lld",
             (long long)slow);
    PQclear(PQexec(other, sql));
    for (int i = 2; i < 40; i++) { /* many newer ones commit meanwhile */
        database_run("update users set session_epoch = %d where id = %lld", i, (long long)fast);
    }
    PQclear(PQexec(other, "commit"));
    PQfinish(other);
    shm_user user;
    eventually(shm_user_by_id(reader, slow, &user, NULL, 0) == SHM_READ_OK &&
               user.session_epoch == 7);
    eventually(shm_user_by_id(reader, fast, &user, NULL, 0) == SHM_READ_OK &&
               user.session_epoch == 39);
    assert_int_equal(role_stop(mirror, SIGTERM), 0);
}

static void given_a_kill_when_it_starts_again_then_what_was_missed_is_there(void **state)
{
    const int64_t user = add_user(4001, "10");
    pid_t mirror = role_start(mirror_role_run, &config);

    (void)state;
    eventually(shm_users_loaded(reader));
    role_stop(mirror, SIGKILL);
    add_position(user, "ETHUSDT", "3");
    mirror = role_start(mirror_role_run, &config);
    eventually(shm_users_loaded(reader) && has_positions(user, 1));
    assert_true(mirror_verify(&config));
    assert_int_equal(role_stop(mirror, SIGTERM), 0);
}

static void given_lost_connections_when_changes_come_then_they_show_all_the_same(void **state)
{
    const int64_t user = add_user(5001, "10");
    pid_t mirror = role_start(mirror_role_run, &config);

    (void)state;
    eventually(shm_users_loaded(reader));
    for (int i = 1; i <= 3; i++) {
        database_run("select pg_terminate_backend(pid) from pg_stat_activity "
                     "where application_name = 'whale-mirror'");
        database_run("update users set session_epoch = %d where id = %lld", 100 + i,
                     (long long)user);
        shm_user found;
        eventually(shm_user_by_id(reader, user, &found, NULL, 0) == SHM_READ_OK &&
                   found.session_epoch == 100 + i);
    }
    assert_int_equal(role_stop(mirror, SIGTERM), 0);
}

static void given_no_price_slot_when_feed_makes_one_then_the_position_finds_it(void **state)
{
    static const char name[] = "binance:usdm:BTCUSDT";
    const int64_t user = add_user(6001, "10");
    shm_position position;
    shm_segment *writer;
    char error[256];
    uint32_t slot;
    shm_user found;
    pid_t mirror;

    (void)state;
    add_position(user, "BTCUSDT", "1");
    mirror = role_start(mirror_role_run, &config);
    eventually(shm_users_loaded(reader));
    assert_int_equal(shm_user_by_id(reader, user, &found, &position, 1), SHM_READ_OK);
    assert_int_equal(position.price_slot, UINT32_MAX);
    writer = shm_open_writer(config.shm_path, error, sizeof(error));
    assert_non_null(writer);
    assert_true(shm_price_claim(writer, name, sizeof(name) - 1, &slot));
    shm_price_publish(writer, slot, &(shm_price){.mark = DEC_ONE});
    eventually(shm_user_by_id(reader, user, &found, &position, 1) == SHM_READ_OK &&
               position.price_slot == slot);
    assert_true(mirror_verify(&config));
    shm_close(writer);
    assert_int_equal(role_stop(mirror, SIGTERM), 0);
}

static void
given_more_positions_than_fit_when_loaded_then_readers_are_sent_to_postgres(void **state)
{
    const int64_t user = add_user(7001, "10");
    pid_t mirror;
    shm_user found;

    (void)state;
    database_run("insert into whales (venue, leader_id) select 'binance', 'crowd' || g "
                 "from generate_series(1, %d) g on conflict do nothing",
                 SHM_USER_POSITIONS_MAX + 6);
    database_run("insert into positions (user_id, account_id, instrument_id, whale_id, quantity, "
                 "entry_notional, margin, leverage) select a.user_id, a.id, i.id, w.id, 1, 1, 1, 1 "
                 "from venue_accounts a, instruments i, whales w where a.user_id = %lld and "
                 "i.native = 'BTCUSDT' and w.leader_id like 'crowd%%'",
                 (long long)user);
    mirror = role_start(mirror_role_run, &config);
    eventually(shm_users_loaded(reader));
    assert_int_equal(shm_user_by_id(reader, user, &found, NULL, 0), SHM_READ_OK);
    assert_true((found.flags & SHM_USER_POSITIONS_ELSEWHERE) != 0);
    assert_true(mirror_verify(&config));
    assert_int_equal(role_stop(mirror, SIGTERM), 0);
}

static void add_signal(int version)
{
    database_run(
        "insert into signals (whale_id, instrument_id, native, position_side, whale_version, "
        "kind, side, closes, quantity_before, quantity_after, fraction, leverage, price, "
        "notional) select w.id, i.id, 'BTCUSDT', 'BOTH', %d, 'OPEN', 'BUY', false, 0, 1, 1, "
        "10, 61800.2, 61800.2 from whales w, instruments i "
        "where w.leader_id = '1' and i.native = 'BTCUSDT'",
        version);
}

/* How often this version's signal stands in the ring. */
static unsigned told(int version)
{
    const int64_t id = strtoll(
        database_value("select id from signals where whale_version = %d", version), NULL, 10);
    const uint64_t last = shm_signal_last(reader);
    unsigned count = 0;
    shm_signal signal;

    for (uint64_t cursor = 1; cursor <= last; cursor++) {
        count += shm_signal_read(reader, cursor, &signal) == SHM_READ_OK && signal.id == id;
    }
    return count;
}

static void given_signals_when_it_is_restarted_then_each_is_told_once(void **state)
{
    pid_t mirror;

    (void)state;
    add_signal(1);
    mirror = role_start(mirror_role_run, &config);
    eventually(told(1) == 1);
    add_signal(2);
    eventually(told(2) == 1);
    role_stop(mirror, SIGKILL);
    add_signal(3);
    mirror = role_start(mirror_role_run, &config);
    eventually(told(3) == 1);
    add_signal(4);
    eventually(told(4) == 1);
    assert_int_equal(told(1), 1);
    assert_int_equal(told(2), 1);
    assert_true(mirror_verify(&config));
    assert_int_equal(role_stop(mirror, SIGTERM), 0);
}

/* A signal that is newer than a transaction still running is found twice: at start, and by
 * following. */
static void given_a_signal_that_start_and_changes_both_show_then_it_is_told_once(void **state)
{
    PGconn *other = PQconnectdb(database_conninfo);
    pid_t mirror;

    (void)state;
    PQclear(PQexec(other, "begin; select pg_current_xact_id()"));
    add_signal(5);
    mirror = role_start(mirror_role_run, &config);
    eventually(told(5) == 1);
    eventually(shm_users_loaded(reader));
    PQclear(PQexec(other, "commit"));
    PQfinish(other);
    add_signal(6);
    eventually(told(6) == 1);
    assert_int_equal(told(5), 1);
    assert_int_equal(role_stop(mirror, SIGTERM), 0);
}

static void given_whales_when_loaded_then_the_page_is_json_and_follows(void **state)
{
    static char text[SHM_WHALES_TEXT_MAX + 1];
    static jsmntok_t tokens[32768];
    pid_t mirror = role_start(mirror_role_run, &config);
    uint64_t version;
    size_t length = 0;
    json_doc doc;

    (void)state;
    eventually(shm_whales_read(reader, text, SHM_WHALES_TEXT_MAX, &length, &version) ==
               SHM_READ_OK);
    assert_int_equal(json_parse(&doc, text, length, tokens, 32768), JSON_OK);
    assert_true(json_equals(&doc, json_at(&doc, 0, "[0].leader_id"), "1")); /* the best score */
    assert_true(json_equals(&doc, json_at(&doc, 0, "[0].score"), "71.5"));
    database_run("insert into whales (venue, leader_id, score) values ('binance', 'best', 99)");
    eventually(shm_whales_read(reader, text, SHM_WHALES_TEXT_MAX, &length, &version) ==
                   SHM_READ_OK &&
               json_parse(&doc, text, length, tokens, 32768) == JSON_OK &&
               json_equals(&doc, json_at(&doc, 0, "[0].leader_id"), "best"));
    assert_int_equal(role_stop(mirror, SIGTERM), 0);
}

static void given_a_wrong_segment_when_verified_then_it_is_found(void **state)
{
    const int64_t user = add_user(8001, "10");
    pid_t mirror = role_start(mirror_role_run, &config);
    char error[256];
    shm_segment *writer;

    (void)state;
    eventually(shm_users_loaded(reader));
    role_stop(mirror, SIGKILL);
    writer = shm_open_writer(config.shm_path, error, sizeof(error));
    assert_non_null(writer);
    shm_user_put(writer, &(shm_user){.id = user, .telegram_id = 8001, .session_epoch = 2}, NULL);
    shm_close(writer);
    assert_false(mirror_verify(&config));
}

int main(void)
{
#define MIRROR_TEST(name) cmocka_unit_test_setup_teardown(name, fresh_segment, close_segment)
    const struct CMUnitTest tests[] = {
        MIRROR_TEST(given_users_when_it_starts_then_all_are_loaded_and_verified),
        MIRROR_TEST(given_changes_when_committed_then_they_show),
        MIRROR_TEST(given_an_older_transaction_when_it_commits_last_then_it_is_not_skipped),
        MIRROR_TEST(given_a_kill_when_it_starts_again_then_what_was_missed_is_there),
        MIRROR_TEST(given_lost_connections_when_changes_come_then_they_show_all_the_same),
        MIRROR_TEST(given_no_price_slot_when_feed_makes_one_then_the_position_finds_it),
        MIRROR_TEST(given_more_positions_than_fit_when_loaded_then_readers_are_sent_to_postgres),
        MIRROR_TEST(given_signals_when_it_is_restarted_then_each_is_told_once),
        MIRROR_TEST(given_a_signal_that_start_and_changes_both_show_then_it_is_told_once),
        MIRROR_TEST(given_whales_when_loaded_then_the_page_is_json_and_follows),
        MIRROR_TEST(given_a_wrong_segment_when_verified_then_it_is_found),
    };

    return cmocka_run_group_tests(tests, start_all, stop_all);
}
