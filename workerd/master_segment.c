/*
 * The master and the segment: making it, and not taking it from somebody who lives.
 */
#include "workerd/master_private.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WEB_GROUP "www-data" /* nginx's workers on Debian */
#define GROUPS_MAX 256
#define STAT_MAX 512
#define OWNER_SILENT_NS (3 * CLOCK_SECOND_NS)

/* nginx's group, where we may give a file to it; else -1. */
static int web_group(void)
{
    const struct group *group = getgrnam(WEB_GROUP);
    gid_t groups[GROUPS_MAX];
    int count;

    if (group == NULL) {
        return -1;
    }
    if (geteuid() == 0 || getegid() == group->gr_gid) {
        return (int)group->gr_gid;
    }
    count = getgroups(GROUPS_MAX, groups);
    for (int i = 0; i < count; i++) {
        if (groups[i] == group->gr_gid) {
            return (int)group->gr_gid;
        }
    }
    return -1;
}

bool master_segment_make(const whale_config *config, char *error, size_t capacity)
{
    const shm_options options = {
        .instruments = (uint32_t)config->shm_instruments,
        .users = (uint32_t)config->shm_users,
        .positions = (uint32_t)config->shm_positions,
        .signals = MASTER_SHM_SIGNALS,
        .config_hash = config_hash(config),
        .mode = MASTER_SHM_MODE,
        .group = web_group(),
    };

    return shm_create(config->shm_path, &options, error, capacity);
}

/* Dead, though its parent has not asked for its status yet. */
static bool is_zombie(pid_t pid)
{
    char path[64], text[STAT_MAX] = "";
    const char *state = NULL;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    if (fgets(text, sizeof(text), file) != NULL) {
        state = strrchr(text, ')'); /* a name may hold anything, a state follows the last one */
    }
    fclose(file);
    return state != NULL && (strncmp(state, ") Z", 3) == 0 || strncmp(state, ") X", 3) == 0);
}

static bool is_alive(pid_t pid)
{
    return pid > 0 && pid != getpid() && (kill(pid, 0) == 0 || errno == EPERM) && !is_zombie(pid);
}

/* The first process in the table that is alive and beats; only the master where `master_only`. */
static pid_t segment_process(const char *path, bool master_only)
{
    shm_process_info processes[SHM_PROCESSES_MAX];
    shm_segment *segment = shm_open_reader(path);
    pid_t found = 0;
    size_t count;

    if (segment == NULL) {
        return 0;
    }
    count = shm_processes(segment, processes, SHM_PROCESSES_MAX);
    for (size_t i = 0; i < count && found == 0; i++) {
        if ((!master_only || processes[i].role == SHM_ROLE_MASTER) &&
            processes[i].beat_age_ns < OWNER_SILENT_NS && is_alive(processes[i].pid)) {
            found = processes[i].pid;
        }
    }
    shm_close(segment);
    return found;
}

pid_t master_segment_owner(const char *path)
{
    return segment_process(path, true);
}

bool master_segment_in_use(const char *path)
{
    return segment_process(path, false) != 0;
}
