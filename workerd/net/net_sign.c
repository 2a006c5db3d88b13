/*
 * The asking side of the channel to `sign`.
 *
 * Requests are encoded when they are asked and kept until they are answered, so that a batch can be
 * put together without the caller's memory and asked again after NET_SIGN_RETRY_NS. Slots are a
 * fixed table; an id is (turn of the slot, slot), so that a late second answer matches nothing.
 */
#include "workerd/net/net_sign.h"

#include "core/clock.h"
#include "core/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIGN_SLOT_BITS 16
#define SIGN_SLOT_MASK ((1u << SIGN_SLOT_BITS) - 1)
#define SIGN_TICK_MS 100
#define SIGN_READS_MAX 32 /* messages taken in one turn */
#define SIGN_NOBODY UINT32_MAX

_Static_assert(NET_SIGN_PENDING_MAX <= SIGN_SLOT_MASK, "a slot fits in an id");

typedef struct {
    uint64_t id;    /* 0: free */
    uint8_t *entry; /* one encoded request, with the message's head before it */
    size_t entry_length;
    net_sign_done *done;
    void *owner;
    int64_t asked_ns; /* monotonic; 0: not on the wire */
    unsigned tries;
    uint32_t next; /* in the list of free slots, or of those to be sent */
} sign_slot;

struct net_sign {
    int channel;
    uv_poll_t poll;
    uv_timer_t tick;
    uv_prepare_t turn;
    net_sign_lost *lost;
    void *owner;
    uint32_t free_first, send_first, send_last;
    unsigned under_way, unsent, open_handles;
    uint64_t turns;
    bool closing, broken, wants_write;
    uint8_t out[NET_SIGN_MESSAGE_MAX], in[NET_SIGN_MESSAGE_MAX];
    sign_slot slots[NET_SIGN_PENDING_MAX];
};

static void sign_flush(net_sign *sign);

/* ---- slots -------------------------------------------------------------------------------------
 */

static void sign_queue(net_sign *sign, uint32_t index)
{
    sign->slots[index].next = SIGN_NOBODY;
    if (sign->send_first == SIGN_NOBODY) {
        sign->send_first = index;
    } else {
        sign->slots[sign->send_last].next = index;
    }
    sign->send_last = index;
    sign->unsent++;
}

static void sign_release(net_sign *sign, uint32_t index)
{
    sign_slot *slot = &sign->slots[index];

    crypto_wipe(slot->entry, slot->entry_length);
    free(slot->entry);
    *slot = (sign_slot){.next = sign->free_first};
    sign->free_first = index;
    sign->under_way--;
}

static void sign_answer(net_sign *sign, uint32_t index, const net_sign_answer *answer)
{
    net_sign_done *done = sign->slots[index].done;
    void *owner = sign->slots[index].owner;

    sign_release(sign, index);
    done(owner, answer);
}

static void sign_unavailable(net_sign *sign, uint32_t index)
{
    net_sign_answer answer = {.id = sign->slots[index].id,
                              .status = NET_SIGN_UNAVAILABLE,
                              .api_key = "",
                              .passphrase = "",
                              .signature = "",
                              .secret = ""};

    sign_answer(sign, index, &answer);
}

static void sign_fail_all(net_sign *sign)
{
    sign->send_first = sign->send_last = SIGN_NOBODY;
    sign->unsent = 0;
    for (uint32_t i = 0; i < NET_SIGN_PENDING_MAX; i++) {
        if (sign->slots[i].id != 0) {
            sign_unavailable(sign, i);
        }
    }
}

static void sign_break(net_sign *sign)
{
    if (sign->broken || sign->closing) {
        return;
    }
    sign->broken = true;
    uv_poll_stop(&sign->poll);
    sign_fail_all(sign);
    if (sign->lost != NULL) {
        sign->lost(sign->owner);
    }
}

/* ---- the wire ----------------------------------------------------------------------------------
 */

