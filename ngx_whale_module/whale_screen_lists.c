/* The bot's lists: open positions and the ranking of whales; see whale_screen.h. */
#include "whale_position.h"
#include "whale_screen.h"

#include "core/json.h"

#include <string.h>

#define SCREEN_PAGE_TOKENS 96
#define SCREEN_NAME_MAX 100

typedef struct {
    const char *text;
    size_t length;
} screen_slice;

enum { SCREEN_SYMBOL, SCREEN_SIDE, SCREEN_QUANTITY, SCREEN_ENTRY, SCREEN_MEMBERS };

/*
 * Members of a position's text, as mirror writes it: seven strings come first, in this order, and
 * none of them needs an escape. What is otherwise stays empty.
 */
static void screen_members(const shm_position *position, screen_slice members[SCREEN_MEMBERS])
{
    static const struct {
        const char *head;
        size_t length;
        int member; /* -1: not shown */
    } parts[] = {{"\"id\":\"", 6, -1},          {",\"venue\":\"", 10, -1},
                 {",\"market\":\"", 11, -1},    {",\"symbol\":\"", 11, SCREEN_SYMBOL},
                 {",\"side\":\"", 9, SCREEN_SIDE}, {",\"quantity\":\"", 13, SCREEN_QUANTITY},
                 {",\"entry_price\":\"", 16, SCREEN_ENTRY}};
    const uint32_t length = position->text_length < SHM_POSITION_TEXT_MAX ? position->text_length
                                                                          : SHM_POSITION_TEXT_MAX;
    const char *at = position->text, *end = at + length;

    memset(members, 0, SCREEN_MEMBERS * sizeof(*members));
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        const char *quote;

        if ((size_t)(end - at) < parts[i].length ||
            memcmp(at, parts[i].head, parts[i].length) != 0) {
            return;
        }
        at += parts[i].length;
        quote = memchr(at, '"', (size_t)(end - at));
        if (quote == NULL) {
            return;
        }
        if (parts[i].member >= 0) {
            members[parts[i].member] = (screen_slice){at, (size_t)(quote - at)};
        }
        at = quote + 1;
    }
}

static void screen_slice_put(whale_screen *screen, const screen_slice *member)
{
    if (member->text != NULL) {
        whale_screen_escape(screen, member->text, member->length);
    } else {
        whale_screen_put(screen, "?");
    }
}

/* With a sign, and at most two places. */
static void screen_signed(whale_screen *screen, dec value)
{
    const uint64_t step = 10000000000ULL;
    const unsigned __int128 magnitude =
        value.units < 0 ? -(unsigned __int128)value.units : (unsigned __int128)value.units;

    if (magnitude >> 62 == 0) {
        const uint64_t rest = (uint64_t)magnitude % step;
        uint64_t shown = (uint64_t)magnitude / step;

        shown += rest > step / 2 || (rest == step / 2 && (shown & 1) != 0);
        value.units = value.units < 0 ? -(__int128)(shown * step) : (__int128)(shown * step);
    } else if (!dec_to_step(value, (dec){(__int128)step}, DEC_HALF_EVEN, &value)) {
        return;
    }
    if (dec_sign(value) > 0) {
        whale_screen_put(screen, "+");
    }
    whale_screen_dec(screen, value);
}

static void screen_position(whale_screen *screen, const shm_position *position,
                            const shm_price *price, int64_t now_ns, int64_t stale_ns)
{
    whale_figures figures = {.known = false};
    screen_slice members[SCREEN_MEMBERS];
    int64_t age_ms;

    screen_members(position, members);
    whale_screen_put(screen, "\\n<b>");
    screen_slice_put(screen, &members[SCREEN_SYMBOL]);
    whale_screen_put(screen, "</b> ");
    screen_slice_put(screen, &members[SCREEN_SIDE]);
    whale_screen_put(screen, " ");
    screen_slice_put(screen, &members[SCREEN_QUANTITY]);
    whale_screen_put(screen, " at ");
    screen_slice_put(screen, &members[SCREEN_ENTRY]);
    if (price != NULL) {
        whale_position_figures(position, price->mark, &figures);
    }
    if (!figures.known) {
        whale_screen_put(screen, "\\nno price just now\\n");
        return;
    }
    whale_screen_put(screen, ", now ");
    whale_screen_dec(screen, price->mark);
    whale_screen_put(screen, "\\nP&amp;L <b>");
    screen_signed(screen, figures.pnl);
    whale_screen_put(screen, "</b> USDT");
    if (figures.roi_known) {
        whale_screen_put(screen, " (");
        screen_signed(screen, figures.roi);
        whale_screen_put(screen, " %)");
    }
    if (whale_price_is_stale(price, now_ns, stale_ns, &age_ms)) {
        whale_screen_put(screen, ", price is old");
    }
    whale_screen_put(screen, "\\n");
}

