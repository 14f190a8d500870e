/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd with threads that really sleep: who falls asleep over what, and what wakes whom
 * (BEHAVIOUR B3, B5, B6, C2).
 *
 * The test's own thread is the handler; guests (userfault_fixture.h) fault, or make calls that are
 * told to the context.
 */
#include "userfault_fixture.h"

#define PAGES 8
#define EVENTS                                                                                     \
	(QUIRE_UFFD_FEATURE_EVENT_FORK | QUIRE_UFFD_FEATURE_EVENT_REMAP |                          \
	 QUIRE_UFFD_FEATURE_EVENT_REMOVE | QUIRE_UFFD_FEATURE_EVENT_UNMAP)
#define WRITE_FLAG    QUIRE_UFFD_PAGEFAULT_FLAG_WRITE
#define WP_WRITE_FLAG (QUIRE_UFFD_PAGEFAULT_FLAG_WRITE | QUIRE_UFFD_PAGEFAULT_FLAG_WP)

#define HANDLER_CPU 2

static struct soft_fixture fixture;
static struct quire_userfault *context; /* registered with the pages; NULL: closed already */
static uint64_t base;			/* of the pages */

static void begin(uint64_t features, uint64_t mode)
{
	context = open_context(fixture.space, features);
	assert_int_equal(register_pages(context, base, PAGES, mode), 0);
}

static int set_up(void **state)
{
	(void)state;
	fixture = soft_fixture_open(&(struct soft_config){.memory = 16 * MIB, .cpus = 3});
	base = map(fixture.space, PAGES, RW);
	soft_cpu_enter(soft_machine_cpu(fixture.machine, HANDLER_CPU), fixture.space);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (context)
		quire_userfault_close(context);
	context = NULL;
	soft_fixture_close(&fixture);
	return 0;
}

static struct soft_cpu *handler_cpu(void)
{
	return soft_machine_cpu(fixture.machine, HANDLER_CPU);
}

static uint64_t load(uint64_t address)
{
	uint64_t value;

	assert_int_equal(soft_load64(handler_cpu(), address, &value).outcome, QUIRE_DONE);
	return value;
}

static void store(uint64_t address, uint64_t value)
{
	assert_int_equal(soft_store64(handler_cpu(), address, value).outcome, QUIRE_DONE);
}

static struct guest storing(unsigned cpu, uint64_t address, uint64_t value)
{
	return (struct guest){.act = act_store,
			      .fixture = &fixture,
			      .cpu = cpu,
			      .address = address,
			      .value = value};
}

static struct guest acting(void (*act)(struct guest *))
{
	return (struct guest){.act = act, .fixture = &fixture, .address = base};
}

/* Lets it run until its fault has been read. */
static void start_and_read(struct guest *guest, uint64_t flags)
{
	start_guest(guest);
	assert_fault(next_message(context, NULL), guest->address & ~(PAGE - 1), flags);
	assert_sleeps(guest);
}

static void assert_stored(struct guest *guest)
{
	assert_finishes(guest);
	assert_int_equal(guest->result.outcome, QUIRE_DONE);
	assert_int_equal(load(guest->address), guest->value);
}

/* ---- missing pages -----------------------------------------------------------------------------
 */

static void a_store_sleeps_until_copy(void **state)
{
	struct guest guest = storing(0, base + PAGE + 8, 42);

	(void)state;
	begin(0, MISSING);
	start_and_read(&guest, WRITE_FLAG);
	assert_int_equal(copy_value(context, base + 2 * PAGE, 7, 0), 0); /* another page */
	assert_sleeps(&guest);
	assert_int_equal(copy_value(context, base + PAGE, 7, 0), 0);
	assert_stored(&guest);
	assert_int_equal(load(base + PAGE), 7);
}

static void a_load_sleeps_until_zeropage(void **state)
{
	struct guest guest = acting(act_load);

	(void)state;
	begin(0, MISSING);
	guest.value = 1;
	start_and_read(&guest, 0);
	assert_int_equal(zeropage(context, base, 0), 0);
	assert_finishes(&guest);
	assert_int_equal(guest.value, 0);
}

