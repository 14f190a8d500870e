/* SPDX-License-Identifier: MIT */
/*
 * A call that was blocked half-way goes on where it stopped when it is made again, whatever became
 * of what it did before (BEHAVIOUR B3, A4, A6; <quire/thread.h>).
 */
#include "nowait_fixture.h"

static uint64_t given;

static int populate_all(void)
{
	return quire_madvise(fixture.space, base, PAGES * PAGE, QUIRE_MADV_POPULATE_WRITE);
}

static int lock_all(void)
{
	return quire_mlock(fixture.space, base, PAGES * PAGE);
}

/* Over memory that is registered already, so that the new one gets no registration. */
static int map_all(void)
{
	return quire_mmap(fixture.space, base, PAGES * PAGE, RW,
			  QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED |
				  QUIRE_MAP_POPULATE,
			  &given);
}

static char buffer[PAGES * PAGE];
static size_t moved;

static int read_all(void)
{
	return quire_access_read(fixture.space, base, buffer, sizeof(buffer), &moved);
}

static int write_all(void)
{
	return quire_access_write(fixture.space, base, buffer, sizeof(buffer), &moved);
}

static int as_the_guest(int (*call)(void))
{
	int error;

	as_guest();
	error = call();
	as_handler();
	return error;
}

/* The guest waits for this page, which it is then given. */
static void give_page(unsigned page)
{
	struct quire_uffd_msg message = next_message(context, NULL);

	assert_int_equal(message.arg.pagefault.address, base + page * PAGE);
	assert_int_equal(copy_value(context, base + page * PAGE, page, 0), 0);
}

static void drop_pages(unsigned first, unsigned count)
{
	assert_int_equal(quire_madvise(fixture.space, base + first * PAGE, count * PAGE,
				       QUIRE_MADV_DONTNEED_LOCKED),
			 0);
}

static bool present(unsigned page)
{
	return entry_at(fixture.space, base + page * PAGE).kind == QUIRE_ENTRY_LEAF;
}

/* Makes `call`, and takes each page away as soon as it waits for the next. */
static void lose_pages_behind(int (*call)(void))
{
	for (unsigned page = 0; page < PAGES; page++) {
		assert_int_equal(as_the_guest(call), -QUIRE_EINPROGRESS);
		if (page)
			drop_pages(page - 1, 1);
		give_page(page);
	}
	assert_int_equal(as_the_guest(call), 0);
	assert_no_message(context);
	for (unsigned page = 0; page < PAGES; page++)
		assert_int_equal(present(page), page == PAGES - 1);
	drop_pages(0, PAGES);
}

/* And the one after it is a new one, whatever came of it. */
static void a_call_goes_on_where_it_stopped(void **state)
{
	static int (*const calls[])(void) = {populate_all, lock_all, read_all, write_all};

	(void)state;
	begin(0, MISSING);
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		lose_pages_behind(calls[i]);
		lose_pages_behind(calls[i]);
	}
}

static void a_transfer_counts_from_its_beginning(void **state)
{
	(void)state;
	begin(0, MISSING);
	assert_int_equal(as_the_guest(read_all), -QUIRE_EINPROGRESS);
	assert_int_equal(moved, 0);
	give_page(0);
	assert_int_equal(as_the_guest(read_all), -QUIRE_EINPROGRESS);
	assert_int_equal(moved, PAGE);
	give_page(1);
	assert_int_equal(quire_munmap(fixture.space, base + 2 * PAGE, PAGE), 0);
	assert_int_equal(as_the_guest(read_all), -QUIRE_EFAULT);
	assert_int_equal(moved, 2 * PAGE);
	assert_int_equal(buffer[PAGE], 1);
	/* That was its end. */
	assert_int_equal(as_the_guest(read_all), -QUIRE_EFAULT);
	assert_int_equal(moved, 2 * PAGE);
}

static void mlock_locks_once(void **state)
{
	(void)state;
	begin(0, MISSING);
	assert_int_equal(as_the_guest(lock_all), -QUIRE_EINPROGRESS);
	assert_int_equal(quire_munlock(fixture.space, base, PAGES * PAGE), 0);
	for (unsigned page = 0; page < PAGES; page++) {
		give_page(page);
		assert_int_equal(as_the_guest(lock_all), page + 1 < PAGES ? -QUIRE_EINPROGRESS : 0);
	}
	/* Locked memory would refuse. */
	assert_int_equal(quire_madvise(fixture.space, base, PAGES * PAGE, QUIRE_MADV_DONTNEED), 0);
}

