
/*
 * POST, PATCH and DELETE /api/v1/whales/{id}/follow.
 *
 * The plan's limit is counted in the statement that inserts, behind a lock of
 * that user, so that two requests at once cannot pass it together.
 */


#include "ngx_http_whale.h"

#include "queries.h"
#include "whale_row.h"


enum {
    NGX_HTTP_WHALE_AUTO_COPY,
    NGX_HTTP_WHALE_SIZE_KIND,
    NGX_HTTP_WHALE_SIZE_VALUE,
    NGX_HTTP_WHALE_LEVERAGE,
    NGX_HTTP_WHALE_COPY_LEVERAGE,
    NGX_HTTP_WHALE_STOP_LOSS,
    NGX_HTTP_WHALE_TAKE_PROFIT,
    NGX_HTTP_WHALE_FOLLOW_FIELDS
};


static const whale_field  ngx_http_whale_follow_fields[] = {
    { .name = "auto_copy", .kind = WHALE_FIELD_BOOLEAN },
    { .name = "size_kind", .kind = WHALE_FIELD_WORD,
      .words = "fixed|balance_percent", .nullable = true },
    { .name = "size_value", .kind = WHALE_FIELD_DECIMAL, .most = 1000000000,
      .nullable = true },
    { .name = "leverage", .kind = WHALE_FIELD_INTEGER, .least = 1, .most = 125,
      .nullable = true },
    { .name = "copy_leverage", .kind = WHALE_FIELD_BOOLEAN },
    { .name = "stop_loss_percent", .kind = WHALE_FIELD_DECIMAL, .most = 100,
      .nullable = true },
    { .name = "take_profit_percent", .kind = WHALE_FIELD_DECIMAL,
      .most = 1000000, .nullable = true }
};


static void ngx_http_whale_follow_done(ngx_http_whale_job_t *job);


/* What no single field shows */

