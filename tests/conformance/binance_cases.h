/*
 * Recorded answers of Binance USD-M: from an answer's path to a call of the adapter; from an
 * error's suggested action to the class that it must have; from a message to its kind of event.
 */
#ifndef WHALE_TESTS_BINANCE_CASES_H
#define WHALE_TESTS_BINANCE_CASES_H

#include "tests/conformance/binance_requests.h"

/* ---- answers --------------------------------------------------------------------------------- */

/* Room for the values of any answer. */
#define BINANCE_CASE_ROOM 64
typedef union {
    venue_instrument instruments[BINANCE_CASE_ROOM];
    venue_bracket brackets[BINANCE_CASE_ROOM];
    venue_balance balances[BINANCE_CASE_ROOM];
    venue_position positions[BINANCE_CASE_ROOM];
    venue_order orders[BINANCE_CASE_ROOM];
    venue_fill fills[BINANCE_CASE_ROOM];
    venue_leader leaders[BINANCE_CASE_ROOM];
    venue_permissions permissions[BINANCE_CASE_ROOM];
} binance_case_values;

/* Parses an answer into room that the result points to. */
static inline void binance_case_parse(const venue_request *request, int status, cases_slice body,
                                      binance_case_values *values, venue_result *result)
{
    venue_answer answer = {.status = status, .body = body.text, .body_length = body.length};

    memset(result, 0, sizeof(*result));
    result->instruments = values->instruments;
    result->capacity = BINANCE_CASE_ROOM;
    binance_case_adapter()->parse(request, &answer, result);
}

/* The request that an answer may be the answer to: same symbol, same ids. */
static inline bool binance_case_asked(enum venue_operation operation, cases_slice answer,
                                      binance_case_call *asked, venue_request *request)
{
    char side[16], quantity[64], position_side[16];
    venue_call *call = &asked->call;
    cases_slice first = answer;
    venue_scan scan;

    if (venue_scan_open(&scan, answer.text, answer.length, "")) {
        venue_scan_next(&scan, &first.text, &first.length);
    }
    memset(asked, 0, sizeof(*asked));
    *call = (venue_call){.operation = operation,
                         .market = VENUE_USDM,
                         .time_ns = BINANCE_CASE_TIME_NS,
                         .leverage = 21,
                         .leader_id = "4800000000000000001",
                         .trigger_price = DEC_ONE};
    cases_text(first, "symbol", asked->symbol, sizeof(asked->symbol));
    call->symbol = asked->symbol[0] == '\0' ? "BTCUSDT" : asked->symbol;
    cases_text(first, "orderId", asked->order_id, sizeof(asked->order_id));
    if (asked->order_id[0] == '\0') {
        cases_text(first, "algoId", asked->order_id, sizeof(asked->order_id));
    }
    call->venue_order_id = asked->order_id[0] == '\0' ? NULL : asked->order_id;
    cases_text(first, "clientOrderId", asked->client_id, sizeof(asked->client_id));
    if (asked->client_id[0] == '\0') {
        cases_text(first, "clientAlgoId", asked->client_id, sizeof(asked->client_id));
    }
    call->client_order_id = asked->client_id[0] == '\0' ? NULL : asked->client_id;
    cases_text(first, "side", side, sizeof(side));
    call->side = strcmp(side, "SELL") == 0 ? VENUE_SELL : VENUE_BUY;
    cases_text(first, "positionSide", position_side, sizeof(position_side));
    if (operation == VENUE_OP_PLACE_ORDER && strcmp(position_side, "SHORT") == 0) {
        call->position_side = VENUE_SHORT;
    }
    cases_text(first, operation == VENUE_OP_PLACE_CONDITIONAL ? "quantity" : "origQty", quantity,
               sizeof(quantity));
    call->quantity = binance_case_dec(quantity);
    call->order_type =
        operation == VENUE_OP_PLACE_CONDITIONAL ? VENUE_TAKE_PROFIT_MARKET : VENUE_MARKET;
    return binance_case_adapter()->build(call, request) == VENUE_BUILD_OK;
}

