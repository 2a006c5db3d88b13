/*
 * One easy handle: what curl is told, what it tells, and what became of the request.
 *
 * curl sends a request a second time by itself when a reused connection dies before the first byte
 * of an answer - a POST too, and so an order twice. It asks on_send before each time, which forbids
 * the second for anything but GET. The same place is the last before the wire, so `send_before_ns`
 * is checked there. NOT_SENT is claimed only where on_send never let the request pass: curl's own
 * byte counts miss what it sends after a first short write.
 *
 * An answer counts only where its end was announced (Content-Length, chunks, or no body at all):
 * one that ends with the connection may have been cut anywhere.
 */
#include "workerd/net/net_http_private.h"

#include "core/clock.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEEPALIVE_IDLE_S 15L
#define BODY_FIRST 4096

/* ---- curl's callbacks ------------------------------------------------------------------------ */

static int on_send(void *owner, char *peer, char *local, int peer_port, int local_port)
{
    net_http_slot *slot = owner;
    int64_t now_ns = clock_now_ns();

    (void)local;
    if (slot->job->send_before_ns != 0 && now_ns > slot->job->send_before_ns) {
        slot->refused = "too late to send";
        return CURL_PREREQFUNC_ABORT;
    }
    if (slot->sends > 0 && !net_http_job_is_idempotent(slot->job)) {
        slot->refused = "the connection died under the request";
        return CURL_PREREQFUNC_ABORT;
    }
    if (slot->sends == 0 && net_http_socket_is_unfit(slot->http, local_port, peer, peer_port)) {
        slot->unfit = true;
        slot->refused = "the connection had ended";
        return CURL_PREREQFUNC_ABORT;
    }
    slot->sends++;
    slot->sent_ns = now_ns;
    return CURL_PREREQFUNC_OK;
}

static bool is_named(const char *line, size_t length, const char *name, size_t name_length)
{
    return length > name_length && line[name_length] == ':' &&
           strncasecmp(line, name, name_length) == 0;
}

/* The digits of "Name: 123\r\n", or -1. */
static int64_t header_number(const char *line, size_t length, size_t name_length)
{
    size_t at = name_length + 1;
    int64_t number = 0;
    bool any = false;

    while (at < length && (line[at] == ' ' || line[at] == '\t')) {
        at++;
    }
    for (; at < length && line[at] >= '0' && line[at] <= '9' && number < INT64_MAX / 10 - 1; at++) {
        number = number * 10 + (line[at] - '0');
        any = true;
    }
    return any ? number : -1;
}

static void start_answer(net_http_slot *slot)
{
    slot->used_weight = slot->content_length = -1;
    slot->chunked = false;
    slot->body.length = 0;
}

static size_t on_header(char *line, size_t size, size_t count, void *owner)
{
    static const char weight[] = "x-mbx-used-weight-1m", size_name[] = "content-length";
    static const char coding[] = "transfer-encoding", status[] = "HTTP/";
    net_http_slot *slot = owner;
    size_t length = size * count;

    /* Interim answers (1xx) come first, with headers of their own. */
    if (length > sizeof(status) && memcmp(line, status, sizeof(status) - 1) == 0) {
        start_answer(slot);
    } else if (is_named(line, length, weight, sizeof(weight) - 1)) {
        slot->used_weight = header_number(line, length, sizeof(weight) - 1);
    } else if (is_named(line, length, size_name, sizeof(size_name) - 1)) {
        int64_t number = header_number(line, length, sizeof(size_name) - 1);

        /* Two lengths: where this answer ends, and the next begins, is anybody's guess. */
        if (number < 0 || (slot->content_length >= 0 && slot->content_length != number)) {
            slot->refused = "an answer of two lengths";
            return 0;
        }
        slot->content_length = number;
    } else if (is_named(line, length, coding, sizeof(coding) - 1)) {
        slot->chunked = true;
    }
    return length;
}

/* Keeps a byte for the NUL. Returning less than `length` ends the transfer. */
static size_t on_body(char *data, size_t size, size_t count, void *owner)
{
    net_http_slot *slot = owner;
    net_http_buffer *body = &slot->body;
    size_t length = size * count;

    if (length > NET_HTTP_BODY_MAX - body->length) {
        slot->refused = "the answer is too large";
        return 0;
    }
    if (body->length + length >= body->capacity) {
        size_t capacity = body->capacity == 0 ? BODY_FIRST : body->capacity;
        char *grown;

        while (capacity <= body->length + length) {
            capacity *= 2;
        }
        grown = realloc(body->data, capacity);
        if (grown == NULL) {
            slot->refused = "out of memory";
            return 0;
        }
        body->data = grown;
        body->capacity = capacity;
    }
    memcpy(body->data + body->length, data, length);
    body->length += length;
    return length;
}

/* ---- settings -------------------------------------------------------------------------------- */

