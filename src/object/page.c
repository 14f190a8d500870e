/* SPDX-License-Identifier: MIT */
/*
 * Pages of an object: finding, making and dropping them.
 */
#include "object/object.h"

/* object->lock is a short one: it is let go of after so many pages. */
#define BATCH_PAGES 32

/* Lock held: whether the object ends before page `index`. */
static bool ends_before(const struct quire_object *object, uint64_t index)
{
	return index >= page_up(object->size) >> PAGE_SHIFT;
}

/* Lock held. */
static enum object_page find_page(struct quire_object *object, uint64_t index, struct folio **folio)
{
	cache_entry entry = cache_find(object, index);

	*folio = cache_page(entry);
	if (ends_before(object, index))
		return PAGE_BEYOND;
	if (!*folio)
		return entry ? PAGE_SWAPPED : PAGE_ABSENT;
	folio_hold(*folio, FRAME_ONE_REFERENCE);
	return PAGE_FOUND;
}

enum object_page object_find_page(struct quire_object *object, uint64_t index, struct folio **folio)
{
	enum object_page answer;

	object_lock(object);
	answer = find_page(object, index, folio);
	object_unlock(object);
	return answer;
}

/* Lock held. */
static bool leaves(const struct quire_object *object, uint64_t index)
{
	return object->leaving_first <= index && index < object->leaving_end &&
	       !QUIRE_MISTAKE(HOLE_IS_SEEN_HALF);
}

bool object_find_lasting(struct quire_object *object, uint64_t index, enum object_page *answer,
			 struct folio **folio)
{
	bool lasting;

	object_lock(object);
	lasting = ends_before(object, index) || !leaves(object, index);
	if (lasting)
		*answer = find_page(object, index, folio);
	object_unlock(object);
	return lasting;
}

void object_set_leaving(struct quire_object *object, uint64_t first, uint64_t end)
{
	object_lock(object);
	object->leaving_first = first;
	object->leaving_end = end;
	object_unlock(object);
}

void object_find_pages(struct quire_object *object, uint64_t index, unsigned count,
		       struct folio **folios)
{
	cache_entry entries[OBJECT_FIND_MAX];

	quire_assert(count <= OBJECT_FIND_MAX);
	object_lock(object);
	cache_find_range(object, index, count, entries);
	for (unsigned i = 0; i < count; i++) {
		folios[i] = ends_before(object, index + i) ? NULL : cache_page(entries[i]);
		if (folios[i])
			folio_hold(folios[i], FRAME_ONE_REFERENCE);
	}
	object_unlock(object);
}

bool object_in_core(struct quire_object *object, uint64_t index)
{
	cache_entry entry;
	bool there;

	object_lock(object);
	entry = ends_before(object, index) ? 0 : cache_find(object, index);
	if (cache_page(entry))
		there = !folio_has(cache_page(entry), FRAME_UNUSED);
	else
		there = entry && swap_in_core(object->machine, cache_slot(entry));
	object_unlock(object);
	return there;
}

unsigned object_hold_slots(struct quire_object *object, uint64_t *index, uint64_t end,
			   uint64_t *slots, unsigned room)
{
	cache_entry entry = 1;
	unsigned count = 0;

	while (entry && count < room) {
		object_lock(object);
		for (unsigned i = 0;
		     i < BATCH_PAGES && count < room && (entry = cache_next(object, index, end));
		     i++, ++*index) {
			if (cache_page(entry))
				continue;
			slots[count++] = cache_slot(entry);
			swap_hold(object->machine, cache_slot(entry));
		}
		object_unlock(object);
	}
	return count;
}

uint64_t quire_object_resident(struct quire_object *object, uint64_t offset, uint64_t length)
{
	uint64_t index = offset >> PAGE_SHIFT, end = UINT64_MAX >> PAGE_SHIFT, pages = 0;
	cache_entry entry = 1;

	if (length == 0)
		return 0;
	if (length < UINT64_MAX - offset - PAGE_SIZE)
		end = page_up(offset + length) >> PAGE_SHIFT;
	while (entry) {
		object_lock(object);
		for (unsigned i = 0; i < BATCH_PAGES && (entry = cache_next(object, &index, end));
		     i++, index++)
			pages += cache_page(entry) != NULL;
		object_unlock(object);
	}
	return pages;
}

