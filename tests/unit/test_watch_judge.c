/* What a page is worth, what a signal is worth, what a whale is worth. */
#include "workerd/watch/watch_page.h"
#include "workerd/watch/watch_score.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND CLOCK_SECOND_NS

static dec number(const char *text)
{
    dec value;

    assert_true(dec_parse(text, strlen(text), &value));
    return value;
}

static void assert_number(dec value, const char *expected)
{
    char text[DEC_TEXT_MAX];

    dec_format(value, text);
    assert_string_equal(text, expected);
}

/* ---- pages --------------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    int status;
    const char *body;
    enum venue_class class_;
    bool complete, truncated;
    enum watch_page page;
} pages[] = {
    {"a whole page", 200, "{}", VENUE_OK, true, false, WATCH_PAGE_GOOD},
    {"an empty or hidden page", 200, "{}", VENUE_OK, false, false, WATCH_PAGE_HIDDEN},
    {"more rows than there is room for", 200, "{}", VENUE_OK, true, true, WATCH_PAGE_HIDDEN},
    {"the venue refuses to show it", 200, "{}", VENUE_REJECTED, false, false, WATCH_PAGE_HIDDEN},
    {"JSON without a list", 200, " {\"data\":null}", VENUE_UNREADABLE, false, false,
     WATCH_PAGE_HIDDEN},
    {"HTML with 200", 200, "<html>", VENUE_UNREADABLE, false, false, WATCH_PAGE_UNREACHABLE},
    {"nothing with 200", 200, "", VENUE_UNREADABLE, false, false, WATCH_PAGE_UNREACHABLE},
    {"a guard's 403", 403, "<html>", VENUE_REJECTED, false, false, WATCH_PAGE_UNREACHABLE},
    {"500", 500, "{}", VENUE_UNCLEAR, false, false, WATCH_PAGE_UNREACHABLE},
    {"no answer", 0, NULL, VENUE_OK, false, false, WATCH_PAGE_UNREACHABLE},
    {"429", 429, "{}", VENUE_RETRY_LATER, false, false, WATCH_PAGE_LIMITED},
    {"418", 418, "", VENUE_UNREADABLE, false, false, WATCH_PAGE_LIMITED},
    {"the venue's own word for too many", 200, "{}", VENUE_RETRY_LATER, false, false,
     WATCH_PAGE_LIMITED},
};

static void given_an_answer_when_judged_then_unknown_is_never_flat(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        const venue_result result = {
            .verdict = {.class_ = pages[i].class_},
            .complete = pages[i].complete,
            .truncated = pages[i].truncated,
        };
        const char *body = pages[i].body;
        const enum watch_page page =
            watch_page_judge(pages[i].status, body, body != NULL ? strlen(body) : 0, &result);

        if (page != pages[i].page) {
            fail_msg("%s: judged %d", pages[i].name, (int)page);
        }
    }
}

static void given_a_place_that_stands_twice_when_read_then_the_page_is_unknown(void **state)
{
    static watch_position positions[WATCH_POSITIONS_MAX];
    venue_position rows[] = {
        {.symbol = "BTCUSDT", .position_side = VENUE_LONG, .quantity = DEC_ONE},
        {.symbol = "BTCUSDT", .position_side = VENUE_SHORT, .quantity = DEC_ONE},
        {.symbol = "BTCUSDT", .position_side = VENUE_LONG, .quantity = DEC_ONE},
    };
    venue_result result = {.positions = rows, .capacity = 3, .count = 2};
    size_t count;

    (void)state;
    assert_true(watch_page_positions(&result, positions, &count));
    assert_int_equal(count, 2);
    result.count = 3;
    assert_false(watch_page_positions(&result, positions, &count));
}

static void given_a_page_when_searched_then_only_whole_quoted_names_count(void **state)
{
    static const char body[] = "{\"symbol\":\"ETHBTC\",\"x\":\"BTC\",\"y\":\"1000PEPEUSDT\"}";

    (void)state;
    assert_true(watch_page_names(body, sizeof(body) - 1, "BTC"));
    assert_true(watch_page_names(body, sizeof(body) - 1, "ETHBTC"));
    assert_false(watch_page_names(body, sizeof(body) - 1, "PEPEUSDT"));
    assert_false(watch_page_names(body, sizeof(body) - 1, "ETH"));
    assert_false(watch_page_names(body, sizeof(body) - 1, ""));
    assert_false(watch_page_names("BTC", 3, "BTC"));
}

static void given_hidden_pages_in_a_row_when_retried_then_the_fifth_disables_for_a_day(void **state)
{
    (void)state;
    for (int64_t i = 1; i < WATCH_HIDDEN_MAX; i++) {
        const watch_retry retry = watch_page_retry(WATCH_PAGE_HIDDEN, i, 10 * SECOND, 0);

        assert_null(retry.status);
        assert_int_equal(retry.pause_ns, (10 << (i - 1)) * SECOND);
    }
    const watch_retry fifth = watch_page_retry(WATCH_PAGE_HIDDEN, 5, 10 * SECOND, 0);
    assert_string_equal(fifth.status, "SHARING_DISABLED");
    assert_int_equal(fifth.pause_ns, 24 * 3600 * SECOND);
}

static void given_a_silent_venue_when_retried_then_the_whale_is_never_disabled(void **state)
{
    const watch_retry late = watch_page_retry(WATCH_PAGE_UNREACHABLE, 1000, SECOND, 0);
    const watch_retry slow = watch_page_retry(WATCH_PAGE_UNREACHABLE, 1000, 120 * SECOND, 0);

    (void)state;
    assert_null(late.status);
    assert_int_equal(late.pause_ns, WATCH_UNREACHABLE_PAUSE_MAX_NS);
    assert_int_equal(slow.pause_ns, 120 * SECOND);
}

static void given_too_many_requests_when_retried_then_the_venues_wish_is_obeyed(void **state)
{
    const watch_retry told = watch_page_retry(WATCH_PAGE_LIMITED, 1, SECOND, 14 * SECOND);
    const watch_retry untold = watch_page_retry(WATCH_PAGE_LIMITED, 1, SECOND, 0);
    const watch_retry absurd = watch_page_retry(WATCH_PAGE_LIMITED, 1, SECOND, INT64_MAX);

    (void)state;
    assert_string_equal(told.status, "RATE_LIMITED");
    assert_int_equal(told.pause_ns, 14 * SECOND);
    assert_int_equal(untold.pause_ns, WATCH_LIMITED_PAUSE_NS);
    assert_int_equal(absurd.pause_ns, WATCH_LIMITED_PAUSE_MAX_NS);
}

static void given_the_last_good_read_when_long_ago_then_the_next_is_a_baseline(void **state)
{
    const int64_t now = 1000000 * SECOND;

    (void)state;
    assert_true(watch_is_baseline(false, 0, now, 10 * SECOND));
    assert_true(watch_is_baseline(true, 0, now, 10 * SECOND));
    assert_false(watch_is_baseline(true, now - 60 * SECOND, now, 10 * SECOND));
    assert_true(watch_is_baseline(true, now - 61 * SECOND, now, 10 * SECOND));
    /* a slow interval has a longer gap */
    assert_false(watch_is_baseline(true, now - 300 * SECOND, now, 60 * SECOND));
    assert_true(watch_is_baseline(true, now - 301 * SECOND, now, 60 * SECOND));
}

