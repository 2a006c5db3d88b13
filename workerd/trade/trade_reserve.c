/*
 * A chunk of decisions to Postgres, and what came of it: orders to send, trades that wait their
 * turn, followers to be decided on again.
 */
#include "core/clock.h"
#include "core/log.h"
#include "queries.h"
#include "workerd/trade/trade_fanout.h"

#include <string.h>

#define CANDIDATE_COLUMN(push, value)                                                              \
    net_pg_array(unit);                                                                            \
    for (size_t i = 0; i < chunk->count; i++) {                                                    \
        const trade_candidate *c = &chunk->candidates[i];                                          \
        push(unit, value);                                                                         \
    }

static void trade_push_id(net_pg_unit *unit, int64_t id)
{
    if (id == 0) {
        net_pg_push_text(unit, NULL);
    } else {
        net_pg_push_int(unit, id);
    }
}

/* -1: not checked. */
static void trade_push_most(net_pg_unit *unit, int most)
{
    if (most == TRADE_POSITIONS_UNLIMITED) {
        net_pg_push_text(unit, NULL);
    } else {
        net_pg_push_int(unit, most);
    }
}

static const char *trade_reason(const trade_candidate *candidate)
{
    return candidate->decision.reason != ERROR_NONE ? error_code(candidate->decision.reason) : NULL;
}

static void trade_reserve_columns(net_pg_unit *unit, const trade_chunk *chunk)
{
    CANDIDATE_COLUMN(net_pg_push_int, c->user_id)
    CANDIDATE_COLUMN(trade_push_id, c->follow_id)
    CANDIDATE_COLUMN(net_pg_push_int, c->user_version)
    CANDIDATE_COLUMN(net_pg_push_int, c->follow_version)
    CANDIDATE_COLUMN(trade_push_id, c->account_id)
    CANDIDATE_COLUMN(trade_push_id, c->instrument_id)
    CANDIDATE_COLUMN(trade_push_id, c->position_id)
    CANDIDATE_COLUMN(net_pg_push_int, c->position_version)
    CANDIDATE_COLUMN(trade_push_most, c->decision.positions_max)
    CANDIDATE_COLUMN(net_pg_push_text, trade_reason(c))
    CANDIDATE_COLUMN(net_pg_push_dec, c->decision.size)
    CANDIDATE_COLUMN(net_pg_push_int, c->decision.leverage)
    CANDIDATE_COLUMN(net_pg_push_dec, c->decision.price)
    CANDIDATE_COLUMN(net_pg_push_dec, c->decision.quantity)
    CANDIDATE_COLUMN(net_pg_push_dec, c->decision.hold)
    CANDIDATE_COLUMN(net_pg_push_text, c->client_base[0] != '\0' ? c->client_base : NULL)
    CANDIDATE_COLUMN(net_pg_push_time, c->start_after_ns)
    CANDIDATE_COLUMN(net_pg_push_bool, c->claim)
}

static void trade_reserve_forget(net_pg_unit *unit, const trade_chunk *chunk)
{
    bool any = false;

    for (size_t i = 0; i < chunk->count; i++) {
        any = any || chunk->candidates[i].forget;
    }
    if (!any) {
        return;
    }
    net_pg_statement(unit, query_trade_leverage_forget);
    net_pg_array(unit);
    for (size_t i = 0; i < chunk->count; i++) {
        if (chunk->candidates[i].forget) {
            net_pg_push_int(unit, chunk->candidates[i].user_id);
        }
    }
    net_pg_array(unit);
    for (size_t i = 0; i < chunk->count; i++) {
        if (chunk->candidates[i].forget) {
            net_pg_push_int(unit, chunk->candidates[i].account_id);
        }
    }
    net_pg_array(unit);
    for (size_t i = 0; i < chunk->count; i++) {
        if (chunk->candidates[i].forget) {
            net_pg_push_int(unit, chunk->candidates[i].instrument_id);
        }
    }
}

/* ---- what came of it ---------------------------------------------------------------------------
 */

