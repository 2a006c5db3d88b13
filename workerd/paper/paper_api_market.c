/*
 * Public endpoints: time, instruments, the touch, and what can honestly be said of the last day.
 */
#include "workerd/paper/paper_server.h"

#include <string.h>

#define PAPER_FUNDING_MS (8LL * 60 * 60 * 1000)

bool paper_get_ping(paper_call *call)
{
    json_object(&call->out);
    json_object_end(&call->out);
    return true;
}

bool paper_get_time(paper_call *call)
{
    json_object(&call->out);
    paper_out_int(call, "serverTime", call->now_ms);
    json_object_end(&call->out);
    return true;
}

bool paper_get_exchange_info(paper_call *call)
{
    const paper_server *server = call->server;
    size_t behind = server->info_time + server->info_time_length;
    char *at = call->out.buffer;
    json_writer number;

    /* The recorded text as it is, with our time in it. */
    if (server->info_length + 32 > call->out.capacity) {
        return paper_refuse(&call->refusal, -1000, NULL);
    }
    memcpy(at, server->info, server->info_time);
    at += server->info_time;
    if (server->info_time_length > 0) {
        json_begin(&number, at, 32);
        json_int(&number, call->now_ms);
        at += number.length;
    }
    memcpy(at, server->info + behind, server->info_length - behind);
    at += server->info_length - behind;
    call->out.length = (size_t)(at - call->out.buffer);
    return true;
}

typedef void paper_symbol_writer(paper_call *call, const paper_symbol *symbol);

/* One object for `symbol=`, else an array of all that have a price. */
static bool paper_symbols_out(paper_call *call, paper_symbol_writer *write)
{
    const paper_market *market = &call->server->market;
    const paper_symbol *symbol;
    bool given;

    symbol = paper_call_symbol(call, &given);
    if (call->refusal.code != 0) {
        return false;
    }
    if (given) {
        write(call, symbol);
        return true;
    }
    json_array(&call->out);
    for (unsigned i = 0; i < market->count; i++) {
        if (paper_symbol_priced(&market->symbols[i])) {
            write(call, &market->symbols[i]);
        }
    }
    json_array_end(&call->out);
    return true;
}

static void paper_book_ticker(paper_call *call, const paper_symbol *symbol)
{
    json_object(&call->out);
    paper_out_text(call, "symbol", symbol->name);
    paper_out_fixed(call, "bidPrice", symbol->bid, symbol->price_places);
    paper_out_fixed(call, "bidQty", symbol->bid_size, symbol->quantity_places);
    paper_out_fixed(call, "askPrice", symbol->ask, symbol->price_places);
    paper_out_fixed(call, "askQty", symbol->ask_size, symbol->quantity_places);
    paper_out_int(call, "time", symbol->event_ms);
    paper_out_int(call, "lastUpdateId", symbol->update_id);
    json_object_end(&call->out);
}

bool paper_get_book_ticker(paper_call *call)
{
    return paper_symbols_out(call, paper_book_ticker);
}

/* The last trade, or the mid before the first. */
static dec paper_last(const paper_symbol *symbol)
{
    return dec_is_zero(symbol->last) ? symbol->mark : symbol->last;
}

static void paper_ticker_price(paper_call *call, const paper_symbol *symbol)
{
    json_object(&call->out);
    paper_out_text(call, "symbol", symbol->name);
    paper_out_fixed(call, "price", paper_last(symbol), symbol->price_places);
    paper_out_int(call, "time", symbol->event_ms);
    json_object_end(&call->out);
}

bool paper_get_ticker_price(paper_call *call)
{
    return paper_symbols_out(call, paper_ticker_price);
}

