/*
 * User data streams: what an account's own websocket is told after each of its orders.
 */
#include "workerd/paper/paper_server.h"

#include <string.h>

#define PAPER_USER_EVENT_MAX 4096

static void paper_user_text(json_writer *out, const char *key, const char *text)
{
    json_key(out, key);
    json_string(out, text);
}

static void paper_user_dec(json_writer *out, const char *key, dec value)
{
    json_key(out, key);
    json_dec(out, value);
}

static void paper_user_int(json_writer *out, const char *key, int64_t value)
{
    json_key(out, key);
    json_int(out, value);
}

static void paper_user_order(json_writer *out, const paper_server *server, const paper_event *event)
{
    static const char *const executions[] = {"NEW", "TRADE", "CANCELED", "EXPIRED"};
    const paper_order *order = &event->order;

    json_object(out);
    paper_user_text(out, "e", "ORDER_TRADE_UPDATE");
    paper_user_int(out, "E", event->time_ms);
    paper_user_int(out, "T", event->time_ms);
    json_key(out, "o");
    json_object(out);
    paper_user_text(out, "s", server->market.symbols[order->symbol].name);
    paper_user_text(out, "c", order->client_id);
    paper_user_text(out, "S", paper_side_names[order->side]);
    paper_user_text(out, "o", paper_type_names[order->type]);
    paper_user_text(out, "f", paper_force_names[order->force]);
    paper_user_dec(out, "q", order->quantity);
    paper_user_dec(out, "p", order->price);
    paper_user_dec(out, "ap", order->fill_price);
    paper_user_text(out, "sp", "0");
    paper_user_text(out, "x", executions[order->status]);
    paper_user_text(out, "X", paper_status_names[order->status]);
    paper_user_int(out, "i", order->id);
    paper_user_dec(out, "l", order->executed);
    paper_user_dec(out, "z", order->executed);
    paper_user_dec(out, "L", order->fill_price);
    paper_user_text(out, "N", "USDT");
    paper_user_dec(out, "n", order->commission);
    paper_user_int(out, "T", order->updated_ms);
    paper_user_int(out, "t", order->trade_id);
    json_key(out, "m");
    json_bool(out, order->maker);
    json_key(out, "R");
    json_bool(out, order->reduce_only);
    paper_user_text(out, "wt", "CONTRACT_PRICE");
    paper_user_text(out, "ot", paper_type_names[order->type]);
    paper_user_text(out, "ps", paper_position_side_names[order->position_side]);
    json_key(out, "cp");
    json_bool(out, false);
    paper_user_dec(out, "rp", order->realised);
    json_object_end(out);
    json_object_end(out);
}

static void paper_user_account(json_writer *out, const paper_server *server,
                               const paper_event *event)
{
    const paper_order *order = &event->order;
    const paper_account *account = &server->exchange->accounts[event->account];
    const paper_holding *holding =
        paper_account_find(server->exchange, event->account, event->symbol);
    paper_valuation value = {0};

    if (holding != NULL) {
        (void)paper_position_value(server->exchange, holding, &holding->sides[order->position_side],
                                   &value);
    }
    json_object(out);
    paper_user_text(out, "e", "ACCOUNT_UPDATE");
    paper_user_int(out, "E", event->time_ms);
    paper_user_int(out, "T", event->time_ms);
    json_key(out, "a");
    json_object(out);
    paper_user_text(out, "m", "ORDER");
    json_key(out, "B");
    json_array(out);
    json_object(out);
    paper_user_text(out, "a", "USDT");
    paper_user_dec(out, "wb", account->wallet);
    paper_user_dec(out, "cw", account->wallet);
    paper_user_text(out, "bc", "0");
    json_object_end(out);
    json_array_end(out);
    json_key(out, "P");
    json_array(out);
    json_object(out);
    paper_user_text(out, "s", server->market.symbols[event->symbol].name);
    paper_user_dec(out, "pa",
                   holding == NULL ? DEC_ZERO : holding->sides[order->position_side].amount);
    paper_user_dec(out, "ep", value.entry);
    paper_user_dec(out, "bep", value.entry);
    paper_user_dec(out, "cr",
                   holding == NULL ? DEC_ZERO : holding->sides[order->position_side].realised);
    paper_user_dec(out, "up", value.unrealised);
    paper_user_text(out, "mt", holding != NULL && holding->isolated ? "isolated" : "cross");
    paper_user_text(out, "iw", "0");
    paper_user_text(out, "ps", paper_position_side_names[order->position_side]);
    json_object_end(out);
    json_array_end(out);
    json_object_end(out);
    json_object_end(out);
}

void paper_user_changed(void *owner, const paper_event *event)
{
    paper_server *server = owner;
    char text[PAPER_USER_EVENT_MAX];
    json_writer out;

    if ((event->kind != PAPER_EVENT_ORDER && event->kind != PAPER_EVENT_UPDATE) ||
        !paper_streams_listening(server->streams, event->account)) {
        return;
    }
    if (event->order.trade_id != 0) {
        json_begin(&out, text, sizeof(text));
        paper_user_account(&out, server, event);
        if (json_finish(&out)) {
            paper_streams_user(server->streams, event->account, text, out.length);
        }
    }
    json_begin(&out, text, sizeof(text));
    paper_user_order(&out, server, event);
    if (json_finish(&out)) {
        paper_streams_user(server->streams, event->account, text, out.length);
    }
}
