/*
 * The channel: what goes over the wire comes back the same; hostile bytes give nothing that lies
 * outside the message; the signer signs nothing beyond the allow-list; the asking side ends every
 * request once, also across a signer that dies and comes back.
 */
#include "workerd/net/net_sign.h"
#include "workerd/sign/sign_answer.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define REF "0d3c5b3e-7a44-4e2f-9a51-6a3a7a6f0b11"
#define ORDER                                                                                      \
    "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01&newClientOrderId=wabc01&recvWindow=3000&"   \
    "timestamp=1732000000000"

static uint8_t master_key[CRYPTO_KEY_SIZE], seal_public[CRYPTO_KEY_SIZE],
    seal_private[CRYPTO_KEY_SIZE];
static char stored[NET_SIGN_SECRET_MAX];
static sign_vault *vault;

static net_sign_request order_request(void)
{
    return (net_sign_request){.id = 42,
                              .op = NET_SIGN_SIGN,
                              .user_id = 7,
                              .ref = REF,
                              .secret = stored,
                              .venue = "binance",
                              .market = VENUE_USDM,
                              .scheme = VENUE_HMAC_SHA256_HEX,
                              .method = "POST",
                              .path = "/fapi/v1/order",
                              .text = ORDER,
                              .text_length = strlen(ORDER)};
}

static net_sign_answer answer_to(const net_sign_request *request, sign_room *room)
{
    net_sign_answer answer;

    sign_answer_one(vault, request, room, &answer);
    return answer;
}

/* ---- the wire ----------------------------------------------------------------------------------
 */

static void given_a_batch_when_read_then_it_is_what_was_written(void **state)
{
    static uint8_t data[NET_SIGN_MESSAGE_MAX];
    net_sign_message message;
    net_sign_request request = order_request(), got;
    size_t offset = 0;
    bool malformed;

    (void)state;
    net_sign_begin(&message, data, sizeof(data));
    for (uint64_t i = 0; i < 5; i++) {
        request.id = 1000 + i;
        request.user_id = -(int64_t)i;
        assert_true(net_sign_put_request(&message, &request));
    }
    for (uint64_t i = 0; i < 5; i++) {
        assert_true(net_sign_get_request(data, message.length, &offset, &got, &malformed));
        assert_int_equal(got.id, 1000 + i);
        assert_int_equal(got.user_id, -(int64_t)i);
        assert_string_equal(got.ref, REF);
        assert_string_equal(got.secret, stored);
        assert_string_equal(got.venue, "binance");
        assert_string_equal(got.method, "POST");
        assert_string_equal(got.path, "/fapi/v1/order");
        assert_int_equal(got.text_length, strlen(ORDER));
        assert_memory_equal(got.text, ORDER, strlen(ORDER));
    }
    assert_false(net_sign_get_request(data, message.length, &offset, &got, &malformed));
    assert_false(malformed);
}

static void given_an_answer_when_read_then_it_is_what_was_written(void **state)
{
    static uint8_t data[NET_SIGN_MESSAGE_MAX];
    net_sign_message message;
    net_sign_answer answer = {.id = 9,
                              .status = NET_SIGN_OK,
                              .key_id = 3,
                              .api_key = "k",
                              .passphrase = "",
                              .signature = "abc",
                              .secret = NULL},
                    got;
    size_t offset = 0;
    bool malformed;

    (void)state;
    net_sign_begin(&message, data, sizeof(data));
    assert_true(net_sign_put_answer(&message, &answer));
    assert_true(net_sign_get_answer(data, message.length, &offset, &got, &malformed));
    assert_int_equal(got.id, 9);
    assert_int_equal(got.key_id, 3);
    assert_string_equal(got.api_key, "k");
    assert_string_equal(got.signature, "abc");
    assert_string_equal(got.secret, "");
}

static void given_texts_beyond_their_limits_when_written_then_the_message_is_as_it_was(void **state)
{
    static uint8_t data[NET_SIGN_MESSAGE_MAX];
    char longer[NET_SIGN_SECRET_MAX + 8];
    net_sign_message message;
    net_sign_request request = order_request();
    size_t before, count = 0;

    (void)state;
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    net_sign_begin(&message, data, sizeof(data));
    before = message.length;
    request.secret = longer;
    assert_false(net_sign_put_request(&message, &request));
    assert_int_equal(message.length, before);
    request = order_request();
    request.path = longer;
    assert_false(net_sign_put_request(&message, &request));
    request = order_request();
    request.text_length = VENUE_SIGN_TEXT_MAX + 1;
    assert_false(net_sign_put_request(&message, &request));
    assert_int_equal(message.count, 0);
    request = order_request();
    while (net_sign_put_request(&message, &request)) {
        count++;
    }
    assert_true(count > NET_SIGN_BATCH_MAX);
    assert_int_equal(message.count, count);
    assert_true(message.length <= sizeof(data));
}

