/*
 * What the paper venue serves, the busiest first. Weights are Binance's.
 */
#include "workerd/paper/paper_server.h"

#define FAPI "/fapi/v1/"
#define LEADERS "/bapi/futures/v1/friendly/future/copy-trade/"
#define ADMIN "/paper/v1/"

const paper_route paper_routes[] = {
    {"POST", FAPI "order", PAPER_SIGNED, 0, paper_post_order, true},
    {"GET", FAPI "order", PAPER_SIGNED, 1, paper_get_order, false},
    {"GET", FAPI "userTrades", PAPER_SIGNED, 5, paper_get_trades, false},
    {"GET", "/fapi/v3/positionRisk", PAPER_SIGNED, 5, paper_get_positions_v3, false},
    {"GET", "/fapi/v3/account", PAPER_SIGNED, 5, paper_get_account_v3, false},
    {"GET", "/fapi/v3/balance", PAPER_SIGNED, 5, paper_get_balance, false},
    {"POST", FAPI "leverage", PAPER_SIGNED, 1, paper_post_leverage, false},
    {"GET", LEADERS "lead-data/positions", PAPER_OPEN_ACCESS, 0, paper_leader_positions, false},
    {"GET", FAPI "openOrders", PAPER_SIGNED, 1, paper_get_open_orders, false},
    {"GET", FAPI "openOrder", PAPER_SIGNED, 1, paper_get_open_order, false},
    {"GET", FAPI "allOrders", PAPER_SIGNED, 5, paper_get_all_orders, false},
    {"DELETE", FAPI "order", PAPER_SIGNED, 1, paper_delete_order, false},
    {"DELETE", FAPI "allOpenOrders", PAPER_SIGNED, 1, paper_delete_orders, false},
    {"GET", FAPI "leverageBracket", PAPER_SIGNED, 1, paper_get_brackets, false},
    {"GET", "/fapi/v2/balance", PAPER_SIGNED, 5, paper_get_balance, false},
    {"GET", "/fapi/v2/account", PAPER_SIGNED, 5, paper_get_account_v2, false},
    {"GET", "/fapi/v2/positionRisk", PAPER_SIGNED, 5, paper_get_positions_v2, false},
    {"GET", FAPI "positionSide/dual", PAPER_SIGNED, 30, paper_get_dual, false},
    {"POST", FAPI "positionSide/dual", PAPER_SIGNED, 1, paper_post_dual, false},
    {"POST", FAPI "marginType", PAPER_SIGNED, 1, paper_post_margin_type, false},
    {"GET", FAPI "symbolConfig", PAPER_SIGNED, 5, paper_get_symbol_config, false},
    {"GET", FAPI "commissionRate", PAPER_SIGNED, 20, paper_get_fee, false},
    {"GET", FAPI "multiAssetsMargin", PAPER_SIGNED, 30, paper_get_multi_assets, false},
    {"GET", "/sapi/v1/account/apiRestrictions", PAPER_SIGNED, 1, paper_get_restrictions, false},
    /* What clients ask of other parts of the exchange at their start: there is nothing there. */
    {"GET", "/sapi/v1/capital/config/getall", PAPER_SIGNED, 10, paper_get_empty, false},
    {"GET", "/sapi/v1/margin/allPairs", PAPER_KEYED, 1, paper_get_empty, false},
    {"GET", "/sapi/v1/margin/isolated/allPairs", PAPER_KEYED, 10, paper_get_empty, false},
    {"POST", FAPI "listenKey", PAPER_KEYED, 1, paper_post_listen_key, false},
    {"PUT", FAPI "listenKey", PAPER_KEYED, 1, paper_put_listen_key, false},
    {"DELETE", FAPI "listenKey", PAPER_KEYED, 1, paper_delete_listen_key, false},
    {"GET", FAPI "ping", PAPER_OPEN_ACCESS, 1, paper_get_ping, false},
    {"GET", FAPI "time", PAPER_OPEN_ACCESS, 1, paper_get_time, false},
    {"GET", FAPI "exchangeInfo", PAPER_OPEN_ACCESS, 1, paper_get_exchange_info, false},
    {"GET", FAPI "ticker/bookTicker", PAPER_OPEN_ACCESS, 2, paper_get_book_ticker, false},
    {"GET", FAPI "ticker/price", PAPER_OPEN_ACCESS, 1, paper_get_ticker_price, false},
    {"GET", "/fapi/v2/ticker/price", PAPER_OPEN_ACCESS, 1, paper_get_ticker_price, false},
    {"GET", FAPI "ticker/24hr", PAPER_OPEN_ACCESS, 1, paper_get_ticker_day, false},
    {"GET", FAPI "premiumIndex", PAPER_OPEN_ACCESS, 1, paper_get_premium, false},
    {"GET", FAPI "depth", PAPER_OPEN_ACCESS, 5, paper_get_depth, false},
    {"POST", LEADERS "home-page/query-list", PAPER_OPEN_ACCESS, 0, paper_leader_list, false},
    {"GET", LEADERS "lead-portfolio/detail", PAPER_OPEN_ACCESS, 0, paper_leader_detail, false},
    {"POST", LEADERS "lead-portfolio/order-history", PAPER_OPEN_ACCESS, 0, paper_leader_history,
     false},
    {"POST", ADMIN "accounts", PAPER_ADMIN, 0, paper_admin_accounts, false},
    {"GET", ADMIN "accounts/", PAPER_ADMIN, 0, paper_admin_account, false},
    {"GET", ADMIN "orders", PAPER_ADMIN, 0, paper_admin_orders, false},
    {"GET", ADMIN "leaders", PAPER_ADMIN, 0, paper_admin_leaders, false},
    {"POST", ADMIN "leaders/", PAPER_ADMIN, 0, paper_admin_leader, false},
    {"POST", ADMIN "script", PAPER_ADMIN, 0, paper_admin_script, false},
    {"POST", ADMIN "faults", PAPER_ADMIN, 0, paper_admin_faults, false},
    {"GET", ADMIN "faults", PAPER_ADMIN, 0, paper_admin_faults_get, false},
    {"POST", ADMIN "limits", PAPER_ADMIN, 0, paper_admin_limits, false},
    {"GET", ADMIN "status", PAPER_ADMIN, 0, paper_admin_status, false},
};
const size_t paper_route_count = sizeof(paper_routes) / sizeof(paper_routes[0]);
