/*
 * One venue's market: which instruments it has, what they are called in the segment, and over which
 * connections they come.
 *
 * Promises: an instrument gets its slot before anything is asked for; channels share a connection
 * only where the venue serves them at the same address, and a connection never carries more
 * subscriptions than the venue allows; what does not fit is counted out in the log, not dropped
 * silently.
 */
#include "workerd/feed/feed_private.h"

#include "core/log.h"
#include "queries.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VENUE_READ_EMPTY_NS (2 * CLOCK_SECOND_NS) /* until there is anything to subscribe to */
#define VENUE_READ_NS (60 * CLOCK_SECOND_NS)      /* after that, for what was listed since */

static bool venue_target(const venue_adapter *adapter, enum venue_channel channel, char *target)
{
    if (adapter->stream_channel_target != NULL) {
        return adapter->stream_channel_target(channel, target, FEED_TARGET_MAX);
    }
    return adapter->stream_target != NULL &&
           adapter->stream_target(false, NULL, target, FEED_TARGET_MAX);
}

/* Puts channels with the same address together. */
static void venue_group_channels(feed_venue *venue)
{
    static const enum venue_channel channels[FEED_CHANNELS_MAX] = {
        VENUE_CHANNEL_BEST, VENUE_CHANNEL_TRADES, VENUE_CHANNEL_MARK};
    const bool derivatives =
        venue->adapter->market == VENUE_USDM || venue->adapter->market == VENUE_COINM;
    char target[FEED_TARGET_MAX];

    for (int i = 0; i < FEED_CHANNELS_MAX; i++) {
        uint32_t at = 0;

        if ((channels[i] == VENUE_CHANNEL_MARK && !derivatives) ||
            !venue_target(venue->adapter, channels[i], target)) {
            continue;
        }
        while (at < venue->group_count && strcmp(venue->groups[at].target, target) != 0) {
            at++;
        }
        struct feed_group *group = &venue->groups[at];
        if (at == venue->group_count) {
            venue->group_count++;
            memcpy(group->target, target, sizeof(target));
        }
        group->channels[group->channel_count++] = channels[i];
    }
}

/* Those that the segment knows from before, so that prices flow before Postgres is asked. */
static void venue_add_known(feed_venue *venue)
{
    char prefix[SHM_KEY_MAX], key[SHM_KEY_MAX];
    const int length =
        snprintf(prefix, sizeof(prefix), "%s:%s:", venue->config->venue, venue->config->market);

    for (uint32_t slot = 0; slot < shm_price_slots(venue->owner->segment); slot++) {
        if (shm_price_key(venue->owner->segment, slot, key) == SHM_READ_OK &&
            strncmp(key, prefix, (size_t)length) == 0) {
            feed_venue_add(venue, key + length, strlen(key + length));
        }
    }
}

feed_venue *feed_venue_new(feed *owner, const config_venue *config)
{
    enum venue_market market;
    const venue_adapter *adapter =
        venue_market_by_name(config->market, &market) ? venue_find(config->venue, market) : NULL;
    feed_venue *venue = adapter == NULL ? NULL : calloc(1, sizeof(*venue));

    if (venue == NULL || config->stream[0] == '\0' || adapter->stream_subscribe == NULL ||
        adapter->stream_parse == NULL) {
        log_event(LOG_WARN, "feed.no_stream", "venue", LOG_TEXT(config->venue), "market",
                  LOG_TEXT(config->market), NULL);
        free(venue);
        return NULL;
    }
    venue->owner = owner;
    venue->config = config;
    venue->adapter = adapter;
    venue_group_channels(venue);
    if (!feed_table_init(&venue->table, (uint32_t)owner->config->shm_instruments)) {
        free(venue);
        return NULL;
    }
    venue_add_known(venue);
    return venue;
}

void feed_venue_free(feed_venue *venue)
{
    for (uint32_t i = 0; i < venue->stream_count; i++) {
        feed_stream_free(venue->streams[i]);
    }
    feed_table_free(&venue->table);
    free(venue);
}

