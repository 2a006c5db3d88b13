/*
 * Recorded requests of Binance USD-M: from what a client sent to a call of the adapter, and whether
 * what is built for the same intent is the same request.
 */
#ifndef WHALE_TESTS_BINANCE_REQUESTS_H
#define WHALE_TESTS_BINANCE_REQUESTS_H

#include "core/crypto.h"
#include "tests/conformance/cases.h"

#define BINANCE_CASE_TIME_NS 1718000000123000000LL
/*
 * What a client may send otherwise than we do: how long a request is good, how much the answer
 * tells, the price that triggers (we always name it), and what ccxt passes on though Binance has no
 * such parameter there.
 */
#define BINANCE_CASE_IGNORED " recvWindow newOrderRespType workingType triggerDirection signature "

static inline const venue_adapter *binance_case_adapter(void)
{
    return venue_find("binance", VENUE_USDM);
}

/* The operation that has this method and path, found by building each. VENUE_OP_COUNT: none. */
static inline enum venue_operation binance_case_operation(const char *method, const char *path)
{
    static const struct {
        const char *method, *path;
        enum venue_operation operation;
    } rows[] = {
        {"GET", "/fapi/v1/time", VENUE_OP_SERVER_TIME},
        {"GET", "/fapi/v1/exchangeInfo", VENUE_OP_INSTRUMENTS},
        {"GET", "/fapi/v1/leverageBracket", VENUE_OP_LEVERAGE_BRACKETS},
        {"GET", "/fapi/v3/balance", VENUE_OP_BALANCES},
        {"GET", "/fapi/v2/balance", VENUE_OP_BALANCES},
        {"GET", "/fapi/v3/positionRisk", VENUE_OP_POSITIONS},
        {"GET", "/fapi/v2/positionRisk", VENUE_OP_POSITIONS},
        {"GET", "/fapi/v1/positionSide/dual", VENUE_OP_POSITION_MODE},
        {"POST", "/fapi/v1/positionSide/dual", VENUE_OP_SET_POSITION_MODE},
        {"GET", "/fapi/v1/symbolConfig", VENUE_OP_SYMBOL_SETTINGS},
        {"POST", "/fapi/v1/marginType", VENUE_OP_SET_MARGIN_MODE},
        {"POST", "/fapi/v1/leverage", VENUE_OP_SET_LEVERAGE},
        {"POST", "/fapi/v1/order", VENUE_OP_PLACE_ORDER},
        {"POST", "/fapi/v1/order/test", VENUE_OP_PLACE_ORDER},
        {"GET", "/fapi/v1/order", VENUE_OP_QUERY_ORDER},
        {"DELETE", "/fapi/v1/order", VENUE_OP_CANCEL_ORDER},
        {"POST", "/fapi/v1/algoOrder", VENUE_OP_PLACE_CONDITIONAL},
        {"GET", "/fapi/v1/algoOrder", VENUE_OP_QUERY_CONDITIONAL},
        {"DELETE", "/fapi/v1/algoOrder", VENUE_OP_CANCEL_CONDITIONAL},
        {"DELETE", "/fapi/v1/allOpenOrders", VENUE_OP_CANCEL_ALL},
        {"GET", "/fapi/v1/openOrders", VENUE_OP_OPEN_ORDERS},
        {"GET", "/fapi/v1/userTrades", VENUE_OP_FILLS},
        {"POST", "/fapi/v1/listenKey", VENUE_OP_STREAM_TOKEN},
        {"PUT", "/fapi/v1/listenKey", VENUE_OP_STREAM_TOKEN_KEEP},
        {"GET", "/sapi/v1/account/apiRestrictions", VENUE_OP_KEY_PERMISSIONS},
        {"POST", "/bapi/futures/v1/friendly/future/copy-trade/home-page/query-list",
         VENUE_OP_LEADER_RANKING},
        {"GET", "/bapi/futures/v1/friendly/future/copy-trade/lead-portfolio/detail",
         VENUE_OP_LEADER_DETAIL},
        {"GET", "/bapi/futures/v1/friendly/future/copy-trade/lead-data/positions",
         VENUE_OP_LEADER_POSITIONS},
        {"POST", "/bapi/futures/v1/friendly/future/copy-trade/lead-portfolio/order-history",
         VENUE_OP_LEADER_HISTORY},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].method, method) == 0 && strcmp(rows[i].path, path) == 0) {
            return rows[i].operation;
        }
    }
    return VENUE_OP_COUNT;
}

