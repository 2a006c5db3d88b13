
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
#include "whale_cursor.h"
#include "whale_position.h"
#include "whale_row.h"

#include "core/digits.h"


#define NGX_HTTP_WHALE_NAME_MAX  96     /* as mirror cuts names */


static ngx_int_t ngx_http_whale_positions_send(ngx_http_request_t *r,
    const shm_position *positions, ngx_uint_t n, int64_t age_ms,
    const char *next);
static ngx_int_t ngx_http_whale_positions_page(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
static ngx_int_t ngx_http_whale_positions_query(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx, const char *last);
static void ngx_http_whale_positions_done(ngx_http_whale_job_t *job);
static ngx_int_t ngx_http_whale_positions_stale(ngx_http_request_t *r,
    ngx_http_whale_job_t *job);


/* one request at a time uses it, and only while it renders */
static shm_position  ngx_http_whale_found[SHM_USER_POSITIONS_MAX];


/* The length of at most `max` bytes that do not end inside a character */

static size_t
ngx_http_whale_cut(const char *text, size_t max)
{
    size_t  len;

    len = strnlen(text, max + 1);

    while (len > max) {
        do {
            len--;
        } while (len && ((u_char) text[len] & 0xc0) == 0x80);
    }

    return len;
}


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
        return ngx_http_whale_positions_page(r, ctx);
    }

    /* a user that the segment does not know is made by the transaction */

    if (ngx_http_whale_segment.mirror_age > NGX_HTTP_WHALE_SILENT_MS
        || ngx_http_whale_positions_find(&ctx->who, &user) != SHM_READ_OK)
    {
        ngx_http_whale_count(NGX_HTTP_WHALE_segment_fallbacks_total, 1);

        return ngx_http_whale_positions_query(r, ctx, NULL);
    }

    error = ngx_http_whale_auth_user(&ctx->who, &user);
    if (error != ERROR_NONE) {
        return ngx_http_whale_error(r, error);
    }

    return ngx_http_whale_positions_send(r, ngx_http_whale_found,
                                         user.position_count, 0, NULL);
}


/*
 * All of a user's positions are one page, unless there are more than
 * NGX_HTTP_WHALE_PAGE, or fewer were asked for: then pages are Postgres'.
 */

