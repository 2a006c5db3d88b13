/*
 * Asking about unclear orders: by id, then by the fills since the request, then by the position.
 *
 * Promises: an order is adopted only where it agrees with the trade (trade_order_agrees); a
 * question that was not answered counts for nothing; trades that were given up are asked about by
 * id alone.
 */
#include "core/clock.h"
#include "core/log.h"
#include "workerd/trade/trade_engine.h"

#include <string.h>

#define TRADE_CLOCK_SLACK_NS                                                                       \
    (5000 * 1000000LL) /* between the venue's clock and its order times                            \
                        */

void trade_ask_start(trade_job *job)
{
    job->asking = true;
    job->phase = TRADE_AT_ASK_ORDER;
    trade_queue_push(&job->market->asking, job);
}

void trade_ask_call(trade_job *job, trade_slot *slot, venue_call *call)
{
    switch (job->phase) {
    case TRADE_AT_ASK_FILLS:
        call->operation = VENUE_OP_FILLS;
        call->client_order_id = NULL;
        call->since_ns = job->requested_ns - TRADE_CLOCK_SLACK_NS;
        call->limit = TRADE_FILLS_MAX;
        slot->result.fills = slot->fills;
        slot->result.capacity = TRADE_FILLS_MAX;
        break;
    case TRADE_AT_ASK_OTHER:
        call->operation = VENUE_OP_QUERY_ORDER;
        call->client_order_id = NULL;
        call->venue_order_id = job->others[job->other_count - 1];
        break;
    case TRADE_AT_ASK_POSITION:
        call->operation = VENUE_OP_POSITIONS;
        call->client_order_id = NULL;
        slot->result.positions = slot->positions;
        slot->result.capacity = sizeof(slot->positions) / sizeof(slot->positions[0]);
        break;
    default:
        call->operation = VENUE_OP_QUERY_ORDER;
        break;
    }
}

static bool trade_ask_agrees(const trade_job *job, const venue_order *order)
{
    const trade_instrument *instrument =
        trade_instruments_find(job->engine->instruments, job->instrument_id);
    /* Order times are the venue's. */
    int64_t offset_ns = trade_caller_now_ns(job->market->caller) - clock_now_ns();
    char client_id[TRADE_CLIENT_ID_MAX];
    trade_sent sent = {.symbol = instrument != NULL ? instrument->rules.symbol : "",
                       .client_order_id = client_id,
                       .side = job->side,
                       .reduce_only = job->reduce_only,
                       .quantity = job->quantity,
                       .not_before_ns = job->reserved_ns + offset_ns - TRADE_CLOCK_SLACK_NS};

    trade_job_client_id(job, client_id);
    return trade_order_agrees(order, &sent);
}

static bool trade_ask_ok(const trade_call_outcome *outcome)
{
    return outcome->end == TRADE_CALL_ANSWERED && outcome->result->verdict.class_ == VENUE_OK;
}

static void trade_ask_adopt(trade_job *job, const venue_order *order)
{
    memcpy(job->venue_order_id, order->venue_order_id, sizeof(job->venue_order_id));
    job->accepted_quantity = order->quantity;
    job->executed = order->filled_quantity;
    if (job->accepted_ns == 0) {
        job->accepted_ns = clock_now_ns();
    }
}

/* The verdict on a trade that was given up: found and executed, or nothing. */
static void trade_ask_late(trade_job *job, const trade_next *next)
{
    trade_next late = *next;

    if (next->step != TRADE_STEP_FILLS) {
        trade_job_free(job);
        return;
    }
    late.step = TRADE_STEP_UNKNOWN;
    job->next_step = late;
    trade_book_add(job);
}

static void trade_ask_order(trade_job *job, trade_slot *slot, const trade_call_outcome *outcome)
{
    trade_standing standing = trade_job_standing(job);
    bool agrees = trade_ask_ok(outcome) && trade_ask_agrees(job, &slot->order);
    trade_next next = trade_after_query(&standing, outcome, &slot->order, agrees);

    if (agrees) {
        trade_ask_adopt(job, &slot->order);
    } else if (trade_ask_ok(outcome)) {
        log_event(LOG_ERROR, "trade.disagrees", "user_id", LOG_INT(job->user_id), "trade_id",
                  LOG_INT(job->id), "quantity", LOG_DEC(slot->order.quantity), NULL);
    }
    if (job->late) {
        trade_ask_late(job, &next);
    } else {
        trade_send_step(job, &next);
    }
}