/* ---- requests -------------------------------------------------------------------------------- */

/* A call, and the room for the texts that it points to. */
typedef struct {
    venue_call call;
    char symbol[VENUE_SYMBOL_MAX], client_id[64], order_id[64];
} binance_case_call;

static inline dec binance_case_dec(const char *text)
{
    dec value = DEC_ZERO;

    dec_parse(text, strlen(text), &value);
    return value;
}

static inline const char *binance_case_or(const char *first, const char *second)
{
    return first[0] != '\0' ? first : second;
}

static inline void binance_case_order(const char *params, venue_call *call)
{
    static const char *const types[] = {"MARKET", "LIMIT", "STOP_MARKET", "TAKE_PROFIT_MARKET",
                                        "TRAILING_STOP_MARKET"};
    static const char *const forces[] = {"GTC", "IOC", "FOK", "GTX"};
    char text[128], other[128];

    call->order_type = (enum venue_order_type)99;
    for (int i = 0; i < 5; i++) {
        if (strcmp(cases_param(params, "type", text, sizeof(text)), types[i]) == 0) {
            call->order_type = (enum venue_order_type)i;
        }
    }
    for (int i = 0; i < 4; i++) {
        if (strcmp(cases_param(params, "timeInForce", text, sizeof(text)), forces[i]) == 0) {
            call->time_in_force = (enum venue_time_in_force)i;
        }
    }
    call->side = strcmp(cases_param(params, "side", text, sizeof(text)), "SELL") == 0 ? VENUE_SELL
                                                                                      : VENUE_BUY;
    cases_param(params, "positionSide", text, sizeof(text));
    call->position_side = strcmp(text, "LONG") == 0    ? VENUE_LONG
                          : strcmp(text, "SHORT") == 0 ? VENUE_SHORT
                                                       : VENUE_BOTH;
    call->quantity = binance_case_dec(cases_param(params, "quantity", text, sizeof(text)));
    call->price = binance_case_dec(cases_param(params, "price", text, sizeof(text)));
    call->trigger_price = binance_case_dec(
        binance_case_or(cases_param(params, "triggerPrice", text, sizeof(text)),
                        cases_param(params, "activatePrice", other, sizeof(other))));
    call->callback_rate = binance_case_dec(cases_param(params, "callbackRate", text, sizeof(text)));
    call->reduce_only = strcmp(cases_param(params, "reduceOnly", text, sizeof(text)), "true") == 0;
    call->close_position =
        strcmp(cases_param(params, "closePosition", text, sizeof(text)), "true") == 0;
    call->trigger_by = VENUE_TRIGGER_LAST;
}

