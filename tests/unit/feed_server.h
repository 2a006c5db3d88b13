/*
 * The smallest websocket server that the feed's tests and benches need: blocking sockets, one
 * thread, text frames. It plays a venue; it checks nothing about the client.
 */
#ifndef WHALE_TESTS_FEED_SERVER_H
#define WHALE_TESTS_FEED_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A listening socket on a free port of the loopback. */
static inline int server_listen(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener, 16) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        perror("listen");
        exit(1);
    }
    *port = ntohs(address.sin_port);
    return listener;
}

/* A connection within `timeout_ms`, or -1. */
static inline int server_accept(int listener, int timeout_ms)
{
    struct pollfd wait = {.fd = listener, .events = POLLIN};
    const int one = 1;

    if (poll(&wait, 1, timeout_ms) != 1) {
        return -1;
    }
    const int client = accept(listener, NULL, NULL);
    if (client >= 0) {
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    return client;
}

/* Up to `length` bytes within `timeout_ms`. False: fewer came. */
static inline bool server_read(int client, void *out, size_t length, int timeout_ms)
{
    char *at = out;

    while (length > 0) {
        struct pollfd wait = {.fd = client, .events = POLLIN};
        ssize_t got;

        if (poll(&wait, 1, timeout_ms) != 1 || (got = read(client, at, length)) <= 0) {
            return false;
        }
        at += got;
        length -= (size_t)got;
    }
    return true;
}

/* The answer to an upgrade with this Sec-WebSocket-Key. */
static inline void server_answer(const char *key, size_t key_length, char answer[256])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[128];
    unsigned char digest[20], accept[40];
    unsigned digest_length;

    snprintf(text, sizeof(text), "%.*s%s", (int)key_length, key, guid);
    EVP_Digest(text, strlen(text), digest, &digest_length, EVP_sha1(), NULL);
    EVP_EncodeBlock(accept, digest, sizeof(digest));
    snprintf(answer, 256,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n\r\n",
             (const char *)accept);
}

/* Answers the upgrade; `target` gets the path asked for. */
static inline bool server_handshake(int client, char target[128], int timeout_ms)
{
    char request[4096], answer[256];
    size_t length = 0;
    const char *key;

    while (length < sizeof(request) - 1) {
        if (!server_read(client, request + length, 1, timeout_ms)) {
            return false;
        }
        request[++length] = '\0';
        if (length >= 4 && memcmp(request + length - 4, "\r\n\r\n", 4) == 0) {
            break;
        }
    }
    key = strcasestr(request, "sec-websocket-key:");
    if (key == NULL || sscanf(request, "GET %127s ", target) != 1) {
        return false;
    }
    key += strlen("sec-websocket-key:");
    key += strspn(key, " ");
    server_answer(key, strcspn(key, "\r\n"), answer);
    return write(client, answer, strlen(answer)) == (ssize_t)strlen(answer);
}

/* A text frame's bytes, unmasked as servers send them. Returns how many. */
static inline size_t server_frame(const char *text, size_t length, unsigned char *out)
{
    size_t head = 2;

    out[0] = 0x81;
    if (length < 126) {
        out[1] = (unsigned char)length;
    } else {
        out[1] = 126;
        out[2] = (unsigned char)(length >> 8);
        out[3] = (unsigned char)length;
        head = 4;
    }
    memcpy(out + head, text, length);
    return head + length;
}

static inline bool server_send(int client, const char *text)
{
    unsigned char frame[4096];
    const size_t length = server_frame(text, strlen(text), frame);

    return send(client, frame, length, MSG_NOSIGNAL) == (ssize_t)length;
}

/* The next text frame, unmasked and with a NUL. False: none in time, or the end. */
static inline bool server_receive(int client, char *out, size_t capacity, int timeout_ms)
{
    unsigned char head[2], more[8], mask[4];

    for (;;) {
        size_t length;

        if (!server_read(client, head, 2, timeout_ms)) {
            return false;
        }
        length = head[1] & 0x7f;
        if (length == 126) {
            if (!server_read(client, more, 2, timeout_ms)) {
                return false;
            }
            length = (size_t)more[0] << 8 | more[1];
        }
        if (length >= capacity || !server_read(client, mask, 4, timeout_ms) ||
            !server_read(client, out, length, timeout_ms)) {
            return false;
        }
        for (size_t i = 0; i < length; i++) {
            out[i] = (char)((unsigned char)out[i] ^ mask[i % 4]);
        }
        out[length] = '\0';
        if ((head[0] & 0x0f) == 1) {
            return true;
        }
        if ((head[0] & 0x0f) == 8) {
            return false;
        }
    }
}

#endif
