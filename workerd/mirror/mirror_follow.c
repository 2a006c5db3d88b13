/*
 * Following the table of changes.
 *
 * A round takes the rows of transactions that are over for everybody: from the cursor up to the
 * oldest transaction that still runs, which is the next cursor. A row below that bound can neither
 * appear later nor be missed, in whatever order transactions commit. The rows come in pages, each
 * page's users once; a round that fails leaves the cursor where it was.
 */
#include "workerd/mirror/mirror_private.h"

#include "core/log.h"
#include "queries.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void changes_page(mirror *state);

void mirror_done(mirror *state)
{
    state->busy = false;
    if (state->again && !state->stopping && state->all_read) {
        state->again = false;
        mirror_follow(state);
    }
}

static void round_failed(mirror *state)
{
    state->again =
        false; /* the poll comes by in time; an absent Postgres is not asked in a hurry */
    mirror_done(state);
}

static void round_done(mirror *state)
{
    state->cursor = state->bound;
    state->last_round_ns = clock_monotonic_ns();
    if (!state->loaded) {
        state->loaded = true;
        shm_users_set_loaded(state->segment, true);
        log_event(LOG_INFO, "mirror.loaded", NULL);
    }
    mirror_done(state);
}

static void whales_done(mirror *state, bool good)
{
    (void)good; /* the tick tries again; users must not wait for it */
    round_done(state);
}

static void page_done(mirror *state, bool good)
{
    if (!good) {
        round_failed(state);
    } else if (state->more_changes) {
        changes_page(state);
    } else if (state->whales_changed) {
        mirror_whales_put(state, whales_done);
    } else {
        round_done(state);
    }
}

static void users_done(mirror *state, bool good)
{
    if (!good) {
        round_failed(state);
        return;
    }
    mirror_signals_put(state, page_done);
}

static bool read_change(mirror *state, const PGresult *result, int row)
{
    const char *kind = net_pg_value(result, row, 2);
    int64_t xid, subject;

    if (kind == NULL || !net_pg_get_int(result, row, 1, &xid) ||
        !net_pg_get_int(result, row, 3, &subject)) {
        return false;
    }
    if (strcmp(kind, "user") == 0) {
        state->ids[state->id_count++] = subject;
    } else if (strcmp(kind, "signal") == 0) {
        state->signal_ids[state->signal_count++] = subject;
    } else {
        state->whales_changed = true;
    }
    state->after_xid = xid;
    state->after_subject = subject;
    snprintf(state->after_kind, sizeof(state->after_kind), "%s", kind);
    return true;
}

static void on_changes(void *owner, const net_pg_answer *answer)
{
    mirror *state = owner;
    const PGresult *result;
    size_t count = 0;

    if (answer->outcome != NET_PG_DONE || state->stopping) {
        round_failed(state);
        return;
    }
    result = answer->results[0];
    if (!net_pg_get_int(result, 0, 0, &state->bound)) {
        round_failed(state);
        return;
    }
    state->id_count = state->signal_count = 0;
    for (int row = 0; row < PQntuples(result) && row < MIRROR_CHANGES_PAGE; row++) {
        count += read_change(state, result, row);
    }
    shm_count(state->process, SHM_mirror_changes_total, count);
    state->more_changes = count == MIRROR_CHANGES_PAGE;
    state->id_count = mirror_ids_unique(state->ids, state->id_count);
    mirror_users_put(state, users_done);
}

/* xid8 is not a bigint to Postgres, so these go as text. */
static void put_xid(net_pg_unit *unit, int64_t xid)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRId64, xid);
    net_pg_text(unit, text);
}

static void changes_page(mirror *state)
{
    net_pg_unit *unit = net_pg_unit_new(false);

    net_pg_statement(unit, query_mirror_changes);
    put_xid(unit, state->cursor);
    if (state->bound == 0) {
        net_pg_text(unit, NULL);
    } else {
        put_xid(unit, state->bound);
    }
    put_xid(unit, state->after_xid);
    net_pg_text(unit, state->after_kind);
    net_pg_int(unit, state->after_subject);
    net_pg_int(unit, MIRROR_CHANGES_PAGE);
    if (!net_pg_run(state->pg, unit, on_changes, state)) {
        round_failed(state);
    }
}

void mirror_follow_chain(mirror *state)
{
    state->again = false;
    state->bound = 0;
    state->after_xid = 0;
    state->after_subject = 0;
    state->after_kind[0] = '\0';
    changes_page(state);
}

void mirror_follow(mirror *state)
{
    if (state->busy) {
        state->again = true;
        return;
    }
    if (!state->all_read || state->stopping) {
        return;
    }
    state->busy = true;
    mirror_follow_chain(state);
}

/* ---- housekeeping -----------------------------------------------------------------------------
 */

static void on_pruned(void *owner, const net_pg_answer *answer)
{
    mirror *state = owner;

    if (answer->outcome == NET_PG_DONE && strcmp(PQcmdTuples(answer->results[0]), "0") == 0) {
        /* All of it: the next sample in line is as old in a minute. */
        state->samples[state->sample_next % MIRROR_SAMPLES] = 0;
    }
}

/* Once a tick. Rows below a cursor that is MIRROR_KEEP_TICKS old are of no use to anybody. */
void mirror_prune(mirror *state)
{
    int64_t *oldest = &state->samples[state->sample_next % MIRROR_SAMPLES];
    net_pg_unit *unit;

    if (state->ticks % MIRROR_SAMPLE_TICKS == 0 && state->loaded) {
        *oldest = state->cursor;
        state->sample_next++;
        oldest = &state->samples[state->sample_next % MIRROR_SAMPLES];
    }
    if (*oldest == 0 || !net_pg_connected(state->pg)) {
        return;
    }
    unit = net_pg_unit_new(false);
    net_pg_statement(unit, query_mirror_prune);
    put_xid(unit, *oldest);
    net_pg_int(unit, MIRROR_PRUNE_BATCH);
    net_pg_run(state->pg, unit, on_pruned, state);
}

static void on_floor(void *owner, const net_pg_answer *answer)
{
    mirror *state = owner;
    int64_t latest;

    if (answer->outcome == NET_PG_DONE && net_pg_get_int(answer->results[0], 0, 0, &latest)) {
        state->trade_floor = state->trade_floor_next;
        state->trade_floor_next = latest;
    }
}

void mirror_floor(mirror *state)
{
    net_pg_unit *unit;

    if (!net_pg_connected(state->pg)) {
        return;
    }
    unit = net_pg_unit_new(false);
    net_pg_statement(unit, query_mirror_latest_trade);
    net_pg_run(state->pg, unit, on_floor, state);
}