/* What stands at `index`, for one who will make the page: of a swap slot one count more. */
static cache_entry look_up(struct quire_object *object, uint64_t index)
{
	cache_entry entry;

	object_lock(object);
	entry = cache_find(object, index);
	if (cache_page(entry))
		folio_hold(cache_page(entry), FRAME_ONE_REFERENCE);
	if (cache_slot(entry))
		swap_hold(object->machine, cache_slot(entry));
	object_unlock(object);
	return entry;
}

static int read_content(struct quire_object *object, uint64_t index, uint64_t slot, void *memory)
{
	struct quire_machine *machine = object->machine;

	if (slot) {
		bool alone;
		struct folio *cached = swap_cached(machine, slot, &alone);

		if (cached) {
			memcpy(memory, folio_memory(machine, cached), PAGE_SIZE);
			folio_put(machine, cached);
			return 0;
		}
		return swap_read_slot(machine, slot, memory);
	}
	if (object->operations->read_page)
		return object->operations->read_page(object->context, index, 1, memory);
	memset(memory, 0, PAGE_SIZE);
	return 0;
}

/* A page that is in no cache yet, with one reference. */
static int new_page(struct quire_object *object, uint64_t index, uint64_t slot, bool unused,
		    struct folio **folio)
{
	struct quire_machine *machine = object->machine;
	int error;

	*folio = folio_alloc(machine, 0);
	if (!*folio)
		return -NO_FRAMES;
	atomic_store_explicit(&(*folio)->head.content.owner, 0, memory_order_relaxed);
	error = read_content(object, index, slot, folio_memory(machine, *folio));
	if (error) {
		folio_free(machine, *folio);
		*folio = NULL;
		return error;
	}
	if (slot)
		folio_mark(*folio, FRAME_DIRTY);
	else if (unused)
		folio_mark(*folio, FRAME_UNUSED);
	folio_set_kind(machine, *folio, object->kind);
	atomic_store_explicit(&(*folio)->head.holders, FRAME_ONE_REFERENCE, memory_order_release);
	return 0;
}

/* Lock held: puts the page in the place of what is there, a swap slot or nothing. */
static int put(struct quire_object *object, uint64_t index, cache_entry found, struct folio *fresh)
{
	if (!found)
		return cache_insert(object, index, fresh);
	cache_replace(object, index, cache_entry_of(fresh));
	return 0;
}

/*
 * Puts the new page in the place of `seen`, unless something else has come to be there (also nothing,
 * where a slot was: what was read from it is gone); *frame: what is there, or NULL.
 */
static int insert(struct quire_object *object, uint64_t index, bool beyond, cache_entry seen,
		  struct folio **folio)
{
	struct folio *fresh = *folio;
	cache_entry found;
	int error = 0;

	object_lock(object);
	found = cache_find(object, index);
	*folio = cache_page(found);
	if (!beyond && ends_before(object, index))
		error = -QUIRE_EFBIG;
	else if (found == seen)
		error = put(object, index, found, fresh);
	if (!error && found == seen)
		*folio = fresh;
	if (!error && *folio)
		folio_hold(*folio, FRAME_ONE_REFERENCE);
	object_unlock(object);
	if (*folio != fresh || error)
		folio_put(object->machine, fresh);
	else if (cache_slot(found))
		swap_drop(object->machine, cache_slot(found));
	return error;
}

int object_make_page(struct quire_object *object, uint64_t index, unsigned how,
		     struct folio **folio)
{
	int error;

	do {
		cache_entry seen = look_up(object, index);
		uint64_t slot = cache_slot(seen);

		if (!(how & MAKE_BEYOND) &&
		    index >= page_up(quire_object_size(object)) >> PAGE_SHIFT) {
			error = -QUIRE_EFBIG;
			if (cache_page(seen))
				folio_put(object->machine, cache_page(seen));
		} else if (cache_page(seen)) {
			*folio = cache_page(seen);
			return 0;
		} else if (!seen && (how & MAKE_SWAPPED) && !QUIRE_MISTAKE(SWAP_IN_FILLS_HOLE)) {
			*folio = NULL;
			return 0;
		} else if ((how & MAKE_AWAKE) && (slot || object_sleeps(object))) {
			error = -WOULD_SLEEP;
		} else {
			error = new_page(object, index, slot, how & MAKE_UNUSED, folio);
			if (!error)
				error = insert(object, index, how & MAKE_BEYOND, seen, folio);
		}
		if (slot)
			swap_drop(object->machine, slot);
	} while (!error && !*folio);
	if (error)
		*folio = NULL;
	return error;
}

