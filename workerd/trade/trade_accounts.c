/*
 * Looks at exchange accounts. See trade_accounts.h.
 *
 * A look is a chain of steps, each begun by the answer to the one before:
 * rewrap (new keys only), permissions, position mode, balance, verdict.
 */
#include "workerd/trade/trade_accounts.h"

#include "core/clock.h"
#include "core/crypto.h"
#include "core/log.h"
#include "queries.h"

#include <stdlib.h>
#include <string.h>

#define TRADE_LOOK_TIMEOUT_NS (10 * CLOCK_SECOND_NS)
#define TRADE_LOOK_LATER_S 10
#define TRADE_LOOK_BALANCES 64

typedef struct {
    trade_accounts *accounts;
    bool used, is_new;
    int64_t user_id, id;
    char ref[NET_SIGN_REF_MAX], secret[NET_SIGN_SECRET_MAX];
    uint8_t sealed[NET_SIGN_SEALED_MAX];
    size_t sealed_length;
    trade_caller *caller;
    venue_result result;
    venue_permissions permissions;
    venue_balance balances[TRADE_LOOK_BALANCES];
    enum venue_position_mode mode;
    dec wallet;
    int64_t wallet_asked_ns;
} trade_look;

struct trade_accounts {
    net_pg *pg;
    net_sign *sign;
    trade_caller_of *caller_of;
    void *owner;
    trade_look looks[TRADE_ACCOUNTS_BUSY_MAX];
    unsigned busy, known;
    bool claiming, stopped;
};

/* Columns of queries/trade/account_due.sql, in order. */
enum {
    COLUMN_USER,
    COLUMN_ID,
    COLUMN_REF,
    COLUMN_VENUE,
    COLUMN_MARKET,
    COLUMN_STATE,
    COLUMN_SEALED,
    COLUMN_SECRET,
};

/* The asset that a market's funds are in, for now one a market. */
static const char *trade_settle_asset(enum venue_market market)
{
    return market == VENUE_COINM ? "BTC" : "USDT";
}

/* ---- the end of a look
 * ------------------------------------------------------------------------------ */

static void on_written(void *owner, const net_pg_answer *answer)
{
    trade_look *look = owner;
    trade_accounts *accounts = look->accounts;

    if (answer->outcome != NET_PG_DONE) { /* its minute ends, and it is looked at again */
        log_event(LOG_WARN, "account.not_written", "user_id", LOG_INT(look->user_id), "message",
                  LOG_TEXT(answer->message == NULL ? "" : answer->message), NULL);
    }
    accounts->busy--;
    accounts->known -= !look->is_new;
    crypto_wipe(look, sizeof(*look));
    trade_accounts_poll(accounts);
}

static void trade_look_write(trade_look *look, net_pg_unit *unit)
{
    if (!net_pg_run(look->accounts->pg, unit, on_written, look)) {
        on_written(look, &(net_pg_answer){.outcome = NET_PG_NOT_SENT, .message = "queue full"});
    }
}

static void trade_look_later(trade_look *look, const char *step)
{
    net_pg_unit *unit = net_pg_unit_new(true);

    log_event(LOG_WARN, "account.later", "user_id", LOG_INT(look->user_id), "step", LOG_TEXT(step),
              "class", LOG_TEXT(venue_class_name(look->result.verdict.class_)), "code",
              LOG_INT(look->result.verdict.code), NULL);
    net_pg_statement(unit, query_trade_account_later);
    net_pg_int(unit, look->user_id);
    net_pg_int(unit, look->id);
    net_pg_int(unit, TRADE_LOOK_LATER_S);
    trade_look_write(look, unit);
}

