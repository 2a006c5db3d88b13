/*
 * How trades end: outcomes to Postgres, many in one transaction.
 *
 * Promises: what a trade changes is written once, in one transaction with its final state; the
 * transaction is all or nothing, and where one job spoils it the others go again without that one;
 * a lost connection only means that it is tried again, since every statement names the claim that
 * it ends. While one transaction is under way the next batch gathers, so that batches grow with the
 * load.
 */
#include "workerd/trade/trade_book.h"
#include "core/clock.h"
#include "core/log.h"

#include <stdlib.h>
#include <string.h>

#define TRADE_BOOK_RETRY_NS (100 * CLOCK_MS_NS)
#define TRADE_BOOK_CONTRADICTION_NS (60 * CLOCK_SECOND_NS)
#define TRADE_RELOADS_MAX 5
#define SQLSTATE_MISSING "WH001" /* require_count(): not all rows were found as they should be */

/* ---- sorting -----------------------------------------------------------------------------------
 */

static bool trade_book_settle(const trade_job *job, trade_settlement *settlement)
{
    trade_settle_facts facts = {
        .side = job->side,
        .reduce_only = job->reduce_only,
        .quantity = job->quantity,
        .hold = job->hold,
        .leverage = job->leverage,
        .instrument = trade_instruments_find(job->engine->instruments, job->instrument_id),
        .position = job->position,
    };

    if (facts.instrument == NULL) {
        return false;
    }
    if (job->next_step.step == TRADE_STEP_GONE && job->position.id != 0) {
        return trade_settle_external(&facts, settlement);
    }
    if (job->next_step.step == TRADE_STEP_SETTLE) {
        facts.fills = job->fills;
        facts.fill_count = job->fill_count;
        facts.accepted = job->accepted_quantity;
    }
    return trade_settle(&facts, settlement);
}

/* It stays unclear, is looked at again now and then, and stands in jobs_dead once. */
static trade_next trade_book_contradiction(const trade_job *job)
{
    return (trade_next){.step = TRADE_STEP_UNKNOWN,
                        .delay_ns = TRADE_BOOK_CONTRADICTION_NS,
                        .negative = true,
                        .dead = job->asks == 0};
}

static void trade_book_sort_end(trade_batch *batch, trade_job *job)
{
    trade_ended *ended = &batch->ended[batch->ended_count];

    ended->job = job;
    if (trade_book_settle(job, &ended->settlement)) {
        batch->ended_count++;
        return;
    }
    /* What the venue says contradicts what we sent: nobody books that without looking. */
    log_event(LOG_ERROR, "trade.contradiction", "user_id", LOG_INT(job->user_id), "trade_id",
              LOG_INT(job->id), NULL);
    job->next_step = trade_book_contradiction(job);
    batch->unknown[batch->unknown_count++] = job;
}

static void trade_book_sort(trade_batch *batch, trade_job *job)
{
    switch (job->next_step.step) {
    case TRADE_STEP_RELEASE:
        batch->released[batch->released_count++] = job;
        break;
    case TRADE_STEP_UNKNOWN:
        if (job->late) {
            batch->surfaced[batch->surfaced_count++] = job;
        } else {
            batch->unknown[batch->unknown_count++] = job;
        }
        break;
    case TRADE_STEP_RESEND:
        batch->resent[batch->resent_count++] = job;
        break;
    default:
        trade_book_sort_end(batch, job);
        break;
    }
    if (job->next_step.dead) {
        batch->dead[batch->dead_count++] = job;
    }
}

static void trade_batch_free(trade_batch *batch)
{
    if (batch == NULL) {
        return;
    }
    free(batch->ended);
    free(batch->released); /* the five lists are one allocation */
    free(batch);
}

static trade_batch *trade_batch_new(trade_engine *engine, size_t count)
{
    trade_batch *batch = calloc(1, sizeof(*batch));

    if (batch == NULL) {
        return NULL;
    }
    batch->engine = engine;
    batch->ended = malloc(count * sizeof(*batch->ended));
    batch->released = malloc(5 * count * sizeof(*batch->released));
    if (batch->ended == NULL || batch->released == NULL) {
        trade_batch_free(batch);
        return NULL;
    }
    batch->unknown = batch->released + count;
    batch->surfaced = batch->unknown + count;
    batch->resent = batch->surfaced + count;
    batch->dead = batch->resent + count;
    return batch;
}

