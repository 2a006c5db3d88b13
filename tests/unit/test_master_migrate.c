/* `workerd migrate`, and a daemon that waits for it. */
#include "tests/unit/database.h"
#include "tests/unit/process.h"

static char config[128], owner[256];
static process_status look;

static int start_all(void **state)
{
    char text[1024];

    (void)state;
    database_start();
    process_start_directory();
    snprintf(text, sizeof(text),
             "whale_database \"host=%s dbname=whale user=whale_worker\";\nwhale_shm %s;\n"
             "whale_shm_users 1024;\nwhale_shm_positions 4096;\n",
             database_directory, database_segment);
    snprintf(config, sizeof(config), "%s", process_file("whale.conf", text));
    snprintf(owner, sizeof(owner), "%s", database_conninfo);
    return 0;
}

static int stop_all(void **state)
{
    (void)state;
    process_end_directory();
    database_stop();
    return 0;
}

/* No schema at all, and the roles of the cluster gone as well. */
static int empty_database(void **state)
{
    (void)state;
    database_run("drop schema public cascade");
    database_run("create schema public");
    database_run("drop role if exists whale_worker");
    database_run("drop role if exists whale_web");
    return 0;
}

static pid_t begin_migrate(const char *log)
{
    return process_begin(log, "migrate", "-c", config, "--owner", owner, NULL);
}

static void
given_an_empty_database_when_two_migrate_at_once_then_each_step_is_made_once(void **state)
{
    pid_t runs[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        const char *const logs[] = {"one", "two", "three"};

        runs[i] = begin_migrate(logs[i]);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(process_end(runs[i]), 0);
    }
    assert_int_equal(strtol(database_value("select count(*) from schema_migrations"), NULL, 10),
                     migration_entry_count);
    assert_int_equal(process_end(begin_migrate("again")), 0);
    assert_non_null(strstr(process_output("again"), "the schema is up to date"));
}

static void
given_a_schema_that_is_up_to_date_when_the_worker_migrates_then_it_may_look(void **state)
{
    (void)state;
    assert_int_equal(process_end(begin_migrate("log")), 0);
    assert_int_equal(process_end(process_begin("log", "migrate", "-c", config, NULL)), 0);
    assert_non_null(strstr(process_output("log"), "the schema is up to date"));
    /* but neither it nor nginx may write the list */
    assert_string_equal(
        database_value("select string_agg(has_table_privilege(r, 'schema_migrations', "
                       "p)::text, ' ') from unnest(array['whale_worker', "
                       "'whale_web']) r, unnest(array['select', 'insert', 'update', "
                       "'delete']) p"),
        "true false false false true false false false");
}

static void given_a_changed_migration_when_run_then_it_is_refused_and_nothing_touched(void **state)
{
    (void)state;
    assert_int_equal(process_end(begin_migrate("log")), 0);
    database_run("update schema_migrations set checksum = repeat('0', 64) where version = 1");
    assert_int_equal(process_end(begin_migrate("log")), 1);
    assert_non_null(strstr(process_output("log"), "was changed after it was applied"));
}

static void given_a_schema_from_the_future_when_run_then_the_newer_binary_is_asked_for(void **state)
{
    (void)state;
    assert_int_equal(process_end(begin_migrate("log")), 0);
    database_run("insert into schema_migrations (version, name, checksum) values (99, 'x', 'y')");
    assert_int_equal(process_end(begin_migrate("log")), 1);
    assert_non_null(strstr(process_output("log"), "newer than this binary"));
}

static void given_a_migration_that_fails_when_run_then_nothing_of_it_is_kept(void **state)
{
    (void)state;
    database_run("create table trades (mine text)"); /* in the way, late in the first migration */
    assert_int_equal(process_end(begin_migrate("log")), 1);
    assert_non_null(strstr(process_output("log"), "nothing of it was kept"));
    assert_string_equal(database_value("select to_regclass('users') is null and (select count(*) "
                                       "from schema_migrations) = 0"),
                        "t");
    database_run("drop table trades");
    assert_int_equal(process_end(begin_migrate("log")), 0);
}

static void given_a_lock_that_is_held_when_run_then_it_says_that_it_waits(void **state)
{
    pid_t run;

    (void)state;
    database_run("select pg_advisory_lock(x'7768616c65'::bigint)");
    run = begin_migrate("log");
    wait_until(strstr(process_output("log"), "another migration is running; waiting") != NULL);
    database_run("select pg_advisory_unlock(x'7768616c65'::bigint)");
    assert_int_equal(process_end(run), 0);
}

static void given_a_daemon_without_schema_when_migrated_then_its_roles_start(void **state)
{
    pid_t master = process_begin("daemon", "-c", config, NULL);

    (void)state;
    wait_until(strstr(process_output("daemon"), "schema.waiting") != NULL);
    assert_true(process_look(config, &look)); /* live all the same */
    assert_int_equal(process_of(&look, "mirror"), 0);
    assert_int_equal(process_end(begin_migrate("log")), 0);
    wait_until(process_look(config, &look) && process_of(&look, "mirror") != 0);
    assert_int_equal(process_end(process_begin("log", "verify", "-c", config, NULL)), 0);
    kill(master, SIGTERM);
    assert_int_equal(process_end(master), 0);
}

static void given_a_role_in_the_foreground_when_run_then_it_makes_its_own_segment(void **state)
{
    pid_t mirror;

    (void)state;
    assert_int_equal(process_end(begin_migrate("log")), 0);
    unlink(database_segment);
    mirror = process_begin("role", "role", "mirror", "-c", config, NULL);
    wait_until((process_look(config, &look), process_of(&look, "mirror")) == mirror);
    assert_int_equal(process_end(process_begin("log", "verify", "-c", config, NULL)), 0);
    kill(mirror, SIGTERM);
    assert_int_equal(process_end(mirror), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(
            given_an_empty_database_when_two_migrate_at_once_then_each_step_is_made_once,
            empty_database),
        cmocka_unit_test_setup(
            given_a_schema_that_is_up_to_date_when_the_worker_migrates_then_it_may_look,
            empty_database),
        cmocka_unit_test_setup(
            given_a_changed_migration_when_run_then_it_is_refused_and_nothing_touched,
            empty_database),
        cmocka_unit_test_setup(
            given_a_schema_from_the_future_when_run_then_the_newer_binary_is_asked_for,
            empty_database),
        cmocka_unit_test_setup(given_a_migration_that_fails_when_run_then_nothing_of_it_is_kept,
                               empty_database),
        cmocka_unit_test_setup(given_a_lock_that_is_held_when_run_then_it_says_that_it_waits,
                               empty_database),
        cmocka_unit_test_setup(given_a_daemon_without_schema_when_migrated_then_its_roles_start,
                               empty_database),
        cmocka_unit_test_setup(
            given_a_role_in_the_foreground_when_run_then_it_makes_its_own_segment, empty_database),
    };

    return cmocka_run_group_tests(tests, start_all, stop_all);
}
