/* SPDX-License-Identifier: MIT */
/*
 * A space with a device of each kind, and words for what the tests of devices do.
 */
#ifndef QUIRE_DEVICE_SPACE_H
#define QUIRE_DEVICE_SPACE_H

#include "device_fixture.h"
#include "userfault_fixture.h"

#define BASE   ((uint64_t)64 * GIB) /* a multiple of every leaf's span */
#define SIZE   (4 * GIB)
#define SHARED QUIRE_MAP_SHARED
#define COPIED QUIRE_MAP_PRIVATE
#define FIXED  QUIRE_MAP_FIXED

static struct soft_fixture fixture;
static struct quire_machine *machine;
static struct quire_space *space;
static struct soft_cpu *cpu;
static struct device dax[3], fsdax, pfn; /* dax: of leaves of each level */
static unsigned logged;

static inline void count_log(void *context, const char *what, uint64_t address)
{
	(void)context;
	(void)what;
	(void)address;
	logged++;
}

static inline int open_devices_with(bool strict_written)
{
	struct soft_config config = {.memory = 16 * MIB,
				     .cpus = 3,
				     .commit_limit = 16 * GIB,
				     .log = count_log,
				     .strict_written = strict_written};

	fixture = soft_fixture_open(&config);
	machine = soft_machine_core(fixture.machine);
	space = fixture.space;
	cpu = soft_machine_cpu(fixture.machine, 0);
	soft_cpu_enter(cpu, space);
	for (unsigned level = 0; level < 3; level++)
		device_open(&dax[level], machine, level, QUIRE_DEVICE_DAX, level, SIZE);
	device_open(&fsdax, machine, 3, QUIRE_DEVICE_FSDAX, 2, SIZE);
	device_open(&pfn, machine, 4, QUIRE_DEVICE_PFN, 2, SIZE);
	logged = 0;
	return 0;
}

static inline int open_devices(void **state)
{
	(void)state;
	return open_devices_with(false);
}

static inline int close_devices(void **state)
{
	(void)state;
	assert_sound(fixture.machine);
	/* nothing of a device counts */
	soft_cpu_leave(cpu);
	quire_space_destroy(space);
	for (unsigned level = 0; level < 3; level++)
		device_close(&dax[level]);
	device_close(&fsdax);
	device_close(&pfn);
	fixture.space = new_space(fixture.machine);
	soft_fixture_close(&fixture);
	return 0;
}

/* ---- words for what the tests do ---- */

static inline int try_map(struct device *device, uint64_t address, uint64_t length, int prot,
			  int flags, uint64_t offset, uint64_t *result)
{
	return quire_mmap_object(space, address, length, prot, flags, device->object, offset,
				 result);
}

static inline uint64_t map_at(struct device *device, uint64_t address, uint64_t length, int prot,
			      int flags, uint64_t offset)
{
	uint64_t result = 0;

	assert_int_equal(try_map(device, address, length, prot, flags | FIXED, offset, &result), 0);
	assert_int_equal(result, address);
	return result;
}

static inline void store(uint64_t address, uint64_t value)
{
	assert_int_equal(soft_store64(cpu, address, value).outcome, QUIRE_DONE);
}

static inline uint64_t load(uint64_t address)
{
	uint64_t value = 0;

	assert_int_equal(soft_load64(cpu, address, &value).outcome, QUIRE_DONE);
	return value;
}

static inline void assert_bus(uint64_t address)
{
	uint64_t value;
	struct soft_result result = soft_load64(cpu, address, &value);

	assert_int_equal(result.outcome, QUIRE_BUS);
	assert_int_equal(result.code, QUIRE_BUS_ADRERR);
	assert_int_equal(soft_store64(cpu, address, 1).outcome, QUIRE_BUS);
}

static inline void assert_segv(struct soft_result result, int code)
{
	assert_int_equal(result.outcome, QUIRE_SEGV);
	assert_int_equal(result.code, code);
}

/* The device's own word there. */
static inline uint64_t *word(struct device *device, uint64_t offset)
{
	return (uint64_t *)(void *)(device->memory + offset);
}

enum { CLEAN = 1, DIRTY = 2, WRITABLE = 4 };

static inline void assert_leaf(uint64_t address, const struct device *device, uint64_t offset,
			       unsigned level, unsigned how)
{
	struct quire_entry_report entry = entry_at(space, address);

	assert_int_equal(entry.kind, QUIRE_ENTRY_LEAF);
	assert_int_equal(entry.level, level);
	assert_int_equal(entry.frame,
			 device->frame + offset / PAGE / leaf_pages(level) * leaf_pages(level));
	assert_int_equal(entry.writable, (how & WRITABLE) != 0);
	assert_int_equal(entry.dirty, (how & DIRTY) != 0);
}

static inline void assert_absent(uint64_t address)
{
	assert_int_equal(entry_at(space, address).kind, QUIRE_ENTRY_ABSENT);
}

static inline uint64_t faults(void)
{
	struct quire_machine_counters counters;

	quire_machine_count(machine, &counters);
	return counters.faults;
}

static inline uint64_t tables(void)
{
	struct quire_usage usage;

	quire_space_usage(space, &usage);
	assert_int_equal(usage.file + usage.shmem, 0);
	assert_int_equal(usage.locked, 0);
	return usage.tables / PAGE;
}

static inline uint64_t span(unsigned level)
{
	return leaf_pages(level) * PAGE;
}

static inline int advise(uint64_t address, uint64_t length, int advice)
{
	return quire_madvise(space, address, length, advice);
}

static inline const char *vm_flags(uint64_t address)
{
	static struct quire_vma_report vma;

	assert_int_equal(quire_vma(space, address, &vma), 0);
	return vma.flags;
}

#endif
