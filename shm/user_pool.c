/*
 * Which user records and positions are free. The lists are the writer's own memory, not the
 * segment's: they are never trusted from a predecessor, but rebuilt from the records that readers
 * can reach.
 *
 * Promises: a position is given out only when no user's chain holds it; running out of memory for a
 * list loses the slot until the next rebuild, and never gives one out twice.
 */
#include "shm/user_write.h"

#include <stdlib.h>

static void pool_push(uint32_t **stack, uint32_t *count, uint32_t *capacity, uint32_t value)
{
    if (*count == *capacity) {
        const uint32_t larger = *capacity == 0 ? 1024 : *capacity * 2;
        uint32_t *grown = realloc(*stack, larger * sizeof(**stack));

        if (grown == NULL) {
            return;
        }
        *stack = grown;
        *capacity = larger;
    }
    (*stack)[(*count)++] = value;
}

bool shm_pool_take_user(struct shm_segment *segment, uint32_t *record)
{
    struct shm_users_writer *writer = &segment->users;
    struct shm_control *control = shm_control_of(segment);
    const uint64_t high = shm_load(&control->users_high);

    if (writer->free_users_count > 0) {
        *record = writer->free_users[--writer->free_users_count];
        return true;
    }
    if (high >= shm_region_records(segment, SHM_REGION_USERS)) {
        return false;
    }
    /* before the record is used, so that a successor looks at it */
    shm_store_release(&control->users_high, high + 1);
    *record = (uint32_t)high;
    return true;
}

void shm_pool_give_user(struct shm_segment *segment, uint32_t record)
{
    struct shm_users_writer *writer = &segment->users;

    pool_push(&writer->free_users, &writer->free_users_count, &writer->free_users_capacity, record);
}

static uint32_t pool_take_position(struct shm_segment *segment)
{
    struct shm_users_writer *writer = &segment->users;

    if (writer->free_positions_count > 0) {
        return writer->free_positions[--writer->free_positions_count];
    }
    if (writer->positions_high >= shm_region_records(segment, SHM_REGION_POSITIONS)) {
        return SHM_NO_POSITION;
    }
    return writer->positions_high++;
}

static void pool_give_position(struct shm_segment *segment, uint32_t position)
{
    struct shm_users_writer *writer = &segment->users;

    pool_push(&writer->free_positions, &writer->free_positions_count,
              &writer->free_positions_capacity, position);
}

/* No lock: the record is in no chain, and who still reads its former chain will see that it
 * changed. */
static void pool_write_position(struct shm_position_record *record, int64_t owner, uint32_t next,
                                const shm_position *position)
{
    shm_store((uint64_t *)&record->owner, (uint64_t)owner);
    __atomic_store_n(&record->next, next, __ATOMIC_RELAXED);
    shm_words_store(&record->position, position, SHM_POSITION_HEAD_WORDS);
    shm_bytes_store(record->position.text, position->text, position->text_length);
}

/* In the order that they are to be linked in. False, with none taken: there are not so many. */
static bool pool_take_positions(struct shm_segment *segment, uint32_t count, uint32_t *slots)
{
    for (uint32_t i = 0; i < count; i++) {
        slots[i] = pool_take_position(segment);
        if (slots[i] == SHM_NO_POSITION) {
            while (i > 0) {
                pool_give_position(segment, slots[--i]);
            }
            return false;
        }
    }
    return true;
}

bool shm_pool_build(struct shm_segment *segment, int64_t owner, const shm_position *positions,
                    uint32_t count, uint32_t replaced, struct shm_chain *chain)
{
    struct shm_users_writer *writer = &segment->users;
    uint32_t slots[SHM_USER_POSITIONS_MAX + 1];

    for (uint32_t i = 0; i < count; i++) {
        if (positions[i].text_length > SHM_POSITION_TEXT_MAX) {
            return false;
        }
    }
    if (writer->positions_used - replaced + count > segment->header.positions ||
        !pool_take_positions(segment, count, slots)) {
        return false;
    }
    slots[count] = SHM_NO_POSITION;
    for (uint32_t i = 0; i < count; i++) {
        pool_write_position(shm_position_record_at(segment, slots[i]), owner, slots[i + 1],
                            &positions[i]);
    }
    writer->positions_used += count;
    *chain = (struct shm_chain){slots[0], count};
    return true;
}

