/*
 * Prices: finding, publishing, giving slots away, repair, and readers against a writer at full
 * speed.
 */
#include "shm/mapping.h"

#include "core/clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define INSTRUMENTS 64
#define READERS 3
#define STRESS_NS (1500 * CLOCK_MS_NS)

static char path[64];
static shm_segment *writer, *reader;

static int setup(void **state)
{
    const shm_options options = {.instruments = INSTRUMENTS,
                                 .users = 1,
                                 .positions = 1,
                                 .signals = 1,
                                 .mode = 0640,
                                 .group = -1};
    char error[256];

    (void)state;
    snprintf(path, sizeof(path), "/dev/shm/whale-test-prices-%ld", (long)getpid());
    unlink(path);
    if (!shm_create(path, &options, error, sizeof(error))) {
        print_error("%s\n", error);
        return -1;
    }
    writer = shm_open_writer(path, error, sizeof(error));
    reader = shm_open_reader(path);
    return writer == NULL || reader == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    shm_close(reader);
    shm_close(writer);
    unlink(path);
    return 0;
}

static uint32_t claim(const char *key)
{
    uint32_t slot = UINT32_MAX;

    assert_true(shm_price_claim(writer, key, strlen(key), &slot));
    return slot;
}

static enum shm_read find(const char *key, uint32_t *slot)
{
    return shm_price_find(reader, key, strlen(key), slot);
}

static void what_is_published_is_read(void **state)
{
    (void)state;
    const uint32_t slot = claim("binance:usdm:BTCUSDT");
    uint32_t found;
    shm_price in = {.bid = {.units = -1}, /* both halves of the number matter */
                    .ask = dec_from_int(61800),
                    .funding = {.units = (__int128)1 << 80},
                    .exchange_time_ns = 1,
                    .receive_time_ns = 2,
                    .update_id = 3,
                    .generation = 400,
                    .version = 500,
                    .source = SHM_SOURCE_WS,
                    .flags = SHM_PRICE_MARK_SYNTHETIC},
              out;

    assert_int_equal(find("binance:usdm:BTCUSDT", &found), SHM_READ_OK);
    assert_int_equal(found, slot);
    /* claimed, never published: known, and empty */
    assert_int_equal(shm_price_read(reader, slot, &out), SHM_READ_OK);
    assert_int_equal(out.source, SHM_SOURCE_NONE);
    const uint64_t generation = out.generation, version = out.version;

    shm_price_publish(writer, slot, &in);
    assert_int_equal(shm_price_read(reader, slot, &out), SHM_READ_OK);
    /* the slot's own words are not the publisher's */
    assert_true(out.generation == generation && out.version == version + 1);
    in.generation = out.generation;
    in.version = out.version;
    assert_memory_equal(&in, &out, sizeof(in));
    assert_string_equal(shm_price_source_name((enum shm_price_source)out.source), "ws");
}

static void other_keys_are_absent(void **state)
{
    (void)state;
    uint32_t slot;
    char text[SHM_KEY_MAX];
    shm_price price;
    char longest[SHM_KEY_MAX + 1];

    claim("binance:usdm:BTCUSDT");
    assert_int_equal(find("binance:usdm:BTCUSD", &slot), SHM_READ_ABSENT);
    assert_int_equal(find("binance:usdm:BTCUSDTX", &slot), SHM_READ_ABSENT);
    assert_int_equal(find("", &slot), SHM_READ_ABSENT);
    assert_int_equal(shm_price_find(reader, "binance:usdm:BTCUSDT", 21, &slot), SHM_READ_ABSENT);

    memset(longest, 'x', sizeof(longest));
    assert_false(shm_price_claim(writer, longest, SHM_KEY_MAX, &slot));
    assert_true(shm_price_claim(writer, longest, SHM_KEY_MAX - 1, &slot));
    assert_int_equal(shm_price_key(reader, slot, text), SHM_READ_OK);
    assert_int_equal(strlen(text), SHM_KEY_MAX - 1);

    assert_int_equal(shm_price_read(reader, UINT32_MAX, &price), SHM_READ_ABSENT);
    assert_int_equal(shm_price_key(reader, UINT32_MAX, text), SHM_READ_ABSENT);
    assert_false(shm_price_claim(reader, "a:b:c", 5, &slot));
}

