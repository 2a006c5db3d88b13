/*
 * The way to a connection: resolving, PQconnectPoll on the loop, and trying again.
 *
 * Promises: nothing blocks (libpq would resolve a host name synchronously, so libuv does it first;
 * a list of several hosts is left to libpq and should hold addresses); every attempt ends within
 * NET_PG_CONNECT_TIMEOUT_MS; attempts are NET_PG_BACKOFF_FIRST_MS to NET_PG_BACKOFF_LAST_MS apart;
 * the password is read anew for each attempt, and stands in no string but libpq's own.
 */
#include "workerd/net/net_pg_private.h"

#include "core/crypto.h"
#include "core/log.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PASSWORD_MAX 1024
#define OPTIONS_MAX 1024
#define PARAMETERS_MAX 64
#define ERROR_MAX 256

/* Ours first: what the operator's conninfo sets wins. */
static const char session_options[] = "-c statement_timeout=30s -c jit=off "
                                      "-c idle_in_transaction_session_timeout=30s "
                                      "-c client_min_messages=warning";
static const char *const defaults[][2] = {
    {"keepalives", "1"},       {"keepalives_idle", "5"},      {"keepalives_interval", "2"},
    {"keepalives_count", "3"}, {"tcp_user_timeout", "10000"},
};

bool net_pg_check_conninfo(const char *conninfo)
{
    char *error = NULL;
    PQconninfoOption *options = PQconninfoParse(conninfo, &error);

    if (options == NULL) {
        /* libpq's message may quote the text around the mistake, and so a password. */
        log_event(LOG_ERROR, "pg.conninfo", "error", LOG_TEXT("malformed"), NULL);
        PQfreemem(error);
        return false;
    }
    PQconninfoFree(options);
    return true;
}

static const char *option_value(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword != NULL; options++) {
        if (strcmp(options->keyword, keyword) == 0) {
            return options->val;
        }
    }
    return NULL;
}

/* ---- watching the socket --------------------------------------------------------------------- */

static void on_poll_closed(uv_handle_t *handle)
{
    net_pg *pg = handle->data;

    free(handle);
    net_pg_release(pg);
}

void net_pg_unwatch(net_pg *pg)
{
    if (pg->poll != NULL) {
        uv_close((uv_handle_t *)pg->poll, on_poll_closed);
        pg->poll = NULL;
        pg->poll_events = 0;
    }
}

static void connect_step(net_pg *pg);

static void on_poll(uv_poll_t *poll, int status, int events)
{
    net_pg *pg = poll->data;

    if (pg->state == NET_PG_CONNECTING) {
        connect_step(pg);
        return;
    }
    /* On an error libuv stops the poll; libpq's own reads still find what came before it, then why.
     */
    if (status < 0) {
        pg->poll_events = 0;
    }
    if (status < 0 || (events & UV_READABLE) != 0) {
        net_pg_readable(pg);
    }
    if (poll == pg->poll && (events & UV_WRITABLE) != 0) {
        net_pg_flush(pg);
    }
    if (poll == pg->poll && pg->poll_events == 0) {
        net_pg_watch(pg, UV_READABLE);
    }
}

/* Level-triggered, as PQconsumeInput needs: it does not read until the socket is empty. */
void net_pg_watch(net_pg *pg, int events)
{
    if (pg->poll == NULL) {
        uv_poll_t *poll = calloc(1, sizeof(*poll));

        if (poll == NULL || uv_poll_init(pg->loop, poll, PQsocket(pg->conn)) != 0) {
            free(poll);
            net_pg_broken(pg, "the socket cannot be watched");
            return;
        }
        poll->data = pg;
        pg->poll = poll;
        pg->references++;
    }
    if (events != pg->poll_events) {
        pg->poll_events = events;
        uv_poll_start(pg->poll, events, on_poll);
    }
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer)
{
    net_pg *pg = timer->data;

    if (pg->state == NET_PG_WAITING) {
        net_pg_connect(pg);
    } else {
        net_pg_broken(pg, "timeout while connecting");
    }
}

void net_pg_reconnect_later(net_pg *pg)
{
    pg->state = NET_PG_WAITING;
    uv_timer_start(&pg->timer, on_timer, pg->backoff_ms, 0);
    pg->backoff_ms *= 2;
    if (pg->backoff_ms > NET_PG_BACKOFF_LAST_MS) {
        pg->backoff_ms = NET_PG_BACKOFF_LAST_MS;
    }
}

/* Warnings go to the log, not bare to stderr as libpq does by default. */
static void on_notice(void *owner, const PGresult *result)
{
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    (void)owner;
    log_event(LOG_WARN, "pg.notice", "message", LOG_TEXT(message != NULL ? message : ""), NULL);
}

/*
 * While connecting, libpq may close its socket and open another under the same number, which epoll
 * silently forgets: so the watch ends before each step and is made anew after it.
 */
static void connect_step(net_pg *pg)
{
    PostgresPollingStatusType status;

    net_pg_unwatch(pg);
    status = PQconnectPoll(pg->conn);
    switch (status) {
    case PGRES_POLLING_READING:
        net_pg_watch(pg, UV_READABLE);
        return;
    case PGRES_POLLING_WRITING:
        net_pg_watch(pg, UV_WRITABLE);
        return;
    case PGRES_POLLING_OK:
        break;
    default:
        net_pg_broken(pg, PQerrorMessage(pg->conn));
        return;
    }
    if (PQsetnonblocking(pg->conn, 1) != 0 || PQenterPipelineMode(pg->conn) != 1) {
        net_pg_broken(pg, "no pipeline mode");
        return;
    }
    uv_timer_stop(&pg->timer);
    pg->backoff_ms = NET_PG_BACKOFF_FIRST_MS;
    pg->state = NET_PG_READY;
    net_pg_watch(pg, UV_READABLE);
    if (pg->conn != NULL) {
        net_pg_established(pg);
    }
}

