/*
 * The scanner of hot messages against an independent reading of the same bytes with a JSON parser:
 * every recorded frame, every truncation, mutations, and frames made to differ.
 */
#include "core/json.h"
#include "tests/unit/feed_frames.h"
#include "venues/binance/binance_tick.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define TOKENS 2048

static feed_frames frames;

static int load(void **state)
{
    (void)state;
    frames_load(&frames, "binance-usdm-btcusdt.jsonl.gz", NULL);
    frames_load(&frames, "binance-usdm-ethusdt.jsonl.gz", NULL);
    return frames.count == 6000 ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    frames_free(&frames);
    return 0;
}

/* ---- the other reading ----------------------------------------------------------------------- */

static bool whole(const json_doc *doc, int node, int64_t *out)
{
    *out = 0;
    return node < 0 || json_get_int(doc, node, out);
}

static bool read_best(const json_doc *doc, int data, struct binance_tick *out)
{
    int64_t id, time;

    if (!whole(doc, json_at(doc, data, "u"), &id) ||
        !whole(doc, json_at(doc, data, json_at(doc, data, "T") >= 0 ? "T" : "E"), &time)) {
        return false;
    }
    out->update_id = (uint64_t)id;
    out->exchange_time_ns = time * 1000000;
    return json_get_dec_rounded(doc, json_at(doc, data, "b"), &out->bid) &&
           json_get_dec_rounded(doc, json_at(doc, data, "B"), &out->bid_size) &&
           json_get_dec_rounded(doc, json_at(doc, data, "a"), &out->ask) &&
           json_get_dec_rounded(doc, json_at(doc, data, "A"), &out->ask_size);
}

static bool read_trade(const json_doc *doc, int data, const char *id_name, struct binance_tick *out)
{
    int64_t id, time;

    if (!whole(doc, json_at(doc, data, id_name), &id) ||
        !whole(doc, json_at(doc, data, "T"), &time)) {
        return false;
    }
    out->update_id = (uint64_t)id;
    out->exchange_time_ns = time * 1000000;
    return json_get_dec_rounded(doc, json_at(doc, data, "p"), &out->last);
}

static bool read_mark(const json_doc *doc, int data, struct binance_tick *out)
{
    const int funding = json_at(doc, data, "r");
    int64_t time;

    if (!whole(doc, json_at(doc, data, "E"), &time)) {
        return false;
    }
    out->exchange_time_ns = time * 1000000;
    return json_get_dec_rounded(doc, json_at(doc, data, "p"), &out->mark) &&
           (funding < 0 || json_equals(doc, funding, "") ||
            json_get_dec_rounded(doc, funding, &out->funding));
}

/* What a parser makes of the frame; OTHER for what is no hot message, or not JSON at all. */
static enum binance_tick_result read_with_parser(const char *text, size_t length,
                                                 struct binance_tick *out)
{
    static jsmntok_t tokens[TOKENS];
    enum binance_tick_result result = BINANCE_TICK_OTHER;
    bool read = false;
    json_doc doc;

    memset(out, 0, sizeof(*out));
    if (json_parse(&doc, text, length, tokens, TOKENS) != JSON_OK) {
        return BINANCE_TICK_OTHER;
    }
    const int data = json_at(&doc, 0, "stream") >= 0 ? json_at(&doc, 0, "data") : 0;
    const int kind = json_at(&doc, data, "e"), source = json_at(&doc, data, "X");
    if (json_equals(&doc, kind, "depthUpdate")) {
        return BINANCE_TICK_IGNORED;
    }
    if (json_equals(&doc, kind, "bookTicker")) {
        result = BINANCE_TICK_BEST;
        read = read_best(&doc, data, out);
    } else if (json_equals(&doc, kind, "aggTrade") || json_equals(&doc, kind, "trade")) {
        const bool market = source < 0 || json_equals(&doc, source, "MARKET");
        result = market ? BINANCE_TICK_TRADE : BINANCE_TICK_IGNORED;
        read = read_trade(&doc, data, json_equals(&doc, kind, "trade") ? "t" : "a", out);
    } else if (json_equals(&doc, kind, "markPriceUpdate")) {
        result = BINANCE_TICK_MARK;
        read = read_mark(&doc, data, out);
    }
    if (!read || !json_slice(&doc, json_at(&doc, data, "s"), &out->symbol, &out->symbol_length)) {
        return BINANCE_TICK_OTHER;
    }
    return result;
}

static bool same(dec a, dec b)
{
    return dec_compare(a, b) == 0;
}

