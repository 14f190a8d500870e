/* SPDX-License-Identifier: MIT */
/*
 * The frame allocator: a binary buddy system behind a stack of single frames.
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
#include "frame/machine.h"

#define SINGLES_ORDER 5	  /* frames put on the stack at once: 2^SINGLES_ORDER */
#define JOIN_BATCH    256 /* singles joined before the lock is let go */

static uint64_t frames_in(unsigned order)
{
	return (uint64_t)1 << order;
}

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
static void join_block(struct frames *frames, struct frame *block, unsigned order)
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
static bool join_singles(struct frames *frames)
{
	unsigned joined = 0;

	while (frames->singles && joined < JOIN_BATCH) {
		struct frame *frame = frames->singles;

		frames->singles = frame->next;
		join_block(frames, frame, 0);
		joined++;
	}
	return joined > 0;
}

/*
 * Takes the first part of the smallest listed block that holds 2^order frames; NULL when there is
 * none.
 */
static struct frame *take_block(struct frames *frames, unsigned order)
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
	struct frame *block = take_block(frames, smallest_order(frames));

	if (!block)
		return false;
	for (uint64_t i = frames_in(block->order); i-- > 0;) {
		block[i].kind = FRAME_FREE;
		block[i].order = 0;
		push_single(frames, &block[i]);
	}
	return true;
}

static struct frame *take_single(struct frames *frames)
{
	struct frame *frame;

	if (!frames->singles && !fill_singles(frames))
		return NULL;
	frame = frames->singles;
	frames->singles = frame->next;
	__builtin_prefetch(frames->singles, 1); /* the next caller will read its `next` */
	return frame;
}

/* A block of order 1 or more.  Lets go of the lock and takes it again while it joins singles. */
static struct frame *take_joined(struct quire_machine *machine, unsigned order)
{
	struct frames *frames = &machine->frames;
	struct frame *block = take_block(frames, order);

	while (!block && join_singles(frames)) {
		block = take_block(frames, order);
		if (!block) {
			machine_unlock(machine, &frames->lock);
			machine_lock(machine, &frames->lock);
		}
	}
	return block;
}

static bool must_fail(struct frames *frames)
{
	frames->allocations++;
	if (frames->allocations != frames->fail_at)
		return false;
	atomic_store_explicit(&frames->failed, true, memory_order_relaxed);
	return true;
}

bool frames_must_fail(struct frames *frames)
{
	if (!must_fail(frames))
		return false;
	atomic_store_explicit(&frames->wanted, true, memory_order_relaxed);
	return true;
}

bool frames_port_fails(struct quire_machine *machine)
{
	bool fails;

	machine_lock(machine, &machine->frames.lock);
	fails = must_fail(&machine->frames);
	machine_unlock(machine, &machine->frames.lock);
	return fails;
}

static struct frame *alloc(struct quire_machine *machine, unsigned order, bool counted)
{
	struct frames *frames = &machine->frames;
	struct frame *frame = NULL;

	machine_lock(machine, &frames->lock);
	if (!counted || !frames_must_fail(frames))
		frame = order ? take_joined(machine, order) : take_single(frames);
	if (frame)
		frames->free -= frames_in(order);
	machine_unlock(machine, &frames->lock);

	if (frame) {
		quire_assert(frame->kind == FRAME_FREE && frame->order == order);
		frame->kind = FRAME_HELD;
		frame->next = NULL;
		atomic_store_explicit(&frame->flags, 0, memory_order_relaxed);
	}
	return frame;
}

struct frame *frame_alloc(struct quire_machine *machine, unsigned order)
{
	quire_assert(order < FRAME_ORDERS);
	return alloc(machine, order, true);
}

struct frame *frame_alloc_uncounted(struct quire_machine *machine)
{
	return alloc(machine, 0, false);
}

struct frame *frame_alloc_zeroed(struct quire_machine *machine)
{
	struct frame *frame = alloc(machine, 0, true);

	if (frame)
		memset(frame_memory(machine, frame), 0, PAGE_SIZE);
	return frame;
}

