/* Binance USD-M: streams, multiplied symbols, brackets, pages of fills. */
#include "venues/venue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TIME_NS 1718000000123000000LL

static const venue_adapter *adapter(void)
{
    return venue_find("binance", VENUE_USDM);
}

static void assert_dec(dec value, const char *expected)
{
    char text[DEC_TEXT_MAX];

    dec_format(value, text);
    assert_string_equal(text, expected);
}

static venue_event event_of(const char *message)
{
    venue_event event;

    adapter()->stream_parse(message, strlen(message), &event);
    return event;
}

static venue_result parsed(venue_call call, const char *body, void *room, size_t capacity)
{
    venue_answer answer = {.status = 200, .body = body, .body_length = strlen(body)};
    venue_result result = {0};
    venue_request request;

    call.market = VENUE_USDM;
    call.time_ns = TIME_NS;
    assert_int_equal(adapter()->build(&call, &request), VENUE_BUILD_OK);
    result.instruments = room;
    result.capacity = capacity;
    adapter()->parse(&request, &answer, &result);
    return result;
}

/* ---- streams --------------------------------------------------------------------------------- */

static void best_prices_and_marks_come_at_two_addresses(void **state)
{
    char target[64], small[4];

    (void)state;
    assert_true(adapter()->stream_channel_target(VENUE_CHANNEL_BEST, target, sizeof(target)));
    assert_string_equal(target, "/public/ws");
    assert_true(adapter()->stream_channel_target(VENUE_CHANNEL_MARK, target, sizeof(target)));
    assert_string_equal(target, "/market/ws");
    assert_true(adapter()->stream_channel_target(VENUE_CHANNEL_TRADES, target, sizeof(target)));
    assert_string_equal(target, "/market/ws");
    assert_false(adapter()->stream_channel_target(VENUE_CHANNEL_ORDERS, target, sizeof(target)));
    assert_true(adapter()->stream_target(false, NULL, target, sizeof(target)));
    assert_string_equal(target, "/public/ws");
    assert_true(adapter()->stream_target(true, "abc123", target, sizeof(target)));
    assert_string_equal(target, "/private/ws?listenKey=abc123");
    assert_false(adapter()->stream_target(true, "a&events=x", target, sizeof(target)));
    assert_false(adapter()->stream_target(true, NULL, target, sizeof(target)));
    assert_false(adapter()->stream_target(false, NULL, small, sizeof(small)));
}

static void a_subscribe_frame_takes_what_fits(void **state)
{
    static const char *const symbols[] = {"BTCUSDT", "ETHUSDT", "1000PEPEUSDT"};
    static const enum venue_channel both[] = {VENUE_CHANNEL_MARK, VENUE_CHANNEL_TRADES};
    static const enum venue_channel best[] = {VENUE_CHANNEL_BEST};
    static const enum venue_channel orders[] = {VENUE_CHANNEL_ORDERS};
    char frame[512];
    size_t length;

    (void)state;
    assert_int_equal(adapter()->stream_subscribe(symbols, 3, best, 1, 7, frame, 512, &length), 3);
    assert_string_equal(frame, "{\"method\":\"SUBSCRIBE\",\"params\":[\"btcusdt@bookTicker\","
                               "\"ethusdt@bookTicker\",\"1000pepeusdt@bookTicker\"],\"id\":7}");
    assert_int_equal(length, strlen(frame));
    assert_int_equal(adapter()->stream_subscribe(symbols, 1, both, 2, 8, frame, 512, &length), 1);
    assert_string_equal(frame, "{\"method\":\"SUBSCRIBE\",\"params\":[\"btcusdt@markPrice@1s\","
                               "\"btcusdt@aggTrade\"],\"id\":8}");
    /* Never half a symbol, whatever the room. */
    for (size_t room = 0; room < 200; room++) {
        size_t taken = adapter()->stream_subscribe(symbols, 3, best, 1, 9, frame, room, &length);

        assert_true(taken <= 3);
        if (taken > 0) {
            assert_true(length < room);
            assert_string_equal(frame + length - 8, "],\"id\":9}" + 1);
        }
    }
    assert_int_equal(adapter()->stream_subscribe(symbols, 3, orders, 1, 7, frame, 512, &length), 0);
    assert_int_equal(adapter()->stream_subscribe(symbols, 0, best, 1, 7, frame, 512, &length), 0);
}

