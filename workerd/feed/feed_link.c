/*
 * One connection to a venue's market data: opens, subscribes at the pace that the venue allows,
 * keeps alive, hands frames to feed_tick(), and ends.
 *
 * Promises: a frame costs no allocation; whatever the peer sends is counted, at most; the stream
 * hears of the end exactly once, unless it gave the link up before.
 */
#include "workerd/feed/feed_private.h"

#include "core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINK_SYMBOLS_MAX 256 /* of a subscribe frame, whatever else limits it */
#define LINK_SAMPLE 64       /* one frame in this many is timed */
#define LINK_QUIET_OK_NS                                                                           \
    (5 * CLOCK_SECOND_NS) /* after this an open link counts without data, too */

static void link_control(feed_link *link, const venue_event *event)
{
    feed_stream *stream = link->stream;

    if (event->kind == VENUE_EVENT_ACK && event->code != 0) {
        link->owner->rejected++;
        log_event(LOG_WARN, "feed.refused", "venue", LOG_TEXT(stream->venue->config->venue), "code",
                  LOG_INT(event->code), NULL);
    }
    if (event->kind == VENUE_EVENT_RECONNECT) {
        feed_stream_replace(stream, "the venue asked for it");
    }
}

static void link_frame(feed_link *link, const char *data, size_t length)
{
    feed *owner = link->owner;
    const enum feed_outcome outcome =
        feed_tick(&link->source, data, length, feed_now(owner), &owner->event);

    switch (outcome) {
    case FEED_PUBLISHED:
        owner->ticks++;
        link->heard = true;
        break;
    case FEED_OLD:
    case FEED_NOTHING:
        link->heard = true;
        break;
    case FEED_UNREADABLE:
        owner->rejected++;
        break;
    case FEED_CONTROL:
        link_control(link, &owner->event);
        break;
    }
}

static void on_message(void *context, const char *data, size_t length, bool text)
{
    feed_link *link = context;
    feed *owner = link->owner;

    (void)text;
    owner->frames++;
    if (link->stream == NULL) {
        return; /* given up; the one in its place feeds */
    }
    if (owner->frames % LINK_SAMPLE != 0) {
        link_frame(link, data, length);
        return;
    }
    const int64_t start_ns = clock_monotonic_ns();
    link_frame(link, data, length);
    shm_observe(owner->process, SHM_feed_tick_seconds, clock_monotonic_ns() - start_ns);
}

/* One frame of subscriptions. What the adapter cannot ask for is passed over. */
static void link_subscribe(feed_link *link, int64_t now_ns)
{
    const feed_stream *stream = link->stream;
    feed_venue *venue = stream->venue;
    const struct feed_group *group = &venue->groups[stream->group];
    const int per_second = venue->adapter->public_rules.messages_per_second;
    const char *symbols[LINK_SYMBOLS_MAX];
    char frame[FEED_FRAME_MAX];
    size_t count = 0, length = 0, taken;

    while (count < LINK_SYMBOLS_MAX && link->subscribed + count < stream->count) {
        symbols[count] =
            venue->table.instruments[stream->positions[link->subscribed + count]].symbol;
        count++;
    }
    if (count == 0) {
        return;
    }
    taken = venue->adapter->stream_subscribe(symbols, count, group->channels, group->channel_count,
                                             ++venue->request_id, frame, sizeof(frame), &length);
    if (taken == 0) {
        log_event(LOG_WARN, "feed.not_subscribed", "venue", LOG_TEXT(venue->config->venue),
                  "symbol", LOG_TEXT(symbols[0]), NULL);
        taken = 1;
    } else if (!net_ws_send_text(link->ws, frame, length)) {
        taken = 0; /* unsent bytes pile up: again in the next turn */
    }
    link->subscribed += (uint32_t)taken;
    link->subscribe_at_ns = now_ns + CLOCK_SECOND_NS / (per_second > 0 ? per_second : 10);
}

static void on_opened(void *context)
{
    feed_link *link = context;
    const int64_t now_ns = clock_monotonic_ns();

    if (link->stream == NULL) {
        return;
    }
    link->open = true;
    link->opened_ns = link->last_data_ns = now_ns;
    link->ping_at_ns = now_ns + link->source.adapter->public_rules.ping_every_ns;
    link_subscribe(link, now_ns);
}

static void on_closed(void *context, const char *reason)
{
    feed_link *link = context;
    feed *owner = link->owner;

    link->ws = NULL;
    if (link->stream != NULL) {
        feed_stream_closed(link->stream, link, reason);
    }
    free(link);
    feed_link_ended(owner);
}

feed_link *feed_link_open(feed_stream *stream)
{
    static const net_ws_events events = {
        .opened = on_opened, .message = on_message, .closed = on_closed};
    feed_venue *venue = stream->venue;
    feed *owner = venue->owner;
    char url[sizeof(venue->config->stream) + FEED_TARGET_MAX];
    const net_ws_options options = {.url = url, .connect_timeout_ns = FEED_CONNECT_TIMEOUT_NS};
    feed_link *link = calloc(1, sizeof(*link));

    if (link == NULL) {
        return NULL;
    }
    snprintf(url, sizeof(url), "%s%s", venue->config->stream, venue->groups[stream->group].target);
    link->stream = stream;
    link->owner = owner;
    link->source = (struct feed_source){.segment = owner->segment,
                                        .table = &venue->table,
                                        .adapter = venue->adapter,
                                        .scan = feed_scanner_of(venue->adapter),
                                        .group = stream->group};
    link->ws = net_ws_open(net_loop_uv(owner->loop), &options, &events, link);
    if (link->ws == NULL) {
        free(link);
        return NULL;
    }
    owner->links++;
    return link;
}

static void link_ping(feed_link *link, int64_t now_ns)
{
    const venue_stream_rules *rules = &link->source.adapter->public_rules;

    if (rules->keepalive != VENUE_PING_FROM_SERVER && rules->ping != NULL &&
        rules->ping_every_ns > 0 && now_ns >= link->ping_at_ns) {
        net_ws_send_text(link->ws, rules->ping, strlen(rules->ping));
        link->ping_at_ns = now_ns + rules->ping_every_ns;
    }
}

void feed_link_turn(feed_link *link, int64_t now_ns)
{
    if (!link->open) {
        return;
    }
    if (link->heard) {
        link->heard = false;
        link->last_data_ns = now_ns;
    }
    if (link->subscribed < link->stream->count && now_ns >= link->subscribe_at_ns) {
        link_subscribe(link, now_ns);
    }
    link_ping(link, now_ns);
}

bool feed_link_settled(const feed_link *link, int64_t now_ns)
{
    return link->open && link->subscribed >= link->stream->count &&
           (link->last_data_ns > link->opened_ns || now_ns - link->opened_ns > LINK_QUIET_OK_NS);
}

void feed_link_abandon(feed_link *link, const char *reason)
{
    link->stream = NULL;
    link->open = false;
    net_ws_close(link->ws, reason);
}
