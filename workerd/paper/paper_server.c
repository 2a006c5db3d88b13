/*
 * Putting the paper venue together, and its clock: the replay's frames, the mark price, the script.
 */
#include "workerd/paper/paper_server.h"

#include "core/clock.h"
#include "core/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAPER_MARK_TEXT_MAX 512
#define PAPER_FUNDING_PERIOD_MS (8LL * 60 * 60 * 1000)
#define PAPER_TICK_MAX_MS 1000 /* the longest sleep between looks at the replay */

/* ---- files --------------------------------------------------------------------------------------
 */

/* A whole file, NUL-terminated; the caller frees it. */
static char *paper_file(const char *path, size_t limit, size_t *length, char *error,
                        size_t capacity)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;

    if (file == NULL) {
        snprintf(error, capacity, "%s cannot be read: %s", path, strerror(errno));
        return NULL;
    }
    text = malloc(limit + 1);
    *length = text == NULL ? 0 : fread(text, 1, limit + 1, file);
    if (text == NULL || *length > limit || ferror(file)) {
        snprintf(error, capacity, "%s cannot be read, or is too large", path);
        free(text);
        text = NULL;
    } else {
        text[*length] = '\0';
    }
    fclose(file);
    return text;
}

static bool paper_ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);

    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* `<folder of path>/<up>exchange-info.json`, if it is there. */
static bool paper_info_beside(const char *path, const char *up, char out[PAPER_PATH_TEXT_MAX])
{
    const char *slash = strrchr(path, '/');
    int folder = slash == NULL ? 1 : (int)(slash - path);
    FILE *file;

    if (path[0] == '\0' || snprintf(out, PAPER_PATH_TEXT_MAX, "%.*s/%sexchange-info.json", folder,
                                    slash == NULL ? "." : path, up) >= PAPER_PATH_TEXT_MAX) {
        return false;
    }
    file = fopen(out, "re");
    if (file != NULL) {
        fclose(file);
    }
    return file != NULL;
}

/*
 * Where the recorded exchangeInfo is: a `whale_paper_replay` that ends in .json, else
 * exchange-info.json beside the leaders' file, beside a replayed file, or in the folder above it.
 */
static bool paper_info_path(const whale_config *config, char out[PAPER_PATH_TEXT_MAX])
{
    for (size_t i = 0; i < config->paper_replay_count; i++) {
        if (paper_ends_with(config->paper_replay[i], ".json")) {
            snprintf(out, PAPER_PATH_TEXT_MAX, "%s", config->paper_replay[i]);
            return true;
        }
    }
    if (paper_info_beside(config->paper_leaders, "", out)) {
        return true;
    }
    for (size_t i = 0; i < config->paper_replay_count; i++) {
        if (paper_info_beside(config->paper_replay[i], "", out) ||
            paper_info_beside(config->paper_replay[i], "../", out)) {
            return true;
        }
    }
    return false;
}

static bool paper_load_market(paper_server *server, char *error, size_t capacity)
{
    static const char name[] = "\"serverTime\":";
    char path[PAPER_PATH_TEXT_MAX];
    const char *at;

    if (!paper_info_path(server->config, path)) {
        snprintf(error, capacity,
                 "no exchange information: name one in whale_paper_replay, or put "
                 "exchange-info.json beside the leaders' file");
        return false;
    }
    server->info = paper_file(path, PAPER_EXCHANGE_INFO_MAX, &server->info_length, error, capacity);
    if (server->info == NULL ||
        !paper_market_load(&server->market, server->info, server->info_length, error, capacity)) {
        return false;
    }
    at = strstr(server->info, name);
    if (at != NULL) {
        at += strlen(name);
        at += strspn(at, " ");
        server->info_time = (size_t)(at - server->info);
        server->info_time_length = strspn(at, "0123456789");
    }
    return true;
}

static bool paper_load_replay(paper_server *server, char *error, size_t capacity)
{
    const char *paths[CONFIG_REPLAYS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < server->config->paper_replay_count; i++) {
        if (!paper_ends_with(server->config->paper_replay[i], ".json")) {
            paths[count++] = server->config->paper_replay[i];
        }
    }
    if (count == 0) {
        return true; /* no prices: every order is refused as overloaded, never filled at a guess */
    }
    server->replay = paper_replay_open(paths, count, error, capacity);
    return server->replay != NULL;
}

static bool paper_record_leader(void *owner, const char *text, size_t length)
{
    paper_server *server = owner;

    return paper_journal_line(server->journal, text, length);
}

