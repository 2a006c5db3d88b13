/*
 * Requests and answers over libmicrohttpd. See the header for the promises.
 */
#include "workerd/paper/paper_http.h"

#include "core/clock.h"
#include "core/digits.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum paper_state {
    PAPER_FRESH,    /* the headers have not been looked at */
    PAPER_READING,  /* the body is coming */
    PAPER_DRAINING, /* too large: thrown away */
    PAPER_ASKED,    /* held: to be served again */
    PAPER_MADE,     /* late: the answer is ready */
    PAPER_CUT,      /* to be cut */
};

typedef struct paper_pending {
    struct paper_pending *next, *previous; /* waiting list, or the free list (next only) */
    struct MHD_Connection *connection;
    struct MHD_Response *made;
    int made_status;
    enum paper_state state;
    bool waiting, too_long;
    int64_t wake_ms, drained;
    size_t uri_length, body_length, body_capacity;
    char *body;
    char uri[PAPER_URI_MAX], small[PAPER_BODY_SMALL];
} paper_pending;

struct paper_http {
    paper_daemon daemon;
    paper_http_serve *serve;
    void *owner;
    paper_pending *free; /* kept for reuse */
    paper_pending *first, *last;
    unsigned waiting;
    uv_timer_t timer;
    bool stopping;
    char *answer;
};

void paper_http_header(paper_http_answer *answer, const char *name, int64_t value)
{
    if (answer->header_count < PAPER_HEADERS_MAX && value >= 0) {
        char *text = answer->headers[answer->header_count].value;

        answer->headers[answer->header_count].name = name;
        text[digits_put(text, (uint64_t)value)] = '\0';
        answer->header_count++;
    }
}

/* The raw request target, before libmicrohttpd takes it apart: the signature covers its bytes. */
static void *paper_uri(void *owner, const char *uri, struct MHD_Connection *connection)
{
    paper_http *http = owner;
    paper_pending *pending = http->free;
    size_t length = strlen(uri);

    if (pending != NULL) {
        http->free = pending->next;
    } else {
        pending = malloc(sizeof(*pending));
        if (pending == NULL) {
            return NULL;
        }
    }
    /* Not the buffers: clearing them would cost more than the request. */
    memset(pending, 0, offsetof(paper_pending, uri));
    pending->connection = connection;
    pending->body = pending->small;
    pending->body_capacity = sizeof(pending->small);
    pending->too_long = length >= sizeof(pending->uri);
    if (!pending->too_long) {
        memcpy(pending->uri, uri, length + 1);
        pending->uri_length = length;
    }
    return pending;
}

static void paper_unwait(paper_http *http, paper_pending *pending)
{
    if (!pending->waiting) {
        return;
    }
    *(pending->previous == NULL ? &http->first : &pending->previous->next) = pending->next;
    *(pending->next == NULL ? &http->last : &pending->next->previous) = pending->previous;
    pending->waiting = false;
    http->waiting--;
}

static void paper_completed(void *owner, struct MHD_Connection *connection, void **context,
                            enum MHD_RequestTerminationCode code)
{
    paper_http *http = owner;
    paper_pending *pending = *context;

    (void)connection;
    (void)code;
    if (pending == NULL) {
        return;
    }
    paper_unwait(http, pending);
    if (pending->made != NULL) {
        MHD_destroy_response(pending->made);
    }
    if (pending->body != pending->small) {
        free(pending->body);
    }
    pending->next = http->free;
    http->free = pending;
    *context = NULL;
}

/* ---- waiting ------------------------------------------------------------------------------------
 */

static int64_t paper_http_now_ms(void)
{
    return clock_monotonic_ns() / CLOCK_MS_NS;
}

static void paper_wake(uv_timer_t *timer)
{
    paper_http *http = timer->data;
    int64_t now = paper_http_now_ms();
    bool any = false;

    while (http->first != NULL && (http->first->wake_ms <= now || http->stopping)) {
        paper_pending *pending = http->first;

        paper_unwait(http, pending);
        MHD_resume_connection(pending->connection);
        any = true;
    }
    if (any) {
        paper_daemon_run(&http->daemon);
    }
    if (http->first != NULL && !http->stopping) {
        int64_t left = http->first->wake_ms - now;

        uv_timer_start(timer, paper_wake, (uint64_t)(left > 0 ? left : 1), 0);
    }
}

