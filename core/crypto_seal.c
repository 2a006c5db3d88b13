/*
 * AES-256-GCM in our own layout (nonce, tag, ciphertext), and sealing to an X25519 public key on
 * top.
 *
 * Promises: nonces are random and drawn here; what a failed open wrote is wiped before it returns;
 * every derived key and shared secret is wiped.
 */
#include "core/crypto_private.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <limits.h>
#include <string.h>

static const char crypto_seal_label[] = "whale seal v1";

static bool crypto_gcm_encrypt(EVP_CIPHER_CTX *context, const uint8_t *key, const uint8_t *nonce,
                               const void *aad, size_t aad_length, const void *plain, size_t length,
                               uint8_t *out)
{
    uint8_t *tag = out + CRYPTO_GCM_NONCE_SIZE;
    uint8_t *ciphertext = tag + CRYPTO_GCM_TAG_SIZE;
    int written;

    if (EVP_EncryptInit_ex2(context, crypto_fetched.aes_gcm, key, nonce, NULL) != 1) {
        return false;
    }
    if (aad_length > 0 && EVP_EncryptUpdate(context, NULL, &written, aad, (int)aad_length) != 1) {
        return false;
    }
    if (length > 0 && EVP_EncryptUpdate(context, ciphertext, &written, plain, (int)length) != 1) {
        return false;
    }
    return EVP_EncryptFinal_ex(context, ciphertext + length, &written) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, CRYPTO_GCM_TAG_SIZE, tag) == 1;
}

static bool crypto_gcm_decrypt(EVP_CIPHER_CTX *context, const uint8_t *key, const void *aad,
                               size_t aad_length, const uint8_t *sealed, size_t length,
                               uint8_t *out)
{
    const uint8_t *tag = sealed + CRYPTO_GCM_NONCE_SIZE;
    const uint8_t *ciphertext = tag + CRYPTO_GCM_TAG_SIZE;
    uint8_t rest[16];
    int written;

    if (EVP_DecryptInit_ex2(context, crypto_fetched.aes_gcm, key, sealed, NULL) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, CRYPTO_GCM_TAG_SIZE, (void *)tag) !=
            1) {
        return false;
    }
    if (aad_length > 0 && EVP_DecryptUpdate(context, NULL, &written, aad, (int)aad_length) != 1) {
        return false;
    }
    if (length > 0 && EVP_DecryptUpdate(context, out, &written, ciphertext, (int)length) != 1) {
        return false;
    }
    return EVP_DecryptFinal_ex(context, rest, &written) == 1;
}

static bool crypto_gcm_can(size_t aad_length, size_t length)
{
    return crypto_fetched.aes_gcm != NULL && aad_length <= INT_MAX && length <= INT_MAX;
}

bool crypto_gcm_seal_with_nonce(const uint8_t key[CRYPTO_KEY_SIZE],
                                const uint8_t nonce[CRYPTO_GCM_NONCE_SIZE], const void *aad,
                                size_t aad_length, const void *plain, size_t length, uint8_t *out)
{
    EVP_CIPHER_CTX *context;
    bool done;

    if (!crypto_gcm_can(aad_length, length)) {
        return false;
    }
    context = EVP_CIPHER_CTX_new();
    done = context != NULL &&
           crypto_gcm_encrypt(context, key, nonce, aad, aad_length, plain, length, out);
    EVP_CIPHER_CTX_free(context);
    if (done) {
        memcpy(out, nonce, CRYPTO_GCM_NONCE_SIZE);
    }
    return done;
}

bool crypto_gcm_seal(const uint8_t key[CRYPTO_KEY_SIZE], const void *aad, size_t aad_length,
                     const void *plain, size_t length, uint8_t *out)
{
    uint8_t nonce[CRYPTO_GCM_NONCE_SIZE];

    return crypto_random(nonce, sizeof(nonce)) &&
           crypto_gcm_seal_with_nonce(key, nonce, aad, aad_length, plain, length, out);
}

bool crypto_gcm_open(const uint8_t key[CRYPTO_KEY_SIZE], const void *aad, size_t aad_length,
                     const uint8_t *sealed, size_t length, void *out)
{
    EVP_CIPHER_CTX *context;
    bool done;

    if (length < CRYPTO_GCM_OVERHEAD) {
        return false;
    }
    length -= CRYPTO_GCM_OVERHEAD;
    if (!crypto_gcm_can(aad_length, length)) {
        return false;
    }
    context = EVP_CIPHER_CTX_new();
    done =
        context != NULL && crypto_gcm_decrypt(context, key, aad, aad_length, sealed, length, out);
    EVP_CIPHER_CTX_free(context);
    if (!done) {
        crypto_wipe(out, length);
    }
    return done;
}

static bool crypto_raw_public(EVP_PKEY *pair, uint8_t public_key[CRYPTO_KEY_SIZE])
{
    size_t size = CRYPTO_KEY_SIZE;

    return EVP_PKEY_get_raw_public_key(pair, public_key, &size) == 1 && size == CRYPTO_KEY_SIZE;
}

