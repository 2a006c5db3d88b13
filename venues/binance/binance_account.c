/*
 * The account at Binance: time, balances, positions, position and margin mode, leverage, key
 * permissions, listen key.
 *
 * Rules: "Futures Account Balance V3", "Position Information V3", "Get Current Position Mode",
 * "Symbol Configuration", "Change Initial Leverage", "Change Margin Type", "Change Position Mode",
 * "Start User Data Stream"; Wallet's "Get API Key Permission".
 */
#include "venues/binance/binance.h"

#include <string.h>

#define BINANCE_LEVERAGE_MAX 150

/* ---- requests -------------------------------------------------------------------------------- */

bool binance_fill_nothing(const venue_call *call, binance_params *params)
{
    (void)call;
    (void)params;
    return true;
}

bool binance_fill_symbol(const venue_call *call, binance_params *params)
{
    return binance_param_symbol(params, call->symbol);
}

bool binance_fill_symbol_or_all(const venue_call *call, binance_params *params)
{
    return call->symbol == NULL || binance_param_symbol(params, call->symbol);
}

bool binance_fill_position_mode(const venue_call *call, binance_params *params)
{
    binance_param(params, "dualSidePosition",
                  call->position_mode == VENUE_HEDGE ? "true" : "false");
    return true;
}

bool binance_fill_margin_mode(const venue_call *call, binance_params *params)
{
    if (call->margin_mode == VENUE_CASH || !binance_param_symbol(params, call->symbol)) {
        return false;
    }
    binance_param(params, "marginType",
                  call->margin_mode == VENUE_ISOLATED ? "ISOLATED" : "CROSSED");
    return true;
}

bool binance_fill_leverage(const venue_call *call, binance_params *params)
{
    if (call->leverage < 1 || call->leverage > BINANCE_LEVERAGE_MAX ||
        !binance_param_symbol(params, call->symbol)) {
        return false;
    }
    binance_param_int(params, "leverage", call->leverage);
    return true;
}

/* ---- answers --------------------------------------------------------------------------------- */

static bool binance_time_object(const json_doc *doc, const venue_request *request,
                                venue_result *result)
{
    (void)request;
    result->server_time_ns = binance_time(doc, "serverTime");
    return result->server_time_ns > 0;
}

bool binance_read_time(const venue_request *request, const venue_answer *answer,
                       venue_result *result)
{
    return binance_read_one(request, answer, binance_time_object, result);
}

static bool binance_balance(const json_doc *doc, const venue_request *request, venue_result *result)
{
    venue_balance balance = {0};
    size_t slot;

    (void)request;
    if (!json_copy(doc, json_at(doc, 0, "asset"), balance.asset, sizeof(balance.asset)) ||
        !json_get_dec_rounded(doc, json_at(doc, 0, "balance"), &balance.wallet) ||
        !json_get_dec_rounded(doc, json_at(doc, 0, "availableBalance"), &balance.available) ||
        !binance_figure(doc, "crossUnPnl", &balance.unrealised)) {
        return false;
    }
    if (binance_room(result, &slot)) {
        result->balances[slot] = balance;
    }
    return true;
}

bool binance_read_balances(const venue_request *request, const venue_answer *answer,
                           venue_result *result)
{
    return binance_read_list(request, answer, "", binance_balance, result, NULL);
}

/* The third version of the answer tells neither leverage nor margin mode; the second did. */
static void binance_position_margin(const json_doc *doc, venue_position *position)
{
    int64_t leverage;
    dec isolated;

    if (json_get_int(doc, json_at(doc, 0, "leverage"), &leverage) && leverage > 0 &&
        leverage <= BINANCE_LEVERAGE_MAX) {
        position->leverage = (int)leverage;
    }
    if (json_equals(doc, json_at(doc, 0, "marginType"), "isolated") ||
        (binance_figure(doc, "isolatedWallet", &isolated) && !dec_is_zero(isolated))) {
        position->margin_mode = VENUE_ISOLATED;
    }
}

static bool binance_position(const json_doc *doc, const venue_request *request,
                             venue_result *result)
{
    venue_position position = {.margin_mode = VENUE_CROSS};
    size_t slot;

    (void)request;
    if (!json_copy(doc, json_at(doc, 0, "symbol"), position.symbol, sizeof(position.symbol)) ||
        position.symbol[0] == '\0' ||
        !binance_position_side(doc, json_at(doc, 0, "positionSide"), &position.position_side) ||
        !json_get_dec(doc, json_at(doc, 0, "positionAmt"), &position.quantity) ||
        !json_get_dec_rounded(doc, json_at(doc, 0, "entryPrice"), &position.entry_price) ||
        !binance_figure(doc, "markPrice", &position.mark_price) ||
        !binance_figure(doc, "unRealizedProfit", &position.unrealised) ||
        !binance_figure(doc, "liquidationPrice", &position.liquidation_price)) {
        return false;
    }
    if (dec_is_zero(position.quantity)) {
        return true;
    }
    binance_position_margin(doc, &position);
    position.updated_ns = binance_time(doc, "updateTime");
    if (binance_room(result, &slot)) {
        result->positions[slot] = position;
    }
    return true;
}

