/*
 * What the files of mirror share: its state, and who does what.
 *
 * mirror_role.c starts, ticks and ends; mirror_load.c loads everybody at start; mirror_follow.c
 * follows the table of changes; mirror_users.c, mirror_page.c put rows into the segment;
 * mirror_wait.c waits for prices that are not there yet; mirror_rows.c and mirror_text.c are pure.
 *
 * One chain of statements runs at a time (`busy`): whoever starts it ends it, and each step calls a
 * mirror_then with whether it went well. What fails is simply done again: every step is a
 * projection of Postgres, and doing it twice changes nothing.
 */
#ifndef WHALE_MIRROR_PRIVATE_H
#define WHALE_MIRROR_PRIVATE_H

#include "core/clock.h"
#include "workerd/mirror/mirror_rows.h"
#include "workerd/net/net_loop.h"
#include "workerd/net/net_pg.h"

#define MIRROR_POLL_MS 250
#define MIRROR_TICK_MS 1000
#define MIRROR_BATCH 1000        /* users of one statement */
#define MIRROR_CHANGES_PAGE 5000 /* changes of one statement */
#define MIRROR_WHALES 300        /* on the ranking page; keeps it below SHM_WHALES_TEXT_MAX */
#define MIRROR_WHALES_EVERY_TICKS 5
#define MIRROR_SIGNALS_NEWEST 100 /* looked for at start */
#define MIRROR_SIGNALS_RECENT 512 /* ids remembered, so that none is told twice */
#define MIRROR_RELOAD_AFTER_NS                                                                     \
    (1800 * CLOCK_SECOND_NS)   /* of not following: changes may be gone                            \
                                */
#define MIRROR_KEEP_TICKS 3600 /* changes are kept this long, for mirrors of other hosts */
#define MIRROR_SAMPLE_TICKS 60
#define MIRROR_SAMPLES (MIRROR_KEEP_TICKS / MIRROR_SAMPLE_TICKS + 2)
#define MIRROR_PRUNE_BATCH 5000
#define MIRROR_FLOOR_TICKS 10    /* a trade fills well within twice this */
#define MIRROR_FLOOR_BACK 100000 /* trade ids looked back at start */
#define MIRROR_SEEN_SLOTS 32768  /* power of two; at most half are used */
#define MIRROR_WAITING_MAX 1024  /* instruments without a price slot */

typedef struct mirror mirror;
typedef void mirror_then(mirror *state, bool good);

typedef struct {
    int64_t id;
    char name[SHM_KEY_MAX];
} mirror_instrument;

struct mirror {
    const whale_config *config;
    net_loop *loop;
    shm_segment *segment;
    shm_process *process;
    net_pg *pg;
    uv_timer_t poll, tick;
    uint64_t ticks;

    bool busy, again, stopping;
    bool have_cursor;      /* loading has begun with a snapshot */
    bool all_read;         /* every user was put once since the snapshot */
    bool loaded;           /* and the segment says so */
    int64_t last_round_ns; /* monotonic */

    /* following: rows from `cursor` up to `bound`, page by page */
    int64_t cursor, bound, after_xid, after_subject;
    char after_kind[8];
    bool more_changes, whales_changed;

    /* users to put, and what comes then */
    int64_t ids[MIRROR_CHANGES_PAGE];
    size_t id_count, id_next;
    mirror_then *users_then;
    int64_t load_after;
    mirror_user scratch;
    uint64_t users_full; /* puts that did not fit, since the last log line */

    /* signals to push */
    int64_t signal_ids[MIRROR_CHANGES_PAGE];
    size_t signal_count;
    mirror_then *signals_then;
    int64_t recent[MIRROR_SIGNALS_RECENT];
    unsigned recent_next;

    /* whales */
    char *page; /* two buffers of SHM_WHALES_TEXT_MAX: what is served, what is being made */
    size_t page_length;
    mirror_then *whales_then;

    /* fills that were measured */
    int64_t trade_floor, trade_floor_next, seen_since_ns;
    int64_t seen[MIRROR_SEEN_SLOTS];
    unsigned seen_count;

    /* cursors of the past, to know what is old */
    int64_t samples[MIRROR_SAMPLES];
    unsigned sample_count, sample_next;

    mirror_instrument waiting[MIRROR_WAITING_MAX];
    unsigned waiting_count;
    int64_t ready[MIRROR_WAITING_MAX]; /* instruments that have a slot now */
    unsigned ready_count;
    int64_t holders_after;
};

/* mirror_users.c: puts the users of ids[0 .. id_count) into the segment, batch by batch */
void mirror_users_put(mirror *state, mirror_then *then);
/* Sorts and removes repeats; the new count. */
size_t mirror_ids_unique(int64_t *ids, size_t count);

/* mirror_page.c */
void mirror_signals_put(mirror *state, mirror_then *then); /* signal_ids[0 .. signal_count) */
void mirror_signals_newest(mirror *state, mirror_then *then);
void mirror_whales_put(mirror *state, mirror_then *then);

/* mirror_load.c: all users, the signals, the whales; then following begins */
void mirror_load(mirror *state);

/* mirror_follow.c */
void mirror_follow(mirror *state);       /* one round; again if asked meanwhile */
void mirror_follow_chain(mirror *state); /* the same, at the end of a chain that is busy */
void mirror_prune(mirror *state);
void mirror_floor(mirror *state);
void mirror_done(mirror *state); /* ends a chain */

/* mirror_wait.c */
void mirror_wait_add(mirror *state, int64_t instrument, const char *name);
void mirror_wait_look(mirror *state);

#endif
