/*
 * The watch role against a real Postgres and a small server that shows pages in Binance's format:
 * what a page does to positions and signals, and what does nothing.
 */
#include "tests/unit/database.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define LEADER "4500000000000000001"
#define PAGE_MAX 65536

static whale_config config;
static int server_port;
static pid_t server;
static char page_path[128], once_path[128], ranking_path[128];

/* ---- the server ---------------------------------------------------------------------------------
 */

static void serve_file(int client, const char *path)
{
    static char page[PAGE_MAX], answer[PAGE_MAX + 512];
    int file = open(path, O_RDONLY), status = 500, retry_after = 0;
    ssize_t length = file >= 0 ? read(file, page, sizeof(page) - 1) : 0;
    char *body;
    int size;

    if (file >= 0) {
        close(file);
    }
    page[length > 0 ? length : 0] = '\0';
    body = strchr(page, '\n');
    sscanf(page, "%d %d", &status, &retry_after);
    body = body != NULL ? body + 1 : page;
    size = snprintf(answer, sizeof(answer),
                    "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nRetry-After: %d\r\n"
                    "Connection: close\r\n\r\n%s",
                    status, strlen(body), retry_after, body);
    if (write(client, answer, (size_t)size) < 0) {
        _exit(1);
    }
}

/* What is shown once goes first. */
static void serve_request(int client, const char *request)
{
    if (strstr(request, "lead-data/positions") == NULL) {
        serve_file(client, ranking_path);
    } else if (access(once_path, F_OK) == 0) {
        serve_file(client, once_path);
        unlink(once_path);
    } else {
        serve_file(client, page_path);
    }
}

static void serve(int listener)
{
    static char request[PAGE_MAX];

    for (;;) {
        int client = accept(listener, NULL, NULL);
        size_t length = 0;
        ssize_t got;

        /* Requests here are small: one that has its blank line is whole but for a short body. */
        while (client >= 0 && length < sizeof(request) - 1 &&
               (got = read(client, request + length, sizeof(request) - 1 - length)) > 0) {
            length += (size_t)got;
            request[length] = '\0';
            if (strstr(request, "\r\n\r\n") != NULL) {
                break;
            }
        }
        if (client >= 0) {
            serve_request(client, request);
            close(client);
        }
    }
}

static void start_server(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 64), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    server_port = ntohs(address.sin_port);
    server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        serve(listener);
    }
    close(listener);
}

/* Whole or not at all: the server may be reading it. */
static void put_file(const char *path, const char *first_line, const char *body)
{
    char temporary[160];
    FILE *file;

    snprintf(temporary, sizeof(temporary), "%s.new", path);
    file = fopen(temporary, "w");
    assert_non_null(file);
    fprintf(file, "%s\n%s", first_line, body);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(temporary, path), 0);
}

static void show(const char *first_line, const char *body)
{
    put_file(page_path, first_line, body);
}

/* A row as the page has it; an amount of "0" is a row of zero. */
static void row(char *page, const char *symbol, const char *side, const char *amount)
{
    sprintf(page + strlen(page),
            "%s{\"id\":\"1\",\"symbol\":\"%s\",\"collateral\":\"USDT\",\"positionAmount\":\"%s\","
            "\"entryPrice\":\"100\",\"unrealizedProfit\":\"0\",\"cumRealized\":\"0\","
            "\"askNotional\":\"0\",\"bidNotional\":\"0\",\"notionalValue\":\"0\","
            "\"markPrice\":\"110\",\"leverage\":10,\"isolated\":false,\"isolatedWallet\":\"0\","
            "\"adl\":0,\"positionSide\":\"%s\",\"breakEvenPrice\":\"0\"}",
            page[strlen(page) - 1] == '[' ? "" : ",", symbol, amount, side);
}

/* BTCUSDT and ETHUSDT one-way, and a symbol that is always flat. NULL: no row at all. */
static const char *page_of(const char *btc, const char *eth)
{
    static char page[PAGE_MAX];

    strcpy(page, "{\"code\":\"000000\",\"message\":null,\"messageDetail\":null,\"data\":[");
    row(page, "XRPUSDT", "BOTH", "0");
    if (btc != NULL) {
        row(page, "BTCUSDT", "BOTH", btc);
        row(page, "BTCUSDT", "LONG", "0");
        row(page, "BTCUSDT", "SHORT", "0");
    }
    if (eth != NULL) {
        row(page, "ETHUSDT", "BOTH", eth);
    }
    return strcat(page, "],\"success\":true}");
}

