/*
 * Positions and margin: what a fill does to a position, what an account can still open.
 *
 * Amounts are exact until the one rounding that Binance makes visible: profit and fees at 8 places,
 * half-even. The brackets are constructed after the shape of BTCUSDT's; no recording has them.
 */
#include "workerd/paper/paper_exchange.h"

const paper_bracket paper_brackets[] = {
    {125, 0, 300000, "0.004", "0"},
    {100, 300000, 800000, "0.005", "300"},
    {75, 800000, 3000000, "0.0065", "1500"},
    {50, 3000000, 12000000, "0.01", "12000"},
    {25, 12000000, 70000000, "0.02", "132000"},
    {20, 70000000, 100000000, "0.025", "482000"},
    {10, 100000000, 230000000, "0.05", "2982000"},
    {5, 230000000, 480000000, "0.1", "14482000"},
    {4, 480000000, 600000000, "0.125", "26482000"},
    {3, 600000000, 800000000, "0.15", "41482000"},
    {2, 800000000, 1200000000, "0.25", "121482000"},
    {1, 1200000000, 1800000000, "0.5", "421482000"},
};
const size_t paper_bracket_count = sizeof(paper_brackets) / sizeof(paper_brackets[0]);

static const dec paper_money_step = {(__int128)10000}; /* 10^-8 */
static const dec paper_taker = {(__int128)500000000};  /* 0.0005 */
static const dec paper_maker = {(__int128)200000000};  /* 0.0002 */

int64_t paper_notional_cap(int leverage)
{
    int64_t cap = paper_brackets[0].cap;

    for (size_t i = 0; i < paper_bracket_count && paper_brackets[i].leverage >= leverage; i++) {
        cap = paper_brackets[i].cap;
    }
    return cap;
}

dec paper_fee(dec quantity, dec price, bool maker)
{
    dec value = DEC_ZERO, fee = DEC_ZERO;

    /* Quantities and prices passed the filters: the product fits. */
    if (dec_mul(quantity, price, DEC_HALF_EVEN, &value) &&
        dec_mul(value, maker ? paper_maker : paper_taker, DEC_HALF_EVEN, &fee)) {
        (void)dec_to_step(fee, paper_money_step, DEC_HALF_EVEN, &fee);
    }
    return fee;
}

bool paper_position_fill(const paper_position *before, enum paper_side side, dec quantity,
                         dec price, paper_position *after, dec *realised)
{
    dec held = dec_absolute(before->amount), closed = DEC_ZERO, cost = DEC_ZERO, value, gain;
    bool reduces =
        (side == PAPER_BUY) == (dec_sign(before->amount) < 0) && !dec_is_zero(before->amount);
    dec signed_quantity = side == PAPER_BUY ? quantity : dec_negate(quantity);
    dec opened = quantity;

    *after = *before;
    *realised = DEC_ZERO;
    if (reduces) {
        closed = dec_least(held, quantity);
        if (!dec_mul_div(before->cost, closed, held, DEC_HALF_EVEN, &cost) ||
            !dec_mul(closed, price, DEC_HALF_EVEN, &value) || !dec_sub(value, cost, &gain) ||
            !dec_to_step(side == PAPER_SELL ? gain : dec_negate(gain), paper_money_step,
                         DEC_HALF_EVEN, realised) ||
            !dec_sub(before->cost, cost, &after->cost) || !dec_sub(quantity, closed, &opened)) {
            return false;
        }
    }
    if (!dec_is_zero(opened) && (!dec_mul(opened, price, DEC_HALF_EVEN, &value) ||
                                 !dec_add(after->cost, value, &after->cost))) {
        return false;
    }
    return dec_add(before->amount, signed_quantity, &after->amount) &&
           dec_add(before->realised, *realised, &after->realised);
}

dec paper_position_entry(const paper_position *position)
{
    dec entry = DEC_ZERO;

    if (!dec_is_zero(position->amount)) {
        (void)dec_div(position->cost, dec_absolute(position->amount), DEC_HALF_EVEN, &entry);
    }
    return entry;
}