static trade_candidate *trade_candidate_of(const trade_chunk *chunk, int64_t user_id)
{
    size_t low = 0, high = chunk->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (chunk->candidates[middle].user_id < user_id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < chunk->count && chunk->candidates[low].user_id == user_id ? &chunk->candidates[low]
                                                                           : NULL;
}

/* Reserved and claimed in one: the order can go. */
static void trade_reserve_send(const trade_chunk *chunk, trade_candidate *candidate, int64_t id,
                               int64_t now_ns)
{
    trade_job *job = candidate->job;

    candidate->job = NULL;
    job->id = id;
    job->reserved_ns = now_ns;
    job->requested_ns = chunk->requested_ns;
    job->claimed_ns = chunk->claimed_ns;
    if (!trade_job_register(job)) {
        trade_job_free(job);
        return;
    }
    trade_send_start(job);
}

static void trade_reserve_row(trade_chunk *chunk, const PGresult *rows, int row, int64_t now_ns)
{
    trade_fanout *fanout = chunk->fanout;
    shm_process *process = fanout->engine->process;
    const char *state = net_pg_value(rows, row, 2);
    int64_t user_id, id = 0;
    trade_candidate *candidate;

    if (state == NULL || !net_pg_get_int(rows, row, 0, &user_id)) {
        return;
    }
    net_pg_get_int(rows, row, 1, &id);
    candidate = trade_candidate_of(chunk, user_id);
    if (strcmp(state, "STALE") == 0) {
        shm_count(process, SHM_trade_stale_decisions_total, 1);
        if (fanout->stale_from == 0 || user_id < fanout->stale_from) {
            fanout->stale_from = user_id;
        }
    } else if (strcmp(state, "SKIPPED") == 0) {
        shm_count(process, SHM_trade_skipped_total, 1);
    } else if (candidate != NULL) {
        shm_count(process, SHM_trade_reserved_total, 1);
        shm_observe(process, SHM_trade_reserve_seconds, now_ns - fanout->signal.detected_ns);
        if (strcmp(state, "EXECUTING") == 0 && candidate->job != NULL) {
            trade_reserve_send(chunk, candidate, id, now_ns);
        } else if (candidate->job != NULL) {
            candidate->job->market->lane_waited_ns = clock_monotonic_ns();
        }
    }
}

static enum trade_reserved trade_reserve_failed(const trade_chunk *chunk,
                                                const net_pg_answer *answer)
{
    trade_engine *engine = chunk->fanout->engine;

    if (answer->outcome == NET_PG_LOST) {
        trade_claim_lost(engine, chunk->requested_ns);
        return TRADE_RESERVE_AGAIN;
    }
    if (answer->outcome == NET_PG_NOT_SENT || strncmp(answer->sqlstate, "40", 2) == 0 ||
        strncmp(answer->sqlstate, "57", 2) == 0) {
        return TRADE_RESERVE_AGAIN;
    }
    log_event(LOG_ERROR, "trade.not_reserved", "signal_id", LOG_INT(chunk->fanout->signal.id),
              "sqlstate", LOG_TEXT(answer->sqlstate), "message",
              LOG_TEXT(answer->message != NULL ? answer->message : ""), NULL);
    /* The signal is somebody else's by now; or else another try will tell. */
    return strcmp(answer->sqlstate, "WH001") == 0 ? TRADE_RESERVE_ABANDON : TRADE_RESERVE_AGAIN;
}

static void trade_reserve_done(void *owner, const net_pg_answer *answer)
{
    trade_chunk *chunk = owner;
    trade_fanout *fanout = chunk->fanout;
    trade_market *market = chunk->market;
    int64_t now_ns = clock_now_ns();

    if (answer->outcome != NET_PG_DONE) {
        trade_fanout_reserved(fanout, trade_reserve_failed(chunk, answer));
        return;
    }
    for (int row = 0; row < PQntuples(answer->results[1]); row++) {
        trade_reserve_row(chunk, answer->results[1], row, now_ns);
    }
    trade_fanout_reserved(fanout, TRADE_RESERVED); /* frees the chunk */
    if (market != NULL) {
        trade_send_pump(market);
    }
}

bool trade_reserve(trade_chunk *chunk)
{
    const trade_fanout *fanout = chunk->fanout;
    const trade_signal *signal = &fanout->signal;
    trade_engine *engine = fanout->engine;
    const trade_instrument *instrument =
        trade_instruments_find(engine->instruments, signal->instrument_id);
    net_pg_unit *unit = net_pg_unit_new(true);

    chunk->claimed_ns = clock_now_ns();
    chunk->requested_ns = chunk->market != NULL ? trade_claim_time(chunk->market) : 0;
    net_pg_statement(unit, query_trade_lock_users);
    CANDIDATE_COLUMN(net_pg_push_int, c->user_id)
    net_pg_statement(unit, query_trade_reserve);
    net_pg_int(unit, signal->id);
    net_pg_int(unit, signal->whale_id);
    net_pg_text(unit, trade_side_name(signal->side));
    net_pg_bool(unit, signal->closes);
    net_pg_text(unit, signal->closes ? "WHALE_EXIT" : NULL);
    net_pg_text(unit, instrument != NULL ? instrument->rules.settle : "");
    net_pg_text(unit, engine->owner);
    net_pg_int(unit, engine->config->trade_lease_ns / 1000);
    net_pg_time(unit, signal->detected_ns);
    net_pg_int(unit, chunk->advance_to);
    net_pg_time(unit, chunk->requested_ns);
    trade_reserve_columns(unit, chunk);
    trade_reserve_forget(unit, chunk);
    return net_pg_run(engine->work, unit, trade_reserve_done, chunk);
}
