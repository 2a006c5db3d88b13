/*
 * Postgres for a role: the queues, the results, and what becomes of units when the connection
 * breaks.
 *
 * Promises: at most NET_PG_QUEUE_MAX units wait and NET_PG_INFLIGHT_MAX are on the wire, in the
 * order given; a unit ends in exactly one callback. What libpq was given is LOST when the
 * connection breaks, even where an error had come already; what it was not given waits for the next
 * connection, at most NET_PG_QUEUE_WAIT_NS, and is NOT_SENT then. Any function may be called inside
 * any callback.
 */
#include "workerd/net/net_pg_private.h"

#include "core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- queues ---------------------------------------------------------------------------------- */

static void push(net_pg_queue *queue, net_pg_unit *unit)
{
    unit->next = NULL;
    if (queue->last != NULL) {
        queue->last->next = unit;
    } else {
        queue->first = unit;
    }
    queue->last = unit;
    queue->count++;
}

static net_pg_unit *pop(net_pg_queue *queue)
{
    net_pg_unit *unit = queue->first;

    if (unit != NULL) {
        queue->first = unit->next;
        if (queue->first == NULL) {
            queue->last = NULL;
        }
        queue->count--;
    }
    return unit;
}

static void end_unit(net_pg_unit *unit, enum net_pg_outcome outcome)
{
    net_pg_answer answer = {.outcome = outcome, .message = unit->message};

    memcpy(answer.sqlstate, unit->sqlstate, sizeof(answer.sqlstate));
    if (outcome == NET_PG_DONE) {
        answer.results = unit->results;
        answer.count = unit->statement_count;
    }
    if (unit->done != NULL) {
        unit->done(unit->owner, &answer);
    }
    net_pg_unit_free(unit);
}

static void end_all(net_pg_queue *queue, enum net_pg_outcome outcome, const char *message)
{
    net_pg_queue ended = *queue;
    net_pg_unit *unit;

    /* Emptied first: a callback may hand over the next unit, which must not end in this loop. */
    *queue = (net_pg_queue){0};
    while ((unit = pop(&ended)) != NULL) {
        unit->sqlstate[0] = '\0';
        snprintf(unit->message, sizeof(unit->message), "%s", message);
        end_unit(unit, outcome);
    }
}

/* ---- without a connection -------------------------------------------------------------------- */

static void arm_expiry(net_pg *pg);

static int64_t expires_ns(const net_pg *pg, const net_pg_unit *unit)
{
    int64_t since = unit->queued_ns > pg->disconnected_ns ? unit->queued_ns : pg->disconnected_ns;

    return since + NET_PG_QUEUE_WAIT_NS;
}

static void on_expiry(uv_timer_t *timer)
{
    net_pg *pg = timer->data;
    int64_t now_ns = clock_monotonic_ns();

    while (pg->state != NET_PG_READY && pg->waiting.first != NULL &&
           expires_ns(pg, pg->waiting.first) <= now_ns) {
        net_pg_unit *unit = pop(&pg->waiting);

        snprintf(unit->message, sizeof(unit->message), "no connection");
        end_unit(unit, NET_PG_NOT_SENT);
    }
    arm_expiry(pg);
}

static void arm_expiry(net_pg *pg)
{
    int64_t wait_ns;

    if (pg->closing) {
        return;
    }
    if (pg->state == NET_PG_READY || pg->waiting.first == NULL) {
        uv_timer_stop(&pg->expiry);
        return;
    }
    wait_ns = expires_ns(pg, pg->waiting.first) - clock_monotonic_ns();
    uv_timer_start(&pg->expiry, on_expiry, wait_ns < 0 ? 0 : wait_ns / CLOCK_MS_NS + 1, 0);
}

void net_pg_broken(net_pg *pg, const char *reason)
{
    char text[NET_PG_MESSAGE_MAX];

    if (pg->closing) {
        return;
    }
    /* `reason` may be libpq's own text, which PQfinish frees, and which ends in a new line. */
    snprintf(text, sizeof(text), "%s", reason);
    text[strcspn(text, "\n")] = '\0';
    log_event(LOG_WARN, pg->state == NET_PG_READY ? "pg.lost" : "pg.connect", "error",
              LOG_TEXT(text), NULL);
    if (pg->state == NET_PG_READY) {
        pg->disconnected_ns = clock_monotonic_ns();
    }
    net_pg_unwatch(pg);
    PQfinish(pg->conn);
    pg->conn = NULL;
    net_pg_forget_statements(pg);
    net_pg_reconnect_later(pg);
    end_all(&pg->inflight, NET_PG_LOST, text);
    arm_expiry(pg);
}

/* ---- sending --------------------------------------------------------------------------------- */

void net_pg_flush(net_pg *pg)
{
    int left;

    if (pg->conn == NULL) {
        return;
    }
    left = PQflush(pg->conn);
    if (left < 0) {
        net_pg_broken(pg, PQerrorMessage(pg->conn));
        return;
    }
    net_pg_watch(pg, left > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE);
}

