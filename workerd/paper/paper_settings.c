/*
 * What an account sets: leverage and margin type of a symbol, one-way or hedge mode.
 */
#include "workerd/paper/paper_exchange.h"

#include <stdio.h>

static bool paper_setting_commit(paper_exchange *exchange, const paper_event *event,
                                 paper_refusal *refusal)
{
    return paper_exchange_commit(exchange, event) || paper_refuse(refusal, -1008, NULL);
}

bool paper_exchange_set_leverage(paper_exchange *exchange, uint32_t account, uint16_t symbol,
                                 int64_t leverage, int64_t now_ms, paper_refusal *refusal)
{
    paper_event event = {.kind = PAPER_EVENT_LEVERAGE,
                         .time_ms = now_ms,
                         .account = account,
                         .symbol = symbol,
                         .leverage = (uint16_t)leverage};
    const paper_holding *holding = paper_account_find(exchange, account, symbol);
    char text[24];

    *refusal = (paper_refusal){0};
    if (leverage < 1 || leverage > PAPER_LEVERAGE_MAX) {
        snprintf(text, sizeof(text), "%lld", (long long)leverage);
        return paper_refuse(refusal, -4028, text);
    }
    for (unsigned s = 0; holding != NULL && s < 3; s++) {
        paper_valuation value;

        if (!paper_position_value(exchange, holding, &holding->sides[s], &value) ||
            dec_compare(dec_absolute(value.notional),
                        dec_from_int(paper_notional_cap((int)leverage))) > 0) {
            return paper_refuse(refusal, -2027, NULL);
        }
    }
    if (holding != NULL && holding->leverage == leverage) {
        return true; /* Binance answers the same as for a change; nothing to record */
    }
    return paper_setting_commit(exchange, &event, refusal);
}

/* Is anything open on this symbol? */
static bool paper_holding_flat(const paper_holding *holding)
{
    for (unsigned s = 0; holding != NULL && s < 3; s++) {
        if (!dec_is_zero(holding->sides[s].amount)) {
            return false;
        }
    }
    return true;
}

static bool paper_symbol_resting(const paper_exchange *exchange, uint32_t account, uint16_t symbol)
{
    for (paper_order *order = paper_order_get(exchange, exchange->open[symbol].first);
         order != NULL; order = paper_order_get(exchange, order->open_next)) {
        if (order->account == account) {
            return true;
        }
    }
    return false;
}

bool paper_exchange_set_margin_type(paper_exchange *exchange, uint32_t account, uint16_t symbol,
                                    bool isolated, int64_t now_ms, paper_refusal *refusal)
{
    paper_event event = {.kind = PAPER_EVENT_MARGIN_TYPE,
                         .time_ms = now_ms,
                         .account = account,
                         .symbol = symbol,
                         .flag = isolated};
    const paper_holding *holding = paper_account_find(exchange, account, symbol);

    *refusal = (paper_refusal){0};
    if ((holding != NULL && holding->isolated) == isolated) {
        return paper_refuse(refusal, -4046, NULL);
    }
    if (paper_symbol_resting(exchange, account, symbol)) {
        return paper_refuse(refusal, -4047, NULL);
    }
    if (!paper_holding_flat(holding)) {
        return paper_refuse(refusal, -4048, NULL);
    }
    return paper_setting_commit(exchange, &event, refusal);
}

bool paper_exchange_set_hedge(paper_exchange *exchange, uint32_t account, bool hedge,
                              int64_t now_ms, paper_refusal *refusal)
{
    paper_event event = {
        .kind = PAPER_EVENT_POSITION_MODE, .time_ms = now_ms, .account = account, .flag = hedge};
    const paper_account *who = &exchange->accounts[account];

    *refusal = (paper_refusal){0};
    if (who->hedge == hedge) {
        return paper_refuse(refusal, -4059, NULL);
    }
    if (who->open_orders > 0) {
        return paper_refuse(refusal, -4067, NULL);
    }
    for (unsigned i = 0; i < who->holding_count; i++) {
        if (!paper_holding_flat(&who->holdings[i])) {
            return paper_refuse(refusal, -4068, NULL);
        }
    }
    return paper_setting_commit(exchange, &event, refusal);
}
