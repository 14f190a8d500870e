/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd with one host thread, which plays guest and handler in turn: what would sleep answers
 * at once, and is done by making it again
 * (BEHAVIOUR B3, B5, B6; <quire/thread.h>).  And what becomes of contexts whose space has gone, or
 * that may not report.
 */
#include "userfault_fixture.h"

#define PAGES 8
#define EVENTS                                                                                     \
	(QUIRE_UFFD_FEATURE_EVENT_FORK | QUIRE_UFFD_FEATURE_EVENT_REMAP |                          \
	 QUIRE_UFFD_FEATURE_EVENT_REMOVE | QUIRE_UFFD_FEATURE_EVENT_UNMAP)
#define WRITE_FLAG QUIRE_UFFD_PAGEFAULT_FLAG_WRITE

static struct soft_fixture fixture;
static struct soft_cpu *cpu;
static struct quire_thread guest; /* plays where as_guest() was called last */
static struct quire_userfault *context;
static uint64_t base;

static void as_guest(void)
{
	soft_thread_use(&guest);
}

static void as_handler(void)
{
	soft_thread_use(NULL);
}

static int set_up(void **state)
{
	(void)state;
	fixture = soft_fixture_open(&(struct soft_config){.memory = 16 * MIB});
	base = map(fixture.space, PAGES, RW);
	cpu = soft_machine_cpu(fixture.machine, 0);
	soft_cpu_enter(cpu, fixture.space);
	guest = (struct quire_thread){.id = 1, .nowait = true};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	as_handler();
	assert_false(quire_thread_asleep(&guest));
	if (context)
		quire_userfault_close(context);
	context = NULL;
	soft_fixture_close(&fixture);
	return 0;
}

static void begin(uint64_t features, uint64_t mode)
{
	context = open_context(fixture.space, features);
	assert_int_equal(register_pages(context, base, PAGES, mode), 0);
}

static enum quire_outcome store(uint64_t address, uint64_t value)
{
	return soft_store64(cpu, address, value).outcome;
}

static uint64_t load(uint64_t address)
{
	uint64_t value;

	assert_int_equal(soft_load64(cpu, address, &value).outcome, QUIRE_DONE);
	return value;
}

/* The guest waits: a page is missing that a store wanted. */
static void block(void)
{
	as_guest();
	assert_int_equal(store(base, 42), QUIRE_BLOCKED);
	assert_true(quire_thread_asleep(&guest));
	as_handler();
	assert_fault(next_message(context, NULL), base, WRITE_FLAG);
}

static void finish_store(void)
{
	assert_false(quire_thread_asleep(&guest));
	as_guest();
	assert_int_equal(store(base, 42), QUIRE_DONE);
	assert_int_equal(load(base), 42);
}

/* ---- faults ------------------------------------------------------------------------------------
 */

static void a_blocked_store_is_made_again(void **state)
{
	(void)state;
	begin(0, MISSING);
	block();
	assert_int_equal(copy_value(context, base, 7, 0), 0);
	finish_store();
}

/* Made again too early it reports again, and waits still: one thread, one message. */
static void too_early_it_blocks_again(void **state)
{
	(void)state;
	begin(0, MISSING);
	block();
	block();
	assert_no_message(context);
	assert_int_equal(zeropage(context, base, 0), 0);
	finish_store();
}

static void a_signal_unblocks(void **state)
{
	(void)state;
	begin(0, MISSING);
	block();
	quire_thread_interrupt(soft_machine_core(fixture.machine), &guest, false);
	assert_false(quire_thread_asleep(&guest));
	block();
	assert_int_equal(zeropage(context, base, 0), 0);
	finish_store();
}

static void close_unblocks(void **state)
{
	(void)state;
	begin(0, MISSING);
	block();
	quire_userfault_close(context);
	context = NULL;
	finish_store();
}

static void the_kernels_access_is_in_progress(void **state)
{
	uint64_t value = 42;
	size_t done;

	(void)state;
	begin(0, MISSING);
	as_guest();
	assert_int_equal(quire_access_write(fixture.space, base, &value, 8, &done),
			 -QUIRE_EINPROGRESS);
	as_handler();
	assert_fault(next_message(context, NULL), base, WRITE_FLAG);
	/* It waits past a signal. */
	quire_thread_interrupt(soft_machine_core(fixture.machine), &guest, false);
	assert_true(quire_thread_asleep(&guest));
	assert_int_equal(zeropage(context, base, 0), 0);
	as_guest();
	assert_int_equal(quire_access_write(fixture.space, base, &value, 8, &done), 0);
	assert_int_equal(load(base), 42);
}

