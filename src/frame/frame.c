/* SPDX-License-Identifier: MIT */
/*
 * The frame allocator: a cache of free frames for each CPU, in front of the buddy system (buddy.c).
 *
 * Each CPU keeps up to FRAME_CACHE_LIMIT free frames to itself.  They come and go in batches
 * under frames.lock and the cache's lock together, so whoever has frames.lock finds every free frame
 * either here or there.  Where the rest is empty, or too scattered for a block, the caches are emptied
 * first: a free frame can be had, whatever CPU freed it.  Which CPU is ours is a hint of the port's.
 */
#include "frame/buddy.h"

/* ---- caches ---- */

static struct frame_cache *own_cache(struct quire_machine *machine)
{
	return &machine->frames.caches[machine_cpu(machine)];
}

static uint32_t cache_count(const struct frame_cache *cache)
{
	return atomic_load_explicit(&cache->count, memory_order_relaxed);
}

/* Cache's lock held. */
static void set_count(struct frame_cache *cache, uint32_t count)
{
	atomic_store_explicit(&cache->count, count, memory_order_relaxed);
}

/* Cache's lock held. */
static struct frame *cache_take(struct frame_cache *cache)
{
	struct frame *frame = cache->singles;

	if (!frame)
		return NULL;
	cache->singles = frame->next;
	set_count(cache, cache_count(cache) - 1);
	__builtin_prefetch(cache->singles, 1); /* the next caller will read its `next` */
	return frame;
}

/* Cache's lock held. */
static void cache_give(struct frame_cache *cache, struct frame *first, struct frame *last,
		       uint32_t count)
{
	last->next = cache->singles;
	cache->singles = first;
	set_count(cache, cache_count(cache) + count);
}

/* Gives the frames of the cache to all, but for the `keep` that came last; frames.lock held. */
static void drain_cache(struct quire_machine *machine, struct frame_cache *cache, uint32_t keep)
{
	struct frame **link = &cache->singles, *first, *last;
	uint32_t count;

	machine_lock(machine, &cache->lock);
	for (count = cache_count(cache); keep && *link; keep--, count--)
		link = &(*link)->next;
	first = last = *link;
	if (first) {
		while (last->next)
			last = last->next;
		*link = NULL;
		set_count(cache, cache_count(cache) - count);
		buddy_give_singles(&machine->frames, first, last, count);
	}
	machine_unlock(machine, &cache->lock);
}

/* Empties all caches; whether there was anything in them.  frames.lock held. */
static bool drain_caches(struct quire_machine *machine)
{
	uint64_t before = machine->frames.free;

	for (unsigned cpu = 0; cpu < machine->cpus; cpu++)
		if (cache_count(&machine->frames.caches[cpu]))
			drain_cache(machine, &machine->frames.caches[cpu], 0);
	return machine->frames.free != before;
}

/* Puts the next frames there are, up to a batch, into the cache; frames.lock held. */
static void fill_cache(struct quire_machine *machine, struct frame_cache *cache)
{
	struct frames *frames = &machine->frames;
	struct frame *first = buddy_take_single(frames), *last = first;
	uint32_t count = first != NULL;

	if (!first)
		return;
	for (; count < FRAME_CACHE_BATCH && (last->next = buddy_take_single(frames)); count++)
		last = last->next;
	frames->free -= count;
	machine_lock(machine, &cache->lock);
	cache_give(cache, first, last, count);
	machine_unlock(machine, &cache->lock);
}

/* A single frame when the cache has none: the first of a batch, the rest of which goes there. */
static struct frame *take_and_fill(struct quire_machine *machine, struct frame_cache *cache)
{
	struct frames *frames = &machine->frames;
	struct frame *frame;

	machine_lock(machine, &frames->lock);
	frame = buddy_take_single(frames);
	if (!frame && drain_caches(machine))
		frame = buddy_take_single(frames);
	if (frame) {
		frames->free--;
		fill_cache(machine, cache);
	}
	machine_unlock(machine, &frames->lock);
	return frame;
}

static void drain_full(struct quire_machine *machine, struct frame_cache *cache)
{
	machine_lock(machine, &machine->frames.lock);
	drain_cache(machine, cache, FRAME_CACHE_BATCH);
	machine_unlock(machine, &machine->frames.lock);
}

