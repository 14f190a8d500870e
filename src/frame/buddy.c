/* SPDX-License-Identifier: MIT */
/*
 * Free frames: a binary buddy system behind a stack of single frames.
 *
 * Blocks.  A block of order k is 2^k frames and begins at a multiple of 2^k by hardware number; its
 * buddy is the block of the same order that differs from it in bit k alone.  Two free buddies are
 * joined into one of order k + 1, until a buddy is not free:
 *
 *	number   0   1   2   3   4   5   6   7		free: [0-3] order 2, [6-7] order 1
 *		[  order 2     ] used used [order 1]	5 comes back: 4 is used, 5 stays
 *						4 comes back: joins 5, then [6-7], then [0-3]
 *
 * Only the first descriptor of a block is read or written when it is split or joined.  So a fresh
 * machine of any size is a few blocks, and memory that has never been used costs nothing, not even
 * its descriptors.
 *
 * Singles.  Nearly all traffic is in single frames, and joining them only to split them again is
 * its main cost.  So a frame that comes back goes onto a stack, `singles`, which takes and gives in
 * a few instructions; a whole chain of frames, prepared outside the lock, goes onto it in one
 * step.  An empty stack is filled from the smallest block there is, 2^SINGLES_ORDER frames at most.
 * Frames on the stack are joined only when an allocation of a higher order finds no block.  Each
 * frame that comes back can be joined once at most before it is used again, so the work is paid for
 * by the traffic; it is done in batches that let go of the lock in between.
 *
 * `listed` tells a free block in a list from everything else, and changes under frames.lock alone:
 * joining must look at a buddy that belongs to someone else, who may be writing its other fields at
 * that moment.
 */
#include "frame/buddy.h"

#define SINGLES_ORDER 5	  /* frames put on the stack at once: 2^SINGLES_ORDER */
#define JOIN_BATCH    256 /* singles joined before the lock is let go */

static void list_block(struct frames *frames, struct frame *block, unsigned order)
{
	block->kind = FRAME_FREE;
	block->order = (uint8_t)order;
	block->listed = (uint8_t)(order + 1);
	list_insert_after(&frames->blocks[order], &block->link);
}

static void unlist_block(struct frame *block)
{
	block->listed = 0;
	list_remove(&block->link);
}

static void push_single(struct frames *frames, struct frame *frame)
{
	frame->next = frames->singles;
	frames->singles = frame;
}

/*
 * The buddy of a block of `order` that begins at frame `index` of the machine, if it is free as a
 * whole; else NULL.
 */
static struct frame *free_buddy(struct frames *frames, uint64_t index, unsigned order)
{
	uint64_t buddy = ((frames->first + index) ^ frames_in(order)) - frames->first;

	if (buddy >= frames->count || frames->descriptors[buddy].listed != order + 1)
		return NULL;
	return &frames->descriptors[buddy];
}

/* Lists a free block, joined with its buddies as far as that goes. */
void buddy_give(struct frames *frames, struct frame *block, unsigned order)
{
	for (; order < FRAME_ORDERS - 1; order++) {
		uint64_t index = (uint64_t)(block - frames->descriptors);
		struct frame *buddy = free_buddy(frames, index, order);

		if (!buddy)
			break;
		unlist_block(buddy);
		if (buddy < block) {
			block->kind = FRAME_TAIL;
			block = buddy;
		} else {
			buddy->kind = FRAME_TAIL;
		}
	}
	list_block(frames, block, order);
}

/* Joins up to JOIN_BATCH singles; false when there are none. */
bool buddy_join_singles(struct frames *frames)
{
	unsigned joined = 0;

	while (frames->singles && joined < JOIN_BATCH) {
		struct frame *frame = frames->singles;

		frames->singles = frame->next;
		buddy_give(frames, frame, 0);
		joined++;
	}
	return joined > 0;
}

/*
 * Takes the first part of the smallest listed block that holds 2^order frames; NULL when there is
 * none.
 */
struct frame *buddy_take(struct frames *frames, unsigned order)
{
	unsigned larger = order;
	struct frame *block;

	while (larger < FRAME_ORDERS && list_empty(&frames->blocks[larger]))
		larger++;
	if (larger == FRAME_ORDERS)
		return NULL;
	block = container_of(frames->blocks[larger].next, struct frame, link);
	unlist_block(block);
	while (larger > order) {
		larger--;
		list_block(frames, block + frames_in(larger), larger);
	}
	block->order = (uint8_t)order;
	return block;
}

/* The order of the smallest listed block, or SINGLES_ORDER if that is less. */
static unsigned smallest_order(const struct frames *frames)
{
	unsigned order = 0;

	while (order < SINGLES_ORDER && list_empty(&frames->blocks[order]))
		order++;
	return order;
}

