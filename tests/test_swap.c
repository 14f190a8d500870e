/* SPDX-License-Identifier: MIT */
/*
 * Swap: slots and their caches; the use of an area and its end; stores that fail; the stores of the
 * software MMU.
 */
#include "frame/machine.h"
#include "swap_fixture.h"

#define SLOTS 16

static struct swap_fixture fixture;

static int open_fixture(void **state)
{
	(void)state;
	swap_fixture_open(&fixture, 4 * MIB, SLOTS);
	return 0;
}

static int close_fixture(void **state)
{
	(void)state;
	swap_fixture_close(&fixture);
	return 0;
}

/* ---- slots ---- */

/* The frame in the slot's cache, without a reference. */
static struct folio *cached(uint64_t slot)
{
	bool alone;
	struct folio *folio = swap_cached(fixture.machine, slot, &alone);

	if (folio)
		folio_put(fixture.machine, folio);
	return folio;
}

static void slots_are_given_out_once_each(void **state)
{
	struct quire_machine *machine = fixture.machine;
	uint64_t slot[SLOTS];
	bool seen[SLOTS + 1] = {false};

	(void)state;
	for (unsigned i = 0; i < SLOTS; i++) {
		slot[i] = swap_alloc(machine);
		assert_in_range(slot[i], 1, SLOTS);
		assert_false(seen[slot[i]]);
		seen[slot[i]] = true;
	}
	assert_int_equal(swap_alloc(machine), 0);
	assert_int_equal(swap_counters(&fixture).swap_used, SLOTS);
	swap_drop(machine, slot[5]);
	assert_int_equal(swap_count(machine, slot[5]), 0);
	assert_null(cached(slot[5]));
	assert_int_equal(swap_alloc(machine), slot[5]);
	for (unsigned i = 0; i < SLOTS; i++)
		swap_drop(machine, slot[i]);
	assert_int_equal(swap_counters(&fixture).swap_used, 0);
	assert_true(swap_valid(machine));
}

static void a_slot_lasts_as_long_as_it_counts(void **state)
{
	struct quire_machine *machine = fixture.machine;
	uint64_t slot = swap_alloc(machine);

	(void)state;
	swap_hold(machine, slot);
	assert_int_equal(swap_count(machine, slot), 2);
	swap_drop(machine, slot);
	assert_int_equal(swap_count(machine, slot), 1);
	assert_int_equal(swap_counters(&fixture).swap_used, 1);
	swap_drop(machine, slot);
	assert_int_equal(swap_counters(&fixture).swap_used, 0);
}

static struct folio *new_frame(void)
{
	struct folio *folio = folio_alloc(fixture.machine, 0);

	folio_make_anon(fixture.machine, folio);
	folio_exchange(folio, FRAME_ONE_MAPPING, FRAME_ONE_REFERENCE);
	return folio;
}

static void a_frame_is_in_the_cache_of_one_slot(void **state)
{
	struct quire_machine *machine = fixture.machine;
	uint64_t slot = swap_alloc(machine), other = swap_alloc(machine);
	struct folio *folio = new_frame(), *second = new_frame();

	(void)state;
	assert_int_equal(folio_slot(folio), 0);
	assert_true(swap_cache(machine, slot, folio));
	assert_false(swap_cache(machine, slot, second));
	assert_false(swap_cache(machine, other, folio));
	assert_ptr_equal(cached(slot), folio);
	assert_null(cached(other));
	assert_int_equal(folio_slot(folio), slot);
	/* Freed with its slot. */
	assert_true(swap_cache(machine, other, second));
	folio_put(machine, second);
	swap_drop(machine, other);
	/* Taken out by the one whose it is now. */
	swap_hold(machine, slot);
	swap_leave(machine, slot, folio);
	assert_null(cached(slot));
	assert_int_equal(folio_slot(folio), 0);
	assert_int_equal(swap_count(machine, slot), 1);
	folio_put(machine, folio);
	swap_drop(machine, slot);
}

