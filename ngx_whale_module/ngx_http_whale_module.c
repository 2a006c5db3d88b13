
/*
 * Directives, and a worker's life.
 *
 * The whale_* directives at http level come from core/directives.h and are
 * checked by core/config.c, which workerd uses too; here are only the three
 * that say what a location serves.  init_module does nothing: it also runs
 * under "nginx -t".
 */


#include "ngx_http_whale.h"


static void *ngx_http_whale_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_whale_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_whale_create_srv_conf(ngx_conf_t *cf);
static void *ngx_http_whale_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_whale_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_whale_location(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_whale_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_whale_init_process(ngx_cycle_t *cycle);
static void ngx_http_whale_exit_process(ngx_cycle_t *cycle);


ngx_http_whale_worker_t  ngx_http_whale_worker;


/* NGX_CONF_ANY: the number of arguments is core/config.c's to judge */

static ngx_command_t  ngx_http_whale_commands[] = {

#define NGX_HTTP_WHALE_COMMAND(name, kind, field, fallback, when, help)       \
    { ngx_string(#name),                                                      \
      NGX_HTTP_MAIN_CONF|NGX_CONF_ANY,                                        \
      ngx_http_whale_directive,                                               \
      NGX_HTTP_MAIN_CONF_OFFSET,                                              \
      0,                                                                      \
      NULL },

    WHALE_DIRECTIVES(NGX_HTTP_WHALE_COMMAND)
#undef NGX_HTTP_WHALE_COMMAND

    { ngx_string("whale_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_whale_location,
      NGX_HTTP_LOC_CONF_OFFSET,
      NGX_HTTP_WHALE_API,
      NULL },

    { ngx_string("whale_webhook"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_whale_location,
      NGX_HTTP_LOC_CONF_OFFSET,
      NGX_HTTP_WHALE_WEBHOOK,
      NULL },

    { ngx_string("whale_operator"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_whale_location,
      NGX_HTTP_LOC_CONF_OFFSET,
      NGX_HTTP_WHALE_OPERATOR,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_whale_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_whale_postconfiguration,      /* postconfiguration */

    ngx_http_whale_create_main_conf,       /* create main configuration */
    ngx_http_whale_init_main_conf,         /* init main configuration */

    ngx_http_whale_create_srv_conf,        /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_whale_create_loc_conf,        /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_whale_module = {
    NGX_MODULE_V1,
    &ngx_http_whale_module_ctx,            /* module context */
    ngx_http_whale_commands,               /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_whale_init_process,           /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_whale_exit_process,           /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_whale_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_whale_main_conf_t  *wmcf;

    wmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_whale_main_conf_t));
    if (wmcf == NULL) {
        return NULL;
    }

    config_defaults(&wmcf->config);

    return wmcf;
}


static char *
ngx_http_whale_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_whale_main_conf_t  *wmcf = conf;

    char  error[CONFIG_ERROR_MAX];

    if (!config_check(&wmcf->config, error)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", error);
        return NGX_CONF_ERROR;
    }

    wmcf->config_hash = config_hash(&wmcf->config);

    return NGX_CONF_OK;
}


static void *
ngx_http_whale_create_srv_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_whale_srv_conf_t));
}


static void *
ngx_http_whale_create_loc_conf(ngx_conf_t *cf)
{
    /* kind is not merged: a nested location has no handler either */

    return ngx_pcalloc(cf->pool, sizeof(ngx_http_whale_loc_conf_t));
}


static char *
ngx_http_whale_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_whale_main_conf_t  *wmcf = conf;

    char         error[CONFIG_ERROR_MAX];
    ngx_str_t   *value;
    ngx_uint_t   i;
    const char  *arguments[NGX_CONF_MAX_ARGS];

    value = cf->args->elts;

    if (cf->args->nelts > NGX_CONF_MAX_ARGS) {
        return "has too many arguments";
    }

    for (i = 1; i < cf->args->nelts; i++) {
        arguments[i - 1] = (char *) value[i].data;
    }

    if (!config_set(&wmcf->config, (char *) cmd->name.data, arguments,
                    cf->args->nelts - 1, error))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", error);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_whale_location(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_whale_loc_conf_t  *wlcf = conf;

    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_whale_srv_conf_t   *wscf;
    ngx_http_whale_main_conf_t  *wmcf;

    if (wlcf->kind != NGX_HTTP_WHALE_NONE) {
        return wlcf->kind == cmd->offset ? "is duplicate"
                                         : "contradicts another whale "
                                           "directive of this location";
    }

    wlcf->kind = cmd->offset;

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_whale_module);
    wmcf->kinds |= 1u << cmd->offset;

    wscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_whale_module);
    wscf->used = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    switch (cmd->offset) {

    case NGX_HTTP_WHALE_API:
        clcf->handler = ngx_http_whale_api_handler;
        break;

    case NGX_HTTP_WHALE_WEBHOOK:
        clcf->handler = ngx_http_whale_webhook_handler;
        break;

    default:
        clcf->handler = ngx_http_whale_operator_handler;
    }

    return NGX_CONF_OK;
}


