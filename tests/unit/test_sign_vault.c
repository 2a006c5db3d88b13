/*
 * The vault: a rewrap there and back, whom a secret opens for, a cache that stays within its bound.
 */
#include "workerd/net/net_sign.h"
#include "workerd/sign/sign_vault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define REF "0d3c5b3e-7a44-4e2f-9a51-6a3a7a6f0b11"
#define OTHER_REF "1d3c5b3e-7a44-4e2f-9a51-6a3a7a6f0b11"
#define PLAIN "{\"api_key\":\"key-1\",\"secret\":\"s3cret\",\"passphrase\":\"open sesame\"}"

static uint8_t master_key[CRYPTO_KEY_SIZE], seal_public[CRYPTO_KEY_SIZE],
    seal_private[CRYPTO_KEY_SIZE];

static sign_vault *vault_of(size_t capacity)
{
    sign_vault *vault = sign_vault_new(master_key, seal_private, capacity);

    assert_non_null(vault);
    return vault;
}

static size_t seal(const char *plain, int64_t user_id, const char *ref, uint8_t *sealed)
{
    char aad[128];
    int length = snprintf(aad, sizeof(aad), "%lld|%s|credentials", (long long)user_id, ref);

    assert_true(crypto_seal(seal_public, aad, (size_t)length, plain, strlen(plain), sealed));
    return strlen(plain) + CRYPTO_SEAL_OVERHEAD;
}

static bool rewrap(sign_vault *vault, const char *plain, int64_t user_id, char *stored)
{
    uint8_t sealed[NET_SIGN_SEALED_MAX];
    size_t length = seal(plain, user_id, REF, sealed);

    return sign_vault_rewrap(vault, user_id, REF, sealed, length, stored, NET_SIGN_SECRET_MAX);
}

static void given_sealed_credentials_when_rewrapped_then_they_open_and_sign(void **state)
{
    sign_vault *vault = vault_of(8);
    char stored[NET_SIGN_SECRET_MAX];
    uint8_t digest[CRYPTO_SHA256_SIZE], wanted[CRYPTO_SHA256_SIZE];
    sign_credentials credentials;

    (void)state;
    assert_true(rewrap(vault, PLAIN, 7, stored));
    assert_null(strstr(stored, "s3cret"));
    assert_true(sign_vault_open(vault, 7, REF, stored, &credentials));
    assert_string_equal(credentials.api_key, "key-1");
    assert_string_equal(credentials.passphrase, "open sesame");
    assert_true(crypto_mac_compute(credentials.mac, "text", 4, digest));
    assert_true(crypto_hmac("s3cret", 6, "text", 4, wanted));
    assert_memory_equal(digest, wanted, sizeof(wanted));
    sign_vault_free(vault);
}

static void given_another_user_account_or_key_when_opened_then_it_stays_shut(void **state)
{
    sign_vault *vault = vault_of(8), *other;
    uint8_t another_key[CRYPTO_KEY_SIZE];
    char stored[NET_SIGN_SECRET_MAX];
    sign_credentials credentials;

    (void)state;
    assert_true(crypto_random(another_key, sizeof(another_key)));
    other = sign_vault_new(another_key, seal_private, 8);
    assert_non_null(other);
    assert_true(rewrap(vault, PLAIN, 7, stored));
    assert_false(sign_vault_open(vault, 8, REF, stored, &credentials));
    assert_false(sign_vault_open(vault, 7, OTHER_REF, stored, &credentials));
    assert_false(sign_vault_open(other, 7, REF, stored, &credentials));
    /* Also once it is open in the cache. */
    assert_true(sign_vault_open(vault, 7, REF, stored, &credentials));
    assert_false(sign_vault_open(vault, 8, REF, stored, &credentials));
    assert_false(sign_vault_open(vault, 7, OTHER_REF, stored, &credentials));
    sign_vault_free(vault);
    sign_vault_free(other);
}

static void given_each_byte_changed_when_opened_then_it_stays_shut(void **state)
{
    sign_vault *vault = vault_of(8);
    char stored[NET_SIGN_SECRET_MAX];
    sign_credentials credentials;

    (void)state;
    assert_true(rewrap(vault, PLAIN, 7, stored));
    for (size_t i = 0; stored[i] != '\0'; i++) {
        char was = stored[i];

        stored[i] = was == 'A' ? 'B' : 'A';
        assert_false(sign_vault_open(vault, 7, REF, stored, &credentials));
        stored[i] = was;
    }
    assert_true(sign_vault_open(vault, 7, REF, stored, &credentials));
    stored[strlen(stored) - 4] = '\0';
    assert_false(sign_vault_open(vault, 7, REF, stored, &credentials));
    assert_false(sign_vault_open(vault, 7, REF, "", &credentials));
    assert_false(sign_vault_open(vault, 7, REF, "not base64 at all", &credentials));
    sign_vault_free(vault);
}

