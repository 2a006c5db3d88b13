/*
 * Loading everybody: at start, and after so long without Postgres that changes may have been
 * forgotten.
 *
 * The cursor is taken first. Pages that are read later are newer, never older, and whatever commits
 * from then on has an xid at or above the cursor, so following catches up with it. Only after one
 * such round does the segment count as loaded: users read early may have changed meanwhile.
 */
#include "workerd/mirror/mirror_private.h"

#include "core/log.h"
#include "queries.h"

static void next_page(mirror *state);

static void failed(mirror *state, const net_pg_answer *answer)
{
    if (answer != NULL && answer->message != NULL && !state->stopping) {
        log_event(LOG_WARN, "mirror.load", "error", LOG_TEXT(answer->message), NULL);
    }
    state->have_cursor = false; /* from the beginning, at the next poll */
    mirror_done(state);
}

static void signals_done(mirror *state, bool good)
{
    if (!good) {
        failed(state, NULL);
        return;
    }
    state->all_read = true;
    mirror_follow_chain(state);
}

static void whales_done(mirror *state, bool good)
{
    if (!good) {
        failed(state, NULL);
        return;
    }
    mirror_signals_newest(state, signals_done);
}

static void page_done(mirror *state, bool good)
{
    if (!good) {
        failed(state, NULL);
        return;
    }
    next_page(state);
}

static void on_page(void *owner, const net_pg_answer *answer)
{
    mirror *state = owner;

    if (answer->outcome != NET_PG_DONE || state->stopping) {
        failed(state, answer);
        return;
    }
    state->id_count = 0;
    for (int row = 0; row < PQntuples(answer->results[0]); row++) {
        if (net_pg_get_int(answer->results[0], row, 0, &state->ids[state->id_count])) {
            state->id_count++;
        }
    }
    if (state->id_count == 0) {
        mirror_whales_put(state, whales_done);
        return;
    }
    state->load_after = state->ids[state->id_count - 1];
    mirror_users_put(state, page_done);
}

static void next_page(mirror *state)
{
    net_pg_unit *unit = net_pg_unit_new(false);

    net_pg_statement(unit, query_mirror_users_after);
    net_pg_int(unit, state->load_after);
    net_pg_int(unit, MIRROR_BATCH);
    if (!net_pg_run(state->pg, unit, on_page, state)) {
        failed(state, NULL);
    }
}

static void on_snapshot(void *owner, const net_pg_answer *answer)
{
    mirror *state = owner;
    int64_t latest = 0;

    if (answer->outcome != NET_PG_DONE || state->stopping ||
        !net_pg_get_int(answer->results[0], 0, 0, &state->cursor)) {
        failed(state, answer);
        return;
    }
    net_pg_get_int(answer->results[0], 0, 1, &latest);
    state->trade_floor = latest > MIRROR_FLOOR_BACK ? latest - MIRROR_FLOOR_BACK : 0;
    state->trade_floor_next = state->trade_floor;
    state->seen_since_ns = clock_now_ns(); /* older fills were seen by our predecessor */
    state->sample_count = state->sample_next = 0;
    state->have_cursor = true;
    next_page(state);
}

void mirror_load(mirror *state)
{
    net_pg_unit *unit;

    if (state->busy) {
        return;
    }
    state->busy = true;
    state->loaded = state->all_read = state->have_cursor = false;
    state->waiting_count = 0;
    state->load_after = INT64_MIN;
    shm_users_clear(state->segment);
    unit = net_pg_unit_new(false);
    net_pg_statement(unit, query_mirror_snapshot);
    if (!net_pg_run(state->pg, unit, on_snapshot, state)) {
        failed(state, NULL);
    }
}
