/*
 * From request to endpoint: the route, the key, the signature and its time, the limits, and the
 * faults on purpose. Binance's order of complaints: key, parameters, time, signature.
 */
#include "workerd/paper/paper_server.h"

#include "core/clock.h"

#include <stdio.h>
#include <string.h>

#define PAPER_WINDOW_DEFAULT 5000
#define PAPER_WINDOW_MAX 60000
#define PAPER_AHEAD_MS 1000 /* a timestamp may be this far ahead of us, not quite */

/* ---- writing ------------------------------------------------------------------------------------
 */

void paper_out_text(paper_call *call, const char *key, const char *text)
{
    json_key(&call->out, key);
    json_string(&call->out, text);
}

void paper_out_dec(paper_call *call, const char *key, dec value)
{
    json_key(&call->out, key);
    json_dec(&call->out, value);
}

void paper_out_fixed(paper_call *call, const char *key, dec value, int places)
{
    char text[DEC_TEXT_MAX + DEC_PLACES + 1];
    dec step = DEC_ONE;
    size_t length, point;

    for (int i = 0; i < places; i++) {
        step.units /= 10;
    }
    (void)dec_to_step(value, step, DEC_HALF_EVEN, &value);
    length = dec_format(value, text);
    point = strcspn(text, ".");
    if (places > 0 && point == length) {
        text[length++] = '.';
    }
    while (places > 0 && length - point - 1 < (size_t)places) {
        text[length++] = '0';
    }
    json_key(&call->out, key);
    json_text(&call->out, text, length);
}

void paper_out_int(paper_call *call, const char *key, int64_t value)
{
    json_key(&call->out, key);
    json_int(&call->out, value);
}

void paper_out_bool(paper_call *call, const char *key, bool value)
{
    json_key(&call->out, key);
    json_bool(&call->out, value);
}

/* ---- what endpoints ask -------------------------------------------------------------------------
 */

uint16_t paper_symbol_index(const paper_server *server, const paper_symbol *symbol)
{
    return (uint16_t)(symbol - server->market.symbols);
}

paper_symbol *paper_call_symbol(paper_call *call, bool *given)
{
    const char *name = paper_param_text(call->params, "symbol");
    paper_symbol *symbol;

    if (given != NULL) {
        *given = name != NULL;
    }
    if (name == NULL) {
        if (given == NULL) {
            paper_refuse(&call->refusal, -1102, "symbol");
        }
        return NULL;
    }
    symbol = paper_market_find(&call->server->market, name, strlen(name));
    if (symbol == NULL) {
        paper_refuse(&call->refusal, -1121, NULL);
    }
    return symbol;
}

bool paper_call_json(paper_call *call, json_doc *doc)
{
    static jsmntok_t tokens[PAPER_LINE_TOKENS]; /* one thread serves; a body is read at once */

    return json_parse(doc, call->http->body, call->http->body_length, tokens, PAPER_LINE_TOKENS) ==
               JSON_OK ||
           paper_call_refuse(call, 400, "the body is not JSON, or too large");
}

bool paper_call_refuse(paper_call *call, int status, const char *text)
{
    call->refusal = (paper_refusal){.code = -1, .status = status};
    snprintf(call->refusal.text, sizeof(call->refusal.text), "%s", text);
    return false;
}

/* ---- who asks -----------------------------------------------------------------------------------
 */

static bool paper_check_key(paper_call *call)
{
    const char *key = call->http->key;

    if (key == NULL || strlen(key) != PAPER_KEY_LENGTH ||
        strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") !=
            PAPER_KEY_LENGTH) {
        return paper_refuse(&call->refusal, -2014, NULL);
    }
    call->account = paper_account_by_key(call->server->exchange, key, PAPER_KEY_LENGTH);
    if (call->account == PAPER_NO_ACCOUNT) {
        return paper_refuse(&call->refusal, -2015, NULL);
    }
    return true;
}

static bool paper_check_window(paper_call *call)
{
    int64_t timestamp = 0, window = PAPER_WINDOW_DEFAULT;
    bool given;

    if (!paper_param_int(call->params, "timestamp", &timestamp, NULL, &call->refusal) ||
        !paper_param_int(call->params, "recvWindow", &window, &given, &call->refusal)) {
        return false;
    }
    if (window < 0 || window > PAPER_WINDOW_MAX) {
        return paper_refuse(&call->refusal, -1130, "recvWindow");
    }
    if (timestamp >= call->now_ms + PAPER_AHEAD_MS) {
        return paper_refuse(&call->refusal, -1021, "was 1000ms ahead of the server's time.");
    }
    if (call->now_ms - timestamp > window) {
        /* Held on the way to the matching engine: it has its own words for the same. */
        return call->http->held
                   ? paper_refuse(&call->refusal, -5028, NULL)
                   : paper_refuse(&call->refusal, -1021, "is outside of the recvWindow.");
    }
    return true;
}

