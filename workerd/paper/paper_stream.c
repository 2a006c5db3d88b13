/*
 * The stream server: upgrades, the list of clients, who gets which event. See the header.
 */
#include "workerd/paper/paper_stream.h"

#include "core/clock.h"
#include "core/crypto.h"
#include "core/log.h"
#include "workerd/paper/paper_client.h"
#include "workerd/paper/paper_daemon.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PAPER_ACCEPT_MAX 64
#define PAPER_KEY_TEXT 24 /* of Sec-WebSocket-Key */
#define PAPER_LINGER_MS 2000

struct paper_streams {
    paper_daemon daemon;
    uv_loop_t *loop;
    paper_market *market;
    paper_listener *listener;
    void *owner;
    paper_client *first, *dirty, *dead;
    unsigned clients, private_clients;
    unsigned wanted[PAPER_SYMBOLS_MAX][PAPER_CHANNEL_COUNT];
    uv_timer_t bury;
    uv_check_t check;
    bool stopping;
};

/* ---- what clients call --------------------------------------------------------------------------
 */

paper_market *paper_client_market(const paper_client *client)
{
    return client->streams->market;
}

uint32_t paper_client_listener(const paper_client *client, const char *key, size_t length)
{
    return client->streams->listener(client->streams->owner, key, length);
}

void paper_client_count(const paper_client *client, unsigned symbol, enum paper_channel channel,
                        int by)
{
    client->streams->wanted[symbol][channel] += (unsigned)by;
}

void paper_client_dirty(paper_client *client)
{
    if (!client->dirty) {
        client->dirty = true;
        client->next_dirty = client->streams->dirty;
        client->streams->dirty = client;
    }
}

static void paper_client_free(paper_client *client)
{
    if (--client->references > 0) {
        return;
    }
    if (client->ws != NULL) {
        wslay_event_context_free(client->ws);
    }
    free(client->out);
    free(client);
}

static void paper_client_closed(uv_handle_t *handle)
{
    paper_client_free(handle->data);
}

/* Those that died since the last turn: out of every list, their sockets given back. */
static void paper_bury(uv_timer_t *timer)
{
    paper_streams *streams = timer->data;
    bool any = streams->dead != NULL;

    paper_streams_flush(streams); /* leaves no dead one in the dirty list */
    while (streams->dead != NULL) {
        paper_client *client = streams->dead;

        streams->dead = client->next_dead;
        *(client->previous == NULL ? &streams->first : &client->previous->next) = client->next;
        if (client->next != NULL) {
            client->next->previous = client->previous;
        }
        streams->clients--;
        streams->private_clients -= client->category == PAPER_PRIVATE;
        for (unsigned s = 0; s < streams->market->count; s++) {
            for (unsigned c = 0; c < PAPER_CHANNEL_COUNT; c++) {
                streams->wanted[s][c] -= client->subscribed[c] >> s & 1;
            }
        }
        uv_close((uv_handle_t *)&client->poll, paper_client_closed);
        MHD_upgrade_action(client->upgrade, MHD_UPGRADE_ACTION_CLOSE);
    }
    if (any) {
        paper_daemon_run(&streams->daemon); /* it closes the sockets only when it is run */
    }
}

void paper_client_gone(paper_client *client)
{
    client->next_dead = client->streams->dead;
    client->streams->dead = client;
    uv_timer_start(&client->streams->bury, paper_bury, 0, 0);
}

/* ---- the handshake ------------------------------------------------------------------------------
 */

static enum MHD_Result paper_plain(struct MHD_Connection *connection, unsigned status,
                                   const char *text)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result;

    if (response == NULL) {
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    if (status == MHD_HTTP_UPGRADE_REQUIRED) {
        MHD_add_response_header(response, "Sec-WebSocket-Version", "13");
    }
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static const char *paper_header(struct MHD_Connection *connection, const char *name)
{
    const char *value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);

    return value == NULL ? "" : value;
}

static bool paper_accept(const char *key, char accept[PAPER_ACCEPT_MAX])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[PAPER_KEY_TEXT + sizeof(guid)];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length;

    if (strlen(key) != PAPER_KEY_TEXT) {
        return false;
    }
    snprintf(text, sizeof(text), "%s%s", key, guid);
    if (EVP_Digest(text, strlen(text), digest, &length, EVP_sha1(), NULL) != 1) {
        return false;
    }
    crypto_base64(digest, length, accept);
    return true;
}

static void paper_upgraded(void *owner, struct MHD_Connection *connection, void *context,
                           const char *extra, size_t length, MHD_socket socket,
                           struct MHD_UpgradeResponseHandle *upgrade)
{
    paper_client *client = owner;
    paper_streams *streams = client->streams;