static bool same_values(enum binance_tick_result result, const struct binance_tick *a,
                        const struct binance_tick *b)
{
    if (result == BINANCE_TICK_OTHER || result == BINANCE_TICK_IGNORED) {
        return true;
    }
    if (a->symbol != b->symbol || a->symbol_length != b->symbol_length ||
        a->update_id != b->update_id || a->exchange_time_ns != b->exchange_time_ns) {
        return false;
    }
    if (result == BINANCE_TICK_BEST) {
        return same(a->bid, b->bid) && same(a->bid_size, b->bid_size) && same(a->ask, b->ask) &&
               same(a->ask_size, b->ask_size);
    }
    return result == BINANCE_TICK_TRADE ? same(a->last, b->last)
                                        : same(a->mark, b->mark) && same(a->funding, b->funding);
}

/* The scanner may leave a frame to the parser; what it takes must be what the parser reads. */
static enum binance_tick_result check(const char *text, size_t length)
{
    struct binance_tick scanned, parsed;
    const enum binance_tick_result result = binance_tick_scan(text, length, &scanned);

    if (result == BINANCE_TICK_OTHER || result == BINANCE_TICK_IGNORED) {
        return result;
    }
    if (read_with_parser(text, length, &parsed) != result ||
        !same_values(result, &scanned, &parsed)) {
        fail_msg("the parser reads it otherwise: %.*s", (int)length, text);
    }
    return result;
}

/* The same in an allocation of just its size. */
static enum binance_tick_result check_copy(const char *text, size_t length)
{
    char *copy = malloc(length + (length == 0));
    assert_non_null(copy);
    memcpy(copy, text, length);
    const enum binance_tick_result result = check(copy, length);
    free(copy);
    return result;
}

/* ---- recorded frames ---------------------------------------------------------------------------
 */

static void every_recorded_frame_is_read_as_the_parser_reads_it(void **state)
{
    (void)state;
    unsigned counts[5] = {0};

    for (size_t i = 0; i < frames.count; i++) {
        struct binance_tick scanned, parsed;
        const enum binance_tick_result result =
            binance_tick_scan(frames.text[i], frames.length[i], &scanned);

        assert_int_equal(result, read_with_parser(frames.text[i], frames.length[i], &parsed));
        assert_true(same_values(result, &scanned, &parsed));
        counts[result]++;
    }
    assert_int_equal(counts[BINANCE_TICK_BEST], 2296 + 2320);
    assert_true(counts[BINANCE_TICK_TRADE] > 900);
    assert_int_equal(counts[BINANCE_TICK_MARK], 0);
    /* none of them is left to the parser: the two are depth snapshots, which were asked for by REST
     */
    assert_int_equal(counts[BINANCE_TICK_OTHER], 2);
}

static const char *const samples[] = {
    "{\"stream\":\"btcusdt@bookTicker\",\"data\":{\"e\":\"bookTicker\",\"u\":5123107839020,\"s\":"
    "\"BTCUSDT\",\"b\":\"61800.20\",\"B\":\"2.507\",\"a\":\"61800.30\",\"A\":\"2.510\",\"T\":"
    "1723161256313,\"E\":1723161256314}}",
    "{\"e\":\"bookTicker\",\"u\":1,\"s\":\"X\",\"b\":\"0.1\",\"B\":\"2\",\"a\":\"3\",\"A\":\"4\"}",
    "{\"e\":\"aggTrade\",\"E\":123456789,\"s\":\"BTCUSDT\",\"a\":5933014,\"p\":\"0.001\",\"q\":"
    "\"100\",\"f\":100,\"l\":105,\"T\":123456785,\"m\":true,\"M\":null}",
    "{\"e\":\"markPriceUpdate\",\"E\":1562305380000,\"s\":\"BTCUSDT\",\"p\":\"11794.15000000\","
    "\"i\":\"11784.62659091\",\"P\":\"11784.25641265\",\"r\":\"-0.00038167\",\"T\":1562306400000}",
    "{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"X\",\"b\":[[\"1\",\"2\"]],\"a\":[]}",
    "{\"data\":{\"e\":\"trade\",\"s\":\"ETHUSDT\",\"t\":7,\"p\":2681.63,\"T\":5,\"X\":\"MARKET\"},"
    "\"stream\":\"ethusdt@trade\"}",
};
#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

static void each_kind_of_message_is_known(void **state)
{
    (void)state;
    static const enum binance_tick_result expected[SAMPLES] = {
        BINANCE_TICK_BEST, BINANCE_TICK_BEST,    BINANCE_TICK_TRADE,
        BINANCE_TICK_MARK, BINANCE_TICK_IGNORED, BINANCE_TICK_TRADE,
    };
    struct binance_tick tick;
    dec rate;

    for (size_t i = 0; i < SAMPLES; i++) {
        assert_int_equal(check_copy(samples[i], strlen(samples[i])), expected[i]);
    }
    binance_tick_scan(samples[3], strlen(samples[3]), &tick);
    assert_true(dec_parse("-0.00038167", 11, &rate) && same(tick.funding, rate));
    /* of a mark, T is the next funding and E the time */
    assert_true(tick.exchange_time_ns == 1562305380000 * 1000000);
}

