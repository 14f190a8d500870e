/* SPDX-License-Identifier: MIT */
/*
 * The profile of the running kernel: every answer is what happened when it was tried.
 */
#define _GNU_SOURCE 1
#include "profile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "linux_setting.h"
#include "target.h"

#define HOST_PAGE	   4096
#define ADVICE_GUARD	   102 /* MADV_GUARD_INSTALL, since Linux 6.13 */
#define PAGEMAP_SOFT_DIRTY (UINT64_C(1) << 55)

static void *new_page(int prot)
{
	void *page = mmap(NULL, HOST_PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		target_fail("no page to ask the kernel about memory with");
	return page;
}

/* The kernel reads for a process what the process can, and refuses without a signal. */
static bool has_execute_only(void)
{
	void *page = new_page(PROT_EXEC);
	bool enforced;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		target_fail("no pipe to ask the kernel about memory with");
	enforced = write(ends[1], page, 1) < 0 && errno == EFAULT;
	close(ends[0]);
	close(ends[1]);
	munmap(page, HOST_PAGE);
	return enforced;
}

/* A page that was just written to is soft-dirty where there is such a thing. */
static bool has_soft_dirty(int pagemap)
{
	char *page = new_page(PROT_READ | PROT_WRITE);
	uint64_t word = 0;

	*page = 1;
	if (pread(pagemap, &word, sizeof(word), (off_t)((uintptr_t)page / HOST_PAGE * 8)) < 0)
		word = 0;
	munmap(page, HOST_PAGE);
	return word & PAGEMAP_SOFT_DIRTY;
}

static bool has_pagemap_scan(int pagemap)
{
	void *page = new_page(PROT_READ);
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.start = (uintptr_t)page,
		.end = (uintptr_t)page + HOST_PAGE,
		.return_mask = PAGE_IS_PRESENT,
	};
	int error = ioctl(pagemap, PAGEMAP_SCAN, &scan);

	munmap(page, HOST_PAGE);
	return error >= 0;
}

static bool has_guard(void)
{
	void *page = new_page(PROT_READ | PROT_WRITE);
	int error = madvise(page, HOST_PAGE, ADVICE_GUARD);

	munmap(page, HOST_PAGE);
	return !error;
}

/* Of no memory at all: only whether the advice is known. */
static bool has_memory_failure(void)
{
	void *page = new_page(PROT_READ);
	int error = madvise(page, 0, MADV_HWPOISON);

	munmap(page, HOST_PAGE);
	return !error;
}

/* Addresses above the 47 bits of four levels are given to those who wish for one. */
static bool has_la57(void)
{
	uintptr_t wish = (uintptr_t)1 << 48;
	void *page = mmap((void *)wish, HOST_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page != MAP_FAILED)
		munmap(page, HOST_PAGE);
	return page != MAP_FAILED && (uintptr_t)page >= wish;
}

/* Pins are io_uring's (linux_pin.c), which an administrator may forbid. */
static bool has_pin(void)
{
	struct io_uring_params params = {0};
	int ring = (int)syscall(SYS_io_uring_setup, 1, &params);

	if (ring >= 0)
		close(ring);
	return ring >= 0;
}

/* Refused outright where the limit is 0 and the user is bound by it. */
static bool has_mlock(void)
{
	void *page = new_page(PROT_READ);
	int error = mlock(page, HOST_PAGE);

	munmap(page, HOST_PAGE);
	return !error;
}

static bool has_swap(void)
{
	struct sysinfo host;

	return sysinfo(&host) == 0 && host.totalswap != 0;
}

static bool can_open(const char *path)
{
	int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (file >= 0)
		close(file);
	return file >= 0;
}

static bool there_is(const char *path)
{
	return access(path, F_OK) == 0;
}

/* Who may not make the call may be allowed to open the device.  -1: errno says why. */
static int open_userfaultfd(int flags)
{
	int file = (int)syscall(SYS_userfaultfd, flags);
	int device, error = errno;

	if (file >= 0 || (error != EPERM && error != ENOSYS))
		return file;
	device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	if (device >= 0) {
		file = ioctl(device, USERFAULTFD_IOC_NEW, flags);
		close(device);
	}
	errno = error;
	return file;
}

/* All that are told, or those among `wanted` that may be asked for. */
static uint64_t negotiate(int flags, uint64_t wanted)
{
	struct uffdio_api api = {.api = UFFD_API, .features = wanted};
	int file = open_userfaultfd(flags);
	bool done = file >= 0 && ioctl(file, UFFDIO_API, &api) == 0;

	if (file >= 0)
		close(file);
	return done ? api.features : 0;
}

/* The kernel tells of all features to whoever asks for none; one of them needs a right of its own. */
static void ask_userfaultfd(struct profile *profile)
{
	int flags = O_CLOEXEC | O_NONBLOCK;

	profile->userfault_error = 0;
	profile->userfault_features = negotiate(flags, 0);
	if (profile->userfault_features) {
		profile->has |= HAS_USERFAULTFD;
	} else {
		profile->userfault_error = errno;
		flags |= UFFD_USER_MODE_ONLY;
		profile->userfault_features = negotiate(flags, 0);
	}
	if (profile->userfault_features)
		profile->has |= HAS_USER_MODE_ONLY;
	if (!negotiate(flags, UFFD_FEATURE_EVENT_FORK))
		profile->userfault_features &= ~(uint64_t)UFFD_FEATURE_EVENT_FORK;
	if (profile->userfault_features & UFFD_FEATURE_PAGEFAULT_FLAG_WP)
		profile->has |= HAS_UFFD_WP;
}

static void ask_memory(struct profile *profile)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	const struct {
		enum profile_bit bit;
		bool there;
	} answers[] = {
		{HAS_ROOT, geteuid() == 0},
		{HAS_EXECUTE_ONLY, has_execute_only()},
		{HAS_SOFT_DIRTY, has_soft_dirty(pagemap)},
		{HAS_THP, there_is("/sys/kernel/mm/transparent_hugepage/enabled")},
		{HAS_SHMEM_THP, there_is("/sys/kernel/mm/transparent_hugepage/shmem_enabled")},
		{HAS_HUGETLB_2M, there_is("/sys/kernel/mm/hugepages/hugepages-2048kB")},
		{HAS_HUGETLB_1G, there_is("/sys/kernel/mm/hugepages/hugepages-1048576kB")},
		{HAS_DEVICE_DAX, can_open(getenv("QUIRE_DEVICE_DAX"))},
		{HAS_DEVICE_FSDAX, can_open(getenv("QUIRE_DEVICE_FSDAX"))},
		{HAS_DEVICE_PFN, can_open(getenv("QUIRE_DEVICE_PFN"))},
		{HAS_GUARD, has_guard()},
		{HAS_PAGEMAP_SCAN, has_pagemap_scan(pagemap)},
		{HAS_MEMORY_FAILURE, has_memory_failure()},
		{HAS_LA57, has_la57()},
		{HAS_PIN, has_pin()},
		{HAS_MLOCK, has_mlock()},
		{HAS_COMMIT_LIMIT, setting_number(SETTING_OVERCOMMIT) == 0},
	};

	for (unsigned i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (answers[i].there)
			profile->has |= answers[i].bit;
	close(pagemap);
}

const struct profile *profile_host(void)
{
	static struct profile profile;
	static bool asked;

	if (!asked) {
		ask_memory(&profile);
		ask_userfaultfd(&profile);
		asked = true;
	}
	/* Which comes and goes. */
	profile.has = (profile.has & ~(uint32_t)HAS_SWAP) | (has_swap() ? HAS_SWAP : 0);
	return &profile;
}
