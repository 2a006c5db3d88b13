/*
 * The websocket client against a server that follows, bends or breaks RFC 6455, told by the path.
 */
#include "core/clock.h"
#include "core/crypto.h"
#include "tests/unit/net_tls.h"
#include "workerd/net/net_ws.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#define HEAD_MAX 8192
#define EVENTS_MAX 4096

/* ---- the server's side of a connection ------------------------------------------------------- */

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

/* ---- what the server does, by path ----------------------------------------------------------- */

static const struct {
    const char *path;
    const char *bytes; /* after the upgrade */
    size_t length;
} raw_scripts[] = {
#define RAW(path, bytes)                                                                           \
    {                                                                                              \
        path, bytes, sizeof(bytes) - 1                                                             \
    }
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

/* ---- the client's side: everything that happened, in order ----------------------------------- */

typedef struct {
    uv_loop_t loop;
    net_ws *ws;
    int opened, messages, closed;
    size_t bytes;
    char last[512]; /* of the last message */
    size_t last_length;
    bool last_text;
    char log[EVENTS_MAX]; /* one letter an event: o, t, b, c */
    char reason[256];
    int close_at;    /* after so many messages; 0: never */
    int stop_at;     /* leave the loop after so many messages */
    bool numbered;   /* messages must be "message 0 ", "message 1 " ... */
    const char *say; /* on opening */
} fixture;

static void note(fixture *f, char event)
{
    size_t length = strlen(f->log);

    if (length < EVENTS_MAX - 1) {
        f->log[length] = event;
    }
}

static void on_opened(void *owner)
{
    fixture *f = owner;

    note(f, 'o');
    f->opened++;
    if (f->say != NULL) {
        assert_true(net_ws_send_text(f->ws, f->say, strlen(f->say)));
    }
}

static void on_message(void *owner, const char *data, size_t length, bool text)
{
    fixture *f = owner;
    char wanted[32];

    note(f, text ? 't' : 'b');
    if (f->numbered) {
        snprintf(wanted, sizeof(wanted), "message %d ", f->messages);
        assert_true(length >= strlen(wanted));
        assert_memory_equal(data, wanted, strlen(wanted));
    }
    f->messages++;
    f->bytes += length;
    f->last_text = text;
    f->last_length = length < sizeof(f->last) - 1 ? length : sizeof(f->last) - 1;
    memcpy(f->last, data, f->last_length);
    f->last[f->last_length] = '\0';
    if (f->messages == f->stop_at) {
        uv_stop(&f->loop);
    }
    if (f->messages == f->close_at) {
        net_ws_close(f->ws, "enough");
        net_ws_close(f->ws, "again"); /* harmless */
        assert_false(net_ws_send_text(f->ws, "x", 1));
        assert_false(net_ws_ping(f->ws));
    }
}

static void on_closed(void *owner, const char *reason)
{
    fixture *f = owner;

    note(f, 'c');
    f->closed++;
    snprintf(f->reason, sizeof(f->reason), "%s", reason);
    f->ws = NULL;
    uv_stop(&f->loop);
}

static const net_ws_events events = {
    .opened = on_opened, .message = on_message, .closed = on_closed};

static fixture *new_fixture(void)
{
    fixture *f = calloc(1, sizeof(*f));

    uv_loop_init(&f->loop);
    return f;
}

static void open_url(fixture *f, const char *url, const char *const *headers, const char *ca_file,
                     int64_t timeout_ns)
{
    net_ws_options options = {
        .url = url, .headers = headers, .ca_file = ca_file, .connect_timeout_ns = timeout_ns};

    f->ws = net_ws_open(&f->loop, &options, &events, f);
    assert_non_null(f->ws);
}

static void open_path(fixture *f, const char *path)
{
    char url[256];

    snprintf(url, sizeof(url), "ws://127.0.0.1:%d%s", plain_port, path);
    open_url(f, url, NULL, NULL, 5 * CLOCK_SECOND_NS);
}

static void open_tls_path(fixture *f, const char *path)
{
    char url[256];

    snprintf(url, sizeof(url), "wss://localhost:%d%s", tls_port, path);
    open_url(f, url, NULL, good_identity.ca_file, 5 * CLOCK_SECOND_NS);
}

static void run_to_end(fixture *f)
{
    while (f->closed == 0) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
}

static void drop_fixture(fixture *f)
{
    if (f->ws != NULL) {
        net_ws_close(f->ws, "test over");
        run_to_end(f);
    }
    while (uv_loop_alive(&f->loop)) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
    assert_int_equal(uv_loop_close(&f->loop), 0);
    assert_true(f->closed == 1 || f->opened == 0);
    free(f);
}

/* ---- messages -------------------------------------------------------------------------------- */

static void test_messages_come_back(void **state)
{
    (void)state;
    for (int secure = 0; secure < 2; secure++) {
        fixture *f = new_fixture();

        f->say = "{\"op\":\"subscribe\"}";
        f->close_at = 1;
        (secure ? open_tls_path : open_path)(f, "/echo");
        run_to_end(f);
        assert_string_equal(f->log, "otc");
        assert_string_equal(f->last, f->say);
        assert_string_equal(f->reason, "enough");
        drop_fixture(f);
    }
}

static void test_large_messages_both_ways(void **state)
{
    static const size_t sizes[] = {125, 126, 4096, 65535, 65536, 300000};
    char *text = malloc(300001);

    (void)state;
    memset(text, 'a', 300000);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (int secure = 0; secure < 2; secure++) {
            fixture *f = new_fixture();

            text[sizes[i]] = '\0';
            f->say = text;
            f->close_at = 1;
            (secure ? open_tls_path : open_path)(f, "/echo");
            run_to_end(f);
            assert_int_equal(f->bytes, sizes[i]);
            assert_string_equal(f->reason, "enough");
            drop_fixture(f);
            text[sizes[i]] = 'a';
        }
    }
    free(text);
}

