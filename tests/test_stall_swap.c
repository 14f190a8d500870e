/* SPDX-License-Identifier: MIT */
/* Swap and reverse mapping under every interleaving of two operations (stall.h); and what they cost. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "frame/machine.h"
#include "stall.h"
#include "swap_fixture.h"

/* Parent and child have pages in common; a CPU runs in each. */
struct pair {
	struct soft_fixture soft;
	struct faulty_swap store;
	struct quire_machine *machine;
	struct quire_space *parent, *child;
	struct soft_cpu *parent_cpu, *child_cpu;
	uint64_t address;
	uint64_t seen[2];
	enum quire_outcome outcome[2];
};

static void open_machine(struct pair *pair)
{
	struct soft_config config = {.memory = 4 * MIB, .cpus = 2, .swap = &pair->store.swap};

	*pair = (struct pair){0};
	pair->store.behind = soft_swap_compressed(256);
	pair->store.swap =
		(struct soft_swap){faulty_write, faulty_read, faulty_free, faulty_close, 256};
	pair->soft = soft_fixture_open(&config);
	pair->machine = soft_machine_core(pair->soft.machine);
	pair->parent = pair->soft.space;
	pair->parent_cpu = soft_machine_cpu(pair->soft.machine, 0);
	pair->child_cpu = soft_machine_cpu(pair->soft.machine, 1);
}

static void close_pair(struct pair *pair)
{
	if (pair->child)
		quire_space_destroy(pair->child);
	soft_fixture_close(&pair->soft);
}

static enum quire_outcome store(struct soft_cpu *cpu, struct quire_space *space, uint64_t address,
				uint64_t value)
{
	enum quire_outcome outcome;

	soft_cpu_enter(cpu, space);
	outcome = soft_store64(cpu, address, value).outcome;
	soft_cpu_leave(cpu);
	return outcome;
}

static enum quire_outcome load(struct soft_cpu *cpu, struct quire_space *space, uint64_t address,
			       uint64_t *value)
{
	enum quire_outcome outcome;

	soft_cpu_enter(cpu, space);
	outcome = soft_load64(cpu, address, value).outcome;
	soft_cpu_leave(cpu);
	return outcome;
}

/* A page of the parent's with a 1 in it. */
static void open_page(struct pair *pair)
{
	open_machine(pair);
	pair->address = map(pair->parent, 1, RW);
	assert_int_equal(store(pair->parent_cpu, pair->parent, pair->address, 1), QUIRE_DONE);
}

static void page_out_parent(struct pair *pair)
{
	assert_int_equal(quire_madvise(pair->parent, pair->address, PAGE, QUIRE_MADV_PAGEOUT), 0);
}

/* ... which the child has, too, and which is in swap. */
static void open_pair(struct pair *pair)
{
	open_page(pair);
	assert_int_equal(quire_fork(pair->parent, &pair->child), 0);
	while (entry_at(pair->child, pair->address).kind != QUIRE_ENTRY_SWAP)
		quire_reclaim(pair->machine, 16);
}

static void parent_stores(void *context)
{
	struct pair *pair = context;

	store(pair->parent_cpu, pair->parent, pair->address, 2);
}

static void child_loads(void *context)
{
	struct pair *pair = context;

	load(pair->child_cpu, pair->child, pair->address, &pair->seen[0]);
}

static void a_store_is_not_seen_by_a_child_that_reads_its_page_from_swap(void **state)
{
	struct pair pair;
	struct stall stall = {parent_stores, child_loads, &pair, .stopped = true};

	(void)state;
	for (unsigned k = 1; stall.stopped; k++) {
		open_pair(&pair);
		stall_run(&stall, k);
		assert_int_equal(pair.seen[0], 1);
		child_loads(&pair);
		assert_int_equal(pair.seen[0], 1);
		assert_sound(pair.soft.machine);
		close_pair(&pair);
	}
}

/* --- a slot is read only after it was written --- */

static void one_loads(void *context)
{
	struct pair *pair = context;

	pair->outcome[0] = load(pair->parent_cpu, pair->parent, pair->address, &pair->seen[0]);
}

