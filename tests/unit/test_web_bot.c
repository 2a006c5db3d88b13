/*
 * The bot: which updates concern us, and what the screens say.
 */
#include "ngx_whale_module/whale_position.c"
#include "ngx_whale_module/whale_profile.c"
#include "ngx_whale_module/whale_screen.c"
#include "ngx_whale_module/whale_screen_lists.c"
#include "ngx_whale_module/whale_update.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static jsmntok_t tokens[WHALE_UPDATE_TOKENS_MAX];
static whale_update update;
static whale_screen screen;

static enum whale_update_kind parse(const char *text)
{
    return whale_update_parse(text, strlen(text), tokens, &update);
}

static enum whale_update_kind say(const char *said)
{
    char text[2048];

    snprintf(
        text, sizeof(text),
        "{\"update_id\":9007199254740993,\"message\":{\"message_id\":5,\"from\":{\"id\":900000001,"
        "\"is_bot\":false,"
        "\"first_name\":\"T\"},\"chat\":{\"id\":900000001,\"type\":\"private\"},\"text\":\"%s\"}}",
        said);
    return parse(text);
}

static void commands(void **state)
{
    static const struct {
        const char *text;
        enum whale_command command;
        const char *argument;
    } said[] = {
        {"/start", WHALE_COMMAND_START, ""},
        {"/start ref_1", WHALE_COMMAND_START, "ref_1"},
        {"/whales", WHALE_COMMAND_WHALES, ""},
        {"/follow 7 100.5", WHALE_COMMAND_FOLLOW, "7 100.5"},
        {"/follow\\n\\t 7   100.5 \\r\\n", WHALE_COMMAND_FOLLOW, "7 100.5"},
        {"/follow@WhaleBot 7", WHALE_COMMAND_FOLLOW, "7"},
        {"/positions@WhaleBot", WHALE_COMMAND_POSITIONS, ""},
        {"/Positions", WHALE_COMMAND_HELP, ""},
        {"/positionsx", WHALE_COMMAND_HELP, ""},
        {"/", WHALE_COMMAND_HELP, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        assert_int_equal(say(said[i].text), WHALE_UPDATE_COMMAND);
        assert_int_equal(update.command, said[i].command);
        assert_string_equal(update.argument, said[i].argument);
        assert_true(update.update_id == 9007199254740993);
        assert_int_equal(update.user_id, 900000001);
        assert_true(update.is_private);
    }
    char longer[400] = "/follow ";
    memset(longer + 8, 'x', 300);
    assert_int_equal(say(longer), WHALE_UPDATE_COMMAND);
    assert_string_equal(update.argument, "");
}

static void what_is_not_for_us(void **state)
{
    static const char *const others[] = {
        "{\"update_id\":1}",
        "{\"update_id\":1,\"callback_query\":{\"id\":\"1\",\"data\":\"b:1\"}}",
        "{\"update_id\":1,\"channel_post\":{\"chat\":{\"id\":-1,\"type\":\"channel\"},\"text\":\"/"
        "start\"}}",
        "{\"update_id\":1,\"edited_message\":{\"text\":\"/start\"}}",
        "{\"update_id\":1,\"message\":{\"chat\":{\"id\":1,\"type\":\"private\"},\"text\":\"/"
        "start\"}}",
        "{\"update_id\":1,\"message\":{\"from\":{\"id\":1,\"is_bot\":true},\"chat\":{\"id\":1},"
        "\"text\":\"/start\"}}",
        "{\"update_id\":1,\"message\":{\"from\":{\"id\":1},\"chat\":{\"id\":1}}}",
        "{\"update_id\":1,\"message\":{\"from\":{\"id\":1},\"chat\":{\"id\":1},\"text\":7}}",
        "{\"update_id\":1,\"message\":{\"from\":{\"id\":1},\"chat\":{},\"text\":\"/start\"}}",
        "{\"update_id\":1,\"message\":{\"from\":[1],\"chat\":{\"id\":1},\"text\":\"/start\"}}",
        "{\"update_id\":1,\"message\":[]}",
    };
    static const char *const malformed[] = {"",
                                            "{",
                                            "[]",
                                            "null",
                                            "{}",
                                            "{\"update_id\":\"x\"}",
                                            "{\"update_id\":1.5}",
                                            "{\"update_id\":1}}"};

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(parse(others[i]), WHALE_UPDATE_OTHER);
    }
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        assert_int_equal(parse(malformed[i]), WHALE_UPDATE_MALFORMED);
    }
    assert_int_equal(say("hello"), WHALE_UPDATE_OTHER);
    assert_int_equal(say(""), WHALE_UPDATE_OTHER);
    /* deeper or larger than we read: acknowledged, or it would come back for a day */
    static char deep[20000];
    memset(deep, '[', sizeof(deep) / 2);
    memset(deep + sizeof(deep) / 2, ']', sizeof(deep) / 2 - 1);
    assert_int_equal(parse(deep), WHALE_UPDATE_OTHER);
    assert_int_equal(parse("{\"update_id\":1,\"message\":{\"from\":{\"id\":1},\"chat\":{\"id\":-5,"
                           "\"type\":\"group\"},\"text\":\"/whales\"}}"),
                     WHALE_UPDATE_COMMAND);
    assert_false(update.is_private);
    assert_int_equal(update.chat_id, -5);
}

