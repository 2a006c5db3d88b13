/*
 * The URL, the request for an upgrade, and the check of its answer (RFC 6455, sections 3 and 4).
 *
 * Promises: only a 101 that names websocket, upgrades the connection and carries the accept value
 * of our key opens the connection; an extension or a subprotocol that was not asked for does not.
 * Bytes behind the answer's head are frames already, and are handed on.
 */
#include "workerd/net/net_ws_private.h"

#include "core/crypto.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEY_BYTES 16
#define SHA1_BYTES 20
#define ACCEPT_SIZE 29 /* 20 bytes as base64 */

static const char accept_guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/* ---- the URL --------------------------------------------------------------------------------- */

static bool parse_port(const char *text, size_t length, bool secure, char port[8])
{
    unsigned number = 0;

    if (length == 0) {
        strcpy(port, secure ? "443" : "80");
        return true;
    }
    if (length > 5) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        number = number * 10 + (unsigned)(text[i] - '0');
    }
    snprintf(port, 8, "%u", number);
    return number > 0 && number <= UINT16_MAX;
}

static bool parse_authority(const char *text, size_t length, net_ws_url *url)
{
    const char *host = text, *end = text + length, *host_end, *colon;

    if (memchr(text, '@', length) != NULL) {
        return false;
    }
    if (length > 0 && *text == '[') {
        host++;
        host_end = memchr(text, ']', length);
        if (host_end == NULL) {
            return false;
        }
        colon = host_end + 1;
        if (colon < end && *colon != ':') {
            return false;
        }
    } else {
        host_end = memchr(text, ':', length);
        host_end = host_end != NULL ? host_end : end;
        colon = host_end;
    }
    if (host_end == host || host_end - host >= NET_WS_HOST_MAX ||
        length >= sizeof(url->authority)) {
        return false;
    }
    memcpy(url->host, host, (size_t)(host_end - host));
    memcpy(url->authority, text, length);
    return parse_port(colon + 1, colon < end ? (size_t)(end - colon - 1) : 0, url->secure,
                      url->port);
}

bool net_ws_url_parse(const char *text, net_ws_url *url)
{
    size_t length;

    memset(url, 0, sizeof(*url));
    if (text == NULL || strlen(text) >= NET_WS_URL_MAX) {
        return false;
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (*at <= ' ' || *at >= 0x7f || *at == '#') {
            return false;
        }
    }
    if (strncmp(text, "wss://", 6) == 0) {
        url->secure = true;
        text += 6;
    } else if (strncmp(text, "ws://", 5) == 0) {
        text += 5;
    } else {
        return false;
    }
    length = strcspn(text, "/?");
    if (!parse_authority(text, length, url)) {
        return false;
    }
    text += length;
    snprintf(url->target, sizeof(url->target), "%s%s", *text == '/' ? "" : "/", text);
    return true;
}

/* ---- the request ----------------------------------------------------------------------------- */

char *net_ws_headers_copy(const char *const *headers)
{
    size_t length = 0;
    char *copy = malloc(NET_WS_HEADERS_MAX), *fitted;

    if (copy == NULL) {
        return NULL;
    }
    copy[0] = '\0';
    for (; headers != NULL && *headers != NULL; headers++) {
        size_t size = strlen(*headers);

        if (strchr(*headers, ':') == NULL || strcspn(*headers, "\r\n") != size ||
            length + size + 3 > NET_WS_HEADERS_MAX) {
            free(copy);
            return NULL;
        }
        length += (size_t)sprintf(copy + length, "%s\r\n", *headers);
    }
    fitted = realloc(copy, length + 1);
    return fitted != NULL ? fitted : copy;
}

bool net_ws_handshake_request(net_ws *ws, char *out, size_t capacity)
{
    uint8_t random[KEY_BYTES];
    int length;

    if (!crypto_random(random, sizeof(random))) {
        return false;
    }
    crypto_base64(random, sizeof(random), ws->key);
    length = snprintf(out, capacity,
                      "GET %s HTTP/1.1\r\n"
                      "Host: %s\r\n"
                      "Upgrade: websocket\r\n"
                      "Connection: Upgrade\r\n"
                      "Sec-WebSocket-Key: %s\r\n"
                      "Sec-WebSocket-Version: 13\r\n"
                      "%s\r\n",
                      ws->url.target, ws->url.authority, ws->key, ws->headers);
    return length > 0 && (size_t)length < capacity;
}

/* ---- the answer ------------------------------------------------------------------------------ */

typedef struct {
    bool upgrade, connection, accept;
    const char *fault;
} answer;

