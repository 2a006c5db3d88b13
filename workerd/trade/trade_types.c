/* The database's words; see trade_types.h. */
#include "workerd/trade/trade_types.h"

#include <string.h>

static bool trade_word(const char *name, const char *const *words, size_t count, int *index)
{
    for (size_t i = 0; name != NULL && i < count; i++) {
        if (strcmp(name, words[i]) == 0) {
            *index = (int)i;
            return true;
        }
    }
    return false;
}

bool trade_kind_by_name(const char *name, enum trade_kind *kind)
{
    static const char *const words[] = {"OPEN", "INCREASE", "REDUCE", "CLOSE", "FLIP"};
    int index;

    if (!trade_word(name, words, 5, &index)) {
        return false;
    }
    *kind = (enum trade_kind)index;
    return true;
}

bool trade_side_by_name(const char *name, enum venue_side *side)
{
    static const char *const words[] = {"BUY", "SELL"};
    int index;

    if (!trade_word(name, words, 2, &index)) {
        return false;
    }
    *side = index == 0 ? VENUE_BUY : VENUE_SELL;
    return true;
}

bool trade_tier_by_name(const char *name, enum trade_tier *tier)
{
    static const char *const words[] = {"FREE", "PRO", "ELITE"};
    int index;

    if (!trade_word(name, words, 3, &index)) {
        return false;
    }
    *tier = (enum trade_tier)index;
    return true;
}

const char *trade_side_name(enum venue_side side)
{
    return side == VENUE_BUY ? "BUY" : "SELL";
}
