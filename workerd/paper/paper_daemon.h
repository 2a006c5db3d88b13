/*
 * A libmicrohttpd daemon inside a libuv loop: its epoll descriptor is polled, it is run when that
 * is readable or when it says that it has more to do, and once a second for its own timeouts.
 */
#ifndef WHALE_PAPER_DAEMON_H
#define WHALE_PAPER_DAEMON_H

#include "core/config.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <uv.h>

#define PAPER_CONNECTION_MEMORY 8192 /* a request's line and headers must fit */
#define PAPER_CONNECTIONS_MAX 16384  /* at once; the next wait in the backlog */
#define PAPER_IDLE_SECONDS 600       /* a kept connection without a request */

typedef struct {
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t again, second;
    bool running, wanted, open;
    uint16_t port; /* that it listens on */
} paper_daemon;

/* Listens and starts. False with the reason. `options` ends with MHD_OPTION_END. */
bool paper_daemon_start(paper_daemon *daemon, uv_loop_t *loop, const config_address *address,
                        unsigned flags, MHD_AccessHandlerCallback handler, void *owner,
                        const struct MHD_OptionItem *options, char *error, size_t capacity);
/* After a resumed or closed connection. Safe inside the daemon's own callbacks. */
void paper_daemon_run(paper_daemon *daemon);
/* Stops; every suspended connection must have been resumed. Handles close as the loop runs. */
void paper_daemon_stop(paper_daemon *daemon);

#endif