static bool paper_maintenance(dec notional, dec *out)
{
    const paper_bracket *bracket = &paper_brackets[0];
    dec ratio, cumulative, margin;

    for (size_t i = 1; i < paper_bracket_count; i++) {
        if (dec_compare(notional, dec_from_int(paper_brackets[i].floor)) > 0) {
            bracket = &paper_brackets[i];
        }
    }
    return dec_parse(bracket->maintenance, __builtin_strlen(bracket->maintenance), &ratio) &&
           dec_parse(bracket->cumulative, __builtin_strlen(bracket->cumulative), &cumulative) &&
           dec_mul(notional, ratio, DEC_HALF_EVEN, &margin) && dec_sub(margin, cumulative, out);
}

bool paper_position_value(const paper_exchange *exchange, const paper_holding *holding,
                          const paper_position *position, paper_valuation *value)
{
    const paper_symbol *symbol = &exchange->market->symbols[holding->symbol];
    dec size, gain;

    *value = (paper_valuation){.entry = paper_position_entry(position), .mark = symbol->mark};
    if (dec_is_zero(position->amount)) {
        return true;
    }
    if (!paper_symbol_priced(symbol)) {
        value->mark = value->entry; /* right after the start: neither gain nor loss is known */
    }
    if (!dec_mul(position->amount, value->mark, DEC_HALF_EVEN, &value->notional)) {
        return false;
    }
    size = dec_absolute(value->notional);
    if (!dec_sub(size, position->cost, &gain) ||
        !dec_div(size, dec_from_int(holding->leverage), DEC_AWAY_FROM_ZERO, &value->margin)) {
        return false;
    }
    value->unrealised = dec_sign(position->amount) > 0 ? gain : dec_negate(gain);
    return paper_maintenance(size, &value->maintenance);
}

/* What the account's resting orders hold back, at their own price. */
static bool paper_order_margin(const paper_exchange *exchange, uint32_t account, dec *out)
{
    unsigned left = exchange->accounts[account].open_orders;

    *out = DEC_ZERO;
    for (unsigned s = 0; s < exchange->market->count && left > 0; s++) {
        for (paper_order *order = paper_order_get(exchange, exchange->open[s].first);
             order != NULL && left > 0; order = paper_order_get(exchange, order->open_next)) {
            const paper_holding *holding;
            dec margin;

            if (order->account != account) {
                continue;
            }
            left--;
            holding = paper_account_find(exchange, account, order->symbol);
            if (order->reduce_only) {
                continue;
            }
            if (!dec_mul_div(
                    order->quantity, order->price,
                    dec_from_int(holding == NULL ? PAPER_LEVERAGE_DEFAULT : holding->leverage),
                    DEC_AWAY_FROM_ZERO, &margin) ||
                !dec_add(*out, margin, out)) {
                return false;
            }
        }
    }
    return true;
}

bool paper_account_totals(const paper_exchange *exchange, uint32_t account, uint16_t symbol,
                          enum paper_position_side side, const paper_position *instead,
                          dec wallet_change, paper_totals *totals)
{
    const paper_account *who = &exchange->accounts[account];
    dec used, loss;

    *totals = (paper_totals){0};
    if (!dec_add(who->wallet, wallet_change, &totals->wallet) ||
        !paper_order_margin(exchange, account, &totals->order_margin)) {
        return false;
    }
    for (unsigned i = 0; i < who->holding_count; i++) {
        const paper_holding *holding = &who->holdings[i];

        for (unsigned s = 0; s < 3; s++) {
            bool replaced = instead != NULL && holding->symbol == symbol && s == side;
            paper_valuation value;

            if (!paper_position_value(exchange, holding, replaced ? instead : &holding->sides[s],
                                      &value) ||
                !dec_add(totals->unrealised, value.unrealised, &totals->unrealised) ||
                !dec_add(totals->position_margin, value.margin, &totals->position_margin) ||
                !dec_add(totals->maintenance, value.maintenance, &totals->maintenance)) {
                return false;
            }
        }
    }
    loss = dec_least(totals->unrealised, DEC_ZERO);
    return dec_add(totals->position_margin, totals->order_margin, &used) &&
           dec_add(totals->wallet, loss, &totals->available) &&
           dec_sub(totals->available, used, &totals->available);
}
