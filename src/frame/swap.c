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

static uint64_t *word_of(struct quire_machine *machine, uint64_t slot)
{
	return (uint64_t *)frame_memory(machine, machine->swap.block) + slot - 1;
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
		       ? *word_of(machine, slot)
		       : FREE_WORD;
	unlock(machine);
	return word;
}

static struct frame *word_frame(struct quire_machine *machine, uint64_t word)
{
	uint64_t index = word & FREE_WORD ? 0 : (word & FRAME_MASK) >> COUNT_BITS;

	return index ? &machine->frames.descriptors[index - 1] : NULL;
}

static uint64_t frame_bits(struct quire_machine *machine, const struct frame *frame)
{
	return ((uint64_t)(frame - machine->frames.descriptors) + 1) << COUNT_BITS;
}

static bool in_use(uint64_t word)
{
	return (word & COUNT_MASK) && !(word & FREE_WORD);
}

uint64_t swap_alloc(struct quire_machine *machine)
{
	struct swap *swap = &machine->swap;
	uint64_t slot = 0;

	lock(machine);
	if (swap->block && !swap->closing) {
		if (swap->free) {
			slot = swap->free;
			swap->free = *word_of(machine, slot) & ~FREE_WORD;
		} else if (swap->carved < swap->slots) {
			slot = ++swap->carved;
		}
	}
	if (slot) {
		*word_of(machine, slot) = 1;
		swap->used++;
	}
	unlock(machine);
	return slot;
}

void swap_hold(struct quire_machine *machine, uint64_t slot)
{
	lock(machine);
	quire_assert(in_use(*word_of(machine, slot)));
	++*word_of(machine, slot);
	unlock(machine);
}

uint64_t swap_hold_of(struct quire_machine *machine, struct frame *frame)
{
	uint64_t slot;

	lock(machine);
	slot = frame_slot(frame);
	if (slot)
		++*word_of(machine, slot);
	unlock(machine);
	return slot;
}

/* The host may forget the content; only then the slot can be given out again. */
static void give_back(struct quire_machine *machine, uint64_t slot)
{
	quire_port_swap_free(machine->host, slot);
	lock(machine);
	*word_of(machine, slot) = FREE_WORD | machine->swap.free;
	machine->swap.free = slot;
	machine->swap.used--;
	unlock(machine);
}

void swap_drop(struct quire_machine *machine, uint64_t slot)
{
	struct frame *frame = NULL;
	uint64_t *word;
	bool last;

	lock(machine);
	word = word_of(machine, slot);
	quire_assert(in_use(*word));
	last = (--*word & COUNT_MASK) == 0;
	if (last) {
		frame = word_frame(machine, *word);
		*word = 0;
	}
	if (frame)
		frame_set_slot(frame, 0);
	unlock(machine);
	if (frame)
		frame_put(machine, frame);
	if (last)
		give_back(machine, slot);
}

uint64_t swap_count(struct quire_machine *machine, uint64_t slot)
{
	uint64_t word = peek(machine, slot);

	return word & FREE_WORD ? 0 : word & COUNT_MASK;
}

bool swap_in_core(struct quire_machine *machine, uint64_t slot)
{
	return word_frame(machine, peek(machine, slot)) != NULL;
}

struct frame *swap_cached(struct quire_machine *machine, uint64_t slot)
{
	struct frame *frame;

	lock(machine);
	frame = word_frame(machine, *word_of(machine, slot));
	if (frame)
		frame_hold(frame, FRAME_ONE_REFERENCE);
	unlock(machine);
	return frame;
}

bool swap_alone(struct quire_machine *machine, uint64_t slot, const struct frame *frame)
{
	bool mapped = frame_mappings(frame), alone;

	lock(machine);
	if (!QUIRE_MISTAKE(ALONE_IN_TWO_STEPS))
		mapped = frame_mappings(frame);
	alone = !mapped && (*word_of(machine, slot) & COUNT_MASK) == 2;
	unlock(machine);
	return alone;
}

