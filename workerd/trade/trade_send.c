/*
 * From a claimed trade to the venue's answer: leverage, order, fills.
 *
 * Promises: an order goes out once for each claim, signed with the claim's own time, and not after
 * the lease could end before the venue's window does; what was not sent goes back to PENDING; what
 * may have been sent is asked about. Calls under way are bounded by the market's slots.
 */
#include "core/clock.h"
#include "core/log.h"
#include "workerd/trade/trade_engine.h"

#include <stdlib.h>
#include <string.h>

/* The venue refuses the request after its window anyway; leave some of it for the way there. */
#define TRADE_SEND_SHARE 4 /* send within 3 quarters of the window */

/* ---- when --------------------------------------------------------------------------------------
 */

/* Wall clock. The lease was counted by Postgres from a moment after claimed_ns, so this is early.
 */
static int64_t trade_send_before(const trade_job *job)
{
    const whale_config *config = job->engine->config;
    int64_t by_window =
        job->claimed_ns + config->receive_window_ns - config->receive_window_ns / TRADE_SEND_SHARE;
    int64_t by_lease = job->claimed_ns + config->trade_lease_ns - config->receive_window_ns -
                       TRADE_LEASE_MARGIN_NS;

    return by_window < by_lease ? by_window : by_lease;
}

static int64_t trade_lease_left(const trade_job *job)
{
    int64_t left = job->claimed_ns + job->engine->config->trade_lease_ns - TRADE_LEASE_MARGIN_NS -
                   clock_now_ns();

    return left > CLOCK_MS_NS ? left : CLOCK_MS_NS;
}

/* ---- calls -------------------------------------------------------------------------------------
 */

static const trade_instrument *trade_job_instrument(const trade_job *job)
{
    return trade_instruments_find(job->engine->instruments, job->instrument_id);
}

static void trade_send_leverage(trade_job *job, venue_call *call)
{
    call->operation = VENUE_OP_SET_LEVERAGE;
    call->leverage = job->leverage;
}

static void trade_send_order(trade_job *job, venue_call *call)
{
    call->operation = VENUE_OP_PLACE_ORDER;
    call->side = job->side;
    call->position_side = VENUE_BOTH;
    call->order_type = VENUE_MARKET;
    call->quantity = job->quantity;
    call->reduce_only = job->reduce_only;
    call->time_ns = job->requested_ns;
}

static void trade_send_fills(trade_job *job, trade_slot *slot, venue_call *call)
{
    call->operation = VENUE_OP_FILLS;
    call->venue_order_id = job->venue_order_id;
    call->limit = TRADE_FILLS_MAX;
    slot->result.fills = slot->fills;
    slot->result.capacity = TRADE_FILLS_MAX;
}

/* ---- answers -----------------------------------------------------------------------------------
 */

static void trade_send_note(trade_job *job, const trade_call_outcome *outcome)
{
    if (outcome->end == TRADE_CALL_ANSWERED) {
        job->venue_code = outcome->result->verdict.code;
        memcpy(job->venue_message, outcome->result->verdict.message, sizeof(job->venue_message));
    }
}

static void trade_send_leverage_answered(trade_job *job, const trade_call_outcome *outcome)
{
    trade_standing standing = trade_job_standing(job);
    trade_next next = trade_after_leverage(&standing, outcome);

    job->leverage_set = next.step == TRADE_STEP_PLACE;
    if (!job->leverage_set) {
        trade_send_note(job, outcome);
    }
    trade_send_step(job, &next);
}

static void trade_send_order_answered(trade_job *job, trade_slot *slot,
                                      const trade_call_outcome *outcome)
{
    trade_standing standing = trade_job_standing(job);
    trade_next next = trade_after_place(&standing, outcome, &slot->order);

    trade_send_note(job, outcome);
    if (outcome->sent_ns > 0) {
        job->sent_ns = outcome->sent_ns;
        shm_count(job->engine->process, SHM_trade_sent_total, 1);
        shm_observe(job->engine->process, SHM_trade_send_seconds,
                    outcome->sent_ns - job->reserved_ns);
    }
    if (outcome->end == TRADE_CALL_ANSWERED && outcome->result->verdict.class_ == VENUE_OK) {
        job->accepted_ns = outcome->answered_ns;
        memcpy(job->venue_order_id, slot->order.venue_order_id, sizeof(job->venue_order_id));
        job->accepted_quantity = slot->order.quantity;
        job->executed = slot->order.filled_quantity;
    }
    job->flat_told = next.step == TRADE_STEP_ASK_POSITION;
    trade_send_step(job, &next);
}

