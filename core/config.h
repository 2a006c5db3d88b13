/*
 * The configuration: flat `whale_*` directives in nginx's grammar, one table (core/directives.h).
 *
 * Promises: the same text gives the same verdict in nginx and in workerd, in nginx's words with
 * file and line; no partial configuration; secrets are file names only; `config_hash` is the same
 * for both when they run with the same values, so that /health can show a mismatch.
 */
#ifndef WHALE_CORE_CONFIG_H
#define WHALE_CORE_CONFIG_H

#include "core/directives.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_TEXT_MAX 512
#define CONFIG_VENUES_MAX 32
#define CONFIG_REPLAYS_MAX 16
#define CONFIG_ERROR_MAX 768

typedef struct {
    char venue[16];   /* "binance" */
    char market[16];  /* "usdm" */
    char rest[256];   /* "http://127.0.0.1:9001": scheme, host, port; no path */
    char stream[256]; /* "ws://127.0.0.1:9002" */
    char leaders[256];
    char account[256]; /* where key permissions and transfers live; = rest where not given */
} config_venue;

typedef char config_text[CONFIG_TEXT_MAX];

typedef struct {
    char host[64]; /* numeric IPv4 */
    uint16_t port; /* 0: any free one */
} config_address;

typedef struct {
    config_text host_name, log_level, database, database_password_file, web_database;
    config_text web_database_password_file, shm_path, init_data_key_file, session_key_file;
    config_text webhook_secret_file, seal_public_key_file, seal_private_key_file, master_key_file;
    config_text sign_user, bot_token_file, telegram_url, paper_leaders, paper_journal, paper_faults;
    uint64_t hosts, web_pool, web_queue, shm_instruments, shm_users, shm_positions;
    uint64_t trade_processes, trade_connections, trade_chunk, paper_seed, paper_balance;
    int64_t web_queue_timeout_ns, web_statement_timeout_ns, watch_interval_ns, feed_silence_ns;
    int64_t price_stale_ns, signal_max_age_ns, trade_lease_ns, receive_window_ns;
    int64_t init_data_max_age_ns, session_lifetime_ns, paper_pace_ns;
    bool paper;
    config_address paper_listen, paper_stream_listen;
    config_venue venues[CONFIG_VENUES_MAX];
    size_t venue_count;
    config_text paper_replay[CONFIG_REPLAYS_MAX];
    size_t paper_replay_count;
    uint64_t given; /* bit i: directive i of the table stood in the file */
} whale_config;

enum config_kind {
    CONFIG_TEXT,
    CONFIG_PATH,
    CONFIG_SECRET_PATH,
    CONFIG_COUNT,
    CONFIG_SIZE,
    CONFIG_TIME,
    CONFIG_FLAG,
    CONFIG_ADDRESS,
    CONFIG_URL,
};
enum config_when { CONFIG_RELOAD, CONFIG_RESTART };

typedef struct {
    const char *name;
    enum config_kind kind;
    const char *fallback;
    enum config_when when;
    const char *help;
} config_directive;

extern const config_directive config_directives[];
extern const size_t config_directive_count;

/* All defaults. */
void config_defaults(whale_config *config);
/*
 * One directive with its arguments, as nginx's parser or ours split them. False: `error` says why,
 * in nginx's words without file and line ("\"whale_hosts\" directive is duplicate"). Venues take
 * several arguments, all others exactly one. Paths are absolute, since nginx and workerd have other
 * working directories; an empty text is taken where it is the default.
 */
bool config_set(whale_config *config, const char *name, const char *const *arguments, size_t count,
                char error[CONFIG_ERROR_MAX]);
/* What no single directive shows: the window below the lease, enough positions for the users. */
bool config_check(const whale_config *config, char error[CONFIG_ERROR_MAX]);
/*
 * Reads a whole file in nginx's grammar (comments, quotes, escapes; no blocks, no variables, no
 * include), starting from the defaults, and checks it as config_check does. False: error =
 * `unknown directive "whale_x" in /etc/whale/whale.conf:12`, as nginx words it; *config is
 * untouched.
 */
bool config_read(whale_config *config, const char *path, char error[CONFIG_ERROR_MAX]);
/* Over every value, in table order: equal in nginx and workerd when they run with the same. */
uint64_t config_hash(const whale_config *config);
/* The venue's addresses, or NULL. */
const config_venue *config_find_venue(const whale_config *config, const char *venue,
                                      const char *market);

#endif
