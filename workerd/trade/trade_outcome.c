/* The next step; see trade_outcome.h. */
#include "workerd/trade/trade_outcome.h"

#include <string.h>

const char *trade_step_name(enum trade_step step)
{
    static const char *const names[] = {
        [TRADE_STEP_PLACE] = "place",
        [TRADE_STEP_FILLS] = "fills",
        [TRADE_STEP_FILLS_AGAIN] = "fills_again",
        [TRADE_STEP_SETTLE] = "settle",
        [TRADE_STEP_FAIL] = "fail",
        [TRADE_STEP_RELEASE] = "release",
        [TRADE_STEP_UNKNOWN] = "unknown",
        [TRADE_STEP_ASK_FILLS] = "ask_fills",
        [TRADE_STEP_ASK_POSITION] = "ask_position",
        [TRADE_STEP_RESEND] = "resend",
        [TRADE_STEP_GIVE_UP] = "give_up",
        [TRADE_STEP_GONE] = "gone",
    };

    return names[step];
}

static trade_next trade_fail(enum whale_error reason)
{
    return (trade_next){.step = TRADE_STEP_FAIL, .reason = reason};
}

static trade_next trade_release(int64_t delay_ns)
{
    return (trade_next){.step = TRADE_STEP_RELEASE, .delay_ns = delay_ns};
}

static trade_next trade_unknown(int64_t delay_ns)
{
    return (trade_next){.step = TRADE_STEP_UNKNOWN, .delay_ns = delay_ns};
}

/* 1 s, doubling; the venue's own word where it is longer. */
static int64_t trade_backoff(int times, int64_t told_ns)
{
    int64_t delay_ns = TRADE_RETRY_DELAY_NS;

    for (int i = 1; i < times && delay_ns < TRADE_RETRY_DELAY_MAX_NS; i++) {
        delay_ns *= 2;
    }
    if (delay_ns > TRADE_RETRY_DELAY_MAX_NS) {
        delay_ns = TRADE_RETRY_DELAY_MAX_NS;
    }
    return told_ns > delay_ns ? told_ns : delay_ns;
}

static bool trade_is_final(enum venue_order_state state)
{
    return state == VENUE_ORDER_FILLED || state == VENUE_ORDER_CANCELLED ||
           state == VENUE_ORDER_REJECTED || state == VENUE_ORDER_EXPIRED;
}

/* The venue's word on an order that is ours. */
static trade_next trade_after_order(const venue_order *order)
{
    if (!trade_is_final(order->state)) {
        return trade_unknown(TRADE_UNKNOWN_DELAY_NS);
    }
    if (dec_sign(order->filled_quantity) > 0) {
        return (trade_next){.step = TRADE_STEP_FILLS};
    }
    return trade_fail(ERROR_VENUE_REJECTED);
}

/* Nothing was signed, so nothing was sent. */
static trade_next trade_after_unsigned(enum net_sign_status status)
{
    trade_next next;

    switch (status) {
    case NET_SIGN_UNAVAILABLE:
        return trade_release(TRADE_RETRY_DELAY_NS);
    case NET_SIGN_UNREADABLE:
        next = trade_fail(ERROR_KEY_UNREADABLE);
        next.account_bad = true;
        return next;
    default:
        next = trade_fail(ERROR_INTERNAL);
        next.dead = true;
        return next;
    }
}

static trade_next trade_after_account(const venue_verdict *verdict)
{
    trade_next next =
        trade_fail(verdict->reason != ERROR_NONE ? verdict->reason : ERROR_KEY_REJECTED);

    next.account_bad = true;
    return next;
}

/* ---- before and with the order -----------------------------------------------------------------
 */

trade_next trade_after_leverage(const trade_standing *standing, const trade_call_outcome *outcome)
{
    (void)standing;
    if (outcome->end == TRADE_CALL_UNSIGNED) {
        return trade_after_unsigned(outcome->sign_status);
    }
    if (outcome->end != TRADE_CALL_ANSWERED) {
        return trade_release(TRADE_UNSENT_DELAY_NS);
    }
    switch (outcome->result->verdict.class_) {
    case VENUE_OK:
    case VENUE_UNCHANGED:
        return (trade_next){.step = TRADE_STEP_PLACE};
    case VENUE_REJECTED:
        return trade_fail(ERROR_LEVERAGE_REJECTED);
    case VENUE_ACCOUNT:
        return trade_after_account(&outcome->result->verdict);
    case VENUE_RETRY_NOW:
        return (trade_next){
            .step = TRADE_STEP_RELEASE, .delay_ns = TRADE_UNSENT_DELAY_NS, .sync_clock = true};
    default:
        return trade_release(trade_backoff(1, outcome->result->verdict.retry_after_ns));
    }
}

