/*
 * Reads a file in the grammar of nginx's configuration, as nginx's own reader splits it: the same
 * words, the same errors with file and line, the same oddities (a quoted word must be followed by a
 * blank, `;`, `{` or `)`; unknown escapes stay as written; no word or comment of 4096 bytes).
 *
 * Promises: bounded memory (one word at a time, at most CONFIG_WORDS_MAX kept); the caller's
 * configuration changes only when the whole file is good.
 */
#include "core/config_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_WORD_MAX 4096 /* nginx's NGX_CONF_BUFFER */
#define CONFIG_WORDS_MAX 8   /* whale_venue has 6; more are counted, not kept */
#define CONFIG_FILE_MAX 1048576

enum config_token { CONFIG_DIRECTIVE, CONFIG_BLOCK, CONFIG_BLOCK_END, CONFIG_END, CONFIG_ERROR };

typedef struct {
    const char *path;
    char *error;
    const char *at, *end;
    const char *start; /* of the present word or blank */
    unsigned line, start_line;
    char words[CONFIG_WORDS_MAX][CONFIG_WORD_MAX];
    size_t count; /* of words seen, also those not kept */
    bool quoted, variable, need_space, last_space, comment;
    char quote; /* '"' or '\'' inside one, else 0 */
} config_reader;

