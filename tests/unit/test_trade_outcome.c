/*
 * The one place where "exactly one order per trade" is decided, as a matrix: where a trade stands ×
 * how the call ended × what the venue says -> the next step. Then the rule itself, over every cell:
 * an order is made again only after the venue said for certain that it was not executed.
 */
#include "workerd/trade/trade_outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static dec d(const char *text)
{
    dec value = DEC_ZERO;

    assert_true(dec_parse(text, strlen(text), &value));
    return value;
}

static venue_result result;

static trade_call_outcome answered(enum venue_class class_)
{
    result = (venue_result){.verdict = {.class_ = class_}};
    return (trade_call_outcome){.end = TRADE_CALL_ANSWERED, .result = &result};
}

static trade_call_outcome ended(enum trade_call_end end)
{
    result = (venue_result){0};
    return (trade_call_outcome){.end = end, .result = &result};
}

static trade_call_outcome unsigned_(enum net_sign_status status)
{
    trade_call_outcome outcome = ended(TRADE_CALL_UNSIGNED);

    outcome.sign_status = status;
    return outcome;
}

static venue_order order(enum venue_order_state state, const char *filled)
{
    venue_order one = {.state = state, .symbol = "BTCUSDT", .client_order_id = "wabc01"};

    one.quantity = d("1");
    one.filled_quantity = d(filled);
    return one;
}

static void assert_step(const char *what, trade_next next, enum trade_step wanted)
{
    if (next.step != wanted) {
        fail_msg("%s: %s, not %s", what, trade_step_name(next.step), trade_step_name(wanted));
    }
}

static const trade_standing entry_1 = {.attempt = 1};
static const trade_standing exit_1 = {.attempt = 1, .reduce_only = true};

/* ---- placing -----------------------------------------------------------------------------------
 */

typedef struct {
    enum venue_class class_;
    enum trade_step step;
    bool new_attempt;
} place_row;

static const place_row place_rows[] = {
    {VENUE_REJECTED, TRADE_STEP_FAIL, false},     {VENUE_RETRY_LATER, TRADE_STEP_RELEASE, true},
    {VENUE_RETRY_NOW, TRADE_STEP_RELEASE, true},  {VENUE_UNCLEAR, TRADE_STEP_UNKNOWN, false},
    {VENUE_NOT_KNOWN, TRADE_STEP_UNKNOWN, false}, {VENUE_DUPLICATE, TRADE_STEP_UNKNOWN, false},
    {VENUE_UNCHANGED, TRADE_STEP_UNKNOWN, false}, {VENUE_ACCOUNT, TRADE_STEP_FAIL, false},
    {VENUE_DOWN, TRADE_STEP_UNKNOWN, false},      {VENUE_UNREADABLE, TRADE_STEP_UNKNOWN, false},
};

static void
given_every_verdict_when_an_order_was_sent_then_only_certain_refusals_end_it(void **state)
{
    venue_order none = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(place_rows) / sizeof(place_rows[0]); i++) {
        trade_call_outcome outcome = answered(place_rows[i].class_);
        trade_next next = trade_after_place(&entry_1, &outcome, &none);

        assert_step(venue_class_name(place_rows[i].class_), next, place_rows[i].step);
        assert_int_equal(next.new_attempt, place_rows[i].new_attempt);
    }
}

