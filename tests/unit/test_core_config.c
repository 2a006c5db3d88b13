/*
 * The configuration: the grammar against what nginx itself said of such texts (tests/data/core),
 * each kind of value by a table, the rules between directives, and the hash.
 */
#include "core/config_private.h"
#include "core/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WORDS "tests/data/core/nginx_words.json"
#define SECOND 1000000000LL

static whale_config config;
static char error[CONFIG_ERROR_MAX];

/* Reads text as the file FILE; what it says, "OK" where nothing. */
static const char *read_bytes(const char *text, size_t length)
{
    char *copy = malloc(length > 0 ? length : 1); /* not a byte to spare */
    bool done;

    memcpy(copy, text, length);
    done = config_read_text(&config, copy, length, "FILE", error);
    free(copy);
    return done ? "OK" : error;
}

static const char *read_text(const char *text)
{
    return read_bytes(text, strlen(text));
}

/* One directive with one argument on top of the defaults. */
static const char *set(const char *name, const char *value)
{
    config_defaults(&config);
    return config_set(&config, name, &value, 1, error) ? "OK" : error;
}

static void replace(const char *text, const char *old, const char *new, char *out)
{
    const char *at;

    while ((at = strstr(text, old)) != NULL) {
        memcpy(out, text, (size_t)(at - text));
        out += at - text;
        out = stpcpy(out, new);
        text = at + strlen(old);
    }
    strcpy(out, text);
}

static void the_grammar_and_its_words_are_nginxs(void **state)
{
    static char file_text[100000], text[4096], says[4096], own_text[8192], own_says[8192];
    static jsmntok_t tokens[2048];
    FILE *file = fopen(WORDS, "r");
    json_doc doc;
    int count = 0;

    (void)state;
    assert_non_null(file);
    assert_int_equal(
        json_parse(&doc, file_text, fread(file_text, 1, sizeof(file_text), file), tokens, 2048),
        JSON_OK);
    fclose(file);
    for (int it = json_first(&doc, json_at(&doc, 0, "cases")); it >= 0; it = json_next(&doc, it)) {
        /* given a text about nginx's `daemon`, when it is about our flag, then we say what nginx
         * says */
        assert_true(json_copy(&doc, json_at(&doc, it, "text"), text, sizeof(text)));
        assert_true(json_copy(&doc, json_at(&doc, it, "says"), says, sizeof(says)));
        replace(text, "daemon", "whale_paper", own_text);
        replace(says, "daemon", "whale_paper", own_says);
        assert_string_equal(read_text(own_text), own_says);
        count++;
    }
    assert_int_equal(count, 297);
}

/* A word and the character that ends it must fit nginx's buffer of 4096 bytes. */
static void words_and_comments_have_nginxs_limit(void **state)
{
    static const struct {
        const char *before, *after;
        size_t most; /* letters that are still read */
        const char *above, *far_above;
    } cases[] = {
        {"", " 1;", 4094, "too long parameter \"aaaaaaaaaa...\" started in FILE:1",
         "too long parameter \"aaaaaaaaaa...\" started in FILE:1"},
        {"whale_hosts\n", "", 4096, "too long parameter \"aaaaaaaaaa...\" started in FILE:2",
         "too long parameter \"aaaaaaaaaa...\" started in FILE:2"},
        {"whale_hosts \"", "\";", 4094, "too long parameter \"aaaaaaaaaa...\" started in FILE:1",
         "too long parameter, probably missing terminating \"\"\" character in FILE:1"},
        {"\n\nwhale_hosts '", "';", 4094, "too long parameter \"aaaaaaaaaa...\" started in FILE:3",
         "too long parameter, probably missing terminating \"'\" character in FILE:3"},
        {"#", "\n", 4094, "too long parameter \"#aaaaaaaaa...\" started in FILE:1",
         "too long parameter \"#aaaaaaaaa...\" started in FILE:1"},
    };
    static char text[10000];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t count = 4090; count < 4100; count++) {
            size_t start = strlen(cases[i].before);

            strcpy(text, cases[i].before);
            memset(text + start, 'a', count);
            strcpy(text + start + count, cases[i].after);
            if (count <= cases[i].most) {
                assert_null(strstr(read_text(text), "too long"));
            } else if (count == cases[i].most + 1) {
                assert_string_equal(read_text(text), cases[i].above);
            } else {
                assert_string_equal(read_text(text), cases[i].far_above);
            }
        }
    }
}

