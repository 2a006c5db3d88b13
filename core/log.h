/*
 * Structured log: one JSON line an event on stderr, written with one write(2).
 *
 * Promises: user ids, never names; never a secret, a body, a DSN or a URL with a token. Lines
 * longer than 4 kB are cut at a field. A flood of the same event is counted: at most 20 lines a
 * second of one event name, then one line with `"suppressed":n`.
 */
#ifndef WHALE_CORE_LOG_H
#define WHALE_CORE_LOG_H

#include "core/dec.h"

#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* `role` is a literal ("trade"); it stands in every line with the pid. Default level: info. */
void log_start(const char *role, enum log_level level);

/*
 *     log_event(LOG_WARN, "feed.silent", "venue", LOG_TEXT("binance"), "ms", LOG_INT(5200), NULL);
 *
 * Event names are `part.event`. Fields are key, value pairs that end with NULL.
 */
typedef struct {
    enum { LOG_KIND_TEXT, LOG_KIND_INT, LOG_KIND_DEC } kind;
    const char *text;
    int64_t integer;
    dec decimal;
} log_value;

#define LOG_TEXT(value) (&(log_value){.kind = LOG_KIND_TEXT, .text = (value)})
#define LOG_INT(value) (&(log_value){.kind = LOG_KIND_INT, .integer = (int64_t)(value)})
#define LOG_DEC(value) (&(log_value){.kind = LOG_KIND_DEC, .decimal = (value)})

void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));

/* Tells the counts of what was suppressed and not yet told; before a process ends, or when it is
 * idle. */
void log_flush(void);

#endif
