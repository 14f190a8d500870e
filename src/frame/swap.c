/* SPDX-License-Identifier: MIT */
/*
 * Swap slots: see swap.h.
 *
 * A slot is a word in one block of frames:
 *
 *	in use   count in bits 0..23, index of the cached frame + 1 in bits 24..61, written in bit 62
 *	free     bit 63, and the next free slot
 */
#include "frame/machine.h"
#include <quire/swap.h>

#define COUNT_BITS 24
#define COUNT_MASK (((uint64_t)1 << COUNT_BITS) - 1)
#define FREE_WORD  ((uint64_t)1 << 63)
#define WRITTEN	   ((uint64_t)1 << 62)
#define FRAME_MASK (WRITTEN - 1 - COUNT_MASK)

static void lock(struct quire_machine *machine)
{
	machine_lock(machine, &machine->swap.lock);
}

static void unlock(struct quire_machine *machine)
{
	machine_unlock(machine, &machine->swap.lock);
}

/* The slot is in use, or the lock is held. */
static _Atomic uint64_t *word_of(struct quire_machine *machine, uint64_t slot)
{
	return (_Atomic uint64_t *)frame_memory(machine, machine->swap.block) + slot - 1;
}

static uint64_t load_word(struct quire_machine *machine, uint64_t slot)
{
	return atomic_load_explicit(word_of(machine, slot), memory_order_acquire);
}

static bool slot_exists(const struct quire_machine *machine, uint64_t slot)
{
	return slot && slot <= machine->swap.carved;
}

/* The word of a slot that may be gone, as one that is free. */
static uint64_t peek(struct quire_machine *machine, uint64_t slot)
{
	uint64_t word;

	lock(machine);
	word = slot_exists(machine, slot) || QUIRE_MISTAKE(REPORT_ASKS_GONE_SLOT)
		       ? load_word(machine, slot)
		       : FREE_WORD;
	unlock(machine);
	return word;
}

static struct folio *word_frame(struct quire_machine *machine, uint64_t word)
{
	uint64_t index = word & FREE_WORD ? 0 : (word & FRAME_MASK) >> COUNT_BITS;

	return index ? frame_folio(&machine->frames.descriptors[index - 1]) : NULL;
}

static bool in_use(uint64_t word)
{
	return (word & COUNT_MASK) && !(word & FREE_WORD);
}

/* --- under the lock --- */

static bool has_room(const struct swap *swap)
{
	return swap->block && !swap->closing && swap->used < swap->slots;
}

static uint64_t take_slot(struct quire_machine *machine)
{
	struct swap *swap = &machine->swap;
	uint64_t slot = swap->free;

	if (!has_room(swap))
		return 0;
	if (slot)
		swap->free = load_word(machine, slot) & ~FREE_WORD;
	else
		slot = ++swap->carved;
	atomic_store_explicit(word_of(machine, slot), 1, memory_order_relaxed);
	swap->used++;
	return slot;
}

static void put_in(struct quire_machine *machine, uint64_t slot, struct folio *folio)
{
	uint64_t bits = ((uint64_t)(&folio->head - machine->frames.descriptors) + 1) << COUNT_BITS;

	atomic_fetch_or_explicit(word_of(machine, slot), bits, memory_order_acq_rel);
	folio_set_slot(folio, slot);
	folio_mark(folio, FRAME_KEEP);
	folio_hold(folio, FRAME_ONE_REFERENCE);
}

/* The cache's reference to the frame becomes the caller's. */
static void take_from(struct quire_machine *machine, uint64_t slot, struct folio *folio)
{
	atomic_fetch_and_explicit(word_of(machine, slot), ~FRAME_MASK, memory_order_acq_rel);
	folio_set_slot(folio, 0);
}

/* One count fewer; the frame that was in the cache, if that was the last one. */
static struct folio *drop(struct quire_machine *machine, uint64_t slot)
{
	struct swap *swap = &machine->swap;
	uint64_t word = atomic_fetch_sub_explicit(word_of(machine, slot), 1, memory_order_acq_rel);
	struct folio *folio = NULL;

	quire_assert(in_use(word));
	if ((word & COUNT_MASK) > 1)
		return NULL;
	folio = word_frame(machine, word);
	if (folio)
		folio_set_slot(folio, 0);
	/* The host may forget the content; only then the slot can be given out again. */
	quire_port_swap_free(machine->host, slot);
	atomic_store_explicit(word_of(machine, slot), FREE_WORD | swap->free, memory_order_relaxed);
	swap->free = slot;
	swap->used--;
	return folio;
}

/* --- counts --- */

uint64_t swap_alloc(struct quire_machine *machine)
{
	uint64_t slot;

	lock(machine);
	slot = take_slot(machine);
	unlock(machine);
	return slot;
}

bool swap_has_room(struct quire_machine *machine)
{
	bool room;

	lock(machine);
	room = has_room(&machine->swap);
	unlock(machine);
	return room;
}

