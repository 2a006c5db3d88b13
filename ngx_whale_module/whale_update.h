/*
 * Updates of the Telegram bot: what of them concerns us.
 *
 * Only messages from people that start with a command do; everything else that is well-formed is
 * acknowledged and left. Fields that we do not know are skipped, as Telegram adds some every month.
 */
#ifndef WHALE_UPDATE_H
#define WHALE_UPDATE_H

#include "core/json.h"

/* A text of 4096 characters with a hundred entities, and a reply to another such. */
#define WHALE_UPDATE_TOKENS_MAX 4096

enum whale_update_kind {
    WHALE_UPDATE_MALFORMED, /* not JSON, or without an id */
    WHALE_UPDATE_OTHER,     /* nothing for us */
    WHALE_UPDATE_COMMAND,
};

enum whale_command {
    WHALE_COMMAND_START,
    WHALE_COMMAND_WHALES,
    WHALE_COMMAND_FOLLOW,
    WHALE_COMMAND_POSITIONS,
    WHALE_COMMAND_HELP, /* any other */
};

typedef struct {
    int64_t update_id;
    int64_t chat_id;
    bool is_private; /* the chat is between the user and the bot alone */
    int64_t user_id;
    const char *user; /* Telegram's User object, in the caller's text */
    size_t user_length;
    enum whale_command command;
    char argument[128]; /* what follows the command, one blank between words; empty where too long */
} whale_update;

/* `tokens` has room for WHALE_UPDATE_TOKENS_MAX. */
enum whale_update_kind whale_update_parse(const char *text, size_t length, jsmntok_t *tokens,
                                          whale_update *out);

/* The arguments of /follow: an id, and perhaps an amount. False: not that. */
bool whale_update_follow(const char *argument, int64_t *whale_id, char amount[DEC_TEXT_MAX]);

#endif
