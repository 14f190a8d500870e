/* SPDX-License-Identifier: MIT */
/*
 * Swap in a file: slot n is its n-th page.  Freed slots become holes where the file system can.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <quire/machine.h>

#include "soft_swap.h"

struct file_swap {
	struct soft_swap swap;
	int file;
};

static off_t place(uint64_t slot)
{
	return (off_t)((slot - 1) * QUIRE_PAGE_SIZE);
}

static int file_write(struct soft_swap *swap, uint64_t slot, const void *memory)
{
	const struct file_swap *file = (const struct file_swap *)swap;
	ssize_t written = pwrite(file->file, memory, QUIRE_PAGE_SIZE, place(slot));

	if (written == (ssize_t)QUIRE_PAGE_SIZE)
		return 0;
	return written < 0 ? -errno : -ENOSPC;
}

static int file_read(struct soft_swap *swap, uint64_t slot, void *memory)
{
	const struct file_swap *file = (const struct file_swap *)swap;
	ssize_t read = pread(file->file, memory, QUIRE_PAGE_SIZE, place(slot));

	if (read == (ssize_t)QUIRE_PAGE_SIZE)
		return 0;
	return read < 0 ? -errno : -EIO;
}

static void file_free(struct soft_swap *swap, uint64_t slot)
{
	const struct file_swap *file = (const struct file_swap *)swap;

	(void)fallocate(file->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, place(slot),
			(off_t)QUIRE_PAGE_SIZE);
}

static void file_close(struct soft_swap *swap)
{
	struct file_swap *file = (struct file_swap *)swap;

	close(file->file);
	free(file);
}

static int open_file(const char *path)
{
	const char *directory = getenv("TMPDIR");

	if (path)
		return open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return open(directory ? directory : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

struct soft_swap *soft_swap_file(const char *path, uint64_t slots)
{
	struct file_swap *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->swap = (struct soft_swap){file_write, file_read, file_free, file_close, slots};
	file->file = open_file(path);
	if (file->file >= 0)
		return &file->swap;
	free(file);
	return NULL;
}
