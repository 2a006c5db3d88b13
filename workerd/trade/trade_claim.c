/*
 * Claims: waiting trades, unclear ones, those of dead owners; rows to jobs.
 *
 * Promises: the claim is committed before anything is sent; what was decided long ago, or before
 * another trade of its lane ended, is looked at again (an entry may have become too old or opposed,
 * a close closes what is there now); a claim that a lost connection may have committed is given
 * back.
 */
#include "core/clock.h"
#include "core/log.h"
#include "queries.h"
#include "workerd/trade/trade_engine.h"
#include "workerd/trade/trade_size.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRADE_UNKNOWN_MAX 200 /* asked about at once, of a market */
#define TRADE_LATE_MAX 50
#define TRADE_LEFT_BEHIND_MAX 200 /* closes made in one sweep */

/* Columns of claim.sql, claim_unknown.sql, claim_late.sql and reload.sql, in order. */
enum {
    COLUMN_USER,
    COLUMN_ID,
    COLUMN_ACCOUNT,
    COLUMN_INSTRUMENT,
    COLUMN_SIDE,
    COLUMN_REDUCE_ONLY,
    COLUMN_CLOSE_REASON,
    COLUMN_QUANTITY,
    COLUMN_LEVERAGE,
    COLUMN_HOLD,
    COLUMN_PRICE,
    COLUMN_CLIENT_ORDER_ID,
    COLUMN_ATTEMPT,
    COLUMN_WHALE,
    COLUMN_FOLLOW,
    COLUMN_ASKS,
    COLUMN_DETECTED,
    COLUMN_RESERVED,
    COLUMN_REQUESTED,
    COLUMN_VENUE_ORDER_ID,
    COLUMN_USER_STATE,
    COLUMN_REF,
    COLUMN_SECRET,
    COLUMN_ACCOUNT_STATE,
    COLUMN_FRACTION,
    COLUMN_ACCOUNT_LEVERAGE,
    COLUMN_BOOK_QUANTITY,
    COLUMN_POSITION_ID,
    COLUMN_POSITION_VERSION,
    COLUMN_POSITION_QUANTITY,
    COLUMN_POSITION_NOTIONAL,
    COLUMN_POSITION_MARGIN,
    COLUMN_POSITION_LEVERAGE,
    COLUMN_POSITION_REALISED,
    COLUMN_POSITION_FEES,
    COLUMN_SENT,
    COLUMN_ACCEPTED,
    COLUMN_TRADE_POSITION,
    COLUMN_DELAY,
    /* of claim.sql alone */
    COLUMN_KIND,
    COLUMN_COPIED,
    COLUMN_REMOVED,
    COLUMN_MAXIMUM_LEVERAGE,
    COLUMN_WHALE_LEFT,
};

/* ---- rows to jobs ------------------------------------------------------------------------------
 */

/* A column that may be NULL; the fallback is zero. */
static int64_t trade_int(const PGresult *rows, int row, int column)
{
    int64_t value = 0;

    return net_pg_get_int(rows, row, column, &value) ? value : 0;
}

static void trade_copy(char *out, size_t capacity, const char *text)
{
    snprintf(out, capacity, "%s", text != NULL ? text : "");
}

static bool trade_read_position(const PGresult *rows, int row, trade_position *position)
{
    *position = (trade_position){.id = trade_int(rows, row, COLUMN_POSITION_ID)};
    if (position->id == 0) {
        return true;
    }
    position->version = trade_int(rows, row, COLUMN_POSITION_VERSION);
    position->leverage = (int)trade_int(rows, row, COLUMN_POSITION_LEVERAGE);
    return net_pg_get_dec(rows, row, COLUMN_POSITION_QUANTITY, &position->quantity) &&
           net_pg_get_dec(rows, row, COLUMN_POSITION_NOTIONAL, &position->entry_notional) &&
           net_pg_get_dec(rows, row, COLUMN_POSITION_MARGIN, &position->margin) &&
           net_pg_get_dec(rows, row, COLUMN_POSITION_REALISED, &position->realised_pnl) &&
           net_pg_get_dec(rows, row, COLUMN_POSITION_FEES, &position->fees);
}

