
/*
 * What the bot's webhook (webhook.c) and its reads (bot.c) share.
 */


#ifndef _NGX_HTTP_WHALE_BOT_H_INCLUDED_
#define _NGX_HTTP_WHALE_BOT_H_INCLUDED_


#include "ngx_http_whale.h"

#include "whale_screen.h"


/* one update at a time uses it, and only while it is rendered */
extern whale_screen  ngx_http_whale_screen;


ngx_int_t ngx_http_whale_bot_send(ngx_http_request_t *r,
    const whale_screen *screen);
ngx_int_t ngx_http_whale_bot_whales(ngx_http_request_t *r);
ngx_int_t ngx_http_whale_bot_positions(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);


#endif /* _NGX_HTTP_WHALE_BOT_H_INCLUDED_ */