static void paper_premium(paper_call *call, const paper_symbol *symbol)
{
    json_object(&call->out);
    paper_out_text(call, "symbol", symbol->name);
    paper_out_fixed(call, "markPrice", symbol->mark, PAPER_MONEY_PLACES);
    paper_out_fixed(call, "indexPrice", symbol->mark, PAPER_MONEY_PLACES);
    paper_out_fixed(call, "estimatedSettlePrice", symbol->mark, PAPER_MONEY_PLACES);
    paper_out_text(call, "lastFundingRate", "0.00000000");
    paper_out_text(call, "interestRate", "0.00010000");
    paper_out_int(call, "nextFundingTime",
                  (call->now_ms / PAPER_FUNDING_MS + 1) * PAPER_FUNDING_MS);
    paper_out_int(call, "time", symbol->event_ms);
    paper_out_bool(call, "x-synthetic", true); /* the mid: the recording has no mark price */
    json_object_end(&call->out);
}

bool paper_get_premium(paper_call *call)
{
    return paper_symbols_out(call, paper_premium);
}

static void paper_ticker_day(paper_call *call, const paper_symbol *symbol)
{
    dec change = DEC_ZERO, percent = DEC_ZERO, average = symbol->mark, last = paper_last(symbol);

    if (symbol->trades > 0) {
        (void)dec_sub(last, symbol->open, &change);
        (void)dec_mul_div(change, dec_from_int(100), symbol->open, DEC_HALF_EVEN, &percent);
        (void)dec_div(symbol->quote_volume, symbol->volume, DEC_HALF_EVEN, &average);
    }
    json_object(&call->out);
    paper_out_text(call, "symbol", symbol->name);
    paper_out_fixed(call, "priceChange", change, symbol->price_places);
    paper_out_fixed(call, "priceChangePercent", percent, 3);
    paper_out_fixed(call, "weightedAvgPrice", average, symbol->price_places);
    paper_out_fixed(call, "lastPrice", last, symbol->price_places);
    paper_out_fixed(call, "lastQty", symbol->last_size, symbol->quantity_places);
    paper_out_fixed(call, "openPrice", symbol->open, symbol->price_places);
    paper_out_fixed(call, "highPrice", symbol->high, symbol->price_places);
    paper_out_fixed(call, "lowPrice", symbol->low, symbol->price_places);
    paper_out_fixed(call, "volume", symbol->volume, symbol->quantity_places);
    paper_out_fixed(call, "quoteVolume", symbol->quote_volume, 2);
    paper_out_int(call, "openTime", symbol->open_ms);
    paper_out_int(call, "closeTime", symbol->event_ms);
    paper_out_int(call, "firstId", symbol->first_trade);
    paper_out_int(call, "lastId", symbol->last_trade);
    paper_out_int(call, "count", symbol->trades);
    json_object_end(&call->out);
}

bool paper_get_ticker_day(paper_call *call)
{
    return paper_symbols_out(call, paper_ticker_day);
}

static void paper_level(paper_call *call, const char *key, const paper_symbol *symbol, dec price,
                        dec size)
{
    char text[DEC_TEXT_MAX];

    json_key(&call->out, key);
    json_array(&call->out);
    if (paper_symbol_priced(symbol)) {
        json_array(&call->out);
        json_text(&call->out, text, dec_format(price, text));
        json_text(&call->out, text, dec_format(size, text));
        json_array_end(&call->out);
    }
    json_array_end(&call->out);
}

/* The touch only: one level a side. */
bool paper_get_depth(paper_call *call)
{
    const paper_symbol *symbol = paper_call_symbol(call, NULL);

    if (symbol == NULL) {
        return false;
    }
    json_object(&call->out);
    paper_out_int(call, "lastUpdateId", symbol->update_id);
    paper_out_int(call, "E", symbol->event_ms);
    paper_out_int(call, "T", symbol->event_ms);
    paper_level(call, "bids", symbol, symbol->bid, symbol->bid_size);
    paper_level(call, "asks", symbol, symbol->ask, symbol->ask_size);
    json_object_end(&call->out);
    return true;
}
