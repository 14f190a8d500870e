/* SPDX-License-Identifier: MIT */
/*
 * The kernel's side of the benchmarks of userfaultfd, shared memory and swap.  The library's structures and numbers are the
 * kernel's, so that this file needs no newer headers of the system than the library does.
 */
#define _GNU_SOURCE
#include "kernel.h"
#include "userfault.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGEMAP_SCAN_REQUEST _IOWR('f', 16, struct quire_scan)

static unsigned char *base;
static uint64_t mapped;
static int context = -1, pagemap = -1, object = -1;

static void request(uint32_t number, void *argument)
{
	bench_require(ioctl(context, number, argument) == 0, "a request in the kernel");
}

static void map(uint64_t bytes, enum bench_memory memory)
{
	int flags = MAP_NORESERVE | MAP_FIXED_NOREPLACE;

	if (memory == BENCH_SHARED) {
		object = memfd_create("quire_bench", MFD_CLOEXEC);
		bench_require(object >= 0 && ftruncate(object, (off_t)bytes) == 0, "a memfd");
		flags |= MAP_SHARED;
	} else {
		flags |= MAP_PRIVATE | MAP_ANONYMOUS;
	}
	/* At an address that is aligned at every level. */
	base = mmap((void *)(uintptr_t)BENCH_VAST, bytes, PROT_READ | PROT_WRITE, flags, object, 0);
	bench_require(base != MAP_FAILED, "mmap in the kernel");
	mapped = bytes;
	madvise(base, bytes, MADV_NOHUGEPAGE);
}

static void register_all(uint64_t features)
{
	struct quire_uffdio_api api = {.api = QUIRE_UFFD_API, .features = features};
	struct quire_uffdio_register range = {.range = {(uintptr_t)base, mapped},
					      .mode = QUIRE_UFFDIO_REGISTER_MODE_WP};

	context = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	bench_require(context >= 0, "userfaultfd in the kernel (are you allowed to?)");
	request(QUIRE_UFFDIO_API, &api);
	request(QUIRE_UFFDIO_REGISTER, &range);
}

static uint64_t begin(uint64_t bytes, uint64_t features, enum bench_memory memory)
{
	map(bytes, memory);
	if (features != BENCH_UNREGISTERED)
		register_all(features);
	return (uintptr_t)base;
}

static void close_it(int *file)
{
	if (*file >= 0)
		close(*file);
	*file = -1;
}

static void end(void)
{
	munmap(base, mapped);
	close_it(&context);
	close_it(&object);
}

static void nothing(unsigned cpu)
{
	(void)cpu;
}

static void write_pages(unsigned cpu, uint64_t address, uint64_t pages, uint64_t stride)
{
	volatile unsigned char *memory = (unsigned char *)(uintptr_t)address;

	(void)cpu;
	for (uint64_t i = 0; i < pages; i++)
		memory[i * stride] = 1;
}

static void read_pages(unsigned cpu, uint64_t address, uint64_t pages)
{
	const volatile unsigned char *memory = (unsigned char *)(uintptr_t)address;

	(void)cpu;
	for (uint64_t i = 0; i < pages; i++)
		(void)memory[i * BENCH_PAGE];
}

static void fill(unsigned cpu, uint64_t address, const void *content)
{
	(void)cpu;
	memcpy((void *)(uintptr_t)address, content, BENCH_PAGE);
}

static void advise(uint64_t address, uint64_t bytes, int advice)
{
	bench_require(madvise((void *)(uintptr_t)address, bytes, advice) == 0, "madvise");
}

static void punch(uint64_t offset, uint64_t bytes)
{
	bench_require(fallocate(object, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
				(off_t)bytes) == 0,
		      "punching in the kernel");
}

static bool swap_on(enum bench_store store, uint64_t bytes)
{
	(void)store;
	return bench_kernel_swap_on(bytes);
}

static bool read_message(struct quire_uffd_msg *message)
{
	return read(context, message, sizeof(*message)) == sizeof(*message);
}

static int64_t scan(struct quire_scan *argument)
{
	if (pagemap < 0)
		pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	return ioctl(pagemap, PAGEMAP_SCAN_REQUEST, argument);
}

static uint64_t tables(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	unsigned long long kilobytes = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmPTE: %llu kB", &kilobytes) == 1)
			break;
	if (file)
		fclose(file);
	return kilobytes << 10;
}

const struct bench_userfault bench_kernel_userfault = {
	.begin = begin,
	.end = end,
	.enter = nothing,
	.leave = nothing,
	.write = write_pages,
	.read_pages = read_pages,
	.fill = fill,
	.advise = advise,
	.punch = punch,
	.fork = bench_kernel_fork,
	.swap_on = swap_on,
	.swap_off = bench_kernel_swap_off,
	.request = request,
	.read = read_message,
	.scan = scan,
	.tables = tables,
};