static bool trade_read_job(const PGresult *rows, int row, trade_job *job)
{
    job->user_id = trade_int(rows, row, COLUMN_USER);
    job->id = trade_int(rows, row, COLUMN_ID);
    job->account_id = trade_int(rows, row, COLUMN_ACCOUNT);
    job->instrument_id = trade_int(rows, row, COLUMN_INSTRUMENT);
    job->whale_id = trade_int(rows, row, COLUMN_WHALE);
    job->follow_id = trade_int(rows, row, COLUMN_FOLLOW);
    job->leverage = (int)trade_int(rows, row, COLUMN_LEVERAGE);
    job->account_leverage = (int)trade_int(rows, row, COLUMN_ACCOUNT_LEVERAGE);
    job->attempt = (int)trade_int(rows, row, COLUMN_ATTEMPT);
    job->asks = (int)trade_int(rows, row, COLUMN_ASKS);
    job->detected_ns = trade_int(rows, row, COLUMN_DETECTED);
    job->reserved_ns = trade_int(rows, row, COLUMN_RESERVED);
    job->requested_ns = trade_int(rows, row, COLUMN_REQUESTED);
    job->sent_ns = trade_int(rows, row, COLUMN_SENT);
    job->accepted_ns = trade_int(rows, row, COLUMN_ACCEPTED);
    trade_copy(job->ref, sizeof(job->ref), net_pg_value(rows, row, COLUMN_REF));
    trade_copy(job->client_base, sizeof(job->client_base),
               net_pg_value(rows, row, COLUMN_CLIENT_ORDER_ID));
    trade_copy(job->close_reason, sizeof(job->close_reason),
               net_pg_value(rows, row, COLUMN_CLOSE_REASON));
    trade_copy(job->venue_order_id, sizeof(job->venue_order_id),
               net_pg_value(rows, row, COLUMN_VENUE_ORDER_ID));
    return job->id != 0 && job->instrument_id != 0 &&
           trade_side_by_name(net_pg_value(rows, row, COLUMN_SIDE), &job->side) &&
           net_pg_get_bool(rows, row, COLUMN_REDUCE_ONLY, &job->reduce_only) &&
           net_pg_get_dec(rows, row, COLUMN_QUANTITY, &job->quantity) &&
           net_pg_get_dec(rows, row, COLUMN_HOLD, &job->hold) &&
           net_pg_get_dec(rows, row, COLUMN_PRICE, &job->price) &&
           net_pg_get_dec(rows, row, COLUMN_BOOK_QUANTITY, &job->book_quantity) &&
           trade_read_position(rows, row, &job->position);
}

static trade_job *trade_claim_job(trade_market *market, const PGresult *rows, int row)
{
    trade_job *job = trade_job_new(market->engine, market, net_pg_value(rows, row, COLUMN_SECRET));

    if (job == NULL) {
        return NULL;
    }
    if (!trade_read_job(rows, row, job) || !trade_job_register(job)) {
        log_event(LOG_ERROR, "trade.claim_unreadable", "trade_id", LOG_INT(job->id), NULL);
        trade_job_free(job);
        return NULL;
    }
    return job;
}

/* ---- looking again -----------------------------------------------------------------------------
 */

static bool trade_is(const PGresult *rows, int row, int column, const char *text)
{
    const char *value = net_pg_value(rows, row, column);

    return value != NULL && strcmp(value, text) == 0;
}

static bool trade_says(const PGresult *rows, int row, int column)
{
    bool value;

    return net_pg_get_bool(rows, row, column, &value) && value;
}

