/*
 * One venue call over the wire. See trade_call.h.
 */
#include "workerd/trade/trade_call.h"

#include "core/clock.h"
#include "core/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRADE_SYNC_TIMEOUT_NS (5 * CLOCK_SECOND_NS)
#define TRADE_URL_MAX (sizeof(((config_venue *)0)->rest) + VENUE_URL_MAX)

struct trade_caller {
    const venue_adapter *adapter;
    const config_venue *addresses;
    net_http *http;
    net_sign *sign;
    int64_t receive_window_ns, clock_offset_ns;
    venue_result time; /* of a sync under way */
    bool syncing, synced;
};

/* A call under way. */
typedef struct {
    trade_caller *caller;
    venue_request request;
    trade_call_outcome outcome;
    int64_t timeout_ns, send_before_ns;
    trade_called *done;
    void *owner;
} trade_call_job;

trade_caller *trade_caller_new(const venue_adapter *adapter, const config_venue *addresses,
                               net_http *http, net_sign *sign, int64_t receive_window_ns)
{
    trade_caller *caller = calloc(1, sizeof(*caller));

    if (caller != NULL) {
        *caller = (trade_caller){.adapter = adapter,
                                 .addresses = addresses,
                                 .http = http,
                                 .sign = sign,
                                 .receive_window_ns = receive_window_ns};
    }
    return caller;
}

void trade_caller_free(trade_caller *caller)
{
    free(caller);
}

const venue_adapter *trade_caller_adapter(const trade_caller *caller)
{
    return caller->adapter;
}

void trade_caller_set_clock(trade_caller *caller, int64_t offset_ns)
{
    caller->clock_offset_ns = offset_ns;
}

int64_t trade_caller_now_ns(const trade_caller *caller)
{
    return clock_now_ns() + caller->clock_offset_ns;
}

static void trade_call_end(trade_call_job *job, enum trade_call_end end)
{
    job->outcome.end = end;
    job->done(job->owner, &job->outcome);
    free(job);
}

static void on_answer(void *owner, const net_http_answer *answer)
{
    trade_call_job *job = owner;

    job->outcome.sent_ns = answer->sent_ns;
    job->outcome.answered_ns = answer->answered_ns;
    job->outcome.used_weight = answer->used_weight;
    if (answer->outcome == NET_HTTP_NOT_SENT) {
        trade_call_end(job, TRADE_CALL_NOT_SENT);
        return;
    }
    if (answer->outcome == NET_HTTP_UNCLEAR) {
        trade_call_end(job, TRADE_CALL_UNCLEAR);
        return;
    }
    venue_answer received = {.status = answer->status,
                             .body = answer->body,
                             .body_length = answer->body_length,
                             .retry_after_ns = answer->retry_after_ns};

    job->caller->adapter->parse(&job->request, &received, job->outcome.result);
    trade_call_end(job, TRADE_CALL_ANSWERED);
}

static const char *trade_host(const trade_caller *caller, enum venue_host host)
{
    switch (host) {
    case VENUE_HOST_ACCOUNT:
        return caller->addresses->account;
    case VENUE_HOST_LEADERS:
        return caller->addresses->leaders;
    default:
        return caller->addresses->rest;
    }
}

/* Hands the finished bytes to the HTTP engine. False: nothing was sent and no callback will come.
 */
static bool trade_call_send(trade_call_job *job, const venue_credentials *credentials)
{
    trade_caller *caller = job->caller;
    venue_bytes bytes;
    char url[TRADE_URL_MAX];
    bool sent = false;

    if (caller->adapter->finish(&job->request, credentials, &bytes)) {
        net_http_request request = {
            .method = bytes.method,
            .url = url,
            .body = bytes.body_length > 0 ? bytes.body : NULL,
            .body_length = bytes.body_length,
            .timeout_ns = job->timeout_ns,
            .send_before_ns = job->send_before_ns,
            .done = on_answer,
            .owner = job,
        };
        int length =
            snprintf(url, sizeof(url), "%s%s", trade_host(caller, job->request.host), bytes.target);

        for (size_t i = 0; i < bytes.header_count && i + 1 < NET_HTTP_HEADERS_MAX; i++) {
            request.headers[i] = bytes.headers[i];
        }
        sent = length > 0 && (size_t)length < sizeof(url) && net_http_send(caller->http, &request);
        crypto_wipe(url, sizeof(url));
    }
    crypto_wipe(&bytes, sizeof(bytes));
    return sent;
}

