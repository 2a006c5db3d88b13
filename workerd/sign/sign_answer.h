/*
 * One message of requests -> messages of answers. No I/O, so that tests and fuzzers reach all of
 * it.
 *
 * Promises: nothing is signed that the venue's allow-list does not name; an answer holds no secret
 * but an API key, a passphrase and a signature; whatever the bytes, every request that could be
 * read is answered or, where its answer does not fit the message, left to be asked again.
 */
#ifndef WHALE_SIGN_ANSWER_H
#define WHALE_SIGN_ANSWER_H

#include "shm/shm.h"
#include "workerd/net/net_sign.h"
#include "workerd/sign/sign_vault.h"

/* Room for what an answer points to. */
typedef struct {
    char signature[NET_SIGN_VALUE_MAX];
    char stored[NET_SIGN_SECRET_MAX];
} sign_room;

void sign_answer_one(sign_vault *vault, const net_sign_request *request, sign_room *room,
                     net_sign_answer *answer);

/*
 * Answers a whole message into `out` (NET_SIGN_MESSAGE_MAX bytes). Returns the length to be sent, 0
 * where nothing is. Bytes after a malformed entry are ignored. `process` may be NULL.
 */
size_t sign_answer_message(sign_vault *vault, shm_process *process, const uint8_t *in,
                           size_t length, uint8_t *out);

#endif
