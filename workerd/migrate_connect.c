/*
 * A plain, blocking connection to Postgres for commands that have no loop: see the header.
 */
#include "workerd/migrate_connect.h"

#include "core/crypto.h"

#include <stdio.h>
#include <string.h>

#define PASSWORD_MAX 1024
#define PARAMETERS_MAX 64

void migrate_message(const char *message, char *out, size_t capacity)
{
    size_t length = strlen(message);

    while (length > 0 && message[length - 1] == '\n') {
        length--;
    }
    snprintf(out, capacity, "%.*s", (int)length, message);
    for (; *out != '\0'; out++) {
        if (*out == '\n') {
            *out = ' ';
        }
    }
}

static PGconn *connect_with(const PQconninfoOption *given, const char *password,
                            const char *application)
{
    const char *keywords[PARAMETERS_MAX + 1] = {"connect_timeout", "application_name"};
    const char *values[PARAMETERS_MAX + 1] = {MIGRATE_CONNECT_TIMEOUT_S, application};
    size_t count = 2;

    for (; given->keyword != NULL && count < PARAMETERS_MAX - 1; given++) {
        if (given->val != NULL) {
            keywords[count] = given->keyword;
            values[count++] = given->val;
        }
    }
    if (password != NULL) {
        keywords[count] = "password";
        values[count++] = password;
    }
    return PQconnectdbParams(keywords, values, 0);
}

static void swallow_notice(void *owner, const char *message)
{
    (void)owner;
    (void)message;
}

PGconn *migrate_connect(const char *conninfo, const char *password_file, const char *application,
                        char *error, size_t capacity)
{
    char password[PASSWORD_MAX] = "", *reason = NULL;
    PQconninfoOption *given = PQconninfoParse(conninfo, &reason);
    bool has_password = password_file != NULL && *password_file != '\0';
    PGconn *connection = NULL;

    if (given == NULL) {
        /* libpq's message may quote the text around the mistake, and so a password. */
        snprintf(error, capacity, "the connection string is malformed");
        goto done;
    }
    if (has_password &&
        crypto_read_secret(password_file, password, sizeof(password), error, capacity) < 0) {
        goto done;
    }
    connection = connect_with(given, has_password ? password : NULL, application);
    if (PQstatus(connection) != CONNECTION_OK) {
        migrate_message(PQerrorMessage(connection), error, capacity);
        PQfinish(connection);
        connection = NULL;
        goto done;
    }
    PQsetNoticeProcessor(connection, swallow_notice, NULL);
done:
    crypto_wipe(password, sizeof(password));
    PQconninfoFree(given);
    PQfreemem(reason);
    return connection;
}