void whale_screen_positions(whale_screen *screen, const shm_position *positions, size_t count,
                            size_t total, whale_screen_price *price, void *owner, int64_t now_ns,
                            int64_t stale_ns)
{
    size_t shown = 0;

    whale_screen_begin(screen);
    if (count == 0) {
        whale_screen_put(screen, "Nothing is open.");
        return;
    }
    whale_screen_put(screen, "Open positions: ");
    whale_screen_dec(screen, dec_from_int((int64_t)total));
    whale_screen_put(screen, "\\n");
    while (shown < count && screen->length < WHALE_SCREEN_LIST_STOP) {
        screen_position(screen, &positions[shown], price(owner, positions[shown].price_slot),
                        now_ns, stale_ns);
        shown++;
    }
    if (shown < total) {
        whale_screen_put(screen, "\\nand ");
        whale_screen_dec(screen, dec_from_int((int64_t)(total - shown)));
        whale_screen_put(screen, " more, in the app");
    }
}

void whale_screen_whales_begin(whale_screen *screen)
{
    whale_screen_begin(screen);
    whale_screen_put(screen, "Whales, best first:\\n");
}

static void screen_part(whale_screen *screen, const char *before, const char *text,
                        const char *after)
{
    if (text != NULL && text[0] != '\0') {
        whale_screen_put(screen, before);
        whale_screen_escape(screen, text, strlen(text));
        whale_screen_put(screen, after);
    }
}

void whale_screen_whale(whale_screen *screen, int64_t id, const char *name, const char *venue,
                        const char *rank, const char *score, const char *roi_30d)
{
    whale_screen_put(screen, "\\n<b>");
    whale_screen_dec(screen, dec_from_int(id));
    whale_screen_put(screen, "</b> ");
    screen_part(screen, "", name, "");
    screen_part(screen, " · ", venue, "");
    screen_part(screen, " · ", rank, "");
    screen_part(screen, " · score ", score, "");
    screen_part(screen, " · ROI ", roi_30d, " %");
}

void whale_screen_whales_end(whale_screen *screen, size_t shown)
{
    if (shown == 0) {
        whale_screen_begin(screen);
        whale_screen_put(screen, "No whales are known yet.");
        return;
    }
    whale_screen_put(screen, "\\n\\n<code>/follow number</code> copies one.");
}

/* The end of a flat object: the brace that is in no string. NULL: none. */
static const char *screen_object_end(const char *at, const char *end)
{
    bool in_string = false;

    for (; at < end; at++) {
        if (in_string && *at == '\\') {
            at++;
        } else if (*at == '"') {
            in_string = !in_string;
        } else if (*at == '}' && !in_string) {
            return at + 1;
        }
    }
    return NULL;
}

static bool screen_page_whale(whale_screen *screen, const char *text, size_t length)
{
    static const char *const names[] = {"name", "venue", "rank", "score", "roi_30d"};
    char values[5][SCREEN_NAME_MAX * 4];
    jsmntok_t tokens[SCREEN_PAGE_TOKENS];
    json_doc doc;
    int64_t id;

    if (json_parse(&doc, text, length, tokens, SCREEN_PAGE_TOKENS) != JSON_OK ||
        !json_get_int(&doc, json_at(&doc, 0, "id"), &id)) {
        return false;
    }
    for (int i = 0; i < 5; i++) {
        if (!json_copy(&doc, json_at(&doc, 0, names[i]), values[i], sizeof(values[i]))) {
            values[i][0] = '\0';
        }
    }
    whale_screen_whale(screen, id, values[0], values[1], values[2], values[3], values[4]);
    return true;
}

size_t whale_screen_whales_page(whale_screen *screen, const char *page, size_t length, size_t most)
{
    const char *at = page, *end = page + length;
    size_t shown = 0;

    whale_screen_whales_begin(screen);
    while (shown < most && screen->length < WHALE_SCREEN_LIST_STOP) {
        const char *object = memchr(at, '{', (size_t)(end - at));
        const char *object_end = object != NULL ? screen_object_end(object, end) : NULL;

        if (object_end == NULL ||
            !screen_page_whale(screen, object, (size_t)(object_end - object))) {
            break;
        }
        shown++;
        at = object_end;
    }
    whale_screen_whales_end(screen, shown);
    return shown;
}
