/*
 * The interface of every venue (docs/ARCHITECTURE.md). An adapter does no I/O and holds no secret:
 *
 *   build   values -> request, with the text to sign
 *   finish  credentials and signature -> the bytes to send
 *   parse   answer -> values, or an error of a class that says what to do
 *
 * plus the streams: subscribe and login frames, keep-alive rules, message -> event. All are pure
 * functions on the caller's memory: recorded cases test them to the byte, fuzzers reach them.
 *
 * What a venue cannot do is a value: its operation's entry in `capabilities` says VENUE_CANNOT, and
 * build returns VENUE_BUILD_UNSUPPORTED. Sources of formulas and codes: each adapter's own tables.
 */
#ifndef WHALE_VENUE_H
#define WHALE_VENUE_H

#include "core/dec.h"
#include "core/errors.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VENUE_SYMBOL_MAX 81 /* native <= 80 bytes */
#define VENUE_ASSET_MAX 24
#define VENUE_ID_MAX 72 /* an order id of any venue, as text: some exceed 2^53, some are hashes */
#define VENUE_LEADER_MAX 96

/* ---- words --------------------------------------------------------------------------------- */

enum venue_market { VENUE_SPOT, VENUE_USDM, VENUE_COINM, VENUE_OUTCOME };
enum venue_side { VENUE_BUY, VENUE_SELL };
enum venue_position_side { VENUE_BOTH, VENUE_LONG, VENUE_SHORT }; /* BOTH: one-way (net) mode */
enum venue_position_mode { VENUE_ONE_WAY, VENUE_HEDGE };
enum venue_margin_mode { VENUE_CROSS, VENUE_ISOLATED, VENUE_CASH };
enum venue_order_type {
    VENUE_MARKET,
    VENUE_LIMIT,
    VENUE_STOP_MARKET,
    VENUE_TAKE_PROFIT_MARKET,
    VENUE_TRAILING_STOP
};
enum venue_time_in_force { VENUE_GTC, VENUE_IOC, VENUE_FOK, VENUE_POST_ONLY };
enum venue_trigger_price { VENUE_TRIGGER_MARK, VENUE_TRIGGER_LAST, VENUE_TRIGGER_INDEX };
enum venue_quantity_unit {
    VENUE_UNIT_BASE,
    VENUE_UNIT_CONTRACTS,
    VENUE_UNIT_QUOTE,
    VENUE_UNIT_SHARES
};
enum venue_order_state {
    VENUE_ORDER_NEW,
    VENUE_ORDER_PARTIAL,
    VENUE_ORDER_FILLED,
    VENUE_ORDER_CANCELLED,
    VENUE_ORDER_REJECTED,
    VENUE_ORDER_EXPIRED,
    VENUE_ORDER_TRIGGERED,
    VENUE_ORDER_STATE_UNKNOWN,
};
const char *venue_market_name(enum venue_market market); /* "usdm" */
bool venue_market_by_name(const char *name, enum venue_market *market);

/* ---- operations ------------------------------------------------------------------------------ */

enum venue_operation {
    VENUE_OP_SERVER_TIME,
    VENUE_OP_INSTRUMENTS, /* every filter; paged where the venue pages */
    VENUE_OP_LEVERAGE_BRACKETS,
    VENUE_OP_BALANCES,
    VENUE_OP_POSITIONS,
    VENUE_OP_POSITION_MODE, /* read */
    VENUE_OP_SET_POSITION_MODE,
    VENUE_OP_SYMBOL_SETTINGS, /* read leverage and margin mode of a symbol */
    VENUE_OP_SET_MARGIN_MODE,
    VENUE_OP_SET_LEVERAGE,
    VENUE_OP_PLACE_ORDER, /* market, limit, post-only, reduce-only */
    VENUE_OP_PLACE_CONDITIONAL,
    VENUE_OP_CANCEL_ORDER,
    VENUE_OP_CANCEL_CONDITIONAL,
    VENUE_OP_CANCEL_ALL,
    VENUE_OP_QUERY_ORDER, /* by client order id or by the venue's */
    VENUE_OP_QUERY_CONDITIONAL,
    VENUE_OP_OPEN_ORDERS,
    VENUE_OP_FILLS, /* of an order, or of a symbol since a time */
    VENUE_OP_TRANSFER,
    VENUE_OP_KEY_PERMISSIONS,
    VENUE_OP_STREAM_TOKEN, /* a listen key */
    VENUE_OP_STREAM_TOKEN_KEEP,
    VENUE_OP_LEADER_RANKING,
    VENUE_OP_LEADER_DETAIL,
    VENUE_OP_LEADER_POSITIONS,
    VENUE_OP_LEADER_HISTORY,
    VENUE_OP_COUNT,
};

