/*
 * Signed orders out: how many requests a second one core of the client carries, over 64 kept-alive
 * connections to a minimal epoll server on the other core, each signed anew with HMAC-SHA256.
 * Baseline: wrk, with as many connections and one thread, on the same server in the same run; it
 * sends one constant request.
 *
 *   bench http <v> req/s/core baseline <v> ratio <ours / wrk's>
 *   bench http_tls ...
 *
 * "A core" is a second of CPU time (user and system) of the client's process, so that a busy
 * machine does not count. Medians of ROUNDS rounds.
 */
#include "core/clock.h"
#include "core/crypto.h"
#include "tests/unit/net_tls.h"
#include "workerd/net/net_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define CONNECTIONS 64
#define WARM_UP 5000
#define REQUESTS 40000 /* a round */
#define ROUNDS 5
#define WRK_SECONDS "3"
#define FILES_MAX 1024
#define REQUEST_MAX 4096

/* ---- the server: answers every request with the same order ----------------------------------- */

static const char answer[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-MBX-USED-WEIGHT-1M: 12\r\n"
    "Content-Length: 214\r\n\r\n"
    "{\"orderId\":28457390211,\"symbol\":\"BTCUSDT\",\"status\":\"FILLED\",\"clientOrderId\":"
    "\"wabcdefghijklmnopqrstuvwxyz21\",\"price\":\"0\",\"avgPrice\":\"64250.10\",\"origQty\":"
    "\"0.010\",\"executedQty\":\"0.010\",\"side\":\"BUY\",\"type\":\"MARKET\"   }";

typedef struct {
    SSL *ssl; /* NULL: plain */
    char data[REQUEST_MAX];
    size_t length;
} served;

static void drop(served **peers, int fd)
{
    SSL_free(peers[fd]->ssl);
    free(peers[fd]);
    peers[fd] = NULL;
    close(fd);
}

static ssize_t take(served *peer, int fd)
{
    size_t room = REQUEST_MAX - 1 - peer->length;
    int got;

    if (peer->ssl == NULL) {
        return recv(fd, peer->data + peer->length, room, 0);
    }
    got = SSL_read(peer->ssl, peer->data + peer->length, (int)room);
    if (got <= 0) {
        errno = SSL_get_error(peer->ssl, got) == SSL_ERROR_WANT_READ ? EAGAIN : EPIPE;
        return -1;
    }
    return got;
}

/* Requests of this benchmark have no body, and are never pipelined. */
static void serve(served **peers, int fd)
{
    served *peer = peers[fd];

    for (;;) {
        ssize_t got = take(peer, fd);

        if (got <= 0) {
            if (got == 0 || errno != EAGAIN) {
                drop(peers, fd);
            }
            return;
        }
        peer->length += (size_t)got;
        if (peer->length >= 4 && memcmp(peer->data + peer->length - 4, "\r\n\r\n", 4) == 0) {
            peer->length = 0;
            if (peer->ssl != NULL) {
                SSL_write(peer->ssl, answer, sizeof(answer) - 1);
            } else {
                send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
                return; /* level-triggered: no need to look for EAGAIN */
            }
        } else if (peer->length == REQUEST_MAX - 1) {
            drop(peers, fd);
            return;
        }
    }
}

static void pin(int core)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof(set), &set); /* on one core only, it stays where it is */
}

static void take_connection(int epoll, int listening, served **peers, SSL_CTX *context)
{
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK), one = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (fd < 0 || fd >= FILES_MAX) {
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    peers[fd] = calloc(1, sizeof(*peers[fd]));
    if (context != NULL) {
        peers[fd]->ssl = SSL_new(context);
        SSL_set_fd(peers[fd]->ssl, fd);
        SSL_set_accept_state(peers[fd]->ssl);
    }
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void run_server(int listening, const net_tls_identity *identity)
{
    static served *peers[FILES_MAX];
    struct epoll_event events[CONNECTIONS], event = {.events = EPOLLIN, .data.fd = listening};
    int epoll = epoll_create1(0);
    SSL_CTX *context = identity != NULL ? net_tls_server_context(identity) : NULL;

    pin(0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listening, &event);
    for (;;) {
        int count = epoll_wait(epoll, events, CONNECTIONS, -1);

        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listening) {
                take_connection(epoll, listening, peers, context);
            } else {
                serve(peers, events[i].data.fd);
            }
        }
    }
}

static pid_t start_server(const net_tls_identity *identity, int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t pid;

    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 512) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
        perror("bench http");
        exit(EXIT_FAILURE);
    }
    *port = ntohs(address.sin_port);
    pid = fork();
    if (pid == 0) {
        run_server(fd, identity);
    }
    close(fd);
    return pid;
}

/* ---- the client ------------------------------------------------------------------------------ */

typedef struct {
    net_http *http;
    crypto_mac *mac;
    uv_loop_t loop;
    char base[64];
    unsigned long started, ended, wanted;
} client;

static void send_order(client *c);

static void on_done(void *owner, const net_http_answer *got)
{
    client *c = owner;

    if (got->outcome != NET_HTTP_ANSWERED || got->status != 200 || got->body_length != 214) {
        fprintf(stderr, "bench http: %s\n", got->error);
        exit(EXIT_FAILURE);
    }
    c->ended++;
    if (c->started < c->wanted) {
        send_order(c);
    } else if (c->ended == c->wanted) {
        uv_stop(&c->loop);
    }
}

