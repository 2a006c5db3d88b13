/*
 * A chunk of followers: rows to what a decision reads, the decision for each, and the job of those
 * whose order can go out right after the reservation.
 */
#include "core/clock.h"
#include "core/log.h"
#include "workerd/trade/trade_fanout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Columns of fanout_entry.sql and fanout_holders.sql, in order. */
enum {
    COLUMN_USER,
    COLUMN_USER_VERSION,
    COLUMN_USER_STATE,
    COLUMN_TIER,
    COLUMN_MODE,
    COLUMN_AUTO_COPY,
    COLUMN_DELAY,
    COLUMN_DEFAULT_SIZE,
    COLUMN_MAXIMUM_SIZE,
    COLUMN_LOSS_LIMIT,
    COLUMN_MAXIMUM_POSITIONS,
    COLUMN_DEFAULT_LEVERAGE,
    COLUMN_MAXIMUM_LEVERAGE,
    COLUMN_CLOSE_ON_EXIT,
    COLUMN_FOLLOW,
    COLUMN_FOLLOW_VERSION,
    COLUMN_FOLLOWED,
    COLUMN_SIZE_KIND,
    COLUMN_SIZE_VALUE,
    COLUMN_FOLLOW_LEVERAGE,
    COLUMN_COPY_LEVERAGE,
    COLUMN_ACCOUNT,
    COLUMN_ACCOUNT_STATE,
    COLUMN_VENUE,
    COLUMN_REF,
    COLUMN_SECRET,
    COLUMN_CAN_FUTURES,
    COLUMN_POSITION_MODE,
    COLUMN_INSTRUMENT,
    COLUMN_ACCOUNT_LEVERAGE,
    COLUMN_AVAILABLE,
    COLUMN_OPEN_POSITIONS,
    COLUMN_LOSS_TODAY,
    COLUMN_POSITION_ID,
    COLUMN_POSITION_VERSION,
    COLUMN_POSITION_QUANTITY,
    COLUMN_POSITION_NOTIONAL,
    COLUMN_POSITION_MARGIN,
    COLUMN_POSITION_LEVERAGE,
    COLUMN_POSITION_REALISED,
    COLUMN_POSITION_FEES,
    COLUMN_OTHER_QUANTITY,
    COLUMN_ENTRIES_LONG,
    COLUMN_ENTRIES_SHORT,
    COLUMN_EXITS_LONG,
    COLUMN_EXITS_SHORT,
    COLUMN_OTHERS_LONG,
    COLUMN_OTHERS_SHORT,
};

int64_t trade_row_int(const PGresult *rows, int row, int column, int64_t fallback)
{
    int64_t value;

    return net_pg_get_int(rows, row, column, &value) ? value : fallback;
}

bool trade_row_bool(const PGresult *rows, int row, int column, bool fallback)
{
    bool value;

    return net_pg_get_bool(rows, row, column, &value) ? value : fallback;
}

/* ---- rows to followers -------------------------------------------------------------------------
 */

static dec trade_dec_or_zero(const PGresult *rows, int row, int column)
{
    dec value;

    return net_pg_get_dec(rows, row, column, &value) ? value : DEC_ZERO;
}

static bool trade_is(const PGresult *rows, int row, int column, const char *text)
{
    const char *value = net_pg_value(rows, row, column);

    return value != NULL && strcmp(value, text) == 0;
}

static void trade_read_settings(const PGresult *rows, int row, trade_follower *follower)
{
    follower->user_active = trade_is(rows, row, COLUMN_USER_STATE, "ACTIVE");
    follower->spot_only = trade_is(rows, row, COLUMN_MODE, "SPOT");
    follower->auto_copy = trade_row_bool(rows, row, COLUMN_AUTO_COPY, true);
    follower->close_on_whale_exit = trade_row_bool(rows, row, COLUMN_CLOSE_ON_EXIT, true);
    follower->delay_s = (int)trade_row_int(rows, row, COLUMN_DELAY, 0);
    follower->maximum_positions = (int)trade_row_int(rows, row, COLUMN_MAXIMUM_POSITIONS, 0);
    follower->default_leverage = (int)trade_row_int(rows, row, COLUMN_DEFAULT_LEVERAGE, 0);
    follower->maximum_leverage = (int)trade_row_int(rows, row, COLUMN_MAXIMUM_LEVERAGE, 0);
    follower->has_default_size =
        net_pg_get_dec(rows, row, COLUMN_DEFAULT_SIZE, &follower->default_size);
    follower->has_maximum_size =
        net_pg_get_dec(rows, row, COLUMN_MAXIMUM_SIZE, &follower->maximum_size);
    follower->has_loss_limit = net_pg_get_dec(rows, row, COLUMN_LOSS_LIMIT, &follower->loss_limit);
}

