/*
 * Lead traders as the venue's web pages show them: their positions, moved by hand or by a script.
 *
 * Promises: no I/O; a leader read from the file as captured keeps the captured rows of everything
 * that is never moved; every move is handed to `record` before it happens; the same seed, prices
 * and number of moves make the same script; after a restart the recorded moves stand as they were.
 */
#ifndef WHALE_PAPER_LEADER_H
#define WHALE_PAPER_LEADER_H

#include "core/json.h"
#include "workerd/paper/paper_exchange.h"

#define PAPER_LEADERS_MAX 64
#define PAPER_LEADER_ID_MAX 24
#define PAPER_LEADER_POSITIONS_MAX 96 /* rows that were ever not zero, a leader */
#define PAPER_LEADER_HISTORY_MAX 256  /* newest moves kept, a leader */
#define PAPER_LEADERS_TEXT_MAX (4 * 1024 * 1024)

enum paper_action { PAPER_OPEN, PAPER_INCREASE, PAPER_REDUCE, PAPER_CLOSE, PAPER_FLIP };
extern const char *const paper_action_names[5];

/* One row of a leader's page: a symbol and a side of it. */
typedef struct {
    char symbol[PAPER_SYMBOL_MAX];
    enum paper_position_side side;
    paper_position position;
    dec mark; /* as captured: used where the replay has no price */
    int leverage;
    bool isolated;
} paper_leader_row;

/* An order of the leader, as order-history tells it. */
typedef struct {
    char symbol[PAPER_SYMBOL_MAX], base[PAPER_ASSET_MAX], type[8];
    enum paper_side side;
    enum paper_position_side position_side;
    dec quantity, price, profit;
    int64_t time_ms;
} paper_leader_order;

typedef struct {
    char id[PAPER_LEADER_ID_MAX];
    bool hedge; /* moves LONG and SHORT rows; else BOTH */
    bool scripted, hidden, captured;
    unsigned row_count;
    paper_leader_row rows[PAPER_LEADER_POSITIONS_MAX];
    uint64_t order_count; /* ever; the ring holds the newest */
    paper_leader_order orders[PAPER_LEADER_HISTORY_MAX];
    int64_t last_trade_ms;
    int detail, list; /* tokens in the file's text */
} paper_leader;

typedef struct {
    paper_market *market;
    paper_leader *leaders;
    unsigned count;
    char *text; /* the file */
    jsmntok_t *tokens;
    json_doc doc;
    bool running;
    int64_t pace_ms, next_ms;
    uint64_t seed, moves;
    /* A line for the journal; false: it must not happen. NULL: nothing is recorded. */
    bool (*record)(void *owner, const char *text, size_t length);
    void *owner;
} paper_leaders;

/* Takes over `text` (malloc'd, NUL-terminated). False with the reason. */
bool paper_leaders_load(paper_leaders *leaders, paper_market *market, char *text, size_t length,
                        char *error, size_t capacity);
void paper_leaders_free(paper_leaders *leaders);
paper_leader *paper_leaders_find(paper_leaders *leaders, const char *id);

/* A move by hand. Exactly one of quantity and fraction is positive; fraction is of the position. */
typedef struct {
    paper_symbol *symbol;
    enum paper_action action;
    bool is_short; /* the side to be on: open and flip */
    bool has_side;
    dec quantity, fraction;
    int leverage; /* 0: as it is */
} paper_move;
/* False with a sentence. */
bool paper_leader_move(paper_leaders *leaders, paper_leader *leader, const paper_move *move,
                       int64_t now_ms, char *error, size_t capacity);
bool paper_leader_hide(paper_leaders *leaders, paper_leader *leader, bool hidden, int64_t now_ms);
/* One step of the script if it is due. */
void paper_leaders_tick(paper_leaders *leaders, int64_t now_ms);
/* A line of the journal again. */
bool paper_leaders_replay(void *leaders, const json_doc *doc);

/* Mark price and profit of a row as of now. */
typedef struct {
    dec mark, entry, notional, unrealised;
} paper_leader_value;
void paper_leader_row_value(const paper_leaders *leaders, const paper_leader_row *row,
                            paper_leader_value *value);

#endif
