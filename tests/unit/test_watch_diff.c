/* watch_diff: every row of the table in its header, both sides, hedge mode, fractions. */
#include "workerd/watch/watch_diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static watch_change changes[WATCH_CHANGES_MAX];

static dec number(const char *text)
{
    dec value;

    assert_true(dec_parse(text, strlen(text), &value));
    return value;
}

static watch_position at(const char *symbol, enum venue_position_side side, const char *quantity,
                         int leverage)
{
    watch_position position = {.side = side, .quantity = number(quantity), .leverage = leverage};

    snprintf(position.symbol, sizeof(position.symbol), "%s", symbol);
    return position;
}

static bool always(void *owner, const watch_position *position)
{
    (void)owner;
    (void)position;
    return true;
}

static bool never(void *owner, const watch_position *position)
{
    (void)owner;
    (void)position;
    return false;
}

static void assert_signal(const watch_signal *signal, enum watch_kind kind, bool buys,
                          const char *before, const char *after, const char *fraction)
{
    char text[DEC_TEXT_MAX];

    assert_string_equal(watch_kind_name(signal->kind), watch_kind_name(kind));
    assert_int_equal(signal->buys, buys);
    assert_int_equal(signal->closes, kind == WATCH_CLOSE || kind == WATCH_REDUCE);
    dec_format(signal->before, text);
    assert_string_equal(text, before);
    dec_format(signal->after, text);
    assert_string_equal(text, after);
    dec_format(signal->fraction, text);
    assert_string_equal(text, fraction);
}

/* One position that goes from `then` to `now`; "0" is none. What is told, as "KIND side" words. */
static const struct {
    const char *name, *then, *now, *told, *told_as_baseline;
} moves[] = {
    {"nothing stays nothing", "0", "0", "", ""},
    {"a long opens", "0", "2", "OPEN+ ", ""},
    {"a short opens", "0", "-2", "OPEN- ", ""},
    {"a long grows", "2", "3", "INCREASE+ ", ""},
    {"a short grows", "-2", "-3", "INCREASE- ", ""},
    {"a long shrinks", "2", "1.5", "REDUCE- ", "REDUCE- "},
    {"a short shrinks", "-2", "-1.5", "REDUCE+ ", "REDUCE+ "},
    {"a long closes", "2", "0", "CLOSE- ", "CLOSE- "},
    {"a short closes", "-2", "0", "CLOSE+ ", "CLOSE+ "},
    {"a long flips", "2", "-1", "CLOSE- FLIP- ", "CLOSE- "},
    {"a short flips", "-2", "1", "CLOSE+ FLIP+ ", "CLOSE+ "},
    {"a long stays", "2", "2", "", ""},
};

static void told(const char *then_text, const char *now_text, bool baseline, char words[64])
{
    const watch_position then = at("BTCUSDT", VENUE_BOTH, then_text, 10);
    const watch_position now = at("BTCUSDT", VENUE_BOTH, now_text, 10);
    const watch_reads reads = {
        .then = &then,
        .then_count = !dec_is_zero(then.quantity),
        .now = &now,
        .now_count = !dec_is_zero(now.quantity),
        .baseline = baseline,
        .is_gone = always,
    };
    const size_t count = watch_diff(&reads, changes);

    words[0] = '\0';
    assert_true(count <= 1);
    /* then: whatever is told, what is written is what is there now */
    if (dec_compare(then.quantity, now.quantity) != 0) {
        assert_int_equal(count, 1);
        assert_int_equal(dec_compare(changes[0].position.quantity, now.quantity), 0);
    }
    for (unsigned i = 0; count == 1 && i < changes[0].signal_count; i++) {
        const watch_signal *signal = &changes[0].signals[i];

        strcat(words, watch_kind_name(signal->kind));
        strcat(words, signal->buys ? "+ " : "- ");
    }
}

static void given_one_move_when_compared_then_the_table_holds(void **state)
{
    char words[64];

    (void)state;
    for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
        told(moves[i].then, moves[i].now, false, words);
        if (strcmp(words, moves[i].told) != 0) {
            fail_msg("%s: told \"%s\"", moves[i].name, words);
        }
        told(moves[i].then, moves[i].now, true, words);
        if (strcmp(words, moves[i].told_as_baseline) != 0) {
            fail_msg("%s, as a baseline: told \"%s\"", moves[i].name, words);
        }
    }
}

static void given_both_sides_of_a_hedge_when_one_closes_then_the_other_is_left_alone(void **state)
{
    const watch_position then[] = {at("BTCUSDT", VENUE_LONG, "1", 5),
                                   at("BTCUSDT", VENUE_SHORT, "-3", 7)};
    const watch_position now[] = {at("BTCUSDT", VENUE_SHORT, "-3", 7)};
    const watch_reads reads = {then, now, 2, 1, false, always, NULL};

    (void)state;
    assert_int_equal(watch_diff(&reads, changes), 1);
    assert_int_equal(changes[0].position.side, VENUE_LONG);
    assert_int_equal(changes[0].signal_count, 1);
    assert_signal(&changes[0].signals[0], WATCH_CLOSE, false, "1", "0", "1");
}

