/*
 * JSON: what is taken and what is refused (RFC 8259, by a table), reading by path and by iteration,
 * and the writer at every capacity. Texts are copied to buffers of their exact size, so that
 * AddressSanitizer sees a byte read past the end.
 */
#include "core/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOKENS 256

static jsmntok_t tokens[TOKENS];

/* Parses a copy without a byte to spare; the copy lives until the next call. */
static enum json_status parse_bytes(json_doc *doc, const char *text, size_t length, int capacity)
{
    static char *copy;

    free(copy);
    copy = malloc(length > 0 ? length : 1);
    memcpy(copy, text, length);
    return json_parse(doc, copy, length, tokens, capacity);
}

static json_doc parse(const char *text)
{
    json_doc doc;

    assert_int_equal(parse_bytes(&doc, text, strlen(text), TOKENS), JSON_OK);
    return doc;
}

static void valid_texts_are_taken(void **state)
{
    static const char *const texts[] = {
        "{}",
        "[]",
        " \t\r\n[ \t\r\n] \t\r\n",
        "null",
        "true",
        "false",
        " true ",
        "0",
        "-0",
        "42",
        " 42\n",
        "\"\"",
        " \"a\" ",
        "[0,-1,1.5,-0.0,1e5,1E+5,1e-05,123456789012345678901234567890.5e400]",
        "[null,true,false,\"x\",[],{}]",
        "{\"a\":1,\"b\":[1,2,{\"c\":null}],\"d\":{}}",
        "{\"\":\"\"}",
        "{\"a\":1,\"a\":2}",
        "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\\ud800\\u0000\"]",
        "[\"\x7F\"]",
        "[\"\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\"]",
        "[\"\xED\x9F\xBF\xEE\x80\x80\"]",
        "[\"{}[]:,\"]",
        "{\"a\" : 1 , \"b\" : [ 1 , 2 ] }",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", /* 32 deep */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        json_doc doc;

        if (parse_bytes(&doc, texts[i], strlen(texts[i]), TOKENS) != JSON_OK) {
            fail_msg("refused: %s", texts[i]);
        }
        assert_true(doc.count > 0);
    }
}

