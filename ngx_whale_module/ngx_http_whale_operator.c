
/*
 * What operators and their programs ask: /health, /health/live,
 * /health/ready, /api/v1/health/websocket and, in metrics.c, /metrics.
 *
 * Answered from memory alone, so that they answer when nothing else does.
 */


#include "ngx_http_whale.h"


#define NGX_HTTP_WHALE_HEALTH_MAX   (32 * 1024)


typedef enum {
    NGX_HTTP_WHALE_FINE = 0,
    NGX_HTTP_WHALE_DEGRADED,
    NGX_HTTP_WHALE_DOWN
} ngx_http_whale_health_e;


static const char  *ngx_http_whale_health_names[] = {
    "ok", "degraded", "down"
};


static ngx_int_t ngx_http_whale_health(ngx_http_request_t *r);
static ngx_int_t ngx_http_whale_ready(ngx_http_request_t *r);
static ngx_int_t ngx_http_whale_streams(ngx_http_request_t *r);


ngx_int_t
ngx_http_whale_operator_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_http_whale_ctx_t  *ctx;

    static u_char  live[] = "{\"status\":\"ok\"}";

    ctx = ngx_http_whale_begin(r, WHALE_ROUTE_NONE);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_whale_route(r, ctx, 1);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    switch (ctx->route) {

    case WHALE_ROUTE_HEALTH_LIVE:
        return ngx_http_whale_send(r, NGX_HTTP_OK, live, sizeof(live) - 1);

    case WHALE_ROUTE_HEALTH_READY:
        return ngx_http_whale_ready(r);

    case WHALE_ROUTE_HEALTH_WEBSOCKET:
        return ngx_http_whale_streams(r);

    case WHALE_ROUTE_METRICS:
        return ngx_http_whale_metrics(r);

    default:
        return ngx_http_whale_health(r);
    }
}


static ngx_int_t
ngx_http_whale_json_send(ngx_http_request_t *r, ngx_uint_t status,
    json_writer *writer)
{
    if (!json_finish(writer)) {
        return ngx_http_whale_error(r, ERROR_INTERNAL);
    }

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE
        && ngx_http_whale_add_header(r, "Retry-After", "1") != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_whale_send(r, status, (u_char *) writer->buffer,
                               writer->length);
}


static ngx_http_whale_health_e
ngx_http_whale_health_segment(json_writer *writer)
{
    enum shm_state  state;

    state = shm_state_now(ngx_http_whale_segment.segment);

    json_key(writer, "segment");
    json_object(writer);
    json_key(writer, "status");
    json_string(writer, state == SHM_LIVE ? "ok" : "down");
    json_key(writer, "state");
    json_string(writer, shm_state_name(state));
    json_object_end(writer);

    return state == SHM_LIVE ? NGX_HTTP_WHALE_FINE : NGX_HTTP_WHALE_DOWN;
}


/* Every process that ever joined, by role and number, with its pulse */

static ngx_http_whale_health_e
ngx_http_whale_health_roles(json_writer *writer)
{
    size_t                    i, n;
    ngx_uint_t                silent;
    shm_process_info          info[SHM_PROCESSES_MAX];
    ngx_http_whale_health_e   health;

    health = NGX_HTTP_WHALE_FINE;

    n = shm_processes(ngx_http_whale_segment.segment, info, SHM_PROCESSES_MAX);

    json_key(writer, "roles");
    json_array(writer);

    for (i = 0; i < n; i++) {
        silent = info[i].beat_age_ns / 1000000 > NGX_HTTP_WHALE_SILENT_MS;

        if (silent) {
            health = NGX_HTTP_WHALE_DEGRADED;
        }

        json_object(writer);
        json_key(writer, "role");
        json_string(writer, shm_role_name(info[i].role));
        json_key(writer, "slot");
        json_int(writer, info[i].slot);
        json_key(writer, "status");
        json_string(writer, silent ? "down" : "ok");
        json_key(writer, "heartbeat_age_ms");

        if (info[i].beat_age_ns == INT64_MAX) {
            json_null(writer);

        } else {
            json_int(writer, info[i].beat_age_ns / 1000000);
        }

        json_key(writer, "started_at");
        json_time(writer, info[i].started_ns);
        json_object_end(writer);
    }

    json_array_end(writer);

    return health;
}


static ngx_http_whale_health_e
ngx_http_whale_health_database(json_writer *writer)
{
    ngx_http_whale_db_state_t  state;

    ngx_http_whale_db_state(&state);

    json_key(writer, "database");
    json_object(writer);
    json_key(writer, "status");
    json_string(writer, state.connected ? "ok" : "down");
    json_key(writer, "connections");
    json_int(writer, state.connected);
    json_key(writer, "pool");
    json_int(writer, state.size);
    json_key(writer, "busy");
    json_int(writer, state.busy);
    json_key(writer, "waiting");
    json_int(writer, state.waiting);
    json_object_end(writer);

    return state.connected ? NGX_HTTP_WHALE_FINE : NGX_HTTP_WHALE_DOWN;
}


static ngx_http_whale_health_e
ngx_http_whale_health_configuration(json_writer *writer)
{
    char        ours[17], theirs[17];
    uint64_t    hash;
    ngx_uint_t  same;

    hash = shm_config_hash(ngx_http_whale_segment.segment);
    same = (hash == ngx_http_whale_worker.wmcf->config_hash);

    *ngx_sprintf((u_char *) ours, "%016xL",
                 ngx_http_whale_worker.wmcf->config_hash) = '\0';
    *ngx_sprintf((u_char *) theirs, "%016xL", hash) = '\0';

    json_key(writer, "configuration");
    json_object(writer);
    json_key(writer, "status");
    json_string(writer, hash == 0 ? "unknown" : same ? "ok" : "mismatch");
    json_key(writer, "nginx");
    json_string(writer, ours);
    json_key(writer, "workerd");
    json_string(writer, hash == 0 ? NULL : theirs);
    json_object_end(writer);

    return same ? NGX_HTTP_WHALE_FINE : NGX_HTTP_WHALE_DEGRADED;
}


