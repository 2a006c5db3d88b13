/*
 * What the parts of the copy engine share: the engine, its markets, and the jobs that it has under
 * way. Private to this folder.
 *
 *   fanout -> reserve ─┬─▶ send ─▶ book ─▶ (gone)
 *            claim ────┘    │ ▲
 *                           ▼ │
 *                           ask
 *
 * A job is one trade that this process has under its lease. It is in exactly one place at a time: a
 * queue of its market, a call under way, the list of those that wait, or the queue to be booked.
 */
#ifndef WHALE_TRADE_ENGINE_H
#define WHALE_TRADE_ENGINE_H

#include "workerd/net/net_http.h"
#include "workerd/net/net_loop.h"
#include "workerd/net/net_pg.h"
#include "workerd/net/net_sign.h"
#include "workerd/trade/trade_accounts.h"
#include "workerd/trade/trade_call.h"
#include "workerd/trade/trade_instruments.h"
#include "workerd/trade/trade_outcome.h"
#include "workerd/trade/trade_settle.h"
#include "workerd/trade/trade_types.h"

#define TRADE_JOBS_MAX 16384 /* under way in one process */
#define TRADE_JOB_BUCKETS 8192
#define TRADE_BATCH_MAX 1000 /* rows of one statement */
#define TRADE_CLAIM_MAX 500
#define TRADE_SIGNALS_MAX 8 /* fanned out at once */
#define TRADE_ALIKE_MAX 8   /* instruments of other venues that stand for one */
#define TRADE_SLOTS_MAX 512 /* calls under way in one market */
#define TRADE_OWNER_MAX 128
#define TRADE_CLIENT_BASE_MAX 28 /* 'w' and 26 of base32 */
#define TRADE_CLIENT_ID_MAX 32   /* and 2 of attempt */
#define TRADE_TICK_MS 50
#define TRADE_POLL_NS (250 * 1000000LL)
#define TRADE_SLOW_POLL_NS (1000 * 1000000LL)
#define TRADE_CLOCK_NS (30000 * 1000000LL)
#define TRADE_SWEEP_NS (15000 * 1000000LL)
#define TRADE_LANE_WAIT_NS (10000 * 1000000LL) /* that trades are known to wait for their lane */
#define TRADE_ASK_LEASE_NS (20000 * 1000000LL)
#define TRADE_LEASE_MARGIN_NS (500 * 1000000LL)
#define TRADE_CALL_TIMEOUT_NS (5000 * 1000000LL) /* of questions */

typedef struct trade_engine trade_engine;
typedef struct trade_market trade_market;
typedef struct trade_job trade_job;
typedef struct trade_slot trade_slot;
typedef struct trade_fanout trade_fanout;

/* Which call a job makes next. */
enum trade_phase {
    TRADE_AT_LEVERAGE,
    TRADE_AT_PLACE,
    TRADE_AT_FILLS,
    TRADE_AT_ASK_ORDER,
    TRADE_AT_ASK_FILLS,
    TRADE_AT_ASK_OTHER, /* an order that is nobody's: is it ours? */
    TRADE_AT_ASK_POSITION,
};

typedef struct {
    trade_job *first, *last;
    unsigned count;
} trade_queue;

struct trade_job {
    trade_engine *engine;
    trade_market *market;
    trade_job *next, *hash_next;
    int64_t user_id, id, account_id, instrument_id, whale_id, follow_id;
    char ref[NET_SIGN_REF_MAX];
    char *secret;                            /* as stored; encrypted */
    char client_base[TRADE_CLIENT_BASE_MAX]; /* without the attempt */
    enum venue_side side;
    bool reduce_only;
    char close_reason[16];
    dec quantity, hold, price;
    int leverage, account_leverage, attempt, asks, fills_tries, reloads;
    int64_t detected_ns, reserved_ns;
    int64_t requested_ns; /* venue time; part of the claim's key; whole microseconds */
    int64_t claimed_ns;   /* wall clock, just before the claim was sent */
    int64_t sent_ns, accepted_ns, wake_ns;
    int64_t resend_ns, resend_claimed_ns; /* of the claim that is being written */
    trade_position position;              /* the copy that it changes, as the claim saw it */
    dec book_quantity; /* signed: all open copies of this account and instrument */
    enum trade_phase phase;
    bool hashed, asking, late, leverage_set, flat_told;
    char venue_order_id[VENUE_ID_MAX];
    dec accepted_quantity; /* what the venue made of it: it may cut a reduce-only order */
    dec executed;
    venue_fill *fills;
    size_t fill_count;
    /* orders found at the venue that nobody knows, to be looked at one by one */
    char others[8][VENUE_ID_MAX];
    unsigned other_count;
    /* how it ended, for the books */
    trade_next next_step;
    int venue_code;
    char venue_message[160];
};

/* Room for one call under way. */
struct trade_slot {
    trade_slot *next;
    trade_job *job;
    venue_result result;
    venue_order order;
    venue_position positions[4];
    venue_fill *fills; /* TRADE_FILLS_MAX; touched only as far as used */
};