enum venue_ability {
    VENUE_CANNOT = 0, /* the venue has no such thing */
    VENUE_CAN,
    VENUE_NOT_YET,    /* the venue has it; this adapter does not */
    VENUE_NOT_NEEDED, /* happens by itself, or is part of another operation */
};

/* What the caller wants. Only the members that the operation names are read. */
typedef struct {
    enum venue_operation operation;
    enum venue_market market;
    const char *symbol;        /* native; NULL where the operation takes none */
    int64_t time_ns;           /* wall clock corrected to the venue's; signed requests carry it */
    int64_t receive_window_ns; /* acceptance window of signed requests */
    /* orders */
    enum venue_side side;
    enum venue_position_side position_side;
    enum venue_order_type order_type;
    enum venue_time_in_force time_in_force;
    enum venue_trigger_price trigger_by;
    dec quantity; /* in the instrument's own quantity unit, already on its step */
    dec price, trigger_price, callback_rate;
    bool reduce_only, close_position;
    bool quantity_is_quote;      /* spot market buys by quote amount */
    const char *client_order_id; /* ours; NULL: by venue_order_id */
    const char *venue_order_id;
    /* settings */
    int leverage;
    enum venue_margin_mode margin_mode;
    enum venue_position_mode position_mode;
    /* transfers */
    const char *asset;
    dec amount;
    enum venue_market transfer_from, transfer_to;
    const char *transfer_id;
    /* lists */
    int64_t since_ns, until_ns; /* 0: unbounded */
    const char *cursor;         /* from venue_page.next; NULL: first page */
    int limit;                  /* 0: the venue's own default */
    /* leaders and streams */
    const char *leader_id;
    const char *stream_token;
} venue_call;

/* Which configured address the request goes to. */
enum venue_host { VENUE_HOST_REST, VENUE_HOST_ACCOUNT, VENUE_HOST_LEADERS };

enum venue_scheme {
    VENUE_UNSIGNED,
    VENUE_KEY_ONLY, /* API key header, no signature */
    VENUE_HMAC_SHA256_HEX,
    VENUE_HMAC_SHA256_BASE64,
    VENUE_EIP712, /* typed data; sign_text is the digest, hex */
};

#define VENUE_PATH_MAX 192
#define VENUE_QUERY_MAX 1536
#define VENUE_BODY_MAX 4096
#define VENUE_SIGN_TEXT_MAX 6144
#define VENUE_URL_MAX (VENUE_PATH_MAX + VENUE_QUERY_MAX + 128)
#define VENUE_HEADERS_MAX 8
#define VENUE_HEADER_MAX 320

typedef struct {
    enum venue_operation operation;
    enum venue_host host;
    enum venue_scheme scheme;
    const char *method;          /* literal */
    char path[VENUE_PATH_MAX];   /* "/fapi/v1/order" */
    char query[VENUE_QUERY_MAX]; /* without "?"; percent-encoded; before the signature */
    char body[VENUE_BODY_MAX];   /* before the signature */
    size_t query_length, body_length;
    char sign_text[VENUE_SIGN_TEXT_MAX]; /* exactly what is signed */
    size_t sign_text_length;
    char timestamp[40]; /* as the venue wants it in a header, where it does */
    bool read_only;     /* may be repeated freely */
    int weight;         /* in the venue's own units */
} venue_request;

/* What the signer gives back. Lives as long as the call; wiped by the caller. */
typedef struct {
    const char *api_key;
    const char *passphrase; /* OKX, Bitget; "" elsewhere */
    const char *signature;  /* as the scheme encodes it; NULL for unsigned requests */
} venue_credentials;

