/*
 * The routes: one table for dispatch, for /metrics and for the test of docs/API.md.
 *
 * X(name, method, path, who may call): `{x}` is one segment of the path.
 *   PUBLIC: anybody; USER: initData or a session; FRESH: initData at most five minutes old
 */
#ifndef WHALE_ROUTE_H
#define WHALE_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHALE_ROUTES(X)                                                                            \
    X(PRICE, GET, "/api/v1/prices/{venue}/{market}/{symbol}", PUBLIC)                              \
    X(POSITIONS, GET, "/api/v1/trades/positions", USER)                                            \
    X(TRADES, GET, "/api/v1/trades", USER)                                                         \
    X(SIGNALS, GET, "/api/v1/signals", USER)                                                       \
    X(SIGN_IN, POST, "/api/v1/auth/telegram", USER)                                                \
    X(ME, GET, "/api/v1/users/me", USER)                                                           \
    X(SETTINGS, PATCH, "/api/v1/users/me/settings", FRESH)                                         \
    X(KEYS, GET, "/api/v1/users/me/api-keys", USER)                                                \
    X(KEY_ADD, POST, "/api/v1/users/me/api-keys", FRESH)                                           \
    X(KEY_REMOVE, DELETE, "/api/v1/users/me/api-keys/{id}", FRESH)                                 \
    X(WHALES, GET, "/api/v1/whales", USER)                                                         \
    X(WHALE, GET, "/api/v1/whales/{id}", USER)                                                     \
    X(FOLLOW, POST, "/api/v1/whales/{id}/follow", USER)                                            \
    X(FOLLOW_CHANGE, PATCH, "/api/v1/whales/{id}/follow", USER)                                    \
    X(UNFOLLOW, DELETE, "/api/v1/whales/{id}/follow", USER)                                        \
    X(HEALTH, GET, "/health", OPERATOR)                                                            \
    X(HEALTH_LIVE, GET, "/health/live", OPERATOR)                                                  \
    X(HEALTH_READY, GET, "/health/ready", OPERATOR)                                                \
    X(HEALTH_WEBSOCKET, GET, "/api/v1/health/websocket", OPERATOR)                                 \
    X(METRICS, GET, "/metrics", OPERATOR)                                                          \
    X(WEBHOOK, POST, "/webhook/telegram", TELEGRAM)

enum whale_method { WHALE_GET = 1, WHALE_POST = 2, WHALE_PATCH = 4, WHALE_DELETE = 8 };
enum whale_access {
    WHALE_PUBLIC,
    WHALE_USER,
    WHALE_FRESH,
    WHALE_OPERATOR,
    WHALE_TELEGRAM,
};

enum whale_route {
#define WHALE_ROUTE_ENUM(name, method, path, access) WHALE_ROUTE_##name,
    WHALE_ROUTES(WHALE_ROUTE_ENUM)
#undef WHALE_ROUTE_ENUM
        WHALE_ROUTE_NONE, /* what matched no route; counted under this */
    WHALE_ROUTE_COUNT
};

typedef struct {
    const char *name; /* "price": the label in /metrics */
    enum whale_method method;
    const char *path;
    enum whale_access access;
} whale_route_entry;

extern const whale_route_entry whale_routes[WHALE_ROUTE_COUNT];

#define WHALE_ROUTE_PARAMETERS_MAX 3

typedef struct {
    const char *text;
    size_t length;
} whale_slice;

/*
 * The route of a decoded path, or WHALE_ROUTE_NONE; then `allowed` holds the methods that the path
 * does take (0: there is no such path). `operators`: among the operator's routes, else among the API's.
 */
enum whale_route whale_route_match(bool operators, enum whale_method method, const char *path,
                                   size_t length, whale_slice parameters[], unsigned *allowed);

/* "GET, HEAD, POST" */
void whale_route_allow(unsigned allowed, char text[40]);
/* An id in a path: digits alone, from 1 to 10^18 - 1. */
bool whale_route_id(const whale_slice *text, int64_t *id);

#endif
