/* What all venues share: names, rounding to filters, and walking long answers. */
#include "venues/venue.h"
#include "venues/venue_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static dec number(const char *text)
{
    dec value;

    assert_true(dec_parse(text, strlen(text), &value));
    return value;
}

static void assert_dec(dec value, const char *expected)
{
    char text[DEC_TEXT_MAX];

    dec_format(value, text);
    assert_string_equal(text, expected);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void markets_have_names_both_ways(void **state)
{
    enum venue_market market;

    (void)state;
    for (int i = VENUE_SPOT; i <= VENUE_OUTCOME; i++) {
        assert_true(venue_market_by_name(venue_market_name((enum venue_market)i), &market));
        assert_int_equal(market, i);
    }
    assert_string_equal(venue_market_name(VENUE_USDM), "usdm");
    assert_false(venue_market_by_name("futures", &market));
    assert_string_equal(venue_market_name((enum venue_market)9), "unknown");
}

static void instruments_have_canonical_names(void **state)
{
    char name[128], small[12], symbol[VENUE_SYMBOL_MAX + 1];

    (void)state;
    assert_true(venue_instrument_name("binance", VENUE_USDM, "BTCUSDT", name, sizeof(name)));
    assert_string_equal(name, "binance:usdm:BTCUSDT");
    assert_false(venue_instrument_name("binance", VENUE_USDM, "BTCUSDT", small, sizeof(small)));
    assert_false(venue_instrument_name("binance", VENUE_USDM, "", name, sizeof(name)));
    memset(symbol, 'A', sizeof(symbol));
    symbol[VENUE_SYMBOL_MAX] = '\0';
    assert_false(venue_instrument_name("binance", VENUE_USDM, symbol, name, sizeof(name)));
}

static void every_adapter_is_found_by_its_name(void **state)
{
    size_t count;
    const venue_adapter *const *all = venue_all(&count);

    (void)state;
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(venue_find(all[i]->name, all[i]->market), all[i]);
        assert_non_null(all[i]->build);
        assert_non_null(all[i]->finish);
        assert_non_null(all[i]->parse);
        assert_non_null(all[i]->sign_allowed);
        assert_non_null(all[i]->stream_parse);
        /* Our own client order ids are 29 characters of [a-z0-9]. */
        assert_true(all[i]->client_order_id_max >= 29);
        for (const char *c = "abcdefghijklmnopqrstuvwxyz0123456789"; *c != '\0'; c++) {
            assert_non_null(strchr(all[i]->client_order_id_alphabet, *c));
        }
    }
    assert_null(venue_find("nowhere", VENUE_USDM));
}

static void classes_have_names(void **state)
{
    (void)state;
    for (int i = VENUE_OK; i <= VENUE_UNREADABLE; i++) {
        assert_string_not_equal(venue_class_name((enum venue_class)i), "unknown");
    }
    assert_string_equal(venue_class_name(VENUE_NOT_KNOWN), "not_known");
}

/* ---- quantities ------------------------------------------------------------------------------ */

static venue_instrument filters(const char *step, const char *least, const char *most)
{
    return (venue_instrument){
        .quantity_step = number(step), .quantity_min = number(least), .quantity_max = number(most)};
}

static void quantities_go_down_to_the_step(void **state)
{
    venue_instrument instrument = filters("0.001", "0.001", "1000");

    (void)state;
    assert_dec(venue_quantity_down(&instrument, false, number("0.0129999")), "0.012");
    assert_dec(venue_quantity_down(&instrument, false, number("0.012")), "0.012");
    assert_dec(venue_quantity_down(&instrument, false, number("0.000999999999")), "0");
    assert_dec(venue_quantity_down(&instrument, false, number("5000")), "1000");
    assert_dec(venue_quantity_down(&instrument, false, number("-1")), "0");
    assert_dec(venue_quantity_down(&instrument, false, DEC_ZERO), "0");
}

static void market_orders_have_their_own_filter_where_there_is_one(void **state)
{
    venue_instrument instrument = filters("0.001", "0.001", "1000");

    (void)state;
    instrument.market_quantity_step = number("0.01");
    instrument.market_quantity_min = number("0.02");
    instrument.market_quantity_max = number("120.005");
    assert_dec(venue_quantity_down(&instrument, true, number("0.0299")), "0.02");
    assert_dec(venue_quantity_down(&instrument, true, number("0.019")), "0");
    assert_dec(venue_quantity_down(&instrument, true, number("500")), "120");
    assert_dec(venue_quantity_down(&instrument, false, number("500")), "500");
    instrument.market_quantity_step = DEC_ZERO; /* as for limit */
    assert_dec(venue_quantity_down(&instrument, true, number("0.0299")), "0.029");
}

static void steps_count_from_a_minimum_that_is_off_the_grid(void **state)
{
    venue_instrument instrument = filters("10", "5", "100");

    (void)state;
    assert_dec(venue_quantity_down(&instrument, false, number("24.9")), "15");
    assert_dec(venue_quantity_down(&instrument, false, number("25")), "25");
    assert_dec(venue_quantity_down(&instrument, false, number("5")), "5");
    assert_dec(venue_quantity_down(&instrument, false, number("4.9")), "0");
}