static void show_amounts(const char *btc, const char *eth)
{
    show("200", page_of(btc, eth));
}

/* ---- given --------------------------------------------------------------------------------------
 */

static int start_all(void **state)
{
    (void)state;
    database_start();
    database_migrate();
    database_add_instrument("BTCUSDT");
    snprintf(page_path, sizeof(page_path), "%s/page", database_directory);
    snprintf(once_path, sizeof(once_path), "%s/once", database_directory);
    snprintf(ranking_path, sizeof(ranking_path), "%s/ranking", database_directory);
    put_file(ranking_path, "404", "{}");
    start_server();
    role_config(&config);
    config.watch_interval_ns = 100 * CLOCK_MS_NS;
    config.venue_count = 1;
    snprintf(config.venues[0].venue, sizeof(config.venues[0].venue), "binance");
    snprintf(config.venues[0].market, sizeof(config.venues[0].market), "usdm");
    snprintf(config.venues[0].leaders, sizeof(config.venues[0].leaders), "http://127.0.0.1:%d",
             server_port);
    snprintf(config.venues[0].rest, sizeof(config.venues[0].rest), "http://127.0.0.1:%d",
             server_port);
    role_segment(&config);
    return 0;
}

static int stop_all(void **state)
{
    (void)state;
    role_stop(server, SIGKILL);
    database_stop();
    return 0;
}

static int fresh_whale(void **state)
{
    (void)state;
    database_run("delete from signals; delete from whale_positions; delete from whales;"
                 "insert into whales (venue, leader_id, score) values ('binance', '" LEADER
                 "', 50)");
    return 0;
}

/* Reads that were good, as the whale's row tells. */
static void wait_for_good_reads(int count)
{
    char last[64] = "";

    for (int i = 0; i < count;) {
        const char *now = database_value("select coalesce(last_good_at::text, '') from whales");

        if (strcmp(now, last) != 0) {
            snprintf(last, sizeof(last), "%s", now);
            i++;
        } else {
            eventually(strcmp(database_value("select coalesce(last_good_at::text, '') from whales"),
                              last) != 0);
        }
    }
}

static const char *all_signals(void)
{
    return database_value(
        "select coalesce(string_agg(kind || ' ' || side || ' ' || native || ' ' || "
        "trim_scale(quantity_before) || '>' || trim_scale(quantity_after), '; ' "
        "order by id), '') from signals");
}

static pid_t watch_from(const char *btc, const char *eth)
{
    pid_t watch;

    show_amounts(btc, eth);
    watch = role_start(watch_role_run, &config);
    eventually(*database_value("select baseline_at from whales") != '\0');
    return watch;
}

/* ---- tests --------------------------------------------------------------------------------------
 */

static void given_a_first_page_when_read_then_it_is_a_baseline_and_opens_nothing(void **state)
{
    pid_t watch = watch_from("2", "-3");

    (void)state;
    wait_for_good_reads(3);
    assert_string_equal(all_signals(), "");
    assert_string_equal(
        database_value("select string_agg(native || ' ' || trim_scale(quantity), ', ' "
                       "order by native) from whale_positions"),
        "BTCUSDT 2, ETHUSDT -3");
    assert_int_equal(role_stop(watch, SIGTERM), 0);
}

static void given_moves_when_read_then_each_is_one_signal_however_often_it_is_read(void **state)
{
    pid_t watch = watch_from("0", "0");

    (void)state;
    show_amounts("2", "0");
    eventually_value("1", "select count(*) from signals");
    show_amounts("3", "0");
    eventually_value("2", "select count(*) from signals");
    wait_for_good_reads(3);
    show_amounts("0.75", "0");
    eventually_value("3", "select count(*) from signals");
    show_amounts("-1", "0");
    eventually_value("5", "select count(*) from signals");
    show_amounts("0", "0");
    eventually_value("6", "select count(*) from signals");
    wait_for_good_reads(3);
    assert_string_equal(
        all_signals(),
        "OPEN BUY BTCUSDT 0>2; INCREASE BUY BTCUSDT 2>3; REDUCE SELL BTCUSDT 3>0.75; "
        "CLOSE SELL BTCUSDT 0.75>0; FLIP SELL BTCUSDT 0>-1; CLOSE BUY BTCUSDT -1>0");
    /* a flip's two have one version, all others their own; what is known is filled in */
    assert_string_equal(database_value("select string_agg(whale_version::text, ' ' order by id) "
                                       "from signals"),
                        "1 2 3 4 4 5");
    assert_string_equal(database_value("select string_agg(distinct trim_scale(price) || ' ' || "
                                       "leverage || ' ' || (instrument_id is not null), ',') "
                                       "from signals"),
                        "100 10 true,110 10 true"); /* the last: a row of zero tells no mark */
    assert_string_equal(database_value("select trim_scale(fraction) || ' ' || trim_scale(notional) "
                                       "from signals where kind = 'REDUCE'"),
                        "0.75 247.5");
    assert_int_equal(role_stop(watch, SIGTERM), 0);
}

