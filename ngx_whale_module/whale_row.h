/*
 * Rows of Postgres as JSON: a query's columns are the members, in order, and their types say how.
 *
 *   bigint -> id, a string      smaller integers -> number      numeric -> decimal, a string
 *   boolean -> true/false       timestamptz -> RFC 3339 UTC     json -> as it is
 *   others -> text              null -> null
 *
 * A column whose name starts with "_" is for the program, not for the client.
 */
#ifndef WHALE_ROW_H
#define WHALE_ROW_H

#include "core/json.h"

#include <libpq-fe.h>

/* An upper bound of the text of all rows, escapes included. */
size_t whale_row_room(const PGresult *result);
/* The members of one row, without braces. */
void whale_row_members(json_writer *writer, const PGresult *result, int row);
void whale_row_object(json_writer *writer, const PGresult *result, int row);

/* Cells by column name; false where it is null or not of that kind. */
bool whale_row_id(const PGresult *result, int row, const char *column, int64_t *out);
bool whale_row_dec(const PGresult *result, int row, const char *column, dec *out);
bool whale_row_true(const PGresult *result, int row, const char *column);
/* Empty where null or absent. */
const char *whale_row_text(const PGresult *result, int row, const char *column);

/* "2026-11-20 09:10:11.123456+00", as Postgres writes it under DateStyle ISO. */
bool whale_row_time(const char *text, int64_t *time_ns);

#endif
