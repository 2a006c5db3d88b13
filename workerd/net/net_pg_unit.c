/*
 * Building a unit of work: statements and their parameters, as text, in one growing buffer.
 *
 * Promises: whatever the caller passes is copied; array elements are quoted so that the server
 * reads back the very text; a unit over NET_PG_UNIT_BYTES_MAX, or built in a wrong order, is
 * refused as a whole by net_pg_run and never sent in part.
 */
#include "workerd/net/net_pg_private.h"

#include "core/crypto.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIT_TEXT_FIRST 1024
#define UNIT_PARAMETERS_FIRST 16
#define INT_TEXT_MAX 24

net_pg_unit *net_pg_unit_new(bool transaction)
{
    net_pg_unit *unit = calloc(1, sizeof(*unit));

    if (unit != NULL) {
        unit->transaction = transaction;
    }
    return unit;
}

void net_pg_unit_free(net_pg_unit *unit)
{
    if (unit == NULL) {
        return;
    }
    for (unsigned i = 0; i < unit->statement_count; i++) {
        PQclear(unit->results[i]);
    }
    free(unit->parameters);
    free(unit->text);
    free(unit);
}

/* Room for `length` more bytes, or NULL and the unit is malformed. */
static char *reserve(net_pg_unit *unit, size_t length)
{
    if (unit->malformed || length > NET_PG_UNIT_BYTES_MAX - unit->length) {
        unit->malformed = true;
        return NULL;
    }
    if (unit->length + length > unit->capacity) {
        size_t capacity = unit->capacity == 0 ? UNIT_TEXT_FIRST : unit->capacity;
        char *text;

        while (capacity < unit->length + length) {
            capacity *= 2;
        }
        text = realloc(unit->text, capacity);
        if (text == NULL) {
            unit->malformed = true;
            return NULL;
        }
        unit->text = text;
        unit->capacity = capacity;
    }
    return unit->text + unit->length;
}

static void append(net_pg_unit *unit, const char *text, size_t length)
{
    char *place = reserve(unit, length);

    if (place != NULL) {
        memcpy(place, text, length);
        unit->length += length;
    }
}

static void end_array(net_pg_unit *unit)
{
    if (unit->in_array) {
        append(unit, "}", 2);
        unit->in_array = false;
    }
}

void net_pg_statement(net_pg_unit *unit, const char *sql)
{
    if (unit == NULL) {
        return;
    }
    end_array(unit);
    if (unit->statement_count == NET_PG_STATEMENTS_MAX) {
        unit->malformed = true;
        return;
    }
    unit->statements[unit->statement_count++] =
        (net_pg_sql){.sql = sql, .first = unit->parameter_count};
}

/* Begins a parameter of the last statement, whose text starts at the buffer's end. */
static bool begin_parameter(net_pg_unit *unit, bool null)
{
    net_pg_sql *statement;

    if (unit == NULL) {
        return false;
    }
    end_array(unit);
    if (unit->malformed || unit->statement_count == 0) {
        unit->malformed = true;
        return false;
    }
    statement = &unit->statements[unit->statement_count - 1];
    if (statement->count == NET_PG_PARAMETERS_MAX) {
        unit->malformed = true;
        return false;
    }
    if (unit->parameter_count == unit->parameter_capacity) {
        unsigned capacity =
            unit->parameter_capacity == 0 ? UNIT_PARAMETERS_FIRST : 2 * unit->parameter_capacity;
        net_pg_parameter *grown = realloc(unit->parameters, capacity * sizeof(*grown));

        if (grown == NULL) {
            unit->malformed = true;
            return false;
        }
        unit->parameters = grown;
        unit->parameter_capacity = capacity;
    }
    unit->parameters[unit->parameter_count++] =
        (net_pg_parameter){.offset = unit->length, .null = null};
    statement->count++;
    return true;
}

static size_t format_int(int64_t value, char text[INT_TEXT_MAX])
{
    return (size_t)snprintf(text, INT_TEXT_MAX, "%" PRId64, value);
}

