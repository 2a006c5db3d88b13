/* What the master decides: roles, pauses, what a new configuration means. */
#include "workerd/master_plan.c" /* part of the program, not of the library */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static whale_config config, fresh, merged;

static int defaults(void **state)
{
    (void)state;
    config_defaults(&config);
    config_defaults(&fresh);
    return 0;
}

static void set(whale_config *into, const char *name, const char *first, const char *second,
                const char *third, const char *fourth)
{
    const char *const arguments[] = {first, second, third, fourth};
    char error[CONFIG_ERROR_MAX] = "";
    size_t count = 0;

    while (count < 4 && arguments[count] != NULL) {
        count++;
    }
    if (!config_set(into, name, arguments, count, error)) {
        fail_msg("%s", error);
    }
}

static void set_everything(whale_config *into)
{
    set(into, "whale_venue", "binance:usdm", "rest=http://a", "stream=ws://a", "leaders=http://a");
    set(into, "whale_master_key_file", "/k/master", NULL, NULL, NULL);
    set(into, "whale_seal_private_key_file", "/k/seal", NULL, NULL, NULL);
    set(into, "whale_bot_token_file", "/k/token", NULL, NULL, NULL);
    set(into, "whale_paper", "on", NULL, NULL, NULL);
}

static unsigned planned(const master_plan *plan, enum shm_role role)
{
    unsigned count = 0;

    for (unsigned i = 0; i < plan->count; i++) {
        count += plan->roles[i].role == role;
    }
    return count;
}

static void given_everything_configured_when_planned_then_every_role_runs(void **state)
{
    master_plan plan;

    (void)state;
    set_everything(&config);
    set(&config, "whale_trade_processes", "3", NULL, NULL, NULL);
    master_plan_roles(&config, &plan);
    for (unsigned role = SHM_ROLE_FEED; role < SHM_ROLE_COUNT; role++) {
        assert_int_equal(planned(&plan, (enum shm_role)role), role == SHM_ROLE_TRADE ? 3 : 1);
        assert_null(plan.left_out[role]);
    }
    for (unsigned i = 0, slot = 0; i < plan.count; i++) {
        if (plan.roles[i].role == SHM_ROLE_TRADE) {
            assert_int_equal(plan.roles[i].slot, slot++);
        }
    }
}

static void
given_nothing_configured_when_planned_then_only_mirror_runs_and_reasons_are_given(void **state)
{
    master_plan plan;

    (void)state;
    master_plan_roles(&config, &plan);
    assert_int_equal(plan.count, 1);
    assert_int_equal(plan.roles[0].role, SHM_ROLE_MIRROR);
    assert_non_null(plan.left_out[SHM_ROLE_FEED]);
    assert_non_null(plan.left_out[SHM_ROLE_WATCH]);
    assert_non_null(plan.left_out[SHM_ROLE_TRADE]);
    assert_non_null(plan.left_out[SHM_ROLE_SIGN]);
    assert_non_null(plan.left_out[SHM_ROLE_NOTIFY]);
    assert_null(plan.left_out[SHM_ROLE_PAPER]); /* off is a choice, not a lack */
}

static void given_one_key_missing_when_planned_then_neither_sign_nor_trade_runs(void **state)
{
    master_plan plan;

    (void)state;
    set(&config, "whale_venue", "binance:usdm", "rest=http://a", "stream=ws://a", NULL);
    set(&config, "whale_master_key_file", "/k/master", NULL, NULL, NULL);
    master_plan_roles(&config, &plan);
    assert_int_equal(planned(&plan, SHM_ROLE_SIGN), 0);
    assert_int_equal(planned(&plan, SHM_ROLE_TRADE), 0);
    assert_string_equal(plan.left_out[SHM_ROLE_TRADE], "whale_seal_private_key_file is not set");
    assert_int_equal(planned(&plan, SHM_ROLE_FEED), 1);
    assert_int_equal(planned(&plan, SHM_ROLE_WATCH), 0); /* no leaders' address */
}

static void given_roles_when_planned_then_only_those_with_rows_wait_for_the_schema(void **state)
{
    master_plan plan;

    (void)state;
    set_everything(&config);
    master_plan_roles(&config, &plan);
    for (unsigned i = 0; i < plan.count; i++) {
        const enum shm_role role = plan.roles[i].role;

        assert_int_equal(plan.roles[i].needs_schema,
                         role == SHM_ROLE_WATCH || role == SHM_ROLE_TRADE ||
                             role == SHM_ROLE_MIRROR || role == SHM_ROLE_NOTIFY);
        assert_int_equal(plan.roles[i].ends_first,
                         role == SHM_ROLE_WATCH || role == SHM_ROLE_TRADE);
    }
}

