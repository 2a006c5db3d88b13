/*
 * Building Binance requests, and finishing them with key and signature.
 *
 * Promises: the text that is signed is the text that is sent, query before body, the signature
 * last; parameters of POST and PUT stand in the form body, those of GET and DELETE in the query;
 * every value is percent-encoded before it is signed (RFC 3986: only letters, digits and -._~
 * stay); a value that Binance could only refuse makes the request invalid instead of being sent.
 *
 * Rules: "General Info" (SIGNED endpoint security, timing security).
 */
#include "core/clock.h"
#include "venues/binance/binance.h"

#include <stdio.h>
#include <string.h>

#define BINANCE_WINDOW_DEFAULT_MS 5000
#define BINANCE_WINDOW_MAX_MS 60000
#define BINANCE_CLIENT_ID_MAX 36

/* ---- parameters ------------------------------------------------------------------------------ */

static bool binance_unreserved(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static void binance_put(binance_params *params, const char *text, size_t length)
{
    if (params->failed || length >= params->capacity - params->length) {
        params->failed = true;
        return;
    }
    memcpy(params->buffer + params->length, text, length);
    params->length += length;
    params->buffer[params->length] = '\0';
}

static void binance_put_encoded(binance_params *params, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";

    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        char encoded[3] = {'%', digits[c >> 4], digits[c & 15]};

        if (binance_unreserved(c)) {
            binance_put(params, text, 1);
        } else {
            binance_put(params, encoded, sizeof(encoded));
        }
    }
}

void binance_param(binance_params *params, const char *name, const char *value)
{
    if (params->length > 0) {
        binance_put(params, "&", 1);
    }
    binance_put(params, name, strlen(name));
    binance_put(params, "=", 1);
    binance_put_encoded(params, value);
}

void binance_param_int(binance_params *params, const char *name, int64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%lld", (long long)value);
    binance_param(params, name, text);
}

void binance_param_dec(binance_params *params, const char *name, dec value)
{
    char text[DEC_TEXT_MAX];

    dec_format(value, text);
    binance_param(params, name, text);
}

/* Not only letters and digits: Binance lists symbols with Chinese names. */
bool binance_param_symbol(binance_params *params, const char *symbol)
{
    size_t length = symbol == NULL ? 0 : strnlen(symbol, VENUE_SYMBOL_MAX);

    if (length == 0 || length >= VENUE_SYMBOL_MAX) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)symbol[i] <= ' ' || symbol[i] == 0x7f) {
            return false;
        }
    }
    binance_param(params, "symbol", symbol);
    return true;
}

bool binance_param_client_id(binance_params *params, const char *name, const char *id)
{
    size_t length = id == NULL ? 0 : strnlen(id, BINANCE_CLIENT_ID_MAX + 1);

    if (length == 0 || length > BINANCE_CLIENT_ID_MAX ||
        strspn(id, binance_usdm.client_order_id_alphabet) != length) {
        return false;
    }
    binance_param(params, name, id);
    return true;
}

bool binance_param_digits(binance_params *params, const char *name, const char *digits)
{
    size_t length = digits == NULL ? 0 : strnlen(digits, 21);

    if (length == 0 || length > 20 || strspn(digits, "0123456789") != length) {
        return false;
    }
    binance_param(params, name, digits);
    return true;
}

bool binance_sent(const venue_request *request, const char *name, const char **value,
                  size_t *length)
{
    const char *at = request->query_length > 0 ? request->query : request->body;
    size_t name_length = strlen(name);

    while (*at != '\0') {
        size_t pair = strcspn(at, "&");

        if (pair > name_length && at[name_length] == '=' && memcmp(at, name, name_length) == 0) {
            *value = at + name_length + 1;
            *length = pair - name_length - 1;
            return true;
        }
        at += pair;
        at += *at == '&';
    }
    return false;
}

bool binance_sent_agrees(const venue_request *request, const char *name, const char *value)
{
    char encoded[3 * VENUE_SYMBOL_MAX + 1] = "";
    binance_params params = {.buffer = encoded, .capacity = sizeof(encoded)};
    const char *sent;
    size_t length;

    if (!binance_sent(request, name, &sent, &length)) {
        return true;
    }
    binance_put_encoded(&params, value);
    return !params.failed && params.length == length && memcmp(sent, encoded, length) == 0;
}

bool binance_sent_dec_agrees(const venue_request *request, const char *name, dec value)
{
    const char *sent;
    size_t length;
    dec number;

    return !binance_sent(request, name, &sent, &length) ||
           (dec_parse(sent, length, &number) && dec_compare(number, value) == 0);
}

/* ---- build ----------------------------------------------------------------------------------- */

static bool binance_in_body(const binance_endpoint *endpoint)
{
    return strcmp(endpoint->method, "POST") == 0 || strcmp(endpoint->method, "PUT") == 0;
}

/* Time and window go last, so that what the request is about stands first in a log. */
static bool binance_stamp(const venue_call *call, binance_params *params)
{
    int64_t window_ms = call->receive_window_ns / CLOCK_MS_NS;

    if (window_ms == 0) {
        window_ms = BINANCE_WINDOW_DEFAULT_MS;
    }
    if (call->time_ns <= 0 || window_ms < 0 || window_ms > BINANCE_WINDOW_MAX_MS) {
        return false;
    }
    binance_param_int(params, "recvWindow", window_ms);
    binance_param_int(params, "timestamp", call->time_ns / CLOCK_MS_NS);
    return true;
}

