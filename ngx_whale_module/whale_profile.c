/*
 * Reads Telegram's User object. Fields that we do not know are skipped; a name that is too long is
 * cut between characters, since nobody should be locked out by a name.
 */
#include "whale_profile.h"

#include <string.h>

#define PROFILE_TOKENS_MAX 64
#define PROFILE_TEXT_MAX 1024

/*
 * Telegram always writes {"id":123,… first. This reads that without a parser; the text was signed by
 * Telegram, or is parsed in full for other reasons.
 */
static bool profile_id_first(const char *text, size_t length, int64_t *id)
{
    static const char head[] = "{\"id\":";
    const size_t skip = sizeof(head) - 1;
    int64_t value = 0;
    size_t i;

    if (length <= skip || memcmp(text, head, skip) != 0) {
        return false;
    }
    for (i = skip; i < length && i < skip + 18 && text[i] >= '0' && text[i] <= '9'; i++) {
        value = value * 10 + (text[i] - '0');
    }
    if (i == skip || i == length || text[skip] == '0' || (text[i] != ',' && text[i] != '}')) {
        return false;
    }
    *id = value;
    return true;
}

bool whale_profile_id(const char *text, size_t length, int64_t *id)
{
    whale_profile profile;

    if (profile_id_first(text, length, id)) {
        return true;
    }
    if (!whale_profile_parse(text, length, &profile)) {
        return false;
    }
    *id = profile.id;
    return true;
}

/* An absent or unreadable text is an empty one; a long one is cut. */
static void profile_text(const json_doc *doc, int node, const char *key, char *out, size_t capacity)
{
    char text[PROFILE_TEXT_MAX];
    size_t length;

    out[0] = '\0';
    if (!json_copy(doc, json_at(doc, node, key), text, sizeof(text))) {
        return;
    }
    length = strlen(text);
    if (length >= capacity) {
        length = capacity - 1;
        while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80) {
            length--; /* not inside a character */
        }
    }
    memcpy(out, text, length);
    out[length] = '\0';
}

bool whale_profile_read(const json_doc *doc, int node, whale_profile *out)
{
    if (!json_is_object(doc, node) || json_is_string(doc, json_at(doc, node, "id")) ||
        !json_get_int(doc, json_at(doc, node, "id"), &out->id) || out->id <= 0) {
        return false;
    }
    profile_text(doc, node, "username", out->username, sizeof(out->username));
    profile_text(doc, node, "first_name", out->first_name, sizeof(out->first_name));
    profile_text(doc, node, "language_code", out->language, sizeof(out->language));
    return true;
}

bool whale_profile_parse(const char *text, size_t length, whale_profile *out)
{
    jsmntok_t tokens[PROFILE_TOKENS_MAX];
    json_doc doc;

    return json_parse(&doc, text, length, tokens, PROFILE_TOKENS_MAX) == JSON_OK &&
           whale_profile_read(&doc, 0, out);
}
