/*
 * A batch of outcomes as statements with array parameters, one transaction.
 */
#include "core/clock.h"
#include "queries.h"
#include "workerd/trade/trade_book.h"

#include <stdlib.h>

#define TRADE_LATE_FIRST_NS (30 * CLOCK_SECOND_NS) /* claim_late.sql goes on from here */

/* ---- columns -----------------------------------------------------------------------------------
 */

/* One array parameter over the ended jobs for which `which` holds. */
#define ENDED_COLUMN(which, push, value)                                                           \
    net_pg_array(unit);                                                                            \
    for (size_t i = 0; i < batch->ended_count; i++) {                                              \
        const trade_job *job = batch->ended[i].job;                                                \
        const trade_settlement *s = &batch->ended[i].settlement;                                   \
        (void)job, (void)s;                                                                        \
        if (which) {                                                                               \
            push(unit, value);                                                                     \
        }                                                                                          \
    }

#define JOB_COLUMN(list, count, push, value)                                                       \
    net_pg_array(unit);                                                                            \
    for (size_t i = 0; i < (count); i++) {                                                         \
        const trade_job *job = (list)[i];                                                          \
        push(unit, value);                                                                         \
    }

/* One over the fills of all ended jobs. */
#define FILL_COLUMN(push, value)                                                                   \
    net_pg_array(unit);                                                                            \
    for (size_t i = 0; i < batch->ended_count; i++) {                                              \
        const trade_job *job = batch->ended[i].job;                                                \
        for (size_t j = 0; s_books_fills(job) && j < job->fill_count; j++) {                       \
            const venue_fill *fill = &job->fills[j];                                               \
            (void)fill;                                                                            \
            push(unit, value);                                                                     \
        }                                                                                          \
    }

#define MOVE_COLUMN(push, value)                                                                   \
    net_pg_array(unit);                                                                            \
    for (size_t i = 0; i < batch->ended_count; i++) {                                              \
        const trade_job *job = batch->ended[i].job;                                                \
        for (size_t j = 0; j < batch->ended[i].settlement.move_count; j++) {                       \
            const trade_move *move = &batch->ended[i].settlement.moves[j];                         \
            (void)job, (void)move;                                                                 \
            push(unit, value);                                                                     \
        }                                                                                          \
    }

static bool s_books_fills(const trade_job *job)
{
    return job->next_step.step == TRADE_STEP_SETTLE;
}

static const char *trade_text_or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static const char *trade_end_reason(const trade_job *job, const trade_settlement *settlement)
{
    return settlement->end == TRADE_FAILED
               ? error_code(job->next_step.reason != ERROR_NONE ? job->next_step.reason
                                                                : ERROR_VENUE_REJECTED)
               : NULL;
}

static void trade_push_average(net_pg_unit *unit, dec average)
{
    if (dec_is_zero(average)) {
        net_pg_push_text(unit, NULL);
    } else {
        net_pg_push_dec(unit, average);
    }
}

static void trade_book_trades(net_pg_unit *unit, const trade_batch *batch)
{
    int64_t later_ns = clock_now_ns() + TRADE_LATE_FIRST_NS;

    net_pg_statement(unit, query_trade_confirm_trades);
    net_pg_text(unit, batch->engine->owner);
    ENDED_COLUMN(true, net_pg_push_int, job->user_id)
    ENDED_COLUMN(true, net_pg_push_int, job->id)
    ENDED_COLUMN(true, net_pg_push_time, job->requested_ns)
    ENDED_COLUMN(true, net_pg_push_text, trade_end_name(s->end))
    ENDED_COLUMN(true, net_pg_push_text, trade_end_reason(job, s))
    ENDED_COLUMN(true, net_pg_push_int, job->venue_code)
    ENDED_COLUMN(true, net_pg_push_text, trade_text_or_null(job->venue_message))
    ENDED_COLUMN(true, net_pg_push_text, trade_text_or_null(job->venue_order_id))
    ENDED_COLUMN(true, net_pg_push_dec, s->filled_quantity)
    ENDED_COLUMN(true, trade_push_average, s->average_price)
    ENDED_COLUMN(true, net_pg_push_dec, s->fee)
    ENDED_COLUMN(true, net_pg_push_dec, s->realised_pnl)
    ENDED_COLUMN(true, net_pg_push_time, job->sent_ns)
    ENDED_COLUMN(true, net_pg_push_time, job->accepted_ns)
    ENDED_COLUMN(true, net_pg_push_time, job->next_step.step == TRADE_STEP_GIVE_UP ? later_ns : 0)
}

