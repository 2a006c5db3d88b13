
/*
 * What lists have in common: limit, cursor, one page, the next cursor.
 *
 * One row more than asked for is read: whether there is a next page is then
 * known, and the cursor names the last row that was shown, by its id and, in
 * lists that are not ordered by id, by its column "_key".
 */


#include "ngx_http_whale.h"

#include "whale_cursor.h"
#include "whale_row.h"


static void ngx_http_whale_list_done(ngx_http_whale_job_t *job);


/*
 * Limit and cursor, the first two fields.  *last and *key are those of the
 * last row seen, or NULL on the first page.
 */

ngx_int_t
ngx_http_whale_list_begin(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx,
    ngx_http_whale_list_t *list, char **key, char **last)
{
    u_char        *p;
    whale_value   *limit, *cursor;
    whale_cursor   from;

    limit = &ctx->values->values[0];
    cursor = &ctx->values->values[1];

    list->limit = limit->text ? (ngx_uint_t) ngx_atoi((u_char *) limit->text,
                                                      limit->length)
                              : NGX_HTTP_WHALE_LIST_DEFAULT;
    ctx->data = list;
    *key = NULL;
    *last = NULL;

    if (cursor->text == NULL) {
        return NGX_DECLINED;
    }

    if (!whale_cursor_parse(cursor->text, cursor->length, list->list,
                            list->order, &from)
        || (from.key[0] != '\0') != list->keyed)
    {
        return ngx_http_whale_error(r, ERROR_BAD_CURSOR);
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN + 1);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    *ngx_sprintf(p, "%L", from.id) = '\0';
    *last = (char *) p;

    if (list->keyed) {
        *key = ngx_http_whale_cstring(r, (u_char *) from.key,
                                      ngx_strlen(from.key));
        if (*key == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return NGX_DECLINED;
}


ngx_http_whale_job_t *
ngx_http_whale_list_job(ngx_http_request_t *r)
{
    ngx_http_whale_job_t  *job;

    job = ngx_http_whale_db_job(r, ngx_http_whale_list_done);

    if (job && ngx_http_whale_auth_steps(job, 0) != NGX_OK) {
        return NULL;
    }

    return job;
}


static void
ngx_http_whale_list_done(ngx_http_whale_job_t *job)
{
    char                    next[WHALE_CURSOR_TEXT_MAX];
    PGresult               *rows;
    ngx_uint_t              n;
    whale_cursor            cursor;
    enum whale_error        error;
    ngx_http_request_t     *r;
    ngx_http_whale_ctx_t   *ctx;
    ngx_http_whale_list_t  *list;

    r = job->request;
    ctx = ngx_http_get_module_ctx(r, ngx_http_whale_module);
    list = ctx->data;

    if (job->status != NGX_HTTP_WHALE_DB_OK) {
        ngx_http_whale_resume(r, ngx_http_whale_job_error(job));
        return;
    }

    error = ngx_http_whale_auth_check(job);
    if (error != ERROR_NONE) {
        ngx_http_whale_resume(r, ngx_http_whale_error(r, error));
        return;
    }

    rows = ngx_http_whale_db_result(job, list->query);
    n = PQntuples(rows);

    cursor.list = list->list;
    cursor.order = list->order;

    (void) ngx_cpystrn((u_char *) cursor.key,
                       (u_char *) whale_row_text(rows, list->limit - 1, "_key"),
                       sizeof(cursor.key));

    if (n <= list->limit
        || !whale_row_id(rows, list->limit - 1, "id", &cursor.id)
        || whale_cursor_format(&cursor, next) == 0)
    {
        next[0] = '\0';
    }

    ngx_http_whale_resume(r, ngx_http_whale_rows(r, rows, list->limit,
                                                 next[0] ? next : NULL));
}
