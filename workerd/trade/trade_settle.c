/* What an ended trade changes; see trade_settle.h. */
#include "workerd/trade/trade_settle.h"

#include "workerd/trade/trade_size.h"

#include <string.h>

const char *trade_ledger_kind_name(enum trade_ledger_kind kind)
{
    static const char *const names[] = {"AVAILABLE", "HELD", "POSITION", "FEE", "EXTERNAL"};

    return names[kind];
}

const char *trade_ledger_reason_name(enum trade_ledger_reason reason)
{
    static const char *const names[] = {"RELEASE", "MARGIN", "MARGIN_RETURN", "TRADING_FEE",
                                        "REALISED_PNL"};

    return names[reason];
}

const char *trade_end_name(enum trade_end end)
{
    static const char *const names[] = {"FILLED", "PARTIAL", "FAILED"};

    return names[end];
}

/* ---- sums over the fills -----------------------------------------------------------------------
 */

typedef struct {
    dec quantity, notional, realised, settle_fee;
} trade_sums;

static bool trade_sum(const trade_settle_facts *facts, trade_sums *sums)
{
    *sums = (trade_sums){0};
    for (size_t i = 0; i < facts->fill_count; i++) {
        const venue_fill *fill = &facts->fills[i];
        dec notional;

        if (fill->side != facts->side || dec_sign(fill->quantity) <= 0 ||
            dec_sign(fill->price) <= 0 ||
            !trade_notional(facts->instrument, fill->quantity, fill->price, &notional) ||
            !dec_add(sums->quantity, fill->quantity, &sums->quantity) ||
            !dec_add(sums->notional, notional, &sums->notional) ||
            !dec_add(sums->realised, fill->realised_pnl, &sums->realised)) {
            return false;
        }
        if (strcmp(fill->fee_asset, facts->instrument->rules.settle) == 0 &&
            !dec_add(sums->settle_fee, fill->fee, &sums->settle_fee)) {
            return false;
        }
    }
    return dec_compare(sums->quantity, facts->quantity) <= 0;
}

/* ---- the ledger --------------------------------------------------------------------------------
 */

static bool trade_move_add(trade_settlement *settlement, const char *asset,
                           enum trade_ledger_kind from, enum trade_ledger_kind to,
                           enum trade_ledger_reason reason, dec amount)
{
    if (dec_sign(amount) < 0) {
        enum trade_ledger_kind swapped = from;

        from = to;
        to = swapped;
        amount = dec_negate(amount);
    }
    if (dec_is_zero(amount)) {
        return true;
    }
    for (size_t i = 0; i < settlement->move_count; i++) {
        trade_move *move = &settlement->moves[i];

        if (move->from == from && move->to == to && move->reason == reason &&
            strcmp(move->asset, asset) == 0) {
            return dec_add(move->amount, amount, &move->amount);
        }
    }
    if (settlement->move_count == TRADE_MOVES_MAX) {
        return false;
    }
    settlement->moves[settlement->move_count++] =
        (trade_move){.asset = asset, .from = from, .to = to, .reason = reason, .amount = amount};
    return true;
}

/* Takes from what is held as far as it goes, the rest from what is available. */
static bool trade_spend(trade_settlement *settlement, const char *asset, dec *held,
                        enum trade_ledger_kind to, enum trade_ledger_reason reason, dec amount)
{
    dec from_held = dec_sign(amount) > 0 ? dec_least(amount, *held) : DEC_ZERO;
    dec rest;

    return dec_sub(amount, from_held, &rest) && dec_sub(*held, from_held, held) &&
           trade_move_add(settlement, asset, TRADE_HELD, to, reason, from_held) &&
           trade_move_add(settlement, asset, TRADE_AVAILABLE, to, reason, rest);
}

