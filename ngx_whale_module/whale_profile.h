/*
 * Telegram's User object, as it stands in initData and in updates.
 */
#ifndef WHALE_PROFILE_H
#define WHALE_PROFILE_H

#include "core/json.h"

#define WHALE_PROFILE_NAME_MAX 257
#define WHALE_PROFILE_WORD_MAX 65

/* Texts are cut between characters, never refused. */
typedef struct {
    int64_t id;
    char username[WHALE_PROFILE_WORD_MAX]; /* empty: none */
    char first_name[WHALE_PROFILE_NAME_MAX];
    char language[17]; /* empty: not told */
} whale_profile;

/* The id alone, which is all that most requests need. */
bool whale_profile_id(const char *text, size_t length, int64_t *id);
bool whale_profile_parse(const char *text, size_t length, whale_profile *out);
/* The same below a node of a larger document. */
bool whale_profile_read(const json_doc *doc, int node, whale_profile *out);

#endif
