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

/* n / d rounded half-even, of what has 64 bits. */
static uint64_t position_round(uint64_t n, uint64_t d)
{
    const uint64_t quotient = n / d, remainder = n - quotient * d;

    return quotient + (remainder > d / 2 || (remainder == d / 2 && (quotient & 1) != 0));
}

/* At most 2^62: sums and differences of two fit an int64. */
static bool position_is_small(__int128 value)
{
    return (position_u128)value <= (position_u128)1 << 62;
}

/*
 * Nearly all positions: every value and result has 62 bits (below 4.6 million, at 12 places). False:
 * take the long way.
 */
static bool position_figures_small(const shm_position *position, dec mark, whale_figures *out)
{
    const bool is_short = position->quantity.units < 0;
    const position_u128 quantity = position_magnitude(position->quantity.units);
    position_u128 product;
    uint64_t size;
    int64_t notional, pnl;

    if (!position_is_small((__int128)quantity) || !position_is_small(mark.units) ||
        !position_is_small(position->entry_notional.units) ||
        !position_is_small(position->margin.units)) {
        return false;
    }
    product = (position_u128)(uint64_t)quantity * (uint64_t)mark.units;
    if ((uint64_t)(product >> 64) >= POSITION_UNIT / 4) {
        return false;
    }
    notional = (int64_t)position_divide(product, POSITION_UNIT);
    pnl = notional - (int64_t)position->entry_notional.units;
    size = pnl < 0 ? -(uint64_t)pnl : (uint64_t)pnl;
    out->known = true;
    out->notional.units = (__int128)position_round((uint64_t)notional, 10000) * 10000;
    out->pnl.units = (__int128)position_round(size, 10000) * 10000;
    out->pnl.units = (pnl < 0) != is_short ? -out->pnl.units : out->pnl.units;
    out->roi_known = position->margin.units > 0;
    if (out->roi_known) {
        const uint64_t margin = (uint64_t)position->margin.units;

        product = (position_u128)size * 1000000U;
        if ((uint64_t)(product >> 64) >= margin) {
            return false;
        }
        out->roi.units = (__int128)position_divide(product, margin) * 100000000;
        out->roi.units = (pnl < 0) != is_short ? -out->roi.units : out->roi.units;
    }
    return true;
}

/* What lies in shared memory may be anything; a dec is below 10^26. */
static bool position_is_dec(dec value)
{
    return position_magnitude(value.units) <
           (position_u128)100000000000000ULL * 1000000000000ULL * 1000000000000ULL;
}

static bool position_figures_large(const shm_position *position, dec mark, whale_figures *out)
{
    const dec show = {10000};
    dec notional, pnl, scaled;

    if (!position_is_dec(mark) || !position_is_dec(position->quantity) ||
        !position_is_dec(position->entry_notional) || !position_is_dec(position->margin) ||
        !dec_mul(dec_absolute(position->quantity), mark, DEC_HALF_EVEN, &notional) ||
        !dec_sub(notional, position->entry_notional, &pnl)) {
        return false;
    }
    pnl = dec_sign(position->quantity) < 0 ? dec_negate(pnl) : pnl;
    /* percent with 4 places is pnl x 10^6 / margin, counted in 10^-4 */
    out->roi_known = dec_sign(position->margin) > 0 &&
                     dec_mul_div(pnl, (dec){1000000}, position->margin, DEC_HALF_EVEN, &scaled) &&
                     dec_mul(scaled, dec_from_int(100000000), DEC_HALF_EVEN, &out->roi);
    return dec_to_step(notional, show, DEC_HALF_EVEN, &out->notional) &&
           dec_to_step(pnl, show, DEC_HALF_EVEN, &out->pnl);
}

void whale_position_figures(const shm_position *position, dec mark, whale_figures *out)
{
    out->known = out->roi_known = false;
    if (dec_sign(mark) <= 0 || position_figures_small(position, mark, out)) {
        return;
    }
    out->known = position_figures_large(position, mark, out);
    out->roi_known = out->known && out->roi_known;
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
