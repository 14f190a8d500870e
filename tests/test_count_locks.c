/* SPDX-License-Identifier: MIT */
/*
 * Which locks the hot paths take, counted.  A lock that all CPUs want is taken once for a batch of
 * pages, or not at all; the table of all counts is printed by make count.
 */
#include <string.h>

#include <quire/object.h>

#include "frame/machine.h"
#include "port_probe.h"
#include "soft_fixture.h"
#include "space/space.h"

#define PAGES 512u

struct counts {
	struct quire_machine *machine;
	unsigned frames, swap, slabs, flushes, all; /* short locks, flushes */
};

static void count(void *context, enum port_call call, const void *what)
{
	struct counts *counts = context;

	counts->flushes += call == PORT_FLUSH;
	if (call != PORT_LOCK)
		return;
	counts->all++;
	counts->frames += what == &counts->machine->frames.lock;
	counts->swap += what == &counts->machine->swap.lock;
	counts->slabs += what == &counts->machine->slabs.lock;
}

static void write_all(struct soft_cpu *cpu, uint64_t address)
{
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(soft_store8(cpu, address + i * PAGE, 1).outcome, QUIRE_DONE);
}

static struct counts write_counted(struct soft_fixture *fixture, uint64_t address)
{
	struct counts counts = {.machine = soft_machine_core(fixture->machine)};

	port_probe_set(count, &counts);
	write_all(soft_machine_cpu(fixture->machine, 0), address);
	port_probe_set(NULL, NULL);
	return counts;
}

/* Two short locks a page: the CPU's own cache of free frames, and the page's table. */
static void a_first_write_takes_the_allocators_lock_once_a_batch(void **state)
{
	struct soft_fixture *fixture = *state;
	struct counts counts = write_counted(fixture, map(fixture->space, PAGES, RW));

	assert_in_range(counts.frames, 1, PAGES / FRAME_CACHE_BATCH + 2);
	assert_in_range(counts.all, 2 * PAGES, 2 * PAGES + 2 * PAGES / FRAME_CACHE_BATCH + 16);
	assert_int_equal(counts.flushes, 0);
}

static void copy_on_write_takes_the_allocators_lock_once_a_batch(void **state)
{
	struct soft_fixture *fixture = *state;
	uint64_t address = map(fixture->space, PAGES, RW);
	struct quire_space *child;
	struct counts counts;

	write_all(soft_machine_cpu(fixture->machine, 0), address);
	assert_int_equal(quire_fork(fixture->space, &child), 0);
	counts = write_counted(fixture, address);
	assert_in_range(counts.frames, 1, PAGES / FRAME_CACHE_BATCH + 2);
	assert_int_equal(counts.flushes, PAGES);
	quire_space_destroy(child);
}

/* What needs no frame leaves the allocator alone. */
static void mapping_and_unmapping_leave_the_allocators_lock_alone(void **state)
{
	struct soft_fixture *fixture = *state;
	struct counts counts = {.machine = soft_machine_core(fixture->machine)};
	uint64_t address;

	map(fixture->space, 1, RW);
	port_probe_set(count, &counts);
	for (unsigned i = 0; i < 100; i++) {
		address = map(fixture->space, 1, QUIRE_PROT_READ);
		assert_int_equal(quire_munmap(fixture->space, address, PAGE), 0);
	}
	port_probe_set(NULL, NULL);
	assert_int_equal(counts.frames, 0);
}

static int open_machine(void **state)
{
	static struct soft_fixture fixture;

	fixture = soft_fixture_open(&(struct soft_config){.cpus = 2});
	soft_cpu_enter(soft_machine_cpu(fixture.machine, 0), fixture.space);
	*state = &fixture;
	return 0;
}

static int close_machine(void **state)
{
	soft_fixture_close(*state);
	return 0;
}

#define with_machine(test) cmocka_unit_test_setup_teardown(test, open_machine, close_machine)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_machine(a_first_write_takes_the_allocators_lock_once_a_batch),
		with_machine(copy_on_write_takes_the_allocators_lock_once_a_batch),
		with_machine(mapping_and_unmapping_leave_the_allocators_lock_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