/* What the user has changed, or the whale has done, while the entry waited. */
static enum whale_error trade_claim_check_wish(const trade_job *job, const PGresult *rows, int row)
{
    int64_t maximum_leverage = trade_int(rows, row, COLUMN_MAXIMUM_LEVERAGE);

    if (!trade_says(rows, row, COLUMN_COPIED)) {
        return ERROR_COPY_OFF;
    }
    if (trade_says(rows, row, COLUMN_WHALE_LEFT)) {
        return ERROR_EXPIRED_UNSENT;
    }
    if (maximum_leverage > 0 && job->leverage > maximum_leverage) {
        return ERROR_LEVERAGE_LIMIT;
    }
    /* What it was to be added to was never opened, or is closed: it would open a copy by itself. */
    return trade_is(rows, row, COLUMN_KIND, "INCREASE") && job->position.id == 0 ? ERROR_NO_POSITION
                                                                                 : ERROR_NONE;
}

static enum whale_error trade_claim_check_entry(const trade_job *job, const PGresult *rows, int row)
{
    int64_t since_ns = job->detected_ns != 0 ? job->detected_ns : job->reserved_ns;
    int64_t most_ns = job->engine->config->signal_max_age_ns +
                      trade_int(rows, row, COLUMN_DELAY) * CLOCK_SECOND_NS;
    int against = job->side == VENUE_BUY ? -1 : 1;
    enum whale_error reason;

    if (!trade_is(rows, row, COLUMN_USER_STATE, "ACTIVE")) {
        return ERROR_USER_INACTIVE;
    }
    reason = trade_claim_check_wish(job, rows, row);
    if (reason != ERROR_NONE) {
        return reason;
    }
    if (clock_now_ns() - since_ns > most_ns) {
        return ERROR_EXPIRED_UNSENT;
    }
    return dec_sign(job->book_quantity) == against ? ERROR_OPPOSITE_POSITION : ERROR_NONE;
}

/* What a close closes is what is there when its turn comes. */
static enum whale_error trade_claim_check_exit(trade_job *job, const PGresult *rows, int row,
                                               bool *resize)
{
    const trade_instrument *instrument =
        trade_instruments_find(job->engine->instruments, job->instrument_id);
    int direction = job->side == VENUE_SELL ? 1 : -1;
    dec there = dec_absolute(job->position.quantity), fraction, quantity;

    if (job->position.id == 0 || dec_sign(job->position.quantity) != direction) {
        return ERROR_NO_POSITION;
    }
    if (instrument == NULL) {
        return ERROR_NO_INSTRUMENT;
    }
    if (net_pg_get_dec(rows, row, COLUMN_FRACTION, &fraction)) {
        quantity = trade_reduction(instrument, there, fraction);
    } else {
        quantity = dec_least(job->quantity, there);
    }
    if (dec_is_zero(quantity)) {
        return ERROR_SIZE_TOO_SMALL;
    }
    *resize = dec_compare(quantity, job->quantity) != 0 ||
              trade_int(rows, row, COLUMN_TRADE_POSITION) != job->position.id;
    job->quantity = quantity;
    return ERROR_NONE;
}

static enum whale_error trade_claim_check(trade_job *job, const PGresult *rows, int row,
                                          bool *resize)
{
    *resize = false;
    if (!job->reduce_only && trade_says(rows, row, COLUMN_REMOVED)) {
        return ERROR_NO_ACCOUNT;
    }
    if (!trade_is(rows, row, COLUMN_ACCOUNT_STATE, "ACTIVE")) {
        return ERROR_ACCOUNT_INACTIVE;
    }
    return job->reduce_only ? trade_claim_check_exit(job, rows, row, resize)
                            : trade_claim_check_entry(job, rows, row);
}

/* ---- closes that close something else than was decided ------------------------------------------
 */

typedef struct {
    trade_engine *engine;
    trade_market *market;
    int64_t requested_ns, claimed_ns;
    trade_job *resized[TRADE_CLAIM_MAX];
    size_t resized_count;
} trade_claim;

