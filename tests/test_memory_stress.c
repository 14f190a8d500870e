/* SPDX-License-Identifier: MIT */
/*
 * Pages on their way out of memory and back, under fire: no store may be lost, no page may be seen
 * that is gone, and no protected page be written to.
 *
 * Writers store ever larger stamps into words of their own, as fast as they are let, and look before
 * each store whether the word still holds what they stored there last.  Meanwhile others page out,
 * fork, end the use of swap, write-protect.
 *
 * Where pages are taken from an object for good, the rounds are numbered: the pages are filled with
 * the round's number, and taken away; from then on a load that finds that number has seen a stale
 * page.
 *
 * QUIRE_STRESS_SECONDS says how long each test goes on.
 */
#include "userfault_fixture.h"
#include <quire/swap.h>

#define SECONDS_DEFAULT 1.0
#define THREADS		3
#define PAGES		96
#define MAIN_CPU	THREADS

static _Atomic bool stop;

static double duration(void)
{
	const char *given = getenv("QUIRE_STRESS_SECONDS");

	return given ? strtod(given, NULL) : SECONDS_DEFAULT;
}

static struct soft_fixture open_machine(uint64_t memory, uint64_t slots)
{
	struct soft_config config = {.memory = memory, .cpus = THREADS + 1};

	stop = false;
	config.swap = slots ? soft_swap_compressed(slots) : NULL;
	return soft_fixture_open(&config);
}

static uint64_t map_object(struct quire_space *space, struct quire_object *object, uint64_t pages,
			   int flags)
{
	uint64_t address = 0;

	assert_int_equal(quire_mmap_object(space, 0, pages * PAGE, RW, flags, object, 0, &address),
			 0);
	return address;
}

static struct quire_machine_counters counters_of(const struct soft_fixture *fixture)
{
	struct quire_machine_counters counters;

	quire_machine_count(soft_machine_core(fixture->machine), &counters);
	return counters;
}

/* ---- writers -----------------------------------------------------------------------------------
 */

static struct writer {
	struct quire_thread thread;
	pthread_t host;
	struct soft_fixture *fixture;
	struct quire_space *space;
	unsigned number; /* also of its CPU */
	uint64_t base, pages;
	_Atomic uint64_t stores, refused, lost;
	uint64_t last[4 * PAGES];
} writers[THREADS];

static uint64_t word_of(const struct writer *writer, uint64_t page)
{
	return writer->base + page * PAGE + writer->number * 8;
}

static void *write_stamps(void *argument)
{
	struct writer *self = argument;
	struct soft_cpu *cpu = soft_machine_cpu(self->fixture->machine, self->number);
	struct random random = random_start();
	uint64_t stamp = 0, found;

	random.state += self->number;
	soft_thread_use(&self->thread);
	soft_cpu_enter(cpu, self->space);
	while (!stop) {
		uint64_t page = random_below(&random, self->pages);
		uint64_t word = word_of(self, page);

		if (soft_load64(cpu, word, &found).outcome != QUIRE_DONE)
			self->refused++;
		else
			self->lost += found != self->last[page];
		self->last[page] = ++stamp;
		if (soft_store64(cpu, word, stamp).outcome != QUIRE_DONE)
			self->refused++;
		self->stores++;
	}
	soft_cpu_leave(cpu);
	return NULL;
}

static void start_writer(struct soft_fixture *fixture, unsigned number, struct quire_space *space,
			 uint64_t base, uint64_t pages)
{
	struct writer *writer = &writers[number];

	memset(writer, 0, sizeof(*writer));
	writer->fixture = fixture;
	writer->space = space;
	writer->number = number;
	writer->base = base;
	writer->pages = pages;
	assert_int_equal(pthread_create(&writer->host, NULL, write_stamps, writer), 0);
}

/* Whether every word is what was stored there last. */
static void check_words(const struct writer *writer)
{
	struct soft_cpu *cpu = soft_machine_cpu(writer->fixture->machine, MAIN_CPU);
	uint64_t found;

	soft_cpu_enter(cpu, writer->space);
	for (uint64_t page = 0; page < writer->pages; page++) {
		assert_int_equal(soft_load64(cpu, word_of(writer, page), &found).outcome,
				 QUIRE_DONE);
		assert_int_equal(found, writer->last[page]);
	}
	soft_cpu_leave(cpu);
}

