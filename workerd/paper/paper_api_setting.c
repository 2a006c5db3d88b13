/*
 * What an account sets and asks of its settings; key permissions; listen keys.
 */
#include "workerd/paper/paper_server.h"

#include "core/crypto.h"

#include <stdio.h>
#include <string.h>

static bool paper_success(paper_call *call)
{
    json_object(&call->out);
    paper_out_int(call, "code", 200);
    paper_out_text(call, "msg", "success");
    json_object_end(&call->out);
    return true;
}

bool paper_post_leverage(paper_call *call)
{
    const paper_symbol *symbol = paper_call_symbol(call, NULL);
    int64_t leverage = 0;
    char number[24];

    if (symbol == NULL ||
        !paper_param_int(call->params, "leverage", &leverage, NULL, &call->refusal) ||
        !paper_exchange_set_leverage(call->server->exchange, call->account,
                                     paper_symbol_index(call->server, symbol), leverage,
                                     call->now_ms, &call->refusal)) {
        return false;
    }
    json_object(&call->out);
    paper_out_text(call, "symbol", symbol->name);
    paper_out_int(call, "leverage", leverage);
    snprintf(number, sizeof(number), "%lld", (long long)paper_notional_cap((int)leverage));
    paper_out_text(call, "maxNotionalValue", number);
    json_object_end(&call->out);
    return true;
}

bool paper_post_margin_type(paper_call *call)
{
    static const char *const types[] = {"CROSSED", "ISOLATED"};
    const paper_symbol *symbol = paper_call_symbol(call, NULL);
    int type;

    return symbol != NULL &&
           paper_param_word(call->params, "marginType", types, 2, -1102, &type, NULL,
                            &call->refusal) &&
           paper_exchange_set_margin_type(call->server->exchange, call->account,
                                          paper_symbol_index(call->server, symbol), type == 1,
                                          call->now_ms, &call->refusal) &&
           paper_success(call);
}

bool paper_get_dual(paper_call *call)
{
    json_object(&call->out);
    paper_out_bool(call, "dualSidePosition", call->server->exchange->accounts[call->account].hedge);
    json_object_end(&call->out);
    return true;
}

bool paper_post_dual(paper_call *call)
{
    bool hedge = false;

    return paper_param_bool(call->params, "dualSidePosition", &hedge, NULL, &call->refusal) &&
           paper_exchange_set_hedge(call->server->exchange, call->account, hedge, call->now_ms,
                                    &call->refusal) &&
           paper_success(call);
}

static void paper_bracket_out(paper_call *call, size_t index)
{
    const paper_bracket *bracket = &paper_brackets[index];

    json_object(&call->out);
    paper_out_int(call, "bracket", (int64_t)index + 1);
    paper_out_int(call, "initialLeverage", bracket->leverage);
    paper_out_int(call, "notionalCap", bracket->cap);
    paper_out_int(call, "notionalFloor", bracket->floor);
    json_key(&call->out, "maintMarginRatio");
    json_raw(&call->out, bracket->maintenance, strlen(bracket->maintenance));
    json_key(&call->out, "cum");
    json_raw(&call->out, bracket->cumulative, strlen(bracket->cumulative));
    json_object_end(&call->out);
}

bool paper_get_brackets(paper_call *call)
{
    const paper_server *server = call->server;
    const paper_symbol *only;
    bool given;

    only = paper_call_symbol(call, &given);
    if (call->refusal.code != 0) {
        return false;
    }
    json_array(&call->out);
    for (unsigned s = 0; s < server->market.count; s++) {
        if (given && paper_symbol_index(server, only) != s) {
            continue;
        }
        json_object(&call->out);
        paper_out_text(call, "symbol", server->market.symbols[s].name);
        json_key(&call->out, "brackets");
        json_array(&call->out);
        for (size_t i = 0; i < paper_bracket_count; i++) {
            paper_bracket_out(call, i);
        }
        json_array_end(&call->out);
        json_object_end(&call->out);
    }
    json_array_end(&call->out);
    return true;
}

bool paper_get_symbol_config(paper_call *call)
{
    const paper_server *server = call->server;
    const paper_symbol *only;
    char number[24];
    bool given;

    only = paper_call_symbol(call, &given);
    if (call->refusal.code != 0) {
        return false;
    }
    json_array(&call->out);
    for (unsigned s = 0; s < server->market.count; s++) {
        const paper_holding *holding =
            paper_account_find(server->exchange, call->account, (uint16_t)s);
        int leverage = holding == NULL ? PAPER_LEVERAGE_DEFAULT : holding->leverage;

        if (given && paper_symbol_index(server, only) != s) {
            continue;
        }
        json_object(&call->out);
        paper_out_text(call, "symbol", server->market.symbols[s].name);
        paper_out_text(call, "marginType",
                       holding != NULL && holding->isolated ? "ISOLATED" : "CROSSED");
        paper_out_bool(call, "isAutoAddMargin", false);
        paper_out_int(call, "leverage", leverage);
        snprintf(number, sizeof(number), "%lld", (long long)paper_notional_cap(leverage));
        paper_out_text(call, "maxNotionalValue", number);
        json_object_end(&call->out);
    }
    json_array_end(&call->out);
    return true;
}

