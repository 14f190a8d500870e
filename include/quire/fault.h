/* SPDX-License-Identifier: MIT */
/*
 * Page faults, what the MMU does before them, and access on the user's behalf.
 */
#ifndef QUIRE_FAULT_H
#define QUIRE_FAULT_H

#include <stddef.h>
#include <stdint.h>

#include <quire/space.h>

/* What an access wants to do.  A read-modify-write is a write. */
enum quire_access {
	QUIRE_READ,
	QUIRE_WRITE,
	QUIRE_EXECUTE,
	QUIRE_SHADOW_STACK, /* a call or return to the shadow stack: quire_map_shadow_stack() */
};

/* How a fault came out. */
enum quire_outcome {
	QUIRE_DONE, /* make the access again: it finds what it needs, or faults again for another
		       reason */
	QUIRE_SEGV, /* SIGSEGV, with the code below */
	QUIRE_BUS,  /* SIGBUS, with the code below */
	QUIRE_OUT_OF_MEMORY, /* no frame left; nothing was changed */
	QUIRE_BLOCKED,	     /* a userfault waits, and the thread may not sleep: <quire/thread.h> */
};

/* si_code of the signal, Linux's numbers. */
#define QUIRE_SEGV_MAPERR 1
#define QUIRE_SEGV_ACCERR 2
#define QUIRE_SEGV_PKUERR 4 /* data of execute-only memory: <quire/machine.h>, execute_only */
#define QUIRE_BUS_ADRERR  2

struct quire_fault_result {
	enum quire_outcome outcome;
	int code;      /* of the signal; 0 otherwise */
	bool poisoned; /* QUIRE_BUS: the page was poisoned (UFFDIO_POISON) */
};

/*
 * Handles a page fault: the access at `address` (any alignment) was refused by the MMU, or the TLB
 * had no entry.  The host makes the access again on QUIRE_DONE.  Faulting where the tables already
 * allow the access is harmless.  Takes the space's lock for reading; faults on different pages run
 * side by side.  May sleep in the machine's reclaim hook, and for a userfault in quire_port_wait(),
 * with no lock held.  (BEHAVIOUR A2, A5, B3, C2)
 */
struct quire_fault_result quire_fault(struct quire_space *space, uint64_t address,
				      enum quire_access access);

/* What a hardware walk found. */
struct quire_translation {
	uint64_t frame;	       /* hardware number of the 4K frame that holds the address */
	unsigned char *memory; /* that frame's bytes in the direct map */
	uint8_t level;	       /* of the leaf */
	/*
	 * Bytes that the leaf translates, a power of two; it begins at a multiple of them, and its
	 * memory is contiguous.  So a host may keep the whole leaf, if it forgets it with every flush
	 * that meets any part of it.
	 */
	uint64_t bytes;
	bool writable; /* stores may go through without another walk: the leaf allows them, and is
			  dirty already */
	bool executable;
};

/*
 * Does what the hardware's page-table walker does for a user access: walks the tables without a
 * lock, checks permission, sets accessed, and for a write dirty, atomically.  For hosts whose MMU
 * is software.  Returns whether the access is allowed; if not, call quire_fault(). The caller must
 * be in an access that quire_port_flush() waits for: tables may otherwise be freed while they are
 * read.
 */
bool quire_translate(struct quire_space *space, uint64_t address, enum quire_access access,
		     struct quire_translation *translation);

/*
 * Where walks may begin, instead of at the root: what hardware keeps in its page-walk caches.  All zero
 * is nowhere.  Belongs to one space.
 */
struct quire_walk {
	uint64_t start, length; /* bytes of addresses that the table below translates */
	void *table;
};

/*
 * The same, but begins where *walk says, if `address` lies there, and leaves there the lowest table that
 * it came to, if any.  A host that keeps such walks must forget those that overlap a flush, of whatever
 * kind, before quire_port_flush() returns, as it forgets translations.
 */
bool quire_translate_from(struct quire_space *space, uint64_t address, enum quire_access access,
			  struct quire_walk *walk, struct quire_translation *translation);

/*
 * The kernel reads or writes user memory on the process's behalf (get_user_pages): the same faults
 * as a user access, and the permissions of the VMA; a write-only mapping is not readable.  `length`
 * bytes between `address` and `buffer`; *done: how many were moved, to the page.  (BEHAVIOUR A6)
 *   0             all were
 *   -EFAULT       a page could not be reached: *done bytes were moved
 *   -ENOMEM       out of frames: *done bytes were moved
 *   -EINPROGRESS  a userfault waits, and the thread may not sleep; made again, it goes on where it
 *                 stopped
 */
int quire_access_read(struct quire_space *space, uint64_t address, void *buffer, size_t length,
		      size_t *done);
int quire_access_write(struct quire_space *space, uint64_t address, const void *buffer,
		       size_t length, size_t *done);

#endif
