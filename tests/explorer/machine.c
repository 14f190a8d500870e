/* SPDX-License-Identifier: MIT */
/* Operations of processes as a whole, of reclaim and devices, of files, and reports. */
#include "operations.h"

#include <string.h>

#include "store.h"

/* --- processes --- */

static void fork_parent(struct actor *a)
{
	a->result = quire_fork(parent(a), &a->made);
}

static void fork_child(struct actor *a)
{
	a->result = quire_fork(child(a), &a->made);
}

static void end_child(struct actor *a)
{
	quire_space_destroy(child(a));
	a->world->space[1] = NULL;
}

static void end_parent(struct actor *a)
{
	quire_space_destroy(parent(a));
	a->world->space[0] = NULL;
}

/* --- memory as a whole --- */

static void reclaim(struct actor *a)
{
	quire_reclaim(a->world->machine, 16);
}

/* The clock goes round until everything that can go has gone. */
static void reclaim_hard(struct actor *a)
{
	for (unsigned i = 0; i < 3; i++) {
		quire_reclaim(a->world->machine, 64);
		schedule_step();
	}
}

static void swap_off(struct actor *a)
{
	a->result = quire_swapoff(a->world->machine);
}

static void swap_off_and_on(struct actor *a)
{
	a->result = quire_swapoff(a->world->machine);
	schedule_step();
	if (!a->result)
		a->result = quire_swapon(a->world->machine, STORE_SLOTS);
}

static void migrate(struct actor *a)
{
	uint64_t moved;

	a->result = quire_migrate(parent(a), REGION(a), &moved);
}

static void child_migrate(struct actor *a)
{
	uint64_t moved;

	a->result = quire_migrate(child(a), REGION(a), &moved);
}

static void pin(struct actor *a)
{
	a->pin = (struct quire_pin){.address = target(a), .length = PAGE, .frames = a->frames};
	a->result = quire_pin(parent(a), &a->pin);
}

/* A device writes to the page. */
static void pin_and_write(struct actor *a)
{
	uint64_t value = mark(a);

	pin(a);
	if (a->result)
		return;
	schedule_step();
	memcpy(soft_machine_frame(a->world->soft, a->frames[0]), &value, sizeof(value));
	schedule_step();
	quire_unpin(a->world->machine, &a->pin, true);
}

static void pin_steps(struct actor *a)
{
	brought_in(a, target(a), QUIRE_WRITE);
	pin(a);
}

static void pin_and_write_steps(struct actor *a)
{
	brought_in(a, target(a), QUIRE_WRITE);
	pin_and_write(a);
}

static void unpin(struct actor *a)
{
	quire_unpin(a->world->machine, &a->world->pin, true);
}

/* --- the object --- */

static void truncate_pages(struct actor *a)
{
	a->result = quire_object_truncate(a->world->object, target(a) - BASE);
}

static void truncate_within(struct actor *a)
{
	a->result = quire_object_truncate(a->world->object, target(a) - BASE + 4);
}

static void truncate_longer(struct actor *a)
{
	a->result = quire_object_truncate(a->world->object, a->world->length + PAGE);
}

static void punch(struct actor *a)
{
	a->result = quire_object_punch(a->world->object, target(a) - BASE, PAGE);
}

static void punch_within(struct actor *a)
{
	a->result = quire_object_punch(a->world->object, target(a) - BASE, 4);
}

static void allocate(struct actor *a)
{
	a->result = quire_object_allocate(a->world->object, target(a) - BASE, PAGE);
}

static void object_read(struct actor *a)
{
	size_t done;

	a->result = quire_object_read(a->world->object, target(a) - BASE, &a->value,
				      sizeof(a->value), &done);
	if (!done)
		a->value = 1;
}

static void object_write(struct actor *a)
{
	uint64_t value = mark(a);
	size_t done;

	a->result = quire_object_write(a->world->object, target(a) - BASE, &value, sizeof(value),
				       &done);
	a->value = done;
}

/* --- reports --- */

static void pagemap(struct actor *a)
{
	a->result = quire_pagemap(parent(a), target(a), 1, &a->value);
}

static void smaps(struct actor *a)
{
	struct quire_smaps report;

	a->result = quire_smaps(parent(a), target(a), &report);
}

static void mincore(struct actor *a)
{
	unsigned char bytes[PAGES];

	a->result = quire_mincore(parent(a), target(a), 2 * PAGE, bytes);
}

