/*
 * What a tick costs: CPU time from a best bid/ask frame in memory to its price in the segment, over
 * recorded frames. Baseline: the same with a general JSON parser (cJSON) in the scanner's place.
 *
 *   bench tick <ns> ns/frame baseline <ns> ratio <baseline / ours>
 *
 * Both ways publish into the same segment, and must publish the same prices.
 */
#include "tests/unit/feed_frames.h"
#include "workerd/feed/feed_tick.h"

#include "core/clock.h"

#include <cjson/cJSON.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 7
#define PASSES 60          /* over all frames, a round of ours */
#define BASELINE_PASSES 12 /* and of the baseline */

static feed_frames frames;
static feed_table table;
static shm_segment *segment;
static char path[64];

static int64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * CLOCK_SECOND_NS + now.tv_nsec;
}

static bool prepare(void)
{
    static const char *const symbols[] = {"BTCUSDT", "ETHUSDT"};
    const shm_options options = {.instruments = 4096,
                                 .users = 16,
                                 .positions = 16,
                                 .signals = 16,
                                 .mode = 0640,
                                 .group = -1};
    char error[256] = "";

    frames_load(&frames, "binance-usdm-btcusdt.jsonl.gz", "bookTicker");
    frames_load(&frames, "binance-usdm-ethusdt.jsonl.gz", "bookTicker");
    snprintf(path, sizeof(path), "/dev/shm/whale-bench-tick-%ld", (long)getpid());
    if (!shm_create(path, &options, error, sizeof(error)) ||
        (segment = shm_open_writer(path, error, sizeof(error))) == NULL ||
        !feed_table_init(&table, 4096)) {
        fprintf(stderr, "%s\n", error);
        return false;
    }
    for (int i = 0; i < 2; i++) {
        char key[64];
        uint32_t slot, position;

        snprintf(key, sizeof(key), "binance:usdm:%s", symbols[i]);
        if (!shm_price_claim(segment, key, strlen(key), &slot) ||
            !feed_table_add(&table, symbols[i], strlen(symbols[i]), slot, &position)) {
            return false;
        }
    }
    return true;
}

static bool text_dec(const cJSON *object, const char *name, dec *out)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));

    return text != NULL && dec_parse(text, strlen(text), out);
}

/* The obvious way: parse all of it, pick the members, convert, publish. */
static bool tick_with_cjson(const char *frame, size_t length, int64_t now_ns)
{
    cJSON *root = cJSON_ParseWithLength(frame, length);
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(root, "data");
    const char *symbol = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, "s"));
    const struct feed_instrument *instrument =
        symbol == NULL ? NULL : feed_table_find(&table, symbol, strlen(symbol));
    shm_price price = {.receive_time_ns = now_ns, .source = SHM_SOURCE_WS};
    bool published = false;

    if (instrument != NULL && text_dec(data, "b", &price.bid) &&
        text_dec(data, "B", &price.bid_size) && text_dec(data, "a", &price.ask) &&
        text_dec(data, "A", &price.ask_size)) {
        price.update_id =
            (uint64_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(data, "u"));
        price.exchange_time_ns =
            (int64_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(data, "T")) *
            CLOCK_MS_NS;
        shm_price_publish(segment, instrument->slot, &price);
        published = true;
    }
    cJSON_Delete(root);
    return published;
}

/* All of the frames, as the role does it: a look at the clock each time. */
static double measure_ours(int passes)
{
    const struct feed_source source = {
        .segment = segment, .table = &table, .scan = binance_tick_scan};
    static venue_event event;
    const int64_t start = cpu_ns();

    for (int pass = 0; pass < passes; pass++) {
        for (uint32_t i = 0; i < table.count; i++) {
            table.instruments[i].best = (struct feed_guard){0, 0}; /* the ids begin again */
        }
        for (size_t i = 0; i < frames.count; i++) {
            if (feed_tick(&source, frames.text[i], frames.length[i], clock_now_ns(), &event) !=
                FEED_PUBLISHED) {
                fprintf(stderr, "not published: %.*s\n", (int)frames.length[i], frames.text[i]);
                exit(1);
            }
        }
    }
    return (double)(cpu_ns() - start) / (double)passes / (double)frames.count;
}

static double measure_baseline(int passes)
{
    const int64_t start = cpu_ns();

    for (int pass = 0; pass < passes; pass++) {
        for (size_t i = 0; i < frames.count; i++) {
            if (!tick_with_cjson(frames.text[i], frames.length[i], clock_now_ns())) {
                exit(1);
            }
        }
    }
    return (double)(cpu_ns() - start) / (double)passes / (double)frames.count;
}

/* What stands in the segment now, as one number. */
static uint64_t checksum(void)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < table.count; i++) {
        shm_price price;

        if (shm_price_read(segment, table.instruments[i].slot, &price) != SHM_READ_OK) {
            exit(1);
        }
        sum = sum * 31 + (uint64_t)price.bid.units + (uint64_t)price.ask.units * 3 +
              (uint64_t)price.bid_size.units * 5 + (uint64_t)price.ask_size.units * 7 +
              price.update_id + (uint64_t)price.exchange_time_ns;
    }
    return sum;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(void)
{
    double ours[ROUNDS], baseline[ROUNDS];

    if (!prepare()) {
        return 1;
    }
    measure_baseline(1);
    const uint64_t expected = checksum();
    measure_ours(1);
    if (checksum() != expected) {
        fprintf(stderr, "the two ways published different prices\n");
        return 1;
    }
    /* in turns, so that a disturbance meets both; medians */
    for (int round = 0; round < ROUNDS; round++) {
        ours[round] = measure_ours(PASSES);
        baseline[round] = measure_baseline(BASELINE_PASSES);
    }
    qsort(ours, ROUNDS, sizeof(ours[0]), by_size);
    qsort(baseline, ROUNDS, sizeof(baseline[0]), by_size);
    printf("bench tick %.1f ns/frame baseline %.1f ratio %.2f\n", ours[ROUNDS / 2],
           baseline[ROUNDS / 2], baseline[ROUNDS / 2] / ours[ROUNDS / 2]);
    shm_close(segment);
    unlink(path);
    feed_table_free(&table);
    frames_free(&frames);
    return 0;
}
