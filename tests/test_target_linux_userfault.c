/* SPDX-License-Identifier: MIT */
/*
 * The linux target: userfaultfd, and threads that sleep because of it.  What the kernel makes of it
 * is what the scenarios check; this is that it is told as it was.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "linux_fixture.h"

#define MISSING UFFDIO_REGISTER_MODE_MISSING
#define WP	UFFDIO_REGISTER_MODE_WP

static struct target_message read_message(struct userfault *userfault)
{
	struct target_message message;
	size_t got;

	assert_int_equal(ops->userfault_read(userfault, &message, 1, &got), 0);
	assert_int_equal(got, 1);
	return message;
}

static void assert_no_message(struct userfault *userfault)
{
	struct target_message message;
	size_t got;

	assert_int_equal(ops->userfault_read(userfault, &message, 1, &got), EAGAIN);
}

static void start(struct thread *on, struct call *call)
{
	ops->call(on, call);
	assert_int_equal(call->status, CALL_BLOCKED);
}

static void finish(struct thread *on, struct call *call)
{
	ops->result(on, call);
	assert_done(*call);
}

static void faults_sleep(void **state)
{
	struct userfault *userfault = open_userfault(UFFD_USER_MODE_ONLY, 0);
	struct thread *sleeper = ops->thread(process);
	uint64_t a = map(3, RW, PRIVATE);
	unsigned char pages[3];
	char data[2 * PAGE_SIZE];
	struct call call;

	(void)state;
	register_range(userfault, a, 3, MISSING);
	memset(data, 'x', sizeof(data));
	call = data_call(CALL_WRITE, a + 7, data, PAGE);
	start(sleeper, &call);
	ops->result(sleeper, &call);
	assert_int_equal(call.status, CALL_BLOCKED);
	assert_target_fails("can't", run(sleeper, range_call(CALL_TOUCH_READ, a, 1)));
	/* Observed while it sleeps. */
	assert_int_equal(ops->mincore(process, a, 3 * PAGE, pages), 0);
	assert_int_equal(pages[0], 0);
	assert_int_equal(read_message(userfault).message.arg.pagefault.address, a);
	/* It goes on to the next page, and sleeps there. */
	assert_int_equal(zeropage(userfault, a), 0);
	ops->result(sleeper, &call);
	assert_int_equal(call.status, CALL_BLOCKED);
	assert_int_equal(read_message(userfault).message.arg.pagefault.address, a + PAGE);
	assert_int_equal(zeropage(userfault, a + PAGE), 0);
	finish(sleeper, &call);
	assert_int_equal(call.done, PAGE);
	/* An instruction fetch sleeps as well. */
	assert_done(run(thread, mprotect_call(a + 2 * PAGE, PAGE, RWX)));
	call = range_call(CALL_TOUCH_EXECUTE, a + 2 * PAGE, 1);
	start(sleeper, &call);
	assert_int_equal(zeropage(userfault, a + 2 * PAGE), 0);
	finish(sleeper, &call);
}

/*
 * The parent's sleepers are not in the child, whose new threads have their stacks: what those were
 * in the middle of must not come back with the first signal.
 */
static void a_fork_forgets_what_sleepers_do(void **state)
{
	struct userfault *userfault = open_userfault(UFFD_USER_MODE_ONLY, 0);
	struct call asleep[4];
	struct process *child;
	uint64_t a = map(4, RWX, PRIVATE);

	(void)state;
	register_range(userfault, a, 4, MISSING);
	for (unsigned i = 0; i < 4; i++) {
		asleep[i] = range_call(CALL_TOUCH_EXECUTE, a + i * PAGE, 1);
		start(ops->thread(process), &asleep[i]);
	}
	child = fork_on(thread);
	for (unsigned i = 0; i < 4; i++) {
		char byte;

		assert_signal(CALL_SEGV, SEGV_MAPERR,
			      run(ops->thread(child), data_call(CALL_READ, a - PAGE, &byte, 1)));
	}
}