typedef struct {
    const char *method;
    char target[VENUE_URL_MAX]; /* path and query with the signature; the configured address goes
                                   before */
    char body[VENUE_BODY_MAX];
    size_t body_length;
    char headers[VENUE_HEADERS_MAX][VENUE_HEADER_MAX];
    size_t header_count;
} venue_bytes;

enum venue_build_status {
    VENUE_BUILD_OK,
    VENUE_BUILD_UNSUPPORTED, /* see capabilities */
    VENUE_BUILD_INVALID,     /* a value that the venue would refuse, or that does not fit */
};

/* ---- answers ----------------------------------------------------------------------------------
 */

/* What an answer means for what to do next. Classified once, in one table per venue. */
enum venue_class {
    VENUE_OK,          /* accepted; values are filled in */
    VENUE_REJECTED,    /* refused for good; `reason` is the product's own */
    VENUE_RETRY_LATER, /* not executed; after retry_after_ns */
    VENUE_RETRY_NOW,   /* not executed; clock: take the server's time, sign anew */
    VENUE_UNCLEAR,     /* may have been executed: ask first */
    VENUE_NOT_KNOWN,   /* a query: the venue knows no such order (which is not "never placed") */
    VENUE_DUPLICATE,   /* the client order id is used: fetch that order */
    VENUE_UNCHANGED,   /* already so: as good as done */
    VENUE_ACCOUNT,     /* the account or key: tell the user, stop trying */
    VENUE_DOWN,        /* maintenance or unreachable: circuit breaker */
    VENUE_UNREADABLE,  /* not what this venue sends (HTML, truncated, another shape) */
};
const char *venue_class_name(enum venue_class class_);

typedef struct {
    enum venue_class class_;
    enum whale_error reason; /* for REJECTED and ACCOUNT */
    int code;                /* the venue's own; 0 where it has none */
    char message[160];       /* the venue's own words, cut and cleaned; holds no secret */
    int64_t retry_after_ns;
    bool flat; /* reduce-only refused because there is nothing to reduce */
} venue_verdict;

/* What came back from the wire. */
typedef struct {
    int status;
    const char *body;
    size_t body_length;
    int64_t retry_after_ns;
} venue_answer;

typedef struct {
    char symbol[VENUE_SYMBOL_MAX];
    enum venue_market market;
    char underlying[VENUE_ASSET_MAX]; /* "PEPE" of 1000PEPEUSDT */
    char base[VENUE_ASSET_MAX], quote[VENUE_ASSET_MAX], settle[VENUE_ASSET_MAX];
    dec multiplier;    /* 1000PEPEUSDT: 1000; else 1 */
    dec contract_size; /* base (or quote, where inverse) per contract; 1 where the unit is base */
    bool inverse, trading, perpetual;
    enum venue_quantity_unit quantity_unit;
    dec price_tick, price_min, price_max;
    dec quantity_step, quantity_min, quantity_max;                      /* limit orders */
    dec market_quantity_step, market_quantity_min, market_quantity_max; /* zero: as for limit */
    dec notional_min;                                                   /* zero: none */
    bool notional_min_waived_reduce_only;
    int leverage_max; /* 0: unknown until the brackets are read */
} venue_instrument;

typedef struct {
    char symbol[VENUE_SYMBOL_MAX];
    dec notional_from, notional_to;
    int leverage_max;
    dec maintenance_rate;
} venue_bracket;

typedef struct {
    char asset[VENUE_ASSET_MAX];
    dec wallet;    /* what was paid in, plus all realised */
    dec available; /* free for new orders */
    dec unrealised;
} venue_balance;

typedef struct {
    char symbol[VENUE_SYMBOL_MAX];
    enum venue_position_side position_side;
    dec quantity; /* signed: negative is short */
    dec entry_price, mark_price, unrealised, liquidation_price;
    int leverage; /* 0: not told here */
    enum venue_margin_mode margin_mode;
    int64_t updated_ns;
} venue_position;

