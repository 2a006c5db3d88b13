/*
 * clock against libc: formatting and parsing over random moments of the whole int64 range, then the
 * forms of RFC 3339 by a table. And the list of error codes, which has no file of its own.
 */
#include "core/clock.h"
#include "core/errors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static uint64_t seed_state = 5;

static int64_t draw_time(void)
{
    uint64_t z = (seed_state += 0x9E3779B97F4A7C15ULL);

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return (int64_t)(z ^ (z >> 31)) >> seed_state % 24;
}

static void libc_text(int64_t time_ns, char *out, size_t capacity)
{
    int64_t nanoseconds = time_ns % CLOCK_SECOND_NS;
    time_t seconds = time_ns / CLOCK_SECOND_NS;
    struct tm parts;
    size_t length;

    if (nanoseconds < 0) {
        nanoseconds += CLOCK_SECOND_NS;
        seconds--;
    }
    gmtime_r(&seconds, &parts);
    length = strftime(out, capacity, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out + length, capacity - length, ".%06dZ", (int)(nanoseconds / 1000));
}

static void expect_text(int64_t time_ns)
{
    char text[CLOCK_TEXT_MAX], wanted[64];
    int64_t back, floor = time_ns % 1000;

    libc_text(time_ns, wanted, sizeof(wanted));
    assert_int_equal(clock_format(time_ns, text), 27);
    assert_string_equal(text, wanted);
    /* read back, it is the moment less what microseconds do not show */
    if (clock_parse(text, 27, &back)) {
        assert_true(back == time_ns - floor - (floor < 0 ? 1000 : 0));
    } else {
        assert_true(time_ns < INT64_MIN + 1000);
    }
}

static void moments_are_written_as_libc_writes_them(void **state)
{
    static const int64_t edges[] = {INT64_MIN,
                                    INT64_MIN + 1,
                                    INT64_MAX,
                                    -1,
                                    0,
                                    1,
                                    999,
                                    1000,
                                    -86400 * CLOCK_SECOND_NS,
                                    -86400 * CLOCK_SECOND_NS - 1};

    (void)state;
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        expect_text(edges[i]);
    }
    for (int i = 0; i < 200000; i++) {
        expect_text(draw_time());
    }
    /* the first and last second of every day from 1890 to 2110, leap days and centuries among them
     */
    for (int64_t day = -29220; day < 51135; day++) {
        expect_text(day * 86400 * CLOCK_SECOND_NS);
        expect_text(day * 86400 * CLOCK_SECOND_NS - 1);
    }
}

