/*
 * A plain, blocking connection to Postgres for commands that have no loop.
 */
#ifndef WHALE_WORKERD_MIGRATE_CONNECT_H
#define WHALE_WORKERD_MIGRATE_CONNECT_H

#include <libpq-fe.h>
#include <stddef.h>

#define MIGRATE_CONNECT_TIMEOUT_S "5"

/* NULL: `error` says why, without the connection string. */
PGconn *migrate_connect(const char *conninfo, const char *password_file, const char *application,
                        char *error, size_t capacity);
/* libpq's message without its line ends. */
void migrate_message(const char *message, char *out, size_t capacity);

#endif
