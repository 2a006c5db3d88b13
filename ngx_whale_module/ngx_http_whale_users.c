
/*
 * Sign-in, the user's own profile, and settings.
 */


#include "ngx_http_whale.h"

#include "queries.h"
#include "whale_row.h"
#include "whale_session.h"


typedef struct {
    PGresult                   *profile;
    PGresult                   *settings;
    const char                 *token;
    int64_t                     expires_ns;
    ngx_uint_t                  created;
} ngx_http_whale_me_t;


enum { NGX_HTTP_WHALE_SETTINGS = 14 };


/* in the order of settings_change.sql */

static const whale_field  ngx_http_whale_setting_fields[] = {
    { .name = "mode", .kind = WHALE_FIELD_WORD,
      .words = "SPOT|FUTURES|MIXED" },
    { .name = "preferred_venue", .kind = WHALE_FIELD_TEXT, .least = 1,
      .most = 15 },
    { .name = "auto_copy", .kind = WHALE_FIELD_BOOLEAN },
    { .name = "auto_copy_delay_s", .kind = WHALE_FIELD_INTEGER, .least = 0,
      .most = 3600 },
    { .name = "default_size", .kind = WHALE_FIELD_DECIMAL, .most = 1000000000,
      .nullable = true },
    { .name = "maximum_size", .kind = WHALE_FIELD_DECIMAL, .most = 1000000000,
      .nullable = true },
    { .name = "stop_loss_percent", .kind = WHALE_FIELD_DECIMAL, .most = 100,
      .nullable = true },
    { .name = "take_profit_percent", .kind = WHALE_FIELD_DECIMAL,
      .most = 1000000, .nullable = true },
    { .name = "daily_loss_limit", .kind = WHALE_FIELD_DECIMAL,
      .most = 1000000000, .nullable = true },
    { .name = "maximum_positions", .kind = WHALE_FIELD_INTEGER, .least = 1,
      .most = 1000000, .nullable = true },
    { .name = "default_leverage", .kind = WHALE_FIELD_INTEGER, .least = 1,
      .most = 125 },
    { .name = "maximum_leverage", .kind = WHALE_FIELD_INTEGER, .least = 1,
      .most = 125 },
    { .name = "close_at_take_profit", .kind = WHALE_FIELD_BOOLEAN },
    { .name = "close_on_whale_exit", .kind = WHALE_FIELD_BOOLEAN }
};


static void ngx_http_whale_me_done(ngx_http_whale_job_t *job);
static void ngx_http_whale_sign_in_done(ngx_http_whale_job_t *job);
static void ngx_http_whale_settings_done(ngx_http_whale_job_t *job);


static void
ngx_http_whale_me_members(json_writer *writer, ngx_http_whale_me_t *me)
{
    whale_row_members(writer, me->profile, 0);
    json_key(writer, "settings");

    if (PQntuples(me->settings)) {
        whale_row_object(writer, me->settings, 0);

    } else {
        json_null(writer);
    }
}


static void
ngx_http_whale_me_render(json_writer *writer, void *data)
{
    json_object(writer);
    ngx_http_whale_me_members(writer, data);
    json_object_end(writer);
}


/* NGX_ERROR: there is no such user, which the gate has told already */