static void given_a_position_that_comes_back_when_read_then_its_version_goes_on(void **state)
{
    pid_t watch = watch_from("0", "0");

    (void)state;
    for (int i = 0; i < 3; i++) {
        show_amounts("1", "0");
        eventually(strtol(database_value("select count(*) from signals"), NULL, 10) == 2 * i + 1);
        show_amounts("0", "0");
        eventually(strtol(database_value("select count(*) from signals"), NULL, 10) == 2 * i + 2);
    }
    assert_string_equal(database_value("select string_agg(whale_version::text, ' ' order by id) "
                                       "from signals"),
                        "1 2 3 4 5 6");
    assert_int_equal(role_stop(watch, SIGTERM), 0);
}

static void given_pages_that_tell_nothing_when_read_then_positions_stay(void **state)
{
    static const char *const pages[][2] = {
        {"200", "{\"code\":\"000000\",\"data\":[],\"success\":true}"},
        {"403", "<html>denied</html>"},
        {"200", "<html>are you human?</html>"},
        {"500", "{}"},
        {"200", "{\"code\":\"000000\",\"data\":[{\"symbol\":\"BTC"},
        {"200", ""},
    };
    pid_t watch = watch_from("2", "0");
    shm_segment *segment = shm_open_reader(config.shm_path);

    (void)state;
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        const uint64_t before = shm_counter_total(segment, SHM_watch_unknown_total);

        show(pages[i][0], pages[i][1]);
        eventually(shm_counter_total(segment, SHM_watch_unknown_total) > before);
        show_amounts("2", "0");
        wait_for_good_reads(2);
    }
    assert_string_equal(all_signals(), "");
    assert_string_equal(database_value("select unknown_reads || ' ' || status from whales"),
                        "0 ACTIVE");
    shm_close(segment);
    assert_int_equal(role_stop(watch, SIGTERM), 0);
}

static void given_hidden_pages_when_five_in_a_row_then_sharing_is_disabled_for_a_day(void **state)
{
    pid_t watch = watch_from("2", "0");

    (void)state;
    show("200", "{\"code\":\"000000\",\"data\":[],\"success\":true}");
    eventually_value("SHARING_DISABLED", "select status from whales");
    assert_string_equal(database_value("select unknown_reads || ' ' || (next_read_at > now() + "
                                       "interval '23 hours') from whales"),
                        "5 true");
    assert_string_equal(all_signals(), "");
    /* when: a day later it shows again, and has moved meanwhile */
    show_amounts("1", "5");
    database_run("update whales set next_read_at = now(), last_good_at = now() - interval '1 day'");
    eventually_value("ACTIVE", "select status from whales");
    /* then: what is less is told, what is new is a baseline */
    assert_string_equal(all_signals(), "REDUCE SELL BTCUSDT 2>1");
    assert_string_equal(database_value("select trim_scale(quantity) from whale_positions "
                                       "where native = 'ETHUSDT'"),
                        "5");
    assert_int_equal(role_stop(watch, SIGTERM), 0);
}

static void given_too_many_requests_when_told_to_wait_then_it_waits(void **state)
{
    pid_t watch = watch_from("2", "0");

    (void)state;
    show("429 30", "{\"code\":-1003,\"msg\":\"Too many requests.\"}");
    eventually_value("RATE_LIMITED", "select status from whales");
    assert_string_equal(database_value("select next_read_at > now() + interval '20 seconds' "
                                       "from whales"),
                        "t");
    assert_string_equal(all_signals(), "");
    assert_int_equal(role_stop(watch, SIGTERM), 0);
}

