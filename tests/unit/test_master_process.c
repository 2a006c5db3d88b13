/* The daemon as its operator meets it: command line, keys, supervision, reload, ending. No
 * Postgres. */
#include "core/crypto.h"
#include "tests/unit/process.h"

#include <dirent.h>
#include <sys/statvfs.h>

static char config[128], segment[64];
static process_status look;

static void write_config(const char *more)
{
    char text[2048];

    snprintf(text, sizeof(text),
             "whale_database \"host=%s/nowhere dbname=whale user=whale_worker\";\n"
             "whale_shm %s;\n"
             "whale_shm_users 1024;\nwhale_shm_positions 4096;\n"
             "whale_venue binance:usdm rest=http://127.0.0.1:1 stream=ws://127.0.0.1:1;\n"
             "whale_master_key_file %s/keys/master.key;\n"
             "whale_seal_private_key_file %s/keys/seal.private;\n%s\n",
             process_directory, segment, process_directory, process_directory, more);
    snprintf(config, sizeof(config), "%s", process_file("whale.conf", text));
}

static int start_all(void **state)
{
    char keys[96];

    (void)state;
    process_start_directory();
    snprintf(segment, sizeof(segment), "/dev/shm/whale-test-%d", (int)getpid());
    snprintf(keys, sizeof(keys), "%s/keys", process_directory);
    assert_int_equal(process_end(process_begin("keys.log", "keys", keys, NULL)), 0);
    write_config("");
    return 0;
}

static int stop_all(void **state)
{
    (void)state;
    unlink(segment);
    process_end_directory();
    return 0;
}

static pid_t begin_daemon(void)
{
    pid_t master = process_begin("log", "-c", config, NULL);

    wait_until(process_look(config, &look) && process_of(&look, "feed") != 0 &&
               process_of(&look, "sign") != 0);
    return master;
}

static bool logged(const char *words)
{
    return strstr(process_output("log"), words) != NULL;
}

/* ---- the command line
 * ------------------------------------------------------------------------------- */

static const struct {
    const char *first, *second, *third;
    int status;
    const char *says;
} lines[] = {
    {"-V", NULL, NULL, 0, "workerd "},
    {"-h", NULL, NULL, 0, "usage: workerd"},
    {"--wrong", NULL, NULL, 2, "unknown option \"--wrong\""},
    {"nonsense", NULL, NULL, 2, "wrong command line"},
    {"-c", NULL, NULL, 2, "a value is missing after \"-c\""},
    {"-t", "-c", "/nonexistent", 1,
     "open() \"/nonexistent\" failed (2: No such file or directory)"},
    {"keys", NULL, NULL, 2, "wrong command line"},
    {"--slot", "99", NULL, 2, "--slot is 0 to 15"},
    {"init-data-key", "/nonexistent", NULL, 1, "/nonexistent"},
};

static void given_a_command_line_when_run_then_status_and_words_are_clear(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        const int status = process_end(
            process_begin("line", lines[i].first, lines[i].second, lines[i].third, NULL));

        if (status != lines[i].status || strstr(process_output("line"), lines[i].says) == NULL) {
            fail_msg("%s: %d %s", lines[i].first, status, process_output("line"));
        }
    }
}

static void given_configurations_when_tested_then_the_verdict_is_in_nginx_words(void **state)
{
    char expected[512], bad[128];

    (void)state;
    assert_int_equal(process_end(process_begin("line", "-t", "-c", config, NULL)), 0);
    snprintf(expected, sizeof(expected), "workerd: configuration file %s test is successful\n",
             config);
    assert_string_equal(process_output("line"), expected);

    snprintf(bad, sizeof(bad), "%s", process_file("bad.conf", "whale_hosts 1;\n\nwhale_x 1;\n"));
    assert_int_equal(process_end(process_begin("line", "-t", "-c", bad, NULL)), 1);
    snprintf(expected, sizeof(expected),
             "workerd: [emerg] unknown directive \"whale_x\" in %s:3\n"
             "workerd: configuration file %s test failed\n",
             bad, bad);
    assert_string_equal(process_output("line"), expected);
    assert_int_equal(process_end(process_begin("line", "-c", bad, NULL)), 1);
}

