
/*
 * The pool of connections to Postgres, and the transactions that wait for one.
 *
 * A fixed number of connections a worker; a bounded queue in front of them,
 * in which a request waits for a bounded time.  A job belongs to its request
 * and ends with it: a client that leaves takes its job out of the queue, or
 * leaves the connection to finish for nobody.
 */


#include "ngx_http_whale_db.h"


static void ngx_http_whale_db_cleanup(void *data);
static void ngx_http_whale_db_timeout(ngx_event_t *ev);
static void ngx_http_whale_db_dispatch(ngx_http_whale_job_t *job);
static void ngx_http_whale_db_enqueue(ngx_http_whale_job_t *job);


ngx_http_whale_pool_t  ngx_http_whale_pool;


ngx_int_t
ngx_http_whale_db_init(ngx_cycle_t *cycle, ngx_http_whale_main_conf_t *wmcf)
{
    ngx_uint_t              i;
    ngx_http_whale_conn_t  *conn;
    ngx_http_whale_pool_t  *pool;

    pool = &ngx_http_whale_pool;

    ngx_memzero(pool, sizeof(ngx_http_whale_pool_t));
    ngx_queue_init(&pool->waiting);

    pool->wmcf = wmcf;
    pool->log = cycle->log;

    if ((wmcf->kinds & ((1u << NGX_HTTP_WHALE_API)
                        | (1u << NGX_HTTP_WHALE_WEBHOOK)
                        | (1u << NGX_HTTP_WHALE_OPERATOR))) == 0)
    {
        return NGX_OK;
    }

    pool->size = ngx_min(wmcf->config.web_pool, NGX_HTTP_WHALE_POOL_MAX);

    for (i = 0; i < pool->size; i++) {
        conn = &pool->conns[i];

        conn->fd = (ngx_socket_t) -1;
        conn->backoff = NGX_HTTP_WHALE_BACKOFF_MIN_MS;
        conn->timer.data = conn;
        conn->timer.log = cycle->log;
    }

    for (i = 0; i < pool->size; i++) {
        ngx_http_whale_conn_connect(&pool->conns[i]);
    }

    return NGX_OK;
}


void
ngx_http_whale_db_exit(void)
{
    ngx_uint_t  i;

    ngx_http_whale_pool.exiting = 1;

    for (i = 0; i < ngx_http_whale_pool.size; i++) {
        ngx_http_whale_conn_close(&ngx_http_whale_pool.conns[i]);
    }
}


void
ngx_http_whale_db_state(ngx_http_whale_db_state_t *state)
{
    ngx_uint_t              i;
    ngx_http_whale_conn_t  *conn;

    ngx_memzero(state, sizeof(ngx_http_whale_db_state_t));

    state->size = ngx_http_whale_pool.size;
    state->waiting = ngx_http_whale_pool.nwaiting;

    for (i = 0; i < state->size; i++) {
        conn = &ngx_http_whale_pool.conns[i];

        state->connected += (conn->state >= NGX_HTTP_WHALE_CONN_IDLE);
        state->busy += (conn->state > NGX_HTTP_WHALE_CONN_IDLE);
    }
}


/* Is waiting for a connection worth while? */

ngx_uint_t
ngx_http_whale_db_reachable(void)
{
    ngx_msec_t  patience;

    if (!ngx_http_whale_pool.down) {
        return 1;
    }

    patience = ngx_http_whale_pool.wmcf->config.web_queue_timeout_ns / 1000000;

    return ngx_current_msec - ngx_http_whale_pool.down_since < patience;
}


void
ngx_http_whale_db_down(void)
{
    ngx_http_whale_db_state_t  state;

    ngx_http_whale_db_state(&state);

    if (state.connected || ngx_http_whale_pool.down) {
        return;
    }

    ngx_http_whale_pool.down = 1;
    ngx_http_whale_pool.down_since = ngx_current_msec;
}


ngx_http_whale_job_t *
ngx_http_whale_db_job(ngx_http_request_t *r, ngx_http_whale_job_pt handler)
{
    ngx_http_cleanup_t    *cln;
    ngx_http_whale_job_t  *job;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    job = ngx_pcalloc(r->pool, sizeof(ngx_http_whale_job_t));
    if (job == NULL) {
        return NULL;
    }

    job->fd = (ngx_socket_t) -1;
    job->request = r;
    job->handler = handler;
    job->timer.data = job;
    job->timer.handler = ngx_http_whale_db_timeout;
    job->timer.log = r->connection->log;

    cln->handler = ngx_http_whale_db_cleanup;
    cln->data = job;

    return job;
}


/* NULL: more steps than a job has; a bug, answered as an internal error */

