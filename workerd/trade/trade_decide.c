/*
 * The decision; see trade_decide.h.
 *
 * Entries (OPEN, FLIP, INCREASE) pass every check; exits (REDUCE, CLOSE) pass those of an exit
 * alone, for a plan, a limit or an old signal must never keep a position open.
 */
#include "workerd/trade/trade_decide.h"

#include "workerd/trade/trade_size.h"

#include <stddef.h>

int trade_tier_positions(enum trade_tier tier)
{
    switch (tier) {
    case TRADE_FREE:
        return 5;
    case TRADE_PRO:
        return 10;
    default:
        return TRADE_POSITIONS_UNLIMITED;
    }
}

static bool trade_is_futures(const trade_instrument *instrument)
{
    return instrument->rules.market == VENUE_USDM || instrument->rules.market == VENUE_COINM;
}

/* +1 for a position that this side opens, -1 for its opposite. */
static int trade_direction(enum venue_side side)
{
    return side == VENUE_BUY ? 1 : -1;
}

/* ---- what is there -----------------------------------------------------------------------------
 */

/*
 * The copy on one side with what is on its way to and from it. Sides are kept apart: in a flip the
 * exit of the one and the entry to the other are under way together.
 */
static dec trade_holding(const trade_follower *follower, int direction)
{
    dec held = direction > 0 ? follower->held.quantity : dec_negate(follower->held.quantity);
    dec entries = direction > 0 ? follower->entries_long : follower->entries_short;
    dec exits = direction > 0 ? follower->exits_long : follower->exits_short;
    dec quantity = dec_most(held, DEC_ZERO);

    if (!dec_add(quantity, entries, &quantity) || !dec_sub(quantity, exits, &quantity)) {
        return DEC_ZERO;
    }
    return dec_most(quantity, DEC_ZERO);
}

/*
 * One-way accounts have one position an instrument: an entry against it would close someone else's
 * copy. The own copy of the other side does not count where exits that take all of it are under way
 * (a flip); the claim looks again when they have ended.
 */
static bool trade_opposed(const trade_follower *follower, int direction)
{
    dec entries = direction > 0 ? follower->others_short : follower->others_long;

    return dec_sign(follower->other_quantity) * direction < 0 || dec_sign(entries) > 0 ||
           dec_sign(trade_holding(follower, -direction)) > 0;
}

/* ---- leverage ----------------------------------------------------------------------------------
 */

static int trade_least_int(int a, int b)
{
    return a < b ? a : b;
}

static int trade_leverage(const trade_signal *signal, const trade_follower *follower,
                          const trade_instrument *instrument)
{
    int leverage =
        follower->default_leverage > 0 ? follower->default_leverage : TRADE_LEVERAGE_DEFAULT;

    if (!trade_is_futures(instrument)) {
        return 1;
    }
    if (follower->held.leverage > 0 && !dec_is_zero(follower->held.quantity)) {
        return follower->held.leverage; /* one position, one leverage */
    }
    if (follower->account_leverage > 0 &&
        (!dec_is_zero(follower->other_quantity) || !dec_is_zero(follower->others_long) ||
         !dec_is_zero(follower->others_short))) {
        return follower->account_leverage; /* another copy shares the venue's position */
    }
    if (follower->follow_leverage > 0) {
        leverage = follower->follow_leverage;
    } else if (follower->copy_leverage && signal->leverage > 0) {
        leverage = signal->leverage;
    }
    if (follower->maximum_leverage > 0) {
        leverage = trade_least_int(leverage, follower->maximum_leverage);
    }
    if (instrument->rules.leverage_max > 0) {
        leverage = trade_least_int(leverage, instrument->rules.leverage_max);
    }
    return trade_least_int(leverage, TRADE_LEVERAGE_CEILING);
}

/*
 * A leverage that a position on this instrument keeps may be above what the user has set since. An
 * order at it would exceed the maximum, and lowering it at the venue would change the position that
 * is there (its margin, or another whale's copy): such an entry is refused until the position is
 * closed.
 */
static bool trade_leverage_exceeds(const trade_follower *follower,
                                   const trade_instrument *instrument, int leverage)
{
    return trade_is_futures(instrument) && follower->maximum_leverage > 0 &&
           leverage > follower->maximum_leverage;
}

/* ---- size --------------------------------------------------------------------------------------
 */

