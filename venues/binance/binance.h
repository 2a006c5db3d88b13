/*
 * What the parts of the Binance USD-M futures adapter share; the rest of the tree sees only
 * `binance_usdm`, through venues/venue.h.
 *
 *   binance.c             the adapter, the table of operations, parse
 *   binance_request.c     parameters, build and finish, requests that are no orders
 *   binance_order.c       orders and fills
 *   binance_conditional.c stops and take-profits
 *   binance_account.c     time, balances, positions, settings, key permissions, listen key
 *   binance_instrument.c  exchange information, leverage brackets
 *   binance_leader.c      the copy-trading pages
 *   binance_errors.c      what an answer's status and code mean
 *   binance_stream.c      subscribe frames, messages to events
 *   binance_sign.c        the signer's allow-list
 */
#ifndef WHALE_VENUES_BINANCE_H
#define WHALE_VENUES_BINANCE_H

#include "core/json.h"
#include "venues/venue.h"

extern const venue_adapter binance_usdm;

/* One object of any answer that is read: an instrument has some 200 tokens, a leader's page 400. */
#define BINANCE_TOKENS 1024

/* ---- requests (binance_request.c) ----------------------------------------------------------- */

/* `name=value&…` into a query or a body. Once something does not fit, it stays failed. */
typedef struct {
    char *buffer;
    size_t capacity, length;
    bool failed;
} binance_params;

void binance_param(binance_params *params, const char *name, const char *value);
void binance_param_int(binance_params *params, const char *name, int64_t value);
void binance_param_dec(binance_params *params, const char *name, dec value);
/* False, and the request is invalid, where the text cannot be such a thing at Binance. */
bool binance_param_symbol(binance_params *params, const char *symbol);
bool binance_param_client_id(binance_params *params, const char *name, const char *id);
bool binance_param_digits(binance_params *params, const char *name, const char *digits);

/* The value that a built request carries under a name, as it stands on the wire. */
bool binance_sent(const venue_request *request, const char *name, const char **value,
                  size_t *length);
/* True where the request carries this very value, or no such parameter at all. */
bool binance_sent_agrees(const venue_request *request, const char *name, const char *value);
bool binance_sent_dec_agrees(const venue_request *request, const char *name, dec value);
bool binance_sent_side_agrees(const venue_request *request, enum venue_side side);

/* ---- operations (binance.c) ----------------------------------------------------------------- */

typedef struct {
    const char *method, *path;
    enum venue_host host;
    enum venue_scheme scheme;
    bool read_only;
    int weight;
    /* Adds the operation's own parameters; false: a value is missing or not possible. */
    bool (*fill)(const venue_call *call, binance_params *params);
    /* Values of a 2xx answer; false: not what Binance sends. */
    bool (*read)(const venue_request *request, const venue_answer *answer, venue_result *result);
} binance_endpoint;

/* NULL where the adapter has no such operation. */
const binance_endpoint *binance_endpoint_of(enum venue_operation operation);

enum venue_build_status binance_build(const venue_call *call, venue_request *request);
bool binance_finish(const venue_request *request, const venue_credentials *credentials,
                    venue_bytes *bytes);
void binance_parse(const venue_request *request, const venue_answer *answer, venue_result *result);

/* ---- reading (binance.c) -------------------------------------------------------------------- */

/* Reads one element; appends to the result what is of interest. */
typedef bool (*binance_reader)(const json_doc *doc, const venue_request *request,
                               venue_result *result);

/* Every element of the array at a path; `seen` may be NULL. False where one of them is unreadable.
 */
bool binance_read_list(const venue_request *request, const venue_answer *answer, const char *path,
                       binance_reader reader, venue_result *result, size_t *seen);
bool binance_read_one(const venue_request *request, const venue_answer *answer,
                      binance_reader reader, venue_result *result);
/* True where there is room for another; counts it either way. `slot` is where it goes. */
bool binance_room(venue_result *result, size_t *slot);

/* A number of milliseconds as nanoseconds; 0 where there is none. */
int64_t binance_time(const json_doc *doc, const char *path);
/* An id, written bare or as a string, kept as text: some are above 2^53. */
bool binance_id(const json_doc *doc, int node, char *out, size_t capacity);
/* The index of the node's text among the words, or `otherwise`. */
int binance_word(const json_doc *doc, int node, const char *const *words, int count, int otherwise);
/* A figure: half-even at 12 places; zero where it is missing, null or empty. False: no number. */
bool binance_figure(const json_doc *doc, const char *path, dec *out);
/* "BUY"/"SELL"; false for anything else. */
bool binance_side(const json_doc *doc, int node, enum venue_side *side);
/* "BOTH"/"LONG"/"SHORT"; BOTH where it is missing, false for anything else. */
bool binance_position_side(const json_doc *doc, int node, enum venue_position_side *side);

