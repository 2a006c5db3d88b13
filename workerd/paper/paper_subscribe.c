/*
 * What a websocket client asks for: by its path, and by SUBSCRIBE and its kin.
 */
#include "workerd/paper/paper_client.h"

#include "core/clock.h"
#include "core/json.h"

#include <stdio.h>
#include <string.h>

#define PAPER_REQUEST_TOKENS 4096
#define PAPER_REPLY_MAX (64 * 1024)

const char *const paper_channel_names[PAPER_CHANNEL_COUNT] = {
    "bookTicker", "depth@0ms", "trade", "aggTrade", "markPrice", "markPrice@1s", "miniTicker"};

bool paper_channel_shown(enum paper_channel channel, enum paper_category category)
{
    /* Single trades go with the book there; aggregates with the rest. */
    bool book = channel == PAPER_CHANNEL_BOOK || channel == PAPER_CHANNEL_DEPTH ||
                channel == PAPER_CHANNEL_TRADE;

    return category == PAPER_ALL || (category == PAPER_PUBLIC && book) ||
           (category == PAPER_MARKET_DATA && !book);
}

/* "btcusdt@bookTicker" on or off. Names that no stream has are confirmed and silent, as on Binance.
 */
static void paper_subscribe(paper_client *client, const char *name, size_t length, bool on)
{
    const char *at = memchr(name, '@', length);
    const paper_symbol *symbol = NULL;
    size_t rest = at == NULL ? 0 : length - (size_t)(at - name) - 1;
    unsigned index;

    if (at != NULL) {
        symbol = paper_market_find_lower(paper_client_market(client), name, (size_t)(at - name));
    }
    for (int channel = 0; symbol != NULL && channel < PAPER_CHANNEL_COUNT; channel++) {
        if (strlen(paper_channel_names[channel]) != rest ||
            memcmp(paper_channel_names[channel], at + 1, rest) != 0) {
            continue;
        }
        index = (unsigned)(symbol - paper_client_market(client)->symbols);
        if (((client->subscribed[channel] >> index & 1) != 0) != on) {
            client->subscribed[channel] ^= 1ULL << index;
            paper_client_count(client, index, (enum paper_channel)channel, on ? 1 : -1);
        }
        return;
    }
    client->unknown += on;
}

static unsigned paper_subscriptions(const paper_client *client)
{
    unsigned count = client->unknown;

    for (int channel = 0; channel < PAPER_CHANNEL_COUNT; channel++) {
        count += (unsigned)__builtin_popcountll(client->subscribed[channel]);
    }
    return count;
}

/* ---- the path -----------------------------------------------------------------------------------
 */

static void paper_subscribe_list(paper_client *client, const char *list)
{
    while (*list != '\0') {
        size_t length = strcspn(list, "/");

        if (length > 0 && paper_subscriptions(client) < PAPER_CLIENT_STREAMS_MAX) {
            paper_subscribe(client, list, length, true);
        }
        list += length + (list[length] == '/');
    }
}

/* A user's own stream: by its key alone. */
static bool paper_target_user(paper_client *client, const char *key)
{
    client->account =
        key == NULL ? PAPER_NO_ACCOUNT : paper_client_listener(client, key, strlen(key));
    return client->account != PAPER_NO_ACCOUNT;
}

bool paper_client_target(paper_client *client, const char *path, const char *streams,
                         const char *listen_key)
{
    static const struct {
        const char *prefix;
        enum paper_category category;
    } prefixes[] = {{"/public/", PAPER_PUBLIC},
                    {"/market/", PAPER_MARKET_DATA},
                    {"/private/", PAPER_PRIVATE},
                    {"/", PAPER_ALL}};

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (strncmp(path, prefixes[i].prefix, strlen(prefixes[i].prefix)) == 0) {
            client->category = prefixes[i].category;
            path += strlen(prefixes[i].prefix);
            break;
        }
    }
    if (strncmp(path, "ws", 2) == 0 && (path[2] == '\0' || path[2] == '/')) {
        path += path[2] == '/' ? 3 : 2;
    } else if (strcmp(path, "stream") == 0) {
        path = streams == NULL ? "" : streams;
        client->combined = true;
    } else {
        return false;
    }
    client->account = PAPER_NO_ACCOUNT;
    if (client->category == PAPER_PRIVATE) {
        return paper_target_user(client, listen_key == NULL ? path : listen_key);
    }
    if (client->category == PAPER_ALL && strlen(path) == PAPER_KEY_LENGTH &&
        paper_target_user(client, path)) {
        client->category = PAPER_PRIVATE; /* the way it was before the paths were split */
        return true;
    }
    paper_subscribe_list(client, path);
    return true;
}

/* ---- requests -----------------------------------------------------------------------------------
 */

