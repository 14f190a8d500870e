/* SPDX-License-Identifier: MIT */
/*
 * Device memory: ranges of frames that the machine has no descriptors of.  All that is known of such
 * a frame is where its bytes are, and of its range how many pins it has.
 *
 * Whoever reads the bytes keeps the frame mapped meanwhile, or pinned, or holds the lock for changes of
 * its object; so the range stays for that time.  There are few ranges: they stand in a list, which is
 * looked through without a lock (quire_translate() has none).  So an entry stays in it as long as the
 * machine: one whose range was removed is empty, and is used again.
 */
#include "frame/machine.h"
#include <quire/device.h>

struct device_memory {
	struct device_memory *next; /* constant once linked */
	/* written under devices_lock, the count last; frames; no count: the entry is free */
	_Atomic uint64_t first, count;
	_Atomic(char *) memory;
	uint64_t pins; /* devices_lock */
};

static bool overlaps(uint64_t first, uint64_t count, uint64_t other, uint64_t others)
{
	return first < other + others && other < first + count;
}

static struct device_memory *first_entry(struct quire_machine *machine)
{
	return atomic_load_explicit(&machine->device_memory, memory_order_acquire);
}

/* What stands in an entry, all of it at one moment. */
struct range {
	uint64_t first, count;
	char *memory;
};
static struct range read_entry(struct device_memory *entry)
{
	struct range range;

	do {
		range.count = atomic_load_explicit(&entry->count, memory_order_acquire);
		range.first = atomic_load_explicit(&entry->first, memory_order_acquire);
		range.memory = atomic_load_explicit(&entry->memory, memory_order_acquire);
	} while (range.count != atomic_load_explicit(&entry->count, memory_order_relaxed));
	return range;
}

static void write_entry(struct device_memory *entry, uint64_t first, uint64_t count, char *memory)
{
	atomic_store_explicit(&entry->first, first, memory_order_release);
	atomic_store_explicit(&entry->memory, memory, memory_order_release);
	atomic_store_explicit(&entry->count, count, memory_order_release);
}

/* The first entry that has one of these frames (count 0: that is free); *range: what it has. */
static struct device_memory *find(struct quire_machine *machine, uint64_t first, uint64_t count,
				  struct range *range)
{
	struct device_memory *entry;

	for (entry = first_entry(machine); entry; entry = entry->next) {
		*range = read_entry(entry);
		if (range->count ? overlaps(range->first, range->count, first, count) : !count)
			break;
	}
	return entry;
}

/* Takes over `fresh`. */
static int add(struct quire_machine *machine, uint64_t first, uint64_t count, char *memory,
	       struct device_memory *fresh)
{
	struct device_memory *entry;
	struct range range;
	int error = 0;

	machine_lock(machine, &machine->devices_lock);
	entry = find(machine, 0, 0, &range);
	if (find(machine, first, count, &range)) {
		error = -QUIRE_EINVAL;
	} else if (entry) {
		write_entry(entry, first, count, memory);
	} else {
		fresh->next = first_entry(machine);
		write_entry(fresh, first, count, memory);
		atomic_store_explicit(&machine->device_memory, fresh, memory_order_release);
		fresh = NULL;
	}
	machine_unlock(machine, &machine->devices_lock);
	slab_free(machine, fresh);
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
		struct device_memory *fresh = slab_alloc(machine, sizeof(*fresh));

		if (fresh)
			return add(machine, frame, count, memory, fresh);
	} while (machine_reclaim(machine, &tries));
	return -QUIRE_ENOMEM;
}

int quire_device_memory_remove(struct quire_machine *machine, uint64_t frame)
{
	struct device_memory *entry;
	struct range range;
	int error = 0;

	machine_lock(machine, &machine->devices_lock);
	entry = find(machine, frame, 1, &range);
	if (!entry || range.first != frame)
		error = -QUIRE_ENOENT;
	else if (entry->pins)
		error = -QUIRE_EBUSY;
	else
		atomic_store_explicit(&entry->count, 0, memory_order_release);
	machine_unlock(machine, &machine->devices_lock);
	return error;
}

bool device_memory_holds(struct quire_machine *machine, uint64_t number, uint64_t count)
{
	struct range range;

	return find(machine, number, 1, &range) && count <= range.count - (number - range.first);
}

void *quire_device_memory_at(struct quire_machine *machine, uint64_t frame)
{
	struct range range;

	if (!find(machine, frame, 1, &range))
		return NULL;
	return range.memory + ((frame - range.first) << PAGE_SHIFT);
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
	struct device_memory *entry;
	struct range range;

	machine_lock(machine, &machine->devices_lock);
	entry = find(machine, number, 1, &range);
	if (entry)
		entry->pins++;
	machine_unlock(machine, &machine->devices_lock);
	return entry != NULL;
}

void device_memory_unpin(struct quire_machine *machine, uint64_t number)
{
	struct device_memory *entry;
	struct range range;

	machine_lock(machine, &machine->devices_lock);
	entry = find(machine, number, 1, &range);
	quire_assert(entry && entry->pins);
	entry->pins--;
	machine_unlock(machine, &machine->devices_lock);
}

void device_memory_forget(struct quire_machine *machine)
{
	struct device_memory *entry;

	while ((entry = first_entry(machine))) {
		atomic_store_explicit(&machine->device_memory, entry->next, memory_order_relaxed);
		slab_free(machine, entry);
	}
}
