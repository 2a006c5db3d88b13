/*
 * The paper venue's journal: one JSON line for everything that it accepted, written with write(2)
 * before the answer is sent. A kill -9 loses nothing (no fsync: the page cache outlives the
 * process); it is the independent record that tests compare with.
 *
 * Promises: append-only; lines are whole or, at the very end after a kill, torn: the next start
 * cuts a torn one off. A line that cannot be written whole is taken back and refused. A journal
 * that does not fit together (an order of an unknown account, a gap) stops the start with the
 * line's number.
 */
#ifndef WHALE_PAPER_JOURNAL_H
#define WHALE_PAPER_JOURNAL_H

#include "core/json.h"
#include "workerd/paper/paper_exchange.h"

#define PAPER_LINE_MAX 4096
#define PAPER_LINE_TOKENS 256

typedef struct paper_journal paper_journal;

/* Lines of kinds that are not the exchange's ("leader"). False: the line is wrong. */
typedef bool paper_journal_other(void *owner, const json_doc *doc);

/*
 * Opens (or makes) the file, applies every line to the exchange, and becomes its record. An empty
 * path keeps no journal. NULL with the reason.
 */
paper_journal *paper_journal_open(const char *path, paper_exchange *exchange,
                                  paper_journal_other *other, void *owner, char *error,
                                  size_t capacity);
void paper_journal_close(paper_journal *journal);
/* The exchange's record; `owner` is the journal. */
bool paper_journal_event(void *owner, const paper_event *event);
/* A whole line without its newline, of another kind. */
bool paper_journal_line(paper_journal *journal, const char *text, size_t length);

/* An event as its journal line (no newline). */
bool paper_journal_write(json_writer *writer, const paper_exchange *exchange,
                         const paper_event *event);
/* Back from a line; texts are copied into `texts`. False: not an event, or wrong. */
typedef struct {
    char name[PAPER_NAME_MAX + 1], key[PAPER_KEY_LENGTH + 1], secret[PAPER_KEY_LENGTH + 1];
} paper_event_texts;
bool paper_journal_read(const json_doc *doc, const paper_exchange *exchange, paper_event *event,
                        paper_event_texts *texts);
/* The members of an order, as they stand in the journal. */
void paper_journal_order(json_writer *writer, const paper_exchange *exchange,
                         const paper_order *order);

#endif
