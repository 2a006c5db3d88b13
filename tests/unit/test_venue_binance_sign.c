/*
 * The signer's allow-list for Binance: what trading needs passes, and nothing that could move funds
 * out, change the key, or be read as another request.
 */
#include "venues/venue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define STAMP "&recvWindow=5000&timestamp=1718000000123"
#define ORDER "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.012"

static bool allowed(const char *method, const char *path, const char *text)
{
    return venue_find("binance", VENUE_USDM)->sign_allowed(method, path, text, strlen(text));
}

static void trading_requests_are_signed(void **state)
{
    (void)state;
    assert_true(allowed("POST", "/fapi/v1/order", ORDER "&newClientOrderId=wabc" STAMP));
    assert_true(
        allowed("POST", "/fapi/v1/order", ORDER "&reduceOnly=true&newOrderRespType=RESULT" STAMP));
    assert_true(allowed("POST", "/fapi/v1/algoOrder",
                        "algoType=CONDITIONAL&symbol=BTCUSDT&side=SELL&type=STOP_MARKET&"
                        "closePosition=true&triggerPrice=1.5&clientAlgoId=w1" STAMP));
    assert_true(allowed("DELETE", "/fapi/v1/order", "symbol=BTCUSDT&orderId=1" STAMP));
    assert_true(allowed("GET", "/fapi/v3/balance", "timestamp=1718000000123"));
    assert_true(allowed("GET", "/sapi/v1/account/apiRestrictions", "timestamp=1718000000123"));
    assert_true(
        allowed("POST", "/fapi/v1/marginType", "symbol=%E5%B8%81USDT&marginType=ISOLATED" STAMP));
}

static void endpoints_that_are_not_trading_are_refused(void **state)
{
    static const char *const rows[][2] = {
        {"POST", "/sapi/v1/capital/withdraw/apply"},
        {"POST", "/sapi/v1/asset/transfer"},
        {"GET", "/sapi/v1/capital/config/getall"},
        {"POST", "/sapi/v1/account/enableFastWithdrawSwitch"},
        {"POST", "/sapi/v1/futures/transfer"},
        {"POST", "/fapi/v1/positionMargin"},
        {"POST", "/fapi/v3/balance"},
        {"POST", "/sapi/v1/account/apiRestrictions"},
        {"PUT", "/fapi/v1/order"},
        {"post", "/fapi/v1/order"},
        {"POST", "/fapi/v1/order/"},
        {"POST", "/fapi/v1/order?x=1"},
        {"POST", "/fapi/v1/../v1/order"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_false(allowed(rows[i][0], rows[i][1], ORDER STAMP));
        assert_false(allowed(rows[i][0], rows[i][1], "timestamp=1718000000123"));
    }
}

/* Binance does not sign the path: the text must be harmless wherever it is sent. */
static void texts_that_move_funds_are_refused_on_every_path(void **state)
{
    static const char *const texts[] = {
        "coin=USDT&address=0xabc&amount=1&network=ETH&timestamp=1",
        "coin=USDT&timestamp=1",
        "address=0xabc&timestamp=1",
        "amount=1&timestamp=1",
        "asset=USDT&amount=5&type=MAIN_UMFUTURE&timestamp=1",
        "type=UMFUTURE_MAIN&timestamp=1",
        "type=1&symbol=BTCUSDT&timestamp=1",
        "withdrawOrderId=1&timestamp=1",
        "network=ETH&timestamp=1",
        "toEmail=a&timestamp=1",
        "fromAccountType=SPOT&timestamp=1",
        "walletType=1&timestamp=1",
        "email=x&timestamp=1",
        "ipAddress=1.2.3.4&timestamp=1",
        ORDER "&coin=USDT" STAMP,
        ORDER "&amount=1" STAMP,
        ORDER "&asset=USDT" STAMP,
    };
    static const char *const paths[][2] = {
        {"POST", "/fapi/v1/order"},       {"GET", "/fapi/v1/order"},
        {"DELETE", "/fapi/v1/order"},     {"POST", "/fapi/v1/algoOrder"},
        {"POST", "/fapi/v1/leverage"},    {"POST", "/fapi/v1/marginType"},
        {"GET", "/fapi/v3/balance"},      {"GET", "/fapi/v3/positionRisk"},
        {"GET", "/fapi/v1/userTrades"},   {"GET", "/sapi/v1/account/apiRestrictions"},
        {"GET", "/fapi/v1/symbolConfig"}, {"POST", "/fapi/v1/positionSide/dual"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        for (size_t j = 0; j < sizeof(paths) / sizeof(paths[0]); j++) {
            assert_false(allowed(paths[j][0], paths[j][1], texts[i]));
        }
    }
}

static void texts_that_are_not_plain_parameters_are_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "&",
        ORDER,           /* no time: good for ever */
        ORDER STAMP "&", /* a pair without a name */
        "&" ORDER STAMP,
        ORDER "&&recvWindow=1&timestamp=1",
        ORDER "&symbol=ETHUSDT" STAMP, /* twice */
        ORDER STAMP "&timestamp=2",
        "symbol=BTC=1&side=BUY&type=MARKET&quantity=1" STAMP,
        "symbol=BTCcoin=USDT&side=BUY&type=MARKET&quantity=1" STAMP,
        "symbol=&side=BUY" STAMP,
        "symbol&side=BUY" STAMP,
        "=1" STAMP,
        "Symbol=BTCUSDT&side=BUY" STAMP,
        "s%79mbol=BTCUSDT&side=BUY" STAMP, /* an encoded name */
        "symbol=BTC USDT&side=BUY" STAMP,
        "symbol=BTC+USDT&side=BUY" STAMP,
        "symbol=BTC%2&side=BUY" STAMP,
        "symbol=BTC%zz&side=BUY" STAMP,
        "symbol=BTC%0a&side=BUY" STAMP, /* encodes are upper case, as the builder writes */
        "symbol=BTC\nUSDT&side=BUY" STAMP,
        "symbol=BTC?x&side=BUY" STAMP,
        "symbol=BTC#x&side=BUY" STAMP,
        "symbol=BTC;x&side=BUY" STAMP,
        "side=buy" STAMP,
        "side=BUYSELL" STAMP,
        "side=BUY SELL" STAMP,
        "type=MARKE" STAMP,
        "type=STOP_MARKET" STAMP, /* not at this endpoint */
        "type=MAIN_UMFUTURE" STAMP,
        "quantity=1e5" STAMP,
        "quantity=-1" STAMP,
        "quantity=1.2.3" STAMP,
        "quantity=1,5" STAMP,
        "reduceOnly=1" STAMP,
        "timestamp=abc",
        "timestamp=-1",
        "timestamp=123456789012345678901",
        "orderId=1&timestamp=1", /* of another endpoint */
        "signature=00&timestamp=1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_false(allowed("POST", "/fapi/v1/order", texts[i]));
    }
}

