/*
 * What an ended trade changes: position, ledger, and the figures of the trade itself. Pure.
 *
 * Promises: nothing is lost: what was held is spent or given back to the last digit, the wallet
 * (AVAILABLE + HELD + POSITION) changes by exactly the venue's own realised P&L less its fees, and
 * a position that is closed has returned all of its margin. Facts are booked even where they cost
 * more than was held; AVAILABLE may then go below zero.
 */
#ifndef WHALE_TRADE_SETTLE_H
#define WHALE_TRADE_SETTLE_H

#include "workerd/trade/trade_types.h"

#include <stddef.h>

#define TRADE_FILLS_MAX 1000 /* of one market order: the most that a venue gives at once */
#define TRADE_MOVES_MAX 16   /* of one trade: its kinds of move, and fees in a few other assets */

enum trade_ledger_kind {
    TRADE_AVAILABLE,
    TRADE_HELD,
    TRADE_POSITION,
    TRADE_FEE,
    TRADE_EXTERNAL,
};
enum trade_ledger_reason {
    TRADE_RELEASE,
    TRADE_MARGIN,
    TRADE_MARGIN_RETURN,
    TRADE_TRADING_FEE,
    TRADE_REALISED_PNL,
};
const char *trade_ledger_kind_name(enum trade_ledger_kind kind);
const char *trade_ledger_reason_name(enum trade_ledger_reason reason);

typedef struct {
    const char *asset; /* the instrument's settle asset, or a fill's fee asset */
    enum trade_ledger_kind from, to;
    enum trade_ledger_reason reason;
    dec amount; /* > 0 */
} trade_move;

enum trade_end { TRADE_FILLED, TRADE_PARTIAL, TRADE_FAILED };
const char *trade_end_name(enum trade_end end);

typedef struct {
    enum venue_side side;
    bool reduce_only;
    dec quantity, hold;
    dec accepted; /* of a reduce-only order: what the venue cut it to; zero: not told */
    int leverage;
    const trade_instrument *instrument;
    trade_position position; /* before; id 0: none */
    const venue_fill *fills; /* all of the order; count 0: it ended without any */
    size_t fill_count;
} trade_settle_facts;

typedef struct {
    enum trade_end end;
    dec filled_quantity, average_price, fee, realised_pnl; /* fee: in the settle asset only */
    bool opens;                                            /* a position that was not there */
    bool changes;                                          /* the one that was there */
    bool external;           /* part of it was gone without an order of ours */
    trade_position position; /* after */
    trade_move moves[TRADE_MOVES_MAX];
    size_t move_count;
} trade_settlement;

/*
 * Where the venue cut a reduce-only order, it did so to what was left of the position: what the
 * copy has beyond that was closed without us. It leaves the books too, and its margin returns.
 *
 * False: the facts contradict each other (fills above the quantity, on the wrong side, without a
 * position to reduce or more than it has) or do not fit a dec; nothing may be booked.
 */
bool trade_settle(const trade_settle_facts *facts, trade_settlement *settlement);

/*
 * The copy is gone at the venue without an order of ours (closed by hand, liquidated): its margin
 * returns; profit or loss comes with the next look at the wallet. The trade that found out has
 * failed.
 */
bool trade_settle_external(const trade_settle_facts *facts, trade_settlement *settlement);

#endif
