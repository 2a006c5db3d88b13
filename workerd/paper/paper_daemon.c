/*
 * libmicrohttpd on libuv. See the header.
 *
 * The daemon gets no thread and no internal poll: an epoll descriptor of its own stalls at 256
 * connections when it may block, and a thread would share the exchange.
 */
#include "workerd/paper/paper_daemon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAPER_BACKLOG 4096
#define PAPER_RUNS_MAX 16 /* in one turn of the loop, then others have theirs */

static int paper_listen(const config_address *address, uint16_t *port, char *error, size_t capacity)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(address->port)};
    socklen_t length = sizeof(name);
    int one = 1, fd = -1;

    if (inet_pton(AF_INET, address->host, &name.sin_addr) == 1) {
        fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    }
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, (struct sockaddr *)&name, sizeof(name)) != 0 || listen(fd, PAPER_BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&name, &length) != 0) {
        snprintf(error, capacity, "cannot listen on %s:%u: %s", address->host, address->port,
                 strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    *port = ntohs(name.sin_port);
    return fd;
}

static void paper_again(uv_timer_t *timer)
{
    paper_daemon_run(timer->data);
}

static void paper_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    paper_daemon_run(poll->data);
}

void paper_daemon_run(paper_daemon *daemon)
{
    MHD_UNSIGNED_LONG_LONG timeout = 1;

    if (!daemon->open) {
        return;
    }
    if (daemon->running) {
        daemon->wanted = true; /* from inside a callback: the run below goes round once more */
        return;
    }
    daemon->running = true;
    for (int i = 0; i < PAPER_RUNS_MAX; i++) {
        daemon->wanted = false;
        MHD_run(daemon->daemon);
        if (!daemon->wanted &&
            (MHD_get_timeout(daemon->daemon, &timeout) != MHD_YES || timeout > 0)) {
            break;
        }
        timeout = 0;
    }
    daemon->running = false;
    if (timeout == 0 || daemon->wanted) {
        uv_timer_start(&daemon->again, paper_again, 0, 0);
    }
}

bool paper_daemon_start(paper_daemon *daemon, uv_loop_t *loop, const config_address *address,
                        unsigned flags, MHD_AccessHandlerCallback handler, void *owner,
                        const struct MHD_OptionItem *options, char *error, size_t capacity)
{
    const union MHD_DaemonInfo *info;
    int fd;

    *daemon = (paper_daemon){0};
    fd = paper_listen(address, &daemon->port, error, capacity);
    if (fd < 0) {
        return false;
    }
    daemon->daemon = MHD_start_daemon(
        flags | MHD_USE_EPOLL | MHD_USE_SUPPRESS_DATE_NO_CLOCK, 0, NULL, NULL, handler, owner,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)PAPER_CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)PAPER_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)PAPER_IDLE_SECONDS, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, options,
        MHD_OPTION_END);
    if (daemon->daemon == NULL) {
        snprintf(error, capacity, "the HTTP server did not start");
        close(fd);
        return false;
    }
    info = MHD_get_daemon_info(daemon->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL || uv_poll_init(loop, &daemon->poll, info->epoll_fd) != 0) {
        snprintf(error, capacity, "the HTTP server cannot be polled");
        MHD_stop_daemon(daemon->daemon);
        return false;
    }
    uv_timer_init(loop, &daemon->again);
    uv_timer_init(loop, &daemon->second);
    daemon->poll.data = daemon->again.data = daemon->second.data = daemon;
    daemon->open = true;
    uv_poll_start(&daemon->poll, UV_READABLE, paper_readable);
    uv_timer_start(&daemon->second, paper_again, 1000, 1000);
    return true;
}

void paper_daemon_stop(paper_daemon *daemon)
{
    if (!daemon->open) {
        return;
    }
    daemon->open = false;
    uv_poll_stop(&daemon->poll);
    uv_close((uv_handle_t *)&daemon->poll, NULL);
    uv_close((uv_handle_t *)&daemon->again, NULL);
    uv_close((uv_handle_t *)&daemon->second, NULL);
    MHD_stop_daemon(daemon->daemon);
}
