/*
 * Telegram Mini App initData: who the user is, vouched for by an HMAC under a key derived from the
 * bot's token.
 *
 * Stricter than Telegram's own library: a key given twice, a key outside [a-z0-9_], a date that is
 * not digits alone, a broken percent escape and a pair without '=' are refused, for two parsers could
 * read them in two ways. The comparison is constant-time; nothing is allocated.
 */
#ifndef WHALE_INITDATA_H
#define WHALE_INITDATA_H

#include "core/crypto.h"

#define WHALE_INITDATA_MAX 4096
#define WHALE_INITDATA_PAIRS_MAX 32
#define WHALE_INITDATA_SKEW_S 300 /* how far ahead Telegram's clock may be */

enum whale_initdata_verdict {
    WHALE_INITDATA_OK,
    WHALE_INITDATA_MALFORMED,
    WHALE_INITDATA_FORGED,
    WHALE_INITDATA_STALE,
    WHALE_INITDATA_FUTURE,
};

typedef struct {
    int64_t auth_date_s;
    int64_t user_id;  /* Telegram's */
    const char *user; /* decoded JSON, inside the work buffer */
    size_t user_length;
} whale_initdata;

/* Where the text is decoded to and put in order; the caller keeps it while it uses `user`. */
typedef struct {
    char decoded[WHALE_INITDATA_MAX];
    char sorted[WHALE_INITDATA_MAX];
} whale_initdata_work;

/* `mac` is keyed with HMAC-SHA256("WebAppData", bot token). */
enum whale_initdata_verdict whale_initdata_check(const char *text, size_t length, crypto_mac *mac,
                                                 int64_t now_s, int64_t max_age_s,
                                                 whale_initdata_work *work, whale_initdata *out);

#endif
