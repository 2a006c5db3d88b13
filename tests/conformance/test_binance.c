/*
 * The Binance USD-M adapter against recorded cases: requests of published clients, signatures of
 * the documentation, answers and messages of documentation and exchange, the list of errors, the
 * copy-trading pages. Where the files come from: tests/data/binance/PROVENANCE.md.
 */
#include "tests/conformance/binance_cases.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DATA "tests/data/binance/"

static binance_case_values values;

static void run_cases(const char *file, cases_function each, int least)
{
    cases_count count = {0};

    assert_true(cases_run(file, each, NULL, &count));
    cases_report(file, &count);
    assert_int_equal(count.failed, 0);
    assert_true(count.run >= least);
}

static void requests_are_those_of_ccxt(void **state)
{
    (void)state;
    run_cases(DATA "requests_ccxt_usdm.json", binance_case_request, 35);
}

static void requests_are_those_of_the_node_client(void **state)
{
    (void)state;
    run_cases(DATA "requests_sdk_usdm.json", binance_case_request, 9);
}

static void signatures_are_those_of_the_documentation(void **state)
{
    (void)state;
    run_cases(DATA "signing_vectors.json", cases_signature, 3);
}

static void answers_of_the_official_connector_are_read(void **state)
{
    (void)state;
    run_cases(DATA "responses_connector_usdm.json", binance_case_response, 16);
}

static void answers_of_jkorf_are_read(void **state)
{
    (void)state;
    run_cases(DATA "responses_jkorf_usdm.json", binance_case_response, 14);
}

static void recorded_answers_are_read(void **state)
{
    (void)state;
    run_cases(DATA "responses_gct_usdm.json", binance_case_response, 1);
    run_cases(DATA "responses_cryptofeed_usdm.json", binance_case_response, 1);
}

static void every_error_has_its_class_and_reason(void **state)
{
    (void)state;
    run_cases(DATA "errors.json", binance_case_error, 51);
}

static void messages_become_their_events(void **state)
{
    (void)state;
    run_cases(DATA "ws_usdm.json", binance_case_message, 70);
}

/* ---- values ---------------------------------------------------------------------------------- */

static void assert_dec(dec value, const char *expected)
{
    char text[DEC_TEXT_MAX];

    dec_format(value, text);
    assert_string_equal(text, expected);
}

/* The answer in a file for a path, parsed; `body` stays allocated until the program ends. */
static venue_result read_answer(const char *file, const char *method, const char *path)
{
    char found_method[16], found_path[160];
    binance_case_call asked;
    venue_request request;
    venue_result result = {0};
    venue_scan scan;
    cases_slice one, response;
    size_t length;
    char *text = cases_load(file, &length);

    assert_non_null(text);
    assert_true(venue_scan_open(&scan, text, length, ""));
    while (venue_scan_next(&scan, &one.text, &one.length)) {
        cases_text(one, "method", found_method, sizeof(found_method));
        cases_text(one, "path", found_path, sizeof(found_path));
        if (strcmp(found_path, path) != 0 || strcmp(found_method, method) != 0) {
            continue;
        }
        assert_true(cases_part(one, "response", &response));
        assert_true(
            binance_case_asked(binance_case_operation(method, path), response, &asked, &request));
        binance_case_parse(&request, 200, response, &values, &result);
        assert_int_equal(result.verdict.class_, VENUE_OK);
        free(text);
        return result;
    }
    fail_msg("%s has no %s %s", file, method, path);
    return result;
}

static void balances_are_wallet_available_and_unrealised(void **state)
{
    venue_result result =
        read_answer(DATA "responses_connector_usdm.json", "GET", "/fapi/v3/balance");

    (void)state;
    assert_int_equal(result.count, 1);
    assert_string_equal(values.balances[0].asset, "USDT");
    assert_dec(values.balances[0].wallet, "122607.35137903");
    assert_dec(values.balances[0].available, "23.72469206");
    assert_dec(values.balances[0].unrealised, "0");
}

