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
/* No network; then the user; then no system call but what answering takes. */
bool sign_jail_enter(const char *user);

#endif