static void populate_is_in_progress_page_by_page(void **state)
{
	(void)state;
	begin(0, MISSING);
	for (unsigned page = 0; page < PAGES; page++) {
		as_guest();
		assert_int_equal(
			quire_madvise(fixture.space, base, PAGES * PAGE, QUIRE_MADV_POPULATE_WRITE),
			-QUIRE_EINPROGRESS);
		as_handler();
		assert_fault(next_message(context, NULL), base + page * PAGE, WRITE_FLAG);
		assert_int_equal(copy_value(context, base + page * PAGE, page, 0), 0);
	}
	as_guest();
	assert_int_equal(
		quire_madvise(fixture.space, base, PAGES * PAGE, QUIRE_MADV_POPULATE_WRITE), 0);
}

/* ---- calls that go on where they stopped -------------------------------------------------------
 */

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

/* What waits for a page when its thread ends does not wait any more; its next call is a new one. */
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
	assert_int_equal(as_the_guest(lock_all), -QUIRE_ENOMEM);

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

/* The source is registered with a context of its own, and its first page is missing. */
static void copy_waits_for_its_source(void **state)
{
	uint64_t source = map(fixture.space, 2, RW);
	struct quire_userfault *other = open_context(fixture.space, 0);
	struct quire_uffdio_copy copy = {.dst = base, .src = source, .len = 2 * PAGE, .copy = 99};

	(void)state;
	begin(0, MISSING);
	assert_int_equal(register_pages(other, source, 2, MISSING), 0);
	as_guest();
	assert_int_equal(quire_userfault_ioctl(context, QUIRE_UFFDIO_COPY, &copy, fixture.space),
			 -QUIRE_EINPROGRESS);
	assert_int_equal(copy.copy, 99);
	as_handler();
	assert_fault(next_message(other, NULL), source, 0);
	assert_int_equal(copy_value(other, source, 7, 0), 0);
	as_guest();
	/* Now the first page is done, and the second one missing. */
	assert_int_equal(quire_userfault_ioctl(context, QUIRE_UFFDIO_COPY, &copy, fixture.space),
			 -QUIRE_EAGAIN);
	assert_int_equal(copy.copy, PAGE);
	as_handler();
	assert_fault(next_message(other, NULL), source + PAGE, 0);
	assert_int_equal(zeropage(other, source + PAGE, 0), 0);
	assert_int_equal(load(base), 7);
	quire_userfault_close(other);
}

static void user_mode_only_refuses_the_kernel(void **state)
{
	uint64_t value;
	size_t done;

	(void)state;
	context = open_with(fixture.space, 0,
			    (struct quire_userfault_config){.user_mode_only = true});
	assert_int_equal(register_pages(context, base, PAGES, MISSING), 0);
	as_guest();
	assert_int_equal(quire_access_read(fixture.space, base, &value, 8, &done), -QUIRE_EFAULT);
	assert_no_message(context);
	block();
	assert_int_equal(zeropage(context, base, 0), 0);
	finish_store();
}

static void sigbus_instead_of_a_message(void **state)
{
	struct soft_result result;
	uint64_t value;
	size_t done;

	(void)state;
	begin(QUIRE_UFFD_FEATURE_SIGBUS, MISSING);
	as_guest();
	result = soft_store64(cpu, base, 42);
	assert_int_equal(result.outcome, QUIRE_BUS);
	assert_int_equal(result.code, QUIRE_BUS_ADRERR);
	assert_int_equal(quire_access_read(fixture.space, base, &value, 8, &done), -QUIRE_EFAULT);
	assert_no_message(context);
	assert_int_equal(zeropage(context, base, 0), 0);
	finish_store();
}

/* ---- events ------------------------------------------------------------------------------------
 */

/* The calls that are told: their result, and what they give. */
static struct quire_space *child;

static int call_fork(void)
{
	return quire_fork(fixture.space, &child);
}

static int call_remove(void)
{
	return quire_madvise(fixture.space, base, PAGES * PAGE, QUIRE_MADV_DONTNEED);
}

