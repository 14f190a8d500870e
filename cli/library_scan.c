/* SPDX-License-Identifier: MIT */
/*
 * PAGEMAP_SCAN on the quire target.
 */
#include <string.h>

#include "library_target.h"

_Static_assert(sizeof(struct pm_scan_arg) == sizeof(struct quire_scan) &&
		       offsetof(struct pm_scan_arg, return_mask) ==
			       offsetof(struct quire_scan, return_mask),
	       "the library takes Linux's structure");

int library_scan(struct process *process, struct pm_scan_arg *argument, size_t *regions)
{
	struct quire_scan scan;
	int64_t count;

	memcpy(&scan, argument, sizeof(scan));
	count = quire_pagemap_scan(process->space, &scan);
	memcpy(argument, &scan, sizeof(scan));
	if (count < 0)
		return (int)-count;
	*regions = (size_t)count;
	return 0;
}
