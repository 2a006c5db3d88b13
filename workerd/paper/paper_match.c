/*
 * Deciding orders: the filters in Binance's order, position side and reduce-only rules, margin, and
 * at which price an order fills. Every check that fails leaves the exchange as it was.
 */
#include "workerd/paper/paper_exchange.h"

#include <stdio.h>
#include <string.h>

bool paper_client_id_valid(const char *text, size_t length)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  ".:/_-";

    return length >= 1 && length <= PAPER_CLIENT_ID_MAX && strspn(text, allowed) == length;
}

static bool paper_power_step(int places, dec *step)
{
    *step = DEC_ONE;
    for (int i = 0; i < places; i++) {
        if (!dec_div(*step, dec_from_int(10), DEC_TOWARD_ZERO, step)) {
            return false;
        }
    }
    return true;
}

static bool paper_check_quantity(const paper_request *request, paper_refusal *refusal)
{
    const paper_symbol *symbol = request->symbol;
    bool market = request->type == PAPER_MARKET;
    dec step = market ? symbol->market_step : symbol->step, places;

    if (dec_sign(request->quantity) <= 0) {
        return paper_refuse(refusal, -4003, NULL);
    }
    if (!paper_power_step(symbol->quantity_places, &places) ||
        !dec_is_multiple(request->quantity, places)) {
        return paper_refuse(refusal, -1111, NULL);
    }
    if (dec_compare(request->quantity,
                    market ? symbol->market_quantity_min : symbol->quantity_min) < 0) {
        return paper_refuse(refusal, -4004, NULL);
    }
    if (dec_compare(request->quantity,
                    market ? symbol->market_quantity_max : symbol->quantity_max) > 0) {
        return paper_refuse(refusal, -4005, NULL);
    }
    if (!dec_is_multiple(request->quantity, step)) {
        return paper_refuse(refusal, -4023, NULL);
    }
    return true;
}

/* PERCENT_PRICE: a buy may not stand far above the mark price, nor a sell far below it. */
static bool paper_check_band(const paper_request *request, paper_refusal *refusal)
{
    const paper_symbol *symbol = request->symbol;
    bool buy = request->side == PAPER_BUY;
    dec factor = buy ? symbol->multiplier_up : symbol->multiplier_down, bound;
    char text[DEC_TEXT_MAX];

    if (dec_is_zero(factor) || !dec_mul(symbol->mark, factor, DEC_HALF_EVEN, &bound) ||
        !dec_to_step(bound, symbol->tick, buy ? DEC_FLOOR : DEC_CEILING, &bound)) {
        return true;
    }
    if (buy ? dec_compare(request->price, bound) > 0 : dec_compare(request->price, bound) < 0) {
        dec_format(bound, text);
        return paper_refuse(refusal, buy ? -4016 : -4024, text);
    }
    return true;
}

static bool paper_check_price(const paper_request *request, paper_refusal *refusal)
{
    const paper_symbol *symbol = request->symbol;
    dec places;

    if (request->type == PAPER_MARKET) {
        return true;
    }
    if (dec_sign(request->price) <= 0) {
        return paper_refuse(refusal, -4001, NULL);
    }
    if (!paper_power_step(symbol->price_places, &places) ||
        !dec_is_multiple(request->price, places)) {
        return paper_refuse(refusal, -1111, NULL);
    }
    if (dec_compare(request->price, symbol->price_min) < 0) {
        return paper_refuse(refusal, -4013, NULL);
    }
    if (dec_compare(request->price, symbol->price_max) > 0) {
        return paper_refuse(refusal, -4002, NULL);
    }
    if (!dec_is_multiple(request->price, symbol->tick)) {
        return paper_refuse(refusal, -4014, NULL);
    }
    return paper_check_band(request, refusal);
}

/* One-way accounts trade BOTH, hedge accounts LONG or SHORT; reduceOnly is a one-way word. */
static bool paper_check_side(const paper_exchange *exchange, const paper_request *request,
                             paper_refusal *refusal)
{
    bool hedge = exchange->accounts[request->account].hedge;

    if (hedge != (request->position_side != PAPER_BOTH)) {
        return paper_refuse(refusal, -4061, NULL);
    }
    if (hedge && request->has_reduce_only) {
        return paper_refuse(refusal, -1106, "reduceOnly");
    }
    return true;
}

