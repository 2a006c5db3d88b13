/*
 * A signal on its way to its followers, and the chunk of them that is being reserved. Shared by
 * fanout (when), chunk (who and how much) and reserve (how it is written).
 */
#ifndef WHALE_TRADE_FANOUT_H
#define WHALE_TRADE_FANOUT_H

#include "workerd/trade/trade_decide.h"
#include "workerd/trade/trade_engine.h"

#define TRADE_PASSES_MAX 5   /* over followers whose facts changed while they were decided on */
#define TRADE_RETRIES_MAX 40 /* of a chunk, then the signal is left to its lease */
#define TRADE_RETRY_NS (100 * 1000000LL)

/* A follower with the decision made for it. */
typedef struct {
    int64_t user_id, user_version, follow_id, follow_version, account_id, instrument_id;
    int64_t position_id, position_version;
    trade_decision decision;
    int64_t start_after_ns; /* 0: at once */
    char client_base[TRADE_CLIENT_BASE_MAX];
    bool claim;     /* to be sent at once, where its lane is free */
    bool forget;    /* leverage will be changed at the venue */
    trade_job *job; /* where it is to be sent at once */
} trade_candidate;

typedef struct {
    trade_fanout *fanout;
    trade_candidate *candidates; /* by user, ascending */
    size_t count;
    bool last;
    int64_t advance_to;
    int64_t requested_ns, claimed_ns;
    trade_market *market; /* of those to be claimed at once */
} trade_chunk;

struct trade_fanout {
    trade_engine *engine;
    trade_signal signal;
    int64_t alike[TRADE_ALIKE_MAX];
    size_t alike_count;
    int64_t cursor;      /* fetched up to this user */
    int64_t reserved_to; /* reserved up to this user, but for the stale ones */
    int64_t stale_from;  /* the first of them; 0: none */
    int64_t retry_ns;    /* monotonic; 0: none due */
    int passes, retries;
    bool fetching, fetched_last, abandoned;
    bool resumed; /* somebody else began: rows may be there beyond the cursor */
    trade_chunk *fetched, *reserving;
};

/* Columns that may be NULL. */
int64_t trade_row_int(const PGresult *rows, int row, int column, int64_t fallback);
bool trade_row_bool(const PGresult *rows, int row, int column, bool fallback);

/* Reads and decides; NULL: memory is short. */
trade_chunk *trade_chunk_read(trade_fanout *fanout, const PGresult *rows);
void trade_chunk_free(trade_chunk *chunk); /* with the jobs that were not taken out */

/* Writes the chunk; trade_fanout_reserved follows. False: try again later. */
bool trade_reserve(trade_chunk *chunk);
enum trade_reserved { TRADE_RESERVED, TRADE_RESERVE_AGAIN, TRADE_RESERVE_ABANDON };
void trade_fanout_reserved(trade_fanout *fanout, enum trade_reserved how);

#endif
