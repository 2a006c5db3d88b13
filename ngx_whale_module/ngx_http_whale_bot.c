
/*
 * What the bot only reads: the list of whales, and a user's positions.
 */


#include "ngx_http_whale_bot.h"

#include "queries.h"
#include "whale_row.h"


#define NGX_HTTP_WHALE_SHOWN         10     /* whales in the list */
#define NGX_HTTP_WHALE_PAGE_AGE_MS   1000


static void ngx_http_whale_bot_whales_done(ngx_http_whale_job_t *job);
static void ngx_http_whale_bot_positions_done(ngx_http_whale_job_t *job);


/* one update at a time uses it, and only while it is rendered */
static shm_position  ngx_http_whale_shown[SHM_USER_POSITIONS_MAX];

/* the list of whales, which is the same for all, as rendered lately */

static struct {
    u_char          *page;
    whale_screen     screen;
    ngx_msec_t       rendered;
    ngx_uint_t       valid;
} ngx_http_whale_page;


/*
 * The ranking page is large and changes seldom: a worker copies and renders
 * it once a second at most, and all who ask meanwhile get the same text.
 */

static ngx_int_t
ngx_http_whale_bot_page(ngx_log_t *log)
{
    size_t    len;
    uint64_t  version;

    if (ngx_http_whale_page.valid
        && ngx_current_msec - ngx_http_whale_page.rendered
           < NGX_HTTP_WHALE_PAGE_AGE_MS)
    {
        return NGX_OK;
    }

    ngx_http_whale_page.valid = 0;

    if (ngx_http_whale_segment.mirror_age > NGX_HTTP_WHALE_SILENT_MS) {
        return NGX_DECLINED;
    }

    if (ngx_http_whale_page.page == NULL) {

        /* once a worker, for its life */

        ngx_http_whale_page.page = ngx_alloc(SHM_WHALES_TEXT_MAX, log);
        if (ngx_http_whale_page.page == NULL) {
            return NGX_DECLINED;
        }
    }

    if (shm_whales_read(ngx_http_whale_segment.segment,
                        (char *) ngx_http_whale_page.page, SHM_WHALES_TEXT_MAX,
                        &len, &version)
        != SHM_READ_OK
        || len > SHM_WHALES_TEXT_MAX
        || whale_screen_whales_page(&ngx_http_whale_page.screen,
                                    (char *) ngx_http_whale_page.page, len,
                                    NGX_HTTP_WHALE_SHOWN)
           == 0)
    {
        return NGX_DECLINED;
    }

    ngx_http_whale_page.rendered = ngx_current_msec;
    ngx_http_whale_page.valid = 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_whale_bot_whales(ngx_http_request_t *r)
{
    ngx_http_whale_job_t   *job;
    ngx_http_whale_step_t  *step;

    if (ngx_http_whale_bot_page(r->connection->log) == NGX_OK) {
        return ngx_http_whale_bot_send(r, &ngx_http_whale_page.screen);
    }

    job = ngx_http_whale_db_job(r, ngx_http_whale_bot_whales_done);

    if (job == NULL || ngx_http_whale_begin_step(job) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    step = ngx_http_whale_db_query(job, bot_whales);
    ngx_http_whale_db_id(r, step, NGX_HTTP_WHALE_SHOWN);

    return ngx_http_whale_db_submit(job);
}


static void
ngx_http_whale_bot_whales_done(ngx_http_whale_job_t *job)
{
    int                  i, n;
    dec                  score, roi;
    char                 text[2][DEC_TEXT_MAX];
    int64_t              id;
    PGresult            *rows;
    whale_screen        *screen;
    ngx_http_request_t  *r;

    r = job->request;

    if (job->status != NGX_HTTP_WHALE_DB_OK) {
        ngx_http_whale_resume(r, ngx_http_whale_bot_sentence(r,
                                                        ERROR_UNAVAILABLE));
        return;
    }

    screen = &ngx_http_whale_screen;
    rows = ngx_http_whale_db_result(job, "bot_whales");
    n = PQntuples(rows);

    whale_screen_whales_begin(screen);

    for (i = 0; i < n; i++) {

        text[0][0] = '\0';
        text[1][0] = '\0';

        if (whale_row_dec(rows, i, "score", &score)) {
            dec_format(score, text[0]);
        }

        if (whale_row_dec(rows, i, "roi_30d", &roi)) {
            dec_format(roi, text[1]);
        }

        if (whale_row_id(rows, i, "id", &id)) {
            whale_screen_whale(screen, id, whale_row_text(rows, i, "name"),
                               whale_row_text(rows, i, "venue"),
                               whale_row_text(rows, i, "rank"), text[0],
                               text[1]);
        }
    }

    whale_screen_whales_end(screen, n);

    ngx_http_whale_resume(r, ngx_http_whale_bot_send(r, screen));
}


static const shm_price *
ngx_http_whale_bot_price(void *owner, uint32_t slot)
{
    shm_price *price = owner;

    if (slot == UINT32_MAX
        || shm_price_read(ngx_http_whale_segment.segment, slot, price)
           != SHM_READ_OK)
    {
        return NULL;
    }

    return price;
}


static ngx_int_t
ngx_http_whale_bot_positions_send(ngx_http_request_t *r,
    const shm_position *positions, size_t n, size_t total)
{
    shm_price  price;

    whale_screen_positions(&ngx_http_whale_screen, positions, n, total,
                           ngx_http_whale_bot_price, &price,
                           ngx_http_whale_now_ns(),
                           ngx_http_whale_worker.wmcf->config.price_stale_ns);

    return ngx_http_whale_bot_send(r, &ngx_http_whale_screen);
}


ngx_int_t
ngx_http_whale_bot_positions(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    shm_user               user;
    enum shm_read          read;
    ngx_http_whale_job_t  *job;

    read = SHM_READ_BUSY;

    if (ngx_http_whale_segment.mirror_age <= NGX_HTTP_WHALE_SILENT_MS) {
        read = shm_user_by_telegram(ngx_http_whale_segment.segment,
                                    ctx->who.telegram_id, &user,
                                    ngx_http_whale_shown,
                                    SHM_USER_POSITIONS_MAX);
    }

    if (read == SHM_READ_ABSENT) {
        whale_screen_unknown_user(&ngx_http_whale_screen);
        return ngx_http_whale_bot_send(r, &ngx_http_whale_screen);
    }

    if (read == SHM_READ_OK && (user.flags & SHM_USER_BANNED)) {
        return ngx_http_whale_bot_sentence(r, ERROR_USER_INACTIVE);
    }

    if (read == SHM_READ_OK && !(user.flags & SHM_USER_POSITIONS_ELSEWHERE)
        && user.position_count <= SHM_USER_POSITIONS_MAX)
    {
        return ngx_http_whale_bot_positions_send(r, ngx_http_whale_shown,
                                                 user.position_count,
                                                 user.position_count);
    }

    ngx_http_whale_count(NGX_HTTP_WHALE_segment_fallbacks_total, 1);

    job = ngx_http_whale_db_job(r, ngx_http_whale_bot_positions_done);

    if (job == NULL
        || ngx_http_whale_auth_steps(job, 0) != NGX_OK
        || ngx_http_whale_positions_step(job, NULL, SHM_USER_POSITIONS_MAX)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_whale_db_submit(job);
}


static void
ngx_http_whale_bot_positions_done(ngx_http_whale_job_t *job)
{
    int64_t              total;
    PGresult            *rows;
    ngx_uint_t           n;
    shm_position        *positions;
    enum whale_error     error;
    ngx_http_request_t  *r;

    r = job->request;

    error = job->status == NGX_HTTP_WHALE_DB_OK ? ngx_http_whale_auth_check(job)
                                                : ERROR_UNAVAILABLE;
    if (error != ERROR_NONE) {
        ngx_http_whale_resume(r, ngx_http_whale_bot_sentence(r, error));
        return;
    }

    rows = ngx_http_whale_db_result(job, "positions");
    n = PQntuples(rows);

    /* pools align to 8 bytes, and decimals want 16 */

    positions = ngx_pmemalign(r->pool, (n + 1) * sizeof(shm_position),
                              _Alignof(shm_position));
    if (positions == NULL) {
        ngx_http_whale_resume(r, ngx_http_whale_error(r, ERROR_INTERNAL));
        return;
    }

    if (!whale_row_id(rows, 0, "total", &total)) {
        total = 0;
    }

    n = ngx_http_whale_position_read(rows, positions, n);

    ngx_http_whale_resume(r, ngx_http_whale_bot_positions_send(r, positions, n,
                                                               total));
}
