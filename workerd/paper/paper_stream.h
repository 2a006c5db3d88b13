/*
 * The paper venue's websocket streams, in Binance's words.
 *
 * Promises: /public carries bookTicker, depth and trade, /market the others, the paths without a
 * prefix all of them; what is subscribed on the wrong one is confirmed and gives nothing, as there.
 * Events are copied into each client's own bounded buffer and written once a turn; a client that
 * does not read is dropped, never waited for. Hostile frames close the connection with the code
 * that says why.
 */
#ifndef WHALE_PAPER_STREAM_H
#define WHALE_PAPER_STREAM_H

#include "core/config.h"
#include "workerd/paper/paper_exchange.h"
#include "workerd/paper/paper_market.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define PAPER_CLIENTS_MAX 8192
#define PAPER_CLIENT_OUT_MAX (1024 * 1024) /* unsent bytes of one client */
#define PAPER_CLIENT_IN_MAX (16 * 1024)    /* a message from a client */
#define PAPER_CLIENT_STREAMS_MAX 1024
#define PAPER_CLIENT_MESSAGES 10 /* a second, from one client; Binance's limit */
#define PAPER_PING_MS (3 * 60 * 1000)
#define PAPER_PONG_MS (10 * 60 * 1000)

enum paper_channel {
    PAPER_CHANNEL_BOOK,
    PAPER_CHANNEL_DEPTH,
    PAPER_CHANNEL_TRADE,
    PAPER_CHANNEL_AGGREGATE,
    PAPER_CHANNEL_MARK,      /* @markPrice */
    PAPER_CHANNEL_MARK_FAST, /* @markPrice@1s */
    PAPER_CHANNEL_MINI,      /* @miniTicker */
    PAPER_CHANNEL_COUNT,
};

typedef struct paper_streams paper_streams;

/* The account of a listen key, or PAPER_NO_ACCOUNT. */
typedef uint32_t paper_listener(void *owner, const char *key, size_t length);

paper_streams *paper_streams_start(uv_loop_t *loop, const config_address *address,
                                   paper_market *market, paper_listener *listener, void *owner,
                                   char *error, size_t capacity);
uint16_t paper_streams_port(const paper_streams *streams);
unsigned paper_streams_clients(const paper_streams *streams);
/* Says goodbye to all and stops; free after the loop has run its closing handles. */
void paper_streams_stop(paper_streams *streams);
void paper_streams_free(paper_streams *streams);

/* An event to everybody who subscribed; `payload` is its object. */
void paper_streams_publish(paper_streams *streams, const paper_symbol *symbol,
                           enum paper_channel channel, const char *payload, size_t length);
/* Is anybody subscribed? Synthetic events are not even made when nobody is. */
bool paper_streams_wanted(const paper_streams *streams, const paper_symbol *symbol,
                          enum paper_channel channel);
/* A user's own stream: is there one, and an event of it. */
bool paper_streams_listening(const paper_streams *streams, uint32_t account);
void paper_streams_user(paper_streams *streams, uint32_t account, const char *payload,
                        size_t length);
/* Writes what was queued; call it at the end of a turn that published. */
void paper_streams_flush(paper_streams *streams);
/* Once a second: pings, silent clients. */
void paper_streams_second(paper_streams *streams, int64_t now_ms);

#endif
