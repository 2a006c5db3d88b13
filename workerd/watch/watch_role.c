/*
 * The watch role: whales' pages into signals.
 *
 * Promises: a whale is read by one process at a time, over all hosts (leases); at most
 * WATCH_READS_MAX reads are under way; whales with followers come first; the venue's wish to be
 * left alone is obeyed for all its whales at once; at shutdown reads under way end or are given
 * back.
 */
#include "workerd/watch/watch_private.h"

#include "core/log.h"
#include "queries.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MICROSECOND_NS 1000

/* Columns of due.sql. */
enum {
    DUE_ID,
    DUE_VENUE,
    DUE_MARKET,
    DUE_LEADER,
    DUE_SCORE,
    DUE_VERSION,
    DUE_HAD_BASELINE,
    DUE_LAST_GOOD,
    DUE_UNKNOWN,
    DUE_NOW,
    DUE_SYMBOL,
    DUE_SIDE,
    DUE_QUANTITY,
    DUE_ENTRY,
    DUE_LEVERAGE,
};

static void end_when_idle(watch *state);

/* ---- requests -----------------------------------------------------------------------------------
 */

const char *watch_address(const watch_venue *venue, enum venue_host host)
{
    switch (host) {
    case VENUE_HOST_LEADERS:
        return venue->config->leaders;
    case VENUE_HOST_ACCOUNT:
        return venue->config->account;
    default:
        return venue->config->rest;
    }
}

bool watch_send(const watch_venue *venue, const venue_request *request, net_http_done *done,
                void *owner)
{
    static venue_bytes bytes; /* large, and copied by net_http_send */
    static char url[sizeof(venue->config->leaders) + VENUE_URL_MAX];
    const venue_credentials nobody = {"", "", NULL};
    net_http_request http = {
        .timeout_ns = WATCH_TIMEOUT_NS,
        .done = done,
        .owner = owner,
    };

    if (!venue->adapter->finish(request, &nobody, &bytes) ||
        bytes.header_count >= NET_HTTP_HEADERS_MAX) {
        return false;
    }
    snprintf(url, sizeof(url), "%s%s", watch_address(venue, request->host), bytes.target);
    for (size_t i = 0; i < bytes.header_count; i++) {
        http.headers[i] = bytes.headers[i];
    }
    http.method = bytes.method;
    http.url = url;
    http.body = bytes.body_length > 0 ? bytes.body : NULL;
    http.body_length = bytes.body_length;
    return net_http_send(venue->state->http, &http);
}

/* ---- claiming -----------------------------------------------------------------------------------
 */

static watch_read *free_read(watch *state)
{
    for (unsigned i = 0; i < WATCH_READS_MAX; i++) {
        if (!state->reads[i].used) {
            return &state->reads[i];
        }
    }
    return NULL;
}

static unsigned busy_reads(const watch *state)
{
    unsigned count = 0;

    for (unsigned i = 0; i < WATCH_READS_MAX; i++) {
        count += state->reads[i].used;
    }
    return count;
}

void watch_read_done(watch_read *read)
{
    read->used = false;
    end_when_idle(read->state);
}

static watch_venue *find_venue(watch *state, const char *venue, const char *market)
{
    for (size_t i = 0; i < state->venue_count; i++) {
        if (venue != NULL && market != NULL && strcmp(state->venues[i].config->venue, venue) == 0 &&
            strcmp(state->venues[i].config->market, market) == 0) {
            return &state->venues[i];
        }
    }
    return NULL;
}

static bool read_whale(watch *state, const PGresult *result, int row, watch_read *read)
{
    const char *leader = net_pg_value(result, row, DUE_LEADER);

    memset(read, 0, offsetof(watch_read, then));
    read->state = state;
    read->then_count = 0;
    read->signals = 0;
    read->venue = find_venue(state, net_pg_value(result, row, DUE_VENUE),
                             net_pg_value(result, row, DUE_MARKET));
    if (leader == NULL || strlen(leader) >= sizeof(read->leader_id) || read->venue == NULL) {
        return false;
    }
    memcpy(read->leader_id, leader, strlen(leader) + 1);
    return net_pg_get_int(result, row, DUE_ID, &read->whale_id) &&
           net_pg_get_dec(result, row, DUE_SCORE, &read->score) &&
           net_pg_get_int(result, row, DUE_VERSION, &read->positions_version) &&
           net_pg_get_bool(result, row, DUE_HAD_BASELINE, &read->had_baseline) &&
           net_pg_get_int(result, row, DUE_LAST_GOOD, &read->last_good_ns) &&
           net_pg_get_int(result, row, DUE_UNKNOWN, &read->unknown_reads) &&
           net_pg_get_int(result, row, DUE_NOW, &read->database_ns);
}