static void trade_claim_resized(void *owner, const net_pg_answer *answer)
{
    trade_claim *claim = owner;
    bool done = answer->outcome == NET_PG_DONE;
    int rows = done ? PQntuples(answer->results[0]) : 0;

    for (size_t i = 0; i < claim->resized_count; i++) {
        trade_job *job = claim->resized[i];
        bool ours = false;

        for (int row = 0; row < rows && !ours; row++) {
            ours = trade_int(answer->results[0], row, 1) == job->id;
        }
        if (ours) {
            trade_send_start(job);
        } else {
            trade_send_step(job, &(trade_next){.step = TRADE_STEP_RELEASE});
        }
    }
    trade_send_pump(claim->market);
    free(claim);
}

static void trade_claim_resize(trade_claim *claim)
{
    net_pg_unit *unit = net_pg_unit_new(true);

    net_pg_statement(unit, query_trade_resize);
    net_pg_text(unit, claim->engine->owner);
    net_pg_array(unit);
    for (size_t i = 0; i < claim->resized_count; i++) {
        net_pg_push_int(unit, claim->resized[i]->user_id);
    }
    net_pg_array(unit);
    for (size_t i = 0; i < claim->resized_count; i++) {
        net_pg_push_int(unit, claim->resized[i]->id);
    }
    net_pg_array(unit);
    for (size_t i = 0; i < claim->resized_count; i++) {
        net_pg_push_time(unit, claim->resized[i]->requested_ns);
    }
    net_pg_array(unit);
    for (size_t i = 0; i < claim->resized_count; i++) {
        net_pg_push_int(unit, claim->resized[i]->position.id);
    }
    net_pg_array(unit);
    for (size_t i = 0; i < claim->resized_count; i++) {
        net_pg_push_dec(unit, claim->resized[i]->quantity);
    }
    if (!net_pg_run(claim->engine->work, unit, trade_claim_resized, claim)) {
        trade_claim_resized(claim, &(net_pg_answer){.outcome = NET_PG_NOT_SENT});
    }
}

/* ---- waiting trades ----------------------------------------------------------------------------
 */

int64_t trade_claim_time(trade_market *market)
{
    trade_engine *engine = market->engine;
    int64_t now_ns = trade_caller_now_ns(market->caller) / 1000 * 1000;

    if (now_ns <= engine->last_requested_ns) {
        now_ns = engine->last_requested_ns + 1000;
    }
    engine->last_requested_ns = now_ns;
    return now_ns;
}

static void trade_claim_row(trade_claim *claim, const PGresult *rows, int row)
{
    trade_job *job = trade_claim_job(claim->market, rows, row);
    trade_next refused = {.step = TRADE_STEP_FAIL};
    bool resize;

    if (job == NULL) {
        return;
    }
    job->claimed_ns = claim->claimed_ns;
    refused.reason = trade_claim_check(job, rows, row, &resize);
    if (refused.reason != ERROR_NONE) {
        trade_send_step(job, &refused);
    } else if (resize && claim->resized_count < TRADE_CLAIM_MAX) {
        claim->resized[claim->resized_count++] = job;
    } else {
        trade_send_start(job);
    }
}

static void trade_claim_done(void *owner, const net_pg_answer *answer)
{
    trade_claim *claim = owner;
    trade_market *market = claim->market;

    market->claiming = false;
    if (answer->outcome == NET_PG_LOST) {
        trade_claim_lost(claim->engine, claim->requested_ns);
    }
    if (answer->outcome == NET_PG_DONE) {
        int count = PQntuples(answer->results[0]);

        for (int row = 0; row < count; row++) {
            trade_claim_row(claim, answer->results[0], row);
        }
        market->claim_soon = market->claim_soon || count == TRADE_CLAIM_MAX;
        trade_send_pump(market);
    }
    if (claim->resized_count > 0) {
        trade_claim_resize(claim);
    } else {
        free(claim);
    }
    if (market->claim_soon) {
        trade_claim_pending(market);
    }
}

