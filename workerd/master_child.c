/*
 * Making and ending the master's children.
 *
 * Promises: a child begins with the signals, descriptors and privileges that its role needs and no
 * others; it is told when the master dies (PR_SET_PDEATHSIG), and a thread that waits on a pipe of
 * the master's sees to it that it is gone MASTER_GUARD_GRACE_S later, even where its loop hangs or
 * a change of user cleared the signal.
 */
#include "workerd/master_private.h"

#include "core/log.h"
#include "workerd/migrate.h"
#include "workerd/sign/sign_jail.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEEP_MAX (ROLE_SIGN_CLIENTS_MAX + 4)
#define GUARD_STACK (256 * 1024)
#define SCHEMA_POLL_MS 250
#define SCHEMA_TELL_EVERY 40 /* polls: every ten seconds */

static master_entry *const entries[SHM_ROLE_COUNT] = {
    [SHM_ROLE_FEED] = feed_role_run,     [SHM_ROLE_WATCH] = watch_role_run,
    [SHM_ROLE_TRADE] = trade_role_run,   [SHM_ROLE_SIGN] = sign_role_run,
    [SHM_ROLE_MIRROR] = mirror_role_run, [SHM_ROLE_NOTIFY] = notify_role_run,
    [SHM_ROLE_PAPER] = paper_role_run,
};

master_entry *master_entry_of(enum shm_role role)
{
    return (unsigned)role < SHM_ROLE_COUNT ? entries[role] : NULL;
}

enum log_level master_log_level(const whale_config *config)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(config->log_level, names[i]) == 0) {
            return (enum log_level)i;
        }
    }
    return LOG_INFO;
}

/*
 * Not a role: waits until Postgres answers and its schema is one that this binary runs on. In a
 * process of its own, so that neither the master nor anybody's health waits with it.
 */
static int schema_wait(const role_context *context)
{
    const whale_config *config = context->config;
    char error[MIGRATE_ERROR_MAX] = "";

    log_start("schema", master_log_level(config));
    for (unsigned polls = 0;; polls++) {
        enum migrate_check check =
            migrate_check(config->database, config->database_password_file, error);

        if (check == MIGRATE_FITS) {
            return EXIT_SUCCESS;
        }
        if (polls % SCHEMA_TELL_EVERY == 0) {
            log_event(check == MIGRATE_UNREACHABLE ? LOG_WARN : LOG_ERROR, "schema.waiting",
                      "error", LOG_TEXT(error), NULL);
        }
        usleep(SCHEMA_POLL_MS * 1000);
    }
}

/* `planned` NULL: the child that waits for the schema. */
void master_child_prepare(master_child *child, const master_planned *planned)
{
    memset(child, 0, sizeof(*child));
    if (planned == NULL) {
        child->is_schema = true;
        child->entry = schema_wait;
        child->plan = (master_planned){.role = SHM_ROLE_COUNT, .ends_first = true};
        snprintf(child->title, sizeof(child->title), "whale-schema");
        return;
    }
    child->plan = *planned;
    child->entry = master_entry_of(planned->role);
    if (planned->role == SHM_ROLE_TRADE) {
        snprintf(child->title, sizeof(child->title), "whale-trade-%u", planned->slot);
    } else {
        snprintf(child->title, sizeof(child->title), "whale-%s", shm_role_name(planned->role));
    }
}

/* ---- in the child --------------------------------------------------------------------------- */

static void *guard(void *argument)
{
    const int pipe_end = *(const int *)argument;
    char byte;

    /* Nobody ever writes: it returns when the last copy of the other end is closed. */
    while (read(pipe_end, &byte, 1) < 0 && errno == EINTR) {
    }
    kill(getpid(), SIGTERM);
    sleep(MASTER_GUARD_GRACE_S);
    kill(getpid(), SIGKILL);
    return NULL;
}

static void start_guard(const int *pipe_end)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    bool started;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the role's signals are its own */
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, GUARD_STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    started = pthread_create(&thread, &attributes, guard, (void *)(uintptr_t)pipe_end) == 0;
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!started) {
        log_event(LOG_WARN, "master.no_guard", NULL);
    }
}

