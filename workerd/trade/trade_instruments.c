/*
 * Instruments from the venues to Postgres to memory. See trade_instruments.h.
 */
#include "workerd/trade/trade_instruments.h"

#include "core/clock.h"
#include "core/log.h"
#include "queries.h"

#include <stdlib.h>
#include <string.h>

#define TRADE_LIST_TIMEOUT_NS (20 * CLOCK_SECOND_NS)
#define TRADE_LIST_RETRY_NS (5 * CLOCK_SECOND_NS)
#define TRADE_LIST_CALLERS_MAX CONFIG_VENUES_MAX

static const char *const trade_unit_names[] = {"base", "contracts", "quote", "shares"};

struct trade_instruments {
    net_pg *pg;
    trade_instrument *rows; /* by id, ascending */
    size_t count;
    bool ready, loading, listing;
    int64_t load_after_ns;                         /* monotonic */
    int64_t list_after_ns[TRADE_LIST_CALLERS_MAX]; /* by caller */
    size_t lister;                                 /* whose list is under way */
    trade_caller *caller;
    venue_result result;
    venue_instrument *list; /* room for TRADE_INSTRUMENTS_MAX while listing */
};

trade_instruments *trade_instruments_new(net_pg *pg)
{
    trade_instruments *instruments = calloc(1, sizeof(*instruments));

    if (instruments != NULL) {
        instruments->pg = pg;
    }
    return instruments;
}

/* ---- Postgres to memory
 * ------------------------------------------------------------------------------- */

/* A text column that must be there and fit. */
static bool trade_text(const PGresult *rows, int row, int column, char *out, size_t capacity)
{
    const char *text = net_pg_value(rows, row, column);

    if (text == NULL || strlen(text) >= capacity) {
        return false;
    }
    strcpy(out, text);
    return true;
}

static bool trade_instrument_row(trade_instrument *out, const PGresult *rows, int row)
{
    venue_instrument *rules = &out->rules;
    dec *const figures[] = {
        &rules->price_tick,          &rules->quantity_step,        &rules->quantity_min,
        &rules->quantity_max,        &rules->market_quantity_step, &rules->market_quantity_min,
        &rules->market_quantity_max, &rules->notional_min,
    };
    char market[16], unit[16];
    int64_t leverage = 0;
    bool read = net_pg_get_int(rows, row, 0, &out->id) &&
                trade_text(rows, row, 1, out->name, sizeof(out->name)) &&
                trade_text(rows, row, 2, out->venue, sizeof(out->venue)) &&
                trade_text(rows, row, 3, market, sizeof(market)) &&
                venue_market_by_name(market, &rules->market) &&
                trade_text(rows, row, 4, rules->symbol, sizeof(rules->symbol)) &&
                trade_text(rows, row, 5, rules->underlying, sizeof(rules->underlying)) &&
                trade_text(rows, row, 6, rules->base, sizeof(rules->base)) &&
                trade_text(rows, row, 7, rules->quote, sizeof(rules->quote)) &&
                trade_text(rows, row, 8, rules->settle, sizeof(rules->settle)) &&
                net_pg_get_dec(rows, row, 9, &rules->multiplier) &&
                net_pg_get_dec(rows, row, 10, &rules->contract_size) &&
                net_pg_get_bool(rows, row, 11, &rules->inverse) &&
                trade_text(rows, row, 12, unit, sizeof(unit));

    for (size_t i = 0; read && i < sizeof(figures) / sizeof(figures[0]); i++) {
        read = net_pg_get_dec(rows, row, 13 + (int)i, figures[i]);
    }
    for (size_t i = 0; i < sizeof(trade_unit_names) / sizeof(trade_unit_names[0]); i++) {
        if (read && strcmp(unit, trade_unit_names[i]) == 0) {
            rules->quantity_unit = (enum venue_quantity_unit)i;
        }
    }
    read = read && net_pg_get_bool(rows, row, 21, &rules->notional_min_waived_reduce_only) &&
           net_pg_get_int(rows, row, 22, &leverage) &&
           net_pg_get_bool(rows, row, 23, &rules->trading);
    rules->leverage_max = (int)leverage;
    rules->perpetual = rules->market == VENUE_USDM || rules->market == VENUE_COINM;
    return read;
}

