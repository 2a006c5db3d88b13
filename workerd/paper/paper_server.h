/*
 * The paper venue put together: market, exchange, journal, replay, leaders, REST and streams on one
 * libuv loop. `paper_role_run` starts one.
 */
#ifndef WHALE_PAPER_SERVER_H
#define WHALE_PAPER_SERVER_H

#include "core/config.h"
#include "core/crypto.h"
#include "core/json.h"
#include "shm/shm.h"
#include "workerd/paper/paper_exchange.h"
#include "workerd/paper/paper_faults.h"
#include "workerd/paper/paper_http.h"
#include "workerd/paper/paper_journal.h"
#include "workerd/paper/paper_leader.h"
#include "workerd/paper/paper_params.h"
#include "workerd/paper/paper_replay.h"
#include "workerd/paper/paper_stream.h"

#define PAPER_PATH_TEXT_MAX 512
#define PAPER_LISTEN_KEYS_MAX 4096
#define PAPER_LISTEN_KEY_MS (60LL * 60 * 1000)

typedef struct {
    uint32_t account;
    int64_t expires_ms; /* 0: free */
    char key[PAPER_KEY_LENGTH + 1];
} paper_listen_key;

typedef struct paper_server {
    const whale_config *config;
    uv_loop_t *loop;
    shm_process *process; /* NULL: nothing is counted */
    paper_market market;
    paper_exchange *exchange;
    paper_journal *journal;
    paper_replay *replay;
    paper_leaders leaders;
    paper_http *http;
    paper_streams *streams;
    paper_faults faults;
    uv_timer_t tick, second;
    char *info; /* exchangeInfo as served, around its serverTime */
    size_t info_length, info_time, info_time_length;
    crypto_mac **macs; /* by account, made when first needed */
    paper_params params;
    paper_listen_key *listen_keys;
    /* limits that POST /paper/v1/limits sets; 0: none */
    int64_t weight_limit, order_limit_10s, order_limit_1m;
    int64_t weight_window, weight_used;
    bool stranger_told; /* of a replayed symbol that is no instrument */
    bool stopping;
} paper_server;

/* False with the reason; what was started is stopped. */
bool paper_server_start(paper_server *server, uv_loop_t *loop, const whale_config *config,
                        shm_process *process, char *error, size_t capacity);
/* Ends connections and closes handles; run the loop once more, then free. */
void paper_server_stop(paper_server *server);
void paper_server_free(paper_server *server);

/* ---- endpoints ----------------------------------------------------------------------------------
 */

/* One request on its way through an endpoint. */
typedef struct {
    paper_server *server;
    const paper_http_call *http;
    const paper_params *params; /* not of admin calls and leaders' pages, whose bodies are JSON */
    const char *rest;           /* of the path, behind the route's */
    uint32_t account;           /* of keyed and signed routes */
    int64_t now_ms;
    json_writer out;
    paper_refusal refusal;
    int status; /* of an answer that is no refusal */
} paper_call;

/* True: the answer is in `out`. False: `refusal` says why. */
typedef bool paper_endpoint(paper_call *call);

enum paper_access {
    PAPER_OPEN_ACCESS, /* anybody */
    PAPER_KEYED,       /* an API key */
    PAPER_SIGNED,      /* key, time and signature */
    PAPER_ADMIN,       /* from this machine only */
};

typedef struct {
    const char *method, *path; /* a path that ends with '/' is a prefix */
    enum paper_access access;
    int weight;
    paper_endpoint *endpoint;
    bool places; /* an order: counted, and in the scope of faults */
} paper_route;

extern const paper_route paper_routes[];
extern const size_t paper_route_count;

void paper_api_serve(void *owner, const paper_http_call *http, paper_http_answer *answer);

paper_endpoint paper_get_ping, paper_get_time, paper_get_exchange_info, paper_get_book_ticker,
    paper_get_ticker_price, paper_get_premium, paper_get_ticker_day, paper_get_depth;
paper_endpoint paper_post_order, paper_get_order, paper_delete_order, paper_delete_orders,
    paper_get_open_order, paper_get_open_orders, paper_get_all_orders, paper_get_trades;
paper_endpoint paper_get_balance, paper_get_account_v2, paper_get_account_v3,
    paper_get_positions_v2, paper_get_positions_v3, paper_get_brackets, paper_post_leverage,
    paper_post_margin_type, paper_get_dual, paper_post_dual, paper_get_symbol_config,
    paper_get_restrictions, paper_get_empty, paper_get_fee, paper_get_multi_assets,
    paper_post_listen_key, paper_put_listen_key, paper_delete_listen_key;
paper_endpoint paper_admin_accounts, paper_admin_account, paper_admin_orders, paper_admin_leaders,
    paper_admin_leader, paper_admin_script, paper_admin_faults, paper_admin_faults_get,
    paper_admin_limits, paper_admin_status;
paper_endpoint paper_leader_list, paper_leader_detail, paper_leader_positions, paper_leader_history;

/* What several endpoints share (paper_api.c). */
void paper_out_text(paper_call *call, const char *key, const char *text);
void paper_out_dec(paper_call *call, const char *key, dec value);
/* With that many decimals, as Binance writes amounts; half-even. */
void paper_out_fixed(paper_call *call, const char *key, dec value, int places);
void paper_out_int(paper_call *call, const char *key, int64_t value);
void paper_out_bool(paper_call *call, const char *key, bool value);
/* The symbol parameter. NULL with `*given` false: not there; NULL otherwise: refused. */
paper_symbol *paper_call_symbol(paper_call *call, bool *given);
uint16_t paper_symbol_index(const paper_server *server, const paper_symbol *symbol);
/* A JSON body: refused with -1102 where it is none. */
bool paper_call_json(paper_call *call, json_doc *doc);
/* Refuses with a sentence of our own: admin calls and leaders' pages. */
bool paper_call_refuse(paper_call *call, int status, const char *text);
/* The account's user data stream, told after each order event (paper_user.c). */
void paper_user_changed(void *owner, const paper_event *event);

#endif