static void trade_read_follow(const PGresult *rows, int row, trade_follower *follower)
{
    follower->follow_id = trade_row_int(rows, row, COLUMN_FOLLOW, 0);
    follower->follow_version = trade_row_int(rows, row, COLUMN_FOLLOW_VERSION, 0);
    follower->followed = trade_row_bool(rows, row, COLUMN_FOLLOWED, false);
    follower->copy_leverage = trade_row_bool(rows, row, COLUMN_COPY_LEVERAGE, true);
    follower->follow_leverage = (int)trade_row_int(rows, row, COLUMN_FOLLOW_LEVERAGE, 0);
    follower->size_value = trade_dec_or_zero(rows, row, COLUMN_SIZE_VALUE);
    if (trade_is(rows, row, COLUMN_SIZE_KIND, "FIXED")) {
        follower->size_kind = TRADE_SIZE_FIXED;
    } else if (trade_is(rows, row, COLUMN_SIZE_KIND, "BALANCE_PERCENT")) {
        follower->size_kind = TRADE_SIZE_PERCENT;
    }
}

static void trade_read_held(const PGresult *rows, int row, trade_position *held)
{
    held->id = trade_row_int(rows, row, COLUMN_POSITION_ID, 0);
    held->version = trade_row_int(rows, row, COLUMN_POSITION_VERSION, 0);
    held->quantity = trade_dec_or_zero(rows, row, COLUMN_POSITION_QUANTITY);
    held->entry_notional = trade_dec_or_zero(rows, row, COLUMN_POSITION_NOTIONAL);
    held->margin = trade_dec_or_zero(rows, row, COLUMN_POSITION_MARGIN);
    held->leverage = (int)trade_row_int(rows, row, COLUMN_POSITION_LEVERAGE, 0);
    held->realised_pnl = trade_dec_or_zero(rows, row, COLUMN_POSITION_REALISED);
    held->fees = trade_dec_or_zero(rows, row, COLUMN_POSITION_FEES);
}

static bool trade_read_follower(const PGresult *rows, int row, trade_follower *follower)
{
    memset(follower, 0, sizeof(*follower));
    follower->user_id = trade_row_int(rows, row, COLUMN_USER, 0);
    follower->user_version = trade_row_int(rows, row, COLUMN_USER_VERSION, 0);
    trade_read_settings(rows, row, follower);
    trade_read_follow(rows, row, follower);
    follower->account_id = trade_row_int(rows, row, COLUMN_ACCOUNT, 0);
    follower->account_active = trade_is(rows, row, COLUMN_ACCOUNT_STATE, "ACTIVE") &&
                               trade_row_bool(rows, row, COLUMN_CAN_FUTURES, false) &&
                               net_pg_value(rows, row, COLUMN_SECRET) != NULL;
    follower->hedge_mode = trade_is(rows, row, COLUMN_POSITION_MODE, "HEDGE");
    follower->account_leverage = (int)trade_row_int(rows, row, COLUMN_ACCOUNT_LEVERAGE, 0);
    follower->available = trade_dec_or_zero(rows, row, COLUMN_AVAILABLE);
    follower->open_positions = (int)trade_row_int(rows, row, COLUMN_OPEN_POSITIONS, 0);
    follower->loss_today = trade_dec_or_zero(rows, row, COLUMN_LOSS_TODAY);
    trade_read_held(rows, row, &follower->held);
    follower->other_quantity = trade_dec_or_zero(rows, row, COLUMN_OTHER_QUANTITY);
    follower->entries_long = trade_dec_or_zero(rows, row, COLUMN_ENTRIES_LONG);
    follower->entries_short = trade_dec_or_zero(rows, row, COLUMN_ENTRIES_SHORT);
    follower->exits_long = trade_dec_or_zero(rows, row, COLUMN_EXITS_LONG);
    follower->exits_short = trade_dec_or_zero(rows, row, COLUMN_EXITS_SHORT);
    follower->others_long = trade_dec_or_zero(rows, row, COLUMN_OTHERS_LONG);
    follower->others_short = trade_dec_or_zero(rows, row, COLUMN_OTHERS_SHORT);
    return follower->user_id != 0 &&
           trade_tier_by_name(net_pg_value(rows, row, COLUMN_TIER), &follower->tier);
}

