/*
 * Signals into the ring, the ranking page into its buffer.
 *
 * Promises: a signal is pushed once while its id is among the last MIRROR_SIGNALS_RECENT, also
 * over a restart (the ring itself is the memory); the page is written only when it changed, so that
 * its version means something.
 */
#include "workerd/mirror/mirror_private.h"

#include "core/log.h"
#include "queries.h"

#include <stdlib.h>
#include <string.h>

/* ---- signals ----------------------------------------------------------------------------------
 */

static bool is_recent(const mirror *state, int64_t id)
{
    for (unsigned i = 0; i < MIRROR_SIGNALS_RECENT; i++) {
        if (state->recent[i] == id) {
            return true;
        }
    }
    return false;
}

static void remember(mirror *state, int64_t id)
{
    state->recent[state->recent_next++ % MIRROR_SIGNALS_RECENT] = id;
}

static void on_signals(void *owner, const net_pg_answer *answer)
{
    mirror *state = owner;

    if (answer->outcome != NET_PG_DONE || state->stopping) {
        state->signals_then(state, false);
        return;
    }
    for (int row = 0; row < PQntuples(answer->results[0]); row++) {
        shm_signal signal;

        if (!mirror_rows_signal(answer->results[0], row, &signal)) {
            log_event(LOG_ERROR, "mirror.unreadable", "signal",
                      LOG_TEXT(PQgetvalue(answer->results[0], row, 0)), NULL);
        } else if (!is_recent(state, signal.id)) {
            shm_signal_push(state->segment, &signal);
            remember(state, signal.id);
        }
    }
    state->signals_then(state, true);
}

void mirror_signals_put(mirror *state, mirror_then *then)
{
    net_pg_unit *unit;

    state->signals_then = then;
    if (state->signal_count == 0) {
        then(state, true);
        return;
    }
    unit = net_pg_unit_new(false);
    net_pg_statement(unit, query_mirror_signals);
    net_pg_array(unit);
    for (size_t i = 0; i < state->signal_count; i++) {
        net_pg_push_int(unit, state->signal_ids[i]);
    }
    if (!net_pg_run(state->pg, unit, on_signals, state)) {
        then(state, false);
    }
}

static void on_newest(void *owner, const net_pg_answer *answer)
{
    mirror *state = owner;

    if (answer->outcome != NET_PG_DONE || state->stopping) {
        state->signals_then(state, false);
        return;
    }
    state->signal_count = 0;
    for (int row = 0; row < PQntuples(answer->results[0]); row++) {
        int64_t id;

        if (net_pg_get_int(answer->results[0], row, 0, &id) && !is_recent(state, id)) {
            state->signal_ids[state->signal_count++] = id;
        }
    }
    mirror_signals_put(state, state->signals_then);
}

/* What the ring holds was told by our predecessor. */
static void recall(mirror *state)
{
    const uint64_t last = shm_signal_last(state->segment);
    const uint64_t first = last > MIRROR_SIGNALS_RECENT ? last - MIRROR_SIGNALS_RECENT + 1 : 1;
    shm_signal signal;

    for (uint64_t cursor = first; cursor <= last; cursor++) {
        if (shm_signal_read(state->segment, cursor, &signal) == SHM_READ_OK &&
            !is_recent(state, signal.id)) {
            remember(state, signal.id);
        }
    }
}

void mirror_signals_newest(mirror *state, mirror_then *then)
{
    net_pg_unit *unit = net_pg_unit_new(false);

    recall(state);
    state->signals_then = then;
    net_pg_statement(unit, query_mirror_signals_newest);
    net_pg_int(unit, MIRROR_SIGNALS_NEWEST);
    if (!net_pg_run(state->pg, unit, on_newest, state)) {
        then(state, false);
    }
}

/* ---- whales -----------------------------------------------------------------------------------
 */

static void on_whales(void *owner, const net_pg_answer *answer)
{
    mirror *state = owner;
    char *fresh = state->page + SHM_WHALES_TEXT_MAX;
    size_t length;

    if (answer->outcome != NET_PG_DONE || state->stopping) {
        state->whales_then(state, false);
        return;
    }
    length = mirror_rows_whales(answer->results[0], fresh, SHM_WHALES_TEXT_MAX);
    if (length == 0) {
        log_event(LOG_ERROR, "mirror.page_too_long", NULL);
    } else if (length != state->page_length || memcmp(fresh, state->page, length) != 0) {
        memcpy(state->page, fresh, length);
        state->page_length = length;
        shm_whales_put(state->segment, fresh, length);
    }
    state->whales_changed = false;
    state->whales_then(state, true);
}

void mirror_whales_put(mirror *state, mirror_then *then)
{
    net_pg_unit *unit = net_pg_unit_new(false);

    state->whales_then = then;
    net_pg_statement(unit, query_mirror_whales);
    net_pg_int(unit, MIRROR_WHALES);
    if (!net_pg_run(state->pg, unit, on_whales, state)) {
        then(state, false);
    }
}
