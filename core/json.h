/*
 * JSON without allocation: a bounded writer, and reading by path over jsmn tokens.
 *
 * The writer never writes past its buffer: when the text does not fit it stops, and `json_finish`
 * says so. Decimals and ids go out as strings (docs/ARCHITECTURE.md, the contract). The reader
 * never modifies the text and holds only token indexes; every accessor is safe on -1, so lookups
 * chain without checks.
 */
#ifndef WHALE_CORE_JSON_H
#define WHALE_CORE_JSON_H

#include "core/dec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSMN_HEADER
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>

#define JSON_DEPTH_MAX 32

typedef struct {
    char *buffer;
    size_t capacity;
    size_t length;
    uint32_t needs_comma; /* bit per depth */
    uint8_t depth;
    uint32_t objects; /* bit per depth: an object, not an array */
    bool after_key;
    bool failed; /* overflow, or begin/end that do not match */
} json_writer;

void json_begin(json_writer *writer, char *buffer, size_t capacity);
void json_object(json_writer *writer);
void json_object_end(json_writer *writer);
void json_array(json_writer *writer);
void json_array_end(json_writer *writer);
void json_key(json_writer *writer, const char *key);
/* Escapes what JSON wants escaped; bad UTF-8 becomes U+FFFD. */
void json_text(json_writer *writer, const char *text, size_t length);
void json_string(json_writer *writer, const char *text); /* NULL -> null */
void json_dec(json_writer *writer, dec value);           /* "1.5" */
void json_id(json_writer *writer, int64_t id);           /* "42" */
void json_int(json_writer *writer, int64_t value);
void json_bool(json_writer *writer, bool value);
void json_null(json_writer *writer);
void json_time(json_writer *writer, int64_t time_ns); /* RFC 3339 UTC, microseconds; 0 -> null */
void json_raw(json_writer *writer, const char *text, size_t length); /* a value already encoded */
/* True where the whole, well-nested text fits; it is then NUL-terminated if there is room. */
bool json_finish(json_writer *writer);

typedef struct {
    const char *text;
    jsmntok_t *tokens;
    int count;
} json_doc;

enum json_status { JSON_OK, JSON_SYNTAX, JSON_TOO_LARGE };

/*
 * Strict RFC 8259 text into the caller's tokens. JSON_TOO_LARGE: more tokens than capacity, or
 * deeper than JSON_DEPTH_MAX. Nothing but white space may follow the value; text that is not UTF-8
 * is refused. The text must outlive the document. Of equal keys the first counts.
 */
enum json_status json_parse(json_doc *doc, const char *text, size_t length, jsmntok_t *tokens,
                            int capacity);

/* Token at "a.b[3].c" below `node` (0 is the root), or -1. Keys are compared as they stand in the
 * text, escapes and all. */
int json_at(const json_doc *doc, int node, const char *path);
/* Members of an array or object; 0 for anything else. */
int json_size(const json_doc *doc, int node);
/* Iteration: `for (int it = json_first(d, n); it >= 0; it = json_next(d, it))`. For an object `it`
 * is the key's token and it + 1 its value. */
int json_first(const json_doc *doc, int node);
int json_next(const json_doc *doc, int item);

bool json_is_object(const json_doc *doc, int node);
bool json_is_array(const json_doc *doc, int node);
bool json_is_string(const json_doc *doc, int node);
bool json_is_null(const json_doc *doc, int node);
/* The token's own bytes (a string without its quotes, escapes as written). False on -1. */
bool json_slice(const json_doc *doc, int node, const char **text, size_t *length);
/* A string, unescaped to UTF-8 and NUL-terminated. False: not a string, longer than capacity - 1,
 * or with a \u0000, which no C string can hold. Half a surrogate pair becomes U+FFFD. */
bool json_copy(const json_doc *doc, int node, char *out, size_t capacity);
bool json_equals(const json_doc *doc, int node, const char *text);
/* Numbers, written bare or as a string. */
bool json_get_dec(const json_doc *doc, int node, dec *out);         /* exact */
bool json_get_dec_rounded(const json_doc *doc, int node, dec *out); /* half-even at 12 places */
bool json_get_int(const json_doc *doc, int node, int64_t *out);
bool json_get_bool(const json_doc *doc, int node, bool *out); /* true/false, also as a string */

#endif
