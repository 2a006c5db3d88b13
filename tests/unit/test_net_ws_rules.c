/*
 * The websocket client with a server that breaks the rules, or is not there, or is not who it says.
 */
#include "tests/unit/net_ws_client.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broken_frames_end_the_connection),
        cmocka_unit_test(test_broken_handshakes_never_open),
        cmocka_unit_test(test_request_as_asked),
        cmocka_unit_test(test_failures_before_the_handshake),
        cmocka_unit_test(test_closing_before_it_opened),
        cmocka_unit_test(test_certificates_are_verified),
        cmocka_unit_test(test_malformed_urls_and_headers_are_refused),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
