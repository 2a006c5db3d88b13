/*
 * Leaders' pages in Binance's own words (undocumented, as the web site reads them), and the admin
 * calls that move a leader.
 *
 * The positions page has three rows for every symbol, zeros and all; a hidden leader's is empty and
 * still a success, which is the trap it is there for.
 */
#include "workerd/paper/paper_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAPER_PAGE_MAX 100

static void paper_envelope(paper_call *call)
{
    json_object(&call->out);
    paper_out_text(call, "code", "000000");
    json_key(&call->out, "message");
    json_null(&call->out);
    json_key(&call->out, "messageDetail");
    json_null(&call->out);
    json_key(&call->out, "data");
}

static bool paper_envelope_end(paper_call *call)
{
    paper_out_bool(call, "success", true);
    json_object_end(&call->out);
    return true;
}

/* What the site answers when it knows no such portfolio: a success:false with 200. */
static bool paper_unknown_leader(paper_call *call)
{
    json_object(&call->out);
    paper_out_text(call, "code", "11012028");
    paper_out_text(call, "message", "Lead portfolio does not exist.");
    json_key(&call->out, "messageDetail");
    json_null(&call->out);
    json_key(&call->out, "data");
    json_null(&call->out);
    paper_out_bool(call, "success", false);
    json_object_end(&call->out);
    return true;
}

static paper_leader *paper_query_leader(paper_call *call)
{
    const char *id = paper_param_text(call->params, "portfolioId");

    return id == NULL ? NULL : paper_leaders_find(&call->server->leaders, id);
}

/* ---- positions ----------------------------------------------------------------------------------
 */

static void paper_leader_row_out(paper_call *call, const paper_leaders *leaders,
                                 const paper_leader_row *row)
{
    paper_leader_value value;
    char id[PAPER_SYMBOL_MAX + 16];

    paper_leader_row_value(leaders, row, &value);
    snprintf(id, sizeof(id), "0_%s_%s", row->symbol, paper_position_side_names[row->side]);
    json_object(&call->out);
    paper_out_text(call, "id", id);
    paper_out_text(call, "symbol", row->symbol);
    paper_out_text(call, "collateral", "USDT");
    paper_out_dec(call, "positionAmount", row->position.amount);
    paper_out_dec(call, "entryPrice", value.entry);
    paper_out_fixed(call, "unrealizedProfit", value.unrealised, PAPER_MONEY_PLACES);
    paper_out_dec(call, "cumRealized", row->position.realised);
    paper_out_text(call, "askNotional", "0");
    paper_out_text(call, "bidNotional", "0");
    paper_out_fixed(call, "notionalValue", value.notional, PAPER_MONEY_PLACES);
    paper_out_fixed(call, "markPrice", dec_is_zero(row->position.amount) ? DEC_ZERO : value.mark,
                    PAPER_MONEY_PLACES);
    paper_out_int(call, "leverage", row->leverage);
    paper_out_bool(call, "isolated", row->isolated);
    paper_out_text(call, "isolatedWallet", "0");
    paper_out_int(call, "adl", dec_is_zero(row->position.amount) ? 0 : 1);
    paper_out_text(call, "positionSide", paper_position_side_names[row->side]);
    paper_out_dec(call, "breakEvenPrice", value.entry);
    json_object_end(&call->out);
}

/* BOTH, LONG and SHORT of a symbol; what the leader never held is zero. */
static void paper_leader_symbol_out(paper_call *call, const paper_leader *leader,
                                    const char *symbol)
{
    const paper_leaders *leaders = &call->server->leaders;

    for (unsigned side = 0; side < 3; side++) {
        paper_leader_row row = {.side = (enum paper_position_side)side, .leverage = 20};

        snprintf(row.symbol, sizeof(row.symbol), "%s", symbol);
        for (unsigned i = 0; i < leader->row_count; i++) {
            if (leader->rows[i].side == side && strcmp(leader->rows[i].symbol, symbol) == 0) {
                row = leader->rows[i];
            }
        }
        paper_leader_row_out(call, leaders, &row);
    }
}

