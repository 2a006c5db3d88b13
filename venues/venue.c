/*
 * What all venues share: the registry of adapters, the words, names of instruments, and rounding a
 * quantity down to what an instrument's filters take.
 */
#include "venues/venue.h"

#include "venues/binance/binance.h"

#include <stdio.h>
#include <string.h>

static const venue_adapter *const venue_adapters[] = {
    &binance_usdm,
};
#define VENUE_ADAPTERS (sizeof(venue_adapters) / sizeof(venue_adapters[0]))

static const char *const venue_market_names[] = {
    [VENUE_SPOT] = "spot",
    [VENUE_USDM] = "usdm",
    [VENUE_COINM] = "coinm",
    [VENUE_OUTCOME] = "outcome",
};
#define VENUE_MARKETS (sizeof(venue_market_names) / sizeof(venue_market_names[0]))

const char *venue_market_name(enum venue_market market)
{
    return (size_t)market < VENUE_MARKETS ? venue_market_names[market] : "unknown";
}

bool venue_market_by_name(const char *name, enum venue_market *market)
{
    for (size_t i = 0; i < VENUE_MARKETS; i++) {
        if (strcmp(name, venue_market_names[i]) == 0) {
            *market = (enum venue_market)i;
            return true;
        }
    }
    return false;
}

const char *venue_class_name(enum venue_class class_)
{
    static const char *const names[] = {
        [VENUE_OK] = "ok",
        [VENUE_REJECTED] = "rejected",
        [VENUE_RETRY_LATER] = "retry_later",
        [VENUE_RETRY_NOW] = "retry_now",
        [VENUE_UNCLEAR] = "unclear",
        [VENUE_NOT_KNOWN] = "not_known",
        [VENUE_DUPLICATE] = "duplicate",
        [VENUE_UNCHANGED] = "unchanged",
        [VENUE_ACCOUNT] = "account",
        [VENUE_DOWN] = "down",
        [VENUE_UNREADABLE] = "unreadable",
    };

    return (size_t)class_ < sizeof(names) / sizeof(names[0]) ? names[class_] : "unknown";
}

const venue_adapter *venue_find(const char *name, enum venue_market market)
{
    for (size_t i = 0; i < VENUE_ADAPTERS; i++) {
        if (venue_adapters[i]->market == market && strcmp(venue_adapters[i]->name, name) == 0) {
            return venue_adapters[i];
        }
    }
    return NULL;
}

const venue_adapter *const *venue_all(size_t *count)
{
    *count = VENUE_ADAPTERS;
    return venue_adapters;
}

bool venue_instrument_name(const char *venue, enum venue_market market, const char *symbol,
                           char *out, size_t capacity)
{
    int length;

    if (symbol[0] == '\0' || strlen(symbol) >= VENUE_SYMBOL_MAX) {
        return false;
    }
    length = snprintf(out, capacity, "%s:%s:%s", venue, venue_market_name(market), symbol);
    return length > 0 && (size_t)length < capacity;
}

/* Zero in a market-lot filter means that the limit filter holds for market orders too. */
static dec venue_filter(bool market_order, dec market_value, dec limit_value)
{
    return market_order && dec_sign(market_value) > 0 ? market_value : limit_value;
}

dec venue_quantity_down(const venue_instrument *instrument, bool market_order, dec wanted)
{
    dec step =
        venue_filter(market_order, instrument->market_quantity_step, instrument->quantity_step);
    dec least =
        venue_filter(market_order, instrument->market_quantity_min, instrument->quantity_min);
    dec most =
        venue_filter(market_order, instrument->market_quantity_max, instrument->quantity_max);
    dec base = DEC_ZERO, above, quantity;

    if (dec_sign(step) <= 0 || dec_sign(wanted) <= 0) {
        return DEC_ZERO;
    }
    if (dec_sign(most) > 0) {
        wanted = dec_least(wanted, most);
    }
    if (dec_compare(wanted, least) < 0) {
        return DEC_ZERO;
    }
    if (dec_sign(least) > 0 && !dec_is_multiple(least, step)) {
        base = least; /* venues count steps from the minimum */
    }
    if (!dec_sub(wanted, base, &above) || !dec_to_step(above, step, DEC_FLOOR, &above) ||
        !dec_add(base, above, &quantity) || dec_compare(quantity, least) < 0) {
        return DEC_ZERO;
    }
    return quantity;
}
