/*
 * From four capacities to the region table, and the hash that says "same layout". The one place
 * that computes either: whoever makes a segment and whoever reads one get the same answer.
 */
#include "shm/layout.h"

#include <stdio.h>
#include <string.h>

#define LAYOUT_FNV_START 0xcbf29ce484222325ULL
#define LAYOUT_FNV_PRIME 0x100000001b3ULL

static uint64_t layout_mix(uint64_t hash, const void *data, size_t length)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ bytes[i]) * LAYOUT_FNV_PRIME;
    }
    return hash;
}

uint64_t shm_hash_text(const char *text, size_t length)
{
    /* FNV's low bits alone spread badly over a power-of-two table */
    return shm_hash_id((int64_t)layout_mix(LAYOUT_FNV_START, text, length));
}

uint64_t shm_layout_hash(void)
{
    const uint64_t shape[] = {
        SHM_VERSION,
        sizeof(struct shm_header),
        sizeof(struct shm_control),
        sizeof(struct shm_process),
        sizeof(struct shm_price_key),
        sizeof(struct shm_price_slot),
        sizeof(struct shm_user_record),
        sizeof(struct shm_position_record),
        sizeof(struct shm_signal_slot),
        sizeof(struct shm_whales_buffer),
        offsetof(struct shm_control, users_loads),
        offsetof(struct shm_process, counters),
        offsetof(struct shm_process, histograms),
        offsetof(shm_price, funding),
        offsetof(shm_price, exchange_time_ns),
        offsetof(shm_price, update_id),
        offsetof(shm_price, flags),
        offsetof(shm_user, balance_total),
        offsetof(shm_user, tier),
        offsetof(shm_user, position_count),
        offsetof(shm_position, price_slot),
        offsetof(shm_position, realised_pnl),
        offsetof(shm_position, text),
        offsetof(shm_signal, detected_ns),
        offsetof(shm_signal, text),
        SHM_PROCESSES_MAX,
        SHM_ROLE_COUNT,
        SHM_COUNTER_COUNT,
        SHM_HISTOGRAM_COUNT,
        SHM_HISTOGRAM_BUCKETS,
        SHM_PROBE_MAX,
    };
    uint64_t hash = layout_mix(LAYOUT_FNV_START, shape, sizeof(shape));

    /* two builds that count other things must not add up each other's counters */
    for (int i = 0; i < SHM_COUNTER_COUNT; i++) {
        const char *name = shm_counter_name((enum shm_counter)i);
        hash = layout_mix(hash, name, strlen(name) + 1);
    }
    for (int i = 0; i < SHM_HISTOGRAM_COUNT; i++) {
        const char *name = shm_histogram_name((enum shm_histogram)i);
        hash = layout_mix(hash, name, strlen(name) + 1);
    }
    return hash;
}

static uint64_t layout_power_of_two(uint64_t least)
{
    uint64_t power = 16;

    while (power < least) {
        power *= 2;
    }
    return power;
}

static bool layout_capacities_valid(const struct shm_header *header)
{
    return header->instruments >= 1 && header->instruments <= SHM_INSTRUMENTS_LIMIT &&
           header->users >= 1 && header->users <= SHM_USERS_LIMIT && header->positions >= 1 &&
           header->positions <= SHM_POSITIONS_LIMIT && header->signals >= 1 &&
           header->signals <= SHM_SIGNALS_LIMIT;
}

bool shm_layout(struct shm_header *header, uint32_t instruments, uint32_t users, uint32_t positions,
                uint32_t signals, char *error, size_t capacity)
{
    memset(header, 0, sizeof(*header));
    header->magic = SHM_MAGIC;
    header->layout_hash = shm_layout_hash();
    header->instruments = instruments;
    header->users = users;
    header->positions = positions;
    header->signals = signals;
    if (!layout_capacities_valid(header)) {
        snprintf(error, capacity,
                 "capacities must be 1 to %u instruments, %u users, %u positions, %u signals",
                 SHM_INSTRUMENTS_LIMIT, SHM_USERS_LIMIT, SHM_POSITIONS_LIMIT, SHM_SIGNALS_LIMIT);
        return false;
    }

    /* hash tables are at most half full; the pool has room for one user's chain being replaced */
    const uint64_t price_slots = layout_power_of_two(2ULL * instruments);
    const uint64_t index_slots = layout_power_of_two(2ULL * users);
    const struct shm_region_entry shapes[SHM_REGION_COUNT] = {
        [SHM_REGION_CONTROL] = {0, sizeof(struct shm_control), 1},
        [SHM_REGION_PROCESSES] = {0, sizeof(struct shm_process), SHM_PROCESSES_MAX},
        [SHM_REGION_PRICE_KEYS] = {0, sizeof(struct shm_price_key), price_slots},
        [SHM_REGION_PRICES] = {0, sizeof(struct shm_price_slot), price_slots},
        [SHM_REGION_USERS] = {0, sizeof(struct shm_user_record), users},
        [SHM_REGION_USERS_BY_ID] = {0, sizeof(uint32_t), index_slots},
        [SHM_REGION_USERS_BY_TELEGRAM] = {0, sizeof(uint32_t), index_slots},
        [SHM_REGION_POSITIONS] = {0, sizeof(struct shm_position_record),
                                  (uint64_t)positions + SHM_USER_POSITIONS_MAX},
        [SHM_REGION_SIGNALS] = {0, sizeof(struct shm_signal_slot), signals},
        [SHM_REGION_WHALES] = {0, sizeof(struct shm_whales_buffer), 2},
    };
    uint64_t offset = SHM_REGION_ALIGNMENT;

    for (int i = 0; i < SHM_REGION_COUNT; i++) {
        header->regions[i] = shapes[i];
        header->regions[i].offset = offset;
        offset += shapes[i].stride * shapes[i].count;
        offset = (offset + SHM_REGION_ALIGNMENT - 1) / SHM_REGION_ALIGNMENT * SHM_REGION_ALIGNMENT;
    }
    header->size = offset;
    return true;
}
