/* SPDX-License-Identifier: MIT */
/* The frame allocator, against a map of which frame belongs to which block. */
#include <string.h>

#include "machine_fixture.h"

#define ODD_FIRST 0x12345 /* a first frame that is aligned to nothing */

/* The lowest frame number that the machine hands out. */
static uint64_t lowest(struct quire_machine *machine)
{
	return frame_number(machine, machine->zero_page) + 1;
}

static uint64_t handed_out(struct quire_machine *machine)
{
	return machine->frames.first + machine->frames.count - lowest(machine);
}

/*
 * ---- the model ---------------------------------------------------------------------------------
 */

#define MODEL_FRAMES 4096
struct model {
	struct quire_machine *machine;
	bool taken[MODEL_FRAMES]; /* by index in the machine */
	struct frame *blocks[MODEL_FRAMES];
	unsigned count;
	uint64_t frames; /* taken in all */
};

static uint64_t index_of(struct model *model, struct frame *frame)
{
	return frame_number(model->machine, frame) - model->machine->frames.first;
}

/*
 * The block lies in the machine, beyond what is reserved, is aligned, and belongs to no one else.
 */
static void model_take(struct model *model, struct frame *frame, unsigned order)
{
	uint64_t number = frame_number(model->machine, frame), count = 1u << order;

	assert_int_equal(frame->kind, FRAME_HELD);
	assert_int_equal(frame->order, order);
	assert_int_equal(frame->holders, 0);
	assert_null(frame->next);
	assert_int_equal(number % count, 0);
	assert_true(number >= lowest(model->machine));
	for (uint64_t i = 0; i < count; i++) {
		assert_true(frame_exists(model->machine, number + i));
		assert_false(model->taken[index_of(model, frame) + i]);
		model->taken[index_of(model, frame) + i] = true;
	}
	model->blocks[model->count++] = frame;
	model->frames += count;
}

static struct frame *model_give(struct model *model, unsigned which)
{
	struct frame *frame = model->blocks[which];
	uint64_t count = 1u << frame->order;

	memset(&model->taken[index_of(model, frame)], false, count);
	model->blocks[which] = model->blocks[--model->count];
	model->frames -= count;
	return frame;
}

/* Whether the model has a free, aligned run of 2^order frames. */
static bool model_has(struct model *model, unsigned order)
{
	struct quire_machine *machine = model->machine;
	uint64_t count = 1u << order, end = machine->frames.first + machine->frames.count;
	uint64_t number = (lowest(machine) + count - 1) & ~(count - 1);

	for (; number + count <= end; number += count) {
		uint64_t free = 0;

		while (free < count && !model->taken[number - machine->frames.first + free])
			free++;
		if (free == count)
			return true;
	}
	return false;
}

/*
 * ---- tests -------------------------------------------------------------------------------------
 */

static void every_frame_is_handed_out_once(void **state)
{
	static struct model model;
	struct fixture fixture = fixture_open(4 * MIB, ODD_FIRST);
	struct frame *frame;

	(void)state;
	model = (struct model){.machine = fixture.machine};
	while ((frame = frame_alloc(fixture.machine, 0)))
		model_take(&model, frame, 0);
	assert_int_equal(model.frames, handed_out(fixture.machine));
	assert_int_equal(frames_free_now(fixture.machine), 0);
	assert_true(frames_valid(fixture.machine));
	while (model.count)
		frame_free(fixture.machine, model_give(&model, 0));
	assert_int_equal(frames_free_now(fixture.machine), handed_out(fixture.machine));
	fixture_close(&fixture);
}

/*
 *	first 3:  |3|4 . . .|8 . . . . . . .|16 ...	by hardware number
 */
static void blocks_are_aligned_by_hardware_number(void **state)
{
	(void)state;
	for (uint64_t first = 0; first < 9; first++) {
		struct fixture fixture = fixture_open(4 * MIB, first);

		for (unsigned order = 0; order < 9; order++) {
			struct frame *frame = frame_alloc(fixture.machine, order);

			assert_non_null(frame);
			assert_int_equal(frame_number(fixture.machine, frame) % (1u << order), 0);
			frame_free(fixture.machine, frame);
		}
		assert_true(frames_valid(fixture.machine));
		fixture_close(&fixture);
	}
}

/*
 * An allocation fails exactly if the model has no place for it: nothing is lost to frames that have
 * not been joined yet.
 */
