/* SPDX-License-Identifier: MIT */
/*
 * The machine's own structure.  It stands at the start of the machine's memory, before the frame
 * descriptors.
 */
#ifndef QUIRE_FRAME_MACHINE_H
#define QUIRE_FRAME_MACHINE_H

#include "frame/frame.h"
#include "frame/slab.h"
#include "frame/swap.h"

struct userfault_hooks;

/* The VMAs that may have pages of one object in their entries; see src/space/rmap.c. */
struct rmap {
	struct quire_lock lock;
	struct list_link vmas; /* lock */
	unsigned walks;	       /* lock: bookmarks in the list */
};

/* What is counted of what happens, as in struct quire_machine_counters. */
enum machine_count {
	COUNT_FAULTS,
	COUNT_FAULTS_ZERO,
	COUNT_FAULTS_COPY,
	COUNT_FAULTS_REUSE,
	COUNT_FLUSHES,
	COUNT_SWAP_INS,
	COUNT_SWAP_OUTS,
	COUNT_SHADOW_STACKS,
	MACHINE_COUNTS
};

/* One CPU's share; the sum over all is the count. */
struct machine_counts {
	_Alignas(64) _Atomic uint64_t of[MACHINE_COUNTS]; /* atomic */
};

#define MACHINE_CPUS_MAX 64
/* So that a physical address has 52 bits. */
#define MACHINE_FRAMES_MAX ((uint64_t)1 << 40)

/*
 * What every fault reads keeps to cache lines that nothing is written to; what every fault writes is
 * each CPU's own (frames.caches, faults).
 */
/* Frames that are kept back: see spare.c. */
struct spare {
	struct quire_lock lock;
	struct frame *chain;	/* lock: FRAME_RESERVED */
	_Atomic unsigned count; /* written under lock: of the chain */
	_Atomic uint32_t kept;	/* atomic */
};

struct quire_machine {
	void *host; /* constant, as are the next ones */
	bool (*reclaim)(void *host);
	uint64_t commit_limit;	       /* pages */
	struct machine_counts *faults; /* [cpus]: faults, and what else is counted */
	struct frame *zero_page;
	/* constant once set: the first context sets it */
	_Atomic(const struct userfault_hooks *) userfault;
	uint32_t max_maps;
	uint32_t cpus; /* a power of two: how many have counts and free frames of their own */
	bool no_fault_around, report_swapped, strict_written, execute_only, software_accessed;
	uint16_t cpu_words; /* of a struct quire_cpus that are in use */

	struct frames frames;
	_Alignas(64) struct slabs slabs;
	_Alignas(64) struct swap swap;

	/* for writing: a page is on its way to another frame; taken before any other lock */
	_Alignas(64) struct quire_rwlock migration;
	_Atomic uint64_t pins; /* atomic: the sum over all frames */

	struct quire_lock rmap_lock; /* whose a frame is stays while it is held: src/space/rmap.c */
	struct quire_lock userfault_lock; /* contexts of spaces; src/userfault/userfault.h */

	struct quire_lock objects_lock;
	struct list_link objects; /* objects_lock: every object */

	void (*log)(void *host, const char *what, uint64_t address); /* constant; or NULL */
	struct quire_lock devices_lock;
	_Atomic(struct device_memory *)
		device_memory; /* written under devices_lock: ranges of frames */

	struct quire_lock spaces_lock;
	struct list_link spaces; /* spaces_lock: every address space */
	uint64_t space_count;	 /* spaces_lock */
	uint64_t next_tag;	 /* spaces_lock */

	/* atomic, as in struct quire_machine_counters: added to once a call */
	_Atomic uint64_t protected_leaves[QUIRE_LEAF_LEVELS], cut_leaves[QUIRE_LEAF_LEVELS];
	_Atomic uint64_t hand;	     /* atomic: where reclaim looks for its next frame */
	_Atomic uint32_t evictable;  /* atomic: some page may go without room in swap */
	_Atomic uint32_t reclaiming; /* atomic: a thread that the port does not know reclaims */
	struct spare spare;
};
_Static_assert(offsetof(struct quire_machine, frames) == 64,
	       "what is constant has a cache line of its own");
_Static_assert(offsetof(struct quire_machine, frames.lock) == 128,
	       "what every fault reads of the allocator shares no cache line with its lock");
_Static_assert(sizeof(struct machine_counts) == 64, "a CPU counts in one cache line");

static inline void machine_lock(struct quire_machine *machine, struct quire_lock *lock)
{
	quire_port_lock(machine->host, lock);
}
static inline void machine_unlock(struct quire_machine *machine, struct quire_lock *lock)
{
	quire_port_unlock(machine->host, lock);
}

/* The number of the calling CPU among those that keep things of their own; a hint, good for no more
 * than to stay out of each other's way. */
static inline unsigned machine_cpu(const struct quire_machine *machine)
{
	return quire_port_cpu(machine->host) & (machine->cpus - 1);
}
static inline void machine_bump(struct quire_machine *machine, enum machine_count count)
{
	atomic_fetch_add_explicit(&machine->faults[machine_cpu(machine)].of[count], 1,
				  memory_order_relaxed);
}

/* Between a frame's descriptor, the hardware's number for it, and where its bytes are reached. */
static inline bool frame_exists(const struct quire_machine *machine, uint64_t number)
{
	return number - machine->frames.first < machine->frames.count;
}
/* `number` must be one of the machine's. */
static inline struct frame *frame_at(struct quire_machine *machine, uint64_t number)
{
	quire_assert(frame_exists(machine, number));
	return &machine->frames.descriptors[number - machine->frames.first];
}
static inline uint64_t frame_number(const struct quire_machine *machine, const struct frame *frame)
{
	return machine->frames.first + (uint64_t)(frame - machine->frames.descriptors);
}
static inline void *frame_memory(const struct quire_machine *machine, const struct frame *frame)
{
	uint64_t index = (uint64_t)(frame - machine->frames.descriptors);

	return machine->frames.memory + (index << PAGE_SHIFT);
}