/* What shared memory stands in for keeps working without Postgres, and back */

static ngx_int_t
ngx_http_whale_health(ngx_http_request_t *r)
{
    char                     *body, *parts;
    ngx_uint_t                degraded, down;
    json_writer               writer, inner;
    ngx_http_whale_health_e   health[4];
    ngx_uint_t                i;

    body = ngx_pnalloc(r->pool, NGX_HTTP_WHALE_HEALTH_MAX);
    parts = ngx_pnalloc(r->pool, NGX_HTTP_WHALE_HEALTH_MAX);

    if (body == NULL || parts == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    json_begin(&inner, parts, NGX_HTTP_WHALE_HEALTH_MAX);
    json_object(&inner);
    health[0] = ngx_http_whale_health_segment(&inner);
    health[1] = ngx_http_whale_health_database(&inner);
    health[2] = ngx_http_whale_health_configuration(&inner);
    health[3] = ngx_http_whale_health_roles(&inner);
    json_object_end(&inner);

    if (!json_finish(&inner)) {
        return ngx_http_whale_error(r, ERROR_INTERNAL);
    }

    degraded = 0;
    down = 0;

    for (i = 0; i < 4; i++) {
        degraded += (health[i] != NGX_HTTP_WHALE_FINE);
        down += (health[i] == NGX_HTTP_WHALE_DOWN);
    }

    json_begin(&writer, body, NGX_HTTP_WHALE_HEALTH_MAX);
    json_object(&writer);
    json_key(&writer, "status");
    json_string(&writer,
                ngx_http_whale_health_names[down == 2 ? NGX_HTTP_WHALE_DOWN
                                            : degraded
                                              ? NGX_HTTP_WHALE_DEGRADED
                                              : NGX_HTTP_WHALE_FINE]);
    json_key(&writer, "parts");
    json_raw(&writer, parts, inner.length);
    json_object_end(&writer);

    return ngx_http_whale_json_send(r, down == 2 ? NGX_HTTP_SERVICE_UNAVAILABLE
                                                 : NGX_HTTP_OK, &writer);
}


static ngx_int_t
ngx_http_whale_ready(ngx_http_request_t *r)
{
    char                      *body;
    ngx_uint_t                 ready;
    json_writer                writer;
    enum shm_state             state;
    ngx_http_whale_db_state_t  db;

    enum { NGX_HTTP_WHALE_READY_MAX = 256 };

    body = ngx_pnalloc(r->pool, NGX_HTTP_WHALE_READY_MAX);
    if (body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    state = shm_state_now(ngx_http_whale_segment.segment);
    ngx_http_whale_db_state(&db);

    ready = (state == SHM_LIVE && db.connected);

    json_begin(&writer, body, NGX_HTTP_WHALE_READY_MAX);
    json_object(&writer);
    json_key(&writer, "status");
    json_string(&writer, ready ? "ok" : "down");
    json_key(&writer, "segment");
    json_string(&writer, shm_state_name(state));
    json_key(&writer, "database");
    json_string(&writer, db.connected ? "ok" : "down");
    json_object_end(&writer);

    return ngx_http_whale_json_send(r, ready ? NGX_HTTP_OK
                                             : NGX_HTTP_SERVICE_UNAVAILABLE,
                                    &writer);
}


/* The streams of prices, as feed keeps them */

static ngx_int_t
ngx_http_whale_streams(ngx_http_request_t *r)
{
    char         *body, key[SHM_KEY_MAX];
    uint32_t      i, n, subscribed, fresh;
    ngx_uint_t    live;
    shm_price     price;
    json_writer   writer;
    shm_segment  *segment;

    enum { NGX_HTTP_WHALE_STREAMS_MAX = 512 };

    body = ngx_pnalloc(r->pool, NGX_HTTP_WHALE_STREAMS_MAX);
    if (body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    segment = ngx_http_whale_segment.segment;
    live = ngx_http_whale_segment.feed_age <= NGX_HTTP_WHALE_SILENT_MS;

    subscribed = 0;
    fresh = 0;
    n = shm_price_slots(segment);

    for (i = 0; i < n; i++) {

        if (shm_price_key(segment, i, key) != SHM_READ_OK || key[0] == '\0') {
            continue;
        }

        subscribed++;

        if (shm_price_read(segment, i, &price) == SHM_READ_OK
            && price.receive_time_ns
            && !(price.flags & SHM_PRICE_DISCONNECTED))
        {
            fresh++;
        }
    }

    json_begin(&writer, body, NGX_HTTP_WHALE_STREAMS_MAX);
    json_object(&writer);
    json_key(&writer, "streamer_connected");
    json_bool(&writer, live);
    json_key(&writer, "websocket_connected");
    json_bool(&writer, live && fresh);
    json_key(&writer, "active_subscriptions");
    json_int(&writer, subscribed);
    json_key(&writer, "connected_subscriptions");
    json_int(&writer, fresh);
    json_key(&writer, "message_count");
    json_int(&writer, shm_counter_total(segment, SHM_feed_frames_total));
    json_key(&writer, "updates_applied");
    json_int(&writer, shm_counter_total(segment, SHM_feed_ticks_total));
    json_key(&writer, "reconnects");
    json_int(&writer, shm_counter_total(segment, SHM_feed_reconnects_total));
    json_object_end(&writer);

    return ngx_http_whale_json_send(r, NGX_HTTP_OK, &writer);
}
