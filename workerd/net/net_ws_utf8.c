/*
 * Is this text UTF-8? Venues send ASCII almost always, so 32 bytes of it are passed at a time.
 *
 * Promises: exactly Unicode's table 3-7: no overlong forms, no surrogates, nothing past U+10FFFF.
 */
#include "workerd/net/net_ws_private.h"

#include <string.h>

#define HIGH_BITS 0x8080808080808080ULL

static size_t ascii_prefix(const uint8_t *at, size_t length)
{
    size_t done = 0;
    uint64_t words[4];

    while (length - done >= sizeof(words)) {
        memcpy(words, at + done, sizeof(words));
        if (((words[0] | words[1] | words[2] | words[3]) & HIGH_BITS) != 0) {
            break;
        }
        done += sizeof(words);
    }
    while (done < length && at[done] < 0x80) {
        done++;
    }
    return done;
}

/* Bytes of the character that begins here, or 0. */
static size_t character_length(const uint8_t *at, size_t left)
{
    uint8_t lead = at[0], low = 0x80, high = 0xbf;
    size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;

    if (lead < 0xc2 || lead > 0xf4 || length > left) {
        return 0;
    }
    switch (lead) { /* the second byte is narrower after these */
    case 0xe0:
        low = 0xa0;
        break;
    case 0xed:
        high = 0x9f;
        break;
    case 0xf0:
        low = 0x90;
        break;
    case 0xf4:
        high = 0x8f;
        break;
    default:
        break;
    }
    if (at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return length;
}

bool net_ws_is_utf8(const char *text, size_t length)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t done = 0;

    for (;;) {
        size_t character;

        done += ascii_prefix(at + done, length - done);
        if (done == length) {
            return true;
        }
        character = character_length(at + done, length - done);
        if (character == 0) {
            return false;
        }
        done += character;
    }
}