typedef struct {
    const char *keywords[PARAMETERS_MAX + 1];
    const char *values[PARAMETERS_MAX + 1];
    size_t count;
    char password[PASSWORD_MAX];
    char options[OPTIONS_MAX];
} parameters;

static void set_parameter(parameters *list, const char *keyword, const char *value)
{
    if (value != NULL && list->count < PARAMETERS_MAX) {
        list->keywords[list->count] = keyword;
        list->values[list->count] = value;
        list->count++;
    }
}

static bool fill_parameters(const net_pg *pg, const PQconninfoOption *given, parameters *list)
{
    const char *options = option_value(given, "options");
    char error[ERROR_MAX] = "";

    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
        set_parameter(list, defaults[i][0], defaults[i][1]);
    }
    set_parameter(list, "application_name", pg->application_name);
    for (const PQconninfoOption *option = given; option->keyword != NULL; option++) {
        set_parameter(list, option->keyword, option->val);
    }
    snprintf(list->options, sizeof(list->options), "%s %s", session_options,
             options != NULL ? options : "");
    set_parameter(list, "options", list->options);
    if (pg->addresses[0] != '\0') {
        set_parameter(list, "host", pg->hosts);
        set_parameter(list, "hostaddr", pg->addresses);
    }
    if (pg->password_file != NULL) {
        long length = crypto_read_secret(pg->password_file, list->password, sizeof(list->password),
                                         error, sizeof(error));
        if (length < 0) {
            log_event(LOG_ERROR, "pg.password", "error", LOG_TEXT(error), NULL);
            return false;
        }
        list->password[length] = '\0';
        set_parameter(list, "password", list->password);
    }
    return true;
}

static void start_connecting(net_pg *pg, const PQconninfoOption *given)
{
    parameters *list = calloc(1, sizeof(*list));

    pg->state = NET_PG_CONNECTING;
    uv_timer_start(&pg->timer, on_timer, NET_PG_CONNECT_TIMEOUT_MS, 0);
    if (list == NULL || !fill_parameters(pg, given, list)) {
        net_pg_broken(pg, "no password");
        goto done;
    }
    pg->conn = PQconnectStartParams(list->keywords, list->values, 0);
    if (pg->conn == NULL || PQstatus(pg->conn) == CONNECTION_BAD) {
        net_pg_broken(pg, pg->conn != NULL ? PQerrorMessage(pg->conn) : "out of memory");
        goto done;
    }
    PQsetNoticeReceiver(pg->conn, on_notice, pg);
    net_pg_watch(pg, UV_WRITABLE); /* as libpq asks: as if the last poll had said WRITING */
done:
    if (list != NULL) {
        crypto_wipe(list->password, sizeof(list->password));
    }
    free(list);
}

/* ---- resolving ------------------------------------------------------------------------------- */

static bool needs_resolving(const PQconninfoOption *given)
{
    const char *host = option_value(given, "host");
    const char *address = option_value(given, "hostaddr");
    unsigned char binary[16];

    return host != NULL && *host != '\0' && *host != '/' && *host != '@' &&
           strchr(host, ',') == NULL && strlen(host) < NI_MAXHOST / 4 &&
           (address == NULL || *address == '\0') && uv_inet_pton(AF_INET, host, binary) != 0 &&
           uv_inet_pton(AF_INET6, host, binary) != 0;
}

/* "h,h" and "a1,a2": libpq tries each address, and checks the certificate against the name. */
static void keep_addresses(net_pg *pg, const char *host, const struct addrinfo *list)
{
    unsigned count = 0;

    for (; list != NULL && count < NET_PG_ADDRESSES_MAX; list = list->ai_next) {
        char address[48];
        size_t hosts = strlen(pg->hosts), addresses = strlen(pg->addresses);

        if (getnameinfo(list->ai_addr, list->ai_addrlen, address, sizeof(address), NULL, 0,
                        NI_NUMERICHOST) != 0) {
            continue;
        }
        snprintf(pg->hosts + hosts, sizeof(pg->hosts) - hosts, "%s%s", count ? "," : "", host);
        snprintf(pg->addresses + addresses, sizeof(pg->addresses) - addresses, "%s%s",
                 count ? "," : "", address);
        count++;
    }
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    net_pg *pg = request->data;
    char *error = NULL;
    PQconninfoOption *given = pg->closing ? NULL : PQconninfoParse(pg->conninfo, &error);

    if (pg->closing) {
        goto done;
    }
    if (given == NULL || status != 0) {
        net_pg_broken(pg, status != 0 ? uv_strerror(status) : "out of memory");
        goto done;
    }
    keep_addresses(pg, option_value(given, "host"), list);
    start_connecting(pg, given);
done:
    PQfreemem(error);
    PQconninfoFree(given);
    uv_freeaddrinfo(list);
    net_pg_release(pg);
}

void net_pg_connect(net_pg *pg)
{
    char *error = NULL;
    PQconninfoOption *given = PQconninfoParse(pg->conninfo, &error);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    pg->hosts[0] = pg->addresses[0] = '\0';
    if (given == NULL) {
        PQfreemem(error);
        net_pg_broken(pg, "out of memory");
        return;
    }
    if (needs_resolving(given)) {
        pg->state = NET_PG_RESOLVING;
        pg->resolving.data = pg;
        if (uv_getaddrinfo(pg->loop, &pg->resolving, on_resolved, option_value(given, "host"), NULL,
                           &hints) == 0) {
            pg->references++;
        } else {
            net_pg_broken(pg, "the host name cannot be resolved");
        }
    } else {
        start_connecting(pg, given);
    }
    PQconninfoFree(given);
}
