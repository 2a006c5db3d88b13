/*
 * The table of directives, and how one directive sets its field.
 *
 * Promises: a directive either sets its field whole or leaves it alone; errors are in nginx's
 * words; the text of a connection string never stands in an error, since it might hold a password.
 */
#include "core/config_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CONFIG_SHOWN_MAX 200 /* bytes of a bad value that an error repeats */
#define CONFIG_TIME_MAX_NS (366LL * 24 * 3600 * 1000000000LL)

const config_directive config_directives[] = {
#define CONFIG_ENTRY(name, kind, field, fallback, when, help)                                      \
    {#name, CONFIG_##kind, fallback, CONFIG_##when, help},
    WHALE_DIRECTIVES(CONFIG_ENTRY)
#undef CONFIG_ENTRY
};

const size_t config_directive_count = sizeof(config_directives) / sizeof(config_directives[0]);

_Static_assert(sizeof(config_directives) / sizeof(config_directives[0]) <= 64,
               "whale_config.given has a bit for each");

enum config_index {
#define CONFIG_INDEX(name, kind, field, fallback, when, help) CONFIG_AT_##name,
    WHALE_DIRECTIVES(CONFIG_INDEX)
#undef CONFIG_INDEX
};

static const size_t config_offsets[] = {
#define CONFIG_OFFSET(name, kind, field, fallback, when, help) offsetof(whale_config, field),
    WHALE_DIRECTIVES(CONFIG_OFFSET)
#undef CONFIG_OFFSET
};

static const struct {
    enum config_index index;
    uint64_t least, most;
} config_ranges[] = {
    {CONFIG_AT_whale_hosts, 1, 64},
    {CONFIG_AT_whale_web_pool, 1, 64},
    {CONFIG_AT_whale_web_queue, 1, 65536},
    {CONFIG_AT_whale_shm_instruments, 64, 1048576},
    {CONFIG_AT_whale_shm_users, 64, 4194304},
    {CONFIG_AT_whale_shm_positions, 64, 33554432},
    {CONFIG_AT_whale_trade_processes, 1, 16},
    {CONFIG_AT_whale_trade_connections, 1, 1024},
    {CONFIG_AT_whale_trade_chunk, 1, 1000},
    {CONFIG_AT_whale_paper_seed, 0, UINT64_MAX},
    {CONFIG_AT_whale_paper_balance, 0, 1000000000000ULL},
};

static void *config_field(whale_config *config, size_t index)
{
    return (char *)config + config_offsets[index];
}

static const void *config_field_const(const whale_config *config, size_t index)
{
    return (const char *)config + config_offsets[index];
}

static bool config_fail(char error[CONFIG_ERROR_MAX], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Says why, and is false. */
static bool config_fail(char error[CONFIG_ERROR_MAX], const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error, CONFIG_ERROR_MAX, format, arguments);
    va_end(arguments);
    return false;
}

static bool config_invalid(char error[CONFIG_ERROR_MAX], const char *name, const char *value)
{
    return config_fail(error, "invalid value \"%.*s\" in \"%s\" directive", CONFIG_SHOWN_MAX, value,
                       name);
}

static bool config_is_database(size_t index)
{
    return index == CONFIG_AT_whale_database || index == CONFIG_AT_whale_web_database;
}

static bool config_repeats(size_t index)
{
    return index == CONFIG_AT_whale_venue || index == CONFIG_AT_whale_paper_replay;
}

static bool config_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strcmp(text, *words) == 0) {
            return true;
        }
    }
    return false;
}

/* Lower-case letters, digits and what `more` holds; at least one, fewer than `capacity`. */
static bool config_is_word(const char *text, const char *more, size_t capacity)
{
    size_t length = strlen(text);

    if (length == 0 || length >= capacity) {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (!(*text >= 'a' && *text <= 'z') && !(*text >= '0' && *text <= '9') &&
            strchr(more, *text) == NULL) {
            return false;
        }
    }
    return true;
}