void shm_pool_give_chain(struct shm_segment *segment, struct shm_chain chain)
{
    uint32_t slots[SHM_USER_POSITIONS_MAX], count = 0, at = chain.first;

    while (count < chain.count && count < SHM_USER_POSITIONS_MAX &&
           at < shm_region_records(segment, SHM_REGION_POSITIONS)) {
        slots[count++] = at;
        at = shm_position_record_at(segment, at)->next;
    }
    segment->users.positions_used -= count;
    /* backwards, so that they are taken in this order again: neighbours stay neighbours */
    while (count > 0) {
        pool_give_position(segment, slots[--count]);
    }
}

static bool pool_bit(uint8_t *bits, uint32_t at, bool set)
{
    const uint8_t mask = (uint8_t)(1U << (at % 8));
    const bool was = (bits[at / 8] & mask) != 0;

    bits[at / 8] = (uint8_t)(set ? bits[at / 8] | mask : bits[at / 8] & ~mask);
    return was;
}

/* Marks a user's chain as used. False, with nothing marked: it is not a chain of this user's. */
static bool pool_mark_chain(struct shm_segment *segment, const struct shm_user_record *record,
                            uint8_t *bits)
{
    const uint64_t records = shm_region_records(segment, SHM_REGION_POSITIONS);
    uint32_t at = record->chain_first, marked = 0;
    bool sound = record->chain_count <= SHM_USER_POSITIONS_MAX;

    while (sound && marked < record->chain_count) {
        sound = at < records && shm_position_record_at(segment, at)->owner == record->user.id &&
                !pool_bit(bits, at, true);
        if (sound) {
            marked++;
            at = shm_position_record_at(segment, at)->next;
        }
    }
    if (sound) {
        segment->users.positions_used += marked;
        return true;
    }
    at = record->chain_first;
    for (uint32_t i = 0; i < marked; i++) {
        pool_bit(bits, at, false);
        at = shm_position_record_at(segment, at)->next;
    }
    return false;
}

/* Free slots below the highest used one go to the list; those above were never used. */
static void pool_collect(struct shm_segment *segment, uint8_t *bits)
{
    uint32_t high = (uint32_t)shm_region_records(segment, SHM_REGION_POSITIONS);

    while (high > 0 && (bits[(high - 1) / 8] & (1U << ((high - 1) % 8))) == 0) {
        high--;
    }
    segment->users.positions_high = high;
    for (uint32_t at = 0; at < high; at++) {
        if ((bits[at / 8] & (1U << (at % 8))) == 0) {
            pool_give_position(segment, at);
        }
    }
}

/* Every record is either whole and indexed, or empty. Returns how many were neither. */
static uint64_t pool_rebuild(struct shm_segment *segment, uint64_t high, uint8_t *bits)
{
    uint64_t broken = 0;

    shm_index_clear(segment);
    for (uint64_t at = 0; at < high; at++) {
        struct shm_user_record *record = shm_user_record_at(segment, at);
        const bool even = (shm_load(&record->sequence) & 1) == 0;

        if (even && record->user.id == 0) {
            shm_pool_give_user(segment, (uint32_t)at);
            continue;
        }
        if (!even || !pool_mark_chain(segment, record, bits)) {
            shm_user_wipe(record);
            shm_pool_give_user(segment, (uint32_t)at);
            broken++;
            continue;
        }
        shm_index_insert(segment, SHM_INDEX_ID, record->user.id, (uint32_t)at);
        if (record->user.telegram_id != 0) {
            shm_index_insert(segment, SHM_INDEX_TELEGRAM, record->user.telegram_id, (uint32_t)at);
        }
    }
    pool_collect(segment, bits);
    return broken;
}

bool shm_pool_attach(struct shm_segment *segment)
{
    struct shm_control *control = shm_control_of(segment);
    const uint64_t records = shm_region_records(segment, SHM_REGION_USERS);

    if (segment->users.attached) {
        return true;
    }
    if (control == NULL || !segment->writable) {
        return false;
    }

    const uint64_t known = shm_load(&control->users_high);
    const uint64_t high = known < records ? known : records;
    uint8_t *bits = calloc(shm_region_records(segment, SHM_REGION_POSITIONS) / 8 + 1, 1);
    if (bits == NULL) {
        return false;
    }
    const bool loaded = shm_users_loaded(segment);
    shm_users_set_loaded(segment, false);
    shm_store(&control->users_high, high);
    /* whoever was half-written is missing now, and only a fresh load brings them back */
    if (pool_rebuild(segment, high, bits) == 0) {
        shm_users_set_loaded(segment, loaded);
    }
    free(bits);
    segment->users.attached = true;
    return true;
}

void shm_pool_reset(struct shm_segment *segment)
{
    struct shm_users_writer *writer = &segment->users;

    free(writer->free_users);
    free(writer->free_positions);
    memset(writer, 0, sizeof(*writer));
}