static void count_kind(struct frames *frames, unsigned kind, uint64_t count)
{
	if (kind != FRAME_HELD && count)
		atomic_fetch_add_explicit(&frames->used[kind], count, memory_order_relaxed);
}

static void assert_may_be_freed(const struct frame *frame)
{
	quire_assert(frame->kind >= FRAME_HELD && frame->kind < FRAME_KINDS);
	quire_assert(atomic_load_explicit(&frame->holders, memory_order_relaxed) == 0);
}

void frame_free(struct quire_machine *machine, struct frame *frame)
{
	struct frames *frames = &machine->frames;
	unsigned order = frame->order;

	assert_may_be_freed(frame);
	count_kind(frames, frame->kind, -frames_in(order));
	frame->kind = FRAME_FREE;

	machine_lock(machine, &frames->lock);
	if (order)
		join_block(frames, frame, order);
	else
		push_single(frames, frame);
	frames->free += frames_in(order);
	machine_unlock(machine, &frames->lock);
}

/* What a chain comes to, sorted outside the lock. */
struct returned {
	struct frame *singles, **last; /* chained by `next`; where the last one points on */
	struct frame *blocks;	       /* the larger ones, chained */
	uint64_t frames;
	uint64_t used[FRAME_KINDS];
};

static void sort_block(struct returned *returned, struct frame *frame)
{
	assert_may_be_freed(frame);
	returned->used[frame->kind] += frames_in(frame->order);
	returned->frames += frames_in(frame->order);
	frame->kind = FRAME_FREE;
	if (frame->order == 0) {
		*returned->last = frame;
		returned->last = &frame->next;
	} else {
		frame->next = returned->blocks;
		returned->blocks = frame;
	}
}

void frame_free_chain(struct quire_machine *machine, struct frame *chain)
{
	struct frames *frames = &machine->frames;
	struct returned returned = {.last = &returned.singles};

	if (!chain)
		return;
	while (chain) {
		struct frame *frame = chain;

		chain = frame->next;
		sort_block(&returned, frame);
	}
	for (unsigned kind = FRAME_HELD; kind < FRAME_KINDS; kind++)
		count_kind(frames, kind, -returned.used[kind]);

	machine_lock(machine, &frames->lock);
	*returned.last = frames->singles;
	frames->singles = returned.singles;
	while (returned.blocks) {
		struct frame *block = returned.blocks;

		returned.blocks = block->next;
		join_block(frames, block, block->order);
	}
	frames->free += returned.frames;
	machine_unlock(machine, &frames->lock);
}

void frame_set_kind(struct quire_machine *machine, struct frame *frame, enum frame_kind kind)
{
	quire_assert(frame->kind >= FRAME_HELD && kind >= FRAME_HELD && kind < FRAME_KINDS);
	count_kind(&machine->frames, frame->kind, -frames_in(frame->order));
	count_kind(&machine->frames, kind, frames_in(frame->order));
	frame->kind = (uint8_t)kind;
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
	frames->used[FRAME_RESERVED] = reserved;
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

static bool singles_valid(const struct frames *frames, uint64_t *found)
{
	for (const struct frame *frame = frames->singles; frame; frame = frame->next)
		if (!single_valid(frames, frame) || ++*found > frames->free)
			return false;
	return true;
}

/* Frames that have a use that is counted; the rest are free or held. */
static uint64_t frames_in_use(struct frames *frames)
{
	uint64_t sum = 0;

	for (unsigned kind = FRAME_HELD + 1; kind < FRAME_KINDS; kind++)
		sum += atomic_load_explicit(&frames->used[kind], memory_order_relaxed);
	return sum;
}

bool frames_valid(struct quire_machine *machine)
{
	struct frames *frames = &machine->frames;
	uint64_t found = 0;
	bool valid;

	machine_lock(machine, &frames->lock);
	valid = singles_valid(frames, &found);
	for (unsigned order = 0; valid && order < FRAME_ORDERS; order++)
		valid = list_valid(frames, order, &found);
	valid = valid && found == frames->free &&
		frames_in_use(frames) <= frames->count - frames->free;
	machine_unlock(machine, &frames->lock);
	return valid;
}
