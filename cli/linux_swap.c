/* SPDX-License-Identifier: MIT */
/*
 * Swap for the linux target: the area, which the guardian (linux_guardian.c) sets up and takes down.
 *
 * The area is a zram device or, where there is no such thing, a file.  It has the highest priority.
 * A zram device takes a page at once; on the way to a file it stays in memory for a while, which
 * mincore shows, and can't be paged out again until it is written.  Pages come back one by one:
 * nothing is read ahead.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/swap.h>
#include <unistd.h>

#include "linux_guardian.h"
#include "linux_setting.h"

#define REMOVE_NAP 1000 /* us */
#define REMOVES	   1000

#define ZRAM_CONTROL "/sys/class/zram-control/"
#define FILE_PATTERN "/var/tmp/quire-swap-XXXXXX"

/* A device that nobody else has; -1: there is none to be had. */
static int add_zram(uint64_t size)
{
	int number = (int)setting_number(ZRAM_CONTROL "hot_add");
	char path[64];

	if (number < 0)
		return -1;
	snprintf(path, sizeof(path), "/sys/block/zram%d/disksize", number);
	if (setting_write_number(path, size))
		return number;
	setting_write_number(ZRAM_CONTROL "hot_remove", (uint64_t)number);
	return -1;
}

/* Somebody who looks at every new device may still have it open. */
static void remove_zram(int number)
{
	for (unsigned i = 0; i < REMOVES; i++) {
		if (setting_write_number(ZRAM_CONTROL "hot_remove", (uint64_t)number) ||
		    errno != EBUSY)
			return;
		usleep(REMOVE_NAP);
	}
}

/* Swap may not lie in holes. */
static bool fill(int file, uint64_t size)
{
	static const char zeros[1u << 16];
	ssize_t n = 1;

	for (uint64_t done = 0; done < size && n > 0; done += (uint64_t)n)
		n = write(file, zeros, size - done < sizeof(zeros) ? size - done : sizeof(zeros));
	return n > 0;
}

/* What mkswap(8) writes: version 1, the number of the last page, and the signature. */
static bool write_header(int file, uint64_t pages)
{
	static char page[PAGE_SIZE];
	const uint32_t info[] = {1, (uint32_t)(pages - 1)};

	memcpy(page + 1024, info, sizeof(info));
	memcpy(page + PAGE_SIZE - 10, "SWAPSPACE2", 10);
	return pwrite(file, page, sizeof(page), 0) == sizeof(page) && fsync(file) == 0;
}

/* Returns the open file of a new area; -1: errno says why. */
static int make_area(uint64_t size, struct swap_area *area)
{
	int file;

	area->zram = add_zram(size);
	if (area->zram >= 0) {
		snprintf(area->path, sizeof(area->path), "/dev/zram%d", area->zram);
		return open(area->path, O_RDWR | O_CLOEXEC);
	}
	strcpy(area->path, FILE_PATTERN);
	file = mkostemp(area->path, O_CLOEXEC);
	if (file < 0)
		*area->path = 0;
	else if (!fill(file, size))
		close(file), file = -1;
	return file;
}

/* Returns whether there is swap of that many bytes now; if not, errno says why. */
static bool swap_on(uint64_t size, struct swap_area *area)
{
	uint64_t pages = (size + PAGE_SIZE - 1) / PAGE_SIZE + 1; /* and the header */
	bool done = false;
	int file;

	if (pages > UINT32_MAX) {
		errno = EFBIG;
		return false;
	}
	if (swapoff("") && errno == EPERM)
		return false;
	file = make_area(pages * PAGE_SIZE, area);
	if (file < 0)
		return false;
	done = write_header(file, pages);
	close(file);
	if (!done || swapon(area->path, SWAP_FLAG_PREFER | SWAP_FLAG_PRIO_MASK))
		return false;
	area->cluster = (int)setting_number(SETTING_PAGE_CLUSTER);
	setting_write_number(SETTING_PAGE_CLUSTER, 0);
	return true;
}

void swap_take_down(const struct swap_area *area)
{
	if (!*area->path)
		return;
	if (area->cluster >= 0)
		setting_write_number(SETTING_PAGE_CLUSTER, (uint64_t)area->cluster);
	swapoff(area->path);
	if (area->zram >= 0)
		remove_zram(area->zram);
	else
		unlink(area->path);
}

/* /proc/swaps is one line of titles, and one for each area. */
static bool machine_has_swap(int swaps)
{
	char text[4096];
	ssize_t length = pread(swaps, text, sizeof(text), 0);
	const char *line = length > 0 ? memchr(text, '\n', (size_t)length) : NULL;

	return line && line + 1 < text + length;
}

void swap_arrange(const struct target_setup *setup, int swaps, struct answer *answer)
{
	if (!setup->has_swap)
		return;
	if (setup->swap && !swap_on(setup->swap, &answer->area))
		snprintf(answer->why, sizeof(answer->why), "can't have swap: %s", strerror(errno));
	else if (!setup->swap && machine_has_swap(swaps))
		strcpy(answer->why, "the machine has swap");
}
