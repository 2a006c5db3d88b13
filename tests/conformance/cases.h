/*
 * Running recorded cases against a venue adapter: what is the same for every venue. A case file is
 * a JSON array of objects; a part of a case is handed out as it is written in the file, so that a
 * number of 17 digits or 13 places reaches the adapter as the exchange sent it.
 *
 * Included by the programs that run cases; each venue adds <venue>_cases.h, which knows what a path
 * and a client's call mean there.
 */
#ifndef WHALE_TESTS_CASES_H
#define WHALE_TESTS_CASES_H

#include "core/json.h"
#include "venues/venue.h"
#include "venues/venue_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CASES_TOKENS 4096

typedef struct {
    const char *text;
    size_t length;
} cases_slice;

typedef struct {
    int run, skipped, failed;
} cases_count;

/* The whole file, NUL-terminated; NULL where it cannot be read. The caller frees it. */
static inline char *cases_load(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    long size;

    *length = 0;
    if (file == NULL) {
        return NULL;
    }
    if (fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0 &&
        fseek(file, 0, SEEK_SET) == 0 && (text = malloc((size_t)size + 1)) != NULL) {
        *length = fread(text, 1, (size_t)size, file);
        text[*length] = '\0';
    }
    fclose(file);
    return text;
}

/* A part of a case, as written. */
static inline bool cases_part(cases_slice whole, const char *path, cases_slice *part)
{
    return venue_scan_member(whole.text, whole.length, path, &part->text, &part->length);
}

static inline bool cases_parse(cases_slice slice, json_doc *doc, jsmntok_t *tokens)
{
    return json_parse(doc, slice.text, slice.length, tokens, CASES_TOKENS) == JSON_OK;
}

/* A string member unescaped, or a bare value as written; "" where there is none. */
static inline const char *cases_text(cases_slice whole, const char *path, char *out,
                                     size_t capacity)
{
    jsmntok_t token;
    json_doc doc;
    cases_slice part;

    out[0] = '\0';
    if (!cases_part(whole, path, &part) ||
        json_parse(&doc, part.text, part.length, &token, 1) != JSON_OK || json_is_null(&doc, 0)) {
        return out;
    }
    if (!json_copy(&doc, 0, out, capacity)) {
        snprintf(out, capacity, "%.*s", (int)part.length, part.text);
    }
    return out;
}

/* Calls `each` for every case of a file; what it returns is counted. False: no such file. */
enum cases_outcome { CASES_PASSED, CASES_SKIPPED, CASES_FAILED };
typedef enum cases_outcome (*cases_function)(cases_slice one, void *context);

static inline bool cases_run(const char *path, cases_function each, void *context,
                             cases_count *count)
{
    char description[200];
    venue_scan scan;
    cases_slice one;
    size_t length;
    char *text = cases_load(path, &length);

    if (text == NULL || !venue_scan_document(text, length) ||
        !venue_scan_open(&scan, text, length, "")) {
        fprintf(stderr, "%s: cannot be read\n", path);
        free(text);
        return false;
    }
    while (venue_scan_next(&scan, &one.text, &one.length)) {
        switch (each(one, context)) {
        case CASES_PASSED:
            count->run++;
            break;
        case CASES_SKIPPED:
            count->skipped++;
            break;
        default:
            count->run++;
            count->failed++;
            fprintf(stderr, "FAILED: %s\n",
                    cases_text(one, "description", description, sizeof(description)));
        }
    }
    free(text);
    return true;
}

static inline void cases_report(const char *what, const cases_count *count)
{
    printf("%s: %d run, %d failed, %d not for this adapter\n", what, count->run, count->failed,
           count->skipped);
}

/* ---- parameters: name=value&… ---------------------------------------------------------------- */

/* The value of a name, percent-encoded as it stands; "" where there is none. */
static inline const char *cases_param(const char *params, const char *name, char *out,
                                      size_t capacity)
{
    size_t name_length = strlen(name);

    out[0] = '\0';
    while (*params != '\0') {
        size_t pair = strcspn(params, "&");

        if (pair > name_length && params[name_length] == '=' &&
            strncmp(params, name, name_length) == 0) {
            snprintf(out, capacity, "%.*s", (int)(pair - name_length - 1),
                     params + name_length + 1);
            return out;
        }
        params += pair + (params[pair] == '&');
    }
    return out;
}

/* True where every parameter of `a`, but for those ignored (" name name "), stands in `b` as well.
 */
static inline bool cases_params_within(const char *a, const char *b, const char *ignored)
{
    char name[64], wanted[80], mine[512], theirs[512];

    while (*a != '\0') {
        size_t pair = strcspn(a, "&");

        snprintf(name, sizeof(name), "%.*s", (int)strcspn(a, "=&"), a);
        snprintf(wanted, sizeof(wanted), " %s ", name);
        if (strstr(ignored, wanted) == NULL) {
            cases_param(a, name, mine, sizeof(mine));
            cases_param(b, name, theirs, sizeof(theirs));
            if (strcmp(mine, theirs) != 0) {
                fprintf(stderr, "  %s: '%s' here, '%s' there\n", name, mine, theirs);
                return false;
            }
        }
        a += pair + (a[pair] == '&');
    }
    return true;
}

static inline bool cases_params_equal(const char *a, const char *b, const char *ignored)
{
    return cases_params_within(a, b, ignored) && cases_params_within(b, a, ignored);
}

#endif
