/*
 * A segment as one process sees it: the mapping, the header that was copied and checked when it was
 * attached, and what a writer keeps to itself. Internal to shm/.
 *
 * Everything below reads sizes and offsets from the copy, never from the mapping. Without a mapping
 * the copy is all zero, so that every index is out of bounds.
 */
#ifndef WHALE_SHM_MAPPING_H
#define WHALE_SHM_MAPPING_H

#include "shm/layout.h"
#include "shm/sequence.h"

#include <limits.h>
#include <sys/types.h>

/* What the writer of the users knows besides the segment; rebuilt from it (user_write.c). */
struct shm_users_writer {
    bool attached;
    uint32_t *free_users, *free_positions; /* stacks of records given back */
    uint32_t free_users_count, free_users_capacity;
    uint32_t free_positions_count, free_positions_capacity;
    uint32_t positions_high; /* records [high, count) were never used */
    uint32_t positions_used;
};

struct shm_segment {
    char path[PATH_MAX];
    bool writable;
    unsigned char *base; /* NULL: nothing is mapped */
    size_t size;
    dev_t device;
    ino_t inode;
    struct shm_header header;
    enum shm_state found; /* why nothing is mapped */
    int64_t prices_live;  /* writer of prices; -1 until counted */
    struct shm_users_writer users;
};

/* Record `index` of a region; the caller has compared index with shm_region_records(). */
static inline void *shm_region_record(const struct shm_segment *segment, enum shm_region region,
                                      size_t stride, uint64_t index)
{
    return segment->base + segment->header.regions[region].offset + stride * index;
}

static inline uint64_t shm_region_records(const struct shm_segment *segment, enum shm_region region)
{
    return segment->header.regions[region].count;
}

static inline struct shm_control *shm_control_of(const struct shm_segment *segment)
{
    return segment->base == NULL
               ? NULL
               : shm_region_record(segment, SHM_REGION_CONTROL, sizeof(struct shm_control), 0);
}

/* segment.c. SHM_LIVE: attached; else why not, with `error` filled in. */
enum shm_state shm_attach(struct shm_segment *segment, char *error, size_t capacity);
void shm_detach(struct shm_segment *segment);

/* What a successor does before its first write: see each file. */
void shm_prices_repair(struct shm_segment *segment); /* price.c */
void shm_pool_reset(struct shm_segment *segment);    /* user_pool.c */

/* For carrying over (create.c). */
void shm_prices_carry(struct shm_segment *to, const struct shm_segment *from);
void shm_signals_carry(struct shm_segment *to, const struct shm_segment *from);

#endif
