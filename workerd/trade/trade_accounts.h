/*
 * Exchange accounts: a new API key is wrapped by the signer, looked at, and taken or refused; a
 * known one is looked at again from time to time.
 *
 * Promises: a key that may withdraw is never taken; an account becomes ACTIVE only after the venue
 * answered for permissions, position mode and balance; what the venue's wallet differs from our
 * books is booked against EXTERNAL, and only while nothing of that account is on its way. An
 * unclear answer changes nothing and is asked again. The plain key is never here.
 */
#ifndef WHALE_TRADE_ACCOUNTS_H
#define WHALE_TRADE_ACCOUNTS_H

#include "workerd/net/net_pg.h"
#include "workerd/trade/trade_call.h"

#define TRADE_ACCOUNTS_BUSY_MAX 48   /* looks at once */
#define TRADE_ACCOUNTS_KNOWN_MAX 8   /* of them, at accounts that are ACTIVE already */
#define TRADE_ACCOUNTS_RECHECK_S 600 /* until private streams tell sooner */

typedef struct trade_accounts trade_accounts;

/* The caller that carries calls of a venue's market; NULL where none is configured. */
typedef trade_caller *trade_caller_of(void *owner, const char *venue, enum venue_market market);

trade_accounts *trade_accounts_new(net_pg *pg, net_sign *sign, trade_caller_of *caller_of,
                                   void *owner);
/* Takes what is due: on NOTIFY whale_accounts and on a timer. */
void trade_accounts_poll(trade_accounts *accounts);
/* Takes no more; looks under way go on. */
/* A call said that the key or the account does not work: a look is due at once. */
void trade_accounts_recheck(trade_accounts *accounts, int64_t user_id, int64_t account_id);
void trade_accounts_stop(trade_accounts *accounts);
unsigned trade_accounts_busy(const trade_accounts *accounts);
void trade_accounts_free(trade_accounts *accounts); /* once none is busy */

#endif