static void given_a_row_of_zero_when_read_then_it_closes_at_once(void **state)
{
    pid_t watch = watch_from("2", "0");

    (void)state;
    show_amounts("0", "0");
    eventually_value("1", "select count(*) from signals");
    assert_string_equal(all_signals(), "CLOSE SELL BTCUSDT 2>0");
    assert_int_equal(role_stop(watch, SIGTERM), 0);
}

static void given_a_missing_row_when_it_comes_back_then_nothing_was_closed(void **state)
{
    pid_t watch = watch_from("2", "0");

    (void)state;
    for (int i = 0; i < 2; i++) {
        put_file(once_path, "200", page_of(NULL, "0"));
        eventually(access(once_path, F_OK) != 0);
        wait_for_good_reads(3);
        assert_string_equal(all_signals(), "");
    }
    assert_int_equal(role_stop(watch, SIGTERM), 0);
}

static void given_a_missing_row_when_it_stays_away_then_it_is_closed(void **state)
{
    pid_t watch = watch_from("2", "0");

    (void)state;
    show_amounts(NULL, "0");
    eventually_value("1", "select count(*) from signals");
    assert_string_equal(all_signals(), "CLOSE SELL BTCUSDT 2>0");
    assert_int_equal(role_stop(watch, SIGTERM), 0);
}

static void given_a_gap_when_read_again_then_only_what_is_less_is_told(void **state)
{
    pid_t watch = watch_from("2", "4");

    (void)state;
    role_stop(watch, SIGKILL);
    database_run("update whales set last_good_at = now() - interval '10 minutes', owner = null, "
                 "lease_until = null, next_read_at = now()");
    show_amounts("-3", "9");
    watch = role_start(watch_role_run, &config);
    eventually_value("1", "select count(*) from signals");
    wait_for_good_reads(3);
    /* the old side is closed; the new side and the growth are a baseline */
    assert_string_equal(all_signals(), "CLOSE SELL BTCUSDT 2>0");
    assert_string_equal(
        database_value("select string_agg(native || ' ' || trim_scale(quantity), ', ' "
                       "order by native) from whale_positions"),
        "BTCUSDT -3, ETHUSDT 9");
    assert_int_equal(role_stop(watch, SIGTERM), 0);
}

static void given_two_watchers_when_a_whale_moves_then_there_is_one_signal(void **state)
{
    pid_t one = watch_from("0", "0"), two = role_start(watch_role_run, &config);
    int moves = 0;

    (void)state;
    for (int i = 1; i <= 5; i++) {
        char amount[16];

        snprintf(amount, sizeof(amount), "%d", i);
        show_amounts(amount, "0");
        moves++;
        eventually(strtol(database_value("select count(*) from signals"), NULL, 10) >= moves);
    }
    wait_for_good_reads(4);
    assert_string_equal(all_signals(),
                        "OPEN BUY BTCUSDT 0>1; INCREASE BUY BTCUSDT 1>2; INCREASE BUY BTCUSDT 2>3; "
                        "INCREASE BUY BTCUSDT 3>4; INCREASE BUY BTCUSDT 4>5");
    assert_int_equal(role_stop(one, SIGTERM), 0);
    assert_int_equal(role_stop(two, SIGTERM), 0);
}

static void given_a_whale_that_another_reads_when_due_then_it_is_left_alone(void **state)
{
    pid_t watch;

    (void)state;
    show_amounts("1", "0");
    database_run("update whales set owner = 'another', lease_until = now() + interval '1 hour'");
    database_run("insert into whales (venue, leader_id) values ('binance', '999')");
    watch = role_start(watch_role_run, &config);
    for (int i = 0; i < 3; i++) { /* the other whale is read again and again */
        database_run("update whales set last_good_at = null where leader_id = '999'");
        eventually_value("t",
                         "select last_good_at is not null from whales where leader_id = '999'");
    }
    assert_string_equal(database_value("select owner || ' ' || (last_good_at is null) from whales "
                                       "where leader_id = '" LEADER "'"),
                        "another true");
    /* until that one's lease has ended */
    database_run("update whales set lease_until = now() - interval '1 second'");
    eventually_value("t",
                     "select last_good_at is not null from whales where leader_id = '" LEADER "'");
    assert_int_equal(role_stop(watch, SIGTERM), 0);
}

static void given_a_stopped_watcher_when_it_ended_then_its_whales_are_free(void **state)
{
    pid_t watch = watch_from("1", "0");

    (void)state;
    assert_int_equal(role_stop(watch, SIGTERM), 0);
    assert_string_equal(database_value("select count(*) from whales where owner is not null"), "0");
}

