/*
 * Lead traders of Binance, off the web site's own back-end: ranking, a portfolio's detail, its
 * positions, its order history.
 *
 * Promises: `complete` is set only for a page that was read to the last row and shows rows; an
 * empty list, a refusal, another shape, or more rows than there was room for leave it false, which
 * means unknown and never flat. A page whose rows are all zero is flat: real pages list every
 * symbol.
 *
 * Rules: the pages are undocumented; fields as public readers of them and captured answers show.
 */
#include "core/clock.h"
#include "venues/binance/binance.h"
#include "venues/venue_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BINANCE_RANKING_PAGE 20
#define BINANCE_RANKING_PAGE_MAX 100
#define BINANCE_RANKING_PAGES_MAX 1000
#define BINANCE_HISTORY_PAGE 50
#define BINANCE_HISTORY_PAGE_MAX 100
#define BINANCE_HISTORY_SPAN_NS (7 * 24 * 3600 * CLOCK_SECOND_NS)

/* ---- requests -------------------------------------------------------------------------------- */

static bool binance_leader_id_valid(const char *id)
{
    size_t length = id == NULL ? 0 : strnlen(id, VENUE_LEADER_MAX);

    return length > 0 && length < VENUE_LEADER_MAX &&
           strspn(id, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == length;
}

bool binance_fill_leader(const venue_call *call, binance_params *params)
{
    if (!binance_leader_id_valid(call->leader_id)) {
        return false;
    }
    binance_param(params, "portfolioId", call->leader_id);
    return true;
}

/* 1 without a cursor; 0 where the cursor is no page number. */
static int binance_page_number(const char *cursor)
{
    char *end;
    long page;

    if (cursor == NULL) {
        return 1;
    }
    page = strtol(cursor, &end, 10);
    return *cursor == '\0' || *end != '\0' || page < 1 || page > BINANCE_RANKING_PAGES_MAX
               ? 0
               : (int)page;
}

static bool binance_body(json_writer *writer, binance_params *params)
{
    json_object_end(writer);
    if (!json_finish(writer)) {
        return false;
    }
    params->length = writer->length;
    return true;
}

bool binance_fill_ranking(const venue_call *call, binance_params *params)
{
    int page = binance_page_number(call->cursor);
    int size = call->limit == 0 ? BINANCE_RANKING_PAGE : call->limit;
    json_writer writer;

    if (page == 0 || size < 1 || size > BINANCE_RANKING_PAGE_MAX) {
        return false;
    }
    json_begin(&writer, params->buffer, params->capacity);
    json_object(&writer);
    json_key(&writer, "pageNumber");
    json_int(&writer, page);
    json_key(&writer, "pageSize");
    json_int(&writer, size);
    json_key(&writer, "timeRange");
    json_string(&writer, "30D");
    json_key(&writer, "dataType");
    json_string(&writer, "PNL");
    json_key(&writer, "favoriteOnly");
    json_bool(&writer, false);
    json_key(&writer, "hideFull");
    json_bool(&writer, false);
    json_key(&writer, "nickname");
    json_string(&writer, "");
    json_key(&writer, "order");
    json_string(&writer, "DESC");
    json_key(&writer, "userAsset");
    json_int(&writer, 0);
    json_key(&writer, "portfolioType");
    json_string(&writer, "PUBLIC");
    return binance_body(&writer, params);
}

/* The page wants both times: without them, the week up to now. */
bool binance_fill_leader_history(const venue_call *call, binance_params *params)
{
    int64_t until_ns = call->until_ns > 0 ? call->until_ns : call->time_ns;
    int64_t since_ns = call->since_ns > 0 ? call->since_ns : until_ns - BINANCE_HISTORY_SPAN_NS;
    int size = call->limit == 0 ? BINANCE_HISTORY_PAGE : call->limit;
    json_writer writer;

    if (!binance_leader_id_valid(call->leader_id) || size < 1 || size > BINANCE_HISTORY_PAGE_MAX ||
        since_ns <= 0 || since_ns >= until_ns) {
        return false;
    }
    json_begin(&writer, params->buffer, params->capacity);
    json_object(&writer);
    json_key(&writer, "portfolioId");
    json_string(&writer, call->leader_id);
    json_key(&writer, "startTime");
    json_int(&writer, since_ns / CLOCK_MS_NS);
    json_key(&writer, "endTime");
    json_int(&writer, until_ns / CLOCK_MS_NS);
    json_key(&writer, "pageSize");
    json_int(&writer, size);
    if (call->cursor != NULL) {
        json_key(&writer, "indexValue");
        json_string(&writer, call->cursor);
    }
    return binance_body(&writer, params);
}

/* ---- leaders --------------------------------------------------------------------------------- */

static bool binance_known(const json_doc *doc, const char *path, dec *out)
{
    return json_get_dec_rounded(doc, json_at(doc, 0, path), out);
}

static int binance_count(const json_doc *doc, const char *path)
{
    int64_t count;

    if (!json_get_int(doc, json_at(doc, 0, path), &count) || count < 0 || count > INT32_MAX) {
        return 0;
    }
    return (int)count;
}

/* Nicknames are for show: one that is too long is cut at a character. */
static void binance_nickname(const json_doc *doc, venue_leader *leader)
{
    char full[512];
    size_t length;

    if (!json_copy(doc, json_at(doc, 0, "nickname"), full, sizeof(full))) {
        return;
    }
    length = strnlen(full, sizeof(leader->nickname) - 1);
    while (full[length] != '\0' && length > 0 && ((unsigned char)full[length] & 0xC0) == 0x80) {
        length--;
    }
    memcpy(leader->nickname, full, length);
    leader->nickname[length] = '\0';
}

static bool binance_leader_common(const json_doc *doc, venue_leader *leader)
{
    int id = json_at(doc, 0, "leadPortfolioId");

    if (!binance_id(doc, id, leader->leader_id, sizeof(leader->leader_id)) &&
        (!json_copy(doc, id, leader->leader_id, sizeof(leader->leader_id)) ||
         !binance_leader_id_valid(leader->leader_id))) {
        return false;
    }
    binance_nickname(doc, leader);
    leader->followers = binance_count(doc, "currentCopyCount");
    leader->followers_max = binance_count(doc, "maxCopyCount");
    leader->copier_pnl_known = binance_known(doc, "copierPnl", &leader->copier_pnl);
    return true;
}

/* The ranking does not tell who hides: shown until the detail says otherwise. */
static bool binance_ranked(const json_doc *doc, const venue_request *request, venue_result *result)
{
    venue_leader leader = {.positions_shown = true};
    size_t slot;

    (void)request;
    if (!binance_leader_common(doc, &leader)) {
        return false;
    }
    leader.roi_known = binance_known(doc, "roi", &leader.roi);
    leader.pnl_known = binance_known(doc, "pnl", &leader.pnl);
    leader.assets_managed_known = binance_known(doc, "aum", &leader.assets_managed);
    leader.win_rate_known = binance_known(doc, "winRate", &leader.win_rate);
    json_get_bool(doc, json_at(doc, 0, "positionShow"), &leader.positions_shown);
    if (binance_room(result, &slot)) {
        result->leaders[slot] = leader;
    }
    return true;
}

/* An integer that stands somewhere in a request body or an answer; -1 where there is none. */
static int64_t binance_member_int(const char *text, size_t length, const char *path)
{
    const char *value;
    size_t value_length;
    dec number;

    if (!venue_scan_member(text, length, path, &value, &value_length) ||
        !dec_parse(value, value_length, &number) || dec_sign(number) < 0 ||
        dec_compare(number, dec_from_int(INT32_MAX)) > 0) {
        return -1;
    }
    return (int64_t)(number.units / DEC_ONE.units);
}

bool binance_read_ranking(const venue_request *request, const venue_answer *answer,
                          venue_result *result)
{
    int64_t page = binance_member_int(request->body, request->body_length, "pageNumber");
    int64_t size = binance_member_int(request->body, request->body_length, "pageSize");
    int64_t total = binance_member_int(answer->body, answer->body_length, "data.total");

    if (!binance_read_list(request, answer, "data.list", binance_ranked, result, NULL)) {
        return false;
    }
    if (result->count > 0 && page > 0 && size > 0 && page < BINANCE_RANKING_PAGES_MAX &&
        page * size < total) {
        snprintf(result->next, sizeof(result->next), "%d", (int)page + 1);
    }
    return true;
}

/* Only a portfolio that is active and says so shows its positions. */
static bool binance_leader_object(const json_doc *doc, const venue_request *request,
                                  venue_result *result)
{
    int status = json_at(doc, 0, "status");
    venue_leader leader = {0};
    size_t slot;

    if (!binance_leader_common(doc, &leader) ||
        !binance_sent_agrees(request, "portfolioId", leader.leader_id)) {
        return false;
    }
    leader.assets_managed_known = binance_known(doc, "aumAmount", &leader.assets_managed);
    leader.equity_known = binance_known(doc, "marginBalance", &leader.equity);
    leader.roi_known = binance_known(doc, "roi", &leader.roi);
    leader.pnl_known = binance_known(doc, "pnl", &leader.pnl);
    leader.win_rate_known = binance_known(doc, "winRate", &leader.win_rate);
    json_get_bool(doc, json_at(doc, 0, "positionShow"), &leader.positions_shown);
    if (status >= 0 && !json_equals(doc, status, "ACTIVE")) {
        leader.positions_shown = false;
    }
    if (binance_room(result, &slot)) {
        result->leaders[slot] = leader;
    }
    return true;
}

bool binance_read_leader(const venue_request *request, const venue_answer *answer,
                         venue_result *result)
{
    venue_answer data = *answer;

    return venue_scan_member(answer->body, answer->body_length, "data", &data.body,
                             &data.body_length) &&
           binance_read_one(request, &data, binance_leader_object, result);
}

/* ---- positions ------------------------------------------------------------------------------- */

/* A short is negative, whether the page says so by sign or by side; a negative long is nonsense. */
static bool binance_signed_by_side(venue_position *position)
{
    if (position->position_side == VENUE_SHORT) {
        position->quantity = dec_negate(dec_absolute(position->quantity));
    }
    return position->position_side != VENUE_LONG || dec_sign(position->quantity) >= 0;
}

static bool binance_leader_position(const json_doc *doc, const venue_request *request,
                                    venue_result *result)
{
    venue_position position = {0};
    int64_t leverage;
    bool isolated = false;
    size_t slot;

    (void)request;
    if (!json_copy(doc, json_at(doc, 0, "symbol"), position.symbol, sizeof(position.symbol)) ||
        position.symbol[0] == '\0' || json_at(doc, 0, "positionSide") < 0 ||
        !binance_position_side(doc, json_at(doc, 0, "positionSide"), &position.position_side) ||
        !json_get_dec_rounded(doc, json_at(doc, 0, "positionAmount"), &position.quantity) ||
        !binance_signed_by_side(&position)) {
        return false;
    }
    if (dec_is_zero(position.quantity)) {
        return true;
    }
    if (!json_get_dec_rounded(doc, json_at(doc, 0, "entryPrice"), &position.entry_price) ||
        !binance_figure(doc, "markPrice", &position.mark_price) ||
        !binance_figure(doc, "unrealizedProfit", &position.unrealised)) {
        return false;
    }
    if (json_get_int(doc, json_at(doc, 0, "leverage"), &leverage) && leverage > 0 &&
        leverage <= 1000) {
        position.leverage = (int)leverage;
    }
    json_get_bool(doc, json_at(doc, 0, "isolated"), &isolated);
    position.margin_mode = isolated ? VENUE_ISOLATED : VENUE_CROSS;
    position.updated_ns = binance_time(doc, "updateTime");
    if (binance_room(result, &slot)) {
        result->positions[slot] = position;
    }
    return true;
}

bool binance_read_leader_positions(const venue_request *request, const venue_answer *answer,
                                   venue_result *result)
{
    size_t seen = 0;

    if (!binance_read_list(request, answer, "data", binance_leader_position, result, &seen)) {
        return false;
    }
    /* A page that lists nothing hides something. */
    result->complete = result->complete && seen > 0;
    return true;
}

/* ---- history --------------------------------------------------------------------------------- */

/* The page tells neither ids nor fees. */
static bool binance_leader_fill(const json_doc *doc, const venue_request *request,
                                venue_result *result)
{
    venue_fill fill = {0};
    size_t slot;

    (void)request;
    if (!json_copy(doc, json_at(doc, 0, "symbol"), fill.symbol, sizeof(fill.symbol)) ||
        !binance_side(doc, json_at(doc, 0, "side"), &fill.side) ||
        !binance_position_side(doc, json_at(doc, 0, "positionSide"), &fill.position_side) ||
        !json_get_dec_rounded(doc, json_at(doc, 0, "executedQty"), &fill.quantity) ||
        !json_get_dec_rounded(doc, json_at(doc, 0, "avgPrice"), &fill.price) ||
        !binance_figure(doc, "totalPnl", &fill.realised_pnl) || dec_sign(fill.quantity) < 0 ||
        !dec_mul(fill.quantity, fill.price, DEC_HALF_EVEN, &fill.quote_quantity)) {
        return false;
    }
    fill.time_ns = binance_time(doc, "orderUpdateTime");
    if (fill.time_ns == 0) {
        fill.time_ns = binance_time(doc, "orderTime");
    }
    if (binance_room(result, &slot)) {
        result->fills[slot] = fill;
    }
    return true;
}

bool binance_read_leader_history(const venue_request *request, const venue_answer *answer,
                                 venue_result *result)
{
    jsmntok_t token;
    const char *index;
    size_t length;
    json_doc doc;

    if (!binance_read_list(request, answer, "data.list", binance_leader_fill, result, NULL)) {
        return false;
    }
    if (result->count > 0 &&
        venue_scan_member(answer->body, answer->body_length, "data.indexValue", &index, &length) &&
        json_parse(&doc, index, length, &token, 1) == JSON_OK && !json_is_null(&doc, 0) &&
        !json_copy(&doc, 0, result->next, sizeof(result->next))) {
        result->next[0] = '\0';
        if (!binance_id(&doc, 0, result->next, sizeof(result->next))) {
            return false;
        }
    }
    return true;
}