static void trade_book_fills(net_pg_unit *unit, const trade_batch *batch)
{
    net_pg_statement(unit, query_trade_confirm_fills);
    FILL_COLUMN(net_pg_push_int, job->user_id)
    FILL_COLUMN(net_pg_push_int, job->account_id)
    FILL_COLUMN(net_pg_push_text, fill->venue_trade_id)
    FILL_COLUMN(net_pg_push_int, job->instrument_id)
    FILL_COLUMN(net_pg_push_int, job->id)
    FILL_COLUMN(net_pg_push_text, trade_side_name(fill->side))
    FILL_COLUMN(net_pg_push_dec, fill->price)
    FILL_COLUMN(net_pg_push_dec, fill->quantity)
    FILL_COLUMN(net_pg_push_dec, fill->quote_quantity)
    FILL_COLUMN(net_pg_push_dec, fill->fee)
    FILL_COLUMN(net_pg_push_text, fill->fee_asset)
    FILL_COLUMN(net_pg_push_dec, fill->realised_pnl)
    FILL_COLUMN(net_pg_push_bool, fill->maker)
    FILL_COLUMN(net_pg_push_time, fill->time_ns)
}

static void trade_push_id(net_pg_unit *unit, int64_t id)
{
    if (id == 0) {
        net_pg_push_text(unit, NULL);
    } else {
        net_pg_push_int(unit, id);
    }
}

static void trade_book_opened(net_pg_unit *unit, const trade_batch *batch)
{
    net_pg_statement(unit, query_trade_confirm_opened);
    ENDED_COLUMN(s->opens, net_pg_push_int, job->user_id)
    ENDED_COLUMN(s->opens, net_pg_push_int, job->account_id)
    ENDED_COLUMN(s->opens, net_pg_push_int, job->instrument_id)
    ENDED_COLUMN(s->opens, trade_push_id, job->whale_id)
    ENDED_COLUMN(s->opens, trade_push_id, job->follow_id)
    ENDED_COLUMN(s->opens, net_pg_push_dec, s->position.quantity)
    ENDED_COLUMN(s->opens, net_pg_push_dec, s->position.entry_notional)
    ENDED_COLUMN(s->opens, net_pg_push_dec, s->position.margin)
    ENDED_COLUMN(s->opens, net_pg_push_int, s->position.leverage)
    ENDED_COLUMN(s->opens, net_pg_push_dec, s->position.realised_pnl)
    ENDED_COLUMN(s->opens, net_pg_push_dec, s->position.fees)
}

/* A position that ends with an entry was netted by the venue: nobody closed it on purpose. */
static const char *trade_close_reason(const trade_job *job, const trade_settlement *settlement)
{
    if (settlement->external || job->close_reason[0] == '\0') {
        return "EXTERNAL";
    }
    return job->close_reason;
}

static void trade_book_changed(net_pg_unit *unit, const trade_batch *batch)
{
    net_pg_statement(unit, query_trade_confirm_changed);
    ENDED_COLUMN(s->changes, net_pg_push_int, job->user_id)
    ENDED_COLUMN(s->changes, net_pg_push_int, s->position.id)
    ENDED_COLUMN(s->changes, net_pg_push_int, s->position.version)
    ENDED_COLUMN(s->changes, net_pg_push_dec, s->position.quantity)
    ENDED_COLUMN(s->changes, net_pg_push_dec, s->position.entry_notional)
    ENDED_COLUMN(s->changes, net_pg_push_dec, s->position.margin)
    ENDED_COLUMN(s->changes, net_pg_push_dec, s->position.realised_pnl)
    ENDED_COLUMN(s->changes, net_pg_push_dec, s->position.fees)
    ENDED_COLUMN(s->changes, net_pg_push_text, trade_close_reason(job, s))
}

static void trade_book_ledger(net_pg_unit *unit, const trade_batch *batch)
{
    net_pg_statement(unit, query_trade_confirm_ledger);
    MOVE_COLUMN(net_pg_push_int, job->user_id)
    MOVE_COLUMN(net_pg_push_int, job->account_id)
    MOVE_COLUMN(net_pg_push_text, move->asset)
    MOVE_COLUMN(net_pg_push_text, trade_ledger_kind_name(move->from))
    MOVE_COLUMN(net_pg_push_text, trade_ledger_kind_name(move->to))
    MOVE_COLUMN(net_pg_push_dec, move->amount)
    MOVE_COLUMN(net_pg_push_text, trade_ledger_reason_name(move->reason))
    MOVE_COLUMN(net_pg_push_int, job->id)
}

