/*
 * Replays recorded frames at their own pace, for ever.
 *
 * Promises: several files are merged by receive time; memory is one line a file, whatever its size;
 * event times are those of now, from the first frame on, and never in the future; when the
 * recording starts anew, event times, update ids and trade ids go on rising and the depth chain
 * (pu) stays linked, so that an honest client does not notice the seam. A lag of more than a few
 * seconds (a stopped machine) is skipped, not caught up with.
 */
#ifndef WHALE_PAPER_REPLAY_H
#define WHALE_PAPER_REPLAY_H

#include "workerd/paper/paper_frame.h"

#define PAPER_REPLAY_FILES_MAX 16
#define PAPER_REPLAY_SYMBOLS_MAX 64
#define PAPER_REPLAY_BURST 4096 /* frames of one run at most */

enum paper_stream { /* what a recorded stream carries */
                    PAPER_STREAM_BOOK,
                    PAPER_STREAM_DEPTH,
                    PAPER_STREAM_TRADE,
                    PAPER_STREAM_OTHER,
};

/* An event as clients see it. */
typedef struct {
    paper_span symbol; /* lower case, from the stream's name */
    enum paper_stream stream;
    const char *payload; /* the event's object, with today's numbers */
    size_t length;
    const paper_frame *frame;              /* as recorded: prices and sizes */
    int64_t event_ms, update_id, trade_id; /* as in the payload; 0: none */
} paper_replay_event;

typedef void paper_replay_emit(void *owner, const paper_replay_event *event);

typedef struct paper_replay paper_replay;

/* Opens the files. NULL with the reason; a file without a single frame is one. */
paper_replay *paper_replay_open(const char *const *paths, size_t count, char *error,
                                size_t capacity);
void paper_replay_close(paper_replay *replay);
/* Emits what is due; returns the monotonic time of the next frame, or INT64_MAX where there is
 * none. */
int64_t paper_replay_run(paper_replay *replay, int64_t now_monotonic_ns, int64_t now_ms,
                         paper_replay_emit *emit, void *owner);
uint64_t paper_replay_passes(const paper_replay *replay);  /* times that it started anew */
uint64_t paper_replay_skipped(const paper_replay *replay); /* lines that were no frame */

#endif
