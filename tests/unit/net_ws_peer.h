/*
 * The server's side of a websocket, for tests: frames byte by byte, so that they can be wrong.
 */
#ifndef WHALE_TESTS_NET_WS_PEER_H
#define WHALE_TESTS_NET_WS_PEER_H

#include "core/crypto.h"
#include "tests/unit/net_tls.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#define HEAD_MAX 8192

typedef struct {
    int fd;
    SSL *ssl;
    char path[256];
    char key[64];
    char head[HEAD_MAX];
} peer;

static net_tls_identity good_identity, other_identity;
static int plain_port, tls_port, wrong_name_port;
static pid_t server_pid;
static int *server_saw_code; /* of the client's last close frame; shared with the server */

static bool put(peer *p, const void *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = p->ssl != NULL ? SSL_write(p->ssl, data, (int)length)
                                      : send(p->fd, data, length, MSG_NOSIGNAL);

        if (sent <= 0) {
            return false;
        }
        data = (const char *)data + sent;
        length -= (size_t)sent;
    }
    return true;
}

static ssize_t take(peer *p, void *data, size_t length)
{
    return p->ssl != NULL ? SSL_read(p->ssl, data, (int)length) : recv(p->fd, data, length, 0);
}

static bool take_all(peer *p, void *data, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t got = take(p, (char *)data + done, length - done);

        if (got <= 0) {
            return false;
        }
        done += (size_t)got;
    }
    return true;
}

/* first: FIN, reserved bits and opcode, e.g. 0x81. Returns the frame's length. */
static size_t frame_of(uint8_t *out, uint8_t first, const void *data, size_t length)
{
    size_t at = 2;

    out[0] = first;
    if (length < 126) {
        out[1] = (uint8_t)length;
    } else if (length < 65536) {
        out[1] = 126;
        out[at++] = (uint8_t)(length >> 8);
        out[at++] = (uint8_t)length;
    } else {
        out[1] = 127;
        for (int i = 7; i >= 0; i--) {
            out[at++] = (uint8_t)((uint64_t)length >> (8 * i));
        }
    }
    memcpy(out + at, data, length);
    return at + length;
}

static bool put_frame(peer *p, uint8_t first, const void *data, size_t length)
{
    uint8_t *frame = malloc(length + 16);
    bool done = put(p, frame, frame_of(frame, first, data, length));

    free(frame);
    return done;
}

/* A client's frame: masked, or the test fails by a closed connection. Returns the opcode, or -1. */
static int take_frame(peer *p, char *data, size_t capacity, size_t *length)
{
    uint8_t head[2], more[8], mask[4];
    uint64_t size;

    if (!take_all(p, head, 2) || (head[1] & 0x80) == 0) {
        return -1;
    }
    size = head[1] & 0x7f;
    if (size >= 126) {
        size_t bytes = size == 126 ? 2 : 8;

        if (!take_all(p, more, bytes)) {
            return -1;
        }
        size = 0;
        for (size_t i = 0; i < bytes; i++) {
            size = size << 8 | more[i];
        }
    }
    if (size > capacity || !take_all(p, mask, 4) || !take_all(p, data, size)) {
        return -1;
    }
    for (uint64_t i = 0; i < size; i++) {
        data[i] = (char)(data[i] ^ mask[i % 4]);
    }
    *length = size;
    return head[0] & 0x0f;
}

static void accept_of(const char *key, char out[32])
{
    char text[128];
    uint8_t digest[20];

    snprintf(text, sizeof(text), "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    EVP_Digest(text, strlen(text), digest, NULL, EVP_sha1(), NULL);
    crypto_base64(digest, sizeof(digest), out);
}

static bool put_upgrade(peer *p, const char *extra)
{
    char head[1024], accept_value[32];

    accept_of(p->key, accept_value);
    snprintf(head, sizeof(head),
             "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\n"
             "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
             accept_value, extra);
    return put(p, head, strlen(head));
}

static bool take_head(peer *p)
{
    size_t length = 0;
    char *key;

    while (length < HEAD_MAX - 1) {
        ssize_t got = take(p, p->head + length, 1);

        if (got <= 0) {
            return false;
        }
        length += (size_t)got;
        p->head[length] = '\0';
        if (length >= 4 && strcmp(p->head + length - 4, "\r\n\r\n") == 0) {
            break;
        }
    }
    key = strstr(p->head, "\r\nSec-WebSocket-Key: ");
    return sscanf(p->head, "GET %255s HTTP/1.1", p->path) == 1 && key != NULL &&
           sscanf(key + 21, "%63s", p->key) == 1;
}

#endif
