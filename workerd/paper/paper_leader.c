/*
 * Lead traders: their rows, and what a move does to them. See the header for the promises.
 */
#include "workerd/paper/paper_leader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAPER_LEADER_LINE_MAX 512
#define PAPER_LEADER_LEVERAGE 10 /* of a row that was never told another */

const char *const paper_action_names[5] = {"open", "increase", "reduce", "close", "flip"};

/* ---- rows ---------------------------------------------------------------------------------------
 */

static paper_leader_row *paper_leader_row_at(paper_leader *leader, const char *symbol,
                                             enum paper_position_side side)
{
    paper_leader_row *row;

    for (unsigned i = 0; i < leader->row_count; i++) {
        row = &leader->rows[i];
        if (row->side == side && strcmp(row->symbol, symbol) == 0) {
            return row;
        }
    }
    if (leader->row_count == PAPER_LEADER_POSITIONS_MAX) {
        return NULL;
    }
    row = &leader->rows[leader->row_count++];
    *row = (paper_leader_row){.side = side, .leverage = PAPER_LEADER_LEVERAGE};
    snprintf(row->symbol, sizeof(row->symbol), "%s", symbol);
    return row;
}

void paper_leader_row_value(const paper_leaders *leaders, const paper_leader_row *row,
                            paper_leader_value *value)
{
    const paper_symbol *symbol =
        paper_market_find(leaders->market, row->symbol, strlen(row->symbol));
    dec gain;

    *value = (paper_leader_value){.mark = row->mark, .entry = paper_position_entry(&row->position)};
    if (symbol != NULL && paper_symbol_priced(symbol)) {
        value->mark = symbol->mark;
    }
    if (!dec_mul(row->position.amount, value->mark, DEC_HALF_EVEN, &value->notional) ||
        !dec_sub(dec_absolute(value->notional), row->position.cost, &gain)) {
        return;
    }
    value->unrealised = dec_sign(row->position.amount) < 0 ? dec_negate(gain) : gain;
}

/* ---- reading the file ---------------------------------------------------------------------------
 */

static bool paper_leader_side(const json_doc *doc, int node, enum paper_position_side *side)
{
    for (int i = 0; i < 3; i++) {
        if (json_equals(doc, node, paper_position_side_names[i])) {
            *side = (enum paper_position_side)i;
            return true;
        }
    }
    return false;
}

static bool paper_leader_read_row(const json_doc *doc, int node, paper_leader *leader)
{
    enum paper_position_side side;
    char symbol[PAPER_SYMBOL_MAX];
    paper_leader_row *row;
    int64_t leverage;
    dec entry, amount;

    if (!json_copy(doc, json_at(doc, node, "symbol"), symbol, sizeof(symbol)) ||
        !paper_leader_side(doc, json_at(doc, node, "positionSide"), &side) ||
        !json_get_dec(doc, json_at(doc, node, "positionAmount"), &amount) ||
        !json_get_dec_rounded(doc, json_at(doc, node, "entryPrice"), &entry) ||
        !json_get_int(doc, json_at(doc, node, "leverage"), &leverage)) {
        return false;
    }
    row = paper_leader_row_at(leader, symbol, side);
    if (row == NULL || leverage < 1 || leverage > PAPER_LEVERAGE_MAX) {
        return false;
    }
    row->leverage = (int)leverage;
    row->position.amount = amount;
    (void)json_get_bool(doc, json_at(doc, node, "isolated"), &row->isolated);
    (void)json_get_dec(doc, json_at(doc, node, "markPrice"), &row->mark);
    (void)json_get_dec(doc, json_at(doc, node, "cumRealized"), &row->position.realised);
    return dec_mul(dec_absolute(amount), entry, DEC_HALF_EVEN, &row->position.cost);
}

static void paper_leader_note(paper_leader *leader, const paper_leader_order *order)
{
    leader->orders[leader->order_count % PAPER_LEADER_HISTORY_MAX] = *order;
    leader->order_count++;
    if (order->time_ms > leader->last_trade_ms) {
        leader->last_trade_ms = order->time_ms;
    }
}