static void on_loaded(void *owner, const net_pg_answer *answer)
{
    trade_instruments *instruments = owner;

    instruments->loading = false;
    instruments->load_after_ns = clock_monotonic_ns() + TRADE_INSTRUMENTS_RELOAD_NS;
    if (answer->outcome != NET_PG_DONE) {
        instruments->load_after_ns = clock_monotonic_ns() + CLOCK_SECOND_NS;
        return;
    }
    const PGresult *rows = answer->results[0];
    size_t count = (size_t)PQntuples(rows), kept = 0;
    trade_instrument *table = calloc(count > 0 ? count : 1, sizeof(*table));

    if (table == NULL) {
        return;
    }
    for (size_t row = 0; row < count && kept < TRADE_INSTRUMENTS_MAX; row++) {
        if (trade_instrument_row(&table[kept], rows, (int)row)) {
            kept++;
        } else {
            log_event(LOG_ERROR, "instrument.unreadable", "row", LOG_INT(row), NULL);
        }
    }
    free(instruments->rows);
    instruments->rows = table;
    instruments->count = kept;
    instruments->ready = kept > 0;
}

static void trade_instruments_load(trade_instruments *instruments)
{
    net_pg_unit *unit = net_pg_unit_new(true);

    net_pg_statement(unit, query_trade_instrument_all);
    instruments->loading = net_pg_run(instruments->pg, unit, on_loaded, instruments);
}

/* ---- a venue's list to Postgres
 * ----------------------------------------------------------------------- */

static void trade_list_end(trade_instruments *instruments, bool stored)
{
    int64_t wait = stored ? TRADE_INSTRUMENTS_REFRESH_NS : TRADE_LIST_RETRY_NS;

    instruments->list_after_ns[instruments->lister] = clock_monotonic_ns() + wait;
    instruments->listing = false;
    free(instruments->list);
    instruments->list = NULL;
    if (stored) {
        instruments->load_after_ns = 0;
    }
}

static void on_stored(void *owner, const net_pg_answer *answer)
{
    trade_list_end(owner, answer->outcome == NET_PG_DONE);
}

/* One array parameter: the text at `offset` of every instrument. */
static void trade_push_texts(net_pg_unit *unit, const venue_instrument *list, size_t count,
                             size_t offset)
{
    net_pg_array(unit);
    for (size_t i = 0; i < count; i++) {
        net_pg_push_text(unit, (const char *)&list[i] + offset);
    }
}

static void trade_push_decs(net_pg_unit *unit, const venue_instrument *list, size_t count,
                            size_t offset)
{
    net_pg_array(unit);
    for (size_t i = 0; i < count; i++) {
        net_pg_push_dec(unit, *(const dec *)((const char *)&list[i] + offset));
    }
}

static void trade_push_bools(net_pg_unit *unit, const venue_instrument *list, size_t count,
                             size_t offset)
{
    net_pg_array(unit);
    for (size_t i = 0; i < count; i++) {
        net_pg_push_bool(unit, *(const bool *)((const char *)&list[i] + offset));
    }
}

/* A market-lot filter of zero means that the limit filter holds for market orders too. */
static void trade_market_lots(venue_instrument *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (dec_is_zero(list[i].market_quantity_step)) {
            list[i].market_quantity_step = list[i].quantity_step;
        }
        if (dec_is_zero(list[i].market_quantity_min)) {
            list[i].market_quantity_min = list[i].quantity_min;
        }
        if (dec_is_zero(list[i].market_quantity_max)) {
            list[i].market_quantity_max = list[i].quantity_max;
        }
    }
}

#define TRADE_AT(member) offsetof(venue_instrument, member)

static void trade_list_store(trade_instruments *instruments)
{
    static const size_t texts[] = {TRADE_AT(symbol), TRADE_AT(underlying), TRADE_AT(base),
                                   TRADE_AT(quote), TRADE_AT(settle)};
    static const size_t lots[] = {TRADE_AT(price_tick),           TRADE_AT(quantity_step),
                                  TRADE_AT(quantity_min),         TRADE_AT(quantity_max),
                                  TRADE_AT(market_quantity_step), TRADE_AT(market_quantity_min),
                                  TRADE_AT(market_quantity_max),  TRADE_AT(notional_min)};
    const venue_adapter *adapter = trade_caller_adapter(instruments->caller);
    venue_instrument *list = instruments->list;
    size_t count = instruments->result.count;
    net_pg_unit *unit = net_pg_unit_new(true);

    trade_market_lots(list, count);
    net_pg_statement(unit, query_trade_instrument_put);
    net_pg_text(unit, adapter->name);
    net_pg_text(unit, venue_market_name(adapter->market));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        trade_push_texts(unit, list, count, texts[i]);
    }
    trade_push_decs(unit, list, count, TRADE_AT(multiplier));
    trade_push_decs(unit, list, count, TRADE_AT(contract_size));
    trade_push_bools(unit, list, count, TRADE_AT(inverse));
    net_pg_array(unit);
    for (size_t i = 0; i < count; i++) {
        net_pg_push_text(unit, trade_unit_names[list[i].quantity_unit]);
    }
    for (size_t i = 0; i < sizeof(lots) / sizeof(lots[0]); i++) {
        trade_push_decs(unit, list, count, lots[i]);
    }
    trade_push_bools(unit, list, count, TRADE_AT(notional_min_waived_reduce_only));
    trade_push_bools(unit, list, count, TRADE_AT(trading));
    net_pg_statement(unit, query_trade_instrument_gone);
    net_pg_text(unit, adapter->name);
    net_pg_text(unit, venue_market_name(adapter->market));
    trade_push_texts(unit, list, count, TRADE_AT(symbol));
    if (!net_pg_run(instruments->pg, unit, on_stored, instruments)) {
        trade_list_end(instruments, false);
    }
}