static void kernel_accesses_and_events_sleep(void **state)
{
	struct userfault *userfault = open_userfault(0, EVENTS);
	struct thread *sleeper = ops->thread(process);
	uint64_t a = map(4, RW, PRIVATE);
	char data[PAGE_SIZE];
	struct call call[] = {
		data_call(CALL_SYSCALL_READ, a, data, PAGE),
		range_call(CALL_MLOCK, a + 3 * PAGE, PAGE),
		madvise_call(a, PAGE, MADV_DONTNEED),
		{.kind = CALL_FORK},
		range_call(CALL_MUNMAP, a, PAGE),
		{.kind = CALL_MREMAP,
		 .address = a + PAGE,
		 .length = PAGE,
		 .new_length = 2 * PAGE,
		 .flags = MREMAP_MAYMOVE},
	};

	(void)state;
	register_range(userfault, a, 4, MISSING);
	for (unsigned i = 0; i < sizeof(call) / sizeof(call[0]); i++) {
		start(sleeper, &call[i]);
		while (call[i].status == CALL_BLOCKED) { /* mremap twice: remap, unmap */
			struct uffd_msg message = read_message(userfault).message;

			if (message.event == UFFD_EVENT_PAGEFAULT)
				zeropage(userfault, message.arg.pagefault.address);
			ops->result(sleeper, &call[i]);
		}
		assert_done(call[i]);
	}
	assert_done(run(ops->first_thread(call[3].child), range_call(CALL_MUNLOCK, 0, 0)));
}

