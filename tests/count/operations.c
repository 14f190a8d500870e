/* SPDX-License-Identifier: MIT */
/* What is counted: each operation on PAGES pages, in a space whose tables are there already. */
#define _GNU_SOURCE
#include "count.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quire/object.h>
#include <quire/scan.h>
#include <quire/userfault.h>
#include <soft.h>

#define PAGE	   QUIRE_PAGE_SIZE
#define PAGES	   16u
#define SCAN_PAGES 512u

static struct soft_machine *machine;
static struct quire_machine *core;
static struct quire_space *space;
static struct soft_cpu *cpu;
static struct quire_userfault *context;
static struct quire_object *object;
static uint64_t base, other; /* addresses; a page more than is used is there already */
static unsigned char content[PAGES * PAGE];

static void ok(int error, const char *what)
{
	count_require(error == 0, what);
}

/* --- a store that costs next to nothing --- */

#define SLOTS 1024u
static unsigned char (*slots)[PAGE];

static int store_write(struct soft_swap *swap, uint64_t slot, const void *memory)
{
	(void)swap;
	memcpy(slots[slot - 1], memory, PAGE);
	return 0;
}
static int store_read(struct soft_swap *swap, uint64_t slot, void *memory)
{
	(void)swap;
	memcpy(memory, slots[slot - 1], PAGE);
	return 0;
}
static void store_free(struct soft_swap *swap, uint64_t slot)
{
	(void)swap;
	(void)slot;
}
static void store_close(struct soft_swap *swap)
{
	(void)swap;
}
static struct soft_swap store = {store_write, store_read, store_free, store_close, SLOTS};

/* --- preparing --- */

static uint64_t map(uint64_t pages)
{
	uint64_t address;

	ok(quire_mmap(space, 0, (pages + 1) * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
		      QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, &address),
	   "mmap");
	return address;
}

static void store_byte(uint64_t address)
{
	count_require(soft_store8(cpu, address, 1).outcome == QUIRE_DONE, "a store");
}

static void write_pages(uint64_t address, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		store_byte(address + i * PAGE);
}

static void read_pages(uint64_t address, uint64_t pages)
{
	uint8_t byte;

	for (uint64_t i = 0; i < pages; i++)
		count_require(soft_load8(cpu, address + i * PAGE, &byte).outcome == QUIRE_DONE,
			      "a load");
}

/* Everything that happens for the first time only has happened afterwards. */
static struct quire_machine *prepare(void)
{
	const struct soft_config config = {.memory = 64 << 20, .cpus = 2, .swap = &store};

	slots = calloc(SLOTS, PAGE);
	count_require(slots != NULL, "memory for a store");
	memset(slots, 0, SLOTS * (size_t)PAGE);
	ok(soft_machine_open(&config, &machine), "a machine");
	core = soft_machine_core(machine);
	ok(quire_space_create(core, &(struct quire_space_config){0}, &space), "a space");
	cpu = soft_machine_cpu(machine, 0);
	soft_cpu_enter(cpu, space);
	base = map(PAGES);
	store_byte(base + PAGES * PAGE);
	return core;
}

static struct quire_machine *prepare_written(void)
{
	prepare();
	write_pages(base, PAGES);
	return core;
}

static struct quire_machine *prepare_forked(void)
{
	struct quire_space *child;

	prepare_written();
	ok(quire_fork(space, &child), "fork");
	return core;
}

static bool uses; /* the other CPU has used the pages too */

static void *enter_and_stay(void *argument)
{
	pthread_barrier_t *entered = argument;
	uint8_t byte;

	soft_cpu_enter(soft_machine_cpu(machine, 1), space);
	for (uint64_t i = 0; uses && i < PAGES; i++)
		soft_load8(soft_machine_cpu(machine, 1), base + i * PAGE, &byte);
	pthread_barrier_wait(entered);
	pause();
	return NULL;
}

