/*
 * Open positions as JSON: constant members as mirror wrote them, and what follows from the price.
 *
 *   notional       = |quantity| x mark
 *   unrealised_pnl = quantity x mark - sign(quantity) x entry notional
 *   roi            = unrealised_pnl / margin, in percent
 *
 * Products are rounded half-even at 12 places, as everywhere; money is shown with up to 8 places,
 * roi with up to 4. Where the price is not known the members are null.
 */
#ifndef WHALE_POSITION_H
#define WHALE_POSITION_H

#include "shm/shm.h"

/* Members that depend on the price, at most: see whale_position_put. */
#define WHALE_POSITION_LIVE_MAX 352
#define WHALE_POSITION_MAX (SHM_POSITION_TEXT_MAX + WHALE_POSITION_LIVE_MAX)

typedef struct {
    dec notional, pnl, roi; /* rounded as shown */
    bool known;             /* a mark, and every result fits */
    bool roi_known;         /* and the margin is not zero */
} whale_figures;

void whale_position_figures(const shm_position *position, dec mark, whale_figures *out);

/*
 * One object; `out` has room for WHALE_POSITION_MAX. `price` may be NULL. Returns the length.
 * `now_ns` is wall clock; a price older than `stale_ns`, or from a lost stream, is marked stale.
 */
size_t whale_position_put(char *out, const shm_position *position, const shm_price *price,
                          int64_t now_ns, int64_t stale_ns);

/* Whether a price is to be marked stale, and its age in ms (0 where none). */
bool whale_price_is_stale(const shm_price *price, int64_t now_ns, int64_t stale_ns,
                          int64_t *age_ms);

#endif
