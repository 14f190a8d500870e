/* SPDX-License-Identifier: MIT */
/*
 * Frames: the machine's memory in units of a page, what each is used for, and who holds it.
 *
 * Every frame has a descriptor of 64 bytes.  A *block* is 2^order frames, aligned to its size; only
 * the descriptor of its first frame says anything.  Free blocks are kept by a buddy allocator.
 *
 * Who holds a frame is one 64-bit word, so that one atomic operation takes or drops a mapping:
 *
 *	holders = mappings << 36 | pins << 20 | references
 *
 * mappings are the leaves that map it; pins are those who use it by its number, for as long as they
 * like (a device, say); references everything else that needs it to stay (the operation that works
 * on it, a page cache).  A frame goes back to the allocator when the word reaches 0.
 *
 * Locks: `machine` = machine->frames.lock, `table` = the descriptor's own lock, `atomic` = none
 * needed.
 */
#ifndef QUIRE_FRAME_FRAME_H
#define QUIRE_FRAME_FRAME_H

#include "base/base.h"

/*
 * Internal error: no frame left.  Public functions turn it into -ENOMEM after the machine's reclaim
 * hook has said that there is no use in trying again; the limits that Linux answers with ENOMEM are
 * -QUIRE_ENOMEM from the start.
 */
#define NO_FRAMES 4096
/* Internal: a page is on its way to another frame.  machine_await_migration(), and try again. */
#define MIGRATING 4100

enum frame_kind {
	FRAME_TAIL = 0, /* not the first of its block: says nothing */
	FRAME_FREE,	/* first of a free block */
	FRAME_HELD,	/* allocated, not yet given a use */
	FRAME_RESERVED, /* the machine's own: descriptors, the zero page */
	FRAME_SLAB,
	FRAME_TABLE,
	FRAME_ANON,
	FRAME_SHMEM, /* of a page cache: shared memory's */
	FRAME_FILE,  /* ... any other object's */
	FRAME_NODE,  /* of a page cache's tree */
	FRAME_SWAP,  /* what swap slots are counted in */
	FRAME_KINDS
};

enum frame_flag {
	FRAME_LAZYFREE = 1,  /* lazily freed: may be discarded if no entry is dirty */
	FRAME_DIRTY = 2,     /* written to by the kernel, or through an entry that is gone */
	FRAME_UNUSED = 4,    /* allocated for an object, and nobody has asked for its content yet */
	FRAME_MIGRATING = 8, /* of an object: no new entry may map it, its content is moving away */
	FRAME_WAS_CACHED = 16, /* mapped while in the swap cache */
	/* its content counts though no entry need be dirty: it has been in the swap cache, or it is a
	 * copy that was made for a reader */
	FRAME_KEEP = 32,
};

struct frame {
	_Alignas(64) _Atomic uint64_t holders; /* atomic; free frames, slabs and tables: 0 */
	uint8_t kind;	/* enum frame_kind; written by the owner while it alone has the frame */
	uint8_t order;	/* of the block */
	uint8_t listed; /* machine: 1 + order if first of a free block in frames.blocks[], else 0 */
	union {
		_Atomic uint32_t flags; /* atomic; enum frame_flag: a page's */
		struct quire_lock lock; /* tables: protects the entries, live and marks */
	};
	struct frame *next; /* the owner's chain: gathered frames, reserved tables, singles */
	union {
		struct list_link link;	/* listed: machine.  FRAME_SLAB: slabs.lock, its class's */
		struct {		/* FRAME_TABLE */
			uint32_t live;	/* table: entries that are not absent */
			uint32_t marks; /* table: markers among them */
			uint32_t level; /* of its entries */
			bool locked;	/* table: for assertions */
		} table;
		struct {	       /* FRAME_NODE: its object's lock */
			uint32_t live; /* slots that are not empty */
		} node;
	};
	union {
		struct {		 /* FRAME_SLAB: slabs.lock */
			void *free;	 /* first object that was given back, or NULL */
			uint32_t size;	 /* bytes an object */
			uint16_t used;	 /* objects in use */
			uint16_t carved; /* objects that have ever been in use: the frame's first */
		} slab;
		struct { /* FRAME_ANON, FRAME_SHMEM, FRAME_FILE */
			/* atomic: the object in whose cache it is, or 0; an anonymous page's family */
			_Atomic uintptr_t owner;
			_Atomic uint64_t index; /* there, in pages; written before the owner */
			uint32_t seen;		/* the checker's: leaves met */
			/* written under swap.lock: in whose cache it is, or 0 */
			_Atomic uint32_t slot;
		} content;
	};
};
_Static_assert(sizeof(struct frame) == 64, "a frame descriptor is one cache line");

