/*
 * Account endpoints: balances, positions, leverage and the other settings, listen keys.
 */
#include "workerd/paper/paper_server.h"

#include "core/crypto.h"

#include <stdio.h>
#include <string.h>

static const paper_account *paper_me(const paper_call *call)
{
    return &call->server->exchange->accounts[call->account];
}

static bool paper_my_totals(paper_call *call, paper_totals *totals)
{
    return paper_account_totals(call->server->exchange, call->account, 0, PAPER_BOTH, NULL,
                                DEC_ZERO, totals) ||
           paper_refuse(&call->refusal, -1000, NULL);
}

static void paper_money(paper_call *call, const char *key, dec value)
{
    paper_out_fixed(call, key, value, PAPER_MONEY_PLACES);
}

static dec paper_positive(dec value)
{
    return dec_most(value, DEC_ZERO);
}

static dec paper_sum(dec a, dec b)
{
    dec sum = a;

    (void)dec_add(a, b, &sum);
    return sum;
}

/* ---- balances -----------------------------------------------------------------------------------
 */

bool paper_get_balance(paper_call *call)
{
    const paper_account *me = paper_me(call);
    paper_totals totals;

    if (!paper_my_totals(call, &totals)) {
        return false;
    }
    json_array(&call->out);
    json_object(&call->out);
    paper_out_text(call, "accountAlias", "paper");
    paper_out_text(call, "asset", "USDT");
    paper_money(call, "balance", totals.wallet);
    paper_money(call, "crossWalletBalance", totals.wallet);
    paper_money(call, "crossUnPnl", totals.unrealised);
    paper_money(call, "availableBalance", paper_positive(totals.available));
    paper_money(call, "maxWithdrawAmount", paper_positive(totals.available));
    paper_out_bool(call, "marginAvailable", true);
    paper_out_int(call, "updateTime", me->updated_ms);
    json_object_end(&call->out);
    json_array_end(&call->out);
    return true;
}

static void paper_totals_out(paper_call *call, const paper_totals *totals)
{
    paper_money(call, "totalInitialMargin",
                paper_sum(totals->position_margin, totals->order_margin));
    paper_money(call, "totalMaintMargin", totals->maintenance);
    paper_money(call, "totalWalletBalance", totals->wallet);
    paper_money(call, "totalUnrealizedProfit", totals->unrealised);
    paper_money(call, "totalMarginBalance", paper_sum(totals->wallet, totals->unrealised));
    paper_money(call, "totalPositionInitialMargin", totals->position_margin);
    paper_money(call, "totalOpenOrderInitialMargin", totals->order_margin);
    paper_money(call, "totalCrossWalletBalance", totals->wallet);
    paper_money(call, "totalCrossUnPnl", totals->unrealised);
    paper_money(call, "availableBalance", paper_positive(totals->available));
    paper_money(call, "maxWithdrawAmount", paper_positive(totals->available));
}

static void paper_asset_out(paper_call *call, const paper_totals *totals)
{
    json_key(&call->out, "assets");
    json_array(&call->out);
    json_object(&call->out);
    paper_out_text(call, "asset", "USDT");
    paper_money(call, "walletBalance", totals->wallet);
    paper_money(call, "unrealizedProfit", totals->unrealised);
    paper_money(call, "marginBalance", paper_sum(totals->wallet, totals->unrealised));
    paper_money(call, "maintMargin", totals->maintenance);
    paper_money(call, "initialMargin", paper_sum(totals->position_margin, totals->order_margin));
    paper_money(call, "positionInitialMargin", totals->position_margin);
    paper_money(call, "openOrderInitialMargin", totals->order_margin);
    paper_money(call, "crossWalletBalance", totals->wallet);
    paper_money(call, "crossUnPnl", totals->unrealised);
    paper_money(call, "availableBalance", paper_positive(totals->available));
    paper_money(call, "maxWithdrawAmount", paper_positive(totals->available));
    paper_out_bool(call, "marginAvailable", true);
    paper_out_int(call, "updateTime", paper_me(call)->updated_ms);
    json_object_end(&call->out);
    json_array_end(&call->out);
}

/* ---- positions ----------------------------------------------------------------------------------
 */

