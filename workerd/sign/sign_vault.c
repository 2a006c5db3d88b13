/*
 * Opening stored credentials, and keeping the lately used ones open.
 *
 * The cache is a table with chained hashing and a list in order of use; entries come from slabs of
 * locked memory that are taken when they are first needed.
 */
#include "workerd/sign/sign_vault.h"

#include "core/json.h"
#include "workerd/net/net_sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIGN_SLAB 64 /* entries */
#define SIGN_NONE UINT32_MAX
#define SIGN_AAD_MAX 128
#define SIGN_TOKENS 16
#define SIGN_PLAIN_MAX NET_SIGN_SECRET_MAX

/* Locked. */
typedef struct {
    char api_key[SIGN_API_KEY_MAX];
    char passphrase[SIGN_PASSPHRASE_MAX];
} sign_opened;

typedef struct {
    int64_t user_id;
    uint64_t hash;
    char ref[NET_SIGN_REF_MAX];
    char *secret; /* as stored, which is no secret */
    crypto_mac *mac;
    sign_opened *opened;
    uint32_t newer, older, next; /* by use; in the chain of its bucket */
} sign_entry;

/* What stands open for the length of one call. */
typedef struct {
    char plain[SIGN_PLAIN_MAX];
    char secret[SIGN_API_SECRET_MAX];
    uint8_t cipher[SIGN_PLAIN_MAX];
    sign_opened opened;
} sign_scratch;

typedef struct {
    uint8_t master_key[CRYPTO_KEY_SIZE];
    uint8_t seal_private_key[CRYPTO_KEY_SIZE];
    sign_scratch scratch;
} sign_locked;

struct sign_vault {
    sign_locked *locked;
    sign_entry *entries;
    uint32_t *buckets;
    sign_opened **slabs;
    size_t capacity, bucket_count, used;
    uint32_t newest, oldest;
};

/* ---- making ------------------------------------------------------------------------------------
 */

sign_vault *sign_vault_new(const uint8_t master_key[CRYPTO_KEY_SIZE],
                           const uint8_t seal_private_key[CRYPTO_KEY_SIZE], size_t capacity)
{
    sign_vault *vault = calloc(1, sizeof(*vault));

    if (vault == NULL || capacity == 0 || capacity >= SIGN_NONE) {
        free(vault);
        return NULL;
    }
    vault->capacity = capacity;
    vault->bucket_count = 2 * capacity;
    vault->newest = vault->oldest = SIGN_NONE;
    vault->locked = crypto_secret_alloc(sizeof(*vault->locked));
    vault->entries = calloc(capacity, sizeof(*vault->entries));
    vault->buckets = malloc(vault->bucket_count * sizeof(*vault->buckets));
    vault->slabs = calloc((capacity + SIGN_SLAB - 1) / SIGN_SLAB, sizeof(sign_opened *));
    if (vault->locked == NULL || vault->entries == NULL || vault->buckets == NULL ||
        vault->slabs == NULL) {
        sign_vault_free(vault);
        return NULL;
    }
    memset(vault->buckets, 0xff, vault->bucket_count * sizeof(*vault->buckets));
    memcpy(vault->locked->master_key, master_key, CRYPTO_KEY_SIZE);
    memcpy(vault->locked->seal_private_key, seal_private_key, CRYPTO_KEY_SIZE);
    return vault;
}

static void sign_forget(sign_entry *entry)
{
    crypto_mac_free(entry->mac);
    crypto_wipe(entry->opened, sizeof(*entry->opened));
    free(entry->secret);
    entry->mac = NULL;
    entry->secret = NULL;
}

void sign_vault_clear(sign_vault *vault)
{
    for (size_t i = 0; i < vault->used; i++) {
        sign_forget(&vault->entries[i]);
    }
    memset(vault->buckets, 0xff, vault->bucket_count * sizeof(*vault->buckets));
    vault->used = 0;
    vault->newest = vault->oldest = SIGN_NONE;
}

void sign_vault_free(sign_vault *vault)
{
    if (vault == NULL) {
        return;
    }
    if (vault->entries != NULL && vault->buckets != NULL) {
        sign_vault_clear(vault);
    }
    for (size_t i = 0; vault->slabs != NULL && i < (vault->capacity + SIGN_SLAB - 1) / SIGN_SLAB;
         i++) {
        crypto_secret_free(vault->slabs[i]);
    }
    crypto_secret_free(vault->locked);
    free(vault->slabs);
    free(vault->buckets);
    free(vault->entries);
    free(vault);
}

size_t sign_vault_cached(const sign_vault *vault)
{
    return vault->used;
}

