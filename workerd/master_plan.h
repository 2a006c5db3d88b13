/*
 * What the master decides, without the doing: which roles run, how long to pause before one is
 * started again, what a new configuration means. Pure functions.
 */
#ifndef WHALE_WORKERD_MASTER_PLAN_H
#define WHALE_WORKERD_MASTER_PLAN_H

#include "core/clock.h"
#include "core/config.h"
#include "shm/shm.h"
#include "workerd/role.h"

#define MASTER_PLAN_MAX (ROLE_SIGN_CLIENTS_MAX + 8)
#define MASTER_BACKOFF_FIRST_NS (100 * CLOCK_MS_NS)
#define MASTER_BACKOFF_LAST_NS (5 * CLOCK_SECOND_NS)
#define MASTER_SETTLED_NS (10 * CLOCK_SECOND_NS) /* ran this long: its failures are forgotten */

typedef struct {
    enum shm_role role;
    unsigned slot;
    bool needs_schema; /* starts when Postgres answers and its schema fits */
    bool ends_first;   /* at shutdown: before those that it needs to finish its work */
} master_planned;

typedef struct {
    master_planned roles[MASTER_PLAN_MAX];
    unsigned count;
    const char
        *left_out[SHM_ROLE_COUNT]; /* why a role is not started; NULL: it is, or is not asked for */
} master_plan;

void master_plan_roles(const whale_config *config, master_plan *plan);

/* The pause before start number `failures` + 1 of a role that keeps ending; 0 after none. */
int64_t master_backoff_ns(unsigned failures);

/*
 * What changes from `old` to `fresh`. `merged` is what to run with: fresh where a reload is enough,
 * old where a restart is needed. Bit r of `restart_roles`: role r must be started anew. Bit i of
 * `waiting`: directive i differs and waits for a restart of workerd.
 */
typedef struct {
    uint32_t restart_roles;
    uint64_t changed, waiting;
} master_change;
void master_plan_change(const whale_config *old, const whale_config *fresh, whale_config *merged,
                        master_change *change);

#endif
