/* SPDX-License-Identifier: MIT */
/*
 * Devices for tests: memory that is taken page by page as it is touched, page `index` of a device at
 * the frame of that number behind its first.
 */
#ifndef QUIRE_DEVICE_FIXTURE_H
#define QUIRE_DEVICE_FIXTURE_H

#include <string.h>
#include <sys/mman.h>

#include "soft_fixture.h"

#define GIB	     ((uint64_t)1 << 30)
#define DEVICE_FRAME ((uint64_t)1 << 30) /* of the first device; the others follow at every 2^20 */

static inline uint64_t leaf_pages(unsigned level)
{
	return (uint64_t)1 << (9 * level);
}

struct device {
	struct quire_device_operations operations;
	struct quire_machine *machine;
	struct quire_object *object;
	unsigned char *memory;
	uint64_t frame, bytes;
	/* what is to go wrong: an error, or an answer; NULL: nothing */
	_Atomic int error;
	_Atomic(const struct quire_device_leaf *) answer;
	void (*_Atomic meanwhile)(
		struct device *device); /* called once while the device is asked */
	_Atomic unsigned highest;	/* leaves are of this level at most */
	_Atomic uint64_t moved;		/* pages are so many frames behind their place */
	/* what was asked last, and how often */
	_Atomic uint64_t asked, index;
	_Atomic unsigned level;
	_Atomic bool write;
	uint64_t discarded, discarded_count; /* last */
	bool discard_splits;		     /* what is left is mapped by the page */
	unsigned released;
};

static inline int device_map(void *context, uint64_t index, unsigned level, bool write,
			     struct quire_device_leaf *leaf)
{
	struct device *device = context;
	void (*meanwhile)(struct device *) = device->meanwhile;
	unsigned highest = device->highest; /* as it looked before it slept */

	device->asked++;
	device->index = index;
	device->level = level;
	device->write = write;
	device->meanwhile = NULL;
	if (meanwhile)
		meanwhile(device);
	if (device->error)
		return device->error;
	if (device->answer) {
		*leaf = *device->answer;
		return 0;
	}
	if (index >= device->bytes / PAGE)
		return -QUIRE_ENOSPC;
	leaf->level = level < highest ? level : highest;
	leaf->frame = device->frame + device->moved +
		      index / leaf_pages(leaf->level) * leaf_pages(leaf->level);
	return 0;
}

static inline void device_discard(void *context, uint64_t index, uint64_t count)
{
	struct device *device = context;

	device->discarded = index;
	device->discarded_count = count;
	if (device->discard_splits)
		device->highest = 0;
	assert_int_equal(madvise(device->memory + index * PAGE, count * PAGE, MADV_DONTNEED), 0);
}

static inline void device_release(void *context)
{
	struct device *device = context;

	device->released++;
}

/* The n-th device of a machine: `size` bytes, and memory for `bytes`. */
static inline void device_open_sized(struct device *device, struct quire_machine *machine,
				     unsigned number, enum quire_device_kind kind, unsigned level,
				     uint64_t size, uint64_t bytes)
{
	*device = (struct device){
		.operations = {.kind = kind,
			       .level = level,
			       .map = device_map,
			       .discard = kind == QUIRE_DEVICE_FSDAX ? device_discard : NULL,
			       .release = device_release},
		.machine = machine,
		.frame = DEVICE_FRAME + (uint64_t)number * (1 << 20),
		.bytes = bytes,
		.highest = level,
	};
	device->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(device->memory, MAP_FAILED);
	assert_int_equal(
		quire_device_memory_add(machine, device->frame, bytes / PAGE, device->memory), 0);
	assert_int_equal(
		quire_device_create(machine, size, &device->operations, device, &device->object),
		0);
}

static inline void device_open(struct device *device, struct quire_machine *machine,
			       unsigned number, enum quire_device_kind kind, unsigned level,
			       uint64_t size)
{
	device_open_sized(device, machine, number, kind, level, size, size);
}

/* Nothing maps it any more. */
static inline void device_close(struct device *device)
{
	quire_object_put(device->object);
	assert_int_equal(device->released, 1);
	assert_int_equal(quire_device_memory_remove(device->machine, device->frame), 0);
	munmap(device->memory, device->bytes);
}

#endif
