/* SPDX-License-Identifier: MIT */
/*
 * Which pages leave memory.
 *
 * A clock: a hand goes round over all frames.  A page that was used since the hand came by last is
 * only made old; one that was not is evicted.  Faults have nothing to do for it, and no list has to
 * be kept; the price is that the hand also passes over frames that hold something else.
 */
#include "reclaim/reclaim.h"

/* A reference to the frame, if it is a page that somebody holds. */
static bool hold_page(struct frame *frame)
{
	uint64_t holders = atomic_load_explicit(&frame->holders, memory_order_relaxed);

	do {
		if (!holders)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&frame->holders, &holders, holders + FRAME_ONE_REFERENCE, memory_order_acquire,
		memory_order_relaxed));
	return true;
}

static bool is_page(const struct frame *frame)
{
	return frame->kind == FRAME_ANON || frame_of_object(frame);
}

/* Whether the page under the hand went. */
static bool try_frame(struct quire_machine *machine, struct frame *frame)
{
	bool gone = false;

	/* What it is can be asked only of one that is held. */
	if (!hold_page(frame))
		return false;
	if (is_page(frame) && !used_lately(machine, frame))
		gone = evict(machine, frame);
	frame_put(machine, frame);
	return gone;
}

uint64_t reclaim_frames(struct quire_machine *machine, uint64_t frames)
{
	uint64_t gone = 0, count = machine->frames.count;

	/* Twice round: what was young the first time is old the second. */
	for (uint64_t i = 0; i < 2 * count && gone < frames; i++) {
		uint64_t hand = atomic_fetch_add_explicit(&machine->hand, 1, memory_order_relaxed);

		gone += try_frame(machine, &machine->frames.descriptors[hand % count]);
	}
	return gone;
}

bool reclaim_page(struct quire_machine *machine, struct frame *frame)
{
	bool gone = evict(machine, frame);

	frame_put(machine, frame);
	return gone;
}

uint64_t quire_reclaim(struct quire_machine *machine, uint64_t frames)
{
	return reclaim_frames(machine, frames);
}
