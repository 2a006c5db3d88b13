/*
 * initData against the recorded cases of Telegram's reference library and our stricter policy; then
 * the profile in it, session tokens, and what is remembered of both.
 */
#include "ngx_whale_module/whale_initdata.c"
#include "ngx_whale_module/whale_profile.c"
#include "ngx_whale_module/whale_session.c"
#include "ngx_whale_module/whale_verdict.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define VECTORS "tests/data/core/telegram_initdata.json"
#define TEXT_MAX 100000

static char vectors[TEXT_MAX];
static jsmntok_t vectors_tokens[4096];
static whale_initdata_work work;

static crypto_mac *mac_of(const char *token)
{
    uint8_t key[CRYPTO_SHA256_SIZE];
    crypto_mac *mac;

    assert_true(crypto_hmac("WebAppData", 10, token, strlen(token), key));
    mac = crypto_mac_new(key, sizeof(key));
    assert_non_null(mac);
    return mac;
}

static void recorded_cases(void **state)
{
    FILE *file = fopen(VECTORS, "r");
    json_doc doc;
    int cases, count = 0;
    size_t length;

    (void)state;
    assert_non_null(file);
    length = fread(vectors, 1, sizeof(vectors), file);
    fclose(file);
    assert_int_equal(json_parse(&doc, vectors, length, vectors_tokens, 4096), JSON_OK);
    cases = json_at(&doc, 0, "cases");
    for (int item = json_first(&doc, cases); item >= 0; item = json_next(&doc, item)) {
        char data[4096], token[128], id[32];
        int64_t now, expires;
        whale_initdata out;
        crypto_mac *mac;
        bool accepted;

        assert_true(json_copy(&doc, json_at(&doc, item, "init_data"), data, sizeof(data)));
        assert_true(json_copy(&doc, json_at(&doc, item, "bot_token"), token, sizeof(token)));
        assert_true(json_copy(&doc, json_at(&doc, item, "id"), id, sizeof(id)));
        assert_true(json_get_int(&doc, json_at(&doc, item, "now"), &now));
        assert_true(json_get_int(&doc, json_at(&doc, item, "expires_in"), &expires));
        mac = mac_of(token);
        accepted = whale_initdata_check(data, strlen(data), mac, now, expires, &work, &out) ==
                   WHALE_INITDATA_OK;
        crypto_mac_free(mac);
        if (accepted != json_equals(&doc, json_at(&doc, item, "strict_policy"), "accept")) {
            fail_msg("%s: accepted %d", id, accepted);
        }
        count++;
    }
    assert_int_equal(count, 33);
}

/* Signs these pairs, which are given sorted, as the text of the check. */
static void sign(const char *check, const char *pairs, const char *token, char out[4096])
{
    uint8_t hash[CRYPTO_SHA256_SIZE];
    char hex[2 * CRYPTO_SHA256_SIZE + 1];
    crypto_mac *mac = mac_of(token);

    assert_true(crypto_mac_compute(mac, check, strlen(check), hash));
    crypto_mac_free(mac);
    crypto_hex(hash, sizeof(hash), hex);
    snprintf(out, 4096, "%s&hash=%s", pairs, hex);
}

static enum whale_initdata_verdict verdict_at(const char *data, int64_t now, int64_t max_age,
                                              whale_initdata *out)
{
    crypto_mac *mac = mac_of("t");
    const enum whale_initdata_verdict verdict =
        whale_initdata_check(data, strlen(data), mac, now, max_age, &work, out);

    crypto_mac_free(mac);
    return verdict;
}

static void ages_to_the_second(void **state)
{
    whale_initdata out;
    char data[4096];

    (void)state;
    sign("auth_date=1000000\nuser={\"id\":7}", "auth_date=1000000&user=%7B%22id%22%3A7%7D", "t",
         data);
    assert_int_equal(verdict_at(data, 1000000, 300, &out), WHALE_INITDATA_OK);
    assert_int_equal(out.user_id, 7);
    assert_int_equal(out.auth_date_s, 1000000);
    assert_int_equal(out.user_length, 8);
    assert_memory_equal(out.user, "{\"id\":7}", 8);
    assert_int_equal(verdict_at(data, 1000300, 300, &out), WHALE_INITDATA_OK);
    assert_int_equal(verdict_at(data, 1000301, 300, &out), WHALE_INITDATA_STALE);
    assert_int_equal(verdict_at(data, 1000000 - 300, 300, &out), WHALE_INITDATA_OK);
    assert_int_equal(verdict_at(data, 1000000 - 301, 300, &out), WHALE_INITDATA_FUTURE);
}

