/*
 * An event of the exchange as a JSON line, and back. Each names account and symbol by their names,
 * so that a line can be read alone; decimals and ids are strings.
 */
#include "workerd/paper/paper_journal.h"

#include <string.h>

static const char *const paper_kind_names[] = {"account",       "leverage", "margin_type",
                                               "position_mode", "order",    "update"};
#define PAPER_KINDS (sizeof(paper_kind_names) / sizeof(paper_kind_names[0]))

static void paper_put(json_writer *writer, const char *key, const char *text)
{
    json_key(writer, key);
    json_string(writer, text);
}

static void paper_put_dec(json_writer *writer, const char *key, dec value)
{
    json_key(writer, key);
    json_dec(writer, value);
}

static void paper_put_id(json_writer *writer, const char *key, int64_t id)
{
    json_key(writer, key);
    json_id(writer, id);
}

static void paper_put_int(json_writer *writer, const char *key, int64_t value)
{
    json_key(writer, key);
    json_int(writer, value);
}

static void paper_put_bool(json_writer *writer, const char *key, bool value)
{
    json_key(writer, key);
    json_bool(writer, value);
}

void paper_journal_order(json_writer *writer, const paper_exchange *exchange,
                         const paper_order *order)
{
    paper_put_id(writer, "order_id", order->id);
    paper_put(writer, "client_order_id", order->client_id);
    paper_put(writer, "symbol", exchange->market->symbols[order->symbol].name);
    paper_put(writer, "side", paper_side_names[order->side]);
    paper_put(writer, "type", paper_type_names[order->type]);
    paper_put(writer, "position_side", paper_position_side_names[order->position_side]);
    paper_put(writer, "time_in_force", paper_force_names[order->force]);
    paper_put_bool(writer, "reduce_only", order->reduce_only);
    paper_put_dec(writer, "quantity", order->quantity);
    paper_put_dec(writer, "price", order->price);
    paper_put(writer, "status", paper_status_names[order->status]);
    paper_put_int(writer, "created_ms", order->created_ms);
    if (order->trade_id != 0) {
        paper_put_id(writer, "trade_id", order->trade_id);
        paper_put_dec(writer, "executed", order->executed);
        paper_put_dec(writer, "fill_price", order->fill_price);
        paper_put_dec(writer, "commission", order->commission);
        paper_put_dec(writer, "realized_pnl", order->realised);
        paper_put_bool(writer, "maker", order->maker);
    }
}

bool paper_journal_write(json_writer *writer, const paper_exchange *exchange,
                         const paper_event *event)
{
    json_object(writer);
    paper_put(writer, "kind", paper_kind_names[event->kind]);
    paper_put_int(writer, "time_ms", event->time_ms);
    paper_put(writer, "account",
              event->kind == PAPER_EVENT_ACCOUNT ? event->name
                                                 : exchange->accounts[event->account].name);
    switch (event->kind) {
    case PAPER_EVENT_ACCOUNT:
        paper_put(writer, "api_key", event->key);
        paper_put(writer, "secret_key", event->secret);
        paper_put_dec(writer, "balance", event->balance);
        paper_put_bool(writer, "can_withdraw", event->flag);
        break;
    case PAPER_EVENT_LEVERAGE:
        paper_put(writer, "symbol", exchange->market->symbols[event->symbol].name);
        paper_put_int(writer, "leverage", event->leverage);
        break;
    case PAPER_EVENT_MARGIN_TYPE:
        paper_put(writer, "symbol", exchange->market->symbols[event->symbol].name);
        paper_put_bool(writer, "isolated", event->flag);
        break;
    case PAPER_EVENT_POSITION_MODE:
        paper_put_bool(writer, "hedge", event->flag);
        break;
    default:
        paper_journal_order(writer, exchange, &event->order);
        break;
    }
    json_object_end(writer);
    return json_finish(writer);
}

static int paper_index(const json_doc *doc, int node, const char *const *names, int count)
{
    for (int i = 0; i < count; i++) {
        if (json_equals(doc, node, names[i])) {
            return i;
        }
    }
    return -1;
}

/* One of a fixed list of words into a byte. */
static bool paper_word(const json_doc *doc, const char *key, const char *const *names, int count,
                       uint8_t *out)
{
    int at = paper_index(doc, json_at(doc, 0, key), names, count);

    *out = (uint8_t)at;
    return at >= 0;
}

