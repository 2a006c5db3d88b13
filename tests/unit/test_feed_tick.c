/*
 * From frames to prices: what is published, what is dropped, where the mark comes from, and when a
 * price says that its stream is down.
 */
#include "tests/unit/feed_frames.h"
#include "workerd/feed/feed_tick.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#define BEST_GROUP 0
#define MARK_GROUP 1
#define SECOND 1000000000LL

static char path[64];
static shm_segment *segment;
static feed_table table;
static struct feed_source best_source, mark_source;
static venue_event event;

/* Stands in for an adapter's parser: says what the test put there. */
static venue_event parser_says;
static void fake_parse(const char *message, size_t length, venue_event *out)
{
    (void)message;
    (void)length;
    *out = parser_says;
}
static const venue_adapter adapter = {
    .name = "binance", .market = VENUE_USDM, .stream_parse = fake_parse};

static struct feed_instrument *instrument(const char *symbol)
{
    return feed_table_find(&table, symbol, strlen(symbol));
}

static int setup(void **state)
{
    static const char *const symbols[] = {"BTCUSDT", "ETHUSDT"};
    const shm_options options = {
        .instruments = 16, .users = 1, .positions = 1, .signals = 1, .mode = 0640, .group = -1};
    char error[256];

    (void)state;
    snprintf(path, sizeof(path), "/dev/shm/whale-test-tick-%ld", (long)getpid());
    unlink(path);
    if (!shm_create(path, &options, error, sizeof(error)) ||
        (segment = shm_open_writer(path, error, sizeof(error))) == NULL ||
        !feed_table_init(&table, 16)) {
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        char key[64];
        uint32_t slot, position;

        snprintf(key, sizeof(key), "binance:usdm:%s", symbols[i]);
        if (!shm_price_claim(segment, key, strlen(key), &slot) ||
            !feed_table_add(&table, symbols[i], strlen(symbols[i]), slot, &position)) {
            return -1;
        }
    }
    best_source = (struct feed_source){.segment = segment,
                                       .table = &table,
                                       .adapter = &adapter,
                                       .scan = feed_scanner_of(&adapter),
                                       .group = BEST_GROUP};
    mark_source = best_source;
    mark_source.group = MARK_GROUP;
    parser_says = (venue_event){.kind = VENUE_EVENT_UNREADABLE};
    return best_source.scan == binance_tick_scan ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    feed_table_free(&table);
    shm_close(segment);
    unlink(path);
    return 0;
}

static enum feed_outcome best(uint64_t id, const char *bid, const char *ask, int64_t now_ns)
{
    char frame[256];
    const int length =
        snprintf(frame, sizeof(frame),
                 "{\"e\":\"bookTicker\",\"u\":%llu,\"s\":\"BTCUSDT\",\"b\":\"%s\",\"B\":\"1\","
                 "\"a\":\"%s\",\"A\":\"2\",\"T\":5}",
                 (unsigned long long)id, bid, ask);

    return feed_tick(&best_source, frame, (size_t)length, now_ns, &event);
}

static enum feed_outcome mark(const char *value, int64_t time_ms, int64_t now_ns)
{
    char frame[256];
    const int length = snprintf(frame, sizeof(frame),
                                "{\"e\":\"markPriceUpdate\",\"E\":%lld,\"s\":\"BTCUSDT\","
                                "\"p\":\"%s\",\"r\":\"0.0001\",\"T\":9}",
                                (long long)time_ms, value);

    return feed_tick(&mark_source, frame, (size_t)length, now_ns, &event);
}

static enum feed_outcome trade(const char *price, int64_t time_ms, int64_t now_ns)
{
    char frame[256];
    const int length = snprintf(frame, sizeof(frame),
                                "{\"e\":\"aggTrade\",\"E\":1,\"s\":\"BTCUSDT\",\"a\":1,\"p\":"
                                "\"%s\",\"q\":\"1\",\"T\":%lld,\"m\":true}",
                                price, (long long)time_ms);

    return feed_tick(&mark_source, frame, (size_t)length, now_ns, &event);
}

static shm_price price_now(void)
{
    shm_price price;

    assert_int_equal(shm_price_read(segment, instrument("BTCUSDT")->slot, &price), SHM_READ_OK);
    return price;
}

