/*
 * The client's side of a test of the HTTP engine: a loop, an engine, and what became of its
 * requests.
 */
#ifndef WHALE_TESTS_NET_HTTP_CLIENT_H
#define WHALE_TESTS_NET_HTTP_CLIENT_H

#include "core/clock.h"
#include "tests/unit/net_http_server.h"
#include "workerd/net/net_http.h"

typedef struct {
    uv_loop_t loop;
    net_http *http;
    int ended;
    net_http_answer answer; /* the last */
    char *body;
    char order[64]; /* first letters of the answers' owners, in order */
} fixture;

typedef struct {
    fixture *fixture;
    char name;
} call;

static inline void on_done(void *owner, const net_http_answer *answer)
{
    call *called = owner;
    fixture *f = called->fixture;

    f->answer = *answer;
    free(f->body);
    f->body = malloc(answer->body_length + 1);
    memcpy(f->body, answer->body, answer->body_length + 1);
    f->answer.body = f->body;
    f->order[f->ended++] = called->name;
    free(called);
    uv_stop(&f->loop); /* or the turn that this ended in would wait for another event */
}

/* Sends nothing and waits for the end: whoever connected before was accepted by then.
 */
static inline void pass_through(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char bytes[64];

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    shutdown(fd, SHUT_WR);
    while (recv(fd, bytes, sizeof(bytes), 0) > 0) {
    }
    close(fd);
}

static inline void wait_for_the_server(void)
{
    while (__atomic_load_n(server_lives, __ATOMIC_SEQ_CST) > 0) {
        usleep(1000);
    }
}

/* What earlier tests sent must not be counted as this one's. */
static inline void settle_server(void)
{
    pass_through(server_port);
    pass_through(tls_port);
    wait_for_the_server();
    memset(server_saw, 0, sizeof(*server_saw));
}

static inline fixture *open_with(unsigned connections, unsigned queue, const char *ca_file)
{
    fixture *f = calloc(1, sizeof(*f));
    net_http_options options = {
        .connections = connections, .queue = queue, .user_agent = "whale-test", .ca_file = ca_file};

    uv_loop_init(&f->loop);
    f->http = net_http_new(&f->loop, &options, NULL);
    assert_non_null(f->http);
    settle_server();
    return f;
}

static inline fixture *open_fixture(unsigned connections, unsigned queue)
{
    return open_with(connections, queue, NULL);
}

static inline void close_fixture(fixture *f)
{
    net_http_close(f->http);
    while (uv_loop_alive(&f->loop)) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
    net_http_free(f->http);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f->body);
    free(f);
}

static inline const char *url_of(const char *path)
{
    static char urls[8][512]; /* a test holds a few at a time */
    static unsigned next;
    char *url = urls[next++ % 8];

    snprintf(url, sizeof(urls[0]), "http://127.0.0.1:%d%s", server_port, path);
    return url;
}

static inline bool send_named(fixture *f, net_http_request request, char name)
{
    call *called = malloc(sizeof(*called));

    *called = (call){.fixture = f, .name = name};
    request.done = on_done;
    request.owner = called;
    if (request.timeout_ns == 0) {
        request.timeout_ns = 10 * CLOCK_SECOND_NS;
    }
    if (net_http_send(f->http, &request)) {
        return true;
    }
    free(called);
    return false;
}

static inline void run_until(fixture *f, int ended)
{
    while (f->ended < ended) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
}

static inline const net_http_answer *fetch(fixture *f, net_http_request request)
{
    int before = f->ended;

    assert_true(send_named(f, request, 'f'));
    run_until(f, before + 1);
    assert_int_equal(f->ended, before + 1);
    return &f->answer;
}

static inline const net_http_answer *get(fixture *f, const char *path)
{
    return fetch(f, (net_http_request){.method = "GET", .url = url_of(path)});
}

static inline const net_http_answer *post(fixture *f, const char *path)
{
    return fetch(f,
                 (net_http_request){
                     .method = "POST", .url = url_of(path), .body = "side=BUY", .body_length = 8});
}

static inline void on_lingered(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, NULL);
    uv_stop(timer->loop);
}

/* Lets the loop run, so that what the peer does between requests is seen. */
static inline void linger(fixture *f, unsigned ms)
{
    uv_timer_t timer;

    uv_timer_init(&f->loop, &timer);
    uv_timer_start(&timer, on_lingered, ms, 0);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    uv_run(&f->loop, UV_RUN_NOWAIT); /* ends the timer, which stands on our stack */
}

#endif