void swap_hold(struct quire_machine *machine, uint64_t slot)
{
	uint64_t word = atomic_fetch_add_explicit(word_of(machine, slot), 1, memory_order_acq_rel);

	quire_assert(in_use(word));
	(void)word;
}

void swap_drop(struct quire_machine *machine, uint64_t slot)
{
	swap_leave(machine, slot, NULL);
}

uint64_t swap_count(struct quire_machine *machine, uint64_t slot)
{
	uint64_t word = peek(machine, slot);

	return word & FREE_WORD ? 0 : word & COUNT_MASK;
}

/* --- the cache --- */

bool swap_in_core(struct quire_machine *machine, uint64_t slot)
{
	return word_frame(machine, peek(machine, slot)) != NULL;
}

struct folio *swap_cached(struct quire_machine *machine, uint64_t slot, bool *alone)
{
	struct folio *folio = word_frame(machine, load_word(machine, slot));
	bool mapped = QUIRE_MISTAKE(ALONE_IN_TWO_STEPS) && folio && folio_mappings(folio);

	if (!folio)
		return NULL;
	lock(machine);
	folio = word_frame(machine, load_word(machine, slot));
	if (folio) {
		if (!QUIRE_MISTAKE(ALONE_IN_TWO_STEPS))
			mapped = folio_mappings(folio);
		*alone = !mapped && (load_word(machine, slot) & COUNT_MASK) == 2;
		folio_hold(folio, FRAME_ONE_REFERENCE);
	}
	unlock(machine);
	return folio;
}

bool swap_cache(struct quire_machine *machine, uint64_t slot, struct folio *folio)
{
	bool empty;

	lock(machine);
	empty = !word_frame(machine, load_word(machine, slot)) && !folio_slot(folio);
	if (empty)
		put_in(machine, slot, folio);
	unlock(machine);
	if (empty)
		machine_note_evictable(machine);
	return empty;
}

/* Drops a count that is not the last one of a slot with nothing in its cache. */
static bool drop_bare(struct quire_machine *machine, uint64_t slot)
{
	_Atomic uint64_t *place = word_of(machine, slot);
	uint64_t word = atomic_load_explicit(place, memory_order_relaxed);

	while (!(word & FRAME_MASK) && (word & COUNT_MASK) > 1)
		if (atomic_compare_exchange_weak_explicit(
			    place, &word, word - 1, memory_order_acq_rel, memory_order_relaxed))
			return true;
	return false;
}

void swap_leave(struct quire_machine *machine, uint64_t slot, struct folio *folio)
{
	struct folio *last;
	bool taken;

	if (drop_bare(machine, slot))
		return;
	lock(machine);
	taken = folio && word_frame(machine, load_word(machine, slot)) == folio;
	if (taken)
		take_from(machine, slot, folio);
	last = drop(machine, slot);
	unlock(machine);
	if (taken)
		folio_put(machine, folio);
	if (last)
		folio_put(machine, last);
}

/* --- content --- */

int swap_write_slot(struct quire_machine *machine, uint64_t slot, const void *memory)
{
	int error;

	if (load_word(machine, slot) & WRITTEN)
		return 0;
	error = quire_port_swap_write(machine->host, slot, memory);
	if (error)
		return error;
	atomic_fetch_or_explicit(word_of(machine, slot), WRITTEN, memory_order_release);
	machine_bump(machine, COUNT_SWAP_OUTS);
	return 0;
}

int swap_read_slot(struct quire_machine *machine, uint64_t slot, void *memory)
{
	int error = frames_port_fails(machine) ? -QUIRE_EIO
					       : quire_port_swap_read(machine->host, slot, memory);

	if (!error)
		machine_bump(machine, COUNT_SWAP_INS);
	return error;
}

/* Whether the page is in the slot alone. */
static bool must_read(struct quire_machine *machine, uint64_t slot)
{
	uint64_t word = load_word(machine, slot);

	return !word_frame(machine, word) && (word & WRITTEN || QUIRE_MISTAKE(READ_BEFORE_WRITE));
}

bool swap_sole(struct quire_machine *machine, uint64_t slot)
{
	return (load_word(machine, slot) & ~WRITTEN) == 2;
}

int swap_read(struct quire_machine *machine, uint64_t slot, struct folio **own)
{
	struct folio *folio;
	int error;

	if (!must_read(machine, slot))
		return 0;
	folio = folio_alloc(machine, 0);
	if (!folio)
		return -NO_FRAMES;
	error = swap_read_slot(machine, slot, folio_memory(machine, folio));
	if (error) {
		folio_free(machine, folio);
		/* Another reader may have been luckier. */
		return must_read(machine, slot) ? error : 0;
	}
	folio_make_anon(machine, folio);
	folio_exchange(folio, FRAME_ONE_MAPPING, FRAME_ONE_REFERENCE);
	if (own && swap_sole(machine, slot)) {
		folio_mark(folio, FRAME_KEEP);
		*own = folio;
		return 0;
	}
	swap_cache(machine, slot, folio); /* unless another is there by now */
	folio_put(machine, folio);
	return 0;
}

