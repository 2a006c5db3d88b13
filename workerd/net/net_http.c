/*
 * The HTTP engine: the waiting requests, the free slots, and the end of each request.
 *
 * Promises: `done` is called exactly once for each request that net_http_send took, never from
 * within net_http_send; requests start in the order given; one that waits past its deadline, or
 * past the time by which it had to be sent, ends as NOT_SENT then and there. Any function but
 * net_http_free may be called inside `done`.
 */
#include "workerd/net/net_http_private.h"

#include "core/clock.h"
#include "core/log.h"

#include <stdlib.h>
#include <string.h>

#define SPARE_CONNECTIONS                                                                          \
    16 /* a cache no larger than the parallelism would reconnect each time                         \
        */

/* ---- the queue ------------------------------------------------------------------------------- */

static void enqueue(net_http *http, net_http_job *job)
{
    job->next = NULL;
    job->previous = http->last;
    if (http->last != NULL) {
        http->last->next = job;
    } else {
        http->first = job;
    }
    http->last = job;
    http->waiting++;
}

static void dequeue(net_http *http, net_http_job *job)
{
    if (job->previous != NULL) {
        job->previous->next = job->next;
    } else {
        http->first = job->next;
    }
    if (job->next != NULL) {
        job->next->previous = job->previous;
    } else {
        http->last = job->previous;
    }
    http->waiting--;
}

/* When a waiting request is to be given up, on the monotonic clock. */
static int64_t gives_up_ns(const net_http_job *job, int64_t monotonic_ns, int64_t wall_ns)
{
    int64_t late_ns = job->deadline_ns;

    if (job->send_before_ns != 0 && job->send_before_ns - wall_ns + monotonic_ns < late_ns) {
        late_ns = job->send_before_ns - wall_ns + monotonic_ns;
    }
    return late_ns;
}

static void end_job(net_http *http, net_http_job *job, const net_http_answer *answer)
{
    if (answer->outcome != NET_HTTP_ANSWERED) {
        shm_count(http->process, SHM_net_errors_total, 1);
    }
    job->done(job->owner, answer);
    free(job);
}

static void end_unsent(net_http *http, net_http_job *job, const char *error)
{
    net_http_answer answer = {
        .outcome = NET_HTTP_NOT_SENT, .used_weight = -1, .body = "", .error = error};

    end_job(http, job, &answer);
}

static void on_queue_timer(uv_timer_t *timer);

static void wake_by(net_http *http, int64_t at_ns, int64_t monotonic_ns)
{
    int64_t wait_ns = at_ns - monotonic_ns;

    if (at_ns < http->queue_wakes_ns) {
        http->queue_wakes_ns = at_ns;
        uv_timer_start(&http->queue_timer, on_queue_timer,
                       wait_ns > 0 ? (uint64_t)(wait_ns / CLOCK_MS_NS + 1) : 0, 0);
    }
}

static void on_queue_timer(uv_timer_t *timer)
{
    net_http *http = timer->data;
    int64_t monotonic_ns = clock_monotonic_ns(), wall_ns = clock_now_ns();
    int64_t next_ns = INT64_MAX;
    net_http_job *late = NULL, *job, *following;

    /* Taken out first: a callback may change the queue in any way. */
    for (job = http->first; job != NULL; job = following) {
        int64_t late_ns = gives_up_ns(job, monotonic_ns, wall_ns);

        following = job->next;
        if (late_ns <= monotonic_ns) {
            dequeue(http, job);
            job->next = late;
            late = job;
        } else if (late_ns < next_ns) {
            next_ns = late_ns;
        }
    }
    http->queue_wakes_ns = INT64_MAX;
    if (next_ns != INT64_MAX) {
        wake_by(http, next_ns, monotonic_ns);
    }
    while (late != NULL) {
        job = late;
        late = job->next;
        end_unsent(http, job, "deadline passed in the queue");
    }
}

/* ---- slots ----------------------------------------------------------------------------------- */

static void free_slot(net_http *http, net_http_slot *slot)
{
    slot->job = NULL;
    slot->next_free = http->free_slots;
    http->free_slots = slot;
    http->busy--;
}

/* False: curl would not take it; the job is still the caller's. */
static bool start(net_http *http, net_http_job *job)
{
    net_http_slot *slot = http->free_slots;

    http->free_slots = slot->next_free;
    http->busy++;
    slot->job = job;
    slot->unfit = false;
    if (!net_http_slot_load(slot) || curl_multi_add_handle(http->multi, slot->easy) != CURLM_OK) {
        free_slot(http, slot);
        return false;
    }
    shm_count(http->process, SHM_net_requests_total, 1);
    return true;
}

static void start_waiting(net_http *http)
{
    while (!http->closed && http->free_slots != NULL && http->first != NULL) {
        net_http_job *job = http->first;

        dequeue(http, job);
        if (!start(http, job)) {
            end_unsent(http, job, "curl refused the request");
        }
    }
}

