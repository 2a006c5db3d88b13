
/*
 * What the pool (db.c), its connections (connect.c) and what runs on them
 * (conn.c) share.
 */


#ifndef _NGX_HTTP_WHALE_DB_H_INCLUDED_
#define _NGX_HTTP_WHALE_DB_H_INCLUDED_


#include "ngx_http_whale.h"


#define NGX_HTTP_WHALE_POOL_MAX         64
#define NGX_HTTP_WHALE_CONNECT_MS       5000
#define NGX_HTTP_WHALE_BACKOFF_MIN_MS   100
#define NGX_HTTP_WHALE_BACKOFF_MAX_MS   5000
#define NGX_HTTP_WHALE_GRACE_MS         2000    /* beyond statement_timeout */


typedef enum {
    NGX_HTTP_WHALE_CONN_DOWN = 0,   /* nothing; perhaps a timer until a try */
    NGX_HTTP_WHALE_CONN_CONNECTING,
    NGX_HTTP_WHALE_CONN_IDLE,
    NGX_HTTP_WHALE_CONN_BUSY,       /* statements are under way */
    NGX_HTTP_WHALE_CONN_HELD,       /* a transaction waits for its handler */
    NGX_HTTP_WHALE_CONN_CLEANING    /* rolling back for nobody */
} ngx_http_whale_conn_e;


struct ngx_http_whale_conn_s {
    void                       *ident_1;    /* as in ngx_http_whale_job_s */
    void                       *ident_2;
    void                       *ident_3;
    ngx_socket_t                fd;

    ngx_http_whale_conn_e       state;
    PGconn                     *pg;
    ngx_connection_t           *c;
    ngx_http_whale_job_t       *job;        /* NULL: its request is gone */
    ngx_event_t                 timer;      /* of connecting, and between tries */
    ngx_msec_t                  backoff;

    /* of the pipeline under way */
    ngx_uint_t                  expected;   /* statements in it */
    ngx_uint_t                  at;
    unsigned                    begins:1;   /* its first is BEGIN */
    unsigned                    commits:1;  /* its last is COMMIT */
    unsigned                    committed:1;
    unsigned                    failed:1;
};


typedef struct {
    ngx_http_whale_conn_t       conns[NGX_HTTP_WHALE_POOL_MAX];
    ngx_uint_t                  size;
    ngx_queue_t                 waiting;
    ngx_uint_t                  nwaiting;
    ngx_msec_t                  down_since; /* with no connection at all */
    unsigned                    down:1;
    unsigned                    exiting:1;
    unsigned                    submitting:1;
    ngx_http_whale_main_conf_t *wmcf;
    ngx_log_t                  *log;
} ngx_http_whale_pool_t;

extern ngx_http_whale_pool_t  ngx_http_whale_pool;


/* connect.c */
void ngx_http_whale_conn_connect(ngx_http_whale_conn_t *conn);
void ngx_http_whale_conn_close(ngx_http_whale_conn_t *conn);
void ngx_http_whale_conn_lost(ngx_http_whale_conn_t *conn);
void ngx_http_whale_conn_timer(ngx_http_whale_conn_t *conn, ngx_msec_t ms,
    ngx_uint_t cancelable);

/* conn.c */
void ngx_http_whale_conn_read_handler(ngx_event_t *ev);
void ngx_http_whale_conn_write_handler(ngx_event_t *ev);
void ngx_http_whale_conn_send(ngx_http_whale_conn_t *conn,
    ngx_http_whale_job_t *job);
void ngx_http_whale_conn_abandon(ngx_http_whale_conn_t *conn);

/* db.c, called by both */
void ngx_http_whale_db_ready(ngx_http_whale_conn_t *conn);
void ngx_http_whale_db_finished(ngx_http_whale_job_t *job,
    ngx_http_whale_db_e status);
void ngx_http_whale_db_down(void);


#endif /* _NGX_HTTP_WHALE_DB_H_INCLUDED_ */