static void given_a_role_that_is_none_when_run_then_the_roles_are_named(void **state)
{
    (void)state;
    assert_int_equal(process_end(process_begin("line", "role", "cook", "-c", config, NULL)), 2);
    assert_non_null(strstr(process_output("line"), "there is no role \"cook\": feed, watch"));
    assert_int_equal(process_end(process_begin("line", "role", "sign", "-c", config, NULL)), 2);
}

/* ---- keys
 * ------------------------------------------------------------------------------------------- */

static void read_key_file(const char *name, char text[80], mode_t mode)
{
    char path[128];
    struct stat status;
    FILE *file;

    snprintf(path, sizeof(path), "%s/keys/%s", process_directory, name);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, mode);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, 80, file));
    fclose(file);
    assert_int_equal(strlen(text), 65);
}

static void given_a_directory_when_keys_are_made_again_then_none_is_overwritten(void **state)
{
    static const char *const names[] = {"master.key", "seal.private", "seal.public", "session.key"};
    char before[4][80], after[80], keys[96];
    uint8_t private_key[CRYPTO_KEY_SIZE], public_key[CRYPTO_KEY_SIZE];

    (void)state;
    snprintf(keys, sizeof(keys), "%s/keys", process_directory);
    for (int i = 0; i < 4; i++) {
        read_key_file(names[i], before[i], i == 2 ? 0644 : 0600);
    }
    assert_int_equal(process_end(process_begin("line", "keys", keys, NULL)), 0);
    for (int i = 0; i < 4; i++) {
        read_key_file(names[i], after, i == 2 ? 0644 : 0600);
        assert_string_equal(after, before[i]);
        assert_null(strstr(process_output("line"), "made"));
    }
    /* the two halves belong together */
    assert_true(crypto_start());
    assert_int_equal(crypto_unhex(before[1], 64, private_key, sizeof(private_key)), 32);
    assert_true(crypto_public_key(private_key, public_key));
    crypto_hex(public_key, sizeof(public_key), after);
    assert_memory_equal(after, before[2], 64);
}

static void given_half_a_pair_when_made_again_then_only_the_public_half_can_be(void **state)
{
    char command[512], before[80], after[80], keys[96];

    (void)state;
    read_key_file("seal.public", before, 0644);
    snprintf(keys, sizeof(keys), "%s/keys", process_directory);
    snprintf(command, sizeof(command), "rm %s/seal.public", keys);
    assert_int_equal(system(command), 0);
    assert_int_equal(process_end(process_begin("line", "keys", keys, NULL)), 0);
    read_key_file("seal.public", after, 0644);
    assert_string_equal(after, before);

    snprintf(command, sizeof(command), "mkdir %s/half && cp %s/seal.public %s/half/", keys, keys,
             keys);
    assert_int_equal(system(command), 0);
    strcat(keys, "/half");
    assert_int_equal(process_end(process_begin("line", "keys", keys, NULL)), 1);
    assert_non_null(strstr(process_output("line"), "but not its private half"));
}

static void given_a_bot_token_when_derived_then_the_constant_is_the_key(void **state)
{
    /* python: hmac.new(b"WebAppData", b"123456:ABC", "sha256").hexdigest() */
    static const char expected[] =
        "2556576108416a8008e2feec1a78c979a5ae6cad6f1d9c6a79e8d16781f77f11\n";
    char token[128], out[160];

    (void)state;
    snprintf(token, sizeof(token), "%s", process_file("token", "123456:ABC\n"));
    assert_int_equal(process_end(process_begin("line", "init-data-key", token, NULL)), 0);
    assert_string_equal(process_output("line"), expected);
    snprintf(out, sizeof(out), "%s/init-data-key", process_directory);
    assert_int_equal(process_end(process_begin("line", "init-data-key", token, out, NULL)), 0);
    assert_string_equal(process_output("init-data-key"), expected);
    assert_int_equal(process_end(process_begin("line", "init-data-key", token, out, NULL)), 1);
    chmod(token, 0644); /* a token that others may read is refused, and not repeated */
    assert_int_equal(process_end(process_begin("line", "init-data-key", token, NULL)), 1);
    assert_null(strstr(process_output("line"), "ABC"));
}