static ngx_int_t
ngx_http_whale_positions_page(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    char                   *key, *last;
    ngx_int_t               rc;
    ngx_http_whale_list_t  *list;

    static const whale_field  fields[] = {
        { .name = "limit", .kind = WHALE_FIELD_INTEGER, .least = 1,
          .most = NGX_HTTP_WHALE_PAGE },
        { .name = "cursor", .kind = WHALE_FIELD_TEXT, .least = 1,
          .most = WHALE_CURSOR_TEXT_MAX }
    };

    rc = ngx_http_whale_fields(r, ctx, fields, 2);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    list = ngx_pcalloc(r->pool, sizeof(ngx_http_whale_list_t));
    if (list == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    list->list = 'p';
    list->order = 'a';

    rc = ngx_http_whale_list_begin(r, ctx, list, &key, &last);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    return ngx_http_whale_positions_query(r, ctx, last);
}


static u_char *
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
    const shm_position *positions, ngx_uint_t n, int64_t age_ms,
    const char *next)
{
    u_char      *body, *p;
    size_t       len;
    ngx_uint_t   i;

    len = 128 + WHALE_CURSOR_TEXT_MAX;

    for (i = 0; i < n; i++) {
        len += positions[i].text_length + WHALE_POSITION_LIVE_MAX + 1;
    }

    body = ngx_pnalloc(r->pool, len);
    if (body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(body, "{\"items\":[", 10);
    p = ngx_http_whale_position_rows(p, positions, n);

    if (next) {
        p = ngx_sprintf(p, "],\"next\":\"%s\"", next);

    } else {
        p = ngx_cpymem(p, "],\"next\":null", 13);
    }

    if (age_ms == 0) {
        p = ngx_cpymem(p, ",\"stale\":false,\"age_ms\":0}", 26);

    } else {
        p = ngx_cpymem(p, ",\"stale\":true,\"age_ms\":", 23);
        p += digits_put((char *) p, age_ms);
        *p++ = '}';
    }

    return ngx_http_whale_send(r, NGX_HTTP_OK, body, p - body);
}


static ngx_int_t
ngx_http_whale_positions_query(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx, const char *last)
{
    ngx_int_t               rc;
    ngx_http_whale_job_t   *job;
    ngx_http_whale_list_t  *list;

    rc = ngx_http_whale_identify_all(r, ctx);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    list = ctx->data;

    job = ngx_http_whale_db_job(r, ngx_http_whale_positions_done);

    if (job == NULL
        || ngx_http_whale_auth_steps(job, 0) != NGX_OK
        || ngx_http_whale_positions_step(job, last, list ? list->limit
                                                         : NGX_HTTP_WHALE_PAGE)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_whale_db_submit(job);
}


/* One row more than is shown tells whether there is another page */

ngx_int_t
ngx_http_whale_positions_step(ngx_http_whale_job_t *job, const char *last,
    ngx_uint_t limit)
{
    ngx_http_whale_step_t  *step;

    step = ngx_http_whale_db_query(job, positions);
    if (step == NULL) {
        return NGX_ERROR;
    }

    ngx_http_whale_db_text(step, last);
    ngx_http_whale_db_id(job->request, step, limit + 1);

    return NGX_OK;
}


static void
ngx_http_whale_position_member(json_writer *writer, const char *key,
    const char *text)
{
    json_key(writer, key);
    json_string(writer, text);
}


/* The members that mirror would have written, in its order */

static void
ngx_http_whale_position_text(PGresult *rows, int row, shm_position *out,
    dec quantity, dec entry_price)
{
    int64_t      id, time;
    json_writer  writer;

    json_begin(&writer, out->text, sizeof(out->text));
    json_object(&writer);

    json_key(&writer, "id");
    json_id(&writer, out->id);
    ngx_http_whale_position_member(&writer, "venue",
                                   whale_row_text(rows, row, "venue"));
    ngx_http_whale_position_member(&writer, "market",
                                   whale_row_text(rows, row, "market"));
    ngx_http_whale_position_member(&writer, "symbol",
                                   whale_row_text(rows, row, "symbol"));
    ngx_http_whale_position_member(&writer, "side",
                                   dec_sign(quantity) < 0 ? "SHORT" : "LONG");
    json_key(&writer, "quantity");
    json_dec(&writer, dec_absolute(quantity));
    json_key(&writer, "entry_price");
    json_dec(&writer, entry_price);
    json_key(&writer, "leverage");
    json_int(&writer, ngx_atoi((u_char *) whale_row_text(rows, row, "leverage"),
                       ngx_strlen(whale_row_text(rows, row, "leverage"))));
    json_key(&writer, "margin");
    json_dec(&writer, out->margin);
    json_key(&writer, "whale_id");

    if (whale_row_id(rows, row, "whale_id", &id)) {
        json_id(&writer, id);
        json_key(&writer, "whale_name");
        json_text(&writer, whale_row_text(rows, row, "whale_name"),
                  ngx_http_whale_cut(whale_row_text(rows, row, "whale_name"),
                                     NGX_HTTP_WHALE_NAME_MAX));

    } else {
        json_null(&writer);
        ngx_http_whale_position_member(&writer, "whale_name", NULL);
    }

    json_key(&writer, "opened_at");
    json_time(&writer, whale_row_time(whale_row_text(rows, row, "opened_at"),
                                      &time) ? time : 0);

    /* the braces are position_put's; without the last one nothing is complete */

    out->text_length = writer.failed ? 0 : writer.length - 1;
    ngx_memmove(out->text, out->text + 1, out->text_length);
}


/* The first rows of positions.sql, as mirror would have put them into shm */

ngx_uint_t
ngx_http_whale_position_read(PGresult *rows, shm_position *out,
    ngx_uint_t capacity)
{
    int            i, n;
    dec            quantity, contract, price;
    ngx_uint_t     count;
    const char    *key;
    shm_position  *position;

    n = ngx_min((ngx_uint_t) PQntuples(rows), capacity);
    count = 0;

    for (i = 0; i < n; i++) {
        position = &out[count];

        if (!whale_row_id(rows, i, "id", &position->id)
            || !whale_row_dec(rows, i, "quantity", &quantity)
            || !whale_row_dec(rows, i, "contract_size", &contract)
            || !whale_row_dec(rows, i, "entry_notional",
                              &position->entry_notional)
            || !whale_row_dec(rows, i, "margin", &position->margin)
            || !dec_mul(quantity, contract, DEC_HALF_EVEN, &position->quantity)
            || !dec_div(position->entry_notional,
                        dec_absolute(position->quantity), DEC_HALF_EVEN,
                        &price))
        {
            continue;
        }

        key = whale_row_text(rows, i, "instrument");

        if (shm_price_find(ngx_http_whale_segment.segment, key,
                           ngx_strlen(key), &position->price_slot)
            != SHM_READ_OK)
        {
            position->price_slot = UINT32_MAX;
        }

        ngx_http_whale_position_text(rows, i, position, quantity, price);

        if (position->text_length) {
            count++;
        }
    }

    return count;
}


static void
ngx_http_whale_positions_done(ngx_http_whale_job_t *job)
{
    char                    next[WHALE_CURSOR_TEXT_MAX];
    PGresult               *rows;
    ngx_int_t               rc;
    ngx_uint_t              n, limit;
    whale_cursor            cursor;
    shm_position           *positions;
    enum whale_error        error;
    ngx_http_request_t     *r;
    ngx_http_whale_ctx_t   *ctx;
    ngx_http_whale_list_t  *list;

    r = job->request;
    ctx = ngx_http_get_module_ctx(r, ngx_http_whale_module);

    if (job->status != NGX_HTTP_WHALE_DB_OK) {
        ngx_http_whale_resume(r, ngx_http_whale_positions_stale(r, job));
        return;
    }

    error = ngx_http_whale_auth_check(job);
    if (error != ERROR_NONE) {
        ngx_http_whale_resume(r, ngx_http_whale_error(r, error));
        return;
    }

    list = ctx->data;
    limit = list ? list->limit : NGX_HTTP_WHALE_PAGE;

    rows = ngx_http_whale_db_result(job, "positions");
    n = PQntuples(rows);

    cursor.list = 'p';
    cursor.order = 'a';
    cursor.key[0] = '\0';

    if (n <= limit
        || !whale_row_id(rows, limit - 1, "id", &cursor.id)
        || whale_cursor_format(&cursor, next) == 0)
    {
        next[0] = '\0';
    }

    n = ngx_min(n, limit);

    /* pools align to 8 bytes, and decimals want 16 */

    positions = ngx_pmemalign(r->pool, (n + 1) * sizeof(shm_position),
                              _Alignof(shm_position));
    if (positions == NULL) {
        ngx_http_whale_resume(r, ngx_http_whale_error(r, ERROR_INTERNAL));
        return;
    }

    n = ngx_http_whale_position_read(rows, positions, n);
    rc = ngx_http_whale_positions_send(r, positions, n, 0,
                                       next[0] ? next : NULL);

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

    if (r->args.len
        || age > NGX_HTTP_WHALE_SERVED_MS
        || ngx_http_whale_positions_find(&ctx->who, &user) != SHM_READ_OK)
    {
        return ngx_http_whale_job_error(job);
    }

    error = ngx_http_whale_auth_user(&ctx->who, &user);
    if (error != ERROR_NONE) {
        return ngx_http_whale_error(r, error);
    }

    return ngx_http_whale_positions_send(r, ngx_http_whale_found,
                                         user.position_count, age ? age : 1,
                                         NULL);
}
