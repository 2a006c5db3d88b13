
/*
 * What runs on a connection: a pipeline of statements, and its results.
 *
 * Events are level-triggered: PQconsumeInput() does not read until EAGAIN, so
 * with edges a long result would never end.
 */


#include "ngx_http_whale_db.h"


static void ngx_http_whale_conn_flush(ngx_http_whale_conn_t *conn);
static void ngx_http_whale_conn_results(ngx_http_whale_conn_t *conn);
static void ngx_http_whale_conn_result(ngx_http_whale_conn_t *conn,
    PGresult *res);
static void ngx_http_whale_conn_synced(ngx_http_whale_conn_t *conn);


static ngx_int_t
ngx_http_whale_conn_put(ngx_http_whale_conn_t *conn,
    ngx_http_whale_step_t *step)
{
    if (!PQsendQueryParams(conn->pg, step->sql, step->n, NULL, step->values,
                           step->lengths, step->formats, 0))
    {
        return NGX_ERROR;
    }

    conn->expected++;

    return NGX_OK;
}


static ngx_int_t
ngx_http_whale_conn_word(ngx_http_whale_conn_t *conn, const char *word)
{
    if (!PQsendQueryParams(conn->pg, word, 0, NULL, NULL, NULL, NULL, 0)) {
        return NGX_ERROR;
    }

    conn->expected++;

    return NGX_OK;
}


/* Where it fails, the job's handler is called before this returns */

void
ngx_http_whale_conn_send(ngx_http_whale_conn_t *conn,
    ngx_http_whale_job_t *job)
{
    ngx_uint_t  i;

    conn->job = job;
    job->conn = conn;

    conn->state = NGX_HTTP_WHALE_CONN_BUSY;
    conn->c->idle = 0;
    conn->expected = 0;
    conn->at = 0;
    conn->failed = 0;
    conn->committed = 0;
    conn->begins = !job->begun;
    conn->commits = !job->hold;

    /*
     * statement_timeout ends slow statements; this is for a server that is
     * not there any more.  It keeps a worker that is to finish alive.
     */

    ngx_http_whale_conn_timer(conn,
        ngx_http_whale_pool.wmcf->config.web_statement_timeout_ns / 1000000
        + NGX_HTTP_WHALE_GRACE_MS, 0);

    if (conn->begins && ngx_http_whale_conn_word(conn, "BEGIN") != NGX_OK) {
        goto lost;
    }

    for (i = 0; i < job->nsteps; i++) {
        if (ngx_http_whale_conn_put(conn, &job->steps[i]) != NGX_OK) {
            goto lost;
        }
    }

    if (conn->commits && ngx_http_whale_conn_word(conn, "COMMIT") != NGX_OK) {
        goto lost;
    }

    if (!PQpipelineSync(conn->pg)) {
        goto lost;
    }

    job->begun = 1;
    ngx_http_whale_count(NGX_HTTP_WHALE_db_transactions_total, conn->begins);

    ngx_http_whale_conn_flush(conn);
    return;

lost:

    ngx_http_whale_conn_lost(conn);
}


/* The request of an open transaction is gone, or wants no more */

void
ngx_http_whale_conn_abandon(ngx_http_whale_conn_t *conn)
{
    conn->job = NULL;

    if (conn->state != NGX_HTTP_WHALE_CONN_HELD) {
        return;     /* what is under way ends by itself, for nobody */
    }

    ngx_http_whale_conn_timer(conn, NGX_HTTP_WHALE_GRACE_MS, 0);

    conn->state = NGX_HTTP_WHALE_CONN_CLEANING;
    conn->expected = 0;
    conn->at = 0;
    conn->begins = 0;
    conn->commits = 0;
    conn->failed = 0;

    if (ngx_http_whale_conn_word(conn, "ROLLBACK") != NGX_OK
        || !PQpipelineSync(conn->pg))
    {
        ngx_http_whale_conn_lost(conn);
        return;
    }

    ngx_http_whale_conn_flush(conn);
}


/* Until libpq has sent everything; a large body may take several turns */

static void
ngx_http_whale_conn_flush(ngx_http_whale_conn_t *conn)
{
    ngx_event_t  *wev;

    wev = conn->c->write;

    switch (PQflush(conn->pg)) {

    case 0:
        if (wev->active && ngx_del_event(wev, NGX_WRITE_EVENT, 0) != NGX_OK) {
            ngx_http_whale_conn_lost(conn);
        }

        return;

    case 1:
        if (!wev->active
            && ngx_add_event(wev, NGX_WRITE_EVENT, NGX_LEVEL_EVENT) != NGX_OK)
        {
            ngx_http_whale_conn_lost(conn);
        }

        return;

    default:
        ngx_http_whale_conn_lost(conn);
    }
}


void
ngx_http_whale_conn_write_handler(ngx_event_t *ev)
{
    ngx_connection_t  *c = ev->data;

    ngx_http_whale_conn_flush(c->data);
}


