/*
 * Writing users. One process (mirror) does; readers never wait for it.
 *
 * Promises: a user and all open positions change in one instant: the new chain is built where no
 * reader looks, and the lock is held for the two cache lines of the record alone. Before the first
 * write, whatever a dead predecessor left half-done is wiped, and the users count as not loaded
 * then.
 */
#include "shm/user_write.h"

void shm_users_set_loaded(shm_segment *segment, bool loaded)
{
    struct shm_control *control = shm_control_of(segment);

    if (control == NULL || !segment->writable) {
        return;
    }
    const uint64_t loads = shm_load(&control->users_loads);
    if (((loads & 1) != 0) != loaded) {
        shm_store_release(&control->users_loads, loads + 1);
        /* nothing that is written next may be seen before this */
        __atomic_thread_fence(__ATOMIC_RELEASE);
    }
}

static void user_write(struct shm_user_record *record, const shm_user *user, uint32_t more_flags,
                       struct shm_chain chain)
{
    shm_user copy;

    memset(&copy, 0, sizeof(copy)); /* its holes too: nothing of our stack is published */
    copy.id = user->id;
    copy.telegram_id = user->telegram_id;
    copy.session_epoch = user->session_epoch;
    copy.balance_total = user->balance_total;
    copy.balance_available = user->balance_available;
    copy.tier = user->tier;
    copy.flags = user->flags | more_flags;
    copy.version = user->version;
    copy.position_count = user->position_count;

    const uint64_t odd = shm_write_begin(&record->sequence);
    __atomic_store_n(&record->chain_first, chain.first, __ATOMIC_RELAXED);
    __atomic_store_n(&record->chain_count, chain.count, __ATOMIC_RELAXED);
    shm_words_store(&record->user, &copy, SHM_USER_WORDS);
    shm_write_end(&record->sequence, odd);
}

void shm_user_wipe(struct shm_user_record *record)
{
    static const shm_user nobody;

    user_write(record, &nobody, 0, (struct shm_chain){SHM_NO_POSITION, 0});
}

static void user_overflowed(struct shm_segment *segment)
{
    struct shm_control *control = shm_control_of(segment);

    shm_store_release(&control->users_overflow, shm_load(&control->users_overflow) + 1);
}

/* Takes a record out of both indexes, empties it and gives everything back. */
static void user_drop(struct shm_segment *segment, uint32_t at)
{
    struct shm_user_record *record = shm_user_record_at(segment, at);
    const struct shm_chain chain = {record->chain_first, record->chain_count};
    const int64_t id = record->user.id, telegram_id = record->user.telegram_id;

    shm_user_wipe(record);
    shm_index_remove(segment, SHM_INDEX_ID, id, at);
    if (telegram_id != 0) {
        shm_index_remove(segment, SHM_INDEX_TELEGRAM, telegram_id, at);
    }
    shm_pool_give_chain(segment, chain);
    shm_pool_give_user(segment, at);
}

/* The record is written; make it found under its keys. False: an index has no place near enough. */
static bool user_index(struct shm_segment *segment, uint32_t at, const shm_user *user, bool known,
                       int64_t telegram_before)
{
    bool found = true;

    if (!known) {
        found = shm_index_insert(segment, SHM_INDEX_ID, user->id, at);
    }
    if (user->telegram_id != telegram_before) {
        if (user->telegram_id != 0) {
            found &= shm_index_insert(segment, SHM_INDEX_TELEGRAM, user->telegram_id, at);
        }
        if (telegram_before != 0) {
            shm_index_remove(segment, SHM_INDEX_TELEGRAM, telegram_before, at);
        }
    }
    return found;
}

bool shm_user_put(shm_segment *segment, const shm_user *user, const shm_position *positions)
{
    struct shm_chain chain = {SHM_NO_POSITION, 0}, old = {SHM_NO_POSITION, 0};
    int64_t telegram_before = 0;
    uint32_t at;

    if (user->id == 0 || !shm_pool_attach(segment)) {
        return false;
    }
    const bool known = shm_index_find(segment, SHM_INDEX_ID, user->id, &at);
    if (!known && !shm_pool_take_user(segment, &at)) {
        user_overflowed(segment);
        return false;
    }

    struct shm_user_record *record = shm_user_record_at(segment, at);
    if (known) {
        old = (struct shm_chain){record->chain_first, record->chain_count};
        telegram_before = record->user.telegram_id;
    }
    const bool many = user->position_count > SHM_USER_POSITIONS_MAX;
    const bool fits = !many && shm_pool_build(segment, user->id, positions, user->position_count,
                                              old.count, &chain);
    user_write(record, user, fits ? 0 : SHM_USER_POSITIONS_ELSEWHERE, chain);
    shm_pool_give_chain(segment, old);
    if (!user_index(segment, at, user, known, telegram_before)) {
        user_overflowed(segment); /* so that not finding the user proves nothing */
        user_drop(segment, at);
        return false;
    }
    return fits || many;
}

bool shm_user_remove(shm_segment *segment, int64_t id)
{
    uint32_t at;

    if (id == 0 || !shm_pool_attach(segment) || !shm_index_find(segment, SHM_INDEX_ID, id, &at)) {
        return false;
    }
    user_drop(segment, at);
    return true;
}

void shm_users_clear(shm_segment *segment)
{
    struct shm_control *control = shm_control_of(segment);

    if (control == NULL || !segment->writable) {
        return;
    }
    shm_users_set_loaded(segment, false);
    shm_pool_reset(segment);

    const uint64_t records = shm_region_records(segment, SHM_REGION_USERS);
    const uint64_t high = shm_load(&control->users_high);
    shm_index_clear(segment);
    for (uint64_t at = 0; at < high && at < records; at++) {
        shm_user_wipe(shm_user_record_at(segment, at));
    }
    shm_store(&control->users_high, 0);
    shm_store(&control->users_overflow, 0);
    segment->users.attached = true;
}