/* The new mapping is registered while the thread waits to be heard. */
static void block_in_mmap(void)
{
	struct quire_userfault *old = open_context(fixture.space, QUIRE_UFFD_FEATURE_EVENT_UNMAP);

	assert_int_equal(register_pages(old, base, PAGES, MISSING), 0);
	given = 0;
	assert_int_equal(as_the_guest(map_all), -QUIRE_EINPROGRESS);
	begin(0, MISSING);
	next_message(old, NULL);
	quire_userfault_close(old);
	assert_int_equal(as_the_guest(map_all), -QUIRE_EINPROGRESS);
}

static void mmap_waits_for_what_it_populates(void **state)
{
	(void)state;
	block_in_mmap();
	for (unsigned page = 0; page < PAGES; page++) {
		assert_int_equal(given, 0);
		give_page(page);
		if (page)
			drop_pages(page - 1, 1);
		assert_int_equal(as_the_guest(map_all), page + 1 < PAGES ? -QUIRE_EINPROGRESS : 0);
	}
	assert_int_equal(given, base);
	assert_no_message(context);
	assert_true(present(PAGES - 1));
}

/*
 * What waits for a page when its thread ends does not wait any more, and locked memory is left
 * unpopulated; its next call is a new one.
 */
static void a_thread_ends_half_way(void **state)
{
	struct quire_machine *core = soft_machine_core(fixture.machine);

	(void)state;
	block_in_mmap();
	quire_thread_interrupt(core, &guest, true);
	assert_int_equal(as_the_guest(map_all), 0);
	assert_int_equal(given, base);
	assert_false(guest.resuming);

	guest.dying = false;
	assert_int_equal(as_the_guest(lock_all), -QUIRE_EINPROGRESS);
	give_page(0);
	assert_int_equal(as_the_guest(lock_all), -QUIRE_EINPROGRESS);
	quire_thread_interrupt(core, &guest, true);
	assert_int_equal(as_the_guest(lock_all), 0);
	assert_false(present(1));

	guest.dying = false;
	drop_pages(0, 1);
	assert_int_equal(as_the_guest(populate_all), -QUIRE_EINPROGRESS);
	give_page(0);
	assert_int_equal(as_the_guest(populate_all), -QUIRE_EINPROGRESS);
	quire_thread_interrupt(core, &guest, true);
	assert_int_equal(as_the_guest(populate_all), -QUIRE_EFAULT);
}

/* mremap faults in what locked memory has grown by before it tells that it has moved. */
static int grow_elsewhere(void)
{
	return quire_mremap(fixture.space, base, PAGES * PAGE, (PAGES + 2) * PAGE,
			    QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, base - 64 * PAGE, &given);
}

static void mremap_populates_before_it_tells(void **state)
{
	const uint64_t to = base - 64 * PAGE;

	(void)state;
	assert_int_equal(quire_mlock(fixture.space, base, PAGES * PAGE), 0);
	begin(EVENTS, MISSING);
	given = 0;
	assert_int_equal(as_the_guest(grow_elsewhere), -QUIRE_EINPROGRESS);
	assert_fault(next_message(context, NULL), to + PAGES * PAGE, WRITE_FLAG);
	assert_int_equal(zeropage(context, to + PAGES * PAGE, 0), -QUIRE_EAGAIN);
	assert_int_equal(wake_pages(context, to, PAGES + 2), 0);
	assert_int_equal(as_the_guest(grow_elsewhere), -QUIRE_EINPROGRESS);
	assert_fault(next_message(context, NULL), to + PAGES * PAGE, WRITE_FLAG);
	assert_int_equal(unregister_pages(context, to, PAGES + 2), 0);
	assert_int_equal(as_the_guest(grow_elsewhere), -QUIRE_EINPROGRESS);
	assert_int_equal(next_message(context, NULL).event, QUIRE_UFFD_EVENT_REMAP);
	assert_int_equal(as_the_guest(grow_elsewhere), -QUIRE_EINPROGRESS);
	assert_int_equal(given, 0);
	assert_int_equal(next_message(context, NULL).event, QUIRE_UFFD_EVENT_UNMAP);
	assert_int_equal(as_the_guest(grow_elsewhere), 0);
	assert_int_equal(given, to);
	for (unsigned page = PAGES; page < PAGES + 2; page++)
		assert_int_equal(entry_at(fixture.space, to + page * PAGE).kind, QUIRE_ENTRY_LEAF);
}