/* An answer of a documented or recorded shape is read as OK. */
static inline enum cases_outcome binance_case_response(cases_slice one, void *context)
{
    char method[16], path[160];
    static binance_case_values values;
    binance_case_call asked;
    venue_request request;
    venue_result result;
    cases_slice response;
    enum venue_operation operation;

    (void)context;
    operation = binance_case_operation(cases_text(one, "method", method, sizeof(method)),
                                       cases_text(one, "path", path, sizeof(path)));
    if (operation == VENUE_OP_COUNT || !cases_part(one, "response", &response)) {
        return CASES_SKIPPED;
    }
    if (!binance_case_asked(operation, response, &asked, &request)) {
        return CASES_FAILED;
    }
    binance_case_parse(&request, 200, response, &values, &result);
    if (result.verdict.class_ != VENUE_OK) {
        fprintf(stderr, "  %s: %s\n", venue_class_name(result.verdict.class_),
                result.verdict.message);
        return CASES_FAILED;
    }
    return CASES_PASSED;
}

/* ---- errors ---------------------------------------------------------------------------------- */

/* What a list of errors suggests, as a class. `on` names the operation where it matters. */
static inline bool binance_case_class_fits(const char *action, const char *kind, const char *on,
                                           enum venue_class class_)
{
    if (strcmp(action, "ambiguous_query_by_client_id_first") == 0) {
        return class_ == VENUE_UNCLEAR;
    }
    if (strcmp(action, "backoff_retry") == 0 || strcmp(action, "stop_until_ban_over") == 0) {
        return class_ == VENUE_RETRY_LATER ||
               (class_ == VENUE_DOWN && strcmp(kind, "maintenance") == 0);
    }
    if (strcmp(action, "resync_clock_then_retry") == 0) {
        return class_ == VENUE_RETRY_NOW;
    }
    if (strcmp(action, "recreate_listen_key") == 0) {
        return class_ == VENUE_NOT_KNOWN;
    }
    if (strcmp(action, "treat_as_done") == 0) {
        return strcmp(kind, "duplicate_client_id") == 0 ? class_ == VENUE_DUPLICATE
               : strcmp(kind, "no_change") == 0         ? class_ == VENUE_UNCHANGED
                                                        : class_ == VENUE_NOT_KNOWN;
    }
    if (strcmp(on, "query") == 0) {
        return class_ == VENUE_NOT_KNOWN;
    }
    return strcmp(action, "fail_no_retry") == 0 &&
           (class_ == VENUE_REJECTED || class_ == VENUE_ACCOUNT);
}

/* The product's own reason for a kind of error. */
static inline bool binance_case_reason_fits(const char *kind, const venue_verdict *verdict)
{
    static const struct {
        const char *kind;
        enum whale_error reason;
    } rows[] = {
        {"insufficient_balance", ERROR_VENUE_FUNDS},
        {"min_notional", ERROR_VENUE_FILTER},
        {"lot_size", ERROR_VENUE_FILTER},
        {"tick_size", ERROR_VENUE_FILTER},
        {"precision", ERROR_VENUE_FILTER},
        {"price_band", ERROR_VENUE_FILTER},
        {"auth", ERROR_KEY_REJECTED},
        {"signature", ERROR_KEY_REJECTED},
        {"bad_symbol", ERROR_NO_INSTRUMENT},
        {"leverage", ERROR_LEVERAGE_REJECTED},
        {"reduce_only", ERROR_REDUCE_ONLY_REJECTED},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].kind, kind) == 0) {
            return verdict->reason == rows[i].reason;
        }
    }
    return (verdict->class_ != VENUE_REJECTED && verdict->class_ != VENUE_ACCOUNT) ||
           verdict->reason != ERROR_NONE;
}

static inline enum venue_operation binance_case_error_operation(const char *kind, const char *on)
{
    if (strcmp(on, "query") == 0) {
        return VENUE_OP_QUERY_ORDER;
    }
    if (strcmp(on, "cancel") == 0) {
        return VENUE_OP_CANCEL_ORDER;
    }
    return strcmp(kind, "listen_key") == 0 ? VENUE_OP_STREAM_TOKEN_KEEP : VENUE_OP_PLACE_ORDER;
}

