/*
 * The master's loop: see master.h for the promises.
 *
 * One thread, no event library: signals are blocked and taken with sigtimedwait, a tick of
 * MASTER_TICK_NS does everything else. That keeps fork() safe and the process small.
 */
#include "workerd/master_private.h"

#include "core/log.h"
#include "workerd/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#define ERROR_MAX 512
#define NAMES_MAX 1024 /* directive names in one log line */

static master state;

/* ---- children -----------------------------------------------------------------------------------
 */

static void reap(int64_t now_ns)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (unsigned i = 0; i < state.child_count; i++) {
            if (state.children[i].pid == pid) {
                master_child_ended(&state, &state.children[i], status, now_ns);
                break;
            }
        }
    }
}

static void start_due(int64_t now_ns)
{
    for (unsigned i = 0; i < state.child_count; i++) {
        master_child *child = &state.children[i];

        if (child->pid != 0 || child->done || now_ns < child->start_at_ns ||
            (child->plan.needs_schema && !state.schema_fits)) {
            continue;
        }
        if (!master_child_start(&state, child)) {
            child->failures++;
            child->start_at_ns = now_ns + master_backoff_ns(child->failures);
        }
    }
}

static void kill_overdue(int64_t now_ns)
{
    for (unsigned i = 0; i < state.child_count; i++) {
        master_child *child = &state.children[i];

        if (child->pid > 0 && child->kill_at_ns != 0 && now_ns >= child->kill_at_ns) {
            log_event(LOG_ERROR, "master.killed", "process", LOG_TEXT(child->title), NULL);
            kill(child->pid, SIGKILL);
            child->kill_at_ns = INT64_MAX;
        }
    }
}

/* A role whose loop hangs holds leases and channels: better gone and started anew. */
static void kill_hung(void)
{
    shm_process_info processes[SHM_PROCESSES_MAX];
    size_t count = shm_processes(state.segment, processes, SHM_PROCESSES_MAX);

    for (size_t i = 0; i < count; i++) {
        for (unsigned c = 0; c < state.child_count; c++) {
            master_child *child = &state.children[c];

            if (child->pid > 0 && child->pid == processes[i].pid &&
                processes[i].beat_age_ns > MASTER_HUNG_NS && child->kill_at_ns == 0) {
                log_event(LOG_ERROR, "master.hung", "process", LOG_TEXT(child->title), NULL);
                kill(child->pid, SIGKILL);
            }
        }
    }
}

/* ---- stopping -----------------------------------------------------------------------------------
 */

static unsigned running(bool first_only)
{
    unsigned count = 0;

    for (unsigned i = 0; i < state.child_count; i++) {
        if (state.children[i].pid > 0 && (!first_only || state.children[i].plan.ends_first)) {
            count++;
        }
    }
    return count;
}

static void stop_begin(int number, int64_t now_ns)
{
    if (state.stopping) {
        return;
    }
    state.stopping = true;
    state.stopping_since_ns = now_ns;
    log_event(LOG_INFO, "master.stopping", "signal", LOG_INT(number), NULL);
    sd_notify(0, "STOPPING=1");
}

/* What finishes orders goes first, while prices, signer and venue are still there. */
static void stop_step(int64_t now_ns)
{
    const int64_t since_ns = now_ns - state.stopping_since_ns;
    const bool all = running(true) == 0 || since_ns >= MASTER_FIRST_GRACE_NS;

    for (unsigned i = 0; i < state.child_count; i++) {
        master_child *child = &state.children[i];

        if (all || child->plan.ends_first) {
            master_child_end(child, now_ns);
        }
        if (child->pid > 0 && since_ns >= MASTER_GRACE_NS && child->kill_at_ns != INT64_MAX) {
            child->kill_at_ns = now_ns;
        }
    }
}

/* ---- configuration ------------------------------------------------------------------------------
 */

static void directive_names(uint64_t set, char names[NAMES_MAX])
{
    size_t length = 0;

    names[0] = '\0';
    for (size_t i = 0; i < config_directive_count; i++) {
        if ((set >> i & 1) != 0 && length < NAMES_MAX) {
            length += (size_t)snprintf(names + length, NAMES_MAX - length, "%s%s",
                                       length > 0 ? " " : "", config_directives[i].name);
        }
    }
}

static void reload(int64_t now_ns)
{
    static whale_config fresh, merged;
    char error[CONFIG_ERROR_MAX] = "", names[NAMES_MAX];
    master_change change;

    config_defaults(&fresh);
    if (!config_read(&fresh, state.config_path, error)) {
        log_event(LOG_ERROR, "master.reload_refused", "error", LOG_TEXT(error), NULL);
        return;
    }
    master_plan_change(&state.config, &fresh, &merged, &change);
    state.config = merged;
    shm_set_config_hash(state.segment, config_hash(&state.config));
    log_start("master", master_log_level(&state.config));
    directive_names(change.changed & ~change.waiting, names);
    log_event(LOG_INFO, "master.reloaded", "changed", LOG_TEXT(names), NULL);
    if (change.waiting != 0) {
        directive_names(change.waiting, names);
        log_event(LOG_WARN, "master.restart_needed", "directives", LOG_TEXT(names), NULL);
    }
    for (unsigned i = 0; i < state.child_count; i++) {
        master_child *child = &state.children[i];

        if (!child->is_schema && (change.restart_roles >> child->plan.role & 1) != 0) {
            master_child_end(child, now_ns);
        }
    }
}