bool swap_cache(struct quire_machine *machine, uint64_t slot, struct frame *frame)
{
	uint64_t *word;
	bool empty;

	lock(machine);
	word = word_of(machine, slot);
	quire_assert(in_use(*word));
	empty = !word_frame(machine, *word) && !frame_slot(frame);
	if (empty) {
		*word |= frame_bits(machine, frame);
		frame_set_slot(frame, slot);
		frame_mark(frame, FRAME_KEEP);
		frame_hold(frame, FRAME_ONE_REFERENCE);
	}
	unlock(machine);
	return empty;
}

int swap_write_slot(struct quire_machine *machine, uint64_t slot, const void *memory)
{
	int error;

	if (peek(machine, slot) & WRITTEN)
		return 0;
	error = quire_port_swap_write(machine->host, slot, memory);
	if (error)
		return error;
	lock(machine);
	*word_of(machine, slot) |= WRITTEN;
	unlock(machine);
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
	uint64_t word = peek(machine, slot);

	return !word_frame(machine, word) && (word & WRITTEN || QUIRE_MISTAKE(READ_BEFORE_WRITE));
}

int swap_read(struct quire_machine *machine, uint64_t slot)
{
	struct frame *frame;
	int error;

	if (!must_read(machine, slot))
		return 0;
	frame = frame_alloc(machine, 0);
	if (!frame)
		return -NO_FRAMES;
	error = swap_read_slot(machine, slot, frame_memory(machine, frame));
	if (error) {
		frame_free(machine, frame);
		/* Another reader may have been luckier. */
		return must_read(machine, slot) ? error : 0;
	}
	frame_make_anon(machine, frame);
	frame_exchange(frame, FRAME_ONE_MAPPING, FRAME_ONE_REFERENCE);
	swap_cache(machine, slot, frame); /* unless another is there by now */
	frame_put(machine, frame);
	return 0;
}

bool swap_uncache(struct quire_machine *machine, uint64_t slot, struct frame *frame)
{
	uint64_t *word;
	bool alone;

	lock(machine);
	word = word_of(machine, slot);
	alone = word_frame(machine, *word) == frame &&
		atomic_load_explicit(&frame->holders, memory_order_acquire) ==
			2 * FRAME_ONE_REFERENCE;
	if (alone) {
		*word &= ~FRAME_MASK;
		frame_set_slot(frame, 0);
		frame_exchange(frame, FRAME_ONE_REFERENCE, 0);
	}
	unlock(machine);
	return alone;
}

void swap_forget(struct quire_machine *machine, uint64_t slot, struct frame *frame)
{
	uint64_t *word;
	bool cached;

	lock(machine);
	word = word_of(machine, slot);
	cached = word_frame(machine, *word) == frame;
	if (cached) {
		*word &= ~FRAME_MASK;
		frame_set_slot(frame, 0);
	}
	unlock(machine);
	if (cached)
		frame_put(machine, frame);
}

void swap_each(struct quire_machine *machine,
	       void (*visit)(void *context, uint64_t slot, uint64_t count, struct frame *frame),
	       void *context)
{
	for (uint64_t slot = 1; slot <= machine->swap.carved; slot++) {
		uint64_t word = *word_of(machine, slot);

		if (!(word & FREE_WORD))
			visit(context, slot, word & COUNT_MASK, word_frame(machine, word));
	}
}

bool swap_valid(struct quire_machine *machine)
{
	const struct swap *swap = &machine->swap;
	uint64_t free = 0;

	for (uint64_t slot = swap->free; slot && free <= swap->carved; free++) {
		if (!slot_exists(machine, slot) || !(*word_of(machine, slot) & FREE_WORD))
			return false;
		slot = *word_of(machine, slot) & ~FREE_WORD;
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
	uint64_t frames = page_up(slots * sizeof(uint64_t)) >> PAGE_SHIFT;
	struct frame *block;
	unsigned order = 0;
	int error = 0;

	if (QUIRE_PORT_TIER < 2)
		return -QUIRE_ENOSYS;
	if (slots == 0 || slots > UINT32_MAX)
		return -QUIRE_EINVAL;
	while ((uint64_t)1 << order < frames)
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
