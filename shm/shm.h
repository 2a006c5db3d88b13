/*
 * The shared-memory segment (docs/ARCHITECTURE.md): what workerd writes and nginx serves.
 *
 * One file per host. The master makes it (`shm_create`), each region has one writing process, and
 * nginx maps it read-only. Every record is under a sequence lock: readers copy, then validate, with
 * a bounded number of retries, and check every index and count against the region before they use
 * it.
 *
 * Promises: a reader never crashes, spins, or shows a torn value, whatever the bytes in the file; a
 * mapped file is never truncated; a new generation is a new file renamed into place. The segment is
 * a projection: it can be thrown away and rebuilt at any time.
 */
#ifndef WHALE_SHM_H
#define WHALE_SHM_H

#include "core/dec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHM_KEY_MAX 112           /* "venue:market:native", native <= 80 bytes */
#define SHM_POSITION_TEXT_MAX 448 /* constant JSON members of a position, no braces */
#define SHM_USER_POSITIONS_MAX                                                                     \
    64 /* served from the segment; users with more are read from Postgres */
#define SHM_SIGNAL_TEXT_MAX 480
#define SHM_WHALES_TEXT_MAX (256 * 1024)
#define SHM_PROCESSES_MAX 64
#define SHM_STALE_SERVED_NS (60LL * 1000000000LL) /* with a dead writer, then 503 */

/* ---- the segment as a whole ------------------------------------------------------------------ */

enum shm_state { SHM_ABSENT, SHM_INITIALISING, SHM_INCOMPATIBLE, SHM_STALE, SHM_LIVE };
const char *shm_state_name(enum shm_state state);

enum shm_role {
    SHM_ROLE_MASTER,
    SHM_ROLE_FEED,
    SHM_ROLE_WATCH,
    SHM_ROLE_TRADE,
    SHM_ROLE_SIGN,
    SHM_ROLE_MIRROR,
    SHM_ROLE_NOTIFY,
    SHM_ROLE_PAPER,
    SHM_ROLE_COUNT,
};
const char *shm_role_name(enum shm_role role);

typedef struct shm_segment shm_segment; /* one mapping, of a reader or of a writer */

typedef struct {
    uint32_t instruments, users, positions, signals; /* capacities */
    uint64_t config_hash;
    unsigned mode; /* 0640 */
    int group;     /* gid of nginx's workers, or -1 */
} shm_options;

/*
 * Makes a whole new segment beside `path`, carries over the prices of a readable older one, then
 * renames it into place. Reserves every page at once: a full /dev/shm is an error here (error text
 * names the bytes wanted), never a SIGBUS later.
 */
bool shm_create(const char *path, const shm_options *options, char *error, size_t capacity);

/* Maps for writing (workerd's roles). NULL with the reason. */
shm_segment *shm_open_writer(const char *path, char *error, size_t capacity);
/* A reader that may find nothing yet: never NULL but for lack of memory. */
shm_segment *shm_open_reader(const char *path);
void shm_close(shm_segment *segment);

/*
 * For readers, on a timer: remaps when the file at the path is another one (device, inode, epoch)
 * and returns the state. Cheap (one stat). Never call it between reading an index and using it.
 */
enum shm_state shm_refresh(shm_segment *segment);
enum shm_state shm_state_now(const shm_segment *segment); /* without a system call but the clock */
uint64_t shm_epoch(const shm_segment *segment);
uint64_t shm_config_hash(const shm_segment *segment);
void shm_set_config_hash(shm_segment *segment, uint64_t hash); /* master, after a reload */
/* Nanoseconds since `role` last beat; INT64_MAX where it never did. */
int64_t shm_heartbeat_age_ns(const shm_segment *segment, enum shm_role role);

/* ---- processes: heartbeats, counters, histograms ----------------------------------------------
 */

/*
 * A process's block, by role and slot (several trade processes have slots 0, 1, ...). Reused by its
 * successor, so that counters go on. Beat at least once a second.
 */
typedef struct shm_process shm_process;
shm_process *shm_process_join(shm_segment *segment, enum shm_role role, unsigned slot);
void shm_process_beat(shm_process *process);

