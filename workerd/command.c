/*
 * The command line: see command.h for the promises.
 */
#include "workerd/command.h"

#include "core/crypto.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND_SECRET_MAX 512

static const char help[] =
    "usage: workerd [-c FILE]                            run the daemon\n"
    "       workerd -t [-c FILE]                         test the configuration, then end\n"
    "       workerd migrate [-c FILE] [--owner CONNINFO] bring the database's schema up to date\n"
    "       workerd keys DIRECTORY                       make the key files that are missing\n"
    "       workerd init-data-key TOKENFILE [OUT]        key that checks Telegram's sign-in data\n"
    "       workerd role NAME [-c FILE] [--slot N]       one role in the foreground\n"
    "       workerd status [--json] [-c FILE]            roles, counters and latencies\n"
    "       workerd verify [-c FILE]                     compare shared memory with Postgres\n"
    "       workerd -V | -h                              version, this text\n"
    "\n"
    "FILE is " COMMAND_CONFIG_DEFAULT " unless given. SIGHUP reads it again, SIGTERM ends.\n"
    "Exit status: 0 done, 1 failed, 2 wrong command line.\n";

void command_help(void)
{
    fputs(help, stdout);
}

void command_error(const char *format, ...)
{
    va_list arguments;

    fputs("workerd: [emerg] ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

static bool wrong_usage(const char *what, const char *text)
{
    fprintf(stderr, "workerd: %s \"%s\" (workerd -h tells the usage)\n", what, text);
    return false;
}

/* Options that take a value: where it goes, or NULL. */
static const char **value_option(const char *option, command_line *line, const char **slot)
{
    if (strcmp(option, "-c") == 0) {
        return &line->config_path;
    }
    if (strcmp(option, "--owner") == 0) {
        return &line->owner;
    }
    return strcmp(option, "--slot") == 0 ? slot : NULL;
}

static bool flag_option(const char *option, command_line *line)
{
    if (strcmp(option, "-t") == 0) {
        line->test = true;
    } else if (strcmp(option, "-V") == 0 || strcmp(option, "--version") == 0) {
        line->version = true;
    } else if (strcmp(option, "-h") == 0 || strcmp(option, "--help") == 0) {
        line->help = true;
    } else if (strcmp(option, "--json") == 0) {
        line->json = true;
    } else {
        return wrong_usage("unknown option", option);
    }
    return true;
}

static bool parse_slot(const char *text, unsigned *slot)
{
    char *end;
    long value;

    if (text == NULL) {
        return true;
    }
    value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < 0 || value > 15) {
        return wrong_usage("--slot is 0 to 15, not", text);
    }
    *slot = (unsigned)value;
    return true;
}

bool command_parse(int argc, char **argv, command_line *line)
{
    const char *slot = NULL;

    *line = (command_line){.config_path = COMMAND_CONFIG_DEFAULT};
    for (int i = 1; i < argc; i++) {
        const char **value = value_option(argv[i], line, &slot);

        if (value != NULL) {
            if (i + 1 == argc || argv[i + 1][0] == '\0') {
                return wrong_usage("a value is missing after", argv[i]);
            }
            *value = argv[++i];
        } else if (argv[i][0] == '-') {
            if (!flag_option(argv[i], line)) {
                return false;
            }
        } else if (line->word_count == sizeof(line->words) / sizeof(line->words[0])) {
            return wrong_usage("one argument too many:", argv[i]);
        } else {
            line->words[line->word_count++] = argv[i];
        }
    }
    return parse_slot(slot, &line->slot);
}

bool command_read_config(const char *path, whale_config *config)
{
    char error[CONFIG_ERROR_MAX] = "";

    config_defaults(config);
    if (!config_read(config, path, error)) {
        command_error("%s", error);
        return false;
    }
    return true;
}

/* The key files that workerd itself reads. A daemon that starts without them says so and waits for
 * them. */
static bool command_check_keys(const whale_config *config)
{
    const char *const keys[] = {config->master_key_file, config->seal_private_key_file};
    const char *const texts[] = {config->bot_token_file, config->database_password_file};
    uint8_t key[CRYPTO_KEY_SIZE];
    char text[COMMAND_SECRET_MAX], error[CONFIG_ERROR_MAX];
    bool good = true;

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && good; i++) {
        good = keys[i][0] == '\0' || crypto_read_key(keys[i], key, error, sizeof(error));
    }
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && good; i++) {
        good = texts[i][0] == '\0' ||
               crypto_read_secret(texts[i], text, sizeof(text), error, sizeof(error)) >= 0;
    }
    crypto_wipe(key, sizeof(key));
    crypto_wipe(text, sizeof(text));
    if (!good) {
        command_error("%s", error);
    }
    return good;
}

int command_test(const char *path)
{
    static whale_config config;

    if (!command_read_config(path, &config) || !command_check_keys(&config)) {
        fprintf(stderr, "workerd: configuration file %s test failed\n", path);
        return COMMAND_FAILED;
    }
    fprintf(stderr, "workerd: configuration file %s test is successful\n", path);
    return COMMAND_OK;
}
