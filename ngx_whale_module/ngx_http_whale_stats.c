
/*
 * Counters of requests, in a zone of our own, so that any worker can answer
 * /metrics for all.  A slot a worker, padded to cache lines; adds are atomic,
 * since after a reload the old and the new worker share a number.  Nothing is
 * allocated after the start, and no lock is taken.
 */


#include "ngx_http_whale.h"


#define NGX_HTTP_WHALE_SLOTS       64
#define NGX_HTTP_WHALE_CLASSES     5
#define NGX_HTTP_WHALE_ZONE_SIZE   (256 * 1024)


typedef struct {
    ngx_atomic_t                answers[WHALE_ROUTE_COUNT]
                                       [NGX_HTTP_WHALE_CLASSES];
    ngx_atomic_t                counts[NGX_HTTP_WHALE_COUNT_MAX];
    u_char                      padding[128];
} ngx_http_whale_slot_t;


typedef struct {
    size_t                      size;       /* of this struct, when it was made */
    ngx_http_whale_slot_t       slots[NGX_HTTP_WHALE_SLOTS];
} ngx_http_whale_stats_t;


static ngx_int_t ngx_http_whale_stats_zone_init(ngx_shm_zone_t *zone,
    void *data);


static ngx_http_whale_stats_t  *ngx_http_whale_stats;
static ngx_http_whale_slot_t   *ngx_http_whale_slot;


char *
ngx_http_whale_stats_zone(ngx_conf_t *cf, ngx_http_whale_main_conf_t *wmcf)
{
    ngx_str_t  name = ngx_string("whale_stats");

    ngx_shm_zone_t  *zone;

    zone = ngx_shared_memory_add(cf, &name, NGX_HTTP_WHALE_ZONE_SIZE,
                                 &ngx_http_whale_module);
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->init = ngx_http_whale_stats_zone_init;
    zone->data = wmcf;
    wmcf->zone = zone;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_whale_stats_zone_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t         *shpool;
    ngx_http_whale_stats_t  *stats;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    /* after a reload the zone is there, with what was counted */

    if (data && shpool->data) {
        stats = shpool->data;

        if (stats->size == sizeof(ngx_http_whale_stats_t)) {
            zone->data = stats;
            return NGX_OK;
        }
    }

    stats = ngx_slab_calloc(shpool, sizeof(ngx_http_whale_stats_t));
    if (stats == NULL) {
        return NGX_ERROR;
    }

    stats->size = sizeof(ngx_http_whale_stats_t);
    shpool->data = stats;
    zone->data = stats;

    return NGX_OK;
}


void
ngx_http_whale_stats_init(ngx_http_whale_main_conf_t *wmcf)
{
    ngx_http_whale_stats = wmcf->zone->data;
    ngx_http_whale_slot = &ngx_http_whale_stats->slots[ngx_worker
                                                       % NGX_HTTP_WHALE_SLOTS];
}


void
ngx_http_whale_count(ngx_http_whale_count_e count, ngx_uint_t by)
{
    (void) ngx_atomic_fetch_add(&ngx_http_whale_slot->counts[count], by);
}


uint64_t
ngx_http_whale_count_total(ngx_http_whale_count_e count)
{
    uint64_t    total;
    ngx_uint_t  i;

    total = 0;

    for (i = 0; i < NGX_HTTP_WHALE_SLOTS; i++) {
        total += ngx_http_whale_stats->slots[i].counts[count];
    }

    return total;
}


uint64_t
ngx_http_whale_route_total(ngx_uint_t route, ngx_uint_t class)
{
    uint64_t    total;
    ngx_uint_t  i;

    total = 0;

    for (i = 0; i < NGX_HTTP_WHALE_SLOTS; i++) {
        total += ngx_http_whale_stats->slots[i].answers[route][class];
    }

    return total;
}


ngx_int_t
ngx_http_whale_stats_log(ngx_http_request_t *r)
{
    ngx_uint_t                  class;
    ngx_http_whale_ctx_t       *ctx;
    ngx_http_whale_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_whale_module);

    if (wlcf->kind == NGX_HTTP_WHALE_NONE) {
        return NGX_OK;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_whale_module);

    class = r->headers_out.status / 100 - 1;

    if (r->headers_out.status == 0
        || r->headers_out.status == NGX_HTTP_CLIENT_CLOSED_REQUEST
        || class >= NGX_HTTP_WHALE_CLASSES)
    {
        ngx_http_whale_count(NGX_HTTP_WHALE_client_aborts_total, 1);
        return NGX_OK;
    }

    (void) ngx_atomic_fetch_add(
        &ngx_http_whale_slot->answers[ctx ? ctx->route : WHALE_ROUTE_NONE]
                                     [class], 1);

    return NGX_OK;
}
