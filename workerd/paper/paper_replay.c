/*
 * Reading, merging, pacing and renumbering recorded frames. See the header for the promises.
 */
#include "workerd/paper/paper_replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define PAPER_REPLAY_GAP_NS 10000000LL   /* between the last frame and the first of the next pass */
#define PAPER_REPLAY_LAG_NS 2000000000LL /* more than this is skipped */
/* Ids of the first pass move on with the calendar, faster than any market counts: so they rise over
 * a restart of the venue as well, and nobody need remember where it was. */
#define PAPER_UPDATES_A_MS 1000
#define PAPER_TRADES_A_MS 10
#define PAPER_REPLAY_WINDOW (64 * 1024) /* zlib's buffer, a file */

typedef struct {
    gzFile file;
    char *line;       /* the next frame's line, PAPER_FRAME_MAX bytes */
    const char *text; /* the frame inside it */
    size_t length;
    int64_t receive_ns;
    bool ready;
} paper_reader;

/* What goes on rising over the seam, a symbol. */
typedef struct {
    char symbol[32];
    size_t length;
    uint64_t update_pass, trade_pass, depth_pass; /* the pass for which the shift was made, + 1 */
    int64_t update_shift, trade_shift;
    int64_t update_last, trade_last, depth_last;
    int64_t event_last[PAPER_STREAM_OTHER + 1], time_last[PAPER_STREAM_OTHER + 1];
} paper_sequence;

struct paper_replay {
    paper_reader readers[PAPER_REPLAY_FILES_MAX];
    size_t count;
    paper_sequence sequences[PAPER_REPLAY_SYMBOLS_MAX];
    size_t sequence_count;
    bool started;
    uint64_t pass, skipped;
    int64_t first_receive_ns, last_receive_ns; /* of this pass */
    int64_t start_ns;                          /* monotonic, of this pass */
    int64_t event_shift_ms;
    bool event_shift_set;
    char payload[PAPER_FRAME_MAX];
};

/* `<receive ns> <frame>` into the reader. */
static bool paper_reader_split(paper_reader *reader, size_t length)
{
    char *space = memchr(reader->line, ' ', length), *end = NULL;
    paper_frame frame;

    if (space == NULL) {
        return false;
    }
    reader->receive_ns = strtoll(reader->line, &end, 10);
    reader->text = space + 1;
    reader->length = length - (size_t)(reader->text - reader->line);
    return end == space && reader->receive_ns > 0 &&
           paper_frame_read(reader->text, reader->length, &frame);
}

/* The next frame of a file; lines that are none are counted and left out. */
static void paper_reader_next(paper_replay *replay, paper_reader *reader)
{
    reader->ready = false;
    while (gzgets(reader->file, reader->line, PAPER_FRAME_MAX) != NULL) {
        size_t length = strlen(reader->line);

        if (length > 0 && reader->line[length - 1] == '\n') {
            length--;
        }
        if (paper_reader_split(reader, length)) {
            reader->ready = true;
            return;
        }
        replay->skipped++;
    }
}

static paper_reader *paper_replay_earliest(paper_replay *replay)
{
    paper_reader *earliest = NULL;

    for (size_t i = 0; i < replay->count; i++) {
        paper_reader *reader = &replay->readers[i];

        if (reader->ready && (earliest == NULL || reader->receive_ns < earliest->receive_ns)) {
            earliest = reader;
        }
    }
    return earliest;
}

/* All files from their start. NULL: there is no frame in any of them. */
static paper_reader *paper_replay_rewind(paper_replay *replay)
{
    paper_reader *earliest;

    for (size_t i = 0; i < replay->count; i++) {
        if (gzrewind(replay->readers[i].file) == 0) {
            paper_reader_next(replay, &replay->readers[i]);
        }
    }
    earliest = paper_replay_earliest(replay);
    if (earliest != NULL) {
        replay->first_receive_ns = replay->last_receive_ns = earliest->receive_ns;
        replay->event_shift_set = false;
    }
    return earliest;
}

paper_replay *paper_replay_open(const char *const *paths, size_t count, char *error,
                                size_t capacity)
{
    paper_replay *replay = calloc(1, sizeof(*replay));

    if (replay == NULL || count > PAPER_REPLAY_FILES_MAX) {
        snprintf(error, capacity, "more than %d files to replay", PAPER_REPLAY_FILES_MAX);
        paper_replay_close(replay);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        paper_reader *reader = &replay->readers[i];

        reader->file = gzopen(paths[i], "rbe");
        reader->line = malloc(PAPER_FRAME_MAX);
        replay->count = i + 1;
        if (reader->file == NULL || reader->line == NULL ||
            gzbuffer(reader->file, PAPER_REPLAY_WINDOW) != 0) {
            snprintf(error, capacity, "%s cannot be opened", paths[i]);
            paper_replay_close(replay);
            return NULL;
        }
        paper_reader_next(replay, reader);
        if (!reader->ready) {
            snprintf(error, capacity, "%s holds no frame", paths[i]);
            paper_replay_close(replay);
            return NULL;
        }
    }
    replay->skipped = 0;
    paper_replay_rewind(replay);
    return replay;
}

