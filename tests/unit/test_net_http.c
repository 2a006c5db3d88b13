/*
 * The HTTP engine against a server that misbehaves on request. What matters most: an order is never
 * sent twice, an answer is whole or none, and NOT_SENT is true.
 */
#include "core/clock.h"
#include "tests/unit/net_tls.h"
#include "workerd/net/net_http.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define REQUEST_MAX 16384

/* ---- a server: one forked process, a thread a connection, told by the path what to do -------- */

typedef struct {
    int requests, posts, connections; /* connections that a request came on */
} seen;

static seen *server_saw;  /* shared with the server */
static int *server_lives; /* connections that it still serves; shared too */
static pid_t server_pid;
static int server_port, tls_port;
static net_tls_identity identity;
static __thread SSL *tls; /* of the connection that this thread of the server has, or NULL */

static void write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t sent =
            tls != NULL ? SSL_write(tls, data, (int)length) : send(fd, data, length, MSG_NOSIGNAL);

        if (sent <= 0) {
            return;
        }
        data += sent;
        length -= (size_t)sent;
    }
}

static void say(int fd, const char *text)
{
    write_all(fd, text, strlen(text));
}

/* Reads one request with its body. 0: the peer closed. */
static size_t read_request(int fd, char *text)
{
    size_t length = 0, wanted = 0;

    for (;;) {
        size_t room = REQUEST_MAX - 1 - length;
        ssize_t got = tls != NULL ? SSL_read(tls, text + length, (int)room)
                                  : recv(fd, text + length, room, 0);
        char *end, *size;

        if (got <= 0) {
            return 0;
        }
        length += (size_t)got;
        text[length] = '\0';
        end = strstr(text, "\r\n\r\n");
        if (end == NULL) {
            continue;
        }
        size = strcasestr(text, "\r\nContent-Length:");
        wanted = (size_t)(end + 4 - text) + (size != NULL ? strtoul(size + 17, NULL, 10) : 0);
        if (length >= wanted) {
            return length;
        }
    }
}

static void say_echo(int fd, const char *request, size_t length)
{
    char head[128];

    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", length);
    say(fd, head);
    write_all(fd, request, length);
}

static void say_huge(int fd, bool announced)
{
    static char block[65536];
    char head[128];

    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\n%s: %s\r\n\r\n",
             announced ? "Content-Length" : "Transfer-Encoding", announced ? "9000000" : "chunked");
    say(fd, head);
    memset(block, 'x', sizeof(block));
    for (int i = 0; i < 9000000 / 65536 + 1; i++) {
        if (!announced) {
            say(fd, "10000\r\n");
        }
        write_all(fd, block, sizeof(block));
        if (!announced) {
            say(fd, "\r\n");
        }
    }
}

static const struct {
    const char *path;
    const char *answer;
    bool close;
} scripts[] = {
    {"/ok", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false},
    {"/close-after", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true},
    {"/refused", "HTTP/1.1 400 Bad Request\r\nContent-Length: 14\r\n\r\n{\"code\":-2010}", false},
    {"/close-before", "", true},
    {"/half-body", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"orderId\":1", true},
    {"/half-head", "HTTP/1.1 200 OK\r\nContent-Le", true},
    {"/half-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n20\r\nwor",
     true},
    {"/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
     false},
    {"/no-length", "HTTP/1.1 200 OK\r\n\r\n{\"orderId\":1}", true},
    {"/two-lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", false},
    {"/garbage", "\x15\x03\x01\x00\x02\x02\x46 nonsense\r\n\r\n", true},
    {"/empty", "HTTP/1.1 204 No Content\r\n\r\n", false},
    {"/redirect", "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n", false},
    {"/hints",
     "HTTP/1.1 103 Early Hints\r\nX-MBX-USED-WEIGHT-1M: 9\r\n\r\n"
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
     false},
    {"/limited",
     "HTTP/1.1 429 Too Many\r\nretry-after: 7\r\nx-mbx-used-weight-1m: 1201\r\n"
     "Content-Length: 0\r\n\r\n",
     false},
    {"/limited-date",
     "HTTP/1.1 429 Too Many\r\nRetry-After: Fri, 31 Dec 2100 23:59:59 GMT\r\n"
     "Content-Length: 0\r\n\r\n",
     false},
    {"/limited-past",
     "HTTP/1.1 429 Too Many\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n"
     "Content-Length: 0\r\n\r\n",
     false},
    {"/never", "", false},
};

