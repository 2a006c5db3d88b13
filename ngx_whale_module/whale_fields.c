/* Checked fields of bodies and queries; see whale_fields.h. */
#include "whale_fields.h"

#include "core/clock.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static enum whale_error fields_refuse(whale_values *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static enum whale_error fields_refuse(whale_values *out, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(out->message, sizeof(out->message), format, arguments);
    va_end(arguments);
    return ERROR_BAD_FIELD;
}

static bool fields_is_word(const char *words, const char *text, size_t length)
{
    const char *at = words;

    while (at != NULL && *at != '\0') {
        const size_t word = strcspn(at, "|");

        if (word == length && memcmp(at, text, length) == 0) {
            return true;
        }
        at += word + (at[word] == '|');
    }
    return false;
}

static bool fields_is_integer(const whale_field *field, const char *text, size_t length)
{
    const bool negative = length > 0 && text[0] == '-';
    int64_t value = 0;

    if (length - negative == 0 || length - negative > 18) {
        return false;
    }
    for (size_t i = negative; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (text[i] - '0');
    }
    value = negative ? -value : value;
    return value >= field->least && value <= field->most;
}

static bool fields_is_decimal(const whale_field *field, const char *text, size_t length)
{
    dec value;

    return dec_parse(text, length, &value) && dec_sign(value) > 0 &&
           (field->most == 0 || dec_compare(value, dec_from_int(field->most)) <= 0);
}

/* Lengths count bytes; control characters would reach logs and terminals. */
static bool fields_is_text(const whale_field *field, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char)text[i];

        if (c == 0x7F || (c < 0x20 && !(field->kind == WHALE_FIELD_SECRET &&
                                        (c == '\n' || c == '\r')))) {
            return false;
        }
    }
    return (int64_t)length >= field->least && (int64_t)length <= field->most;
}

static bool fields_fits(const whale_field *field, const char *text, size_t length)
{
    int64_t time_ns;

    switch (field->kind) {
    case WHALE_FIELD_TEXT:
    case WHALE_FIELD_SECRET:
        return fields_is_text(field, text, length);
    case WHALE_FIELD_WORD:
        return fields_is_word(field->words, text, length);
    case WHALE_FIELD_INTEGER:
        return fields_is_integer(field, text, length);
    case WHALE_FIELD_DECIMAL:
        return fields_is_decimal(field, text, length);
    case WHALE_FIELD_BOOLEAN:
        return fields_is_word("true|false", text, length);
    case WHALE_FIELD_TIME:
        return clock_parse(text, length, &time_ns);
    }
    return false;
}

static enum whale_error fields_explain(const whale_field *field, whale_values *out)
{
    switch (field->kind) {
    case WHALE_FIELD_TEXT:
    case WHALE_FIELD_SECRET:
        return fields_refuse(out, "\"%s\" must be text of %lld to %lld bytes.", field->name,
                             (long long)field->least, (long long)field->most);
    case WHALE_FIELD_WORD:
        return fields_refuse(out, "\"%s\" must be one of %s.", field->name, field->words);
    case WHALE_FIELD_INTEGER:
        return fields_refuse(out, "\"%s\" must be a whole number from %lld to %lld.", field->name,
                             (long long)field->least, (long long)field->most);
    case WHALE_FIELD_DECIMAL:
        if (field->most != 0) {
            return fields_refuse(out, "\"%s\" must be a decimal above 0, at most %lld.",
                                 field->name, (long long)field->most);
        }
        return fields_refuse(out, "\"%s\" must be a decimal above 0.", field->name);
    case WHALE_FIELD_BOOLEAN:
        return fields_refuse(out, "\"%s\" must be true or false.", field->name);
    case WHALE_FIELD_TIME:
        return fields_refuse(out, "\"%s\" must be an RFC 3339 time.", field->name);
    }
    return ERROR_BAD_FIELD;
}

/* The field's index, or `count` with the refusal written. */
static size_t fields_find(const whale_field *fields, size_t count, const char *name, size_t length,
                          whale_values *out)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(fields[i].name) == length && memcmp(fields[i].name, name, length) == 0) {
            if (!out->values[i].given) {
                return i;
            }
            fields_refuse(out, "\"%s\" is given twice.", fields[i].name);
            return count;
        }
    }
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)name[i]) && strchr("_-.", name[i]) == NULL) {
            length = i; /* only plain characters of a stranger's name are repeated */
        }
    }
    fields_refuse(out, "\"%.*s\" is not a field of this request.", length < 40 ? (int)length : 40,
                  name);
    return count;
}

static enum whale_error fields_required(const whale_field *fields, size_t count, whale_values *out)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].required && out->values[i].text == NULL) {
            return fields_refuse(out, "\"%s\" is missing.", fields[i].name);
        }
    }
    return ERROR_NONE;
}

/* Where the next text goes, NUL included. */
static void fields_keep(whale_values *out, size_t length, whale_value *value)
{
    value->given = true;
    value->text = out->arena;
    value->length = length;
    out->arena += length + 1;
    out->room -= length + 1;
}