/* What the user asked for, before any limit; `named` where it was an amount of money. */
static dec trade_size_wanted(const trade_follower *follower, bool *named)
{
    *named = true;
    if (follower->size_kind == TRADE_SIZE_FIXED) {
        return follower->size_value;
    }
    if (follower->size_kind == TRADE_SIZE_DEFAULT && follower->has_default_size) {
        return follower->default_size;
    }
    *named = false;
    if (follower->size_kind == TRADE_SIZE_PERCENT) {
        dec size;

        return dec_mul_div(follower->available, follower->size_value, dec_from_int(100), DEC_FLOOR,
                           &size)
                   ? size
                   : DEC_ZERO;
    }
    return trade_part(follower->available, TRADE_FALLBACK_PERCENT, 100);
}

/* min notional / leverage x 1.2, rounded up: an order of this size cannot fall below the venue's
 * filter. */
static bool trade_size_least(const trade_instrument *instrument, int leverage, dec *least)
{
    return dec_mul_div(trade_notional_min(instrument), dec_from_int(TRADE_SAFE_LEAST),
                       dec_from_int(100LL * leverage), DEC_CEILING, least);
}

/* The size within the safe bounds; SIZE_LIMITS_CROSS where no size is within them. */
static enum whale_error trade_size_safe(const trade_follower *follower, dec least, dec *size)
{
    bool named;
    dec wanted = trade_size_wanted(follower, &named);
    dec most = trade_part(follower->available, TRADE_SAFE_MOST, 100);

    if (!named) {
        if (dec_compare(least, most) > 0) {
            return ERROR_SIZE_LIMITS_CROSS;
        }
        wanted = dec_least(wanted, most);
    }
    *size = dec_most(wanted, least);
    return ERROR_NONE;
}

/* What must be held for a margin of this size. */
static bool trade_size_hold(dec size, int leverage, dec *hold)
{
    dec notional;

    return dec_mul(size, dec_from_int(leverage), DEC_CEILING, &notional) &&
           trade_hold(notional, leverage, hold);
}

/* More than there is: 80 % of it. Above the user's maximum: the maximum. */
static enum whale_error trade_size_afford(const trade_follower *follower, int leverage, dec least,
                                          dec *size)
{
    dec hold;

    if (!trade_size_hold(*size, leverage, &hold)) {
        return ERROR_FUNDS_SHORT;
    }
    if (dec_compare(hold, follower->available) > 0) {
        *size = dec_least(*size, trade_part(follower->available, TRADE_SHORT_PERCENT, 100));
        if (dec_compare(*size, dec_from_int(TRADE_LEAST)) < 0 || dec_compare(*size, least) < 0 ||
            !trade_size_hold(*size, leverage, &hold) ||
            dec_compare(hold, follower->available) > 0) {
            return ERROR_FUNDS_SHORT;
        }
    }
    if (follower->has_maximum_size && dec_compare(*size, follower->maximum_size) > 0) {
        *size = follower->maximum_size;
        if (dec_compare(*size, least) < 0) {
            return ERROR_SIZE_LIMITS_CROSS;
        }
        if (dec_compare(*size, dec_from_int(TRADE_LEAST)) < 0) {
            return ERROR_SIZE_TOO_SMALL;
        }
    }
    return ERROR_NONE;
}

/* ---- the checks --------------------------------------------------------------------------------
 */

static enum whale_error trade_check_account(const trade_follower *follower)
{
    if (follower->account_id == 0) {
        return ERROR_NO_ACCOUNT;
    }
    if (!follower->account_active) {
        return ERROR_ACCOUNT_INACTIVE;
    }
    return follower->hedge_mode ? ERROR_HEDGE_MODE_UNSUPPORTED : ERROR_NONE;
}

/* Before any size: who the user is, and whether the signal can be followed at all. */
static enum whale_error trade_check_entry(const trade_signal *signal,
                                          const trade_follower *follower,
                                          const trade_instrument *instrument)
{
    enum whale_error account;

    if (!follower->user_active) {
        return ERROR_USER_INACTIVE;
    }
    if (!follower->auto_copy || !follower->followed) {
        return ERROR_COPY_OFF;
    }
    account = trade_check_account(follower);
    if (account != ERROR_NONE) {
        return account;
    }
    if (instrument == NULL || !instrument->rules.trading) {
        return ERROR_NO_INSTRUMENT;
    }
    if (follower->spot_only && trade_is_futures(instrument)) {
        return ERROR_COPY_OFF;
    }
    if (signal->stale) {
        return ERROR_SIGNAL_STALE;
    }
    return trade_opposed(follower, trade_direction(signal->side)) ? ERROR_OPPOSITE_POSITION
                                                                  : ERROR_NONE;
}

