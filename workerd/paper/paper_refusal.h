/*
 * How the paper venue says no: Binance's code, its sentence, and the HTTP status that goes with it.
 */
#ifndef WHALE_PAPER_REFUSAL_H
#define WHALE_PAPER_REFUSAL_H

#include <stdbool.h>

#define PAPER_REFUSAL_TEXT_MAX 200

typedef struct {
    int code; /* 0: not refused */
    int status;
    char text[PAPER_REFUSAL_TEXT_MAX];
} paper_refusal;

/*
 * Fills in the sentence that belongs to the code; `detail` stands where the sentence has a place
 * for it (a parameter's name, a number), else it is ignored and may be NULL. Always false, so that
 * a check can `return paper_refuse(…)`.
 */
bool paper_refuse(paper_refusal *refusal, int code, const char *detail);

#endif