static bool paper_check_signature(paper_call *call)
{
    const paper_params *params = call->params;
    const char *secret = call->server->exchange->accounts[call->account].secret;
    crypto_mac **mac = &call->server->macs[call->account];
    uint8_t wanted[CRYPTO_SHA256_SIZE], given[CRYPTO_SHA256_SIZE];

    if (params->signature == NULL || params->signature[0] == '\0') {
        return paper_refuse(&call->refusal, -1102, "signature");
    }
    if (*mac == NULL) {
        *mac = crypto_mac_new(secret, strlen(secret));
    }
    if (*mac == NULL ||
        !crypto_mac_compute(*mac, params->signed_text, params->signed_length, wanted)) {
        return paper_refuse(&call->refusal, -1008, NULL);
    }
    if (crypto_unhex(params->signature, strlen(params->signature), given, sizeof(given)) !=
            CRYPTO_SHA256_SIZE ||
        !crypto_equal(wanted, given, sizeof(wanted))) {
        return paper_refuse(&call->refusal, -1022, NULL);
    }
    return true;
}

/* Everything that is checked before an endpoint sees the request. */
static bool paper_check_access(paper_call *call, const paper_route *route)
{
    const paper_http_call *http = call->http;
    paper_params *params = &call->server->params;
    bool body = http->form && http->body_length > 0;
    char number[16];

    if (route->access == PAPER_ADMIN) {
        return http->loopback || paper_call_refuse(call, 403, "from this machine only");
    }
    if (route->access != PAPER_OPEN_ACCESS && !paper_check_key(call)) {
        return false;
    }
    if (!paper_params_read(params, http->query, http->query_length, body ? http->body : "",
                           body ? http->body_length : 0)) {
        return paper_refuse(&call->refusal, -1130, "parameters");
    }
    call->params = params;
    if (params->too_many) {
        snprintf(number, sizeof(number), "%d", PAPER_PARAMS_MAX);
        return paper_refuse(&call->refusal, -1104, number);
    }
    if (params->twice != NULL) {
        return paper_refuse(&call->refusal, -1101, params->twice);
    }
    return route->access != PAPER_SIGNED ||
           (paper_check_window(call) && paper_check_signature(call));
}

/* ---- limits -------------------------------------------------------------------------------------
 */

static bool paper_count_weight(paper_call *call, int weight, paper_http_answer *answer)
{
    paper_server *server = call->server;
    char number[24];

    if (server->weight_window != call->now_ms / 60000) {
        server->weight_window = call->now_ms / 60000;
        server->weight_used = 0;
    }
    server->weight_used += weight;
    paper_http_header(answer, "X-MBX-USED-WEIGHT-1M", server->weight_used);
    if (server->weight_limit == 0 || server->weight_used <= server->weight_limit) {
        return true;
    }
    paper_http_header(answer, "Retry-After", 60 - call->now_ms / 1000 % 60);
    snprintf(number, sizeof(number), "%lld", (long long)server->weight_limit);
    return paper_refuse(&call->refusal, -1003, number);
}

static bool paper_count_order(paper_call *call, paper_http_answer *answer)
{
    paper_server *server = call->server;
    paper_account *account = &server->exchange->accounts[call->account];

    if (account->window_10s != call->now_ms / 10000) {
        account->window_10s = call->now_ms / 10000;
        account->count_10s = 0;
    }
    if (account->window_1m != call->now_ms / 60000) {
        account->window_1m = call->now_ms / 60000;
        account->count_1m = 0;
    }
    account->count_10s++;
    account->count_1m++;
    paper_http_header(answer, "X-MBX-ORDER-COUNT-10S", account->count_10s);
    paper_http_header(answer, "X-MBX-ORDER-COUNT-1M", account->count_1m);
    if (server->order_limit_10s > 0 && account->count_10s > server->order_limit_10s) {
        return paper_refuse(&call->refusal, -1015, "orders per 10 SECOND");
    }
    if (server->order_limit_1m > 0 && account->count_1m > server->order_limit_1m) {
        return paper_refuse(&call->refusal, -1015, "orders per 1 MINUTE");
    }
    return true;
}

