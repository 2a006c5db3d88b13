/*
 * An order is never sent twice, and an answer is whole or none: the HTTP engine against a server
 * that cuts, garbles, resets, or speaks out of turn.
 */
#include "tests/unit/net_http_client.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_whole_answer_is_unclear),
        cmocka_unit_test(test_too_large_an_answer_is_unclear),
        cmocka_unit_test(test_no_answer_in_time_is_unclear),
        cmocka_unit_test(test_an_order_is_never_sent_twice),
        cmocka_unit_test(test_deletes_and_puts_are_never_sent_twice),
        cmocka_unit_test(test_a_read_may_be_sent_again),
        cmocka_unit_test(test_a_connection_closed_while_idle_is_not_used),
        cmocka_unit_test(test_an_answer_before_a_reset_counts),
        cmocka_unit_test(test_bytes_out_of_turn_are_nobodys_answer),
        cmocka_unit_test(test_orders_over_tls),
        cmocka_unit_test(test_an_unverified_peer_is_sent_nothing),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
