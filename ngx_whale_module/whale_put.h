/*
 * Writing without a writer, for the answers that are asked for most: every piece has a known bound,
 * and the caller's room is the sum of them, so nothing is checked here.
 */
#ifndef WHALE_PUT_H
#define WHALE_PUT_H

#include "core/clock.h"
#include "core/dec.h"
#include "core/digits.h"

#include <string.h>

/* Quotes, sign, 26 digits, point, 12 digits; and whole words are written, of which the rest is scratch. */
#define WHALE_PUT_DEC_MAX 50
#define WHALE_PUT_TIME_MAX 30

/* A literal; its length is the compiler's to know. */
#define whale_put(out, literal)                                                                    \
    ((char *)memcpy((out), (literal), sizeof(literal) - 1) + sizeof(literal) - 1)

static inline char *whale_put_bytes(char *out, const char *text, size_t length)
{
    memcpy(out, text, length);
    return out + length;
}

/*
 * The digits of a number below 10^8 as eight bytes, the first one lowest: three multiplications in
 * place of a chain of divisions (each step halves the number of digits in a lane).
 */
static inline uint64_t whale_put_eight(uint32_t number)
{
    uint64_t lanes = number / 10000 | (uint64_t)(number % 10000) << 32, upper;

    upper = lanes * 10486 >> 20 & 0x0000007F0000007F; /* / 100, exact below 43699 */
    lanes = upper | (lanes - 100 * upper) << 16;
    upper = lanes * 103 >> 10 & 0x000F000F000F000F; /* / 10, exact below 179 */
    return upper | (lanes - 10 * upper) << 8;
}

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
/* A count of 10^-8, below 10^16: shortest text, as dec_format's. */
static inline char *whale_put_scaled(char *out, uint64_t count)
{
    const uint64_t ascii = 0x3030303030303030;
    const uint64_t whole = count / 100000000;
    const uint32_t places = (uint32_t)(count - whole * 100000000);
    uint64_t digits = whale_put_eight((uint32_t)whole);
    /* the lowest byte of a zero counts as its one digit */
    const unsigned before = (unsigned)__builtin_ctzll(digits | 1ULL << 63) / 8;

    digits = (digits | ascii) >> 8 * before;
    memcpy(out, &digits, 8);
    out += 8 - before;
    if (places != 0) {
        *out++ = '.';
        digits = whale_put_eight(places);
        const unsigned behind = (unsigned)__builtin_clzll(digits) / 8; /* zeros: left out */

        digits |= ascii;
        memcpy(out, &digits, 8);
        out += 8 - behind;
    }
    return out;
}

/* NULL where the value has more than 8 digits before or behind the point. */
static inline char *whale_put_short(char *out, dec value)
{
    const unsigned __int128 magnitude =
        value.units < 0 ? -(unsigned __int128)value.units : (unsigned __int128)value.units;
    const uint64_t units = (uint64_t)magnitude, count = units / 10000;

    if (magnitude >> 64 != 0 || count * 10000 != units || count >= 10000000000000000) {
        return NULL;
    }
    *out = '-';
    return whale_put_scaled(out + (value.units < 0), count);
}
#else
static inline char *whale_put_short(char *out, dec value)
{
    (void)out;
    (void)value;
    return NULL;
}
#endif

static inline char *whale_put_dec(char *out, dec value)
{
    char *end;

    *out++ = '"';
    end = whale_put_short(out, value);
    if (end == NULL) {
        end = out + dec_format(value, out);
    }
    *end++ = '"';
    return end;
}

/* null for a zero: prices and sizes are never zero but unknown. */
static inline char *whale_put_known(char *out, dec value)
{
    return dec_is_zero(value) ? whale_put(out, "null") : whale_put_dec(out, value);
}

static inline char *whale_put_number(char *out, uint64_t value)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (value < 100000000) {
        return whale_put_scaled(out, value * 100000000);
    }
#endif
    return out + digits_put(out, value);
}

/*
 * RFC 3339 in quotes. The times that are asked for lie in the last second or two, so the text of a
 * second is kept: only its fraction is formatted anew. Of one thread.
 */
static inline char *whale_put_time(char *out, int64_t time_ns)
{
    static int64_t seconds[2] = {-1, -1};
    static char texts[2][CLOCK_TEXT_MAX];
    const int64_t second = time_ns / CLOCK_SECOND_NS;
    const unsigned slot = (unsigned)second & 1;

    if (time_ns <= 0) {
        return whale_put(out, "null");
    }
    if (seconds[slot] != second) {
        clock_format(time_ns, texts[slot]);
        seconds[slot] = second;
    }
    *out++ = '"';
    memcpy(out, texts[slot], 20); /* up to the point */
    digits_put_fixed(out + 20, (uint64_t)(time_ns % CLOCK_SECOND_NS) / 1000, 6);
    return whale_put(out + 26, "Z\"");
}

#endif
