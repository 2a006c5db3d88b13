/*
 * What the files of the master share: its state, and who does what.
 *
 * master.c runs the loop, master_child.c makes and ends processes, master_keys.c hands keys and
 * channels over, master_plan.c decides, master_segment.c makes the segment, master_title.c names.
 */
#ifndef WHALE_WORKERD_MASTER_PRIVATE_H
#define WHALE_WORKERD_MASTER_PRIVATE_H

#include "workerd/master.h"
#include "workerd/master_plan.h"

#include <limits.h>
#include <signal.h>
#include <sys/types.h>

#define MASTER_TICK_NS (100 * CLOCK_MS_NS)
#define MASTER_BEAT_NS (250 * CLOCK_MS_NS)
#define MASTER_HUNG_NS (30 * CLOCK_SECOND_NS)       /* without a beat: killed */
#define MASTER_GRACE_NS (10 * CLOCK_SECOND_NS)      /* between SIGTERM and SIGKILL */
#define MASTER_FIRST_GRACE_NS (7 * CLOCK_SECOND_NS) /* of those that end first */
#define MASTER_GUARD_GRACE_S 12 /* a role whose master is gone; its own loop allows 10 */
#define MASTER_SHM_SIGNALS 4096
#define MASTER_SHM_MODE 0640
#define MASTER_TITLE_MAX 16 /* what PR_SET_NAME holds */

typedef int master_entry(const role_context *context);

typedef struct {
    master_planned plan;
    master_entry *entry;
    char title[MASTER_TITLE_MAX];
    pid_t pid;                                   /* 0: not running */
    int64_t started_ns, start_at_ns, kill_at_ns; /* monotonic; kill_at 0: not told to end */
    unsigned failures;
    bool done;      /* ended and not to be started again */
    bool is_schema; /* not a role: waits for the schema, then is done */
} master_child;

/* Our ends of the channels between trade processes and sign; kept, so that both may be restarted.
 */
typedef struct {
    int trade_end, sign_end; /* -1: none */
} master_channel;

typedef struct {
    whale_config config;
    char config_path[PATH_MAX]; /* argv's own text is overwritten by titles */
    pid_t pid;
    shm_segment *segment;
    shm_process *process;
    master_child children[MASTER_PLAN_MAX + 1];
    unsigned child_count;
    master_channel channels[ROLE_SIGN_CLIENTS_MAX];
    int guard_read, guard_write; /* roles see the end of this pipe when the master is gone */
    sigset_t signals_before;
    bool schema_fits, stopping;
    int64_t stopping_since_ns, beat_ns, watchdog_every_ns, watchdog_ns;
} master;

/* master_title.c */
void master_title_set(const char *title);

/* master_segment.c */
bool master_segment_make(const whale_config *config, char *error, size_t capacity);
/* Another live master's pid, or 0. */
pid_t master_segment_owner(const char *path);
/* Whether a process that is alive writes the segment there. */
bool master_segment_in_use(const char *path);

/* master_keys.c */
bool master_channels_open(master *state, unsigned trade_processes);
/* Throws away what a dead trade process was still sent. */
void master_channel_drain(const master_channel *channel);
/* Fills in the descriptors that this role needs. False: logged; start it later. */
bool master_keys_give(const master *state, const master_planned *role, role_context *context);
void master_keys_close(role_context *context);

/* master_child.c */
void master_child_prepare(master_child *child, const master_planned *planned);
bool master_child_start(master *state, master_child *child);
void master_child_end(master_child *child, int64_t now_ns);
/* Its pid was reaped with this status. */
void master_child_ended(master *state, master_child *child, int status, int64_t now_ns);
master_entry *master_entry_of(enum shm_role role);
enum log_level master_log_level(const whale_config *config);

#endif