static void given_failures_when_in_a_row_then_pauses_double_up_to_five_seconds(void **state)
{
    static const int64_t expected_ms[] = {0, 100, 200, 400, 800, 1600, 3200, 5000, 5000};

    (void)state;
    for (unsigned i = 0; i < sizeof(expected_ms) / sizeof(expected_ms[0]); i++) {
        assert_int_equal(master_backoff_ns(i), expected_ms[i] * CLOCK_MS_NS);
    }
    assert_int_equal(master_backoff_ns(4000000000U), 5000 * CLOCK_MS_NS);
}

/* ---- reload
 * --------------------------------------------------------------------------------------- */

static uint64_t bit_of(const char *name)
{
    for (size_t i = 0; i < config_directive_count; i++) {
        if (strcmp(config_directives[i].name, name) == 0) {
            return UINT64_C(1) << i;
        }
    }
    fail_msg("no directive %s", name);
    return 0;
}

static void given_the_same_configuration_when_compared_then_nothing_happens(void **state)
{
    master_change change;

    (void)state;
    set_everything(&config);
    set_everything(&fresh);
    master_plan_change(&config, &fresh, &merged, &change);
    assert_int_equal(change.changed, 0);
    assert_int_equal(change.restart_roles, 0);
    assert_int_equal(config_hash(&merged), config_hash(&config));
}

static void given_a_reload_directive_when_changed_then_its_role_alone_restarts(void **state)
{
    master_change change;

    (void)state;
    set(&fresh, "whale_watch_interval", "3s", NULL, NULL, NULL);
    master_plan_change(&config, &fresh, &merged, &change);
    assert_int_equal(change.changed, bit_of("whale_watch_interval"));
    assert_int_equal(change.waiting, 0);
    assert_int_equal(change.restart_roles, ROLE_BIT(WATCH));
    assert_int_equal(merged.watch_interval_ns, 3 * CLOCK_SECOND_NS);
    assert_int_equal(config_hash(&merged), config_hash(&fresh));
}

static void
given_a_restart_directive_when_changed_then_it_waits_and_the_old_value_stays(void **state)
{
    master_change change;

    (void)state;
    set_everything(&config);
    set(&fresh, "whale_database", "host=/elsewhere dbname=whale", NULL, NULL, NULL);
    set(&fresh, "whale_web_pool", "9", NULL, NULL, NULL);
    master_plan_change(&config, &fresh, &merged, &change);
    assert_true((change.waiting & bit_of("whale_database")) != 0);
    assert_true((change.waiting & bit_of("whale_venue")) != 0);
    assert_true((change.waiting & bit_of("whale_paper")) != 0);
    assert_true((change.changed & bit_of("whale_web_pool")) != 0);
    assert_int_equal(change.restart_roles, 0); /* the pool is nginx's */
    assert_string_equal(merged.database, config.database);
    assert_int_equal(merged.venue_count, 1);
    assert_int_equal(merged.web_pool, 9);
}

/* A directive that workerd does not know the effect of restarts everything: never wrong, but slow.
 * So every reload directive should be in the table. */
static void given_every_reload_directive_when_looked_up_then_its_effect_is_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_directive_count; i++) {
        bool known = config_directives[i].when == CONFIG_RESTART;

        for (size_t j = 0; j < sizeof(effects) / sizeof(effects[0]); j++) {
            known = known || strcmp(effects[j].name, config_directives[i].name) == 0;
        }
        if (!known) {
            fail_msg("%s is not in the table of effects", config_directives[i].name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(given_everything_configured_when_planned_then_every_role_runs,
                               defaults),
        cmocka_unit_test_setup(
            given_nothing_configured_when_planned_then_only_mirror_runs_and_reasons_are_given,
            defaults),
        cmocka_unit_test_setup(given_one_key_missing_when_planned_then_neither_sign_nor_trade_runs,
                               defaults),
        cmocka_unit_test_setup(
            given_roles_when_planned_then_only_those_with_rows_wait_for_the_schema, defaults),
        cmocka_unit_test_setup(given_failures_when_in_a_row_then_pauses_double_up_to_five_seconds,
                               defaults),
        cmocka_unit_test_setup(given_the_same_configuration_when_compared_then_nothing_happens,
                               defaults),
        cmocka_unit_test_setup(given_a_reload_directive_when_changed_then_its_role_alone_restarts,
                               defaults),
        cmocka_unit_test_setup(
            given_a_restart_directive_when_changed_then_it_waits_and_the_old_value_stays, defaults),
        cmocka_unit_test_setup(given_every_reload_directive_when_looked_up_then_its_effect_is_known,
                               defaults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
