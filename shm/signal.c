/*
 * Signals: a ring with a cursor that only grows, for the live feed. Written by mirror.
 *
 * Promises: a reader gets the signal of exactly the cursor that it asked for, or ABSENT; a cursor
 * goes on in a new segment, so that a client's place in the feed outlives a restart.
 */
#include "shm/mapping.h"

static struct shm_signal_slot *signal_slot(const shm_segment *segment, uint64_t cursor)
{
    const uint64_t slots = shm_region_records(segment, SHM_REGION_SIGNALS);

    return shm_region_record(segment, SHM_REGION_SIGNALS, sizeof(struct shm_signal_slot),
                             (cursor - 1) % slots);
}

uint64_t shm_signal_last(const shm_segment *segment)
{
    const struct shm_control *control = shm_control_of(segment);

    return control == NULL ? 0 : shm_load_acquire(&control->signal_last);
}

enum shm_read shm_signal_read(const shm_segment *segment, uint64_t cursor, shm_signal *signal)
{
    const uint64_t slots = shm_region_records(segment, SHM_REGION_SIGNALS);
    const uint64_t last = shm_signal_last(segment);

    if (cursor == 0 || cursor > last || last - cursor >= slots) {
        return SHM_READ_ABSENT;
    }

    const struct shm_signal_slot *shared = signal_slot(segment, cursor);
    for (int i = 0; i < SHM_READ_TRIES; i++) {
        const uint64_t before = shm_read_begin(&shared->sequence);

        shm_words_load(signal, &shared->signal, sizeof(*signal) / 8);
        if (!shm_read_valid(&shared->sequence, before)) {
            shm_read_pause();
            continue;
        }
        if (signal->cursor != cursor) {
            return SHM_READ_ABSENT; /* lapped */
        }
        return signal->text_length <= SHM_SIGNAL_TEXT_MAX ? SHM_READ_OK : SHM_READ_ABSENT;
    }
    return SHM_READ_BUSY;
}

static void signal_write(shm_segment *segment, uint64_t cursor, const shm_signal *signal)
{
    struct shm_signal_slot *shared = signal_slot(segment, cursor);
    shm_signal copy;

    memset(&copy, 0, sizeof(copy));
    copy.cursor = cursor;
    copy.id = signal->id;
    copy.whale_id = signal->whale_id;
    copy.detected_ns = signal->detected_ns;
    copy.text_length = signal->text_length;
    memcpy(copy.text, signal->text, signal->text_length);

    const uint64_t odd = shm_write_begin(&shared->sequence);
    shm_words_store(&shared->signal, &copy, sizeof(copy) / 8);
    shm_write_end(&shared->sequence, odd);
    shm_store_release(&shm_control_of(segment)->signal_last, cursor);
}

void shm_signal_push(shm_segment *segment, const shm_signal *signal)
{
    if (segment->base == NULL || !segment->writable || signal->text_length > SHM_SIGNAL_TEXT_MAX) {
        return;
    }
    signal_write(segment, shm_signal_last(segment) + 1, signal);
}

void shm_signals_carry(struct shm_segment *to, const struct shm_segment *from)
{
    const uint64_t slots_to = shm_region_records(to, SHM_REGION_SIGNALS);
    const uint64_t slots_from = shm_region_records(from, SHM_REGION_SIGNALS);
    const uint64_t room = slots_to < slots_from ? slots_to : slots_from;
    const uint64_t last = shm_signal_last(from);
    shm_signal signal;

    if (last > INT64_MAX) {
        return; /* nobody has written so many */
    }
    for (uint64_t cursor = last > room ? last - room + 1 : 1; cursor <= last; cursor++) {
        if (shm_signal_read(from, cursor, &signal) == SHM_READ_OK) {
            signal_write(to, cursor, &signal);
        }
    }
    shm_store(&shm_control_of(to)->signal_last, last);
}
