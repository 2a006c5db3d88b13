/*
 * The HTTP engine: bytes as given, whole answers, the queue, deadlines, and the end. What happens
 * to an order whose answer does not come: test_net_http_once.c.
 */
#include "tests/unit/net_http_client.h"

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
        cmocka_unit_test(test_no_connection_is_not_sent),
        cmocka_unit_test(test_too_late_is_not_sent),
        cmocka_unit_test(test_deadline_in_the_queue_is_not_sent),
        cmocka_unit_test(test_a_full_queue_takes_nothing),
        cmocka_unit_test(test_malformed_requests_are_refused),
        cmocka_unit_test(test_requests_start_in_order),
        cmocka_unit_test(test_requests_from_within_a_callback),
        cmocka_unit_test(test_closing_within_a_callback),
        cmocka_unit_test(test_closing_ends_everything_once),
        cmocka_unit_test(test_many_at_once),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
