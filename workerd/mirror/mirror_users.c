/*
 * Users into the segment, in batches, and how long their fills took to be seen.
 *
 * Promises: a user is put as one statement saw it, so as of one moment; what does not fit is
 * counted and left to Postgres (the segment says so itself).
 */
#include "workerd/mirror/mirror_private.h"

#include "core/log.h"
#include "queries.h"

#include <stdlib.h>
#include <string.h>

static int compare_ids(const void *a, const void *b)
{
    const int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

size_t mirror_ids_unique(int64_t *ids, size_t count)
{
    size_t kept = 0;

    qsort(ids, count, sizeof(ids[0]), compare_ids);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || ids[i] != ids[kept - 1]) {
            ids[kept++] = ids[i];
        }
    }
    return kept;
}

static void put_user(void *owner, mirror_user *user)
{
    mirror *state = owner;
    const uint32_t count =
        user->user.position_count < MIRROR_POSITIONS_MAX ? user->user.position_count : 0;

    for (uint32_t i = 0; i < count; i++) {
        const char *name = user->names[i];

        if (shm_price_find(state->segment, name, strlen(name), &user->positions[i].price_slot) !=
            SHM_READ_OK) {
            user->positions[i].price_slot = UINT32_MAX;
            mirror_wait_add(state, user->instruments[i], name);
        }
    }
    if (!shm_user_put(state->segment, &user->user, user->positions)) {
        state->users_full++;
    }
    shm_count(state->process, SHM_mirror_users_total, 1);
}

/* ---- measuring --------------------------------------------------------------------------------
 */

/* False where it was measured before. Forgets all when half full; then only newer ones count. */
static bool see_trade(mirror *state, int64_t id, int64_t settled_ns)
{
    unsigned slot = (unsigned)((uint64_t)id * 0x9e3779b97f4a7c15ULL >> 40) % MIRROR_SEEN_SLOTS;

    if (settled_ns <= state->seen_since_ns) {
        return false;
    }
    if (state->seen_count >= MIRROR_SEEN_SLOTS / 2) {
        memset(state->seen, 0, sizeof(state->seen));
        state->seen_count = 0;
        state->seen_since_ns = settled_ns;
    }
    while (state->seen[slot] != 0) {
        if (state->seen[slot] == id) {
            return false;
        }
        slot = (slot + 1) % MIRROR_SEEN_SLOTS;
    }
    state->seen[slot] = id;
    state->seen_count++;
    return true;
}

static void measure(mirror *state, const PGresult *result)
{
    const int64_t now_ns = clock_now_ns();

    for (int row = 0; row < PQntuples(result); row++) {
        int64_t id, settled_ns;

        if (net_pg_get_int(result, row, 0, &id) && net_pg_get_int(result, row, 1, &settled_ns) &&
            see_trade(state, id, settled_ns)) {
            shm_observe(state->process, SHM_mirror_visible_seconds, now_ns - settled_ns);
        }
    }
}

/* ---- batches ----------------------------------------------------------------------------------
 */

static void next_batch(mirror *state);

static void on_users(void *owner, const net_pg_answer *answer)
{
    mirror *state = owner;
    size_t skipped;

    if (answer->outcome != NET_PG_DONE || state->stopping) {
        state->users_then(state, false);
        return;
    }
    skipped = mirror_rows_users(answer->results[0], &state->scratch, put_user, state);
    if (skipped > 0) {
        log_event(LOG_ERROR, "mirror.unreadable", "users", LOG_INT(skipped), NULL);
    }
    if (state->users_full > 0) {
        log_event(LOG_WARN, "mirror.full", "users", LOG_INT(state->users_full), NULL);
        state->users_full = 0;
    }
    if (answer->count > 1) {
        measure(state, answer->results[1]);
    }
    next_batch(state);
}

static void put_ids(net_pg_unit *unit, const int64_t *ids, size_t count)
{
    net_pg_array(unit);
    for (size_t i = 0; i < count; i++) {
        net_pg_push_int(unit, ids[i]);
    }
}

static void next_batch(mirror *state)
{
    const size_t left = state->id_count - state->id_next;
    const size_t count = left < MIRROR_BATCH ? left : MIRROR_BATCH;
    const int64_t *ids = state->ids + state->id_next;
    net_pg_unit *unit;

    if (count == 0) {
        state->users_then(state, true);
        return;
    }
    state->id_next += count;
    unit = net_pg_unit_new(false);
    net_pg_statement(unit, query_mirror_users);
    put_ids(unit, ids, count);
    net_pg_int(unit, MIRROR_POSITIONS_MAX);
    if (state->all_read) {
        net_pg_statement(unit, query_mirror_settled);
        put_ids(unit, ids, count);
        net_pg_int(unit, state->trade_floor);
    }
    if (!net_pg_run(state->pg, unit, on_users, state)) {
        state->users_then(state, false);
    }
}

void mirror_users_put(mirror *state, mirror_then *then)
{
    state->id_next = 0;
    state->users_then = then;
    next_batch(state);
}