/* libpq looks names up synchronously, which would stop a worker */

static ngx_int_t
ngx_http_whale_check_database(ngx_conf_t *cf, whale_config *config)
{
    char              *error;
    u_char             address[sizeof(struct in6_addr)];
    const char        *host, *hostaddr;
    PQconninfoOption  *options, *option;

    error = NULL;
    host = "";
    hostaddr = "";

    options = PQconninfoParse(config->web_database, &error);

    if (options == NULL) {
        PQfreemem(error);       /* may repeat what it could not read */
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value in \"whale_web_database\" directive");
        return NGX_ERROR;
    }

    for (option = options; option->keyword; option++) {

        if (option->val == NULL) {
            continue;
        }

        if (ngx_strcmp(option->keyword, "host") == 0) {
            host = option->val;

        } else if (ngx_strcmp(option->keyword, "hostaddr") == 0) {
            hostaddr = option->val;
        }
    }

    if (host[0] != '\0' && host[0] != '/' && host[0] != '@'
        && hostaddr[0] == '\0'
        && inet_pton(AF_INET, host, address) != 1
        && inet_pton(AF_INET6, host, address) != 1)
    {
        PQconninfoFree(options);
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"whale_web_database\" must name a Unix socket or "
                           "one numeric address (hostaddr)");
        return NGX_ERROR;
    }

    PQconninfoFree(options);

    return NGX_OK;
}


static ngx_int_t
ngx_http_whale_postconfiguration(ngx_conf_t *cf)
{
    ngx_str_t                    name = ngx_string("request_id");
    ngx_http_handler_pt         *h;
    ngx_http_core_main_conf_t   *cmcf;
    ngx_http_whale_main_conf_t  *wmcf;

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_whale_module);

    if (wmcf->kinds == 0) {
        return NGX_OK;
    }

    if (!crypto_start()) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "OpenSSL lacks an algorithm that whale needs");
        return NGX_ERROR;
    }

    if (ngx_http_whale_read_keys(cf, wmcf) != NGX_OK
        || ngx_http_whale_check_database(cf, &wmcf->config) != NGX_OK)
    {
        return NGX_ERROR;
    }

    wmcf->request_id_index = ngx_http_get_variable_index(cf, &name);
    if (wmcf->request_id_index == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (ngx_http_whale_stats_zone(cf, wmcf) != NGX_CONF_OK) {
        return NGX_ERROR;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_whale_stats_log;

    return ngx_http_whale_filter_init();
}


static ngx_int_t
ngx_http_whale_init_process(ngx_cycle_t *cycle)
{
    ngx_http_whale_keys_t       *keys;
    ngx_http_whale_main_conf_t  *wmcf;

    /* statics are the master's, which may be of an earlier configuration */

    ngx_memzero(&ngx_http_whale_worker, sizeof(ngx_http_whale_worker_t));
    ngx_memzero(&ngx_http_whale_segment, sizeof(ngx_http_whale_segment_t));

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    wmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_whale_module);

    if (wmcf == NULL || wmcf->kinds == 0) {
        return NGX_OK;
    }

    keys = wmcf->keys;
    ngx_http_whale_worker.wmcf = wmcf;

    /* a child does not inherit the lock */
    (void) mlock(keys, sizeof(ngx_http_whale_keys_t));

    ngx_http_whale_worker.init_data = crypto_mac_new(keys->init_data,
                                                     CRYPTO_KEY_SIZE);
    ngx_http_whale_worker.session = crypto_mac_new(keys->session,
                                                   CRYPTO_KEY_SIZE);

    ngx_http_whale_worker.init_datas = whale_verdicts_new();
    ngx_http_whale_worker.sessions = whale_verdicts_new();

    if (ngx_http_whale_worker.init_data == NULL
        || ngx_http_whale_worker.session == NULL
        || ngx_http_whale_worker.init_datas == NULL
        || ngx_http_whale_worker.sessions == NULL)
    {
        return NGX_ERROR;
    }

    ngx_http_whale_stats_init(wmcf);

    if (ngx_http_whale_segment_init(cycle, wmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_whale_db_init(cycle, wmcf);
}


static void
ngx_http_whale_exit_process(ngx_cycle_t *cycle)
{
    if (ngx_http_whale_worker.wmcf == NULL) {
        return;
    }

    /* an open socket that is left would be an alert */

    ngx_http_whale_db_exit();
    ngx_http_whale_segment_exit();

    crypto_mac_free(ngx_http_whale_worker.init_data);
    crypto_mac_free(ngx_http_whale_worker.session);
    whale_verdicts_free(ngx_http_whale_worker.init_datas);
    whale_verdicts_free(ngx_http_whale_worker.sessions);

    ngx_http_whale_worker.wmcf = NULL;
}
