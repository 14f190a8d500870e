/* SPDX-License-Identifier: MIT */
/*
 * Device memory: ranges of frames that the machine has no descriptors of.  All that is known of such
 * a frame is where its bytes are, and of its range how many pins it has.
 *
 * Whoever reads the bytes keeps the frame mapped meanwhile, or pinned, or holds the lock for changes of
 * its object; so the range stays for that time.  There are few ranges: they stand in a list.
 */
#include "frame/machine.h"
#include <quire/device.h>

struct device_memory {
	struct list_link link; /* devices_lock, as the rest */
	uint64_t first, count; /* frames */
	char *memory;
	uint64_t pins;
};

static bool overlaps(uint64_t first, uint64_t count, uint64_t other, uint64_t others)
{
	return first < other + others && other < first + count;
}

/* The first range that has one of these frames. */
static struct device_memory *find(struct quire_machine *machine, uint64_t first, uint64_t count)
{
	for (struct list_link *link = machine->device_memory.next; link != &machine->device_memory;
	     link = link->next) {
		struct device_memory *range = container_of(link, struct device_memory, link);

		if (overlaps(range->first, range->count, first, count))
			return range;
	}
	return NULL;
}

static int add(struct quire_machine *machine, struct device_memory *range)
{
	int error = 0;

	machine_lock(machine, &machine->devices_lock);
	if (find(machine, range->first, range->count))
		error = -QUIRE_EINVAL;
	else
		list_insert_after(&machine->device_memory, &range->link);
	machine_unlock(machine, &machine->devices_lock);
	if (error)
		slab_free(machine, range);
	return error;
}

int quire_device_memory_add(struct quire_machine *machine, uint64_t frame, uint64_t count,
			    void *memory)
{
	unsigned tries = 0;

	if (count == 0 || count > MACHINE_FRAMES_MAX || frame > MACHINE_FRAMES_MAX - count ||
	    !memory || !page_aligned((uintptr_t)memory) ||
	    overlaps(frame, count, machine->frames.first, machine->frames.count))
		return -QUIRE_EINVAL;
	do {
		struct device_memory *range = slab_alloc(machine, sizeof(*range));

		if (!range)
			continue;
		range->first = frame;
		range->count = count;
		range->memory = memory;
		return add(machine, range);
	} while (machine_reclaim(machine, &tries));
	return -QUIRE_ENOMEM;
}

int quire_device_memory_remove(struct quire_machine *machine, uint64_t frame)
{
	struct device_memory *range;
	int error = 0;

	machine_lock(machine, &machine->devices_lock);
	range = find(machine, frame, 1);
	if (!range || range->first != frame)
		error = -QUIRE_ENOENT;
	else if (range->pins)
		error = -QUIRE_EBUSY;
	else
		list_remove(&range->link);
	machine_unlock(machine, &machine->devices_lock);
	if (!error)
		slab_free(machine, range);
	return error;
}

bool device_memory_holds(struct quire_machine *machine, uint64_t number, uint64_t count)
{
	struct device_memory *range;
	bool holds;

	machine_lock(machine, &machine->devices_lock);
	range = find(machine, number, 1);
	holds = range && count <= range->count - (number - range->first);
	machine_unlock(machine, &machine->devices_lock);
	return holds;
}

void *quire_device_memory_at(struct quire_machine *machine, uint64_t frame)
{
	struct device_memory *range;
	void *memory = NULL;

	machine_lock(machine, &machine->devices_lock);
	range = find(machine, frame, 1);
	if (range)
		memory = range->memory + ((frame - range->first) << PAGE_SHIFT);
	machine_unlock(machine, &machine->devices_lock);
	return memory;
}

bool page_exists(struct quire_machine *machine, struct page page)
{
	return frame_exists(machine, page.number) || device_memory_holds(machine, page.number, 1);
}

void *page_of_device(struct quire_machine *machine, struct page page)
{
	void *memory = quire_device_memory_at(machine, page.number);

	quire_assert(memory);
	return memory;
}

bool device_memory_pin(struct quire_machine *machine, uint64_t number)
{
	struct device_memory *range;

	machine_lock(machine, &machine->devices_lock);
	range = find(machine, number, 1);
	if (range)
		range->pins++;
	machine_unlock(machine, &machine->devices_lock);
	return range != NULL;
}

void device_memory_unpin(struct quire_machine *machine, uint64_t number)
{
	struct device_memory *range;

	machine_lock(machine, &machine->devices_lock);
	range = find(machine, number, 1);
	quire_assert(range && range->pins);
	range->pins--;
	machine_unlock(machine, &machine->devices_lock);
}

void device_memory_forget(struct quire_machine *machine)
{
	while (!list_empty(&machine->device_memory)) {
		struct list_link *link = machine->device_memory.next;

		list_remove(link);
		slab_free(machine, container_of(link, struct device_memory, link));
	}
}
