/*
 * What changed between two reads of a whale's positions. A pure function.
 *
 *   then      now                       normally         baseline
 *   nothing   something                 OPEN             (noted)
 *   some      more, same side           INCREASE         (noted)
 *   some      less, same side           REDUCE           REDUCE
 *   some      nothing                   CLOSE            CLOSE
 *   some      the other side            CLOSE, FLIP      CLOSE
 *
 * A baseline is a first read, or one after a gap: what grew may have grown long ago, at another
 * price, so it opens nothing; what is gone is gone, and copies of it are closed all the same.
 */
#ifndef WHALE_WATCH_DIFF_H
#define WHALE_WATCH_DIFF_H

#include "venues/venue.h"

#define WATCH_POSITIONS_MAX 512 /* of one whale; a page with more is unknown */

typedef struct {
    char symbol[VENUE_SYMBOL_MAX];
    enum venue_position_side side;
    enum venue_margin_mode margin_mode;
    dec quantity; /* signed; short is negative, on SHORT as well */
    dec entry_price, mark_price;
    int leverage; /* 0: not told */
} watch_position;

enum watch_kind { WATCH_OPEN, WATCH_INCREASE, WATCH_REDUCE, WATCH_CLOSE, WATCH_FLIP };
const char *watch_kind_name(enum watch_kind kind); /* as in the database */

typedef struct {
    enum watch_kind kind;
    bool buys, closes;
    dec before, after; /* of what this signal is about: a FLIP begins at zero */
    dec fraction;      /* of the position as it was: 1 closes it, 0.25 cuts or adds a quarter */
} watch_signal;

#define WATCH_SIGNALS_A_CHANGE 2
#define WATCH_CHANGES_MAX (2 * WATCH_POSITIONS_MAX)

/* A position to write, and what to tell of it. */
typedef struct {
    watch_position position; /* as it is now; quantity zero where it is gone */
    unsigned signal_count;
    watch_signal signals[WATCH_SIGNALS_A_CHANGE];
} watch_change;

/* Whether a position that stands no longer on the page may be taken for closed. */
typedef bool watch_is_gone(void *owner, const watch_position *position);

typedef struct {
    const watch_position *then, *now;
    size_t then_count, now_count;
    bool baseline;
    watch_is_gone *is_gone;
    void *owner;
} watch_reads;

/* Into `changes`, which has room for WATCH_CHANGES_MAX. Returns how many. */
size_t watch_diff(const watch_reads *reads, watch_change *changes);

#endif