void net_pg_text(net_pg_unit *unit, const char *text)
{
    if (begin_parameter(unit, text == NULL) && text != NULL) {
        append(unit, text, strlen(text) + 1);
    }
}

void net_pg_int(net_pg_unit *unit, int64_t value)
{
    char text[INT_TEXT_MAX];

    format_int(value, text);
    net_pg_text(unit, text);
}

void net_pg_dec(net_pg_unit *unit, dec value)
{
    char text[DEC_TEXT_MAX];

    dec_format(value, text);
    net_pg_text(unit, text);
}

void net_pg_bool(net_pg_unit *unit, bool value)
{
    net_pg_text(unit, value ? "t" : "f");
}

void net_pg_time(net_pg_unit *unit, int64_t time_ns)
{
    char text[CLOCK_TEXT_MAX];

    if (time_ns == 0) {
        net_pg_text(unit, NULL);
        return;
    }
    clock_format(time_ns, text);
    net_pg_text(unit, text);
}

void net_pg_bytes(net_pg_unit *unit, const void *data, size_t length)
{
    char *place;

    if (!begin_parameter(unit, data == NULL) || data == NULL) {
        return;
    }
    if (length > NET_PG_UNIT_BYTES_MAX / 2) {
        unit->malformed = true;
        return;
    }
    place = reserve(unit, 2 * length + 3);
    if (place != NULL) {
        place[0] = '\\';
        place[1] = 'x';
        crypto_hex(data, length, place + 2);
        unit->length += 2 * length + 3;
    }
}

void net_pg_array(net_pg_unit *unit)
{
    if (begin_parameter(unit, false)) {
        append(unit, "{", 1);
        unit->in_array = unit->array_empty = true;
    }
}

static bool begin_element(net_pg_unit *unit)
{
    if (unit == NULL) {
        return false;
    }
    if (!unit->in_array) {
        unit->malformed = true;
        return false;
    }
    if (!unit->array_empty) {
        append(unit, ",", 1);
    }
    unit->array_empty = false;
    return true;
}

/* An element that needs no quotes: digits, points, signs, t, f, NULL. */
static void push_bare(net_pg_unit *unit, const char *text, size_t length)
{
    if (begin_element(unit)) {
        append(unit, text, length);
    }
}

void net_pg_push_text(net_pg_unit *unit, const char *text)
{
    size_t length;
    char *place;

    if (text == NULL) {
        push_bare(unit, "NULL", 4);
        return;
    }
    if (!begin_element(unit)) {
        return;
    }
    /* Always quoted, so that "", "NULL", blanks, commas and braces need no thought. */
    length = strlen(text);
    if (length > NET_PG_UNIT_BYTES_MAX / 2) {
        unit->malformed = true;
        return;
    }
    place = reserve(unit, 2 * length + 2);
    if (place == NULL) {
        return;
    }
    *place++ = '"';
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"' || text[i] == '\\') {
            *place++ = '\\';
        }
        *place++ = text[i];
    }
    *place++ = '"';
    unit->length = (size_t)(place - unit->text);
}

void net_pg_push_int(net_pg_unit *unit, int64_t value)
{
    char text[INT_TEXT_MAX];

    push_bare(unit, text, format_int(value, text));
}

void net_pg_push_dec(net_pg_unit *unit, dec value)
{
    char text[DEC_TEXT_MAX];

    push_bare(unit, text, dec_format(value, text));
}

void net_pg_push_bool(net_pg_unit *unit, bool value)
{
    push_bare(unit, value ? "t" : "f", 1);
}

void net_pg_push_time(net_pg_unit *unit, int64_t time_ns)
{
    char text[CLOCK_TEXT_MAX];

    if (time_ns == 0) {
        push_bare(unit, "NULL", 4);
        return;
    }
    push_bare(unit, text, clock_format(time_ns, text));
}

bool net_pg_unit_seal(net_pg_unit *unit)
{
    end_array(unit);
    return !unit->malformed && unit->statement_count > 0;
}
