/*
 * The log, read from the other end of a pipe in the place of stderr: one line of JSON an event, one
 * write a line, floods counted, long lines cut at a field.
 */
#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int log_end, real_stderr;
static char line[16384];
static jsmntok_t tokens[1024];
static json_doc doc;

/* The next line, or false: each write arrives as one packet. */
static bool next_line(void)
{
    ssize_t length = recv(log_end, line, sizeof(line) - 1, MSG_DONTWAIT);

    if (length <= 0) {
        return false;
    }
    line[length] = '\0';
    assert_true(length <= 4096);
    assert_int_equal(line[length - 1], '\n');
    assert_null(memchr(line, '\n', (size_t)length - 1));
    assert_int_equal(json_parse(&doc, line, (size_t)length, tokens, 1024), JSON_OK);
    return true;
}

static bool field_is(const char *name, const char *value)
{
    return json_equals(&doc, json_at(&doc, 0, name), value);
}

static int64_t field_int(const char *name)
{
    int64_t value = -1;

    json_get_int(&doc, json_at(&doc, 0, name), &value);
    return value;
}

static int start(void **state)
{
    int ends[2];

    (void)state;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0) {
        return -1;
    }
    log_end = ends[0];
    fflush(stderr);
    real_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    log_start("test", LOG_INFO);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    log_flush();
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(log_end);
    return 0;
}

static void an_event_is_a_line_of_json(void **state)
{
    const char *text;
    size_t length;
    int64_t time_ns;

    (void)state;
    errno = 4242;
    log_event(LOG_WARN, "feed.silent", "venue", LOG_TEXT("bin\"ance\n"), "silence_ms",
              LOG_INT(-5200), "price", LOG_DEC(((dec){-15 * DEC_ONE.units / 10})), "nothing",
              LOG_TEXT(NULL), NULL);
    assert_int_equal(errno, 4242);
    assert_true(next_line());
    assert_true(field_is("level", "warn"));
    assert_true(field_is("role", "test"));
    assert_int_equal(field_int("pid"), getpid());
    assert_true(field_is("event", "feed.silent"));
    assert_true(field_is("venue", "bin\"ance\n"));
    assert_int_equal(field_int("silence_ms"), -5200);
    assert_true(field_is("price", "-1.5"));
    assert_true(json_is_string(&doc, json_at(&doc, 0, "price")));
    assert_true(json_is_null(&doc, json_at(&doc, 0, "nothing")));
    assert_true(json_slice(&doc, json_at(&doc, 0, "time"), &text, &length));
    assert_true(clock_parse(text, length, &time_ns));
    assert_true(clock_now_ns() - time_ns < 5 * CLOCK_SECOND_NS);
    assert_false(next_line());
}

static void levels_below_the_chosen_are_left_out(void **state)
{
    (void)state;
    log_event(LOG_DEBUG, "level.debug", NULL);
    assert_false(next_line());
    log_start("other", LOG_ERROR);
    log_event(LOG_WARN, "level.warn", NULL);
    assert_false(next_line());
    log_event(LOG_ERROR, "level.error", NULL);
    assert_true(next_line());
    assert_true(field_is("role", "other"));
    log_start(NULL, LOG_DEBUG);
    log_event(LOG_DEBUG, "level.debug", NULL);
    assert_true(next_line());
    assert_true(field_is("role", ""));
    log_start("test", LOG_INFO);
}

static void long_lines_are_cut_at_a_field(void **state)
{
    static char text[20000];
    int whole = 0, cut_before_last = 0, cut_before_long = 0;
    char event[32];

    (void)state;
    /* given a field of each length around the limit, then the line is JSON of at most 4096 bytes */
    for (size_t length = 3800; length < 4150; length++) {
        memset(text, 'x', length);
        text[length] = '\0';
        snprintf(event, sizeof(event), "long.%zu", length);
        log_event(LOG_INFO, event, "a", LOG_INT(1), "long", LOG_TEXT(text), "b", LOG_INT(2), NULL);
        assert_true(next_line());
        assert_int_equal(field_int("a"), 1);
        whole += json_at(&doc, 0, "b") >= 0;
        cut_before_last += json_at(&doc, 0, "long") >= 0 && field_is("truncated", "true");
        cut_before_long += json_at(&doc, 0, "long") < 0 && field_is("truncated", "true");
    }
    assert_true(whole > 0 && cut_before_last > 0 && cut_before_long > 0);
    assert_int_equal(whole + cut_before_last + cut_before_long, 350);
    /* escapes count as they are written, and a name that fits no line is no line */
    memset(text, '\x01', sizeof(text) - 1);
    log_event(LOG_INFO, "long.escapes", "long", LOG_TEXT(text), NULL);
    assert_true(next_line());
    assert_true(field_is("truncated", "true"));
    text[5000] = '\0';
    log_event(LOG_INFO, text, NULL);
    assert_false(next_line());
}

