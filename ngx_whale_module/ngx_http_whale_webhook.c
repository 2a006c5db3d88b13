
/*
 * The bot's webhook: Telegram's updates, answered in the body of the response.
 *
 * Telegram repeats an update until it sees a 2xx.  Reads are computed anew
 * then; writes commit together with their update_id and the reply, and a
 * repeated one gets that reply (see once.c).  So a write answers 5xx only
 * where nothing was done, and a read (bot.c) never does: a sentence helps more
 * than the same question a minute later.
 */


#include "ngx_http_whale_bot.h"

#include "queries.h"
#include "whale_row.h"
#include "whale_update.h"


static ngx_int_t ngx_http_whale_update(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
static ngx_int_t ngx_http_whale_bot_start(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
static void ngx_http_whale_bot_started(ngx_http_whale_job_t *job);
static ngx_int_t ngx_http_whale_bot_follow(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
static void ngx_http_whale_bot_followed(ngx_http_whale_job_t *job);


/* one update at a time uses these, and only while it is parsed or rendered */

static jsmntok_t  ngx_http_whale_tokens[WHALE_UPDATE_TOKENS_MAX];
whale_screen  ngx_http_whale_screen;


ngx_int_t
ngx_http_whale_webhook_handler(ngx_http_request_t *r)
{
    ngx_str_t              *secret;
    ngx_uint_t              count;
    ngx_http_whale_ctx_t   *ctx;
    ngx_http_whale_keys_t  *keys;

    static const char  name[] = "X-Telegram-Bot-Api-Secret-Token";

    ctx = ngx_http_whale_begin(r, WHALE_ROUTE_WEBHOOK);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->method != NGX_HTTP_POST) {

        if (ngx_http_whale_add_header(r, "Allow", "POST") != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_whale_error(r, ERROR_METHOD_NOT_ALLOWED);
    }

    secret = ngx_http_whale_header(r, name, sizeof(name) - 1, &count);

    if (secret == NULL) {
        return ngx_http_whale_error(r, ERROR_UNAUTHENTICATED);
    }

    keys = ngx_http_whale_worker.wmcf->keys;

    if (count > 1 || secret->len != keys->webhook_len
        || !crypto_equal(secret->data, keys->webhook, keys->webhook_len))
    {
        return ngx_http_whale_error(r, ERROR_FORBIDDEN);
    }

    return ngx_http_whale_read_body(r, ctx, NGX_HTTP_WHALE_UPDATE_MAX,
                                    ngx_http_whale_update);
}


/* The screen as the answer; without one, an acknowledgement */

ngx_int_t
ngx_http_whale_bot_send(ngx_http_request_t *r, const whale_screen *screen)
{
    size_t                 len;
    u_char                *body;
    ngx_http_whale_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_whale_module);

    len = screen->length + WHALE_SCREEN_BODY_MAX - WHALE_SCREEN_TEXT_MAX;

    body = ngx_pnalloc(r->pool, len);
    if (body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    len = whale_screen_body(screen, ctx->chat_id, (char *) body, len);

    if (len == 0) {
        return ngx_http_whale_error(r, ERROR_INTERNAL);
    }

    return ngx_http_whale_send(r, NGX_HTTP_OK, body, len);
}


/* A reply that says in one sentence what is wrong */

ngx_int_t
ngx_http_whale_bot_sentence(ngx_http_request_t *r, enum whale_error error)
{
    whale_screen_begin(&ngx_http_whale_screen);
    whale_screen_escape(&ngx_http_whale_screen, error_sentence(error),
                        ngx_strlen(error_sentence(error)));

    return ngx_http_whale_bot_send(r, &ngx_http_whale_screen);
}


static void
ngx_http_whale_bot_finish(ngx_http_whale_job_t *job)
{
    size_t                 len;
    u_char                *body;
    ngx_http_request_t    *r;
    ngx_http_whale_ctx_t  *ctx;

    r = job->request;
    ctx = ngx_http_get_module_ctx(r, ngx_http_whale_module);

    body = ngx_pnalloc(r->pool, WHALE_SCREEN_BODY_MAX);
    len = body ? whale_screen_body(&ngx_http_whale_screen, ctx->chat_id,
                                   (char *) body, WHALE_SCREEN_BODY_MAX)
               : 0;

    if (len == 0) {
        ngx_http_whale_resume(r, ngx_http_whale_error(r, ERROR_INTERNAL));
        return;
    }

    ngx_http_whale_write_finish(job, NGX_HTTP_OK, body, len);
}


static ngx_int_t
ngx_http_whale_update(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    whale_update  update;

    ngx_http_whale_count(NGX_HTTP_WHALE_updates_total, 1);

    switch (whale_update_parse((char *) ctx->body.data, ctx->body.len,
                               ngx_http_whale_tokens, &update))
    {

    case WHALE_UPDATE_MALFORMED:
        return ngx_http_whale_error(r, ERROR_BAD_JSON);

    case WHALE_UPDATE_OTHER:
        return ngx_http_whale_send(r, NGX_HTTP_OK, NULL, 0);

    default:
        break;
    }

    ctx->chat_id = update.chat_id;
    ctx->update_id = update.update_id;
    ctx->who.kind = NGX_HTTP_WHALE_TELEGRAM;
    ctx->who.telegram_id = update.user_id;
    ctx->who.profile.data = (u_char *) update.user;
    ctx->who.profile.len = update.user_length;

    if (update.command == WHALE_COMMAND_WHALES) {
        return ngx_http_whale_bot_whales(r);
    }

    if (update.command == WHALE_COMMAND_HELP) {
        whale_screen_help(&ngx_http_whale_screen);
        return ngx_http_whale_bot_send(r, &ngx_http_whale_screen);
    }

    /* what somebody owns is not told to a group */

    if (!update.is_private) {
        whale_screen_private(&ngx_http_whale_screen);
        return ngx_http_whale_bot_send(r, &ngx_http_whale_screen);
    }

    ctx->data = ngx_http_whale_cstring(r, (u_char *) update.argument,
                                       ngx_strlen(update.argument));
    if (ctx->data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    switch (update.command) {

    case WHALE_COMMAND_START:
        return ngx_http_whale_bot_start(r, ctx);

    case WHALE_COMMAND_FOLLOW:
        return ngx_http_whale_bot_follow(r, ctx);

    default:
        return ngx_http_whale_bot_positions(r, ctx);
    }
}


static ngx_int_t
ngx_http_whale_bot_start(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    ngx_http_whale_job_t  *job;

    ctx->update = 1;

    job = ngx_http_whale_write_job(r, ngx_http_whale_bot_started);
    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_whale_db_submit(job);
}


static void
ngx_http_whale_bot_started(ngx_http_whale_job_t *job)
{
    PGresult              *begun;
    whale_profile          profile;
    ngx_http_whale_ctx_t  *ctx;

    if (ngx_http_whale_write_replay(job) != NGX_DECLINED) {
        return;
    }

    ctx = ngx_http_get_module_ctx(job->request, ngx_http_whale_module);
    begun = ngx_http_whale_db_result(job, "begin_telegram");

    if (!whale_profile_parse((char *) ctx->who.profile.data,
                             ctx->who.profile.len, &profile))
    {
        profile.first_name[0] = '\0';
    }

    whale_screen_start(&ngx_http_whale_screen, profile.first_name,
                       whale_row_true(begun, 0, "created"));

    ngx_http_whale_bot_finish(job);
}


static ngx_int_t
ngx_http_whale_bot_follow(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx)
{
    char                    amount[DEC_TEXT_MAX];
    char                   *size;
    int64_t                 id;
    ngx_http_whale_job_t   *job;
    ngx_http_whale_step_t  *lock, *step, *facts;

    if (!whale_update_follow(ctx->data, &id, amount)) {
        whale_screen_follow_usage(&ngx_http_whale_screen);
        return ngx_http_whale_bot_send(r, &ngx_http_whale_screen);
    }

    ctx->update = 1;

    job = ngx_http_whale_write_job(r, ngx_http_whale_bot_followed);
    size = ngx_http_whale_cstring(r, (u_char *) amount, ngx_strlen(amount));

    if (job == NULL || size == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    lock = ngx_http_whale_db_query(job, follow_lock);
    step = ngx_http_whale_db_query(job, bot_follow);
    facts = ngx_http_whale_db_query(job, follow_facts);

    if (lock == NULL || step == NULL || facts == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_whale_db_id(r, step, id);
    ngx_http_whale_db_text(step, size[0] != '\0' ? size : NULL);
    ngx_http_whale_db_id(r, facts, id);

    ctx->data = size;

    return ngx_http_whale_db_submit(job);
}


static void
ngx_http_whale_bot_followed(ngx_http_whale_job_t *job)
{
    int64_t                id;
    PGresult              *rows, *facts;
    ngx_http_whale_ctx_t  *ctx;

    if (ngx_http_whale_write_replay(job) != NGX_DECLINED) {
        return;
    }

    ctx = ngx_http_get_module_ctx(job->request, ngx_http_whale_module);
    rows = ngx_http_whale_db_result(job, "bot_follow");
    facts = ngx_http_whale_db_result(job, "follow_facts");

    if (whale_row_id(rows, 0, "whale_id", &id)) {
        whale_screen_followed(&ngx_http_whale_screen, id,
                              whale_row_text(facts, 0, "name"), ctx->data);

    } else {
        whale_screen_begin(&ngx_http_whale_screen);
        whale_screen_put(&ngx_http_whale_screen,
                         whale_row_true(facts, 0, "known")
                         ? error_sentence(ERROR_LIMIT_REACHED)
                         : "There is no such whale. /whales shows the numbers.");
    }

    ngx_http_whale_bot_finish(job);
}
