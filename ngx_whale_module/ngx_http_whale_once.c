
/*
 * Writes, each of which happens once.
 *
 * A client repeats a request of which it has not seen the answer: with the
 * same Idempotency-Key, or, Telegram, with the same update_id.  The answer is
 * kept in the transaction of the write, so there is either both or neither.
 * A lock on the key lets the second of two find what the first kept; it then
 * rolls back whatever it did meanwhile.
 */


#include "ngx_http_whale.h"

#include "queries.h"
#include "whale_row.h"


static void ngx_http_whale_write_kept(ngx_http_whale_job_t *job);


ngx_int_t
ngx_http_whale_once_accept(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    size_t       len;
    u_char      *p, *text;
    ngx_str_t   *key;
    ngx_uint_t   i, count;

    static const char  name[] = "Idempotency-Key";

    if (whale_routes[ctx->route].access == WHALE_TELEGRAM) {
        return NGX_DECLINED;
    }

    key = ngx_http_whale_header(r, name, sizeof(name) - 1, &count);
    if (key == NULL) {
        return NGX_DECLINED;
    }

    if (count > 1 || key->len == 0 || key->len > NGX_HTTP_WHALE_KEY_MAX) {
        goto invalid;
    }

    for (i = 0; i < key->len; i++) {
        if (key->data[i] < 0x21 || key->data[i] > 0x7e) {
            goto invalid;
        }
    }

    /* what makes a request the same: method, address and body */

    len = r->method_name.len + r->unparsed_uri.len + ctx->body.len + 2;

    text = ngx_pnalloc(r->pool, len);
    if (text == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(text, r->method_name.data, r->method_name.len);
    *p++ = '\0';
    p = ngx_cpymem(p, r->unparsed_uri.data, r->unparsed_uri.len);
    *p++ = '\0';

    if (ctx->body.len) {
        ngx_memcpy(p, ctx->body.data, ctx->body.len);
    }

    ctx->once_key = ngx_http_whale_cstring(r, key->data, key->len);

    if (ctx->once_key == NULL || !crypto_sha256(text, len, ctx->once_hash)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;

invalid:

    return ngx_http_whale_error_text(r, ERROR_BAD_FIELD,
                                     "\"Idempotency-Key\" must be 1 to 128 "
                                     "visible ASCII characters.");
}


/* A transaction that writes: its user, the gate, and what was kept before */

ngx_http_whale_job_t *
ngx_http_whale_write_job(ngx_http_request_t *r, ngx_http_whale_job_pt handler)
{
    ngx_http_whale_ctx_t   *ctx;
    ngx_http_whale_job_t   *job;
    ngx_http_whale_step_t  *lock, *find;

    ctx = ngx_http_get_module_ctx(r, ngx_http_whale_module);

    job = ngx_http_whale_db_job(r, handler);

    if (job == NULL || ngx_http_whale_auth_steps(job, 1) != NGX_OK) {
        return NULL;
    }

    if (ctx->update) {
        lock = ngx_http_whale_db_query(job, update_lock);
        find = ngx_http_whale_db_step(job, "find", query_web_update_find);

        if (lock == NULL || find == NULL) {
            return NULL;
        }

        ngx_http_whale_db_id(r, lock, ctx->update_id);
        ngx_http_whale_db_id(r, find, ctx->update_id);
        job->hold = 1;

    } else if (ctx->once_key) {
        lock = ngx_http_whale_db_query(job, once_lock);
        find = ngx_http_whale_db_step(job, "find", query_web_once_find);

        if (lock == NULL || find == NULL) {
            return NULL;
        }

        ngx_http_whale_db_text(lock, ctx->once_key);
        ngx_http_whale_db_text(find, ctx->once_key);
        ngx_http_whale_db_bytes(find, ctx->once_hash, sizeof(ctx->once_hash));
        job->hold = 1;
    }

    return job;
}


/*
 * First thing in the handler of a write.  NGX_DECLINED: the write was done,
 * and waits to be committed; else the request has been answered.
 */

ngx_int_t
ngx_http_whale_write_replay(ngx_http_whale_job_t *job)
{
    int64_t                status;
    PGresult              *find;
    const char            *body;
    enum whale_error       error;
    ngx_http_request_t    *r;
    ngx_http_whale_ctx_t  *ctx;

    r = job->request;
    ctx = ngx_http_get_module_ctx(r, ngx_http_whale_module);

    find = ngx_http_whale_db_result(job, "find");

    /* a repeated write may well be refused; what it was answered counts */

    if (find == NULL && job->status != NGX_HTTP_WHALE_DB_OK) {
        ngx_http_whale_resume(r, ngx_http_whale_job_error(job));
        return NGX_DONE;
    }

    error = ngx_http_whale_auth_check(job);

    if (error == ERROR_NONE && find && PQntuples(find) == 1) {

        if (whale_row_true(find, 0, "same")
            && whale_row_id(find, 0, "status", &status))
        {
            body = whale_row_text(find, 0, "body");
            ngx_http_whale_count(ctx->update
                                 ? NGX_HTTP_WHALE_updates_repeated_total
                                 : NGX_HTTP_WHALE_idempotent_repeats_total, 1);
            ngx_http_whale_resume(r,
                ngx_http_whale_send(r, status, (u_char *) body,
                                    ngx_strlen(body)));
            return NGX_DONE;
        }

        error = ERROR_IDEMPOTENCY_MISMATCH;
    }

    if (error != ERROR_NONE) {
        ngx_http_whale_resume(r, ctx->update
                                 ? ngx_http_whale_bot_sentence(r, error)
                                 : ngx_http_whale_error(r, error));
        return NGX_DONE;
    }

    if (job->status != NGX_HTTP_WHALE_DB_OK) {
        ngx_http_whale_resume(r, ngx_http_whale_job_error(job));
        return NGX_DONE;
    }

    return NGX_DECLINED;
}


/* The answer of a write: kept and committed where that is still to be done */

void
ngx_http_whale_write_finish(ngx_http_whale_job_t *job, ngx_uint_t status,
    u_char *body, size_t len)
{
    char                   *text;
    ngx_http_request_t     *r;
    ngx_http_whale_ctx_t   *ctx;
    ngx_http_whale_step_t  *step;

    r = job->request;
    ctx = ngx_http_get_module_ctx(r, ngx_http_whale_module);

    if (job->conn == NULL) {
        ngx_http_whale_resume(r, ngx_http_whale_send(r, status, body, len));
        return;
    }

    ctx->status = status;
    ctx->answer.data = body;
    ctx->answer.len = len;

    ngx_http_whale_db_again(job, ngx_http_whale_write_kept);
    job->hold = 0;

    if (ctx->update || ctx->once_key) {

        text = ngx_http_whale_cstring(r, body, len);

        step = ctx->update ? ngx_http_whale_db_query(job, update_keep)
                           : ngx_http_whale_db_query(job, once_keep);

        if (text == NULL || step == NULL) {
            ngx_http_whale_resume(r, ngx_http_whale_error(r, ERROR_INTERNAL));
            return;
        }

        if (ctx->update) {
            ngx_http_whale_db_id(r, step, ctx->update_id);

        } else {
            ngx_http_whale_db_text(step, ctx->once_key);
            ngx_http_whale_db_bytes(step, ctx->once_hash,
                                    sizeof(ctx->once_hash));
            ngx_http_whale_db_id(r, step, status);
        }

        ngx_http_whale_db_text(step, text);
    }

    ngx_http_whale_db_go_on(job);
}


static void
ngx_http_whale_write_kept(ngx_http_whale_job_t *job)
{
    ngx_http_request_t    *r;
    ngx_http_whale_ctx_t  *ctx;

    r = job->request;
    ctx = ngx_http_get_module_ctx(r, ngx_http_whale_module);

    if (job->status != NGX_HTTP_WHALE_DB_OK) {
        ngx_http_whale_resume(r, ngx_http_whale_job_error(job));
        return;
    }

    ngx_http_whale_resume(r, ngx_http_whale_send(r, ctx->status,
                                                 ctx->answer.data,
                                                 ctx->answer.len));
}


/* A refusal that repeating would not change is an answer like any other */

void
ngx_http_whale_write_error(ngx_http_whale_job_t *job, enum whale_error error,
    const char *message)
{
    size_t               len;
    u_char              *body;
    ngx_http_request_t  *r;

    enum { NGX_HTTP_WHALE_ERROR_MAX = 1024 };

    r = job->request;

    if (error_http_status(error) >= NGX_HTTP_INTERNAL_SERVER_ERROR) {
        ngx_http_whale_resume(r, ngx_http_whale_error_text(r, error, message));
        return;
    }

    body = ngx_pnalloc(r->pool, NGX_HTTP_WHALE_ERROR_MAX);

    if (body == NULL) {
        ngx_http_whale_resume(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    len = ngx_http_whale_error_body(r, error, message, body,
                                    NGX_HTTP_WHALE_ERROR_MAX);

    ngx_http_whale_write_finish(job, error_http_status(error), body, len);
}
