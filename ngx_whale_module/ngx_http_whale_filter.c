
/*
 * Errors that nginx or another module makes within our locations (a body too
 * large, a limit, a denied address) go out in the API's own form as well.
 * What we send ourselves is marked so in the request's context and passes.
 */


#include "ngx_http_whale.h"


#define NGX_HTTP_WHALE_REPLACED_MAX  512


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


static enum whale_error
ngx_http_whale_error_of(ngx_uint_t status)
{
    switch (status) {

    case NGX_HTTP_UNAUTHORIZED:
        return ERROR_UNAUTHENTICATED;

    case NGX_HTTP_FORBIDDEN:
        return ERROR_FORBIDDEN;

    case NGX_HTTP_NOT_FOUND:
        return ERROR_NOT_FOUND;

    case NGX_HTTP_NOT_ALLOWED:
        return ERROR_METHOD_NOT_ALLOWED;

    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        return ERROR_BODY_TOO_LARGE;

    case NGX_HTTP_UNSUPPORTED_MEDIA_TYPE:
        return ERROR_UNSUPPORTED_MEDIA;

    case NGX_HTTP_TOO_MANY_REQUESTS:
    case NGX_HTTP_SERVICE_UNAVAILABLE:
        return ERROR_OVERLOADED;

    default:
        return status < NGX_HTTP_INTERNAL_SERVER_ERROR ? ERROR_BAD_REQUEST
                                                       : ERROR_INTERNAL;
    }
}


/*
 * Is the answer one of ours to make?  A request that cannot be parsed never
 * gets to a location: it counts as ours where its server has one of ours.
 */

static ngx_uint_t
ngx_http_whale_is_ours(ngx_http_request_t *r)
{
    ngx_http_core_srv_conf_t   *cscf;
    ngx_http_whale_loc_conf_t  *wlcf;
    ngx_http_whale_srv_conf_t  *wscf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_whale_module);

    if (wlcf->kind != NGX_HTTP_WHALE_NONE) {
        return 1;
    }

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    wscf = ngx_http_get_module_srv_conf(r, ngx_http_whale_module);

    return wscf->used && r->loc_conf == cscf->ctx->loc_conf;
}


static ngx_int_t
ngx_http_whale_header_filter(ngx_http_request_t *r)
{
    u_char                *body;
    size_t                 len;
    ngx_http_whale_ctx_t  *ctx;

    if (r->headers_out.status < NGX_HTTP_BAD_REQUEST || r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    if (!ngx_http_whale_is_ours(r)) {
        return ngx_http_next_header_filter(r);
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_whale_module);

    if (ctx == NULL) {
        ctx = ngx_http_whale_begin(r, WHALE_ROUTE_NONE);
        if (ctx == NULL) {
            return NGX_ERROR;
        }
    }

    if (ctx->own) {
        return ngx_http_next_header_filter(r);
    }

    body = ngx_pnalloc(r->pool, NGX_HTTP_WHALE_REPLACED_MAX);
    if (body == NULL) {
        return NGX_ERROR;
    }

    len = ngx_http_whale_error_body(r,
                                ngx_http_whale_error_of(r->headers_out.status),
                                NULL, body, NGX_HTTP_WHALE_REPLACED_MAX);

    ctx->replaced.data = body;
    ctx->replaced.len = len;

    ngx_http_clear_accept_ranges(r);
    ngx_http_clear_last_modified(r);
    ngx_http_clear_etag(r);
    ngx_http_clear_content_length(r);

    r->headers_out.content_length_n = len;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.charset.len = 0;

    if (r->headers_out.status == NGX_HTTP_SERVICE_UNAVAILABLE
        && ngx_http_whale_add_header(r, "Retry-After", "1") != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_http_whale_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t             *b;
    ngx_chain_t           *cl, out;
    ngx_http_whale_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_whale_module);

    if (ctx == NULL || ctx->replaced.len == 0 || in == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    for (cl = in; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
        cl->buf->file_pos = cl->buf->file_last;
    }

    if (ctx->replaced.data == NULL) {
        return NGX_OK;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = ctx->replaced.data;
    b->last = b->pos + ctx->replaced.len;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    /* the length stays: it says that what follows is dropped */
    ctx->replaced.data = NULL;

    out.buf = b;
    out.next = NULL;

    return ngx_http_next_body_filter(r, &out);
}


ngx_int_t
ngx_http_whale_filter_init(void)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_whale_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_whale_body_filter;

    return NGX_OK;
}
