/*
 * The role that tells users: claims due notifications, sends them as Telegram messages, writes what
 * became of each.
 *
 * Promises: several of one user become one message; a crash between the send and its mark sends
 * again when the lease ends (told twice beats not told); 429's retry_after is obeyed for all chats;
 * a user who blocked the bot is left alone; the token is in no log line. Trading never waits for
 * any of it: the rows were committed by others.
 */
#include "core/clock.h"
#include "core/crypto.h"
#include "core/json.h"
#include "core/log.h"
#include "queries.h"
#include "workerd/net/net_http.h"
#include "workerd/net/net_loop.h"
#include "workerd/net/net_pg.h"
#include "workerd/notify/notify_answer.h"
#include "workerd/notify/notify_limit.h"
#include "workerd/notify/notify_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTIFY_POLL_MS 250
#define NOTIFY_LEASE_S 30
#define NOTIFY_CLAIM_MAX 16    /* rows at once: what the pace lets out in a quarter of a second */
#define NOTIFY_ROWS_MAX 12     /* notifications in one message */
#define NOTIFY_MESSAGES_MAX 32 /* on their way at once */
#define NOTIFY_TIMEOUT_NS (10 * CLOCK_SECOND_NS)
#define NOTIFY_TOKEN_MAX 128
#define NOTIFY_BODY_MAX (2 * NOTIFY_MESSAGE_MAX + 256)

typedef struct notify_role notify_role;

typedef struct {
    notify_role *role;
    bool used;
    int64_t user_id, chat, attempts;
    int64_t ids[NOTIFY_ROWS_MAX];
    size_t count;
    bool plain;
    char text[NOTIFY_MESSAGE_MAX + 1];
} notify_message;

struct notify_role {
    const role_context *context;
    net_loop *loop;
    shm_process *process;
    net_pg *pg;
    net_http *http;
    uv_timer_t poll;
    notify_limit limit;
    notify_message messages[NOTIFY_MESSAGES_MAX];
    unsigned busy;
    bool claiming, more, stopping;
    char owner[CONFIG_TEXT_MAX + 32];
    char *token; /* locked memory */
};

static void notify_claim(notify_role *role);

/* ---- writing down what became of a message
 * -------------------------------------------------------- */

static void on_finished(void *owner, const net_pg_answer *answer)
{
    (void)owner;
    if (answer->outcome != NET_PG_DONE) { /* the lease ends, and they are sent again */
        log_event(LOG_WARN, "notify.not_marked", "message",
                  LOG_TEXT(answer->message == NULL ? "" : answer->message), NULL);
    }
}

/* `state` PENDING gives the rows back, to be tried at `again_ns`. */
static void notify_finish(notify_message *message, const char *state, const char *reason,
                          int64_t again_ns)
{
    notify_role *role = message->role;
    net_pg_unit *unit = net_pg_unit_new(true);

    net_pg_statement(unit, query_notify_finish);
    net_pg_array(unit);
    for (size_t i = 0; i < message->count; i++) {
        net_pg_push_int(unit, message->user_id);
    }
    net_pg_array(unit);
    for (size_t i = 0; i < message->count; i++) {
        net_pg_push_int(unit, message->ids[i]);
    }
    net_pg_array(unit);
    for (size_t i = 0; i < message->count; i++) {
        net_pg_push_text(unit, state);
    }
    net_pg_array(unit);
    for (size_t i = 0; i < message->count; i++) {
        net_pg_push_text(unit, reason);
    }
    net_pg_array(unit);
    for (size_t i = 0; i < message->count; i++) {
        net_pg_push_time(unit, again_ns);
    }
    if (reason != NULL && strcmp(reason, "blocked") == 0) {
        net_pg_statement(unit, query_notify_blocked);
        net_pg_int(unit, message->user_id);
    }
    if (!net_pg_run(role->pg, unit, on_finished, role)) {
        log_event(LOG_WARN, "notify.not_marked", "message", LOG_TEXT("queue full"), NULL);
    }
    message->used = false;
    role->busy--;
    if (role->stopping && role->busy == 0) {
        net_pg_close(role->pg);
        net_http_close(role->http);
        net_loop_stop(role->loop, EXIT_SUCCESS);
    }
}

