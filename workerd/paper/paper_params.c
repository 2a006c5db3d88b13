/*
 * Query and form parameters. See the header for the promises.
 */
#include "workerd/paper/paper_params.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int paper_hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoded and NUL-terminated into the set's memory; NULL where it is malformed. */
static const char *paper_decode(paper_params *params, const char *text, size_t length)
{
    char *out = params->text + params->used;
    size_t written = 0;

    if (length + 1 > sizeof(params->text) - params->used) {
        return NULL;
    }
    for (size_t i = 0; i < length; i++) {
        char c = text[i];

        if (c == '%') {
            int high = length - i > 2 ? paper_hex(text[i + 1]) : -1;
            int low = length - i > 2 ? paper_hex(text[i + 2]) : -1;

            if (high < 0 || low < 0 || (high == 0 && low == 0)) {
                return NULL;
            }
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        } else if (c == '\0') {
            return NULL;
        }
        out[written++] = c;
    }
    out[written] = '\0';
    params->used += written + 1;
    return out;
}

static void paper_param_add(paper_params *params, const char *name, const char *value, bool query)
{
    for (unsigned i = 0; i < params->count; i++) {
        if (strcmp(params->list[i].name, name) == 0) {
            if (params->list[i].in_query == query) {
                params->twice = params->list[i].name;
            }
            return; /* the query came first and wins */
        }
    }
    if (params->count == PAPER_PARAMS_MAX) {
        params->too_many = true;
        return;
    }
    params->list[params->count++] = (paper_param){name, value, query};
}

static bool paper_params_part(paper_params *params, const char *text, size_t length, bool query)
{
    const char *at = text, *end = text + length;

    while (at < end) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        const char *equals, *name, *value;

        stop = stop == NULL ? end : stop;
        equals = memchr(at, '=', (size_t)(stop - at));
        if (stop > at) {
            name = paper_decode(params, at, (size_t)((equals == NULL ? stop : equals) - at));
            value =
                equals == NULL ? "" : paper_decode(params, equals + 1, (size_t)(stop - equals) - 1);
            if (name == NULL || value == NULL) {
                return false;
            }
            paper_param_add(params, name, value, query);
        }
        at = stop + 1;
    }
    return true;
}

/* What the signature covers of one place: all but a `signature=…` at its end. */
static void paper_params_sign(paper_params *params, const char *text, size_t length)
{
    static const char name[] = "signature=";
    size_t at = length;

    while (at > 0 && text[at - 1] != '&') {
        at--;
    }
    if (length - at >= sizeof(name) - 1 && memcmp(text + at, name, sizeof(name) - 1) == 0) {
        length = at > 0 ? at - 1 : 0;
    }
    memcpy(params->signed_text + params->signed_length, text, length);
    params->signed_length += length;
}

bool paper_params_read(paper_params *params, const char *query, size_t query_length,
                       const char *body, size_t body_length)
{
    params->count = 0;
    params->too_many = false;
    params->twice = params->signature = NULL;
    params->used = params->signed_length = 0;
    if (query_length + body_length > PAPER_PARAMS_TEXT) {
        return false;
    }
    paper_params_sign(params, query, query_length);
    paper_params_sign(params, body, body_length);
    if (!paper_params_part(params, query, query_length, true) ||
        !paper_params_part(params, body, body_length, false)) {
        return false;
    }
    params->signature = paper_param_text(params, "signature");
    return true;
}

const char *paper_param_text(const paper_params *params, const char *name)
{
    for (unsigned i = 0; i < params->count; i++) {
        if (strcmp(params->list[i].name, name) == 0) {
            return params->list[i].value;
        }
    }
    return NULL;
}

/* The text, or NULL; *good is false where that is a fault. */
static const char *paper_param_wanted(const paper_params *params, const char *name, bool *given,
                                      bool *good, paper_refusal *refusal)
{
    const char *text = paper_param_text(params, name);

    *good = true;
    if (given != NULL) {
        *given = text != NULL;
    }
    if ((text == NULL && given == NULL) || (text != NULL && text[0] == '\0')) {
        *good = paper_refuse(refusal, -1102, name);
        return NULL;
    }
    return text;
}

bool paper_param_int(const paper_params *params, const char *name, int64_t *out, bool *given,
                     paper_refusal *refusal)
{
    bool good;
    const char *text = paper_param_wanted(params, name, given, &good, refusal);
    char *end = NULL;
    long long value;

    if (text == NULL) {
        return good;
    }
    errno = 0;
    value = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || !((text[0] >= '0' && text[0] <= '9') || text[0] == '-')) {
        return paper_refuse(refusal, -1102, name);
    }
    *out = value;
    return true;
}

bool paper_param_dec(const paper_params *params, const char *name, dec *out, bool *given,
                     paper_refusal *refusal)
{
    bool good;
    const char *text = paper_param_wanted(params, name, given, &good, refusal);

    if (text == NULL) {
        return good;
    }
    /* Binance takes plain decimals only; more than 12 places are too precise for any asset. */
    if (strspn(text, "0123456789.-") != strlen(text)) {
        return paper_refuse(refusal, -1102, name);
    }
    if (!dec_parse(text, strlen(text), out)) {
        dec rounded;

        return paper_refuse(
            refusal,
            dec_parse_rounded(text, strlen(text), DEC_TOWARD_ZERO, &rounded) ? -1111 : -1102, name);
    }
    return true;
}

bool paper_param_bool(const paper_params *params, const char *name, bool *out, bool *given,
                      paper_refusal *refusal)
{
    bool good;
    const char *text = paper_param_wanted(params, name, given, &good, refusal);

    if (text == NULL) {
        return good;
    }
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
        return paper_refuse(refusal, -1102, name);
    }
    *out = text[0] == 't';
    return true;
}

bool paper_param_word(const paper_params *params, const char *name, const char *const *words,
                      int count, int code, int *out, bool *given, paper_refusal *refusal)
{
    bool good;
    const char *text = paper_param_wanted(params, name, given, &good, refusal);

    *out = -1;
    if (text == NULL) {
        return good;
    }
    for (int i = 0; i < count; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i;
            return true;
        }
    }
    return paper_refuse(refusal, code, name);
}
