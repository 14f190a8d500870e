/* SPDX-License-Identifier: MIT */
/*
 * What the guardian arranges on the machine (linux_swap.c, linux_huge.c), and takes down again.
 */
#ifndef QUIRE_CLI_LINUX_GUARDIAN_H
#define QUIRE_CLI_LINUX_GUARDIAN_H

#include "linux_setting.h"
#include "linux_target.h"

struct swap_area {
	char path[64]; /* "": none */
	int zram;      /* number of the device; -1: a file */
	int cluster;   /* what SETTING_PAGE_CLUSTER was; -1: it is as it was */
};

/* What the guardian tells. */
struct answer {
	char why[128]; /* "": all is as the setup says */
	struct swap_area area;
};

/* Settings as they were, in the order in which they were changed. */
#define SAVED_MAX 40
struct saved_settings {
	unsigned count;
	struct {
		char path[96];
		char value[SETTING_ROOM];
	} one[SAVED_MAX];
};

/* With the lock on `swaps`, /proc/swaps. */
void swap_arrange(const struct target_setup *setup, int swaps, struct answer *answer);
void swap_take_down(const struct swap_area *area);

void huge_arrange(const struct target_setup *setup, struct saved_settings *saved,
		  struct answer *answer);
void huge_take_down(const struct saved_settings *saved);

#endif
