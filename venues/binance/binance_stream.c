/*
 * Binance USD-M websockets: where to connect, what to subscribe, and what a message says.
 *
 * Promises: no allocation; a message that is not understood is UNREADABLE or NONE, never half an
 * event. Market data comes at two addresses since spring 2026: /public has best bid and ask,
 * /market has marks and trades; subscribing at the wrong one is accepted and then silent, so they
 * never share.
 *
 * Rules: "Websocket Market Streams" (Connect, Live Subscribing/Unsubscribing), "User Data Streams".
 */
#include "core/clock.h"
#include "venues/binance/binance.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define BINANCE_STREAMS_PER_FRAME 200
#define BINANCE_FRAME_ROOM 48 /* closing brackets and the id behind the list */

/* ---- where ----------------------------------------------------------------------------------- */

bool binance_stream_channel_target(enum venue_channel channel, char *target, size_t capacity)
{
    const char *path;
    int length;

    switch (channel) {
    case VENUE_CHANNEL_BEST:
        path = "/public/ws";
        break;
    case VENUE_CHANNEL_TRADES:
    case VENUE_CHANNEL_MARK:
        path = "/market/ws";
        break;
    default:
        return false;
    }
    length = snprintf(target, capacity, "%s", path);
    return length > 0 && (size_t)length < capacity;
}

bool binance_stream_target(bool private_stream, const char *token, char *target, size_t capacity)
{
    int length;

    if (!private_stream) {
        return binance_stream_channel_target(VENUE_CHANNEL_BEST, target, capacity);
    }
    if (!binance_listen_key_valid(token)) {
        return false;
    }
    length = snprintf(target, capacity, "/private/ws?listenKey=%s", token);
    return length > 0 && (size_t)length < capacity;
}

bool binance_stream_login(const venue_credentials *credentials, int64_t time_ns, char *frame,
                          size_t capacity, size_t *length)
{
    (void)credentials;
    (void)time_ns;
    (void)frame;
    (void)capacity;
    (void)length;
    return false; /* the listen key in the target is the login */
}

/* ---- subscribing ----------------------------------------------------------------------------- */

static const char *binance_channel_suffix(enum venue_channel channel)
{
    switch (channel) {
    case VENUE_CHANNEL_BEST:
        return "@bookTicker";
    case VENUE_CHANNEL_TRADES:
        return "@aggTrade";
    case VENUE_CHANNEL_MARK:
        return "@markPrice@1s";
    default:
        return NULL;
    }
}

/* "btcusdt@bookTicker": Binance wants lower case here. False: no symbol, or no such channel. */
static bool binance_stream_name(const char *symbol, enum venue_channel channel, char *name,
                                size_t capacity)
{
    const char *suffix = binance_channel_suffix(channel);
    size_t length = symbol == NULL ? 0 : strnlen(symbol, VENUE_SYMBOL_MAX);

    if (suffix == NULL || length == 0 || length >= VENUE_SYMBOL_MAX) {
        return false;
    }
    snprintf(name, capacity, "%s%s", symbol, suffix);
    for (size_t i = 0; i < length; i++) {
        if (name[i] >= 'A' && name[i] <= 'Z') {
            name[i] = (char)(name[i] - 'A' + 'a');
        }
    }
    return true;
}

/* One symbol's streams behind those that the list has. False: no room, and nothing is kept. */
static bool binance_subscribe_symbol(json_writer *writer, const char *symbol,
                                     const enum venue_channel *channels, size_t channel_count)
{
    json_writer before = *writer;
    char name[VENUE_SYMBOL_MAX + 16];

    for (size_t i = 0; i < channel_count; i++) {
        if (!binance_stream_name(symbol, channels[i], name, sizeof(name))) {
            *writer = before;
            return false;
        }
        json_string(writer, name);
    }
    if (writer->failed) {
        *writer = before;
        return false;
    }
    return true;
}