/* ---- scores -------------------------------------------------------------------------------------
 */

static const struct {
    const char *name, *whale, *entry, *mark;
    int leverage;
    const char *score, *band;
} confidences[] = {
    {"the best there can be", "100", "100", "200", 1, "100", "VERY_HIGH"},
    {"nothing speaks for it", "0", "100", "100", 125, "10", "LOW"},
    /* (30 + 0 - 15) x 100 / 78.5 */
    {"a good whale, fresh, ten times", "60", "100", "100", 10, "19.11", "LOW"},
    /* (40 + 15 - 7.5) x 100 / 78.5: 1 % at five times is 5 % */
    {"a better one in profit", "80", "100", "101", 5, "60.51", "HIGH"},
    {"the same in loss: ROE counts by its size", "80", "100", "99", 5, "60.51", "HIGH"},
    {"ROE is capped", "0", "100", "150", 1, "36.31", "LOW"},
    {"leverage is capped", "100", "100", "100", 125, "38.22", "LOW"},
    {"no entry price", "100", "0", "100", 1, "61.78", "HIGH"},
    {"a leverage that is not told counts as one", "100", "100", "100", 0, "61.78", "HIGH"},
    {"figures beyond any number", "100", "0.000000000001", "99999999999999", 125, "76.43", "HIGH"},
};

