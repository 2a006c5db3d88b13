/* The bot's screens; see whale_screen.h. Positions and whales are in whale_screen_lists.c. */
#include "whale_screen.h"

#include "core/json.h"

#include <string.h>

void whale_screen_begin(whale_screen *screen)
{
    screen->length = 0;
    screen->cut = false;
}

void whale_screen_bytes(whale_screen *screen, const char *text, size_t length)
{
    if (sizeof(screen->text) - screen->length < length) {
        screen->cut = true;
        return;
    }
    memcpy(screen->text + screen->length, text, length);
    screen->length += length;
}

void whale_screen_escape(whale_screen *screen, const char *text, size_t length)
{
    size_t plain = 0;

    for (size_t i = 0; i < length; i++) {
        if (text[i] > '>' || (text[i] >= '\'' && text[i] < '<')) {
            continue; /* most of them; bytes of UTF-8 go on, and match nothing */
        }

        const char *entity = text[i] == '&'   ? "&amp;"
                             : text[i] == '<' ? "&lt;"
                             : text[i] == '>' ? "&gt;"
                             : text[i] == '"' ? "&quot;"
                                              : NULL;

        if (entity != NULL) {
            whale_screen_bytes(screen, text + plain, i - plain);
            whale_screen_put(screen, entity);
            plain = i + 1;
        }
    }
    whale_screen_bytes(screen, text + plain, length - plain);
}

void whale_screen_dec(whale_screen *screen, dec value)
{
    char text[DEC_TEXT_MAX];

    whale_screen_bytes(screen, text, dec_format(value, text));
}

size_t whale_screen_body(const whale_screen *screen, int64_t chat_id, char *out, size_t capacity)
{
    json_writer writer;

    json_begin(&writer, out, capacity);
    json_object(&writer);
    json_key(&writer, "method");
    json_string(&writer, "sendMessage");
    json_key(&writer, "chat_id");
    json_int(&writer, chat_id);
    json_key(&writer, "parse_mode");
    json_string(&writer, "HTML");
    json_key(&writer, "link_preview_options");
    json_object(&writer);
    json_key(&writer, "is_disabled");
    json_bool(&writer, true);
    json_object_end(&writer);
    json_key(&writer, "text");
    json_text(&writer, screen->text, screen->length);
    json_object_end(&writer);
    return json_finish(&writer) && screen->length > 0 ? writer.length : 0;
}

static void screen_commands(whale_screen *screen)
{
    whale_screen_put(screen, "/whales – the traders to follow\n"
                             "/follow <i>number</i> <i>[USDT]</i> – copy one of them\n"
                             "/positions – what is open, with profit and loss");
}

void whale_screen_start(whale_screen *screen, const char *first_name, bool created)
{
    whale_screen_begin(screen);
    whale_screen_put(screen, created ? "Welcome" : "Welcome back");
    if (first_name[0] != '\0') {
        whale_screen_put(screen, ", ");
        whale_screen_escape(screen, first_name, strlen(first_name));
    }
    whale_screen_put(screen, ".\n\n");
    if (created) {
        whale_screen_put(screen, "Whale copies the trades of the traders that you choose into your "
                                 "own exchange account. Connect an account in the app, then:\n");
    }
    screen_commands(screen);
}

void whale_screen_help(whale_screen *screen)
{
    whale_screen_begin(screen);
    screen_commands(screen);
}

void whale_screen_private(whale_screen *screen)
{
    whale_screen_begin(screen);
    whale_screen_put(screen, "That is between us: write to me in a private chat.");
}

void whale_screen_unknown_user(whale_screen *screen)
{
    whale_screen_begin(screen);
    whale_screen_put(screen, "We have not met. Send /start first.");
}

void whale_screen_follow_usage(whale_screen *screen)
{
    whale_screen_begin(screen);
    whale_screen_put(screen, "Send the number of a whale, and, if you like, the USDT to put into "
                             "each copy:\n<code>/follow 7 100</code>\n/whales shows the numbers.");
}

void whale_screen_followed(whale_screen *screen, int64_t whale_id, const char *name,
                           const char *amount)
{
    whale_screen_begin(screen);
    whale_screen_put(screen, "You follow <b>");
    if (name[0] != '\0') {
        whale_screen_escape(screen, name, strlen(name));
    } else {
        whale_screen_put(screen, "whale ");
        whale_screen_dec(screen, dec_from_int(whale_id));
    }
    whale_screen_put(screen, "</b>. ");
    if (amount[0] != '\0') {
        whale_screen_escape(screen, amount, strlen(amount));
        whale_screen_put(screen, " USDT go into each copy.");
    } else {
        whale_screen_put(screen, "Each copy takes the size of your settings.");
    }
}