    (void)connection;
    (void)context;
    client->fd = socket;
    client->upgrade = upgrade;
    if (!paper_client_open(client, streams->loop, extra, length)) {
        client->references--; /* libuv never had it; the completion frees it */
        MHD_upgrade_action(upgrade, MHD_UPGRADE_ACTION_CLOSE);
        return;
    }
    client->open = true;
    client->previous = NULL;
    client->next = streams->first;
    if (client->next != NULL) {
        client->next->previous = client;
    }
    streams->first = client;
}

static paper_client *paper_client_new(paper_streams *streams, struct MHD_Connection *connection,
                                      const char *path, unsigned *status)
{
    paper_client *client;

    if (streams->clients >= PAPER_CLIENTS_MAX) {
        *status = MHD_HTTP_SERVICE_UNAVAILABLE;
        return NULL;
    }
    client = calloc(1, sizeof(*client));
    if (client == NULL) {
        *status = MHD_HTTP_SERVICE_UNAVAILABLE;
        return NULL;
    }
    client->streams = streams;
    client->references = 2;
    if (!paper_client_target(
            client, path, MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "streams"),
            MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "listenKey"))) {
        free(client); /* a path that is refused has subscribed to nothing */
        *status = MHD_HTTP_NOT_FOUND;
        return NULL;
    }
    streams->clients++;
    streams->private_clients += client->category == PAPER_PRIVATE;
    return client;
}

/* Not upgraded after all: the subscriptions of its path are taken back. */
static void paper_client_abandon(paper_client *client)
{
    for (unsigned s = 0; s < client->streams->market->count; s++) {
        for (unsigned c = 0; c < PAPER_CHANNEL_COUNT; c++) {
            client->streams->wanted[s][c] -= client->subscribed[c] >> s & 1;
        }
    }
    client->streams->clients--;
    client->streams->private_clients -= client->category == PAPER_PRIVATE;
}

static enum MHD_Result paper_handshake(void *owner, struct MHD_Connection *connection,
                                       const char *path, const char *method, const char *version,
                                       const char *data, size_t *length, void **context)
{
    paper_streams *streams = owner;
    char accept[PAPER_ACCEPT_MAX];
    struct MHD_Response *response;
    paper_client *client;
    unsigned status = 0;

    (void)data;
    *length = 0;
    if (streams->stopping || *context != NULL) {
        return MHD_NO;
    }
    if (strcmp(method, "GET") != 0 || strcmp(version, "HTTP/1.1") != 0 ||
        strcasecmp(paper_header(connection, MHD_HTTP_HEADER_UPGRADE), "websocket") != 0 ||
        strcasestr(paper_header(connection, MHD_HTTP_HEADER_CONNECTION), "upgrade") == NULL ||
        !paper_accept(paper_header(connection, "Sec-WebSocket-Key"), accept)) {
        return paper_plain(connection, MHD_HTTP_BAD_REQUEST, "this is a websocket\n");
    }
    if (strcmp(paper_header(connection, "Sec-WebSocket-Version"), "13") != 0) {
        return paper_plain(connection, MHD_HTTP_UPGRADE_REQUIRED, "version 13 only\n");
    }
    client = paper_client_new(streams, connection, path, &status);
    if (client == NULL) {
        return paper_plain(connection, status, "no such stream, or no room\n");
    }
    *context = client;
    response = MHD_create_response_for_upgrade(paper_upgraded, client);
    if (response == NULL ||
        MHD_add_response_header(response, MHD_HTTP_HEADER_UPGRADE, "websocket") != MHD_YES ||
        MHD_add_response_header(response, "Sec-WebSocket-Accept", accept) != MHD_YES ||
        MHD_queue_response(connection, MHD_HTTP_SWITCHING_PROTOCOLS, response) != MHD_YES) {
        if (response != NULL) {
            MHD_destroy_response(response);
        }
        return MHD_NO; /* the completion frees the client */
    }
    MHD_destroy_response(response);
    return MHD_YES;
}

static void paper_over(void *owner, struct MHD_Connection *connection, void **context,
                       enum MHD_RequestTerminationCode code)
{
    paper_client *client = *context;

    (void)owner;
    (void)connection;
    (void)code;
    *context = NULL;
    if (client == NULL) {
        return;
    }
    if (!client->open) {
        paper_client_abandon(client);
        client->references = 1;
    }
    paper_client_free(client);
}

/* ---- events -------------------------------------------------------------------------------------
 */

bool paper_streams_wanted(const paper_streams *streams, const paper_symbol *symbol,
                          enum paper_channel channel)
{
    return streams->wanted[symbol - streams->market->symbols][channel] > 0;
}

void paper_streams_publish(paper_streams *streams, const paper_symbol *symbol,
                           enum paper_channel channel, const char *payload, size_t length)
{
    unsigned index = (unsigned)(symbol - streams->market->symbols);
    char head[PAPER_SYMBOL_MAX + 64];
    const char *texts[3] = {head, payload, "}"};
    size_t lengths[3] = {0, length, 1};

