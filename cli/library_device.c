/* SPDX-License-Identifier: MIT */
/*
 * The quire target's devices: memory beside the machine's, which the host gives page by page as it is touched.
 *
 * Page `index` of a device is always the same frame.  A file of extents (DEVICE_FSDAX) may have holes: what reads there maps a
 * block of zeros that all holes share, what writes fills as much of the hole as one leaf, if nothing else is in its way.  Whoever
 * fills a hole takes the zeros out of every mapping first.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <quire/device.h>

#include "library_target.h"
#include "window.h"

#define FIRST_FRAME (UINT64_C(1) << 30)	 /* 4T: no machine has that much */
#define GROWTH	    (UINT64_C(64) << 20) /* that a file may grow, at least */

struct device {
	struct target *target;
	struct quire_object *object;
	enum device_kind kind;
	unsigned level; /* of its largest leaves */
	unsigned char *memory;
	uint64_t frame, frames; /* the zeros of holes come last */
	uint64_t room;		/* pages, of whole extents */
	bool *filled;		/* DEVICE_FSDAX: by page; the others are holes */
	struct device *next;
};

static uint64_t leaf_pages(unsigned level)
{
	uint64_t pages = 1;

	while (level--)
		pages *= TABLE_BYTES / QUIRE_PAGE_SIZE;
	return pages;
}

static uint64_t page_count(uint64_t size)
{
	return size / QUIRE_PAGE_SIZE + (size % QUIRE_PAGE_SIZE != 0);
}

static uint64_t align_up(uint64_t pages, uint64_t to)
{
	return (pages + to - 1) / to * to;
}

/* Of the leaf of this level that has the page. */
static uint64_t leaf_start(uint64_t index, unsigned level)
{
	return index / leaf_pages(level) * leaf_pages(level);
}

/* The leaf lies in the file, and all of it is filled, or all of it is a hole. */
static bool uniform(const struct device *device, uint64_t index, unsigned level)
{
	uint64_t start = leaf_start(index, level), end = start + leaf_pages(level);

	if (end > device->room || end > page_count(quire_object_size(device->object)))
		return false;
	for (uint64_t i = start; device->filled && i < end; i++)
		if (device->filled[i] != device->filled[index])
			return false;
	return true;
}

static unsigned largest_leaf(const struct device *device, uint64_t index, unsigned level)
{
	if (level > device->level)
		level = device->level;
	while (level && !uniform(device, index, level))
		level--;
	return level;
}

static void fill(struct device *device, uint64_t index, unsigned level)
{
	uint64_t start = leaf_start(index, level), pages = leaf_pages(level);

	memset(device->filled + start, true, pages);
	quire_device_revoke(device->object, start * QUIRE_PAGE_SIZE, pages * QUIRE_PAGE_SIZE);
}

static int device_map(void *context, uint64_t index, unsigned level, bool write,
		      struct quire_device_leaf *leaf)
{
	struct device *device = context;
	bool hole = device->filled && index < device->room && !device->filled[index];

	if (index >= device->room)
		return -QUIRE_ENOSPC;
	level = device->kind == DEVICE_DAX ? device->level : largest_leaf(device, index, level);
	if (hole && write)
		fill(device, index, level);
	leaf->level = level;
	leaf->frame = device->frame + (hole && !write ? device->room : leaf_start(index, level));
	return 0;
}

static void device_discard(void *context, uint64_t index, uint64_t count)
{
	struct device *device = context;

	if (index >= device->room)
		return;
	if (count > device->room - index)
		count = device->room - index;
	memset(device->filled + index, false, count);
	if (madvise(device->memory + index * QUIRE_PAGE_SIZE, count * QUIRE_PAGE_SIZE,
		    MADV_DONTNEED))
		target_fail("quire: the host keeps memory of a device");
}

static const struct quire_device_operations operations[DEVICE_KINDS][3] = {
#define OF_LEVEL(quire_kind, of_level, of_discard)                                                 \
	{                                                                                          \
		.kind = quire_kind, .level = of_level, .map = device_map, .discard = of_discard    \
	}
#define OF_KIND(quire_kind, of_discard)                                                            \
	{                                                                                          \
		OF_LEVEL(quire_kind, 0, of_discard), OF_LEVEL(quire_kind, 1, of_discard),          \
			OF_LEVEL(quire_kind, 2, of_discard)                                        \
	}
	[DEVICE_DAX] = OF_KIND(QUIRE_DEVICE_DAX, NULL),
	[DEVICE_FSDAX] = OF_KIND(QUIRE_DEVICE_FSDAX, device_discard),
	[DEVICE_PFN] = OF_KIND(QUIRE_DEVICE_PFN, NULL),
};

