
/*
 * The API's entry: which route, who asks, what was sent.
 *
 * One request is one pass: route, identity, body, then the route's handler,
 * which answers at once (from shared memory) or submits a transaction and is
 * called back.  Handlers return what nginx's content handlers return; NGX_DONE
 * is a request that waits for Postgres.  What is checked on the way returns
 * NGX_DECLINED for "go on", and else what the handler is to return, the answer
 * having been sent.
 */


#include "ngx_http_whale.h"


static void ngx_http_whale_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_whale_take_body(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);


static const ngx_http_whale_handler_pt  ngx_http_whale_handlers[] = {
    [WHALE_ROUTE_PRICE] = ngx_http_whale_price,
    [WHALE_ROUTE_POSITIONS] = ngx_http_whale_positions,
    [WHALE_ROUTE_TRADES] = ngx_http_whale_trades,
    [WHALE_ROUTE_SIGNALS] = ngx_http_whale_signals,
    [WHALE_ROUTE_SIGN_IN] = ngx_http_whale_sign_in,
    [WHALE_ROUTE_ME] = ngx_http_whale_me,
    [WHALE_ROUTE_SETTINGS] = ngx_http_whale_settings,
    [WHALE_ROUTE_KEYS] = ngx_http_whale_keys,
    [WHALE_ROUTE_KEY_ADD] = ngx_http_whale_key_add,
    [WHALE_ROUTE_KEY_REMOVE] = ngx_http_whale_key_remove,
    [WHALE_ROUTE_WHALES] = ngx_http_whale_list,
    [WHALE_ROUTE_WHALE] = ngx_http_whale_one,
    [WHALE_ROUTE_FOLLOW] = ngx_http_whale_follow,
    [WHALE_ROUTE_FOLLOW_CHANGE] = ngx_http_whale_follow_change,
    [WHALE_ROUTE_UNFOLLOW] = ngx_http_whale_unfollow
};


ngx_http_whale_ctx_t *
ngx_http_whale_begin(ngx_http_request_t *r, ngx_uint_t route)
{
    ngx_http_whale_ctx_t  *ctx;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_whale_ctx_t));

    if (ctx) {
        ctx->route = route;
        ngx_http_set_ctx(r, ctx, ngx_http_whale_module);
    }

    return ctx;
}


static enum whale_method
ngx_http_whale_method(ngx_http_request_t *r)
{
    switch (r->method) {

    case NGX_HTTP_GET:
    case NGX_HTTP_HEAD:
        return WHALE_GET;

    case NGX_HTTP_POST:
        return WHALE_POST;

    case NGX_HTTP_PATCH:
        return WHALE_PATCH;

    case NGX_HTTP_DELETE:
        return WHALE_DELETE;

    default:
        return 0;
    }
}


/* ctx->route is set, or the answer was sent */

