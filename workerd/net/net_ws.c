/*
 * One websocket connection: its socket, its timers and its end.
 *
 * Promises: nothing blocks; `closed` comes exactly once, from the loop and never from within a
 * call; until then every call is allowed and harmless. Reaching NET_WS_OUTGOING_MAX of unsent bytes
 * refuses further messages and never grows a buffer.
 */
#include "workerd/net/net_ws_private.h"

#include "core/clock.h"
#include "core/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_MAX (NET_WS_URL_MAX + NET_WS_HEADERS_MAX + 1024)
#define BUFFER_FIRST 1024

bool net_ws_buffer_append(net_ws_buffer *buffer, const void *data, size_t length)
{
    if (buffer->length + length > buffer->capacity) {
        size_t capacity = buffer->capacity == 0 ? BUFFER_FIRST : buffer->capacity;
        char *grown;

        while (capacity < buffer->length + length) {
            capacity *= 2;
        }
        grown = realloc(buffer->data, capacity);
        if (grown == NULL) {
            return false;
        }
        buffer->data = grown;
        buffer->capacity = capacity;
    }
    if (length > 0) {
        memcpy(buffer->data + buffer->length, data, length);
        buffer->length += length;
    }
    return true;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void release(net_ws *ws)
{
    if (--ws->references > 0) {
        return;
    }
    ws->events.closed(ws->owner, ws->reason);
    SSL_free(ws->ssl);
    wslay_frame_context_free(ws->frames);
    free(ws->headers);
    free(ws->head.data);
    free(ws->message.data);
    free(ws->output.data);
    free(ws);
}

static void on_handle_closed(uv_handle_t *handle)
{
    release(handle->data);
}

void net_ws_end(net_ws *ws, const char *reason)
{
    if (ws->ending) {
        return;
    }
    ws->ending = true;
    if (reason != NULL && ws->state != NET_WS_CLOSING) {
        snprintf(ws->reason, sizeof(ws->reason), "%s", reason);
    }
    if (ws->ssl != NULL && ws->tcp_open) {
        net_ws_tls_shutdown(ws);
    }
    ws->state = NET_WS_DEAD;
    uv_cancel((uv_req_t *)&ws->resolving);
    uv_close((uv_handle_t *)&ws->timer, on_handle_closed);
    if (ws->tcp_open) {
        ws->tcp_open = false;
        uv_close((uv_handle_t *)&ws->tcp, on_handle_closed);
    }
}

void net_ws_failed(net_ws *ws, enum net_ws_code code, const char *reason)
{
    if (ws->state == NET_WS_OPEN) {
        net_ws_frame_send_close(ws, code);
    }
    net_ws_end(ws, reason);
}

static void on_timeout(uv_timer_t *timer)
{
    net_ws *ws = timer->data;

    net_ws_end(ws, ws->state == NET_WS_CLOSING ? NULL : "timeout while connecting");
}

/* ---- the socket ------------------------------------------------------------------------------ */

typedef struct {
    uv_write_t request;
    char data[];
} write_later;

static void on_written(uv_write_t *request, int status)
{
    net_ws *ws = request->data;

    free(request);
    if (status < 0 && status != UV_ECANCELED) {
        net_ws_end(ws, uv_strerror(status));
    }
}

void net_ws_socket_output(net_ws *ws, const void *data, size_t length)
{
    uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)data, (unsigned)length);
    write_later *later;
    int sent = 0;

    if (!ws->tcp_open) {
        return;
    }
    if (uv_stream_get_write_queue_size((uv_stream_t *)&ws->tcp) == 0) {
        sent = uv_try_write((uv_stream_t *)&ws->tcp, &buffer, 1);
        if (sent < 0 && sent != UV_EAGAIN) {
            net_ws_end(ws, uv_strerror(sent));
            return;
        }
        sent = sent < 0 ? 0 : sent;
    }
    if ((size_t)sent == length) {
        return;
    }
    length -= (size_t)sent;
    later = malloc(sizeof(*later) + length);
    if (later == NULL) {
        net_ws_end(ws, "out of memory");
        return;
    }
    memcpy(later->data, (const char *)data + sent, length);
    later->request.data = ws;
    buffer = uv_buf_init(later->data, (unsigned)length);
    sent = uv_write(&later->request, (uv_stream_t *)&ws->tcp, &buffer, 1, on_written);
    if (sent < 0) {
        free(later);
        net_ws_end(ws, uv_strerror(sent));
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    net_ws *ws = handle->data;

    (void)suggested;
    *buffer = uv_buf_init(ws->read, sizeof(ws->read));
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    net_ws *ws = stream->data;

    if (length < 0) {
        net_ws_end(ws, length == UV_EOF ? "the peer hung up" : uv_strerror((int)length));
    } else if (length == 0) {
        return;
    } else if (ws->ssl != NULL) {
        net_ws_tls_input(ws, buffer->base, (size_t)length);
    } else if (ws->state == NET_WS_UPGRADING) {
        net_ws_handshake_input(ws, buffer->base, (size_t)length);
    } else {
        net_ws_frame_input(ws, buffer->base, (size_t)length);
    }
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void try_next_address(net_ws *ws, const char *last_error);

static void on_attempt_closed(uv_handle_t *handle)
{
    net_ws *ws = handle->data;

    if (ws->state != NET_WS_DEAD) {
        try_next_address(ws, NULL);
    }
    release(ws);
}

static void on_connected(uv_connect_t *request, int status)
{
    net_ws *ws = request->data;

    if (ws->state == NET_WS_DEAD) {
        return;
    }
    if (status < 0) {
        if (ws->address == ws->address_count) {
            net_ws_end(ws, uv_strerror(status));
            return;
        }
        ws->tcp_open = false;
        uv_close((uv_handle_t *)&ws->tcp, on_attempt_closed);
        return;
    }
    uv_tcp_nodelay(&ws->tcp, 1);
    status = uv_read_start((uv_stream_t *)&ws->tcp, on_alloc, on_read);
    if (status < 0) {
        net_ws_end(ws, uv_strerror(status));
    } else if (ws->ssl != NULL) {
        ws->state = NET_WS_SECURING;
        net_ws_tls_connect(ws);
    } else {
        net_ws_upgrade(ws);
    }
}

static void try_next_address(net_ws *ws, const char *last_error)
{
    const struct sockaddr *address;
    int status;

    if (ws->address == ws->address_count) {
        net_ws_end(ws, last_error != NULL ? last_error : "no address");
        return;
    }
    address = (const struct sockaddr *)&ws->addresses[ws->address++];
    ws->state = NET_WS_CONNECTING;
    if (uv_tcp_init(ws->loop, &ws->tcp) < 0) {
        net_ws_end(ws, "no socket");
        return;
    }
    ws->tcp.data = ws->connecting.data = ws;
    ws->tcp_open = true;
    ws->references++;
    status = uv_tcp_connect(&ws->connecting, &ws->tcp, address, on_connected);
    if (status < 0) {
        net_ws_end(ws, uv_strerror(status));
    }
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    net_ws *ws = request->data;

    if (ws->state != NET_WS_DEAD) {
        for (struct addrinfo *at = status < 0 ? NULL : list;
             at != NULL && ws->address_count < NET_WS_ADDRESSES_MAX; at = at->ai_next) {
            memcpy(&ws->addresses[ws->address_count++], at->ai_addr, at->ai_addrlen);
        }
        try_next_address(ws, status < 0 ? uv_strerror(status) : "the name has no address");
    }
    uv_freeaddrinfo(list);
    release(ws);
}

void net_ws_upgrade(net_ws *ws)
{
    char request[REQUEST_MAX];

    ws->state = NET_WS_UPGRADING;
    if (!net_ws_handshake_request(ws, request, sizeof(request))) {
        net_ws_end(ws, "handshake: the request is too long");
    } else if (ws->ssl != NULL) {
        net_ws_tls_output(ws, request, strlen(request));
    } else {
        net_ws_socket_output(ws, request, strlen(request));
    }
}

void net_ws_opened(net_ws *ws, const char *more, size_t length)
{
    ws->state = NET_WS_OPEN;
    ws->last_receive_ns = clock_monotonic_ns();
    uv_timer_stop(&ws->timer);
    ws->events.opened(ws->owner);
    if (length > 0) {
        net_ws_frame_input(ws, more, length);
    }
}

/* ---- the interface --------------------------------------------------------------------------- */

static bool start(net_ws *ws, const net_ws_options *options)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int64_t timeout_ns = options->connect_timeout_ns;

    if (!net_ws_url_parse(options->url, &ws->url)) {
        return false;
    }
    ws->headers = net_ws_headers_copy(options->headers);
    if (ws->headers == NULL || !net_ws_frame_start(ws)) {
        return false;
    }
    ws->resolving.data = ws;
    if (uv_getaddrinfo(ws->loop, &ws->resolving, on_resolved, ws->url.host, ws->url.port, &hints) <
        0) {
        return false;
    }
    uv_timer_init(ws->loop, &ws->timer);
    ws->timer.data = ws;
    timeout_ns = timeout_ns > 0 ? timeout_ns : NET_WS_CONNECT_TIMEOUT_NS;
    uv_timer_start(&ws->timer, on_timeout, (uint64_t)(timeout_ns / CLOCK_MS_NS), 0);
    ws->references = 2; /* the timer and the resolver */
    if (ws->url.secure && !net_ws_tls_start(ws, options->ca_file)) {
        net_ws_end(ws, "tls: the CA certificates cannot be used");
    }
    return true;
}