static enum whale_error trade_check_limits(const trade_follower *follower, bool first_entry,
                                           trade_decision *decision)
{
    int most = trade_tier_positions(follower->tier);

    if (follower->has_loss_limit && dec_compare(follower->loss_today, follower->loss_limit) >= 0) {
        return ERROR_DAILY_LOSS_REACHED;
    }
    if (!first_entry) {
        return ERROR_NONE;
    }
    if (follower->maximum_positions > 0) {
        most = most == TRADE_POSITIONS_UNLIMITED
                   ? follower->maximum_positions
                   : trade_least_int(most, follower->maximum_positions);
    }
    decision->positions_max = most;
    return most != TRADE_POSITIONS_UNLIMITED && follower->open_positions >= most
               ? ERROR_POSITIONS_FULL
               : ERROR_NONE;
}

/* From a margin to what is ordered: the quantity on the step, and what that needs. */
static enum whale_error trade_fix(const trade_follower *follower,
                                  const trade_instrument *instrument, dec notional,
                                  trade_decision *decision)
{
    dec exact;

    decision->quantity = trade_quantity(instrument, notional, decision->price);
    if (dec_is_zero(decision->quantity) ||
        !trade_notional(instrument, decision->quantity, decision->price, &exact) ||
        dec_compare(exact, trade_notional_min(instrument)) < 0 ||
        !trade_margin(exact, decision->leverage, &decision->size) ||
        !trade_hold(exact, decision->leverage, &decision->hold)) {
        return ERROR_SIZE_TOO_SMALL;
    }
    return dec_compare(decision->hold, follower->available) > 0 ? ERROR_FUNDS_SHORT : ERROR_NONE;
}

/* ---- entries -----------------------------------------------------------------------------------
 */

static enum whale_error trade_decide_open(const trade_follower *follower,
                                          const trade_instrument *instrument,
                                          trade_decision *decision)
{
    dec least, size, notional;
    enum whale_error reason;

    if (!trade_size_least(instrument, decision->leverage, &least)) {
        return ERROR_SIZE_LIMITS_CROSS;
    }
    if (dec_compare(follower->available, dec_from_int(TRADE_LEAST)) < 0) {
        return ERROR_BALANCE_TOO_LOW;
    }
    reason = trade_size_safe(follower, least, &size);
    if (reason != ERROR_NONE) {
        return reason;
    }
    if (dec_compare(size, dec_from_int(TRADE_LEAST)) < 0) {
        return ERROR_SIZE_TOO_SMALL;
    }
    if (trade_is_futures(instrument) && follower->tier == TRADE_FREE) {
        return ERROR_FUTURES_NEED_PRO;
    }
    reason = trade_size_afford(follower, decision->leverage, least, &size);
    if (reason != ERROR_NONE) {
        return reason;
    }
    reason = trade_check_limits(follower, true, decision);
    if (reason != ERROR_NONE) {
        return reason;
    }
    if (dec_sign(decision->price) <= 0) {
        return ERROR_PRICE_UNKNOWN;
    }
    if (!dec_mul(size, dec_from_int(decision->leverage), DEC_FLOOR, &notional)) {
        return ERROR_FUNDS_SHORT;
    }
    return trade_fix(follower, instrument, notional, decision);
}

/*
 * The most that one increase may add, whatever the whale does: what the user's own rule gives for a
 * copy, and what the copy, with entries on their way, leaves of the user's maximum. (A whale that
 * first probes with dust adds a thousandfold; followers named a size so as not to.)
 */
static enum whale_error trade_increase_most(const trade_follower *follower,
                                            const trade_instrument *instrument,
                                            enum venue_side side, trade_decision *decision,
                                            dec *most)
{
    dec entries = side == VENUE_BUY ? follower->entries_long : follower->entries_short;
    dec least, coming, room;
    enum whale_error reason;

    if (!trade_size_least(instrument, decision->leverage, &least)) {
        return ERROR_SIZE_LIMITS_CROSS;
    }
    reason = trade_size_safe(follower, least, most);
    if (reason != ERROR_NONE || !follower->has_maximum_size) {
        return reason;
    }
    if (!trade_notional(instrument, entries, decision->price, &coming) ||
        !trade_margin(coming, decision->leverage, &coming) ||
        !dec_sub(follower->maximum_size, follower->held.margin, &room) ||
        !dec_sub(room, coming, &room) || dec_compare(room, least) < 0) {
        return ERROR_SIZE_LIMITS_CROSS;
    }
    *most = dec_least(*most, room);
    return ERROR_NONE;
}

