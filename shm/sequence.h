/*
 * The sequence lock that every record is under, and the copying that goes with it.
 *
 * One writer makes the sequence odd, writes, and makes it even again; a reader copies between two
 * equal even loads. Data moves word by word through relaxed atomics, because a torn copy must be
 * harmless (it is thrown away), not undefined. 64-bit words only: a 16-byte atomic load may be a
 * compare-and-exchange, which faults on a read-only mapping.
 *
 * A writer that died in between leaves an odd sequence. Its successor's next write simply takes the
 * odd number over, and readers give up after a bounded number of tries until then.
 */
#ifndef WHALE_SHM_SEQUENCE_H
#define WHALE_SHM_SEQUENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A write takes some 10 to 300 ns: this many tries outlast any but a writer that was descheduled.
 */
#define SHM_READ_TRIES 256

typedef uint64_t __attribute__((may_alias)) shm_word;

static inline uint64_t shm_load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint64_t shm_load_acquire(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void shm_store(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline void shm_store_release(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* `shared` is 8-byte aligned; `words` counts 8 bytes each. */
static inline void shm_words_load(void *to, const void *shared, size_t words)
{
    const shm_word *from = shared;
    unsigned char *out = to;

    for (size_t i = 0; i < words; i++) {
        uint64_t word = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
        memcpy(out + i * 8, &word, 8);
    }
}

static inline void shm_words_store(void *shared, const void *from, size_t words)
{
    shm_word *to = shared;
    const unsigned char *in = from;

    for (size_t i = 0; i < words; i++) {
        uint64_t word;
        memcpy(&word, in + i * 8, 8);
        __atomic_store_n(&to[i], word, __ATOMIC_RELAXED);
    }
}

/* Any number of bytes: whole words, then what is left of the last one. */
static inline void shm_bytes_load(void *to, const void *shared, size_t length)
{
    const size_t words = length / 8, rest = length % 8;

    shm_words_load(to, shared, words);
    if (rest > 0) {
        const shm_word *from = shared;
        uint64_t word = __atomic_load_n(&from[words], __ATOMIC_RELAXED);
        memcpy((unsigned char *)to + words * 8, &word, rest);
    }
}

/* The shared bytes must have room for whole words; what is beyond `length` in the last becomes 0.
 */
static inline void shm_bytes_store(void *shared, const void *from, size_t length)
{
    const size_t words = length / 8, rest = length % 8;

    shm_words_store(shared, from, words);
    if (rest > 0) {
        uint64_t word = 0;
        shm_word *to = shared;
        memcpy(&word, (const unsigned char *)from + words * 8, rest);
        __atomic_store_n(&to[words], word, __ATOMIC_RELAXED);
    }
}

static inline uint64_t shm_read_begin(const uint64_t *sequence)
{
    return shm_load_acquire(sequence);
}

static inline bool shm_read_valid(const uint64_t *sequence, uint64_t before)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return (before & 1) == 0 && shm_load(sequence) == before;
}

static inline void shm_read_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

/* Returns the odd number that `shm_write_end` takes. */
static inline uint64_t shm_write_begin(uint64_t *sequence)
{
    const uint64_t odd = shm_load(sequence) | 1;

    shm_store(sequence, odd);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    return odd;
}

static inline void shm_write_end(uint64_t *sequence, uint64_t odd)
{
    shm_store_release(sequence, odd + 1);
}

#endif
