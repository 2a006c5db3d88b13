/*
 * The Binance USD-M adapter against answers that are cut, wrong or hostile. The rule for orders:
 * only the whole answer to this very order is OK, only what Binance says it refused is refused, all
 * else is UNCLEAR.
 */
#include "tests/conformance/binance_cases.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DATA "tests/data/binance/"
#define CLIENT_ID "waaaaaaaaaaaaaaaaaaaaaaaaaa01"
#define TRUNCATION_BODY_MAX 12000 /* longer samples are cut at every so-manyth byte */

static binance_case_values values;

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

static venue_result answer_to(const venue_call *call, int status, const char *body)
{
    venue_request request;
    venue_result result;

    assert_int_equal(binance_case_adapter()->build(call, &request), VENUE_BUILD_OK);
    binance_case_parse(&request, status, (cases_slice){body, strlen(body)}, &values, &result);
    return result;
}

static venue_result order_answer(int status, const char *body)
{
    venue_call call = order_call();

    return answer_to(&call, status, body);
}

/* A reply to the order of order_call, with one member changed or (value NULL) left out. */
static const char *order_reply_as(const char *status, const char *changed, const char *value)
{
    static char body[1024];
    const char *const members[][2] = {
        {"symbol", "\"BTCUSDT\""},
        {"orderId", "9007199254740993"},
        {"side", "\"SELL\""},
        {"clientOrderId", "\"" CLIENT_ID "\""},
        {"status", status},
        {"positionSide", "\"BOTH\""},
        {"origQty", "\"0.012\""},
        {"executedQty", "\"0.012\""},
        {"avgPrice", "\"61000.50\""},
        {"cumQuote", "\"732.006\""},
        {"type", "\"MARKET\""},
        {"reduceOnly", "false"},
        {"updateTime", "1718000000500"},
    };
    size_t length = (size_t)snprintf(body, sizeof(body), "{");

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const char *text = strcmp(members[i][0], changed) == 0 ? value : members[i][1];

        if (text != NULL) {
            length += (size_t)snprintf(body + length, sizeof(body) - length, "%s\"%s\":%s",
                                       length > 1 ? "," : "", members[i][0], text);
        }
    }
    snprintf(body + length, sizeof(body) - length, "}");
    return body;
}

static const char *order_reply(const char *changed, const char *value)
{
    return order_reply_as("\"FILLED\"", changed, value);
}

/* ---- placements ------------------------------------------------------------------------------ */

static void a_filled_order_is_ok_with_its_exact_figures(void **state)
{
    venue_result result = order_answer(200, order_reply("", NULL));
    venue_call call = order_call();
    venue_request request;
    char text[DEC_TEXT_MAX];

    (void)state;
    assert_int_equal(binance_case_adapter()->build(&call, &request), VENUE_BUILD_OK);
    assert_non_null(strstr(request.body, "newOrderRespType=RESULT"));
    assert_int_equal(result.verdict.class_, VENUE_OK);
    assert_int_equal(result.count, 1);
    assert_string_equal(values.orders[0].venue_order_id, "9007199254740993");
    assert_int_equal(values.orders[0].state, VENUE_ORDER_FILLED);
    assert_true(values.orders[0].average_price_known);
    dec_format(values.orders[0].average_price, text);
    assert_string_equal(text, "61000.5");
}

static void an_average_that_is_not_told_is_not_known(void **state)
{
    static const char without[] =
        "{\"symbol\":\"BTCUSDT\",\"orderId\":1,\"clientOrderId\":\"" CLIENT_ID "\",\"side\":"
        "\"SELL\",\"status\":\"FILLED\",\"origQty\":\"0.012\",\"executedQty\":\"0.012\"}";
    venue_result result = order_answer(200, without);
    char text[DEC_TEXT_MAX];

    (void)state;
    assert_int_equal(result.verdict.class_, VENUE_OK);
    assert_false(values.orders[0].average_price_known);
    assert_true(dec_is_zero(values.orders[0].average_price));
    result = order_answer(200, order_reply("avgPrice", NULL));
    assert_true(values.orders[0].average_price_known);
    dec_format(values.orders[0].average_price, text);
    assert_string_equal(text, "61000.5"); /* 732.006 / 0.012 */
}

