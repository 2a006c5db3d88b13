/*
 * Binance's copy-trading pages: what is read of them, and when they say nothing. Unknown is never
 * flat: only a page that was read whole and lists rows is complete.
 */
#include "tests/conformance/binance_cases.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DATA "tests/data/binance/leaders/"
#define LEADER "4800000000000000001"

static binance_case_values values;

static void assert_dec(dec value, const char *expected)
{
    char text[DEC_TEXT_MAX];

    dec_format(value, text);
    assert_string_equal(text, expected);
}

static void ask(enum venue_operation operation, const char *leader, venue_request *request)
{
    venue_call call = {.operation = operation,
                       .market = VENUE_USDM,
                       .time_ns = BINANCE_CASE_TIME_NS,
                       .leader_id = leader};

    assert_int_equal(binance_case_adapter()->build(&call, request), VENUE_BUILD_OK);
}

static venue_result answer(enum venue_operation operation, int status, const char *body)
{
    venue_request request;
    venue_result result;

    ask(operation, LEADER, &request);
    binance_case_parse(&request, status, (cases_slice){body, strlen(body)}, &values, &result);
    return result;
}

/* A page kept as {"request": …, "response": …}; also checks that we ask as it was asked. */
static venue_result page(const char *file, enum venue_operation operation)
{
    char url[256], path[256];
    cases_slice whole, response;
    venue_request request;
    venue_result result;
    char *text = cases_load(file, &whole.length);

    assert_non_null(text);
    whole.text = text;
    ask(operation, LEADER, &request);
    cases_text(whole, "request.url", url, sizeof(url));
    snprintf(path, sizeof(path), "https://www.binance.com%s", request.path);
    assert_string_equal(url, path);
    assert_string_equal(cases_text(whole, "request.method", url, sizeof(url)), request.method);
    assert_int_equal(request.host, VENUE_HOST_LEADERS);
    assert_true(cases_part(whole, "response", &response));
    binance_case_parse(&request, 200, response, &values, &result);
    free(text);
    return result;
}

/* A captured page, by its description. */
static venue_result captured(const char *description, enum venue_operation operation)
{
    char found[64], leader[64];
    cases_slice one, response;
    venue_request request;
    venue_result result = {0};
    venue_scan scan;
    size_t length;
    char *text = cases_load(DATA "captured.json", &length);

    assert_non_null(text);
    assert_true(venue_scan_open(&scan, text, length, ""));
    while (venue_scan_next(&scan, &one.text, &one.length)) {
        if (strcmp(cases_text(one, "description", found, sizeof(found)), description) == 0) {
            ask(operation, cases_text(one, "leaderId", leader, sizeof(leader)), &request);
            assert_true(cases_part(one, "response", &response));
            binance_case_parse(&request, 200, response, &values, &result);
        }
    }
    free(text);
    assert_int_equal(result.verdict.class_, VENUE_OK);
    return result;
}

/* ---- reading --------------------------------------------------------------------------------- */

static void a_one_way_page_gives_the_signed_position(void **state)
{
    venue_result result = page(DATA "positions_oneway.json", VENUE_OP_LEADER_POSITIONS);

    (void)state;
    assert_int_equal(result.verdict.class_, VENUE_OK);
    assert_true(result.complete);
    assert_int_equal(result.count, 1);
    assert_string_equal(values.positions[0].symbol, "SOLUSDT");
    assert_int_equal(values.positions[0].position_side, VENUE_BOTH);
    assert_dec(values.positions[0].quantity, "-12.5");
    assert_dec(values.positions[0].entry_price, "150.1");
    assert_dec(values.positions[0].mark_price, "149.2");
    assert_dec(values.positions[0].unrealised, "11.25");
    assert_int_equal(values.positions[0].leverage, 10);
    assert_int_equal(values.positions[0].margin_mode, VENUE_ISOLATED);
}

static void a_hedged_page_gives_both_legs(void **state)
{
    venue_result result = page(DATA "positions_hedge.json", VENUE_OP_LEADER_POSITIONS);

    (void)state;
    assert_true(result.complete);
    assert_int_equal(result.count, 2);
    assert_int_equal(values.positions[0].position_side, VENUE_LONG);
    assert_dec(values.positions[0].quantity, "0.64");
    assert_int_equal(values.positions[1].position_side, VENUE_SHORT);
    assert_dec(values.positions[1].quantity, "-0.025");
}