/* "binance:usdm" */
static bool config_venue_name(const char *text, config_venue *venue)
{
    static const char *const markets[] = {"spot", "usdm", "coinm", "outcome", NULL};
    const char *colon = strchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : sizeof(venue->venue);

    if (length >= sizeof(venue->venue) || !config_one_of(colon + 1, markets)) {
        return false;
    }
    memcpy(venue->venue, text, length);
    venue->venue[length] = '\0';
    return config_is_word(venue->venue, "_", sizeof(venue->venue)) &&
           config_value_text(colon + 1, venue->market, sizeof(venue->market));
}

/* "rest=https://…"; a part that is given twice is refused. */
static bool config_venue_part(const char *text, config_venue *venue)
{
    const struct {
        const char *key;
        char *field;
        bool socket;
    } parts[] = {{"rest=", venue->rest, false},
                 {"stream=", venue->stream, true},
                 {"leaders=", venue->leaders, false},
                 {"account=", venue->account, false}};

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        size_t length = strlen(parts[i].key);
        const char *url = text + length;

        if (strncmp(text, parts[i].key, length) != 0) {
            continue;
        }
        return parts[i].field[0] == '\0' &&
               (parts[i].socket ? config_value_url(url, "ws", "wss")
                                : config_value_url(url, "http", "https")) &&
               config_value_text(url, parts[i].field, sizeof(venue->rest));
    }
    return false;
}

static bool config_set_venue(whale_config *config, const char *name, const char *const *arguments,
                             size_t count, char error[CONFIG_ERROR_MAX])
{
    config_venue venue = {0};

    if (!config_venue_name(arguments[0], &venue)) {
        return config_invalid(error, name, arguments[0]);
    }
    for (size_t i = 1; i < count; i++) {
        if (!config_venue_part(arguments[i], &venue)) {
            return config_invalid(error, name, arguments[i]);
        }
    }
    if (venue.rest[0] == '\0' || venue.stream[0] == '\0') {
        return config_fail(error, "\"%s\" directive needs rest= and stream= for \"%s\"", name,
                           arguments[0]);
    }
    if (config_find_venue(config, venue.venue, venue.market) != NULL) {
        return config_fail(error, "duplicate venue \"%s\" in \"%s\" directive", arguments[0], name);
    }
    if (config->venue_count == CONFIG_VENUES_MAX) {
        return config_fail(error, "too many \"%s\" directives, at most %d", name,
                           CONFIG_VENUES_MAX);
    }
    if (venue.account[0] == '\0') {
        memcpy(venue.account, venue.rest, sizeof(venue.account));
    }
    config->venues[config->venue_count++] = venue;
    return true;
}

static bool config_set_replay(whale_config *config, const char *name, const char *path,
                              char error[CONFIG_ERROR_MAX])
{
    if (config->paper_replay_count == CONFIG_REPLAYS_MAX) {
        return config_fail(error, "too many \"%s\" directives, at most %d", name,
                           CONFIG_REPLAYS_MAX);
    }
    if (path[0] != '/' || !config_value_text(path, config->paper_replay[config->paper_replay_count],
                                             CONFIG_TEXT_MAX)) {
        return config_invalid(error, name, path);
    }
    config->paper_replay_count++;
    return true;
}

static bool config_count_in_range(size_t index, uint64_t count)
{
    for (size_t i = 0; i < sizeof(config_ranges) / sizeof(config_ranges[0]); i++) {
        if (config_ranges[i].index == index) {
            return count >= config_ranges[i].least && count <= config_ranges[i].most;
        }
    }
    return true;
}

static bool config_set_count(whale_config *config, size_t index, const char *text)
{
    uint64_t count;
    bool is_number = config_directives[index].kind == CONFIG_SIZE
                         ? config_value_size(text, &count)
                         : config_value_count(text, &count);

    if (!is_number || !config_count_in_range(index, count)) {
        return false;
    }
    *(uint64_t *)config_field(config, index) = count;
    return true;
}

static bool config_set_time(whale_config *config, size_t index, const char *text)
{
    int64_t time_ns;

    if (!config_value_time(text, &time_ns) || time_ns <= 0 || time_ns > CONFIG_TIME_MAX_NS) {
        return false;
    }
    *(int64_t *)config_field(config, index) = time_ns;
    return true;
}