/* Another thread's CPU is in the space too, in no access. */
static struct quire_machine *prepare_forked_two(void)
{
	static pthread_barrier_t entered;
	pthread_t thread;

	prepare_forked();
	pthread_barrier_init(&entered, NULL, 2);
	ok(pthread_create(&thread, NULL, enter_and_stay, &entered), "a thread");
	pthread_barrier_wait(&entered);
	return core;
}

static struct quire_machine *prepare_paged_out(void)
{
	prepare_written();
	ok(quire_madvise(space, base, PAGES * PAGE, QUIRE_MADV_PAGEOUT), "PAGEOUT");
	return core;
}

static void watch(uint64_t address, uint64_t pages, uint64_t features, uint64_t mode)
{
	struct quire_uffdio_register range = {.range = {address, (pages + 1) * PAGE}, .mode = mode};
	struct quire_uffdio_api api = {.api = QUIRE_UFFD_API, .features = features};

	ok(quire_userfault_open(space, &(struct quire_userfault_config){0}, &context), "a context");
	ok(quire_userfault_ioctl(context, QUIRE_UFFDIO_API, &api, NULL), "API");
	ok(quire_userfault_ioctl(context, QUIRE_UFFDIO_REGISTER, &range, NULL), "REGISTER");
}

static struct quire_machine *prepare_registered(void)
{
	prepare_written();
	other = map(PAGES);
	store_byte(other + PAGES * PAGE);
	watch(other, PAGES, 0, QUIRE_UFFDIO_REGISTER_MODE_MISSING);
	return core;
}

static struct quire_machine *prepare_shared(void)
{
	const uint64_t bytes = 2 * PAGES * PAGE;

	prepare();
	ok(quire_shmem_create(core, bytes, &object), "shared memory");
	ok(quire_mmap_object(space, 2ull << 30, bytes, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			     QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, object, 0, &other),
	   "mmap of shared memory");
	store_byte(other + PAGES * PAGE);
	return core;
}

static struct quire_machine *prepare_shared_written(void)
{
	prepare_shared();
	write_pages(other, PAGES);
	return core;
}

static struct quire_machine *prepare_shared_cached(void)
{
	prepare_shared_written();
	ok(quire_madvise(space, other, PAGES * PAGE, QUIRE_MADV_DONTNEED), "DONTNEED");
	return core;
}

static struct quire_machine *prepare_clean(void)
{
	struct quire_uffdio_writeprotect protect = {.mode = QUIRE_UFFDIO_WRITEPROTECT_MODE_WP};

	prepare();
	other = map(SCAN_PAGES);
	watch(other, SCAN_PAGES,
	      QUIRE_UFFD_FEATURE_PAGEFAULT_FLAG_WP | QUIRE_UFFD_FEATURE_WP_UNPOPULATED |
		      QUIRE_UFFD_FEATURE_WP_ASYNC,
	      QUIRE_UFFDIO_REGISTER_MODE_WP);
	write_pages(other, SCAN_PAGES);
	protect.range = (struct quire_uffdio_range){other, SCAN_PAGES * PAGE};
	ok(quire_userfault_ioctl(context, QUIRE_UFFDIO_WRITEPROTECT, &protect, NULL), "protect");
	return core;
}

static struct quire_machine *prepare_forked_used(void)
{
	uses = true;
	return prepare_forked_two();
}

/* As many pages again have come by, so that the TLB has forgotten the first. */
static struct quire_machine *prepare_missed(void)
{
	prepare_written();
	other = map(SOFT_TLB_ENTRIES);
	write_pages(other, SOFT_TLB_ENTRIES);
	return core;
}

/* --- running --- */

static void run_write(void)
{
	write_pages(base, PAGES);
}

static void run_read(void)
{
	read_pages(base, PAGES);
}