static void stop_writers(unsigned count)
{
	stop = true;
	for (unsigned i = 0; i < count; i++)
		pthread_join(writers[i].host, NULL);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(writers[i].lost, 0);
		assert_int_equal(writers[i].refused, 0);
		assert_true(writers[i].stores > 0);
		check_words(&writers[i]);
	}
}

/* ---- no store is lost --------------------------------------------------------------------------
 */

/* The child sees what there was at one moment: no word may grow while it is looked at twice. */
static void look_through_fork(struct soft_fixture *fixture, uint64_t base)
{
	struct soft_cpu *cpu = soft_machine_cpu(fixture->machine, MAIN_CPU);
	uint64_t first, again;
	struct quire_space *child;

	assert_int_equal(quire_fork(fixture->space, &child), 0);
	soft_cpu_enter(cpu, child);
	for (unsigned page = 0; page < PAGES; page += 5) {
		soft_load64(cpu, base + page * PAGE, &first);
		quire_madvise(child, base + page * PAGE, PAGE, QUIRE_MADV_PAGEOUT);
		soft_load64(cpu, base + page * PAGE, &again);
		assert_int_equal(first, again);
	}
	soft_cpu_leave(cpu);
	quire_space_destroy(child);
}

static void page_out(struct soft_fixture *fixture, uint64_t base, struct random *random)
{
	uint64_t page = random_below(random, PAGES);
	uint64_t pages = 1 + random_below(random, PAGES - page);

	if (random_below(random, 4))
		assert_int_equal(quire_madvise(fixture->space, base + page * PAGE, pages * PAGE,
					       QUIRE_MADV_PAGEOUT),
				 0);
	else
		quire_reclaim(soft_machine_core(fixture->machine), pages);
}

/* All writers write to the same pages; `fork`: the memory is private, and forked beside it. */
static void page_out_under_fire(struct soft_fixture *fixture, uint64_t base, bool fork)
{
	struct random random = random_start();
	double end = seconds() + duration();

	for (unsigned i = 0; i < THREADS; i++)
		start_writer(fixture, i, fixture->space, base, PAGES);
	while (seconds() < end) {
		page_out(fixture, base, &random);
		if (fork && random_below(&random, 8) == 0)
			look_through_fork(fixture, base);
	}
	stop_writers(THREADS);
	print_message("%ju stores, %ju pages out, %ju in\n",
		      (uintmax_t)(writers[0].stores + writers[1].stores + writers[2].stores),
		      (uintmax_t)counters_of(fixture).swap_outs,
		      (uintmax_t)counters_of(fixture).swap_ins);
	assert_true(counters_of(fixture).swap_outs > 0 && counters_of(fixture).swap_ins > 0);
}

static void no_store_to_private_memory_is_lost(void **state)
{
	struct soft_fixture fixture = open_machine(16 * MIB, 4 * PAGES);

	(void)state;
	page_out_under_fire(&fixture, map(fixture.space, PAGES, RW), true);
	soft_fixture_close(&fixture);
}

static void no_store_to_shared_memory_is_lost(void **state)
{
	struct soft_fixture fixture = open_machine(16 * MIB, 4 * PAGES);
	struct quire_object *object;

	(void)state;
	assert_int_equal(
		quire_shmem_create(soft_machine_core(fixture.machine), PAGES * PAGE, &object), 0);
	page_out_under_fire(&fixture, map_object(fixture.space, object, PAGES, QUIRE_MAP_SHARED),
			    false);
	quire_object_put(object);
	soft_fixture_close(&fixture);
}