static void a_reply_that_is_not_to_this_order_is_unclear(void **state)
{
    static const char *const changes[][2] = {
        {"symbol", "\"ETHUSDT\""},
        {"symbol", NULL},
        {"side", "\"BUY\""},
        {"side", "\"HOLD\""},
        {"clientOrderId", "\"w2\""},
        {"clientOrderId", NULL},
        {"origQty", "\"0.013\""},
        {"origQty", "\"0.0120000000001\""},
        {"origQty", NULL},
        {"executedQty", NULL},
        {"executedQty", "\"0.013\""},
        {"executedQty", "\"-0.012\""},
        {"executedQty", "\"0.011\""},
        {"executedQty", "\"0\""},
        {"executedQty", "\"nan\""},
        {"status", NULL},
        {"status", "7"},
        {"orderId", NULL},
        {"orderId", "\"abc\""},
        {"orderId", "1.5"},
        {"positionSide", "\"UP\""},
        {"avgPrice", "\"-1\""},
        {"avgPrice", "\"x\""},
        {"cumQuote", "\"-1\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        venue_result result = order_answer(200, order_reply(changes[i][0], changes[i][1]));

        assert_int_equal(result.verdict.class_, VENUE_UNCLEAR);
        assert_int_equal(result.count, 0);
    }
}

/* Reduce-only orders are cut to the position, and nothing else is. */
static void a_reduce_only_order_may_come_back_smaller(void **state)
{
    static const struct {
        const char *quantity, *executed;
        enum venue_class plain, reducing;
    } rows[] = {
        {"\"0.012\"", "\"0.012\"", VENUE_OK, VENUE_OK},
        {"\"0.006\"", "\"0.006\"", VENUE_UNCLEAR, VENUE_OK},
        {"\"0.0120000001\"", "\"0.0120000001\"", VENUE_UNCLEAR, VENUE_UNCLEAR},
        {"\"0\"", "\"0\"", VENUE_UNCLEAR, VENUE_UNCLEAR},
        {"\"-0.006\"", "\"-0.006\"", VENUE_UNCLEAR, VENUE_UNCLEAR},
    };
    char body[512];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        venue_call call = order_call();

        snprintf(body, sizeof(body),
                 "{\"symbol\":\"BTCUSDT\",\"orderId\":1,\"clientOrderId\":\"" CLIENT_ID
                 "\",\"side\":\"SELL\",\"status\":\"FILLED\",\"positionSide\":\"BOTH\","
                 "\"origQty\":%s,\"executedQty\":%s}",
                 rows[i].quantity, rows[i].executed);
        assert_int_equal(answer_to(&call, 200, body).verdict.class_, rows[i].plain);
        call.reduce_only = true;
        assert_int_equal(answer_to(&call, 200, body).verdict.class_, rows[i].reducing);
    }
}

static void an_order_that_waits_must_be_this_one_as_well(void **state)
{
    static const char *const changes[][2] = {
        {"origQty", "\"0.013\""}, {"executedQty", "\"-0.001\""}, {"executedQty", "\"0.0121\""}};

    (void)state;
    assert_int_equal(
        order_answer(200, order_reply_as("\"NEW\"", "executedQty", "\"0\"")).verdict.class_,
        VENUE_OK);
    assert_false(values.orders[0].average_price_known);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        assert_int_equal(order_answer(200, order_reply_as("\"NEW\"", changes[i][0], changes[i][1]))
                             .verdict.class_,
                         VENUE_UNCLEAR);
    }
}

