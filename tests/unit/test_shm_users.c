/*
 * Users and their positions: put, read, remove, full regions, takeover by a successor, and readers
 * against a writer at full speed.
 */
#include "shm/user_write.h"

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

#define USERS 64
#define POSITIONS 256
#define READERS 3
#define STRESS_NS (1500 * CLOCK_MS_NS)

static char path[64];
static shm_segment *writer, *reader;
static shm_position positions[SHM_USER_POSITIONS_MAX + 1], read_positions[SHM_USER_POSITIONS_MAX];

static int setup(void **state)
{
    const shm_options options = {.instruments = 1,
                                 .users = USERS,
                                 .positions = POSITIONS,
                                 .signals = 1,
                                 .mode = 0640,
                                 .group = -1};
    char error[256];

    (void)state;
    snprintf(path, sizeof(path), "/dev/shm/whale-test-users-%ld", (long)getpid());
    unlink(path);
    if (!shm_create(path, &options, error, sizeof(error))) {
        print_error("%s\n", error);
        return -1;
    }
    writer = shm_open_writer(path, error, sizeof(error));
    reader = shm_open_reader(path);
    if (writer == NULL || reader == NULL) {
        return -1;
    }
    shm_users_set_loaded(writer, true);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    shm_close(reader);
    shm_close(writer);
    unlink(path);
    return 0;
}

/* A user whose every value follows from (id, number), with `count` positions likewise. */
static shm_user make_user(int64_t id, uint64_t number, uint32_t count)
{
    const shm_user user = {.id = id,
                           .telegram_id = id + 1000000,
                           .session_epoch = (int64_t)number,
                           .balance_total = {.units = ((__int128)number << 64) + (uint64_t)id},
                           .balance_available = {.units = -(__int128)number},
                           .tier = (uint32_t)number & 1,
                           .flags = SHM_USER_ACTIVE,
                           .version = number,
                           .position_count = count};

    for (uint32_t i = 0; i < count && i <= SHM_USER_POSITIONS_MAX; i++) {
        shm_position *position = &positions[i];

        memset(position, 0, sizeof(*position));
        position->id = (int64_t)(number + i);
        position->price_slot = i;
        position->quantity.units = (__int128)id + i;
        position->realised_pnl.units = ((__int128)number << 64) + number;
        position->text_length = 8 + (uint32_t)(number + i) % (SHM_POSITION_TEXT_MAX - 7);
        memset(position->text, 'a' + (int)((number + i) % 26), position->text_length);
    }
    return user;
}

static bool put(int64_t id, uint64_t number, uint32_t count)
{
    const shm_user user = make_user(id, number, count);

    return shm_user_put(writer, &user, positions);
}

/* Is what was read the user that make_user() made? */
static bool is_user(const shm_user *user, const shm_position *read)
{
    for (uint32_t i = 0; i < user->position_count; i++) {
        const shm_position *position = &read[i];
        const uint64_t number = user->version + i;

        if (position->id != (int64_t)number || position->price_slot != i ||
            position->quantity.units != (__int128)user->id + i ||
            position->realised_pnl.units != ((__int128)user->version << 64) + user->version ||
            position->text_length != 8 + (uint32_t)number % (SHM_POSITION_TEXT_MAX - 7)) {
            return false;
        }
        for (uint32_t at = 0; at < position->text_length; at++) {
            if (position->text[at] != 'a' + (int)(number % 26)) {
                return false;
            }
        }
    }
    return user->telegram_id == user->id + 1000000 &&
           user->session_epoch == (int64_t)user->version &&
           user->balance_total.units == ((__int128)user->version << 64) + (uint64_t)user->id &&
           user->balance_available.units == -(__int128)user->version;
}

static enum shm_read read_user(int64_t id, shm_user *user)
{
    return shm_user_by_id(reader, id, user, read_positions, SHM_USER_POSITIONS_MAX);
}

