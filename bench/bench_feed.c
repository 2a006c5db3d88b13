/*
 * How many frames a second one core takes in over a websocket, tick included: recorded best bid/ask
 * frames from a server in another process, over the loopback, through the role's own client
 * (workerd/net/net_ws.h) into prices in the segment. Baseline: the same client with the tick left
 * out.
 *
 *   bench feed <frames> frames/s baseline <frames> ratio <ours / baseline>
 *   bench feed_tls ...      TLS, a record for each frame
 *
 * "A second" is a second of this process's CPU, kernel included, so that the server, which needs
 * the other core, does not count.
 */
#include "tests/unit/feed_frames.h"
#include "tests/unit/feed_server.h"
#include "tests/unit/net_tls.h"
#include "workerd/feed/feed_tick.h"
#include "workerd/net/net_ws.h"

#include "core/clock.h"
#include "core/crypto.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define ROUNDS 3
#define PLAIN_PASSES 700 /* over all frames */
#define TLS_PASSES 200
#define WARM_PASSES 10 /* not measured */
#define RECORDS_FLUSH (128 * 1024)

static feed_frames frames; /* as the venue sends them on an address of their own: not combined */
static feed_table table;
static shm_segment *segment;
static char path[64];

/* ---- the server, a child ----------------------------------------------------------------------
 */

static bool write_all(int client, const void *data, size_t length)
{
    const char *at = data;

    while (length > 0) {
        const ssize_t sent = send(client, at, length, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        at += sent;
        length -= (size_t)sent;
    }
    return true;
}

static const unsigned char close_frame[] = {0x88, 2, 0x03, 0xe8}; /* 1000 */

static void serve_plain(int client, const unsigned char *bytes, size_t length)
{
    char target[128];

    if (!server_handshake(client, target, 5000)) {
        return;
    }
    for (int pass = 0; pass < PLAIN_PASSES; pass++) {
        if (!write_all(client, bytes, length)) {
            return;
        }
    }
    write_all(client, close_frame, sizeof(close_frame));
}

static bool tls_handshake(SSL *ssl)
{
    char request[4096], answer[256];
    const int got = SSL_read(ssl, request, sizeof(request) - 1);
    char *key;

    if (got <= 0) {
        return false;
    }
    request[got] = '\0';
    key = strcasestr(request, "sec-websocket-key:");
    if (key == NULL) {
        return false;
    }
    key += strlen("sec-websocket-key:");
    key += strspn(key, " ");
    server_answer(key, strcspn(key, "\r\n"), answer);
    return SSL_write(ssl, answer, (int)strlen(answer)) > 0;
}

/* Records gather in memory, so that the server is no slower than the client. */
static bool flush_records(int client, BIO *records, size_t least)
{
    char *data;
    const long length = BIO_get_mem_data(records, &data);

    if ((size_t)length < least) {
        return true;
    }
    const bool sent = write_all(client, data, (size_t)length);
    (void)BIO_reset(records);
    return sent;
}

static void serve_tls(int client, const net_tls_identity *identity, const unsigned char *bytes,
                      const size_t *ends)
{
    SSL *ssl = net_tls_accept(identity, client);
    BIO *records;

    if (ssl == NULL || !tls_handshake(ssl)) {
        SSL_free(ssl);
        return;
    }
    records = BIO_new(BIO_s_mem());
    SSL_set0_wbio(ssl, records);
    for (int pass = 0; pass < TLS_PASSES; pass++) {
        size_t start = 0;
        for (size_t i = 0; i < frames.count; i++) {
            if (SSL_write(ssl, bytes + start, (int)(ends[i] - start)) <= 0 ||
                !flush_records(client, records, RECORDS_FLUSH)) {
                SSL_free(ssl);
                return;
            }
            start = ends[i];
        }
    }
    SSL_write(ssl, close_frame, sizeof(close_frame));
    flush_records(client, records, 0);
    SSL_free(ssl);
}

static void serve(int listener, const net_tls_identity *identity)
{
    static size_t ends[FRAMES_MAX];
    unsigned char *bytes = malloc(frames.count * 512);
    size_t length = 0;

    for (size_t i = 0; i < frames.count; i++) {
        length += server_frame(frames.text[i], frames.length[i], bytes + length);
        ends[i] = length;
    }
    for (;;) {
        const int client = server_accept(listener, -1);

        if (identity == NULL) {
            serve_plain(client, bytes, length);
        } else {
            serve_tls(client, identity, bytes, ends);
        }
        /* the client's own closing frame first: closing with data unread would reset */
        shutdown(client, SHUT_WR);
        for (char rest[64]; server_read(client, rest, 1, 3000);) {
        }
        close(client);
    }
}

/* ---- the client --------------------------------------------------------------------------------
 */

struct client {
    struct feed_source source;
    venue_event event;
    bool with_tick, opened;
    uint64_t count, published;
    uint64_t start_at; /* count from which on it is measured */
    int64_t now_ns, cpu_start_ns, cpu_end_ns;
};

static int64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * CLOCK_SECOND_NS + now.tv_nsec;
}

static void on_opened(void *owner)
{
    ((struct client *)owner)->opened = true;
}

static void on_message(void *owner, const char *data, size_t length, bool text)
{
    struct client *client = owner;

    (void)text;
    if (client->count == client->start_at) {
        client->cpu_start_ns = cpu_ns();
    }
    if (client->with_tick) {
        /* as the role does: a look at the clock for what arrived together, 32 at most */
        if (client->now_ns == 0 || client->count % 32 == 0) {
            client->now_ns = clock_now_ns();
        }
        if (client->count % frames.count == 0) {
            for (uint32_t i = 0; i < table.count; i++) {
                table.instruments[i].best = (struct feed_guard){0, 0}; /* the ids begin again */
            }
        }
        client->published += feed_tick(&client->source, data, length, client->now_ns,
                                       &client->event) == FEED_PUBLISHED;
    }
    client->count++;
}

