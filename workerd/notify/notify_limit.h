/*
 * How fast Telegram may be written to: 30 messages a second over all, one a second to a chat, and
 * whatever a 429 asked for. Official guidance, not a contract: `retry_after` has the last word.
 * Pure; the caller gives the time.
 */
#ifndef WHALE_NOTIFY_LIMIT_H
#define WHALE_NOTIFY_LIMIT_H

#include <stdint.h>

#define NOTIFY_PER_SECOND 30
#define NOTIFY_BURST 8 /* that may go at once after a pause */
#define NOTIFY_CHAT_GAP_NS 1000000000LL
#define NOTIFY_CHATS 4096 /* remembered; two that share a place share a pace */

typedef struct {
    int64_t next_ns[NOTIFY_CHATS]; /* by chat: not before */
    int64_t all_next_ns;           /* spaces the messages over all chats */
    int64_t paused_until_ns;       /* a 429 */
} notify_limit;

/* Nanoseconds to wait before a message to this chat; 0: send it now, and it is counted. */
int64_t notify_limit_take(notify_limit *limit, int64_t chat, int64_t now_ns);
/* A 429: nothing goes out before retry_after_ns from now, to nobody. */
void notify_limit_pause(notify_limit *limit, int64_t now_ns, int64_t retry_after_ns);

#endif