static void follow_arguments(void **state)
{
    static const char *const bad[] = {"",
                                      "x",
                                      "0",
                                      "-1",
                                      "01",
                                      "7x",
                                      "7 ",
                                      "7 0",
                                      "7 -5",
                                      "7 x",
                                      "7 1 2",
                                      "7 1000000001",
                                      "7 1.0000000000001",
                                      "9999999999999999999"};
    char amount[DEC_TEXT_MAX];
    int64_t id;

    (void)state;
    assert_true(whale_update_follow("7", &id, amount));
    assert_int_equal(id, 7);
    assert_string_equal(amount, "");
    assert_true(whale_update_follow("123456789012345678 100.50", &id, amount));
    assert_int_equal(id, 123456789012345678);
    assert_string_equal(amount, "100.5");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(whale_update_follow(bad[i], &id, amount));
    }
}

/* A screen's answer is JSON, and its text as Telegram reads it. */
static const char *body_text(int64_t chat_id)
{
    static char body[WHALE_SCREEN_BODY_MAX], text[WHALE_SCREEN_TEXT_MAX];
    jsmntok_t body_tokens[32];
    json_doc doc;
    int64_t id;
    const size_t length = whale_screen_body(&screen, chat_id, body, sizeof(body));

    assert_true(length > 0);
    assert_int_equal(json_parse(&doc, body, length, body_tokens, 32), JSON_OK);
    assert_true(json_equals(&doc, json_at(&doc, 0, "method"), "sendMessage"));
    assert_true(json_equals(&doc, json_at(&doc, 0, "parse_mode"), "HTML"));
    assert_true(json_get_int(&doc, json_at(&doc, 0, "chat_id"), &id));
    assert_true(id == chat_id);
    assert_true(json_copy(&doc, json_at(&doc, 0, "text"), text, sizeof(text)));
    return text;
}

static void screens(void **state)
{
    (void)state;
    whale_screen_start(&screen, "A<b>&\"\\\n\x80", true);
    assert_non_null(
        strstr(body_text(INT64_MIN), "Welcome, A&lt;b&gt;&amp;&quot;\\ ?.\n\nWhale copies"));
    whale_screen_start(&screen, "", false);
    assert_non_null(strstr(body_text(5), "Welcome back.\n\n/whales"));
    whale_screen_followed(&screen, 7, "", "");
    assert_string_equal(body_text(5),
                        "You follow <b>whale 7</b>. Each copy takes the size of your settings.");
    whale_screen_followed(&screen, 7, "Moby & Co", "75.5");
    assert_string_equal(body_text(5),
                        "You follow <b>Moby &amp; Co</b>. 75.5 USDT go into each copy.");
    whale_screen_help(&screen);
    body_text(1);
    whale_screen_private(&screen);
    body_text(1);
    whale_screen_unknown_user(&screen);
    body_text(1);
    whale_screen_follow_usage(&screen);
    body_text(1);
    char small[64];
    assert_int_equal(whale_screen_body(&screen, 1, small, sizeof(small)), 0);
}

