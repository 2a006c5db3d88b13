/*
 * Rows of queries/mirror/ as values of the segment: see the header.
 */
#include "workerd/mirror/mirror_rows.h"

#include "workerd/mirror/mirror_text.h"
#include "workerd/net/net_pg.h"

#include <stdio.h>
#include <string.h>

/* Columns of users.sql, whales.sql and signals.sql, in order. */
enum {
    USER_ID,
    USER_TELEGRAM,
    USER_EPOCH,
    USER_TIER,
    USER_STATE,
    USER_VERSION,
    USER_TOTAL,
    USER_AVAILABLE,
    POSITION_ID,
    POSITION_QUANTITY,
    POSITION_NOTIONAL,
    POSITION_MARGIN,
    POSITION_REALISED,
    POSITION_LEVERAGE,
    POSITION_OPENED,
    INSTRUMENT_ID,
    INSTRUMENT_NAME,
    INSTRUMENT_VENUE,
    INSTRUMENT_MARKET,
    INSTRUMENT_NATIVE,
    INSTRUMENT_CONTRACT,
    WHALE_ID,
    WHALE_NAME,
};
enum {
    SIGNAL_ID,
    SIGNAL_WHALE,
    SIGNAL_WHALE_NAME,
    SIGNAL_VENUE,
    SIGNAL_MARKET,
    SIGNAL_NATIVE,
    SIGNAL_POSITION_SIDE,
    SIGNAL_KIND,
    SIGNAL_SIDE,
    SIGNAL_CLOSES,
    SIGNAL_LEVERAGE,
    SIGNAL_PRICE,
    SIGNAL_NOTIONAL,
    SIGNAL_FRACTION,
    SIGNAL_CONFIDENCE,
    SIGNAL_SCORE,
    SIGNAL_STATE,
    SIGNAL_DETECTED,
};
enum {
    PAGE_ID,
    PAGE_VENUE,
    PAGE_MARKET,
    PAGE_LEADER,
    PAGE_NAME,
    PAGE_RANK,
    PAGE_SCORE,
    PAGE_STATUS,
    PAGE_WIN_RATE,
    PAGE_PNL_7D,
    PAGE_ROI_7D,
    PAGE_PNL_30D,
    PAGE_ROI_30D,
    PAGE_TRADES,
    PAGE_COPIER_PNL,
    PAGE_EQUITY,
    PAGE_FOLLOWERS,
    PAGE_LEADER_FOLLOWERS,
    PAGE_SAMPLE,
    PAGE_STATS_AT,
    PAGE_PRIORITY,
};

static bool is_text(const PGresult *result, int row, int column, const char *wanted)
{
    const char *text = net_pg_value(result, row, column);

    return text != NULL && strcmp(text, wanted) == 0;
}

static const char *text_or_empty(const PGresult *result, int row, int column)
{
    const char *text = net_pg_value(result, row, column);

    return text != NULL ? text : "";
}

/* ---- users ------------------------------------------------------------------------------------
 */

static bool read_user(const PGresult *result, int row, shm_user *user)
{
    int64_t version;

    memset(user, 0, sizeof(*user));
    if (!net_pg_get_int(result, row, USER_ID, &user->id) ||
        !net_pg_get_int(result, row, USER_TELEGRAM, &user->telegram_id) ||
        !net_pg_get_int(result, row, USER_EPOCH, &user->session_epoch) ||
        !net_pg_get_int(result, row, USER_VERSION, &version) ||
        !net_pg_get_dec(result, row, USER_TOTAL, &user->balance_total) ||
        !net_pg_get_dec(result, row, USER_AVAILABLE, &user->balance_available)) {
        return false;
    }
    user->version = (uint64_t)version;
    user->tier = is_text(result, row, USER_TIER, "ELITE") ? 2
                 : is_text(result, row, USER_TIER, "PRO") ? 1
                                                          : 0;
    user->flags = is_text(result, row, USER_STATE, "ACTIVE")   ? SHM_USER_ACTIVE
                  : is_text(result, row, USER_STATE, "BANNED") ? SHM_USER_BANNED
                                                               : 0;
    return true;
}

