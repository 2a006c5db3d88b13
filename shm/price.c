/*
 * Prices: a slot per instrument, written by feed, found by key.
 *
 * Promises: publishing is one write of three cache lines and never allocates; a slot belongs to one
 * key until it is released, and then to nobody for SHM_QUARANTINE_NS, because a position may still
 * name it; whatever a dead writer left half-done is repaired when its successor joins.
 */
#include "shm/mapping.h"

#include "core/clock.h"

#define PRICE_WORDS (sizeof(shm_price) / 8)
#define PRICE_TAIL offsetof(shm_price, source) /* source and flags: one word */
#define PRICE_KEY_WORDS (SHM_KEY_MAX / 8)
/* A key changes for a few dozen ns; a reader that meets it more often than this skips the entry. */
#define PRICE_KEY_TRIES 16

_Static_assert(SHM_KEY_MAX % 8 == 0, "keys are compared as words");

const char *shm_price_source_name(enum shm_price_source source)
{
    static const char *const names[] = {
        [SHM_SOURCE_NONE] = "none",
        [SHM_SOURCE_WS] = "ws",
        [SHM_SOURCE_REST] = "rest",
        [SHM_SOURCE_RELAY] = "relay",
    };

    return (unsigned)source <= SHM_SOURCE_RELAY ? names[source] : "unknown";
}

static struct shm_price_key *price_key(const shm_segment *segment, uint64_t slot)
{
    return shm_region_record(segment, SHM_REGION_PRICE_KEYS, sizeof(struct shm_price_key), slot);
}

static struct shm_price_slot *price_slot(const shm_segment *segment, uint64_t slot)
{
    return shm_region_record(segment, SHM_REGION_PRICES, sizeof(struct shm_price_slot), slot);
}

uint32_t shm_price_slots(const shm_segment *segment)
{
    return (uint32_t)shm_region_records(segment, SHM_REGION_PRICES);
}

static enum shm_key_kind price_kind(uint64_t state)
{
    return (enum shm_key_kind)(state & 3);
}

static uint64_t price_state(uint64_t generation, enum shm_key_kind kind)
{
    return generation << 2 | kind;
}

/* One entry at one moment. Returns its kind; the copy is whole where that is SHM_KEY_LIVE. */
static enum shm_key_kind price_key_copy(const struct shm_price_key *entry,
                                        struct shm_price_key *copy)
{
    for (int i = 0; i < PRICE_KEY_TRIES; i++) {
        const uint64_t state = shm_load_acquire(&entry->state);

        if (price_kind(state) != SHM_KEY_LIVE) {
            return price_kind(state);
        }
        shm_words_load(copy, entry, sizeof(*copy) / 8);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (shm_load(&entry->state) == state) {
            copy->state = state;
            return SHM_KEY_LIVE;
        }
        shm_read_pause();
    }
    return SHM_KEY_WRITING;
}

/* Pads a key to whole words. False: empty, too long, or with a NUL inside. */
static bool price_key_pad(const char *key, size_t length, struct shm_price_key *padded)
{
    if (length == 0 || length >= SHM_KEY_MAX || memchr(key, '\0', length) != NULL) {
        return false;
    }
    memset(padded, 0, sizeof(*padded));
    memcpy(padded->text, key, length);
    padded->hash = shm_hash_text(key, length);
    return true;
}

/* How many entries a search may look at. */
static uint64_t price_probes(const shm_segment *segment)
{
    const uint64_t slots = shm_region_records(segment, SHM_REGION_PRICE_KEYS);

    return slots < SHM_PROBE_MAX ? slots : SHM_PROBE_MAX;
}

static enum shm_read price_find(const shm_segment *segment, const struct shm_price_key *wanted,
                                uint32_t *slot)
{
    const uint64_t mask = shm_region_records(segment, SHM_REGION_PRICE_KEYS) - 1;
    const uint64_t probes = price_probes(segment);

    for (uint64_t i = 0; i < probes; i++) {
        const uint64_t at = (wanted->hash + i) & mask;
        struct shm_price_key *entry = price_key(segment, at);
        struct shm_price_key found;

        if (price_kind(shm_load(&entry->state)) == SHM_KEY_LIVE &&
            shm_load(&entry->hash) != wanted->hash) {
            continue; /* the common collision, without copying it */
        }
        const enum shm_key_kind kind = price_key_copy(entry, &found);
        if (kind == SHM_KEY_FREE) {
            return SHM_READ_ABSENT;
        }
        if (kind == SHM_KEY_LIVE && found.hash == wanted->hash &&
            memcmp(found.text, wanted->text, sizeof(found.text)) == 0) {
            *slot = (uint32_t)at;
            return SHM_READ_OK;
        }
    }
    return SHM_READ_ABSENT;
}

