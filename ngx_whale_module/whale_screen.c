/* The bot's screens; see whale_screen.h. Positions and whales are in whale_screen_lists.c. */
#include "whale_put.h"
#include "whale_screen.h"

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

/* What one byte becomes; NULL where it stays. */
static const char *screen_replacement(unsigned char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\\':
        return "\\\\";
    default:
        return c < ' ' || c == 0x7F ? " " : NULL;
    }
}

/* Bytes of a character of UTF-8 that starts here; 0 where it is none. Surrogates may pass. */
static size_t screen_character(const unsigned char *at, size_t left)
{
    const size_t length = *at < 0x80                   ? 1
                          : *at >= 0xC2 && *at <= 0xDF ? 2
                          : *at >= 0xE0 && *at <= 0xEF ? 3
                          : *at >= 0xF0 && *at <= 0xF4 ? 4
                                                       : 0;

    if (length == 0 || length > left) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return length;
}

void whale_screen_escape(whale_screen *screen, const char *text, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t plain = 0, i = 0;

    while (i < length) {
        const size_t character = screen_character(bytes + i, length - i);
        const char *instead = character == 0 ? "?" : screen_replacement(bytes[i]);

        if (instead != NULL) {
            whale_screen_bytes(screen, text + plain, i - plain);
            whale_screen_put(screen, instead);
            plain = i + 1;
        }
        i += character > 0 ? character : 1;
    }
    whale_screen_bytes(screen, text + plain, length - plain);
}

void whale_screen_dec(whale_screen *screen, dec value)
{
    char text[WHALE_PUT_DEC_MAX];
    char *end = whale_put_short(text, value);

    if (end == NULL) {
        end = text + dec_format(value, text);
    }
    whale_screen_bytes(screen, text, (size_t)(end - text));
}

size_t whale_screen_body(const whale_screen *screen, int64_t chat_id, char *out, size_t capacity)
{
    char *const start = out;

    if (screen->length == 0 || capacity < screen->length + WHALE_SCREEN_BODY_MAX -
                                              WHALE_SCREEN_TEXT_MAX) {
        return 0;
    }
    out = whale_put(out, "{\"method\":\"sendMessage\",\"chat_id\":");
    if (chat_id < 0) {
        *out++ = '-';
    }
    out = whale_put_number(out, chat_id < 0 ? -(uint64_t)chat_id : (uint64_t)chat_id);
    out = whale_put(out, ",\"parse_mode\":\"HTML\",\"link_preview_options\":"
                         "{\"is_disabled\":true},\"text\":\"");
    out = whale_put_bytes(out, screen->text, screen->length);
    out = whale_put(out, "\"}");
    return (size_t)(out - start);
}

static void screen_commands(whale_screen *screen)
{
    whale_screen_put(screen, "/whales – the traders to follow\\n"
                             "/follow <i>number</i> <i>[USDT]</i> – copy one of them\\n"
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
    whale_screen_put(screen, ".\\n\\n");
    if (created) {
        whale_screen_put(screen, "Whale copies the trades of the traders that you choose into your "
                                 "own exchange account. Connect an account in the app, then:\\n");
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
                             "each copy:\\n<code>/follow 7 100</code>\\n/whales shows the numbers.");
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