static void on_closed(void *owner, const char *reason)
{
    struct client *client = owner;

    client->cpu_end_ns = cpu_ns();
    if (!client->opened) {
        fprintf(stderr, "not connected: %s\n", reason);
        exit(1);
    }
}

static void on_before_wait(uv_prepare_t *prepare)
{
    ((struct client *)prepare->data)->now_ns = 0;
}

/* Frames a second of CPU. */
static double measure(const char *url, const char *ca_file, bool with_tick, int passes)
{
    static const net_ws_events events = {
        .opened = on_opened, .message = on_message, .closed = on_closed};
    const net_ws_options options = {
        .url = url, .ca_file = ca_file, .connect_timeout_ns = 5 * CLOCK_SECOND_NS};
    static struct client client;
    uv_prepare_t before_wait;
    uv_loop_t loop;

    memset(&client, 0, sizeof(client));
    client.source =
        (struct feed_source){.segment = segment, .table = &table, .scan = binance_tick_scan};
    client.with_tick = with_tick;
    client.start_at = WARM_PASSES * frames.count;
    uv_loop_init(&loop);
    uv_prepare_init(&loop, &before_wait);
    before_wait.data = &client;
    uv_prepare_start(&before_wait, on_before_wait);
    uv_unref((uv_handle_t *)&before_wait);
    if (net_ws_open(&loop, &options, &events, &client) == NULL) {
        exit(1);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&before_wait, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);

    const uint64_t expected = (uint64_t)passes * frames.count;
    if (client.count != expected || (with_tick && client.published != expected)) {
        fprintf(stderr, "%llu of %llu frames, %llu published\n", (unsigned long long)client.count,
                (unsigned long long)expected, (unsigned long long)client.published);
        exit(1);
    }
    return (double)(client.count - client.start_at) * 1e9 /
           (double)(client.cpu_end_ns - client.cpu_start_ns);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* ---- putting it together ------------------------------------------------------------------------
 */

/* {"stream":"…","data":{…}} -> {…} */
static void unwrap_frames(void)
{
    static const char data[] = "\"data\":";

    for (size_t i = 0; i < frames.count; i++) {
        char *start = memmem(frames.text[i], frames.length[i], data, strlen(data));

        if (start == NULL) {
            exit(1);
        }
        start += strlen(data);
        frames.length[i] -= (size_t)(start - frames.text[i]) + 1;
        memmove(frames.text[i], start, frames.length[i]);
    }
}

static bool prepare(void)
{
    static const char *const symbols[] = {"BTCUSDT", "ETHUSDT"};
    const shm_options options = {.instruments = 4096,
                                 .users = 16,
                                 .positions = 16,
                                 .signals = 16,
                                 .mode = 0640,
                                 .group = -1};
    char error[256] = "";

    frames_load(&frames, "binance-usdm-btcusdt.jsonl.gz", "bookTicker");
    frames_load(&frames, "binance-usdm-ethusdt.jsonl.gz", "bookTicker");
    unwrap_frames();
    snprintf(path, sizeof(path), "/dev/shm/whale-bench-feed-%ld", (long)getpid());
    if (!shm_create(path, &options, error, sizeof(error)) ||
        (segment = shm_open_writer(path, error, sizeof(error))) == NULL ||
        !feed_table_init(&table, 4096)) {
        fprintf(stderr, "%s\n", error);
        return false;
    }
    for (int i = 0; i < 2; i++) {
        char key[64];
        uint32_t slot, position;

        snprintf(key, sizeof(key), "binance:usdm:%s", symbols[i]);
        if (!shm_price_claim(segment, key, strlen(key), &slot) ||
            !feed_table_add(&table, symbols[i], strlen(symbols[i]), slot, &position)) {
            return false;
        }
    }
    return true;
}

static void bench(const char *name, const net_tls_identity *identity, int passes)
{
    double ours[ROUNDS], baseline[ROUNDS];
    char url[64];
    uint16_t port;
    const int listener = server_listen(&port);
    const pid_t server = fork();

    if (server == 0) {
        serve(listener, identity);
        _exit(0);
    }
    close(listener);
    snprintf(url, sizeof(url), "%s://127.0.0.1:%u/", identity == NULL ? "ws" : "wss", port);
    /* in turns, so that a disturbance meets both; medians */
    for (int round = 0; round < ROUNDS; round++) {
        const char *ca_file = identity == NULL ? NULL : identity->ca_file;
        ours[round] = measure(url, ca_file, true, passes);
        baseline[round] = measure(url, ca_file, false, passes);
    }
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    qsort(ours, ROUNDS, sizeof(ours[0]), by_size);
    qsort(baseline, ROUNDS, sizeof(baseline[0]), by_size);
    printf("bench %s %.0f frames/s baseline %.0f ratio %.2f\n", name, ours[ROUNDS / 2],
           baseline[ROUNDS / 2], ours[ROUNDS / 2] / baseline[ROUNDS / 2]);
    fflush(stdout);
}

int main(void)
{
    net_tls_identity identity;

    signal(SIGPIPE, SIG_IGN);
    if (!crypto_start() || !prepare()) {
        return 1;
    }
    net_tls_identity_make(&identity, "DNS:localhost,IP:127.0.0.1");
    bench("feed", NULL, PLAIN_PASSES);
    bench("feed_tls", &identity, TLS_PASSES);
    net_tls_identity_drop(&identity);
    shm_close(segment);
    unlink(path);
    feed_table_free(&table);
    frames_free(&frames);
    return 0;
}