static void an_average_of_ours_is_rounded_half_even(void **state)
{
    venue_call call = order_call();
    char text[DEC_TEXT_MAX];

    (void)state;
    call.quantity = dec_from_int(3);
    assert_int_equal(
        answer_to(&call, 200,
                  "{\"symbol\":\"BTCUSDT\",\"orderId\":1,\"clientOrderId\":\"" CLIENT_ID
                  "\",\"side\":\"SELL\",\"status\":\"FILLED\",\"origQty\":\"3\","
                  "\"executedQty\":\"3\",\"avgPrice\":\"0.00000\",\"cumQuote\":\"2\"}")
            .verdict.class_,
        VENUE_OK);
    dec_format(values.orders[0].average_price, text);
    assert_string_equal(text, "0.666666666667");
}

static void a_state_that_is_new_to_us_is_unknown_not_wrong(void **state)
{
    venue_result result = order_answer(200, order_reply("status", "\"PAUSED\""));

    (void)state;
    assert_int_equal(result.verdict.class_, VENUE_OK);
    assert_int_equal(values.orders[0].state, VENUE_ORDER_STATE_UNKNOWN);
}

static void statuses_decide_what_may_have_been_executed(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum venue_class order, query;
    } rows[] = {
        {0, "", VENUE_UNCLEAR, VENUE_DOWN},
        {200, "", VENUE_UNCLEAR, VENUE_UNREADABLE},
        {200, "{}", VENUE_UNCLEAR, VENUE_UNREADABLE},
        {200, "[]", VENUE_UNCLEAR, VENUE_UNREADABLE},
        {200, "<html></html>", VENUE_UNCLEAR, VENUE_UNREADABLE},
        {200, "{\"code\":200,\"msg\":\"success\"}", VENUE_UNCLEAR, VENUE_UNREADABLE},
        {200, "{\"code\":-2019,\"msg\":\"Margin is insufficient.\"}", VENUE_REJECTED,
         VENUE_REJECTED},
        {301, "", VENUE_UNCLEAR, VENUE_UNREADABLE},
        {400, "", VENUE_UNCLEAR, VENUE_UNREADABLE},
        {400, "{\"code\":-2019,\"msg\":\"Mar", VENUE_UNCLEAR, VENUE_UNREADABLE},
        {400, "{\"code\":-99999,\"msg\":\"new\"}", VENUE_REJECTED, VENUE_REJECTED},
        {400, "{\"code\":0,\"msg\":\"\"}", VENUE_UNCLEAR, VENUE_UNREADABLE},
        {400, "{\"code\":-2013,\"msg\":\"Order does not exist.\"}", VENUE_UNCLEAR, VENUE_NOT_KNOWN},
        {401, "{\"code\":-2015,\"msg\":\"Invalid API-key, IP, or permissions for action.\"}",
         VENUE_ACCOUNT, VENUE_ACCOUNT},
        {403, "<html>blocked</html>", VENUE_DOWN, VENUE_DOWN},
        {404, "", VENUE_UNCLEAR, VENUE_UNREADABLE},
        {408, "{\"code\":-1007,\"msg\":\"Timeout\"}", VENUE_UNCLEAR, VENUE_DOWN},
        {408, "", VENUE_UNCLEAR, VENUE_DOWN},
        {418, "", VENUE_RETRY_LATER, VENUE_RETRY_LATER},
        {429, "<html></html>", VENUE_RETRY_LATER, VENUE_RETRY_LATER},
        {451, "{\"code\":0,\"msg\":\"restricted location\"}", VENUE_DOWN, VENUE_DOWN},
        {500, "", VENUE_UNCLEAR, VENUE_DOWN},
        {502, "<html>Bad gateway</html>", VENUE_UNCLEAR, VENUE_DOWN},
        {503, "{\"code\":-1008,\"msg\":\"overloaded\"}", VENUE_RETRY_LATER, VENUE_RETRY_LATER},
        {503, "{\"code\":-1000,\"msg\":\"Unknown error\"}", VENUE_UNCLEAR, VENUE_DOWN},
        {503, "{\"code\":-2019,\"msg\":\"?\"}", VENUE_UNCLEAR, VENUE_DOWN},
        {504, "", VENUE_UNCLEAR, VENUE_DOWN},
    };
    venue_call query = order_call();

    (void)state;
    query.operation = VENUE_OP_QUERY_ORDER;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(order_answer(rows[i].status, rows[i].body).verdict.class_, rows[i].order);
        assert_int_equal(answer_to(&query, rows[i].status, rows[i].body).verdict.class_,
                         rows[i].query);
    }
}