/* ---- sending
 * ------------------------------------------------------------------------------------------ */

static bool notify_send(notify_message *message);

static void on_answer(void *owner, const net_http_answer *answer)
{
    notify_message *message = owner;
    notify_role *role = message->role;
    notify_decision decision = notify_read_answer(answer, message->attempts);
    int64_t now = clock_now_ns();

    if (decision.everyone) {
        shm_count(role->process, SHM_notify_limited_total, 1);
        notify_limit_pause(&role->limit, clock_monotonic_ns(), decision.wait_ns);
        log_event(LOG_WARN, "notify.limited", "reason", LOG_TEXT(decision.reason), "wait_ms",
                  LOG_INT(decision.wait_ns / CLOCK_MS_NS), NULL);
    }
    switch (decision.verdict) {
    case NOTIFY_SENT:
        shm_count(role->process, SHM_notify_sent_total, 1);
        notify_finish(message, "SENT", NULL, 0);
        break;
    case NOTIFY_AGAIN:
        notify_finish(message, "PENDING", decision.reason, now + decision.wait_ns);
        break;
    case NOTIFY_AGAIN_PLAIN:
        if (message->plain || !(message->plain = true, notify_send(message))) {
            notify_finish(message, "FAILED", decision.reason, 0);
        }
        break;
    default:
        shm_count(role->process, SHM_notify_failed_total, message->count);
        log_event(LOG_WARN, "notify.gave_up", "user_id", LOG_INT(message->user_id), "reason",
                  LOG_TEXT(decision.reason), NULL);
        notify_finish(message, "FAILED",
                      decision.verdict == NOTIFY_BLOCKED ? "blocked" : decision.reason, 0);
        break;
    }
    if (role->more) {
        notify_claim(role);
    }
}

static bool notify_send(notify_message *message)
{
    notify_role *role = message->role;
    char url[CONFIG_TEXT_MAX + NOTIFY_TOKEN_MAX + 32], body[NOTIFY_BODY_MAX];
    char plain[NOTIFY_MESSAGE_MAX + 1];
    json_writer writer;

    snprintf(url, sizeof(url), "%s/bot%s/sendMessage", role->context->config->telegram_url,
             role->token);
    json_begin(&writer, body, sizeof(body));
    json_object(&writer);
    json_key(&writer, "chat_id");
    json_int(&writer, message->chat);
    json_key(&writer, "text");
    if (message->plain) {
        notify_plain(message->text, plain, sizeof(plain));
        json_string(&writer, plain);
    } else {
        json_string(&writer, message->text);
        json_key(&writer, "parse_mode");
        json_string(&writer, "HTML");
    }
    json_object_end(&writer);

    bool sent = json_finish(&writer) &&
                net_http_send(role->http, &(net_http_request){
                                              .method = "POST",
                                              .url = url,
                                              .headers = {"Content-Type: application/json"},
                                              .body = body,
                                              .body_length = writer.length,
                                              .timeout_ns = NOTIFY_TIMEOUT_NS,
                                              .done = on_answer,
                                              .owner = message,
                                          });
    crypto_wipe(url, sizeof(url));
    return sent;
}

static void notify_dispatch(notify_message *message)
{
    notify_role *role = message->role;
    int64_t wait = notify_limit_take(&role->limit, message->chat, clock_monotonic_ns());

    if (wait > 0) { /* not its turn: given back, no attempt lost but the count */
        notify_finish(message, "PENDING", NULL, clock_now_ns() + wait);
    } else if (!notify_send(message)) {
        notify_finish(message, "PENDING", "not_sent", clock_now_ns() + CLOCK_SECOND_NS);
    }
}

/* ---- claiming
 * ----------------------------------------------------------------------------------------- */

