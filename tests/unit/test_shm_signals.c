/*
 * Signals and the whales' page: the ring's cursors, lapping, both buffers, torn writes.
 */
#include "shm/mapping.h"

#include "core/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SIGNALS 10
#define STRESS_NS (1000 * CLOCK_MS_NS)

static char path[64];
static shm_segment *writer, *reader;
static char page[SHM_WHALES_TEXT_MAX + 1], copy[SHM_WHALES_TEXT_MAX + 1];

static int setup(void **state)
{
    const shm_options options = {.instruments = 1,
                                 .users = 1,
                                 .positions = 1,
                                 .signals = SIGNALS,
                                 .mode = 0640,
                                 .group = -1};
    char error[256];

    (void)state;
    snprintf(path, sizeof(path), "/dev/shm/whale-test-signals-%ld", (long)getpid());
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

static void push(int64_t id)
{
    shm_signal signal = {.cursor = 999, .id = id, .whale_id = -id, .detected_ns = id * 3};

    signal.text_length = 1 + (uint32_t)(id % SHM_SIGNAL_TEXT_MAX);
    memset(signal.text, 'a' + (int)(id % 26), signal.text_length);
    shm_signal_push(writer, &signal);
}

static bool is_signal(const shm_signal *signal)
{
    const int64_t id = signal->id;

    if (signal->whale_id != -id || signal->detected_ns != id * 3 ||
        signal->text_length != 1 + (uint32_t)(id % SHM_SIGNAL_TEXT_MAX)) {
        return false;
    }
    for (uint32_t i = 0; i < signal->text_length; i++) {
        if (signal->text[i] != 'a' + (int)(id % 26)) {
            return false;
        }
    }
    return true;
}

static void cursors_grow_from_one_and_old_signals_go(void **state)
{
    (void)state;
    shm_signal signal;

    assert_int_equal(shm_signal_last(reader), 0);
    assert_int_equal(shm_signal_read(reader, 0, &signal), SHM_READ_ABSENT);
    assert_int_equal(shm_signal_read(reader, 1, &signal), SHM_READ_ABSENT);
    for (int64_t id = 1; id <= 25; id++) {
        push(id);
        assert_int_equal(shm_signal_last(reader), id);
        assert_int_equal(shm_signal_read(reader, (uint64_t)id, &signal), SHM_READ_OK);
        assert_true(signal.cursor == (uint64_t)id && signal.id == id && is_signal(&signal));
    }
    assert_int_equal(shm_signal_read(reader, 15, &signal), SHM_READ_ABSENT);
    assert_int_equal(shm_signal_read(reader, 16, &signal), SHM_READ_OK);
    assert_int_equal(shm_signal_read(reader, 26, &signal), SHM_READ_ABSENT);
    assert_int_equal(shm_signal_read(reader, UINT64_MAX, &signal), SHM_READ_ABSENT);
}

static void a_signal_too_long_is_not_pushed(void **state)
{
    (void)state;
    const shm_signal signal = {.id = 1, .text_length = SHM_SIGNAL_TEXT_MAX + 1};

    shm_signal_push(writer, &signal);
    shm_signal_push(reader, &signal);
    assert_int_equal(shm_signal_last(reader), 0);
}

static void the_page_is_copied_up_to_the_room_there_is(void **state)
{
    (void)state;
    size_t length;
    uint64_t version;

    assert_int_equal(shm_whales_read(reader, copy, sizeof(copy), &length, &version),
                     SHM_READ_ABSENT);
    assert_true(shm_whales_put(writer, "[1,2,3]", 7));
    assert_int_equal(shm_whales_read(reader, copy, sizeof(copy), &length, &version), SHM_READ_OK);
    assert_int_equal(length, 7);
    assert_int_equal(version, 1);
    assert_memory_equal(copy, "[1,2,3]", 7);

    memset(copy, 'x', sizeof(copy));
    assert_int_equal(shm_whales_read(reader, copy, 3, &length, &version), SHM_READ_OK);
    assert_int_equal(length, 7);
    assert_memory_equal(copy, "[1,xx", 5);

    assert_false(shm_whales_put(writer, page, SHM_WHALES_TEXT_MAX + 1));
    memset(page, 'p', sizeof(page));
    assert_true(shm_whales_put(writer, page, SHM_WHALES_TEXT_MAX));
    assert_int_equal(shm_whales_read(reader, copy, sizeof(copy), &length, &version), SHM_READ_OK);
    assert_int_equal(length, SHM_WHALES_TEXT_MAX);
    assert_int_equal(version, 2);
    assert_memory_equal(copy, page, length);
}

static void a_page_half_written_leaves_the_one_before(void **state)
{
    (void)state;
    size_t length;
    uint64_t version;

    assert_true(shm_whales_put(writer, "[1]", 3));
    /* the writer dies inside its next put */
    struct shm_whales_buffer *next =
        shm_region_record(writer, SHM_REGION_WHALES, sizeof(struct shm_whales_buffer), 0);
    shm_write_begin(&next->sequence);
    memcpy(next->text, "torn", 4);
    assert_int_equal(shm_whales_read(reader, copy, sizeof(copy), &length, &version), SHM_READ_OK);
    assert_memory_equal(copy, "[1]", 3);

    assert_true(shm_whales_put(writer, "[2]", 3));
    assert_int_equal(shm_whales_read(reader, copy, sizeof(copy), &length, &version), SHM_READ_OK);
    assert_memory_equal(copy, "[2]", 3);
}

static int stress_read(void)
{
    shm_segment *segment = shm_open_reader(path);
    const int64_t until = clock_monotonic_ns() + STRESS_NS;
    unsigned signals = 0, pages = 0;

    while (clock_monotonic_ns() < until) {
        shm_signal signal;
        size_t length;
        uint64_t version;
        const uint64_t cursor = shm_signal_last(segment);

        if (cursor > 0 && shm_signal_read(segment, cursor, &signal) == SHM_READ_OK) {
            if (signal.cursor != cursor || !is_signal(&signal)) {
                return 2;
            }
            signals++;
        }
        if (shm_whales_read(segment, copy, sizeof(copy), &length, &version) == SHM_READ_OK) {
            if (length != 1 + version % 5000) {
                return 3;
            }
            for (size_t i = 0; i < length; i++) {
                if (copy[i] != 'a' + (char)(version % 26)) {
                    return 4;
                }
            }
            pages++;
        }
    }
    shm_close(segment);
    return signals > 100 && pages > 100 ? 0 : 5;
}

static void readers_never_see_torn_signals_or_pages(void **state)
{
    (void)state;
    pid_t readers[2];
    const int64_t until = clock_monotonic_ns() + STRESS_NS;

    for (int i = 0; i < 2; i++) {
        readers[i] = fork();
        if (readers[i] == 0) {
            _exit(stress_read());
        }
    }
    for (int64_t id = 1; clock_monotonic_ns() < until; id++) {
        push(id);
        memset(page, 'a' + (int)(id % 26), 5000);
        shm_whales_put(writer, page, 1 + (size_t)id % 5000);
    }
    for (int i = 0; i < 2; i++) {
        int status;
        waitpid(readers[i], &status, 0);
        assert_int_equal(status, 0);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(cursors_grow_from_one_and_old_signals_go),
        CASE(a_signal_too_long_is_not_pushed),
        CASE(the_page_is_copied_up_to_the_room_there_is),
        CASE(a_page_half_written_leaves_the_one_before),
        CASE(readers_never_see_torn_signals_or_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