/* Fees in the settle asset go together; others (a venue's own coin) by asset as they come. */
static bool trade_move_fees(const trade_settle_facts *facts, const trade_sums *sums, dec *held,
                            trade_settlement *settlement)
{
    if (!trade_spend(settlement, facts->instrument->rules.settle, held, TRADE_FEE,
                     TRADE_TRADING_FEE, sums->settle_fee)) {
        return false;
    }
    for (size_t i = 0; i < facts->fill_count; i++) {
        const venue_fill *fill = &facts->fills[i];

        if (strcmp(fill->fee_asset, facts->instrument->rules.settle) != 0 &&
            !trade_move_add(settlement, fill->fee_asset, TRADE_AVAILABLE, TRADE_FEE,
                            TRADE_TRADING_FEE, fill->fee)) {
            return false;
        }
    }
    return true;
}

/* ---- the position ------------------------------------------------------------------------------
 */

static bool trade_grow(const trade_settle_facts *facts, const trade_sums *sums, dec *margin,
                       trade_settlement *settlement)
{
    trade_position *after = &settlement->position;
    dec added = facts->side == VENUE_BUY ? sums->quantity : dec_negate(sums->quantity);

    settlement->opens = facts->position.id == 0;
    settlement->changes = !settlement->opens;
    if (settlement->opens) {
        after->leverage = facts->leverage;
    }
    return trade_margin(sums->notional, facts->leverage, margin) &&
           dec_add(after->quantity, added, &after->quantity) &&
           dec_add(after->entry_notional, sums->notional, &after->entry_notional) &&
           dec_add(after->margin, *margin, &after->margin);
}

/* Of a copy, what the venue had when the order came; less than our books where it cut the order. */
static dec trade_there(const trade_settle_facts *facts, dec before)
{
    bool cut = facts->reduce_only && dec_sign(facts->accepted) > 0 &&
               dec_compare(facts->accepted, facts->quantity) < 0;

    return cut ? dec_least(before, facts->accepted) : before;
}

/* Takes away in proportion; the last part takes all that is left, to the last digit. */
static bool trade_shrink(const trade_settle_facts *facts, const trade_sums *sums, dec *returned,
                         trade_settlement *settlement)
{
    trade_position *after = &settlement->position;
    dec before = dec_absolute(after->quantity), there = trade_there(facts, before);
    dec rest, taken, entry_taken;
    bool is_long = dec_sign(after->quantity) > 0;

    if (facts->position.id == 0 || is_long != (facts->side == VENUE_SELL) ||
        !dec_sub(there, sums->quantity, &rest) || dec_sign(rest) < 0 ||
        !dec_sub(before, rest, &taken)) {
        return false;
    }
    settlement->changes = true;
    settlement->external = dec_compare(there, before) < 0;
    if (dec_is_zero(rest)) {
        *returned = after->margin;
        after->quantity = after->entry_notional = after->margin = DEC_ZERO;
        return true;
    }
    after->quantity = is_long ? rest : dec_negate(rest);
    return dec_mul_div(after->margin, taken, before, DEC_HALF_EVEN, returned) &&
           dec_mul_div(after->entry_notional, taken, before, DEC_HALF_EVEN, &entry_taken) &&
           dec_sub(after->margin, *returned, &after->margin) &&
           dec_sub(after->entry_notional, entry_taken, &after->entry_notional);
}

/*
 * An entry that met a copy of the other side: sent while there was none, it surfaced late. The
 * venue has netted the two; so do we. What goes beyond the copy is a position of the other side.
 */
static bool trade_cross(const trade_settle_facts *facts, const trade_sums *sums, dec *margin,
                        dec *returned, trade_settlement *settlement)
{
    trade_position *after = &settlement->position;
    dec before = dec_absolute(after->quantity), rest;

    if (dec_compare(sums->quantity, before) <= 0) {
        return trade_shrink(facts, sums, returned, settlement);
    }
    settlement->changes = true;
    *returned = after->margin;
    if (!dec_sub(sums->quantity, before, &rest) ||
        !dec_mul_div(sums->notional, rest, sums->quantity, DEC_HALF_EVEN, &after->entry_notional) ||
        !trade_margin(after->entry_notional, facts->leverage, margin)) {
        return false;
    }
    after->quantity = facts->side == VENUE_BUY ? rest : dec_negate(rest);
    after->margin = *margin;
    return true;
}