bool paper_leader_positions(paper_call *call)
{
    const paper_leader *leader = paper_query_leader(call);
    paper_market *market = &call->server->market;

    if (leader == NULL) {
        return paper_unknown_leader(call);
    }
    paper_envelope(call);
    json_array(&call->out);
    for (unsigned s = 0; !leader->hidden && s < market->count; s++) {
        paper_leader_symbol_out(call, leader, market->symbols[s].name);
    }
    for (unsigned i = 0; !leader->hidden && i < leader->row_count; i++) {
        const char *symbol = leader->rows[i].symbol;
        bool shown = paper_market_find(market, symbol, strlen(symbol)) != NULL;

        for (unsigned j = 0; j < i; j++) {
            shown = shown || strcmp(leader->rows[j].symbol, symbol) == 0;
        }
        if (!shown) {
            paper_leader_symbol_out(call, leader, symbol);
        }
    }
    json_array_end(&call->out);
    return paper_envelope_end(call);
}

/* ---- detail and list ----------------------------------------------------------------------------
 */

/* An object of the file as it stands there, but for what is true today. */
static void paper_copy_object(paper_call *call, const paper_leader *leader, int node)
{
    const json_doc *doc = &call->server->leaders.doc;

    json_object(&call->out);
    for (int it = json_first(doc, node); it >= 0; it = json_next(doc, it)) {
        int value = it + 1;
        char key[64];

        if (!json_copy(doc, it, key, sizeof(key))) {
            continue;
        }
        if (strcmp(key, "positionShow") == 0) {
            paper_out_bool(call, key, !leader->hidden);
        } else if (strcmp(key, "lastTradeTime") == 0 && leader->last_trade_ms > 0) {
            paper_out_int(call, key, leader->last_trade_ms);
        } else {
            const jsmntok_t *token = &doc->tokens[value];
            int quote = token->type == JSMN_STRING;

            json_key(&call->out, key);
            json_raw(&call->out, doc->text + token->start - quote,
                     (size_t)(token->end - token->start + 2 * quote));
        }
    }
    json_object_end(&call->out);
}

bool paper_leader_detail(paper_call *call)
{
    const paper_leader *leader = paper_query_leader(call);

    if (leader == NULL) {
        return paper_unknown_leader(call);
    }
    paper_envelope(call);
    paper_copy_object(call, leader, leader->detail);
    return paper_envelope_end(call);
}

/* The figure that a page is ordered by. */
static dec paper_list_figure(const paper_leaders *leaders, const paper_leader *leader,
                             const char *type)
{
    static const char *const types[][2] = {{"PNL", "pnl"},
                                           {"ROI", "roi"},
                                           {"AUM", "aum"},
                                           {"MDD", "mdd"},
                                           {"COPY_COUNT", "currentCopyCount"},
                                           {"COPIER_PNL", "copierPnl"},
                                           {"SHARP_RATIO", "sharpRatio"}};
    dec figure = DEC_ZERO;

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(type, types[i][0]) == 0) {
            (void)json_get_dec_rounded(&leaders->doc,
                                       json_at(&leaders->doc, leader->list, types[i][1]), &figure);
        }
    }
    return figure;
}

