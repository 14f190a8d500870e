/* SPDX-License-Identifier: MIT */
/*
 * What the tests with one host thread share, which plays guest and handler in turn: the guest never
 * sleeps (<quire/thread.h>), so what would sleep answers at once, and is done by making it again.
 */
#ifndef QUIRE_NOWAIT_FIXTURE_H
#define QUIRE_NOWAIT_FIXTURE_H

#include "userfault_fixture.h"

#define PAGES 8
#define EVENTS                                                                                     \
	(QUIRE_UFFD_FEATURE_EVENT_FORK | QUIRE_UFFD_FEATURE_EVENT_REMAP |                          \
	 QUIRE_UFFD_FEATURE_EVENT_REMOVE | QUIRE_UFFD_FEATURE_EVENT_UNMAP)
#define WRITE_FLAG QUIRE_UFFD_PAGEFAULT_FLAG_WRITE

static struct soft_fixture fixture;
static struct soft_cpu *cpu;
static struct quire_thread guest; /* plays where as_guest() was called last */
static struct quire_userfault *context;
static uint64_t base;

static inline void as_guest(void)
{
	soft_thread_use(&guest);
}

static inline void as_handler(void)
{
	soft_thread_use(NULL);
}

static inline int set_up(void **state)
{
	(void)state;
	fixture = soft_fixture_open(&(struct soft_config){.memory = 16 * MIB, .cpus = 2});
	base = map(fixture.space, PAGES, RW);
	cpu = soft_machine_cpu(fixture.machine, 0);
	soft_cpu_enter(cpu, fixture.space);
	guest = (struct quire_thread){.id = 1, .nowait = true};
	return 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	as_handler();
	assert_false(quire_thread_asleep(&guest));
	if (context)
		quire_userfault_close(context);
	context = NULL;
	soft_fixture_close(&fixture);
	return 0;
}

static inline void begin(uint64_t features, uint64_t mode)
{
	context = open_context(fixture.space, features);
	assert_int_equal(register_pages(context, base, PAGES, mode), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

#endif
