/*
 * crypto against other people's answers: recorded cases (tests/data/core), the tables of the RFCs;
 * then what must fail, what must be wiped, and which files are refused.
 */
#include "core/crypto_private.h"
#include "core/json.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define DATA "tests/data/core/"
#define TEXT_MAX 16384

static char *vectors_text;
static jsmntok_t vectors_tokens[4096];

static json_doc load_vectors(const char *path)
{
    FILE *file = fopen(path, "r");
    json_doc doc;
    size_t length;

    assert_non_null(file);
    free(vectors_text);
    vectors_text = malloc(100000);
    length = fread(vectors_text, 1, 100000, file);
    fclose(file);
    assert_int_equal(json_parse(&doc, vectors_text, length, vectors_tokens, 4096), JSON_OK);
    return doc;
}

static const char *field(const json_doc *doc, int node, const char *name, char out[TEXT_MAX])
{
    assert_true(json_copy(doc, json_at(doc, node, name), out, TEXT_MAX));
    return out;
}

static size_t hex_field(const json_doc *doc, int node, const char *name, uint8_t out[TEXT_MAX])
{
    static char text[TEXT_MAX];
    long length;

    field(doc, node, name, text);
    length = crypto_unhex(text, strlen(text), out, TEXT_MAX);
    assert_true(length >= 0);
    return (size_t)length;
}

static uint8_t key[TEXT_MAX], nonce[TEXT_MAX], aad[TEXT_MAX], plain[TEXT_MAX], sealed[TEXT_MAX];
static uint8_t opened[TEXT_MAX], wanted[TEXT_MAX];
static char text_a[TEXT_MAX], text_b[TEXT_MAX];

static void recorded_gcm_cases_seal_and_open(void **state)
{
    json_doc doc = load_vectors(DATA "aes256gcm.json");
    int cases = json_at(&doc, 0, "cases"), seals = 0, failures = 0;

    (void)state;
    for (int it = json_first(&doc, cases); it >= 0; it = json_next(&doc, it)) {
        size_t aad_length = hex_field(&doc, it, "aad_hex", aad), plain_length;
        const char *base64 = field(&doc, it, "sealed_base64", text_a);
        long length = crypto_unbase64(base64, strlen(base64), wanted, sizeof(wanted));

        assert_true(length >= 0);
        assert_int_equal(hex_field(&doc, it, "key_hex", key), CRYPTO_KEY_SIZE);
        if (json_equals(&doc, json_at(&doc, it, "op"), "open_must_fail")) {
            /* given a tampered text, when it is opened, then it fails and leaves nothing behind */
            memset(opened, 0xAA, sizeof(opened));
            assert_false(crypto_gcm_open(key, aad, aad_length, wanted, (size_t)length, opened));
            for (long i = 0; i < length - CRYPTO_GCM_OVERHEAD; i++) {
                assert_int_equal(opened[i], 0);
            }
            failures++;
            continue;
        }
        assert_int_equal(hex_field(&doc, it, "nonce_hex", nonce), CRYPTO_GCM_NONCE_SIZE);
        plain_length = hex_field(&doc, it, "plaintext_hex", plain);
        assert_int_equal(length, plain_length + CRYPTO_GCM_OVERHEAD);
        assert_true(
            crypto_gcm_seal_with_nonce(key, nonce, aad, aad_length, plain, plain_length, sealed));
        assert_memory_equal(sealed, wanted, (size_t)length);
        crypto_base64(sealed, (size_t)length, text_b);
        assert_string_equal(text_b, base64);
        assert_true(crypto_gcm_open(key, aad, aad_length, sealed, (size_t)length, opened));
        assert_memory_equal(opened, plain, plain_length);
        seals++;
    }
    assert_int_equal(seals, 14);
    assert_int_equal(failures, 7);
}

