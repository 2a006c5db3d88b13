/*
 * The master: makes the segment, forks the roles, keeps them alive, ends them.
 *
 * Promises: it holds no connection, no thread and no secret beyond the moment it hands a key over,
 * so that forking is safe and it can be trusted to stay up; a role that ends is started again, with
 * pauses of 100 ms to 5 s; a role that has not beaten for MASTER_HUNG_NS is killed; roles that need
 * Postgres start when the schema fits, all others at once; no role outlives the master.
 */
#ifndef WHALE_WORKERD_MASTER_H
#define WHALE_WORKERD_MASTER_H

#include "core/config.h"

/* Runs until SIGTERM or SIGINT; the exit status. `config` was read from `path`. */
int master_run(whale_config *config, const char *path);
/* One role in this process. `trade` gets a signer of its own beside it. */
int master_run_role(whale_config *config, const char *path, const char *name, unsigned slot);

/* Before anything else: where ps reads the command line from. */
void master_title_start(int argc, char **argv);

#endif
