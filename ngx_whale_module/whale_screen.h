/*
 * The bot's screens: texts in Telegram's HTML, and the method call that a webhook's answer carries.
 *
 * A text is at most 4096 UTF-16 units for Telegram; lists stop well before and say how much is left
 * out. Whatever comes from outside (names, symbols) is escaped. The text is kept as it stands between
 * JSON's quotes, so that a screen is written once: literals say "\\n" for a new line.
 */
#ifndef WHALE_SCREEN_H
#define WHALE_SCREEN_H

#include "shm/shm.h"

#include <string.h>

#define WHALE_SCREEN_TEXT_MAX 8192
#define WHALE_SCREEN_LIST_STOP 3000 /* bytes after which a list adds no line */
#define WHALE_SCREEN_BODY_MAX (WHALE_SCREEN_TEXT_MAX + 256)

typedef struct {
    char text[WHALE_SCREEN_TEXT_MAX];
    size_t length;
    bool cut; /* something did not fit */
} whale_screen;

void whale_screen_begin(whale_screen *screen);
void whale_screen_bytes(whale_screen *screen, const char *html, size_t length);
static inline void whale_screen_put(whale_screen *screen, const char *html)
{
    whale_screen_bytes(screen, html, strlen(html)); /* of a literal, the compiler's to know */
}
/* For HTML and for JSON. Control characters become blanks, what is not UTF-8 becomes '?'. */
void whale_screen_escape(whale_screen *screen, const char *text, size_t length);
void whale_screen_dec(whale_screen *screen, dec value);

/* {"method":"sendMessage",…}; the length, or 0 where it does not fit. */
size_t whale_screen_body(const whale_screen *screen, int64_t chat_id, char *out, size_t capacity);

void whale_screen_start(whale_screen *screen, const char *first_name, bool created);
void whale_screen_help(whale_screen *screen);
void whale_screen_private(whale_screen *screen);   /* not in a group */
void whale_screen_unknown_user(whale_screen *screen);
void whale_screen_follow_usage(whale_screen *screen);
/* `amount` empty: the user's own default size. */
void whale_screen_followed(whale_screen *screen, int64_t whale_id, const char *name,
                           const char *amount);

/* Of `total` positions the first `count` are at hand. `now_ns` and `stale_ns` as in whale_position_put;
 * prices by slot, with absent ones NULL. */
typedef const shm_price *whale_screen_price(void *owner, uint32_t slot);
void whale_screen_positions(whale_screen *screen, const shm_position *positions, size_t count,
                            size_t total, whale_screen_price *price, void *owner, int64_t now_ns,
                            int64_t stale_ns);

/* A line a whale, from rank 1. NULL or empty texts are left out. */
void whale_screen_whales_begin(whale_screen *screen);
void whale_screen_whale(whale_screen *screen, int64_t id, const char *name, const char *venue,
                        const char *rank, const char *score, const char *roi_30d);
void whale_screen_whales_end(whale_screen *screen, size_t shown);
/* The same from the ranking page of the segment, a JSON array; how many whales it showed. */
size_t whale_screen_whales_page(whale_screen *screen, const char *page, size_t length, size_t most);

#endif