/* --- pages on their way out --- */

void swap_take_slots(struct quire_machine *machine, struct folio *const *folios, uint32_t *slots,
		     unsigned count)
{
	lock(machine);
	for (unsigned i = 0; i < count; i++) {
		uint64_t slot = folio_slot(folios[i]);

		if (slots[i] == SWAP_UNWANTED)
			continue;
		if (slot) {
			swap_hold(machine, slot);
		} else {
			slot = take_slot(machine);
			if (slot)
				put_in(machine, slot, folios[i]);
		}
		slots[i] = (uint32_t)slot;
	}
	unlock(machine);
}

/* The lock is held. */
static bool leaves(struct quire_machine *machine, uint64_t slot, const struct folio *folio)
{
	uint64_t word = load_word(machine, slot);

	return word_frame(machine, word) == folio && word & WRITTEN &&
	       atomic_load_explicit(&folio->head.holders, memory_order_acquire) ==
		       2 * FRAME_ONE_REFERENCE;
}

unsigned swap_drop_slots(struct quire_machine *machine, struct folio *const *folios,
			 const uint32_t *slots, unsigned count)
{
	unsigned gone = 0;

	lock(machine);
	for (unsigned i = 0; i < count; i++) {
		bool left = false;

		if (slots[i] == SWAP_UNWANTED)
			continue;
		if (leaves(machine, slots[i], folios[i])) {
			take_from(machine, slots[i], folios[i]);
			left = true;
			gone++;
		}
		/* The caller has a reference, too. */
		if (drop(machine, slots[i]) || left)
			folio_exchange(folios[i], FRAME_ONE_REFERENCE, 0);
	}
	unlock(machine);
	return gone;
}

/* --- for the checker --- */

void swap_each(struct quire_machine *machine,
	       void (*visit)(void *context, uint64_t slot, uint64_t count, struct folio *folio),
	       void *context)
{
	for (uint64_t slot = 1; slot <= machine->swap.carved; slot++) {
		uint64_t word = load_word(machine, slot);

		if (!(word & FREE_WORD))
			visit(context, slot, word & COUNT_MASK, word_frame(machine, word));
	}
}

bool swap_valid(struct quire_machine *machine)
{
	const struct swap *swap = &machine->swap;
	uint64_t free = 0;

	for (uint64_t slot = swap->free; slot && free <= swap->carved; free++) {
		if (!slot_exists(machine, slot) || !(load_word(machine, slot) & FREE_WORD))
			return false;
		slot = load_word(machine, slot) & ~FREE_WORD;
	}
	return free + swap->used == swap->carved;
}

uint64_t swap_frames(const struct quire_machine *machine)
{
	const struct frame *block = machine->swap.block;

	return block ? (uint64_t)1 << block->order : 0;
}

/* Lock held.  All but the lock, which others may be waiting for. */
static void set_words(struct swap *swap, struct frame *block, uint64_t slots)
{
	swap->block = block;
	swap->slots = slots;
	swap->carved = 0;
	swap->free = 0;
	swap->used = 0;
	swap->closing = false;
	for (unsigned i = 0; QUIRE_MISTAKE(SWAP_COPIES_LOCK) && i < 100; i++)
		atomic_store(&swap->lock.word, atomic_load(&swap->lock.word));
}

static bool end(struct quire_machine *machine, bool unused)
{
	struct swap *swap = &machine->swap;
	struct frame *block;
	bool ends;

	lock(machine);
	block = swap->block;
	ends = !unused || !swap->used || QUIRE_MISTAKE(SWAPOFF_ENDS_NEXT_SWAP);
	if (ends)
		set_words(swap, NULL, 0);
	unlock(machine);
	if (ends && block)
		frame_free(machine, block);
	return ends;
}

void swap_end(struct quire_machine *machine)
{
	end(machine, false);
}

bool swap_end_unused(struct quire_machine *machine)
{
	return end(machine, true);
}

int quire_swapon(struct quire_machine *machine, uint64_t slots)
{
	uint64_t folios = page_up(slots * sizeof(uint64_t)) >> PAGE_SHIFT;
	struct frame *block;
	unsigned order = 0;
	int error = 0;

	if (QUIRE_PORT_TIER < 2)
		return -QUIRE_ENOSYS;
	if (slots == 0 || slots > UINT32_MAX)
		return -QUIRE_EINVAL;
	while ((uint64_t)1 << order < folios)
		order++;
	block = order < FRAME_ORDERS ? frame_alloc(machine, order) : NULL;
	if (!block)
		return -QUIRE_ENOMEM;
	lock(machine);
	if (machine->swap.block)
		error = -QUIRE_EBUSY;
	else
		set_words(&machine->swap, block, slots);
	unlock(machine);
	if (error)
		frame_free(machine, block);
	else
		frame_set_kind(machine, block, FRAME_SWAP);
	return error;
}
