/*
 * The admin calls that show and move leaders.
 */
#include "workerd/paper/paper_server.h"

#include <string.h>

static void paper_admin_leader_out(paper_call *call, const paper_leader *leader)
{
    const paper_leaders *leaders = &call->server->leaders;

    json_object(&call->out);
    paper_out_text(call, "id", leader->id);
    paper_out_text(call, "origin", leader->captured ? "captured" : "constructed");
    paper_out_text(call, "position_mode", leader->hedge ? "hedge" : "one_way");
    paper_out_bool(call, "scripted", leader->scripted);
    paper_out_bool(call, "hidden", leader->hidden);
    paper_out_int(call, "orders", (int64_t)leader->order_count);
    json_key(&call->out, "positions");
    json_array(&call->out);
    for (unsigned i = 0; i < leader->row_count; i++) {
        const paper_leader_row *row = &leader->rows[i];
        paper_leader_value value;

        if (dec_is_zero(row->position.amount)) {
            continue;
        }
        paper_leader_row_value(leaders, row, &value);
        json_object(&call->out);
        paper_out_text(call, "symbol", row->symbol);
        paper_out_text(call, "position_side", paper_position_side_names[row->side]);
        paper_out_dec(call, "quantity", row->position.amount);
        paper_out_dec(call, "entry_price", value.entry);
        paper_out_dec(call, "mark_price", value.mark);
        paper_out_int(call, "leverage", row->leverage);
        json_object_end(&call->out);
    }
    json_array_end(&call->out);
    json_object_end(&call->out);
}

bool paper_admin_leaders(paper_call *call)
{
    const paper_leaders *leaders = &call->server->leaders;

    json_object(&call->out);
    paper_out_bool(call, "running", leaders->running);
    paper_out_int(call, "pace_ms", leaders->pace_ms);
    paper_out_int(call, "moves", (int64_t)leaders->moves);
    json_key(&call->out, "leaders");
    json_array(&call->out);
    for (unsigned i = 0; i < leaders->count; i++) {
        paper_admin_leader_out(call, &leaders->leaders[i]);
    }
    json_array_end(&call->out);
    json_object_end(&call->out);
    return true;
}

static bool paper_read_move(paper_call *call, const json_doc *doc, paper_move *move)
{
    int action = -1;
    int64_t leverage = 0;
    const char *name;
    size_t length;

    *move = (paper_move){0};
    for (int i = 0; i < 5; i++) {
        action = json_equals(doc, json_at(doc, 0, "action"), paper_action_names[i]) ? i : action;
    }
    if (action < 0) {
        return paper_call_refuse(call, 400, "action is open, increase, reduce, close or flip");
    }
    move->action = (enum paper_action)action;
    if (json_slice(doc, json_at(doc, 0, "symbol"), &name, &length)) {
        move->symbol = paper_market_find(&call->server->market, name, length);
    }
    if (move->symbol == NULL) {
        return paper_call_refuse(call, 400, "symbol names no instrument");
    }
    move->is_short = json_equals(doc, json_at(doc, 0, "side"), "SHORT");
    if (json_at(doc, 0, "side") >= 0 && !move->is_short &&
        !json_equals(doc, json_at(doc, 0, "side"), "LONG")) {
        return paper_call_refuse(call, 400, "side is LONG or SHORT");
    }
    (void)json_get_dec(doc, json_at(doc, 0, "quantity"), &move->quantity);
    (void)json_get_dec(doc, json_at(doc, 0, "fraction"), &move->fraction);
    (void)json_get_int(doc, json_at(doc, 0, "leverage"), &leverage);
    if (leverage < 0 || leverage > PAPER_LEVERAGE_MAX) {
        return paper_call_refuse(call, 400, "leverage is 1 to 125");
    }
    move->leverage = (int)leverage;
    if (dec_sign(move->quantity) < 0 || dec_sign(move->fraction) < 0 ||
        dec_compare(move->fraction, dec_from_int(100)) > 0) {
        return paper_call_refuse(call, 400, "quantity and fraction are not negative");
    }
    if (action != PAPER_CLOSE && action != PAPER_FLIP && dec_is_zero(move->quantity) &&
        dec_is_zero(move->fraction)) {
        return paper_call_refuse(call, 400, "quantity or fraction is needed");
    }
    return true;
}

static bool paper_admin_move(paper_call *call, paper_leader *leader)
{
    char error[PAPER_REFUSAL_TEXT_MAX];
    paper_move move;
    json_doc doc;

    if (!paper_call_json(call, &doc) || !paper_read_move(call, &doc, &move)) {
        return false;
    }
    if (!paper_leader_move(&call->server->leaders, leader, &move, call->now_ms, error,
                           sizeof(error))) {
        return paper_call_refuse(call, 409, error);
    }
    paper_admin_leader_out(call, leader);
    return true;
}

/* POST /paper/v1/leaders/{id}/move and …/hide */
bool paper_admin_leader(paper_call *call)
{
    const char *slash = strchr(call->rest, '/');
    char id[PAPER_LEADER_ID_MAX] = "";
    paper_leader *leader;
    bool hidden = true;
    json_doc doc;

    if (slash != NULL && (size_t)(slash - call->rest) < sizeof(id)) {
        memcpy(id, call->rest, (size_t)(slash - call->rest));
    }
    leader = paper_leaders_find(&call->server->leaders, id);
    if (leader == NULL) {
        return paper_call_refuse(call, 404, "there is no such leader");
    }
    if (strcmp(slash, "/move") == 0) {
        return paper_admin_move(call, leader);
    }
    if (strcmp(slash, "/hide") != 0) {
        return paper_call_refuse(call, 404, "move or hide");
    }
    if (!paper_call_json(call, &doc)) {
        return false;
    }
    (void)json_get_bool(&doc, json_at(&doc, 0, "hidden"), &hidden);
    if (!paper_leader_hide(&call->server->leaders, leader, hidden, call->now_ms)) {
        return paper_call_refuse(call, 503, "it could not be recorded");
    }
    paper_admin_leader_out(call, leader);
    return true;
}
