/*
 * A private Postgres and roles in processes of their own, for tests that need them.
 *
 * Promises: the server lives in a temporary directory on a Unix socket and is gone after
 * database_stop, or soon after a test that was killed; roles are killed with the test; nothing here
 * asserts a time: `eventually` waits
 * for a condition and fails the test only after EVENTUALLY_S.
 */
#ifndef WHALE_TESTS_DATABASE_H
#define WHALE_TESTS_DATABASE_H

#include "core/clock.h"
#include "migrations.h"
#include "workerd/role.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define EVENTUALLY_S 60
#define EVENTUALLY_PAUSE_US 20000

static char database_directory[64], database_conninfo[256], database_segment[64];
static PGconn *database;
static pid_t database_keeper;

/* The tree's root: where tests are run, or where this program was built. */
__attribute__((unused)) static const char *database_root(void)
{
    static char path[PATH_MAX];
    ssize_t length;

    if (access("tests/support/postgres.sh", X_OK) == 0) {
        return ".";
    }
    length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    assert_true(length > 0);
    path[length] = '\0';
    for (int i = 0; i < 5; i++) { /* build/release/tests/unit/NAME */
        char *slash = strrchr(path, '/');

        assert_non_null(slash);
        *slash = '\0';
    }
    return path;
}

static void database_command(const char *verb)
{
    char command[PATH_MAX + 128];

    snprintf(command, sizeof(command), "%s/tests/support/postgres.sh %s %s >/dev/null",
             database_root(), verb, database_directory);
    assert_int_equal(system(command), 0);
}