/* What a block's first frame is if it is a folio. */
static inline struct folio *frame_folio(struct frame *frame)
{
	return (struct folio *)frame;
}
/* The folio of a frame: a frame of one finds its head by the order, for blocks are aligned to their size. */
static inline struct folio *folio_at(struct quire_machine *machine, uint64_t number)
{
	uint64_t order = frame_at(machine, number)->order;

	return frame_folio(frame_at(machine, number >> order << order));
}
static inline uint64_t folio_number(const struct quire_machine *machine, const struct folio *folio)
{
	return frame_number(machine, &folio->head);
}
/* Where its first page is. */
static inline void *folio_memory(const struct quire_machine *machine, const struct folio *folio)
{
	return frame_memory(machine, &folio->head);
}
/* Its i-th page. */
static inline struct page folio_page(const struct quire_machine *machine, const struct folio *folio,
				     uint64_t i)
{
	return (struct page){folio_number(machine, folio) + i};
}
/* Whether there is such a page, the machine's or a device's, and where it is.  The page stays meanwhile. */
bool page_exists(struct quire_machine *machine, struct page page);
void *page_of_device(struct quire_machine *machine, struct page page);
static inline void *page_memory(struct quire_machine *machine, struct page page)
{
	if (!frame_exists(machine, page.number))
		return page_of_device(machine, page);
	return frame_memory(machine, frame_at(machine, page.number));
}

/* Until the page that is on its way has arrived; no lock is held. */
static inline void machine_await_migration(struct quire_machine *machine)
{
	quire_port_read_lock(machine->host, &machine->migration);
	quire_port_read_unlock(machine->host, &machine->migration);
}

/*
 * A folio of 2^order frames, as frame_alloc(): O(2^order), for each of its frames must find the head.
 * folio_alloc_zeroed(): of one frame, with its bytes zeroed.
 */
struct folio *folio_alloc(struct quire_machine *machine, unsigned order);
static inline struct folio *folio_alloc_zeroed(struct quire_machine *machine)
{
	return frame_folio(frame_alloc_zeroed(machine));
}
static inline void folio_free(struct quire_machine *machine, struct folio *folio)
{
	frame_free(machine, &folio->head);
}
static inline void folio_set_kind(struct quire_machine *machine, struct folio *folio,
				  enum frame_kind kind)
{
	frame_set_kind(machine, &folio->head, kind);
}
/* A folio of anonymous memory, with one mapping that the caller is about to make. */
static inline void folio_make_anon(struct quire_machine *machine, struct folio *folio)
{
	folio_set_kind(machine, folio, FRAME_ANON);
	folio_set_slot(folio, 0);
	atomic_store_explicit(&folio->head.content.owner, 0, memory_order_relaxed);
	atomic_store_explicit(&folio->head.holders, FRAME_ONE_MAPPING, memory_order_release);
}
/* Drops one reference; the last holder's frees. */
static inline void folio_put(struct quire_machine *machine, struct folio *folio)
{
	if (folio_drop(folio, FRAME_ONE_REFERENCE))
		folio_free(machine, folio);
}

/*
 * No frame was left, no lock is held: has pages reclaimed, or asks the machine's reclaim hook.  Whether
 * to try again; *tries starts at 0.  Called from within itself, by what the host does to keep a page or
 * to give memory back, it does neither.
 */
bool machine_reclaim(struct quire_machine *machine, unsigned *tries);

/* The caller's mark that it is in there already; threads that the port does not know share one. */
_Atomic uint32_t *machine_reclaiming(struct quire_machine *machine);

/* Says what no caller is told of. */
static inline void machine_log(const struct quire_machine *machine, const char *what,
			       uint64_t address)
{
	if (machine->log)
		machine->log(machine->host, what, address);
}

/* --- device_memory.c --- */

/*
 * Whether [number, number + count) lies in one range of device memory.
 * One pin more (false: it is none), one fewer of one that is pinned.
 */
bool device_memory_holds(struct quire_machine *machine, uint64_t number, uint64_t count);
bool device_memory_pin(struct quire_machine *machine, uint64_t number);
void device_memory_unpin(struct quire_machine *machine, uint64_t number);
/* The machine ends. */
void device_memory_forget(struct quire_machine *machine);

/* --- spare.c --- */

/* From now on frames are kept back; takes as many as there are. */
void spare_keep(struct quire_machine *machine);
/* Again as many as are to be kept back, if there are. */
void spare_fill(struct quire_machine *machine);
/* For the allocator: one of them, for a thread that reclaims; else NULL. */
struct frame *spare_take(struct quire_machine *machine);

/* A page has come to be that need not be written to swap to go, or that has a slot there. */
static inline void machine_note_evictable(struct quire_machine *machine)
{
	if (!atomic_load_explicit(&machine->evictable, memory_order_relaxed))
		atomic_store_explicit(&machine->evictable, true, memory_order_release);
}

/*
 * What the layers below ask of src/reclaim, which lies above them: bound when Quire is linked.  No
 * lock is held.
 */
uint64_t reclaim_frames(struct quire_machine *machine, uint64_t frames);
/* Takes pages out of memory, as far as they can go; how many went.  Uses up the caller's reference to
 * each, and puts them in another order. */
#define RECLAIM_PAGES 32 /* at once, at most */
unsigned reclaim_pages(struct quire_machine *machine, struct folio **folios, unsigned count);

#endif