static bool paper_load_leaders(paper_server *server, char *error, size_t capacity)
{
    size_t length = 0;
    char *text;

    if (server->config->paper_leaders[0] == '\0') {
        text = strdup("{\"leaders\":[]}");
        length = text == NULL ? 0 : strlen(text);
    } else {
        text = paper_file(server->config->paper_leaders, PAPER_LEADERS_TEXT_MAX, &length, error,
                          capacity);
    }
    if (text == NULL ||
        !paper_leaders_load(&server->leaders, &server->market, text, length, error, capacity)) {
        return false;
    }
    server->leaders.seed = server->config->paper_seed;
    server->leaders.pace_ms = server->config->paper_pace_ns / CLOCK_MS_NS;
    server->leaders.running = true;
    server->leaders.record = paper_record_leader;
    server->leaders.owner = server;
    return true;
}

/* ---- the clock ----------------------------------------------------------------------------------
 */

static void paper_publish_aggregate(paper_server *server, const paper_symbol *symbol,
                                    const paper_replay_event *event)
{
    const paper_frame *frame = event->frame;
    char text[PAPER_MARK_TEXT_MAX];
    int length;

    if (!paper_streams_wanted(server->streams, symbol, PAPER_CHANNEL_AGGREGATE)) {
        return;
    }
    length = snprintf(
        text, sizeof(text),
        "{\"e\":\"aggTrade\",\"E\":%lld,\"s\":\"%s\",\"a\":%lld,\"p\":\"%.*s\","
        "\"q\":\"%.*s\",\"f\":%lld,\"l\":%lld,\"T\":%lld,\"m\":%.*s,"
        "\"x-synthetic\":true}",
        (long long)event->event_ms, symbol->name, (long long)event->trade_id,
        (int)frame->fields[PAPER_FIELD_PRICE].length, frame->fields[PAPER_FIELD_PRICE].text,
        (int)frame->fields[PAPER_FIELD_QUANTITY].length, frame->fields[PAPER_FIELD_QUANTITY].text,
        (long long)event->trade_id, (long long)event->trade_id, (long long)event->event_ms,
        (int)frame->fields[PAPER_FIELD_MAKER].length, frame->fields[PAPER_FIELD_MAKER].text);
    if (length > 0 && (size_t)length < sizeof(text)) {
        paper_streams_publish(server->streams, symbol, PAPER_CHANNEL_AGGREGATE, text,
                              (size_t)length);
    }
}

static bool paper_span_dec(const paper_frame *frame, enum paper_field field, dec *out)
{
    return frame->fields[field].text != NULL &&
           dec_parse(frame->fields[field].text, frame->fields[field].length, out);
}

/* A frame of the replay: to the clients, and into the market. */
static void paper_frame_due(void *owner, const paper_replay_event *event)
{
    paper_server *server = owner;
    paper_symbol *symbol =
        paper_market_find_lower(&server->market, event->symbol.text, event->symbol.length);
    dec bid, bid_size, ask, ask_size;

    if (symbol == NULL) {
        if (!server->stranger_told) {
            server->stranger_told = true; /* once: every frame of it would be another line */
            log_event(LOG_WARN, "paper.unknown_symbol", "hint",
                      LOG_TEXT("a replayed symbol is not in the exchange information"), NULL);
        }
        return;
    }
    if (event->stream == PAPER_STREAM_BOOK) {
        if (paper_span_dec(event->frame, PAPER_FIELD_BID, &bid) &&
            paper_span_dec(event->frame, PAPER_FIELD_BID_SIZE, &bid_size) &&
            paper_span_dec(event->frame, PAPER_FIELD_ASK, &ask) &&
            paper_span_dec(event->frame, PAPER_FIELD_ASK_SIZE, &ask_size) &&
            paper_symbol_quote(symbol, bid, bid_size, ask, ask_size, event->event_ms,
                               event->update_id)) {
            paper_exchange_tick(server->exchange, symbol, event->event_ms);
        }
        paper_streams_publish(server->streams, symbol, PAPER_CHANNEL_BOOK, event->payload,
                              event->length);
    } else if (event->stream == PAPER_STREAM_DEPTH) {
        paper_streams_publish(server->streams, symbol, PAPER_CHANNEL_DEPTH, event->payload,
                              event->length);
    } else if (event->stream == PAPER_STREAM_TRADE) {
        if (paper_span_dec(event->frame, PAPER_FIELD_PRICE, &bid) &&
            paper_span_dec(event->frame, PAPER_FIELD_QUANTITY, &bid_size)) {
            paper_symbol_trade(symbol, bid, bid_size, event->event_ms, event->trade_id);
        }
        paper_streams_publish(server->streams, symbol, PAPER_CHANNEL_TRADE, event->payload,
                              event->length);
        paper_publish_aggregate(server, symbol, event);
    }
}

