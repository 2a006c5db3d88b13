/*
 * The JSON that mirror puts into the segment: a position's constant members, a signal, a whale.
 *
 * Promises: each text is valid JSON within its bound, whatever names users and venues have: a
 * whale's name is cut at a character until the text fits. Pure functions.
 */
#ifndef WHALE_MIRROR_TEXT_H
#define WHALE_MIRROR_TEXT_H

#include "core/json.h"
#include "shm/shm.h"

#define MIRROR_NAME_MAX 96 /* bytes of a whale's name that are shown at most */

typedef struct {
    int64_t id, whale_id, opened_ns;
    const char *venue, *market, *symbol;
    const char *whale_name; /* NULL: not a copy; whale_id is then ignored */
    dec quantity;           /* signed, in the instrument's own unit */
    dec base_quantity;      /* in base units: what the entry notional is the product of */
    dec entry_notional, margin;
    int64_t leverage;
} mirror_position_facts;

/* Members without braces. The length, or 0 where even without a name it does not fit. */
uint32_t mirror_text_position(const mirror_position_facts *facts, char text[SHM_POSITION_TEXT_MAX]);

/* entry notional / |quantity|, half-even at 12 places; false where there is no quantity. */
bool mirror_entry_price(dec entry_notional, dec quantity, dec *price);

typedef struct {
    int64_t id, whale_id, leverage, detected_ns;
    const char *whale_name, *venue, *market, *symbol, *position_side, *kind, *side;
    const char *confidence, *status;
    bool closes;
    dec price, notional, fraction, confidence_score;
} mirror_signal_facts;

/* A whole object. The length, or 0 where it does not fit. */
uint32_t mirror_text_signal(const mirror_signal_facts *facts, char text[SHM_SIGNAL_TEXT_MAX]);

#endif