/* True: keep the connection. `nth`: how many requests came on it. */
static bool answer_request(int fd, const char *request, size_t length, int nth)
{
    char path[64] = "";

    sscanf(request, "%*s %63[^ ?]", path);
    if (strcmp(path, "/die-if-reused") == 0) {
        say(fd, nth == 1 ? scripts[0].answer : "");
        return nth == 1;
    }
    if (strcmp(path, "/junk-after") == 0) {
        say(fd, scripts[0].answer);
        say(fd, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\njunk");
        return true;
    }
    if (strcmp(path, "/late-junk") == 0) {
        say(fd, scripts[0].answer);
        usleep(30000);
        say(fd, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\njunk");
        return true;
    }
    if (strcmp(path, "/reset-after") == 0) {
        struct linger at_once = {.l_onoff = 1};

        say(fd, scripts[0].answer);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        return false;
    }
    if (strncmp(path, "/echo", 5) == 0 || strcmp(path, "/") == 0) {
        say_echo(fd, request, length);
        return true;
    }
    if (strncmp(path, "/huge", 5) == 0) {
        say_huge(fd, path[5] == '\0');
        return false;
    }
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        if (strcmp(path, scripts[i].path) == 0) {
            say(fd, scripts[i].answer);
            return !scripts[i].close;
        }
    }
    return false;
}

static void serve(int fd)
{
    char request[REQUEST_MAX];
    size_t length;
    int nth = 0;

    while ((length = read_request(fd, request)) > 0) {
        __atomic_add_fetch(&server_saw->requests, 1, __ATOMIC_SEQ_CST);
        __atomic_add_fetch(&server_saw->connections, nth == 0, __ATOMIC_SEQ_CST);
        if (strncmp(request, "POST", 4) == 0) {
            __atomic_add_fetch(&server_saw->posts, 1, __ATOMIC_SEQ_CST);
        }
        if (!answer_request(fd, request, length, ++nth)) {
            break;
        }
    }
}

static void *serve_plain(void *argument)
{
    int fd = (int)(intptr_t)argument;

    serve(fd);
    close(fd);
    __atomic_sub_fetch(server_lives, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void *serve_tls(void *argument)
{
    int fd = (int)(intptr_t)argument;

    tls = net_tls_accept(&identity, fd);
    if (tls != NULL) {
        serve(fd);
        SSL_free(tls);
    }
    close(fd);
    __atomic_sub_fetch(server_lives, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

typedef struct {
    int fd;
    void *(*serve)(void *argument);
} listener;

static void *accept_forever(void *argument)
{
    listener *listening = argument;

    for (;;) {
        int peer = accept(listening->fd, NULL, NULL);
        pthread_t thread;

        __atomic_add_fetch(server_lives, 1, __ATOMIC_SEQ_CST);
        pthread_create(&thread, NULL, listening->serve, (void *)(intptr_t)peer);
        pthread_detach(thread);
    }
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

static int start_server(void **state)
{
    static listener plain = {.serve = serve_plain}, secure = {.serve = serve_tls};
    pthread_t thread;

    (void)state;
    plain.fd = listen_somewhere(&server_port);
    secure.fd = listen_somewhere(&tls_port);
    net_tls_identity_make(&identity, "DNS:localhost,IP:127.0.0.1");
    server_saw = mmap(NULL, sizeof(*server_saw) + sizeof(int), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    server_lives = (int *)(server_saw + 1);
    server_pid = fork();
    if (server_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_IGN);
        pthread_create(&thread, NULL, accept_forever, &secure);
        accept_forever(&plain);
    }
    close(plain.fd);
    close(secure.fd);
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    if (server_pid > 0) {
        kill(server_pid, SIGKILL);
        waitpid(server_pid, NULL, 0);
    }
    net_tls_identity_drop(&identity);
    return 0;
}

/* ---- a client: a loop and an engine a test --------------------------------------------------- */

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

static void on_done(void *owner, const net_http_answer *answer)
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
static void pass_through(int port)
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

static void wait_for_the_server(void)
{
    while (__atomic_load_n(server_lives, __ATOMIC_SEQ_CST) > 0) {
        usleep(1000);
    }
}

/* What earlier tests sent must not be counted as this one's. */
static void settle_server(void)
{
    pass_through(server_port);
    pass_through(tls_port);
    wait_for_the_server();
    memset(server_saw, 0, sizeof(*server_saw));
}

static fixture *open_with(unsigned connections, unsigned queue, const char *ca_file)
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

static fixture *open_fixture(unsigned connections, unsigned queue)
{
    return open_with(connections, queue, NULL);
}

static void close_fixture(fixture *f)
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

static const char *url_of(const char *path)
{
    static char urls[8][512]; /* a test holds a few at a time */
    static unsigned next;
    char *url = urls[next++ % 8];

    snprintf(url, sizeof(urls[0]), "http://127.0.0.1:%d%s", server_port, path);
    return url;
}

static bool send_named(fixture *f, net_http_request request, char name)
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

static void run_until(fixture *f, int ended)
{
    while (f->ended < ended) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
}

static const net_http_answer *fetch(fixture *f, net_http_request request)
{
    int before = f->ended;

    assert_true(send_named(f, request, 'f'));
    run_until(f, before + 1);
    assert_int_equal(f->ended, before + 1);
    return &f->answer;
}

static const net_http_answer *get(fixture *f, const char *path)
{
    return fetch(f, (net_http_request){.method = "GET", .url = url_of(path)});
}

static const net_http_answer *post(fixture *f, const char *path)
{
    return fetch(f,
                 (net_http_request){
                     .method = "POST", .url = url_of(path), .body = "side=BUY", .body_length = 8});
}

static void on_lingered(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, NULL);
    uv_stop(timer->loop);
}

/* Lets the loop run, so that what the peer does between requests is seen. */
static void linger(fixture *f, unsigned ms)
{
    uv_timer_t timer;

    uv_timer_init(&f->loop, &timer);
    uv_timer_start(&timer, on_lingered, ms, 0);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    uv_run(&f->loop, UV_RUN_NOWAIT); /* ends the timer, which stands on our stack */
}

/* ---- whole answers --------------------------------------------------------------------------- */

static void test_whole_answer(void **state)
{
    fixture *f = open_fixture(2, 2);
    const net_http_answer *answer = get(f, "/ok");

    (void)state;
    assert_int_equal(answer->outcome, NET_HTTP_ANSWERED);
    assert_int_equal(answer->status, 200);
    assert_string_equal(answer->body, "ok");
    assert_int_equal(answer->body_length, 2);
    assert_int_equal(answer->used_weight, -1);
    assert_int_equal(answer->retry_after_ns, 0);
    assert_true(answer->sent_ns > 0 && answer->answered_ns >= answer->sent_ns);
    close_fixture(f);
}

static void test_connections_are_reused(void **state)
{
    fixture *f = open_fixture(4, 0);

    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(post(f, "/ok")->outcome, NET_HTTP_ANSWERED);
    }
    assert_int_equal(server_saw->requests, 20);
    assert_int_equal(server_saw->connections, 1);
    close_fixture(f);
}

static void test_bytes_go_out_as_given(void **state)
{
    static const char path[] = "/echo/../a//%7b%7D?b=%2f&&c=[1]{x}|'\"&signature=aB+/=&?";
    fixture *f = open_fixture(1, 0);
    net_http_request request = {
        .method = "POST",
        .url = url_of(path),
        .headers = {"X-MBX-APIKEY: k", "Content-Type: application/json"},
        .body = "{\"a\":\"\\u0000\"}\0tail",
        .body_length = 19,
    };
    const net_http_answer *answer = fetch(f, request);
    char line[256];

    (void)state;
    snprintf(line, sizeof(line), "POST %s HTTP/1.1\r\n", path);
    assert_int_equal(answer->outcome, NET_HTTP_ANSWERED);
    assert_memory_equal(answer->body, line, strlen(line));
    assert_non_null(strstr(answer->body, "\r\nX-MBX-APIKEY: k\r\n"));
    assert_non_null(strstr(answer->body, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(answer->body, "\r\nUser-Agent: whale-test\r\n"));
    assert_memory_equal(answer->body + answer->body_length - 19, request.body, 19);
    close_fixture(f);
}

static void test_urls_without_a_path(void **state)
{
    static const char *const cases[][2] = {{"", "GET / HTTP/1.1\r\n"},
                                           {"/", "GET / HTTP/1.1\r\n"},
                                           {"?a=/b", "GET /?a=/b HTTP/1.1\r\n"}};
    fixture *f = open_fixture(1, 0);

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const net_http_answer *answer = get(f, cases[i][0]);

        assert_int_equal(answer->outcome, NET_HTTP_ANSWERED);
        assert_memory_equal(answer->body, cases[i][1], strlen(cases[i][1]));
    }
    close_fixture(f);
}

static void test_methods_and_their_bodies(void **state)
{
    static const struct {
        const char *method, *body, *length_line, *no_line;
    } cases[] = {
        {"GET", NULL, NULL, "Content-Length"},
        {"POST", NULL, "\r\nContent-Length: 0\r\n", "Content-Type"},
        {"PUT", "abc", "\r\nContent-Length: 3\r\n", "Expect"},
        {"PUT", NULL, "\r\nContent-Length: 0\r\n", "Content-Type"},
        {"DELETE", NULL, NULL, "Content-Length"},
        {"DELETE", "{}", "\r\nContent-Length: 2\r\n", "Content-Type"},
    };
    fixture *f = open_fixture(1, 0);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *body = cases[i].body;
        const net_http_answer *answer =
            fetch(f, (net_http_request){.method = cases[i].method,
                                        .url = url_of("/echo"),
                                        .body = body,
                                        .body_length = body != NULL ? strlen(body) : 0});

        assert_int_equal(answer->outcome, NET_HTTP_ANSWERED);
        assert_memory_equal(answer->body, cases[i].method, strlen(cases[i].method));
        assert_null(strstr(answer->body, cases[i].no_line));
        if (cases[i].length_line != NULL) {
            assert_non_null(strstr(answer->body, cases[i].length_line));
        }
    }
    assert_int_equal(server_saw->connections, 1);
    close_fixture(f);
}

static void test_errors_with_a_status_are_answers(void **state)
{
    fixture *f = open_fixture(1, 0);
    const net_http_answer *answer = post(f, "/refused");

    (void)state;
    assert_int_equal(answer->outcome, NET_HTTP_ANSWERED);
    assert_int_equal(answer->status, 400);
    assert_string_equal(answer->body, "{\"code\":-2010}");
    assert_int_equal(post(f, "/redirect")->status, 302); /* not followed */
    assert_int_equal(post(f, "/empty")->status, 204);
    assert_int_equal(post(f, "/empty")->body_length, 0);
    assert_string_equal(post(f, "/chunked")->body, "hello");
    close_fixture(f);
}

static void test_limits_are_read_from_headers(void **state)
{
    fixture *f = open_fixture(1, 0);
    const net_http_answer *answer = get(f, "/limited");

    (void)state;
    assert_int_equal(answer->retry_after_ns, 7 * CLOCK_SECOND_NS);
    assert_int_equal(answer->used_weight, 1201);
    answer = get(f, "/limited-date");
    assert_true(answer->retry_after_ns > CLOCK_SECOND_NS);
    assert_int_equal(get(f, "/limited-past")->retry_after_ns, 0);
    answer = get(f, "/hints"); /* what an interim answer says is not the answer's */
    assert_int_equal(answer->status, 200);
    assert_int_equal(answer->used_weight, -1);
    close_fixture(f);
}

/* ---- unclear answers ------------------------------------------------------------------------- */

static void test_no_whole_answer_is_unclear(void **state)
{
    static const char *const paths[] = {"/close-before", "/half-body", "/half-head",
                                        "/half-chunk",   "/no-length", "/two-lengths",
                                        "/garbage"};

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        fixture *f = open_fixture(1, 0);
        const net_http_answer *answer = post(f, paths[i]);

        assert_int_equal(answer->outcome, NET_HTTP_UNCLEAR);
        assert_int_equal(answer->status, 0);
        assert_int_equal(answer->body_length, 0);
        assert_true(answer->sent_ns > 0);
        assert_true(strlen(answer->error) > 0);
        assert_int_equal(server_saw->posts, 1);
        close_fixture(f);
    }
}

static void test_too_large_an_answer_is_unclear(void **state)
{
    fixture *f = open_fixture(1, 0);

    (void)state;
    assert_int_equal(get(f, "/huge")->outcome, NET_HTTP_UNCLEAR);
    assert_int_equal(get(f, "/huge-chunks")->outcome, NET_HTTP_UNCLEAR);
    assert_int_equal(get(f, "/ok")->outcome, NET_HTTP_ANSWERED);
    close_fixture(f);
}

static void test_no_answer_in_time_is_unclear(void **state)
{
    fixture *f = open_fixture(1, 0);
    net_http_request request = {
        .method = "POST", .url = url_of("/never"), .timeout_ns = 50 * CLOCK_MS_NS};

    (void)state;
    assert_int_equal(fetch(f, request)->outcome, NET_HTTP_UNCLEAR);
    assert_int_equal(post(f, "/ok")->outcome, NET_HTTP_ANSWERED);
    close_fixture(f);
}

static void test_an_order_is_never_sent_twice(void **state)
{
    fixture *f = open_fixture(1, 0);
    const net_http_answer *answer;

    (void)state;
    /* given a connection that answered once */
    assert_int_equal(post(f, "/die-if-reused")->outcome, NET_HTTP_ANSWERED);
    /* when the peer reads the second order and closes without an answer */
    answer = post(f, "/die-if-reused");
    /* then curl has not sent it again, though it would */
    assert_int_equal(answer->outcome, NET_HTTP_UNCLEAR);
    assert_int_equal(server_saw->posts, 2);
    close_fixture(f);
}

static void test_deletes_and_puts_are_never_sent_twice(void **state)
{
    static const char *const methods[] = {"DELETE", "PUT"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        fixture *f = open_fixture(1, 0);
        net_http_request request = {.method = methods[i], .url = url_of("/die-if-reused")};

        assert_int_equal(fetch(f, request)->outcome, NET_HTTP_ANSWERED);
        assert_int_equal(fetch(f, request)->outcome, NET_HTTP_UNCLEAR);
        assert_int_equal(server_saw->requests, 2);
        close_fixture(f);
    }
}

static void test_a_read_may_be_sent_again(void **state)
{
    fixture *f = open_fixture(1, 0);

    (void)state;
    assert_int_equal(get(f, "/die-if-reused")->outcome, NET_HTTP_ANSWERED);
    assert_int_equal(get(f, "/die-if-reused")->outcome, NET_HTTP_ANSWERED);
    assert_int_equal(server_saw->requests, 3);
    close_fixture(f);
}

static void test_a_connection_closed_while_idle_is_not_used(void **state)
{
    fixture *f = open_fixture(1, 0);

    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(post(f, "/close-after")->outcome, NET_HTTP_ANSWERED);
        linger(f, 20);
    }
    assert_int_equal(server_saw->posts, 5);
    assert_int_equal(server_saw->connections, 5);
    close_fixture(f);
}

static void test_an_answer_before_a_reset_counts(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        fixture *f = open_fixture(1, 0);

        assert_int_equal(post(f, "/reset-after")->outcome, NET_HTTP_ANSWERED);
        wait_for_the_server();
        if (i % 2 == 0) {
            linger(f, 1); /* else the loop has not seen it when the next order goes out */
        }
        /* and a connection known to be reset is not used again */
        assert_int_equal(post(f, "/ok")->outcome, NET_HTTP_ANSWERED);
        assert_int_equal(server_saw->posts, 2);
        close_fixture(f);
    }
}