static void paper_tick(uv_timer_t *timer)
{
    paper_server *server = timer->data;
    int64_t now = clock_monotonic_ns(), now_ms = clock_now_ns() / CLOCK_MS_NS, due = INT64_MAX;
    int64_t sleep_ms = PAPER_TICK_MAX_MS;

    if (server->replay != NULL) {
        due = paper_replay_run(server->replay, now, now_ms, paper_frame_due, server);
        paper_streams_flush(server->streams);
    }
    paper_leaders_tick(&server->leaders, now_ms);
    if (server->leaders.running && server->leaders.pace_ms > 0 &&
        server->leaders.pace_ms < sleep_ms) {
        sleep_ms = server->leaders.pace_ms;
    }
    if (due != INT64_MAX && (due - now) / CLOCK_MS_NS < sleep_ms) {
        sleep_ms = (due - now + CLOCK_MS_NS - 1) / CLOCK_MS_NS;
    }
    uv_timer_start(timer, paper_tick, (uint64_t)(sleep_ms > 0 ? sleep_ms : 1), 0);
}

/* The mark price of a second: the mid, and said to be. */
static void paper_publish_mark(paper_server *server, const paper_symbol *symbol, int64_t now_ms)
{
    char text[PAPER_MARK_TEXT_MAX], price[DEC_TEXT_MAX];
    int length;

    if (!paper_symbol_priced(symbol) ||
        (!paper_streams_wanted(server->streams, symbol, PAPER_CHANNEL_MARK) &&
         !paper_streams_wanted(server->streams, symbol, PAPER_CHANNEL_MARK_FAST))) {
        return;
    }
    dec_format(symbol->mark, price);
    length =
        snprintf(text, sizeof(text),
                 "{\"e\":\"markPriceUpdate\",\"E\":%lld,\"s\":\"%s\",\"p\":\"%s\","
                 "\"i\":\"%s\",\"P\":\"%s\",\"r\":\"0.00000000\",\"T\":%lld,"
                 "\"x-synthetic\":true}",
                 (long long)now_ms, symbol->name, price, price, price,
                 (long long)((now_ms / PAPER_FUNDING_PERIOD_MS + 1) * PAPER_FUNDING_PERIOD_MS));
    if (length <= 0 || (size_t)length >= sizeof(text)) {
        return;
    }
    paper_streams_publish(server->streams, symbol, PAPER_CHANNEL_MARK_FAST, text, (size_t)length);
    if (now_ms / 1000 % 3 == 0) { /* without @1s: every three seconds */
        paper_streams_publish(server->streams, symbol, PAPER_CHANNEL_MARK, text, (size_t)length);
    }
}

static void paper_publish_mini(paper_server *server, const paper_symbol *symbol, int64_t now_ms)
{
    char text[PAPER_MARK_TEXT_MAX], last[DEC_TEXT_MAX], open[DEC_TEXT_MAX], high[DEC_TEXT_MAX];
    char low[DEC_TEXT_MAX], volume[DEC_TEXT_MAX], quote[DEC_TEXT_MAX];
    int length;

    if (symbol->trades == 0 || !paper_streams_wanted(server->streams, symbol, PAPER_CHANNEL_MINI)) {
        return;
    }
    dec_format(symbol->last, last);
    dec_format(symbol->open, open);
    dec_format(symbol->high, high);
    dec_format(symbol->low, low);
    dec_format(symbol->volume, volume);
    dec_format(symbol->quote_volume, quote);
    length = snprintf(text, sizeof(text),
                      "{\"e\":\"24hrMiniTicker\",\"E\":%lld,\"s\":\"%s\",\"c\":\"%s\","
                      "\"o\":\"%s\",\"h\":\"%s\",\"l\":\"%s\",\"v\":\"%s\",\"q\":\"%s\"}",
                      (long long)now_ms, symbol->name, last, open, high, low, volume, quote);
    if (length > 0 && (size_t)length < sizeof(text)) {
        paper_streams_publish(server->streams, symbol, PAPER_CHANNEL_MINI, text, (size_t)length);
    }
}

