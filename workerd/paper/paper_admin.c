/*
 * Endpoints of this venue alone, under /paper/v1/, for this machine only: making accounts, looking
 * at them, reading what was accepted, and the switches of tests.
 */
#include "workerd/paper/paper_server.h"

#include "core/crypto.h"

#include <stdio.h>
#include <string.h>

#define PAPER_ACCOUNTS_AT_ONCE 20000
#define PAPER_ADMIN_ROWS_DEFAULT 1000
#define PAPER_ADMIN_ROWS_MAX 10000
#define PAPER_PREFIX_MAX 24

/* ---- accounts -----------------------------------------------------------------------------------
 */

typedef struct {
    int64_t count;
    dec balance;
    char prefix[PAPER_PREFIX_MAX + 1];
    bool can_withdraw;
} paper_batch;

static bool paper_read_batch(paper_call *call, paper_batch *batch)
{
    json_doc doc;

    *batch = (paper_batch){.count = 1,
                           .prefix = "paper",
                           .balance = dec_from_int((int64_t)call->server->config->paper_balance)};
    if (!paper_call_json(call, &doc)) {
        return false;
    }
    if ((json_at(&doc, 0, "count") >= 0 &&
         !json_get_int(&doc, json_at(&doc, 0, "count"), &batch->count)) ||
        (json_at(&doc, 0, "balance") >= 0 &&
         !json_get_dec(&doc, json_at(&doc, 0, "balance"), &batch->balance)) ||
        (json_at(&doc, 0, "prefix") >= 0 &&
         !json_copy(&doc, json_at(&doc, 0, "prefix"), batch->prefix, sizeof(batch->prefix))) ||
        (json_at(&doc, 0, "can_withdraw") >= 0 &&
         !json_get_bool(&doc, json_at(&doc, 0, "can_withdraw"), &batch->can_withdraw)) ||
        batch->count < 1 || batch->count > PAPER_ACCOUNTS_AT_ONCE || dec_sign(batch->balance) < 0 ||
        batch->prefix[0] == '\0' ||
        strspn(batch->prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") !=
            strlen(batch->prefix)) {
        return paper_call_refuse(call, 400,
                                 "count is 1 to 20000, balance a decimal, prefix letters, digits, "
                                 "_ and -, can_withdraw true or false");
    }
    return true;
}

static bool paper_new_account(paper_call *call, const paper_batch *batch, uint64_t *number)
{
    paper_exchange *exchange = call->server->exchange;
    char name[PAPER_NAME_MAX + 1], key[PAPER_KEY_LENGTH + 1], secret[PAPER_KEY_LENGTH + 1];
    uint8_t random[PAPER_KEY_LENGTH];
    paper_event event = {.kind = PAPER_EVENT_ACCOUNT,
                         .time_ms = call->now_ms,
                         .name = name,
                         .key = key,
                         .secret = secret,
                         .balance = batch->balance,
                         .flag = batch->can_withdraw};

    do { /* a prefix may be used again: its numbers go on */
        snprintf(name, sizeof(name), "%s-%llu", batch->prefix, (unsigned long long)++*number);
    } while (paper_account_by_name(exchange, name, strlen(name)) != PAPER_NO_ACCOUNT);
    if (exchange->account_count == PAPER_ACCOUNTS_MAX || !crypto_random(random, sizeof(random))) {
        return paper_call_refuse(call, 503, "the venue has as many accounts as it can hold");
    }
    crypto_hex(random, PAPER_KEY_LENGTH / 2, key);
    crypto_hex(random + PAPER_KEY_LENGTH / 2, PAPER_KEY_LENGTH / 2, secret);
    crypto_wipe(random, sizeof(random));
    if (!paper_exchange_commit(exchange, &event)) {
        return paper_call_refuse(call, 503, "the account could not be recorded");
    }
    json_object(&call->out);
    paper_out_text(call, "account", name);
    paper_out_text(call, "api_key", key);
    paper_out_text(call, "secret_key", secret);
    json_object_end(&call->out);
    return true;
}

bool paper_admin_accounts(paper_call *call)
{
    paper_batch batch;
    uint64_t number = 0;

    if (!paper_read_batch(call, &batch)) {
        return false;
    }
    json_object(&call->out);
    json_key(&call->out, "accounts");
    json_array(&call->out);
    for (int64_t i = 0; i < batch.count; i++) {
        if (!paper_new_account(call, &batch, &number)) {
            return false; /* those made so far exist; nobody was told their keys */
        }
    }
    json_array_end(&call->out);
    json_object_end(&call->out);
    return true;
}

static void paper_admin_position(paper_call *call, const paper_holding *holding,
                                 enum paper_position_side side)
{
    const paper_position *position = &holding->sides[side];
    paper_valuation value;

    if (dec_is_zero(position->amount) && dec_is_zero(position->realised)) {
        return;
    }
    (void)paper_position_value(call->server->exchange, holding, position, &value);
    json_object(&call->out);
    paper_out_text(call, "symbol", call->server->market.symbols[holding->symbol].name);
    paper_out_text(call, "position_side", paper_position_side_names[side]);
    paper_out_dec(call, "quantity", position->amount);
    paper_out_dec(call, "entry_price", value.entry);
    paper_out_dec(call, "mark_price", value.mark);
    paper_out_dec(call, "unrealized_pnl", value.unrealised);
    paper_out_dec(call, "realized_pnl", position->realised);
    paper_out_int(call, "leverage", holding->leverage);
    json_object_end(&call->out);
}

static void paper_admin_order_row(paper_call *call, const paper_order *order)
{
    json_object(&call->out);
    paper_out_text(call, "account", call->server->exchange->accounts[order->account].name);
    paper_journal_order(&call->out, call->server->exchange, order);
    json_object_end(&call->out);
}

bool paper_admin_account(paper_call *call)
{
    const paper_exchange *exchange = call->server->exchange;
    const paper_account *account;
    int left = PAPER_ADMIN_ROWS_DEFAULT;
    paper_totals totals;

    call->account = paper_account_by_name(exchange, call->rest, strlen(call->rest));
    if (call->account == PAPER_NO_ACCOUNT) {
        return paper_call_refuse(call, 404, "there is no such account");
    }
    account = &exchange->accounts[call->account];
    if (!paper_account_totals(exchange, call->account, 0, PAPER_BOTH, NULL, DEC_ZERO, &totals)) {
        return paper_refuse(&call->refusal, -1000, NULL);
    }
    json_object(&call->out);
    paper_out_text(call, "account", account->name);
    paper_out_dec(call, "deposited", account->deposited);
    paper_out_dec(call, "wallet", account->wallet);
    paper_out_dec(call, "available", totals.available);
    paper_out_dec(call, "realized_pnl", account->realised);
    paper_out_dec(call, "commission", account->paid_commission);
    paper_out_dec(call, "unrealized_pnl", totals.unrealised);
    json_key(&call->out, "positions");
    json_array(&call->out);
    for (unsigned i = 0; i < account->holding_count; i++) {
        for (unsigned side = 0; side < 3; side++) {
            paper_admin_position(call, &account->holdings[i], (enum paper_position_side)side);
        }
    }
    json_array_end(&call->out);
    json_key(&call->out, "orders"); /* newest first */
    json_array(&call->out);
    for (const paper_order *order = paper_order_get(exchange, account->last_order);
         order != NULL && left-- > 0; order = paper_order_get(exchange, order->account_previous)) {
        paper_admin_order_row(call, order);
    }
    json_array_end(&call->out);
    json_object_end(&call->out);
    return true;
}

/* A number of the query of an admin call, which has no Binance parameters. */
static int64_t paper_query_int(const paper_call *call, const char *name, int64_t fallback)
{
    paper_params *params = &call->server->params;
    paper_refusal refusal = {0};
    int64_t value = fallback;
    bool given;

    if (!paper_params_read(params, call->http->query, call->http->query_length, "", 0) ||
        !paper_param_int(params, name, &value, &given, &refusal)) {
        return fallback;
    }
    return value;
}

/* Orders by id, ascending, from `after` on: what was accepted, as the journal has it. */
bool paper_admin_orders(paper_call *call)
{
    const paper_exchange *exchange = call->server->exchange;
    int64_t after = paper_query_int(call, "after", 0);
    int64_t limit = paper_query_int(call, "limit", PAPER_ADMIN_ROWS_DEFAULT);
    int64_t id = exchange->next_order - PAPER_ORDERS_MAX, last = 0;

    limit = limit < 1 || limit > PAPER_ADMIN_ROWS_MAX ? PAPER_ADMIN_ROWS_MAX : limit;
    id = id > PAPER_FIRST_ORDER ? id : PAPER_FIRST_ORDER;
    id = after >= id ? after + 1 : id;
    json_object(&call->out);
    json_key(&call->out, "orders");
    json_array(&call->out);
    for (; id < exchange->next_order && limit > 0; id++, limit--) {
        const paper_order *order = paper_order_get(exchange, id);

        if (order != NULL) {
            paper_admin_order_row(call, order);
            last = id;
        }
    }
    json_array_end(&call->out);
    json_key(&call->out, "next"); /* `after` of the next page; null: this was the last */
    if (last != 0 && id < exchange->next_order) {
        json_id(&call->out, last);
    } else {
        json_null(&call->out);
    }
    json_object_end(&call->out);
    return true;
}

/* ---- switches -----------------------------------------------------------------------------------
 */

bool paper_admin_script(paper_call *call)
{
    paper_leaders *leaders = &call->server->leaders;
    json_doc doc;

    if (!paper_call_json(call, &doc)) {
        return false;
    }
    (void)json_get_bool(&doc, json_at(&doc, 0, "running"), &leaders->running);
    (void)json_get_int(&doc, json_at(&doc, 0, "pace_ms"), &leaders->pace_ms);
    leaders->next_ms = 0;
    json_object(&call->out);
    paper_out_bool(call, "running", leaders->running);
    paper_out_int(call, "pace_ms", leaders->pace_ms);
    paper_out_int(call, "moves", (int64_t)leaders->moves);
    json_object_end(&call->out);
    return true;
}

bool paper_admin_faults_get(paper_call *call)
{
    paper_faults_write(&call->out, &call->server->faults);
    return true;
}

bool paper_admin_faults(paper_call *call)
{
    char error[PAPER_REFUSAL_TEXT_MAX];
    json_doc doc;

    if (!paper_call_json(call, &doc)) {
        return false;
    }
    if (!paper_faults_json(&call->server->faults, &doc, error, sizeof(error))) {
        return paper_call_refuse(call, 400, error);
    }
    return paper_admin_faults_get(call);
}

/* Off by default: on one machine a single address stands for thousands of accounts. */
bool paper_admin_limits(paper_call *call)
{
    paper_server *server = call->server;
    json_doc doc;

    if (!paper_call_json(call, &doc)) {
        return false;
    }
    (void)json_get_int(&doc, json_at(&doc, 0, "weight_per_minute"), &server->weight_limit);
    (void)json_get_int(&doc, json_at(&doc, 0, "orders_per_10s"), &server->order_limit_10s);
    (void)json_get_int(&doc, json_at(&doc, 0, "orders_per_minute"), &server->order_limit_1m);
    json_object(&call->out);
    paper_out_int(call, "weight_per_minute", server->weight_limit);
    paper_out_int(call, "orders_per_10s", server->order_limit_10s);
    paper_out_int(call, "orders_per_minute", server->order_limit_1m);
    json_object_end(&call->out);
    return true;
}

bool paper_admin_status(paper_call *call)
{
    const paper_server *server = call->server;

    json_object(&call->out);
    paper_out_int(call, "accounts", server->exchange->account_count);
    paper_out_int(call, "orders", (int64_t)server->exchange->accepted);
    paper_out_int(call, "refused", (int64_t)server->exchange->refused);
    paper_out_int(call, "fills", (int64_t)server->exchange->fills);
    paper_out_int(call, "replay_passes",
                  server->replay == NULL ? 0 : (int64_t)paper_replay_passes(server->replay));
    paper_out_int(call, "stream_clients", paper_streams_clients(server->streams));
    paper_out_int(call, "waiting_answers", paper_http_waiting(server->http));
    json_key(&call->out, "prices");
    json_object(&call->out);
    for (unsigned i = 0; i < server->market.count; i++) {
        if (paper_symbol_priced(&server->market.symbols[i])) {
            paper_out_dec(call, server->market.symbols[i].name, server->market.symbols[i].mark);
        }
    }
    json_object_end(&call->out);
    json_object_end(&call->out);
    return true;
}