static void without_a_step_nothing_fits(void **state)
{
    venue_instrument instrument = filters("0", "0", "0");

    (void)state;
    assert_dec(venue_quantity_down(&instrument, false, number("1")), "0");
    instrument = filters("0.1", "0", "0"); /* no bounds */
    assert_dec(venue_quantity_down(&instrument, false, number("1.19")), "1.1");
}

/* ---- walking --------------------------------------------------------------------------------- */

static void assert_member(const char *text, const char *path, const char *expected)
{
    const char *value;
    size_t length;

    assert_true(venue_scan_member(text, strlen(text), path, &value, &length));
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(value, expected, length);
}

static void members_are_found_as_written(void **state)
{
    static const char text[] = " { \"a\" : 1.50 , \"b\":{\"c\":\"x\\\"}]\",\"d\":[1,{\"e\":2}]},"
                               "\"f\": null}";
    const char *value;
    size_t length;

    (void)state;
    assert_member(text, "a", "1.50");
    assert_member(text, "b.c", "\"x\\\"}]\"");
    assert_member(text, "b.d", "[1,{\"e\":2}]");
    assert_member(text, "f", "null");
    assert_member(text, "", text + 1);
    assert_false(venue_scan_member(text, strlen(text), "c", &value, &length));
    assert_false(venue_scan_member(text, strlen(text), "a.b", &value, &length));
    assert_false(venue_scan_member("[1]", 3, "a", &value, &length));
    assert_false(venue_scan_member("", 0, "", &value, &length));
}

static void elements_come_one_by_one(void **state)
{
    static const char text[] = "{\"data\":[ {\"a\":[1,2]} ,7, \"x,]\" ,[ ], null ]}";
    static const char *const expected[] = {"{\"a\":[1,2]}", "7", "\"x,]\"", "[ ]", "null"};
    const char *element;
    venue_scan scan;
    size_t length, count = 0;

    (void)state;
    assert_true(venue_scan_open(&scan, text, strlen(text), "data"));
    while (venue_scan_next(&scan, &element, &length)) {
        assert_true(count < 5);
        assert_int_equal(length, strlen(expected[count]));
        assert_memory_equal(element, expected[count], length);
        count++;
    }
    assert_int_equal(count, 5);
    assert_true(venue_scan_open(&scan, "[ ]", 3, ""));
    assert_false(venue_scan_next(&scan, &element, &length));
    assert_false(venue_scan_open(&scan, "{}", 2, ""));
    assert_false(venue_scan_open(&scan, text, strlen(text), "date"));
}

static void only_one_whole_value_is_a_document(void **state)
{
    static const char *const good[] = {"{}", " [1, {\"a\":[]}] ", "\"x\"", "7"};
    static const char *const bad[] = {"",        "{",    "{}{}",  "[1,]",      "<html>",
                                      "{\"a\"}", "{} x", "[1 2]", "{\"a\":01}"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(venue_scan_document(good[i], strlen(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(venue_scan_document(bad[i], strlen(bad[i])));
    }
}

/* Unchecked text may give nonsense, but never a read past its end, nor a walk without one. */
static void walking_unchecked_text_is_safe(void **state)
{
    static const char alphabet[] = "{}[]\":,\\a1 ";
    unsigned seed = 1;

    (void)state;
    for (int round = 0; round < 200000; round++) {
        size_t length = (seed = seed * 1103515245 + 12345) >> 16 & 15;
        char *text = malloc(length > 0 ? length : 1);
        const char *element;
        size_t element_length, steps = 0;
        venue_scan scan;

        assert_non_null(text);
        for (size_t i = 0; i < length; i++) {
            seed = seed * 1103515245 + 12345;
            text[i] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
        }
        if (venue_scan_open(&scan, text, length, round % 2 != 0 ? "" : "a")) {
            while (venue_scan_next(&scan, &element, &element_length)) {
                assert_true(element >= text && element + element_length <= text + length);
                assert_true(++steps <= length);
            }
        }
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(markets_have_names_both_ways),
        cmocka_unit_test(instruments_have_canonical_names),
        cmocka_unit_test(every_adapter_is_found_by_its_name),
        cmocka_unit_test(classes_have_names),
        cmocka_unit_test(quantities_go_down_to_the_step),
        cmocka_unit_test(market_orders_have_their_own_filter_where_there_is_one),
        cmocka_unit_test(steps_count_from_a_minimum_that_is_off_the_grid),
        cmocka_unit_test(without_a_step_nothing_fits),
        cmocka_unit_test(members_are_found_as_written),
        cmocka_unit_test(elements_come_one_by_one),
        cmocka_unit_test(only_one_whole_value_is_a_document),
        cmocka_unit_test(walking_unchecked_text_is_safe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
