/*
 * The roles' loop, each in a forked process as the master would start it: beats, stalls, and every
 * way to end.
 */
#include "workerd/net/net_loop.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 20000

static char directory[] = "/tmp/whale_test_loop_XXXXXX";
static whale_config config;
static shm_segment *reader;
static pid_t stubborn; /* started first, as it takes its ten seconds to die */

/* ---- roles, each in a process of its own ----------------------------------------------------- */

typedef struct {
    net_loop *loop;
    uv_timer_t timer;
    int stops;
} role;

static void on_stopping(void *owner)
{
    role *r = owner;

    r->stops++;
    if (r->loop != NULL) {
        net_loop_stop(r->loop, 40 + r->stops);
    }
}

static void on_stopping_slowly(void *owner)
{
    role *r = owner;

    r->stops++; /* and goes on: something is still in flight */
}

static void block_once(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, NULL);
    usleep(150000);
}

static role_context context_of(unsigned slot)
{
    return (role_context){
        .config = &config, .slot = slot, .sign_channel = -1, .parent_pid = getppid()};
}

static int run_role(unsigned slot, net_loop_stopping *stopping, uv_timer_cb timer_cb)
{
    role r = {0};
    role_context context = context_of(slot);
    int status;

    r.loop = net_loop_new(&context, SHM_ROLE_TRADE, stopping, &r);
    if (r.loop == NULL) {
        return 1;
    }
    if (timer_cb != NULL) {
        uv_timer_init(net_loop_uv(r.loop), &r.timer);
        uv_timer_start(&r.timer, timer_cb, 1, 0);
    }
    status = net_loop_run(r.loop);
    net_loop_free(r.loop);
    return status;
}

static void hush(void)
{
    if (freopen("/dev/null", "w", stderr) == NULL) {
        _exit(2);
    }
}

static pid_t start_role(unsigned slot, net_loop_stopping *stopping, uv_timer_cb timer_cb)
{
    pid_t pid = fork();

    if (pid == 0) {
        hush();
        _exit(run_role(slot, stopping, timer_cb));
    }
    return pid;
}

/* ---- what the test sees ---------------------------------------------------------------------- */

static bool is_beating(unsigned slot, int32_t pid)
{
    shm_process_info found[SHM_PROCESSES_MAX];
    size_t count = shm_processes(reader, found, SHM_PROCESSES_MAX);

    for (size_t i = 0; i < count; i++) {
        if (found[i].role == SHM_ROLE_TRADE && found[i].slot == slot && found[i].pid == pid) {
            return true;
        }
    }
    return false;
}

static void wait_until_beating(unsigned slot, pid_t pid)
{
    for (int i = 0; i < WAIT_MS && !is_beating(slot, pid); i++) {
        usleep(1000);
    }
    assert_true(is_beating(slot, pid));
    usleep(50000); /* joined the table: the handlers follow at once */
}

static int status_of(pid_t pid)
{
    int status = 0;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int make_segment(void **state)
{
    shm_options options = {
        .instruments = 64, .users = 64, .positions = 64, .signals = 64, .mode = 0640, .group = -1};
    char error[256] = "";

    (void)state;
    assert_non_null(mkdtemp(directory));
    config_defaults(&config);
    snprintf(config.shm_path, sizeof(config.shm_path), "%s/segment", directory);
    assert_true(shm_create(config.shm_path, &options, error, sizeof(error)));
    reader = shm_open_reader(config.shm_path);
    assert_non_null(reader);
    shm_refresh(reader);
    stubborn = start_role(9, on_stopping_slowly, NULL);
    wait_until_beating(9, stubborn);
    kill(stubborn, SIGTERM);
    return 0;
}

static int drop_segment(void **state)
{
    (void)state;
    shm_close(reader);
    unlink(config.shm_path);
    rmdir(directory);
    return 0;
}

static void test_signals_begin_the_end(void **state)
{
    static const int signals[] = {SIGTERM, SIGINT};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        pid_t pid = start_role(i, on_stopping, NULL);

        wait_until_beating(i, pid);
        kill(pid, SIGHUP); /* the master's business */
        kill(pid, signals[i]);
        assert_int_equal(status_of(pid), 41);
    }
}

static void test_the_end_begins_once(void **state)
{
    pid_t pid = start_role(3, on_stopping_slowly, NULL);

    (void)state;
    wait_until_beating(3, pid);
    for (int i = 0; i < 3; i++) {
        kill(pid, SIGTERM);
        usleep(20000);
    }
    assert_int_equal(kill(pid, 0), 0); /* still finishing what is in flight */
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void test_the_masters_death_begins_the_end(void **state)
{
    int ends[2];
    pid_t master;
    int32_t status = 0;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    master = fork();
    if (master == 0) {
        if (fork() == 0) {
            hush();
            status = run_role(4, on_stopping, NULL);
            (void)!write(ends[1], &status, sizeof(status));
            _exit(0);
        }
        usleep(400000);
        _exit(0);
    }
    assert_int_equal(waitpid(master, NULL, 0), master);
    assert_int_equal(read(ends[0], &status, sizeof(status)), sizeof(status));
    assert_int_equal(status, 41);
    close(ends[0]);
    close(ends[1]);
}

static void test_long_turns_are_counted(void **state)
{
    uint64_t before = shm_counter_total(reader, SHM_loop_stalls_total);
    pid_t pid = start_role(5, on_stopping, block_once);

    (void)state;
    wait_until_beating(5, pid);
    for (int i = 0; i < WAIT_MS && shm_counter_total(reader, SHM_loop_stalls_total) == before;
         i++) {
        usleep(1000);
    }
    assert_int_equal(shm_counter_total(reader, SHM_loop_stalls_total), before + 1);
    kill(pid, SIGTERM);
    assert_int_equal(status_of(pid), 41);
}

static void test_no_segment_no_loop(void **state)
{
    pid_t pid;

    (void)state;
    strcat(config.shm_path, ".absent");
    pid = start_role(6, on_stopping, NULL);
    config.shm_path[strlen(config.shm_path) - strlen(".absent")] = '\0';
    assert_int_equal(status_of(pid), 1);
}

static void test_a_role_that_does_not_end_is_ended(void **state)
{
    (void)state;
    assert_int_equal(status_of(stubborn), EXIT_FAILURE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signals_begin_the_end),
        cmocka_unit_test(test_the_end_begins_once),
        cmocka_unit_test(test_the_masters_death_begins_the_end),
        cmocka_unit_test(test_long_turns_are_counted),
        cmocka_unit_test(test_no_segment_no_loop),
        cmocka_unit_test(test_a_role_that_does_not_end_is_ended),
    };

    return cmocka_run_group_tests(tests, make_segment, drop_segment);
}
