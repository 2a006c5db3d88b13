/*
 * Attaching to a segment, as a reader or a writer, and noticing that there is a new one.
 *
 * Promises: nothing is mapped before its header was copied and checked against the layout that this
 * build computes from the same capacities, and against the file's real size; a reader that finds
 * nothing, or something strange, exists all the same and says which.
 */
#include "shm/mapping.h"

#include "core/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A master that has not beaten for this long is dead. */
#define SEGMENT_MASTER_SILENT_NS (3 * CLOCK_SECOND_NS)

const char *shm_state_name(enum shm_state state)
{
    static const char *const names[] = {
        [SHM_ABSENT] = "absent",
        [SHM_INITIALISING] = "initialising",
        [SHM_INCOMPATIBLE] = "incompatible",
        [SHM_STALE] = "stale",
        [SHM_LIVE] = "live",
    };

    return (unsigned)state <= SHM_LIVE ? names[state] : "unknown";
}

const char *shm_role_name(enum shm_role role)
{
    static const char *const names[SHM_ROLE_COUNT] = {
        [SHM_ROLE_MASTER] = "master", [SHM_ROLE_FEED] = "feed",   [SHM_ROLE_WATCH] = "watch",
        [SHM_ROLE_TRADE] = "trade",   [SHM_ROLE_SIGN] = "sign",   [SHM_ROLE_MIRROR] = "mirror",
        [SHM_ROLE_NOTIFY] = "notify", [SHM_ROLE_PAPER] = "paper",
    };

    return (unsigned)role < SHM_ROLE_COUNT ? names[role] : "unknown";
}

/* The header as it stands in the file: is it one that this build can read? */
static enum shm_state segment_check(const struct shm_header *header, uint64_t file_size,
                                    char *error, size_t capacity)
{
    struct shm_header expected;

    if (header->version == 0 && (header->magic == 0 || header->magic == SHM_MAGIC)) {
        snprintf(error, capacity, "it is still being made");
        return SHM_INITIALISING;
    }
    if (header->magic != SHM_MAGIC || header->version != SHM_VERSION) {
        snprintf(error, capacity, "it is not a segment of this version");
        return SHM_INCOMPATIBLE;
    }
    if (header->layout_hash != shm_layout_hash()) {
        snprintf(error, capacity, "another build made it: its layout differs");
        return SHM_INCOMPATIBLE;
    }
    if (!shm_layout(&expected, header->instruments, header->users, header->positions,
                    header->signals, error, capacity)) {
        return SHM_INCOMPATIBLE;
    }
    if (memcmp(expected.regions, header->regions, sizeof(expected.regions)) != 0 ||
        expected.size != header->size || header->size > file_size || header->epoch == 0) {
        snprintf(error, capacity, "its header contradicts itself");
        return SHM_INCOMPATIBLE;
    }
    return SHM_LIVE;
}

static enum shm_state segment_check_file(int file, struct stat *status, struct shm_header *header,
                                         char *error, size_t capacity)
{
    if (fstat(file, status) != 0) {
        snprintf(error, capacity, "fstat: %s", strerror(errno));
        return SHM_ABSENT;
    }
    if (!S_ISREG(status->st_mode) || (status->st_mode & S_IWOTH) != 0) {
        snprintf(error, capacity, "it is no file, or anybody may write it");
        return SHM_INCOMPATIBLE;
    }
    /* read, not mapped: a file that is too short gives a short answer instead of a SIGBUS */
    if (pread(file, header, sizeof(*header), 0) != (ssize_t)sizeof(*header)) {
        snprintf(error, capacity, "it is shorter than a header");
        return SHM_INITIALISING;
    }
    return segment_check(header, (uint64_t)status->st_size, error, capacity);
}

enum shm_state shm_attach(struct shm_segment *segment, char *error, size_t capacity)
{
    struct stat status;
    struct shm_header header;
    const int flags = O_CLOEXEC | O_NONBLOCK | (segment->writable ? O_RDWR : O_RDONLY);
    const int protection = PROT_READ | (segment->writable ? PROT_WRITE : 0);
    const int file = open(segment->path, flags);

    if (file < 0) {
        snprintf(error, capacity, "open: %s", strerror(errno));
        return SHM_ABSENT;
    }

