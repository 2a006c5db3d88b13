/*
 * The database's schema: bringing it up to date, and checking that this binary can run on it.
 *
 * Promises of migrate_run: one at a time (an advisory lock; who waits says so); each migration in
 * its own transaction with its row of schema_migrations, so that one that fails leaves nothing; a
 * migration that was changed after it was applied, or a schema newer than this binary, is an error
 * that says so, and nothing is touched. Running it again does nothing.
 *
 * Migrations are expanded first and contracted in a later release, so a binary also runs on a
 * schema that is MIGRATE_AHEAD_ALLOWED newer than its own.
 */
#ifndef WHALE_WORKERD_MIGRATE_H
#define WHALE_WORKERD_MIGRATE_H

#include <stdbool.h>
#include <stddef.h>

#define MIGRATE_AHEAD_ALLOWED 1
#define MIGRATE_ERROR_MAX 512

/* Version of the newest embedded migration. */
int migrate_newest(void);

/* `say` gets progress and the error, a line each. */
typedef void migrate_say(void *owner, const char *line);
bool migrate_run(const char *conninfo, const char *password_file, migrate_say *say, void *owner);

enum migrate_check {
    MIGRATE_FITS,
    MIGRATE_UNREACHABLE, /* no connection, or no answer: ask again */
    MIGRATE_BEHIND,      /* run `workerd migrate` */
    MIGRATE_AHEAD,       /* this binary is too old */
};
enum migrate_check migrate_check(const char *conninfo, const char *password_file,
                                 char error[MIGRATE_ERROR_MAX]);

#endif
