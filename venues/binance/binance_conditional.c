/*
 * Conditional orders at Binance USD-M: stop, take-profit and trailing stop, all at market. Since
 * 2025-12-09 they live at their own "algo" endpoints under their own ids; when one fires, an
 * ordinary order with another id appears (venue_order.child_order_id).
 *
 * Promises: as for orders (binance_order.c).
 *
 * Rules: "New Algo Order", "Query Algo Order", "Cancel Algo Order".
 */
#include "venues/binance/binance.h"

/* ---- requests -------------------------------------------------------------------------------- */

static bool binance_fill_trigger(const venue_call *call, binance_params *params)
{
    static const char *const prices[] = {
        [VENUE_TRIGGER_MARK] = "MARK_PRICE", [VENUE_TRIGGER_LAST] = "CONTRACT_PRICE"};

    if (call->trigger_by != VENUE_TRIGGER_MARK && call->trigger_by != VENUE_TRIGGER_LAST) {
        return false;
    }
    binance_param(params, "workingType", prices[call->trigger_by]);
    if (call->order_type != VENUE_TRAILING_STOP) {
        if (dec_sign(call->trigger_price) <= 0) {
            return false;
        }
        binance_param_dec(params, "triggerPrice", call->trigger_price);
        return true;
    }
    if (dec_sign(call->callback_rate) <= 0 || dec_sign(call->trigger_price) < 0) {
        return false;
    }
    binance_param_dec(params, "callbackRate", call->callback_rate);
    if (dec_sign(call->trigger_price) > 0) {
        binance_param_dec(params, "activatePrice", call->trigger_price);
    }
    return true;
}

bool binance_fill_conditional(const venue_call *call, binance_params *params)
{
    if ((unsigned)call->order_type < VENUE_STOP_MARKET ||
        (unsigned)call->order_type > VENUE_TRAILING_STOP || call->quantity_is_quote) {
        return false;
    }
    binance_param(params, "algoType", "CONDITIONAL");
    if (!binance_fill_direction(call, params)) {
        return false;
    }
    binance_param(params, "type", binance_types[call->order_type]);
    if (call->close_position) {
        /* It excludes a quantity and reduceOnly; a trailing stop cannot have it. */
        if (call->order_type == VENUE_TRAILING_STOP) {
            return false;
        }
        binance_param(params, "closePosition", "true");
    } else if (dec_sign(call->quantity) > 0) {
        binance_param_dec(params, "quantity", call->quantity);
    } else {
        return false;
    }
    if (!binance_fill_trigger(call, params) ||
        !binance_param_client_id(params, "clientAlgoId", call->client_order_id)) {
        return false;
    }
    binance_param(params, "newOrderRespType", "RESULT");
    return true;
}

bool binance_fill_conditional_id(const venue_call *call, binance_params *params)
{
    if (call->client_order_id != NULL) {
        return binance_param_client_id(params, "clientAlgoId", call->client_order_id);
    }
    return binance_param_digits(params, "algoId", call->venue_order_id);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* FINISHED says that the order it became is over, filled or not. */
enum venue_order_state binance_conditional_state(const json_doc *doc, int node, dec quantity,
                                                 dec filled)
{
    if (json_equals(doc, node, "TRIGGERING") || json_equals(doc, node, "TRIGGERED")) {
        return VENUE_ORDER_TRIGGERED;
    }
    if (json_equals(doc, node, "FINISHED")) {
        return dec_sign(filled) > 0 && dec_compare(filled, quantity) >= 0 ? VENUE_ORDER_FILLED
                                                                          : VENUE_ORDER_TRIGGERED;
    }
    return binance_order_state(doc, node);
}

/* True where this answers the order that was sent, and no other. */
static bool binance_conditional_is_ours(const venue_request *request, const venue_order *order)
{
    return binance_sent_agrees(request, "clientAlgoId", order->client_order_id) &&
           binance_sent_agrees(request, "algoId", order->venue_order_id);
}

static void binance_conditional_keep(const venue_order *order, venue_result *result)
{
    size_t slot;

    if (binance_room(result, &slot)) {
        result->orders[slot] = *order;
    }
}

/* Quantities of one that closes the position may be missing: it takes what there is when it fires.
 */
static bool binance_conditional_object(const json_doc *doc, const venue_request *request,
                                       venue_result *result)
{
    int child = json_at(doc, 0, "actualOrderId");
    venue_order order = {0};

    if (!binance_id(doc, json_at(doc, 0, "algoId"), order.venue_order_id,
                    sizeof(order.venue_order_id)) ||
        !json_copy(doc, json_at(doc, 0, "clientAlgoId"), order.client_order_id,
                   sizeof(order.client_order_id)) ||
        !json_copy(doc, json_at(doc, 0, "symbol"), order.symbol, sizeof(order.symbol)) ||
        !binance_side(doc, json_at(doc, 0, "side"), &order.side) ||
        !binance_position_side(doc, json_at(doc, 0, "positionSide"), &order.position_side) ||
        !json_is_string(doc, json_at(doc, 0, "algoStatus")) ||
        !binance_figure(doc, "quantity", &order.quantity) ||
        !binance_figure(doc, "actualQty", &order.filled_quantity) ||
        !binance_figure(doc, "actualPrice", &order.average_price) || dec_sign(order.quantity) < 0 ||
        dec_sign(order.filled_quantity) < 0 || !binance_conditional_is_ours(request, &order) ||
        !binance_sent_agrees(request, "symbol", order.symbol) ||
        !binance_sent_side_agrees(request, order.side) ||
        !binance_sent_dec_agrees(request, "quantity", order.quantity)) {
        return false;
    }
    if (child >= 0 && !json_equals(doc, child, "") && !json_is_null(doc, child) &&
        !binance_id(doc, child, order.child_order_id, sizeof(order.child_order_id))) {
        return false;
    }
    order.type = binance_order_type(doc, json_at(doc, 0, "orderType"));
    order.state = binance_conditional_state(doc, json_at(doc, 0, "algoStatus"), order.quantity,
                                            order.filled_quantity);
    order.average_price_known = dec_sign(order.average_price) > 0;
    json_get_bool(doc, json_at(doc, 0, "reduceOnly"), &order.reduce_only);
    order.created_ns = binance_time(doc, "createTime");
    order.updated_ns = binance_time(doc, "updateTime");
    binance_conditional_keep(&order, result);
    return true;
}

bool binance_read_conditional(const venue_request *request, const venue_answer *answer,
                              venue_result *result)
{
    return binance_read_one(request, answer, binance_conditional_object, result);
}

/* The short form that the page documents; the long one has been seen as well. */
static bool binance_conditional_gone(const json_doc *doc, const venue_request *request,
                                     venue_result *result)
{
    venue_order order = {.state = VENUE_ORDER_CANCELLED};

    if (json_at(doc, 0, "algoStatus") >= 0) {
        return binance_conditional_object(doc, request, result);
    }
    if (!json_equals(doc, json_at(doc, 0, "code"), "200") ||
        !binance_id(doc, json_at(doc, 0, "algoId"), order.venue_order_id,
                    sizeof(order.venue_order_id)) ||
        !json_copy(doc, json_at(doc, 0, "clientAlgoId"), order.client_order_id,
                   sizeof(order.client_order_id)) ||
        !binance_conditional_is_ours(request, &order)) {
        return false;
    }
    binance_conditional_keep(&order, result);
    return true;
}

bool binance_read_conditional_cancelled(const venue_request *request, const venue_answer *answer,
                                        venue_result *result)
{
    return binance_read_one(request, answer, binance_conditional_gone, result);
}