/* ---- after the commit --------------------------------------------------------------------------
 */

static void trade_book_observe(const trade_batch *batch, int64_t now_ns)
{
    shm_process *process = batch->engine->process;

    for (size_t i = 0; i < batch->ended_count; i++) {
        const trade_job *job = batch->ended[i].job;
        bool failed = batch->ended[i].settlement.end == TRADE_FAILED;

        shm_count(process, failed ? SHM_trade_failed_total : SHM_trade_filled_total, 1);
        if (job->asking) {
            shm_count(process, SHM_trade_resolved_total, 1);
        }
        if (!failed && job->sent_ns > 0 && !job->asking) {
            shm_observe(process, SHM_trade_confirm_seconds, now_ns - job->sent_ns);
        }
        if (!failed && job->detected_ns > 0) {
            shm_observe(process, SHM_trade_total_seconds, now_ns - job->detected_ns);
        }
    }
    for (size_t i = 0; i < batch->unknown_count; i++) {
        if (!batch->unknown[i]->asking) {
            shm_count(process, SHM_trade_unknown_total, 1);
        }
    }
    shm_count(process, SHM_trade_dead_total, batch->dead_count);
}

/* Sent again under its own id, where the claim was still ours. */
static void trade_book_resend(trade_job *job, const PGresult *rows)
{
    for (int row = 0; row < PQntuples(rows); row++) {
        int64_t id;

        if (net_pg_get_int(rows, row, 1, &id) && id == job->id) {
            job->requested_ns = job->resend_ns;
            job->claimed_ns = job->resend_claimed_ns;
            job->asking = false;
            job->asks = 0;
            log_event(LOG_WARN, "trade.resent", "user_id", LOG_INT(job->user_id), "trade_id",
                      LOG_INT(job->id), NULL);
            trade_send_start(job);
            trade_send_pump(job->market);
            return;
        }
    }
    trade_job_free(job);
}

static void trade_book_committed(trade_batch *batch, const net_pg_answer *answer)
{
    trade_engine *engine = batch->engine;
    const PGresult *resent = answer->results[answer->count - 1];

    trade_book_observe(batch, clock_now_ns());
    for (size_t i = 0; i < batch->ended_count; i++) {
        trade_market *market = batch->ended[i].job->market;

        /* Its lane is free: others may have waited for it. Those that nobody saw are polled for. */
        market->claim_soon = market->claim_soon ||
                             clock_monotonic_ns() - market->lane_waited_ns < TRADE_LANE_WAIT_NS;
        trade_job_free(batch->ended[i].job);
    }
    for (size_t i = 0; i < batch->released_count; i++) {
        trade_job_free(batch->released[i]);
    }
    for (size_t i = 0; i < batch->unknown_count; i++) {
        trade_job_free(batch->unknown[i]);
    }
    for (size_t i = 0; i < batch->surfaced_count; i++) {
        trade_job_free(batch->surfaced[i]);
    }
    for (size_t i = 0; i < batch->resent_count; i++) {
        trade_book_resend(batch->resent[i], resent);
    }
    engine->book_most =
        engine->book_most * 2 < TRADE_BATCH_MAX ? engine->book_most * 2 : TRADE_BATCH_MAX;
    for (size_t i = 0; i < engine->market_count; i++) {
        if (engine->markets[i].claim_soon) {
            trade_claim_pending(&engine->markets[i]);
        }
    }
}

/* ---- after a failure ---------------------------------------------------------------------------
 */

static void trade_book_put_back(trade_batch *batch)
{
    trade_engine *engine = batch->engine;

    for (size_t i = 0; i < batch->ended_count; i++) {
        trade_queue_push_front(&engine->ended, batch->ended[i].job);
    }
    for (size_t i = 0; i < batch->released_count; i++) {
        trade_queue_push_front(&engine->ended, batch->released[i]);
    }
    for (size_t i = 0; i < batch->unknown_count; i++) {
        trade_queue_push_front(&engine->ended, batch->unknown[i]);
    }
    for (size_t i = 0; i < batch->surfaced_count; i++) {
        trade_queue_push_front(&engine->ended, batch->surfaced[i]);
    }
    for (size_t i = 0; i < batch->resent_count; i++) {
        trade_queue_push_front(&engine->ended, batch->resent[i]);
    }
}

