/*
 * See binance_tick.h. Two steps: find where each one-letter member's value stands (eight bytes at a
 * time, since most values are about that long), then read the few that the kind of message needs.
 *
 * The members of Binance's hot messages have one letter, which is their place in a small table;
 * names that are longer are passed over, but for `stream` and `data` around a combined message, and
 * `id`, which only replies have.
 */
#include "venues/binance/binance_tick.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define TICK_ONES 0x0101010101010101ULL
#define TICK_HIGHS 0x8080808080808080ULL
#define TICK_SYMBOL_MAX 80
#define TICK_MS_NS 1000000LL

/* Letters have distinct low six bits. */
#define TICK_SYNTHETIC "\"x-synthetic\":true"
#define TICK_SLOT(letter) ((unsigned char)(letter)&63)
#define TICK_BIT(letter) (1ULL << TICK_SLOT(letter))

struct tick_members {
    const char *frame;
    uint64_t seen, quoted;
    const char *text[64];
    uint32_t length[64];
    bool top_level, stream, combined; /* letters outside `data`; the two names around it */
    bool depth;
};

static uint64_t tick_load(const char *text)
{
    uint64_t word;

    memcpy(&word, text, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* The high bit of each byte that equals; exact up to the first one that does. */
static uint64_t tick_equal(uint64_t word, unsigned char byte)
{
    const uint64_t difference = word ^ (TICK_ONES * byte);

    return (difference - TICK_ONES) & ~difference & TICK_HIGHS;
}

/* The quote that ends a string of plain ASCII without escapes; NULL for any other string. */
static inline const char *tick_string_end(const char *at, const char *end)
{
#ifdef __SSE2__
    while (end - at >= 16) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        /* signed, so that what is not ASCII is below a space as well */
        const __m128i special =
            _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
                                      _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))),
                         _mm_cmplt_epi8(bytes, _mm_set1_epi8(' ')));
        const unsigned mask = (unsigned)_mm_movemask_epi8(special);
        if (mask != 0) {
            at += __builtin_ctz(mask);
            return *at == '"' ? at : NULL;
        }
        at += 16;
    }
#endif
    while (end - at >= 8) {
        const uint64_t word = tick_load(at);
        /* a quote, a backslash, a control character, or what is not ASCII */
        const uint64_t special = tick_equal(word, '"') | tick_equal(word, '\\') |
                                 ((word - TICK_ONES * 0x20) & ~word & TICK_HIGHS) |
                                 (word & TICK_HIGHS);
        if (special != 0) {
            at += __builtin_ctzll(special) / 8;
            return *at == '"' ? at : NULL;
        }
        at += 8;
    }
    for (; at < end; at++) {
        if (*at == '"') {
            return at;
        }
        if (*at == '\\' || (unsigned char)*at < 0x20 || (unsigned char)*at >= 0x80) {
            return NULL;
        }
    }
    return NULL;
}

static bool tick_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *tick_digits_end(const char *at, const char *end)
{
    while (end - at >= 8) {
        const uint64_t word = tick_load(at);
        const uint64_t other =
            ((word + TICK_ONES * (0x7f - '9')) | (word - TICK_ONES * '0') | word) & TICK_HIGHS;
        if (other != 0) {
            /* a borrow can mark a digit behind the first other byte, never one before it */
            return at + __builtin_ctzll(other) / 8;
        }
        at += 8;
    }
    while (at < end && tick_is_digit(*at)) {
        at++;
    }
    return at;
}

/* -1.5e3 and the like: JSON's own rules. NULL: not a number. */
static const char *tick_number_end(const char *at, const char *end)
{
    const char *digits;

    if (at < end && *at == '-') {
        at++;
    }
    digits = at;
    at = tick_digits_end(at, end);
    if (at == digits || (*digits == '0' && at - digits > 1)) {
        return NULL;
    }
    if (at < end && *at == '.') {
        digits = ++at;
        at = tick_digits_end(at, end);
        if (at == digits) {
            return NULL;
        }
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-')) {
            at++;
        }
        digits = at;
        at = tick_digits_end(at, end);
        if (at == digits) {
            return NULL;
        }
    }
    return at;
}

/* A value without quotes. NULL: an object, an array, or no JSON. */
static const char *tick_bare_end(const char *at, const char *end)
{
    static const char *const words[] = {"true", "false", "null"};

    if (*at >= '1' && *at <= '9') { /* ids and times */
        const char *stop = tick_digits_end(at + 1, end);
        if (stop < end && (*stop == ',' || *stop == '}')) {
            return stop;
        }
    }
    for (int i = 0; i < 3; i++) {
        const size_t length = strlen(words[i]);
        if (*at == words[i][0]) {
            return (size_t)(end - at) >= length && memcmp(at, words[i], length) == 0 ? at + length
                                                                                     : NULL;
        }
    }
    return tick_number_end(at, end);
}

