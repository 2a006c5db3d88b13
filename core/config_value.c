/*
 * Readers of single configuration values. Promises: no locale, no allocation, every number checked
 * for overflow, nothing but the value in the text.
 */
#include "core/clock.h"
#include "core/config_private.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

static bool config_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool config_is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* At least one digit; *text is moved behind the last. */
static bool config_take_number(const char **text, uint64_t *value)
{
    const char *at = *text;

    *value = 0;
    for (; config_is_digit(*at); at++) {
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, (uint64_t)(*at - '0'), value)) {
            return false;
        }
    }
    if (at == *text) {
        return false;
    }
    *text = at;
    return true;
}

bool config_value_count(const char *text, uint64_t *value)
{
    uint64_t number;

    if (!config_take_number(&text, &number) || *text != '\0') {
        return false;
    }
    *value = number;
    return true;
}

bool config_value_size(const char *text, uint64_t *value)
{
    static const char units[] = "kmg";
    uint64_t number;
    const char *unit;

    if (!config_take_number(&text, &number)) {
        return false;
    }
    if (*text != '\0') {
        unit = strchr(units, *text | 0x20);
        if (unit == NULL || text[1] != '\0' ||
            __builtin_mul_overflow(number, 1ULL << (10 * (unit - units + 1)), &number)) {
            return false;
        }
    }
    *value = number;
    return true;
}

bool config_value_time(const char *text, int64_t *value_ns)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"h", 3600 * CLOCK_SECOND_NS},
                 {"m", 60 * CLOCK_SECOND_NS},
                 {"s", CLOCK_SECOND_NS},
                 {"ms", CLOCK_MS_NS},
                 {"", CLOCK_SECOND_NS}};
    size_t next = 0; /* units must come from large to small */
    int64_t total = 0, part;

    do {
        uint64_t number;
        size_t length, unit = next;

        if (!config_take_number(&text, &number)) {
            return false;
        }
        length = config_is_letter(*text) ? 1 + (text[0] == 'm' && text[1] == 's') : 0;
        while (unit < 5 && (strlen(units[unit].name) != length ||
                            memcmp(units[unit].name, text, length) != 0)) {
            unit++;
        }
        if (unit == 5 || __builtin_mul_overflow(number, units[unit].ns, &part) ||
            __builtin_add_overflow(total, part, &total)) {
            return false;
        }
        text += length;
        next = unit + 1;
        while (*text == ' ') {
            text++;
        }
    } while (*text != '\0');
    *value_ns = total;
    return true;
}

bool config_value_flag(const char *text, bool *value)
{
    bool on = strcasecmp(text, "on") == 0;

    if (!on && strcasecmp(text, "off") != 0) {
        return false;
    }
    *value = on;
    return true;
}

static bool config_take_port(const char *text, uint64_t least, uint16_t *port)
{
    uint64_t number;

    if (!config_value_count(text, &number) || number < least || number > UINT16_MAX) {
        return false;
    }
    *port = (uint16_t)number;
    return true;
}

bool config_value_address(const char *text, config_address *value)
{
    const char *colon = strchr(text, ':');
    config_address address = {0};
    struct in_addr numeric;

    if (colon == NULL || (size_t)(colon - text) >= sizeof(address.host)) {
        return false;
    }
    memcpy(address.host, text, (size_t)(colon - text));
    if (inet_pton(AF_INET, address.host, &numeric) != 1 ||
        !config_take_port(colon + 1, 0, &address.port)) {
        return false;
    }
    *value = address;
    return true;
}

/* The end of a host name or of an IPv6 address in brackets; NULL where there is none. */
static const char *config_skip_host(const char *text)
{
    const char *at = text;

    if (*at == '[') {
        at += 1 + strspn(at + 1, "0123456789abcdefABCDEF:.");
        return *at == ']' && at > text + 2 ? at + 1 : NULL;
    }
    while (config_is_letter(*at) || config_is_digit(*at) || *at == '-' || *at == '.') {
        at++;
    }
    return at > text && *text != '.' && *text != '-' ? at : NULL;
}

bool config_value_url(const char *text, const char *scheme, const char *secure_scheme)
{
    const char *colon = strchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : 0;
    uint16_t port;

    if (colon == NULL || strncmp(colon, "://", 3) != 0) {
        return false;
    }
    if (!(strlen(scheme) == length && memcmp(text, scheme, length) == 0) &&
        !(strlen(secure_scheme) == length && memcmp(text, secure_scheme, length) == 0)) {
        return false;
    }
    text = config_skip_host(colon + 3);
    if (text == NULL) {
        return false;
    }
    return *text == '\0' || (*text == ':' && config_take_port(text + 1, 1, &port));
}

bool config_value_text(const char *text, char *out, size_t capacity)
{
    size_t length = strlen(text);

    if (length >= capacity) {
        return false;
    }
    memset(out, 0, capacity);
    memcpy(out, text, length);
    return true;
}

bool config_value_has_password(const char *text)
{
    static const char keyword[] = "password";
    const size_t length = sizeof(keyword) - 1;
    const char *scheme = strstr(text, "://"), *at;

    for (at = text; *at != '\0'; at++) {
        if (strncasecmp(at, keyword, length) == 0 &&
            at[length + strspn(at + length, " \t\r\n\f\v")] == '=') {
            return true;
        }
    }
    if (scheme == NULL) {
        return false;
    }
    /* postgresql://user:password@host */
    scheme += 3;
    at = scheme + strcspn(scheme, "/?");
    return memchr(scheme, '@', (size_t)(at - scheme)) != NULL &&
           memchr(scheme, ':', strcspn(scheme, "@")) != NULL;
}
