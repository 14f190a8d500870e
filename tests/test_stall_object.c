/* SPDX-License-Identifier: MIT */
/*
 * Objects: changes beside each other under every interleaving (stall.h), and what the host may do when
 * it is called on their behalf, for it is called with no lock held.
 */
#include "object/object.h"
#include "space/space.h"
#include "stall.h"
#include "swap_fixture.h"

/* --- the locks that this thread holds --- */

#define HELD_MAX 32

static struct locks {
	const void *held[HELD_MAX];
	unsigned count;
	const void *watched;	  /* a lock, or NULL */
	unsigned takings, inside; /* of it; of others while it is held, the most */
	unsigned inside_now;
	const void *under; /* and how often it is taken while this one is held */
	unsigned takings_under;
} locks;

static bool holds(const void *lock)
{
	for (unsigned i = 0; i < locks.count; i++)
		if (locks.held[i] == lock)
			return true;
	return false;
}

static void taken(const void *lock)
{
	if (locks.watched && holds(locks.watched))
		locks.inside_now++;
	if (lock == locks.watched) {
		locks.takings++;
		locks.takings_under += locks.under && holds(locks.under);
		locks.inside_now = 0;
	}
	assert_true(locks.count < HELD_MAX);
	locks.held[locks.count++] = lock;
}

static void released(const void *lock)
{
	unsigned i = locks.count;

	if (lock == locks.watched && locks.inside_now > locks.inside)
		locks.inside = locks.inside_now;
	while (i-- > 0 && locks.held[i] != lock)
		;
	memmove(&locks.held[i], &locks.held[i + 1], (--locks.count - i) * sizeof(*locks.held));
}

static void count_locks(void *context, enum port_call call, const void *what)
{
	(void)context;
	switch (call) {
	case PORT_LOCK:
	case PORT_READ_LOCK:
	case PORT_WRITE_LOCK:
		taken(what);
		break;
	case PORT_UNLOCK:
	case PORT_READ_UNLOCK:
	case PORT_WRITE_UNLOCK:
		released(what);
		break;
	case PORT_SWAP_READ:
	case PORT_SWAP_WRITE:
		assert_int_equal(locks.count, 0);
		break;
	default:
		break;
	}
}

static void watch(const void *lock, const void *under)
{
	locks = (struct locks){.watched = lock, .under = under};
	port_probe_set(count_locks, NULL);
}

/* --- the host gives memory back by truncating the object that is written --- */

static struct quire_object *cache;
static unsigned hooks;

static bool truncate_cache(void *context)
{
	(void)context;
	hooks++;
	assert_int_equal(locks.count, 0);
	assert_int_equal(quire_object_truncate(cache, 0), 0);
	return true;
}

static void the_hook_may_truncate_what_is_written(void **state)
{
	struct soft_config config = {.memory = MIB, .cpus = 1, .reclaim = truncate_cache};
	struct soft_fixture fixture = soft_fixture_open(&config);
	static const char page[PAGE];
	size_t done;

	(void)state;
	assert_int_equal(quire_shmem_create(soft_machine_core(fixture.machine), 0, &cache), 0);
	watch(NULL, NULL);
	hooks = 0;
	for (uint64_t i = 0; i < 1024; i++) {
		assert_int_equal(quire_object_write(cache, i * PAGE, page, PAGE, &done), 0);
		assert_int_equal(done, PAGE);
	}
	assert_int_equal(quire_object_allocate(cache, 0, 100 * PAGE), 0);
	port_probe_set(NULL, NULL);
	assert_true(hooks > 1);
	quire_object_put(cache);
	soft_fixture_close(&fixture);
}

/* --- an object that is kept in another, which goes to swap --- */

#define DEPTH_MAX 2 /* a call that pages out, and what it allocates on its way */

static struct quire_object *upper, *lower;
static unsigned depth, deepest;
static unsigned copies; /* of each page, at least one */

static int write_below(void *context, uint64_t index, uint64_t count, const void *memory)
{
	size_t done;
	int error = -QUIRE_EIO;

	(void)context;
	assert_int_equal(locks.count, 0);
	assert_int_equal(count, 1);
	if (++depth > deepest)
		deepest = depth;
	if (deepest <= DEPTH_MAX)
		error = 0;
	for (unsigned i = 0; i < copies && !error; i++)
		error = quire_object_write(lower, (index * copies + i) * PAGE, memory, PAGE, &done);
	depth--;
	return error;
}

static int read_below(void *context, uint64_t index, uint64_t count, void *memory)
{
	size_t done;

	(void)context;
	assert_int_equal(locks.count, 0);
	memset(memory, 0, count * PAGE);
	return quire_object_read(lower, index * PAGE, memory, count * PAGE, &done);
}

static const struct quire_object_operations kept_below = {.write_page = write_below,
							  .read_page = read_below};
/* More than there is memory for. */
#define UPPER_PAGES 1500u

