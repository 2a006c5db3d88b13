/*
 * Whether and how a follower copies a signal: product's sizing, leverage and risk checks, in order.
 * Pure: everything that it reads is in its arguments, and reserving checks again what could change.
 */
#ifndef WHALE_TRADE_DECIDE_H
#define WHALE_TRADE_DECIDE_H

#include "workerd/trade/trade_types.h"

#define TRADE_POSITIONS_UNLIMITED (-1)
#define TRADE_LEVERAGE_DEFAULT 5
#define TRADE_LEVERAGE_CEILING 125

/* A follower as one statement saw them. Money in the instrument's settle asset. */
typedef struct {
    int64_t user_id, user_version, follow_id, follow_version, account_id;
    enum trade_tier tier;
    bool user_active;
    /* settings */
    bool spot_only, auto_copy, close_on_whale_exit;
    int delay_s, maximum_positions; /* 0: none set */
    int default_leverage, maximum_leverage;
    bool has_default_size, has_maximum_size, has_loss_limit;
    dec default_size, maximum_size, loss_limit;
    /* the follow; `followed` where it is active and copies by itself */
    bool followed, copy_leverage;
    enum trade_size_kind size_kind;
    dec size_value;
    int follow_leverage; /* 0: none set */
    /* the account; `account_id` 0: none */
    bool account_active, hedge_mode;
    int account_leverage; /* set at the venue for this instrument; 0: not known */
    dec available;
    int open_positions; /* with first entries on their way */
    dec loss_today;
    trade_position held; /* the copy of this whale's position */
    dec other_quantity;  /* signed: open copies of other whales on the same instrument */
    /* unfinished trades here, by the side of the position that they make or take from */
    dec entries_long, entries_short; /* that copy this whale */
    dec exits_long, exits_short;
    dec others_long, others_short; /* entries that copy others */
} trade_follower;

typedef struct {
    enum whale_error reason; /* ERROR_NONE: copy it */
    dec size, price, quantity, hold;
    int leverage;
    int positions_max; /* reserve only below; TRADE_POSITIONS_UNLIMITED: not checked */
} trade_decision;

/*
 * `instrument`: the follower's own, NULL where the venue lists none. `price`: what an order of this
 * side would meet, zero where no fresh one is known.
 */
void trade_decide(const trade_signal *signal, const trade_follower *follower,
                  const trade_instrument *instrument, dec price, trade_decision *decision);

/* Open positions that a tier allows; TRADE_POSITIONS_UNLIMITED for ELITE. */
int trade_tier_positions(enum trade_tier tier);

#endif
