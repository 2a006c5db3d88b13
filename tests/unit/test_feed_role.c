/*
 * The whole role against a venue played by this test: what it subscribes to, what it does when a
 * connection ends, is refused, falls silent or sends nonsense, and how it ends. Postgres is not
 * there, so it feeds what the segment knows from before.
 */
#include "core/clock.h"
#include "shm/shm.h"
#include "tests/unit/feed_server.h"
#include "workerd/role.h"

#include "migrations.h"

#include <libpq-fe.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

#define TIMEOUT_MS 3000
#define SILENCE_NS (600 * CLOCK_MS_NS)

static char path[64];
static uint16_t port;
static int listener;
static whale_config config;
static shm_segment *reader;
static pid_t role;
/* the two connections: best bid and ask at one address, trades and marks at the other */
static int best, market;

static int setup(void **state)
{
    const shm_options options = {
        .instruments = 16, .users = 1, .positions = 1, .signals = 1, .mode = 0640, .group = -1};
    static const char *const keys[] = {"binance:usdm:BTCUSDT", "binance:usdm:ETHUSDT",
                                       "other:usdm:BTCUSDT"};
    char error[256];
    uint32_t slot;

    (void)state;
    snprintf(path, sizeof(path), "/dev/shm/whale-test-feed-%ld", (long)getpid());
    unlink(path);
    if (!shm_create(path, &options, error, sizeof(error))) {
        print_error("%s\n", error);
        return -1;
    }
    shm_segment *writer = shm_open_writer(path, error, sizeof(error));
    for (int i = 0; i < 3; i++) {
        shm_price_claim(writer, keys[i], strlen(keys[i]), &slot);
    }
    shm_close(writer);
    reader = shm_open_reader(path);
    listener = server_listen(&port);
    best = market = -1;
    role = 0;

    config_defaults(&config);
    snprintf(config.shm_path, sizeof(config.shm_path), "%s", path);
    snprintf(config.database, sizeof(config.database), "host=/nowhere dbname=none");
    snprintf(config.log_level, sizeof(config.log_level), "error");
    config.feed_silence_ns = SILENCE_NS;
    config.venue_count = 2;
    snprintf(config.venues[0].venue, sizeof(config.venues[0].venue), "binance");
    snprintf(config.venues[0].market, sizeof(config.venues[0].market), "usdm");
    snprintf(config.venues[0].stream, sizeof(config.venues[0].stream), "ws://127.0.0.1:%u", port);
    /* without an adapter: passed over */
    config.venues[1] = config.venues[0];
    snprintf(config.venues[1].venue, sizeof(config.venues[1].venue), "nowhere");
    return 0;
}

