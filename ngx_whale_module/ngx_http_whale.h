
/*
 * What the parts of the module share.
 *
 *   module    directives, a worker's life; secrets: keys from files
 *   api       routes, the request's own state, bodies
 *   respond   answers and errors; filter: errors that nginx itself makes
 *   auth      who asks, and the statements that say so to Postgres
 *   db        the pool; connect, conn: its connections, and what runs on them
 *   once      Idempotency-Key and update_id: a write that is asked for twice happens once
 *   segment   shared memory
 *   stats     counters of requests, in a zone of our own
 *   the rest  one file a group of routes
 *
 * whale_*.c beside these are plain C, without nginx's types.
 */


#ifndef _NGX_HTTP_WHALE_H_INCLUDED_
#define _NGX_HTTP_WHALE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <libpq-fe.h>

#include "core/config.h"
#include "core/crypto.h"
#include "core/errors.h"
#include "core/json.h"
#include "shm/shm.h"

#include "whale_fields.h"
#include "whale_profile.h"
#include "whale_route.h"
#include "whale_verdict.h"


#define NGX_HTTP_WHALE_BODY_MAX          (16 * 1024)
#define NGX_HTTP_WHALE_UPDATE_MAX        (64 * 1024)
#define NGX_HTTP_WHALE_STEPS             8
#define NGX_HTTP_WHALE_VALUES            28
#define NGX_HTTP_WHALE_LIST_DEFAULT      20
#define NGX_HTTP_WHALE_LIST_MAX          100
#define NGX_HTTP_WHALE_PAGE              500    /* of positions */
#define NGX_HTTP_WHALE_FRESH_S           300
#define NGX_HTTP_WHALE_KEY_MAX           128    /* of Idempotency-Key */
#define NGX_HTTP_WHALE_SECRET_MAX        256    /* of the webhook's secret */


typedef struct ngx_http_whale_ctx_s  ngx_http_whale_ctx_t;
typedef struct ngx_http_whale_job_s  ngx_http_whale_job_t;
typedef struct ngx_http_whale_conn_s  ngx_http_whale_conn_t;


typedef enum {
    NGX_HTTP_WHALE_NONE = 0,
    NGX_HTTP_WHALE_API,
    NGX_HTTP_WHALE_WEBHOOK,
    NGX_HTTP_WHALE_OPERATOR
} ngx_http_whale_kind_e;


/* the secrets that web workers hold: in locked memory, for the cycle's life */
typedef struct {
    uint8_t                     init_data[CRYPTO_KEY_SIZE];
    uint8_t                     session[CRYPTO_KEY_SIZE];
    uint8_t                     seal_public[CRYPTO_KEY_SIZE];
    char                        webhook[NGX_HTTP_WHALE_SECRET_MAX + 2];
    size_t                      webhook_len;
    char                        password[CONFIG_TEXT_MAX];
} ngx_http_whale_keys_t;


typedef struct {
    whale_config                config;
    uint64_t                    config_hash;
    ngx_http_whale_keys_t      *keys;
    ngx_shm_zone_t             *zone;
    ngx_int_t                   request_id_index;
    unsigned                    kinds;          /* bit per kind of location */
} ngx_http_whale_main_conf_t;


typedef struct {
    ngx_http_whale_kind_e       kind;
} ngx_http_whale_loc_conf_t;


typedef struct {
    ngx_uint_t                  used;           /* by one of its locations */
} ngx_http_whale_srv_conf_t;


/* ---- who asks ---------------------------------------------------------- */

typedef enum {
    NGX_HTTP_WHALE_NOBODY = 0,
    NGX_HTTP_WHALE_TELEGRAM,    /* by initData, or by an update of the bot */
    NGX_HTTP_WHALE_SESSION
} ngx_http_whale_who_e;


typedef struct {
    ngx_http_whale_who_e        kind;
    int64_t                     telegram_id;    /* of TELEGRAM */
    int64_t                     user_id;        /* of SESSION; TELEGRAM: once signed in */
    int64_t                     epoch;
    int64_t                     auth_date;      /* of initData, in seconds */
    ngx_str_t                   profile;        /* Telegram's User object; may
                                                   be empty, see identify_all */
} ngx_http_whale_identity_t;


/* ---- the database ------------------------------------------------------ */

typedef enum {
    NGX_HTTP_WHALE_DB_OK = 0,
    NGX_HTTP_WHALE_DB_FAILED,       /* the statement was refused: sqlstate says why */
    NGX_HTTP_WHALE_DB_LOST,         /* no connection, or it broke, or took too long */
    NGX_HTTP_WHALE_DB_OVERLOADED    /* no place in the queue, or no turn in time */
} ngx_http_whale_db_e;


