/*
 * Faults on purpose: what an exchange does on a bad day, by percent and from a seed.
 *
 *   late=P:MS           accepted at once, answered MS later
 *   held=P:MS           arrives at the matching engine MS later; refused (-5028) past its
 * recvWindow never=P             neither accepted nor answered accept_then_drop=P  accepted; the
 * connection ends without an answer error=P             503, not accepted error_after=P accepted,
 * and 503 "execution status unknown" all the same seed=N              the same requests in the same
 * order meet the same faults scope=orders|all    POST /fapi/v1/order only (the default), or every
 * signed request
 *
 * The percentages are of all requests in scope and add up to 100 at most. No I/O.
 */
#ifndef WHALE_PAPER_FAULTS_H
#define WHALE_PAPER_FAULTS_H

#include "core/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAPER_FAULT_DELAY_MAX 600000

enum paper_fault {
    PAPER_FAULT_LATE,
    PAPER_FAULT_HELD,
    PAPER_FAULT_NEVER,
    PAPER_FAULT_DROP,
    PAPER_FAULT_ERROR,
    PAPER_FAULT_ERROR_AFTER,
    PAPER_FAULT_COUNT,
    PAPER_FAULT_NONE = PAPER_FAULT_COUNT,
};

typedef struct {
    int64_t share[PAPER_FAULT_COUNT]; /* of a million */
    int64_t late_ms, held_ms;
    uint64_t seed, state;
    bool all;
    uint64_t met[PAPER_FAULT_COUNT];
} paper_faults;

/* The directive's text; "" is none. False with the reason. */
bool paper_faults_parse(paper_faults *faults, const char *text, char *error, size_t capacity);
/* POST /paper/v1/faults: the members that are there replace what is set. */
bool paper_faults_json(paper_faults *faults, const json_doc *doc, char *error, size_t capacity);
void paper_faults_write(json_writer *writer, const paper_faults *faults);
enum paper_fault paper_faults_draw(paper_faults *faults);
/* A number in 0 .. below - 1 from a seed's sequence; used by the leaders' script too. */
uint64_t paper_random(uint64_t *state, uint64_t below);

#endif
