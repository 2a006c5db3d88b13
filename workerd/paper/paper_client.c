/*
 * One websocket client. See the header.
 *
 * wslay queues without a limit, so nothing of ours goes through its queue: its own pongs and closes
 * come out into our buffer at once, and that has the one bound there is.
 */
#include "workerd/paper/paper_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAPER_READ_SIZE (16 * 1024)
#define PAPER_OUT_STEP 4096
#define PAPER_SEND_BUFFER (256 * 1024)  /* the kernel's, a client */
#define PAPER_IGNORED_MAX (1024 * 1024) /* bytes behind our close frame */
#define PAPER_READS_MAX 8               /* in one turn, then others have theirs */

static void paper_client_poll(paper_client *client);

/* Room for so many bytes behind what is queued; NULL: over the bound, the client is dropped. */
static char *paper_client_room(paper_client *client, size_t length)
{
    size_t wanted = client->out_length + length, capacity = client->out_capacity;
    char *grown;

    if (client->dead) {
        return NULL;
    }
    if (wanted > PAPER_CLIENT_OUT_MAX) {
        paper_client_drop(client);
        return NULL;
    }
    if (client->out_start > 0 && client->out_start + wanted > capacity) {
        memmove(client->out, client->out + client->out_start, client->out_length);
        client->out_start = 0;
    }
    if (wanted > capacity) {
        capacity = capacity == 0 ? PAPER_OUT_STEP : capacity;
        while (capacity < wanted) {
            capacity *= 2;
        }
        grown = realloc(client->out, capacity);
        if (grown == NULL) {
            paper_client_drop(client);
            return NULL;
        }
        client->out = grown;
        client->out_capacity = capacity;
    }
    grown = client->out + client->out_start + client->out_length;
    client->out_length = wanted;
    paper_client_dirty(client);
    return grown;
}

void paper_client_pieces(paper_client *client, const char *const *texts, const size_t *lengths,
                         size_t count)
{
    size_t length = 0, header;
    char *at;

    if (client->closing) {
        return; /* nothing goes out behind a close frame */
    }
    for (size_t i = 0; i < count; i++) {
        length += lengths[i];
    }
    header = length < 126 ? 2 : length < 65536 ? 4 : 10;
    at = paper_client_room(client, header + length);
    if (at == NULL) {
        return;
    }
    at[0] = (char)0x81; /* a whole text frame, not masked */
    if (header == 2) {
        at[1] = (char)length;
    } else {
        size_t bytes = header - 2;

        at[1] = header == 4 ? 126 : 127;
        for (size_t i = 0; i < bytes; i++) {
            at[2 + i] = (char)((uint64_t)length >> (8 * (bytes - 1 - i)));
        }
    }
    at += header;
    for (size_t i = 0; i < count; i++) {
        memcpy(at, texts[i], lengths[i]);
        at += lengths[i];
    }
}

void paper_client_text(paper_client *client, const char *text, size_t length)
{
    paper_client_pieces(client, &text, &length, 1);
}

/* ---- out ----------------------------------------------------------------------------------------
 */

void paper_client_flush(paper_client *client)
{
    while (!client->dead && client->out_length > 0) {
        ssize_t sent = send(client->fd, client->out + client->out_start, client->out_length,
                            MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            break;
        }
        if (sent <= 0) {
            paper_client_drop(client);
            return;
        }
        client->out_start += (size_t)sent;
        client->out_length -= (size_t)sent;
    }
    if (client->dead) {
        return;
    }
    if (client->out_length == 0) {
        client->out_start = 0;
        if (client->closing && !client->lingering) {
            /* Closed with unread bytes the kernel would reset, and the peer never see our code. */
            client->lingering = true;
            shutdown(client->fd, SHUT_WR);
        }
    }
    paper_client_poll(client);
}

/* wslay's control frames, into our buffer. */
static ssize_t paper_ws_send(wslay_event_context_ptr ws, const uint8_t *data, size_t length,
                             int flags, void *owner)
{
    paper_client *client = owner;
    char *at = paper_client_room(client, length);

    (void)flags;
    if (at == NULL) {
        wslay_event_set_error(ws, WSLAY_ERR_CALLBACK_FAILURE);
        return -1;
    }
    memcpy(at, data, length);
    return (ssize_t)length;
}

static void paper_client_control(paper_client *client)
{
    if (!client->dead && !client->closing && wslay_event_want_write(client->ws) &&
        wslay_event_send(client->ws) != 0) {
        paper_client_drop(client);
        return;
    }
    if (!client->dead && wslay_event_get_close_sent(client->ws)) {
        client->closing = true;
    }
}

