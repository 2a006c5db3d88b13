/*
 * From one websocket frame to one price in the segment. Pure: no I/O but the segment, no clock, no
 * allocation. What a connection needs to know of its instruments is here as well.
 */
#ifndef WHALE_FEED_TICK_H
#define WHALE_FEED_TICK_H

#include "shm/shm.h"
#include "venues/binance/binance_tick.h"
#include "venues/venue.h"

/* Without the venue's own mark for this long, the mid stands in for it. */
#define FEED_MARK_AGE_NS (10LL * 1000000000LL)
/* Ids that stay behind for this long, with none ahead between them, were numbered anew. */
#define FEED_RENUMBERED_NS (2LL * 1000000000LL)

/* Drops what is older than what was seen, from a slower connection or a replayed message. */
struct feed_guard {
    uint64_t last;
    int64_t behind_since_ns; /* 0: it is not behind */
};

struct feed_instrument {
    char symbol[VENUE_SYMBOL_MAX];
    uint8_t symbol_length;
    uint32_t slot;
    uint32_t down; /* bit per group of channels whose stream does not tell of it now */
    struct feed_guard best, trade, mark;
    int64_t mark_ns; /* receive time of the venue's own mark; 0: none yet */
    shm_price price; /* as last published */
};

/* The instruments of one venue's market, by symbol. */
typedef struct {
    struct feed_instrument *instruments;
    uint32_t *index; /* open addressing: instrument + 1, or 0 */
    uint32_t count, capacity, index_mask;
} feed_table;

bool feed_table_init(feed_table *table, uint32_t capacity);
void feed_table_free(feed_table *table);
/* False: full, or the symbol is too long. Known already: its position, with the slot it had. */
bool feed_table_add(feed_table *table, const char *symbol, size_t length, uint32_t slot,
                    uint32_t *position);
struct feed_instrument *feed_table_find(const feed_table *table, const char *symbol, size_t length);

typedef enum binance_tick_result (*feed_scanner)(const char *frame, size_t length,
                                                 struct binance_tick *out);

/* Where frames come from. */
struct feed_source {
    shm_segment *segment;
    feed_table *table;
    const venue_adapter *adapter;
    feed_scanner scan; /* for the hot messages; NULL where the venue has none */
    uint32_t group;    /* of channels, a number below 32 */
};

/* The scanner of a venue's hot messages, or NULL. */
feed_scanner feed_scanner_of(const venue_adapter *adapter);

enum feed_outcome {
    FEED_PUBLISHED,
    FEED_OLD,     /* older than what is known */
    FEED_NOTHING, /* nothing of interest, or an instrument that nobody asked for */
    FEED_UNREADABLE,
    FEED_CONTROL, /* no price: `event` says what */
};

/* One frame. `event` is written only where the scanner left the frame to the adapter's parser. */
enum feed_outcome feed_tick(const struct feed_source *source, const char *frame, size_t length,
                            int64_t now_ns, venue_event *event);

/* Takes what the segment knows of the instrument from before; marked as disconnected. */
void feed_instrument_restore(shm_segment *segment, struct feed_instrument *instrument,
                             uint32_t groups);
/* The stream of this group is gone. */
void feed_instrument_down(shm_segment *segment, struct feed_instrument *instrument, uint32_t group);

#endif
