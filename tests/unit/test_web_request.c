/*
 * What clients send: paths, cursors, fields of bodies and queries.
 */
#include "ngx_whale_module/whale_cursor.c"
#include "ngx_whale_module/whale_fields.c"
#include "ngx_whale_module/whale_route.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static enum whale_route match(bool operators, enum whale_method method, const char *path,
                              whale_slice *parameters, unsigned *allowed)
{
    return whale_route_match(operators, method, path, strlen(path), parameters, allowed);
}

/* Each route is found by its own path, and takes nothing of another. */
static void every_route(void **state)
{
    whale_slice parameters[WHALE_ROUTE_PARAMETERS_MAX];
    unsigned allowed;

    (void)state;
    for (int i = 0; i < WHALE_ROUTE_NONE; i++) {
        const whale_route_entry *route = &whale_routes[i];
        const bool operators = route->access == WHALE_OPERATOR;
        char path[128], *at = path;

        if (route->access == WHALE_TELEGRAM) {
            continue; /* a location of its own */
        }
        for (const char *from = route->path; *from != '\0'; from++) {
            if (*from == '{') {
                at += sprintf(at, "p%d", (int)(from - route->path));
                from = strchr(from, '}');
            } else {
                *at++ = *from;
            }
        }
        *at = '\0';
        assert_int_equal(match(operators, route->method, path, parameters, &allowed), i);
        assert_int_equal(match(!operators, route->method, path, parameters, &allowed),
                         WHALE_ROUTE_NONE);
        assert_int_equal(allowed, 0);
        assert_int_equal(match(operators, 0, path, parameters, &allowed), WHALE_ROUTE_NONE);
        assert_true((allowed & route->method) != 0);
        strcat(path, "/");
        assert_int_equal(match(operators, route->method, path, parameters, &allowed),
                         WHALE_ROUTE_NONE);
    }
}

static void parameters_of_paths(void **state)
{
    whale_slice parts[WHALE_ROUTE_PARAMETERS_MAX];
    unsigned allowed;
    char text[40];
    int64_t id;

    (void)state;
    assert_int_equal(match(false, WHALE_GET, "/api/v1/prices/okx/usdm/BTC-USDT:1", parts, &allowed),
                     WHALE_ROUTE_PRICE);
    assert_int_equal(parts[2].length, 10);
    assert_memory_equal(parts[2].text, "BTC-USDT:1", 10);
    assert_int_equal(match(false, WHALE_GET, "/api/v1/prices/okx//BTC", parts, &allowed),
                     WHALE_ROUTE_NONE);
    assert_int_equal(match(false, WHALE_GET, "", parts, &allowed), WHALE_ROUTE_NONE);
    assert_int_equal(match(false, 0, "/api/v1/whales/7/follow", parts, &allowed), WHALE_ROUTE_NONE);
    whale_route_allow(allowed, text);
    assert_string_equal(text, "POST, PATCH, DELETE");
    whale_route_allow(WHALE_GET | WHALE_POST | WHALE_PATCH | WHALE_DELETE, text);
    assert_string_equal(text, "GET, HEAD, POST, PATCH, DELETE");
    assert_true(whale_route_id(&(whale_slice){"999999999999999999", 18}, &id));
    assert_int_equal(id, 999999999999999999);
    static const char *const bad[] = {"",   "0",  "01",  "-1",
                                      "+1", "1 ", "1e3", "9999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(whale_route_id(&(whale_slice){bad[i], strlen(bad[i])}, &id));
    }
}

static void cursors(void **state)
{
    static const char *const keys[] = {"", "0", "-12.5", "99999999999999999999999999.999999999999",
                                       "12345678901234567890"};
    char text[WHALE_CURSOR_TEXT_MAX];
    whale_cursor read;

    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        whale_cursor cursor = {.list = 'w', .order = 's', .id = 999999999999999999};

        strcpy(cursor.key, keys[i]);
        assert_true(whale_cursor_format(&cursor, text) > 0);
        assert_true(whale_cursor_parse(text, strlen(text), 'w', 's', &read));
        assert_string_equal(read.key, keys[i]);
        assert_int_equal(read.id, 999999999999999999);
        assert_false(whale_cursor_parse(text, strlen(text), 't', 's', &read));
        assert_false(whale_cursor_parse(text, strlen(text), 'w', 'r', &read));
    }
    assert_int_equal(
        whale_cursor_format(&(whale_cursor){.list = 'w', .order = 's', .key = "1'"}, text), 0);
    assert_int_equal(
        whale_cursor_format(&(whale_cursor){.list = 'w', .order = 's', .id = -1}, text), 0);
    static const char *const plain[] = {
        "w",    "ws",    "ws:",    "ws:0",   "ws:-1",
        "ws1:", "wsx:1", "ws1:1x", "ws:1:1", "ws:1234567890123456789"};
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        crypto_base64url(plain[i], strlen(plain[i]), text);
        assert_false(whale_cursor_parse(text, strlen(text), 'w', 's', &read));
    }
}

static const whale_field fields[] = {
    {.name = "name", .kind = WHALE_FIELD_TEXT, .least = 1, .most = 5, .nullable = true},
    {.name = "kind", .kind = WHALE_FIELD_WORD, .words = "fixed|percent"},
    {.name = "count", .kind = WHALE_FIELD_INTEGER, .least = -5, .most = 125},
    {.name = "size", .kind = WHALE_FIELD_DECIMAL, .most = 100},
    {.name = "flag", .kind = WHALE_FIELD_BOOLEAN},
    {.name = "since", .kind = WHALE_FIELD_TIME},
    {.name = "secret", .kind = WHALE_FIELD_SECRET, .least = 2, .most = 8},
};
enum { COUNT = sizeof(fields) / sizeof(fields[0]) };