static bool read_position(const PGresult *result, int row, watch_read *read)
{
    const char *symbol = net_pg_value(result, row, DUE_SYMBOL);
    const char *side = net_pg_value(result, row, DUE_SIDE);
    watch_position *position = &read->then[read->then_count];
    int64_t leverage;

    if (symbol == NULL) {
        return true; /* a whale without positions */
    }
    if (read->then_count == WATCH_POSITIONS_MAX || strlen(symbol) >= sizeof(position->symbol) ||
        side == NULL || !net_pg_get_dec(result, row, DUE_QUANTITY, &position->quantity) ||
        !net_pg_get_dec(result, row, DUE_ENTRY, &position->entry_price) ||
        !net_pg_get_int(result, row, DUE_LEVERAGE, &leverage)) {
        return false;
    }
    memcpy(position->symbol, symbol, strlen(symbol) + 1);
    position->side = strcmp(side, "LONG") == 0    ? VENUE_LONG
                     : strcmp(side, "SHORT") == 0 ? VENUE_SHORT
                                                  : VENUE_BOTH;
    position->leverage = (int)leverage;
    position->margin_mode = VENUE_CROSS;
    position->mark_price = DEC_ZERO;
    read->then_count++;
    return true;
}

/* The rows of one whale, from `row` on; returns the row behind them. */
static int begin_read(watch *state, const PGresult *result, int row)
{
    const char *id = PQgetvalue(result, row, DUE_ID);
    watch_read *read = free_read(state);
    bool good = read != NULL && read_whale(state, result, row, read);

    for (; row < PQntuples(result) && strcmp(PQgetvalue(result, row, DUE_ID), id) == 0; row++) {
        good = good && read_position(result, row, read);
    }
    if (good) {
        read->used = true;
        if (!watch_read_begin(read)) {
            watch_read_done(read); /* its lease ends by itself */
        }
    } else {
        log_event(LOG_ERROR, "watch.unreadable", "whale", LOG_TEXT(id), NULL);
    }
    return row;
}

static void on_due(void *owner, const net_pg_answer *answer)
{
    watch *state = owner;
    int row = 0;

    state->claiming = false;
    if (answer->outcome != NET_PG_DONE) {
        log_event(LOG_WARN, "watch.claim", "error",
                  LOG_TEXT(answer->message != NULL ? answer->message : "no connection"), NULL);
    } else if (!state->stopping) {
        while (row < PQntuples(answer->results[0])) {
            row = begin_read(state, answer->results[0], row);
        }
    }
    end_when_idle(state);
}

/* The venues that may be asked just now; their names go into two arrays. */
static void put_venues(watch *state, net_pg_unit *unit)
{
    const int64_t now_ns = clock_monotonic_ns();

    for (int part = 0; part < 2; part++) {
        net_pg_array(unit);
        for (size_t i = 0; i < state->venue_count; i++) {
            const watch_venue *venue = &state->venues[i];

            if (now_ns >= venue->hold_until_ns) {
                net_pg_push_text(unit, part == 0 ? venue->config->venue : venue->config->market);
            }
        }
    }
}

static void claim(watch *state)
{
    const unsigned room = WATCH_READS_MAX - busy_reads(state);
    net_pg_unit *unit;

    if (state->claiming || room == 0 || !net_pg_connected(state->pg)) {
        return;
    }
    unit = net_pg_unit_new(false);
    net_pg_statement(unit, query_watch_due);
    put_venues(state, unit);
    net_pg_text(unit, state->owner);
    net_pg_int(unit, WATCH_LEASE_NS / MICROSECOND_NS);
    net_pg_int(unit, room);
    state->claiming = net_pg_run(state->pg, unit, on_due, state);
}

static void on_counted(void *owner, const net_pg_answer *answer)
{
    watch *state = owner;

    state->counting = false;
    if (answer->outcome == NET_PG_FAILED) {
        log_event(LOG_WARN, "watch.followers", "error", LOG_TEXT(answer->message), NULL);
    }
}

static void count_followers(watch *state)
{
    const int64_t now_ns = clock_monotonic_ns();
    net_pg_unit *unit;

    if (state->counting || now_ns < state->count_at_ns || !net_pg_connected(state->pg)) {
        return;
    }
    state->count_at_ns = now_ns + WATCH_FOLLOWERS_EVERY_NS;
    unit = net_pg_unit_new(false);
    net_pg_statement(unit, query_watch_followers);
    state->counting = net_pg_run(state->pg, unit, on_counted, state);
}

