/*
 * What the paper venue's unit tests share: the shipped instruments, a touch, an account, an order.
 */
#ifndef WHALE_TESTS_PAPER_FIXTURE_H
#define WHALE_TESTS_PAPER_FIXTURE_H

#include "workerd/paper/paper_exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FIXTURE_NOW 1795177060000LL

typedef struct {
    paper_market market;
    paper_exchange *exchange;
    paper_symbol *btc, *eth;
    paper_refusal refusal;
} fixture;

static inline dec D(const char *text)
{
    dec value;

    assert_true(dec_parse(text, strlen(text), &value));
    return value;
}

#define assert_dec(actual, expected)                                                               \
    do {                                                                                           \
        char fixture_text[DEC_TEXT_MAX];                                                           \
        dec_format((actual), fixture_text);                                                        \
        assert_string_equal(fixture_text, (expected));                                             \
    } while (0)

static inline char *fixture_file(const char *path, size_t *length)
{
    FILE *file = fopen(path, "re");
    char *text = malloc(1 << 20);

    assert_non_null(file);
    assert_non_null(text);
    *length = fread(text, 1, (1 << 20) - 1, file);
    text[*length] = '\0';
    fclose(file);
    return text;
}

static inline void fixture_touch(paper_symbol *symbol, const char *bid, const char *ask)
{
    assert_true(paper_symbol_quote(symbol, D(bid), D("5"), D(ask), D("5"), FIXTURE_NOW, 1));
}

static inline void fixture_open(fixture *f)
{
    size_t length;
    char error[256], *text = fixture_file("conf/demo/exchange-info.json", &length);

    memset(f, 0, sizeof(*f));
    if (!paper_market_load(&f->market, text, length, error, sizeof(error))) {
        fail_msg("%s", error);
    }
    free(text);
    f->exchange = paper_exchange_new(&f->market);
    assert_non_null(f->exchange);
    f->btc = paper_market_find(&f->market, "BTCUSDT", 7);
    f->eth = paper_market_find(&f->market, "ETHUSDT", 7);
    assert_non_null(f->btc);
    assert_non_null(f->eth);
    fixture_touch(f->btc, "60000.00", "60000.10");
    fixture_touch(f->eth, "2500.00", "2500.01");
}

static inline void fixture_close(fixture *f)
{
    paper_exchange_free(f->exchange);
}

static inline uint32_t fixture_account(fixture *f, const char *balance)
{
    char name[32], key[PAPER_KEY_LENGTH + 1];
    paper_event event = {.kind = PAPER_EVENT_ACCOUNT,
                         .time_ms = FIXTURE_NOW,
                         .name = name,
                         .key = key,
                         .secret = "secret",
                         .balance = D(balance)};

    snprintf(name, sizeof(name), "account-%u", f->exchange->account_count);
    snprintf(key, sizeof(key), "%064u", f->exchange->account_count);
    assert_true(paper_exchange_commit(f->exchange, &event));
    return f->exchange->account_count - 1;
}

static inline paper_request fixture_market(paper_symbol *symbol, uint32_t account,
                                           enum paper_side side, const char *quantity)
{
    return (paper_request){.account = account,
                           .symbol = symbol,
                           .side = side,
                           .type = PAPER_MARKET,
                           .quantity = D(quantity)};
}

static inline paper_request fixture_limit(paper_symbol *symbol, uint32_t account,
                                          enum paper_side side, const char *quantity,
                                          const char *price)
{
    paper_request request = fixture_market(symbol, account, side, quantity);

    request.type = PAPER_LIMIT;
    request.price = D(price);
    return request;
}

static inline const paper_order *fixture_place(fixture *f, const paper_request *request)
{
    return paper_exchange_place(f->exchange, request, FIXTURE_NOW, &f->refusal);
}

/* A market order that must be taken. */
static inline const paper_order *fixture_trade(fixture *f, uint32_t account, enum paper_side side,
                                               const char *quantity)
{
    paper_request request = fixture_market(f->btc, account, side, quantity);
    const paper_order *order = fixture_place(f, &request);

    if (order == NULL) {
        fail_msg("refused: %d %s", f->refusal.code, f->refusal.text);
    }
    return order;
}

static inline const paper_position *fixture_position(const fixture *f, uint32_t account,
                                                     const paper_symbol *symbol,
                                                     enum paper_position_side side)
{
    const paper_holding *holding =
        paper_account_find(f->exchange, account, (uint16_t)(symbol - f->market.symbols));

    assert_non_null(holding);
    return &holding->sides[side];
}

#endif
