/*
 * Finding whales: the first pages of each venue's ranking, at start and every ten minutes.
 *
 * Promises: a leader is written once however often it stands on a page; a venue that does not
 * answer is asked again after a growing pause; what was found stays, also when it leaves the
 * ranking.
 */
#include "workerd/watch/watch_private.h"

#include "core/log.h"
#include "queries.h"
#include "workerd/watch/watch_score.h"

#include <stdio.h>
#include <string.h>

/* What the columns hold, with room. */
#define ROI_MOST 1000000000
#define WIN_RATE_MOST 1000

static void ask(watch_venue *venue);

/* This pass is over; the next one comes after the regular pause, or sooner after a failure. */
static void finish(watch_venue *venue, bool good)
{
    int64_t pause_ns = WATCH_RANKING_EVERY_NS;

    if (good) {
        venue->ranking_retry_ns = WATCH_RANKING_RETRY_NS;
    } else {
        pause_ns = venue->ranking_retry_ns;
        if (venue->ranking_retry_ns < WATCH_RANKING_EVERY_NS) {
            venue->ranking_retry_ns *= 2;
        }
    }
    venue->ranking_busy = false;
    venue->ranking_at_ns = clock_monotonic_ns() + pause_ns;
}

static void on_saved(void *owner, const net_pg_answer *answer)
{
    watch_venue *venue = owner;

    if (answer->outcome != NET_PG_DONE) {
        log_event(LOG_WARN, "watch.ranking", "error",
                  LOG_TEXT(answer->message != NULL ? answer->message : "no connection"), NULL);
        finish(venue, false);
        return;
    }
    venue->ranking_page++;
    if (venue->ranking_cursor[0] == '\0' || venue->ranking_page >= WATCH_RANKING_PAGES ||
        venue->state->stopping) {
        finish(venue, true);
        return;
    }
    ask(venue);
}

static void push_figure(net_pg_unit *unit, bool known, dec value, int64_t most)
{
    const dec limit = dec_from_int(most);

    if (!known) {
        net_pg_push_text(unit, NULL);
    } else {
        net_pg_push_dec(unit, dec_most(dec_negate(limit), dec_least(limit, value)));
    }
}

enum leader_column {
    LEADER_ID,
    LEADER_NAME,
    LEADER_SCORE,
    LEADER_RANK,
    LEADER_ROI,
    LEADER_PNL,
    LEADER_COPIERS,
    LEADER_WINS,
    LEADER_EQUITY,
    LEADER_FOLLOWERS,
    LEADER_COLUMNS,
};

static void push_leader(net_pg_unit *unit, enum leader_column column, const venue_leader *leader)
{
    switch (column) {
    case LEADER_ID:
        net_pg_push_text(unit, leader->leader_id);
        break;
    case LEADER_NAME:
        net_pg_push_text(unit, leader->nickname);
        break;
    case LEADER_SCORE:
        net_pg_push_dec(unit, watch_whale_score(leader));
        break;
    case LEADER_RANK:
        net_pg_push_text(unit, watch_whale_rank(watch_whale_score(leader)));
        break;
    case LEADER_ROI:
        push_figure(unit, leader->roi_known, leader->roi, ROI_MOST);
        break;
    case LEADER_PNL:
        push_figure(unit, leader->pnl_known, leader->pnl, INT64_MAX);
        break;
    case LEADER_COPIERS:
        push_figure(unit, leader->copier_pnl_known, leader->copier_pnl, INT64_MAX);
        break;
    case LEADER_WINS:
        push_figure(unit, leader->win_rate_known, leader->win_rate, WIN_RATE_MOST);
        break;
    case LEADER_EQUITY:
        push_figure(unit, leader->equity_known, leader->equity, INT64_MAX);
        break;
    default:
        net_pg_push_int(unit, leader->followers);
        break;
    }
}

/* Keeps the first of equal ids: one statement may not touch a row twice. */
static size_t without_repeats(venue_leader *leaders, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        bool known = leaders[i].leader_id[0] == '\0';

        for (size_t j = 0; j < kept && !known; j++) {
            known = strcmp(leaders[j].leader_id, leaders[i].leader_id) == 0;
        }
        if (!known) {
            leaders[kept++] = leaders[i];
        }
    }
    return kept;
}

static void save(watch_venue *venue, venue_leader *leaders, size_t count)
{
    net_pg_unit *unit = net_pg_unit_new(false);

    count = without_repeats(leaders, count);
    net_pg_statement(unit, query_watch_leaders);
    net_pg_text(unit, venue->config->venue);
    net_pg_text(unit, venue->config->market);
    net_pg_int(unit, watch_priority(venue->config->venue));
    for (int column = 0; column < LEADER_COLUMNS; column++) {
        net_pg_array(unit);
        for (size_t i = 0; i < count; i++) {
            push_leader(unit, (enum leader_column)column, &leaders[i]);
        }
    }
    if (!net_pg_run(venue->state->pg, unit, on_saved, venue)) {
        finish(venue, false);
    }
}

static void on_answer(void *owner, const net_http_answer *answer)
{
    watch_venue *venue = owner;
    watch *state = venue->state;
    venue_result result = {.leaders = state->leaders, .capacity = WATCH_RANKING_LEADERS};
    const venue_answer page = {
        .status = answer->status,
        .body = answer->body,
        .body_length = answer->body_length,
        .retry_after_ns = answer->retry_after_ns,
    };
    size_t count;

    if (state->stopping) {
        finish(venue, false);
        return;
    }
    if (answer->outcome == NET_HTTP_ANSWERED) {
        venue->adapter->parse(&venue->ranking_request, &page, &result);
    }
    if (answer->outcome != NET_HTTP_ANSWERED || result.verdict.class_ != VENUE_OK) {
        log_event(LOG_WARN, "watch.ranking", "venue", LOG_TEXT(venue->config->venue), "status",
                  LOG_INT(answer->status), "error",
                  LOG_TEXT(answer->error != NULL ? answer->error : result.verdict.message), NULL);
        finish(venue, false);
        return;
    }
    count = result.count < WATCH_RANKING_LEADERS ? result.count : WATCH_RANKING_LEADERS;
    snprintf(venue->ranking_cursor, sizeof(venue->ranking_cursor), "%s", result.next);
    save(venue, state->leaders, count);
}

static void ask(watch_venue *venue)
{
    const venue_call call = {
        .operation = VENUE_OP_LEADER_RANKING,
        .market = venue->adapter->market,
        .limit = WATCH_RANKING_LEADERS,
        .cursor = venue->ranking_page > 0 ? venue->ranking_cursor : NULL,
        .time_ns = clock_now_ns(),
    };

    if (venue->adapter->build(&call, &venue->ranking_request) != VENUE_BUILD_OK ||
        !watch_send(venue, &venue->ranking_request, on_answer, venue)) {
        finish(venue, false);
    }
}

void watch_discover(watch *state)
{
    const int64_t now_ns = clock_monotonic_ns();

    for (size_t i = 0; i < state->venue_count; i++) {
        watch_venue *venue = &state->venues[i];

        if (venue->ranking_busy || now_ns < venue->ranking_at_ns || now_ns < venue->hold_until_ns ||
            venue->adapter->capabilities[VENUE_OP_LEADER_RANKING] != VENUE_CAN) {
            continue;
        }
        venue->ranking_busy = true;
        venue->ranking_page = 0;
        ask(venue);
    }
}
