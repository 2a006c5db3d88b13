/*
 * A server for tests of the HTTP engine, plain and over TLS: one forked process, a thread a
 * connection, told by the path what to do to the client.
 */
#ifndef WHALE_TESTS_NET_HTTP_SERVER_H
#define WHALE_TESTS_NET_HTTP_SERVER_H

#include "tests/unit/net_tls.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#define REQUEST_MAX 16384

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

#endif