static bool tick_is(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(text, word, length) == 0;
}

/* Reads one value behind its colon; `letter` is 0 for a long name. Returns what is behind it. */
static const char *tick_value(const char *at, const char *end, char letter,
                              struct tick_members *members)
{
    const bool quoted = *at == '"';
    const char *start = quoted ? at + 1 : at;
    const char *stop = quoted ? tick_string_end(start, end) : tick_bare_end(start, end);

    if (stop == NULL || stop == end) {
        return NULL;
    }
    if (letter != 0) {
        const uint64_t bit = TICK_BIT(letter);
        const unsigned slot = TICK_SLOT(letter);

        if ((members->seen & bit) != 0) {
            return NULL;
        }
        members->seen |= bit;
        members->quoted |= quoted ? bit : 0;
        members->text[slot] = start;
        members->length[slot] = (uint32_t)(stop - start);
        if (letter == 'e' && tick_is(start, (size_t)(stop - start), "depthUpdate")) {
            members->depth = true; /* the longest by far, and of no use here */
            return NULL;
        }
    }
    return quoted ? stop + 1 : stop;
}

static bool tick_is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

enum tick_name { TICK_NAME_REFUSED, TICK_NAME_PLAIN, TICK_NAME_DATA };

/*
 * A name that is no single letter; `at` is its opening quote, `value` becomes what is behind its
 * colon. Three of them mean something where they stand outside `data`.
 */
static enum tick_name tick_long_name(const char *at, const char *end, bool inside,
                                     struct tick_members *members, const char **value)
{
    const char *name = at + 1;
    const char *stop = *at == '"' ? tick_string_end(name, end) : NULL;
    const size_t length = stop == NULL ? 0 : (size_t)(stop - name);

    if (stop == NULL || end - stop < 4 || stop[1] != ':') {
        return TICK_NAME_REFUSED;
    }
    *value = stop + 2;
    if (inside) {
        return TICK_NAME_PLAIN;
    }
    if (tick_is(name, length, "data")) {
        const bool first = !members->combined;
        members->combined = true;
        return first && **value == '{' ? TICK_NAME_DATA : TICK_NAME_REFUSED;
    }
    if (tick_is(name, length, "stream")) {
        const bool first = !members->stream;
        members->stream = true;
        return first ? TICK_NAME_PLAIN : TICK_NAME_REFUSED;
    }
    return tick_is(name, length, "id") ? TICK_NAME_REFUSED : TICK_NAME_PLAIN;
}

/* Everything up to the brace that ends the message, and that. NULL: not for here. */
static const char *tick_find_members(const char *at, const char *end, struct tick_members *members)
{
    bool inside = false; /* `data` */

    for (;;) {
        const char *value = at + 4;
        char letter = 0;

        if (end - at < 6) { /* "x":1} */
            return NULL;
        }
        if (at[0] == '"' && at[2] == '"' && at[3] == ':' && tick_is_letter(at[1])) {
            members->top_level |= !inside;
            letter = at[1];
        } else {
            const enum tick_name name = tick_long_name(at, end, inside, members, &value);
            if (name == TICK_NAME_REFUSED) {
                return NULL;
            }
            if (name == TICK_NAME_DATA) {
                inside = true;
                at = value + 1;
                continue;
            }
        }
        at = tick_value(value, end, letter, members);
        if (at != NULL && at < end && *at == '}' && inside) {
            inside = false;
            at++;
        }
        if (at == NULL || at == end) {
            return NULL;
        }
        if (*at == '}') {
            return at + 1;
        }
        if (*at++ != ',') {
            return NULL;
        }
    }
}

/* ---- values -------------------------------------------------------------------------------- */

static const uint64_t tick_powers[DEC_PLACES + 1] = {
    1000000000000ULL, 100000000000ULL, 10000000000ULL, 1000000000ULL, 100000000ULL,
    10000000ULL,      1000000ULL,      100000ULL,      10000ULL,      1000ULL,
    100ULL,           10ULL,           1ULL,
};

/* Up to eight characters of a number, all at once. */
struct tick_chunk {
    uint64_t value;
    uint32_t places; /* digits behind the point */
    bool point, valid;
};

/* Bytes are digits, 0 to 9, not characters; the last one on top. */
static inline bool tick_all_digits(uint64_t word)
{
    return (((word + TICK_ONES * 0x76) | word) & TICK_HIGHS) == 0;
}

