/*
 * The feed role: websockets of every configured venue -> prices in the segment
 * (docs/ARCHITECTURE.md). The only writer of prices.
 *
 * Promises: never waits for anything; what it knew is served, marked as disconnected, from the
 * moment it starts; Postgres is only asked which instruments there are, and without it those of
 * before are fed.
 */
#include "workerd/feed/feed_private.h"

#include "core/log.h"
#include "workerd/role.h"

#include <stdlib.h>

/* A burst in one turn of the loop is no longer than this many frames on one reading of the clock.
 */
#define FEED_CLOCK_FRAMES 32

int64_t feed_now(feed *owner)
{
    if (owner->now_ns == 0 || owner->frames % FEED_CLOCK_FRAMES == 0) {
        owner->now_ns = clock_now_ns();
    }
    return owner->now_ns;
}

static void on_before_wait(uv_prepare_t *prepare)
{
    ((feed *)prepare->data)->now_ns = 0;
}

/* Atomic additions a few times a second instead of three for each frame. */
static void feed_flush_counters(feed *owner)
{
    shm_count(owner->process, SHM_feed_ticks_total, owner->ticks);
    shm_count(owner->process, SHM_feed_frames_total, owner->frames);
    shm_count(owner->process, SHM_feed_rejected_total, owner->rejected);
    owner->ticks = owner->frames = owner->rejected = 0;
}

static void on_turn(uv_timer_t *timer)
{
    feed *owner = timer->data;
    const int64_t now_ns = clock_monotonic_ns();

    for (size_t i = 0; i < owner->venue_count; i++) {
        feed_venue_turn(owner->venues[i], now_ns);
    }
    feed_flush_counters(owner);
}

static void feed_stop_if_ended(feed *owner)
{
    if (owner->stopping && owner->links == 0) {
        feed_flush_counters(owner);
        net_loop_stop(owner->loop, 0);
    }
}

void feed_link_ended(feed *owner)
{
    owner->links--;
    feed_stop_if_ended(owner);
}

static void on_stopping(void *context)
{
    feed *owner = context;

    owner->stopping = true;
    uv_close((uv_handle_t *)&owner->turn, NULL);
    uv_close((uv_handle_t *)&owner->before_wait, NULL);
    for (size_t i = 0; i < owner->venue_count; i++) {
        feed_venue_stop(owner->venues[i]);
    }
    net_pg_close(owner->pg);
    feed_stop_if_ended(owner);
}

static bool feed_start(feed *owner)
{
    uv_loop_t *uv = net_loop_uv(owner->loop);
    const net_pg_options options = {.conninfo = owner->config->database,
                                    .password_file = owner->config->database_password_file,
                                    .application_name = "whale feed"};

    owner->segment = net_loop_segment(owner->loop);
    owner->process = net_loop_process(owner->loop);
    owner->pg = net_pg_new(uv, &options);
    if (owner->pg == NULL) {
        log_event(LOG_ERROR, "feed.start", "error", LOG_TEXT("out of memory"), NULL);
        return false;
    }
    for (size_t i = 0; i < owner->config->venue_count; i++) {
        feed_venue *venue = feed_venue_new(owner, &owner->config->venues[i]);
        if (venue != NULL) {
            owner->venues[owner->venue_count++] = venue;
        }
    }
    owner->turn.data = owner->before_wait.data = owner;
    uv_timer_init(uv, &owner->turn);
    uv_prepare_init(uv, &owner->before_wait);
    uv_timer_start(&owner->turn, on_turn, 0, FEED_TURN_MS);
    uv_prepare_start(&owner->before_wait, on_before_wait);
    return true;
}

int feed_role_run(const role_context *context)
{
    feed *owner = calloc(1, sizeof(*owner));
    int status = EXIT_FAILURE;

    if (owner == NULL) {
        return status;
    }
    owner->config = context->config;
    owner->loop = net_loop_new(context, SHM_ROLE_FEED, on_stopping, owner);
    if (owner->loop == NULL) {
        free(owner);
        return status;
    }
    if (feed_start(owner)) {
        status = net_loop_run(owner->loop);
    }
    net_loop_free(owner->loop);
    for (size_t i = 0; i < owner->venue_count; i++) {
        feed_venue_free(owner->venues[i]);
    }
    free(owner);
    return status;
}