static void random_orders_agree_with_a_map(void **state)
{
	static struct model model;
	struct fixture fixture = fixture_open(8 * MIB, ODD_FIRST);
	struct random random = random_start();

	(void)state;
	model = (struct model){.machine = fixture.machine};
	for (unsigned step = 0; step < 30000; step++) {
		bool grow = random_below(&random, 8) < (step / 3000 % 2 ? 3 : 5);

		if (grow) {
			unsigned order =
				(unsigned)random_below(&random, random_below(&random, 10) + 1);
			struct frame *frame = frame_alloc(fixture.machine, order);

			if (frame)
				model_take(&model, frame, order);
			else
				assert_false(model_has(&model, order));
		} else if (model.count) {
			unsigned which = (unsigned)random_below(&random, model.count);

			frame_free(fixture.machine, model_give(&model, which));
		}
		assert_int_equal(frames_free_now(fixture.machine),
				 handed_out(fixture.machine) - model.frames);
		if (step % 16 == 0)
			assert_true(frames_valid(fixture.machine));
	}
	while (model.count)
		frame_free(fixture.machine, model_give(&model, model.count - 1));
	fixture_close(&fixture);
}

/*
 * All memory goes out in single frames and comes back in random order; then the largest block can
 * be had again.
 */
static void single_frames_are_joined_when_a_block_is_wanted(void **state)
{
	static struct model model;
	struct fixture fixture = fixture_open(8 * MIB, 0);
	struct random random = random_start();
	struct frame *frame;

	(void)state;
	model = (struct model){.machine = fixture.machine};
	while ((frame = frame_alloc(fixture.machine, 0)))
		model_take(&model, frame, 0);
	assert_null(frame_alloc(fixture.machine, 10));
	while (model.count) {
		unsigned which = (unsigned)random_below(&random, model.count);

		frame_free(fixture.machine, model_give(&model, which));
	}

	frame = frame_alloc(fixture.machine, 10);
	assert_non_null(frame);
	assert_int_equal(frame_number(fixture.machine, frame), 1024);
	assert_true(frames_valid(fixture.machine));
	frame_free(fixture.machine, frame);
	fixture_close(&fixture);
}

/*
 *	free:  x . x . x . x .	no block of two, though plenty of single frames
 */
static void a_block_that_cannot_be_had_changes_nothing(void **state)
{
	struct fixture fixture = fixture_open(4 * MIB, 0);
	struct quire_machine *machine = fixture.machine;
	struct frame *held = NULL, *given = NULL, *frame;
	uint64_t free;

	(void)state;
	while ((frame = frame_alloc(machine, 0))) {
		struct frame **chain = frame_number(machine, frame) % 2 ? &held : &given;

		frame->next = *chain;
		*chain = frame;
	}
	frame_free_chain(machine, given);
	free = frames_free_now(machine);
	assert_in_range(free, handed_out(machine) / 2, handed_out(machine) / 2 + 1);

	assert_null(frame_alloc(machine, 1));
	assert_int_equal(frames_free_now(machine), free);
	assert_true(frames_valid(machine));
	frame = frame_alloc(machine, 0);
	assert_non_null(frame);
	frame_free(machine, frame);

	frame_free_chain(machine, held);
	fixture_close(&fixture);
}

static void a_chain_of_all_orders_and_kinds_comes_back(void **state)
{
	struct fixture fixture = fixture_open(8 * MIB, ODD_FIRST);
	struct quire_machine *machine = fixture.machine;
	struct frame *chain = NULL;

	(void)state;
	for (unsigned order = 0; order < 9; order++)
		for (unsigned kind = FRAME_HELD; kind < FRAME_KINDS; kind++) {
			struct frame *frame = frame_alloc(machine, order < 6 ? order : order % 3);

			assert_non_null(frame);
			frame_set_kind(machine, frame, kind);
			frame->next = chain;
			chain = frame;
		}
	frame_free_chain(machine, chain);
	assert_int_equal(frames_free_now(machine), handed_out(machine));
	frame_free_chain(machine, NULL);
	fixture_close(&fixture);
}