/*
 * Content in memory: frames that are mapped, held and moved as one, a *folio*.  It is the descriptor
 * of its first frame, its head.  One of its frames, where the bytes of a page are, is a *page*: known by
 * its hardware number, for a device's has no descriptor.  These are types of their own, because who is
 * held and where the bytes are are different questions.
 */
struct folio {
	struct frame head;
};
struct page {
	uint64_t number;
};

#define FRAME_ONE_MAPPING   ((uint64_t)1 << 36)
#define FRAME_ONE_PIN	    ((uint64_t)1 << 20)
#define FRAME_ONE_REFERENCE ((uint64_t)1)
#define FRAME_PINS_MAX	    0xff00u /* those who pin at once may go a little beyond */
#define FRAME_ORDERS	    27	    /* 2^26 frames: 256G */

/*
 * What the allocator keeps for one CPU: a few free frames, so that most allocations take a lock that
 * nobody else wants, and its share of what is counted.
 */
struct frame_cache {
	_Alignas(64) struct quire_lock lock; /* inside frames.lock */
	_Atomic uint32_t count;		     /* written under lock: frames in it */
	struct frame *singles;		     /* lock: the frames, chained */
	/* written under lock: asked for on this CPU so far, slab objects included */
	_Atomic uint64_t allocations;
	_Atomic uint64_t used[FRAME_KINDS]; /* atomic: by kind; not FREE, HELD, TAIL.  Only sums
					       over the CPUs mean anything. */
};

#define FRAME_CACHE_BATCH 16u /* frames that go between a cache and the rest at once */
#define FRAME_CACHE_LIMIT (2 * FRAME_CACHE_BATCH)

/*
 * The allocator's part of the machine.  How it works stands in frame.c.  What every fault reads,
 * and what changes under the lock, keep to cache lines of their own.
 */
struct frames {
	struct frame *descriptors;  /* [count]; constant */
	char *memory;		    /* the direct map, of frame 0 of this machine; constant */
	uint64_t first;		    /* hardware number of frame 0; constant */
	uint64_t count;		    /* constant */
	struct frame_cache *caches; /* [machine->cpus]; constant */
	/* fail_nth: how many allocations from now the one is that must fail; 0 or less: none.  Read by
	 * all, but seldom written. */
	_Atomic int64_t fail_in;
	_Atomic uint32_t failed; /* the failure asked for has happened */
	_Atomic uint32_t wanted; /* ... and nobody has been told that it was no lack of frames */

	_Alignas(64) struct quire_lock lock;
	uint64_t free; /* lock: frames free, those in caches aside */
	struct frame
		*singles;  /* lock: free frames that are in no list of blocks, and in no cache */
	uint64_t reported; /* lock: how many allocations fail_nth has told of */
	struct list_link blocks[FRAME_ORDERS]; /* lock: the other free blocks, by order */
};

struct quire_machine;

/*
 * Sets up the allocator over the `count` frames at `memory`, of which the first `reserved` are
 * taken already; `descriptors` and frames.caches are zero.  Takes time by the number of orders, not of frames.
 */
void frames_init(struct quire_machine *machine, struct frame *descriptors, void *memory,
		 uint64_t first, uint64_t count, uint64_t reserved);

/*
 * One block of 2^order frames, aligned to its size by hardware number; NULL when none is free (or a
 * failure was asked for).  Never reclaims.  Takes the lock of a cache, and may take frames.lock.
 * => kind FRAME_HELD, order, holders 0, flags 0, next NULL; the rest of the descriptor and the
 *    frames' contents undefined
 */
struct frame *frame_alloc(struct quire_machine *machine, unsigned order);
/* Like frame_alloc(machine, 0), with the frame's bytes zeroed outside the lock. */
struct frame *frame_alloc_zeroed(struct quire_machine *machine);
/*
 * Like frame_alloc(machine, 0), but not an allocation in the sense of fail_nth.  For the slab,
 * which counts objects.
 */
struct frame *frame_alloc_uncounted(struct quire_machine *machine);
/* Gives a block back, of whatever kind.  holders must be 0. */
void frame_free(struct quire_machine *machine, struct frame *frame);
/* Gives back a chain of blocks linked by `next`, under one lock; NULL is fine. */
void frame_free_chain(struct quire_machine *machine, struct frame *chain);

/* Counts an attempt to allocate something else, and tells whether it must fail. */
bool frames_must_fail(struct quire_machine *machine);
/* The same for calls of the port, which more frames would not help. */
bool frames_port_fails(struct quire_machine *machine);