/* The file has its history newest first, as the page does; kept oldest first. */
static bool paper_leader_read_history(const json_doc *doc, int node, paper_leader *leader)
{
    int items[PAPER_LEADER_HISTORY_MAX], count = 0;

    for (int it = json_first(doc, node); it >= 0 && count < PAPER_LEADER_HISTORY_MAX;
         it = json_next(doc, it)) {
        items[count++] = it;
    }
    while (count-- > 0) {
        paper_leader_order order = {0};
        int it = items[count];

        if (!json_copy(doc, json_at(doc, it, "symbol"), order.symbol, sizeof(order.symbol)) ||
            !json_copy(doc, json_at(doc, it, "baseAsset"), order.base, sizeof(order.base)) ||
            !json_copy(doc, json_at(doc, it, "type"), order.type, sizeof(order.type)) ||
            !paper_leader_side(doc, json_at(doc, it, "positionSide"), &order.position_side) ||
            !json_get_dec(doc, json_at(doc, it, "executedQty"), &order.quantity) ||
            !json_get_dec(doc, json_at(doc, it, "avgPrice"), &order.price) ||
            !json_get_dec(doc, json_at(doc, it, "totalPnl"), &order.profit) ||
            !json_get_int(doc, json_at(doc, it, "orderTime"), &order.time_ms)) {
            return false;
        }
        order.side = json_equals(doc, json_at(doc, it, "side"), "BUY") ? PAPER_BUY : PAPER_SELL;
        paper_leader_note(leader, &order);
    }
    return true;
}

static bool paper_leader_read(const json_doc *doc, int node, paper_leader *leader)
{
    leader->detail = json_at(doc, node, "detail");
    leader->list = json_at(doc, node, "list");
    leader->hedge = json_equals(doc, json_at(doc, node, "position_mode"), "hedge");
    leader->captured = json_equals(doc, json_at(doc, node, "origin"), "captured");
    (void)json_get_bool(doc, json_at(doc, node, "scripted"), &leader->scripted);
    (void)json_get_bool(doc, json_at(doc, node, "hidden"), &leader->hidden);
    for (int it = json_first(doc, json_at(doc, node, "positions")); it >= 0;
         it = json_next(doc, it)) {
        if (!paper_leader_read_row(doc, it, leader)) {
            return false;
        }
    }
    return json_copy(doc, json_at(doc, node, "id"), leader->id, sizeof(leader->id)) &&
           leader->id[0] != '\0' && json_is_object(doc, leader->detail) &&
           json_is_object(doc, leader->list) &&
           paper_leader_read_history(doc, json_at(doc, node, "order_history"), leader);
}

bool paper_leaders_load(paper_leaders *leaders, paper_market *market, char *text, size_t length,
                        char *error, size_t capacity)
{
    int list;

    *leaders = (paper_leaders){.market = market, .text = text};
    leaders->tokens = calloc(PAPER_TOKENS_MAX, sizeof(*leaders->tokens));
    leaders->leaders = calloc(PAPER_LEADERS_MAX, sizeof(*leaders->leaders));
    if (leaders->tokens == NULL || leaders->leaders == NULL ||
        json_parse(&leaders->doc, text, length, leaders->tokens, PAPER_TOKENS_MAX) != JSON_OK) {
        snprintf(error, capacity, "the leaders' file is not JSON, or too large");
        return false;
    }
    list = json_at(&leaders->doc, 0, "leaders");
    for (int it = json_first(&leaders->doc, list); it >= 0; it = json_next(&leaders->doc, it)) {
        if (leaders->count == PAPER_LEADERS_MAX ||
            !paper_leader_read(&leaders->doc, it, &leaders->leaders[leaders->count])) {
            snprintf(error, capacity, "leader %u of the file is wrong, or one too many",
                     leaders->count);
            return false;
        }
        leaders->count++;
    }
    return true;
}

void paper_leaders_free(paper_leaders *leaders)
{
    free(leaders->leaders);
    free(leaders->tokens);
    free(leaders->text);
    *leaders = (paper_leaders){0};
}

paper_leader *paper_leaders_find(paper_leaders *leaders, const char *id)
{
    for (unsigned i = 0; i < leaders->count; i++) {
        if (strcmp(leaders->leaders[i].id, id) == 0) {
            return &leaders->leaders[i];
        }
    }
    return NULL;
}

/* ---- moves --------------------------------------------------------------------------------------
 */

/* A fill into a row and the history. False: a number does not fit, nothing changed. */
static bool paper_leader_fill(paper_leaders *leaders, paper_leader *leader, paper_leader_row *row,
                              enum paper_side side, dec quantity, dec price, int64_t now_ms)
{
    const paper_symbol *symbol =
        paper_market_find(leaders->market, row->symbol, strlen(row->symbol));
    paper_leader_order order = {.side = side,
                                .position_side = row->side,
                                .quantity = quantity,
                                .price = price,
                                .time_ms = now_ms,
                                .type = "MARKET"};
    paper_position after;

    if (!paper_position_fill(&row->position, side, quantity, price, &after, &order.profit)) {
        return false;
    }
    snprintf(order.symbol, sizeof(order.symbol), "%s", row->symbol);
    snprintf(order.base, sizeof(order.base), "%s", symbol == NULL ? "" : symbol->base);
    row->position = after;
    row->position.updated_ms = now_ms;
    paper_leader_note(leader, &order);
    return true;
}