/* One job alone was refused: what it stands on has changed, or it cannot be written. */
static void trade_book_refused(trade_job *job, const net_pg_answer *answer)
{
    bool changed =
        strcmp(answer->sqlstate, SQLSTATE_MISSING) == 0 || strcmp(answer->sqlstate, "23505") == 0;

    log_event(changed ? LOG_WARN : LOG_ERROR, "trade.not_booked", "user_id", LOG_INT(job->user_id),
              "trade_id", LOG_INT(job->id), "sqlstate", LOG_TEXT(answer->sqlstate), "message",
              LOG_TEXT(answer->message != NULL ? answer->message : ""), NULL);
    if (changed && !job->late && job->reloads++ < TRADE_RELOADS_MAX) {
        trade_claim_reload(job);
        return;
    }
    if (job->late || job->next_step.step == TRADE_STEP_UNKNOWN) {
        trade_job_free(job); /* its lease ends, and it is asked about: Postgres has the truth */
        return;
    }
    job->next_step = trade_book_contradiction(job);
    trade_book_add(job);
}

static trade_job *trade_batch_only(const trade_batch *batch)
{
    return batch->ended_count > 0      ? batch->ended[0].job
           : batch->released_count > 0 ? batch->released[0]
           : batch->unknown_count > 0  ? batch->unknown[0]
           : batch->surfaced_count > 0 ? batch->surfaced[0]
                                       : batch->resent[0];
}

static bool trade_book_transient(const net_pg_answer *answer)
{
    /* Class 40: rolled back by the server; 53, 57: it is short of something, or stopping. */
    return answer->outcome != NET_PG_FAILED || strncmp(answer->sqlstate, "40", 2) == 0 ||
           strncmp(answer->sqlstate, "53", 2) == 0 || strncmp(answer->sqlstate, "57", 2) == 0;
}

static void trade_book_done(void *owner, const net_pg_answer *answer)
{
    trade_batch *batch = owner;
    trade_engine *engine = batch->engine;

    engine->booking = false;
    if (answer->outcome == NET_PG_DONE) {
        trade_book_committed(batch, answer);
    } else if (trade_book_transient(answer)) {
        trade_book_put_back(batch);
        engine->book_again_ns = clock_monotonic_ns() + TRADE_BOOK_RETRY_NS;
    } else if (trade_batch_count(batch) == 1) {
        trade_book_refused(trade_batch_only(batch), answer);
    } else {
        engine->book_most = (unsigned)(trade_batch_count(batch) + 1) / 2;
        trade_book_put_back(batch);
    }
    trade_batch_free(batch);
    trade_book_pump(engine);
}

/* ---- the transaction ---------------------------------------------------------------------------
 */

static bool trade_book_run(trade_batch *batch)
{
    return net_pg_run(batch->engine->book, trade_book_unit(batch), trade_book_done, batch);
}

void trade_book_add(trade_job *job)
{
    trade_queue_push(&job->engine->ended, job);
    trade_book_pump(job->engine);
}

void trade_book_pump(trade_engine *engine)
{
    trade_batch *batch;
    unsigned count =
        engine->ended.count < engine->book_most ? engine->ended.count : engine->book_most;

    if (engine->booking || count == 0 || !net_pg_connected(engine->book) ||
        clock_monotonic_ns() < engine->book_again_ns) {
        return;
    }
    batch = trade_batch_new(engine, count);
    if (batch == NULL) {
        return;
    }
    for (; count > 0; count--) {
        trade_book_sort(batch, trade_queue_pop(&engine->ended));
    }
    engine->booking = true;
    if (!trade_book_run(batch)) {
        engine->booking = false;
        trade_book_put_back(batch);
        trade_batch_free(batch);
        engine->book_most = 1;
        engine->book_again_ns = clock_monotonic_ns() + TRADE_BOOK_RETRY_NS;
    }
}
