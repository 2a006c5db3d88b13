/*
 * The wire format of the channel to `sign`: bounded writing, and reading of hostile bytes.
 *
 *   message   "WSG1" entry*
 *   entry     length u32 (of what follows) · id u64 · kind u8 · body
 *   text      length u16 · bytes; C strings end with their NUL, which is counted
 *
 * Little-endian, one host. Promises: reading never leaves the message, an entry whose body is not
 * used up to its last byte is malformed, and strings hold no NUL inside.
 */
#include "workerd/net/net_sign.h"

#include <string.h>

#define SIGN_MAGIC "WSG1"
#define SIGN_KIND_ANSWER 0x80
#define SIGN_METHOD_MAX 8

const char *net_sign_status_name(enum net_sign_status status)
{
    static const char *const names[] = {
        [NET_SIGN_OK] = "ok",
        [NET_SIGN_REFUSED] = "refused",
        [NET_SIGN_UNREADABLE] = "unreadable",
        [NET_SIGN_UNSUPPORTED] = "unsupported",
        [NET_SIGN_MALFORMED] = "malformed",
        [NET_SIGN_UNAVAILABLE] = "unavailable",
    };

    return (size_t)status < sizeof(names) / sizeof(names[0]) ? names[status] : "unknown";
}

/* ---- writing -----------------------------------------------------------------------------------
 */

void net_sign_begin(net_sign_message *message, uint8_t *data, size_t capacity)
{
    *message = (net_sign_message){.data = data, .capacity = capacity, .length = NET_SIGN_HEAD};
    memcpy(data, SIGN_MAGIC, NET_SIGN_HEAD);
}

static bool sign_put(net_sign_message *message, const void *bytes, size_t length)
{
    if (message->capacity - message->length < length) {
        return false;
    }
    if (length > 0) {
        memcpy(message->data + message->length, bytes, length);
    }
    message->length += length;
    return true;
}

static bool sign_put_number(net_sign_message *message, uint64_t number, size_t size)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(number >> (8 * i));
    }
    return sign_put(message, bytes, size);
}

static bool sign_put_bytes(net_sign_message *message, const void *bytes, size_t length,
                           size_t limit)
{
    return length <= limit && sign_put_number(message, length, 2) &&
           sign_put(message, bytes, length);
}

/* `limit` counts the NUL. */
static bool sign_put_string(net_sign_message *message, const char *text, size_t limit)
{
    if (text == NULL) {
        text = "";
    }
    return sign_put_bytes(message, text, strlen(text) + 1, limit);
}

static bool sign_put_head(net_sign_message *message, uint64_t id, uint8_t kind)
{
    return sign_put_number(message, 0, 4) && sign_put_number(message, id, 8) &&
           sign_put_number(message, kind, 1);
}

/* Writes the entry's length in its place, or takes the entry back. */
static bool sign_put_end(net_sign_message *message, size_t start, bool fits)
{
    net_sign_message place = *message;

    if (!fits) {
        message->length = start;
        return false;
    }
    place.length = start;
    sign_put_number(&place, message->length - start - 4, 4);
    message->count++;
    return true;
}

static bool sign_put_sign(net_sign_message *message, const net_sign_request *request)
{
    return sign_put_number(message, (uint8_t)request->market, 1) &&
           sign_put_number(message, (uint8_t)request->scheme, 1) &&
           sign_put_string(message, request->secret, NET_SIGN_SECRET_MAX) &&
           sign_put_string(message, request->venue, VENUE_ASSET_MAX) &&
           sign_put_string(message, request->method, SIGN_METHOD_MAX) &&
           sign_put_string(message, request->path, VENUE_PATH_MAX) &&
           sign_put_bytes(message, request->text, request->text_length, VENUE_SIGN_TEXT_MAX);
}

bool net_sign_put_request(net_sign_message *message, const net_sign_request *request)
{
    size_t start = message->length;
    bool fits = sign_put_head(message, request->id, (uint8_t)request->op) &&
                sign_put_number(message, (uint64_t)request->user_id, 8) &&
                sign_put_string(message, request->ref, NET_SIGN_REF_MAX);

    if (fits && request->op == NET_SIGN_SIGN) {
        fits = sign_put_sign(message, request);
    } else if (fits) {
        fits =
            sign_put_bytes(message, request->sealed, request->sealed_length, NET_SIGN_SEALED_MAX);
    }
    return sign_put_end(message, start, fits);
}