static inline enum cases_outcome binance_case_error(cases_slice one, void *context)
{
    char code[16], message[256], kind[40], action[60], on[16], http[8], body[400];
    static binance_case_values values;
    cases_slice text = {.text = body};
    binance_case_call asked;
    venue_request request;
    venue_result result;

    (void)context;
    cases_text(one, "code", code, sizeof(code));
    cases_text(one, "msg", message, sizeof(message));
    cases_text(one, "kind", kind, sizeof(kind));
    cases_text(one, "action", action, sizeof(action));
    cases_text(one, "on", on, sizeof(on));
    cases_text(one, "http", http, sizeof(http));
    text.length =
        (size_t)snprintf(body, sizeof(body), "{\"code\":%s,\"msg\":\"%s\"}", code, message);
    if (!binance_case_asked(binance_case_error_operation(kind, on),
                            (cases_slice){"{\"origQty\":\"1\",\"clientOrderId\":\"w1\"}", 37},
                            &asked, &request)) {
        return CASES_FAILED;
    }
    binance_case_parse(&request, http[0] == '\0' ? 400 : atoi(http), text, &values, &result);
    if (result.verdict.code != atoi(code) || strcmp(result.verdict.message, message) != 0 ||
        !binance_case_class_fits(action, kind, on, result.verdict.class_) ||
        !binance_case_reason_fits(kind, &result.verdict) ||
        result.verdict.flat != (atoi(code) == -2022)) {
        fprintf(stderr, "  %s %s: %s, %s\n", code, message, venue_class_name(result.verdict.class_),
                error_code(result.verdict.reason));
        return CASES_FAILED;
    }
    return CASES_PASSED;
}

/* ---- signatures, messages -------------------------------------------------------------------- */

static inline enum cases_outcome cases_signature(cases_slice one, void *context)
{
    char venue[16], secret[128], text[1024], signature[128], ours[2 * CRYPTO_SHA256_SIZE + 1];
    uint8_t mac[CRYPTO_SHA256_SIZE];

    (void)context;
    cases_text(one, "secret", secret, sizeof(secret));
    cases_text(one, "prehash", text, sizeof(text));
    cases_text(one, "signature", signature, sizeof(signature));
    if (strcmp(cases_text(one, "venue", venue, sizeof(venue)), "binance") != 0) {
        return CASES_SKIPPED;
    }
    if (!crypto_hmac(secret, strlen(secret), text, strlen(text), mac)) {
        return CASES_FAILED;
    }
    crypto_hex(mac, sizeof(mac), ours);
    return strcmp(ours, signature) == 0 ? CASES_PASSED : CASES_FAILED;
}

/* A message's kind of event by its name; those that carry nothing for us are NONE. */
static inline enum venue_event_kind binance_case_kind(cases_slice message)
{
    static const struct {
        const char *name;
        enum venue_event_kind kind;
    } rows[] = {
        {"bookTicker", VENUE_EVENT_BEST},
        {"markPriceUpdate", VENUE_EVENT_MARK},
        {"aggTrade", VENUE_EVENT_TRADE},
        {"ORDER_TRADE_UPDATE", VENUE_EVENT_ORDER},
        {"ALGO_UPDATE", VENUE_EVENT_ORDER},
        {"ACCOUNT_UPDATE", VENUE_EVENT_POSITION},
        {"listenKeyExpired", VENUE_EVENT_TOKEN_EXPIRED},
        {"serverShutdown", VENUE_EVENT_RECONNECT},
    };
    char name[48], combined[48];
    cases_slice part;

    cases_text(message, "data.e", combined, sizeof(combined));
    cases_text(message, "e", name, sizeof(name));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].name, binance_case_or(name, combined)) == 0) {
            return rows[i].kind;
        }
    }
    return cases_part(message, "id", &part) ? VENUE_EVENT_ACK : VENUE_EVENT_NONE;
}

static inline enum cases_outcome binance_case_message(cases_slice one, void *context)
{
    cases_slice message;
    venue_event event;

    (void)context;
    if (!cases_part(one, "message", &message)) {
        return CASES_FAILED;
    }
    binance_case_adapter()->stream_parse(message.text, message.length, &event);
    return event.kind == binance_case_kind(message) ? CASES_PASSED : CASES_FAILED;
}

#endif
