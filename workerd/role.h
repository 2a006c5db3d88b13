/*
 * What the master hands to each role (docs/ARCHITECTURE.md). A role is a process: the master forks,
 * drops what the role must not have, and calls `<role>_role_run`. It returns the exit status.
 *
 * A role runs one libuv loop, beats in the segment, and ends within 10 s of SIGTERM, finishing what
 * is in flight. SIGHUP: read the configuration again (the master does, and sends a new context by
 * restarting roles whose values changed). No role includes another.
 */
#ifndef WHALE_WORKERD_ROLE_H
#define WHALE_WORKERD_ROLE_H

#include "core/config.h"
#include "shm/shm.h"

#define ROLE_SIGN_CLIENTS_MAX 16

typedef struct role_context {
    const whale_config *config;
    const char *config_path;
    unsigned slot; /* 0, 1, ... among processes of the same role */
    /* trade: its end of the channel to sign (SOCK_SEQPACKET). sign: one end per trade process. -1:
     * none */
    int sign_channel;
    int sign_clients[ROLE_SIGN_CLIENTS_MAX];
    unsigned sign_client_count;
    /* sign: pipes that the master filled with the two keys (64 hex digits each), read once and
     * closed */
    int master_key_fd, seal_private_key_fd;
    int parent_pid; /* the role ends when the master is gone (PR_SET_PDEATHSIG is set as well) */
} role_context;

int feed_role_run(const role_context *context);
int watch_role_run(const role_context *context);
int trade_role_run(const role_context *context);
int sign_role_run(const role_context *context);
int mirror_role_run(const role_context *context);
int notify_role_run(const role_context *context);
int paper_role_run(const role_context *context);

#endif
