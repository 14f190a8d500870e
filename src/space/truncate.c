/* SPDX-License-Identifier: MIT */
/*
 * Taking pages from an object that may be mapped: truncate and hole punch.
 *
 *	1. every mapping of the range lets go of its pages
 *	2. the pages leave the cache
 *	3. every mapping lets go once more, of what faults have brought back before 2
 *
 * A fault that found a page before 2 looks at its owner when it installs it, under the lock of the
 * table: so it comes too late, or 3 finds what it has done.  Protection stays in the tables all the
 * while, as a mark: at no moment can a protected page be written to.
 */
#include "space/rmap.h"

/* What mappings keep when the pages are cut off, and when a hole is punched. */
#define TRUNCATE_KEEPS (ZAP_KEEP_PROTECTION | ZAP_KEEP_GUARDS)
#define PUNCH_KEEPS    (TRUNCATE_KEEPS | ZAP_KEEP_POISON | ZAP_KEEP_PRIVATE)

static void zap_piece(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t stop,
		      void *context)
{
	const unsigned *keep = context;
	struct gather gather;

	gather_begin(&gather, &space->tables);
	table_zap(&space->tables, start, stop, *keep | zap_dormant(vma), &gather);
	gather_end(&gather);
}

/* Pages [first, end) go. */
static int remove_pages(struct quire_object *object, uint64_t first, uint64_t end, unsigned keep)
{
	unsigned first_keep = keep;

	if (first >= end)
		return 0;
	if (QUIRE_MISTAKE(PUNCH_DROPS_MARKERS))
		first_keep &= ~(unsigned)ZAP_KEEP_PROTECTION;
	rmap_walk(object->machine, &object->rmap, first, end, zap_piece, &first_keep);
	object_drop_pages(object, first, end, false);
	rmap_walk(object->machine, &object->rmap, first, end, zap_piece, &keep);
	return object_changed(object, first, end);
}

/* Makes the bytes of [start, end), which lie in one page, zeros; reads the page if need be. */
static int clear(struct quire_object *object, uint64_t start, uint64_t end)
{
	unsigned tries = 0;
	int error;

	if (start >= end)
		return 0;
	do
		error = object_clear_bytes(object, start, end - start);
	while (error == -NO_FRAMES && machine_reclaim(object->machine, &tries));
	if (!error)
		error = object_changed(object, start >> PAGE_SHIFT, (start >> PAGE_SHIFT) + 1);
	return error == -NO_FRAMES ? -QUIRE_ENOMEM : error;
}

/* One change at a time. */
static int truncate(struct quire_object *object, uint64_t size)
{
	uint64_t before = quire_object_size(object);
	int error;

	/* What lies behind the end in the last page must be zeros when the object grows again. */
	error = size < before ? clear(object, size, min_u64(page_up(size), before)) : 0;
	if (error)
		return error;
	object_lock(object);
	object->size = size;
	object_unlock(object);
	error = remove_pages(object, page_up(size) >> PAGE_SHIFT, UINT64_MAX >> PAGE_SHIFT,
			     TRUNCATE_KEEPS);
	return error ? error : clear(object, size, size < before ? page_up(size) : size);
}

int quire_object_truncate(struct quire_object *object, uint64_t size)
{
	int error;

	if (object->operations->read_only)
		return -QUIRE_EACCES;
	if (size > QUIRE_OBJECT_MAX)
		return -QUIRE_EINVAL;
	object_begin_change(object);
	error = truncate(object, size);
	object_end_change(object);
	return error;
}

static int punch(struct quire_object *object, uint64_t offset, uint64_t end)
{
	uint64_t first = page_up(offset), last = page_down(end);
	int error;

	if (first > last) /* inside one page */
		return clear(object, offset, end);
	error = clear(object, offset, first);
	if (!error)
		error = clear(object, last, end);
	if (!error)
		error = remove_pages(object, first >> PAGE_SHIFT, last >> PAGE_SHIFT, PUNCH_KEEPS);
	return error;
}

int quire_object_punch(struct quire_object *object, uint64_t offset, uint64_t length)
{
	int error = object_check_span(object, offset, length);

	if (error)
		return error;
	object_begin_change(object);
	error = punch(object, offset, offset + length);
	object_end_change(object);
	return error;
}