static inline uint64_t tick_eight(uint64_t word)
{
    word = word * 2561 >> 8;
    word = (word & 0x00ff00ff00ff00ffULL) * 6553601 >> 16;
    return (word & 0x0000ffff0000ffffULL) * 42949672960001ULL >> 32;
}

/*
 * The `length` (1 to 8) characters before `stop`; the eight before it must be readable. As a word
 * each digit is a byte, the last one on top; taking the point out moves those before it up by one.
 */
static inline struct tick_chunk tick_chunk_read(const char *stop, uint32_t length)
{
    const unsigned above = 8 * (8 - length);
    uint64_t word = (tick_load(stop - 8) ^ TICK_ONES * '0') >> above << above;
    const uint64_t point = tick_equal(word, '.' ^ '0');
    struct tick_chunk chunk = {0, 0, point != 0, false};

    if (point != 0) {
        const unsigned at = (unsigned)__builtin_ctzll(point) & ~7U; /* its lowest bit */
        const uint64_t before = word & ((1ULL << at) - 1);

        chunk.places = 7 - at / 8;
        word = (word >> at >> 8 << 8 << at) | before << 8;
    }
    chunk.valid = tick_all_digits(word);
    chunk.value = tick_eight(word);
    return chunk;
}

static inline bool tick_short(const char *frame, const char *text, uint32_t length,
                              uint64_t *digits, uint32_t *places);

/* tick_short() without eight bytes before the value. */
static bool tick_first(const char *text, uint32_t length, uint64_t *digits, uint32_t *places)
{
    char room[8 + 16];

    memcpy(room + 8, text, length);
    memset(room, '0', 8);
    return tick_short(room, room + 8, length, digits, places);
}

/*
 * Digits, perhaps a point, digits; at most 16 characters. `places` is how many are behind the
 * point. False: something else, which is not to say that it is no number.
 */
static inline bool tick_short(const char *frame, const char *text, uint32_t length,
                              uint64_t *digits, uint32_t *places)
{
    const char *stop = text + length;

    if (length == 0 || length > 16) {
        return false;
    }
    if (text - frame < 8) { /* only a frame's first value */
        return tick_first(text, length, digits, places);
    }
    const struct tick_chunk low = tick_chunk_read(stop, length < 8 ? length : 8);
    *digits = low.value;
    *places = low.places;
    if (length <= 8) {
        return low.valid && length > low.point;
    }
    const struct tick_chunk high = tick_chunk_read(stop - 8, length - 8);
    if (high.point) {
        *places = high.places + 8;
    }
    *digits += high.value * (low.point ? 10000000ULL : 100000000ULL);
    return low.valid && high.valid && !(low.point && high.point);
}

static bool tick_dec(const struct tick_members *members, char letter, dec *out)
{
    const char *text = members->text[TICK_SLOT(letter)];
    const uint32_t length = members->length[TICK_SLOT(letter)];
    uint64_t digits;
    uint32_t places;

    if ((members->seen & TICK_BIT(letter)) == 0) {
        return false;
    }
    if (length - 1 < 8 && text - members->frame >= 8) { /* nearly all of them */
        const struct tick_chunk chunk = tick_chunk_read(text + length, length);
        if (chunk.valid && length > chunk.point) {
            out->units = (__int128)chunk.value * tick_powers[chunk.places];
            return true;
        }
    }
    if (!tick_short(members->frame, text, length, &digits, &places) || places > DEC_PLACES) {
        return dec_parse_rounded(text, length, DEC_HALF_EVEN, out);
    }
    out->units = (__int128)digits * tick_powers[places];
    return true;
}

/* Ids and times: a bare whole number; 0 where it is missing. False: the parser must look at it. */
static bool tick_whole(const struct tick_members *members, char letter, uint64_t *out)
{
    const uint64_t bit = TICK_BIT(letter);
    uint32_t places;

    *out = 0;
    if ((members->seen & bit) == 0) {
        return true;
    }
    if ((members->quoted & bit) != 0) {
        return false;
    }
    const char *text = members->text[TICK_SLOT(letter)];
    const uint32_t length = members->length[TICK_SLOT(letter)];
    if (length > 8 && length <= 16 && text - members->frame >= 8) { /* nearly all of them */
        const unsigned above = 8 * (16 - length);
        const uint64_t low = tick_load(text + length - 8) ^ TICK_ONES * '0';
        const uint64_t high = (tick_load(text + length - 16) ^ TICK_ONES * '0') >> above << above;

        *out = tick_eight(low) + tick_eight(high) * 100000000ULL;
        return tick_all_digits(low) && tick_all_digits(high) && *out != 0;
    }
    return tick_short(members->frame, text, length, out, &places) && places == 0 && *out != 0;
}