static bool read_position_facts(const PGresult *result, int row, mirror_position_facts *facts)
{
    dec contract_size;

    memset(facts, 0, sizeof(*facts));
    facts->venue = net_pg_value(result, row, INSTRUMENT_VENUE);
    facts->market = net_pg_value(result, row, INSTRUMENT_MARKET);
    facts->symbol = net_pg_value(result, row, INSTRUMENT_NATIVE);
    facts->whale_name = net_pg_get_int(result, row, WHALE_ID, &facts->whale_id)
                            ? text_or_empty(result, row, WHALE_NAME)
                            : NULL;
    return net_pg_get_int(result, row, POSITION_ID, &facts->id) &&
           net_pg_get_dec(result, row, POSITION_QUANTITY, &facts->quantity) &&
           net_pg_get_dec(result, row, POSITION_NOTIONAL, &facts->entry_notional) &&
           net_pg_get_dec(result, row, POSITION_MARGIN, &facts->margin) &&
           net_pg_get_int(result, row, POSITION_LEVERAGE, &facts->leverage) &&
           net_pg_get_int(result, row, POSITION_OPENED, &facts->opened_ns) &&
           net_pg_get_dec(result, row, INSTRUMENT_CONTRACT, &contract_size) &&
           dec_mul(facts->quantity, contract_size, DEC_HALF_EVEN, &facts->base_quantity);
}

static bool read_position(const PGresult *result, int row, mirror_user *user)
{
    const uint32_t at = user->user.position_count;
    shm_position *position = &user->positions[at];
    mirror_position_facts facts;

    if (at == MIRROR_POSITIONS_MAX || !read_position_facts(result, row, &facts) ||
        !net_pg_get_int(result, row, INSTRUMENT_ID, &user->instruments[at])) {
        return false;
    }
    memset(position, 0, sizeof(*position));
    position->id = facts.id;
    position->price_slot = UINT32_MAX;
    position->quantity = facts.base_quantity;
    position->entry_notional = facts.entry_notional;
    position->margin = facts.margin;
    position->text_length = mirror_text_position(&facts, position->text);
    if (position->text_length == 0 ||
        !net_pg_get_dec(result, row, POSITION_REALISED, &position->realised_pnl)) {
        return false;
    }
    snprintf(user->names[at], sizeof(user->names[at]), "%s",
             text_or_empty(result, row, INSTRUMENT_NAME));
    user->user.position_count++;
    return true;
}

size_t mirror_rows_users(const PGresult *result, mirror_user *scratch, mirror_user_found *found,
                         void *owner)
{
    const int rows = PQntuples(result);
    size_t skipped = 0;
    int row = 0;

    while (row < rows) {
        bool good = read_user(result, row, &scratch->user);
        const char *id = PQgetvalue(result, row, USER_ID);
        const int first = row;

        for (; row < rows && strcmp(PQgetvalue(result, row, USER_ID), id) == 0; row++) {
            if (good && net_pg_value(result, row, POSITION_ID) != NULL) {
                good = read_position(result, row, scratch);
            }
        }
        if (good) {
            found(owner, scratch);
        } else if (read_user(result, first, &scratch->user)) {
            /* Better none of the positions from here than some: Postgres has them all. */
            scratch->user.position_count = MIRROR_POSITIONS_MAX;
            found(owner, scratch);
        } else {
            skipped++;
        }
    }
    return skipped;
}

/* ---- signals ----------------------------------------------------------------------------------
 */

bool mirror_rows_signal(const PGresult *result, int row, shm_signal *signal)
{
    mirror_signal_facts facts = {
        .whale_name = text_or_empty(result, row, SIGNAL_WHALE_NAME),
        .venue = net_pg_value(result, row, SIGNAL_VENUE),
        .market = net_pg_value(result, row, SIGNAL_MARKET),
        .symbol = net_pg_value(result, row, SIGNAL_NATIVE),
        .position_side = net_pg_value(result, row, SIGNAL_POSITION_SIDE),
        .kind = net_pg_value(result, row, SIGNAL_KIND),
        .side = net_pg_value(result, row, SIGNAL_SIDE),
        .confidence = net_pg_value(result, row, SIGNAL_CONFIDENCE),
        .status = net_pg_value(result, row, SIGNAL_STATE),
    };

    if (!net_pg_get_int(result, row, SIGNAL_ID, &facts.id) ||
        !net_pg_get_int(result, row, SIGNAL_WHALE, &facts.whale_id) ||
        !net_pg_get_int(result, row, SIGNAL_LEVERAGE, &facts.leverage) ||
        !net_pg_get_int(result, row, SIGNAL_DETECTED, &facts.detected_ns) ||
        !net_pg_get_bool(result, row, SIGNAL_CLOSES, &facts.closes) ||
        !net_pg_get_dec(result, row, SIGNAL_PRICE, &facts.price) ||
        !net_pg_get_dec(result, row, SIGNAL_NOTIONAL, &facts.notional) ||
        !net_pg_get_dec(result, row, SIGNAL_FRACTION, &facts.fraction) ||
        !net_pg_get_dec(result, row, SIGNAL_SCORE, &facts.confidence_score)) {
        return false;
    }
    memset(signal, 0, sizeof(*signal));
    signal->id = facts.id;
    signal->whale_id = facts.whale_id;
    signal->detected_ns = facts.detected_ns;
    signal->text_length = mirror_text_signal(&facts, signal->text);
    return signal->text_length > 0;
}