/* ---- serving ------------------------------------------------------------------------------------
 */

static const paper_route *paper_route_find(paper_call *call)
{
    const char *path = call->http->path;

    for (size_t i = 0; i < paper_route_count; i++) {
        const paper_route *route = &paper_routes[i];
        size_t length = strlen(route->path);
        bool prefix = route->path[length - 1] == '/';

        if (strcmp(route->method, call->http->method) == 0 &&
            (prefix ? strncmp(path, route->path, length) == 0 : strcmp(path, route->path) == 0)) {
            call->rest = path + length;
            return route;
        }
    }
    return NULL;
}

/* Before acceptance: the faults that keep a request from the exchange. True: it goes no further. */
static bool paper_fault_before(paper_call *call, enum paper_fault fault, paper_http_answer *answer)
{
    switch (fault) {
    case PAPER_FAULT_HELD:
        answer->action = PAPER_HOLD;
        answer->delay_ms = call->server->faults.held_ms;
        return true;
    case PAPER_FAULT_NEVER:
        answer->action = PAPER_NEVER;
        return true;
    case PAPER_FAULT_ERROR:
        paper_refuse(&call->refusal, -1008, NULL);
        return true;
    default:
        return false;
    }
}

/* After acceptance: the faults that spoil the answer. */
static void paper_fault_after(paper_call *call, enum paper_fault fault, paper_http_answer *answer)
{
    switch (fault) {
    case PAPER_FAULT_LATE:
        answer->action = PAPER_LATE;
        answer->delay_ms = call->server->faults.late_ms;
        break;
    case PAPER_FAULT_DROP:
        answer->action = PAPER_DROP;
        break;
    case PAPER_FAULT_ERROR_AFTER:
        paper_refuse(&call->refusal, -1007, NULL);
        call->refusal.status = 503;
        break;
    default:
        break;
    }
}

static void paper_run_route(paper_call *call, const paper_route *route, paper_http_answer *answer)
{
    bool faulty = !call->http->held &&
                  (route->places || (call->server->faults.all && route->access == PAPER_SIGNED));
    enum paper_fault fault = faulty ? paper_faults_draw(&call->server->faults) : PAPER_FAULT_NONE;

    if (paper_fault_before(call, fault, answer)) {
        return;
    }
    if (!paper_check_access(call, route) ||
        (route->access != PAPER_ADMIN && !paper_count_weight(call, route->weight, answer)) ||
        (route->places && !paper_count_order(call, answer))) {
        fault = PAPER_FAULT_NONE; /* there is nothing that was accepted */
    } else {
        (void)route->endpoint(call);
    }
    paper_fault_after(call, fault, answer);
}

static void paper_write_refusal(paper_call *call, paper_http_answer *answer)
{
    json_begin(&call->out, answer->body, PAPER_ANSWER_MAX);
    json_object(&call->out);
    paper_out_int(call, "code", call->refusal.code);
    paper_out_text(call, "msg", call->refusal.text);
    json_object_end(&call->out);
    answer->status = call->refusal.status;
}

void paper_api_serve(void *owner, const paper_http_call *http, paper_http_answer *answer)
{
    paper_server *server = owner;
    paper_call call = {.server = server,
                       .http = http,
                       .account = PAPER_NO_ACCOUNT,
                       .now_ms = clock_now_ns() / CLOCK_MS_NS,
                       .status = 200};
    const paper_route *route = paper_route_find(&call);
    char text[PAPER_REFUSAL_TEXT_MAX];

    json_begin(&call.out, answer->body, PAPER_ANSWER_MAX);
    if (route == NULL) {
        snprintf(text, sizeof(text), "%.100s, Method %.10s", http->path, http->method);
        paper_refuse(&call.refusal, -5000, text);
    } else {
        paper_run_route(&call, route, answer);
    }
    answer->status = call.status;
    if (call.refusal.code != 0) {
        paper_write_refusal(&call, answer);
    }
    if (answer->action == PAPER_ANSWER || answer->action == PAPER_LATE) {
        if (!json_finish(&call.out)) {
            paper_refuse(&call.refusal, -1000, NULL);
            paper_write_refusal(&call, answer);
            (void)json_finish(&call.out);
        }
        answer->length = call.out.length;
    }
}
