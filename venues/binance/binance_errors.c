/*
 * What a Binance answer means for what to do next: one table from code to class and reason, and the
 * rules for HTTP statuses around it.
 *
 * Promises: a write is REJECTED, RETRY_* or DOWN only where Binance says that it was not executed;
 * all doubt is UNCLEAR. A read cannot have been executed: its doubt is DOWN. A code that the table
 * does not know, refused with 4xx, is REJECTED.
 *
 * Rules: "General Info" (HTTP return codes, limits) and "Error Codes" of USDS-M Futures; the rows
 * for spot codes (-1013, -2010) serve the messages that futures send under them now and then.
 */
#include "core/clock.h"
#include "venues/binance/binance.h"
#include "venues/venue_scan.h"

#include <stdio.h>
#include <string.h>

#define BINANCE_RATE_WAIT_NS (60 * CLOCK_SECOND_NS)
#define BINANCE_BAN_WAIT_NS (120 * CLOCK_SECOND_NS)
#define BINANCE_ORDER_RATE_WAIT_NS (10 * CLOCK_SECOND_NS)
#define BINANCE_OVERLOAD_WAIT_NS (5 * CLOCK_SECOND_NS)
#define BINANCE_ERROR_BODY_MAX 4096 /* errors are short; longer answers are values */

typedef struct {
    int code;
    const char *fragment; /* of the message, where one code says several things; else NULL */
    enum venue_class class_;
    enum whale_error reason;
} binance_error;

#define REJECT(code, reason)                                                                       \
    {                                                                                              \
        code, NULL, VENUE_REJECTED, ERROR_##reason                                                 \
    }
#define CLASS(code, class_)                                                                        \
    {                                                                                              \
        code, NULL, class_, ERROR_NONE                                                             \
    }
#define ACCOUNT(code, reason)                                                                      \
    {                                                                                              \
        code, NULL, VENUE_ACCOUNT, ERROR_##reason                                                  \
    }

