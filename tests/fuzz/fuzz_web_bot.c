/*
 * Updates of the bot, the ranking page of a segment, and positions of one that was damaged:
 * whatever the bytes, the screens are JSON within their bounds.
 */
#include "ngx_whale_module/whale_position.c"
#include "ngx_whale_module/whale_price.c"
#include "ngx_whale_module/whale_profile.c"
#include "ngx_whale_module/whale_screen.c"
#include "ngx_whale_module/whale_screen_lists.c"
#include "ngx_whale_module/whale_update.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static whale_screen screen;

static void require(bool truth)
{
    if (!truth) {
        abort();
    }
}

static void check_screen(void)
{
    static char body[WHALE_SCREEN_BODY_MAX];
    jsmntok_t tokens[32];
    json_doc doc;
    const size_t length = whale_screen_body(&screen, -5, body, sizeof(body));

    require(length > 0 && !screen.cut);
    /* surrogates in UTF-8 may pass the screen's own check; they are no concern of bounds */
    (void)json_parse(&doc, body, length, tokens, 32);
}

static void try_update(const char *text, size_t length)
{
    static jsmntok_t tokens[WHALE_UPDATE_TOKENS_MAX];
    char amount[DEC_TEXT_MAX];
    whale_update update;
    int64_t id;

    if (whale_update_parse(text, length, tokens, &update) == WHALE_UPDATE_COMMAND) {
        require(update.user_id > 0);
        require(update.user >= text && update.user + update.user_length <= text + length);
        require(strlen(update.argument) < sizeof(update.argument));
        if (whale_update_follow(update.argument, &id, amount)) {
            require(id > 0);
        }
    }
}

static void try_page(const char *text, size_t length)
{
    whale_screen_whales_page(&screen, text, length, 10);
    check_screen();
}

static const shm_price *price_of(void *owner, uint32_t slot)
{
    return slot % 3 == 0 ? NULL : owner;
}

static void try_positions(const char *text, size_t length)
{
    static shm_position positions[8];
    static char out[WHALE_POSITION_MAX];
    static char price_out[WHALE_PRICE_MAX];
    shm_price price = {0};
    char key[SHM_KEY_MAX] = {0};

    memset(positions, 0, sizeof(positions));
    memcpy(&price, text, length < sizeof(price) ? length : sizeof(price));
    memcpy(positions, text, length < sizeof(positions) ? length : sizeof(positions));
    memcpy(key, text, length < sizeof(key) - 1 ? length : sizeof(key) - 1);
    for (size_t i = 0; i < 8; i++) {
        require(whale_position_put(out, &positions[i], &price, INT64_MAX / 2, 5) <= sizeof(out));
    }
    require(whale_price_put(price_out, key, &price, INT64_MAX / 2, 5, true) <= sizeof(price_out));
    whale_screen_positions(&screen, positions, 8, 9, price_of, &price, 1, 5);
    check_screen();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(const char *, size_t) = {try_update, try_page, try_positions};
    char *copy;

    if (size == 0) {
        return 0;
    }
    copy = malloc(size);
    memcpy(copy, data + 1, size - 1);
    tries[data[0] % 3](copy, size - 1);
    free(copy);
    return 0;
}
