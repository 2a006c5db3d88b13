/*
 * The JSON writer: bytes into the caller's buffer, commas and nesting kept by bits.
 *
 * Promises: never a byte past the capacity; after the first thing that does not fit, or that JSON
 * does not allow in that place (a value without a key, a key without a value, a bracket that does
 * not match, a second root), nothing more is written and json_finish says false.
 */
#include "core/clock.h"
#include "core/digits.h"
#include "core/json_private.h"

#include <string.h>

void json_begin(json_writer *writer, char *buffer, size_t capacity)
{
    *writer = (json_writer){.buffer = buffer, .capacity = capacity};
}

/* Room for `length` bytes, which the caller fills; NULL when there is none. */
static char *json_room(json_writer *writer, size_t length)
{
    char *at;

    if (writer->failed || writer->capacity - writer->length < length) {
        writer->failed = true;
        return NULL;
    }
    at = writer->buffer + writer->length;
    writer->length += length;
    return at;
}

static void json_put(json_writer *writer, const char *text, size_t length)
{
    char *at = json_room(writer, length);

    if (at != NULL && length > 0) {
        memcpy(at, text, length);
    }
}

static void json_put_char(json_writer *writer, char c)
{
    char *at = json_room(writer, 1);

    if (at != NULL) {
        *at = c;
    }
}

static uint32_t json_bit(const json_writer *writer)
{
    return writer->depth == 0 ? 0 : 1U << (writer->depth - 1);
}

/* What goes before any value: the comma, or the refusal. */
static void json_place_value(json_writer *writer)
{
    uint32_t bit = json_bit(writer);

    if (writer->after_key) {
        writer->after_key = false;
        return;
    }
    if ((writer->objects & bit) != 0 || (bit == 0 && writer->length > 0)) {
        writer->failed = true;
        return;
    }
    if ((writer->needs_comma & bit) != 0) {
        json_put_char(writer, ',');
    }
    writer->needs_comma |= bit;
}

static void json_open(json_writer *writer, bool object)
{
    uint32_t bit;

    json_place_value(writer);
    if (writer->depth == JSON_DEPTH_MAX) {
        writer->failed = true;
        return;
    }
    writer->depth++;
    bit = json_bit(writer);
    writer->needs_comma &= ~bit;
    writer->objects = object ? writer->objects | bit : writer->objects & ~bit;
    json_put_char(writer, object ? '{' : '[');
}

static void json_close(json_writer *writer, bool object)
{
    bool is_object = (writer->objects & json_bit(writer)) != 0;

    if (writer->depth == 0 || is_object != object || writer->after_key) {
        writer->failed = true;
        return;
    }
    writer->depth--;
    json_put_char(writer, object ? '}' : ']');
}

void json_object(json_writer *writer)
{
    json_open(writer, true);
}

void json_object_end(json_writer *writer)
{
    json_close(writer, true);
}

void json_array(json_writer *writer)
{
    json_open(writer, false);
}

void json_array_end(json_writer *writer)
{
    json_close(writer, false);
}

static void json_put_escape(json_writer *writer, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    static const char *const names = "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs: byte, its letter */
    char escape[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};

    for (const char *pair = names; *pair != '\0'; pair += 2) {
        if ((unsigned char)pair[0] == c) {
            json_put(writer, (char[]){'\\', pair[1]}, 2);
            return;
        }
    }
    json_put(writer, escape, sizeof(escape));
}

/* Between the quotes. DEL is escaped too: terminals and log viewers act on it. */
static void json_put_escaped(json_writer *writer, const char *text, size_t length)
{
    const unsigned char *at = (const unsigned char *)text, *end;
    const unsigned char *plain = at; /* from here on nothing needs a change */

    if (length == 0) {
        return; /* then text may be NULL */
    }
    end = at + length;
    while (at < end) {
        size_t size;

        if (*at >= 0x20 && *at < 0x7F && *at != '"' && *at != '\\') {
            at++;
            continue;
        }
        size = json_utf8_length(at, end);
        if (size > 1) {
            at += size;
            continue;
        }
        json_put(writer, (const char *)plain, (size_t)(at - plain));
        if (size == 1) {
            json_put_escape(writer, *at);
        } else {
            json_put(writer, "\xEF\xBF\xBD", 3);
        }
        plain = ++at;
    }
    json_put(writer, (const char *)plain, (size_t)(at - plain));
}

void json_key(json_writer *writer, const char *key)
{
    uint32_t bit = json_bit(writer);

    if (key == NULL || writer->after_key || (writer->objects & bit) == 0) {
        writer->failed = true;
        return;
    }
    if ((writer->needs_comma & bit) != 0) {
        json_put_char(writer, ',');
    }
    writer->needs_comma |= bit;
    json_put_char(writer, '"');
    json_put_escaped(writer, key, strlen(key));
    json_put(writer, "\":", 2);
    writer->after_key = true;
}

void json_text(json_writer *writer, const char *text, size_t length)
{
    json_place_value(writer);
    json_put_char(writer, '"');
    json_put_escaped(writer, text, length);
    json_put_char(writer, '"');
}

void json_string(json_writer *writer, const char *text)
{
    if (text == NULL) {
        json_null(writer);
        return;
    }
    json_text(writer, text, strlen(text));
}

void json_dec(json_writer *writer, dec value)
{
    char text[DEC_TEXT_MAX + 2] = "\"";
    size_t length = 1 + dec_format(value, text + 1);

    text[length++] = '"';
    json_place_value(writer);
    json_put(writer, text, length);
}

/* -9223372036854775808 has 20 characters. */
static size_t json_format_int(char out[DIGITS_U64_MAX + 1], int64_t value)
{
    uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;

    out[0] = '-';
    return value < 0 ? 1 + digits_put(out + 1, magnitude) : digits_put(out, magnitude);
}

void json_id(json_writer *writer, int64_t id)
{
    char text[DIGITS_U64_MAX + 3] = "\"";
    size_t length = 1 + json_format_int(text + 1, id);

    text[length++] = '"';
    json_place_value(writer);
    json_put(writer, text, length);
}

void json_int(json_writer *writer, int64_t value)
{
    char text[DIGITS_U64_MAX + 1];
    size_t length = json_format_int(text, value);

    json_place_value(writer);
    json_put(writer, text, length);
}

void json_bool(json_writer *writer, bool value)
{
    json_place_value(writer);
    json_put(writer, value ? "true" : "false", value ? 4 : 5);
}

void json_null(json_writer *writer)
{
    json_place_value(writer);
    json_put(writer, "null", 4);
}

void json_time(json_writer *writer, int64_t time_ns)
{
    char text[CLOCK_TEXT_MAX];

    if (time_ns == 0) {
        json_null(writer);
        return;
    }
    json_text(writer, text, clock_format(time_ns, text));
}

void json_raw(json_writer *writer, const char *text, size_t length)
{
    json_place_value(writer);
    json_put(writer, text, length);
}

bool json_finish(json_writer *writer)
{
    if (writer->length < writer->capacity) {
        writer->buffer[writer->length] = '\0';
    }
    return !writer->failed && writer->depth == 0 && writer->length > 0;
}
