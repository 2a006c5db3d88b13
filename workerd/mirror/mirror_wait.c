/*
 * Positions in instruments that have no price slot yet: feed may start after us, or may still be
 * reading the venue's list. Once a tick the instruments that are waited for are looked up; when one
 * is there, its holders are put again.
 */
#include "workerd/mirror/mirror_private.h"

#include "core/log.h"
#include "queries.h"

#include <stdio.h>
#include <string.h>

static void holders_page(mirror *state);

void mirror_wait_add(mirror *state, int64_t instrument, const char *name)
{
    for (unsigned i = 0; i < state->waiting_count; i++) {
        if (state->waiting[i].id == instrument) {
            return;
        }
    }
    if (state->waiting_count == MIRROR_WAITING_MAX) {
        log_event(LOG_WARN, "mirror.waiting_full", "instrument", LOG_INT(instrument), NULL);
        return;
    }
    state->waiting[state->waiting_count].id = instrument;
    snprintf(state->waiting[state->waiting_count].name, SHM_KEY_MAX, "%s", name);
    state->waiting_count++;
}

/* Moves those that have a slot now from `waiting` to `ready`. */
static void take_ready(mirror *state)
{
    unsigned kept = 0;

    state->ready_count = 0;
    for (unsigned i = 0; i < state->waiting_count; i++) {
        const mirror_instrument *one = &state->waiting[i];
        uint32_t slot;

        if (shm_price_find(state->segment, one->name, strlen(one->name), &slot) == SHM_READ_OK) {
            state->ready[state->ready_count++] = one->id;
        } else {
            state->waiting[kept++] = *one;
        }
    }
    state->waiting_count = kept;
}

static void page_done(mirror *state, bool good)
{
    if (!good) {
        /* Their slots exist; what was not put now shows its price with the next change. */
        log_event(LOG_WARN, "mirror.holders", NULL);
        mirror_done(state);
    } else if (state->id_count < MIRROR_BATCH) {
        mirror_done(state);
    } else {
        holders_page(state);
    }
}

static void on_holders(void *owner, const net_pg_answer *answer)
{
    mirror *state = owner;

    if (answer->outcome != NET_PG_DONE || state->stopping) {
        page_done(state, false);
        return;
    }
    state->id_count = 0;
    for (int row = 0; row < PQntuples(answer->results[0]); row++) {
        if (net_pg_get_int(answer->results[0], row, 0, &state->ids[state->id_count])) {
            state->id_count++;
        }
    }
    if (state->id_count > 0) {
        state->holders_after = state->ids[state->id_count - 1];
    }
    mirror_users_put(state, page_done);
}

static void holders_page(mirror *state)
{
    net_pg_unit *unit = net_pg_unit_new(false);

    net_pg_statement(unit, query_mirror_holders);
    net_pg_array(unit);
    for (unsigned i = 0; i < state->ready_count; i++) {
        net_pg_push_int(unit, state->ready[i]);
    }
    net_pg_int(unit, state->holders_after);
    net_pg_int(unit, MIRROR_BATCH);
    if (!net_pg_run(state->pg, unit, on_holders, state)) {
        page_done(state, false);
    }
}

void mirror_wait_look(mirror *state)
{
    if (state->busy || state->waiting_count == 0 || !state->all_read) {
        return;
    }
    take_ready(state);
    if (state->ready_count == 0) {
        return;
    }
    state->busy = true;
    state->holders_after = INT64_MIN;
    holders_page(state);
}
