/*
 * The parts of the feed role.
 *
 *   feed_tick.c    a frame -> a price in the segment (pure)
 *   feed_table.c   instruments by symbol
 *   feed_link.c    one connection: subscribes, hands frames over, ends
 *   feed_stream.c  keeps one set of subscriptions connected: backoff, silence, replacement
 *   feed_venue.c   one venue's market: its instruments, spread over streams
 *   feed_role.c    the process
 */
#ifndef WHALE_FEED_PRIVATE_H
#define WHALE_FEED_PRIVATE_H

#include "core/clock.h"
#include "workerd/feed/feed_tick.h"
#include "workerd/net/net_loop.h"
#include "workerd/net/net_pg.h"
#include "workerd/net/net_ws.h"

#define FEED_TURN_MS 100               /* how often streams are looked after */
#define FEED_CHANNELS_MAX 3            /* best, trades, marks */
#define FEED_SUBSCRIPTIONS_DEFAULT 200 /* of a connection, where a venue names no limit */
#define FEED_STREAMS_MAX 64            /* of a venue's market */
#define FEED_TARGET_MAX 192
#define FEED_FRAME_MAX 8192 /* a subscribe frame */
#define FEED_CONNECT_TIMEOUT_NS (10 * CLOCK_SECOND_NS)
#define FEED_RETRY_MAX_NS (60 * CLOCK_SECOND_NS)

typedef struct feed feed;
typedef struct feed_venue feed_venue;
typedef struct feed_stream feed_stream;
typedef struct feed_link feed_link;

/* Channels that may share a connection, because they are served at the same address. */
struct feed_group {
    char target[FEED_TARGET_MAX];
    enum venue_channel channels[FEED_CHANNELS_MAX];
    size_t channel_count;
};

struct feed_link {
    feed_stream *stream; /* NULL: given up, and only waiting for its end */
    feed *owner;
    net_ws *ws;
    bool open;
    bool heard;          /* data since the last turn: a clock for each frame would be too dear */
    uint32_t subscribed; /* of the stream's instruments */
    int64_t opened_ns, last_data_ns, subscribe_at_ns, ping_at_ns; /* monotonic */
    struct feed_source source;
};

struct feed_stream {
    feed_venue *venue;
    uint32_t group;
    uint32_t *positions; /* in the venue's table */
    uint32_t count, capacity;
    feed_link *active;      /* feeds, or is being opened */
    feed_link *replacement; /* opened beside an active one that is silent or old */
    bool connected_before;
    bool silent;         /* why there is a replacement */
    unsigned attempts;   /* failed in a row */
    unsigned patience;   /* the silence allowed, doubled this often: nothing may be happening */
    int64_t retry_at_ns; /* monotonic */
};

struct feed_venue {
    feed *owner;
    const config_venue *config;
    const venue_adapter *adapter;
    feed_table table;
    struct feed_group groups[FEED_CHANNELS_MAX];
    uint32_t group_count;
    feed_stream *streams[FEED_STREAMS_MAX];
    uint32_t stream_count;
    int64_t request_id;
    int64_t read_at_ns; /* monotonic: when to ask Postgres for its instruments */
    bool asking;
    bool full_told; /* the log has it that not all instruments fitted */
};

struct feed {
    const whale_config *config;
    net_loop *loop;
    shm_segment *segment;
    shm_process *process;
    net_pg *pg;
    feed_venue *venues[CONFIG_VENUES_MAX];
    size_t venue_count;
    size_t links; /* that have not ended yet */
    uv_timer_t turn;
    uv_prepare_t before_wait;
    bool stopping;
    int64_t now_ns;                   /* wall clock of this turn of the loop; 0: look again */
    uint64_t frames, ticks, rejected; /* not yet in the counters */
    venue_event event;
};

/* Wall clock, read once for what arrived together. */
int64_t feed_now(feed *owner);

/* feed_link.c: NULL where it cannot even be tried. */
feed_link *feed_link_open(feed_stream *stream);
void feed_link_turn(feed_link *link, int64_t now_ns);
bool feed_link_settled(const feed_link *link,
                       int64_t now_ns); /* everything asked for, and it feeds */
/* The stream does not hear of it again. */
void feed_link_abandon(feed_link *link, const char *reason);

/* feed_stream.c */
feed_stream *feed_stream_new(feed_venue *venue, uint32_t group);
void feed_stream_free(feed_stream *stream);
bool feed_stream_add(feed_stream *stream, uint32_t position); /* false: it is full */
void feed_stream_turn(feed_stream *stream, int64_t now_ns);
void feed_stream_replace(feed_stream *stream, const char *reason);
void feed_stream_closed(feed_stream *stream, feed_link *link, const char *reason);
void feed_stream_stop(feed_stream *stream);

/* feed_venue.c: NULL where there is no adapter for it. */
feed_venue *feed_venue_new(feed *owner, const config_venue *config);
void feed_venue_free(feed_venue *venue);
bool feed_venue_add(feed_venue *venue, const char *symbol, size_t length);
void feed_venue_turn(feed_venue *venue, int64_t now_ns);
void feed_venue_stop(feed_venue *venue);

/* feed_role.c */
void feed_link_ended(feed *owner);

#endif
