/* One price as JSON; see whale_price.h. */
#include "whale_price.h"
#include "whale_position.h"
#include "whale_put.h"

/* 7 numbers, 2 times, an age, and about 260 bytes of names, beside the key's own. */
_Static_assert(7 * WHALE_PUT_DEC_MAX + 2 * WHALE_PUT_TIME_MAX + 20 + 300 + SHM_KEY_MAX <=
                   WHALE_PRICE_MAX,
               "every answer fits");

/* Keys are made of plain characters; one that is not is no text to be put between quotes. */
static bool price_is_plain(const char *key)
{
    for (; *key != '\0'; key++) {
        if (*key <= ' ' || *key > '~' || *key == '"' || *key == '\\') {
            return false;
        }
    }
    return true;
}

/* "binance:usdm:BTCUSDT": a native name may hold colons, the first two parts may not. */
static char *price_put_names(char *out, const char *key)
{
    const char *market = strchr(key, ':');
    const char *symbol = market != NULL ? strchr(market + 1, ':') : NULL;

    if (symbol == NULL || !price_is_plain(key)) {
        return NULL;
    }
    out = whale_put(out, "{\"venue\":\"");
    out = whale_put_bytes(out, key, (size_t)(market - key));
    out = whale_put(out, "\",\"market\":\"");
    out = whale_put_bytes(out, market + 1, (size_t)(symbol - market - 1));
    out = whale_put(out, "\",\"symbol\":\"");
    return whale_put_bytes(out, symbol + 1, strlen(symbol + 1));
}

static char *price_put_mark(char *out, const shm_price *price)
{
    out = whale_put(out, ",\"mark\":");
    out = whale_put_known(out, price->mark);
    out = whale_put(out, ",\"mark_source\":");
    if (dec_is_zero(price->mark)) {
        return whale_put(out, "null");
    }
    return (price->flags & SHM_PRICE_MARK_SYNTHETIC) != 0 ? whale_put(out, "\"synthetic\"")
                                                          : whale_put(out, "\"venue\"");
}

size_t whale_price_put(char out[WHALE_PRICE_MAX], const char *key, const shm_price *price,
                       int64_t now_ns, int64_t stale_ns, bool feed_lost)
{
    const char *source = shm_price_source_name(price->source);
    char *const start = out;
    int64_t age_ms;
    const bool stale = whale_price_is_stale(price, now_ns, stale_ns, &age_ms);

    if (strlen(key) >= SHM_KEY_MAX || (out = price_put_names(out, key)) == NULL) {
        return 0;
    }
    out = whale_put(out, "\",\"bid\":");
    out = whale_put_known(out, price->bid);
    out = whale_put(out, ",\"bid_size\":");
    out = whale_put_known(out, price->bid_size);
    out = whale_put(out, ",\"ask\":");
    out = whale_put_known(out, price->ask);
    out = whale_put(out, ",\"ask_size\":");
    out = whale_put_known(out, price->ask_size);
    out = whale_put(out, ",\"last\":");
    out = whale_put_known(out, price->last);
    out = price_put_mark(out, price);
    out = whale_put(out, ",\"funding\":");
    out = whale_put_known(out, price->funding);
    out = whale_put(out, ",\"exchange_time\":");
    out = whale_put_time(out, price->exchange_time_ns);
    out = whale_put(out, ",\"receive_time\":");
    out = whale_put_time(out, price->receive_time_ns);
    out = whale_put(out, ",\"source\":\"");
    out = whale_put_bytes(out, source, strlen(source));
    out = stale || feed_lost ? whale_put(out, "\",\"stale\":true,\"age_ms\":")
                             : whale_put(out, "\",\"stale\":false,\"age_ms\":");
    out = whale_put_number(out, (uint64_t)age_ms);
    *out++ = '}';
    return (size_t)(out - start);
}
