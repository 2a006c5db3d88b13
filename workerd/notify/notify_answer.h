/*
 * What the Bot API's answer to sendMessage means for the notification. Pure.
 */
#ifndef WHALE_NOTIFY_ANSWER_H
#define WHALE_NOTIFY_ANSWER_H

#include "workerd/net/net_http.h"

#define NOTIFY_ATTEMPTS_MAX 8
#define NOTIFY_UNCLEAR_MAX                                                                         \
    2 /* an unclear send is repeated once: a fill told twice beats one not told */

enum notify_verdict {
    NOTIFY_SENT,
    NOTIFY_AGAIN,       /* after wait_ns */
    NOTIFY_AGAIN_PLAIN, /* at once, without HTML: Telegram could not parse it */
    NOTIFY_BLOCKED,     /* the user blocked the bot or is gone */
    NOTIFY_GIVE_UP,
};

typedef struct {
    enum notify_verdict verdict;
    int64_t wait_ns;
    bool everyone; /* the wait is for all chats (429, or the token was refused) */
    const char *reason;
} notify_decision;

/* `attempts` counts this one. */
notify_decision notify_read_answer(const net_http_answer *answer, int64_t attempts);

#endif
