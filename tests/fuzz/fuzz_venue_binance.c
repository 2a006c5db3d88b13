/*
 * Whatever Binance might send, and whatever the signer might be asked. The first byte chooses what
 * is fuzzed and which operation, the second the HTTP status; the rest is the text.
 *
 * Beyond memory safety: a result that is not OK holds no values; an OK order agrees with the order
 * that was placed and is possible; a text that the signer lets through has none of the names that
 * move funds.
 */
#include "venues/venue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 8
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static union {
    venue_instrument instruments[ROOM];
    venue_bracket brackets[ROOM];
    venue_balance balances[ROOM];
    venue_position positions[ROOM];
    venue_order orders[ROOM];
    venue_fill fills[ROOM];
    venue_leader leaders[ROOM];
    venue_permissions permissions[ROOM];
} values;

static venue_call call_for(enum venue_operation operation)
{
    venue_call call = {.operation = operation,
                       .market = VENUE_USDM,
                       .symbol = "BTCUSDT",
                       .time_ns = 1718000000123000000LL,
                       .quantity = DEC_ONE,
                       .trigger_price = DEC_ONE,
                       .client_order_id = "w1",
                       .leverage = 5,
                       .leader_id = "1"};

    if (operation == VENUE_OP_PLACE_CONDITIONAL) {
        call.order_type = VENUE_STOP_MARKET;
    }
    return call;
}

static void check_order(const venue_order *order, enum venue_operation operation)
{
    CHECK(memchr(order->symbol, '\0', sizeof(order->symbol)) != NULL);
    CHECK(memchr(order->client_order_id, '\0', sizeof(order->client_order_id)) != NULL);
    CHECK(dec_sign(order->filled_quantity) >= 0);
    if (operation == VENUE_OP_PLACE_ORDER) {
        CHECK(strcmp(order->symbol, "BTCUSDT") == 0);
        CHECK(strcmp(order->client_order_id, "w1") == 0);
        CHECK(order->side == VENUE_BUY);
        CHECK(dec_compare(order->quantity, DEC_ONE) == 0);
        CHECK(dec_compare(order->filled_quantity, DEC_ONE) <= 0);
        CHECK(order->venue_order_id[0] != '\0');
    }
}

static void fuzz_parse(const venue_adapter *adapter, enum venue_operation operation, int status,
                       const char *text, size_t length)
{
    venue_answer answer = {.status = status, .body = text, .body_length = length};
    venue_call call = call_for(operation);
    venue_result result = {.instruments = values.instruments, .capacity = ROOM};
    static venue_request request;

    if (adapter->build(&call, &request) != VENUE_BUILD_OK) {
        return;
    }
    adapter->parse(&request, &answer, &result);
    CHECK(memchr(result.verdict.message, '\0', sizeof(result.verdict.message)) != NULL);
    CHECK(memchr(result.next, '\0', sizeof(result.next)) != NULL);
    if (result.verdict.class_ != VENUE_OK) {
        CHECK(result.count == 0 && !result.complete);
        CHECK(result.verdict.class_ != VENUE_RETRY_LATER || result.verdict.retry_after_ns > 0);
        return;
    }
    CHECK(status >= 200 && status < 300);
    CHECK(result.truncated == (result.count > ROOM));
    if (operation == VENUE_OP_PLACE_ORDER || operation == VENUE_OP_QUERY_ORDER ||
        operation == VENUE_OP_OPEN_ORDERS) {
        for (size_t i = 0; i < result.count && i < ROOM; i++) {
            check_order(&values.orders[i], operation);
        }
    }
    if (operation == VENUE_OP_LEADER_POSITIONS) {
        for (size_t i = 0; i < result.count && i < ROOM; i++) {
            CHECK(!dec_is_zero(values.positions[i].quantity));
        }
    }
}

static void fuzz_sign(const venue_adapter *adapter, const char *text, size_t length)
{
    static const char *const names[] = {
        "coin=", "asset=", "amount=", "address=", "network=", "MAIN_", "email="};
    static const char *const paths[][2] = {{"POST", "/fapi/v1/order"},
                                           {"POST", "/fapi/v1/algoOrder"},
                                           {"GET", "/fapi/v1/userTrades"},
                                           {"POST", "/fapi/v1/marginType"},
                                           {"GET", "/fapi/v3/balance"}};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (!adapter->sign_allowed(paths[i][0], paths[i][1], text, length)) {
            continue;
        }
        CHECK(memmem(text, length, "timestamp=", 10) != NULL);
        for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++) {
            /* MAIN_ may stand in a value of free form: an id. */
            CHECK(j == 5 || memmem(text, length, names[j], strlen(names[j])) == NULL);
        }
    }
}

static void fuzz_stream(const venue_adapter *adapter, const char *text, size_t length)
{
    venue_event event;

    adapter->stream_parse(text, length, &event);
    if (event.symbol != NULL) {
        CHECK(event.symbol >= text && event.symbol + event.symbol_length <= text + length);
        CHECK(event.symbol_length < VENUE_SYMBOL_MAX);
    }
    if (event.kind == VENUE_EVENT_BEST || event.kind == VENUE_EVENT_MARK ||
        event.kind == VENUE_EVENT_TRADE) {
        CHECK(event.symbol != NULL && event.symbol_length > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = {200, 200, 200, 200, 400, 403, 408, 418, 429, 500, 503, 0};
    const venue_adapter *adapter = venue_find("binance", VENUE_USDM);
    char *text;
    size_t length;

    if (size < 2) {
        return 0;
    }
    /* Memory of its own, without a NUL behind it, so that a read past the end is seen. */
    length = size - 2;
    text = malloc(length > 0 ? length : 1);
    if (text == NULL) {
        return 0;
    }
    memcpy(text, data + 2, length);
    if (data[0] < VENUE_OP_COUNT) {
        fuzz_parse(adapter, (enum venue_operation)data[0],
                   statuses[data[1] % (sizeof(statuses) / sizeof(statuses[0]))], text, length);
    } else if (data[0] % 2 == 0) {
        fuzz_stream(adapter, text, length);
    } else {
        fuzz_sign(adapter, text, length);
    }
    free(text);
    return 0;
}
