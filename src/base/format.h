/* SPDX-License-Identifier: MIT */
/* Text for dumps, without a C library. */
#ifndef QUIRE_BASE_FORMAT_H
#define QUIRE_BASE_FORMAT_H

#include "base/base.h"
#include <quire/text.h>

/* `string` ends with a NUL. */
void text_string(const struct quire_text *text, const char *string);
/* Lower-case digits without a prefix, no leading zeros; 0 is "0". */
void text_hex(const struct quire_text *text, uint64_t number);
void text_decimal(const struct quire_text *text, uint64_t number);

#endif
