/*
 * What the parts of config share: readers of one value each. They say only whether the text is a
 * value of its kind; the words of the error are config.c's.
 */
#ifndef WHALE_CORE_CONFIG_PRIVATE_H
#define WHALE_CORE_CONFIG_PRIVATE_H

#include "core/config.h"

/* Digits only. */
bool config_value_count(const char *text, uint64_t *value);
/* Digits with k, m or g (1024 each), either case. */
bool config_value_size(const char *text, uint64_t *value);
/* "1h30m", "500ms", "5" (seconds): units once each, from large to small, as nginx reads them. */
bool config_value_time(const char *text, int64_t *value_ns);
bool config_value_flag(const char *text, bool *value);
bool config_value_address(const char *text, config_address *value);
/* SCHEME://host[:port] with one of two schemes, no path, no user. */
bool config_value_url(const char *text, const char *scheme, const char *secure_scheme);
/* Copies where it fits. */
bool config_value_text(const char *text, char *out, size_t capacity);
/* A libpq connection string that carries a password, as a keyword or in a URI. */
bool config_value_has_password(const char *text);

/* config_read of text in memory; `path` is for the errors only. */
bool config_read_text(whale_config *config, const char *text, size_t length, const char *path,
                      char error[CONFIG_ERROR_MAX]);

#endif
