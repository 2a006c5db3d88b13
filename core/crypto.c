/*
 * Algorithms fetched once, random bytes, SHA-256 and HMAC-SHA256.
 *
 * Fetching and keying are what is slow about OpenSSL 3's MACs: a context that was keyed once and is
 * only initialised again computes in a third of the time.
 */
#include "core/crypto_private.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <limits.h>
#include <stdlib.h>

crypto_algorithms crypto_fetched;

struct crypto_mac {
    EVP_MAC_CTX *context;
};

bool crypto_start(void)
{
    crypto_algorithms *all = &crypto_fetched;

    if (all->sha256 == NULL) {
        all->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    }
    if (all->hmac == NULL) {
        all->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    }
    if (all->aes_gcm == NULL) {
        all->aes_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    }
    if (all->hkdf == NULL) {
        all->hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    }
    return all->sha256 != NULL && all->hmac != NULL && all->aes_gcm != NULL && all->hkdf != NULL;
}

bool crypto_random(void *out, size_t length)
{
    return length <= INT_MAX && RAND_bytes(out, (int)length) == 1;
}

bool crypto_sha256(const void *data, size_t length, uint8_t out[CRYPTO_SHA256_SIZE])
{
    return crypto_fetched.sha256 != NULL &&
           EVP_Digest(data, length, out, NULL, crypto_fetched.sha256, NULL) == 1;
}

crypto_mac *crypto_mac_new(const void *key, size_t key_length)
{
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    crypto_mac *mac;

    if (crypto_fetched.hmac == NULL) {
        return NULL;
    }
    mac = malloc(sizeof(*mac));
    if (mac == NULL) {
        return NULL;
    }
    mac->context = EVP_MAC_CTX_new(crypto_fetched.hmac);
    /* a NULL key means "keep the old one" to OpenSSL, so an empty key needs an address */
    if (mac->context == NULL ||
        EVP_MAC_init(mac->context, key_length > 0 ? key : digest, key_length, parameters) != 1) {
        crypto_mac_free(mac);
        return NULL;
    }
    return mac;
}

bool crypto_mac_compute(crypto_mac *mac, const void *data, size_t length,
                        uint8_t out[CRYPTO_SHA256_SIZE])
{
    size_t written;

    return EVP_MAC_init(mac->context, NULL, 0, NULL) == 1 &&
           EVP_MAC_update(mac->context, data, length) == 1 &&
           EVP_MAC_final(mac->context, out, &written, CRYPTO_SHA256_SIZE) == 1;
}

void crypto_mac_free(crypto_mac *mac)
{
    if (mac != NULL) {
        EVP_MAC_CTX_free(mac->context); /* wipes the key */
        free(mac);
    }
}

bool crypto_hmac(const void *key, size_t key_length, const void *data, size_t length,
                 uint8_t out[CRYPTO_SHA256_SIZE])
{
    crypto_mac *mac = crypto_mac_new(key, key_length);
    bool done = mac != NULL && crypto_mac_compute(mac, data, length, out);

    crypto_mac_free(mac);
    return done;
}
