/* SPDX-License-Identifier: MIT */
/*
 * Address spaces and the system calls on them.
 *
 * The numbers of protections, mapping flags, advice and errors are Linux's, so that a host can pass
 * its user's arguments through. All functions here may be called from any thread, several at once;
 * each takes the space's lock for itself.  A function that fails has changed nothing, except where
 * it works piece by piece and says so.  Each may return -ENOMEM   also when the machine has no
 * frame left for tables or VMAs; the unit of work that met it is undone.
 */
#ifndef QUIRE_SPACE_H
#define QUIRE_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include <quire/machine.h>

#define QUIRE_PROT_NONE	     0x0
#define QUIRE_PROT_READ	     0x1
#define QUIRE_PROT_WRITE     0x2
#define QUIRE_PROT_EXEC	     0x4
#define QUIRE_PROT_SEM	     0x8
#define QUIRE_PROT_GROWSDOWN 0x01000000
#define QUIRE_PROT_GROWSUP   0x02000000

#define QUIRE_MAP_SHARED	  0x01
#define QUIRE_MAP_PRIVATE	  0x02
#define QUIRE_MAP_SHARED_VALIDATE 0x03
#define QUIRE_MAP_TYPE		  0x0f
#define QUIRE_MAP_FIXED		  0x10
#define QUIRE_MAP_ANONYMOUS	  0x20
#define QUIRE_MAP_32BIT		  0x40
#define QUIRE_MAP_GROWSDOWN	  0x0100
#define QUIRE_MAP_LOCKED	  0x2000
#define QUIRE_MAP_NORESERVE	  0x4000
#define QUIRE_MAP_POPULATE	  0x8000
#define QUIRE_MAP_NONBLOCK	  0x10000
#define QUIRE_MAP_STACK		  0x20000
#define QUIRE_MAP_HUGETLB	  0x40000
#define QUIRE_MAP_FIXED_NOREPLACE 0x100000

#define QUIRE_MREMAP_MAYMOVE   1
#define QUIRE_MREMAP_FIXED     2
#define QUIRE_MREMAP_DONTUNMAP 4

#define QUIRE_MADV_NORMAL	   0
#define QUIRE_MADV_RANDOM	   1
#define QUIRE_MADV_SEQUENTIAL	   2
#define QUIRE_MADV_WILLNEED	   3
#define QUIRE_MADV_DONTNEED	   4
#define QUIRE_MADV_FREE		   8
#define QUIRE_MADV_REMOVE	   9
#define QUIRE_MADV_DONTFORK	   10
#define QUIRE_MADV_DOFORK	   11
#define QUIRE_MADV_MERGEABLE	   12
#define QUIRE_MADV_UNMERGEABLE	   13
#define QUIRE_MADV_HUGEPAGE	   14
#define QUIRE_MADV_NOHUGEPAGE	   15
#define QUIRE_MADV_DONTDUMP	   16
#define QUIRE_MADV_DODUMP	   17
#define QUIRE_MADV_WIPEONFORK	   18
#define QUIRE_MADV_KEEPONFORK	   19
#define QUIRE_MADV_COLD		   20
#define QUIRE_MADV_PAGEOUT	   21
#define QUIRE_MADV_POPULATE_READ   22
#define QUIRE_MADV_POPULATE_WRITE  23
#define QUIRE_MADV_DONTNEED_LOCKED 24
#define QUIRE_MADV_COLLAPSE	   25
#define QUIRE_MADV_HWPOISON	   100
#define QUIRE_MADV_SOFT_OFFLINE	   101
#define QUIRE_MADV_GUARD_INSTALL   102
#define QUIRE_MADV_GUARD_REMOVE	   103

struct quire_space;

struct quire_space_config {
	uint64_t lowest;    /* the first address that a mapping without FIXED may get (Linux:
			       vm.mmap_min_addr) */
	uint64_t highest;   /* end of the user addresses (Linux: TASK_SIZE); 0: all the format has,
			       less its last page */
	uint64_t mmap_base; /* top of the top-down search; 0: highest */

