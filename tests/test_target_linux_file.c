/* SPDX-License-Identifier: MIT */
/*
 * The linux target: file memory and pins.
 */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <unistd.h>

#include "linux_fixture.h"

static void file_put(struct file *file, uint64_t offset, const char *text)
{
	size_t done;

	assert_int_equal(ops->file_write(file, offset, text, strlen(text) + 1, &done), 0);
	assert_int_equal(done, strlen(text) + 1);
}

static void assert_file_text(struct file *file, uint64_t offset, const char *text)
{
	char got[64] = "";
	size_t done;

	assert_int_equal(ops->file_read(file, offset, got, strlen(text) + 1, &done), 0);
	assert_string_equal(got, text);
}

static unsigned open_files(pid_t pid)
{
	char path[32];
	unsigned count = 0;
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	directory = opendir(path);
	assert_non_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* Files */

static void processes_share_a_file(void **state)
{
	struct file *file = new_file(2);
	struct thread *other = ops->first_thread(ops->process(target));
	struct thread *child;
	uint64_t a, b, c;

	(void)state;
	/* file 01, A of page 0 and 1, B of page 1 */
	a = run(thread, file_call(file, 0, 2 * PAGE, MAP_SHARED)).value;
	b = map_file(other, file, PAGE, MAP_SHARED);
	put(thread, a + PAGE, "from A");
	assert_text(other, b, "from A");
	put(other, b, "from B");
	assert_file_text(file, PAGE, "from B");
	file_put(file, PAGE + 100, "by itself");
	assert_text(thread, a + PAGE + 100, "by itself");
	/* A forked child shares, too, and can map the file again. */
	child = ops->first_thread(fork_on(thread));
	c = map_file(child, file, PAGE, MAP_SHARED);
	put(child, c, "from C");
	assert_text(child, a + PAGE, "from C");
	assert_text(other, b, "from C");
}

static void private_mappings_copy(void **state)
{
	struct file *file = new_file(1);
	uint64_t a = map_file(thread, file, 0, MAP_PRIVATE);

	(void)state;
	file_put(file, 0, "first");
	assert_text(thread, a, "first");
	put(thread, a, "copy");
	assert_file_text(file, 0, "first");
	file_put(file, 0, "second");
	assert_text(thread, a, "copy");
}

static void truncation_takes_pages(void **state)
{
	struct file *file = new_file(3);
	uint64_t a = run(thread, file_call(file, 0, 3 * PAGE, MAP_SHARED)).value;
	char byte = 1;
	size_t done;

	(void)state;
	put(thread, a + PAGE, "ends here");
	put(thread, a + 2 * PAGE, "gone");
	assert_int_equal(ops->file_truncate(file, PAGE + 4), 0);
	assert_text(thread, a + PAGE, "ends");
	assert_signal(CALL_BUS, BUS_ADRERR,
		      run(thread, range_call(CALL_TOUCH_READ, a + 2 * PAGE, 1)));
	assert_signal(CALL_BUS, BUS_ADRERR,
		      run(thread, range_call(CALL_TOUCH_WRITE, a + 2 * PAGE, 1)));
	assert_int_equal(ops->file_read(file, PAGE, (char[8]){0}, 8, &done), 0);
	assert_int_equal(done, 4);
	assert_int_equal(ops->file_truncate(file, 3 * PAGE), 0);
	assert_int_equal(ops->file_read(file, 2 * PAGE, &byte, 1, &done), 0);
	assert_int_equal(byte, 0);
	assert_text(thread, a + 2 * PAGE, "");
}

static void holes(void **state)
{
	struct file *file = new_file(8);
	uint64_t a = run(thread, file_call(file, 0, 8 * PAGE, MAP_SHARED)).value;
	size_t done;

	(void)state;
	assert_resident(file, 0, 8 * PAGE, 0);
	assert_file_text(file, 0, "");
	assert_resident(file, 0, 8 * PAGE, 0);
	assert_text(thread, a, ""); /* a mapping leaves none where it reads */
	assert_resident(file, 0, 8 * PAGE, 1);
	/* 0..3456. */
	assert_int_equal(ops->file_allocate(file, 3 * PAGE, 4 * PAGE), 0);
	assert_resident(file, 0, 8 * PAGE, 5);
	assert_resident(file, 4 * PAGE - 1, 2, 2);
	assert_resident(file, 4 * PAGE, 0, 0);
	file_put(file, 4 * PAGE, "punched");
	file_put(file, 6 * PAGE, "kept");
	/* 0..3..6. */
	assert_int_equal(ops->file_punch(file, 4 * PAGE, 2 * PAGE), 0);
	assert_resident(file, 0, 8 * PAGE, 3);
	assert_text(thread, a + 4 * PAGE, "");
	assert_text(thread, a + 6 * PAGE, "kept");
	/* A part of a page becomes zeros. */
	assert_int_equal(ops->file_punch(file, 6 * PAGE, 4), 0);
	assert_text(thread, a + 6 * PAGE, "");
	/* It does not make the file longer, as allocation does. */
	assert_int_equal(ops->file_punch(file, 8 * PAGE, PAGE), 0);
	assert_int_equal(ops->file_read(file, 8 * PAGE, (char[1]){0}, 1, &done), 0);
	assert_int_equal(done, 0);
	assert_int_equal(ops->file_allocate(file, 8 * PAGE, PAGE), 0);
	assert_int_equal(ops->file_read(file, 8 * PAGE, (char[1]){0}, 1, &done), 0);
	assert_int_equal(done, 1);
}

static void bad_requests(void **state)
{
	struct file *file = new_file(1);
	uint64_t pages;
	size_t done;

	(void)state;
	assert_null(ops->file_shmem(target, UINT64_MAX));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(ops->file_truncate(file, UINT64_MAX), EINVAL);
	assert_int_equal(ops->file_write(file, UINT64_MAX, "x", 1, &done), EINVAL);
	assert_int_equal(ops->file_read(file, UINT64_MAX, (char[1]){0}, 1, &done), EINVAL);
	assert_int_equal(ops->file_punch(file, 0, 0), EINVAL);
	assert_int_equal(ops->file_allocate(file, 0, 0), EINVAL);
	assert_int_equal(ops->file_allocate(file, INT64_MAX, 1), EFBIG);
	assert_int_equal(ops->file_resident(file, INT64_MAX, 1, &pages), EINVAL);
	assert_error(EINVAL, run(thread, file_call(file, 1, PAGE, MAP_SHARED)));
	assert_error(EINVAL, run(thread, file_call(file, 0, 0, MAP_SHARED)));
	assert_error(EBADF, run(thread, file_call(NULL, 0, PAGE, MAP_SHARED)));
}

static void mappings_outlive_the_file(void **state)
{
	struct file *file = new_file(1);
	uint64_t a = map_file(thread, file, 0, MAP_SHARED);

	(void)state;
	put(thread, a, "still here");
	ops->file_close(file);
	assert_text(thread, a, "still here");
	assert_text(ops->first_thread(fork_on(thread)), a, "still here");
}

static void observations_know_kinds(void **state)
{
	struct file *file = new_file(4);
	struct target_vma *vmas;
	struct target_rss rss;
	uint64_t a, b, c;
	size_t count;

	(void)state;
	a = map_file(thread, file, 2 * PAGE, MAP_SHARED);
	b = map_file(thread, file, 0, MAP_PRIVATE);
	c = map(1, RW, SHARED);
	put(thread, a, "shmem");
	put(thread, b, "anon");
	put(thread, c, "shmem");
	assert_int_equal(ops->maps(process, &vmas, &count), 0);
	/* CBA| */
	assert_int_equal(count, 3);
	assert_int_equal(vmas[0].start, c);
	assert_true(vmas[0].shared && !vmas[0].file && !vmas[0].offset);
	assert_true(!vmas[1].shared && vmas[1].file && !vmas[1].offset);
	assert_true(vmas[2].shared && vmas[2].file && vmas[2].offset == 2 * PAGE);
	free(vmas);
	assert_int_equal(ops->rss(process, &rss), 0);
	assert_int_equal(rss.anon, PAGE);
	assert_int_equal(rss.shmem, 2 * PAGE);
	assert_int_equal(rss.file, 0);
}

static void agents_keep_no_file(void **state)
{
	struct file *file = new_file(1);
	unsigned before = open_files(process->pid), own = open_files(getpid());
	struct userfault *userfault;
	struct target_message message;
	struct call asleep;
	uint64_t a, n;

	(void)state;
	for (int i = 0; i < 3; i++)
		map_file(thread, file, 0, MAP_SHARED);
	assert_error(EINVAL, run(thread, file_call(file, 1, PAGE, MAP_SHARED)));
	assert_int_equal(open_files(process->pid), before);
	ops->file_close(file);
	assert_int_equal(open_files(getpid()), own - 1);

	/* While a mapping call sleeps in the event of what it unmaps, the agent has one. */
	file = new_file(1);
	userfault = open_userfault(0, EVENTS);
	a = map(1, RW, PRIVATE);
	register_range(userfault, a, 1, UFFDIO_REGISTER_MODE_MISSING);
	asleep = file_call(file, 0, PAGE, MAP_SHARED | MAP_FIXED);
	asleep.address = a;
	ops->call(thread, &asleep);
	assert_int_equal(asleep.status, CALL_BLOCKED);
	assert_int_equal(open_files(process->pid), before + 1);
	assert_int_equal(ops->userfault_read(userfault, &message, 1, &n), 0);
	assert_int_equal(message.message.event, UFFD_EVENT_UNMAP);
	ops->result(thread, &asleep);
	assert_done(asleep);
	assert_int_equal(open_files(process->pid), before);
	file_put(file, 0, "mapped");
	assert_text(thread, a, "mapped");
}

/* Pins */

static struct pin *pin(uint64_t address, uint64_t length)
{
	struct call call = run(thread, range_call(CALL_PIN, address, length));

	if (call.status == CALL_ERROR && (call.error == ENOSYS || call.error == EPERM))
		skip();
	assert_done(call);
	assert_non_null(call.pin);
	return call.pin;
}

/* A pinned page is copied when its process forks: it stays the parent's alone. */
static bool copied_at_fork(uint64_t address)
{
	struct process *child = fork_on(thread);
	bool copied = pagemap(child, address) & PM_EXCLUSIVE;

	ops->exit(child);
	return copied;
}

static void pinned_pages_are_not_shared(void **state)
{
	uint64_t a = map(3, RW, PRIVATE);
	unsigned files = open_files(process->pid);
	struct pin *first, *second;

	(void)state;
	put(thread, a, "pinned");
	put(thread, a + 2 * PAGE, "not");
	first = pin(a, 2 * PAGE);
	second = pin(a + PAGE, PAGE);
	assert_true(pagemap(process, a + PAGE) & PM_PRESENT);
	assert_true(copied_at_fork(a));
	assert_true(copied_at_fork(a + PAGE));
	assert_false(copied_at_fork(a + 2 * PAGE));
	ops->unpin(first);
	put(thread, a, "alone again");
	assert_false(copied_at_fork(a));
	assert_true(copied_at_fork(a + PAGE));
	ops->unpin(second);
	assert_int_equal(open_files(process->pid), files);
	/* A handle may outlive its process, and may be left. */
	first = pin(a, PAGE);
	pin(a, PAGE);
	ops->exit(process);
	ops->unpin(first);
}

static void bad_pins(void **state)
{
	uint64_t a = map(2, RW, PRIVATE);
	unsigned files = open_files(process->pid);

	(void)state;
	ops->unpin(pin(a, PAGE));
	assert_done(run(thread, mprotect_call(a + PAGE, PAGE, PROT_READ)));
	assert_error(EFAULT, run(thread, range_call(CALL_PIN, a, 0)));
	assert_error(EFAULT, run(thread, range_call(CALL_PIN, a, 2 * PAGE)));
	assert_error(EFAULT, run(thread, range_call(CALL_PIN, a - PAGE, 2 * PAGE)));
	assert_int_equal(open_files(process->pid), files);
}

static void pins_can_sleep(void **state)
{
	struct userfault *userfault = open_userfault(0, 0);
	uint64_t a = map(2, RW, PRIVATE);
	struct call call = range_call(CALL_PIN, a, 2 * PAGE);

	(void)state;
	put(thread, a, "there");
	ops->unpin(pin(a, PAGE));
	register_range(userfault, a, 2, UFFDIO_REGISTER_MODE_MISSING);
	ops->call(thread, &call);
	assert_int_equal(call.status, CALL_BLOCKED);
	assert_int_equal(zeropage(userfault, a + PAGE), 0);
	ops->result(thread, &call);
	assert_done(call);
	assert_true(copied_at_fork(a));
	ops->unpin(call.pin);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		target_test(processes_share_a_file),
		target_test(private_mappings_copy),
		target_test(truncation_takes_pages),
		target_test(holes),
		target_test(bad_requests),
		target_test(mappings_outlive_the_file),
		target_test(observations_know_kinds),
		target_test(agents_keep_no_file),
		target_test(pinned_pages_are_not_shared),
		target_test(bad_pins),
		target_test(pins_can_sleep),
	};

	linux_agent_main_if_asked(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