static void a_text_with_a_zero_byte_is_refused(void **state)
{
    static const char text[] = "symbol=BTC\0coin=USDT&timestamp=1";

    (void)state;
    assert_false(venue_find("binance", VENUE_USDM)
                     ->sign_allowed("POST", "/fapi/v1/order", text, sizeof(text) - 1));
}

/* Query and body are signed as one: a suffix of a name must be no dangerous name of its own. */
static void no_suffix_of_an_allowed_name_is_dangerous(void **state)
{
    static const char *const names[] = {
        "timestamp",
        "recvWindow",
        "symbol",
        "side",
        "positionSide",
        "type",
        "quantity",
        "price",
        "timeInForce",
        "reduceOnly",
        "newClientOrderId",
        "newOrderRespType",
        "orderId",
        "origClientOrderId",
        "algoType",
        "clientAlgoId",
        "algoId",
        "closePosition",
        "triggerPrice",
        "activatePrice",
        "callbackRate",
        "workingType",
        "leverage",
        "marginType",
        "dualSidePosition",
        "startTime",
        "endTime",
        "fromId",
        "limit",
    };
    static const char *const dangerous[] = {"coin",
                                            "asset",
                                            "amount",
                                            "address",
                                            "addressTag",
                                            "network",
                                            "walletType",
                                            "email",
                                            "uid",
                                            "toAccount",
                                            "toEmail",
                                            "fromEmail",
                                            "transferFunctionFlag"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (const char *suffix = names[i]; *suffix != '\0'; suffix++) {
            for (size_t j = 0; j < sizeof(dangerous) / sizeof(dangerous[0]); j++) {
                assert_string_not_equal(suffix, dangerous[j]);
            }
        }
    }
}

static void a_text_that_is_too_long_is_refused(void **state)
{
    static char text[VENUE_SIGN_TEXT_MAX + 64];

    (void)state;
    strcpy(text, "timestamp=1&symbol=");
    memset(text + strlen(text), 'A', 300);
    assert_false(allowed("GET", "/fapi/v3/positionRisk", text));
    memset(text, '1', sizeof(text) - 1);
    memcpy(text, "timestamp=", 10);
    assert_false(allowed("GET", "/fapi/v3/positionRisk", text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trading_requests_are_signed),
        cmocka_unit_test(endpoints_that_are_not_trading_are_refused),
        cmocka_unit_test(texts_that_move_funds_are_refused_on_every_path),
        cmocka_unit_test(texts_that_are_not_plain_parameters_are_refused),
        cmocka_unit_test(a_text_with_a_zero_byte_is_refused),
        cmocka_unit_test(no_suffix_of_an_allowed_name_is_dangerous),
        cmocka_unit_test(a_text_that_is_too_long_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