typedef struct {
    const char                 *sql;
    const char                 *name;       /* for the log */
    int                         n;
    const char                 *values[NGX_HTTP_WHALE_VALUES];
    int                         lengths[NGX_HTTP_WHALE_VALUES];
    int                         formats[NGX_HTTP_WHALE_VALUES];
    ngx_uint_t                  broken;     /* a value is missing: not sent */
} ngx_http_whale_step_t;


typedef void (*ngx_http_whale_job_pt)(ngx_http_whale_job_t *job);


/*
 * One transaction of one request: BEGIN, its steps, COMMIT, in one round trip.
 * With `hold` COMMIT is left out: the handler sees the results, and then goes
 * on with ngx_http_whale_db_again(), or finishes the request, which rolls back.
 * The handler is called once a round trip, and never after the request is gone.
 */
struct ngx_http_whale_job_s {
    void                       *ident_1;    /* a timer's data starts like a ... */
    void                       *ident_2;
    void                       *ident_3;
    ngx_socket_t                fd;         /* ... connection: debug logs print this */

    ngx_queue_t                 queue;
    ngx_event_t                 timer;
    ngx_msec_t                  queued;
    ngx_http_request_t         *request;
    ngx_http_whale_conn_t      *conn;
    ngx_http_whale_job_pt       handler;
    void                       *data;

    ngx_http_whale_step_t       steps[NGX_HTTP_WHALE_STEPS];
    ngx_uint_t                  nsteps;
    PGresult                   *results[NGX_HTTP_WHALE_STEPS];

    ngx_http_whale_db_e         status;
    char                        sqlstate[6];

    unsigned                    hold:1;     /* leave the transaction open */
    unsigned                    begun:1;    /* BEGIN was sent */
    unsigned                    waiting:1;  /* in the queue */
};


ngx_int_t ngx_http_whale_db_init(ngx_cycle_t *cycle,
    ngx_http_whale_main_conf_t *wmcf);
void ngx_http_whale_db_exit(void);
ngx_http_whale_job_t *ngx_http_whale_db_job(ngx_http_request_t *r,
    ngx_http_whale_job_pt handler);
ngx_http_whale_step_t *ngx_http_whale_db_step(ngx_http_whale_job_t *job,
    const char *name, const char *sql);
void ngx_http_whale_db_text(ngx_http_whale_step_t *step, const char *value);
void ngx_http_whale_db_id(ngx_http_request_t *r, ngx_http_whale_step_t *step,
    int64_t value);
void ngx_http_whale_db_bytes(ngx_http_whale_step_t *step, const void *value,
    size_t len);
ngx_int_t ngx_http_whale_db_submit(ngx_http_whale_job_t *job);
void ngx_http_whale_db_go_on(ngx_http_whale_job_t *job);
ngx_uint_t ngx_http_whale_db_submitting(void);
void ngx_http_whale_db_again(ngx_http_whale_job_t *job,
    ngx_http_whale_job_pt handler);
PGresult *ngx_http_whale_db_result(ngx_http_whale_job_t *job,
    const char *name);

typedef struct {
    ngx_uint_t                  connected;
    ngx_uint_t                  size;
    ngx_uint_t                  busy;
    ngx_uint_t                  waiting;
} ngx_http_whale_db_state_t;

void ngx_http_whale_db_state(ngx_http_whale_db_state_t *state);
ngx_uint_t ngx_http_whale_db_reachable(void);

