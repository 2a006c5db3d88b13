/*
 * Instruments by symbol: looked up once a frame, so the hash takes a symbol in two loads.
 *
 * Promises: positions are stable; the table never grows beyond the capacity it was made with, and
 * is at most half full.
 */
#include "workerd/feed/feed_tick.h"

#include <stdlib.h>
#include <string.h>

static uint64_t feed_word(const char *text, size_t bytes)
{
    uint64_t word = 0;

    memcpy(&word, text, bytes);
    return word;
}

/* First and last bytes, which may overlap: of symbols this short that is all of them. */
static uint64_t feed_hash(const char *symbol, size_t length)
{
    uint64_t first, last, hash;

    if (length >= 8) {
        first = feed_word(symbol, 8);
        last = feed_word(symbol + length - 8, 8);
    } else if (length >= 4) {
        first = feed_word(symbol, 4);
        last = feed_word(symbol + length - 4, 4);
    } else {
        first = length > 0 ? (unsigned char)symbol[0] : 0;
        last = length > 0
                   ? feed_word(symbol + length - 1, 1) | feed_word(symbol + length / 2, 1) << 8
                   : 0;
    }
    hash = first * 0x9e3779b97f4a7c15ULL + (last ^ length) * 0xbf58476d1ce4e5b9ULL;
    /* long ones (Polymarket's token ids are 77 digits) differ in the middle, too */
    for (size_t at = 8; at + 8 < length; at += 8) {
        hash = (hash ^ feed_word(symbol + at, 8)) * 0x94d049bb133111ebULL;
    }
    hash ^= hash >> 32;
    return hash * 0x9e3779b97f4a7c15ULL >> 20;
}

bool feed_table_init(feed_table *table, uint32_t capacity)
{
    uint32_t slots = 16;

    while (slots < capacity * 2) {
        slots *= 2;
    }
    table->instruments = calloc(capacity, sizeof(*table->instruments));
    table->index = calloc(slots, sizeof(*table->index));
    table->count = 0;
    table->capacity = capacity;
    table->index_mask = slots - 1;
    if (table->instruments == NULL || table->index == NULL) {
        feed_table_free(table);
        return false;
    }
    return true;
}

void feed_table_free(feed_table *table)
{
    free(table->instruments);
    free(table->index);
    memset(table, 0, sizeof(*table));
}

/* The symbol's entry, or the free one where it would go. Half of them are free, so this ends. */
static uint32_t *feed_table_entry(const feed_table *table, const char *symbol, size_t length)
{
    uint64_t at = feed_hash(symbol, length) & table->index_mask;

    for (;; at = (at + 1) & table->index_mask) {
        uint32_t *entry = &table->index[at];

        if (*entry == 0) {
            return entry;
        }
        const struct feed_instrument *instrument = &table->instruments[*entry - 1];
        if (instrument->symbol_length == length &&
            memcmp(instrument->symbol, symbol, length) == 0) {
            return entry;
        }
    }
}

struct feed_instrument *feed_table_find(const feed_table *table, const char *symbol, size_t length)
{
    const uint32_t entry = *feed_table_entry(table, symbol, length);

    return entry == 0 ? NULL : &table->instruments[entry - 1];
}

bool feed_table_add(feed_table *table, const char *symbol, size_t length, uint32_t slot,
                    uint32_t *position)
{
    if (length == 0 || length >= VENUE_SYMBOL_MAX) {
        return false;
    }

    uint32_t *entry = feed_table_entry(table, symbol, length);
    if (*entry == 0) {
        if (table->count == table->capacity) {
            return false;
        }
        struct feed_instrument *instrument = &table->instruments[table->count];
        memcpy(instrument->symbol, symbol, length);
        instrument->symbol_length = (uint8_t)length;
        instrument->slot = slot;
        *entry = ++table->count;
    }
    *position = *entry - 1;
    return true;
}
