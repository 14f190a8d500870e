/* SPDX-License-Identifier: MIT */
/*
 * Memory objects: the page cache against a simple model; what they are read, written and cut as; an
 * object of the embedder's own.
 */
#include "object/object.h"
#include "swap_fixture.h"

static struct swap_fixture fixture;

static int open_fixture(void **state)
{
	(void)state;
	swap_fixture_open(&fixture, 4 * MIB, 64);
	return 0;
}

static int close_fixture(void **state)
{
	(void)state;
	swap_fixture_close(&fixture);
	return 0;
}

static struct quire_object *new_shmem(uint64_t size)
{
	struct quire_object *object;

	assert_int_equal(quire_shmem_create(fixture.machine, size, &object), 0);
	return object;
}

/* ---- the page cache ---- */

#define LAST_INDEX (QUIRE_OBJECT_MAX >> PAGE_SHIFT)

/* Where trees grow a level, nodes begin and end, and the largest index. */
static const uint64_t places[] = {
	0,
	1,
	2,
	510,
	511,
	512,
	513,
	1023,
	1024,
	262143,
	262144,
	262145,
	1 << 20,
	134217727,
	134217728,
	134217729,
	68719476735,
	68719476736,
	68719476737,
	35184372088831,
	35184372088832,
	LAST_INDEX - 1,
	LAST_INDEX,
};
#define PLACES (sizeof(places) / sizeof(places[0]))

static struct model {
	struct quire_object *object;
	cache_entry entry[PLACES];
} model;

static struct folio *new_folio(void)
{
	struct folio *folio = folio_alloc(fixture.machine, 0);

	assert_non_null(folio);
	folio_set_kind(fixture.machine, folio, FRAME_SHMEM);
	atomic_store(&folio->head.holders, FRAME_ONE_REFERENCE);
	return folio;
}

static void insert(unsigned place)
{
	struct folio *folio = new_folio();

	object_lock(model.object);
	assert_int_equal(cache_insert(model.object, places[place], folio), 0);
	object_unlock(model.object);
	model.entry[place] = cache_entry_of(folio);
}

static void replace(unsigned place, cache_entry entry)
{
	cache_entry was = model.entry[place];

	object_lock(model.object);
	cache_replace(model.object, places[place], entry);
	object_unlock(model.object);
	model.entry[place] = entry;
	if (cache_page(was))
		folio_put(fixture.machine, cache_page(was));
}

/* Everything is found one by one, and in order from any place on. */
static void compare(unsigned from)
{
	uint64_t index = places[from], nodes = 0;
	unsigned next = from;
	cache_entry entry;

	assert_true(cache_valid(model.object, &nodes));
	for (unsigned i = 0; i < PLACES; i++)
		assert_int_equal(cache_find(model.object, places[i]), model.entry[i]);
	for (; (entry = cache_next(model.object, &index, LAST_INDEX)); index++, next++) {
		while (!model.entry[next])
			next++;
		assert_int_equal(index, places[next]);
		assert_int_equal(entry, model.entry[next]);
	}
	while (next < PLACES - 1)
		assert_int_equal(model.entry[next++], 0);
}

/* Pages and swap slots (by number alone) come, turn into each other, and go. */
static void the_cache_has_what_was_put_in(void **state)
{
	struct random random = random_start();

	(void)state;
	model = (struct model){.object = new_shmem(QUIRE_OBJECT_MAX)};
	for (unsigned i = 0; i < 4000; i++) {
		unsigned place = (unsigned)random_below(&random, PLACES);

		if (!model.entry[place])
			insert(place);
		else if (random_below(&random, 3) == 0)
			replace(place, cache_page(model.entry[place])
					       ? cache_entry_of_slot(1 + place)
					       : cache_entry_of(new_folio()));
		else
			replace(place, 0);
		compare((unsigned)random_below(&random, PLACES));
	}
	for (unsigned i = 0; i < PLACES; i++)
		if (model.entry[i])
			replace(i, 0);
	assert_null(model.object->root);
	assert_int_equal(model.object->pages, 0);
	assert_int_equal(model.object->swapped, 0);
	quire_object_put(model.object);
}

/* For each place: the object's only page, and one more there; every allocation fails once. */
static void a_cache_without_frames_keeps_what_it_has(void **state)
{
	uint64_t before = swap_counters(&fixture).frames_free;

	(void)state;
	for (unsigned place = 0; place < PLACES; place++) {
		struct folio *folio = new_folio();
		unsigned nth = 0;

		model = (struct model){.object = new_shmem(QUIRE_OBJECT_MAX)};
		if (place % 2)
			insert(0);
		do {
			quire_machine_fail_nth(fixture.machine, ++nth);
			if (!cache_insert(model.object, places[place], folio))
				break;
			compare(0);
			assert_true(nth < 8);
		} while (true);
		quire_machine_fail_nth(fixture.machine, 0);
		assert_ptr_equal(cache_page(cache_find(model.object, places[place])), folio);
		quire_object_put(model.object);
	}
	assert_int_equal(swap_counters(&fixture).frames_free, before);
}

