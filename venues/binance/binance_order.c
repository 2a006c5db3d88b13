/*
 * Orders at Binance USD-M: placing, asking, cancelling, listing; fills.
 *
 * Promises: an order that is sent carries our client id and a positive quantity; in hedge mode the
 * position side stands for reduce-only, and a reduce-only order on the opening side is never built.
 * The answer to a placement is OK only where it is the answer to this order: symbol, side, client
 * id and quantity agree; of a reduce-only order, the quantity may have been cut to the position.
 *
 * Rules: "New Order", "Query Order", "Cancel Order", "Current All Open Orders", "Account Trade
 * List". Since 2026-07-15 the reply to a new order may lack avgPrice and cumQuote.
 */
#include "core/clock.h"
#include "venues/binance/binance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BINANCE_FILLS_MAX 1000

static const char *const binance_sides[] = {[VENUE_BUY] = "BUY", [VENUE_SELL] = "SELL"};
static const char *const binance_position_sides[] = {
    [VENUE_BOTH] = "BOTH", [VENUE_LONG] = "LONG", [VENUE_SHORT] = "SHORT"};
const char *const binance_types[] = {
    [VENUE_MARKET] = "MARKET",
    [VENUE_LIMIT] = "LIMIT",
    [VENUE_STOP_MARKET] = "STOP_MARKET",
    [VENUE_TAKE_PROFIT_MARKET] = "TAKE_PROFIT_MARKET",
    [VENUE_TRAILING_STOP] = "TRAILING_STOP_MARKET",
};
static const char *const binance_times_in_force[] = {
    [VENUE_GTC] = "GTC", [VENUE_IOC] = "IOC", [VENUE_FOK] = "FOK", [VENUE_POST_ONLY] = "GTX"};

/* ---- requests -------------------------------------------------------------------------------- */

/* Symbol, side, and what says that the order reduces. */
bool binance_fill_direction(const venue_call *call, binance_params *params)
{
    bool opens = (call->position_side == VENUE_LONG) == (call->side == VENUE_BUY);

    if ((unsigned)call->side > VENUE_SELL || (unsigned)call->position_side > VENUE_SHORT ||
        !binance_param_symbol(params, call->symbol)) {
        return false;
    }
    binance_param(params, "side", binance_sides[call->side]);
    if (call->position_side == VENUE_BOTH) {
        if (call->reduce_only && !call->close_position) {
            binance_param(params, "reduceOnly", "true");
        }
        return true;
    }
    if ((call->reduce_only || call->close_position) && opens) {
        return false;
    }
    binance_param(params, "positionSide", binance_position_sides[call->position_side]);
    return true;
}

static bool binance_fill_limit(const venue_call *call, binance_params *params)
{
    if ((unsigned)call->time_in_force > VENUE_POST_ONLY || dec_sign(call->price) <= 0) {
        return false;
    }
    binance_param_dec(params, "price", call->price);
    binance_param(params, "timeInForce", binance_times_in_force[call->time_in_force]);
    return true;
}

bool binance_fill_order(const venue_call *call, binance_params *params)
{
    if ((call->order_type != VENUE_MARKET && call->order_type != VENUE_LIMIT) ||
        call->quantity_is_quote || call->close_position || dec_sign(call->quantity) <= 0 ||
        !binance_fill_direction(call, params)) {
        return false;
    }
    binance_param(params, "type", binance_types[call->order_type]);
    binance_param_dec(params, "quantity", call->quantity);
    if (call->order_type == VENUE_LIMIT && !binance_fill_limit(call, params)) {
        return false;
    }
    if (!binance_param_client_id(params, "newClientOrderId", call->client_order_id)) {
        return false;
    }
    binance_param(params, "newOrderRespType", "RESULT");
    return true;
}

bool binance_fill_order_id(const venue_call *call, binance_params *params)
{
    if (!binance_param_symbol(params, call->symbol)) {
        return false;
    }
    if (call->client_order_id != NULL) {
        return binance_param_client_id(params, "origClientOrderId", call->client_order_id);
    }
    return binance_param_digits(params, "orderId", call->venue_order_id);
}

bool binance_fill_fills(const venue_call *call, binance_params *params)
{
    int limit = call->limit == 0 ? BINANCE_FILLS_MAX : call->limit;

    if (limit < 1 || limit > BINANCE_FILLS_MAX || call->since_ns < 0 || call->until_ns < 0 ||
        !binance_param_symbol(params, call->symbol)) {
        return false;
    }
    if (call->venue_order_id != NULL &&
        !binance_param_digits(params, "orderId", call->venue_order_id)) {
        return false;
    }
    if (call->cursor != NULL) {
        /* A trade id, which excludes the times. */
        if (!binance_param_digits(params, "fromId", call->cursor)) {
            return false;
        }
    } else {
        if (call->since_ns > 0) {
            binance_param_int(params, "startTime", call->since_ns / CLOCK_MS_NS);
        }
        if (call->until_ns > 0) {
            binance_param_int(params, "endTime", call->until_ns / CLOCK_MS_NS);
        }
    }
    binance_param_int(params, "limit", limit);
    return true;
}

