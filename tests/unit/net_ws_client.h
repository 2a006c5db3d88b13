/*
 * The client's side of a test of the websocket client: everything that happened, in order.
 */
#ifndef WHALE_TESTS_NET_WS_CLIENT_H
#define WHALE_TESTS_NET_WS_CLIENT_H

#include "core/clock.h"
#include "tests/unit/net_ws_server.h"
#include "workerd/net/net_ws.h"

#define EVENTS_MAX 4096

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

static inline void note(fixture *f, char event)
{
    size_t length = strlen(f->log);

    if (length < EVENTS_MAX - 1) {
        f->log[length] = event;
    }
}

static inline void on_opened(void *owner)
{
    fixture *f = owner;

    note(f, 'o');
    f->opened++;
    if (f->say != NULL) {
        assert_true(net_ws_send_text(f->ws, f->say, strlen(f->say)));
    }
}

static inline void on_message(void *owner, const char *data, size_t length, bool text)
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

static inline void on_closed(void *owner, const char *reason)
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

static inline fixture *new_fixture(void)
{
    fixture *f = calloc(1, sizeof(*f));

    uv_loop_init(&f->loop);
    return f;
}

static inline void open_url(fixture *f, const char *url, const char *const *headers,
                            const char *ca_file, int64_t timeout_ns)
{
    net_ws_options options = {
        .url = url, .headers = headers, .ca_file = ca_file, .connect_timeout_ns = timeout_ns};

    f->ws = net_ws_open(&f->loop, &options, &events, f);
    assert_non_null(f->ws);
}

static inline void open_path(fixture *f, const char *path)
{
    char url[256];

    snprintf(url, sizeof(url), "ws://127.0.0.1:%d%s", plain_port, path);
    open_url(f, url, NULL, NULL, 5 * CLOCK_SECOND_NS);
}

static inline void open_tls_path(fixture *f, const char *path)
{
    char url[256];

    snprintf(url, sizeof(url), "wss://localhost:%d%s", tls_port, path);
    open_url(f, url, NULL, good_identity.ca_file, 5 * CLOCK_SECOND_NS);
}

static inline void run_to_end(fixture *f)
{
    while (f->closed == 0) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
}

static inline void drop_fixture(fixture *f)
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

#endif
