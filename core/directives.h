/*
 * The one table of directives. nginx and workerd both compile it in, so that `nginx -t` and
 * `workerd -t` say the same of a whale.conf, and docs/CONFIGURATION.md is tested against it.
 *
 * X(name, kind, field of whale_config, default text, when a change takes effect, help)
 *   kind: TEXT, PATH, SECRET_PATH (a file; never its content), COUNT (min..max in config.c),
 *         SIZE (k m g), TIME (ms s m h; kept in ns), FLAG (on|off), ADDRESS (ipv4:port), URL
 *   when: RELOAD = nginx reload / SIGHUP to workerd; RESTART = of workerd, and of nginx where it
 *         reads the value
 * A directive stands at most once, except `whale_venue` and `whale_paper_replay`, which add.
 */
#ifndef WHALE_CORE_DIRECTIVES_H
#define WHALE_CORE_DIRECTIVES_H

#define WHALE_DIRECTIVES(X)                                                                        \
    X(whale_host_name, TEXT, host_name, "localhost", RESTART, "name of this host in leases")       \
    X(whale_hosts, COUNT, hosts, "1", RESTART, "hosts that share the venues' rate limits")         \
    X(whale_log_level, TEXT, log_level, "info", RELOAD, "debug, info, warn or error")              \
    /* Postgres */                                                                                 \
    X(whale_database, TEXT, database, "dbname=whale user=whale_worker", RESTART,                   \
      "libpq connection string of workerd, without a password")                                    \
    X(whale_database_password_file, SECRET_PATH, database_password_file, "", RESTART,              \
      "file with the password of whale_database")                                                  \
    X(whale_web_database, TEXT, web_database, "dbname=whale user=whale_web", RELOAD,               \
      "libpq connection string of nginx: a Unix socket or hostaddr, without a password")           \
    X(whale_web_database_password_file, SECRET_PATH, web_database_password_file, "", RELOAD,       \
      "file with the password of whale_web_database")                                              \
    X(whale_web_pool, COUNT, web_pool, "4", RELOAD, "connections of one nginx worker")             \
    X(whale_web_queue, COUNT, web_queue, "256", RELOAD,                                            \
      "requests that may wait for one, a worker")                                                  \
    X(whale_web_queue_timeout, TIME, web_queue_timeout_ns, "2s", RELOAD, "longest wait, then 503") \
    X(whale_web_statement_timeout, TIME, web_statement_timeout_ns, "5s", RELOAD,                   \
      "longest statement of nginx")                                                                \
    /* shared memory */                                                                            \
    X(whale_shm, PATH, shm_path, "/dev/shm/whale", RESTART, "the segment")                         \
    X(whale_shm_instruments, COUNT, shm_instruments, "4096", RESTART, "price slots")               \
    X(whale_shm_users, COUNT, shm_users, "65536", RESTART, "users held in the segment")            \
    X(whale_shm_positions, COUNT, shm_positions, "262144", RESTART, "open positions held in it")   \
    /* whale_venue binance:usdm rest=URL stream=URL [leaders=URL] [account=URL]; repeated */       \
    X(whale_venue, TEXT, venues, "", RESTART, "a venue's market and its addresses")                \
    X(whale_watch_interval, TIME, watch_interval_ns, "10s", RELOAD, "between reads of one whale")  \
    X(whale_feed_silence, TIME, feed_silence_ns, "10s", RELOAD,                                    \
      "a stream without a frame for this long is replaced")                                        \
    X(whale_price_stale, TIME, price_stale_ns, "15s", RELOAD,                                      \
      "a price older than this is marked stale and opens nothing")                                 \
    X(whale_signal_max_age, TIME, signal_max_age_ns, "60s", RELOAD,                                \
      "older signals open nothing; closes are always made")                                        \
    /* copying */                                                                                  \
    X(whale_trade_processes, COUNT, trade_processes, "1", RESTART, "trade processes of this host") \
    X(whale_trade_connections, COUNT, trade_connections, "64", RESTART,                            \
      "connections to one venue, a trade process")                                                 \
    X(whale_trade_chunk, COUNT, trade_chunk, "1000", RELOAD, "followers reserved in a statement")  \
    X(whale_trade_lease, TIME, trade_lease_ns, "8s", RELOAD, "how long a claim holds")             \
    X(whale_receive_window, TIME, receive_window_ns, "3s", RELOAD,                                 \
      "how long the venue may take to accept a signed request; below the lease")                   \
    /* secrets: files, never values */                                                             \
    X(whale_init_data_key_file, SECRET_PATH, init_data_key_file, "", RELOAD,                       \
      "nginx: HMAC-SHA256(\"WebAppData\", bot token), 64 hex digits")                              \
    X(whale_session_key_file, SECRET_PATH, session_key_file, "", RELOAD, "nginx: signs sessions")  \
    X(whale_webhook_secret_file, SECRET_PATH, webhook_secret_file, "", RELOAD,                     \
      "nginx: the secret that Telegram sends with each update")                                    \
    X(whale_seal_public_key_file, PATH, seal_public_key_file, "", RELOAD,                          \
      "nginx: X25519 public key that API keys are sealed to")                                      \
    X(whale_seal_private_key_file, SECRET_PATH, seal_private_key_file, "", RESTART,                \
      "sign: its private half")                                                                    \
    X(whale_master_key_file, SECRET_PATH, master_key_file, "", RESTART,                            \
      "sign: AES-256 key that stored API keys are encrypted with")                                 \
    X(whale_sign_user, TEXT, sign_user, "", RESTART, "Unix user of the sign role (as root only)")  \
    X(whale_init_data_max_age, TIME, init_data_max_age_ns, "1h", RELOAD, "of initData at sign-in") \
    X(whale_session_lifetime, TIME, session_lifetime_ns, "1h", RELOAD, "of a session token")       \
    /* Telegram */                                                                                 \
    X(whale_bot_token_file, SECRET_PATH, bot_token_file, "", RESTART, "notify: the bot's token")   \
    X(whale_telegram_url, URL, telegram_url, "https://api.telegram.org", RESTART,                  \
      "the Bot API server")                                                                        \
    /* the paper venue */                                                                          \
    X(whale_paper, FLAG, paper, "off", RESTART, "run the paper venue")                             \
    X(whale_paper_listen, ADDRESS, paper_listen, "127.0.0.1:0", RESTART, "its REST address")       \
    X(whale_paper_stream_listen, ADDRESS, paper_stream_listen, "127.0.0.1:0", RESTART,             \
      "its websocket address")                                                                     \
    X(whale_paper_replay, PATH, paper_replay, "", RESTART, "recorded frames to replay; repeated")  \
    X(whale_paper_leaders, PATH, paper_leaders, "", RESTART, "lead traders' starting positions")   \
    X(whale_paper_seed, COUNT, paper_seed, "1", RESTART, "of the leaders' script")                 \
    X(whale_paper_pace, TIME, paper_pace_ns, "6s", RESTART,                                        \
      "between moves of the leaders' script")                                                      \
    X(whale_paper_journal, PATH, paper_journal, "", RESTART,                                       \
      "the paper venue's own log of what it accepted")                                             \
    X(whale_paper_faults, TEXT, paper_faults, "", RESTART,                                         \
      "faults to inject: late=P:MS,never=P,accept_then_drop=P,error=P with P in percent")          \
    X(whale_paper_balance, COUNT, paper_balance, "10000", RESTART, "USDT of a new paper account")

#endif
