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

static void trade_fanout_fetch(trade_fanout *fanout);
static void trade_fanout_advance(trade_fanout *fanout);

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

    signal->id = trade_row_int(rows, row, 0, 0);
    signal->whale_id = trade_row_int(rows, row, 1, 0);
    signal->instrument_id = trade_row_int(rows, row, 2, 0);
    signal->leverage = (int)trade_row_int(rows, row, 7, 0);
    signal->fanned_out_to = trade_row_int(rows, row, 9, 0);
    signal->detected_ns = trade_row_int(rows, row, 10, 0);
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
    fanout->resumed = trade_row_bool(rows, row, 11, true);
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
