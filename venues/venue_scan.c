/*
 * Walking long answers: see venue_scan.h. The document was checked before, so the walk only has to
 * keep strings and brackets apart; it is safe on any text all the same, and then says "none".
 */
#include "venues/venue_scan.h"

#include "core/json.h"

#include <string.h>

bool venue_scan_document(const char *text, size_t length)
{
    jsmntok_t token;
    json_doc doc;

    /* One token: the grammar is checked before any is made, so "too large" means "valid, and
     * longer". */
    return json_parse(&doc, text, length, &token, 1) != JSON_SYNTAX;
}

static const char *venue_scan_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) {
        at++;
    }
    return at;
}

/* Behind the closing quote of the string that begins here, or NULL. */
static const char *venue_scan_string(const char *at, const char *end)
{
    for (at++; at < end; at++) {
        if (*at == '"') {
            return at + 1;
        }
        if (*at == '\\') {
            at++;
        }
    }
    return NULL;
}

/* Behind the value that begins here, or NULL. */
static const char *venue_scan_value(const char *at, const char *end)
{
    size_t depth = 0;

    while (at < end) {
        if (*at == '"') {
            at = venue_scan_string(at, end);
            if (at == NULL) {
                return NULL;
            }
        } else if (*at == '{' || *at == '[') {
            depth++;
            at++;
            continue;
        } else if (*at == '}' || *at == ']') {
            if (depth == 0) {
                return at; /* the container that this scalar stands in ends */
            }
            depth--;
            at++;
        } else if (depth > 0) {
            at++;
            continue;
        } else {
            while (at < end && strchr(",]} \t\r\n", *at) == NULL) {
                at++;
            }
        }
        if (depth == 0) {
            return at;
        }
    }
    return NULL;
}

/* The value of one key of the object that begins at `at`; returns where it begins, or NULL. */
static const char *venue_scan_key(const char *at, const char *end, const char *key, size_t length)
{
    if (at == end || *at != '{') {
        return NULL;
    }
    for (at = venue_scan_space(at + 1, end); at < end && *at == '"';) {
        const char *name = at + 1;
        const char *after = venue_scan_string(at, end);
        bool found;

        if (after == NULL) {
            return NULL;
        }
        found = (size_t)(after - 1 - name) == length && memcmp(name, key, length) == 0;
        at = venue_scan_space(after, end);
        if (at == end || *at != ':') {
            return NULL;
        }
        at = venue_scan_space(at + 1, end);
        if (found) {
            return at;
        }
        at = venue_scan_value(at, end);
        if (at == NULL) {
            return NULL;
        }
        at = venue_scan_space(at, end);
        if (at == end || *at != ',') {
            return NULL;
        }
        at = venue_scan_space(at + 1, end);
    }
    return NULL;
}

bool venue_scan_member(const char *text, size_t length, const char *path, const char **value,
                       size_t *value_length)
{
    const char *end = text + length;
    const char *at = venue_scan_space(text, end);
    const char *after;

    while (*path != '\0') {
        size_t key_length = strcspn(path, ".");

        at = venue_scan_key(at, end, path, key_length);
        if (at == NULL) {
            return false;
        }
        path += key_length;
        if (*path == '.') {
            path++;
        }
    }
    after = venue_scan_value(at, end);
    if (after == NULL || after == at) {
        return false;
    }
    *value = at;
    *value_length = (size_t)(after - at);
    return true;
}

bool venue_scan_open(venue_scan *scan, const char *text, size_t length, const char *path)
{
    const char *array;
    size_t array_length;

    if (!venue_scan_member(text, length, path, &array, &array_length) || *array != '[') {
        return false;
    }
    *scan = (venue_scan){.at = array + 1, .end = array + array_length - 1};
    return true;
}

bool venue_scan_next(venue_scan *scan, const char **element, size_t *element_length)
{
    const char *at = venue_scan_space(scan->at, scan->end);
    const char *after;

    if (scan->started && at < scan->end && *at == ',') {
        at = venue_scan_space(at + 1, scan->end);
    }
    if (at == scan->end) {
        scan->at = at;
        return false;
    }
    after = venue_scan_value(at, scan->end);
    if (after == NULL || after == at) {
        scan->at = scan->end; /* unchecked text */
        return false;
    }
    *element = at;
    *element_length = (size_t)(after - at);
    scan->at = after;
    scan->started = true;
    return true;
}
