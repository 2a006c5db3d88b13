/*
 * The channel to `sign`: the wire format, and the side that asks.
 *
 * One SOCK_SEQPACKET message carries a batch of requests or of answers. Requests have ids that the
 * asker draws, so that a restarted signer can be asked again: signing is idempotent, and a second
 * answer to one id is dropped. Answers come in any order, and a batch may be answered in parts.
 *
 * Promises: decoding takes any bytes and gives only values that lie inside the message; every
 * request that was taken ends in exactly one callback; nothing here logs, and a message that held
 * credentials is wiped after its callbacks.
 */
#ifndef WHALE_NET_SIGN_H
#define WHALE_NET_SIGN_H

#include "venues/venue.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define NET_SIGN_MESSAGE_MAX (128 * 1024)
#define NET_SIGN_HEAD 4 /* bytes before the first entry */
#define NET_SIGN_BATCH_MAX 64
#define NET_SIGN_REF_MAX 40      /* a uuid */
#define NET_SIGN_SECRET_MAX 2048 /* stored: base64 of nonce, tag, ciphertext */
#define NET_SIGN_SEALED_MAX 2048
#define NET_SIGN_VALUE_MAX 512 /* an API key, a passphrase, a signature */
#define NET_SIGN_RETRY_NS (1000 * 1000000LL)
#define NET_SIGN_TRIES_MAX 5
#define NET_SIGN_PENDING_MAX 4096

enum net_sign_op {
    NET_SIGN_SIGN = 1,
    NET_SIGN_REWRAP = 2, /* a blob that nginx sealed -> a stored secret; gives no plaintext */
};

enum net_sign_status {
    NET_SIGN_OK,
    NET_SIGN_REFUSED,     /* not on the venue's allow-list */
    NET_SIGN_UNREADABLE,  /* the secret cannot be opened under this user and account */
    NET_SIGN_UNSUPPORTED, /* no such venue, or its scheme is not one that this signer has */
    NET_SIGN_MALFORMED,
    NET_SIGN_UNAVAILABLE, /* made by the asker: no answer after NET_SIGN_TRIES_MAX */
};
const char *net_sign_status_name(enum net_sign_status status);

/* Texts are NUL-terminated; `text` and `sealed` are counted. */
typedef struct {
    uint64_t id;
    enum net_sign_op op;
    int64_t user_id;
    const char *ref; /* of the venue account */
    /* NET_SIGN_SIGN */
    const char *secret; /* as stored */
    const char *venue;
    enum venue_market market;
    enum venue_scheme scheme;
    const char *method, *path;
    const char *text;
    size_t text_length;
    /* NET_SIGN_REWRAP */
    const uint8_t *sealed;
    size_t sealed_length;
} net_sign_request;

typedef struct {
    uint64_t id;
    enum net_sign_status status;
    int32_t key_id;      /* NET_SIGN_REWRAP */
    const char *api_key; /* "" where there is none */
    const char *passphrase;
    const char *signature;
    const char *secret; /* NET_SIGN_REWRAP: to be stored */
} net_sign_answer;

/* ---- the wire ----------------------------------------------------------------------------------
 */

/* A message under construction in memory of the caller, NET_SIGN_MESSAGE_MAX at most. */
typedef struct {
    uint8_t *data;
    size_t capacity, length;
    unsigned count;
} net_sign_message;

void net_sign_begin(net_sign_message *message, uint8_t *data, size_t capacity);
/* False: it does not fit, or a text is longer than its limit; the message is as it was. */
bool net_sign_put_request(net_sign_message *message, const net_sign_request *request);
bool net_sign_put_answer(net_sign_message *message, const net_sign_answer *answer);

/* Reading: start at *offset 0, call until it gives false. `malformed` tells a bad end from a good
 * one. */
bool net_sign_get_request(const uint8_t *data, size_t length, size_t *offset,
                          net_sign_request *request, bool *malformed);
bool net_sign_get_answer(const uint8_t *data, size_t length, size_t *offset,
                         net_sign_answer *answer, bool *malformed);

/* ---- the asker ---------------------------------------------------------------------------------
 */

typedef struct net_sign net_sign;
/* Everything in `answer` lives as long as the call. */
typedef void net_sign_done(void *owner, const net_sign_answer *answer);
/* The channel is closed for good: requests under way were answered UNAVAILABLE. */
typedef void net_sign_lost(void *owner);

/* Takes the descriptor over. */
net_sign *net_sign_new(uv_loop_t *loop, int channel, net_sign_lost *lost, void *owner);
/*
 * Sent with others, NET_SIGN_BATCH_MAX to a message, at the end of this turn of the loop; `done` is
 * never called from inside. `id` is given here. False: too many are under way, the request does not
 * fit in its limits, or the channel is lost; `done` is not called.
 */
bool net_sign_ask(net_sign *sign, const net_sign_request *request, net_sign_done *done,
                  void *owner);
unsigned net_sign_under_way(const net_sign *sign);
/* Requests under way are answered UNAVAILABLE. Freed when the loop has drained. */
void net_sign_close(net_sign *sign);

#endif