/* What an operation wakes has faulted again when it returns. */
static void what_comes_of_waking_can_be_read_at_once(void **state)
{
	struct userfault *userfault = open_userfault(0, EVENTS);
	struct thread *sleeper[8];
	struct call call[8];
	uint64_t a = map(8, RW, PRIVATE), b;

	(void)state;
	register_range(userfault, a, 8, MISSING);
	for (unsigned i = 0; i < 8; i++) {
		sleeper[i] = ops->thread(process);
		call[i] = range_call(CALL_TOUCH_WRITE, a + i * PAGE, 1);
		start(sleeper[i], &call[i]);
	}
	for (unsigned round = 0; round < 50; round++) {
		struct uffdio_range all = {a, 8 * PAGE};

		for (unsigned i = 0; i < 8; i++)
			read_message(userfault);
		assert_no_message(userfault);
		assert_int_equal(ops->userfault_ioctl(userfault, UFFDIO_WAKE, &all), 0);
	}
	assert_int_equal(ops->signal(sleeper[3]), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(zeropage(userfault, a + i * PAGE), 0);
	assert_no_message(userfault);
	for (unsigned i = 0; i < 8; i++)
		finish(sleeper[i], &call[i]);
	/* Reading one event lets the next come. */
	b = map(1, PROT_READ, PRIVATE);
	register_range(userfault, b, 1, MISSING);
	call[0] = madvise_call(b, 9 * PAGE, MADV_DONTNEED);
	start(sleeper[0], &call[0]);
	assert_int_equal(read_message(userfault).message.arg.remove.end, a);
	assert_int_equal(read_message(userfault).message.arg.remove.start, a);
	finish(sleeper[0], &call[0]);
}

static void a_signal_lets_a_thread_fault_again(void **state)
{
	struct userfault *userfault = open_userfault(0, UFFD_FEATURE_THREAD_ID);
	struct thread *sleeper = ops->thread(process);
	uint64_t a = map(1, RW, PRIVATE);
	struct call call = range_call(CALL_TOUCH_READ, a, 1);

	(void)state;
	register_range(userfault, a, 1, MISSING);
	start(sleeper, &call);
	for (unsigned i = 0; i < 20; i++) {
		assert_ptr_equal(read_message(userfault).thread, sleeper);
		assert_no_message(userfault);
		assert_int_equal(ops->signal(sleeper), 0);
	}
	assert_int_equal(zeropage(userfault, a), 0);
	finish(sleeper, &call);
}

static struct call copy_call(struct userfault *userfault, uint64_t to, uint64_t from)
{
	return (struct call){.kind = CALL_COPY,
			     .userfault = userfault,
			     .copy = {.dst = to, .src = from, .len = PAGE}};
}

static void copies_from_own_memory_can_sleep(void **state)
{
	struct userfault *userfault = open_userfault(0, EVENTS);
	struct thread *copier = ops->thread(process);
	uint64_t a = map(2, RW, PRIVATE), source = map(1, RW, PRIVATE);
	struct call call = copy_call(userfault, a, source), fork = {.kind = CALL_FORK};
	struct userfault *of_child;

	(void)state;
	register_range(userfault, a, 2, MISSING);
	put(thread, source, "copied");
	ops->call(copier, &call);
	assert_done(call);
	assert_int_equal(call.copy.copy, PAGE);
	assert_text(thread, a, "copied");
	assert_error(EEXIST, run(copier, call));
	/* The source is missing, too.  Whoever is forked now does not keep the file open. */
	register_range(userfault, source, 1, MISSING);
	assert_done(run(thread, range_call(CALL_MUNLOCK, 0, 0)));
	call = madvise_call(source, PAGE, MADV_DONTNEED);
	start(copier, &call);
	read_message(userfault);
	finish(copier, &call);
	call = copy_call(userfault, a + PAGE, source);
	start(copier, &call);
	start(thread, &fork);
	assert_int_equal(read_message(userfault).message.arg.pagefault.address, source);
	of_child = read_message(userfault).child;
	finish(thread, &fork);
	assert_int_equal(zeropage(userfault, source), 0);
	finish(copier, &call);
	assert_int_equal(call.copy.copy, PAGE);
	/* The child's own serves the child. */
	call = range_call(CALL_TOUCH_READ, a + PAGE, 1);
	start(ops->first_thread(fork.child), &call);
	ops->userfault_close(userfault);
	assert_int_equal(read_message(of_child).message.arg.pagefault.address, a + PAGE);
	assert_int_equal(zeropage(of_child, a + PAGE), 0);
	finish(ops->first_thread(fork.child), &call);
}

static void closing_wakes(void **state)
{
	struct userfault *userfault = open_userfault(0, EVENTS);
	struct thread *faulting = ops->thread(process), *forking = ops->thread(process);
	uint64_t a = map(1, RW, PRIVATE);
	struct call call = range_call(CALL_TOUCH_READ, a, 1), fork = {.kind = CALL_FORK};

	(void)state;
	register_range(userfault, a, 1, MISSING);
	start(faulting, &call);
	start(forking, &fork);
	ops->userfault_close(userfault);
	finish(faulting, &call);
	finish(forking, &fork);
	assert_done(run(ops->first_thread(fork.child), range_call(CALL_TOUCH_WRITE, a, 1)));
}

static void it_outlives_its_process(void **state)
{
	struct userfault *userfault = open_userfault(0, EVENTS);
	uint64_t a = map(2, RW, PRIVATE);
	struct thread *faulting = ops->thread(process), *removing = ops->thread(process);
	struct call fault = range_call(CALL_TOUCH_READ, a, 1);
	struct call remove = madvise_call(a + PAGE, PAGE, MADV_DONTNEED);
	int events;

	(void)state;
	register_range(userfault, a, 2, MISSING);
	start(faulting, &fault);
	start(removing, &remove);
	ops->exit(process);
	assert_int_equal(zeropage(userfault, a), ESRCH);
	assert_no_message(userfault);
	assert_int_equal(ops->userfault_poll(userfault, &events), 0);
	assert_int_equal(ops->signal(faulting), ESRCH);
	assert_null(ops->userfaultfd(process, 0));
	assert_int_equal(errno, ESRCH);
	ops->userfault_close(userfault);
}

static void bad_requests_reach_the_kernel(void **state)
{
	struct userfault *userfault = ops->userfaultfd(process, UFFD_USER_MODE_ONLY);
	struct uffdio_api api = {.api = 1};
	struct target_message message;
	size_t got;
	int events;

	(void)state;
	assert_null(ops->userfaultfd(process, UFFD_USER_MODE_ONLY | 2));
	assert_int_equal(errno, EINVAL);
	if (!userfault)
		skip();
	assert_int_equal(ops->userfault_ioctl(userfault, UFFDIO_API, &api), EINVAL);
	assert_int_equal(ops->userfault_read(userfault, &message, 1, &got), EINVAL);
	api.api = UFFD_API;
	assert_int_equal(ops->userfault_ioctl(userfault, UFFDIO_API, &api), 0);
	/* Without O_NONBLOCK, a read does not sleep all the same. */
	assert_no_message(userfault);
	assert_int_equal(ops->userfault_poll(userfault, &events), 0);
	assert_int_equal(events, POLLERR);
}

static void scans_show_pages(void **state)
{
	uint64_t a = map(3, RW, PRIVATE);
	struct page_region regions[2];
	struct pm_scan_arg scan = {.size = sizeof(scan),
				   .start = a,
				   .end = a + 3 * PAGE,
				   .vec = (uint64_t)regions,
				   .vec_len = 2,
				   .category_mask = PAGE_IS_PRESENT,
				   .return_mask = PAGE_IS_PRESENT | PAGE_IS_WRITTEN};
	size_t count;

	(void)state;
	assert_done(run(thread, range_call(CALL_TOUCH_WRITE, a + PAGE, 1)));
	assert_int_equal(ops->scan(process, &scan, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(regions[0].start, a + PAGE);
	assert_int_equal(regions[0].end, a + 2 * PAGE);
	assert_int_equal(regions[0].categories, PAGE_IS_PRESENT | PAGE_IS_WRITTEN);
	assert_int_equal(scan.walk_end, a + 3 * PAGE);
	scan.size--;
	assert_int_equal(ops->scan(process, &scan, &count), EINVAL);
	ops->exit(process);
	assert_int_equal(ops->scan(process, &scan, &count), ESRCH);
}

static void a_process_ends_in_the_middle_of_a_fork(void **state)
{
	struct userfault *userfault = open_userfault(0, EVENTS);
	struct thread *sleeper = ops->thread(process);
	uint64_t a = map(1, RW, PRIVATE);
	struct call call = {.kind = CALL_FORK};

	(void)state;
	register_range(userfault, a, 1, MISSING);
	start(sleeper, &call);
	/* Now it goes on, and the child may come to be, or not. */
	read_message(userfault);
	ops->exit(process);
	assert_close_leaves_nothing(state);
}

static void close_leaves_no_file(void **state)
{
	uint64_t a = map(1, RW, PRIVATE);
	struct call call = {.kind = CALL_FORK};
	int before = dup(0), after;

	(void)state;
	close(before);
	register_range(open_userfault(0, EVENTS), a, 1, MISSING);
	start(ops->thread(process), &call);
	assert_close_leaves_nothing(state);
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		target_test(faults_sleep),
		target_test(a_fork_forgets_what_sleepers_do),
		target_test(kernel_accesses_and_events_sleep),
		target_test(what_comes_of_waking_can_be_read_at_once),
		target_test(a_signal_lets_a_thread_fault_again),
		target_test(copies_from_own_memory_can_sleep),
		target_test(closing_wakes),
		target_test(it_outlives_its_process),
		target_test(bad_requests_reach_the_kernel),
		target_test(scans_show_pages),
		target_test(a_process_ends_in_the_middle_of_a_fork),
		target_test(close_leaves_no_file),
	};

	linux_agent_main_if_asked(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
