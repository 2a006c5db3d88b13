
/*
 * GET /api/v1/trades/positions: a user's open positions at the live price.
 *
 * Out of shared memory while mirror keeps it: one look-up gives the user, the
 * epoch that sessions are compared with, and all positions of one moment.
 * From Postgres where the segment cannot prove what it says (not loaded yet,
 * busy, mirror dead, more positions than it holds).  Where Postgres cannot
 * answer either, what mirror last wrote is served for a minute, marked stale.
 */


#include "ngx_http_whale.h"

#include "queries.h"
#include "whale_position.h"
#include "whale_row.h"

#include "core/digits.h"


static ngx_int_t ngx_http_whale_positions_send(ngx_http_request_t *r,
    const shm_position *positions, ngx_uint_t n, int64_t age_ms);
static ngx_int_t ngx_http_whale_positions_query(ngx_http_request_t *r);
static void ngx_http_whale_positions_done(ngx_http_whale_job_t *job);
static ngx_int_t ngx_http_whale_positions_stale(ngx_http_request_t *r,
    ngx_http_whale_job_t *job);


/* one request at a time uses it, and only while it renders */
static shm_position  ngx_http_whale_found[SHM_USER_POSITIONS_MAX];


/* SHM_READ_OK only where all of the user's positions were copied */

static enum shm_read
ngx_http_whale_positions_find(ngx_http_whale_identity_t *who, shm_user *user)
{
    enum shm_read   read;
    shm_segment    *segment;

    segment = ngx_http_whale_segment.segment;

    read = who->kind == NGX_HTTP_WHALE_SESSION
           ? shm_user_by_id(segment, who->user_id, user, ngx_http_whale_found,
                            SHM_USER_POSITIONS_MAX)
           : shm_user_by_telegram(segment, who->telegram_id, user,
                                  ngx_http_whale_found,
                                  SHM_USER_POSITIONS_MAX);

    if (read == SHM_READ_OK
        && ((user->flags & SHM_USER_POSITIONS_ELSEWHERE)
            || user->position_count > SHM_USER_POSITIONS_MAX))
    {
        return SHM_READ_BUSY;
    }

    return read;
}


ngx_int_t
ngx_http_whale_positions(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    shm_user          user;
    enum whale_error  error;

    if (r->args.len) {
        return ngx_http_whale_error_text(r, ERROR_BAD_FIELD,
                                         "This address takes no query.");
    }

    /* a user that the segment does not know is made by the transaction */

    if (ngx_http_whale_segment.mirror_age > NGX_HTTP_WHALE_SILENT_MS
        || ngx_http_whale_positions_find(&ctx->who, &user) != SHM_READ_OK)
    {
        ngx_http_whale_count(NGX_HTTP_WHALE_segment_fallbacks_total, 1);
        return ngx_http_whale_positions_query(r);
    }

    error = ngx_http_whale_auth_user(&ctx->who, &user);
    if (error != ERROR_NONE) {
        return ngx_http_whale_error(r, error);
    }

    return ngx_http_whale_positions_send(r, ngx_http_whale_found,
                                         user.position_count, 0);
}


u_char *
ngx_http_whale_position_rows(u_char *out, const shm_position *positions,
    ngx_uint_t n)
{
    int64_t       now, stale;
    shm_price     price;
    ngx_uint_t    i;
    shm_segment  *segment;

    now = ngx_http_whale_now_ns();
    stale = ngx_http_whale_worker.wmcf->config.price_stale_ns;
    segment = ngx_http_whale_segment.segment;

    for (i = 0; i < n; i++) {

        if (i) {
            *out++ = ',';
        }

        if (positions[i].price_slot == UINT32_MAX
            || shm_price_read(segment, positions[i].price_slot, &price)
               != SHM_READ_OK)
        {
            out += whale_position_put((char *) out, &positions[i], NULL, now,
                                      stale);
            continue;
        }

        out += whale_position_put((char *) out, &positions[i], &price, now,
                                  stale);
    }

    return out;
}