static void sign_take(net_sign *sign, const uint8_t *data, size_t length)
{
    net_sign_answer answer;
    size_t offset = 0;
    bool malformed;

    while (net_sign_get_answer(data, length, &offset, &answer, &malformed)) {
        uint32_t index = (uint32_t)(answer.id & SIGN_SLOT_MASK);

        if (index < NET_SIGN_PENDING_MAX && sign->slots[index].id == answer.id &&
            sign->slots[index].asked_ns != 0) {
            sign_answer(sign, index, &answer);
        }
    }
}

static void sign_read(net_sign *sign)
{
    for (int i = 0; i < SIGN_READS_MAX && !sign->broken && !sign->closing; i++) {
        ssize_t got = recv(sign->channel, sign->in, sizeof(sign->in), MSG_DONTWAIT);

        if (got > 0) {
            sign_take(sign, sign->in, (size_t)got);
            crypto_wipe(sign->in, (size_t)got);
        } else if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        } else if (got == 0 || errno != EINTR) {
            sign_break(sign);
            return;
        }
    }
}

static void sign_on_poll(uv_poll_t *poll, int status, int events)
{
    net_sign *sign = poll->data;

    if (status < 0) {
        sign_break(sign);
        return;
    }
    if (events & UV_WRITABLE) {
        sign->wants_write = false;
        sign_flush(sign);
    }
    if (events & (UV_READABLE | UV_DISCONNECT)) {
        sign_read(sign);
    }
}

static void sign_watch(net_sign *sign)
{
    uv_poll_start(&sign->poll, UV_READABLE | UV_DISCONNECT | (sign->wants_write ? UV_WRITABLE : 0),
                  sign_on_poll);
}

/* As many of those that wait as one message takes; the list is left as it was. */
static unsigned sign_assemble(net_sign *sign, size_t *length)
{
    unsigned count = 0;

    memcpy(sign->out, sign->slots[sign->send_first].entry, NET_SIGN_HEAD);
    *length = NET_SIGN_HEAD;
    for (uint32_t i = sign->send_first; i != SIGN_NOBODY && count < NET_SIGN_BATCH_MAX;
         i = sign->slots[i].next) {
        size_t size = sign->slots[i].entry_length - NET_SIGN_HEAD;

        if (sizeof(sign->out) - *length < size) {
            break;
        }
        memcpy(sign->out + *length, sign->slots[i].entry + NET_SIGN_HEAD, size);
        *length += size;
        count++;
    }
    return count;
}

static void sign_sent(net_sign *sign, unsigned count)
{
    int64_t now_ns = clock_monotonic_ns();

    for (; count > 0; count--) {
        sign_slot *slot = &sign->slots[sign->send_first];

        sign->send_first = slot->next;
        slot->asked_ns = now_ns;
        slot->tries++;
        sign->unsent--;
    }
    if (sign->send_first == SIGN_NOBODY) {
        sign->send_last = SIGN_NOBODY;
    }
}

static void sign_flush(net_sign *sign)
{
    while (sign->send_first != SIGN_NOBODY && !sign->broken && !sign->closing &&
           !sign->wants_write) {
        size_t length;
        unsigned count = sign_assemble(sign, &length);
        ssize_t sent = send(sign->channel, sign->out, length, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent == (ssize_t)length) {
            sign_sent(sign, count);
        } else if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)) {
            sign->wants_write = true;
        } else if (sent >= 0 || errno != EINTR) {
            sign_break(sign);
            return;
        }
    }
    if (!sign->broken && !sign->closing) {
        sign_watch(sign);
    }
}

static void sign_on_turn(uv_prepare_t *turn)
{
    net_sign *sign = turn->data;

    if (sign->unsent > 0 && !sign->wants_write) {
        sign_flush(sign);
    }
}