static bool paper_check_notional(const paper_request *request, paper_refusal *refusal)
{
    dec price = request->type == PAPER_MARKET ? request->symbol->mark : request->price, notional;
    char text[DEC_TEXT_MAX];

    if (!dec_mul(request->quantity, price, DEC_HALF_EVEN, &notional)) {
        return paper_refuse(refusal, -4005, NULL);
    }
    if (dec_compare(notional, request->symbol->notional_min) < 0) {
        dec_format(request->symbol->notional_min, text);
        return paper_refuse(refusal, -4164, text);
    }
    return true;
}

static bool paper_reducing(const paper_request *request)
{
    if (request->position_side == PAPER_BOTH) {
        return request->reduce_only;
    }
    return (request->position_side == PAPER_LONG) == (request->side == PAPER_SELL);
}

/*
 * What is left to reduce; Binance cuts a larger reduce-only order down to the position. Refused
 * where there is nothing on the other side.
 */
static bool paper_check_reducing(const paper_exchange *exchange, const paper_request *request,
                                 paper_order *order, paper_refusal *refusal)
{
    const paper_holding *holding = paper_account_find(exchange, request->account, order->symbol);
    dec amount = holding == NULL ? DEC_ZERO : holding->sides[request->position_side].amount;

    if (!paper_reducing(request)) {
        return true;
    }
    if (dec_sign(amount) != (request->side == PAPER_SELL ? 1 : -1)) {
        return paper_refuse(refusal, -2022, NULL);
    }
    /* In hedge mode a close that is too large is an error, not a smaller order. */
    if (request->position_side != PAPER_BOTH &&
        dec_compare(order->quantity, dec_absolute(amount)) > 0) {
        return paper_refuse(refusal, -2022, NULL);
    }
    order->quantity = dec_least(order->quantity, dec_absolute(amount));
    return true;
}

/* Does the order meet the other side of the touch now? */
static bool paper_crosses(const paper_request *request)
{
    if (request->type == PAPER_MARKET) {
        return true;
    }
    return request->side == PAPER_BUY ? dec_compare(request->price, request->symbol->ask) >= 0
                                      : dec_compare(request->price, request->symbol->bid) <= 0;
}

/* Sets the fill of an order at a price: fee, profit, trade id. */
static bool paper_fill(const paper_exchange *exchange, paper_order *order, dec price, bool maker,
                       int64_t now_ms, paper_position *after)
{
    const paper_holding *holding = paper_account_find(exchange, order->account, order->symbol);
    paper_position flat = {0};
    const paper_position *before = holding == NULL ? &flat : &holding->sides[order->position_side];

    order->executed = order->quantity;
    order->fill_price = price;
    order->maker = maker;
    order->commission = paper_fee(order->quantity, price, maker);
    order->status = PAPER_FILLED;
    order->trade_id = exchange->next_trade;
    order->updated_ms = now_ms;
    return paper_position_fill(before, order->side, order->quantity, price, after,
                               &order->realised);
}

/*
 * Can the account carry it? Asked of every order that leaves a larger position or a turned one; an
 * order that only reduces is always affordable. A resting order is weighed as if filled at its
 * price.
 */
static bool paper_check_margin(paper_exchange *exchange, const paper_order *order,
                               const paper_position *after, paper_refusal *refusal)
{
    paper_holding *holding = paper_account_holding(exchange, order->account, order->symbol);
    paper_totals totals;
    dec change, notional;

    if (holding == NULL) {
        return paper_refuse(refusal, -1008, NULL);
    }
    if (dec_compare(dec_absolute(after->amount),
                    dec_absolute(holding->sides[order->position_side].amount)) <= 0 &&
        dec_sign(after->amount) * dec_sign(holding->sides[order->position_side].amount) >= 0) {
        return true;
    }
    if (!dec_mul(dec_absolute(after->amount), exchange->market->symbols[order->symbol].mark,
                 DEC_HALF_EVEN, &notional) ||
        dec_compare(notional, dec_from_int(paper_notional_cap(holding->leverage))) > 0) {
        return paper_refuse(refusal, -2027, NULL);
    }
    if (!dec_sub(order->realised, order->commission, &change) ||
        !paper_account_totals(exchange, order->account, order->symbol, order->position_side, after,
                              change, &totals) ||
        dec_sign(totals.available) < 0) {
        return paper_refuse(refusal, -2019, NULL);
    }
    return true;
}

