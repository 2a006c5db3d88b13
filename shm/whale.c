/*
 * Whales: the ranking page as it is served, written by mirror.
 *
 * Promises: readers take the one of two buffers that is not being written; a page is never torn,
 * and a writer that dies leaves the page before it.
 */
#include "shm/mapping.h"

static struct shm_whales_buffer *whale_buffer(const shm_segment *segment, uint64_t index)
{
    return shm_region_record(segment, SHM_REGION_WHALES, sizeof(struct shm_whales_buffer),
                             index & 1);
}

/* SHM_READ_BUSY: the buffer changed while it was copied. */
static enum shm_read whale_copy(const struct shm_whales_buffer *shared, char *out, size_t capacity,
                                size_t *length, uint64_t *version)
{
    const uint64_t before = shm_read_begin(&shared->sequence);
    const uint64_t found = shm_load(&shared->length);
    const uint64_t number = shm_load(&shared->version);

    if ((before & 1) != 0 || found > SHM_WHALES_TEXT_MAX) {
        return SHM_READ_BUSY;
    }
    shm_bytes_load(out, shared->text, found < capacity ? found : capacity);
    if (!shm_read_valid(&shared->sequence, before)) {
        return SHM_READ_BUSY;
    }
    *length = found;
    *version = number;
    return SHM_READ_OK;
}

enum shm_read shm_whales_read(const shm_segment *segment, char *out, size_t capacity,
                              size_t *length, uint64_t *version)
{
    const struct shm_control *control = shm_control_of(segment);

    *length = 0;
    *version = 0;
    if (control == NULL) {
        return SHM_READ_ABSENT;
    }
    /* few tries: each may copy 256 kB, and two writes a copy are already far too many */
    for (int i = 0; i < 4; i++) {
        const uint64_t current = shm_load_acquire(&control->whales_current);

        if (current == 0) {
            return SHM_READ_ABSENT;
        }
        if (whale_copy(whale_buffer(segment, current), out, capacity, length, version) ==
            SHM_READ_OK) {
            return SHM_READ_OK;
        }
        shm_read_pause();
    }
    return SHM_READ_BUSY;
}

bool shm_whales_put(shm_segment *segment, const char *text, size_t length)
{
    struct shm_control *control = shm_control_of(segment);

    if (control == NULL || !segment->writable || length > SHM_WHALES_TEXT_MAX) {
        return false;
    }

    const uint64_t next = shm_load(&control->whales_current) + 1;
    struct shm_whales_buffer *shared = whale_buffer(segment, next);
    const uint64_t odd = shm_write_begin(&shared->sequence);
    shm_store(&shared->length, length);
    shm_store(&shared->version, next);
    shm_bytes_store(shared->text, text, length);
    shm_write_end(&shared->sequence, odd);
    shm_store_release(&control->whales_current, next);
    return true;
}
