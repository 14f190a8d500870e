/* SPDX-License-Identifier: MIT */
/* The library's side of the benchmarks of userfaultfd. */
#include "userfault.h"

#include <soft.h>

static struct quire_space *space;
static struct quire_userfault *context;

static uint64_t begin(uint64_t bytes, uint64_t features)
{
	struct quire_uffdio_register range = {.range.len = bytes,
					      .mode = QUIRE_UFFDIO_REGISTER_MODE_WP};
	struct quire_uffdio_api api = {.api = QUIRE_UFFD_API, .features = features};
	struct soft_machine *machine = bench_library_machine();
	uint64_t base = BENCH_VAST; /* aligned at every level */
	int error;

	error = quire_space_create(soft_machine_core(machine), &(struct quire_space_config){0},
				   &space);
	bench_require(!error, "creating a space");
	error = quire_mmap(space, base, bytes, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			   QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_NORESERVE |
				   QUIRE_MAP_FIXED,
			   &base);
	bench_require(!error, "mmap in the library");
	error = quire_userfault_open(space, &(struct quire_userfault_config){0}, &context);
	bench_require(!error, "a context in the library");
	range.range.start = base;
	bench_require(!quire_userfault_ioctl(context, QUIRE_UFFDIO_API, &api, NULL) &&
			      !quire_userfault_ioctl(context, QUIRE_UFFDIO_REGISTER, &range, NULL),
		      "registering in the library");
	return base;
}

static void end(void)
{
	quire_userfault_close(context);
	quire_space_destroy(space);
}

static void enter(unsigned cpu)
{
	soft_cpu_enter(soft_machine_cpu(bench_library_machine(), cpu), space);
}

static void leave(unsigned cpu)
{
	soft_cpu_leave(soft_machine_cpu(bench_library_machine(), cpu));
}

static void write_pages(unsigned number, uint64_t address, uint64_t pages, uint64_t stride)
{
	struct soft_cpu *cpu = soft_machine_cpu(bench_library_machine(), number);

	for (uint64_t i = 0; i < pages; i++)
		if (soft_store8(cpu, address + i * stride, 1).outcome != QUIRE_DONE)
			bench_require(0, "a store in the library");
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
	.request = request,
	.read = read_message,
	.scan = scan,
	.tables = tables,
};
