/*
 * The one number type of money: a signed 128-bit integer counting 10^-12.
 *
 * Promises: |value| < 10^26; every operation is checked and says so when it cannot hold the result;
 * nothing rounds unless the caller names the rounding. Products and quotients keep 256 bits in
 * between, so that only the final rounding loses anything.
 *
 * A struct, not a bare integer, so that `a * b` does not compile by accident.
 */
#ifndef WHALE_CORE_DEC_H
#define WHALE_CORE_DEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEC_PLACES 12
#define DEC_TEXT_MAX 48 /* "-" 26 digits "." 12 digits NUL, with room */

typedef struct {
    __int128 units; /* value x 10^12 */
} dec;

enum dec_rounding {
    DEC_TOWARD_ZERO,
    DEC_AWAY_FROM_ZERO,
    DEC_FLOOR,
    DEC_CEILING,
    DEC_HALF_EVEN,
};

#define DEC_ZERO ((dec){0})
#define DEC_ONE ((dec){(__int128)1000000000000LL})

/* A whole number; any int64 fits. */
static inline dec dec_from_int(int64_t whole)
{
    return (dec){(__int128)whole * 1000000000000LL};
}

/*
 * Text to value: [+-]digits[.digits][e[+-]digits], no blanks, at least one digit (".5" and "5." are
 * taken: venues write the first). `dec_parse` refuses text that needs more than 12 places (trailing
 * zeros are no need); `dec_parse_rounded` rounds it. False: not a number, or out of range, or
 * (dec_parse) inexact; *out is untouched.
 */
bool dec_parse(const char *text, size_t length, dec *out);
bool dec_parse_rounded(const char *text, size_t length, enum dec_rounding rounding, dec *out);

/* Shortest exact text ("0.1", "-3", "0"), NUL-terminated; returns its length. Never an exponent. */
size_t dec_format(dec value, char text[DEC_TEXT_MAX]);

/* Checked. False where the result does not fit or the divisor is zero; *out is untouched. */
bool dec_add(dec a, dec b, dec *out);
bool dec_sub(dec a, dec b, dec *out);
bool dec_mul(dec a, dec b, enum dec_rounding rounding, dec *out);
bool dec_div(dec a, dec b, enum dec_rounding rounding, dec *out);
/* a x b / c with 256 bits in between: formulas multiply first and divide last, here. */
bool dec_mul_div(dec a, dec b, dec c, enum dec_rounding rounding, dec *out);

/* Nearest multiple of `step` (> 0) in the direction named: a venue's tick or lot. */
bool dec_to_step(dec value, dec step, enum dec_rounding rounding, dec *out);
/* True where value is a whole multiple of step (> 0). */
bool dec_is_multiple(dec value, dec step);

static inline int dec_compare(dec a, dec b)
{
    return (a.units > b.units) - (a.units < b.units);
}

static inline int dec_sign(dec a)
{
    return (a.units > 0) - (a.units < 0);
}

static inline bool dec_is_zero(dec a)
{
    return a.units == 0;
}

static inline dec dec_negate(dec a)
{
    return (dec){-a.units};
}

static inline dec dec_absolute(dec a)
{
    return a.units < 0 ? dec_negate(a) : a;
}

static inline dec dec_least(dec a, dec b)
{
    return dec_compare(a, b) < 0 ? a : b;
}

static inline dec dec_most(dec a, dec b)
{
    return dec_compare(a, b) > 0 ? a : b;
}

#endif