/* Recorded, then done. */
static bool paper_leader_do(paper_leaders *leaders, paper_leader *leader, paper_leader_row *row,
                            enum paper_action action, enum paper_side side, dec quantity,
                            int leverage, int64_t now_ms)
{
    const paper_symbol *symbol =
        paper_market_find(leaders->market, row->symbol, strlen(row->symbol));
    dec price = side == PAPER_BUY ? symbol->ask : symbol->bid;
    char line[PAPER_LEADER_LINE_MAX], quantity_text[DEC_TEXT_MAX], price_text[DEC_TEXT_MAX];
    int length;

    dec_format(quantity, quantity_text);
    dec_format(price, price_text);
    length = snprintf(line, sizeof(line),
                      "{\"kind\":\"leader\",\"time_ms\":%lld,\"leader\":\"%s\",\"action\":\"%s\","
                      "\"symbol\":\"%s\",\"position_side\":\"%s\",\"side\":\"%s\","
                      "\"quantity\":\"%s\",\"price\":\"%s\",\"leverage\":%d,\"moves\":%llu}",
                      (long long)now_ms, leader->id, paper_action_names[action], row->symbol,
                      paper_position_side_names[row->side], paper_side_names[side], quantity_text,
                      price_text, leverage, (unsigned long long)leaders->moves);
    if (leaders->record != NULL && !leaders->record(leaders->owner, line, (size_t)length)) {
        return false;
    }
    row->leverage = leverage;
    return paper_leader_fill(leaders, leader, row, side, quantity, price, now_ms);
}

/* The row that a move speaks of; *held is its size. NULL with the reason. */
static paper_leader_row *paper_move_row(paper_leader *leader, const paper_move *move, char *error,
                                        size_t capacity)
{
    bool is_short = move->is_short;
    paper_leader_row *row;

    if (!leader->hedge) {
        row = paper_leader_row_at(leader, move->symbol->name, PAPER_BOTH);
    } else {
        row = paper_leader_row_at(leader, move->symbol->name, is_short ? PAPER_SHORT : PAPER_LONG);
        if (row != NULL && dec_is_zero(row->position.amount) && move->action != PAPER_OPEN) {
            /* Named or not: what is held is what can be moved. */
            row = paper_leader_row_at(leader, move->symbol->name,
                                      is_short ? PAPER_LONG : PAPER_SHORT);
        }
    }
    if (row == NULL) {
        snprintf(error, capacity, "the leader has too many positions");
        return NULL;
    }
    if ((move->action == PAPER_OPEN) != dec_is_zero(row->position.amount)) {
        snprintf(error, capacity,
                 move->action == PAPER_OPEN ? "the position is open already"
                                            : "there is no such position");
        return NULL;
    }
    return row;
}

/* How much a move trades, on the symbol's step. Zero: nothing that can be traded. */
static dec paper_move_quantity(const paper_leaders *leaders, const paper_leader *leader,
                               const paper_leader_row *row, const paper_move *move, int leverage)
{
    dec held = dec_absolute(row->position.amount), quantity = move->quantity, balance;

    if (dec_sign(quantity) <= 0 && (move->action == PAPER_CLOSE || move->action == PAPER_FLIP)) {
        quantity = held;
    } else if (dec_sign(quantity) <= 0 && move->action == PAPER_OPEN) {
        /* A fraction of nothing: of the leader's own margin balance then, as margin. */
        if (!json_get_dec(&leaders->doc, json_at(&leaders->doc, leader->detail, "marginBalance"),
                          &balance) ||
            !dec_mul(balance, move->fraction, DEC_HALF_EVEN, &balance) ||
            !dec_mul_div(balance, dec_from_int(leverage), move->symbol->ask, DEC_FLOOR,
                         &quantity)) {
            return DEC_ZERO;
        }
    } else if (dec_sign(quantity) <= 0 &&
               !dec_mul(held, move->fraction, DEC_HALF_EVEN, &quantity)) {
        return DEC_ZERO;
    }
    if (!dec_to_step(quantity, move->symbol->step, DEC_FLOOR, &quantity)) {
        return DEC_ZERO;
    }
    if (dec_is_zero(quantity)) {
        quantity = move->symbol->step;
    }
    if (move->action == PAPER_CLOSE ||
        (move->action == PAPER_REDUCE && dec_compare(quantity, held) > 0)) {
        quantity = held;
    }
    return quantity;
}