static void assert_dec(dec value, const char *text)
{
    char found[DEC_TEXT_MAX];

    dec_format(value, found);
    assert_string_equal(found, text);
}

static void a_best_price_is_published_whole(void **state)
{
    (void)state;
    assert_int_equal(best(10, "61800.20", "61800.30", 77), FEED_PUBLISHED);
    const shm_price price = price_now();
    assert_dec(price.bid, "61800.2");
    assert_dec(price.ask, "61800.3");
    assert_dec(price.bid_size, "1");
    assert_dec(price.ask_size, "2");
    assert_true(price.update_id == 10 && price.receive_time_ns == 77);
    assert_true(price.exchange_time_ns == 5000000);
    assert_int_equal(price.source, SHM_SOURCE_WS);
}

static void ids_that_go_back_are_dropped(void **state)
{
    (void)state;
    assert_int_equal(best(10, "5", "6", SECOND), FEED_PUBLISHED);
    assert_int_equal(best(9, "1", "2", SECOND + 1), FEED_OLD);
    assert_dec(price_now().bid, "5");
    assert_int_equal(best(10, "5", "6", SECOND + 2), FEED_PUBLISHED);
    assert_int_equal(best(11, "7", "8", SECOND + 3), FEED_PUBLISHED);
    /* a second connection that lags never wins, however long it lags */
    for (int64_t i = 1; i < 100; i++) {
        assert_int_equal(best(5, "1", "2", SECOND * i), FEED_OLD);
        assert_int_equal(best(11 + (uint64_t)i, "7", "8", SECOND * i + 1), FEED_PUBLISHED);
    }
}

static void a_venue_that_numbers_anew_is_followed_after_a_while(void **state)
{
    (void)state;
    assert_int_equal(best(1000, "5", "6", SECOND), FEED_PUBLISHED);
    assert_int_equal(best(1, "7", "8", 2 * SECOND), FEED_OLD);
    assert_int_equal(best(2, "7", "8", 3 * SECOND), FEED_OLD);
    assert_int_equal(best(3, "7", "8", 2 * SECOND + FEED_RENUMBERED_NS), FEED_PUBLISHED);
    assert_int_equal(best(4, "7", "8", 5 * SECOND), FEED_PUBLISHED);
    assert_int_equal(price_now().update_id, 4);
}

static void the_mid_is_the_mark_where_the_venue_tells_none(void **state)
{
    (void)state;
    best(1, "100", "101", SECOND);
    assert_dec(price_now().mark, "100.5");
    assert_int_equal(price_now().flags, SHM_PRICE_MARK_SYNTHETIC);
    /* half a unit of the last place goes down */
    best(2, "1", "1.000000000001", SECOND);
    assert_dec(price_now().mark, "1");
    /* one side empty: no mid, the last one stands */
    best(3, "0", "5", SECOND);
    assert_dec(price_now().mark, "1");
    best(4, "99999999999999999999999999", "99999999999999999999999999", SECOND);
    assert_dec(price_now().mark, "99999999999999999999999999");
}

static void the_venues_mark_wins_until_it_is_old(void **state)
{
    (void)state;
    best(1, "100", "101", SECOND);
    assert_int_equal(mark("100.7", 1000, 2 * SECOND), FEED_PUBLISHED);
    assert_dec(price_now().mark, "100.7");
    assert_dec(price_now().funding, "0.0001");
    assert_int_equal(price_now().flags, 0);
    best(2, "102", "103", 2 * SECOND + FEED_MARK_AGE_NS);
    assert_dec(price_now().mark, "100.7");
    assert_int_equal(mark("99", 999, 3 * SECOND), FEED_OLD);
    best(3, "102", "103", 2 * SECOND + FEED_MARK_AGE_NS + 1);
    assert_dec(price_now().mark, "102.5");
    assert_int_equal(price_now().flags, SHM_PRICE_MARK_SYNTHETIC);
    assert_int_equal(mark("102.6", 2000, 30 * SECOND), FEED_PUBLISHED);
    assert_int_equal(price_now().flags, 0);
}

