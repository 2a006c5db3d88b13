
/*
 * GET /api/v1/trades and GET /api/v1/signals: lists by id, newest first.
 */


#include "ngx_http_whale.h"

#include "queries.h"


ngx_int_t
ngx_http_whale_trades(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    char                   *key, *last;
    ngx_int_t               rc;
    whale_value            *value;
    ngx_uint_t              oldest;
    ngx_http_whale_job_t   *job;
    ngx_http_whale_step_t  *step;
    ngx_http_whale_list_t  *list;

    enum { LIMIT, CURSOR, STATE, SYMBOL, WHALE, FROM, TO, ORDER, COUNT };

    static const whale_field  fields[COUNT] = {
        NGX_HTTP_WHALE_LIST_FIELDS,
        { .name = "state", .kind = WHALE_FIELD_WORD,
          .words = "PENDING|EXECUTING|UNKNOWN|FILLED|PARTIAL|FAILED|SKIPPED" },
        { .name = "symbol", .kind = WHALE_FIELD_TEXT, .least = 1, .most = 80 },
        NGX_HTTP_WHALE_ID_FIELD("whale_id"),
        { .name = "from", .kind = WHALE_FIELD_TIME },
        { .name = "to", .kind = WHALE_FIELD_TIME },
        { .name = "order", .kind = WHALE_FIELD_WORD, .words = "asc|desc" }
    };

    rc = ngx_http_whale_fields(r, ctx, fields, COUNT);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    value = ctx->values->values;
    oldest = value[ORDER].text && value[ORDER].text[0] == 'a';

    list = ngx_pcalloc(r->pool, sizeof(ngx_http_whale_list_t));
    if (list == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    list->query = "trades";
    list->list = 't';
    list->order = oldest ? 'a' : 'd';

    rc = ngx_http_whale_list_begin(r, ctx, list, &key, &last);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    job = ngx_http_whale_list_job(r);
    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    step = ngx_http_whale_db_query(job, trades);

    ngx_http_whale_db_text(step, last);
    ngx_http_whale_db_text(step, value[STATE].text);
    ngx_http_whale_db_text(step, value[SYMBOL].text);
    ngx_http_whale_db_text(step, value[WHALE].text);
    ngx_http_whale_db_text(step, value[FROM].text);
    ngx_http_whale_db_text(step, value[TO].text);
    ngx_http_whale_db_id(r, step, list->limit + 1);
    ngx_http_whale_db_text(step, oldest ? "true" : "false");

    return ngx_http_whale_db_submit(job);
}


ngx_int_t
ngx_http_whale_signals(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    char                   *key, *last;
    ngx_int_t               rc;
    ngx_uint_t              i;
    whale_value            *value;
    ngx_http_whale_job_t   *job;
    ngx_http_whale_step_t  *step;
    ngx_http_whale_list_t  *list;

    enum { LIMIT, CURSOR, WHALE, SYMBOL, KIND, STATUS, FROM, TO, COUNT };

    static const whale_field  fields[COUNT] = {
        NGX_HTTP_WHALE_LIST_FIELDS,
        NGX_HTTP_WHALE_ID_FIELD("whale_id"),
        { .name = "symbol", .kind = WHALE_FIELD_TEXT, .least = 1, .most = 80 },
        { .name = "kind", .kind = WHALE_FIELD_WORD,
          .words = "OPEN|INCREASE|REDUCE|CLOSE|FLIP" },
        { .name = "status", .kind = WHALE_FIELD_WORD,
          .words = "PENDING|PROCESSING|PROCESSED|SKIPPED" },
        { .name = "from", .kind = WHALE_FIELD_TIME },
        { .name = "to", .kind = WHALE_FIELD_TIME }
    };

    rc = ngx_http_whale_fields(r, ctx, fields, COUNT);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    list = ngx_pcalloc(r->pool, sizeof(ngx_http_whale_list_t));
    if (list == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    list->query = "signals";
    list->list = 's';
    list->order = 'd';

    rc = ngx_http_whale_list_begin(r, ctx, list, &key, &last);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    job = ngx_http_whale_list_job(r);
    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    step = ngx_http_whale_db_query(job, signals);
    value = ctx->values->values;

    ngx_http_whale_db_text(step, last);

    for (i = WHALE; i < COUNT; i++) {
        ngx_http_whale_db_text(step, value[i].text);
    }

    ngx_http_whale_db_id(r, step, list->limit + 1);

    return ngx_http_whale_db_submit(job);
}