static void paper_second(uv_timer_t *timer)
{
    paper_server *server = timer->data;
    int64_t now_ms = clock_now_ns() / CLOCK_MS_NS;

    for (unsigned i = 0; i < server->market.count; i++) {
        paper_publish_mark(server, &server->market.symbols[i], now_ms);
        paper_publish_mini(server, &server->market.symbols[i], now_ms);
    }
    paper_streams_second(server->streams, now_ms);
}

/* ---- start and stop -----------------------------------------------------------------------------
 */

static uint32_t paper_listener_of(void *owner, const char *key, size_t length)
{
    paper_server *server = owner;
    int64_t now_ms = clock_now_ns() / CLOCK_MS_NS;

    for (size_t i = 0; i < PAPER_LISTEN_KEYS_MAX && length == PAPER_KEY_LENGTH; i++) {
        const paper_listen_key *slot = &server->listen_keys[i];

        if (slot->expires_ms > now_ms && memcmp(slot->key, key, length) == 0) {
            return slot->account;
        }
    }
    return PAPER_NO_ACCOUNT;
}

static bool paper_server_load(paper_server *server, char *error, size_t capacity)
{
    server->macs = calloc(PAPER_ACCOUNTS_MAX, sizeof(crypto_mac *));
    server->listen_keys = calloc(PAPER_LISTEN_KEYS_MAX, sizeof(paper_listen_key));
    if (server->macs == NULL || server->listen_keys == NULL) {
        snprintf(error, capacity, "no memory");
        return false;
    }
    if (!paper_faults_parse(&server->faults, server->config->paper_faults, error, capacity) ||
        !paper_load_market(server, error, capacity) ||
        !paper_load_replay(server, error, capacity) ||
        !paper_load_leaders(server, error, capacity)) {
        return false;
    }
    server->exchange = paper_exchange_new(&server->market);
    if (server->exchange == NULL) {
        snprintf(error, capacity, "no memory");
        return false;
    }
    server->journal = paper_journal_open(server->config->paper_journal, server->exchange,
                                         paper_leaders_replay, &server->leaders, error, capacity);
    return server->journal != NULL;
}

bool paper_server_start(paper_server *server, uv_loop_t *loop, const whale_config *config,
                        shm_process *process, char *error, size_t capacity)
{
    *server = (paper_server){.config = config, .loop = loop, .process = process};
    if (!paper_server_load(server, error, capacity)) {
        paper_server_free(server);
        return false;
    }
    server->streams = paper_streams_start(loop, &config->paper_stream_listen, &server->market,
                                          paper_listener_of, server, error, capacity);
    if (server->streams != NULL) {
        server->http =
            paper_http_start(loop, &config->paper_listen, paper_api_serve, server, error, capacity);
    }
    if (server->http == NULL) {
        paper_server_stop(server);
        return false;
    }
    server->exchange->changed = paper_user_changed;
    server->exchange->changed_owner = server;
    uv_timer_init(loop, &server->tick);
    uv_timer_init(loop, &server->second);
    server->tick.data = server->second.data = server;
    uv_timer_start(&server->tick, paper_tick, 0, 0);
    uv_timer_start(&server->second, paper_second, 1000, 1000);
    log_event(LOG_INFO, "paper.listening", "rest_port", LOG_INT(paper_http_port(server->http)),
              "stream_port", LOG_INT(paper_streams_port(server->streams)), "accounts",
              LOG_INT(server->exchange->account_count), "symbols", LOG_INT(server->market.count),
              NULL);
    return true;
}

void paper_server_stop(paper_server *server)
{
    if (server->stopping) {
        return;
    }
    server->stopping = true;
    if (server->http != NULL) {
        paper_http_stop(server->http);
        uv_close((uv_handle_t *)&server->tick, NULL);
        uv_close((uv_handle_t *)&server->second, NULL);
    }
    if (server->streams != NULL) {
        paper_streams_stop(server->streams);
    }
}

void paper_server_free(paper_server *server)
{
    for (uint32_t i = 0;
         server->macs != NULL && server->exchange != NULL && i < server->exchange->account_count;
         i++) {
        crypto_mac_free(server->macs[i]);
    }
    paper_http_free(server->http);
    paper_streams_free(server->streams);
    paper_journal_close(server->journal);
    paper_replay_close(server->replay);
    paper_exchange_free(server->exchange);
    paper_leaders_free(&server->leaders);
    free(server->macs);
    free(server->listen_keys);
    free(server->info);
    *server = (paper_server){0};
}
