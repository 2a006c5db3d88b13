/*
 * `workerd verify`: is shared memory what Postgres says?
 */
#ifndef WHALE_MIRROR_VERIFY_H
#define WHALE_MIRROR_VERIFY_H

#include "core/config.h"

/*
 * Compares every user with all open positions, and the newest signals. What differs is looked at
 * again for some seconds, since mirror follows with a little delay; what still differs is printed,
 * one line each. True where nothing does.
 */
bool mirror_verify(const whale_config *config);

#endif
