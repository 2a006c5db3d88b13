/*
 * What the signer may sign for Binance. It trusts nobody: not the caller's word for what the text
 * is.
 *
 * Binance signs query and body, but neither method nor path, so a signature for one endpoint is
 * good for any other that takes the same parameters. What is checked is therefore the text itself:
 * every parameter name must be one that the named endpoint takes, no name twice, every value of the
 * shape that the name asks for. No endpoint here takes `coin`, `asset`, `amount`, `address`,
 * `network` or a transfer's `type`, so no text that passes can withdraw or move funds, wherever it
 * is sent.
 *
 * Query and body are signed as one string, so a text may be cut in two anywhere before it is sent.
 * Raw
 * `=` and `&` are refused in values; a cut inside a name leaves a suffix of it, and no suffix of a
 * name here is the name of a dangerous parameter.
 *
 * Independent of the tables that build requests, on purpose: an error there must not widen this.
 */
#include "venues/binance/binance.h"

#include <string.h>

#define BINANCE_SIGN_PARAMS_MAX 20
#define BINANCE_SIGN_VALUE_MAX 256

enum binance_kind {
    KIND_DIGITS,
    KIND_DECIMAL,
    KIND_BOOLEAN,
    KIND_SYMBOL,
    KIND_ID,
    KIND_SIDE,
    KIND_POSITION_SIDE,
    KIND_ORDER_TYPE,
    KIND_ALGO_TYPE,
    KIND_TIME_IN_FORCE,
    KIND_WORKING_TYPE,
    KIND_RESPONSE_TYPE,
    KIND_MARGIN_TYPE,
    KIND_CONDITIONAL,
};

typedef struct {
    const char *name;
    enum binance_kind kind;
} binance_sign_param;

typedef struct {
    const char *method, *path;
    const char *names; /* allowed beside recvWindow and timestamp, each between blanks */
} binance_sign_endpoint;

static const binance_sign_param binance_sign_params[] = {
    {"timestamp", KIND_DIGITS},
    {"recvWindow", KIND_DIGITS},
    {"symbol", KIND_SYMBOL},
    {"side", KIND_SIDE},
    {"positionSide", KIND_POSITION_SIDE},
    {"type", KIND_ORDER_TYPE},
    {"quantity", KIND_DECIMAL},
    {"price", KIND_DECIMAL},
    {"timeInForce", KIND_TIME_IN_FORCE},
    {"reduceOnly", KIND_BOOLEAN},
    {"newClientOrderId", KIND_ID},
    {"newOrderRespType", KIND_RESPONSE_TYPE},
    {"orderId", KIND_DIGITS},
    {"origClientOrderId", KIND_ID},
    {"algoType", KIND_CONDITIONAL},
    {"clientAlgoId", KIND_ID},
    {"algoId", KIND_DIGITS},
    {"closePosition", KIND_BOOLEAN},
    {"triggerPrice", KIND_DECIMAL},
    {"activatePrice", KIND_DECIMAL},
    {"callbackRate", KIND_DECIMAL},
    {"workingType", KIND_WORKING_TYPE},
    {"leverage", KIND_DIGITS},
    {"marginType", KIND_MARGIN_TYPE},
    {"dualSidePosition", KIND_BOOLEAN},
    {"startTime", KIND_DIGITS},
    {"endTime", KIND_DIGITS},
    {"fromId", KIND_DIGITS},
    {"limit", KIND_DIGITS},
};

static const binance_sign_endpoint binance_sign_endpoints[] = {
    {"GET", "/fapi/v1/leverageBracket", " symbol "},
    {"GET", "/fapi/v3/balance", " "},
    {"GET", "/fapi/v3/account", " "},
    {"GET", "/fapi/v3/positionRisk", " symbol "},
    {"GET", "/fapi/v1/positionSide/dual", " "},
    {"POST", "/fapi/v1/positionSide/dual", " dualSidePosition "},
    {"GET", "/fapi/v1/symbolConfig", " symbol "},
    {"POST", "/fapi/v1/marginType", " symbol marginType "},
    {"POST", "/fapi/v1/leverage", " symbol leverage "},
    {"POST", "/fapi/v1/order",
     " symbol side positionSide type quantity price timeInForce reduceOnly newClientOrderId "
     "newOrderRespType "},
    {"GET", "/fapi/v1/order", " symbol orderId origClientOrderId "},
    {"DELETE", "/fapi/v1/order", " symbol orderId origClientOrderId "},
    {"DELETE", "/fapi/v1/allOpenOrders", " symbol "},
    {"GET", "/fapi/v1/openOrders", " symbol "},
    {"GET", "/fapi/v1/userTrades", " symbol orderId startTime endTime fromId limit "},
    {"POST", "/fapi/v1/algoOrder",
     " symbol side positionSide type quantity reduceOnly closePosition algoType clientAlgoId "
     "triggerPrice activatePrice callbackRate workingType newOrderRespType "},
    {"GET", "/fapi/v1/algoOrder", " algoId clientAlgoId "},
    {"DELETE", "/fapi/v1/algoOrder", " algoId clientAlgoId "},
    {"GET", "/sapi/v1/account/apiRestrictions", " "},
};

/* ---- values ---------------------------------------------------------------------------------- */

static bool binance_value_of(const char *value, size_t length, const char *alphabet)
{
    for (size_t i = 0; i < length; i++) {
        if (value[i] == '\0' || strchr(alphabet, value[i]) == NULL) {
            return false;
        }
    }
    return true;
}

