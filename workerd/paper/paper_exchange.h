/*
 * The paper exchange: accounts, orders, positions and balances, as Binance USD-M keeps them.
 *
 * Promises: no I/O and no clock; the same events in the same order give the same state, so that the
 * journal replayed is the venue as it was. A change happens in two steps: it is decided and handed
 * to `record`; only if that says true it is applied. Nothing is ever accepted that was not
 * recorded.
 *
 * What is modelled: market orders fill whole at the touch; limit orders fill whole at the touch
 * when they cross it, else rest, and fill whole at their price when the touch reaches it; one-way
 * and hedge positions; fees; realised profit on the average entry; initial margin on cross balance;
 * filters. What is not: depth beyond the touch, funding, liquidation, margin kept apart in isolated
 * mode (the setting is remembered, the margin is shared all the same).
 *
 * Bounds: PAPER_ACCOUNTS_MAX accounts; the last PAPER_ORDERS_MAX orders, the oldest make room (one
 * that still rests is expired first).
 */
#ifndef WHALE_PAPER_EXCHANGE_H
#define WHALE_PAPER_EXCHANGE_H

#include "core/dec.h"
#include "workerd/paper/paper_market.h"
#include "workerd/paper/paper_refusal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAPER_ACCOUNTS_MAX 200000
#define PAPER_ORDERS_MAX (1 << 20)
#define PAPER_OPEN_ORDERS_MAX 200 /* resting, of one account (MAX_NUM_ORDERS) */
#define PAPER_RESTING_MAX 65536   /* on one symbol, of all accounts */
#define PAPER_NAME_MAX 40
#define PAPER_KEY_LENGTH 64
#define PAPER_CLIENT_ID_MAX 36
#define PAPER_LEVERAGE_DEFAULT 20
#define PAPER_LEVERAGE_MAX 125
#define PAPER_MONEY_PLACES 8
#define PAPER_NO_ACCOUNT UINT32_MAX
/* Above 2^53, so that a client that reads ids as doubles is found out at once. */
#define PAPER_FIRST_ORDER 9007199254740993LL
#define PAPER_FIRST_TRADE 5300000001LL

enum paper_side { PAPER_BUY, PAPER_SELL };
enum paper_type { PAPER_MARKET, PAPER_LIMIT };
enum paper_force { PAPER_GTC, PAPER_IOC, PAPER_FOK, PAPER_GTX };
enum paper_status { PAPER_NEW, PAPER_FILLED, PAPER_CANCELED, PAPER_EXPIRED };
enum paper_position_side { PAPER_BOTH, PAPER_LONG, PAPER_SHORT };

extern const char *const paper_side_names[2];
extern const char *const paper_type_names[2];
extern const char *const paper_force_names[4];
extern const char *const paper_status_names[4];
extern const char *const paper_position_side_names[3];

typedef struct {
    int64_t id;
    int64_t trade_id; /* 0: not filled; an order fills at once and whole, so it has one trade */
    int64_t created_ms, updated_ms;
    dec quantity, price; /* price zero for a market order */
    dec executed, fill_price, commission, realised;
    uint32_t account;
    uint16_t symbol;
    uint8_t side, type, force, status, position_side;
    bool reduce_only, maker;
    char client_id[PAPER_CLIENT_ID_MAX + 1];
    /* links by order id, 0 for none; one to an order that made room counts as none */
    int64_t account_previous, hash_next, open_next, open_previous;
} paper_order;

typedef struct {
    dec amount; /* negative: short */
    dec cost;   /* sum of |quantity| x price of what is open: entry price = cost / |amount| */
    dec realised;
    int64_t updated_ms;
} paper_position;

typedef struct {
    uint16_t symbol, leverage;
    bool isolated;
    paper_position sides[3]; /* by enum paper_position_side */
} paper_holding;

typedef struct {
    char name[PAPER_NAME_MAX + 1], key[PAPER_KEY_LENGTH + 1], secret[PAPER_KEY_LENGTH + 1];
    bool can_withdraw, hedge;
    uint16_t holding_count, open_orders;
    paper_holding *holdings;
    dec wallet, deposited, paid_commission, realised;
    int64_t last_order, created_ms, updated_ms;
    /* order counts of the running windows, for the X-MBX-ORDER-COUNT headers */
    int64_t window_10s, window_1m;
    uint32_t count_10s, count_1m;
} paper_account;

enum paper_event_kind {
    PAPER_EVENT_ACCOUNT,
    PAPER_EVENT_LEVERAGE,
    PAPER_EVENT_MARGIN_TYPE,
    PAPER_EVENT_POSITION_MODE,
    PAPER_EVENT_ORDER,  /* accepted, and filled at once where `order` says so */
    PAPER_EVENT_UPDATE, /* a resting order filled, cancelled or expired */
};

typedef struct {
    enum paper_event_kind kind;
    int64_t time_ms;
    uint32_t account; /* all but ACCOUNT */
    uint16_t symbol, leverage;
    bool flag; /* ACCOUNT: may withdraw; MARGIN_TYPE: isolated; POSITION_MODE: hedge */
    const char *name, *key, *secret; /* ACCOUNT */
    dec balance;
    paper_order order; /* ORDER, UPDATE: as it is afterwards */
} paper_event;

/* False: it could not be written down, so it must not happen. */
typedef bool paper_record(void *owner, const paper_event *event);

