
/*
 * A connection to Postgres in nginx's event loop: made, given up, made again.
 *
 * libpq may change the socket while it connects, even under the same number,
 * so nginx's connection is made anew after each step.  Teardown takes the
 * events away, then frees nginx's connection, and lets libpq close the socket:
 * never the other way round.
 */


#include "ngx_http_whale_db.h"


static void ngx_http_whale_conn_poll(ngx_http_whale_conn_t *conn);
static void ngx_http_whale_conn_poll_handler(ngx_event_t *ev);
static void ngx_http_whale_conn_timer_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_whale_conn_attach(ngx_http_whale_conn_t *conn,
    ngx_event_handler_pt handler);
static void ngx_http_whale_conn_detach(ngx_http_whale_conn_t *conn,
    ngx_uint_t closing);


static void
ngx_http_whale_conn_notice(void *data, const PGresult *res)
{
    /* notices may repeat values */
}


void
ngx_http_whale_conn_connect(ngx_http_whale_conn_t *conn)
{
    ngx_uint_t               n;
    const char              *keywords[6], *values[6];
    ngx_http_whale_keys_t   *keys;
    whale_config            *config;

    config = &ngx_http_whale_pool.wmcf->config;
    keys = ngx_http_whale_pool.wmcf->keys;

    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    n = 0;

    /* what stands before the string is a default that it may change */

    keywords[n] = "application_name";
    values[n++] = "whale-web";
    keywords[n] = "dbname";
    values[n++] = config->web_database;

    if (keys->password[0] != '\0') {
        keywords[n] = "password";
        values[n++] = keys->password;
    }

    /* asks a credential cache on disk before each connection */
    keywords[n] = "gssencmode";
    values[n++] = "disable";

    keywords[n] = NULL;
    values[n] = NULL;

    conn->state = NGX_HTTP_WHALE_CONN_CONNECTING;
    conn->pg = PQconnectStartParams(keywords, values, 1);

    if (conn->pg == NULL || PQstatus(conn->pg) == CONNECTION_BAD) {
        ngx_http_whale_conn_lost(conn);
        return;
    }

    PQsetNoticeReceiver(conn->pg, ngx_http_whale_conn_notice, NULL);

    ngx_http_whale_conn_timer(conn, NGX_HTTP_WHALE_CONNECT_MS, 1);

    /* libpq: "behave as if PQconnectPoll() had asked for writing" */

    if (ngx_http_whale_conn_attach(conn, ngx_http_whale_conn_poll_handler)
        != NGX_OK
        || ngx_add_event(conn->c->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT)
           != NGX_OK)
    {
        ngx_http_whale_conn_lost(conn);
    }
}


static void
ngx_http_whale_conn_poll_handler(ngx_event_t *ev)
{
    ngx_connection_t       *c = ev->data;
    ngx_http_whale_conn_t  *conn = c->data;

    if (c->close) {

        if (ngx_http_whale_pool.nwaiting == 0) {
            ngx_http_whale_conn_close(conn);
            return;
        }

        c->close = 0;
        return;
    }

    ngx_http_whale_conn_poll(conn);
}


static void
ngx_http_whale_conn_poll(ngx_http_whale_conn_t *conn)
{
    ngx_event_t                *ev;
    ngx_int_t                   event;
    PostgresPollingStatusType   status;

    /* epoll forgets a socket that libpq closes, without a word */
    ngx_http_whale_conn_detach(conn, 0);

    status = PQconnectPoll(conn->pg);

    if (status == PGRES_POLLING_FAILED) {
        ngx_http_whale_conn_lost(conn);
        return;
    }

    if (ngx_http_whale_conn_attach(conn, ngx_http_whale_conn_poll_handler)
        != NGX_OK)
    {
        ngx_http_whale_conn_lost(conn);
        return;
    }

    if (status == PGRES_POLLING_OK) {

        ngx_del_timer(&conn->timer);

        if (PQsetnonblocking(conn->pg, 1) != 0
            || !PQenterPipelineMode(conn->pg))
        {
            ngx_http_whale_conn_lost(conn);
            return;
        }

        conn->backoff = NGX_HTTP_WHALE_BACKOFF_MIN_MS;
        conn->c->read->handler = ngx_http_whale_conn_read_handler;
        conn->c->write->handler = ngx_http_whale_conn_write_handler;

        if (ngx_add_event(conn->c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT)
            != NGX_OK)
        {
            ngx_http_whale_conn_lost(conn);
            return;
        }

        ngx_http_whale_count(NGX_HTTP_WHALE_db_connects_total, 1);
        ngx_http_whale_db_ready(conn);
        return;
    }

    if (status == PGRES_POLLING_READING) {
        ev = conn->c->read;
        event = NGX_READ_EVENT;

    } else {
        ev = conn->c->write;
        event = NGX_WRITE_EVENT;
    }

    if (ngx_add_event(ev, event, NGX_LEVEL_EVENT) != NGX_OK) {
        ngx_http_whale_conn_lost(conn);
    }
}


