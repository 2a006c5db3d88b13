/*
 * What changed between two reads: see the header for the table.
 *
 * Fractions are rounded towards less risk: a reduction up, an increase down; one that rounds to
 * nothing is no signal.
 */
#include "workerd/watch/watch_diff.h"

#include <string.h>

const char *watch_kind_name(enum watch_kind kind)
{
    static const char *const names[] = {"OPEN", "INCREASE", "REDUCE", "CLOSE", "FLIP"};

    return names[kind];
}

static bool same_place(const watch_position *a, const watch_position *b)
{
    return a->side == b->side && strcmp(a->symbol, b->symbol) == 0;
}

static const watch_position *find(const watch_position *list, size_t count,
                                  const watch_position *wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (same_place(&list[i], wanted)) {
            return &list[i];
        }
    }
    return NULL;
}

static void add_signal(watch_change *change, enum watch_kind kind, dec before, dec after,
                       dec fraction)
{
    const bool closes = kind == WATCH_CLOSE || kind == WATCH_REDUCE;
    const bool is_long = dec_sign(closes ? before : after) > 0;

    change->signals[change->signal_count++] = (watch_signal){
        .kind = kind,
        .closes = closes,
        .buys = is_long != closes,
        .before = before,
        .after = after,
        .fraction = fraction,
    };
}

/* |a - b| / |a|; false where it is nothing at 12 places, or too much for a number. */
static bool fraction_of(dec before, dec after, enum dec_rounding rounding, dec *fraction)
{
    dec difference;

    return dec_sub(dec_absolute(before), dec_absolute(after), &difference) &&
           dec_div(dec_absolute(difference), dec_absolute(before), rounding, fraction) &&
           !dec_is_zero(*fraction);
}

static void compare_sizes(watch_change *change, dec before, dec after, bool baseline)
{
    const bool more = dec_compare(dec_absolute(after), dec_absolute(before)) > 0;
    dec fraction;

    if (more) {
        if (!baseline && fraction_of(before, after, DEC_TOWARD_ZERO, &fraction)) {
            add_signal(change, WATCH_INCREASE, before, after, fraction);
        }
    } else if (fraction_of(before, after, DEC_AWAY_FROM_ZERO, &fraction)) {
        add_signal(change, WATCH_REDUCE, before, after, fraction);
    }
}

static void compare_sides(watch_change *change, dec before, dec after, bool baseline)
{
    if (dec_sign(before) != 0) {
        add_signal(change, WATCH_CLOSE, before, DEC_ZERO, DEC_ONE);
    }
    if (dec_sign(after) != 0 && !baseline) {
        add_signal(change, dec_sign(before) == 0 ? WATCH_OPEN : WATCH_FLIP, DEC_ZERO, after,
                   DEC_ONE);
    }
}

/* `then` and `now` are of one place; either may be NULL, not both. False: nothing to write. */
static bool compare(const watch_position *then, const watch_position *now, bool baseline,
                    watch_change *change)
{
    const dec before = then != NULL ? then->quantity : DEC_ZERO;
    const dec after = now != NULL ? now->quantity : DEC_ZERO;

    change->signal_count = 0;
    change->position = now != NULL ? *now : *then;
    change->position.quantity = after;
    if (change->position.leverage == 0) {
        change->position.leverage = then != NULL ? then->leverage : 1;
    }
    if (dec_compare(before, after) == 0) {
        return then == NULL || then->leverage != change->position.leverage;
    }
    if (dec_sign(before) == dec_sign(after)) {
        compare_sizes(change, before, after, baseline);
    } else {
        compare_sides(change, before, after, baseline);
    }
    return true;
}

size_t watch_diff(const watch_reads *reads, watch_change *changes)
{
    size_t count = 0;

    /* What is gone first: it frees the followers' funds and places. */
    for (size_t i = 0; i < reads->then_count; i++) {
        const watch_position *then = &reads->then[i];

        if (find(reads->now, reads->now_count, then) == NULL &&
            reads->is_gone(reads->owner, then)) {
            count += compare(then, NULL, reads->baseline, &changes[count]);
        }
    }
    for (size_t i = 0; i < reads->now_count; i++) {
        const watch_position *now = &reads->now[i];
        const watch_position *then = find(reads->then, reads->then_count, now);

        count += compare(then, now, reads->baseline, &changes[count]);
    }
    return count;
}
