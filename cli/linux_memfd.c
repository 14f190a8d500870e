/* SPDX-License-Identifier: MIT */
/*
 * File memory on the linux target: memfds of the controller; and devices, files that the environment
 * names.
 *
 * The controller reads, writes and sizes a file itself, so that no process's page tables see it.
 * An agent that maps the file is lent a copy of it for that call.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "linux_hugetlb.h"

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

struct file {
	struct target *target;
	int file;
	uint64_t page; /* bytes of its huge pages; 0: it has none */
	char *device;  /* where the controller has it mapped; NULL: it is read and written */
	uint64_t size; /* of that, in bytes */
	struct file *next;
};

/* cachestat(2): the kernel's names, which not every C library has. */
struct cachestat_range {
	uint64_t off, len;
};

struct cachestat {
	uint64_t nr_cache, nr_dirty, nr_writeback, nr_evicted, nr_recently_evicted;
};

static struct file *open_memfd(struct target *target, uint64_t size, unsigned flags, uint64_t page)
{
	struct file *file = calloc(1, sizeof(*file));
	int error;

	if (!file)
		target_fail("out of memory");
	file->file = memfd_create("quire-shmem", MFD_CLOEXEC | flags);
	if (file->file < 0 || ftruncate(file->file, (off_t)size)) {
		error = errno;
		close(file->file);
		free(file);
		errno = error;
		return NULL;
	}
	file->page = page;
	file->target = target;
	file->next = target->files;
	target->files = file;
	return file;
}

struct file *memfd_open(struct target *target, uint64_t size)
{
	return open_memfd(target, size, 0, 0);
}

struct file *memfd_open_huge(struct target *target, uint64_t size, enum pool pool)
{
	return open_memfd(target, size,
			  MFD_HUGETLB | (pool == POOL_2M ? MFD_HUGE_2MB : MFD_HUGE_1GB),
			  pool_page[pool]);
}

/* ENODEV: the device's pages have another size. */
static int check_page(int device, uint64_t page)
{
	void *half = mmap(NULL, page / 2, PROT_NONE, MAP_SHARED, device, 0);
	void *whole = mmap(NULL, page, PROT_NONE, MAP_SHARED, device, 0);

	if (half != MAP_FAILED)
		munmap(half, page / 2);
	if (whole != MAP_FAILED)
		munmap(whole, page);
	return whole == MAP_FAILED || (half != MAP_FAILED && page > 4096) ? ENODEV : 0;
}

/* A file is made anew; of a device its beginning becomes zeros. */
static int device_prepare(struct file *file, enum device_kind kind, unsigned level, uint64_t size)
{
	int error = 0;

	if (kind == DEVICE_FSDAX)
		return ftruncate(file->file, 0) ||
				       (size && fallocate(file->file, 0, 0, (off_t)size))
			       ? errno
			       : 0;
	if (kind == DEVICE_DAX)
		error = check_page(file->file, UINT64_C(4096) << 9 * level);
	if (error)
		return error;
	file->device = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file->file, 0);
	if (file->device == MAP_FAILED) {
		file->device = NULL;
		return errno;
	}
	file->size = size;
	memset(file->device, 0, size);
	return 0;
}

struct file *device_open(struct target *target, enum device_kind kind, unsigned level,
			 uint64_t size)
{
	static const char *const names[DEVICE_KINDS] = {"QUIRE_DEVICE_DAX", "QUIRE_DEVICE_FSDAX",
							"QUIRE_DEVICE_PFN"};
	struct file *file = calloc(1, sizeof(*file));
	int error;

	if (!file)
		target_fail("out of memory");
	file->file = open(getenv(names[kind]), O_RDWR | O_CLOEXEC);
	error = file->file < 0 ? errno : device_prepare(file, kind, level, size);
	file->target = target;
	file->next = target->files;
	target->files = file;
	if (!error)
		return file;
	memfd_close(file);
	errno = error;
	return NULL;
}

void memfd_close(struct file *file)
{
	struct file **link = &file->target->files;

	while (*link != file)
		link = &(*link)->next;
	*link = file->next;
	if (file->device)
		munmap(file->device, file->size);
	close(file->file);
	free(file);
}

void memfd_close_all(struct target *target)
{
	while (target->files)
		memfd_close(target->files);
}

int memfd_lend(const struct file *file, struct thread *server)
{
	return thread_give_file(server, file->file);
}

int memfd_write(struct file *file, uint64_t offset, const void *bytes, size_t length, size_t *done)
{
	ssize_t n = 1;

	if (file->device) {
		*done = 0;
		if (offset > file->size || length > file->size - offset)
			return ENOSPC;
		memcpy(file->device + offset, bytes, length);
		*done = length;
		return 0;
	}
	if (file->page)
		return hugetlb_write(file->file, file->page, offset, bytes, length, done);
	for (*done = 0; *done < length && n > 0; *done += n > 0 ? (size_t)n : 0)
		n = pwrite(file->file, (const char *)bytes + *done, length - *done,
			   (off_t)(offset + *done));
	return n < 0 ? errno : 0;
}

int memfd_read(struct file *file, uint64_t offset, void *bytes, size_t length, size_t *done)
{
	ssize_t n = 1;

	if (file->device) {
		*done = offset >= file->size	       ? 0
			: length > file->size - offset ? file->size - offset
						       : length;
		memcpy(bytes, file->device + offset, *done);
		return 0;
	}
	for (*done = 0; *done < length && n > 0; *done += n > 0 ? (size_t)n : 0)
		n = pread(file->file, (char *)bytes + *done, length - *done,
			  (off_t)(offset + *done));
	return n < 0 ? errno : 0;
}

int memfd_truncate(struct file *file, uint64_t size)
{
	return ftruncate(file->file, (off_t)size) ? errno : 0;
}

int memfd_punch(struct file *file, uint64_t offset, uint64_t length)
{
	return fallocate(file->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			 (off_t)length)
		       ? errno
		       : 0;
}

int memfd_allocate(struct file *file, uint64_t offset, uint64_t length)
{
	return fallocate(file->file, 0, (off_t)offset, (off_t)length) ? errno : 0;
}

int memfd_resident(struct file *file, uint64_t offset, uint64_t length, uint64_t *pages)
{
	struct cachestat_range range = {.off = offset, .len = length};
	struct cachestat state;

	*pages = 0;
	if ((int64_t)offset < 0 || (int64_t)length < 0 || (int64_t)(offset + length) < 0)
		return EINVAL;
	if (!length) /* which cachestat takes for "up to the end" */
		return 0;
	if (file->page)
		return hugetlb_resident(file->file, file->page, offset, length, pages);
	if (syscall(SYS_cachestat, file->file, &range, &state, 0))
		return errno;
	*pages = state.nr_cache;
	return 0;
}
