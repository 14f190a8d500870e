/* SPDX-License-Identifier: MIT */
/*
 * What a gather tells the port: which spans, in which strides, what of them is wrong, and whose CPUs are
 * to forget it.  The stub remembers the last call.
 *
 *	|p|.................|p|      two spans, one call
 *	|p|p|p|                      one span
 *	|p|.|p|.|p|...........|p|    three at most: the nearest are joined
 */
#include "machine_fixture.h"
#include "port_stub.h"
#include "table/cursor.h"

#define PAGE  PAGE_SIZE
#define LARGE level_span(1)
#define HUGE  level_span(2)
#define FAR   ((uint64_t)1 << 40)

struct world {
	struct fixture fixture;
	struct page_tables tables;
	struct gather gather;
};

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	world->fixture = fixture_open(4 * MIB, 0);
	world->fixture.machine->cpu_words = 16;
	world->tables = (struct page_tables){
		.machine = world->fixture.machine,
		.root = table_root_new(world->fixture.machine, NULL, 0, 0),
		.tag = 7,
		.frames = 1,
		.written = true,
	};
	world->tables.cpus.word[0] = 1;
	port_stub_flushes = (struct port_stub_flushes){0};
	gather_begin(&world->gather, &world->tables, QUIRE_NOTIFIER_UNMAP);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	gather_end(&world->gather);
	table_root_free(world->fixture.machine, world->tables.root);
	fixture_close(&world->fixture);
	free(world);
	return 0;
}

/* The last call had so many flushes, and was the `calls`-th. */
static void assert_told(unsigned count, unsigned calls)
{
	assert_int_equal(port_stub_flushes.count, count);
	assert_int_equal(port_stub_flushes.calls, calls);
}

static void assert_flush(const struct world *world, unsigned i, uint64_t start, uint64_t end,
			 uint64_t stride)
{
	const struct quire_flush *flush = &port_stub_flushes.of[i];

	assert_int_equal(flush->tag, 7);
	assert_ptr_equal(flush->cpus, &world->tables.cpus);
	assert_int_equal(flush->start, start);
	assert_int_equal(flush->end, end);
	assert_int_equal(flush->stride, stride);
}

static void lose(struct world *world, uint64_t address, unsigned level)
{
	gather_span(&world->gather, address, address + level_span(level), level, false);
}
static void lose_write(struct world *world, uint64_t address, unsigned level)
{
	gather_span(&world->gather, address, address + level_span(level), level, true);
}

static void two_far_pages_are_two_spans_of_one_call(void **state)
{
	struct world *world = *state;

	lose(world, 0, 0);
	lose(world, FAR, 0);
	gather_flush(&world->gather);
	assert_told(2, 1);
	assert_flush(world, 0, 0, PAGE, PAGE);
	assert_flush(world, 1, FAR, FAR + PAGE, PAGE);
	assert_false(port_stub_flushes.of[0].write_only);
	assert_false(port_stub_flushes.of[0].tables);
}

static void pages_that_touch_are_one_span(void **state)
{
	struct world *world = *state;

	for (unsigned i = 0; i < 1000; i++)
		lose(world, FAR + i * PAGE, 0);
	gather_flush(&world->gather);
	assert_told(1, 1);
	assert_flush(world, 0, FAR, FAR + 1000 * PAGE, PAGE);
}

static void what_has_been_flushed_is_not_flushed_again(void **state)
{
	struct world *world = *state;

	lose(world, FAR, 0);
	gather_flush(&world->gather);
	gather_flush(&world->gather);
	assert_told(1, 1);
	/* Not joined with what is told already. */
	lose(world, FAR + PAGE, 0);
	gather_flush(&world->gather);
	assert_told(1, 2);
	assert_flush(world, 0, FAR + PAGE, FAR + 2 * PAGE, PAGE);
}

/* Every other page of a range, and one far away. */
static void the_nearest_spans_are_joined(void **state)
{
	struct world *world = *state;

	for (unsigned i = 0; i < 20; i += 2)
		lose(world, i * PAGE, 0);
	lose(world, FAR, 0);
	lose(world, FAR + 8 * PAGE, 0);
	gather_flush(&world->gather);
	assert_told(3, 1);
	assert_flush(world, 0, 0, 19 * PAGE, PAGE);
	assert_flush(world, 1, FAR, FAR + PAGE, PAGE);
	assert_flush(world, 2, FAR + 8 * PAGE, FAR + 9 * PAGE, PAGE);
}

/* Whatever comes, in whatever order: what was lost is told, at strides that meet it. */
static void no_leaf_is_passed_over(void **state)
{
	struct world *world = *state;
	struct random random = random_start();

	for (unsigned round = 0; round < 5000; round++) {
		struct {
			uint64_t start;
			unsigned level;
			bool write_only;
		} lost[12];
		unsigned count = 1 + (unsigned)random_below(&random, 12);

		for (unsigned i = 0; i < count; i++) {
			lost[i].level = (unsigned)random_below(&random, 3);
			lost[i].start = random_below(&random, 4) * HUGE +
					random_below(&random, 3) * LARGE +
					random_below(&random, 6) * PAGE;
			lost[i].start &= ~(level_span(lost[i].level) - 1);
			lost[i].write_only = random_below(&random, 2);
			gather_span(&world->gather, lost[i].start,
				    lost[i].start + level_span(lost[i].level), lost[i].level,
				    lost[i].write_only);
		}
		gather_flush(&world->gather);
		assert_told(port_stub_flushes.count, round + 1);
		for (unsigned i = 0; i < count; i++) {
			bool told = false;

			for (unsigned j = 0; j < port_stub_flushes.count; j++) {
				const struct quire_flush *flush = &port_stub_flushes.of[j];

				told |= flush->start <= lost[i].start &&
					flush->end >= lost[i].start + level_span(lost[i].level) &&
					flush->stride <= level_span(lost[i].level) &&
					(!flush->write_only || lost[i].write_only);
			}
			assert_true(told);
		}
	}
}