static void
given_a_seal_for_another_user_account_or_key_when_rewrapped_then_it_is_refused(void **state)
{
    sign_vault *vault = vault_of(8), *other;
    uint8_t sealed[NET_SIGN_SEALED_MAX], public_key[CRYPTO_KEY_SIZE], private_key[CRYPTO_KEY_SIZE];
    char stored[NET_SIGN_SECRET_MAX];
    size_t length = seal(PLAIN, 7, REF, sealed);

    (void)state;
    assert_true(crypto_keypair(public_key, private_key));
    other = sign_vault_new(master_key, private_key, 8);
    assert_non_null(other);
    assert_false(sign_vault_rewrap(vault, 8, REF, sealed, length, stored, sizeof(stored)));
    assert_false(sign_vault_rewrap(vault, 7, OTHER_REF, sealed, length, stored, sizeof(stored)));
    assert_false(sign_vault_rewrap(other, 7, REF, sealed, length, stored, sizeof(stored)));
    for (size_t cut = 0; cut < length; cut++) {
        assert_false(sign_vault_rewrap(vault, 7, REF, sealed, cut, stored, sizeof(stored)));
    }
    assert_false(sign_vault_rewrap(vault, 7, REF, sealed, length, stored, 16));
    assert_true(sign_vault_rewrap(vault, 7, REF, sealed, length, stored, sizeof(stored)));
    sign_vault_free(vault);
    sign_vault_free(other);
}

static void given_plaintext_that_is_no_key_when_rewrapped_then_it_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "null",
        "{\"api_key\":\"k\"}",
        "{\"secret\":\"s\"}",
        "{\"api_key\":\"\",\"secret\":\"s\"}",
        "{\"api_key\":\"k\",\"secret\":\"\"}",
        "{\"api_key\":1,\"secret\":\"s\"}",
        "{\"api_key\":\"k\\r\\nX-Header: 1\",\"secret\":\"s\"}",
        "{\"api_key\":\"k\",\"secret\":\"s\",\"passphrase\":\"a\\nb\"}",
        "{\"api_key\":\"k\",\"secret\":\"s\",\"passphrase\":7}",
        "{\"api_key\":\"k\",\"secret\":\"s\"} and more",
    };
    sign_vault *vault = vault_of(8);
    char stored[NET_SIGN_SECRET_MAX];
    char plain[1024], key[400];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (rewrap(vault, bad[i], 7, stored)) {
            fail_msg("taken: %s", bad[i]);
        }
    }
    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    snprintf(plain, sizeof(plain), "{\"api_key\":\"%s\",\"secret\":\"s\"}", key);
    assert_false(rewrap(vault, plain, 7, stored));
    assert_true(
        rewrap(vault, "{\"api_key\":\"k\",\"secret\":\"s\",\"passphrase\":null}", 7, stored));
    assert_true(rewrap(vault, "{\"api_key\":\"k\",\"secret\":\"s\"}", 7, stored));
    sign_vault_free(vault);
}

static void given_more_accounts_than_room_when_opened_then_the_cache_keeps_its_bound(void **state)
{
    enum { ACCOUNTS = 200, ROOM = 70 };
    sign_vault *vault = vault_of(ROOM);
    char(*stored)[NET_SIGN_SECRET_MAX] = calloc(ACCOUNTS, sizeof(*stored));
    sign_credentials credentials;

    (void)state;
    assert_non_null(stored);
    for (int i = 0; i < ACCOUNTS; i++) {
        char plain[128];

        snprintf(plain, sizeof(plain), "{\"api_key\":\"key-%d\",\"secret\":\"s-%d\"}", i, i);
        assert_true(rewrap(vault, plain, i, stored[i]));
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < ACCOUNTS; i++) {
            int pick = (i * 37 + round * 11) % ACCOUNTS;
            char key[32], secret[32];
            uint8_t digest[CRYPTO_SHA256_SIZE], wanted[CRYPTO_SHA256_SIZE];

            assert_true(sign_vault_open(vault, pick, REF, stored[pick], &credentials));
            snprintf(key, sizeof(key), "key-%d", pick);
            snprintf(secret, sizeof(secret), "s-%d", pick);
            assert_string_equal(credentials.api_key, key);
            assert_true(crypto_mac_compute(credentials.mac, "x", 1, digest));
            assert_true(crypto_hmac(secret, strlen(secret), "x", 1, wanted));
            assert_memory_equal(digest, wanted, sizeof(wanted));
            assert_true(sign_vault_cached(vault) <= ROOM);
        }
    }
    assert_int_equal(sign_vault_cached(vault), ROOM);
    sign_vault_clear(vault);
    assert_int_equal(sign_vault_cached(vault), 0);
    assert_true(sign_vault_open(vault, 3, REF, stored[3], &credentials));
    assert_string_equal(credentials.api_key, "key-3");
    sign_vault_free(vault);
    free(stored);
}

static int start(void **state)
{
    (void)state;
    return crypto_start() && crypto_random(master_key, sizeof(master_key)) &&
                   crypto_keypair(seal_public, seal_private)
               ? 0
               : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(given_sealed_credentials_when_rewrapped_then_they_open_and_sign),
        cmocka_unit_test(given_another_user_account_or_key_when_opened_then_it_stays_shut),
        cmocka_unit_test(given_each_byte_changed_when_opened_then_it_stays_shut),
        cmocka_unit_test(
            given_a_seal_for_another_user_account_or_key_when_rewrapped_then_it_is_refused),
        cmocka_unit_test(given_plaintext_that_is_no_key_when_rewrapped_then_it_is_refused),
        cmocka_unit_test(given_more_accounts_than_room_when_opened_then_the_cache_keeps_its_bound),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
