/*
 * `workerd status`: what the segment says of the daemon, for people and, with --json, for programs.
 */
#ifndef WHALE_WORKERD_STATUS_H
#define WHALE_WORKERD_STATUS_H

#include "core/config.h"

/* Prints to stdout. False where there is no live segment (it is printed all the same). */
bool status_print(const whale_config *config, bool json);

#endif