/* QUERY(whales) is the step of queries/web/whales.sql */
#define ngx_http_whale_db_query(job, name)                                    \
    ngx_http_whale_db_step(job, #name, query_web_##name)


/* ---- a request --------------------------------------------------------- */

typedef ngx_int_t (*ngx_http_whale_handler_pt)(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);


struct ngx_http_whale_ctx_s {
    ngx_uint_t                  route;
    whale_slice                 parameters[WHALE_ROUTE_PARAMETERS_MAX];
    ngx_http_whale_identity_t   who;
    ngx_http_whale_handler_pt   handler;
    ngx_str_t                   body;
    size_t                      body_max;
    whale_values               *values;     /* of the body or the query */
    void                       *data;       /* of the route's own */
    const char                 *once_key;   /* Idempotency-Key, or NULL */
    u_char                      once_hash[CRYPTO_SHA256_SIZE];
    int64_t                     update_id;  /* of the bot's update, ... */
    int64_t                     chat_id;    /* ... which is answered here */
    ngx_uint_t                  status;     /* of an answer that waits for its */
    ngx_str_t                   answer;     /* transaction to be committed */
    ngx_str_t                   replaced;   /* by the error filter */

    unsigned                    own:1;      /* the answer is ours */
    unsigned                    reading:1;  /* the body holds a count of r */
    unsigned                    update:1;   /* update_id is set */
};


extern ngx_module_t  ngx_http_whale_module;


/* of this worker */
typedef struct {
    ngx_http_whale_main_conf_t *wmcf;
    crypto_mac                 *init_data;
    crypto_mac                 *session;
    whale_verdicts             *init_datas;
    whale_verdicts             *sessions;
} ngx_http_whale_worker_t;

extern ngx_http_whale_worker_t  ngx_http_whale_worker;


/* secrets */
ngx_int_t ngx_http_whale_read_keys(ngx_conf_t *cf,
    ngx_http_whale_main_conf_t *wmcf);

/* api */
ngx_int_t ngx_http_whale_api_handler(ngx_http_request_t *r);
ngx_http_whale_ctx_t *ngx_http_whale_begin(ngx_http_request_t *r,
    ngx_uint_t route);
ngx_int_t ngx_http_whale_route(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx, ngx_uint_t operators);
ngx_int_t ngx_http_whale_read_body(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx, size_t max, ngx_http_whale_handler_pt handler);
void ngx_http_whale_suspend(ngx_http_request_t *r);
void ngx_http_whale_resume(ngx_http_request_t *r, ngx_int_t rc);
ngx_int_t ngx_http_whale_fields(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx, const whale_field *fields, size_t n);
ngx_str_t *ngx_http_whale_header(ngx_http_request_t *r, const char *name,
    size_t len, ngx_uint_t *count);
char *ngx_http_whale_cstring(ngx_http_request_t *r, const u_char *data,
    size_t len);

/* respond */
ngx_int_t ngx_http_whale_send(ngx_http_request_t *r, ngx_uint_t status,
    u_char *body, size_t len);
ngx_int_t ngx_http_whale_send_type(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, u_char *body, size_t len);
ngx_int_t ngx_http_whale_error(ngx_http_request_t *r, enum whale_error error);
ngx_int_t ngx_http_whale_error_text(ngx_http_request_t *r,
    enum whale_error error, const char *message);
ngx_int_t ngx_http_whale_job_error(ngx_http_whale_job_t *job);
size_t ngx_http_whale_error_body(ngx_http_request_t *r, enum whale_error error,
    const char *message, u_char *out, size_t capacity);
ngx_int_t ngx_http_whale_add_header(ngx_http_request_t *r, const char *name,
    const char *value);
ngx_int_t ngx_http_whale_rows(ngx_http_request_t *r, PGresult *rows,
    ngx_uint_t limit, const char *next);

typedef void (*ngx_http_whale_render_pt)(json_writer *writer, void *data);

u_char *ngx_http_whale_render(ngx_http_request_t *r, size_t room,
    ngx_http_whale_render_pt render, void *data, size_t *len);

/* filter */
ngx_int_t ngx_http_whale_filter_init(void);

/* auth */
ngx_int_t ngx_http_whale_identify(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
ngx_int_t ngx_http_whale_identify_all(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
ngx_int_t ngx_http_whale_auth_steps(ngx_http_whale_job_t *job,
    ngx_uint_t writes);
enum whale_error ngx_http_whale_auth_check(ngx_http_whale_job_t *job);
enum whale_error ngx_http_whale_auth_user(ngx_http_whale_identity_t *who,
    const shm_user *user);
ngx_int_t ngx_http_whale_begin_step(ngx_http_whale_job_t *job);

/* once */
ngx_int_t ngx_http_whale_once_accept(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
ngx_http_whale_job_t *ngx_http_whale_write_job(ngx_http_request_t *r,
    ngx_http_whale_job_pt handler);
ngx_int_t ngx_http_whale_write_replay(ngx_http_whale_job_t *job);
void ngx_http_whale_write_finish(ngx_http_whale_job_t *job, ngx_uint_t status,
    u_char *body, size_t len);
void ngx_http_whale_write_error(ngx_http_whale_job_t *job,
    enum whale_error error, const char *message);

/* segment */
ngx_int_t ngx_http_whale_segment_init(ngx_cycle_t *cycle,
    ngx_http_whale_main_conf_t *wmcf);
void ngx_http_whale_segment_exit(void);

typedef struct {
    shm_segment                *segment;
    enum shm_state              state;          /* of the last tick */
    ngx_msec_t                  feed_age;       /* since feed last beat */
    ngx_msec_t                  mirror_age;
    ngx_msec_t                  feed_beat;      /* when it last did; 0: never */
    ngx_msec_t                  mirror_beat;
    ngx_uint_t                  mapped;         /* there is something to read */
} ngx_http_whale_segment_t;

extern ngx_http_whale_segment_t  ngx_http_whale_segment;

/* a writer that has been silent for this long is taken for dead */
#define NGX_HTTP_WHALE_SILENT_MS         3000
#define NGX_HTTP_WHALE_SERVED_MS         (SHM_STALE_SERVED_NS / 1000000)

int64_t ngx_http_whale_now_ns(void);

/* stats */
char *ngx_http_whale_stats_zone(ngx_conf_t *cf,
    ngx_http_whale_main_conf_t *wmcf);
void ngx_http_whale_stats_init(ngx_http_whale_main_conf_t *wmcf);
ngx_int_t ngx_http_whale_stats_log(ngx_http_request_t *r);

#define NGX_HTTP_WHALE_COUNTS(X)                                              \
    X(db_transactions_total, "transactions sent to Postgres")                 \
    X(db_failed_total, "statements that Postgres refused")                    \
    X(db_lost_total, "requests whose connection was lost, or never came")     \
    X(db_overloaded_total, "requests that found no place or no turn")         \
    X(db_waits_total, "requests that waited for a connection")                \
    X(db_wait_milliseconds_total, "how long they waited")                     \
    X(db_connects_total, "connections made to Postgres")                      \
    X(db_connect_failures_total, "connections that could not be made")        \
    X(auth_refused_total, "requests whose sign-in was refused")               \
    X(updates_total, "updates of the bot")                                    \
    X(updates_repeated_total, "updates answered from what was kept")          \
    X(idempotent_repeats_total, "writes answered from what was kept")         \
    X(segment_fallbacks_total, "reads of positions that went to Postgres")    \
    X(client_aborts_total, "requests whose client left before the answer")

typedef enum {
#define NGX_HTTP_WHALE_COUNT_ENUM(name, help) NGX_HTTP_WHALE_##name,
    NGX_HTTP_WHALE_COUNTS(NGX_HTTP_WHALE_COUNT_ENUM)
#undef NGX_HTTP_WHALE_COUNT_ENUM
    NGX_HTTP_WHALE_COUNT_MAX
} ngx_http_whale_count_e;

void ngx_http_whale_count(ngx_http_whale_count_e count, ngx_uint_t by);
uint64_t ngx_http_whale_count_total(ngx_http_whale_count_e count);
/* answers of a route, by class: 0 is 1xx, 4 is 5xx */
uint64_t ngx_http_whale_route_total(ngx_uint_t route, ngx_uint_t class);

/* routes */
ngx_int_t ngx_http_whale_price(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
ngx_int_t ngx_http_whale_positions(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
ngx_int_t ngx_http_whale_trades(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
ngx_int_t ngx_http_whale_signals(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
ngx_int_t ngx_http_whale_sign_in(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
ngx_int_t ngx_http_whale_me(ngx_http_request_t *r, ngx_http_whale_ctx_t *ctx);
ngx_int_t ngx_http_whale_settings(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
ngx_int_t ngx_http_whale_keys(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
ngx_int_t ngx_http_whale_key_add(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
ngx_int_t ngx_http_whale_key_remove(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
ngx_int_t ngx_http_whale_list(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
ngx_int_t ngx_http_whale_one(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
ngx_int_t ngx_http_whale_follow(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
ngx_int_t ngx_http_whale_follow_change(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
ngx_int_t ngx_http_whale_unfollow(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx);
ngx_int_t ngx_http_whale_operator_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_whale_metrics(ngx_http_request_t *r);
ngx_int_t ngx_http_whale_webhook_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_whale_bot_sentence(ngx_http_request_t *r,
    enum whale_error error);

/* lists */

typedef struct {
    const char                 *query;      /* name of the step */
    char                        list;       /* for the cursor */
    char                        order;
    ngx_uint_t                  limit;
    unsigned                    keyed:1;    /* rows have a "_key" */
} ngx_http_whale_list_t;

/* the first two fields of every list */

#define NGX_HTTP_WHALE_LIST_FIELDS                                            \
    { .name = "limit", .kind = WHALE_FIELD_INTEGER, .least = 1,               \
      .most = NGX_HTTP_WHALE_LIST_MAX },                                      \
    { .name = "cursor", .kind = WHALE_FIELD_TEXT, .least = 1,                 \
      .most = 128 }

#define NGX_HTTP_WHALE_ID_FIELD(text)                                         \
    { .name = text, .kind = WHALE_FIELD_INTEGER, .least = 1,                  \
      .most = 999999999999999999 }

ngx_int_t ngx_http_whale_list_begin(ngx_http_request_t *r,
    ngx_http_whale_ctx_t *ctx, ngx_http_whale_list_t *list, char **key,
    char **last);
ngx_http_whale_job_t *ngx_http_whale_list_job(ngx_http_request_t *r);

/* positions */
ngx_int_t ngx_http_whale_positions_step(ngx_http_whale_job_t *job,
    const char *last, ngx_uint_t limit);
ngx_uint_t ngx_http_whale_position_read(PGresult *rows, shm_position *out,
    ngx_uint_t capacity);


#endif /* _NGX_HTTP_WHALE_H_INCLUDED_ */
