/*
 * What a notification says: one plain sentence, in Telegram's HTML. Pure functions.
 *
 * Promises: whatever a name or a reason holds, the text is valid HTML; figures are exact, with the
 * thousands set apart; a row that tells too little gives a general sentence, never an empty one.
 */
#ifndef WHALE_NOTIFY_TEXT_H
#define WHALE_NOTIFY_TEXT_H

#include "core/dec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOTIFY_SENTENCE_MAX 640
#define NOTIFY_MESSAGE_MAX 4000 /* Telegram takes 4,096 */

/* A claimed row; texts may be NULL where the database has none. */
typedef struct {
    const char *kind; /* "fill", "copy_failed", "account" */
    const char *symbol, *quote_asset, *whale, *side, *trade_reason, *position_state;
    const char *venue, *label, *account_state, *account_reason;
    bool reduce_only;
    int64_t leverage;
    dec quantity, price, realised_pnl;
} notify_facts;

/* One sentence without a line end; returns its length. */
size_t notify_sentence(const notify_facts *facts, char *out, size_t capacity);

/* "61,800.25": the value with thousands set apart and at most `places` decimals, half-even. */
size_t notify_figure(dec value, unsigned places, char *out, size_t capacity);

/* & < > " for HTML; returns the length, cut at a whole character. */
size_t notify_escape(const char *text, char *out, size_t capacity);

/* HTML to plain text for a resend that Telegram refused to parse: tags off, entities back. */
size_t notify_plain(const char *html, char *out, size_t capacity);

#endif