static unsigned paper_list_order(const paper_leaders *leaders, const char *type, bool ascending,
                                 unsigned order[PAPER_LEADERS_MAX])
{
    for (unsigned i = 0; i < leaders->count; i++) {
        dec figure = paper_list_figure(leaders, &leaders->leaders[i], type);
        unsigned at = i;

        while (at > 0) {
            int sign = dec_compare(
                paper_list_figure(leaders, &leaders->leaders[order[at - 1]], type), figure);

            if (ascending ? sign <= 0 : sign >= 0) {
                break;
            }
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
    return leaders->count;
}

bool paper_leader_list(paper_call *call)
{
    const paper_leaders *leaders = &call->server->leaders;
    unsigned order[PAPER_LEADERS_MAX], count;
    int64_t page = 1, size = 18;
    char type[24] = "PNL";
    json_doc doc;

    if (!paper_call_json(call, &doc)) {
        return false;
    }
    (void)json_get_int(&doc, json_at(&doc, 0, "pageNumber"), &page);
    (void)json_get_int(&doc, json_at(&doc, 0, "pageSize"), &size);
    (void)json_copy(&doc, json_at(&doc, 0, "dataType"), type, sizeof(type));
    size = size < 1 || size > PAPER_PAGE_MAX ? PAPER_PAGE_MAX : size;
    page = page < 1 || page > INT32_MAX ? 1 : page;
    count =
        paper_list_order(leaders, type, json_equals(&doc, json_at(&doc, 0, "order"), "ASC"), order);
    paper_envelope(call);
    json_object(&call->out);
    json_key(&call->out, "indexValue");
    json_null(&call->out);
    paper_out_int(call, "total", count);
    json_key(&call->out, "list");
    json_array(&call->out);
    for (int64_t i = (page - 1) * size; i < page * size && i < count; i++) {
        const paper_leader *leader = &leaders->leaders[order[i]];

        paper_copy_object(call, leader, leader->list);
    }
    json_array_end(&call->out);
    json_object_end(&call->out);
    return paper_envelope_end(call);
}

/* ---- history ------------------------------------------------------------------------------------
 */

/* Bare numbers, as that page has them. */
static void paper_out_number(paper_call *call, const char *key, dec value)
{
    char text[DEC_TEXT_MAX];

    json_key(&call->out, key);
    json_raw(&call->out, text, dec_format(value, text));
}

static void paper_history_out(paper_call *call, const paper_leader_order *order)
{
    json_object(&call->out);
    paper_out_text(call, "symbol", order->symbol);
    paper_out_text(call, "baseAsset", order->base);
    paper_out_text(call, "quoteAsset", "USDT");
    paper_out_text(call, "side", paper_side_names[order->side]);
    paper_out_text(call, "type", order->type);
    paper_out_text(call, "positionSide", paper_position_side_names[order->position_side]);
    paper_out_number(call, "executedQty", order->quantity);
    paper_out_number(call, "avgPrice", order->price);
    paper_out_number(call, "totalPnl", order->profit);
    paper_out_int(call, "orderUpdateTime", order->time_ms);
    paper_out_int(call, "orderTime", order->time_ms);
    json_object_end(&call->out);
}

/* Newest first; indexValue is the number of the next order to show. */
bool paper_leader_history(paper_call *call)
{
    int64_t start = 0, end = INT64_MAX, size = 10, below = INT64_MAX;
    const paper_leader *leader;
    char id[PAPER_LEADER_ID_MAX], next[24] = "";
    json_doc doc;

    if (!paper_call_json(call, &doc)) {
        return false;
    }
    if (!json_copy(&doc, json_at(&doc, 0, "portfolioId"), id, sizeof(id))) {
        return paper_unknown_leader(call);
    }
    leader = paper_leaders_find(&call->server->leaders, id);
    if (leader == NULL) {
        return paper_unknown_leader(call);
    }
    (void)json_get_int(&doc, json_at(&doc, 0, "startTime"), &start);
    (void)json_get_int(&doc, json_at(&doc, 0, "endTime"), &end);
    (void)json_get_int(&doc, json_at(&doc, 0, "pageSize"), &size);
    (void)json_get_int(&doc, json_at(&doc, 0, "indexValue"), &below);
    size = size < 1 || size > PAPER_PAGE_MAX ? PAPER_PAGE_MAX : size;
    paper_envelope(call);
    json_object(&call->out);
    json_key(&call->out, "list");
    json_array(&call->out);
    for (int64_t i = (int64_t)leader->order_count - 1;
         i >= 0 && i >= (int64_t)leader->order_count - PAPER_LEADER_HISTORY_MAX; i--) {
        const paper_leader_order *order = &leader->orders[i % PAPER_LEADER_HISTORY_MAX];

        if (i >= below || order->time_ms < start || order->time_ms > end) {
            continue;
        }
        if (size-- == 0) {
            snprintf(next, sizeof(next), "%lld", (long long)i + 1);
            break;
        }
        paper_history_out(call, order);
    }
    json_array_end(&call->out);
    paper_out_int(call, "total", (int64_t)leader->order_count);
    paper_out_text(call, "indexValue", next[0] == '\0' ? NULL : next);
    json_object_end(&call->out);
    return paper_envelope_end(call);
}
