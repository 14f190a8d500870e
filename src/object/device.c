/* SPDX-License-Identifier: MIT */
/*
 * Device memory as an object: asking the device where its pages are; reading, writing and allocating
 * through it.
 *
 * The device is asked with no lock held, so its answer may be untrue by the time it is used.  It is
 * true as long as object->generation is what it was before the question: whoever makes an answer untrue
 * (src/space/revoke.c) counts the generation on first, with object->changing held for writing, and then
 * takes the old leaves out of every mapping, with its space's lock held for writing.  So an answer that
 * is true under a space's lock for reading is still so, or will be revoked, when it has been
 * installed; and the memory of one that is true with object->changing held can be read and written.
 */
#include "object/object.h"

/* What all devices have in common with other objects. */
static const struct quire_object_operations device_operations;
static const struct quire_object_operations read_only_operations = {.read_only = true};

static uint64_t pages_of(unsigned level)
{
	return table_span(level) >> PAGE_SHIFT;
}

static bool operations_valid(const struct quire_device_operations *operations, uint64_t size)
{
	uint64_t unit = 1;

	if (!operations->map || operations->level > DEVICE_LEVEL_MAX || size > QUIRE_OBJECT_MAX)
		return false;
	switch (operations->kind) {
	case QUIRE_DEVICE_DAX:
		unit = table_span(operations->level);
		break;
	case QUIRE_DEVICE_PFN:
		unit = PAGE_SIZE;
		break;
	case QUIRE_DEVICE_FSDAX:
		break;
	default:
		return false;
	}
	return size % unit == 0;
}

int quire_device_create(struct quire_machine *machine, uint64_t size,
			const struct quire_device_operations *operations, void *context,
			struct quire_object **object)
{
	int error;

	if (!operations_valid(operations, size))
		return -QUIRE_EINVAL;
	error = quire_object_create(
		machine, size, operations->read_only ? &read_only_operations : &device_operations,
		context, object);
	if (!error)
		(*object)->device = operations;
	return error;
}

/* Whether the answer is one to the question. */
static bool sensible(const struct quire_object *object, const struct device_answer *answer)
{
	uint64_t pages;

	if (answer->leaf.level > answer->level ||
	    (device_page_level(object) && answer->leaf.level != answer->level))
		return false;
	pages = pages_of(answer->leaf.level);
	return answer->leaf.frame % pages == 0 &&
	       device_memory_holds(object->machine, answer->leaf.frame, pages);
}

int device_ask(struct quire_object *object, struct device_answer *answer)
{
	uint64_t offset = answer->index << PAGE_SHIFT;
	int error;

	answer->generation = atomic_load_explicit(&object->generation, memory_order_acquire);
	answer->leaf = (struct quire_device_leaf){0};
	error = object->device->map(object->context, answer->index, answer->level, answer->write,
				    &answer->leaf);
	if (error) {
		if (error > 0 || error <= -NO_FRAMES)
			error = -QUIRE_EIO;
		machine_log(object->machine, "a device has no leaf for a page, at offset", offset);
		return error;
	}
	if (sensible(object, answer))
		return 0;
	machine_log(object->machine, "a device answers with a leaf that cannot be, at offset",
		    offset);
	return -QUIRE_EIO;
}

static void change_lock(struct quire_object *object, bool write)
{
	if (write)
		quire_port_write_lock(object->machine->host, &object->changing);
	else
		quire_port_read_lock(object->machine->host, &object->changing);
}

static void change_unlock(struct quire_object *object, bool write)
{
	if (write)
		quire_port_write_unlock(object->machine->host, &object->changing);
	else
		quire_port_read_unlock(object->machine->host, &object->changing);
}

/* The object is at least `size` bytes. */
static void extend(struct quire_object *object, uint64_t size)
{
	object_lock(object);
	object->size = max_u64(object->size, size);
	object_unlock(object);
}

/* Asks until the answer is true with the lock for changes held, which the caller lets go of. */
static int ask_and_lock(struct quire_object *object, struct device_answer *answer, bool write)
{
	for (;;) {
		int error = device_ask(object, answer);

		if (error)
			return error;
		change_lock(object, write);
		if (device_answer_true(object, answer))
			return 0;
		change_unlock(object, write);
	}
}

/* All bytes lie in one page. */
int device_read(struct quire_object *object, uint64_t offset, void *buffer, size_t bytes)
{
	struct device_answer answer = {.index = offset >> PAGE_SHIFT};
	int error = ask_and_lock(object, &answer, false);

	if (error)
		return error;
	memcpy(buffer,
	       (char *)page_memory(object->machine, device_answer_page(&answer)) +
		       offset % PAGE_SIZE,
	       bytes);
	change_unlock(object, false);
	return 0;
}

int device_write(struct quire_object *object, uint64_t offset, const void *buffer, size_t bytes)
{
	struct device_answer answer = {.index = offset >> PAGE_SHIFT, .write = true};
	int error = ask_and_lock(object, &answer, true);

	if (error)
		return error;
	memcpy((char *)page_memory(object->machine, device_answer_page(&answer)) +
		       offset % PAGE_SIZE,
	       buffer, bytes);
	extend(object, offset + bytes);
	change_unlock(object, true);
	return 0;
}

int device_allocate(struct quire_object *object, uint64_t start, uint64_t end)
{
	uint64_t index = start >> PAGE_SHIFT, last = page_up(end) >> PAGE_SHIFT;

	while (index < last) {
		struct device_answer answer = {
			.index = index, .level = object->device->level, .write = true};
		int error;

		while (index % pages_of(answer.level) || pages_of(answer.level) > last - index)
			answer.level--;
		error = device_ask(object, &answer);
		if (error)
			return error;
		index += pages_of(answer.leaf.level);
	}
	change_lock(object, true);
	extend(object, end);
	change_unlock(object, true);
	return 0;
}