enum shm_read shm_price_find(const shm_segment *segment, const char *key, size_t length,
                             uint32_t *slot)
{
    struct shm_price_key wanted;

    return price_key_pad(key, length, &wanted) ? price_find(segment, &wanted, slot)
                                               : SHM_READ_ABSENT;
}

enum shm_read shm_price_key(const shm_segment *segment, uint32_t slot, char key[SHM_KEY_MAX])
{
    struct shm_price_key found;

    key[0] = '\0';
    if (slot >= shm_region_records(segment, SHM_REGION_PRICE_KEYS)) {
        return SHM_READ_ABSENT;
    }
    const enum shm_key_kind kind = price_key_copy(price_key(segment, slot), &found);
    if (kind == SHM_KEY_WRITING) {
        return SHM_READ_BUSY;
    }
    if (kind != SHM_KEY_LIVE) {
        return SHM_READ_ABSENT;
    }
    memcpy(key, found.text, SHM_KEY_MAX);
    key[SHM_KEY_MAX - 1] = '\0';
    return SHM_READ_OK;
}

enum shm_read shm_price_read(const shm_segment *segment, uint32_t slot, shm_price *price)
{
    if (slot >= shm_region_records(segment, SHM_REGION_PRICES)) {
        return SHM_READ_ABSENT;
    }

    const struct shm_price_slot *shared = price_slot(segment, slot);
    for (int i = 0; i < SHM_READ_TRIES; i++) {
        const uint64_t before = shm_read_begin(&shared->sequence);

        shm_words_load(price, &shared->price, PRICE_WORDS);
        if (shm_read_valid(&shared->sequence, before)) {
            return price->generation == 0 ? SHM_READ_ABSENT : SHM_READ_OK;
        }
        shm_read_pause();
    }
    return SHM_READ_BUSY;
}

/* Under the lock: everything, generation included. */
static void price_reset(struct shm_price_slot *shared, uint64_t generation, uint32_t flags)
{
    const uint64_t odd = shm_write_begin(&shared->sequence);
    const shm_price empty = {.generation = generation, .version = (odd + 1) / 2, .flags = flags};

    shm_words_store(&shared->price, &empty, PRICE_WORDS);
    shm_write_end(&shared->sequence, odd);
}

void shm_price_publish(shm_segment *segment, uint32_t slot, const shm_price *price)
{
    if (slot >= shm_region_records(segment, SHM_REGION_PRICES)) {
        return;
    }

    struct shm_price_slot *shared = price_slot(segment, slot);
    const uint64_t odd = shm_write_begin(&shared->sequence);
    shm_words_store(&shared->price, price, offsetof(shm_price, generation) / 8);
    /* the generation belongs to whoever claimed the slot; the version counts like the sequence */
    shm_store(&shared->price.version, (odd + 1) / 2);
    shm_words_store((unsigned char *)&shared->price + PRICE_TAIL,
                    (const unsigned char *)price + PRICE_TAIL, 1);
    shm_write_end(&shared->sequence, odd);
}

static int64_t price_count_live(const shm_segment *segment)
{
    int64_t live = 0;

    for (uint64_t i = 0; i < shm_region_records(segment, SHM_REGION_PRICE_KEYS); i++) {
        live += price_kind(shm_load(&price_key(segment, i)->state)) == SHM_KEY_LIVE;
    }
    return live;
}

/* May this entry get a new key? */
static bool price_reusable(const struct shm_price_key *entry, int64_t now_ns)
{
    const enum shm_key_kind kind = price_kind(shm_load(&entry->state));

    return kind == SHM_KEY_FREE || (kind == SHM_KEY_RELEASED &&
                                    now_ns - (int64_t)shm_load(&entry->hash) > SHM_QUARANTINE_NS);
}

