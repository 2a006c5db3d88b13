/*
 * How much to make of a signal, and of a whale. Pure functions over `dec`.
 *
 * Confidence of a signal (product): 0.5 x whale's score + min(30, 3 x |ROE %|) - min(20, 1.5 x
 * leverage). The best that can be is a score of 100, 30 and a leverage of 1: 78.5; so it is
 * multiplied by 100 / 78.5, and kept within 10 and 100.
 *
 * Score of a whale, 0 to 100, from its venue's ranking of 30 days. Each part grows with its figure
 * and levels off (x / (x + half)), is zero for a loss or where the figure is not told:
 *
 *   35  return on investment, half of it at 50 %
 *   25  profit, half of it at 10,000
 *   25  profit of those who copied it, half of it at 10,000; a loss of theirs costs 15
 *   15  followers there, half of it at 100: how many judged it, our only measure of the sample
 *
 * Returns alone are easily dressed up; what copiers made is what a follower gets.
 */
#ifndef WHALE_WATCH_SCORE_H
#define WHALE_WATCH_SCORE_H

#include "venues/venue.h"

/* At two places. */
dec watch_confidence(dec whale_score, dec entry_price, dec mark_price, int leverage);
const char *watch_confidence_band(dec score); /* "LOW" .. "VERY_HIGH" */

dec watch_whale_score(const venue_leader *leader); /* at two places */
const char *watch_whale_rank(dec score);           /* "BRONZE" .. "DIAMOND" */
/* How soon a venue's whales come when not all can be read in time; by the share of whales that show
 * their positions there. */
int watch_priority(const char *venue);

#endif
