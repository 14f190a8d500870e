/* SPDX-License-Identifier: MIT */
/*
 * Reclaim: pages leave memory when it is short, or when they are told to, and come back when they
 * are used.
 *
 * Anonymous memory and shared memory go to swap, which the host provides in slots of one page
 * (<quire/port.h>, tier 2); pages of other objects are written by their object, or dropped if nobody
 * wrote to them.  When no frame is free Quire reclaims by itself, before it calls the host's
 * `reclaim`.
 */
#ifndef QUIRE_SWAP_H
#define QUIRE_SWAP_H

#include <stdint.h>

#include <quire/machine.h>

struct quire_space;

/*
 * Lets the machine use slots 1 to `slots` of the host; there is at most one such area.  Takes 8 bytes
 * a slot of the machine's memory, in one piece.  No lock.
 *   -EINVAL  slots 0, or more than 2^32 - 1
 *   -EBUSY   there is one already
 *   -ENOMEM  no such piece is free
 *   -ENOSYS  the host is of a lower tier
 */
int quire_swapon(struct quire_machine *machine, uint64_t slots);

/*
 * Brings every page back, and ends the use of the area.  May be called while threads run; no lock
 * held, may sleep.  Made again after a failure it goes on where it was.
 *   -EINVAL  there is none
 *   -ENOMEM  memory does not hold it all: what was brought back is
 *   -EIO     a page cannot be read: it and the area stay
 */
int quire_swapoff(struct quire_machine *machine);

/*
 * Takes up to `frames` pages out of memory, those that were not used lately first; how many went.
 * For a host that reclaims ahead of need.  No lock held, may sleep.
 */
uint64_t quire_reclaim(struct quire_machine *machine, uint64_t frames);

#endif
