/* SPDX-License-Identifier: MIT */
/*
 * One page fault on its way through fault.c and, where an object is mapped, fault_object.c.
 */
#ifndef QUIRE_SPACE_FAULT_H
#define QUIRE_SPACE_FAULT_H

#include "space/hooks.h"

struct fault {
	struct quire_space *space;
	uint64_t address, page;
	enum quire_access access;
	unsigned how; /* FAULT_* */

	struct vma *vma;
	struct table_snapshot seen;
	bool dormant; /* a marker that protects nothing is to go, and the fault to be handled again */
	struct quire_fault_result result;

	/*
	 * What must be done with no lock held before the fault is handled again: made of page
	 * `index` of `object`, which the fault is a user of then.
	 */
	struct quire_object *object; /* NULL: nothing */
	struct quire_object *former; /* what it was before, to be put without a lock */
	uint64_t index;
	enum fault_errand {
		ERRAND_MAKE,	  /* it is to be read; `made` has a reference to it then */
		ERRAND_SWAP_IN,	  /* the same for one in swap, if it still is there */
		ERRAND_WRITABLE,  /* the object is to be asked whether it may be written to */
		ERRAND_READ_SLOT, /* the swap slot is to be read */
		ERRAND_MIGRATION, /* the page is to arrive at its new frame */
		ERRAND_REMOVAL,	  /* the pages are to have left the object */
		ERRAND_MAP,	  /* the device is to answer, in `answer` */
	} errand;
	uint64_t slot;	/* with one count, or 0 */
	bool slot_read; /* it was in no cache */
	struct folio
		*read; /* what was read from it, and is in no cache; with a reference, or NULL */
	struct folio *made;
	bool may_write; /* as long as the object's generation is this */
	uint64_t generation;
	struct device_answer answer;
};

/* Internal: the fault is to run its errand and begin again. */
#define FAULT_ERRAND 4097

static inline bool fault_writes(const struct fault *fault)
{
	return fault->access == QUIRE_WRITE || fault->access == QUIRE_SHADOW_STACK;
}
static inline void fault_signal(struct fault *fault, enum quire_outcome outcome, int code)
{
	fault->result = (struct quire_fault_result){.outcome = outcome, .code = code};
}
/* --- fault.c --- */

/* What comes to stand in the entry's place is protected as the entry was. */
bool fault_stays_protected(const struct fault *fault);

/*
 * Puts `leaf` in the place of what was seen; whoever came first, the access can be made again.  0
 * or -NO_FRAMES; leaf->frame is used up either way.
 */
int fault_install(struct fault *fault, const struct table_leaf *leaf);
/* The page is on its way to another frame: -FAULT_ERRAND. */
static inline int fault_await_migration(struct fault *fault)
{
	fault->errand = ERRAND_MIGRATION;
	return -FAULT_ERRAND;
}
/* A page of the VMA's own with the content of `source`, or zeros (NULL). */
int fault_map_own_page(struct fault *fault, const struct page *source);
/* The context hears of it; flags: QUIRE_UFFD_PAGEFAULT_FLAG_* other than WRITE.  0 or -NO_FRAMES. */
int fault_report(struct fault *fault, uint64_t flags);

/* --- fault_swap.c --- */

/* Where a swap entry stands.  0, -NO_FRAMES, -FAULT_ERRAND. */
int fault_on_swap(struct fault *fault);
/* Lets go of the slot, and of what was read from it. */
void fault_drop_slot(struct fault *fault);

/* --- fault_object.c --- */

/* Has this errand run for page `index` of the VMA's object: -FAULT_ERRAND. */
int fault_send(struct fault *fault, enum fault_errand errand, uint64_t index);
/* Where no leaf stands in a VMA that maps an object.  0, -NO_FRAMES, -FAULT_ERRAND. */
int fault_on_object(struct fault *fault);
/* A write to a page that a shared mapping may only read so far. */
int fault_write_shared(struct fault *fault);
/* The errands: 0, -NO_FRAMES, or what the object says. */
int fault_make_page(struct fault *fault, unsigned how);
int fault_ask_object(struct fault *fault);

/* --- fault_device.c --- */

/* The same where a device is mapped, for all but copies of its pages. */
int fault_on_device(struct fault *fault);
int fault_ask_device(struct fault *fault);

#endif