/* Half of the memory is private, half of it an object's. */
static void no_store_is_lost_by_swapoff(void **state)
{
	struct soft_fixture fixture = open_machine(16 * MIB, 4 * PAGES);
	struct quire_machine *machine = soft_machine_core(fixture.machine);
	struct random random = random_start();
	struct quire_object *object;
	uint64_t private = map(fixture.space, PAGES, RW), shared, rounds = 0;
	double end;

	(void)state;
	assert_int_equal(quire_shmem_create(machine, PAGES * PAGE, &object), 0);
	shared = map_object(fixture.space, object, PAGES, QUIRE_MAP_SHARED);
	for (unsigned i = 0; i < THREADS; i++)
		start_writer(&fixture, i, fixture.space, i % 2 ? shared : private, PAGES);
	for (end = seconds() + duration(); seconds() < end; rounds++) {
		page_out(&fixture, private, &random);
		page_out(&fixture, shared, &random);
		assert_int_equal(quire_swapoff(machine), 0);
		assert_int_equal(counters_of(&fixture).swap_slots, 0);
		assert_int_equal(quire_swapon(machine, 4 * PAGES), 0);
	}
	stop_writers(THREADS);
	print_message("swapoff %ju times\n", (uintmax_t)rounds);
	quire_object_put(object);
	soft_fixture_close(&fixture);
}

/*
 * Each writer has a space of its own, and all of them together more pages than the machine has
 * frames.
 */
static void no_store_is_lost_when_memory_is_short(void **state)
{
	struct soft_fixture fixture = open_machine(1 * MIB, 8 * 4 * PAGES);
	struct quire_space *space[THREADS];
	double end;

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		space[i] = new_space(fixture.machine);
		start_writer(&fixture, i, space[i], map(space[i], PAGES, RW), PAGES);
	}
	for (end = seconds() + duration(); seconds() < end;)
		sched_yield();
	stop_writers(THREADS);
	assert_true(counters_of(&fixture).swap_outs > 0);
	assert_sound(fixture.machine);
	for (unsigned i = 0; i < THREADS; i++)
		quire_space_destroy(space[i]);
	soft_fixture_close(&fixture);
}

/* ---- write protection when memory is short -----------------------------------------------------
 */

/* Releases what is reported, and protects everything again now and then. */
static uint64_t serve_reports(struct quire_userfault *context, uint64_t base, double end)
{
	struct quire_userfault *child;
	struct quire_uffd_msg message;
	uint64_t reports = 0;

	while (seconds() < end) {
		if (quire_userfault_read(context, &message, &child)) {
			sched_yield();
			continue;
		}
		assert_int_equal(writeprotect(context, message.arg.pagefault.address, 1, RELEASE),
				 0);
		if (++reports % 64 == 0)
			assert_int_equal(writeprotect(context, base, PAGES, PROTECT), 0);
	}
	return reports;
}

static void protection_holds_when_memory_is_short(void **state)
{
	struct soft_fixture fixture = open_machine(1 * MIB, 8 * 4 * PAGES);
	struct quire_space *other = new_space(fixture.machine);
	uint64_t base = map(fixture.space, PAGES, RW), reports;
	struct quire_userfault *context =
		open_context(fixture.space, QUIRE_UFFD_FEATURE_PAGEFAULT_FLAG_WP |
						    QUIRE_UFFD_FEATURE_WP_UNPOPULATED);

	(void)state;
	assert_int_equal(register_pages(context, base, PAGES, WP), 0);
	assert_int_equal(writeprotect(context, base, PAGES, PROTECT), 0);
	start_writer(&fixture, 0, fixture.space, base, PAGES);
	start_writer(&fixture, 1, fixture.space, base, PAGES);
	start_writer(&fixture, 2, other, map(other, 2 * PAGES, RW), 2 * PAGES);
	reports = serve_reports(context, base, seconds() + duration());
	stop = true;
	quire_userfault_close(context);
	stop_writers(THREADS);
	print_message("%ju reports, %ju pages out\n", (uintmax_t)reports,
		      (uintmax_t)counters_of(&fixture).swap_outs);
	assert_true(reports > 0 && counters_of(&fixture).swap_outs > 0);
	assert_sound(fixture.machine);
	quire_space_destroy(other);
	soft_fixture_close(&fixture);
}

/* ---- pages that are taken from an object -------------------------------------------------------
 */

#define HOLES 32 /* pages of the object */

