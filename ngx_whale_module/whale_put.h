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
/* NULL where the value has more than 8 digits before or behind the point. */
static inline char *whale_put_short(char *out, dec value)
{
    const uint64_t ascii = 0x3030303030303030;
    const unsigned __int128 units =
        value.units < 0 ? -(unsigned __int128)value.units : (unsigned __int128)value.units;
    uint64_t whole, places, digits;

    if (units >> 63 != 0) {
        return NULL;
    }
    whole = (uint64_t)units / 1000000000000ULL;
    places = (uint64_t)units % 1000000000000ULL;
    if (whole >= 100000000 || places % 10000 != 0) {
        return NULL;
    }
    *out = '-';
    out += value.units < 0;
    digits = whale_put_eight((uint32_t)whole);
    if (digits == 0) {
        *out++ = '0';
    } else {
        const unsigned zeros = (unsigned)__builtin_ctzll(digits) / 8;

        digits = (digits | ascii) >> 8 * zeros;
        memcpy(out, &digits, 8);
        out += 8 - zeros;
    }
    if (places != 0) {
        unsigned zeros;

        *out++ = '.';
        digits = whale_put_eight((uint32_t)(places / 10000));
        zeros = (unsigned)__builtin_clzll(digits) / 8; /* at the end, which are left out */
        digits |= ascii;
        memcpy(out, &digits, 8);
        out += 8 - zeros;
    }
    return out;
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
    return out + digits_put(out, value);
}

static inline char *whale_put_time(char *out, int64_t time_ns)
{
    if (time_ns == 0) {
        return whale_put(out, "null");
    }
    *out++ = '"';
    out += clock_format(time_ns, out);
    *out++ = '"';
    return out;
}

#endif
