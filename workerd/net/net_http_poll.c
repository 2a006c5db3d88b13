/*
 * curl's sockets and timer on the loop.
 *
 * curl drops a socket from its poll set at the end of each request and adds it again at the start
 * of the next: four epoll_ctl calls a request. Here a connection's uv_poll stays as it was between
 * requests, and ends when curl closes the descriptor, which for connections happens through
 * net_http_socket_close. Descriptors that curl opened otherwise (its resolver's) are let go at
 * once.
 *
 * An event between requests is a peer that hung up or spoke out of turn. The socket is then emptied
 * and shut, so that curl finds it dead and those bytes can never pass for the answer to the next
 * request. What the loop has not seen when that request goes out is looked for once more, at the
 * last moment: curl 7.88 itself uses a connection on which bytes wait, or that was reset.
 */
#include "workerd/net/net_http_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS_FIRST 256
#define DRAIN_READS_MAX 64

static void on_socket_closed(uv_handle_t *handle)
{
    net_http_socket *watched = (net_http_socket *)handle;

    net_http_release(watched->http);
    free(watched);
}

/* ---- names ----------------------------------------------------------------------------------- */

static net_http_socket **bucket_of(net_http *http, int local_port)
{
    return &http->named[local_port & (NET_HTTP_NAMED_BUCKETS - 1)];
}

static int port_of(const struct sockaddr *address)
{
    return ntohs(address->sa_family == AF_INET6 ? ((const struct sockaddr_in6 *)address)->sin6_port
                                                : ((const struct sockaddr_in *)address)->sin_port);
}

/* The peer's half of the name, known from the start. */
static void name_peer(net_http_socket *watched, const struct sockaddr *peer)
{
    if (peer->sa_family == AF_INET6) {
        uv_ip6_name((const struct sockaddr_in6 *)peer, watched->peer, sizeof(watched->peer));
    } else {
        uv_ip4_name((const struct sockaddr_in *)peer, watched->peer, sizeof(watched->peer));
    }
    watched->peer_port = port_of(peer);
}

/* Our half, once it is connected: now it can be found by what curl calls it. */
static void name_socket(net_http *http, net_http_socket *watched)
{
    struct sockaddr_storage local;
    socklen_t length = sizeof(local);
    net_http_socket **bucket;

    if (watched->local_port != 0 ||
        getsockname(watched->fd, (struct sockaddr *)&local, &length) != 0) {
        return;
    }
    watched->local_port = port_of((const struct sockaddr *)&local);
    bucket = bucket_of(http, watched->local_port);
    watched->next_named = *bucket;
    *bucket = watched;
}

static void unname_socket(net_http *http, net_http_socket *watched)
{
    net_http_socket **place;

    if (watched->local_port == 0) {
        return;
    }
    place = bucket_of(http, watched->local_port);
    while (*place != watched) {
        place = &(*place)->next_named;
    }
    *place = watched->next_named;
}