static bool paper_move_flip(paper_leaders *leaders, paper_leader *leader, paper_leader_row *row,
                            dec quantity, int leverage, int64_t now_ms)
{
    dec held = dec_absolute(row->position.amount);
    enum paper_side side = dec_sign(row->position.amount) > 0 ? PAPER_SELL : PAPER_BUY;
    paper_leader_row *other;

    if (!leader->hedge) {
        /* One order, as a trader would send it: out of the old side and into the new one. */
        return dec_add(held, quantity, &held) &&
               paper_leader_do(leaders, leader, row, PAPER_FLIP, side, held, leverage, now_ms);
    }
    other = paper_leader_row_at(leader, row->symbol,
                                row->side == PAPER_LONG ? PAPER_SHORT : PAPER_LONG);
    return other != NULL &&
           paper_leader_do(leaders, leader, row, PAPER_CLOSE, side, held, leverage, now_ms) &&
           paper_leader_do(leaders, leader, other, PAPER_FLIP, side, quantity, leverage, now_ms);
}

bool paper_leader_move(paper_leaders *leaders, paper_leader *leader, const paper_move *move,
                       int64_t now_ms, char *error, size_t capacity)
{
    paper_leader_row *row;
    enum paper_side side;
    bool adds = move->action == PAPER_OPEN || move->action == PAPER_INCREASE;
    dec quantity;
    int leverage;

    if (!paper_symbol_priced(move->symbol)) {
        snprintf(error, capacity, "there is no price yet");
        return false;
    }
    row = paper_move_row(leader, move, error, capacity);
    if (row == NULL) {
        return false;
    }
    leverage = move->leverage > 0 ? move->leverage : row->leverage;
    quantity = paper_move_quantity(leaders, leader, row, move, leverage);
    if (dec_sign(quantity) <= 0) {
        snprintf(error, capacity, "the quantity is out of range");
        return false;
    }
    side = move->action == PAPER_OPEN
               ? (move->is_short ? PAPER_SELL : PAPER_BUY)
               : ((dec_sign(row->position.amount) > 0) == adds ? PAPER_BUY : PAPER_SELL);
    leaders->moves++;
    if (move->action == PAPER_FLIP
            ? !paper_move_flip(leaders, leader, row, quantity, leverage, now_ms)
            : !paper_leader_do(leaders, leader, row, move->action, side, quantity, leverage,
                               now_ms)) {
        snprintf(error, capacity, "the move could not be recorded");
        return false;
    }
    return true;
}

bool paper_leader_hide(paper_leaders *leaders, paper_leader *leader, bool hidden, int64_t now_ms)
{
    char line[PAPER_LEADER_LINE_MAX];
    int length = snprintf(line, sizeof(line),
                          "{\"kind\":\"leader\",\"time_ms\":%lld,\"leader\":\"%s\","
                          "\"action\":\"hide\",\"hidden\":%s}",
                          (long long)now_ms, leader->id, hidden ? "true" : "false");

    if (leaders->record != NULL && !leaders->record(leaders->owner, line, (size_t)length)) {
        return false;
    }
    leader->hidden = hidden;
    return true;
}

bool paper_leaders_replay(void *owner, const json_doc *doc)
{
    paper_leaders *leaders = owner;
    enum paper_position_side position_side;
    char id[PAPER_LEADER_ID_MAX], symbol[PAPER_SYMBOL_MAX];
    int64_t time_ms, leverage, moves;
    paper_leader_row *row;
    paper_leader *leader;
    dec quantity, price;

    if (!json_copy(doc, json_at(doc, 0, "leader"), id, sizeof(id)) ||
        !json_get_int(doc, json_at(doc, 0, "time_ms"), &time_ms)) {
        return false;
    }
    leader = paper_leaders_find(leaders, id);
    if (leader == NULL) {
        return true; /* no longer in the file: its moves concern nobody */
    }
    if (json_equals(doc, json_at(doc, 0, "action"), "hide")) {
        return json_get_bool(doc, json_at(doc, 0, "hidden"), &leader->hidden);
    }
    if (!json_copy(doc, json_at(doc, 0, "symbol"), symbol, sizeof(symbol)) ||
        !paper_leader_side(doc, json_at(doc, 0, "position_side"), &position_side) ||
        !json_get_dec(doc, json_at(doc, 0, "quantity"), &quantity) ||
        !json_get_dec(doc, json_at(doc, 0, "price"), &price) ||
        !json_get_int(doc, json_at(doc, 0, "leverage"), &leverage) ||
        !json_get_int(doc, json_at(doc, 0, "moves"), &moves)) {
        return false;
    }
    row = paper_leader_row_at(leader, symbol, position_side);
    if (row == NULL) {
        return false;
    }
    leaders->moves = (uint64_t)moves;
    row->leverage = (int)leverage;
    return paper_leader_fill(leaders, leader, row,
                             json_equals(doc, json_at(doc, 0, "side"), "BUY") ? PAPER_BUY
                                                                              : PAPER_SELL,
                             quantity, price, time_ms);
}