typedef struct {
    char symbol[VENUE_SYMBOL_MAX];
    char venue_order_id[VENUE_ID_MAX], client_order_id[VENUE_ID_MAX];
    char child_order_id[VENUE_ID_MAX]; /* of a conditional order that fired: the order it became */
    enum venue_side side;
    enum venue_position_side position_side;
    enum venue_order_type type;
    enum venue_order_state state;
    dec quantity, filled_quantity;
    dec average_price; /* zero: not told */
    bool average_price_known;
    bool reduce_only;
    int64_t created_ns, updated_ns;
} venue_order;

typedef struct {
    char venue_trade_id[VENUE_ID_MAX], venue_order_id[VENUE_ID_MAX], symbol[VENUE_SYMBOL_MAX];
    enum venue_side side;
    enum venue_position_side position_side;
    dec price, quantity, quote_quantity;
    dec fee; /* positive: paid */
    char fee_asset[VENUE_ASSET_MAX];
    dec realised_pnl;
    bool maker;
    int64_t time_ns;
} venue_fill;

typedef struct {
    bool can_read, can_spot, can_futures, can_withdraw, can_transfer, ip_restricted;
} venue_permissions;

typedef struct {
    char leader_id[VENUE_LEADER_MAX];
    char nickname[64];
    dec roi, pnl, assets_managed, copier_pnl, win_rate; /* roi and win_rate in percent */
    bool roi_known, pnl_known, assets_managed_known, copier_pnl_known, win_rate_known;
    int followers, followers_max;
    bool positions_shown; /* false: hidden; an empty page then means nothing */
    dec equity;
    bool equity_known;
} venue_leader;

/*
 * The values of an answer. The caller gives room; `count` is how many there were in all, which may
 * be more than fitted (then `truncated`). Single values use the first element.
 */
typedef struct {
    venue_verdict verdict;
    int64_t server_time_ns;
    union {
        venue_instrument *instruments;
        venue_bracket *brackets;
        venue_balance *balances;
        venue_position *positions; /* of the account, or of a leader: non-zero ones only */
        venue_order *orders;
        venue_fill *fills;
        venue_leader *leaders;
        venue_permissions *permissions;
    };
    size_t capacity, count;
    bool truncated;
    char next[128]; /* cursor of the next page; "" at the end */
    enum venue_position_mode position_mode;
    enum venue_margin_mode margin_mode;
    int leverage;
    char stream_token[128];
    char transfer_id[VENUE_ID_MAX];
    bool complete; /* leaders' positions: the page is whole and shown; false means UNKNOWN, never
                      flat */
} venue_result;

/* ---- streams -----------------------------------------------------------------------------------
 */

enum venue_channel {
    VENUE_CHANNEL_BEST, /* best bid and ask */
    VENUE_CHANNEL_TRADES,
    VENUE_CHANNEL_MARK, /* mark price and funding */
    VENUE_CHANNEL_ACCOUNT,
    VENUE_CHANNEL_ORDERS,
};

enum venue_keepalive {
    VENUE_PING_FROM_SERVER, /* websocket pings; answer them */
    VENUE_PING_TEXT,        /* send `ping` every ping_every_ns, expect `pong` */
    VENUE_PING_JSON,
};

typedef struct {
    enum venue_keepalive keepalive;
    const char *ping; /* text to send; NULL for VENUE_PING_FROM_SERVER */
    int64_t ping_every_ns;
    int64_t lifetime_ns;   /* replace the connection before this age; 0: unlimited */
    int subscriptions_max; /* of a connection */
    int messages_per_second;
    bool token_keepalive;
    int64_t token_keep_every_ns;
} venue_stream_rules;

enum venue_event_kind {
    VENUE_EVENT_NONE, /* understood, of no interest */
    VENUE_EVENT_BEST,
    VENUE_EVENT_TRADE,
    VENUE_EVENT_MARK,
    VENUE_EVENT_ACK,
    VENUE_EVENT_PONG,
    VENUE_EVENT_LOGIN_OK,
    VENUE_EVENT_LOGIN_FAILED,
    VENUE_EVENT_RECONNECT, /* the server asks for it */
    VENUE_EVENT_ORDER,
    VENUE_EVENT_BALANCE,
    VENUE_EVENT_POSITION,
    VENUE_EVENT_TOKEN_EXPIRED,
    VENUE_EVENT_UNREADABLE,
};