static void send_order(client *c)
{
    uint8_t digest[CRYPTO_SHA256_SIZE];
    char url[1024];
    int base = snprintf(url, sizeof(url), "%s", c->base), length;
    net_http_request request = {
        .method = "POST",
        .url = url,
        .headers =
            {"X-MBX-APIKEY: vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"},
        .timeout_ns = 10 * CLOCK_SECOND_NS,
        .done = on_done,
        .owner = c,
    };

    length = base + snprintf(url + base, sizeof(url) - (size_t)base,
                             "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.010&newClientOrderId="
                             "wabcdefghijklmnopqrstuvw%05lu&recvWindow=5000&timestamp=%lld",
                             c->started % 100000, clock_now_ns() / CLOCK_MS_NS);
    crypto_mac_compute(c->mac, url + base, (size_t)(length - base), digest);
    length += snprintf(url + length, sizeof(url) - (size_t)length, "&signature=");
    crypto_hex(digest, sizeof(digest), url + length);
    c->started++;
    if (!net_http_send(c->http, &request)) {
        fprintf(stderr, "bench http: not taken\n");
        exit(EXIT_FAILURE);
    }
}

static double cpu_seconds(int who)
{
    struct rusage used;

    getrusage(who, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static double run_round(client *c, unsigned long requests)
{
    double before = cpu_seconds(RUSAGE_SELF);

    c->started = c->ended = 0;
    c->wanted = requests;
    for (int i = 0; i < CONNECTIONS; i++) {
        send_order(c);
    }
    while (c->ended < c->wanted) {
        uv_run(&c->loop, UV_RUN_DEFAULT);
    }
    return (double)requests / (cpu_seconds(RUSAGE_SELF) - before);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double measure(const char *scheme, int port, const char *ca_file)
{
    static const char secret[] = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
    net_http_options options = {.connections = CONNECTIONS,
                                .queue = CONNECTIONS,
                                .user_agent = "whale",
                                .ca_file = ca_file};
    client c = {.mac = crypto_mac_new(secret, sizeof(secret) - 1)};
    double rounds[ROUNDS];

    uv_loop_init(&c.loop);
    c.http = net_http_new(&c.loop, &options, NULL);
    if (c.mac == NULL || c.http == NULL) {
        exit(EXIT_FAILURE);
    }
    snprintf(c.base, sizeof(c.base), "%s://127.0.0.1:%d/fapi/v1/order?", scheme, port);
    run_round(&c, WARM_UP);
    for (int i = 0; i < ROUNDS; i++) {
        rounds[i] = run_round(&c, REQUESTS);
    }
    net_http_close(c.http);
    while (uv_loop_alive(&c.loop)) {
        uv_run(&c.loop, UV_RUN_DEFAULT);
    }
    net_http_free(c.http);
    uv_loop_close(&c.loop);
    crypto_mac_free(c.mac);
    qsort(rounds, ROUNDS, sizeof(rounds[0]), by_value);
    return rounds[ROUNDS / 2];
}

/* ---- the baseline ---------------------------------------------------------------------------- */

/* wrk's requests a second of its own CPU time, or 0 where there is no wrk. */
static double measure_wrk(const char *scheme, int port)
{
    char script[] = "/tmp/whale_bench_XXXXXX", command[512], line[256];
    FILE *file = fdopen(mkstemp(script), "w");
    double before = cpu_seconds(RUSAGE_CHILDREN);
    unsigned long requests = 0;

    fputs("wrk.method = \"POST\"\n"
          "wrk.headers[\"X-MBX-APIKEY\"] = "
          "\"vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A\"\n",
          file);
    fclose(file);
    snprintf(command, sizeof(command),
             "wrk -t1 -c%d -d" WRK_SECONDS " -s %s '%s://127.0.0.1:%d/fapi/v1/order?symbol=BTCUSDT&"
             "side=BUY&type=MARKET&quantity=0.010&newClientOrderId=wabcdefghijklmnopqrstuvw00000&"
             "recvWindow=5000&timestamp=1763629811123&signature="
             "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71' 2>/dev/null",
             CONNECTIONS, script, scheme, port);
    file = popen(command, "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        sscanf(line, " %lu requests in", &requests);
    }
    if (file != NULL) {
        pclose(file);
    }
    unlink(script);
    return requests == 0 ? 0 : (double)requests / (cpu_seconds(RUSAGE_CHILDREN) - before);
}

static void bench(const char *name, const char *scheme, const net_tls_identity *identity)
{
    int port;
    pid_t server = start_server(identity, &port);
    double ours = measure(scheme, port, identity != NULL ? identity->ca_file : NULL);
    double wrk = measure_wrk(scheme, port);

    kill(server, SIGKILL);
    if (wrk == 0) {
        printf("bench %s skipped: wrk is not installed (ours: %.0f req/s/core)\n", name, ours);
    } else {
        printf("bench %s %.0f req/s/core baseline %.0f ratio %.2f\n", name, ours, wrk, ours / wrk);
    }
    fflush(stdout);
    waitpid(server, NULL, 0);
}

int main(void)
{
    net_tls_identity identity;

    if (!crypto_start()) {
        return EXIT_FAILURE;
    }
    net_tls_identity_make(&identity, "IP:127.0.0.1");
    pin(1);
    bench("http", "http", NULL);
    bench("http_tls", "https", &identity);
    net_tls_identity_drop(&identity);
    return EXIT_SUCCESS;
}