bool net_sign_put_answer(net_sign_message *message, const net_sign_answer *answer)
{
    size_t start = message->length;
    bool fits = sign_put_head(message, answer->id, SIGN_KIND_ANSWER) &&
                sign_put_number(message, (uint8_t)answer->status, 1) &&
                sign_put_number(message, (uint32_t)answer->key_id, 4) &&
                sign_put_string(message, answer->api_key, NET_SIGN_VALUE_MAX) &&
                sign_put_string(message, answer->passphrase, NET_SIGN_VALUE_MAX) &&
                sign_put_string(message, answer->signature, NET_SIGN_VALUE_MAX) &&
                sign_put_string(message, answer->secret, NET_SIGN_SECRET_MAX);

    return sign_put_end(message, start, fits);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

typedef struct {
    const uint8_t *at, *end;
    bool bad;
} sign_reader;

static uint64_t sign_get_number(sign_reader *reader, size_t size)
{
    uint64_t number = 0;

    if (reader->bad || (size_t)(reader->end - reader->at) < size) {
        reader->bad = true;
        return 0;
    }
    for (size_t i = 0; i < size; i++) {
        number |= (uint64_t)reader->at[i] << (8 * i);
    }
    reader->at += size;
    return number;
}

static const uint8_t *sign_get_bytes(sign_reader *reader, size_t limit, size_t *length)
{
    const uint8_t *bytes;

    *length = (size_t)sign_get_number(reader, 2);
    if (reader->bad || *length > limit || (size_t)(reader->end - reader->at) < *length) {
        reader->bad = true;
        *length = 0;
        return (const uint8_t *)"";
    }
    bytes = reader->at;
    reader->at += *length;
    return bytes;
}

static const char *sign_get_string(sign_reader *reader, size_t limit)
{
    size_t length;
    const uint8_t *bytes = sign_get_bytes(reader, limit, &length);

    if (!reader->bad && (length == 0 || memchr(bytes, '\0', length) != bytes + length - 1)) {
        reader->bad = true;
    }
    return reader->bad ? "" : (const char *)bytes;
}

/* The next entry's bytes; false at the end of the message, or where it is malformed. */
static bool sign_get_entry(const uint8_t *data, size_t length, size_t *offset, sign_reader *entry,
                           bool *malformed)
{
    sign_reader reader;
    size_t size;

    *malformed = false;
    if (*offset == 0) {
        if (length < NET_SIGN_HEAD || memcmp(data, SIGN_MAGIC, NET_SIGN_HEAD) != 0) {
            *malformed = true;
            return false;
        }
        *offset = NET_SIGN_HEAD;
    }
    if (*offset >= length) {
        return false;
    }
    reader = (sign_reader){.at = data + *offset, .end = data + length};
    size = (size_t)sign_get_number(&reader, 4);
    if (reader.bad || size > (size_t)(reader.end - reader.at)) {
        *malformed = true;
        return false;
    }
    *entry = (sign_reader){.at = reader.at, .end = reader.at + size};
    *offset = (size_t)(entry->end - data);
    return true;
}

static void sign_get_sign(sign_reader *reader, net_sign_request *request)
{
    uint64_t market = sign_get_number(reader, 1);
    uint64_t scheme = sign_get_number(reader, 1);

    request->secret = sign_get_string(reader, NET_SIGN_SECRET_MAX);
    request->venue = sign_get_string(reader, VENUE_ASSET_MAX);
    request->method = sign_get_string(reader, SIGN_METHOD_MAX);
    request->path = sign_get_string(reader, VENUE_PATH_MAX);
    request->text =
        (const char *)sign_get_bytes(reader, VENUE_SIGN_TEXT_MAX, &request->text_length);
    request->market = (enum venue_market)market;
    request->scheme = (enum venue_scheme)scheme;
    reader->bad = reader->bad || market > VENUE_OUTCOME || scheme > VENUE_EIP712;
}

bool net_sign_get_request(const uint8_t *data, size_t length, size_t *offset,
                          net_sign_request *request, bool *malformed)
{
    sign_reader reader;
    uint64_t kind;

    if (!sign_get_entry(data, length, offset, &reader, malformed)) {
        return false;
    }
    *request = (net_sign_request){.secret = "", .venue = "", .method = "", .path = "", .text = ""};
    request->id = sign_get_number(&reader, 8);
    kind = sign_get_number(&reader, 1);
    request->op = (enum net_sign_op)kind;
    request->user_id = (int64_t)sign_get_number(&reader, 8);
    request->ref = sign_get_string(&reader, NET_SIGN_REF_MAX);
    if (kind == NET_SIGN_SIGN) {
        sign_get_sign(&reader, request);
    } else if (kind == NET_SIGN_REWRAP) {
        request->sealed = sign_get_bytes(&reader, NET_SIGN_SEALED_MAX, &request->sealed_length);
    } else {
        reader.bad = true;
    }
    *malformed = reader.bad || reader.at != reader.end;
    return !*malformed;
}

bool net_sign_get_answer(const uint8_t *data, size_t length, size_t *offset,
                         net_sign_answer *answer, bool *malformed)
{
    sign_reader reader;
    uint64_t kind, status;

    if (!sign_get_entry(data, length, offset, &reader, malformed)) {
        return false;
    }
    *answer = (net_sign_answer){0};
    answer->id = sign_get_number(&reader, 8);
    kind = sign_get_number(&reader, 1);
    status = sign_get_number(&reader, 1);
    answer->status = (enum net_sign_status)status;
    answer->key_id = (int32_t)sign_get_number(&reader, 4);
    answer->api_key = sign_get_string(&reader, NET_SIGN_VALUE_MAX);
    answer->passphrase = sign_get_string(&reader, NET_SIGN_VALUE_MAX);
    answer->signature = sign_get_string(&reader, NET_SIGN_VALUE_MAX);
    answer->secret = sign_get_string(&reader, NET_SIGN_SECRET_MAX);
    *malformed = reader.bad || reader.at != reader.end || kind != SIGN_KIND_ANSWER ||
                 status > NET_SIGN_MALFORMED;
    return !*malformed;
}