/* ---- whales -----------------------------------------------------------------------------------
 */

enum cell_kind { CELL_ID, CELL_TEXT, CELL_NAME, CELL_DEC, CELL_INT, CELL_TIME };

static const struct {
    const char *key;
    int column;
    enum cell_kind kind;
} page_cells[] = {
    {"id", PAGE_ID, CELL_ID},
    {"venue", PAGE_VENUE, CELL_TEXT},
    {"market", PAGE_MARKET, CELL_TEXT},
    {"leader_id", PAGE_LEADER, CELL_TEXT},
    {"name", PAGE_NAME, CELL_NAME},
    {"rank", PAGE_RANK, CELL_TEXT},
    {"score", PAGE_SCORE, CELL_DEC},
    {"status", PAGE_STATUS, CELL_TEXT},
    {"win_rate", PAGE_WIN_RATE, CELL_DEC},
    {"pnl_7d", PAGE_PNL_7D, CELL_DEC},
    {"roi_7d", PAGE_ROI_7D, CELL_DEC},
    {"pnl_30d", PAGE_PNL_30D, CELL_DEC},
    {"roi_30d", PAGE_ROI_30D, CELL_DEC},
    {"trades", PAGE_TRADES, CELL_INT},
    {"copier_pnl", PAGE_COPIER_PNL, CELL_DEC},
    {"equity", PAGE_EQUITY, CELL_DEC},
    {"followers", PAGE_FOLLOWERS, CELL_INT},
    {"leader_followers", PAGE_LEADER_FOLLOWERS, CELL_INT},
    {"sample_size", PAGE_SAMPLE, CELL_INT},
    {"stats_at", PAGE_STATS_AT, CELL_TIME},
    {"polling_priority", PAGE_PRIORITY, CELL_INT},
};

static void put_cell(json_writer *json, const PGresult *result, int row, int column,
                     enum cell_kind kind)
{
    const char *text = net_pg_value(result, row, column);
    int64_t integer;
    dec decimal;

    if (text == NULL) {
        json_null(json);
    } else if (kind == CELL_NAME) {
        json_text(json, text, strnlen(text, 4 * MIRROR_NAME_MAX));
    } else if (kind == CELL_TEXT) {
        json_string(json, text);
    } else if (kind == CELL_DEC && net_pg_get_dec(result, row, column, &decimal)) {
        json_dec(json, decimal);
    } else if (kind != CELL_DEC && net_pg_get_int(result, row, column, &integer)) {
        if (kind == CELL_ID) {
            json_id(json, integer);
        } else if (kind == CELL_INT) {
            json_int(json, integer);
        } else {
            json_time(json, integer);
        }
    } else {
        json_null(json);
    }
}

size_t mirror_rows_whales(const PGresult *result, char *text, size_t capacity)
{
    json_writer json;

    json_begin(&json, text, capacity);
    json_array(&json);
    for (int row = 0; row < PQntuples(result); row++) {
        json_object(&json);
        for (size_t i = 0; i < sizeof(page_cells) / sizeof(page_cells[0]); i++) {
            json_key(&json, page_cells[i].key);
            put_cell(&json, result, row, page_cells[i].column, page_cells[i].kind);
        }
        json_object_end(&json);
    }
    json_array_end(&json);
    return json_finish(&json) ? json.length : 0;
}