static void files_are_read_with_quotes_escapes_and_comments(void **state)
{
    static const char text[] =
        "# a comment; { }\n"
        "whale_hosts 3;whale_log_level\n\tdebug ;\r\n"
        "whale_host_name \"h-1\"; # another\n"
        "whale_database 'host=/run/pg dbname=\\'a b\\' application_name=\\\"x\\\"';\n"
        "whale_paper on;\n"
        "whale_venue binance:usdm rest=https://fapi.binance.com\n"
        "            stream=wss://fstream.binance.com leaders=https://a.b:8443;\n"
        "whale_paper_replay /a;whale_paper_replay \"/b c\";\n";

    (void)state;
    assert_string_equal(read_text(text), "OK");
    assert_int_equal(config.hosts, 3);
    assert_string_equal(config.log_level, "debug");
    assert_string_equal(config.host_name, "h-1");
    assert_string_equal(config.database, "host=/run/pg dbname='a b' application_name=\"x\"");
    assert_true(config.paper);
    assert_int_equal(config.venue_count, 1);
    assert_string_equal(config.venues[0].venue, "binance");
    assert_string_equal(config.venues[0].market, "usdm");
    assert_string_equal(config.venues[0].rest, "https://fapi.binance.com");
    assert_string_equal(config.venues[0].stream, "wss://fstream.binance.com");
    assert_string_equal(config.venues[0].leaders, "https://a.b:8443");
    assert_string_equal(config.venues[0].account, "https://fapi.binance.com");
    assert_int_equal(config.paper_replay_count, 2);
    assert_string_equal(config.paper_replay[1], "/b c");
    /* what did not stand in the file has its default */
    assert_int_equal(config.web_pool, 4);
    assert_string_equal(config.telegram_url, "https://api.telegram.org");
}

static void errors_name_the_file_and_the_line(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"whale_hosts 1;\n\nwhale_host 2;", "unknown directive \"whale_host\" in FILE:3"},
        {"worker_processes 1;", "unknown directive \"worker_processes\" in FILE:1"},
        {"http { }", "unknown directive \"http\" in FILE:1"},
        {"whale_hosts {", "directive \"whale_hosts\" is not terminated by \";\" in FILE:1"},
        {"whale_hosts 1 {\n}", "directive \"whale_hosts\" is not terminated by \";\" in FILE:1"},
        {"whale_hosts 1;\nwhale_hosts 1;", "\"whale_hosts\" directive is duplicate in FILE:2"},
        {"whale_hosts;", "invalid number of arguments in \"whale_hosts\" directive in FILE:1"},
        {"whale_hosts 1 2;", "invalid number of arguments in \"whale_hosts\" directive in FILE:1"},
        {"whale_hosts 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20;",
         "invalid number of arguments in \"whale_hosts\" directive in FILE:1"},
        {"whale_x 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20;",
         "unknown directive \"whale_x\" in FILE:1"},
        {"whale_hosts\n\n 1x\n;", "invalid value \"1x\" in \"whale_hosts\" directive in FILE:4"},
        {"whale_paper yes;", "invalid value \"yes\" in \"whale_paper\" directive, it must be "
                             "\"on\" or \"off\" in FILE:1"},
        {"whale_hosts 1", "unexpected end of file, expecting \";\" or \"}\" in FILE:1"},
        {"whale_hosts \"1;\n", "unexpected end of file, expecting \";\" or \"}\" in FILE:2"},
        {"}", "unexpected \"}\" in FILE:1"},
        {"{", "unexpected \"{\" in FILE:1"},
        {";", "unexpected \";\" in FILE:1"},
        {"whale_hosts \"1\"2;", "unexpected \"2\" in FILE:1"},
        {"whale_host_name $hostname;",
         "variables are not supported in \"whale_host_name\" directive in FILE:1"},
        {"whale_shm \"/dev/shm/${x}\";",
         "variables are not supported in \"whale_shm\" directive in FILE:1"},
        {"whale_host_name ${x};",
         "variables are not supported in \"whale_host_name\" directive in FILE:1"},
        {"whale_venue a:spot rest=http://a stream=ws://$b;",
         "variables are not supported in \"whale_venue\" directive in FILE:1"},
        {"include x.conf;", "unknown directive \"include\" in FILE:1"},
        {"\"\" 1;", "unknown directive \"\" in FILE:1"},
        {"WHALE_HOSTS 1;", "unknown directive \"WHALE_HOSTS\" in FILE:1"},
        {"whale_trade_lease 2s;\nwhale_receive_window 2s;",
         "\"whale_receive_window\" must be at least 1s below \"whale_trade_lease\" in FILE"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(read_text(cases[i].text), cases[i].says);
    }
    assert_string_equal(read_bytes("whale_hosts 1;\n#\0", 17), "unexpected NUL byte in FILE:2");
    assert_string_equal(read_bytes("whale_hosts 1\0;", 15), "unexpected NUL byte in FILE:1");
}