/* Reads everything that a decoded request points to; ASan sees any byte outside. */
static size_t touch(const uint8_t *data, size_t length)
{
    net_sign_request request;
    net_sign_answer answer;
    size_t offset = 0, sum = 0;
    bool malformed;

    while (net_sign_get_request(data, length, &offset, &request, &malformed)) {
        sum += strlen(request.ref) + strlen(request.secret) + strlen(request.venue) +
               strlen(request.method) + strlen(request.path) + request.text_length +
               request.sealed_length;
        for (size_t i = 0; i < request.text_length; i++) {
            sum += (unsigned char)request.text[i];
        }
    }
    offset = 0;
    while (net_sign_get_answer(data, length, &offset, &answer, &malformed)) {
        sum += strlen(answer.api_key) + strlen(answer.passphrase) + strlen(answer.signature) +
               strlen(answer.secret);
    }
    return sum;
}

static void given_hostile_bytes_when_read_then_nothing_outside_the_message_is_touched(void **state)
{
    static uint8_t data[8192], out[NET_SIGN_MESSAGE_MAX];
    net_sign_message message;
    net_sign_request request = order_request();
    uint64_t seed = 7;
    size_t length;

    (void)state;
    net_sign_begin(&message, data, sizeof(data));
    assert_true(net_sign_put_request(&message, &request));
    assert_true(net_sign_put_request(&message, &request));
    length = message.length;
    for (size_t cut = 0; cut <= length; cut++) { /* exact-size copies: a read beyond is seen */
        uint8_t *copy = malloc(cut > 0 ? cut : 1);

        memcpy(copy, data, cut);
        touch(copy, cut);
        assert_true(sign_answer_message(vault, NULL, copy, cut, out) <= NET_SIGN_MESSAGE_MAX);
        free(copy);
    }
    for (int i = 0; i < 50000; i++) {
        uint8_t *copy = malloc(length);

        memcpy(copy, data, length);
        for (int flips = 0; flips < 4; flips++) {
            seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
            copy[(seed >> 33) % length] = (uint8_t)(seed >> 24);
        }
        touch(copy, length);
        sign_answer_message(vault, NULL, copy, length, out);
        free(copy);
    }
}

/* ---- what is signed ----------------------------------------------------------------------------
 */

static void given_an_order_when_signed_then_it_is_the_accounts_hmac(void **state)
{
    net_sign_request request = order_request();
    sign_room room;
    net_sign_answer answer = answer_to(&request, &room);
    uint8_t digest[CRYPTO_SHA256_SIZE];
    char wanted[2 * CRYPTO_SHA256_SIZE + 1];

    (void)state;
    assert_int_equal(answer.status, NET_SIGN_OK);
    assert_string_equal(answer.api_key, "key-1");
    assert_true(crypto_hmac("s3cret", 6, ORDER, strlen(ORDER), digest));
    crypto_hex(digest, sizeof(digest), wanted);
    assert_string_equal(answer.signature, wanted);
    assert_string_equal(answer.secret, "");
    request.scheme = VENUE_HMAC_SHA256_BASE64;
    answer = answer_to(&request, &room);
    crypto_base64(digest, sizeof(digest), wanted);
    assert_string_equal(answer.signature, wanted);
}

typedef struct {
    const char *name, *method, *path, *text, *venue;
    enum venue_scheme scheme;
    int64_t user_id;
    enum net_sign_status status;
} refusal_row;

