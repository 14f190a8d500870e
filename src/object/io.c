/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing an object, as through a file descriptor, and what it has in memory.
 */
#include "object/object.h"

/* The bytes from `offset` on that lie in its page, at most `left`. */
static size_t bytes_here(uint64_t offset, uint64_t left)
{
	return (size_t)min_u64(left, PAGE_SIZE - offset % PAGE_SIZE);
}

/* Whether the range lies in what an object can have. */
static bool holds(uint64_t offset, uint64_t length)
{
	return offset <= QUIRE_OBJECT_MAX && length <= QUIRE_OBJECT_MAX - offset;
}

/* One page's part of a read.  What has been cut off meanwhile reads as zeros. */
static int read_page(struct quire_object *object, uint64_t offset, unsigned char *buffer,
		     size_t bytes)
{
	uint64_t index = offset >> PAGE_SHIFT;
	struct folio *folio;
	int error = 0;

	if (object->device) {
		error = device_read(object, offset, buffer, bytes);
		return quire_object_size(object) <= offset ? 0 : error;
	}
	switch (object_find_page(object, index, &folio)) {
	case PAGE_FOUND:
		break;
	case PAGE_BEYOND:
		folio = NULL;
		break;
	case PAGE_ABSENT:
		if (object_sleeps(object))
			error = object_bring_in(object, index, 0, &folio);
		break;
	case PAGE_SWAPPED:
		error = object_bring_in(object, index, MAKE_SWAPPED, &folio);
		break;
	}
	if (error && error != -QUIRE_EFBIG)
		return error;
	if (!folio) {
		memset(buffer, 0, bytes);
		return 0;
	}
	memcpy(buffer, (char *)folio_memory(object->machine, folio) + offset % PAGE_SIZE, bytes);
	folio_put(object->machine, folio);
	return 0;
}

/* Of [offset, offset + length), before the end. */
static uint64_t bytes_left(struct quire_object *object, uint64_t offset, uint64_t length)
{
	uint64_t size = quire_object_size(object);

	return offset < size ? min_u64(length, size - offset) : 0;
}

int quire_object_read(struct quire_object *object, uint64_t offset, void *buffer, size_t length,
		      size_t *done)
{
	uint64_t left = bytes_left(object, offset, length);

	*done = 0;
	if (!holds(offset, length) || !object_has_bytes(object))
		return -QUIRE_EINVAL;
	while (*done < left) {
		size_t bytes = bytes_here(offset + *done, left - *done);
		int error =
			read_page(object, offset + *done, (unsigned char *)buffer + *done, bytes);

		if (error)
			return error;
		/* What was cut off meanwhile has not been read: it would be zeros that nobody wrote. */
		if (!QUIRE_MISTAKE(READ_BEHIND_END))
			left = min_u64(left, bytes_left(object, offset, length));
		if (*done < left)
			*done += min_u64(bytes, left - *done);
	}
	return 0;
}

/* The object is at least `size` bytes. */
static void extend(struct quire_object *object, uint64_t size)
{
	object_lock(object);
	object->size = max_u64(object->size, size);
	object_unlock(object);
}

int object_check_span(const struct quire_object *object, uint64_t offset, uint64_t length)
{
	if (length == 0 || length > QUIRE_OBJECT_MAX || offset > QUIRE_OBJECT_MAX)
		return -QUIRE_EINVAL;
	if (!object_has_bytes(object))
		return -QUIRE_ENODEV;
	if (!holds(offset, length))
		return -QUIRE_EFBIG;
	return object->operations->read_only ? -QUIRE_EACCES : 0;
}

struct writing {
	struct object_change change;
	uint64_t offset;
	const unsigned char *buffer;
	size_t length;
	size_t *done;
};

