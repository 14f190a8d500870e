/* SPDX-License-Identifier: MIT */
/*
 * The machine: the memory that Quire manages, and everything that hangs off it.
 *
 * A machine owns one run of physical memory.  Its own bookkeeping (a descriptor of 64 bytes a
 * frame, itself) lies at the start of that memory; the rest are frames.  Any number of machines can
 * live in one program; they share nothing.
 */
#ifndef QUIRE_MACHINE_H
#define QUIRE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#define QUIRE_PAGE_SHIFT 12
#define QUIRE_PAGE_SIZE	 ((uint64_t)1 << QUIRE_PAGE_SHIFT)

/* The least memory a machine works with, in bytes. */
#define QUIRE_MACHINE_MIN ((uint64_t)1 << 20)

struct quire_machine;

struct quire_machine_config {
	void *host;	/* handed to every port function; may be NULL */
	void *memory;	/* the direct map: where the first byte of the memory can be reached; page
			   aligned */
	uint64_t bytes; /* of memory; a multiple of the page size, at least QUIRE_MACHINE_MIN, at
			   most 2^48 */
	uint64_t first_frame; /* the hardware's number of the first frame: its physical address /
				 page size */
	bool zeroed;	      /* the memory reads as zero: Quire need not clear its descriptors */

	uint64_t commit_limit; /* bytes that one private writable mapping may have unless NORESERVE;
				  0: all memory */
	bool no_fault_around; /* a read fault on an object maps its page alone, not its neighbours that
				  are in memory too (Linux: fault_around_bytes) */
	/*
	 * pagemap and PAGEMAP_SCAN say *swapped* of a page of shared memory that was evicted from a
	 * mapping and is in swap.  Linux, and Quire without this, cannot tell it from one that was
	 * never there.  Nothing is looked up for what was never mapped.  (BEHAVIOUR D2)
	 */
	bool report_swapped;
	/*
	 * Where memory is registered for asynchronous write protection, PAGEMAP_SCAN says *written* of
	 * every page of an object whose content has changed, whoever changed it: through another
	 * mapping, by writing to the object, by a hole or a truncation, or by dropping a private
	 * copy.  On Linux, and without this, protection sees what goes through its own mapping.  Costs a
	 * walk of all mappings of the pages that are protected.  (BEHAVIOUR D4)
	 */
	bool strict_written;
	/*
	 * Memory with execute permission alone (prot is QUIRE_PROT_EXEC and nothing else) can be
	 * executed only: an access to its data is a SIGSEGV with QUIRE_SEGV_PKUERR, and mlock, which
	 * cannot read it, answers -ENOMEM.  As Linux on a CPU with protection keys; without it, as on
	 * one without them, what may be executed can be read.  The host's MMU must know the
	 * format's leaf for it (arch_entry.h); that of ports/soft does.  (BEHAVIOUR A2)
	 */
	bool execute_only;
	/*
	 * The MMU does not set accessed and dirty: an access to a leaf that is not accessed, or a store
	 * to one that is not dirty, faults, and quire_fault() sets them.  quire_translate() does as such
	 * an MMU.  As riscv without Svadu and ppc64; without it, as x86_64.
	 */
	bool software_accessed;
	uint32_t max_maps; /* VMAs an address space may have; 0: 65530, as on Linux */
	uint32_t cpus; /* those that enter spaces have numbers below this: at most QUIRE_CPUS_MAX
			      (<quire/port.h>), which says what it can be at most; 0: 64 */

	/*
	 * Called when no frame is free and Quire finds nothing to reclaim, with no lock held, at
	 * most 16 times for one unit of work; may sleep, and call Quire (truncate an object, say),
	 * but is not called once more for what that allocates.  Returns whether it is worth trying again (it gave frames back, or waited
	 * until someone did).  NULL: out of memory at once.
	 */
	bool (*reclaim)(void *host);

	/*
	 * Something is wrong that no caller is told of: a device that answers nonsense.  `what` says
	 * it; `address` is where, in what `what` names.  May be called with locks held, so it must not sleep
	 * nor call Quire.  NULL: nothing is said.
	 */
	void (*log)(void *host, const char *what, uint64_t address);
};

/*
 * Makes a machine in the memory that `config` describes.  `config` may go afterwards; the memory is
 * the machine's until quire_machine_destroy().  No lock.
 *   0        *machine is ready
 *   -EINVAL  memory not page aligned, bytes not whole pages or out of range, first_frame + frames
 *            beyond 2^40, cpus beyond QUIRE_CPUS_MAX
 */
int quire_machine_create(const struct quire_machine_config *config, struct quire_machine **machine);

/*
 * Ends a machine.  No address space may be left; every frame must have come back.
 *   0          the memory is the host's again
 *   -EBUSY     address spaces are left: nothing is changed
 *   -EUCLEAN   frames are missing: a bug in Quire; the memory is the host's again all the same
 */
int quire_machine_destroy(struct quire_machine *machine);

/* Levels at which a leaf may stand: 4K, 2M, 1G. */
#define QUIRE_LEAF_LEVELS 3

/* Counters of a machine, exact at the moment of the call when no operation runs. */
struct quire_machine_counters {
	uint64_t frames; /* that the machine can hand out in all */
	uint64_t frames_free;
	uint64_t frames_table; /* page tables, roots included */
	uint64_t frames_slab;  /* small objects of Quire's own */
	uint64_t frames_anon;  /* anonymous memory */
	uint64_t frames_shmem; /* shared memory */
	uint64_t frames_file;  /* pages of other objects */
	uint64_t frames_node;  /* what finds the pages of objects */
	uint64_t frames_swap;  /* what counts swap slots */
	uint64_t spaces;
	uint64_t faults;       /* quire_fault() calls that found something to do */
	uint64_t faults_zero;  /* ... and mapped the zero page */
	uint64_t faults_copy;  /* ... and copied a page (copy-on-write) */
	uint64_t faults_reuse; /* ... and took a page over that had no other user */
	/* leaves with a shadow stack's encoding that were taken out of other memory, each of them logged:
	 * something other than Quire has written to the tables */
	uint64_t shadow_stacks_misplaced;
	uint64_t swap_slots; /* in all, and in use */
	uint64_t swap_used;
	uint64_t swap_ins, swap_outs; /* pages read and written */
	uint64_t flushes;	      /* calls of quire_port_flush(), of however many spans */
	/* By level: leaves that got other permissions from quire_mprotect(), and leaves that gave way to
	 * a table of smaller ones. */
	struct {
		uint64_t protected_leaves, cut_leaves;
	} level[QUIRE_LEAF_LEVELS];
	/* Frames and small objects asked for so far, and pages read from swap; failed ones included. */
	uint64_t allocations;
};
void quire_machine_count(struct quire_machine *machine, struct quire_machine_counters *counters);

/*
 * Makes the n-th allocation from now on (frame or small object; 1 is the next) fail once, as if
 * memory had run out, or if it is a page that is read from swap, that with EIO; 0: none. For tests of
 * error paths.  Returns what was counted since the last call.
 */
uint64_t quire_machine_fail_nth(struct quire_machine *machine, uint64_t n);
/* Whether the failure asked for has happened. */
bool quire_machine_failed(const struct quire_machine *machine);

#endif