/* clang-format off */
static const refusal_row refusal_rows[] = {
    {"a withdrawal", "POST", "/sapi/v1/capital/withdraw/apply", "coin=USDT&amount=1&address=x&timestamp=1", "binance", VENUE_HMAC_SHA256_HEX, 7, NET_SIGN_REFUSED},
    {"a withdrawal's parameters under an order's path", "POST", "/fapi/v1/order", "coin=USDT&amount=1&address=x&timestamp=1", "binance", VENUE_HMAC_SHA256_HEX, 7, NET_SIGN_REFUSED},
    {"a transfer", "POST", "/sapi/v1/asset/transfer", "type=UMFUTURE_MAIN&asset=USDT&amount=1&timestamp=1", "binance", VENUE_HMAC_SHA256_HEX, 7, NET_SIGN_REFUSED},
    {"an order with the wrong method", "DELETE", "/fapi/v1/leverage", ORDER, "binance", VENUE_HMAC_SHA256_HEX, 7, NET_SIGN_REFUSED},
    {"an order with one more parameter", "POST", "/fapi/v1/order", ORDER "&address=x", "binance", VENUE_HMAC_SHA256_HEX, 7, NET_SIGN_REFUSED},
    {"nothing at all", "POST", "/fapi/v1/order", "", "binance", VENUE_HMAC_SHA256_HEX, 7, NET_SIGN_REFUSED},
    {"no such venue", "POST", "/fapi/v1/order", ORDER, "nobody", VENUE_HMAC_SHA256_HEX, 7, NET_SIGN_UNSUPPORTED},
    {"a scheme that is not signed here", "POST", "/fapi/v1/order", ORDER, "binance", VENUE_EIP712, 7, NET_SIGN_UNSUPPORTED},
    {"an unsigned request", "POST", "/fapi/v1/order", ORDER, "binance", VENUE_UNSIGNED, 7, NET_SIGN_UNSUPPORTED},
    {"another user's secret", "POST", "/fapi/v1/order", ORDER, "binance", VENUE_HMAC_SHA256_HEX, 8, NET_SIGN_UNREADABLE},
};
/* clang-format on */

static void given_what_is_not_trading_when_asked_then_nothing_is_signed_or_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refusal_rows) / sizeof(refusal_rows[0]); i++) {
        const refusal_row *row = &refusal_rows[i];
        net_sign_request request = order_request();
        net_sign_answer answer;
        sign_room room;

        request.method = row->method;
        request.path = row->path;
        request.text = row->text;
        request.text_length = strlen(row->text);
        request.venue = row->venue;
        request.scheme = row->scheme;
        request.user_id = row->user_id;
        answer = answer_to(&request, &room);
        if (answer.status != row->status) {
            fail_msg("%s: %s", row->name, net_sign_status_name(answer.status));
        }
        assert_string_equal(answer.signature, "");
        assert_string_equal(answer.api_key, "");
        assert_string_equal(answer.passphrase, "");
        assert_string_equal(answer.secret, "");
    }
}

static void given_a_request_with_only_a_key_when_asked_then_only_the_key_is_told(void **state)
{
    net_sign_request request = order_request();
    sign_room room;
    net_sign_answer answer;

    (void)state;
    request.scheme = VENUE_KEY_ONLY;
    request.path = "/fapi/v1/listenKey";
    request.text_length = 0;
    answer = answer_to(&request, &room);
    assert_int_equal(answer.status, NET_SIGN_OK);
    assert_string_equal(answer.api_key, "key-1");
    assert_string_equal(answer.signature, "");
}

static void given_a_rewrap_when_answered_then_no_plaintext_is_in_the_message(void **state)
{
    static uint8_t in[NET_SIGN_MESSAGE_MAX], out[NET_SIGN_MESSAGE_MAX];
    static const char plain[] = "{\"api_key\":\"key-PLAIN\",\"secret\":\"secret-PLAIN\"}";
    uint8_t sealed[512];
    char aad[128];
    net_sign_message message;
    net_sign_answer answer;
    size_t offset = 0, length;
    bool malformed;

    (void)state;
    snprintf(aad, sizeof(aad), "7|%s|credentials", REF);
    assert_true(crypto_seal(seal_public, aad, strlen(aad), plain, strlen(plain), sealed));
    net_sign_begin(&message, in, sizeof(in));
    assert_true(net_sign_put_request(
        &message, &(net_sign_request){.id = 5,
                                      .op = NET_SIGN_REWRAP,
                                      .user_id = 7,
                                      .ref = REF,
                                      .sealed = sealed,
                                      .sealed_length = strlen(plain) + CRYPTO_SEAL_OVERHEAD}));
    length = sign_answer_message(vault, NULL, in, message.length, out);
    assert_true(length > 0);
    assert_null(memmem(out, length, "PLAIN", 5));
    assert_true(net_sign_get_answer(out, length, &offset, &answer, &malformed));
    assert_int_equal(answer.status, NET_SIGN_OK);
    assert_int_equal(answer.key_id, SIGN_KEY_ID);
    assert_true(strlen(answer.secret) > 0);
}

/* ---- the asking side ---------------------------------------------------------------------------
 */

typedef struct {
    unsigned answered, ok, unavailable;
    char last[NET_SIGN_VALUE_MAX];
} tally;