static bool trade_move_position(const trade_settle_facts *facts, const trade_sums *sums,
                                dec *margin, dec *returned, trade_settlement *settlement)
{
    int held = dec_sign(facts->position.quantity);

    if (facts->reduce_only) {
        return trade_shrink(facts, sums, returned, settlement);
    }
    if (held != 0 && (held > 0) != (facts->side == VENUE_BUY)) {
        return trade_cross(facts, sums, margin, returned, settlement);
    }
    return trade_grow(facts, sums, margin, settlement);
}

static bool trade_carry(const trade_sums *sums, trade_settlement *settlement)
{
    trade_position *after = &settlement->position;

    return dec_add(after->realised_pnl, sums->realised, &after->realised_pnl) &&
           dec_add(after->fees, sums->settle_fee, &after->fees);
}

/* ---- together ----------------------------------------------------------------------------------
 */

static bool trade_figures(const trade_settle_facts *facts, const trade_sums *sums,
                          trade_settlement *settlement)
{
    settlement->filled_quantity = sums->quantity;
    settlement->fee = sums->settle_fee;
    settlement->realised_pnl = sums->realised;
    settlement->end = dec_is_zero(sums->quantity)                         ? TRADE_FAILED
                      : dec_compare(sums->quantity, facts->quantity) == 0 ? TRADE_FILLED
                                                                          : TRADE_PARTIAL;
    if (settlement->end == TRADE_FAILED) {
        return true;
    }
    dec unit_notional;

    /* Quote per unit of quantity, so that average x quantity is the notional. */
    return trade_notional(facts->instrument, sums->quantity, DEC_ONE, &unit_notional) &&
           dec_div(sums->notional, unit_notional, DEC_HALF_EVEN, &settlement->average_price);
}

bool trade_settle(const trade_settle_facts *facts, trade_settlement *settlement)
{
    const char *asset = facts->instrument->rules.settle;
    dec held = facts->hold, margin = DEC_ZERO, returned = DEC_ZERO;
    trade_sums sums;

    memset(settlement, 0, offsetof(trade_settlement, moves));
    settlement->move_count = 0;
    settlement->position = facts->position;
    if (!trade_sum(facts, &sums) || !trade_figures(facts, &sums, settlement)) {
        return false;
    }
    if (settlement->end != TRADE_FAILED &&
        (!trade_move_position(facts, &sums, &margin, &returned, settlement) ||
         !trade_carry(&sums, settlement))) {
        return false;
    }
    return trade_spend(settlement, asset, &held, TRADE_POSITION, TRADE_MARGIN, margin) &&
           trade_move_fees(facts, &sums, &held, settlement) &&
           trade_move_add(settlement, asset, TRADE_POSITION, TRADE_AVAILABLE, TRADE_MARGIN_RETURN,
                          returned) &&
           trade_move_add(settlement, asset, TRADE_EXTERNAL, TRADE_AVAILABLE, TRADE_REALISED_PNL,
                          sums.realised) &&
           trade_move_add(settlement, asset, TRADE_HELD, TRADE_AVAILABLE, TRADE_RELEASE, held);
}

bool trade_settle_external(const trade_settle_facts *facts, trade_settlement *settlement)
{
    const char *asset = facts->instrument->rules.settle;

    memset(settlement, 0, offsetof(trade_settlement, moves));
    settlement->move_count = 0;
    settlement->end = TRADE_FAILED;
    settlement->position = facts->position;
    if (facts->position.id == 0 || !facts->reduce_only) {
        return false;
    }
    settlement->changes = settlement->external = true;
    settlement->position.quantity = DEC_ZERO;
    settlement->position.entry_notional = DEC_ZERO;
    settlement->position.margin = DEC_ZERO;
    return trade_move_add(settlement, asset, TRADE_POSITION, TRADE_AVAILABLE, TRADE_MARGIN_RETURN,
                          facts->position.margin) &&
           trade_move_add(settlement, asset, TRADE_HELD, TRADE_AVAILABLE, TRADE_RELEASE,
                          facts->hold);
}
