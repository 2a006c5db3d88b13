/*
 * Parameters and what a signature covers: recorded requests of public clients, and hostile text.
 */
#include "workerd/paper/paper_params.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static paper_params params;

static bool read_both(const char *query, const char *body)
{
    return paper_params_read(&params, query, strlen(query), body, strlen(body));
}

static void assert_signed(const char *wanted)
{
    assert_int_equal(params.signed_length, strlen(wanted));
    assert_memory_equal(params.signed_text, wanted, strlen(wanted));
}

static void the_signature_covers_query_and_body_without_itself(void **state)
{
    (void)state;
    assert_true(read_both("", "symbol=BTCUSDT&timestamp=1&signature=ab"));
    assert_signed("symbol=BTCUSDT&timestamp=1");
    assert_string_equal(params.signature, "ab");
    assert_true(read_both("symbol=BTCUSDT&timestamp=1&signature=ab", ""));
    assert_signed("symbol=BTCUSDT&timestamp=1");
    /* the venue's own example of both: nothing stands between them */
    assert_true(
        read_both("symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC",
                  "quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559&signature=c"));
    assert_signed(
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTCquantity=1&price=0.1&recvWindow="
        "5000&timestamp=1499827319559");
    /* not at the end: it is part of what must be signed, and cannot verify */
    assert_true(read_both("signature=ab&symbol=BTCUSDT", ""));
    assert_signed("signature=ab&symbol=BTCUSDT");
    assert_true(read_both("signature=ab", ""));
    assert_signed("");
}

static void of_a_name_in_both_places_the_query_counts(void **state)
{
    (void)state;
    assert_true(read_both("symbol=ETHUSDT", "symbol=BTCUSDT&side=BUY"));
    assert_string_equal(paper_param_text(&params, "symbol"), "ETHUSDT");
    assert_string_equal(paper_param_text(&params, "side"), "BUY");
    assert_null(params.twice);
    assert_true(read_both("symbol=ETHUSDT&symbol=BTCUSDT", ""));
    assert_string_equal(params.twice, "symbol");
    assert_true(read_both("", "a=1&b=2&a=1"));
    assert_string_equal(params.twice, "a");
}

static void values_are_percent_decoded(void **state)
{
    (void)state;
    assert_true(read_both("a=x%2Fy%20z+w&b=%41&c&d=", ""));
    assert_string_equal(paper_param_text(&params, "a"), "x/y z w");
    assert_string_equal(paper_param_text(&params, "b"), "A");
    assert_string_equal(paper_param_text(&params, "c"), "");
    assert_string_equal(paper_param_text(&params, "d"), "");
    assert_null(paper_param_text(&params, "e"));
    assert_signed("a=x%2Fy%20z+w&b=%41&c&d=");
    assert_false(read_both("a=%", ""));
    assert_false(read_both("a=%2", ""));
    assert_false(read_both("a=%zz", ""));
    assert_false(read_both("a=%00", ""));
    assert_true(read_both("&&a=1&&", ""));
    assert_int_equal(params.count, 1);
}

static void too_much_is_refused_not_cut(void **state)
{
    char many[PAPER_PARAMS_TEXT + 16];
    size_t length = 0;

    (void)state;
    for (int i = 0; i <= PAPER_PARAMS_MAX; i++) {
        length += (size_t)snprintf(many + length, sizeof(many) - length, "p%d=1&", i);
    }
    assert_true(paper_params_read(&params, many, length, "", 0));
    assert_true(params.too_many);
    memset(many, 'a', sizeof(many));
    assert_false(paper_params_read(&params, many, sizeof(many), "", 0));
    /* as long as it may be, and without a single ampersand */
    assert_true(paper_params_read(&params, many, PAPER_PARAMS_TEXT - 1, "", 0));
    /* decoded text never outgrows its place, however many parts there are */
    for (size_t i = 0; i < PAPER_PARAMS_TEXT; i++) {
        many[i] = i % 2 == 0 ? 'a' : '&';
    }
    (void)paper_params_read(&params, many, PAPER_PARAMS_TEXT, "", 0);
    assert_true(params.used <= sizeof(params.text));
}

static void numbers_are_read_strictly(void **state)
{
    static const char *const bad[] = {"1e5", "abc", "1,5", " 1", "1 ", "--1", "1.2.3", "+1", "0x1"};
    paper_refusal refusal = {0};
    int64_t whole;
    bool given, flag;
    char text[64];
    dec value;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), "q=%s", bad[i]);
        for (char *at = text; *at != '\0'; at++) {
            *at = *at == ' ' ? '+' : *at; /* a blank on the wire; a plus is one too */
        }
        assert_true(read_both(text, ""));
        assert_false(paper_param_dec(&params, "q", &value, NULL, &refusal));
        assert_int_equal(refusal.code, -1102);
    }
    assert_true(read_both("q=0.0000000000001&n=12x&b=TRUE&e=&t=1499827319559", ""));
    assert_false(paper_param_dec(&params, "q", &value, NULL, &refusal));
    assert_int_equal(refusal.code, -1111);
    assert_false(paper_param_int(&params, "n", &whole, NULL, &refusal));
    assert_int_equal(refusal.code, -1102);
    assert_false(paper_param_bool(&params, "b", &flag, NULL, &refusal));
    assert_false(paper_param_int(&params, "e", &whole, &given, &refusal)); /* empty */
    assert_string_equal(refusal.text,
                        "Mandatory parameter 'e' was not sent, was empty/null, or malformed.");
    assert_false(paper_param_int(&params, "absent", &whole, NULL, &refusal));
    assert_true(paper_param_int(&params, "absent", &whole, &given, &refusal));
    assert_false(given);
    assert_true(paper_param_int(&params, "t", &whole, NULL, &refusal));
    assert_int_equal(whole, 1499827319559);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_signature_covers_query_and_body_without_itself),
        cmocka_unit_test(of_a_name_in_both_places_the_query_counts),
        cmocka_unit_test(values_are_percent_decoded),
        cmocka_unit_test(too_much_is_refused_not_cut),
        cmocka_unit_test(numbers_are_read_strictly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