static void a_frame_holds_at_most_200_streams(void **state)
{
    static const enum venue_channel best[] = {VENUE_CHANNEL_BEST};
    static char frame[32768];
    const char *symbols[300];
    size_t length;

    (void)state;
    for (int i = 0; i < 300; i++) {
        symbols[i] = "BTCUSDT";
    }
    assert_int_equal(
        adapter()->stream_subscribe(symbols, 300, best, 1, 1, frame, sizeof(frame), &length), 200);
}

static void a_best_price_has_both_sides(void **state)
{
    static const char raw[] = "{\"e\":\"bookTicker\",\"u\":400900217,\"E\":1568014460893,"
                              "\"T\":1568014460891,\"s\":\"BNBUSDT\",\"b\":\"25.35190000\","
                              "\"B\":\"31.21000000\",\"a\":\"25.36520000\",\"A\":\"40.66\"}";
    char combined[512];
    venue_event event = event_of(raw);

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(event.kind, VENUE_EVENT_BEST);
        assert_int_equal(event.symbol_length, 7);
        assert_memory_equal(event.symbol, "BNBUSDT", 7);
        assert_dec(event.bid, "25.3519");
        assert_dec(event.bid_size, "31.21");
        assert_dec(event.ask, "25.3652");
        assert_dec(event.ask_size, "40.66");
        assert_true(event.update_id == 400900217);
        assert_true(event.exchange_time_ns == 1568014460891000000LL);
        snprintf(combined, sizeof(combined), "{\"stream\":\"bnbusdt@bookTicker\",\"data\":%s}",
                 raw);
        event = event_of(combined);
    }
}

static void a_mark_has_its_funding_rate(void **state)
{
    venue_event event =
        event_of("{\"e\":\"markPriceUpdate\",\"E\":1562305380000,\"s\":\"BTCUSDT\",\"p\":"
                 "\"11794.15000000\",\"i\":\"1\",\"P\":\"2\",\"r\":\"0.00038167\",\"T\":1}");

    (void)state;
    assert_int_equal(event.kind, VENUE_EVENT_MARK);
    assert_dec(event.mark, "11794.15");
    assert_dec(event.funding, "0.00038167");
    assert_true(event.exchange_time_ns == 1562305380000000000LL);
}

static void a_trade_has_its_price_unless_it_was_none_of_the_market(void **state)
{
    venue_event event = event_of("{\"e\":\"aggTrade\",\"E\":3,\"s\":\"BTCUSDT\",\"a\":59,\"p\":"
                                 "\"0.001\",\"q\":\"100\",\"f\":1,\"l\":2,\"T\":2,\"m\":true}");

    (void)state;
    assert_int_equal(event.kind, VENUE_EVENT_TRADE);
    assert_dec(event.last, "0.001");
    assert_true(event.update_id == 59 && event.exchange_time_ns == 2000000);
    event = event_of("{\"e\":\"trade\",\"s\":\"BTCUSDT\",\"t\":7,\"p\":\"5\",\"X\":\"MARKET\"}");
    assert_int_equal(event.kind, VENUE_EVENT_TRADE);
    assert_true(event.update_id == 7);
    event = event_of("{\"e\":\"trade\",\"s\":\"BTCUSDT\",\"t\":7,\"p\":\"0\",\"X\":\"NA\"}");
    assert_int_equal(event.kind, VENUE_EVENT_NONE);
}

static void an_order_event_brings_the_fill_that_caused_it(void **state)
{
    venue_event event = event_of(
        "{\"e\":\"ORDER_TRADE_UPDATE\",\"E\":1568879465651,\"T\":1568879465650,\"o\":{\"s\":"
        "\"BTCUSDT\",\"c\":\"wabc\",\"S\":\"SELL\",\"o\":\"MARKET\",\"f\":\"GTC\",\"q\":\"0.003\","
        "\"p\":\"0\",\"ap\":\"9910.5\",\"sp\":\"0\",\"x\":\"TRADE\",\"X\":\"PARTIALLY_FILLED\","
        "\"i\":8886774,\"l\":\"0.001\",\"z\":\"0.002\",\"L\":\"9911\",\"N\":\"USDT\",\"n\":"
        "\"0.0039644\",\"T\":1568879465650,\"t\":77,\"b\":\"0\",\"a\":\"0\",\"m\":false,\"R\":true,"
        "\"ot\":\"MARKET\",\"ps\":\"BOTH\",\"cp\":false,\"rp\":\"-1.25\"}}");

    (void)state;
    assert_int_equal(event.kind, VENUE_EVENT_ORDER);
    assert_string_equal(event.order.client_order_id, "wabc");
    assert_string_equal(event.order.venue_order_id, "8886774");
    assert_int_equal(event.order.state, VENUE_ORDER_PARTIAL);
    assert_dec(event.order.filled_quantity, "0.002");
    assert_dec(event.order.average_price, "9910.5");
    assert_true(event.order.reduce_only && event.has_fill);
    assert_string_equal(event.fill.venue_trade_id, "77");
    assert_dec(event.fill.quantity, "0.001");
    assert_dec(event.fill.price, "9911");
    assert_dec(event.fill.quote_quantity, "9.911");
    assert_dec(event.fill.fee, "0.0039644");
    assert_dec(event.fill.realised_pnl, "-1.25");
}

