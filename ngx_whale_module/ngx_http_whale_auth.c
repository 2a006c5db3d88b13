
/*
 * Who asks: Telegram's initData, checked on each request, or a session token
 * that was made from it.
 *
 * Here is only what can be told without a database: signatures and ages.  The
 * epoch that revokes sessions, and whether the account may do this at all, are
 * compared where the user is read: in the segment, or by gate.sql in the very
 * transaction that serves the request.
 */


#include "ngx_http_whale.h"

#include "queries.h"
#include "whale_initdata.h"
#include "whale_row.h"
#include "whale_session.h"


static ngx_int_t ngx_http_whale_init_data(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_whale_bearer(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx, ngx_str_t *value);


static const char  ngx_http_whale_init_data_name[] = "X-Telegram-Init-Data";

/* one request at a time uses it, and only until it is identified */
static whale_initdata_work  ngx_http_whale_work;


static int64_t
ngx_http_whale_max_age(ngx_http_whale_ctx_t *ctx)
{
    int64_t  max_age;

    max_age = ngx_http_whale_worker.wmcf->config.init_data_max_age_ns
              / 1000000000;

    if (whale_routes[ctx->route].access == WHALE_FRESH
        && max_age > NGX_HTTP_WHALE_FRESH_S)
    {
        return NGX_HTTP_WHALE_FRESH_S;
    }

    return max_age;
}


/*
 * What polls, positions, is known by the exact bytes of what it sent before.
 * The profile is not kept: where Postgres has to be asked after all, the
 * handler calls identify_all().
 */

static ngx_int_t
ngx_http_whale_known(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx,
    ngx_str_t *value)
{
    whale_verdict  verdict;

    if (ctx->route != WHALE_ROUTE_POSITIONS
        || !whale_verdict_find(ngx_http_whale_worker.init_datas,
                               (char *) value->data, value->len, ngx_time(),
                               &verdict))
    {
        return ngx_http_whale_init_data(r, ctx, value);
    }

    ctx->who.kind = NGX_HTTP_WHALE_TELEGRAM;
    ctx->who.telegram_id = verdict.id;
    ctx->who.auth_date = verdict.auth_date;

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_whale_identify_all(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    ngx_str_t   *value;
    ngx_uint_t   count;

    if (ctx->who.kind != NGX_HTTP_WHALE_TELEGRAM || ctx->who.profile.len) {
        return NGX_DECLINED;
    }

    value = ngx_http_whale_header(r, ngx_http_whale_init_data_name,
                                  sizeof(ngx_http_whale_init_data_name) - 1,
                                  &count);

    return value ? ngx_http_whale_init_data(r, ctx, value)
                 : ngx_http_whale_error(r, ERROR_UNAUTHENTICATED);
}


ngx_int_t
ngx_http_whale_identify(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    ngx_str_t   *value;
    ngx_uint_t   count;

    value = ngx_http_whale_header(r, ngx_http_whale_init_data_name,
                                  sizeof(ngx_http_whale_init_data_name) - 1,
                                  &count);

    if (count > 1) {
        return ngx_http_whale_error(r, ERROR_INIT_DATA_INVALID);
    }

    if (value) {
        return ngx_http_whale_known(r, ctx, value);
    }

    if (r->headers_in.authorization) {
        return ngx_http_whale_bearer(r, ctx,
                                     &r->headers_in.authorization->value);
    }

    if (ngx_http_whale_add_header(r, "WWW-Authenticate", "Bearer") != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_whale_error(r, ERROR_UNAUTHENTICATED);
}


static ngx_int_t
ngx_http_whale_init_data(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx,
    ngx_str_t *value)
{
    int64_t                       max_age;
    whale_verdict                 kept;
    whale_initdata                data;
    ngx_http_whale_identity_t    *who;
    enum whale_initdata_verdict   verdict;

    max_age = ngx_http_whale_max_age(ctx);

    verdict = whale_initdata_check((char *) value->data, value->len,
                                   ngx_http_whale_worker.init_data, ngx_time(),
                                   max_age, &ngx_http_whale_work, &data);

    if (verdict == WHALE_INITDATA_STALE) {
        return ngx_http_whale_error(r, ERROR_INIT_DATA_STALE);
    }

    if (verdict != WHALE_INITDATA_OK) {
        return ngx_http_whale_error(r, ERROR_INIT_DATA_INVALID);
    }

    who = &ctx->who;

    who->kind = NGX_HTTP_WHALE_TELEGRAM;
    who->telegram_id = data.user_id;
    who->auth_date = data.auth_date_s;

    if (ctx->route == WHALE_ROUTE_POSITIONS) {
        kept.id = data.user_id;
        kept.epoch = 0;
        kept.auth_date = data.auth_date_s;
        kept.until = data.auth_date_s + max_age + 1;

        whale_verdict_keep(ngx_http_whale_worker.init_datas,
                           (char *) value->data, value->len, &kept);
    }

    /* in the work buffer until the next request is identified */

    who->profile.data = (u_char *) data.user;
    who->profile.len = data.user_length;

    /* what has to read a body first comes back in another turn */

    if (whale_routes[ctx->route].method != WHALE_GET) {

        who->profile.data = ngx_pstrdup(r->pool, &who->profile);
        if (who->profile.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_whale_bearer(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx,
    ngx_str_t *value)
{
    u_char         *token;
    size_t          len;
    whale_session   session;
    whale_verdict   verdict;

    static ngx_str_t  scheme = ngx_string("Bearer ");

    if (value->len <= scheme.len
        || ngx_strncasecmp(value->data, scheme.data, scheme.len) != 0)
    {
        return ngx_http_whale_error(r, ERROR_UNAUTHENTICATED);
    }

    token = value->data + scheme.len;
    len = value->len - scheme.len;

    if (whale_verdict_find(ngx_http_whale_worker.sessions, (char *) token, len,
                           ngx_time(), &verdict))
    {
        session.user_id = verdict.id;
        session.epoch = verdict.epoch;

    } else if (whale_session_check((char *) token, len,
                                   ngx_http_whale_worker.session, ngx_time(),
                                   &session))
    {
        verdict.id = session.user_id;
        verdict.epoch = session.epoch;
        verdict.auth_date = 0;
        verdict.until = session.expires_s;

        whale_verdict_keep(ngx_http_whale_worker.sessions, (char *) token, len,
                           &verdict);

    } else {
        return ngx_http_whale_error(r, ERROR_SESSION_INVALID);
    }

    /* changing keys takes Telegram's own word, and a recent one */

    if (whale_routes[ctx->route].access == WHALE_FRESH
        || ctx->route == WHALE_ROUTE_SIGN_IN)
    {
        return ngx_http_whale_error(r, ERROR_INIT_DATA_STALE);
    }

    ctx->who.kind = NGX_HTTP_WHALE_SESSION;
    ctx->who.user_id = session.user_id;
    ctx->who.epoch = session.epoch;

    return NGX_DECLINED;
}


/* The first statement of every transaction */

ngx_int_t
ngx_http_whale_begin_step(ngx_http_whale_job_t *job)
{
    ngx_http_whale_step_t  *step;

    step = ngx_http_whale_db_query(job, begin);
    if (step == NULL) {
        return NGX_ERROR;
    }

    ngx_http_whale_db_id(job->request, step,
                         ngx_http_whale_worker.wmcf->config
                         .web_statement_timeout_ns / 1000000);

    return NGX_OK;
}


static ngx_int_t
ngx_http_whale_telegram_step(ngx_http_whale_job_t *job,
    ngx_http_whale_identity_t *who)
{
    whale_profile           profile;
    ngx_http_request_t     *r;
    ngx_http_whale_step_t  *step;

    r = job->request;
    step = ngx_http_whale_db_query(job, begin_telegram);

    if (step == NULL
        || !whale_profile_parse((char *) who->profile.data, who->profile.len,
                                &profile)
        || profile.id != who->telegram_id)
    {
        return NGX_ERROR;
    }

#define NGX_HTTP_WHALE_COPY(text)                                             \
    ngx_http_whale_cstring(r, (u_char *) text, ngx_strlen(text))

    ngx_http_whale_db_id(r, step, profile.id);
    ngx_http_whale_db_text(step, profile.username[0] != '\0'
                                 ? NGX_HTTP_WHALE_COPY(profile.username)
                                 : NULL);
    ngx_http_whale_db_text(step, NGX_HTTP_WHALE_COPY(profile.first_name));
    ngx_http_whale_db_text(step, profile.language[0] != '\0'
                                 ? NGX_HTTP_WHALE_COPY(profile.language)
                                 : NULL);

#undef NGX_HTTP_WHALE_COPY

    return NGX_OK;
}


/* The first statements of a user's transaction: whose it is, and the gate */

ngx_int_t
ngx_http_whale_auth_steps(ngx_http_whale_job_t *job, ngx_uint_t writes)
{
    ngx_http_request_t         *r;
    ngx_http_whale_ctx_t       *ctx;
    ngx_http_whale_step_t      *step;
    ngx_http_whale_identity_t  *who;

    r = job->request;
    ctx = ngx_http_get_module_ctx(r, ngx_http_whale_module);
    who = &ctx->who;

    if (ngx_http_whale_begin_step(job) != NGX_OK) {
        return NGX_ERROR;
    }

    if (who->kind == NGX_HTTP_WHALE_SESSION) {

        step = ngx_http_whale_db_query(job, begin_session);
        if (step == NULL) {
            return NGX_ERROR;
        }

        ngx_http_whale_db_id(r, step, who->user_id);

    } else if (ngx_http_whale_telegram_step(job, who) != NGX_OK) {
        return NGX_ERROR;
    }

    step = ngx_http_whale_db_query(job, gate);
    if (step == NULL) {
        return NGX_ERROR;
    }

    if (who->kind == NGX_HTTP_WHALE_SESSION) {
        ngx_http_whale_db_id(r, step, who->epoch);

    } else {
        ngx_http_whale_db_text(step, NULL);
    }

    ngx_http_whale_db_text(step, writes ? "true" : "false");

    return NGX_OK;
}


/* What the gate said */

enum whale_error
ngx_http_whale_auth_check(ngx_http_whale_job_t *job)
{
    PGresult              *gate;
    ngx_http_whale_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(job->request, ngx_http_whale_module);
    gate = ngx_http_whale_db_result(job, "gate");

    if (gate == NULL || PQntuples(gate) != 1
        || !whale_row_true(gate, 0, "current"))
    {
        return ERROR_SESSION_INVALID;
    }

    if (!whale_row_true(gate, 0, "admitted")) {
        return ERROR_USER_INACTIVE;
    }

    if (!whale_row_id(gate, 0, "id", &ctx->who.user_id)
        || !whale_row_id(gate, 0, "epoch", &ctx->who.epoch))
    {
        return ERROR_INTERNAL;
    }

    return ERROR_NONE;
}


/* The same, of a user found in the segment, for a read */

enum whale_error
ngx_http_whale_auth_user(ngx_http_whale_identity_t *who, const shm_user *user)
{
    if (who->kind == NGX_HTTP_WHALE_SESSION
        && who->epoch != user->session_epoch)
    {
        return ERROR_SESSION_INVALID;
    }

    if (user->flags & SHM_USER_BANNED) {
        return ERROR_USER_INACTIVE;
    }

    return ERROR_NONE;
}