	/*
	 * The host's own half: root entries to copy into the new root, as the hardware reads them,
	 * `root_entry_count` of them from index `root_entry_first`; NULL and 0 for none.  Quire
	 * copies and never edits them; they must lie beyond `highest`.
	 */
	const uint64_t *root_entries;
	unsigned root_entry_first;
	unsigned root_entry_count;
};

/*
 * A new, empty address space.
 *   0        *space is ready
 *   -EINVAL  lowest, highest or mmap_base not page aligned or out of order, or beyond what the
 *   entry
 *            format can map; root entries below highest
 *   -ENOMEM  no frame left
 */
int quire_space_create(struct quire_machine *machine, const struct quire_space_config *config,
		       struct quire_space **space);

/*
 * Unmaps everything and frees the space.  No thread may be in it and no CPU may have it entered.
 * Nor may a call on the space run, but others' that come upon it by themselves: requests on a context of
 * it, swapoff, reclaim, a dump of the machine.  Its userfaultfd contexts stay, without a space.  Cannot
 * fail, allocates nothing.
 */
void quire_space_destroy(struct quire_space *space);

/* The root table's hardware frame number: what CR3, satp or TTBR0 is made from.  Constant. */
uint64_t quire_space_root(const struct quire_space *space);
/* The tag that its flushes carry; unique among the machine's spaces, never used again: so what a CPU
 * keeps by it after the space is gone is never asked for. */
uint64_t quire_space_tag(const struct quire_space *space);
/* The machine it belongs to. */
struct quire_machine *quire_space_machine(const struct quire_space *space);

/*
 * CPU `cpu` (less than the machine's `cpus`) is about to use the space's page tables; or it has
 * stopped, holds no translation of the space any more, and has forgotten the way through its tables.
 * From enter to leave, flushes name the CPU.  No lock.  A CPU may have entered several spaces at a time,
 * if it can tell their translations apart (ASIDs, PCIDs): see quire_port_flush().  Entering a space that
 * it has entered, or leaving one that it has not, changes nothing.
 */
void quire_space_enter(struct quire_space *space, unsigned cpu);
void quire_space_leave(struct quire_space *space, unsigned cpu);

/*
 * mmap(2) for anonymous memory, private or shared; <quire/object.h> has what maps an object.  address: hint, or the place with FIXED or FIXED_NOREPLACE.
 * length: bytes, rounded up to pages.  flags: QUIRE_MAP_*; what Linux ignores is ignored.
 * *result: the address.  The whole call succeeds or changes nothing.  (mmap(2), BEHAVIOUR A1)
 *   -EINVAL  length 0, no mapping type or an unknown one, FIXED with an unaligned address
 *   -ENOMEM  length beyond the address space, or wraps; no hole is large enough; FIXED beyond the
 *            end; too many VMAs; private, writable, not NORESERVE and larger than commit_limit
 *   -EPERM   FIXED below `lowest`
 *   -EEXIST  FIXED_NOREPLACE, and something is mapped there
 *   -EBADF   without ANONYMOUS
 *   -ENOSYS  a kind of memory that this build lacks (hugetlb, growsdown)
 * With POPULATE or LOCKED the pages are faulted in afterwards, as far as memory lasts; that some
 * could not be is no error.
 */
int quire_mmap(struct quire_space *space, uint64_t address, uint64_t length, int prot, int flags,
	       uint64_t *result);
/*
 * map_shadow_stack(2) without a token: private anonymous memory that loads may read, calls and returns
 * may write to (QUIRE_SHADOW_STACK), and stores may not: SEGV, ACCERR.  Its writable pages have the one
 * encoding of the format that no other page may have (BEHAVIOUR E5).  address: 0, or the place, where
 * nothing may be mapped.  *result, -ENOMEM, -EPERM, -EEXIST and -EINVAL as quire_mmap().
 */
int quire_map_shadow_stack(struct quire_space *space, uint64_t address, uint64_t length,
			   uint64_t *result);