/* ---- shared memory, as a file ---- */

static void assert_bytes(struct quire_object *object, uint64_t offset, const char *bytes,
			 size_t length)
{
	char found[64];
	size_t done;

	assert_int_equal(quire_object_read(object, offset, found, length, &done), 0);
	assert_int_equal(done, length);
	assert_memory_equal(found, bytes, length);
}

static void put_bytes(struct quire_object *object, uint64_t offset, const char *bytes)
{
	size_t done;

	assert_int_equal(quire_object_write(object, offset, bytes, strlen(bytes), &done), 0);
	assert_int_equal(done, strlen(bytes));
}

static void what_is_written_is_read(void **state)
{
	struct quire_object *object = new_shmem(0);
	char found[8];
	size_t done;

	(void)state;
	assert_int_equal(quire_object_read(object, 0, found, 8, &done), 0);
	assert_int_equal(done, 0);
	put_bytes(object, PAGE - 3, "across");
	assert_int_equal(quire_object_size(object), PAGE + 3);
	assert_bytes(object, PAGE - 4, "\0across", 7);
	assert_int_equal(quire_object_resident(object, 0, 2 * PAGE), 2);
	assert_int_equal(quire_object_read(object, PAGE, found, 8, &done), 0);
	assert_int_equal(done, 3);
	/* Far away, over a hole. */
	put_bytes(object, QUIRE_OBJECT_MAX - 4, "last");
	assert_int_equal(quire_object_size(object), QUIRE_OBJECT_MAX);
	assert_bytes(object, QUIRE_OBJECT_MAX - 5, "\0last", 5);
	assert_int_equal(quire_object_write(object, QUIRE_OBJECT_MAX - 1, "xy", 2, &done),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_object_resident(object, 0, UINT64_MAX), 3);
	quire_object_put(object);
}

static void what_is_cut_off_reads_as_zeros(void **state)
{
	struct quire_object *object = new_shmem(4 * PAGE);

	(void)state;
	put_bytes(object, 8, "first page");
	put_bytes(object, PAGE, "second");
	put_bytes(object, 3 * PAGE, "fourth");
	assert_int_equal(quire_object_truncate(object, PAGE + 3), 0);
	assert_int_equal(quire_object_resident(object, 0, UINT64_MAX), 2);
	assert_int_equal(quire_object_truncate(object, 4 * PAGE), 0);
	assert_bytes(object, PAGE, "sec\0\0\0", 6);
	assert_bytes(object, 3 * PAGE, "\0\0\0\0", 4);
	assert_bytes(object, 8, "first page", 10);
	assert_int_equal(quire_object_truncate(object, QUIRE_OBJECT_MAX + 1), -QUIRE_EINVAL);
	assert_int_equal(quire_object_truncate(object, 0), 0);
	assert_int_equal(quire_object_resident(object, 0, UINT64_MAX), 0);
	quire_object_put(object);
}