static ngx_int_t
ngx_http_whale_conn_attach(ngx_http_whale_conn_t *conn,
    ngx_event_handler_pt handler)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(PQsocket(conn->pg), ngx_http_whale_pool.log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->data = conn;
    c->log = ngx_http_whale_pool.log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = handler;
    c->write->handler = handler;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);

    /* a worker that is told to finish calls the read handler of idle ones */
    c->idle = 1;

    conn->c = c;

    return NGX_OK;
}


/* `closing`: libpq closes the socket now, or has; epoll needs no telling */

static void
ngx_http_whale_conn_detach(ngx_http_whale_conn_t *conn, ngx_uint_t closing)
{
    ngx_connection_t  *c;

    c = conn->c;
    if (c == NULL) {
        return;
    }

    if (closing) {
        c->read->active = 0;
        c->write->active = 0;

    } else {

        if (c->write->active) {
            (void) ngx_del_event(c->write, NGX_WRITE_EVENT, 0);
        }

        if (c->read->active) {
            (void) ngx_del_event(c->read, NGX_READ_EVENT, 0);
        }
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    c->read->closed = 1;
    c->write->closed = 1;
    c->idle = 0;

    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;

    conn->c = NULL;
}


void
ngx_http_whale_conn_close(ngx_http_whale_conn_t *conn)
{
    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    ngx_http_whale_conn_detach(conn, 1);

    if (conn->pg) {
        PQfinish(conn->pg);
        conn->pg = NULL;
    }

    conn->state = NGX_HTTP_WHALE_CONN_DOWN;
}


/* Only the first loss is told: all connections of all workers lose at once */

static void
ngx_http_whale_conn_explain(ngx_http_whale_conn_t *conn)
{
    const char  *reason;

    if (ngx_http_whale_pool.down || conn->pg == NULL) {
        return;
    }

    reason = PQerrorMessage(conn->pg);

    if (reason[0] == '\0') {
        reason = "no answer in time";   /* the timer was ours, not libpq's */
    }

    ngx_log_error(NGX_LOG_WARN, ngx_http_whale_pool.log, 0,
                  "whale: Postgres: %*s", strcspn(reason, "\n"), reason);
}


/* The connection is of no more use; what ran on it has failed */

void
ngx_http_whale_conn_lost(ngx_http_whale_conn_t *conn)
{
    ngx_uint_t             connecting;
    ngx_http_whale_job_t  *job;

    connecting = (conn->state == NGX_HTTP_WHALE_CONN_CONNECTING);
    job = conn->job;
    conn->job = NULL;

    if (connecting) {
        ngx_http_whale_count(NGX_HTTP_WHALE_db_connect_failures_total, 1);
    }

    ngx_http_whale_conn_explain(conn);
    ngx_http_whale_conn_close(conn);

    if (!ngx_http_whale_pool.exiting) {

        /* half of the pause is chance, so that workers do not come at once */

        ngx_http_whale_conn_timer(conn,
                 conn->backoff / 2 + ngx_random() % (conn->backoff / 2 + 1), 1);

        conn->backoff = ngx_min(conn->backoff * 2,
                                NGX_HTTP_WHALE_BACKOFF_MAX_MS);
    }

    ngx_http_whale_db_down();

    if (job) {
        job->conn = NULL;
        ngx_http_whale_db_finished(job, NGX_HTTP_WHALE_DB_LOST);
    }
}


/* nginx would keep a timer that moves by less than 300 ms where it was */

void
ngx_http_whale_conn_timer(ngx_http_whale_conn_t *conn, ngx_msec_t ms,
    ngx_uint_t cancelable)
{
    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    conn->timer.handler = ngx_http_whale_conn_timer_handler;
    conn->timer.cancelable = cancelable;

    ngx_add_timer(&conn->timer, ms);
}


static void
ngx_http_whale_conn_timer_handler(ngx_event_t *ev)
{
    ngx_http_whale_conn_t *conn = ev->data;

    if (conn->state == NGX_HTTP_WHALE_CONN_DOWN) {

        if (!ngx_exiting || ngx_http_whale_pool.nwaiting) {
            ngx_http_whale_conn_connect(conn);
        }

        return;
    }

    /* connecting, or what was sent, takes too long */

    ngx_http_whale_conn_lost(conn);
}
