/*
 * Binance USD-M futures: the adapter, its table of operations, and parse.
 *
 * Promises: an answer is OK only when every value that it should hold was read and is possible; a
 * page with one unreadable element is unreadable as a whole. No I/O, no allocation, no state.
 *
 * Rules: Binance Open Platform, "USDS-M Futures" (General Info, Market Data, Trade, Account, User
 * Data Streams) and "Wallet / Get API Key Permission"; the copy-trading pages are undocumented.
 */
#include "venues/binance/binance.h"

#include "core/clock.h"
#include "venues/venue_scan.h"

#include <string.h>

#define BINANCE_TIME_MS_MAX (INT64_MAX / CLOCK_MS_NS)

#define REST VENUE_HOST_REST
#define SIGNED VENUE_HMAC_SHA256_HEX
#define LEAD "/bapi/futures/v1/friendly/future/copy-trade/"

/* method, path, host, scheme, may be repeated freely, weight, fill, read */
static const binance_endpoint binance_endpoints[VENUE_OP_COUNT] = {
    [VENUE_OP_SERVER_TIME] = {"GET", "/fapi/v1/time", REST, VENUE_UNSIGNED, true, 1,
                              binance_fill_nothing, binance_read_time},
    [VENUE_OP_INSTRUMENTS] = {"GET", "/fapi/v1/exchangeInfo", REST, VENUE_UNSIGNED, true, 1,
                              binance_fill_nothing, binance_read_instruments},
    [VENUE_OP_LEVERAGE_BRACKETS] = {"GET", "/fapi/v1/leverageBracket", REST, SIGNED, true, 1,
                                    binance_fill_symbol_or_all, binance_read_brackets},
    [VENUE_OP_BALANCES] = {"GET", "/fapi/v3/balance", REST, SIGNED, true, 5, binance_fill_nothing,
                           binance_read_balances},
    [VENUE_OP_POSITIONS] = {"GET", "/fapi/v3/positionRisk", REST, SIGNED, true, 5,
                            binance_fill_symbol_or_all, binance_read_positions},
    [VENUE_OP_POSITION_MODE] = {"GET", "/fapi/v1/positionSide/dual", REST, SIGNED, true, 30,
                                binance_fill_nothing, binance_read_position_mode},
    [VENUE_OP_SET_POSITION_MODE] = {"POST", "/fapi/v1/positionSide/dual", REST, SIGNED, false, 1,
                                    binance_fill_position_mode, binance_read_success},
    [VENUE_OP_SYMBOL_SETTINGS] = {"GET", "/fapi/v1/symbolConfig", REST, SIGNED, true, 5,
                                  binance_fill_symbol, binance_read_symbol_settings},
    [VENUE_OP_SET_MARGIN_MODE] = {"POST", "/fapi/v1/marginType", REST, SIGNED, false, 1,
                                  binance_fill_margin_mode, binance_read_success},
    [VENUE_OP_SET_LEVERAGE] = {"POST", "/fapi/v1/leverage", REST, SIGNED, false, 1,
                               binance_fill_leverage, binance_read_leverage},
    [VENUE_OP_PLACE_ORDER] = {"POST", "/fapi/v1/order", REST, SIGNED, false, 0, binance_fill_order,
                              binance_read_placed},
    [VENUE_OP_PLACE_CONDITIONAL] = {"POST", "/fapi/v1/algoOrder", REST, SIGNED, false, 0,
                                    binance_fill_conditional, binance_read_conditional},
    [VENUE_OP_CANCEL_ORDER] = {"DELETE", "/fapi/v1/order", REST, SIGNED, false, 1,
                               binance_fill_order_id, binance_read_order},
    [VENUE_OP_CANCEL_CONDITIONAL] = {"DELETE", "/fapi/v1/algoOrder", REST, SIGNED, false, 1,
                                     binance_fill_conditional_id,
                                     binance_read_conditional_cancelled},
    [VENUE_OP_CANCEL_ALL] = {"DELETE", "/fapi/v1/allOpenOrders", REST, SIGNED, false, 1,
                             binance_fill_symbol, binance_read_success},
    [VENUE_OP_QUERY_ORDER] = {"GET", "/fapi/v1/order", REST, SIGNED, true, 1, binance_fill_order_id,
                              binance_read_order},
    [VENUE_OP_QUERY_CONDITIONAL] = {"GET", "/fapi/v1/algoOrder", REST, SIGNED, true, 1,
                                    binance_fill_conditional_id, binance_read_conditional},
    [VENUE_OP_OPEN_ORDERS] = {"GET", "/fapi/v1/openOrders", REST, SIGNED, true, 1,
                              binance_fill_symbol_or_all, binance_read_orders},
    [VENUE_OP_FILLS] = {"GET", "/fapi/v1/userTrades", REST, SIGNED, true, 5, binance_fill_fills,
                        binance_read_fills},
    [VENUE_OP_KEY_PERMISSIONS] = {"GET", "/sapi/v1/account/apiRestrictions", VENUE_HOST_ACCOUNT,
                                  SIGNED, true, 1, binance_fill_nothing, binance_read_permissions},
    /* Asking again for a listen key gives the same one: repeating harms nothing. */
    [VENUE_OP_STREAM_TOKEN] = {"POST", "/fapi/v1/listenKey", REST, VENUE_KEY_ONLY, true, 1,
                               binance_fill_nothing, binance_read_listen_key},
    [VENUE_OP_STREAM_TOKEN_KEEP] = {"PUT", "/fapi/v1/listenKey", REST, VENUE_KEY_ONLY, true, 1,
                                    binance_fill_nothing, binance_read_listen_key},
    [VENUE_OP_LEADER_RANKING] = {"POST", LEAD "home-page/query-list", VENUE_HOST_LEADERS,
                                 VENUE_UNSIGNED, true, 1, binance_fill_ranking,
                                 binance_read_ranking},
    [VENUE_OP_LEADER_DETAIL] = {"GET", LEAD "lead-portfolio/detail", VENUE_HOST_LEADERS,
                                VENUE_UNSIGNED, true, 1, binance_fill_leader, binance_read_leader},
    [VENUE_OP_LEADER_POSITIONS] = {"GET", LEAD "lead-data/positions", VENUE_HOST_LEADERS,
                                   VENUE_UNSIGNED, true, 1, binance_fill_leader,
                                   binance_read_leader_positions},
    [VENUE_OP_LEADER_HISTORY] = {"POST", LEAD "lead-portfolio/order-history", VENUE_HOST_LEADERS,
                                 VENUE_UNSIGNED, true, 1, binance_fill_leader_history,
                                 binance_read_leader_history},
};