static void a_bad_file_changes_nothing(void **state)
{
    whale_config *before = malloc(sizeof(*before));

    (void)state;
    assert_string_equal(read_text("whale_hosts 7;"), "OK");
    *before = config;
    assert_string_not_equal(read_text("whale_hosts 8; whale_paper on; whale_hosts 9;"), "OK");
    assert_string_not_equal(read_text("whale_web_pool 8; whale_trade_lease 1s;"), "OK");
    assert_memory_equal(before, &config, sizeof(config));
    assert_false(config_set(&config, "whale_web_pool", (const char *[]){"0"}, 1, error));
    assert_memory_equal(before, &config, sizeof(config));
    free(before);
}

static void reading_a_file_starts_from_the_defaults(void **state)
{
    (void)state;
    assert_string_equal(read_text("whale_hosts 7;"), "OK");
    assert_string_equal(read_text("whale_web_pool 9;"), "OK");
    assert_int_equal(config.hosts, 1);
    assert_int_equal(config.web_pool, 9);
}

static void every_default_is_a_value_of_its_directive(void **state)
{
    whale_config *defaults = malloc(sizeof(*defaults));

    (void)state;
    config_defaults(defaults);
    assert_true(config_check(defaults, error));
    assert_int_equal(defaults->given, 0);
    for (size_t i = 0; i < config_directive_count; i++) {
        const config_directive *directive = &config_directives[i];

        if (directive->fallback[0] == '\0') {
            continue;
        }
        assert_string_equal(set(directive->name, directive->fallback), "OK");
        assert_true(config.given == 1ULL << i);
        config.given = 0;
        assert_memory_equal(defaults, &config, sizeof(config));
    }
    free(defaults);
}

static void counts_keep_to_their_ranges(void **state)
{
    static const struct {
        const char *name, *least, *below, *most, *above;
    } cases[] = {
        {"whale_hosts", "1", "0", "64", "65"},
        {"whale_web_pool", "1", "0", "64", "65"},
        {"whale_web_queue", "1", "0", "65536", "65537"},
        {"whale_shm_instruments", "64", "63", "1048576", "1048577"},
        {"whale_shm_users", "64", "63", "4194304", "4194305"},
        {"whale_shm_positions", "64", "63", "33554432", "33554433"},
        {"whale_trade_processes", "1", "0", "16", "17"},
        {"whale_trade_connections", "1", "0", "1024", "1025"},
        {"whale_trade_chunk", "1", "0", "1000", "1001"},
        {"whale_paper_seed", "0", "-1", "18446744073709551615", "18446744073709551616"},
        {"whale_paper_balance", "0", "-1", "1000000000000", "1000000000001"},
    };
    static const char *const others[] = {"",    " 1",  "1 ", "+1",  "1.0",
                                         "1e1", "0x1", "1k", "one", "1;"};
    size_t counts = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(set(cases[i].name, cases[i].least), "OK");
        assert_string_equal(set(cases[i].name, cases[i].most), "OK");
        assert_string_not_equal(set(cases[i].name, cases[i].below), "OK");
        assert_string_not_equal(set(cases[i].name, cases[i].above), "OK");
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_string_not_equal(set("whale_hosts", others[i]), "OK");
    }
    assert_string_equal(set("whale_hosts", "65"),
                        "invalid value \"65\" in \"whale_hosts\" directive");
    /* none was forgotten */
    for (size_t i = 0; i < config_directive_count; i++) {
        counts += config_directives[i].kind == CONFIG_COUNT;
    }
    assert_int_equal(counts, sizeof(cases) / sizeof(cases[0]));
}