static void given_a_ranking_when_read_then_its_leaders_become_whales(void **state)
{
    pid_t watch;

    (void)state;
    show("200", "{\"code\":\"000000\",\"data\":[],\"success\":true}");
    put_file(
        ranking_path, "200",
        "{\"code\":\"000000\",\"message\":null,\"messageDetail\":null,\"data\":{\"total\":2,"
        "\"list\":[{\"leadPortfolioId\":\"111\",\"nickname\":\"O'Neil \\\"x\\\"\",\"roi\":50.0,"
        "\"pnl\":10000.0,\"aum\":5.0,\"mdd\":1.0,\"currentCopyCount\":100,\"maxCopyCount\":500,"
        "\"copierPnl\":10000.0,\"sharpRatio\":1.0},{\"leadPortfolioId\":\"222\","
        "\"nickname\":\"b\",\"roi\":-5.5,\"pnl\":-1.0,\"currentCopyCount\":0,"
        "\"maxCopyCount\":10}]},\"success\":true}");
    watch = role_start(watch_role_run, &config);
    eventually_value("3", "select count(*) from whales");
    assert_string_equal(database_value("select name || '|' || score || '|' || rank || '|' || "
                                       "trim_scale(roi_30d) || '|' || leader_followers from whales "
                                       "where leader_id = '111'"),
                        "O'Neil \"x\"|50.00|GOLD|50|100");
    assert_string_equal(database_value("select rank || '|' || (copier_pnl is null) from whales "
                                       "where leader_id = '222'"),
                        "BRONZE|true");
    put_file(ranking_path, "404", "{}");
    assert_int_equal(role_stop(watch, SIGTERM), 0);
}

static void given_follows_when_time_goes_by_then_the_whale_counts_them(void **state)
{
    pid_t watch;

    (void)state;
    database_run("insert into users (telegram_id) values (1), (2), (3)");
    database_run("insert into follows (user_id, whale_id, active) select u.id, w.id, "
                 "u.telegram_id <> 3 from users u, whales w");
    watch = watch_from("0", "0");
    eventually_value("2", "select followers from whales");
    assert_int_equal(role_stop(watch, SIGTERM), 0);
    database_run("delete from follows");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(given_a_first_page_when_read_then_it_is_a_baseline_and_opens_nothing,
                               fresh_whale),
        cmocka_unit_test_setup(
            given_moves_when_read_then_each_is_one_signal_however_often_it_is_read, fresh_whale),
        cmocka_unit_test_setup(given_a_position_that_comes_back_when_read_then_its_version_goes_on,
                               fresh_whale),
        cmocka_unit_test_setup(given_pages_that_tell_nothing_when_read_then_positions_stay,
                               fresh_whale),
        cmocka_unit_test_setup(
            given_hidden_pages_when_five_in_a_row_then_sharing_is_disabled_for_a_day, fresh_whale),
        cmocka_unit_test_setup(given_too_many_requests_when_told_to_wait_then_it_waits,
                               fresh_whale),
        cmocka_unit_test_setup(given_a_row_of_zero_when_read_then_it_closes_at_once, fresh_whale),
        cmocka_unit_test_setup(given_a_missing_row_when_it_comes_back_then_nothing_was_closed,
                               fresh_whale),
        cmocka_unit_test_setup(given_a_missing_row_when_it_stays_away_then_it_is_closed,
                               fresh_whale),
        cmocka_unit_test_setup(given_a_gap_when_read_again_then_only_what_is_less_is_told,
                               fresh_whale),
        cmocka_unit_test_setup(given_two_watchers_when_a_whale_moves_then_there_is_one_signal,
                               fresh_whale),
        cmocka_unit_test_setup(given_a_whale_that_another_reads_when_due_then_it_is_left_alone,
                               fresh_whale),
        cmocka_unit_test_setup(given_a_stopped_watcher_when_it_ended_then_its_whales_are_free,
                               fresh_whale),
        cmocka_unit_test_setup(given_follows_when_time_goes_by_then_the_whale_counts_them,
                               fresh_whale),
        cmocka_unit_test_setup(given_a_ranking_when_read_then_its_leaders_become_whales,
                               fresh_whale),
    };

    return cmocka_run_group_tests(tests, start_all, stop_all);
}