static void positions_hold_what_the_third_version_tells(void **state)
{
    venue_result result =
        read_answer(DATA "responses_connector_usdm.json", "GET", "/fapi/v3/positionRisk");

    (void)state;
    assert_int_equal(result.count, 1);
    assert_true(result.complete);
    assert_string_equal(values.positions[0].symbol, "ADAUSDT");
    assert_int_equal(values.positions[0].position_side, VENUE_BOTH);
    assert_dec(values.positions[0].quantity, "30");
    assert_dec(values.positions[0].entry_price, "0.385");
    assert_dec(values.positions[0].mark_price, "0.4104759");
    assert_dec(values.positions[0].unrealised, "0.764277");
    assert_int_equal(values.positions[0].leverage, 0);
    assert_true(values.positions[0].updated_ns == 1720736417660000000LL);
}

static void zero_positions_are_left_out(void **state)
{
    venue_result result =
        read_answer(DATA "responses_jkorf_usdm.json", "GET", "/fapi/v2/positionRisk");

    (void)state;
    assert_int_equal(result.count, 0);
    assert_true(result.complete);
}

static void settings_tell_leverage_and_margin_mode(void **state)
{
    venue_result result =
        read_answer(DATA "responses_connector_usdm.json", "GET", "/fapi/v1/symbolConfig");

    (void)state;
    assert_int_equal(result.leverage, 21);
    assert_int_equal(result.margin_mode, VENUE_CROSS);
    result = read_answer(DATA "responses_connector_usdm.json", "POST", "/fapi/v1/leverage");
    assert_int_equal(result.leverage, 21);
    result = read_answer(DATA "responses_connector_usdm.json", "GET", "/fapi/v1/positionSide/dual");
    assert_int_equal(result.position_mode, VENUE_HEDGE);
}

static void fills_have_fee_and_profit(void **state)
{
    venue_result result =
        read_answer(DATA "responses_connector_usdm.json", "GET", "/fapi/v1/userTrades");

    (void)state;
    assert_int_equal(result.count, 1);
    assert_string_equal(values.fills[0].venue_trade_id, "698759");
    assert_string_equal(values.fills[0].venue_order_id, "25851813");
    assert_int_equal(values.fills[0].side, VENUE_SELL);
    assert_int_equal(values.fills[0].position_side, VENUE_SHORT);
    assert_dec(values.fills[0].price, "7819.01");
    assert_dec(values.fills[0].quantity, "0.002");
    assert_dec(values.fills[0].quote_quantity, "15.63802");
    assert_dec(values.fills[0].fee, "0.0781901");
    assert_dec(values.fills[0].realised_pnl, "-0.91539999");
    assert_string_equal(values.fills[0].fee_asset, "USDT");
    assert_false(values.fills[0].maker);
    assert_string_equal(result.next, "");
}

static void an_order_that_waits_has_no_average_price(void **state)
{
    (void)state;
    read_answer(DATA "responses_connector_usdm.json", "GET", "/fapi/v1/order");
    assert_string_equal(values.orders[0].venue_order_id, "1573346959");
    assert_string_equal(values.orders[0].client_order_id, "abc");
    assert_int_equal(values.orders[0].state, VENUE_ORDER_NEW);
    assert_int_equal(values.orders[0].type, VENUE_TRAILING_STOP);
    assert_dec(values.orders[0].quantity, "0.4");
    assert_false(values.orders[0].average_price_known);
    read_answer(DATA "responses_jkorf_usdm.json", "DELETE", "/fapi/v1/order");
    assert_int_equal(values.orders[0].state, VENUE_ORDER_CANCELLED);
}

static void a_conditional_order_names_the_order_it_became(void **state)
{
    (void)state;
    read_answer(DATA "responses_jkorf_usdm.json", "GET", "/fapi/v1/algoOrder");
    assert_string_equal(values.orders[0].venue_order_id, "1000001270850379");
    assert_string_equal(values.orders[0].child_order_id, "974828356187");
    assert_int_equal(values.orders[0].state, VENUE_ORDER_FILLED);
    assert_dec(values.orders[0].average_price, "69067.6");
    assert_true(values.orders[0].reduce_only);
    read_answer(DATA "responses_connector_usdm.json", "DELETE", "/fapi/v1/algoOrder");
    assert_int_equal(values.orders[0].state, VENUE_ORDER_CANCELLED);
    assert_string_equal(values.orders[0].client_order_id, "6B2I9XVcJpCjqPAJ4YoFX7");
}

