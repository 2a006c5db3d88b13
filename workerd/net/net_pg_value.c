/*
 * Reading results: text to values, with NULL and malformed text both told apart from a value.
 *
 * Promises: no getter reads outside the result, whatever row or column it is asked for; the output
 * is written only where the getter returns true.
 */
#include "workerd/net/net_pg_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *net_pg_value(const PGresult *result, int row, int column)
{
    if (row < 0 || row >= PQntuples(result) || column < 0 || column >= PQnfields(result) ||
        PQgetisnull(result, row, column)) {
        return NULL;
    }
    return PQgetvalue(result, row, column);
}

bool net_pg_get_int(const PGresult *result, int row, int column, int64_t *value)
{
    const char *text = net_pg_value(result, row, column);
    char *end;
    long long number;

    /* strtoll skips blanks and takes a plus, neither of which Postgres writes. */
    if (text == NULL || !(*text == '-' || (*text >= '0' && *text <= '9'))) {
        return false;
    }
    errno = 0;
    number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0') {
        return false;
    }
    *value = number;
    return true;
}

bool net_pg_get_dec(const PGresult *result, int row, int column, dec *value)
{
    const char *text = net_pg_value(result, row, column);

    return text != NULL && dec_parse(text, strlen(text), value);
}

bool net_pg_get_bool(const PGresult *result, int row, int column, bool *value)
{
    const char *text = net_pg_value(result, row, column);

    if (text == NULL || (strcmp(text, "t") != 0 && strcmp(text, "f") != 0)) {
        return false;
    }
    *value = *text == 't';
    return true;
}

bool net_pg_get_time(const PGresult *result, int row, int column, int64_t *time_ns)
{
    return net_pg_get_int(result, row, column, time_ns);
}