size_t binance_stream_subscribe(const char *const *symbols, size_t count,
                                const enum venue_channel *channels, size_t channel_count,
                                int64_t id, char *frame, size_t capacity, size_t *length)
{
    json_writer writer;
    size_t taken = 0;

    if (capacity <= BINANCE_FRAME_ROOM || channel_count == 0) {
        return 0;
    }
    json_begin(&writer, frame, capacity - BINANCE_FRAME_ROOM);
    json_object(&writer);
    json_key(&writer, "method");
    json_string(&writer, "SUBSCRIBE");
    json_key(&writer, "params");
    json_array(&writer);
    while (taken < count && (taken + 1) * channel_count <= BINANCE_STREAMS_PER_FRAME &&
           binance_subscribe_symbol(&writer, symbols[taken], channels, channel_count)) {
        taken++;
    }
    if (taken == 0) {
        return 0;
    }
    writer.capacity = capacity;
    json_array_end(&writer);
    json_key(&writer, "id");
    json_int(&writer, id);
    json_object_end(&writer);
    if (!json_finish(&writer)) {
        return 0;
    }
    *length = writer.length;
    return taken;
}

/* ---- market data ----------------------------------------------------------------------------- */

static bool binance_event_symbol(const json_doc *doc, int data, venue_event *event)
{
    return json_slice(doc, json_at(doc, data, "s"), &event->symbol, &event->symbol_length) &&
           event->symbol_length > 0 && event->symbol_length < VENUE_SYMBOL_MAX;
}

static int64_t binance_event_time(const json_doc *doc, int data, const char *name)
{
    int64_t ms;

    if (!json_get_int(doc, json_at(doc, data, name), &ms) || ms <= 0 ||
        ms > INT64_MAX / CLOCK_MS_NS) {
        return 0;
    }
    return ms * CLOCK_MS_NS;
}

static uint64_t binance_event_id(const json_doc *doc, int data, const char *name)
{
    int64_t id;

    return json_get_int(doc, json_at(doc, data, name), &id) && id > 0 ? (uint64_t)id : 0;
}

/* Zero where it is missing or empty, as delivery contracts leave the funding rate. */
static bool binance_event_figure(const json_doc *doc, int data, const char *name, dec *out)
{
    int node = json_at(doc, data, name);

    *out = DEC_ZERO;
    return node < 0 || json_equals(doc, node, "") || json_is_null(doc, node) ||
           json_get_dec_rounded(doc, node, out);
}

static bool binance_best(const json_doc *doc, int data, venue_event *event)
{
    event->kind = VENUE_EVENT_BEST;
    event->update_id = binance_event_id(doc, data, "u");
    event->exchange_time_ns = binance_event_time(doc, data, "T");
    if (event->exchange_time_ns == 0) {
        event->exchange_time_ns = binance_event_time(doc, data, "E");
    }
    return binance_event_symbol(doc, data, event) &&
           json_get_dec_rounded(doc, json_at(doc, data, "b"), &event->bid) &&
           json_get_dec_rounded(doc, json_at(doc, data, "B"), &event->bid_size) &&
           json_get_dec_rounded(doc, json_at(doc, data, "a"), &event->ask) &&
           json_get_dec_rounded(doc, json_at(doc, data, "A"), &event->ask_size);
}

static bool binance_mark(const json_doc *doc, int data, venue_event *event)
{
    event->kind = VENUE_EVENT_MARK;
    event->exchange_time_ns = binance_event_time(doc, data, "E"); /* T is the next funding */
    if (!json_get_bool(doc, json_at(doc, data, "x-synthetic"), &event->synthetic)) {
        event->synthetic = false;
    }
    return binance_event_symbol(doc, data, event) &&
           json_get_dec_rounded(doc, json_at(doc, data, "p"), &event->mark) &&
           binance_event_figure(doc, data, "r", &event->funding);
}