static void given_a_signal_when_scored_then_the_formula_holds_within_its_bounds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(confidences) / sizeof(confidences[0]); i++) {
        const dec score =
            watch_confidence(number(confidences[i].whale), number(confidences[i].entry),
                             number(confidences[i].mark), confidences[i].leverage);
        char text[DEC_TEXT_MAX];

        dec_format(score, text);
        if (strcmp(text, confidences[i].score) != 0 ||
            strcmp(watch_confidence_band(score), confidences[i].band) != 0) {
            fail_msg("%s: %s %s", confidences[i].name, text, watch_confidence_band(score));
        }
    }
}

static void given_scores_at_the_edges_when_banded_then_bands_begin_at_40_60_80(void **state)
{
    (void)state;
    assert_string_equal(watch_confidence_band(number("39.99")), "LOW");
    assert_string_equal(watch_confidence_band(number("40")), "MEDIUM");
    assert_string_equal(watch_confidence_band(number("59.99")), "MEDIUM");
    assert_string_equal(watch_confidence_band(number("60")), "HIGH");
    assert_string_equal(watch_confidence_band(number("80")), "VERY_HIGH");
}

static void given_a_leader_when_scored_then_losing_copiers_cost_more_than_returns_give(void **state)
{
    venue_leader leader = {.roi_known = true, .pnl_known = true, .copier_pnl_known = true};
    dec shining, losing;

    (void)state;
    assert_number(watch_whale_score(&leader), "0");
    leader.roi = number("50");
    leader.pnl = number("10000");
    leader.copier_pnl = number("10000");
    leader.followers = 100;
    assert_number(watch_whale_score(&leader), "50"); /* half of each part */
    shining = watch_whale_score(&leader);
    leader.roi = number("7086");
    leader.copier_pnl = number("-1");
    losing = watch_whale_score(&leader);
    assert_true(dec_compare(losing, shining) < 0);
    leader = (venue_leader){0};
    assert_number(watch_whale_score(&leader), "0"); /* nothing told is nothing earned */
}

static void given_scores_when_ranked_then_ranks_step_every_twenty(void **state)
{
    (void)state;
    assert_string_equal(watch_whale_rank(number("0")), "BRONZE");
    assert_string_equal(watch_whale_rank(number("19.99")), "BRONZE");
    assert_string_equal(watch_whale_rank(number("20")), "SILVER");
    assert_string_equal(watch_whale_rank(number("40")), "GOLD");
    assert_string_equal(watch_whale_rank(number("60")), "PLATINUM");
    assert_string_equal(watch_whale_rank(number("100")), "DIAMOND");
    assert_int_equal(watch_priority("bitget"), 80);
    assert_int_equal(watch_priority("unheard-of"), 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(given_an_answer_when_judged_then_unknown_is_never_flat),
        cmocka_unit_test(given_a_place_that_stands_twice_when_read_then_the_page_is_unknown),
        cmocka_unit_test(given_a_page_when_searched_then_only_whole_quoted_names_count),
        cmocka_unit_test(
            given_hidden_pages_in_a_row_when_retried_then_the_fifth_disables_for_a_day),
        cmocka_unit_test(given_a_silent_venue_when_retried_then_the_whale_is_never_disabled),
        cmocka_unit_test(given_too_many_requests_when_retried_then_the_venues_wish_is_obeyed),
        cmocka_unit_test(given_the_last_good_read_when_long_ago_then_the_next_is_a_baseline),
        cmocka_unit_test(given_a_signal_when_scored_then_the_formula_holds_within_its_bounds),
        cmocka_unit_test(given_scores_at_the_edges_when_banded_then_bands_begin_at_40_60_80),
        cmocka_unit_test(
            given_a_leader_when_scored_then_losing_copiers_cost_more_than_returns_give),
        cmocka_unit_test(given_scores_when_ranked_then_ranks_step_every_twenty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