static bool tick_time(const struct tick_members *members, char letter, struct binance_tick *out)
{
    uint64_t ms;

    if (!tick_whole(members, letter, &ms) || ms > INT64_MAX / TICK_MS_NS) {
        return false;
    }
    out->exchange_time_ns = (int64_t)ms * TICK_MS_NS;
    return true;
}

static bool tick_symbol(const struct tick_members *members, struct binance_tick *out)
{
    out->symbol = members->text[TICK_SLOT('s')];
    out->symbol_length = members->length[TICK_SLOT('s')];
    return (members->seen & members->quoted & TICK_BIT('s')) != 0 && out->symbol_length > 0 &&
           out->symbol_length <= TICK_SYMBOL_MAX;
}

static enum binance_tick_result tick_best(const struct tick_members *members,
                                          struct binance_tick *out)
{
    const char time = (members->seen & TICK_BIT('T')) != 0 ? 'T' : 'E';

    if (!tick_symbol(members, out) || !tick_whole(members, 'u', &out->update_id) ||
        !tick_time(members, time, out) || !tick_dec(members, 'b', &out->bid) ||
        !tick_dec(members, 'B', &out->bid_size) || !tick_dec(members, 'a', &out->ask) ||
        !tick_dec(members, 'A', &out->ask_size)) {
        return BINANCE_TICK_OTHER;
    }
    return BINANCE_TICK_BEST;
}

/* `id` names the trade: `a` of an aggregate, `t` of a single one. */
static enum binance_tick_result tick_trade(const struct tick_members *members, char id,
                                           struct binance_tick *out)
{
    const uint64_t kind = TICK_BIT('X');

    if (!tick_symbol(members, out) || !tick_whole(members, id, &out->update_id) ||
        !tick_time(members, 'T', out) || !tick_dec(members, 'p', &out->last)) {
        return BINANCE_TICK_OTHER;
    }
    /* the insurance fund's and others' are at no market price, some at zero */
    if ((members->seen & kind) != 0 &&
        !tick_is(members->text[TICK_SLOT('X')], members->length[TICK_SLOT('X')], "MARKET")) {
        return BINANCE_TICK_IGNORED;
    }
    return BINANCE_TICK_TRADE;
}

static enum binance_tick_result tick_mark(const struct tick_members *members,
                                          struct binance_tick *out)
{
    out->update_id = 0;
    out->funding = DEC_ZERO; /* delivery contracts have none: an empty text */
    if (!tick_symbol(members, out) || !tick_time(members, 'E', out) ||
        !tick_dec(members, 'p', &out->mark) ||
        ((members->seen & TICK_BIT('r')) != 0 && members->length[TICK_SLOT('r')] != 0 &&
         !tick_dec(members, 'r', &out->funding))) {
        return BINANCE_TICK_OTHER;
    }
    return BINANCE_TICK_MARK;
}

static enum binance_tick_result tick_read(const struct tick_members *members,
                                          struct binance_tick *out)
{
    if ((members->seen & members->quoted & TICK_BIT('e')) == 0) {
        return BINANCE_TICK_OTHER;
    }

    const char *kind = members->text[TICK_SLOT('e')];
    const size_t length = members->length[TICK_SLOT('e')];
    if (tick_is(kind, length, "bookTicker")) {
        return tick_best(members, out);
    }
    if (tick_is(kind, length, "aggTrade")) {
        return tick_trade(members, 'a', out);
    }
    if (tick_is(kind, length, "trade")) {
        return tick_trade(members, 't', out);
    }
    if (tick_is(kind, length, "markPriceUpdate")) {
        return tick_mark(members, out);
    }
    return BINANCE_TICK_OTHER;
}

enum binance_tick_result binance_tick_scan(const char *frame, size_t length,
                                           struct binance_tick *out)
{
    const char *end = frame + length;
    struct tick_members members;

    members.frame = frame;
    members.seen = 0;
    members.quoted = 0;
    members.top_level = members.stream = members.combined = members.depth = false;
    if (length < 2 || frame[0] != '{' || length > UINT32_MAX ||
        tick_find_members(frame + 1, end, &members) != end) {
        return members.depth ? BINANCE_TICK_IGNORED : BINANCE_TICK_OTHER;
    }
    /* both names around a combined message, or neither; never letters beside it */
    if (members.combined != members.stream || (members.combined && members.top_level)) {
        return BINANCE_TICK_OTHER;
    }
    enum binance_tick_result result = tick_read(&members, out);

    if (result == BINANCE_TICK_MARK) { /* one a second: it may be searched for */
        out->synthetic = memmem(frame, length, TICK_SYNTHETIC, sizeof(TICK_SYNTHETIC) - 1) != NULL;
    }
    return result;
}
