/* SPDX-License-Identifier: MIT */
/*
 * The linux target: processes and threads, how they start and end, and that nothing outlives a
 * controller.
 */
#define _GNU_SOURCE 1
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "linux_fixture.h"

/* Processes and threads */

static void threads_share_memory(void **state)
{
	uint64_t a = map(1, RW, PRIVATE);
	struct thread *other = ops->thread(process);

	(void)state;
	put(other, a, "from the other");
	assert_text(thread, a, "from the other");
	assert_true(other->slot->tid != thread->slot->tid);
}

static void fork_copies_memory(void **state)
{
	uint64_t a = map(1, RW, PRIVATE), b = map(1, RW, SHARED);
	struct process *child;
	struct thread *in_child;

	(void)state;
	put(thread, a, "before");
	child = fork_on(ops->thread(process));
	in_child = ops->first_thread(child);
	put(in_child, a, "child");
	put(in_child, b, "child");
	assert_text(thread, a, "before");
	assert_text(thread, b, "child");
	ops->exit(process);
	assert_text(in_child, a, "child");
	assert_non_null(ops->thread(child));
	assert_target_fails("can't", run(thread, range_call(CALL_TOUCH_READ, a, 1)));
}

static void deep_forks(void **state)
{
	uint64_t a = map(1, RW, PRIVATE);
	struct thread *deepest = thread;

	(void)state;
	put(thread, a, "top");
	for (int i = 0; i < 200; i++)
		deepest = ops->first_thread(fork_on(deepest));
	assert_text(deepest, a, "top");
}

static void many_processes_one_after_the_other(void **state)
{
	(void)state;
	for (unsigned i = 0; i < AGENT_SLOTS; i++)
		ops->exit(fork_on(thread));
}

static void threads_run_out(void **state)
{
	unsigned count = 0;

	(void)state;
	errno = 0;
	while (ops->thread(process))
		count++;
	assert_int_equal(errno, EAGAIN);
	assert_in_range(count, 200, AGENT_THREADS);
	assert_done(run(thread, range_call(CALL_MUNLOCK, 0, 0)));
}

static void death_of_an_agent_is_noticed(void **state)
{
	(void)state;
	kill(process->pid, SIGKILL);
	assert_target_fails("signal 9) in mmap(", map(1, RW, PRIVATE));
}

/* Life cycle */

/* Waits for all children to end.  We inherit those of a child that ends. */
static void await_no_children(void)
{
	for (unsigned i = 0; i < 30000; i++) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (waitpid(-1, NULL, WNOHANG) < 0)
			return;
		usleep(1000);
	}
	fail_msg("processes are left");
}

static void close_leaves_nothing(void **state)
{
	struct process *child = fork_on(ops->thread(process));

	fork_on(ops->thread(child));
	ops->exit(child);
	assert_close_leaves_nothing(state);
}

static _Noreturn void fork_without_end(void)
{
	open_target(NULL);
	for (struct thread *next = thread;;) {
		next = ops->thread(fork_on(next));
		if (random() % 8 == 0)
			ops->exit(next->process), next = ops->first_thread(ops->process(target));
	}
}

static void killed_controller_leaves_nothing(void **state)
{
	close_target(state);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (int i = 0; i < 60; i++) {
		pid_t controller = fork();

		if (controller == 0)
			fork_without_end();
		usleep((useconds_t)(i * 300));
		kill(controller, SIGKILL);
		await_no_children();
	}
	open_target(state);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Not a test: what things cost. */
static void costs(void **state)
{
	uint64_t a = map(1, RW, PRIVATE);
	double start = seconds();

	(void)state;
	for (int i = 0; i < 10000; i++)
		run(thread, range_call(CALL_TOUCH_READ, a, 1));
	print_message("call %.1f us\n", (seconds() - start) * 1e2);
	start = seconds();
	for (int i = 0; i < 100; i++)
		fork_on(thread);
	print_message("fork %.0f us\n", (seconds() - start) * 1e4);
	start = seconds();
	for (int i = 0; i < 20; i++)
		ops->process(target);
	print_message("process %.2f ms\n", (seconds() - start) * 1e3 / 20);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		target_test(threads_share_memory),
		target_test(fork_copies_memory),
		target_test(deep_forks),
		target_test(many_processes_one_after_the_other),
		target_test(threads_run_out),
		target_test(death_of_an_agent_is_noticed),
		target_test(close_leaves_nothing),
		target_test(killed_controller_leaves_nothing),
		target_test(costs),
	};

	linux_agent_main_if_asked(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
