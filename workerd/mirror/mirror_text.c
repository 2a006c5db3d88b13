/*
 * The JSON that mirror puts into the segment: see the header.
 */
#include "workerd/mirror/mirror_text.h"

#include <string.h>

/* Writes the members between the braces of an object; `name` may be shorter than the true one. */
typedef void text_members(json_writer *json, const void *facts, const char *name, size_t length);

bool mirror_entry_price(dec entry_notional, dec quantity, dec *price)
{
    return dec_div(entry_notional, dec_absolute(quantity), DEC_HALF_EVEN, price);
}

/* One character less; continuation bytes of UTF-8 go with their head. */
static size_t cut_character(const char *name, size_t length)
{
    while (length > 0 && ((unsigned char)name[--length] & 0xC0) == 0x80) {
    }
    return length;
}

static size_t cut_name(const char *name)
{
    size_t length = strnlen(name, MIRROR_NAME_MAX + 1);

    while (length > MIRROR_NAME_MAX) {
        length = cut_character(name, length);
    }
    return length;
}

/*
 * The object with as much of the name as fits into `capacity`. Its length, or 0. Writing it a few
 * times is rare: only names near their bound beside figures near theirs need it.
 */
static size_t text_fit(char *buffer, size_t capacity, text_members *members, const void *facts,
                       const char *name)
{
    size_t length = name != NULL ? cut_name(name) : 0;

    for (;;) {
        json_writer json;

        json_begin(&json, buffer, capacity);
        json_object(&json);
        members(&json, facts, name, length);
        json_object_end(&json);
        if (json_finish(&json)) {
            return json.length;
        }
        if (length == 0) {
            return 0;
        }
        length = cut_character(name, length);
    }
}

static void put_string(json_writer *json, const char *key, const char *text)
{
    json_key(json, key);
    json_string(json, text);
}

static void put_dec(json_writer *json, const char *key, dec value)
{
    json_key(json, key);
    json_dec(json, value);
}

static void put_id(json_writer *json, const char *key, int64_t id)
{
    json_key(json, key);
    json_id(json, id);
}

static void put_name(json_writer *json, const char *name, size_t length)
{
    json_key(json, "whale_name");
    if (name == NULL) {
        json_null(json);
    } else {
        json_text(json, name, length);
    }
}

static void put_time(json_writer *json, const char *key, int64_t time_ns)
{
    json_key(json, key);
    json_time(json, time_ns);
}

static void position_members(json_writer *json, const void *pointer, const char *name,
                             size_t length)
{
    const mirror_position_facts *facts = pointer;
    dec entry_price = DEC_ZERO;

    mirror_entry_price(facts->entry_notional, facts->base_quantity, &entry_price);
    put_id(json, "id", facts->id);
    put_string(json, "venue", facts->venue);
    put_string(json, "market", facts->market);
    put_string(json, "symbol", facts->symbol);
    put_string(json, "side", dec_sign(facts->quantity) < 0 ? "SHORT" : "LONG");
    put_dec(json, "quantity", dec_absolute(facts->quantity));
    put_dec(json, "entry_price", entry_price);
    json_key(json, "leverage");
    json_int(json, facts->leverage);
    put_dec(json, "margin", facts->margin);
    json_key(json, "whale_id");
    if (name == NULL) {
        json_null(json);
    } else {
        json_id(json, facts->whale_id);
    }
    put_name(json, name, length);
    put_time(json, "opened_at", facts->opened_ns);
}

uint32_t mirror_text_position(const mirror_position_facts *facts, char text[SHM_POSITION_TEXT_MAX])
{
    char object[SHM_POSITION_TEXT_MAX + 2]; /* with braces */
    size_t length = text_fit(object, sizeof(object), position_members, facts, facts->whale_name);

    if (length < 2) {
        return 0;
    }
    memcpy(text, object + 1, length - 2);
    return (uint32_t)(length - 2);
}

static void signal_members(json_writer *json, const void *pointer, const char *name, size_t length)
{
    const mirror_signal_facts *facts = pointer;

    put_id(json, "id", facts->id);
    put_id(json, "whale_id", facts->whale_id);
    put_name(json, name, length);
    put_string(json, "venue", facts->venue);
    put_string(json, "market", facts->market);
    put_string(json, "symbol", facts->symbol);
    put_string(json, "position_side", facts->position_side);
    put_string(json, "kind", facts->kind);
    put_string(json, "side", facts->side);
    json_key(json, "closes");
    json_bool(json, facts->closes);
    json_key(json, "leverage");
    json_int(json, facts->leverage);
    put_dec(json, "price", facts->price);
    put_dec(json, "notional", facts->notional);
    put_dec(json, "fraction", facts->fraction);
    put_string(json, "confidence", facts->confidence);
    put_dec(json, "confidence_score", facts->confidence_score);
    put_string(json, "status", facts->status);
    put_time(json, "detected_at", facts->detected_ns);
}

uint32_t mirror_text_signal(const mirror_signal_facts *facts, char text[SHM_SIGNAL_TEXT_MAX])
{
    return (uint32_t)text_fit(text, SHM_SIGNAL_TEXT_MAX, signal_members, facts, facts->whale_name);
}
