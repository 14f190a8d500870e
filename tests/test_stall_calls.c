/* SPDX-License-Identifier: MIT */
/* What calls answer when another one comes in between (stall.h). */
#include "stall.h"
#include "userfault_fixture.h"
#include <quire/object.h>
#include <quire/scan.h>

#define PAGES 4

struct calls {
	struct soft_fixture soft;
	struct quire_userfault *context;
	struct quire_thread thread; /* of the fork: it waits for its event and may not sleep */
	struct quire_space *child;
	struct quire_userfault *child_context;
	uint64_t base;
	int result;
};

struct object_pair {
	struct quire_object *object;
	uint64_t word;
	size_t done;
};

static void open_calls(struct calls *calls, uint64_t features)
{
	*calls = (struct calls){.thread = {.id = 1, .nowait = true}};
	calls->soft = soft_fixture_open(&(struct soft_config){.memory = 4 * MIB, .cpus = 1});
	calls->base = map(calls->soft.space, PAGES, RW);
	calls->context = open_context(calls->soft.space, features);
}

static void close_calls(struct calls *calls)
{
	quire_userfault_close(calls->context);
	if (calls->child_context)
		quire_userfault_close(calls->child_context);
	if (calls->child)
		quire_space_destroy(calls->child);
	soft_fixture_close(&calls->soft);
}

static bool is_protected(struct quire_space *space, uint64_t address)
{
	return entry_at(space, address).uffd_wp;
}

static void release_page(void *context)
{
	struct calls *calls = context;

	calls->result = writeprotect(calls->context, calls->base, 1, RELEASE);
}

static void fork_parent(void *context)
{
	struct calls *calls = context;

	soft_thread_use(&calls->thread);
	assert_int_equal(quire_fork(calls->soft.space, &calls->child), -QUIRE_EINPROGRESS);
	soft_thread_use(NULL);
}

static void finish_fork(struct calls *calls)
{
	next_message(calls->context, &calls->child_context);
	soft_thread_use(&calls->thread);
	assert_int_equal(quire_fork(calls->soft.space, &calls->child), 0);
	soft_thread_use(NULL);
}

/* Either the page is released before the fork, for both, or the request is refused. */
static void no_request_changes_memory_after_a_fork(void **state)
{
	struct calls calls;
	struct stall stall = {release_page, fork_parent, &calls, .stopped = true};

	(void)state;
	for (unsigned k = 1; stall.stopped; k++) {
		open_calls(&calls,
			   QUIRE_UFFD_FEATURE_EVENT_FORK | QUIRE_UFFD_FEATURE_WP_UNPOPULATED);
		assert_int_equal(register_pages(calls.context, calls.base, PAGES, WP), 0);
		assert_int_equal(writeprotect(calls.context, calls.base, PAGES, PROTECT), 0);
		stall_run(&stall, k);
		assert_int_equal(is_protected(calls.soft.space, calls.base),
				 calls.result == -QUIRE_EAGAIN);
		if (calls.result)
			assert_int_equal(calls.result, -QUIRE_EAGAIN);
		finish_fork(&calls);
		assert_int_equal(is_protected(calls.child, calls.base),
				 is_protected(calls.soft.space, calls.base));
		close_calls(&calls);
	}
}

static void populate_page(void *context)
{
	struct calls *calls = context;

	calls->result =
		quire_madvise(calls->soft.space, calls->base, PAGE, QUIRE_MADV_POPULATE_READ);
}

static void unmap_page(void *context)
{
	struct calls *calls = context;

	assert_int_equal(quire_munmap(calls->soft.space, calls->base, PAGE), 0);
}

static void populate_says_what_is_not_there(void **state)
{
	struct calls calls;
	struct stall stall = {populate_page, unmap_page, &calls, .stopped = true};

	(void)state;
	for (unsigned k = 1; stall.stopped; k++) {
		open_calls(&calls, 0);
		stall_run(&stall, k);
		if (calls.result)
			assert_int_equal(calls.result, -QUIRE_ENOMEM);
		close_calls(&calls);
	}
}