    enum shm_state state = segment_check_file(file, &status, &header, error, capacity);
    void *base = MAP_FAILED;
    if (state == SHM_LIVE) {
        base = mmap(NULL, header.size, protection, MAP_SHARED, file, 0);
        if (base == MAP_FAILED) {
            snprintf(error, capacity, "mmap: %s", strerror(errno));
            state = SHM_ABSENT;
        }
    }
    close(file);
    if (state != SHM_LIVE) {
        return state;
    }

    shm_detach(segment);
    segment->base = base;
    segment->size = header.size;
    segment->device = status.st_dev;
    segment->inode = status.st_ino;
    segment->header = header;
    segment->prices_live = -1;
    return SHM_LIVE;
}

void shm_detach(struct shm_segment *segment)
{
    if (segment->base != NULL) {
        munmap(segment->base, segment->size);
    }
    segment->base = NULL;
    segment->size = 0;
    segment->device = 0;
    segment->inode = 0;
    memset(&segment->header, 0, sizeof(segment->header));
    shm_pool_reset(segment);
}

static struct shm_segment *segment_new(const char *path, bool writable)
{
    struct shm_segment *segment = calloc(1, sizeof(*segment));

    if (segment == NULL) {
        return NULL;
    }
    /* a path too long to open finds nothing, like any other wrong one */
    snprintf(segment->path, sizeof(segment->path), "%s", path);
    segment->writable = writable;
    return segment;
}

shm_segment *shm_open_writer(const char *path, char *error, size_t capacity)
{
    char reason[160] = "out of memory";
    struct shm_segment *segment = segment_new(path, true);

    if (segment != NULL && shm_attach(segment, reason, sizeof(reason)) == SHM_LIVE) {
        return segment;
    }
    snprintf(error, capacity, "shared memory %s: %s", path, reason);
    free(segment);
    return NULL;
}

shm_segment *shm_open_reader(const char *path)
{
    char reason[160];
    struct shm_segment *segment = segment_new(path, false);

    if (segment != NULL) {
        segment->found = shm_attach(segment, reason, sizeof(reason));
    }
    return segment;
}

void shm_close(shm_segment *segment)
{
    if (segment == NULL) {
        return;
    }
    shm_detach(segment);
    free(segment);
}

/* Is the file at the path still the one that is mapped? One stat, and one read where in doubt. */
static bool segment_is_current(const struct shm_segment *segment)
{
    struct stat status;

    return segment->base != NULL && stat(segment->path, &status) == 0 &&
           status.st_dev == segment->device && status.st_ino == segment->inode &&
           shm_load(&((const struct shm_header *)(const void *)segment->base)->epoch) ==
               segment->header.epoch;
}

enum shm_state shm_refresh(shm_segment *segment)
{
    char reason[160];

    if (segment_is_current(segment)) {
        return shm_state_now(segment);
    }
    segment->found = shm_attach(segment, reason, sizeof(reason));
    if (segment->found == SHM_LIVE) {
        return shm_state_now(segment);
    }
    /* what there is now cannot be read; the old mapping is served for as long as it may be */
    if (segment->base != NULL &&
        shm_heartbeat_age_ns(segment, SHM_ROLE_MASTER) <= SHM_STALE_SERVED_NS) {
        return shm_state_now(segment);
    }
    shm_detach(segment);
    return segment->found;
}

enum shm_state shm_state_now(const shm_segment *segment)
{
    if (segment->base == NULL) {
        return segment->found == SHM_LIVE ? SHM_ABSENT : segment->found;
    }

    const int64_t age = shm_heartbeat_age_ns(segment, SHM_ROLE_MASTER);
    if (age == INT64_MAX) {
        return SHM_INITIALISING; /* made, but its master has not begun yet */
    }
    return age > SEGMENT_MASTER_SILENT_NS ? SHM_STALE : SHM_LIVE;
}

uint64_t shm_epoch(const shm_segment *segment)
{
    return segment->header.epoch;
}

uint64_t shm_config_hash(const shm_segment *segment)
{
    const struct shm_control *control = shm_control_of(segment);

    return control == NULL ? 0 : shm_load(&control->config_hash);
}

void shm_set_config_hash(shm_segment *segment, uint64_t hash)
{
    shm_store(&shm_control_of(segment)->config_hash, hash);
}