static void a_hole_takes_whole_pages_and_clears_edges(void **state)
{
	struct quire_object *object = new_shmem(4 * PAGE);

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		put_bytes(object, i * PAGE, "abcdef");
	put_bytes(object, PAGE - 2, "yz");
	assert_int_equal(quire_object_punch(object, PAGE - 1, 2 * PAGE + 4), 0);
	assert_int_equal(quire_object_resident(object, 0, UINT64_MAX), 2);
	assert_bytes(object, PAGE - 2, "y\0\0", 3);
	assert_bytes(object, 3 * PAGE, "\0\0\0def", 6);
	assert_int_equal(quire_object_punch(object, 1, 2), 0);
	assert_bytes(object, 0, "a\0\0def", 6);
	assert_int_equal(quire_object_punch(object, 0, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_object_punch(object, PAGE, QUIRE_OBJECT_MAX), -QUIRE_EFBIG);
	assert_int_equal(quire_object_size(object), 4 * PAGE);
	quire_object_put(object);
}

static void allocated_pages_are_there(void **state)
{
	struct quire_object *object = new_shmem(0);

	(void)state;
	assert_int_equal(quire_object_allocate(object, PAGE + 1, PAGE), 0);
	assert_int_equal(quire_object_size(object), 2 * PAGE + 1);
	assert_int_equal(quire_object_resident(object, 0, UINT64_MAX), 2);
	assert_int_equal(quire_object_resident(object, 0, PAGE), 0);
	assert_int_equal(quire_object_allocate(object, 0, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_object_allocate(object, 1, QUIRE_OBJECT_MAX), -QUIRE_EFBIG);
	quire_object_put(object);
}

/* Every allocation fails once, and nothing is lost or left. */
static void without_frames_calls_say_so(void **state)
{
	struct quire_object *object = new_shmem(0), *none;
	unsigned nth = 0;
	uint64_t before;
	size_t done;
	int error;

	(void)state;
	put_bytes(object, 0, "kept");
	do {
		quire_machine_fail_nth(fixture.machine, ++nth);
		error = quire_object_write(object, 600 * PAGE - 2, "four", 4, &done);
		assert_true(error == 0 || (error == -QUIRE_ENOMEM && done < 4));
		assert_sound(fixture.soft.machine);
	} while (error);
	quire_machine_fail_nth(fixture.machine, 0);
	assert_true(nth > 2);
	assert_bytes(object, 0, "kept", 4);
	assert_bytes(object, 600 * PAGE - 2, "four", 4);
	quire_machine_fail_nth(fixture.machine, 1);
	assert_int_equal(quire_object_allocate(object, PAGE, PAGE), -QUIRE_ENOMEM);
	/* What it had allocated goes, and nothing else. */
	put_bytes(object, 2 * PAGE, "used");
	before = quire_object_resident(object, 0, UINT64_MAX);
	quire_machine_fail_nth(fixture.machine, 3);
	assert_int_equal(quire_object_allocate(object, 0, 8 * PAGE), -QUIRE_ENOMEM);
	assert_int_equal(quire_object_resident(object, 0, UINT64_MAX), before);
	assert_bytes(object, 2 * PAGE, "used", 4);
	quire_machine_fail_nth(fixture.machine, 1);
	assert_int_equal(quire_shmem_create(fixture.machine, 1, &none), -QUIRE_ENOMEM);
	quire_machine_fail_nth(fixture.machine, 0);
	quire_object_put(object);
}

/* ---- an object of the embedder's own ---- */

#define OWN_PAGES 8

/* A file of pages; what it does fails when it is told to. */
static struct own {
	struct quire_object *object;
	uint64_t content[OWN_PAGES]; /* first word of each page, as the file has it */
	unsigned reads, writes, asked, released;
	int read_error, write_error, ask_error;
	uint64_t truncate_while_reading; /* how often */
	uint64_t store_while_writing;	 /* address, or 0 */
} own;

static int own_read(void *context, uint64_t index, uint64_t count, void *memory)
{
	struct own *self = context;

	assert_int_equal(count, 1);
	self->reads++;
	if (self->read_error)
		return self->read_error;
	memset(memory, 0, PAGE);
	memcpy(memory, &self->content[index], sizeof(uint64_t));
	if (self->truncate_while_reading) {
		self->truncate_while_reading = 0;
		assert_int_equal(quire_object_truncate(self->object, 0), 0);
	}
	return 0;
}

static int own_write(void *context, uint64_t index, uint64_t count, const void *memory)
{
	struct own *self = context;
	uint64_t address = self->store_while_writing;

	assert_int_equal(count, 1);
	self->writes++;
	if (self->write_error)
		return self->write_error;
	memcpy(&self->content[index], memory, sizeof(uint64_t));
	self->store_while_writing = 0;
	if (address) {
		/* It is mapped, written to, and unmapped again, before it is gone. */
		store_word(&fixture, address, 99);
		assert_int_equal(quire_madvise(fixture.space, address, PAGE, QUIRE_MADV_DONTNEED),
				 0);
	}
	return 0;
}

static int own_ask(void *context, uint64_t index)
{
	struct own *self = context;

	(void)index;
	self->asked++;
	return self->ask_error;
}

static void own_release(void *context)
{
	((struct own *)context)->released++;
}

static const struct quire_object_operations own_operations = {
	.read_page = own_read,
	.write_page = own_write,
	.make_writable = own_ask,
	.release = own_release,
};

static const struct quire_object_operations read_only_operations = {
	.read_page = own_read,
	.release = own_release,
	.read_only = true,
};

static uint64_t open_own(const struct quire_object_operations *operations, int flags)
{
	own = (struct own){0};
	for (unsigned i = 0; i < OWN_PAGES; i++)
		own.content[i] = 100 + i;
	assert_int_equal(quire_object_create(fixture.machine, OWN_PAGES * PAGE, operations, &own,
					     &own.object),
			 0);
	return map_object(fixture.space, own.object, OWN_PAGES, flags);
}

static void close_own(uint64_t address)
{
	assert_sound(fixture.soft.machine);
	quire_object_put(own.object);
	assert_int_equal(own.released, 0); /* the mapping is a user too */
	assert_int_equal(quire_munmap(fixture.space, address, OWN_PAGES * PAGE), 0);
	assert_int_equal(own.released, 1);
}

static void its_pages_are_read_and_written_back(void **state)
{
	uint64_t base = open_own(&own_operations, QUIRE_MAP_SHARED);

	(void)state;
	assert_numbers(&fixture, base, OWN_PAGES, 100);
	assert_int_equal(own.reads, OWN_PAGES);
	assert_int_equal(own.asked, 0);
	store_word(&fixture, base + PAGE, 7);
	assert_int_equal(own.asked, 1);
	/* What nobody wrote to is not written. */
	page_out(&fixture, base, OWN_PAGES);
	assert_int_equal(own.writes, 1);
	assert_int_equal(own.content[1], 7);
	assert_int_equal(quire_object_resident(own.object, 0, UINT64_MAX), 0);
	assert_word(&fixture, base + PAGE, 7);
	store_word(&fixture, base + PAGE, 8);
	assert_int_equal(own.asked, 2);
	close_own(base);
}

static void its_errors_are_the_accesss(void **state)
{
	uint64_t base = open_own(&own_operations, QUIRE_MAP_SHARED), found;
	size_t done;

	(void)state;
	own.read_error = -EIO;
	assert_int_equal(soft_load64(fixture.cpu, base, &found).outcome, QUIRE_BUS);
	assert_int_equal(quire_object_read(own.object, 0, &found, sizeof(found), &done), -EIO);
	own.read_error = 0;
	assert_word(&fixture, base, 100);
	own.ask_error = -EIO;
	assert_int_equal(soft_store64(fixture.cpu, base, 1).outcome, QUIRE_BUS);
	assert_word(&fixture, base, 100);
	own.ask_error = 0;
	store_word(&fixture, base, 1);
	own.write_error = -EIO;
	page_out(&fixture, base, 1);
	assert_int_equal(own.writes, 1);
	assert_int_equal(quire_object_resident(own.object, 0, UINT64_MAX), 1);
	assert_word(&fixture, base, 1);
	/* It is still to be written. */
	own.write_error = 0;
	page_out(&fixture, base, 1);
	assert_int_equal(own.content[0], 1);
	close_own(base);
}

static void what_is_stored_while_a_page_is_written_is_kept(void **state)
{
	uint64_t base = open_own(&own_operations, QUIRE_MAP_SHARED);

	(void)state;
	store_word(&fixture, base, 1);
	own.store_while_writing = base;
	page_out(&fixture, base, 1);
	assert_word(&fixture, base, 99);
	page_out(&fixture, base, 1);
	assert_int_equal(own.content[0], 99);
	assert_word(&fixture, base, 99);
	close_own(base);
}

static void a_page_that_is_cut_off_while_it_is_read_is_gone(void **state)
{
	uint64_t base = open_own(&own_operations, QUIRE_MAP_SHARED), found;

	(void)state;
	own.truncate_while_reading = 1;
	assert_int_equal(soft_load64(fixture.cpu, base, &found).outcome, QUIRE_BUS);
	assert_int_equal(quire_object_resident(own.object, 0, UINT64_MAX), 0);
	assert_int_equal(quire_object_truncate(own.object, OWN_PAGES * PAGE), 0);
	assert_word(&fixture, base, 100);
	close_own(base);
}

static void a_private_mapping_leaves_it_alone(void **state)
{
	uint64_t base = open_own(&read_only_operations, QUIRE_MAP_PRIVATE), address = 0;
	size_t done;

	(void)state;
	store_word(&fixture, base, 1);
	page_out(&fixture, base, 1);
	assert_word(&fixture, base, 1);
	assert_word(&fixture, base + PAGE, 101);
	assert_int_equal(own.writes, 0);
	assert_int_equal(quire_object_write(own.object, 0, "x", 1, &done), -QUIRE_EACCES);
	assert_int_equal(quire_object_truncate(own.object, 0), -QUIRE_EACCES);
	assert_int_equal(quire_object_punch(own.object, 0, PAGE), -QUIRE_EACCES);
	assert_int_equal(quire_object_allocate(own.object, 0, PAGE), -QUIRE_EACCES);
	assert_int_equal(quire_mmap_object(fixture.space, 0, PAGE, RW, QUIRE_MAP_SHARED, own.object,
					   0, &address),
			 -QUIRE_EACCES);
	close_own(base);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_fixture, close_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_cache_has_what_was_put_in),
		TEST(a_cache_without_frames_keeps_what_it_has),
		TEST(what_is_written_is_read),
		TEST(what_is_cut_off_reads_as_zeros),
		TEST(a_hole_takes_whole_pages_and_clears_edges),
		TEST(allocated_pages_are_there),
		TEST(without_frames_calls_say_so),
		TEST(its_pages_are_read_and_written_back),
		TEST(its_errors_are_the_accesss),
		TEST(what_is_stored_while_a_page_is_written_is_kept),
		TEST(a_page_that_is_cut_off_while_it_is_read_is_gone),
		TEST(a_private_mapping_leaves_it_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