/* used[] counts frames, not blocks: 4 tables of one frame, an anonymous block of 8. */
static void frames_are_counted_by_what_they_are_used_for(void **state)
{
	struct fixture fixture = fixture_open(4 * MIB, 0);
	struct quire_machine *machine = fixture.machine;
	struct quire_machine_counters counters;
	struct frame *tables[4], *block = frame_alloc(machine, 3);

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		tables[i] = frame_alloc(machine, 0);
		frame_set_kind(machine, tables[i], FRAME_TABLE);
	}
	frame_set_kind(machine, block, FRAME_ANON);
	quire_machine_count(machine, &counters);
	assert_int_equal(counters.frames_table, 4);
	assert_int_equal(counters.frames_anon, 8);
	assert_int_equal(counters.frames_free, counters.frames - 12);

	frame_set_kind(machine, tables[0], FRAME_HELD);
	frame_set_kind(machine, block, FRAME_TABLE);
	quire_machine_count(machine, &counters);
	assert_int_equal(counters.frames_table, 3 + 8);
	assert_int_equal(counters.frames_anon, 0);

	frame_free(machine, block);
	for (unsigned i = 0; i < 4; i++)
		frame_free(machine, tables[i]);
	quire_machine_count(machine, &counters);
	assert_int_equal(counters.frames_table, 0);
	assert_int_equal(counters.frames_free, counters.frames);
	fixture_close(&fixture);
}

static void a_zeroed_frame_is_zero_however_it_was_left(void **state)
{
	static const char zero[PAGE_SIZE];
	struct fixture fixture = fixture_open(1 * MIB, 0);
	struct frame *frame = frame_alloc(fixture.machine, 0), *again;

	(void)state;
	memset(frame_memory(fixture.machine, frame), 0xff, PAGE_SIZE);
	frame_free(fixture.machine, frame);
	again = frame_alloc_zeroed(fixture.machine);
	assert_ptr_equal(again, frame); /* the last to come back is the first to go */
	assert_memory_equal(frame_memory(fixture.machine, again), zero, PAGE_SIZE);
	frame_free(fixture.machine, again);
	fixture_close(&fixture);
}

/*
 * The descriptors of a large block's other frames stay as they were: memory that no one has
 * touched.
 */
static void a_large_block_touches_one_descriptor(void **state)
{
	static const struct frame untouched;
	struct fixture fixture = fixture_open(16 * MIB, 0);
	struct quire_machine *machine = fixture.machine;
	struct frame *block = frame_alloc(machine, 11);

	(void)state;
	assert_non_null(block);
	frame_set_kind(machine, block, FRAME_ANON);
	for (unsigned i = 1; i < 1u << 11; i++)
		assert_memory_equal(&block[i], &untouched, sizeof(untouched));
	frame_free(machine, block);
	for (unsigned i = 1; i < 1u << 11; i++)
		assert_int_equal(block[i].listed, 0);
	fixture_close(&fixture);
}

static void the_nth_allocation_fails_once(void **state)
{
	struct fixture fixture = fixture_open(1 * MIB, 0);
	struct quire_machine *machine = fixture.machine;
	struct frame *first, *third;
	void *object;

	(void)state;
	quire_machine_fail_nth(machine, 2);
	first = frame_alloc(machine, 0);
	assert_non_null(first);
	assert_false(quire_machine_failed(machine));
	assert_null(frame_alloc(machine, 3));
	assert_true(quire_machine_failed(machine));
	third = frame_alloc_zeroed(machine);
	assert_non_null(third);

	/* Small objects count once, whether or not they need a frame. */
	assert_int_equal(quire_machine_fail_nth(machine, 2), 3);
	assert_false(quire_machine_failed(machine));
	object = slab_alloc(machine, 100);
	assert_non_null(object);
	assert_null(slab_alloc(machine, 100));
	assert_true(quire_machine_failed(machine));
	assert_int_equal(quire_machine_fail_nth(machine, 0), 2);

	/* 0 disarms. */
	quire_machine_fail_nth(machine, 1);
	quire_machine_fail_nth(machine, 0);
	frame_free(machine, third);
	third = frame_alloc(machine, 0);
	assert_non_null(third);
	assert_false(quire_machine_failed(machine));

	slab_free(machine, object);
	frame_free(machine, first);
	frame_free(machine, third);
	fixture_close(&fixture);
}

/*
 *	holders = mappings << 36 | pins << 20 | references
 */
