/*
 * The command line: what each word does besides running the daemon.
 *
 * Promises: errors go to stderr in nginx's words ("workerd: [emerg] ..."), one line each; the exit
 * status is 0 where the command did what it was asked, 1 where it could not, 2 for a wrong command
 * line; key files are never overwritten and are readable by their owner alone.
 */
#ifndef WHALE_WORKERD_COMMAND_H
#define WHALE_WORKERD_COMMAND_H

#include "core/config.h"

#define COMMAND_VERSION "0.1.0"
#define COMMAND_CONFIG_DEFAULT "/etc/whale/whale.conf"

enum command_status { COMMAND_OK = 0, COMMAND_FAILED = 1, COMMAND_USAGE = 2 };

typedef struct {
    const char *config_path;
    const char *owner; /* --owner CONNINFO; NULL: whale_database */
    const char *words[3];
    unsigned word_count;
    unsigned slot;
    bool test, version, help, json;
} command_line;

/* False: says why on stderr. */
bool command_parse(int argc, char **argv, command_line *line);
void command_help(void);
/* "workerd: [emerg] ..." on stderr. */
void command_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

bool command_read_config(const char *path, whale_config *config);
/* The text, and the key files that workerd itself reads: there, whole, and nobody else's to read.
 */
int command_test(const char *path);
/* Makes master.key, seal.private, seal.public and session.key where they are missing. */
int command_keys(const char *directory);
/* HMAC-SHA256("WebAppData", token) in hex, to stdout or into a new file. */
int command_init_data_key(const char *token_path, const char *out_path);

#endif
