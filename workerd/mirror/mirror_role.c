/*
 * The mirror role: Postgres into shared memory (docs/ARCHITECTURE.md). The only writer of users,
 * signals and whales.
 *
 * Promises: what the segment shows of a user is one moment of Postgres, at most MIRROR_POLL_MS plus
 * the oldest running transaction behind it; until everybody is loaded, and when Postgres was out of
 * sight for SHM_STALE_SERVED_NS, the segment says that it does not know, and readers ask Postgres.
 */
#include "workerd/mirror/mirror_private.h"

#include "core/log.h"
#include "workerd/role.h"

#include <stdlib.h>
#include <string.h>

/* Changes are kept for an hour; who did not follow for half of it starts again. */
static bool must_load(const mirror *state)
{
    return !state->have_cursor || (state->all_read && clock_monotonic_ns() - state->last_round_ns >
                                                          MIRROR_RELOAD_AFTER_NS);
}

static void on_notified(void *owner, const char *channel, const char *payload)
{
    mirror *state = owner;

    (void)channel; /* NULL after a reconnection: what was notified meanwhile is not told again */
    (void)payload;
    if (must_load(state)) {
        mirror_load(state);
    } else {
        mirror_follow(state);
    }
}

static void on_poll(uv_timer_t *timer)
{
    mirror *state = timer->data;

    if (state->busy || !net_pg_connected(state->pg)) {
        return;
    }
    if (must_load(state)) {
        mirror_load(state);
    } else {
        mirror_follow(state);
    }
}

static void whales_done(mirror *state, bool good)
{
    (void)good;
    mirror_done(state);
}

static void on_tick(uv_timer_t *timer)
{
    mirror *state = timer->data;
    const int64_t blind_ns = clock_monotonic_ns() - state->last_round_ns;

    state->ticks++;
    if (state->loaded && blind_ns > SHM_STALE_SERVED_NS) {
        state->loaded = false;
        shm_users_set_loaded(state->segment, false);
        log_event(LOG_ERROR, "mirror.blind", "for_ms", LOG_INT(blind_ns / CLOCK_MS_NS), NULL);
    }
    mirror_prune(state);
    if (state->ticks % MIRROR_FLOOR_TICKS == 0) {
        mirror_floor(state);
    }
    mirror_wait_look(state);
    if (state->ticks % MIRROR_WHALES_EVERY_TICKS == 0 && !state->busy && state->all_read) {
        state->busy = true;
        mirror_whales_put(state, whales_done);
    }
}

static void on_stopping(void *owner)
{
    mirror *state = owner;

    state->stopping = true;
    uv_close((uv_handle_t *)&state->poll, NULL);
    uv_close((uv_handle_t *)&state->tick, NULL);
    net_pg_close(state->pg);
    net_loop_stop(state->loop, EXIT_SUCCESS);
}

static bool start(mirror *state)
{
    static const char *const channels[] = {"whale_changes", NULL};
    const net_pg_options options = {
        .conninfo = state->config->database,
        .password_file = state->config->database_password_file,
        .application_name = "whale-mirror",
        .listen = channels,
        .notified = on_notified,
        .owner = state,
    };
    uv_loop_t *uv = net_loop_uv(state->loop);

    state->segment = net_loop_segment(state->loop);
    state->process = net_loop_process(state->loop);
    state->last_round_ns = clock_monotonic_ns();
    state->pg = net_pg_new(uv, &options);
    if (state->pg == NULL) {
        return false;
    }
    state->poll.data = state->tick.data = state;
    uv_timer_init(uv, &state->poll);
    uv_timer_init(uv, &state->tick);
    return uv_timer_start(&state->poll, on_poll, MIRROR_POLL_MS, MIRROR_POLL_MS) == 0 &&
           uv_timer_start(&state->tick, on_tick, MIRROR_TICK_MS, MIRROR_TICK_MS) == 0;
}

int mirror_role_run(const role_context *context)
{
    mirror *state = calloc(1, sizeof(*state));
    int status = EXIT_FAILURE;

    if (state != NULL) {
        state->config = context->config;
        state->page = malloc((size_t)2 * SHM_WHALES_TEXT_MAX);
        state->loop = net_loop_new(context, SHM_ROLE_MIRROR, on_stopping, state);
    }
    if (state == NULL || state->page == NULL || state->loop == NULL) {
        log_event(LOG_ERROR, "mirror.start", "error", LOG_TEXT("out of memory"), NULL);
        goto done;
    }
    if (start(state)) {
        status = net_loop_run(state->loop);
    }
done:
    if (state != NULL) {
        net_loop_free(state->loop);
        free(state->page);
    }
    free(state);
    return status;
}