/* Puts the request to sleep; it is in the list by its time, the usual place being the end. */
static bool paper_wait(paper_http *http, paper_pending *pending, enum paper_state then,
                       int64_t delay_ms)
{
    paper_pending *after = http->last;

    if (http->waiting == PAPER_WAITING_MAX) {
        return false;
    }
    pending->state = then;
    pending->wake_ms = paper_http_now_ms() + delay_ms;
    while (after != NULL && after->wake_ms > pending->wake_ms) {
        after = after->previous;
    }
    pending->previous = after;
    pending->next = after == NULL ? http->first : after->next;
    *(after == NULL ? &http->first : &after->next) = pending;
    *(pending->next == NULL ? &http->last : &pending->next->previous) = pending;
    pending->waiting = true;
    http->waiting++;
    MHD_suspend_connection(pending->connection);
    if (http->first == pending) {
        uv_timer_start(&http->timer, paper_wake, (uint64_t)(delay_ms > 0 ? delay_ms : 1), 0);
    }
    return true;
}

/* ---- serving ------------------------------------------------------------------------------------
 */

static enum MHD_Result paper_send(struct MHD_Connection *connection, int status,
                                  struct MHD_Response *response)
{
    enum MHD_Result result;

    if (response == NULL) {
        return MHD_NO;
    }
    result = MHD_queue_response(connection, (unsigned)status, response);
    MHD_destroy_response(response);
    return result;
}

static struct MHD_Response *paper_response(const paper_http_answer *answer)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(answer->length, answer->body, MHD_RESPMEM_MUST_COPY);

    if (response == NULL) {
        return NULL;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    for (unsigned i = 0; i < answer->header_count; i++) {
        MHD_add_response_header(response, answer->headers[i].name, answer->headers[i].value);
    }
    return response;
}

/* An answer of the server itself; the connection ends, because what follows cannot be trusted. */
static enum MHD_Result paper_refuse_plain(struct MHD_Connection *connection, int status,
                                          const char *text)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);

    if (response != NULL) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    return paper_send(connection, status, response);
}

static bool paper_loopback(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr_in *name;

    if (info == NULL || info->client_addr->sa_family != AF_INET) {
        return false;
    }
    name = (const struct sockaddr_in *)info->client_addr;
    return ntohl(name->sin_addr.s_addr) >> 24 == 127;
}

static enum MHD_Result paper_serve(paper_http *http, paper_pending *pending, const char *method)
{
    char *mark = memchr(pending->uri, '?', pending->uri_length);
    const char *type = MHD_lookup_connection_value(pending->connection, MHD_HEADER_KIND,
                                                   MHD_HTTP_HEADER_CONTENT_TYPE);
    paper_http_answer answer;
    paper_http_call call = {
        .method = method,
        .path = pending->uri,
        .query = mark == NULL ? "" : mark + 1,
        .body = pending->body,
        .body_length = pending->body_length,
        .key = MHD_lookup_connection_value(pending->connection, MHD_HEADER_KIND, "X-MBX-APIKEY"),
        .form = type == NULL || strncasecmp(type, "application/x-www-form-urlencoded", 33) == 0,
        .loopback = paper_loopback(pending->connection),
        .held = pending->state == PAPER_ASKED,
    };

    answer.action = PAPER_ANSWER;
    answer.status = 200;
    answer.body = http->answer;
    answer.length = answer.header_count = 0;
    if (mark != NULL) {
        *mark = '\0';
        call.query_length = pending->uri_length - (size_t)(call.query - pending->uri);
    }
    http->serve(http->owner, &call, &answer);
    if (mark != NULL) {
        *mark = '?'; /* a held request comes here again */
    }
    switch (answer.action) {
    case PAPER_ANSWER:
        return paper_send(pending->connection, answer.status, paper_response(&answer));
    case PAPER_LATE:
        pending->made = paper_response(&answer);
        pending->made_status = answer.status;
        return paper_wait(http, pending, PAPER_MADE, answer.delay_ms) ? MHD_YES : MHD_NO;
    case PAPER_HOLD:
        return paper_wait(http, pending, PAPER_ASKED, answer.delay_ms) ? MHD_YES : MHD_NO;
    case PAPER_NEVER:
        return paper_wait(http, pending, PAPER_CUT, PAPER_NEVER_MS) ? MHD_YES : MHD_NO;
    default:
        return MHD_NO;
    }
}

/* ---- reading ------------------------------------------------------------------------------------
 */

typedef struct {
    const char *length; /* the first Content-Length */
    bool chunked, differing;
} paper_framing;

static enum MHD_Result paper_framing_header(void *owner, enum MHD_ValueKind kind, const char *name,
                                            const char *value)
{
    paper_framing *framing = owner;

    (void)kind;
    if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
        framing->differing = framing->differing || value == NULL ||
                             (framing->length != NULL && strcmp(framing->length, value) != 0);
        framing->length = framing->length == NULL ? value : framing->length;
    } else if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
        framing->chunked = true;
    }
    return MHD_YES;
}