static void waiting_times_are_the_servers_or_our_own(void **state)
{
    venue_call call = order_call();
    venue_answer answer = {.status = 429, .body = "", .retry_after_ns = 7000000000LL};
    venue_request request;
    venue_result result = {0};

    (void)state;
    assert_int_equal(binance_case_adapter()->build(&call, &request), VENUE_BUILD_OK);
    binance_case_adapter()->parse(&request, &answer, &result);
    assert_true(result.verdict.retry_after_ns == 7000000000LL);
    assert_true(order_answer(429, "").verdict.retry_after_ns == 60000000000LL);
    assert_true(order_answer(418, "").verdict.retry_after_ns == 120000000000LL);
    assert_true(order_answer(400, "{\"code\":-1015,\"msg\":\"Too many new orders\"}")
                    .verdict.retry_after_ns > 0);
}

static void messages_are_cut_at_a_character_and_cleaned(void **state)
{
    char body[700] = "{\"code\":-4000,\"msg\":\"a\\u0001b\\n";
    venue_result result;

    (void)state;
    for (int i = 0; i < 120; i++) {
        strcat(body, "\xe5\xb8\x81"); /* a character of three bytes */
    }
    strcat(body, "\"}");
    result = order_answer(400, body);
    assert_int_equal(result.verdict.code, -4000);
    assert_memory_equal(result.verdict.message, "a b ", 4);
    assert_int_equal((strlen(result.verdict.message) - 4) % 3, 0);
    assert_true(strlen(result.verdict.message) > 150);
}

/* ---- conditional orders, settings, permissions ----------------------------------------------- */

static venue_call stop_call(void)
{
    venue_call call = order_call();

    call.operation = VENUE_OP_PLACE_CONDITIONAL;
    call.order_type = VENUE_STOP_MARKET;
    call.trigger_price = dec_from_int(60000);
    call.reduce_only = true;
    return call;
}

static void a_reply_that_is_not_to_this_stop_is_unclear(void **state)
{
    static const char form[] =
        "{\"algoId\":2146760,\"clientAlgoId\":\"%s\",\"orderType\":\"STOP_MARKET\","
        "\"symbol\":\"%s\",\"side\":\"%s\",\"quantity\":\"%s\",\"algoStatus\":\"NEW\"}";
    static const char *const rows[][4] = {
        {CLIENT_ID, "BTCUSDT", "SELL", "0.012"}, {"w2", "BTCUSDT", "SELL", "0.012"},
        {CLIENT_ID, "ETHUSDT", "SELL", "0.012"}, {CLIENT_ID, "BTCUSDT", "BUY", "0.012"},
        {CLIENT_ID, "BTCUSDT", "SELL", "0.013"}, {CLIENT_ID, "BTCUSDT", "SELL", "-1"},
    };
    venue_call call = stop_call();
    char body[512];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(body, sizeof(body), form, rows[i][0], rows[i][1], rows[i][2], rows[i][3]);
        assert_int_equal(answer_to(&call, 200, body).verdict.class_,
                         i == 0 ? VENUE_OK : VENUE_UNCLEAR);
    }
    assert_int_equal(
        answer_to(&call, 400, "{\"code\":-2021,\"msg\":\"would trigger\"}").verdict.class_,
        VENUE_REJECTED);
}

