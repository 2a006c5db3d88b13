/*
 * The paper venue's REST server: bytes to requests, answers to bytes. It knows no endpoint.
 *
 * Promises: a request is handed over whole, with the query as it was sent (signatures cover it);
 * ambiguous lengths (two Content-Lengths that differ, or one beside Transfer-Encoding) are refused
 * and the connection is closed; bodies above PAPER_BODY_MAX are drained, bounded, and then answered
 * with 413; an answer can be late, held back before it is made, or never come, as the server's
 * faults want.
 */
#ifndef WHALE_PAPER_HTTP_H
#define WHALE_PAPER_HTTP_H

#include "core/config.h"
#include "workerd/paper/paper_daemon.h"

#define PAPER_URI_MAX 4096
#define PAPER_BODY_MAX (64 * 1024)
#define PAPER_BODY_SMALL 2048              /* without an allocation */
#define PAPER_DRAIN_MAX (4 * 1024 * 1024)  /* read and thrown away, then the connection is cut */
#define PAPER_ANSWER_MAX (8 * 1024 * 1024) /* 20,000 new accounts are 5 MB */
#define PAPER_WAITING_MAX 65536            /* late or never: beyond that they are cut at once */
#define PAPER_NEVER_MS 60000 /* an answer that never comes: then the connection is cut */
#define PAPER_HEADERS_MAX 6
#define PAPER_HEADER_MAX 24

typedef struct {
    const char *method, *path, *query, *body, *key; /* key: X-MBX-APIKEY or NULL */
    size_t query_length, body_length;
    bool form; /* the body is application/x-www-form-urlencoded, or does not say */
    bool loopback;
    bool held; /* handed over for the second time, after PAPER_HOLD */
} paper_http_call;

enum paper_http_action {
    PAPER_ANSWER,
    PAPER_LATE, /* made now, sent after delay_ms */
    PAPER_HOLD, /* not made: asked again after delay_ms */
    PAPER_NEVER,
    PAPER_DROP, /* the connection ends without an answer */
};

typedef struct {
    enum paper_http_action action;
    int64_t delay_ms;
    int status;
    char *body; /* PAPER_ANSWER_MAX bytes, the server's; the handler fills it */
    size_t length;
    unsigned header_count;
    struct {
        const char *name;
        char value[PAPER_HEADER_MAX];
    } headers[PAPER_HEADERS_MAX];
} paper_http_answer;

typedef void paper_http_serve(void *owner, const paper_http_call *call, paper_http_answer *answer);

typedef struct paper_http paper_http;
paper_http *paper_http_start(uv_loop_t *loop, const config_address *address,
                             paper_http_serve *serve, void *owner, char *error, size_t capacity);
uint16_t paper_http_port(const paper_http *http);
unsigned paper_http_waiting(const paper_http *http);
/* Cuts what waits and stops; free after the loop has run its closing handles. */
void paper_http_stop(paper_http *http);
void paper_http_free(paper_http *http);

/* `name` must be a literal. */
void paper_http_header(paper_http_answer *answer, const char *name, int64_t value);

#endif
