/* Session tokens; see whale_session.h. */
#include "whale_session.h"

#include <string.h>

#define SESSION_VERSION 1
#define SESSION_BODY 25 /* version, then three big-endian numbers */
#define SESSION_BYTES (SESSION_BODY + CRYPTO_SHA256_SIZE)

static void session_put(uint8_t *out, int64_t value)
{
    for (int i = 0; i < 8; i++) {
        out[i] = (uint8_t)((uint64_t)value >> (56 - 8 * i));
    }
}

static int64_t session_get(const uint8_t *in)
{
    uint64_t value = 0;

    for (int i = 0; i < 8; i++) {
        value = value << 8 | in[i];
    }
    return (int64_t)value;
}

bool whale_session_make(const whale_session *session, crypto_mac *mac,
                        char text[WHALE_SESSION_TEXT_LENGTH + 1])
{
    uint8_t bytes[SESSION_BYTES];

    bytes[0] = SESSION_VERSION;
    session_put(bytes + 1, session->user_id);
    session_put(bytes + 9, session->epoch);
    session_put(bytes + 17, session->expires_s);
    if (!crypto_mac_compute(mac, bytes, SESSION_BODY, bytes + SESSION_BODY)) {
        return false;
    }
    crypto_base64url(bytes, sizeof(bytes), text);
    return true;
}

bool whale_session_check(const char *text, size_t length, crypto_mac *mac, int64_t now_s,
                         whale_session *session)
{
    uint8_t bytes[SESSION_BYTES], computed[CRYPTO_SHA256_SIZE];

    if (length != WHALE_SESSION_TEXT_LENGTH ||
        crypto_unbase64url(text, length, bytes, sizeof(bytes)) != SESSION_BYTES ||
        bytes[0] != SESSION_VERSION || !crypto_mac_compute(mac, bytes, SESSION_BODY, computed) ||
        !crypto_equal(bytes + SESSION_BODY, computed, sizeof(computed))) {
        return false;
    }
    session->user_id = session_get(bytes + 1);
    session->epoch = session_get(bytes + 9);
    session->expires_s = session_get(bytes + 17);
    return session->user_id > 0 && session->expires_s > now_s;
}