static void test_bytes_out_of_turn_are_nobodys_answer(void **state)
{
    static const char *const paths[] = {"/junk-after", "/late-junk"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        for (int look = 0; look < 2; look++) {
            fixture *f = open_fixture(1, 0);

            assert_int_equal(post(f, paths[i])->status, 200);
            if (look) {
                linger(f, 80);
            } else {
                usleep(80000); /* the loop has not seen them when the next order goes out */
            }
            assert_int_equal(post(f, "/ok")->status, 200);
            assert_int_equal(server_saw->posts, 2);
            assert_int_equal(server_saw->connections, 2);
            close_fixture(f);
        }
    }
}

/* ---- nothing sent ---------------------------------------------------------------------------- */

static void test_no_connection_is_not_sent(void **state)
{
    fixture *f = open_fixture(1, 0);
    int port, fd = listen_somewhere(&port);
    char url[64];
    const net_http_answer *answer;

    (void)state;
    close(fd);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", port);
    answer = fetch(f, (net_http_request){.method = "POST", .url = url});
    assert_int_equal(answer->outcome, NET_HTTP_NOT_SENT);
    assert_int_equal(answer->sent_ns, 0);
    answer = fetch(f, (net_http_request){.method = "POST", .url = "http://no.such.host.invalid/"});
    assert_int_equal(answer->outcome, NET_HTTP_NOT_SENT);
    /* a plain server where TLS is spoken: the request never leaves */
    snprintf(url, sizeof(url), "https://127.0.0.1:%d/ok", server_port);
    answer =
        fetch(f, (net_http_request){.method = "POST", .url = url, .timeout_ns = 100 * CLOCK_MS_NS});
    assert_int_equal(answer->outcome, NET_HTTP_NOT_SENT);
    close_fixture(f);
}

