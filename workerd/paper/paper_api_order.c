/*
 * Orders over REST: place, cancel, ask, list, and the trades they made.
 */
#include "workerd/paper/paper_server.h"

#include <string.h>

#define PAPER_ROWS_DEFAULT 500
#define PAPER_ROWS_MAX 1000

/* The newest type words that another endpoint takes: Binance says so with -4120. */
static bool paper_conditional(const char *type)
{
    static const char *const names[] = {"STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET",
                                        "TRAILING_STOP_MARKET"};

    for (size_t i = 0; type != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(type, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Side, type, time in force and position side: words. */
static bool paper_read_words(paper_call *call, paper_request *request)
{
    const char *const type = paper_param_text(call->params, "type");
    int side, kind, force, position_side;
    bool given;

    if (!paper_param_word(call->params, "side", paper_side_names, 2, -1117, &side, NULL,
                          &call->refusal)) {
        return false;
    }
    if (paper_conditional(type)) {
        return paper_refuse(&call->refusal, -4120, NULL);
    }
    if (!paper_param_word(call->params, "type", paper_type_names, 2, -1116, &kind, NULL,
                          &call->refusal) ||
        !paper_param_word(call->params, "timeInForce", paper_force_names, 4, -1115, &force, &given,
                          &call->refusal)) {
        return false;
    }
    request->side = (enum paper_side)side;
    request->type = (enum paper_type)kind;
    if (given && request->type == PAPER_MARKET) {
        return paper_refuse(&call->refusal, -1106, "timeInForce");
    }
    if (!given && request->type == PAPER_LIMIT) {
        return paper_refuse(&call->refusal, -1102, "timeInForce");
    }
    request->force = given ? (enum paper_force)force : PAPER_GTC;
    if (!paper_param_word(call->params, "positionSide", paper_position_side_names, 3, -4061,
                          &position_side, &given, &call->refusal)) {
        return false;
    }
    request->has_position_side = given;
    request->position_side = given ? (enum paper_position_side)position_side : PAPER_BOTH;
    return true;
}

static bool paper_read_request(paper_call *call, paper_request *request)
{
    const char *id = paper_param_text(call->params, "newClientOrderId");
    bool given;

    *request = (paper_request){.account = call->account};
    request->symbol = paper_call_symbol(call, NULL);
    if (request->symbol == NULL || !paper_read_words(call, request) ||
        !paper_param_dec(call->params, "quantity", &request->quantity, NULL, &call->refusal) ||
        !paper_param_dec(call->params, "price", &request->price, &given, &call->refusal)) {
        return false;
    }
    if (given && request->type == PAPER_MARKET) {
        return paper_refuse(&call->refusal, -1106, "price");
    }
    if (!given && request->type == PAPER_LIMIT) {
        return paper_refuse(&call->refusal, -1102, "price");
    }
    if (!paper_param_bool(call->params, "reduceOnly", &request->reduce_only,
                          &request->has_reduce_only, &call->refusal)) {
        return false;
    }
    if (id != NULL) {
        if (!paper_client_id_valid(id, strlen(id))) {
            return paper_refuse(&call->refusal, -4015, NULL);
        }
        strcpy(request->client_id, id);
    }
    return true;
}

/*
 * An order as Binance tells it. `whole`: of a query, with avgPrice, cumQuote and time, which the
 * reply to a placement no longer carries since 2026-07. `ack`: what stood before the matching.
 */
static void paper_order_out(paper_call *call, const paper_order *order, bool whole, bool ack)
{
    const paper_symbol *symbol = &call->server->market.symbols[order->symbol];
    dec executed = ack ? DEC_ZERO : order->executed, quote = DEC_ZERO;

    json_object(&call->out);
    paper_out_int(call, "orderId", order->id);
    paper_out_text(call, "symbol", symbol->name);
    paper_out_text(call, "status", ack ? "NEW" : paper_status_names[order->status]);
    paper_out_text(call, "clientOrderId", order->client_id);
    paper_out_fixed(call, "price", order->price, symbol->price_places);
    if (whole) {
        (void)dec_mul(order->executed, order->fill_price, DEC_HALF_EVEN, &quote);
        paper_out_fixed(call, "avgPrice", order->fill_price, 5);
        paper_out_dec(call, "cumQuote", quote);
    } else {
        paper_out_fixed(call, "cumQty", executed, symbol->quantity_places);
    }
    paper_out_fixed(call, "origQty", order->quantity, symbol->quantity_places);
    paper_out_fixed(call, "executedQty", executed, symbol->quantity_places);
    paper_out_text(call, "timeInForce", paper_force_names[order->force]);
    paper_out_text(call, "type", paper_type_names[order->type]);
    paper_out_bool(call, "reduceOnly", order->reduce_only);
    paper_out_bool(call, "closePosition", false);
    paper_out_text(call, "side", paper_side_names[order->side]);
    paper_out_text(call, "positionSide", paper_position_side_names[order->position_side]);
    paper_out_text(call, "stopPrice", "0.00");
    paper_out_text(call, "workingType", "CONTRACT_PRICE");
    paper_out_bool(call, "priceProtect", false);
    paper_out_text(call, "origType", paper_type_names[order->type]);
    paper_out_text(call, "priceMatch", "NONE");
    paper_out_text(call, "selfTradePreventionMode", "EXPIRE_MAKER");
    paper_out_int(call, "goodTillDate", 0);
    if (whole) {
        paper_out_int(call, "time", order->created_ms);
    }
    paper_out_int(call, "updateTime", order->updated_ms);
    json_object_end(&call->out);
}

bool paper_post_order(paper_call *call)
{
    static const char *const answers[] = {"ACK", "RESULT"};
    paper_server *server = call->server;
    const paper_order *order = NULL;
    paper_request request;
    bool given;
    int wanted;

    if (paper_param_word(call->params, "newOrderRespType", answers, 2, -1136, &wanted, &given,
                         &call->refusal) &&
        paper_read_request(call, &request)) {
        order = paper_exchange_place(server->exchange, &request, call->now_ms, &call->refusal);
    }
    if (order == NULL) {
        shm_count(server->process, SHM_paper_rejected_total, 1);
        return false;
    }
    shm_count(server->process, SHM_paper_orders_total, 1);
    paper_order_out(call, order, false, wanted != 1); /* ACK unless RESULT is asked for */
    return true;
}

/* The order that orderId or origClientOrderId names; NULL refused with `code`. */
static paper_order *paper_find_order(paper_call *call, int code)
{
    const paper_symbol *symbol = paper_call_symbol(call, NULL);
    const char *client = paper_param_text(call->params, "origClientOrderId");
    paper_order *order = NULL;
    int64_t id = 0;
    bool given;

    if (symbol == NULL || !paper_param_int(call->params, "orderId", &id, &given, &call->refusal)) {
        return NULL;
    }
    if (!given && client == NULL) {
        paper_refuse(&call->refusal, -1102, "orderId");
        return NULL;
    }
    order = given ? paper_order_get(call->server->exchange, id)
                  : paper_order_by_client(call->server->exchange, call->account, client);
    if (order == NULL || order->account != call->account ||
        order->symbol != paper_symbol_index(call->server, symbol)) {
        paper_refuse(&call->refusal, code, NULL);
        return NULL;
    }
    return order;
}

bool paper_get_order(paper_call *call)
{
    const paper_order *order = paper_find_order(call, -2013);

    if (order == NULL) {
        return false;
    }
    paper_order_out(call, order, true, false);
    return true;
}

bool paper_get_open_order(paper_call *call)
{
    const paper_order *order = paper_find_order(call, -2013);

    if (order == NULL) {
        return false;
    }
    if (order->status != PAPER_NEW) {
        return paper_refuse(&call->refusal, -2013, NULL);
    }
    paper_order_out(call, order, true, false);
    return true;
}

bool paper_delete_order(paper_call *call)
{
    paper_order *order = paper_find_order(call, -2011);

    if (order == NULL ||
        !paper_exchange_cancel(call->server->exchange, order, call->now_ms, &call->refusal)) {
        return false;
    }
    paper_order_out(call, order, false, false);
    return true;
}

bool paper_delete_orders(paper_call *call)
{
    paper_exchange *exchange = call->server->exchange;
    const paper_symbol *symbol = paper_call_symbol(call, NULL);
    int64_t id;

    if (symbol == NULL) {
        return false;
    }
    id = exchange->open[paper_symbol_index(call->server, symbol)].first;
    for (paper_order *order = paper_order_get(exchange, id); order != NULL;
         order = paper_order_get(exchange, id)) {
        id = order->open_next;
        if (order->account == call->account &&
            !paper_exchange_cancel(exchange, order, call->now_ms, &call->refusal)) {
            return false;
        }
    }
    json_object(&call->out);
    paper_out_int(call, "code", 200);
    paper_out_text(call, "msg", "The operation of cancel all open order is done.");
    json_object_end(&call->out);
    return true;
}

bool paper_get_open_orders(paper_call *call)
{
    paper_exchange *exchange = call->server->exchange;
    const paper_symbol *only;
    bool given;

    only = paper_call_symbol(call, &given);
    if (call->refusal.code != 0) {
        return false;
    }
    json_array(&call->out);
    for (unsigned s = 0; s < call->server->market.count; s++) {
        if (given && paper_symbol_index(call->server, only) != s) {
            continue;
        }
        for (paper_order *order = paper_order_get(exchange, exchange->open[s].first); order != NULL;
             order = paper_order_get(exchange, order->open_next)) {
            if (order->account == call->account) {
                paper_order_out(call, order, true, false);
            }
        }
    }
    json_array_end(&call->out);
    return true;
}

/* ---- lists over time ----------------------------------------------------------------------------
 */

typedef struct {
    uint16_t symbol;
    bool trades;         /* only orders that filled; ids and times are the trades' */
    int64_t order, from; /* 0: any; from: smallest id, and then the oldest come first */
    int64_t start, end;  /* ms */
    int64_t limit;
} paper_range;

static bool paper_read_range(paper_call *call, const char *from, paper_range *range)
{
    const paper_symbol *symbol = paper_call_symbol(call, NULL);
    bool given;

    *range = (paper_range){.limit = PAPER_ROWS_DEFAULT, .end = INT64_MAX};
    if (symbol == NULL ||
        !paper_param_int(call->params, from, &range->from, &given, &call->refusal) ||
        !paper_param_int(call->params, "startTime", &range->start, &given, &call->refusal) ||
        !paper_param_int(call->params, "endTime", &range->end, &given, &call->refusal) ||
        !paper_param_int(call->params, "limit", &range->limit, &given, &call->refusal)) {
        return false;
    }
    range->symbol = paper_symbol_index(call->server, symbol);
    if (range->limit < 1) {
        return paper_refuse(&call->refusal, -1130, "limit");
    }
    range->limit = range->limit > PAPER_ROWS_MAX ? PAPER_ROWS_MAX : range->limit;
    return true;
}

static bool paper_in_range(const paper_order *order, const paper_range *range)
{
    int64_t id = range->trades ? order->trade_id : order->id;
    int64_t time = range->trades ? order->updated_ms : order->created_ms;

    return order->symbol == range->symbol && (!range->trades || order->trade_id != 0) &&
           (range->order == 0 || order->id == range->order) && id >= range->from &&
           time >= range->start && time <= range->end;
}

/*
 * The rows of a range, ascending: the newest `limit` of them, or the oldest when the range says
 * where it starts. The account's chain runs from new to old, so the window slides while it is
 * walked.
 */
static size_t paper_collect(const paper_call *call, const paper_range *range,
                            const paper_order *rows[PAPER_ROWS_MAX])
{
    const paper_exchange *exchange = call->server->exchange;
    bool oldest = range->from > 0 || range->start > 0;
    size_t limit = (size_t)range->limit, found = 0, kept;

    for (const paper_order *order =
             paper_order_get(exchange, exchange->accounts[call->account].last_order);
         order != NULL; order = paper_order_get(exchange, order->account_previous)) {
        if (!paper_in_range(order, range)) {
            continue;
        }
        if (!oldest && found == limit) {
            break;
        }
        rows[found % limit] = order;
        found++;
    }
    kept = found < limit ? found : limit;
    /* Newest stands first in the window; turn it round. */
    if (found > limit) {
        const paper_order *turned[PAPER_ROWS_MAX];

        for (size_t i = 0; i < kept; i++) {
            turned[i] = rows[(found - kept + i) % limit];
        }
        memcpy(rows, turned, kept * sizeof(rows[0]));
    }
    for (size_t i = 0; i < kept / 2; i++) {
        const paper_order *swap = rows[i];

        rows[i] = rows[kept - 1 - i];
        rows[kept - 1 - i] = swap;
    }
    return kept;
}

bool paper_get_all_orders(paper_call *call)
{
    static const paper_order *rows[PAPER_ROWS_MAX];
    paper_range range;
    size_t count;

    if (!paper_read_range(call, "orderId", &range)) {
        return false;
    }
    count = paper_collect(call, &range, rows);
    json_array(&call->out);
    for (size_t i = 0; i < count; i++) {
        paper_order_out(call, rows[i], true, false);
    }
    json_array_end(&call->out);
    return true;
}

static void paper_trade_out(paper_call *call, const paper_order *order)
{
    const paper_symbol *symbol = &call->server->market.symbols[order->symbol];
    dec quote = DEC_ZERO;

    (void)dec_mul(order->executed, order->fill_price, DEC_HALF_EVEN, &quote);
    json_object(&call->out);
    paper_out_text(call, "symbol", symbol->name);
    paper_out_int(call, "id", order->trade_id);
    paper_out_int(call, "orderId", order->id);
    paper_out_text(call, "side", paper_side_names[order->side]);
    paper_out_fixed(call, "price", order->fill_price, symbol->price_places);
    paper_out_fixed(call, "qty", order->executed, symbol->quantity_places);
    paper_out_fixed(call, "realizedPnl", order->realised, PAPER_MONEY_PLACES);
    paper_out_dec(call, "quoteQty", quote);
    paper_out_fixed(call, "commission", order->commission, PAPER_MONEY_PLACES);
    paper_out_text(call, "commissionAsset", symbol->quote);
    paper_out_int(call, "time", order->updated_ms);
    paper_out_text(call, "positionSide", paper_position_side_names[order->position_side]);
    paper_out_bool(call, "maker", order->maker);
    paper_out_bool(call, "buyer", order->side == PAPER_BUY);
    json_object_end(&call->out);
}

bool paper_get_trades(paper_call *call)
{
    static const paper_order *rows[PAPER_ROWS_MAX];
    paper_range range;
    size_t count;
    bool given;

    if (!paper_read_range(call, "fromId", &range) ||
        !paper_param_int(call->params, "orderId", &range.order, &given, &call->refusal)) {
        return false;
    }
    range.trades = true;
    count = paper_collect(call, &range, rows);
    json_array(&call->out);
    for (size_t i = 0; i < count; i++) {
        paper_trade_out(call, rows[i]);
    }
    json_array_end(&call->out);
    return true;
}
