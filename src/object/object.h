/* SPDX-License-Identifier: MIT */
/*
 * Memory objects and their page cache, as the files above see them.
 *
 * A page of the cache is a frame that the cache holds one reference to.  It knows its object and
 * its index (frame->folio), as long as it is in the cache: whoever removes it clears the owner
 * first.  So one who holds a frame can tell, under the lock that removal takes last, whether it is
 * still what the object has at that place.
 *
 * Locks: `lock` = object->lock, short, taken under a space's lock or a table's, before frames.lock; `rmap` =
 * object->rmap.lock, short.
 */
#ifndef QUIRE_OBJECT_OBJECT_H
#define QUIRE_OBJECT_OBJECT_H

#include "table/table.h"
#include <quire/device.h>
#include <quire/object.h>

struct quire_object {
	struct quire_machine *machine; /* constant, as are the next four */
	const struct quire_object_operations *operations;
	void *context;
	const struct quire_device_operations
		*device;      /* of device memory, which has no pages; or NULL */
	enum frame_kind kind; /* of its pages: FRAME_SHMEM, or FRAME_FILE */
	bool anonymous; /* constant once mapped: made for one mmap(), nobody else can name it */
	_Atomic uint64_t users; /* atomic */

	/* One change of its size or content after the other (change.c).  Taken with no lock held. */
	struct quire_rwlock changing;

	struct quire_lock lock;
	uint64_t size;	    /* lock: bytes */
	struct frame *root; /* lock: the cache's tree, or NULL: see cache.c */
	unsigned height;    /* lock: levels of nodes */
	struct frame
		*emptied; /* lock: nodes that hold nothing any more; they go when it is let go */
	uint64_t pages;	  /* lock: in the cache */
	uint64_t swapped; /* lock: pages in swap */
	uint64_t leaving_first,
		leaving_end;	   /* lock: pages that are being cut off, or a hole; or none */
	struct list_link link;	   /* machine->objects_lock */
	struct quire_object *next; /* the lock of the space that is to end it: its `orphans` */

	struct rmap rmap; /* the VMAs that map it */
	/* atomic: someone listens for what is written (src/space/strict.c) */
	_Atomic uint32_t watched;
	/* atomic: how often what was asked of the object without a lock has become untrue: who was to
	 * hear of a write (strict.c), or where a device has its pages (device.c) */
	_Atomic uint64_t generation;
};

static inline void object_lock(struct quire_object *object)
{
	machine_lock(object->machine, &object->lock);
}
static inline void object_unlock(struct quire_object *object)
{
	struct frame *emptied = object->emptied;

	object->emptied = NULL;
	machine_unlock(object->machine, &object->lock);
	if (emptied)
		frame_free_chain(object->machine, emptied);
}

/* Until the change that is being made is over; no lock is held. */
static inline void object_await_change(struct quire_object *object)
{
	quire_port_read_lock(object->machine->host, &object->changing);
	quire_port_read_unlock(object->machine->host, &object->changing);
}

/* quire_object_put() in two steps: one user fewer, and whether that was the last; then it ends, which
 * takes O(pages), with no lock held. */
bool object_unget(struct quire_object *object);
void object_end(struct quire_object *object);
/* One more user, unless the object has none any more. */
bool object_try_get(struct quire_object *object);

/* --- cache.c; object->lock is held --- */

/* What the cache has at an index: a page, the swap slot where it is, or nothing (0). */
typedef uintptr_t cache_entry;

static inline cache_entry cache_entry_of(struct folio *folio)
{
	return (uintptr_t)folio;
}
static inline cache_entry cache_entry_of_slot(uint64_t slot)
{
	return (uintptr_t)slot << 1 | 1;
}
static inline struct folio *cache_page(cache_entry entry)
{
	return entry & 1 ? NULL : (struct folio *)entry;
}
static inline uint64_t cache_slot(cache_entry entry)
{
	return entry & 1 ? entry >> 1 : 0;
}

cache_entry cache_find(const struct quire_object *object, uint64_t index);
/* The same for `count` of them. */
void cache_find_range(const struct quire_object *object, uint64_t index, unsigned count,
		      cache_entry *entries);