/* Kinds of JSON value that a field takes: decimals and integers may be numbers or strings. */
static bool fields_json_kind(const whale_field *field, const json_doc *doc, int node)
{
    const bool is_text = json_is_string(doc, node);
    const bool is_bare = !is_text && !json_is_object(doc, node) && !json_is_array(doc, node);
    bool boolean;

    switch (field->kind) {
    case WHALE_FIELD_BOOLEAN:
        return is_bare && json_get_bool(doc, node, &boolean);
    case WHALE_FIELD_INTEGER:
    case WHALE_FIELD_DECIMAL:
        return is_text || is_bare;
    default:
        return is_text;
    }
}

static enum whale_error fields_member(const whale_field *field, const json_doc *doc, int node,
                                      whale_values *out, whale_value *value)
{
    const char *text;
    size_t length;

    if (json_is_null(doc, node)) {
        value->given = true;
        return field->nullable ? ERROR_NONE
                               : fields_refuse(out, "\"%s\" may not be null.", field->name);
    }
    if (!fields_json_kind(field, doc, node)) {
        return fields_explain(field, out);
    }
    if (json_is_string(doc, node)) {
        if (!json_copy(doc, node, out->arena, out->room)) {
            return fields_explain(field, out);
        }
        length = strlen(out->arena);
    } else {
        if (!json_slice(doc, node, &text, &length) || length >= out->room) {
            return fields_explain(field, out);
        }
        memcpy(out->arena, text, length);
        out->arena[length] = '\0';
    }
    if (!fields_fits(field, out->arena, length)) {
        return fields_explain(field, out);
    }
    fields_keep(out, length, value);
    return ERROR_NONE;
}

static void fields_begin(whale_values *out, char *arena, size_t room)
{
    memset(out, 0, sizeof(*out));
    out->arena = arena;
    out->room = room;
}

enum whale_error whale_fields_body(const whale_field *fields, size_t count, const char *text,
                                   size_t length, char *arena, size_t room, whale_values *out)
{
    jsmntok_t tokens[WHALE_BODY_TOKENS_MAX];
    json_doc doc;

    fields_begin(out, arena, room);
    if (length == 0) {
        return fields_required(fields, count, out);
    }
    if (json_parse(&doc, text, length, tokens, WHALE_BODY_TOKENS_MAX) != JSON_OK) {
        snprintf(out->message, sizeof(out->message), "%s", error_sentence(ERROR_BAD_JSON));
        return ERROR_BAD_JSON;
    }
    if (!json_is_object(&doc, 0)) {
        return fields_refuse(out, "The body must be a JSON object.");
    }
    for (int item = json_first(&doc, 0); item >= 0; item = json_next(&doc, item)) {
        const char *name = "";
        size_t name_length = 0, index;
        enum whale_error error;

        json_slice(&doc, item, &name, &name_length);
        index = fields_find(fields, count, name, name_length, out);
        if (index == count) {
            return ERROR_BAD_FIELD;
        }
        error = fields_member(&fields[index], &doc, item + 1, out, &out->values[index]);
        if (error != ERROR_NONE) {
            return error;
        }
    }
    return fields_required(fields, count, out);
}

static int fields_hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes into the arena; false for a broken escape, a NUL, or no room. */
static bool fields_decode(const char *at, const char *end, whale_values *out, size_t *length)
{
    *length = 0;
    while (at < end) {
        int byte = *at == '+' ? ' ' : (unsigned char)*at;

        if (*at == '%') {
            if (end - at < 3 || fields_hex(at[1]) < 0 || fields_hex(at[2]) < 0) {
                return false;
            }
            byte = fields_hex(at[1]) << 4 | fields_hex(at[2]);
            at += 2;
        }
        at++;
        if (byte == 0 || *length + 1 >= out->room) {
            return false;
        }
        out->arena[(*length)++] = (char)byte;
    }
    if (out->room == 0) {
        return false;
    }
    out->arena[*length] = '\0';
    return true;
}

enum whale_error whale_fields_query(const whale_field *fields, size_t count, const char *text,
                                    size_t length, char *arena, size_t room, whale_values *out)
{
    const char *at = text, *end = text + length;

    fields_begin(out, arena, room);
    while (at < end) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        const char *equals;
        size_t index, size;

        stop = stop != NULL ? stop : end;
        if (stop == at) {
            at++;
            continue;
        }
        equals = memchr(at, '=', (size_t)(stop - at));
        equals = equals != NULL ? equals : stop;
        index = fields_find(fields, count, at, (size_t)(equals - at), out);
        if (index == count) {
            return ERROR_BAD_FIELD;
        }
        if (!fields_decode(equals < stop ? equals + 1 : stop, stop, out, &size) ||
            !fields_fits(&fields[index], out->arena, size)) {
            return fields_explain(&fields[index], out);
        }
        fields_keep(out, size, &out->values[index]);
        at = stop + 1;
    }
    return fields_required(fields, count, out);
}
