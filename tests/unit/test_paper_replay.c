/*
 * The replay: pace, today's times, and a seam that an honest client does not notice. Over the
 * shipped recording, whole, with a clock of the test's own.
 */
#include "workerd/paper/paper_replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#define START_NS 1000000000000LL
#define START_MS 1795177060000LL
#define PASS_NS 344900000000LL /* of the recording, a little more */

static const char *const recordings[] = {
    "conf/demo/market/binance-usdm-btcusdt-2024-08-08.jsonl.gz",
    "conf/demo/market/binance-usdm-ethusdt-2024-08-08.jsonl.gz"};

/* What an honest client holds: the last of everything, a symbol. */
typedef struct {
    int64_t book_update, depth_update, trade, event[PAPER_STREAM_OTHER + 1];
    uint64_t books, depths, trades, linked;
} client;

typedef struct {
    client btc, eth;
    int64_t now_ms;
    uint64_t events;
} watcher;

static int64_t number(const char *payload, size_t length, const char *key)
{
    char text[PAPER_FRAME_MAX];
    const char *at;

    memcpy(text, payload, length);
    text[length] = '\0';
    at = strstr(text, key);
    assert_non_null(at);
    return strtoll(at + strlen(key), NULL, 10);
}

static void watch(void *owner, const paper_replay_event *event)
{
    watcher *w = owner;
    client *c = event->symbol.text[0] == 'b' ? &w->btc : &w->eth;
    int64_t when = number(event->payload, event->length, "\"E\":");

    w->events++;
    assert_int_equal(when, event->event_ms);
    assert_true(when <= w->now_ms);               /* never in the future */
    assert_true(when > w->now_ms - 60000);        /* of now, not of the recording */
    assert_true(when >= c->event[event->stream]); /* never backwards */
    assert_true(number(event->payload, event->length, "\"T\":") <= when);
    c->event[event->stream] = when;
    if (event->stream == PAPER_STREAM_BOOK) {
        int64_t update = number(event->payload, event->length, "\"u\":");

        assert_true(update > c->book_update);
        c->book_update = update;
        c->books++;
    } else if (event->stream == PAPER_STREAM_DEPTH) {
        int64_t previous = number(event->payload, event->length, "\"pu\":");

        c->linked += c->depth_update == 0 || previous == c->depth_update;
        assert_true(number(event->payload, event->length, "\"U\":") > c->depth_update);
        c->depth_update = number(event->payload, event->length, "\"u\":");
        c->depths++;
    } else {
        int64_t trade = number(event->payload, event->length, "\"t\":");

        assert_true(trade > c->trade);
        c->trade = trade;
        c->trades++;
    }
}

static paper_replay *open_all(void)
{
    char error[256] = "";
    paper_replay *replay = paper_replay_open(recordings, 2, error, sizeof(error));

    if (replay == NULL) {
        fail_msg("%s", error);
    }
    return replay;
}

/* Runs to a point of the test's clock, in steps of the given length. */
static void run_to(paper_replay *replay, watcher *w, int64_t from_ns, int64_t to_ns, int64_t step)
{
    for (int64_t now = from_ns; now <= to_ns; now += step) {
        int64_t due = 0;

        w->now_ms = START_MS + (now - START_NS) / 1000000;
        while (due <= now) {
            due = paper_replay_run(replay, now, w->now_ms, watch, w);
        }
    }
}

static void the_first_frame_is_of_now(void **state)
{
    paper_replay *replay = open_all();
    watcher w = {.now_ms = START_MS};
    int64_t due;

    (void)state;
    due = paper_replay_run(replay, START_NS, START_MS, watch, &w);
    assert_true(w.events > 0);
    assert_int_equal(w.btc.event[PAPER_STREAM_DEPTH], START_MS);
    assert_true(due > START_NS);
    paper_replay_close(replay);
}

static void no_frame_comes_before_its_time(void **state)
{
    paper_replay *replay = open_all();
    watcher w = {0};
    uint64_t early;

    (void)state;
    run_to(replay, &w, START_NS, START_NS + 10000000000LL, 100000000);
    early = w.events;
    run_to(replay, &w, START_NS + 10000000000LL, START_NS + 20000000000LL, 100000000);
    /* about 490 a second: a tenth of the recording is not the whole of it */
    assert_true(early > 100 && early < 20000);
    assert_true(w.events > early);
    paper_replay_close(replay);
}

static void an_honest_client_does_not_notice_the_seam(void **state)
{
    paper_replay *replay = open_all();
    watcher w = {0};
    client once;

    (void)state;
    run_to(replay, &w, START_NS, START_NS + PASS_NS, 50000000);
    once = w.btc;
    assert_int_equal(once.books, 66089); /* as counted in the file, give or take none */
    assert_int_equal(once.trades, 21313);
    assert_int_equal(paper_replay_passes(replay), 1);
    run_to(replay, &w, START_NS + PASS_NS, START_NS + 3 * PASS_NS, 50000000);
    assert_int_equal(paper_replay_passes(replay), 3);
    assert_true(w.btc.books > 2 * once.books);
    /* every link of the recording's own depth chain, and those over the seams */
    assert_int_equal(w.btc.linked, w.btc.depths);
    assert_int_equal(w.eth.linked, w.eth.depths);
    /* each file holds one answer to SUBSCRIBE, which is no event */
    assert_true(paper_replay_skipped(replay) <= 2 * (paper_replay_passes(replay) + 1));
    paper_replay_close(replay);
}

