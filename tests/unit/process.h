/*
 * Running the workerd that was built beside this test, as a user would: command lines,
 * configuration files, signals.
 */
#ifndef WHALE_TESTS_PROCESS_H
#define WHALE_TESTS_PROCESS_H

#include "core/clock.h"
#include "core/json.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PROCESS_OUTPUT_MAX (128 * 1024)
#define PROCESS_ARGUMENTS_MAX 12
#define PROCESS_WAIT_S 60

static char process_directory[64]; /* for configurations, keys and logs */

#define wait_until(condition)                                                                      \
    do {                                                                                           \
        const int64_t end_ns = clock_monotonic_ns() + PROCESS_WAIT_S * CLOCK_SECOND_NS;            \
                                                                                                   \
        while (!(condition)) {                                                                     \
            if (clock_monotonic_ns() > end_ns) {                                                   \
                fail_msg("this did not come true: %s", #condition);                                \
            }                                                                                      \
            usleep(20000);                                                                         \
        }                                                                                          \
    } while (0)

__attribute__((unused)) static void process_start_directory(void)
{
    snprintf(process_directory, sizeof(process_directory), "/tmp/whale-test-XXXXXX");
    assert_non_null(mkdtemp(process_directory));
}

__attribute__((unused)) static void process_end_directory(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", process_directory);
    assert_int_equal(system(command), 0);
}

/* build/release/tests/unit/NAME -> build/release/workerd */
static const char *process_program(void)
{
    static char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 16);

    assert_true(length > 0);
    path[length] = '\0';
    for (int i = 0; i < 3; i++) {
        char *slash = strrchr(path, '/');

        assert_non_null(slash);
        *slash = '\0';
    }
    strcat(path, "/workerd");
    if (access(path, X_OK) != 0) {
        fail_msg("%s is not built", path);
    }
    return path;
}

/* A file of this directory with this text; its path. */
__attribute__((unused)) static const char *process_file(const char *name, const char *text)
{
    static char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", process_directory, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
    return path;
}

/* Starts it with arguments up to NULL; stdout and stderr go to `log` of the directory. */
__attribute__((unused)) static pid_t process_begin(const char *log, ...)
{
    const char *arguments[PROCESS_ARGUMENTS_MAX + 2] = {process_program()};
    char path[128];
    va_list list;
    pid_t pid;
    int file;

    va_start(list, log);
    for (int i = 1; i <= PROCESS_ARGUMENTS_MAX; i++) {
        arguments[i] = va_arg(list, const char *);
        if (arguments[i] == NULL) {
            break;
        }
    }
    va_end(list);
    snprintf(path, sizeof(path), "%s/%s", process_directory, log);
    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(file, STDOUT_FILENO);
        dup2(file, STDERR_FILENO);
        execv(arguments[0], (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    return pid;
}

/* The exit status, or 256 + signal. */
__attribute__((unused)) static int process_end(pid_t pid)
{
    int status = 0;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* What a log holds now. Overwritten by the next call. */
__attribute__((unused)) static const char *process_output(const char *log)
{
    static char text[PROCESS_OUTPUT_MAX];
    char path[128];
    ssize_t length;
    int file;

    snprintf(path, sizeof(path), "%s/%s", process_directory, log);
    file = open(path, O_RDONLY);
    length = file >= 0 ? read(file, text, sizeof(text) - 1) : 0;
    text[length > 0 ? length : 0] = '\0';
    if (file >= 0) {
        close(file);
    }
    return text;
}

/* Whether this process runs; one that nobody has waited for yet does not. */
__attribute__((unused)) static bool process_alive(pid_t pid)
{
    char path[64], text[256] = "";
    const char *state;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    if (fgets(text, sizeof(text), file) == NULL) {
        text[0] = '\0';
    }
    fclose(file);
    state = strrchr(text, ')');
    return state != NULL && state[1] == ' ' && state[2] != 'Z' && state[2] != 'X';
}

/* `workerd status --json`, parsed. False while there is no live segment. */
typedef struct {
    char text[PROCESS_OUTPUT_MAX];
    jsmntok_t tokens[8192];
    json_doc doc;
} process_status;

__attribute__((unused)) static bool process_look(const char *config, process_status *status)
{
    pid_t pid = process_begin("status", "status", "--json", "-c", config, NULL);
    bool live = process_end(pid) == 0;

    snprintf(status->text, sizeof(status->text), "%s", process_output("status"));
    return json_parse(&status->doc, status->text, strlen(status->text), status->tokens, 8192) ==
               JSON_OK &&
           live;
}

/* The pid of a role's process that beats, by the status; 0 where there is none. */
__attribute__((unused)) static pid_t process_of(const process_status *status, const char *role)
{
    const json_doc *doc = &status->doc;
    const int list = json_at(doc, 0, "processes");

    for (int it = json_first(doc, list); it >= 0; it = json_next(doc, it)) {
        int64_t pid, age;

        if (json_equals(doc, json_at(doc, it, "role"), role) &&
            json_get_int(doc, json_at(doc, it, "pid"), &pid) &&
            json_get_int(doc, json_at(doc, it, "beat_age_ms"), &age) && age >= 0 &&
            process_alive((pid_t)pid)) {
            return (pid_t)pid;
        }
    }
    return 0;
}

#endif