bool binance_read_positions(const venue_request *request, const venue_answer *answer,
                            venue_result *result)
{
    return binance_read_list(request, answer, "", binance_position, result, NULL);
}

static bool binance_dual(const json_doc *doc, const venue_request *request, venue_result *result)
{
    bool dual;

    (void)request;
    if (!json_get_bool(doc, json_at(doc, 0, "dualSidePosition"), &dual)) {
        return false;
    }
    result->position_mode = dual ? VENUE_HEDGE : VENUE_ONE_WAY;
    return true;
}

bool binance_read_position_mode(const venue_request *request, const venue_answer *answer,
                                venue_result *result)
{
    return binance_read_one(request, answer, binance_dual, result);
}

/* Reads a leverage from the answer; false where it is none. */
static bool binance_leverage(const json_doc *doc, const venue_request *request,
                             venue_result *result)
{
    int64_t leverage;

    (void)request;
    if (!json_get_int(doc, json_at(doc, 0, "leverage"), &leverage) || leverage < 1 ||
        leverage > BINANCE_LEVERAGE_MAX) {
        return false;
    }
    result->leverage = (int)leverage;
    return true;
}

bool binance_read_leverage(const venue_request *request, const venue_answer *answer,
                           venue_result *result)
{
    return binance_read_one(request, answer, binance_leverage, result);
}

/* One symbol was asked for; should the answer hold more, the others are passed over. */
static bool binance_symbol_config(const json_doc *doc, const venue_request *request,
                                  venue_result *result)
{
    static const char *const modes[] = {[VENUE_CROSS] = "CROSSED", [VENUE_ISOLATED] = "ISOLATED"};
    char symbol[VENUE_SYMBOL_MAX];
    int mode = binance_word(doc, json_at(doc, 0, "marginType"), modes, 2, -1);

    if (!json_copy(doc, json_at(doc, 0, "symbol"), symbol, sizeof(symbol))) {
        return false;
    }
    if (!binance_sent_agrees(request, "symbol", symbol)) {
        return true;
    }
    if (mode < 0) {
        return false;
    }
    result->margin_mode = (enum venue_margin_mode)mode;
    return binance_leverage(doc, request, result);
}

bool binance_read_symbol_settings(const venue_request *request, const venue_answer *answer,
                                  venue_result *result)
{
    return binance_read_list(request, answer, "", binance_symbol_config, result, NULL) &&
           result->leverage > 0;
}

static bool binance_success(const json_doc *doc, const venue_request *request, venue_result *result)
{
    (void)request;
    (void)result;
    return json_equals(doc, json_at(doc, 0, "code"), "200");
}

bool binance_read_success(const venue_request *request, const venue_answer *answer,
                          venue_result *result)
{
    return binance_read_one(request, answer, binance_success, result);
}

/* A right that is not told is not taken for absent: the answer is then unreadable. */
static bool binance_permission(const json_doc *doc, const venue_request *request,
                               venue_result *result)
{
    venue_permissions permissions = {0};
    bool universal = false, internal = false;
    size_t slot;

    (void)request;
    if (!json_get_bool(doc, json_at(doc, 0, "enableReading"), &permissions.can_read) ||
        !json_get_bool(doc, json_at(doc, 0, "enableFutures"), &permissions.can_futures) ||
        !json_get_bool(doc, json_at(doc, 0, "enableWithdrawals"), &permissions.can_withdraw) ||
        !json_get_bool(doc, json_at(doc, 0, "ipRestrict"), &permissions.ip_restricted)) {
        return false;
    }
    json_get_bool(doc, json_at(doc, 0, "enableSpotAndMarginTrading"), &permissions.can_spot);
    json_get_bool(doc, json_at(doc, 0, "permitsUniversalTransfer"), &universal);
    json_get_bool(doc, json_at(doc, 0, "enableInternalTransfer"), &internal);
    permissions.can_transfer = universal || internal;
    if (binance_room(result, &slot)) {
        result->permissions[slot] = permissions;
    }
    return true;
}

bool binance_read_permissions(const venue_request *request, const venue_answer *answer,
                              venue_result *result)
{
    return binance_read_one(request, answer, binance_permission, result);
}

bool binance_listen_key_valid(const char *token)
{
    size_t length = token == NULL ? 0 : strnlen(token, 128);

    return length > 0 && length < 128 &&
           strspn(token, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_") ==
               length;
}

/* Keeping a key alive may be answered by `{}`. */
static bool binance_listen_key(const json_doc *doc, const venue_request *request,
                               venue_result *result)
{
    int node = json_at(doc, 0, "listenKey");

    if (node < 0) {
        return request->operation == VENUE_OP_STREAM_TOKEN_KEEP;
    }
    return json_copy(doc, node, result->stream_token, sizeof(result->stream_token)) &&
           binance_listen_key_valid(result->stream_token);
}

bool binance_read_listen_key(const venue_request *request, const venue_answer *answer,
                             venue_result *result)
{
    return binance_read_one(request, answer, binance_listen_key, result);
}
