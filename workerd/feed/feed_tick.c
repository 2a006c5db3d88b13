/*
 * See feed_tick.h. The hot path is feed_tick() -> scanner -> feed_best() -> shm_price_publish(): a
 * hundred nanoseconds, most of them the scanner's.
 */
#include "workerd/feed/feed_tick.h"

#include <string.h>

feed_scanner feed_scanner_of(const venue_adapter *adapter)
{
    return strcmp(adapter->name, "binance") == 0 && adapter->market == VENUE_USDM
               ? binance_tick_scan
               : NULL;
}

/* May this be applied? Zero is a message without a number. */
static bool feed_guard_pass(struct feed_guard *guard, uint64_t number, int64_t now_ns)
{
    if (number >= guard->last || number == 0) {
        guard->last = number == 0 ? guard->last : number;
        guard->behind_since_ns = 0;
        return true;
    }
    if (guard->behind_since_ns == 0) {
        guard->behind_since_ns = now_ns;
        return false;
    }
    if (now_ns - guard->behind_since_ns < FEED_RENUMBERED_NS) {
        return false;
    }
    guard->last = number;
    guard->behind_since_ns = 0;
    return true;
}

static void feed_publish(const struct feed_source *source, struct feed_instrument *instrument,
                         int64_t exchange_time_ns, int64_t now_ns)
{
    shm_price *price = &instrument->price;

    instrument->down &= ~(1U << source->group);
    price->flags = (price->flags & SHM_PRICE_MARK_SYNTHETIC) |
                   (instrument->down != 0 ? SHM_PRICE_DISCONNECTED : 0);
    price->source = SHM_SOURCE_WS;
    price->receive_time_ns = now_ns;
    if (exchange_time_ns != 0) {
        price->exchange_time_ns = exchange_time_ns;
    }
    shm_price_publish(source->segment, instrument->slot, price);
}

/* Where the venue tells no mark, or no longer, the mid is the mark. */
static void feed_mark_from_mid(struct feed_instrument *instrument, int64_t now_ns)
{
    shm_price *price = &instrument->price;

    if (instrument->mark_ns != 0 && now_ns - instrument->mark_ns <= FEED_MARK_AGE_NS) {
        return;
    }
    if (dec_sign(price->bid) > 0 && dec_sign(price->ask) > 0) {
        /* neither is negative, so the difference cannot overflow; half a unit of 10^-12 goes down
         */
        price->mark.units = price->bid.units + ((price->ask.units - price->bid.units) >> 1);
        price->flags |= SHM_PRICE_MARK_SYNTHETIC;
    }
}

static enum feed_outcome feed_best(const struct feed_source *source, const char *symbol,
                                   size_t length, const struct binance_tick *tick, int64_t now_ns)
{
    struct feed_instrument *instrument = feed_table_find(source->table, symbol, length);

    if (instrument == NULL) {
        return FEED_NOTHING;
    }
    if (dec_sign(tick->bid) < 0 || dec_sign(tick->ask) < 0) {
        return FEED_UNREADABLE;
    }
    if (!feed_guard_pass(&instrument->best, tick->update_id, now_ns)) {
        return FEED_OLD;
    }
    instrument->price.bid = tick->bid;
    instrument->price.bid_size = tick->bid_size;
    instrument->price.ask = tick->ask;
    instrument->price.ask_size = tick->ask_size;
    instrument->price.update_id = tick->update_id;
    feed_mark_from_mid(instrument, now_ns);
    feed_publish(source, instrument, tick->exchange_time_ns, now_ns);
    return FEED_PUBLISHED;
}

static enum feed_outcome feed_trade(const struct feed_source *source, const char *symbol,
                                    size_t length, dec last, int64_t exchange_time_ns,
                                    int64_t now_ns)
{
    struct feed_instrument *instrument = feed_table_find(source->table, symbol, length);

    if (instrument == NULL) {
        return FEED_NOTHING;
    }
    if (dec_sign(last) <= 0) {
        return FEED_UNREADABLE;
    }
    /* by time, not by id: aggregated and single trades are numbered apart */
    if (!feed_guard_pass(&instrument->trade, (uint64_t)exchange_time_ns, now_ns)) {
        return FEED_OLD;
    }
    instrument->price.last = last;
    feed_publish(source, instrument, exchange_time_ns, now_ns);
    return FEED_PUBLISHED;
}

