
/*
 * API keys of exchange accounts: listed without their secrets, added, removed.
 *
 * What is secret is sealed here to the signer's public key, with the user and
 * a reference of our own drawing as additional data, so that nobody can put
 * one user's key under another's name; from then on nothing that nginx can
 * read opens it.  The user's id is known only inside the transaction, so
 * adding takes two round trips.
 */


#include "ngx_http_whale.h"

#include "queries.h"
#include "whale_row.h"


#define NGX_HTTP_WHALE_KEY_PLAIN_MAX  4096


enum {
    NGX_HTTP_WHALE_KEY_VENUE,
    NGX_HTTP_WHALE_KEY_MARKET,
    NGX_HTTP_WHALE_KEY_LABEL,
    NGX_HTTP_WHALE_KEY_API_KEY,
    NGX_HTTP_WHALE_KEY_SECRET,
    NGX_HTTP_WHALE_KEY_PASSPHRASE,
    NGX_HTTP_WHALE_KEY_TESTNET,
    NGX_HTTP_WHALE_KEY_FIELDS
};


/* what the signer holds: longer ones are refused here, where it can be told */

static const whale_field  ngx_http_whale_key_fields[] = {
    { .name = "venue", .kind = WHALE_FIELD_TEXT, .least = 1, .most = 15,
      .required = true },
    { .name = "market", .kind = WHALE_FIELD_WORD,
      .words = "spot|usdm|coinm|outcome" },
    { .name = "label", .kind = WHALE_FIELD_TEXT, .least = 0, .most = 64 },
    { .name = "api_key", .kind = WHALE_FIELD_TEXT, .least = 8, .most = 128,
      .required = true },
    { .name = "secret", .kind = WHALE_FIELD_SECRET, .least = 8, .most = 500,
      .required = true },
    { .name = "passphrase", .kind = WHALE_FIELD_TEXT, .least = 1, .most = 64,
      .nullable = true },
    { .name = "testnet", .kind = WHALE_FIELD_BOOLEAN }
};


static void ngx_http_whale_keys_done(ngx_http_whale_job_t *job);
static void ngx_http_whale_key_admitted(ngx_http_whale_job_t *job);
static void ngx_http_whale_key_added(ngx_http_whale_job_t *job);
static void ngx_http_whale_key_removed(ngx_http_whale_job_t *job);


