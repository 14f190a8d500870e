/* SPDX-License-Identifier: MIT */
/*
 * Swap slots: places for pages outside of memory.
 *
 * A slot is counted: by the entries of tables and page caches that name it, and by whoever works on
 * it.  A page on its way out or in stands in the *swap cache*: all who meet the slot then find that
 * frame, and nobody reads the slot.  Until the page has been written out the frame is all there is of
 * it.  The page does not change while it stands there: entries that may write to it without a copy
 * take it out.  So a slot is written once, and never while somebody reads it.
 *
 *	count 0                     the slot is free
 *	count n, written, no frame  the page is in the slot
 *	count n, written, a frame   the page is in both; the cache holds one reference to the frame
 *	count n, a frame            the page is in the frame alone
 *	count n, neither            an entry has taken the page out for its own: no other names the slot
 *
 * Slots are numbered from 1; 0 is none.  Lock: machine->swap.lock, short, taken under all but
 * frames.lock.  Who has a count may take another one without it.
 */
#ifndef QUIRE_FRAME_SWAP_H
#define QUIRE_FRAME_SWAP_H

#include "frame/frame.h"

struct swap {
	struct quire_lock lock;
	struct frame *block; /* lock: where the words are; NULL: no swap */
	uint64_t slots;	     /* lock: in all */
	uint64_t carved;     /* lock: that have ever been in use: the first ones */
	uint64_t free;	     /* lock: the first of the others that are free again, or 0 */
	uint64_t used;	     /* lock */
	bool closing;	     /* lock: no more are given out */
};

struct quire_machine;

/* A slot with count 1, the caller's; 0: there is none. */
uint64_t swap_alloc(struct quire_machine *machine);
/* One count more; one fewer.  With the last one the slot is free, and its cache empty. */
void swap_hold(struct quire_machine *machine, uint64_t slot);
void swap_drop(struct quire_machine *machine, uint64_t slot);
bool swap_has_room(struct quire_machine *machine);
/* For reports.  A slot that the caller has no count of may be free, and swap itself may be off by
 * now: then 0, and false. */
uint64_t swap_count(struct quire_machine *machine, uint64_t slot);
bool swap_in_core(struct quire_machine *machine, uint64_t slot);
/*
 * The frame in the slot's cache, with a reference for the caller, or NULL.  *alone: whether no entry
 * maps it, and none names the slot but that of the caller, who has a count beside it.  Others drop
 * their count after they have mapped the frame; so both are looked at under one lock.
 */
struct folio *swap_cached(struct quire_machine *machine, uint64_t slot, bool *alone);
/* Puts the frame in, if none is there, and it is in no other slot's; whether it did.  Its content
 * counts from then on (FRAME_KEEP). */
bool swap_cache(struct quire_machine *machine, uint64_t slot, struct folio *folio);
/*
 * The page of a slot, of which the caller has a count, to and from the host: 0, or what that says.
 * What has been written is not written again.  Reading is a place that can be made to fail.
 */
int swap_write_slot(struct quire_machine *machine, uint64_t slot, const void *memory);
int swap_read_slot(struct quire_machine *machine, uint64_t slot, void *memory);
/*
 * Reads the slot, of which the caller has a count, into its cache; or, unless `own` is NULL, if no
 * entry but the caller's names the slot, into *own, with a reference.  Nothing is read where a frame
 * is in the cache, or where an entry has taken it out: the caller looks again what stands in its own
 * entry.  0, -NO_FRAMES, or what the host says.
 */
int swap_read(struct quire_machine *machine, uint64_t slot, struct folio **own);
/* Whether the page is in the slot alone, which one entry names, and the caller has a count beside. */
bool swap_sole(struct quire_machine *machine, uint64_t slot);
/*
 * For pages on their way out, which the caller has references to.  A slot for each, in whose cache it
 * is or is put, with a count for the caller; none (0) where there is none, and where none is wanted.
 * Then, in place of swap_drop(): takes the frames out whose slot was written and which only the caller
 * and the cache hold; how many those are.
 */
#define SWAP_UNWANTED UINT32_MAX
void swap_take_slots(struct quire_machine *machine, struct folio *const *folios, uint32_t *slots,
		     unsigned count);
unsigned swap_drop_slots(struct quire_machine *machine, struct folio *const *folios,
			 const uint32_t *slots, unsigned count);

/*
 * swap_drop() for an entry that has the page now.  `frame`, unless NULL, is taken out of the cache, for
 * the page is that entry's own again and may change; what others who work on the slot have read from
 * it, or still write to it, nobody will ask for.
 */
void swap_leave(struct quire_machine *machine, uint64_t slot, struct folio *folio);

/* Gives the words back, as the machine ends; or if no slot is in use: whether that is so. */
void swap_end(struct quire_machine *machine);
bool swap_end_unused(struct quire_machine *machine);

/* For the checker: whether the slots that are not in use are chained; how many frames count the
 * slots. */
bool swap_valid(struct quire_machine *machine);
uint64_t swap_frames(const struct quire_machine *machine);

/* Calls `visit` with each slot in use, its count and its frame or NULL.  For the checker. */
void swap_each(struct quire_machine *machine,
	       void (*visit)(void *context, uint64_t slot, uint64_t count, struct folio *folio),
	       void *context);

#endif
