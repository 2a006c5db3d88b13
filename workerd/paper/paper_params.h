/*
 * Parameters of a Binance request, from the query and the form body, and what its signature covers.
 *
 * Promises: no allocation; values are decoded into the set's own memory and NUL-terminated; of a
 * name in both places the query's counts; a name twice in one place is remembered as an error.
 */
#ifndef WHALE_PAPER_PARAMS_H
#define WHALE_PAPER_PARAMS_H

#include "core/dec.h"
#include "workerd/paper/paper_refusal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAPER_PARAMS_MAX 32
#define PAPER_PARAMS_TEXT 8192 /* query and body together, decoded or signed */
#define PAPER_PARAM_NAME_MAX 40

typedef struct {
    const char *name, *value;
    bool in_query;
} paper_param;

typedef struct {
    paper_param list[PAPER_PARAMS_MAX];
    unsigned count;
    bool too_many;
    const char *twice; /* a name that one place has twice, or NULL */
    const char *signature;
    size_t used, signed_length;
    char text[PAPER_PARAMS_TEXT];
    char signed_text[PAPER_PARAMS_TEXT]; /* query and body without `&signature=…` at their end */
} paper_params;

/* False: too long, or not text. */
bool paper_params_read(paper_params *params, const char *query, size_t query_length,
                       const char *body, size_t body_length);
const char *paper_param_text(const paper_params *params, const char *name); /* NULL: absent */

/*
 * Reading with Binance's complaints: an empty or malformed one is -1102. `*given` (may be NULL)
 * says whether it is there; with NULL it is mandatory.
 */
bool paper_param_int(const paper_params *params, const char *name, int64_t *out, bool *given,
                     paper_refusal *refusal);
bool paper_param_dec(const paper_params *params, const char *name, dec *out, bool *given,
                     paper_refusal *refusal);
bool paper_param_bool(const paper_params *params, const char *name, bool *out, bool *given,
                      paper_refusal *refusal);
/* One of the words; -1 in *out where it is absent and `given` allows that. `code` for another word.
 */
bool paper_param_word(const paper_params *params, const char *name, const char *const *words,
                      int count, int code, int *out, bool *given, paper_refusal *refusal);

#endif