const binance_endpoint *binance_endpoint_of(enum venue_operation operation)
{
    if ((size_t)operation >= VENUE_OP_COUNT || binance_endpoints[operation].path == NULL) {
        return NULL;
    }
    return &binance_endpoints[operation];
}

/* ---- reading --------------------------------------------------------------------------------- */

bool binance_room(venue_result *result, size_t *slot)
{
    *slot = result->count++;
    if (*slot < result->capacity) {
        return true;
    }
    result->truncated = true;
    return false;
}

static bool binance_read_element(const venue_request *request, const char *text, size_t length,
                                 binance_reader reader, venue_result *result)
{
    jsmntok_t tokens[BINANCE_TOKENS];
    json_doc doc;

    return json_parse(&doc, text, length, tokens, BINANCE_TOKENS) == JSON_OK &&
           json_is_object(&doc, 0) && reader(&doc, request, result);
}

bool binance_read_list(const venue_request *request, const venue_answer *answer, const char *path,
                       binance_reader reader, venue_result *result, size_t *seen)
{
    venue_scan scan;
    const char *element;
    size_t length, count = 0;

    if (!venue_scan_document(answer->body, answer->body_length) ||
        !venue_scan_open(&scan, answer->body, answer->body_length, path)) {
        return false;
    }
    while (venue_scan_next(&scan, &element, &length)) {
        if (!binance_read_element(request, element, length, reader, result)) {
            return false;
        }
        count++;
    }
    result->complete = !result->truncated;
    if (seen != NULL) {
        *seen = count;
    }
    return true;
}