static void dontwake_leaves_it_to_wake(void **state)
{
	struct guest guest = storing(0, base, 42);

	(void)state;
	begin(0, MISSING);
	start_and_read(&guest, WRITE_FLAG);
	assert_int_equal(copy_value(context, base, 7, DONTWAKE), 0);
	assert_sleeps(&guest);
	assert_int_equal(wake_pages(context, base, 1), 0);
	assert_stored(&guest);
}

/* Woken with nothing done, it faults again. */
static void wake_alone_makes_a_second_message(void **state)
{
	struct guest guest = storing(0, base, 42);

	(void)state;
	begin(0, MISSING);
	start_and_read(&guest, WRITE_FLAG);
	assert_int_equal(wake_pages(context, base, 1), 0);
	assert_fault(next_message(context, NULL), base, WRITE_FLAG);
	assert_sleeps(&guest);
	assert_int_equal(zeropage(context, base, 0), 0);
	assert_stored(&guest);
}

static void two_threads_on_one_page_both_report_and_both_wake(void **state)
{
	struct guest guest[] = {storing(0, base, 42), storing(1, base + 8, 43)};

	(void)state;
	begin(QUIRE_UFFD_FEATURE_THREAD_ID, MISSING);
	for (unsigned i = 0; i < 2; i++) {
		guest[i].thread.id = 100 + i;
		start_guest(&guest[i]);
	}
	for (unsigned i = 0, seen = 0; i < 2; i++) {
		struct quire_uffd_msg message = next_message(context, NULL);

		assert_fault(message, base, WRITE_FLAG);
		seen += message.arg.pagefault.ptid;
		assert_int_equal(seen, i ? 201 : message.arg.pagefault.ptid);
	}
	assert_sleeps(&guest[0]);
	assert_sleeps(&guest[1]);
	assert_no_message(context);
	assert_int_equal(copy_value(context, base, 7, 0), 0);
	assert_stored(&guest[0]);
	assert_stored(&guest[1]);
}

/* What is resolved before it was read is not read any more. */
static void a_message_goes_with_its_sleeper(void **state)
{
	struct guest guest = storing(0, base, 42);
	double end = seconds() + FOREVER;

	(void)state;
	begin(0, MISSING);
	start_guest(&guest);
	while (!quire_userfault_poll(context) && seconds() < end)
		sched_yield();
	assert_int_equal(zeropage(context, base, 0), 0);
	assert_stored(&guest);
	assert_no_message(context);
}

static void unregister_wakes(void **state)
{
	struct guest guest = storing(0, base, 42);

	(void)state;
	begin(0, MISSING);
	start_and_read(&guest, WRITE_FLAG);
	assert_int_equal(unregister_pages(context, base, PAGES), 0);
	assert_stored(&guest);
}

/* One whose message was read, and one whose was not. */
static void close_wakes_all(void **state)
{
	struct guest guest[] = {storing(0, base, 42), storing(1, base + PAGE, 43)};

	(void)state;
	begin(0, MISSING);
	start_and_read(&guest[0], WRITE_FLAG);
	start_guest(&guest[1]);
	while (!quire_userfault_poll(context))
		sched_yield();
	quire_userfault_close(context);
	context = NULL;
	assert_stored(&guest[0]);
	assert_stored(&guest[1]);
}

static void act_kernel_write(struct guest *guest)
{
	size_t done;

	guest->error =
		quire_access_write(guest->fixture->space, guest->address, &guest->value, 8, &done);
}

static void the_kernels_own_access_sleeps_too(void **state)
{
	struct guest guest = acting(act_kernel_write);

	(void)state;
	begin(0, MISSING);
	guest.value = 42;
	start_and_read(&guest, WRITE_FLAG);
	assert_int_equal(zeropage(context, base, 0), 0);
	assert_finishes(&guest);
	assert_int_equal(guest.error, 0);
	assert_int_equal(load(base), 42);
}