static const shm_price *one_price(void *owner, uint32_t slot)
{
    return slot == UINT32_MAX ? NULL : owner;
}

static void position_screens(void **state)
{
    static shm_position positions[64];
    shm_price price = {.receive_time_ns = 10, .mark = dec_from_int(110)};

    (void)state;
    whale_screen_positions(&screen, positions, 0, 0, one_price, &price, 20, 100);
    assert_string_equal(body_text(1), "Nothing is open.");
    for (size_t i = 0; i < 64; i++) {
        positions[i].quantity = dec_from_int(-2);
        positions[i].entry_notional = dec_from_int(200);
        positions[i].margin = dec_from_int(3);
        strcpy(positions[i].text,
               "\"id\":\"1\",\"venue\":\"v\",\"market\":\"m\",\"symbol\":\"A<B\",\"side\":"
               "\"SHORT\",\"quantity\":\"2\",\"entry_price\":\"100\",\"leverage\":5");
        positions[i].text_length = (uint32_t)strlen(positions[i].text);
    }
    positions[1].price_slot = UINT32_MAX;
    positions[2].text_length = 10;
    whale_screen_positions(&screen, positions, 3, 3, one_price, &price, 200, 100);
    assert_string_equal(
        body_text(1),
        "Open positions: 3\n\n<b>A&lt;B</b> SHORT 2 at 100, now 110\nP&amp;L <b>-20</b> USDT "
        "(-666.67 %), price is old\n"
        "\n<b>A&lt;B</b> SHORT 2 at 100\nno price just now\n"
        "\n<b>?</b> ? ? at ?, now 110\nP&amp;L <b>-20</b> USDT (-666.67 %), price is old\n");
    whale_screen_positions(&screen, positions, 64, 300, one_price, &price, 20, 100);
    assert_non_null(strstr(body_text(1), "Open positions: 300\n"));
    assert_non_null(strstr(body_text(1), " more, in the app"));
    assert_true(strlen(body_text(1)) < 4096);
}

static void whale_pages(void **state)
{
    static const char page[] =
        "[{\"id\":\"3\",\"venue\":\"binance\",\"name\":\"A}\\\"{\\u00e9\",\"rank\":\"GOLD\","
        "\"score\":\"80.5\",\"roi_30d\":null,\"followers\":2},"
        "{\"id\":\"4\",\"venue\":\"okx\",\"name\":\"\",\"rank\":\"BRONZE\",\"score\":\"7\",\"roi_"
        "30d\":\"-3.5\"},{\"id\":\"5\"}]";

    (void)state;
    assert_int_equal(whale_screen_whales_page(&screen, page, strlen(page), 2), 2);
    assert_string_equal(
        body_text(1),
        "Whales, best first:\n\n<b>3</b> A}&quot;{\xC3\xA9 · binance · GOLD · score 80.5"
        "\n<b>4</b>  · okx · BRONZE · score 7 · ROI -3.5 %\n\n<code>/follow number</code> copies "
        "one.");
    assert_int_equal(whale_screen_whales_page(&screen, page, strlen(page), 10), 3);
    /* cut off anywhere, or not one: what was whole is shown */
    for (size_t length = 0; length < strlen(page); length++) {
        const size_t shown = whale_screen_whales_page(&screen, page, length, 10);

        assert_in_range(shown, 0, 3);
        body_text(1);
    }
    assert_int_equal(whale_screen_whales_page(&screen, "[]", 2, 10), 0);
    assert_string_equal(body_text(1), "No whales are known yet.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands),         cmocka_unit_test(what_is_not_for_us),
        cmocka_unit_test(follow_arguments), cmocka_unit_test(screens),
        cmocka_unit_test(position_screens), cmocka_unit_test(whale_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
