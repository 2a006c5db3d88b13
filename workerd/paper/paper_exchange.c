/*
 * Accounts, and what each event does to them. See the header for the promises.
 */
#include "workerd/paper/paper_exchange.h"

#include <stdlib.h>
#include <string.h>

/* Twice the accounts, a power of two: chains of a step or two. */
#define PAPER_TABLE_SIZE (1U << 19)
#define PAPER_TABLE_MASK (PAPER_TABLE_SIZE - 1)
#define PAPER_HOLDINGS_STEP 4
#define PAPER_HASHED 16 /* bytes of a key or name */

_Static_assert(PAPER_TABLE_SIZE > 2 * PAPER_ACCOUNTS_MAX, "the tables would fill up");
_Static_assert((PAPER_ORDERS_MAX & (PAPER_ORDERS_MAX - 1)) == 0, "the ring is masked");

const char *const paper_side_names[2] = {"BUY", "SELL"};
const char *const paper_type_names[2] = {"MARKET", "LIMIT"};
const char *const paper_force_names[4] = {"GTC", "IOC", "FOK", "GTX"};
const char *const paper_status_names[4] = {"NEW", "FILLED", "CANCELED", "EXPIRED"};
const char *const paper_position_side_names[3] = {"BOTH", "LONG", "SHORT"};

paper_exchange *paper_exchange_new(paper_market *market)
{
    paper_exchange *exchange = calloc(1, sizeof(*exchange));

    if (exchange == NULL) {
        return NULL;
    }
    /* calloc of this size is untouched address space: pages come with use. */
    exchange->market = market;
    exchange->accounts = calloc(PAPER_ACCOUNTS_MAX, sizeof(*exchange->accounts));
    exchange->keys = calloc(PAPER_TABLE_SIZE, sizeof(*exchange->keys));
    exchange->names = calloc(PAPER_TABLE_SIZE, sizeof(*exchange->names));
    exchange->orders = calloc(PAPER_ORDERS_MAX, sizeof(*exchange->orders));
    exchange->clients = calloc(PAPER_ORDERS_MAX, sizeof(*exchange->clients));
    exchange->next_order = PAPER_FIRST_ORDER;
    exchange->next_trade = PAPER_FIRST_TRADE;
    if (exchange->accounts == NULL || exchange->keys == NULL || exchange->names == NULL ||
        exchange->orders == NULL || exchange->clients == NULL) {
        paper_exchange_free(exchange);
        return NULL;
    }
    return exchange;
}

void paper_exchange_free(paper_exchange *exchange)
{
    if (exchange == NULL) {
        return;
    }
    for (uint32_t i = 0; exchange->accounts != NULL && i < exchange->account_count; i++) {
        free(exchange->accounts[i].holdings);
    }
    free(exchange->accounts);
    free(exchange->keys);
    free(exchange->names);
    free(exchange->orders);
    free(exchange->clients);
    free(exchange);
}

/* Keys are random all along, names differ at their end: 16 bytes of either tell enough. */
static uint32_t paper_text_hash(const char *text, size_t length)
{
    size_t skip = length > PAPER_HASHED ? length - PAPER_HASHED : 0;
    uint64_t hash = 1469598103934665603ULL;

    for (size_t i = skip; i < length; i++) {
        hash = (hash ^ (unsigned char)text[i]) * 1099511628211ULL;
    }
    return (uint32_t)(hash ^ (hash >> 32)) & PAPER_TABLE_MASK;
}

static const char *paper_account_text(const paper_account *account, bool key)
{
    return key ? account->key : account->name;
}

/* The slot that holds the text, or the free one where it would go. */
static uint32_t *paper_account_slot(const paper_exchange *exchange, bool key, const char *text,
                                    size_t length)
{
    uint32_t *table = key ? exchange->keys : exchange->names;
    uint32_t at = paper_text_hash(text, length);

    while (table[at] != 0) {
        const char *held = paper_account_text(&exchange->accounts[table[at] - 1], key);

        if (strlen(held) == length && memcmp(held, text, length) == 0) {
            break;
        }
        at = (at + 1) & PAPER_TABLE_MASK;
    }
    return &table[at];
}

uint32_t paper_account_by_key(const paper_exchange *exchange, const char *key, size_t length)
{
    return *paper_account_slot(exchange, true, key, length) - 1; /* 0 - 1 is PAPER_NO_ACCOUNT */
}

uint32_t paper_account_by_name(const paper_exchange *exchange, const char *name, size_t length)
{
    return *paper_account_slot(exchange, false, name, length) - 1;
}

const paper_holding *paper_account_find(const paper_exchange *exchange, uint32_t account,
                                        uint16_t symbol)
{
    const paper_account *who = &exchange->accounts[account];

    for (unsigned i = 0; i < who->holding_count; i++) {
        if (who->holdings[i].symbol == symbol) {
            return &who->holdings[i];
        }
    }
    return NULL;
}

paper_holding *paper_account_holding(paper_exchange *exchange, uint32_t account, uint16_t symbol)
{
    paper_account *who = &exchange->accounts[account];
    paper_holding *found =
        (paper_holding *)(uintptr_t)paper_account_find(exchange, account, symbol);

    if (found != NULL) {
        return found;
    }
    if (who->holding_count % PAPER_HOLDINGS_STEP == 0) {
        size_t room = who->holding_count + PAPER_HOLDINGS_STEP;
        paper_holding *grown = realloc(who->holdings, room * sizeof(*grown));

        if (grown == NULL) {
            return NULL;
        }
        who->holdings = grown;
    }
    found = &who->holdings[who->holding_count++];
    *found = (paper_holding){.symbol = symbol, .leverage = PAPER_LEVERAGE_DEFAULT};
    return found;
}