static void a_captured_page_is_read_to_the_twelfth_place(void **state)
{
    venue_result result = captured("captured positions", VENUE_OP_LEADER_POSITIONS);

    (void)state;
    assert_true(result.complete);
    assert_int_equal(result.count, 7);
    assert_string_equal(values.positions[0].symbol, "HYPEUSDT");
    assert_dec(values.positions[0].entry_price, "33.57093894394");
    assert_string_equal(values.positions[3].symbol, "WLFIUSDT");
    assert_dec(values.positions[3].entry_price, "0.131756422581"); /* 0.1317564225807 */
    assert_dec(values.positions[6].quantity, "-0.02");
    assert_int_equal(values.positions[6].leverage, 120);
}

static void the_ranking_lists_leaders_and_its_next_page(void **state)
{
    venue_result result = page(DATA "list.json", VENUE_OP_LEADER_RANKING);

    (void)state;
    assert_int_equal(result.count, 1);
    assert_string_equal(values.leaders[0].leader_id, LEADER);
    assert_string_equal(values.leaders[0].nickname, "trader-a");
    assert_dec(values.leaders[0].roi, "41.25");
    assert_dec(values.leaders[0].pnl, "12345.67");
    assert_dec(values.leaders[0].assets_managed, "88420.88");
    assert_dec(values.leaders[0].win_rate, "61.2");
    assert_int_equal(values.leaders[0].followers, 64);
    assert_int_equal(values.leaders[0].followers_max, 400);
    assert_string_equal(result.next, "");
    result = answer(VENUE_OP_LEADER_RANKING, 200,
                    "{\"code\":\"000000\",\"success\":true,\"data\":{\"total\":21,\"list\":"
                    "[{\"leadPortfolioId\":4800000000000000001}]}}");
    assert_string_equal(values.leaders[0].leader_id, LEADER);
    assert_false(values.leaders[0].roi_known);
    assert_string_equal(result.next, "2");
    result = answer(VENUE_OP_LEADER_RANKING, 200,
                    "{\"code\":\"000000\",\"success\":true,\"data\":{\"total\":20,\"list\":"
                    "[{\"leadPortfolioId\":4800000000000000001}]}}");
    assert_string_equal(result.next, "");
}

static void the_detail_tells_whether_positions_are_shown(void **state)
{
    venue_result result = page(DATA "detail.json", VENUE_OP_LEADER_DETAIL);

    (void)state;
    assert_int_equal(result.count, 1);
    assert_true(values.leaders[0].positions_shown);
    assert_dec(values.leaders[0].equity, "25100.12345678");
    assert_dec(values.leaders[0].assets_managed, "88420.87654321");
    assert_dec(values.leaders[0].copier_pnl, "5120.11112222");
    captured("captured detail", VENUE_OP_LEADER_DETAIL);
    assert_true(values.leaders[0].positions_shown);
    assert_dec(values.leaders[0].equity, "39762.99563809");
    result = answer(VENUE_OP_LEADER_DETAIL, 200,
                    "{\"code\":\"000000\",\"success\":true,\"data\":{\"leadPortfolioId\":"
                    "\"" LEADER "\",\"status\":\"CLOSED\",\"positionShow\":true}}");
    assert_int_equal(result.verdict.class_, VENUE_OK);
    assert_false(values.leaders[0].positions_shown);
}

static void the_detail_of_another_leader_is_not_taken(void **state)
{
    venue_result result =
        answer(VENUE_OP_LEADER_DETAIL, 200,
               "{\"code\":\"000000\",\"success\":true,\"data\":{\"leadPortfolioId\":\"7\"}}");

    (void)state;
    assert_int_equal(result.verdict.class_, VENUE_UNREADABLE);
}

static void the_history_gives_executions_and_a_cursor(void **state)
{
    venue_result result = page(DATA "order_history.json", VENUE_OP_LEADER_HISTORY);

    (void)state;
    assert_int_equal(result.count, 2);
    assert_string_equal(result.next, "cursor-1");
    assert_int_equal(values.fills[0].side, VENUE_BUY);
    assert_int_equal(values.fills[0].position_side, VENUE_SHORT);
    assert_dec(values.fills[0].quantity, "0.025");
    assert_dec(values.fills[0].price, "60900.1");
    assert_dec(values.fills[0].realised_pnl, "27.7675");
    assert_true(values.fills[0].time_ns == 1769899000123000000LL);
    result = captured("captured order history", VENUE_OP_LEADER_HISTORY);
    assert_int_equal(result.count, 10);
    assert_string_equal(result.next, "");
}

