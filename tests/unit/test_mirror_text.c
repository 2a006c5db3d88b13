/* The JSON that mirror writes: exact members, hostile names, figures at their bounds. */
#include "workerd/mirror/mirror_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static dec number(const char *text)
{
    dec value;

    assert_true(dec_parse(text, strlen(text), &value));
    return value;
}

static mirror_position_facts plain_position(void)
{
    return (mirror_position_facts){
        .id = 7,
        .whale_id = 3,
        .opened_ns = 1732093811123456000LL,
        .venue = "binance",
        .market = "usdm",
        .symbol = "BTCUSDT",
        .whale_name = "Ahab",
        .quantity = number("-0.012"),
        .base_quantity = number("-0.012"),
        .entry_notional = number("741.602"),
        .margin = number("74.1602"),
        .leverage = 10,
    };
}

/* As an object: parsed, and every value readable. */
static void assert_object(const char *text, size_t length, bool braces, const char *path,
                          const char *expected)
{
    char object[SHM_SIGNAL_TEXT_MAX + SHM_POSITION_TEXT_MAX];
    jsmntok_t tokens[128];
    json_doc doc;

    snprintf(object, sizeof(object), braces ? "%.*s" : "{%.*s}", (int)length, text);
    assert_int_equal(json_parse(&doc, object, strlen(object), tokens, 128), JSON_OK);
    assert_true(json_is_object(&doc, 0));
    if (path != NULL) {
        assert_true(json_equals(&doc, json_at(&doc, 0, path), expected));
    }
}

static void given_a_copy_when_written_then_the_members_are_exactly_these(void **state)
{
    const mirror_position_facts facts = plain_position();
    char text[SHM_POSITION_TEXT_MAX];
    const uint32_t length = mirror_text_position(&facts, text);
    static const char expected[] =
        "\"id\":\"7\",\"venue\":\"binance\",\"market\":\"usdm\",\"symbol\":\"BTCUSDT\","
        "\"side\":\"SHORT\",\"quantity\":\"0.012\",\"entry_price\":\"61800.166666666667\","
        "\"leverage\":10,\"margin\":\"74.1602\",\"whale_id\":\"3\",\"whale_name\":\"Ahab\","
        "\"opened_at\":\"2024-11-20T09:10:11.123456Z\"";

    (void)state;
    assert_int_equal(length, sizeof(expected) - 1);
    assert_memory_equal(text, expected, length);
}

static void given_a_position_of_no_whale_when_written_then_it_says_null(void **state)
{
    mirror_position_facts facts = plain_position();
    char text[SHM_POSITION_TEXT_MAX];
    uint32_t length;

    (void)state;
    facts.whale_name = NULL;
    length = mirror_text_position(&facts, text);
    assert_object(text, length, false, "whale_id", "null");
    assert_object(text, length, false, "whale_name", "null");
}

static void given_contracts_when_written_then_the_entry_price_is_of_base_units(void **state)
{
    mirror_position_facts facts = plain_position();
    char text[SHM_POSITION_TEXT_MAX];
    uint32_t length;

    (void)state;
    facts.quantity = number("100"); /* contracts of 0.01 */
    facts.base_quantity = number("1");
    facts.entry_notional = number("60000");
    length = mirror_text_position(&facts, text);
    assert_object(text, length, false, "quantity", "100");
    assert_object(text, length, false, "entry_price", "60000");
    assert_object(text, length, false, "side", "LONG");
}

static void given_hostile_names_when_written_then_the_text_is_json_and_fits(void **state)
{
    static const char *const names[] = {
        "\"},{\"id\":\"1\"",
        "\\\\\\\\\"\"\"\"\n\r\t\x01\x02\x03",
        "\xff\xfe\xc3",
        "\xf0\x9f\x90\x8b\xf0\x9f\x90\x8b\xf0\x9f\x90\x8b \xd0\x9a\xd0\xb8\xd1\x82",
        "",
    };
    char text[SHM_POSITION_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        mirror_position_facts facts = plain_position();
        uint32_t length;

        facts.whale_name = names[i];
        length = mirror_text_position(&facts, text);
        assert_in_range(length, 1, SHM_POSITION_TEXT_MAX);
        assert_object(text, length, false, "id", "7");
        assert_object(text, length, false, "opened_at", "2024-11-20T09:10:11.123456Z");
    }
}

