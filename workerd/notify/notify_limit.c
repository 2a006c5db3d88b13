/*
 * The pace of messages. See notify_limit.h.
 */
#include "workerd/notify/notify_limit.h"

#include "core/clock.h"

#define NOTIFY_SPACING_NS (CLOCK_SECOND_NS / NOTIFY_PER_SECOND)

static int64_t *notify_chat_next(notify_limit *limit, int64_t chat)
{
    return &limit->next_ns[((uint64_t)chat * 0x9E3779B97F4A7C15ULL >> 32) % NOTIFY_CHATS];
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t notify_limit_take(notify_limit *limit, int64_t chat, int64_t now_ns)
{
    int64_t *chat_next = notify_chat_next(limit, chat);
    int64_t free_at = later(later(limit->paused_until_ns, limit->all_next_ns), *chat_next);

    if (free_at > now_ns) {
        return free_at - now_ns;
    }
    limit->all_next_ns =
        later(limit->all_next_ns, now_ns - NOTIFY_BURST * NOTIFY_SPACING_NS) + NOTIFY_SPACING_NS;
    *chat_next = now_ns + NOTIFY_CHAT_GAP_NS;
    return 0;
}

void notify_limit_pause(notify_limit *limit, int64_t now_ns, int64_t retry_after_ns)
{
    limit->paused_until_ns = later(limit->paused_until_ns, now_ns + retry_after_ns);
}