static int count_lines(const char *event, int64_t *suppressed)
{
    int count = 0;

    *suppressed = 0;
    while (next_line()) {
        if (field_is("event", event)) {
            if (json_at(&doc, 0, "suppressed") >= 0) {
                *suppressed += field_int("suppressed");
            } else {
                count++;
            }
        }
    }
    return count;
}

static void floods_are_counted(void **state)
{
    int64_t suppressed, first, second;

    (void)state;
    for (int i = 0; i < 100; i++) {
        log_event(LOG_WARN, "flood.one", "i", LOG_INT(i), NULL);
    }
    assert_int_equal(count_lines("flood.one", &suppressed), 20);
    assert_int_equal(suppressed, 0);
    /* another event is not held back, nor does it tell the count before the second is over */
    log_event(LOG_INFO, "flood.other", NULL);
    assert_int_equal(count_lines("flood.other", &suppressed), 1);
    usleep(1010000);
    /* whichever event comes next tells it */
    log_event(LOG_INFO, "flood.other", NULL);
    assert_true(next_line());
    assert_true(field_is("event", "flood.one"));
    assert_true(field_is("level", "warn"));
    assert_int_equal(field_int("suppressed"), 80);
    assert_true(next_line());
    assert_true(field_is("event", "flood.other"));
    /* and the event itself is free again */
    for (int i = 0; i < 25; i++) {
        log_event(LOG_WARN, "flood.one", NULL);
    }
    assert_int_equal(count_lines("flood.one", &first), 20);
    log_flush();
    assert_int_equal(count_lines("flood.one", &second), 0);
    assert_int_equal(first + second, 5);
    log_flush();
    assert_false(next_line());
}

static void more_names_than_are_watched_lose_no_count(void **state)
{
    int64_t suppressed = 0, lines = 0;
    char name[128];

    (void)state;
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "many.%d", i);
        for (int j = 0; j < 22; j++) {
            log_event(LOG_INFO, name, NULL);
            while (next_line()) {
                if (json_at(&doc, 0, "suppressed") >= 0) {
                    suppressed += field_int("suppressed");
                } else {
                    lines++;
                }
            }
        }
    }
    log_flush();
    while (next_line()) {
        suppressed += field_int("suppressed");
    }
    assert_int_equal(lines, 200 * 20);
    assert_int_equal(suppressed, 200 * 2);
    /* names longer than are kept still count as one */
    memset(name, 'n', 100);
    name[100] = '\0';
    for (int i = 0; i < 22; i++) {
        log_event(LOG_INFO, name, NULL);
    }
    lines = 0;
    while (next_line()) {
        lines++;
    }
    assert_int_equal(lines, 20);
    log_flush();
    assert_true(next_line());
    assert_int_equal(field_int("suppressed"), 2);
}

static void *log_many(void *name)
{
    for (int i = 0; i < 1000; i++) {
        log_event(LOG_INFO, name, "i", LOG_INT(i), NULL);
    }
    return NULL;
}

static void threads_share_the_log(void **state)
{
    static const char *const names[] = {"thread.a", "thread.b", "thread.a", "thread.c"};
    pthread_t threads[4];
    int64_t total = 0, suppressed = 0;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, (void *)names[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    log_flush();
    while (next_line()) {
        if (json_at(&doc, 0, "suppressed") >= 0) {
            suppressed += field_int("suppressed");
        } else {
            total++;
        }
    }
    assert_int_equal(total + suppressed, 4000);
    assert_true(total >= 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_event_is_a_line_of_json, start, stop),
        cmocka_unit_test_setup_teardown(levels_below_the_chosen_are_left_out, start, stop),
        cmocka_unit_test_setup_teardown(long_lines_are_cut_at_a_field, start, stop),
        cmocka_unit_test_setup_teardown(floods_are_counted, start, stop),
        cmocka_unit_test_setup_teardown(more_names_than_are_watched_lose_no_count, start, stop),
        cmocka_unit_test_setup_teardown(threads_share_the_log, start, stop),
    };

    return cmocka_run_group_tests_name("core_log", tests, NULL, NULL);
}
