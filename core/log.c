/*
 * The log: see log.h for the format and the promises.
 *
 * A line is built on the stack and leaves in one write of at most 4096 bytes, which a pipe takes
 * whole. Floods are counted per event name in a small fixed table. A count is told when its second
 * is over, by whichever event comes next; log_flush tells what is left before a process ends or
 * when it is idle.
 */
#include "core/log.h"
#include "core/clock.h"
#include "core/json.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define LOG_LINE_MAX 4096
#define LOG_LINE_ROOM (LOG_LINE_MAX - 32) /* what is left over ends a line that was cut */
#define LOG_EVENTS_MAX 64                 /* names whose rate is watched at a time */
#define LOG_EVENT_NAME_MAX 64
#define LOG_EVENTS_A_SECOND 20

typedef struct {
    char name[LOG_EVENT_NAME_MAX];
    int64_t since_ns; /* when its second began; 0 = free */
    uint32_t lines;
    uint32_t suppressed;
    enum log_level level;
} log_rate;

static struct {
    const char *role;
    enum log_level level;
    pthread_mutex_t lock; /* over the rates: a process may have threads */
    uint32_t pending;     /* rates with something suppressed */
    log_rate rates[LOG_EVENTS_MAX];
} log_state = {.role = "", .level = LOG_INFO, .lock = PTHREAD_MUTEX_INITIALIZER};

void log_start(const char *role, enum log_level level)
{
    log_state.role = role != NULL ? role : "";
    log_state.level = level;
}

static const char *log_level_name(enum log_level level)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};

    return (size_t)level < 4 ? names[level] : "error";
}

static void log_write(const char *line, size_t length)
{
    ssize_t written;

    do {
        written = write(STDERR_FILENO, line, length);
    } while (written < 0 && errno == EINTR);
}

static void log_begin(json_writer *writer, char line[LOG_LINE_MAX], enum log_level level,
                      const char *event)
{
    json_begin(writer, line, LOG_LINE_ROOM);
    json_object(writer);
    json_key(writer, "time");
    json_time(writer, clock_now_ns());
    json_key(writer, "level");
    json_string(writer, log_level_name(level));
    json_key(writer, "role");
    json_string(writer, log_state.role);
    json_key(writer, "pid");
    json_int(writer, getpid());
    json_key(writer, "event");
    json_string(writer, event);
}

static void log_end(json_writer *writer)
{
    writer->capacity = LOG_LINE_MAX;
    json_object_end(writer);
    if (!writer->failed) {
        writer->buffer[writer->length++] = '\n';
        log_write(writer->buffer, writer->length);
    }
}

static void log_tell_suppressed(log_rate *rate)
{
    char line[LOG_LINE_MAX];
    json_writer writer;

    log_begin(&writer, line, rate->level, rate->name);
    json_key(&writer, "suppressed");
    json_int(&writer, rate->suppressed);
    log_end(&writer);
    rate->suppressed = 0;
    log_state.pending--;
}

/* Tells every count whose second is over, or all of them. */
static void log_tell_pending(int64_t now_ns, bool all)
{
    for (size_t i = 0; log_state.pending > 0 && i < LOG_EVENTS_MAX; i++) {
        log_rate *rate = &log_state.rates[i];

        if (rate->suppressed > 0 && (all || now_ns - rate->since_ns >= CLOCK_SECOND_NS)) {
            log_tell_suppressed(rate);
        }
    }
}

/* The event's entry, or a free one, or the one that has been there longest. */
static log_rate *log_find_rate(const char *event)
{
    log_rate *oldest = &log_state.rates[0];

    for (size_t i = 0; i < LOG_EVENTS_MAX; i++) {
        log_rate *rate = &log_state.rates[i];

        if (rate->since_ns != 0 && strncmp(rate->name, event, LOG_EVENT_NAME_MAX - 1) == 0) {
            return rate;
        }
        if (rate->since_ns < oldest->since_ns) {
            oldest = rate;
        }
    }
    if (oldest->suppressed > 0) {
        log_tell_suppressed(oldest);
    }
    memset(oldest, 0, sizeof(*oldest));
    strncpy(oldest->name, event, LOG_EVENT_NAME_MAX - 1);
    return oldest;
}

/* False: the event's second is full; it is counted instead. */
static bool log_admit(const char *event, enum log_level level)
{
    int64_t now_ns = clock_monotonic_ns();
    log_rate *rate;

    log_tell_pending(now_ns, false);
    rate = log_find_rate(event);
    if (rate->since_ns == 0 || now_ns - rate->since_ns >= CLOCK_SECOND_NS) {
        rate->since_ns = now_ns;
        rate->lines = 0;
    }
    rate->level = level;
    if (rate->lines < LOG_EVENTS_A_SECOND) {
        rate->lines++;
        return true;
    }
    log_state.pending += rate->suppressed == 0;
    rate->suppressed++;
    return false;
}

static void log_put_value(json_writer *writer, const log_value *value)
{
    if (value == NULL) {
        json_null(writer);
        return;
    }
    switch (value->kind) {
    case LOG_KIND_TEXT:
        json_string(writer, value->text);
        return;
    case LOG_KIND_INT:
        json_int(writer, value->integer);
        return;
    case LOG_KIND_DEC:
        json_dec(writer, value->decimal);
        return;
    }
    json_null(writer);
}

static void log_put_fields(json_writer *writer, va_list fields)
{
    const char *key;

    while ((key = va_arg(fields, const char *)) != NULL) {
        const log_value *value = va_arg(fields, const log_value *);
        json_writer before = *writer;

        json_key(writer, key);
        log_put_value(writer, value);
        if (writer->failed) {
            *writer = before;
            writer->capacity = LOG_LINE_MAX;
            json_key(writer, "truncated");
            json_bool(writer, true);
            return;
        }
    }
}

void log_event(enum log_level level, const char *event, ...)
{
    int saved_errno = errno;
    char line[LOG_LINE_MAX];
    json_writer writer;
    va_list fields;
    bool admitted;

    if (level < log_state.level) {
        return;
    }
    pthread_mutex_lock(&log_state.lock);
    admitted = log_admit(event, level);
    pthread_mutex_unlock(&log_state.lock);
    if (admitted) {
        va_start(fields, event);
        log_begin(&writer, line, level, event);
        log_put_fields(&writer, fields);
        log_end(&writer);
        va_end(fields);
    }
    errno = saved_errno;
}

void log_flush(void)
{
    int saved_errno = errno;

    pthread_mutex_lock(&log_state.lock);
    log_tell_pending(0, true);
    pthread_mutex_unlock(&log_state.lock);
    errno = saved_errno;
}
