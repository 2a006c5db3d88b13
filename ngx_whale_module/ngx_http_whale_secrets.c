
/*
 * Secrets: read by the master, as root, when it reads the configuration, into
 * locked memory that the workers inherit.  No value is ever repeated in an
 * error; of a file that cannot be used its name and the reason are.
 */


#include "ngx_http_whale.h"


static void
ngx_http_whale_forget_keys(void *data)
{
    crypto_secret_free(data);
}


static ngx_int_t
ngx_http_whale_need(ngx_conf_t *cf, const char *path, const char *directive,
    const char *what)
{
    if (path[0] != '\0') {
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%s\" needs \"%s\"", what,
                       directive);
    return NGX_ERROR;
}


static ngx_int_t
ngx_http_whale_read_api_keys(ngx_conf_t *cf, whale_config *config,
    ngx_http_whale_keys_t *keys)
{
    char        error[CONFIG_ERROR_MAX];
    ngx_uint_t  i;

    struct {
        const char  *path;
        const char  *directive;
        uint8_t     *key;
        bool       (*read)(const char *path, uint8_t *key, char *error,
                           size_t capacity);
    } files[] = {
        { config->init_data_key_file, "whale_init_data_key_file",
          keys->init_data, crypto_read_key },
        { config->session_key_file, "whale_session_key_file",
          keys->session, crypto_read_key },
        { config->seal_public_key_file, "whale_seal_public_key_file",
          keys->seal_public, crypto_read_public_key }
    };

    for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {

        if (ngx_http_whale_need(cf, files[i].path, files[i].directive,
                                "whale_api")
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (!files[i].read(files[i].path, files[i].key, error, sizeof(error))) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%s\": %s",
                               files[i].directive, error);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_whale_read_webhook_secret(ngx_conf_t *cf, whale_config *config,
    ngx_http_whale_keys_t *keys)
{
    long  n;
    char  error[CONFIG_ERROR_MAX];

    if (ngx_http_whale_need(cf, config->webhook_secret_file,
                            "whale_webhook_secret_file", "whale_webhook")
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = crypto_read_secret(config->webhook_secret_file, keys->webhook,
                           sizeof(keys->webhook), error, sizeof(error));

    if (n < 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"whale_webhook_secret_file\": %s", error);
        return NGX_ERROR;
    }

    /* Telegram's own rule */

    if (n > NGX_HTTP_WHALE_SECRET_MAX
        || (size_t) n != strspn(keys->webhook, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "abcdefghijklmnopqrstuvwxyz0123456789_-"))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"whale_webhook_secret_file\": %s: Telegram takes "
                           "1 to %d characters of A-Z, a-z, 0-9, _ and -",
                           config->webhook_secret_file,
                           NGX_HTTP_WHALE_SECRET_MAX);
        return NGX_ERROR;
    }

    keys->webhook_len = n;

    return NGX_OK;
}


ngx_int_t
ngx_http_whale_read_keys(ngx_conf_t *cf, ngx_http_whale_main_conf_t *wmcf)
{
    char                    error[CONFIG_ERROR_MAX];
    whale_config           *config;
    ngx_pool_cleanup_t     *cln;
    ngx_http_whale_keys_t  *keys;

    config = &wmcf->config;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    keys = crypto_secret_alloc(sizeof(ngx_http_whale_keys_t));
    if (keys == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "no locked memory for keys");
        return NGX_ERROR;
    }

    cln->handler = ngx_http_whale_forget_keys;
    cln->data = keys;
    wmcf->keys = keys;

    if ((wmcf->kinds & (1u << NGX_HTTP_WHALE_API))
        && ngx_http_whale_read_api_keys(cf, config, keys) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if ((wmcf->kinds & (1u << NGX_HTTP_WHALE_WEBHOOK))
        && ngx_http_whale_read_webhook_secret(cf, config, keys) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (config->web_database_password_file[0] != '\0'
        && crypto_read_secret(config->web_database_password_file,
                              keys->password, sizeof(keys->password), error,
                              sizeof(error))
           < 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"whale_web_database_password_file\": %s", error);
        return NGX_ERROR;
    }

    return NGX_OK;
}