static void test_frames_in_any_pieces(void **state)
{
    static const char *const paths[] = {"/pieces/17", "/pieces/1000", "/pieces/4096",
                                        "/pieces/65537", "/pieces/4000000"};

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        for (int secure = 0; secure < 2; secure++) {
            fixture *f = new_fixture();

            f->numbered = true;
            (secure ? open_tls_path : open_path)(f, paths[i]);
            run_to_end(f);
            assert_int_equal(f->messages, 2000);
            assert_string_equal(f->reason, "closed by the peer: 1000 ");
            drop_fixture(f);
        }
    }
}

static void test_frames_with_the_handshake(void **state)
{
    (void)state;
    for (int secure = 0; secure < 2; secure++) {
        fixture *f = new_fixture();

        f->close_at = 2;
        (secure ? open_tls_path : open_path)(f, "/with-handshake");
        run_to_end(f);
        assert_string_equal(f->log, "ottc");
        assert_string_equal(f->last, "second");
        drop_fixture(f);
    }
}

static void test_fragments_are_put_together(void **state)
{
    fixture *f = new_fixture();

    (void)state;
    f->stop_at = 1;
    f->close_at = 2;
    open_path(f, "/fragments");
    uv_run(&f->loop, UV_RUN_DEFAULT);
    run_to_end(f);
    assert_string_equal(f->log, "otbc");
    assert_int_equal(f->bytes, 3 + 1 + 2 + 3);
    assert_memory_equal(f->last, "\xff\xfe\x00", 3); /* binary need not be UTF-8 */
    drop_fixture(f);
}

static void test_empty_messages_are_messages(void **state)
{
    fixture *f = new_fixture();

    (void)state;
    f->close_at = 3;
    open_path(f, "/empty");
    run_to_end(f);
    assert_string_equal(f->log, "otbtc");
    assert_int_equal(f->bytes, 0);
    drop_fixture(f);
}

static void test_the_largest_message_and_one_more(void **state)
{
    char path[64];
    fixture *f = new_fixture();

    (void)state;
    snprintf(path, sizeof(path), "/large/%d", NET_WS_MESSAGE_MAX);
    f->close_at = 1;
    open_path(f, path);
    run_to_end(f);
    assert_int_equal(f->bytes, NET_WS_MESSAGE_MAX);
    drop_fixture(f);

    f = new_fixture();
    snprintf(path, sizeof(path), "/large/%d", NET_WS_MESSAGE_MAX + 1);
    open_path(f, path);
    run_to_end(f);
    assert_string_equal(f->log, "oc");
    assert_string_equal(f->reason, "a message that is too large");
    drop_fixture(f);
}