static int call_unmap(void)
{
	return quire_munmap(fixture.space, base, PAGE);
}

static int call_map_over(void)
{
	return quire_mmap(fixture.space, base, PAGE, RW,
			  QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, &given);
}

static int call_remap(void)
{
	return quire_mremap(fixture.space, base, PAGE, PAGE,
			    QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, base - 64 * PAGE, &given);
}

static const struct {
	int (*call)(void);
	uint8_t event;
} calls[] = {
	{call_fork, QUIRE_UFFD_EVENT_FORK},   {call_remove, QUIRE_UFFD_EVENT_REMOVE},
	{call_unmap, QUIRE_UFFD_EVENT_UNMAP}, {call_map_over, QUIRE_UFFD_EVENT_UNMAP},
	{call_remap, QUIRE_UFFD_EVENT_REMAP},
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

static void begin_call(unsigned number)
{
	child = NULL;
	given = 0;
	begin(EVENTS, MISSING | WP);
	as_guest();
	assert_int_equal(calls[number].call(), -QUIRE_EINPROGRESS);
	as_handler();
	assert_true(quire_thread_asleep(&guest));
	assert_int_equal(zeropage(context, base + PAGE, 0), -QUIRE_EAGAIN);
}

static void assert_result(unsigned number)
{
	if (calls[number].call == call_map_over)
		assert_int_equal(given, base);
	if (calls[number].call == call_remap)
		assert_int_equal(given, base - 64 * PAGE);
	assert_int_equal(child != NULL, calls[number].call == call_fork);
}

/* All that was done for the call goes, and the range is as in the beginning. */
static void end_call(void)
{
	uint64_t address;

	as_handler();
	assert_sound(fixture.machine);
	if (context)
		quire_userfault_close(context);
	context = NULL;
	if (child)
		quire_space_destroy(child);
	quire_munmap(fixture.space, base - 64 * PAGE, PAGE);
	assert_int_equal(quire_mmap(fixture.space, base, PAGES * PAGE, RW,
				    QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED,
				    &address),
			 0);
	assert_sound(fixture.machine);
}

/* Makes the call again and reads what it tells until it is over; the number of events read. */
static unsigned finish_call(unsigned number)
{
	unsigned events = 0;
	int error = -QUIRE_EINPROGRESS;

	while (error == -QUIRE_EINPROGRESS) {
		struct quire_uffd_msg message = next_message(context, NULL);

		assert_true(events++ || message.event == calls[number].event);
		assert_false(quire_thread_asleep(&guest));
		as_guest();
		error = calls[number].call();
		as_handler();
	}
	assert_int_equal(error, 0);
	return events;
}

static void a_call_is_finished_when_its_events_are_read(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CALLS; i++) {
		begin_call(i);
		assert_true(finish_call(i) > 0);
		assert_result(i);
		assert_no_message(context);
		assert_int_equal(zeropage(context, base + PAGE, 0), 0);
		end_call();
	}
}

/* Nobody will read what is left, and the call finishes. */
static void closing_finishes_a_call(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CALLS; i++) {
		begin_call(i);
		quire_userfault_close(context);
		context = NULL;
		assert_false(quire_thread_asleep(&guest));
		as_guest();
		assert_int_equal(calls[i].call(), 0);
		assert_result(i);
		end_call();
	}
}

/*
 * A signal does not end the wait, the end of the thread does; the host takes the call to its end.
 */
static void a_thread_ends_in_a_call(void **state)
{
	struct quire_machine *core = soft_machine_core(fixture.machine);

	(void)state;
	for (unsigned i = 0; i < CALLS; i++) {
		begin_call(i);
		quire_thread_interrupt(core, &guest, false);
		assert_true(quire_thread_asleep(&guest));
		quire_thread_interrupt(core, &guest, true);
		assert_false(quire_thread_asleep(&guest));
		as_guest();
		assert_int_equal(calls[i].call(), 0);
		as_handler();
		assert_no_message(context);
		assert_int_equal(zeropage(context, base + PAGE, 0), 0);
		end_call();
		guest = (struct quire_thread){.id = 1, .nowait = true};
	}
}

/*
 * Its VMA is split while the event waits to be read: what is left of it is removed then, and the
 * rest told again.
 */