void paper_replay_close(paper_replay *replay)
{
    if (replay == NULL) {
        return;
    }
    for (size_t i = 0; i < replay->count; i++) {
        if (replay->readers[i].file != NULL) {
            gzclose(replay->readers[i].file);
        }
        free(replay->readers[i].line);
    }
    free(replay);
}

static paper_sequence *paper_replay_sequence(paper_replay *replay, paper_span symbol)
{
    paper_sequence *sequence;

    for (size_t i = 0; i < replay->sequence_count; i++) {
        sequence = &replay->sequences[i];
        if (sequence->length == symbol.length &&
            memcmp(sequence->symbol, symbol.text, symbol.length) == 0) {
            return sequence;
        }
    }
    if (replay->sequence_count == PAPER_REPLAY_SYMBOLS_MAX ||
        symbol.length >= sizeof(sequence->symbol)) {
        return NULL;
    }
    sequence = &replay->sequences[replay->sequence_count++];
    memcpy(sequence->symbol, symbol.text, symbol.length);
    sequence->length = symbol.length;
    return sequence;
}

static int64_t paper_clamp(int64_t value, int64_t low, int64_t high)
{
    /* `low` wins: an event time that went backwards would freeze a client, one ahead would not. */
    value = value > high ? high : value;
    return value < low ? low : value;
}

/* Today's event and transaction time. */
static uint32_t paper_shift_times(paper_replay *replay, paper_sequence *sequence,
                                  enum paper_stream stream, const paper_frame *frame,
                                  int64_t now_ms, int64_t values[])
{
    int64_t event, time;
    uint32_t set = 0;

    if (paper_frame_number(frame, PAPER_FIELD_EVENT_TIME, &event)) {
        if (!replay->event_shift_set) {
            replay->event_shift_ms = now_ms > event ? now_ms - event : 0;
            replay->event_shift_set = true;
        }
        event = paper_clamp(event + replay->event_shift_ms, sequence->event_last[stream], now_ms);
        values[PAPER_FIELD_EVENT_TIME] = sequence->event_last[stream] = event;
        set |= 1U << PAPER_FIELD_EVENT_TIME;
    }
    if (paper_frame_number(frame, PAPER_FIELD_TIME, &time)) {
        time = paper_clamp(time + replay->event_shift_ms, sequence->time_last[stream], now_ms);
        values[PAPER_FIELD_TIME] = sequence->time_last[stream] = time;
        set |= 1U << PAPER_FIELD_TIME;
    }
    return set;
}

/* Today's update ids. The first id of a pass comes right after the last of the one before. */
static uint32_t paper_shift_updates(paper_replay *replay, paper_sequence *sequence,
                                    enum paper_stream stream, const paper_frame *frame,
                                    int64_t values[])
{
    int64_t last, first, previous;
    uint32_t set = 1U << PAPER_FIELD_UPDATE;

    if (!paper_frame_number(frame, PAPER_FIELD_UPDATE, &last)) {
        return 0;
    }
    if (!paper_frame_number(frame, PAPER_FIELD_FIRST, &first)) {
        first = last;
    }
    if (sequence->update_pass != replay->pass + 1) {
        sequence->update_shift = sequence->update_last == 0
                                     ? replay->event_shift_ms * PAPER_UPDATES_A_MS
                                     : sequence->update_last + 1 - first;
        sequence->update_pass = replay->pass + 1;
    }
    values[PAPER_FIELD_UPDATE] = last + sequence->update_shift;
    values[PAPER_FIELD_FIRST] = first + sequence->update_shift;
    if (values[PAPER_FIELD_UPDATE] > sequence->update_last) {
        sequence->update_last = values[PAPER_FIELD_UPDATE];
    }
    if (stream != PAPER_STREAM_DEPTH) {
        return set;
    }
    if (paper_frame_number(frame, PAPER_FIELD_PREVIOUS, &previous)) {
        bool seam = sequence->depth_pass != replay->pass + 1 && sequence->depth_last != 0;

        values[PAPER_FIELD_PREVIOUS] =
            seam ? sequence->depth_last : previous + sequence->update_shift;
        set |= 1U << PAPER_FIELD_PREVIOUS;
    }
    sequence->depth_pass = replay->pass + 1;
    sequence->depth_last = values[PAPER_FIELD_UPDATE];
    return set | (1U << PAPER_FIELD_FIRST);
}

