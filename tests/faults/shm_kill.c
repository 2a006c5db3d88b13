/*
 * A writer that is killed at any instruction: readers go on with what was whole, the successor
 * repairs the rest, and nobody ever sees half of a value. Also a tmpfs with no room left.
 */
#include "shm/layout.h"

#include "core/clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define KILLS 60
#define INSTRUMENTS 16
#define USERS 32

static char path[64];
static shm_position positions[8], read_positions[8];

static int setup(void **state)
{
    const shm_options options = {.instruments = INSTRUMENTS,
                                 .users = USERS,
                                 .positions = USERS * 8,
                                 .signals = 8,
                                 .mode = 0640,
                                 .group = -1};
    char error[256];

    (void)state;
    snprintf(path, sizeof(path), "/dev/shm/whale-test-kill-%ld", (long)getpid());
    unlink(path);
    if (!shm_create(path, &options, error, sizeof(error))) {
        print_error("%s\n", error);
        return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

/* Each value follows from one number: bid = n, ask = n + 1, and so on. */
static shm_price price_of(uint64_t number)
{
    return (shm_price){.bid = {.units = ((__int128)number << 64) | number},
                       .ask = {.units = ((__int128)number << 64) | (number + 1)},
                       .mark = {.units = ((__int128)number << 64) | (number + 2)},
                       .exchange_time_ns = (int64_t)number,
                       .receive_time_ns = (int64_t)number,
                       .update_id = number,
                       .source = SHM_SOURCE_WS};
}

static bool price_whole(const shm_price *price)
{
    const shm_price expected = price_of(price->update_id);

    if (price->source == SHM_SOURCE_NONE) {
        /* not published yet, or torn and repaired: then it holds nothing at all */
        return dec_is_zero(price->bid) && dec_is_zero(price->ask) && dec_is_zero(price->mark) &&
               price->update_id == 0 && price->receive_time_ns == 0;
    }
    return price->bid.units == expected.bid.units && price->ask.units == expected.ask.units &&
           price->mark.units == expected.mark.units &&
           price->exchange_time_ns == expected.exchange_time_ns &&
           price->receive_time_ns == expected.receive_time_ns;
}

static shm_user user_of(int64_t id, uint64_t number)
{
    const shm_user user = {.id = id,
                           .telegram_id = 1000 + id,
                           .session_epoch = (int64_t)number,
                           .balance_total = {.units = (__int128)number << 64 | number},
                           .version = number,
                           .position_count = (uint32_t)(number % 9)};

    for (uint32_t i = 0; i < user.position_count; i++) {
        positions[i].id = (int64_t)(number + i);
        positions[i].quantity.units = (__int128)number << 64 | (uint64_t)id;
        positions[i].text_length = 400;
        memset(positions[i].text, 'a' + (int)(number % 26), 400);
    }
    return user;
}

static bool user_whole(const shm_user *user)
{
    const uint64_t number = user->version;

    for (uint32_t i = 0; i < user->position_count; i++) {
        const shm_position *position = &read_positions[i];

        if (position->id != (int64_t)(number + i) || position->text_length != 400 ||
            position->quantity.units != ((__int128)number << 64 | (uint64_t)user->id) ||
            position->text[0] != 'a' + (int)(number % 26) ||
            memcmp(position->text, position->text + 1, 399) != 0) {
            return false;
        }
    }
    return user->position_count == number % 9 && user->session_epoch == (int64_t)number &&
           user->balance_total.units == ((__int128)number << 64 | number);
}

/* Writes as fast as it can until it is killed. */
static void write_for_ever(uint64_t number)
{
    char error[256];
    shm_segment *segment = shm_open_writer(path, error, sizeof(error));
    uint32_t slots[INSTRUMENTS];

    if (segment == NULL) {
        _exit(1);
    }
    shm_process_join(segment, SHM_ROLE_FEED, 0);
    for (int i = 0; i < INSTRUMENTS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "v:m:%d", i);
        if (!shm_price_claim(segment, key, strlen(key), &slots[i])) {
            _exit(2);
        }
    }
    for (;; number++) {
        const shm_price price = price_of(number);
        const shm_user user = user_of(1 + (int64_t)(number % (USERS - 1)), number);

        shm_price_publish(segment, slots[number % INSTRUMENTS], &price);
        if (number % 11 == 0) {
            shm_user_remove(segment, user.id);
        } else if (!shm_user_put(segment, &user, positions)) {
            _exit(3);
        }
    }
}

static void check_everything(const shm_segment *reader, unsigned *busy)
{
    for (uint32_t slot = 0; slot < shm_price_slots(reader); slot++) {
        shm_price price;
        const enum shm_read read = shm_price_read(reader, slot, &price);

        *busy += read == SHM_READ_BUSY;
        assert_true(read != SHM_READ_OK || price_whole(&price));
    }
    for (int64_t id = 1; id < USERS; id++) {
        shm_user user;
        const enum shm_read read = shm_user_by_id(reader, id, &user, read_positions, 8);

        *busy += read == SHM_READ_BUSY;
        assert_true(read != SHM_READ_OK || (user.id == id && user_whole(&user)));
    }
}

static void a_killed_writer_leaves_nothing_torn(void **state)
{
    (void)state;
    shm_segment *reader = shm_open_reader(path);
    unsigned busy = 0;

    for (int i = 0; i < KILLS; i++) {
        const pid_t child = fork();
        int status;

        if (child == 0) {
            write_for_ever((uint64_t)i * 1000000 + 1);
        }
        usleep(3000 + (unsigned)(i * 7919) % 9000);
        check_everything(reader, &busy); /* while it writes */
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        check_everything(reader, &busy); /* and when it is dead */
    }
    print_message("%d kills, %u reads answered with busy\n", KILLS, busy);
    shm_close(reader);
}

static void after_the_last_kill_a_successor_repairs_all(void **state)
{
    (void)state;
    char error[256];

    for (int i = 0; i < 10; i++) {
        const pid_t child = fork();
        if (child == 0) {
            write_for_ever((uint64_t)i * 1000000 + 1);
        }
        usleep(5000);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }

    shm_segment *writer = shm_open_writer(path, error, sizeof(error));
    assert_non_null(writer);
    shm_process_join(writer, SHM_ROLE_FEED, 0);
    shm_process_join(writer, SHM_ROLE_MIRROR, 0);
    for (int64_t id = 1; id < USERS; id++) {
        const shm_user user = user_of(id, 8);
        assert_true(shm_user_put(writer, &user, positions));
    }
    shm_users_set_loaded(writer, true);

    shm_segment *reader = shm_open_reader(path);
    unsigned busy = 0;
    check_everything(reader, &busy);
    assert_int_equal(busy, 0);
    shm_close(reader);
    shm_close(writer);
}

static void a_full_tmpfs_is_an_error_and_not_a_signal(void **state)
{
    (void)state;
    const shm_options options = {.instruments = 4096,
                                 .users = 1000,
                                 .positions = 20000,
                                 .signals = 64,
                                 .mode = 0640,
                                 .group = -1};
    char folder[] = "/tmp/whale-test-tmpfs-XXXXXX", file[64], error[256];
    struct stat status;

    assert_non_null(mkdtemp(folder));
    if (mount("none", folder, "tmpfs", 0, "size=4m") != 0) {
        rmdir(folder);
        skip(); /* needs root; test_shm_segment covers the same path with a file size limit */
    }
    snprintf(file, sizeof(file), "%s/segment", folder);
    const bool made = shm_create(file, &options, error, sizeof(error));
    const bool left = stat(file, &status) == 0;
    umount(folder);
    rmdir(folder);
    assert_false(made);
    assert_false(left);
    assert_non_null(strstr(error, "cannot reserve"));
    assert_non_null(strstr(error, "No space left"));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_killed_writer_leaves_nothing_torn),
        CASE(after_the_last_kill_a_successor_repairs_all),
        CASE(a_full_tmpfs_is_an_error_and_not_a_signal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