/* ---- write protection --------------------------------------------------------------------------
 */

static void begin_protected(void)
{
	for (unsigned i = 0; i < PAGES; i++)
		store(base + i * PAGE, 1 + i);
	begin(QUIRE_UFFD_FEATURE_PAGEFAULT_FLAG_WP, WP);
	assert_int_equal(writeprotect(context, base, PAGES, PROTECT), 0);
}

static void a_store_sleeps_until_the_protection_goes(void **state)
{
	struct guest guest = storing(0, base + PAGE, 42);

	(void)state;
	begin_protected();
	start_and_read(&guest, WP_WRITE_FLAG);
	assert_int_equal(load(base + PAGE), 2);
	assert_int_equal(writeprotect(context, base + 2 * PAGE, 1, RELEASE), 0);
	assert_sleeps(&guest);
	assert_int_equal(writeprotect(context, base, PAGES, RELEASE), 0);
	assert_stored(&guest);
}

static void released_with_dontwake_it_sleeps_until_wake(void **state)
{
	struct guest guest = storing(0, base, 42);

	(void)state;
	begin_protected();
	start_and_read(&guest, WP_WRITE_FLAG);
	assert_int_equal(writeprotect(context, base, PAGES, RELEASE_DONTWAKE), 0);
	assert_false(entry_at(fixture.space, base).uffd_wp);
	assert_sleeps(&guest);
	assert_int_equal(wake_pages(context, base, PAGES), 0);
	assert_stored(&guest);
}

static void close_lets_the_store_land(void **state)
{
	struct guest guest = storing(0, base, 42);

	(void)state;
	begin_protected();
	start_and_read(&guest, WP_WRITE_FLAG);
	quire_userfault_close(context);
	context = NULL;
	assert_stored(&guest);
}

/* ---- events ------------------------------------------------------------------------------------
 */

static void act_fork(struct guest *guest)
{
	guest->error = quire_fork(guest->fixture->space, &guest->child);
}

static void act_remove(struct guest *guest)
{
	guest->error =
		quire_madvise(guest->fixture->space, guest->address, PAGE, QUIRE_MADV_DONTNEED);
}

static void act_unmap(struct guest *guest)
{
	guest->error = quire_munmap(guest->fixture->space, guest->address, PAGE);
}

static void act_remap(struct guest *guest)
{
	guest->error = quire_mremap(guest->fixture->space, guest->address, PAGE, PAGE,
				    QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED,
				    guest->address - 64 * PAGE, &guest->made);
}

/* Starts a call that is told, and waits until it sleeps. */
static void start_call(struct guest *guest)
{
	double end = seconds() + FOREVER;

	start_guest(guest);
	while (!quire_userfault_poll(context) && seconds() < end)
		sched_yield();
	assert_sleeps(guest);
}

/* Until the event is read nobody changes memory; registering goes on. */
static void assert_pending(void)
{
	assert_int_equal(copy_value(context, base + 7 * PAGE, 1, 0), -QUIRE_EAGAIN);
	assert_int_equal(zeropage(context, base + 7 * PAGE, 0), -QUIRE_EAGAIN);
	assert_int_equal(writeprotect(context, base + 7 * PAGE, 1, PROTECT), -QUIRE_EAGAIN);
	assert_int_equal(register_pages(context, base + 7 * PAGE, 1, MISSING | WP), 0);
}

static void assert_not_pending(void)
{
	assert_int_equal(zeropage(context, base + 7 * PAGE, 0), 0);
}

static void fork_sleeps_until_its_event_is_read(void **state)
{
	struct guest guest = acting(act_fork);
	struct quire_userfault *child;

	(void)state;
	begin(EVENTS, MISSING);
	start_call(&guest);
	assert_pending();
	assert_int_equal(next_message(context, &child).event, QUIRE_UFFD_EVENT_FORK);
	assert_non_null(child);
	assert_finishes(&guest);
	assert_int_equal(guest.error, 0);
	assert_not_pending();
	/* The child's context is the child's. */
	assert_int_equal(copy_value(child, base, 7, 0), 0);
	assert_int_equal(entry_at(guest.child, base).kind, QUIRE_ENTRY_LEAF);
	assert_int_equal(entry_at(fixture.space, base).kind, QUIRE_ENTRY_ABSENT);
	quire_userfault_close(child);
	quire_space_destroy(guest.child);
}

