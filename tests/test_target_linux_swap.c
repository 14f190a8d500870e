/* SPDX-License-Identifier: MIT */
/*
 * The linux target: swap, and that the machine is rid of it afterwards.  Root's alone: others skip
 * the tests.
 */
#define _GNU_SOURCE 1
#include <signal.h>
#include <unistd.h>

#include "linux_fixture.h"

#define SWAP	     (UINT64_C(16) << 20)
#define OWN_PRIORITY 32767

/* A target with swap, or one that wants none, instead of the test's. */
static void reopen(uint64_t swap)
{
	if (geteuid())
		skip();
	close_target(NULL);
	assert_null(open_with((struct target_setup){.has_swap = true, .swap = swap}));
}

/* How many areas there are of the kind that we make; the path of one of them. */
static unsigned own_areas(char path[64])
{
	FILE *swaps = fopen("/proc/swaps", "re");
	char line[256], name[64];
	unsigned count = 0;
	int priority;

	assert_non_null(swaps);
	while (fgets(line, sizeof(line), swaps)) {
		if (sscanf(line, "%63s %*s %*s %*s %d", name, &priority) == 2 &&
		    priority == OWN_PRIORITY) {
			strcpy(path, name);
			count++;
		}
	}
	fclose(swaps);
	return count;
}

/* Others may have swap at any time but while we have. */
static void await_gone(const char *path)
{
	char now[64];

	for (unsigned i = 0; i < 10000; i++) {
		if ((!own_areas(now) || strcmp(now, path) != 0) && access(path, F_OK) != 0)
			return;
		usleep(1000);
	}
	fail_msg("%s is left", path);
}

static void pages_go_to_swap_and_come_back(void **state)
{
	struct file *file;
	uint64_t a, b;

	(void)state;
	reopen(SWAP);
	file = new_file(1);
	a = map(2, RW, PRIVATE);
	b = map_file(thread, file, 0, MAP_SHARED);
	put(thread, a, "anonymous");
	put(thread, a + PAGE, "stays out");
	put(thread, b, "shmem");
	assert_done(run(thread, madvise_call(a, 2 * PAGE, MADV_PAGEOUT)));
	assert_done(run(thread, madvise_call(b, PAGE, MADV_PAGEOUT)));
	assert_int_equal(pagemap(process, a) & (PM_PRESENT | PM_SWAPPED), PM_SWAPPED);
	assert_int_equal(pagemap(process, b) & PM_PRESENT, 0);
	assert_resident(file, 0, PAGE, 0);
	assert_text(thread, a, "anonymous");
	assert_true(pagemap(process, a) & PM_PRESENT);
	assert_true(pagemap(process, a + PAGE) & PM_SWAPPED);
	assert_int_equal(ops->swapoff(target), 0);
	assert_true(pagemap(process, a + PAGE) & PM_PRESENT);
	assert_resident(file, 0, PAGE, 1);
	assert_text(thread, a + PAGE, "stays out");
	assert_text(thread, b, "shmem");
	assert_int_equal(ops->swapoff(target), EINVAL);
}

static void pageout_misses_nothing(void **state)
{
	struct userfault *userfault;
	struct file *file;
	uint64_t a, b, c;

	(void)state;
	reopen(SWAP);
	userfault = open_userfault(0, 0);
	file = new_file(200);
	a = map(200, RW, PRIVATE);
	b = run(thread, file_call(file, 0, 200 * PAGE, MAP_SHARED)).value;
	c = map(200, RW, PRIVATE);
	register_range(userfault, c, 200, UFFDIO_REGISTER_MODE_MISSING);
	for (uint64_t at = 0; at < 200 * PAGE; at += PAGE) {
		static char page[PAGE_SIZE] = "copied";
		struct uffdio_copy copy = {.dst = c + at, .src = (uint64_t)page, .len = PAGE};

		put(thread, a + at, "anonymous");
		put(thread, b + at, "shmem");
		assert_int_equal(ops->userfault_ioctl(userfault, UFFDIO_COPY, &copy), 0);
		run(thread, madvise_call(a + at, PAGE, MADV_PAGEOUT));
		run(thread, madvise_call(b + at, PAGE, MADV_PAGEOUT));
		run(thread, madvise_call(c + at, PAGE, MADV_PAGEOUT));
		assert_true(pagemap(process, a + at) & PM_SWAPPED);
		assert_resident(file, at, PAGE, 0);
		assert_true(pagemap(process, c + at) & PM_SWAPPED);
	}
}