/* A chain of single frames, no more than a batch, back into the cache. */
static void give_singles(struct quire_machine *machine, struct frame *first, struct frame *last,
			 uint32_t count)
{
	struct frame_cache *cache = own_cache(machine);
	bool full;

	machine_lock(machine, &cache->lock);
	cache_give(cache, first, last, count);
	full = cache_count(cache) >= FRAME_CACHE_LIMIT;
	machine_unlock(machine, &cache->lock);
	if (full)
		drain_full(machine, cache);
}

/* ---- allocation ---- */

/* A block of order 1 or more.  Lets go of the lock and takes it again while it joins singles. */
static struct frame *take_joined(struct quire_machine *machine, unsigned order)
{
	struct frames *frames = &machine->frames;
	struct frame *block = buddy_take(frames, order);

	if (!block)
		drain_caches(machine);
	while (!block && buddy_join_singles(frames)) {
		block = buddy_take(frames, order);
		if (!block) {
			machine_unlock(machine, &frames->lock);
			machine_lock(machine, &frames->lock);
		}
	}
	return block;
}

/* Counts an attempt, and tells whether it must fail; cache's lock held. */
static bool attempt_fails(struct frames *frames, struct frame_cache *cache)
{
	uint64_t before = atomic_load_explicit(&cache->allocations, memory_order_relaxed);

	atomic_store_explicit(&cache->allocations, before + 1, memory_order_relaxed);
	if (atomic_load_explicit(&frames->fail_in, memory_order_relaxed) <= 0 ||
	    atomic_fetch_sub_explicit(&frames->fail_in, 1, memory_order_relaxed) != 1)
		return false;
	atomic_store_explicit(&frames->failed, true, memory_order_relaxed);
	return true;
}

bool frames_port_fails(struct quire_machine *machine)
{
	struct frame_cache *cache = own_cache(machine);
	bool fails;

	machine_lock(machine, &cache->lock);
	fails = attempt_fails(&machine->frames, cache);
	machine_unlock(machine, &cache->lock);
	return fails;
}

static bool told_to_fail(struct frames *frames)
{
	atomic_store_explicit(&frames->wanted, true, memory_order_relaxed);
	return true;
}

bool frames_must_fail(struct quire_machine *machine)
{
	return frames_port_fails(machine) && told_to_fail(&machine->frames);
}

static struct frame *alloc_single(struct quire_machine *machine, bool counted)
{
	struct frame_cache *cache = own_cache(machine);
	struct frame *frame = NULL;
	bool fails;

	machine_lock(machine, &cache->lock);
	fails = counted && attempt_fails(&machine->frames, cache) && told_to_fail(&machine->frames);
	if (!fails)
		frame = cache_take(cache);
	machine_unlock(machine, &cache->lock);
	if (frame || fails)
		return frame;
	frame = take_and_fill(machine, cache);
	return frame ? frame : spare_take(machine);
}

static struct frame *alloc_block(struct quire_machine *machine, unsigned order)
{
	struct frames *frames = &machine->frames;
	struct frame *block;

	if (frames_must_fail(machine))
		return NULL;
	machine_lock(machine, &frames->lock);
	block = take_joined(machine, order);
	if (block)
		frames->free -= frames_in(order);
	machine_unlock(machine, &frames->lock);
	return block;
}

static struct frame *alloc(struct quire_machine *machine, unsigned order, bool counted)
{
	struct frame *frame = order ? alloc_block(machine, order) : alloc_single(machine, counted);

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

struct folio *folio_alloc(struct quire_machine *machine, unsigned order)
{
	struct frame *frame = frame_alloc(machine, order);