static void paper_client_id_make(const paper_exchange *exchange, paper_order *order)
{
    /* Unique by the order id; letters first, like those that Binance makes. */
    snprintf(order->client_id, sizeof(order->client_id), "paper%lld", (long long)order->id);
    (void)exchange;
}

/* The oldest order makes room; where it still rests it is expired first, and that is recorded. */
static bool paper_make_room(paper_exchange *exchange, int64_t now_ms)
{
    paper_order *victim = paper_order_victim(exchange);
    paper_event event = {.kind = PAPER_EVENT_UPDATE, .time_ms = now_ms};

    if (victim == NULL || victim->status != PAPER_NEW) {
        return true;
    }
    event.account = victim->account;
    event.symbol = victim->symbol;
    event.order = *victim;
    event.order.status = PAPER_EXPIRED;
    event.order.updated_ms = now_ms;
    return paper_exchange_commit(exchange, &event);
}

/* An order that does not meet the touch: rests, ends, or is refused, by its time in force. */
static bool paper_decide_resting(paper_exchange *exchange, const paper_request *request,
                                 paper_order *order, paper_refusal *refusal)
{
    paper_order imagined = *order;
    paper_position after;

    if (request->force == PAPER_FOK) {
        return paper_refuse(refusal, -5021, NULL);
    }
    if (request->force == PAPER_IOC) {
        order->status = PAPER_EXPIRED;
        return true;
    }
    if (exchange->accounts[request->account].open_orders >= PAPER_OPEN_ORDERS_MAX ||
        exchange->open[order->symbol].count >= PAPER_RESTING_MAX) {
        return paper_refuse(refusal, -2025, NULL);
    }
    if (!paper_fill(exchange, &imagined, request->price, true, order->created_ms, &after)) {
        return paper_refuse(refusal, -4005, NULL);
    }
    order->status = PAPER_NEW;
    return paper_check_margin(exchange, &imagined, &after, refusal);
}

static bool paper_decide(paper_exchange *exchange, const paper_request *request, paper_order *order,
                         paper_refusal *refusal)
{
    const paper_symbol *symbol = request->symbol;
    const paper_order *same;
    paper_position after;

    if (!paper_symbol_priced(symbol)) {
        return paper_refuse(refusal, -1008, NULL);
    }
    if (!paper_check_quantity(request, refusal) || !paper_check_price(request, refusal) ||
        !paper_check_side(exchange, request, refusal)) {
        return false;
    }
    if (!paper_reducing(request) && !paper_check_notional(request, refusal)) {
        return false;
    }
    same = paper_order_by_client(exchange, request->account, order->client_id);
    if (same != NULL && same->status == PAPER_NEW) {
        return paper_refuse(refusal, -4116, NULL); /* among open orders only, as Binance does */
    }
    if (!paper_check_reducing(exchange, request, order, refusal)) {
        return false;
    }
    if (!paper_crosses(request)) {
        return paper_decide_resting(exchange, request, order, refusal);
    }
    if (request->type == PAPER_LIMIT && request->force == PAPER_GTX) {
        return paper_refuse(refusal, -5022, NULL);
    }
    if (!paper_fill(exchange, order, request->side == PAPER_BUY ? symbol->ask : symbol->bid, false,
                    order->created_ms, &after)) {
        return paper_refuse(refusal, -4005, NULL);
    }
    return paper_check_margin(exchange, order, &after, refusal);
}