/* What the client meant, read off its parameters. */
static inline void binance_case_meant(enum venue_operation operation, const char *params,
                                      binance_case_call *meant)
{
    venue_call *call = &meant->call;
    char text[128];

    memset(meant, 0, sizeof(*meant));
    call->operation = operation;
    call->market = VENUE_USDM;
    cases_param(params, "timestamp", text, sizeof(text));
    call->time_ns = text[0] == '\0' ? BINANCE_CASE_TIME_NS : strtoll(text, NULL, 10) * 1000000;
    cases_param(params, "symbol", meant->symbol, sizeof(meant->symbol));
    call->symbol = meant->symbol[0] == '\0' ? NULL : meant->symbol;
    static const char *const client_ids[] = {"newClientOrderId", "origClientOrderId",
                                             "clientAlgoId"};
    for (int i = 0; i < 3 && meant->client_id[0] == '\0'; i++) {
        cases_param(params, client_ids[i], meant->client_id, sizeof(meant->client_id));
    }
    call->client_order_id = meant->client_id[0] == '\0' ? NULL : meant->client_id;
    cases_param(params, "orderId", meant->order_id, sizeof(meant->order_id));
    if (meant->order_id[0] == '\0') {
        cases_param(params, "algoId", meant->order_id, sizeof(meant->order_id));
    }
    call->venue_order_id = meant->order_id[0] == '\0' ? NULL : meant->order_id;
    call->leverage = atoi(cases_param(params, "leverage", text, sizeof(text)));
    call->margin_mode =
        strcmp(cases_param(params, "marginType", text, sizeof(text)), "ISOLATED") == 0
            ? VENUE_ISOLATED
            : VENUE_CROSS;
    call->position_mode =
        strcmp(cases_param(params, "dualSidePosition", text, sizeof(text)), "true") == 0
            ? VENUE_HEDGE
            : VENUE_ONE_WAY;
    call->since_ns =
        strtoll(cases_param(params, "startTime", text, sizeof(text)), NULL, 10) * 1000000;
    call->limit = atoi(cases_param(params, "limit", text, sizeof(text)));
    binance_case_order(params, call);
}

/*
 * ccxt's createOrder(symbol, type, side, amount, price, params) says itself what was meant; where
 * it does, that decides, and not what ccxt made of it.
 */
static inline void binance_case_ccxt_order(cases_slice one, binance_case_call *meant)
{
    venue_call *call = &meant->call;
    jsmntok_t tokens[256];
    json_doc doc;
    cases_slice part;
    dec value;
    bool yes;

    if (!cases_part(one, "call", &part) ||
        json_parse(&doc, part.text, part.length, tokens, 256) != JSON_OK ||
        !json_equals(&doc, json_at(&doc, 0, "method"), "createOrder")) {
        return;
    }
    call->side = json_equals(&doc, json_at(&doc, 0, "args[2]"), "sell") ? VENUE_SELL : VENUE_BUY;
    if (strcmp(meant->symbol, "ADAUSDT") != 0 && /* there ccxt rounds to the filters */
        json_get_dec(&doc, json_at(&doc, 0, "args[3]"), &value)) {
        call->quantity = value;
        if (json_get_dec(&doc, json_at(&doc, 0, "args[4]"), &value)) {
            call->price = value;
        }
    }
    if (json_get_bool(&doc, json_at(&doc, 0, "args[5].reduceOnly"), &yes)) {
        call->reduce_only = yes;
    }
    if (json_get_bool(&doc, json_at(&doc, 0, "args[5].postOnly"), &yes) && yes) {
        call->time_in_force = VENUE_POST_ONLY;
    }
    if (json_get_dec(&doc, json_at(&doc, 0, "args[5].stopLossPrice"), &value) ||
        json_get_dec(&doc, json_at(&doc, 0, "args[5].takeProfitPrice"), &value) ||
        json_get_dec(&doc, json_at(&doc, 0, "args[5].triggerPrice"), &value)) {
        call->trigger_price = value;
    }
}

/* Signs what we built, and checks that the allow-list lets it through and finish puts it in place.
 */
