/*
 * Writing what a read came to. One statement each: positions and signals commit together or not at
 * all, and not where another reader has written since our claim.
 *
 * An outcome that is lost with the connection needs nothing: the lease ends, the next read compares
 * with what stands there.
 */
#include "workerd/watch/watch_private.h"

#include "core/log.h"
#include "queries.h"
#include "workerd/watch/watch_score.h"

#include <stdio.h>
#include <string.h>

#define MICROSECOND_NS 1000

static const char *side_name(enum venue_position_side side)
{
    static const char *const names[] = {"BOTH", "LONG", "SHORT"};

    return names[side];
}

static const char *margin_name(enum venue_margin_mode mode)
{
    static const char *const names[] = {"CROSS", "ISOLATED", "CASH"};

    return names[mode];
}

static void on_saved(void *owner, const net_pg_answer *answer)
{
    watch_read *read = owner;
    watch *state = read->state;
    int64_t whales = 1, signals = 0;

    if (answer->outcome != NET_PG_DONE) {
        log_event(LOG_WARN, "watch.save", "whale", LOG_INT(read->whale_id), "error",
                  LOG_TEXT(answer->message != NULL ? answer->message : "no connection"), NULL);
    } else if (PQntuples(answer->results[0]) == 1) {
        net_pg_get_int(answer->results[0], 0, 0, &whales);
        net_pg_get_int(answer->results[0], 0, 1, &signals);
        if (whales == 0) {
            log_event(LOG_INFO, "watch.overtaken", "whale", LOG_INT(read->whale_id), NULL);
        }
    }
    if (signals > 0) {
        shm_count(state->process, SHM_watch_signals_total, (uint64_t)signals);
        shm_observe(state->process, SHM_watch_detect_seconds, clock_now_ns() - read->answered_ns);
        log_event(LOG_INFO, "watch.signals", "whale", LOG_INT(read->whale_id), "count",
                  LOG_INT(signals), NULL);
    }
    watch_read_done(read);
}

static void run(watch_read *read, net_pg_unit *unit)
{
    if (!net_pg_run(read->state->pg, unit, on_saved, read)) {
        watch_read_done(read); /* the queue is full: the lease ends by itself */
    }
}

static net_pg_unit *begin(watch_read *read, const char *sql)
{
    net_pg_unit *unit = net_pg_unit_new(false);

    net_pg_statement(unit, sql);
    net_pg_int(unit, read->whale_id);
    net_pg_text(unit, read->state->owner);
    return unit;
}

static void put_good(watch_read *read, net_pg_unit *unit)
{
    net_pg_int(unit, read->positions_version);
    net_pg_bool(unit, read->baseline);
    net_pg_int(unit, read->state->config->watch_interval_ns / MICROSECOND_NS);
}

void watch_save_seen(watch_read *read)
{
    net_pg_unit *unit = begin(read, query_watch_seen);

    put_good(read, unit);
    run(read, unit);
}

void watch_save_unknown(watch_read *read, bool hidden, watch_retry retry)
{
    net_pg_unit *unit = begin(read, query_watch_unknown);

    net_pg_bool(unit, hidden);
    net_pg_text(unit, retry.status);
    net_pg_int(unit, retry.pause_ns / MICROSECOND_NS);
    run(read, unit);
}

/* ---- changes ------------------------------------------------------------------------------------
 */

/* The page's, as far as it tells: a row of zero has no price, so what was paid has to do. */
static dec page_price(const watch_position *position)
{
    return dec_sign(position->mark_price) > 0 ? position->mark_price : position->entry_price;
}

/* Our own price where it is fresh, else the page's. */
static dec price_of(const watch_read *read, const watch_position *position)
{
    watch *state = read->state;
    char name[SHM_KEY_MAX];
    shm_price price;
    uint32_t slot;

    if (!venue_instrument_name(read->venue->adapter->name, read->venue->adapter->market,
                               position->symbol, name, sizeof(name)) ||
        shm_price_find(state->segment, name, strlen(name), &slot) != SHM_READ_OK ||
        shm_price_read(state->segment, slot, &price) != SHM_READ_OK ||
        (price.flags & SHM_PRICE_DISCONNECTED) != 0 || dec_sign(price.mark) <= 0 ||
        clock_now_ns() - price.receive_time_ns > state->config->price_stale_ns) {
        return page_price(position);
    }
    return price.mark;
}