static void invalid_texts_are_refused(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "\n",
        ",",
        ":",
        "]",
        "}",
        "[",
        "{",
        "[]]",
        "{}}",
        "[}",
        "{]",
        "[[]",
        "[1",
        "[1,",
        "[1 2]",
        "[1,]",
        "[,1]",
        "[,]",
        "[1,,2]",
        "[1]x",
        "[1] 2",
        "{} {}",
        "[] ,",
        "1 2",
        "\"a\" \"b\"",
        "{\"a\"}",
        "{\"a\":}",
        "{:1}",
        "{\"a\" 1}",
        "{\"a\"::1}",
        "{\"a\":1,}",
        "{,\"a\":1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1:2}",
        "{\"a\":1,2}",
        "{\"a\",\"b\":1}",
        "{1:2}",
        "{a:1}",
        "{null:1}",
        "{[]:1}",
        "{{}:1}",
        "{'a':1}",
        "{\"a\":'b'}",
        "[\"a\":1]",
        "[\"a\",\"b\":1]",
        "{\"a\":[1}",
        "{\"a\":[1}]",
        "[{\"a\":1]}",
        "nul",
        "nulL",
        "NULL",
        "nullx",
        "tru",
        "True",
        "trues",
        "fals",
        "falsee",
        "undefined",
        "[nul]",
        "[truefalse]",
        "[true1]",
        "garbage",
        "[garbage]",
        "[t]",
        "[n,f]",
        "+1",
        "01",
        "-01",
        "00",
        "1.",
        ".5",
        "-",
        "--1",
        "-.5",
        "1.e5",
        "1e",
        "1e+",
        "1E-",
        "1e5.5",
        "1.2.3",
        "0x10",
        "1a",
        "1_000",
        "Infinity",
        "-Infinity",
        "NaN",
        "[1e]",
        "[-]",
        "[0e]",
        "[1.]",
        "[+1]",
        "[01]",
        "[-01]",
        "[0.]",
        "[1+1]",
        "1,5",
        "\"",
        "\"a",
        "\"\\\"",
        "[\"a]",
        "[\"\\\"]",
        "\"\\x\"",
        "\"\\\"\\",
        "\"\\u\"",
        "\"\\u12\"",
        "\"\\u123\"",
        "\"\\u123g\"",
        "\"\\U1234\"",
        "\"\\'\"",
        "\"\\0\"",
        "\"\\\n\"",
        "\"\n\"",
        "\"\t\"",
        "\"\x01\"",
        "\"\x1F\"",
        "[\"a\rb\"]",
        "\"\\u00e",
        "'a'",
        "// x\n1",
        "1 // x",
        "/* */ 1",
        "[1/**/]",
        "# x\n1",
        "\xEF\xBB\xBF{}",
        "\v1",
        "\f1",
        "\xC2\xA0"
        "1",
        "[1]\xE2\x80\x83",
        /* not UTF-8: bare continuation, overlong, surrogate, past the last, cut short, latin-1 */
        "\"\x80\"",
        "\"\xC0\xAF\"",
        "\"\xC1\xBF\"",
        "\"\xE0\x9F\xBF\"",
        "\"\xED\xA0\x80\"",
        "\"\xF0\x8F\xBF\xBF\"",
        "\"\xF4\x90\x80\x80\"",
        "\"\xF5\x80\x80\x80\"",
        "\"\xC3\"",
        "\"\xE2\x82\"",
        "\"\xF0\x9F\x98\"",
        "\"\xE9t\xE9\"",
        "\"\xFF\"",
        "\"\xFE\"",
        "\"\xE2\x82",
        "\"\xC3",
        "[\"\xC3\x28\"]",
        "{\"\xE9\":1}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        json_doc doc;

        if (parse_bytes(&doc, texts[i], strlen(texts[i]), TOKENS) != JSON_SYNTAX) {
            fail_msg("taken: %s", texts[i]);
        }
        assert_int_equal(doc.count, 0);
        assert_int_equal(json_at(&doc, 0, ""), -1);
    }
}

static void nul_bytes_are_refused_wherever_they_stand(void **state)
{
    static const char text[] = "{\"a\":[1,\"b\"]}";
    const size_t length = sizeof(text) - 1;

    (void)state;
    for (size_t at = 0; at <= length; at++) {
        char with_nul[sizeof(text)];
        json_doc doc;

        memcpy(with_nul, text, at);
        with_nul[at] = '\0';
        memcpy(with_nul + at + 1, text + at, length - at);
        assert_int_equal(parse_bytes(&doc, with_nul, length + 1, TOKENS), JSON_SYNTAX);
    }
}

static void every_prefix_of_a_document_is_refused(void **state)
{
    static const char text[] = "{\"a\":[1,2.5e3,\"x\\u00e9\\n\",{\"b\":null,\"c\":[true,false]}],"
                               "\"d\":\"\xF0\x9F\x90\x8B\"}";

    (void)state;
    for (size_t length = 0; length < sizeof(text) - 1; length++) {
        json_doc doc;

        assert_int_equal(parse_bytes(&doc, text, length, TOKENS), JSON_SYNTAX);
    }
}

static void nesting_has_a_limit(void **state)
{
    char text[2048];
    json_doc doc;

    (void)state;
    for (int depth = 1; depth < 1000; depth += depth < 40 ? 1 : 97) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        assert_int_equal(parse_bytes(&doc, text, 2 * (size_t)depth, TOKENS),
                         depth <= JSON_DEPTH_MAX ? JSON_OK : JSON_TOO_LARGE);
    }
    /* given kinds that alternate, then each bracket must still match its own */
    memset(text, 0, sizeof(text));
    for (int i = 0; i < JSON_DEPTH_MAX / 2; i++) {
        strcat(text, "[{\"k\":");
    }
    strcat(text, "1");
    for (int i = 0; i < JSON_DEPTH_MAX / 2; i++) {
        strcat(text, "}]");
    }
    assert_int_equal(parse_bytes(&doc, text, strlen(text), TOKENS), JSON_OK);
    text[strlen(text) - 1] = '}';
    assert_int_equal(parse_bytes(&doc, text, strlen(text), TOKENS), JSON_SYNTAX);
}

