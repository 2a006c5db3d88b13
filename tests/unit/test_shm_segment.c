/*
 * The segment as a whole: making, attaching, states, carrying over, processes, and what strange
 * files do to readers (nothing).
 */
#include "shm/layout.h"

#include "core/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];
static const shm_options small = {.instruments = 32,
                                  .users = 64,
                                  .positions = 256,
                                  .signals = 16,
                                  .config_hash = 77,
                                  .mode = 0640,
                                  .group = -1};

static int setup(void **state)
{
    (void)state;
    snprintf(path, sizeof(path), "/dev/shm/whale-test-segment-%ld", (long)getpid());
    unlink(path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static void make_segment(void)
{
    char error[256];

    if (!shm_create(path, &small, error, sizeof(error))) {
        fail_msg("%s", error);
    }
}

static shm_segment *open_writer(void)
{
    char error[256];
    shm_segment *writer = shm_open_writer(path, error, sizeof(error));

    if (writer == NULL) {
        fail_msg("%s", error);
    }
    return writer;
}

static void nothing_at_the_path_is_absent(void **state)
{
    (void)state;
    shm_segment *reader = shm_open_reader(path);
    shm_price price;
    uint32_t slot;
    shm_user user;

    assert_non_null(reader);
    assert_int_equal(shm_state_now(reader), SHM_ABSENT);
    assert_int_equal(shm_refresh(reader), SHM_ABSENT);
    /* every read is safe without a mapping */
    assert_int_equal(shm_epoch(reader), 0);
    assert_int_equal(shm_price_find(reader, "a:b:c", 5, &slot), SHM_READ_ABSENT);
    assert_int_equal(shm_price_read(reader, 0, &price), SHM_READ_ABSENT);
    assert_int_equal(shm_user_by_id(reader, 1, &user, NULL, 0), SHM_READ_BUSY);
    assert_false(shm_users_loaded(reader));
    assert_int_equal(shm_signal_last(reader), 0);
    assert_true(shm_heartbeat_age_ns(reader, SHM_ROLE_MASTER) == INT64_MAX);
    shm_close(reader);

    char error[256];
    assert_null(shm_open_writer(path, error, sizeof(error)));
    assert_non_null(strstr(error, path));
}

static void states_follow_the_master(void **state)
{
    (void)state;
    make_segment();
    shm_segment *reader = shm_open_reader(path), *writer = open_writer();

    assert_int_equal(shm_state_now(reader), SHM_INITIALISING);
    shm_process *master = shm_process_join(writer, SHM_ROLE_MASTER, 0);
    assert_non_null(master);
    assert_int_equal(shm_state_now(reader), SHM_LIVE);
    assert_int_equal(shm_config_hash(reader), 77);
    shm_set_config_hash(writer, 78);
    assert_int_equal(shm_config_hash(reader), 78);

    master->beat_ns = clock_monotonic_ns() - 4 * CLOCK_SECOND_NS;
    assert_int_equal(shm_refresh(reader), SHM_STALE);
    const int64_t age = shm_heartbeat_age_ns(reader, SHM_ROLE_MASTER);
    assert_true(age >= 4 * CLOCK_SECOND_NS && age < 60 * CLOCK_SECOND_NS);
    /* another boot's clock says nothing */
    master->beat_ns = clock_monotonic_ns() + 3600 * CLOCK_SECOND_NS;
    assert_int_equal(shm_state_now(reader), SHM_INITIALISING);
    shm_process_beat(master);
    assert_int_equal(shm_state_now(reader), SHM_LIVE);
    shm_close(reader);
    shm_close(writer);
}

static void a_new_file_is_noticed_and_the_old_one_served_until_then(void **state)
{
    (void)state;
    make_segment();
    shm_segment *reader = shm_open_reader(path), *writer = open_writer();
    shm_process_join(writer, SHM_ROLE_MASTER, 0);
    const uint64_t epoch = shm_epoch(reader);

    /* when the file is gone, the mapping is still served while its master beats */
    unlink(path);
    assert_int_equal(shm_refresh(reader), SHM_LIVE);
    assert_true(shm_epoch(reader) == epoch);
    shm_process *master = shm_process_join(writer, SHM_ROLE_MASTER, 0);
    master->beat_ns = clock_monotonic_ns() - SHM_STALE_SERVED_NS - CLOCK_SECOND_NS;
    assert_int_equal(shm_refresh(reader), SHM_ABSENT);
    assert_true(shm_epoch(reader) == 0);
    shm_close(writer);

    make_segment();
    assert_int_equal(shm_refresh(reader), SHM_INITIALISING);
    assert_true(shm_epoch(reader) > epoch);
    shm_close(reader);
}

static void mode_and_size_are_as_asked(void **state)
{
    (void)state;
    struct stat status;

    umask(0077);
    make_segment();
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    /* every page is there already */
    assert_true((uint64_t)status.st_blocks * 512 >= (uint64_t)status.st_size);
    umask(0022);
}

static void prices_and_signals_outlive_their_segment(void **state)
{
    (void)state;
    uint32_t slot;
    shm_price price = {.bid = dec_from_int(5),
                       .receive_time_ns = 123456789,
                       .update_id = 99,
                       .source = SHM_SOURCE_WS};
    shm_signal signal = {.id = 7, .text_length = 2, .text = "{}"};

    make_segment();
    shm_segment *writer = open_writer();
    assert_true(shm_price_claim(writer, "binance:usdm:BTCUSDT", 20, &slot));
    shm_price_publish(writer, slot, &price);
    shm_price_publish(writer, slot, &price);
    assert_true(shm_price_claim(writer, "binance:usdm:NEVER", 18, &slot));
    for (int i = 0; i < 20; i++) {
        shm_signal_push(writer, &signal);
    }
    shm_close(writer);

    make_segment();
    shm_segment *reader = shm_open_reader(path);
    assert_int_equal(shm_price_find(reader, "binance:usdm:BTCUSDT", 20, &slot), SHM_READ_OK);
    assert_int_equal(shm_price_read(reader, slot, &price), SHM_READ_OK);
    assert_int_equal(price.receive_time_ns, 123456789);
    assert_int_equal(dec_compare(price.bid, dec_from_int(5)), 0);
    assert_int_equal(price.flags, SHM_PRICE_DISCONNECTED);
    assert_true(price.version > 2);
    assert_int_equal(shm_price_find(reader, "binance:usdm:NEVER", 18, &slot), SHM_READ_ABSENT);
    assert_int_equal(shm_signal_last(reader), 20);
    assert_int_equal(shm_signal_read(reader, 20, &signal), SHM_READ_OK);
    assert_int_equal(shm_signal_read(reader, 4, &signal), SHM_READ_ABSENT);
    assert_false(shm_users_loaded(reader));
    shm_close(reader);
}

static void counters_go_on_in_a_successor_and_add_up(void **state)
{
    (void)state;
    make_segment();
    shm_segment *writer = open_writer();
    shm_process *first = shm_process_join(writer, SHM_ROLE_TRADE, 0);
    shm_process *other = shm_process_join(writer, SHM_ROLE_TRADE, 1);
    shm_process_info info[4];

    shm_count(first, SHM_trade_sent_total, 5);
    shm_count(other, SHM_trade_sent_total, 7);
    shm_count(NULL, SHM_trade_sent_total, 100);
    assert_ptr_equal(shm_process_join(writer, SHM_ROLE_TRADE, 0), first);
    shm_count(first, SHM_trade_sent_total, 1);
    assert_int_equal(shm_counter_total(writer, SHM_trade_sent_total), 13);
    assert_string_equal(shm_counter_name(SHM_trade_sent_total), "trade_sent_total");

    assert_int_equal(shm_processes(writer, info, 4), 2);
    assert_int_equal(info[1].role, SHM_ROLE_TRADE);
    assert_int_equal(info[1].slot, 1);
    assert_int_equal(info[1].pid, getpid());
    assert_int_equal(shm_processes(writer, info, 1), 1);
    shm_close(writer);
}

static void histograms_answer_with_the_bucket_above(void **state)
{
    (void)state;
    make_segment();
    shm_segment *writer = open_writer();
    shm_process *feed = shm_process_join(writer, SHM_ROLE_FEED, 0);
    shm_histogram_total total;

    shm_histogram_read(writer, SHM_feed_tick_seconds, &total);
    assert_int_equal(shm_histogram_quantile(&total, 500), 0);
    for (int i = 0; i < 990; i++) {
        shm_observe(feed, SHM_feed_tick_seconds, 100); /* below 128 */
    }
    for (int i = 0; i < 10; i++) {
        shm_observe(feed, SHM_feed_tick_seconds, 1000000); /* below 2^20 */
    }
    shm_observe(NULL, SHM_feed_tick_seconds, 100);
    shm_histogram_read(writer, SHM_feed_tick_seconds, &total);
    assert_int_equal(total.count, 1000);
    assert_int_equal(total.sum_ns, 99000 + 10000000);
    assert_int_equal(shm_histogram_quantile(&total, 500), 128);
    assert_int_equal(shm_histogram_quantile(&total, 990), 128);
    assert_int_equal(shm_histogram_quantile(&total, 991), 1 << 20);
    assert_int_equal(shm_histogram_quantile(&total, 1000), 1 << 20);
    assert_int_equal(shm_histogram_quantile(&total, 0), 128);

    /* edges of the buckets, and what has no bucket of its own */
    shm_observe(feed, SHM_trade_send_seconds, -5);
    shm_observe(feed, SHM_trade_send_seconds, 63);
    shm_observe(feed, SHM_trade_send_seconds, 64);
    shm_observe(feed, SHM_trade_send_seconds, INT64_MAX);
    shm_histogram_read(writer, SHM_trade_send_seconds, &total);
    assert_int_equal(total.buckets[0], 2);
    assert_int_equal(total.buckets[1], 1);
    assert_int_equal(total.buckets[SHM_HISTOGRAM_BUCKETS - 1], 1);
    shm_close(writer);
}

static void the_process_table_is_bounded(void **state)
{
    (void)state;
    make_segment();
    shm_segment *writer = open_writer();

    for (unsigned i = 0; i < SHM_PROCESSES_MAX; i++) {
        assert_non_null(shm_process_join(writer, SHM_ROLE_TRADE, i));
    }
    assert_null(shm_process_join(writer, SHM_ROLE_TRADE, SHM_PROCESSES_MAX));
    assert_non_null(shm_process_join(writer, SHM_ROLE_TRADE, 3));
    shm_close(writer);
}

static void impossible_capacities_are_refused(void **state)
{
    (void)state;
    char error[256];
    shm_options wrong = small;

    wrong.users = 0;
    assert_false(shm_create(path, &wrong, error, sizeof(error)));
    wrong = small;
    wrong.positions = UINT32_MAX;
    assert_false(shm_create(path, &wrong, error, sizeof(error)));
    assert_int_equal(access(path, F_OK), -1);
}

static void no_room_is_an_error_that_names_the_bytes(void **state)
{
    (void)state;
    /* in a child, because the limit holds for the process */
    const pid_t child = fork();
    if (child == 0) {
        const struct rlimit limit = {65536, 65536};
        char error[256];

        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        const bool made = shm_create(path, &small, error, sizeof(error));
        _exit(!made && strstr(error, "cannot reserve") != NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);

    char temporary[128];
    snprintf(temporary, sizeof(temporary), "%s.new.%ld", path, (long)child);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(temporary, F_OK), -1);
}

static void a_million_users_fit_into_four_gigabytes(void **state)
{
    (void)state;
    struct shm_header header;
    char error[128];

    assert_true(shm_layout(&header, 4096, 1000000, 5000000, 1024, error, sizeof(error)));
    assert_true(header.size <= 4ULL << 30);
    print_message("1,000,000 users with 5 positions: %.2f GiB\n",
                  (double)header.size / (double)(1ULL << 30));
}

/* ---- strange files -------------------------------------------------- */

static void write_file(const void *data, size_t length)
{
    const int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0640);

    assert_true(file >= 0);
    assert_int_equal(write(file, data, length), (ssize_t)length);
    close(file);
}

static enum shm_state state_of_file(void)
{
    shm_segment *reader = shm_open_reader(path);
    const enum shm_state found = shm_refresh(reader);

    shm_close(reader);
    return found;
}

static void strange_files_are_not_mapped(void **state)
{
    (void)state;
    struct shm_header header, good;
    char error[128], *zeros = calloc(1, 1 << 20);

    write_file("", 0);
    assert_int_equal(state_of_file(), SHM_INITIALISING);
    write_file(zeros, 1 << 20);
    assert_int_equal(state_of_file(), SHM_INITIALISING);
    memset(zeros, 0x5a, 4096);
    write_file(zeros, 1 << 20);
    assert_int_equal(state_of_file(), SHM_INCOMPATIBLE);

    assert_true(shm_layout(&good, 1, 1, 1, 1, error, sizeof(error)));
    good.version = SHM_VERSION;
    good.epoch = 1;
    write_file(&good, sizeof(good)); /* the file ends after the header */
    assert_int_equal(state_of_file(), SHM_INCOMPATIBLE);

    header = good;
    header.layout_hash++;
    write_file(&header, sizeof(header));
    assert_int_equal(state_of_file(), SHM_INCOMPATIBLE);
    header = good;
    header.regions[SHM_REGION_USERS].offset = header.regions[SHM_REGION_PRICES].offset;
    write_file(&header, sizeof(header));
    assert_int_equal(state_of_file(), SHM_INCOMPATIBLE);
    header = good;
    header.version++;
    write_file(&header, sizeof(header));
    assert_int_equal(state_of_file(), SHM_INCOMPATIBLE);
    free(zeros);
}

static void a_file_that_anybody_may_write_is_not_believed(void **state)
{
    (void)state;
    make_segment();
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(state_of_file(), SHM_INCOMPATIBLE);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(nothing_at_the_path_is_absent),
        CASE(states_follow_the_master),
        CASE(a_new_file_is_noticed_and_the_old_one_served_until_then),
        CASE(mode_and_size_are_as_asked),
        CASE(prices_and_signals_outlive_their_segment),
        CASE(counters_go_on_in_a_successor_and_add_up),
        CASE(histograms_answer_with_the_bucket_above),
        CASE(the_process_table_is_bounded),
        CASE(impossible_capacities_are_refused),
        CASE(no_room_is_an_error_that_names_the_bytes),
        CASE(a_million_users_fit_into_four_gigabytes),
        CASE(strange_files_are_not_mapped),
        CASE(a_file_that_anybody_may_write_is_not_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
