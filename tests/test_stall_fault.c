/* SPDX-License-Identifier: MIT */
/* Faults under every interleaving of two operations (stall.h). */
#include "stall.h"
#include "userfault_fixture.h"
#include <quire/object.h>

/* Two CPUs in one space, with one registered page or more. */
struct world {
	struct soft_fixture soft;
	struct soft_cpu *cpu[2];
	struct quire_userfault *context;
	struct quire_space *child;
	uint64_t address;
	struct quire_thread reader;
	struct soft_result result; /* of b */
};

static void open_world(struct world *world)
{
	*world = (struct world){.reader = {.id = 2, .nowait = true}};
	world->soft = soft_fixture_open(&(struct soft_config){.memory = 4 * MIB, .cpus = 2});
	for (unsigned i = 0; i < 2; i++)
		world->cpu[i] = soft_machine_cpu(world->soft.machine, i);
}

static void close_world(struct world *world)
{
	assert_sound(world->soft.machine);
	quire_userfault_close(world->context);
	if (world->child)
		quire_space_destroy(world->child);
	soft_fixture_close(&world->soft);
}

static void map_shmem(struct world *world, uint64_t pages)
{
	struct quire_object *object;

	assert_int_equal(
		quire_shmem_create(soft_machine_core(world->soft.machine), pages * PAGE, &object),
		0);
	assert_int_equal(quire_mmap_object(world->soft.space, 0, pages * PAGE, RW, QUIRE_MAP_SHARED,
					   object, 0, &world->address),
			 0);
	quire_object_put(object);
}

static struct soft_result store(struct world *world, unsigned cpu, uint64_t address)
{
	struct soft_result result;

	soft_cpu_enter(world->cpu[cpu], world->soft.space);
	result = soft_store64(world->cpu[cpu], address, 1);
	soft_cpu_leave(world->cpu[cpu]);
	return result;
}

static void a_stores(void *context)
{
	struct world *world = context;

	assert_int_equal(store(world, 0, world->address).outcome, QUIRE_DONE);
}

static void b_loads(void *context)
{
	struct world *world = context;
	uint64_t value;

	soft_thread_use(&world->reader);
	soft_cpu_enter(world->cpu[1], world->soft.space);
	world->result = soft_load64(world->cpu[1], world->address, &value);
	soft_cpu_leave(world->cpu[1]);
	soft_thread_use(NULL);
}

/* --- two writers to what is protected asynchronously --- */

/* One fault, and not the access that follows it. */
static void a_faults(void *context)
{
	struct world *world = context;

	assert_int_equal(quire_fault(world->soft.space, world->address, QUIRE_WRITE).outcome,
			 QUIRE_DONE);
}

static void b_stores_and_stays(void *context)
{
	struct world *world = context;

	soft_cpu_enter(world->cpu[1], world->soft.space);
	assert_int_equal(soft_store64(world->cpu[1], world->address + 8, 2).outcome, QUIRE_DONE);
}

/* What the first has released the second must leave alone: b's CPU may write to it by now. */
static void the_second_writer_finds_the_page_released(void **state)
{
	struct world world;
	struct stall stall = {a_faults, b_stores_and_stays, &world, .stopped = true};

	(void)state;
	for (unsigned k = 1; stall.stopped; k++) {
		open_world(&world);
		map_shmem(&world, 1);
		a_stores(&world);
		world.context = open_context(world.soft.space,
					     QUIRE_UFFD_FEATURE_WP_ASYNC |
						     QUIRE_UFFD_FEATURE_WP_HUGETLBFS_SHMEM);
		assert_int_equal(register_pages(world.context, world.address, 1, WP), 0);
		assert_int_equal(writeprotect(world.context, world.address, 1, PROTECT), 0);
		stall_run(&stall, k);
		assert_true(entry_at(world.soft.space, world.address).writable);
		close_world(&world);
	}
}

/* --- a page that is being copied is there --- */

static void load_beside_copy(uint64_t features)
{
	struct world world;
	struct stall stall = {a_stores, b_loads, &world, .stopped = true};

	for (unsigned k = 1; stall.stopped; k++) {
		open_world(&world);
		world.address = map(world.soft.space, 1, RW);
		a_stores(&world);
		assert_int_equal(quire_fork(world.soft.space, &world.child), 0);
		world.context = open_context(world.soft.space, features);
		assert_int_equal(register_pages(world.context, world.address, 1, MISSING), 0);
		stall_run(&stall, k);
		assert_int_equal(world.result.outcome, QUIRE_DONE);
		assert_no_message(world.context);
		close_world(&world);
	}
}

static void a_page_that_is_being_copied_is_not_missing(void **state)
{
	(void)state;
	load_beside_copy(0);
}

static void a_page_that_is_being_copied_is_no_bus_error(void **state)
{
	(void)state;
	load_beside_copy(QUIRE_UFFD_FEATURE_SIGBUS);
}

/* --- a page that was mapped meanwhile is not reported --- */

static void a_loads(void *context)
{
	struct world *world = context;
	uint64_t value;

	soft_cpu_enter(world->cpu[0], world->soft.space);
	world->result = soft_load64(world->cpu[0], world->address, &value);
	soft_cpu_leave(world->cpu[0]);
}

static void b_copies(void *context)
{
	struct world *world = context;
	int error = copy_value(world->context, world->address, 1, 0);

	assert_true(error == 0 || error == -QUIRE_EEXIST);
}

/* The object has the page, and the mapping has it too, whoever looked at that earlier. */
static void a_page_that_was_mapped_meanwhile_is_not_minor(void **state)
{
	struct world world;
	struct stall stall = {a_loads, b_copies, &world, .stopped = true};

	(void)state;
	for (unsigned k = 1; stall.stopped; k++) {
		open_world(&world);
		map_shmem(&world, 1);
		world.context =
			open_context(world.soft.space,
				     QUIRE_UFFD_FEATURE_SIGBUS | QUIRE_UFFD_FEATURE_MINOR_SHMEM);
		assert_int_equal(register_pages(world.context, world.address, 1,
						QUIRE_UFFDIO_REGISTER_MODE_MINOR),
				 0);
		stall_run(&stall, k);
		assert_int_equal(world.result.outcome, QUIRE_DONE);
		close_world(&world);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_second_writer_finds_the_page_released),
		cmocka_unit_test(a_page_that_is_being_copied_is_not_missing),
		cmocka_unit_test(a_page_that_is_being_copied_is_no_bus_error),
		cmocka_unit_test(a_page_that_was_mapped_meanwhile_is_not_minor),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
