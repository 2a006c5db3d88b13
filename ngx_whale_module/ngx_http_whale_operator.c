
/*
 * What operators and their programs ask: /health, /health/live,
 * /health/ready, /api/v1/health/websocket and /metrics.
 *
 * Answered from memory alone, so that they answer when nothing else does.
 */


#include "ngx_http_whale.h"


#define NGX_HTTP_WHALE_METRICS_MAX  (256 * 1024)
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
static ngx_int_t ngx_http_whale_metrics(ngx_http_request_t *r);


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


/* ---- /metrics: Prometheus text ----------------------------------------- */

static u_char *
ngx_http_whale_metric_head(u_char *p, u_char *last, const char *name,
    const char *help, const char *type)
{
    return ngx_slprintf(p, last, "# HELP whale_%s %s\n# TYPE whale_%s %s\n",
                        name, help, name, type);
}


static u_char *
ngx_http_whale_metric_counters(u_char *p, u_char *last)
{
    int           i;
    shm_segment  *segment;

    segment = ngx_http_whale_segment.segment;

    for (i = 0; i < SHM_COUNTER_COUNT; i++) {
        p = ngx_http_whale_metric_head(p, last, shm_counter_name(i),
                                       shm_counter_help(i), "counter");
        p = ngx_slprintf(p, last, "whale_%s %uL\n", shm_counter_name(i),
                         shm_counter_total(segment, i));
    }

    return p;
}


/* Bucket i counts what took less than 2^(i+6) ns; the last holds the rest */

static u_char *
ngx_http_whale_metric_histogram(u_char *p, u_char *last, int histogram)
{
    int                  i;
    char                 bound[32];
    uint64_t             sum;
    const char          *name;
    shm_histogram_total  total;

    name = shm_histogram_name(histogram);
    shm_histogram_read(ngx_http_whale_segment.segment, histogram, &total);

    p = ngx_http_whale_metric_head(p, last, name, shm_histogram_help(histogram),
                                   "histogram");
    sum = 0;

    for (i = 0; i < SHM_HISTOGRAM_BUCKETS - 1; i++) {
        sum += total.buckets[i];
        snprintf(bound, sizeof(bound), "%.9g", (double) (1ULL << (i + 6)) / 1e9);
        p = ngx_slprintf(p, last, "whale_%s_bucket{le=\"%s\"} %uL\n", name,
                         bound, sum);
    }

    sum += total.buckets[i];
    snprintf(bound, sizeof(bound), "%.9f", (double) total.sum_ns / 1e9);

    return ngx_slprintf(p, last, "whale_%s_bucket{le=\"+Inf\"} %uL\n"
                        "whale_%s_sum %s\nwhale_%s_count %uL\n",
                        name, sum, name, bound, name, sum);
}


static u_char *
ngx_http_whale_metric_requests(u_char *p, u_char *last)
{
    u_char      *name;
    char         label[32];
    uint64_t     total;
    ngx_uint_t   route, class;

    p = ngx_http_whale_metric_head(p, last, "web_requests_total",
                                   "answers by route and class of status",
                                   "counter");

    for (route = 0; route < WHALE_ROUTE_COUNT; route++) {

        name = ngx_cpystrn((u_char *) label,
                           (u_char *) whale_routes[route].name, sizeof(label));
        ngx_strlow((u_char *) label, (u_char *) label, name - (u_char *) label);

        for (class = 0; class < 5; class++) {
            total = ngx_http_whale_route_total(route, class);

            /* classes that a route has never had are left out */

            if (total || class == 1) {
                p = ngx_slprintf(p, last, "whale_web_requests_total{route="
                                 "\"%s\",class=\"%uixx\"} %uL\n", label,
                                 class + 1, total);
            }
        }
    }

    return p;
}


static u_char *
ngx_http_whale_metric_web(u_char *p, u_char *last)
{
    ngx_uint_t  i;

    static const struct {
        const char  *name;
        const char  *help;
    } counts[] = {
#define NGX_HTTP_WHALE_COUNT_TEXT(name, help) { "web_" #name, help },
        NGX_HTTP_WHALE_COUNTS(NGX_HTTP_WHALE_COUNT_TEXT)
#undef NGX_HTTP_WHALE_COUNT_TEXT
    };

    for (i = 0; i < NGX_HTTP_WHALE_COUNT_MAX; i++) {
        p = ngx_http_whale_metric_head(p, last, counts[i].name, counts[i].help,
                                       "counter");
        p = ngx_slprintf(p, last, "whale_%s %uL\n", counts[i].name,
                         ngx_http_whale_count_total(i));
    }

    return p;
}


static u_char *
ngx_http_whale_metric_gauges(u_char *p, u_char *last)
{
    size_t                     i, n;
    char                       age[32];
    shm_process_info           info[SHM_PROCESSES_MAX];
    ngx_http_whale_db_state_t  db;

    ngx_http_whale_db_state(&db);

    p = ngx_http_whale_metric_head(p, last, "segment_live",
                                   "whether shared memory is written", "gauge");
    p = ngx_slprintf(p, last, "whale_segment_live %d\n",
                     shm_state_now(ngx_http_whale_segment.segment) == SHM_LIVE);

    p = ngx_http_whale_metric_head(p, last, "web_db_connections",
                                   "connections to Postgres of the worker "
                                   "that answers", "gauge");
    p = ngx_slprintf(p, last, "whale_web_db_connections %ui\n", db.connected);

    p = ngx_http_whale_metric_head(p, last, "web_db_waiting",
                                   "requests that wait for a connection in "
                                   "the worker that answers", "gauge");
    p = ngx_slprintf(p, last, "whale_web_db_waiting %ui\n", db.waiting);

    p = ngx_http_whale_metric_head(p, last, "heartbeat_age_seconds",
                                   "since a process last beat", "gauge");

    n = shm_processes(ngx_http_whale_segment.segment, info, SHM_PROCESSES_MAX);

    for (i = 0; i < n; i++) {

        if (info[i].beat_age_ns == INT64_MAX) {
            continue;
        }

        snprintf(age, sizeof(age), "%.3f", (double) info[i].beat_age_ns / 1e9);
        p = ngx_slprintf(p, last, "whale_heartbeat_age_seconds{role=\"%s\","
                         "slot=\"%ud\"} %s\n", shm_role_name(info[i].role),
                         info[i].slot, age);
    }

    return p;
}


static ngx_int_t
ngx_http_whale_metrics(ngx_http_request_t *r)
{
    int      i;
    u_char  *body, *p, *last;

    static ngx_str_t  type = ngx_string("text/plain; version=0.0.4; "
                                        "charset=utf-8");

    body = ngx_pnalloc(r->pool, NGX_HTTP_WHALE_METRICS_MAX);
    if (body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    last = body + NGX_HTTP_WHALE_METRICS_MAX;

    p = ngx_http_whale_metric_gauges(body, last);
    p = ngx_http_whale_metric_requests(p, last);
    p = ngx_http_whale_metric_web(p, last);
    p = ngx_http_whale_metric_counters(p, last);

    for (i = 0; i < SHM_HISTOGRAM_COUNT; i++) {
        p = ngx_http_whale_metric_histogram(p, last, i);
    }

    if (p == last) {
        return ngx_http_whale_error(r, ERROR_INTERNAL);
    }

    return ngx_http_whale_send_type(r, NGX_HTTP_OK, &type, body, p - body);
}
