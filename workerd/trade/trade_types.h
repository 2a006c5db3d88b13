/*
 * The words and values that the parts of `trade` share: what a signal says, what an instrument
 * takes, what a position holds. Plain data; the words are the database's enums.
 */
#ifndef WHALE_TRADE_TYPES_H
#define WHALE_TRADE_TYPES_H

#include "core/dec.h"
#include "core/errors.h"
#include "shm/shm.h"
#include "venues/venue.h"

#include <stdbool.h>
#include <stdint.h>

enum trade_kind { TRADE_OPEN, TRADE_INCREASE, TRADE_REDUCE, TRADE_CLOSE, TRADE_FLIP };
enum trade_tier { TRADE_FREE, TRADE_PRO, TRADE_ELITE };
enum trade_size_kind { TRADE_SIZE_DEFAULT, TRADE_SIZE_FIXED, TRADE_SIZE_PERCENT };

typedef struct {
    int64_t id;
    char name[SHM_KEY_MAX]; /* "binance:usdm:BTCUSDT" */
    char venue[16];
    venue_instrument rules;
} trade_instrument;

typedef struct {
    int64_t id, whale_id, instrument_id;
    enum trade_kind kind;
    enum venue_side side; /* of the order that copies it */
    bool closes;          /* REDUCE and CLOSE */
    dec fraction;         /* of the position that it adds or takes; 1 where it closes it */
    int leverage;         /* the whale's */
    bool stale;           /* too old to open anything */
    int64_t detected_ns, fanned_out_to;
} trade_signal;

/* A copy that is open; quantity is signed, all zero where there is none. */
typedef struct {
    int64_t id, version;
    dec quantity, entry_notional, margin, realised_pnl, fees;
    int leverage;
} trade_position;

/* The words of the database; false or a fallback where the text is none. */
bool trade_kind_by_name(const char *name, enum trade_kind *kind);
bool trade_side_by_name(const char *name, enum venue_side *side);
bool trade_tier_by_name(const char *name, enum trade_tier *tier);
const char *trade_side_name(enum venue_side side);

#endif
