/*
 * Signals to followers: claims signals, reads their followers in chunks, decides for each, and
 * hands the chunks to be reserved one after the other, reading the next while one is written.
 *
 * Promises: every follower that a signal reaches gets one row, whatever breaks on the way: the
 * signal remembers how far it is in the transaction that reserves, and followers with a row are not
 * read again; a follower whose facts changed is decided on again, at most TRADE_PASSES_MAX times.
 */
#include "workerd/trade/trade_fanout.h"

#include "core/clock.h"
#include "core/log.h"
#include "queries.h"

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

static void trade_fanout_fetch(trade_fanout *fanout);
static void trade_fanout_advance(trade_fanout *fanout);

/* ---- rows to followers -------------------------------------------------------------------------
 */

static int64_t trade_int_or(const PGresult *rows, int row, int column, int64_t fallback)
{
    int64_t value;

    return net_pg_get_int(rows, row, column, &value) ? value : fallback;
}

static dec trade_dec_or_zero(const PGresult *rows, int row, int column)
{
    dec value;

    return net_pg_get_dec(rows, row, column, &value) ? value : DEC_ZERO;
}

static bool trade_bool_or(const PGresult *rows, int row, int column, bool fallback)
{
    bool value;

    return net_pg_get_bool(rows, row, column, &value) ? value : fallback;
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
    follower->auto_copy = trade_bool_or(rows, row, COLUMN_AUTO_COPY, true);
    follower->close_on_whale_exit = trade_bool_or(rows, row, COLUMN_CLOSE_ON_EXIT, true);
    follower->delay_s = (int)trade_int_or(rows, row, COLUMN_DELAY, 0);
    follower->maximum_positions = (int)trade_int_or(rows, row, COLUMN_MAXIMUM_POSITIONS, 0);
    follower->default_leverage = (int)trade_int_or(rows, row, COLUMN_DEFAULT_LEVERAGE, 0);
    follower->maximum_leverage = (int)trade_int_or(rows, row, COLUMN_MAXIMUM_LEVERAGE, 0);
    follower->has_default_size =
        net_pg_get_dec(rows, row, COLUMN_DEFAULT_SIZE, &follower->default_size);
    follower->has_maximum_size =
        net_pg_get_dec(rows, row, COLUMN_MAXIMUM_SIZE, &follower->maximum_size);
    follower->has_loss_limit = net_pg_get_dec(rows, row, COLUMN_LOSS_LIMIT, &follower->loss_limit);
}

static void trade_read_follow(const PGresult *rows, int row, trade_follower *follower)
{
    follower->follow_id = trade_int_or(rows, row, COLUMN_FOLLOW, 0);
    follower->follow_version = trade_int_or(rows, row, COLUMN_FOLLOW_VERSION, 0);
    follower->followed = trade_bool_or(rows, row, COLUMN_FOLLOWED, false);
    follower->copy_leverage = trade_bool_or(rows, row, COLUMN_COPY_LEVERAGE, true);
    follower->follow_leverage = (int)trade_int_or(rows, row, COLUMN_FOLLOW_LEVERAGE, 0);
    follower->size_value = trade_dec_or_zero(rows, row, COLUMN_SIZE_VALUE);
    if (trade_is(rows, row, COLUMN_SIZE_KIND, "FIXED")) {
        follower->size_kind = TRADE_SIZE_FIXED;
    } else if (trade_is(rows, row, COLUMN_SIZE_KIND, "BALANCE_PERCENT")) {
        follower->size_kind = TRADE_SIZE_PERCENT;
    }
}

static void trade_read_held(const PGresult *rows, int row, trade_position *held)
{
    held->id = trade_int_or(rows, row, COLUMN_POSITION_ID, 0);
    held->version = trade_int_or(rows, row, COLUMN_POSITION_VERSION, 0);
    held->quantity = trade_dec_or_zero(rows, row, COLUMN_POSITION_QUANTITY);
    held->entry_notional = trade_dec_or_zero(rows, row, COLUMN_POSITION_NOTIONAL);
    held->margin = trade_dec_or_zero(rows, row, COLUMN_POSITION_MARGIN);
    held->leverage = (int)trade_int_or(rows, row, COLUMN_POSITION_LEVERAGE, 0);
    held->realised_pnl = trade_dec_or_zero(rows, row, COLUMN_POSITION_REALISED);
    held->fees = trade_dec_or_zero(rows, row, COLUMN_POSITION_FEES);
}

