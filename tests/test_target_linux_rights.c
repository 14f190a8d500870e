/* SPDX-License-Identifier: MIT */
/*
 * The linux target and its profile where rights are missing.  Each test runs in a process of its own,
 * which gives up what the test is about: a filter of system calls stands for a kernel that refuses
 * one, an ordinary user for one without rights.
 */
#define _GNU_SOURCE 1
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "linux_fixture.h"

#define NOBODY 65534
#define SKIP   77

/* userfaultfd(2) fails from now on, in this process and its children. */
static void refuse_userfaultfd(int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		exit(SKIP);
}

static void become_nobody(void)
{
	if (geteuid() == 0 && (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY)))
		exit(SKIP);
	/* So that /proc/self is ours again. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static bool device_can_be_opened(void)
{
	int file = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);

	if (file >= 0)
		close(file);
	return file >= 0;
}

static bool anybody_may(void)
{
	FILE *file = fopen("/proc/sys/vm/unprivileged_userfaultfd", "r");
	int may = 0;

	if (file && fscanf(file, "%d", &may) != 1)
		may = 0;
	if (file)
		fclose(file);
	return may;
}

/* The child ends with 0 if all is well, or with the line that is not. */
#define require(condition)                                                                         \
	do {                                                                                       \
		if (!(condition))                                                                  \
			_exit(__LINE__ % 64 + 1);                                                  \
	} while (0)

static void in_a_child(void (*test)(void))
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		test();
		_exit(0);
	}
	assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status));
	if (WEXITSTATUS(status) == SKIP)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Opens a context, on the target and by the profile's own means; 0 or what it says. */
static int open_context(int flags)
{
	struct userfault *userfault;
	struct uffdio_api api = {.api = UFFD_API};
	int error = 0;

	require(!open_with((struct target_setup){0}));
	userfault = ops->userfaultfd(process, O_CLOEXEC | O_NONBLOCK | flags);
	if (!userfault)
		error = errno;
	else
		require(ops->userfault_ioctl(userfault, UFFDIO_API, &api) == 0);
	close_target(NULL);
	return error;
}

static void use_the_device(void)
{
	if (!device_can_be_opened())
		_exit(SKIP);
	refuse_userfaultfd(EPERM);
	require(profile_host()->has & HAS_USERFAULTFD);
	require(profile_host()->has & HAS_USER_MODE_ONLY);
	require(open_context(0) == 0);
}

static void where_the_call_is_refused_the_device_is_tried(void **state)
{
	(void)state;
	in_a_child(use_the_device);
}

static void refuse_everything(void)
{
	become_nobody();
	if (device_can_be_opened())
		_exit(SKIP);
	refuse_userfaultfd(ENOSYS);
	require(!(profile_host()->has & (HAS_USERFAULTFD | HAS_USER_MODE_ONLY | HAS_UFFD_WP)));
	require(profile_host()->userfault_features == 0);
	require(profile_host()->userfault_error == ENOSYS);
	require(open_context(UFFD_USER_MODE_ONLY) == ENOSYS);
}

static void where_the_device_is_refused_too_there_is_none(void **state)
{
	(void)state;
	in_a_child(refuse_everything);
}

static void be_an_ordinary_user(void)
{
	become_nobody();
	if (device_can_be_opened() || anybody_may())
		_exit(SKIP);
	require(!(profile_host()->has & (HAS_ROOT | HAS_USERFAULTFD)));
	require(profile_host()->has & HAS_USER_MODE_ONLY);
	require(!(profile_host()->userfault_features & UFFD_FEATURE_EVENT_FORK));
	require(profile_host()->userfault_error == EPERM);
	require(open_context(0) == EPERM);
	require(open_context(UFFD_USER_MODE_ONLY) == 0);
}

static void an_ordinary_user_hears_of_user_mode_only(void **state)
{
	(void)state;
	in_a_child(be_an_ordinary_user);
}

/* What he sees of his own memory does not depend on rights. */
static void look_at_memory(void)
{
	struct pm_scan_arg scan = {.size = sizeof(scan), .return_mask = PAGE_IS_PRESENT};
	struct page_region region;
	struct call call;
	uint64_t word;
	size_t regions;

	become_nobody();
	require(!open_with((struct target_setup){0}));
	call = run(thread, mmap_call(0, PAGE, RW, PRIVATE));
	require(call.status == CALL_DONE);
	scan.start = call.value;
	scan.end = call.value + PAGE;
	scan.vec = (uintptr_t)&region;
	scan.vec_len = 1;
	require(run(thread, range_call(CALL_TOUCH_WRITE, call.value, 1)).status == CALL_DONE);
	require(ops->pagemap(process, call.value, 1, &word) == 0);
	require((word & PM_PRESENT) && (word & PM_EXCLUSIVE));
	if (profile_host()->has & HAS_PAGEMAP_SCAN)
		require(ops->scan(process, &scan, &regions) == 0 && regions == 1);
	close_target(NULL);
}

static void an_ordinary_user_sees_his_memory(void **state)
{
	(void)state;
	in_a_child(look_at_memory);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_the_call_is_refused_the_device_is_tried),
		cmocka_unit_test(where_the_device_is_refused_too_there_is_none),
		cmocka_unit_test(an_ordinary_user_hears_of_user_mode_only),
		cmocka_unit_test(an_ordinary_user_sees_his_memory),
	};

	linux_agent_main_if_asked(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
