/*
 * A set of subscriptions that stays connected: reconnection with backoff, and a second connection
 * beside the first where that is silent, nears the age at which the venue cuts it, or was asked to
 * go.
 *
 * Promises: at most two connections; the first retry comes at once, later ones after 1, 2, 4 … 60 s
 * with jitter; a planned replacement leaves no gap; while there is no connection every price of the
 * set says that it is disconnected.
 */
#include "workerd/feed/feed_private.h"

#include "core/crypto.h"
#include "core/log.h"

#include <stdlib.h>

#define STREAM_FIRST_RETRY_NS (50 * CLOCK_MS_NS)
#define STREAM_STEADY_NS                                                                           \
    (5 * CLOCK_SECOND_NS)     /* fed for so long: failures before it are forgotten */
#define STREAM_PATIENCE_MAX 4 /* silence allowed: up to 16 times the directive */

feed_stream *feed_stream_new(feed_venue *venue, uint32_t group)
{
    const int limit = venue->adapter->public_rules.subscriptions_max;
    const size_t subscriptions = limit > 0 ? (size_t)limit : FEED_SUBSCRIPTIONS_DEFAULT;
    const size_t symbols = subscriptions / venue->groups[group].channel_count;
    feed_stream *stream = calloc(1, sizeof(*stream));

    if (stream == NULL) {
        return NULL;
    }
    stream->venue = venue;
    stream->group = group;
    stream->capacity = symbols > 0 ? (uint32_t)symbols : 1;
    stream->positions = calloc(stream->capacity, sizeof(*stream->positions));
    if (stream->positions == NULL) {
        free(stream);
        return NULL;
    }
    return stream;
}

void feed_stream_free(feed_stream *stream)
{
    free(stream->positions);
    free(stream);
}

bool feed_stream_add(feed_stream *stream, uint32_t position)
{
    if (stream->count == stream->capacity) {
        return false;
    }
    stream->positions[stream->count++] = position;
    return true;
}

static void stream_down(const feed_stream *stream)
{
    for (uint32_t i = 0; i < stream->count; i++) {
        feed_instrument_down(stream->venue->owner->segment,
                             &stream->venue->table.instruments[stream->positions[i]],
                             stream->group);
    }
}

/* A quarter more or less, so that streams which failed together do not come back together. */
static int64_t stream_jitter(int64_t delay_ns)
{
    uint16_t random = 0;

    crypto_random(&random, sizeof(random));
    return delay_ns * 3 / 4 + delay_ns / 2 * random / UINT16_MAX;
}

static void stream_retry_later(feed_stream *stream)
{
    int64_t delay_ns = STREAM_FIRST_RETRY_NS;

    if (stream->attempts > 0) {
        const unsigned doublings = stream->attempts - 1 < 6 ? stream->attempts - 1 : 6;
        delay_ns = CLOCK_SECOND_NS << doublings;
        delay_ns = delay_ns < FEED_RETRY_MAX_NS ? delay_ns : FEED_RETRY_MAX_NS;
    }
    stream->attempts++;
    stream->retry_at_ns = clock_monotonic_ns() + stream_jitter(delay_ns);
}

static feed_link *stream_open(feed_stream *stream)
{
    feed *owner = stream->venue->owner;
    feed_link *link = feed_link_open(stream);

    if (stream->connected_before) {
        shm_count(owner->process, SHM_feed_reconnects_total, 1);
    }
    stream->connected_before = true;
    if (link == NULL) {
        stream_retry_later(stream);
    }
    return link;
}

void feed_stream_replace(feed_stream *stream, const char *reason)
{
    if (stream->replacement != NULL || stream->active == NULL ||
        clock_monotonic_ns() < stream->retry_at_ns) {
        return;
    }
    log_event(LOG_INFO, "feed.replace", "venue", LOG_TEXT(stream->venue->config->venue), "target",
              LOG_TEXT(stream->venue->groups[stream->group].target), "reason", LOG_TEXT(reason),
              NULL);
    stream->replacement = stream_open(stream);
}

/* The replacement feeds: from here on it is the one. */
static void stream_switch(feed_stream *stream)
{
    feed_link *old = stream->active;

    stream->active = stream->replacement;
    stream->replacement = NULL;
    stream->silent = false;
    feed_link_abandon(old, "replaced");
}

static void stream_watch(feed_stream *stream, int64_t now_ns)
{
    feed *owner = stream->venue->owner;
    const venue_stream_rules *rules = &stream->venue->adapter->public_rules;
    const feed_link *active = stream->active;
    const int64_t silence_ns = owner->config->feed_silence_ns << stream->patience;

    if (active->last_data_ns > active->opened_ns) {
        stream->patience = 0;
        if (now_ns - active->opened_ns > STREAM_STEADY_NS) {
            stream->attempts = 0;
        }
    }
    if (now_ns < stream->retry_at_ns || active->subscribed == 0) {
        return;
    }
    if (now_ns - active->last_data_ns > silence_ns) {
        stream->silent = true;
        stream->patience += stream->patience < STREAM_PATIENCE_MAX;
        shm_count(owner->process, SHM_feed_silences_total, 1);
        feed_stream_replace(stream, "silent");
    } else if (rules->lifetime_ns > 0 &&
               now_ns - active->opened_ns > rules->lifetime_ns - FEED_RETRY_MAX_NS) {
        feed_stream_replace(stream, "old");
    }
}

void feed_stream_turn(feed_stream *stream, int64_t now_ns)
{
    if (stream->active == NULL) {
        if (stream->count > 0 && now_ns >= stream->retry_at_ns) {
            stream->active = stream_open(stream);
        }
        return;
    }
    feed_link_turn(stream->active, now_ns);
    if (stream->replacement != NULL) {
        feed_link_turn(stream->replacement, now_ns);
        if (feed_link_settled(stream->replacement, now_ns)) {
            stream_switch(stream);
        }
    } else if (stream->active->open) {
        stream_watch(stream, now_ns);
    }
}

void feed_stream_closed(feed_stream *stream, feed_link *link, const char *reason)
{
    const bool was_open = link->open;

    log_event(LOG_WARN, "feed.closed", "venue", LOG_TEXT(stream->venue->config->venue), "target",
              LOG_TEXT(stream->venue->groups[stream->group].target), "reason", LOG_TEXT(reason),
              NULL);
    if (link == stream->replacement) {
        stream->replacement = NULL;
        stream_retry_later(stream);
        if (stream->silent) {
            /* silent, and there is no other: that is down, and reconnecting is all that is left */
            feed_link *active = stream->active;
            stream->silent = false;
            stream->active = NULL;
            stream_down(stream);
            feed_link_abandon(active, "silent");
        }
        return;
    }

    stream->active = stream->replacement;
    stream->replacement = NULL;
    stream->silent = false;
    if (stream->active == NULL || !stream->active->open) {
        if (was_open) {
            stream_down(stream);
        }
    }
    if (stream->active == NULL) {
        stream_retry_later(stream);
    }
}

void feed_stream_stop(feed_stream *stream)
{
    if (stream->replacement != NULL) {
        feed_link_abandon(stream->replacement, "ending");
    }
    if (stream->active != NULL) {
        feed_link_abandon(stream->active, "ending");
    }
    stream->active = stream->replacement = NULL;
    stream_down(stream);
}