static void a_mark_that_says_it_is_made_up_gives_way_to_the_mid(void **state)
{
    static const char frame[] =
        "{\"e\":\"markPriceUpdate\",\"E\":5000,\"s\":\"BTCUSDT\",\"p\":\"90\",\"r\":\"0.0002\","
        "\"T\":9,\"x-synthetic\":true}";

    (void)state;
    best(1, "100", "101", SECOND);
    assert_int_equal(feed_tick(&mark_source, frame, sizeof(frame) - 1, SECOND, &event),
                     FEED_PUBLISHED);
    assert_dec(price_now().mark, "100.5");
    assert_dec(price_now().funding, "0.0002");
    assert_int_equal(price_now().flags & SHM_PRICE_MARK_SYNTHETIC, SHM_PRICE_MARK_SYNTHETIC);
}

static void trades_set_the_last_price_in_order_of_time(void **state)
{
    (void)state;
    best(1, "100", "101", SECOND);
    assert_int_equal(trade("100.5", 2000, SECOND), FEED_PUBLISHED);
    assert_int_equal(trade("99", 1999, SECOND), FEED_OLD);
    assert_dec(price_now().last, "100.5");
    assert_dec(price_now().bid, "100"); /* and leave the rest */
}

static void a_price_is_connected_when_all_its_streams_are(void **state)
{
    (void)state;
    struct feed_instrument *btc = instrument("BTCUSDT");

    best(1, "100", "101", SECOND);
    mark("100", 1, SECOND);
    assert_int_equal(price_now().flags, 0);
    feed_instrument_down(segment, btc, BEST_GROUP);
    assert_int_equal(price_now().flags, SHM_PRICE_DISCONNECTED);
    /* a mark from the other stream does not make the bid fresh */
    mark("102", 2, SECOND);
    assert_int_equal(price_now().flags, SHM_PRICE_DISCONNECTED);
    assert_dec(price_now().mark, "102");
    best(2, "100", "101", SECOND);
    assert_int_equal(price_now().flags, 0);
    /* nothing is published of what was never known */
    const uint64_t version = price_now().version;
    shm_price price;
    feed_instrument_down(segment, instrument("ETHUSDT"), BEST_GROUP);
    assert_int_equal(shm_price_read(segment, instrument("ETHUSDT")->slot, &price), SHM_READ_OK);
    assert_int_equal(price.source, SHM_SOURCE_NONE);
    assert_true(price_now().version == version);
}

static void a_successor_takes_over_what_was_known(void **state)
{
    (void)state;
    struct feed_instrument *btc = instrument("BTCUSDT");

    best(7, "100", "101", SECOND);
    trade("100.5", 3000, SECOND);
    memset(&btc->price, 0, sizeof(btc->price));
    memset(&btc->best, 0, sizeof(btc->best));
    feed_instrument_restore(segment, btc, 3);
    assert_true((price_now().flags & SHM_PRICE_DISCONNECTED) != 0);
    assert_true(price_now().receive_time_ns == SECOND);
    assert_int_equal(best(8, "102", "103", 2 * SECOND), FEED_PUBLISHED);
    assert_dec(price_now().last, "100.5");
    assert_true((price_now().flags & SHM_PRICE_DISCONNECTED) != 0);
    mark("102", 2, SECOND);
    assert_int_equal(price_now().flags, 0);
}

static void what_is_no_price_is_told_apart(void **state)
{
    (void)state;
    static const char unasked[] = "{\"e\":\"bookTicker\",\"u\":1,\"s\":\"DOGEUSDT\",\"b\":\"1\","
                                  "\"B\":\"1\",\"a\":\"1\",\"A\":\"1\"}";

    assert_int_equal(feed_tick(&best_source, unasked, strlen(unasked), 1, &event), FEED_NOTHING);
    assert_int_equal(best(1, "-1", "1", 1), FEED_UNREADABLE);
    assert_int_equal(mark("0", 1, 1), FEED_UNREADABLE);
    assert_int_equal(trade("-1", 1, 1), FEED_UNREADABLE);
    assert_int_equal(feed_tick(&best_source, "<html>", 6, 1, &event), FEED_UNREADABLE);
    parser_says.kind = VENUE_EVENT_ACK;
    assert_int_equal(feed_tick(&best_source, "{\"id\":1}", 8, 1, &event), FEED_CONTROL);
    assert_int_equal(event.kind, VENUE_EVENT_ACK);
    parser_says.kind = VENUE_EVENT_NONE;
    assert_int_equal(feed_tick(&best_source, "{}", 2, 1, &event), FEED_NOTHING);
}

