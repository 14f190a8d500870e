/* SPDX-License-Identifier: MIT */
/* Where a run's pages go: a swap store that knows what a port may be asked for, and a file of the host's. */
#ifndef EXPLORER_STORE_H
#define EXPLORER_STORE_H

#include <stdbool.h>

#include <quire/errno.h>
#include <quire/object.h>

#include "soft_swap.h"

#define STORE_SLOTS 64

/* An empty one; there is one at a time. */
struct soft_swap *store_open(void);
/* Whether it refuses to keep pages from now on. */
void store_refuse(bool refuse);
/* What the port was asked for that <quire/port.h> rules out, or NULL. */
const char *store_misused(void);

/* A file; its operations take page 0 to FILE_PAGES - 1. */
#define FILE_PAGES 8
extern const struct quire_object_operations file_operations;
/* Page i begins with `first` + i. */
void file_reset(uint64_t first);

/* A device's memory: its page n is the n-th frame from DEVICE_FRAME on.  Its discard is NULL but for a
 * file's. */
#define DEVICE_FRAME ((uint64_t)1 << 30)
#define DEVICE_PAGES 1024
struct quire_device_operations;
const struct quire_device_operations *device_operations(unsigned kind);
void *device_reset(void);

#endif