static void other_loads(void *context)
{
	struct pair *pair = context;

	pair->outcome[1] = load(pair->child_cpu, pair->parent, pair->address, &pair->seen[1]);
}

static void no_slot_is_read_that_was_not_written(void **state)
{
	struct pair pair;
	struct stall stall = {one_loads, other_loads, &pair, .stopped = true};

	(void)state;
	for (unsigned k = 1; stall.stopped; k++) {
		open_page(&pair);
		pair.store.write_error = -ENOSPC;
		page_out_parent(&pair);
		assert_int_equal(entry_at(pair.parent, pair.address).kind, QUIRE_ENTRY_SWAP);
		stall_run(&stall, k);
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(pair.outcome[i], QUIRE_DONE);
			assert_int_equal(pair.seen[i], 1);
		}
		assert_int_equal(pair.store.reads, 0);
		close_pair(&pair);
	}
}

/* --- reports beside swapoff --- */

static void swaps_off(void *context)
{
	struct pair *pair = context;

	quire_swapoff(pair->machine);
}

static void asks_smaps(void *context)
{
	struct pair *pair = context;
	struct quire_smaps smaps;

	assert_int_equal(quire_smaps(pair->parent, pair->address, &smaps), 0);
}

static void asks_mincore(void *context)
{
	struct pair *pair = context;
	unsigned char there;

	assert_int_equal(quire_mincore(pair->parent, pair->address, PAGE, &there), 0);
}

static void asks_checker(void *context)
{
	struct pair *pair = context;

	struct quire_text text = {.emit = print_violation};

	assert_int_equal(
		quire_check_range(pair->parent, pair->address, pair->address + PAGE, &text), 0);
}

static void reports_stand_a_swapoff(void **state)
{
	void (*const reports[])(void *) = {asks_smaps, asks_mincore, asks_checker};
	struct pair pair;

	(void)state;
	for (unsigned i = 0; i < sizeof(reports) / sizeof(*reports); i++) {
		struct stall stall = {reports[i], swaps_off, &pair, .stopped = true};

		for (unsigned k = 1; stall.stopped; k++) {
			open_page(&pair);
			page_out_parent(&pair);
			stall_run(&stall, k);
			one_loads(&pair);
			assert_int_equal(pair.seen[0], 1);
			close_pair(&pair);
		}
	}
}

static void swaps_off_and_on(void *context)
{
	struct pair *pair = context;
	struct quire_machine_counters counters;

	/* As long as the other one works on a slot this one would wait for it. */
	quire_machine_count(pair->machine, &counters);
	if (counters.swap_used)
		return;
	quire_swapoff(pair->machine); /* unless the other one has done so */
	assert_int_equal(quire_swapon(pair->machine, 256), 0);
	page_out_parent(pair);
}

/* Two swapoffs and a swapon between them: what the new swap has is not forgotten. */
static void a_slow_swapoff_spares_the_next_swap(void **state)
{
	struct pair pair;
	struct stall stall = {swaps_off, swaps_off_and_on, &pair, .stopped = true};

	(void)state;
	for (unsigned k = 1; stall.stopped; k++) {
		open_page(&pair);
		page_out_parent(&pair);
		stall_run(&stall, k);
		one_loads(&pair);
		assert_int_equal(pair.outcome[0], QUIRE_DONE);
		assert_int_equal(pair.seen[0], 1);
		assert_sound(pair.soft.machine);
		close_pair(&pair);
	}
}

/* --- the lock of swap outlives swap --- */

static _Atomic bool counted;

static void *count_always(void *context)
{
	struct quire_machine_counters counters;

	while (!counted)
		quire_machine_count(context, &counters);
	return NULL;
}

/* Who waits for the lock meanwhile is not forgotten, else this hangs.  One: others would wake it. */
static void swap_comes_and_goes_beside_one_who_waits(void **state)
{
	struct pair pair;
	pthread_t thread;

	(void)state;
	open_machine(&pair);
	alarm(20);
	pthread_create(&thread, NULL, count_always, pair.machine);
	for (unsigned i = 0; i < 20000; i++) {
		assert_int_equal(quire_swapoff(pair.machine), 0);
		assert_int_equal(quire_swapon(pair.machine, 64), 0);
	}
	counted = true;
	pthread_join(thread, NULL);
	alarm(0);
	close_pair(&pair);
}