/* Columns of queries/notify/claim.sql, in order. */
enum {
    COLUMN_USER,
    COLUMN_ID,
    COLUMN_KIND,
    COLUMN_ATTEMPTS,
    COLUMN_TELEGRAM,
    COLUMN_BLOCKED,
    COLUMN_SIDE,
    COLUMN_REDUCE_ONLY,
    COLUMN_LEVERAGE,
    COLUMN_QUANTITY,
    COLUMN_PRICE,
    COLUMN_PNL,
    COLUMN_TRADE_REASON,
    COLUMN_NATIVE,
    COLUMN_QUOTE,
    COLUMN_WHALE,
    COLUMN_POSITION_STATE,
    COLUMN_VENUE,
    COLUMN_LABEL,
    COLUMN_ACCOUNT_STATE,
    COLUMN_ACCOUNT_REASON,
};

static notify_facts notify_row(const PGresult *rows, int row)
{
    notify_facts facts = {
        .kind = net_pg_value(rows, row, COLUMN_KIND),
        .symbol = net_pg_value(rows, row, COLUMN_NATIVE),
        .quote_asset = net_pg_value(rows, row, COLUMN_QUOTE),
        .whale = net_pg_value(rows, row, COLUMN_WHALE),
        .side = net_pg_value(rows, row, COLUMN_SIDE),
        .trade_reason = net_pg_value(rows, row, COLUMN_TRADE_REASON),
        .position_state = net_pg_value(rows, row, COLUMN_POSITION_STATE),
        .venue = net_pg_value(rows, row, COLUMN_VENUE),
        .label = net_pg_value(rows, row, COLUMN_LABEL),
        .account_state = net_pg_value(rows, row, COLUMN_ACCOUNT_STATE),
        .account_reason = net_pg_value(rows, row, COLUMN_ACCOUNT_REASON),
    };

    (void)net_pg_get_bool(rows, row, COLUMN_REDUCE_ONLY, &facts.reduce_only);
    (void)net_pg_get_int(rows, row, COLUMN_LEVERAGE, &facts.leverage);
    (void)net_pg_get_dec(rows, row, COLUMN_QUANTITY, &facts.quantity);
    (void)net_pg_get_dec(rows, row, COLUMN_PRICE, &facts.price);
    (void)net_pg_get_dec(rows, row, COLUMN_PNL, &facts.realised_pnl);
    return facts;
}

static notify_message *notify_free_message(notify_role *role)
{
    for (size_t i = 0; i < NOTIFY_MESSAGES_MAX; i++) {
        if (!role->messages[i].used) {
            return &role->messages[i];
        }
    }
    return NULL;
}

/* Rows [row, ...) of one user into one message; returns how many it took. */
static int notify_compose(notify_message *message, const PGresult *rows, int row)
{
    char sentence[NOTIFY_SENTENCE_MAX];
    size_t length = 0;
    int taken = 0;

    (void)net_pg_get_int(rows, row, COLUMN_USER, &message->user_id);
    (void)net_pg_get_int(rows, row, COLUMN_TELEGRAM, &message->chat);
    for (; row + taken < PQntuples(rows) && taken < NOTIFY_ROWS_MAX; taken++) {
        int64_t user_id = 0, attempts = 0;
        notify_facts facts = notify_row(rows, row + taken);
        size_t size = notify_sentence(&facts, sentence, sizeof(sentence));

        (void)net_pg_get_int(rows, row + taken, COLUMN_USER, &user_id);
        (void)net_pg_get_int(rows, row + taken, COLUMN_ATTEMPTS, &attempts);
        if (user_id != message->user_id || length + size + 1 > NOTIFY_MESSAGE_MAX) {
            break;
        }
        (void)net_pg_get_int(rows, row + taken, COLUMN_ID, &message->ids[taken]);
        message->attempts = attempts > message->attempts ? attempts : message->attempts;
        if (length > 0) {
            message->text[length++] = '\n';
        }
        memcpy(message->text + length, sentence, size + 1);
        length += size;
    }
    message->count = (size_t)taken;
    return taken;
}

