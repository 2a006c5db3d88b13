/*
 * One websocket client after the upgrade: wslay for what comes in and for control frames, a buffer
 * of its own for what goes out. Used by paper_stream.c alone.
 */
#ifndef WHALE_PAPER_CLIENT_H
#define WHALE_PAPER_CLIENT_H

#include "workerd/paper/paper_stream.h"

#include <microhttpd.h>
#include <wslay/wslay.h>

enum paper_category { PAPER_ALL, PAPER_PUBLIC, PAPER_MARKET_DATA, PAPER_PRIVATE };

typedef struct paper_client {
    struct paper_streams *streams;
    struct paper_client *next, *previous, *next_dirty, *next_dead;
    struct MHD_UpgradeResponseHandle *upgrade;
    int fd;
    uv_poll_t poll;
    int polled; /* events that are polled for */
    wslay_event_context_ptr ws;
    enum paper_category category;
    bool combined; /* events come wrapped: {"stream":…,"data":…} */
    bool dirty, open, closing, lingering, dead;
    int references;   /* libmicrohttpd's and libuv's: freed when both have let go */
    uint32_t account; /* PAPER_PRIVATE */
    uint64_t subscribed[PAPER_CHANNEL_COUNT]; /* a bit per symbol */
    unsigned unknown;              /* names that no stream has: confirmed, counted, silent */
    int64_t second, messages;      /* of this second */
    int64_t next_ping_ms;          /* 0: not yet planned */
    int64_t unanswered_ms;         /* since when a ping waits for its pong; 0: none does */
    int64_t lingering_ms, ignored; /* since when, and bytes read and thrown away since */
    char *out;
    size_t out_start, out_length, out_capacity;
    /* what was read and wslay has not taken yet */
    const char *in;
    size_t in_length;
} paper_client;

/* Takes over the socket; `extra` came with the handshake. False: no memory, nothing is taken. */
bool paper_client_open(paper_client *client, uv_loop_t *loop, const char *extra, size_t length);
/* A text frame into the buffer. A client that would need more than the bound is dropped. */
void paper_client_text(paper_client *client, const char *text, size_t length);
/* As many pieces, one frame. */
void paper_client_pieces(paper_client *client, const char *const *texts, const size_t *lengths,
                         size_t count);
void paper_client_flush(paper_client *client);
void paper_client_ping(paper_client *client);
/* Starts the closing handshake. */
void paper_client_close(paper_client *client, uint16_t code);
/* The connection is over: stops polling; paper_stream.c frees it in the next turn. */
void paper_client_drop(paper_client *client);

/* What the path and its query ask for, before the upgrade (paper_subscribe.c). False: no such path.
 */
bool paper_client_target(paper_client *client, const char *path, const char *streams,
                         const char *listen_key);

/* In paper_subscribe.c: a whole text message came. */
void paper_client_message(paper_client *client, const char *text, size_t length);
/* In paper_stream.c. */
paper_market *paper_client_market(const paper_client *client);
uint32_t paper_client_listener(const paper_client *client, const char *key, size_t length);
void paper_client_count(const paper_client *client, unsigned symbol, enum paper_channel channel,
                        int by);
extern const char *const paper_channel_names[PAPER_CHANNEL_COUNT];
bool paper_channel_shown(enum paper_channel channel, enum paper_category category);
/* In paper_stream.c: it is dead. */
void paper_client_gone(paper_client *client);
/* In paper_stream.c: it has something to write. */
void paper_client_dirty(paper_client *client);

#endif