static void settings_are_those_of_the_symbol_asked_for(void **state)
{
    venue_call call = order_call();
    venue_result result;

    (void)state;
    call.operation = VENUE_OP_SYMBOL_SETTINGS;
    result = answer_to(&call, 200,
                       "[{\"symbol\":\"BTCUSDT\",\"marginType\":\"ISOLATED\",\"leverage\":7},"
                       "{\"symbol\":\"ETHUSDT\",\"marginType\":\"CROSSED\",\"leverage\":9}]");
    assert_int_equal(result.verdict.class_, VENUE_OK);
    assert_int_equal(result.leverage, 7);
    assert_int_equal(result.margin_mode, VENUE_ISOLATED);
    result = answer_to(&call, 200,
                       "[{\"symbol\":\"ETHUSDT\",\"marginType\":\"CROSSED\",\"leverage\":9}]");
    assert_int_equal(result.verdict.class_, VENUE_UNREADABLE);
    assert_int_equal(answer_to(&call, 200, "[]").verdict.class_, VENUE_UNREADABLE);
}

static void a_right_that_is_not_told_is_not_taken_for_absent(void **state)
{
    static const char *const names[] = {"enableReading", "enableFutures", "enableWithdrawals",
                                        "ipRestrict"};
    venue_call call = order_call();
    char body[512];

    (void)state;
    call.operation = VENUE_OP_KEY_PERMISSIONS;
    for (int left_out = 0; left_out < 5; left_out++) {
        size_t length = (size_t)snprintf(body, sizeof(body), "{\"createTime\":1");

        for (int i = 0; i < 4; i++) {
            if (i != left_out) {
                length += (size_t)snprintf(body + length, sizeof(body) - length, ",\"%s\":true",
                                           names[i]);
            }
        }
        snprintf(body + length, sizeof(body) - length, "}");
        assert_int_equal(answer_to(&call, 200, body).verdict.class_,
                         left_out < 4 ? VENUE_UNREADABLE : VENUE_OK);
    }
    assert_true(values.permissions[0].can_withdraw);
}

/* ---- cut answers ----------------------------------------------------------------------------- */

/* Every prefix, in memory of its own so that a read past its end is seen. */
static void cut_everywhere(const venue_request *request, cases_slice whole)
{
    size_t step = whole.length > TRUNCATION_BODY_MAX ? 1 + whole.length / TRUNCATION_BODY_MAX : 1;
    venue_result result;

    for (size_t length = 0; length < whole.length; length += step) {
        char *copy = malloc(length > 0 ? length : 1);

        assert_non_null(copy);
        memcpy(copy, whole.text, length);
        binance_case_parse(request, 200, (cases_slice){copy, length}, &values, &result);
        free(copy);
        assert_int_equal(result.verdict.class_,
                         request->read_only ? VENUE_UNREADABLE : VENUE_UNCLEAR);
        assert_int_equal(result.count, 0);
        assert_false(result.complete);
        assert_int_equal(result.leverage, 0);
    }
}

static enum cases_outcome cut_response(cases_slice one, void *context)
{
    char method[16], path[160];
    binance_case_call asked;
    venue_request request;
    cases_slice response;
    enum venue_operation operation;

    (void)context;
    operation = binance_case_operation(cases_text(one, "method", method, sizeof(method)),
                                       cases_text(one, "path", path, sizeof(path)));
    if (operation == VENUE_OP_COUNT || !cases_part(one, "response", &response)) {
        return CASES_SKIPPED;
    }
    assert_true(binance_case_asked(operation, response, &asked, &request));
    cut_everywhere(&request, response);
    return CASES_PASSED;
}

static void no_answer_that_was_cut_is_ok(void **state)
{
    static const char *const files[] = {
        DATA "responses_connector_usdm.json",
        DATA "responses_jkorf_usdm.json",
        DATA "responses_gct_usdm.json",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        cases_count count = {0};

        assert_true(cases_run(files[i], cut_response, NULL, &count));
        cases_report(files[i], &count);
        assert_true(count.run > 0);
    }
}

