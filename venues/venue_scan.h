/*
 * Walking an answer that is too long to be tokenised whole: a venue's list of instruments is a
 * megabyte of a hundred thousand tokens, each element of it a few hundred.
 *
 * `venue_scan_document` checks the whole text once, strictly; the others find a member or step
 * through the elements of an array and hand out slices, which the caller then parses one by one
 * with `json_parse`. No allocation, no recursion, nothing read past the text.
 */
#ifndef WHALE_VENUE_SCAN_H
#define WHALE_VENUE_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* True where the text is one JSON value and nothing else. The others expect such text. */
bool venue_scan_document(const char *text, size_t length);

/*
 * The value at a path of keys ("data.list"; "" is the text itself), as written, a string with its
 * quotes. Keys are compared as written. False where there is none.
 */
bool venue_scan_member(const char *text, size_t length, const char *path, const char **value,
                       size_t *value_length);

typedef struct {
    const char *at, *end;
    bool started;
} venue_scan;

/* The array at a path. False where there is none, or it is no array. */
bool venue_scan_open(venue_scan *scan, const char *text, size_t length, const char *path);
/* The next element, as written; false at the end. */
bool venue_scan_next(venue_scan *scan, const char **element, size_t *element_length);

#endif