/* A row with a fragment stands before the one without. */
static const binance_error binance_errors[] = {
    /* 10xx: server and network */
    CLASS(-1000, VENUE_UNCLEAR),
    CLASS(-1001, VENUE_UNCLEAR),
    ACCOUNT(-1002, KEY_REJECTED),
    CLASS(-1003, VENUE_RETRY_LATER),
    ACCOUNT(-1005, KEY_REJECTED), /* no such IP on the white list */
    CLASS(-1006, VENUE_UNCLEAR),
    CLASS(-1007, VENUE_UNCLEAR),
    CLASS(-1008, VENUE_RETRY_LATER),
    REJECT(-1010, VENUE_REJECTED),
    ACCOUNT(-1011, KEY_REJECTED), /* this IP cannot access this route */
    REJECT(-1013, VENUE_FILTER),
    CLASS(-1015, VENUE_RETRY_LATER),
    CLASS(-1016, VENUE_DOWN),
    CLASS(-1021, VENUE_RETRY_NOW),
    ACCOUNT(-1022, KEY_REJECTED),
    ACCOUNT(-1099, KEY_REJECTED), /* not found, unauthenticated, or unauthorized */
    /* 11xx: the request */
    ACCOUNT(-1109, ACCOUNT_INACTIVE),
    REJECT(-1111, VENUE_FILTER), /* precision over the maximum */
    REJECT(-1121, NO_INSTRUMENT),
    REJECT(-1122, NO_INSTRUMENT),  /* symbol status */
    CLASS(-1125, VENUE_NOT_KNOWN), /* listen key */
    /* 20xx: processing */
    {-2010, "insufficient", VENUE_REJECTED, ERROR_VENUE_FUNDS},
    {-2010, "Duplicate", VENUE_DUPLICATE, ERROR_NONE},
    REJECT(-2010, VENUE_REJECTED),
    CLASS(-2011, VENUE_NOT_KNOWN),
    CLASS(-2013, VENUE_NOT_KNOWN),
    ACCOUNT(-2014, KEY_REJECTED),
    ACCOUNT(-2015, KEY_REJECTED),
    ACCOUNT(-2017, KEY_REJECTED), /* locked */
    REJECT(-2018, VENUE_FUNDS),
    REJECT(-2019, VENUE_FUNDS),
    REJECT(-2022, REDUCE_ONLY_REJECTED),
    REJECT(-2024, REDUCE_ONLY_REJECTED), /* position not sufficient */
    REJECT(-2027, LEVERAGE_REJECTED),    /* too much for the present leverage */
    REJECT(-2028, LEVERAGE_REJECTED),
    /* 40xx: filters and the like */
    REJECT(-4001, VENUE_FILTER),
    REJECT(-4002, VENUE_FILTER),
    REJECT(-4003, VENUE_FILTER),
    REJECT(-4004, VENUE_FILTER),
    REJECT(-4005, VENUE_FILTER),
    REJECT(-4006, VENUE_FILTER),
    REJECT(-4007, VENUE_FILTER),
    REJECT(-4013, VENUE_FILTER),
    REJECT(-4014, VENUE_FILTER),
    REJECT(-4016, VENUE_FILTER),
    REJECT(-4023, VENUE_FILTER),
    REJECT(-4024, VENUE_FILTER),
    REJECT(-4028, LEVERAGE_REJECTED),
    REJECT(-4029, VENUE_FILTER),
    REJECT(-4030, VENUE_FILTER),
    REJECT(-4045, VENUE_FILTER),   /* too many stop orders */
    CLASS(-4046, VENUE_UNCHANGED), /* margin type */
    REJECT(-4050, VENUE_FUNDS),
    REJECT(-4051, VENUE_FUNDS),
    ACCOUNT(-4056, KEY_REJECTED),
    CLASS(-4059, VENUE_UNCHANGED), /* position mode */
    ACCOUNT(-4061, HEDGE_MODE_UNSUPPORTED),
    ACCOUNT(-4088, ACCOUNT_INACTIVE), /* cannot place orders now */
    CLASS(-4115, VENUE_DUPLICATE),
    CLASS(-4116, VENUE_DUPLICATE),
    REJECT(-4118, REDUCE_ONLY_REJECTED),
    REJECT(-4131, VENUE_FILTER),  /* PERCENT_PRICE */
    REJECT(-4141, NO_INSTRUMENT), /* symbol closed */
    REJECT(-4144, NO_INSTRUMENT), /* pair */
    REJECT(-4161, LEVERAGE_REJECTED),
    REJECT(-4164, VENUE_FILTER), /* minimum notional */
    CLASS(-4171, VENUE_UNCHANGED),
    REJECT(-4183, VENUE_FILTER),
    REJECT(-4184, VENUE_FILTER),
    ACCOUNT(-4192, ACCOUNT_INACTIVE), /* cooling-off period */
    REJECT(-4202, LEVERAGE_REJECTED),
    REJECT(-4203, LEVERAGE_REJECTED),
    REJECT(-4205, LEVERAGE_REJECTED),
    REJECT(-4206, LEVERAGE_REJECTED),
    REJECT(-4208, LEVERAGE_REJECTED),
    REJECT(-4209, LEVERAGE_REJECTED),
    REJECT(-4210, VENUE_FILTER),
    REJECT(-4211, VENUE_FILTER),
    REJECT(-4402, NO_INSTRUMENT), /* not in the user's region */
    REJECT(-4403, LEVERAGE_REJECTED),
    ACCOUNT(-4531, HEDGE_MODE_UNSUPPORTED), /* USD-M and COIN-M must agree on the mode */
    /* 50xx: execution */
    CLASS(-5027, VENUE_UNCHANGED),
    CLASS(-5028, VENUE_RETRY_NOW),
    REJECT(-5029, VENUE_FILTER),
};

