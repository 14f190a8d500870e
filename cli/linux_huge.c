/* SPDX-License-Identifier: MIT */
/*
 * Huge pages for the linux target: the switches of transparent ones and the pools, which the guardian
 * (linux_guardian.c) sets and sets back.
 *
 * With a say in transparent huge pages a run has those of 2M alone; smaller sizes, which have
 * switches of their own, are off meanwhile.  A pool has exactly the pages that the setup says, and
 * no more if need be; one of whose pages somebody uses is left alone.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "linux_guardian.h"

#define SIZE_SWITCH "/sys/kernel/mm/transparent_hugepage/hugepages-%ukB/%s"
#define SMALLEST    8u /* KiB */
#define LARGEST	    2048u

const uint64_t pool_page[POOLS] = {[POOL_2M] = UINT64_C(2) << 20, [POOL_1G] = UINT64_C(1) << 30};

/* Writes the value, and remembers what stood there, for the script may change it too.  false: errno
 * says why; then nothing changed. */
static bool change(struct saved_settings *saved, const char *path, const char *was,
		   const char *value)
{
	if (saved->count == SAVED_MAX) {
		errno = ENOSPC;
		return false;
	}
	if (strcmp(was, value) != 0 && !setting_write(path, value))
		return false;
	snprintf(saved->one[saved->count].path, sizeof(saved->one->path), "%s", path);
	snprintf(saved->one[saved->count++].value, sizeof(saved->one->value), "%s", was);
	return true;
}

static bool change_choice(struct saved_settings *saved, const char *path, const char *value)
{
	char was[SETTING_ROOM];

	return setting_choice(path, was) && change(saved, path, was, value);
}

static bool change_number(struct saved_settings *saved, const char *path, uint64_t number)
{
	char was[SETTING_ROOM], value[SETTING_ROOM];

	snprintf(value, sizeof(value), "%ju", (uintmax_t)number);
	return setting_read(path, was) && change(saved, path, was, value);
}

/* The switch of all sizes, and those of the sizes that follow it or not. */
static bool set_policy(struct saved_settings *saved, const char *path, const char *name,
		       const char *policy)
{
	if (!change_choice(saved, path, policy))
		return false;
	for (unsigned kib = SMALLEST; kib <= LARGEST; kib *= 2) {
		char size[96], was[SETTING_ROOM];

		snprintf(size, sizeof(size), SIZE_SWITCH, kib, name);
		if (setting_choice(size, was) &&
		    !change(saved, size, was, kib == LARGEST ? "inherit" : "never"))
			return false;
	}
	return true;
}

static bool set_pool(struct saved_settings *saved, enum pool pool, uint64_t pages,
		     char why[sizeof(((struct answer *)0)->why)])
{
	uint64_t page = pool_page[pool];
	const char *name = pool == POOL_2M ? "2M" : "1G";
	int64_t total = setting_number(setting_pool(page, "nr_hugepages"));
	int64_t got;

	if (total < 0) {
		snprintf(why, 128, "the kernel has no huge pages of %s", name);
		return false;
	}
	if (setting_number(setting_pool(page, "free_hugepages")) != total ||
	    setting_number(setting_pool(page, "resv_hugepages")) != 0) {
		snprintf(why, 128, "huge pages of %s are in use", name);
		return false;
	}
	if (!change_number(saved, setting_pool(page, "nr_overcommit_hugepages"), 0) ||
	    !change_number(saved, setting_pool(page, "nr_hugepages"), pages)) {
		snprintf(why, 128, "can't have huge pages of %s: %s", name, strerror(errno));
		return false;
	}
	got = setting_number(setting_pool(page, "nr_hugepages"));
	if (got < (int64_t)pages && setting_write("/proc/sys/vm/compact_memory", "1")) {
		setting_write_number(setting_pool(page, "nr_hugepages"), pages);
		got = setting_number(setting_pool(page, "nr_hugepages"));
	}
	if (got == (int64_t)pages)
		return true;
	snprintf(why, 128, "of %ju huge pages of %s the kernel can have %jd", (uintmax_t)pages,
		 name, (intmax_t)got);
	return false;
}

void huge_arrange(const struct target_setup *setup, struct saved_settings *saved,
		  struct answer *answer)
{
	if (setup->thp && !set_policy(saved, SETTING_THP, "enabled", setup->thp))
		snprintf(answer->why, sizeof(answer->why), "can't set thp: %s", strerror(errno));
	else if (setup->shmem_thp &&
		 !set_policy(saved, SETTING_SHMEM_THP, "shmem_enabled", setup->shmem_thp))
		snprintf(answer->why, sizeof(answer->why), "can't set shmem_thp: %s",
			 strerror(errno));
	for (enum pool pool = 0; pool < POOLS && !*answer->why; pool++)
		if (setup->has_pool[pool])
			set_pool(saved, pool, setup->pool[pool], answer->why);
}

/* Pages that somebody still has go with him. */
void huge_take_down(const struct saved_settings *saved)
{
	for (unsigned i = saved->count; i--;)
		setting_write(saved->one[i].path, saved->one[i].value);
}
