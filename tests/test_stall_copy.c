/* SPDX-License-Identifier: MIT */
/*
 * COPY into shared memory beside a fault, under every interleaving (stall.h): a page is in the file's
 * cache and in the page table at once, and a fault finds neither or both.
 */
#include "stall.h"
#include "swap_fixture.h"
#include "userfault_fixture.h"

struct copying {
	struct soft_fixture soft;
	struct quire_object *object;
	struct quire_userfault *context;
	struct soft_cpu *cpu;
	struct quire_thread thread; /* the one that stores, which never sleeps */
	uint64_t address;
	int copied;
	struct soft_result stored;
};

static void open_copying(struct copying *copying)
{
	*copying = (struct copying){.thread = {.id = 1, .nowait = true}};
	copying->soft = soft_fixture_open(&(struct soft_config){.memory = 4 * MIB});
	copying->cpu = soft_machine_cpu(copying->soft.machine, 0);
	assert_int_equal(quire_shmem_create(soft_machine_core(copying->soft.machine), PAGE,
					    &copying->object),
			 0);
	copying->address = map_object(copying->soft.space, copying->object, 1, QUIRE_MAP_SHARED);
	copying->context = open_context(copying->soft.space, 0);
	assert_int_equal(register_pages(copying->context, copying->address, 1, MISSING | WP), 0);
}

static void close_copying(struct copying *copying)
{
	quire_userfault_close(copying->context);
	quire_object_put(copying->object);
	soft_fixture_close(&copying->soft);
}

static void copy_protected(void *context)
{
	struct copying *copying = context;

	copying->copied = copy_value(copying->context, copying->address, 1,
				     QUIRE_UFFDIO_COPY_MODE_WP | QUIRE_UFFDIO_MODE_DONTWAKE);
}

static void store(void *context)
{
	struct copying *copying = context;

	soft_thread_use(&copying->thread);
	soft_cpu_enter(copying->cpu, copying->soft.space);
	copying->stored = soft_store64(copying->cpu, copying->address, 2);
	soft_cpu_leave(copying->cpu);
	soft_thread_use(NULL);
}

/* The store reports: a page that is missing, or one that is protected. */
static void no_store_lands_on_a_page_that_is_copied_protected(void **state)
{
	struct copying copying;
	struct stall stall = {copy_protected, store, &copying, .stopped = true};

	(void)state;
	for (unsigned k = 1; stall.stopped; k++) {
		open_copying(&copying);
		stall_run(&stall, k);
		assert_int_equal(copying.copied, 0);
		assert_int_equal(copying.stored.outcome, QUIRE_BLOCKED);
		close_copying(&copying);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_store_lands_on_a_page_that_is_copied_protected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
