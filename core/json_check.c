/*
 * The grammar of RFC 8259, all of it and nothing more. jsmn finds tokens quickly but lets through
 * `[1 2]`, `{"a" 1}`, `01`, raw control characters and whatever follows a NUL; this pass does not,
 * so that what reaches jsmn is known to be JSON.
 *
 * Promises: one pass, no recursion (open brackets are bits of one word), reads no byte past the
 * text, accepts only well-formed UTF-8.
 */
#include "core/json_private.h"

#include <string.h>

typedef struct {
    const unsigned char *at, *end;
} json_cursor;

size_t json_utf8_length(const unsigned char *at, const unsigned char *end)
{
    size_t left = (size_t)(end - at), need;
    unsigned char first, least = 0x80, most = 0xBF;

    if (left == 0) {
        return 0;
    }
    first = at[0];
    if (first < 0x80) {
        return 1;
    }
    if (first < 0xC2 || first > 0xF4) {
        return 0;
    }
    need = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (left < need) {
        return 0;
    }
    if (first == 0xE0) {
        least = 0xA0; /* shorter forms exist */
    } else if (first == 0xED) {
        most = 0x9F; /* surrogates */
    } else if (first == 0xF0) {
        least = 0x90;
    } else if (first == 0xF4) {
        most = 0x8F; /* past U+10FFFF */
    }
    if (at[1] < least || at[1] > most) {
        return 0;
    }
    for (size_t i = 2; i < need; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return need;
}

size_t json_utf8_encode(uint32_t code_point, char out[4])
{
    if (code_point > 0x10FFFF || (code_point >= 0xD800 && code_point <= 0xDFFF)) {
        code_point = 0xFFFD;
    }
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (char)(0xC0 | code_point >> 6);
        out[1] = (char)(0x80 | (code_point & 0x3F));
        return 2;
    }
    if (code_point < 0x10000) {
        out[0] = (char)(0xE0 | code_point >> 12);
        out[1] = (char)(0x80 | (code_point >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code_point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code_point >> 18);
    out[1] = (char)(0x80 | (code_point >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code_point >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code_point & 0x3F));
    return 4;
}

static void json_skip_space(json_cursor *cursor)
{
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\t' ||
                                        *cursor->at == '\n' || *cursor->at == '\r')) {
        cursor->at++;
    }
}

static bool json_take(json_cursor *cursor, unsigned char c)
{
    if (cursor->at == cursor->end || *cursor->at != c) {
        return false;
    }
    cursor->at++;
    return true;
}

static bool json_is_hex(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool json_check_escape(json_cursor *cursor)
{
    unsigned char c;

    if (cursor->at == cursor->end) {
        return false;
    }
    c = *cursor->at++;
    if (c != 'u') {
        return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
    }
    if (cursor->end - cursor->at < 4) {
        return false;
    }
    for (int i = 0; i < 4; i++) {
        if (!json_is_hex(*cursor->at++)) {
            return false;
        }
    }
    return true;
}

/* The opening quote is behind the cursor. */
static bool json_check_string(json_cursor *cursor)
{
    while (cursor->at < cursor->end) {
        unsigned char c = *cursor->at;

        if (c == '"') {
            cursor->at++;
            return true;
        }
        if (c < 0x20) {
            return false;
        }
        if (c == '\\') {
            cursor->at++;
            if (!json_check_escape(cursor)) {
                return false;
            }
        } else if (c < 0x80) {
            cursor->at++;
        } else {
            size_t length = json_utf8_length(cursor->at, cursor->end);

            if (length == 0) {
                return false;
            }
            cursor->at += length;
        }
    }
    return false;
}

static bool json_skip_digits(json_cursor *cursor)
{
    const unsigned char *start = cursor->at;

    while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9') {
        cursor->at++;
    }
    return cursor->at > start;
}

static bool json_check_number(json_cursor *cursor)
{
    json_take(cursor, '-');
    if (!json_take(cursor, '0') && !json_skip_digits(cursor)) {
        return false;
    }
    if (json_take(cursor, '.') && !json_skip_digits(cursor)) {
        return false;
    }
    if (json_take(cursor, 'e') || json_take(cursor, 'E')) {
        if (!json_take(cursor, '-')) {
            json_take(cursor, '+');
        }
        return json_skip_digits(cursor);
    }
    return true;
}

static bool json_check_word(json_cursor *cursor, const char *word)
{
    size_t length = strlen(word);

    if ((size_t)(cursor->end - cursor->at) < length || memcmp(cursor->at, word, length) != 0) {
        return false;
    }
    cursor->at += length;
    return true;
}

static bool json_check_scalar(json_cursor *cursor)
{
    if (cursor->at == cursor->end) {
        return false;
    }
    switch (*cursor->at) {
    case '"':
        cursor->at++;
        return json_check_string(cursor);
    case 't':
        return json_check_word(cursor, "true");
    case 'f':
        return json_check_word(cursor, "false");
    case 'n':
        return json_check_word(cursor, "null");
    default:
        return json_check_number(cursor);
    }
}

static bool json_check_key(json_cursor *cursor)
{
    json_skip_space(cursor);
    if (!json_take(cursor, '"') || !json_check_string(cursor)) {
        return false;
    }
    json_skip_space(cursor);
    return json_take(cursor, ':');
}

typedef struct {
    uint32_t objects; /* bit 0: the innermost open bracket is an object's */
    unsigned depth;
} json_nesting;

_Static_assert(JSON_DEPTH_MAX <= 32, "one bit a level");

/* After a value: closes what ends here. False: neither a comma nor a fitting bracket. */
static bool json_check_after(json_cursor *cursor, json_nesting *nesting)
{
    while (nesting->depth > 0) {
        bool object = nesting->objects & 1;

        json_skip_space(cursor);
        if (json_take(cursor, ',')) {
            return !object || json_check_key(cursor);
        }
        if (!json_take(cursor, object ? '}' : ']')) {
            return false;
        }
        nesting->objects >>= 1;
        nesting->depth--;
    }
    return true;
}

enum json_status json_check(const char *text, size_t length)
{
    json_cursor cursor = {(const unsigned char *)text, (const unsigned char *)text + length};
    json_nesting nesting = {0};

    do {
        bool object, empty = false;

        json_skip_space(&cursor);
        object = json_take(&cursor, '{');
        if (object || json_take(&cursor, '[')) {
            if (nesting.depth == JSON_DEPTH_MAX) {
                return JSON_TOO_LARGE;
            }
            nesting.objects = nesting.objects << 1 | object;
            nesting.depth++;
            json_skip_space(&cursor);
            empty = cursor.at < cursor.end && *cursor.at == (object ? '}' : ']');
            if (!empty && object && !json_check_key(&cursor)) {
                return JSON_SYNTAX;
            }
            if (!empty) {
                continue;
            }
        } else if (!json_check_scalar(&cursor)) {
            return JSON_SYNTAX;
        }
        if (!json_check_after(&cursor, &nesting)) {
            return JSON_SYNTAX;
        }
    } while (nesting.depth > 0);
    json_skip_space(&cursor);
    return cursor.at == cursor.end ? JSON_OK : JSON_SYNTAX;
}
