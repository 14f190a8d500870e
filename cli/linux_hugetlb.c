/* SPDX-License-Identifier: MIT */
/*
 * Files of huge pages on the linux target, where they are not as other memfds, and their pools.
 *
 * The kernel writes to such a file through mappings alone, and tells nobody which of its pages are
 * there: so the controller maps it for the time of a call.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "linux_hugetlb.h"
#include "linux_setting.h"

/* Whole pages of a file. */
struct window {
	uint64_t start, length;
	unsigned char *memory;
};

/* Maps the pages that hold the range, without a reservation.  0 or errno. */
static int map(int file, uint64_t page, uint64_t offset, uint64_t length, struct window *window)
{
	window->start = offset & ~(page - 1);
	window->length = ((offset + length + page - 1) & ~(page - 1)) - window->start;
	window->memory = mmap(NULL, window->length, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_NORESERVE, file, (off_t)window->start);
	return window->memory == MAP_FAILED ? errno : 0;
}

static void unmap(const struct window *window)
{
	munmap(window->memory, window->length);
}

static uint64_t size_of(int file)
{
	struct stat status;

	return fstat(file, &status) ? 0 : (uint64_t)status.st_size;
}

int hugetlb_write(int file, uint64_t page, uint64_t offset, const void *bytes, size_t length,
		  size_t *done)
{
	struct window window;
	int error;

	*done = 0;
	if (offset > size_of(file) || length > size_of(file) - offset)
		return EFBIG;
	if (!length)
		return 0;
	error = map(file, page, offset, length, &window);
	if (error)
		return error;
	/* Now, for a store to a page that cannot be had is a signal. */
	if (fallocate(file, 0, (off_t)window.start, (off_t)window.length)) {
		error = errno;
	} else {
		memcpy(window.memory + (offset - window.start), bytes, length);
		*done = length;
	}
	unmap(&window);
	return error;
}

/* A context for the window's minor faults; -1: errno says why. */
static int watch(const struct window *window)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_MINOR_HUGETLBFS};
	struct uffdio_register range = {
		.range = {(uintptr_t)window->memory, window->length},
		.mode = UFFDIO_REGISTER_MODE_MINOR,
	};
	int context = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	if (context < 0)
		return -1;
	if (ioctl(context, UFFDIO_API, &api) || ioctl(context, UFFDIO_REGISTER, &range)) {
		close(context);
		return -1;
	}
	return context;
}

/* Only a page that is there can be mapped by UFFDIO_CONTINUE. */
static uint64_t count_pages(int context, const struct window *window, uint64_t page)
{
	uint64_t count = 0;

	for (uint64_t i = 0; i < window->length; i += page) {
		struct uffdio_continue request = {.range = {(uintptr_t)window->memory + i, page}};

		count += ioctl(context, UFFDIO_CONTINUE, &request) == 0;
	}
	return count;
}

int hugetlb_resident(int file, uint64_t page, uint64_t offset, uint64_t length, uint64_t *pages)
{
	uint64_t size = size_of(file);
	struct window window;
	int context, error;

	*pages = 0;
	if (offset >= size)
		return 0;
	if (length > size - offset)
		length = size - offset;
	error = map(file, page, offset, length, &window);
	if (error)
		return error;
	context = watch(&window);
	if (context < 0) {
		error = errno;
	} else {
		*pages = count_pages(context, &window, page);
		close(context);
	}
	unmap(&window);
	return error;
}

/* --- pools --- */

int hugetlb_count(struct target *target, enum pool pool, struct target_pool *count)
{
	uint64_t page = pool_page[pool];
	int64_t total = setting_number(setting_pool(page, "nr_hugepages"));

	(void)target;
	if (total < 0)
		return ENOENT;
	*count = (struct target_pool){
		.total = (uint64_t)total,
		.free = (uint64_t)setting_number(setting_pool(page, "free_hugepages")),
		.reserved = (uint64_t)setting_number(setting_pool(page, "resv_hugepages")),
		.surplus = (uint64_t)setting_number(setting_pool(page, "surplus_hugepages")),
	};
	return 0;
}

int hugetlb_resize(struct target *target, enum pool pool, uint64_t pages, int64_t overcommit)
{
	uint64_t page = pool_page[pool];

	(void)target;
	if (overcommit >= 0 && !setting_write_number(setting_pool(page, "nr_overcommit_hugepages"),
						     (uint64_t)overcommit))
		return errno;
	return setting_write_number(setting_pool(page, "nr_hugepages"), pages) ? 0 : errno;
}