static void an_account_event_says_when_there_is_more(void **state)
{
    static const char form[] =
        "{\"e\":\"ACCOUNT_UPDATE\",\"E\":2,\"T\":1,\"a\":{\"m\":\"ORDER\",\"B\":[{\"a\":\"USDT\","
        "\"wb\":\"122624.12\",\"cw\":\"100.12\",\"bc\":\"0\"}],\"P\":[{\"s\":\"BTCUSDT\",\"pa\":"
        "\"-0.5\",\"ep\":\"6563.66\",\"cr\":\"0\",\"up\":\"2850.2\",\"mt\":\"isolated\",\"iw\":"
        "\"1\","
        "\"ps\":\"SHORT\"}%s]}}";
    char message[1024];
    venue_event event;

    (void)state;
    snprintf(message, sizeof(message), form, "");
    event = event_of(message);
    assert_int_equal(event.kind, VENUE_EVENT_POSITION);
    assert_dec(event.position.quantity, "-0.5");
    assert_int_equal(event.position.position_side, VENUE_SHORT);
    assert_int_equal(event.position.margin_mode, VENUE_ISOLATED);
    assert_dec(event.balance.wallet, "122624.12");
    assert_false(event.more);
    snprintf(message, sizeof(message), form, ",{\"s\":\"ETHUSDT\"}");
    assert_true(event_of(message).more);
    event = event_of("{\"e\":\"ACCOUNT_UPDATE\",\"T\":1,\"a\":{\"m\":\"DEPOSIT\",\"B\":[{\"a\":"
                     "\"USDT\",\"wb\":\"1\",\"cw\":\"1\"}],\"P\":[]}}");
    assert_int_equal(event.kind, VENUE_EVENT_BALANCE);
}

static void words_of_the_server_are_understood(void **state)
{
    (void)state;
    assert_int_equal(event_of("{\"e\":\"listenKeyExpired\",\"E\":1,\"listenKey\":\"x\"}").kind,
                     VENUE_EVENT_TOKEN_EXPIRED);
    assert_int_equal(event_of("{\"stream\":\"x\",\"data\":{\"e\":\"listenKeyExpired\"}}").kind,
                     VENUE_EVENT_TOKEN_EXPIRED);
    assert_int_equal(event_of("{\"e\":\"serverShutdown\",\"E\":1}").kind, VENUE_EVENT_RECONNECT);
    assert_int_equal(event_of("{\"result\":null,\"id\":3}").kind, VENUE_EVENT_ACK);
    assert_int_equal(event_of("{\"result\":null,\"id\":3}").code, 0);
    assert_int_equal(event_of("{\"error\":{\"code\":2,\"msg\":\"x\"},\"id\":1}").code, 2);
    assert_int_equal(event_of("{\"e\":\"TRADE_LITE\",\"s\":\"BTCUSDT\"}").kind, VENUE_EVENT_NONE);
    assert_int_equal(event_of("[]").kind, VENUE_EVENT_NONE);
    assert_int_equal(event_of("pong").kind, VENUE_EVENT_UNREADABLE);
    assert_int_equal(event_of("{\"e\":\"bookTicker\",\"s\":\"BTCUSDT\"}").kind,
                     VENUE_EVENT_UNREADABLE);
}

/* ---- instruments ----------------------------------------------------------------------------- */

