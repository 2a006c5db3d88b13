/*
 * The one websocket client: libuv TCP, OpenSSL through memory BIOs for wss, wslay's frame
 * functions.
 *
 * Promises: one connection an object, no reconnection of its own (roles own that policy); frames
 * are handed over whole, without a copy where they arrive whole; pings are answered; masked frames
 * from a server, reserved bits, oversize frames, and invalid UTF-8 in text end the connection with
 * a reason. Peer certificates and host names are verified for wss.
 */
#ifndef WHALE_NET_WS_H
#define WHALE_NET_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define NET_WS_MESSAGE_MAX (4 * 1024 * 1024)
#define NET_WS_OUTGOING_MAX (1024 * 1024)

typedef struct net_ws net_ws;

typedef struct {
    void (*opened)(void *owner);
    void (*message)(void *owner, const char *data, size_t length,
                    bool text); /* not NUL-terminated */
    /* Exactly once, whether or not it was ever opened; `net_ws` is freed after it returns. */
    void (*closed)(void *owner, const char *reason);
} net_ws_events;

typedef struct {
    const char *url;            /* ws:// or wss://host[:port]/path?query */
    const char *const *headers; /* further "Name: value", NULL-terminated; may be NULL */
    const char *ca_file;        /* NULL: the system's; tests give their own */
    int64_t connect_timeout_ns;
} net_ws_options;

/* NULL: the URL is malformed or memory is short; otherwise `closed` tells of every failure. */
net_ws *net_ws_open(uv_loop_t *loop, const net_ws_options *options, const net_ws_events *events,
                    void *owner);
/* False: not open, or more than NET_WS_OUTGOING_MAX is unsent. */
bool net_ws_send_text(net_ws *ws, const char *text, size_t length);
bool net_ws_ping(net_ws *ws);
int64_t net_ws_last_receive_ns(const net_ws *ws); /* monotonic, any frame */
/* Starts the closing handshake (2 s at most), then `closed`. Safe inside callbacks. */
void net_ws_close(net_ws *ws, const char *reason);

#endif
