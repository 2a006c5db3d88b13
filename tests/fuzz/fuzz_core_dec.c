/*
 * Fuzzes dec: the first byte chooses, the rest is text for the parser or two to three numbers for
 * the arithmetic. Checked: what is read is in range and comes back from its text; results are in
 * range; what an operation gives, its inverse takes back.
 */
#include "core/dec.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth) {
        abort();
    }
}

static bool in_range(dec value)
{
    const __int128 half = 10000000000000000000ULL; /* 10^19 */

    return value.units < half * half && value.units > -half * half;
}

static void check_text(const char *text, size_t length, enum dec_rounding rounding)
{
    dec value = {1}, rounded = {1}, again;
    char own[DEC_TEXT_MAX];
    bool exact = dec_parse(text, length, &value);
    bool read = dec_parse_rounded(text, length, rounding, &rounded);

    must(exact || value.units == 1);
    must(read || rounded.units == 1);
    must(!exact || (read && value.units == rounded.units));
    if (!read) {
        return;
    }
    must(in_range(rounded));
    must(dec_format(rounded, own) == strlen(own) && strlen(own) < DEC_TEXT_MAX);
    must(dec_parse(own, strlen(own), &again) && again.units == rounded.units);
}

static void check_sums(dec a, dec b, dec c, enum dec_rounding rounding)
{
    dec result, back;

    if (dec_add(a, b, &result)) {
        must(in_range(result));
        must(!in_range(a) || (dec_sub(result, b, &back) && back.units == a.units));
    }
    if (dec_mul_div(a, b, c, rounding, &result)) {
        must(in_range(result) && c.units != 0);
    }
    if (dec_mul(a, DEC_ONE, rounding, &result)) {
        must(result.units == a.units);
    }
    if (dec_div(a, b, DEC_TOWARD_ZERO, &result) && dec_mul(result, b, DEC_TOWARD_ZERO, &back)) {
        must(dec_compare(dec_absolute(back), dec_absolute(a)) <= 0);
    }
    if (dec_to_step(a, b, rounding, &result)) {
        must(in_range(result) && dec_is_multiple(result, b));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dec numbers[3] = {{0}, {0}, {0}};
    enum dec_rounding rounding;

    if (size == 0) {
        return 0;
    }
    rounding = (enum dec_rounding)(data[0] / 2 % 5);
    if (data[0] % 2 == 0) {
        check_text((const char *)data + 1, size - 1, rounding);
        return 0;
    }
    memcpy(numbers, data + 1, size - 1 < sizeof(numbers) ? size - 1 : sizeof(numbers));
    check_sums(numbers[0], numbers[1], numbers[2], rounding);
    return 0;
}