static bool trade_read_follower(const PGresult *rows, int row, trade_follower *follower)
{
    memset(follower, 0, sizeof(*follower));
    follower->user_id = trade_int_or(rows, row, COLUMN_USER, 0);
    follower->user_version = trade_int_or(rows, row, COLUMN_USER_VERSION, 0);
    trade_read_settings(rows, row, follower);
    trade_read_follow(rows, row, follower);
    follower->account_id = trade_int_or(rows, row, COLUMN_ACCOUNT, 0);
    follower->account_active = trade_is(rows, row, COLUMN_ACCOUNT_STATE, "ACTIVE") &&
                               trade_bool_or(rows, row, COLUMN_CAN_FUTURES, false) &&
                               net_pg_value(rows, row, COLUMN_SECRET) != NULL;
    follower->hedge_mode = trade_is(rows, row, COLUMN_POSITION_MODE, "HEDGE");
    follower->account_leverage = (int)trade_int_or(rows, row, COLUMN_ACCOUNT_LEVERAGE, 0);
    follower->available = trade_dec_or_zero(rows, row, COLUMN_AVAILABLE);
    follower->open_positions = (int)trade_int_or(rows, row, COLUMN_OPEN_POSITIONS, 0);
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
    int64_t id = trade_int_or(rows, row, COLUMN_INSTRUMENT, 0);
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

static trade_chunk *trade_chunk_read(trade_fanout *fanout, const PGresult *rows)
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
        chunk->advance_to = trade_int_or(rows, (int)row, COLUMN_USER, chunk->advance_to);
    }
    shm_count(fanout->engine->process, SHM_trade_decided_total, chunk->count);
    return chunk;
}

/* ---- fetching ----------------------------------------------------------------------------------
 */

static void trade_fanout_free(trade_fanout *fanout)
{
    trade_engine *engine = fanout->engine;

    trade_chunk_free(fanout->fetched);
    trade_chunk_free(fanout->reserving);
    for (size_t i = 0; i < TRADE_SIGNALS_MAX; i++) {
        if (engine->fanouts[i] == fanout) {
            engine->fanouts[i] = NULL;
        }
    }
    free(fanout);
    engine->signals_soon = true;
    trade_fanout_claim(engine);
}

/* From the last follower that is reserved for certain, after a while. Nothing may be being written.
 */
static void trade_fanout_again(trade_fanout *fanout)
{
    trade_chunk_free(fanout->fetched);
    trade_chunk_free(fanout->reserving);
    fanout->fetched = fanout->reserving = NULL;
    fanout->fetched_last = false;
    fanout->cursor = fanout->reserved_to;
    fanout->retry_ns = clock_monotonic_ns() + TRADE_RETRY_NS;
}

static void trade_fanout_fetched(void *owner, const net_pg_answer *answer)
{
    trade_fanout *fanout = owner;

    fanout->fetching = false;
    if (fanout->retry_ns != 0) {
        return; /* it starts again anyway */
    }
    if (answer->outcome == NET_PG_DONE && !fanout->engine->stopping) {
        fanout->fetched = trade_chunk_read(fanout, answer->results[0]);
    } else if (answer->outcome != NET_PG_DONE) {
        log_event(LOG_WARN, "trade.not_fetched", "signal_id", LOG_INT(fanout->signal.id),
                  "sqlstate", LOG_TEXT(answer->sqlstate), "message",
                  LOG_TEXT(answer->message != NULL ? answer->message : ""), NULL);
    }
    if (fanout->fetched == NULL) {
        if (fanout->reserving == NULL) {
            trade_fanout_again(fanout);
        } else {
            fanout->fetched_last = false; /* fetched again when the one before is written */
        }
        return;
    }
    fanout->fetched_last = fanout->fetched->last;
    if (fanout->fetched->count > 0 || fanout->fetched->advance_to > 0) {
        fanout->cursor = fanout->fetched->advance_to;
    }
    trade_fanout_advance(fanout);
}

