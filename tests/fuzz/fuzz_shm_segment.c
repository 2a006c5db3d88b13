/*
 * Any bytes as a segment, every read call on it. The input patches a good segment: records of
 * (offset, 4 bytes little-endian; length, 1 byte; that many bytes), so that the fuzzer spends its
 * time behind the header as well as in it. A first byte that is odd cuts the file at the first
 * offset.
 */
#include "shm/layout.h"
#include "tests/faults/shm_readers.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[64];
static unsigned char *image;
static size_t size;
static int file = -1;

static void remove_file(void)
{
    unlink(path);
}

static void prepare(void)
{
    struct stat status;

    snprintf(path, sizeof(path), "/dev/shm/whale-fuzz-%ld", (long)getpid());
    if (!readers_make_segment(path)) {
        abort();
    }
    atexit(remove_file);
    file = open(path, O_RDWR);
    if (file < 0 || fstat(file, &status) != 0) {
        abort();
    }
    size = (size_t)status.st_size;
    image = malloc(size);
    if (image == NULL || pread(file, image, size, 0) != (ssize_t)size) {
        abort();
    }
}

/* Applies one patch at `data`; returns how many bytes it took, 0 at the end. */
static size_t patch(const uint8_t *data, size_t length, size_t *touched)
{
    uint32_t offset;

    if (length < 5) {
        return 0;
    }
    memcpy(&offset, data, 4);
    const size_t at = offset % size;
    size_t bytes = data[4];
    bytes = bytes > length - 5 ? length - 5 : bytes;
    bytes = bytes > size - at ? size - at : bytes;
    if (bytes > 0 && pwrite(file, data + 5, bytes, (off_t)at) != (ssize_t)bytes) {
        abort();
    }
    *touched = at;
    return 5 + bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    size_t used = 1, taken, cut = 0;

    if (file < 0) {
        prepare();
    }
    if (length == 0) {
        return 0;
    }
    if (pwrite(file, image, size, 0) != (ssize_t)size) {
        abort();
    }

    shm_segment *attached = shm_open_reader(path);
    while ((taken = patch(data + used, length - used, &cut)) > 0) {
        used += taken;
    }
    readers_read_everything(attached);
    shm_close(attached); /* before the cut: what is mapped is never truncated */
    if ((data[0] & 1) != 0 && ftruncate(file, (off_t)cut) != 0) {
        abort();
    }
    shm_segment *fresh = shm_open_reader(path);
    readers_read_everything(fresh);
    shm_close(fresh);
    return 0;
}