/* `id` names the trade: `a` of an aggregate, `t` of a single one. */
static bool binance_trade_of(const json_doc *doc, int data, const char *id, venue_event *event)
{
    int kind = json_at(doc, data, "X");

    event->kind = VENUE_EVENT_TRADE;
    if (kind >= 0 && !json_equals(doc, kind, "MARKET")) {
        event->kind = VENUE_EVENT_NONE; /* the insurance fund's: not at a market price */
    }
    event->update_id = binance_event_id(doc, data, id);
    event->exchange_time_ns = binance_event_time(doc, data, "T");
    return binance_event_symbol(doc, data, event) &&
           json_get_dec_rounded(doc, json_at(doc, data, "p"), &event->last);
}

static bool binance_aggregate_trade(const json_doc *doc, int data, venue_event *event)
{
    return binance_trade_of(doc, data, "a", event);
}

static bool binance_single_trade(const json_doc *doc, int data, venue_event *event)
{
    return binance_trade_of(doc, data, "t", event);
}

/* ---- the account ----------------------------------------------------------------------------- */

static bool binance_order_event_order(const json_doc *doc, int o, venue_order *order)
{
    if (!json_copy(doc, json_at(doc, o, "s"), order->symbol, sizeof(order->symbol)) ||
        !binance_id(doc, json_at(doc, o, "i"), order->venue_order_id,
                    sizeof(order->venue_order_id)) ||
        !json_copy(doc, json_at(doc, o, "c"), order->client_order_id,
                   sizeof(order->client_order_id)) ||
        !binance_side(doc, json_at(doc, o, "S"), &order->side) ||
        !binance_position_side(doc, json_at(doc, o, "ps"), &order->position_side) ||
        !json_is_string(doc, json_at(doc, o, "X")) ||
        !json_get_dec(doc, json_at(doc, o, "q"), &order->quantity) ||
        !json_get_dec(doc, json_at(doc, o, "z"), &order->filled_quantity) ||
        !binance_event_figure(doc, o, "ap", &order->average_price)) {
        return false;
    }
    order->type = binance_order_type(doc, json_at(doc, o, "ot"));
    order->state = binance_order_state(doc, json_at(doc, o, "X"));
    order->average_price_known = dec_sign(order->average_price) > 0;
    json_get_bool(doc, json_at(doc, o, "R"), &order->reduce_only);
    order->updated_ns = binance_event_time(doc, o, "T");
    return true;
}

static bool binance_order_event_fill(const json_doc *doc, int o, venue_event *event)
{
    venue_fill *fill = &event->fill;

    if (!json_equals(doc, json_at(doc, o, "x"), "TRADE")) {
        return true;
    }
    if (!binance_id(doc, json_at(doc, o, "t"), fill->venue_trade_id,
                    sizeof(fill->venue_trade_id)) ||
        !json_get_dec_rounded(doc, json_at(doc, o, "L"), &fill->price) ||
        !json_get_dec(doc, json_at(doc, o, "l"), &fill->quantity) ||
        !binance_event_figure(doc, o, "n", &fill->fee) ||
        !binance_event_figure(doc, o, "rp", &fill->realised_pnl) ||
        !dec_mul(fill->price, fill->quantity, DEC_HALF_EVEN, &fill->quote_quantity)) {
        return false;
    }
    json_copy(doc, json_at(doc, o, "N"), fill->fee_asset, sizeof(fill->fee_asset));
    json_get_bool(doc, json_at(doc, o, "m"), &fill->maker);
    memcpy(fill->symbol, event->order.symbol, sizeof(fill->symbol));
    memcpy(fill->venue_order_id, event->order.venue_order_id, sizeof(fill->venue_order_id));
    fill->side = event->order.side;
    fill->position_side = event->order.position_side;
    fill->time_ns = event->order.updated_ns;
    event->has_fill = true;
    return true;
}

