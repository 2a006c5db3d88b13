/*
 * Scanning and rewriting recorded frames. See the header for the promises.
 */
#include "workerd/paper/paper_frame.h"

#include "core/digits.h"

#include <string.h>

static const char *const paper_field_keys[PAPER_FIELD_COUNT] = {
    "e", "E", "T", "s", "u", "U", "pu", "t", "b", "B", "a", "A", "p", "q", "m"};

/* Past a string's closing quote, or NULL. `at` stands on the opening one. */
static const char *paper_skip_string(const char *at, const char *end)
{
    for (at++; at < end; at++) {
        if (*at == '\\') {
            at++;
        } else if (*at == '"') {
            return at + 1;
        }
    }
    return NULL;
}

/* Past any value, or NULL. */
static const char *paper_skip_value(const char *at, const char *end)
{
    int depth = 0;

    while (at != NULL && at < end) {
        if (*at == '"') {
            at = paper_skip_string(at, end);
            if (depth == 0) {
                return at;
            }
            continue;
        }
        if (*at == '{' || *at == '[') {
            depth++;
        } else if (*at == '}' || *at == ']') {
            if (depth == 0) {
                return at; /* the parent's end: a bare value ended here */
            }
            depth--;
            if (depth == 0) {
                return at + 1;
            }
        } else if (*at == ',' && depth == 0) {
            return at;
        }
        at++;
    }
    return NULL;
}

/* One `"key":value` at `at`; both spans without quotes. Past it, or NULL. */
static const char *paper_member(const char *at, const char *end, paper_span *key, paper_span *value)
{
    const char *stop;

    if (at >= end || *at != '"') {
        return NULL;
    }
    stop = paper_skip_string(at, end);
    if (stop == NULL || stop >= end || *stop != ':') {
        return NULL;
    }
    *key = (paper_span){at + 1, (size_t)(stop - at) - 2};
    at = stop + 1;
    stop = paper_skip_value(at, end);
    if (stop == NULL || stop == at) {
        return NULL;
    }
    *value = (paper_span){at, (size_t)(stop - at)};
    if (*at == '"') {
        *value = (paper_span){at + 1, (size_t)(stop - at) - 2};
    }
    return stop;
}

static bool paper_span_is(paper_span span, const char *text)
{
    return span.length == strlen(text) && memcmp(span.text, text, span.length) == 0;
}

static bool paper_read_data(paper_frame *frame)
{
    const char *at = frame->data.text + 1, *end = frame->data.text + frame->data.length;

    while (at < end && *at != '}') {
        paper_span key, value;

        at = paper_member(at, end, &key, &value);
        if (at == NULL) {
            return false;
        }
        for (int i = 0; i < PAPER_FIELD_COUNT; i++) {
            if (paper_span_is(key, paper_field_keys[i])) {
                frame->fields[i] = value;
            }
        }
        if (at < end && *at == ',') {
            at++;
        }
    }
    return at == end - 1;
}

bool paper_frame_read(const char *text, size_t length, paper_frame *frame)
{
    const char *at = text + 1, *end = text + length;

    *frame = (paper_frame){0};
    if (length < 2 || text[0] != '{') {
        return false;
    }
    while (at < end && *at != '}') {
        paper_span key, value;

        at = paper_member(at, end, &key, &value);
        if (at == NULL) {
            return false;
        }
        if (paper_span_is(key, "stream")) {
            frame->stream = value;
        } else if (paper_span_is(key, "data")) {
            frame->data = value;
        }
        if (at < end && *at == ',') {
            at++;
        }
    }
    return at == end - 1 && frame->stream.length > 0 && frame->data.length >= 2 &&
           frame->data.text[0] == '{' && paper_read_data(frame);
}

bool paper_frame_number(const paper_frame *frame, enum paper_field field, int64_t *out)
{
    paper_span span = frame->fields[field];
    int64_t value = 0;

    if (span.length < 1 || span.length > 18) {
        return false;
    }
    for (size_t i = 0; i < span.length; i++) {
        if (span.text[i] < '0' || span.text[i] > '9') {
            return false;
        }
        value = value * 10 + (span.text[i] - '0');
    }
    *out = value;
    return true;
}

/* The field of `set` that stands next in the text from `from` on, or -1. */
static int paper_next_field(const paper_frame *frame, uint32_t set, const char *from)
{
    int next = -1;

    for (int i = 0; i < PAPER_FIELD_COUNT; i++) {
        if ((set & (1U << i)) != 0 && frame->fields[i].text != NULL &&
            frame->fields[i].text >= from &&
            (next < 0 || frame->fields[i].text < frame->fields[next].text)) {
            next = i;
        }
    }
    return next;
}

size_t paper_frame_rewrite(const paper_frame *frame, uint32_t set,
                           const int64_t values[PAPER_FIELD_COUNT], char *out, size_t capacity)
{
    const char *at = frame->data.text, *end = at + frame->data.length;
    size_t length = 0;

    if (frame->data.length + PAPER_FIELD_COUNT * DIGITS_U64_MAX > capacity) {
        return 0;
    }
    for (;;) {
        int field = paper_next_field(frame, set, at);
        const char *stop = field < 0 ? end : frame->fields[field].text;

        memcpy(out + length, at, (size_t)(stop - at));
        length += (size_t)(stop - at);
        if (field < 0) {
            return length;
        }
        length += digits_put(out + length, (uint64_t)values[field]);
        at = stop + frame->fields[field].length;
    }
}