static void a_page_leaves_when_its_slot_was_written(void **state)
{
	struct quire_machine *machine = fixture.machine;
	struct folio *folios[3] = {new_frame(), new_frame(), new_frame()};
	uint32_t slots[3] = {0, 0, SWAP_UNWANTED};

	(void)state;
	swap_take_slots(machine, folios, slots, 3);
	assert_int_equal(folio_slot(folios[0]), slots[0]);
	assert_int_equal(folio_slot(folios[1]), slots[1]);
	assert_int_equal(folio_slot(folios[2]), 0);
	/* An entry names each. */
	swap_hold(machine, slots[0]);
	swap_hold(machine, slots[1]);
	assert_int_equal(swap_drop_slots(machine, folios, slots, 3), 0);
	swap_take_slots(machine, folios, slots, 3);
	assert_int_equal(swap_count(machine, slots[0]), 2);
	assert_int_equal(swap_write_slot(machine, slots[0], folio_memory(machine, folios[0])), 0);
	assert_int_equal(swap_write_slot(machine, slots[1], folio_memory(machine, folios[1])), 0);
	/* Somebody else has the second one. */
	folio_hold(folios[1], FRAME_ONE_REFERENCE);
	assert_int_equal(swap_drop_slots(machine, folios, slots, 3), 1);
	assert_null(cached(slots[0]));
	assert_ptr_equal(cached(slots[1]), folios[1]);
	/* It is not written twice. */
	swap_take_slots(machine, folios + 1, slots + 1, 1);
	assert_int_equal(swap_write_slot(machine, slots[1], folio_memory(machine, folios[1])), 0);
	assert_int_equal(fixture.store.writes, 2);
	folio_put(machine, folios[1]);
	assert_int_equal(swap_drop_slots(machine, folios + 1, slots + 1, 1), 1);
	swap_drop(machine, slots[0]);
	swap_drop(machine, slots[1]);
	for (unsigned i = 0; i < 3; i++)
		folio_put(machine, folios[i]);
}

/* ---- the area ---- */

