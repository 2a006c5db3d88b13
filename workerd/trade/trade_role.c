/*
 * The trade role: one loop with two connections to Postgres, an HTTP engine for each venue's
 * market, and the channel to the signer; a tick that asks for work that nobody told of.
 *
 * Promises: nothing is claimed before this process holds the lock that says it is alive, knows the
 * venue's clock and the instruments; at the end what was not sent is given back, what is under way
 * has TRADE_STOP_NS to end, and the rest is found by its lease.
 */
#include "core/clock.h"
#include "core/crypto.h"
#include "core/log.h"
#include "queries.h"
#include "workerd/trade/trade_engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRADE_STOP_NS (8 * CLOCK_SECOND_NS) /* the loop gives ten */
#define TRADE_HTTP_QUEUE 4096

static const char *const trade_channels[] = {"whale_signals", "whale_accounts", "whale_trades",
                                             NULL};

/* ---- Postgres ----------------------------------------------------------------------------------
 */

static void trade_ignore(void *owner, const net_pg_answer *answer)
{
    (void)owner;
    (void)answer;
}

static void trade_session(net_pg *pg)
{
    net_pg_unit *unit = net_pg_unit_new(false);

    net_pg_statement(unit, query_trade_session);
    net_pg_run(pg, unit, trade_ignore, NULL);
}

static void trade_owner_asked(void *owner, const net_pg_answer *answer)
{
    trade_engine *engine = owner;

    engine->owner_asked = false;
    if (answer->outcome == NET_PG_DONE) {
        engine->owner_locked = false;
        net_pg_get_bool(answer->results[0], 0, 0, &engine->owner_locked);
    }
    if (engine->owner_locked) {
        engine->signals_soon = true;
        engine->poll_ns = engine->slow_poll_ns = 0;
    }
}

/* Not waited for: an old session of ours that still has the lock says the same to the others. */
static void trade_owner_ask(trade_engine *engine)
{
    net_pg_unit *unit;

    if (engine->owner_locked || engine->owner_asked || !net_pg_connected(engine->work)) {
        return;
    }
    unit = net_pg_unit_new(false);
    net_pg_statement(unit, query_trade_owner_lock);
    net_pg_text(unit, engine->owner);
    engine->owner_asked = net_pg_run(engine->work, unit, trade_owner_asked, engine);
}

static void trade_work_notified(void *owner, const char *channel, const char *payload)
{
    trade_engine *engine = owner;

    (void)payload;
    if (channel == NULL) { /* a new session: the lock went with the old one */
        engine->owner_locked = false;
        trade_session(engine->work);
        trade_owner_ask(engine);
    } else if (strcmp(channel, "whale_signals") == 0) {
        engine->signals_soon = true;
        trade_fanout_claim(engine);
    } else if (strcmp(channel, "whale_trades") == 0) {
        for (size_t i = 0; i < engine->market_count; i++) {
            engine->markets[i].claim_soon = true;
            trade_claim_pending(&engine->markets[i]);
        }
    } else if (!engine->stopping) {
        trade_accounts_poll(engine->accounts);
    }
}

static void trade_book_notified(void *owner, const char *channel, const char *payload)
{
    trade_engine *engine = owner;

    (void)payload;
    if (channel == NULL) {
        trade_session(engine->book);
        trade_book_pump(engine);
    }
}

/* ---- the tick ----------------------------------------------------------------------------------
 */

static void trade_poll(trade_engine *engine)
{
    trade_fanout_claim(engine);
    for (size_t i = 0; i < engine->market_count; i++) {
        trade_claim_pending(&engine->markets[i]);
        trade_claim_unknown(&engine->markets[i]);
    }
}

static void trade_slow_poll(trade_engine *engine)
{
    /* One process of a host keeps the venues' lists. */
    size_t listed = engine->context->slot == 0 ? engine->market_count : 0;

    trade_owner_ask(engine);
    trade_claim_recover(engine);
    trade_instruments_poll(engine->instruments, engine->callers, listed);
    trade_accounts_poll(engine->accounts);
    for (size_t i = 0; i < engine->market_count; i++) {
        trade_claim_late(&engine->markets[i]);
        if (!trade_caller_synced(engine->callers[i])) {
            trade_caller_sync(engine->callers[i]);
        }
    }
}

static void trade_close(trade_engine *engine);