static void binance_request_begin(const binance_endpoint *endpoint, const venue_call *call,
                                  venue_request *request)
{
    request->operation = call->operation;
    request->host = endpoint->host;
    request->scheme = endpoint->scheme;
    request->method = endpoint->method;
    snprintf(request->path, sizeof(request->path), "%s", endpoint->path);
    request->query[0] = request->body[0] = request->sign_text[0] = '\0';
    request->query_length = request->body_length = request->sign_text_length = 0;
    request->timestamp[0] = '\0';
    request->read_only = endpoint->read_only;
    request->weight = endpoint->weight;
    if (call->operation == VENUE_OP_OPEN_ORDERS && call->symbol == NULL) {
        request->weight = 40; /* of all symbols */
    }
}

enum venue_build_status binance_build(const venue_call *call, venue_request *request)
{
    const binance_endpoint *endpoint = binance_endpoint_of(call->operation);
    binance_params params = {0};
    bool in_body;

    if (endpoint == NULL) {
        return VENUE_BUILD_UNSUPPORTED;
    }
    if (call->market != VENUE_USDM) {
        return VENUE_BUILD_INVALID;
    }
    binance_request_begin(endpoint, call, request);
    in_body = binance_in_body(endpoint);
    params.buffer = in_body ? request->body : request->query;
    params.capacity = in_body ? sizeof(request->body) : sizeof(request->query);
    if (!endpoint->fill(call, &params)) {
        return VENUE_BUILD_INVALID;
    }
    if (endpoint->scheme == VENUE_HMAC_SHA256_HEX && !binance_stamp(call, &params)) {
        return VENUE_BUILD_INVALID;
    }
    if (params.failed) {
        return VENUE_BUILD_INVALID;
    }
    if (in_body) {
        request->body_length = params.length;
    } else {
        request->query_length = params.length;
    }
    if (endpoint->scheme == VENUE_HMAC_SHA256_HEX) {
        /* One of query and body is empty, so the text is simply the other. */
        memcpy(request->sign_text, params.buffer, params.length + 1);
        request->sign_text_length = params.length;
    }
    return VENUE_BUILD_OK;
}

/* ---- finish ---------------------------------------------------------------------------------- */

static bool binance_header(venue_bytes *bytes, const char *name, const char *value)
{
    char *header = bytes->headers[bytes->header_count];
    int length;

    if (bytes->header_count == VENUE_HEADERS_MAX) {
        return false;
    }
    length = snprintf(header, VENUE_HEADER_MAX, "%s: %s", name, value);
    bytes->header_count++;
    return length > 0 && length < VENUE_HEADER_MAX;
}

/* Printable and no blank: nothing that could end a header line. */
static bool binance_key_valid(const char *key)
{
    size_t length = key == NULL ? 0 : strlen(key);

    for (size_t i = 0; i < length; i++) {
        if (key[i] <= ' ' || key[i] > '~') {
            return false;
        }
    }
    return length > 0;
}

static bool binance_signature_valid(const char *signature)
{
    return signature != NULL && strlen(signature) == 64 &&
           strspn(signature, "0123456789abcdefABCDEF") == 64;
}

static bool binance_headers(const venue_request *request, const venue_credentials *credentials,
                            venue_bytes *bytes)
{
    bytes->header_count = 0;
    if (request->scheme != VENUE_UNSIGNED) {
        if (credentials == NULL || !binance_key_valid(credentials->api_key) ||
            !binance_header(bytes, "X-MBX-APIKEY", credentials->api_key)) {
            return false;
        }
    }
    if (request->host == VENUE_HOST_LEADERS) {
        /* The copy-trading pages ask for the client that they were written for. */
        if (!binance_header(bytes, "clienttype", "web")) {
            return false;
        }
        return request->body_length == 0 ||
               binance_header(bytes, "Content-Type", "application/json");
    }
    return request->body_length == 0 ||
           binance_header(bytes, "Content-Type", "application/x-www-form-urlencoded");
}

bool binance_finish(const venue_request *request, const venue_credentials *credentials,
                    venue_bytes *bytes)
{
    bool is_signed = request->scheme == VENUE_HMAC_SHA256_HEX;
    const char *mark = "", *signature = "", *in_query, *in_body;
    int target, body;

    if (is_signed) {
        if (credentials == NULL || !binance_signature_valid(credentials->signature)) {
            return false;
        }
        mark = "&signature=";
        signature = credentials->signature;
    }
    in_query = request->query_length > 0 ? mark : "";
    in_body = request->query_length > 0 ? "" : mark;
    target = snprintf(bytes->target, sizeof(bytes->target), "%s%s%s%s%s", request->path,
                      request->query_length > 0 ? "?" : "", request->query, in_query,
                      *in_query != '\0' ? signature : "");
    body = snprintf(bytes->body, sizeof(bytes->body), "%s%s%s", request->body, in_body,
                    *in_body != '\0' ? signature : "");
    if (target < 0 || (size_t)target >= sizeof(bytes->target) || body < 0 ||
        (size_t)body >= sizeof(bytes->body)) {
        return false;
    }
    bytes->method = request->method;
    bytes->body_length = (size_t)body;
    return binance_headers(request, credentials, bytes);
}