/* --- walks --- */

/* A change that is made each time a walk lets go of a space's lock, as another thread could. */
struct intruder {
	void (*change)(struct pair *pair);
	struct pair *pair;
	bool unlocked;
	unsigned changes;
};

static void intrude(void *context, enum port_call call, const void *what)
{
	struct intruder *intruder = context;

	(void)what;
	if (intruder->unlocked && intruder->changes < 1000) {
		intruder->changes++;
		port_probe_set(NULL, NULL);
		intruder->change(intruder->pair);
		port_probe_set(intrude, intruder);
	}
	intruder->unlocked = call == PORT_WRITE_UNLOCK;
}

static void grows_and_shrinks(struct pair *pair)
{
	uint64_t result;

	assert_int_equal(
		quire_mremap(pair->parent, pair->address, 2 * PAGE, 4 * PAGE, 0, 0, &result), 0);
	assert_int_equal(
		quire_mremap(pair->parent, pair->address, 4 * PAGE, 2 * PAGE, 0, 0, &result), 0);
}

static void splits_and_merges(struct pair *pair)
{
	assert_int_equal(quire_mprotect(pair->parent, pair->address, PAGE, QUIRE_PROT_READ), 0);
	assert_int_equal(quire_mprotect(pair->parent, pair->address, PAGE, RW), 0);
}

static void merges_and_splits(struct pair *pair)
{
	assert_int_equal(quire_mprotect(pair->parent, pair->address, 2 * PAGE, RW), 0);
	assert_int_equal(quire_mprotect(pair->parent, pair->address, PAGE, QUIRE_PROT_READ), 0);
}

static void moves(struct pair *pair)
{
	uint64_t result;

	assert_int_equal(quire_mremap(pair->parent, pair->address, 2 * PAGE, 2 * PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED,
				      pair->address ^ 64 * PAGE, &result),
			 0);
	pair->address = result;
}

static void a_walk_ends_whatever_others_do(void **state)
{
	void (*const changes[])(struct pair *) = {grows_and_shrinks, splits_and_merges,
						  merges_and_splits, moves};

	(void)state;
	for (unsigned i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		struct pair pair;
		struct intruder intruder = {.change = changes[i], .pair = &pair};
		struct quire_object *object;

		open_machine(&pair);
		assert_int_equal(quire_shmem_create(pair.machine, 4 * PAGE, &object), 0);
		pair.address = 0x10000000;
		assert_int_equal(quire_mmap_object(pair.parent, pair.address, 2 * PAGE, RW,
						   QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, object, 0,
						   &pair.address),
				 0);
		port_probe_set(intrude, &intruder);
		assert_int_equal(quire_object_punch(object, 0, 2 * PAGE), 0);
		port_probe_set(NULL, NULL);
		/* Two walks, and the punch's own lock. */
		assert_in_range(intruder.changes, 1, 8);
		quire_object_put(object);
		close_pair(&pair);
	}
}

/* The page that moves is mapped by the child, and then by the parent. */
static void migrates(void *context)
{
	struct pair *pair = context;
	uint64_t moved;

	assert_int_equal(quire_migrate(pair->child, pair->address, PAGE, &moved), 0);
}

struct walk_pair {
	struct pair pair; /* first */
	uint64_t other;	  /* the parent's second page */
	struct quire_space *grandchild;
};

/* The parent maps two pages of an object as two VMAs, between which the child's comes in the list. */
static void open_object(struct walk_pair *walk)
{
	struct pair *pair = &walk->pair;
	struct quire_object *object;
	uint64_t none;

	*walk = (struct walk_pair){0};
	open_machine(pair);
	pair->child = new_space(pair->soft.machine);
	assert_int_equal(quire_shmem_create(pair->machine, 4 * PAGE, &object), 0);
	pair->address = 0x10000000;
	walk->other = pair->address - PAGE;
	for (unsigned i = 0; i < 3; i++) {
		uint64_t page = i == 2 ? 0 : 1;

		assert_int_equal(quire_mmap_object(i == 1 ? pair->child : pair->parent,
						   0x10000000 - PAGE + page * PAGE, PAGE,
						   i == 2 ? QUIRE_PROT_READ : RW,
						   QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, object,
						   page * PAGE, &none),
				 0);
	}
	quire_object_put(object);
	assert_int_equal(store(pair->parent_cpu, pair->parent, pair->address, 1), QUIRE_DONE);
	assert_int_equal(load(pair->child_cpu, pair->child, pair->address, &none), QUIRE_DONE);
}

