/*
 * Migrations: see migrate.h for the promises.
 *
 * The lock is asked for, not waited for in the server, so that a waiting `migrate` can say so and
 * give up. Within a migration lock_timeout keeps DDL from queueing behind a long statement and
 * blocking everybody behind itself: it fails, and is tried again.
 */
#include "workerd/migrate.h"

#include "core/crypto.h"
#include "migrations.h"
#include "workerd/migrate_connect.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MIGRATE_LOCK_KEY INT64_C(0x7768616c65) /* "whale" */
#define MIGRATE_LOCK_POLL_MS 250
#define MIGRATE_LOCK_POLLS 480 /* two minutes */
#define MIGRATE_TRIES 5
#define MIGRATE_TRY_PAUSE_MS 1000
#define MIGRATE_NAME_MAX 64
#define MIGRATE_HEX_SIZE (2 * CRYPTO_SHA256_SIZE + 1)
#define MIGRATE_LINE_MAX (MIGRATE_ERROR_MAX + 128)

typedef struct {
    PGconn *connection;
    migrate_say *say;
    void *owner;
} migrate_session;

typedef struct {
    int version;
    char name[MIGRATE_NAME_MAX];
    char checksum[MIGRATE_HEX_SIZE];
    const char *text;
} migrate_step;

static const char create_table[] =
    "create table schema_migrations ("
    "  version integer primary key check (version > 0), name text not null,"
    "  checksum text not null, applied_at timestamptz not null default now())";
/* After the migrations, which make the roles. */
static const char grant_table[] =
    "do $$ declare r text; begin"
    "  foreach r in array array['whale_worker', 'whale_web'] loop"
    "    if exists (select from pg_roles where rolname = r) then"
    "      execute format('revoke insert, update, delete, truncate on schema_migrations from %I', "
    "r);"
    "      execute format('grant select on schema_migrations to %I', r);"
    "    end if;"
    "  end loop; end $$";

