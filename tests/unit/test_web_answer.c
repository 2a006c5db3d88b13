/*
 * What is answered: numbers, prices, positions with their figures, rows of Postgres.
 */
#include "ngx_whale_module/whale_position.c"
#include "ngx_whale_module/whale_price.c"
#include "ngx_whale_module/whale_row.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t seed = 88172645463325252ULL;

static uint64_t chance(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Of any size, often with few places. */
static dec any_dec(unsigned bits)
{
    __int128 units = (__int128)((unsigned __int128)chance() << 64 | chance()) >> 1;

    units >>= 127 - bits + chance() % bits;
    if (chance() % 3 == 0) {
        units -= units % 10000;
    }
    if (chance() % 5 == 0) {
        units -= units % 1000000000000LL;
    }
    return (dec){chance() % 2 ? units : -units};
}

static dec number(const char *text)
{
    dec value;

    assert_true(dec_parse(text, strlen(text), &value));
    return value;
}

static void numbers(void **state)
{
    char text[WHALE_PUT_DEC_MAX], expected[DEC_TEXT_MAX + 2] = "\"";

    (void)state;
    for (int i = 0; i < 500000; i++) {
        const dec value = any_dec(86);
        size_t length = 1 + dec_format(value, expected + 1);

        expected[length++] = '"';
        assert_int_equal(whale_put_dec(text, value) - text, length);
        assert_memory_equal(text, expected, length);
    }
    assert_memory_equal(text, (whale_put_known(text, DEC_ZERO), "null"), 4);
    /* what lies in a damaged segment is no dec, and still no harm */
    for (int i = 0; i < 100000; i++) {
        const dec value = {(__int128)((unsigned __int128)chance() << 64 | chance())};

        assert_in_range(whale_put_dec(text, value) - text, 3, WHALE_PUT_DEC_MAX);
    }
    whale_put_dec(text, (dec){(__int128)((unsigned __int128)1 << 127)});
}

/* The same by dec's own arithmetic, which rounds each named step. */
static void figures_agree(void **state)
{
    int known = 0;

    (void)state;
    for (int i = 0; i < 300000; i++) {
        const unsigned bits = i % 3 == 0 ? 40 : i % 3 == 1 ? 60 : 80;
        const shm_position position = {.quantity = any_dec(bits),
                                       .entry_notional = dec_absolute(any_dec(bits)),
                                       .margin = dec_absolute(any_dec(bits))};
        const dec mark = dec_absolute(any_dec(bits));
        dec notional, pnl, roi;
        whale_figures figures;

        whale_position_figures(&position, mark, &figures);
        if (!figures.known) {
            continue;
        }
        known++;
        assert_true(dec_mul(dec_absolute(position.quantity), mark, DEC_HALF_EVEN, &notional));
        assert_true(dec_sub(notional, position.entry_notional, &pnl));
        pnl = dec_sign(position.quantity) < 0 ? dec_negate(pnl) : pnl;
        if (figures.roi_known) {
            assert_true(dec_mul_div(pnl, (dec){1000000}, position.margin, DEC_HALF_EVEN, &roi));
            assert_true(roi.units * 100000000 == figures.roi.units);
        }
        assert_true(dec_to_step(notional, number("0.00000001"), DEC_HALF_EVEN, &notional));
        assert_true(dec_to_step(pnl, number("0.00000001"), DEC_HALF_EVEN, &pnl));
        assert_int_equal(dec_compare(notional, figures.notional), 0);
        assert_int_equal(dec_compare(pnl, figures.pnl), 0);
    }
    assert_in_range(known, 150000, 300000);
}

static shm_position position_of(const char *quantity, const char *notional, const char *margin)
{
    shm_position position = {
        .quantity = number(quantity), .entry_notional = number(notional), .margin = number(margin)};

    strcpy(position.text, "\"id\":\"7\"");
    position.text_length = 8;
    return position;
}

static void position_text(const shm_position *position, const shm_price *price,
                          const char *expected)
{
    char text[WHALE_POSITION_MAX];
    const size_t length = whale_position_put(text, position, price, 2000000000, 1000000000);

    assert_int_equal(length, strlen(expected));
    assert_memory_equal(text, expected, length);
}

static void positions(void **state)
{
    shm_price price = {.mark = number("101.5"), .receive_time_ns = 1500000000};
    shm_position position = position_of("-2", "200.000000005", "20");

    (void)state;
    position_text(&position, &price,
                  "{\"id\":\"7\",\"mark_price\":\"101.5\",\"mark_source\":\"venue\",\"notional\":"
                  "\"203\",\"unrealised_pnl\":\"-3\","
                  "\"roi\":\"-15\",\"price_age_ms\":500,\"stale\":false}");
    price.flags = SHM_PRICE_MARK_SYNTHETIC;
    price.receive_time_ns = 999999999;
    position = position_of("0.5", "50.75", "0");
    position_text(&position, &price,
                  "{\"id\":\"7\",\"mark_price\":\"101.5\",\"mark_source\":\"synthetic\","
                  "\"notional\":\"50.75\",\"unrealised_pnl\":\"0\","
                  "\"roi\":null,\"price_age_ms\":1000,\"stale\":true}");
    /* no price, no mark, a product that no dec holds, a text that is too long to be one */
    position_text(&position, NULL,
                  "{\"id\":\"7\",\"mark_price\":null,\"mark_source\":null,\"notional\":null,"
                  "\"unrealised_pnl\":null,\"roi\":null,"
                  "\"price_age_ms\":null,\"stale\":true}");
    price.mark = DEC_ZERO;
    position.text_length = 0;
    position_text(&position, &price,
                  "{,\"mark_price\":null,\"mark_source\":null,\"notional\":null,\"unrealised_pnl\":"
                  "null,\"roi\":null,"
                  "\"price_age_ms\":null,\"stale\":true}");
}

/* Whatever the bytes, an answer stays within its room. */
static void hostile_positions(void **state)
{
    char text[WHALE_POSITION_MAX + 64];

    (void)state;
    for (int i = 0; i < 200000; i++) {
        uint64_t words[sizeof(shm_position) / 8], more[sizeof(shm_price) / 8];
        shm_position position;
        shm_price price;
        size_t length;

        for (size_t at = 0; at < sizeof(words) / 8; at++) {
            words[at] = chance() >> chance() % 64;
        }
        for (size_t at = 0; at < sizeof(more) / 8; at++) {
            more[at] = chance() >> chance() % 64;
        }
        memcpy(&position, words, sizeof(position));
        memcpy(&price, more, sizeof(price));
        price.receive_time_ns &= INT64_MAX;
        memset(text, 'x', sizeof(text));
        length = whale_position_put(text, &position, &price, 1790000000000000000, 15000000000);
        assert_in_range(length, 1, WHALE_POSITION_MAX);
        for (size_t at = WHALE_POSITION_MAX; at < sizeof(text); at++) {
            assert_int_equal(text[at], 'x');
        }
    }
}

static void prices(void **state)
{
    shm_price price = {.bid = number("97123.4"),
                       .ask = number("97123.5"),
                       .mark = number("97123.45"),
                       .exchange_time_ns = 1790000000123456789,
                       .receive_time_ns = 1790000000200000000,
                       .source = SHM_SOURCE_WS};
    char text[WHALE_PRICE_MAX + 1], key[SHM_KEY_MAX];
    size_t length = whale_price_put(text, "polymarket:outcome:a:b", &price, 1790000001200000000,
                                    1000000000, false);
    const char *expected = "{\"venue\":\"polymarket\",\"market\":\"outcome\",\"symbol\":\"a:b\","
                           "\"bid\":\"97123.4\",\"bid_size\":null,\"ask\":\"97123.5\","
                           "\"ask_size\":null,\"last\":null,\"mark\":\"97123.45\",\"mark_source\":"
                           "\"venue\",\"funding\":null,"
                           "\"exchange_time\":\"2026-09-21T14:13:20.123456Z\",\"receive_time\":"
                           "\"2026-09-21T14:13:20.200000Z\",\"source\":\"ws\","
                           "\"stale\":false,\"age_ms\":1000}";

    (void)state;
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(text, expected, length);
    length = whale_price_put(text, "a:b:c", &price, 1790000000100000000, 1, true);
    text[length] = '\0';
    assert_non_null(strstr(text, "\"stale\":true,\"age_ms\":0}"));
    static const char *const bad[] = {"",       "a",      "a:b",          "a:b:\"",
                                      "a:b:\\", "a:b:\n", "a:b:\xC3\xA9", "a:b: "};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(whale_price_put(text, bad[i], &price, 1, 1, false), 0);
    }
    /* the longest there can be */
    memset(key, 'k', sizeof(key));
    memcpy(key, "v:m:", 4);
    key[SHM_KEY_MAX - 1] = '\0';
    price.bid = price.ask = price.bid_size = price.ask_size = price.last = price.mark =
        price.funding = number("-99999999999999999999999999.999999999999");
    price.exchange_time_ns = price.receive_time_ns = INT64_MIN;
    price.source = 77;
    text[WHALE_PRICE_MAX] = 'x';
    assert_in_range(whale_price_put(text, key, &price, INT64_MAX / 2, 1, false), 500,
                    WHALE_PRICE_MAX);
    assert_int_equal(text[WHALE_PRICE_MAX], 'x');
}