void
ngx_http_whale_conn_read_handler(ngx_event_t *ev)
{
    ngx_connection_t       *c = ev->data;
    ngx_http_whale_conn_t  *conn = c->data;

    if (c->close && conn->state == NGX_HTTP_WHALE_CONN_IDLE) {
        ngx_http_whale_conn_close(conn);
        return;
    }

    if (!PQconsumeInput(conn->pg)) {
        ngx_http_whale_conn_lost(conn);
        return;
    }

    if (conn->state == NGX_HTTP_WHALE_CONN_BUSY
        || conn->state == NGX_HTTP_WHALE_CONN_CLEANING)
    {
        if (c->write->active) {
            ngx_http_whale_conn_flush(conn);
        }

        if (conn->c == c) {
            ngx_http_whale_conn_results(conn);
        }

        return;
    }

    /* an idle server has nothing to say but parameters and farewells */

    (void) PQisBusy(conn->pg);

    if (PQstatus(conn->pg) == CONNECTION_BAD) {
        ngx_http_whale_conn_lost(conn);
    }
}


static void
ngx_http_whale_conn_results(ngx_http_whale_conn_t *conn)
{
    PGresult    *res;
    ngx_uint_t   empty;

    empty = 0;

    while (!PQisBusy(conn->pg)) {

        res = PQgetResult(conn->pg);

        if (res == NULL) {

            /* the end of one statement; two in a row are the end of libpq's */

            if (++empty > 2 || PQstatus(conn->pg) == CONNECTION_BAD) {
                ngx_http_whale_conn_lost(conn);
                return;
            }

            continue;
        }

        empty = 0;

        if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
            PQclear(res);
            ngx_http_whale_conn_synced(conn);
            return;
        }

        ngx_http_whale_conn_result(conn, res);
    }

    if (PQstatus(conn->pg) == CONNECTION_BAD) {
        ngx_http_whale_conn_lost(conn);
    }
}


/* A statement that always fails would fill the disk: ten lines a second do */

static ngx_uint_t
ngx_http_whale_conn_quiet(void)
{
    static time_t      second;
    static ngx_uint_t  lines;

    if (second != ngx_time()) {
        second = ngx_time();
        lines = 0;
    }

    return ++lines > 10;
}


static void
ngx_http_whale_conn_refused(ngx_http_whale_conn_t *conn, PGresult *res)
{
    const char            *state, *message;
    ngx_http_whale_job_t  *job;

    conn->failed = 1;
    job = conn->job;

    state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    state = state ? state : "XX000";

    if (job) {
        ngx_cpystrn((u_char *) job->sqlstate, (u_char *) state,
                    sizeof(job->sqlstate));
    }

    /* the messages of these classes repeat values that a user sent */

    message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

    if (message == NULL || ngx_strncmp(state, "22", 2) == 0
        || ngx_strncmp(state, "23", 2) == 0)
    {
        message = PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);
    }

    ngx_http_whale_count(NGX_HTTP_WHALE_db_failed_total, 1);

    if (ngx_http_whale_conn_quiet()) {
        return;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_http_whale_pool.log, 0,
                  "whale: Postgres refused a statement: %s %s", state,
                  message ? message : "");
}


static void
ngx_http_whale_conn_result(ngx_http_whale_conn_t *conn, PGresult *res)
{
    ngx_uint_t              at;
    ExecStatusType          status;
    ngx_http_whale_job_t   *job;

    at = conn->at++;
    job = conn->job;
    status = PQresultStatus(res);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {

        if (status != PGRES_PIPELINE_ABORTED && !conn->failed) {
            ngx_http_whale_conn_refused(conn, res);
        }

        conn->failed = 1;
        PQclear(res);
        return;
    }

    if (conn->commits && at == conn->expected - 1) {
        conn->committed = ngx_strcmp(PQcmdStatus(res), "COMMIT") == 0;
    }

    if (job && at >= conn->begins && at - conn->begins < job->nsteps) {
        job->results[at - conn->begins] = res;
        return;
    }

    PQclear(res);
}


static void
ngx_http_whale_conn_synced(ngx_http_whale_conn_t *conn)
{
    ngx_http_whale_db_e     status;
    ngx_http_whale_job_t   *job;

    job = conn->job;

    ngx_del_timer(&conn->timer);

    status = conn->failed || (conn->commits && !conn->committed)
             ? NGX_HTTP_WHALE_DB_FAILED : NGX_HTTP_WHALE_DB_OK;

    if (PQtransactionStatus(conn->pg) != PQTRANS_IDLE) {

        conn->state = NGX_HTTP_WHALE_CONN_HELD;

        if (job == NULL || status != NGX_HTTP_WHALE_DB_OK) {

            if (job) {
                job->conn = NULL;
            }

            ngx_http_whale_conn_abandon(conn);
        }

    } else {

        if (job) {
            job->conn = NULL;
        }

        conn->job = NULL;
        ngx_http_whale_db_ready(conn);
    }

    if (job) {
        ngx_http_whale_db_finished(job, status);
    }
}