static void trade_look_verdict(trade_look *look, enum whale_error reason)
{
    const char *state = reason == ERROR_NONE ? "ACTIVE" : look->is_new ? "REFUSED" : "DISABLED";
    net_pg_unit *unit = net_pg_unit_new(true);

    log_event(LOG_INFO, "account.verdict", "user_id", LOG_INT(look->user_id), "account_id",
              LOG_INT(look->id), "state", LOG_TEXT(state), "reason", LOG_TEXT(error_code(reason)),
              NULL);
    net_pg_statement(unit, query_trade_account_lock);
    net_pg_int(unit, look->user_id);
    net_pg_statement(unit, query_trade_account_verdict);
    net_pg_int(unit, look->user_id);
    net_pg_int(unit, look->id);
    net_pg_text(unit, state);
    net_pg_text(unit, reason == ERROR_NONE ? NULL : error_code(reason));
    net_pg_bool(unit, look->permissions.can_spot);
    net_pg_bool(unit, look->permissions.can_futures);
    net_pg_text(unit, look->mode == VENUE_HEDGE ? "HEDGE" : "ONE_WAY");
    if (reason == ERROR_NONE) {
        net_pg_dec(unit, look->wallet);
    } else {
        net_pg_text(unit, NULL);
    }
    net_pg_int(unit, TRADE_ACCOUNTS_RECHECK_S + look->id % (TRADE_ACCOUNTS_RECHECK_S / 10));
    if (reason == ERROR_NONE) {
        net_pg_statement(unit, query_trade_account_adjust);
        net_pg_int(unit, look->user_id);
        net_pg_int(unit, look->id);
        net_pg_text(unit, trade_settle_asset(trade_caller_adapter(look->caller)->market));
        net_pg_dec(unit, look->wallet);
        net_pg_time(unit, look->wallet_asked_ns);
    }
    trade_look_write(look, unit);
}

/* ---- the steps
 * ---------------------------------------------------------------------------------------- */

static void trade_look_ask(trade_look *look, enum venue_operation operation, trade_called *done)
{
    trade_call_account account = {
        .user_id = look->user_id, .ref = look->ref, .secret = look->secret};
    trade_call_request request = {.call = {.operation = operation},
                                  .account = &account,
                                  .timeout_ns = TRADE_LOOK_TIMEOUT_NS,
                                  .result = &look->result,
                                  .done = done,
                                  .owner = look};

    if (!trade_call(look->caller, &request)) {
        trade_look_later(look, "busy");
    }
}

/* True where the answer holds values; otherwise the look was ended here. */
static bool trade_look_answered(trade_look *look, const trade_call_outcome *outcome,
                                const char *step)
{
    if (outcome->end == TRADE_CALL_UNSIGNED && outcome->sign_status == NET_SIGN_UNREADABLE) {
        trade_look_verdict(look, ERROR_KEY_UNREADABLE);
        return false;
    }
    if (outcome->end == TRADE_CALL_ANSWERED && look->result.verdict.class_ == VENUE_OK) {
        return true;
    }
    if (outcome->end == TRADE_CALL_ANSWERED && look->result.verdict.class_ == VENUE_ACCOUNT) {
        trade_look_verdict(look, look->result.verdict.reason == ERROR_NONE
                                     ? ERROR_KEY_REJECTED
                                     : look->result.verdict.reason);
        return false;
    }
    trade_look_later(look, step);
    return false;
}

static void on_balances(void *owner, const trade_call_outcome *outcome)
{
    trade_look *look = owner;

    if (!trade_look_answered(look, outcome, "balances")) {
        return;
    }
    if (look->result.truncated) {
        trade_look_later(look, "balances");
        return;
    }
    const char *asset = trade_settle_asset(trade_caller_adapter(look->caller)->market);

    look->wallet = DEC_ZERO;
    for (size_t i = 0; i < look->result.count; i++) {
        if (strcmp(look->balances[i].asset, asset) == 0) {
            look->wallet = look->balances[i].wallet;
        }
    }
    trade_look_verdict(look, ERROR_NONE);
}

