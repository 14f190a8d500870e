/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd with one host thread, which plays guest and handler in turn: what would sleep answers
 * at once, and is done by making it again
 * (BEHAVIOUR B3, B5, B6; <quire/thread.h>).  And what becomes of contexts whose space has gone, or
 * that may not report.
 */
#include "nowait_fixture.h"

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
	/* The first page is done, and the second one missing. */
	assert_int_equal(quire_userfault_ioctl(context, QUIRE_UFFDIO_COPY, &copy, fixture.space),
			 -QUIRE_EINPROGRESS);
	as_handler();
	assert_fault(next_message(other, NULL), source + PAGE, 0);
	assert_int_equal(zeropage(other, source + PAGE, 0), 0);
	as_guest();
	assert_int_equal(quire_userfault_ioctl(context, QUIRE_UFFDIO_COPY, &copy, fixture.space),
			 0);
	assert_int_equal(copy.copy, 2 * PAGE);
	as_handler();
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
static uint64_t given;

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_blocked_store_is_made_again),
		TEST(too_early_it_blocks_again),
		TEST(a_signal_unblocks),
		TEST(close_unblocks),
		TEST(the_kernels_access_is_in_progress),
		TEST(populate_is_in_progress_page_by_page),
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
