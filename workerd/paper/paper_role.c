/*
 * The paper role: the paper venue in a process of its own (docs/ARCHITECTURE.md).
 */
#include "core/log.h"
#include "workerd/net/net_loop.h"
#include "workerd/paper/paper_server.h"

#include <stdlib.h>
#include <sys/resource.h>

#define PAPER_ROLE_ERROR_MAX 512

typedef struct {
    net_loop *loop;
    paper_server server;
} paper_role;

static void paper_stopping(void *owner)
{
    paper_role *role = owner;

    paper_server_stop(&role->server);
    net_loop_stop(role->loop, EXIT_SUCCESS);
}

/* A venue has more clients than the 1024 descriptors that a shell allows; the hard limit stays. */
static void paper_raise_files(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

int paper_role_run(const role_context *context)
{
    static paper_role role; /* one a process */
    char error[PAPER_ROLE_ERROR_MAX] = "";
    int status;

    paper_raise_files();
    role.loop = net_loop_new(context, SHM_ROLE_PAPER, paper_stopping, &role);
    if (role.loop == NULL) {
        return EXIT_FAILURE;
    }
    if (!paper_server_start(&role.server, net_loop_uv(role.loop), context->config,
                            net_loop_process(role.loop), error, sizeof(error))) {
        log_event(LOG_ERROR, "paper.start", "error", LOG_TEXT(error), NULL);
        net_loop_free(role.loop);
        return EXIT_FAILURE;
    }
    status = net_loop_run(role.loop);
    paper_server_free(&role.server);
    net_loop_free(role.loop);
    return status;
}