static inline bool binance_case_finish(const venue_request *request, const char *secret)
{
    const venue_adapter *adapter = binance_case_adapter();
    uint8_t mac[CRYPTO_SHA256_SIZE];
    char signature[65], expected[VENUE_SIGN_TEXT_MAX + 80];
    venue_credentials credentials = {"fixtureKey0001", "", signature};
    venue_bytes bytes;

    if (request->scheme != VENUE_HMAC_SHA256_HEX) {
        credentials.signature = NULL;
        return adapter->finish(request, &credentials, &bytes);
    }
    if (!crypto_hmac(secret, strlen(secret), request->sign_text, request->sign_text_length, mac)) {
        return false;
    }
    crypto_hex(mac, sizeof(mac), signature);
    if (!adapter->sign_allowed(request->method, request->path, request->sign_text,
                               request->sign_text_length) ||
        !adapter->finish(request, &credentials, &bytes)) {
        return false;
    }
    snprintf(expected, sizeof(expected), "%s&signature=%s", request->sign_text, signature);
    if (request->body_length > 0) {
        return strcmp(bytes.body, expected) == 0 && strcmp(bytes.target, request->path) == 0;
    }
    return strncmp(bytes.target, request->path, strlen(request->path)) == 0 &&
           strcmp(bytes.target + strlen(request->path) + 1, expected) == 0;
}

static inline const char *binance_case_ignored(enum venue_operation operation)
{
    switch (operation) {
    case VENUE_OP_SET_MARGIN_MODE:
        return BINANCE_CASE_IGNORED "leverage ";
    case VENUE_OP_SYMBOL_SETTINGS:   /* ccxt asks for all symbols, we for one */
    case VENUE_OP_QUERY_CONDITIONAL: /* the id alone is enough */
    case VENUE_OP_CANCEL_CONDITIONAL:
        return BINANCE_CASE_IGNORED "symbol ";
    default:
        return BINANCE_CASE_IGNORED;
    }
}

/* One request of a case: what we build for the same intent has the same method, path, parameters.
 */
static inline enum cases_outcome binance_case_one_request(cases_slice one, cases_slice request)
{
    char method[16], path[160], query[2048], body[2048];
    enum venue_operation operation;
    venue_request built;
    binance_case_call meant;

    cases_text(request, "method", method, sizeof(method));
    cases_text(request, "path", path, sizeof(path));
    cases_text(request, "query", query, sizeof(query));
    cases_text(request, "body", body, sizeof(body));
    operation = binance_case_operation(method, path);
    if (operation == VENUE_OP_COUNT) {
        return CASES_SKIPPED;
    }
    /* Some clients put the parameters of a POST into the query. */
    binance_case_meant(operation, body[0] != '\0' ? body : query, &meant);
    binance_case_ccxt_order(one, &meant);
    if (operation == VENUE_OP_PLACE_CONDITIONAL && meant.call.order_type > VENUE_TRAILING_STOP) {
        return CASES_SKIPPED; /* a stop that becomes a limit order */
    }
    if (operation == VENUE_OP_SYMBOL_SETTINGS && meant.call.symbol == NULL) {
        meant.call.symbol = "BTCUSDT";
    }
    if (binance_case_adapter()->build(&meant.call, &built) != VENUE_BUILD_OK ||
        strcmp(built.method, method) != 0 || strcmp(built.path, path) != 0) {
        fprintf(stderr, "  not built as %s %s\n", method, path);
        return CASES_FAILED;
    }
    if (!cases_params_equal(built.query_length > 0 ? built.query : built.body,
                            body[0] != '\0' ? body : query, binance_case_ignored(operation))) {
        return CASES_FAILED;
    }
    return binance_case_finish(&built, "fixtureSecret0001") ? CASES_PASSED : CASES_FAILED;
}

static inline enum cases_outcome binance_case_request(cases_slice one, void *context)
{
    enum cases_outcome outcome = CASES_SKIPPED;
    cases_slice request;
    venue_scan scan;

    (void)context;
    if (!venue_scan_open(&scan, one.text, one.length, "requests")) {
        return CASES_FAILED;
    }
    while (venue_scan_next(&scan, &request.text, &request.length)) {
        enum cases_outcome each = binance_case_one_request(one, request);

        if (each == CASES_FAILED) {
            return each;
        }
        outcome = each == CASES_PASSED ? each : outcome;
    }
    return outcome;
}

#endif
