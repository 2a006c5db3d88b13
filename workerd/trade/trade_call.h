/*
 * One venue call over the wire: build, have it signed, finish, send, parse, one callback.
 *
 * Promises: exactly one callback for every call that was taken, never from inside; the bytes that
 * were signed are the bytes that are sent; credentials are wiped once they are in the request. What
 * happened is told apart: never sent, unclear, or answered with the venue's verdict.
 */
#ifndef WHALE_TRADE_CALL_H
#define WHALE_TRADE_CALL_H

#include "core/config.h"
#include "venues/venue.h"
#include "workerd/net/net_http.h"
#include "workerd/net/net_sign.h"

enum trade_call_end {
    TRADE_CALL_ANSWERED, /* result->verdict says what it means */
    TRADE_CALL_NOT_SENT, /* certainly nothing reached the venue */
    TRADE_CALL_UNCLEAR,  /* perhaps it did */
    TRADE_CALL_UNSIGNED, /* the signer refused or is away; nothing was sent; sign_status says which
                          */
};

typedef struct {
    enum trade_call_end end;
    enum net_sign_status sign_status;
    venue_result *result; /* the caller's own; filled in for TRADE_CALL_ANSWERED */
    int64_t sent_ns, answered_ns;
    int64_t used_weight;
} trade_call_outcome;

typedef void trade_called(void *owner, const trade_call_outcome *outcome);

/* Whom a signed call is for. Copied. */
typedef struct {
    int64_t user_id;
    const char *ref, *secret;
} trade_call_account;

/* A venue's market with its addresses, and the engines that carry the bytes. */
typedef struct trade_caller trade_caller;
trade_caller *trade_caller_new(const venue_adapter *adapter, const config_venue *addresses,
                               net_http *http, net_sign *sign, int64_t receive_window_ns);
void trade_caller_free(trade_caller *caller); /* after its last callback */
const venue_adapter *trade_caller_adapter(const trade_caller *caller);

/* The venue's clock less ours, from an answer to VENUE_OP_SERVER_TIME. */
void trade_caller_set_clock(trade_caller *caller, int64_t offset_ns);
/* Asks the venue for its time and sets the clock from the answer, half the way back taken off. */
bool trade_caller_sync(trade_caller *caller);
bool trade_caller_synced(const trade_caller *caller);    /* it has answered once */
int64_t trade_caller_now_ns(const trade_caller *caller); /* the venue's time */

typedef struct {
    venue_call call; /* time_ns 0: the venue's time now; receive_window_ns 0: the caller's */
    const trade_call_account *account; /* NULL for unsigned operations */
    int64_t timeout_ns;
    int64_t send_before_ns; /* wall clock; 0: no limit */
    venue_result *result;   /* with room; lives until the callback */
    trade_called *done;
    void *owner;
} trade_call_request;

/* False: the values are not ones that the venue takes, or too much is under way; no callback. */
bool trade_call(trade_caller *caller, const trade_call_request *request);

#endif
