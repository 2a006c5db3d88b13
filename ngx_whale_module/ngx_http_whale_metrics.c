
/*
 * /metrics: Prometheus text.  What workerd counts comes from the segment, added
 * up over its processes; what nginx counts from our zone, over its workers.
 */


#include "ngx_http_whale.h"


#define NGX_HTTP_WHALE_METRICS_MAX  (256 * 1024)


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


ngx_int_t
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
