/*
 * workerd: the daemon of Whale. Reads the command line and hands over.
 */
#include "workerd/command.h"
#include "workerd/master.h"
#include "workerd/migrate.h"
#include "workerd/mirror/mirror_verify.h"
#include "workerd/status.h"

#include <stdio.h>
#include <string.h>

static void say_line(void *owner, const char *line)
{
    (void)owner;
    fprintf(stderr, "workerd: %s\n", line);
}

static int migrate(const whale_config *config, const command_line *line)
{
    const char *conninfo = line->owner != NULL ? line->owner : config->database;
    const char *password_file = line->owner != NULL ? NULL : config->database_password_file;

    return migrate_run(conninfo, password_file, say_line, NULL) ? COMMAND_OK : COMMAND_FAILED;
}

static int usage(void)
{
    fputs("workerd: wrong command line (workerd -h tells the usage)\n", stderr);
    return COMMAND_USAGE;
}

static bool is_command(const char *word)
{
    static const char *const words[] = {"", "migrate", "role", "status", "verify"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(word, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Commands that need no configuration; -1: this is none of them. */
static int run_bare(const command_line *line)
{
    const char *word = line->word_count > 0 ? line->words[0] : "";

    if (line->help) {
        command_help();
        return COMMAND_OK;
    }
    if (line->version) {
        puts("workerd " COMMAND_VERSION);
        return COMMAND_OK;
    }
    if (line->test) {
        return line->word_count == 0 ? command_test(line->config_path) : usage();
    }
    if (strcmp(word, "keys") == 0) {
        return line->word_count == 2 ? command_keys(line->words[1]) : usage();
    }
    if (strcmp(word, "init-data-key") == 0) {
        return line->word_count >= 2 ? command_init_data_key(line->words[1], line->words[2])
                                     : usage();
    }
    return is_command(word) ? -1 : usage();
}

static int run_configured(const command_line *line, whale_config *config)
{
    const char *word = line->word_count > 0 ? line->words[0] : "";

    if (line->word_count == 0) {
        return master_run(config, line->config_path);
    }
    if (strcmp(word, "role") == 0) {
        return line->word_count == 2
                   ? master_run_role(config, line->config_path, line->words[1], line->slot)
                   : usage();
    }
    if (line->word_count > 1) {
        return usage();
    }
    if (strcmp(word, "migrate") == 0) {
        return migrate(config, line);
    }
    if (strcmp(word, "status") == 0) {
        return status_print(config, line->json) ? COMMAND_OK : COMMAND_FAILED;
    }
    if (strcmp(word, "verify") == 0) {
        return mirror_verify(config) ? COMMAND_OK : COMMAND_FAILED;
    }
    return usage();
}

int main(int argc, char **argv)
{
    static whale_config config;
    command_line line;
    int status;

    if (!command_parse(argc, argv, &line)) {
        return COMMAND_USAGE;
    }
    status = run_bare(&line);
    if (status >= 0) {
        return status;
    }
    if (!command_read_config(line.config_path, &config)) {
        return COMMAND_FAILED;
    }
    master_title_start(argc, argv);
    return run_configured(&line, &config);
}
