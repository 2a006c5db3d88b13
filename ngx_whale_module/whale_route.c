/* The route table and its matching; see whale_route.h. */
#include "whale_route.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Labels are lower case: made from the names in the table, so that they cannot differ. */
const whale_route_entry whale_routes[WHALE_ROUTE_COUNT] = {
#define WHALE_ROUTE_ENTRY(name, method, path, access)                                              \
    [WHALE_ROUTE_##name] = {#name, WHALE_##method, path, WHALE_##access},
    WHALE_ROUTES(WHALE_ROUTE_ENTRY)
#undef WHALE_ROUTE_ENTRY
        [WHALE_ROUTE_NONE] = {"NONE", 0, "", WHALE_PUBLIC},
};

/* Parameters are never empty and never hold a slash. */
static bool route_fits(const char *pattern, const char *path, size_t length,
                       whale_slice parameters[])
{
    const char *at = path, *end = path + length;
    size_t count = 0;

    for (;;) {
        const char *brace = strchrnul(pattern, '{');
        const size_t literal = (size_t)(brace - pattern);
        const char *slash;

        if ((size_t)(end - at) < literal || memcmp(at, pattern, literal) != 0) {
            return false;
        }
        at += literal;
        if (*brace == '\0') {
            return at == end;
        }
        slash = memchr(at, '/', (size_t)(end - at));
        slash = slash != NULL ? slash : end;
        if (slash == at) {
            return false;
        }
        parameters[count++] = (whale_slice){at, (size_t)(slash - at)};
        at = slash;
        pattern = strchr(brace, '}') + 1;
    }
}

enum whale_route whale_route_match(bool operators, enum whale_method method, const char *path,
                                   size_t length, whale_slice parameters[], unsigned *allowed)
{
    *allowed = 0;
    for (int i = 0; i < WHALE_ROUTE_NONE; i++) {
        const whale_route_entry *route = &whale_routes[i];

        if ((route->access == WHALE_OPERATOR) != operators || route->access == WHALE_TELEGRAM ||
            !route_fits(route->path, path, length, parameters)) {
            continue;
        }
        if (route->method == method) {
            return (enum whale_route)i;
        }
        *allowed |= route->method;
    }
    return WHALE_ROUTE_NONE;
}

void whale_route_allow(unsigned allowed, char text[40])
{
    static const struct {
        unsigned method;
        const char *name;
    } names[] = {{WHALE_GET, "GET, HEAD"},
                 {WHALE_POST, "POST"},
                 {WHALE_PATCH, "PATCH"},
                 {WHALE_DELETE, "DELETE"}};
    size_t length = 0;

    text[0] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((allowed & names[i].method) != 0) {
            length += (size_t)snprintf(text + length, 40 - length, "%s%s", length > 0 ? ", " : "",
                                       names[i].name);
        }
    }
}

bool whale_route_id(const whale_slice *text, int64_t *id)
{
    int64_t value = 0;

    if (text->length == 0 || text->length > 18 || text->text[0] == '0') {
        return false;
    }
    for (size_t i = 0; i < text->length; i++) {
        if (!isdigit((unsigned char)text->text[i])) {
            return false;
        }
        value = value * 10 + (text->text[i] - '0');
    }
    *id = value;
    return true;
}