/* ---- control frames -------------------------------------------------------------------------- */

static void test_pings_are_answered(void **state)
{
    (void)state;
    for (int secure = 0; secure < 2; secure++) {
        fixture *f = new_fixture();

        f->close_at = 1;
        (secure ? open_tls_path : open_path)(f, "/ping");
        run_to_end(f);
        assert_string_equal(f->log, "otc");
        assert_string_equal(f->last, "hello");
        drop_fixture(f);
    }
}

static void test_pongs_count_as_received(void **state)
{
    fixture *f = new_fixture();
    int64_t opened_ns;

    (void)state;
    open_path(f, "/echo");
    while (f->opened == 0) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    opened_ns = net_ws_last_receive_ns(f->ws);
    assert_true(opened_ns > 0);
    assert_true(net_ws_ping(f->ws));
    while (net_ws_last_receive_ns(f->ws) == opened_ns) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_int_equal(f->messages, 0);
    drop_fixture(f);
}

static void test_the_peer_closes(void **state)
{
    static const char *const cases[][3] = {
        {"/close-code", "closed by the peer: 1012 sore", "oc"},
        {"/close-empty", "closed by the peer: 0 ", "oc"},
        {"/two-then-close", "closed by the peer: 1000 ", "ottc"},
        {"/hang-up", "the peer hung up", "oc"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture *f = new_fixture();

        open_path(f, cases[i][0]);
        run_to_end(f);
        assert_string_equal(f->reason, cases[i][1]);
        assert_string_equal(f->log, cases[i][2]);
        drop_fixture(f);
    }
}

static void test_a_deaf_peer_does_not_hold_a_close_up(void **state)
{
    fixture *f = new_fixture();

    (void)state;
    open_path(f, "/deaf");
    while (f->opened == 0) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    net_ws_close(f->ws, "done here");
    run_to_end(f);
    assert_string_equal(f->reason, "done here");
    drop_fixture(f);
}

/* ---- broken rules ---------------------------------------------------------------------------- */

static void test_broken_frames_end_the_connection(void **state)
{
    static const struct {
        const char *path, *reason;
        int code; /* that the peer is told; 0: its own bytes on the way may outrun that */
    } cases[] = {
        {"/masked", "a masked frame from a server", 1002},
        {"/reserved-bit", "a reserved bit", 1002},
        {"/unknown-data", "an unknown data frame", 1002},
        {"/unknown-control", "an unknown control frame", 1002},
        {"/long-control", "a malformed frame", 1002},
        {"/split-control", "a malformed frame", 1002},
        {"/continuation-of-nothing", "a continuation of nothing", 1002},
        {"/message-in-message", "a message inside another", 1002},
        {"/length-not-minimal", "a malformed frame", 1002},
        {"/length-negative", "a malformed frame", 1002},
        {"/too-large", "a message that is too large", 1009},
        {"/tebibyte", "a message that is too large", 1009},
        {"/fragments-too-large", "a message that is too large", 0},
        {"/not-utf8", "text that is not UTF-8", 1007},
        {"/not-utf8-split", "text that is not UTF-8", 1007},
        {"/close-one-byte", "a close frame of one byte", 1002},
        {"/close-not-utf8", "a close reason that is not UTF-8", 1007},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture *f = new_fixture();
        int code = 0;

        __atomic_store_n(server_saw_code, 0, __ATOMIC_SEQ_CST);
        open_path(f, cases[i].path);
        run_to_end(f);
        assert_string_equal(f->reason, cases[i].reason);
        assert_string_equal(f->log, "oc");
        for (int wait = 0; code != cases[i].code && wait < 5000; wait++) {
            usleep(1000);
            code = __atomic_load_n(server_saw_code, __ATOMIC_SEQ_CST);
        }
        assert_int_equal(code, cases[i].code);
        drop_fixture(f);
    }
}

static void test_broken_handshakes_never_open(void **state)
{
    static const char *const cases[][2] = {
        {"/refuse", "handshake: refused with status 403"},
        {"/no-upgrade", "handshake: not an upgrade to websocket"},
        {"/other-upgrade", "handshake: not an upgrade to websocket"},
        {"/no-connection", "handshake: not an upgrade to websocket"},
        {"/wrong-token", "handshake: not an upgrade to websocket"},
        {"/no-accept", "handshake: wrong accept value"},
        {"/wrong-accept", "handshake: wrong accept value"},
        {"/extension", "handshake: an extension that was not asked for"},
        {"/subprotocol", "handshake: a subprotocol that was not asked for"},
        {"/old-http", "handshake: not an HTTP/1.1 answer"},
        {"/odd-status", "handshake: not an HTTP/1.1 answer"},
        {"/not-http", "handshake: not an HTTP/1.1 answer"},
        {"/half-head", "the peer hung up"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture *f = new_fixture();

        open_path(f, cases[i][0]);
        run_to_end(f);
        assert_string_equal(f->reason, cases[i][1]);
        assert_string_equal(f->log, "c");
        drop_fixture(f);
    }
}

static void test_request_as_asked(void **state)
{
    static const char *const headers[] = {"Origin: https://example.com", "X-Test: a b", NULL};
    fixture *f = new_fixture();
    char url[128], host[64];

    (void)state;
    snprintf(url, sizeof(url), "ws://127.0.0.1:%d/head", plain_port);
    snprintf(host, sizeof(host), "\r\nHost: 127.0.0.1:%d\r\n", plain_port);
    f->close_at = 1;
    open_url(f, url, headers, NULL, CLOCK_SECOND_NS);
    run_to_end(f);
    assert_memory_equal(f->last, "GET /head HTTP/1.1\r\n", 20);
    assert_non_null(strstr(f->last, host));
    assert_non_null(strstr(f->last, "\r\nOrigin: https://example.com\r\nX-Test: a b\r\n\r\n"));
    drop_fixture(f);
}

/* ---- no connection --------------------------------------------------------------------------- */

static void test_failures_before_the_handshake(void **state)
{
    int port, fd = listen_somewhere(&port);
    char url[128];
    fixture *f = new_fixture();

    (void)state;
    close(fd);
    snprintf(url, sizeof(url), "ws://127.0.0.1:%d/", port);
    open_url(f, url, NULL, NULL, CLOCK_SECOND_NS);
    run_to_end(f);
    assert_string_equal(f->reason, "connection refused");
    drop_fixture(f);

    f = new_fixture();
    open_url(f, "ws://no.such.host.invalid/", NULL, NULL, 20 * CLOCK_SECOND_NS);
    run_to_end(f);
    assert_int_equal(f->opened, 0);
    drop_fixture(f);

    f = new_fixture();
    snprintf(url, sizeof(url), "ws://127.0.0.1:%d/never", plain_port);
    open_url(f, url, NULL, NULL, 50 * CLOCK_MS_NS);
    run_to_end(f);
    assert_string_equal(f->reason, "timeout while connecting");
    drop_fixture(f);
}

static void test_closing_before_it_opened(void **state)
{
    fixture *f = new_fixture();

    (void)state;
    open_path(f, "/echo");
    assert_false(net_ws_send_text(f->ws, "x", 1));
    assert_false(net_ws_ping(f->ws));
    net_ws_close(f->ws, "never mind");
    assert_int_equal(f->closed, 0); /* from the loop, not from within the call */
    run_to_end(f);
    assert_string_equal(f->log, "c");
    assert_string_equal(f->reason, "never mind");
    drop_fixture(f);
}

static void test_certificates_are_verified(void **state)
{
    struct {
        const char *host;
        int port;
        const char *ca_file;
        const char *reason; /* NULL: opens */
    } cases[] = {
        {"localhost", tls_port, good_identity.ca_file, NULL},
        {"127.0.0.1", tls_port, good_identity.ca_file, NULL},
        {"localhost", tls_port, other_identity.ca_file, "self-signed certificate"},
        {"localhost", tls_port, NULL, "self-signed certificate"},
        {"localhost", wrong_name_port, other_identity.ca_file, "hostname mismatch"},
        {"127.0.0.1", wrong_name_port, other_identity.ca_file, "IP address mismatch"},
        {"localhost", plain_port, good_identity.ca_file, ""},
        {"localhost", tls_port, "/nonexistent/ca.pem", "tls: the CA certificates cannot be used"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture *f = new_fixture();
        char url[128];

        snprintf(url, sizeof(url), "wss://%s:%d/two-then-close", cases[i].host, cases[i].port);
        /* a plain server waits for the rest of what it takes for a request */
        open_url(f, url, NULL, cases[i].ca_file,
                 cases[i].port == plain_port ? 300 * CLOCK_MS_NS : 10 * CLOCK_SECOND_NS);
        run_to_end(f);
        assert_string_equal(f->log, cases[i].reason == NULL ? "ottc" : "c");
        if (cases[i].reason != NULL) {
            assert_non_null(strstr(f->reason, cases[i].reason));
        }
        drop_fixture(f);
    }
}

static void test_malformed_urls_and_headers_are_refused(void **state)
{
    static const char *const urls[] = {
        NULL,        "",          "http://a/",     "ws://",        "ws:///",
        "ws://:80/", "ws://a:0/", "ws://a:65536/", "ws://a:8x/",   "ws://u@a/",
        "ws://a/ b", "ws://a/#b", "ws://[::1/",    "ws://[::1]x/",
    };
    static const char *const bad_headers[][2] = {{"no colon", NULL}, {"A: b\r\nC: d", NULL}};
    fixture *f = new_fixture();

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        net_ws_options options = {.url = urls[i]};

        assert_null(net_ws_open(&f->loop, &options, &events, f));
    }
    for (size_t i = 0; i < 2; i++) {
        net_ws_options options = {.url = "ws://127.0.0.1/", .headers = bad_headers[i]};

        assert_null(net_ws_open(&f->loop, &options, &events, f));
    }
    assert_int_equal(uv_loop_alive(&f->loop), 0);
    drop_fixture(f);
}

static void test_unsent_bytes_are_bounded(void **state)
{
    enum { BLOCK = 64 * 1024 };
    fixture *f = new_fixture();
    char *text = malloc(NET_WS_OUTGOING_MAX + 1);
    int taken = 0;

    (void)state;
    memset(text, 'a', NET_WS_OUTGOING_MAX + 1);
    open_path(f, "/deaf");
    while (f->opened == 0) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_false(net_ws_send_text(f->ws, text, NET_WS_OUTGOING_MAX + 1));
    while (net_ws_send_text(f->ws, text, BLOCK)) {
        taken++;
        assert_true(taken < 1000); /* the kernel's buffers, then ours, then no more */
    }
    assert_true(taken >= NET_WS_OUTGOING_MAX / BLOCK - 1);
    assert_false(net_ws_send_text(f->ws, text, BLOCK));
    free(text);
    drop_fixture(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_come_back),
        cmocka_unit_test(test_large_messages_both_ways),
        cmocka_unit_test(test_frames_in_any_pieces),
        cmocka_unit_test(test_frames_with_the_handshake),
        cmocka_unit_test(test_fragments_are_put_together),
        cmocka_unit_test(test_empty_messages_are_messages),
        cmocka_unit_test(test_the_largest_message_and_one_more),
        cmocka_unit_test(test_pings_are_answered),
        cmocka_unit_test(test_pongs_count_as_received),
        cmocka_unit_test(test_the_peer_closes),
        cmocka_unit_test(test_a_deaf_peer_does_not_hold_a_close_up),
        cmocka_unit_test(test_broken_frames_end_the_connection),
        cmocka_unit_test(test_broken_handshakes_never_open),
        cmocka_unit_test(test_request_as_asked),
        cmocka_unit_test(test_failures_before_the_handshake),
        cmocka_unit_test(test_closing_before_it_opened),
        cmocka_unit_test(test_certificates_are_verified),
        cmocka_unit_test(test_malformed_urls_and_headers_are_refused),
        cmocka_unit_test(test_unsent_bytes_are_bounded),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