static void trade_fanout_fetch(trade_fanout *fanout)
{
    trade_engine *engine = fanout->engine;
    const trade_signal *signal = &fanout->signal;
    const trade_instrument *instrument =
        trade_instruments_find(engine->instruments, signal->instrument_id);
    bool entry = signal->kind == TRADE_OPEN || signal->kind == TRADE_FLIP;
    net_pg_unit *unit = net_pg_unit_new(true);

    net_pg_statement(unit, entry ? query_trade_fanout_entry : query_trade_fanout_holders);
    net_pg_int(unit, signal->id);
    net_pg_int(unit, signal->whale_id);
    net_pg_int(unit, fanout->cursor);
    net_pg_int(unit, (int64_t)engine->config->trade_chunk);
    net_pg_array(unit);
    for (size_t i = 0; i < fanout->alike_count; i++) {
        net_pg_push_int(unit, fanout->alike[i]);
    }
    if (entry) {
        net_pg_text(unit, instrument != NULL ? instrument->venue : "");
        net_pg_text(unit,
                    venue_market_name(instrument != NULL ? instrument->rules.market : VENUE_USDM));
        net_pg_text(unit, instrument != NULL ? instrument->rules.settle : "");
    } else { /* an order against a long sells, one that adds to it buys */
        net_pg_bool(unit, (signal->side == VENUE_SELL) == signal->closes);
    }
    net_pg_bool(unit, fanout->resumed || fanout->passes > 0 || fanout->retries > 0);
    fanout->fetching = net_pg_run(engine->work, unit, trade_fanout_fetched, fanout);
    if (!fanout->fetching && fanout->reserving == NULL) {
        trade_fanout_again(fanout); /* else when that is written */
    }
}

/* ---- the end -----------------------------------------------------------------------------------
 */

static void trade_fanout_ended(void *owner, const net_pg_answer *answer)
{
    trade_fanout *fanout = owner;

    if (answer->outcome != NET_PG_DONE) {
        log_event(LOG_WARN, "trade.signal_not_ended", "signal_id", LOG_INT(fanout->signal.id),
                  NULL); /* its lease ends, and it is found to have no followers left */
    }
    trade_fanout_free(fanout);
}

static void trade_fanout_end(trade_fanout *fanout, const char *state, const char *reason)
{
    net_pg_unit *unit = net_pg_unit_new(true);

    net_pg_statement(unit, query_trade_signal_done);
    net_pg_int(unit, fanout->signal.id);
    net_pg_text(unit, fanout->engine->owner);
    net_pg_text(unit, state);
    net_pg_text(unit, reason);
    if (!net_pg_run(fanout->engine->work, unit, trade_fanout_ended, fanout)) {
        trade_fanout_ended(fanout, &(net_pg_answer){.outcome = NET_PG_NOT_SENT});
    }
}

/* All were fetched and written once; those that were stale are fetched again. */
static void trade_fanout_pass_over(trade_fanout *fanout)
{
    if (fanout->stale_from == 0) {
        trade_fanout_end(fanout, "PROCESSED", NULL);
        return;
    }
    fanout->passes++;
    fanout->cursor = fanout->reserved_to = fanout->stale_from - 1;
    fanout->stale_from = 0;
    fanout->fetched_last = false;
    trade_fanout_fetch(fanout);
}

static void trade_fanout_advance(trade_fanout *fanout)
{
    if (fanout->reserving == NULL && fanout->fetched != NULL) {
        trade_chunk *chunk = fanout->fetched;

        fanout->fetched = NULL;
        if (chunk->count == 0) {
            trade_chunk_free(chunk);
        } else {
            fanout->reserving = chunk;
            if (fanout->stale_from != 0) {
                chunk->advance_to = fanout->stale_from - 1;
            }
            if (!trade_reserve(chunk)) {
                trade_fanout_again(fanout);
                return;
            }
        }
    }
    if (fanout->fetched == NULL && !fanout->fetching && !fanout->fetched_last) {
        trade_fanout_fetch(fanout);
    } else if (fanout->fetched == NULL && !fanout->fetching && fanout->reserving == NULL) {
        trade_fanout_pass_over(fanout);
    }
}

void trade_fanout_reserved(trade_fanout *fanout, enum trade_reserved how)
{
    if (how == TRADE_RESERVE_ABANDON ||
        (how == TRADE_RESERVE_AGAIN && ++fanout->retries > TRADE_RETRIES_MAX)) {
        log_event(LOG_ERROR, "trade.signal_abandoned", "signal_id", LOG_INT(fanout->signal.id),
                  NULL);
        fanout->abandoned = true;
    }
    if (fanout->abandoned || how == TRADE_RESERVE_AGAIN || fanout->engine->stopping) {
        trade_fanout_again(fanout);
        return;
    }
    fanout->reserved_to = fanout->reserving->advance_to > fanout->reserved_to
                              ? fanout->reserving->advance_to
                              : fanout->reserved_to;
    trade_chunk_free(fanout->reserving);
    fanout->reserving = NULL;
    trade_fanout_advance(fanout);
}

/* ---- claiming signals --------------------------------------------------------------------------
 */