static whale_values values;

static enum whale_error body(const char *text)
{
    static char arena[2048];

    return whale_fields_body(fields, COUNT, text, strlen(text), arena, strlen(text) + COUNT + 8,
                             &values);
}

static void good_bodies(void **state)
{
    (void)state;
    assert_int_equal(body(""), ERROR_NONE);
    assert_false(values.values[0].given);
    assert_int_equal(body("{\"name\":\"\\u00e9\",\"kind\":\"percent\",\"count\":-5,\"size\":\"0."
                          "000000000001\",\"flag\":true,"
                          "\"since\":\"2026-11-20T09:10:11Z\",\"secret\":\"a\\nb\"}"),
                     ERROR_NONE);
    assert_string_equal(values.values[0].text, "\xC3\xA9");
    assert_string_equal(values.values[1].text, "percent");
    assert_string_equal(values.values[2].text, "-5");
    assert_string_equal(values.values[3].text, "0.000000000001");
    assert_string_equal(values.values[4].text, "true");
    assert_string_equal(values.values[6].text, "a\nb");
    assert_int_equal(body("{\"count\":\"125\",\"size\":1e2,\"name\":null}"), ERROR_NONE);
    assert_string_equal(values.values[2].text, "125");
    assert_true(values.values[0].given);
    assert_null(values.values[0].text);
}

static void bad_bodies(void **state)
{
    static const struct {
        const char *text;
        enum whale_error error;
        const char *says;
    } bad[] = {
        {"{", ERROR_BAD_JSON, "not valid JSON"},
        {"{}x", ERROR_BAD_JSON, "not valid JSON"},
        {"[]", ERROR_BAD_FIELD, "JSON object"},
        {"7", ERROR_BAD_FIELD, "JSON object"},
        {"{\"nam\":1}", ERROR_BAD_FIELD, "\"nam\" is not a field"},
        {"{\"<b>\\u0041\":1}", ERROR_BAD_FIELD, "is not a field"},
        {"{\"name\":\"a\",\"name\":\"b\"}", ERROR_BAD_FIELD, "\"name\" is given twice"},
        {"{\"name\":\"\"}", ERROR_BAD_FIELD, "\"name\" must be text of 1 to 5 bytes"},
        {"{\"name\":\"abcdef\"}", ERROR_BAD_FIELD, "\"name\""},
        {"{\"name\":7}", ERROR_BAD_FIELD, "\"name\""},
        {"{\"name\":\"a\\u0000b\"}", ERROR_BAD_FIELD, "\"name\""},
        {"{\"name\":\"a\\nb\"}", ERROR_BAD_FIELD, "\"name\""},
        {"{\"kind\":\"Fixed\"}", ERROR_BAD_FIELD, "one of fixed|percent"},
        {"{\"kind\":\"fixed|percent\"}", ERROR_BAD_FIELD, "one of"},
        {"{\"kind\":null}", ERROR_BAD_FIELD, "may not be null"},
        {"{\"count\":126}", ERROR_BAD_FIELD, "from -5 to 125"},
        {"{\"count\":1.0}", ERROR_BAD_FIELD, "whole number"},
        {"{\"count\":true}", ERROR_BAD_FIELD, "whole number"},
        {"{\"count\":[1]}", ERROR_BAD_FIELD, "whole number"},
        {"{\"size\":0}", ERROR_BAD_FIELD, "above 0"},
        {"{\"size\":-1}", ERROR_BAD_FIELD, "above 0"},
        {"{\"size\":100.000000000001}", ERROR_BAD_FIELD, "at most 100"},
        {"{\"size\":\"1.0000000000001\"}", ERROR_BAD_FIELD, "\"size\""},
        {"{\"size\":\"NaN\"}", ERROR_BAD_FIELD, "\"size\""},
        {"{\"flag\":\"true\"}", ERROR_BAD_FIELD, "true or false"},
        {"{\"flag\":1}", ERROR_BAD_FIELD, "true or false"},
        {"{\"since\":\"yesterday\"}", ERROR_BAD_FIELD, "RFC 3339"},
        {"{\"secret\":\"hunter2hunter2\"}", ERROR_BAD_FIELD, "\"secret\" must be text"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(body(bad[i].text), bad[i].error);
        if (strstr(values.message, bad[i].says) == NULL ||
            strstr(values.message, "hunter2") != NULL || strchr(values.message, '<') != NULL) {
            fail_msg("%s: %s", bad[i].text, values.message);
        }
    }
}

static enum whale_error query(const char *text)
{
    static char arena[2048];

    return whale_fields_query(fields, COUNT, text, strlen(text), arena, strlen(text) + COUNT + 8,
                              &values);
}

static void queries(void **state)
{
    (void)state;
    assert_int_equal(query("name=%C3%A9+x&count=5&&kind=fixed&"), ERROR_NONE);
    assert_string_equal(values.values[0].text, "\xC3\xA9 x");
    assert_string_equal(values.values[2].text, "5");
    assert_int_equal(query(""), ERROR_NONE);
    static const char *const bad[] = {
        "name=%", "name=%4", "name=%zz",        "name=%00", "name",    "name=",
        "x=1",    "=1",      "count=5&count=5", "name=%0a", "%6eame=a"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(query(bad[i]), ERROR_BAD_FIELD);
        assert_true(values.message[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route), cmocka_unit_test(parameters_of_paths),
        cmocka_unit_test(cursors),     cmocka_unit_test(good_bodies),
        cmocka_unit_test(bad_bodies),  cmocka_unit_test(queries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
