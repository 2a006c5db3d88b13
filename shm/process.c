/*
 * The process table: who writes here, when each last beat, and what each counted.
 *
 * Promises: a process and its successor share a block, so that counters go on; adding is one atomic
 * instruction, and reading never stops anybody. Times are CLOCK_MONOTONIC, which all processes of a
 * boot share; a beat from the future is another boot's and counts as none.
 */
#include "shm/mapping.h"

#include "core/clock.h"

#include <unistd.h>

static const char *const process_counter_names[SHM_COUNTER_COUNT] = {
#define PROCESS_NAME(name, help) [SHM_##name] = #name,
    SHM_COUNTERS(PROCESS_NAME)};
static const char *const process_counter_helps[SHM_COUNTER_COUNT] = {
#define PROCESS_HELP(name, help) [SHM_##name] = help,
    SHM_COUNTERS(PROCESS_HELP)};
static const char *const process_histogram_names[SHM_HISTOGRAM_COUNT] = {
    SHM_HISTOGRAMS(PROCESS_NAME)};
static const char *const process_histogram_helps[SHM_HISTOGRAM_COUNT] = {
    SHM_HISTOGRAMS(PROCESS_HELP)};

const char *shm_counter_name(enum shm_counter counter)
{
    return (unsigned)counter < SHM_COUNTER_COUNT ? process_counter_names[counter] : "unknown";
}

const char *shm_counter_help(enum shm_counter counter)
{
    return (unsigned)counter < SHM_COUNTER_COUNT ? process_counter_helps[counter] : "";
}

const char *shm_histogram_name(enum shm_histogram histogram)
{
    return (unsigned)histogram < SHM_HISTOGRAM_COUNT ? process_histogram_names[histogram]
                                                     : "unknown";
}

const char *shm_histogram_help(enum shm_histogram histogram)
{
    return (unsigned)histogram < SHM_HISTOGRAM_COUNT ? process_histogram_helps[histogram] : "";
}

static struct shm_process *process_at(const shm_segment *segment, uint64_t index)
{
    return shm_region_record(segment, SHM_REGION_PROCESSES, sizeof(struct shm_process), index);
}

/* Blocks in use: they are taken in order and never given back. */
static uint64_t process_count(const shm_segment *segment)
{
    const uint64_t blocks = shm_region_records(segment, SHM_REGION_PROCESSES);
    uint64_t count = 0;

    while (count < blocks && shm_load_acquire(&process_at(segment, count)->identity) != 0) {
        count++;
    }
    return count;
}

/* The block of this role and slot; else the first free one, claimed against other joiners. */
static struct shm_process *process_claim(shm_segment *segment, uint64_t identity)
{
    const uint64_t blocks = shm_region_records(segment, SHM_REGION_PROCESSES);