/* ---- words ----------------------------------------------------------------------------------- */

enum venue_order_state binance_order_state(const json_doc *doc, int node)
{
    static const struct {
        const char *word;
        enum venue_order_state state;
    } states[] = {
        {"NEW", VENUE_ORDER_NEW},
        {"PARTIALLY_FILLED", VENUE_ORDER_PARTIAL},
        {"FILLED", VENUE_ORDER_FILLED},
        {"CANCELED", VENUE_ORDER_CANCELLED},
        {"REJECTED", VENUE_ORDER_REJECTED},
        {"EXPIRED", VENUE_ORDER_EXPIRED},
        {"EXPIRED_IN_MATCH", VENUE_ORDER_EXPIRED},
        {"NEW_INSURANCE", VENUE_ORDER_NEW}, /* liquidation by the insurance fund */
        {"NEW_ADL", VENUE_ORDER_NEW},       /* deleveraging */
    };

    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (json_equals(doc, node, states[i].word)) {
            return states[i].state;
        }
    }
    return VENUE_ORDER_STATE_UNKNOWN;
}

enum venue_order_type binance_order_type(const json_doc *doc, int node)
{
    if (json_equals(doc, node, "STOP")) {
        return VENUE_STOP_MARKET;
    }
    if (json_equals(doc, node, "TAKE_PROFIT")) {
        return VENUE_TAKE_PROFIT_MARKET;
    }
    return (enum venue_order_type)binance_word(doc, node, binance_types, 5, VENUE_MARKET);
}

/* ---- orders ---------------------------------------------------------------------------------- */

/* What is filled can be neither negative nor more than was asked for, and FILLED means all of it.
 */
static bool binance_order_possible(const venue_order *order)
{
    if (dec_sign(order->quantity) < 0 || dec_sign(order->filled_quantity) < 0 ||
        dec_compare(order->filled_quantity, order->quantity) > 0) {
        return false;
    }
    return order->state != VENUE_ORDER_FILLED ||
           (dec_sign(order->filled_quantity) > 0 &&
            dec_compare(order->filled_quantity, order->quantity) == 0);
}

/* From avgPrice, else from the quote that was filled, where the reply has either. */
static bool binance_order_average(const json_doc *doc, venue_order *order)
{
    dec quote, average;

    if (!binance_figure(doc, "avgPrice", &average) || !binance_figure(doc, "cumQuote", &quote) ||
        dec_sign(average) < 0 || dec_sign(quote) < 0) {
        return false;
    }
    if (dec_is_zero(order->filled_quantity)) {
        return true;
    }
    if (dec_is_zero(average) && !dec_is_zero(quote) &&
        !dec_div(quote, order->filled_quantity, DEC_HALF_EVEN, &average)) {
        return false;
    }
    order->average_price = average;
    order->average_price_known = !dec_is_zero(average);
    return true;
}

static bool binance_order_object(const json_doc *doc, venue_order *order)
{
    int type = json_at(doc, 0, "origType");

    *order = (venue_order){0};
    if (!json_copy(doc, json_at(doc, 0, "symbol"), order->symbol, sizeof(order->symbol)) ||
        order->symbol[0] == '\0' ||
        !binance_id(doc, json_at(doc, 0, "orderId"), order->venue_order_id,
                    sizeof(order->venue_order_id)) ||
        !json_copy(doc, json_at(doc, 0, "clientOrderId"), order->client_order_id,
                   sizeof(order->client_order_id)) ||
        !binance_side(doc, json_at(doc, 0, "side"), &order->side) ||
        !binance_position_side(doc, json_at(doc, 0, "positionSide"), &order->position_side) ||
        !json_is_string(doc, json_at(doc, 0, "status")) ||
        !json_get_dec(doc, json_at(doc, 0, "origQty"), &order->quantity) ||
        !json_get_dec(doc, json_at(doc, 0, "executedQty"), &order->filled_quantity)) {
        return false;
    }
    order->state = binance_order_state(doc, json_at(doc, 0, "status"));
    order->type = binance_order_type(doc, type >= 0 ? type : json_at(doc, 0, "type"));
    json_get_bool(doc, json_at(doc, 0, "reduceOnly"), &order->reduce_only);
    order->created_ns = binance_time(doc, "time");
    order->updated_ns = binance_time(doc, "updateTime");
    return binance_order_possible(order) && binance_order_average(doc, order);
}

static bool binance_order(const json_doc *doc, const venue_request *request, venue_result *result)
{
    venue_order order;
    size_t slot;

    (void)request;
    if (!binance_order_object(doc, &order)) {
        return false;
    }
    if (binance_room(result, &slot)) {
        result->orders[slot] = order;
    }
    return true;
}