ngx_http_whale_step_t *
ngx_http_whale_db_step(ngx_http_whale_job_t *job, const char *name,
    const char *sql)
{
    ngx_http_whale_step_t  *step;

    if (job->nsteps == NGX_HTTP_WHALE_STEPS) {
        ngx_log_error(NGX_LOG_ALERT, job->request->connection->log, 0,
                      "whale: too many steps in a transaction");
        return NULL;
    }

    step = &job->steps[job->nsteps++];
    step->name = name;
    step->sql = sql;
    step->n = 0;

    return step;
}


void
ngx_http_whale_db_text(ngx_http_whale_step_t *step, const char *value)
{
    if (step->n == NGX_HTTP_WHALE_VALUES) {
        step->broken = 1;
        return;
    }

    step->values[step->n] = value;
    step->lengths[step->n] = 0;
    step->formats[step->n] = 0;
    step->n++;
}


void
ngx_http_whale_db_id(ngx_http_request_t *r, ngx_http_whale_step_t *step,
    int64_t value)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN + 1);

    if (p == NULL) {
        step->broken = 1;       /* null would mean something else */
        return;
    }

    *ngx_sprintf(p, "%L", value) = '\0';

    ngx_http_whale_db_text(step, (char *) p);
}


void
ngx_http_whale_db_bytes(ngx_http_whale_step_t *step, const void *value,
    size_t len)
{
    if (step->n == NGX_HTTP_WHALE_VALUES) {
        step->broken = 1;
        return;
    }

    ngx_http_whale_db_text(step, value);

    step->lengths[step->n - 1] = len;
    step->formats[step->n - 1] = 1;
}


/* What a step of this round trip gave, or NULL */

PGresult *
ngx_http_whale_db_result(ngx_http_whale_job_t *job, const char *name)
{
    ngx_uint_t  i;

    for (i = 0; i < job->nsteps; i++) {
        if (ngx_strcmp(job->steps[i].name, name) == 0) {
            return job->results[i];
        }
    }

    return NULL;
}


static void
ngx_http_whale_db_forget(ngx_http_whale_job_t *job)
{
    ngx_uint_t  i;

    for (i = 0; i < job->nsteps; i++) {
        PQclear(job->results[i]);
        job->results[i] = NULL;
    }

    job->nsteps = 0;
}


/* Another round trip of an open transaction: new steps, perhaps a new handler */

void
ngx_http_whale_db_again(ngx_http_whale_job_t *job,
    ngx_http_whale_job_pt handler)
{
    ngx_http_whale_db_forget(job);

    job->handler = handler;
}


/*
 * Sends the steps, or waits for a connection.  NGX_DONE: the request is
 * suspended, and the handler is called once, perhaps before this returns.
 * Else nothing has happened, for lack of memory.
 */

