/* SPDX-License-Identifier: MIT */
/* The library's side of the benchmarks of userfaultfd, shared memory and swap. */
#include "userfault.h"

#include <quire/object.h>
#include <soft.h>

static struct quire_space *space;
static struct quire_userfault *context;

static struct quire_object *object;   /* of shared memory, or NULL */
static struct soft_machine *swapping; /* the machine while there is swap */

static struct soft_machine *machine(void)
{
	return swapping ? swapping : bench_library_machine();
}

static void require(int error, const char *what)
{
	bench_require(error == 0, what);
}

static uint64_t map(uint64_t bytes, enum bench_memory memory)
{
	const int prot = QUIRE_PROT_READ | QUIRE_PROT_WRITE;
	const int flags = QUIRE_MAP_NORESERVE | QUIRE_MAP_FIXED;
	uint64_t base = BENCH_VAST; /* aligned at every level */
	struct quire_machine *core = soft_machine_core(machine());

	require(quire_space_create(core, &(struct quire_space_config){0}, &space), "a space");
	if (memory == BENCH_SHARED) {
		require(quire_shmem_create(core, bytes, &object), "shared memory in the library");
		require(quire_mmap_object(space, base, bytes, prot, flags | QUIRE_MAP_SHARED,
					  object, 0, &base),
			"mmap in the library");
	} else {
		require(quire_mmap(space, base, bytes, prot,
				   flags | QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, &base),
			"mmap in the library");
	}
	return base;
}

static void register_range(uint64_t base, uint64_t bytes, uint64_t features)
{
	struct quire_uffdio_register range = {.range = {base, bytes},
					      .mode = QUIRE_UFFDIO_REGISTER_MODE_WP};
	struct quire_uffdio_api api = {.api = QUIRE_UFFD_API, .features = features};

	require(quire_userfault_open(space, &(struct quire_userfault_config){0}, &context),
		"a context in the library");
	require(quire_userfault_ioctl(context, QUIRE_UFFDIO_API, &api, NULL),
		"negotiating in the library");
	require(quire_userfault_ioctl(context, QUIRE_UFFDIO_REGISTER, &range, NULL),
		"registering in the library");
}

static uint64_t begin(uint64_t bytes, uint64_t features, enum bench_memory memory)
{
	uint64_t base = map(bytes, memory);

	if (features != BENCH_UNREGISTERED)
		register_range(base, bytes, features);
	return base;
}

static void end(void)
{
	if (context)
		quire_userfault_close(context);
	context = NULL;
	quire_space_destroy(space);
	if (object)
		quire_object_put(object);
	object = NULL;
}

static void enter(unsigned cpu)
{
	soft_cpu_enter(soft_machine_cpu(machine(), cpu), space);
}

static void leave(unsigned cpu)
{
	soft_cpu_leave(soft_machine_cpu(machine(), cpu));
}

static void write_pages(unsigned number, uint64_t address, uint64_t pages, uint64_t stride)
{
	struct soft_cpu *cpu = soft_machine_cpu(machine(), number);

	for (uint64_t i = 0; i < pages; i++)
		if (soft_store8(cpu, address + i * stride, 1).outcome != QUIRE_DONE)
			bench_require(0, "a store in the library");
}

static void read_pages(unsigned number, uint64_t address, uint64_t pages)
{
	struct soft_cpu *cpu = soft_machine_cpu(machine(), number);
	uint8_t byte;

	for (uint64_t i = 0; i < pages; i++)
		if (soft_load8(cpu, address + i * BENCH_PAGE, &byte).outcome != QUIRE_DONE)
			bench_require(0, "a load in the library");
}

static void fill(unsigned number, uint64_t address, const void *content)
{
	struct soft_cpu *cpu = soft_machine_cpu(machine(), number);

	bench_require(soft_store(cpu, address, content, BENCH_PAGE).outcome == QUIRE_DONE,
		      "a store in the library");
}

static void advise(uint64_t address, uint64_t bytes, int advice)
{
	require(quire_madvise(space, address, bytes, advice), "madvise in the library");
}

static void punch(uint64_t offset, uint64_t bytes)
{
	require(quire_object_punch(object, offset, bytes), "punching in the library");
}

static double fork_space(void)
{
	struct quire_space *child;
	double start = bench_now(), seconds;

	require(quire_fork(space, &child), "fork in the library");
	seconds = bench_now() - start;
	quire_space_destroy(child);
	return seconds;
}

static bool swap_on(enum bench_store store, uint64_t bytes)
{
	uint64_t slots = bytes / BENCH_PAGE;
	struct soft_config config = {.memory = 2 * bytes, .cpus = 2};

	config.swap =
		store == BENCH_FILE ? soft_swap_file(NULL, slots) : soft_swap_compressed(slots);
	bench_require(config.swap != NULL, "a store in the library");
	require(soft_machine_open(&config, &swapping), "a machine that swaps");
	return true;
}

static void swap_off(void)
{
	require(soft_machine_close(swapping), "closing the machine that swaps");
	swapping = NULL;
}

static void request(uint32_t number, void *argument)
{
	bench_require(quire_userfault_ioctl(context, number, argument, NULL) == 0,
		      "a request in the library");
}

static bool read_message(struct quire_uffd_msg *message)
{
	struct quire_userfault *child;

	return quire_userfault_read(context, message, &child) == 0;
}

static int64_t scan(struct quire_scan *argument)
{
	return quire_pagemap_scan(space, argument);
}

static uint64_t tables(void)
{
	struct quire_usage usage;

	quire_space_usage(space, &usage);
	return usage.tables;
}

const struct bench_userfault bench_library_userfault = {
	.begin = begin,
	.end = end,
	.enter = enter,
	.leave = leave,
	.write = write_pages,
	.read_pages = read_pages,
	.fill = fill,
	.advise = advise,
	.punch = punch,
	.fork = fork_space,
	.swap_on = swap_on,
	.swap_off = swap_off,
	.request = request,
	.read = read_message,
	.scan = scan,
	.tables = tables,
};