/*
 * munmap(2).  Holes in the range are fine.  The whole call succeeds or changes nothing.
 *   -EINVAL  address unaligned, length 0, or the range leaves the address space
 *   -ENOMEM  splitting a VMA would exceed max_maps
 */
int quire_munmap(struct quire_space *space, uint64_t address, uint64_t length);

/*
 * mprotect(2).  VMA by VMA: at the first that fails, those before it stay changed.
 *   -EINVAL  address unaligned; unknown bits in prot; GROWSDOWN with GROWSUP, or on a VMA that does
 *            not grow that way
 *   -ENOMEM  the range wraps, or has a hole; a split would exceed max_maps; commit_limit
 *   -EACCES  beyond what the VMA may ever have
 */
int quire_mprotect(struct quire_space *space, uint64_t address, uint64_t length, int prot);

/*
 * mremap(2).  flags: QUIRE_MREMAP_*; new_address: the place with FIXED, a hint with DONTUNMAP.
 * *result: the address.  The whole call succeeds or changes nothing, but for what FIXED unmaps at
 * the new place before a later refusal, as on Linux.  FIXED without a change of size moves every
 * VMA of the range; the unit is the VMA then.  (BEHAVIOUR A3)
 *   -EINVAL  address unaligned, unknown flags, FIXED or DONTUNMAP without MAYMOVE, new_length 0,
 *            DONTUNMAP with another length, old_length 0 of private memory; new_address unaligned,
 *            out of range or overlapping
 *   -EFAULT  the range is not mapped, or crosses a VMA's end where Linux refuses that
 *   -ENOMEM  cannot grow in place and MAYMOVE is not given; no hole; too many VMAs; commit_limit
 *   -EPERM   FIXED below `lowest`
 */
int quire_mremap(struct quire_space *space, uint64_t address, uint64_t old_length,
		 uint64_t new_length, int flags, uint64_t new_address, uint64_t *result);

/*
 * madvise(2).  VMA by VMA (populate: page by page): at the first that fails, those before it have
 * taken the advice.  Holes are passed over, and answered with -ENOMEM in the end.  (BEHAVIOUR A4)
 *   -EINVAL       address unaligned, length wraps, unknown advice; advice that this memory refuses
 *                 (REMOVE; DONTNEED, FREE, COLD, PAGEOUT and GUARD_INSTALL of locked memory;
 *                 populate
 *                 without the permission)
 *   -ENOMEM       holes
 *   -EAGAIN       advice about flags: a split would exceed max_maps
 *   -EFAULT       populate: a page cannot be had (a guard)
 *   -EHWPOISON    populate: a page is poisoned
 *   -EINPROGRESS  the thread waits and may not sleep (<quire/thread.h>)
 *   -ENOSYS       COLLAPSE (not in this build)
 */
int quire_madvise(struct quire_space *space, uint64_t address, uint64_t length, int advice);

/*
 * mlock(2), munlock(2).  VMA by VMA; mlock then faults the pages in.
 *   -EINVAL       the range wraps
 *   -ENOMEM       a hole; a split would exceed max_maps; mlock: a page cannot be had
 *   -EAGAIN       mlock: memory did not last
 *   -EINPROGRESS  mlock: the thread waits and may not sleep
 */
int quire_mlock(struct quire_space *space, uint64_t address, uint64_t length);
int quire_munlock(struct quire_space *space, uint64_t address, uint64_t length);

/*
 * fork(2): *child is a new space of the same machine with a copy of everything; pages are shared
 * copy-on-write.  The whole call succeeds or changes nothing.  Reserves as many frames as the
 * parent has page tables.  (BEHAVIOUR A5)
 *   -ENOMEM       no frames for the child's tables and VMAs
 *   -EINPROGRESS  an event waits to be read, and the thread may not sleep; the child comes when the
 *                 call is made again
 */
int quire_fork(struct quire_space *parent, struct quire_space **child);

#endif
