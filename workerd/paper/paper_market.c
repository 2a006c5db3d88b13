/*
 * Instruments from a recorded exchangeInfo, and their touch. See the header for the promises.
 */
#include "workerd/paper/paper_market.h"

#include "core/json.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool paper_filter(const json_doc *doc, int filter, paper_symbol *symbol)
{
    if (json_equals(doc, json_at(doc, filter, "filterType"), "PRICE_FILTER")) {
        return json_get_dec(doc, json_at(doc, filter, "tickSize"), &symbol->tick) &&
               json_get_dec(doc, json_at(doc, filter, "minPrice"), &symbol->price_min) &&
               json_get_dec(doc, json_at(doc, filter, "maxPrice"), &symbol->price_max);
    }
    if (json_equals(doc, json_at(doc, filter, "filterType"), "LOT_SIZE")) {
        return json_get_dec(doc, json_at(doc, filter, "stepSize"), &symbol->step) &&
               json_get_dec(doc, json_at(doc, filter, "minQty"), &symbol->quantity_min) &&
               json_get_dec(doc, json_at(doc, filter, "maxQty"), &symbol->quantity_max);
    }
    if (json_equals(doc, json_at(doc, filter, "filterType"), "MARKET_LOT_SIZE")) {
        return json_get_dec(doc, json_at(doc, filter, "stepSize"), &symbol->market_step) &&
               json_get_dec(doc, json_at(doc, filter, "minQty"), &symbol->market_quantity_min) &&
               json_get_dec(doc, json_at(doc, filter, "maxQty"), &symbol->market_quantity_max);
    }
    if (json_equals(doc, json_at(doc, filter, "filterType"), "MIN_NOTIONAL")) {
        return json_get_dec(doc, json_at(doc, filter, "notional"), &symbol->notional_min);
    }
    if (json_equals(doc, json_at(doc, filter, "filterType"), "PERCENT_PRICE")) {
        return json_get_dec(doc, json_at(doc, filter, "multiplierUp"), &symbol->multiplier_up) &&
               json_get_dec(doc, json_at(doc, filter, "multiplierDown"), &symbol->multiplier_down);
    }
    return true;
}

static bool paper_symbol_load(const json_doc *doc, int node, paper_symbol *symbol)
{
    int filters = json_at(doc, node, "filters");
    int64_t price_places = 0, quantity_places = 0;

    *symbol = (paper_symbol){0};
    if (!json_copy(doc, json_at(doc, node, "symbol"), symbol->name, sizeof(symbol->name)) ||
        !json_copy(doc, json_at(doc, node, "baseAsset"), symbol->base, sizeof(symbol->base)) ||
        !json_copy(doc, json_at(doc, node, "quoteAsset"), symbol->quote, sizeof(symbol->quote)) ||
        !json_get_int(doc, json_at(doc, node, "pricePrecision"), &price_places) ||
        !json_get_int(doc, json_at(doc, node, "quantityPrecision"), &quantity_places)) {
        return false;
    }
    for (int it = json_first(doc, filters); it >= 0; it = json_next(doc, it)) {
        if (!paper_filter(doc, it, symbol)) {
            return false;
        }
    }
    for (size_t i = 0; symbol->name[i] != '\0'; i++) {
        symbol->lower[i] = (char)tolower((unsigned char)symbol->name[i]);
    }
    symbol->price_places = (int)price_places;
    symbol->quantity_places = (int)quantity_places;
    /* Without these the engine could neither check a quantity nor a price. */
    return symbol->name[0] != '\0' && price_places >= 0 && price_places <= DEC_PLACES &&
           quantity_places >= 0 && quantity_places <= DEC_PLACES && dec_sign(symbol->tick) > 0 &&
           dec_sign(symbol->step) > 0 && dec_sign(symbol->market_step) > 0;
}

bool paper_market_load(paper_market *market, const char *text, size_t length, char *error,
                       size_t capacity)
{
    jsmntok_t *tokens = calloc(PAPER_TOKENS_MAX, sizeof(*tokens));
    json_doc doc;
    bool good = false;

    *market = (paper_market){0};
    if (tokens == NULL || length > PAPER_EXCHANGE_INFO_MAX ||
        json_parse(&doc, text, length, tokens, PAPER_TOKENS_MAX) != JSON_OK) {
        snprintf(error, capacity, "the exchange information is not JSON, or too large");
        goto done;
    }
    for (int it = json_first(&doc, json_at(&doc, 0, "symbols")); it >= 0;
         it = json_next(&doc, it)) {
        if (market->count == PAPER_SYMBOLS_MAX) {
            snprintf(error, capacity, "more than %d symbols", PAPER_SYMBOLS_MAX);
            goto done;
        }
        if (!paper_symbol_load(&doc, it, &market->symbols[market->count])) {
            snprintf(error, capacity, "symbol %u lacks a name or a filter", market->count);
            goto done;
        }
        market->count++;
    }
    good = market->count > 0;
    if (!good) {
        snprintf(error, capacity, "the exchange information names no symbol");
    }
done:
    free(tokens);
    return good;
}

paper_symbol *paper_market_find(paper_market *market, const char *name, size_t length)
{
    for (unsigned i = 0; i < market->count; i++) {
        paper_symbol *symbol = &market->symbols[i];

        if (strlen(symbol->name) == length && memcmp(symbol->name, name, length) == 0) {
            return symbol;
        }
    }
    return NULL;
}

paper_symbol *paper_market_find_lower(paper_market *market, const char *name, size_t length)
{
    for (unsigned i = 0; i < market->count; i++) {
        paper_symbol *symbol = &market->symbols[i];

        if (strlen(symbol->lower) == length && memcmp(symbol->lower, name, length) == 0) {
            return symbol;
        }
    }
    return NULL;
}

bool paper_symbol_priced(const paper_symbol *symbol)
{
    return dec_sign(symbol->bid) > 0;
}

bool paper_symbol_quote(paper_symbol *symbol, dec bid, dec bid_size, dec ask, dec ask_size,
                        int64_t event_ms, int64_t update_id)
{
    dec sum;

    if (dec_sign(bid) <= 0 || dec_compare(bid, ask) >= 0 || !dec_add(bid, ask, &sum) ||
        !dec_div(sum, dec_from_int(2), DEC_HALF_EVEN, &symbol->mark)) {
        return false;
    }
    symbol->bid = bid;
    symbol->ask = ask;
    symbol->bid_size = bid_size;
    symbol->ask_size = ask_size;
    symbol->event_ms = event_ms;
    symbol->update_id = update_id;
    return true;
}

void paper_symbol_trade(paper_symbol *symbol, dec price, dec quantity, int64_t event_ms,
                        int64_t trade_id)
{
    dec value;

    if (dec_sign(price) <= 0 || dec_sign(quantity) <= 0) {
        return;
    }
    if (symbol->trades == 0) {
        symbol->open = symbol->high = symbol->low = price;
        symbol->open_ms = event_ms;
        symbol->first_trade = trade_id;
    }
    symbol->trades++;
    symbol->last = price;
    symbol->last_size = quantity;
    symbol->last_trade = trade_id;
    symbol->high = dec_most(symbol->high, price);
    symbol->low = dec_least(symbol->low, price);
    /* A sum that no longer fits stays where it is: statistics, not money. */
    (void)dec_add(symbol->volume, quantity, &symbol->volume);
    if (dec_mul(price, quantity, DEC_HALF_EVEN, &value)) {
        (void)dec_add(symbol->quote_volume, value, &symbol->quote_volume);
    }
}