static void price_key_write(shm_segment *segment, uint64_t at, const struct shm_price_key *key)
{
    struct shm_price_key *entry = price_key(segment, at);
    const uint64_t generation = (shm_load(&entry->state) >> 2) + 1;

    shm_store(&entry->state, price_state(generation, SHM_KEY_WRITING));
    __atomic_thread_fence(__ATOMIC_RELEASE);
    shm_store(&entry->hash, key->hash);
    shm_words_store(entry->text, key->text, PRICE_KEY_WORDS);
    price_reset(price_slot(segment, at), generation, 0);
    shm_store_release(&entry->state, price_state(generation, SHM_KEY_LIVE));
}

bool shm_price_claim(shm_segment *segment, const char *key, size_t length, uint32_t *slot)
{
    const uint64_t mask = shm_region_records(segment, SHM_REGION_PRICE_KEYS) - 1;
    const uint64_t probes = price_probes(segment);
    const int64_t now_ns = clock_monotonic_ns();
    struct shm_price_key wanted;

    if (!segment->writable || !price_key_pad(key, length, &wanted)) {
        return false;
    }
    if (price_find(segment, &wanted, slot) == SHM_READ_OK) {
        return true;
    }
    if (segment->prices_live < 0) {
        segment->prices_live = price_count_live(segment);
    }
    if (segment->prices_live >= segment->header.instruments) {
        return false;
    }
    for (uint64_t i = 0; i < probes; i++) {
        const uint64_t at = (wanted.hash + i) & mask;

        if (price_reusable(price_key(segment, at), now_ns)) {
            price_key_write(segment, at, &wanted);
            segment->prices_live++;
            *slot = (uint32_t)at;
            return true;
        }
    }
    return false;
}

void shm_price_release(shm_segment *segment, uint32_t slot)
{
    if (slot >= shm_region_records(segment, SHM_REGION_PRICE_KEYS) || !segment->writable) {
        return;
    }

    struct shm_price_key *entry = price_key(segment, slot);
    const uint64_t state = shm_load(&entry->state);
    if (price_kind(state) != SHM_KEY_LIVE) {
        return;
    }
    /* readers of the key first, then readers of the value; it is nobody's from here on */
    shm_store(&entry->state, price_state(state >> 2, SHM_KEY_WRITING));
    __atomic_thread_fence(__ATOMIC_RELEASE);
    shm_store(&entry->hash, (uint64_t)clock_monotonic_ns());
    price_reset(price_slot(segment, slot), 0, 0);
    shm_store_release(&entry->state, price_state(state >> 2, SHM_KEY_RELEASED));
    if (segment->prices_live > 0) {
        segment->prices_live--;
    }
}

/*
 * A predecessor may have died while it wrote. A half-written key becomes a released one; a
 * half-written price is unknown until its next tick, rather than torn or busy for ever.
 */
void shm_prices_repair(struct shm_segment *segment)
{
    for (uint64_t i = 0; i < shm_region_records(segment, SHM_REGION_PRICE_KEYS); i++) {
        struct shm_price_key *entry = price_key(segment, i);
        struct shm_price_slot *shared = price_slot(segment, i);
        const uint64_t state = shm_load(&entry->state);

        if (price_kind(state) == SHM_KEY_WRITING) {
            shm_store(&entry->hash, (uint64_t)clock_monotonic_ns());
            price_reset(shared, 0, 0);
            shm_store_release(&entry->state, price_state(state >> 2, SHM_KEY_RELEASED));
        } else if ((shm_load(&shared->sequence) & 1) != 0) {
            const uint64_t generation = price_kind(state) == SHM_KEY_LIVE ? state >> 2 : 0;
            price_reset(shared, generation, SHM_PRICE_DISCONNECTED);
        }
    }
    segment->prices_live = -1;
}

/* Into a segment that nobody else sees yet: last known values, marked as no longer fed. */
void shm_prices_carry(struct shm_segment *to, const struct shm_segment *from)
{
    for (uint32_t i = 0; i < shm_price_slots(from); i++) {
        char key[SHM_KEY_MAX];
        shm_price price;
        uint32_t slot;

        if (shm_price_key(from, i, key) != SHM_READ_OK ||
            shm_price_read(from, i, &price) != SHM_READ_OK || price.source == SHM_SOURCE_NONE ||
            !shm_price_claim(to, key, strlen(key), &slot)) {
            continue;
        }
        /* versions go on, so that a client that waits for a higher one is not left waiting */
        shm_store(&price_slot(to, slot)->sequence, price.version * 2);
        price.flags |= SHM_PRICE_DISCONNECTED;
        shm_price_publish(to, slot, &price);
    }
}
