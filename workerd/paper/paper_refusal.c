/*
 * Binance's futures error codes that the paper venue can give, with their sentences. Sources:
 * recorded error texts (tests/data), and the venue's public error list.
 */
#include "workerd/paper/paper_refusal.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    int code, status;
    const char *before, *after; /* around the detail; after NULL: no detail */
} paper_sentence;

static const paper_sentence paper_sentences[] = {
    {-1000, 500, "An unknown error occurred while processing the request.", NULL},
    {-1003, 429, "Too many requests; current limit is ", " request weight per 1 MINUTE."},
    {-1007, 408,
     "Timeout waiting for response from backend server. Send status unknown; execution status "
     "unknown.",
     NULL},
    {-1008, 503,
     "Server is currently overloaded with other requests. Please try again in a few minutes.",
     NULL},
    {-1015, 429, "Too many new orders; current limit is ", "."},
    {-1021, 400, "Timestamp for this request ", ""},
    {-1022, 400, "Signature for this request is not valid.", NULL},
    {-1101, 400, "Duplicate values for parameter '", "' detected."},
    {-1102, 400, "Mandatory parameter '", "' was not sent, was empty/null, or malformed."},
    {-1104, 400, "Not all sent parameters were read; read '", "' parameters but more were sent."},
    {-1106, 400, "Parameter '", "' sent when not required."},
    {-1111, 400, "Precision is over the maximum defined for this asset.", NULL},
    {-1115, 400, "Invalid timeInForce.", NULL},
    {-1116, 400, "Invalid orderType.", NULL},
    {-1117, 400, "Invalid side.", NULL},
    {-1121, 400, "Invalid symbol.", NULL},
    {-1125, 400, "This listenKey does not exist.", NULL},
    {-1128, 400, "Combination of optional parameters invalid.", NULL},
    {-1130, 400, "Data sent for parameter '", "' is not valid."},
    {-1136, 400, "Invalid newOrderRespType.", NULL},
    {-2011, 400, "Unknown order sent.", NULL},
    {-2013, 400, "Order does not exist.", NULL},
    {-2014, 401, "API-key format invalid.", NULL},
    {-2015, 401, "Invalid API-key, IP, or permissions for action.", NULL},
    {-2019, 400, "Margin is insufficient.", NULL},
    {-2021, 400, "Order would immediately trigger.", NULL},
    {-2022, 400, "ReduceOnly Order is rejected.", NULL},
    {-2025, 400, "Reach max open order limit.", NULL},
    {-2027, 400, "Exceeded the maximum allowable position at current leverage.", NULL},
    {-4001, 400, "Price less than 0.", NULL},
    {-4002, 400, "Price greater than max price.", NULL},
    {-4003, 400, "Quantity less than or equal to zero.", NULL},
    {-4004, 400, "Quantity less than min quantity.", NULL},
    {-4005, 400, "Quantity greater than max quantity.", NULL},
    {-4013, 400, "Price less than min price.", NULL},
    {-4014, 400, "Price not increased by tick size.", NULL},
    {-4015, 400, "Client order id is not valid.", NULL},
    {-4016, 400, "Limit price can't be higher than ", "."},
    {-4023, 400, "Qty not increased by step size.", NULL},
    {-4024, 400, "Limit price can't be lower than ", "."},
    {-4028, 400, "Leverage ", " is not valid"},
    {-4046, 400, "No need to change margin type.", NULL},
    {-4047, 400, "Margin type cannot be changed if there exists open orders.", NULL},
    {-4048, 400, "Margin type cannot be changed if there exists position.", NULL},
    {-4059, 400, "No need to change position side.", NULL},
    {-4061, 400, "Order's position side does not match user's setting.", NULL},
    {-4062, 400, "Invalid or improper reduceOnly value.", NULL},
    {-4067, 400, "Position side cannot be changed if there exists open orders.", NULL},
    {-4068, 400, "Position side cannot be changed if there exists position.", NULL},
    {-4116, 400, "ClientOrderId is duplicated.", NULL},
    {-4120, 400,
     "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
     NULL},
    {-4136, 400, "Target strategy invalid for orderType ", "."},
    {-4164, 400, "Order's notional must be no smaller than ", " (unless you choose reduce only)."},
    {-5000, 404, "Path ", " is invalid"},
    {-5021, 400,
     "Due to the order could not be filled immediately, the FOK order has been rejected. The order "
     "will not be recorded in the order history",
     NULL},
    {-5022, 400,
     "Due to the order could not be executed as maker, the Post Only order will be rejected. The "
     "order will not be recorded in the order history",
     NULL},
    {-5028, 400, "Timestamp for this request is outside of the ME recvWindow.", NULL},
};

bool paper_refuse(paper_refusal *refusal, int code, const char *detail)
{
    const paper_sentence *sentence = &paper_sentences[0];

    for (size_t i = 0; i < sizeof(paper_sentences) / sizeof(paper_sentences[0]); i++) {
        if (paper_sentences[i].code == code) {
            sentence = &paper_sentences[i];
        }
    }
    refusal->code = code;
    refusal->status = sentence->status;
    if (sentence->after == NULL || detail == NULL) {
        snprintf(refusal->text, sizeof(refusal->text), "%s", sentence->before);
    } else {
        snprintf(refusal->text, sizeof(refusal->text), "%s%s%s", sentence->before, detail,
                 sentence->after);
    }
    return false;
}
