/* SPDX-License-Identifier: MIT */
/*
 * Writers on two CPUs beside a monitor that protects and reads what was written (asynchronous write
 * protection), and a third thread that takes leaves away: no write is lost, and none goes unnoticed.
 *
 * A page that a scan does not report has the content that it had after the last scan that did.
 */
#include <pthread.h>
#include <quire/scan.h>

#include "device_space.h"

#define WRITERS 2
#define LEAVES	2
#define SPAN	(2 * MIB)
#define PAGES	(LEAVES * SPAN / PAGE)
#define ROUNDS	150

static atomic_bool stopping;
static struct device *shaken;

struct writer {
	pthread_t thread;
	struct soft_cpu *cpu;
	unsigned number;
	uint64_t written[PAGES]; /* what it has stored last, in its word of each page */
};

static uint64_t word_of(unsigned number, uint64_t page)
{
	return page * PAGE + 64 * number;
}

static void *write_on(void *argument)
{
	struct writer *writer = argument;
	uint64_t seed = writer->number + 1;

	soft_cpu_enter(writer->cpu, space);
	for (uint64_t value = 1; !atomic_load(&stopping); value++) {
		uint64_t page;

		seed = seed * 6364136223846793005 + 1442695040888963407;
		/* most of them in a few pages */
		page = seed >> 62 ? seed >> 33 & 7 : seed >> 33 & (PAGES - 1);
		if (soft_store64(writer->cpu, BASE + word_of(writer->number, page), value)
			    .outcome != QUIRE_DONE)
			abort();
		writer->written[page] = value;
	}
	soft_cpu_leave(writer->cpu);
	return NULL;
}

/* Leaves go, lose their permissions and get them back, and come again. */
static void *shake(void *argument)
{
	(void)argument;
	for (unsigned i = 0; !atomic_load(&stopping); i++) {
		uint64_t leaf = BASE + i % LEAVES * SPAN;

		switch (i % 3) {
		case 0:
			quire_device_revoke(shaken->object, i % LEAVES * SPAN + 5 * PAGE, PAGE);
			break;
		case 1:
			if (quire_madvise(space, leaf, SPAN, QUIRE_MADV_DONTNEED))
				abort();
			break;
		case 2:
			if (quire_madvise(space, leaf, SPAN, QUIRE_MADV_POPULATE_READ))
				abort();
			break;
		}
	}
	return NULL;
}

static struct quire_scan_region regions[PAGES];

/* Protects what was written; the words of those pages go to `known`, of the others they are known. */
static void monitor(uint64_t known[WRITERS][PAGES], bool last)
{
	struct quire_scan argument = {
		.size = sizeof(argument),
		.flags = QUIRE_SCAN_WP_MATCHING | QUIRE_SCAN_CHECK_WPASYNC,
		.start = BASE,
		.end = BASE + LEAVES * SPAN,
		.vec = (uintptr_t)regions,
		.vec_len = PAGES,
		.category_mask = QUIRE_PAGE_IS_WRITTEN,
	};
	int64_t count = quire_pagemap_scan(space, &argument);
	static bool reported[PAGES];

	assert_true(count >= 0);
	memset(reported, 0, sizeof(reported));
	for (int64_t i = 0; i < count; i++)
		for (uint64_t at = regions[i].start; at < regions[i].end; at += PAGE)
			reported[(at - BASE) / PAGE] = true;
	for (uint64_t page = 0; page < PAGES; page++) {
		for (unsigned i = 0; i < WRITERS; i++) {
			uint64_t now =
				__atomic_load_n(word(shaken, word_of(i, page)), __ATOMIC_RELAXED);

			if (reported[page])
				known[i][page] = now;
			else if (last)
				assert_int_equal(known[i][page], now);
		}
	}
}

static void stress(struct device *device)
{
	static struct writer writers[WRITERS];
	static uint64_t known[WRITERS][PAGES];
	struct quire_userfault *context;
	pthread_t shaker;

	shaken = device;
	memset(known, 0, sizeof(known));
	memset(writers, 0, sizeof(writers));
	atomic_store(&stopping, false);
	map_at(device, BASE, LEAVES * SPAN, RW, SHARED, 0);
	context = open_context(space,
			       QUIRE_UFFD_FEATURE_WP_ASYNC | QUIRE_UFFD_FEATURE_WP_UNPOPULATED);
	assert_int_equal(register_pages(context, BASE, PAGES, WP), 0);
	monitor(known, false);
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i].number = i;
		writers[i].cpu = soft_machine_cpu(fixture.machine, i + 1);
		assert_int_equal(pthread_create(&writers[i].thread, NULL, write_on, &writers[i]),
				 0);
	}
	assert_int_equal(pthread_create(&shaker, NULL, shake, NULL), 0);
	for (unsigned i = 0; i < ROUNDS; i++)
		monitor(known, false);
	atomic_store(&stopping, true);
	pthread_join(shaker, NULL);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
	monitor(known, true);
	monitor(known, true);
	for (unsigned i = 0; i < WRITERS; i++)
		for (uint64_t page = 0; page < PAGES; page++)
			assert_int_equal(*word(device, word_of(i, page)), writers[i].written[page]);
	assert_sound(fixture.machine);
	quire_userfault_close(context);
	assert_int_equal(quire_munmap(space, BASE, LEAVES * SPAN), 0);
}

static void no_write_is_lost(void **state)
{
	(void)state;
	stress(&dax[1]);
	stress(&fsdax);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(no_write_is_lost, open_devices, close_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
