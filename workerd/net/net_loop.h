/*
 * What every role's loop needs: signals, the heartbeat, a stall counter, and a lag-free tick.
 */
#ifndef WHALE_NET_LOOP_H
#define WHALE_NET_LOOP_H

#include "shm/shm.h"
#include "workerd/role.h"

#include <uv.h>

typedef struct net_loop net_loop;

/* Called once on SIGTERM, SIGINT or the master's death: begin to end. Call net_loop_stop when done.
 */
typedef void net_loop_stopping(void *owner);

/*
 * A libuv loop joined to the segment as (role, slot): beats every 250 ms, counts turns over 100 ms
 * in loop_stalls_total, starts log and crypto. NULL with a logged reason.
 */
net_loop *net_loop_new(const role_context *context, enum shm_role role, net_loop_stopping *stopping,
                       void *owner);
uv_loop_t *net_loop_uv(net_loop *loop);
shm_segment *net_loop_segment(net_loop *loop); /* mapped for writing */
shm_process *net_loop_process(net_loop *loop);
/* Runs until net_loop_stop; returns the exit status given there. Kills itself 10 s after
 * `stopping`. */
int net_loop_run(net_loop *loop);
void net_loop_stop(net_loop *loop, int status);
void net_loop_free(net_loop *loop);

#endif