/* ---- running
 * ------------------------------------------------------------------------------------------ */

static void given_no_postgres_when_started_then_it_is_live_and_its_roles_wait(void **state)
{
    pid_t master = begin_daemon();

    (void)state;
    assert_int_equal(process_of(&look, "mirror"), 0);
    assert_int_equal(process_of(&look, "trade"), 0);
    assert_int_equal(process_of(&look, "master"), master);
    wait_until(logged("schema.waiting"));
    assert_true(logged("\"part\":\"notify\",\"reason\":\"whale_bot_token_file is not set\""));
    kill(master, SIGTERM);
    assert_int_equal(process_end(master), 0);
    wait_until(!process_look(config, &look)); /* stale: its writer is gone */
}

static void given_a_role_when_killed_then_another_takes_its_place(void **state)
{
    static const char *const roles[] = {"feed", "sign"};
    pid_t master = begin_daemon();

    (void)state;
    for (int i = 0; i < 2; i++) {
        const pid_t before = process_of(&look, roles[i]);

        kill(before, SIGKILL);
        wait_until(process_look(config, &look) && process_of(&look, roles[i]) != 0 &&
                   process_of(&look, roles[i]) != before);
    }
    kill(master, SIGTERM);
    assert_int_equal(process_end(master), 0);
}

static void given_the_master_when_killed_then_no_role_outlives_it(void **state)
{
    pid_t master = begin_daemon();
    const pid_t feed = process_of(&look, "feed"), sign = process_of(&look, "sign");

    (void)state;
    pid_t next;

    kill(master, SIGKILL);
    wait_until(!process_alive(master));
    /* and a new one starts over the old one's segment, though nobody has buried it yet */
    next = begin_daemon();
    wait_until(process_look(config, &look) && process_of(&look, "master") == next);
    wait_until(!process_alive(feed) && !process_alive(sign));
    assert_int_equal(process_end(master), 256 + SIGKILL);
    kill(next, SIGINT);
    assert_int_equal(process_end(next), 0);
}

static void
given_a_role_when_looked_at_then_it_has_its_name_and_no_descriptor_too_many(void **state)
{
    pid_t master = begin_daemon();
    char path[64], name[64] = "", target[256];
    struct dirent *entry;
    int sockets = 0;
    DIR *directory;
    FILE *file;

    (void)state;
    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)process_of(&look, "feed"));
    file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(name, sizeof(name), file));
    fclose(file);
    assert_string_equal(name, "whale-feed");
    /* the channels and keys of sign are not feed's: it has no socket pair end and no key pipe */
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)process_of(&look, "feed"));
    directory = opendir(path);
    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL) {
        char link[PATH_MAX];
        ssize_t length;

        snprintf(link, sizeof(link), "%s/%s", path, entry->d_name);
        length = readlink(link, target, sizeof(target) - 1);
        if (length > 0) {
            target[length] = '\0';
            sockets += strstr(target, "master.key") != NULL || strstr(target, "seal") != NULL;
        }
    }
    closedir(directory);
    assert_int_equal(sockets, 0);
    kill(master, SIGTERM);
    assert_int_equal(process_end(master), 0);
}

static void given_a_running_daemon_when_another_starts_then_it_is_refused(void **state)
{
    pid_t master = begin_daemon();

    (void)state;
    assert_int_equal(process_end(process_begin("line", "-c", config, NULL)), 1);
    assert_non_null(strstr(process_output("line"), "another workerd (pid "));
    kill(master, SIGTERM);
    assert_int_equal(process_end(master), 0);
}