const paper_order *paper_exchange_place(paper_exchange *exchange, const paper_request *request,
                                        int64_t now_ms, paper_refusal *refusal)
{
    paper_event event = {.kind = PAPER_EVENT_ORDER, .time_ms = now_ms};
    paper_order *order = &event.order;

    *refusal = (paper_refusal){0};
    event.account = order->account = request->account;
    event.symbol = order->symbol = (uint16_t)(request->symbol - exchange->market->symbols);
    order->id = exchange->next_order;
    order->created_ms = order->updated_ms = now_ms;
    order->quantity = request->quantity;
    order->price = request->price;
    order->side = (uint8_t)request->side;
    order->type = (uint8_t)request->type;
    order->force = (uint8_t)request->force;
    order->position_side = (uint8_t)request->position_side;
    order->reduce_only = paper_reducing(request);
    memcpy(order->client_id, request->client_id, sizeof(order->client_id));
    if (order->client_id[0] == '\0') {
        paper_client_id_make(exchange, order);
    }
    if (!paper_decide(exchange, request, order, refusal)) {
        exchange->refused++;
        return NULL;
    }
    if (!paper_make_room(exchange, now_ms) || !paper_exchange_commit(exchange, &event)) {
        exchange->refused++;
        paper_refuse(refusal, -1008, NULL); /* not written down, so not done */
        return NULL;
    }
    return paper_order_get(exchange, order->id);
}

bool paper_exchange_cancel(paper_exchange *exchange, paper_order *order, int64_t now_ms,
                           paper_refusal *refusal)
{
    paper_event event = {.kind = PAPER_EVENT_UPDATE,
                         .time_ms = now_ms,
                         .account = order->account,
                         .symbol = order->symbol,
                         .order = *order};

    *refusal = (paper_refusal){0};
    if (order->status != PAPER_NEW) {
        return paper_refuse(refusal, -2011, NULL);
    }
    event.order.status = PAPER_CANCELED;
    event.order.updated_ms = now_ms;
    if (!paper_exchange_commit(exchange, &event)) {
        return paper_refuse(refusal, -1008, NULL);
    }
    return true;
}

/* A resting order that the touch reached: filled at its own price, or expired where it can no
 * longer be. */
static void paper_fill_resting(paper_exchange *exchange, const paper_order *order, int64_t now_ms)
{
    const paper_holding *holding = paper_account_find(exchange, order->account, order->symbol);
    dec amount = holding == NULL ? DEC_ZERO : holding->sides[order->position_side].amount;
    bool closable = dec_sign(amount) == (order->side == PAPER_SELL ? 1 : -1);
    paper_event event = {.kind = PAPER_EVENT_UPDATE,
                         .time_ms = now_ms,
                         .account = order->account,
                         .symbol = order->symbol,
                         .order = *order};
    paper_position after;

    if (order->reduce_only && closable) {
        event.order.quantity = dec_least(order->quantity, dec_absolute(amount));
    }
    if ((order->reduce_only && !closable) ||
        !paper_fill(exchange, &event.order, order->price, true, now_ms, &after)) {
        event.order = *order;
        event.order.status = PAPER_EXPIRED;
        event.order.updated_ms = now_ms;
    }
    (void)paper_exchange_commit(exchange,
                                &event); /* not recorded: it rests on, and is tried again */
}

void paper_exchange_tick(paper_exchange *exchange, const paper_symbol *symbol, int64_t now_ms)
{
    size_t index = (size_t)(symbol - exchange->market->symbols);
    int64_t id = exchange->open[index].first;
    dec buy = exchange->open[index].best_buy, sell = exchange->open[index].best_sell;

    if (dec_compare(buy, symbol->ask) < 0 &&
        (dec_is_zero(sell) || dec_compare(sell, symbol->bid) > 0)) {
        return;
    }
    exchange->open[index].best_buy = exchange->open[index].best_sell = DEC_ZERO;
    while (id != 0) {
        paper_order *order = paper_order_get(exchange, id);

        if (order == NULL) {
            return;
        }
        id = order->open_next;
        if (order->side == PAPER_BUY ? dec_compare(order->price, symbol->ask) >= 0
                                     : dec_compare(order->price, symbol->bid) <= 0) {
            paper_fill_resting(exchange, order, now_ms);
        }
        if (order->status == PAPER_NEW) {
            paper_order_bound(exchange, order); /* those that stay say when to look again */
        }
    }
}
