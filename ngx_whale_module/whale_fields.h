/*
 * What a client sends, checked field by field: members of a JSON body, or arguments of a query.
 *
 * One table a request says which fields there are; whatever it does not name is refused by name, so
 * that a misspelt field is an error and not a default. Values come out as text, ready to be a
 * statement's parameter.
 */
#ifndef WHALE_FIELDS_H
#define WHALE_FIELDS_H

#include "core/errors.h"
#include "core/json.h"

#define WHALE_FIELDS_MAX 20
#define WHALE_FIELD_MESSAGE_MAX 200
#define WHALE_BODY_TOKENS_MAX 128

enum whale_field_kind {
    WHALE_FIELD_TEXT,    /* least..most bytes, no control characters */
    WHALE_FIELD_WORD,    /* one of `words` ("a|b|c") */
    WHALE_FIELD_INTEGER, /* least..most */
    WHALE_FIELD_DECIMAL, /* above 0, at most `most` (0: no limit) */
    WHALE_FIELD_BOOLEAN,
    WHALE_FIELD_TIME, /* RFC 3339 */
    WHALE_FIELD_SECRET, /* as TEXT, but new lines may stand in it; never repeated in an error */
};

typedef struct {
    const char *name;
    enum whale_field_kind kind;
    const char *words;
    int64_t least, most;
    bool required, nullable;
} whale_field;

typedef struct {
    bool given;       /* the field was there, perhaps as null */
    const char *text; /* NUL-terminated in the arena; NULL for null or absent */
    size_t length;
} whale_value;

typedef struct {
    whale_value values[WHALE_FIELDS_MAX]; /* as in the table */
    char *arena;
    size_t room;
    char message[WHALE_FIELD_MESSAGE_MAX]; /* of an error */
} whale_values;

/* ERROR_NONE, or BAD_JSON or BAD_FIELD with a message. An empty body is {}. */
enum whale_error whale_fields_body(const whale_field *fields, size_t count, const char *text,
                                   size_t length, char *arena, size_t room, whale_values *out);
/* The part of a URL behind '?'. BAD_FIELD with a message. */
enum whale_error whale_fields_query(const whale_field *fields, size_t count, const char *text,
                                    size_t length, char *arena, size_t room, whale_values *out);

#endif