static void count_answer(void *owner, const net_sign_answer *answer)
{
    tally *counts = owner;

    counts->answered++;
    counts->ok += answer->status == NET_SIGN_OK;
    counts->unavailable += answer->status == NET_SIGN_UNAVAILABLE;
    snprintf(counts->last, sizeof(counts->last), "%s", answer->signature);
}

static void count_lost(void *owner)
{
    ++*(unsigned *)owner;
}

static void stop_loop(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void run_for(uv_loop_t *loop, uint64_t ms)
{
    uv_timer_t timer;

    uv_timer_init(loop, &timer);
    uv_timer_start(&timer, stop_loop, ms, 0);
    uv_run(loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(loop, UV_RUN_NOWAIT);
}

/* What the signer does, without its process: answers what stands on the socket. */
static unsigned serve(int fd)
{
    static uint8_t in[NET_SIGN_MESSAGE_MAX], out[NET_SIGN_MESSAGE_MAX];
    unsigned messages = 0;
    ssize_t got;

    while ((got = recv(fd, in, sizeof(in), MSG_DONTWAIT)) > 0) {
        size_t length = sign_answer_message(vault, NULL, in, (size_t)got, out);

        messages++;
        assert_int_equal(send(fd, out, length, 0), (ssize_t)length);
    }
    return messages;
}

static void
given_many_requests_when_asked_in_one_turn_then_they_go_in_batches_and_all_end(void **state)
{
    enum { REQUESTS = 300 };
    uv_loop_t loop;
    int ends[2];
    unsigned lost = 0;
    tally counts = {0};
    net_sign_request request = order_request();
    net_sign *sign;

    (void)state;
    uv_loop_init(&loop);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    sign = net_sign_new(&loop, ends[0], count_lost, &lost);
    assert_non_null(sign);
    for (int i = 0; i < REQUESTS; i++) {
        assert_true(net_sign_ask(sign, &request, count_answer, &counts));
    }
    run_for(&loop, 20);
    assert_int_equal(serve(ends[1]), (REQUESTS + NET_SIGN_BATCH_MAX - 1) / NET_SIGN_BATCH_MAX);
    run_for(&loop, 20);
    assert_int_equal(counts.ok, REQUESTS);
    assert_int_equal(net_sign_under_way(sign), 0);
    net_sign_close(sign);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    close(ends[1]);
    assert_int_equal(lost, 0);
}

static void
given_a_signer_that_died_over_a_batch_when_it_is_back_then_it_is_asked_again(void **state)
{
    static uint8_t swallowed[NET_SIGN_MESSAGE_MAX];
    uv_loop_t loop;
    int ends[2];
    tally counts = {0};
    net_sign_request request = order_request();
    net_sign *sign;

    (void)state;
    uv_loop_init(&loop);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    sign = net_sign_new(&loop, ends[0], NULL, NULL);
    assert_true(net_sign_ask(sign, &request, count_answer, &counts));
    run_for(&loop, 20);
    assert_true(recv(ends[1], swallowed, sizeof(swallowed), MSG_DONTWAIT) > 0);
    run_for(&loop, NET_SIGN_RETRY_NS / 1000000 + 300);
    assert_int_equal(counts.answered, 0);
    assert_int_equal(serve(ends[1]), 1); /* the same again */
    run_for(&loop, 20);
    assert_int_equal(counts.ok, 1);
    net_sign_close(sign);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    close(ends[1]);
}

static void given_an_answer_given_twice_when_read_then_the_second_is_dropped(void **state)
{
    static uint8_t in[NET_SIGN_MESSAGE_MAX], out[NET_SIGN_MESSAGE_MAX];
    uv_loop_t loop;
    int ends[2];
    tally counts = {0};
    net_sign_request request = order_request();
    net_sign *sign;
    ssize_t got;
    size_t length;

    (void)state;
    uv_loop_init(&loop);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    sign = net_sign_new(&loop, ends[0], NULL, NULL);
    assert_true(net_sign_ask(sign, &request, count_answer, &counts));
    run_for(&loop, 20);
    got = recv(ends[1], in, sizeof(in), MSG_DONTWAIT);
    assert_true(got > 0);
    length = sign_answer_message(vault, NULL, in, (size_t)got, out);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send(ends[1], out, length, 0), (ssize_t)length);
    }
    assert_int_equal(send(ends[1], "WSG1garbage", 11, 0), 11);
    assert_int_equal(send(ends[1], "x", 1, 0), 1);
    run_for(&loop, 30);
    assert_int_equal(counts.answered, 1);
    assert_true(net_sign_ask(sign, &request, count_answer, &counts)); /* the slot, anew */
    run_for(&loop, 20);
    assert_int_equal(send(ends[1], out, length, 0), (ssize_t)length); /* an old id */
    run_for(&loop, 20);
    assert_int_equal(counts.answered, 1);
    assert_int_equal(serve(ends[1]), 1);
    run_for(&loop, 20);
    assert_int_equal(counts.ok, 2);
    net_sign_close(sign);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    close(ends[1]);
}