/* Asks again what was not answered in time. */
static void sign_on_tick(uv_timer_t *tick)
{
    net_sign *sign = tick->data;
    int64_t now_ns = clock_monotonic_ns();

    for (uint32_t i = 0; sign->under_way > 0 && i < NET_SIGN_PENDING_MAX; i++) {
        sign_slot *slot = &sign->slots[i];

        if (slot->id == 0 || slot->asked_ns == 0 || now_ns - slot->asked_ns < NET_SIGN_RETRY_NS) {
            continue;
        }
        if (slot->tries >= NET_SIGN_TRIES_MAX) {
            sign_unavailable(sign, i);
        } else {
            slot->asked_ns = 0;
            sign_queue(sign, i);
        }
    }
}

/* ---- the interface -----------------------------------------------------------------------------
 */

net_sign *net_sign_new(uv_loop_t *loop, int channel, net_sign_lost *lost, void *owner)
{
    net_sign *sign = calloc(1, sizeof(*sign));
    int flags = fcntl(channel, F_GETFL);

    if (sign == NULL || flags < 0 || fcntl(channel, F_SETFL, flags | O_NONBLOCK) != 0 ||
        uv_poll_init(loop, &sign->poll, channel) != 0) {
        free(sign);
        return NULL;
    }
    sign->channel = channel;
    sign->lost = lost;
    sign->owner = owner;
    sign->send_first = sign->send_last = SIGN_NOBODY;
    for (uint32_t i = 0; i < NET_SIGN_PENDING_MAX; i++) {
        sign->slots[i].next = i + 1 < NET_SIGN_PENDING_MAX ? i + 1 : SIGN_NOBODY;
    }
    uv_timer_init(loop, &sign->tick);
    uv_prepare_init(loop, &sign->turn);
    sign->poll.data = sign->tick.data = sign->turn.data = sign;
    uv_timer_start(&sign->tick, sign_on_tick, SIGN_TICK_MS, SIGN_TICK_MS);
    uv_prepare_start(&sign->turn, sign_on_turn);
    sign_watch(sign);
    return sign;
}

bool net_sign_ask(net_sign *sign, const net_sign_request *request, net_sign_done *done, void *owner)
{
    uint32_t index = sign->free_first;
    net_sign_request asked = *request;
    net_sign_message message;
    sign_slot *slot;

    if (index == SIGN_NOBODY || sign->broken || sign->closing) {
        return false;
    }
    slot = &sign->slots[index];
    asked.id = ++sign->turns << SIGN_SLOT_BITS | index;
    /* The batch's memory is free between turns: encode there, keep a copy of the right size. */
    net_sign_begin(&message, sign->out, sizeof(sign->out));
    if (!net_sign_put_request(&message, &asked)) {
        return false;
    }
    slot->entry = malloc(message.length);
    if (slot->entry == NULL) {
        return false;
    }
    memcpy(slot->entry, message.data, message.length);
    sign->free_first = slot->next;
    slot->entry_length = message.length;
    slot->id = asked.id;
    slot->done = done;
    slot->owner = owner;
    slot->asked_ns = 0;
    slot->tries = 0;
    sign->under_way++;
    sign_queue(sign, index);
    return true;
}

unsigned net_sign_under_way(const net_sign *sign)
{
    return sign->under_way;
}

static void sign_on_closed(uv_handle_t *handle)
{
    net_sign *sign = handle->data;

    if (--sign->open_handles > 0) {
        return;
    }
    close(sign->channel);
    crypto_wipe(sign->in, sizeof(sign->in));
    free(sign);
}

void net_sign_close(net_sign *sign)
{
    if (sign == NULL || sign->closing) {
        return;
    }
    sign->closing = true;
    sign->open_handles = 3;
    sign_fail_all(sign);
    uv_close((uv_handle_t *)&sign->poll, sign_on_closed);
    uv_close((uv_handle_t *)&sign->tick, sign_on_closed);
    uv_close((uv_handle_t *)&sign->turn, sign_on_closed);
}