/* The headers are there, the body is not. */
static enum MHD_Result paper_begin(paper_pending *pending, struct MHD_Connection *connection)
{
    paper_framing framing = {0};

    if (pending->too_long) {
        return paper_refuse_plain(connection, MHD_HTTP_URI_TOO_LONG,
                                  "{\"code\":-1100,\"msg\":\"The request is too long.\"}");
    }
    MHD_get_connection_values(connection, MHD_HEADER_KIND, paper_framing_header, &framing);
    if (framing.differing || (framing.length != NULL && framing.chunked)) {
        return paper_refuse_plain(
            connection, MHD_HTTP_BAD_REQUEST,
            "{\"code\":-1100,\"msg\":\"The request's length is ambiguous.\"}");
    }
    pending->state = PAPER_READING;
    return MHD_YES;
}

static enum MHD_Result paper_body(paper_pending *pending, const char *data, size_t *length)
{
    size_t wanted = pending->body_length + *length;

    if (pending->state == PAPER_READING && wanted > PAPER_BODY_MAX) {
        pending->state = PAPER_DRAINING;
    }
    if (pending->state == PAPER_DRAINING) {
        pending->drained += (int64_t)*length;
        *length = 0;
        return pending->drained > PAPER_DRAIN_MAX ? MHD_NO : MHD_YES;
    }
    if (wanted > pending->body_capacity) {
        char *grown = malloc(PAPER_BODY_MAX);

        if (grown == NULL) {
            return MHD_NO;
        }
        memcpy(grown, pending->body, pending->body_length);
        pending->body = grown; /* the small one is part of the request */
        pending->body_capacity = PAPER_BODY_MAX;
    }
    memcpy(pending->body + pending->body_length, data, *length);
    pending->body_length = wanted;
    *length = 0;
    return MHD_YES;
}

static enum MHD_Result paper_access(void *owner, struct MHD_Connection *connection, const char *url,
                                    const char *method, const char *version, const char *data,
                                    size_t *data_length, void **context)
{
    paper_http *http = owner;
    paper_pending *pending = *context;
    struct MHD_Response *made;

    (void)url;
    (void)version;
    if (pending == NULL || http->stopping) {
        return MHD_NO;
    }
    switch (pending->state) {
    case PAPER_FRESH:
        return paper_begin(pending, connection);
    case PAPER_READING:
    case PAPER_DRAINING:
        if (*data_length > 0) {
            return paper_body(pending, data, data_length);
        }
        if (pending->state == PAPER_DRAINING) {
            return paper_refuse_plain(connection, MHD_HTTP_CONTENT_TOO_LARGE,
                                      "{\"code\":-1100,\"msg\":\"The request is too large.\"}");
        }
        return paper_serve(http, pending, method);
    case PAPER_ASKED:
        return paper_serve(http, pending, method);
    case PAPER_MADE:
        made = pending->made;
        pending->made = NULL;
        return paper_send(connection, pending->made_status, made);
    default:
        return MHD_NO;
    }
}

/* ---- start and stop -----------------------------------------------------------------------------
 */

paper_http *paper_http_start(uv_loop_t *loop, const config_address *address,
                             paper_http_serve *serve, void *owner, char *error, size_t capacity)
{
    paper_http *http = calloc(1, sizeof(*http));
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)paper_uri, http},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)paper_completed, http},
        {MHD_OPTION_END, 0, NULL},
    };

    if (http == NULL) {
        snprintf(error, capacity, "no memory");
        return NULL;
    }
    http->serve = serve;
    http->owner = owner;
    http->answer = malloc(PAPER_ANSWER_MAX);
    if (http->answer == NULL ||
        !paper_daemon_start(&http->daemon, loop, address, MHD_ALLOW_SUSPEND_RESUME, paper_access,
                            http, options, error, capacity)) {
        paper_http_free(http);
        return NULL;
    }
    uv_timer_init(loop, &http->timer);
    http->timer.data = http;
    return http;
}

uint16_t paper_http_port(const paper_http *http)
{
    return http->daemon.port;
}

unsigned paper_http_waiting(const paper_http *http)
{
    return http->waiting;
}

void paper_http_stop(paper_http *http)
{
    if (http->stopping) {
        return;
    }
    http->stopping = true;
    paper_wake(&http->timer); /* libmicrohttpd must not stop with suspended connections */
    uv_close((uv_handle_t *)&http->timer, NULL);
    paper_daemon_stop(&http->daemon);
}

void paper_http_free(paper_http *http)
{
    if (http == NULL) {
        return;
    }
    while (http->free != NULL) {
        paper_pending *next = http->free->next;

        free(http->free);
        http->free = next;
    }
    free(http->answer);
    free(http);
}