/* ---- the loop -----------------------------------------------------------------------------------
 */

static void take_signal(int64_t now_ns)
{
    const struct timespec tick = {0, MASTER_TICK_NS};
    sigset_t wanted;
    int number;

    sigemptyset(&wanted);
    sigaddset(&wanted, SIGCHLD);
    sigaddset(&wanted, SIGHUP);
    sigaddset(&wanted, SIGINT);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGQUIT);
    number = sigtimedwait(&wanted, NULL, &tick);
    if (number == SIGHUP && !state.stopping) {
        sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(clock_monotonic_ns() / 1000));
        reload(now_ns);
        sd_notify(0, "READY=1");
    }
    if (number == SIGTERM || number == SIGINT || number == SIGQUIT) {
        stop_begin(number, now_ns);
    }
}

static void beat(int64_t now_ns)
{
    if (now_ns - state.beat_ns >= MASTER_BEAT_NS) {
        state.beat_ns = now_ns;
        shm_process_beat(state.process);
        kill_hung();
    }
    if (state.watchdog_every_ns > 0 && now_ns - state.watchdog_ns >= state.watchdog_every_ns) {
        state.watchdog_ns = now_ns;
        sd_notify(0, "WATCHDOG=1");
    }
}

static void loop(void)
{
    uint64_t watchdog_us = 0;

    if (sd_watchdog_enabled(0, &watchdog_us) > 0) {
        state.watchdog_every_ns = (int64_t)watchdog_us * 1000 / 3;
    }
    start_due(clock_monotonic_ns());
    sd_notify(0, "READY=1");
    log_event(LOG_INFO, "master.ready", "roles", LOG_INT(running(false)), NULL);
    while (!state.stopping || running(false) > 0) {
        int64_t now_ns;

        take_signal(clock_monotonic_ns());
        now_ns = clock_monotonic_ns();
        reap(now_ns);
        beat(now_ns);
        kill_overdue(now_ns);
        if (state.stopping) {
            stop_step(now_ns);
        } else {
            start_due(now_ns);
        }
    }
}

/* ---- starting -----------------------------------------------------------------------------------
 */

static bool open_segment(void)
{
    pid_t owner = master_segment_owner(state.config.shm_path);
    char error[ERROR_MAX] = "";

    if (owner != 0) {
        command_error("another workerd (pid %d) runs with %s", (int)owner, state.config.shm_path);
        return false;
    }
    if (!master_segment_make(&state.config, error, sizeof(error))) {
        command_error("%s", error);
        return false;
    }
    state.segment = shm_open_writer(state.config.shm_path, error, sizeof(error));
    if (state.segment == NULL) {
        command_error("%s", error);
        return false;
    }
    state.process = shm_process_join(state.segment, SHM_ROLE_MASTER, 0);
    shm_process_beat(state.process);
    return true;
}

static void prepare_children(void)
{
    master_plan plan;
    bool schema = false;

    master_plan_roles(&state.config, &plan);
    for (unsigned i = 0; i < plan.count; i++) {
        master_child_prepare(&state.children[state.child_count++], &plan.roles[i]);
        schema = schema || plan.roles[i].needs_schema;
    }
    if (schema) {
        master_child_prepare(&state.children[state.child_count++], NULL);
    }
    for (unsigned role = 0; role < SHM_ROLE_COUNT; role++) {
        if (plan.left_out[role] != NULL) {
            log_event(LOG_WARN, "master.role_left_out", "part",
                      LOG_TEXT(shm_role_name((enum shm_role)role)), "reason",
                      LOG_TEXT(plan.left_out[role]), NULL);
        }
    }
}

static bool block_signals(void)
{
    sigset_t all;

    signal(SIGPIPE, SIG_IGN);
    sigfillset(&all);
    return sigprocmask(SIG_SETMASK, &all, &state.signals_before) == 0;
}

int master_run(whale_config *config, const char *path)
{
    int guard[2];

    state.config = *config;
    state.pid = getpid();
    if (realpath(path, state.config_path) == NULL) {
        command_error("%s: %s", path, strerror(errno));
        return COMMAND_FAILED;
    }
    log_start("master", master_log_level(&state.config));
    if (!open_segment()) {
        return COMMAND_FAILED;
    }
    if (pipe2(guard, O_CLOEXEC) != 0 ||
        !master_channels_open(&state, (unsigned)state.config.trade_processes) || !block_signals()) {
        command_error("cannot start: %s", strerror(errno));
        return COMMAND_FAILED;
    }
    state.guard_read = guard[0];
    state.guard_write = guard[1];
    prepare_children();
    loop();
    log_event(LOG_INFO, "master.ended_all", NULL);
    log_flush();
    shm_close(state.segment);
    return COMMAND_OK;
}