static bool paper_apply_account(paper_exchange *exchange, const paper_event *event)
{
    uint32_t *key = paper_account_slot(exchange, true, event->key, strlen(event->key));
    uint32_t *name = paper_account_slot(exchange, false, event->name, strlen(event->name));
    paper_account *account = &exchange->accounts[exchange->account_count];

    if (exchange->account_count == PAPER_ACCOUNTS_MAX || *key != 0 || *name != 0 ||
        strlen(event->name) > PAPER_NAME_MAX || strlen(event->key) > PAPER_KEY_LENGTH ||
        strlen(event->secret) > PAPER_KEY_LENGTH || event->name[0] == '\0') {
        return false;
    }
    *account = (paper_account){.can_withdraw = event->flag,
                               .wallet = event->balance,
                               .deposited = event->balance,
                               .created_ms = event->time_ms,
                               .updated_ms = event->time_ms};
    strcpy(account->name, event->name);
    strcpy(account->key, event->key);
    strcpy(account->secret, event->secret);
    exchange->account_count++;
    *key = *name = exchange->account_count;
    return true;
}

/* The fill that `order` carries, into position and wallet. All or nothing. */
static bool paper_apply_fill(paper_exchange *exchange, const paper_order *order)
{
    paper_account *account = &exchange->accounts[order->account];
    paper_holding *holding = paper_account_holding(exchange, order->account, order->symbol);
    paper_position after;
    dec realised, wallet, total, paid;

    if (holding == NULL ||
        !paper_position_fill(&holding->sides[order->position_side], order->side, order->executed,
                             order->fill_price, &after, &realised) ||
        !dec_add(account->wallet, order->realised, &wallet) ||
        !dec_sub(wallet, order->commission, &wallet) ||
        !dec_add(account->realised, order->realised, &total) ||
        !dec_add(account->paid_commission, order->commission, &paid)) {
        return false;
    }
    after.updated_ms = order->updated_ms;
    holding->sides[order->position_side] = after;
    account->wallet = wallet;
    account->realised = total;
    account->paid_commission = paid;
    account->updated_ms = order->updated_ms;
    exchange->next_trade = order->trade_id + 1;
    exchange->fills++;
    return true;
}

static bool paper_apply_order(paper_exchange *exchange, const paper_order *order)
{
    paper_order *victim = paper_order_victim(exchange);
    paper_order *slot;

    if (order->id < exchange->next_order ||
        (victim != NULL && victim->status == PAPER_NEW && victim->id != order->id)) {
        return false;
    }
    if (order->trade_id != 0 && !paper_apply_fill(exchange, order)) {
        return false;
    }
    slot = paper_order_append(exchange, order);
    if (slot->status == PAPER_NEW) {
        paper_order_open(exchange, slot);
    }
    exchange->accepted++;
    return true;
}

static bool paper_apply_update(paper_exchange *exchange, const paper_order *order)
{
    paper_order *slot = paper_order_get(exchange, order->id);

    if (slot == NULL || slot->status != PAPER_NEW || slot->account != order->account ||
        slot->symbol != order->symbol) {
        return false;
    }
    if (order->trade_id != 0 && !paper_apply_fill(exchange, order)) {
        return false;
    }
    paper_order_close(exchange, slot);
    slot->status = order->status;
    slot->quantity = order->quantity;
    slot->updated_ms = order->updated_ms;
    slot->trade_id = order->trade_id;
    slot->executed = order->executed;
    slot->fill_price = order->fill_price;
    slot->commission = order->commission;
    slot->realised = order->realised;
    slot->maker = order->maker;
    return true;
}

bool paper_exchange_apply(paper_exchange *exchange, const paper_event *event)
{
    paper_holding *holding;

    if (event->kind == PAPER_EVENT_ACCOUNT) {
        return paper_apply_account(exchange, event);
    }
    if (event->account >= exchange->account_count || event->symbol >= exchange->market->count) {
        return false;
    }
    switch (event->kind) {
    case PAPER_EVENT_LEVERAGE:
    case PAPER_EVENT_MARGIN_TYPE:
        holding = paper_account_holding(exchange, event->account, event->symbol);
        if (holding == NULL) {
            return false;
        }
        if (event->kind == PAPER_EVENT_LEVERAGE) {
            holding->leverage = event->leverage;
        } else {
            holding->isolated = event->flag;
        }
        return true;
    case PAPER_EVENT_POSITION_MODE:
        exchange->accounts[event->account].hedge = event->flag;
        return true;
    case PAPER_EVENT_ORDER:
        return paper_apply_order(exchange, &event->order);
    case PAPER_EVENT_UPDATE:
        return paper_apply_update(exchange, &event->order);
    default:
        return false;
    }
}

bool paper_exchange_commit(paper_exchange *exchange, const paper_event *event)
{
    if (exchange->record != NULL && !exchange->record(exchange->owner, event)) {
        return false;
    }
    /* What was decided on this state can always be applied to it; a journal that says otherwise is
     * found at the next start. */
    if (!paper_exchange_apply(exchange, event)) {
        return false;
    }
    if (exchange->changed != NULL) {
        exchange->changed(exchange->changed_owner, event);
    }
    return true;
}