static unsigned trade_claim_room(const trade_engine *engine, unsigned most)
{
    unsigned room = TRADE_JOBS_MAX - engine->job_count;

    return room < most ? room : most;
}

/* Nothing is claimed by a process that others could take for dead, or whose clock is not the
 * venue's. */
static bool trade_claim_may(const trade_market *market)
{
    const trade_engine *engine = market->engine;

    return !engine->stopping && engine->owner_locked && net_pg_connected(engine->work) &&
           trade_caller_synced(market->caller) && trade_instruments_ready(engine->instruments);
}

void trade_claim_pending(trade_market *market)
{
    trade_engine *engine = market->engine;
    unsigned room = trade_claim_room(engine, TRADE_CLAIM_MAX);
    trade_claim *claim;
    net_pg_unit *unit;

    if (market->claiming || room == 0 || !trade_claim_may(market)) {
        return;
    }
    claim = calloc(1, sizeof(*claim));
    if (claim == NULL) {
        return;
    }
    market->claim_soon = false;
    claim->engine = engine;
    claim->market = market;
    claim->claimed_ns = clock_now_ns();
    claim->requested_ns = trade_claim_time(market);
    unit = net_pg_unit_new(true);
    net_pg_statement(unit, query_trade_claim);
    net_pg_text(unit, engine->owner);
    net_pg_int(unit, engine->config->trade_lease_ns / 1000);
    net_pg_time(unit, claim->requested_ns);
    net_pg_text(unit, market->adapter->name);
    net_pg_text(unit, venue_market_name(market->adapter->market));
    net_pg_int(unit, room);
    market->claiming = net_pg_run(engine->work, unit, trade_claim_done, claim);
    if (!market->claiming) {
        free(claim);
    }
}

/* ---- unclear ones ------------------------------------------------------------------------------
 */

static void trade_claim_ask_rows(trade_market *market, const net_pg_answer *answer, bool late)
{
    if (answer->outcome != NET_PG_DONE) {
        return; /* their lease ends */
    }
    for (int row = 0; row < PQntuples(answer->results[0]); row++) {
        trade_job *job = trade_claim_job(market, answer->results[0], row);

        if (job != NULL) {
            job->late = late;
            trade_ask_start(job);
        }
    }
    trade_send_pump(market);
}

static void trade_claim_unknown_done(void *owner, const net_pg_answer *answer)
{
    trade_claim_ask_rows(owner, answer, false);
}

void trade_claim_unknown(trade_market *market)
{
    trade_engine *engine = market->engine;
    unsigned room = trade_claim_room(engine, TRADE_UNKNOWN_MAX);
    net_pg_unit *unit;

    if (room == 0 || !trade_claim_may(market) || !net_pg_connected(engine->book)) {
        return;
    }
    unit = net_pg_unit_new(true);
    net_pg_statement(unit, query_trade_claim_unknown);
    net_pg_text(unit, engine->owner);
    net_pg_int(unit, TRADE_ASK_LEASE_NS / 1000);
    net_pg_text(unit, market->adapter->name);
    net_pg_text(unit, venue_market_name(market->adapter->market));
    net_pg_int(unit, room);
    net_pg_run(engine->book, unit, trade_claim_unknown_done, market);
}

static void trade_claim_late_done(void *owner, const net_pg_answer *answer)
{
    trade_claim_ask_rows(owner, answer, true);
}

void trade_claim_late(trade_market *market)
{
    trade_engine *engine = market->engine;
    unsigned room = trade_claim_room(engine, TRADE_LATE_MAX);
    net_pg_unit *unit;

    if (room == 0 || !trade_claim_may(market) || !net_pg_connected(engine->book)) {
        return;
    }
    unit = net_pg_unit_new(true);
    net_pg_statement(unit, query_trade_claim_late);
    net_pg_text(unit, market->adapter->name);
    net_pg_text(unit, venue_market_name(market->adapter->market));
    net_pg_int(unit, room);
    net_pg_run(engine->book, unit, trade_claim_late_done, market);
}

