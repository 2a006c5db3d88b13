/* What the parts of json share and others have no business with. */
#ifndef WHALE_CORE_JSON_PRIVATE_H
#define WHALE_CORE_JSON_PRIVATE_H

#include "core/json.h"

/* Bytes of the well-formed UTF-8 sequence that stands first (1 to 4), 0 where it is malformed. */
size_t json_utf8_length(const unsigned char *at, const unsigned char *end);
/* Writes 1 to 4 bytes; a surrogate or a value past 10FFFF becomes U+FFFD. */
size_t json_utf8_encode(uint32_t code_point, char out[4]);

/* Strict RFC 8259: JSON_TOO_LARGE where only the depth is too much. */
enum json_status json_check(const char *text, size_t length);

#endif
