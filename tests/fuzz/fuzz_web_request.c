/*
 * What strangers send to the module: initData, session tokens, paths, cursors, bodies and queries.
 * The first byte chooses; what comes out must keep its promises.
 */
#include "ngx_whale_module/whale_cursor.c"
#include "ngx_whale_module/whale_fields.c"
#include "ngx_whale_module/whale_initdata.c"
#include "ngx_whale_module/whale_profile.c"
#include "ngx_whale_module/whale_route.c"
#include "ngx_whale_module/whale_session.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth) {
        abort();
    }
}

static void try_credentials(const char *text, size_t length)
{
    static whale_initdata_work work;
    static crypto_mac *mac;
    whale_initdata data;
    whale_session session;
    initdata_pairs pairs;

    if (mac == NULL) {
        require(crypto_start());
        mac = crypto_mac_new("key", 3);
    }
    require(whale_initdata_check(text, length, mac, 1000, 300, &work, &data) != WHALE_INITDATA_OK);
    if (initdata_split(text, length, work.decoded, &pairs)) {
        require(initdata_join(&pairs, NULL, work.sorted) <= WHALE_INITDATA_MAX);
        for (size_t i = 1; i < pairs.count; i++) {
            require(initdata_compare(&pairs.pairs[i - 1], &pairs.pairs[i]) < 0);
        }
    }
    require(!whale_session_check(text, length, mac, 1000, &session));
}

static void try_profile(const char *text, size_t length)
{
    whale_profile profile;
    int64_t id;

    if (whale_profile_parse(text, length, &profile)) {
        require(profile.id > 0);
        require(strlen(profile.first_name) < sizeof(profile.first_name));
        require(whale_profile_id(text, length, &id));
    }
}

static void try_fields(const char *text, size_t length)
{
    static const whale_field fields[] = {
        {.name = "a", .kind = WHALE_FIELD_TEXT, .least = 0, .most = 20, .nullable = true},
        {.name = "b", .kind = WHALE_FIELD_WORD, .words = "x|yy"},
        {.name = "c", .kind = WHALE_FIELD_INTEGER, .least = -9, .most = 9},
        {.name = "d", .kind = WHALE_FIELD_DECIMAL, .most = 10},
        {.name = "e", .kind = WHALE_FIELD_BOOLEAN},
        {.name = "f", .kind = WHALE_FIELD_TIME},
        {.name = "g", .kind = WHALE_FIELD_SECRET, .least = 1, .most = 9},
    };
    enum { COUNT = sizeof(fields) / sizeof(fields[0]) };
    const size_t room = length + COUNT + 8;
    char *arena = malloc(room);
    whale_values values;

    for (int query = 0; query < 2; query++) {
        const enum whale_error error =
            query ? whale_fields_query(fields, COUNT, text, length, arena, room, &values)
                  : whale_fields_body(fields, COUNT, text, length, arena, room, &values);

        require(error == ERROR_NONE || values.message[0] != '\0');
        for (size_t i = 0; error == ERROR_NONE && i < COUNT; i++) {
            require(values.values[i].text == NULL ||
                    strlen(values.values[i].text) == values.values[i].length);
        }
    }
    free(arena);
}

static void try_cursor(const char *text, size_t length)
{
    char again[WHALE_CURSOR_TEXT_MAX];
    whale_cursor cursor, same;

    if (length < WHALE_CURSOR_TEXT_MAX && whale_cursor_parse(text, length, 'w', 's', &cursor)) {
        require(whale_cursor_format(&cursor, again) > 0);
        require(whale_cursor_parse(again, strlen(again), 'w', 's', &same));
        require(cursor.id == same.id && strcmp(cursor.key, same.key) == 0);
    }
}

static void try_path(const char *text, size_t length)
{
    whale_slice parameters[WHALE_ROUTE_PARAMETERS_MAX];
    unsigned allowed;
    char allow[40];
    int64_t id;

    for (unsigned method = 0; method <= WHALE_DELETE; method = method ? method << 1 : 1) {
        whale_route_match(false, method, text, length, parameters, &allowed);
        whale_route_allow(allowed, allow);
        whale_route_match(true, method, text, length, parameters, &allowed);
    }
    if (whale_route_id(&(whale_slice){text, length}, &id)) {
        require(id > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(const char *, size_t) = {try_credentials, try_profile, try_fields,
                                                          try_cursor, try_path};
    char *copy;

    if (size == 0) {
        return 0;
    }
    /* exactly as long as it is, so that a byte too far is seen */
    copy = malloc(size);
    memcpy(copy, data + 1, size - 1);
    tries[data[0] % 5](copy, size - 1);
    free(copy);
    return 0;
}