static void a_restart_goes_on_with_higher_ids(void **state)
{
    paper_replay *replay = open_all();
    watcher w = {0};
    client before;

    (void)state;
    run_to(replay, &w, START_NS, START_NS + PASS_NS, 50000000);
    before = w.btc;
    paper_replay_close(replay);
    /* given a new process a moment later, and a client that remembers (the watcher checks its ids)
     */
    replay = open_all();
    run_to(replay, &w, START_NS + PASS_NS + 10000000, START_NS + PASS_NS + 3000000000LL, 50000000);
    assert_true(w.btc.books > before.books && w.btc.trades > before.trades);
    assert_int_equal(w.btc.depths - w.btc.linked, 1); /* one gap: it was away */
    paper_replay_close(replay);
}

static void a_stopped_machine_is_not_caught_up_with(void **state)
{
    paper_replay *replay = open_all();
    watcher w = {0};
    uint64_t before;

    (void)state;
    run_to(replay, &w, START_NS, START_NS + 1000000000LL, 100000000);
    before = w.events;
    /* given two minutes of sleep */
    run_to(replay, &w, START_NS + 121000000000LL, START_NS + 122000000000LL, 100000000);
    /* then a second's frames come, and two seconds of lag at the most: not a hundred and twenty */
    assert_true(w.events - before < 10000);
    paper_replay_close(replay);
}

static void write_gz(char path[], const char *text)
{
    int fd;
    gzFile file;

    strcpy(path, "/tmp/test_paper_replay.XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    file = gzdopen(fd, "wb");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, text, (unsigned)strlen(text)), strlen(text));
    gzclose(file);
}

static void lines_that_are_no_frames_are_left_out(void **state)
{
    static const char text[] =
        "rubbish\n"
        "17 {\"stream\":\"btcusdt@trade\"}\n"
        "18 "
        "{\"stream\":\"btcusdt@trade\",\"data\":{\"e\":\"trade\",\"E\":5,\"T\":5,\"s\":\"BTCUSDT\","
        "\"t\":9,\"p\":\"1\",\"q\":\"1\",\"X\":\"MARKET\",\"m\":true}}\n"
        "19 {\"stream\":\"btcusdt@trade\",\"data\":{\"e\":\"tra\n";
    char path[64], error[256];
    const char *paths[] = {path};
    paper_replay *replay;
    watcher w = {.now_ms = START_MS};

    (void)state;
    write_gz(path, text);
    replay = paper_replay_open(paths, 1, error, sizeof(error));
    assert_non_null(replay);
    paper_replay_run(replay, START_NS, START_MS, watch, &w);
    assert_int_equal(w.events, 1);
    assert_true(paper_replay_skipped(replay) >= 2);
    paper_replay_close(replay);
    unlink(path);
}

static void a_file_without_a_frame_is_refused(void **state)
{
    char path[64], error[256] = "";
    const char *paths[] = {path}, *missing[] = {"/nonexistent.gz"};

    (void)state;
    write_gz(path, "nothing here\n");
    assert_null(paper_replay_open(paths, 1, error, sizeof(error)));
    assert_non_null(strstr(error, "holds no frame"));
    assert_null(paper_replay_open(missing, 1, error, sizeof(error)));
    unlink(path);
}

/* Truncations and changed bytes of real frames: read or refused, never beyond the end. */
static void a_damaged_frame_is_never_read_beyond_its_end(void **state)
{
    static const char good[] =
        "{\"stream\":\"btcusdt@depth@0ms\",\"data\":{\"e\":\"depthUpdate\",\"E\":1723161256299,"
        "\"T\":1723161256298,\"s\":\"BTCUSDT\",\"U\":51,\"u\":57,\"pu\":50,\"b\":[[\"58710.20\","
        "\"0.014\"]],\"a\":[[\"6\\\"1\",\"3\"]]}}";
    size_t length = sizeof(good) - 1;
    paper_frame frame;

    (void)state;
    assert_true(paper_frame_read(good, length, &frame));
    for (size_t cut = 0; cut < length; cut++) {
        char *copy = malloc(cut == 0 ? 1 : cut); /* exact: a sanitizer sees the next byte */

        memcpy(copy, good, cut);
        assert_false(paper_frame_read(copy, cut, &frame));
        free(copy);
    }
    for (size_t at = 0; at < length; at++) {
        static const char bytes[] = "\"{}[],:\\";

        for (size_t b = 0; b < sizeof(bytes) - 1; b++) {
            char *copy = malloc(length), out[1024];
            int64_t values[PAPER_FIELD_COUNT] = {0};

            memcpy(copy, good, length);
            copy[at] = bytes[b];
            if (paper_frame_read(copy, length, &frame)) {
                assert_true(paper_frame_rewrite(&frame, UINT32_MAX >> 17, values, out,
                                                sizeof(out)) <= sizeof(out));
            }
            free(copy);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_frame_is_of_now),
        cmocka_unit_test(no_frame_comes_before_its_time),
        cmocka_unit_test(an_honest_client_does_not_notice_the_seam),
        cmocka_unit_test(a_restart_goes_on_with_higher_ids),
        cmocka_unit_test(a_stopped_machine_is_not_caught_up_with),
        cmocka_unit_test(lines_that_are_no_frames_are_left_out),
        cmocka_unit_test(a_file_without_a_frame_is_refused),
        cmocka_unit_test(a_damaged_frame_is_never_read_beyond_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
