/*
 * The keys, and the credentials that were opened with them.
 *
 * Promises: a secret opens only under the user and account that it was stored for (both are in the
 * AAD); opened credentials stand in locked memory, at most `capacity` of them, and are wiped when
 * another takes their place; plaintext never leaves but as an API key, a passphrase, or a MAC.
 */
#ifndef WHALE_SIGN_VAULT_H
#define WHALE_SIGN_VAULT_H

#include "core/crypto.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIGN_KEY_ID 1 /* the one master key that this release writes with */
#define SIGN_API_KEY_MAX 160
#define SIGN_PASSPHRASE_MAX 96
#define SIGN_API_SECRET_MAX 512 /* only while it is being turned into a MAC */
#define SIGN_CACHE_DEFAULT 16384

typedef struct sign_vault sign_vault;

/* The keys are copied into locked memory. NULL: memory is short. */
sign_vault *sign_vault_new(const uint8_t master_key[CRYPTO_KEY_SIZE],
                           const uint8_t seal_private_key[CRYPTO_KEY_SIZE], size_t capacity);
void sign_vault_free(sign_vault *vault);
/* Forgets every opened credential. */
void sign_vault_clear(sign_vault *vault);

/* Valid until the next call on the vault. */
typedef struct {
    const char *api_key, *passphrase;
    crypto_mac *mac;
} sign_credentials;

/* False: not base64, not of this user and account, or not what a vault wrote. */
bool sign_vault_open(sign_vault *vault, int64_t user_id, const char *ref, const char *secret,
                     sign_credentials *credentials);
/*
 * What nginx sealed, encrypted under the master key: base64 of nonce, tag, ciphertext. False: not
 * sealed to this key, user and account; or not an object of an API key, a secret and a passphrase
 * of bearable lengths; or `stored` is too small.
 */
bool sign_vault_rewrap(const sign_vault *vault, int64_t user_id, const char *ref,
                       const uint8_t *sealed, size_t length, char *stored, size_t capacity);

size_t sign_vault_cached(const sign_vault *vault);

#endif