static void walking_meets_every_key_once(void **state)
{
    (void)state;
    bool seen[10] = {false};
    unsigned keys = 0;

    for (int i = 0; i < 10; i++) {
        char key[16];
        snprintf(key, sizeof(key), "v:m:%d", i);
        claim(key);
        claim(key); /* again is the same */
    }
    for (uint32_t slot = 0; slot < shm_price_slots(reader); slot++) {
        char key[SHM_KEY_MAX];

        if (shm_price_key(reader, slot, key) == SHM_READ_OK) {
            seen[atoi(key + 4)] = true;
            keys++;
        } else {
            assert_int_equal(key[0], '\0');
        }
    }
    assert_int_equal(keys, 10);
    for (int i = 0; i < 10; i++) {
        assert_true(seen[i]);
    }
}

static void the_table_takes_its_capacity_and_no_more(void **state)
{
    (void)state;
    char key[16];
    uint32_t slot;

    for (int i = 0; i < INSTRUMENTS; i++) {
        snprintf(key, sizeof(key), "v:m:%d", i);
        claim(key);
    }
    assert_false(shm_price_claim(writer, "v:m:more", 8, &slot));
    for (int i = 0; i < INSTRUMENTS; i++) {
        snprintf(key, sizeof(key), "v:m:%d", i);
        assert_int_equal(find(key, &slot), SHM_READ_OK);
    }
    /* another mapping counts what is there, too */
    char error[128];
    shm_segment *second = shm_open_writer(path, error, sizeof(error));
    assert_false(shm_price_claim(second, "v:m:more", 8, &slot));
    shm_close(second);
}

static void a_released_slot_is_nobodys_until_its_quarantine_ends(void **state)
{
    (void)state;
    const uint32_t slot = claim("v:m:old");
    shm_price price = {.bid = DEC_ONE, .source = SHM_SOURCE_WS};
    uint32_t found;

    shm_price_publish(writer, slot, &price);
    assert_int_equal(shm_price_read(reader, slot, &price), SHM_READ_OK);
    const uint64_t generation = price.generation;

    shm_price_release(writer, slot);
    assert_int_equal(find("v:m:old", &found), SHM_READ_ABSENT);
    assert_int_equal(shm_price_read(reader, slot, &price), SHM_READ_ABSENT);
    /* the same key would stand first in line for the slot */
    assert_true(claim("v:m:old") != slot);
    shm_price_release(writer, claim("v:m:old"));

    struct shm_price_key *entry =
        shm_region_record(writer, SHM_REGION_PRICE_KEYS, sizeof(struct shm_price_key), slot);
    entry->hash = (uint64_t)(clock_monotonic_ns() - SHM_QUARANTINE_NS - CLOCK_SECOND_NS);
    assert_int_equal(claim("v:m:old"), slot);
    assert_int_equal(shm_price_read(reader, slot, &price), SHM_READ_OK);
    assert_true(price.generation > generation);
    assert_true(dec_is_zero(price.bid));
}

static void what_a_dead_writer_left_is_repaired_when_feed_joins(void **state)
{
    (void)state;
    const uint32_t torn = claim("v:m:torn"), half = claim("v:m:half"), whole = claim("v:m:whole");
    shm_price price = {.bid = DEC_ONE, .ask = DEC_ONE, .source = SHM_SOURCE_WS};
    uint32_t found;

    shm_price_publish(writer, torn, &price);
    shm_price_publish(writer, whole, &price);
    struct shm_price_slot *slot =
        shm_region_record(writer, SHM_REGION_PRICES, sizeof(struct shm_price_slot), torn);
    struct shm_price_key *key =
        shm_region_record(writer, SHM_REGION_PRICE_KEYS, sizeof(struct shm_price_key), half);
    shm_write_begin(&slot->sequence);
    slot->price.bid = dec_from_int(99);
    key->state = (key->state & ~3ULL) | SHM_KEY_WRITING;
    assert_int_equal(shm_price_read(reader, torn, &price), SHM_READ_BUSY);
    assert_int_equal(find("v:m:half", &found), SHM_READ_ABSENT);

    assert_non_null(shm_process_join(writer, SHM_ROLE_FEED, 0));
    assert_int_equal(shm_price_read(reader, torn, &price), SHM_READ_OK);
    assert_int_equal(price.source, SHM_SOURCE_NONE);
    assert_int_equal(price.flags, SHM_PRICE_DISCONNECTED);
    assert_true(dec_is_zero(price.bid));
    assert_int_equal(shm_price_read(reader, half, &price), SHM_READ_ABSENT);
    assert_int_equal(shm_price_read(reader, whole, &price), SHM_READ_OK);
    assert_int_equal(price.source, SHM_SOURCE_WS);
}

