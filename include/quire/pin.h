/* SPDX-License-Identifier: MIT */
/*
 * Pins: pages that stay where they are for as long as somebody else uses their frames, by number: a
 * device that reads and writes memory by itself, a virtual CPU, the kernel of the guest.
 *
 * A page that is pinned is never reclaimed and never migrated.  A fork gives the child a copy of it at
 * once, so that the process that pinned it goes on to see what comes through the pin, and the other way
 * round.  Unmapping, freeing and truncation take the page away from the process, also its exit; the
 * frame stays until it is unpinned.
 */
#ifndef QUIRE_PIN_H
#define QUIRE_PIN_H

#include <stdbool.h>
#include <stdint.h>

#include <quire/space.h>

struct quire_pin {
	uint64_t address, length; /* bytes, of any alignment */
	/* Room for the pages that the range touches, quire_pin_pages(): their frames' hardware
	 * numbers, in the order of their addresses. */
	uint64_t *frames;
	uint64_t count; /* of them that are pinned; 0 at first */
	bool faulted;	/* the library's; false at first */
};

/* How many pages [address, address + length) touches; at most 2^52. */
uint64_t quire_pin_pages(uint64_t address, uint64_t length);

/*
 * Pins the pages of the range: faults them in as if each were written to, and holds them (Linux's
 * pin_user_pages_fast with FOLL_WRITE | FOLL_LONGTERM).  From the first that needs a fault on they are
 * dirty then; those before it are as they were.  All or nothing; a page may be pinned any number of
 * times.  May sleep, with no lock held.
 *   -EFAULT       length 0; a hole, or what the process may not write to; a guard page, or poison; a
 *                 shared mapping of an object other than shared memory or DAX, which wants to know of writes;
 *                 bare frames (QUIRE_DEVICE_PFN)
 *   -EOPNOTSUPP   a device's file (QUIRE_DEVICE_FSDAX), whose blocks may move
 *   -ENOMEM       no frame left; a page has been pinned 65,280 times
 *   -EINPROGRESS  a userfault waits, and the thread may not sleep; made again with the same `pin`, it
 *                 goes on where it stopped; quire_unpin() gives it up
 */
int quire_pin(struct quire_space *space, struct quire_pin *pin);

/*
 * Lets go of what is pinned, of which nothing is left in `pin`.  written: the content may have changed
 * since, so it must not be dropped as what MADV_FREE gave up, or as what swap has anyway.  The space may have gone, the machine
 * not.  Cannot fail.
 */
void quire_unpin(struct quire_machine *machine, struct quire_pin *pin, bool written);

#endif
