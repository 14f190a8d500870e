/* SPDX-License-Identifier: MIT */
#include "store.h"

#include <string.h>

#include <quire/device.h>

#include "schedule.h"

/* --- swap --- */

static struct {
	bool refuse;
	const char *misused;
	bool written[STORE_SLOTS + 1];
	unsigned char page[STORE_SLOTS + 1][QUIRE_PAGE_SIZE];
} store;

static bool known(uint64_t slot)
{
	if (slot >= 1 && slot <= STORE_SLOTS)
		return true;
	store.misused = "a slot that does not exist";
	return false;
}

static int store_write(struct soft_swap *swap, uint64_t slot, const void *memory)
{
	(void)swap;
	if (!known(slot) || store.refuse)
		return -QUIRE_ENOSPC;
	memcpy(store.page[slot], memory, QUIRE_PAGE_SIZE);
	store.written[slot] = true;
	return 0;
}

static int store_read(struct soft_swap *swap, uint64_t slot, void *memory)
{
	(void)swap;
	if (!known(slot))
		return -QUIRE_EIO;
	if (!store.written[slot]) {
		store.misused = "a slot is read that was not written";
		return -QUIRE_EIO;
	}
	memcpy(memory, store.page[slot], QUIRE_PAGE_SIZE);
	return 0;
}

static void store_free(struct soft_swap *swap, uint64_t slot)
{
	(void)swap;
	if (known(slot))
		store.written[slot] = false;
}

static void store_close(struct soft_swap *swap)
{
	(void)swap;
}

struct soft_swap *store_open(void)
{
	static struct soft_swap swap = {store_write, store_read, store_free, store_close,
					STORE_SLOTS};

	store.refuse = false;
	store.misused = NULL;
	memset(store.written, 0, sizeof(store.written));
	return &swap;
}

void store_refuse(bool refuse)
{
	store.refuse = refuse;
}

const char *store_misused(void)
{
	return store.misused;
}

/* --- a file --- */

static uint64_t file[FILE_PAGES][QUIRE_PAGE_SIZE / sizeof(uint64_t)];

static int file_read(void *context, uint64_t index, uint64_t count, void *memory)
{
	(void)context;
	schedule_host_call();
	memset(memory, 0, count * QUIRE_PAGE_SIZE);
	for (uint64_t i = 0; i < count && index + i < FILE_PAGES; i++)
		memcpy((char *)memory + i * QUIRE_PAGE_SIZE, file[index + i], QUIRE_PAGE_SIZE);
	schedule_host_call();
	return 0;
}

static int file_write(void *context, uint64_t index, uint64_t count, const void *memory)
{
	(void)context;
	schedule_host_call();
	if (index + count > FILE_PAGES)
		return -QUIRE_ENOSPC;
	memcpy(file[index], memory, count * QUIRE_PAGE_SIZE);
	schedule_host_call();
	return 0;
}

static int file_make_writable(void *context, uint64_t index)
{
	(void)context;
	(void)index;
	schedule_host_call();
	return 0;
}

const struct quire_object_operations file_operations = {
	.read_page = file_read,
	.write_page = file_write,
	.make_writable = file_make_writable,
};

void file_reset(uint64_t first)
{
	memset(file, 0, sizeof(file));
	for (unsigned i = 0; i < FILE_PAGES; i++)
		file[i][0] = first + i;
}

/* --- a device --- */

static _Alignas(4096) unsigned char device[DEVICE_PAGES * QUIRE_PAGE_SIZE];

static int device_map(void *context, uint64_t index, unsigned level, bool write,
		      struct quire_device_leaf *leaf)
{
	uint64_t pages = level ? 512 : 1;

	(void)context;
	(void)write;
	schedule_host_call();
	if (index >= DEVICE_PAGES)
		return -QUIRE_ENOSPC;
	*leaf = (struct quire_device_leaf){DEVICE_FRAME + index / pages * pages, level};
	schedule_host_call();
	return 0;
}

/* Called with the lock for changes held: the one call of the host that is. */
static void device_discard(void *context, uint64_t index, uint64_t count)
{
	(void)context;
	if (index < DEVICE_PAGES)
		memset(device + index * QUIRE_PAGE_SIZE, 0,
		       (count < DEVICE_PAGES - index ? count : DEVICE_PAGES - index) *
			       QUIRE_PAGE_SIZE);
}

const struct quire_device_operations *device_operations(unsigned kind)
{
	static const struct quire_device_operations operations[] = {
		[QUIRE_DEVICE_DAX] = {QUIRE_DEVICE_DAX, 1, .map = device_map},
		[QUIRE_DEVICE_FSDAX] = {QUIRE_DEVICE_FSDAX, 1, .map = device_map,
					.discard = device_discard},
		[QUIRE_DEVICE_PFN] = {QUIRE_DEVICE_PFN, 1, .map = device_map},
	};

	return &operations[kind];
}

void *device_reset(void)
{
	return memset(device, 0, sizeof(device));
}
