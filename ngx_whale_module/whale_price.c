/* One price as JSON; see whale_price.h. */
#include "whale_price.h"
#include "whale_position.h"

#include "core/json.h"

#include <string.h>

static void price_number(json_writer *writer, const char *name, dec value)
{
    json_key(writer, name);
    if (dec_is_zero(value)) {
        json_null(writer);
    } else {
        json_dec(writer, value);
    }
}

/* "binance:usdm:BTCUSDT": a native name may hold colons, the first two parts may not. */
static void price_names(json_writer *writer, const char *key)
{
    static const char *const names[] = {"venue", "market"};

    for (size_t i = 0; i < 2; i++) {
        const size_t length = strcspn(key, ":");

        json_key(writer, names[i]);
        json_text(writer, key, length);
        key += length + (key[length] == ':');
    }
    json_key(writer, "symbol");
    json_string(writer, key);
}

size_t whale_price_put(char out[WHALE_PRICE_MAX], const char *key, const shm_price *price,
                       int64_t now_ns, int64_t stale_ns, bool feed_lost)
{
    json_writer writer;
    int64_t age_ms;
    const bool stale = whale_price_is_stale(price, now_ns, stale_ns, &age_ms);

    json_begin(&writer, out, WHALE_PRICE_MAX);
    json_object(&writer);
    price_names(&writer, key);
    price_number(&writer, "bid", price->bid);
    price_number(&writer, "bid_size", price->bid_size);
    price_number(&writer, "ask", price->ask);
    price_number(&writer, "ask_size", price->ask_size);
    price_number(&writer, "last", price->last);
    price_number(&writer, "mark", price->mark);
    json_key(&writer, "mark_source");
    if (dec_is_zero(price->mark)) {
        json_null(&writer);
    } else {
        json_string(&writer,
                    (price->flags & SHM_PRICE_MARK_SYNTHETIC) != 0 ? "synthetic" : "venue");
    }
    price_number(&writer, "funding", price->funding);
    json_key(&writer, "exchange_time");
    json_time(&writer, price->exchange_time_ns);
    json_key(&writer, "receive_time");
    json_time(&writer, price->receive_time_ns);
    json_key(&writer, "source");
    json_string(&writer, shm_price_source_name(price->source));
    json_key(&writer, "stale");
    json_bool(&writer, stale || feed_lost);
    json_key(&writer, "age_ms");
    json_int(&writer, age_ms);
    json_object_end(&writer);
    return json_finish(&writer) ? writer.length : 0;
}