/* The first entry from *index on, and before `end`; *index: where.  0: none. */
cache_entry cache_next(const struct quire_object *object, uint64_t *index, uint64_t end);
/* Puts in a page where there is nothing; takes over one reference.  0 or -NO_FRAMES. */
int cache_insert(struct quire_object *object, uint64_t index, struct folio *folio);
/* Puts `entry` in the place of what is there, whose reference or count becomes the caller's. */
void cache_replace(struct quire_object *object, uint64_t index, cache_entry entry);

/* Whether the nodes count their slots, and none is empty; adds how many there are.  For the checker. */
bool cache_valid(const struct quire_object *object, uint64_t *nodes);

/* --- page.c --- */

enum object_page {
	PAGE_FOUND,   /* *folio, with a reference */
	PAGE_ABSENT,  /* it would have to be made */
	PAGE_SWAPPED, /* it would have to be read from swap */
	PAGE_BEYOND,  /* the object ends before it */
};
/* What there is at `index`.  Takes the lock. */
enum object_page object_find_page(struct quire_object *object, uint64_t index,
				  struct folio **folio);
/*
 * The same for a fault or CONTINUE: false where the page is being removed, for which they wait.  Its mappings
 * have let go of it, and the cache has it for a moment more, which is neither the one state nor the other.
 */
bool object_find_lasting(struct quire_object *object, uint64_t index, enum object_page *answer,
			 struct folio **folio);
/* Says that pages [first, end) are being removed; empty: that it is over.  `changing` is held. */
void object_set_leaving(struct quire_object *object, uint64_t first, uint64_t end);
/* Whether that can be used without reading anything. */
bool object_in_core(struct quire_object *object, uint64_t index);
/* The next slots from *index on, before `end`, at most `room` and each with a count; moves *index on.
 * Returns how many. */
unsigned object_hold_slots(struct quire_object *object, uint64_t *index, uint64_t end,
			   uint64_t *slots, unsigned room);
/* Of `count` pages from `index` on those in the cache, each with a reference; NULL for others. */
#define OBJECT_FIND_MAX 16
void object_find_pages(struct quire_object *object, uint64_t index, unsigned count,
		       struct folio **folios);
/*
 * object_find_page(), making the page if it is absent, or in swap: *folio, with a reference.
 *   BEYOND  also behind the object's end
 *   AWAKE   the caller must not sleep, and may hold locks: where the page is in swap, or
 *           object_sleeps(), -WOULD_SLEEP.  Without this no lock is held.
 *   UNUSED  a page that is made is FRAME_UNUSED
 *   SWAPPED what is in swap, and nothing else: where a hole has come to be meanwhile, *folio is NULL
 * 0; or -NO_FRAMES, -QUIRE_EFBIG: the object ends before it, or what read_page says: *folio is NULL
 */
#define MAKE_BEYOND  1u
#define MAKE_AWAKE   2u
#define MAKE_UNUSED  4u
#define MAKE_SWAPPED 8u
#define WOULD_SLEEP  4101
int object_make_page(struct quire_object *object, uint64_t index, unsigned how,
		     struct folio **folio);
/*
 * Puts a page that the caller has made (zero holders, FRAME_HELD) where none is: 0, with a reference
 * for the caller; -NO_FRAMES, -QUIRE_EEXIST, -QUIRE_EFBIG: the page is untouched.
 */
int object_add_page(struct quire_object *object, uint64_t index, struct folio *folio);
/*
 * Puts `entry`, a swap slot or nothing, in the place of a page that only the caller and the cache
 * hold and that was not written to; the cache's reference goes, a slot's count is taken over.
 */
bool object_replace_page(struct quire_object *object, uint64_t index, struct folio *folio,
			 cache_entry entry);
/*
 * Migration: from now on nobody maps the page anew (FRAME_MIGRATING).  Then: puts `to` (zero holders,
 * FRAME_HELD), with the same content, in the place of `from`, which the caller and the cache alone
 * refer to, entries aside: *to* has one reference for the caller.  Whether it did.
 */
void object_begin_migration(struct quire_object *object, struct folio *folio);
bool object_migrate_page(struct quire_object *object, uint64_t index, struct folio *from,
			 struct folio *to);
