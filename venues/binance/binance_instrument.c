/*
 * Instruments of Binance USD-M, with every filter, and the leverage brackets.
 *
 * Promises: an answer of a megabyte is walked symbol by symbol, never tokenised whole; a symbol
 * without a tick or a lot step is kept as not trading, because no order for it could be right.
 *
 * Rules: "Exchange Information" (filters PRICE_FILTER, LOT_SIZE, MARKET_LOT_SIZE, MIN_NOTIONAL),
 * "Notional and Leverage Brackets".
 */
#include "venues/binance/binance.h"
#include "venues/venue_scan.h"

#include <stdio.h>
#include <string.h>

#define BINANCE_MULTIPLIER_ZEROS_MIN 3
#define BINANCE_MULTIPLIER_ZEROS_MAX 9
#define BINANCE_LEVERAGE_MAX 150

/* ---- multiplied symbols ---------------------------------------------------------------------- */

/* What follows a multiplier is an asset's name: two characters or more, the first of them no digit.
 */
static bool binance_asset_name(const char *text)
{
    return strlen(text) >= 2 && (text[0] < '0' || text[0] > '9');
}

/* "1000PEPE" is 1000 PEPE, "1MBABYDOGE" a million BABYDOGE; "1INCH" is an asset of its own. */
static void binance_underlying(venue_instrument *instrument)
{
    const char *base = instrument->base;
    size_t zeros = strspn(base + (base[0] == '1'), "0");
    int64_t multiplier = 1;

    instrument->multiplier = DEC_ONE;
    snprintf(instrument->underlying, sizeof(instrument->underlying), "%s", base);
    if (base[0] != '1') {
        return;
    }
    if (base[1] == 'M' && strlen(base) >= 5) {
        instrument->multiplier = dec_from_int(1000000);
        snprintf(instrument->underlying, sizeof(instrument->underlying), "%s", base + 2);
        return;
    }
    if (zeros < BINANCE_MULTIPLIER_ZEROS_MIN || zeros > BINANCE_MULTIPLIER_ZEROS_MAX ||
        !binance_asset_name(base + 1 + zeros)) {
        return;
    }
    for (size_t i = 0; i < zeros; i++) {
        multiplier *= 10;
    }
    instrument->multiplier = dec_from_int(multiplier);
    snprintf(instrument->underlying, sizeof(instrument->underlying), "%s", base + 1 + zeros);
}

/* ---- filters --------------------------------------------------------------------------------- */

/* A filter's figure; zero where it is missing or cannot be one. */
static dec binance_filter_figure(const json_doc *doc, int filter, const char *name)
{
    dec value;

    if (!json_get_dec(doc, json_at(doc, filter, name), &value) || dec_sign(value) < 0) {
        return DEC_ZERO;
    }
    return value;
}

static void binance_filter(const json_doc *doc, int filter, venue_instrument *instrument)
{
    int type = json_at(doc, filter, "filterType");

    if (json_equals(doc, type, "PRICE_FILTER")) {
        instrument->price_tick = binance_filter_figure(doc, filter, "tickSize");
        instrument->price_min = binance_filter_figure(doc, filter, "minPrice");
        instrument->price_max = binance_filter_figure(doc, filter, "maxPrice");
    } else if (json_equals(doc, type, "LOT_SIZE")) {
        instrument->quantity_step = binance_filter_figure(doc, filter, "stepSize");
        instrument->quantity_min = binance_filter_figure(doc, filter, "minQty");
        instrument->quantity_max = binance_filter_figure(doc, filter, "maxQty");
    } else if (json_equals(doc, type, "MARKET_LOT_SIZE")) {
        instrument->market_quantity_step = binance_filter_figure(doc, filter, "stepSize");
        instrument->market_quantity_min = binance_filter_figure(doc, filter, "minQty");
        instrument->market_quantity_max = binance_filter_figure(doc, filter, "maxQty");
    } else if (json_equals(doc, type, "MIN_NOTIONAL")) {
        instrument->notional_min = binance_filter_figure(doc, filter, "notional");
    }
}

static bool binance_ends_with(const json_doc *doc, int node, const char *ending)
{
    size_t length, expected = strlen(ending);
    const char *text;

    return json_slice(doc, node, &text, &length) && length >= expected &&
           memcmp(text + length - expected, ending, expected) == 0;
}

