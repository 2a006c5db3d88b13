/*
 * The two index tables from the writer's side: insert, remove, and a walk that finds a record.
 *
 * Promises: an entry never moves, so a reader that walks at the same time cannot miss a user who
 * was there all along. What is removed leaves a mark, and marks at the end of a run are cleared
 * again.
 */
#include "shm/user_write.h"

static uint32_t index_value(const struct shm_segment *segment, enum shm_index index, uint64_t at)
{
    return __atomic_load_n(shm_index_entry(segment, index, at), __ATOMIC_RELAXED);
}

static void index_set(struct shm_segment *segment, enum shm_index index, uint64_t at,
                      uint32_t value)
{
    __atomic_store_n(shm_index_entry(segment, index, at), value, __ATOMIC_RELEASE);
}

static bool index_holds(const struct shm_segment *segment, enum shm_index index, uint32_t value,
                        int64_t key)
{
    /* below `high`, not only below the region's end: what lies above was never looked at */
    return value >= SHM_INDEX_BASE &&
           value - SHM_INDEX_BASE < shm_load(&shm_control_of(segment)->users_high) &&
           shm_user_key(shm_user_record_at(segment, value - SHM_INDEX_BASE), index) == key;
}

bool shm_index_find(const struct shm_segment *segment, enum shm_index index, int64_t key,
                    uint32_t *record)
{
    const uint64_t mask = shm_index_mask(segment, index);
    const uint64_t probes = shm_index_probes(segment, index);
    const uint64_t hash = shm_hash_id(key);

    for (uint64_t i = 0; i < probes; i++) {
        const uint32_t value = index_value(segment, index, (hash + i) & mask);

        if (value == SHM_INDEX_FREE) {
            return false;
        }
        if (index_holds(segment, index, value, key)) {
            *record = value - SHM_INDEX_BASE;
            return true;
        }
    }
    return false;
}

bool shm_index_insert(struct shm_segment *segment, enum shm_index index, int64_t key,
                      uint32_t record)
{
    const uint64_t mask = shm_index_mask(segment, index);
    const uint64_t probes = shm_index_probes(segment, index);
    const uint64_t hash = shm_hash_id(key);
    uint64_t place = 0;
    bool found = false;

    for (uint64_t i = 0; i < probes; i++) {
        const uint64_t at = (hash + i) & mask;
        const uint32_t value = index_value(segment, index, at);

        if (value >= SHM_INDEX_BASE && index_holds(segment, index, value, key)) {
            place = at; /* the key had another record: this one replaces it */
            found = true;
            break;
        }
        if (value < SHM_INDEX_BASE && !found) {
            place = at;
            found = true;
        }
        if (value == SHM_INDEX_FREE) {
            break;
        }
    }
    if (found) {
        index_set(segment, index, place, record + SHM_INDEX_BASE);
    }
    return found;
}

void shm_index_remove(struct shm_segment *segment, enum shm_index index, int64_t key,
                      uint32_t record)
{
    const uint64_t mask = shm_index_mask(segment, index);
    const uint64_t probes = shm_index_probes(segment, index);
    const uint64_t hash = shm_hash_id(key);
    uint64_t i = 0;

    for (; i < probes; i++) {
        const uint32_t value = index_value(segment, index, (hash + i) & mask);

        if (value == SHM_INDEX_FREE) {
            return;
        }
        if (value == record + SHM_INDEX_BASE) {
            break;
        }
    }
    if (i == probes) {
        return;
    }
    index_set(segment, index, (hash + i) & mask, SHM_INDEX_DEAD);
    /* with nothing behind it a mark serves no one, nor do those before it */
    if (index_value(segment, index, (hash + i + 1) & mask) != SHM_INDEX_FREE) {
        return;
    }
    for (uint64_t back = 0; back < probes; back++) {
        const uint64_t at = (hash + i - back) & mask;

        if (index_value(segment, index, at) != SHM_INDEX_DEAD) {
            return;
        }
        index_set(segment, index, at, SHM_INDEX_FREE);
    }
}

void shm_index_clear(struct shm_segment *segment)
{
    for (int index = SHM_INDEX_ID; index <= SHM_INDEX_TELEGRAM; index++) {
        const uint64_t mask = shm_index_mask(segment, (enum shm_index)index);

        for (uint64_t at = 0; at <= mask; at++) {
            if (index_value(segment, (enum shm_index)index, at) != SHM_INDEX_FREE) {
                index_set(segment, (enum shm_index)index, at, SHM_INDEX_FREE);
            }
        }
    }
}