/* Whether an increase is allowed at all, before its size. */
static enum whale_error trade_check_increase(const trade_follower *follower,
                                             const trade_instrument *instrument,
                                             trade_decision *decision)
{
    enum whale_error reason;

    if (dec_compare(follower->available, dec_from_int(TRADE_LEAST)) < 0) {
        return ERROR_BALANCE_TOO_LOW;
    }
    if (trade_is_futures(instrument) && follower->tier == TRADE_FREE) {
        return ERROR_FUTURES_NEED_PRO;
    }
    reason = trade_check_limits(follower, false, decision);
    if (reason != ERROR_NONE) {
        return reason;
    }
    return dec_sign(decision->price) <= 0 ? ERROR_PRICE_UNKNOWN : ERROR_NONE;
}

/* Adds the whale's own fraction to what the follower holds, within the follower's own bounds. */
static enum whale_error trade_decide_increase(const trade_signal *signal,
                                              const trade_follower *follower,
                                              const trade_instrument *instrument,
                                              trade_decision *decision)
{
    dec holding = trade_holding(follower, trade_direction(signal->side));
    dec added, notional, most, hold;
    enum whale_error reason;

    if (dec_sign(holding) <= 0) {
        return ERROR_NO_POSITION;
    }
    reason = trade_check_increase(follower, instrument, decision);
    if (reason == ERROR_NONE) {
        reason = trade_increase_most(follower, instrument, signal->side, decision, &most);
    }
    if (reason != ERROR_NONE) {
        return reason;
    }
    if (!dec_mul(holding, signal->fraction, DEC_FLOOR, &added) ||
        !trade_notional(instrument, added, decision->price, &notional) ||
        !dec_mul(most, dec_from_int(decision->leverage), DEC_FLOOR, &most)) {
        return ERROR_FUNDS_SHORT;
    }
    notional = dec_least(notional, most);
    if (!trade_hold(notional, decision->leverage, &hold)) {
        return ERROR_FUNDS_SHORT;
    }
    if (dec_compare(hold, follower->available) > 0) {
        most = trade_part(follower->available, TRADE_SHORT_PERCENT, 100);
        if (!dec_mul(most, dec_from_int(decision->leverage), DEC_FLOOR, &most)) {
            return ERROR_FUNDS_SHORT;
        }
        notional = dec_least(notional, most);
    }
    return trade_fix(follower, instrument, notional, decision);
}

/* ---- exits -------------------------------------------------------------------------------------
 */

static enum whale_error trade_decide_exit(const trade_signal *signal,
                                          const trade_follower *follower,
                                          const trade_instrument *instrument,
                                          trade_decision *decision)
{
    dec holding = trade_holding(follower, -trade_direction(signal->side));

    if (!follower->close_on_whale_exit) {
        return ERROR_COPY_OFF;
    }
    if (follower->account_id == 0) {
        return ERROR_NO_ACCOUNT;
    }
    if (!follower->account_active) {
        return ERROR_ACCOUNT_INACTIVE;
    }
    if (instrument == NULL) {
        return ERROR_NO_INSTRUMENT;
    }
    if (dec_sign(holding) <= 0) {
        return ERROR_NO_POSITION;
    }
    decision->quantity = trade_reduction(instrument, holding,
                                         signal->kind == TRADE_CLOSE ? DEC_ONE : signal->fraction);
    return dec_is_zero(decision->quantity) ? ERROR_SIZE_TOO_SMALL : ERROR_NONE;
}

/* ---- all together ------------------------------------------------------------------------------
 */

void trade_decide(const trade_signal *signal, const trade_follower *follower,
                  const trade_instrument *instrument, dec price, trade_decision *decision)
{
    *decision = (trade_decision){.price = price, .positions_max = TRADE_POSITIONS_UNLIMITED};
    decision->leverage = 1;
    if (instrument != NULL) {
        decision->leverage = trade_leverage(signal, follower, instrument);
    }
    if (signal->closes) {
        decision->reason = trade_decide_exit(signal, follower, instrument, decision);
    } else {
        decision->reason = trade_check_entry(signal, follower, instrument);
        if (decision->reason == ERROR_NONE &&
            trade_leverage_exceeds(follower, instrument, decision->leverage)) {
            decision->reason = ERROR_LEVERAGE_LIMIT;
        }
    }
    if (!signal->closes && decision->reason == ERROR_NONE) {
        if (signal->kind == TRADE_INCREASE) {
            decision->reason = trade_decide_increase(signal, follower, instrument, decision);
        } else if (dec_sign(trade_holding(follower, trade_direction(signal->side))) > 0) {
            decision->reason = ERROR_ALREADY_COPIED;
        } else {
            decision->reason = trade_decide_open(follower, instrument, decision);
        }
    }
    if (decision->reason != ERROR_NONE) {
        decision->size = decision->quantity = decision->hold = DEC_ZERO;
    }
}