typedef struct {
    enum venue_event_kind kind;
    const char *symbol; /* points into the frame; not NUL-terminated */
    size_t symbol_length;
    dec bid, ask, bid_size, ask_size, last, mark, funding;
    bool synthetic; /* a mark that says it is made up: the paper venue's mid */
    uint64_t update_id;
    int64_t exchange_time_ns;
    venue_order order; /* VENUE_EVENT_ORDER; with the fill that caused it */
    venue_fill fill;
    bool has_fill;
    venue_balance
        balance; /* VENUE_EVENT_BALANCE, and with a position where the message told both */
    venue_position position;
    bool more; /* the message told of more than fits an event: read the account */
    int code;  /* VENUE_EVENT_ACK: 0 accepted, else the venue's error */
} venue_event;

/* ---- the adapter
 * --------------------------------------------------------------------------------- */

typedef struct venue_adapter {
    const char *name; /* "binance" */
    enum venue_market market;
    enum venue_ability capabilities[VENUE_OP_COUNT];
    const char *client_order_id_alphabet; /* for documentation and the fuzzers */
    size_t client_order_id_max;
    bool client_order_id_unique_for_ever; /* resending under the same id is safe */
    bool reduce_only_in_hedge;            /* false: position side implies it */

    enum venue_build_status (*build)(const venue_call *call, venue_request *request);
    bool (*finish)(const venue_request *request, const venue_credentials *credentials,
                   venue_bytes *bytes);
    /* Fills result->verdict always; values only for VENUE_OK (and VENUE_UNCHANGED). */
    void (*parse)(const venue_request *request, const venue_answer *answer, venue_result *result);

    /*
     * The signer's allow-list: true where this text, signed for this method and path, can only be a
     * trading request of this venue: known endpoint, known parameter names, nothing that moves
     * funds out. Checked in `sign`, which trusts nobody.
     */
    bool (*sign_allowed)(const char *method, const char *path, const char *text, size_t length);

    venue_stream_rules public_rules, private_rules;
    /* Path and query to connect to on the stream address; false: not this adapter. */
    bool (*stream_target)(bool private_stream, const char *token, char *target, size_t capacity);
    /* A subscribe frame for as many of the symbols as fit; returns how many were taken; 0: error.
     */
    size_t (*stream_subscribe)(const char *const *symbols, size_t count,
                               const enum venue_channel *channels, size_t channel_count, int64_t id,
                               char *frame, size_t capacity, size_t *length);
    /* Login of private streams that need one; false: none is needed. */
    bool (*stream_login)(const venue_credentials *credentials, int64_t time_ns, char *frame,
                         size_t capacity, size_t *length);
    /* One message -> one event. No allocation. */
    void (*stream_parse)(const char *message, size_t length, venue_event *event);
    /*
     * Where a connection for this channel goes. Venues that serve channels at different addresses
     * (Binance USD-M: best bid and ask at one, marks and trades at another) need a connection for
     * each: channels may share one only where this gives the same target. NULL: all share
     * stream_target's.
     */
    bool (*stream_channel_target)(enum venue_channel channel, char *target, size_t capacity);
} venue_adapter;

/* "binance", VENUE_USDM -> its adapter; NULL where there is none. */
const venue_adapter *venue_find(const char *name, enum venue_market market);
const venue_adapter *const *venue_all(size_t *count);

/* Ids and quantities --------------------------------------------------------------------------- */

/* "binance:usdm:BTCUSDT"; false where it does not fit. */
bool venue_instrument_name(const char *venue, enum venue_market market, const char *symbol,
                           char *out, size_t capacity);
/*
 * The greatest quantity on the instrument's step that is not above `wanted` and within its bounds;
 * `market_order` chooses the market-lot filter. Zero where nothing fits.
 */
dec venue_quantity_down(const venue_instrument *instrument, bool market_order, dec wanted);

#endif
