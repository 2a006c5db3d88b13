/*
 * Bot API answers, classified. Source: core.telegram.org/bots/api, "Making requests" and
 * ResponseParameters.
 */
#include "workerd/notify/notify_answer.h"

#include "core/clock.h"
#include "core/json.h"

#include <string.h>

#define NOTIFY_TOKENS_MAX 256
#define NOTIFY_WAIT_MAX_S 60
#define NOTIFY_LIMITED_DEFAULT_S 5
#define NOTIFY_TOKEN_REFUSED_S 60

/* 1, 2, 4 ... 60 s. */
static int64_t notify_backoff_ns(int64_t attempts)
{
    int64_t seconds = attempts > 6 ? NOTIFY_WAIT_MAX_S : (int64_t)1 << (attempts - 1);

    return (seconds < NOTIFY_WAIT_MAX_S ? seconds : NOTIFY_WAIT_MAX_S) * CLOCK_SECOND_NS;
}

static notify_decision notify_later(int64_t attempts, int64_t most, const char *reason)
{
    if (attempts >= most) {
        return (notify_decision){.verdict = NOTIFY_GIVE_UP, .reason = reason};
    }
    return (notify_decision){
        .verdict = NOTIFY_AGAIN, .wait_ns = notify_backoff_ns(attempts), .reason = reason};
}

static notify_decision notify_limited(const net_http_answer *answer, const json_doc *doc)
{
    int64_t seconds = 0;

    if (!json_get_int(doc, json_at(doc, 0, "parameters.retry_after"), &seconds) || seconds <= 0) {
        seconds = answer->retry_after_ns > 0 ? answer->retry_after_ns / CLOCK_SECOND_NS
                                             : NOTIFY_LIMITED_DEFAULT_S;
    }
    return (notify_decision){.verdict = NOTIFY_AGAIN,
                             .wait_ns = seconds * CLOCK_SECOND_NS,
                             .everyone = true,
                             .reason = "limited"};
}

static notify_decision notify_refused(const json_doc *doc)
{
    char description[160] = "";

    (void)json_copy(doc, json_at(doc, 0, "description"), description, sizeof(description));
    if (strstr(description, "can't parse entities") != NULL) {
        return (notify_decision){.verdict = NOTIFY_AGAIN_PLAIN, .reason = "not_parsed"};
    }
    if (strstr(description, "chat not found") != NULL) {
        return (notify_decision){.verdict = NOTIFY_BLOCKED, .reason = "chat_not_found"};
    }
    return (notify_decision){.verdict = NOTIFY_GIVE_UP, .reason = "refused"};
}

notify_decision notify_read_answer(const net_http_answer *answer, int64_t attempts)
{
    jsmntok_t tokens[NOTIFY_TOKENS_MAX];
    json_doc doc;
    bool ok = false;

    if (answer->outcome == NET_HTTP_NOT_SENT) {
        return notify_later(attempts, NOTIFY_ATTEMPTS_MAX, "not_sent");
    }
    if (answer->outcome == NET_HTTP_UNCLEAR) {
        return notify_later(attempts, NOTIFY_UNCLEAR_MAX, "unclear");
    }
    if (json_parse(&doc, answer->body, answer->body_length, tokens, NOTIFY_TOKENS_MAX) != JSON_OK) {
        /* a proxy's page, or a sent message that is larger than we read: the status decides */
        if (answer->status == 200) {
            return (notify_decision){.verdict = NOTIFY_SENT};
        }
        return notify_later(attempts, NOTIFY_ATTEMPTS_MAX, "not_telegram");
    }
    if (answer->status == 200 && json_get_bool(&doc, json_at(&doc, 0, "ok"), &ok) && ok) {
        return (notify_decision){.verdict = NOTIFY_SENT};
    }
    switch (answer->status) {
    case 429:
        return notify_limited(answer, &doc);
    case 403:
        return (notify_decision){.verdict = NOTIFY_BLOCKED, .reason = "blocked"};
    case 401:
    case 404:
        return (notify_decision){.verdict = NOTIFY_AGAIN,
                                 .wait_ns = NOTIFY_TOKEN_REFUSED_S * CLOCK_SECOND_NS,
                                 .everyone = true,
                                 .reason = "token_refused"};
    case 400:
        return notify_refused(&doc);
    default:
        return notify_later(attempts, NOTIFY_ATTEMPTS_MAX, "server_error");
    }
}