static void every_flipped_bit_fails_to_open(void **state)
{
    static const char secret[] = "an api secret";
    const size_t length = sizeof(secret) + CRYPTO_GCM_OVERHEAD;
    uint8_t own[sizeof(secret) + CRYPTO_GCM_OVERHEAD];

    (void)state;
    assert_true(crypto_random(key, CRYPTO_KEY_SIZE));
    assert_true(crypto_gcm_seal(key, "user 1", 6, secret, sizeof(secret), own));
    for (size_t bit = 0; bit < 8 * length; bit++) {
        own[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(crypto_gcm_open(key, "user 1", 6, own, length, opened));
        own[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(crypto_gcm_open(key, "user 1", 6, own, length, opened));
    /* the same text under another owner is not his */
    assert_false(crypto_gcm_open(key, "user 2", 6, own, length, opened));
    assert_false(crypto_gcm_open(key, "user 1", 5, own, length, opened));
    for (size_t shorter = 0; shorter < length; shorter++) {
        assert_false(crypto_gcm_open(key, "user 1", 6, own, shorter, opened));
    }
}

static void a_nonce_is_never_drawn_twice(void **state)
{
    uint8_t nonces[512][CRYPTO_GCM_NONCE_SIZE], out[CRYPTO_GCM_OVERHEAD];

    (void)state;
    for (size_t i = 0; i < 512; i++) {
        assert_true(crypto_gcm_seal(key, NULL, 0, NULL, 0, out));
        memcpy(nonces[i], out, CRYPTO_GCM_NONCE_SIZE);
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(nonces[i], nonces[j], CRYPTO_GCM_NONCE_SIZE);
        }
    }
}

static void recorded_seals_open(void **state)
{
    json_doc doc = load_vectors(DATA "seal.json");
    int cases = json_at(&doc, 0, "cases"), count = 0;

    (void)state;
    for (int it = json_first(&doc, cases); it >= 0; it = json_next(&doc, it)) {
        uint8_t public_key[CRYPTO_KEY_SIZE];
        size_t length = hex_field(&doc, it, "sealed_hex", sealed);
        const char *owner = field(&doc, it, "aad", text_a);
        const char *secret = field(&doc, it, "plain", text_b);

        assert_int_equal(hex_field(&doc, it, "private_key_hex", key), CRYPTO_KEY_SIZE);
        assert_int_equal(hex_field(&doc, it, "public_key_hex", wanted), CRYPTO_KEY_SIZE);
        assert_true(crypto_public_key(key, public_key));
        assert_memory_equal(public_key, wanted, CRYPTO_KEY_SIZE);
        assert_int_equal(length, strlen(secret) + CRYPTO_SEAL_OVERHEAD);
        assert_true(crypto_unseal(key, owner, strlen(owner), sealed, length, opened));
        assert_memory_equal(opened, secret, strlen(secret));
        count++;
    }
    assert_int_equal(count, 4);
}

static void only_the_private_key_unseals(void **state)
{
    static const char secret[] = "an api secret";
    const size_t length = sizeof(secret) + CRYPTO_SEAL_OVERHEAD;
    uint8_t public_key[CRYPTO_KEY_SIZE], private_key[CRYPTO_KEY_SIZE];
    uint8_t other_public[CRYPTO_KEY_SIZE], other[CRYPTO_KEY_SIZE];
    uint8_t own[sizeof(secret) + CRYPTO_SEAL_OVERHEAD], again[sizeof(own)];

    (void)state;
    assert_true(crypto_keypair(public_key, private_key));
    assert_true(crypto_seal(public_key, "user 1", 6, secret, sizeof(secret), own));
    assert_true(crypto_unseal(private_key, "user 1", 6, own, length, opened));
    assert_memory_equal(opened, secret, sizeof(secret));
    /* sealing twice shows no likeness */
    assert_true(crypto_seal(public_key, "user 1", 6, secret, sizeof(secret), again));
    assert_memory_not_equal(own, again, CRYPTO_KEY_SIZE);
    /* neither another key, nor the public one, nor another owner */
    assert_true(crypto_keypair(other_public, other));
    assert_false(crypto_unseal(other, "user 1", 6, own, length, opened));
    assert_false(crypto_unseal(public_key, "user 1", 6, own, length, opened));
    assert_false(crypto_unseal(private_key, "user 2", 6, own, length, opened));
    for (size_t byte = 0; byte < length; byte++) {
        /* X25519 ignores the top bit of a public key, the salt does not */
        own[byte] ^= 0x80;
        assert_false(crypto_unseal(private_key, "user 1", 6, own, length, opened));
        own[byte] ^= 0x80;
    }
    for (size_t shorter = 0; shorter < length; shorter++) {
        assert_false(crypto_unseal(private_key, "user 1", 6, own, shorter, opened));
    }
}

static void a_low_order_point_is_no_public_key(void **state)
{
    const uint8_t zero[CRYPTO_KEY_SIZE] = {0}, one[CRYPTO_KEY_SIZE] = {1};
    uint8_t out[CRYPTO_SEAL_OVERHEAD];

    (void)state;
    assert_false(crypto_seal(zero, NULL, 0, NULL, 0, out));
    assert_false(crypto_seal(one, NULL, 0, NULL, 0, out));
}

static void expect_digest(const uint8_t digest[CRYPTO_SHA256_SIZE], const char *hex)
{
    char text[2 * CRYPTO_SHA256_SIZE + 1];

    crypto_hex(digest, CRYPTO_SHA256_SIZE, text);
    assert_string_equal(text, hex);
}

static void sha256_gives_the_published_digests(void **state)
{
    uint8_t digest[CRYPTO_SHA256_SIZE];

    (void)state;
    assert_true(crypto_sha256("abc", 3, digest));
    expect_digest(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_true(crypto_sha256(NULL, 0, digest));
    expect_digest(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* RFC 4231, cases 1 to 4, 6 and 7. */
static void hmac_gives_the_published_digests(void **state)
{
    static const struct {
        uint8_t key_byte;
        size_t key_length;
        const char *key, *data, *digest;
    } cases[] = {
        {0x0B, 20, NULL, "Hi There",
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {0, 4, "Jefe", "what do ya want for nothing?",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {0xAA, 131, NULL, "Test Using Larger Than Block-Size Key - Hash Key First",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {0xAA, 131, NULL,
         "This is a test using a larger than block-size key and a larger than block-size data. The "
         "key needs to be hashed before being used by the HMAC algorithm.",
         "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
        /* an empty key and no data: what every implementation says */
        {0, 0, "", "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t digest[CRYPTO_SHA256_SIZE];
        crypto_mac *mac;

        memset(key, cases[i].key_byte, cases[i].key_length);
        if (cases[i].key != NULL) {
            memcpy(key, cases[i].key, cases[i].key_length);
        }
        assert_true(
            crypto_hmac(key, cases[i].key_length, cases[i].data, strlen(cases[i].data), digest));
        expect_digest(digest, cases[i].digest);
        /* a context that is keyed once says the same each time, whatever came in between */
        mac = crypto_mac_new(key, cases[i].key_length);
        assert_non_null(mac);
        for (int round = 0; round < 3; round++) {
            assert_true(crypto_mac_compute(mac, cases[i].data, strlen(cases[i].data), digest));
            expect_digest(digest, cases[i].digest);
            assert_true(crypto_mac_compute(mac, "noise", (size_t)round, digest));
        }
        crypto_mac_free(mac);
    }
    assert_true(crypto_hmac(NULL, 0, NULL, 0, key));
    expect_digest(key, cases[4].digest);
    crypto_mac_free(NULL);
}

static void recorded_telegram_sign_ins_give_their_hashes(void **state)
{
    json_doc doc = load_vectors(DATA "telegram_initdata.json");
    int cases = json_at(&doc, 0, "cases"), count = 0;

    (void)state;
    for (int it = json_first(&doc, cases); it >= 0; it = json_next(&doc, it)) {
        uint8_t secret[CRYPTO_SHA256_SIZE], digest[CRYPTO_SHA256_SIZE];
        const char *token = field(&doc, it, "bot_token", text_a);

        /* one case has a NUL in its text, which no C string holds and json_copy refuses */
        if (!json_copy(&doc, json_at(&doc, it, "data_check_string"), text_b, TEXT_MAX)) {
            continue;
        }
        assert_true(crypto_hmac("WebAppData", 10, token, strlen(token), secret));
        assert_int_equal(hex_field(&doc, it, "secret_key_hex", wanted), CRYPTO_SHA256_SIZE);
        assert_memory_equal(secret, wanted, CRYPTO_SHA256_SIZE);
        assert_true(crypto_hmac(secret, sizeof(secret), text_b, strlen(text_b), digest));
        assert_int_equal(hex_field(&doc, it, "expected_hash", wanted), CRYPTO_SHA256_SIZE);
        assert_true(crypto_equal(digest, wanted, CRYPTO_SHA256_SIZE));
        digest[31] ^= 1;
        assert_false(crypto_equal(digest, wanted, CRYPTO_SHA256_SIZE));
        count++;
    }
    assert_int_equal(count, 32);
}

/* RFC 4648, section 10, and lower-case base32 without its padding. */
static void encodings_give_the_published_texts(void **state)
{
    static const struct {
        const char *bytes, *base64, *base64url, *base32, *hex;
    } cases[] = {
        {"", "", "", "", ""},
        {"f", "Zg==", "Zg", "my", "66"},
        {"fo", "Zm8=", "Zm8", "mzxq", "666f"},
        {"foo", "Zm9v", "Zm9v", "mzxw6", "666f6f"},
        {"foob", "Zm9vYg==", "Zm9vYg", "mzxw6yq", "666f6f62"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE", "mzxw6ytb", "666f6f6261"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy", "mzxw6ytboi", "666f6f626172"},
        {"\xFB\xFF\xFE", "+//+", "-__-", "7p774", "fbfffe"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t length = strlen(cases[i].bytes);

        crypto_base64(cases[i].bytes, length, text_a);
        assert_string_equal(text_a, cases[i].base64);
        assert_int_equal(crypto_unbase64(text_a, strlen(text_a), opened, length), length);
        assert_memory_equal(opened, cases[i].bytes, length);
        crypto_base64url(cases[i].bytes, length, text_a);
        assert_string_equal(text_a, cases[i].base64url);
        assert_int_equal(crypto_unbase64url(text_a, strlen(text_a), opened, length), length);
        assert_memory_equal(opened, cases[i].bytes, length);
        crypto_base32(cases[i].bytes, length, text_a);
        assert_string_equal(text_a, cases[i].base32);
        crypto_hex(cases[i].bytes, length, text_a);
        assert_string_equal(text_a, cases[i].hex);
        assert_int_equal(crypto_unhex(text_a, strlen(text_a), opened, length), length);
        assert_memory_equal(opened, cases[i].bytes, length);
    }
    crypto_base32("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 16, text_a);
    assert_string_equal(text_a, "777777777777777777777777"
                                "74");
    assert_int_equal(strlen(text_a), 26);
    assert_int_equal(crypto_unhex("AbCdEf", 6, opened, 3), 3);
    assert_memory_equal(opened, "\xAB\xCD\xEF", 3);
}

static void every_length_goes_out_and_comes_back(void **state)
{
    (void)state;
    for (size_t length = 0; length < 200; length++) {
        uint8_t *exact = malloc(length > 0 ? length : 1);
        char *text = malloc(2 * length + 8);

        assert_true(crypto_random(plain, length));
        crypto_hex(plain, length, text);
        assert_int_equal(strlen(text), 2 * length);
        assert_int_equal(crypto_unhex(text, strlen(text), exact, length), length);
        assert_memory_equal(exact, plain, length);
        crypto_base64(plain, length, text);
        assert_int_equal(strlen(text), (length + 2) / 3 * 4);
        assert_int_equal(crypto_unbase64(text, strlen(text), exact, length), length);
        assert_memory_equal(exact, plain, length);
        if (length > 0) { /* one byte less does not hold it */
            assert_int_equal(crypto_unbase64(text, strlen(text), exact, length - 1), -1);
            assert_int_equal(crypto_unhex(text, 2 * length, exact, length - 1), -1);
        }
        crypto_base64url(plain, length, text);
        assert_int_equal(crypto_unbase64url(text, strlen(text), exact, length), length);
        assert_memory_equal(exact, plain, length);
        free(exact);
        free(text);
    }
}

static void decoders_take_canonical_text_only(void **state)
{
    static const char *const base64[] = {
        "Z",    "Zg",    "Zg=",      "Zg===",    "=",       "==",    "====",   "Zh==",
        "Zm9=", "Zm9v=", "Zm9v====", "Zg==Zg==", " Zm9v",   "Zm9v ", "Zm\n9v", "Zm9v\n",
        "Z-9v", "Z_9v",  "Z=9v",     "Zm=v",     "Zm9\xC3", "Zg= ="};
    static const char *const base64url[] = {"Z",    "Zg==", "Zh",    "Zm9",
                                            "Zm+v", "Zm/v", "Zm9v ", "Zm9vZ"};
    static const char *const hex[] = {"0",   "0g",  "g0",   "0x12", " 12",
                                      "12 ", "1 2", "12\n", "-1",   "\xC3\xA9"};

    (void)state;
    for (size_t i = 0; i < sizeof(base64) / sizeof(base64[0]); i++) {
        if (crypto_unbase64(base64[i], strlen(base64[i]), opened, sizeof(opened)) >= 0) {
            fail_msg("base64 taken: \"%s\"", base64[i]);
        }
    }
    for (size_t i = 0; i < sizeof(base64url) / sizeof(base64url[0]); i++) {
        if (crypto_unbase64url(base64url[i], strlen(base64url[i]), opened, sizeof(opened)) >= 0) {
            fail_msg("base64url taken: \"%s\"", base64url[i]);
        }
    }
    for (size_t i = 0; i < sizeof(hex) / sizeof(hex[0]); i++) {
        assert_int_equal(crypto_unhex(hex[i], strlen(hex[i]), opened, sizeof(opened)), -1);
    }
    assert_int_equal(crypto_unbase64("Zg\0=", 4, opened, sizeof(opened)), -1);
}

#ifdef __SANITIZE_ADDRESS__
#define LOCKED_FLAG "" /* AddressSanitizer turns mlock into nothing */
#else
#define LOCKED_FLAG " lo"
#endif

/* The flags that the kernel keeps of the mapping at an address, from /proc/self/smaps. */
static bool mapping_has_flags(const void *address, const char *flag_1, const char *flag_2)
{
    FILE *file = fopen("/proc/self/smaps", "r");
    char line[512];
    bool inside = false, found = false;

    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        unsigned long from, to;

        if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
            inside = (unsigned long)address >= from && (unsigned long)address < to;
        } else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            found = strstr(line, flag_1) != NULL && strstr(line, flag_2) != NULL;
        }
    }
    fclose(file);
    return found;
}

static void secret_memory_is_locked_and_out_of_dumps(void **state)
{
    uint8_t *secret = crypto_secret_alloc(5000), *other = crypto_secret_alloc(0);

    (void)state;
    assert_non_null(secret);
    assert_non_null(other);
    for (size_t i = 0; i < 5000; i++) {
        assert_int_equal(secret[i], 0);
    }
    assert_int_equal((uintptr_t)secret % 64, 0);
    assert_true(mapping_has_flags(secret, LOCKED_FLAG, " dd"));
    memset(secret, 1, 5000);
    crypto_secret_free(secret);
    crypto_secret_free(other);
    crypto_secret_free(NULL);
    assert_null(crypto_secret_alloc(SIZE_MAX));
    assert_null(crypto_secret_alloc(SIZE_MAX / 2));
}

static void wiping_leaves_zeros(void **state)
{
    uint8_t bytes[16];

    (void)state;
    memset(bytes, 7, sizeof(bytes));
    crypto_wipe(bytes, 8);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        assert_int_equal(bytes[i], i < 8 ? 0 : 7);
    }
    crypto_wipe(NULL, 8);
}

static char directory[] = "/tmp/whale-test-crypto-XXXXXX";
static char path[128];

static const char *write_file(const char *bytes, size_t length, mode_t mode)
{
    int file;

    snprintf(path, sizeof(path), "%s/file", directory);
    unlink(path);
    file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(file >= 0);
    assert_int_equal(write(file, bytes, length), length);
    assert_int_equal(fchmod(file, mode), 0);
    close(file);
    return path;
}

#define HEX_KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1F"

static void keys_are_read_in_each_form(void **state)
{
    uint8_t raw[CRYPTO_KEY_SIZE + 1], got[CRYPTO_KEY_SIZE];
    char error[256];

    (void)state;
    for (size_t i = 0; i < CRYPTO_KEY_SIZE; i++) {
        raw[i] = (uint8_t)i;
    }
    raw[CRYPTO_KEY_SIZE] = '\n';
    for (int form = 0; form < 4; form++) {
        memset(got, 0xAA, sizeof(got));
        if (form < 2) {
            write_file(HEX_KEY "\n", 64 + (size_t)form, form ? 0640 : 0400);
        } else {
            write_file((const char *)raw, CRYPTO_KEY_SIZE + (size_t)form - 2, 0600);
        }
        assert_true(crypto_read_key(path, got, error, sizeof(error)));
        assert_memory_equal(got, raw, CRYPTO_KEY_SIZE);
    }
    /* 32 bytes of which the last looks like a newline are a key of 32 bytes */
    raw[CRYPTO_KEY_SIZE - 1] = '\n';
    write_file((const char *)raw, CRYPTO_KEY_SIZE, 0600);
    assert_true(crypto_read_key(path, got, error, sizeof(error)));
    assert_memory_equal(got, raw, CRYPTO_KEY_SIZE);
}

static void other_files_are_no_keys(void **state)
{
    static const char *const texts[] = {
        "",
        "\n",
        "0011",
        HEX_KEY "00",
        HEX_KEY "\n\n",
        HEX_KEY " ",
        " " HEX_KEY,
        HEX_KEY "\r\n",
        "g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"};
    uint8_t got[CRYPTO_KEY_SIZE];
    char error[256];

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        write_file(texts[i], strlen(texts[i]), 0600);
        assert_false(crypto_read_key(path, got, error, sizeof(error)));
        assert_non_null(strstr(error, path));
        assert_null(strstr(error, "0001")); /* nothing of its content */
    }
    assert_false(crypto_read_key("/nonexistent/key", got, error, sizeof(error)));
    assert_string_equal(error, "cannot open /nonexistent/key: No such file or directory");
    assert_false(crypto_read_key(directory, got, error, sizeof(error)));
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(crypto_read_key(path, got, error, sizeof(error))); /* and does not hang */
    unlink(path);
}

static void files_that_others_may_read_are_refused(void **state)
{
    uint8_t got[CRYPTO_KEY_SIZE];
    char secret[64], error[256];
    static const mode_t modes[] = {0604, 0602, 0601, 0644, 0666};

    (void)state;
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        write_file(HEX_KEY, 64, modes[i]);
        assert_false(crypto_read_key(path, got, error, sizeof(error)));
        assert_non_null(strstr(error, "may be read by others"));
        assert_int_equal(crypto_read_secret(path, secret, sizeof(secret), error, sizeof(error)),
                         -1);
        assert_true(crypto_read_public_key(path, got, error, sizeof(error)));
    }
}

static void secrets_are_read_whole_or_not_at_all(void **state)
{
    char secret[8], error[256];

    (void)state;
    write_file("1234567\n", 8, 0600);
    assert_int_equal(crypto_read_secret(path, secret, sizeof(secret), error, sizeof(error)), 7);
    assert_string_equal(secret, "1234567");
    write_file("12\n\n", 4, 0600);
    assert_int_equal(crypto_read_secret(path, secret, sizeof(secret), error, sizeof(error)), 3);
    assert_string_equal(secret, "12\n");
    for (int i = 0; i < 5; i++) {
        static const struct {
            const char *bytes;
            size_t length;
        } bad[] = {{"12345678", 8}, {"12345678\n", 9}, {"", 0}, {"\n", 1}, {"a\0b", 3}};

        memset(secret, 'x', sizeof(secret));
        write_file(bad[i].bytes, bad[i].length, 0600);
        assert_int_equal(crypto_read_secret(path, secret, sizeof(secret), error, sizeof(error)),
                         -1);
        for (size_t j = 0; j < sizeof(secret); j++) {
            assert_int_equal(secret[j], 0);
        }
    }
    assert_int_equal(crypto_read_secret(path, secret, 0, error, sizeof(error)), -1);
}

static int start(void **state)
{
    (void)state;
    /* before it is started, crypto refuses; nothing crashes */
    if (crypto_sha256("", 0, key) || crypto_hmac("", 0, "", 0, key) ||
        crypto_gcm_seal(key, NULL, 0, NULL, 0, sealed)) {
        return -1;
    }
    return crypto_start() && crypto_start() && mkdtemp(directory) != NULL ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    unlink(path);
    free(vectors_text);
    vectors_text = NULL;
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_gcm_cases_seal_and_open),
        cmocka_unit_test(every_flipped_bit_fails_to_open),
        cmocka_unit_test(a_nonce_is_never_drawn_twice),
        cmocka_unit_test(recorded_seals_open),
        cmocka_unit_test(only_the_private_key_unseals),
        cmocka_unit_test(a_low_order_point_is_no_public_key),
        cmocka_unit_test(sha256_gives_the_published_digests),
        cmocka_unit_test(hmac_gives_the_published_digests),
        cmocka_unit_test(recorded_telegram_sign_ins_give_their_hashes),
        cmocka_unit_test(encodings_give_the_published_texts),
        cmocka_unit_test(every_length_goes_out_and_comes_back),
        cmocka_unit_test(decoders_take_canonical_text_only),
        cmocka_unit_test(secret_memory_is_locked_and_out_of_dumps),
        cmocka_unit_test(wiping_leaves_zeros),
        cmocka_unit_test(keys_are_read_in_each_form),
        cmocka_unit_test(other_files_are_no_keys),
        cmocka_unit_test(files_that_others_may_read_are_refused),
        cmocka_unit_test(secrets_are_read_whole_or_not_at_all),
    };

    return cmocka_run_group_tests_name("core_crypto", tests, start, stop);
}