static void trade_on_tick(uv_timer_t *tick)
{
    trade_engine *engine = tick->data;
    int64_t now_ns = clock_monotonic_ns();

    trade_send_wake(engine, now_ns);
    trade_fanout_wake(engine);
    for (size_t i = 0; i < engine->market_count; i++) {
        trade_send_pump(&engine->markets[i]);
    }
    trade_book_pump(engine);
    if (engine->stopping) {
        bool idle = engine->job_count == 0 && !trade_fanout_busy(engine) && !engine->booking;

        if (idle || now_ns - engine->stopping_ns > TRADE_STOP_NS) {
            trade_close(engine);
        }
        return;
    }
    if (now_ns - engine->clock_ns > TRADE_CLOCK_NS) {
        engine->clock_ns = now_ns;
        for (size_t i = 0; i < engine->market_count; i++) {
            trade_caller_sync(engine->callers[i]);
        }
    }
    if (now_ns - engine->sweep_ns > TRADE_SWEEP_NS) {
        engine->sweep_ns = now_ns;
        trade_claim_left_behind(engine);
    }
    if (now_ns - engine->slow_poll_ns > TRADE_SLOW_POLL_NS) {
        engine->slow_poll_ns = now_ns;
        trade_slow_poll(engine);
    }
    if (now_ns - engine->poll_ns > TRADE_POLL_NS) {
        engine->poll_ns = now_ns;
        trade_poll(engine);
    }
}

/* ---- markets -----------------------------------------------------------------------------------
 */

trade_market *trade_market_find(trade_engine *engine, const char *venue, enum venue_market market)
{
    for (size_t i = 0; i < engine->market_count; i++) {
        if (engine->markets[i].adapter->market == market &&
            strcmp(engine->markets[i].adapter->name, venue) == 0) {
            return &engine->markets[i];
        }
    }
    return NULL;
}

static trade_caller *trade_caller_find(void *owner, const char *venue, enum venue_market market)
{
    trade_market *found = trade_market_find(owner, venue, market);

    return found != NULL ? found->caller : NULL;
}

static bool trade_market_slots(trade_market *market)
{
    uint64_t wanted = 2 * market->engine->config->trade_connections + 16;

    market->slot_count = wanted < TRADE_SLOTS_MAX ? (unsigned)wanted : TRADE_SLOTS_MAX;
    market->slots = calloc(market->slot_count, sizeof(*market->slots));
    if (market->slots == NULL) {
        return false;
    }
    for (unsigned i = 0; i < market->slot_count; i++) {
        trade_slot *slot = &market->slots[i];

        slot->fills = malloc(TRADE_FILLS_MAX * sizeof(*slot->fills));
        if (slot->fills == NULL) {
            return false;
        }
        slot->next = market->free_slots;
        market->free_slots = slot;
    }
    return true;
}

static bool trade_market_open(trade_engine *engine, const config_venue *addresses)
{
    trade_market *market = &engine->markets[engine->market_count];
    net_http_options options = {.connections = (unsigned)engine->config->trade_connections,
                                .queue = TRADE_HTTP_QUEUE,
                                .user_agent = "whale"};
    enum venue_market kind;

    if (!venue_market_by_name(addresses->market, &kind)) {
        return true;
    }
    market->adapter = venue_find(addresses->venue, kind);
    if (market->adapter == NULL ||
        market->adapter->capabilities[VENUE_OP_PLACE_ORDER] != VENUE_CAN) {
        return true; /* watched or priced there, not traded */
    }
    market->engine = engine;
    market->addresses = addresses;
    market->http = net_http_new(engine->uv, &options, engine->process);
    if (market->http == NULL) {
        return false;
    }
    market->caller = trade_caller_new(market->adapter, addresses, market->http, engine->sign,
                                      engine->config->receive_window_ns);
    if (market->caller == NULL || !trade_market_slots(market)) {
        return false;
    }
    engine->callers[engine->market_count++] = market->caller;
    trade_caller_sync(market->caller);
    return true;
}

static void trade_market_free(trade_market *market)
{
    for (unsigned i = 0; market->slots != NULL && i < market->slot_count; i++) {
        free(market->slots[i].fills);
    }
    free(market->slots);
    trade_caller_free(market->caller);
    if (market->http != NULL) {
        net_http_free(market->http);
    }
}

/* ---- beginning and end -------------------------------------------------------------------------
 */

