/*
 * Reading JSON over jsmn's tokens. jsmn is compiled here and only here.
 *
 * Promises: no allocation, the text is never changed, every accessor is safe on -1 and on any
 * index. A token's subtree is what lies between its start and end, so skipping it needs no
 * recursion.
 */
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>

#include "core/json_private.h"

#include <limits.h>
#include <string.h>

/* jsmn cannot end a bare number at the end of the text, so a document that is one scalar is made
 * here. */
static void json_scalar_token(jsmntok_t *token, const char *text, size_t length)
{
    static const char spaces[] = " \t\r\n";
    size_t start = 0, end = length;

    while (memchr(spaces, text[start], 4) != NULL) {
        start++;
    }
    while (memchr(spaces, text[end - 1], 4) != NULL) {
        end--;
    }
    *token = (jsmntok_t){
        .type = JSMN_PRIMITIVE, .start = (int)start, .end = (int)end, .size = 0, .parent = -1};
    if (text[start] == '"') {
        token->type = JSMN_STRING;
        token->start++;
        token->end--;
    }
}

/* Of checked text, which has something that is no blank. */
static bool json_is_container(const char *text)
{
    while (*text == ' ' || *text == '\t' || *text == '\r' || *text == '\n') {
        text++;
    }
    return *text == '{' || *text == '[';
}

enum json_status json_parse(json_doc *doc, const char *text, size_t length, jsmntok_t *tokens,
                            int capacity)
{
    enum json_status status;
    jsmn_parser parser;

    *doc = (json_doc){.text = text, .tokens = tokens};
    if (length > INT_MAX || capacity < 1) {
        return JSON_TOO_LARGE;
    }
    status = json_check(text, length);
    if (status != JSON_OK) {
        return status;
    }
    if (!json_is_container(text)) {
        json_scalar_token(&tokens[0], text, length);
        doc->count = 1;
        return JSON_OK;
    }
    jsmn_init(&parser);
    doc->count = jsmn_parse(&parser, text, length, tokens, (unsigned)capacity);
    if (doc->count > 0) {
        return JSON_OK;
    }
    status = doc->count == JSMN_ERROR_NOMEM ? JSON_TOO_LARGE : JSON_SYNTAX;
    doc->count = 0;
    return status;
}

static const jsmntok_t *json_token(const json_doc *doc, int node)
{
    return node >= 0 && node < doc->count ? &doc->tokens[node] : NULL;
}

static bool json_has_type(const json_doc *doc, int node, jsmntype_t type)
{
    const jsmntok_t *token = json_token(doc, node);

    return token != NULL && token->type == type;
}

bool json_is_object(const json_doc *doc, int node)
{
    return json_has_type(doc, node, JSMN_OBJECT);
}

bool json_is_array(const json_doc *doc, int node)
{
    return json_has_type(doc, node, JSMN_ARRAY);
}

bool json_is_string(const json_doc *doc, int node)
{
    return json_has_type(doc, node, JSMN_STRING);
}

bool json_is_null(const json_doc *doc, int node)
{
    return json_has_type(doc, node, JSMN_PRIMITIVE) && doc->text[doc->tokens[node].start] == 'n';
}

int json_size(const json_doc *doc, int node)
{
    return json_is_object(doc, node) || json_is_array(doc, node) ? doc->tokens[node].size : 0;
}

int json_first(const json_doc *doc, int node)
{
    return json_size(doc, node) > 0 ? node + 1 : -1;
}

int json_next(const json_doc *doc, int item)
{
    const jsmntok_t *token = json_token(doc, item);
    int parent, next, end;

    if (token == NULL || token->parent < 0) {
        return -1;
    }
    parent = token->parent;
    next = json_is_object(doc, parent) ? item + 1 : item; /* a key's subtree is its value's */
    end = doc->tokens[next].end;
    for (next++; next < doc->count && doc->tokens[next].start < end; next++) {
    }
    return next < doc->count && doc->tokens[next].parent == parent ? next : -1;
}

bool json_slice(const json_doc *doc, int node, const char **text, size_t *length)
{
    const jsmntok_t *token = json_token(doc, node);

    if (token == NULL) {
        return false;
    }
    *text = doc->text + token->start;
    *length = (size_t)(token->end - token->start);
    return true;
}

/* The value at a key, or -1. */
static int json_member(const json_doc *doc, int node, const char *key, size_t length)
{
    if (!json_is_object(doc, node)) {
        return -1;
    }
    for (int it = json_first(doc, node); it >= 0; it = json_next(doc, it)) {
        const jsmntok_t *token = &doc->tokens[it];

        if ((size_t)(token->end - token->start) == length &&
            memcmp(doc->text + token->start, key, length) == 0) {
            return it + 1;
        }
    }
    return -1;
}

static int json_element(const json_doc *doc, int node, int index)
{
    int it;

    if (!json_is_array(doc, node) || index >= doc->tokens[node].size) {
        return -1;
    }
    it = json_first(doc, node);
    while (it >= 0 && index-- > 0) {
        it = json_next(doc, it);
    }
    return it;
}

