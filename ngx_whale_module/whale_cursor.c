/* Cursors: base64url of "list order key:id"; see whale_cursor.h. */
#include "whale_cursor.h"

#include "core/crypto.h"
#include "core/dec.h"

#include <stdio.h>
#include <string.h>

#define CURSOR_PLAIN_MAX 90

size_t whale_cursor_format(const whale_cursor *cursor, char text[WHALE_CURSOR_TEXT_MAX])
{
    char plain[CURSOR_PLAIN_MAX];
    dec ignored;
    int length;

    if (cursor->id <= 0 ||
        (cursor->key[0] != '\0' && !dec_parse(cursor->key, strlen(cursor->key), &ignored))) {
        return 0;
    }
    length = snprintf(plain, sizeof(plain), "%c%c%s:%lld", cursor->list, cursor->order, cursor->key,
                      (long long)cursor->id);
    crypto_base64url(plain, (size_t)length, text);
    return strlen(text);
}

static bool cursor_id(const char *text, size_t length, int64_t *id)
{
    int64_t value = 0;

    if (length == 0 || length > 18 || text[0] == '0') {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (text[i] - '0');
    }
    *id = value;
    return true;
}

bool whale_cursor_parse(const char *text, size_t length, char list, char order,
                        whale_cursor *cursor)
{
    uint8_t bytes[CURSOR_PLAIN_MAX];
    const char *plain = (const char *)bytes, *colon;
    long size = crypto_unbase64url(text, length, bytes, sizeof(bytes));
    size_t key_length;
    dec ignored;

    if (size < 4 || plain[0] != list || plain[1] != order) {
        return false;
    }
    colon = memchr(plain + 2, ':', (size_t)size - 2);
    if (colon == NULL) {
        return false;
    }
    key_length = (size_t)(colon - plain) - 2;
    if (key_length >= WHALE_CURSOR_KEY_MAX ||
        (key_length > 0 && !dec_parse(plain + 2, key_length, &ignored))) {
        return false;
    }
    *cursor = (whale_cursor){.list = list, .order = order};
    memcpy(cursor->key, plain + 2, key_length);
    return cursor_id(colon + 1, (size_t)size - key_length - 3, &cursor->id);
}