typedef void paper_position_writer(paper_call *call, const paper_holding *holding,
                                   enum paper_position_side side, const paper_valuation *value);

/* Each row of a holding that is to be shown, in the account's position mode. */
static bool paper_positions_each(paper_call *call, const paper_symbol *only, bool flat_too,
                                 paper_position_writer *write)
{
    const paper_server *server = call->server;
    const paper_account *me = paper_me(call);

    for (unsigned s = 0; s < server->market.count; s++) {
        const paper_holding *found =
            paper_account_find(server->exchange, call->account, (uint16_t)s);
        const paper_holding none = {.symbol = (uint16_t)s, .leverage = PAPER_LEVERAGE_DEFAULT};
        const paper_holding *holding = found == NULL ? &none : found;

        if (only != NULL && paper_symbol_index(server, only) != s) {
            continue;
        }
        for (unsigned side = me->hedge ? PAPER_LONG : PAPER_BOTH;
             side <= (me->hedge ? (unsigned)PAPER_SHORT : (unsigned)PAPER_BOTH); side++) {
            paper_valuation value;

            if (!flat_too && dec_is_zero(holding->sides[side].amount)) {
                continue;
            }
            if (!paper_position_value(server->exchange, holding, &holding->sides[side], &value)) {
                return paper_refuse(&call->refusal, -1000, NULL);
            }
            write(call, holding, (enum paper_position_side)side, &value);
        }
    }
    return true;
}

static void paper_position_head(paper_call *call, const paper_holding *holding,
                                enum paper_position_side side)
{
    const paper_symbol *symbol = &call->server->market.symbols[holding->symbol];

    json_object(&call->out);
    paper_out_text(call, "symbol", symbol->name);
    paper_out_text(call, "positionSide", paper_position_side_names[side]);
    paper_out_fixed(call, "positionAmt", holding->sides[side].amount, symbol->quantity_places);
}

static void paper_position_v3(paper_call *call, const paper_holding *holding,
                              enum paper_position_side side, const paper_valuation *value)
{
    paper_position_head(call, holding, side);
    paper_out_dec(call, "entryPrice", value->entry);
    paper_out_dec(call, "breakEvenPrice", value->entry);
    paper_money(call, "markPrice", value->mark);
    paper_money(call, "unRealizedProfit", value->unrealised);
    paper_out_text(call, "liquidationPrice", "0");
    paper_out_text(call, "isolatedMargin", "0");
    paper_money(call, "notional", value->notional);
    paper_out_text(call, "marginAsset", call->server->market.symbols[holding->symbol].quote);
    paper_out_text(call, "isolatedWallet", "0");
    paper_money(call, "initialMargin", value->margin);
    paper_money(call, "maintMargin", value->maintenance);
    paper_money(call, "positionInitialMargin", value->margin);
    paper_out_text(call, "openOrderInitialMargin", "0");
    paper_out_int(call, "adl", 1);
    paper_out_text(call, "bidNotional", "0");
    paper_out_text(call, "askNotional", "0");
    paper_out_int(call, "updateTime", holding->sides[side].updated_ms);
    json_object_end(&call->out);
}

static void paper_position_v2(paper_call *call, const paper_holding *holding,
                              enum paper_position_side side, const paper_valuation *value)
{
    char number[24];

    paper_position_head(call, holding, side);
    paper_out_dec(call, "entryPrice", value->entry);
    paper_out_dec(call, "breakEvenPrice", value->entry);
    paper_money(call, "markPrice", value->mark);
    paper_money(call, "unRealizedProfit", value->unrealised);
    paper_out_text(call, "liquidationPrice", "0");
    snprintf(number, sizeof(number), "%u", holding->leverage);
    paper_out_text(call, "leverage", number);
    snprintf(number, sizeof(number), "%lld", (long long)paper_notional_cap(holding->leverage));
    paper_out_text(call, "maxNotionalValue", number);
    paper_out_text(call, "marginType", holding->isolated ? "isolated" : "cross");
    paper_out_text(call, "isolatedMargin", "0.00000000");
    paper_out_text(call, "isAutoAddMargin", "false");
    paper_money(call, "notional", value->notional);
    paper_out_text(call, "isolatedWallet", "0");
    paper_out_int(call, "updateTime", holding->sides[side].updated_ms);
    json_object_end(&call->out);
}

