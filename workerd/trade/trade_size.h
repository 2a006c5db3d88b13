/*
 * How large a copy is: margin, notional, quantity, and what is held for it. Pure.
 *
 * Promises: a quantity stands on the venue's step and within its filters; entries are rounded down,
 * reductions up, so that rounding never adds risk; no formula divides before its end.
 */
#ifndef WHALE_TRADE_SIZE_H
#define WHALE_TRADE_SIZE_H

#include "workerd/trade/trade_types.h"

/* Per mille and the like, as whole parts of a million. */
#define TRADE_MILLION 1000000
#define TRADE_TAKER_FEE 500 /* of the notional: 0.05 %, what a market order pays */
#define TRADE_SLIPPAGE                                                                             \
    1000 /* of the notional: 0.1 %, by which the price may move until it fills                     \
          */
#define TRADE_SAFE_LEAST                                                                           \
    120 /* percent of the venue's minimum: a price that moves must not undercut it */
#define TRADE_SAFE_MOST 10 /* percent of the balance, unless the user named an amount */
#define TRADE_FALLBACK_PERCENT 1
#define TRADE_SHORT_PERCENT 80 /* of the balance, where the size is more than there is */
#define TRADE_LEAST 5          /* quote currency: balance, and size */

/* The venue's minimum notional of an entry; a table where its own filter is not known. */
dec trade_notional_min(const trade_instrument *instrument);
/* Value of a quantity in quote currency. False: this kind of contract is not traded yet, or
 * overflow. */
bool trade_notional(const trade_instrument *instrument, dec quantity, dec price, dec *notional);
/* The greatest quantity for a market order of at most this notional; zero where nothing fits. */
dec trade_quantity(const trade_instrument *instrument, dec notional, dec price);
/*
 * Of a position's magnitude, what a reduction by `fraction` takes: rounded up to the step, never
 * above the position, and all of it where the rest would be dust (below the venue's minimum
 * quantity). Zero: nothing can be sold.
 */
dec trade_reduction(const trade_instrument *instrument, dec position, dec fraction);
/* notional / leverage, rounded up. */
bool trade_margin(dec notional, int leverage, dec *margin);
/* margin + fee + slippage of a notional. */
bool trade_hold(dec notional, int leverage, dec *hold);
/* A part of a value: value x parts / whole, rounded down. */
dec trade_part(dec value, int64_t parts, int64_t whole);

#endif