static void test_too_late_is_not_sent(void **state)
{
    fixture *f = open_fixture(1, 1);
    net_http_request request = {.method = "POST", .url = url_of("/ok")};

    (void)state;
    /* given a time to send by that has passed when curl is about to write */
    request.send_before_ns = clock_now_ns() - 1;
    assert_int_equal(fetch(f, request)->outcome, NET_HTTP_NOT_SENT);
    assert_int_equal(server_saw->posts, 0);
    /* a time ahead does not matter */
    request.send_before_ns = clock_now_ns() + 60 * CLOCK_SECOND_NS;
    assert_int_equal(fetch(f, request)->outcome, NET_HTTP_ANSWERED);
    close_fixture(f);
}

static void test_deadline_in_the_queue_is_not_sent(void **state)
{
    fixture *f = open_fixture(1, 3);
    net_http_request slow = {
        .method = "POST", .url = url_of("/never"), .timeout_ns = 300 * CLOCK_MS_NS};
    net_http_request quick = {
        .method = "POST", .url = url_of("/ok"), .timeout_ns = 30 * CLOCK_MS_NS};
    net_http_request soon = {.method = "POST", .url = url_of("/ok")};

    (void)state;
    assert_true(send_named(f, slow, 's'));
    assert_true(send_named(f, soon, 'w'));
    assert_true(send_named(f, quick, 'q'));
    soon.send_before_ns = clock_now_ns() + 10 * CLOCK_MS_NS;
    assert_true(send_named(f, soon, 'b'));
    assert_int_equal(net_http_waiting(f->http), 3);
    run_until(f, 1);
    assert_int_equal(f->answer.outcome, NET_HTTP_NOT_SENT);
    run_until(f, 2);
    assert_int_equal(f->answer.outcome, NET_HTTP_NOT_SENT);
    assert_int_equal(net_http_waiting(f->http), 1);
    run_until(f, 4);
    assert_string_equal(f->order, "bqsw");
    assert_int_equal(f->answer.outcome, NET_HTTP_ANSWERED);
    assert_int_equal(server_saw->posts, 2);
    close_fixture(f);
}

