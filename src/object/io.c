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

/* object_make_page() with reclaim; what the public functions say of it. */
static int make_page(struct quire_object *object, uint64_t offset, bool beyond,
		     struct frame **frame)
{
	unsigned tries = 0;
	int error;

	do
		error = object_make_page(object, offset >> PAGE_SHIFT, beyond, frame);
	while (error == -NO_FRAMES && machine_reclaim(object->machine, &tries));
	return error == -NO_FRAMES ? -QUIRE_ENOMEM : error;
}

/* One page's part of a read.  What has been cut off meanwhile reads as zeros. */
static int read_page(struct quire_object *object, uint64_t offset, unsigned char *buffer,
		     size_t bytes)
{
	struct frame *frame;
	int error = 0;

	switch (object_find_page(object, offset >> PAGE_SHIFT, &frame)) {
	case PAGE_FOUND:
		break;
	case PAGE_ABSENT:
	case PAGE_BEYOND:
		if (!object_sleeps(object)) {
			memset(buffer, 0, bytes);
			return 0;
		}
		error = make_page(object, offset, true, &frame);
		break;
	case PAGE_SWAPPED:
		error = make_page(object, offset, true, &frame);
		break;
	}
	if (error)
		return error;
	memcpy(buffer, (char *)frame_memory(object->machine, frame) + offset % PAGE_SIZE, bytes);
	frame_put(object->machine, frame);
	return 0;
}

int quire_object_read(struct quire_object *object, uint64_t offset, void *buffer, size_t length,
		      size_t *done)
{
	uint64_t size = quire_object_size(object);
	uint64_t left = offset < size ? min_u64(length, size - offset) : 0;

	*done = 0;
	if (!holds(offset, length))
		return -QUIRE_EINVAL;
	while (*done < left) {
		size_t bytes = bytes_here(offset + *done, left - *done);
		int error =
			read_page(object, offset + *done, (unsigned char *)buffer + *done, bytes);

		if (error)
			return error;
		*done += bytes;
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
	if (!holds(offset, length))
		return -QUIRE_EFBIG;
	return object->operations->read_only ? -QUIRE_EACCES : 0;
}

static int write_page(struct quire_object *object, uint64_t offset, const unsigned char *buffer,
		      size_t bytes)
{
	struct frame *frame;
	int error = make_page(object, offset, true, &frame);

	if (error)
		return error;
	memcpy((char *)frame_memory(object->machine, frame) + offset % PAGE_SIZE, buffer, bytes);
	frame_mark(frame, FRAME_DIRTY);
	frame_unmark(frame, FRAME_UNUSED);
	extend(object, offset + bytes);
	frame_put(object->machine, frame);
	return object_changed(object, offset >> PAGE_SHIFT, (offset >> PAGE_SHIFT) + 1);
}

int quire_object_write(struct quire_object *object, uint64_t offset, const void *buffer,
		       size_t length, size_t *done)
{
	int error = 0;

	*done = 0;
	if (!holds(offset, length))
		return -QUIRE_EINVAL;
	if (object->operations->read_only)
		return -QUIRE_EACCES;
	object_begin_change(object);
	while (!error && *done < length) {
		size_t bytes = bytes_here(offset + *done, length - *done);

		error = write_page(object, offset + *done, (const unsigned char *)buffer + *done,
				   bytes);
		if (!error)
			*done += bytes;
	}
	object_end_change(object);
	return error;
}

/* A page that nobody asks for yet; one that is in swap comes back. */
static int allocate_page(struct quire_object *object, uint64_t offset)
{
	struct frame *frame;
	enum object_page there = object_find_page(object, offset >> PAGE_SHIFT, &frame);
	int error = 0;

	if (there != PAGE_FOUND)
		error = make_page(object, offset, true, &frame);
	if (error)
		return error;
	if (there != PAGE_FOUND && there != PAGE_SWAPPED)
		frame_mark(frame, FRAME_UNUSED);
	else
		frame_unmark(frame, FRAME_UNUSED);
	frame_mark(frame, FRAME_DIRTY);
	frame_put(object->machine, frame);
	return 0;
}

int quire_object_allocate(struct quire_object *object, uint64_t offset, uint64_t length)
{
	uint64_t start = page_down(offset), page = start, end = offset + length;
	int error = object_check_span(object, offset, length);

	if (error)
		return error;
	object_begin_change(object);
	for (; !error && page < end; page += PAGE_SIZE)
		error = allocate_page(object, page);
	if (!error)
		extend(object, end);
	else
		object_drop_pages(object, start >> PAGE_SHIFT, page >> PAGE_SHIFT, true);
	object_end_change(object);
	return error;
}

uint64_t quire_object_resident(struct quire_object *object, uint64_t offset, uint64_t length)
{
	uint64_t index = offset >> PAGE_SHIFT, end = UINT64_MAX >> PAGE_SHIFT, pages = 0;

	if (length == 0)
		return 0;
	if (length < UINT64_MAX - offset - PAGE_SIZE)
		end = page_up(offset + length) >> PAGE_SHIFT;
	object_lock(object);
	for (cache_entry entry; (entry = cache_next(object, &index, end)); index++)
		pages += cache_page(entry) != NULL;
	object_unlock(object);
	return pages;
}
