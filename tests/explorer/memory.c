/* SPDX-License-Identifier: MIT */
/* Operations of processes: accesses, system calls on memory, files, reclaim, reports. */
#include "operations.h"

#include <string.h>

#include "store.h"

#define REGION(a) BASE, (a)->world->length
#define ONE(a)	  target(a), PAGE

/* Signals as results: they stand apart from errors. */
static int64_t outcome(struct soft_result result)
{
	return result.outcome == QUIRE_DONE ? 0 : 1000 * (int64_t)result.outcome + result.code;
}

/* --- accesses --- */

static void load(struct actor *a)
{
	a->result = outcome(soft_load64(a->cpu, target(a), &a->value));
}

static void store(struct actor *a)
{
	a->result = outcome(soft_store64(a->cpu, target(a), mark(a)));
}

/* A page of an object is in the cache before it is mapped. */
static void bring_into_cache(struct actor *a, uint64_t address, enum quire_access access)
{
	struct quire_space *space = soft_cpu_space(a->cpu);
	int needed = access == QUIRE_WRITE ? QUIRE_PROT_WRITE : QUIRE_PROT_READ;
	struct quire_vma_report vma;
	uint64_t offset = address - BASE;

	enum quire_entry_kind kind = entry_of(space, address).kind;

	if ((kind != QUIRE_ENTRY_ABSENT && kind != QUIRE_ENTRY_MARKER) ||
	    quire_vma(space, address, &vma) || vma.start > address || !vma.file ||
	    !(vma.prot & needed) || strstr(vma.flags, "um") || strstr(vma.flags, "ui") ||
	    offset >= quire_object_size(a->world->object))
		return;
	quire_object_allocate(a->world->object, offset, PAGE);
	schedule_step();
}

/*
 * An access that faults is made again when the page is there; something may have happened to that
 * meanwhile.  A fault may do its work in pieces: it brings a page in, ends its protection, copies it.
 */
static bool brought_in(struct actor *a, uint64_t address, enum quire_access access)
{
	struct quire_space *space = soft_cpu_space(a->cpu);
	struct quire_translation translation;
	struct quire_fault_result fault = {.outcome = QUIRE_DONE};

	if (a->world->object && !quire_translate(space, address, access, &translation))
		bring_into_cache(a, address, access);
	for (unsigned i = 0; i < 3 && fault.outcome == QUIRE_DONE &&
			     !quire_translate(space, address, access, &translation);
	     i++) {
		fault = quire_fault(space, address, access);
		schedule_step();
	}
	a->result = outcome((struct soft_result){.outcome = fault.outcome, .code = fault.code});
	return fault.outcome == QUIRE_DONE;
}

static void load_steps(struct actor *a)
{
	if (brought_in(a, target(a), QUIRE_READ))
		load(a);
}

static void store_steps(struct actor *a)
{
	if (brought_in(a, target(a), QUIRE_WRITE))
		store(a);
}

static void load_next(struct actor *a)
{
	a->result = outcome(soft_load64(a->cpu, a->world->page[TARGET + 1], &a->value));
}

static void store_next(struct actor *a)
{
	a->result = outcome(soft_store64(a->cpu, a->world->page[TARGET + 1], mark(a)));
}

static void load_next_steps(struct actor *a)
{
	if (brought_in(a, a->world->page[TARGET + 1], QUIRE_READ))
		load_next(a);
}

static void store_next_steps(struct actor *a)
{
	if (brought_in(a, a->world->page[TARGET + 1], QUIRE_WRITE))
		store_next(a);
}

static void fetch(struct actor *a)
{
	a->result = outcome(soft_touch(a->cpu, target(a), QUIRE_EXECUTE));
}

static void fetch_steps(struct actor *a)
{
	if (brought_in(a, target(a), QUIRE_EXECUTE))
		fetch(a);
}

static void kernel_read(struct actor *a)
{
	size_t done;

	a->result = quire_access_read(parent(a), target(a), &a->value, sizeof(a->value), &done);
}

static void kernel_write(struct actor *a)
{
	uint64_t value = mark(a);
	size_t done;

	a->result = quire_access_write(parent(a), target(a), &value, sizeof(value), &done);
}

static void kernel_read_steps(struct actor *a)
{
	uint64_t value;
	size_t done;

	brought_in(a, target(a), QUIRE_READ);
	quire_access_read(parent(a), target(a), &value, sizeof(value), &done);
	schedule_step();
	kernel_read(a);
}