static void put_word(struct quire_object *object, uint64_t offset, uint64_t value)
{
	size_t done;

	assert_int_equal(quire_object_write(object, offset, &value, sizeof(value), &done), 0);
}

static uint64_t get_word(struct quire_object *object, uint64_t offset)
{
	uint64_t value = 0;
	size_t done;

	assert_int_equal(quire_object_read(object, offset, &value, sizeof(value), &done), 0);
	return value;
}

static void an_object_may_be_kept_in_another(void **state)
{
	struct soft_config config = {
		.memory = 2 * MIB, .cpus = 1, .swap = soft_swap_compressed(4096)};
	struct soft_fixture fixture = soft_fixture_open(&config);
	struct quire_machine *machine = soft_machine_core(fixture.machine);

	(void)state;
	assert_int_equal(quire_shmem_create(machine, 0, &lower), 0);
	assert_int_equal(quire_object_create(machine, 0, &kept_below, NULL, &upper), 0);
	watch(NULL, NULL);
	deepest = 0;
	copies = 1;
	for (uint64_t i = 0; i < UPPER_PAGES; i++)
		put_word(upper, i * PAGE, i + 1);
	for (uint64_t i = 0; i < UPPER_PAGES; i++)
		assert_int_equal(get_word(upper, i * PAGE), i + 1);
	/* Edges that must be read, of pages that are not in memory. */
	assert_int_equal(quire_object_punch(upper, 4, UPPER_PAGES / 2 * PAGE), 0);
	assert_int_equal(get_word(upper, 0), 1);
	assert_int_equal(quire_object_truncate(upper, (UPPER_PAGES - 10) * PAGE + 4), 0);
	assert_int_equal(get_word(upper, (UPPER_PAGES - 11) * PAGE), UPPER_PAGES - 10);
	assert_int_equal(quire_object_allocate(upper, 0, 16 * PAGE), 0);
	port_probe_set(NULL, NULL);
	assert_in_range(deepest, 1, DEPTH_MAX);
	quire_object_put(upper);
	quire_object_put(lower);
	soft_fixture_close(&fixture);
}

/* However much that allocates: it may fail then. */
static void what_keeps_a_page_has_nothing_more_reclaimed(void **state)
{
	struct soft_config config = {
		.memory = 2 * MIB, .cpus = 1, .swap = soft_swap_compressed(4096)};
	struct soft_fixture fixture = soft_fixture_open(&config);
	struct quire_machine *machine = soft_machine_core(fixture.machine);
	int error = 0;
	size_t done;

	(void)state;
	assert_int_equal(quire_shmem_create(machine, 0, &lower), 0);
	assert_int_equal(quire_object_create(machine, 0, &kept_below, NULL, &upper), 0);
	deepest = 0;
	copies = 64;
	for (uint64_t i = 0; i < 600 && !error; i++)
		error = quire_object_write(upper, i * PAGE, "page", 4, &done);
	assert_true(error == 0 || error == -QUIRE_ENOMEM);
	assert_in_range(deepest, 1, DEPTH_MAX);
	quire_object_put(upper);
	quire_object_put(lower);
	soft_fixture_close(&fixture);
}

/* --- a short lock is held for a short time --- */

#define PAGES 4096u

static void many_pages_go_a_few_at_a_time(void **state)
{
	struct soft_fixture fixture = soft_fixture_open(&(struct soft_config){.memory = 64 * MIB});
	struct quire_object *object;

	(void)state;
	assert_int_equal(quire_shmem_create(soft_machine_core(fixture.machine), 0, &object), 0);
	assert_int_equal(quire_object_allocate(object, 0, PAGES * PAGE), 0);
	watch(&object->lock, NULL);
	assert_int_equal(quire_object_resident(object, 0, UINT64_MAX), PAGES);
	assert_true(locks.takings >= PAGES / 64);
	watch(&object->lock, NULL);
	assert_int_equal(quire_object_truncate(object, 0), 0);
	assert_true(locks.takings >= PAGES / 64);
	assert_int_equal(locks.inside, 0);
	port_probe_set(NULL, NULL);
	quire_object_put(object);
	soft_fixture_close(&fixture);
}

static void the_pages_of_what_was_unmapped_go_without_the_spaces_lock(void **state)
{
	struct soft_fixture fixture = soft_fixture_open(&(struct soft_config){.memory = 64 * MIB});
	struct quire_object *object;
	uint64_t address;

	(void)state;
	assert_int_equal(quire_shmem_create(soft_machine_core(fixture.machine), 0, &object), 0);
	assert_int_equal(quire_object_allocate(object, 0, PAGES * PAGE), 0);
	address = map_object(fixture.space, object, PAGES, QUIRE_MAP_SHARED);
	quire_object_put(object);
	watch(&object->lock, &fixture.space->lock);
	assert_int_equal(quire_munmap(fixture.space, address, PAGES * PAGE), 0);
	port_probe_set(NULL, NULL);
	assert_true(locks.takings >= PAGES / 64);
	assert_int_equal(locks.takings_under, 0);
	soft_fixture_close(&fixture);
}