/* Frames behind those of the device made last, aligned for all leaves. */
static uint64_t free_frame(const struct target *target)
{
	const struct device *last = target->devices;

	return last ? align_up(last->frame + last->frames, leaf_pages(2)) : FIRST_FRAME;
}

static struct device *device_new(struct target *target, enum device_kind kind, unsigned level,
				 uint64_t size)
{
	struct device *device = calloc(1, sizeof(*device));
	bool file = kind == DEVICE_FSDAX;

	if (!device)
		target_fail("quire: the host is out of memory");
	device->target = target;
	device->kind = kind;
	device->level = level;
	device->frame = free_frame(target);
	device->room = align_up(page_count(file ? 2 * size + GROWTH : size), leaf_pages(level));
	device->frames = device->room + (file ? leaf_pages(level) : 0);
	device->memory = mmap(NULL, device->frames * QUIRE_PAGE_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (file)
		device->filled = calloc(device->room, sizeof(*device->filled));
	if (device->memory == MAP_FAILED || (file && !device->filled))
		target_fail("quire: the host is out of memory");
	madvise(device->memory, device->frames * QUIRE_PAGE_SIZE, MADV_NOHUGEPAGE);
	if (file)
		memset(device->filled, true, page_count(size));
	return device;
}

static void device_free(struct device *device)
{
	munmap(device->memory, device->frames * QUIRE_PAGE_SIZE);
	free(device->filled);
	free(device);
}

/* EINVAL: no size of a file, or no whole pages of a device. */
static int check_size(enum device_kind kind, unsigned level, uint64_t size)
{
	if (size > INT64_MAX / 4)
		return EINVAL;
	if (kind == DEVICE_FSDAX)
		return 0;
	return size && size % (leaf_pages(kind == DEVICE_DAX ? level : 0) * QUIRE_PAGE_SIZE) == 0
		       ? 0
		       : EINVAL;
}

struct file *library_file_device(struct target *target, enum device_kind kind, unsigned level,
				 uint64_t size)
{
	struct quire_machine *machine = soft_machine_core(target->machine);
	struct device *device;
	int error = -check_size(kind, level, size);

	if (error) {
		errno = -error;
		return NULL;
	}
	device = device_new(target, kind, level, size);
	error = quire_device_memory_add(machine, device->frame, device->frames, device->memory);
	if (!error) {
		error = quire_device_create(machine, size, &operations[kind][level], device,
					    &device->object);
		if (error)
			quire_device_memory_remove(machine, device->frame);
	}
	if (error) {
		device_free(device);
		errno = -error;
		return NULL;
	}
	device->next = target->devices;
	target->devices = device;
	return library_file(target, device->object, kind == DEVICE_FSDAX ? NULL : device);
}

void library_device_free_all(struct target *target)
{
	struct device *device;

	while ((device = target->devices)) {
		target->devices = device->next;
		if (quire_device_memory_remove(soft_machine_core(target->machine), device->frame))
			target_fail("quire: memory of a device is pinned at the end");
		device_free(device);
	}
}

/* --- past the mappings: what the library has no way to, for the kernel has none --- */

int library_device_write(struct device *device, uint64_t offset, const void *bytes, size_t length,
			 size_t *done)
{
	uint64_t size = quire_object_size(device->object);

	*done = 0;
	if (offset > INT64_MAX || length > INT64_MAX - offset)
		return EINVAL;
	if (length && offset + length > size)
		return ENOSPC;
	memcpy(device->memory + offset, bytes, length);
	*done = length;
	return 0;
}

int library_device_read(struct device *device, uint64_t offset, void *bytes, size_t length,
			size_t *done)
{
	uint64_t size = quire_object_size(device->object);

	*done = 0;
	if (offset > INT64_MAX || length > INT64_MAX - offset)
		return EINVAL;
	if (offset >= size)
		return 0;
	*done = size - offset < length ? size - offset : length;
	memcpy(bytes, device->memory + offset, *done);
	return 0;
}