static void paper_position_account(paper_call *call, const paper_holding *holding,
                                   enum paper_position_side side, const paper_valuation *value)
{
    paper_position_head(call, holding, side);
    paper_money(call, "unrealizedProfit", value->unrealised);
    paper_out_text(call, "isolatedMargin", "0");
    paper_money(call, "notional", value->notional);
    paper_out_text(call, "isolatedWallet", "0");
    paper_money(call, "initialMargin", value->margin);
    paper_money(call, "maintMargin", value->maintenance);
    paper_out_int(call, "updateTime", holding->sides[side].updated_ms);
    json_object_end(&call->out);
}

static void paper_position_account_v2(paper_call *call, const paper_holding *holding,
                                      enum paper_position_side side, const paper_valuation *value)
{
    char number[24];

    paper_position_head(call, holding, side);
    paper_money(call, "initialMargin", value->margin);
    paper_money(call, "maintMargin", value->maintenance);
    paper_money(call, "unrealizedProfit", value->unrealised);
    paper_money(call, "positionInitialMargin", value->margin);
    paper_out_text(call, "openOrderInitialMargin", "0");
    snprintf(number, sizeof(number), "%u", holding->leverage);
    paper_out_text(call, "leverage", number);
    paper_out_bool(call, "isolated", holding->isolated);
    paper_out_dec(call, "entryPrice", value->entry);
    snprintf(number, sizeof(number), "%lld", (long long)paper_notional_cap(holding->leverage));
    paper_out_text(call, "maxNotional", number);
    paper_money(call, "notional", value->notional);
    paper_out_text(call, "isolatedWallet", "0");
    paper_out_int(call, "updateTime", holding->sides[side].updated_ms);
    json_object_end(&call->out);
}

static bool paper_positions_list(paper_call *call, bool flat_too, paper_position_writer *write)
{
    const paper_symbol *symbol;
    bool given;

    symbol = paper_call_symbol(call, &given);
    if (call->refusal.code != 0) {
        return false;
    }
    json_array(&call->out);
    if (!paper_positions_each(call, symbol, flat_too, write)) {
        return false;
    }
    json_array_end(&call->out);
    return true;
}

/* v3 shows only symbols with a position, as Binance does; v2 shows all. */
bool paper_get_positions_v3(paper_call *call)
{
    return paper_positions_list(call, false, paper_position_v3);
}

bool paper_get_positions_v2(paper_call *call)
{
    return paper_positions_list(call, true, paper_position_v2);
}

bool paper_get_account_v3(paper_call *call)
{
    paper_totals totals;

    if (!paper_my_totals(call, &totals)) {
        return false;
    }
    json_object(&call->out);
    paper_totals_out(call, &totals);
    paper_asset_out(call, &totals);
    json_key(&call->out, "positions");
    json_array(&call->out);
    if (!paper_positions_each(call, NULL, false, paper_position_account)) {
        return false;
    }
    json_array_end(&call->out);
    json_object_end(&call->out);
    return true;
}

bool paper_get_account_v2(paper_call *call)
{
    paper_totals totals;

    if (!paper_my_totals(call, &totals)) {
        return false;
    }
    json_object(&call->out);
    paper_out_int(call, "feeTier", 0);
    paper_out_bool(call, "feeBurn", false);
    paper_out_bool(call, "canTrade", true);
    paper_out_bool(call, "canDeposit", true);
    paper_out_bool(call, "canWithdraw", paper_me(call)->can_withdraw);
    paper_out_int(call, "updateTime", 0);
    paper_out_bool(call, "multiAssetsMargin", false);
    paper_out_int(call, "tradeGroupId", -1);
    paper_totals_out(call, &totals);
    paper_asset_out(call, &totals);
    json_key(&call->out, "positions");
    json_array(&call->out);
    if (!paper_positions_each(call, NULL, true, paper_position_account_v2)) {
        return false;
    }
    json_array_end(&call->out);
    json_object_end(&call->out);
    return true;
}