/* Ends the role if the test did not; it must end by itself, and well. */
static void stop_role(void)
{
    const int64_t until = clock_monotonic_ns() + 5 * CLOCK_SECOND_NS;
    int status = -1;

    kill(role, SIGTERM);
    while (waitpid(role, &status, WNOHANG) == 0 && clock_monotonic_ns() < until) {
        char text[256];
        /* a venue that is asked to close, closes */
        if (best >= 0 && !server_receive(best, text, sizeof(text), 10)) {
            shutdown(best, SHUT_RDWR);
        }
        if (market >= 0 && !server_receive(market, text, sizeof(text), 10)) {
            shutdown(market, SHUT_RDWR);
        }
    }
    role = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int teardown(void **state)
{
    (void)state;
    if (role > 0) {
        kill(role, SIGKILL);
        waitpid(role, NULL, 0);
    }
    if (best >= 0) {
        close(best);
    }
    if (market >= 0) {
        close(market);
    }
    close(listener);
    shm_close(reader);
    unlink(path);
    return 0;
}

static void start_role(void)
{
    role = fork();
    if (role == 0) {
        const role_context context = {
            .config = &config, .sign_channel = -1, .parent_pid = getppid()};
        close(listener);
        _exit(feed_role_run(&context));
    }
}

/* Accepts one connection and puts it where its address says. Returns it, with its subscription. */
static int take_connection(char *subscription, size_t capacity)
{
    char target[128];
    const int client = server_accept(listener, TIMEOUT_MS);

    assert_true(client >= 0);
    assert_true(server_handshake(client, target, TIMEOUT_MS));
    assert_true(server_receive(client, subscription, capacity, TIMEOUT_MS));
    if (strncmp(target, "/public/", 8) == 0) {
        best = client;
    } else {
        assert_int_equal(strncmp(target, "/market/", 8), 0);
        market = client;
    }
    server_send(client, "{\"result\":null,\"id\":1}");
    return client;
}

static void take_both(void)
{
    char subscription[4096];

    start_role();
    take_connection(subscription, sizeof(subscription));
    take_connection(subscription, sizeof(subscription));
    assert_true(best >= 0 && market >= 0);
}

static void send_best(int client, unsigned id, const char *bid)
{
    char text[256];

    snprintf(text, sizeof(text),
             "{\"e\":\"bookTicker\",\"u\":%u,\"s\":\"BTCUSDT\",\"b\":\"%s\",\"B\":\"1\",\"a\":"
             "\"70000\",\"A\":\"1\",\"T\":1,\"E\":1}",
             id, bid);
    assert_true(server_send(client, text));
}

static void send_mark(void)
{
    assert_true(server_send(market, "{\"e\":\"markPriceUpdate\",\"E\":5,\"s\":\"BTCUSDT\",\"p\":"
                                    "\"61000\",\"r\":\"0.0001\",\"T\":9}"));
}

static shm_price price_now(void)
{
    shm_price price = {.source = 99};
    uint32_t slot;

    assert_int_equal(shm_price_find(reader, "binance:usdm:BTCUSDT", 20, &slot), SHM_READ_OK);
    assert_int_equal(shm_price_read(reader, slot, &price), SHM_READ_OK);
    return price;
}

/* Waits until the bid and the flags are these. */
static void wait_for(int64_t bid, uint32_t flags)
{
    const int64_t until = clock_monotonic_ns() + TIMEOUT_MS * CLOCK_MS_NS;

    for (;;) {
        const shm_price price = price_now();

        if (dec_compare(price.bid, dec_from_int(bid)) == 0 && price.flags == flags) {
            return;
        }
        if (clock_monotonic_ns() > until) {
            char text[DEC_TEXT_MAX];
            dec_format(price.bid, text);
            fail_msg("bid %s, flags %u", text, price.flags);
        }
        usleep(2000);
    }
}

static void wait_for_counter(enum shm_counter counter, uint64_t least)
{
    const int64_t until = clock_monotonic_ns() + TIMEOUT_MS * CLOCK_MS_NS;

    while (shm_counter_total(reader, counter) < least) {
        if (clock_monotonic_ns() > until) {
            fail_msg("%s stays %llu", shm_counter_name(counter),
                     (unsigned long long)shm_counter_total(reader, counter));
        }
        usleep(2000);
    }
}

static void it_subscribes_and_publishes(void **state)
{
    (void)state;
    char first[4096], second[4096];

    start_role();
    const int one = take_connection(first, sizeof(first));
    take_connection(second, sizeof(second));
    const char *of_best = one == best ? first : second, *of_market = one == best ? second : first;

    assert_non_null(strstr(of_best, "\"btcusdt@bookTicker\""));
    assert_non_null(strstr(of_best, "\"ethusdt@bookTicker\""));
    assert_null(strstr(of_best, "markPrice"));
    assert_non_null(strstr(of_market, "\"btcusdt@markPrice@1s\""));
    assert_non_null(strstr(of_market, "\"btcusdt@aggTrade\""));

    send_best(best, 1, "61000");
    wait_for(61000, SHM_PRICE_DISCONNECTED | SHM_PRICE_MARK_SYNTHETIC); /* no mark was seen yet */
    send_mark();
    wait_for(61000, 0);
    const shm_price price = price_now();
    assert_int_equal(price.source, SHM_SOURCE_WS);
    assert_true(llabs(price.receive_time_ns - clock_now_ns()) < 5 * CLOCK_SECOND_NS);
    wait_for_counter(SHM_feed_ticks_total, 2);
    assert_true(shm_heartbeat_age_ns(reader, SHM_ROLE_FEED) < 2 * CLOCK_SECOND_NS);
    stop_role();
    /* what is served from now on says so */
    assert_int_equal(price_now().flags, SHM_PRICE_DISCONNECTED);
}

static void a_connection_that_ends_is_replaced_at_once(void **state)
{
    (void)state;
    char subscription[4096];

    take_both();
    send_mark();
    send_best(best, 1, "61000");
    wait_for(61000, 0);
    close(best);
    best = -1;
    wait_for(61000, SHM_PRICE_DISCONNECTED);
    const int64_t start_ns = clock_monotonic_ns();
    take_connection(subscription, sizeof(subscription));
    assert_true(clock_monotonic_ns() - start_ns < CLOCK_SECOND_NS);
    assert_non_null(strstr(subscription, "\"ethusdt@bookTicker\""));
    assert_true(best >= 0);
    send_best(best, 2, "62000");
    wait_for(62000, 0);
    assert_int_equal(shm_counter_total(reader, SHM_feed_reconnects_total), 1);
    stop_role();
}

static void refused_connections_are_retried_ever_more_slowly(void **state)
{
    (void)state;
    const int64_t until = clock_monotonic_ns() + 3 * CLOCK_SECOND_NS;
    unsigned attempts = 0;

    start_role();
    while (clock_monotonic_ns() < until) {
        const int client = server_accept(listener, 50);
        if (client >= 0) {
            attempts++;
            close(client);
        }
    }
    /* two connections: at once, after 50 ms, 1 s, 2 s (a quarter more or less) */
    assert_in_range(attempts, 6, 8);
    stop_role();
}

static void a_silent_stream_is_replaced_without_a_gap(void **state)
{
    (void)state;
    char subscription[4096], text[256];

    take_both();
    const int old = best;
    send_best(best, 1, "61000");
    send_mark();
    wait_for(61000, 0);
    /* the market's stream goes on, the other says nothing more; pings would still be answered */
    best = -1;
    const int64_t until = clock_monotonic_ns() + 3 * SILENCE_NS;
    int client = -1;
    while (client < 0 && clock_monotonic_ns() < until) {
        send_mark();
        client = server_accept(listener, 50);
    }
    assert_true(client >= 0);
    assert_true(server_handshake(client, text, TIMEOUT_MS));
    assert_string_equal(text, "/public/ws");
    assert_true(server_receive(client, subscription, sizeof(subscription), TIMEOUT_MS));
    assert_int_equal(price_now().flags, 0);
    wait_for_counter(SHM_feed_silences_total, 1);

    /* both feed until the new one does; then the old one is closed */
    send_best(old, 2, "62000");
    wait_for(62000, 0);
    best = client;
    send_best(best, 3, "63000");
    wait_for(63000, 0);
    assert_false(server_receive(old, text, sizeof(text), TIMEOUT_MS));
    close(old);
    send_best(best, 4, "64000");
    wait_for(64000, 0);
    stop_role();
}

static void nonsense_is_counted_and_survived(void **state)
{
    (void)state;
    static const char *const nonsense[] = {
        "",
        "{",
        "<html>502</html>",
        "[1,2",
        "{\"e\":\"bookTicker\"}",
        "{\"e\":\"bookTicker\",\"u\":5,\"s\":\"BTCUSDT\",\"b\":\"x\",\"B\":\"1\",\"a\":\"1\",\"A\":"
        "\"1\"}",
        "{\"id\":1,\"error\":{\"code\":2,\"msg\":\"no\"}}",
    };

    take_both();
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        assert_true(server_send(best, nonsense[i]));
    }
    wait_for_counter(SHM_feed_rejected_total, sizeof(nonsense) / sizeof(nonsense[0]));
    send_mark();
    send_best(best, 1, "61000");
    wait_for(61000, 0);
    stop_role();
}

