/* SPDX-License-Identifier: MIT */
/*
 * The linux target: userfaultfd, and threads that sleep in it.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/syscall.h>

#include "linux_fixture.h"

/* Sleeping */

/* A userfaultfd of the process, opened by its first thread; -1: not allowed. */
static int64_t userfault_open(uint64_t flags, uint64_t features)
{
	struct uffdio_api *api = (struct uffdio_api *)thread->slot->data;
	int64_t fd = thread_system_call(thread, SYS_userfaultfd,
					(uint64_t[6]){flags | O_CLOEXEC | O_NONBLOCK});

	if (fd < 0)
		return -1;
	*api = (struct uffdio_api){.api = UFFD_API, .features = features};
	return thread_system_call(
		       thread, SYS_ioctl,
		       (uint64_t[6]){(uint64_t)fd, UFFDIO_API, thread_address(thread, api)})
		       ? -1
		       : fd;
}

static int64_t userfault_register(int64_t fd, uint64_t address, uint64_t length, uint64_t mode)
{
	struct uffdio_register *range = (struct uffdio_register *)thread->slot->data;

	*range = (struct uffdio_register){.range = {address, length}, .mode = mode};
	return thread_system_call(
		thread, SYS_ioctl,
		(uint64_t[6]){(uint64_t)fd, UFFDIO_REGISTER, thread_address(thread, range)});
}

static int64_t userfault_zeropage(int64_t fd, uint64_t address)
{
	struct uffdio_zeropage *range = (struct uffdio_zeropage *)thread->slot->data;

	*range = (struct uffdio_zeropage){.range = {address, PAGE}};
	return thread_system_call(
		thread, SYS_ioctl,
		(uint64_t[6]){(uint64_t)fd, UFFDIO_ZEROPAGE, thread_address(thread, range)});
}

static struct uffd_msg userfault_read(int64_t fd)
{
	assert_int_equal(
		thread_system_call(thread, SYS_read,
				   (uint64_t[6]){(uint64_t)fd,
						 thread_address(thread, thread->slot->data),
						 sizeof(struct uffd_msg)}),
		sizeof(struct uffd_msg));
	return *(struct uffd_msg *)thread->slot->data;
}

static void faults_sleep(void **state)
{
	struct thread *sleeper = ops->thread(process);
	uint64_t a = map(3, RW, PRIVATE);
	int64_t fd = userfault_open(UFFD_USER_MODE_ONLY, 0);
	unsigned char pages[3];
	char data[2 * PAGE_SIZE];
	struct call call;

	(void)state;
	if (fd < 0)
		skip();
	assert_int_equal(userfault_register(fd, a, 3 * PAGE, UFFDIO_REGISTER_MODE_MISSING), 0);
	memset(data, 'x', sizeof(data));
	call = data_call(CALL_WRITE, a + 7, data, PAGE);
	ops->call(sleeper, &call);
	assert_int_equal(call.status, CALL_BLOCKED);
	ops->result(sleeper, &call);
	assert_int_equal(call.status, CALL_BLOCKED);
	assert_target_fails("can't", run(sleeper, range_call(CALL_TOUCH_READ, a, 1)));
	/* Observed while it sleeps. */
	assert_int_equal(ops->mincore(process, a, 3 * PAGE, pages), 0);
	assert_int_equal(pages[0], 0);
	assert_int_equal(userfault_read(fd).arg.pagefault.address, a);
	/* It goes on to the next page, and sleeps there. */
	assert_int_equal(userfault_zeropage(fd, a), 0);
	ops->result(sleeper, &call);
	assert_int_equal(call.status, CALL_BLOCKED);
	assert_int_equal(userfault_read(fd).arg.pagefault.address, a + PAGE);
	assert_int_equal(userfault_zeropage(fd, a + PAGE), 0);
	ops->result(sleeper, &call);
	assert_done(call);
	assert_int_equal(call.done, PAGE);
	/* An instruction fetch sleeps as well. */
	assert_done(run(thread, mprotect_call(a + 2 * PAGE, PAGE, RWX)));
	call = range_call(CALL_TOUCH_EXECUTE, a + 2 * PAGE, 1);
	ops->call(sleeper, &call);
	assert_int_equal(call.status, CALL_BLOCKED);
	assert_int_equal(userfault_zeropage(fd, a + 2 * PAGE), 0);
	ops->result(sleeper, &call);
	assert_done(call);
	thread_system_call(thread, SYS_close, (uint64_t[6]){(uint64_t)fd});
}

static void kernel_accesses_and_events_sleep(void **state)
{
	const uint64_t features = UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE |
				  UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_EVENT_FORK;
	struct thread *sleeper = ops->thread(process);
	uint64_t a = map(4, RW, PRIVATE);
	int64_t fd = userfault_open(0, features);
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
	if (fd < 0)
		skip();
	assert_int_equal(userfault_register(fd, a, 4 * PAGE, UFFDIO_REGISTER_MODE_MISSING), 0);
	for (unsigned i = 0; i < sizeof(call) / sizeof(call[0]); i++) {
		ops->call(sleeper, &call[i]);
		assert_int_equal(call[i].status, CALL_BLOCKED);
		while (call[i].status == CALL_BLOCKED) { /* mremap twice: remap, unmap */
			struct uffd_msg message = userfault_read(fd);

			if (message.event == UFFD_EVENT_PAGEFAULT)
				userfault_zeropage(fd, message.arg.pagefault.address);
			ops->result(sleeper, &call[i]);
		}
		assert_done(call[i]);
	}
	assert_done(run(ops->first_thread(call[3].child), range_call(CALL_MUNLOCK, 0, 0)));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		target_test(faults_sleep),
		target_test(kernel_accesses_and_events_sleep),
	};

	linux_agent_main_if_asked(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
