/*
 * Calls of the Binance USD-M adapter that must not become requests, and what the others put on the
 * wire beyond what the recorded requests show.
 */
#include "tests/conformance/binance_cases.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define CLIENT_ID "waaaaaaaaaaaaaaaaaaaaaaaaaa01"

static venue_call order_call(void)
{
    return (venue_call){.operation = VENUE_OP_PLACE_ORDER,
                        .market = VENUE_USDM,
                        .symbol = "BTCUSDT",
                        .time_ns = BINANCE_CASE_TIME_NS,
                        .side = VENUE_SELL,
                        .quantity = binance_case_dec("0.012"),
                        .client_order_id = CLIENT_ID};
}

static venue_call stop_call(void)
{
    venue_call call = order_call();

    call.operation = VENUE_OP_PLACE_CONDITIONAL;
    call.order_type = VENUE_STOP_MARKET;
    call.trigger_price = dec_from_int(60000);
    call.reduce_only = true;
    return call;
}

static void assert_invalid(venue_call call)
{
    venue_request request;

    assert_int_equal(binance_case_adapter()->build(&call, &request), VENUE_BUILD_INVALID);
}

static void orders_that_could_only_be_refused_are_not_built(void **state)
{
    venue_call call = order_call();

    (void)state;
    call.symbol = NULL, assert_invalid(call);
    call.symbol = "", assert_invalid(call);
    call.symbol = "BTC\nUSDT", assert_invalid(call);
    call = order_call(), call.quantity = DEC_ZERO, assert_invalid(call);
    call.quantity = binance_case_dec("-1"), assert_invalid(call);
    call = order_call(), call.client_order_id = NULL, assert_invalid(call);
    call.client_order_id = "", assert_invalid(call);
    call.client_order_id = "a&side=BUY", assert_invalid(call);
    call.client_order_id = "0123456789012345678901234567890123456", assert_invalid(call);
    call = order_call(), call.time_ns = 0, assert_invalid(call);
    call = order_call(), call.receive_window_ns = 61000000000LL, assert_invalid(call);
    call = order_call(), call.market = VENUE_SPOT, assert_invalid(call);
    call = order_call(), call.quantity_is_quote = true, assert_invalid(call);
    call = order_call(), call.close_position = true, assert_invalid(call);
    call = order_call(), call.order_type = VENUE_STOP_MARKET, assert_invalid(call);
    call = order_call(), call.order_type = VENUE_LIMIT, assert_invalid(call);
    call = order_call(), call.side = (enum venue_side)7, assert_invalid(call);
    call = order_call(), call.operation = VENUE_OP_SET_LEVERAGE, assert_invalid(call);
    call.leverage = 151, assert_invalid(call);
    call = order_call(), call.operation = VENUE_OP_QUERY_ORDER, call.client_order_id = NULL;
    assert_invalid(call);
    call.venue_order_id = "12a", assert_invalid(call);
    call = order_call(), call.operation = VENUE_OP_SET_MARGIN_MODE, call.margin_mode = VENUE_CASH;
    assert_invalid(call);
}

static void stops_that_could_only_be_refused_are_not_built(void **state)
{
    venue_call call = stop_call();
    venue_request request;

    (void)state;
    assert_int_equal(binance_case_adapter()->build(&call, &request), VENUE_BUILD_OK);
    assert_non_null(strstr(request.body, "workingType=MARK_PRICE&triggerPrice=60000&"));
    call.trigger_price = DEC_ZERO, assert_invalid(call);
    call = stop_call(), call.trigger_by = VENUE_TRIGGER_INDEX, assert_invalid(call);
    call = stop_call(), call.quantity = DEC_ZERO, assert_invalid(call);
    call.close_position = true;
    assert_int_equal(binance_case_adapter()->build(&call, &request), VENUE_BUILD_OK);
    assert_non_null(strstr(request.body, "closePosition=true"));
    assert_null(strstr(request.body, "reduceOnly"));
    assert_null(strstr(request.body, "quantity"));
    call.order_type = VENUE_TRAILING_STOP, call.callback_rate = DEC_ONE, assert_invalid(call);
    call = stop_call(), call.order_type = VENUE_TRAILING_STOP, assert_invalid(call);
    call.callback_rate = DEC_ONE;
    assert_int_equal(binance_case_adapter()->build(&call, &request), VENUE_BUILD_OK);
    assert_non_null(strstr(request.body, "callbackRate=1&activatePrice=60000&"));
    call = stop_call(), call.order_type = VENUE_LIMIT, assert_invalid(call);
    call = stop_call(), call.client_order_id = NULL, assert_invalid(call);
}

