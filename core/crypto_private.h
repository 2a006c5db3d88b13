/* What the parts of crypto share, and what only tests may call. */
#ifndef WHALE_CORE_CRYPTO_PRIVATE_H
#define WHALE_CORE_CRYPTO_PRIVATE_H

#include "core/crypto.h"

#include <openssl/evp.h>

/* Fetched once by crypto_start; NULL before. */
typedef struct {
    EVP_MD *sha256;
    EVP_MAC *hmac;
    EVP_CIPHER *aes_gcm;
    EVP_KDF *hkdf;
} crypto_algorithms;

extern crypto_algorithms crypto_fetched;

/* crypto_gcm_seal under a nonce of the caller's: only for recorded cases. A nonce used twice under
 * one key gives both texts away. */
bool crypto_gcm_seal_with_nonce(const uint8_t key[CRYPTO_KEY_SIZE],
                                const uint8_t nonce[CRYPTO_GCM_NONCE_SIZE], const void *aad,
                                size_t aad_length, const void *plain, size_t length, uint8_t *out);

#endif
