/*
 * What the files of net_http share: the engine, its jobs (requests) and its slots (easy handles).
 *
 * net_http.c owns the queue and ends requests, net_http_easy.c talks to one easy handle and judges
 * outcomes, net_http_poll.c joins curl's sockets and timer to the loop.
 */
#ifndef WHALE_NET_HTTP_PRIVATE_H
#define WHALE_NET_HTTP_PRIVATE_H

#include "workerd/net/net_http.h"

#include <curl/curl.h>
#include <netinet/in.h>

#define NET_HTTP_CONNECTIONS_MAX 4096
#define NET_HTTP_QUEUE_MAX 65536
#define NET_HTTP_REQUEST_BODY_MAX (1024 * 1024)
#define NET_HTTP_HEADER_MAX 8192         /* one header line of a request */
#define NET_HTTP_BUFFER_KEPT (64 * 1024) /* of an answer's buffer, from request to request */
#define NET_HTTP_FILES_MAX (1 << 20)     /* descriptors that the socket table can hold */
#define NET_HTTP_NAMED_BUCKETS 1024      /* power of two */
#define NET_HTTP_RETRY_AFTER_MAX_S (7 * 24 * 3600)

enum net_http_method { NET_HTTP_GET, NET_HTTP_POST, NET_HTTP_PUT, NET_HTTP_DELETE };

/* A request as its caller gave it. Everything it points to stands in one block behind it. */
typedef struct net_http_job {
    struct net_http_job *next, *previous;
    enum net_http_method method;
    char *origin; /* "https://host:port" */
    char *target; /* "/path?query", to the byte */
    char *body;   /* NULL: none */
    size_t body_length;
    struct curl_slist headers[NET_HTTP_HEADERS_MAX + 2]; /* theirs; no Expect; no Content-Type */
    int64_t deadline_ns;                                 /* monotonic, of the whole */
    int64_t send_before_ns;                              /* wall clock; 0: none */
    net_http_done *done;
    void *owner;
} net_http_job;

typedef struct {
    char *data;
    size_t length, capacity;
} net_http_buffer;

/* An easy handle, used for one request after another. */
typedef struct net_http_slot {
    struct net_http_slot *next_free;
    net_http *http;
    CURL *easy;
    net_http_job *job; /* NULL: free */
    net_http_buffer body;
    unsigned sends;         /* how often curl was allowed to put the request on the wire */
    int64_t sent_ns;        /* wall clock, of the last time */
    int64_t used_weight;    /* -1: none */
    int64_t content_length; /* -1: none */
    bool chunked;
    bool unfit;          /* stopped before sending: to be started again on a new connection */
    const char *refused; /* why we stopped curl, or NULL */
} net_http_slot;

/* A descriptor of curl's. Kept in the poll set between requests: see net_http_poll.c. */
typedef struct net_http_socket {
    uv_poll_t poll;
    net_http *http;
    curl_socket_t fd;
    int events;      /* in the poll set */
    int wanted;      /* by curl; 0: between requests */
    bool polled;     /* the uv_poll was made */
    bool connection; /* opened through us, and so closed through us */
    /* Known from the end of its first request on; curl names a connection by these, not by fd. */
    struct net_http_socket *next_named;
    int local_port; /* 0: not yet known */
    int peer_port;
    char peer[INET6_ADDRSTRLEN];
} net_http_socket;

struct net_http {
    uv_loop_t *loop;
    shm_process *process;
    CURLM *multi;
    uv_timer_t curl_timer, queue_timer;
    unsigned references; /* handles that libuv still holds */
    bool closed, freed;

    net_http_slot *slots, *free_slots;
    unsigned connections, busy;
    net_http_job *first, *last; /* waiting */
    unsigned queue, waiting;
    int64_t queue_wakes_ns; /* monotonic; when queue_timer fires; INT64_MAX: it does not */

    net_http_socket **sockets; /* by descriptor */
    size_t socket_capacity;
    net_http_socket *named[NET_HTTP_NAMED_BUCKETS]; /* by local port */
};

/* net_http.c */
void net_http_reap(net_http *http);    /* ends what curl has finished; call after it did anything */
void net_http_release(net_http *http); /* drops one reference; frees with the last */

/* net_http_easy.c */
bool net_http_slot_open(net_http_slot *slot, const net_http_options *options);
void net_http_slot_close(net_http_slot *slot);
bool net_http_slot_load(net_http_slot *slot); /* the job onto the easy handle */
void net_http_slot_judge(net_http_slot *slot, CURLcode code, net_http_answer *answer);

/* net_http_job.c */
net_http_job *net_http_job_new(const net_http_request *request); /* NULL: malformed, or no memory */
bool net_http_job_is_idempotent(const net_http_job *job);

/* net_http_poll.c */
bool net_http_poll_start(net_http *http);
curl_socket_t net_http_socket_open(void *http, curlsocktype purpose, struct curl_sockaddr *address);
int net_http_socket_close(void *http, curl_socket_t fd);
bool net_http_socket_is_unfit(const net_http *http, int local_port, const char *peer,
                              int peer_port);

#endif