static void remove_is_told_before_the_pages_go(void **state)
{
	struct guest guest = acting(act_remove);
	struct quire_uffd_msg message;

	(void)state;
	store(base, 42);
	begin(EVENTS, MISSING);
	start_call(&guest);
	assert_pending();
	assert_int_equal(load(base), 42);
	message = next_message(context, NULL);
	assert_int_equal(message.event, QUIRE_UFFD_EVENT_REMOVE);
	assert_int_equal(message.arg.remove.start, base);
	assert_int_equal(message.arg.remove.end, base + PAGE);
	assert_finishes(&guest);
	assert_int_equal(guest.error, 0);
	assert_int_equal(entry_at(fixture.space, base).kind, QUIRE_ENTRY_ABSENT);
	assert_not_pending();
}

static void unmap_sleeps_until_its_event_is_read(void **state)
{
	struct guest guest = acting(act_unmap);
	struct quire_uffd_msg message;

	(void)state;
	begin(EVENTS, MISSING);
	start_call(&guest);
	assert_pending();
	message = next_message(context, NULL);
	assert_int_equal(message.event, QUIRE_UFFD_EVENT_UNMAP);
	assert_int_equal(message.arg.remove.start, base);
	assert_int_equal(message.arg.remove.end, base + PAGE);
	assert_finishes(&guest);
	assert_int_equal(guest.error, 0);
	assert_not_pending();
}

static void remap_sleeps_until_its_events_are_read(void **state)
{
	struct guest guest = acting(act_remap);
	struct quire_uffd_msg message;

	(void)state;
	store(base, 42);
	begin(EVENTS, MISSING);
	start_call(&guest);
	assert_pending();
	message = next_message(context, NULL);
	assert_int_equal(message.event, QUIRE_UFFD_EVENT_REMAP);
	assert_int_equal(message.arg.remap.from, base);
	assert_int_equal(message.arg.remap.to, base - 64 * PAGE);
	assert_int_equal(message.arg.remap.len, PAGE);
	while (!guest.finished)
		if (quire_userfault_poll(context) > 0)
			next_message(context, NULL);
	assert_finishes(&guest);
	assert_int_equal(guest.error, 0);
	assert_int_equal(load(guest.made), 42);
	assert_not_pending();
}

static void faults_are_read_before_older_events(void **state)
{
	struct guest call = acting(act_remove), guest = storing(1, base + PAGE, 42);

	(void)state;
	begin(EVENTS, MISSING);
	start_call(&call);
	start_guest(&guest);
	while (!quire_thread_asleep(&guest.thread))
		sched_yield();
	assert_fault(next_message(context, NULL), base + PAGE, WRITE_FLAG);
	assert_int_equal(next_message(context, NULL).event, QUIRE_UFFD_EVENT_REMOVE);
	assert_finishes(&call);
	assert_int_equal(zeropage(context, base + PAGE, 0), 0);
	assert_stored(&guest);
}

static void close_ends_an_unread_event(void **state)
{
	void (*const act[])(struct guest *) = {act_remove, act_remap, act_unmap, act_fork};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct guest guest = acting(act[i]);

		begin(EVENTS, MISSING | WP);
		start_call(&guest);
		quire_userfault_close(context);
		context = NULL;
		assert_finishes(&guest);
		assert_int_equal(guest.error, 0);
		if (act[i] == act_fork)
			quire_space_destroy(guest.child);
		if (act[i] == act_remap || act[i] == act_unmap) {
			quire_munmap(fixture.space, base - 64 * PAGE, PAGE);
			assert_int_equal(quire_mmap(fixture.space, base, PAGES * PAGE, RW,
						    QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS |
							    QUIRE_MAP_FIXED,
						    &base),
					 0);
		}
		assert_sound(fixture.machine);
	}
}