static const binance_error *binance_error_of(int code, const char *message)
{
    static const binance_error other = REJECT(0, VENUE_REJECTED);

    for (size_t i = 0; i < sizeof(binance_errors) / sizeof(binance_errors[0]); i++) {
        const binance_error *row = &binance_errors[i];

        if (row->code == code &&
            (row->fragment == NULL || strcasestr(message, row->fragment) != NULL)) {
            return row;
        }
    }
    return &other;
}

/* ---- reading the error ----------------------------------------------------------------------- */

/* Cuts at a character, and leaves nothing in it that could upset a log or a screen. */
static void binance_message(const char *text, char *out, size_t capacity)
{
    size_t used = 0;

    for (; *text != '\0' && used + 1 < capacity; text++) {
        unsigned char c = (unsigned char)*text;

        out[used++] = c < ' ' || c == 0x7f ? ' ' : (char)c;
    }
    if (*text != '\0') {
        /* Cut inside a character: take away its beginning. */
        while (used > 0 && ((unsigned char)*text & 0xC0) == 0x80) {
            text--;
            used--;
        }
    }
    out[used] = '\0';
}

/* {"code":-2019,"msg":"…"}, or a leaders' page's {"code":"000002","message":"…"}. */
static bool binance_error_read(const venue_answer *answer, venue_verdict *verdict)
{
    jsmntok_t tokens[BINANCE_TOKENS];
    char message[1024] = "";
    json_doc doc;
    int64_t code;

    if (answer->body_length > BINANCE_ERROR_BODY_MAX ||
        memmem(answer->body, answer->body_length, "\"code\"", 6) == NULL || /* the usual case */
        json_parse(&doc, answer->body, answer->body_length, tokens, BINANCE_TOKENS) != JSON_OK ||
        !json_get_int(&doc, json_at(&doc, 0, "code"), &code) || code > INT32_MAX ||
        code < INT32_MIN) {
        return false;
    }
    verdict->code = (int)code;
    if (!json_copy(&doc, json_at(&doc, 0, "msg"), message, sizeof(message))) {
        json_copy(&doc, json_at(&doc, 0, "message"), message, sizeof(message));
    }
    binance_message(message, verdict->message, sizeof(verdict->message));
    return true;
}

static void binance_verdict(venue_verdict *verdict, enum venue_class class_,
                            enum whale_error reason)
{
    verdict->class_ = class_;
    verdict->reason = reason;
}

/* May have been executed; a read then simply failed. */
static void binance_doubt(const venue_request *request, venue_verdict *verdict)
{
    binance_verdict(verdict, request->read_only ? VENUE_DOWN : VENUE_UNCLEAR,
                    request->read_only ? ERROR_VENUE_UNAVAILABLE : ERROR_NONE);
}

static void binance_wait(const venue_answer *answer, int64_t otherwise_ns, venue_verdict *verdict)
{
    binance_verdict(verdict, VENUE_RETRY_LATER, ERROR_NONE);
    verdict->retry_after_ns = answer->retry_after_ns > 0 ? answer->retry_after_ns : otherwise_ns;
}

static int64_t binance_wait_of(int code)
{
    switch (code) {
    case -1008:
        return BINANCE_OVERLOAD_WAIT_NS;
    case -1015:
        return BINANCE_ORDER_RATE_WAIT_NS;
    default:
        return BINANCE_RATE_WAIT_NS;
    }
}

static void binance_by_code(const venue_request *request, const venue_answer *answer,
                            venue_verdict *verdict)
{
    const binance_error *row = binance_error_of(verdict->code, verdict->message);
    bool asks = request->operation != VENUE_OP_PLACE_ORDER &&
                request->operation != VENUE_OP_PLACE_CONDITIONAL;

    switch (row->class_) {
    case VENUE_UNCLEAR:
        binance_doubt(request, verdict);
        break;
    case VENUE_RETRY_LATER:
        binance_wait(answer, binance_wait_of(verdict->code), verdict);
        break;
    case VENUE_NOT_KNOWN:
        /* Nonsense as the answer to a placement, so nothing is known of it. */
        binance_verdict(verdict, asks ? VENUE_NOT_KNOWN : VENUE_UNCLEAR, ERROR_NONE);
        break;
    case VENUE_DOWN:
        binance_verdict(verdict, VENUE_DOWN, ERROR_VENUE_UNAVAILABLE);
        break;
    default:
        binance_verdict(verdict, row->class_, row->reason);
        break;
    }
    verdict->flat = verdict->code == -2022;
}