/* Refused before it was executed, and worth another attempt. */
static trade_next trade_again(const trade_standing *standing, int64_t delay_ns)
{
    int most = standing->reduce_only ? TRADE_ATTEMPTS_EXIT : TRADE_ATTEMPTS_ENTRY;
    trade_next next;

    if (standing->attempt >= most) {
        next = trade_fail(ERROR_VENUE_UNAVAILABLE);
        next.dead = true;
        return next;
    }
    next = trade_release(delay_ns);
    next.new_attempt = true;
    return next;
}

static trade_next trade_after_verdict(const trade_standing *standing, const venue_verdict *verdict,
                                      const venue_order *order)
{
    trade_next next;

    switch (verdict->class_) {
    case VENUE_OK:
        return trade_after_order(order);
    case VENUE_REJECTED:
        if (standing->reduce_only && verdict->flat) {
            return (trade_next){.step = TRADE_STEP_ASK_POSITION};
        }
        return trade_fail(verdict->reason != ERROR_NONE ? verdict->reason : ERROR_VENUE_REJECTED);
    case VENUE_ACCOUNT:
        return trade_after_account(verdict);
    case VENUE_RETRY_LATER:
        return trade_again(standing, trade_backoff(standing->attempt, verdict->retry_after_ns));
    case VENUE_RETRY_NOW:
        next = trade_again(standing, TRADE_UNSENT_DELAY_NS);
        next.sync_clock = true;
        return next;
    case VENUE_DUPLICATE:
        return trade_unknown(0);
    default:
        /* Also VENUE_DOWN: an adapter says it where nothing was executed, but asking costs little.
         */
        return trade_unknown(TRADE_UNKNOWN_DELAY_NS);
    }
}

trade_next trade_after_place(const trade_standing *standing, const trade_call_outcome *outcome,
                             const venue_order *order)
{
    switch (outcome->end) {
    case TRADE_CALL_ANSWERED:
        return trade_after_verdict(standing, &outcome->result->verdict, order);
    case TRADE_CALL_NOT_SENT:
        return trade_release(TRADE_UNSENT_DELAY_NS);
    case TRADE_CALL_UNSIGNED:
        return trade_after_unsigned(outcome->sign_status);
    default:
        return trade_unknown(TRADE_UNKNOWN_DELAY_NS);
    }
}

/* ---- fills -------------------------------------------------------------------------------------
 */

trade_next trade_after_fills(const trade_call_outcome *outcome, dec found, dec executed,
                             bool truncated, int tries)
{
    if (outcome->end == TRADE_CALL_ANSWERED && outcome->result->verdict.class_ == VENUE_OK &&
        !truncated && dec_compare(found, executed) == 0) {
        return (trade_next){.step = TRADE_STEP_SETTLE};
    }
    if (tries < TRADE_FILLS_TRIES) {
        return (trade_next){.step = TRADE_STEP_FILLS_AGAIN,
                            .delay_ns = TRADE_UNKNOWN_DELAY_NS / 4 << tries};
    }
    return trade_unknown(TRADE_RETRY_DELAY_NS);
}

/* ---- asking ------------------------------------------------------------------------------------
 */

/*
 * A question that had no answer says nothing. Where the account does not let us ask at all, and has
 * not for long, the trade ends all the same: it would hold funds and its lane for ever, and keep
 * the user from replacing the key. An entry is asked about later, as any that was given up.
 */
