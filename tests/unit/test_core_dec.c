/*
 * dec against an independent oracle: the same sums done with OpenSSL's big numbers, over seeded
 * random operands that crowd around the limits. Then the text forms by example, and the edges by
 * name.
 */
#include "core/dec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/bn.h>

#define CASES 40000

static const enum dec_rounding roundings[] = {DEC_TOWARD_ZERO, DEC_AWAY_FROM_ZERO, DEC_FLOOR,
                                              DEC_CEILING, DEC_HALF_EVEN};

typedef unsigned __int128 u128;

static uint64_t seed_state;

static uint64_t draw(void)
{
    uint64_t z = (seed_state += 0x9E3779B97F4A7C15ULL); /* splitmix64 */

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

static u128 limit(void)
{
    return (u128)10000000000000000000ULL * 10000000000000000000ULL;
}

/* Of any size in bits, often close to a power of ten or to the limit, either sign. */
static dec draw_dec(void)
{
    u128 units = ((u128)draw() << 64 | draw()) >> draw() % 128;

    switch (draw() % 8) {
    case 0:
        units = limit() - 1 - draw() % 3;
        break;
    case 1:
        units = 1;
        for (uint64_t power = draw() % 38; power > 0; power--) {
            units *= 10;
        }
        units = units * (1 + draw() % 9) + draw() % 3 - 1;
        break;
    case 2:
        units = draw() % 20;
        break;
    }
    units %= limit();
    return (dec){draw() % 2 ? -(__int128)units : (__int128)units};
}

/* The oracle's numbers. */
static BN_CTX *context;

static BIGNUM *big(__int128 value)
{
    u128 magnitude = value < 0 ? -(u128)value : (u128)value;
    unsigned char bytes[16];
    BIGNUM *number;

    for (int i = 15; i >= 0; i--, magnitude >>= 8) {
        bytes[i] = (unsigned char)magnitude;
    }
    number = BN_bin2bn(bytes, 16, NULL);
    BN_set_negative(number, value < 0);
    return number;
}

/* a x b / c rounded as named; false: c is zero or the result is out of range. */
static bool oracle(__int128 a, __int128 b, __int128 c, enum dec_rounding rounding, __int128 *out)
{
    BIGNUM *x = big(a), *y = big(b), *z = big(c), *q = BN_new(), *r = BN_new(), *top = BN_new();
    bool fits = false;
    char *text;

    if (c != 0) {
        bool negative, up = false;

        BN_mul(x, x, y, context);
        negative = BN_is_negative(x) != BN_is_negative(z);
        BN_set_negative(x, 0);
        BN_set_negative(z, 0);
        BN_div(q, r, x, z, context);
        if (!BN_is_zero(r)) {
            int half;

            BN_lshift1(r, r);
            half = BN_cmp(r, z);
            up = rounding == DEC_AWAY_FROM_ZERO || (rounding == DEC_FLOOR && negative) ||
                 (rounding == DEC_CEILING && !negative) ||
                 (rounding == DEC_HALF_EVEN && (half > 0 || (half == 0 && BN_is_odd(q))));
        }
        BN_add_word(q, up);
        BN_dec2bn(&top, "100000000000000000000000000000000000000");
        fits = BN_cmp(q, top) < 0;
        if (fits) {
            *out = 0;
            text = BN_bn2dec(q);
            for (const char *at = text; *at != '\0'; at++) {
                *out = *out * 10 + (*at - '0');
            }
            *out = negative ? -*out : *out;
            OPENSSL_free(text);
        }
    }
    BN_free(x);
    BN_free(y);
    BN_free(z);
    BN_free(q);
    BN_free(r);
    BN_free(top);
    return fits;
}

static void print_units(const char *name, __int128 units)
{
    char text[DEC_TEXT_MAX];

    dec_format((dec){units}, text);
    print_error("%s = %s x 10^12\n", name, text);
}

static void expect(bool done, dec got, bool fits, __int128 wanted, dec a, dec b, dec c,
                   enum dec_rounding rounding)
{
    if (done == fits && (!fits || got.units == wanted)) {
        return;
    }
    print_error("rounding %d, done %d, fits %d\n", (int)rounding, done, fits);
    print_units("a", a.units);
    print_units("b", b.units);
    print_units("c", c.units);
    print_units("got", got.units);
    print_units("wanted", wanted);
    fail();
}

static void products_and_quotients_equal_the_oracle(void **state)
{
    (void)state;
    seed_state = 20261120;
    context = BN_CTX_new();
    for (int i = 0; i < CASES; i++) {
        dec a = draw_dec(), b = draw_dec(), c = draw_dec();

        for (size_t r = 0; r < sizeof(roundings) / sizeof(roundings[0]); r++) {
            enum dec_rounding rounding = roundings[r];
            dec got = {7};
            __int128 wanted = 0;
            bool fits;

            fits = oracle(a.units, b.units, DEC_ONE.units, rounding, &wanted);
            expect(dec_mul(a, b, rounding, &got), got, fits, wanted, a, b, DEC_ONE, rounding);
            fits = oracle(a.units, DEC_ONE.units, b.units, rounding, &wanted);
            expect(dec_div(a, b, rounding, &got), got, fits, wanted, a, DEC_ONE, b, rounding);
            fits = oracle(a.units, b.units, c.units, rounding, &wanted);
            expect(dec_mul_div(a, b, c, rounding, &got), got, fits, wanted, a, b, c, rounding);
        }
    }
    BN_CTX_free(context);
}

/* Halves exactly, and one unit beside them: where half-even can go wrong. */
static void exact_halves_equal_the_oracle(void **state)
{
    (void)state;
    seed_state = 3;
    context = BN_CTX_new();
    for (int i = 0; i < CASES; i++) {
        dec divisor = {(__int128)(2 * (1 + draw() % 1000000000))};
        __int128 quotient = (__int128)(draw() % 1000000000000ULL);
        dec a = {quotient * divisor.units + divisor.units / 2 + (__int128)(draw() % 3) - 1};
        dec one_unit = {1}, got = {0};
        __int128 wanted;

        a.units = draw() % 2 ? -a.units : a.units;
        for (size_t r = 0; r < sizeof(roundings) / sizeof(roundings[0]); r++) {
            bool fits = oracle(a.units, 1, divisor.units, roundings[r], &wanted);

            expect(dec_mul_div(a, one_unit, divisor, roundings[r], &got), got, fits, wanted, a,
                   one_unit, divisor, roundings[r]);
        }
    }
    BN_CTX_free(context);
}

/* Operands whose quotient digits are all ones, which a long division guesses too high. */
static void quotients_near_a_power_of_two_equal_the_oracle(void **state)
{
    (void)state;
    seed_state = 8;
    context = BN_CTX_new();
    for (int i = 0; i < CASES; i++) {
        dec c = {(__int128)((((u128)draw() << 64 | draw()) >> (2 + draw() % 50)) % limit())};
        dec a = {c.units - (__int128)(draw() >> draw() % 64)};
        dec b = {((__int128)1 << (32 + draw() % 94)) - (__int128)(draw() % 3)};
        __int128 wanted = 0;
        dec got = {7};
        bool fits;

        fits = oracle(a.units, b.units, c.units, DEC_FLOOR, &wanted);
        expect(dec_mul_div(a, b, c, DEC_FLOOR, &got), got, fits, wanted, a, b, c, DEC_FLOOR);
    }
    BN_CTX_free(context);
}

static void sums_equal_the_oracle(void **state)
{
    (void)state;
    seed_state = 4;
    for (int i = 0; i < CASES; i++) {
        dec a = draw_dec(), b = draw_dec(), got = {7};
        BIGNUM *x = big(a.units), *y = big(b.units), *sum = BN_new(), *top = BN_new();
        bool fits;

        for (int sign = 0; sign < 2; sign++) {
            bool done = sign ? dec_sub(a, b, &got) : dec_add(a, b, &got);

            if (sign) {
                BN_sub(sum, x, y);
            } else {
                BN_add(sum, x, y);
            }
            BN_dec2bn(&top, "100000000000000000000000000000000000000");
            fits = BN_ucmp(sum, top) < 0;
            assert_int_equal(done, fits);
            if (fits) {
                BIGNUM *own = big(got.units);

                assert_int_equal(BN_cmp(own, sum), 0);
                BN_free(own);
            }
        }
        BN_free(x);
        BN_free(y);
        BN_free(sum);
        BN_free(top);
    }
}

static void steps_equal_the_oracle(void **state)
{
    (void)state;
    seed_state = 5;
    context = BN_CTX_new();
    for (int i = 0; i < CASES; i++) {
        dec value = draw_dec(), step = draw_dec(), got = {7};

        step = dec_absolute(step);
        if (step.units == 0) {
            continue;
        }
        for (size_t r = 0; r < sizeof(roundings) / sizeof(roundings[0]); r++) {
            __int128 count, wanted = 0;
            bool fits = oracle(value.units, 1, step.units, roundings[r], &count);

            fits = fits && oracle(count, step.units, 1, roundings[r], &wanted);
            expect(dec_to_step(value, step, roundings[r], &got), got, fits, wanted, value, step,
                   DEC_ZERO, roundings[r]);
            if (fits) {
                assert_true(dec_is_multiple(got, step));
                assert_int_equal(dec_is_multiple(value, step), wanted == value.units);
            }
        }
    }
    BN_CTX_free(context);
}

/* The text of |units| with the point moved, written by sprintf's rules and not by dec's. */
static void plain_text(dec value, char *out)
{
    char digits[64];
    u128 magnitude = value.units < 0 ? -(u128)value.units : (u128)value.units;
    int length = 0;

    for (; length < 13 || magnitude > 0; magnitude /= 10) {
        digits[length++] = (char)('0' + (int)(magnitude % 10));
    }
    if (value.units < 0) {
        *out++ = '-';
    }
    while (length > 0) {
        if (length == 12) {
            *out++ = '.';
        }
        *out++ = digits[--length];
    }
    *out = '\0';
}

static void text_goes_out_and_comes_back(void **state)
{
    (void)state;
    seed_state = 6;
    for (int i = 0; i < CASES; i++) {
        dec value = draw_dec(), back = {7};
        char text[DEC_TEXT_MAX], plain[64];
        size_t length = dec_format(value, text);

        /* given a value, when it is written, then the text is the plain one without idle zeros */
        plain_text(value, plain);
        for (size_t end = strlen(plain); plain[end - 1] == '0' || plain[end - 1] == '.';) {
            bool point = plain[--end] == '.';

            plain[end] = '\0';
            if (point) {
                break;
            }
        }
        assert_string_equal(text, plain);
        assert_int_equal(length, strlen(text));
        /* and the text is read as the value, by either parser */
        assert_true(dec_parse(text, length, &back));
        assert_true(back.units == value.units);
        back.units = 7;
        assert_true(dec_parse_rounded(text, length, DEC_CEILING, &back));
        assert_true(back.units == value.units);
    }
}

/* Digits with a random point and exponent: the oracle scales by a power of ten. */
static void exponents_equal_the_oracle(void **state)
{
    (void)state;
    seed_state = 7;
    context = BN_CTX_new();
    for (int i = 0; i < CASES; i++) {
        uint64_t digits = draw() >> draw() % 64;
        int point = (int)(draw() % 21), exponent = (int)(draw() % 61) - 30;
        int shift = exponent - point + 12; /* units = digits x 10^shift */
        bool negative = draw() % 2;
        __int128 up = 1, down = 1, wanted = 0;
        char number[32], text[96];
        int length, split;

        snprintf(number, sizeof(number), "%021llu", (unsigned long long)digits);
        split = 21 - point;
        length = snprintf(text, sizeof(text), "%s%.*s.%s%c%+d", negative ? "-" : "", split, number,
                          number + split, draw() % 2 ? 'e' : 'E', exponent);
        if (shift > 37 || shift < -37) {
            continue; /* the powers below would not fit; examples cover these */
        }
        for (int k = shift; k > 0; k--) {
            up *= 10;
        }
        for (int k = shift; k < 0; k++) {
            down *= 10;
        }
        for (size_t r = 0; r < sizeof(roundings) / sizeof(roundings[0]); r++) {
            __int128 signed_digits = negative ? -(__int128)digits : (__int128)digits;
            bool fits = oracle(signed_digits, up, down, roundings[r], &wanted);
            dec got = {7};

            expect(dec_parse_rounded(text, (size_t)length, roundings[r], &got), got, fits, wanted,
                   (dec){signed_digits}, (dec){up}, (dec){down}, roundings[r]);
            if (fits && dec_parse(text, (size_t)length, &got)) {
                assert_true(got.units * down == signed_digits * up);
            } else if (fits) {
                assert_true(wanted * down != signed_digits * up || down == 1);
            }
        }
    }
    BN_CTX_free(context);
}

static void text_is_read_by_the_grammar(void **state)
{
    static const struct {
        const char *text, *wanted; /* NULL: refused */
    } cases[] = {
        {"0", "0"},
        {"-0", "0"},
        {"+1", "1"},
        {"007", "7"},
        {"1.50", "1.5"},
        {".48", "0.48"},
        {"5.", "5"},
        {"-.5", "-0.5"},
        {"1e3", "1000"},
        {"1E-3", "0.001"},
        {"1.5e+2", "150"},
        {"0e999999999999999999999", "0"},
        {"0.000000000001", "0.000000000001"},
        {"0.0000000000010", "0.000000000001"},
        {"0.0000000000001", NULL},
        {"1e-12", "0.000000000001"},
        {"1e-13", NULL},
        {"10e-13", "0.000000000001"},
        {"1e25", "10000000000000000000000000"},
        {"1e26", NULL},
        {"0.00001e30", "10000000000000000000000000"},
        {"99999999999999999999999999.999999999999", "99999999999999999999999999.999999999999"},
        {"99999999999999999999999999.9999999999990", "99999999999999999999999999.999999999999"},
        {"100000000000000000000000000", NULL},
        {"-100000000000000000000000000", NULL},
        {"9999999999999999999", "9999999999999999999"},
        {"18446744073709551616", "18446744073709551616"},
        {"1e1000000000000000000000", NULL},
        {"1e-1000000000000000000000", NULL},
        {"", NULL},
        {".", NULL},
        {"+", NULL},
        {"-", NULL},
        {"-.", NULL},
        {"--1", NULL},
        {"1..2", NULL},
        {"1.2.3", NULL},
        {"1e", NULL},
        {"1e+", NULL},
        {"1e1.5", NULL},
        {"e5", NULL},
        {".e5", NULL},
        {" 1", NULL},
        {"1 ", NULL},
        {"1,000", NULL},
        {"0x10", NULL},
        {"NaN", NULL},
        {"inf", NULL},
        {"null", NULL},
        {"\xEF\xBC\x91", NULL}, /* a full-width one */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        dec value = {7};
        char text[DEC_TEXT_MAX];
        bool done = dec_parse(cases[i].text, strlen(cases[i].text), &value);

        if (done != (cases[i].wanted != NULL)) {
            fail_msg("\"%s\" was %s", cases[i].text, done ? "taken" : "refused");
        }
        if (!done) {
            assert_true(value.units == 7); /* untouched */
            continue;
        }
        dec_format(value, text);
        assert_string_equal(text, cases[i].wanted);
    }
}

static void length_bounds_the_text_and_nul_is_no_digit(void **state)
{
    dec value;

    (void)state;
    assert_true(dec_parse("123garbage", 3, &value));
    assert_true(value.units == 123 * DEC_ONE.units);
    assert_false(dec_parse("12\0", 3, &value));
    assert_false(dec_parse("", 0, &value));
}

static void long_fractions_round_by_all_their_digits(void **state)
{
    char text[4096];
    dec value;

    (void)state;
    /* given exactly a half in the thirteenth place, then half-even stays at the even unit */
    assert_true(dec_parse_rounded("0.0000000000005", 15, DEC_HALF_EVEN, &value));
    assert_true(value.units == 0);
    assert_true(dec_parse_rounded("0.0000000000015", 15, DEC_HALF_EVEN, &value));
    assert_true(value.units == 2);
    /* given one more digit thousands of places on, then it is above the half */
    memset(text, '0', sizeof(text));
    text[1] = '.';
    text[14] = '5';
    text[sizeof(text) - 1] = '1';
    assert_true(dec_parse_rounded(text, sizeof(text), DEC_HALF_EVEN, &value));
    assert_true(value.units == 1);
    assert_false(dec_parse(text, sizeof(text), &value));
    /* and idle zeros of any number need no rounding at all */
    text[14] = '0';
    text[sizeof(text) - 1] = '0';
    text[3] = '5';
    assert_true(dec_parse(text, sizeof(text), &value));
    assert_true(value.units == DEC_ONE.units / 20);
}

static void rounding_up_past_the_limit_is_refused(void **state)
{
    const char *text = "99999999999999999999999999.9999999999995";
    dec value = {7}, most = {(__int128)limit() - 1};

    (void)state;
    assert_false(dec_parse_rounded(text, strlen(text), DEC_HALF_EVEN, &value));
    assert_false(dec_mul_div(most, (dec){3}, (dec){2}, DEC_CEILING, &value));
    assert_false(dec_to_step(most, (dec){10}, DEC_CEILING, &value));
    assert_false(dec_add(most, (dec){1}, &value));
    assert_false(dec_sub(dec_negate(most), (dec){1}, &value));
    assert_true(value.units == 7);
    assert_true(dec_parse_rounded(text, strlen(text), DEC_TOWARD_ZERO, &value));
    assert_true(value.units == most.units);
}

static void nothing_divides_by_zero(void **state)
{
    dec value = {7};

    (void)state;
    assert_false(dec_div(DEC_ONE, DEC_ZERO, DEC_HALF_EVEN, &value));
    assert_false(dec_mul_div(DEC_ONE, DEC_ONE, DEC_ZERO, DEC_HALF_EVEN, &value));
    assert_false(dec_mul_div(DEC_ZERO, DEC_ZERO, DEC_ZERO, DEC_HALF_EVEN, &value));
    assert_false(dec_to_step(DEC_ONE, DEC_ZERO, DEC_FLOOR, &value));
    assert_false(dec_to_step(DEC_ONE, (dec){-1}, DEC_FLOOR, &value));
    assert_false(dec_is_multiple(DEC_ONE, DEC_ZERO));
    assert_false(dec_is_multiple(DEC_ONE, (dec){-1}));
    assert_true(value.units == 7);
}

/* Values that no function here made: refused or reduced, never undefined (the sanitizers watch). */
static void values_out_of_range_do_no_harm(void **state)
{
    const __int128 least = (__int128)((u128)1 << 127), most = ~least;
    const __int128 odd[] = {least, least + 1, most, most - 1, (__int128)limit(), 0, 1, -1};
    const size_t count = sizeof(odd) / sizeof(odd[0]);
    char text[DEC_TEXT_MAX];
    dec value;

    (void)state;
    for (size_t i = 0; i < count * count * count; i++) {
        dec a = {odd[i % count]}, b = {odd[i / count % count]}, c = {odd[i / count / count]};
        bool done = false;

        done |= dec_add(a, b, &value) && dec_absolute(value).units >= (__int128)limit();
        done |= dec_sub(a, b, &value) && dec_absolute(value).units >= (__int128)limit();
        done |=
            dec_mul(a, b, DEC_CEILING, &value) && dec_absolute(value).units >= (__int128)limit();
        done |= dec_div(a, b, DEC_FLOOR, &value) && dec_absolute(value).units >= (__int128)limit();
        done |= dec_mul_div(a, b, c, DEC_HALF_EVEN, &value) &&
                dec_absolute(value).units >= (__int128)limit();
        done |= dec_to_step(a, b, DEC_AWAY_FROM_ZERO, &value) &&
                dec_absolute(value).units >= (__int128)limit();
        assert_false(done);
        assert_true(dec_format(a, text) < DEC_TEXT_MAX);
    }
}

static void comparisons_and_whole_numbers(void **state)
{
    char text[DEC_TEXT_MAX];
    dec low = dec_from_int(INT64_MIN), high = dec_from_int(INT64_MAX);

    (void)state;
    dec_format(low, text);
    assert_string_equal(text, "-9223372036854775808");
    dec_format(high, text);
    assert_string_equal(text, "9223372036854775807");
    assert_int_equal(dec_compare(low, high), -1);
    assert_int_equal(dec_compare(high, low), 1);
    assert_int_equal(dec_compare(low, low), 0);
    assert_int_equal(dec_sign(low), -1);
    assert_int_equal(dec_sign(DEC_ZERO), 0);
    assert_true(dec_least(low, high).units == low.units);
    assert_true(dec_most(low, high).units == high.units);
    assert_true(dec_is_zero(DEC_ZERO));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_and_quotients_equal_the_oracle),
        cmocka_unit_test(exact_halves_equal_the_oracle),
        cmocka_unit_test(quotients_near_a_power_of_two_equal_the_oracle),
        cmocka_unit_test(sums_equal_the_oracle),
        cmocka_unit_test(steps_equal_the_oracle),
        cmocka_unit_test(text_goes_out_and_comes_back),
        cmocka_unit_test(exponents_equal_the_oracle),
        cmocka_unit_test(text_is_read_by_the_grammar),
        cmocka_unit_test(length_bounds_the_text_and_nul_is_no_digit),
        cmocka_unit_test(long_fractions_round_by_all_their_digits),
        cmocka_unit_test(rounding_up_past_the_limit_is_refused),
        cmocka_unit_test(nothing_divides_by_zero),
        cmocka_unit_test(values_out_of_range_do_no_harm),
        cmocka_unit_test(comparisons_and_whole_numbers),
    };

    return cmocka_run_group_tests_name("core_dec", tests, NULL, NULL);
}