/* ---- rows --------------------------------------------------------------------------------------
 */

typedef struct {
    const char *name;
    Oid type;
    const char *text; /* NULL: null */
} cell;

static PGresult *row_of(const cell *cells, int count)
{
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc attributes[16];

    memset(attributes, 0, sizeof(attributes));
    for (int i = 0; i < count; i++) {
        char *name = strdup(cells[i].name);

        attributes[i] = (PGresAttDesc){.name = name, .typid = cells[i].type};
    }
    assert_true(PQsetResultAttrs(result, count, attributes));
    for (int i = 0; i < count; i++) {
        free(attributes[i].name);
        assert_true(PQsetvalue(result, 0, i, (char *)(uintptr_t)cells[i].text,
                               cells[i].text != NULL ? (int)strlen(cells[i].text) : -1));
    }
    return result;
}

static void rows(void **state)
{
    const cell cells[] = {{"id", 20, "42"},
                          {"leverage", 23, "5"},
                          {"price", 1700, "1.500000000000"},
                          {"on", 16, "t"},
                          {"off", 16, "f"},
                          {"at", 1184, "2026-11-20 09:10:11.5+00"},
                          {"name", 25, "a\"b\nc"},
                          {"more", 114, "{\"x\":1}"},
                          {"none", 1700, NULL},
                          {"_key", 1700, "80.50"},
                          {"huge", 1700, "123456789012345678901234567890"},
                          {"odd", 1184, "infinity"}};
    PGresult *result = row_of(cells, sizeof(cells) / sizeof(cells[0]));
    char text[1024];
    json_writer writer;
    int64_t id;
    dec value;

    (void)state;
    json_begin(&writer, text, sizeof(text));
    whale_row_object(&writer, result, 0);
    assert_true(json_finish(&writer));
    assert_string_equal(text,
                        "{\"id\":\"42\",\"leverage\":5,\"price\":\"1.5\",\"on\":true,\"off\":false,"
                        "\"at\":\"2026-11-20T09:10:11.500000Z\",\"name\":\"a\\\"b\\nc\",\"more\":{"
                        "\"x\":1},\"none\":null,"
                        "\"huge\":\"123456789012345678901234567890\",\"odd\":null}");
    assert_true(whale_row_room(result) >= writer.length);
    assert_true(whale_row_id(result, 0, "id", &id));
    assert_int_equal(id, 42);
    assert_false(whale_row_id(result, 0, "name", &id));
    assert_false(whale_row_id(result, 0, "absent", &id));
    assert_false(whale_row_id(result, 1, "id", &id));
    assert_false(whale_row_id(NULL, 0, "id", &id));
    assert_true(whale_row_dec(result, 0, "_key", &value));
    assert_int_equal(dec_compare(value, number("80.5")), 0);
    assert_false(whale_row_dec(result, 0, "none", &value));
    assert_true(whale_row_true(result, 0, "on"));
    assert_false(whale_row_true(result, 0, "off"));
    assert_false(whale_row_true(result, 0, "id"));
    assert_string_equal(whale_row_text(result, 0, "none"), "");
    PQclear(result);
}

static void times(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {{"2026-11-20 09:10:11+00", 1795165811000000000},
                {"2026-11-20 09:10:11.123456+00", 1795165811123456000},
                {"2026-11-20 14:40:11.1+05:30", 1795165811100000000},
                {"1969-12-31 23:59:59-01", 3599000000000}};
    static const char *const bad[] = {"",
                                      "infinity",
                                      "2026-11-20",
                                      "2026-11-20T09:10:11+00",
                                      "2026-11-20 09:10:11",
                                      "2026-11-20 09:10:11 BC+00",
                                      "99999-11-20 09:10:11+00",
                                      "2026-13-20 09:10:11+00"};
    int64_t ns;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(whale_row_time(good[i].text, &ns));
        assert_int_equal(ns, good[i].ns);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(whale_row_time(bad[i], &ns));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),   cmocka_unit_test(figures_agree),
        cmocka_unit_test(positions), cmocka_unit_test(hostile_positions),
        cmocka_unit_test(prices),    cmocka_unit_test(rows),
        cmocka_unit_test(times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
