/*
 * The paper venue's market: its instruments with the real filters, and the last touch of each.
 *
 * Promises: no I/O; instruments come from the text of a recorded exchangeInfo and are never changed
 * afterwards; a price is either absent (bid is zero) or a whole, uncrossed touch. The mark price is
 * the mid of the touch: the recording has none, and whatever carries it says that it is synthetic.
 */
#ifndef WHALE_PAPER_MARKET_H
#define WHALE_PAPER_MARKET_H

#include "core/dec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAPER_SYMBOLS_MAX 64
#define PAPER_SYMBOL_MAX 24
#define PAPER_ASSET_MAX 16
#define PAPER_EXCHANGE_INFO_MAX (4 * 1024 * 1024)
#define PAPER_TOKENS_MAX (1 << 18)

typedef struct {
    char name[PAPER_SYMBOL_MAX];  /* "BTCUSDT" */
    char lower[PAPER_SYMBOL_MAX]; /* "btcusdt", as streams name it */
    char base[PAPER_ASSET_MAX], quote[PAPER_ASSET_MAX];
    dec tick, price_min, price_max, multiplier_up, multiplier_down;
    dec step, quantity_min, quantity_max;                      /* LOT_SIZE */
    dec market_step, market_quantity_min, market_quantity_max; /* MARKET_LOT_SIZE */
    dec notional_min;
    int price_places, quantity_places; /* pricePrecision, quantityPrecision */
    /* the touch; zero until the first frame */
    dec bid, ask, bid_size, ask_size, mark;
    int64_t event_ms, update_id;
    /* what GET /ticker/24hr tells: since the venue's start, not of 24 hours */
    dec last, last_size, open, high, low, volume, quote_volume;
    int64_t open_ms, first_trade, last_trade, trades;
} paper_symbol;

typedef struct {
    paper_symbol symbols[PAPER_SYMBOLS_MAX];
    unsigned count;
} paper_market;

/* Reads the symbols of an exchangeInfo answer. False with the reason. */
bool paper_market_load(paper_market *market, const char *text, size_t length, char *error,
                       size_t capacity);
/* NULL where there is none. */
paper_symbol *paper_market_find(paper_market *market, const char *name, size_t length);
paper_symbol *paper_market_find_lower(paper_market *market, const char *name, size_t length);
bool paper_symbol_priced(const paper_symbol *symbol);
/* False: not a touch (zero, negative or crossed); nothing changes. */
bool paper_symbol_quote(paper_symbol *symbol, dec bid, dec bid_size, dec ask, dec ask_size,
                        int64_t event_ms, int64_t update_id);
void paper_symbol_trade(paper_symbol *symbol, dec price, dec quantity, int64_t event_ms,
                        int64_t trade_id);

#endif