static void on_list(void *owner, const trade_call_outcome *outcome)
{
    trade_instruments *instruments = owner;
    const venue_result *result = &instruments->result;

    if (outcome->end != TRADE_CALL_ANSWERED || result->verdict.class_ != VENUE_OK ||
        result->truncated || result->count == 0) {
        log_event(LOG_WARN, "instrument.no_list", "venue",
                  LOG_TEXT(trade_caller_adapter(instruments->caller)->name), "class",
                  LOG_TEXT(venue_class_name(result->verdict.class_)), NULL);
        trade_list_end(instruments, false);
        return;
    }
    trade_list_store(instruments);
}

static void trade_list_ask(trade_instruments *instruments, trade_caller *caller, size_t lister)
{
    trade_call_request request = {.call = {.operation = VENUE_OP_INSTRUMENTS},
                                  .timeout_ns = TRADE_LIST_TIMEOUT_NS,
                                  .result = &instruments->result,
                                  .done = on_list,
                                  .owner = instruments};

    instruments->caller = caller;
    instruments->lister = lister;
    instruments->list = calloc(TRADE_INSTRUMENTS_MAX, sizeof(*instruments->list));
    instruments->result =
        (venue_result){.instruments = instruments->list, .capacity = TRADE_INSTRUMENTS_MAX};
    instruments->listing = true;
    if (instruments->list == NULL || !trade_call(caller, &request)) {
        trade_list_end(instruments, false);
    }
}

void trade_instruments_poll(trade_instruments *instruments, trade_caller *const *callers,
                            size_t caller_count)
{
    int64_t now = clock_monotonic_ns();

    if (!instruments->loading && now >= instruments->load_after_ns &&
        net_pg_connected(instruments->pg)) {
        trade_instruments_load(instruments);
    }
    for (size_t i = 0; i < caller_count && i < TRADE_LIST_CALLERS_MAX; i++) {
        if (!instruments->listing && now >= instruments->list_after_ns[i] &&
            net_pg_connected(instruments->pg)) {
            trade_list_ask(instruments, callers[i], i);
        }
    }
}

bool trade_instruments_ready(const trade_instruments *instruments)
{
    return instruments->ready;
}

const trade_instrument *trade_instruments_find(const trade_instruments *instruments, int64_t id)
{
    size_t low = 0, high = instruments->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (instruments->rows[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < instruments->count && instruments->rows[low].id == id ? &instruments->rows[low]
                                                                       : NULL;
}

/* Contracts of another size are another quantity, but the same thing. */
static bool trade_alike(const venue_instrument *a, const venue_instrument *b)
{
    return a->market == b->market && a->inverse == b->inverse &&
           strcmp(a->underlying, b->underlying) == 0 && strcmp(a->quote, b->quote) == 0 &&
           strcmp(a->settle, b->settle) == 0 && dec_compare(a->multiplier, b->multiplier) == 0;
}

size_t trade_instruments_alike(const trade_instruments *instruments,
                               const trade_instrument *instrument, int64_t *ids, size_t capacity)
{
    size_t count = 0;

    for (size_t i = 0; i < instruments->count && count < capacity; i++) {
        if (trade_alike(&instruments->rows[i].rules, &instrument->rules)) {
            ids[count++] = instruments->rows[i].id;
        }
    }
    return count;
}

const trade_instrument *trade_instruments_at(const trade_instruments *instruments,
                                             const trade_instrument *instrument, const char *venue)
{
    if (strcmp(instrument->venue, venue) == 0) {
        return instrument;
    }
    for (size_t i = 0; i < instruments->count; i++) {
        if (strcmp(instruments->rows[i].venue, venue) == 0 &&
            trade_alike(&instruments->rows[i].rules, &instrument->rules)) {
            return &instruments->rows[i];
        }
    }
    return NULL;
}

bool trade_instruments_busy(const trade_instruments *instruments)
{
    return instruments->loading || instruments->listing;
}

void trade_instruments_free(trade_instruments *instruments)
{
    if (instruments == NULL) {
        return;
    }
    free(instruments->rows);
    free(instruments->list);
    free(instruments);
}