static void remove_goes_on_after_a_split(void **state)
{
	const uint64_t split = base + 2 * PAGE, end = base + PAGES * PAGE;
	struct quire_uffd_msg message;

	(void)state;
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(store(base + i * PAGE, 42), QUIRE_DONE);
	begin(EVENTS, MISSING);
	as_guest();
	assert_int_equal(call_remove(), -QUIRE_EINPROGRESS);
	as_handler();
	assert_int_equal(quire_mprotect(fixture.space, base, split - base, R), 0);
	message = next_message(context, NULL);
	assert_int_equal(message.event, QUIRE_UFFD_EVENT_REMOVE);
	assert_int_equal(message.arg.remove.end, end);
	as_guest();
	assert_int_equal(call_remove(), -QUIRE_EINPROGRESS);
	as_handler();
	message = next_message(context, NULL);
	assert_int_equal(message.event, QUIRE_UFFD_EVENT_REMOVE);
	assert_int_equal(message.arg.remove.start, split);
	assert_int_equal(message.arg.remove.end, end);
	as_guest();
	assert_int_equal(call_remove(), 0);
	for (uint64_t page = base; page < end; page += PAGE)
		assert_int_equal(entry_at(fixture.space, page).kind, QUIRE_ENTRY_ABSENT);
}

/* The child's context goes with the child's space, and then by itself. */
static void an_unheard_fork_leaves_the_child_alone(void **state)
{
	(void)state;
	assert_int_equal(store(base, 42), QUIRE_DONE);
	begin_call(0);
	quire_userfault_close(context);
	context = NULL;
	as_guest();
	assert_int_equal(call_fork(), 0);
	soft_cpu_enter(cpu, child);
	assert_int_equal(load(base), 42);
	assert_int_equal(store(base + PAGE, 43), QUIRE_DONE);
	soft_cpu_enter(cpu, fixture.space);
	end_call();
}

/* ---- the space goes first ----------------------------------------------------------------------
 */

static void a_context_outlives_its_space(void **state)
{
	struct quire_space *space = new_space(fixture.machine);
	uint64_t address = map(space, PAGES, RW);
	struct quire_userfault *negotiated = open_context(space, 0), *fresh;
	struct quire_userfault_config config = {0};

	(void)state;
	assert_int_equal(quire_userfault_open(space, &config, &fresh), 0);
	assert_int_equal(register_pages(negotiated, address, PAGES, MISSING | WP), 0);
	assert_int_equal(writeprotect(negotiated, address, PAGES, PROTECT), 0);
	quire_space_destroy(space);
	assert_int_equal(copy_value(negotiated, address, 1, 0), -QUIRE_ESRCH);
	assert_int_equal(zeropage(negotiated, address, 0), -QUIRE_ESRCH);
	assert_int_equal(poison(negotiated, address), -QUIRE_ESRCH);
	assert_int_equal(writeprotect(negotiated, address, 1, PROTECT), -QUIRE_ESRCH);
	assert_int_equal(register_pages(negotiated, address, 1, MISSING), -QUIRE_ENOMEM);
	assert_int_equal(unregister_pages(negotiated, address, 1), -QUIRE_ENOMEM);
	assert_int_equal(wake_pages(negotiated, address, 1), 0);
	assert_no_message(negotiated);
	assert_int_equal(quire_userfault_poll(fresh), -QUIRE_EINVAL);
	quire_userfault_close(negotiated);
	quire_userfault_close(fresh);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_blocked_store_is_made_again),
		TEST(too_early_it_blocks_again),
		TEST(a_signal_unblocks),
		TEST(close_unblocks),
		TEST(the_kernels_access_is_in_progress),
		TEST(populate_is_in_progress_page_by_page),
		TEST(a_call_goes_on_where_it_stopped),
		TEST(a_transfer_counts_from_its_beginning),
		TEST(mlock_locks_once),
		TEST(mmap_waits_for_what_it_populates),
		TEST(a_thread_ends_half_way),
		TEST(mremap_populates_before_it_tells),
		TEST(copy_waits_for_its_source),
		TEST(user_mode_only_refuses_the_kernel),
		TEST(sigbus_instead_of_a_message),
		TEST(a_call_is_finished_when_its_events_are_read),
		TEST(closing_finishes_a_call),
		TEST(a_thread_ends_in_a_call),
		TEST(remove_goes_on_after_a_split),
		TEST(an_unheard_fork_leaves_the_child_alone),
		TEST(a_context_outlives_its_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
