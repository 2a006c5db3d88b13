/* Verdicts on credentials; see whale_verdict.h. */
#include "whale_verdict.h"

#include "core/crypto.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    uint64_t hash; /* 0: free */
    uint64_t seen; /* the hash of the last credential that was seen here once */
    whale_verdict verdict;
    size_t length;
    char text[WHALE_VERDICT_TEXT_MAX];
} verdict_slot;

struct whale_verdicts {
    uint64_t key[2];
    uint64_t sought; /* the hash of the last look-up */
    verdict_slot slots[WHALE_VERDICT_SLOTS];
};

static uint64_t verdict_mix(uint64_t a, uint64_t b)
{
    const unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Multiply and fold, 16 bytes a step, under a key that never leaves the process. Never 0. */
static uint64_t verdict_hash(const whale_verdicts *verdicts, const char *text, size_t length)
{
    uint64_t hash = verdicts->key[0] ^ length, words[2];

    while (length >= sizeof(words)) {
        memcpy(words, text, sizeof(words));
        hash = verdict_mix(words[0] ^ verdicts->key[1], words[1] ^ hash);
        text += sizeof(words);
        length -= sizeof(words);
    }
    memset(words, 0, sizeof(words));
    memcpy(words, text, length);
    hash = verdict_mix(words[0] ^ verdicts->key[1], words[1] ^ hash);
    return verdict_mix(hash, verdicts->key[0]) | 1;
}

whale_verdicts *whale_verdicts_new(void)
{
    whale_verdicts *verdicts = calloc(1, sizeof(*verdicts));

    if (verdicts != NULL && !crypto_random(verdicts->key, sizeof(verdicts->key))) {
        free(verdicts);
        return NULL;
    }
    return verdicts;
}

void whale_verdicts_free(whale_verdicts *verdicts)
{
    if (verdicts != NULL) {
        crypto_wipe(verdicts, sizeof(*verdicts));
        free(verdicts);
    }
}

/* The slot is chosen by other bits than the lowest, which is always set. */
static size_t verdict_slot_of(uint64_t hash)
{
    return (hash >> 32) & (WHALE_VERDICT_SLOTS - 1);
}

bool whale_verdict_find(whale_verdicts *verdicts, const char *text, size_t length, int64_t now_s,
                        whale_verdict *out)
{
    const verdict_slot *slot;
    uint64_t hash;

    if (length > WHALE_VERDICT_TEXT_MAX) {
        return false;
    }
    hash = verdicts->sought = verdict_hash(verdicts, text, length);
    slot = &verdicts->slots[verdict_slot_of(hash)];
    if (slot->hash != hash || slot->length != length || now_s >= slot->verdict.until ||
        memcmp(slot->text, text, length) != 0) {
        return false;
    }
    *out = slot->verdict;
    return true;
}

void whale_verdict_keep(whale_verdicts *verdicts, const char *text, size_t length,
                        const whale_verdict *verdict)
{
    const uint64_t hash = verdicts->sought;
    verdict_slot *slot;

    if (length > WHALE_VERDICT_TEXT_MAX) {
        return;
    }
    slot = &verdicts->slots[verdict_slot_of(hash)];
    if (slot->seen != hash) {
        slot->seen = hash;
        return;
    }
    slot->hash = hash;
    slot->verdict = *verdict;
    slot->length = length;
    memcpy(slot->text, text, length);
}
