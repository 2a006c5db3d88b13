/*
 * A server for tests of the websocket client: one forked process, a thread a connection, told by
 * the path which rule of RFC 6455 to follow, bend or break.
 */
#ifndef WHALE_TESTS_NET_WS_SERVER_H
#define WHALE_TESTS_NET_WS_SERVER_H

#include "tests/unit/net_ws_peer.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static const struct {
    const char *path;
    const char *bytes; /* after the upgrade */
    size_t length;
} raw_scripts[] = {
/* clang-format off */
#define RAW(path, bytes) {path, bytes, sizeof(bytes) - 1}
    RAW("/masked", "\x81\x82\x01\x02\x03\x04hi"),
    RAW("/reserved-bit", "\xc1\x02hi"),
    RAW("/unknown-data", "\x83\x02hi"),
    RAW("/unknown-control", "\x8b\x02hi"),
    RAW("/long-control", "\x89\x7e\x00\x80"),
    RAW("/split-control", "\x09\x02hi"),
    RAW("/continuation-of-nothing", "\x80\x02hi"),
    RAW("/message-in-message", "\x01\x02hi\x81\x02ho"),
    RAW("/length-not-minimal", "\x81\x7e\x00\x02hi"),
    RAW("/length-negative", "\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff"),
    RAW("/too-large", "\x82\x7f\x00\x00\x00\x00\x00\x40\x00\x01x"),
    RAW("/tebibyte", "\x82\x7f\x00\x00\x01\x00\x00\x00\x00\x00x"),
    RAW("/not-utf8", "\x81\x04\xf0\x82\x82\xac"),
    RAW("/not-utf8-split", "\x01\x02\xc3\xa9\x80\x01\xc3"),
    RAW("/close-one-byte", "\x88\x01x"),
    RAW("/close-not-utf8", "\x88\x03\x03\xe8\xff"),
    RAW("/fragments",
        "\x01\x03\xe2\x82\xac\x89\x01p\x00\x00\x00\x01-\x80\x02ok\x82\x03\xff\xfe\x00"),
    RAW("/empty", "\x81\x00\x82\x00\x01\x00\x80\x00"),
    RAW("/close-code", "\x88\x06\x03\xf4sore"),
    RAW("/close-empty", "\x88\x00"),
    RAW("/two-then-close", "\x81\x01"
                           "a\x81\x01"
                           "b\x88\x02\x03\xe8"),
#undef RAW
    /* clang-format on */
};