static void put_positions(net_pg_unit *unit, const watch_change *changes, size_t count)
{
    net_pg_array(unit);
    for (size_t i = 0; i < count; i++) {
        net_pg_push_text(unit, changes[i].position.symbol);
    }
    net_pg_array(unit);
    for (size_t i = 0; i < count; i++) {
        net_pg_push_text(unit, side_name(changes[i].position.side));
    }
    net_pg_array(unit);
    for (size_t i = 0; i < count; i++) {
        net_pg_push_dec(unit, changes[i].position.quantity);
    }
    net_pg_array(unit);
    for (size_t i = 0; i < count; i++) {
        net_pg_push_dec(unit, changes[i].position.entry_price);
    }
    net_pg_array(unit);
    for (size_t i = 0; i < count; i++) {
        net_pg_push_int(unit, changes[i].position.leverage);
    }
    net_pg_array(unit);
    for (size_t i = 0; i < count; i++) {
        net_pg_push_text(unit, margin_name(changes[i].position.margin_mode));
    }
}

/* A signal as it is written: what the change says, and what follows from the price. */
typedef struct {
    const watch_change *change;
    const watch_signal *signal;
    dec price, notional, score;
} told;

static told tell(const watch_read *read, const watch_change *change, const watch_signal *signal)
{
    const watch_position *position = &change->position;
    told one = {.change = change, .signal = signal, .price = price_of(read, position)};
    dec difference = DEC_ZERO;

    if (!dec_sub(signal->after, signal->before, &difference) ||
        !dec_mul(dec_absolute(difference), one.price, DEC_HALF_EVEN, &one.notional)) {
        one.notional = DEC_ZERO;
    }
    one.score = watch_confidence(read->score, position->entry_price, one.price, position->leverage);
    return one;
}

enum told_column {
    TOLD_SYMBOL,
    TOLD_PLACE,
    TOLD_KIND,
    TOLD_SIDE,
    TOLD_CLOSES,
    TOLD_BEFORE,
    TOLD_AFTER,
    TOLD_FRACTION,
    TOLD_LEVERAGE,
    TOLD_PRICE,
    TOLD_NOTIONAL,
    TOLD_BAND,
    TOLD_SCORE,
    TOLD_COLUMNS,
};

static void push_told(net_pg_unit *unit, enum told_column column, const told *one)
{
    switch (column) {
    case TOLD_SYMBOL:
        net_pg_push_text(unit, one->change->position.symbol);
        break;
    case TOLD_PLACE:
        net_pg_push_text(unit, side_name(one->change->position.side));
        break;
    case TOLD_KIND:
        net_pg_push_text(unit, watch_kind_name(one->signal->kind));
        break;
    case TOLD_SIDE:
        net_pg_push_text(unit, one->signal->buys ? "BUY" : "SELL");
        break;
    case TOLD_CLOSES:
        net_pg_push_bool(unit, one->signal->closes);
        break;
    case TOLD_BEFORE:
        net_pg_push_dec(unit, one->signal->before);
        break;
    case TOLD_AFTER:
        net_pg_push_dec(unit, one->signal->after);
        break;
    case TOLD_FRACTION:
        net_pg_push_dec(unit, one->signal->fraction);
        break;
    case TOLD_LEVERAGE:
        net_pg_push_int(unit, one->change->position.leverage);
        break;
    case TOLD_PRICE:
        net_pg_push_dec(unit, one->price);
        break;
    case TOLD_NOTIONAL:
        net_pg_push_dec(unit, one->notional);
        break;
    case TOLD_BAND:
        net_pg_push_text(unit, watch_confidence_band(one->score));
        break;
    default:
        net_pg_push_dec(unit, one->score);
        break;
    }
}

static void put_signals(watch_read *read, net_pg_unit *unit, const watch_change *changes,
                        size_t count)
{
    static told all[WATCH_CHANGES_MAX * WATCH_SIGNALS_A_CHANGE];
    size_t total = 0;

    for (size_t i = 0; i < count; i++) {
        for (unsigned j = 0; j < changes[i].signal_count; j++) {
            all[total++] = tell(read, &changes[i], &changes[i].signals[j]);
        }
    }
    for (int column = 0; column < TOLD_COLUMNS; column++) {
        net_pg_array(unit);
        for (size_t i = 0; i < total; i++) {
            push_told(unit, (enum told_column)column, &all[i]);
        }
    }
}

void watch_save_changes(watch_read *read, const watch_change *changes, size_t count)
{
    net_pg_unit *unit = begin(read, query_watch_save);

    put_good(read, unit);
    put_positions(unit, changes, count);
    put_signals(read, unit, changes, count);
    run(read, unit);
}
