/*
 * The Postgres client when the connection does not hold: terminated backends, restarts, a cut
 * cable, no server at all; and how it connects, listens and logs in.
 */
#include "tests/unit/net_pg_fixture.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

/* ---- lost connections ------------------------------------------------------------------------ */

static void terminate(const char *name)
{
    fixture *f = open_fixture("killer");
    net_pg_unit *unit = unit_of(false,
                                "select count(pg_terminate_backend(pid)) from pg_stat_activity "
                                "where application_name = $1",
                                NULL);

    net_pg_text(unit, name);
    assert_int_equal(run_unit(f, unit), NET_PG_DONE);
    assert_string_equal(f->value, "1");
    close_fixture(f);
}

static void test_a_terminated_backend_loses_what_was_in_flight(void **state)
{
    fixture *f = open_fixture("victim");

    (void)state;
    wait_ready(f, 1);
    ask(f, "create table survivors (x int)");
    f->ended = 0;
    memset(f->order, 0, sizeof(f->order));
    /* given one unit that the server works on, seven behind it on the wire, and two in the queue */
    assert_true(run(f, unit_of(true, "select pg_sleep(30)", NULL), 'a'));
    for (char name = 'b'; name <= 'j'; name++) {
        assert_true(run(f, unit_of(true, "insert into survivors values (1)", NULL), name));
    }
    assert_int_equal(net_pg_waiting(f->pg), 10);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    terminate("victim");
    /* then those on the wire are lost, even though an error came for the first */
    run_until(f, 8);
    assert_string_equal(f->order, "abcdefgh");
    assert_int_equal(f->outcome, NET_PG_LOST);
    assert_string_equal(f->sqlstate, "");
    assert_int_equal(f->count, 0);
    assert_false(net_pg_connected(f->pg));
    /* and those in the queue run on the next connection */
    run_until(f, 10);
    assert_int_equal(f->outcome, NET_PG_DONE);
    assert_string_equal(ask(f, "select count(*) from survivors"), "2");
    close_fixture(f);
}

static void test_an_idle_connection_comes_back(void **state)
{
    fixture *f = open_fixture("idle victim");

    (void)state;
    wait_ready(f, 1);
    assert_true(net_pg_connected(f->pg));
    terminate("idle victim");
    wait_ready(f, 2);
    assert_string_equal(ask(f, "select 1"), "1");
    close_fixture(f);
}

static void test_a_restart_of_the_server(void **state)
{
    fixture *f = open_fixture("restart");

    (void)state;
    wait_ready(f, 1);
    postgres("stop");
    while (net_pg_connected(f->pg)) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_true(run(f, unit_of(false, "select 'waited'", NULL), 'w'));
    postgres("start");
    run_until(f, 1);
    assert_int_equal(f->outcome, NET_PG_DONE);
    assert_string_equal(f->value, "waited");
    wait_ready(f, 2);
    close_fixture(f);
}

static void test_without_a_server_nothing_is_sent(void **state)
{
    fixture *f = open_with("host=/nonexistent dbname=whale", "absent", NULL);

    (void)state;
    for (int i = 0; i < NET_PG_QUEUE_MAX; i++) {
        assert_true(run(f, unit_of(true, "select 1", NULL), 'n'));
    }
    assert_false(run(f, unit_of(true, "select 1", NULL), 'x')); /* the queue is full */
    assert_int_equal(net_pg_waiting(f->pg), NET_PG_QUEUE_MAX);
    run_until(f, NET_PG_QUEUE_MAX);
    assert_int_equal(f->outcome, NET_PG_NOT_SENT);
    assert_string_equal(f->message, "no connection");
    assert_int_equal(net_pg_waiting(f->pg), 0);
    close_fixture(f);
}

static void test_closing_ends_everything_once(void **state)
{
    fixture *f = open_fixture("closing");

    (void)state;
    wait_ready(f, 1);
    for (char name = 'a'; name <= 'j'; name++) {
        assert_true(run(f, unit_of(true, "select pg_sleep(30)", NULL), name));
    }
    net_pg_close(f->pg);
    assert_string_equal(f->order, "abcdefghij");
    assert_int_equal(f->outcome, NET_PG_NOT_SENT);
    assert_false(run(f, unit_of(true, "select 1", NULL), 'x'));
    f->pg = NULL;
    close_fixture(f);

    f = open_fixture("closing");
    for (char name = 'a'; name <= 'j'; name++) {
        assert_true(run(f, unit_of(true, "select 1", NULL), name));
    }
    f->close_in_callback = true;
    run_until(f, 10);
    f->pg = NULL;
    close_fixture(f);
}

/* ---- notifications --------------------------------------------------------------------------- */

