/*
 * What users are told, how fast, and what Telegram's answers mean.
 */
#include "core/clock.h"
#include "workerd/notify/notify_answer.h"
#include "workerd/notify/notify_limit.h"
#include "workerd/notify/notify_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static dec d(const char *text)
{
    dec value = DEC_ZERO;

    assert_true(dec_parse(text, strlen(text), &value));
    return value;
}

static void an_opening_is_told_with_side_size_price_and_whose_copy_it_is(void **state)
{
    char text[NOTIFY_SENTENCE_MAX];
    notify_facts facts = {.kind = "fill",
                          .symbol = "BTCUSDT",
                          .quote_asset = "USDT",
                          .whale = "A <b> & co",
                          .side = "BUY",
                          .leverage = 5,
                          .quantity = d("0.012"),
                          .price = d("61800.2")};

    (void)state;
    notify_sentence(&facts, text, sizeof(text));
    assert_string_equal(
        text, "Opened <b>LONG</b> 0.012 BTCUSDT at 61,800.2, 5x (copy of A &lt;b&gt; &amp; co).");
}

static void a_close_is_told_with_its_profit_and_the_side_that_was_held(void **state)
{
    char text[NOTIFY_SENTENCE_MAX];
    notify_facts facts = {.kind = "fill",
                          .symbol = "ETHUSDT",
                          .quote_asset = "USDT",
                          .whale = "W",
                          .side = "BUY",
                          .reduce_only = true,
                          .position_state = "CLOSED",
                          .quantity = d("1"),
                          .price = d("2680"),
                          .realised_pnl = d("1234.565")};

    (void)state;
    notify_sentence(&facts, text, sizeof(text));
    assert_string_equal(text,
                        "Closed <b>SHORT</b> 1 ETHUSDT at 2,680: +1,234.56 USDT (copy of W).");
    facts.position_state = "OPEN";
    facts.realised_pnl = d("-0.5");
    notify_sentence(&facts, text, sizeof(text));
    assert_string_equal(text, "Reduced <b>SHORT</b> 1 ETHUSDT at 2,680: -0.5 USDT (copy of W).");
}

static void a_failure_is_told_in_the_sentence_of_its_code(void **state)
{
    char text[NOTIFY_SENTENCE_MAX];
    notify_facts facts = {
        .kind = "copy_failed", .symbol = "BTCUSDT", .trade_reason = "funds_short"};

    (void)state;
    notify_sentence(&facts, text, sizeof(text));
    assert_string_equal(text, "Could not copy <b>BTCUSDT</b>: Not enough free balance.");
}

static void a_row_that_tells_nothing_still_gives_a_sentence(void **state)
{
    char text[NOTIFY_SENTENCE_MAX];

    (void)state;
    assert_true(notify_sentence(&(notify_facts){0}, text, sizeof(text)) > 0);
    assert_true(notify_sentence(&(notify_facts){.kind = "account"}, text, sizeof(text)) > 0);
    assert_true(notify_sentence(&(notify_facts){.kind = "fill"}, text, sizeof(text)) > 0);
}

static void escaped_text_is_cut_at_a_whole_character(void **state)
{
    char out[8];

    (void)state;
    assert_int_equal(notify_escape("abc\xc3\xa9\xc3\xa9zz", out, 7),
                     5); /* abcé + half of é: dropped */
    assert_string_equal(out, "abc\xc3\xa9");
    assert_int_equal(notify_escape("ab&", out, 6), 2); /* no half entity */
}

static void html_becomes_plain_for_a_resend(void **state)
{
    char out[64];

    (void)state;
    notify_plain("Opened <b>LONG</b> of A &lt;b&gt; &amp; co", out, sizeof(out));
    assert_string_equal(out, "Opened LONG of A <b> & co");
}

static void one_chat_gets_one_message_a_second_and_a_429_stops_all(void **state)
{
    static notify_limit limit;
    int64_t now = 100 * CLOCK_SECOND_NS;

    (void)state;
    memset(&limit, 0, sizeof(limit));
    assert_int_equal(notify_limit_take(&limit, 7, now), 0);
    assert_int_equal(notify_limit_take(&limit, 7, now), CLOCK_SECOND_NS);
    assert_int_equal(notify_limit_take(&limit, 8, now), 0);
    notify_limit_pause(&limit, now, 14 * CLOCK_SECOND_NS);
    assert_int_equal(notify_limit_take(&limit, 9, now), 14 * CLOCK_SECOND_NS);
    assert_int_equal(notify_limit_take(&limit, 9, now + 14 * CLOCK_SECOND_NS), 0);
}