bool binance_read_one(const venue_request *request, const venue_answer *answer,
                      binance_reader reader, venue_result *result)
{
    if (!binance_read_element(request, answer->body, answer->body_length, reader, result)) {
        return false;
    }
    result->complete = !result->truncated;
    return true;
}

int64_t binance_time(const json_doc *doc, const char *path)
{
    int64_t ms;

    if (!json_get_int(doc, json_at(doc, 0, path), &ms) || ms <= 0 || ms > BINANCE_TIME_MS_MAX) {
        return 0;
    }
    return ms * CLOCK_MS_NS;
}

bool binance_id(const json_doc *doc, int node, char *out, size_t capacity)
{
    const char *text;
    size_t length;

    if (!json_slice(doc, node, &text, &length) || length == 0 || length >= capacity) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
    }
    memcpy(out, text, length);
    out[length] = '\0';
    return true;
}

int binance_word(const json_doc *doc, int node, const char *const *words, int count, int otherwise)
{
    for (int i = 0; i < count; i++) {
        if (words[i] != NULL && json_is_string(doc, node) && json_equals(doc, node, words[i])) {
            return i;
        }
    }
    return otherwise;
}

bool binance_figure(const json_doc *doc, const char *path, dec *out)
{
    int node = json_at(doc, 0, path);

    *out = DEC_ZERO;
    if (node < 0 || json_is_null(doc, node) || json_equals(doc, node, "")) {
        return true;
    }
    return json_get_dec_rounded(doc, node, out);
}

bool binance_side(const json_doc *doc, int node, enum venue_side *side)
{
    static const char *const words[] = {[VENUE_BUY] = "BUY", [VENUE_SELL] = "SELL"};
    int word = binance_word(doc, node, words, 2, -1);

    if (word < 0) {
        return false;
    }
    *side = (enum venue_side)word;
    return true;
}

bool binance_position_side(const json_doc *doc, int node, enum venue_position_side *side)
{
    static const char *const words[] = {
        [VENUE_BOTH] = "BOTH", [VENUE_LONG] = "LONG", [VENUE_SHORT] = "SHORT"};
    int word = node < 0 ? VENUE_BOTH : binance_word(doc, node, words, 3, -1);

    if (word < 0) {
        return false;
    }
    *side = (enum venue_position_side)word;
    return true;
}

/* ---- parse ----------------------------------------------------------------------------------- */

/* The caller's room stays; all else is as if nothing had been read. */
static void binance_result_clear(venue_result *result)
{
    memset(&result->verdict, 0, sizeof(result->verdict));
    result->server_time_ns = 0;
    result->count = 0;
    result->truncated = false;
    result->next[0] = '\0';
    result->position_mode = VENUE_ONE_WAY;
    result->margin_mode = VENUE_CROSS;
    result->leverage = 0;
    result->stream_token[0] = '\0';
    result->transfer_id[0] = '\0';
    result->complete = false;
}

void binance_parse(const venue_request *request, const venue_answer *answer, venue_result *result)
{
    const binance_endpoint *endpoint = binance_endpoint_of(request->operation);
    venue_answer nothing = *answer;

    if (answer->body == NULL) {
        nothing.body = "";
        nothing.body_length = 0;
        answer = &nothing;
    }
    binance_result_clear(result);
    if (endpoint == NULL) {
        binance_unreadable(request, "no such operation", &result->verdict);
        return;
    }
    binance_classify(request, answer, &result->verdict);
    if (result->verdict.class_ != VENUE_OK) {
        return;
    }
    if (!endpoint->read(request, answer, result)) {
        binance_result_clear(result);
        binance_unreadable(request, "the answer has another shape", &result->verdict);
    }
}

