/*
 * What a read of a whale's page is worth: see the header.
 */
#include "workerd/watch/watch_page.h"

#include <string.h>

/* The venue's own JSON, though not in the shape that lists positions. */
static bool is_object(const char *body, size_t length)
{
    while (length > 0 && strchr(" \t\r\n", *body) != NULL) {
        body++;
        length--;
    }
    return length > 0 && *body == '{';
}

enum watch_page watch_page_judge(int status, const char *body, size_t length,
                                 const venue_result *result)
{
    if (status == 429 || status == 418) {
        return WATCH_PAGE_LIMITED;
    }
    if (status == 0 || status >= 500 || status == 403) {
        return WATCH_PAGE_UNREACHABLE; /* a 403 is the venue's guard, which dislikes us */
    }
    switch (result->verdict.class_) {
    case VENUE_OK:
    case VENUE_UNCHANGED:
        return result->complete && !result->truncated ? WATCH_PAGE_GOOD : WATCH_PAGE_HIDDEN;
    case VENUE_RETRY_LATER:
        return WATCH_PAGE_LIMITED;
    case VENUE_REJECTED:
    case VENUE_NOT_KNOWN:
        return WATCH_PAGE_HIDDEN;
    case VENUE_UNREADABLE:
        return status == 200 && is_object(body, length) ? WATCH_PAGE_HIDDEN
                                                        : WATCH_PAGE_UNREACHABLE;
    default:
        return WATCH_PAGE_UNREACHABLE;
    }
}

bool watch_page_positions(const venue_result *result, watch_position *positions, size_t *count)
{
    *count = 0;
    if (result->truncated || result->count > WATCH_POSITIONS_MAX) {
        return false;
    }
    for (size_t i = 0; i < result->count; i++) {
        const venue_position *row = &result->positions[i];
        watch_position *position = &positions[*count];

        if (dec_is_zero(row->quantity)) {
            continue;
        }
        for (size_t j = 0; j < *count; j++) {
            if (positions[j].side == row->position_side &&
                strcmp(positions[j].symbol, row->symbol) == 0) {
                return false;
            }
        }
        *position = (watch_position){
            .side = row->position_side,
            .margin_mode = row->margin_mode,
            .quantity = row->quantity,
            .entry_price = row->entry_price,
            .mark_price = row->mark_price,
            .leverage = row->leverage,
        };
        memcpy(position->symbol, row->symbol, sizeof(position->symbol));
        (*count)++;
    }
    return true;
}

bool watch_page_names(const char *body, size_t length, const char *symbol)
{
    const size_t wanted = strlen(symbol);
    const char *end = body + length;

    while (wanted > 0 && (size_t)(end - body) >= wanted + 2) {
        const char *at = memmem(body, (size_t)(end - body), symbol, wanted);

        if (at == NULL) {
            return false;
        }
        if (at > body && at[-1] == '"' && at + wanted < end && at[wanted] == '"') {
            return true;
        }
        body = at + 1;
    }
    return false;
}

static int64_t at_most(int64_t value, int64_t most)
{
    return value < most ? value : most;
}

/* interval, 2, 4, 8 ... times it, up to `most` or the interval itself. */
static int64_t growing_pause(int64_t in_a_row, int64_t interval_ns, int64_t most_ns)
{
    int64_t pause_ns = interval_ns;

    if (interval_ns >= most_ns) {
        return interval_ns;
    }
    for (int64_t i = 1; i < in_a_row && pause_ns < most_ns; i++) {
        pause_ns *= 2;
    }
    return at_most(pause_ns, most_ns);
}

watch_retry watch_page_retry(enum watch_page page, int64_t in_a_row, int64_t interval_ns,
                             int64_t retry_after_ns)
{
    if (page == WATCH_PAGE_LIMITED) {
        const int64_t told_ns = retry_after_ns > 0 ? retry_after_ns : WATCH_LIMITED_PAUSE_NS;

        return (watch_retry){"RATE_LIMITED", at_most(told_ns, WATCH_LIMITED_PAUSE_MAX_NS)};
    }
    if (page == WATCH_PAGE_UNREACHABLE) {
        return (watch_retry){NULL,
                             growing_pause(in_a_row, interval_ns, WATCH_UNREACHABLE_PAUSE_MAX_NS)};
    }
    if (in_a_row >= WATCH_HIDDEN_MAX) {
        return (watch_retry){"SHARING_DISABLED", WATCH_DISABLED_PAUSE_NS};
    }
    return (watch_retry){NULL, growing_pause(in_a_row, interval_ns, WATCH_HIDDEN_PAUSE_MAX_NS)};
}

bool watch_is_baseline(bool had_baseline, int64_t last_good_ns, int64_t now_ns, int64_t interval_ns)
{
    int64_t gap_ns = WATCH_GAP_LEAST_NS;

    if (interval_ns > gap_ns / WATCH_GAP_INTERVALS) {
        gap_ns = interval_ns * WATCH_GAP_INTERVALS;
    }
    return !had_baseline || last_good_ns == 0 || now_ns - last_good_ns > gap_ns;
}