static struct taking {
	struct soft_fixture fixture;
	struct quire_object *object;
	struct quire_userfault *context; /* or NULL */
	uint64_t base;
	_Atomic uint64_t gone; /* the last round whose pages have been taken away */
	_Atomic uint64_t written, stale, failed, loads, stores;
} taking;

static struct faulter {
	struct quire_thread thread;
	pthread_t host;
	unsigned number;
} faulters[THREADS];

static void load_from_round(struct soft_cpu *cpu, uint64_t address)
{
	uint64_t gone = taking.gone, found = 0;

	if (soft_load64(cpu, address, &found).outcome != QUIRE_DONE)
		return;
	taking.loads++;
	taking.stale += found && found <= gone;
}

/* Loads and stores in turns; what is stored is of no round, and must not land. */
static void *fault_in(void *argument)
{
	struct faulter *self = argument;
	struct soft_cpu *cpu = soft_machine_cpu(taking.fixture.machine, self->number);
	struct random random = random_start();

	random.state += self->number;
	soft_thread_use(&self->thread);
	soft_cpu_enter(cpu, taking.fixture.space);
	while (!stop) {
		uint64_t page = taking.base + random_below(&random, HOLES) * PAGE;

		if (random_below(&random, 2)) {
			load_from_round(cpu, page);
			continue;
		}
		taking.stores++;
		taking.written += soft_store64(cpu, page + 8, 1).outcome == QUIRE_DONE;
	}
	soft_cpu_leave(cpu);
	return NULL;
}

static void open_taking(uint64_t slots)
{
	memset(&taking, 0, sizeof(taking));
	taking.fixture = open_machine(16 * MIB, slots);
	assert_int_equal(quire_shmem_create(soft_machine_core(taking.fixture.machine), HOLES * PAGE,
					    &taking.object),
			 0);
	taking.base = map_object(taking.fixture.space, taking.object, HOLES, QUIRE_MAP_SHARED);
}

static void start_faulters(unsigned count, void *(*function)(void *))
{
	for (unsigned i = 0; i < count; i++) {
		faulters[i] = (struct faulter){.number = i};
		assert_int_equal(pthread_create(&faulters[i].host, NULL, function, &faulters[i]),
				 0);
	}
}

static void fill_round(uint64_t round)
{
	size_t done;

	for (unsigned page = 0; page < HOLES; page++)
		assert_int_equal(quire_object_write(taking.object, page * PAGE, &round,
						    sizeof(round), &done),
				 0);
}

static void take_away(uint64_t round)
{
	if (round % 2) {
		assert_int_equal(quire_object_punch(taking.object, 0, HOLES * PAGE), 0);
	} else {
		assert_int_equal(quire_object_truncate(taking.object, 0), 0);
		assert_int_equal(quire_object_truncate(taking.object, HOLES * PAGE), 0);
	}
	taking.gone = round;
}

static uint64_t run_rounds(void)
{
	struct soft_cpu *cpu = soft_machine_cpu(taking.fixture.machine, MAIN_CPU);
	double end = seconds() + duration();
	uint64_t round = 1;

	soft_cpu_enter(cpu, taking.fixture.space);
	for (; seconds() < end; round++) {
		fill_round(round);
		if (round % 4 == 0)
			quire_madvise(taking.fixture.space, taking.base, HOLES * PAGE,
				      QUIRE_MADV_PAGEOUT);
		for (unsigned i = 0; i < 50; i++)
			load_from_round(cpu, taking.base + i % HOLES * PAGE);
		take_away(round);
		for (unsigned page = 0; page < HOLES; page++)
			load_from_round(cpu, taking.base + page * PAGE);
	}
	soft_cpu_leave(cpu);
	return round;
}

static void close_taking(unsigned count, uint64_t rounds)
{
	stop = true;
	for (unsigned i = 0; i < count; i++)
		pthread_join(faulters[i].host, NULL);
	if (taking.context)
		quire_userfault_close(taking.context);
	print_message("%ju rounds, %ju loads, %ju stores refused\n", (uintmax_t)rounds,
		      (uintmax_t)taking.loads, (uintmax_t)(taking.stores - taking.written));
	assert_int_equal(taking.stale, 0);
	assert_int_equal(taking.written, 0);
	assert_int_equal(taking.failed, 0);
	assert_true(taking.loads > 0);
	quire_object_put(taking.object);
	soft_fixture_close(&taking.fixture);
}

