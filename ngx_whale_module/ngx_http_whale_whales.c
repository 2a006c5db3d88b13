
/*
 * GET /api/v1/whales and /api/v1/whales/{id}.
 */


#include "ngx_http_whale.h"

#include "queries.h"
#include "whale_row.h"


static void ngx_http_whale_one_done(ngx_http_whale_job_t *job);


/* A letter an order: of "roi_7d" and "roi_30d" the digit tells which */

static char
ngx_http_whale_order_letter(const char *order)
{
    return ngx_strlen(order) > 5 && order[4] == '7' ? order[0] - ('a' - 'A')
                                                    : order[0];
}


ngx_int_t
ngx_http_whale_list(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    char                   *key, *last;
    ngx_int_t               rc;
    ngx_uint_t              i;
    whale_value            *value;
    const char             *order;
    ngx_http_whale_job_t   *job;
    ngx_http_whale_step_t  *step;
    ngx_http_whale_list_t  *list;

    enum { LIMIT, CURSOR, ORDER, VENUE, RANK, STATUS, SCORE, ROI, WIN_RATE,
           FOLLOWED, COUNT };

    static const whale_field  fields[COUNT] = {
        NGX_HTTP_WHALE_LIST_FIELDS,
        { .name = "order", .kind = WHALE_FIELD_WORD,
          .words = "score|roi_7d|roi_30d|pnl_7d|pnl_30d|win_rate|followers" },
        { .name = "venue", .kind = WHALE_FIELD_TEXT, .least = 1, .most = 16 },
        { .name = "rank", .kind = WHALE_FIELD_WORD,
          .words = "BRONZE|SILVER|GOLD|PLATINUM|DIAMOND" },
        { .name = "status", .kind = WHALE_FIELD_WORD,
          .words = "ACTIVE|SHARING_DISABLED|RATE_LIMITED" },
        { .name = "min_score", .kind = WHALE_FIELD_DECIMAL, .most = 100 },
        { .name = "min_roi_30d", .kind = WHALE_FIELD_DECIMAL },
        { .name = "min_win_rate", .kind = WHALE_FIELD_DECIMAL, .most = 100 },
        { .name = "followed", .kind = WHALE_FIELD_BOOLEAN }
    };

    rc = ngx_http_whale_fields(r, ctx, fields, COUNT);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    value = ctx->values->values;
    order = value[ORDER].text ? value[ORDER].text : "score";

    list = ngx_pcalloc(r->pool, sizeof(ngx_http_whale_list_t));
    if (list == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    list->query = "whales";
    list->list = 'w';
    list->order = ngx_http_whale_order_letter(order);
    list->keyed = 1;

    rc = ngx_http_whale_list_begin(r, ctx, list, &key, &last);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    job = ngx_http_whale_list_job(r);
    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    step = ngx_http_whale_db_query(job, whales);

    ngx_http_whale_db_text(step, key);
    ngx_http_whale_db_text(step, last);
    ngx_http_whale_db_text(step, order);

    for (i = VENUE; i < COUNT; i++) {
        ngx_http_whale_db_text(step, value[i].text);
    }

    ngx_http_whale_db_id(r, step, list->limit + 1);

    return ngx_http_whale_db_submit(job);
}


ngx_int_t
ngx_http_whale_one(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    int64_t                 id;
    ngx_uint_t              i;
    ngx_http_whale_job_t   *job;
    ngx_http_whale_step_t  *step[3];

    if (r->args.len) {
        return ngx_http_whale_error_text(r, ERROR_BAD_FIELD,
                                         "This address takes no query.");
    }

    if (!whale_route_id(&ctx->parameters[0], &id)) {
        return ngx_http_whale_error(r, ERROR_NOT_FOUND);
    }

    job = ngx_http_whale_db_job(r, ngx_http_whale_one_done);

    if (job == NULL || ngx_http_whale_auth_steps(job, 0) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    step[0] = ngx_http_whale_db_query(job, whale);
    step[1] = ngx_http_whale_db_query(job, whale_positions);
    step[2] = ngx_http_whale_db_query(job, follow_one);

    for (i = 0; i < 3; i++) {
        ngx_http_whale_db_id(r, step[i], id);
    }

    return ngx_http_whale_db_submit(job);
}


static void
ngx_http_whale_one_render(json_writer *writer, void *data)
{
    PGresult **rows = data;

    int  i;

    json_object(writer);
    whale_row_members(writer, rows[0], 0);

    json_key(writer, "positions");
    json_array(writer);

    for (i = 0; i < PQntuples(rows[1]); i++) {
        whale_row_object(writer, rows[1], i);
    }

    json_array_end(writer);
    json_key(writer, "follow");

    if (PQntuples(rows[2])) {
        whale_row_object(writer, rows[2], 0);

    } else {
        json_null(writer);
    }

    json_object_end(writer);
}


static void
ngx_http_whale_one_done(ngx_http_whale_job_t *job)
{
    size_t               len;
    u_char              *body;
    PGresult            *rows[3];
    ngx_int_t            rc;
    enum whale_error     error;
    ngx_http_request_t  *r;

    r = job->request;

    if (job->status != NGX_HTTP_WHALE_DB_OK) {
        ngx_http_whale_resume(r, ngx_http_whale_job_error(job));
        return;
    }

    rows[0] = ngx_http_whale_db_result(job, "whale");
    rows[1] = ngx_http_whale_db_result(job, "whale_positions");
    rows[2] = ngx_http_whale_db_result(job, "follow_one");

    error = ngx_http_whale_auth_check(job);

    if (error == ERROR_NONE && PQntuples(rows[0]) == 0) {
        error = ERROR_NOT_FOUND;
    }

    if (error != ERROR_NONE) {
        ngx_http_whale_resume(r, ngx_http_whale_error(r, error));
        return;
    }

    body = ngx_http_whale_render(r, whale_row_room(rows[0])
                                    + whale_row_room(rows[1])
                                    + whale_row_room(rows[2]) + 256,
                                 ngx_http_whale_one_render, rows, &len);

    rc = body ? ngx_http_whale_send(r, NGX_HTTP_OK, body, len)
              : ngx_http_whale_error(r, ERROR_INTERNAL);

    ngx_http_whale_resume(r, rc);
}