static trade_next trade_unanswered(const trade_standing *standing,
                                   const trade_call_outcome *outcome)
{
    trade_next next = trade_unknown(TRADE_RETRY_DELAY_NS);

    if (outcome->end == TRADE_CALL_ANSWERED) {
        const venue_verdict *verdict = &outcome->result->verdict;

        if (verdict->retry_after_ns > next.delay_ns) {
            next.delay_ns = verdict->retry_after_ns;
        }
        next.account_bad = verdict->class_ == VENUE_ACCOUNT;
        next.sync_clock = verdict->class_ == VENUE_RETRY_NOW;
        if (next.account_bad) {
            next.delay_ns = TRADE_RETRY_DELAY_MAX_NS;
        }
    } else if (outcome->end == TRADE_CALL_UNSIGNED &&
               outcome->sign_status != NET_SIGN_UNAVAILABLE) {
        next.delay_ns = TRADE_RETRY_DELAY_MAX_NS;
        next.account_bad = outcome->sign_status == NET_SIGN_UNREADABLE;
    }
    if (next.account_bad && standing->overdue) {
        next.step = TRADE_STEP_GIVE_UP;
        next.reason = ERROR_UNCLEAR_NOT_FOUND;
        next.dead = true;
    }
    return next;
}

trade_next trade_after_query(const trade_standing *standing, const trade_call_outcome *outcome,
                             const venue_order *order, bool agrees)
{
    trade_next next;

    if (outcome->end != TRADE_CALL_ANSWERED) {
        return trade_unanswered(standing, outcome);
    }
    switch (outcome->result->verdict.class_) {
    case VENUE_OK:
        if (agrees) {
            next = trade_after_order(order);
            if (next.step == TRADE_STEP_UNKNOWN) {
                next.delay_ns = TRADE_ASK_DELAY_NS;
            }
            return next;
        }
        return (trade_next){.step = TRADE_STEP_ASK_FILLS};
    case VENUE_NOT_KNOWN:
        return (trade_next){.step = TRADE_STEP_ASK_FILLS};
    default:
        return trade_unanswered(standing, outcome);
    }
}

trade_next trade_after_search(const trade_standing *standing, const trade_call_outcome *outcome,
                              bool truncated)
{
    if (outcome->end != TRADE_CALL_ANSWERED || outcome->result->verdict.class_ != VENUE_OK ||
        truncated) {
        return trade_unanswered(standing, outcome);
    }
    return (trade_next){.step = TRADE_STEP_ASK_POSITION};
}

static trade_next trade_still_unclear(void)
{
    trade_next next = trade_unknown(TRADE_ASK_DELAY_NS);

    next.negative = true;
    return next;
}

trade_next trade_after_position(const trade_standing *standing, const trade_call_outcome *outcome,
                                bool there)
{
    int rounds = standing->asks + 1;

    if (outcome->end != TRADE_CALL_ANSWERED || outcome->result->verdict.class_ != VENUE_OK) {
        return trade_unanswered(standing, outcome);
    }
    if (!standing->window_over || rounds < TRADE_NEGATIVES_LEAST) {
        return trade_still_unclear();
    }
    if (standing->reduce_only) {
        if (there) {
            return (trade_next){.step = TRADE_STEP_RESEND};
        }
        return rounds < TRADE_NEGATIVES_DISPUTED
                   ? trade_still_unclear()
                   : (trade_next){.step = TRADE_STEP_GONE, .reason = ERROR_REDUCE_ONLY_REJECTED};
    }
    if (there && rounds < TRADE_NEGATIVES_DISPUTED) {
        return trade_still_unclear();
    }
    return (trade_next){
        .step = TRADE_STEP_GIVE_UP, .reason = ERROR_UNCLEAR_NOT_FOUND, .dead = there};
}

bool trade_close_untouched(dec held, dec booked, dec quantity)
{
    return dec_compare(held, dec_most(booked, quantity)) >= 0;
}

trade_next trade_after_flat(const trade_call_outcome *outcome, bool there)
{
    if (outcome->end == TRADE_CALL_ANSWERED && outcome->result->verdict.class_ == VENUE_OK &&
        !there) {
        return (trade_next){.step = TRADE_STEP_GONE, .reason = ERROR_REDUCE_ONLY_REJECTED};
    }
    return trade_fail(ERROR_REDUCE_ONLY_REJECTED);
}

static bool trade_quantity_agrees(dec found, const trade_sent *sent)
{
    int difference = dec_compare(found, sent->quantity);

    return difference == 0 || (sent->reduce_only && difference < 0 && dec_sign(found) > 0);
}

bool trade_order_agrees(const venue_order *order, const trade_sent *sent)
{
    return strcmp(order->symbol, sent->symbol) == 0 &&
           strcmp(order->client_order_id, sent->client_order_id) == 0 &&
           order->side == sent->side && trade_quantity_agrees(order->quantity, sent) &&
           (order->created_ns == 0 || order->created_ns >= sent->not_before_ns);
}