static void in_hedge_mode_a_reducing_order_cannot_open(void **state)
{
    venue_call call = order_call();
    venue_request request;

    (void)state;
    call.reduce_only = true;
    call.position_side = VENUE_LONG; /* sells: reduces the long leg */
    assert_int_equal(binance_case_adapter()->build(&call, &request), VENUE_BUILD_OK);
    assert_non_null(strstr(request.body, "positionSide=LONG"));
    assert_null(strstr(request.body, "reduceOnly"));
    call.position_side = VENUE_SHORT; /* sells: would add to the short leg */
    assert_invalid(call);
}

static void what_the_adapter_lacks_is_unsupported(void **state)
{
    venue_call call = order_call();
    venue_request request;

    (void)state;
    for (int i = 0; i < VENUE_OP_COUNT; i++) {
        enum venue_build_status status;

        call.operation = (enum venue_operation)i;
        status = binance_case_adapter()->build(&call, &request);
        assert_int_equal(status == VENUE_BUILD_UNSUPPORTED,
                         binance_case_adapter()->capabilities[i] != VENUE_CAN);
    }
    call.operation = VENUE_OP_COUNT;
    assert_int_equal(binance_case_adapter()->build(&call, &request), VENUE_BUILD_UNSUPPORTED);
}

static void symbols_are_percent_encoded_before_signing(void **state)
{
    venue_call call = order_call();
    venue_request request;

    (void)state;
    call.symbol = "\xe5\xb8\x81USDT";
    assert_int_equal(binance_case_adapter()->build(&call, &request), VENUE_BUILD_OK);
    assert_non_null(strstr(request.sign_text, "symbol=%E5%B8%81USDT&"));
    assert_string_equal(request.sign_text, request.body);
    call = order_call();
    call.client_order_id = "a.b:c/d-e_f";
    assert_int_equal(binance_case_adapter()->build(&call, &request), VENUE_BUILD_OK);
    assert_non_null(strstr(request.body, "newClientOrderId=a.b%3Ac%2Fd-e_f&"));
}

static void credentials_cannot_break_out_of_their_header(void **state)
{
    static const char signature[] =
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    venue_call call = order_call();
    venue_credentials credentials = {"key\r\nX-Evil: 1", "", signature};
    venue_request request;
    venue_bytes bytes;

    (void)state;
    assert_int_equal(binance_case_adapter()->build(&call, &request), VENUE_BUILD_OK);
    assert_false(binance_case_adapter()->finish(&request, &credentials, &bytes));
    credentials = (venue_credentials){"key", "", "abc"};
    assert_false(binance_case_adapter()->finish(&request, &credentials, &bytes));
    credentials = (venue_credentials){"key", "", NULL};
    assert_false(binance_case_adapter()->finish(&request, &credentials, &bytes));
    credentials = (venue_credentials){"key", "", signature};
    assert_true(binance_case_adapter()->finish(&request, &credentials, &bytes));
    assert_string_equal(bytes.headers[0], "X-MBX-APIKEY: key");
    assert_string_equal(bytes.headers[1], "Content-Type: application/x-www-form-urlencoded");
    assert_int_equal(bytes.header_count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_that_could_only_be_refused_are_not_built),
        cmocka_unit_test(stops_that_could_only_be_refused_are_not_built),
        cmocka_unit_test(in_hedge_mode_a_reducing_order_cannot_open),
        cmocka_unit_test(what_the_adapter_lacks_is_unsupported),
        cmocka_unit_test(symbols_are_percent_encoded_before_signing),
        cmocka_unit_test(credentials_cannot_break_out_of_their_header),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