static void no_truncation_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        for (size_t length = 0; length < strlen(samples[i]); length++) {
            const enum binance_tick_result result = check_copy(samples[i], length);
            assert_true(result == BINANCE_TICK_OTHER || result == BINANCE_TICK_IGNORED);
        }
    }
    for (size_t i = 0; i < frames.count; i += 97) {
        for (size_t length = 0; length < frames.length[i] && length < 400; length++) {
            const enum binance_tick_result result = check_copy(frames.text[i], length);
            assert_true(result == BINANCE_TICK_OTHER || result == BINANCE_TICK_IGNORED);
        }
    }
}

static uint64_t seed = 88172645463325252ULL;

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Bytes that mean something in these frames come more often than others. */
static char draw_byte(void)
{
    static const char telling[] = "\"\"\"{}[],,::.-+eE01239 \\\tubBaAsTEpr";

    return draw() % 4 == 0 ? (char)draw() : telling[draw() % (sizeof(telling) - 1)];
}

static void mutations_are_read_as_the_parser_reads_them_or_left(void **state)
{
    (void)state;
    char text[1024];
    unsigned taken = 0;

    for (int round = 0; round < 300000; round++) {
        const bool recorded = round % 3 == 0;
        const size_t at = draw() % (recorded ? frames.count : SAMPLES);
        const char *from = recorded ? frames.text[at] : samples[at];
        size_t length = recorded ? frames.length[at] : strlen(from);

        if (length > sizeof(text) - 8) {
            continue;
        }
        memcpy(text, from, length);
        for (uint64_t changes = 1 + draw() % 3; changes > 0; changes--) {
            const size_t place = draw() % length;
            switch (draw() % 4) {
            case 0: /* insert */
                memmove(text + place + 1, text + place, length - place);
                text[place] = draw_byte();
                length++;
                break;
            case 1: /* delete */
                memmove(text + place, text + place + 1, length - place - 1);
                length--;
                break;
            default:
                text[place] = draw_byte();
                break;
            }
        }
        const enum binance_tick_result result = check(text, length);
        taken += result != BINANCE_TICK_OTHER && result != BINANCE_TICK_IGNORED;
    }
    assert_true(taken > 1000); /* mutations inside values stay messages */
}

/* ---- one oddity each
 * ------------------------------------------------------------------------------ */

static enum binance_tick_result scan(const char *text)
{
    return check_copy(text, strlen(text));
}

static void what_is_unusual_is_left_to_the_parser(void **state)
{
    (void)state;
    static const char *const odd[] = {
        "",
        "{",
        "{}",
        "[]",
        "null",
        "{\"result\":null,\"id\":1}",
        "{\"id\":1,\"e\":\"bookTicker\",\"s\":\"X\",\"b\":\"1\",\"B\":\"1\",\"a\":\"1\",\"A\":"
        "\"1\"}",
        /* white space, escapes, what is not ASCII, control characters */
        "{\"e\": \"bookTicker\",\"s\":\"X\",\"b\":\"1\",\"B\":\"1\",\"a\":\"1\",\"A\":\"1\"}",
        "{\"e\":\"book\\u0054icker\",\"s\":\"X\",\"b\":\"1\",\"B\":\"1\",\"a\":\"1\",\"A\":\"1\"}",
        "{\"e\":\"bookTicker\",\"s\":\"\xc3\xa9\",\"b\":\"1\",\"B\":\"1\",\"a\":\"1\",\"A\":\"1\"}",
        "{\"e\":\"bookTicker\",\"s\":\"\x01\",\"b\":\"1\",\"B\":\"1\",\"a\":\"1\",\"A\":\"1\"}",
        /* a name twice; one missing; empty values; nesting; a trailing comma; more behind it */
        "{\"e\":\"bookTicker\",\"s\":\"X\",\"b\":\"1\",\"b\":\"2\",\"B\":\"1\",\"a\":\"1\",\"A\":"
        "\"1\"}",
        "{\"e\":\"bookTicker\",\"s\":\"X\",\"b\":\"1\",\"B\":\"1\",\"a\":\"1\"}",
        "{\"e\":\"bookTicker\",\"s\":\"\",\"b\":\"1\",\"B\":\"1\",\"a\":\"1\",\"A\":\"1\"}",
        "{\"e\":\"bookTicker\",\"s\":\"X\",\"b\":\"\",\"B\":\"1\",\"a\":\"1\",\"A\":\"1\"}",
        "{\"e\":\"bookTicker\",\"s\":\"X\",\"b\":{},\"B\":\"1\",\"a\":\"1\",\"A\":\"1\"}",
        "{\"e\":\"bookTicker\",\"s\":\"X\",\"b\":\"1\",\"B\":\"1\",\"a\":\"1\",\"A\":\"1\",}",
        "{\"e\":\"bookTicker\",\"s\":\"X\",\"b\":\"1\",\"B\":\"1\",\"a\":\"1\",\"A\":\"1\"}}",
        /* numbers that are none, or too large */
        "{\"e\":\"bookTicker\",\"s\":\"X\",\"b\":\"1,5\",\"B\":\"1\",\"a\":\"1\",\"A\":\"1\"}",
        "{\"e\":\"bookTicker\",\"s\":\"X\",\"b\":01,\"B\":\"1\",\"a\":\"1\",\"A\":\"1\"}",
        "{\"e\":\"bookTicker\",\"s\":\"X\",\"b\":\"1e26\",\"B\":\"1\",\"a\":\"1\",\"A\":\"1\"}",
        "{\"e\":\"bookTicker\",\"s\":\"X\",\"u\":-5,\"b\":\"1\",\"B\":\"1\",\"a\":\"1\",\"A\":"
        "\"1\"}",
        /* half of a combined message */
        "{\"data\":{\"e\":\"bookTicker\",\"s\":\"X\",\"b\":\"1\",\"B\":\"1\",\"a\":\"1\",\"A\":"
        "\"1\"}}",
        "{\"stream\":\"x\",\"e\":\"bookTicker\",\"s\":\"X\",\"b\":\"1\",\"B\":\"1\",\"a\":\"1\","
        "\"A\":\"1\"}",
        "{\"stream\":\"x\",\"e\":\"bookTicker\",\"data\":{\"s\":\"X\",\"b\":\"1\",\"B\":\"1\","
        "\"a\":\"1\",\"A\":\"1\"}}",
    };

    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        if (scan(odd[i]) != BINANCE_TICK_OTHER) {
            fail_msg("taken: %s", odd[i]);
        }
    }
}