/* ---- unknown is not flat --------------------------------------------------------------------- */

static void an_empty_page_is_unknown(void **state)
{
    venue_result result = page(DATA "positions_hidden.json", VENUE_OP_LEADER_POSITIONS);

    (void)state;
    assert_int_equal(result.count, 0);
    assert_false(result.complete);
}

static void a_page_of_zero_rows_is_flat(void **state)
{
    venue_result result = answer(VENUE_OP_LEADER_POSITIONS, 200,
                                 "{\"code\":\"000000\",\"success\":true,\"data\":[{\"symbol\":"
                                 "\"BTCUSDT\",\"positionSide\":\"BOTH\",\"positionAmount\":\"0\","
                                 "\"entryPrice\":\"0.0\"}]}");

    (void)state;
    assert_int_equal(result.verdict.class_, VENUE_OK);
    assert_int_equal(result.count, 0);
    assert_true(result.complete);
}

static void what_is_no_page_is_unknown(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum venue_class class_;
    } rows[] = {
        {200, "<html><body>Just a moment...</body></html>", VENUE_UNREADABLE},
        {200, "", VENUE_UNREADABLE},
        {202, "", VENUE_UNREADABLE},
        {200, "[]", VENUE_UNREADABLE},
        {200, "null", VENUE_UNREADABLE},
        {200, "{}", VENUE_UNREADABLE},
        {200, "{\"code\":\"000000\",\"success\":false,\"data\":[]}", VENUE_REJECTED},
        {200, "{\"code\":\"000002\",\"message\":\"illegal parameter\",\"success\":false}",
         VENUE_REJECTED},
        {200, "{\"code\":\"000000\",\"data\":[]}", VENUE_REJECTED},
        {200, "{\"code\":\"000000\",\"success\":true,\"data\":null}", VENUE_UNREADABLE},
        {200, "{\"code\":\"000000\",\"success\":true,\"data\":{}}", VENUE_UNREADABLE},
        {200, "{\"code\":\"000000\",\"success\":true}", VENUE_UNREADABLE},
        {200, "{\"code\":\"000000\",\"success\":true,\"data\":[null]}", VENUE_UNREADABLE},
        {200, "{\"code\":\"000000\",\"success\":true,\"data\":[7]}", VENUE_UNREADABLE},
        {403, "<html>Forbidden</html>", VENUE_DOWN},
        {403, "", VENUE_DOWN},
        {429, "", VENUE_RETRY_LATER},
        {418, "", VENUE_RETRY_LATER},
        {500, "", VENUE_DOWN},
        {503, "<html>", VENUE_DOWN},
        {302, "", VENUE_UNREADABLE},
        {404, "Not found", VENUE_UNREADABLE},
        {0, "", VENUE_DOWN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        venue_result result = answer(VENUE_OP_LEADER_POSITIONS, rows[i].status, rows[i].body);

        assert_int_equal(result.verdict.class_, rows[i].class_);
        assert_int_equal(result.count, 0);
        assert_false(result.complete);
    }
}

/* One bad row spoils the page: what it hid might be the position that seems closed. */
static void one_unreadable_row_makes_the_page_unknown(void **state)
{
    static const char *const rows[] = {
        "{\"positionSide\":\"BOTH\",\"positionAmount\":\"1\",\"entryPrice\":\"1\"}",
        "{\"symbol\":\"A\",\"positionAmount\":\"1\",\"entryPrice\":\"1\"}",
        "{\"symbol\":\"A\",\"positionSide\":\"UP\",\"positionAmount\":\"1\",\"entryPrice\":\"1\"}",
        "{\"symbol\":\"A\",\"positionSide\":\"BOTH\",\"entryPrice\":\"1\"}",
        "{\"symbol\":\"A\",\"positionSide\":\"BOTH\",\"positionAmount\":\"x\",\"entryPrice\":"
        "\"1\"}",
        "{\"symbol\":\"A\",\"positionSide\":\"BOTH\",\"positionAmount\":null,\"entryPrice\":\"1\"}",
        "{\"symbol\":\"A\",\"positionSide\":\"BOTH\",\"positionAmount\":\"1\"}",
        "{\"symbol\":\"A\",\"positionSide\":\"LONG\",\"positionAmount\":\"-1\",\"entryPrice\":"
        "\"1\"}",
        "{\"symbol\":\"\",\"positionSide\":\"BOTH\",\"positionAmount\":\"1\",\"entryPrice\":\"1\"}",
    };
    static const char good[] = "{\"symbol\":\"B\",\"positionSide\":\"LONG\",\"positionAmount\":"
                               "\"1\",\"entryPrice\":\"1\"}";
    char body[1024];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        venue_result result;

        snprintf(body, sizeof(body), "{\"code\":\"000000\",\"success\":true,\"data\":[%s,%s]}",
                 good, rows[i]);
        result = answer(VENUE_OP_LEADER_POSITIONS, 200, body);
        assert_int_equal(result.verdict.class_, VENUE_UNREADABLE);
        assert_int_equal(result.count, 0);
        assert_false(result.complete);
    }
}