/* A name of control characters is six bytes each in JSON: it is cut, the rest is whole. */
static void given_long_names_and_figures_when_written_then_only_the_name_is_cut(void **state)
{
    mirror_position_facts facts = plain_position();
    char name[1024], symbol[81], text[SHM_POSITION_TEXT_MAX];
    uint32_t length;

    (void)state;
    memset(symbol, '9', sizeof(symbol) - 1);
    symbol[sizeof(symbol) - 1] = '\0';
    memset(name, '\x01', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    facts.symbol = symbol;
    facts.whale_name = name;
    length = mirror_text_position(&facts, text);
    assert_in_range(length, 1, SHM_POSITION_TEXT_MAX);
    assert_object(text, length, false, "symbol", symbol);
    assert_object(text, length, false, "opened_at", "2024-11-20T09:10:11.123456Z");
}

static void given_a_name_of_wide_characters_when_cut_then_none_is_halved(void **state)
{
    mirror_position_facts facts = plain_position();
    char name[4 * MIRROR_NAME_MAX] = "", text[SHM_POSITION_TEXT_MAX + 1];
    uint32_t length;

    (void)state;
    for (int i = 0; i < MIRROR_NAME_MAX / 2; i++) {
        strcat(name, "\xe2\x82\xac"); /* three bytes; the bound is no multiple of it */
    }
    facts.whale_name = name;
    length = mirror_text_position(&facts, text);
    text[length] = '\0';
    assert_object(text, length, false, NULL, NULL);
    assert_null(strstr(text, "\xef\xbf\xbd")); /* no replacement character */
    assert_non_null(strstr(text, "\xe2\x82\xac\""));
}

static void given_figures_beyond_all_measure_when_written_then_it_fits_or_says_no(void **state)
{
    mirror_position_facts facts = plain_position();
    const dec huge = number("99999999999999999999999999.999999999999");
    char symbol[81], text[SHM_POSITION_TEXT_MAX];
    uint32_t length;

    (void)state;
    memset(symbol, 'x', sizeof(symbol) - 1);
    symbol[sizeof(symbol) - 1] = '\0';
    facts.symbol = symbol;
    facts.id = facts.whale_id = INT64_MAX;
    facts.quantity = facts.base_quantity = dec_negate(huge);
    facts.margin = facts.entry_notional = huge;
    length = mirror_text_position(&facts, text);
    assert_true(length <= SHM_POSITION_TEXT_MAX);
    if (length > 0) {
        assert_object(text, length, false, "symbol", symbol);
    }
}

static void given_a_signal_when_written_then_it_is_one_object(void **state)
{
    const mirror_signal_facts facts = {
        .id = 12,
        .whale_id = 3,
        .leverage = 20,
        .detected_ns = 1732093811123456000LL,
        .whale_name = "A \"B\"",
        .venue = "binance",
        .market = "usdm",
        .symbol = "ETHUSDT",
        .position_side = "BOTH",
        .kind = "INCREASE",
        .side = "BUY",
        .confidence = "VERY_HIGH",
        .status = "PENDING",
        .closes = false,
        .price = number("2681.625"),
        .notional = number("58142.6164"),
        .fraction = number("0.25"),
        .confidence_score = number("81.50"),
    };
    char text[SHM_SIGNAL_TEXT_MAX];
    const uint32_t length = mirror_text_signal(&facts, text);

    (void)state;
    assert_in_range(length, 1, SHM_SIGNAL_TEXT_MAX);
    assert_object(text, length, true, "id", "12");
    assert_object(text, length, true, "fraction", "0.25");
    assert_object(text, length, true, "confidence_score", "81.5");
    assert_object(text, length, true, "detected_at", "2024-11-20T09:10:11.123456Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(given_a_copy_when_written_then_the_members_are_exactly_these),
        cmocka_unit_test(given_a_position_of_no_whale_when_written_then_it_says_null),
        cmocka_unit_test(given_contracts_when_written_then_the_entry_price_is_of_base_units),
        cmocka_unit_test(given_hostile_names_when_written_then_the_text_is_json_and_fits),
        cmocka_unit_test(given_long_names_and_figures_when_written_then_only_the_name_is_cut),
        cmocka_unit_test(given_a_name_of_wide_characters_when_cut_then_none_is_halved),
        cmocka_unit_test(given_figures_beyond_all_measure_when_written_then_it_fits_or_says_no),
        cmocka_unit_test(given_a_signal_when_written_then_it_is_one_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
