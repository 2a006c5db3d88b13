/*
 * What reading and writing users share: where records stand, and looking one up. Internal to shm/.
 */
#ifndef WHALE_SHM_USER_H
#define WHALE_SHM_USER_H

#include "shm/mapping.h"

/* Words of a position before its text, and of a user. */
#define SHM_POSITION_HEAD_WORDS (offsetof(shm_position, text) / 8)
#define SHM_USER_WORDS (sizeof(shm_user) / 8)

/* One of the two index tables: id or Telegram id -> record. */
enum shm_index { SHM_INDEX_ID, SHM_INDEX_TELEGRAM };

static inline struct shm_user_record *shm_user_record_at(const struct shm_segment *segment,
                                                         uint64_t index)
{
    return shm_region_record(segment, SHM_REGION_USERS, sizeof(struct shm_user_record), index);
}

static inline struct shm_position_record *shm_position_record_at(const struct shm_segment *segment,
                                                                 uint64_t index)
{
    return shm_region_record(segment, SHM_REGION_POSITIONS, sizeof(struct shm_position_record),
                             index);
}

static inline enum shm_region shm_index_region(enum shm_index index)
{
    return index == SHM_INDEX_ID ? SHM_REGION_USERS_BY_ID : SHM_REGION_USERS_BY_TELEGRAM;
}

static inline uint32_t *shm_index_entry(const struct shm_segment *segment, enum shm_index index,
                                        uint64_t at)
{
    return shm_region_record(segment, shm_index_region(index), sizeof(uint32_t), at);
}

static inline uint64_t shm_index_mask(const struct shm_segment *segment, enum shm_index index)
{
    return shm_region_records(segment, shm_index_region(index)) - 1;
}

static inline uint64_t shm_index_probes(const struct shm_segment *segment, enum shm_index index)
{
    const uint64_t slots = shm_region_records(segment, shm_index_region(index));

    return slots < SHM_PROBE_MAX ? slots : SHM_PROBE_MAX;
}

/* A record's key as an index sees it: a hint until its sequence lock says otherwise. */
static inline int64_t shm_user_key(const struct shm_user_record *record, enum shm_index index)
{
    const int64_t *key = index == SHM_INDEX_ID ? &record->user.id : &record->user.telegram_id;

    return (int64_t)shm_load((const uint64_t *)key);
}

#endif