static bool binance_instrument_names(const json_doc *doc, venue_instrument *instrument)
{
    return json_copy(doc, json_at(doc, 0, "symbol"), instrument->symbol,
                     sizeof(instrument->symbol)) &&
           json_copy(doc, json_at(doc, 0, "baseAsset"), instrument->base,
                     sizeof(instrument->base)) &&
           json_copy(doc, json_at(doc, 0, "quoteAsset"), instrument->quote,
                     sizeof(instrument->quote)) &&
           json_copy(doc, json_at(doc, 0, "marginAsset"), instrument->settle,
                     sizeof(instrument->settle)) &&
           instrument->symbol[0] != '\0' && instrument->base[0] != '\0';
}

static bool binance_instrument(const json_doc *doc, const venue_request *request,
                               venue_result *result)
{
    venue_instrument instrument = {.market = VENUE_USDM,
                                   .contract_size = DEC_ONE,
                                   .quantity_unit = VENUE_UNIT_BASE,
                                   .notional_min_waived_reduce_only = true};
    int filters = json_at(doc, 0, "filters");
    size_t slot;

    (void)request;
    if (!json_is_string(doc, json_at(doc, 0, "symbol")) || !json_is_array(doc, filters)) {
        return false;
    }
    if (!binance_instrument_names(doc, &instrument)) {
        return true; /* a name that is longer than any we hold: nothing that could be copied */
    }
    binance_underlying(&instrument);
    for (int it = json_first(doc, filters); it >= 0; it = json_next(doc, it)) {
        binance_filter(doc, it, &instrument);
    }
    /* PERPETUAL, and TRADIFI_PERPETUAL for shares and metals. */
    instrument.perpetual = binance_ends_with(doc, json_at(doc, 0, "contractType"), "PERPETUAL");
    instrument.trading = json_equals(doc, json_at(doc, 0, "status"), "TRADING") &&
                         dec_sign(instrument.price_tick) > 0 &&
                         dec_sign(instrument.quantity_step) > 0;
    if (binance_room(result, &slot)) {
        result->instruments[slot] = instrument;
    }
    return true;
}

/* An answer without symbols is none: an exchange does not close overnight. */
bool binance_read_instruments(const venue_request *request, const venue_answer *answer,
                              venue_result *result)
{
    return binance_read_list(request, answer, "symbols", binance_instrument, result, NULL) &&
           result->count > 0;
}

/* ---- brackets -------------------------------------------------------------------------------- */

static bool binance_bracket(const json_doc *doc, int node, const char *symbol, venue_result *result)
{
    venue_bracket bracket = {0};
    int64_t leverage;
    size_t slot;

    if (!json_get_dec_rounded(doc, json_at(doc, node, "notionalFloor"), &bracket.notional_from) ||
        !json_get_dec_rounded(doc, json_at(doc, node, "notionalCap"), &bracket.notional_to) ||
        !json_get_dec_rounded(doc, json_at(doc, node, "maintMarginRatio"),
                              &bracket.maintenance_rate) ||
        !json_get_int(doc, json_at(doc, node, "initialLeverage"), &leverage) || leverage < 1 ||
        leverage > BINANCE_LEVERAGE_MAX) {
        return false;
    }
    bracket.leverage_max = (int)leverage;
    snprintf(bracket.symbol, sizeof(bracket.symbol), "%s", symbol);
    if (binance_room(result, &slot)) {
        result->brackets[slot] = bracket;
    }
    return true;
}

static bool binance_symbol_brackets(const json_doc *doc, const venue_request *request,
                                    venue_result *result)
{
    int brackets = json_at(doc, 0, "brackets");
    char symbol[VENUE_SYMBOL_MAX];

    (void)request;
    if (!json_copy(doc, json_at(doc, 0, "symbol"), symbol, sizeof(symbol)) ||
        !json_is_array(doc, brackets)) {
        return false;
    }
    for (int it = json_first(doc, brackets); it >= 0; it = json_next(doc, it)) {
        if (!binance_bracket(doc, it, symbol, result)) {
            return false;
        }
    }
    return true;
}

/* An array, or, where a symbol was asked for, perhaps that symbol's object alone. */
bool binance_read_brackets(const venue_request *request, const venue_answer *answer,
                           venue_result *result)
{
    venue_scan scan;

    if (venue_scan_open(&scan, answer->body, answer->body_length, "")) {
        return binance_read_list(request, answer, "", binance_symbol_brackets, result, NULL);
    }
    return binance_read_one(request, answer, binance_symbol_brackets, result);
}