/* Statements; what goes wrong fails the test. */
__attribute__((unused)) static void database_run(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

__attribute__((unused)) static void database_run(const char *format, ...)
{
    char sql[8192];
    va_list arguments;
    PGresult *result;

    va_start(arguments, format);
    assert_true(vsnprintf(sql, sizeof(sql), format, arguments) < (int)sizeof(sql));
    va_end(arguments);
    result = PQexec(database, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", sql, PQresultErrorMessage(result));
    }
    PQclear(result);
}

/* One value as text, or "" for none and for null. Overwritten by the next call. */
__attribute__((unused)) static const char *database_value(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

__attribute__((unused)) static const char *database_value(const char *format, ...)
{
    static char value[4096];
    char sql[4096];
    va_list arguments;
    PGresult *result;

    va_start(arguments, format);
    assert_true(vsnprintf(sql, sizeof(sql), format, arguments) < (int)sizeof(sql));
    va_end(arguments);
    result = PQexec(database, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", sql, PQresultErrorMessage(result));
    }
    snprintf(value, sizeof(value), "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return value;
}

static void database_silence(void *owner, const char *message)
{
    (void)owner;
    (void)message;
}

/* Removes the server when nobody holds the other end of the pipe any more: we, and our roles. */
static void database_keep(void)
{
    int ends[2];
    char byte;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0); /* not into the server */
    fflush(NULL);
    database_keeper = fork();
    assert_true(database_keeper >= 0);
    if (database_keeper == 0) {
        char command[PATH_MAX + 128];

        setsid(); /* whoever kills our group spares it */
        close(ends[1]);
        while (read(ends[0], &byte, 1) > 0) {
        }
        snprintf(command, sizeof(command),
                 "%s/tests/support/postgres.sh clean %s >/dev/null 2>&1; rm -f %s", database_root(),
                 database_directory, database_segment);
        _exit(system(command) != 0);
    }
    close(ends[0]);
}

/* A server without a schema. */
__attribute__((unused)) static void database_start(void)
{
    snprintf(database_directory, sizeof(database_directory), "/tmp/whale-test-XXXXXX");
    assert_non_null(mkdtemp(database_directory));
    snprintf(database_segment, sizeof(database_segment), "/dev/shm/whale-test-%d", (int)getpid());
    database_keep();
    database_command("start");
    snprintf(database_conninfo, sizeof(database_conninfo), "host=%s dbname=whale user=whale",
             database_directory);
    database = PQconnectdb(database_conninfo);
    assert_int_equal(PQstatus(database), CONNECTION_OK);
    PQsetNoticeProcessor(database, database_silence, NULL);
}

__attribute__((unused)) static void database_migrate(void)
{
    for (int i = 0; i < migration_entry_count; i++) {
        PGresult *result = PQexec(database, migration_entries[i].text);

        if (PQresultStatus(result) != PGRES_COMMAND_OK &&
            PQresultStatus(result) != PGRES_TUPLES_OK) {
            fail_msg("%s: %s", migration_entries[i].name, PQresultErrorMessage(result));
        }
        PQclear(result);
    }
}

__attribute__((unused)) static void database_stop(void)
{
    PQfinish(database);
    database = NULL;
    kill(database_keeper, SIGKILL);
    waitpid(database_keeper, NULL, 0);
    database_command("clean");
    unlink(database_segment);
}

/* An instrument, so that nothing about it needs to be said. */
__attribute__((unused)) static void database_add_instrument(const char *native)
{
    database_run(
        "insert into instruments (name, venue, market, native, underlying, base_asset, "
        "quote_asset, settle_asset, price_tick, quantity_step, quantity_min, quantity_max, "
        "market_quantity_step, market_quantity_min, market_quantity_max) values "
        "('binance:usdm:%s', 'binance', 'usdm', '%s', 'X', 'X', 'USDT', 'USDT', 0.1, "
        "0.001, 0.001, 1000, 0.001, 0.001, 1000)",
        native, native);
}

/* ---- waiting ------------------------------------------------------------------------------------
 */

#define eventually(condition)                                                                      \
    do {                                                                                           \
        const int64_t end_ns = clock_monotonic_ns() + EVENTUALLY_S * CLOCK_SECOND_NS;              \
                                                                                                   \
        while (!(condition)) {                                                                     \
            if (clock_monotonic_ns() > end_ns) {                                                   \
                fail_msg("this did not come true: %s", #condition);                                \
            }                                                                                      \
            usleep(EVENTUALLY_PAUSE_US);                                                           \
        }                                                                                          \
    } while (0)

#define eventually_value(expected, ...)                                                            \
    eventually(strcmp(database_value(__VA_ARGS__), (expected)) == 0)

/* ---- roles --------------------------------------------------------------------------------------
 */

__attribute__((unused)) static void role_config(whale_config *config)
{
    config_defaults(config);
    snprintf(config->database, sizeof(config->database), "host=%s dbname=whale user=whale_worker",
             database_directory);
    snprintf(config->shm_path, sizeof(config->shm_path), "%s", database_segment);
    snprintf(config->log_level, sizeof(config->log_level), "error");
    config->shm_users = 1024;
    config->shm_positions = 4096;
}

__attribute__((unused)) static void role_segment(const whale_config *config)
{
    const shm_options options = {
        .instruments = 256,
        .users = (uint32_t)config->shm_users,
        .positions = (uint32_t)config->shm_positions,
        .signals = 256,
        .mode = 0600,
        .group = -1,
    };
    char error[256] = "";

    if (!shm_create(config->shm_path, &options, error, sizeof(error))) {
        fail_msg("%s", error);
    }
}

__attribute__((unused)) static pid_t role_start(int (*run)(const role_context *),
                                                const whale_config *config)
{
    role_context context = {
        .config = config,
        .config_path = "",
        .sign_channel = -1,
        .master_key_fd = -1,
        .seal_private_key_fd = -1,
        .parent_pid = getpid(),
    };
    pid_t pid;

    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        exit(run(&context));
    }
    return pid;
}

/* The status that waitpid tells. */
__attribute__((unused)) static int role_stop(pid_t pid, int number)
{
    int status = -1;

    kill(pid, number);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

#endif
