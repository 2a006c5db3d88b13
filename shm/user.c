/*
 * Reading users: by id or Telegram id, one moment of the user with all open positions.
 *
 * Promises: what is returned was true at one instant, or the answer is BUSY; ABSENT is only said
 * while all users are loaded and fitted. Every index met on the way is checked, every walk bounded.
 */
#include "shm/user.h"

bool shm_users_loaded(const shm_segment *segment)
{
    const struct shm_control *control = shm_control_of(segment);

    return control != NULL && (shm_load_acquire(&control->users_loads) & 1) != 0;
}

/* A user's positions mostly lie side by side: fetch several while the first is being copied. */
static void user_prefetch_chain(const struct shm_position_record *first, uint64_t behind,
                                uint32_t count)
{
    const char *line = (const char *)first;
    const uint64_t records = count < behind ? count : behind;
    const char *end = line + (records < 8 ? records : 8) * sizeof(*first);

    for (; line < end; line += 64) {
        __builtin_prefetch(line);
    }
}

/* False: an index out of bounds, a text too long, another's position. Perhaps only being written.
 */
static bool user_copy_chain(const shm_segment *segment, int64_t owner, uint32_t first,
                            uint32_t count, shm_position *positions)
{
    const uint64_t records = shm_region_records(segment, SHM_REGION_POSITIONS);
    uint32_t at = first;

    if (first < records) {
        user_prefetch_chain(shm_position_record_at(segment, first), records - first, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (at >= records) {
            return false;
        }
        const struct shm_position_record *record = shm_position_record_at(segment, at);
        shm_position *position = &positions[i];

        shm_words_load(position, &record->position, SHM_POSITION_HEAD_WORDS);
        if (position->text_length > SHM_POSITION_TEXT_MAX ||
            (int64_t)shm_load((const uint64_t *)&record->owner) != owner) {
            return false;
        }
        shm_bytes_load(position->text, record->position.text, position->text_length);
        at = __atomic_load_n(&record->next, __ATOMIC_RELAXED);
    }
    return true;
}

/* Positions that the count promises but the chain has not (SHM_USER_POSITIONS_ELSEWHERE). */
static void user_blank_rest(const shm_user *user, uint32_t copied, shm_position *positions,
                            uint32_t capacity)
{
    for (uint32_t i = copied; i < user->position_count && i < capacity; i++) {
        memset(&positions[i], 0, sizeof(positions[i]));
        positions[i].price_slot = UINT32_MAX;
    }
}

static enum shm_read user_copy(const shm_segment *segment, uint64_t index, shm_user *user,
                               shm_position *positions, uint32_t capacity)
{
    const struct shm_user_record *record = shm_user_record_at(segment, index);

    for (int i = 0; i < SHM_READ_TRIES; i++) {
        const uint64_t before = shm_read_begin(&record->sequence);

        if ((before & 1) == 0) {
            const uint32_t first = __atomic_load_n(&record->chain_first, __ATOMIC_RELAXED);
            uint32_t count = __atomic_load_n(&record->chain_count, __ATOMIC_RELAXED);

            count = count < capacity ? count : capacity;
            shm_words_load(user, &record->user, SHM_USER_WORDS);
            const bool sound = user_copy_chain(segment, user->id, first, count, positions);
            if (shm_read_valid(&record->sequence, before)) {
                user_blank_rest(user, count, positions, capacity);
                return sound ? SHM_READ_OK : SHM_READ_BUSY;
            }
        }
        shm_read_pause();
    }
    return SHM_READ_BUSY;
}

/*
 * Walks the index once. OK or BUSY are final; ABSENT only says that this walk did not meet the key.
 * `moved`: a record was given to another user between the index and the record.
 */
static enum shm_read user_lookup(const shm_segment *segment, enum shm_index index, int64_t key,
                                 shm_user *user, shm_position *positions, uint32_t capacity,
                                 bool *moved)
{
    const uint64_t mask = shm_index_mask(segment, index);
    const uint64_t probes = shm_index_probes(segment, index);
    const uint64_t hash = shm_hash_id(key);

    for (uint64_t i = 0; i < probes; i++) {
        const uint32_t *entry = shm_index_entry(segment, index, (hash + i) & mask);
        const uint32_t value = __atomic_load_n(entry, __ATOMIC_ACQUIRE);

        if (value == SHM_INDEX_FREE) {
            return SHM_READ_ABSENT;
        }
        if (value < SHM_INDEX_BASE ||
            value - SHM_INDEX_BASE >= shm_region_records(segment, SHM_REGION_USERS)) {
            continue;
        }
        const uint64_t at = value - SHM_INDEX_BASE;
        if (shm_user_key(shm_user_record_at(segment, at), index) != key) {
            continue;
        }
        const enum shm_read read = user_copy(segment, at, user, positions, capacity);
        if (read != SHM_READ_OK) {
            return read;
        }
        if (user->id != 0 && (index == SHM_INDEX_ID ? user->id : user->telegram_id) == key) {
            return SHM_READ_OK;
        }
        *moved = true;
    }
    return SHM_READ_ABSENT;
}

static enum shm_read user_find(const shm_segment *segment, enum shm_index index, int64_t key,
                               shm_user *user, shm_position *positions, uint32_t capacity)
{
    const struct shm_control *control = shm_control_of(segment);

    if (control == NULL || key == 0) {
        return control == NULL ? SHM_READ_BUSY : SHM_READ_ABSENT;
    }
    for (int i = 0; i < 4; i++) {
        const uint64_t loads = shm_load_acquire(&control->users_loads);
        bool moved = false;
        const enum shm_read read =
            user_lookup(segment, index, key, user, positions, capacity, &moved);

        if (read != SHM_READ_ABSENT) {
            return read;
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        /* a missing user is proof only where nothing was loading, moving or left out meanwhile */
        if ((loads & 1) == 0 || shm_load(&control->users_overflow) != 0) {
            return SHM_READ_BUSY;
        }
        if (!moved && shm_load(&control->users_loads) == loads) {
            return SHM_READ_ABSENT;
        }
    }
    return SHM_READ_BUSY;
}

enum shm_read shm_user_by_id(const shm_segment *segment, int64_t id, shm_user *user,
                             shm_position *positions, uint32_t capacity)
{
    return user_find(segment, SHM_INDEX_ID, id, user, positions, capacity);
}

enum shm_read shm_user_by_telegram(const shm_segment *segment, int64_t telegram_id, shm_user *user,
                                   shm_position *positions, uint32_t capacity)
{
    return user_find(segment, SHM_INDEX_TELEGRAM, telegram_id, user, positions, capacity);
}