/* A thread that does sleep goes on in the same way. */
static void act_lock(struct guest *sleeper)
{
	sleeper->error = lock_all();
}

static void a_call_that_slept_looks_at_the_vmas_anew(void **state)
{
	struct guest sleeper = {.act = act_lock, .fixture = &fixture, .cpu = 1};

	(void)state;
	begin(0, MISSING);
	start_guest(&sleeper);
	assert_fault(next_message(context, NULL), base, WRITE_FLAG);
	assert_int_equal(quire_munmap(fixture.space, base, PAGE), 0);
	assert_int_equal(wake_pages(context, base, 1), 0);
	assert_fault(next_message(context, NULL), base + PAGE, WRITE_FLAG);
	assert_int_equal(quire_mprotect(fixture.space, base + PAGE, PAGE, R), 0);
	assert_int_equal(wake_pages(context, base + PAGE, 1), 0);
	assert_fault(next_message(context, NULL), base + PAGE, 0);
	assert_int_equal(quire_munmap(fixture.space, base, PAGES * PAGE), 0);
	assert_int_equal(wake_pages(context, base + PAGE, 1), 0);
	assert_finishes(&sleeper);
	assert_int_equal(sleeper.error, 0);
}

/* Over memory of a context that hears of it, by an object that has to be made first. */
static int map_shared(void)
{
	return quire_mmap(fixture.space, base, PAGES * PAGE, RW,
			  QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, &given);
}

static int unmap_all(void)
{
	return quire_munmap(fixture.space, base, PAGES * PAGE);
}

static struct quire_space *child;

static int fork_all(void)
{
	return quire_fork(fixture.space, &child);
}

static int drop_all(void)
{
	return quire_madvise(fixture.space, base, PAGES * PAGE, QUIRE_MADV_DONTNEED);
}

static void mmap_made_again_allocates_nothing(void **state)
{
	struct quire_vma_report vma;

	(void)state;
	begin(EVENTS, MISSING);
	assert_int_equal(as_the_guest(map_shared), -QUIRE_EINPROGRESS);
	assert_int_equal(next_message(context, NULL).event, QUIRE_UFFD_EVENT_UNMAP);
	quire_machine_fail_nth(soft_machine_core(fixture.machine), 1);
	assert_int_equal(as_the_guest(map_shared), 0);
	quire_machine_fail_nth(soft_machine_core(fixture.machine), 0);
	assert_int_equal(given, base);
	assert_int_equal(quire_vma(fixture.space, base, &vma), 0);
	assert_true(vma.shared);
}

static uint64_t elsewhere;

static int unmap_elsewhere(void)
{
	return quire_munmap(fixture.space, elsewhere, PAGE);
}

/* Whatever `call` was blocked in: another one is a new one, and what nobody has read is dropped. */
static void call_another(int (*call)(void), bool read)
{
	elsewhere = map(fixture.space, 1, RW);
	assert_int_equal(as_the_guest(call), -QUIRE_EINPROGRESS);
	if (read)
		next_message(context, NULL);
	assert_int_equal(as_the_guest(unmap_elsewhere), 0);
	assert_int_equal(quire_mprotect(fixture.space, elsewhere, PAGE, RW), -QUIRE_ENOMEM);
	assert_false(quire_thread_asleep(&guest));
	assert_no_message(context);
}

static void another_call_is_not_the_one_that_was_blocked(void **state)
{
	static int (*const calls[])(void) = {drop_all, fork_all, grow_elsewhere, map_shared,
					     unmap_all};

	(void)state;
	for (unsigned i = 0; i < 2 * sizeof(calls) / sizeof(calls[0]); i++) {
		bool locks = calls[i / 2] == grow_elsewhere;

		base = map(fixture.space, PAGES, RW);
		if (locks)
			assert_int_equal(quire_mlock(fixture.space, base, PAGES * PAGE), 0);
		begin(EVENTS, MISSING);
		call_another(calls[i / 2], i % 2);
		if (calls[i / 2] == fork_all)
			quire_space_destroy(child);
		/* No event is left that would forbid it. */
		assert_int_not_equal(zeropage(context, base, 0), -QUIRE_EAGAIN);
		quire_userfault_close(context);
		context = NULL;
		assert_int_equal(quire_munmap(fixture.space, 16 * PAGE, 1ull << 40), 0);
	}
}

