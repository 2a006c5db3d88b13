/*
 * A request copied and checked, so that the caller's memory may go.
 *
 * Promises: what curl would read differently than it was signed is refused here: blanks, control
 * characters and fragments in a URL, line breaks in a header. One allocation holds it all.
 *
 * The URL is split into origin and target. curl sends a target of its own as it is; one that is
 * part of the URL it takes apart and formats letter by letter, several times (a fifth of a signed
 * order).
 */
#include "workerd/net/net_http_private.h"

#include "core/clock.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool method_of(const char *name, enum net_http_method *method)
{
    static const char *const names[] = {"GET", "POST", "PUT", "DELETE"};

    for (unsigned i = 0; name != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            *method = (enum net_http_method)i;
            return true;
        }
    }
    return false;
}

/* Visible ASCII only; a fragment would silently not be sent. */
static bool is_url(const char *url, size_t *length)
{
    if (url == NULL || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)) {
        return false;
    }
    for (*length = 0; url[*length] != '\0'; (*length)++) {
        if (url[*length] <= ' ' || url[*length] >= 0x7f || url[*length] == '#' ||
            *length == NET_HTTP_URL_MAX) {
            return false;
        }
    }
    return true;
}

/* "Name: value" with a value: curl takes a bare "Name:" as an order to remove the header. */
static bool is_header(const char *header, size_t *length)
{
    const char *colon = strchr(header, ':');

    *length = strlen(header);
    return colon != NULL && colon != header && colon[1 + strspn(colon + 1, " ")] != '\0' &&
           *length <= NET_HTTP_HEADER_MAX && strcspn(header, "\r\n") == *length;
}

static bool measure(const net_http_request *request, enum net_http_method *method,
                    size_t lengths[NET_HTTP_HEADERS_MAX + 1], size_t *total)
{
    if (!method_of(request->method, method) || !is_url(request->url, &lengths[0]) ||
        request->body_length > NET_HTTP_REQUEST_BODY_MAX ||
        (request->body == NULL && request->body_length > 0) || request->done == NULL ||
        request->timeout_ns <= 0) {
        return false;
    }
    *total = lengths[0] + 3; /* two ends, and a slash where the URL has none */
    for (unsigned i = 0; i < NET_HTTP_HEADERS_MAX && request->headers[i] != NULL; i++) {
        if (!is_header(request->headers[i], &lengths[i + 1])) {
            return false;
        }
        *total += lengths[i + 1] + 1;
    }
    *total += request->body_length + 1;
    return true;
}

static char *copy(char **place, const char *text, size_t length)
{
    char *start = *place;

    memcpy(start, text, length);
    start[length] = '\0';
    *place += length + 1;
    return start;
}

static void copy_url(net_http_job *job, const char *url, size_t length, char **place)
{
    size_t scheme = (size_t)(strstr(url, "://") + 3 - url);
    size_t origin = scheme + strcspn(url + scheme, "/?");

    job->origin = copy(place, url, origin);
    job->target = *place;
    if (url[origin] != '/') {
        *(*place)++ = '/';
    }
    copy(place, url + origin, length - origin);
}

/* Links the headers, then switches off those that curl would add of its own. */
static void copy_headers(net_http_job *job, const net_http_request *request, const size_t *lengths,
                         char **place)
{
    static char no_expect[] = "Expect:", no_type[] = "Content-Type:";
    bool typed = false;
    unsigned count = 0;

    for (; count < NET_HTTP_HEADERS_MAX && request->headers[count] != NULL; count++) {
        job->headers[count].data = copy(place, request->headers[count], lengths[count + 1]);
        typed = typed || strncasecmp(request->headers[count], no_type, sizeof(no_type) - 1) == 0;
    }
    job->headers[count++].data = no_expect;
    if (!typed) {
        job->headers[count++].data = no_type;
    }
    for (unsigned i = 0; i + 1 < count; i++) {
        job->headers[i].next = &job->headers[i + 1];
    }
}

net_http_job *net_http_job_new(const net_http_request *request)
{
    size_t lengths[NET_HTTP_HEADERS_MAX + 1], total = 0;
    enum net_http_method method;
    net_http_job *job;
    char *place;

    if (!measure(request, &method, lengths, &total)) {
        return NULL;
    }
    job = malloc(sizeof(*job) + total);
    if (job == NULL) {
        return NULL;
    }
    memset(job, 0, sizeof(*job));
    place = (char *)(job + 1);
    job->method = method;
    copy_url(job, request->url, lengths[0], &place);
    copy_headers(job, request, lengths, &place);
    if (request->body != NULL) {
        job->body = copy(&place, request->body, request->body_length);
        job->body_length = request->body_length;
    }
    job->deadline_ns = clock_monotonic_ns() + request->timeout_ns;
    job->send_before_ns = request->send_before_ns;
    job->done = request->done;
    job->owner = request->owner;
    return job;
}

bool net_http_job_is_idempotent(const net_http_job *job)
{
    return job->method == NET_HTTP_GET;
}