static void on_claimed(void *owner, const net_pg_answer *answer)
{
    notify_role *role = owner;

    role->claiming = false;
    if (answer->outcome != NET_PG_DONE) {
        return;
    }
    const PGresult *rows = answer->results[0];
    int count = PQntuples(rows), row = 0;

    role->more = count == NOTIFY_CLAIM_MAX;
    while (row < count) {
        notify_message *message = notify_free_message(role);
        bool blocked = false;

        if (message == NULL) { /* the rest keeps its lease and comes back */
            role->more = true;
            break;
        }
        *message = (notify_message){.role = role, .used = true};
        role->busy++;
        (void)net_pg_get_bool(rows, row, COLUMN_BLOCKED, &blocked);
        row += notify_compose(message, rows, row);
        if (blocked) {
            notify_finish(message, "FAILED", "blocked", 0);
        } else {
            notify_dispatch(message);
        }
    }
}

static void notify_claim(notify_role *role)
{
    if (role->claiming || role->stopping || !net_pg_connected(role->pg) ||
        role->busy >= NOTIFY_MESSAGES_MAX || role->limit.paused_until_ns > clock_monotonic_ns()) {
        return;
    }
    net_pg_unit *unit = net_pg_unit_new(true);

    net_pg_statement(unit, query_notify_claim);
    net_pg_text(unit, role->owner);
    net_pg_int(unit, NOTIFY_LEASE_S);
    net_pg_int(unit, NOTIFY_CLAIM_MAX);
    role->claiming = net_pg_run(role->pg, unit, on_claimed, role);
}

/* ---- life
 * -----------------------------------------------------------------------------------------------
 */

static void on_poll(uv_timer_t *timer)
{
    notify_claim(timer->data);
}

static void on_notified(void *owner, const char *channel, const char *payload)
{
    (void)channel;
    (void)payload;
    notify_claim(owner);
}

static void on_stopping(void *owner)
{
    notify_role *role = owner;

    role->stopping = true;
    uv_close((uv_handle_t *)&role->poll, NULL);
    if (role->busy == 0) {
        net_pg_close(role->pg);
        net_http_close(role->http);
        net_loop_stop(role->loop, EXIT_SUCCESS);
    }
}

static bool notify_start(notify_role *role)
{
    static const char *const channels[] = {"whale_notifications", NULL};
    const whale_config *config = role->context->config;
    char error[256];

    role->token = crypto_secret_alloc(NOTIFY_TOKEN_MAX);
    if (role->token == NULL || crypto_read_secret(config->bot_token_file, role->token,
                                                  NOTIFY_TOKEN_MAX, error, sizeof(error)) < 0) {
        log_event(LOG_ERROR, "notify.no_token", "reason", LOG_TEXT(error), NULL);
        return false;
    }
    snprintf(role->owner, sizeof(role->owner), "%s/notify/%" PRId64, config->host_name,
             clock_monotonic_ns());
    role->http = net_http_new(
        net_loop_uv(role->loop),
        &(net_http_options){.connections = 8, .queue = NOTIFY_MESSAGES_MAX, .user_agent = "whale"},
        role->process);
    role->pg = net_pg_new(net_loop_uv(role->loop),
                          &(net_pg_options){.conninfo = config->database,
                                            .password_file = config->database_password_file,
                                            .application_name = "whale notify",
                                            .listen = channels,
                                            .notified = on_notified,
                                            .owner = role});
    return role->http != NULL && role->pg != NULL;
}

int notify_role_run(const role_context *context)
{
    notify_role *role = calloc(1, sizeof(*role));
    int status = EXIT_FAILURE;

    if (role == NULL) {
        return status;
    }
    role->context = context;
    role->loop = net_loop_new(context, SHM_ROLE_NOTIFY, on_stopping, role);
    if (role->loop == NULL) {
        free(role);
        return status;
    }
    role->process = net_loop_process(role->loop);
    if (notify_start(role)) {
        uv_timer_init(net_loop_uv(role->loop), &role->poll);
        role->poll.data = role;
        uv_timer_start(&role->poll, on_poll, NOTIFY_POLL_MS, NOTIFY_POLL_MS);
        status = net_loop_run(role->loop);
        net_http_free(role->http);
    }
    crypto_secret_free(role->token);
    net_loop_free(role->loop);
    free(role);
    return status;
}