static void say(const migrate_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(const migrate_session *session, const char *format, ...)
{
    char line[MIGRATE_LINE_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    session->say(session->owner, line);
}

static void pause_ms(long ms)
{
    const struct timespec pause = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&pause, NULL);
}

/* "migrations/0001_spine.sql" -> 1, "spine". */
static bool read_step(int index, migrate_step *step)
{
    const char *path = migration_entries[index].name;
    const char *file = strrchr(path, '/');
    uint8_t digest[CRYPTO_SHA256_SIZE];
    char *name;
    size_t length;

    file = file != NULL ? file + 1 : path;
    step->version = (int)strtol(file, &name, 10);
    step->text = migration_entries[index].text;
    length = strcspn(name + (*name == '_'), ".");
    if (step->version <= 0 || *name != '_' || length == 0 || length >= sizeof(step->name)) {
        return false;
    }
    snprintf(step->name, sizeof(step->name), "%.*s", (int)length, name + 1);
    if (!crypto_sha256(step->text, strlen(step->text), digest)) {
        return false;
    }
    crypto_hex(digest, sizeof(digest), step->checksum);
    return true;
}

int migrate_newest(void)
{
    migrate_step step;

    return migration_entry_count > 0 && crypto_start() &&
                   read_step(migration_entry_count - 1, &step)
               ? step.version
               : 0;
}

/* Runs statements without parameters. sqlstate, where wanted, has room for 6. */
static bool execute(migrate_session *session, const char *sql, char *sqlstate)
{
    PGresult *result = PQexec(session->connection, sql);
    ExecStatusType status = PQresultStatus(result);
    bool done = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

    if (!done) {
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        char message[MIGRATE_ERROR_MAX];

        const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

        migrate_message(primary != NULL ? primary : PQerrorMessage(session->connection), message,
                        sizeof(message));
        if (sqlstate != NULL) {
            snprintf(sqlstate, 6, "%s", state != NULL ? state : "");
        }
        say(session, "%s", message);
    }
    PQclear(result);
    return done;
}

/* Only one at a time, over all hosts. The lock ends with the connection. */
static bool take_lock(migrate_session *session)
{
    char sql[96];

    snprintf(sql, sizeof(sql), "select pg_try_advisory_lock(%" PRId64 ")", MIGRATE_LOCK_KEY);
    for (int i = 0; i < MIGRATE_LOCK_POLLS; i++) {
        PGresult *result = PQexec(session->connection, sql);
        bool answered = PQresultStatus(result) == PGRES_TUPLES_OK;
        bool taken = answered && PQgetvalue(result, 0, 0)[0] == 't';

        PQclear(result);
        if (taken) {
            return true;
        }
        if (!answered) {
            say(session, "%s", "the connection was lost");
            return false;
        }
        if (i == 0) {
            say(session, "another migration is running; waiting for it");
        }
        pause_ms(MIGRATE_LOCK_POLL_MS);
    }
    say(session, "gave up: another migration still holds the lock");
    return false;
}

/* The checksum under which `step` was applied, into `applied`; "" where it was not. */
static bool applied_checksum(migrate_session *session, const migrate_step *step,
                             char applied[MIGRATE_HEX_SIZE])
{
    char version[16];
    const char *values[] = {version};
    PGresult *result;
    bool answered;

    snprintf(version, sizeof(version), "%d", step->version);
    result = PQexecParams(session->connection,
                          "select checksum from schema_migrations where version = $1", 1, NULL,
                          values, NULL, NULL, 0);
    answered = PQresultStatus(result) == PGRES_TUPLES_OK;
    applied[0] = '\0';
    if (!answered) {
        say(session, "schema_migrations cannot be read");
    } else if (PQntuples(result) == 1) {
        snprintf(applied, MIGRATE_HEX_SIZE, "%s", PQgetvalue(result, 0, 0));
    }
    PQclear(result);
    return answered;
}

/* One try. A lock that could not be had in time sets `again`. */
static bool apply_once(migrate_session *session, const migrate_step *step, bool *again)
{
    char version[16], sqlstate[6] = "";
    const char *values[] = {version, step->name, step->checksum};
    PGresult *result;
    bool recorded;

    snprintf(version, sizeof(version), "%d", step->version);
    *again = false;
    if (!execute(session, "begin; set local lock_timeout = '5s'", NULL)) {
        return false;
    }
    if (!execute(session, step->text, sqlstate)) {
        *again = strcmp(sqlstate, "55P03") == 0 || strcmp(sqlstate, "40P01") == 0;
        execute(session, "rollback", NULL);
        return false;
    }
    result =
        PQexecParams(session->connection,
                     "insert into schema_migrations (version, name, checksum) values ($1, $2, $3)",
                     3, NULL, values, NULL, NULL, 0);
    recorded = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    if (!recorded) {
        say(session, "the migration could not be recorded");
        execute(session, "rollback", NULL);
        return false;
    }
    return execute(session, "commit", NULL);
}

static bool apply(migrate_session *session, const migrate_step *step)
{
    bool again = true;

    for (int tries = 0; tries < MIGRATE_TRIES && again; tries++) {
        if (tries > 0) {
            say(session, "the tables are busy; trying again");
            pause_ms(MIGRATE_TRY_PAUSE_MS);
        }
        if (apply_once(session, step, &again)) {
            say(session, "migration %04d_%s applied", step->version, step->name);
            return true;
        }
    }
    say(session, "migration %04d_%s failed; nothing of it was kept", step->version, step->name);
    return false;
}

/* Highest applied version, 0 for none; -1: no answer; -2: no such table. */
static int schema_version(PGconn *connection, char *error, size_t capacity)
{
    PGresult *result =
        PQexec(connection, "select coalesce(max(version), 0) from schema_migrations");
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    int version = -1;

    if (PQresultStatus(result) == PGRES_TUPLES_OK) {
        version = (int)strtol(PQgetvalue(result, 0, 0), NULL, 10);
    } else if (state != NULL && strcmp(state, "42P01") == 0) {
        version = -2;
    } else {
        migrate_message(PQresultErrorMessage(result), error, capacity);
    }
    PQclear(result);
    return version;
}

/* Makes the table where there is none; refuses a schema from the future. */
static bool check_start(migrate_session *session)
{
    char error[MIGRATE_ERROR_MAX] = "";
    int version = schema_version(session->connection, error, sizeof(error));

    if (version == -2) {
        return execute(session, create_table, NULL);
    }
    if (version < 0) {
        say(session, "%s", error);
        return false;
    }
    if (version > migrate_newest()) {
        say(session,
            "the schema is at version %d, newer than this binary, which knows %d: use the "
            "newer workerd",
            version, migrate_newest());
        return false;
    }
    return true;
}

static bool apply_all(migrate_session *session)
{
    int applied_count = 0;

    for (int i = 0; i < migration_entry_count; i++) {
        char applied[MIGRATE_HEX_SIZE];
        migrate_step step;

        if (!read_step(i, &step) || step.version != i + 1) {
            say(session, "this binary's migrations are not numbered 1, 2, 3, ...");
            return false;
        }
        if (!applied_checksum(session, &step, applied)) {
            return false;
        }
        if (applied[0] == '\0') {
            if (!apply(session, &step)) {
                return false;
            }
            applied_count++;
        } else if (strcmp(applied, step.checksum) != 0) {
            say(session,
                "migration %04d_%s was changed after it was applied: its checksum is %.12s..., the "
                "database has %.12s...",
                step.version, step.name, step.checksum, applied);
            return false;
        }
    }
    if (applied_count > 0) {
        return execute(session, grant_table, NULL);
    }
    say(session, "the schema is up to date (version %d)", migrate_newest());
    return true;
}

bool migrate_run(const char *conninfo, const char *password_file, migrate_say *say_line,
                 void *owner)
{
    migrate_session session = {.say = say_line, .owner = owner};
    char error[MIGRATE_ERROR_MAX] = "";
    bool done = false;

    if (!crypto_start()) {
        say(&session, "OpenSSL lacks an algorithm");
        return false;
    }
    session.connection =
        migrate_connect(conninfo, password_file, "whale-migrate", error, sizeof(error));
    if (session.connection == NULL) {
        say(&session, "%s", error);
        return false;
    }
    done = execute(&session, "set client_min_messages = warning", NULL) && take_lock(&session) &&
           check_start(&session) && apply_all(&session);
    PQfinish(session.connection);
    return done;
}

enum migrate_check migrate_check(const char *conninfo, const char *password_file,
                                 char error[MIGRATE_ERROR_MAX])
{
    const int newest = migrate_newest();
    PGconn *connection =
        migrate_connect(conninfo, password_file, "whale-schema", error, MIGRATE_ERROR_MAX);
    int version;

    if (connection == NULL) {
        return MIGRATE_UNREACHABLE;
    }
    version = schema_version(connection, error, MIGRATE_ERROR_MAX);
    PQfinish(connection);
    if (version == -1) {
        return MIGRATE_UNREACHABLE;
    }
    if (version < newest) {
        snprintf(error, MIGRATE_ERROR_MAX,
                 "the schema is at version %d, this binary needs %d: run workerd migrate",
                 version < 0 ? 0 : version, newest);
        return MIGRATE_BEHIND;
    }
    if (version > newest + MIGRATE_AHEAD_ALLOWED) {
        snprintf(error, MIGRATE_ERROR_MAX,
                 "the schema is at version %d, this binary runs on %d to %d: use a newer workerd",
                 version, newest, newest + MIGRATE_AHEAD_ALLOWED);
        return MIGRATE_AHEAD;
    }
    return MIGRATE_FITS;
}