static const struct {
    const char *path;
    const char *answer; /* %s: the right accept value */
} handshake_scripts[] = {
    {"/refuse", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"},
    {"/no-upgrade", "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"},
    {"/other-upgrade", "HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Accept: %s\r\n\r\n"},
    {"/no-connection", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n"},
    {"/wrong-token", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgraded\r\n"
                     "Sec-WebSocket-Accept: %s\r\n\r\n"},
    {"/no-accept", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
    {"/wrong-accept", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"},
    {"/extension",
     "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
     "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"},
    {"/subprotocol", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"},
    {"/old-http", "HTTP/1.0 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Accept: %s\r\n\r\n"},
    {"/odd-status", "HTTP/1.1 1011 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Accept: %s\r\n\r\n"},
    {"/not-http", "SSH-2.0-OpenSSH_9.2\r\n\r\n"},
    {"/half-head", "HTTP/1.1 101 x\r\nUpgr"},
};

static void echo_forever(peer *p)
{
    static __thread char data[1 << 20];
    size_t length;
    int opcode;

    while ((opcode = take_frame(p, data, sizeof(data), &length)) >= 0) {
        put_frame(p, (uint8_t)(0x80 | (opcode == 9 ? 10 : opcode)), data, length);
        if (opcode == 8) {
            return;
        }
    }
}

/* 2,000 numbered messages in pieces that have nothing to do with frames. */
static void stream_in_pieces(peer *p, size_t piece)
{
    uint8_t *all = malloc(4 << 20);
    size_t length = 0;
    char text[70000];

    for (int i = 0; i < 2000; i++) {
        size_t size = (size_t)snprintf(text, sizeof(text), "message %d ", i);
        size_t padded = i % 100 == 99 ? 66000 : i % 7 == 0 ? 700 : size;

        memset(text + size, '.', padded - size);
        if (length + padded + 16 > 4 << 20) {
            break;
        }
        length += frame_of(all + length, 0x81, text, padded);
    }
    for (size_t at = 0; at < length; at += piece) {
        if (!put(p, all + at, length - at < piece ? length - at : piece)) {
            break;
        }
    }
    free(all);
    put_frame(p, 0x88, "\x03\xe8", 2);
}

static void put_large(peer *p, size_t length)
{
    char *data = malloc(length);

    memset(data, 'L', length);
    put_frame(p, 0x82, data, length);
    free(data);
}

static void put_fragments_too_large(peer *p)
{
    char *data = calloc(1, 1 << 20);

    put_frame(p, 0x02, data, 1 << 20);
    for (int i = 0; i < 4; i++) {
        if (!put_frame(p, 0x00, data, 1 << 20)) {
            break;
        }
    }
    free(data);
}

/* Reads until the client closes, and answers that. */
static void follow(peer *p)
{
    char data[4096];
    size_t length;
    int opcode;

    while ((opcode = take_frame(p, data, sizeof(data), &length)) >= 0) {
        if (opcode == 8) {
            __atomic_store_n(server_saw_code,
                             length >= 2 ? (uint8_t)data[0] << 8 | (uint8_t)data[1] : -1,
                             __ATOMIC_SEQ_CST);
            put_frame(p, 0x88, data, length);
            return;
        }
    }
}

static void say_what_pong_said(peer *p)
{
    char data[256];
    size_t length;

    put(p, "\x89\x05hel", 5); /* a ping in two pieces */
    usleep(20000);
    put(p, "lo", 2);
    if (take_frame(p, data, sizeof(data), &length) == 10) {
        put_frame(p, 0x81, data, length);
    }
    follow(p);
}

static bool run_special(peer *p)
{
    if (strcmp(p->path, "/echo") == 0) {
        echo_forever(p);
    } else if (strcmp(p->path, "/ping") == 0) {
        say_what_pong_said(p);
    } else if (strcmp(p->path, "/head") == 0) {
        put_frame(p, 0x81, p->head, strlen(p->head));
        follow(p);
    } else if (strncmp(p->path, "/pieces/", 8) == 0) {
        stream_in_pieces(p, (size_t)atoi(p->path + 8));
    } else if (strncmp(p->path, "/large/", 7) == 0) {
        put_large(p, (size_t)atoi(p->path + 7));
        follow(p);
    } else if (strcmp(p->path, "/fragments-too-large") == 0) {
        put_fragments_too_large(p);
        follow(p);
    } else if (strcmp(p->path, "/hang-up") == 0) {
        put(p, "\x81\x05he", 4);
    } else if (strcmp(p->path, "/deaf") == 0) {
        pause();
    } else {
        return false;
    }
    return true;
}

static void run_script(peer *p)
{
    char answer[1024], accept_value[32];

    for (size_t i = 0; i < sizeof(handshake_scripts) / sizeof(handshake_scripts[0]); i++) {
        if (strcmp(p->path, handshake_scripts[i].path) == 0) {
            accept_of(p->key, accept_value);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(answer, sizeof(answer), handshake_scripts[i].answer, accept_value);
#pragma GCC diagnostic pop
            put(p, answer, strlen(answer));
            return;
        }
    }
    if (strcmp(p->path, "/never") == 0) {
        pause();
    }
    if (strcmp(p->path, "/with-handshake") == 0) { /* one write: head and frames */
        char all[2048];
        size_t head;

        accept_of(p->key, accept_value);
        head = (size_t)snprintf(all, sizeof(all),
                                "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
                                "Sec-WebSocket-Accept: %s\r\n\r\n%s",
                                accept_value,
                                "\x81\x05"
                                "first\x81\x06"
                                "sec");
        put(p, all, head);
        usleep(20000);
        put(p, "ond", 3);
        follow(p);
        return;
    }
    put_upgrade(p, strcmp(p->path, "/long-head") == 0 ? "X: y\r\n" : "");
    for (size_t i = 0; i < sizeof(raw_scripts) / sizeof(raw_scripts[0]); i++) {
        if (strcmp(p->path, raw_scripts[i].path) == 0) {
            put(p, raw_scripts[i].bytes, raw_scripts[i].length);
            follow(p);
            return;
        }
    }
    run_special(p);
}

typedef struct {
    int fd;
    const net_tls_identity *identity;
} listener;

static void *serve(void *argument)
{
    listener *accepted = argument;
    peer *p = calloc(1, sizeof(*p));

    p->fd = accepted->fd;
    if (accepted->identity != NULL) {
        p->ssl = net_tls_accept(accepted->identity, p->fd);
    }
    if ((accepted->identity == NULL || p->ssl != NULL) && take_head(p)) {
        run_script(p);
    }
    if (p->ssl != NULL) {
        SSL_shutdown(p->ssl);
        SSL_free(p->ssl);
    }
    shutdown(p->fd, SHUT_WR);
    while (recv(p->fd, p->head, sizeof(p->head), 0) > 0) {
    }
    close(p->fd);
    free(p);
    free(accepted);
    return NULL;
}

static int listen_somewhere(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 128), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void *accept_forever(void *argument)
{
    listener *listening = argument;

    for (;;) {
        listener *accepted = malloc(sizeof(*accepted));
        pthread_t thread;

        *accepted = *listening;
        accepted->fd = accept(listening->fd, NULL, NULL);
        pthread_create(&thread, NULL, serve, accepted);
        pthread_detach(thread);
    }
    return NULL;
}

static int start_server(void **state)
{
    static listener listeners[3];

    (void)state;
    assert_true(crypto_start());
    server_saw_code = mmap(NULL, sizeof(*server_saw_code), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    net_tls_identity_make(&good_identity, "DNS:localhost,IP:127.0.0.1");
    net_tls_identity_make(&other_identity, "DNS:elsewhere.example");
    listeners[0] = (listener){listen_somewhere(&plain_port), NULL};
    listeners[1] = (listener){listen_somewhere(&tls_port), &good_identity};
    listeners[2] = (listener){listen_somewhere(&wrong_name_port), &other_identity};
    server_pid = fork();
    if (server_pid == 0) {
        pthread_t thread;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_IGN);
        pthread_create(&thread, NULL, accept_forever, &listeners[1]);
        pthread_create(&thread, NULL, accept_forever, &listeners[2]);
        accept_forever(&listeners[0]);
    }
    for (int i = 0; i < 3; i++) {
        close(listeners[i].fd);
    }
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    if (server_pid > 0) {
        kill(server_pid, SIGKILL);
        waitpid(server_pid, NULL, 0);
    }
    net_tls_identity_drop(&good_identity);
    net_tls_identity_drop(&other_identity);
    return 0;
}

#endif
