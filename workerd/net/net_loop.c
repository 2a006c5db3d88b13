/*
 * What every role's loop needs: signals, the heartbeat, a stall counter, and a bounded end.
 *
 * Promises: `stopping` is called at most once, whichever of SIGTERM, SIGINT or the master's death
 * comes first; the process is gone NET_LOOP_GRACE_MS later, whatever the role does; a turn of the
 * loop over NET_LOOP_STALL_NS is counted. Own handles do not keep the loop alive once it was
 * stopped.
 */
#include "workerd/net/net_loop.h"

#include "core/clock.h"
#include "core/crypto.h"
#include "core/log.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NET_LOOP_BEAT_MS 250
#define NET_LOOP_STALL_NS (100 * CLOCK_MS_NS)
#define NET_LOOP_GRACE_MS 10000
#define NET_LOOP_DRAIN_MS 1000 /* for handles that a role closed late, after net_loop_stop */
#define NET_LOOP_ERROR_MAX 256

struct net_loop {
    uv_loop_t uv;
    uv_signal_t terminate, interrupt;
    uv_timer_t beat, end;
    uv_prepare_t turn;
    shm_segment *segment;
    shm_process *process;
    net_loop_stopping *stopping;
    void *owner;
    int64_t turn_started_ns, idle_ns;
    int parent_pid, status;
    bool uv_open, is_stopping, is_stopped;
};

static enum log_level level_of(const char *name)
{
    static const struct {
        const char *name;
        enum log_level level;
    } levels[] = {
        {"debug", LOG_DEBUG}, {"info", LOG_INFO}, {"warn", LOG_WARN}, {"error", LOG_ERROR}};

    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (strcmp(name, levels[i].name) == 0) {
            return levels[i].level;
        }
    }
    return LOG_INFO;
}

/* The role had its ten seconds. Nothing is lost by leaving now: Postgres is the truth. */
static void on_grace_over(uv_timer_t *timer)
{
    (void)timer;
    log_event(LOG_ERROR, "loop.killed", "grace_ms", LOG_INT(NET_LOOP_GRACE_MS), NULL);
    _exit(EXIT_FAILURE);
}