static void on_mode(void *owner, const trade_call_outcome *outcome)
{
    trade_look *look = owner;

    if (!trade_look_answered(look, outcome, "position_mode")) {
        return;
    }
    look->mode = look->result.position_mode;
    if (look->mode == VENUE_HEDGE) {
        trade_look_verdict(look, ERROR_HEDGE_MODE_UNSUPPORTED);
        return;
    }
    look->result.balances = look->balances;
    look->result.capacity = TRADE_LOOK_BALANCES;
    look->wallet_asked_ns = clock_now_ns();
    trade_look_ask(look, VENUE_OP_BALANCES, on_balances);
}

static void on_permissions(void *owner, const trade_call_outcome *outcome)
{
    trade_look *look = owner;

    if (!trade_look_answered(look, outcome, "permissions")) {
        return;
    }
    if (look->permissions.can_withdraw) {
        trade_look_verdict(look, ERROR_KEY_CAN_WITHDRAW);
    } else if (!look->permissions.can_futures) {
        trade_look_verdict(look, ERROR_KEY_REJECTED);
    } else {
        trade_look_ask(look, VENUE_OP_POSITION_MODE, on_mode);
    }
}

static void trade_look_begin(trade_look *look)
{
    look->result.permissions = &look->permissions;
    look->result.capacity = 1;
    trade_look_ask(look, VENUE_OP_KEY_PERMISSIONS, on_permissions);
}

static void on_stored(void *owner, const net_pg_answer *answer)
{
    trade_look *look = owner;

    if (answer->outcome != NET_PG_DONE) {
        on_written(look, answer);
        return;
    }
    trade_look_begin(look);
}

static void on_wrapped(void *owner, const net_sign_answer *answer)
{
    trade_look *look = owner;

    if (answer->status == NET_SIGN_UNREADABLE || answer->status == NET_SIGN_MALFORMED) {
        trade_look_verdict(look, ERROR_KEY_UNREADABLE);
        return;
    }
    if (answer->status != NET_SIGN_OK || strlen(answer->secret) >= sizeof(look->secret)) {
        trade_look_later(look, "rewrap");
        return;
    }
    strcpy(look->secret, answer->secret);

    net_pg_unit *unit = net_pg_unit_new(true);

    net_pg_statement(unit, query_trade_account_wrapped);
    net_pg_int(unit, look->user_id);
    net_pg_int(unit, look->id);
    net_pg_text(unit, look->secret);
    net_pg_int(unit, answer->key_id);
    if (!net_pg_run(look->accounts->pg, unit, on_stored, look)) {
        on_written(look, &(net_pg_answer){.outcome = NET_PG_NOT_SENT, .message = "queue full"});
    }
}

static void trade_look_rewrap(trade_look *look)
{
    net_sign_request request = {.op = NET_SIGN_REWRAP,
                                .user_id = look->user_id,
                                .ref = look->ref,
                                .sealed = look->sealed,
                                .sealed_length = look->sealed_length};

    if (!net_sign_ask(look->accounts->sign, &request, on_wrapped, look)) {
        trade_look_later(look, "rewrap");
    }
}

/* ---- taking what is due
 * ------------------------------------------------------------------------------- */

static bool trade_look_copy(char *out, size_t capacity, const char *text)
{
    if (text == NULL || strlen(text) >= capacity) {
        return false;
    }
    strcpy(out, text);
    return true;
}