static void tokens_have_a_limit(void **state)
{
    json_doc doc;

    (void)state;
    assert_int_equal(parse_bytes(&doc, "[1,2,3]", 7, 4), JSON_OK);
    assert_int_equal(doc.count, 4);
    for (int capacity = 0; capacity < 4; capacity++) {
        assert_int_equal(parse_bytes(&doc, "[1,2,3]", 7, capacity), JSON_TOO_LARGE);
        assert_int_equal(doc.count, 0);
    }
    assert_int_equal(parse_bytes(&doc, "1", 1, 0), JSON_TOO_LARGE);
    assert_int_equal(parse_bytes(&doc, "[1,2 3]", 7, 4), JSON_SYNTAX);
}

static void paths_find_their_values(void **state)
{
    json_doc doc = parse("{\"a\":{\"b\":[1,{\"x\":[],\"y\":{\"z\":0}},[5,[6,7]],{\"c\":\"deep\"}]},"
                         "\"\":9,\"list\":[[1,2],[3,4]],\"esc\\\"aped\":1,\"a\":2}");
    static const struct {
        const char *path;
        int64_t value; /* -1: no such value */
    } cases[] = {
        {"a.b[0]", 1},
        {"a.b[1].y.z", 0},
        {"a.b[2][0]", 5},
        {"a.b[2][1][1]", 7},
        {"list[1][0]", 3},
        {"list[0][1]", 2},
        {"a.b[4]", -1},
        {"a.b[-1]", -1},
        {"a.b[]", -1},
        {"a.b[x]", -1},
        {"a.b[1", -1},
        {"a.c", -1},
        {"a.b.c", -1},
        {"list[2]", -1},
        {"list.a", -1},
        {"a[0]", -1},
        {"a.b[0][0]", -1},
        {"a.b[0].x", -1},
        {"b", -1},
        {"z", -1},
        {"lis", -1},
        {"list2", -1},
        {"esc\\\"aped", 1},
        {"esc\"aped", -1},
        {"a.b[99999999999999999999]", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int node = json_at(&doc, 0, cases[i].path);
        int64_t value = -1;

        assert_int_equal(json_get_int(&doc, node, &value), cases[i].value >= 0);
        assert_int_equal(value, cases[i].value);
    }
    assert_true(json_equals(&doc, json_at(&doc, 0, "a.b[3].c"), "deep"));
    assert_int_equal(json_at(&doc, 0, ""), 0);
    doc = parse("\t\r\n [0,1,2,3,4,5,6,7,8,9,10]");
    assert_true(json_equals(&doc, json_at(&doc, 0, "[9]"), "9"));
    assert_true(json_equals(&doc, json_at(&doc, 0, "[10]"), "10"));
    assert_int_equal(json_at(&doc, 0, "[11]"), -1);
}

static void paths_start_at_any_node(void **state)
{
    json_doc doc =
        parse("{\"a\":{\"b\":[1,{\"c\":\"deep\"}]},\"n\":\"null\",\"t\":true,\"z\":null}");

    (void)state;
    assert_true(json_equals(&doc, json_at(&doc, json_at(&doc, 0, "a.b"), "[1].c"), "deep"));
    assert_false(json_is_null(&doc, json_at(&doc, 0, "n")));
    assert_false(json_is_null(&doc, json_at(&doc, 0, "t")));
    assert_true(json_is_null(&doc, json_at(&doc, 0, "z")));
    assert_int_equal(json_at(&doc, -1, "a"), -1);
    assert_int_equal(json_at(&doc, 10000, "a"), -1);
}

static void iteration_visits_each_member_once(void **state)
{
    json_doc doc =
        parse("[{\"a\":{\"b\":[1,2,{\"c\":[]}]},\"d\":\"x\",\"e\":[[],[[]],{}]},[],{},\"s\","
              "[[1],[2,[3]]],null]");
    char seen[64] = "";
    int count = 0;

    (void)state;
    for (int it = json_first(&doc, 0); it >= 0; it = json_next(&doc, it)) {
        strcat(seen, json_is_object(&doc, it)   ? "o"
                     : json_is_array(&doc, it)  ? "a"
                     : json_is_string(&doc, it) ? "s"
                     : json_is_null(&doc, it)   ? "n"
                                                : "?");
        count++;
    }
    assert_string_equal(seen, "oaosan");
    assert_int_equal(count, json_size(&doc, 0));
    seen[0] = '\0';
    for (int it = json_first(&doc, 1); it >= 0; it = json_next(&doc, it)) {
        const char *key;
        size_t length;

        assert_true(json_slice(&doc, it, &key, &length));
        strncat(seen, key, length);
        strcat(seen, json_is_object(&doc, it + 1) ? "o" : json_is_array(&doc, it + 1) ? "a" : "s");
    }
    assert_string_equal(seen, "aodsea");
    assert_int_equal(json_size(&doc, 1), 3);
}

/* Iteration must reach every token exactly once, whatever the shape: shapes are drawn at random. */
static uint32_t shape_seed;

static uint32_t draw(uint32_t below)
{
    shape_seed = shape_seed * 1664525 + 1013904223;
    return (shape_seed >> 8) % below;
}

static void draw_value(char *out, int depth)
{
    uint32_t kind = draw(depth > 4 ? 3 : 6), members = draw(4);

    if (kind < 3) {
        strcat(out, kind == 0 ? "1" : kind == 1 ? "\"]}\\\"\"" : "null");
        return;
    }
    strcat(out, kind < 5 ? "[" : "{");
    for (uint32_t i = 0; i < members && strlen(out) < 700; i++) {
        strcat(out, i > 0 ? " , " : " ");
        strcat(out, kind < 5 ? "" : "\"k\" :");
        draw_value(out, depth + 1);
    }
    strcat(out, kind < 5 ? "]" : "}");
}

static int count_tokens(const json_doc *doc, int node)
{
    int count = 1, members = 0;

    for (int it = json_first(doc, node); it >= 0; it = json_next(doc, it)) {
        bool object = json_is_object(doc, node);

        count += object ? 1 + count_tokens(doc, it + 1) : count_tokens(doc, it);
        members++;
    }
    assert_int_equal(members, json_size(doc, node));
    return count;
}

static void iteration_covers_random_documents(void **state)
{
    (void)state;
    shape_seed = 11;
    for (int i = 0; i < 5000; i++) {
        char text[8192] = "";
        json_doc doc;

        draw_value(text, 0);
        doc = parse(text);
        assert_int_equal(count_tokens(&doc, 0), doc.count);
    }
}

static void a_scalar_document_is_its_root(void **state)
{
    json_doc doc = parse(" \"caf\xC3\xA9\" ");
    char text[8];
    dec value;
    bool truth;

    (void)state;
    assert_true(json_copy(&doc, 0, text, sizeof(text)));
    assert_string_equal(text, "caf\xC3\xA9");
    doc = parse("\n-1.5");
    assert_true(json_get_dec(&doc, 0, &value));
    assert_true(value.units == -DEC_ONE.units * 3 / 2);
    doc = parse("true");
    assert_true(json_get_bool(&doc, 0, &truth) && truth);
    doc = parse("\"\"");
    assert_true(json_equals(&doc, 0, ""));
    assert_int_equal(json_first(&doc, 0), -1);
    assert_int_equal(json_next(&doc, 0), -1);
}

static void strings_are_unescaped(void **state)
{
    static const struct {
        const char *text, *wanted; /* NULL: refused */
    } cases[] = {
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u00e9\\u20AC\"", "A\xC3\xA9\xE2\x82\xAC"},
        {"\"\\uD83D\\uDC33\"", "\xF0\x9F\x90\xB3"},
        {"\"\\ud83d\"", "\xEF\xBF\xBD"},
        {"\"\\ud800\"", "\xEF\xBF\xBD"},
        {"\"\\udfff\"", "\xEF\xBF\xBD"},
        {"\"\\u007f\\u0080\\u07ff\\u0800\\uFFFF\"", "\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF"},
        {"\"\\udc33x\"", "\xEF\xBF\xBDx"},
        {"\"\\ud83d\\u0041\"", "\xEF\xBF\xBD"
                               "A"},
        {"\"\\ud83d\\n\"", "\xEF\xBF\xBD\n"},
        {"\"\\ud83d\\ud83d\\udc33\"", "\xEF\xBF\xBD\xF0\x9F\x90\xB3"},
        {"\"\\uDBFF\\uDFFF\"", "\xF4\x8F\xBF\xBF"},
        {"\"\\uD800\\uDC00\"", "\xF0\x90\x80\x80"},
        {"\"\\u0041\\udc00\"", "A\xEF\xBF\xBD"},
        {"\"\\u0aA9\\uFf0f\"", "\xE0\xAA\xA9\xEF\xBC\x8F"},
        {"\"a\\u0000b\"", NULL},
        {"\"\"", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_doc doc = parse(cases[i].text);
        char text[64];
        bool done = json_copy(&doc, 0, text, sizeof(text));

        assert_int_equal(done, cases[i].wanted != NULL);
        if (done) {
            assert_string_equal(text, cases[i].wanted);
            assert_true(json_equals(&doc, 0, cases[i].wanted));
            assert_false(json_equals(&doc, 0, "another"));
        }
    }
}

static void copies_keep_to_their_capacity(void **state)
{
    json_doc doc = parse("\"ab\\u20AC\""); /* 5 bytes */

    (void)state;
    for (size_t capacity = 0; capacity < 8; capacity++) {
        char *out = malloc(capacity > 0 ? capacity : 1);

        assert_int_equal(json_copy(&doc, 0, out, capacity), capacity >= 6);
        free(out);
    }
    doc = parse("\"\"");
    assert_false(json_copy(&doc, 0, (char[1]){0}, 0));
    assert_true(json_copy(&doc, 0, (char[1]){1}, 1));
    doc = parse("17");
    assert_false(json_copy(&doc, 0, (char[8]){0}, 8)); /* not a string */
}

static void numbers_are_read_bare_and_quoted(void **state)
{
    json_doc doc =
        parse("[1.5,\"1.5\",\"0.00000000000005\",12,\"-12\",1e3,1.5e0,9223372036854775807,"
              "-9223372036854775808,9223372036854775808,\"\",\"x\",null,[],true,\"true\","
              "\"false\",false,\"no\",1e30]");
    dec value;
    int64_t whole;
    bool truth;

    (void)state;
    assert_true(json_get_dec(&doc, 1, &value) && value.units == DEC_ONE.units * 3 / 2);
    assert_true(json_get_dec(&doc, 2, &value) && value.units == DEC_ONE.units * 3 / 2);
    assert_false(json_get_dec(&doc, 3, &value));
    assert_true(json_get_dec_rounded(&doc, 3, &value) && value.units == 0);
    assert_true(json_get_int(&doc, 4, &whole) && whole == 12);
    assert_true(json_get_int(&doc, 5, &whole) && whole == -12);
    assert_true(json_get_int(&doc, 6, &whole) && whole == 1000);
    assert_false(json_get_int(&doc, 7, &whole));
    assert_true(json_get_int(&doc, 8, &whole) && whole == INT64_MAX);
    assert_true(json_get_int(&doc, 9, &whole) && whole == INT64_MIN);
    assert_false(json_get_int(&doc, 10, &whole));
    for (int node = 11; node <= 15; node++) {
        assert_false(json_get_dec(&doc, node, &value));
        assert_false(json_get_int(&doc, node, &whole));
    }
    assert_true(json_get_bool(&doc, 15, &truth) && truth);
    assert_true(json_get_bool(&doc, 16, &truth) && truth);
    assert_true(json_get_bool(&doc, 17, &truth) && !truth);
    assert_true(json_get_bool(&doc, 18, &truth) && !truth);
    assert_false(json_get_bool(&doc, 19, &truth));
    assert_false(json_get_bool(&doc, 14, &truth));
    assert_false(json_get_dec(&doc, 20, &value));
}

static void nothing_is_found_at_no_node(void **state)
{
    json_doc doc = parse("{}");
    const char *text;
    size_t length;
    dec value;
    int64_t whole;
    bool truth;

    (void)state;
    for (int node = -1; node <= 1; node += 2) {
        assert_int_equal(json_at(&doc, node, "a"), -1);
        assert_int_equal(json_first(&doc, node), -1);
        assert_int_equal(json_next(&doc, node), -1);
        assert_int_equal(json_size(&doc, node), 0);
        assert_false(json_is_object(&doc, node) || json_is_array(&doc, node) ||
                     json_is_string(&doc, node) || json_is_null(&doc, node));
        assert_false(json_slice(&doc, node, &text, &length));
        assert_false(json_copy(&doc, node, (char[4]){0}, 4));
        assert_false(json_equals(&doc, node, ""));
        assert_false(json_get_dec(&doc, node, &value));
        assert_false(json_get_int(&doc, node, &whole));
        assert_false(json_get_bool(&doc, node, &truth));
    }
}

static void write_all_kinds(json_writer *writer)
{
    json_object(writer);
    json_key(writer, "text\n");
    json_text(writer, "a\"b\\c\x01\x7F\xC3\xA9\xFF\xE2\x82\t", 13);
    json_key(writer, "null");
    json_string(writer, NULL);
    json_key(writer, "dec");
    json_dec(writer, (dec){-1});
    json_key(writer, "id");
    json_id(writer, INT64_MIN);
    json_key(writer, "list");
    json_array(writer);
    json_int(writer, -5);
    json_bool(writer, true);
    json_array(writer);
    json_array_end(writer);
    json_object(writer);
    json_object_end(writer);
    json_null(writer);
    json_array_end(writer);
    json_key(writer, "time");
    json_time(writer, 1795166411123456789LL);
    json_key(writer, "never");
    json_time(writer, 0);
    json_key(writer, "raw");
    json_raw(writer, "[1]", 3);
    json_object_end(writer);
}

static const char all_kinds[] =
    "{\"text\\n\":\"a\\\"b\\\\c\\u0001\\u007f\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\\t\","
    "\"null\":null,\"dec\":\"-0.000000000001\",\"id\":\"-9223372036854775808\","
    "\"list\":[-5,true,[],{},null],\"time\":\"2026-11-20T09:20:11.123456Z\",\"never\":null,"
    "\"raw\":[1]}";

static void the_writer_writes_every_kind(void **state)
{
    char buffer[512];
    json_writer writer;

    (void)state;
    json_begin(&writer, buffer, sizeof(buffer));
    write_all_kinds(&writer);
    assert_true(json_finish(&writer));
    assert_string_equal(buffer, all_kinds);
    assert_int_equal(writer.length, sizeof(all_kinds) - 1);
    parse(buffer);
    /* a character of several bytes may be the last */
    json_begin(&writer, buffer, sizeof(buffer));
    json_string(&writer, "\xF0\x9F\x90\xB3");
    assert_true(json_finish(&writer));
    assert_string_equal(buffer, "\"\xF0\x9F\x90\xB3\"");
}

static void the_writer_keeps_to_its_capacity(void **state)
{
    const size_t length = sizeof(all_kinds) - 1;

    (void)state;
    for (size_t capacity = 0; capacity <= length + 1; capacity++) {
        char *buffer = malloc(capacity > 0 ? capacity : 1);
        json_writer writer;

        json_begin(&writer, buffer, capacity);
        write_all_kinds(&writer);
        assert_int_equal(json_finish(&writer), capacity >= length);
        if (capacity > length) {
            assert_string_equal(buffer, all_kinds);
        }
        free(buffer);
    }
}

#define EXPECT_WRITER_REFUSES(...)                                                                 \
    do {                                                                                           \
        char buffer[1024];                                                                         \
        json_writer writer, *w = &writer;                                                          \
                                                                                                   \
        json_begin(w, buffer, sizeof(buffer));                                                     \
        __VA_ARGS__;                                                                               \
        assert_false(json_finish(w));                                                              \
    } while (0)

static void the_writer_refuses_what_is_no_json(void **state)
{
    (void)state;
    EXPECT_WRITER_REFUSES((void)0);
    EXPECT_WRITER_REFUSES(json_object(w));
    EXPECT_WRITER_REFUSES(json_object_end(w));
    EXPECT_WRITER_REFUSES(json_array(w); json_object_end(w));
    EXPECT_WRITER_REFUSES(json_object(w); json_array_end(w));
    EXPECT_WRITER_REFUSES(json_object(w); json_int(w, 1); json_object_end(w));
    EXPECT_WRITER_REFUSES(json_object(w); json_key(w, "a"); json_object_end(w));
    EXPECT_WRITER_REFUSES(json_object(w); json_key(w, "a"); json_key(w, "b"); json_int(w, 1);
                          json_object_end(w));
    EXPECT_WRITER_REFUSES(json_array(w); json_key(w, "a"); json_int(w, 1); json_array_end(w));
    EXPECT_WRITER_REFUSES(json_key(w, "a"); json_int(w, 1));
    EXPECT_WRITER_REFUSES(json_object(w); json_key(w, NULL); json_int(w, 1); json_object_end(w));
    EXPECT_WRITER_REFUSES(json_int(w, 1); json_int(w, 2));
    EXPECT_WRITER_REFUSES(json_array(w); json_array_end(w); json_array(w); json_array_end(w));
    EXPECT_WRITER_REFUSES(for (int i = 0; i <= JSON_DEPTH_MAX; i++) json_array(w);
                          for (int i = 0; i <= JSON_DEPTH_MAX; i++) json_array_end(w));
}

static void the_writer_nests_to_the_limit_and_separates(void **state)
{
    char buffer[1024];
    json_writer writer;

    (void)state;
    json_begin(&writer, buffer, sizeof(buffer));
    for (int i = 0; i < JSON_DEPTH_MAX; i++) {
        json_array(&writer);
        json_int(&writer, 1);
    }
    for (int i = 0; i < JSON_DEPTH_MAX; i++) {
        json_array_end(&writer);
    }
    assert_true(json_finish(&writer));
    parse(buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_texts_are_taken),
        cmocka_unit_test(invalid_texts_are_refused),
        cmocka_unit_test(nul_bytes_are_refused_wherever_they_stand),
        cmocka_unit_test(every_prefix_of_a_document_is_refused),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(tokens_have_a_limit),
        cmocka_unit_test(paths_find_their_values),
        cmocka_unit_test(paths_start_at_any_node),
        cmocka_unit_test(iteration_visits_each_member_once),
        cmocka_unit_test(iteration_covers_random_documents),
        cmocka_unit_test(a_scalar_document_is_its_root),
        cmocka_unit_test(strings_are_unescaped),
        cmocka_unit_test(copies_keep_to_their_capacity),
        cmocka_unit_test(numbers_are_read_bare_and_quoted),
        cmocka_unit_test(nothing_is_found_at_no_node),
        cmocka_unit_test(the_writer_writes_every_kind),
        cmocka_unit_test(the_writer_keeps_to_its_capacity),
        cmocka_unit_test(the_writer_refuses_what_is_no_json),
        cmocka_unit_test(the_writer_nests_to_the_limit_and_separates),
    };

    return cmocka_run_group_tests_name("core_json", tests, NULL, NULL);
}