static void holders_count_mappings_and_references_apart(void **state)
{
	struct fixture fixture = fixture_open(1 * MIB, 0);
	struct folio *folio = folio_alloc(fixture.machine, 0);

	(void)state;
	folio_hold(folio, FRAME_ONE_REFERENCE);
	folio_hold(folio, 2 * FRAME_ONE_MAPPING + FRAME_ONE_REFERENCE);
	assert_int_equal(folio_mappings(folio), 2);
	assert_int_equal(folio_references(folio), 2);

	folio_exchange(folio, FRAME_ONE_REFERENCE, FRAME_ONE_MAPPING);
	assert_int_equal(folio_mappings(folio), 3);
	assert_int_equal(folio_references(folio), 1);
	folio_exchange(folio, FRAME_ONE_MAPPING, FRAME_ONE_REFERENCE);
	assert_int_equal(folio_mappings(folio), 2);
	assert_int_equal(folio_references(folio), 2);

	assert_false(folio_drop(folio, FRAME_ONE_MAPPING));
	assert_false(folio_drop(folio, 2 * FRAME_ONE_REFERENCE));
	assert_true(folio_drop(folio, FRAME_ONE_MAPPING));
	assert_int_equal(folio->head.holders, 0);
	folio_free(fixture.machine, folio);
	fixture_close(&fixture);
}

static void numbers_memory_and_descriptors_convert(void **state)
{
	struct fixture fixture = fixture_open(1 * MIB, ODD_FIRST);
	struct quire_machine *machine = fixture.machine;
	struct frame *frame = frame_alloc(machine, 0);
	uint64_t number = frame_number(machine, frame);

	(void)state;
	assert_ptr_equal(frame_at(machine, number), frame);
	assert_ptr_equal(frame_memory(machine, frame),
			 (char *)fixture.memory + (number - ODD_FIRST) * PAGE_SIZE);
	assert_true(frame_exists(machine, ODD_FIRST));
	assert_true(frame_exists(machine, ODD_FIRST + 255));
	assert_false(frame_exists(machine, ODD_FIRST + 256));
	assert_false(frame_exists(machine, ODD_FIRST - 1));
	assert_false(frame_exists(machine, 0));
	frame_free(machine, frame);
	fixture_close(&fixture);
}

/*
 * ---- misuse and damage -------------------------------------------------------------------------
 */

struct misuse {
	struct quire_machine *machine;
	struct frame *frame;
};

static void free_it(void *argument)
{
	struct misuse *misuse = argument;

	frame_free(misuse->machine, misuse->frame);
}

static void misuse_is_caught(void **state)
{
	struct fixture fixture = fixture_open(1 * MIB, 0);
	struct misuse misuse = {fixture.machine, frame_alloc(fixture.machine, 0)};

	(void)state;
	if (!QUIRE_ASSERTIONS)
		skip();
	folio_hold(frame_folio(misuse.frame), FRAME_ONE_MAPPING);
	assert_true(panics(free_it, &misuse)); /* still mapped */
	assert_true(folio_drop(frame_folio(misuse.frame), FRAME_ONE_MAPPING));
	frame_free(fixture.machine, misuse.frame);
	assert_true(panics(free_it, &misuse)); /* twice */
	fixture_close(&fixture);
}

/*
 * frames_valid() is what the tests above rely on: it must see each thing that can be wrong, by
 * itself.
 */
static void damage_is_seen(void **state)
{
	struct fixture fixture = fixture_open(4 * MIB, 0);
	struct quire_machine *machine = fixture.machine;
	struct frames *frames = &machine->frames;
	struct frame *held = frame_alloc(machine, 0), *single = frame_alloc(machine, 0), saved;
	struct frame *block = container_of(frames->blocks[9].next, struct frame, link);

	(void)state;
	frame_free(machine, single);
	assert_ptr_equal(block->link.next, &frames->blocks[9]);
	saved = *block;
	assert_true(frames_valid(machine));

	frames->free++; /* a frame that is counted but not there */
	assert_false(frames_valid(machine));
	frames->free--;

	block->order = 8; /* a block that says it has another order */
	assert_false(frames_valid(machine));
	block->order = 9;

	block->kind = FRAME_ANON; /* a block in use */
	assert_false(frames_valid(machine));
	block->kind = FRAME_FREE;

	block->listed = 0; /* a block that joining would not find */
	assert_false(frames_valid(machine));
	block->listed = 10;

	frames->blocks[9].previous = &frames->blocks[9]; /* a list that does not lead back */
	assert_false(frames_valid(machine));
	frames->blocks[9].previous = &block->link;

	frames->caches[0].used[FRAME_TABLE] += frames->count; /* more in use than there are */
	assert_false(frames_valid(machine));
	frames->caches[0].used[FRAME_TABLE] -= frames->count;

	assert_memory_equal(block, &saved, sizeof(saved));
	assert_true(frames_valid(machine));
	frame_free(machine, held);
	fixture_close(&fixture);
}