/* "3]": the index, and *path behind the bracket; -1 where it is none. */
static int json_path_index(const char **path)
{
    int index = 0;
    const char *at = *path;

    if (*at == ']') {
        return -1;
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        if (index > (INT_MAX - 9) / 10) {
            return -1;
        }
        index = index * 10 + (*at - '0');
    }
    if (*at != ']') {
        return -1;
    }
    *path = at + 1;
    return index;
}

int json_at(const json_doc *doc, int node, const char *path)
{
    if (json_token(doc, node) == NULL) {
        return -1;
    }
    while (*path != '\0' && node >= 0) {
        if (*path == '[') {
            int index;

            path++;
            index = json_path_index(&path);
            node = index < 0 ? -1 : json_element(doc, node, index);
        } else {
            size_t length = strcspn(path, ".[");

            node = json_member(doc, node, path, length);
            path += length;
        }
        if (*path == '.') {
            path++;
        }
    }
    return node;
}

static uint32_t json_hex4(const char *at)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)at[i];

        value = value << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

/* One character, unescaped, from checked text; returns how many bytes of text it took. */
static size_t json_unescape(const char *at, const char *end, char out[4], size_t *size)
{
    static const char letters[] = "bfnrt", values[] = "\b\f\n\r\t";
    const char *letter;
    uint32_t code, low;

    *size = 1;
    out[0] = at[0];
    if (at[0] != '\\') {
        return 1;
    }
    if (at[1] != 'u') {
        letter = strchr(letters, at[1]);
        out[0] = letter != NULL ? values[letter - letters] : at[1];
        return 2;
    }
    code = json_hex4(at + 2);
    if (code >= 0xD800 && code <= 0xDBFF && end - at >= 12 && at[6] == '\\' && at[7] == 'u') {
        low = json_hex4(at + 8);
        if (low >= 0xDC00 && low <= 0xDFFF) {
            *size = json_utf8_encode(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00), out);
            return 12;
        }
    }
    *size = json_utf8_encode(code, out);
    return 6;
}

bool json_copy(const json_doc *doc, int node, char *out, size_t capacity)
{
    const char *at, *end;
    size_t length, used = 0;

    if (!json_is_string(doc, node) || !json_slice(doc, node, &at, &length)) {
        return false;
    }
    for (end = at + length; at < end;) {
        char bytes[4];
        size_t size, taken = json_unescape(at, end, bytes, &size);

        if (bytes[0] == '\0' || capacity - used <= size || capacity == 0) {
            return false;
        }
        memcpy(out + used, bytes, size);
        used += size;
        at += taken;
    }
    if (capacity == 0) {
        return false;
    }
    out[used] = '\0';
    return true;
}

bool json_equals(const json_doc *doc, int node, const char *text)
{
    size_t length, expected = strlen(text);
    const char *at, *end;

    if (!json_slice(doc, node, &at, &length)) {
        return false;
    }
    if (!json_is_string(doc, node) || memchr(at, '\\', length) == NULL) {
        return length == expected && memcmp(at, text, length) == 0;
    }
    for (end = at + length; at < end;) {
        char bytes[4];
        size_t size, taken = json_unescape(at, end, bytes, &size);

        if (expected < size || memcmp(text, bytes, size) != 0) {
            return false;
        }
        text += size;
        expected -= size;
        at += taken;
    }
    return expected == 0;
}

/* Text that may be a number: a bare value or a string's content. */
static bool json_number_slice(const json_doc *doc, int node, const char **text, size_t *length)
{
    return (json_has_type(doc, node, JSMN_PRIMITIVE) || json_is_string(doc, node)) &&
           json_slice(doc, node, text, length);
}

bool json_get_dec(const json_doc *doc, int node, dec *out)
{
    const char *text;
    size_t length;

    return json_number_slice(doc, node, &text, &length) && dec_parse(text, length, out);
}

bool json_get_dec_rounded(const json_doc *doc, int node, dec *out)
{
    const char *text;
    size_t length;

    return json_number_slice(doc, node, &text, &length) &&
           dec_parse_rounded(text, length, DEC_HALF_EVEN, out);
}

bool json_get_int(const json_doc *doc, int node, int64_t *out)
{
    dec value;
    __int128 whole;

    if (!json_get_dec(doc, node, &value)) {
        return false;
    }
    whole = value.units / DEC_ONE.units;
    if (whole * DEC_ONE.units != value.units || whole < INT64_MIN || whole > INT64_MAX) {
        return false;
    }
    *out = (int64_t)whole;
    return true;
}

bool json_get_bool(const json_doc *doc, int node, bool *out)
{
    if (json_is_object(doc, node) || json_is_array(doc, node)) {
        return false;
    }
    if (json_equals(doc, node, "true")) {
        *out = true;
        return true;
    }
    if (json_equals(doc, node, "false")) {
        *out = false;
        return true;
    }
    return false;
}