/* ---- the cache ---------------------------------------------------------------------------------
 */

static uint64_t sign_hash(int64_t user_id, const char *secret)
{
    uint64_t hash = 0xcbf29ce484222325ULL ^ (uint64_t)user_id;

    for (; *secret != '\0'; secret++) {
        hash = (hash ^ (unsigned char)*secret) * 0x100000001b3ULL;
    }
    return hash;
}

static void sign_use(sign_vault *vault, uint32_t index)
{
    sign_entry *entry = &vault->entries[index];

    entry->older = vault->newest;
    entry->newer = SIGN_NONE;
    if (vault->newest != SIGN_NONE) {
        vault->entries[vault->newest].newer = index;
    } else {
        vault->oldest = index;
    }
    vault->newest = index;
}

static void sign_unuse(sign_vault *vault, uint32_t index)
{
    sign_entry *entry = &vault->entries[index];

    if (entry->newer != SIGN_NONE) {
        vault->entries[entry->newer].older = entry->older;
    } else {
        vault->newest = entry->older;
    }
    if (entry->older != SIGN_NONE) {
        vault->entries[entry->older].newer = entry->newer;
    } else {
        vault->oldest = entry->newer;
    }
}

static uint32_t sign_find(const sign_vault *vault, uint64_t hash, int64_t user_id, const char *ref,
                          const char *secret)
{
    uint32_t index = vault->buckets[hash % vault->bucket_count];

    while (index != SIGN_NONE) {
        const sign_entry *entry = &vault->entries[index];

        if (entry->hash == hash && entry->user_id == user_id && strcmp(entry->ref, ref) == 0 &&
            strcmp(entry->secret, secret) == 0) {
            return index;
        }
        index = entry->next;
    }
    return SIGN_NONE;
}

static void sign_unchain(sign_vault *vault, uint32_t index)
{
    uint32_t *at = &vault->buckets[vault->entries[index].hash % vault->bucket_count];

    while (*at != index) {
        at = &vault->entries[*at].next;
    }
    *at = vault->entries[index].next;
}

/* A free entry, or the one that was not used for longest, emptied. */
static uint32_t sign_entry_take(sign_vault *vault)
{
    uint32_t index;

    if (vault->used < vault->capacity) {
        size_t slab = vault->used / SIGN_SLAB;

        if (vault->slabs[slab] == NULL) {
            vault->slabs[slab] = crypto_secret_alloc(SIGN_SLAB * sizeof(sign_opened));
        }
        if (vault->slabs[slab] != NULL) {
            index = (uint32_t)vault->used++;
            vault->entries[index].opened = &vault->slabs[slab][index % SIGN_SLAB];
            return index;
        }
    }
    index = vault->oldest;
    if (index == SIGN_NONE) {
        return SIGN_NONE;
    }
    sign_unchain(vault, index);
    sign_unuse(vault, index);
    sign_forget(&vault->entries[index]);
    return index;
}

/* ---- opening -----------------------------------------------------------------------------------
 */

static size_t sign_aad(int64_t user_id, const char *ref, char aad[SIGN_AAD_MAX])
{
    return (size_t)snprintf(aad, SIGN_AAD_MAX, "%lld|%s|credentials", (long long)user_id, ref);
}

/* {"api_key":…,"secret":…,"passphrase":…}; the passphrase may be missing. */
static bool sign_read_plain(sign_scratch *scratch, size_t length)
{
    jsmntok_t tokens[SIGN_TOKENS];
    json_doc doc;
    int passphrase;
    bool read;

    read = json_parse(&doc, scratch->plain, length, tokens, SIGN_TOKENS) == JSON_OK &&
           json_copy(&doc, json_at(&doc, 0, "api_key"), scratch->opened.api_key,
                     sizeof(scratch->opened.api_key)) &&
           json_copy(&doc, json_at(&doc, 0, "secret"), scratch->secret, sizeof(scratch->secret)) &&
           scratch->opened.api_key[0] != '\0' && scratch->secret[0] != '\0';
    passphrase = read ? json_at(&doc, 0, "passphrase") : -1;
    scratch->opened.passphrase[0] = '\0';
    if (passphrase >= 0 && !json_is_null(&doc, passphrase)) {
        read = json_copy(&doc, passphrase, scratch->opened.passphrase,
                         sizeof(scratch->opened.passphrase));
    }
    return read;
}