static void run_copy(void)
{
	struct quire_uffdio_copy copy = {
		.dst = other, .src = (uintptr_t)content, .len = PAGES * PAGE};

	ok(quire_userfault_ioctl(context, QUIRE_UFFDIO_COPY, &copy, NULL), "COPY");
}

static void run_move(void)
{
	struct quire_uffdio_move move = {.dst = other, .src = base, .len = PAGES * PAGE};

	ok(quire_userfault_ioctl(context, QUIRE_UFFDIO_MOVE, &move, NULL), "MOVE");
}

static void run_page_out(void)
{
	ok(quire_madvise(space, base, PAGES * PAGE, QUIRE_MADV_PAGEOUT), "PAGEOUT");
}

static void run_punch(void)
{
	ok(quire_object_punch(object, 0, PAGES * PAGE), "punch");
}

static void run_fork(void)
{
	struct quire_space *child;

	ok(quire_fork(space, &child), "fork");
}

static void run_map(void)
{
	uint64_t address;

	ok(quire_mmap(space, 0, PAGE, QUIRE_PROT_READ, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS,
		      &address),
	   "mmap");
	ok(quire_munmap(space, address, PAGE), "munmap");
}

static void run_unmap(void)
{
	ok(quire_munmap(space, base, PAGES * PAGE), "munmap");
}

static void run_shared_write(void)
{
	write_pages(other, PAGES);
}

static void run_shared_read(void)
{
	read_pages(other, PAGES);
}

static void run_scan(void)
{
	static struct quire_scan_region regions[SCAN_PAGES];
	struct quire_scan scan = {
		.size = sizeof(scan),
		.flags = QUIRE_SCAN_WP_MATCHING | QUIRE_SCAN_CHECK_WPASYNC,
		.start = other,
		.end = other + SCAN_PAGES * PAGE,
		.vec = (uintptr_t)regions,
		.vec_len = SCAN_PAGES,
		.category_mask = QUIRE_PAGE_IS_WRITTEN,
		.return_mask = QUIRE_PAGE_IS_WRITTEN,
	};

	count_require(quire_pagemap_scan(space, &scan) == 0, "a scan that finds nothing");
}

const struct count_operation count_operations[] = {
	{"anonymous write fault", "page", PAGES, prepare, run_write},
	{"anonymous read fault", "page", PAGES, prepare, run_read},
	{"copy-on-write", "page", PAGES, prepare_forked, run_write},
	{"copy-on-write, two CPUs in the space", "page", PAGES, prepare_forked_two, run_write},
	{"copy-on-write, two CPUs use the pages", "page", PAGES, prepare_forked_used, run_write},
	{"UFFDIO_COPY", "page", PAGES, prepare_registered, run_copy},
	{"UFFDIO_MOVE", "page", PAGES, prepare_registered, run_move},
	{"MADV_PAGEOUT", "page", PAGES, prepare_written, run_page_out},
	{"swap-in", "page", PAGES, prepare_paged_out, run_read},
	{"shared write fault, new page", "page", PAGES, prepare_shared, run_shared_write},
	{"shared write fault, page in cache", "page", PAGES, prepare_shared_cached,
	 run_shared_write},
	{"shared read, with neighbours", "page", PAGES, prepare_shared_cached, run_shared_read},
	{"punch of shared memory, mapped", "page", PAGES, prepare_shared_written, run_punch},
	{"fork, 17 pages", "call", 1, prepare_written, run_fork},
	{"mmap + munmap, untouched", "pair", 1, prepare, run_map},
	{"munmap, 16 pages", "call", 1, prepare_written, run_unmap},
	{"PAGEMAP_SCAN, clean", "page", SCAN_PAGES, prepare_clean, run_scan},
	{"load, TLB hit", "load", PAGES, prepare_written, run_read},
	{"load, TLB miss", "load", PAGES, prepare_missed, run_read},
};
const unsigned count_operation_count = sizeof(count_operations) / sizeof(count_operations[0]);
