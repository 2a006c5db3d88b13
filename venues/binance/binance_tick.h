/*
 * The hot messages of Binance's market streams, read without a JSON parser: best bid and ask,
 * trades, marks. Some 50 ns where jsmn takes 240.
 *
 * Promises: pure, no allocation, reads no byte past the frame, members in any order, raw or
 * combined form. It takes a message or leaves it: whatever is unusual (white space, escapes,
 * nesting, a name twice, a value missing) is BINANCE_TICK_OTHER, and binance_stream_parse decides.
 * What it does take, binance_stream_parse would read to the same values.
 */
#ifndef WHALE_VENUES_BINANCE_TICK_H
#define WHALE_VENUES_BINANCE_TICK_H

#include "core/dec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum binance_tick_result {
    BINANCE_TICK_OTHER,   /* not for here: ask the parser */
    BINANCE_TICK_IGNORED, /* depth, and trades that are no market trades */
    BINANCE_TICK_BEST,    /* bid, ask and sizes */
    BINANCE_TICK_TRADE,   /* last */
    BINANCE_TICK_MARK,    /* mark and funding */
};

/* Only what the result names is filled in, and symbol, update_id and exchange_time_ns always. */
struct binance_tick {
    const char *symbol; /* points into the frame; upper case, not NUL-terminated */
    size_t symbol_length;
    dec bid, bid_size, ask, ask_size;
    dec last;
    dec mark, funding;
    bool synthetic;           /* a mark that says it is made up: the paper venue's mid */
    uint64_t update_id;       /* 0 where the message has none */
    int64_t exchange_time_ns; /* 0 where the message has none */
};

enum binance_tick_result binance_tick_scan(const char *frame, size_t length,
                                           struct binance_tick *out);

#endif