/* X(name in /metrics without the "whale_" prefix, help) */
#define SHM_COUNTERS(X)                                                                            \
    X(feed_frames_total, "websocket frames received")                                              \
    X(feed_ticks_total, "prices published")                                                        \
    X(feed_rejected_total, "frames that could not be read")                                        \
    X(feed_reconnects_total, "stream reconnections")                                               \
    X(feed_silences_total, "streams replaced because they were silent")                            \
    X(watch_polls_total, "reads of a whale's positions")                                           \
    X(watch_unknown_total, "reads that told nothing")                                              \
    X(watch_signals_total, "signals written")                                                      \
    X(trade_decided_total, "decisions made")                                                       \
    X(trade_skipped_total, "copies not made, with a reason")                                       \
    X(trade_reserved_total, "trades reserved")                                                     \
    X(trade_stale_decisions_total, "decisions made again because the facts had changed")           \
    X(trade_sent_total, "orders sent")                                                             \
    X(trade_filled_total, "trades filled")                                                         \
    X(trade_failed_total, "trades failed")                                                         \
    X(trade_unknown_total, "answers that were unclear")                                            \
    X(trade_resolved_total, "unclear trades resolved")                                             \
    X(trade_lease_expired_total, "sends stopped because the lease was near its end")               \
    X(trade_dead_total, "jobs put into jobs_dead")                                                 \
    X(sign_signed_total, "requests signed")                                                        \
    X(sign_refused_total, "requests refused by the allow-list")                                    \
    X(mirror_changes_total, "changes applied to the segment")                                      \
    X(mirror_users_total, "users loaded")                                                          \
    X(notify_sent_total, "messages sent")                                                          \
    X(notify_limited_total, "messages delayed by 429")                                             \
    X(notify_failed_total, "messages given up")                                                    \
    X(net_requests_total, "HTTP requests to venues")                                               \
    X(net_errors_total, "HTTP requests without an answer")                                         \
    X(paper_orders_total, "orders accepted by the paper venue")                                    \
    X(paper_rejected_total, "orders refused by the paper venue")                                   \
    X(loop_stalls_total, "event-loop turns over 100 ms")

enum shm_counter {
#define SHM_COUNTER_ENUM(name, help) SHM_##name,
    SHM_COUNTERS(SHM_COUNTER_ENUM)
#undef SHM_COUNTER_ENUM
        SHM_COUNTER_COUNT
};

/* Latencies in ns, power-of-two buckets. */
#define SHM_HISTOGRAMS(X)                                                                          \
    X(feed_tick_seconds, "frame in memory to price in the segment")                                \
    X(watch_detect_seconds, "whale's page answered to signal committed")                           \
    X(trade_reserve_seconds, "signal committed to trade reserved")                                 \
    X(trade_send_seconds, "trade reserved to order on the wire")                                   \
    X(trade_confirm_seconds, "order on the wire to fill committed")                                \
    X(trade_total_seconds, "signal committed to fill committed")                                   \
    X(mirror_visible_seconds, "fill committed to visible in the segment")                          \
    X(sign_batch_seconds, "a batch at the signer")

enum shm_histogram {
#define SHM_HISTOGRAM_ENUM(name, help) SHM_##name,
    SHM_HISTOGRAMS(SHM_HISTOGRAM_ENUM)
#undef SHM_HISTOGRAM_ENUM
        SHM_HISTOGRAM_COUNT
};
#define SHM_HISTOGRAM_BUCKETS 40 /* bucket i: below 2^(i+6) ns; the last holds the rest */

/* A NULL process counts nothing, so that code under test needs no segment. */
void shm_count(shm_process *process, enum shm_counter counter, uint64_t by);
void shm_observe(shm_process *process, enum shm_histogram histogram, int64_t duration_ns);

typedef struct {
    uint64_t count, sum_ns, buckets[SHM_HISTOGRAM_BUCKETS];
} shm_histogram_total;
/* Added up over all processes. */
uint64_t shm_counter_total(const shm_segment *segment, enum shm_counter counter);
void shm_histogram_read(const shm_segment *segment, enum shm_histogram histogram,
                        shm_histogram_total *total);
/* Upper bound of the bucket that holds the quantile (0..1000 per mille), in ns; 0 where empty. */
int64_t shm_histogram_quantile(const shm_histogram_total *total, unsigned per_mille);
const char *shm_counter_name(enum shm_counter counter);
const char *shm_counter_help(enum shm_counter counter);
const char *shm_histogram_name(enum shm_histogram histogram);
const char *shm_histogram_help(enum shm_histogram histogram);

/* Who is in the process table, for /health. Returns how many. */
typedef struct {
    enum shm_role role;
    unsigned slot;
    int32_t pid;
    int64_t beat_age_ns;
    int64_t started_ns; /* wall clock */
} shm_process_info;
size_t shm_processes(const shm_segment *segment, shm_process_info *out, size_t capacity);

/* ---- prices: written by feed --------------------------------------------------------------------
 */

enum shm_price_source { SHM_SOURCE_NONE, SHM_SOURCE_WS, SHM_SOURCE_REST, SHM_SOURCE_RELAY };
const char *shm_price_source_name(enum shm_price_source source);

enum shm_price_flag {
    SHM_PRICE_MARK_SYNTHETIC = 1, /* mark is the mid, not the venue's */
    SHM_PRICE_DISCONNECTED = 2,   /* the stream that fed this slot is down */
};

typedef struct {
    dec bid, ask, bid_size, ask_size, last, mark, funding; /* zero where unknown */
    int64_t exchange_time_ns, receive_time_ns;             /* wall clock */
    uint64_t update_id;  /* of the best bid and ask, as the venue numbers them */
    uint64_t generation; /* changes when the slot is given to another instrument */
    uint64_t version;    /* counts publications */
    uint32_t source, flags;
} shm_price;

