/*
 * What the files of watch share: its state, and who does what.
 *
 * watch_role.c starts, claims and ends; watch_read.c reads one whale's page; watch_save.c writes
 * what came of it; watch_discover.c reads rankings; watch_diff.c, watch_page.c, watch_score.c are
 * pure.
 */
#ifndef WHALE_WATCH_PRIVATE_H
#define WHALE_WATCH_PRIVATE_H

#include "workerd/net/net_http.h"
#include "workerd/net/net_loop.h"
#include "workerd/net/net_pg.h"
#include "workerd/watch/watch_diff.h"
#include "workerd/watch/watch_page.h"

#define WATCH_READS_MAX 32 /* whales at once */
#define WATCH_QUEUE 64     /* requests that wait for a connection */
#define WATCH_TIMEOUT_NS (8 * CLOCK_SECOND_NS)
#define WATCH_LEASE_NS (20 * CLOCK_SECOND_NS) /* over a request and what is written after it */
#define WATCH_POLL_PART 20 /* of the interval: how often due whales are looked for */
#define WATCH_POLL_LEAST_MS 50
#define WATCH_POLL_MOST_MS 500
#define WATCH_ENDING_MS 4000  /* for reads under way at shutdown */
#define WATCH_MISSING_MAX 256 /* positions whose row vanished, until the next read */
#define WATCH_OWNER_MAX 128
#define WATCH_FOLLOWERS_EVERY_NS (15 * CLOCK_SECOND_NS) /* counted again */
#define WATCH_RANKING_PAGES 3
#define WATCH_RANKING_LEADERS 20 /* of a page */
#define WATCH_RANKING_EVERY_NS (600 * CLOCK_SECOND_NS)
#define WATCH_RANKING_RETRY_NS (CLOCK_SECOND_NS / 2) /* doubling, up to the regular pause */

typedef struct watch watch;

/* A venue's market that is read here. */
typedef struct {
    watch *state;
    const config_venue *config;
    const venue_adapter *adapter;
    int64_t hold_until_ns; /* monotonic: the venue said too many requests */
    int64_t failures;      /* reads in a row without an answer */
    /* ranking */
    int64_t ranking_at_ns, ranking_retry_ns; /* monotonic; pause after a failure */
    unsigned ranking_page;
    char ranking_cursor[128];
    bool ranking_busy;
    venue_request ranking_request;
} watch_venue;

/* One read of one whale. */
typedef struct {
    watch *state;
    watch_venue *venue;
    bool used;
    int64_t whale_id, positions_version, last_good_ns, unknown_reads;
    int64_t database_ns; /* Postgres's clock at the claim, which last_good_ns is measured by */
    char leader_id[VENUE_LEADER_MAX];
    dec score;
    bool had_baseline, baseline;
    venue_request request;
    const char *body; /* of the page, during the callback */
    size_t body_length;
    int64_t answered_ns; /* wall clock */
    watch_position then[WATCH_POSITIONS_MAX];
    size_t then_count;
    unsigned signals; /* written */
} watch_read;

/* A position that a page did not name at all: closed if the next page does not either. */
typedef struct {
    int64_t whale_id; /* 0: free */
    int64_t positions_version;
    enum venue_position_side side;
    char symbol[VENUE_SYMBOL_MAX];
} watch_missing;

struct watch {
    const whale_config *config;
    net_loop *loop;
    shm_segment *segment;
    shm_process *process;
    net_pg *pg;
    net_http *http;
    uv_timer_t poll, end;
    char owner[WATCH_OWNER_MAX];
    bool claiming, counting, stopping;
    int64_t count_at_ns; /* monotonic */
    watch_venue venues[CONFIG_VENUES_MAX];
    size_t venue_count;
    watch_read reads[WATCH_READS_MAX];
    watch_missing missing[WATCH_MISSING_MAX];
    unsigned missing_next;
    /* scratch of one callback */
    venue_position rows[WATCH_POSITIONS_MAX];
    venue_leader leaders[WATCH_RANKING_LEADERS];
    watch_position now[WATCH_POSITIONS_MAX];
    watch_change changes[WATCH_CHANGES_MAX];
};

/* watch_role.c */
void watch_read_done(watch_read *read); /* gives the place back */
/* The configured address that this request goes to. */
const char *watch_address(const watch_venue *venue, enum venue_host host);
bool watch_send(const watch_venue *venue, const venue_request *request, net_http_done *done,
                void *owner);

/* watch_read.c: begins a read; false: nothing was sent, and the read is over */
bool watch_read_begin(watch_read *read);

/* watch_save.c */
void watch_save_changes(watch_read *read, const watch_change *changes, size_t count);
void watch_save_seen(watch_read *read);
void watch_save_unknown(watch_read *read, bool hidden, watch_retry retry);

/* watch_discover.c */
void watch_discover(watch *state);

#endif