static bool binance_order_event(const json_doc *doc, int data, venue_event *event)
{
    int o = json_at(doc, data, "o");

    event->kind = VENUE_EVENT_ORDER;
    event->exchange_time_ns = binance_event_time(doc, data, "T");
    return binance_event_symbol(doc, o, event) &&
           binance_order_event_order(doc, o, &event->order) &&
           binance_order_event_fill(doc, o, event);
}

static bool binance_conditional_event(const json_doc *doc, int data, venue_event *event)
{
    int o = json_at(doc, data, "o"), child = json_at(doc, o, "ai");
    venue_order *order = &event->order;

    event->kind = VENUE_EVENT_ORDER;
    event->exchange_time_ns = binance_event_time(doc, data, "T");
    if (!binance_event_symbol(doc, o, event) ||
        !json_copy(doc, json_at(doc, o, "s"), order->symbol, sizeof(order->symbol)) ||
        !binance_id(doc, json_at(doc, o, "aid"), order->venue_order_id,
                    sizeof(order->venue_order_id)) ||
        !json_copy(doc, json_at(doc, o, "caid"), order->client_order_id,
                   sizeof(order->client_order_id)) ||
        !binance_side(doc, json_at(doc, o, "S"), &order->side) ||
        !binance_position_side(doc, json_at(doc, o, "ps"), &order->position_side) ||
        !json_is_string(doc, json_at(doc, o, "X")) ||
        !binance_event_figure(doc, o, "q", &order->quantity) ||
        !binance_event_figure(doc, o, "aq", &order->filled_quantity) ||
        !binance_event_figure(doc, o, "ap", &order->average_price)) {
        return false;
    }
    if (child >= 0 && !json_equals(doc, child, "") &&
        !binance_id(doc, child, order->child_order_id, sizeof(order->child_order_id))) {
        return false;
    }
    order->type = binance_order_type(doc, json_at(doc, o, "o"));
    order->state = binance_conditional_state(doc, json_at(doc, o, "X"), order->quantity,
                                             order->filled_quantity);
    order->average_price_known = dec_sign(order->average_price) > 0;
    json_get_bool(doc, json_at(doc, o, "R"), &order->reduce_only);
    order->updated_ns = event->exchange_time_ns;
    return true;
}

static bool binance_event_balance(const json_doc *doc, int b, venue_balance *balance)
{
    /* What is available is not told here; the cross wallet bounds it. */
    return json_copy(doc, json_at(doc, b, "a"), balance->asset, sizeof(balance->asset)) &&
           json_get_dec_rounded(doc, json_at(doc, b, "wb"), &balance->wallet) &&
           json_get_dec_rounded(doc, json_at(doc, b, "cw"), &balance->available);
}

static bool binance_event_position(const json_doc *doc, int p, venue_event *event)
{
    venue_position *position = &event->position;

    position->margin_mode =
        json_equals(doc, json_at(doc, p, "mt"), "isolated") ? VENUE_ISOLATED : VENUE_CROSS;
    position->updated_ns = event->exchange_time_ns;
    return binance_event_symbol(doc, p, event) &&
           json_copy(doc, json_at(doc, p, "s"), position->symbol, sizeof(position->symbol)) &&
           binance_position_side(doc, json_at(doc, p, "ps"), &position->position_side) &&
           json_get_dec(doc, json_at(doc, p, "pa"), &position->quantity) &&
           binance_event_figure(doc, p, "ep", &position->entry_price) &&
           binance_event_figure(doc, p, "up", &position->unrealised);
}

static bool binance_account_event(const json_doc *doc, int data, venue_event *event)
{
    int balances = json_at(doc, data, "a.B"), positions = json_at(doc, data, "a.P");
    int balance_count = json_size(doc, balances), position_count = json_size(doc, positions);

    event->exchange_time_ns = binance_event_time(doc, data, "T");
    event->more = balance_count > 1 || position_count > 1;
    if (balance_count > 0 &&
        !binance_event_balance(doc, json_first(doc, balances), &event->balance)) {
        return false;
    }
    if (position_count > 0) {
        event->kind = VENUE_EVENT_POSITION;
        return binance_event_position(doc, json_first(doc, positions), event);
    }
    event->kind = balance_count > 0 ? VENUE_EVENT_BALANCE : VENUE_EVENT_NONE;
    return json_is_object(doc, json_at(doc, data, "a"));
}

