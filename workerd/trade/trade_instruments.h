/*
 * The instruments: as the venues list them, kept in Postgres, and a table of them in memory by id.
 *
 * Promises: a lookup costs no query; the table is replaced whole, between two turns of the loop, so
 * a pointer from a lookup is good until the loop turns; a venue's page that cannot be read whole
 * changes nothing; what a venue no longer lists is not tradable but keeps its row.
 */
#ifndef WHALE_TRADE_INSTRUMENTS_H
#define WHALE_TRADE_INSTRUMENTS_H

#include "workerd/net/net_pg.h"
#include "workerd/trade/trade_call.h"
#include "workerd/trade/trade_types.h"

#define TRADE_INSTRUMENTS_MAX 16384
#define TRADE_INSTRUMENTS_REFRESH_NS (3600LL * 1000000000LL)
#define TRADE_INSTRUMENTS_RELOAD_NS (30LL * 1000000000LL)

typedef struct trade_instruments trade_instruments;

trade_instruments *trade_instruments_new(net_pg *pg);
/*
 * Call on a timer: reloads the table when it is old; where `callers` are given (one process of a
 * host does this), asks each venue for its list when that is old.
 */
void trade_instruments_poll(trade_instruments *instruments, trade_caller *const *callers,
                            size_t caller_count);
bool trade_instruments_ready(const trade_instruments *instruments);
/* NULL where there is none. */
const trade_instrument *trade_instruments_find(const trade_instruments *instruments, int64_t id);
/*
 * Those that stand for the same thing: market, underlying, quote, multiplier, contract. The
 * instrument itself is among them. Returns how many, at most `capacity`.
 */
size_t trade_instruments_alike(const trade_instruments *instruments,
                               const trade_instrument *instrument, int64_t *ids, size_t capacity);
/* The one of them that this venue lists, or NULL. */
const trade_instrument *trade_instruments_at(const trade_instruments *instruments,
                                             const trade_instrument *instrument, const char *venue);
/* Free once no call of its own is under way. */
bool trade_instruments_busy(const trade_instruments *instruments);
void trade_instruments_free(trade_instruments *instruments);

#endif