static void damage_to_the_stack_of_singles_is_seen(void **state)
{
	struct fixture fixture = fixture_open(4 * MIB, 0);
	struct frame *single = frame_alloc(fixture.machine, 0), *below;

	(void)state;
	frame_free(fixture.machine, single);
	below = single->next;
	assert_true(frames_valid(fixture.machine));

	single->next = single; /* it bites its tail */
	assert_false(frames_valid(fixture.machine));
	single->next = below;

	single->kind = FRAME_ANON; /* a frame in use */
	assert_false(frames_valid(fixture.machine));
	single->kind = FRAME_FREE;

	single->listed = 1; /* a frame that joining would take from under it */
	assert_false(frames_valid(fixture.machine));
	single->listed = 0;

	assert_true(frames_valid(fixture.machine));
	fixture_close(&fixture);
}

/*
 *	[      order 9      ]	a free block, or a single frame, listed once more inside
 *	        [3]
 */
static void free_memory_inside_free_memory_is_seen(void **state)
{
	struct fixture fixture = fixture_open(4 * MIB, 0);
	struct frames *frames = &fixture.machine->frames;
	struct frame *block = container_of(frames->blocks[9].next, struct frame, link);
	struct frame *inner = block + 64, *held = frame_alloc(fixture.machine, 4);

	(void)state;
	frames->free += 8;
	*inner = (struct frame){.kind = FRAME_FREE, .order = 3, .listed = 4};
	list_insert_after(&frames->blocks[3], &inner->link);
	assert_false(frames_valid(fixture.machine));
	list_remove(&inner->link);
	frames->free -= 8;
	assert_true(frames_valid(fixture.machine));

	frames->free += 1;
	*inner = (struct frame){.kind = FRAME_FREE, .next = frames->singles};
	frames->singles = inner;
	assert_false(frames_valid(fixture.machine));
	frames->singles = inner->next;
	frames->free -= 1;
	memset(inner, 0, sizeof(*inner));

	frame_free(fixture.machine, held);
	fixture_close(&fixture);
}

/* Two free buddies that nobody joined:  [order 8][order 8] in place of [ order 9 ]. */
static void buddies_left_apart_are_seen(void **state)
{
	struct fixture fixture = fixture_open(4 * MIB, 0);
	struct frames *frames = &fixture.machine->frames;
	struct frame *low = container_of(frames->blocks[9].next, struct frame, link);
	struct frame *high = low + (1 << 8);

	(void)state;
	list_remove(&low->link);
	*low = *high = (struct frame){.kind = FRAME_FREE, .order = 8, .listed = 9};
	list_insert_after(&frames->blocks[8], &low->link);
	list_insert_after(&frames->blocks[8], &high->link);
	assert_false(frames_valid(fixture.machine));
	munmap(fixture.memory, fixture.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_frame_is_handed_out_once),
		cmocka_unit_test(blocks_are_aligned_by_hardware_number),
		cmocka_unit_test(random_orders_agree_with_a_map),
		cmocka_unit_test(single_frames_are_joined_when_a_block_is_wanted),
		cmocka_unit_test(a_block_that_cannot_be_had_changes_nothing),
		cmocka_unit_test(a_chain_of_all_orders_and_kinds_comes_back),
		cmocka_unit_test(frames_are_counted_by_what_they_are_used_for),
		cmocka_unit_test(a_zeroed_frame_is_zero_however_it_was_left),
		cmocka_unit_test(a_large_block_touches_one_descriptor),
		cmocka_unit_test(the_nth_allocation_fails_once),
		cmocka_unit_test(holders_count_mappings_and_references_apart),
		cmocka_unit_test(numbers_memory_and_descriptors_convert),
		cmocka_unit_test(misuse_is_caught),
		cmocka_unit_test(damage_is_seen),
		cmocka_unit_test(damage_to_the_stack_of_singles_is_seen),
		cmocka_unit_test(free_memory_inside_free_memory_is_seen),
		cmocka_unit_test(buddies_left_apart_are_seen),
	};

	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