bool paper_get_fee(paper_call *call)
{
    const paper_symbol *symbol = paper_call_symbol(call, NULL);

    if (symbol == NULL) {
        return false;
    }
    json_object(&call->out);
    paper_out_text(call, "symbol", symbol->name);
    paper_out_text(call, "makerCommissionRate", "0.0002");
    paper_out_text(call, "takerCommissionRate", "0.0005");
    json_object_end(&call->out);
    return true;
}

bool paper_get_multi_assets(paper_call *call)
{
    json_object(&call->out);
    paper_out_bool(call, "multiAssetsMargin", false);
    json_object_end(&call->out);
    return true;
}

bool paper_get_restrictions(paper_call *call)
{
    const paper_account *me = &call->server->exchange->accounts[call->account];

    json_object(&call->out);
    paper_out_bool(call, "ipRestrict", false);
    paper_out_int(call, "createTime", me->created_ms);
    paper_out_bool(call, "enableReading", true);
    paper_out_bool(call, "enableWithdrawals", me->can_withdraw);
    paper_out_bool(call, "enableInternalTransfer", false);
    paper_out_bool(call, "enableMargin", false);
    paper_out_bool(call, "enableFutures", true);
    paper_out_bool(call, "permitsUniversalTransfer", false);
    paper_out_bool(call, "enableVanillaOptions", false);
    paper_out_bool(call, "enableFixApiTrade", false);
    paper_out_bool(call, "enableFixReadOnly", false);
    paper_out_bool(call, "enableSpotAndMarginTrading", false);
    paper_out_bool(call, "enablePortfolioMarginTrading", false);
    json_object_end(&call->out);
    return true;
}

bool paper_get_empty(paper_call *call)
{
    json_array(&call->out);
    json_array_end(&call->out);
    return true;
}

/* ---- listen keys: of an hour, one an account ----------------------------------------------------
 */

static paper_listen_key *paper_listen_find(paper_call *call)
{
    for (size_t i = 0; i < PAPER_LISTEN_KEYS_MAX; i++) {
        paper_listen_key *slot = &call->server->listen_keys[i];

        if (slot->expires_ms > call->now_ms && slot->account == call->account) {
            return slot;
        }
    }
    return NULL;
}

static bool paper_listen_out(paper_call *call, const paper_listen_key *slot)
{
    json_object(&call->out);
    paper_out_text(call, "listenKey", slot->key);
    json_object_end(&call->out);
    return true;
}

bool paper_post_listen_key(paper_call *call)
{
    paper_listen_key *slot = paper_listen_find(call);
    uint8_t random[PAPER_KEY_LENGTH / 2];

    for (size_t i = 0; slot == NULL && i < PAPER_LISTEN_KEYS_MAX; i++) {
        paper_listen_key *free_slot = &call->server->listen_keys[i];

        if (free_slot->expires_ms <= call->now_ms) {
            if (!crypto_random(random, sizeof(random))) {
                return paper_refuse(&call->refusal, -1008, NULL);
            }
            crypto_hex(random, sizeof(random), free_slot->key);
            free_slot->account = call->account;
            slot = free_slot;
        }
    }
    if (slot == NULL) {
        return paper_refuse(&call->refusal, -1008, NULL);
    }
    slot->expires_ms = call->now_ms + PAPER_LISTEN_KEY_MS;
    return paper_listen_out(call, slot);
}

bool paper_put_listen_key(paper_call *call)
{
    paper_listen_key *slot = paper_listen_find(call);

    if (slot == NULL) {
        return paper_refuse(&call->refusal, -1125, NULL);
    }
    slot->expires_ms = call->now_ms + PAPER_LISTEN_KEY_MS;
    return paper_listen_out(call, slot);
}

bool paper_delete_listen_key(paper_call *call)
{
    paper_listen_key *slot = paper_listen_find(call);

    if (slot == NULL) {
        return paper_refuse(&call->refusal, -1125, NULL);
    }
    slot->expires_ms = 0;
    json_object(&call->out);
    json_object_end(&call->out);
    return true;
}
