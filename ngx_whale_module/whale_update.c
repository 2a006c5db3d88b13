/* Updates of the bot; see whale_update.h. */
#include "whale_update.h"
#include "whale_profile.h"

#include <string.h>

#define UPDATE_TEXT_MAX 512 /* of a message that can be a command of ours, in bytes */

static enum whale_command update_command(const char *name, size_t length)
{
    static const struct {
        const char *name;
        enum whale_command command;
    } commands[] = {{"start", WHALE_COMMAND_START},
                    {"whales", WHALE_COMMAND_WHALES},
                    {"follow", WHALE_COMMAND_FOLLOW},
                    {"positions", WHALE_COMMAND_POSITIONS}};

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strlen(commands[i].name) == length && memcmp(commands[i].name, name, length) == 0) {
            return commands[i].command;
        }
    }
    return WHALE_COMMAND_HELP;
}

static bool update_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void update_argument(const char *text, char *out, size_t capacity)
{
    size_t length = 0;

    while (*text != '\0') {
        if (update_is_blank(*text)) {
            text++;
            continue;
        }
        if (length > 0 && length < capacity) {
            out[length++] = ' ';
        }
        while (*text != '\0' && !update_is_blank(*text)) {
            if (length < capacity) {
                out[length++] = *text;
            }
            text++;
        }
    }
    out[length < capacity ? length : 0] = '\0';
}

/* "/follow@WhaleBot 7 100": the name ends at a blank or at the bot's, which is ours or not sent. */
static void update_text(const char *text, whale_update *out)
{
    const size_t name = strcspn(text + 1, "@ \t\r\n");
    const char *rest = text + 1 + name;

    out->command = update_command(text + 1, name);
    while (*rest != '\0' && !update_is_blank(*rest)) {
        rest++;
    }
    update_argument(rest, out->argument, sizeof(out->argument));
}

static bool update_from(const json_doc *doc, int from, whale_update *out)
{
    bool is_bot = false;

    json_get_bool(doc, json_at(doc, from, "is_bot"), &is_bot);
    return !is_bot && json_is_object(doc, from) &&
           json_slice(doc, from, &out->user, &out->user_length) &&
           whale_profile_id(out->user, out->user_length, &out->user_id);
}

enum whale_update_kind whale_update_parse(const char *text, size_t length, jsmntok_t *tokens,
                                          whale_update *out)
{
    char words[UPDATE_TEXT_MAX];
    json_doc doc;
    int message, chat, said;
    const enum json_status status =
        json_parse(&doc, text, length, tokens, WHALE_UPDATE_TOKENS_MAX);

    if (status == JSON_TOO_LARGE) {
        return WHALE_UPDATE_OTHER; /* refusing it would only bring it back */
    }
    if (status != JSON_OK || !json_is_object(&doc, 0) ||
        !json_get_int(&doc, json_at(&doc, 0, "update_id"), &out->update_id)) {
        return WHALE_UPDATE_MALFORMED;
    }
    message = json_at(&doc, 0, "message");
    chat = json_at(&doc, message, "chat");
    said = json_at(&doc, message, "text");
    if (!json_get_int(&doc, json_at(&doc, chat, "id"), &out->chat_id) ||
        !update_from(&doc, json_at(&doc, message, "from"), out) ||
        !json_copy(&doc, said, words, sizeof(words)) || words[0] != '/') {
        return WHALE_UPDATE_OTHER;
    }
    out->is_private = json_equals(&doc, json_at(&doc, chat, "type"), "private");
    update_text(words, out);
    return WHALE_UPDATE_COMMAND;
}

bool whale_update_follow(const char *argument, int64_t *whale_id, char amount[DEC_TEXT_MAX])
{
    const size_t digits = strspn(argument, "0123456789");
    const char *rest = argument + digits;
    dec value;

    amount[0] = '\0';
    if (digits == 0 || digits > 18 || argument[0] == '0') {
        return false;
    }
    *whale_id = 0;
    for (size_t i = 0; i < digits; i++) {
        *whale_id = *whale_id * 10 + (argument[i] - '0');
    }
    if (*rest == '\0') {
        return true;
    }
    if (*rest++ != ' ' || !dec_parse(rest, strlen(rest), &value) || dec_sign(value) <= 0 ||
        dec_compare(value, dec_from_int(1000000000)) > 0) {
        return false;
    }
    dec_format(value, amount);
    return true;
}