static void other_venues_go_through_their_parser(void **state)
{
    (void)state;
    struct feed_source source = best_source;

    source.scan = NULL;
    parser_says = (venue_event){.kind = VENUE_EVENT_BEST,
                                .symbol = "BTCUSDT",
                                .symbol_length = 7,
                                .bid = dec_from_int(3),
                                .ask = dec_from_int(5),
                                .update_id = 4,
                                .exchange_time_ns = -1};
    assert_int_equal(feed_tick(&source, "", 0, 9, &event), FEED_PUBLISHED);
    assert_dec(price_now().mark, "4");
    assert_true(price_now().exchange_time_ns == 0 && price_now().receive_time_ns == 9);
    parser_says.kind = VENUE_EVENT_TRADE;
    parser_says.last = dec_from_int(6);
    assert_int_equal(feed_tick(&source, "", 0, 9, &event), FEED_PUBLISHED);
    parser_says.kind = VENUE_EVENT_MARK;
    parser_says.mark = dec_from_int(7);
    assert_int_equal(feed_tick(&source, "", 0, 9, &event), FEED_PUBLISHED);
    assert_dec(price_now().last, "6");
    assert_dec(price_now().mark, "7");
}

static void a_recording_ends_at_its_last_prices(void **state)
{
    (void)state;
    feed_frames frames = {.count = 0};
    unsigned published = 0;
    shm_price price;

    frames_load(&frames, "binance-usdm-btcusdt.jsonl.gz", "bookTicker");
    frames_load(&frames, "binance-usdm-ethusdt.jsonl.gz", "bookTicker");
    for (size_t i = 0; i < frames.count; i++) {
        published += feed_tick(&best_source, frames.text[i], frames.length[i], (int64_t)i,
                               &event) == FEED_PUBLISHED;
    }
    assert_int_equal(published, frames.count);
    assert_int_equal(shm_price_read(segment, instrument("ETHUSDT")->slot, &price), SHM_READ_OK);
    assert_true(dec_sign(price.bid) > 0 && dec_compare(price.bid, price.ask) < 0);
    frames_free(&frames);
}

static void every_symbol_is_found_again(void **state)
{
    (void)state;
    feed_table many;
    uint32_t position;

    assert_true(feed_table_init(&many, 1000));
    for (uint32_t i = 0; i < 1000; i++) {
        char symbol[VENUE_SYMBOL_MAX];
        /* of all lengths, and alike at both ends */
        const int length = snprintf(symbol, sizeof(symbol), "%.*s%u%.*s", (int)(i % 30),
                                    "12345678901234567890123456789012", i, (int)(i % 37),
                                    "USDTUSDTUSDTUSDTUSDTUSDTUSDTUSDTUSDTUSDT");
        assert_true(feed_table_add(&many, symbol, (size_t)length, i, &position));
        assert_int_equal(position, many.count - 1);
        assert_true(feed_table_add(&many, symbol, (size_t)length, i + 1, &position));
        assert_int_equal(feed_table_find(&many, symbol, (size_t)length)->slot, i);
    }
    assert_false(feed_table_add(&many, "more", 4, 0, &position));
    assert_null(feed_table_find(&many, "more", 4));
    assert_null(feed_table_find(&many, "", 0));
    assert_false(feed_table_add(&many, "", 0, 0, &position));
    feed_table_free(&many);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_best_price_is_published_whole),
        CASE(ids_that_go_back_are_dropped),
        CASE(a_venue_that_numbers_anew_is_followed_after_a_while),
        CASE(the_mid_is_the_mark_where_the_venue_tells_none),
        CASE(the_venues_mark_wins_until_it_is_old),
        CASE(a_mark_that_says_it_is_made_up_gives_way_to_the_mid),
        CASE(trades_set_the_last_price_in_order_of_time),
        CASE(a_price_is_connected_when_all_its_streams_are),
        CASE(a_successor_takes_over_what_was_known),
        CASE(what_is_no_price_is_told_apart),
        CASE(other_venues_go_through_their_parser),
        CASE(a_recording_ends_at_its_last_prices),
        CASE(every_symbol_is_found_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
