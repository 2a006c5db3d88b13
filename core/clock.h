/*
 * Time. Int64 nanoseconds everywhere inside; RFC 3339 UTC with microseconds outside.
 */
#ifndef WHALE_CORE_CLOCK_H
#define WHALE_CORE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_SECOND_NS 1000000000LL
#define CLOCK_MS_NS 1000000LL
#define CLOCK_TEXT_MAX 32

/* The wall clock, since the Unix epoch. */
int64_t clock_now_ns(void);
/* For leases, heartbeats and timeouts; the same for all processes of a boot. */
int64_t clock_monotonic_ns(void);

/* "2026-11-20T09:10:11.123456Z"; returns the length. */
size_t clock_format(int64_t time_ns, char text[CLOCK_TEXT_MAX]);
/* RFC 3339 with any offset and up to 9 fraction digits. */
bool clock_parse(const char *text, size_t length, int64_t *time_ns);

#endif
