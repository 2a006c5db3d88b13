/*
 * The recorded frames of tests/data/feed, in memory. Shared by the feed's tests and benches.
 */
#ifndef WHALE_TESTS_FEED_FRAMES_H
#define WHALE_TESTS_FEED_FRAMES_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define FRAMES_MAX 8192
#define FRAME_LENGTH_MAX (256 * 1024)

typedef struct {
    char *text[FRAMES_MAX]; /* each in its own allocation, so that a sanitizer sees its end */
    size_t length[FRAMES_MAX];
    size_t count;
} feed_frames;

/* Appends a file's frames that contain `wanted` (NULL: all). Ends the program where it cannot. */
static inline void frames_load(feed_frames *frames, const char *name, const char *wanted)
{
    static char line[FRAME_LENGTH_MAX];
    char path[256];
    gzFile file;

    snprintf(path, sizeof(path), "tests/data/feed/%s", name);
    file = gzopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "%s: cannot open it; run this from the top folder\n", path);
        exit(1);
    }
    while (frames->count < FRAMES_MAX && gzgets(file, line, sizeof(line)) != NULL) {
        const char *start = strchr(line, ' ');
        const size_t length = start == NULL ? 0 : strcspn(start + 1, "\n");

        if (length == 0 || (wanted != NULL && strstr(start, wanted) == NULL)) {
            continue;
        }
        char *text = malloc(length);
        if (text == NULL) {
            exit(1);
        }
        memcpy(text, start + 1, length);
        frames->text[frames->count] = text;
        frames->length[frames->count++] = length;
    }
    gzclose(file);
}

static inline void frames_free(feed_frames *frames)
{
    for (size_t i = 0; i < frames->count; i++) {
        free(frames->text[i]);
    }
    frames->count = 0;
}

#endif