static void the_use_of_an_area_begins_and_ends(void **state)
{
	struct quire_machine *machine = fixture.machine;

	(void)state;
	assert_int_equal(quire_swapon(machine, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_swapon(machine, (uint64_t)1 << 32), -QUIRE_EINVAL);
	assert_int_equal(quire_swapon(machine, SLOTS), -QUIRE_EBUSY);
	assert_int_equal(quire_swapoff(machine), 0);
	assert_int_equal(quire_swapoff(machine), -QUIRE_EINVAL);
	assert_int_equal(swap_counters(&fixture).frames_swap, 0);
	assert_int_equal(quire_swapon(machine, UINT32_MAX), -QUIRE_ENOMEM);
	assert_int_equal(quire_swapon(machine, SLOTS), 0);
	assert_int_equal(swap_counters(&fixture).frames_swap, 1);
}

/* Private, shared, forked and protected from access: all come back. */
static void swapoff_brings_everything_back(void **state)
{
	struct quire_space *child;
	struct quire_object *object;
	uint64_t private = map(fixture.space, 4, RW), shared;

	(void)state;
	assert_int_equal(quire_shmem_create(fixture.machine, 4 * PAGE, &object), 0);
	shared = map_object(fixture.space, object, 4, QUIRE_MAP_SHARED);
	store_numbers(&fixture, private, 4, 10);
	store_numbers(&fixture, shared, 4, 20);
	page_out(&fixture, private, 4);
	page_out(&fixture, shared, 4);
	assert_int_equal(swap_counters(&fixture).swap_used, 8);
	assert_int_equal(quire_fork(fixture.space, &child), 0);
	assert_int_equal(quire_mprotect(fixture.space, private, PAGE, NONE), 0);
	assert_int_equal(quire_swapoff(fixture.machine), 0);
	assert_int_equal(swap_counters(&fixture).swap_slots, 0);
	assert_int_equal(entry_at(fixture.space, private).kind, QUIRE_ENTRY_LEAF);
	assert_int_equal(entry_at(child, private).kind, QUIRE_ENTRY_LEAF);
	assert_int_equal(quire_object_resident(object, 0, 4 * PAGE), 4);
	assert_sound(fixture.soft.machine);
	assert_int_equal(quire_mprotect(fixture.space, private, PAGE, RW), 0);
	fixture.store.reads = 0;
	assert_numbers(&fixture, private, 4, 10);
	assert_numbers(&fixture, shared, 4, 20);
	assert_int_equal(fixture.store.reads, 0);
	quire_space_destroy(child);
	quire_object_put(object);
}

/* ---- errors ---- */

static void a_slot_that_cannot_be_read(uint64_t address)
{
	struct soft_result result;
	uint64_t found;

	store_word(&fixture, address, 7);
	page_out(&fixture, address, 1);
	assert_int_equal(swap_counters(&fixture).swap_used, 1);
	fixture.store.read_error = -EIO;
	for (unsigned i = 0; i < 3; i++) {
		result = soft_load64(fixture.cpu, address, &found);
		assert_int_equal(result.outcome, QUIRE_BUS);
		assert_int_equal(result.code, QUIRE_BUS_ADRERR);
	}
	assert_int_equal(soft_store64(fixture.cpu, address, 8).outcome, QUIRE_BUS);
	assert_int_equal(quire_swapoff(fixture.machine), -QUIRE_EIO);
	assert_int_equal(swap_counters(&fixture).swap_used, 1);
	assert_sound(fixture.soft.machine);
	fixture.store.read_error = 0;
	assert_word(&fixture, address, 7);
	assert_sound(fixture.soft.machine);
}

static void a_read_error_fails_one_access(void **state)
{
	(void)state;
	a_slot_that_cannot_be_read(map(fixture.space, 1, RW));
	assert_int_equal(swap_counters(&fixture).swap_used, 0);
}

static void a_read_error_of_shared_memory_fails_one_access(void **state)
{
	struct quire_object *object;
	uint64_t address, found;
	size_t done;

	(void)state;
	assert_int_equal(quire_shmem_create(fixture.machine, PAGE, &object), 0);
	address = map_object(fixture.space, object, 1, QUIRE_MAP_SHARED);
	a_slot_that_cannot_be_read(address);
	page_out(&fixture, address, 1);
	fixture.store.read_error = -EIO;
	assert_int_equal(quire_object_read(object, 0, &found, sizeof(found), &done), -EIO);
	assert_int_equal(done, 0);
	assert_int_equal(quire_object_punch(object, 8, 8), -EIO);
	fixture.store.read_error = 0;
	assert_int_equal(quire_object_read(object, 0, &found, sizeof(found), &done), 0);
	assert_int_equal(found, 7);
	quire_object_put(object);
}

static void what_cannot_be_written_stays(void **state)
{
	struct quire_object *object;
	uint64_t private = map(fixture.space, 4, RW), shared;

	(void)state;
	assert_int_equal(quire_shmem_create(fixture.machine, 4 * PAGE, &object), 0);
	shared = map_object(fixture.space, object, 4, QUIRE_MAP_SHARED);
	store_numbers(&fixture, private, 4, 10);
	store_numbers(&fixture, shared, 4, 20);
	fixture.store.write_error = -ENOSPC;
	page_out(&fixture, private, 4);
	page_out(&fixture, shared, 4);
	assert_int_equal(fixture.store.writes, 8);
	assert_sound(fixture.soft.machine);
	fixture.store.write_error = 0;
	/* Those in the cache of a slot go now, without having been looked for. */
	quire_reclaim(fixture.machine, 100);
	assert_numbers(&fixture, private, 4, 10);
	assert_numbers(&fixture, shared, 4, 20);
	assert_int_equal(swap_counters(&fixture).swap_used, 0);
	quire_object_put(object);
}

static void when_all_slots_are_in_use_pages_stay(void **state)
{
	uint64_t base = map(fixture.space, 2 * SLOTS, RW);

	(void)state;
	store_numbers(&fixture, base, 2 * SLOTS, 1);
	page_out(&fixture, base, 2 * SLOTS);
	assert_int_equal(swap_counters(&fixture).swap_used, SLOTS);
	assert_int_equal(swap_counters(&fixture).frames_anon, SLOTS);
	assert_numbers(&fixture, base, 2 * SLOTS, 1);
	assert_int_equal(swap_counters(&fixture).swap_used, 0);
}

/* A page that cannot be written is in a slot's cache, and is shared from there. */
static void a_forked_page_comes_back_to_both(void **state)
{
	struct quire_space *child;
	uint64_t base = map(fixture.space, 1, RW);

	(void)state;
	store_word(&fixture, base, 1);
	page_out(&fixture, base, 1);
	assert_int_equal(quire_fork(fixture.space, &child), 0);
	assert_int_equal(swap_counters(&fixture).swap_used, 1);
	store_word(&fixture, base, 2);
	assert_word(&fixture, base, 2);
	assert_sound(fixture.soft.machine);
	soft_cpu_enter(fixture.cpu, child);
	assert_word(&fixture, base, 1);
	store_word(&fixture, base, 3);
	soft_cpu_enter(fixture.cpu, fixture.space);
	assert_word(&fixture, base, 2);
	assert_int_equal(swap_counters(&fixture).swap_used, 0);
	quire_space_destroy(child);
}

/* ---- the stores of the software MMU ---- */

static void fill(unsigned char *memory, struct random *random, bool compressible)
{
	for (unsigned i = 0; i < PAGE; i++)
		memory[i] = (unsigned char)(compressible ? i / 512 : random_next(random));
}

static void check_store(struct soft_swap *store)
{
	unsigned char zeros[PAGE] = {0}, noise[PAGE], text[PAGE], found[PAGE];
	struct random random = random_start();

	assert_non_null(store);
	fill(noise, &random, false);
	fill(text, &random, true);
	assert_int_equal(store->write(store, 1, noise), 0);
	assert_int_equal(store->write(store, 2, zeros), 0);
	assert_int_equal(store->write(store, store->slots, text), 0);
	assert_int_equal(store->read(store, 1, found), 0);
	assert_memory_equal(found, noise, PAGE);
	assert_int_equal(store->read(store, 2, found), 0);
	assert_memory_equal(found, zeros, PAGE);
	assert_int_equal(store->read(store, store->slots, found), 0);
	assert_memory_equal(found, text, PAGE);
	/* Again, with something else; and after it was freed. */
	assert_int_equal(store->write(store, 2, noise), 0);
	store->free(store, 1);
	assert_int_equal(store->write(store, 1, zeros), 0);
	assert_int_equal(store->read(store, 1, found), 0);
	assert_memory_equal(found, zeros, PAGE);
	assert_int_equal(store->read(store, 2, found), 0);
	assert_memory_equal(found, noise, PAGE);
	store->close(store);
}

static void stores_keep_what_they_are_given(void **state)
{
	(void)state;
	check_store(soft_swap_compressed(SLOTS));
	check_store(soft_swap_file(NULL, SLOTS));
	errno = 0;
	assert_null(soft_swap_file("/nonexistent/swap", SLOTS));
	assert_int_equal(errno, ENOENT);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_fixture, close_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(slots_are_given_out_once_each),
		TEST(a_slot_lasts_as_long_as_it_counts),
		TEST(a_frame_is_in_the_cache_of_one_slot),
		TEST(a_page_leaves_when_its_slot_was_written),
		TEST(the_use_of_an_area_begins_and_ends),
		TEST(swapoff_brings_everything_back),
		TEST(a_read_error_fails_one_access),
		TEST(a_read_error_of_shared_memory_fails_one_access),
		TEST(what_cannot_be_written_stays),
		TEST(when_all_slots_are_in_use_pages_stay),
		TEST(a_forked_page_comes_back_to_both),
		cmocka_unit_test(stores_keep_what_they_are_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
