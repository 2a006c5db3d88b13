/*
 * The sentences of notifications. See notify_text.h for what they promise.
 */
#include "workerd/notify/notify_text.h"

#include "core/errors.h"

#include <stdio.h>
#include <string.h>

#define NOTIFY_NAME_MAX 160
#define NOTIFY_FIGURE_MAX 72

/* The length without a UTF-8 character that was cut at the end. */
static size_t notify_whole_characters(const char *text, size_t length)
{
    size_t lead = length;

    while (lead > 0 && ((unsigned char)text[lead - 1] & 0xC0) == 0x80) {
        lead--;
    }
    if (lead == 0) {
        return length;
    }
    unsigned char first = (unsigned char)text[lead - 1];
    size_t wanted = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;

    return length - lead + 1 < wanted ? lead - 1 : length;
}

size_t notify_escape(const char *text, char *out, size_t capacity)
{
    static const struct {
        char plain;
        const char *entity;
    } entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}};
    size_t length = 0;

    for (const char *at = text == NULL ? "" : text; *at != '\0'; at++) {
        char own[2] = {*at, '\0'};
        const char *piece = own;

        for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++) {
            if (*at == entities[i].plain) {
                piece = entities[i].entity;
            }
        }
        if (length + strlen(piece) >= capacity) {
            break;
        }
        memcpy(out + length, piece, strlen(piece));
        length += strlen(piece);
    }
    length = notify_whole_characters(out, length);
    out[length] = '\0';
    return length;
}

size_t notify_figure(dec value, unsigned places, char *out, size_t capacity)
{
    char text[DEC_TEXT_MAX];
    dec step = DEC_ONE, rounded = value;

    for (unsigned i = 0; i < places; i++) {
        step.units /= 10;
    }
    (void)dec_to_step(value, step, DEC_HALF_EVEN, &rounded);
    dec_format(rounded, text);

    const char *digits = text + (text[0] == '-');
    size_t whole = strcspn(digits, "."), length = 0;

    if (strlen(text) * 4 / 3 + 2 >= capacity) {
        out[0] = '\0';
        return 0;
    }
    if (text[0] == '-') {
        out[length++] = '-';
    }
    for (size_t i = 0; i < whole; i++) {
        if (i > 0 && (whole - i) % 3 == 0) {
            out[length++] = ',';
        }
        out[length++] = digits[i];
    }
    strcpy(out + length, digits + whole);
    return length + strlen(digits + whole);
}

static size_t sentence_of_fill(const notify_facts *facts, char *out, size_t capacity)
{
    char symbol[NOTIFY_NAME_MAX], whale[NOTIFY_NAME_MAX], quote[NOTIFY_NAME_MAX];
    char quantity[NOTIFY_FIGURE_MAX], price[NOTIFY_FIGURE_MAX], pnl[NOTIFY_FIGURE_MAX];
    bool bought = facts->side != NULL && strcmp(facts->side, "BUY") == 0;
    bool closed = facts->position_state != NULL && strcmp(facts->position_state, "CLOSED") == 0;

    notify_escape(facts->symbol, symbol, sizeof(symbol));
    notify_escape(facts->whale == NULL || facts->whale[0] == '\0' ? "a whale" : facts->whale, whale,
                  sizeof(whale));
    notify_escape(facts->quote_asset, quote, sizeof(quote));
    notify_figure(facts->quantity, DEC_PLACES, quantity, sizeof(quantity));
    notify_figure(facts->price, 8, price, sizeof(price));
    notify_figure(facts->realised_pnl, 2, pnl, sizeof(pnl));
    if (facts->reduce_only) {
        return (size_t)snprintf(out, capacity, "%s <b>%s</b> %s %s at %s: %s%s %s (copy of %s).",
                                closed ? "Closed" : "Reduced", bought ? "SHORT" : "LONG", quantity,
                                symbol, price, dec_sign(facts->realised_pnl) > 0 ? "+" : "", pnl,
                                quote, whale);
    }
    return (size_t)snprintf(out, capacity, "Opened <b>%s</b> %s %s at %s, %lldx (copy of %s).",
                            bought ? "LONG" : "SHORT", quantity, symbol, price,
                            (long long)facts->leverage, whale);
}

static size_t sentence_of_failure(const notify_facts *facts, char *out, size_t capacity)
{
    char symbol[NOTIFY_NAME_MAX];
    enum whale_error reason =
        facts->trade_reason == NULL ? ERROR_COUNT : error_by_code(facts->trade_reason);

    notify_escape(facts->symbol == NULL ? "a trade" : facts->symbol, symbol, sizeof(symbol));
    return (size_t)snprintf(out, capacity, "Could not copy <b>%s</b>: %s", symbol,
                            reason == ERROR_COUNT ? "The exchange did not take it."
                                                  : error_sentence(reason));
}

static size_t sentence_of_account(const notify_facts *facts, char *out, size_t capacity)
{
    char venue[NOTIFY_NAME_MAX], label[NOTIFY_NAME_MAX];
    bool active = facts->account_state != NULL && strcmp(facts->account_state, "ACTIVE") == 0;
    enum whale_error reason =
        facts->account_reason == NULL ? ERROR_COUNT : error_by_code(facts->account_reason);

    notify_escape(facts->venue == NULL ? "exchange" : facts->venue, venue, sizeof(venue));
    notify_escape(facts->label, label, sizeof(label));
    if (active) {
        return (size_t)snprintf(out, capacity, "Your <b>%s</b> account %s is connected.", venue,
                                label);
    }
    return (size_t)snprintf(
        out, capacity, "Your <b>%s</b> account %s was not connected: %s", venue, label,
        reason == ERROR_COUNT ? "The exchange refused it." : error_sentence(reason));
}

size_t notify_sentence(const notify_facts *facts, char *out, size_t capacity)
{
    const char *kind = facts->kind == NULL ? "" : facts->kind;
    size_t length;

    if (strcmp(kind, "fill") == 0 && facts->symbol != NULL) {
        length = sentence_of_fill(facts, out, capacity);
    } else if (strcmp(kind, "copy_failed") == 0) {
        length = sentence_of_failure(facts, out, capacity);
    } else if (strcmp(kind, "account") == 0) {
        length = sentence_of_account(facts, out, capacity);
    } else {
        length = (size_t)snprintf(out, capacity, "Something changed in your account.");
    }
    return length < capacity ? length : capacity - 1;
}

size_t notify_plain(const char *html, char *out, size_t capacity)
{
    static const struct {
        const char *entity;
        char plain;
    } entities[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}};
    size_t length = 0;
    bool in_tag = false;

    for (const char *at = html; *at != '\0' && length + 1 < capacity; at++) {
        char plain = *at;

        if (*at == '<' || *at == '>') {
            in_tag = *at == '<';
            continue;
        }
        if (in_tag) {
            continue;
        }
        for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++) {
            if (strncmp(at, entities[i].entity, strlen(entities[i].entity)) == 0) {
                plain = entities[i].plain;
                at += strlen(entities[i].entity) - 1;
                break;
            }
        }
        out[length++] = plain;
    }
    out[length] = '\0';
    return length;
}