static int compare_descriptors(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Closes all but stdin, stdout, stderr and `keep`. */
static void close_others(int *keep, unsigned count)
{
    unsigned first = STDERR_FILENO + 1;

    qsort(keep, count, sizeof(keep[0]), compare_descriptors);
    for (unsigned i = 0; i < count; i++) {
        if (keep[i] < (int)first) {
            continue;
        }
        if ((unsigned)keep[i] > first) {
            close_range(first, (unsigned)keep[i] - 1, 0);
        }
        first = (unsigned)keep[i] + 1;
    }
    close_range(first, UINT_MAX, 0);
}

static void keep_descriptors(const role_context *context, int guard_read)
{
    int keep[KEEP_MAX];
    unsigned count = 0;

    keep[count++] = guard_read;
    keep[count++] = context->sign_channel;
    keep[count++] = context->master_key_fd;
    keep[count++] = context->seal_private_key_fd;
    for (unsigned i = 0; i < context->sign_client_count; i++) {
        keep[count++] = context->sign_clients[i];
    }
    close_others(keep, count);
}

static void child_main(master *state, master_child *child, role_context *context)
{
    int status;

    prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    if (getppid() != state->pid) {
        _exit(EXIT_FAILURE); /* the master died before it could be watched */
    }
    setpgid(0, 0); /* Ctrl-C in a terminal is the master's to pass on, in its order */
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_SETMASK, &state->signals_before, NULL);
    master_title_set(child->title);
    unsetenv("NOTIFY_SOCKET"); /* the service manager hears from the master alone */
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    shm_close(state->segment);
    state->segment = NULL;
    keep_descriptors(context, state->guard_read);
    if (child->plan.role == SHM_ROLE_SIGN) {
        sign_jail_network(state->config.sign_user); /* before the guard makes a second thread */
    } else if (geteuid() != 0) {
        (void)sign_jail_capabilities(); /* they are for sign alone, which changes its user */
    }
    start_guard(&state->guard_read);
    status = child->entry(context);
    log_flush();
    exit(status);
}

/* ---- in the master ----------------------------------------------------------------------------
 */

bool master_child_start(master *state, master_child *child)
{
    role_context context = {
        .config = &state->config,
        .config_path = state->config_path,
        .slot = child->plan.slot,
        .parent_pid = state->pid,
        .sign_channel = -1,
        .master_key_fd = -1,
        .seal_private_key_fd = -1,
    };
    pid_t pid;

    if (!child->is_schema && !master_keys_give(state, &child->plan, &context)) {
        return false;
    }
    if (child->plan.role == SHM_ROLE_TRADE) {
        master_channel_drain(&state->channels[child->plan.slot]);
    }
    pid = fork();
    if (pid == 0) {
        child_main(state, child, &context);
    }
    master_keys_close(&context);
    if (pid < 0) {
        log_event(LOG_ERROR, "master.fork", "error", LOG_TEXT(strerror(errno)), NULL);
        return false;
    }
    child->pid = pid;
    child->started_ns = clock_monotonic_ns();
    child->kill_at_ns = 0;
    log_event(LOG_INFO, "master.started", "process", LOG_TEXT(child->title), "child", LOG_INT(pid),
              NULL);
    return true;
}

void master_child_end(master_child *child, int64_t now_ns)
{
    if (child->pid > 0 && child->kill_at_ns == 0) {
        kill(child->pid, SIGTERM);
        child->kill_at_ns = now_ns + MASTER_GRACE_NS;
    }
}

void master_child_ended(master *state, master_child *child, int status, int64_t now_ns)
{
    const bool asked = child->kill_at_ns != 0;
    const bool clean = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
    const int64_t ran_ns = now_ns - child->started_ns;

    child->pid = 0;
    if (child->is_schema && clean) {
        child->done = state->schema_fits = true;
        return;
    }
    log_event(asked || state->stopping ? LOG_INFO : LOG_ERROR, "master.ended", "process",
              LOG_TEXT(child->title), WIFSIGNALED(status) ? "signal" : "status",
              LOG_INT(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)), "ran_ms",
              LOG_INT(ran_ns / CLOCK_MS_NS), NULL);
    if (asked) {
        child->failures = 0;
    } else {
        child->failures = ran_ns >= MASTER_SETTLED_NS ? 1 : child->failures + 1;
    }
    child->kill_at_ns = 0;
    child->start_at_ns = now_ns + master_backoff_ns(child->failures);
}