/* Fills in the job's own memory, summed up. False: memory is short, or a figure overflows. */
static bool trade_send_keep(trade_job *job, const trade_slot *slot, size_t count, dec *found)
{
    *found = DEC_ZERO;
    for (size_t i = 0; i < count; i++) {
        if (!dec_add(*found, slot->fills[i].quantity, found)) {
            return false;
        }
    }
    free(job->fills);
    job->fill_count = 0;
    job->fills = malloc(count > 0 ? count * sizeof(*job->fills) : 1);
    if (job->fills == NULL) {
        return false;
    }
    memcpy(job->fills, slot->fills, count * sizeof(*job->fills));
    job->fill_count = count;
    return true;
}

static void trade_send_fills_answered(trade_job *job, trade_slot *slot,
                                      const trade_call_outcome *outcome)
{
    bool read = outcome->end == TRADE_CALL_ANSWERED && slot->result.verdict.class_ == VENUE_OK;
    bool truncated = read && (slot->result.truncated || slot->result.next[0] != '\0' ||
                              slot->result.count > TRADE_FILLS_MAX);
    dec found = DEC_ZERO;
    trade_next next;

    if (read && !truncated && !trade_send_keep(job, slot, slot->result.count, &found)) {
        truncated = true;
    }
    next = trade_after_fills(outcome, found, job->executed, truncated, job->fills_tries++);
    if (next.step != TRADE_STEP_SETTLE) {
        trade_send_note(job, outcome);
    }
    trade_send_step(job, &next);
}

static void trade_send_answered(void *owner, const trade_call_outcome *outcome)
{
    trade_slot *slot = owner;
    trade_job *job = slot->job;
    trade_market *market = job->market;

    switch (job->phase) {
    case TRADE_AT_LEVERAGE:
        trade_send_leverage_answered(job, outcome);
        break;
    case TRADE_AT_PLACE:
        trade_send_order_answered(job, slot, outcome);
        break;
    case TRADE_AT_FILLS:
        trade_send_fills_answered(job, slot, outcome);
        break;
    default:
        trade_ask_answered(job, slot, outcome);
        break;
    }
    slot->next = market->free_slots;
    market->free_slots = slot;
    market->busy--;
    trade_send_pump(market);
}

/* ---- the queue ---------------------------------------------------------------------------------
 */

static bool trade_is_sending(enum trade_phase phase)
{
    return phase == TRADE_AT_LEVERAGE || phase == TRADE_AT_PLACE;
}

static void trade_send_call(trade_job *job, trade_slot *slot)
{
    trade_market *market = job->market;
    const trade_instrument *instrument = trade_job_instrument(job);
    trade_call_account account = {.user_id = job->user_id, .ref = job->ref, .secret = job->secret};
    trade_call_request request = {.account = &account,
                                  .timeout_ns = TRADE_CALL_TIMEOUT_NS,
                                  .result = &slot->result,
                                  .done = trade_send_answered,
                                  .owner = slot};
    char client_id[TRADE_CLIENT_ID_MAX];

    trade_job_client_id(job, client_id);
    memset(&slot->result, 0, sizeof(slot->result));
    memset(&slot->order, 0, sizeof(slot->order));
    slot->job = job;
    slot->result.orders = &slot->order;
    slot->result.capacity = 1;
    request.call.symbol = instrument != NULL ? instrument->rules.symbol : "";
    request.call.client_order_id = client_id;
    if (job->phase == TRADE_AT_LEVERAGE) {
        trade_send_leverage(job, &request.call);
    } else if (job->phase == TRADE_AT_PLACE) {
        trade_send_order(job, &request.call);
    } else if (job->phase == TRADE_AT_FILLS) {
        trade_send_fills(job, slot, &request.call);
    } else {
        trade_ask_call(job, slot, &request.call);
    }
    if (trade_is_sending(job->phase)) {
        request.send_before_ns = trade_send_before(job);
        request.timeout_ns = trade_lease_left(job);
    }
    market->busy++;
    if (!trade_call(market->caller, &request)) {
        trade_send_answered(
            slot, &(trade_call_outcome){.end = TRADE_CALL_NOT_SENT, .result = &slot->result});
    }
}