static void times_are_read_as_nginx_reads_them(void **state)
{
    static const struct {
        const char *text;
        int64_t ns; /* 0: refused */
    } cases[] = {
        {"5", 5 * SECOND},
        {"5s", 5 * SECOND},
        {"500ms", SECOND / 2},
        {"2m", 120 * SECOND},
        {"1h", 3600 * SECOND},
        {"1h30m", 5400 * SECOND},
        {"1h 30m", 5400 * SECOND},
        {"1s500ms", 3 * SECOND / 2},
        {"1m5", 65 * SECOND},
        {"8784h", 8784 * 3600 * SECOND},
        {"8785h", 0},
        {"0", 0},
        {"0s", 0},
        {"", 0},
        {"s", 0},
        {"5x", 0},
        {"5S", 0},
        {"-5", 0},
        {"5.5s", 0},
        {"5 s", 0},
        {" 5s", 0},
        {"30m1h", 0},
        {"5s5s", 0},
        {"5ms5s", 0},
        {"5d", 0},
        {"5msx", 0},
        {"99999999999999999999", 0},
        {"9223372037s", 0},
        {"9223372036854775807h", 0},
        {"5\xC2\xA0s", 0},
        {"5sm", 0},
        {"5 5", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *says = set("whale_watch_interval", cases[i].text);

        if ((strcmp(says, "OK") == 0) != (cases[i].ns != 0)) {
            fail_msg("\"%s\": %s", cases[i].text, says);
        }
        if (cases[i].ns != 0) {
            assert_int_equal(config.watch_interval_ns, cases[i].ns);
        }
    }
}

static void sizes_take_units(void **state)
{
    uint64_t size;

    (void)state;
    assert_true(config_value_size("10", &size) && size == 10);
    assert_true(config_value_size("10k", &size) && size == 10240);
    assert_true(config_value_size("3M", &size) && size == 3 << 20);
    assert_true(config_value_size("2g", &size) && size == 2147483648ULL);
    assert_false(config_value_size("2t", &size) || config_value_size("k", &size) ||
                 config_value_size("", &size) || config_value_size("2kk", &size) ||
                 config_value_size("17179869184g", &size));
}

static void addresses_are_numeric(void **state)
{
    static const char *const bad[] = {"",
                                      "127.0.0.1",
                                      ":80",
                                      "localhost:80",
                                      "127.0.0.1:",
                                      "127.0.0.1:65536",
                                      "127.0.0.1:-1",
                                      "127.0.0.1:80x",
                                      "127.0.0.256:80",
                                      "127.0.0.1:80:90",
                                      "[::1]:80",
                                      "127.1:80",
                                      " 127.0.0.1:80",
                                      "*:80",
                                      "80"};

    (void)state;
    assert_string_equal(set("whale_paper_listen", "0.0.0.0:65535"), "OK");
    assert_string_equal(config.paper_listen.host, "0.0.0.0");
    assert_int_equal(config.paper_listen.port, 65535);
    assert_string_equal(set("whale_paper_listen", "10.1.2.3:0"), "OK");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_string_not_equal(set("whale_paper_listen", bad[i]), "OK");
    }
}

