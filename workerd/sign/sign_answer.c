/* Requests -> answers; see sign_answer.h. */
#include "workerd/sign/sign_answer.h"

#include "core/clock.h"

#include <string.h>

static enum net_sign_status sign_encode(const net_sign_request *request, crypto_mac *mac,
                                        char signature[NET_SIGN_VALUE_MAX])
{
    uint8_t digest[CRYPTO_SHA256_SIZE];

    if (!crypto_mac_compute(mac, request->text, request->text_length, digest)) {
        return NET_SIGN_UNREADABLE;
    }
    if (request->scheme == VENUE_HMAC_SHA256_BASE64) {
        crypto_base64(digest, sizeof(digest), signature);
    } else {
        crypto_hex(digest, sizeof(digest), signature);
    }
    return NET_SIGN_OK;
}

/* A key alone cannot move anything: requests with only a key are not signed, so any may have it. */
static enum net_sign_status sign_permit(const net_sign_request *request)
{
    const venue_adapter *adapter = venue_find(request->venue, request->market);

    if (adapter == NULL) {
        return NET_SIGN_UNSUPPORTED;
    }
    switch (request->scheme) {
    case VENUE_KEY_ONLY:
        return NET_SIGN_OK;
    case VENUE_HMAC_SHA256_HEX:
    case VENUE_HMAC_SHA256_BASE64:
        return adapter->sign_allowed(request->method, request->path, request->text,
                                     request->text_length)
                   ? NET_SIGN_OK
                   : NET_SIGN_REFUSED;
    default:
        return NET_SIGN_UNSUPPORTED;
    }
}

static void sign_one(sign_vault *vault, const net_sign_request *request, sign_room *room,
                     net_sign_answer *answer)
{
    sign_credentials credentials;

    answer->status = sign_permit(request);
    if (answer->status != NET_SIGN_OK) {
        return;
    }
    if (!sign_vault_open(vault, request->user_id, request->ref, request->secret, &credentials)) {
        answer->status = NET_SIGN_UNREADABLE;
        return;
    }
    if (request->scheme != VENUE_KEY_ONLY) {
        answer->status = sign_encode(request, credentials.mac, room->signature);
        answer->signature = room->signature;
    }
    if (answer->status == NET_SIGN_OK) {
        answer->api_key = credentials.api_key;
        answer->passphrase = credentials.passphrase;
    }
}

void sign_answer_one(sign_vault *vault, const net_sign_request *request, sign_room *room,
                     net_sign_answer *answer)
{
    room->signature[0] = room->stored[0] = '\0';
    *answer = (net_sign_answer){.id = request->id,
                                .status = NET_SIGN_MALFORMED,
                                .api_key = "",
                                .passphrase = "",
                                .signature = "",
                                .secret = ""};
    if (request->op == NET_SIGN_SIGN) {
        sign_one(vault, request, room, answer);
    } else if (request->op == NET_SIGN_REWRAP) {
        bool done = sign_vault_rewrap(vault, request->user_id, request->ref, request->sealed,
                                      request->sealed_length, room->stored, sizeof(room->stored));

        answer->status = done ? NET_SIGN_OK : NET_SIGN_UNREADABLE;
        answer->secret = done ? room->stored : "";
        answer->key_id = done ? SIGN_KEY_ID : 0;
    }
}

size_t sign_answer_message(sign_vault *vault, shm_process *process, const uint8_t *in,
                           size_t length, uint8_t *out)
{
    net_sign_message message;
    net_sign_request request;
    net_sign_answer answer;
    sign_room room;
    size_t offset = 0;
    bool malformed;
    int64_t started_ns = clock_monotonic_ns();

    net_sign_begin(&message, out, NET_SIGN_MESSAGE_MAX);
    while (message.count < NET_SIGN_BATCH_MAX &&
           net_sign_get_request(in, length, &offset, &request, &malformed)) {
        sign_answer_one(vault, &request, &room, &answer);
        if (!net_sign_put_answer(&message, &answer)) {
            break;
        }
        shm_count(process,
                  answer.status == NET_SIGN_REFUSED ? SHM_sign_refused_total
                                                    : SHM_sign_signed_total,
                  answer.status == NET_SIGN_REFUSED || answer.status == NET_SIGN_OK);
    }
    crypto_wipe(&room, sizeof(room));
    if (message.count > 0) {
        shm_observe(process, SHM_sign_batch_seconds, clock_monotonic_ns() - started_ns);
    }
    return message.count > 0 ? message.length : 0;
}
