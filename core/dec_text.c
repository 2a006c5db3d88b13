/*
 * dec to and from text.
 *
 * Parsing has two ways. Nearly every price and quantity has at most 19 digits: those are gathered
 * in 64 bits and widened once, which takes a few nanoseconds. All else (exponents, long fractions,
 * 38-digit numbers) goes the exact way, which looks at each digit by its place and is bounded by
 * the text alone. A point may stand first or last (".48" is how Polymarket writes prices), but
 * never alone.
 */
#include "core/dec.h"
#include "core/digits.h"

#include <string.h>

#define DEC_DIGITS_MAX 38             /* of units: |units| < 10^38 */
#define DEC_SHORT_DIGITS 19           /* always fit 64 bits */
#define DEC_SHORT_LENGTH 21           /* a sign and a point with them */
#define DEC_EXPONENT_MAX 1000000000LL /* larger ones decide like this one: no text is that long */

static const uint64_t dec_powers[DEC_PLACES + 1] = {
    1ULL,           10ULL,           100ULL,           1000ULL,      10000ULL,
    100000ULL,      1000000ULL,      10000000ULL,      100000000ULL, 1000000000ULL,
    10000000000ULL, 100000000000ULL, 1000000000000ULL,
};

static bool dec_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* False: not of the short form, which does not mean that it is no number. */
static bool dec_parse_short(const char *text, size_t length, dec *out)
{
    const char *end = text + length;
    const char *start, *point = NULL;
    uint64_t digits = 0;
    size_t count, places = 0;
    bool negative = false;

    if (length == 0 || length > DEC_SHORT_LENGTH) {
        return false;
    }
    if (*text == '-' || *text == '+') {
        negative = *text++ == '-';
    }
    for (start = text; text < end; text++) {
        if (dec_is_digit(*text)) {
            digits = digits * 10 + (uint64_t)(*text - '0');
        } else if (*text == '.' && point == NULL) {
            point = text;
        } else {
            return false;
        }
    }
    count = (size_t)(end - start);
    if (point != NULL) {
        count--;
        places = (size_t)(end - point) - 1;
    }
    if (count == 0 || count > DEC_SHORT_DIGITS || places > DEC_PLACES) {
        return false;
    }
    out->units = (__int128)digits * dec_powers[DEC_PLACES - places];
    if (negative) {
        out->units = -out->units;
    }
    return true;
}

typedef struct {
    const char *digits, *end; /* digits and at most one point, from the first that is not zero */
    long long count;          /* digits among them */
    long long exponent;       /* value = digits x 10^exponent */
    bool negative;
} dec_scan;

static bool dec_scan_exponent(const char *text, const char *end, long long *exponent)
{
    bool negative = false;

    if (text < end && (*text == '-' || *text == '+')) {
        negative = *text++ == '-';
    }
    if (text == end) {
        return false;
    }
    for (*exponent = 0; text < end; text++) {
        if (!dec_is_digit(*text)) {
            return false;
        }
        if (*exponent < DEC_EXPONENT_MAX) {
            *exponent = *exponent * 10 + (*text - '0');
        }
    }
    if (negative) {
        *exponent = -*exponent;
    }
    return true;
}

/* Reads the whole grammar; leading zeros are dropped, so that `count` is 0 for zero. */
static bool dec_scan_text(const char *text, size_t length, dec_scan *scan)
{
    const char *end = text + length;
    const char *start;
    long long places = 0;
    bool point = false, any = false;

    *scan = (dec_scan){0};
    if (text < end && (*text == '-' || *text == '+')) {
        scan->negative = *text++ == '-';
    }
    for (start = text; text < end; text++) {
        if (*text == '.' && !point) {
            point = true;
            continue;
        }
        if (!dec_is_digit(*text)) {
            break;
        }
        any = true;
        places += point;
        if (scan->count == 0 && *text != '0') {
            start = text;
        }
        scan->count += scan->count > 0 || *text != '0';
    }
    scan->digits = start;
    scan->end = text;
    if (!any) {
        return false;
    }
    if (text < end) {
        if ((*text != 'e' && *text != 'E') || !dec_scan_exponent(text + 1, end, &scan->exponent)) {
            return false;
        }
    }
    scan->exponent -= places;
    return true;
}

/* What the digits after the kept ones amount to, in units of the last kept place. */
enum dec_rest { DEC_REST_NONE, DEC_REST_BELOW_HALF, DEC_REST_HALF, DEC_REST_ABOVE_HALF };

