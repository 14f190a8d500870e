/* SPDX-License-Identifier: MIT */
/*
 * What the host provides.
 *
 * Quire reaches its host through the functions declared here and through nothing else (memcpy,
 * memmove, memset and memcmp aside).  They are bound when the host is linked.  Each takes first the
 * `host` pointer that the host gave in struct quire_machine_config; Quire never looks at it.  The
 * host's memory is not reached through a function: the machine's configuration names a direct map,
 * where frame n of the machine is readable and writable at a fixed place.
 *
 * The functions come in tiers; take the lowest that suits.
 *
 *   tier 0   one CPU, nothing sleeps          quire_port_panic, quire_port_flush
 *   tier 1   several CPUs or threads, sleep   + the lock functions, quire_port_current, _cpu,
 *                                             _wait, _wake
 *   tier 2   swap                             + quire_port_swap_write, _swap_read, _swap_free
 *
 * Library and host are compiled with the same -DQUIRE_PORT_TIER (pkg-config quire-tier0, quire-tier1 or
 * quire says which).  At tier 0 the lock functions are empty and inline here, and the host must not
 * enter Quire again before it has returned.
 *
 * A worked example of tier 0, for a kernel that runs on one x86 processor:
 *
 *	void quire_port_flush(void *host, const struct quire_flush *flushes, unsigned count)
 *	{
 *		for (unsigned i = 0; i < count; i++) {
 *			const struct quire_flush *flush = &flushes[i];
 *
 *			if ((flush->end - flush->start) / flush->stride > 32) {
 *				write_cr3(read_cr3());
 *				return;
 *			}
 *			for (uint64_t a = flush->start; a < flush->end; a += flush->stride)
 *				invlpg(a);
 *		}
 *	}
 *
 * There a leaf of 1G is one invlpg; and each invlpg forgets all that the processor remembers of the way
 * through the tables, so that flush->tables asks for nothing more.
 */
#ifndef QUIRE_PORT_H
#define QUIRE_PORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef QUIRE_PORT_TIER
#define QUIRE_PORT_TIER 2
#endif

/*
 * A lock that is held for a short time: by the allocators, and around the entries of one page
 * table.  The words belong to the host; all zero is free.
 */
struct quire_lock {
	_Atomic uint32_t word;
};

/* A lock with readers and one writer that is held for whole operations and may be slept on.  All
 * zero is free. */
struct quire_rwlock {
	_Atomic uint32_t word[2];
};

/*
 * A set of CPUs.  quire_space_enter() and quire_space_leave() change it; the port only looks.
 * QUIRE_CPUS_MAX: 64 or a multiple of it; library and host are compiled with the same.
 */
#ifndef QUIRE_CPUS_MAX
#define QUIRE_CPUS_MAX 1024
#endif
struct quire_cpus {
	_Atomic uint64_t word[QUIRE_CPUS_MAX / 64]; /* CPU n is bit n % 64 of word n / 64 */
};

/* 64 CPUs of a set, from 64 * word on: those that enter from now on see what was changed before. */
static inline uint64_t quire_cpus_word(const struct quire_cpus *cpus, unsigned word)
{
	return atomic_load_explicit(&cpus->word[word], memory_order_acquire);
}

/* What must be forgotten of one span of one address space. */
struct quire_flush {
	uint64_t tag;	     /* of the space, unique in its machine for ever (quire_space_tag) */
	uint64_t start, end; /* addresses */
	/*
	 * Bytes, of a leaf of some level; start and end are multiples.  What has changed in the span
	 * are leaves of that size or larger, each wholly inside: one instruction every `stride` bytes
	 * meets them all.  It must forget whatever translates its address: after a leaf was cut, the
	 * one of a page forgets the large translation that a CPU may still have.  A port that keeps a
	 * large leaf in pieces forgets all pieces in the span, whatever the stride.
	 */
	uint64_t stride;
	/* CPUs that have entered the space and not left it; of the words, those below the machine's
	 * `cpus` are in use. */
	const struct quire_cpus *cpus;
	/*
	 * Loads and fetches may go on by what they know: only permission to write was taken away, or
	 * the dirty bit, so that the next store must look at the entry again.  Else a translation is
	 * wrong altogether.
	 */
	bool write_only;
	bool tables; /* page tables of the span are freed: walkers must have left them */
};

/*
 * Forgets translations, of `count` (1 or more) spans at once; these may touch or overlap, and be of
 * several spaces.  When it returns, for each of the flushes: no CPU of flush->cpus completes a load,
 * store or fetch through a translation of the span that it read from the page tables before the call
 * (a store, if flush->write_only); none goes on by what it remembers of upper levels on the way to the
 * span, of whatever kind the flush is, as a table may have moved; and if flush->tables, none still reads
 * a table by a pointer that it took before the call.  Forgetting more is always right.
 *
 * A CPU that keeps translations of spaces that it has left for others, by tags of its own (ASIDs,
 * PCIDs), stays in the sets of all of them: a host calls quire_space_leave() when such a CPU has
 * forgotten a space, not when it switches away from it.  A flush need not interrupt a CPU that uses
 * another space now: that it will forget the span, or all that it has of flush->tag, before it uses
 * this space again is as good; and so is leaving the space for it (quire_space_leave may be called from
 * here).
 *
 * Context: the caller may hold the space's rwlock and table locks; the host must not call Quire
 * otherwise, and must not wait for a CPU that waits for one of Quire's locks (a CPU that takes a
 * fault has let go of its access before it asks for a lock). Cannot fail.  Not called while no CPU has
 * entered; but it may have left when the port looks, and then there is nothing to do.
 */