static ngx_int_t
ngx_http_whale_positions_send(ngx_http_request_t *r,
    const shm_position *positions, ngx_uint_t n, int64_t age_ms)
{
    u_char  *body, *p;

    body = ngx_pnalloc(r->pool, n * (WHALE_POSITION_MAX + 1) + 128);
    if (body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(body, "{\"items\":[", 10);
    p = ngx_http_whale_position_rows(p, positions, n);

    if (age_ms == 0) {
        p = ngx_cpymem(p, "],\"next\":null,\"stale\":false,\"age_ms\":0}", 39);

    } else {
        p = ngx_cpymem(p, "],\"next\":null,\"stale\":true,\"age_ms\":", 36);
        p += digits_put((char *) p, age_ms);
        *p++ = '}';
    }

    return ngx_http_whale_send(r, NGX_HTTP_OK, body, p - body);
}


static ngx_int_t
ngx_http_whale_positions_query(ngx_http_request_t *r)
{
    ngx_http_whale_job_t  *job;

    job = ngx_http_whale_db_job(r, ngx_http_whale_positions_done);

    if (job == NULL
        || ngx_http_whale_auth_steps(job, 0) != NGX_OK
        || ngx_http_whale_db_query(job, positions) == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_whale_db_submit(job);
}


static void
ngx_http_whale_position_text(const PGresult *rows, int row, shm_position *out)
{
    json_writer  writer;

    /* the writer's braces are left out: position_put has its own */

    json_begin(&writer, out->text, sizeof(out->text));
    json_object(&writer);
    whale_row_members(&writer, rows, row);

    if (writer.failed) {
        out->text_length = 0;
        return;
    }

    out->text_length = writer.length - 1;
    ngx_memmove(out->text, out->text + 1, out->text_length);
}


/* Rows of positions.sql, as mirror would have written them */

ngx_uint_t
ngx_http_whale_position_read(PGresult *rows, shm_position *out,
    ngx_uint_t capacity)
{
    int            i, n;
    ngx_uint_t     count;
    const char    *key;
    shm_position  *position;

    n = PQntuples(rows);
    count = 0;

    for (i = 0; i < n && count < capacity; i++) {
        position = &out[count];

        if (!whale_row_dec(rows, i, "_quantity", &position->quantity)
            || !whale_row_dec(rows, i, "_entry_notional",
                              &position->entry_notional)
            || !whale_row_dec(rows, i, "_margin", &position->margin))
        {
            continue;
        }

        key = whale_row_text(rows, i, "_instrument");

        if (shm_price_find(ngx_http_whale_segment.segment, key,
                           ngx_strlen(key), &position->price_slot)
            != SHM_READ_OK)
        {
            position->price_slot = UINT32_MAX;
        }

        ngx_http_whale_position_text(rows, i, position);

        if (position->text_length) {
            count++;
        }
    }

    return count;
}


static void
ngx_http_whale_positions_done(ngx_http_whale_job_t *job)
{
    PGresult            *rows;
    ngx_int_t            rc;
    ngx_uint_t           n;
    shm_position        *positions;
    enum whale_error     error;
    ngx_http_request_t  *r;

    r = job->request;

    if (job->status != NGX_HTTP_WHALE_DB_OK) {
        ngx_http_whale_resume(r, ngx_http_whale_positions_stale(r, job));
        return;
    }

    error = ngx_http_whale_auth_check(job);
    if (error != ERROR_NONE) {
        ngx_http_whale_resume(r, ngx_http_whale_error(r, error));
        return;
    }

    rows = ngx_http_whale_db_result(job, "positions");
    n = PQntuples(rows);

    positions = ngx_palloc(r->pool, (n + 1) * sizeof(shm_position));
    if (positions == NULL) {
        ngx_http_whale_resume(r, ngx_http_whale_error(r, ERROR_INTERNAL));
        return;
    }

    n = ngx_http_whale_position_read(rows, positions, n);
    rc = ngx_http_whale_positions_send(r, positions, n, 0);

    ngx_http_whale_resume(r, rc);
}


static ngx_int_t
ngx_http_whale_positions_stale(ngx_http_request_t *r,
    ngx_http_whale_job_t *job)
{
    shm_user               user;
    ngx_msec_t             age;
    enum whale_error       error;
    ngx_http_whale_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_whale_module);
    age = ngx_http_whale_segment.mirror_age;

    if (age > NGX_HTTP_WHALE_SERVED_MS
        || ngx_http_whale_positions_find(&ctx->who, &user) != SHM_READ_OK)
    {
        return ngx_http_whale_job_error(job);
    }

    error = ngx_http_whale_auth_user(&ctx->who, &user);
    if (error != ERROR_NONE) {
        return ngx_http_whale_error(r, error);
    }

    return ngx_http_whale_positions_send(r, ngx_http_whale_found,
                                         user.position_count, age ? age : 1);
}