static void given_a_short_side_when_it_grows_then_the_signal_sells(void **state)
{
    const watch_position then[] = {at("ETHUSDT", VENUE_SHORT, "-4", 7)};
    const watch_position now[] = {at("ETHUSDT", VENUE_SHORT, "-5", 7)};
    const watch_reads reads = {then, now, 1, 1, false, always, NULL};

    (void)state;
    assert_int_equal(watch_diff(&reads, changes), 1);
    assert_signal(&changes[0].signals[0], WATCH_INCREASE, false, "-4", "-5", "0.25");
}

static void given_a_flip_when_compared_then_the_close_comes_first(void **state)
{
    const watch_position then[] = {at("BTCUSDT", VENUE_BOTH, "0.5", 10)};
    const watch_position now[] = {at("BTCUSDT", VENUE_BOTH, "-0.2", 20)};
    const watch_reads reads = {then, now, 1, 1, false, always, NULL};

    (void)state;
    assert_int_equal(watch_diff(&reads, changes), 1);
    assert_int_equal(changes[0].signal_count, 2);
    assert_signal(&changes[0].signals[0], WATCH_CLOSE, false, "0.5", "0", "1");
    assert_signal(&changes[0].signals[1], WATCH_FLIP, false, "0", "-0.2", "1");
}

static void given_a_row_that_may_be_missing_when_compared_then_nothing_closes(void **state)
{
    const watch_position then[] = {at("BTCUSDT", VENUE_BOTH, "1", 10)};
    const watch_reads reads = {then, NULL, 1, 0, false, never, NULL};

    (void)state;
    assert_int_equal(watch_diff(&reads, changes), 0);
}

static void given_closes_and_opens_when_compared_then_closes_come_first(void **state)
{
    const watch_position then[] = {at("BTCUSDT", VENUE_BOTH, "1", 10)};
    const watch_position now[] = {at("AAVEUSDT", VENUE_BOTH, "9", 3)};
    const watch_reads reads = {then, now, 1, 1, false, always, NULL};

    (void)state;
    assert_int_equal(watch_diff(&reads, changes), 2);
    assert_string_equal(changes[0].position.symbol, "BTCUSDT");
    assert_int_equal(changes[0].signals[0].kind, WATCH_CLOSE);
    assert_string_equal(changes[1].position.symbol, "AAVEUSDT");
    assert_int_equal(changes[1].signals[0].kind, WATCH_OPEN);
}

/* Fractions round towards less risk, and one that is nothing is not told. */
static void given_thirds_when_compared_then_cuts_round_up_and_additions_down(void **state)
{
    const watch_position three[] = {at("BTCUSDT", VENUE_BOTH, "3", 10)};
    const watch_position two[] = {at("BTCUSDT", VENUE_BOTH, "2", 10)};
    const watch_position four[] = {at("BTCUSDT", VENUE_BOTH, "4", 10)};
    const watch_reads cut = {three, two, 1, 1, false, always, NULL};
    const watch_reads add = {three, four, 1, 1, false, always, NULL};

    (void)state;
    assert_int_equal(watch_diff(&cut, changes), 1);
    assert_signal(&changes[0].signals[0], WATCH_REDUCE, false, "3", "2", "0.333333333334");
    assert_int_equal(watch_diff(&add, changes), 1);
    assert_signal(&changes[0].signals[0], WATCH_INCREASE, true, "3", "4", "0.333333333333");
}

static void given_an_addition_of_nothing_when_compared_then_it_is_noted_and_not_told(void **state)
{
    const watch_position then[] = {at("BTCUSDT", VENUE_BOTH, "1000000", 10)};
    const watch_position now[] = {at("BTCUSDT", VENUE_BOTH, "1000000.0000001", 10)};
    const watch_reads reads = {then, now, 1, 1, false, always, NULL};

    (void)state;
    assert_int_equal(watch_diff(&reads, changes), 1);
    assert_int_equal(changes[0].signal_count, 0);
}

static void given_another_leverage_when_compared_then_it_is_noted_and_not_told(void **state)
{
    const watch_position then[] = {at("BTCUSDT", VENUE_BOTH, "1", 10)};
    const watch_position now[] = {at("BTCUSDT", VENUE_BOTH, "1", 25)};
    const watch_position untold[] = {at("BTCUSDT", VENUE_BOTH, "1", 0)};
    const watch_reads reads = {then, now, 1, 1, false, always, NULL};
    const watch_reads silent = {then, untold, 1, 1, false, always, NULL};

    (void)state;
    assert_int_equal(watch_diff(&reads, changes), 1);
    assert_int_equal(changes[0].signal_count, 0);
    assert_int_equal(changes[0].position.leverage, 25);
    /* and a page that does not tell it changes nothing */
    assert_int_equal(watch_diff(&silent, changes), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(given_one_move_when_compared_then_the_table_holds),
        cmocka_unit_test(given_both_sides_of_a_hedge_when_one_closes_then_the_other_is_left_alone),
        cmocka_unit_test(given_a_short_side_when_it_grows_then_the_signal_sells),
        cmocka_unit_test(given_a_flip_when_compared_then_the_close_comes_first),
        cmocka_unit_test(given_a_row_that_may_be_missing_when_compared_then_nothing_closes),
        cmocka_unit_test(given_closes_and_opens_when_compared_then_closes_come_first),
        cmocka_unit_test(given_thirds_when_compared_then_cuts_round_up_and_additions_down),
        cmocka_unit_test(given_an_addition_of_nothing_when_compared_then_it_is_noted_and_not_told),
        cmocka_unit_test(given_another_leverage_when_compared_then_it_is_noted_and_not_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