ngx_int_t
ngx_http_whale_db_submit(ngx_http_whale_job_t *job)
{
    ngx_uint_t  i;

    for (i = 0; i < job->nsteps; i++) {
        if (job->steps[i].broken) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (job->conn) {
        ngx_http_whale_conn_send(job->conn, job);
        return NGX_DONE;
    }

    ngx_http_whale_suspend(job->request);

    ngx_http_whale_pool.submitting = 1;
    ngx_http_whale_db_dispatch(job);
    ngx_http_whale_pool.submitting = 0;

    return NGX_DONE;
}


/* The same of another round trip, for handlers, which return nothing */

void
ngx_http_whale_db_go_on(ngx_http_whale_job_t *job)
{
    ngx_int_t  rc;

    rc = ngx_http_whale_db_submit(job);

    if (rc != NGX_DONE) {
        ngx_http_whale_resume(job->request, rc);
    }
}


/* Is a request being submitted, so that nginx still has it in hand? */

ngx_uint_t
ngx_http_whale_db_submitting(void)
{
    return ngx_http_whale_pool.submitting;
}


static void
ngx_http_whale_db_dispatch(ngx_http_whale_job_t *job)
{
    ngx_uint_t              i;
    ngx_http_whale_conn_t  *conn;

    if (!ngx_http_whale_db_reachable()) {
        ngx_http_whale_db_finished(job, NGX_HTTP_WHALE_DB_LOST);
        return;
    }

    if (ngx_http_whale_pool.nwaiting == 0) {
        for (i = 0; i < ngx_http_whale_pool.size; i++) {
            conn = &ngx_http_whale_pool.conns[i];

            if (conn->state == NGX_HTTP_WHALE_CONN_IDLE) {
                ngx_http_whale_conn_send(conn, job);
                return;
            }
        }
    }

    if (ngx_http_whale_pool.nwaiting
        >= ngx_http_whale_pool.wmcf->config.web_queue)
    {
        ngx_http_whale_db_finished(job, NGX_HTTP_WHALE_DB_OVERLOADED);
        return;
    }

    ngx_http_whale_db_enqueue(job);
}


static void
ngx_http_whale_db_enqueue(ngx_http_whale_job_t *job)
{
    ngx_uint_t              i;
    ngx_http_whale_conn_t  *conn;

    job->waiting = 1;
    job->queued = ngx_current_msec;

    ngx_queue_insert_tail(&ngx_http_whale_pool.waiting, &job->queue);
    ngx_http_whale_pool.nwaiting++;

    /* not cancelable: a worker that is to finish waits for its requests */

    ngx_add_timer(&job->timer,
         ngx_http_whale_pool.wmcf->config.web_queue_timeout_ns / 1000000);

    ngx_http_whale_count(NGX_HTTP_WHALE_db_waits_total, 1);

    /* connections that a finishing worker gave up are needed once more */

    for (i = 0; i < ngx_http_whale_pool.size; i++) {
        conn = &ngx_http_whale_pool.conns[i];

        if (conn->state == NGX_HTTP_WHALE_CONN_DOWN && !conn->timer.timer_set) {
            ngx_http_whale_conn_connect(conn);
            break;
        }
    }
}


static void
ngx_http_whale_db_dequeue(ngx_http_whale_job_t *job)
{
    ngx_queue_remove(&job->queue);
    ngx_http_whale_pool.nwaiting--;
    job->waiting = 0;

    if (job->timer.timer_set) {
        ngx_del_timer(&job->timer);
    }

    ngx_http_whale_count(NGX_HTTP_WHALE_db_wait_milliseconds_total,
                         ngx_current_msec - job->queued);
}


/* A connection has nothing to do */

void
ngx_http_whale_db_ready(ngx_http_whale_conn_t *conn)
{
    ngx_http_whale_job_t  *job;

    conn->state = NGX_HTTP_WHALE_CONN_IDLE;
    conn->c->idle = 1;

    if (ngx_http_whale_pool.down) {
        ngx_http_whale_pool.down = 0;
        ngx_log_error(NGX_LOG_NOTICE, ngx_http_whale_pool.log, 0,
                      "whale: Postgres is back");
    }

    if (!ngx_queue_empty(&ngx_http_whale_pool.waiting)) {

        job = ngx_queue_data(ngx_queue_head(&ngx_http_whale_pool.waiting),
                             ngx_http_whale_job_t, queue);

        ngx_http_whale_db_dequeue(job);
        ngx_http_whale_conn_send(conn, job);
        return;
    }

    if (ngx_exiting) {
        ngx_http_whale_conn_close(conn);
    }
}


/* A round trip has ended, well or not: the request goes on */

void
ngx_http_whale_db_finished(ngx_http_whale_job_t *job,
    ngx_http_whale_db_e status)
{
    ngx_connection_t       *c;
    ngx_http_request_t     *r;
    ngx_http_whale_conn_t  *conn;

    job->status = status;

    if (status == NGX_HTTP_WHALE_DB_LOST) {
        ngx_http_whale_count(NGX_HTTP_WHALE_db_lost_total, 1);

    } else if (status == NGX_HTTP_WHALE_DB_OVERLOADED) {
        ngx_http_whale_count(NGX_HTTP_WHALE_db_overloaded_total, 1);
    }

    r = job->request;
    c = r->connection;
    conn = job->conn;

    ngx_http_set_log_request(c->log, r);

    job->handler(job);

    /*
     * the job may be gone by now; where the connection still knows it, it is
     * not, and an open transaction of which nobody wants more is rolled back:
     * the client may take long to read the answer
     */

    if (conn && conn->job == job && conn->state == NGX_HTTP_WHALE_CONN_HELD) {
        job->conn = NULL;
        ngx_http_whale_conn_abandon(conn);
    }
}


static void
ngx_http_whale_db_timeout(ngx_event_t *ev)
{
    ngx_http_whale_job_t *job = ev->data;

    ngx_http_whale_db_dequeue(job);

    ngx_http_whale_db_finished(job, ngx_http_whale_pool.down
                                    ? NGX_HTTP_WHALE_DB_LOST
                                    : NGX_HTTP_WHALE_DB_OVERLOADED);
}


static void
ngx_http_whale_db_cleanup(void *data)
{
    ngx_http_whale_job_t *job = data;

    ngx_http_whale_conn_t  *conn;

    if (job->waiting) {
        ngx_http_whale_db_dequeue(job);
    }

    conn = job->conn;

    if (conn) {
        job->conn = NULL;
        ngx_http_whale_conn_abandon(conn);
    }

    ngx_http_whale_db_forget(job);
}
