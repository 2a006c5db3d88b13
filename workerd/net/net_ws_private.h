/*
 * What the files of net_ws share: one connection and its layers.
 *
 * net_ws.c owns the object, its socket and its end; net_ws_handshake.c the URL and the upgrade;
 * net_ws_tls.c what lies between socket and frames for wss; net_ws_frame.c frames and messages;
 * net_ws_utf8.c the check of text. Bytes go up through *_input and down through *_output.
 */
#ifndef WHALE_NET_WS_PRIVATE_H
#define WHALE_NET_WS_PRIVATE_H

#include "workerd/net/net_ws.h"

#include <netdb.h>
#include <openssl/ssl.h>
#include <wslay/wslay.h>

#define NET_WS_READ_SIZE (64 * 1024)
#define NET_WS_PLAIN_SIZE (16 * 1024) /* one TLS record */
#define NET_WS_URL_MAX 2048
#define NET_WS_HOST_MAX 256
#define NET_WS_HEADERS_MAX 4096    /* of the caller's, together */
#define NET_WS_HANDSHAKE_MAX 16384 /* the answer's head */
#define NET_WS_CONTROL_MAX 125     /* RFC 6455 */
#define NET_WS_REASON_MAX 160
#define NET_WS_ADDRESSES_MAX 4 /* tried one after another */
#define NET_WS_CLOSE_TIMEOUT_MS 2000
#define NET_WS_CONNECT_TIMEOUT_NS (10 * 1000000000LL) /* where the caller gives none */
#define NET_WS_BUFFER_KEPT (64 * 1024) /* of a message's buffer, from message to message */
#define NET_WS_KEY_SIZE 25             /* 16 random bytes as base64 */

enum net_ws_state {
    NET_WS_RESOLVING,
    NET_WS_CONNECTING,
    NET_WS_SECURING,
    NET_WS_UPGRADING,
    NET_WS_OPEN,
    NET_WS_CLOSING, /* our close frame is out */
    NET_WS_DEAD,    /* waits for libuv to let go */
};

enum net_ws_code { /* of close frames, RFC 6455 */
                   NET_WS_NORMAL = 1000,
                   NET_WS_PROTOCOL_ERROR = 1002,
                   NET_WS_INVALID_TEXT = 1007,
                   NET_WS_TOO_LARGE = 1009,
};

typedef struct {
    bool secure;
    char host[NET_WS_HOST_MAX];           /* without brackets */
    char authority[NET_WS_HOST_MAX + 16]; /* for the Host header */
    char port[8];
    char target[NET_WS_URL_MAX];
} net_ws_url;

typedef struct {
    char *data;
    size_t length, capacity;
} net_ws_buffer;

struct net_ws {
    uv_loop_t *loop;
    net_ws_events events;
    void *owner;
    enum net_ws_state state;
    bool ending;         /* net_ws_end has begun */
    unsigned references; /* handles and requests that libuv still holds */
    char reason[NET_WS_REASON_MAX];

    net_ws_url url;
    char *headers; /* the caller's, each with its line end */
    uv_timer_t timer;
    uv_getaddrinfo_t resolving;
    struct sockaddr_storage addresses[NET_WS_ADDRESSES_MAX];
    unsigned address_count, address;
    uv_connect_t connecting;
    uv_tcp_t tcp;
    bool tcp_open;

    SSL *ssl; /* NULL: plain */
    BIO *from_peer, *to_peer;

    char key[NET_WS_KEY_SIZE];
    net_ws_buffer head; /* of the upgrade's answer */

    wslay_frame_context_ptr frames;
    const uint8_t *input; /* of the chunk being read */
    size_t input_left;
    int64_t input_ns, last_receive_ns; /* monotonic */
    uint64_t frame_left;               /* payload of the current frame still to come */
    bool in_frame;
    uint8_t frame_opcode, frame_fin;
    uint8_t message_opcode; /* 0: no message has begun */
    net_ws_buffer message;  /* what came of it, unless it came whole */
    uint8_t control[NET_WS_CONTROL_MAX];
    size_t control_length;
    net_ws_buffer output; /* a frame being built */

    char read[NET_WS_READ_SIZE];
    char plain[NET_WS_PLAIN_SIZE];
};

bool net_ws_buffer_append(net_ws_buffer *buffer, const void *data, size_t length);

/* net_ws.c: what may happen to a connection; all may be called anywhere, again and again */
void net_ws_end(net_ws *ws, const char *reason);
void net_ws_failed(net_ws *ws, enum net_ws_code code,
                   const char *reason); /* tells the peer, ends */
void net_ws_socket_output(net_ws *ws, const void *data, size_t length);
void net_ws_upgrade(net_ws *ws); /* the way to the peer is open: ask for a websocket */
void net_ws_opened(net_ws *ws, const char *more, size_t length);

/* net_ws_tls.c */
bool net_ws_tls_start(net_ws *ws, const char *ca_file);
void net_ws_tls_connect(net_ws *ws);
void net_ws_tls_input(net_ws *ws, const char *data, size_t length);
void net_ws_tls_output(net_ws *ws, const void *data, size_t length);
void net_ws_tls_shutdown(net_ws *ws);

/* net_ws_handshake.c */
bool net_ws_url_parse(const char *text, net_ws_url *url);
char *net_ws_headers_copy(const char *const *headers); /* NULL: malformed, too long or no memory */
bool net_ws_handshake_request(net_ws *ws, char *out, size_t capacity);
void net_ws_handshake_input(net_ws *ws, const char *data, size_t length);

/* net_ws_frame.c */
bool net_ws_frame_start(net_ws *ws);
void net_ws_frame_input(net_ws *ws, const char *data, size_t length);
bool net_ws_frame_send(net_ws *ws, uint8_t opcode, const void *data, size_t length);
void net_ws_frame_send_close(net_ws *ws, enum net_ws_code code);

/* net_ws_utf8.c */
bool net_ws_is_utf8(const char *text, size_t length);

#endif