/* ---- the adapter ----------------------------------------------------------------------------- */

#define HOUR_NS (3600 * CLOCK_SECOND_NS)
#define MINUTE_NS (60 * CLOCK_SECOND_NS)

const venue_adapter binance_usdm = {
    .name = "binance",
    .market = VENUE_USDM,
    .capabilities =
        {
            [VENUE_OP_SERVER_TIME] = VENUE_CAN,
            [VENUE_OP_INSTRUMENTS] = VENUE_CAN,
            [VENUE_OP_LEVERAGE_BRACKETS] = VENUE_CAN,
            [VENUE_OP_BALANCES] = VENUE_CAN,
            [VENUE_OP_POSITIONS] = VENUE_CAN,
            [VENUE_OP_POSITION_MODE] = VENUE_CAN,
            [VENUE_OP_SET_POSITION_MODE] = VENUE_CAN,
            [VENUE_OP_SYMBOL_SETTINGS] = VENUE_CAN,
            [VENUE_OP_SET_MARGIN_MODE] = VENUE_CAN,
            [VENUE_OP_SET_LEVERAGE] = VENUE_CAN,
            [VENUE_OP_PLACE_ORDER] = VENUE_CAN,
            [VENUE_OP_PLACE_CONDITIONAL] = VENUE_CAN,
            [VENUE_OP_CANCEL_ORDER] = VENUE_CAN,
            [VENUE_OP_CANCEL_CONDITIONAL] = VENUE_CAN,
            [VENUE_OP_CANCEL_ALL] = VENUE_CAN,
            [VENUE_OP_QUERY_ORDER] = VENUE_CAN,
            [VENUE_OP_QUERY_CONDITIONAL] = VENUE_CAN,
            [VENUE_OP_OPEN_ORDERS] = VENUE_CAN,
            [VENUE_OP_FILLS] = VENUE_CAN,
            [VENUE_OP_TRANSFER] = VENUE_NOT_YET,
            [VENUE_OP_KEY_PERMISSIONS] = VENUE_CAN,
            [VENUE_OP_STREAM_TOKEN] = VENUE_CAN,
            [VENUE_OP_STREAM_TOKEN_KEEP] = VENUE_CAN,
            [VENUE_OP_LEADER_RANKING] = VENUE_CAN,
            [VENUE_OP_LEADER_DETAIL] = VENUE_CAN,
            [VENUE_OP_LEADER_POSITIONS] = VENUE_CAN,
            [VENUE_OP_LEADER_HISTORY] = VENUE_CAN,
        },
    .client_order_id_alphabet =
        ".:/_-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    .client_order_id_max = 36,
    .client_order_id_unique_for_ever = false, /* free again once the order is filled */
    .reduce_only_in_hedge = false,
    .build = binance_build,
    .finish = binance_finish,
    .parse = binance_parse,
    .sign_allowed = binance_sign_allowed,
    .public_rules =
        {
            .keepalive = VENUE_PING_FROM_SERVER,
            .lifetime_ns = 23 * HOUR_NS + 30 * MINUTE_NS, /* Binance cuts at 24 h */
            .subscriptions_max = 1024,
            .messages_per_second = 10,
        },
    .private_rules =
        {
            .keepalive = VENUE_PING_FROM_SERVER,
            .lifetime_ns = 23 * HOUR_NS + 30 * MINUTE_NS,
            .subscriptions_max = 0,
            .messages_per_second = 10,
            .token_keepalive = true,
            .token_keep_every_ns = 25 * MINUTE_NS, /* it lives 60 minutes */
        },
    .stream_target = binance_stream_target,
    .stream_subscribe = binance_stream_subscribe,
    .stream_login = binance_stream_login,
    .stream_parse = binance_stream_parse,
    .stream_channel_target = binance_stream_channel_target,
};