/*
 * BEHAVIOUR C11.  Reports are a BUS (SIGBUS), so no store may land at all.  The mistake
 * punch-drops-markers must fail here.
 */
static void protected_pages_stay_so_while_holes_are_punched(void **state)
{
	struct quire_userfault *context;

	(void)state;
	open_taking(4 * HOLES);
	context = taking.context =
		open_context(taking.fixture.space, QUIRE_UFFD_FEATURE_PAGEFAULT_FLAG_WP |
							   QUIRE_UFFD_FEATURE_WP_HUGETLBFS_SHMEM |
							   QUIRE_UFFD_FEATURE_SIGBUS);
	assert_int_equal(register_pages(context, taking.base, HOLES, WP), 0);
	assert_int_equal(writeprotect(context, taking.base, HOLES, PROTECT), 0);
	start_faulters(THREADS, fault_in);
	close_taking(THREADS, run_rounds());
}

/* On another thread than cmocka's. */
static void worked(int error)
{
	taking.failed += error != 0;
}

/* What maps, moves, splits and forks the object's mappings meanwhile. */
static void remap_once(struct soft_cpu *cpu, struct random *random)
{
	struct quire_space *space = taking.fixture.space, *child;
	uint64_t half = HOLES / 2 * PAGE, length = HOLES * PAGE, address = 0, moved;
	int flags = random_below(random, 2) ? QUIRE_MAP_SHARED : QUIRE_MAP_PRIVATE;

	worked(quire_mmap_object(space, 0, length, RW, flags, taking.object, 0, &address));
	for (unsigned page = 0; page < HOLES; page++)
		load_from_round(cpu, address + page * PAGE);
	switch (random_below(random, 4)) {
	case 0:
		worked(quire_mremap(space, address, length, 2 * length, QUIRE_MREMAP_MAYMOVE, 0,
				    &moved));
		address = moved;
		length *= 2;
		break;
	case 1:
		worked(quire_mprotect(space, address + half, PAGE, R));
		worked(quire_mprotect(space, address + half, PAGE, RW));
		break;
	case 2:
		worked(quire_mprotect(space, address, half, R));
		worked(quire_mprotect(space, address, half + PAGE, R));
		worked(quire_mprotect(space, address, half, RW));
		break;
	case 3:
		worked(quire_fork(space, &child));
		soft_cpu_enter(cpu, child);
		for (unsigned page = 0; page < HOLES; page++)
			load_from_round(cpu, address + page * PAGE);
		soft_cpu_enter(cpu, space);
		quire_space_destroy(child);
		break;
	}
	for (unsigned page = 0; page < HOLES; page++)
		load_from_round(cpu, address + page * PAGE);
	worked(quire_munmap(space, address, length));
}

static void *remap(void *argument)
{
	struct faulter *self = argument;
	struct soft_cpu *cpu = soft_machine_cpu(taking.fixture.machine, self->number);
	struct random random = random_start();

	soft_cpu_enter(cpu, taking.fixture.space);
	while (!stop)
		remap_once(cpu, &random);
	soft_cpu_leave(cpu);
	return NULL;
}

static void no_stale_page_is_seen_wherever_it_is_mapped(void **state)
{
	(void)state;
	open_taking(4 * HOLES);
	start_faulters(1, remap);
	close_taking(1, run_rounds());
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_store_to_private_memory_is_lost),
		cmocka_unit_test(no_store_to_shared_memory_is_lost),
		cmocka_unit_test(no_store_is_lost_by_swapoff),
		cmocka_unit_test(no_store_is_lost_when_memory_is_short),
		cmocka_unit_test(protection_holds_when_memory_is_short),
		cmocka_unit_test(protected_pages_stay_so_while_holes_are_punched),
		cmocka_unit_test(no_stale_page_is_seen_wherever_it_is_mapped),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