static void trade_look_row(trade_look *look, const PGresult *rows, int row)
{
    const char *sealed = net_pg_value(rows, row, COLUMN_SEALED);
    const char *state = net_pg_value(rows, row, COLUMN_STATE);
    const char *venue = net_pg_value(rows, row, COLUMN_VENUE);
    const char *market_name = net_pg_value(rows, row, COLUMN_MARKET);
    enum venue_market market;
    long length = 0;

    (void)net_pg_get_int(rows, row, COLUMN_USER, &look->user_id);
    (void)net_pg_get_int(rows, row, COLUMN_ID, &look->id);
    look->is_new = state != NULL && strcmp(state, "NEW") == 0;
    look->accounts->known += !look->is_new;
    if (venue != NULL && market_name != NULL && venue_market_by_name(market_name, &market)) {
        look->caller = look->accounts->caller_of(look->accounts->owner, venue, market);
    }
    if (look->caller == NULL ||
        !trade_look_copy(look->ref, sizeof(look->ref), net_pg_value(rows, row, COLUMN_REF))) {
        trade_look_later(look, "no_venue");
        return;
    }
    if (sealed != NULL) {
        length = crypto_unhex(sealed, strlen(sealed), look->sealed, sizeof(look->sealed));
    }
    if (length < 0) {
        trade_look_verdict(look, ERROR_KEY_UNREADABLE);
    } else if (length > 0) {
        look->sealed_length = (size_t)length;
        trade_look_rewrap(look);
    } else if (trade_look_copy(look->secret, sizeof(look->secret),
                               net_pg_value(rows, row, COLUMN_SECRET))) {
        trade_look_begin(look);
    } else {
        trade_look_verdict(look, ERROR_KEY_UNREADABLE);
    }
}

static void on_due(void *owner, const net_pg_answer *answer)
{
    trade_accounts *accounts = owner;

    accounts->claiming = false;
    if (answer->outcome != NET_PG_DONE) {
        return;
    }
    for (int row = 0; row < PQntuples(answer->results[0]); row++) {
        for (size_t i = 0; i < TRADE_ACCOUNTS_BUSY_MAX; i++) {
            trade_look *look = &accounts->looks[i];

            if (!look->used) {
                *look = (trade_look){.accounts = accounts, .used = true};
                accounts->busy++;
                trade_look_row(look, answer->results[0], row);
                break;
            }
        }
    }
}

void trade_accounts_poll(trade_accounts *accounts)
{
    unsigned room = TRADE_ACCOUNTS_BUSY_MAX - accounts->busy;
    unsigned known = TRADE_ACCOUNTS_KNOWN_MAX - accounts->known;

    if (accounts->claiming || accounts->stopped || room < TRADE_ACCOUNTS_BUSY_MAX / 2 ||
        !net_pg_connected(accounts->pg)) {
        return;
    }
    known = known < room ? known : room;

    net_pg_unit *unit = net_pg_unit_new(true);

    net_pg_statement(unit, query_trade_account_due);
    net_pg_int(unit, room - known);
    net_pg_int(unit, known);
    accounts->claiming = net_pg_run(accounts->pg, unit, on_due, accounts);
}

trade_accounts *trade_accounts_new(net_pg *pg, net_sign *sign, trade_caller_of *caller_of,
                                   void *owner)
{
    trade_accounts *accounts = calloc(1, sizeof(*accounts));

    if (accounts != NULL) {
        accounts->pg = pg;
        accounts->sign = sign;
        accounts->caller_of = caller_of;
        accounts->owner = owner;
    }
    return accounts;
}

static void on_recheck(void *owner, const net_pg_answer *answer)
{
    (void)answer; /* else the next look comes in its turn */
    trade_accounts_poll(owner);
}

void trade_accounts_recheck(trade_accounts *accounts, int64_t user_id, int64_t account_id)
{
    net_pg_unit *unit = net_pg_unit_new(true);

    net_pg_statement(unit, query_trade_account_recheck);
    net_pg_int(unit, user_id);
    net_pg_int(unit, account_id);
    net_pg_run(accounts->pg, unit, on_recheck, accounts);
}

void trade_accounts_stop(trade_accounts *accounts)
{
    accounts->stopped = true;
}

unsigned trade_accounts_busy(const trade_accounts *accounts)
{
    return accounts->busy;
}

void trade_accounts_free(trade_accounts *accounts)
{
    free(accounts);
}