static void trade_book_told(net_pg_unit *unit, const trade_batch *batch)
{
    net_pg_statement(unit, query_trade_confirm_told);
    ENDED_COLUMN(true, net_pg_push_int, job->user_id)
    ENDED_COLUMN(true, net_pg_push_text, s->end == TRADE_FAILED ? "copy_failed" : "fill")
    ENDED_COLUMN(true, net_pg_push_int, job->id)
}

static void trade_book_leverage(net_pg_unit *unit, trade_job *const *jobs, size_t count)
{
    net_pg_statement(unit, query_trade_leverage_set);
    JOB_COLUMN(jobs, count, net_pg_push_int, job->user_id)
    JOB_COLUMN(jobs, count, net_pg_push_int, job->account_id)
    JOB_COLUMN(jobs, count, net_pg_push_int, job->instrument_id)
    JOB_COLUMN(jobs, count, net_pg_push_int, job->leverage)
}

static void trade_book_released(net_pg_unit *unit, const trade_batch *batch)
{
    int64_t now_ns = clock_now_ns();

    net_pg_statement(unit, query_trade_release);
    net_pg_text(unit, batch->engine->owner);
    JOB_COLUMN(batch->released, batch->released_count, net_pg_push_int, job->user_id)
    JOB_COLUMN(batch->released, batch->released_count, net_pg_push_int, job->id)
    JOB_COLUMN(batch->released, batch->released_count, net_pg_push_time, job->requested_ns)
    JOB_COLUMN(batch->released, batch->released_count, net_pg_push_int,
               job->attempt + job->next_step.new_attempt)
    JOB_COLUMN(batch->released, batch->released_count, net_pg_push_time,
               job->next_step.delay_ns > 0 ? now_ns + job->next_step.delay_ns : 0)
}

static void trade_book_unknown(net_pg_unit *unit, const trade_batch *batch)
{
    trade_job *const *list = batch->unknown;
    size_t count = batch->unknown_count;
    int64_t now_ns = clock_now_ns();

    net_pg_statement(unit, query_trade_unknown);
    net_pg_text(unit, batch->engine->owner);
    JOB_COLUMN(list, count, net_pg_push_int, job->user_id)
    JOB_COLUMN(list, count, net_pg_push_int, job->id)
    JOB_COLUMN(list, count, net_pg_push_time, job->requested_ns)
    JOB_COLUMN(list, count, net_pg_push_time, job->sent_ns)
    JOB_COLUMN(list, count, net_pg_push_time, job->accepted_ns)
    JOB_COLUMN(list, count, net_pg_push_time, now_ns + job->next_step.delay_ns)
    JOB_COLUMN(list, count, net_pg_push_int, job->asks + job->next_step.negative)
    JOB_COLUMN(list, count, net_pg_push_int, job->venue_code)
    JOB_COLUMN(list, count, net_pg_push_text, trade_text_or_null(job->venue_message))
    JOB_COLUMN(list, count, net_pg_push_text, trade_text_or_null(job->venue_order_id))
}

static void trade_book_surfaced(net_pg_unit *unit, const trade_batch *batch)
{
    net_pg_statement(unit, query_trade_surface);
    JOB_COLUMN(batch->surfaced, batch->surfaced_count, net_pg_push_int, job->user_id)
    JOB_COLUMN(batch->surfaced, batch->surfaced_count, net_pg_push_int, job->id)
}

static void trade_book_resent(net_pg_unit *unit, const trade_batch *batch)
{
    net_pg_statement(unit, query_trade_resend);
    net_pg_text(unit, batch->engine->owner);
    net_pg_int(unit, batch->engine->config->trade_lease_ns / 1000);
    JOB_COLUMN(batch->resent, batch->resent_count, net_pg_push_int, job->user_id)
    JOB_COLUMN(batch->resent, batch->resent_count, net_pg_push_int, job->id)
    JOB_COLUMN(batch->resent, batch->resent_count, net_pg_push_time, job->requested_ns)
    JOB_COLUMN(batch->resent, batch->resent_count, net_pg_push_time, job->resend_ns)
}

