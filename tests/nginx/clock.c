/*
 * The wall clock of an nginx under test: LD_PRELOADed, it adds the nanoseconds that stand in the
 * file WHALE_TEST_CLOCK, so that tests choose the date of a request instead of waiting for it.
 * Monotonic time, and with it every timer, stays as it is.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset_ns;

__attribute__((constructor)) static void clock_start(void)
{
    const char *path = getenv("WHALE_TEST_CLOCK");
    const int file = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *base;

    if (file < 0) {
        return;
    }
    base = mmap(NULL, sizeof(*offset_ns), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (base != MAP_FAILED) {
        offset_ns = base;
    }
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec time;
    int64_t ns;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &time);
    ns = time.tv_sec * 1000000000LL + time.tv_nsec + (offset_ns != NULL ? *offset_ns : 0);
    now->tv_sec = ns / 1000000000;
    now->tv_usec = ns % 1000000000 / 1000;
    return 0;
}
