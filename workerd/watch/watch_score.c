/*
 * How much to make of a signal, and of a whale: see the header for the formulas.
 */
#include "workerd/watch/watch_score.h"

#include <string.h>

#define MILLI(n) ((dec){(__int128)(n)*1000000000LL})

#define CONFIDENCE_BEST MILLI(78500)
#define CONFIDENCE_LEAST 10
#define SCORE_STEP MILLI(10) /* two places */
#define PRIORITY_DEFAULT 50

static dec at_two_places(dec value)
{
    dec rounded = value;

    dec_to_step(value, SCORE_STEP, DEC_HALF_EVEN, &rounded);
    return rounded;
}

static dec within(dec value, int least, int most)
{
    return dec_most(dec_from_int(least), dec_least(dec_from_int(most), value));
}

/* min(30, 3 x |ROE %|), where ROE = (mark / entry - 1) x leverage. What is too large is the cap. */
static dec confidence_of_return(dec entry_price, dec mark_price, int leverage)
{
    const dec cap = dec_from_int(30);
    dec move, points;

    if (dec_sign(entry_price) <= 0 || dec_sign(mark_price) <= 0) {
        return DEC_ZERO;
    }
    if (!dec_sub(mark_price, entry_price, &move) ||
        !dec_mul_div(dec_absolute(move), dec_from_int(300LL * leverage), entry_price, DEC_HALF_EVEN,
                     &points)) {
        return cap;
    }
    return dec_least(cap, points);
}

dec watch_confidence(dec whale_score, dec entry_price, dec mark_price, int leverage)
{
    const int times = leverage > 0 ? leverage : 1;
    const dec risk = dec_least(dec_from_int(20), MILLI(1500LL * times));
    dec score = DEC_ZERO;

    /* All parts are small: nothing here can overflow. */
    dec_mul(whale_score, MILLI(500), DEC_HALF_EVEN, &score);
    dec_add(score, confidence_of_return(entry_price, mark_price, times), &score);
    dec_sub(score, risk, &score);
    dec_mul_div(score, dec_from_int(100), CONFIDENCE_BEST, DEC_HALF_EVEN, &score);
    return at_two_places(within(score, CONFIDENCE_LEAST, 100));
}

const char *watch_confidence_band(dec score)
{
    if (dec_compare(score, dec_from_int(80)) >= 0) {
        return "VERY_HIGH";
    }
    if (dec_compare(score, dec_from_int(60)) >= 0) {
        return "HIGH";
    }
    return dec_compare(score, dec_from_int(40)) >= 0 ? "MEDIUM" : "LOW";
}

/* weight x value / (value + half); zero for what is not above zero. */
static dec part(bool known, dec value, int64_t half, int weight)
{
    dec sum, points;

    if (!known || dec_sign(value) <= 0) {
        return DEC_ZERO;
    }
    if (!dec_add(value, dec_from_int(half), &sum) ||
        !dec_mul_div(value, dec_from_int(weight), sum, DEC_HALF_EVEN, &points)) {
        return dec_from_int(weight);
    }
    return points;
}

dec watch_whale_score(const venue_leader *leader)
{
    const dec parts[] = {
        part(leader->roi_known, leader->roi, 50, 35),
        part(leader->pnl_known, leader->pnl, 10000, 25),
        part(leader->copier_pnl_known, leader->copier_pnl, 10000, 25),
        part(true, dec_from_int(leader->followers), 100, 15),
    };
    dec score = DEC_ZERO;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        dec_add(score, parts[i], &score);
    }
    if (leader->copier_pnl_known && dec_sign(leader->copier_pnl) < 0) {
        dec_sub(score, dec_from_int(15), &score);
    }
    return at_two_places(within(score, 0, 100));
}

const char *watch_whale_rank(dec score)
{
    static const char *const ranks[] = {"BRONZE", "SILVER", "GOLD", "PLATINUM", "DIAMOND"};
    int rank = 0;

    while (rank < 4 && dec_compare(score, dec_from_int(20 * (rank + 1))) >= 0) {
        rank++;
    }
    return ranks[rank];
}

int watch_priority(const char *venue)
{
    static const struct {
        const char *venue;
        int priority;
    } priorities[] = {{"bitget", 80}, {"okx", 70}, {"bybit", 60}, {"binance", 50}};

    for (size_t i = 0; i < sizeof(priorities) / sizeof(priorities[0]); i++) {
        if (strcmp(priorities[i].venue, venue) == 0) {
            return priorities[i].priority;
        }
    }
    return PRIORITY_DEFAULT;
}