ngx_int_t
ngx_http_whale_keys(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    ngx_http_whale_job_t  *job;

    if (r->args.len) {
        return ngx_http_whale_error_text(r, ERROR_BAD_FIELD,
                                         "This address takes no query.");
    }

    job = ngx_http_whale_db_job(r, ngx_http_whale_keys_done);

    if (job == NULL
        || ngx_http_whale_auth_steps(job, 0) != NGX_OK
        || ngx_http_whale_db_query(job, keys) == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_whale_db_submit(job);
}


static void
ngx_http_whale_keys_done(ngx_http_whale_job_t *job)
{
    enum whale_error     error;
    ngx_http_request_t  *r;

    r = job->request;

    if (job->status != NGX_HTTP_WHALE_DB_OK) {
        ngx_http_whale_resume(r, ngx_http_whale_job_error(job));
        return;
    }

    error = ngx_http_whale_auth_check(job);
    if (error != ERROR_NONE) {
        ngx_http_whale_resume(r, ngx_http_whale_error(r, error));
        return;
    }

    ngx_http_whale_resume(r, ngx_http_whale_rows(r,
                                  ngx_http_whale_db_result(job, "keys"),
                                  NGX_MAX_INT32_VALUE, NULL));
}


/* Secrets of a request are in its body and its fields until it ends */

static void
ngx_http_whale_key_wipe(void *data)
{
    ngx_http_whale_ctx_t *ctx = data;

    ngx_uint_t    i;
    whale_value  *value;

    crypto_wipe(ctx->body.data, ctx->body.len);

    for (i = 0; ctx->values && i < NGX_HTTP_WHALE_KEY_FIELDS; i++) {
        value = &ctx->values->values[i];

        if (value->text) {
            crypto_wipe((void *) value->text, value->length);
        }
    }
}


ngx_int_t
ngx_http_whale_key_add(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    ngx_int_t              rc;
    const char            *market;
    whale_value           *value;
    ngx_pool_cleanup_t    *cln;
    ngx_http_whale_job_t  *job;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_whale_key_wipe;
    cln->data = ctx;

    rc = ngx_http_whale_fields(r, ctx, ngx_http_whale_key_fields,
                               NGX_HTTP_WHALE_KEY_FIELDS);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    value = ctx->values->values;
    market = value[NGX_HTTP_WHALE_KEY_MARKET].text;

    if (config_find_venue(&ngx_http_whale_worker.wmcf->config,
                          value[NGX_HTTP_WHALE_KEY_VENUE].text,
                          market ? market : "usdm")
        == NULL)
    {
        return ngx_http_whale_error_text(r, ERROR_BAD_FIELD,
                                         "\"venue\" and \"market\" are not "
                                         "ones that trade here.");
    }

    job = ngx_http_whale_write_job(r, ngx_http_whale_key_admitted);
    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    job->hold = 1;

    return ngx_http_whale_db_submit(job);
}


/* A random UUID (version 4) */

static ngx_int_t
ngx_http_whale_uuid(char text[37])
{
    char     hex[33];
    u_char   bytes[16];

    if (!crypto_random(bytes, sizeof(bytes))) {
        return NGX_ERROR;
    }

    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;

    crypto_hex(bytes, sizeof(bytes), hex);

    *ngx_sprintf((u_char *) text, "%*s-%*s-%*s-%*s-%*s", (size_t) 8, hex,
                 (size_t) 4, hex + 8, (size_t) 4, hex + 12, (size_t) 4,
                 hex + 16, (size_t) 12, hex + 20) = '\0';

    return NGX_OK;
}


/* {"api_key":…,"secret":…,"passphrase":…}, sealed; NULL where it failed */

static u_char *
ngx_http_whale_key_seal(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx,
    const char *ref, size_t *len)
{
    char          aad[96];
    char         *plain;
    u_char       *sealed;
    size_t        aad_len;
    ngx_uint_t    i;
    json_writer   writer;
    whale_value  *value;

    value = ctx->values->values;
    *len = 0;

    plain = crypto_secret_alloc(NGX_HTTP_WHALE_KEY_PLAIN_MAX);
    if (plain == NULL) {
        return NULL;
    }

    json_begin(&writer, plain, NGX_HTTP_WHALE_KEY_PLAIN_MAX);
    json_object(&writer);

    for (i = NGX_HTTP_WHALE_KEY_API_KEY; i <= NGX_HTTP_WHALE_KEY_PASSPHRASE;
         i++)
    {
        json_key(&writer, ngx_http_whale_key_fields[i].name);
        json_string(&writer, value[i].text ? value[i].text : "");
    }

    json_object_end(&writer);

    aad_len = ngx_sprintf((u_char *) aad, "%L|%s|credentials",
                          ctx->who.user_id, ref) - (u_char *) aad;

    *len = writer.length + CRYPTO_SEAL_OVERHEAD;
    sealed = json_finish(&writer) ? ngx_palloc(r->pool, *len) : NULL;

    if (sealed
        && !crypto_seal(ngx_http_whale_worker.wmcf->keys->seal_public, aad,
                        aad_len, plain, writer.length, sealed))
    {
        sealed = NULL;
    }

    crypto_secret_free(plain);

    return sealed;
}


/* The end of a key, by which its owner knows it */

static char *
ngx_http_whale_key_hint(ngx_http_request_t *r, whale_value *key)
{
    char        *hint;
    ngx_uint_t   i;

    hint = ngx_http_whale_cstring(r, (u_char *) key->text + key->length - 4, 4);

    for (i = 0; hint && i < 4; i++) {
        if (hint[i] < ' ' || hint[i] > '~') {
            hint[i] = '*';      /* half a character is no text */
        }
    }

    return hint;
}


static void
ngx_http_whale_key_admitted(ngx_http_whale_job_t *job)
{
    char                    ref[37], *hint, *text;
    size_t                  len;
    u_char                 *sealed;
    whale_value            *value, *key;
    ngx_http_request_t     *r;
    ngx_http_whale_ctx_t   *ctx;
    ngx_http_whale_step_t  *step;

    if (ngx_http_whale_write_replay(job) != NGX_DECLINED) {
        return;
    }

    r = job->request;
    ctx = ngx_http_get_module_ctx(r, ngx_http_whale_module);
    value = ctx->values->values;
    key = &value[NGX_HTTP_WHALE_KEY_API_KEY];

    if (ngx_http_whale_uuid(ref) != NGX_OK) {
        ngx_http_whale_resume(r, ngx_http_whale_error(r, ERROR_INTERNAL));
        return;
    }

    sealed = ngx_http_whale_key_seal(r, ctx, ref, &len);
    text = ngx_http_whale_cstring(r, (u_char *) ref, 36);
    hint = ngx_http_whale_key_hint(r, key);

    ngx_http_whale_db_again(job, ngx_http_whale_key_added);

    step = ngx_http_whale_db_query(job, key_add);

    if (sealed == NULL || text == NULL || hint == NULL || step == NULL) {
        ngx_http_whale_resume(r, ngx_http_whale_error(r, ERROR_INTERNAL));
        return;
    }

    ngx_http_whale_db_text(step, text);
    ngx_http_whale_db_text(step, value[NGX_HTTP_WHALE_KEY_VENUE].text);
    ngx_http_whale_db_text(step, value[NGX_HTTP_WHALE_KEY_MARKET].text
                                 ? value[NGX_HTTP_WHALE_KEY_MARKET].text
                                 : "usdm");
    ngx_http_whale_db_text(step, value[NGX_HTTP_WHALE_KEY_LABEL].text
                                 ? value[NGX_HTTP_WHALE_KEY_LABEL].text : "");
    ngx_http_whale_db_text(step, hint);
    ngx_http_whale_db_text(step, value[NGX_HTTP_WHALE_KEY_TESTNET].text
                                 ? value[NGX_HTTP_WHALE_KEY_TESTNET].text
                                 : "false");
    ngx_http_whale_db_bytes(step, sealed, len);

    job->hold = (ctx->once_key != NULL);

    ngx_http_whale_db_go_on(job);
}


static void
ngx_http_whale_key_render(json_writer *writer, void *data)
{
    whale_row_object(writer, data, 0);
}


static void
ngx_http_whale_key_answer(ngx_http_whale_job_t *job, ngx_uint_t status,
    PGresult *rows)
{
    size_t   len;
    u_char  *body;

    body = ngx_http_whale_render(job->request, whale_row_room(rows),
                                 ngx_http_whale_key_render, rows, &len);
    if (body == NULL) {
        ngx_http_whale_write_error(job, ERROR_INTERNAL, NULL);
        return;
    }

    ngx_http_whale_write_finish(job, status, body, len);
}


static void
ngx_http_whale_key_added(ngx_http_whale_job_t *job)
{
    PGresult            *rows;
    ngx_http_request_t  *r;

    r = job->request;

    if (job->status != NGX_HTTP_WHALE_DB_OK) {
        ngx_http_whale_resume(r, ngx_http_whale_job_error(job));
        return;
    }

    rows = ngx_http_whale_db_result(job, "key_add");

    if (PQntuples(rows) == 0) {
        ngx_http_whale_write_error(job, ERROR_CONFLICT,
                                   "An account of this exchange is connected "
                                   "already. Remove it first.");
        return;
    }

    ngx_http_whale_key_answer(job, NGX_HTTP_CREATED, rows);
}


ngx_int_t
ngx_http_whale_key_remove(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    int64_t                 id;
    ngx_int_t               rc;
    ngx_http_whale_job_t   *job;
    ngx_http_whale_step_t  *facts, *step;

    if (!whale_route_id(&ctx->parameters[0], &id)) {
        return ngx_http_whale_error(r, ERROR_NOT_FOUND);
    }

    rc = ngx_http_whale_fields(r, ctx, NULL, 0);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    job = ngx_http_whale_write_job(r, ngx_http_whale_key_removed);
    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    facts = ngx_http_whale_db_query(job, key_facts);
    step = ngx_http_whale_db_query(job, key_remove);

    ngx_http_whale_db_id(r, facts, id);
    ngx_http_whale_db_id(r, step, id);

    return ngx_http_whale_db_submit(job);
}


static void
ngx_http_whale_key_removed(ngx_http_whale_job_t *job)
{
    PGresult  *rows, *facts;

    if (ngx_http_whale_write_replay(job) != NGX_DECLINED) {
        return;
    }

    rows = ngx_http_whale_db_result(job, "key_remove");
    facts = ngx_http_whale_db_result(job, "key_facts");

    if (PQntuples(rows)) {
        ngx_http_whale_key_answer(job, NGX_HTTP_OK, rows);
        return;
    }

    if (whale_row_true(facts, 0, "known")) {
        ngx_http_whale_write_error(job, ERROR_CONFLICT,
                                   "Something of this account is still open.");
        return;
    }

    ngx_http_whale_write_error(job, ERROR_NOT_FOUND, NULL);
}