/* It was looked for pages behind the end. */
static void a_scan_protects_within_one_mapping(void **state)
{
	struct soft_fixture soft = soft_fixture_open(
		&(struct soft_config){.memory = 4 * MIB, .cpus = 1, .strict_written = true});
	struct quire_userfault *context = open_context(
		soft.space, QUIRE_UFFD_FEATURE_WP_ASYNC | QUIRE_UFFD_FEATURE_WP_UNPOPULATED);
	struct quire_object *object;
	uint64_t base = 0;
	struct quire_scan scan = {
		.size = sizeof(scan),
		.flags = QUIRE_SCAN_WP_MATCHING,
		.category_mask = QUIRE_PAGE_IS_WRITTEN,
	};

	(void)state;
	assert_int_equal(quire_shmem_create(soft_machine_core(soft.machine), PAGES * PAGE, &object),
			 0);
	assert_int_equal(quire_mmap_object(soft.space, 0, PAGES * PAGE, RW, QUIRE_MAP_SHARED,
					   object, 0, &base),
			 0);
	quire_object_put(object);
	assert_int_equal(register_pages(context, base, PAGES, WP), 0);
	scan.start = base + PAGE;
	scan.end = base + 2 * PAGE;
	assert_int_equal(quire_pagemap_scan(soft.space, &scan), 0);
	assert_false(is_protected(soft.space, base));
	assert_true(is_protected(soft.space, base + PAGE));
	assert_false(is_protected(soft.space, base + 2 * PAGE));
	quire_userfault_close(context);
	soft_fixture_close(&soft);
}

static void read_second_page(void *context)
{
	struct object_pair *pair = context;

	assert_int_equal(
		quire_object_read(pair->object, PAGE, &pair->word, sizeof(pair->word), &pair->done),
		0);
}

static void cut_second_page(void *context)
{
	struct object_pair *pair = context;

	assert_int_equal(quire_object_truncate(pair->object, PAGE), 0);
}

static void no_read_gives_zeros_behind_the_end(void **state)
{
	struct object_pair pair;
	struct stall stall = {read_second_page, cut_second_page, &pair, .stopped = true};
	size_t done;

	(void)state;
	for (unsigned k = 1; stall.stopped; k++) {
		struct soft_fixture soft =
			soft_fixture_open(&(struct soft_config){.memory = 4 * MIB, .cpus = 1});

		pair = (struct object_pair){.word = 7};
		assert_int_equal(
			quire_shmem_create(soft_machine_core(soft.machine), 2 * PAGE, &pair.object),
			0);
		assert_int_equal(
			quire_object_write(pair.object, PAGE, &pair.word, sizeof(pair.word), &done),
			0);
		pair.word = 0;
		stall_run(&stall, k);
		if (pair.done)
			assert_int_equal(pair.word, 7);
		quire_object_put(pair.object);
		soft_fixture_close(&soft);
	}
}

/* --- a walk over all spaces, one of which ends --- */

struct walk {
	struct soft_fixture soft;
	struct quire_space *other;
};

static void drop(void *context, const char *bytes, size_t length)
{
	(void)context, (void)bytes, (void)length;
}

static void dump(void *context)
{
	const struct quire_text nowhere = {.emit = drop};

	quire_machine_dump(soft_machine_core(((struct walk *)context)->soft.machine), true,
			   &nowhere);
}

static void destroy(void *context)
{
	quire_space_destroy(((struct walk *)context)->other);
}

static void a_dump_keeps_the_space_it_is_at(void **state)
{
	struct walk walk;
	struct stall stall = {dump, destroy, &walk, .stopped = true};

	(void)state;
	for (unsigned k = 1; stall.stopped; k++) {
		walk.soft = soft_fixture_open(&(struct soft_config){.memory = 4 * MIB, .cpus = 1});
		walk.other = new_space(walk.soft.machine);
		map(walk.other, PAGES, RW);
		stall_run(&stall, k);
		soft_fixture_close(&walk.soft);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_request_changes_memory_after_a_fork),
		cmocka_unit_test(populate_says_what_is_not_there),
		cmocka_unit_test(no_read_gives_zeros_behind_the_end),
		cmocka_unit_test(a_scan_protects_within_one_mapping),
		cmocka_unit_test(a_dump_keeps_the_space_it_is_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