    if (!paper_streams_wanted(streams, symbol, channel)) {
        return;
    }
    lengths[0] =
        (size_t)snprintf(head, sizeof(head), "{\"stream\":\"%s@%s\",\"data\":", symbol->lower,
                         paper_channel_names[channel]);
    for (paper_client *client = streams->first; client != NULL; client = client->next) {
        if ((client->subscribed[channel] >> index & 1) == 0 ||
            !paper_channel_shown(channel, client->category)) {
            continue;
        }
        if (client->combined) {
            paper_client_pieces(client, texts, lengths, 3);
        } else {
            paper_client_text(client, payload, length);
        }
    }
}

bool paper_streams_listening(const paper_streams *streams, uint32_t account)
{
    for (const paper_client *client = streams->first;
         client != NULL && streams->private_clients > 0; client = client->next) {
        if (client->category == PAPER_PRIVATE && client->account == account) {
            return true;
        }
    }
    return false;
}

void paper_streams_user(paper_streams *streams, uint32_t account, const char *payload,
                        size_t length)
{
    for (paper_client *client = streams->first; client != NULL; client = client->next) {
        if (client->category == PAPER_PRIVATE && client->account == account) {
            paper_client_text(client, payload, length);
        }
    }
}

void paper_streams_flush(paper_streams *streams)
{
    while (streams->dirty != NULL) {
        paper_client *client = streams->dirty;

        streams->dirty = client->next_dirty;
        client->dirty = false;
        paper_client_flush(client);
    }
}

static void paper_check(uv_check_t *check)
{
    paper_streams_flush(check->data);
}

void paper_streams_second(paper_streams *streams, int64_t now_ms)
{
    for (paper_client *client = streams->first; client != NULL; client = client->next) {
        if (client->dead) {
            continue;
        }
        if (client->lingering) {
            client->lingering_ms = client->lingering_ms == 0 ? now_ms : client->lingering_ms;
            if (now_ms - client->lingering_ms >= PAPER_LINGER_MS) {
                paper_client_drop(client);
            }
            continue;
        }
        if (client->unanswered_ms != 0 && now_ms - client->unanswered_ms >= PAPER_PONG_MS) {
            paper_client_drop(client);
            continue;
        }
        if (client->next_ping_ms == 0) {
            client->next_ping_ms = now_ms + PAPER_PING_MS;
        } else if (now_ms >= client->next_ping_ms) {
            client->next_ping_ms = now_ms + PAPER_PING_MS;
            client->unanswered_ms = client->unanswered_ms == 0 ? now_ms : client->unanswered_ms;
            paper_client_ping(client);
        }
    }
    paper_streams_flush(streams);
}

/* ---- start and stop -----------------------------------------------------------------------------
 */

paper_streams *paper_streams_start(uv_loop_t *loop, const config_address *address,
                                   paper_market *market, paper_listener *listener, void *owner,
                                   char *error, size_t capacity)
{
    paper_streams *streams = calloc(1, sizeof(*streams));
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)paper_over, streams},
        {MHD_OPTION_END, 0, NULL},
    };

    if (streams == NULL) {
        snprintf(error, capacity, "no memory");
        return NULL;
    }
    streams->loop = loop;
    streams->market = market;
    streams->listener = listener;
    streams->owner = owner;
    if (!paper_daemon_start(&streams->daemon, loop, address, MHD_ALLOW_UPGRADE, paper_handshake,
                            streams, options, error, capacity)) {
        free(streams);
        return NULL;
    }
    uv_timer_init(loop, &streams->bury);
    uv_check_init(loop, &streams->check);
    streams->bury.data = streams->check.data = streams;
    uv_check_start(&streams->check, paper_check);
    return streams;
}

uint16_t paper_streams_port(const paper_streams *streams)
{
    return streams->daemon.port;
}

unsigned paper_streams_clients(const paper_streams *streams)
{
    return streams->clients;
}

void paper_streams_stop(paper_streams *streams)
{
    if (streams->stopping) {
        return;
    }
    streams->stopping = true;
    for (paper_client *client = streams->first; client != NULL; client = client->next) {
        paper_client_close(client, WSLAY_CODE_GOING_AWAY);
        paper_client_flush(client);
        paper_client_drop(client);
    }
    paper_bury(&streams->bury);
    uv_check_stop(&streams->check);
    uv_close((uv_handle_t *)&streams->bury, NULL);
    uv_close((uv_handle_t *)&streams->check, NULL);
    paper_daemon_stop(&streams->daemon);
}

void paper_streams_free(paper_streams *streams)
{
    free(streams);
}