static void kernel_write_steps(struct actor *a)
{
	brought_in(a, target(a), QUIRE_WRITE);
	kernel_write(a);
}

/* Around the edge of two pages. */
static void kernel_write_bytes(struct actor *a, size_t skip, size_t length)
{
	unsigned char bytes[64];
	size_t done;

	memset(bytes, 0x70 + (int)a->number, sizeof(bytes));
	a->result =
		quire_access_write(parent(a), target(a) + PAGE - 32 + skip, bytes, length, &done);
	a->value += done;
}

static void kernel_write_two(struct actor *a)
{
	kernel_write_bytes(a, 0, 64);
}

static void kernel_write_two_steps(struct actor *a)
{
	brought_in(a, target(a), QUIRE_WRITE);
	kernel_write_bytes(a, 0, 32);
	if (a->value < 32)
		return;
	schedule_step();
	brought_in(a, target(a) + PAGE, QUIRE_WRITE);
	kernel_write_bytes(a, 32, 32);
}

static void child_kernel_read(struct actor *a)
{
	size_t done;

	a->result = quire_access_read(child(a), target(a), &a->value, sizeof(a->value), &done);
}

static void child_kernel_read_steps(struct actor *a)
{
	uint64_t value;
	size_t done;

	brought_in(a, target(a), QUIRE_READ);
	quire_access_read(child(a), target(a), &value, sizeof(value), &done);
	schedule_step();
	child_kernel_read(a);
}

static void source_store(struct actor *a)
{
	a->result = outcome(soft_store64(a->cpu, SOURCE, mark(a)));
}

static void source_load(struct actor *a)
{
	a->result = outcome(soft_load64(a->cpu, SOURCE, &a->value));
}

/* --- mappings --- */

static void map_over(struct actor *a)
{
	uint64_t result;

	a->result = quire_mmap(parent(a), ONE(a), RWX, PRIVATE, &result);
}

static void map_populate(struct actor *a)
{
	uint64_t result;

	a->result = quire_mmap(parent(a), ONE(a), RWX, PRIVATE | QUIRE_MAP_POPULATE, &result);
}

static void map_populate_steps(struct actor *a)
{
	map_over(a);
	schedule_step();
	if (!a->result && quire_madvise(parent(a), ONE(a), QUIRE_MADV_POPULATE_WRITE))
		quire_madvise(parent(a), ONE(a), QUIRE_MADV_POPULATE_READ);
}

static void map_shared_over(struct actor *a)
{
	uint64_t result;
	int flags = QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED;

	a->result = quire_mmap(parent(a), ONE(a), RWX, flags, &result);
}

static void map_object_again(struct actor *a)
{
	uint64_t result;

	a->result =
		quire_mmap_object(parent(a), ELSEWHERE, a->world->length, RWX,
				  QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, a->world->object, 0, &result);
}

static void unmap(struct actor *a)
{
	a->result = quire_munmap(parent(a), ONE(a));
}

static void unmap_all(struct actor *a)
{
	a->result = quire_munmap(parent(a), REGION(a));
}

static void child_unmap(struct actor *a)
{
	a->result = quire_munmap(child(a), REGION(a));
}

static void protect_none(struct actor *a)
{
	a->result = quire_mprotect(parent(a), ONE(a), QUIRE_PROT_NONE);
}

static void protect_read(struct actor *a)
{
	a->result = quire_mprotect(parent(a), ONE(a), QUIRE_PROT_READ);
}

static void protect_write(struct actor *a)
{
	a->result = quire_mprotect(parent(a), ONE(a), RWX);
}

static void protect_read_and_back(struct actor *a)
{
	a->result = quire_mprotect(parent(a), REGION(a), QUIRE_PROT_READ);
	schedule_step();
	a->value = (uint64_t)quire_mprotect(parent(a), REGION(a), RWX);
}

static void protect_read_all(struct actor *a)
{
	a->result = quire_mprotect(parent(a), REGION(a), QUIRE_PROT_READ);
}

static void child_protect_read(struct actor *a)
{
	a->result = quire_mprotect(child(a), ONE(a), QUIRE_PROT_READ);
}

static void remap(struct actor *a, uint64_t from, uint64_t length, uint64_t new_length, int flags)
{
	uint64_t result;

	a->result = quire_mremap(parent(a), from, length, new_length, flags, ELSEWHERE, &result);
}