/* Correctly signed, and still not to be taken: two readers could read these in two ways. */
static void signed_but_odd(void **state)
{
    static const struct {
        const char *check, *pairs;
    } odd[] = {
        {"auth_date=1\nuser={\"id\":7}\nuser={\"id\":8}",
         "auth_date=1&user={\"id\":7}&user={\"id\":8}"},
        {"auth_date=1 \nuser={\"id\":7}", "auth_date=1+&user={\"id\":7}"},
        {"auth_date=+1\nuser={\"id\":7}", "auth_date=%2B1&user={\"id\":7}"},
        {"auth_date=\nuser={\"id\":7}", "auth_date=&user={\"id\":7}"},
        {"auth_date=9999999999999\nuser={\"id\":7}", "auth_date=9999999999999&user={\"id\":7}"},
        {"Auth=1\nauth_date=1\nuser={\"id\":7}", "Auth=1&auth_date=1&user={\"id\":7}"},
        {"auth_date=1\nuser=", "auth_date=1&user="},
        {"auth_date=1\nuser={\"id\":0}", "auth_date=1&user={\"id\":0}"},
        {"auth_date=1\nuser={\"id\":07}", "auth_date=1&user={\"id\":07}"},
        {"auth_date=1\nuser={\"id\":7", "auth_date=1&user={\"id\":7"},
        {"auth_date=1\nuser={\"id\":7.5}", "auth_date=1&user={\"id\":7.5}"},
        {"auth_date=1\nuser={\"id\":99999999999999999999}",
         "auth_date=1&user={\"id\":99999999999999999999}"},
        {"auth_date=1", "auth_date=1"},
        {"user={\"id\":7}", "user={\"id\":7}"},
    };
    whale_initdata out;
    char data[4096];

    (void)state;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        sign(odd[i].check, odd[i].pairs, "t", data);
        assert_int_equal(verdict_at(data, 1, 300, &out), WHALE_INITDATA_MALFORMED);
    }
}

/* Each single change of a byte is refused, and none goes past the buffers. */
static void every_changed_byte(void **state)
{
    whale_initdata out;
    char data[4096];
    size_t length;

    (void)state;
    sign("auth_date=1000000\nchat_type=private\nuser={\"id\":7,\"first_name\":\"A\"}",
         "user=%7B%22id%22%3A7%2C%22first_name%22%3A%22A%22%7D&auth_date=1000000&chat_type=private",
         "t", data);
    assert_int_equal(verdict_at(data, 1000000, 300, &out), WHALE_INITDATA_OK);
    length = strlen(data);
    for (size_t at = 0; at < length; at++) {
        const char was = data[at];

        for (int bit = 0; bit < 7; bit++) {
            data[at] = (char)(was ^ 1 << bit);
            /* %7b is the same byte as %7B */
            if (data[at] != '\0' &&
                !(at > 0 && (was == 'B' || was == 'C' || was == 'A' || was == 'D') && bit == 5)) {
                assert_int_not_equal(verdict_at(data, 1000000, 300, &out), WHALE_INITDATA_OK);
            }
        }
        data[at] = was;
    }
}

static void profiles(void **state)
{
    static const char text[] =
        "{\"is_premium\":true,\"id\":5000000000000,\"first_name\":\"\\ud83d\\udc0b\\\"<\","
        "\"username\":\"u_1\",\"language_code\":\"pt-br\",\"new\":{\"a\":[1,2]}}";
    char name[1200];
    whale_profile profile;
    int64_t id;

    (void)state;
    assert_true(whale_profile_parse(text, strlen(text), &profile));
    assert_int_equal(profile.id, 5000000000000);
    assert_string_equal(profile.first_name, "\xF0\x9F\x90\x8B\"<");
    assert_string_equal(profile.username, "u_1");
    assert_string_equal(profile.language, "pt-br");
    assert_true(whale_profile_id(text, strlen(text), &id));
    assert_int_equal(id, 5000000000000);
    /* a long name is cut between characters, never refused */
    snprintf(name, sizeof(name), "{\"id\":1,\"first_name\":\"");
    for (int i = 0; i < 200; i++) {
        strcat(name, "\xC3\xA9");
    }
    strcat(name, "\"}");
    assert_true(whale_profile_parse(name, strlen(name), &profile));
    assert_int_equal(strlen(profile.first_name), 256);
    assert_string_equal(profile.username, "");
    assert_false(whale_profile_parse("[]", 2, &profile));
    assert_false(whale_profile_parse("{\"id\":\"1\"}", 10, &profile));
    assert_false(whale_profile_id("{\"id\":", 6, &id));
}