typedef struct paper_exchange {
    paper_market *market;
    paper_record *record; /* NULL: nothing is recorded */
    void *owner;
    /* Told after each order event, for user data streams; may be NULL. */
    void (*changed)(void *owner, const paper_event *event);
    void *changed_owner;
    paper_account *accounts;
    uint32_t account_count;
    uint32_t *keys, *names; /* hash tables of account + 1 */
    paper_order *orders;    /* a ring by id */
    int64_t *clients;       /* hash heads: newest order id */
    int64_t next_order, next_trade;
    /* resting orders of a symbol; the best prices bound those in the list, so that a tick that
     * reaches neither need not walk it */
    struct {
        int64_t first;
        uint32_t count;
        dec best_buy, best_sell; /* zero: none */
    } open[PAPER_SYMBOLS_MAX];
    uint64_t accepted, refused, fills;
} paper_exchange;

/* NULL: no memory. The market must outlive it. */
paper_exchange *paper_exchange_new(paper_market *market);
void paper_exchange_free(paper_exchange *exchange);

uint32_t paper_account_by_key(const paper_exchange *exchange, const char *key, size_t length);
uint32_t paper_account_by_name(const paper_exchange *exchange, const char *name, size_t length);
/* The account's place for a symbol, made with the defaults where there is none yet; NULL: no
 * memory. */
paper_holding *paper_account_holding(paper_exchange *exchange, uint32_t account, uint16_t symbol);
/* The same without making one: NULL where nothing was ever set or traded. */
const paper_holding *paper_account_find(const paper_exchange *exchange, uint32_t account,
                                        uint16_t symbol);

/* Applies what was decided, without recording it: for the replay of a journal. False: impossible.
 */
bool paper_exchange_apply(paper_exchange *exchange, const paper_event *event);
/* Records, then applies. False: it was not recorded (or is impossible), nothing changed. */
bool paper_exchange_commit(paper_exchange *exchange, const paper_event *event);

/* NULL where the order is unknown or made room. */
paper_order *paper_order_get(const paper_exchange *exchange, int64_t id);
/* The newest order of this account under this id; Binance lets an id be used again once it is
 * closed. */
paper_order *paper_order_by_client(const paper_exchange *exchange, uint32_t account,
                                   const char *client_id);
/* Store: links a new order in, out of the open list, and so on. Used by apply only. */
paper_order *paper_order_append(paper_exchange *exchange, const paper_order *order);
void paper_order_open(paper_exchange *exchange, paper_order *order);
void paper_order_close(paper_exchange *exchange, paper_order *order);
void paper_order_bound(paper_exchange *exchange, const paper_order *order);
/* The order that the next new one would push out, or NULL. */
paper_order *paper_order_victim(const paper_exchange *exchange);

/* ---- trading ------------------------------------------------------------------------------------
 */

typedef struct {
    uint32_t account;
    paper_symbol *symbol;
    enum paper_side side;
    enum paper_type type;
    enum paper_force force;
    bool has_position_side, has_reduce_only, reduce_only;
    enum paper_position_side position_side;
    dec quantity, price;
    char client_id[PAPER_CLIENT_ID_MAX + 1]; /* empty: the venue makes one */
} paper_request;

/* NULL with the refusal, nothing changed. */
const paper_order *paper_exchange_place(paper_exchange *exchange, const paper_request *request,
                                        int64_t now_ms, paper_refusal *refusal);
bool paper_exchange_cancel(paper_exchange *exchange, paper_order *order, int64_t now_ms,
                           paper_refusal *refusal);
/* The touch moved: fills the resting orders that it reached. */
void paper_exchange_tick(paper_exchange *exchange, const paper_symbol *symbol, int64_t now_ms);
bool paper_exchange_set_leverage(paper_exchange *exchange, uint32_t account, uint16_t symbol,
                                 int64_t leverage, int64_t now_ms, paper_refusal *refusal);
bool paper_exchange_set_margin_type(paper_exchange *exchange, uint32_t account, uint16_t symbol,
                                    bool isolated, int64_t now_ms, paper_refusal *refusal);
bool paper_exchange_set_hedge(paper_exchange *exchange, uint32_t account, bool hedge,
                              int64_t now_ms, paper_refusal *refusal);
bool paper_client_id_valid(const char *text, size_t length);

/* ---- positions and margin
 * ------------------------------------------------------------------------- */

/*
 * The position after a fill; `realised` is what the closed part earned, rounded half-even at 8
 * places. False: a number does not fit.
 */
bool paper_position_fill(const paper_position *before, enum paper_side side, dec quantity,
                         dec price, paper_position *after, dec *realised);
dec paper_position_entry(const paper_position *position); /* zero where flat */

typedef struct {
    dec wallet, unrealised, position_margin, order_margin, maintenance, available;
} paper_totals;

/* `instead` (may be NULL) stands for the position of (symbol, side) and `wallet_change` is added.
 */
bool paper_account_totals(const paper_exchange *exchange, uint32_t account, uint16_t symbol,
                          enum paper_position_side side, const paper_position *instead,
                          dec wallet_change, paper_totals *totals);
/* Profit, notional (signed), initial and maintenance margin of one position at the mark price. */
typedef struct {
    dec mark, entry, notional, unrealised, margin, maintenance;
} paper_valuation;
bool paper_position_value(const paper_exchange *exchange, const paper_holding *holding,
                          const paper_position *position, paper_valuation *value);

typedef struct {
    int leverage;
    int64_t floor, cap;
    const char *maintenance; /* ratio */
    const char *cumulative;
} paper_bracket;
extern const paper_bracket paper_brackets[];
extern const size_t paper_bracket_count;
int64_t paper_notional_cap(int leverage); /* the largest position at this leverage */

/* 0.0005, the fee of a market order, and 0.0002, of an order that rested. */
dec paper_fee(dec quantity, dec price, bool maker);

#endif