static void texts_are_read_by_rfc_3339(void **state)
{
    static const struct {
        const char *text, *wanted; /* NULL: refused */
    } cases[] = {
        {"2026-11-20T09:10:11.123456Z", "2026-11-20T09:10:11.123456Z"},
        {"2026-11-20T09:10:11Z", "2026-11-20T09:10:11.000000Z"},
        {"2026-11-20t09:10:11z", "2026-11-20T09:10:11.000000Z"},
        {"2026-11-20 09:10:11+00:00", "2026-11-20T09:10:11.000000Z"},
        {"2026-11-20T09:10:11.5+02:30", "2026-11-20T06:40:11.500000Z"},
        {"2026-11-20T23:10:11-08:00", "2026-11-21T07:10:11.000000Z"},
        {"2026-01-01T00:00:00+00:01", "2025-12-31T23:59:00.000000Z"},
        {"2026-11-20T09:10:11.123456789Z", "2026-11-20T09:10:11.123456Z"},
        {"1970-01-01T00:00:00-00:00", "1970-01-01T00:00:00.000000Z"},
        {"2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000000Z"},
        {"2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000000Z"},
        {"2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"},
        {"2017-01-01T00:59:60+01:00", "2017-01-01T00:00:00.000000Z"},
        {"1677-09-21T00:12:43.145225Z", "1677-09-21T00:12:43.145225Z"},
        {"2262-04-11T23:47:16.854775807Z", "2262-04-11T23:47:16.854775Z"},
        {"2262-04-11T23:47:16.854775808Z", NULL},
        {"1677-09-21T00:12:43.145224Z", NULL},
        {"0000-01-01T00:00:00Z", NULL},
        {"9999-12-31T23:59:59Z", NULL},
        {"2026-11-20T12:30:60Z", NULL},
        {"2026-11-20T09:10:61Z", NULL},
        {"2026-11-20T09:60:11Z", NULL},
        {"2026-11-20T24:00:00Z", NULL},
        {"2026-11-31T00:00:00Z", NULL},
        {"2026-02-29T00:00:00Z", NULL},
        {"1900-02-29T00:00:00Z", NULL},
        {"2026-00-01T00:00:00Z", NULL},
        {"2026-13-01T00:00:00Z", NULL},
        {"2026-01-00T00:00:00Z", NULL},
        {"2026-11-20T09:10:11", NULL},
        {"2026-11-20T09:10:11.Z", NULL},
        {"2026-11-20T09:10:11.1234567890Z", NULL},
        {"2026-11-20T09:10:11,5Z", NULL},
        {"2026-11-20T09:10:11+0000", NULL},
        {"2026-11-20T09:10:11+24:00", NULL},
        {"2026-11-20T09:10:11+00:60", NULL},
        {"2026-11-20T09:10:11+0", NULL},
        {"2026-11-20T09:10:11+", NULL},
        {"2026-11-20T09:10Z", NULL},
        {"2026-11-20", NULL},
        {"26-11-20T09:10:11Z", NULL},
        {"+2026-11-20T09:10:11Z", NULL},
        {"2026-11-20T09:10:11ZZ", NULL},
        {"2026-11-20T09:10:11Z ", NULL},
        {" 2026-11-20T09:10:11Z", NULL},
        {"2026/11/20T09:10:11Z", NULL},
        {"2026-11-20T 9:10:11Z", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t length = strlen(cases[i].text);
        char *exact = malloc(length > 0 ? length : 1), text[CLOCK_TEXT_MAX];
        int64_t time_ns = 7;
        bool done;

        memcpy(exact, cases[i].text, length);
        done = clock_parse(exact, length, &time_ns);
        free(exact);
        if (done != (cases[i].wanted != NULL)) {
            fail_msg("\"%s\" was %s", cases[i].text, done ? "taken" : "refused");
        }
        if (done) {
            clock_format(time_ns, text);
            assert_string_equal(text, cases[i].wanted);
        } else {
            assert_true(time_ns == 7);
        }
    }
    assert_false(clock_parse("2026-11-20T09:10:11\0", 20, &(int64_t){0}));
}

static void the_clocks_run(void **state)
{
    int64_t wall = clock_now_ns(), monotonic = clock_monotonic_ns();

    (void)state;
    assert_true(wall / CLOCK_SECOND_NS - time(NULL) <= 0);
    assert_true(time(NULL) - wall / CLOCK_SECOND_NS < 5);
    assert_true(clock_monotonic_ns() >= monotonic);
}

static void error_codes_are_found_by_their_names(void **state)
{
    (void)state;
    for (int i = 0; i < ERROR_COUNT; i++) {
        enum whale_error error = (enum whale_error)i;
        const char *sentence = error_sentence(error);

        assert_int_equal(error_by_code(error_code(error)), error);
        assert_in_range(error_http_status(error), 200, 599);
        /* a sentence that a person can read: a capital first, a full stop last */
        assert_true(sentence[0] >= 'A' && sentence[0] <= 'Z');
        assert_int_equal(sentence[strlen(sentence) - 1], '.');
    }
    assert_string_equal(error_code(ERROR_FUNDS_SHORT), "funds_short");
    assert_int_equal(error_http_status(ERROR_NOT_FOUND), 404);
    assert_int_equal(error_by_code("no_such_code"), ERROR_COUNT);
    assert_int_equal(error_by_code(""), ERROR_COUNT);
    assert_int_equal(error_by_code(NULL), ERROR_COUNT);
    assert_string_equal(error_code(ERROR_COUNT), "internal");
    assert_string_equal(error_code((enum whale_error)12345), "internal");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_written_as_libc_writes_them),
        cmocka_unit_test(texts_are_read_by_rfc_3339),
        cmocka_unit_test(the_clocks_run),
        cmocka_unit_test(error_codes_are_found_by_their_names),
    };

    return cmocka_run_group_tests_name("core_clock", tests, NULL, NULL);
}