/* ---- dead owners, lost connections, changed facts -----------------------------------------------
 */

static void trade_claim_recovered(void *owner, const net_pg_answer *answer)
{
    trade_engine *engine = owner;

    engine->recovering = false;
    if (answer->outcome == NET_PG_DONE && PQntuples(answer->results[0]) > 0) {
        log_event(LOG_WARN, "trade.recovered", "trades", LOG_INT(PQntuples(answer->results[0])),
                  NULL);
    }
}

void trade_claim_recover(trade_engine *engine)
{
    net_pg_unit *unit;

    if (engine->recovering || !engine->owner_locked || !net_pg_connected(engine->book)) {
        return;
    }
    unit = net_pg_unit_new(true);
    net_pg_statement(unit, query_trade_recover);
    net_pg_text(unit, engine->owner);
    engine->recovering = net_pg_run(engine->book, unit, trade_claim_recovered, engine);
}

static void trade_claim_swept(void *owner, const net_pg_answer *answer)
{
    trade_engine *engine = owner;

    if (answer->outcome == NET_PG_DONE && PQntuples(answer->results[0]) > 0) {
        log_event(LOG_WARN, "trade.left_behind", "closes", LOG_INT(PQntuples(answer->results[0])),
                  NULL);
        for (size_t i = 0; i < engine->market_count; i++) {
            trade_claim_pending(&engine->markets[i]);
        }
    }
}

void trade_claim_left_behind(trade_engine *engine)
{
    char client_id[TRADE_CLIENT_BASE_MAX];
    net_pg_unit *unit;

    if (engine->stopping || !engine->owner_locked || !net_pg_connected(engine->book)) {
        return;
    }
    unit = net_pg_unit_new(true);
    net_pg_statement(unit, query_trade_left_behind);
    net_pg_array(unit);
    for (int i = 0; i < TRADE_LEFT_BEHIND_MAX && trade_job_draw_client_id(client_id); i++) {
        net_pg_push_text(unit, client_id);
    }
    net_pg_run(engine->book, unit, trade_claim_swept, engine);
}

static void trade_claim_given_back(void *owner, const net_pg_answer *answer)
{
    (void)owner;
    (void)answer; /* else their lease ends, and they are asked about */
}

void trade_claim_lost(trade_engine *engine, int64_t requested_ns)
{
    net_pg_unit *unit = net_pg_unit_new(true);

    net_pg_statement(unit, query_trade_release_lost);
    net_pg_text(unit, engine->owner);
    net_pg_time(unit, requested_ns);
    net_pg_run(engine->work, unit, trade_claim_given_back, engine);
}

static void trade_claim_reloaded(void *owner, const net_pg_answer *answer)
{
    trade_job *job = owner;
    const PGresult *rows = answer->outcome == NET_PG_DONE ? answer->results[0] : NULL;
    trade_position position;

    if (answer->outcome == NET_PG_NOT_SENT || answer->outcome == NET_PG_LOST) {
        trade_book_add(job); /* fails again, and is loaded again */
        return;
    }
    if (rows == NULL || PQntuples(rows) != 1 || !trade_read_position(rows, 0, &position)) {
        trade_job_free(job); /* booked already, or somebody else's by now */
        return;
    }
    job->position = position;
    trade_book_add(job);
}

void trade_claim_reload(trade_job *job)
{
    net_pg_unit *unit = net_pg_unit_new(true);

    net_pg_statement(unit, query_trade_reload);
    net_pg_int(unit, job->user_id);
    net_pg_int(unit, job->id);
    net_pg_text(unit, job->engine->owner);
    net_pg_time(unit, job->requested_ns);
    if (!net_pg_run(job->engine->book, unit, trade_claim_reloaded, job)) {
        trade_job_free(job);
    }
}