bool crypto_keypair(uint8_t public_key[CRYPTO_KEY_SIZE], uint8_t private_key[CRYPTO_KEY_SIZE])
{
    EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    size_t size = CRYPTO_KEY_SIZE;
    bool done = pair != NULL && crypto_raw_public(pair, public_key) &&
                EVP_PKEY_get_raw_private_key(pair, private_key, &size) == 1 &&
                size == CRYPTO_KEY_SIZE;

    EVP_PKEY_free(pair);
    return done;
}

bool crypto_public_key(const uint8_t private_key[CRYPTO_KEY_SIZE],
                       uint8_t public_key[CRYPTO_KEY_SIZE])
{
    EVP_PKEY *pair =
        EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, private_key, CRYPTO_KEY_SIZE);
    bool done = pair != NULL && crypto_raw_public(pair, public_key);

    EVP_PKEY_free(pair);
    return done;
}

/* X25519; OpenSSL refuses an all-zero result, which a peer's low-order point would force. */
static bool crypto_agree(const uint8_t *private_key, const uint8_t *peer_key, uint8_t *shared)
{
    EVP_PKEY *own =
        EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, private_key, CRYPTO_KEY_SIZE);
    EVP_PKEY *peer =
        EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, peer_key, CRYPTO_KEY_SIZE);
    EVP_PKEY_CTX *context = own != NULL ? EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL) : NULL;
    size_t size = CRYPTO_KEY_SIZE;
    bool done = peer != NULL && context != NULL && EVP_PKEY_derive_init(context) == 1 &&
                EVP_PKEY_derive_set_peer(context, peer) == 1 &&
                EVP_PKEY_derive(context, shared, &size) == 1 && size == CRYPTO_KEY_SIZE;

    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(peer);
    EVP_PKEY_free(own);
    return done;
}

static bool crypto_hkdf(const uint8_t *secret, const uint8_t *salt, size_t salt_length,
                        uint8_t key[CRYPTO_KEY_SIZE])
{
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, CRYPTO_KEY_SIZE),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, salt_length),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)crypto_seal_label,
                                          sizeof(crypto_seal_label) - 1),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF_CTX *context;
    bool done;

    if (crypto_fetched.hkdf == NULL) {
        return false;
    }
    context = EVP_KDF_CTX_new(crypto_fetched.hkdf);
    done = context != NULL && EVP_KDF_derive(context, key, CRYPTO_KEY_SIZE, parameters) == 1;
    EVP_KDF_CTX_free(context);
    return done;
}

/* The key that sealer and opener both reach: salted with both public keys, so bound to them. */
static bool crypto_seal_key(const uint8_t *private_key, const uint8_t *peer_key,
                            const uint8_t *ephemeral_key, const uint8_t *recipient_key,
                            uint8_t key[CRYPTO_KEY_SIZE])
{
    uint8_t shared[CRYPTO_KEY_SIZE], salt[2 * CRYPTO_KEY_SIZE];
    bool done;

    memcpy(salt, ephemeral_key, CRYPTO_KEY_SIZE);
    memcpy(salt + CRYPTO_KEY_SIZE, recipient_key, CRYPTO_KEY_SIZE);
    done =
        crypto_agree(private_key, peer_key, shared) && crypto_hkdf(shared, salt, sizeof(salt), key);
    crypto_wipe(shared, sizeof(shared));
    return done;
}

bool crypto_seal(const uint8_t public_key[CRYPTO_KEY_SIZE], const void *aad, size_t aad_length,
                 const void *plain, size_t length, uint8_t *out)
{
    uint8_t ephemeral[CRYPTO_KEY_SIZE], private_key[CRYPTO_KEY_SIZE], key[CRYPTO_KEY_SIZE];
    bool done = crypto_keypair(ephemeral, private_key) &&
                crypto_seal_key(private_key, public_key, ephemeral, public_key, key) &&
                crypto_gcm_seal(key, aad, aad_length, plain, length, out + CRYPTO_KEY_SIZE);

    if (done) {
        memcpy(out, ephemeral, CRYPTO_KEY_SIZE);
    }
    crypto_wipe(private_key, sizeof(private_key));
    crypto_wipe(key, sizeof(key));
    return done;
}

bool crypto_unseal(const uint8_t private_key[CRYPTO_KEY_SIZE], const void *aad, size_t aad_length,
                   const uint8_t *sealed, size_t length, void *out)
{
    uint8_t public_key[CRYPTO_KEY_SIZE], key[CRYPTO_KEY_SIZE];
    bool done;

    if (length < CRYPTO_SEAL_OVERHEAD) {
        return false;
    }
    done = crypto_public_key(private_key, public_key) &&
           crypto_seal_key(private_key, sealed, sealed, public_key, key) &&
           crypto_gcm_open(key, aad, aad_length, sealed + CRYPTO_KEY_SIZE, length - CRYPTO_KEY_SIZE,
                           out);
    crypto_wipe(key, sizeof(key));
    return done;
}
