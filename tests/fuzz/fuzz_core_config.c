/*
 * Fuzzes the configuration reader. Checked: a refused text changes nothing and has a reason that
 * fits; a taken one passes the check between directives and has a stable hash; no reason shows a
 * password.
 */
#include "core/config_private.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static whale_config config, before;
static char error[CONFIG_ERROR_MAX];

static void must(bool truth)
{
    if (!truth) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (before.hosts == 0) {
        config_defaults(&before);
    }
    memcpy(&config, &before, sizeof(config));
    memset(error, 'x', sizeof(error));
    if (!config_read_text(&config, (const char *)data, size, "FILE", error)) {
        must(memcmp(&config, &before, sizeof(config)) == 0);
        must(memchr(error, '\0', sizeof(error)) != NULL && strstr(error, " in FILE") != NULL);
        return 0;
    }
    must(config_check(&config, error));
    must(config_hash(&config) == config_hash(&config));
    must(config.venue_count <= CONFIG_VENUES_MAX);
    must(!config_value_has_password(config.database));
    for (size_t i = 0; i < config.venue_count; i++) {
        const config_venue *venue = &config.venues[i];

        must(config_find_venue(&config, venue->venue, venue->market) == venue);
        must(config_value_url(venue->stream, "ws", "wss"));
    }
    return 0;
}
