/*
 * Hostile bytes: whatever stands in the file, while it is attached or before, every read call ends
 * soon and inside its buffers (run it under AddressSanitizer to know). A writer that attaches to
 * such a file survives as well, because a crashed predecessor may have left anything.
 */
#include "shm/layout.h"
#include "tests/faults/shm_readers.h"

#include "core/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define FLIP_ROUNDS 400
#define SCRIBBLE_NS (700 * CLOCK_MS_NS)

static char path[64];
static unsigned char *bytes, *image; /* the file, shared; a copy of it when it was good */
static size_t size;
static uint64_t seed = 88172645463325252ULL;

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static int setup(void **state)
{
    struct stat status;

    (void)state;
    snprintf(path, sizeof(path), "/dev/shm/whale-test-hostile-%ld", (long)getpid());
    unlink(path);
    if (!readers_make_segment(path)) {
        return -1;
    }
    const int file = open(path, O_RDWR);
    if (file < 0 || fstat(file, &status) != 0) {
        return -1;
    }
    size = (size_t)status.st_size;
    bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    image = malloc(size);
    if (bytes == MAP_FAILED || image == NULL) {
        return -1;
    }
    memcpy(image, bytes, size);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    munmap(bytes, size);
    free(image);
    unlink(path);
    return 0;
}

/* Where mutations go: anywhere, or only where a region's records stand (the padding teaches
 * little). */
static size_t draw_offset(const struct shm_header *header)
{
    const struct shm_region_entry *region = &header->regions[draw() % SHM_REGION_COUNT];
    const uint64_t length = region->stride * region->count;

    if (draw() % 8 == 0) {
        return draw() % size;
    }
    return region->offset + draw() % (length < 65536 ? length : 65536);
}

static void mutate(const struct shm_header *header, unsigned changes)
{
    for (unsigned i = 0; i < changes; i++) {
        const size_t at = draw_offset(header) / 8 * 8;
        static const uint64_t favourites[] = {
            0, 1, 2, 3, UINT32_MAX, UINT64_MAX, INT64_MAX, 1ULL << 32, (1ULL << 32) + 1};
        const uint64_t word = draw() % 2 == 0 ? draw() : favourites[draw() % 9];

        switch (draw() % 3) {
        case 0:
            bytes[at + draw() % 8] ^= (unsigned char)(1U << draw() % 8);
            break;
        case 1:
            memcpy(bytes + at, &word, 8);
            break;
        default:
            memcpy(bytes + at, &word, 4);
            break;
        }
    }
}

static void mutated_segments_are_read_to_the_end(void **state)
{
    (void)state;
    struct shm_header header;
    int64_t slowest = 0;

    memcpy(&header, image, sizeof(header));
    shm_segment *attached = shm_open_reader(path);
    for (int round = 0; round < FLIP_ROUNDS; round++) {
        memcpy(bytes, image, size);
        mutate(&header, 1U << draw() % 12);

        const int64_t start = clock_monotonic_ns();
        readers_read_everything(attached);
        shm_segment *fresh = shm_open_reader(path);
        readers_read_everything(fresh);
        shm_close(fresh);
        const int64_t taken = clock_monotonic_ns() - start;
        slowest = taken > slowest ? taken : slowest;
    }
    shm_close(attached);
    /* generous: a shared machine and a sanitizer; a loop without a bound takes for ever */
    assert_true(slowest < 5 * CLOCK_SECOND_NS);
}

static void random_bytes_everywhere_are_read_to_the_end(void **state)
{
    (void)state;
    shm_segment *attached = shm_open_reader(path);

    for (int round = 0; round < 20; round++) {
        for (size_t at = 0; at < size; at += 8) {
            const uint64_t word = draw();
            memcpy(bytes + at, &word, 8);
        }
        readers_read_everything(attached);
    }
    assert_int_equal(shm_refresh(attached), SHM_INCOMPATIBLE);
    readers_read_everything(attached);
    shm_close(attached);
}