ngx_int_t
ngx_http_whale_route(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx,
    ngx_uint_t operators)
{
    char      allow[40];
    char     *text;
    unsigned  allowed;

    ctx->route = whale_route_match(operators, ngx_http_whale_method(r),
                                   (char *) r->uri.data, r->uri.len,
                                   ctx->parameters, &allowed);

    if (ctx->route != WHALE_ROUTE_NONE) {
        return NGX_DECLINED;
    }

    if (allowed == 0) {
        return ngx_http_whale_error(r, ERROR_NOT_FOUND);
    }

    whale_route_allow(allowed, allow);
    text = ngx_http_whale_cstring(r, (u_char *) allow, ngx_strlen(allow));

    if (text == NULL || ngx_http_whale_add_header(r, "Allow", text) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_whale_error(r, ERROR_METHOD_NOT_ALLOWED);
}


ngx_int_t
ngx_http_whale_api_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_http_whale_ctx_t     *ctx;
    const whale_route_entry  *route;

    ctx = ngx_http_whale_begin(r, WHALE_ROUTE_NONE);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_whale_route(r, ctx, 0);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    route = &whale_routes[ctx->route];

    if (route->method == WHALE_GET) {

        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (route->access != WHALE_PUBLIC) {

        rc = ngx_http_whale_identify(r, ctx);
        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    if (route->method == WHALE_GET) {
        return ngx_http_whale_handlers[ctx->route](r, ctx);
    }

    return ngx_http_whale_read_body(r, ctx, NGX_HTTP_WHALE_BODY_MAX,
                                    ngx_http_whale_handlers[ctx->route]);
}


/* A body needs a type; without a body there is none to be wrong */

static ngx_uint_t
ngx_http_whale_is_json(ngx_http_request_t *r)
{
    ngx_str_t  *type;

    static ngx_str_t  json = ngx_string("application/json");

    if (r->headers_in.content_type == NULL) {
        return 0;
    }

    type = &r->headers_in.content_type->value;

    return type->len >= json.len
           && ngx_strncasecmp(type->data, json.data, json.len) == 0
           && (type->len == json.len || type->data[json.len] == ';'
               || type->data[json.len] == ' ');
}


ngx_int_t
ngx_http_whale_read_body(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx,
    size_t max, ngx_http_whale_handler_pt handler)
{
    ngx_int_t   rc;
    ngx_uint_t  has_body;

    has_body = r->headers_in.content_length_n > 0 || r->headers_in.chunked;

    if (r->headers_in.content_length_n > (off_t) max) {
        return ngx_http_whale_error(r, ERROR_BODY_TOO_LARGE);
    }

    if (has_body && !ngx_http_whale_is_json(r)) {
        return ngx_http_whale_error(r, ERROR_UNSUPPORTED_MEDIA);
    }

    ctx->handler = handler;
    ctx->body_max = max;
    ctx->reading = 1;

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_whale_body_handler);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


static void
ngx_http_whale_body_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_http_whale_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_whale_module);

    rc = ngx_http_whale_take_body(r, ctx);

    if (rc == NGX_DECLINED) {
        rc = ngx_http_whale_once_accept(r, ctx);
    }

    if (rc == NGX_DECLINED) {
        rc = ctx->handler(r, ctx);
    }

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


/*
 * Where the body came in several buffers, or had to go to a file (which takes
 * a client_body_buffer_size below our limit), it is put together here.
 */

static ngx_int_t
ngx_http_whale_take_body(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    off_t         len;
    size_t        n;
    u_char       *p;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    len = 0;

    if (r->request_body == NULL) {
        return NGX_DECLINED;
    }

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        len += ngx_buf_size(cl->buf);
    }

    /* an empty body may be one buffer that holds nothing at all */

    if (len == 0) {
        return NGX_DECLINED;
    }

    /* a chunked body tells its length only now */

    if (len > (off_t) ctx->body_max) {
        return ngx_http_whale_error(r, ERROR_BODY_TOO_LARGE);
    }

    cl = r->request_body->bufs;

    if (cl->next == NULL && ngx_buf_in_memory(cl->buf)) {
        ctx->body.data = cl->buf->pos;
        ctx->body.len = len;
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->body.data = p;

    for ( /* void */ ; cl; cl = cl->next) {
        b = cl->buf;
        n = ngx_buf_size(b);

        if (n == 0) {
            continue;
        }

        if (ngx_buf_in_memory(b)) {
            ngx_memcpy(p, b->pos, n);

        } else if (ngx_read_file(b->file, p, n, b->file_pos) != (ssize_t) n) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        p += n;
    }

    ctx->body.len = p - ctx->body.data;

    return NGX_DECLINED;
}


/*
 * The request waits for a foreign event.  Watching for the client to leave is
 * not the default: nginx would not look at the connection.
 */

void
ngx_http_whale_suspend(ngx_http_request_t *r)
{
    ngx_http_whale_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_whale_module);

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    if (!ctx->reading) {
        r->main->count++;
    }
}


/*
 * The end of a request that was suspended; r is gone afterwards.  A request
 * that ends while it is submitted (no connection, no place) is still in the
 * hands of nginx, which runs what is posted when it is done with it: running
 * it here would free a request whose answer could not be sent under its feet.
 */

void
ngx_http_whale_resume(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_connection_t  *c;

    c = r->connection;

    ngx_http_finalize_request(r, rc);

    if (!ngx_http_whale_db_submitting()) {
        ngx_http_run_posted_requests(c);
    }
}


/* The last header of that name; *count says how many there are */

ngx_str_t *
ngx_http_whale_header(ngx_http_request_t *r, const char *name, size_t len,
    ngx_uint_t *count)
{
    ngx_str_t        *value;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    value = NULL;
    *count = 0;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {

            if (part->next == NULL) {
                return value;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == len
            && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
        {
            value = &h[i].value;
            (*count)++;
        }
    }
}


char *
ngx_http_whale_cstring(ngx_http_request_t *r, const u_char *data, size_t len)
{
    char  *p;

    p = ngx_pnalloc(r->pool, len + 1);

    if (p) {
        ngx_memcpy(p, data, len);
        p[len] = '\0';
    }

    return p;
}


/* The fields of a body, or, of GET, of the query, into ctx->values */

ngx_int_t
ngx_http_whale_fields(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx,
    const whale_field *fields, size_t n)
{
    char              *arena;
    size_t             room;
    enum whale_error   error;

    ctx->values = ngx_palloc(r->pool, sizeof(whale_values));

    /* each value is followed by a NUL */
    room = (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD) ? r->args.len
                                                     : ctx->body.len) + n + 8;
    arena = ngx_pnalloc(r->pool, room);

    if (ctx->values == NULL || arena == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) {
        error = whale_fields_query(fields, n, (char *) r->args.data,
                                   r->args.len, arena, room, ctx->values);

    } else {
        error = whale_fields_body(fields, n, (char *) ctx->body.data,
                                  ctx->body.len, arena, room, ctx->values);
    }

    if (error == ERROR_NONE) {
        return NGX_DECLINED;
    }

    return ngx_http_whale_error_text(r, error, ctx->values->message);
}
