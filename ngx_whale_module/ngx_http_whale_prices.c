
/*
 * GET /api/v1/prices/{venue}/{market}/{symbol}: one slot of shared memory.
 */


#include "ngx_http_whale.h"

#include "whale_price.h"


ngx_int_t
ngx_http_whale_price(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    char            key[SHM_KEY_MAX];
    u_char         *body, *p;
    size_t          len;
    uint32_t        slot;
    shm_price       price;
    ngx_uint_t      i;
    whale_slice    *part;
    enum shm_read   found;

    part = ctx->parameters;
    len = part[0].length + part[1].length + part[2].length + 2;

    if (r->args.len) {
        return ngx_http_whale_error_text(r, ERROR_BAD_FIELD,
                                         "This address takes no query.");
    }

    /*
     * with a dead writer the last prices are served, and say so, for a while;
     * then there is nothing to be had here
     */

    if (!ngx_http_whale_segment.mapped
        || ngx_http_whale_segment.feed_age > NGX_HTTP_WHALE_SERVED_MS)
    {
        return ngx_http_whale_error(r, ERROR_UNAVAILABLE);
    }

    if (len >= sizeof(key)) {
        return ngx_http_whale_error(r, ERROR_NOT_FOUND);
    }

    p = (u_char *) key;

    for (i = 0; i < 3; i++) {
        p = ngx_cpymem(p, part[i].text, part[i].length);
        *p++ = i < 2 ? ':' : '\0';
    }

    found = shm_price_find(ngx_http_whale_segment.segment, key, len, &slot);

    if (found == SHM_READ_OK) {
        found = shm_price_read(ngx_http_whale_segment.segment, slot, &price);
    }

    /* a slot that feed has claimed and never filled has no price yet */

    if (found == SHM_READ_ABSENT
        || (found == SHM_READ_OK && price.receive_time_ns == 0))
    {
        return ngx_http_whale_error(r, ERROR_NOT_FOUND);
    }

    body = ngx_pnalloc(r->pool, WHALE_PRICE_MAX);
    if (body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    len = found == SHM_READ_BUSY ? 0
          : whale_price_put((char *) body, key, &price,
                ngx_http_whale_now_ns(),
                ngx_http_whale_worker.wmcf->config.price_stale_ns,
                ngx_http_whale_segment.feed_age > NGX_HTTP_WHALE_SILENT_MS);

    if (len == 0) {
        return ngx_http_whale_error(r, ERROR_UNAVAILABLE);
    }

    return ngx_http_whale_send(r, NGX_HTTP_OK, body, len);
}