static void more_rows_than_room_is_not_complete(void **state)
{
    static const char row[] = "{\"symbol\":\"B\",\"positionSide\":\"BOTH\",\"positionAmount\":"
                              "\"1\",\"entryPrice\":\"1\"}";
    char body[16384];
    size_t length;
    venue_result result;

    (void)state;
    length = (size_t)snprintf(body, sizeof(body),
                              "{\"code\":\"000000\",\"success\":true,\"data\":[%s", row);
    for (int i = 0; i < BINANCE_CASE_ROOM; i++) {
        length += (size_t)snprintf(body + length, sizeof(body) - length, ",%s", row);
    }
    snprintf(body + length, sizeof(body) - length, "]}");
    result = answer(VENUE_OP_LEADER_POSITIONS, 200, body);
    assert_int_equal(result.verdict.class_, VENUE_OK);
    assert_int_equal(result.count, BINANCE_CASE_ROOM + 1);
    assert_true(result.truncated);
    assert_false(result.complete);
}

static void a_short_row_is_negative_however_it_is_written(void **state)
{
    (void)state;
    answer(VENUE_OP_LEADER_POSITIONS, 200,
           "{\"code\":\"000000\",\"success\":true,\"data\":[{\"symbol\":\"B\",\"positionSide\":"
           "\"SHORT\",\"positionAmount\":\"2\",\"entryPrice\":\"1\"}]}");
    assert_dec(values.positions[0].quantity, "-2");
}

static void ids_that_are_none_are_not_asked(void **state)
{
    static const char *const ids[] = {NULL, "", "../../withdraw", "1&x=2", "a b", "1?"};
    venue_call call = {.operation = VENUE_OP_LEADER_POSITIONS, .market = VENUE_USDM};
    venue_request request;

    (void)state;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        call.leader_id = ids[i];
        assert_int_equal(binance_case_adapter()->build(&call, &request), VENUE_BUILD_INVALID);
    }
    call.operation = VENUE_OP_LEADER_RANKING;
    call.cursor = "x";
    assert_int_equal(binance_case_adapter()->build(&call, &request), VENUE_BUILD_INVALID);
    call.cursor = "3";
    assert_int_equal(binance_case_adapter()->build(&call, &request), VENUE_BUILD_OK);
    assert_non_null(strstr(request.body, "\"pageNumber\":3,\"pageSize\":20,"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_one_way_page_gives_the_signed_position),
        cmocka_unit_test(a_hedged_page_gives_both_legs),
        cmocka_unit_test(a_captured_page_is_read_to_the_twelfth_place),
        cmocka_unit_test(the_ranking_lists_leaders_and_its_next_page),
        cmocka_unit_test(the_detail_tells_whether_positions_are_shown),
        cmocka_unit_test(the_detail_of_another_leader_is_not_taken),
        cmocka_unit_test(the_history_gives_executions_and_a_cursor),
        cmocka_unit_test(an_empty_page_is_unknown),
        cmocka_unit_test(a_page_of_zero_rows_is_flat),
        cmocka_unit_test(what_is_no_page_is_unknown),
        cmocka_unit_test(one_unreadable_row_makes_the_page_unknown),
        cmocka_unit_test(more_rows_than_room_is_not_complete),
        cmocka_unit_test(a_short_row_is_negative_however_it_is_written),
        cmocka_unit_test(ids_that_are_none_are_not_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
