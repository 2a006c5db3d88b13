/*
 * A unit's way onto the connection: prepares, then one pipeline, and the list of answers to expect.
 *
 * A transaction goes out as BEGIN, statements, sync, COMMIT, sync. The first sync is what makes
 * several units in flight safe: after an error the server skips to it, and the COMMIT behind it
 * then rolls the failed transaction back. With a single sync behind COMMIT the COMMIT would be
 * skipped too, and every later unit would run inside the dead transaction.
 *
 * A statement is prepared on its first use, under a sync of its own, so that a unit that fails
 * never takes a prepare down with it. Past NET_PG_PREPARED_SLOTS / 2 statements run unprepared.
 */
#include "workerd/net/net_pg_private.h"

#include <stdio.h>

#define NAME_MAX_LENGTH 32

static const char sql_begin[] = "BEGIN";
static const char sql_commit[] = "COMMIT";

const char *net_pg_step_sql(const net_pg_unit *unit, net_pg_step step)
{
    if (step.kind == NET_PG_BEGIN || step.statement == NET_PG_STATEMENTS_MAX) {
        return sql_begin;
    }
    if (step.kind == NET_PG_COMMIT || step.statement == NET_PG_STATEMENTS_MAX + 1) {
        return sql_commit;
    }
    return unit->statements[step.statement].sql;
}

/* ---- prepared statements --------------------------------------------------------------------- */

static net_pg_prepared *find_prepared(net_pg *pg, const char *sql)
{
    uint64_t hash = (uint64_t)(uintptr_t)sql * 0x9e3779b97f4a7c15ULL;

    for (unsigned i = (unsigned)(hash >> 40);; i++) {
        net_pg_prepared *slot = &pg->prepared[i & (NET_PG_PREPARED_SLOTS - 1)];

        if (slot->sql == sql) {
            return slot;
        }
        if (slot->sql == NULL) {
            if (pg->prepared_count == NET_PG_PREPARED_SLOTS / 2) {
                return NULL;
            }
            pg->prepared_count++;
            slot->sql = sql;
            return slot;
        }
    }
}

static void name_of(const net_pg *pg, const net_pg_prepared *slot, char name[NAME_MAX_LENGTH])
{
    snprintf(name, NAME_MAX_LENGTH, "s%u_%u", (unsigned)(slot - pg->prepared), slot->generation);
}

void net_pg_forget_statements(net_pg *pg)
{
    for (size_t i = 0; i < NET_PG_PREPARED_SLOTS; i++) {
        pg->prepared[i].ready = false;
    }
}

void net_pg_statement_stale(net_pg *pg, const char *sql)
{
    net_pg_prepared *slot = find_prepared(pg, sql);

    if (slot != NULL && slot->ready) {
        slot->ready = false;
        slot->generation++;
    }
}

/* ---- sending --------------------------------------------------------------------------------- */

static void expect(net_pg_unit *unit, enum net_pg_step_kind kind, unsigned statement)
{
    unit->steps[unit->step_count++] =
        (net_pg_step){.kind = (uint8_t)kind, .statement = (uint8_t)statement};
}

static bool send_sync(net_pg *pg, net_pg_unit *unit)
{
    expect(unit, NET_PG_SYNC, 0);
    return PQpipelineSync(pg->conn) == 1;
}

static bool send_prepare(net_pg *pg, net_pg_unit *unit, const char *sql, unsigned statement)
{
    net_pg_prepared *slot = find_prepared(pg, sql);
    char name[NAME_MAX_LENGTH];

    if (slot == NULL || slot->ready) {
        return true;
    }
    name_of(pg, slot, name);
    expect(unit, NET_PG_PREPARE, statement);
    slot->ready = true;
    return PQsendPrepare(pg->conn, name, sql, 0, NULL) == 1 && send_sync(pg, unit);
}

static bool send_prepares(net_pg *pg, net_pg_unit *unit)
{
    bool sent = true;

    if (unit->plain) {
        return true;
    }
    if (unit->transaction) {
        sent = send_prepare(pg, unit, sql_begin, NET_PG_STATEMENTS_MAX) &&
               send_prepare(pg, unit, sql_commit, NET_PG_STATEMENTS_MAX + 1);
    }
    for (unsigned i = 0; sent && i < unit->statement_count; i++) {
        sent = send_prepare(pg, unit, unit->statements[i].sql, i);
    }
    return sent;
}

static bool send_execute(net_pg *pg, const net_pg_unit *unit, const char *sql,
                         const net_pg_parameter *parameters, unsigned count)
{
    const char *values[NET_PG_PARAMETERS_MAX];
    net_pg_prepared *slot = unit->plain ? NULL : find_prepared(pg, sql);
    char name[NAME_MAX_LENGTH];

    for (unsigned i = 0; i < count; i++) {
        values[i] = parameters[i].null ? NULL : unit->text + parameters[i].offset;
    }
    if (slot == NULL) {
        return PQsendQueryParams(pg->conn, sql, (int)count, NULL, values, NULL, NULL, 0) == 1;
    }
    name_of(pg, slot, name);
    return PQsendQueryPrepared(pg->conn, name, (int)count, values, NULL, NULL, 0) == 1;
}

static bool send_statements(net_pg *pg, net_pg_unit *unit)
{
    for (unsigned i = 0; i < unit->statement_count; i++) {
        const net_pg_sql *statement = &unit->statements[i];
        const net_pg_parameter *parameters =
            statement->count > 0 ? unit->parameters + statement->first : NULL;

        expect(unit, NET_PG_EXECUTE, i);
        if (!send_execute(pg, unit, statement->sql, parameters, statement->count)) {
            return false;
        }
    }
    return true;
}

bool net_pg_send(net_pg *pg, net_pg_unit *unit)
{
    unit->step_count = unit->step = 0;
    if (!send_prepares(pg, unit)) {
        return false;
    }
    if (!unit->transaction) {
        return send_statements(pg, unit) && send_sync(pg, unit);
    }
    expect(unit, NET_PG_BEGIN, 0);
    if (!send_execute(pg, unit, sql_begin, NULL, 0) || !send_statements(pg, unit) ||
        !send_sync(pg, unit)) {
        return false;
    }
    expect(unit, NET_PG_COMMIT, 0);
    return send_execute(pg, unit, sql_commit, NULL, 0) && send_sync(pg, unit);
}
