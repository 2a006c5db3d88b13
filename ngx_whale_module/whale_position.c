/*
 * Positions as JSON; see whale_position.h. This is the busiest text in the module, so it is written
 * without a writer: constant pieces are copied, numbers formatted in place, and the bound of each
 * piece is part of WHALE_POSITION_LIVE_MAX.
 */
#include "whale_position.h"
#include "whale_put.h"

typedef unsigned __int128 position_u128;

#define POSITION_UNIT 1000000000000ULL /* of dec */

/* n / d rounded half-even, where the quotient has 64 bits: n's upper half is below d. */
static uint64_t position_divide(position_u128 n, uint64_t d)
{
    uint64_t quotient, remainder;

#if defined(__x86_64__)
    /* one instruction; the compiler would call a function for 128 by 128 bits */
    __asm__("divq %4"
            : "=a"(quotient), "=d"(remainder)
            : "a"((uint64_t)n), "d"((uint64_t)(n >> 64)), "r"(d)
            : "cc");
#else
    quotient = (uint64_t)(n / d);
    remainder = (uint64_t)(n % d);
#endif
    return quotient + (remainder > d - remainder || (remainder == d - remainder && (quotient & 1)));
}

static position_u128 position_magnitude(__int128 value)
{
    return value < 0 ? -(position_u128)value : (position_u128)value;
}

/* What lies in shared memory may be anything; a dec is below 10^26. */
static bool position_is_dec(dec value)
{
    return position_magnitude(value.units) <
           (position_u128)100000000000000ULL * 1000000000000ULL * 1000000000000ULL;
}

/* a x b for magnitudes of 64 bits with a result of 63; false: take the long way. */
static bool position_multiply(__int128 a, __int128 b, uint64_t *out)
{
    const position_u128 left = position_magnitude(a), right = position_magnitude(b);
    position_u128 product;

    if ((left | right) >> 64 != 0) {
        return false;
    }
    product = (position_u128)(uint64_t)left * (uint64_t)right;
    if ((uint64_t)(product >> 64) >= POSITION_UNIT / 4) {
        return false;
    }
    *out = position_divide(product, POSITION_UNIT);
    return true;
}

/* To 8 places, half-even: how money is shown. */
static bool position_show(dec value, dec *out)
{
    const uint64_t step = 10000;
    const position_u128 magnitude = position_magnitude(value.units);
    uint64_t quotient, remainder;

    if (magnitude >> 62 != 0) {
        return dec_to_step(value, (dec){(__int128)step}, DEC_HALF_EVEN, out);
    }
    quotient = (uint64_t)magnitude / step;
    remainder = (uint64_t)magnitude % step;
    quotient += remainder > step / 2 || (remainder == step / 2 && (quotient & 1) != 0);
    out->units = value.units < 0 ? -(__int128)(quotient * step) : (__int128)(quotient * step);
    return true;
}

/* Percent with 4 places is pnl x 10^6 / margin, counted in 10^-4. */
static bool position_roi(dec pnl, dec margin, dec *out)
{
    const position_u128 magnitude = position_magnitude(pnl.units);
    dec scaled;

    if (dec_sign(margin) <= 0) {
        return false;
    }
    if (magnitude >> 64 == 0 && (position_u128)margin.units >> 64 == 0) {
        const position_u128 product = magnitude * 1000000U;
        const uint64_t divisor = (uint64_t)margin.units;

        if ((uint64_t)(product >> 64) < divisor) {
            const __int128 units = (__int128)position_divide(product, divisor) * 100000000;

            out->units = pnl.units < 0 ? -units : units;
            return true;
        }
    }
    return dec_mul_div(pnl, (dec){1000000}, margin, DEC_HALF_EVEN, &scaled) &&
           dec_mul(scaled, dec_from_int(100000000), DEC_HALF_EVEN, out);
}

void whale_position_figures(const shm_position *position, dec mark, whale_figures *out)
{
    const dec quantity = position->quantity;
    const bool is_short = dec_sign(quantity) < 0;
    dec notional, pnl;
    uint64_t product;

    out->known = out->roi_known = false;
    if (dec_sign(mark) <= 0 || !position_is_dec(mark) || !position_is_dec(quantity) ||
        !position_is_dec(position->entry_notional) || !position_is_dec(position->margin)) {
        return;
    }
    if (position_multiply(quantity.units, mark.units, &product)) {
        notional.units = (__int128)product;
    } else if (!dec_mul(dec_absolute(quantity), mark, DEC_HALF_EVEN, &notional)) {
        return;
    }
    if (!dec_sub(notional, position->entry_notional, &pnl)) {
        return;
    }
    pnl = is_short ? dec_negate(pnl) : pnl;
    out->known = position_show(notional, &out->notional) && position_show(pnl, &out->pnl);
    out->roi_known = out->known && position_roi(pnl, position->margin, &out->roi);
}

bool whale_price_is_stale(const shm_price *price, int64_t now_ns, int64_t stale_ns,
                          int64_t *age_ms)
{
    int64_t age_ns;

    if (__builtin_sub_overflow(now_ns, price->receive_time_ns, &age_ns)) {
        age_ns = INT64_MAX; /* no time that a feed wrote */
    }
    /* the clock of requests is read once a loop turn, so a fresh price may lie ahead of it */
    *age_ms = age_ns > 0 ? age_ns / 1000000 : 0;
    return age_ns > stale_ns || (price->flags & SHM_PRICE_DISCONNECTED) != 0;
}

static char *position_put_unknown(char *out)
{
    return whale_put(out, ",\"mark_price\":null,\"mark_source\":null,\"notional\":null,"
                          "\"unrealised_pnl\":null,\"roi\":null,\"price_age_ms\":null,\"stale\":true}");
}

size_t whale_position_put(char *out, const shm_position *position, const shm_price *price,
                          int64_t now_ns, int64_t stale_ns)
{
    const uint32_t length = position->text_length < SHM_POSITION_TEXT_MAX ? position->text_length
                                                                          : SHM_POSITION_TEXT_MAX;
    char *const start = out;
    whale_figures figures = {.known = false};
    int64_t age_ms;
    bool stale;

    *out++ = '{';
    memcpy(out, position->text, length);
    out += length;
    if (price != NULL) {
        whale_position_figures(position, price->mark, &figures);
    }
    if (!figures.known) {
        return (size_t)(position_put_unknown(out) - start);
    }
    stale = whale_price_is_stale(price, now_ns, stale_ns, &age_ms);
    out = whale_put(out, ",\"mark_price\":");
    out = whale_put_dec(out, price->mark);
    out = (price->flags & SHM_PRICE_MARK_SYNTHETIC) != 0
              ? whale_put(out, ",\"mark_source\":\"synthetic\",\"notional\":")
              : whale_put(out, ",\"mark_source\":\"venue\",\"notional\":");
    out = whale_put_dec(out, figures.notional);
    out = whale_put(out, ",\"unrealised_pnl\":");
    out = whale_put_dec(out, figures.pnl);
    out = whale_put(out, ",\"roi\":");
    out = figures.roi_known ? whale_put_dec(out, figures.roi) : whale_put(out, "null");
    out = whale_put(out, ",\"price_age_ms\":");
    out = whale_put_number(out, (uint64_t)age_ms);
    out = stale ? whale_put(out, ",\"stale\":true}") : whale_put(out, ",\"stale\":false}");
    return (size_t)(out - start);
}