static void no_order_reply_that_was_cut_is_ok(void **state)
{
    const char *reply = order_reply("", NULL);
    venue_call call = order_call();
    venue_request request;

    (void)state;
    assert_int_equal(binance_case_adapter()->build(&call, &request), VENUE_BUILD_OK);
    cut_everywhere(&request, (cases_slice){reply, strlen(reply)});
}

static void no_leaders_page_that_was_cut_is_ok(void **state)
{
    static const struct {
        const char *file;
        enum venue_operation operation;
    } rows[] = {
        {DATA "leaders/positions_oneway.json", VENUE_OP_LEADER_POSITIONS},
        {DATA "leaders/positions_hedge.json", VENUE_OP_LEADER_POSITIONS},
        {DATA "leaders/list.json", VENUE_OP_LEADER_RANKING},
        {DATA "leaders/detail.json", VENUE_OP_LEADER_DETAIL},
        {DATA "leaders/order_history.json", VENUE_OP_LEADER_HISTORY},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        venue_call call = {.operation = rows[i].operation,
                           .market = VENUE_USDM,
                           .time_ns = BINANCE_CASE_TIME_NS,
                           .leader_id = "4800000000000000001"};
        venue_request request;
        cases_slice whole, response;
        char *text = cases_load(rows[i].file, &whole.length);

        assert_non_null(text);
        whole.text = text;
        assert_true(cases_part(whole, "response", &response));
        assert_int_equal(binance_case_adapter()->build(&call, &request), VENUE_BUILD_OK);
        cut_everywhere(&request, response);
        free(text);
    }
}

static enum cases_outcome cut_message(cases_slice one, void *context)
{
    cases_slice message;
    venue_event event;

    (void)context;
    assert_true(cases_part(one, "message", &message));
    for (size_t length = 0; length < message.length; length++) {
        char *copy = malloc(length > 0 ? length : 1);

        assert_non_null(copy);
        memcpy(copy, message.text, length);
        binance_case_adapter()->stream_parse(copy, length, &event);
        free(copy);
        assert_int_equal(event.kind, VENUE_EVENT_UNREADABLE);
    }
    return CASES_PASSED;
}

static void no_message_that_was_cut_is_an_event(void **state)
{
    cases_count count = {0};

    (void)state;
    assert_true(cases_run(DATA "ws_usdm.json", cut_message, NULL, &count));
    cases_report("messages cut", &count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_filled_order_is_ok_with_its_exact_figures),
        cmocka_unit_test(an_average_that_is_not_told_is_not_known),
        cmocka_unit_test(a_reply_that_is_not_to_this_order_is_unclear),
        cmocka_unit_test(a_reduce_only_order_may_come_back_smaller),
        cmocka_unit_test(an_order_that_waits_must_be_this_one_as_well),
        cmocka_unit_test(an_average_of_ours_is_rounded_half_even),
        cmocka_unit_test(a_reply_that_is_not_to_this_stop_is_unclear),
        cmocka_unit_test(settings_are_those_of_the_symbol_asked_for),
        cmocka_unit_test(a_right_that_is_not_told_is_not_taken_for_absent),
        cmocka_unit_test(a_state_that_is_new_to_us_is_unknown_not_wrong),
        cmocka_unit_test(statuses_decide_what_may_have_been_executed),
        cmocka_unit_test(waiting_times_are_the_servers_or_our_own),
        cmocka_unit_test(messages_are_cut_at_a_character_and_cleaned),
        cmocka_unit_test(no_answer_that_was_cut_is_ok),
        cmocka_unit_test(no_order_reply_that_was_cut_is_ok),
        cmocka_unit_test(no_leaders_page_that_was_cut_is_ok),
        cmocka_unit_test(no_message_that_was_cut_is_an_event),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