static bool config_text_fits(size_t index, const char *text)
{
    static const char *const levels[] = {"debug", "info", "warn", "error", NULL};

    switch (index) {
    case CONFIG_AT_whale_log_level:
        return config_one_of(text, levels);
    case CONFIG_AT_whale_host_name:
        return config_is_word(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ._-", 64);
    default:
        return true;
    }
}

/* One value of a kind; an empty text stands only where it is the default. */
static bool config_set_value(whale_config *config, size_t index, const char *text)
{
    void *field = config_field(config, index);
    bool may_be_empty = config_directives[index].fallback[0] == '\0' || config_is_database(index);

    if (text[0] == '\0' && !may_be_empty) {
        return false;
    }
    switch (config_directives[index].kind) {
    case CONFIG_TEXT:
        return config_text_fits(index, text) && config_value_text(text, field, CONFIG_TEXT_MAX);
    case CONFIG_PATH:
    case CONFIG_SECRET_PATH:
        /* nginx and workerd have other working directories: a relative path would be two files */
        return (text[0] == '/' || text[0] == '\0') &&
               config_value_text(text, field, CONFIG_TEXT_MAX);
    case CONFIG_URL:
        return config_value_url(text, "http", "https") &&
               config_value_text(text, field, CONFIG_TEXT_MAX);
    case CONFIG_COUNT:
    case CONFIG_SIZE:
        return config_set_count(config, index, text);
    case CONFIG_TIME:
        return config_set_time(config, index, text);
    case CONFIG_FLAG:
        return config_value_flag(text, field);
    case CONFIG_ADDRESS:
        return config_value_address(text, field);
    }
    return false;
}

void config_defaults(whale_config *config)
{
    memset(config, 0, sizeof(*config));
    for (size_t i = 0; i < config_directive_count; i++) {
        if (!config_repeats(i)) {
            config_set_value(config, i, config_directives[i].fallback);
        }
    }
}

static size_t config_find(const char *name)
{
    size_t index = 0;

    while (index < config_directive_count && strcmp(config_directives[index].name, name) != 0) {
        index++;
    }
    return index;
}

/* Wrong whatever the directive's kind. The value is not repeated: it may be a secret. */
static bool config_check_arguments(size_t index, const char *const *arguments, size_t count,
                                   char error[CONFIG_ERROR_MAX])
{
    const char *name = config_directives[index].name;

    if (count < 1 || count > (index == CONFIG_AT_whale_venue ? 5 : 1)) {
        return config_fail(error, "invalid number of arguments in \"%s\" directive", name);
    }
    for (size_t i = 0; i < count; i++) {
        if (strchr(arguments[i], '$') != NULL) {
            return config_fail(error, "variables are not supported in \"%s\" directive", name);
        }
    }
    if (config_is_database(index) && config_value_has_password(arguments[0])) {
        return config_fail(error, "password in \"%s\" directive, use \"%s_password_file\" instead",
                           name, name);
    }
    return true;
}

bool config_set(whale_config *config, const char *name, const char *const *arguments, size_t count,
                char error[CONFIG_ERROR_MAX])
{
    size_t index = config_find(name);
    uint64_t bit;

    if (index == config_directive_count) {
        return config_fail(error, "unknown directive \"%.*s\"", CONFIG_SHOWN_MAX, name);
    }
    if (!config_check_arguments(index, arguments, count, error)) {
        return false;
    }
    bit = 1ULL << index;
    if ((config->given & bit) != 0 && !config_repeats(index)) {
        return config_fail(error, "\"%s\" directive is duplicate", name);
    }
    if (index == CONFIG_AT_whale_venue) {
        if (!config_set_venue(config, name, arguments, count, error)) {
            return false;
        }
    } else if (index == CONFIG_AT_whale_paper_replay) {
        if (!config_set_replay(config, name, arguments[0], error)) {
            return false;
        }
    } else if (!config_set_value(config, index, arguments[0])) {
        if (config_is_database(index)) {
            return config_fail(error, "invalid value in \"%s\" directive", name);
        }
        config_invalid(error, name, arguments[0]);
        if (config_directives[index].kind == CONFIG_FLAG) {
            strncat(error, ", it must be \"on\" or \"off\"", CONFIG_ERROR_MAX - strlen(error) - 1);
        }
        return false;
    }
    config->given |= bit;
    return true;
}

bool config_check(const whale_config *config, char error[CONFIG_ERROR_MAX])
{
    const int64_t second_ns = 1000000000LL;

    if (config->receive_window_ns > 60 * second_ns) {
        return config_fail(error, "\"whale_receive_window\" must not be above 60s, the most that "
                                  "venues take");
    }
    if (config->receive_window_ns > config->trade_lease_ns - second_ns) {
        return config_fail(error, "\"whale_receive_window\" must be at least 1s below "
                                  "\"whale_trade_lease\"");
    }
    if (config->shm_positions < config->shm_users) {
        return config_fail(error, "\"whale_shm_positions\" must not be below \"whale_shm_users\"");
    }
    return true;
}

static uint64_t config_mix(uint64_t hash, const void *data, size_t length)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ bytes[i]) * 0x100000001B3ULL; /* FNV-1a */
    }
    return hash;
}