/* ---- the parts ------------------------------------------------------------------------------ */

/* binance_order.c */
extern const char *const binance_types[]; /* by enum venue_order_type */
bool binance_fill_direction(const venue_call *call, binance_params *params);
bool binance_fill_order(const venue_call *call, binance_params *params);
bool binance_fill_order_id(const venue_call *call, binance_params *params);
bool binance_fill_fills(const venue_call *call, binance_params *params);
bool binance_read_placed(const venue_request *request, const venue_answer *answer,
                         venue_result *result);
bool binance_read_order(const venue_request *request, const venue_answer *answer,
                        venue_result *result);
bool binance_read_orders(const venue_request *request, const venue_answer *answer,
                         venue_result *result);
bool binance_read_fills(const venue_request *request, const venue_answer *answer,
                        venue_result *result);
enum venue_order_state binance_order_state(const json_doc *doc, int node);
enum venue_order_type binance_order_type(const json_doc *doc, int node);

/* binance_conditional.c */
bool binance_fill_conditional(const venue_call *call, binance_params *params);
bool binance_fill_conditional_id(const venue_call *call, binance_params *params);
bool binance_read_conditional(const venue_request *request, const venue_answer *answer,
                              venue_result *result);
bool binance_read_conditional_cancelled(const venue_request *request, const venue_answer *answer,
                                        venue_result *result);
enum venue_order_state binance_conditional_state(const json_doc *doc, int node, dec quantity,
                                                 dec filled);

/* binance_account.c */
bool binance_fill_symbol(const venue_call *call, binance_params *params);
bool binance_fill_symbol_or_all(const venue_call *call, binance_params *params);
bool binance_fill_nothing(const venue_call *call, binance_params *params);
bool binance_fill_position_mode(const venue_call *call, binance_params *params);
bool binance_fill_margin_mode(const venue_call *call, binance_params *params);
bool binance_fill_leverage(const venue_call *call, binance_params *params);
bool binance_read_time(const venue_request *request, const venue_answer *answer,
                       venue_result *result);
bool binance_read_balances(const venue_request *request, const venue_answer *answer,
                           venue_result *result);
bool binance_read_positions(const venue_request *request, const venue_answer *answer,
                            venue_result *result);
bool binance_read_position_mode(const venue_request *request, const venue_answer *answer,
                                venue_result *result);
bool binance_read_symbol_settings(const venue_request *request, const venue_answer *answer,
                                  venue_result *result);
bool binance_read_leverage(const venue_request *request, const venue_answer *answer,
                           venue_result *result);
bool binance_read_success(const venue_request *request, const venue_answer *answer,
                          venue_result *result);
bool binance_read_permissions(const venue_request *request, const venue_answer *answer,
                              venue_result *result);
bool binance_read_listen_key(const venue_request *request, const venue_answer *answer,
                             venue_result *result);
bool binance_listen_key_valid(const char *token);

/* binance_instrument.c */
bool binance_read_instruments(const venue_request *request, const venue_answer *answer,
                              venue_result *result);
bool binance_read_brackets(const venue_request *request, const venue_answer *answer,
                           venue_result *result);

/* binance_leader.c */
bool binance_fill_leader(const venue_call *call, binance_params *params);
bool binance_fill_ranking(const venue_call *call, binance_params *params);
bool binance_fill_leader_history(const venue_call *call, binance_params *params);
bool binance_read_ranking(const venue_request *request, const venue_answer *answer,
                          venue_result *result);
bool binance_read_leader(const venue_request *request, const venue_answer *answer,
                         venue_result *result);
bool binance_read_leader_positions(const venue_request *request, const venue_answer *answer,
                                   venue_result *result);
bool binance_read_leader_history(const venue_request *request, const venue_answer *answer,
                                 venue_result *result);

/* binance_errors.c */
void binance_classify(const venue_request *request, const venue_answer *answer,
                      venue_verdict *verdict);
/* What a 2xx answer turns into when its values cannot be read. */
void binance_unreadable(const venue_request *request, const char *why, venue_verdict *verdict);

/* binance_sign.c */
bool binance_sign_allowed(const char *method, const char *path, const char *text, size_t length);

/* binance_stream.c */
bool binance_stream_target(bool private_stream, const char *token, char *target, size_t capacity);
bool binance_stream_channel_target(enum venue_channel channel, char *target, size_t capacity);
size_t binance_stream_subscribe(const char *const *symbols, size_t count,
                                const enum venue_channel *channels, size_t channel_count,
                                int64_t id, char *frame, size_t capacity, size_t *length);
bool binance_stream_login(const venue_credentials *credentials, int64_t time_ns, char *frame,
                          size_t capacity, size_t *length);
void binance_stream_parse(const char *message, size_t length, venue_event *event);

#endif
