/*
 * The bytes of the segment. Everything here is shared between processes and, through nginx, between
 * programs that were built at different times: `layout_hash` covers every size and offset below,
 * and a reader that computes another hash does not attach.
 *
 * Promises: the header and the region table are written once, before the file gets its name, and
 * never change; whatever changes later stands in a region, and is read with atomic loads. The whole
 * table follows from the four capacities, so a reader recomputes it instead of believing it:
 * regions cannot overlap, nor reach past the end.
 */
#ifndef WHALE_SHM_LAYOUT_H
#define WHALE_SHM_LAYOUT_H

#include "shm/shm.h"

#define SHM_MAGIC 0x31474553454c4857ULL /* "WHLESEG1", little-endian */
#define SHM_VERSION 1
#define SHM_REGION_ALIGNMENT 4096
#define SHM_PROBE_MAX 512 /* longest walk through a hash table, for readers and writers alike */
#define SHM_NO_POSITION UINT32_MAX

/* Beyond these a capacity is a mistake; they also keep every size below 2^40. */
#define SHM_INSTRUMENTS_LIMIT (1U << 20)
#define SHM_USERS_LIMIT (1U << 26)
#define SHM_POSITIONS_LIMIT (1U << 28)
#define SHM_SIGNALS_LIMIT (1U << 20)

enum shm_region {
    SHM_REGION_CONTROL,
    SHM_REGION_PROCESSES,
    SHM_REGION_PRICE_KEYS,
    SHM_REGION_PRICES,
    SHM_REGION_USERS,
    SHM_REGION_USERS_BY_ID,
    SHM_REGION_USERS_BY_TELEGRAM,
    SHM_REGION_POSITIONS,
    SHM_REGION_SIGNALS,
    SHM_REGION_WHALES,
    SHM_REGION_COUNT,
};

struct shm_region_entry {
    uint64_t offset, stride, count;
};

struct shm_header {
    uint64_t magic;
    uint64_t layout_hash;
    uint64_t size; /* of the file */
    uint64_t epoch;
    int64_t created_ns;
    uint32_t instruments, users, positions, signals;
    struct shm_region_entry regions[SHM_REGION_COUNT];
    uint64_t version; /* SHM_VERSION, stored last; 0 while the file is being made */
};

/* Words that change and belong to no record. A cache line for each writing process. */
struct shm_control {
    uint64_t config_hash; /* master */
    uint64_t master_padding[7];
    uint64_t users_loads;    /* mirror: odd while the users are loaded, else even */
    uint64_t users_high;     /* records [0, high) may be in use */
    uint64_t users_overflow; /* users that found no room since the last clear */
    uint64_t signal_last;
    uint64_t whales_current; /* which of the two buffers readers take */
    uint64_t mirror_padding[3];
};

struct shm_process {
    uint64_t identity; /* (role + 1) << 32 | slot; 0 where free */
    uint64_t pid;
    int64_t beat_ns;    /* monotonic; 0 where it never beat */
    int64_t started_ns; /* wall clock */
    uint64_t padding[4];
    uint64_t counters[SHM_COUNTER_COUNT];
    shm_histogram_total histograms[SHM_HISTOGRAM_COUNT];
} __attribute__((aligned(64)));

/*
 * A price slot's key. `state` is generation << 2 | kind; a key is only ever read between two equal
 * loads of its state, so that a slot can be given away under a reader's eyes.
 */
enum shm_key_kind { SHM_KEY_FREE, SHM_KEY_LIVE, SHM_KEY_RELEASED, SHM_KEY_WRITING };
struct shm_price_key {
    uint64_t state;
    uint64_t hash;          /* of a live key; of a released one, when that was (monotonic) */
    char text[SHM_KEY_MAX]; /* padded with NUL */
};

struct shm_price_slot {
    uint64_t sequence;
    uint64_t padding;
    shm_price price;
} __attribute__((aligned(64)));

struct shm_user_record {
    uint64_t sequence; /* covers the record and the chain of positions */
    uint32_t chain_first, chain_count;
    shm_user user; /* user.id is 0 in a free record */
} __attribute__((aligned(64)));

struct shm_position_record {
    int64_t owner; /* user id, 0 where never used: a second line of defence only */
    uint32_t next;
    uint32_t padding;
    shm_position position;
};

struct shm_signal_slot {
    uint64_t sequence;
    shm_signal signal;
} __attribute__((aligned(64)));

/* Two buffers, so that neither writing nor dying while writing disturbs readers of the other. */
struct shm_whales_buffer {
    uint64_t sequence, version, length;
    uint64_t padding[5];
    char text[SHM_WHALES_TEXT_MAX];
};

/* Index tables: 0 free, SHM_INDEX_DEAD once used, else record + 2. */
#define SHM_INDEX_FREE 0U
#define SHM_INDEX_DEAD 1U
#define SHM_INDEX_BASE 2U

_Static_assert(sizeof(shm_price) == 160, "a price has no holes");
_Static_assert(sizeof(struct shm_price_slot) == 192, "three cache lines a price");
_Static_assert(sizeof(struct shm_price_key) == 128, "two cache lines a key");
_Static_assert(sizeof(shm_position) == 528, "a position has no holes");
_Static_assert(sizeof(struct shm_position_record) == 544, "five million must fit into 4 GiB");
_Static_assert(sizeof(struct shm_user_record) == 128, "two cache lines a user");
_Static_assert(sizeof(shm_signal) % 8 == 0 && sizeof(shm_user) % 8 == 0, "copied as words");
_Static_assert(sizeof(struct shm_header) <= SHM_REGION_ALIGNMENT, "the header has the first page");
_Static_assert(sizeof(struct shm_control) == 128, "two cache lines");

/*
 * Fills in everything but epoch, time and version. False, with the reason, where a capacity is zero
 * or beyond its limit.
 */
bool shm_layout(struct shm_header *header, uint32_t instruments, uint32_t users, uint32_t positions,
                uint32_t signals, char *error, size_t capacity);
uint64_t shm_layout_hash(void);

/* Hashes of both kinds of key; well mixed in the low bits. */
uint64_t shm_hash_text(const char *text, size_t length);
static inline uint64_t shm_hash_id(int64_t id)
{
    uint64_t x = (uint64_t)id;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

#endif