static void test_a_full_queue_takes_nothing(void **state)
{
    fixture *f = open_fixture(2, 1);
    net_http_request request = {.method = "GET", .url = url_of("/ok")};

    (void)state;
    assert_true(send_named(f, request, 'a'));
    assert_true(send_named(f, request, 'b'));
    assert_true(send_named(f, request, 'c'));
    assert_int_equal(net_http_busy(f->http), 2);
    assert_int_equal(net_http_waiting(f->http), 1);
    assert_false(send_named(f, request, 'd'));
    run_until(f, 3);
    assert_int_equal(net_http_busy(f->http), 0);
    assert_int_equal(net_http_waiting(f->http), 0);
    assert_true(send_named(f, request, 'e'));
    run_until(f, 4);
    assert_int_equal(f->order[3], 'e');
    close_fixture(f);
}

static void test_malformed_requests_are_refused(void **state)
{
    static const net_http_request cases[] = {
        {.method = "BREW", .url = "http://127.0.0.1/"},
        {.method = NULL, .url = "http://127.0.0.1/"},
        {.method = "GET", .url = NULL},
        {.method = "GET", .url = "ftp://127.0.0.1/"},
        {.method = "GET", .url = "file:///etc/passwd"},
        {.method = "GET", .url = "http://127.0.0.1/a b"},
        {.method = "GET", .url = "http://127.0.0.1/a\r\nX: y"},
        {.method = "GET", .url = "http://127.0.0.1/a#b"},
        {.method = "GET", .url = "http://127.0.0.1/\xc3\xa9"},
        {.method = "GET", .url = "http://127.0.0.1/", .headers = {"no colon"}},
        {.method = "GET", .url = "http://127.0.0.1/", .headers = {"A: b\r\nC: d"}},
        {.method = "GET", .url = "http://127.0.0.1/", .headers = {"A:"}},
        {.method = "POST", .url = "http://127.0.0.1/", .body_length = 3},
        {.method = "POST", .url = "http://127.0.0.1/", .body = "", .body_length = 2 << 20},
        {.method = "POST", .url = "http://127.0.0.1/", .timeout_ns = -1},
    };
    fixture *f = open_fixture(1, 1);
    char *long_url = malloc(NET_HTTP_URL_MAX + 64);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_false(send_named(f, cases[i], 'x'));
    }
    memset(long_url, 'a', NET_HTTP_URL_MAX + 63);
    long_url[NET_HTTP_URL_MAX + 63] = '\0';
    memcpy(long_url, "http://127.0.0.1/", 17);
    assert_false(send_named(f, (net_http_request){.method = "GET", .url = long_url}, 'x'));
    free(long_url);
    close_fixture(f);
}