bool binance_sent_side_agrees(const venue_request *request, enum venue_side side)
{
    return binance_sent_agrees(request, "side", binance_sides[side]);
}

/* Binance cuts a reduce-only order down to the position; it never makes an order larger. */
static bool binance_quantity_agrees(const venue_request *request, const venue_order *order)
{
    const char *text;
    size_t length;
    dec sent;

    if (!binance_sent(request, "reduceOnly", &text, &length) || length != 4 ||
        memcmp(text, "true", 4) != 0) {
        return binance_sent_dec_agrees(request, "quantity", order->quantity);
    }
    return binance_sent(request, "quantity", &text, &length) && dec_parse(text, length, &sent) &&
           dec_sign(order->quantity) > 0 && dec_compare(order->quantity, sent) <= 0;
}

/* True where this answers the order that was sent, and no other. */
static bool binance_order_is_ours(const venue_request *request, const venue_order *order)
{
    return binance_sent_agrees(request, "symbol", order->symbol) &&
           binance_sent_agrees(request, "newClientOrderId", order->client_order_id) &&
           binance_sent_agrees(request, "origClientOrderId", order->client_order_id) &&
           binance_sent_agrees(request, "orderId", order->venue_order_id) &&
           binance_sent_side_agrees(request, order->side) &&
           binance_quantity_agrees(request, order);
}

static bool binance_own_order(const json_doc *doc, const venue_request *request,
                              venue_result *result)
{
    venue_order order;

    return binance_order_object(doc, &order) && binance_order_is_ours(request, &order) &&
           binance_order(doc, request, result);
}

bool binance_read_placed(const venue_request *request, const venue_answer *answer,
                         venue_result *result)
{
    return binance_read_one(request, answer, binance_own_order, result);
}

bool binance_read_order(const venue_request *request, const venue_answer *answer,
                        venue_result *result)
{
    return binance_read_one(request, answer, binance_own_order, result);
}

bool binance_read_orders(const venue_request *request, const venue_answer *answer,
                         venue_result *result)
{
    return binance_read_list(request, answer, "", binance_order, result, NULL);
}

/* ---- fills ----------------------------------------------------------------------------------- */

static bool binance_fill_object(const json_doc *doc, const venue_request *request,
                                venue_result *result)
{
    venue_fill fill = {0};
    size_t slot;

    (void)request;
    if (!binance_id(doc, json_at(doc, 0, "id"), fill.venue_trade_id, sizeof(fill.venue_trade_id)) ||
        !binance_id(doc, json_at(doc, 0, "orderId"), fill.venue_order_id,
                    sizeof(fill.venue_order_id)) ||
        !json_copy(doc, json_at(doc, 0, "symbol"), fill.symbol, sizeof(fill.symbol)) ||
        !binance_side(doc, json_at(doc, 0, "side"), &fill.side) ||
        !binance_position_side(doc, json_at(doc, 0, "positionSide"), &fill.position_side) ||
        !json_get_dec_rounded(doc, json_at(doc, 0, "price"), &fill.price) ||
        !json_get_dec(doc, json_at(doc, 0, "qty"), &fill.quantity) ||
        !json_get_dec_rounded(doc, json_at(doc, 0, "commission"), &fill.fee) ||
        !json_copy(doc, json_at(doc, 0, "commissionAsset"), fill.fee_asset,
                   sizeof(fill.fee_asset)) ||
        !binance_figure(doc, "quoteQty", &fill.quote_quantity) ||
        !binance_figure(doc, "realizedPnl", &fill.realised_pnl) || dec_sign(fill.quantity) <= 0 ||
        dec_sign(fill.price) < 0) {
        return false;
    }
    json_get_bool(doc, json_at(doc, 0, "maker"), &fill.maker);
    fill.time_ns = binance_time(doc, "time");
    if (binance_room(result, &slot)) {
        result->fills[slot] = fill;
    }
    return true;
}

/* A full page may have a successor: it begins behind the last trade of this one. */
static void binance_fills_next(const venue_request *request, venue_result *result)
{
    const char *text;
    size_t length;
    dec limit;
    unsigned long long last = 0;

    if (!binance_sent(request, "limit", &text, &length) || !dec_parse(text, length, &limit) ||
        result->truncated || result->count == 0 ||
        dec_compare(dec_from_int((int64_t)result->count), limit) < 0) {
        return;
    }
    for (size_t i = 0; i < result->count; i++) {
        unsigned long long id = strtoull(result->fills[i].venue_trade_id, NULL, 10);

        last = id > last ? id : last;
    }
    snprintf(result->next, sizeof(result->next), "%llu", last + 1);
}

bool binance_read_fills(const venue_request *request, const venue_answer *answer,
                        venue_result *result)
{
    if (!binance_read_list(request, answer, "", binance_fill_object, result, NULL)) {
        return false;
    }
    binance_fills_next(request, result);
    return true;
}