/* ---- prices ------------------------------------------------------------------------------------
 */

/* What an order of this side would meet; zero where no fresh price is known. */
static dec trade_price(const trade_engine *engine, const trade_instrument *instrument,
                       enum venue_side side)
{
    shm_price price;
    uint32_t slot;
    dec touch;

    if (shm_price_find(engine->segment, instrument->name, strlen(instrument->name), &slot) !=
            SHM_READ_OK ||
        shm_price_read(engine->segment, slot, &price) != SHM_READ_OK ||
        (price.flags & SHM_PRICE_DISCONNECTED) != 0 ||
        clock_now_ns() - price.receive_time_ns > engine->config->price_stale_ns) {
        return DEC_ZERO;
    }
    touch = side == VENUE_BUY ? price.ask : price.bid;
    return dec_sign(touch) > 0 ? touch : dec_sign(price.mark) > 0 ? price.mark : price.last;
}

/* One price serves a whole chunk. */
typedef struct {
    int64_t instrument_id;
    dec price;
} trade_price_seen;

static dec trade_price_once(const trade_fanout *fanout, const trade_instrument *instrument,
                            trade_price_seen *seen)
{
    if (instrument == NULL) {
        return DEC_ZERO;
    }
    if (seen->instrument_id != instrument->id) {
        seen->instrument_id = instrument->id;
        seen->price = trade_price(fanout->engine, instrument, fanout->signal.side);
    }
    return seen->price;
}

/* ---- deciding ----------------------------------------------------------------------------------
 */

static const trade_instrument *trade_follower_instrument(const trade_fanout *fanout,
                                                         const PGresult *rows, int row)
{
    const trade_instruments *table = fanout->engine->instruments;
    const trade_instrument *own = trade_instruments_find(table, fanout->signal.instrument_id);
    int64_t id = trade_row_int(rows, row, COLUMN_INSTRUMENT, 0);
    const char *venue = net_pg_value(rows, row, COLUMN_VENUE);

    if (id != 0) {
        return trade_instruments_find(table, id);
    }
    return own != NULL && venue != NULL ? trade_instruments_at(table, own, venue) : NULL;
}

/* The job that sends it, where it can be sent right after the reservation. */
static trade_job *trade_candidate_job(const trade_fanout *fanout, const trade_follower *follower,
                                      const trade_candidate *candidate, trade_market *market,
                                      const PGresult *rows, int row)
{
    const trade_signal *signal = &fanout->signal;
    const trade_decision *decision = &candidate->decision;
    trade_job *job = trade_job_new(fanout->engine, market, net_pg_value(rows, row, COLUMN_SECRET));

    if (job == NULL) {
        return NULL;
    }
    job->user_id = follower->user_id;
    job->account_id = follower->account_id;
    job->instrument_id = candidate->instrument_id;
    job->whale_id = signal->whale_id;
    job->follow_id = follower->follow_id;
    snprintf(job->ref, sizeof(job->ref), "%s", net_pg_value(rows, row, COLUMN_REF));
    memcpy(job->client_base, candidate->client_base, sizeof(job->client_base));
    job->side = signal->side;
    job->reduce_only = signal->closes;
    snprintf(job->close_reason, sizeof(job->close_reason), "%s",
             signal->closes ? "WHALE_EXIT" : "");
    job->quantity = decision->quantity;
    job->hold = decision->hold;
    job->price = decision->price;
    job->leverage = decision->leverage;
    job->account_leverage = follower->account_leverage;
    job->detected_ns = signal->detected_ns;
    job->position = follower->held;
    if (!dec_add(follower->held.quantity, follower->other_quantity, &job->book_quantity)) {
        job->book_quantity = follower->held.quantity;
    }
    return job;
}