static void a_user_is_found_by_both_ids_with_all_positions(void **state)
{
    (void)state;
    shm_user user;

    assert_true(put(5, 17, 3));
    assert_true(put(6, 18, 0));
    assert_int_equal(read_user(5, &user), SHM_READ_OK);
    assert_int_equal(user.position_count, 3);
    assert_true(is_user(&user, read_positions));
    assert_int_equal(shm_user_by_telegram(reader, 1000005, &user, read_positions, 64), SHM_READ_OK);
    assert_int_equal(user.id, 5);
    assert_true(is_user(&user, read_positions));
    assert_int_equal(shm_user_by_telegram(reader, 1000006, &user, NULL, 0), SHM_READ_OK);
    assert_int_equal(user.id, 6);

    /* more than the caller has room for: said, not written */
    memset(read_positions, 0x55, sizeof(read_positions));
    assert_int_equal(shm_user_by_id(reader, 5, &user, read_positions, 2), SHM_READ_OK);
    assert_int_equal(user.position_count, 3);
    assert_int_equal(read_positions[2].id, 0x5555555555555555);
}

static void a_put_replaces_and_a_remove_removes(void **state)
{
    (void)state;
    shm_user user;

    for (uint64_t number = 1; number < 1000; number++) {
        assert_true(put(5, number, (uint32_t)(number % 60)));
        assert_int_equal(read_user(5, &user), SHM_READ_OK);
        assert_int_equal(user.position_count, number % 60);
        assert_true(user.version == number && is_user(&user, read_positions));
    }
    assert_true(shm_user_remove(writer, 5));
    assert_false(shm_user_remove(writer, 5));
    assert_int_equal(read_user(5, &user), SHM_READ_ABSENT);
    assert_int_equal(shm_user_by_telegram(reader, 1000005, &user, NULL, 0), SHM_READ_ABSENT);
    assert_int_equal(writer->users.positions_used, 0);
}

static void a_new_telegram_id_replaces_the_old(void **state)
{
    (void)state;
    shm_user user = make_user(5, 1, 0);

    assert_true(shm_user_put(writer, &user, NULL));
    user.telegram_id = 42;
    assert_true(shm_user_put(writer, &user, NULL));
    assert_int_equal(shm_user_by_telegram(reader, 1000005, &user, NULL, 0), SHM_READ_ABSENT);
    assert_int_equal(shm_user_by_telegram(reader, 42, &user, NULL, 0), SHM_READ_OK);
    user.telegram_id = 0;
    assert_true(shm_user_put(writer, &user, NULL));
    assert_int_equal(shm_user_by_telegram(reader, 42, &user, NULL, 0), SHM_READ_ABSENT);
    assert_int_equal(shm_user_by_telegram(reader, 0, &user, NULL, 0), SHM_READ_ABSENT);
    assert_int_equal(read_user(5, &user), SHM_READ_OK);
}

static void missing_proves_nothing_until_loaded(void **state)
{
    (void)state;
    shm_user user;

    assert_int_equal(read_user(9, &user), SHM_READ_ABSENT);
    shm_users_set_loaded(writer, false);
    assert_false(shm_users_loaded(reader));
    assert_int_equal(read_user(9, &user), SHM_READ_BUSY);
    assert_true(put(9, 1, 0));
    assert_int_equal(read_user(9, &user), SHM_READ_OK);
    shm_users_set_loaded(writer, true);
    assert_true(shm_users_loaded(reader));
    assert_int_equal(read_user(10, &user), SHM_READ_ABSENT);
}