static void parent_merges(void *context)
{
	struct walk_pair *walk = context;

	assert_int_equal(quire_mprotect(walk->pair.parent, walk->other, PAGE, RW), 0);
}

static void a_walk_finds_what_goes_over_to_a_vma_it_has_passed(void **state)
{
	struct walk_pair walk;
	struct pair *pair = &walk.pair;
	struct stall stall = {migrates, parent_merges, &walk, .stopped = true};

	(void)state;
	for (unsigned k = 1; stall.stopped; k++) {
		open_object(&walk);
		stall_run(&stall, k);
		assert_int_equal(store(pair->parent_cpu, pair->parent, pair->address, 2),
				 QUIRE_DONE);
		child_loads(pair);
		assert_int_equal(pair->seen[0], 2);
		assert_sound(pair->soft.machine);
		close_pair(pair);
	}
}

static void parent_forks(void *context)
{
	struct walk_pair *walk = context;

	assert_int_equal(quire_fork(walk->pair.parent, &walk->grandchild), 0);
}

static void a_walk_finds_children_of_those_it_has_not_visited(void **state)
{
	struct walk_pair walk;
	struct pair *pair = &walk.pair;
	struct stall stall = {migrates, parent_forks, &walk, .stopped = true};

	(void)state;
	for (unsigned k = 1; stall.stopped; k++) {
		uint64_t seen;

		walk = (struct walk_pair){0};
		open_page(pair);
		assert_int_equal(quire_fork(pair->parent, &pair->child), 0);
		stall_run(&stall, k);
		assert_sound(pair->soft.machine);
		if (walk.grandchild) {
			assert_int_equal(
				load(pair->child_cpu, walk.grandchild, pair->address, &seen),
				QUIRE_DONE);
			assert_int_equal(seen, 1);
			quire_space_destroy(walk.grandchild);
		}
		close_pair(pair);
	}
}

/* --- what it costs --- */

struct costs {
	unsigned of[PORT_CALLS];
	const void *lock;
	unsigned of_lock;
};

static void count_call(void *context, enum port_call call, const void *what)
{
	struct costs *costs = context;

	costs->of[call]++;
	costs->of_lock += call == PORT_LOCK && what == costs->lock;
}

#define MANY 128 /* pages: four batches */

static void pages_leave_memory_by_the_batch(void **state)
{
	struct pair pair;
	struct costs costs = {0};

	(void)state;
	open_machine(&pair);
	pair.address = map(pair.parent, MANY, RW);
	soft_cpu_enter(pair.parent_cpu, pair.parent);
	for (uint64_t i = 0; i < MANY; i++)
		soft_store64(pair.parent_cpu, pair.address + i * PAGE, i);
	costs.lock = &pair.machine->swap.lock;
	port_probe_set(count_call, &costs);
	assert_int_equal(quire_madvise(pair.parent, pair.address, MANY * PAGE, QUIRE_MADV_PAGEOUT),
			 0);
	port_probe_set(NULL, NULL);
	assert_int_equal(pair.store.writes, MANY);
	assert_int_equal(costs.of[PORT_FLUSH], MANY / RECLAIM_PAGES);
	/* madvise's own, to find the pages, and reclaim's. */
	assert_int_equal(costs.of[PORT_WRITE_LOCK], 2 * MANY / RECLAIM_PAGES);
	assert_int_equal(costs.of_lock, 2 * MANY / RECLAIM_PAGES);

	costs.of_lock = 0;
	port_probe_set(count_call, &costs);
	soft_load64(pair.parent_cpu, pair.address, &pair.seen[0]);
	port_probe_set(NULL, NULL);
	assert_int_equal(costs.of_lock, 1);

	/* The clock flushes no more, though it also looks at which pages are young. */
	for (uint64_t i = 0; i < MANY; i++)
		soft_store64(pair.parent_cpu, pair.address + i * PAGE, i);
	costs = (struct costs){0};
	port_probe_set(count_call, &costs);
	assert_int_equal(quire_reclaim(pair.machine, MANY), MANY);
	port_probe_set(NULL, NULL);
	assert_in_range(costs.of[PORT_FLUSH], 1, 2 * MANY / RECLAIM_PAGES);
	assert_in_range(costs.of[PORT_WRITE_LOCK], 1, 2 * MANY / RECLAIM_PAGES);
	soft_cpu_leave(pair.parent_cpu);
	close_pair(&pair);
}