static void key_permissions_are_told_apart(void **state)
{
    venue_permissions *permissions = values.permissions;

    (void)state;
    read_answer(DATA "responses_jkorf_usdm.json", "GET", "/sapi/v1/account/apiRestrictions");
    assert_true(permissions->can_read);
    assert_false(permissions->can_withdraw);
    assert_false(permissions->can_futures);
    assert_false(permissions->can_transfer);
    assert_false(permissions->ip_restricted);
}

static void instruments_have_their_filters(void **state)
{
    venue_result result =
        read_answer(DATA "responses_gct_usdm.json", "GET", "/fapi/v1/exchangeInfo");
    venue_instrument *bitcoin = &values.instruments[0];

    (void)state;
    assert_true(result.count >= 20);
    assert_string_equal(bitcoin->symbol, "BTCUSDT");
    assert_string_equal(bitcoin->underlying, "BTC");
    assert_string_equal(bitcoin->quote, "USDT");
    assert_string_equal(bitcoin->settle, "USDT");
    assert_true(bitcoin->trading && bitcoin->perpetual && !bitcoin->inverse);
    assert_dec(bitcoin->price_tick, "0.1");
    assert_dec(bitcoin->price_min, "556.8");
    assert_dec(bitcoin->price_max, "4529764");
    assert_dec(bitcoin->quantity_step, "0.001");
    assert_dec(bitcoin->quantity_max, "1000");
    assert_dec(bitcoin->market_quantity_max, "120");
    assert_dec(bitcoin->notional_min, "100");
    assert_dec(bitcoin->multiplier, "1");
    assert_dec(bitcoin->contract_size, "1");
    assert_true(bitcoin->notional_min_waived_reduce_only);
    assert_dec(venue_quantity_down(bitcoin, true, binance_case_dec("500.00199")), "120");
    assert_dec(venue_quantity_down(bitcoin, false, binance_case_dec("500.00199")), "500.001");
    for (size_t i = 0; i < result.count; i++) {
        assert_true(dec_sign(values.instruments[i].quantity_step) > 0);
        assert_true(dec_sign(values.instruments[i].price_tick) > 0);
    }
}

/* ---- what ccxt reads from the same answers ----------------------------------------------------
 */

static dec parsed_figure(cases_slice parsed, const char *path)
{
    char text[64];

    return binance_case_dec(cases_text(parsed, path, text, sizeof(text)));
}

static void check_parsed_order(cases_slice parsed)
{
    venue_order *order = &values.orders[0];
    char text[64];

    assert_string_equal(order->venue_order_id, cases_text(parsed, "id", text, sizeof(text)));
    assert_string_equal(order->client_order_id,
                        cases_text(parsed, "clientOrderId", text, sizeof(text)));
    assert_int_equal(dec_compare(order->quantity, parsed_figure(parsed, "amount")), 0);
    assert_int_equal(dec_compare(order->filled_quantity, parsed_figure(parsed, "filled")), 0);
    assert_int_equal(dec_compare(order->average_price, parsed_figure(parsed, "average")), 0);
    cases_text(parsed, "side", text, sizeof(text));
    assert_int_equal(order->side, strcmp(text, "sell") == 0 ? VENUE_SELL : VENUE_BUY);
    cases_text(parsed, "status", text, sizeof(text));
    assert_int_equal(order->state,
                     strcmp(text, "open") == 0 ? VENUE_ORDER_NEW : VENUE_ORDER_CANCELLED);
}

