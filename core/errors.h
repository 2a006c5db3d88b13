/*
 * The one list of error codes: REST answers, bot sentences and trade reasons all use it.
 * X(name, text on the wire, HTTP status, sentence for a person). docs/API.md is tested against it.
 */
#ifndef WHALE_CORE_ERRORS_H
#define WHALE_CORE_ERRORS_H

#define WHALE_ERRORS(X)                                                                            \
    X(NONE, "none", 200, "No error.")                                                              \
    /* requests */                                                                                 \
    X(BAD_REQUEST, "bad_request", 400, "The request is not valid.")                                \
    X(BAD_JSON, "bad_json", 400, "The body is not valid JSON.")                                    \
    X(BAD_FIELD, "bad_field", 400, "A field is missing or not valid.")                             \
    X(BAD_CURSOR, "bad_cursor", 400, "The cursor is not one that this list gave out.")             \
    X(BODY_TOO_LARGE, "body_too_large", 413, "The body is too large.")                             \
    X(UNAUTHENTICATED, "unauthenticated", 401, "Sign in through Telegram first.")                  \
    X(INIT_DATA_INVALID, "init_data_invalid", 401, "Telegram's sign-in data is not valid.")        \
    X(INIT_DATA_STALE, "init_data_stale", 401, "The sign-in data is too old. Open the app again.") \
    X(SESSION_INVALID, "session_invalid", 401, "The session has ended. Sign in again.")            \
    X(FORBIDDEN, "forbidden", 403, "That is not allowed.")                                         \
    X(NOT_FOUND, "not_found", 404, "There is no such thing.")                                      \
    X(METHOD_NOT_ALLOWED, "method_not_allowed", 405, "This address does not take that method.")    \
    X(CONFLICT, "conflict", 409, "That contradicts the present state.")                            \
    X(IDEMPOTENCY_MISMATCH, "idempotency_mismatch", 409,                                           \
      "This Idempotency-Key was used with another request.")                                       \
    X(UNSUPPORTED_MEDIA, "unsupported_media", 415, "Send JSON (Content-Type: application/json).")  \
    X(LIMIT_REACHED, "limit_reached", 422, "Your plan's limit is reached.")                        \
    X(OVERLOADED, "overloaded", 503, "Busy just now. Try again in a moment.")                      \
    X(UNAVAILABLE, "unavailable", 503, "Part of the service is down. Nothing was lost.")           \
    X(INTERNAL, "internal", 500, "Something broke on our side.")                                   \
    /* why a copy was not made, or a trade ended without a fill */                                 \
    X(NO_INSTRUMENT, "no_instrument", 422, "Your exchange does not list this instrument.")         \
    X(NO_ACCOUNT, "no_account", 422, "Connect an exchange account first.")                         \
    X(ACCOUNT_INACTIVE, "account_inactive", 422, "The exchange account is not active.")            \
    X(USER_INACTIVE, "user_inactive", 403, "Your account is not active.")                          \
    X(COPY_OFF, "copy_off", 422, "Copying is switched off.")                                       \
    X(FUTURES_NEED_PRO, "futures_need_pro", 422, "Futures need the PRO plan.")                     \
    X(BALANCE_TOO_LOW, "balance_too_low", 422, "The balance is below the minimum of 5 USDT.")      \
    X(SIZE_TOO_SMALL, "size_too_small", 422, "The size is below the minimum.")                     \
    X(SIZE_LIMITS_CROSS, "size_limits_cross", 422,                                                 \
      "The smallest order that the exchange takes is above your limit.")                           \
    X(FUNDS_SHORT, "funds_short", 422, "Not enough free balance.")                                 \
    X(DAILY_LOSS_REACHED, "daily_loss_reached", 422, "Today's loss limit is reached.")             \
    X(POSITIONS_FULL, "positions_full", 422, "The limit of open positions is reached.")            \
    X(OPPOSITE_POSITION, "opposite_position", 422,                                                 \
      "A position on the other side of this instrument is open.")                                  \
    X(NO_POSITION, "no_position", 422, "There is no copied position to change.")                   \
    X(PRICE_UNKNOWN, "price_unknown", 422, "No fresh price for this instrument.")                  \
    X(SIGNAL_STALE, "signal_stale", 422, "The signal was too old to copy.")                        \
    X(ALREADY_COPIED, "already_copied", 409, "This signal was copied already.")                    \
    X(DECISION_STALE, "decision_stale", 409, "The facts changed; decided again.")                  \
    X(LEVERAGE_REJECTED, "leverage_rejected", 422, "The exchange refused the leverage.")           \
    X(LEVERAGE_LIMIT, "leverage_limit", 422,                                                       \
      "The open position's leverage is above your maximum.")                                       \
    X(VENUE_REJECTED, "venue_rejected", 422, "The exchange rejected the order.")                   \
    X(VENUE_FUNDS, "venue_funds", 422, "The exchange says the funds are short.")                   \
    X(VENUE_FILTER, "venue_filter", 422, "The order breaks a filter of the exchange.")             \
    X(VENUE_UNAVAILABLE, "venue_unavailable", 503, "The exchange did not answer.")                 \
    X(REDUCE_ONLY_REJECTED, "reduce_only_rejected", 422, "The position was closed already.")       \
    X(UNCLEAR_NOT_FOUND, "unclear_not_found", 422,                                                 \
      "The exchange never confirmed the order; it was not found there.")                           \
    X(KEY_CAN_WITHDRAW, "key_can_withdraw", 422,                                                   \
      "This API key may withdraw. Make one that may only trade.")                                  \
    X(KEY_REJECTED, "key_rejected", 422, "The exchange refused the API key.")                      \
    X(KEY_UNREADABLE, "key_unreadable", 422, "The stored API key cannot be opened.")               \
    X(HEDGE_MODE_UNSUPPORTED, "hedge_mode_unsupported", 422,                                       \
      "Switch the exchange account to one-way mode.")                                              \
    X(EXPIRED_UNSENT, "expired_unsent", 422, "The order could not be sent in time.")

enum whale_error {
#define WHALE_ERROR_ENUM(name, code, status, sentence) ERROR_##name,
    WHALE_ERRORS(WHALE_ERROR_ENUM)
#undef WHALE_ERROR_ENUM
        ERROR_COUNT
};

const char *error_code(enum whale_error error);     /* "funds_short" */
const char *error_sentence(enum whale_error error); /* plain English */
int error_http_status(enum whale_error error);
/* By its code on the wire; ERROR_COUNT where there is none. */
enum whale_error error_by_code(const char *code);

#endif