/* One of the words in a list, each between blanks. */
static bool binance_value_in(const char *value, size_t length, const char *words)
{
    for (const char *at = words + 1; *at != '\0';) {
        size_t word = strcspn(at, " ");

        if (word == length && memcmp(at, value, length) == 0) {
            return true;
        }
        at += word;
        at += *at == ' ';
    }
    return false;
}

/* Digits with at most one point. */
static bool binance_value_decimal(const char *value, size_t length)
{
    const char *point = memchr(value, '.', length);

    return binance_value_of(value, length, "0123456789.") &&
           (point == NULL || memchr(point + 1, '.', (size_t)(value + length - point - 1)) == NULL);
}

/* Unreserved characters and %XX, as the builder encodes. */
static bool binance_value_encoded(const char *value, size_t length)
{
    static const char plain[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "-._~";

    for (size_t i = 0; i < length; i++) {
        if (value[i] == '%') {
            if (length - i < 3 || !binance_value_of(value + i + 1, 2, "0123456789ABCDEF")) {
                return false;
            }
            i += 2;
        } else if (!binance_value_of(value + i, 1, plain)) {
            return false;
        }
    }
    return true;
}

/* Words by kind; those of a pattern have none. */
static const char *const binance_kind_words[] = {
    [KIND_BOOLEAN] = " true false ",
    [KIND_SIDE] = " BUY SELL ",
    [KIND_POSITION_SIDE] = " BOTH LONG SHORT ",
    [KIND_ORDER_TYPE] = " MARKET LIMIT ",
    [KIND_ALGO_TYPE] = " STOP_MARKET TAKE_PROFIT_MARKET TRAILING_STOP_MARKET ",
    [KIND_TIME_IN_FORCE] = " GTC IOC FOK GTX ",
    [KIND_WORKING_TYPE] = " MARK_PRICE CONTRACT_PRICE ",
    [KIND_RESPONSE_TYPE] = " ACK RESULT ",
    [KIND_MARGIN_TYPE] = " ISOLATED CROSSED ",
    [KIND_CONDITIONAL] = " CONDITIONAL ",
};

static bool binance_value_valid(enum binance_kind kind, const char *value, size_t length)
{
    if (length == 0 || length > BINANCE_SIGN_VALUE_MAX) {
        return false;
    }
    switch (kind) {
    case KIND_DIGITS:
        return length <= 20 && binance_value_of(value, length, "0123456789");
    case KIND_DECIMAL:
        return length <= DEC_TEXT_MAX && binance_value_decimal(value, length);
    case KIND_SYMBOL:
    case KIND_ID:
        return binance_value_encoded(value, length);
    default:
        return binance_value_in(value, length, binance_kind_words[kind]);
    }
}

/* ---- the text -------------------------------------------------------------------------------- */

static const binance_sign_endpoint *binance_sign_endpoint_of(const char *method, const char *path)
{
    for (size_t i = 0; i < sizeof(binance_sign_endpoints) / sizeof(binance_sign_endpoints[0]);
         i++) {
        const binance_sign_endpoint *endpoint = &binance_sign_endpoints[i];

        if (strcmp(endpoint->method, method) == 0 && strcmp(endpoint->path, path) == 0) {
            return endpoint;
        }
    }
    return NULL;
}

/* The index of a parameter by its name; -1 where the allow-list knows none. */
static int binance_sign_param_of(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof(binance_sign_params) / sizeof(binance_sign_params[0]); i++) {
        if (strlen(binance_sign_params[i].name) == length &&
            memcmp(binance_sign_params[i].name, name, length) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static bool binance_sign_pair(const binance_sign_endpoint *endpoint, const char *pair,
                              size_t length, uint64_t *seen)
{
    const char *equals = memchr(pair, '=', length);
    bool conditional = strcmp(endpoint->path, "/fapi/v1/algoOrder") == 0;
    enum binance_kind kind;
    size_t name_length;
    int param;

    if (equals == NULL) {
        return false;
    }
    name_length = (size_t)(equals - pair);
    param = binance_sign_param_of(pair, name_length);
    if (param < 0 || (*seen & 1ULL << param) != 0) {
        return false;
    }
    *seen |= 1ULL << param;
    /* The first two belong to every signed request. */
    if (param > 1 && !binance_value_in(pair, name_length, endpoint->names)) {
        return false;
    }
    kind = binance_sign_params[param].kind;
    if (kind == KIND_ORDER_TYPE && conditional) {
        kind = KIND_ALGO_TYPE;
    }
    return binance_value_valid(kind, equals + 1, length - name_length - 1);
}

bool binance_sign_allowed(const char *method, const char *path, const char *text, size_t length)
{
    const binance_sign_endpoint *endpoint = binance_sign_endpoint_of(method, path);
    const char *at = text, *end = text + length;
    uint64_t seen = 0;

    if (endpoint == NULL || length == 0 || length >= VENUE_SIGN_TEXT_MAX) {
        return false;
    }
    for (int pairs = 0; pairs < BINANCE_SIGN_PARAMS_MAX; pairs++) {
        const char *stop = memchr(at, '&', (size_t)(end - at));

        if (!binance_sign_pair(endpoint, at, (size_t)((stop == NULL ? end : stop) - at), &seen)) {
            return false;
        }
        if (stop == NULL) {
            return (seen & 1) != 0; /* a text without a time would be good for ever */
        }
        at = stop + 1;
    }
    return false;
}