/* ---- signals -----------------------------------------------------------------------------------
 */

static void interrupt(struct guest *guest, bool fatal)
{
	quire_thread_interrupt(soft_machine_core(fixture.machine), &guest->thread, fatal);
}

/* The soft port makes the access again at once: it reports anew. */
static void a_signal_ends_the_sleep_over_an_access_of_its_own(void **state)
{
	struct guest guest = storing(0, base, 42);

	(void)state;
	begin(0, MISSING);
	start_and_read(&guest, WRITE_FLAG);
	interrupt(&guest, false);
	assert_fault(next_message(context, NULL), base, WRITE_FLAG);
	assert_sleeps(&guest);
	assert_int_equal(zeropage(context, base, 0), 0);
	assert_stored(&guest);
}

static void a_signal_waits_for_a_call(void **state)
{
	struct guest guest = acting(act_kernel_write);

	(void)state;
	begin(0, MISSING);
	start_and_read(&guest, WRITE_FLAG);
	interrupt(&guest, false);
	assert_sleeps(&guest);
	assert_int_equal(zeropage(context, base, 0), 0);
	assert_finishes(&guest);
}

static void a_fatal_signal_ends_the_call(void **state)
{
	struct guest guest = acting(act_kernel_write);

	(void)state;
	begin(0, MISSING);
	start_and_read(&guest, WRITE_FLAG);
	interrupt(&guest, true);
	assert_finishes(&guest);
	assert_int_equal(guest.error, -QUIRE_EFAULT);
	assert_no_message(context);
}

/*
 * What a dying thread does it does not tell: one signal ends the wait for all that was left to be
 * read.
 */
static void a_fatal_signal_ends_the_wait_for_all_events(void **state)
{
	struct guest guest = acting(act_remap);

	(void)state;
	begin(EVENTS, MISSING);
	start_call(&guest);
	interrupt(&guest, true);
	assert_finishes(&guest);
	assert_int_equal(guest.error, 0);
	assert_no_message(context);
	assert_not_pending();
}

static void a_fatal_signal_ends_the_wait_for_a_reader(void **state)
{
	struct guest guest = acting(act_fork);

	(void)state;
	begin(EVENTS, MISSING);
	start_call(&guest);
	interrupt(&guest, false);
	assert_sleeps(&guest);
	interrupt(&guest, true);
	assert_finishes(&guest);
	assert_int_equal(guest.error, 0);
	assert_no_message(context);
	assert_not_pending();
	quire_space_destroy(guest.child);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_store_sleeps_until_copy),
		TEST(a_load_sleeps_until_zeropage),
		TEST(dontwake_leaves_it_to_wake),
		TEST(wake_alone_makes_a_second_message),
		TEST(two_threads_on_one_page_both_report_and_both_wake),
		TEST(a_message_goes_with_its_sleeper),
		TEST(unregister_wakes),
		TEST(close_wakes_all),
		TEST(the_kernels_own_access_sleeps_too),
		TEST(a_store_sleeps_until_the_protection_goes),
		TEST(released_with_dontwake_it_sleeps_until_wake),
		TEST(close_lets_the_store_land),
		TEST(fork_sleeps_until_its_event_is_read),
		TEST(remove_is_told_before_the_pages_go),
		TEST(unmap_sleeps_until_its_event_is_read),
		TEST(remap_sleeps_until_its_events_are_read),
		TEST(faults_are_read_before_older_events),
		TEST(close_ends_an_unread_event),
		TEST(a_signal_ends_the_sleep_over_an_access_of_its_own),
		TEST(a_signal_waits_for_a_call),
		TEST(a_fatal_signal_ends_the_call),
		TEST(a_fatal_signal_ends_the_wait_for_a_reader),
		TEST(a_fatal_signal_ends_the_wait_for_all_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