int object_add_page(struct quire_object *object, uint64_t index, struct folio *folio)
{
	int error;

	object_lock(object);
	if (ends_before(object, index))
		error = -QUIRE_EFBIG;
	else if (cache_find(object, index))
		error = -QUIRE_EEXIST;
	else
		error = cache_insert(object, index, folio);
	if (!error) {
		folio_set_kind(object->machine, folio, object->kind);
		atomic_store_explicit(&folio->head.holders, 2 * FRAME_ONE_REFERENCE,
				      memory_order_release);
	}
	object_unlock(object);
	return error;
}

/* Lock held: whether only the caller and the cache hold the page. */
static bool alone(const struct quire_object *object, uint64_t index, const struct folio *folio)
{
	return cache_find(object, index) == cache_entry_of((struct folio *)(uintptr_t)folio) &&
	       atomic_load_explicit(&folio->head.holders, memory_order_acquire) ==
		       2 * FRAME_ONE_REFERENCE;
}

bool object_replace_page(struct quire_object *object, uint64_t index, struct folio *folio,
			 cache_entry entry)
{
	bool replaced;

	object_lock(object);
	/* In this order: who writes marks the page before letting go of it. */
	replaced = alone(object, index, folio) && !folio_has(folio, FRAME_DIRTY);
	if (replaced) {
		cache_replace(object, index, entry);
		folio_exchange(folio, FRAME_ONE_REFERENCE, 0);
	}
	object_unlock(object);
	return replaced;
}

void object_begin_migration(struct quire_object *object, struct folio *folio)
{
	/* Under the lock: whoever has found the page earlier has it without the flag. */
	object_lock(object);
	folio_mark(folio, FRAME_MIGRATING);
	object_unlock(object);
}

bool object_migrate_page(struct quire_object *object, uint64_t index, struct folio *from,
			 struct folio *to)
{
	struct quire_machine *machine = object->machine;
	bool moved;

	object_lock(object);
	moved = cache_find(object, index) == cache_entry_of(from) && !folio_pins(from) &&
		folio_references(from) == 2;
	if (moved) {
		/* Nobody can write to it: those who read and write files find it under this lock. */
		memcpy(folio_memory(machine, to), folio_memory(machine, from), PAGE_SIZE);
		if (folio_has(from, FRAME_UNUSED))
			folio_mark(to, FRAME_UNUSED);
		cache_replace(object, index, cache_entry_of(to));
		folio_set_kind(machine, to, object->kind);
		/* Last: reclaim takes what has holders, and goes by its owner. */
		atomic_store_explicit(&to->head.holders, 2 * FRAME_ONE_REFERENCE,
				      memory_order_release);
		folio_exchange(from, FRAME_ONE_REFERENCE, 0);
	}
	object_unlock(object);
	return moved;
}

/* What has left the cache, and is let go of without the lock. */
struct dropped {
	struct frame *frames; /* whose last reference the cache's was */
	uint64_t slots[BATCH_PAGES];
	unsigned slot_count;
};

/* Lock held: what stood there has left the cache. */
static void collect(struct dropped *dropped, cache_entry entry)
{
	struct folio *folio = cache_page(entry);

	if (!folio) {
		dropped->slots[dropped->slot_count++] = cache_slot(entry);
	} else if (folio_drop(folio, FRAME_ONE_REFERENCE)) {
		folio->head.next = dropped->frames;
		dropped->frames = &folio->head;
	}
}

/* Of the next BATCH_PAGES entries from *start on those that go; false: there were not so many. */
static bool drop_batch(struct quire_object *object, uint64_t *start, uint64_t end, bool unused,
		       struct dropped *dropped)
{
	const unsigned limit = QUIRE_MISTAKE(DROP_WITHOUT_PAUSE) ? UINT32_MAX : BATCH_PAGES;
	unsigned pages = 0;
	cache_entry entry;

	object_lock(object);
	for (; pages < limit && (entry = cache_next(object, start, end)); pages++, ++*start) {
		if (unused && !(cache_page(entry) && folio_has(cache_page(entry), FRAME_UNUSED)))
			continue;
		cache_replace(object, *start, 0);
		collect(dropped, entry);
	}
	object_unlock(object);
	return pages == limit;
}

void object_drop_pages(struct quire_object *object, uint64_t start, uint64_t end, bool unused)
{
	bool more;

	do {
		struct dropped dropped = {.frames = NULL};

		more = drop_batch(object, &start, end, unused, &dropped);
		frame_free_chain(object->machine, dropped.frames);
		while (dropped.slot_count)
			swap_drop(object->machine, dropped.slots[--dropped.slot_count]);
	} while (more);
}