void paper_client_ping(paper_client *client)
{
    const struct wslay_event_msg message = {.opcode = WSLAY_PING, .msg = NULL, .msg_length = 0};

    if (!client->dead && !client->closing && wslay_event_queue_msg(client->ws, &message) == 0) {
        paper_client_control(client);
    }
}

void paper_client_close(paper_client *client, uint16_t code)
{
    if (!client->dead && !client->closing) {
        wslay_event_queue_close(client->ws, code, NULL, 0);
        paper_client_control(client);
    }
}

/* ---- in -----------------------------------------------------------------------------------------
 */

static ssize_t paper_ws_recv(wslay_event_context_ptr ws, uint8_t *data, size_t length, int flags,
                             void *owner)
{
    paper_client *client = owner;

    (void)flags;
    if (client->in_length == 0) {
        wslay_event_set_error(ws, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    length = length < client->in_length ? length : client->in_length;
    memcpy(data, client->in, length);
    client->in += length;
    client->in_length -= length;
    return (ssize_t)length;
}

static void paper_ws_message(wslay_event_context_ptr ws,
                             const struct wslay_event_on_msg_recv_arg *message, void *owner)
{
    paper_client *client = owner;

    (void)ws;
    if (client->dead || client->closing) {
        return;
    }
    if (message->opcode == WSLAY_PONG) {
        client->unanswered_ms = 0;
    } else if (message->opcode == WSLAY_TEXT_FRAME) {
        paper_client_message(client, (const char *)message->msg, message->msg_length);
    } else if (message->opcode == WSLAY_BINARY_FRAME) {
        wslay_event_queue_close(client->ws, WSLAY_CODE_UNSUPPORTED_DATA, NULL, 0);
    }
}

/* A frame that wslay cannot even begin to read: it would say goodbye without a reason. */
static void paper_client_malformed(paper_client *client)
{
    char *at = paper_client_room(client, 4);

    if (at != NULL) {
        memcpy(at, "\x88\x02\x03\xea", 4); /* close, 1002 */
        client->closing = true;
    }
}

/* What was read, through wslay. */
static void paper_client_feed(paper_client *client, const char *data, size_t length)
{
    client->in = data;
    client->in_length = length;
    while (!client->dead && !client->closing && client->in_length > 0 &&
           wslay_event_want_read(client->ws)) {
        if (wslay_event_recv(client->ws) != 0) {
            paper_client_malformed(client);
        }
        paper_client_control(client);
    }
    paper_client_control(client);
    client->in_length = 0;
}

static void paper_client_read(paper_client *client)
{
    static char buffer[PAPER_READ_SIZE];

    for (int i = 0; i < PAPER_READS_MAX && !client->dead; i++) {
        ssize_t got = recv(client->fd, buffer, sizeof(buffer), MSG_DONTWAIT);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (got <= 0) {
            paper_client_drop(client);
            return;
        }
        if (client->lingering) {
            client->ignored += got;
            if (client->ignored > PAPER_IGNORED_MAX) {
                paper_client_drop(client);
            }
            continue;
        }
        paper_client_feed(client, buffer, (size_t)got);
    }
}

static void paper_client_ready(uv_poll_t *poll, int status, int events)
{
    paper_client *client = poll->data;

    if (status < 0) {
        paper_client_drop(client);
        return;
    }
    if ((events & UV_READABLE) != 0) {
        paper_client_read(client);
    }
    paper_client_flush(client);
}

/* Reads always, writes when something is left over. */
static void paper_client_poll(paper_client *client)
{
    int events = UV_READABLE | (client->out_length > 0 ? UV_WRITABLE : 0);

    if (events != client->polled) {
        client->polled = events;
        uv_poll_start(&client->poll, events, paper_client_ready);
    }
}

/* ---- life ---------------------------------------------------------------------------------------
 */

bool paper_client_open(paper_client *client, uv_loop_t *loop, const char *extra, size_t length)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = paper_ws_recv,
        .send_callback = paper_ws_send,
        .on_msg_recv_callback = paper_ws_message,
    };
    const int send_buffer = PAPER_SEND_BUFFER;

    if (wslay_event_context_server_init(&client->ws, &callbacks, client) != 0) {
        return false;
    }
    /* Without a bound of our own the kernel would keep megabytes for each who does not read. */
    (void)setsockopt(client->fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer));
    wslay_event_config_set_max_recv_msg_length(client->ws, PAPER_CLIENT_IN_MAX);
    if (uv_poll_init(loop, &client->poll, client->fd) != 0) {
        wslay_event_context_free(client->ws);
        return false;
    }
    client->poll.data = client;
    paper_client_feed(client, extra, length); /* frames that came with the handshake */
    paper_client_flush(client);
    return true;
}

void paper_client_drop(paper_client *client)
{
    if (!client->dead) {
        client->dead = true;
        uv_poll_stop(&client->poll);
        paper_client_gone(client);
    }
}