static ngx_int_t
ngx_http_whale_me_rows(ngx_http_whale_job_t *job, ngx_http_whale_me_t *me)
{
    me->profile = ngx_http_whale_db_result(job, "profile");
    me->settings = ngx_http_whale_db_result(job, "settings");

    return PQntuples(me->profile) == 1 ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_whale_me(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    ngx_http_whale_job_t  *job;

    if (r->args.len) {
        return ngx_http_whale_error_text(r, ERROR_BAD_FIELD,
                                         "This address takes no query.");
    }

    job = ngx_http_whale_db_job(r, ngx_http_whale_me_done);

    if (job == NULL
        || ngx_http_whale_auth_steps(job, 0) != NGX_OK
        || ngx_http_whale_db_query(job, profile) == NULL
        || ngx_http_whale_db_query(job, settings) == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_whale_db_submit(job);
}


static void
ngx_http_whale_me_done(ngx_http_whale_job_t *job)
{
    size_t                len;
    u_char               *body;
    ngx_int_t             rc;
    enum whale_error      error;
    ngx_http_request_t   *r;
    ngx_http_whale_me_t   me;

    r = job->request;

    if (job->status != NGX_HTTP_WHALE_DB_OK) {
        ngx_http_whale_resume(r, ngx_http_whale_job_error(job));
        return;
    }

    error = ngx_http_whale_auth_check(job);

    if (error == ERROR_NONE && ngx_http_whale_me_rows(job, &me) != NGX_OK) {
        error = ERROR_INTERNAL;
    }

    if (error != ERROR_NONE) {
        ngx_http_whale_resume(r, ngx_http_whale_error(r, error));
        return;
    }

    body = ngx_http_whale_render(r, whale_row_room(me.profile)
                                    + whale_row_room(me.settings),
                                 ngx_http_whale_me_render, &me, &len);

    rc = body ? ngx_http_whale_send(r, NGX_HTTP_OK, body, len)
              : ngx_http_whale_error(r, ERROR_INTERNAL);

    ngx_http_whale_resume(r, rc);
}


ngx_int_t
ngx_http_whale_sign_in(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    ngx_int_t              rc;
    ngx_http_whale_job_t  *job;

    rc = ngx_http_whale_fields(r, ctx, NULL, 0);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    /*
     * signing in again makes another token and changes nothing: there is no
     * need to remember it, and a kept answer would keep the token
     */

    ctx->once_key = NULL;

    job = ngx_http_whale_db_job(r, ngx_http_whale_sign_in_done);

    if (job == NULL
        || ngx_http_whale_auth_steps(job, 0) != NGX_OK
        || ngx_http_whale_db_query(job, profile) == NULL
        || ngx_http_whale_db_query(job, settings) == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_whale_db_submit(job);
}


static void
ngx_http_whale_sign_in_render(json_writer *writer, void *data)
{
    ngx_http_whale_me_t *me = data;

    json_object(writer);
    json_key(writer, "token");
    json_string(writer, me->token);
    json_key(writer, "expires_at");
    json_time(writer, me->expires_ns);
    json_key(writer, "created");
    json_bool(writer, me->created);
    json_key(writer, "user");
    json_object(writer);
    ngx_http_whale_me_members(writer, me);
    json_object_end(writer);
    json_object_end(writer);
}


static void
ngx_http_whale_sign_in_done(ngx_http_whale_job_t *job)
{
    char                   token[WHALE_SESSION_TEXT_LENGTH + 1];
    size_t                 len;
    u_char                *body;
    ngx_int_t              rc;
    whale_session          session;
    enum whale_error       error;
    ngx_http_request_t    *r;
    ngx_http_whale_me_t    me;
    ngx_http_whale_ctx_t  *ctx;

    r = job->request;
    ctx = ngx_http_get_module_ctx(r, ngx_http_whale_module);

    if (job->status != NGX_HTTP_WHALE_DB_OK) {
        ngx_http_whale_resume(r, ngx_http_whale_job_error(job));
        return;
    }

    error = ngx_http_whale_auth_check(job);

    session.user_id = ctx->who.user_id;
    session.epoch = ctx->who.epoch;
    session.expires_s = ngx_time() + ngx_http_whale_worker.wmcf->config
                                     .session_lifetime_ns / 1000000000;

    if (error == ERROR_NONE
        && (ngx_http_whale_me_rows(job, &me) != NGX_OK
            || !whale_session_make(&session, ngx_http_whale_worker.session,
                                   token)))
    {
        error = ERROR_INTERNAL;
    }

    if (error != ERROR_NONE) {
        ngx_http_whale_resume(r, ngx_http_whale_error(r, error));
        return;
    }

    me.token = token;
    me.expires_ns = session.expires_s * 1000000000;
    me.created = whale_row_true(ngx_http_whale_db_result(job,
                                                         "begin_telegram"),
                                0, "created");

    body = ngx_http_whale_render(r, whale_row_room(me.profile)
                                    + whale_row_room(me.settings) + 512,
                                 ngx_http_whale_sign_in_render, &me, &len);

    rc = body ? ngx_http_whale_send(r, NGX_HTTP_OK, body, len)
              : ngx_http_whale_error(r, ERROR_INTERNAL);

    ngx_http_whale_resume(r, rc);
}


ngx_int_t
ngx_http_whale_settings(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    ngx_int_t               rc;
    ngx_uint_t              i;
    whale_value            *value;
    ngx_http_whale_job_t   *job;
    ngx_http_whale_step_t  *step;

    rc = ngx_http_whale_fields(r, ctx, ngx_http_whale_setting_fields,
                               NGX_HTTP_WHALE_SETTINGS);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    job = ngx_http_whale_write_job(r, ngx_http_whale_settings_done);
    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    step = ngx_http_whale_db_query(job, settings_change);
    value = ctx->values->values;

    for (i = 0; i < NGX_HTTP_WHALE_SETTINGS; i++) {
        ngx_http_whale_db_text(step, value[i].given ? "true" : "false");
        ngx_http_whale_db_text(step, value[i].text);
    }

    return ngx_http_whale_db_submit(job);
}


static void
ngx_http_whale_settings_render(json_writer *writer, void *data)
{
    whale_row_object(writer, data, 0);
}


static void
ngx_http_whale_settings_done(ngx_http_whale_job_t *job)
{
    size_t     len;
    u_char    *body;
    PGresult  *rows;

    if (ngx_http_whale_write_replay(job) != NGX_DECLINED) {
        return;
    }

    rows = ngx_http_whale_db_result(job, "settings_change");

    if (PQntuples(rows) == 0) {
        ngx_http_whale_write_error(job, ERROR_NOT_FOUND, NULL);
        return;
    }

    body = ngx_http_whale_render(job->request, whale_row_room(rows),
                                 ngx_http_whale_settings_render, rows, &len);
    if (body == NULL) {
        ngx_http_whale_write_error(job, ERROR_INTERNAL, NULL);
        return;
    }

    ngx_http_whale_write_finish(job, NGX_HTTP_OK, body, len);
}