static void end_slot(net_http *http, net_http_slot *slot, CURLcode code)
{
    net_http_job *job = slot->job;
    net_http_buffer body;
    net_http_answer answer;

    curl_multi_remove_handle(http->multi, slot->easy);
    if (slot->unfit && !http->closed && net_http_slot_load(slot) &&
        curl_multi_add_handle(http->multi, slot->easy) == CURLM_OK) {
        return; /* nothing was sent: once more, on a new connection */
    }
    net_http_slot_judge(slot, code, &answer);
    /* The slot may be used again inside `done`, which must not touch this answer's body. */
    body = slot->body;
    slot->body = (net_http_buffer){0};
    free_slot(http, slot);
    end_job(http, job, &answer);
    if (slot->body.data == NULL && slot->easy != NULL && body.capacity <= NET_HTTP_BUFFER_KEPT) {
        slot->body = body;
        slot->body.length = 0;
    } else {
        free(body.data);
    }
}

void net_http_reap(net_http *http)
{
    CURLMsg *message;
    int left;

    while (!http->closed && (message = curl_multi_info_read(http->multi, &left)) != NULL) {
        net_http_slot *slot = NULL;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &slot);
        end_slot(http, slot, code);
        start_waiting(http);
    }
}

/* ---- the engine ------------------------------------------------------------------------------ */

static bool open_slots(net_http *http, const net_http_options *options)
{
    http->slots = calloc(http->connections, sizeof(*http->slots));
    if (http->slots == NULL) {
        return false;
    }
    for (unsigned i = 0; i < http->connections; i++) {
        http->slots[i].http = http;
        if (!net_http_slot_open(&http->slots[i], options)) {
            return false;
        }
        http->slots[i].next_free = http->free_slots;
        http->free_slots = &http->slots[i];
    }
    return true;
}

static void free_all(net_http *http)
{
    for (unsigned i = 0; http->slots != NULL && i < http->connections; i++) {
        net_http_slot_close(&http->slots[i]);
    }
    free(http->slots);
    free(http->sockets);
    free(http);
}

/* Names are resolved on a thread of curl's; without that a slow name server would stop the loop. */
static bool start_curl(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return false;
    }
    if ((curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_ASYNCHDNS) == 0) {
        log_event(LOG_ERROR, "http.start", "error", LOG_TEXT("this curl resolves names in line"),
                  NULL);
        return false;
    }
    return true;
}

net_http *net_http_new(uv_loop_t *loop, const net_http_options *options, shm_process *process)
{
    net_http *http;

    if (options->connections == 0 || options->connections > NET_HTTP_CONNECTIONS_MAX ||
        options->queue > NET_HTTP_QUEUE_MAX || !start_curl()) {
        return NULL;
    }
    http = calloc(1, sizeof(*http));
    if (http == NULL) {
        return NULL;
    }
    http->loop = loop;
    http->process = process;
    http->connections = options->connections;
    http->queue = options->queue;
    http->queue_wakes_ns = INT64_MAX;
    http->multi = curl_multi_init();
    if (http->multi == NULL || !open_slots(http, options) || !net_http_poll_start(http) ||
        curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS,
                          2L * http->connections + SPARE_CONNECTIONS) != CURLM_OK) {
        curl_multi_cleanup(http->multi);
        free_all(http);
        return NULL;
    }
    uv_timer_init(loop, &http->curl_timer);
    uv_timer_init(loop, &http->queue_timer);
    http->curl_timer.data = http->queue_timer.data = http;
    http->references = 3; /* two timers and the owner */
    return http;
}

bool net_http_send(net_http *http, const net_http_request *request)
{
    net_http_job *job;
    int64_t monotonic_ns;

    if (http->closed) {
        return false;
    }
    start_waiting(http);
    if (http->free_slots == NULL && http->waiting == http->queue) {
        return false;
    }
    job = net_http_job_new(request);
    if (job == NULL) {
        return false;
    }
    if (http->free_slots != NULL) {
        if (!start(http, job)) {
            free(job);
            return false;
        }
        return true;
    }
    enqueue(http, job);
    monotonic_ns = clock_monotonic_ns();
    wake_by(http, gives_up_ns(job, monotonic_ns, clock_now_ns()), monotonic_ns);
    return true;
}

unsigned net_http_busy(const net_http *http)
{
    return http->busy;
}

unsigned net_http_waiting(const net_http *http)
{
    return http->waiting;
}

static void on_timer_closed(uv_handle_t *handle)
{
    net_http_release(handle->data);
}

void net_http_close(net_http *http)
{
    if (http == NULL || http->closed) {
        return;
    }
    http->closed = true;
    uv_close((uv_handle_t *)&http->curl_timer, on_timer_closed);
    uv_close((uv_handle_t *)&http->queue_timer, on_timer_closed);
    while (http->first != NULL) {
        net_http_job *job = http->first;

        dequeue(http, job);
        end_unsent(http, job, "closed");
    }
    for (unsigned i = 0; i < http->connections; i++) {
        if (http->slots[i].job != NULL) {
            http->slots[i].refused = "closed";
            end_slot(http, &http->slots[i], CURLE_ABORTED_BY_CALLBACK);
        }
    }
    curl_multi_cleanup(http->multi);
    http->multi = NULL;
}

void net_http_release(net_http *http)
{
    if (--http->references == 0) {
        free_all(http);
    }
}

void net_http_free(net_http *http)
{
    if (http != NULL) {
        net_http_close(http);
        net_http_release(http);
    }
}