static void given_an_accepted_order_when_answered_then_its_state_leads_on(void **state)
{
    static const struct {
        enum venue_order_state state;
        const char *filled;
        enum trade_step step;
    } rows[] = {
        {VENUE_ORDER_FILLED, "1", TRADE_STEP_FILLS},
        {VENUE_ORDER_EXPIRED, "0.4", TRADE_STEP_FILLS},
        {VENUE_ORDER_CANCELLED, "0.4", TRADE_STEP_FILLS},
        {VENUE_ORDER_EXPIRED, "0", TRADE_STEP_FAIL},
        {VENUE_ORDER_REJECTED, "0", TRADE_STEP_FAIL},
        {VENUE_ORDER_NEW, "0", TRADE_STEP_UNKNOWN},
        {VENUE_ORDER_PARTIAL, "0.4", TRADE_STEP_UNKNOWN},
        {VENUE_ORDER_TRIGGERED, "0", TRADE_STEP_UNKNOWN},
        {VENUE_ORDER_STATE_UNKNOWN, "0", TRADE_STEP_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        trade_call_outcome outcome = answered(VENUE_OK);
        venue_order one = order(rows[i].state, rows[i].filled);

        assert_step("order", trade_after_place(&entry_1, &outcome, &one), rows[i].step);
    }
}

static void given_an_order_that_left_nobody_when_ended_then_the_wire_decides(void **state)
{
    trade_call_outcome not_sent = ended(TRADE_CALL_NOT_SENT);
    trade_call_outcome unclear = ended(TRADE_CALL_UNCLEAR);
    trade_next next = trade_after_place(&entry_1, &not_sent, NULL);

    (void)state;
    assert_step("not sent", next, TRADE_STEP_RELEASE);
    assert_false(next.new_attempt);
    assert_step("unclear", trade_after_place(&entry_1, &unclear, NULL), TRADE_STEP_UNKNOWN);
}

static void given_a_signer_that_did_not_sign_when_ended_then_nothing_was_sent(void **state)
{
    static const struct {
        enum net_sign_status status;
        enum trade_step step;
        enum whale_error reason;
        bool account_bad, dead;
    } rows[] = {
        {NET_SIGN_UNAVAILABLE, TRADE_STEP_RELEASE, ERROR_NONE, false, false},
        {NET_SIGN_UNREADABLE, TRADE_STEP_FAIL, ERROR_KEY_UNREADABLE, true, false},
        {NET_SIGN_REFUSED, TRADE_STEP_FAIL, ERROR_INTERNAL, false, true},
        {NET_SIGN_UNSUPPORTED, TRADE_STEP_FAIL, ERROR_INTERNAL, false, true},
        {NET_SIGN_MALFORMED, TRADE_STEP_FAIL, ERROR_INTERNAL, false, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        trade_call_outcome outcome = unsigned_(rows[i].status);
        trade_next next = trade_after_place(&entry_1, &outcome, NULL);

        assert_step(net_sign_status_name(rows[i].status), next, rows[i].step);
        assert_int_equal(next.reason, rows[i].reason);
        assert_int_equal(next.account_bad, rows[i].account_bad);
        assert_int_equal(next.dead, rows[i].dead);
        next = trade_after_leverage(&entry_1, &outcome);
        assert_step("leverage", next, rows[i].step);
    }
}

static void given_retries_when_refused_for_now_then_they_are_bounded_and_wait_longer(void **state)
{
    int64_t last_ns = 0;

    (void)state;
    for (int attempt = 1; attempt <= TRADE_ATTEMPTS_ENTRY; attempt++) {
        trade_standing standing = {.attempt = attempt};
        trade_call_outcome outcome = answered(VENUE_RETRY_LATER);
        trade_next next = trade_after_place(&standing, &outcome, NULL);

        if (attempt < TRADE_ATTEMPTS_ENTRY) {
            assert_step("again", next, TRADE_STEP_RELEASE);
            assert_true(next.delay_ns > last_ns);
            last_ns = next.delay_ns;
        } else {
            assert_step("enough", next, TRADE_STEP_FAIL);
            assert_int_equal(next.reason, ERROR_VENUE_UNAVAILABLE);
            assert_true(next.dead);
        }
    }
    trade_standing closing = {.attempt = TRADE_ATTEMPTS_ENTRY, .reduce_only = true};
    trade_call_outcome outcome = answered(VENUE_RETRY_LATER);

    result.verdict.retry_after_ns = 90000000000LL;
    assert_step("a close goes on", trade_after_place(&closing, &outcome, NULL), TRADE_STEP_RELEASE);
    assert_int_equal(trade_after_place(&closing, &outcome, NULL).delay_ns, 90000000000LL);
    closing.attempt = 1000;
    assert_step("not for ever", trade_after_place(&closing, &outcome, NULL), TRADE_STEP_FAIL);
}

static void given_a_clock_refusal_when_answered_then_the_clock_is_set(void **state)
{
    trade_call_outcome outcome = answered(VENUE_RETRY_NOW);

    (void)state;
    assert_true(trade_after_place(&entry_1, &outcome, NULL).sync_clock);
    assert_true(trade_after_leverage(&entry_1, &outcome).sync_clock);
}

static void given_a_final_refusal_when_answered_then_the_venues_reason_is_kept(void **state)
{
    trade_call_outcome outcome = answered(VENUE_REJECTED);

    (void)state;
    assert_int_equal(trade_after_place(&entry_1, &outcome, NULL).reason, ERROR_VENUE_REJECTED);
    result.verdict.reason = ERROR_VENUE_FUNDS;
    assert_int_equal(trade_after_place(&entry_1, &outcome, NULL).reason, ERROR_VENUE_FUNDS);
    outcome = answered(VENUE_ACCOUNT);
    assert_int_equal(trade_after_place(&entry_1, &outcome, NULL).reason, ERROR_KEY_REJECTED);
    assert_true(trade_after_place(&entry_1, &outcome, NULL).account_bad);
}

static void given_nothing_to_reduce_when_refused_then_the_position_is_looked_at(void **state)
{
    trade_call_outcome outcome = answered(VENUE_REJECTED);

    (void)state;
    result.verdict.flat = true;
    assert_step("close", trade_after_place(&exit_1, &outcome, NULL), TRADE_STEP_ASK_POSITION);
    assert_step("entry", trade_after_place(&entry_1, &outcome, NULL), TRADE_STEP_FAIL);
    outcome = answered(VENUE_OK);
    assert_step("gone", trade_after_flat(&outcome, false), TRADE_STEP_GONE);
    assert_step("there", trade_after_flat(&outcome, true), TRADE_STEP_FAIL);
    outcome = ended(TRADE_CALL_UNCLEAR);
    assert_step("no answer", trade_after_flat(&outcome, false), TRADE_STEP_FAIL);
}

/* ---- leverage ----------------------------------------------------------------------------------
 */

static void given_every_verdict_when_leverage_was_sent_then_no_order_goes_without_it(void **state)
{
    (void)state;
    for (int class_ = VENUE_OK; class_ <= VENUE_UNREADABLE; class_++) {
        trade_call_outcome outcome = answered((enum venue_class)class_);
        trade_next next = trade_after_leverage(&entry_1, &outcome);
        bool set = class_ == VENUE_OK || class_ == VENUE_UNCHANGED;

        assert_int_equal(next.step == TRADE_STEP_PLACE, set);
        assert_false(next.new_attempt);
        if (class_ == VENUE_REJECTED) {
            assert_int_equal(next.reason, ERROR_LEVERAGE_REJECTED);
        }
    }
    trade_call_outcome unclear = ended(TRADE_CALL_UNCLEAR);

    assert_step("unclear leverage sent no order", trade_after_leverage(&entry_1, &unclear),
                TRADE_STEP_RELEASE);
}

/* ---- fills -------------------------------------------------------------------------------------
 */

static void
given_fills_when_they_are_not_all_there_then_they_are_fetched_again_and_then_asked_about(
    void **state)
{
    trade_call_outcome outcome = answered(VENUE_OK);

    (void)state;
    assert_step("all", trade_after_fills(&outcome, d("1"), d("1"), false, 0), TRADE_STEP_SETTLE);
    assert_step("some", trade_after_fills(&outcome, d("0.5"), d("1"), false, 0),
                TRADE_STEP_FILLS_AGAIN);
    assert_step("too many", trade_after_fills(&outcome, d("1.5"), d("1"), false, 0),
                TRADE_STEP_FILLS_AGAIN);
    assert_step("cut off", trade_after_fills(&outcome, d("1"), d("1"), true, 0),
                TRADE_STEP_FILLS_AGAIN);
    assert_step("still some",
                trade_after_fills(&outcome, d("0.5"), d("1"), false, TRADE_FILLS_TRIES),
                TRADE_STEP_UNKNOWN);
    outcome = ended(TRADE_CALL_UNCLEAR);
    assert_step("no answer", trade_after_fills(&outcome, d("1"), d("1"), false, 0),
                TRADE_STEP_FILLS_AGAIN);
    outcome = answered(VENUE_DOWN);
    assert_step("down", trade_after_fills(&outcome, DEC_ZERO, DEC_ZERO, false, 0),
                TRADE_STEP_FILLS_AGAIN);
}

/* ---- asking ------------------------------------------------------------------------------------
 */

static void given_every_verdict_when_asked_by_id_then_only_not_known_leads_on(void **state)
{
    venue_order filled = order(VENUE_ORDER_FILLED, "1");

    (void)state;
    for (int class_ = VENUE_OK; class_ <= VENUE_UNREADABLE; class_++) {
        trade_call_outcome outcome = answered((enum venue_class)class_);
        trade_next next = trade_after_query(&entry_1, &outcome, &filled, true);

        if (class_ == VENUE_OK) {
            assert_step("found", next, TRADE_STEP_FILLS);
        } else if (class_ == VENUE_NOT_KNOWN) {
            assert_step("not known", next, TRADE_STEP_ASK_FILLS);
        } else {
            assert_step(venue_class_name((enum venue_class)class_), next, TRADE_STEP_UNKNOWN);
            assert_false(next.negative);
        }
        outcome = answered((enum venue_class)class_);
        next = trade_after_search(&entry_1, &outcome, false);
        assert_int_equal(next.step == TRADE_STEP_ASK_POSITION, class_ == VENUE_OK);
        assert_false(next.negative);
    }
    trade_call_outcome ok = answered(VENUE_OK);

    assert_step("another's order", trade_after_query(&entry_1, &ok, &filled, false),
                TRADE_STEP_ASK_FILLS);
    assert_step("cut off", trade_after_search(&entry_1, &ok, true), TRADE_STEP_UNKNOWN);
}

typedef struct {
    const char *name;
    bool reduce_only, window_over, there;
    int asks;
    enum trade_step step;
} position_row;

/* clang-format off */
static const position_row position_rows[] = {
    {"entry, first round",                     false, true,  false, 0,   TRADE_STEP_UNKNOWN},
    {"entry, second round",                    false, true,  false, 1,   TRADE_STEP_UNKNOWN},
    {"entry, third round",                     false, true,  false, 2,   TRADE_STEP_GIVE_UP},
    {"entry, many rounds inside the window",   false, false, false, 50,  TRADE_STEP_UNKNOWN},
    {"entry, position larger than our books",  false, true,  true,  2,   TRADE_STEP_UNKNOWN},
    {"entry, still larger after many rounds",  false, true,  true,  9,   TRADE_STEP_GIVE_UP},
    {"close, first round",                     true,  true,  true,  0,   TRADE_STEP_UNKNOWN},
    {"close, third round, position there",     true,  true,  true,  2,   TRADE_STEP_RESEND},
    {"close, inside the window",               true,  false, true,  50,  TRADE_STEP_UNKNOWN},
    {"close, third round, position gone",      true,  true,  false, 2,   TRADE_STEP_UNKNOWN},
    {"close, gone after many rounds",          true,  true,  false, 9,   TRADE_STEP_GONE},
};
/* clang-format on */

static void
given_rounds_of_not_found_when_the_position_is_read_then_they_count_past_the_window(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(position_rows) / sizeof(position_rows[0]); i++) {
        const position_row *row = &position_rows[i];
        trade_standing standing = {.attempt = 1,
                                   .reduce_only = row->reduce_only,
                                   .window_over = row->window_over,
                                   .asks = row->asks};
        trade_call_outcome outcome = answered(VENUE_OK);
        trade_next next = trade_after_position(&standing, &outcome, row->there);

        assert_step(row->name, next, row->step);
        assert_int_equal(next.negative, row->step == TRADE_STEP_UNKNOWN);
        outcome = ended(TRADE_CALL_UNCLEAR);
        next = trade_after_position(&standing, &outcome, row->there);
        assert_step("no answer", next, TRADE_STEP_UNKNOWN);
        assert_false(next.negative);
    }
}

static void given_an_order_found_when_it_does_not_agree_then_it_is_not_ours(void **state)
{
    venue_order found = order(VENUE_ORDER_FILLED, "1");
    trade_sent sent = {
        .symbol = "BTCUSDT", .client_order_id = "wabc01", .side = VENUE_BUY, .not_before_ns = 1000};

    (void)state;
    sent.quantity = d("1");
    found.created_ns = 1000;
    assert_true(trade_order_agrees(&found, &sent));
    found.created_ns = 0; /* not told */
    assert_true(trade_order_agrees(&found, &sent));
    found.created_ns = 999;
    assert_false(trade_order_agrees(&found, &sent));
    found.created_ns = 1000;
    found.side = VENUE_SELL;
    assert_false(trade_order_agrees(&found, &sent));
    found.side = VENUE_BUY;
    found.quantity = d("1.001");
    assert_false(trade_order_agrees(&found, &sent));
    found.quantity = d("0.999"); /* only a reduce-only order is cut by the venue */
    assert_false(trade_order_agrees(&found, &sent));
    sent.reduce_only = true;
    assert_true(trade_order_agrees(&found, &sent));
    found.quantity = d("1.001");
    assert_false(trade_order_agrees(&found, &sent));
    found.quantity = DEC_ZERO;
    assert_false(trade_order_agrees(&found, &sent));
    found.quantity = d("1");
    snprintf(found.symbol, sizeof(found.symbol), "ETHUSDT");
    assert_false(trade_order_agrees(&found, &sent));
    snprintf(found.symbol, sizeof(found.symbol), "BTCUSDT");
    snprintf(found.client_order_id, sizeof(found.client_order_id), "wabc02");
    assert_false(trade_order_agrees(&found, &sent));
}

static void
given_other_copies_there_when_a_close_is_unclear_then_theirs_are_not_its_own(void **state)
{
    static const struct {
        const char *held, *booked, *quantity;
        bool untouched;
    } rows[] = {
        {"0.6", "0.6", "0.3", true}, {"0.3", "0.6", "0.3", false},  {"0.3", "0.3", "0.3", true},
        {"0", "0.3", "0.3", false},  {"-0.3", "0.3", "0.3", false}, {"0", "0", "0.3", false},
        {"0.7", "0.6", "0.3", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(
            trade_close_untouched(d(rows[i].held), d(rows[i].booked), d(rows[i].quantity)),
            rows[i].untouched);
    }
}

static void given_an_account_that_stays_bad_when_asked_then_the_trade_ends_at_last(void **state)
{
    trade_standing standing = {.attempt = 1, .window_over = true};
    trade_call_outcome outcome = answered(VENUE_ACCOUNT);
    venue_order none = {0};
    trade_next next = trade_after_query(&standing, &outcome, &none, false);

    (void)state;
    assert_step("patience", next, TRADE_STEP_UNKNOWN);
    assert_true(next.account_bad);
    standing.overdue = true;
    next = trade_after_query(&standing, &outcome, &none, false);
    assert_step("refused", next, TRADE_STEP_GIVE_UP);
    assert_int_equal(next.reason, ERROR_UNCLEAR_NOT_FOUND);
    assert_true(next.dead);
    outcome = unsigned_(NET_SIGN_UNREADABLE);
    assert_step("unreadable", trade_after_search(&standing, &outcome, false), TRADE_STEP_GIVE_UP);
    outcome = unsigned_(NET_SIGN_UNAVAILABLE);
    assert_step("signer", trade_after_query(&standing, &outcome, &none, false), TRADE_STEP_UNKNOWN);
    outcome = answered(VENUE_DOWN); /* it is the venue, not the account: never given up */
    assert_step("down", trade_after_position(&standing, &outcome, false), TRADE_STEP_UNKNOWN);
}

/* ---- the rule ----------------------------------------------------------------------------------
 */

/* True where the venue, or the wire, said for certain that this order does not exist. */
static bool certainly_not_executed(const trade_call_outcome *outcome)
{
    if (outcome->end == TRADE_CALL_NOT_SENT || outcome->end == TRADE_CALL_UNSIGNED) {
        return true;
    }
    if (outcome->end == TRADE_CALL_UNCLEAR) {
        return false;
    }
    switch (outcome->result->verdict.class_) {
    case VENUE_REJECTED:
    case VENUE_RETRY_LATER:
    case VENUE_RETRY_NOW:
    case VENUE_ACCOUNT:
        return true;
    default:
        return false;
    }
}

static void
given_every_answer_to_an_order_then_it_is_made_again_only_where_it_certainly_was_not(void **state)
{
    (void)state;
    for (int end = TRADE_CALL_ANSWERED; end <= TRADE_CALL_UNSIGNED; end++) {
        for (int class_ = VENUE_OK; class_ <= VENUE_UNREADABLE; class_++) {
            for (int order_state = VENUE_ORDER_NEW; order_state <= VENUE_ORDER_STATE_UNKNOWN;
                 order_state++) {
                for (int filled = 0; filled < 2; filled++) {
                    for (int side = 0; side < 2; side++) {
                        trade_standing standing = {.attempt = 1, .reduce_only = side == 1};
                        trade_call_outcome outcome = answered((enum venue_class)class_);
                        venue_order one =
                            order((enum venue_order_state)order_state, filled ? "0.5" : "0");
                        trade_next next;

                        outcome.end = (enum trade_call_end)end;
                        next = trade_after_place(&standing, &outcome, &one);
                        if (next.step == TRADE_STEP_RELEASE || next.step == TRADE_STEP_PLACE ||
                            next.step == TRADE_STEP_RESEND) {
                            assert_true(certainly_not_executed(&outcome));
                        }
                        /* Nor is it given up while it may have filled. */
                        if (next.step == TRADE_STEP_FAIL && end == TRADE_CALL_ANSWERED &&
                            class_ == VENUE_OK) {
                            assert_int_equal(filled, 0);
                        }
                        assert_int_not_equal(next.step, TRADE_STEP_GIVE_UP);
                        assert_int_not_equal(next.step, TRADE_STEP_SETTLE);
                    }
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            given_every_verdict_when_an_order_was_sent_then_only_certain_refusals_end_it),
        cmocka_unit_test(given_an_accepted_order_when_answered_then_its_state_leads_on),
        cmocka_unit_test(given_an_order_that_left_nobody_when_ended_then_the_wire_decides),
        cmocka_unit_test(given_a_signer_that_did_not_sign_when_ended_then_nothing_was_sent),
        cmocka_unit_test(given_retries_when_refused_for_now_then_they_are_bounded_and_wait_longer),
        cmocka_unit_test(given_a_clock_refusal_when_answered_then_the_clock_is_set),
        cmocka_unit_test(given_a_final_refusal_when_answered_then_the_venues_reason_is_kept),
        cmocka_unit_test(given_nothing_to_reduce_when_refused_then_the_position_is_looked_at),
        cmocka_unit_test(given_every_verdict_when_leverage_was_sent_then_no_order_goes_without_it),
        cmocka_unit_test(
            given_fills_when_they_are_not_all_there_then_they_are_fetched_again_and_then_asked_about),
        cmocka_unit_test(given_every_verdict_when_asked_by_id_then_only_not_known_leads_on),
        cmocka_unit_test(
            given_rounds_of_not_found_when_the_position_is_read_then_they_count_past_the_window),
        cmocka_unit_test(
            given_other_copies_there_when_a_close_is_unclear_then_theirs_are_not_its_own),
        cmocka_unit_test(given_an_account_that_stays_bad_when_asked_then_the_trade_ends_at_last),
        cmocka_unit_test(given_an_order_found_when_it_does_not_agree_then_it_is_not_ours),
        cmocka_unit_test(
            given_every_answer_to_an_order_then_it_is_made_again_only_where_it_certainly_was_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