static void positions_that_do_not_fit_are_elsewhere(void **state)
{
    (void)state;
    shm_user user;

    /* too many for anyone: no failure */
    assert_true(put(1, 1, SHM_USER_POSITIONS_MAX + 1));
    assert_int_equal(read_user(1, &user), SHM_READ_OK);
    assert_true((user.flags & SHM_USER_POSITIONS_ELSEWHERE) != 0);
    assert_true(user.position_count > SHM_USER_POSITIONS_MAX);

    for (int64_t id = 2; id < 6; id++) {
        assert_true(put(id, 1, POSITIONS / 4));
    }
    assert_false(put(6, 1, 1));
    assert_int_equal(read_user(6, &user), SHM_READ_OK);
    assert_true((user.flags & SHM_USER_POSITIONS_ELSEWHERE) != 0);
    assert_int_equal(read_positions[0].text_length, 0);
    assert_int_equal(read_positions[0].price_slot, UINT32_MAX);

    /* the whole pool is usable: a full one can still replace a user's chain */
    assert_true(put(2, 2, POSITIONS / 4));
    assert_int_equal(read_user(2, &user), SHM_READ_OK);
    assert_true(is_user(&user, read_positions));
    assert_true(put(2, 3, 0));
    assert_true(put(6, 2, 1));
    assert_int_equal(read_user(6, &user), SHM_READ_OK);
    assert_false((user.flags & SHM_USER_POSITIONS_ELSEWHERE) != 0);
}

static void a_user_too_many_is_not_called_absent(void **state)
{
    (void)state;
    shm_user user;

    for (int64_t id = 1; id <= USERS; id++) {
        assert_true(put(id, 1, 0));
    }
    assert_int_equal(read_user(USERS + 1, &user), SHM_READ_ABSENT);
    assert_false(put(USERS + 1, 1, 0));
    assert_int_equal(read_user(USERS + 1, &user), SHM_READ_BUSY);
    assert_true(shm_user_remove(writer, 1));
    assert_true(put(USERS + 1, 1, 0));
    assert_int_equal(read_user(USERS + 1, &user), SHM_READ_OK);
    assert_false(put(0, 1, 0));
}

static void indexes_stay_right_under_churn(void **state)
{
    (void)state;
    bool there[400] = {false};
    unsigned present = 0, seed = 1;
    shm_user user;

    for (int i = 0; i < 20000; i++) {
        seed = seed * 1103515245 + 12345;
        const int64_t id = 1 + (seed >> 8) % 399;

        if (there[id]) {
            assert_true(shm_user_remove(writer, id));
            present--;
        } else if (present < USERS) {
            assert_true(put(id, (uint64_t)i + 1, (uint32_t)i % 4));
            present++;
        } else {
            continue;
        }
        there[id] = !there[id];
        const int64_t other = 1 + i % 399;
        assert_int_equal(read_user(other, &user), there[other] ? SHM_READ_OK : SHM_READ_ABSENT);
        assert_true(!there[other] || is_user(&user, read_positions));
    }
}

static void a_successor_finds_everything_and_wipes_what_was_half_written(void **state)
{
    (void)state;
    shm_user user;
    char error[128];
    uint32_t torn;

    for (int64_t id = 1; id <= 20; id++) {
        assert_true(put(id, (uint64_t)id, 5));
    }
    assert_true(shm_user_remove(writer, 3));
    shm_close(writer);

    /* a successor after a clean end loses nothing, and can still tell who is absent */
    writer = shm_open_writer(path, error, sizeof(error));
    assert_true(put(21, 21, 5));
    assert_true(shm_users_loaded(reader));
    assert_int_equal(writer->users.positions_used, 20 * 5);
    for (int64_t id = 1; id <= 21; id++) {
        assert_int_equal(read_user(id, &user), id == 3 ? SHM_READ_ABSENT : SHM_READ_OK);
        assert_true(id == 3 || is_user(&user, read_positions));
    }

    /* one that died inside the lock leaves one user torn */
    assert_true(shm_index_find(writer, SHM_INDEX_ID, 7, &torn));
    shm_write_begin(&shm_user_record_at(writer, torn)->sequence);
    assert_int_equal(read_user(7, &user), SHM_READ_BUSY);
    shm_close(writer);
    writer = shm_open_writer(path, error, sizeof(error));
    assert_true(put(22, 22, 5));
    assert_false(shm_users_loaded(reader));
    assert_int_equal(read_user(7, &user), SHM_READ_BUSY);
    assert_int_equal(read_user(8, &user), SHM_READ_OK);
    assert_int_equal(writer->users.positions_used, 20 * 5);
}