static uint32_t paper_shift_trade(paper_replay *replay, paper_sequence *sequence,
                                  const paper_frame *frame, int64_t values[])
{
    int64_t trade;

    if (!paper_frame_number(frame, PAPER_FIELD_TRADE, &trade)) {
        return 0;
    }
    if (sequence->trade_pass != replay->pass + 1) {
        sequence->trade_shift = sequence->trade_last == 0
                                    ? replay->event_shift_ms * PAPER_TRADES_A_MS
                                    : sequence->trade_last + 1 - trade;
        sequence->trade_pass = replay->pass + 1;
    }
    trade += sequence->trade_shift;
    values[PAPER_FIELD_TRADE] = trade;
    sequence->trade_last = trade > sequence->trade_last ? trade : sequence->trade_last;
    return 1U << PAPER_FIELD_TRADE;
}

static enum paper_stream paper_stream_of(paper_span channel)
{
    static const char *const names[] = {"bookTicker", "depth@0ms", "trade"};

    for (int i = 0; i < PAPER_STREAM_OTHER; i++) {
        if (channel.length == strlen(names[i]) &&
            memcmp(channel.text, names[i], channel.length) == 0) {
            return (enum paper_stream)i;
        }
    }
    return PAPER_STREAM_OTHER;
}

static void paper_replay_event_out(paper_replay *replay, const paper_reader *reader, int64_t now_ms,
                                   paper_replay_emit *emit, void *owner)
{
    int64_t values[PAPER_FIELD_COUNT] = {0};
    paper_replay_event event = {0};
    paper_sequence *sequence;
    paper_frame frame;
    const char *at;
    uint32_t set;

    if (!paper_frame_read(reader->text, reader->length, &frame)) {
        return;
    }
    at = memchr(frame.stream.text, '@', frame.stream.length);
    if (at == NULL) {
        return;
    }
    event.symbol = (paper_span){frame.stream.text, (size_t)(at - frame.stream.text)};
    event.stream =
        paper_stream_of((paper_span){at + 1, frame.stream.length - event.symbol.length - 1});
    sequence = paper_replay_sequence(replay, event.symbol);
    if (sequence == NULL || event.stream == PAPER_STREAM_OTHER) {
        return;
    }
    set = paper_shift_times(replay, sequence, event.stream, &frame, now_ms, values);
    if (event.stream == PAPER_STREAM_TRADE) {
        set |= paper_shift_trade(replay, sequence, &frame, values);
    } else {
        set |= paper_shift_updates(replay, sequence, event.stream, &frame, values);
    }
    event.frame = &frame;
    event.payload = replay->payload;
    event.length =
        paper_frame_rewrite(&frame, set, values, replay->payload, sizeof(replay->payload));
    event.event_ms = values[PAPER_FIELD_EVENT_TIME];
    event.update_id = values[PAPER_FIELD_UPDATE];
    event.trade_id = values[PAPER_FIELD_TRADE];
    if (event.length > 0) {
        emit(owner, &event);
    }
}

int64_t paper_replay_run(paper_replay *replay, int64_t now_monotonic_ns, int64_t now_ms,
                         paper_replay_emit *emit, void *owner)
{
    if (!replay->started) {
        replay->started = true;
        replay->start_ns = now_monotonic_ns;
    }
    for (unsigned burst = 0; burst < PAPER_REPLAY_BURST; burst++) {
        paper_reader *reader = paper_replay_earliest(replay);
        int64_t due;

        if (reader == NULL) {
            replay->start_ns +=
                replay->last_receive_ns - replay->first_receive_ns + PAPER_REPLAY_GAP_NS;
            replay->pass++;
            reader = paper_replay_rewind(replay);
            if (reader == NULL) {
                return INT64_MAX;
            }
        }
        due = replay->start_ns + (reader->receive_ns - replay->first_receive_ns);
        if (due > now_monotonic_ns) {
            return due;
        }
        if (now_monotonic_ns - due > PAPER_REPLAY_LAG_NS) {
            replay->start_ns += now_monotonic_ns - due;
            replay->event_shift_set = false; /* the next event is of now again */
        }
        replay->last_receive_ns = reader->receive_ns;
        paper_replay_event_out(replay, reader, now_ms, emit, owner);
        paper_reader_next(replay, reader);
    }
    return now_monotonic_ns;
}

uint64_t paper_replay_passes(const paper_replay *replay)
{
    return replay->pass;
}

uint64_t paper_replay_skipped(const paper_replay *replay)
{
    return replay->skipped;
}
