
/*
 * Shared memory, as one worker sees it: a mapping that is brought up to date
 * four times a second, between requests.  nginx starts and serves whatever the
 * segment's state; requests read what the last tick found.
 */


#include "ngx_http_whale.h"


#define NGX_HTTP_WHALE_TICK_MS  250


static void ngx_http_whale_tick(ngx_event_t *ev);
static ngx_msec_t ngx_http_whale_age(enum shm_role role, ngx_msec_t *last);


ngx_http_whale_segment_t  ngx_http_whale_segment;

static ngx_event_t        ngx_http_whale_tick_event;

/* debug logs take a timer's data for a connection and print its fd */
static ngx_connection_t   ngx_http_whale_tick_data;


ngx_int_t
ngx_http_whale_segment_init(ngx_cycle_t *cycle,
    ngx_http_whale_main_conf_t *wmcf)
{
    ngx_event_t  *ev;

    ngx_http_whale_segment.segment = shm_open_reader(wmcf->config.shm_path);
    if (ngx_http_whale_segment.segment == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&ngx_http_whale_tick_event, sizeof(ngx_event_t));
    ngx_memzero(&ngx_http_whale_tick_data, sizeof(ngx_connection_t));
    ngx_http_whale_tick_data.fd = (ngx_socket_t) -1;

    ev = &ngx_http_whale_tick_event;
    ev->handler = ngx_http_whale_tick;
    ev->data = &ngx_http_whale_tick_data;
    ev->log = cycle->log;
    ev->cancelable = 1;

    ngx_http_whale_tick(ev);

    return NGX_OK;
}


void
ngx_http_whale_segment_exit(void)
{
    if (ngx_http_whale_tick_event.timer_set) {
        ngx_del_timer(&ngx_http_whale_tick_event);
    }

    shm_close(ngx_http_whale_segment.segment);
    ngx_http_whale_segment.segment = NULL;
}


static void
ngx_http_whale_tick(ngx_event_t *ev)
{
    enum shm_state             state;
    ngx_http_whale_segment_t  *ws;

    ws = &ngx_http_whale_segment;

    state = shm_refresh(ws->segment);

    if (state != ws->state) {
        ngx_log_error(NGX_LOG_NOTICE, ev->log, 0,
                      "whale: shared memory is %s, was %s",
                      shm_state_name(state), shm_state_name(ws->state));
    }

    ws->state = state;
    ws->mapped = (state != SHM_ABSENT && state != SHM_INCOMPATIBLE);
    ws->feed_age = ngx_http_whale_age(SHM_ROLE_FEED, &ws->feed_beat);
    ws->mirror_age = ngx_http_whale_age(SHM_ROLE_MIRROR, &ws->mirror_beat);

    ngx_add_timer(ev, NGX_HTTP_WHALE_TICK_MS);
}


/*
 * Since a role last beat.  In a new segment, which has the old one's prices, it
 * never has: then the age goes on from the last beat that was seen.
 */

static ngx_msec_t
ngx_http_whale_age(enum shm_role role, ngx_msec_t *last)
{
    int64_t  age;

    age = shm_heartbeat_age_ns(ngx_http_whale_segment.segment, role);

    if (age == INT64_MAX) {
        return *last ? ngx_current_msec - *last : NGX_MAX_INT32_VALUE;
    }

    age = ngx_min(age / 1000000, NGX_MAX_INT32_VALUE);
    *last = ngx_current_msec - age;

    return age;
}


/* the time of this turn of the event loop: good enough for ages in ms */

int64_t
ngx_http_whale_now_ns(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return ((int64_t) tp->sec * 1000 + tp->msec) * 1000000;
}
