/* How large a copy is; see trade_size.h. */
#include "workerd/trade/trade_size.h"

#include <string.h>

/* Minimum notional where a venue tells none (product: "Size"). */
typedef struct {
    const char *venue;
    enum venue_market market;
    int notional;
} trade_minimum;

static const trade_minimum trade_minimums[] = {
    {"binance", VENUE_USDM, 5}, {"binance", VENUE_COINM, 10}, {"binance", VENUE_SPOT, 10},
    {"okx", VENUE_USDM, 5},     {"okx", VENUE_COINM, 10},     {"okx", VENUE_SPOT, 5},
    {"bitget", VENUE_USDM, 5},  {"bitget", VENUE_SPOT, 5},
};

dec trade_notional_min(const trade_instrument *instrument)
{
    if (dec_sign(instrument->rules.notional_min) > 0) {
        return instrument->rules.notional_min;
    }
    for (size_t i = 0; i < sizeof(trade_minimums) / sizeof(trade_minimums[0]); i++) {
        if (trade_minimums[i].market == instrument->rules.market &&
            strcmp(trade_minimums[i].venue, instrument->venue) == 0) {
            return dec_from_int(trade_minimums[i].notional);
        }
    }
    return dec_from_int(TRADE_LEAST);
}

/* Base units of one unit of quantity; zero where the unit is another kind of thing. */
static dec trade_unit(const trade_instrument *instrument)
{
    if (instrument->rules.inverse) {
        return DEC_ZERO;
    }
    switch (instrument->rules.quantity_unit) {
    case VENUE_UNIT_BASE:
    case VENUE_UNIT_SHARES:
        return DEC_ONE;
    case VENUE_UNIT_CONTRACTS:
        return instrument->rules.contract_size;
    default:
        return DEC_ZERO;
    }
}

bool trade_notional(const trade_instrument *instrument, dec quantity, dec price, dec *notional)
{
    dec unit = trade_unit(instrument);

    return dec_sign(unit) > 0 && dec_mul(quantity, unit, DEC_HALF_EVEN, &quantity) &&
           dec_mul(quantity, price, DEC_HALF_EVEN, notional);
}

dec trade_quantity(const trade_instrument *instrument, dec notional, dec price)
{
    dec unit = trade_unit(instrument), value, quantity;

    if (dec_sign(unit) <= 0 || dec_sign(price) <= 0 || dec_sign(notional) <= 0 ||
        !dec_mul(price, unit, DEC_CEILING, &value) || dec_sign(value) <= 0 ||
        !dec_div(notional, value, DEC_FLOOR, &quantity)) {
        return DEC_ZERO;
    }
    return venue_quantity_down(&instrument->rules, true, quantity);
}

dec trade_reduction(const trade_instrument *instrument, dec position, dec fraction)
{
    const venue_instrument *rules = &instrument->rules;
    dec step = dec_sign(rules->market_quantity_step) > 0 ? rules->market_quantity_step
                                                         : rules->quantity_step;
    dec least =
        dec_sign(rules->market_quantity_min) > 0 ? rules->market_quantity_min : rules->quantity_min;
    dec wanted, rest;

    if (dec_sign(step) <= 0 || dec_sign(position) <= 0 || dec_sign(fraction) <= 0) {
        return DEC_ZERO;
    }
    if (dec_compare(fraction, DEC_ONE) >= 0) {
        return venue_quantity_down(rules, true, position);
    }
    if (!dec_mul(position, fraction, DEC_CEILING, &wanted) ||
        !dec_to_step(wanted, step, DEC_CEILING, &wanted)) {
        return DEC_ZERO;
    }
    wanted = dec_least(dec_most(wanted, least), position);
    if (!dec_sub(position, wanted, &rest) || dec_compare(rest, dec_most(least, step)) < 0) {
        wanted = position;
    }
    return venue_quantity_down(rules, true, wanted);
}

bool trade_margin(dec notional, int leverage, dec *margin)
{
    return leverage > 0 && dec_div(notional, dec_from_int(leverage), DEC_CEILING, margin);
}

bool trade_hold(dec notional, int leverage, dec *hold)
{
    dec margin, extra;

    return trade_margin(notional, leverage, &margin) &&
           dec_mul_div(notional, dec_from_int(TRADE_TAKER_FEE + TRADE_SLIPPAGE),
                       dec_from_int(TRADE_MILLION), DEC_CEILING, &extra) &&
           dec_add(margin, extra, hold);
}

dec trade_part(dec value, int64_t parts, int64_t whole)
{
    dec part;

    return dec_mul_div(value, dec_from_int(parts), dec_from_int(whole), DEC_FLOOR, &part)
               ? part
               : DEC_ZERO;
}
