/*
 * The order store: a ring by order id, found by client id over chains that run from new to old.
 *
 * A chain needs no unlinking when its oldest order makes room: ids fall along every chain, and
 * whoever follows one stops at the first id that the ring no longer holds.
 */
#include "workerd/paper/paper_exchange.h"

#include <string.h>

#define PAPER_RING_MASK (PAPER_ORDERS_MAX - 1)

static paper_order *paper_slot(const paper_exchange *exchange, int64_t id)
{
    return &exchange->orders[(uint64_t)id & PAPER_RING_MASK];
}

paper_order *paper_order_get(const paper_exchange *exchange, int64_t id)
{
    paper_order *order = paper_slot(exchange, id);

    return id >= PAPER_FIRST_ORDER && order->id == id ? order : NULL;
}

static uint32_t paper_client_hash(uint32_t account, const char *client_id)
{
    size_t length = strlen(client_id);
    uint64_t hash = 0x9E3779B97F4A7C15ULL ^ account, word;

    for (size_t i = 0; i < length; i += sizeof(word)) {
        word = 0;
        memcpy(&word, client_id + i, length - i < sizeof(word) ? length - i : sizeof(word));
        hash = (hash ^ word) * 0xBF58476D1CE4E5B9ULL;
        hash ^= hash >> 29;
    }
    return (uint32_t)(hash ^ (hash >> 32)) & PAPER_RING_MASK;
}

paper_order *paper_order_by_client(const paper_exchange *exchange, uint32_t account,
                                   const char *client_id)
{
    int64_t id = exchange->clients[paper_client_hash(account, client_id)];

    for (paper_order *order = paper_order_get(exchange, id); order != NULL;
         order = paper_order_get(exchange, order->hash_next)) {
        if (order->account == account && strcmp(order->client_id, client_id) == 0) {
            return order;
        }
    }
    return NULL;
}

paper_order *paper_order_victim(const paper_exchange *exchange)
{
    paper_order *order = paper_slot(exchange, exchange->next_order);

    return order->id == 0 ? NULL : order;
}

paper_order *paper_order_append(paper_exchange *exchange, const paper_order *order)
{
    paper_order *slot = paper_slot(exchange, order->id);
    paper_account *account = &exchange->accounts[order->account];
    int64_t *head = &exchange->clients[paper_client_hash(order->account, order->client_id)];

    *slot = *order;
    slot->hash_next = *head;
    slot->account_previous = account->last_order;
    slot->open_next = slot->open_previous = 0;
    *head = order->id;
    account->last_order = order->id;
    exchange->next_order = order->id + 1;
    return slot;
}

void paper_order_bound(paper_exchange *exchange, const paper_order *order)
{
    dec *buy = &exchange->open[order->symbol].best_buy;
    dec *sell = &exchange->open[order->symbol].best_sell;

    if (order->side == PAPER_BUY) {
        *buy = dec_most(*buy, order->price);
    } else {
        *sell = dec_is_zero(*sell) ? order->price : dec_least(*sell, order->price);
    }
}

void paper_order_open(paper_exchange *exchange, paper_order *order)
{
    paper_order *first = paper_order_get(exchange, exchange->open[order->symbol].first);

    order->open_previous = 0;
    order->open_next = first == NULL ? 0 : first->id;
    if (first != NULL) {
        first->open_previous = order->id;
    }
    exchange->open[order->symbol].first = order->id;
    exchange->open[order->symbol].count++;
    paper_order_bound(exchange, order);
    exchange->accounts[order->account].open_orders++;
}

void paper_order_close(paper_exchange *exchange, paper_order *order)
{
    paper_order *next = paper_order_get(exchange, order->open_next);
    paper_order *previous = paper_order_get(exchange, order->open_previous);

    if (next != NULL) {
        next->open_previous = order->open_previous;
    }
    if (previous != NULL) {
        previous->open_next = order->open_next;
    } else {
        exchange->open[order->symbol].first = order->open_next;
    }
    order->open_next = order->open_previous = 0;
    exchange->open[order->symbol].count--;
    exchange->accounts[order->account].open_orders--;
}