static void no_more_than_thirty_a_second_go_out(void **state)
{
    static notify_limit limit;
    int64_t start = 100 * CLOCK_SECOND_NS;
    int sent = 0;

    (void)state;
    memset(&limit, 0, sizeof(limit));
    for (int ms = 0; ms < 10000; ms++) {
        while (notify_limit_take(&limit, 1000 + sent, start + ms * CLOCK_MS_NS) == 0) {
            sent++;
        }
    }
    assert_in_range(sent, 10 * NOTIFY_PER_SECOND - 2, 10 * NOTIFY_PER_SECOND + NOTIFY_BURST + 2);
}

static net_http_answer answered(int status, const char *body)
{
    return (net_http_answer){
        .outcome = NET_HTTP_ANSWERED, .status = status, .body = body, .body_length = strlen(body)};
}

static void answers_of_the_bot_api_are_classified(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum notify_verdict verdict;
        int64_t wait_s;
    } rows[] = {
        {200, "{\"ok\":true,\"result\":{}}", NOTIFY_SENT, 0},
        {429,
         "{\"ok\":false,\"error_code\":429,\"description\":\"Too Many Requests: retry after "
         "14\",\"parameters\":{\"retry_after\":14}}",
         NOTIFY_AGAIN, 14},
        {429, "{\"ok\":false,\"error_code\":429,\"description\":\"x\"}", NOTIFY_AGAIN, 5},
        {403,
         "{\"ok\":false,\"error_code\":403,\"description\":\"Forbidden: bot was blocked by the "
         "user\"}",
         NOTIFY_BLOCKED, 0},
        {400, "{\"ok\":false,\"error_code\":400,\"description\":\"Bad Request: chat not found\"}",
         NOTIFY_BLOCKED, 0},
        {400,
         "{\"ok\":false,\"error_code\":400,\"description\":\"Bad Request: can't parse entities: x "
         "at byte offset 3\"}",
         NOTIFY_AGAIN_PLAIN, 0},
        {400,
         "{\"ok\":false,\"error_code\":400,\"description\":\"Bad Request: message is too long\"}",
         NOTIFY_GIVE_UP, 0},
        {401, "{\"ok\":false,\"error_code\":401,\"description\":\"Unauthorized\"}", NOTIFY_AGAIN,
         60},
        {502, "<html>", NOTIFY_AGAIN, 1},
        {500, "{\"ok\":false,\"error_code\":500,\"description\":\"x\"}", NOTIFY_AGAIN, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        net_http_answer answer = answered(rows[i].status, rows[i].body);
        notify_decision decision = notify_read_answer(&answer, 1);

        assert_int_equal(decision.verdict, rows[i].verdict);
        assert_int_equal(decision.wait_ns, rows[i].wait_s * CLOCK_SECOND_NS);
    }
}

static void an_unclear_send_is_repeated_once_and_a_dead_server_not_for_ever(void **state)
{
    net_http_answer unclear = {.outcome = NET_HTTP_UNCLEAR}, failed = answered(500, "{}");

    (void)state;
    assert_int_equal(notify_read_answer(&unclear, 1).verdict, NOTIFY_AGAIN);
    assert_int_equal(notify_read_answer(&unclear, 2).verdict, NOTIFY_GIVE_UP);
    assert_int_equal(notify_read_answer(&failed, NOTIFY_ATTEMPTS_MAX - 1).verdict, NOTIFY_AGAIN);
    assert_int_equal(notify_read_answer(&failed, NOTIFY_ATTEMPTS_MAX).verdict, NOTIFY_GIVE_UP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_opening_is_told_with_side_size_price_and_whose_copy_it_is),
        cmocka_unit_test(a_close_is_told_with_its_profit_and_the_side_that_was_held),
        cmocka_unit_test(a_failure_is_told_in_the_sentence_of_its_code),
        cmocka_unit_test(a_row_that_tells_nothing_still_gives_a_sentence),
        cmocka_unit_test(escaped_text_is_cut_at_a_whole_character),
        cmocka_unit_test(html_becomes_plain_for_a_resend),
        cmocka_unit_test(one_chat_gets_one_message_a_second_and_a_429_stops_all),
        cmocka_unit_test(no_more_than_thirty_a_second_go_out),
        cmocka_unit_test(answers_of_the_bot_api_are_classified),
        cmocka_unit_test(an_unclear_send_is_repeated_once_and_a_dead_server_not_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