    for (uint64_t i = 0; i < blocks; i++) {
        struct shm_process *process = process_at(segment, i);
        uint64_t found = shm_load_acquire(&process->identity);

        if (found == 0 && __atomic_compare_exchange_n(&process->identity, &found, identity, false,
                                                      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            return process;
        }
        if (found == identity) {
            return process;
        }
    }
    return NULL;
}

shm_process *shm_process_join(shm_segment *segment, enum shm_role role, unsigned slot)
{
    struct shm_process *process;

    if (segment == NULL || segment->base == NULL || !segment->writable ||
        (unsigned)role >= SHM_ROLE_COUNT) {
        return NULL;
    }
    process = process_claim(segment, ((uint64_t)role + 1) << 32 | slot);
    if (process == NULL) {
        return NULL;
    }
    if (role == SHM_ROLE_FEED) {
        shm_prices_repair(segment);
    }
    if (role == SHM_ROLE_MIRROR) {
        shm_users_clear(segment);
    }
    shm_store(&process->pid, (uint64_t)getpid());
    shm_store((uint64_t *)&process->started_ns, (uint64_t)clock_now_ns());
    shm_process_beat(process);
    return process;
}

void shm_process_beat(shm_process *process)
{
    if (process != NULL) {
        shm_store_release((uint64_t *)&process->beat_ns, (uint64_t)clock_monotonic_ns());
    }
}

void shm_count(shm_process *process, enum shm_counter counter, uint64_t by)
{
    if (process != NULL && (unsigned)counter < SHM_COUNTER_COUNT) {
        __atomic_fetch_add(&process->counters[counter], by, __ATOMIC_RELAXED);
    }
}

/* Bucket i holds what is below 2^(i + 6) ns. */
static unsigned process_bucket(uint64_t duration_ns)
{
    const unsigned bits = duration_ns == 0 ? 0 : 64 - (unsigned)__builtin_clzll(duration_ns);

    if (bits <= 6) {
        return 0;
    }
    return bits - 6 < SHM_HISTOGRAM_BUCKETS ? bits - 6 : SHM_HISTOGRAM_BUCKETS - 1;
}

void shm_observe(shm_process *process, enum shm_histogram histogram, int64_t duration_ns)
{
    const uint64_t duration = duration_ns < 0 ? 0 : (uint64_t)duration_ns; /* clocks step back */

    if (process == NULL || (unsigned)histogram >= SHM_HISTOGRAM_COUNT) {
        return;
    }
    shm_histogram_total *total = &process->histograms[histogram];
    __atomic_fetch_add(&total->count, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&total->sum_ns, duration, __ATOMIC_RELAXED);
    __atomic_fetch_add(&total->buckets[process_bucket(duration)], 1, __ATOMIC_RELAXED);
}

uint64_t shm_counter_total(const shm_segment *segment, enum shm_counter counter)
{
    const uint64_t blocks = process_count(segment);
    uint64_t sum = 0;

    if ((unsigned)counter >= SHM_COUNTER_COUNT) {
        return 0;
    }
    for (uint64_t i = 0; i < blocks; i++) {
        sum += shm_load(&process_at(segment, i)->counters[counter]);
    }
    return sum;
}

void shm_histogram_read(const shm_segment *segment, enum shm_histogram histogram,
                        shm_histogram_total *total)
{
    const uint64_t blocks = process_count(segment);

    memset(total, 0, sizeof(*total));
    if ((unsigned)histogram >= SHM_HISTOGRAM_COUNT) {
        return;
    }
    for (uint64_t i = 0; i < blocks; i++) {
        const shm_histogram_total *one = &process_at(segment, i)->histograms[histogram];

        total->sum_ns += shm_load(&one->sum_ns);
        for (int bucket = 0; bucket < SHM_HISTOGRAM_BUCKETS; bucket++) {
            const uint64_t in_bucket = shm_load(&one->buckets[bucket]);

            total->buckets[bucket] += in_bucket;
            /* not `one->count`: the parts must add up to the whole at any moment */
            total->count += in_bucket;
        }
    }
}

int64_t shm_histogram_quantile(const shm_histogram_total *total, unsigned per_mille)
{
    uint64_t count = 0, seen = 0;

    for (int i = 0; i < SHM_HISTOGRAM_BUCKETS; i++) {
        count += total->buckets[i];
    }
    if (count == 0) {
        return 0;
    }

    /* rank = ceil(count * per_mille / 1000), at least the first */
    const unsigned mille = per_mille > 1000 ? 1000 : per_mille;
    uint64_t rank = count / 1000 * mille + (count % 1000 * mille + 999) / 1000;
    rank = rank == 0 ? 1 : rank;
    for (int i = 0; i < SHM_HISTOGRAM_BUCKETS; i++) {
        seen += total->buckets[i];
        if (seen >= rank) {
            return (int64_t)1 << (i + 6);
        }
    }
    return (int64_t)1 << (SHM_HISTOGRAM_BUCKETS + 5);
}

/* INT64_MAX where it never beat, or in another boot. */
static int64_t process_age(const struct shm_process *process, int64_t now_ns)
{
    const int64_t beat = (int64_t)shm_load_acquire((const uint64_t *)&process->beat_ns);

    if (beat <= 0 || beat > now_ns + CLOCK_SECOND_NS) {
        return INT64_MAX;
    }
    return beat > now_ns ? 0 : now_ns - beat;
}

int64_t shm_heartbeat_age_ns(const shm_segment *segment, enum shm_role role)
{
    const int64_t now_ns = clock_monotonic_ns();
    const uint64_t blocks = process_count(segment);
    int64_t youngest = INT64_MAX;

    for (uint64_t i = 0; i < blocks; i++) {
        const struct shm_process *process = process_at(segment, i);

        if (shm_load(&process->identity) >> 32 == (uint64_t)role + 1) {
            const int64_t age = process_age(process, now_ns);
            youngest = age < youngest ? age : youngest;
        }
    }
    return youngest;
}

size_t shm_processes(const shm_segment *segment, shm_process_info *out, size_t capacity)
{
    const int64_t now_ns = clock_monotonic_ns();
    const uint64_t blocks = process_count(segment);
    size_t count = 0;

    for (uint64_t i = 0; i < blocks; i++) {
        const struct shm_process *process = process_at(segment, i);
        const uint64_t identity = shm_load_acquire(&process->identity);
        const uint64_t role = identity >> 32;

        if (role < 1 || role > SHM_ROLE_COUNT || count >= capacity) {
            continue;
        }
        out[count++] = (shm_process_info){
            .role = (enum shm_role)(role - 1),
            .slot = (unsigned)identity,
            .pid = (int32_t)shm_load(&process->pid),
            .beat_age_ns = process_age(process, now_ns),
            .started_ns = (int64_t)shm_load((const uint64_t *)&process->started_ns),
        };
    }
    return count;
}
