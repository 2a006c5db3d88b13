/*
 * Cursors of lists: the sort key and id of the last item, as opaque text.
 *
 * A cursor also says which list and order it belongs to, so that one from elsewhere is refused and
 * not misread. It holds nothing that its owner has not seen, and grants nothing: what a user may see
 * is row-level security's business.
 */
#ifndef WHALE_CURSOR_H
#define WHALE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHALE_CURSOR_KEY_MAX 48
#define WHALE_CURSOR_TEXT_MAX 128

typedef struct {
    char list;  /* 't' trades, 's' signals, 'w' whales */
    char order; /* of that list */
    char key[WHALE_CURSOR_KEY_MAX]; /* a decimal number, or empty where the id is the order */
    int64_t id;
} whale_cursor;

/* The length; 0 where the key is no such text. */
size_t whale_cursor_format(const whale_cursor *cursor, char text[WHALE_CURSOR_TEXT_MAX]);
/* False: not a cursor, or one of another list or order. */
bool whale_cursor_parse(const char *text, size_t length, char list, char order,
                        whale_cursor *cursor);

#endif