enum shm_read { SHM_READ_OK, SHM_READ_ABSENT, SHM_READ_BUSY };

/* The slot of "binance:usdm:BTCUSDT", or SHM_READ_ABSENT. Slots stay valid until the epoch changes.
 */
enum shm_read shm_price_find(const shm_segment *segment, const char *key, size_t length,
                             uint32_t *slot);
enum shm_read shm_price_read(const shm_segment *segment, uint32_t slot, shm_price *price);
/* Walks the table: slots 0 .. shm_price_slots() - 1; key is empty for a free one. */
uint32_t shm_price_slots(const shm_segment *segment);
enum shm_read shm_price_key(const shm_segment *segment, uint32_t slot, char key[SHM_KEY_MAX]);

/* Writer: the slot of this key, claimed if new. False: the table is full or the key too long. */
bool shm_price_claim(shm_segment *segment, const char *key, size_t length, uint32_t *slot);
/* Writer: the instrument is gone. Its slot is not reused before SHM_QUARANTINE_NS have passed. */
#define SHM_QUARANTINE_NS (600LL * 1000000000LL)
void shm_price_release(shm_segment *segment, uint32_t slot);
/* Writer: publishes all values; sets version, keeps generation. A few ns. */
void shm_price_publish(shm_segment *segment, uint32_t slot, const shm_price *price);

/* ---- users and their open positions: written by mirror ------------------------------------------
 */

typedef struct {
    int64_t id;          /* of the position */
    uint32_t price_slot; /* UINT32_MAX: no price known */
    uint32_t text_length;
    dec quantity;       /* signed: negative is short; base units */
    dec entry_notional; /* sum of |quantity| x price, exact */
    dec margin;
    dec realised_pnl;
    /* "\"id\":\"7\",\"symbol\":...": members that do not change with the price, comma-separated */
    char text[SHM_POSITION_TEXT_MAX];
} shm_position;

typedef struct {
    int64_t id, telegram_id;
    int64_t session_epoch;
    dec balance_total, balance_available;
    uint32_t tier;  /* 0 FREE, 1 PRO, 2 ELITE */
    uint32_t flags; /* enum shm_user_flag */
    uint64_t version;
    uint32_t position_count;
} shm_user;

enum shm_user_flag {
    SHM_USER_ACTIVE = 1,
    SHM_USER_BANNED = 2,
    SHM_USER_POSITIONS_ELSEWHERE = 4, /* more than fit here: read them from Postgres */
};

/* False until mirror has loaded its snapshot: a missing user then proves nothing. */
bool shm_users_loaded(const shm_segment *segment);
/*
 * One moment of a user with all open positions. `positions` has room for `capacity`; a user with
 * more gives SHM_READ_BUSY never, but position_count > capacity. SHM_READ_BUSY: a writer was in the
 * way for all retries, or the user is not there but could be (users are not loaded, or did not all
 * fit); read Postgres instead. So SHM_READ_ABSENT is proof that there is no such user.
 */
enum shm_read shm_user_by_id(const shm_segment *segment, int64_t id, shm_user *user,
                             shm_position *positions, uint32_t capacity);
enum shm_read shm_user_by_telegram(const shm_segment *segment, int64_t telegram_id, shm_user *user,
                                   shm_position *positions, uint32_t capacity);

/*
 * Writer: sets a user and all open positions at once. False: a region is full (counted by caller);
 * where only the positions did not fit the user is there, with SHM_USER_POSITIONS_ELSEWHERE. More
 * than SHM_USER_POSITIONS_MAX set that flag as well, and are no failure.
 */
bool shm_user_put(shm_segment *segment, const shm_user *user, const shm_position *positions);
bool shm_user_remove(shm_segment *segment, int64_t id);
/* Writer: no users, not loaded. Joining as SHM_ROLE_MIRROR does this. */
void shm_users_clear(shm_segment *segment);
void shm_users_set_loaded(shm_segment *segment, bool loaded);

/* ---- signals: a ring, written by mirror
 * ---------------------------------------------------------- */

typedef struct {
    uint64_t cursor; /* 1, 2, 3 ... */
    int64_t id, whale_id, detected_ns;
    uint32_t text_length;
    char text[SHM_SIGNAL_TEXT_MAX]; /* a whole JSON object */
} shm_signal;

uint64_t shm_signal_last(const shm_segment *segment); /* newest cursor; 0 where none */
/* ABSENT: overwritten already, or not yet written. */
enum shm_read shm_signal_read(const shm_segment *segment, uint64_t cursor, shm_signal *signal);
void shm_signal_push(shm_segment *segment, const shm_signal *signal);

/* ---- whales: the ranking page as served, written by mirror
 * ---------------------------------------- */

/* Copies the text (a JSON array) into out; *length is its whole length even where it did not fit.
 */
enum shm_read shm_whales_read(const shm_segment *segment, char *out, size_t capacity,
                              size_t *length, uint64_t *version);
bool shm_whales_put(shm_segment *segment, const char *text, size_t length);

#endif
