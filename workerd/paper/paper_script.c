/*
 * The constructed script: what the scripted leaders do, a step every pace, from a seed.
 *
 * Each step is drawn from (seed, number of moves so far) alone, so that a restart goes on where the
 * journal ends. A flat position is opened; a held one is increased, reduced, closed or flipped.
 */
#include "workerd/paper/paper_faults.h"
#include "workerd/paper/paper_leader.h"

#include <string.h>

#define PAPER_SCRIPT_LARGE 3 /* times its margin balance in margin: then it only gets smaller */

/* Margin of the row in parts of the leader's balance: is it large already? */
static bool paper_script_large(const paper_leaders *leaders, const paper_leader *leader,
                               const paper_leader_row *row)
{
    paper_leader_value value;
    dec balance, bound;

    paper_leader_row_value(leaders, row, &value);
    return !json_get_dec(&leaders->doc, json_at(&leaders->doc, leader->detail, "marginBalance"),
                         &balance) ||
           !dec_mul(balance, dec_from_int(PAPER_SCRIPT_LARGE * row->leverage), DEC_HALF_EVEN,
                    &bound) ||
           dec_compare(dec_absolute(value.notional), bound) > 0;
}

static const paper_leader_row *paper_script_row(const paper_leader *leader, const char *symbol,
                                                enum paper_position_side side)
{
    for (unsigned i = 0; i < leader->row_count; i++) {
        if (leader->rows[i].side == side && strcmp(leader->rows[i].symbol, symbol) == 0) {
            return &leader->rows[i];
        }
    }
    return NULL;
}

static bool paper_script_holds(const paper_leader *leader, const char *symbol,
                               enum paper_position_side side)
{
    const paper_leader_row *row = paper_script_row(leader, symbol, side);

    return row != NULL && !dec_is_zero(row->position.amount);
}

/* A hedged leader moves the leg that it holds, so that one who copies both legs into a one-way
 * account can follow; where it holds both or none, either. */
static bool paper_script_short(const paper_leader *leader, const char *symbol, bool drawn)
{
    bool holds_long = paper_script_holds(leader, symbol, PAPER_LONG);
    bool holds_short = paper_script_holds(leader, symbol, PAPER_SHORT);

    return holds_long == holds_short ? drawn : holds_short;
}

static void paper_script_choose(const paper_leaders *leaders, const paper_leader *leader,
                                uint64_t *state, paper_move *move)
{
    static const enum paper_action actions[] = {PAPER_INCREASE, PAPER_INCREASE, PAPER_REDUCE,
                                                PAPER_REDUCE,   PAPER_CLOSE,    PAPER_FLIP};
    const paper_leader_row *row;

    move->is_short = paper_random(state, 2) == 1;
    if (leader->hedge) {
        move->is_short = paper_script_short(leader, move->symbol->name, move->is_short);
    }
    row = paper_script_row(leader, move->symbol->name,
                           !leader->hedge   ? PAPER_BOTH
                           : move->is_short ? PAPER_SHORT
                                            : PAPER_LONG);
    /* 0.10 .. 0.59 of the position, or of the balance where it opens one */
    move->fraction = (dec){DEC_ONE.units / 100 * (10 + (int64_t)paper_random(state, 50))};
    if (row == NULL || dec_is_zero(row->position.amount)) {
        move->action = PAPER_OPEN;
        return;
    }
    move->action = actions[paper_random(state, sizeof(actions) / sizeof(actions[0]))];
    if (move->action == PAPER_INCREASE && paper_script_large(leaders, leader, row)) {
        move->action = PAPER_REDUCE;
    }
}

/* The n-th of those that count, or NULL. */
static paper_leader *paper_script_leader(paper_leaders *leaders, uint64_t draw)
{
    unsigned scripted = 0;

    for (unsigned i = 0; i < leaders->count; i++) {
        scripted += leaders->leaders[i].scripted;
    }
    if (scripted == 0) {
        return NULL;
    }
    draw %= scripted;
    for (unsigned i = 0; i < leaders->count; i++) {
        if (leaders->leaders[i].scripted && draw-- == 0) {
            return &leaders->leaders[i];
        }
    }
    return NULL;
}

static paper_symbol *paper_script_symbol(paper_market *market, uint64_t draw)
{
    unsigned priced = 0;

    for (unsigned i = 0; i < market->count; i++) {
        priced += paper_symbol_priced(&market->symbols[i]);
    }
    if (priced == 0) {
        return NULL;
    }
    draw %= priced;
    for (unsigned i = 0; i < market->count; i++) {
        if (paper_symbol_priced(&market->symbols[i]) && draw-- == 0) {
            return &market->symbols[i];
        }
    }
    return NULL;
}

void paper_leaders_tick(paper_leaders *leaders, int64_t now_ms)
{
    uint64_t state = leaders->seed * 0x9E3779B97F4A7C15ULL + leaders->moves;
    paper_leader *leader;
    paper_move move = {0};
    char error[128];

    if (!leaders->running || leaders->pace_ms <= 0) {
        return;
    }
    if (leaders->next_ms == 0) {
        leaders->next_ms = now_ms + leaders->pace_ms; /* the first step is a pace after the start */
    }
    if (now_ms < leaders->next_ms) {
        return;
    }
    leaders->next_ms = now_ms + leaders->pace_ms;
    leader = paper_script_leader(leaders, paper_random(&state, 0) >> 1);
    move.symbol = paper_script_symbol(leaders->market, paper_random(&state, 0) >> 1);
    if (leader == NULL || move.symbol == NULL) {
        return;
    }
    paper_script_choose(leaders, leader, &state, &move);
    /* A step that cannot be made (a record that could not be written) is tried anew, drawn again.
     */
    (void)paper_leader_move(leaders, leader, &move, now_ms, error, sizeof(error));
}