/* False: the connection broke on the way. The unit ends by then or later. */
static bool put_on_wire(net_pg *pg, net_pg_unit *unit)
{
    push(&pg->inflight, unit);
    if (!net_pg_send(pg, unit)) {
        net_pg_broken(pg, PQerrorMessage(pg->conn));
        return false;
    }
    return true;
}

static void pump(net_pg *pg)
{
    bool sent = false;

    while (pg->state == NET_PG_READY && !pg->closing && pg->waiting.first != NULL &&
           pg->inflight.count < NET_PG_INFLIGHT_MAX) {
        /* A connection known to be dead takes nothing: what waits is then not lost. */
        if (PQstatus(pg->conn) != CONNECTION_OK) {
            net_pg_broken(pg, PQerrorMessage(pg->conn));
            return;
        }
        if (!put_on_wire(pg, pop(&pg->waiting))) {
            return;
        }
        sent = true;
    }
    if (sent) {
        net_pg_flush(pg);
    }
}

static void on_listening(void *owner, const net_pg_answer *answer)
{
    net_pg *pg = owner;

    if (answer->outcome == NET_PG_FAILED) {
        net_pg_broken(pg, answer->message);
    } else if (answer->outcome == NET_PG_DONE && pg->notified != NULL) {
        pg->notified(pg->owner, NULL, NULL);
    }
}

void net_pg_established(net_pg *pg)
{
    net_pg_unit *unit;

    log_event(LOG_INFO, "pg.connected", "server", LOG_INT(PQserverVersion(pg->conn)), NULL);
    uv_timer_stop(&pg->expiry);
    if (pg->listen_count > 0) {
        unit = net_pg_unit_new(false);
        if (unit == NULL) {
            net_pg_broken(pg, "out of memory");
            return;
        }
        unit->plain = true;
        unit->done = on_listening;
        unit->owner = pg;
        for (unsigned i = 0; i < pg->listen_count; i++) {
            net_pg_statement(unit, pg->listen[i]);
        }
        if (!put_on_wire(pg, unit)) {
            return;
        }
        net_pg_flush(pg);
    } else if (pg->notified != NULL) {
        pg->notified(pg->owner, NULL, NULL);
    }
    pump(pg);
}

/* ---- results --------------------------------------------------------------------------------- */

/* The first error is the unit's: those after it only follow from it. */
static void note_error(net_pg *pg, net_pg_unit *unit, net_pg_step step, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (step.kind == NET_PG_PREPARE) {
        net_pg_statement_stale(pg, net_pg_step_sql(unit, step));
    }
    /* The table's shape changed, or somebody discarded our statements: prepare anew next time. */
    if (state != NULL && step.kind != NET_PG_SYNC && !unit->plain &&
        (strcmp(state, "0A000") == 0 || strcmp(state, "26000") == 0)) {
        net_pg_statement_stale(pg, net_pg_step_sql(unit, step));
    }
    if (unit->sqlstate[0] != '\0') {
        return;
    }
    snprintf(unit->sqlstate, sizeof(unit->sqlstate), "%s", state != NULL ? state : "XX000");
    snprintf(unit->message, sizeof(unit->message), "%s", message != NULL ? message : "");
}

/* Takes one result of the unit's current step. False: the server or libpq is out of step with us.
 */
static bool take_result(net_pg *pg, net_pg_unit *unit, PGresult *result)
{
    net_pg_step step = unit->steps[unit->step];

    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        PQclear(result);
        if (step.kind != NET_PG_SYNC) {
            return false;
        }
        unit->step++;
        return true;
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        if (step.kind == NET_PG_EXECUTE) {
            PQclear(unit->results[step.statement]);
            unit->results[step.statement] = result;
            return true;
        }
        /* COMMIT of a transaction that a statement had failed answers ROLLBACK, without an error.
         */
        if (step.kind == NET_PG_COMMIT && unit->sqlstate[0] == '\0' &&
            strcmp(PQcmdStatus(result), "COMMIT") != 0) {
            snprintf(unit->sqlstate, sizeof(unit->sqlstate), "25P02");
            snprintf(unit->message, sizeof(unit->message), "the transaction was rolled back");
        }
        break;
    case PGRES_PIPELINE_ABORTED:
        break;
    case PGRES_FATAL_ERROR:
        note_error(pg, unit, step, result);
        break;
    default: /* COPY, an empty query: no statement of ours does this */
        PQclear(result);
        return false;
    }
    PQclear(result);
    return true;
}

/* True: go on reading. Ends the unit in front once its last sync has come. */
static bool next_result(net_pg *pg, unsigned *nulls)
{
    net_pg_unit *unit = pg->inflight.first;
    PGresult *result = PQgetResult(pg->conn);

    if (result == NULL) {
        /* The end of a command; twice in a row: nothing more has come. */
        if (unit->steps[unit->step].kind != NET_PG_SYNC && *nulls == 0) {
            unit->step++;
        }
        return ++*nulls < 2;
    }
    *nulls = 0;
    if (!take_result(pg, unit, result)) {
        net_pg_broken(pg, "an answer that was not asked for");
        return false;
    }
    if (unit->step == unit->step_count) {
        pop(&pg->inflight);
        end_unit(unit, unit->sqlstate[0] == '\0' ? NET_PG_DONE : NET_PG_FAILED);
        *nulls = 0;
    }
    return true;
}