/* Sums over the CPUs, exact while no other operation runs: frames that are free; frames used for
 * `kind`; allocations asked for so far. */
uint64_t frames_free(struct quire_machine *machine);
uint64_t frames_used(const struct quire_machine *machine, enum frame_kind kind);
uint64_t frames_allocations(const struct quire_machine *machine);

/*
 * Says what a block that the caller alone has is used for: from FRAME_HELD to a use, or back.  No
 * lock.
 */
void frame_set_kind(struct quire_machine *machine, struct frame *frame, enum frame_kind kind);

/*
 * Whether the free blocks are in order, apart, in the right lists, joined where they can be, and as
 * many as are counted.  For tests and the checker.  Visits every free block, takes the lock.
 */
bool frames_valid(struct quire_machine *machine);

/* frame_at(), frame_exists(), frame_number() and frame_memory() are in frame/machine.h. */

static inline uint32_t folio_mappings(const struct folio *folio)
{
	return (uint32_t)(atomic_load_explicit(&folio->head.holders, memory_order_relaxed) >> 36);
}
static inline uint32_t folio_pins(const struct folio *folio)
{
	return (uint32_t)(atomic_load_explicit(&folio->head.holders, memory_order_relaxed) >> 20) &
	       0xffff;
}
static inline uint32_t folio_references(const struct folio *folio)
{
	return (uint32_t)atomic_load_explicit(&folio->head.holders, memory_order_relaxed) & 0xfffff;
}
/* Takes `what` (FRAME_ONE_MAPPING, _PIN or _REFERENCE, or a sum of such). */
static inline void folio_hold(struct folio *folio, uint64_t what)
{
	atomic_fetch_add_explicit(&folio->head.holders, what, memory_order_relaxed);
}
/*
 * Exchanges one kind of holding for another at once, such as a mapping for a reference; never to 0.
 */
static inline void folio_exchange(struct folio *folio, uint64_t give, uint64_t take)
{
	atomic_fetch_add_explicit(&folio->head.holders, take - give, memory_order_acq_rel);
}
static inline bool folio_has(const struct folio *folio, enum frame_flag flag)
{
	return (atomic_load_explicit(&folio->head.flags, memory_order_relaxed) & flag) != 0;
}
static inline void folio_mark(struct folio *folio, enum frame_flag flag)
{
	atomic_fetch_or_explicit(&folio->head.flags, (uint32_t)flag, memory_order_relaxed);
}
static inline void folio_unmark(struct folio *folio, enum frame_flag flag)
{
	atomic_fetch_and_explicit(&folio->head.flags, ~(uint32_t)flag, memory_order_relaxed);
}
static inline uint64_t folio_index(const struct folio *folio)
{
	return atomic_load_explicit(&folio->head.content.index, memory_order_relaxed);
}
/* Whether so many leaves, the caller's, are all that maps it; all that holds it, by whatever means. */
static inline bool folio_mapped_by(const struct folio *folio, uint32_t leaves)
{
	return folio_mappings(folio) == leaves;
}
static inline bool folio_held_by(const struct folio *folio, uint32_t leaves)
{
	return atomic_load_explicit(&folio->head.holders, memory_order_acquire) ==
	       leaves * FRAME_ONE_MAPPING;
}
/* The slot in whose cache it is, or 0; it stays so under swap.lock only. */
static inline uint32_t folio_slot(const struct folio *folio)
{
	return atomic_load_explicit(&folio->head.content.slot, memory_order_relaxed);
}
static inline void folio_set_slot(struct folio *folio, uint64_t slot)
{
	atomic_store_explicit(&folio->head.content.slot, (uint32_t)slot, memory_order_relaxed);
}
/* In whose cache it is, or 0; of an anonymous page, its family. */
static inline uintptr_t folio_owner(const struct folio *folio)
{
	return atomic_load_explicit(&folio->head.content.owner, memory_order_acquire);
}
/* Whose page it is from now on. */
static inline void folio_set_owner(struct folio *folio, const void *owner, uint64_t index)
{
	atomic_store_explicit(&folio->head.content.index, index, memory_order_relaxed);
	atomic_store_explicit(&folio->head.content.owner, (uintptr_t)owner, memory_order_release);
}
/* Whether it is a page of a page cache, or was until it was removed there. */
static inline bool folio_of_object(const struct folio *folio)
{
	return folio->head.kind == FRAME_SHMEM || folio->head.kind == FRAME_FILE;
}
/* Drops `what`; true when that was the last and the caller must free the frame. */
static inline bool folio_drop(struct folio *folio, uint64_t what)
{
	return atomic_fetch_sub_explicit(&folio->head.holders, what, memory_order_acq_rel) == what;
}

#endif