static void given_a_channel_that_breaks_when_asked_then_every_request_ends_unavailable(void **state)
{
    uv_loop_t loop;
    int ends[2];
    unsigned lost = 0;
    tally counts = {0};
    net_sign_request request = order_request();
    net_sign *sign;

    (void)state;
    uv_loop_init(&loop);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    sign = net_sign_new(&loop, ends[0], count_lost, &lost);
    for (int i = 0; i < 10; i++) {
        assert_true(net_sign_ask(sign, &request, count_answer, &counts));
    }
    close(ends[1]);
    run_for(&loop, 50);
    assert_int_equal(counts.unavailable, 10);
    assert_int_equal(lost, 1);
    assert_false(net_sign_ask(sign, &request, count_answer, &counts));
    net_sign_close(sign);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}

static void given_too_many_requests_when_asked_then_the_rest_is_refused(void **state)
{
    uv_loop_t loop;
    int ends[2];
    tally counts = {0};
    net_sign_request request = order_request();
    net_sign *sign;

    (void)state;
    uv_loop_init(&loop);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    sign = net_sign_new(&loop, ends[0], NULL, NULL);
    for (int i = 0; i < NET_SIGN_PENDING_MAX; i++) {
        assert_true(net_sign_ask(sign, &request, count_answer, &counts));
    }
    assert_false(net_sign_ask(sign, &request, count_answer, &counts));
    for (int i = 0; i < 200 && counts.ok < NET_SIGN_PENDING_MAX; i++) {
        run_for(&loop, 2);
        serve(ends[1]);
    }
    assert_int_equal(counts.ok, NET_SIGN_PENDING_MAX);
    net_sign_close(sign);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    close(ends[1]);
}

static int start(void **state)
{
    static const char plain[] = "{\"api_key\":\"key-1\",\"secret\":\"s3cret\"}";
    uint8_t sealed[512];
    char aad[128];

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    if (!crypto_start() || !crypto_random(master_key, sizeof(master_key)) ||
        !crypto_keypair(seal_public, seal_private)) {
        return -1;
    }
    vault = sign_vault_new(master_key, seal_private, 64);
    snprintf(aad, sizeof(aad), "7|%s|credentials", REF);
    return vault != NULL &&
                   crypto_seal(seal_public, aad, strlen(aad), plain, strlen(plain), sealed) &&
                   sign_vault_rewrap(vault, 7, REF, sealed, strlen(plain) + CRYPTO_SEAL_OVERHEAD,
                                     stored, sizeof(stored))
               ? 0
               : -1;
}

static int end(void **state)
{
    (void)state;
    sign_vault_free(vault);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(given_a_batch_when_read_then_it_is_what_was_written),
        cmocka_unit_test(given_an_answer_when_read_then_it_is_what_was_written),
        cmocka_unit_test(
            given_texts_beyond_their_limits_when_written_then_the_message_is_as_it_was),
        cmocka_unit_test(given_hostile_bytes_when_read_then_nothing_outside_the_message_is_touched),
        cmocka_unit_test(given_an_order_when_signed_then_it_is_the_accounts_hmac),
        cmocka_unit_test(given_what_is_not_trading_when_asked_then_nothing_is_signed_or_told),
        cmocka_unit_test(given_a_request_with_only_a_key_when_asked_then_only_the_key_is_told),
        cmocka_unit_test(given_a_rewrap_when_answered_then_no_plaintext_is_in_the_message),
        cmocka_unit_test(
            given_many_requests_when_asked_in_one_turn_then_they_go_in_batches_and_all_end),
        cmocka_unit_test(
            given_a_signer_that_died_over_a_batch_when_it_is_back_then_it_is_asked_again),
        cmocka_unit_test(given_an_answer_given_twice_when_read_then_the_second_is_dropped),
        cmocka_unit_test(
            given_a_channel_that_breaks_when_asked_then_every_request_ends_unavailable),
        cmocka_unit_test(given_too_many_requests_when_asked_then_the_rest_is_refused),
    };

    return cmocka_run_group_tests(tests, start, end);
}