bool net_http_socket_is_unfit(const net_http *http, int local_port, const char *peer, int peer_port)
{
    const net_http_socket *watched = http->named[local_port & (NET_HTTP_NAMED_BUCKETS - 1)];
    char byte;

    while (watched != NULL &&
           (watched->local_port != local_port || watched->peer_port != peer_port ||
            strcmp(watched->peer, peer) != 0)) {
        watched = watched->next_named;
    }
    /* A connection without a name is new: only TLS's own messages can have come. */
    return watched != NULL && (recv(watched->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
                               (errno != EAGAIN && errno != EINTR));
}

/* ---- sockets --------------------------------------------------------------------------------- */

static void forget(net_http *http, curl_socket_t fd)
{
    net_http_socket *watched = (size_t)fd < http->socket_capacity ? http->sockets[fd] : NULL;

    if (watched == NULL) {
        return;
    }
    http->sockets[fd] = NULL;
    unname_socket(http, watched);
    if (watched->polled) {
        uv_close((uv_handle_t *)&watched->poll, on_socket_closed);
    } else {
        free(watched);
    }
}

static net_http_socket *remember(net_http *http, curl_socket_t fd)
{
    net_http_socket *watched;

    if (fd < 0 || fd >= NET_HTTP_FILES_MAX) {
        return NULL;
    }
    if ((size_t)fd >= http->socket_capacity) {
        size_t capacity = http->socket_capacity == 0 ? SOCKETS_FIRST : http->socket_capacity;
        net_http_socket **grown;

        while (capacity <= (size_t)fd) {
            capacity *= 2;
        }
        grown = realloc(http->sockets, capacity * sizeof(net_http_socket *));
        if (grown == NULL) {
            return NULL;
        }
        memset(grown + http->socket_capacity, 0,
               (capacity - http->socket_capacity) * sizeof(net_http_socket *));
        http->sockets = grown;
        http->socket_capacity = capacity;
    }
    watched = calloc(1, sizeof(*watched));
    if (watched != NULL) {
        watched->http = http;
        watched->fd = fd;
        http->sockets[fd] = watched;
    }
    return watched;
}

curl_socket_t net_http_socket_open(void *owner, curlsocktype purpose, struct curl_sockaddr *address)
{
    net_http *http = owner;
    net_http_socket *watched;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

    (void)purpose;
    if (fd < 0) {
        return CURL_SOCKET_BAD;
    }
    forget(http, fd);
    watched = remember(http, fd);
    if (watched == NULL) {
        close(fd);
        return CURL_SOCKET_BAD;
    }
    watched->connection = true;
    name_peer(watched, &address->addr);
    return fd;
}

int net_http_socket_close(void *owner, curl_socket_t fd)
{
    forget(owner, fd);
    return close(fd);
}

static void on_socket(uv_poll_t *poll, int status, int events);

/* Makes the poll set's entry what curl wants. */
static int watch(net_http_socket *watched)
{
    watched->events = watched->wanted;
    return uv_poll_start(&watched->poll, watched->events, on_socket) == 0 ? 0 : -1;
}

static void silence(net_http_socket *watched)
{
    char bytes[4096];
    ssize_t got = recv(watched->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    /* The event was of an answer that curl has read since, on another socket's event. */
    if (got < 0 && errno == EAGAIN) {
        return;
    }
    for (int i = 0; got > 0 && i < DRAIN_READS_MAX; i++) {
        got = recv(watched->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    }
    shutdown(watched->fd, SHUT_RDWR);
    uv_poll_stop(&watched->poll);
    watched->events = 0;
}

/*
 * On an error libuv stops the poll and names no events. curl is told that it can do what it waits
 * for: so it finds an answer that came before the error, and then the error itself.
 */
static void on_socket(uv_poll_t *poll, int status, int events)
{
    net_http_socket *watched = (net_http_socket *)poll;
    net_http *http = watched->http;
    curl_socket_t fd = watched->fd;
    int running;

    if (status < 0) {
        watched->events = 0;
        events = watched->wanted;
    }
    if (watched->wanted == 0) {
        silence(watched);
        return;
    }
    curl_multi_socket_action(http->multi, fd,
                             ((events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0) |
                                 ((events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0),
                             &running);
    if (http->sockets[fd] == watched && watched->events == 0 && watched->wanted != 0) {
        watch(watched);
    }
    net_http_reap(http);
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *owner, void *unused)
{
    net_http *http = owner;
    net_http_socket *watched = (size_t)fd < http->socket_capacity ? http->sockets[fd] : NULL;

    (void)easy;
    (void)unused;
    if (what == CURL_POLL_REMOVE) {
        if (watched != NULL && watched->connection) {
            watched->wanted = 0;
            name_socket(http, watched);
        } else {
            forget(http, fd);
        }
        return 0;
    }
    if (watched == NULL) {
        watched = remember(http, fd);
    }
    if (watched == NULL) {
        return -1;
    }
    if (!watched->polled) {
        if (uv_poll_init(http->loop, &watched->poll, fd) != 0) {
            return -1;
        }
        watched->polled = true;
        http->references++;
    }
    watched->wanted =
        (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return watched->wanted != watched->events ? watch(watched) : 0;
}

static void on_timer(uv_timer_t *timer)
{
    net_http *http = timer->data;
    int running;

    curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    net_http_reap(http);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *owner)
{
    net_http *http = owner;

    (void)multi;
    if (http->closed) {
        return 0;
    }
    if (timeout_ms < 0) {
        uv_timer_stop(&http->curl_timer);
    } else {
        uv_timer_start(&http->curl_timer, on_timer, (uint64_t)timeout_ms, 0);
    }
    return 0;
}

bool net_http_poll_start(net_http *http)
{
    return curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket) == CURLM_OK &&
           curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http) == CURLM_OK &&
           curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer) == CURLM_OK &&
           curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http) == CURLM_OK;
}
