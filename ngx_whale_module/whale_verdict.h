/*
 * What was found of a credential lately, by its exact bytes, so that a client that polls is not
 * verified again each time: the signature of the same bytes under the same key does not change.
 *
 * Only what cannot change is kept: whose credential it is, and until when. Whether that user may
 * still come is asked each time elsewhere (epochs, bans). A fixed table of one process; a newer
 * credential takes the place of an older one with the same slot. Look-ups compare a keyed hash
 * first, so that nobody learns the bytes of another's credential by timing.
 */
#ifndef WHALE_VERDICT_H
#define WHALE_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHALE_VERDICT_SLOTS 256 /* a power of two */
#define WHALE_VERDICT_TEXT_MAX 1008 /* longer credentials are verified each time */

typedef struct {
    int64_t id;        /* Telegram's id, or the user's */
    int64_t epoch;     /* of a session */
    int64_t auth_date; /* of initData, in seconds */
    int64_t until;     /* valid before this, in seconds */
} whale_verdict;

typedef struct whale_verdicts whale_verdicts;

/* NULL: no memory. */
whale_verdicts *whale_verdicts_new(void);
void whale_verdicts_free(whale_verdicts *verdicts); /* wiped */
bool whale_verdict_find(whale_verdicts *verdicts, const char *text, size_t length, int64_t now_s,
                        whale_verdict *out);
/* Of the credential that the last look-up did not find. */
void whale_verdict_keep(whale_verdicts *verdicts, const char *text, size_t length,
                        const whale_verdict *verdict);

#endif
