/*
 * Rows of queries/mirror/ as values of the segment. Used by the role and by `workerd verify`, so
 * that both read Postgres alike.
 */
#ifndef WHALE_MIRROR_ROWS_H
#define WHALE_MIRROR_ROWS_H

#include "shm/shm.h"

#include <libpq-fe.h>

/* One more than the segment holds: who has more is read from Postgres, and is told by the count. */
#define MIRROR_POSITIONS_MAX (SHM_USER_POSITIONS_MAX + 1)

typedef struct {
    shm_user user;
    shm_position positions[MIRROR_POSITIONS_MAX];
    char names[MIRROR_POSITIONS_MAX][SHM_KEY_MAX]; /* instruments' */
    int64_t instruments[MIRROR_POSITIONS_MAX];
} mirror_user;

/* Price slots are not set (UINT32_MAX). */
typedef void mirror_user_found(void *owner, mirror_user *user);

/*
 * Calls `found` for each user of a result of users.sql. A row that cannot be read skips its user;
 * returns how many users were skipped. `scratch` is the caller's, since it is large.
 */
size_t mirror_rows_users(const PGresult *result, mirror_user *scratch, mirror_user_found *found,
                         void *owner);

bool mirror_rows_signal(const PGresult *result, int row, shm_signal *signal);

/* The ranking page of a result of whales.sql; the length, 0 where it does not fit. */
size_t mirror_rows_whales(const PGresult *result, char *text, size_t capacity);

#endif
