/*
 * The check of initData: decode the pairs, sort them by key, join all but `hash` with newlines, and
 * compare the HMAC of that text. One pass over the text and one over the pairs.
 */
#include "whale_initdata.h"
#include "whale_profile.h"

#include <string.h>

typedef struct {
    const char *text; /* "key=value", decoded */
    size_t length, key_length;
} initdata_pair;

typedef struct {
    initdata_pair pairs[WHALE_INITDATA_PAIRS_MAX];
    size_t count;
} initdata_pairs;

/* 0 for what is no hex digit, else its value + 1. */
static const uint8_t initdata_hex[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16};

/* Percent-decodes; returns the end of the output, never longer than the input. NULL: a broken escape. */
static char *initdata_decode(const char *from, const char *end, char *to)
{
    while (from < end) {
        const char c = *from;
        unsigned high, low;

        if (c != '%') {
            *to++ = c == '+' ? ' ' : c;
            from++;
            continue;
        }
        if (end - from < 3) {
            return NULL;
        }
        high = initdata_hex[(unsigned char)from[1]];
        low = initdata_hex[(unsigned char)from[2]];
        if (high == 0 || low == 0) {
            return NULL;
        }
        *to++ = (char)((high - 1) << 4 | (low - 1));
        from += 3;
    }
    return to;
}

/* The same where most have nothing to be decoded: all values but one of what Telegram sends. */
static char *initdata_copy(const char *from, const char *end, char *to)
{
    const size_t length = (size_t)(end - from);

    if (memchr(from, '%', length) != NULL || memchr(from, '+', length) != NULL) {
        return initdata_decode(from, end, to);
    }
    memcpy(to, from, length);
    return to + length;
}

static bool initdata_is_key(const char *key, size_t length)
{
    bool good = length > 0;

    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char)key[i];

        good &= (unsigned char)(c - 'a') < 26 || (unsigned char)(c - '0') < 10 || c == '_';
    }
    return good;
}

/* "key=value" and the '&' behind it; something must follow that. */
static bool initdata_take_pair(const char **at, const char *end, char **out, initdata_pair *pair)
{
    const char *stop = memchr(*at, '&', (size_t)(end - *at));
    const char *equals;
    char *start = *out, *to;

    stop = stop != NULL ? stop : end;
    equals = memchr(*at, '=', (size_t)(stop - *at));
    if (equals == NULL || (to = initdata_copy(*at, equals, start)) == NULL) {
        return false;
    }
    pair->text = start;
    pair->key_length = (size_t)(to - start);
    *to++ = '=';
    to = initdata_copy(equals + 1, stop, to);
    if (to == NULL || !initdata_is_key(start, pair->key_length)) {
        return false;
    }
    pair->length = (size_t)(to - start);
    *out = to;
    *at = stop + (stop < end);
    return stop == end || *at < end;
}

/* By bytes: keys are short and differ early, which a call would not be worth. */
static int initdata_compare(const initdata_pair *a, const initdata_pair *b)
{
    const size_t shorter = a->key_length < b->key_length ? a->key_length : b->key_length;

    for (size_t i = 0; i < shorter; i++) {
        if (a->text[i] != b->text[i]) {
            return (unsigned char)a->text[i] - (unsigned char)b->text[i];
        }
    }
    return (a->key_length > b->key_length) - (a->key_length < b->key_length);
}

/* Keeps the pairs in order; false for a key that is there already. */
static bool initdata_insert(initdata_pairs *all, const initdata_pair *pair)
{
    size_t at = all->count;

    if (all->count == WHALE_INITDATA_PAIRS_MAX) {
        return false;
    }
    while (at > 0) {
        const int order = initdata_compare(pair, &all->pairs[at - 1]);

        if (order == 0) {
            return false;
        }
        if (order > 0) {
            break;
        }
        all->pairs[at] = all->pairs[at - 1];
        at--;
    }
    all->pairs[at] = *pair;
    all->count++;
    return true;
}

static const initdata_pair *initdata_find(const initdata_pairs *all, const char *key)
{
    const size_t length = strlen(key);

    for (size_t i = 0; i < all->count; i++) {
        if (all->pairs[i].key_length == length && memcmp(all->pairs[i].text, key, length) == 0) {
            return &all->pairs[i];
        }
    }
    return NULL;
}

