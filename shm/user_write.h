/*
 * The parts of the users' writer: index tables, the pool of positions, and putting them together.
 * Internal to shm/.
 */
#ifndef WHALE_SHM_USER_WRITE_H
#define WHALE_SHM_USER_WRITE_H

#include "shm/user.h"

/* user_index.c */
bool shm_index_find(const struct shm_segment *segment, enum shm_index index, int64_t key,
                    uint32_t *record);
bool shm_index_insert(struct shm_segment *segment, enum shm_index index, int64_t key,
                      uint32_t record);
void shm_index_remove(struct shm_segment *segment, enum shm_index index, int64_t key,
                      uint32_t record);
void shm_index_clear(struct shm_segment *segment);

/* user_pool.c: records and positions that are free, known to the writer alone. */
struct shm_chain {
    uint32_t first, count;
};
bool shm_pool_take_user(struct shm_segment *segment, uint32_t *record);
void shm_pool_give_user(struct shm_segment *segment, uint32_t record);
/* A chain that no reader can reach yet. False: no room; nothing is taken. */
bool shm_pool_build(struct shm_segment *segment, int64_t owner, const shm_position *positions,
                    uint32_t count, uint32_t replaced, struct shm_chain *chain);
void shm_pool_give_chain(struct shm_segment *segment, struct shm_chain chain);
/* What the segment says is in use becomes what the writer knows. False: out of memory. */
bool shm_pool_attach(struct shm_segment *segment);

/* Empties a record under its lock. */
void shm_user_wipe(struct shm_user_record *record);

#endif