/* With the closing NUL, so that "ab","c" and "a","bc" differ. */
static uint64_t config_mix_text(uint64_t hash, const char *text)
{
    return config_mix(hash, text, strlen(text) + 1);
}

static uint64_t config_mix_number(uint64_t hash, uint64_t number)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(number >> (8 * i));
    }
    return config_mix(hash, bytes, sizeof(bytes));
}

static uint64_t config_mix_venues(uint64_t hash, const whale_config *config)
{
    hash = config_mix_number(hash, config->venue_count);
    for (size_t i = 0; i < config->venue_count && i < CONFIG_VENUES_MAX; i++) {
        const config_venue *venue = &config->venues[i];

        hash = config_mix_text(hash, venue->venue);
        hash = config_mix_text(hash, venue->market);
        hash = config_mix_text(hash, venue->rest);
        hash = config_mix_text(hash, venue->stream);
        hash = config_mix_text(hash, venue->leaders);
        hash = config_mix_text(hash, venue->account);
    }
    return hash;
}

static uint64_t config_mix_value(uint64_t hash, const whale_config *config, size_t index)
{
    const void *field = config_field_const(config, index);
    const config_address *address = field;

    switch (config_directives[index].kind) {
    case CONFIG_TEXT:
    case CONFIG_PATH:
    case CONFIG_SECRET_PATH:
    case CONFIG_URL:
        return config_mix_text(hash, field);
    case CONFIG_COUNT:
    case CONFIG_SIZE:
        return config_mix_number(hash, *(const uint64_t *)field);
    case CONFIG_TIME:
        return config_mix_number(hash, (uint64_t) * (const int64_t *)field);
    case CONFIG_FLAG:
        return config_mix_number(hash, *(const bool *)field);
    case CONFIG_ADDRESS:
        return config_mix_number(config_mix_text(hash, address->host), address->port);
    }
    return hash;
}

uint64_t config_hash(const whale_config *config)
{
    uint64_t hash = 0xCBF29CE484222325ULL;

    for (size_t i = 0; i < config_directive_count; i++) {
        hash = config_mix_text(hash, config_directives[i].name);
        if (i == CONFIG_AT_whale_venue) {
            hash = config_mix_venues(hash, config);
        } else if (i == CONFIG_AT_whale_paper_replay) {
            hash = config_mix_number(hash, config->paper_replay_count);
            for (size_t j = 0; j < config->paper_replay_count && j < CONFIG_REPLAYS_MAX; j++) {
                hash = config_mix_text(hash, config->paper_replay[j]);
            }
        } else {
            hash = config_mix_value(hash, config, i);
        }
    }
    return hash;
}

const config_venue *config_find_venue(const whale_config *config, const char *venue,
                                      const char *market)
{
    for (size_t i = 0; i < config->venue_count && i < CONFIG_VENUES_MAX; i++) {
        const config_venue *entry = &config->venues[i];

        if (strcmp(entry->venue, venue) == 0 && strcmp(entry->market, market) == 0) {
            return entry;
        }
    }
    return NULL;
}