/* Too late to be sent under this claim: another claim will have another time. */
static bool trade_send_expired(trade_job *job)
{
    trade_next next = {.step = TRADE_STEP_RELEASE};

    if (!trade_is_sending(job->phase) || clock_now_ns() < trade_send_before(job)) {
        return false;
    }
    shm_count(job->engine->process, SHM_trade_lease_expired_total, 1);
    trade_send_step(job, &next);
    return true;
}

void trade_send_pump(trade_market *market)
{
    /* A call that fails at once comes back here; the loop that is running goes on. */
    if (market->pumping) {
        return;
    }
    market->pumping = true;
    while (market->free_slots != NULL) {
        trade_job *job = trade_queue_pop(&market->placing);
        trade_slot *slot;

        if (job == NULL) {
            job = trade_queue_pop(&market->asking);
        }
        if (job == NULL) {
            break;
        }
        if (trade_send_expired(job)) {
            continue;
        }
        slot = market->free_slots;
        market->free_slots = slot->next;
        trade_send_call(job, slot);
    }
    market->pumping = false;
}

void trade_send_start(trade_job *job)
{
    bool differs = !job->reduce_only && job->leverage != job->account_leverage &&
                   job->market->adapter->capabilities[VENUE_OP_SET_LEVERAGE] == VENUE_CAN;

    job->phase = differs ? TRADE_AT_LEVERAGE : TRADE_AT_PLACE;
    trade_queue_push(&job->market->placing, job);
}

static void trade_send_wait(trade_job *job, int64_t delay_ns)
{
    job->wake_ns = clock_monotonic_ns() + delay_ns;
    trade_queue_push(&job->engine->waiting, job);
}

void trade_send_wake(trade_engine *engine, int64_t now_ns)
{
    for (unsigned count = engine->waiting.count; count > 0; count--) {
        trade_job *job = trade_queue_pop(&engine->waiting);

        if (now_ns >= job->wake_ns || engine->stopping) {
            trade_queue_push(&job->market->asking, job);
        } else {
            trade_queue_push(&engine->waiting, job);
        }
    }
}

void trade_send_drain(trade_engine *engine)
{
    const trade_next unsent = {.step = TRADE_STEP_RELEASE};

    for (size_t i = 0; i < engine->market_count; i++) {
        trade_job *job;

        while ((job = trade_queue_pop(&engine->markets[i].placing)) != NULL) {
            trade_send_step(job, &unsent);
        }
    }
}

/* ---- steps -------------------------------------------------------------------------------------
 */

static void trade_send_goto(trade_job *job, enum trade_phase phase)
{
    job->phase = phase;
    trade_queue_push(phase == TRADE_AT_PLACE ? &job->market->placing : &job->market->asking, job);
}

void trade_send_step(trade_job *job, const trade_next *next)
{
    if (next->sync_clock) {
        trade_caller_sync(job->market->caller);
    }
    if (next->account_bad) {
        trade_accounts_recheck(job->engine->accounts, job->user_id, job->account_id);
    }
    switch (next->step) {
    case TRADE_STEP_PLACE:
        trade_send_goto(job, TRADE_AT_PLACE);
        break;
    case TRADE_STEP_FILLS:
        trade_send_goto(job, TRADE_AT_FILLS);
        break;
    case TRADE_STEP_FILLS_AGAIN:
        job->phase = TRADE_AT_FILLS;
        trade_send_wait(job, next->delay_ns);
        break;
    case TRADE_STEP_ASK_FILLS:
        trade_send_goto(job, TRADE_AT_ASK_FILLS);
        break;
    case TRADE_STEP_ASK_POSITION:
        trade_send_goto(job, TRADE_AT_ASK_POSITION);
        break;
    default:
        job->next_step = *next;
        trade_book_add(job);
        break;
    }
}
