/* SPDX-License-Identifier: MIT */
/*
 * Notifiers: for who keeps translations of his own beside a space's page tables: a hypervisor's
 * nested tables, a device's MMU, an emulator's cache of pages (Linux's MMU notifiers).
 *
 * A *mirror* may keep what a space grants for as long as no call takes it away.  Each change of leaves is
 * bracketed: begin comes before the first of them has changed, end when the last has and every CPU
 * has been flushed.  At begin the mirror drops what it has of the range; until end it takes in nothing
 * there:
 *
 *	begin			lock; drop [start, end); open++; unlock
 *	end			lock; open--; sequence++; unlock
 *	to take in a page	was = sequence; look (quire_notifier_translate(), quire_fault())
 *				lock; if (!open && sequence == was) keep what was seen; unlock; or again
 *
 * so it never grants what the space does not; examples/mirror/mirror.c is one.
 *
 * What is told:
 *  - Calls that take leaves away, move them, or change what they allow, to more or to less (as on
 *    Linux); that make them old or clean (MADV_COLD, FREE).
 *  - Faults that put another frame in the place of one (copy-on-write); reclaim; migration.
 *  - The end of the space: one bracket around all leaves, then `release`.
 * What is not told: faults that take nothing away; a large leaf that is cut into smaller ones, which
 * translate the same; a change of what translates nothing (swap entries, markers), or of protection where
 * nobody could write anyway; reclaim that makes pages old to see who uses them.  A fork's child has no
 * notifier.  Where nothing changes, and where a call is refused, there is no bracket.
 *
 * The range goes from the first byte of the first leaf that changes to the last byte of the last one.  Of
 * a large leaf that is cut for a call it is the part that the call is about, so a mirror that maps large
 * leaves drops all that the range touches; a leaf that cannot be cut goes as a whole and is told of as a
 * whole (<quire/device.h>).  One call may make several brackets, one after the other.  Brackets of a
 * space are never nested, and never overlap in time.  Only what others do at the same time (a process
 * that begins or ends to share a page, a CPU that uses it) can leave one in which less changed than
 * was told.
 */
#ifndef QUIRE_NOTIFIER_H
#define QUIRE_NOTIFIER_H

#include <stdbool.h>
#include <stdint.h>

#include <quire/fault.h>

/* Why leaves change. */
enum quire_notifier_reason {
	QUIRE_NOTIFIER_UNMAP,	/* munmap, mmap over it, mremap from it, the end of the space */
	QUIRE_NOTIFIER_PROTECT, /* mprotect, write protection and its end, fork (the parent's) */
	QUIRE_NOTIFIER_CLEAR, /* pages go, or are old or clean, where they are mapped: madvise, truncate
				   and punch, copy-on-write, UFFDIO_MOVE, reclaim */
	QUIRE_NOTIFIER_MIGRATE, /* the pages get other frames */
};

/*
 * begin and end are called with the space's lock held and maybe a table's: they do not sleep, and call
 * nothing of Quire but quire_translate().  They may take locks under which nobody calls Quire.
 * [start, end): addresses, whole pages; end repeats what begin has said.
 */
struct quire_notifier_operations {
	void (*begin)(void *context, uint64_t start, uint64_t end, enum quire_notifier_reason why);
	void (*end)(void *context, uint64_t start, uint64_t end, enum quire_notifier_reason why);
	/* The space is at its end, and so is the notifier: it must not be unregistered any more.
	 * Called last, with no lock held.  NULL: nobody needs to know. */
	void (*release)(void *context);
};

struct quire_notifier;

/*
 * Registers for the space; any number may.  *notifier is told of each bracket that begins from now on;
 * what is mapped already it finds by looking.  Takes the space's lock for writing, may sleep.
 *   -ENOMEM  no frame left: nothing is registered
 */
int quire_notifier_register(struct quire_space *space,
			    const struct quire_notifier_operations *operations, void *context,
			    struct quire_notifier **notifier);

/*
 * Ends it: when this has returned none of its functions runs, or will.  Takes the space's lock for
 * writing, may sleep; not for use in a callback.  Cannot fail.
 */
void quire_notifier_unregister(struct quire_notifier *notifier);

/*
 * quire_translate() for who is no CPU that flushes wait for: with the space's lock held for reading, so it
 * may sleep.  A mirror that is told of `writable` may let stores through: the leaf is dirty already.
 */
bool quire_notifier_translate(struct quire_space *space, uint64_t address, enum quire_access access,
			      struct quire_translation *translation);

#endif