static void on_drain_over(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void begin_to_end(net_loop *loop, const char *reason)
{
    if (loop->is_stopping || loop->is_stopped) {
        return;
    }
    loop->is_stopping = true;
    log_event(LOG_INFO, "loop.stopping", "reason", LOG_TEXT(reason), NULL);
    uv_timer_start(&loop->end, on_grace_over, NET_LOOP_GRACE_MS, 0);
    loop->stopping(loop->owner);
}

static void on_signal(uv_signal_t *handle, int number)
{
    begin_to_end(handle->data, number == SIGINT ? "SIGINT" : "SIGTERM");
}

static void on_beat(uv_timer_t *timer)
{
    net_loop *loop = timer->data;

    shm_process_beat(loop->process);
    /* PR_SET_PDEATHSIG is lost where the master died before it was set; this is not. */
    if (loop->parent_pid > 0 && getppid() != loop->parent_pid) {
        begin_to_end(loop, "master gone");
    }
}

/*
 * Runs just before the loop waits. libuv calls I/O callbacks inside its poll phase, so a check
 * handle would miss them; the time since the last turn less the time spent waiting is what
 * callbacks took.
 */
static void on_turn(uv_prepare_t *prepare)
{
    net_loop *loop = prepare->data;
    int64_t now_ns = (int64_t)uv_hrtime();
    int64_t idle_ns = (int64_t)uv_metrics_idle_time(&loop->uv);
    int64_t busy_ns = now_ns - loop->turn_started_ns - (idle_ns - loop->idle_ns);

    if (busy_ns > NET_LOOP_STALL_NS) {
        shm_count(loop->process, SHM_loop_stalls_total, 1);
        log_event(LOG_WARN, "loop.stall", "busy_ms", LOG_INT(busy_ns / CLOCK_MS_NS), NULL);
    }
    loop->turn_started_ns = now_ns;
    loop->idle_ns = idle_ns;
}

static bool open_segment(net_loop *loop, const role_context *context, enum shm_role role)
{
    char error[NET_LOOP_ERROR_MAX] = "";

    loop->segment = shm_open_writer(context->config->shm_path, error, sizeof(error));
    if (loop->segment == NULL) {
        log_event(LOG_ERROR, "loop.segment", "error", LOG_TEXT(error), NULL);
        return false;
    }
    loop->process = shm_process_join(loop->segment, role, context->slot);
    if (loop->process == NULL) {
        log_event(LOG_ERROR, "loop.segment", "error", LOG_TEXT("the process table is full"), NULL);
        return false;
    }
    shm_process_beat(loop->process);
    return true;
}

static bool start_handles(net_loop *loop)
{
    uv_signal_init(&loop->uv, &loop->terminate);
    uv_signal_init(&loop->uv, &loop->interrupt);
    uv_timer_init(&loop->uv, &loop->beat);
    uv_timer_init(&loop->uv, &loop->end);
    uv_prepare_init(&loop->uv, &loop->turn);
    loop->terminate.data = loop->interrupt.data = loop->beat.data = loop->turn.data = loop;
    return uv_signal_start(&loop->terminate, on_signal, SIGTERM) == 0 &&
           uv_signal_start(&loop->interrupt, on_signal, SIGINT) == 0 &&
           uv_timer_start(&loop->beat, on_beat, NET_LOOP_BEAT_MS, NET_LOOP_BEAT_MS) == 0 &&
           uv_prepare_start(&loop->turn, on_turn) == 0;
}

net_loop *net_loop_new(const role_context *context, enum shm_role role, net_loop_stopping *stopping,
                       void *owner)
{
    net_loop *loop = calloc(1, sizeof(*loop));

    log_start(shm_role_name(role), level_of(context->config->log_level));
    if (loop == NULL) {
        log_event(LOG_ERROR, "loop.start", "error", LOG_TEXT("out of memory"), NULL);
        return NULL;
    }
    loop->stopping = stopping;
    loop->owner = owner;
    loop->parent_pid = context->parent_pid;
    /* A peer that hung up is an error of one connection; SIGHUP is the master's to act on. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    if (!crypto_start()) {
        log_event(LOG_ERROR, "loop.start", "error", LOG_TEXT("OpenSSL lacks an algorithm"), NULL);
        goto failed;
    }
    if (!open_segment(loop, context, role)) {
        goto failed;
    }
    loop->uv_open = uv_loop_init(&loop->uv) == 0;
    if (!loop->uv_open || !start_handles(loop) ||
        uv_loop_configure(&loop->uv, UV_METRICS_IDLE_TIME) != 0) {
        log_event(LOG_ERROR, "loop.start", "error", LOG_TEXT("libuv did not start"), NULL);
        goto failed;
    }
    return loop;
failed:
    net_loop_free(loop);
    return NULL;
}

uv_loop_t *net_loop_uv(net_loop *loop)
{
    return &loop->uv;
}

shm_segment *net_loop_segment(net_loop *loop)
{
    return loop->segment;
}

shm_process *net_loop_process(net_loop *loop)
{
    return loop->process;
}

int net_loop_run(net_loop *loop)
{
    loop->turn_started_ns = (int64_t)uv_hrtime();
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    return loop->status;
}

static void close_handle(uv_handle_t *handle)
{
    if (handle->loop != NULL && !uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

void net_loop_stop(net_loop *loop, int status)
{
    if (loop->is_stopped) {
        return;
    }
    loop->is_stopped = true;
    loop->status = status;
    close_handle((uv_handle_t *)&loop->terminate);
    close_handle((uv_handle_t *)&loop->interrupt);
    close_handle((uv_handle_t *)&loop->beat);
    close_handle((uv_handle_t *)&loop->turn);
    /* uv_run returns when the role's handles are closed, or here. */
    uv_timer_start(&loop->end, on_drain_over, NET_LOOP_DRAIN_MS, 0);
    uv_unref((uv_handle_t *)&loop->end);
}

void net_loop_free(net_loop *loop)
{
    if (loop == NULL) {
        return;
    }
    if (loop->uv_open) {
        net_loop_stop(loop, loop->status);
        close_handle((uv_handle_t *)&loop->end);
        uv_run(&loop->uv, UV_RUN_NOWAIT);
        if (uv_loop_close(&loop->uv) != 0) {
            /* The role left a handle open: its memory may be in use, so ours stays too. */
            log_event(LOG_WARN, "loop.left_open", NULL);
            shm_close(loop->segment);
            return;
        }
    }
    if (loop->segment != NULL) {
        shm_close(loop->segment);
    }
    free(loop);
}