static void on_poll(uv_timer_t *timer)
{
    watch *state = timer->data;

    watch_discover(state);
    count_followers(state);
    claim(state);
}

/* ---- starting and ending ------------------------------------------------------------------------
 */

static void on_released(void *owner, const net_pg_answer *answer)
{
    watch *state = owner;

    (void)answer; /* without it, the leases end by themselves */
    net_pg_close(state->pg);
    net_loop_stop(state->loop, EXIT_SUCCESS);
}

static void release(watch *state)
{
    net_pg_unit *unit = net_pg_unit_new(false);

    if (!uv_is_closing((uv_handle_t *)&state->end)) {
        uv_close((uv_handle_t *)&state->end, NULL);
    }
    net_pg_statement(unit, query_watch_release);
    net_pg_text(unit, state->owner);
    if (!net_pg_connected(state->pg) || !net_pg_run(state->pg, unit, on_released, state)) {
        net_pg_close(state->pg);
        net_loop_stop(state->loop, EXIT_SUCCESS);
    }
}

static void end_when_idle(watch *state)
{
    if (state->stopping && !state->claiming && busy_reads(state) == 0 &&
        !uv_is_closing((uv_handle_t *)&state->end)) {
        release(state);
    }
}

static void on_end(uv_timer_t *timer)
{
    release(timer->data);
}

static void on_stopping(void *owner)
{
    watch *state = owner;

    state->stopping = true;
    uv_close((uv_handle_t *)&state->poll, NULL);
    uv_timer_start(&state->end, on_end, WATCH_ENDING_MS, 0);
    net_http_close(state->http);
    end_when_idle(state);
}

static void find_venues(watch *state)
{
    for (size_t i = 0; i < state->config->venue_count; i++) {
        const config_venue *config = &state->config->venues[i];
        enum venue_market market;
        const venue_adapter *adapter = venue_market_by_name(config->market, &market)
                                           ? venue_find(config->venue, market)
                                           : NULL;

        if (adapter != NULL && config->leaders[0] != '\0' &&
            adapter->capabilities[VENUE_OP_LEADER_POSITIONS] == VENUE_CAN) {
            state->venues[state->venue_count++] = (watch_venue){
                .state = state,
                .config = config,
                .adapter = adapter,
                .ranking_retry_ns = WATCH_RANKING_RETRY_NS,
            };
        }
    }
}

static bool start(watch *state)
{
    const net_pg_options database = {
        .conninfo = state->config->database,
        .password_file = state->config->database_password_file,
        .application_name = "whale-watch",
        .owner = state,
    };
    const net_http_options http = {
        .connections = WATCH_READS_MAX,
        .queue = WATCH_QUEUE,
        .user_agent = "whale",
    };
    uv_loop_t *uv = net_loop_uv(state->loop);
    int64_t poll_ms = state->config->watch_interval_ns / WATCH_POLL_PART / CLOCK_MS_NS;

    poll_ms = poll_ms < WATCH_POLL_LEAST_MS  ? WATCH_POLL_LEAST_MS
              : poll_ms > WATCH_POLL_MOST_MS ? WATCH_POLL_MOST_MS
                                             : poll_ms;
    state->segment = net_loop_segment(state->loop);
    state->process = net_loop_process(state->loop);
    snprintf(state->owner, sizeof(state->owner), "%.64s watch %d %" PRId64,
             state->config->host_name, (int)getpid(), clock_now_ns());
    find_venues(state);
    state->http = net_http_new(uv, &http, state->process);
    state->pg = net_pg_new(uv, &database);
    if (state->http == NULL || state->pg == NULL) {
        return false;
    }
    state->poll.data = state->end.data = state;
    uv_timer_init(uv, &state->poll);
    uv_timer_init(uv, &state->end);
    return uv_timer_start(&state->poll, on_poll, (uint64_t)poll_ms, (uint64_t)poll_ms) == 0;
}

int watch_role_run(const role_context *context)
{
    watch *state = calloc(1, sizeof(*state));
    int status = EXIT_FAILURE;

    if (state == NULL) {
        return EXIT_FAILURE;
    }
    state->config = context->config;
    state->loop = net_loop_new(context, SHM_ROLE_WATCH, on_stopping, state);
    if (state->loop != NULL && start(state)) {
        status = net_loop_run(state->loop);
    }
    if (state->http != NULL) {
        net_http_free(state->http);
    }
    net_loop_free(state->loop);
    free(state);
    return status;
}
