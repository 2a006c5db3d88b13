/* Rows of Postgres as JSON; see whale_row.h. */
#include "whale_row.h"

#include "core/clock.h"

#include <string.h>

/* Types by their fixed oids (catalog/pg_type.dat). */
enum {
    ROW_BOOL = 16,
    ROW_INT8 = 20,
    ROW_INT2 = 21,
    ROW_INT4 = 23,
    ROW_JSON = 114,
    ROW_TIMESTAMPTZ = 1184,
    ROW_NUMERIC = 1700,
};

#define ROW_CELL_EXTRA 8 /* quotes, colon, comma, null */

size_t whale_row_room(const PGresult *result)
{
    const int rows = PQntuples(result), columns = PQnfields(result);
    size_t names = 0, room = 64;

    for (int column = 0; column < columns; column++) {
        names += strlen(PQfname(result, column)) + ROW_CELL_EXTRA;
    }
    for (int row = 0; row < rows; row++) {
        room += names + 2;
        for (int column = 0; column < columns; column++) {
            /* a control character becomes six */
            room += 6 * (size_t)PQgetlength(result, row, column) + 2;
        }
    }
    return room;
}

bool whale_row_time(const char *text, int64_t *time_ns)
{
    const size_t length = strlen(text);
    char copy[CLOCK_TEXT_MAX + 8];
    const char *offset;

    if (length < 20 || length > CLOCK_TEXT_MAX || text[10] != ' ') {
        return false;
    }
    memcpy(copy, text, length + 1);
    copy[10] = 'T';
    offset = strpbrk(copy + 19, "+-");
    if (offset == NULL) {
        return false;
    }
    if (strlen(offset) == 3) {
        memcpy(copy + length, ":00", 4); /* Postgres leaves out the minutes of a whole hour */
    }
    return clock_parse(copy, strlen(copy), time_ns);
}

static void row_time(json_writer *writer, const char *text)
{
    int64_t time_ns;

    if (whale_row_time(text, &time_ns)) {
        json_time(writer, time_ns);
    } else {
        json_null(writer);
    }
}

static void row_number(json_writer *writer, const char *text, size_t length)
{
    dec value;

    /* more digits than a dec holds do not fit any column of ours; they would go out as they are */
    if (dec_parse_rounded(text, length, DEC_HALF_EVEN, &value)) {
        json_dec(writer, value);
    } else {
        json_text(writer, text, length);
    }
}

static void row_cell(json_writer *writer, const PGresult *result, int row, int column)
{
    const char *text = PQgetvalue(result, row, column);
    const size_t length = (size_t)PQgetlength(result, row, column);

    if (PQgetisnull(result, row, column)) {
        json_null(writer);
        return;
    }
    switch (PQftype(result, column)) {
    case ROW_BOOL:
        json_bool(writer, text[0] == 't');
        return;
    case ROW_INT2:
    case ROW_INT4:
    case ROW_JSON:
        json_raw(writer, text, length);
        return;
    case ROW_INT8:
        json_text(writer, text, length);
        return;
    case ROW_NUMERIC:
        row_number(writer, text, length);
        return;
    case ROW_TIMESTAMPTZ:
        row_time(writer, text);
        return;
    default:
        json_text(writer, text, length);
    }
}

void whale_row_members(json_writer *writer, const PGresult *result, int row)
{
    const int columns = PQnfields(result);

    for (int column = 0; column < columns; column++) {
        const char *name = PQfname(result, column);

        if (name[0] != '_') {
            json_key(writer, name);
            row_cell(writer, result, row, column);
        }
    }
}

void whale_row_object(json_writer *writer, const PGresult *result, int row)
{
    json_object(writer);
    whale_row_members(writer, result, row);
    json_object_end(writer);
}

/* NULL where there is no such column or row, or the cell is null. */
static const char *row_find(const PGresult *result, int row, const char *column, size_t *length)
{
    const int at = result == NULL || row >= PQntuples(result) ? -1 : PQfnumber(result, column);

    if (at < 0 || PQgetisnull(result, row, at)) {
        return NULL;
    }
    *length = (size_t)PQgetlength(result, row, at);
    return PQgetvalue(result, row, at);
}

bool whale_row_id(const PGresult *result, int row, const char *column, int64_t *out)
{
    size_t length;
    const char *text = row_find(result, row, column, &length);
    const bool negative = text != NULL && text[0] == '-';
    uint64_t value = 0;

    if (text == NULL || length == negative || length > 19U + negative) {
        return false;
    }
    for (size_t i = negative; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    if (value > INT64_MAX) {
        return false;
    }
    *out = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

bool whale_row_dec(const PGresult *result, int row, const char *column, dec *out)
{
    size_t length;
    const char *text = row_find(result, row, column, &length);

    return text != NULL && dec_parse_rounded(text, length, DEC_HALF_EVEN, out);
}

bool whale_row_true(const PGresult *result, int row, const char *column)
{
    size_t length;
    const char *text = row_find(result, row, column, &length);

    return text != NULL && length == 1 && text[0] == 't';
}

const char *whale_row_text(const PGresult *result, int row, const char *column)
{
    size_t length;
    const char *text = row_find(result, row, column, &length);

    return text != NULL ? text : "";
}
