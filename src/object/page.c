/* SPDX-License-Identifier: MIT */
/*
 * Pages of an object: finding, making and dropping them.
 */
#include "object/object.h"

/* Lock held: whether the object ends before page `index`. */
static bool ends_before(const struct quire_object *object, uint64_t index)
{
	return index >= page_up(object->size) >> PAGE_SHIFT;
}

enum object_page object_find_page(struct quire_object *object, uint64_t index, struct frame **frame)
{
	enum object_page answer = PAGE_ABSENT;

	object_lock(object);
	*frame = cache_find(object, index);
	if (ends_before(object, index)) {
		answer = PAGE_BEYOND;
	} else if (*frame) {
		frame_hold(*frame, FRAME_ONE_REFERENCE);
		answer = PAGE_FOUND;
	}
	object_unlock(object);
	return answer;
}

/* A page that is in no cache yet, with one reference. */
static int new_page(struct quire_object *object, uint64_t index, struct frame **frame)
{
	struct quire_machine *machine = object->machine;
	int error = 0;

	*frame = object_sleeps(object) ? frame_alloc(machine, 0) : frame_alloc_zeroed(machine);
	if (!*frame)
		return -NO_FRAMES;
	atomic_store_explicit(&(*frame)->folio.owner, 0, memory_order_relaxed);
	if (object_sleeps(object))
		error = object->operations->read_page(object->context, index,
						      frame_memory(machine, *frame));
	if (error) {
		frame_free(machine, *frame);
		return error;
	}
	frame_set_kind(machine, *frame, object->kind);
	atomic_store_explicit(&(*frame)->holders, FRAME_ONE_REFERENCE, memory_order_relaxed);
	return 0;
}

/* Puts the new page in, unless another has come to be there; *frame: what is there. */
static int insert(struct quire_object *object, uint64_t index, bool beyond, struct frame **frame)
{
	struct frame *fresh = *frame, *found;
	int error = 0;

	object_lock(object);
	found = cache_find(object, index);
	if (!beyond && ends_before(object, index))
		error = -QUIRE_EFBIG;
	else if (!found)
		error = cache_insert(object, index, fresh);
	if (!error) {
		*frame = found ? found : fresh;
		frame_hold(*frame, FRAME_ONE_REFERENCE);
	}
	object_unlock(object);
	if (error || found)
		frame_put(object->machine, fresh);
	return error;
}

int object_make_page(struct quire_object *object, uint64_t index, bool beyond, struct frame **frame)
{
	int error;

	switch (object_find_page(object, index, frame)) {
	case PAGE_FOUND:
		return 0;
	case PAGE_BEYOND:
		if (!beyond)
			return -QUIRE_EFBIG;
		break;
	case PAGE_ABSENT:
		break;
	}
	error = new_page(object, index, frame);
	return error ? error : insert(object, index, beyond, frame);
}

int object_add_page(struct quire_object *object, uint64_t index, struct frame *frame)
{
	int error;

	object_lock(object);
	if (ends_before(object, index))
		error = -QUIRE_EFBIG;
	else if (cache_find(object, index))
		error = -QUIRE_EEXIST;
	else
		error = cache_insert(object, index, frame);
	if (!error) {
		frame_set_kind(object->machine, frame, object->kind);
		atomic_store_explicit(&frame->holders, 2 * FRAME_ONE_REFERENCE,
				      memory_order_relaxed);
	}
	object_unlock(object);
	return error;
}

bool object_take_back(struct quire_object *object, uint64_t index, struct frame *frame)
{
	uint64_t both = 2 * FRAME_ONE_REFERENCE;
	bool alone;

	object_lock(object);
	alone = cache_find(object, index) == frame &&
		atomic_load_explicit(&frame->holders, memory_order_acquire) == both;
	if (alone) {
		cache_remove(object, index);
		atomic_store_explicit(&frame->holders, 0, memory_order_relaxed);
	}
	object_unlock(object);
	return alone;
}

void object_drop_pages(struct quire_object *object, uint64_t start, uint64_t end)
{
	struct frame *frame;

	object_lock(object);
	while ((frame = cache_next(object, &start, end))) {
		cache_remove(object, start);
		frame_put(object->machine, frame);
	}
	object_unlock(object);
}

int object_clear_bytes(struct quire_object *object, uint64_t offset, uint64_t bytes)
{
	uint64_t index = offset >> PAGE_SHIFT;
	struct frame *frame;
	int error = 0;

	if (object_sleeps(object))
		error = object_make_page(object, index, true, &frame);
	else if (object_find_page(object, index, &frame) != PAGE_FOUND)
		return 0; /* it is zeros */
	if (error)
		return error;
	memset((char *)frame_memory(object->machine, frame) + offset % PAGE_SIZE, 0, bytes);
	frame_mark(frame, FRAME_DIRTY);
	frame_put(object->machine, frame);
	return 0;
}
