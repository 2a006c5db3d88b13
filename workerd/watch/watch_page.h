/*
 * What a read of a whale's page is worth. Pure functions over what came back.
 *
 * Unknown is never flat: only a page that is whole and shows rows says anything about positions.
 */
#ifndef WHALE_WATCH_PAGE_H
#define WHALE_WATCH_PAGE_H

#include "core/clock.h"
#include "venues/venue.h"
#include "workerd/watch/watch_diff.h"

enum watch_page {
    WATCH_PAGE_GOOD,
    WATCH_PAGE_HIDDEN,      /* the venue answered in its own way, and shows nothing of this whale */
    WATCH_PAGE_UNREACHABLE, /* no answer, HTML, a refusal of us: says nothing about the whale */
    WATCH_PAGE_LIMITED,     /* too many requests */
};

/* `status` is HTTP's, 0 where there was no answer; `body` may then be NULL. */
enum watch_page watch_page_judge(int status, const char *body, size_t length,
                                 const venue_result *result);

/* Rows into positions; false where a place stands twice or there are too many: unknown, then. */
bool watch_page_positions(const venue_result *result, watch_position *positions, size_t *count);

/* Whether the text of the page names this symbol at all: then its row says zero. */
bool watch_page_names(const char *body, size_t length, const char *symbol);

#define WATCH_HIDDEN_MAX 5 /* in a row, then sharing counts as disabled */
#define WATCH_DISABLED_PAUSE_NS (24 * 3600 * CLOCK_SECOND_NS)
#define WATCH_HIDDEN_PAUSE_MAX_NS (300 * CLOCK_SECOND_NS) /* before that */
#define WATCH_UNREACHABLE_PAUSE_MAX_NS (30 * CLOCK_SECOND_NS)
#define WATCH_LIMITED_PAUSE_NS (60 * CLOCK_SECOND_NS) /* where the venue does not say */
#define WATCH_LIMITED_PAUSE_MAX_NS (3600 * CLOCK_SECOND_NS)
#define WATCH_GAP_LEAST_NS (60 * CLOCK_SECOND_NS)
#define WATCH_GAP_INTERVALS 5

/* The status to write ("ACTIVE", ...; NULL: leave it) and the pause before the next read. */
typedef struct {
    const char *status;
    int64_t pause_ns;
} watch_retry;
/* `in_a_row`, this one included: hidden pages of this whale, or reads of this venue that failed. */
watch_retry watch_page_retry(enum watch_page page, int64_t in_a_row, int64_t interval_ns,
                             int64_t retry_after_ns);

/* Whether the next good read is a baseline. last_good_ns 0: there was none. */
bool watch_is_baseline(bool had_baseline, int64_t last_good_ns, int64_t now_ns,
                       int64_t interval_ns);

#endif