static void trade_book_dead(net_pg_unit *unit, const trade_batch *batch)
{
    net_pg_statement(unit, query_trade_dead);
    JOB_COLUMN(batch->dead, batch->dead_count, net_pg_push_text, job != NULL ? "trade" : "")
    JOB_COLUMN(batch->dead, batch->dead_count, net_pg_push_int, job->user_id)
    JOB_COLUMN(batch->dead, batch->dead_count, net_pg_push_int, job->id)
    JOB_COLUMN(batch->dead, batch->dead_count, net_pg_push_text,
               job->next_step.reason != ERROR_NONE ? error_code(job->next_step.reason)
                                                   : trade_step_name(job->next_step.step))
}

size_t trade_batch_count(const trade_batch *batch)
{
    return batch->ended_count + batch->released_count + batch->unknown_count +
           batch->surfaced_count + batch->resent_count;
}

/* ---- the transaction ---------------------------------------------------------------------------
 */

static size_t trade_count_fills(const trade_batch *batch)
{
    size_t count = 0;

    for (size_t i = 0; i < batch->ended_count; i++) {
        count += s_books_fills(batch->ended[i].job) ? batch->ended[i].job->fill_count : 0;
    }
    return count;
}

static size_t trade_count_positions(const trade_batch *batch, bool opened)
{
    size_t count = 0;

    for (size_t i = 0; i < batch->ended_count; i++) {
        const trade_settlement *settlement = &batch->ended[i].settlement;

        count += opened ? settlement->opens : settlement->changes;
    }
    return count;
}

static void trade_book_write_ended(net_pg_unit *unit, const trade_batch *batch)
{
    trade_book_trades(unit, batch);
    if (trade_count_fills(batch) > 0) {
        trade_book_fills(unit, batch);
    }
    if (trade_count_positions(batch, true) > 0) {
        trade_book_opened(unit, batch);
    }
    if (trade_count_positions(batch, false) > 0) {
        trade_book_changed(unit, batch);
    }
    trade_book_ledger(unit, batch);
    trade_book_told(unit, batch);
}

/* Of all jobs in the batch, those whose leverage the venue has taken. */
static size_t trade_collect_leverage(const trade_batch *batch, trade_job **jobs)
{
    size_t count = 0;

    for (size_t i = 0; i < batch->ended_count; i++) {
        if (batch->ended[i].job->leverage_set) {
            jobs[count++] = batch->ended[i].job;
        }
    }
    for (size_t i = 0; i < batch->released_count; i++) {
        if (batch->released[i]->leverage_set) {
            jobs[count++] = batch->released[i];
        }
    }
    for (size_t i = 0; i < batch->unknown_count; i++) {
        if (batch->unknown[i]->leverage_set) {
            jobs[count++] = batch->unknown[i];
        }
    }
    return count;
}

/* A resend has its own request time, one for all of a market: drawn just before it is written. */
static void trade_book_draw_times(trade_batch *batch)
{
    for (size_t i = 0; i < batch->resent_count; i++) {
        batch->resent[i]->resend_claimed_ns = clock_now_ns();
        batch->resent[i]->resend_ns = trade_claim_time(batch->resent[i]->market);
    }
}

net_pg_unit *trade_book_unit(trade_batch *batch)
{
    net_pg_unit *unit = net_pg_unit_new(true);
    trade_job **leverage = malloc((trade_batch_count(batch) + 1) * sizeof(trade_job *));
    size_t leverage_count = leverage != NULL ? trade_collect_leverage(batch, leverage) : 0;

    if (batch->ended_count > 0) {
        trade_book_write_ended(unit, batch);
    }
    if (leverage_count > 0) {
        trade_book_leverage(unit, leverage, leverage_count);
    }
    if (batch->released_count > 0) {
        trade_book_released(unit, batch);
    }
    if (batch->unknown_count > 0) {
        trade_book_unknown(unit, batch);
    }
    if (batch->surfaced_count > 0) {
        trade_book_surfaced(unit, batch);
    }
    if (batch->dead_count > 0) {
        trade_book_dead(unit, batch);
    }
    if (batch->resent_count > 0) { /* last: its rows are read */
        trade_book_draw_times(batch);
        trade_book_resent(unit, batch);
    }
    free(leverage);
    return unit;
}