/* ---- TLS ------------------------------------------------------------------------------------- */

static const net_http_answer *post_tls(fixture *f, const char *host, const char *path)
{
    char url[256];

    snprintf(url, sizeof(url), "https://%s:%d%s", host, tls_port, path);
    return fetch(f, (net_http_request){.method = "POST", .url = url});
}

static void test_orders_over_tls(void **state)
{
    fixture *f = open_with(2, 0, identity.ca_file);

    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(post_tls(f, "localhost", "/ok")->outcome, NET_HTTP_ANSWERED);
    }
    assert_int_equal(server_saw->connections, 1);
    assert_int_equal(post_tls(f, "localhost", "/die-if-reused")->outcome, NET_HTTP_UNCLEAR);
    assert_int_equal(server_saw->posts, 21);
    assert_int_equal(post_tls(f, "127.0.0.1", "/half-body")->outcome, NET_HTTP_UNCLEAR);
    assert_int_equal(post_tls(f, "127.0.0.1", "/no-length")->outcome, NET_HTTP_UNCLEAR);
    assert_int_equal(post_tls(f, "127.0.0.1", "/late-junk")->outcome, NET_HTTP_ANSWERED);
    usleep(80000);
    assert_int_equal(post_tls(f, "127.0.0.1", "/ok")->status, 200);
    close_fixture(f);
}