/* The same operation with other arguments is another call, too. */
static void a_call_elsewhere_is_another_one(void **state)
{
	(void)state;
	begin(0, MISSING);
	assert_int_equal(as_the_guest(read_all), -QUIRE_EINPROGRESS);
	give_page(0);
	assert_int_equal(as_the_guest(read_all), -QUIRE_EINPROGRESS);
	assert_int_equal(moved, PAGE);
	give_page(1);
	as_guest();
	assert_int_equal(quire_access_read(fixture.space, base, buffer, PAGE, &moved), 0);
	as_handler();
	assert_int_equal(moved, PAGE);
	assert_int_equal(as_the_guest(read_all), -QUIRE_EINPROGRESS);
	assert_int_equal(moved, 2 * PAGE);
	quire_userfault_close(context);
	context = NULL;
	assert_int_equal(as_the_guest(read_all), 0);
}

/* A space whose memory begins at 0, with a page there and one behind it. */
static struct quire_space *open_from_zero(void)
{
	const struct quire_space_config bounds = {.lowest = 0, .mmap_base = 64 * MIB};
	struct quire_space *space;
	uint64_t result;

	assert_int_equal(quire_space_create(soft_machine_core(fixture.machine), &bounds, &space),
			 0);
	assert_int_equal(quire_mmap(space, 0, 2 * PAGE, RW,
				    QUIRE_MAP_FIXED | QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS,
				    &result),
			 0);
	context = open_context(space, EVENTS);
	assert_int_equal(register_pages(context, 0, 1, MISSING), 0);
	return space;
}

static void what_goes_at_address_zero_is_told(void **state)
{
	struct quire_space *space = open_from_zero();
	struct quire_uffd_msg message;

	(void)state;
	as_guest();
	for (unsigned i = 0; i < 2; i++) { /* each time anew */
		assert_int_equal(quire_madvise(space, 0, 2 * PAGE, QUIRE_MADV_DONTNEED),
				 -QUIRE_EINPROGRESS);
		message = next_message(context, NULL);
		assert_int_equal(message.event, QUIRE_UFFD_EVENT_REMOVE);
		assert_int_equal(message.arg.remove.start, 0);
		assert_int_equal(message.arg.remove.end, PAGE);
		assert_int_equal(quire_madvise(space, 0, 2 * PAGE, QUIRE_MADV_DONTNEED), 0);
	}
	as_handler();
	quire_userfault_close(context);
	context = NULL;
	quire_space_destroy(space);
}

/* A COPY to address 0 that has slept for its source goes on although an event is unread by then. */
static void a_copy_to_address_zero_goes_on(void **state)
{
	struct quire_space *space = open_from_zero();
	struct quire_userfault *source;
	struct quire_uffdio_copy request = {.src = base, .len = PAGE};
	struct quire_thread other = {.id = 2, .nowait = true};

	(void)state;
	source = open_context(fixture.space, 0);
	assert_int_equal(register_pages(source, base, 1, MISSING), 0);
	as_guest();
	assert_int_equal(quire_userfault_ioctl(context, QUIRE_UFFDIO_COPY, &request, fixture.space),
			 -QUIRE_EINPROGRESS);
	soft_thread_use(&other);
	assert_int_equal(quire_madvise(space, 0, PAGE, QUIRE_MADV_DONTNEED), -QUIRE_EINPROGRESS);
	as_handler();
	next_message(source, NULL);
	assert_int_equal(copy_value(source, base, 7, 0), 0);
	as_guest();
	/* It does not begin anew, which would refuse it before it has read its source. */
	assert_int_equal(quire_userfault_ioctl(context, QUIRE_UFFDIO_COPY, &request, fixture.space),
			 -QUIRE_EAGAIN);
	assert_int_equal(request.copy, -QUIRE_EAGAIN);
	as_handler();
	quire_userfault_close(context);
	context = NULL;
	quire_userfault_close(source);
	soft_thread_use(&other);
	assert_int_equal(quire_madvise(space, 0, PAGE, QUIRE_MADV_DONTNEED), 0);
	as_handler();
	quire_space_destroy(space);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_call_goes_on_where_it_stopped),
		TEST(a_transfer_counts_from_its_beginning),
		TEST(mlock_locks_once),
		TEST(mmap_waits_for_what_it_populates),
		TEST(a_thread_ends_half_way),
		TEST(mremap_populates_before_it_tells),
		TEST(a_call_that_slept_looks_at_the_vmas_anew),
		TEST(mmap_made_again_allocates_nothing),
		TEST(another_call_is_not_the_one_that_was_blocked),
		TEST(a_call_elsewhere_is_another_one),
		TEST(what_goes_at_address_zero_is_told),
		TEST(a_copy_to_address_zero_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