static void a_large_leaf_is_one_stride(void **state)
{
	struct world *world = *state;

	lose(world, 3 * HUGE, 2);
	lose(world, 4 * HUGE, 2);
	lose(world, 5 * HUGE, 1);
	lose(world, 5 * HUGE + LARGE, 0);
	gather_flush(&world->gather);
	assert_told(3, 1);
	assert_flush(world, 0, 3 * HUGE, 5 * HUGE, HUGE);
	assert_flush(world, 1, 5 * HUGE, 5 * HUGE + LARGE, LARGE);
	assert_flush(world, 2, 5 * HUGE + LARGE, 5 * HUGE + LARGE + PAGE, PAGE);
}

/* Joining the 1G leaf with the page behind it would be 262,145 steps: so the pages are joined. */
static void what_is_joined_has_the_smaller_stride(void **state)
{
	struct world *world = *state;

	lose(world, HUGE, 2);
	lose(world, 2 * HUGE, 0);
	lose(world, 2 * HUGE + LARGE, 1);
	lose(world, 2 * HUGE + 3 * LARGE, 1);
	gather_flush(&world->gather);
	assert_told(3, 1);
	assert_flush(world, 0, HUGE, 2 * HUGE, HUGE);
	assert_flush(world, 1, 2 * HUGE, 2 * HUGE + PAGE, PAGE);
	assert_flush(world, 2, 2 * HUGE + LARGE, 2 * HUGE + 4 * LARGE, LARGE);

	lose(world, 0, 1);
	lose(world, LARGE, 0);
	lose(world, FAR, 0);
	lose(world, 2 * FAR, 0);
	gather_flush(&world->gather);
	assert_told(3, 2);
	assert_flush(world, 0, 0, LARGE + PAGE, PAGE);
}

static void readers_are_spared_where_only_writes_are_lost(void **state)
{
	struct world *world = *state;

	lose_write(world, 0, 0);
	lose_write(world, PAGE, 0);
	lose(world, FAR, 0);
	gather_flush(&world->gather);
	assert_told(2, 1);
	assert_flush(world, 0, 0, 2 * PAGE, PAGE);
	assert_true(port_stub_flushes.of[0].write_only);
	assert_false(port_stub_flushes.of[1].write_only);

	lose_write(world, 0, 0);
	lose(world, PAGE, 0);
	lose(world, FAR, 0);
	lose(world, 2 * FAR, 0);
	gather_flush(&world->gather);
	assert_told(3, 2);
	assert_flush(world, 0, 0, 2 * PAGE, PAGE);
	assert_false(port_stub_flushes.of[0].write_only);
}

static struct frame *new_table(struct world *world)
{
	struct table_reserve reserve = {0};

	assert_int_equal(table_reserve(world->fixture.machine, &reserve, 1), 0);
	return reserve.chain;
}

static void tables_go_with_the_span_that_covers_them_or_alone(void **state)
{
	struct world *world = *state;

	lose(world, FAR, 0);
	gather_table(&world->gather, new_table(world), FAR, 1);
	gather_flush(&world->gather);
	assert_told(2, 1);
	assert_flush(world, 0, FAR, FAR + PAGE, PAGE);
	assert_false(port_stub_flushes.of[0].tables);
	assert_flush(world, 1, FAR, FAR + LARGE, LARGE);
	assert_true(port_stub_flushes.of[1].tables && port_stub_flushes.of[1].write_only);

	for (uint64_t page = FAR; page < FAR + LARGE; page += PAGE)
		lose(world, page, 0);
	gather_table(&world->gather, new_table(world), FAR, 1);
	gather_flush(&world->gather);
	assert_told(1, 2);
	assert_flush(world, 0, FAR, FAR + LARGE, PAGE);
	assert_true(port_stub_flushes.of[0].tables && !port_stub_flushes.of[0].write_only);

	gather_table(&world->gather, new_table(world), FAR, 1);
	gather_table(&world->gather, new_table(world), FAR, 2);
	gather_flush(&world->gather);
	assert_told(1, 3);
	assert_flush(world, 0, FAR, FAR + HUGE, LARGE);
	assert_true(port_stub_flushes.of[0].tables);
}

static void a_space_that_no_cpu_has_entered_is_not_flushed(void **state)
{
	struct world *world = *state;

	world->tables.cpus.word[0] = 0;
	lose(world, 0, 0);
	gather_flush(&world->gather);
	assert_int_equal(port_stub_flushes.calls, 0);

	/* CPU 1000 */
	world->tables.cpus.word[1000 / 64] = (uint64_t)1 << 1000 % 64;
	lose(world, 0, 0);
	gather_flush(&world->gather);
	assert_told(1, 1);
	assert_int_equal(quire_cpus_word(port_stub_flushes.of[0].cpus, 1000 / 64),
			 (uint64_t)1 << 1000 % 64);
}

#define with_gather(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_gather(two_far_pages_are_two_spans_of_one_call),
		with_gather(pages_that_touch_are_one_span),
		with_gather(what_has_been_flushed_is_not_flushed_again),
		with_gather(the_nearest_spans_are_joined),
		with_gather(no_leaf_is_passed_over),
		with_gather(a_large_leaf_is_one_stride),
		with_gather(what_is_joined_has_the_smaller_stride),
		with_gather(readers_are_spared_where_only_writes_are_lost),
		with_gather(tables_go_with_the_span_that_covers_them_or_alone),
		with_gather(a_space_that_no_cpu_has_entered_is_not_flushed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
