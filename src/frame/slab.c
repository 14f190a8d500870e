/* SPDX-License-Identifier: MIT */
/*
 * Small objects on frames.
 *
 * A frame of a class of `size` bytes holds PAGE_SIZE / size objects side by side.  Its descriptor,
 * not the frame, says which are free: those from `carved` on have never been used, and of the
 * others those in the chain `free`, each of which begins with a pointer to the next.  So a new
 * frame costs nothing but its zeroed first object.
 *
 *	object     0      1      2      3      4      5
 *	frame    | used | free | used | free | used | never used ...
 *	descriptor: carved 5, used 3, free → 3 → 1
 *
 * A frame is in its class's list `partial` while it has both a free and a used object: a full frame
 * is in no list, and an empty one has gone back.  The class is known by the size, and the frame of
 * an object by its address, so that freeing searches nothing.
 */
#include "frame/machine.h"

#define SLAB_SMALLEST 32
#define POISON	      0x5a /* what objects that are not in use hold, where assertions are on */

static unsigned class_of(size_t size)
{
	unsigned size_class = 0;

	while ((size_t)SLAB_SMALLEST << size_class < size)
		size_class++;
	return size_class;
}

static uint32_t capacity(const struct frame *frame)
{
	return (uint32_t)PAGE_SIZE / frame->slab.size;
}

static bool has_free(const struct frame *frame)
{
	return frame->slab.used < capacity(frame);
}

void slabs_init(struct quire_machine *machine)
{
	for (unsigned size_class = 0; size_class < SLAB_CLASSES; size_class++)
		list_init(&machine->slabs.partial[size_class]);
}

static struct frame *new_slab(struct quire_machine *machine, unsigned size_class)
{
	struct frame *frame = frame_alloc_uncounted(machine);

	if (!frame)
		return NULL;
	frame_set_kind(machine, frame, FRAME_SLAB);
	frame->slab.free = NULL;
	frame->slab.size = (uint32_t)SLAB_SMALLEST << size_class;
	frame->slab.used = 0;
	frame->slab.carved = 0;
	list_insert_after(&machine->slabs.partial[size_class], &frame->link);
	return frame;
}

static void *take_object(struct quire_machine *machine, struct frame *frame)
{
	void *object = frame->slab.free;

	if (object) {
		frame->slab.free = *(void **)object;
	} else {
		object = (char *)frame_memory(machine, frame) +
			 (size_t)frame->slab.carved * frame->slab.size;
		frame->slab.carved++;
	}
	frame->slab.used++;
	if (!has_free(frame))
		list_remove(&frame->link);
	return object;
}

void *slab_alloc(struct quire_machine *machine, size_t size)
{
	unsigned size_class = class_of(size);
	struct list_link *partial = &machine->slabs.partial[size_class];
	struct frame *frame;
	void *object = NULL;

	quire_assert(size > 0 && size_class < SLAB_CLASSES);
	if (frames_must_fail(machine))
		return NULL;

	machine_lock(machine, &machine->slabs.lock);
	if (list_empty(partial))
		frame = new_slab(machine, size_class);
	else
		frame = container_of(partial->next, struct frame, link);
	if (frame)
		object = take_object(machine, frame);
	machine_unlock(machine, &machine->slabs.lock);

	if (object)
		memset(object, 0, size);
	return object;
}

/* The frame that holds an object, which must be where objects of its class can be. */
static struct frame *frame_of(struct quire_machine *machine, void *object)
{
	uint64_t offset = (uint64_t)((char *)object - machine->frames.memory);
	struct frame *frame = &machine->frames.descriptors[offset >> PAGE_SHIFT];

	quire_assert(offset >> PAGE_SHIFT < machine->frames.count);
	quire_assert(frame->kind == FRAME_SLAB);
	quire_assert((offset & (PAGE_SIZE - 1) & (frame->slab.size - 1)) == 0);
	return frame;
}

void slab_free(struct quire_machine *machine, void *object)
{
	struct frame *frame, *empty = NULL;

	if (!object)
		return;
	frame = frame_of(machine, object);
	if (QUIRE_ASSERTIONS)
		memset(object, POISON, frame->slab.size);

	machine_lock(machine, &machine->slabs.lock);
	quire_assert(frame->slab.used > 0);
	if (!has_free(frame))
		list_insert_after(&machine->slabs.partial[class_of(frame->slab.size)],
				  &frame->link);
	*(void **)object = frame->slab.free;
	frame->slab.free = object;
	if (--frame->slab.used == 0) {
		list_remove(&frame->link);
		empty = frame;
	}
	machine_unlock(machine, &machine->slabs.lock);

	if (empty)
		frame_free(machine, empty);
}

/* Whether the chain of free objects stays in the frame and has the length that the counts imply. */
static bool chain_valid(const struct quire_machine *machine, const struct frame *frame)
{
	uint32_t expected = (uint32_t)frame->slab.carved - frame->slab.used, found = 0;

	for (void *object = frame->slab.free; object; object = *(void **)object) {
		uint64_t offset = (uint64_t)((char *)object - (char *)frame_memory(machine, frame));

		if (offset / frame->slab.size >= frame->slab.carved ||
		    offset % frame->slab.size != 0 || ++found > expected)
			return false;
	}
	return found == expected;
}

static bool slab_valid(const struct quire_machine *machine, const struct frame *frame,
		       unsigned size_class)
{
	return frame->kind == FRAME_SLAB && frame->order == 0 &&
	       frame->slab.size == (uint32_t)SLAB_SMALLEST << size_class && frame->slab.used > 0 &&
	       has_free(frame) && frame->slab.used <= frame->slab.carved &&
	       frame->slab.carved <= capacity(frame) && chain_valid(machine, frame);
}

bool slabs_valid(struct quire_machine *machine)
{
	struct slabs *slabs = &machine->slabs;
	bool valid = true;

	machine_lock(machine, &slabs->lock);
	for (unsigned size_class = 0; size_class < SLAB_CLASSES; size_class++) {
		struct list_link *head = &slabs->partial[size_class], *link = head->next;

		for (; valid && link != head; link = link->next)
			valid = link->next->previous == link &&
				slab_valid(machine, container_of(link, struct frame, link),
					   size_class);
	}
	machine_unlock(machine, &slabs->lock);
	return valid;
}