/* Orders of the fills on our side, each once, as many as fit. */
static void trade_ask_collect(trade_job *job, const trade_slot *slot, size_t count)
{
    job->other_count = 0;
    for (size_t i = 0; i < count; i++) {
        const venue_fill *fill = &slot->fills[i];
        bool known = fill->side != job->side;

        for (unsigned j = 0; j < job->other_count && !known; j++) {
            known = strcmp(job->others[j], fill->venue_order_id) == 0;
        }
        if (!known && job->other_count < sizeof(job->others) / sizeof(job->others[0])) {
            memcpy(job->others[job->other_count++], fill->venue_order_id, VENUE_ID_MAX);
        }
    }
}

static void trade_ask_search(trade_job *job, trade_slot *slot, const trade_call_outcome *outcome)
{
    trade_standing standing = trade_job_standing(job);
    bool ok = trade_ask_ok(outcome);
    bool truncated = ok && (slot->result.truncated || slot->result.count > TRADE_FILLS_MAX);
    trade_next next = trade_after_search(&standing, outcome, truncated);

    if (ok && !truncated) {
        trade_ask_collect(job, slot, slot->result.count);
        if (job->other_count > 0) {
            job->phase = TRADE_AT_ASK_OTHER;
            trade_queue_push(&job->market->asking, job);
            return;
        }
    }
    trade_send_step(job, &next);
}

/* One of the orders that the fills named. */
static void trade_ask_other(trade_job *job, trade_slot *slot, const trade_call_outcome *outcome)
{
    trade_standing standing = trade_job_standing(job);
    bool agrees = trade_ask_ok(outcome) && trade_ask_agrees(job, &slot->order);
    trade_next next = trade_after_query(&standing, outcome, &slot->order, agrees);

    if (agrees) {
        trade_ask_adopt(job, &slot->order);
        trade_send_step(job, &next);
        return;
    }
    if (next.step != TRADE_STEP_ASK_FILLS) { /* not answered */
        trade_send_step(job, &next);
        return;
    }
    if (--job->other_count > 0) {
        trade_queue_push(&job->market->asking, job);
        return;
    }
    next = (trade_next){.step = TRADE_STEP_ASK_POSITION};
    trade_send_step(job, &next);
}

/* The venue's position of the instrument, signed. */
static dec trade_ask_quantity(const trade_slot *slot, size_t count, const char *symbol)
{
    dec quantity = DEC_ZERO;

    for (size_t i = 0; i < count && i < sizeof(slot->positions) / sizeof(slot->positions[0]); i++) {
        if (strcmp(slot->positions[i].symbol, symbol) == 0 &&
            !dec_add(quantity, slot->positions[i].quantity, &quantity)) {
            return DEC_ZERO;
        }
    }
    return quantity;
}

/*
 * Of a close: the venue's position, in its direction, still has all copies that share it: what is
 * left of another's after the close was executed must not pass for this one's. Of
 * an entry: the venue's position is beyond our books by at least as much, so that it may be in
 * there.
 */
static bool trade_ask_there(const trade_job *job, dec venue_quantity)
{
    dec difference;

    if (job->reduce_only) {
        dec held = job->side == VENUE_SELL ? venue_quantity : dec_negate(venue_quantity);

        return trade_close_untouched(held, dec_absolute(job->book_quantity), job->quantity);
    }
    if (!dec_sub(venue_quantity, job->book_quantity, &difference)) {
        return true;
    }
    if (job->side == VENUE_SELL) {
        difference = dec_negate(difference);
    }
    return dec_compare(difference, job->quantity) >= 0;
}

static void trade_ask_position(trade_job *job, trade_slot *slot, const trade_call_outcome *outcome)
{
    const trade_instrument *instrument =
        trade_instruments_find(job->engine->instruments, job->instrument_id);
    trade_standing standing = trade_job_standing(job);
    bool there = false;
    trade_next next;

    if (trade_ask_ok(outcome) && instrument != NULL) {
        there = trade_ask_there(
            job, trade_ask_quantity(slot, slot->result.count, instrument->rules.symbol));
    }
    next = job->flat_told ? trade_after_flat(outcome, there)
                          : trade_after_position(&standing, outcome, there);
    trade_send_step(job, &next);
}

void trade_ask_answered(trade_job *job, trade_slot *slot, const trade_call_outcome *outcome)
{
    switch (job->phase) {
    case TRADE_AT_ASK_FILLS:
        trade_ask_search(job, slot, outcome);
        break;
    case TRADE_AT_ASK_OTHER:
        trade_ask_other(job, slot, outcome);
        break;
    case TRADE_AT_ASK_POSITION:
        trade_ask_position(job, slot, outcome);
        break;
    default:
        trade_ask_order(job, slot, outcome);
        break;
    }
}