static size_t initdata_join(const initdata_pairs *all, const initdata_pair *hash, char *out)
{
    char *to = out;

    for (size_t i = 0; i < all->count; i++) {
        if (&all->pairs[i] == hash) {
            continue;
        }
        if (to > out) {
            *to++ = '\n';
        }
        memcpy(to, all->pairs[i].text, all->pairs[i].length);
        to += all->pairs[i].length;
    }
    return (size_t)(to - out);
}

/* Digits alone, at most 12: seconds until the year 33658. */
static bool initdata_date(const initdata_pair *pair, int64_t *seconds)
{
    const char *at, *end;

    if (pair == NULL) {
        return false;
    }
    at = pair->text + pair->key_length + 1;
    end = pair->text + pair->length;
    if (at == end || end - at > 12) {
        return false;
    }
    for (*seconds = 0; at < end; at++) {
        if (*at < '0' || *at > '9') {
            return false;
        }
        *seconds = *seconds * 10 + (*at - '0');
    }
    return true;
}

/* Lower-case hex only: one hash has one text. */
static bool initdata_hash(const initdata_pair *pair, uint8_t hash[CRYPTO_SHA256_SIZE])
{
    const unsigned char *text;
    unsigned wrong = 0;

    if (pair == NULL || pair->length - pair->key_length - 1 != 2 * CRYPTO_SHA256_SIZE) {
        return false;
    }
    text = (const unsigned char *)pair->text + pair->key_length + 1;
    for (size_t i = 0; i < CRYPTO_SHA256_SIZE; i++, text += 2) {
        const unsigned high = initdata_hex[text[0]], low = initdata_hex[text[1]];

        wrong |= high == 0 || low == 0 || (high > 10 && text[0] < 'a') ||
                 (low > 10 && text[1] < 'a');
        hash[i] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    return !wrong;
}

static bool initdata_split(const char *text, size_t length, char *decoded, initdata_pairs *all)
{
    const char *at = text, *end = text + length;

    all->count = 0;
    if (length == 0 || length > WHALE_INITDATA_MAX) {
        return false;
    }
    while (at < end) {
        initdata_pair pair;

        if (!initdata_take_pair(&at, end, &decoded, &pair) || !initdata_insert(all, &pair)) {
            return false;
        }
    }
    return true;
}

enum whale_initdata_verdict whale_initdata_check(const char *text, size_t length, crypto_mac *mac,
                                                 int64_t now_s, int64_t max_age_s,
                                                 whale_initdata_work *work, whale_initdata *out)
{
    uint8_t given[CRYPTO_SHA256_SIZE], computed[CRYPTO_SHA256_SIZE];
    const initdata_pair *hash, *user;
    initdata_pairs all;
    size_t joined;

    if (!initdata_split(text, length, work->decoded, &all)) {
        return WHALE_INITDATA_MALFORMED;
    }
    hash = initdata_find(&all, "hash");
    if (!initdata_hash(hash, given)) {
        return WHALE_INITDATA_MALFORMED;
    }
    joined = initdata_join(&all, hash, work->sorted);
    if (!crypto_mac_compute(mac, work->sorted, joined, computed) ||
        !crypto_equal(given, computed, sizeof(given))) {
        return WHALE_INITDATA_FORGED;
    }
    user = initdata_find(&all, "user");
    if (!initdata_date(initdata_find(&all, "auth_date"), &out->auth_date_s) || user == NULL) {
        return WHALE_INITDATA_MALFORMED;
    }
    out->user = user->text + user->key_length + 1;
    out->user_length = user->length - user->key_length - 1;
    if (!whale_profile_id(out->user, out->user_length, &out->user_id)) {
        return WHALE_INITDATA_MALFORMED;
    }
    if (out->auth_date_s > now_s + WHALE_INITDATA_SKEW_S) {
        return WHALE_INITDATA_FUTURE;
    }
    return now_s - out->auth_date_s > max_age_s ? WHALE_INITDATA_STALE : WHALE_INITDATA_OK;
}
