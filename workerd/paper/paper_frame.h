/*
 * A recorded combined frame, `{"stream":"btcusdt@trade","data":{…}}`: where its values stand, and
 * the same event with other numbers.
 *
 * Promises: no allocation; positions lie inside the text given; a frame that is not such an object
 * is refused, never half read. Values of data's own members only; what is nested in them is
 * skipped.
 */
#ifndef WHALE_PAPER_FRAME_H
#define WHALE_PAPER_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAPER_FRAME_MAX (128 * 1024) /* the largest recorded one has 42 kB */

enum paper_field {
    PAPER_FIELD_EVENT,      /* e */
    PAPER_FIELD_EVENT_TIME, /* E */
    PAPER_FIELD_TIME,       /* T */
    PAPER_FIELD_SYMBOL,     /* s */
    PAPER_FIELD_UPDATE,     /* u: last update id */
    PAPER_FIELD_FIRST,      /* U: first update id */
    PAPER_FIELD_PREVIOUS,   /* pu: the event before */
    PAPER_FIELD_TRADE,      /* t */
    PAPER_FIELD_BID,        /* b */
    PAPER_FIELD_BID_SIZE,   /* B */
    PAPER_FIELD_ASK,        /* a */
    PAPER_FIELD_ASK_SIZE,   /* A */
    PAPER_FIELD_PRICE,      /* p */
    PAPER_FIELD_QUANTITY,   /* q */
    PAPER_FIELD_MAKER,      /* m */
    PAPER_FIELD_COUNT,
};

typedef struct {
    const char *text; /* without the quotes of a string; NULL: no such member */
    size_t length;
} paper_span;

typedef struct {
    paper_span stream; /* "btcusdt@trade" */
    paper_span data;   /* the object, braces included */
    paper_span fields[PAPER_FIELD_COUNT];
} paper_frame;

bool paper_frame_read(const char *text, size_t length, paper_frame *frame);
bool paper_frame_number(const paper_frame *frame, enum paper_field field, int64_t *out);
/*
 * The data object with new numbers in place of those fields that `set` names (bit per field; only
 * fields that are there are written). Returns the length, 0 where it does not fit.
 */
size_t paper_frame_rewrite(const paper_frame *frame, uint32_t set,
                           const int64_t values[PAPER_FIELD_COUNT], char *out, size_t capacity);

#endif