static void on_signed(void *owner, const net_sign_answer *answer)
{
    trade_call_job *job = owner;
    venue_credentials credentials = {.api_key = answer->api_key,
                                     .passphrase = answer->passphrase,
                                     .signature = answer->signature};

    job->outcome.sign_status = answer->status;
    if (answer->status != NET_SIGN_OK) {
        trade_call_end(job, TRADE_CALL_UNSIGNED);
    } else if (!trade_call_send(job, &credentials)) {
        trade_call_end(job, TRADE_CALL_NOT_SENT);
    }
}

static bool trade_call_ask(trade_call_job *job, const trade_call_account *account)
{
    const venue_request *request = &job->request;

    return account != NULL && net_sign_ask(job->caller->sign,
                                           &(net_sign_request){
                                               .op = NET_SIGN_SIGN,
                                               .user_id = account->user_id,
                                               .ref = account->ref,
                                               .secret = account->secret,
                                               .venue = job->caller->adapter->name,
                                               .market = job->caller->adapter->market,
                                               .scheme = request->scheme,
                                               .method = request->method,
                                               .path = request->path,
                                               .text = request->sign_text,
                                               .text_length = request->sign_text_length,
                                           },
                                           on_signed, job);
}

bool trade_call(trade_caller *caller, const trade_call_request *asked)
{
    trade_call_job *job = calloc(1, sizeof(*job));
    venue_call call = asked->call;
    bool taken;

    if (job == NULL) {
        return false;
    }
    *job = (trade_call_job){.caller = caller,
                            .outcome = {.result = asked->result, .used_weight = -1},
                            .timeout_ns = asked->timeout_ns,
                            .send_before_ns = asked->send_before_ns,
                            .done = asked->done,
                            .owner = asked->owner};
    call.market = caller->adapter->market;
    call.time_ns = call.time_ns != 0 ? call.time_ns : trade_caller_now_ns(caller);
    call.receive_window_ns =
        call.receive_window_ns != 0 ? call.receive_window_ns : caller->receive_window_ns;
    taken = caller->adapter->build(&call, &job->request) == VENUE_BUILD_OK;
    if (taken) {
        taken = job->request.scheme == VENUE_UNSIGNED
                    ? trade_call_send(job, &(venue_credentials){.api_key = "", .passphrase = ""})
                    : trade_call_ask(job, asked->account);
    }
    if (!taken) {
        free(job);
    }
    return taken;
}

static void on_time(void *owner, const trade_call_outcome *outcome)
{
    trade_caller *caller = owner;

    caller->syncing = false;
    if (outcome->end == TRADE_CALL_ANSWERED && caller->time.verdict.class_ == VENUE_OK) {
        caller->clock_offset_ns =
            caller->time.server_time_ns - (outcome->sent_ns + outcome->answered_ns) / 2;
        caller->synced = true;
    }
}

bool trade_caller_synced(const trade_caller *caller)
{
    return caller->synced;
}

bool trade_caller_sync(trade_caller *caller)
{
    trade_call_request request = {.call = {.operation = VENUE_OP_SERVER_TIME},
                                  .timeout_ns = TRADE_SYNC_TIMEOUT_NS,
                                  .result = &caller->time,
                                  .done = on_time,
                                  .owner = caller};

    if (caller->syncing) {
        return true;
    }
    caller->syncing = trade_call(caller, &request);
    return caller->syncing;
}
