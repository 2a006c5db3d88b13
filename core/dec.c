/*
 * Arithmetic of dec: checked, with 256 bits between a multiplication and the division after it.
 *
 * Everything works on magnitudes and puts the sign back last, so that each rounding is decided in
 * one place. Nothing here assumes that its operands are in range: a dec that was not made by this
 * module (read from a damaged file) gives a refused or a well-defined result, never undefined
 * behaviour.
 */
#include "core/dec.h"

typedef unsigned __int128 dec_u128;

typedef struct {
    dec_u128 high, low;
} dec_u256;

static const dec_u128 dec_limit = (dec_u128)10000000000000000000ULL * 10000000000000000000ULL;
static const dec_u128 dec_unit = 1000000000000ULL;

static dec_u128 dec_magnitude(dec value)
{
    return value.units < 0 ? -(dec_u128)value.units : (dec_u128)value.units;
}

static dec_u256 dec_wide_product(dec_u128 a, dec_u128 b)
{
    uint64_t a_low = (uint64_t)a, a_high = (uint64_t)(a >> 64);
    uint64_t b_low = (uint64_t)b, b_high = (uint64_t)(b >> 64);
    dec_u128 low = (dec_u128)a_low * b_low;
    dec_u128 cross_1 = (dec_u128)a_low * b_high;
    dec_u128 cross_2 = (dec_u128)a_high * b_low;
    dec_u128 middle = (low >> 64) + (uint64_t)cross_1 + (uint64_t)cross_2;

    return (dec_u256){
        .high = (dec_u128)a_high * b_high + (cross_1 >> 64) + (cross_2 >> 64) + (middle >> 64),
        .low = (middle << 64) | (uint64_t)low,
    };
}

static bool dec_wide_above(dec_u256 a, dec_u256 b)
{
    return a.high > b.high || (a.high == b.high && a.low > b.low);
}

/*
 * One 64-bit digit of a long division: (remainder x 2^64 + next) / divisor, where the divisor's top
 * bit is set and remainder < divisor. The estimate from the upper halves is never too small and at
 * most two too large (Knuth, volume 2, 4.3.1, theorem B).
 */
static uint64_t dec_divide_step(dec_u128 *remainder, uint64_t next, dec_u128 divisor)
{
    dec_u256 number = {.high = *remainder >> 64, .low = (*remainder << 64) | next};
    dec_u128 estimate = *remainder / (uint64_t)(divisor >> 64);
    dec_u256 product;

    if (estimate > UINT64_MAX) {
        estimate = UINT64_MAX;
    }
    product = dec_wide_product(estimate, divisor);
    while (dec_wide_above(product, number)) {
        estimate--;
        product.high -= product.low < divisor;
        product.low -= divisor;
    }
    *remainder = number.low - product.low;
    return (uint64_t)estimate;
}

/* The caller has made sure that the quotient fits: number.high < divisor. */
static dec_u128 dec_wide_divide(dec_u256 number, dec_u128 divisor, dec_u128 *remainder)
{
    dec_u128 quotient;
    int shift;

    if (number.high == 0) {
        quotient = number.low / divisor;
        *remainder = number.low - quotient * divisor;
        return quotient;
    }
    shift = divisor >> 64 ? __builtin_clzll((uint64_t)(divisor >> 64))
                          : 64 + __builtin_clzll((uint64_t)divisor);
    divisor <<= shift;
    if (shift > 0) {
        number.high = (number.high << shift) | (number.low >> (128 - shift));
        number.low <<= shift;
    }
    quotient = (dec_u128)dec_divide_step(&number.high, (uint64_t)(number.low >> 64), divisor) << 64;
    quotient |= dec_divide_step(&number.high, (uint64_t)number.low, divisor);
    *remainder = number.high >> shift;
    return quotient;
}

/* Whether the magnitude `quotient`, which left `remainder` over, is to grow by one. */
static bool dec_rounds_up(dec_u128 quotient, dec_u128 remainder, dec_u128 divisor, bool negative,
                          enum dec_rounding rounding)
{
    if (remainder == 0) {
        return false;
    }
    switch (rounding) {
    case DEC_TOWARD_ZERO:
        return false;
    case DEC_AWAY_FROM_ZERO:
        return true;
    case DEC_FLOOR:
        return negative;
    case DEC_CEILING:
        return !negative;
    case DEC_HALF_EVEN:
        /* remainder against divisor - remainder: twice the remainder might not fit */
        return remainder > divisor - remainder ||
               (remainder == divisor - remainder && (quotient & 1) != 0);
    }
    return false;
}

static bool dec_store(dec_u128 magnitude, bool negative, dec *out)
{
    if (magnitude >= dec_limit) {
        return false;
    }
    out->units = negative ? -(__int128)magnitude : (__int128)magnitude;
    return true;
}

/* units of out = units of a x b / c */
static bool dec_scale(dec a, dec_u128 b, dec_u128 c, bool negative, enum dec_rounding rounding,
                      dec *out)
{
    dec_u256 product = dec_wide_product(dec_magnitude(a), b);
    dec_u128 quotient, remainder;

    if (product.high >= c) {
        return false; /* c is zero, or the quotient has more than 128 bits */
    }
    quotient = dec_wide_divide(product, c, &remainder);
    if (quotient >= dec_limit) {
        return false;
    }
    quotient += dec_rounds_up(quotient, remainder, c, negative, rounding);
    return dec_store(quotient, negative, out);
}

static bool dec_in_range(__int128 units)
{
    return units < (__int128)dec_limit && units > -(__int128)dec_limit;
}

bool dec_add(dec a, dec b, dec *out)
{
    __int128 sum;

    if (__builtin_add_overflow(a.units, b.units, &sum) || !dec_in_range(sum)) {
        return false;
    }
    out->units = sum;
    return true;
}

bool dec_sub(dec a, dec b, dec *out)
{
    __int128 difference;

    if (__builtin_sub_overflow(a.units, b.units, &difference) || !dec_in_range(difference)) {
        return false;
    }
    out->units = difference;
    return true;
}

bool dec_mul(dec a, dec b, enum dec_rounding rounding, dec *out)
{
    bool negative = (a.units < 0) != (b.units < 0);

    return dec_scale(a, dec_magnitude(b), dec_unit, negative, rounding, out);
}

bool dec_div(dec a, dec b, enum dec_rounding rounding, dec *out)
{
    bool negative = (a.units < 0) != (b.units < 0);

    return dec_scale(a, dec_unit, dec_magnitude(b), negative, rounding, out);
}

bool dec_mul_div(dec a, dec b, dec c, enum dec_rounding rounding, dec *out)
{
    bool negative = ((a.units < 0) != (b.units < 0)) != (c.units < 0);

    return dec_scale(a, dec_magnitude(b), dec_magnitude(c), negative, rounding, out);
}

bool dec_to_step(dec value, dec step, enum dec_rounding rounding, dec *out)
{
    dec_u128 magnitude = dec_magnitude(value);
    dec_u128 size, count, rest;
    bool negative = value.units < 0;

    if (step.units <= 0) {
        return false;
    }
    size = (dec_u128)step.units;
    count = magnitude / size;
    rest = magnitude - count * size;
    magnitude -= rest;
    if (dec_rounds_up(count, rest, size, negative, rounding)) {
        magnitude += size; /* below 2^128: each term is below 2^127 + 1 and rest > 0 */
    }
    return dec_store(magnitude, negative, out);
}

bool dec_is_multiple(dec value, dec step)
{
    return step.units > 0 && dec_magnitude(value) % (dec_u128)step.units == 0;
}
