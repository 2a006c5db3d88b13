/*
 * The one HTTP client engine: libcurl multi on libuv, keep-alive, HTTP/1.1.
 *
 * Promises: bytes go out exactly as given (the signature covers them); connections are reused; one
 * uv_poll per socket is kept (1.6 x); an answer is whole or an error, never part of one; every
 * request ends in exactly one callback, within its deadline. At most `connections` requests are on
 * the wire and `queue` wait; beyond that `net_http_send` returns false and nothing was sent.
 */
#ifndef WHALE_NET_HTTP_H
#define WHALE_NET_HTTP_H

#include "shm/shm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define NET_HTTP_URL_MAX 4096
#define NET_HTTP_HEADERS_MAX 12
#define NET_HTTP_BODY_MAX (8 * 1024 * 1024) /* of an answer; exchangeInfo is ~1 MB */

enum net_http_outcome {
    NET_HTTP_ANSWERED, /* a whole answer with a status */
    NET_HTTP_NOT_SENT, /* certainly nothing reached the peer: refused, no route, deadline in queue
                        */
    NET_HTTP_UNCLEAR,  /* sent or perhaps sent, no whole answer: ask before you act */
};

typedef struct {
    enum net_http_outcome outcome;
    int status;
    const char *body; /* NUL-terminated; valid during the callback */
    size_t body_length;
    int64_t retry_after_ns;       /* from Retry-After, relative; 0: none */
    int64_t used_weight;          /* X-MBX-USED-WEIGHT-1M; -1: none */
    int64_t sent_ns, answered_ns; /* wall clock; sent_ns 0 where nothing was sent */
    const char *error;            /* for the log; holds no secret */
} net_http_answer;

typedef void net_http_done(void *owner, const net_http_answer *answer);

typedef struct {
    const char *method;                        /* "GET", "POST", "PUT", "DELETE" */
    const char *url;                           /* whole; copied */
    const char *headers[NET_HTTP_HEADERS_MAX]; /* "Name: value"; copied; NULL-terminated */
    const char *body;                          /* copied; NULL: none */
    size_t body_length;
    int64_t timeout_ns;     /* from now to the whole answer */
    int64_t send_before_ns; /* wall clock: do not put it on the wire after this; 0: no limit */
    net_http_done *done;
    void *owner;
} net_http_request;

typedef struct net_http net_http;
typedef struct {
    unsigned connections; /* at once */
    unsigned queue;       /* waiting */
    const char *user_agent;
    const char *ca_file; /* NULL: the system's; tests give their own */
} net_http_options;

net_http *net_http_new(uv_loop_t *loop, const net_http_options *options, shm_process *process);
/* False: the queue is full or the request malformed; `done` is not called. */
bool net_http_send(net_http *http, const net_http_request *request);
unsigned net_http_busy(const net_http *http);    /* on the wire */
unsigned net_http_waiting(const net_http *http); /* queued */
/* Ends all: waiting ones as NOT_SENT, those on the wire as UNCLEAR. Free only after uv_run drained.
 */
void net_http_close(net_http *http);
void net_http_free(net_http *http);

#endif