static void test_an_unverified_peer_is_sent_nothing(void **state)
{
    const char *const ca_files[] = {NULL, "/nonexistent/ca.pem"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        fixture *f = open_with(1, 0, ca_files[i]);

        assert_int_equal(post_tls(f, "localhost", "/ok")->outcome, NET_HTTP_NOT_SENT);
        assert_int_equal(f->answer.sent_ns, 0);
        assert_int_equal(server_saw->requests, 0);
        close_fixture(f);
    }
}

/* ---- order, re-entry, the end ---------------------------------------------------------------- */

static void test_requests_start_in_order(void **state)
{
    fixture *f = open_fixture(1, 26);
    net_http_request request = {.method = "GET", .url = url_of("/ok")};

    (void)state;
    for (char name = 'a'; name <= 'z'; name++) {
        assert_true(send_named(f, request, name));
    }
    run_until(f, 26);
    assert_string_equal(f->order, "abcdefghijklmnopqrstuvwxyz");
    assert_int_equal(server_saw->connections, 1);
    close_fixture(f);
}

typedef struct {
    fixture *fixture;
    int left;
} chain;

static void on_link(void *owner, const net_http_answer *answer)
{
    chain *c = owner;
    net_http_request request = {.method = "POST",
                                .url = url_of("/chunked"),
                                .timeout_ns = CLOCK_SECOND_NS,
                                .done = on_link,
                                .owner = c};

    if (answer != NULL) {
        assert_int_equal(answer->outcome, NET_HTTP_ANSWERED);
    }
    if (c->left-- > 0) {
        assert_true(net_http_send(c->fixture->http, &request));
    } else {
        uv_stop(&c->fixture->loop);
    }
    if (answer != NULL) { /* still ours after the next request went out */
        assert_string_equal(answer->body, "hello");
    }
}