static void urls_have_a_scheme_a_host_and_nothing_else(void **state)
{
    static const char *const good[] = {"http://a",        "https://a.b-c.d:1",
                                       "http://aAzZ09",   "https://127.0.0.1:65535",
                                       "http://[::1]:80", "http://[fe80::1]"};
    static const char *const bad[] = {"",
                                      "a",
                                      "http:",
                                      "http://",
                                      "http:/a",
                                      "ftp://a",
                                      "ws://a",
                                      "HTTP://a",
                                      "httpx://a",
                                      "http://a/",
                                      "http://a/path",
                                      "http://a?x",
                                      "http://a#x",
                                      "http://u@a",
                                      "http://u:p@a",
                                      "http://a:",
                                      "http://a:0",
                                      "http://a:65536",
                                      "http://a:80/",
                                      "http://a:x",
                                      "http://:80",
                                      "http://-a",
                                      "http://.a",
                                      "http://a b",
                                      " http://a",
                                      "http://[]",
                                      "http://[::1",
                                      "http://[::1]x",
                                      "http://a\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_string_equal(set("whale_telegram_url", good[i]), "OK");
        assert_string_equal(config.telegram_url, good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (strcmp(set("whale_telegram_url", bad[i]), "OK") == 0) {
            fail_msg("taken: \"%s\"", bad[i]);
        }
    }
}

static void texts_are_what_their_directives_mean(void **state)
{
    static const struct {
        const char *name, *value;
        bool good;
    } cases[] = {
        {"whale_log_level", "debug", true},
        {"whale_log_level", "error", true},
        {"whale_log_level", "DEBUG", false},
        {"whale_log_level", "notice", false},
        {"whale_log_level", "", false},
        {"whale_host_name", "Host-1.example_2", true},
        {"whale_host_name", "a b", false},
        {"whale_host_name", "", false},
        {"whale_host_name", "a'b", false},
        {"whale_shm", "/dev/shm/other", true},
        {"whale_shm", "relative", false},
        {"whale_shm", "", false},
        {"whale_bot_token_file", "", true},
        {"whale_bot_token_file", "/run/credentials/token", true},
        {"whale_bot_token_file", "token", false},
        {"whale_bot_token_file", "12345:AAsecret", false},
        {"whale_sign_user", "", true},
        {"whale_database", "", true},
        {"whale_paper", "ON", true},
        {"whale_paper", "Off", true},
        {"whale_paper", "1", false},
        {"whale_paper_replay", "relative", false},
        {"whale_paper_replay", "", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *says = set(cases[i].name, cases[i].value);

        if ((strcmp(says, "OK") == 0) != cases[i].good) {
            fail_msg("%s \"%s\": %s", cases[i].name, cases[i].value, says);
        }
    }
}

static void values_longer_than_their_field_are_refused(void **state)
{
    static char value[5000];

    (void)state;
    for (size_t i = 0; i < config_directive_count; i++) {
        for (size_t length = CONFIG_TEXT_MAX; length < sizeof(value); length *= 3) {
            memset(value, 'a', length);
            value[0] = '/';
            value[length] = '\0';
            assert_string_not_equal(set(config_directives[i].name, value), "OK");
            assert_true(strlen(error) < CONFIG_ERROR_MAX);
        }
    }
    memset(value, 'a', CONFIG_TEXT_MAX - 1);
    value[0] = '/';
    value[CONFIG_TEXT_MAX - 1] = '\0';
    assert_string_equal(set("whale_shm", value), "OK");
    assert_string_equal(config.shm_path, value);
    memset(value, 'a', 64);
    value[64] = '\0';
    assert_string_not_equal(set("whale_host_name", value), "OK");
    assert_string_equal(set("whale_host_name", value + 1), "OK");
}

static void passwords_are_refused_and_never_shown(void **state)
{
    static const char *const bad[] = {
        "dbname=x password=hunter2",
        "password=hunter2",
        "PASSWORD=hunter2",
        "password = 'hunter2'",
        "password\t=hunter2",
        "sslpassword=hunter2",
        "postgresql://user:hunter2@host/db",
        "postgres://:hunter2@/db",
        "postgresql://host/db?password=hunter2",
    };
    static const char *const good[] = {"dbname=password user=x", "passfile=/x",
                                       "host=/run dbname=x", "postgresql://user@host:5432/db",
                                       "postgresql://host:5432/db?a=b@c"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_string_equal(set("whale_database", bad[i]),
                            "password in \"whale_database\" directive, use "
                            "\"whale_database_password_file\" instead");
        assert_string_not_equal(set("whale_web_database", bad[i]), "OK");
        assert_null(strstr(error, "hunter2"));
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_string_equal(set("whale_database", good[i]), "OK");
    }
}

static const char *set_venue(const char *const *words, size_t count)
{
    return config_set(&config, "whale_venue", words, count, error) ? "OK" : error;
}

#define VENUE(...)                                                                                 \
    set_venue((const char *[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))

static void venues_have_a_name_a_market_and_addresses(void **state)
{
    const char *rest = "rest=http://127.0.0.1:1", *stream = "stream=ws://127.0.0.1:2";
    const config_venue *venue;

    (void)state;
    config_defaults(&config);
    assert_string_equal(VENUE("okx:usdm", stream, "account=https://c", rest), "OK");
    assert_string_equal(VENUE("okx:spot", rest, "stream=wss://d"), "OK");
    assert_string_equal(VENUE("polymarket:outcome", rest, stream, "leaders=https://e"), "OK");
    venue = config_find_venue(&config, "okx", "usdm");
    assert_non_null(venue);
    assert_string_equal(venue->rest, "http://127.0.0.1:1");
    assert_string_equal(venue->account, "https://c");
    assert_string_equal(venue->leaders, "");
    assert_string_equal(config_find_venue(&config, "okx", "spot")->account, "http://127.0.0.1:1");
    assert_null(config_find_venue(&config, "okx", "coinm"));
    assert_null(config_find_venue(&config, "ok", "usdm"));
    assert_string_equal(VENUE("okx:usdm", rest, stream),
                        "duplicate venue \"okx:usdm\" in \"whale_venue\" directive");
    assert_string_equal(VENUE("bybit:usdm", rest),
                        "\"whale_venue\" directive needs rest= and stream= for \"bybit:usdm\"");
    assert_string_equal(VENUE("bybit:usdm"),
                        "\"whale_venue\" directive needs rest= and stream= for \"bybit:usdm\"");
    assert_string_equal(VENUE("bybit:usdm", rest, rest, stream),
                        "invalid value \"rest=http://127.0.0.1:1\" in \"whale_venue\" directive");
    assert_string_equal(
        VENUE("bybit:usdm", rest, stream, "leaders=http://a", "account=http://b", "x"),
        "invalid number of arguments in \"whale_venue\" directive");
    assert_string_equal(VENUE("bybit:usdm", rest, "stream=http://a"),
                        "invalid value \"stream=http://a\" in \"whale_venue\" directive");
    assert_string_not_equal(VENUE("bybit:usdm", "rest=ws://a", stream), "OK");
    assert_string_not_equal(VENUE("bybit:usdm", "rest=http://a/path", stream), "OK");
    assert_string_not_equal(VENUE("bybit:usdm", rest, stream, "other=http://a"), "OK");
    assert_string_not_equal(VENUE("bybit:usdm", rest, stream, ""), "OK");
    assert_int_equal(config.venue_count, 3);
}

static void other_names_are_no_venues(void **state)
{
    static const char *const names[] = {"",
                                        ":",
                                        "binance",
                                        "binance:",
                                        ":usdm",
                                        "binance:futures",
                                        "binance:usdm:BTC",
                                        "Binance:usdm",
                                        "a b:usdm",
                                        "binance:USDM",
                                        "sixteen_letters_:usdm",
                                        "a-b:usdm"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        config_defaults(&config);
        assert_string_not_equal(VENUE(names[i], "rest=http://a", "stream=ws://b"), "OK");
    }
    assert_string_equal(VENUE("fifteen_letters:usdm", "rest=http://a", "stream=ws://b"), "OK");
}

static void repeated_directives_have_a_limit(void **state)
{
    char text[64];

    (void)state;
    config_defaults(&config);
    for (int i = 0; i <= CONFIG_VENUES_MAX; i++) {
        const char *says;

        snprintf(text, sizeof(text), "v%d:spot", i);
        says = VENUE(text, "rest=http://a", "stream=ws://b");
        assert_string_equal(
            says, i < CONFIG_VENUES_MAX ? "OK" : "too many \"whale_venue\" directives, at most 32");
    }
    for (int i = 0; i <= CONFIG_REPLAYS_MAX; i++) {
        const char *path = "/replay";

        assert_int_equal(config_set(&config, "whale_paper_replay", &path, 1, error),
                         i < CONFIG_REPLAYS_MAX);
    }
    assert_int_equal(config.venue_count, CONFIG_VENUES_MAX);
    assert_int_equal(config.paper_replay_count, CONFIG_REPLAYS_MAX);
}

static void rules_between_directives_are_checked(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"whale_receive_window 7s; whale_trade_lease 8s;", true},
        {"whale_receive_window 7001ms; whale_trade_lease 8s;", false},
        {"whale_receive_window 500ms; whale_trade_lease 1s;", false},
        {"whale_receive_window 60s; whale_trade_lease 61s;", true},
        {"whale_receive_window 61s; whale_trade_lease 90s;", false},
        {"whale_shm_users 1000; whale_shm_positions 1000;", true},
        {"whale_shm_users 1001; whale_shm_positions 1000;", false},
        {"whale_shm_users 4194304;", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *says = read_text(cases[i].text);

        if ((strcmp(says, "OK") == 0) != cases[i].good) {
            fail_msg("%s: %s", cases[i].text, says);
        }
    }
}

static uint64_t hash_of(const char *text)
{
    assert_string_equal(read_text(text), "OK");
    return config_hash(&config);
}

static void the_hash_is_over_values_not_words(void **state)
{
    (void)state;
    assert_true(hash_of("") == hash_of("# nothing\nwhale_hosts 1;"));
    assert_true(hash_of("whale_trade_lease 60s;") == hash_of("whale_trade_lease '1m';"));
    assert_true(hash_of("whale_paper on; whale_hosts 2;") ==
                hash_of("whale_hosts 02;whale_paper ON;"));
    assert_true(hash_of("whale_venue a:spot rest=http://a stream=ws://b;") ==
                hash_of("whale_venue a:spot stream=ws://b account=http://a rest=http://a;"));
    assert_true(hash_of("whale_venue a:spot rest=http://a stream=ws://b;") !=
                hash_of("whale_venue a:usdm rest=http://a stream=ws://b;"));
    assert_true(hash_of("whale_paper_replay /a; whale_paper_replay /b;") !=
                hash_of("whale_paper_replay /b; whale_paper_replay /a;"));
    assert_true(hash_of("whale_paper_replay /a; whale_paper_replay /b;") !=
                hash_of("whale_paper_replay /a;"));
}

static void every_directive_counts_in_the_hash(void **state)
{
    static const char *const values[] = {"7s", "100",       "/x",   "http://x",
                                         "on", "1.2.3.4:5", "warn", "2"};
    uint64_t hashes[65];
    size_t count = 0;

    (void)state;
    config_defaults(&config);
    hashes[count++] = config_hash(&config);
    for (size_t i = 0; i < config_directive_count; i++) {
        const char *name = config_directives[i].name, *says = "";

        /* given any directive, when it has another value than its default, then the hash is new */
        config_defaults(&config);
        if (strcmp(name, "whale_venue") == 0) {
            says = VENUE("a:spot", "rest=http://a", "stream=ws://b");
        }
        for (size_t v = 0; v < 8 && strcmp(says, "OK") != 0; v++) {
            says = set(name, values[v]);
        }
        assert_string_equal(says, "OK");
        hashes[count] = config_hash(&config);
        for (size_t j = 0; j < count; j++) {
            if (hashes[j] == hashes[count]) {
                fail_msg("%s does not count", name);
            }
        }
        count++;
    }
}

/* A value that changes by itself (an address, a padding byte) would show another process another
 * hash. */
static void the_hash_is_the_same_in_another_process(void **state)
{
    uint64_t here, there = 0;
    int ends[2], status;

    (void)state;
    here = hash_of("whale_hosts 5; whale_paper_listen 1.2.3.4:5;");
    assert_int_equal(pipe(ends), 0);
    if (fork() == 0) {
        whale_config *other = malloc(sizeof(*other));

        memset(other, 0xAA, sizeof(*other));
        if (config_read_text(other, "whale_paper_listen 1.2.3.4:5;whale_hosts 5;", 43, "x",
                             error)) {
            there = config_hash(other);
        }
        _exit(write(ends[1], &there, sizeof(there)) != sizeof(there));
    }
    assert_int_equal(read(ends[0], &there, sizeof(there)), sizeof(there));
    wait(&status);
    close(ends[0]);
    close(ends[1]);
    assert_true(here == there);
}

static void files_that_cannot_be_read_say_why(void **state)
{
    char path[] = "/tmp/whale-test-config-XXXXXX", wanted[128];
    int file = mkstemp(path);

    (void)state;
    assert_true(file >= 0);
    assert_int_equal(write(file, "whale_hosts 6;\nwhale_hosts 7;\n", 30), 30);
    assert_false(config_read(&config, path, error));
    snprintf(wanted, sizeof(wanted), "\"whale_hosts\" directive is duplicate in %s:2", path);
    assert_string_equal(error, wanted);
    assert_int_equal(ftruncate(file, 15), 0);
    assert_true(config_read(&config, path, error));
    assert_int_equal(config.hosts, 6);
    assert_int_equal(ftruncate(file, 1 << 20), 0);
    assert_false(config_read(&config, path, error));
    snprintf(wanted, sizeof(wanted), "\"%s\" is too large", path);
    assert_string_equal(error, wanted);
    close(file);
    unlink(path);
    assert_false(config_read(&config, "/nonexistent/whale.conf", error));
    assert_string_equal(error,
                        "open() \"/nonexistent/whale.conf\" failed (2: No such file or directory)");
    assert_false(config_read(&config, "/tmp", error));
    assert_string_equal(error, "read() \"/tmp\" failed (21: Is a directory)");
    assert_int_equal(config.hosts, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_grammar_and_its_words_are_nginxs),
        cmocka_unit_test(words_and_comments_have_nginxs_limit),
        cmocka_unit_test(files_are_read_with_quotes_escapes_and_comments),
        cmocka_unit_test(errors_name_the_file_and_the_line),
        cmocka_unit_test(a_bad_file_changes_nothing),
        cmocka_unit_test(reading_a_file_starts_from_the_defaults),
        cmocka_unit_test(every_default_is_a_value_of_its_directive),
        cmocka_unit_test(counts_keep_to_their_ranges),
        cmocka_unit_test(times_are_read_as_nginx_reads_them),
        cmocka_unit_test(sizes_take_units),
        cmocka_unit_test(addresses_are_numeric),
        cmocka_unit_test(urls_have_a_scheme_a_host_and_nothing_else),
        cmocka_unit_test(texts_are_what_their_directives_mean),
        cmocka_unit_test(values_longer_than_their_field_are_refused),
        cmocka_unit_test(passwords_are_refused_and_never_shown),
        cmocka_unit_test(venues_have_a_name_a_market_and_addresses),
        cmocka_unit_test(other_names_are_no_venues),
        cmocka_unit_test(repeated_directives_have_a_limit),
        cmocka_unit_test(rules_between_directives_are_checked),
        cmocka_unit_test(the_hash_is_over_values_not_words),
        cmocka_unit_test(every_directive_counts_in_the_hash),
        cmocka_unit_test(the_hash_is_the_same_in_another_process),
        cmocka_unit_test(files_that_cannot_be_read_say_why),
    };

    return cmocka_run_group_tests_name("core_config", tests, NULL, NULL);
}