	for (uint64_t i = 1; frame && i < (uint64_t)1 << order; i++)
		frame[i].order = (uint8_t)order;
	return frame_folio(frame);
}

static void count_kind(struct quire_machine *machine, unsigned kind, uint64_t count)
{
	if (kind != FRAME_HELD && count)
		atomic_fetch_add_explicit(&own_cache(machine)->used[kind], count,
					  memory_order_relaxed);
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
	count_kind(machine, frame->kind, -frames_in(order));
	frame->kind = FRAME_FREE;
	if (!order) {
		give_singles(machine, frame, frame, 1);
		return;
	}
	machine_lock(machine, &frames->lock);
	buddy_give(frames, frame, order);
	frames->free += frames_in(order);
	machine_unlock(machine, &frames->lock);
}

/* What a chain comes to, sorted outside the lock. */
struct returned {
	struct frame *singles, *last; /* chained by `next` */
	struct frame *blocks;	      /* the larger ones, chained */
	uint64_t single_count, block_frames;
	uint64_t used[FRAME_KINDS];
};

static void sort_block(struct returned *returned, struct frame *frame)
{
	assert_may_be_freed(frame);
	returned->used[frame->kind] += frames_in(frame->order);
	frame->kind = FRAME_FREE;
	if (frame->order == 0) {
		if (returned->last)
			returned->last->next = frame;
		else
			returned->singles = frame;
		returned->last = frame;
		returned->single_count++;
	} else {
		frame->next = returned->blocks;
		returned->blocks = frame;
		returned->block_frames += frames_in(frame->order);
	}
}

void frame_free_chain(struct quire_machine *machine, struct frame *chain)
{
	struct frames *frames = &machine->frames;
	struct returned returned = {0};

	if (!chain)
		return;
	while (chain) {
		struct frame *frame = chain;

		chain = frame->next;
		sort_block(&returned, frame);
	}
	for (unsigned kind = FRAME_HELD; kind < FRAME_KINDS; kind++)
		count_kind(machine, kind, -returned.used[kind]);
	if (!returned.blocks && returned.single_count <= FRAME_CACHE_BATCH) {
		give_singles(machine, returned.singles, returned.last,
			     (uint32_t)returned.single_count);
		return;
	}
	machine_lock(machine, &frames->lock);
	if (returned.singles)
		buddy_give_singles(frames, returned.singles, returned.last, returned.single_count);
	while (returned.blocks) {
		struct frame *block = returned.blocks;

		returned.blocks = block->next;
		buddy_give(frames, block, block->order);
	}
	frames->free += returned.block_frames;
	machine_unlock(machine, &frames->lock);
}

void frame_set_kind(struct quire_machine *machine, struct frame *frame, enum frame_kind kind)
{
	quire_assert(frame->kind >= FRAME_HELD && kind >= FRAME_HELD && kind < FRAME_KINDS);
	count_kind(machine, frame->kind, -frames_in(frame->order));
	count_kind(machine, kind, frames_in(frame->order));
	frame->kind = (uint8_t)kind;
	if (kind == FRAME_SHMEM || kind == FRAME_FILE)
		machine_note_evictable(machine);
}

/*
 * ---- sums --------------------------------------------------------------------------------------
 */

uint64_t frames_free(struct quire_machine *machine)
{
	uint64_t sum;

	machine_lock(machine, &machine->frames.lock);
	sum = machine->frames.free;
	for (unsigned cpu = 0; cpu < machine->cpus; cpu++)
		sum += cache_count(&machine->frames.caches[cpu]);
	machine_unlock(machine, &machine->frames.lock);
	return sum;
}

uint64_t frames_used(const struct quire_machine *machine, enum frame_kind kind)
{
	uint64_t sum = 0;

	for (unsigned cpu = 0; cpu < machine->cpus; cpu++)
		sum += atomic_load_explicit(&machine->frames.caches[cpu].used[kind],
					    memory_order_relaxed);
	return sum;
}

uint64_t frames_allocations(const struct quire_machine *machine)
{
	uint64_t sum = 0;

	for (unsigned cpu = 0; cpu < machine->cpus; cpu++)
		sum += atomic_load_explicit(&machine->frames.caches[cpu].allocations,
					    memory_order_relaxed);
	return sum;
}

static bool cache_valid(struct quire_machine *machine, struct frame_cache *cache, uint64_t *found)
{
	uint64_t before = *found;
	bool valid;

	machine_lock(machine, &cache->lock);
	valid = buddy_singles_valid(&machine->frames, cache->singles, cache_count(cache), found) &&
		*found - before == cache_count(cache);
	machine_unlock(machine, &cache->lock);
	return valid;
}

/* Frames that have a use that is counted; the rest are free or held. */
static uint64_t frames_in_use(struct quire_machine *machine)
{
	uint64_t sum = 0;

	for (unsigned kind = FRAME_HELD + 1; kind < FRAME_KINDS; kind++)
		sum += frames_used(machine, kind);
	return sum;
}

bool frames_valid(struct quire_machine *machine)
{
	struct frames *frames = &machine->frames;
	uint64_t cached = 0;
	bool valid;

	machine_lock(machine, &frames->lock);
	valid = buddy_valid(frames);
	for (unsigned cpu = 0; valid && cpu < machine->cpus; cpu++)
		valid = cache_valid(machine, &frames->caches[cpu], &cached);
	valid = valid && frames_in_use(machine) <= frames->count - frames->free - cached;
	machine_unlock(machine, &frames->lock);
	return valid;
}