static void long_and_exotic_numbers_are_exact(void **state)
{
    (void)state;
    static const char *const numbers[] = {
        "0",
        "0.00000000",
        "00012",
        "1.",
        ".5",
        "1e3",
        "-1",
        "+1",
        "1.0000000000005",
        "1.0000000000015",
        "9999999999999999999",
        "99999999999999999999999999",
        "123456789012.123456789012",
        "0.000000000001",
        "0.0000000000000000001",
        "12345678901234567.1",
        "1234567890123456.78",
    };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text),
                 "{\"e\":\"bookTicker\",\"u\":1,\"s\":\"X\",\"b\":\"%s\",\"B\":\"1\",\"a\":\"1\","
                 "\"A\":\"1\"}",
                 numbers[i]);
        assert_int_equal(scan(text), BINANCE_TICK_BEST);
    }
}

static void members_come_in_any_order(void **state)
{
    (void)state;
    static const char *const members[] = {
        "\"e\":\"bookTicker\"", "\"u\":5123107839020", "\"s\":\"BTCUSDT\"", "\"b\":\"61800.20\"",
        "\"B\":\"2.507\"",      "\"a\":\"61800.30\"",  "\"A\":\"2.510\"",   "\"T\":1723161256313",
    };
    unsigned order[8] = {0, 1, 2, 3, 4, 5, 6, 7};

    for (int round = 0; round < 2000; round++) {
        char text[256] = "{";
        for (unsigned i = 7; i > 0; i--) {
            const unsigned j = (unsigned)(draw() % (i + 1)), kept = order[i];
            order[i] = order[j];
            order[j] = kept;
        }
        for (unsigned i = 0; i < 8; i++) {
            strcat(text, members[order[i]]);
            strcat(text, i < 7 ? "," : "}");
        }
        assert_int_equal(scan(text), BINANCE_TICK_BEST);
    }
}

static void trades_that_are_no_market_trades_are_ignored(void **state)
{
    (void)state;
    assert_int_equal(scan("{\"e\":\"trade\",\"s\":\"X\",\"t\":7,\"p\":\"0\",\"T\":5,\"X\":\"NA\"}"),
                     BINANCE_TICK_IGNORED);
    assert_int_equal(
        scan("{\"e\":\"trade\",\"s\":\"X\",\"t\":7,\"p\":\"9\",\"T\":5,\"X\":\"INSURANCE_FUND\"}"),
        BINANCE_TICK_IGNORED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recorded_frame_is_read_as_the_parser_reads_it),
        cmocka_unit_test(each_kind_of_message_is_known),
        cmocka_unit_test(no_truncation_is_taken),
        cmocka_unit_test(mutations_are_read_as_the_parser_reads_them_or_left),
        cmocka_unit_test(what_is_unusual_is_left_to_the_parser),
        cmocka_unit_test(long_and_exotic_numbers_are_exact),
        cmocka_unit_test(members_come_in_any_order),
        cmocka_unit_test(trades_that_are_no_market_trades_are_ignored),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
