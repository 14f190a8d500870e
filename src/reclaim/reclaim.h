/* SPDX-License-Identifier: MIT */
/*
 * Taking pages out of memory.  No lock is held by the callers of anything here.
 */
#ifndef QUIRE_RECLAIM_RECLAIM_H
#define QUIRE_RECLAIM_RECLAIM_H

#include "space/rmap.h"
#include <quire/swap.h>

/* --- evict.c --- */

/* Takes the page out of memory if it can; the caller's reference stays.  Whether it went. */
bool evict(struct quire_machine *machine, struct frame *frame);

/* Whether the page has been used since this was asked last. */
bool used_lately(struct quire_machine *machine, struct frame *frame);

#endif