static bool paper_read_fill(const json_doc *doc, paper_order *order)
{
    if (json_at(doc, 0, "trade_id") < 0) {
        return true;
    }
    return json_get_int(doc, json_at(doc, 0, "trade_id"), &order->trade_id) &&
           json_get_dec(doc, json_at(doc, 0, "executed"), &order->executed) &&
           json_get_dec(doc, json_at(doc, 0, "fill_price"), &order->fill_price) &&
           json_get_dec(doc, json_at(doc, 0, "commission"), &order->commission) &&
           json_get_dec(doc, json_at(doc, 0, "realized_pnl"), &order->realised) &&
           json_get_bool(doc, json_at(doc, 0, "maker"), &order->maker);
}

static bool paper_read_order(const json_doc *doc, const paper_event *event, paper_order *order)
{
    *order = (paper_order){
        .account = event->account, .symbol = event->symbol, .updated_ms = event->time_ms};
    return json_get_int(doc, json_at(doc, 0, "order_id"), &order->id) &&
           json_copy(doc, json_at(doc, 0, "client_order_id"), order->client_id,
                     sizeof(order->client_id)) &&
           paper_word(doc, "side", paper_side_names, 2, &order->side) &&
           paper_word(doc, "type", paper_type_names, 2, &order->type) &&
           paper_word(doc, "position_side", paper_position_side_names, 3, &order->position_side) &&
           paper_word(doc, "time_in_force", paper_force_names, 4, &order->force) &&
           paper_word(doc, "status", paper_status_names, 4, &order->status) &&
           json_get_bool(doc, json_at(doc, 0, "reduce_only"), &order->reduce_only) &&
           json_get_dec(doc, json_at(doc, 0, "quantity"), &order->quantity) &&
           json_get_dec(doc, json_at(doc, 0, "price"), &order->price) &&
           json_get_int(doc, json_at(doc, 0, "created_ms"), &order->created_ms) &&
           paper_read_fill(doc, order);
}

static bool paper_read_account(const json_doc *doc, paper_event *event, paper_event_texts *texts)
{
    event->name = texts->name;
    event->key = texts->key;
    event->secret = texts->secret;
    return json_copy(doc, json_at(doc, 0, "account"), texts->name, sizeof(texts->name)) &&
           json_copy(doc, json_at(doc, 0, "api_key"), texts->key, sizeof(texts->key)) &&
           json_copy(doc, json_at(doc, 0, "secret_key"), texts->secret, sizeof(texts->secret)) &&
           json_get_dec(doc, json_at(doc, 0, "balance"), &event->balance) &&
           json_get_bool(doc, json_at(doc, 0, "can_withdraw"), &event->flag);
}

static bool paper_read_symbol(const json_doc *doc, const paper_exchange *exchange,
                              paper_event *event)
{
    const char *name;
    size_t length;
    const paper_symbol *symbol;

    if (!json_slice(doc, json_at(doc, 0, "symbol"), &name, &length)) {
        return false;
    }
    symbol = paper_market_find(exchange->market, name, length);
    event->symbol = (uint16_t)(symbol == NULL ? 0 : symbol - exchange->market->symbols);
    return symbol != NULL;
}

bool paper_journal_read(const json_doc *doc, const paper_exchange *exchange, paper_event *event,
                        paper_event_texts *texts)
{
    int kind = paper_index(doc, json_at(doc, 0, "kind"), paper_kind_names, PAPER_KINDS);
    const char *name;
    size_t length;
    int64_t leverage = 0;

    *event = (paper_event){.kind = (enum paper_event_kind)kind};
    if (kind < 0 || !json_get_int(doc, json_at(doc, 0, "time_ms"), &event->time_ms)) {
        return false;
    }
    if (kind == PAPER_EVENT_ACCOUNT) {
        return paper_read_account(doc, event, texts);
    }
    if (!json_slice(doc, json_at(doc, 0, "account"), &name, &length)) {
        return false;
    }
    event->account = paper_account_by_name(exchange, name, length);
    if (event->account == PAPER_NO_ACCOUNT) {
        return false;
    }
    if (kind == PAPER_EVENT_POSITION_MODE) {
        return json_get_bool(doc, json_at(doc, 0, "hedge"), &event->flag);
    }
    if (!paper_read_symbol(doc, exchange, event)) {
        return false;
    }
    if (kind == PAPER_EVENT_LEVERAGE) {
        if (!json_get_int(doc, json_at(doc, 0, "leverage"), &leverage) || leverage < 1 ||
            leverage > PAPER_LEVERAGE_MAX) {
            return false;
        }
        event->leverage = (uint16_t)leverage;
        return true;
    }
    if (kind == PAPER_EVENT_MARGIN_TYPE) {
        return json_get_bool(doc, json_at(doc, 0, "isolated"), &event->flag);
    }
    return paper_read_order(doc, event, &event->order);
}