static void read_notifications(net_pg *pg)
{
    PGnotify *notify;

    while (pg->conn != NULL && (notify = PQnotifies(pg->conn)) != NULL) {
        if (pg->notified != NULL) {
            pg->notified(pg->owner, notify->relname, notify->extra);
        }
        PQfreemem(notify);
    }
}

void net_pg_readable(net_pg *pg)
{
    unsigned nulls = 0;
    PGconn *conn = pg->conn;

    if (conn == NULL) {
        return;
    }
    /* On failure there may still be whole results ahead of the break: they count. */
    bool alive = PQconsumeInput(conn) == 1;

    while (pg->conn == conn && pg->inflight.first != NULL && !PQisBusy(conn) &&
           next_result(pg, &nulls)) {
    }
    if (pg->conn == conn) {
        read_notifications(pg);
    }
    if (pg->conn != conn) {
        return;
    }
    if (!alive || PQstatus(conn) != CONNECTION_OK) {
        net_pg_broken(pg, PQerrorMessage(conn));
        return;
    }
    pump(pg);
}

/* ---- the object ------------------------------------------------------------------------------ */

static bool copy_text(char **copy, const char *text)
{
    *copy = NULL;
    if (text == NULL || *text == '\0') {
        return true;
    }
    *copy = strdup(text);
    return *copy != NULL;
}

static bool copy_channels(net_pg *pg, const char *const *listen)
{
    for (; listen != NULL && *listen != NULL; listen++) {
        if (pg->listen_count == NET_PG_LISTEN_MAX || strlen(*listen) >= NET_PG_CHANNEL_MAX ||
            strchr(*listen, '"') != NULL) {
            return false;
        }
        snprintf(pg->listen[pg->listen_count++], sizeof(pg->listen[0]), "LISTEN \"%s\"", *listen);
    }
    return true;
}

net_pg *net_pg_new(uv_loop_t *loop, const net_pg_options *options)
{
    net_pg *pg = calloc(1, sizeof(*pg));

    if (pg == NULL) {
        return NULL;
    }
    pg->loop = loop;
    pg->notified = options->notified;
    pg->owner = options->owner;
    pg->backoff_ms = NET_PG_BACKOFF_FIRST_MS;
    if (!copy_text(&pg->conninfo, options->conninfo == NULL ? "" : options->conninfo) ||
        !copy_text(&pg->password_file, options->password_file) ||
        !copy_text(&pg->application_name, options->application_name) ||
        !copy_channels(pg, options->listen) ||
        !net_pg_check_conninfo(pg->conninfo != NULL ? pg->conninfo : "")) {
        free(pg->conninfo);
        free(pg->password_file);
        free(pg->application_name);
        free(pg);
        return NULL;
    }
    uv_timer_init(loop, &pg->timer);
    uv_timer_init(loop, &pg->expiry);
    pg->timer.data = pg->expiry.data = pg;
    pg->references = 2;
    pg->disconnected_ns = clock_monotonic_ns();
    net_pg_connect(pg);
    return pg;
}

bool net_pg_connected(const net_pg *pg)
{
    return pg->state == NET_PG_READY;
}

unsigned net_pg_waiting(const net_pg *pg)
{
    return pg->waiting.count + pg->inflight.count;
}

bool net_pg_run(net_pg *pg, net_pg_unit *unit, net_pg_done *done, void *owner)
{
    if (unit == NULL || pg->closing || pg->waiting.count == NET_PG_QUEUE_MAX ||
        !net_pg_unit_seal(unit)) {
        net_pg_unit_free(unit);
        return false;
    }
    unit->done = done;
    unit->owner = owner;
    unit->queued_ns = clock_monotonic_ns();
    push(&pg->waiting, unit);
    if (pg->state == NET_PG_READY) {
        pump(pg);
    } else if (pg->waiting.count == 1) {
        arm_expiry(pg);
    }
    return true;
}

static void on_handle_closed(uv_handle_t *handle)
{
    net_pg_release(handle->data);
}

void net_pg_close(net_pg *pg)
{
    if (pg == NULL || pg->closing) {
        return;
    }
    pg->closing = true;
    net_pg_unwatch(pg);
    PQfinish(pg->conn);
    pg->conn = NULL;
    if (pg->state == NET_PG_RESOLVING) {
        uv_cancel((uv_req_t *)&pg->resolving);
    }
    pg->state = NET_PG_WAITING;
    uv_close((uv_handle_t *)&pg->timer, on_handle_closed);
    uv_close((uv_handle_t *)&pg->expiry, on_handle_closed);
    end_all(&pg->inflight, NET_PG_LOST, "closed");
    end_all(&pg->waiting, NET_PG_NOT_SENT, "closed");
}

void net_pg_release(net_pg *pg)
{
    if (--pg->references > 0) {
        return;
    }
    free(pg->conninfo);
    free(pg->password_file);
    free(pg->application_name);
    free(pg);
}
