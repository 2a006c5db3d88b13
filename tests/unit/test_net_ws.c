/*
 * The websocket client with a server that keeps the rules: messages of every size and in any
 * pieces, control frames, the end, and the bound on what is unsent.
 */
#include "tests/unit/net_ws_client.h"

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
        cmocka_unit_test(test_unsent_bytes_are_bounded),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
