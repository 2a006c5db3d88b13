#include "ngx_http_whale.h"
ngx_int_t
ngx_http_whale_webhook_handler(ngx_http_request_t *r)
{
    (void) ngx_http_whale_begin(r, WHALE_ROUTE_WEBHOOK);
    return ngx_http_whale_error(r, ERROR_NOT_FOUND);
}
