/*
 * Bytes to text and back: hex, base64, base64url, base32. The decoders take exactly what the
 * encoders write (hex also in capitals): one text for one value, so that no second form of a secret
 * or an id gets through a comparison.
 */
#include "core/crypto.h"

#include <limits.h>
#include <string.h>

static const char crypto_digits[] = "0123456789abcdef";
static const char crypto_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char crypto_alphabet_url[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void crypto_hex(const void *data, size_t length, char *out)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < length; i++) {
        *out++ = crypto_digits[bytes[i] >> 4];
        *out++ = crypto_digits[bytes[i] & 15];
    }
    *out = '\0';
}

static int crypto_hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

long crypto_unhex(const char *text, size_t length, uint8_t *out, size_t capacity)
{
    if (length % 2 != 0 || length / 2 > capacity || length > LONG_MAX) {
        return -1;
    }
    for (size_t i = 0; i < length; i += 2) {
        int high = crypto_hex_value(text[i]), low = crypto_hex_value(text[i + 1]);

        if (high < 0 || low < 0) {
            return -1;
        }
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    return (long)(length / 2);
}

/* Without padding; returns the end. */
static char *crypto_encode64(const char *alphabet, const uint8_t *bytes, size_t length, char *out)
{
    for (; length >= 3; length -= 3, bytes += 3) {
        *out++ = alphabet[bytes[0] >> 2];
        *out++ = alphabet[(bytes[0] & 3) << 4 | bytes[1] >> 4];
        *out++ = alphabet[(bytes[1] & 15) << 2 | bytes[2] >> 6];
        *out++ = alphabet[bytes[2] & 63];
    }
    if (length > 0) {
        uint8_t second = length == 2 ? bytes[1] : 0;

        *out++ = alphabet[bytes[0] >> 2];
        *out++ = alphabet[(bytes[0] & 3) << 4 | second >> 4];
        if (length == 2) {
            *out++ = alphabet[(second & 15) << 2];
        }
    }
    return out;
}

void crypto_base64(const void *data, size_t length, char *out)
{
    out = crypto_encode64(crypto_alphabet, data, length, out);
    for (size_t rest = length % 3; rest != 0 && rest < 3; rest++) {
        *out++ = '=';
    }
    *out = '\0';
}

void crypto_base64url(const void *data, size_t length, char *out)
{
    *crypto_encode64(crypto_alphabet_url, data, length, out) = '\0';
}

static int crypto_value64(const char *alphabet, char c)
{
    const char *at = c != '\0' ? strchr(alphabet, c) : NULL;

    return at != NULL ? (int)(at - alphabet) : -1;
}

/* Without padding. The bits past the last byte must be zero, or two texts would mean the same. */
static long crypto_decode64(const char *alphabet, const char *text, size_t length, uint8_t *out,
                            size_t capacity)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t written = 0;

    if (length % 4 == 1 || length > LONG_MAX || length / 4 * 3 + length % 4 * 3 / 4 > capacity) {
        return -1;
    }
    for (size_t i = 0; i < length; i++) {
        int value = crypto_value64(alphabet, text[i]);

        if (value < 0) {
            return -1;
        }
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[written++] = (uint8_t)(bits >> have);
        }
    }
    return (bits & ((1U << have) - 1)) == 0 ? (long)written : -1;
}

long crypto_unbase64(const char *text, size_t length, uint8_t *out, size_t capacity)
{
    if (length % 4 != 0) {
        return -1;
    }
    if (length > 0 && text[length - 1] == '=') {
        length -= text[length - 2] == '=' ? 2 : 1;
    }
    return crypto_decode64(crypto_alphabet, text, length, out, capacity);
}

long crypto_unbase64url(const char *text, size_t length, uint8_t *out, size_t capacity)
{
    return crypto_decode64(crypto_alphabet_url, text, length, out, capacity);
}

void crypto_base32(const void *data, size_t length, char *out)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    const uint8_t *bytes = data;
    uint32_t bits = 0;
    unsigned have = 0;

    for (size_t i = 0; i < length; i++) {
        bits = bits << 8 | bytes[i];
        for (have += 8; have >= 5; have -= 5) {
            *out++ = alphabet[bits >> (have - 5) & 31];
        }
    }
    if (have > 0) {
        *out++ = alphabet[bits << (5 - have) & 31];
    }
    *out = '\0';
}