/* The level of every leaf of a device whose leaves cannot be cut; 0: any may stand there. */
static inline unsigned device_page_level(const struct quire_object *object)
{
	return object->device && object->device->kind == QUIRE_DEVICE_DAX ? object->device->level
									  : 0;
}
static inline bool device_fsdax(const struct quire_object *object)
{
	return object->device && object->device->kind == QUIRE_DEVICE_FSDAX;
}
/* Whether it is read and written, as well as mapped. */
static inline bool object_has_bytes(const struct quire_object *object)
{
	return !object->device || device_fsdax(object);
}
/* Whether making a page that is absent may sleep. */
static inline bool object_sleeps(const struct quire_object *object)
{
	return object->operations->read_page;
}
static inline bool object_watched(const struct quire_object *object)
{
	return atomic_load_explicit(&object->watched, memory_order_acquire);
}
/* Whether its pages become writable by faults only. */
static inline bool object_asks(const struct quire_object *object)
{
	return object->operations->make_writable || device_fsdax(object) || object_watched(object);
}
/*
 * Pages [first, end) have other content now: src/space/strict.c, which lies above, tells who must
 * hear of it.  0 or -QUIRE_ENOMEM.  No lock held.
 */
int object_changed(struct quire_object *object, uint64_t first, uint64_t end);
/* 0; -QUIRE_EINVAL, -QUIRE_EFBIG: it is no range of an object; -QUIRE_ENODEV: it has no bytes;
 * -QUIRE_EACCES: nobody may change it. */
int object_check_span(const struct quire_object *object, uint64_t offset, uint64_t length);
/* Takes the pages of [start, end), in pages, out of the cache: all, or those that nobody has used. */
void object_drop_pages(struct quire_object *object, uint64_t start, uint64_t end, bool unused);

/* --- device.c --- */

#define DEVICE_LEVEL_MAX 2 /* of leaves */

/* A question to a device, and what it says. */
struct device_answer {
	uint64_t index; /* of a page */
	unsigned level; /* of the leaf, at most */
	bool write;	/* it is about to be written to */
	uint64_t generation;
	struct quire_device_leaf leaf;
};
/* No lock held.  0, -QUIRE_EIO where it answers nonsense, or what it says; the log has heard of that. */
int device_ask(struct quire_object *object, struct device_answer *answer);
/* Whether it still is as the device said, with a space's lock or object->changing held. */
static inline bool device_answer_true(const struct quire_object *object,
				      const struct device_answer *answer)
{
	return QUIRE_MISTAKE(DEVICE_TRUSTS_ANSWER) ||
	       answer->generation ==
		       atomic_load_explicit(&object->generation, memory_order_acquire);
}
/* The page, while that is true. */
static inline struct page device_answer_page(const struct device_answer *answer)
{
	uint64_t pages = table_span(answer->leaf.level) >> PAGE_SHIFT;

	return (struct page){answer->leaf.frame + (answer->index & (pages - 1))};
}
/* FSDAX: bytes of one page; space for all pages of [start, end), which the object holds then.  0, or
 * what the device says. */
int device_read(struct quire_object *object, uint64_t offset, void *buffer, size_t bytes);
int device_write(struct quire_object *object, uint64_t offset, const void *buffer, size_t bytes);
int device_allocate(struct quire_object *object, uint64_t start, uint64_t end);

/* --- change.c --- */

/* object_make_page() with reclaim: -QUIRE_ENOMEM for -NO_FRAMES. */
int object_bring_in(struct quire_object *object, uint64_t index, unsigned how,
		    struct folio **folio);

/*
 * A change of the object; what it is of is embedded in what it needs to know.  make() is called with
 * object->changing held and does not sleep.  0, an error, or -WOULD_SLEEP or -NO_FRAMES as of
 * change_page(): it is called again when the page is there, and goes on, or begins again.
 */
struct object_change {
	struct quire_object *object;
	int (*make)(struct object_change *change);
	unsigned how; /* pages are made: MAKE_* */

	uint64_t index;	       /* of the page that it must wait for */
	unsigned bring;	       /* and how that is made: MAKE_* */
	struct folio *held[2]; /* pages that were brought in for it last */
};
/* Makes the change.  No lock held.  0, what make() says, or what keeps a page from being brought in. */
int object_change(struct object_change *change);
/* The page at `index`, made if need be: *folio, with a reference. */
int change_page(struct object_change *change, uint64_t index, struct folio **folio);
/* The page that `offset` lies in the middle of; NULL where it does not, or there is nothing but
 * zeros. */
int change_edge(struct object_change *change, uint64_t offset, struct folio **folio);

#endif