static void test_notifications_arrive(void **state)
{
    fixture *f = open_fixture("listener"), *g = open_fixture("speaker");

    (void)state;
    wait_ready(f, 1);
    ask(g, "select pg_notify('changes', '7'), pg_notify('Odd Name', 'x y')");
    while (f->notified < 2) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
    assert_string_equal(f->payloads, "changes=7;Odd Name=x y;");
    /* and again on the connection after this one */
    terminate("listener");
    wait_ready(f, 2);
    ask(g, "notify changes, '8'");
    while (f->notified < 3) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
    assert_string_equal(f->payloads, "changes=7;Odd Name=x y;changes=8;");
    close_fixture(f);
    close_fixture(g);
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void test_session_settings(void **state)
{
    char info[512];
    fixture *f;

    (void)state;
    snprintf(info, sizeof(info), "%s options='-c lock_timeout=3s -c statement_timeout=9s'",
             conninfo);
    f = open_with(info, "settings", NULL);
    assert_string_equal(ask(f, "show lock_timeout"), "3s");
    assert_string_equal(ask(f, "show statement_timeout"), "9s"); /* the operator's wins */
    assert_string_equal(ask(f, "show idle_in_transaction_session_timeout"), "30s");
    assert_string_equal(ask(f, "show application_name"), "settings");
    close_fixture(f);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    chmod(path, mode);
}

static void test_passwords_come_from_a_file(void **state)
{
    char path[128], info[512], rules[256];
    fixture *f = open_fixture("passwords");

    (void)state;
    ask(f, "create role secretive login password 'p''ss word'");
    snprintf(rules, sizeof(rules), "%s/data/pg_hba.conf", directory);
    write_file(rules, "local all secretive scram-sha-256\nlocal all all trust\n", 0644);
    ask(f, "select pg_reload_conf()");
    snprintf(path, sizeof(path), "%s.password", directory);
    snprintf(info, sizeof(info), "%s user=secretive", conninfo);
    close_fixture(f);

    write_file(path, "wrong", 0600);
    f = open_with(info, "passwords", path);
    assert_true(run(f, unit_of(false, "select session_user", NULL), 's'));
    assert_int_equal(net_pg_waiting(f->pg), 1);
    usleep(300000);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_false(net_pg_connected(f->pg));
    write_file(path, "p'ss word\n", 0600); /* read again at the next attempt */
    run_until(f, 1);
    assert_string_equal(f->value, "secretive");
    close_fixture(f);
    unlink(path);
}

/* Stands between a TCP port and the server's Unix socket. */
static pid_t start_proxy(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un server = {.sun_family = AF_UNIX};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t pid;

    snprintf(server.sun_path, sizeof(server.sun_path), "%s/.s.PGSQL.5432", directory);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    *port = ntohs(address.sin_port);
    pid = fork();
    if (pid == 0) {
        struct pollfd ends[2] = {{.fd = accept(fd, NULL, NULL), .events = POLLIN},
                                 {.fd = socket(AF_UNIX, SOCK_STREAM, 0), .events = POLLIN}};
        char bytes[65536];

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (connect(ends[1].fd, (struct sockaddr *)&server, sizeof(server)) != 0) {
            _exit(1);
        }
        for (;;) {
            poll(ends, 2, -1);
            for (int i = 0; i < 2; i++) {
                ssize_t got = ends[i].revents != 0 ? read(ends[i].fd, bytes, sizeof(bytes)) : 1;

                if (got <= 0 ||
                    (ends[i].revents != 0 && write(ends[1 - i].fd, bytes, (size_t)got) != got)) {
                    _exit(0);
                }
            }
        }
    }
    close(fd);
    return pid;
}

static void test_host_names_and_a_cut_cable(void **state)
{
    char info[256];
    int port;
    pid_t proxy = start_proxy(&port);
    fixture *f;

    (void)state;
    snprintf(info, sizeof(info), "host=localhost port=%d dbname=whale user=whale sslmode=disable",
             port);
    f = open_with(info, "tcp", NULL);
    assert_string_equal(ask(f, "select 'over tcp'"), "over tcp");
    assert_true(run(f, unit_of(true, "select pg_sleep(30)", NULL), 'x'));
    uv_run(&f->loop, UV_RUN_NOWAIT);
    kill(proxy, SIGKILL);
    waitpid(proxy, NULL, 0);
    run_until(f, 2);
    assert_int_equal(f->outcome, NET_PG_LOST);
    close_fixture(f);
}

static void test_malformed_conninfo_is_refused(void **state)
{
    static const char *const infos[] = {"host", "nonsense=1", "host='open"};
    uv_loop_t loop;

    (void)state;
    uv_loop_init(&loop);
    for (size_t i = 0; i < 3; i++) {
        net_pg_options options = {.conninfo = infos[i]};

        assert_null(net_pg_new(&loop, &options));
    }
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_terminated_backend_loses_what_was_in_flight),
        cmocka_unit_test(test_an_idle_connection_comes_back),
        cmocka_unit_test(test_a_restart_of_the_server),
        cmocka_unit_test(test_without_a_server_nothing_is_sent),
        cmocka_unit_test(test_closing_ends_everything_once),
        cmocka_unit_test(test_notifications_arrive),
        cmocka_unit_test(test_session_settings),
        cmocka_unit_test(test_passwords_come_from_a_file),
        cmocka_unit_test(test_host_names_and_a_cut_cable),
        cmocka_unit_test(test_malformed_conninfo_is_refused),
    };

    return cmocka_run_group_tests(tests, start_server, remove_server);
}
