/*
 * What the signer gives up once it has its keys: the network, files, other programs, its user.
 *
 * Every step is best effort where the system does not let it (an unprivileged user, a container),
 * and says so in the log; only dropping to a user that was asked for must succeed.
 */
#ifndef WHALE_SIGN_JAIL_H
#define WHALE_SIGN_JAIL_H

#include <stdbool.h>

/* Memory that stays in RAM and out of dumps; call before any key is read. */
void sign_jail_memory(void);
/*
 * A network namespace of its own. Before the process has a second thread: an unprivileged one needs
 * a user namespace for it, and the kernel gives that to single-threaded processes alone. Not then
 * where it is to become `user`.
 */
void sign_jail_network(const char *user);
/* All of them, for good: changing from a user that is not root to another would keep them. */
bool sign_jail_capabilities(void);
/* The user; then no system call but what answering takes. */
bool sign_jail_enter(const char *user);

#endif
