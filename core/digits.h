/*
 * Whole numbers to decimal text, two digits at a step; what dec, json, clock and log share.
 * Promises: writes exactly the bytes it says, never a NUL.
 */
#ifndef WHALE_CORE_DIGITS_H
#define WHALE_CORE_DIGITS_H

#include <stddef.h>
#include <stdint.h>

#define DIGITS_U64_MAX 20

/* The number with leading zeros, exactly `width` digits (1 to 20). */
void digits_put_fixed(char *out, uint64_t number, size_t width);
/* Without leading zeros; returns the length, at most DIGITS_U64_MAX. */
size_t digits_put(char *out, uint64_t number);

#endif
