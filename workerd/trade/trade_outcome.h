/*
 * What to do after each answer: (where a trade stands, how the call ended, what the venue says) ->
 * the next step. Pure; the one place where "exactly one order per trade" is decided.
 *
 * The rules (docs/ARCHITECTURE.md): an order is sent again under a new attempt only after the venue
 * said for certain that it was not executed; whatever is unclear is asked about; "not found" counts
 * only after the request's own window, several times; an unclear entry fails, an unclear close
 * whose position is still there is sent again under its own id.
 */
#ifndef WHALE_TRADE_OUTCOME_H
#define WHALE_TRADE_OUTCOME_H

#include "workerd/trade/trade_call.h"
#include "workerd/trade/trade_types.h"

#define TRADE_ATTEMPTS_ENTRY 5
#define TRADE_ATTEMPTS_EXIT 20
#define TRADE_NEGATIVES_LEAST 3     /* rounds of not found before anything follows from it */
#define TRADE_NEGATIVES_DISPUTED 10 /* where the position says otherwise */
#define TRADE_FILLS_TRIES 4
#define TRADE_UNKNOWN_DELAY_NS (200 * 1000000LL)
#define TRADE_ASK_DELAY_NS (700 * 1000000LL)
#define TRADE_UNSENT_DELAY_NS (500 * 1000000LL)
#define TRADE_RETRY_DELAY_NS (1000 * 1000000LL)
#define TRADE_RETRY_DELAY_MAX_NS (60000 * 1000000LL)
#define TRADE_ACCOUNT_PATIENCE_NS (600000 * 1000000LL) /* for a key that works again */
#define TRADE_WINDOW_MARGIN_NS                                                                     \
    (2000 * 1000000LL) /* past the window, for the venue to make up its mind */

enum trade_step {
    TRADE_STEP_PLACE,        /* leverage is set: send the order */
    TRADE_STEP_FILLS,        /* executed: fetch what it filled */
    TRADE_STEP_FILLS_AGAIN,  /* not all there yet: after delay_ns */
    TRADE_STEP_SETTLE,       /* all there: book it */
    TRADE_STEP_FAIL,         /* for certain not executed, and final */
    TRADE_STEP_RELEASE,      /* for certain not executed: back to PENDING, again after delay_ns */
    TRADE_STEP_UNKNOWN,      /* ask, after delay_ns */
    TRADE_STEP_ASK_FILLS,    /* the venue knows no such order: look at the fills */
    TRADE_STEP_ASK_POSITION, /* nor such fills: look at the position */
    TRADE_STEP_RESEND,       /* a close, under its own id */
    TRADE_STEP_GIVE_UP,      /* an entry that was never found; asked about later all the same */
    TRADE_STEP_GONE,         /* the copy is not at the venue any more */
};
const char *trade_step_name(enum trade_step step);

typedef struct {
    enum trade_step step;
    enum whale_error reason; /* of FAIL and GIVE_UP */
    int64_t delay_ns;
    bool new_attempt; /* RELEASE: the next order has another id */
    bool negative;    /* a round of not found: counts */
    bool sync_clock;  /* the venue says that our time is wrong */
    bool account_bad; /* the key or account does not work: have it looked at */
    bool dead;        /* somebody should know */
} trade_next;

typedef struct {
    bool reduce_only;
    int attempt, asks;
    bool overdue;     /* asked about for longer than an account is waited for */
    bool window_over; /* the venue can no longer accept the request, and has had time to show it */
} trade_standing;

trade_next trade_after_leverage(const trade_standing *standing, const trade_call_outcome *outcome);
/* `order`: what the answer holds, where it is VENUE_OK. */
trade_next trade_after_place(const trade_standing *standing, const trade_call_outcome *outcome,
                             const venue_order *order);
/* Of the fills there are `found`, of `executed`. */
trade_next trade_after_fills(const trade_call_outcome *outcome, dec found, dec executed,
                             bool truncated, int tries);
/* `agrees`: the order is the one that was sent (trade_order_agrees). */
trade_next trade_after_query(const trade_standing *standing, const trade_call_outcome *outcome,
                             const venue_order *order, bool agrees);
/* Fills since the request, of orders that are nobody's: none led to our order. */
trade_next trade_after_search(const trade_standing *standing, const trade_call_outcome *outcome,
                              bool truncated);
/*
 * The last of a round. `there`: of a close: the venue's position still has it; of an entry: the
 * venue's position is larger than our books by as much.
 */
trade_next trade_after_position(const trade_standing *standing, const trade_call_outcome *outcome,
                                bool there);

/*
 * Nothing of a close was executed where the venue's position, in its direction, still has all that
 * our books have: `booked` of all copies there, which may be more than the close takes.
 */
bool trade_close_untouched(dec held, dec booked, dec quantity);

/* After a close that was refused because there is nothing to reduce. */
trade_next trade_after_flat(const trade_call_outcome *outcome, bool there);

typedef struct {
    const char *symbol, *client_order_id;
    enum venue_side side;
    bool reduce_only;
    dec quantity;
    int64_t not_before_ns;
} trade_sent;
/*
 * An order found is ours only if instrument, id, side and quantity agree and it is not older than
 * the trade. A venue may cut a reduce-only order down to the position: of those, less agrees.
 */
bool trade_order_agrees(const venue_order *order, const trade_sent *sent);

#endif