static void trade_close(trade_engine *engine)
{
    if (engine->closed) {
        return;
    }
    engine->closed = true;
    uv_timer_stop(&engine->tick);
    uv_close((uv_handle_t *)&engine->tick, NULL);
    net_sign_close(engine->sign);
    for (size_t i = 0; i < engine->market_count; i++) {
        net_http_close(engine->markets[i].http);
    }
    net_pg_close(engine->work);
    net_pg_close(engine->book);
    net_loop_stop(engine->loop, engine->broken ? EXIT_FAILURE : EXIT_SUCCESS);
}

static void trade_begin_to_end(trade_engine *engine)
{
    if (engine->stopping) {
        return;
    }
    engine->stopping = true;
    engine->stopping_ns = clock_monotonic_ns();
    trade_accounts_stop(engine->accounts);
    trade_send_drain(engine);
}

static void trade_stopping(void *owner)
{
    trade_begin_to_end(owner);
}

/* Without a signer nothing can be done; the master starts both anew. */
static void trade_sign_lost(void *owner)
{
    trade_engine *engine = owner;

    log_event(LOG_ERROR, "trade.signer_lost", NULL);
    engine->broken = true;
    trade_begin_to_end(engine);
}

static bool trade_name_owner(trade_engine *engine)
{
    uint8_t random[8];
    char text[2 * sizeof(random) + 1];

    if (!crypto_random(random, sizeof(random))) {
        return false;
    }
    crypto_hex(random, sizeof(random), text);
    snprintf(engine->owner, sizeof(engine->owner), "%.64s/%u/%s", engine->config->host_name,
             engine->context->slot, text);
    return true;
}

static bool trade_connect(trade_engine *engine)
{
    net_pg_options options = {.conninfo = engine->config->database,
                              .password_file = engine->config->database_password_file,
                              .application_name = "whale trade",
                              .listen = trade_channels,
                              .notified = trade_work_notified,
                              .owner = engine};

    engine->work = net_pg_new(engine->uv, &options);
    options.application_name = "whale trade books";
    options.listen = NULL;
    options.notified = trade_book_notified;
    engine->book = net_pg_new(engine->uv, &options);
    return engine->work != NULL && engine->book != NULL;
}

static bool trade_start(trade_engine *engine)
{
    const whale_config *config = engine->config;

    engine->uv = net_loop_uv(engine->loop);
    engine->segment = net_loop_segment(engine->loop);
    engine->process = net_loop_process(engine->loop);
    engine->book_most = TRADE_BATCH_MAX;
    if (!trade_name_owner(engine)) {
        return false;
    }
    engine->sign = net_sign_new(engine->uv, engine->context->sign_channel, trade_sign_lost, engine);
    if (engine->sign == NULL || !trade_connect(engine)) {
        return false;
    }
    engine->instruments = trade_instruments_new(engine->book);
    engine->accounts = trade_accounts_new(engine->book, engine->sign, trade_caller_find, engine);
    if (engine->instruments == NULL || engine->accounts == NULL) {
        return false;
    }
    for (size_t i = 0; i < config->venue_count; i++) {
        if (!trade_market_open(engine, &config->venues[i])) {
            return false;
        }
    }
    uv_timer_init(engine->uv, &engine->tick);
    engine->tick.data = engine;
    return uv_timer_start(&engine->tick, trade_on_tick, 0, TRADE_TICK_MS) == 0;
}

static void trade_free(trade_engine *engine)
{
    for (size_t i = 0; i < TRADE_JOB_BUCKETS; i++) {
        while (engine->jobs[i] != NULL) {
            trade_job_free(engine->jobs[i]);
        }
    }
    for (size_t i = 0; i < engine->market_count; i++) {
        trade_market_free(&engine->markets[i]);
    }
    trade_accounts_free(engine->accounts);
    trade_instruments_free(engine->instruments);
    free(engine);
}

int trade_role_run(const role_context *context)
{
    trade_engine *engine = calloc(1, sizeof(*engine));
    int status;

    if (engine == NULL) {
        return EXIT_FAILURE;
    }
    engine->context = context;
    engine->config = context->config;
    engine->loop = net_loop_new(context, SHM_ROLE_TRADE, trade_stopping, engine);
    if (engine->loop == NULL || !trade_start(engine)) {
        log_event(LOG_ERROR, "trade.start", "error", LOG_TEXT("cannot start"), NULL);
        return EXIT_FAILURE; /* the process ends; the system takes the rest */
    }
    log_event(LOG_INFO, "trade.ready", "owner", LOG_TEXT(engine->owner), "markets",
              LOG_INT(engine->market_count), NULL);
    status = net_loop_run(engine->loop);
    net_loop_free(engine->loop);
    trade_free(engine);
    return status;
}