static void test_requests_from_within_a_callback(void **state)
{
    fixture *f = open_fixture(1, 0);
    chain c = {.fixture = f, .left = 10};

    (void)state;
    on_link(&c, NULL);
    while (c.left >= 0) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
    assert_int_equal(server_saw->posts, 10);
    close_fixture(f);
}

static void on_close_engine(void *owner, const net_http_answer *answer)
{
    fixture *f = owner;

    (void)answer;
    net_http_close(f->http);
    uv_stop(&f->loop);
}

static void test_closing_within_a_callback(void **state)
{
    fixture *f = open_fixture(2, 4);
    net_http_request request = {.method = "GET",
                                .url = url_of("/ok"),
                                .timeout_ns = CLOCK_SECOND_NS,
                                .done = on_close_engine,
                                .owner = f};
    net_http_request other = {.method = "GET", .url = url_of("/never")};

    (void)state;
    assert_true(net_http_send(f->http, &request));
    assert_true(send_named(f, other, 'a'));
    assert_true(send_named(f, other, 'b'));
    run_until(f, 2);
    assert_string_equal(f->order, "ba");
    assert_false(send_named(f, other, 'c'));
    close_fixture(f);
}

static void test_closing_ends_everything_once(void **state)
{
    fixture *f = open_fixture(1, 2);
    net_http_request request = {.method = "POST", .url = url_of("/never")};

    (void)state;
    assert_true(send_named(f, request, 'w'));
    while (server_saw->posts == 0) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    assert_true(send_named(f, request, 'q'));
    net_http_close(f->http);
    assert_string_equal(f->order, "qw");
    assert_int_equal(f->answer.outcome, NET_HTTP_UNCLEAR);
    close_fixture(f);
}

static void test_many_at_once(void **state)
{
    enum { ROUNDS = 40, EACH = 50 };
    fixture *f = open_fixture(32, EACH);
    net_http_request request = {.method = "POST", .url = url_of("/ok")};

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        f->ended = 0;
        for (int i = 0; i < EACH; i++) {
            assert_true(send_named(f, request, 'x'));
        }
        run_until(f, EACH);
        assert_int_equal(f->answer.outcome, NET_HTTP_ANSWERED);
    }
    assert_int_equal(server_saw->posts, ROUNDS * EACH);
    assert_true(server_saw->connections <= 32);
    close_fixture(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_answer),
        cmocka_unit_test(test_connections_are_reused),
        cmocka_unit_test(test_bytes_go_out_as_given),
        cmocka_unit_test(test_urls_without_a_path),
        cmocka_unit_test(test_methods_and_their_bodies),
        cmocka_unit_test(test_errors_with_a_status_are_answers),
        cmocka_unit_test(test_limits_are_read_from_headers),
        cmocka_unit_test(test_no_whole_answer_is_unclear),
        cmocka_unit_test(test_too_large_an_answer_is_unclear),
        cmocka_unit_test(test_no_answer_in_time_is_unclear),
        cmocka_unit_test(test_an_order_is_never_sent_twice),
        cmocka_unit_test(test_deletes_and_puts_are_never_sent_twice),
        cmocka_unit_test(test_a_read_may_be_sent_again),
        cmocka_unit_test(test_a_connection_closed_while_idle_is_not_used),
        cmocka_unit_test(test_an_answer_before_a_reset_counts),
        cmocka_unit_test(test_bytes_out_of_turn_are_nobodys_answer),
        cmocka_unit_test(test_no_connection_is_not_sent),
        cmocka_unit_test(test_too_late_is_not_sent),
        cmocka_unit_test(test_deadline_in_the_queue_is_not_sent),
        cmocka_unit_test(test_a_full_queue_takes_nothing),
        cmocka_unit_test(test_malformed_requests_are_refused),
        cmocka_unit_test(test_orders_over_tls),
        cmocka_unit_test(test_an_unverified_peer_is_sent_nothing),
        cmocka_unit_test(test_requests_start_in_order),
        cmocka_unit_test(test_requests_from_within_a_callback),
        cmocka_unit_test(test_closing_within_a_callback),
        cmocka_unit_test(test_closing_ends_everything_once),
        cmocka_unit_test(test_many_at_once),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
