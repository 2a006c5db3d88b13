/*
 * One read of one whale: the request, what its answer is worth, what changed.
 *
 * Promises: only a whole page that shows rows changes anything. A real page lists every symbol,
 * zero rows too, so a position whose symbol is named without an amount is closed at once; one that
 * is not named at all is closed when the next page does not name it either.
 */
#include "workerd/watch/watch_private.h"

#include "core/log.h"

#include <string.h>

/* ---- positions whose row is missing -------------------------------------------------------------
 */

static watch_missing *find_missing(watch *state, const watch_read *read,
                                   const watch_position *position)
{
    for (unsigned i = 0; i < WATCH_MISSING_MAX; i++) {
        watch_missing *one = &state->missing[i];

        if (one->whale_id == read->whale_id && one->side == position->side &&
            strcmp(one->symbol, position->symbol) == 0) {
            return one;
        }
    }
    return NULL;
}

static bool is_gone(void *owner, const watch_position *position)
{
    watch_read *read = owner;
    watch *state = read->state;
    watch_missing *one = find_missing(state, read, position);

    if (watch_page_names(read->body, read->body_length, position->symbol)) {
        if (one != NULL) {
            one->whale_id = 0;
        }
        return true;
    }
    if (one != NULL && one->positions_version == read->positions_version) {
        one->whale_id = 0;
        return true;
    }
    /* Noted. Where there is no room an older note goes: its position waits for one read more. */
    if (one == NULL) {
        one = &state->missing[state->missing_next++ % WATCH_MISSING_MAX];
    }
    one->whale_id = read->whale_id;
    one->positions_version = read->positions_version;
    one->side = position->side;
    memcpy(one->symbol, position->symbol, sizeof(one->symbol));
    return false;
}

/* What is on the page again was not missing. */
static void forget_missing(watch *state, const watch_read *read, size_t now_count)
{
    for (size_t i = 0; i < now_count; i++) {
        watch_missing *one = find_missing(state, read, &state->now[i]);

        if (one != NULL) {
            one->whale_id = 0;
        }
    }
}

/* ---- answers ------------------------------------------------------------------------------------
 */

/* False: the page contradicts itself. */
static bool read_good(watch_read *read, const venue_result *result)
{
    watch *state = read->state;
    size_t now_count, count;
    watch_reads reads = {
        .then = read->then,
        .then_count = read->then_count,
        .now = state->now,
        .is_gone = is_gone,
        .owner = read,
    };

    if (!watch_page_positions(result, state->now, &now_count)) {
        return false;
    }
    read->venue->failures = 0;
    read->baseline = watch_is_baseline(read->had_baseline, read->last_good_ns, read->database_ns,
                                       state->config->watch_interval_ns);
    forget_missing(state, read, now_count);
    reads.now_count = now_count;
    reads.baseline = read->baseline;
    count = watch_diff(&reads, state->changes);
    if (count == 0) {
        watch_save_seen(read);
    } else {
        watch_save_changes(read, state->changes, count);
    }
    return true;
}

static void read_unknown(watch_read *read, enum watch_page page, const net_http_answer *answer,
                         const venue_result *result)
{
    watch *state = read->state;
    const bool hidden = page == WATCH_PAGE_HIDDEN;
    int64_t in_a_row = read->unknown_reads + 1, retry_after_ns = answer->retry_after_ns;
    watch_retry retry;

    if (page == WATCH_PAGE_UNREACHABLE) {
        in_a_row = ++read->venue->failures;
    } else if (retry_after_ns == 0) {
        retry_after_ns = result->verdict.retry_after_ns;
    }
    retry = watch_page_retry(page, in_a_row, state->config->watch_interval_ns, retry_after_ns);
    if (page == WATCH_PAGE_LIMITED) {
        /* The venue counts our address, not this whale. */
        read->venue->hold_until_ns = clock_monotonic_ns() + retry.pause_ns;
    }
    shm_count(state->process, SHM_watch_unknown_total, 1);
    log_event(LOG_WARN, "watch.unknown", "whale", LOG_INT(read->whale_id), "status",
              LOG_INT(answer->status), "error",
              LOG_TEXT(answer->error != NULL ? answer->error : result->verdict.message), "pause_ms",
              LOG_INT(retry.pause_ns / CLOCK_MS_NS), NULL);
    watch_save_unknown(read, hidden, retry);
}

static void on_answer(void *owner, const net_http_answer *answer)
{
    watch_read *read = owner;
    watch *state = read->state;
    const bool answered = answer->outcome == NET_HTTP_ANSWERED;
    venue_result result = {.positions = state->rows, .capacity = WATCH_POSITIONS_MAX};
    const venue_answer venue = {
        .status = answer->status,
        .body = answer->body,
        .body_length = answer->body_length,
        .retry_after_ns = answer->retry_after_ns,
    };
    enum watch_page page;

    if (state->stopping) {
        watch_read_done(read); /* the lease is given back with all others */
        return;
    }
    shm_count(state->process, SHM_watch_polls_total, 1);
    if (answered) {
        read->venue->adapter->parse(&read->request, &venue, &result);
    }
    page =
        watch_page_judge(answered ? answer->status : 0, answer->body, answer->body_length, &result);
    if (page != WATCH_PAGE_GOOD) {
        read_unknown(read, page, answer, &result);
        return;
    }
    read->body = answer->body;
    read->body_length = answer->body_length;
    read->answered_ns = answer->answered_ns;
    if (!read_good(read, &result)) {
        read_unknown(read, WATCH_PAGE_UNREACHABLE, answer, &result);
    }
}

bool watch_read_begin(watch_read *read)
{
    const venue_call call = {
        .operation = VENUE_OP_LEADER_POSITIONS,
        .market = read->venue->adapter->market,
        .leader_id = read->leader_id,
        .time_ns = clock_now_ns(),
    };

    if (read->venue->adapter->build(&call, &read->request) == VENUE_BUILD_OK) {
        return watch_send(read->venue, &read->request, on_answer, read);
    }
    log_event(LOG_ERROR, "watch.build", "whale", LOG_INT(read->whale_id), NULL);
    return false;
}
