/* SPDX-License-Identifier: MIT */
/*
 * Taking pages from an object that may be mapped: truncate and hole punch.
 *
 *	1. every mapping of the range lets go of its pages
 *	2. the pages leave the cache
 *	3. every mapping lets go once more, of what faults have brought back before 2
 *
 * A fault that comes meanwhile waits until all is done: a page that 1 has unmapped and 2 not yet removed
 * is no minor fault.  One that found its page before 1 looks at the page's owner when it installs it,
 * under the lock of the table: so it comes too late, or 3 finds what it has done.  What a request of
 * userfaultfd has put in the place of what 2 removed stays.  Protection stays in the tables all the
 * while, as a mark: at no moment can a protected page be written to.
 */
#include "space/rmap.h"

static void zap_piece(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t stop,
		      void *context)
{
	const unsigned *keep = context;
	struct gather gather;

	gather_begin(&gather, &space->tables, QUIRE_NOTIFIER_CLEAR);
	table_zap(&space->tables, start, stop, *keep | zap_dormant(vma), &gather);
	gather_end(&gather);
}

void rmap_zap(struct quire_object *object, uint64_t first, uint64_t end, unsigned keep)
{
	rmap_walk(object->machine, &object->rmap, first, end, zap_piece, &keep);
}

/* Pages [first, end) go. */
static void remove_pages(struct quire_object *object, uint64_t first, uint64_t end, unsigned keep)
{
	unsigned first_keep = keep;

	if (first >= end)
		return;
	if (QUIRE_MISTAKE(PUNCH_DROPS_MARKERS))
		first_keep &= ~(unsigned)ZAP_KEEP_PROTECTION;
	object_set_leaving(object, first, end);
	rmap_zap(object, first, end, first_keep);
	object_drop_pages(object, first, end, false);
	rmap_zap(object, first, end, keep | ZAP_KEEP_CACHED);
	object_set_leaving(object, 0, 0);
}

/* Makes bytes [start, end) of a page that is held zeros (NULL: they are), and lets go of it. */
static void clear(struct quire_object *object, struct folio *folio, uint64_t start, uint64_t end)
{
	if (!folio)
		return;
	memset((char *)folio_memory(object->machine, folio) + start, 0, end - start);
	folio_mark(folio, FRAME_DIRTY);
	folio_put(object->machine, folio);
}

struct truncating {
	struct object_change change;
	uint64_t size;
	bool shrinks;
};

/* What lies behind the end in the last page must be zeros when the object grows again. */
static int clear_tail(struct truncating *truncating)
{
	struct quire_object *object = truncating->change.object;
	struct folio *tail;
	int error = change_edge(&truncating->change, truncating->size, &tail);

	if (!error)
		clear(object, tail, truncating->size % PAGE_SIZE, PAGE_SIZE);
	return error;
}

static void set_size(struct quire_object *object, uint64_t size)
{
	object_lock(object);
	object->size = size;
	object_unlock(object);
}

/* First what may have to wait; and again for what was written there until the page had gone from the
 * mappings. */
static int make_truncate(struct object_change *change)
{
	struct truncating *truncating = container_of(change, struct truncating, change);
	struct quire_object *object = change->object;
	uint64_t size = truncating->size;
	int error = 0;

	truncating->shrinks |= size < quire_object_size(object);
	if (truncating->shrinks)
		error = clear_tail(truncating);
	if (error)
		return error;
	set_size(object, size);
	remove_pages(object, page_up(size) >> PAGE_SHIFT, UINT64_MAX >> PAGE_SHIFT, TRUNCATE_KEEPS);
	return truncating->shrinks ? clear_tail(truncating) : 0;
}

int quire_object_truncate(struct quire_object *object, uint64_t size)
{
	struct truncating truncating = {.change = {.object = object, .make = make_truncate},
					.size = size};
	int error;

	if (!object_has_bytes(object))
		return -QUIRE_EINVAL;
	if (object->operations->read_only)
		return -QUIRE_EACCES;
	if (size > QUIRE_OBJECT_MAX)
		return -QUIRE_EINVAL;
	truncating.shrinks = size < quire_object_size(object);
	error = object->device ? device_truncate(object, size) : object_change(&truncating.change);
	if (error)
		return error;
	return object_changed(object, (truncating.shrinks ? size : page_up(size)) >> PAGE_SHIFT,
			      UINT64_MAX >> PAGE_SHIFT);
}

struct punching {
	struct object_change change;
	uint64_t start, end;
};

static int make_punch(struct object_change *change)
{
	struct punching *punching = container_of(change, struct punching, change);
	uint64_t start = punching->start, end = punching->end;
	uint64_t first = page_up(start), last = page_down(end);
	struct quire_object *object = change->object;
	struct folio *front, *back = NULL;
	int error = change_edge(change, start, &front);

	/* `first` lies behind `last` where all is inside one page. */
	if (!error && first <= last)
		error = change_edge(change, end, &back);
	if (error) {
		if (front)
			folio_put(object->machine, front);
		return error;
	}
	clear(object, front, start % PAGE_SIZE,
	      first <= last ? PAGE_SIZE : PAGE_SIZE - (first - end));
	clear(object, back, 0, end % PAGE_SIZE);
	remove_pages(object, first >> PAGE_SHIFT, last >> PAGE_SHIFT, PUNCH_KEEPS);
	return 0;
}

int quire_object_punch(struct quire_object *object, uint64_t offset, uint64_t length)
{
	struct punching punching = {.change = {.object = object, .make = make_punch},
				    .start = offset,
				    .end = offset + length};
	int error = object_check_span(object, offset, length);

	if (error)
		return error;
	error = object->device ? device_punch(object, offset, offset + length)
			       : object_change(&punching.change);
	if (error)
		return error;
	return object_changed(object, offset >> PAGE_SHIFT, page_up(offset + length) >> PAGE_SHIFT);
}
