/*
 * Cryptography, all of it OpenSSL 3's: digests and MACs, AES-256-GCM, sealing to an X25519 key,
 * random bytes, encodings, locked memory.
 *
 * Promises: algorithms are fetched once; a keyed MAC context is reused; secrets live in
 * `crypto_secret_alloc` memory (locked, out of core dumps, wiped on free); comparisons of secrets
 * are constant-time; a failed open gives no plaintext.
 */
#ifndef WHALE_CORE_CRYPTO_H
#define WHALE_CORE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRYPTO_SHA256_SIZE 32
#define CRYPTO_KEY_SIZE 32 /* AES-256, X25519 */
#define CRYPTO_GCM_NONCE_SIZE 12
#define CRYPTO_GCM_TAG_SIZE 16
#define CRYPTO_GCM_OVERHEAD (CRYPTO_GCM_NONCE_SIZE + CRYPTO_GCM_TAG_SIZE)
/* an ephemeral public key stands first */
#define CRYPTO_SEAL_OVERHEAD (CRYPTO_KEY_SIZE + CRYPTO_GCM_OVERHEAD)

/* Once per process, before anything else here. False: OpenSSL could not provide an algorithm. */
bool crypto_start(void);

bool crypto_random(void *out, size_t length);
bool crypto_sha256(const void *data, size_t length, uint8_t out[CRYPTO_SHA256_SIZE]);

/* HMAC-SHA256. `crypto_hmac` keys anew each time; a crypto_mac keeps its key (3 times faster). */
bool crypto_hmac(const void *key, size_t key_length, const void *data, size_t length,
                 uint8_t out[CRYPTO_SHA256_SIZE]);
typedef struct crypto_mac crypto_mac; /* one thread at a time */
crypto_mac *crypto_mac_new(const void *key, size_t key_length);
bool crypto_mac_compute(crypto_mac *mac, const void *data, size_t length,
                        uint8_t out[CRYPTO_SHA256_SIZE]);
void crypto_mac_free(crypto_mac *mac);

/*
 * AES-256-GCM: out = nonce(12, random) || tag(16) || ciphertext, length + CRYPTO_GCM_OVERHEAD bytes
 * (stored as base64 of exactly this). `open` writes length - CRYPTO_GCM_OVERHEAD bytes, or
 * returns false and wipes what it wrote.
 */
bool crypto_gcm_seal(const uint8_t key[CRYPTO_KEY_SIZE], const void *aad, size_t aad_length,
                     const void *plain, size_t length, uint8_t *out);
bool crypto_gcm_open(const uint8_t key[CRYPTO_KEY_SIZE], const void *aad, size_t aad_length,
                     const uint8_t *sealed, size_t length, void *out);

/*
 * Sealing to a public key: ephemeral X25519, HKDF-SHA256 (salt = ephemeral || recipient public key,
 * info = "whale seal v1"), AES-256-GCM. out = ephemeral public key(32) || nonce || tag ||
 * ciphertext, length + CRYPTO_SEAL_OVERHEAD bytes. Whoever seals cannot open.
 */
bool crypto_keypair(uint8_t public_key[CRYPTO_KEY_SIZE], uint8_t private_key[CRYPTO_KEY_SIZE]);
bool crypto_public_key(const uint8_t private_key[CRYPTO_KEY_SIZE],
                       uint8_t public_key[CRYPTO_KEY_SIZE]);
bool crypto_seal(const uint8_t public_key[CRYPTO_KEY_SIZE], const void *aad, size_t aad_length,
                 const void *plain, size_t length, uint8_t *out);
bool crypto_unseal(const uint8_t private_key[CRYPTO_KEY_SIZE], const void *aad, size_t aad_length,
                   const uint8_t *sealed, size_t length, void *out);

bool crypto_equal(const void *a, const void *b, size_t length); /* constant time */
void crypto_wipe(void *data, size_t length);
void *crypto_secret_alloc(size_t length); /* mlock, MADV_DONTDUMP, zeroed; NULL on failure */
void crypto_secret_free(void *data);      /* wiped */

/* Encodings; outputs NUL-terminated. Sizes: hex 2n+1, base64 4*ceil(n/3)+1. Decoders are strict
 * (canonical padding, no blanks) and return the byte count or -1. */
void crypto_hex(const void *data, size_t length, char *out);
long crypto_unhex(const char *text, size_t length, uint8_t *out, size_t capacity);
void crypto_base64(const void *data, size_t length, char *out);
long crypto_unbase64(const char *text, size_t length, uint8_t *out, size_t capacity);
void crypto_base64url(const void *data, size_t length, char *out); /* no padding */
long crypto_unbase64url(const char *text, size_t length, uint8_t *out, size_t capacity);
/* Lower-case base32 (a-z2-7), no padding: the alphabet of client order ids. 16 bytes -> 26. */
void crypto_base32(const void *data, size_t length, char *out);

/*
 * A key file: 64 hex digits, or 32 raw bytes, or (crypto_read_secret) any text up to capacity; one
 * trailing newline is dropped. Refuses a file that others may read (mode & 007). False with a
 * reason.
 */
bool crypto_read_key(const char *path, uint8_t key[CRYPTO_KEY_SIZE], char *error, size_t capacity);
/* The same for a key that is no secret: the file may be readable by anyone. */
bool crypto_read_public_key(const char *path, uint8_t key[CRYPTO_KEY_SIZE], char *error,
                            size_t capacity);
/* The length of the text, which is NUL-terminated, or -1. An empty file is no secret. */
long crypto_read_secret(const char *path, char *out, size_t capacity, char *error,
                        size_t error_capacity);

#endif