/* Fills the empty stack of singles, lowest frame on top; false when no frame is free. */
static bool fill_singles(struct frames *frames)
{
	struct frame *block = buddy_take(frames, smallest_order(frames));

	if (!block)
		return false;
	for (uint64_t i = frames_in(block->order); i-- > 0;) {
		block[i].kind = FRAME_FREE;
		block[i].order = 0;
		push_single(frames, &block[i]);
	}
	return true;
}

struct frame *buddy_take_single(struct frames *frames)
{
	struct frame *frame;

	if (!frames->singles && !fill_singles(frames))
		return NULL;
	frame = frames->singles;
	frames->singles = frame->next;
	__builtin_prefetch(frames->singles, 1); /* the next caller will read its `next` */
	return frame;
}

void buddy_give_singles(struct frames *frames, struct frame *first, struct frame *last,
			uint64_t count)
{
	last->next = frames->singles;
	frames->singles = first;
	frames->free += count;
}

/*
 * The highest order of a block that begins at hardware number `number` and does not go beyond
 * `end`.
 */
static unsigned largest_order(uint64_t number, uint64_t end)
{
	unsigned order = 0;

	while (order < FRAME_ORDERS - 1 && (number & frames_in(order)) == 0 &&
	       end - number >= frames_in(order + 1))
		order++;
	return order;
}

void frames_init(struct quire_machine *machine, struct frame *descriptors, void *memory,
		 uint64_t first, uint64_t count, uint64_t reserved)
{
	struct frames *frames = &machine->frames;
	uint64_t number = first + reserved, end = first + count;

	frames->descriptors = descriptors;
	frames->memory = memory;
	frames->first = first;
	frames->count = count;
	frames->free = count - reserved;
	frames->caches[0].used[FRAME_RESERVED] = reserved;
	for (unsigned order = 0; order < FRAME_ORDERS; order++)
		list_init(&frames->blocks[order]);
	while (number < end) {
		unsigned order = largest_order(number, end);

		list_block(frames, &descriptors[number - first], order);
		number += frames_in(order);
	}
}

/*
 * ---- consistency -------------------------------------------------------------------------------
 */

/*
 * Whether a listed block of more than `order` contains the frame at `index`: it would begin at one
 * of these places.
 */
static bool inside_listed(const struct frames *frames, uint64_t index, unsigned order)
{
	while (++order < FRAME_ORDERS) {
		uint64_t begin = frames->first + index;

		begin = (begin & ~(frames_in(order) - 1)) - frames->first;
		if (begin < frames->count && frames->descriptors[begin].listed > order)
			return true;
	}
	return false;
}

static bool block_valid(struct frames *frames, struct frame *block, unsigned order)
{
	uint64_t index = (uint64_t)(block - frames->descriptors);

	return block->link.next->previous == &block->link && block->kind == FRAME_FREE &&
	       block->order == order && block->listed == order + 1 && index < frames->count &&
	       frames->count - index >= frames_in(order) &&
	       ((frames->first + index) & (frames_in(order) - 1)) == 0 &&
	       !inside_listed(frames, index, order) &&
	       (order == FRAME_ORDERS - 1 || !free_buddy(frames, index, order));
}

static bool single_valid(const struct frames *frames, const struct frame *frame)
{
	uint64_t index = (uint64_t)(frame - frames->descriptors);

	return index < frames->count && frame->kind == FRAME_FREE && frame->order == 0 &&
	       frame->listed == 0 && !inside_listed(frames, index, 0);
}

/*
 * Adds the frames of one list to *found.  Stops when they are more than there can be, as in a list
 * that bites its tail.
 */
static bool list_valid(struct frames *frames, unsigned order, uint64_t *found)
{
	struct list_link *head = &frames->blocks[order];

	for (struct list_link *link = head->next; link != head; link = link->next) {
		if (!block_valid(frames, container_of(link, struct frame, link), order))
			return false;
		*found += frames_in(order);
		if (*found > frames->free)
			return false;
	}
	return head->next->previous == head;
}

/* Adds the frames of a chain of singles to *found, which are `most` at most. */
bool buddy_singles_valid(const struct frames *frames, const struct frame *chain, uint64_t most,
			 uint64_t *found)
{
	for (const struct frame *frame = chain; frame; frame = frame->next) {
		if (!single_valid(frames, frame) || most-- == 0)
			return false;
		++*found;
	}
	return true;
}

bool buddy_valid(struct frames *frames)
{
	uint64_t found = 0;
	bool valid = buddy_singles_valid(frames, frames->singles, frames->free, &found);

	for (unsigned order = 0; valid && order < FRAME_ORDERS; order++)
		valid = list_valid(frames, order, &found);
	return valid && found == frames->free;
}