/* One venue's market: who carries its calls, and which jobs wait for one. */
struct trade_market {
    trade_engine *engine;
    const config_venue *addresses;
    const venue_adapter *adapter;
    net_http *http;
    trade_caller *caller;
    trade_queue placing,
        asking; /* orders first: what waits for an answer can wait a little longer */
    trade_slot *free_slots;
    trade_slot *slots;
    unsigned slot_count, busy;
    bool claiming, claim_soon, pumping;
    int64_t lane_waited_ns; /* monotonic: when a trade was last seen to wait for its lane */
};

struct trade_engine {
    const role_context *context;
    const whale_config *config;
    net_loop *loop;
    uv_loop_t *uv;
    shm_segment *segment;
    shm_process *process;
    net_pg *work; /* signals, reservations, claims */
    net_pg *book; /* outcomes */
    net_sign *sign;
    trade_instruments *instruments;
    trade_accounts *accounts;
    trade_market markets[CONFIG_VENUES_MAX];
    trade_caller *callers[CONFIG_VENUES_MAX];
    size_t market_count;
    char owner[TRADE_OWNER_MAX];
    uv_timer_t tick;
    int64_t last_requested_ns, poll_ns, slow_poll_ns, clock_ns, sweep_ns, stopping_ns;
    trade_job *jobs[TRADE_JOB_BUCKETS];
    unsigned job_count;
    trade_queue waiting; /* for wake_ns */
    trade_queue ended;   /* for the books */
    bool booking;        /* a transaction is under way */
    unsigned book_most;  /* jobs of the next transaction; halved where one of them spoils it */
    int64_t book_again_ns;
    trade_fanout *fanouts[TRADE_SIGNALS_MAX];
    bool signals_claiming, signals_soon, recovering, owner_asked, owner_locked;
    bool stopping, broken, closed;
};

/* ---- trade_job.c --------------------------------------------------------------------------------
 */

trade_job *trade_job_new(trade_engine *engine, trade_market *market, const char *secret);
void trade_job_free(trade_job *job);
/* Makes it known by its trade; false: this trade is under way here already. */
bool trade_job_register(trade_job *job);
trade_job *trade_job_find(const trade_engine *engine, int64_t id);
bool trade_job_draw_client_id(char out[TRADE_CLIENT_BASE_MAX]);
void trade_job_client_id(const trade_job *job, char out[TRADE_CLIENT_ID_MAX]);
void trade_queue_push(trade_queue *queue, trade_job *job);
void trade_queue_push_front(trade_queue *queue, trade_job *job);
trade_job *trade_queue_pop(trade_queue *queue);
trade_standing trade_job_standing(const trade_job *job);

/* ---- trade_send.c -------------------------------------------------------------------------------
 */

/* A claimed trade begins: leverage where it differs, then the order. */
void trade_send_start(trade_job *job);
/* Does what the next step says. */
void trade_send_step(trade_job *job, const trade_next *next);
/* Starts calls as far as there are slots. */
void trade_send_pump(trade_market *market);
/* Jobs whose time to wait is over. */
void trade_send_wake(trade_engine *engine, int64_t now_ns);
/* Gives back whatever has not been sent. */
void trade_send_drain(trade_engine *engine);

/* ---- trade_ask.c --------------------------------------------------------------------------------
 */

void trade_ask_start(trade_job *job);
/* Builds the call of an asking phase. */
void trade_ask_call(trade_job *job, trade_slot *slot, venue_call *call);
/* The answer to it. */
void trade_ask_answered(trade_job *job, trade_slot *slot, const trade_call_outcome *outcome);

/* ---- trade_book.c -------------------------------------------------------------------------------
 */

void trade_book_add(trade_job *job);
void trade_book_pump(trade_engine *engine);

/* ---- trade_claim.c ------------------------------------------------------------------------------
 */

void trade_claim_pending(trade_market *market);
void trade_claim_unknown(trade_market *market);
void trade_claim_late(trade_market *market);
void trade_claim_recover(trade_engine *engine);
/* Closes for copies that their whale has left and nobody is closing. */
void trade_claim_left_behind(trade_engine *engine);
/* One of ours again, because it was settled on what has changed. */
void trade_claim_reload(trade_job *job);
/* The request time of a claim: the venue's time now, and never the same twice. */
int64_t trade_claim_time(trade_market *market);
/* What a transaction with this request time claimed, if it committed before the connection broke.
 */
void trade_claim_lost(trade_engine *engine, int64_t requested_ns);

/* ---- trade_fanout.c -----------------------------------------------------------------------------
 */

void trade_fanout_claim(trade_engine *engine);
/* Those that wait to try again, or to end. */
void trade_fanout_wake(trade_engine *engine);
bool trade_fanout_busy(const trade_engine *engine);

trade_market *trade_market_find(trade_engine *engine, const char *venue, enum venue_market market);

#endif