void quire_port_flush(void *host, const struct quire_flush *flushes, unsigned count);

/*
 * A broken invariant: Quire has found its own state impossible and cannot go on.  Must not return.
 * `file` and `line` say where, `what` is the condition that did not hold.
 */
_Noreturn void quire_port_panic(void *host, const char *file, int line, const char *what);

#if QUIRE_PORT_TIER >= 1
/*
 * Takes and releases a short lock.  Held for bounded time, never while sleeping; may be taken
 * inside an rwlock; order in docs/DESIGN.md, "Locks".  quire_port_lock() returns with the lock held
 * and everything visible that was done before its last release.  Cannot fail.
 */
void quire_port_lock(void *host, struct quire_lock *lock);
void quire_port_unlock(void *host, struct quire_lock *lock);

/*
 * Takes and releases an rwlock, for reading (any number together) or writing (alone).  Called with
 * no short lock held.  May sleep.  A waiting writer must not be starved by new readers; a reader
 * never takes the same lock twice.  Cannot fail.
 */
void quire_port_read_lock(void *host, struct quire_rwlock *lock);
void quire_port_read_unlock(void *host, struct quire_rwlock *lock);
void quire_port_write_lock(void *host, struct quire_rwlock *lock);
void quire_port_write_unlock(void *host, struct quire_rwlock *lock);

/*
 * The thread that is calling Quire, for userfaultfd (<quire/thread.h>).  NULL: a caller that takes
 * no part in it; what would have to sleep is refused then (a fault is a BUS, a call fails with
 * -EFAULT), and of such threads one at a time has memory reclaimed.  No lock, must be fast.
 */
struct quire_thread;
struct quire_thread *quire_port_current(void *host);

/*
 * The number of the calling CPU, or of the calling thread; any number is right, and 0 always is.  Quire
 * keeps free frames and counters by it (modulo a power of two, at most 64), so that callers with
 * different numbers keep out of each other's way; nothing is wrong if the caller is moved to another
 * CPU meanwhile.  No lock, must be fast.
 */
unsigned quire_port_cpu(void *host);

/*
 * Sleeps while *word is 1; may return early, for a signal or for no reason.  Called with no lock
 * held.  quire_port_wake() wakes every sleeper on `word`, which was set to another value before and
 * may be gone by now: only its address counts.
 */
void quire_port_wait(void *host, _Atomic uint32_t *word);
void quire_port_wake(void *host, _Atomic uint32_t *word);
#else
static inline void quire_port_lock(void *host, struct quire_lock *lock)
{
	(void)host;
	(void)lock;
}
static inline void quire_port_unlock(void *host, struct quire_lock *lock)
{
	(void)host;
	(void)lock;
}
static inline void quire_port_read_lock(void *host, struct quire_rwlock *lock)
{
	(void)host;
	(void)lock;
}
static inline void quire_port_read_unlock(void *host, struct quire_rwlock *lock)
{
	(void)host;
	(void)lock;
}
static inline void quire_port_write_lock(void *host, struct quire_rwlock *lock)
{
	(void)host;
	(void)lock;
}
static inline void quire_port_write_unlock(void *host, struct quire_rwlock *lock)
{
	(void)host;
	(void)lock;
}
struct quire_thread;
static inline struct quire_thread *quire_port_current(void *host)
{
	(void)host;
	return NULL;
}
static inline unsigned quire_port_cpu(void *host)
{
	(void)host;
	return 0;
}
static inline void quire_port_wait(void *host, _Atomic uint32_t *word)
{
	(void)host;
	(void)word;
}
static inline void quire_port_wake(void *host, _Atomic uint32_t *word)
{
	(void)host;
	(void)word;
}
#endif

#if QUIRE_PORT_TIER >= 2
/*
 * Swap: slots of one page (QUIRE_PAGE_SIZE bytes), numbered from 1 as far as quire_swapon() said.  A
 * slot is read only after it was written, and written again only after it was freed or with the same
 * content; reads of one slot may run side by side.
 *
 * Writing and reading are called with no lock held and may sleep.  The page may be written to while
 * it is being kept: nobody will ask for that content then.  0; or a negative error.  -ENOSPC
 * and others of a write: the page stays in memory.  Of a read: the access that wanted the page is a
 * BUS, and the slot stays as it is.  Freeing tells that the content is not needed any more; it may be
 * called with locks held, and must not sleep or fail.
 */
int quire_port_swap_write(void *host, uint64_t slot, const void *memory);
int quire_port_swap_read(void *host, uint64_t slot, void *memory);
void quire_port_swap_free(void *host, uint64_t slot);
#else
static inline int quire_port_swap_write(void *host, uint64_t slot, const void *memory)
{
	(void)host;
	(void)slot;
	(void)memory;
	return -1;
}
static inline int quire_port_swap_read(void *host, uint64_t slot, void *memory)
{
	(void)host;
	(void)slot;
	(void)memory;
	return -1;
}
static inline void quire_port_swap_free(void *host, uint64_t slot)
{
	(void)host;
	(void)slot;
}
#endif

#endif