/* Up to the end, or to the first page that it must wait for. */
static int make_write(struct object_change *change)
{
	struct writing *writing = container_of(change, struct writing, change);
	struct quire_object *object = change->object;

	while (*writing->done < writing->length) {
		uint64_t offset = writing->offset + *writing->done;
		size_t bytes = bytes_here(offset, writing->length - *writing->done);
		struct folio *folio;
		int error = change_page(change, offset >> PAGE_SHIFT, &folio);

		if (error)
			return error;
		memcpy((char *)folio_memory(object->machine, folio) + offset % PAGE_SIZE,
		       writing->buffer + *writing->done, bytes);
		folio_mark(folio, FRAME_DIRTY);
		folio_unmark(folio, FRAME_UNUSED);
		extend(object, offset + bytes);
		folio_put(object->machine, folio);
		*writing->done += bytes;
	}
	return 0;
}

/* Others change the object between two pages. */
static int write_device(struct writing *writing)
{
	int error = 0;

	while (!error && *writing->done < writing->length) {
		uint64_t offset = writing->offset + *writing->done;
		size_t bytes = bytes_here(offset, writing->length - *writing->done);

		error = device_write(writing->change.object, offset,
				     writing->buffer + *writing->done, bytes);
		if (!error)
			*writing->done += bytes;
	}
	return error;
}

int quire_object_write(struct quire_object *object, uint64_t offset, const void *buffer,
		       size_t length, size_t *done)
{
	struct writing writing = {.change = {.object = object, .make = make_write},
				  .offset = offset,
				  .buffer = buffer,
				  .length = length,
				  .done = done};
	int error, unheard;

	*done = 0;
	if (!holds(offset, length) || !object_has_bytes(object))
		return -QUIRE_EINVAL;
	if (object->operations->read_only)
		return -QUIRE_EACCES;
	error = object->device ? write_device(&writing) : object_change(&writing.change);
	unheard =
		object_changed(object, offset >> PAGE_SHIFT, page_up(offset + *done) >> PAGE_SHIFT);
	return error ? error : unheard;
}

struct allocating {
	struct object_change change;
	uint64_t start, page, end; /* offsets; page: up to where it is done */
};

/* A page that nobody asks for yet; one that is in swap comes back.  What others have allocated stays
 * if this fails. */
static int allocate_page(struct object_change *change, uint64_t offset)
{
	struct folio *folio;
	int error = 0;

	if (object_find_page(change->object, offset >> PAGE_SHIFT, &folio) != PAGE_FOUND)
		error = change_page(change, offset >> PAGE_SHIFT, &folio);
	else if (folio != change->held[0])
		folio_unmark(folio, FRAME_UNUSED);
	if (error)
		return error;
	if (QUIRE_MISTAKE(ALLOCATE_MARKS_LATE))
		folio_mark(folio, FRAME_UNUSED);
	folio_mark(folio, FRAME_DIRTY);
	folio_put(change->object->machine, folio);
	return 0;
}

static int make_allocate(struct object_change *change)
{
	struct allocating *allocating = container_of(change, struct allocating, change);
	int error = 0;

	while (!error && allocating->page < allocating->end) {
		error = allocate_page(change, allocating->page);
		if (!error)
			allocating->page += PAGE_SIZE;
	}
	if (!error)
		extend(change->object, allocating->end);
	return error;
}

static int undo_allocate(struct object_change *change)
{
	struct allocating *allocating = container_of(change, struct allocating, change);

	object_drop_pages(change->object, allocating->start >> PAGE_SHIFT,
			  allocating->page >> PAGE_SHIFT, true);
	return 0;
}

int quire_object_allocate(struct quire_object *object, uint64_t offset, uint64_t length)
{
	struct allocating allocating = {
		.change = {.object = object, .make = make_allocate, .how = MAKE_UNUSED},
		.start = page_down(offset),
		.page = page_down(offset),
		.end = offset + length};
	int error = object_check_span(object, offset, length);

	if (error)
		return error;
	if (object->device)
		return device_allocate(object, allocating.start, allocating.end);
	error = object_change(&allocating.change);
	if (error) {
		allocating.change.make = undo_allocate;
		object_change(&allocating.change);
	}
	return error;
}
