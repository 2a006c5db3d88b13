
/*
 * Answers: JSON in one buffer, and errors in the one form that the API has.
 */


#include "ngx_http_whale.h"

#include "whale_row.h"


#define NGX_HTTP_WHALE_RENDER_MAX  (4 * 1024 * 1024)


static ngx_str_t  ngx_http_whale_json = ngx_string("application/json");


ngx_int_t
ngx_http_whale_add_header(ngx_http_request_t *r, const char *name,
    const char *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key.len = ngx_strlen(name);
    h->key.data = (u_char *) name;
    h->value.len = ngx_strlen(value);
    h->value.data = (u_char *) value;

    return NGX_OK;
}


ngx_int_t
ngx_http_whale_send(ngx_http_request_t *r, ngx_uint_t status, u_char *body,
    size_t len)
{
    return ngx_http_whale_send_type(r, status, &ngx_http_whale_json, body, len);
}


ngx_int_t
ngx_http_whale_send_type(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, u_char *body, size_t len)
{
    ngx_buf_t             *b;
    ngx_int_t              rc;
    ngx_chain_t            out;
    ngx_http_whale_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_whale_module);
    if (ctx) {
        ctx->own = 1;

        /* what is one user's alone, or a credential, stays in no cache */
        if (ctx->route < WHALE_ROUTE_NONE
            && whale_routes[ctx->route].access != WHALE_PUBLIC
            && ngx_http_whale_add_header(r, "Cache-Control", "no-store")
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = len;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = body;
    b->last = body + len;
    b->memory = len ? 1 : 0;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


/* The length written; the id is the one that $request_id logs */

size_t
ngx_http_whale_error_body(ngx_http_request_t *r, enum whale_error error,
    const char *message, u_char *out, size_t capacity)
{
    json_writer                  writer;
    ngx_http_variable_value_t   *vv;
    ngx_http_whale_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_whale_module);
    vv = ngx_http_get_indexed_variable(r, wmcf->request_id_index);

    json_begin(&writer, (char *) out, capacity);
    json_object(&writer);
    json_key(&writer, "error");
    json_object(&writer);
    json_key(&writer, "code");
    json_string(&writer, error_code(error));
    json_key(&writer, "message");
    json_string(&writer, message ? message : error_sentence(error));
    json_key(&writer, "request_id");

    if (vv == NULL || vv->not_found) {
        json_null(&writer);

    } else {
        json_text(&writer, (char *) vv->data, vv->len);
    }

    json_object_end(&writer);
    json_object_end(&writer);

    return json_finish(&writer) ? writer.length : 0;
}


ngx_int_t
ngx_http_whale_error_text(ngx_http_request_t *r, enum whale_error error,
    const char *message)
{
    int        status;
    size_t     len;
    u_char    *body;
    ngx_int_t  rc;

    enum { NGX_HTTP_WHALE_ERROR_MAX = 1024 };

    /* or what is left of this request would be taken for the next one */

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    status = error_http_status(error);

    body = ngx_pnalloc(r->pool, NGX_HTTP_WHALE_ERROR_MAX);
    if (body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    len = ngx_http_whale_error_body(r, error, message, body,
                                    NGX_HTTP_WHALE_ERROR_MAX);

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE
        && ngx_http_whale_add_header(r, "Retry-After", "1") != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (status == NGX_HTTP_UNAUTHORIZED) {
        ngx_http_whale_count(NGX_HTTP_WHALE_auth_refused_total, 1);
    }

    return ngx_http_whale_send(r, status, body, len);
}


ngx_int_t
ngx_http_whale_error(ngx_http_request_t *r, enum whale_error error)
{
    return ngx_http_whale_error_text(r, error, NULL);
}


/* What became of a job that did not end well */

ngx_int_t
ngx_http_whale_job_error(ngx_http_whale_job_t *job)
{
    ngx_http_request_t  *r;

    r = job->request;

    if (job->status == NGX_HTTP_WHALE_DB_OVERLOADED) {
        return ngx_http_whale_error(r, ERROR_OVERLOADED);
    }

    if (job->status == NGX_HTTP_WHALE_DB_LOST) {
        return ngx_http_whale_error(r, ERROR_UNAVAILABLE);
    }

    /*
     * a statement that took too long, a deadlock, or a server that is
     * shutting down or short of something: the same request may succeed soon
     */

    if (ngx_strcmp(job->sqlstate, "57014") == 0
        || ngx_strncmp(job->sqlstate, "40", 2) == 0
        || ngx_strncmp(job->sqlstate, "57P", 3) == 0
        || ngx_strncmp(job->sqlstate, "53", 2) == 0)
    {
        return ngx_http_whale_error(r, ERROR_UNAVAILABLE);
    }

    return ngx_http_whale_error(r, ERROR_INTERNAL);
}


/*
 * Renders into memory of the request's pool.  `room` is enough even where every
 * byte is escaped, which is rare: a third is tried first.
 */

u_char *
ngx_http_whale_render(ngx_http_request_t *r, size_t room,
    ngx_http_whale_render_pt render, void *data, size_t *len)
{
    size_t       size;
    u_char      *out;
    ngx_uint_t   try;
    json_writer  writer;

    for (try = 0; try < 2; try++) {

        size = try == 0 ? room / 3 + 256 : room + 256;

        if (size > NGX_HTTP_WHALE_RENDER_MAX) {
            break;
        }

        out = ngx_palloc(r->pool, size);
        if (out == NULL) {
            return NULL;
        }

        json_begin(&writer, (char *) out, size);
        render(&writer, data);

        if (json_finish(&writer)) {
            *len = writer.length;
            return out;
        }

        (void) ngx_pfree(r->pool, out);
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "whale: an answer of %uz bytes does not fit", room);
    return NULL;
}


typedef struct {
    const PGresult  *rows;
    ngx_uint_t       limit;
    const char      *next;
} ngx_http_whale_page_t;


static void
ngx_http_whale_render_page(json_writer *writer, void *data)
{
    ngx_http_whale_page_t  *page = data;

    int  i, n;

    n = ngx_min((ngx_uint_t) PQntuples(page->rows), page->limit);

    json_object(writer);
    json_key(writer, "items");
    json_array(writer);

    for (i = 0; i < n; i++) {
        whale_row_object(writer, page->rows, i);
    }

    json_array_end(writer);
    json_key(writer, "next");
    json_string(writer, page->next);
    json_object_end(writer);
}


/* {"items":[…],"next":…}, of the first `limit` rows */

ngx_int_t
ngx_http_whale_rows(ngx_http_request_t *r, PGresult *rows, ngx_uint_t limit,
    const char *next)
{
    size_t                 len;
    u_char                *body;
    ngx_http_whale_page_t  page;

    page.rows = rows;
    page.limit = limit;
    page.next = next;

    body = ngx_http_whale_render(r, whale_row_room(rows) + 256,
                                 ngx_http_whale_render_page, &page, &len);
    if (body == NULL) {
        return ngx_http_whale_error(r, ERROR_INTERNAL);
    }

    return ngx_http_whale_send(r, NGX_HTTP_OK, body, len);
}
