/* SPDX-License-Identifier: MIT */
/* Operations of processes on their memory: accesses and system calls. */
#include "operations.h"

#include <string.h>

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
bool brought_in(struct actor *a, uint64_t address, enum quire_access access)
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
};
const unsigned memory_operation_count = sizeof(memory_operations) / sizeof(memory_operations[0]);