/* A read maps its page and the neighbours of that by one look at the object, and one at the table. */
static void a_read_looks_its_neighbours_up_once(void **state)
{
	struct soft_fixture fixture = soft_fixture_open(&(struct soft_config){.memory = 4 * MIB});
	struct soft_cpu *cpu = soft_machine_cpu(fixture.machine, 0);
	struct quire_object *object;
	uint64_t address = 16 * MIB, word;

	(void)state;
	assert_int_equal(quire_shmem_create(soft_machine_core(fixture.machine), 0, &object), 0);
	for (uint64_t i = 0; i < 16; i++)
		put_word(object, i * PAGE, i);
	assert_int_equal(quire_mmap_object(fixture.space, address, 16 * PAGE, RW,
					   QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, object, 0, &address),
			 0);
	soft_cpu_enter(cpu, fixture.space);
	watch(&object->lock, NULL);
	assert_int_equal(soft_load64(cpu, address + 5 * PAGE, &word).outcome, QUIRE_DONE);
	port_probe_set(NULL, NULL);
	assert_int_equal(word, 5);
	assert_int_equal(locks.takings, 1);
	for (uint64_t i = 0; i < 16; i++)
		assert_int_equal(entry_at(fixture.space, address + i * PAGE).kind,
				 QUIRE_ENTRY_LEAF);
	quire_object_put(object);
	soft_fixture_close(&fixture);
}

/* --- changes beside each other --- */

struct world {
	struct soft_fixture soft;
	struct quire_object *object;
	uint64_t address;
	uint64_t seen;
};

static void open_world(struct world *world)
{
	*world = (struct world){
		.soft = soft_fixture_open(&(struct soft_config){.memory = 4 * MIB, .cpus = 2})};
	assert_int_equal(quire_shmem_create(soft_machine_core(world->soft.machine), 2 * PAGE,
					    &world->object),
			 0);
	world->address = map_object(world->soft.space, world->object, 2, QUIRE_MAP_SHARED);
}

static void close_world(struct world *world)
{
	quire_object_put(world->object);
	soft_fixture_close(&world->soft);
}

static void write_both_pages(const struct world *world, int value)
{
	char pages[2 * PAGE];
	size_t done;

	memset(pages, value, sizeof(pages));
	assert_int_equal(quire_object_write(world->object, 0, pages, sizeof(pages), &done), 0);
}

static void a_writes(void *context)
{
	write_both_pages(context, 0x11);
}

static void b_writes(void *context)
{
	write_both_pages(context, 0x22);
}

static void b_punches(void *context)
{
	struct world *world = context;

	assert_int_equal(quire_object_punch(world->object, 0, 2 * PAGE), 0);
}

/* Two pages, of which each says the same as the other. */
static void compare_pages(void (*b)(void *context))
{
	struct world world;
	struct stall stall = {a_writes, b, &world, .stopped = true};

	for (unsigned k = 1; stall.stopped; k++) {
		open_world(&world);
		stall_run(&stall, k);
		assert_int_equal(get_word(world.object, 0), get_word(world.object, PAGE));
		close_world(&world);
	}
}

static void changes_are_made_one_after_the_other(void **state)
{
	(void)state;
	compare_pages(b_writes);
	compare_pages(b_punches);
}

static void a_allocates(void *context)
{
	struct world *world = context;

	assert_int_equal(quire_object_allocate(world->object, 0, PAGE), 0);
}

static void b_loads(void *context)
{
	struct world *world = context;
	struct soft_cpu *cpu = soft_machine_cpu(world->soft.machine, 1);

	soft_cpu_enter(cpu, world->soft.space);
	assert_int_equal(soft_load64(cpu, world->address, &world->seen).outcome, QUIRE_DONE);
	soft_cpu_leave(cpu);
}

/* What a fault has found has been asked for, even if it was allocated that moment. */
static void a_page_in_use_is_not_taken_for_unused(void **state)
{
	struct world world;
	struct stall stall = {a_allocates, b_loads, &world, .stopped = true};

	(void)state;
	for (unsigned k = 1; stall.stopped; k++) {
		open_world(&world);
		stall_run(&stall, k);
		assert_true(object_in_core(world.object, 0));
		close_world(&world);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hook_may_truncate_what_is_written),
		cmocka_unit_test(an_object_may_be_kept_in_another),
		cmocka_unit_test(what_keeps_a_page_has_nothing_more_reclaimed),
		cmocka_unit_test(many_pages_go_a_few_at_a_time),
		cmocka_unit_test(the_pages_of_what_was_unmapped_go_without_the_spaces_lock),
		cmocka_unit_test(a_read_looks_its_neighbours_up_once),
		cmocka_unit_test(changes_are_made_one_after_the_other),
		cmocka_unit_test(a_page_in_use_is_not_taken_for_unused),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