static void check_parsed_trade(cases_slice parsed)
{
    venue_fill *fill = &values.fills[0];
    char text[64];

    assert_string_equal(fill->venue_trade_id, cases_text(parsed, "id", text, sizeof(text)));
    assert_string_equal(fill->venue_order_id, cases_text(parsed, "order", text, sizeof(text)));
    assert_int_equal(dec_compare(fill->price, parsed_figure(parsed, "price")), 0);
    assert_int_equal(dec_compare(fill->quantity, parsed_figure(parsed, "amount")), 0);
    assert_int_equal(dec_compare(fill->quote_quantity, parsed_figure(parsed, "cost")), 0);
    assert_int_equal(dec_compare(fill->fee, parsed_figure(parsed, "fee.cost")), 0);
    cases_text(parsed, "takerOrMaker", text, sizeof(text));
    assert_int_equal(fill->maker, strcmp(text, "maker") == 0);
    assert_true(fill->time_ns / 1000000 ==
                strtoll(cases_text(parsed, "timestamp", text, sizeof(text)), NULL, 10));
}

static void check_parsed_position(cases_slice parsed)
{
    venue_position *position = &values.positions[0];
    char text[64];

    assert_int_equal(
        dec_compare(dec_absolute(position->quantity), parsed_figure(parsed, "contracts")), 0);
    assert_int_equal(dec_compare(position->entry_price, parsed_figure(parsed, "entryPrice")), 0);
    assert_int_equal(dec_compare(position->mark_price, parsed_figure(parsed, "markPrice")), 0);
    assert_int_equal(dec_compare(position->unrealised, parsed_figure(parsed, "unrealizedPnl")), 0);
    assert_int_equal(
        dec_compare(position->liquidation_price, parsed_figure(parsed, "liquidationPrice")), 0);
    assert_int_equal(position->leverage, atoi(cases_text(parsed, "leverage", text, sizeof(text))));
}

static enum cases_outcome check_parsed(cases_slice one, void *context)
{
    char kind[16];
    cases_slice raw, parsed, list;
    char body[4096];
    enum venue_operation operation;
    binance_case_call asked;
    venue_request request;
    venue_result result;

    (void)context;
    cases_text(one, "kind", kind, sizeof(kind));
    assert_true(cases_part(one, "raw", &raw) && cases_part(one, "ccxtParsed", &parsed));
    operation = strcmp(kind, "order") == 0   ? VENUE_OP_OPEN_ORDERS
                : strcmp(kind, "trade") == 0 ? VENUE_OP_FILLS
                                             : VENUE_OP_POSITIONS;
    list.text = body;
    list.length = (size_t)snprintf(body, sizeof(body), "[%.*s]", (int)raw.length, raw.text);
    assert_true(binance_case_asked(operation, list, &asked, &request));
    binance_case_parse(&request, 200, list, &values, &result);
    assert_int_equal(result.verdict.class_, VENUE_OK);
    if (result.count == 0) {
        return CASES_SKIPPED; /* a position of zero */
    }
    if (operation == VENUE_OP_OPEN_ORDERS) {
        check_parsed_order(parsed);
    } else if (operation == VENUE_OP_FILLS) {
        check_parsed_trade(parsed);
    } else {
        check_parsed_position(parsed);
    }
    return CASES_PASSED;
}

static void values_are_those_that_ccxt_reads(void **state)
{
    (void)state;
    run_cases(DATA "parsed_ccxt_usdm.json", check_parsed, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_those_of_ccxt),
        cmocka_unit_test(requests_are_those_of_the_node_client),
        cmocka_unit_test(signatures_are_those_of_the_documentation),
        cmocka_unit_test(answers_of_the_official_connector_are_read),
        cmocka_unit_test(answers_of_jkorf_are_read),
        cmocka_unit_test(recorded_answers_are_read),
        cmocka_unit_test(every_error_has_its_class_and_reason),
        cmocka_unit_test(messages_become_their_events),
        cmocka_unit_test(values_are_those_that_ccxt_reads),
        cmocka_unit_test(balances_are_wallet_available_and_unrealised),
        cmocka_unit_test(positions_hold_what_the_third_version_tells),
        cmocka_unit_test(zero_positions_are_left_out),
        cmocka_unit_test(settings_tell_leverage_and_margin_mode),
        cmocka_unit_test(fills_have_fee_and_profit),
        cmocka_unit_test(an_order_that_waits_has_no_average_price),
        cmocka_unit_test(a_conditional_order_names_the_order_it_became),
        cmocka_unit_test(key_permissions_are_told_apart),
        cmocka_unit_test(instruments_have_their_filters),
    };

    if (!crypto_start()) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