static void sessions(void **state)
{
    const whale_session made = {.user_id = INT64_MAX, .epoch = 3, .expires_s = 2000};
    crypto_mac *mac = mac_of("s"), *other = mac_of("o");
    char text[WHALE_SESSION_TEXT_LENGTH + 1];
    whale_session read;

    (void)state;
    assert_true(whale_session_make(&made, mac, text));
    assert_int_equal(strlen(text), WHALE_SESSION_TEXT_LENGTH);
    assert_true(whale_session_check(text, strlen(text), mac, 1999, &read));
    assert_int_equal(read.user_id, INT64_MAX);
    assert_int_equal(read.epoch, 3);
    assert_false(whale_session_check(text, strlen(text), mac, 2000, &read));
    assert_false(whale_session_check(text, strlen(text), other, 1000, &read));
    assert_false(whale_session_check(text, strlen(text) - 1, mac, 1000, &read));
    for (size_t at = 0; at < strlen(text); at++) {
        const char was = text[at];

        text[at] = was == 'A' ? 'B' : 'A';
        assert_false(whale_session_check(text, strlen(text), mac, 1000, &read));
        text[at] = was;
    }
    crypto_mac_free(mac);
    crypto_mac_free(other);
}

/* As a request does it: looked up, then verified and kept. */
static bool ask(whale_verdicts *all, const char *text, size_t length, const whale_verdict *kept)
{
    whale_verdict found;

    if (whale_verdict_find(all, text, length, 999, &found)) {
        assert_int_equal(found.id, kept->id);
        assert_int_equal(found.epoch, kept->epoch);
        return true;
    }
    whale_verdict_keep(all, text, length, kept);
    return false;
}

static void verdicts(void **state)
{
    whale_verdicts *all = whale_verdicts_new();
    const whale_verdict kept = {.id = 7, .epoch = 2, .auth_date = 900, .until = 1000};
    char text[WHALE_VERDICT_TEXT_MAX + 2];
    whale_verdict found;
    int hits = 0;

    (void)state;
    assert_non_null(all);
    memset(text, 'x', sizeof(text));
    for (size_t length = 1; length <= 600; length += 37) {
        assert_false(ask(all, text, length, &kept));
        assert_false(ask(all, text, length, &kept)); /* seen once is not kept */
        assert_true(ask(all, text, length, &kept));
        assert_false(whale_verdict_find(all, text, length, 1000, &found));
        text[length - 1] = 'y';
        assert_false(whale_verdict_find(all, text, length, 999, &found));
        text[length - 1] = 'x';
        assert_false(whale_verdict_find(all, text, length + 1, 999, &found));
    }
    for (int i = 0; i < 3; i++) {
        assert_false(ask(all, text, WHALE_VERDICT_TEXT_MAX + 1, &kept));
    }
    /* a table of one size: newer ones take the place of older ones, spread over all slots */
    for (int i = 0; i < 8 * WHALE_VERDICT_SLOTS; i++) {
        ask(all, text, (size_t)snprintf(text, 64, "token %d", i / 2), &kept);
    }
    for (int i = 0; i < 4 * WHALE_VERDICT_SLOTS; i++) {
        hits +=
            whale_verdict_find(all, text, (size_t)snprintf(text, 64, "token %d", i), 999, &found);
    }
    assert_in_range(hits, WHALE_VERDICT_SLOTS / 2, WHALE_VERDICT_SLOTS);
    /* kept behind the look-up of another, nothing is found that was not verified */
    assert_false(whale_verdict_find(all, "a", 1, 1, &found));
    whale_verdict_keep(all, "b", 1, &kept);
    whale_verdict_keep(all, "b", 1, &kept);
    assert_false(whale_verdict_find(all, "a", 1, 1, &found));
    assert_false(whale_verdict_find(all, "b", 1, 1, &found));
    whale_verdicts_free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_cases), cmocka_unit_test(ages_to_the_second),
        cmocka_unit_test(signed_but_odd), cmocka_unit_test(every_changed_byte),
        cmocka_unit_test(profiles),       cmocka_unit_test(sessions),
        cmocka_unit_test(verdicts),
    };

    if (!crypto_start()) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
