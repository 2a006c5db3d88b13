/*
 * Making a segment: a new file beside the old one, every page reserved, the prices and signals of
 * the old one carried over, and then one rename.
 *
 * Promises: until the rename nobody sees the new file, and after a failure nothing is left of it;
 * an old file is never written, truncated or unlinked while somebody may have it mapped.
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

/* Reserves the whole file; on a tmpfs that is full, this is where it shows. */
static bool create_reserve(int file, const struct shm_header *header, const shm_options *options,
                           char *error, size_t capacity)
{
    const int failed = posix_fallocate(file, 0, (off_t)header->size);

    if (failed != 0) {
        snprintf(error, capacity, "cannot reserve %llu bytes: %s", (unsigned long long)header->size,
                 strerror(failed));
        return false;
    }
    if (options->group >= 0 && fchown(file, (uid_t)-1, (gid_t)options->group) != 0) {
        snprintf(error, capacity, "cannot give it to group %d: %s", options->group,
                 strerror(errno));
        return false;
    }
    /* after the group, and not left to the umask; the world may never write it */
    if (fchmod(file, (mode_t)(options->mode & 0775)) != 0) {
        snprintf(error, capacity, "cannot set mode %o: %s", options->mode, strerror(errno));
        return false;
    }
    return true;
}

static void create_carry(struct shm_segment *to, const char *old_path)
{
    struct shm_segment *old = shm_open_reader(old_path);

    if (old != NULL && old->base != NULL) {
        shm_prices_carry(to, old);
        shm_signals_carry(to, old);
    }
    shm_close(old);
}

/* The epoch only has to differ, but one that grows is easier to read in /health. */
static uint64_t create_epoch(const char *old_path)
{
    struct shm_segment *old = shm_open_reader(old_path);
    const uint64_t before = old == NULL ? 0 : shm_epoch(old);
    const uint64_t now = (uint64_t)clock_now_ns();

    shm_close(old);
    return now > before ? now : before + 1;
}

/* Fills the reserved file: the header first, what is carried over next, the version last. */
static bool create_fill(int file, struct shm_header *header, const char *path,
                        const shm_options *options, char *error, size_t capacity)
{
    struct shm_segment *segment = calloc(1, sizeof(*segment));
    void *base = mmap(NULL, header->size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

    if (segment == NULL || base == MAP_FAILED) {
        snprintf(error, capacity, "cannot map %llu bytes: %s", (unsigned long long)header->size,
                 strerror(errno));
        if (base != MAP_FAILED) {
            munmap(base, header->size);
        }
        free(segment);
        return false;
    }

    header->epoch = create_epoch(path);
    header->created_ns = clock_now_ns();
    memcpy(base, header, sizeof(*header));
    segment->writable = true;
    segment->base = base;
    segment->size = header->size;
    segment->header = *header;
    segment->prices_live = -1;
    shm_set_config_hash(segment, options->config_hash);
    create_carry(segment, path);
    shm_store_release(&((struct shm_header *)base)->version, SHM_VERSION);
    shm_close(segment);
    return true;
}

bool shm_create(const char *path, const shm_options *options, char *error, size_t capacity)
{
    char reason[192] = "";
    char temporary[PATH_MAX];
    struct shm_header header;
    int file = -1;
    bool made = false;

    if (!shm_layout(&header, options->instruments, options->users, options->positions,
                    options->signals, reason, sizeof(reason))) {
        goto done;
    }
    if (snprintf(temporary, sizeof(temporary), "%s.new.%ld", path, (long)getpid()) >=
        (int)sizeof(temporary)) {
        snprintf(reason, sizeof(reason), "the path is too long");
        goto done;
    }
    unlink(temporary); /* of an earlier process with our number that died here */
    file = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) {
        snprintf(reason, sizeof(reason), "open: %s", strerror(errno));
        goto done;
    }
    if (!create_reserve(file, &header, options, reason, sizeof(reason)) ||
        !create_fill(file, &header, path, options, reason, sizeof(reason))) {
        goto done;
    }
    if (rename(temporary, path) != 0) {
        snprintf(reason, sizeof(reason), "rename: %s", strerror(errno));
        goto done;
    }
    made = true;

done:
    if (file >= 0) {
        close(file);
    }
    if (!made) {
        if (file >= 0) {
            unlink(temporary);
        }
        snprintf(error, capacity, "shared memory %s: %s", path, reason);
    }
    return made;
}