static void publishing_alone_heals_a_torn_slot(void **state)
{
    (void)state;
    const uint32_t slot = claim("v:m:torn");
    shm_price price = {.bid = DEC_ONE, .source = SHM_SOURCE_WS};

    shm_write_begin(&((struct shm_price_slot *)shm_region_record(
                          writer, SHM_REGION_PRICES, sizeof(struct shm_price_slot), slot))
                         ->sequence);
    shm_price_publish(writer, slot, &price);
    assert_int_equal(shm_price_read(reader, slot, &price), SHM_READ_OK);
    assert_true(dec_compare(price.bid, DEC_ONE) == 0);
}

/* ---- many readers, one writer at full speed ----------------------------------------------- */

#define STRESS_SLOTS 8

/* Every field follows from one number, so that a torn copy shows. */
static void stress_price(shm_price *price, uint64_t number)
{
    dec *fields[] = {&price->bid,  &price->ask,  &price->bid_size, &price->ask_size,
                     &price->last, &price->mark, &price->funding};

    for (size_t i = 0; i < 7; i++) {
        fields[i]->units = ((__int128)number << 64) + number + i;
    }
    price->exchange_time_ns = (int64_t)number + 7;
    price->receive_time_ns = (int64_t)number + 8;
    price->update_id = number + 9;
    price->source = (uint32_t)number & 3;
    price->flags = (uint32_t)number & 3;
}

static int stress_read(void)
{
    shm_segment *segment = shm_open_reader(path);
    const int64_t until = clock_monotonic_ns() + STRESS_NS;
    uint64_t good = 0, last[STRESS_SLOTS] = {0};

    for (uint32_t i = 0; clock_monotonic_ns() < until; i++) {
        uint32_t slot;
        char key[8] = "v:m:0";
        shm_price price, expected;

        key[4] = (char)('0' + i % STRESS_SLOTS);
        if (shm_price_find(segment, key, 5, &slot) != SHM_READ_OK) {
            return 2;
        }
        if (shm_price_read(segment, slot, &price) != SHM_READ_OK || price.update_id == 0) {
            continue;
        }
        memset(&expected, 0, sizeof(expected));
        stress_price(&expected, price.update_id - 9);
        expected.generation = price.generation;
        expected.version = price.version;
        if (memcmp(&price, &expected, sizeof(price)) != 0) {
            return 3; /* torn */
        }
        if (price.version < last[i % STRESS_SLOTS]) {
            return 4; /* back in time */
        }
        last[i % STRESS_SLOTS] = price.version;
        good++;
    }
    shm_close(segment);
    return good > 100 ? 0 : 5;
}

static void readers_never_see_a_torn_price(void **state)
{
    (void)state;
    uint32_t slots[STRESS_SLOTS];
    pid_t readers[READERS];
    shm_price price;

    memset(&price, 0, sizeof(price));
    for (int i = 0; i < STRESS_SLOTS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "v:m:%d", i);
        slots[i] = claim(key);
    }
    for (int i = 0; i < READERS; i++) {
        readers[i] = fork();
        if (readers[i] == 0) {
            _exit(stress_read());
        }
    }

    uint64_t number = 1;
    const int64_t until = clock_monotonic_ns() + STRESS_NS;
    while (clock_monotonic_ns() < until) {
        for (int i = 0; i < 64; i++, number++) {
            stress_price(&price, number);
            shm_price_publish(writer, slots[number % STRESS_SLOTS], &price);
        }
    }
    for (int i = 0; i < READERS; i++) {
        int status;
        waitpid(readers[i], &status, 0);
        assert_int_equal(status, 0);
    }
    print_message("%.1f M prices published against %d readers\n", (double)number / 1e6, READERS);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(what_is_published_is_read),
        CASE(other_keys_are_absent),
        CASE(walking_meets_every_key_once),
        CASE(the_table_takes_its_capacity_and_no_more),
        CASE(a_released_slot_is_nobodys_until_its_quarantine_ends),
        CASE(what_a_dead_writer_left_is_repaired_when_feed_joins),
        CASE(publishing_alone_heals_a_torn_slot),
        CASE(readers_never_see_a_torn_price),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