static void given_a_new_configuration_when_reloaded_then_only_what_it_touches_restarts(void **state)
{
    pid_t master, feed, sign;

    (void)state;
    write_config("");
    master = begin_daemon();
    feed = process_of(&look, "feed");
    sign = process_of(&look, "sign");
    /* when: a value of feed and one that needs a restart change */
    write_config("whale_feed_silence 7s;\nwhale_trade_processes 2;");
    kill(master, SIGHUP);
    wait_until(process_look(config, &look) && process_of(&look, "feed") != 0 &&
               process_of(&look, "feed") != feed);
    assert_int_equal(process_of(&look, "sign"), sign);
    assert_true(logged("\"directives\":\"whale_trade_processes\""));
    assert_true(json_equals(&look.doc, json_at(&look.doc, 0, "configuration"), "mismatch"));
    /* when: the file is broken, nothing happens but a line in the log */
    feed = process_of(&look, "feed");
    write_config("whale_nonsense 1;");
    kill(master, SIGHUP);
    wait_until(logged("unknown directive \\\"whale_nonsense\\\""));
    write_config("whale_feed_silence 7s;");
    kill(master, SIGHUP);
    wait_until(process_look(config, &look) &&
               json_equals(&look.doc, json_at(&look.doc, 0, "configuration"), "same"));
    assert_int_equal(process_of(&look, "feed"), feed);
    kill(master, SIGTERM);
    assert_int_equal(process_end(master), 0);
    write_config("");
}

static void given_keys_that_others_may_read_when_started_then_sign_says_why_it_waits(void **state)
{
    char path[128];
    pid_t master;

    (void)state;
    snprintf(path, sizeof(path), "%s/keys/master.key", process_directory);
    assert_int_equal(chmod(path, 0644), 0);
    master = process_begin("log", "-c", config, NULL);
    wait_until(logged("master.key"));
    /* and it comes up by itself once that is mended */
    assert_int_equal(chmod(path, 0600), 0);
    wait_until(process_look(config, &look) && process_of(&look, "sign") != 0);
    kill(master, SIGTERM);
    assert_int_equal(process_end(master), 0);
}

/* The greatest segment that can be configured has 18 GB: where that would fit it is not asked for.
 */
static void given_more_shared_memory_than_there_is_when_started_then_it_says_how_much(void **state)
{
    char text[256], path[128];
    struct statvfs shm;

    (void)state;
    if (statvfs("/dev/shm", &shm) != 0 || shm.f_blocks * shm.f_frsize > 16ULL << 30) {
        skip();
    }
    snprintf(text, sizeof(text),
             "whale_shm %s-full;\nwhale_shm_users 4194304;\nwhale_shm_positions 33554432;\n",
             segment);
    snprintf(path, sizeof(path), "%s", process_file("full.conf", text));
    assert_int_equal(process_end(process_begin("line", "-c", path, NULL)), 1);
    assert_non_null(strstr(process_output("line"), "cannot reserve "));
    assert_non_null(strstr(process_output("line"), " bytes"));
    snprintf(text, sizeof(text), "%s-full", segment);
    assert_int_equal(access(text, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(given_a_command_line_when_run_then_status_and_words_are_clear),
        cmocka_unit_test(given_configurations_when_tested_then_the_verdict_is_in_nginx_words),
        cmocka_unit_test(given_a_role_that_is_none_when_run_then_the_roles_are_named),
        cmocka_unit_test(given_a_directory_when_keys_are_made_again_then_none_is_overwritten),
        cmocka_unit_test(given_half_a_pair_when_made_again_then_only_the_public_half_can_be),
        cmocka_unit_test(given_a_bot_token_when_derived_then_the_constant_is_the_key),
        cmocka_unit_test(given_no_postgres_when_started_then_it_is_live_and_its_roles_wait),
        cmocka_unit_test(given_a_role_when_killed_then_another_takes_its_place),
        cmocka_unit_test(given_the_master_when_killed_then_no_role_outlives_it),
        cmocka_unit_test(
            given_a_role_when_looked_at_then_it_has_its_name_and_no_descriptor_too_many),
        cmocka_unit_test(given_a_running_daemon_when_another_starts_then_it_is_refused),
        cmocka_unit_test(
            given_a_new_configuration_when_reloaded_then_only_what_it_touches_restarts),
        cmocka_unit_test(given_keys_that_others_may_read_when_started_then_sign_says_why_it_waits),
        cmocka_unit_test(given_more_shared_memory_than_there_is_when_started_then_it_says_how_much),
    };

    return cmocka_run_group_tests(tests, start_all, stop_all);
}
