/*
 * What the master decides: see the header.
 */
#include "workerd/master_plan.h"

#include "venues/venue.h"

#include <stddef.h>
#include <string.h>

#define ROLE_BIT(role) (1U << SHM_ROLE_##role)
#define EVERY_ROLE                                                                                 \
    (ROLE_BIT(FEED) | ROLE_BIT(WATCH) | ROLE_BIT(TRADE) | ROLE_BIT(SIGN) | ROLE_BIT(MIRROR) |      \
     ROLE_BIT(NOTIFY) | ROLE_BIT(PAPER))

/* ---- roles ------------------------------------------------------------------------------------
 */

static void plan_add(master_plan *plan, enum shm_role role, unsigned slot)
{
    const bool database = role == SHM_ROLE_WATCH || role == SHM_ROLE_TRADE ||
                          role == SHM_ROLE_MIRROR || role == SHM_ROLE_NOTIFY;

    if (plan->count < MASTER_PLAN_MAX) {
        plan->roles[plan->count++] = (master_planned){
            .role = role,
            .slot = slot,
            .needs_schema = database,
            .ends_first = role == SHM_ROLE_WATCH || role == SHM_ROLE_TRADE,
        };
    }
}

/* A venue that has an adapter here and shows its leaders somewhere. */
static bool plan_has_leaders(const whale_config *config)
{
    for (size_t i = 0; i < config->venue_count; i++) {
        const config_venue *venue = &config->venues[i];
        enum venue_market market;
        const venue_adapter *adapter;

        if (venue->leaders[0] == '\0' || !venue_market_by_name(venue->market, &market)) {
            continue;
        }
        adapter = venue_find(venue->venue, market);
        if (adapter != NULL && adapter->capabilities[VENUE_OP_LEADER_POSITIONS] == VENUE_CAN) {
            return true;
        }
    }
    return false;
}

static const char *plan_lack_of_keys(const whale_config *config)
{
    if (config->master_key_file[0] == '\0') {
        return "whale_master_key_file is not set";
    }
    if (config->seal_private_key_file[0] == '\0') {
        return "whale_seal_private_key_file is not set";
    }
    return NULL;
}

void master_plan_roles(const whale_config *config, master_plan *plan)
{
    const char *no_venue = config->venue_count == 0 ? "no whale_venue is set" : NULL;
    const char *no_keys = plan_lack_of_keys(config);

    memset(plan, 0, sizeof(*plan));
    plan->left_out[SHM_ROLE_FEED] = no_venue;
    plan->left_out[SHM_ROLE_WATCH] =
        plan_has_leaders(config) ? NULL : "no whale_venue has leaders that can be read";
    plan->left_out[SHM_ROLE_SIGN] = no_keys;
    plan->left_out[SHM_ROLE_TRADE] = no_keys != NULL ? no_keys : no_venue;
    plan->left_out[SHM_ROLE_NOTIFY] =
        config->bot_token_file[0] == '\0' ? "whale_bot_token_file is not set" : NULL;

    /* The order of starting: what others connect to first. */
    if (config->paper) {
        plan_add(plan, SHM_ROLE_PAPER, 0);
    }
    for (unsigned role = SHM_ROLE_FEED; role <= SHM_ROLE_NOTIFY; role++) {
        unsigned copies = role == SHM_ROLE_TRADE ? (unsigned)config->trade_processes : 1;

        for (unsigned slot = 0; slot < copies && plan->left_out[role] == NULL; slot++) {
            plan_add(plan, (enum shm_role)role, slot);
        }
    }
}

int64_t master_backoff_ns(unsigned failures)
{
    int64_t pause = MASTER_BACKOFF_FIRST_NS;

    if (failures == 0) {
        return 0;
    }
    while (--failures > 0 && pause < MASTER_BACKOFF_LAST_NS) {
        pause *= 2;
    }
    return pause < MASTER_BACKOFF_LAST_NS ? pause : MASTER_BACKOFF_LAST_NS;
}

/* ---- configuration ------------------------------------------------------------------------------
 */

static const struct {
    size_t offset, size;
    enum config_when when;
} fields[] = {
#define FIELD(name, kind, field, fallback, when, help)                                             \
    {offsetof(whale_config, field), sizeof(((whale_config *)0)->field), CONFIG_##when},
    WHALE_DIRECTIVES(FIELD)
#undef FIELD
};

/* What a reload directive means for workerd. Those of nginx alone are none of its business; one
 * that is not listed restarts every role, which is slow but never wrong. */
static const struct {
    const char *name;
    uint32_t roles;
} effects[] = {
    {"whale_log_level", EVERY_ROLE},
    {"whale_watch_interval", ROLE_BIT(WATCH)},
    {"whale_feed_silence", ROLE_BIT(FEED)},
    {"whale_price_stale", ROLE_BIT(TRADE) | ROLE_BIT(WATCH)},
    {"whale_signal_max_age", ROLE_BIT(TRADE)},
    {"whale_trade_chunk", ROLE_BIT(TRADE)},
    {"whale_trade_lease", ROLE_BIT(TRADE)},
    {"whale_receive_window", ROLE_BIT(TRADE)},
    {"whale_web_database", 0},
    {"whale_web_database_password_file", 0},
    {"whale_web_pool", 0},
    {"whale_web_queue", 0},
    {"whale_web_queue_timeout", 0},
    {"whale_web_statement_timeout", 0},
    {"whale_init_data_key_file", 0},
    {"whale_session_key_file", 0},
    {"whale_webhook_secret_file", 0},
    {"whale_seal_public_key_file", 0},
    {"whale_init_data_max_age", 0},
    {"whale_session_lifetime", 0},
};

static uint32_t change_effect(const char *name)
{
    for (size_t i = 0; i < sizeof(effects) / sizeof(effects[0]); i++) {
        if (strcmp(effects[i].name, name) == 0) {
            return effects[i].roles;
        }
    }
    return EVERY_ROLE;
}

static bool change_differs(const whale_config *old, const whale_config *fresh, size_t index)
{
    const size_t offset = fields[index].offset;

    if (offset == offsetof(whale_config, venues) && old->venue_count != fresh->venue_count) {
        return true;
    }
    if (offset == offsetof(whale_config, paper_replay) &&
        old->paper_replay_count != fresh->paper_replay_count) {
        return true;
    }
    return memcmp((const char *)old + offset, (const char *)fresh + offset, fields[index].size) !=
           0;
}

void master_plan_change(const whale_config *old, const whale_config *fresh, whale_config *merged,
                        master_change *change)
{
    memset(change, 0, sizeof(*change));
    *merged = *old;
    for (size_t i = 0; i < config_directive_count; i++) {
        const uint64_t bit = UINT64_C(1) << i;

        if (!change_differs(old, fresh, i)) {
            continue;
        }
        change->changed |= bit;
        if (fields[i].when == CONFIG_RESTART) {
            change->waiting |= bit;
            continue;
        }
        memcpy((char *)merged + fields[i].offset, (const char *)fresh + fields[i].offset,
               fields[i].size);
        merged->given = (merged->given & ~bit) | (fresh->given & bit);
        change->restart_roles |= change_effect(config_directives[i].name);
    }
}
