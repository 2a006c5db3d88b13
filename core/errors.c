/*
 * Lookups in the one list of error codes. Promises: every value, also one out of range, has an
 * answer; what is out of range reads as an internal error.
 */
#include "core/errors.h"

#include <stddef.h>
#include <string.h>

typedef struct {
    const char *code;
    const char *sentence;
    int http_status;
} error_entry;

static const error_entry error_entries[] = {
#define WHALE_ERROR_ENTRY(name, code, status, sentence) {code, sentence, status},
    WHALE_ERRORS(WHALE_ERROR_ENTRY)
#undef WHALE_ERROR_ENTRY
};

static const error_entry *error_find(enum whale_error error)
{
    size_t index = (size_t)error;

    return &error_entries[index < ERROR_COUNT ? index : ERROR_INTERNAL];
}

const char *error_code(enum whale_error error)
{
    return error_find(error)->code;
}

const char *error_sentence(enum whale_error error)
{
    return error_find(error)->sentence;
}

int error_http_status(enum whale_error error)
{
    return error_find(error)->http_status;
}

enum whale_error error_by_code(const char *code)
{
    for (size_t i = 0; code != NULL && i < ERROR_COUNT; i++) {
        if (strcmp(error_entries[i].code, code) == 0) {
            return (enum whale_error)i;
        }
    }
    return ERROR_COUNT;
}