/* Control characters in a key would split a header. */
static bool sign_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || (unsigned char)*text == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool sign_decrypt(sign_vault *vault, int64_t user_id, const char *ref, const char *secret)
{
    sign_scratch *scratch = &vault->locked->scratch;
    char aad[SIGN_AAD_MAX];
    size_t aad_length = sign_aad(user_id, ref, aad);
    long length = crypto_unbase64(secret, strlen(secret), scratch->cipher, sizeof(scratch->cipher));

    if (length <= CRYPTO_GCM_OVERHEAD ||
        !crypto_gcm_open(vault->locked->master_key, aad, aad_length, scratch->cipher,
                         (size_t)length, scratch->plain)) {
        return false;
    }
    return sign_read_plain(scratch, (size_t)length - CRYPTO_GCM_OVERHEAD) &&
           sign_printable(scratch->opened.api_key) && sign_printable(scratch->opened.passphrase);
}

static uint32_t sign_admit(sign_vault *vault, uint64_t hash, int64_t user_id, const char *ref,
                           const char *secret)
{
    sign_scratch *scratch = &vault->locked->scratch;
    crypto_mac *mac = crypto_mac_new(scratch->secret, strlen(scratch->secret));
    char *copy = strdup(secret);
    uint32_t index = mac != NULL && copy != NULL ? sign_entry_take(vault) : SIGN_NONE;
    sign_entry *entry;

    if (index == SIGN_NONE) {
        crypto_mac_free(mac);
        free(copy);
        return SIGN_NONE;
    }
    entry = &vault->entries[index];
    *entry->opened = scratch->opened;
    entry->user_id = user_id;
    entry->hash = hash;
    snprintf(entry->ref, sizeof(entry->ref), "%s", ref);
    entry->secret = copy;
    entry->mac = mac;
    entry->next = vault->buckets[hash % vault->bucket_count];
    vault->buckets[hash % vault->bucket_count] = index;
    sign_use(vault, index);
    return index;
}

bool sign_vault_open(sign_vault *vault, int64_t user_id, const char *ref, const char *secret,
                     sign_credentials *credentials)
{
    uint64_t hash = sign_hash(user_id, secret);
    uint32_t index = sign_find(vault, hash, user_id, ref, secret);

    if (strlen(ref) >= NET_SIGN_REF_MAX) {
        return false;
    }
    if (index != SIGN_NONE) {
        sign_unuse(vault, index);
        sign_use(vault, index);
    } else {
        if (sign_decrypt(vault, user_id, ref, secret)) {
            index = sign_admit(vault, hash, user_id, ref, secret);
        }
        crypto_wipe(&vault->locked->scratch, sizeof(vault->locked->scratch));
    }
    if (index == SIGN_NONE) {
        return false;
    }
    *credentials = (sign_credentials){.api_key = vault->entries[index].opened->api_key,
                                      .passphrase = vault->entries[index].opened->passphrase,
                                      .mac = vault->entries[index].mac};
    return true;
}

/* ---- new ones ----------------------------------------------------------------------------------
 */

static bool sign_reseal(const sign_vault *vault, const char *aad, size_t aad_length,
                        const uint8_t *sealed, size_t length, char *stored, size_t capacity)
{
    sign_scratch *scratch = &vault->locked->scratch;
    size_t plain = length - CRYPTO_SEAL_OVERHEAD;
    size_t cipher = plain + CRYPTO_GCM_OVERHEAD;

    if (plain > sizeof(scratch->plain) || cipher > sizeof(scratch->cipher) ||
        4 * ((cipher + 2) / 3) + 1 > capacity ||
        !crypto_unseal(vault->locked->seal_private_key, aad, aad_length, sealed, length,
                       scratch->plain) ||
        !sign_read_plain(scratch, plain) || !sign_printable(scratch->opened.api_key) ||
        !sign_printable(scratch->opened.passphrase) ||
        !crypto_gcm_seal(vault->locked->master_key, aad, aad_length, scratch->plain, plain,
                         scratch->cipher)) {
        return false;
    }
    crypto_base64(scratch->cipher, cipher, stored);
    return true;
}

bool sign_vault_rewrap(const sign_vault *vault, int64_t user_id, const char *ref,
                       const uint8_t *sealed, size_t length, char *stored, size_t capacity)
{
    char aad[SIGN_AAD_MAX];
    size_t aad_length = sign_aad(user_id, ref, aad);
    bool done = strlen(ref) < NET_SIGN_REF_MAX && length > CRYPTO_SEAL_OVERHEAD &&
                sign_reseal(vault, aad, aad_length, sealed, length, stored, capacity);

    crypto_wipe(&vault->locked->scratch, sizeof(vault->locked->scratch));
    return done;
}