static bool accept_is_right(const net_ws *ws, const char *value, size_t length)
{
    char text[NET_WS_KEY_SIZE + sizeof(accept_guid)], wanted[ACCEPT_SIZE];
    uint8_t digest[SHA1_BYTES];
    int size = snprintf(text, sizeof(text), "%s%s", ws->key, accept_guid);

    if (EVP_Digest(text, (size_t)size, digest, NULL, EVP_sha1(), NULL) != 1) {
        return false;
    }
    crypto_base64(digest, sizeof(digest), wanted);
    return length == ACCEPT_SIZE - 1 && memcmp(value, wanted, length) == 0;
}

/* Is `token` in the comma-separated list? */
static bool has_token(const char *list, size_t length, const char *token)
{
    const char *end = list + length;

    while (list < end) {
        const char *comma = memchr(list, ',', (size_t)(end - list));
        const char *stop = comma != NULL ? comma : end;

        while (list < stop && (*list == ' ' || *list == '\t')) {
            list++;
        }
        while (stop > list && (stop[-1] == ' ' || stop[-1] == '\t')) {
            stop--;
        }
        if ((size_t)(stop - list) == strlen(token) &&
            strncasecmp(list, token, strlen(token)) == 0) {
            return true;
        }
        list = comma != NULL ? comma + 1 : end;
    }
    return false;
}

static bool is_named(const char *line, size_t length, const char *name)
{
    return length == strlen(name) && strncasecmp(line, name, length) == 0;
}

static void read_header(const net_ws *ws, const char *line, const char *end, answer *got)
{
    const char *colon = memchr(line, ':', (size_t)(end - line)), *value;
    size_t name;

    if (colon == NULL) {
        got->fault = "handshake: malformed header";
        return;
    }
    name = (size_t)(colon - line);
    value = colon + 1;
    while (value < end && (*value == ' ' || *value == '\t')) {
        value++;
    }
    while (end > value && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    if (is_named(line, name, "Upgrade")) {
        got->upgrade = has_token(value, (size_t)(end - value), "websocket");
    } else if (is_named(line, name, "Connection")) {
        got->connection = got->connection || has_token(value, (size_t)(end - value), "upgrade");
    } else if (is_named(line, name, "Sec-WebSocket-Accept")) {
        got->accept = accept_is_right(ws, value, (size_t)(end - value));
    } else if (is_named(line, name, "Sec-WebSocket-Extensions")) {
        got->fault = "handshake: an extension that was not asked for";
    } else if (is_named(line, name, "Sec-WebSocket-Protocol") &&
               strcasestr(ws->headers, "Sec-WebSocket-Protocol:") == NULL) {
        got->fault = "handshake: a subprotocol that was not asked for";
    }
}

/* NULL: all is well. `head` ends with an empty line. */
static const char *check_answer(net_ws *ws, const char *head, size_t length)
{
    const char *end = head + length, *line = memmem(head, length, "\r\n", 2);
    static char refused[64];
    answer got = {0};
    int status = 0;
    char blank = 0;

    if (sscanf(head, "HTTP/1.1 %3d%c", &status, &blank) != 2 || (blank != ' ' && blank != '\r')) {
        return "handshake: not an HTTP/1.1 answer";
    }
    if (status != 101) {
        snprintf(refused, sizeof(refused), "handshake: refused with status %d", status);
        return refused;
    }
    for (line += 2; line < end - 2;) {
        const char *stop = memmem(line, (size_t)(end - line), "\r\n", 2);

        read_header(ws, line, stop, &got);
        line = stop + 2;
    }
    if (got.fault != NULL) {
        return got.fault;
    }
    if (!got.upgrade || !got.connection) {
        return "handshake: not an upgrade to websocket";
    }
    return got.accept ? NULL : "handshake: wrong accept value";
}

void net_ws_handshake_input(net_ws *ws, const char *data, size_t length)
{
    size_t taken = length < NET_WS_HANDSHAKE_MAX - ws->head.length
                       ? length
                       : NET_WS_HANDSHAKE_MAX - ws->head.length;
    size_t before = ws->head.length, head;
    const char *end, *fault;

    if (!net_ws_buffer_append(&ws->head, data, taken)) {
        net_ws_end(ws, "out of memory");
        return;
    }
    end = memmem(ws->head.data, ws->head.length, "\r\n\r\n", 4);
    if (end == NULL) {
        if (taken < length || ws->head.length == NET_WS_HANDSHAKE_MAX) {
            net_ws_end(ws, "handshake: the answer is too long");
        }
        return;
    }
    head = (size_t)(end + 4 - ws->head.data);
    fault = check_answer(ws, ws->head.data, head);
    free(ws->head.data);
    ws->head = (net_ws_buffer){0};
    if (fault != NULL) {
        net_ws_end(ws, fault);
        return;
    }
    net_ws_opened(ws, data + (head - before), length - (head - before));
}