static void ignore(void *context, const char *bytes, size_t length)
{
	(void)context;
	(void)bytes;
	(void)length;
}

static void dump(struct actor *a)
{
	quire_machine_dump(a->world->machine, true, &(struct quire_text){.emit = ignore});
}

static void check_range(struct actor *a)
{
	/* What it says is true when nobody is at work: judge.c asks then. */
	quire_check_range(parent(a), BASE, BASE + a->world->length,
			  &(struct quire_text){.emit = ignore});
}

static void child_smaps(struct actor *a)
{
	struct quire_smaps report;

	a->result = quire_smaps(child(a), target(a), &report);
}

static void scan_with(struct actor *a, uint64_t flags)
{
	struct quire_scan_region regions[2 * PAGES] = {0};
	struct quire_scan scan = {
		.size = sizeof(scan),
		.flags = flags,
		.start = target(a),
		.end = target(a) + PAGE,
		.vec = (uintptr_t)regions,
		.vec_len = 2 * PAGES,
		.category_mask = QUIRE_PAGE_IS_WRITTEN,
		.return_mask = QUIRE_PAGE_IS_WRITTEN,
	};

	a->result = quire_pagemap_scan(parent(a), &scan);
	a->value = regions[0].categories;
}

static void scan(struct actor *a)
{
	scan_with(a, 0);
}

static void scan_protecting(struct actor *a)
{
	scan_with(a, QUIRE_SCAN_WP_MATCHING);
}

/* All of the region is protected again, and nothing told. */
static void protect_written(struct actor *a)
{
	struct quire_scan scan = {
		.size = sizeof(scan),
		.flags = QUIRE_SCAN_WP_MATCHING,
		.start = BASE,
		.end = BASE + a->world->length,
		.category_mask = QUIRE_PAGE_IS_WRITTEN,
	};

	a->result = quire_pagemap_scan(parent(a), &scan);
}

const struct operation machine_operations[] = {
	{"fork", IN_PARENT | FORKS, fork_parent, NULL},
	{"child-fork", IN_CHILD | FORKS, fork_child, NULL},
	{"child-exit", ENDS_CHILD, end_child, NULL},
	{"exit", ENDS_PARENT, end_parent, NULL},
	{"reclaim", RECLAIMS, reclaim, NULL},
	{"reclaim-all", RECLAIMS, reclaim_hard, NULL},
	{"swapoff", RECLAIMS, swap_off, NULL},
	{"swapoff-swapon", RECLAIMS, swap_off_and_on, NULL},
	{"migrate", IN_PARENT | RECLAIMS, migrate, NULL},
	{"child-migrate", IN_CHILD | RECLAIMS, child_migrate, NULL},
	{"pin", IN_PARENT | ACCESSES, pin, pin_steps},
	{"pin-write", IN_PARENT | ACCESSES, pin_and_write, pin_and_write_steps},
	{"unpin", WITH_PIN, unpin, NULL},
	{"truncate", WITH_OBJECT | EMPTIES, truncate_pages, NULL},
	{"truncate-within", WITH_OBJECT | EMPTIES, truncate_within, NULL},
	{"truncate-longer", WITH_OBJECT, truncate_longer, NULL},
	{"punch", WITH_OBJECT | EMPTIES, punch, NULL},
	{"punch-within", WITH_OBJECT | EMPTIES, punch_within, NULL},
	{"allocate", WITH_OBJECT, allocate, NULL},
	{"object-read", WITH_OBJECT | ACCESSES, object_read, NULL},
	{"object-write", WITH_OBJECT | ACCESSES, object_write, NULL},
	{"pagemap", IN_PARENT | LOOKS, pagemap, NULL},
	{"smaps", IN_PARENT | LOOKS, smaps, NULL},
	{"child-smaps", IN_CHILD | LOOKS, child_smaps, NULL},
	{"mincore", IN_PARENT | LOOKS, mincore, NULL},
	{"dump", LOOKS, dump, NULL},
	{"check-range", IN_PARENT | LOOKS, check_range, NULL},
	{"scan", IN_PARENT | LOOKS, scan, NULL},
	{"scan-wp", IN_PARENT, scan_protecting, NULL},
	{"scan-wp-all", IN_PARENT, protect_written, NULL},
};
const unsigned machine_operation_count = sizeof(machine_operations) / sizeof(machine_operations[0]);