static enum dec_rest dec_rest_of(int first, bool more)
{
    if (first > 5 || (first == 5 && more)) {
        return DEC_REST_ABOVE_HALF;
    }
    if (first == 5) {
        return DEC_REST_HALF;
    }
    return first > 0 || more ? DEC_REST_BELOW_HALF : DEC_REST_NONE;
}

static bool dec_rest_rounds_up(enum dec_rest rest, bool odd, bool negative,
                               enum dec_rounding rounding)
{
    switch (rounding) {
    case DEC_TOWARD_ZERO:
        return false;
    case DEC_AWAY_FROM_ZERO:
        return rest != DEC_REST_NONE;
    case DEC_FLOOR:
        return rest != DEC_REST_NONE && negative;
    case DEC_CEILING:
        return rest != DEC_REST_NONE && !negative;
    case DEC_HALF_EVEN:
        return rest == DEC_REST_ABOVE_HALF || (rest == DEC_REST_HALF && odd);
    }
    return false;
}

/* The first `keep` digits as a number, filled up with zeros; what follows them as a rest. */
static __int128 dec_take_digits(const dec_scan *scan, long long keep, enum dec_rest *rest)
{
    __int128 units = 0;
    long long place = 0;
    int first = 0;
    bool more = false;

    for (const char *at = scan->digits; at < scan->end; at++) {
        if (*at == '.') {
            continue;
        }
        if (place < keep) {
            units = units * 10 + (*at - '0');
        } else if (place == keep) {
            first = *at - '0';
        } else {
            more |= *at != '0';
        }
        place++;
    }
    for (; place < keep; place++) {
        units *= 10;
    }
    *rest = dec_rest_of(first, more);
    return units;
}

static bool dec_parse_long(const char *text, size_t length, bool exact, enum dec_rounding rounding,
                           dec *out)
{
    dec_scan scan;
    enum dec_rest rest;
    long long keep;
    __int128 units;

    if (!dec_scan_text(text, length, &scan)) {
        return false;
    }
    if (scan.count == 0) {
        *out = DEC_ZERO;
        return true;
    }
    keep = scan.count + scan.exponent + DEC_PLACES;
    if (keep > DEC_DIGITS_MAX) {
        return false;
    }
    units = dec_take_digits(&scan, keep, &rest);
    if (exact && rest != DEC_REST_NONE) {
        return false;
    }
    units += dec_rest_rounds_up(rest, (units & 1) != 0, scan.negative, rounding);
    if (units / 10000000000000000000ULL >= 10000000000000000000ULL) {
        return false; /* rounded up to 10^38 */
    }
    out->units = scan.negative ? -units : units;
    return true;
}

bool dec_parse(const char *text, size_t length, dec *out)
{
    return dec_parse_short(text, length, out) ||
           dec_parse_long(text, length, true, DEC_TOWARD_ZERO, out);
}

bool dec_parse_rounded(const char *text, size_t length, enum dec_rounding rounding, dec *out)
{
    return dec_parse_short(text, length, out) || dec_parse_long(text, length, false, rounding, out);
}

/* Up to 27 digits: a dec in range has 26 before the point. */
static size_t dec_put_whole(char *out, unsigned __int128 whole)
{
    const uint64_t billions = 1000000000000000000ULL; /* 10^18 */
    size_t length;

    if (whole <= UINT64_MAX) {
        return digits_put(out, (uint64_t)whole);
    }
    length = dec_put_whole(out, whole / billions);
    digits_put_fixed(out + length, (uint64_t)(whole % billions), 18);
    return length + 18;
}

size_t dec_format(dec value, char text[DEC_TEXT_MAX])
{
    const uint64_t unit = dec_powers[DEC_PLACES];
    unsigned __int128 magnitude =
        value.units < 0 ? -(unsigned __int128)value.units : (unsigned __int128)value.units;
    unsigned __int128 whole;
    uint64_t places;
    size_t length = 0;

    if (magnitude <= UINT64_MAX) {
        whole = (uint64_t)magnitude / unit;
        places = (uint64_t)magnitude % unit;
    } else {
        whole = magnitude / unit;
        places = (uint64_t)(magnitude - whole * unit);
    }
    if (value.units < 0) {
        text[length++] = '-';
    }
    length += dec_put_whole(text + length, whole);
    if (places != 0) {
        text[length++] = '.';
        digits_put_fixed(text + length, places, DEC_PLACES);
        length += DEC_PLACES;
        while (text[length - 1] == '0') {
            length--;
        }
    }
    text[length] = '\0';
    return length;
}