/* Each space has its lock taken once for a batch, and not for each page. */
static void pages_of_an_object_leave_each_space_by_the_batch(void **state)
{
	struct quire_object *object;
	struct costs costs = {0};
	uint64_t address;
	struct pair pair;

	(void)state;
	open_machine(&pair);
	pair.child = new_space(pair.soft.machine);
	assert_int_equal(quire_shmem_create(pair.machine, MANY * PAGE, &object), 0);
	address = map_object(pair.parent, object, MANY, QUIRE_MAP_SHARED);
	assert_int_equal(map_object(pair.child, object, MANY, QUIRE_MAP_SHARED), address);
	for (uint64_t i = 0; i < MANY; i++) {
		store(pair.parent_cpu, pair.parent, address + i * PAGE, i);
		store(pair.child_cpu, pair.child, address + i * PAGE, i);
	}
	port_probe_set(count_call, &costs);
	assert_int_equal(quire_reclaim(pair.machine, MANY), MANY);
	port_probe_set(NULL, NULL);
	assert_in_range(costs.of[PORT_WRITE_LOCK], 1, 2 * 2 * MANY / RECLAIM_PAGES);
	quire_object_put(object);
	close_pair(&pair);
}

/* No page of the machine can go, and that is known; until one can. */
static void without_swap_a_fault_that_fails_looks_at_no_page(void **state)
{
	struct soft_config config = {.memory = 4 * MIB, .cpus = 1, .commit_limit = 64 * MIB};
	struct soft_fixture soft = soft_fixture_open(&config);
	struct soft_cpu *cpu = soft_machine_cpu(soft.machine, 0);
	uint64_t address = map(soft.space, 4096, RW), pages = 0;
	struct costs costs = {0};

	(void)state;
	soft_cpu_enter(cpu, soft.space);
	while (soft_store64(cpu, address + pages * PAGE, pages).outcome == QUIRE_DONE)
		pages++;
	port_probe_set(count_call, &costs);
	assert_int_equal(soft_store64(cpu, address + pages * PAGE, pages).outcome,
			 QUIRE_OUT_OF_MEMORY);
	port_probe_set(NULL, NULL);
	assert_int_equal(costs.of[PORT_WRITE_LOCK], 0);
	assert_int_equal(costs.of[PORT_FLUSH], 0);
	assert_in_range(costs.of[PORT_LOCK], 1, 50);

	assert_int_equal(quire_madvise(soft.space, address, 8 * PAGE, QUIRE_MADV_FREE), 0);
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(soft_store64(cpu, address + (pages + i) * PAGE, i).outcome,
				 QUIRE_DONE);
	soft_cpu_leave(cpu);
	soft_fixture_close(&soft);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_store_is_not_seen_by_a_child_that_reads_its_page_from_swap),
		cmocka_unit_test(no_slot_is_read_that_was_not_written),
		cmocka_unit_test(reports_stand_a_swapoff),
		cmocka_unit_test(a_slow_swapoff_spares_the_next_swap),
		cmocka_unit_test(swap_comes_and_goes_beside_one_who_waits),
		cmocka_unit_test(a_walk_ends_whatever_others_do),
		cmocka_unit_test(a_walk_finds_what_goes_over_to_a_vma_it_has_passed),
		cmocka_unit_test(a_walk_finds_children_of_those_it_has_not_visited),
		cmocka_unit_test(pages_leave_memory_by_the_batch),
		cmocka_unit_test(pages_of_an_object_leave_each_space_by_the_batch),
		cmocka_unit_test(without_swap_a_fault_that_fails_looks_at_no_page),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