static void paper_reply_id(json_writer *out, const json_doc *doc)
{
    int id = json_at(doc, 0, "id");
    const char *text;
    size_t length;

    json_key(out, "id");
    if (!json_slice(doc, id, &text, &length)) {
        json_null(out);
    } else if (json_is_string(doc, id)) {
        json_text(out, text, length);
    } else {
        json_raw(out, text, length);
    }
}

static void paper_reply(paper_client *client, json_writer *out)
{
    json_object_end(out);
    if (json_finish(out)) {
        paper_client_text(client, out->buffer, out->length);
    }
}

static void paper_reply_error(paper_client *client, json_writer *out, const json_doc *doc, int code,
                              const char *text)
{
    json_key(out, "error");
    json_object(out);
    json_key(out, "code");
    json_int(out, code);
    json_key(out, "msg");
    json_string(out, text);
    json_object_end(out);
    if (doc != NULL) {
        paper_reply_id(out, doc);
    }
    paper_reply(client, out);
}

static void paper_reply_list(paper_client *client, json_writer *out)
{
    const paper_market *market = paper_client_market(client);
    char name[PAPER_SYMBOL_MAX + 32];

    json_array(out);
    for (int channel = 0; channel < PAPER_CHANNEL_COUNT; channel++) {
        for (unsigned i = 0; i < market->count; i++) {
            if ((client->subscribed[channel] >> i & 1) != 0) {
                snprintf(name, sizeof(name), "%s@%s", market->symbols[i].lower,
                         paper_channel_names[channel]);
                json_string(out, name);
            }
        }
    }
    json_array_end(out);
}

/* SUBSCRIBE, UNSUBSCRIBE: all names, or an error and none. */
static bool paper_request_streams(paper_client *client, const json_doc *doc, bool on)
{
    int params = json_at(doc, 0, "params");

    if (!json_is_array(doc, params) ||
        (on && paper_subscriptions(client) + (unsigned)json_size(doc, params) >
                   PAPER_CLIENT_STREAMS_MAX)) {
        return false;
    }
    for (int it = json_first(doc, params); it >= 0; it = json_next(doc, it)) {
        if (!json_is_string(doc, it)) {
            return false;
        }
    }
    for (int it = json_first(doc, params); it >= 0; it = json_next(doc, it)) {
        const char *name;
        size_t length;

        if (json_slice(doc, it, &name, &length)) {
            paper_subscribe(client, name, length, on);
        }
    }
    return true;
}

static void paper_answer_request(paper_client *client, const json_doc *doc, json_writer *out)
{
    int method = json_at(doc, 0, "method");
    bool combined;

    if (json_equals(doc, method, "SUBSCRIBE") || json_equals(doc, method, "UNSUBSCRIBE")) {
        if (!paper_request_streams(client, doc, json_equals(doc, method, "SUBSCRIBE"))) {
            paper_reply_error(client, out, doc, 2,
                              "Invalid request: params must be a list of at most 1024 streams");
            return;
        }
        json_key(out, "result");
        json_null(out);
    } else if (json_equals(doc, method, "LIST_SUBSCRIPTIONS")) {
        json_key(out, "result");
        paper_reply_list(client, out);
    } else if (json_equals(doc, method, "SET_PROPERTY") &&
               json_equals(doc, json_at(doc, 0, "params[0]"), "combined") &&
               json_get_bool(doc, json_at(doc, 0, "params[1]"), &combined)) {
        client->combined = combined;
        json_key(out, "result");
        json_null(out);
    } else if (json_equals(doc, method, "GET_PROPERTY") &&
               json_equals(doc, json_at(doc, 0, "params[0]"), "combined")) {
        json_key(out, "result");
        json_bool(out, client->combined);
    } else {
        paper_reply_error(client, out, doc, 2,
                          "Invalid request: unknown variant, expected one of `SUBSCRIBE`, "
                          "`UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`");
        return;
    }
    paper_reply_id(out, doc);
    paper_reply(client, out);
}

void paper_client_message(paper_client *client, const char *text, size_t length)
{
    static jsmntok_t tokens[PAPER_REQUEST_TOKENS];
    static char reply[PAPER_REPLY_MAX];
    int64_t second = clock_monotonic_ns() / CLOCK_SECOND_NS;
    json_writer out;
    json_doc doc;

    if (client->second != second) {
        client->second = second;
        client->messages = 0;
    }
    if (++client->messages > PAPER_CLIENT_MESSAGES) {
        paper_client_close(client, WSLAY_CODE_POLICY_VIOLATION);
        return;
    }
    json_begin(&out, reply, sizeof(reply));
    json_object(&out);
    if (json_parse(&doc, text, length, tokens, PAPER_REQUEST_TOKENS) != JSON_OK) {
        paper_reply_error(client, &out, NULL, 3, "Invalid JSON: expected value at line 1 column 1");
        return;
    }
    paper_answer_request(client, &doc, &out);
}