static void close_takes_swap_down(void **state)
{
	char path[64] = "";

	reopen(SWAP);
	assert_int_equal(own_areas(path), 1);
	assert_close_leaves_nothing(state);
	await_gone(path);
	/* And so where the script has done a part of it. */
	reopen(SWAP);
	assert_int_equal(own_areas(path), 1);
	assert_int_equal(ops->swapoff(target), 0);
	assert_close_leaves_nothing(state);
	await_gone(path);
}

static _Noreturn void swap_out_for_ever(int to)
{
	char path[64] = "";

	reopen(SWAP);
	own_areas(path);
	for (uint64_t a = map(100, RW, PRIVATE);; path[0] = 0) {
		for (uint64_t at = 0; at < 100; at++)
			put(thread, a + at * PAGE, "out");
		run(thread, madvise_call(a, 100 * PAGE, MADV_PAGEOUT));
		if (*path && write(to, path, sizeof(path)) < 0)
			break;
	}
	_exit(1);
}

static void killed_controller_leaves_no_swap(void **state)
{
	close_target(state);
	if (geteuid())
		skip();
	for (int i = 0; i < 10; i++) {
		char path[64] = "";
		int ends[2];
		pid_t controller;

		assert_int_equal(pipe(ends), 0);
		controller = fork();
		if (controller == 0)
			swap_out_for_ever(ends[1]);
		assert_int_equal(read(ends[0], path, sizeof(path)), sizeof(path));
		usleep((useconds_t)(i * 500));
		kill(controller, SIGKILL);
		waitpid(controller, NULL, 0);
		assert_true(*path);
		await_gone(path);
		close(ends[0]);
		close(ends[1]);
	}
}

/* Also ones that are killed while they wait or set it up. */
static void one_has_swap_at_a_time(void **state)
{
	pid_t controllers[4];
	int how;

	close_target(state);
	if (geteuid())
		skip();
	for (int i = 0; i < 4; i++) {
		controllers[i] = fork();
		if (controllers[i])
			continue;
		for (int round = 0; round < 10; round++) {
			char path[64];

			reopen(i ? SWAP : 0);
			if (own_areas(path) != (i ? 1 : 0))
				_exit(1);
			usleep(1000);
		}
		close_target(state);
		_exit(0);
	}
	for (int i = 0; i < 20; i++) {
		pid_t victim = fork();

		if (victim == 0)
			swap_out_for_ever(-1);
		usleep((useconds_t)(i * 1000));
		kill(victim, SIGKILL);
		waitpid(victim, NULL, 0);
	}
	for (int i = 0; i < 4; i++) {
		waitpid(controllers[i], &how, 0);
		assert_int_equal(how, 0);
	}
}

static void swap_that_cannot_be_had(void **state)
{
	const struct target_setup setup = {.has_swap = true, .swap = UINT64_MAX / 2};
	const char *why = NULL;

	close_target(state);
	target = ops->open(&setup, &why);
	assert_null(target);
	assert_non_null(why);
	assert_non_null(strstr(why, "can't have swap"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		target_test(pages_go_to_swap_and_come_back),
		target_test(pageout_misses_nothing),
		target_test(close_takes_swap_down),
		target_test(killed_controller_leaves_no_swap),
		target_test(one_has_swap_at_a_time),
		target_test(swap_that_cannot_be_had),
	};

	linux_agent_main_if_asked(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
