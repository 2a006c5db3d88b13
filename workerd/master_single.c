/*
 * `workerd role NAME`: one role in the foreground, for tests and debuggers.
 *
 * It takes part in the segment that is there while somebody alive writes it, else it makes one, so
 * that several such processes can be put together by hand. `trade` cannot work without a signer, so
 * it gets one as a child.
 */
#include "workerd/master_private.h"

#include "core/log.h"
#include "workerd/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ERROR_MAX 512

static master single;

static bool find_role(const char *name, enum shm_role *role)
{
    for (unsigned i = 0; i < SHM_ROLE_COUNT; i++) {
        if (master_entry_of((enum shm_role)i) != NULL &&
            strcmp(shm_role_name((enum shm_role)i), name) == 0) {
            *role = (enum shm_role)i;
            return true;
        }
    }
    return false;
}

static bool join_segment(const whale_config *config)
{
    char error[ERROR_MAX] = "";

    if (!master_segment_in_use(config->shm_path) &&
        !master_segment_make(config, error, sizeof(error))) {
        command_error("%s", error);
        return false;
    }
    return true;
}

/* A signer for this trade process alone. */
static bool start_signer(master_child *signer)
{
    const master_planned planned = {.role = SHM_ROLE_SIGN};
    int guard[2];

    if (pipe2(guard, O_CLOEXEC) != 0 ||
        sigprocmask(SIG_SETMASK, NULL, &single.signals_before) != 0) {
        return false;
    }
    single.guard_read = guard[0];
    single.guard_write = guard[1];
    master_child_prepare(signer, &planned);
    return master_child_start(&single, signer);
}

int master_run_role(whale_config *config, const char *path, const char *name, unsigned slot)
{
    role_context context = {.slot = slot, .sign_channel = -1, .parent_pid = getppid()};
    master_child signer = {0};
    enum shm_role role;
    int status;

    if (!find_role(name, &role)) {
        command_error("there is no role \"%s\": feed, watch, trade, sign, mirror, notify, paper",
                      name);
        return COMMAND_USAGE;
    }
    if (role == SHM_ROLE_SIGN) {
        command_error("sign only makes sense with trade, which starts it: workerd role trade");
        return COMMAND_USAGE;
    }
    single.config = *config;
    single.pid = getpid();
    if (realpath(path, single.config_path) == NULL || !join_segment(config)) {
        return COMMAND_FAILED;
    }
    log_start(name, master_log_level(config));
    if (role == SHM_ROLE_TRADE) {
        if (!master_channels_open(&single, 1) || !start_signer(&signer)) {
            command_error("the signer could not be started");
            return COMMAND_FAILED;
        }
        context.sign_channel = single.channels[0].trade_end;
    }
    context.config = &single.config;
    context.config_path = single.config_path;
    context.master_key_fd = context.seal_private_key_fd = -1;
    status = master_entry_of(role)(&context);
    if (signer.pid > 0) {
        kill(signer.pid, SIGTERM);
        waitpid(signer.pid, NULL, 0);
    }
    log_flush();
    return status;
}