/* ---- with Postgres ------------------------------------------------------------------------------
 */

#define SCRIPT "tests/support/postgres.sh"

static char directory[] = "/tmp/whale_test_feed_XXXXXX";

static void postgres(const char *command)
{
    char line[256];

    snprintf(line, sizeof(line), SCRIPT " %s %s >/dev/null", command, directory);
    assert_int_equal(system(line), 0);
}

static void run_sql(PGconn *connection, const char *sql)
{
    PGresult *result = PQexec(connection, sql);

    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK) {
        fail_msg("%s", PQerrorMessage(connection));
    }
    PQclear(result);
}

static void start_postgres(void)
{
    char conninfo[128];

    assert_non_null(mkdtemp(directory));
    postgres("start");
    snprintf(conninfo, sizeof(conninfo), "host=%s dbname=whale user=whale", directory);
    PGconn *connection = PQconnectdb(conninfo);
    assert_int_equal(PQstatus(connection), CONNECTION_OK);
    for (int i = 0; i < migration_entry_count; i++) {
        run_sql(connection, migration_entries[i].text);
    }
    run_sql(connection,
            "insert into instruments (name, venue, market, native, underlying, base_asset,"
            " quote_asset, settle_asset, price_tick, quantity_step, quantity_min, quantity_max,"
            " market_quantity_step, market_quantity_min, market_quantity_max, trading)"
            " select 'binance:usdm:' || a || 'USDT', 'binance', 'usdm', a || 'USDT', a, a, 'USDT',"
            " 'USDT', 0.1, 0.1, 0.1, 100, 0.1, 0.1, 100, a = 'SOL'"
            " from unnest(array['SOL', 'XRP']) as t (a)");
    PQfinish(connection);
}

static void what_postgres_lists_is_subscribed_too(void **state)
{
    (void)state;
    char of_best[4096] = "", of_market[4096] = "";
    uint32_t slot;

    start_postgres();
    snprintf(config.database, sizeof(config.database), "host=%s dbname=whale user=whale_worker",
             directory);
    take_both();
    /* on the connections that are open already, and only what is traded */
    assert_true(server_receive(best, of_best, sizeof(of_best), TIMEOUT_MS));
    assert_true(server_receive(market, of_market, sizeof(of_market), TIMEOUT_MS));
    assert_non_null(strstr(of_best, "\"solusdt@bookTicker\""));
    assert_non_null(strstr(of_market, "\"solusdt@markPrice@1s\""));
    assert_null(strstr(of_best, "xrpusdt"));
    assert_null(strstr(of_best, "btcusdt"));
    assert_int_equal(shm_price_find(reader, "binance:usdm:SOLUSDT", 20, &slot), SHM_READ_OK);
    stop_role();
    postgres("clean");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(it_subscribes_and_publishes),
        CASE(a_connection_that_ends_is_replaced_at_once),
        CASE(refused_connections_are_retried_ever_more_slowly),
        CASE(a_silent_stream_is_replaced_without_a_gap),
        CASE(nonsense_is_counted_and_survived),
        CASE(what_postgres_lists_is_subscribed_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