#define FILTERS                                                                                    \
    "\"filters\":[{\"filterType\":\"PRICE_FILTER\",\"tickSize\":\"0.0000001\",\"minPrice\":"       \
    "\"0.0000001\",\"maxPrice\":\"200\"},{\"filterType\":\"LOT_SIZE\",\"stepSize\":\"1\","         \
    "\"minQty\":\"1\",\"maxQty\":\"1000\"},{\"filterType\":\"MIN_NOTIONAL\",\"notional\":\"5\"}]"

static venue_instrument instrument_of(const char *base, const char *type, const char *status,
                                      const char *filters)
{
    static venue_instrument room[2];
    char body[2048];
    venue_result result;

    snprintf(body, sizeof(body),
             "{\"timezone\":\"UTC\",\"symbols\":[{\"symbol\":\"%sUSDT\",\"contractType\":\"%s\","
             "\"status\":\"%s\",\"baseAsset\":\"%s\",\"quoteAsset\":\"USDT\",\"marginAsset\":"
             "\"USDT\",%s}]}",
             base, type, status, base, filters);
    result = parsed((venue_call){.operation = VENUE_OP_INSTRUMENTS}, body, room, 2);
    assert_int_equal(result.verdict.class_, VENUE_OK);
    assert_int_equal(result.count, 1);
    return room[0];
}

