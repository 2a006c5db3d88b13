/*
 * One price as JSON. Values that the venue did not tell are null.
 */
#ifndef WHALE_PRICE_H
#define WHALE_PRICE_H

#include "shm/shm.h"

#define WHALE_PRICE_MAX 1024

/* Returns the length; 0 where it did not fit. `feed_lost`: nobody writes prices any more. */
size_t whale_price_put(char out[WHALE_PRICE_MAX], const char *key, const shm_price *price,
                       int64_t now_ns, int64_t stale_ns, bool feed_lost);

#endif