net_ws *net_ws_open(uv_loop_t *loop, const net_ws_options *options, const net_ws_events *events,
                    void *owner)
{
    net_ws *ws = calloc(1, sizeof(*ws));

    if (ws == NULL) {
        return NULL;
    }
    ws->loop = loop;
    ws->events = *events;
    ws->owner = owner;
    if (start(ws, options)) {
        return ws;
    }
    wslay_frame_context_free(ws->frames);
    free(ws->headers);
    free(ws);
    return NULL;
}

bool net_ws_send_text(net_ws *ws, const char *text, size_t length)
{
    if (ws->state != NET_WS_OPEN || length > NET_WS_OUTGOING_MAX ||
        uv_stream_get_write_queue_size((uv_stream_t *)&ws->tcp) + length > NET_WS_OUTGOING_MAX) {
        return false;
    }
    return net_ws_frame_send(ws, WSLAY_TEXT_FRAME, text, length);
}

bool net_ws_ping(net_ws *ws)
{
    return ws->state == NET_WS_OPEN &&
           uv_stream_get_write_queue_size((uv_stream_t *)&ws->tcp) <= NET_WS_OUTGOING_MAX &&
           net_ws_frame_send(ws, WSLAY_PING, NULL, 0);
}

int64_t net_ws_last_receive_ns(const net_ws *ws)
{
    return ws->last_receive_ns;
}

void net_ws_close(net_ws *ws, const char *reason)
{
    if (ws->state == NET_WS_CLOSING) {
        return;
    }
    if (ws->state != NET_WS_OPEN) {
        net_ws_end(ws, reason);
        return;
    }
    net_ws_frame_send_close(ws, NET_WS_NORMAL);
    if (ws->state != NET_WS_OPEN) {
        return;
    }
    snprintf(ws->reason, sizeof(ws->reason), "%s", reason != NULL ? reason : "");
    ws->state = NET_WS_CLOSING;
    uv_timer_start(&ws->timer, on_timeout, NET_WS_CLOSE_TIMEOUT_MS, 0);
}
