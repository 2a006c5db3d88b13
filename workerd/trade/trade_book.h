/*
 * A batch of outcomes, and the transaction that writes it. Shared by the two files of the books.
 */
#ifndef WHALE_TRADE_BOOK_H
#define WHALE_TRADE_BOOK_H

#include "workerd/trade/trade_engine.h"

typedef struct {
    trade_job *job;
    trade_settlement settlement;
} trade_ended;

/* A batch, by what is to be written. */
typedef struct {
    trade_engine *engine;
    trade_ended *ended;
    trade_job **released, **unknown, **surfaced, **resent, **dead;
    size_t ended_count, released_count, unknown_count, surfaced_count, resent_count, dead_count;
} trade_batch;

size_t trade_batch_count(const trade_batch *batch);
/* The statements, in one transaction. Where there are resent jobs, theirs is the last result. */
net_pg_unit *trade_book_unit(trade_batch *batch);

#endif
