/*
 * `workerd verify`: see the header. A command of its own: it reads the segment like nginx does, and
 * Postgres with the statements that the role uses, waiting on a small loop.
 */
#include "workerd/mirror/mirror_verify.h"

#include "core/clock.h"
#include "core/log.h"
#include "queries.h"
#include "workerd/mirror/mirror_rows.h"
#include "workerd/net/net_pg.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VERIFY_BATCH 500
#define VERIFY_TRIES 40
#define VERIFY_PAUSE_MS 250
#define VERIFY_DIFFERING_MAX 10000 /* looked at again; with more, mirror is not just behind */
#define VERIFY_LINES_MAX 50
#define VERIFY_SIGNALS 100
#define VERIFY_RING_MAX 512

typedef struct {
    const whale_config *config;
    shm_segment *segment;
    uv_loop_t loop;
    net_pg *pg;
    bool answered, failed;
    bool telling; /* the last try: differences are printed */
    unsigned lines;
    int64_t batch[VERIFY_BATCH];
    size_t batch_count;
    int64_t differing[VERIFY_DIFFERING_MAX];
    size_t differing_count, users, positions;
    bool signals_differ;
    mirror_user scratch;
    shm_position found[SHM_USER_POSITIONS_MAX];
} verify;

static void tell(verify *state, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(verify *state, const char *format, ...)
{
    va_list arguments;

    if (!state->telling || state->lines++ >= VERIFY_LINES_MAX) {
        return;
    }
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

/* ---- comparing --------------------------------------------------------------------------------
 */

static bool same_dec(dec a, dec b)
{
    return dec_compare(a, b) == 0;
}

static bool same_user(verify *state, const shm_user *postgres, const shm_user *shared)
{
    const uint32_t flags = shared->flags & ~(uint32_t)SHM_USER_POSITIONS_ELSEWHERE;
    const char *what = postgres->telegram_id != shared->telegram_id                ? "Telegram id"
                       : postgres->session_epoch != shared->session_epoch          ? "session epoch"
                       : postgres->tier != shared->tier                            ? "tier"
                       : postgres->flags != flags                                  ? "state"
                       : postgres->version != shared->version                      ? "version"
                       : !same_dec(postgres->balance_total, shared->balance_total) ? "balance"
                       : !same_dec(postgres->balance_available, shared->balance_available)
                           ? "available balance"
                           : NULL;

    if (what != NULL) {
        tell(state, "user %" PRId64 ": another %s", postgres->id, what);
    }
    return what == NULL;
}

static bool same_position(verify *state, int64_t user, const shm_position *postgres,
                          const char *name, const shm_position *shared)
{
    uint32_t slot = UINT32_MAX;
    const char *what;

    if (shm_price_find(state->segment, name, strlen(name), &slot) != SHM_READ_OK) {
        slot = UINT32_MAX;
    }
    what = !same_dec(postgres->quantity, shared->quantity)               ? "quantity"
           : !same_dec(postgres->entry_notional, shared->entry_notional) ? "entry"
           : !same_dec(postgres->margin, shared->margin)                 ? "margin"
           : !same_dec(postgres->realised_pnl, shared->realised_pnl)     ? "realised result"
           : slot != shared->price_slot                                  ? "price slot"
           : postgres->text_length != shared->text_length ||
                   memcmp(postgres->text, shared->text, postgres->text_length) != 0
               ? "text"
               : NULL;
    if (what != NULL) {
        tell(state, "user %" PRId64 " position %" PRId64 ": another %s", user, postgres->id, what);
    }
    return what == NULL;
}

static bool same_positions(verify *state, const mirror_user *postgres, const shm_user *shared)
{
    const int64_t id = postgres->user.id;
    const uint32_t count = postgres->user.position_count;
    bool same = true;

    if ((shared->flags & SHM_USER_POSITIONS_ELSEWHERE) != 0) {
        return true; /* readers ask Postgres */
    }
    if (shared->position_count != count) {
        tell(state, "user %" PRId64 ": %u positions in Postgres, %u in shared memory", id, count,
             shared->position_count);
        return false;
    }
    if (count > SHM_USER_POSITIONS_MAX) {
        tell(state, "user %" PRId64 ": more positions than shared memory holds", id);
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        const shm_position *one = &postgres->positions[i];
        uint32_t at = 0;

        while (at < count && state->found[at].id != one->id) {
            at++;
        }
        if (at == count) {
            tell(state, "user %" PRId64 ": position %" PRId64 " is missing", id, one->id);
            same = false;
        } else {
            same &= same_position(state, id, one, postgres->names[i], &state->found[at]);
        }
    }
    state->positions += count;
    return same;
}

static void compare_user(void *owner, mirror_user *postgres)
{
    verify *state = owner;
    const int64_t id = postgres->user.id;
    shm_user shared;
    enum shm_read read =
        shm_user_by_id(state->segment, id, &shared, state->found, SHM_USER_POSITIONS_MAX);
    bool same = read == SHM_READ_OK;

    state->users++;
    if (!same) {
        tell(state, "user %" PRId64 ": %s", id,
             read == SHM_READ_ABSENT ? "not in shared memory" : "shared memory does not know");
    } else {
        same =
            same_user(state, &postgres->user, &shared) && same_positions(state, postgres, &shared);
    }
    if (!same && state->differing_count < VERIFY_DIFFERING_MAX) {
        state->differing[state->differing_count++] = id;
    }
}

/* ---- asking Postgres --------------------------------------------------------------------------
 */

static bool wait_for(verify *state, net_pg_unit *unit, net_pg_done *done)
{
    state->answered = false;
    if (!net_pg_run(state->pg, unit, done, state)) {
        return false;
    }
    while (!state->answered) {
        uv_run(&state->loop, UV_RUN_ONCE);
    }
    return !state->failed;
}

static bool answered(verify *state, const net_pg_answer *answer)
{
    state->answered = true;
    if (answer->outcome != NET_PG_DONE) {
        state->failed = true;
        fprintf(stderr, "workerd: [emerg] Postgres: %s\n",
                answer->message != NULL ? answer->message : "no answer");
    }
    return !state->failed;
}

static void on_users(void *owner, const net_pg_answer *answer)
{
    verify *state = owner;

    if (answered(state, answer) &&
        mirror_rows_users(answer->results[0], &state->scratch, compare_user, state) > 0) {
        state->failed = true;
        fputs("workerd: [emerg] Postgres: a user cannot be read\n", stderr);
    }
}

static bool compare_ids(verify *state, const int64_t *ids, size_t count)
{
    net_pg_unit *unit = net_pg_unit_new(false);

    net_pg_statement(unit, query_mirror_users);
    net_pg_array(unit);
    for (size_t i = 0; i < count; i++) {
        net_pg_push_int(unit, ids[i]);
    }
    net_pg_int(unit, MIRROR_POSITIONS_MAX);
    return wait_for(state, unit, on_users);
}

static void on_ids(void *owner, const net_pg_answer *answer)
{
    verify *state = owner;

    state->batch_count = 0;
    if (!answered(state, answer)) {
        return;
    }
    for (int row = 0; row < PQntuples(answer->results[0]) && row < VERIFY_BATCH; row++) {
        state->batch_count +=
            net_pg_get_int(answer->results[0], row, 0, &state->batch[state->batch_count]);
    }
}

static bool compare_all(verify *state)
{
    int64_t after = INT64_MIN;

    do {
        net_pg_unit *unit = net_pg_unit_new(false);

        net_pg_statement(unit, query_mirror_users_after);
        net_pg_int(unit, after);
        net_pg_int(unit, VERIFY_BATCH);
        if (!wait_for(state, unit, on_ids) ||
            !compare_ids(state, state->batch, state->batch_count)) {
            return false;
        }
        after = state->batch_count > 0 ? state->batch[state->batch_count - 1] : after;
    } while (state->batch_count == VERIFY_BATCH);
    return true;
}

/* Those that differed, again. */
static bool compare_differing(verify *state)
{
    static int64_t ids[VERIFY_DIFFERING_MAX];
    const size_t count = state->differing_count;
    const size_t users = state->users, positions = state->positions;

    memcpy(ids, state->differing, count * sizeof(ids[0]));
    state->differing_count = 0;
    for (size_t i = 0; i < count; i += VERIFY_BATCH) {
        if (!compare_ids(state, ids + i, count - i < VERIFY_BATCH ? count - i : VERIFY_BATCH)) {
            return false;
        }
    }
    state->users = users; /* each was counted once already */
    state->positions = positions;
    return true;
}

static bool in_ring(const verify *state, int64_t id)
{
    const uint64_t last = shm_signal_last(state->segment);
    shm_signal signal;

    for (uint64_t i = 0; i < VERIFY_RING_MAX && i < last; i++) {
        if (shm_signal_read(state->segment, last - i, &signal) == SHM_READ_OK && signal.id == id) {
            return true;
        }
    }
    return false;
}

static bool compare_signals(verify *state)
{
    net_pg_unit *unit = net_pg_unit_new(false);

    net_pg_statement(unit, query_mirror_signals_newest);
    net_pg_int(unit, VERIFY_SIGNALS);
    if (!wait_for(state, unit, on_ids)) {
        return false;
    }
    state->signals_differ = false;
    for (size_t i = 0; i < state->batch_count; i++) {
        if (!in_ring(state, state->batch[i])) {
            tell(state, "signal %" PRId64 " is not in shared memory", state->batch[i]);
            state->signals_differ = true;
        }
    }
    return true;
}

/* ---- the command ------------------------------------------------------------------------------
 */

static void pause_between(void)
{
    const struct timespec pause = {0, VERIFY_PAUSE_MS * CLOCK_MS_NS};

    nanosleep(&pause, NULL);
}

/* True where all was compared; what differs is left in the state. */
static bool compare(verify *state)
{
    if (!compare_all(state) || !compare_signals(state)) {
        return false;
    }
    for (int tries = 1; tries < VERIFY_TRIES; tries++) {
        if (state->differing_count == 0 && !state->signals_differ) {
            return true;
        }
        pause_between();
        shm_refresh(state->segment);
        state->telling = tries == VERIFY_TRIES - 1;
        if (!compare_differing(state) || !compare_signals(state)) {
            return false;
        }
    }
    return true;
}

bool mirror_verify(const whale_config *config)
{
    verify *state = calloc(1, sizeof(*state));
    const net_pg_options options = {
        .conninfo = config->database,
        .password_file = config->database_password_file,
        .application_name = "whale-verify",
        .owner = state,
    };
    bool same = false;

    log_start("verify", LOG_ERROR);
    if (state == NULL || uv_loop_init(&state->loop) != 0) {
        free(state);
        return false;
    }
    state->segment = shm_open_reader(config->shm_path);
    state->pg = net_pg_new(&state->loop, &options);
    if (state->segment == NULL || state->pg == NULL) {
        goto done;
    }
    if (shm_state_now(state->segment) == SHM_ABSENT) {
        fprintf(stderr, "workerd: [emerg] there is no segment %s\n", config->shm_path);
        goto done;
    }
    if (compare(state)) {
        same = state->differing_count == 0 && !state->signals_differ;
        printf("%zu users, %zu positions compared: %zu users differ\n", state->users,
               state->positions, state->differing_count);
    }
done:
    if (state->pg != NULL) {
        net_pg_close(state->pg);
    }
    uv_run(&state->loop, UV_RUN_DEFAULT);
    uv_loop_close(&state->loop);
    shm_close(state->segment);
    free(state);
    return same;
}