static void multiplied_symbols_name_what_they_multiply(void **state)
{
    static const char *const rows[][3] = {
        {"1000PEPE", "PEPE", "1000"},
        {"1000000MOG", "MOG", "1000000"},
        {"1000SATS", "SATS", "1000"},
        {"10000LADYS", "LADYS", "10000"},
        {"1MBABYDOGE", "BABYDOGE", "1000000"},
        {"1INCH", "1INCH", "1"},
        {"BTC", "BTC", "1"},
        {"100X", "100X", "1"},
        {"1000X", "1000X", "1"},
        {"1000", "1000", "1"},
        {"10000000000AB", "10000000000AB", "1"},
        {"1M", "1M", "1"},
        {"2000AB", "2000AB", "1"},
        {"\xe5\xb8\x81\xe5\xae\x89", "\xe5\xb8\x81\xe5\xae\x89", "1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        venue_instrument instrument = instrument_of(rows[i][0], "PERPETUAL", "TRADING", FILTERS);

        assert_string_equal(instrument.underlying, rows[i][1]);
        assert_string_equal(instrument.base, rows[i][0]);
        assert_dec(instrument.multiplier, rows[i][2]);
    }
}

static void only_what_trades_is_trading(void **state)
{
    (void)state;
    assert_true(instrument_of("BTC", "PERPETUAL", "TRADING", FILTERS).trading);
    assert_true(instrument_of("BTC", "PERPETUAL", "TRADING", FILTERS).perpetual);
    assert_true(instrument_of("TSLA", "TRADIFI_PERPETUAL", "TRADING", FILTERS).perpetual);
    assert_false(instrument_of("BTC", "CURRENT_QUARTER", "TRADING", FILTERS).perpetual);
    assert_false(instrument_of("BTC", "", "PENDING_TRADING", FILTERS).trading);
    assert_false(instrument_of("BTC", "PERPETUAL", "SETTLING", FILTERS).trading);
    assert_false(instrument_of("BTC", "PERPETUAL", "TRADING", "\"filters\":[]").trading);
    assert_false(instrument_of("BTC", "PERPETUAL", "TRADING",
                               "\"filters\":[{\"filterType\":\"LOT_SIZE\",\"stepSize\":\"1\"}]")
                     .trading);
}

static void a_list_that_is_longer_than_its_room_says_so(void **state)
{
    static const char element[] =
        "{\"symbol\":\"BTCUSDT\",\"contractType\":\"PERPETUAL\",\"status\":\"TRADING\","
        "\"baseAsset\":\"BTC\",\"quoteAsset\":\"USDT\",\"marginAsset\":\"USDT\"," FILTERS "}";
    static venue_instrument room[100];
    size_t capacity = 2000 * sizeof(element) + 64, length;
    char *body = malloc(capacity);
    venue_result result;

    (void)state;
    assert_non_null(body);
    length = (size_t)snprintf(body, capacity, "{\"symbols\":[%s", element);
    for (int i = 1; i < 1999; i++) {
        length += (size_t)snprintf(body + length, capacity - length, ",%s", element);
    }
    snprintf(body + length, capacity - length, "]}");
    result = parsed((venue_call){.operation = VENUE_OP_INSTRUMENTS}, body, room, 100);
    assert_int_equal(result.verdict.class_, VENUE_OK);
    assert_int_equal(result.count, 1999);
    assert_true(result.truncated);
    assert_string_equal(room[99].symbol, "BTCUSDT");
    free(body);
}

static void brackets_come_as_a_list_or_alone(void **state)
{
    static const char alone[] =
        "{\"symbol\":\"ETHUSDT\",\"brackets\":[{\"bracket\":1,\"initialLeverage\":125,"
        "\"notionalCap\":10000,\"notionalFloor\":0,\"maintMarginRatio\":0.0065,\"cum\":0},"
        "{\"bracket\":2,\"initialLeverage\":100,\"notionalCap\":50000,\"notionalFloor\":10000,"
        "\"maintMarginRatio\":1e-2,\"cum\":15.0}]}";
    venue_bracket room[8];
    venue_result result;
    char list[1024];

    (void)state;
    snprintf(list, sizeof(list), "[%s]", alone);
    for (int i = 0; i < 2; i++) {
        result = parsed((venue_call){.operation = VENUE_OP_LEVERAGE_BRACKETS, .symbol = "ETHUSDT"},
                        i == 0 ? alone : list, room, 8);
        assert_int_equal(result.verdict.class_, VENUE_OK);
        assert_int_equal(result.count, 2);
        assert_int_equal(room[0].leverage_max, 125);
        assert_dec(room[1].maintenance_rate, "0.01");
        assert_dec(room[1].notional_from, "10000");
        assert_string_equal(room[1].symbol, "ETHUSDT");
    }
}

/* ---- fills ----------------------------------------------------------------------------------- */

static void a_full_page_of_fills_has_a_next_one(void **state)
{
    static const char body[] =
        "[{\"id\":9007199254740993,\"orderId\":1,\"symbol\":\"BTCUSDT\",\"side\":\"BUY\",\"price\":"
        "\"1\",\"qty\":\"2\",\"commission\":\"0.1\",\"commissionAsset\":\"BNB\",\"time\":1},"
        "{\"id\":9007199254740992,\"orderId\":1,\"symbol\":\"BTCUSDT\",\"side\":\"BUY\",\"price\":"
        "\"1\",\"qty\":\"2\",\"commission\":\"-0.1\",\"commissionAsset\":\"BNB\",\"time\":1}]";
    venue_call call = {.operation = VENUE_OP_FILLS, .symbol = "BTCUSDT", .limit = 2};
    venue_fill room[4];
    venue_request request;
    venue_result result = parsed(call, body, room, 4);

    (void)state;
    assert_int_equal(result.verdict.class_, VENUE_OK);
    assert_string_equal(room[0].venue_trade_id, "9007199254740993");
    assert_dec(room[1].fee, "-0.1");
    assert_string_equal(result.next, "9007199254740994");
    call.limit = 3;
    assert_string_equal(parsed(call, body, room, 4).next, "");
    call.market = VENUE_USDM;
    call.time_ns = TIME_NS;
    call.since_ns = TIME_NS;
    call.cursor = "9007199254740994";
    assert_int_equal(adapter()->build(&call, &request), VENUE_BUILD_OK);
    assert_non_null(strstr(request.query, "fromId=9007199254740994"));
    assert_null(strstr(request.query, "startTime"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(best_prices_and_marks_come_at_two_addresses),
        cmocka_unit_test(a_subscribe_frame_takes_what_fits),
        cmocka_unit_test(a_frame_holds_at_most_200_streams),
        cmocka_unit_test(a_best_price_has_both_sides),
        cmocka_unit_test(a_mark_has_its_funding_rate),
        cmocka_unit_test(a_trade_has_its_price_unless_it_was_none_of_the_market),
        cmocka_unit_test(an_order_event_brings_the_fill_that_caused_it),
        cmocka_unit_test(an_account_event_says_when_there_is_more),
        cmocka_unit_test(words_of_the_server_are_understood),
        cmocka_unit_test(multiplied_symbols_name_what_they_multiply),
        cmocka_unit_test(only_what_trades_is_trading),
        cmocka_unit_test(a_list_that_is_longer_than_its_room_says_so),
        cmocka_unit_test(brackets_come_as_a_list_or_alone),
        cmocka_unit_test(a_full_page_of_fills_has_a_next_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