/* ---- messages -------------------------------------------------------------------------------- */

static bool binance_expired_event(const json_doc *doc, int data, venue_event *event)
{
    (void)doc;
    (void)data;
    event->kind = VENUE_EVENT_TOKEN_EXPIRED;
    return true;
}

static bool binance_shutdown_event(const json_doc *doc, int data, venue_event *event)
{
    (void)doc;
    (void)data;
    event->kind = VENUE_EVENT_RECONNECT;
    return true;
}

static const struct {
    const char *name;
    bool (*read)(const json_doc *doc, int data, venue_event *event);
} binance_events[] = {
    {"bookTicker", binance_best},
    {"markPriceUpdate", binance_mark},
    {"aggTrade", binance_aggregate_trade},
    {"trade", binance_single_trade},
    {"ORDER_TRADE_UPDATE", binance_order_event},
    {"ACCOUNT_UPDATE", binance_account_event},
    {"ALGO_UPDATE", binance_conditional_event},
    {"listenKeyExpired", binance_expired_event},
    {"serverShutdown", binance_shutdown_event},
};

/* {"result":null,"id":1}, or {"error":{"code":2,"msg":"…"},"id":1}. */
static void binance_reply(const json_doc *doc, venue_event *event)
{
    int64_t code;

    event->kind = VENUE_EVENT_ACK;
    if (json_at(doc, 0, "error") < 0 && json_at(doc, 0, "code") < 0) {
        return;
    }
    event->code = -1;
    if ((json_get_int(doc, json_at(doc, 0, "error.code"), &code) ||
         json_get_int(doc, json_at(doc, 0, "code"), &code)) &&
        code != 0 && code >= INT32_MIN && code <= INT32_MAX) {
        event->code = (int)code;
    }
}

static bool binance_message_read(const json_doc *doc, int data, venue_event *event)
{
    int kind = json_at(doc, data, "e");

    for (size_t i = 0; i < sizeof(binance_events) / sizeof(binance_events[0]); i++) {
        if (json_equals(doc, kind, binance_events[i].name)) {
            return binance_events[i].read(doc, data, event);
        }
    }
    if (kind < 0 && json_at(doc, data, "u") >= 0 && json_at(doc, data, "b") >= 0) {
        return binance_best(doc, data, event); /* as spot sends it, without a name */
    }
    return true;
}

void binance_stream_parse(const char *message, size_t length, venue_event *event)
{
    jsmntok_t tokens[BINANCE_TOKENS];
    json_doc doc;
    int data;

    memset(event, 0, sizeof(*event));
    switch (json_parse(&doc, message, length, tokens, BINANCE_TOKENS)) {
    case JSON_OK:
        break;
    case JSON_TOO_LARGE:
        return; /* valid, and longer than anything that is subscribed */
    default:
        event->kind = VENUE_EVENT_UNREADABLE;
        return;
    }
    if (!json_is_object(&doc, 0)) {
        event->kind = json_is_array(&doc, 0) ? VENUE_EVENT_NONE : VENUE_EVENT_UNREADABLE;
        return;
    }
    if (json_at(&doc, 0, "id") >= 0 && json_at(&doc, 0, "e") < 0) {
        binance_reply(&doc, event);
        return;
    }
    data = json_at(&doc, 0, "stream") >= 0 ? json_at(&doc, 0, "data") : 0;
    if (!json_is_object(&doc, data)) {
        return; /* all symbols in one array: not subscribed */
    }
    if (!binance_message_read(&doc, data, event)) {
        memset(event, 0, sizeof(*event));
        event->kind = VENUE_EVENT_UNREADABLE;
    }
}