/* ---- classification -------------------------------------------------------------------------- */

void binance_unreadable(const venue_request *request, const char *why, venue_verdict *verdict)
{
    *verdict = (venue_verdict){0};
    binance_verdict(verdict, request->read_only ? VENUE_UNREADABLE : VENUE_UNCLEAR, ERROR_NONE);
    snprintf(verdict->message, sizeof(verdict->message), "%s", why);
}

/* Refused before it reached anything: WAF (403), barred region (451). */
static bool binance_refused_at_the_edge(int status)
{
    return status == 403 || status == 451;
}

static void binance_classify_failure(const venue_request *request, const venue_answer *answer,
                                     bool readable, venue_verdict *verdict)
{
    if (answer->status == 429) {
        binance_wait(answer, BINANCE_RATE_WAIT_NS, verdict);
    } else if (answer->status == 418) {
        binance_wait(answer, BINANCE_BAN_WAIT_NS, verdict);
    } else if (answer->status >= 500 && readable && verdict->code == -1008) {
        binance_by_code(request, answer, verdict);
    } else if (answer->status >= 500 || answer->status == 0) {
        binance_doubt(request, verdict);
    } else if (readable && verdict->code != 0 && answer->status >= 400) {
        binance_by_code(request, answer, verdict);
    } else if (binance_refused_at_the_edge(answer->status)) {
        binance_verdict(verdict, VENUE_DOWN, ERROR_VENUE_UNAVAILABLE);
    } else if (answer->status == 408) {
        binance_doubt(request, verdict);
    } else {
        binance_verdict(verdict, request->read_only ? VENUE_UNREADABLE : VENUE_UNCLEAR, ERROR_NONE);
    }
    if (verdict->message[0] == '\0') {
        snprintf(verdict->message, sizeof(verdict->message), "HTTP %d", answer->status);
    }
}

/* The copy-trading pages say how it went in the body: "000000" and success. */
static void binance_classify_page(const venue_request *request, const venue_answer *answer,
                                  venue_verdict *verdict)
{
    const char *code, *success;
    size_t code_length, success_length;

    if (!venue_scan_document(answer->body, answer->body_length) ||
        !venue_scan_member(answer->body, answer->body_length, "code", &code, &code_length)) {
        binance_unreadable(request, "no page of data", verdict);
        return;
    }
    if (!venue_scan_member(answer->body, answer->body_length, "success", &success,
                           &success_length) ||
        code_length != 8 || memcmp(code, "\"000000\"", 8) != 0 || success_length != 4 ||
        memcmp(success, "true", 4) != 0) {
        binance_error_read(answer, verdict);
        binance_verdict(verdict, VENUE_REJECTED, ERROR_VENUE_REJECTED);
    }
}

void binance_classify(const venue_request *request, const venue_answer *answer,
                      venue_verdict *verdict)
{
    bool readable;

    *verdict = (venue_verdict){.class_ = VENUE_OK};
    if (answer->status >= 200 && answer->status < 300) {
        if (request->host == VENUE_HOST_LEADERS) {
            binance_classify_page(request, answer, verdict);
            return;
        }
        if (binance_error_read(answer, verdict) && verdict->code < 0) {
            binance_by_code(request, answer, verdict);
            return;
        }
        *verdict = (venue_verdict){.class_ = VENUE_OK};
        return;
    }
    readable = binance_error_read(answer, verdict);
    binance_classify_failure(request, answer, readable, verdict);
}