/* Where the order can go out at once: no delay asked for, and this process may send. */
static trade_market *trade_candidate_market(const trade_fanout *fanout,
                                            const trade_follower *follower,
                                            const trade_instrument *instrument)
{
    trade_engine *engine = fanout->engine;
    trade_market *market = trade_market_find(engine, instrument->venue, instrument->rules.market);

    if (market == NULL || engine->stopping || !engine->owner_locked ||
        !trade_caller_synced(market->caller) || (follower->delay_s > 0 && !fanout->signal.closes)) {
        return NULL;
    }
    return market;
}

static bool trade_candidate_read(trade_chunk *chunk, const PGresult *rows, int row,
                                 trade_price_seen *seen, trade_candidate *candidate)
{
    trade_fanout *fanout = chunk->fanout;
    const trade_instrument *instrument = trade_follower_instrument(fanout, rows, row);
    trade_follower follower;
    trade_market *market = NULL;

    if (!trade_read_follower(rows, row, &follower)) {
        return false;
    }
    *candidate = (trade_candidate){.user_id = follower.user_id,
                                   .user_version = follower.user_version,
                                   .follow_id = follower.follow_id,
                                   .follow_version = follower.follow_version,
                                   .account_id = follower.account_id,
                                   .instrument_id = instrument != NULL ? instrument->id : 0,
                                   .position_id = follower.held.id,
                                   .position_version = follower.held.version};
    trade_decide(&fanout->signal, &follower, instrument, trade_price_once(fanout, instrument, seen),
                 &candidate->decision);
    if (candidate->decision.reason == ERROR_NONE && fanout->passes >= TRADE_PASSES_MAX) {
        candidate->decision.reason = ERROR_DECISION_STALE;
    }
    if (candidate->decision.reason != ERROR_NONE) {
        return true;
    }
    if (!trade_job_draw_client_id(candidate->client_base)) {
        return false;
    }
    if (follower.delay_s > 0 && !fanout->signal.closes) {
        candidate->start_after_ns = fanout->signal.detected_ns + follower.delay_s * CLOCK_SECOND_NS;
    }
    market = trade_candidate_market(fanout, &follower, instrument);
    if (market != NULL && (chunk->market == NULL || chunk->market == market)) {
        candidate->job = trade_candidate_job(fanout, &follower, candidate, market, rows, row);
    }
    candidate->claim = candidate->job != NULL;
    if (candidate->claim) {
        chunk->market = market;
        candidate->forget = !fanout->signal.closes && follower.account_leverage != 0 &&
                            follower.account_leverage != candidate->decision.leverage;
    }
    return true;
}

void trade_chunk_free(trade_chunk *chunk)
{
    if (chunk == NULL) {
        return;
    }
    for (size_t i = 0; i < chunk->count; i++) {
        if (chunk->candidates[i].job != NULL) {
            trade_job_free(chunk->candidates[i].job);
        }
    }
    free(chunk->candidates);
    free(chunk);
}

trade_chunk *trade_chunk_read(trade_fanout *fanout, const PGresult *rows)
{
    size_t count = (size_t)PQntuples(rows);
    trade_chunk *chunk = calloc(1, sizeof(*chunk));
    trade_price_seen seen = {0};

    if (chunk == NULL) {
        return NULL;
    }
    chunk->fanout = fanout;
    chunk->last = count < fanout->engine->config->trade_chunk;
    chunk->candidates = calloc(count > 0 ? count : 1, sizeof(*chunk->candidates));
    if (chunk->candidates == NULL) {
        free(chunk);
        return NULL;
    }
    for (size_t row = 0; row < count; row++) {
        if (trade_candidate_read(chunk, rows, (int)row, &seen, &chunk->candidates[chunk->count])) {
            chunk->count++;
        } else {
            log_event(LOG_ERROR, "trade.follower_unreadable", "signal_id",
                      LOG_INT(fanout->signal.id), NULL);
        }
        chunk->advance_to = trade_row_int(rows, (int)row, COLUMN_USER, chunk->advance_to);
    }
    shm_count(fanout->engine->process, SHM_trade_decided_total, chunk->count);
    return chunk;
}
