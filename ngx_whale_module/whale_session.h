/*
 * Session tokens: base64url of version, user id, epoch, expiry and an HMAC over them.
 *
 * Nothing is stored: the user's epoch, compared on each request with the one in the database or the
 * segment, revokes every token of that user at once.
 */
#ifndef WHALE_SESSION_H
#define WHALE_SESSION_H

#include "core/crypto.h"

#define WHALE_SESSION_TEXT_LENGTH 76

typedef struct {
    int64_t user_id, epoch, expires_s;
} whale_session;

bool whale_session_make(const whale_session *session, crypto_mac *mac,
                        char text[WHALE_SESSION_TEXT_LENGTH + 1]);
/* False: not ours, or expired. The epoch is the caller's to compare. */
bool whale_session_check(const char *text, size_t length, crypto_mac *mac, int64_t now_s,
                         whale_session *session);

#endif