/* Into a stream of the group that has room, or a new one. */
static bool venue_subscribe(feed_venue *venue, uint32_t group, uint32_t position)
{
    for (uint32_t i = 0; i < venue->stream_count; i++) {
        if (venue->streams[i]->group == group && feed_stream_add(venue->streams[i], position)) {
            return true;
        }
    }
    if (venue->stream_count == FEED_STREAMS_MAX) {
        return false;
    }
    feed_stream *stream = feed_stream_new(venue, group);
    if (stream == NULL) {
        return false;
    }
    venue->streams[venue->stream_count++] = stream;
    return feed_stream_add(stream, position);
}

bool feed_venue_add(feed_venue *venue, const char *symbol, size_t length)
{
    shm_segment *segment = venue->owner->segment;
    char key[SHM_KEY_MAX];
    uint32_t slot, position;

    if (feed_table_find(&venue->table, symbol, length) != NULL) {
        return true;
    }
    const int key_length = snprintf(key, sizeof(key), "%s:%s:%.*s", venue->config->venue,
                                    venue->config->market, (int)length, symbol);
    if (key_length >= (int)sizeof(key) ||
        !shm_price_claim(segment, key, (size_t)key_length, &slot) ||
        !feed_table_add(&venue->table, symbol, length, slot, &position)) {
        return false;
    }
    feed_instrument_restore(segment, &venue->table.instruments[position],
                            (1U << venue->group_count) - 1);
    for (uint32_t group = 0; group < venue->group_count; group++) {
        if (!venue_subscribe(venue, group, position)) {
            return false;
        }
    }
    return true;
}

static void on_instruments(void *context, const net_pg_answer *answer)
{
    feed_venue *venue = context;
    int64_t left_out = 0;

    venue->asking = false;
    if (venue->owner->stopping) {
        return;
    }
    if (answer->outcome != NET_PG_DONE) {
        log_event(LOG_WARN, "feed.instruments", "venue", LOG_TEXT(venue->config->venue), "error",
                  LOG_TEXT(answer->message == NULL ? "not connected" : answer->message), NULL);
        return;
    }
    const PGresult *rows = answer->results[0];
    for (int row = 0; row < PQntuples(rows); row++) {
        const char *symbol = net_pg_value(rows, row, 0);
        left_out += symbol != NULL && !feed_venue_add(venue, symbol, strlen(symbol));
    }
    if (left_out > 0 && !venue->full_told) {
        log_event(LOG_WARN, "feed.full", "venue", LOG_TEXT(venue->config->venue), "left_out",
                  LOG_INT(left_out), NULL);
        venue->full_told = true;
    }
    if (venue->table.count > 0) {
        venue->read_at_ns = clock_monotonic_ns() + VENUE_READ_NS;
    }
}

static void venue_ask(feed_venue *venue, int64_t now_ns)
{
    net_pg_unit *unit;

    if (venue->asking || now_ns < venue->read_at_ns || !net_pg_connected(venue->owner->pg)) {
        return;
    }
    venue->read_at_ns = now_ns + VENUE_READ_EMPTY_NS;
    unit = net_pg_unit_new(false);
    net_pg_statement(unit, query_feed_instruments);
    net_pg_text(unit, venue->config->venue);
    net_pg_text(unit, venue->config->market);
    venue->asking = net_pg_run(venue->owner->pg, unit, on_instruments, venue);
}

void feed_venue_turn(feed_venue *venue, int64_t now_ns)
{
    venue_ask(venue, now_ns);
    for (uint32_t i = 0; i < venue->stream_count; i++) {
        feed_stream_turn(venue->streams[i], now_ns);
    }
}

void feed_venue_stop(feed_venue *venue)
{
    for (uint32_t i = 0; i < venue->stream_count; i++) {
        feed_stream_stop(venue->streams[i]);
    }
}