static void a_joining_mirror_starts_from_nothing(void **state)
{
    (void)state;
    shm_user user;

    assert_true(put(1, 1, 5));
    assert_non_null(shm_process_join(writer, SHM_ROLE_MIRROR, 0));
    assert_false(shm_users_loaded(reader));
    shm_users_set_loaded(writer, true);
    assert_int_equal(read_user(1, &user), SHM_READ_ABSENT);
    for (int64_t id = 1; id <= 4; id++) {
        assert_true(put(id, 2, POSITIONS / 4));
    }
    assert_int_equal(read_user(4, &user), SHM_READ_OK);
    assert_true(is_user(&user, read_positions));
}

/* ---- many readers, one writer at full speed ----------------------------------------------- */

#define STRESS_USERS 16 /* ids 1..16; 13..16 come and go */

static int stress_read(void)
{
    shm_segment *segment = shm_open_reader(path);
    const int64_t until = clock_monotonic_ns() + STRESS_NS;
    uint64_t good = 0, last[STRESS_USERS + 1] = {0};

    for (int64_t i = 0; clock_monotonic_ns() < until; i++) {
        const int64_t id = 1 + i % STRESS_USERS;
        shm_user user;
        const enum shm_read read =
            i % 2 == 0 ? shm_user_by_id(segment, id, &user, read_positions, 64)
                       : shm_user_by_telegram(segment, id + 1000000, &user, read_positions, 64);

        if (read == SHM_READ_ABSENT && id <= 12) {
            return 2; /* was there all along */
        }
        if (read != SHM_READ_OK) {
            continue;
        }
        if (user.id != id || !is_user(&user, read_positions)) {
            return 3;
        }
        if (user.version < last[id]) {
            return 4;
        }
        last[id] = user.version;
        good++;
    }
    shm_close(segment);
    return good > 100 ? 0 : 5;
}

static void readers_see_one_moment_of_a_user(void **state)
{
    (void)state;
    pid_t readers[READERS];

    for (int64_t id = 1; id <= STRESS_USERS; id++) {
        assert_true(put(id, 1, 4));
    }
    for (int i = 0; i < READERS; i++) {
        readers[i] = fork();
        if (readers[i] == 0) {
            _exit(stress_read());
        }
    }

    uint64_t number = 2;
    const int64_t until = clock_monotonic_ns() + STRESS_NS;
    while (clock_monotonic_ns() < until) {
        for (int i = 0; i < 16; i++, number++) {
            const int64_t id = 1 + (int64_t)(number * 7 % STRESS_USERS);

            if (id <= 12 || number % 3 != 0) {
                assert_true(put(id, number, (uint32_t)(number % 9)));
            } else {
                shm_user_remove(writer, id);
            }
        }
    }
    for (int i = 0; i < READERS; i++) {
        int status;
        waitpid(readers[i], &status, 0);
        assert_int_equal(status, 0);
    }
    print_message("%.2f M users written against %d readers\n", (double)number / 1e6, READERS);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_user_is_found_by_both_ids_with_all_positions),
        CASE(a_put_replaces_and_a_remove_removes),
        CASE(a_new_telegram_id_replaces_the_old),
        CASE(missing_proves_nothing_until_loaded),
        CASE(positions_that_do_not_fit_are_elsewhere),
        CASE(a_user_too_many_is_not_called_absent),
        CASE(indexes_stay_right_under_churn),
        CASE(a_successor_finds_everything_and_wipes_what_was_half_written),
        CASE(a_joining_mirror_starts_from_nothing),
        CASE(readers_see_one_moment_of_a_user),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