static enum feed_outcome feed_mark(const struct feed_source *source, const char *symbol,
                                   size_t length, const struct binance_tick *tick, int64_t now_ns)
{
    struct feed_instrument *instrument = feed_table_find(source->table, symbol, length);

    if (instrument == NULL) {
        return FEED_NOTHING;
    }
    if (dec_sign(tick->mark) <= 0) {
        return FEED_UNREADABLE;
    }
    if (!feed_guard_pass(&instrument->mark, (uint64_t)tick->exchange_time_ns, now_ns)) {
        return FEED_OLD;
    }
    instrument->price.funding = tick->funding;
    if (tick->synthetic) { /* the mid of a second ago: our own is of the last tick */
        instrument->mark_ns = 0;
        feed_mark_from_mid(instrument, now_ns);
    } else {
        instrument->price.mark = tick->mark;
        instrument->price.flags &= ~(uint32_t)SHM_PRICE_MARK_SYNTHETIC;
        instrument->mark_ns = now_ns;
    }
    feed_publish(source, instrument, tick->exchange_time_ns, now_ns);
    return FEED_PUBLISHED;
}

/* What the adapter's parser made of a frame. Times that no venue sends count as none. */
static enum feed_outcome feed_event(const struct feed_source *source, const venue_event *event,
                                    int64_t now_ns)
{
    const int64_t time_ns = event->exchange_time_ns > 0 ? event->exchange_time_ns : 0;
    struct binance_tick tick;

    switch (event->kind) {
    case VENUE_EVENT_NONE:
        return FEED_NOTHING;
    case VENUE_EVENT_UNREADABLE:
        return FEED_UNREADABLE;
    case VENUE_EVENT_BEST:
        tick.bid = event->bid;
        tick.bid_size = event->bid_size;
        tick.ask = event->ask;
        tick.ask_size = event->ask_size;
        tick.update_id = event->update_id;
        tick.exchange_time_ns = time_ns;
        return feed_best(source, event->symbol, event->symbol_length, &tick, now_ns);
    case VENUE_EVENT_TRADE:
        return feed_trade(source, event->symbol, event->symbol_length, event->last, time_ns,
                          now_ns);
    case VENUE_EVENT_MARK:
        tick.mark = event->mark;
        tick.funding = event->funding;
        tick.synthetic = event->synthetic;
        tick.exchange_time_ns = time_ns;
        return feed_mark(source, event->symbol, event->symbol_length, &tick, now_ns);
    default:
        return FEED_CONTROL;
    }
}

enum feed_outcome feed_tick(const struct feed_source *source, const char *frame, size_t length,
                            int64_t now_ns, venue_event *event)
{
    struct binance_tick tick;

    switch (source->scan == NULL ? BINANCE_TICK_OTHER : source->scan(frame, length, &tick)) {
    case BINANCE_TICK_BEST:
        return feed_best(source, tick.symbol, tick.symbol_length, &tick, now_ns);
    case BINANCE_TICK_TRADE:
        return feed_trade(source, tick.symbol, tick.symbol_length, tick.last, tick.exchange_time_ns,
                          now_ns);
    case BINANCE_TICK_MARK:
        return feed_mark(source, tick.symbol, tick.symbol_length, &tick, now_ns);
    case BINANCE_TICK_IGNORED:
        return FEED_NOTHING;
    default:
        source->adapter->stream_parse(frame, length, event);
        return feed_event(source, event, now_ns);
    }
}

void feed_instrument_restore(shm_segment *segment, struct feed_instrument *instrument,
                             uint32_t groups)
{
    shm_price price;

    instrument->down = groups;
    if (shm_price_read(segment, instrument->slot, &price) != SHM_READ_OK ||
        price.source == SHM_SOURCE_NONE) {
        return;
    }
    instrument->price = price;
    instrument->price.flags |= SHM_PRICE_DISCONNECTED;
    shm_price_publish(segment, instrument->slot, &instrument->price);
}

void feed_instrument_down(shm_segment *segment, struct feed_instrument *instrument, uint32_t group)
{
    instrument->down |= 1U << group;
    if (instrument->price.source != SHM_SOURCE_NONE) {
        instrument->price.flags |= SHM_PRICE_DISCONNECTED;
        shm_price_publish(segment, instrument->slot, &instrument->price);
    }
}
