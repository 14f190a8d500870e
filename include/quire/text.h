/* SPDX-License-Identifier: MIT */
/* Where text goes: dumps and the checker's findings, without a C library. */
#ifndef QUIRE_TEXT_H
#define QUIRE_TEXT_H

#include <stddef.h>

struct quire_text {
	/* Takes `length` bytes, at least 1, no NUL at the end.  Must not call Quire. */
	void (*emit)(void *context, const char *bytes, size_t length);
	void *context;
};

#endif
