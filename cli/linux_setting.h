/* SPDX-License-Identifier: MIT */
/*
 * Settings of the running kernel: files under /proc and /sys that hold one line.
 */
#ifndef QUIRE_CLI_LINUX_SETTING_H
#define QUIRE_CLI_LINUX_SETTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SETTING_ROOM 64

#define SETTING_THP	  "/sys/kernel/mm/transparent_hugepage/enabled"
#define SETTING_SHMEM_THP "/sys/kernel/mm/transparent_hugepage/shmem_enabled"

/* 0: one mapping may be as large as memory and swap; 1: as it likes; 2: all have a limit together. */
#define SETTING_OVERCOMMIT "/proc/sys/vm/overcommit_memory"

/* How many pages are read from swap at once, as a power of two. */
#define SETTING_PAGE_CLUSTER "/proc/sys/vm/page-cluster"

/* The line without its end; false: errno says why, and the text is empty. */
bool setting_read(const char *path, char text[SETTING_ROOM]);
/* Of a line like "always [madvise] never": the word in brackets. */
bool setting_choice(const char *path, char word[SETTING_ROOM]);
/* -1: it can't be read. */
int64_t setting_number(const char *path);
/* false: errno says why. */
bool setting_write(const char *path, const char *text);
bool setting_write_number(const char *path, uint64_t number);

/* The path of a file of the pool of huge pages of that many bytes, as "nr_hugepages"; overwritten by
 * the next. */
const char *setting_pool(uint64_t page, const char *name);

#endif
