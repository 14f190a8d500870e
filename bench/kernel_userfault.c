/* SPDX-License-Identifier: MIT */
/*
 * The kernel's side of the benchmarks of userfaultfd.  The library's structures and numbers are the
 * kernel's, so that this file needs no newer headers of the system than the library does.
 */
#define _GNU_SOURCE
#include "userfault.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGEMAP_SCAN_REQUEST _IOWR('f', 16, struct quire_scan)

static unsigned char *base;
static uint64_t mapped;
static int context = -1, pagemap = -1;

static void request(uint32_t number, void *argument)
{
	bench_require(ioctl(context, number, argument) == 0, "a request in the kernel");
}

/* At an address that is aligned at every level. */
static uint64_t begin(uint64_t bytes, uint64_t features)
{
	struct quire_uffdio_api api = {.api = QUIRE_UFFD_API, .features = features};
	struct quire_uffdio_register range = {.mode = QUIRE_UFFDIO_REGISTER_MODE_WP};

	base = mmap((void *)(uintptr_t)BENCH_VAST, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	bench_require(base != MAP_FAILED, "mmap in the kernel");
	mapped = bytes;
	madvise(base, bytes, MADV_NOHUGEPAGE);
	context = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	bench_require(context >= 0, "userfaultfd in the kernel (are you allowed to?)");
	request(QUIRE_UFFDIO_API, &api);
	range.range = (struct quire_uffdio_range){(uintptr_t)base, bytes};
	request(QUIRE_UFFDIO_REGISTER, &range);
	return (uintptr_t)base;
}

static void end(void)
{
	munmap(base, mapped);
	close(context);
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
	.request = request,
	.read = read_message,
	.scan = scan,
	.tables = tables,
};