static ngx_int_t
ngx_http_whale_check_size(ngx_http_request_t *r, whale_values *values)
{
    dec           value;
    whale_value  *kind, *size;

    kind = &values->values[NGX_HTTP_WHALE_SIZE_KIND];
    size = &values->values[NGX_HTTP_WHALE_SIZE_VALUE];

    if (kind->given != size->given
        || (kind->text == NULL) != (size->text == NULL))
    {
        return ngx_http_whale_error_text(r, ERROR_BAD_FIELD,
                                         "\"size_kind\" and \"size_value\" "
                                         "go together.");
    }

    if (kind->text && kind->text[0] == 'b'
        && dec_parse(size->text, size->length, &value)
        && dec_compare(value, dec_from_int(100)) > 0)
    {
        return ngx_http_whale_error_text(r, ERROR_BAD_FIELD,
                                         "\"size_value\" of balance_percent "
                                         "must be at most 100.");
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_whale_follow_body(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx,
    int64_t *id)
{
    ngx_int_t  rc;

    if (!whale_route_id(&ctx->parameters[0], id)) {
        return ngx_http_whale_error(r, ERROR_NOT_FOUND);
    }

    rc = ngx_http_whale_fields(r, ctx, ngx_http_whale_follow_fields,
                               NGX_HTTP_WHALE_FOLLOW_FIELDS);

    return rc == NGX_DECLINED ? ngx_http_whale_check_size(r, ctx->values) : rc;
}


static ngx_int_t
ngx_http_whale_follow_steps(ngx_http_whale_job_t *job, int64_t id,
    const char *values[NGX_HTTP_WHALE_FOLLOW_FIELDS])
{
    ngx_uint_t              i;
    ngx_http_whale_step_t  *lock, *step, *facts;

    lock = ngx_http_whale_db_query(job, follow_lock);
    step = ngx_http_whale_db_query(job, follow);
    facts = ngx_http_whale_db_query(job, follow_facts);

    if (lock == NULL || step == NULL || facts == NULL) {
        return NGX_ERROR;
    }

    ngx_http_whale_db_id(job->request, step, id);
    ngx_http_whale_db_id(job->request, facts, id);

    for (i = 0; i < NGX_HTTP_WHALE_FOLLOW_FIELDS; i++) {
        ngx_http_whale_db_text(step, values[i]);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_whale_follow(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    int64_t                id;
    ngx_int_t              rc;
    ngx_uint_t             i;
    const char            *values[NGX_HTTP_WHALE_FOLLOW_FIELDS];
    ngx_http_whale_job_t  *job;

    rc = ngx_http_whale_follow_body(r, ctx, &id);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    for (i = 0; i < NGX_HTTP_WHALE_FOLLOW_FIELDS; i++) {
        values[i] = ctx->values->values[i].text;
    }

    if (values[NGX_HTTP_WHALE_AUTO_COPY] == NULL) {
        values[NGX_HTTP_WHALE_AUTO_COPY] = "true";
    }

    if (values[NGX_HTTP_WHALE_COPY_LEVERAGE] == NULL) {
        values[NGX_HTTP_WHALE_COPY_LEVERAGE] = "true";
    }

    job = ngx_http_whale_write_job(r, ngx_http_whale_follow_done);

    if (job == NULL || ngx_http_whale_follow_steps(job, id, values) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    job->data = "follow";

    return ngx_http_whale_db_submit(job);
}


ngx_int_t
ngx_http_whale_follow_change(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    int64_t                 id;
    ngx_int_t               rc;
    ngx_uint_t              i;
    whale_value            *value;
    ngx_http_whale_job_t   *job;
    ngx_http_whale_step_t  *step;

    rc = ngx_http_whale_follow_body(r, ctx, &id);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    job = ngx_http_whale_write_job(r, ngx_http_whale_follow_done);
    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    step = ngx_http_whale_db_query(job, follow_change);
    value = ctx->values->values;

    ngx_http_whale_db_id(r, step, id);

    for (i = 0; i < NGX_HTTP_WHALE_FOLLOW_FIELDS; i++) {

        if (i != NGX_HTTP_WHALE_SIZE_VALUE) {
            ngx_http_whale_db_text(step, value[i].given ? "true" : "false");
        }

        ngx_http_whale_db_text(step, value[i].text);
    }

    job->data = "follow_change";

    return ngx_http_whale_db_submit(job);
}


ngx_int_t
ngx_http_whale_unfollow(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    int64_t                 id;
    ngx_int_t               rc;
    ngx_http_whale_job_t   *job;
    ngx_http_whale_step_t  *step;

    if (!whale_route_id(&ctx->parameters[0], &id)) {
        return ngx_http_whale_error(r, ERROR_NOT_FOUND);
    }

    rc = ngx_http_whale_fields(r, ctx, NULL, 0);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    job = ngx_http_whale_write_job(r, ngx_http_whale_follow_done);
    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    step = ngx_http_whale_db_query(job, unfollow);
    ngx_http_whale_db_id(r, step, id);

    job->data = "unfollow";

    return ngx_http_whale_db_submit(job);
}


static void
ngx_http_whale_follow_render(json_writer *writer, void *data)
{
    whale_row_object(writer, data, 0);
}


static void
ngx_http_whale_follow_done(ngx_http_whale_job_t *job)
{
    size_t      len;
    u_char     *body;
    PGresult   *rows, *facts;

    if (ngx_http_whale_write_replay(job) != NGX_DECLINED) {
        return;
    }

    rows = ngx_http_whale_db_result(job, job->data);
    facts = ngx_http_whale_db_result(job, "follow_facts");

    if (PQntuples(rows) == 0) {
        ngx_http_whale_write_error(job,
            facts && whale_row_true(facts, 0, "known") ? ERROR_LIMIT_REACHED
                                                       : ERROR_NOT_FOUND, NULL);
        return;
    }

    body = ngx_http_whale_render(job->request, whale_row_room(rows),
                                 ngx_http_whale_follow_render, rows, &len);
    if (body == NULL) {
        ngx_http_whale_write_error(job, ERROR_INTERNAL, NULL);
        return;
    }

    ngx_http_whale_write_finish(job, whale_row_true(rows, 0, "_new")
                                     ? NGX_HTTP_CREATED : NGX_HTTP_OK,
                                body, len);
}