static enum config_token config_error_at(const config_reader *reader, unsigned line,
                                         const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum config_token config_error_at(const config_reader *reader, unsigned line,
                                         const char *format, ...)
{
    char reason[CONFIG_ERROR_MAX - 256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    snprintf(reader->error, CONFIG_ERROR_MAX, "%s in %.200s:%u", reason, reader->path, line);
    return CONFIG_ERROR;
}

static bool config_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The word from reader->start up to `end`, with the five escapes that nginx knows. */
static void config_take_word(config_reader *reader, const char *end)
{
    static const char letters[] = "\"'\\trn", values[] = "\"'\\\t\r\n";
    size_t length = 0;
    char *out;

    if (reader->count++ >= CONFIG_WORDS_MAX) {
        return;
    }
    out = reader->words[reader->count - 1];
    for (const char *at = reader->start; at < end && length < CONFIG_WORD_MAX - 1; at++) {
        const char *letter = NULL;

        if (*at == '\\' && at[1] != '\0') {
            letter = strchr(letters, at[1]);
        }
        if (letter != NULL) {
            at++;
        }
        out[length++] = letter != NULL ? values[letter - letters] : *at;
    }
    out[length] = '\0';
}

/* The first character of a word, or one between words. True: `token` is decided. */
static bool config_step_between(config_reader *reader, char c, enum config_token *token)
{
    reader->start = reader->at - 1;
    reader->start_line = reader->line;
    if (config_is_blank(c)) {
        return false;
    }
    switch (c) {
    case ';':
    case '{':
        if (reader->count == 0) {
            *token = config_error_at(reader, reader->line, "unexpected \"%c\"", c);
        } else {
            *token = c == '{' ? CONFIG_BLOCK : CONFIG_DIRECTIVE;
        }
        return true;
    case '}':
        *token = CONFIG_BLOCK_END;
        if (reader->count != 0) {
            *token = config_error_at(reader, reader->line, "unexpected \"}\"");
        }
        return true;
    case '#':
        reader->comment = true;
        return false;
    case '"':
    case '\'':
        reader->start++;
        reader->quote = c;
        break;
    case '\\':
        reader->quoted = true;
        break;
    case '$':
        reader->variable = true;
        break;
    }
    reader->last_space = false;
    return false;
}

/* A further character of a word. */
static bool config_step_word(config_reader *reader, char c, enum config_token *token)
{
    if (c == '{' && reader->variable) {
        return false;
    }
    reader->variable = c == '$';
    if (c == '\\') {
        reader->quoted = true;
        return false;
    }
    if (c == '$') {
        return false;
    }
    if (reader->quote != '\0') {
        if (c != reader->quote) {
            return false;
        }
        reader->quote = '\0';
        reader->need_space = true;
        config_take_word(reader, reader->at - 1);
        return false;
    }
    if (!config_is_blank(c) && c != ';' && c != '{') {
        return false;
    }
    reader->last_space = true;
    config_take_word(reader, reader->at - 1);
    *token = c == '{' ? CONFIG_BLOCK : CONFIG_DIRECTIVE;
    return c == ';' || c == '{';
}

/* Behind a closing quote. True: `token` is decided; else *consumed says if `c` is dealt with. */
static bool config_step_after_quote(config_reader *reader, char c, enum config_token *token,
                                    bool *consumed)
{
    *consumed = config_is_blank(c);
    if (*consumed || c == ')') {
        reader->last_space = true;
        reader->need_space = false;
        return false;
    }
    if (c == ';' || c == '{') {
        *token = c == '{' ? CONFIG_BLOCK : CONFIG_DIRECTIVE;
    } else {
        *token = config_error_at(reader, reader->line, "unexpected \"%c\"", c);
    }
    return true;
}

static enum config_token config_end_of_file(const config_reader *reader)
{
    if (reader->count > 0 || !reader->last_space) {
        return config_error_at(reader, reader->line,
                               "unexpected end of file, expecting \";\" or \"}\"");
    }
    return CONFIG_END;
}

static enum config_token config_too_long(const config_reader *reader)
{
    if (reader->quote != '\0') {
        return config_error_at(reader, reader->start_line,
                               "too long parameter, probably missing terminating \"%c\" character",
                               reader->quote);
    }
    return config_error_at(reader, reader->start_line, "too long parameter \"%.10s...\" started",
                           reader->start);
}

/* The words of the next directive. */
static enum config_token config_next_token(config_reader *reader)
{
    enum config_token token;

    reader->count = 0;
    reader->quoted = reader->variable = reader->need_space = reader->comment = false;
    reader->last_space = true;
    reader->quote = '\0';
    reader->start = reader->at;
    reader->start_line = reader->line;
    for (;;) {
        bool consumed;
        char c;

        if (reader->at == reader->end) {
            return config_end_of_file(reader);
        }
        if (reader->at - reader->start == CONFIG_WORD_MAX) {
            return config_too_long(reader);
        }
        c = *reader->at++;
        if (c == '\n') {
            reader->line++;
            reader->comment = false;
        }
        if (reader->comment) {
            continue;
        }
        if (reader->quoted) {
            reader->quoted = false;
            continue;
        }
        if (reader->need_space) {
            if (config_step_after_quote(reader, c, &token, &consumed)) {
                return token;
            }
            if (consumed) {
                continue;
            }
        }
        if (reader->last_space ? config_step_between(reader, c, &token)
                               : config_step_word(reader, c, &token)) {
            return token;
        }
    }
}

static bool config_is_known(const char *name)
{
    for (size_t i = 0; i < config_directive_count; i++) {
        if (strcmp(config_directives[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool config_apply(config_reader *reader, whale_config *config, bool block)
{
    const char *arguments[CONFIG_WORDS_MAX];
    char reason[CONFIG_ERROR_MAX];
    const char *name = reader->words[0];

    for (size_t i = 1; i < CONFIG_WORDS_MAX; i++) {
        arguments[i - 1] = reader->words[i];
    }
    if (block && config_is_known(name)) {
        config_error_at(reader, reader->line, "directive \"%s\" is not terminated by \";\"", name);
        return false;
    }
    if (!config_set(config, name, arguments, reader->count - 1, reason)) {
        config_error_at(reader, reader->line, "%s", reason);
        return false;
    }
    return true;
}

static bool config_read_all(config_reader *reader, whale_config *config)
{
    for (;;) {
        enum config_token token = config_next_token(reader);

        switch (token) {
        case CONFIG_END:
            return true;
        case CONFIG_ERROR:
            return false;
        case CONFIG_BLOCK_END:
            config_error_at(reader, reader->line, "unexpected \"}\"");
            return false;
        case CONFIG_DIRECTIVE:
        case CONFIG_BLOCK:
            if (!config_apply(reader, config, token == CONFIG_BLOCK)) {
                return false;
            }
        }
    }
}

/* A NUL would end a word early for whoever reads it as a string: refused wherever it stands. */
static bool config_without_nul(config_reader *reader)
{
    const char *nul = memchr(reader->at, '\0', (size_t)(reader->end - reader->at));
    unsigned line = 1;

    if (nul == NULL) {
        return true;
    }
    for (const char *at = reader->at; at < nul; at++) {
        line += *at == '\n';
    }
    config_error_at(reader, line, "unexpected NUL byte");
    return false;
}

bool config_read_text(whale_config *config, const char *text, size_t length, const char *path,
                      char error[CONFIG_ERROR_MAX])
{
    config_reader reader = {
        .path = path, .error = error, .at = text, .end = text + length, .line = 1};
    whale_config fresh;
    char reason[CONFIG_ERROR_MAX - 256];

    config_defaults(&fresh);
    if (!config_without_nul(&reader) || !config_read_all(&reader, &fresh)) {
        return false;
    }
    if (!config_check(&fresh, error)) {
        snprintf(reason, sizeof(reason), "%s", error);
        snprintf(error, CONFIG_ERROR_MAX, "%s in %.200s", reason, path);
        return false;
    }
    *config = fresh;
    return true;
}

static bool config_file_error(char error[CONFIG_ERROR_MAX], const char *call, const char *path)
{
    int code = errno;

    snprintf(error, CONFIG_ERROR_MAX, "%s \"%.512s\" failed (%d: %s)", call, path, code,
             strerror(code));
    return false;
}

static bool config_load(const char *path, char *text, size_t *length, char error[CONFIG_ERROR_MAX])
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t got = 0;

    if (file < 0) {
        return config_file_error(error, "open()", path);
    }
    for (*length = 0; *length < CONFIG_FILE_MAX; *length += (size_t)got) {
        got = read(file, text + *length, CONFIG_FILE_MAX - *length);
        if (got < 0 && errno == EINTR) {
            got = 0;
            continue;
        }
        if (got <= 0) {
            break;
        }
    }
    if (got < 0) {
        config_file_error(error, "read()", path);
    }
    close(file);
    if (*length == CONFIG_FILE_MAX) {
        snprintf(error, CONFIG_ERROR_MAX, "\"%.512s\" is too large", path);
        return false;
    }
    return got == 0;
}

bool config_read(whale_config *config, const char *path, char error[CONFIG_ERROR_MAX])
{
    char *text = malloc(CONFIG_FILE_MAX);
    size_t length;
    bool done;

    if (text == NULL) {
        return config_file_error(error, "malloc() for", path);
    }
    done = config_load(path, text, &length, error) &&
           config_read_text(config, text, length, path, error);
    free(text);
    return done;
}
