/* SPDX-License-Identifier: MIT */
/*
 * Migration: pages change their frames, and the processes that map them notice nothing.  For hosts
 * that want memory in one piece, or to empty a bank of it.
 */
#ifndef QUIRE_MIGRATE_H
#define QUIRE_MIGRATE_H

#include <stdint.h>

#include <quire/space.h>

/*
 * Moves each page that [address, address + length) maps to another frame, in every mapping of it;
 * *moved: how many were.  Nothing is faulted in.  What stays: the page of zeros, pages that are
 * pinned, those that are in use this moment (being read, written out, in the swap cache).  May be
 * called while threads run: an access to a page on its way waits.  No lock held, may sleep.
 *   -EINVAL  address unaligned, or the range wraps
 *   -ENOMEM  no frame left: *moved were moved
 */
int quire_migrate(struct quire_space *space, uint64_t address, uint64_t length, uint64_t *moved);

#endif