#define MOVES (QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED)

static void move(struct actor *a)
{
	remap(a, target(a), PAGE, PAGE, MOVES);
}

static void move_all(struct actor *a)
{
	remap(a, BASE, a->world->length, a->world->length, MOVES);
}

static void move_leaving(struct actor *a)
{
	remap(a, BASE, a->world->length, a->world->length, MOVES | QUIRE_MREMAP_DONTUNMAP);
}

static void grow(struct actor *a)
{
	remap(a, BASE, a->world->length, a->world->length + PAGE, 0);
}

static void shrink(struct actor *a)
{
	remap(a, BASE, a->world->length, PAGE, 0);
}

static void lock(struct actor *a)
{
	a->result = quire_mlock(parent(a), ONE(a));
}

static void unlock(struct actor *a)
{
	a->result = quire_munlock(parent(a), REGION(a));
}

/* --- advice --- */

#define ADVICE(function, space, range, advice)                                                     \
	static void function(struct actor *a)                                                      \
	{                                                                                          \
		a->result = quire_madvise(space(a), range(a), QUIRE_MADV_##advice);                \
	}

ADVICE(dontneed, parent, ONE, DONTNEED)
ADVICE(dontneed_all, parent, REGION, DONTNEED)
ADVICE(give_up, parent, ONE, FREE)
ADVICE(give_up_all, parent, REGION, FREE)
ADVICE(cold, parent, REGION, COLD)
ADVICE(page_out, parent, ONE, PAGEOUT)
ADVICE(page_out_all, parent, REGION, PAGEOUT)
ADVICE(will_need, parent, REGION, WILLNEED)
ADVICE(advise_remove, parent, ONE, REMOVE)
ADVICE(guard_install, parent, ONE, GUARD_INSTALL)
ADVICE(guard_remove, parent, ONE, GUARD_REMOVE)
ADVICE(guard_remove_all, parent, REGION, GUARD_REMOVE)
ADVICE(populate_read, parent, ONE, POPULATE_READ)
ADVICE(populate_write, parent, ONE, POPULATE_WRITE)
ADVICE(dont_fork, parent, ONE, DONTFORK)
ADVICE(wipe_on_fork, parent, ONE, WIPEONFORK)
ADVICE(child_dontneed, child, REGION, DONTNEED)
ADVICE(child_give_up, child, REGION, FREE)
ADVICE(child_page_out, child, REGION, PAGEOUT)
ADVICE(child_populate_write, child, ONE, POPULATE_WRITE)

static void populate_read_steps(struct actor *a)
{
	brought_in(a, target(a), QUIRE_READ);
	populate_read(a);
}

static void populate_write_steps(struct actor *a)
{
	brought_in(a, target(a), QUIRE_WRITE);
	populate_write(a);
}

static void child_populate_write_steps(struct actor *a)
{
	brought_in(a, target(a), QUIRE_WRITE);
	child_populate_write(a);
}

static void by_pages(struct actor *a, struct quire_space *space, int advice)
{
	const uint64_t *page = a->world->page;
	bool told = a->world->registration->features & QUIRE_UFFD_FEATURE_EVENT_REMOVE;
	const uint64_t edge[] = {BASE, page[TARGET], page[TARGET + 1], BASE + a->world->length};

	for (unsigned i = 0; i < 3; i += told ? 3 : 1) {
		uint64_t end = told ? edge[3] : edge[i + 1];
		int error = quire_madvise(space, edge[i], end - edge[i], advice);

		if (!a->result)
			a->result = error;
		if (error && error != -QUIRE_ENOMEM)
			break;
		schedule_step();
	}
}

static void dontneed_all_steps(struct actor *a)
{
	by_pages(a, parent(a), QUIRE_MADV_DONTNEED);
}

static void give_up_all_steps(struct actor *a)
{
	by_pages(a, parent(a), QUIRE_MADV_FREE);
}

static void guard_remove_all_steps(struct actor *a)
{
	by_pages(a, parent(a), QUIRE_MADV_GUARD_REMOVE);
}

static void child_dontneed_steps(struct actor *a)
{
	by_pages(a, child(a), QUIRE_MADV_DONTNEED);
}

static void child_give_up_steps(struct actor *a)
{
	by_pages(a, child(a), QUIRE_MADV_FREE);
}

/* --- processes --- */

static void fork_parent(struct actor *a)
{
	a->result = quire_fork(parent(a), &a->made);
}

static void fork_child(struct actor *a)
{
	a->result = quire_fork(child(a), &a->made);
}

static void end_child(struct actor *a)
{
	quire_space_destroy(child(a));
	a->world->space[1] = NULL;
}

static void end_parent(struct actor *a)
{
	quire_space_destroy(parent(a));
	a->world->space[0] = NULL;
}

/* --- memory as a whole --- */

static void reclaim(struct actor *a)
{
	quire_reclaim(a->world->machine, 16);
}

/* The clock goes round until everything that can go has gone. */
static void reclaim_hard(struct actor *a)
{
	for (unsigned i = 0; i < 3; i++) {
		quire_reclaim(a->world->machine, 64);
		schedule_step();
	}
}

static void swap_off(struct actor *a)
{
	a->result = quire_swapoff(a->world->machine);
}

static void swap_off_and_on(struct actor *a)
{
	a->result = quire_swapoff(a->world->machine);
	schedule_step();
	if (!a->result)
		a->result = quire_swapon(a->world->machine, STORE_SLOTS);
}

static void migrate(struct actor *a)
{
	uint64_t moved;

	a->result = quire_migrate(parent(a), REGION(a), &moved);
}

static void child_migrate(struct actor *a)
{
	uint64_t moved;

	a->result = quire_migrate(child(a), REGION(a), &moved);
}

static void pin(struct actor *a)
{
	a->pin = (struct quire_pin){.address = target(a), .length = PAGE, .frames = a->frames};
	a->result = quire_pin(parent(a), &a->pin);
}

/* A device writes to the page. */
static void pin_and_write(struct actor *a)
{
	uint64_t value = mark(a);

	pin(a);
	if (a->result)
		return;
	schedule_step();
	memcpy(soft_machine_frame(a->world->soft, a->frames[0]), &value, sizeof(value));
	schedule_step();
	quire_unpin(a->world->machine, &a->pin, true);
}

static void pin_steps(struct actor *a)
{
	brought_in(a, target(a), QUIRE_WRITE);
	pin(a);
}

static void pin_and_write_steps(struct actor *a)
{
	brought_in(a, target(a), QUIRE_WRITE);
	pin_and_write(a);
}

static void unpin(struct actor *a)
{
	quire_unpin(a->world->machine, &a->world->pin, true);
}

/* --- the object --- */

static void truncate_pages(struct actor *a)
{
	a->result = quire_object_truncate(a->world->object, target(a) - BASE);
}

static void truncate_within(struct actor *a)
{
	a->result = quire_object_truncate(a->world->object, target(a) - BASE + 4);
}

static void truncate_longer(struct actor *a)
{
	a->result = quire_object_truncate(a->world->object, a->world->length + PAGE);
}

static void punch(struct actor *a)
{
	a->result = quire_object_punch(a->world->object, target(a) - BASE, PAGE);
}

static void punch_within(struct actor *a)
{
	a->result = quire_object_punch(a->world->object, target(a) - BASE, 4);
}

static void allocate(struct actor *a)
{
	a->result = quire_object_allocate(a->world->object, target(a) - BASE, PAGE);
}

static void object_read(struct actor *a)
{
	size_t done;

	a->result = quire_object_read(a->world->object, target(a) - BASE, &a->value,
				      sizeof(a->value), &done);
	if (!done)
		a->value = 1;
}

static void object_write(struct actor *a)
{
	uint64_t value = mark(a);
	size_t done;

	a->result = quire_object_write(a->world->object, target(a) - BASE, &value, sizeof(value),
				       &done);
	a->value = done;
}

/* --- reports --- */

static void pagemap(struct actor *a)
{
	a->result = quire_pagemap(parent(a), target(a), 1, &a->value);
}

static void smaps(struct actor *a)
{
	struct quire_smaps report;

	a->result = quire_smaps(parent(a), target(a), &report);
}

static void mincore(struct actor *a)
{
	unsigned char bytes[PAGES];

	a->result = quire_mincore(parent(a), target(a), 2 * PAGE, bytes);
}

static void ignore(void *context, const char *bytes, size_t length)
{
	(void)context;
	(void)bytes;
	(void)length;
}

static void dump(struct actor *a)
{
	quire_machine_dump(a->world->machine, true, &(struct quire_text){.emit = ignore});
}

static void check_range(struct actor *a)
{
	/* What it says is true when nobody is at work: judge.c asks then. */
	quire_check_range(parent(a), BASE, BASE + a->world->length,
			  &(struct quire_text){.emit = ignore});
}

static void child_smaps(struct actor *a)
{
	struct quire_smaps report;

	a->result = quire_smaps(child(a), target(a), &report);
}

static void scan_with(struct actor *a, uint64_t flags)
{
	struct quire_scan_region regions[2 * PAGES] = {0};
	struct quire_scan scan = {
		.size = sizeof(scan),
		.flags = flags,
		.start = target(a),
		.end = target(a) + PAGE,
		.vec = (uintptr_t)regions,
		.vec_len = 2 * PAGES,
		.category_mask = QUIRE_PAGE_IS_WRITTEN,
		.return_mask = QUIRE_PAGE_IS_WRITTEN,
	};

	a->result = quire_pagemap_scan(parent(a), &scan);
	a->value = regions[0].categories;
}

static void scan(struct actor *a)
{
	scan_with(a, 0);
}

static void scan_protecting(struct actor *a)
{
	scan_with(a, QUIRE_SCAN_WP_MATCHING);
}

/* All of the region is protected again, and nothing told. */
static void protect_written(struct actor *a)
{
	struct quire_scan scan = {
		.size = sizeof(scan),
		.flags = QUIRE_SCAN_WP_MATCHING,
		.start = BASE,
		.end = BASE + a->world->length,
		.category_mask = QUIRE_PAGE_IS_WRITTEN,
	};

	a->result = quire_pagemap_scan(parent(a), &scan);
}

const struct operation memory_operations[] = {
	{"load", IN_PARENT | ACCESSES, load, load_steps},
	{"store", IN_PARENT | ACCESSES, store, store_steps},
	{"load-next", IN_PARENT | ACCESSES, load_next, load_next_steps},
	{"store-next", IN_PARENT | ACCESSES, store_next, store_next_steps},
	{"fetch", IN_PARENT | ACCESSES, fetch, fetch_steps},
	{"kernel-read", IN_PARENT | ACCESSES, kernel_read, kernel_read_steps},
	{"kernel-write", IN_PARENT | ACCESSES, kernel_write, kernel_write_steps},
	{"kernel-write-two", IN_PARENT | ACCESSES, kernel_write_two, kernel_write_two_steps},
	{"child-load", IN_CHILD | ACCESSES, load, load_steps},
	{"child-store", IN_CHILD | ACCESSES, store, store_steps},
	{"child-kernel-read", IN_CHILD | ACCESSES, child_kernel_read, child_kernel_read_steps},
	{"source-store", IN_PARENT | ACCESSES | ON_SOURCE, source_store, NULL},
	{"source-load", IN_PARENT | ACCESSES | ON_SOURCE, source_load, NULL},
	{"mmap", IN_PARENT | UNMAPS, map_over, NULL},
	{"mmap-populate", IN_PARENT | ACCESSES | UNMAPS | LOCKS, map_populate, map_populate_steps},
	{"mmap-shared", IN_PARENT | UNMAPS, map_shared_over, NULL},
	{"mmap-object", IN_PARENT | WITH_OBJECT, map_object_again, NULL},
	{"munmap", IN_PARENT | UNMAPS, unmap, NULL},
	{"munmap-all", IN_PARENT | UNMAPS, unmap_all, NULL},
	{"child-munmap", IN_CHILD | UNMAPS, child_unmap, NULL},
	{"mprotect-none", IN_PARENT | PROTECTS, protect_none, NULL},
	{"mprotect-read", IN_PARENT | PROTECTS, protect_read, NULL},
	{"mprotect-read-all", IN_PARENT | PROTECTS, protect_read_all, NULL},
	{"mprotect-write", IN_PARENT | PROTECTS, protect_write, NULL},
	{"mprotect-read-write", IN_PARENT | PROTECTS, protect_read_and_back, NULL},
	{"child-mprotect-read", IN_CHILD, child_protect_read, NULL},
	{"mremap", IN_PARENT | UNMAPS, move, NULL},
	{"mremap-all", IN_PARENT | UNMAPS, move_all, NULL},
	{"mremap-dontunmap", IN_PARENT | UNMAPS, move_leaving, NULL},
	{"mremap-grow", IN_PARENT | UNMAPS, grow, NULL},
	{"mremap-shrink", IN_PARENT | UNMAPS, shrink, NULL},
	{"mlock", IN_PARENT | LOCKS, lock, NULL},
	{"munlock", IN_PARENT, unlock, NULL},
	{"dontneed", IN_PARENT | REMOVES, dontneed, NULL},
	{"dontneed-all", IN_PARENT | REMOVES, dontneed_all, dontneed_all_steps},
	{"free", IN_PARENT | REMOVES, give_up, NULL},
	{"free-all", IN_PARENT | REMOVES, give_up_all, give_up_all_steps},
	{"cold", IN_PARENT | RECLAIMS, cold, NULL},
	{"pageout", IN_PARENT | RECLAIMS, page_out, NULL},
	{"pageout-all", IN_PARENT | RECLAIMS, page_out_all, NULL},
	{"willneed", IN_PARENT | RECLAIMS, will_need, NULL},
	{"remove", IN_PARENT | WITH_OBJECT | EMPTIES | REMOVES, advise_remove, NULL},
	{"guard-install", IN_PARENT, guard_install, NULL},
	{"guard-remove", IN_PARENT, guard_remove, NULL},
	{"guard-remove-all", IN_PARENT, guard_remove_all, guard_remove_all_steps},
	{"populate-read", IN_PARENT | ACCESSES, populate_read, populate_read_steps},
	{"populate-write", IN_PARENT | ACCESSES, populate_write, populate_write_steps},
	{"dontfork", IN_PARENT, dont_fork, NULL},
	{"wipeonfork", IN_PARENT | WITH_ANONYMOUS, wipe_on_fork, NULL},
	{"child-dontneed", IN_CHILD, child_dontneed, child_dontneed_steps},
	{"child-free", IN_CHILD, child_give_up, child_give_up_steps},
	{"child-pageout", IN_CHILD | RECLAIMS, child_page_out, NULL},
	{"child-populate-write", IN_CHILD | ACCESSES, child_populate_write,
	 child_populate_write_steps},
	{"fork", IN_PARENT | FORKS, fork_parent, NULL},
	{"child-fork", IN_CHILD | FORKS, fork_child, NULL},
	{"child-exit", ENDS_CHILD, end_child, NULL},
	{"exit", ENDS_PARENT, end_parent, NULL},
	{"reclaim", RECLAIMS, reclaim, NULL},
	{"reclaim-all", RECLAIMS, reclaim_hard, NULL},
	{"swapoff", RECLAIMS, swap_off, NULL},
	{"swapoff-swapon", RECLAIMS, swap_off_and_on, NULL},
	{"migrate", IN_PARENT | RECLAIMS, migrate, NULL},
	{"child-migrate", IN_CHILD | RECLAIMS, child_migrate, NULL},
	{"pin", IN_PARENT | ACCESSES, pin, pin_steps},
	{"pin-write", IN_PARENT | ACCESSES, pin_and_write, pin_and_write_steps},
	{"unpin", WITH_PIN, unpin, NULL},
	{"truncate", WITH_OBJECT | EMPTIES, truncate_pages, NULL},
	{"truncate-within", WITH_OBJECT | EMPTIES, truncate_within, NULL},
	{"truncate-longer", WITH_OBJECT, truncate_longer, NULL},
	{"punch", WITH_OBJECT | EMPTIES, punch, NULL},
	{"punch-within", WITH_OBJECT | EMPTIES, punch_within, NULL},
	{"allocate", WITH_OBJECT, allocate, NULL},
	{"object-read", WITH_OBJECT | ACCESSES, object_read, NULL},
	{"object-write", WITH_OBJECT | ACCESSES, object_write, NULL},
	{"pagemap", IN_PARENT | LOOKS, pagemap, NULL},
	{"smaps", IN_PARENT | LOOKS, smaps, NULL},
	{"child-smaps", IN_CHILD | LOOKS, child_smaps, NULL},
	{"mincore", IN_PARENT | LOOKS, mincore, NULL},
	{"dump", LOOKS, dump, NULL},
	{"check-range", IN_PARENT | LOOKS, check_range, NULL},
	{"scan", IN_PARENT | LOOKS, scan, NULL},
	{"scan-wp", IN_PARENT, scan_protecting, NULL},
	{"scan-wp-all", IN_PARENT, protect_written, NULL},
};
const unsigned memory_operation_count = sizeof(memory_operations) / sizeof(memory_operations[0]);