static void broken_headers_are_refused_or_harmless(void **state)
{
    (void)state;
    shm_segment *reader = shm_open_reader(path);

    for (int round = 0; round < 3000; round++) {
        memcpy(bytes, image, sizeof(struct shm_header));
        const unsigned changes = 1 + (unsigned)(draw() % 4);
        for (unsigned i = 0; i < changes; i++) {
            bytes[draw() % sizeof(struct shm_header)] = (unsigned char)draw();
        }
        shm_segment *fresh = shm_open_reader(path);
        if (shm_epoch(fresh) != 0) {
            /* attached: only what is not the geometry can have changed */
            assert_int_equal(shm_price_slots(fresh), shm_price_slots(reader));
        }
        shm_refresh(reader);
        shm_close(fresh);
    }
    shm_close(reader);
}

static void files_cut_short_are_not_mapped(void **state)
{
    (void)state;
    char shorter[96];

    snprintf(shorter, sizeof(shorter), "%s.short", path);
    for (size_t length = 0; length < size; length += 1 + length / 2 + draw() % 64) {
        const int file = open(shorter, O_RDWR | O_CREAT | O_TRUNC, 0640);
        assert_int_equal(write(file, image, length), (ssize_t)length);
        close(file);
        shm_segment *reader = shm_open_reader(shorter);
        assert_int_equal(shm_epoch(reader), 0);
        readers_read_everything(reader);
        shm_close(reader);
    }
    unlink(shorter);
}

static bool scribbling;

static void *scribble(void *header)
{
    while (__atomic_load_n(&scribbling, __ATOMIC_RELAXED)) {
        mutate(header, 64);
        memcpy(bytes + 4096, image + 4096, size - 4096);
    }
    return NULL;
}

static void bytes_that_change_underneath_are_harmless(void **state)
{
    (void)state;
    struct shm_header header;
    pthread_t thread;
    const int64_t until = clock_monotonic_ns() + SCRIBBLE_NS;

    memcpy(&header, image, sizeof(header));
    shm_segment *reader = shm_open_reader(path);
    scribbling = true;
    assert_int_equal(pthread_create(&thread, NULL, scribble, &header), 0);
    while (clock_monotonic_ns() < until) {
        readers_read_everything(reader);
    }
    __atomic_store_n(&scribbling, false, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    shm_close(reader);
}

static void a_writer_takes_over_whatever_it_finds(void **state)
{
    (void)state;
    struct shm_header header;
    static shm_position positions[4], read[4];
    char error[256];

    memcpy(&header, image, sizeof(header));
    for (int round = 0; round < 200; round++) {
        memcpy(bytes, image, size);
        mutate(&header, 1U << draw() % 12);
        shm_segment *writer = shm_open_writer(path, error, sizeof(error));
        if (writer == NULL) {
            continue; /* the header was hit */
        }
        shm_process_join(writer, SHM_ROLE_FEED, 0);
        if (round % 2 == 0) {
            shm_process_join(writer, SHM_ROLE_MIRROR, 0);
        }
        for (int64_t id = 1; id < 10; id++) {
            const shm_user user = {.id = id, .telegram_id = 100 + id, .position_count = 4};
            shm_user back;
            const bool put = shm_user_put(writer, &user, positions);

            /* in a region that was cleared there is room, and what is written is read */
            assert_true(put || round % 2 == 1);
            assert_true(!put || shm_user_by_id(writer, id, &back, read, 4) == SHM_READ_OK);
        }
        readers_read_everything(writer);
        shm_close(writer);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(mutated_segments_are_read_to_the_end),
        CASE(random_bytes_everywhere_are_read_to_the_end),
        CASE(broken_headers_are_refused_or_harmless),
        CASE(files_cut_short_are_not_mapped),
        CASE(bytes_that_change_underneath_are_harmless),
        CASE(a_writer_takes_over_whatever_it_finds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