static bool trade_signal_read(trade_engine *engine, const PGresult *rows, int row,
                              trade_signal *signal)
{
    bool read = trade_kind_by_name(net_pg_value(rows, row, 3), &signal->kind) &&
                trade_side_by_name(net_pg_value(rows, row, 4), &signal->side) &&
                net_pg_get_bool(rows, row, 5, &signal->closes) &&
                net_pg_get_dec(rows, row, 6, &signal->fraction);

    signal->id = trade_int_or(rows, row, 0, 0);
    signal->whale_id = trade_int_or(rows, row, 1, 0);
    signal->instrument_id = trade_int_or(rows, row, 2, 0);
    signal->leverage = (int)trade_int_or(rows, row, 7, 0);
    signal->fanned_out_to = trade_int_or(rows, row, 9, 0);
    signal->detected_ns = trade_int_or(rows, row, 10, 0);
    signal->stale = clock_now_ns() - signal->detected_ns > engine->config->signal_max_age_ns;
    return read;
}

static void trade_fanout_start(trade_engine *engine, const PGresult *rows, int row)
{
    trade_fanout *fanout = calloc(1, sizeof(*fanout));
    const trade_instrument *instrument;
    size_t place = 0;
    bool read;

    while (place < TRADE_SIGNALS_MAX && engine->fanouts[place] != NULL) {
        place++;
    }
    if (fanout == NULL || place == TRADE_SIGNALS_MAX) {
        free(fanout); /* its lease ends */
        return;
    }
    engine->fanouts[place] = fanout;
    fanout->engine = engine;
    read = trade_signal_read(engine, rows, row, &fanout->signal);
    fanout->cursor = fanout->reserved_to = fanout->signal.fanned_out_to;
    fanout->resumed = trade_bool_or(rows, row, 11, true);
    instrument = trade_instruments_find(engine->instruments, fanout->signal.instrument_id);
    if (!read || instrument == NULL) {
        trade_fanout_end(fanout, "SKIPPED",
                         error_code(read ? ERROR_NO_INSTRUMENT : ERROR_INTERNAL));
        return;
    }
    fanout->alike_count =
        trade_instruments_alike(engine->instruments, instrument, fanout->alike, TRADE_ALIKE_MAX);
    trade_fanout_fetch(fanout);
}

static unsigned trade_fanout_room(const trade_engine *engine)
{
    unsigned room = 0;

    for (size_t i = 0; i < TRADE_SIGNALS_MAX; i++) {
        room += engine->fanouts[i] == NULL;
    }
    return room;
}

static void trade_fanout_claimed(void *owner, const net_pg_answer *answer)
{
    trade_engine *engine = owner;

    engine->signals_claiming = false;
    for (int row = 0; answer->outcome == NET_PG_DONE && row < PQntuples(answer->results[0]);
         row++) {
        trade_fanout_start(engine, answer->results[0], row);
    }
    if (engine->signals_soon) {
        trade_fanout_claim(engine);
    }
}

void trade_fanout_wake(trade_engine *engine)
{
    int64_t now_ns = clock_monotonic_ns();

    for (size_t i = 0; i < TRADE_SIGNALS_MAX; i++) {
        trade_fanout *fanout = engine->fanouts[i];

        if (fanout == NULL || fanout->retry_ns == 0 || fanout->retry_ns > now_ns ||
            fanout->fetching) {
            continue;
        }
        fanout->retry_ns = 0;
        if (fanout->abandoned || engine->stopping) {
            trade_fanout_free(fanout);
        } else {
            trade_fanout_fetch(fanout);
        }
    }
}

void trade_fanout_claim(trade_engine *engine)
{
    unsigned room;
    net_pg_unit *unit;

    room = trade_fanout_room(engine);
    if (engine->signals_claiming || engine->stopping || room == 0 || !engine->owner_locked ||
        !net_pg_connected(engine->work) || !trade_instruments_ready(engine->instruments)) {
        return;
    }
    engine->signals_soon = false;
    unit = net_pg_unit_new(true);
    net_pg_statement(unit, query_trade_signal_claim);
    net_pg_text(unit, engine->owner);
    net_pg_int(unit, engine->config->trade_lease_ns / 1000);
    net_pg_int(unit, room);
    engine->signals_claiming = net_pg_run(engine->work, unit, trade_fanout_claimed, engine);
}

bool trade_fanout_busy(const trade_engine *engine)
{
    return trade_fanout_room(engine) < TRADE_SIGNALS_MAX;
}