#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (curl_easy_setopt(easy, option, value) != CURLE_OK) {                                   \
            return false;                                                                          \
        }                                                                                          \
    } while (0)

static bool set_transport(CURL *easy, net_http_slot *slot, const net_http_options *options)
{
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    SET(CURLOPT_TCP_KEEPINTVL, KEEPALIVE_IDLE_S);
    SET(CURLOPT_PROXY, ""); /* nor any from the environment */
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    if (options->ca_file != NULL) {
        SET(CURLOPT_CAINFO, options->ca_file);
    }
    if (options->user_agent != NULL) {
        SET(CURLOPT_USERAGENT, options->user_agent);
    }
    SET(CURLOPT_OPENSOCKETFUNCTION, net_http_socket_open);
    SET(CURLOPT_OPENSOCKETDATA, slot->http);
    SET(CURLOPT_CLOSESOCKETFUNCTION, net_http_socket_close);
    SET(CURLOPT_CLOSESOCKETDATA, slot->http);
    return true;
}

bool net_http_slot_open(net_http_slot *slot, const net_http_options *options)
{
    CURL *easy = curl_easy_init();

    slot->easy = easy;
    if (easy == NULL || !set_transport(easy, slot, options)) {
        return false;
    }
    SET(CURLOPT_PRIVATE, slot);
    SET(CURLOPT_PREREQFUNCTION, on_send);
    SET(CURLOPT_PREREQDATA, slot);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, slot);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, slot);
    return true;
}

void net_http_slot_close(net_http_slot *slot)
{
    curl_easy_cleanup(slot->easy);
    slot->easy = NULL;
    free(slot->body.data);
    slot->body = (net_http_buffer){0};
}

bool net_http_slot_load(net_http_slot *slot)
{
    const net_http_job *job = slot->job;
    CURL *easy = slot->easy;
    int64_t left_ms = (job->deadline_ns - clock_monotonic_ns()) / CLOCK_MS_NS;
    bool has_body =
        job->body != NULL || job->method == NET_HTTP_POST || job->method == NET_HTTP_PUT;

    slot->sends = 0;
    slot->sent_ns = 0;
    slot->refused = NULL;
    start_answer(slot);
    SET(CURLOPT_FRESH_CONNECT, slot->unfit ? 1L : 0L);
    slot->unfit = false;
    SET(CURLOPT_URL, job->origin);
    SET(CURLOPT_REQUEST_TARGET, job->target);
    SET(CURLOPT_HTTPHEADER, job->headers);
    SET(CURLOPT_TIMEOUT_MS, left_ms > 0 ? (long)left_ms : 1L);
    if (has_body) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)job->body_length);
        SET(CURLOPT_POSTFIELDS, job->body != NULL ? job->body : "");
    } else {
        SET(CURLOPT_HTTPGET, 1L);
    }
    SET(CURLOPT_CUSTOMREQUEST, job->method == NET_HTTP_PUT      ? "PUT"
                               : job->method == NET_HTTP_DELETE ? "DELETE"
                                                                : NULL);
    return true;
}

/* ---- outcome --------------------------------------------------------------------------------- */

static bool is_delimited(const net_http_slot *slot, long status)
{
    return slot->chunked || slot->content_length >= 0 || status == 204 || status == 304;
}

/* The body is NUL-terminated here; a buffer is made where there was none. */
static const char *finish_body(net_http_slot *slot)
{
    if (slot->body.data == NULL) {
        return "";
    }
    slot->body.data[slot->body.length] = '\0';
    return slot->body.data;
}

void net_http_slot_judge(net_http_slot *slot, CURLcode code, net_http_answer *answer)
{
    long status = 0;
    curl_off_t retry_after = 0;

    *answer = (net_http_answer){
        .outcome = slot->sends == 0 ? NET_HTTP_NOT_SENT : NET_HTTP_UNCLEAR,
        .used_weight = -1,
        .body = "",
        .sent_ns = slot->sent_ns,
    };
    if (code != CURLE_OK) {
        answer->error = slot->refused != NULL ? slot->refused : curl_easy_strerror(code);
        return;
    }
    curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || !is_delimited(slot, status)) {
        answer->error = "the answer's end is not certain";
        return;
    }
    curl_easy_getinfo(slot->easy, CURLINFO_RETRY_AFTER, &retry_after);
    if (retry_after > NET_HTTP_RETRY_AFTER_MAX_S) {
        retry_after = NET_HTTP_RETRY_AFTER_MAX_S;
    }
    answer->outcome = NET_HTTP_ANSWERED;
    answer->status = (int)status;
    answer->body = finish_body(slot);
    answer->body_length = slot->body.length;
    answer->retry_after_ns = retry_after > 0 ? retry_after * CLOCK_SECOND_NS : 0;
    answer->used_weight = slot->used_weight;
    answer->answered_ns = clock_now_ns();
    answer->error = "";
}
