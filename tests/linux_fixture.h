/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the linux target share: each has a target, a process and its first thread, and
 * calls them as the script layer does.  They run as root and as an ordinary user.
 */
#ifndef QUIRE_LINUX_FIXTURE_H
#define QUIRE_LINUX_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "linux_target.h"

#define PAGE	     ((uint64_t)PAGE_SIZE)
#define RW	     (PROT_READ | PROT_WRITE)
#define RWX	     (PROT_READ | PROT_WRITE | PROT_EXEC)
#define PRIVATE	     (MAP_PRIVATE | MAP_ANONYMOUS)
#define SHARED	     (MAP_SHARED | MAP_ANONYMOUS)
#define PM_SWAPPED   (UINT64_C(1) << 62)
#define PM_EXCLUSIVE (UINT64_C(1) << 56)
#define PM_PRESENT   (UINT64_C(1) << 63)
#define NONCANONICAL UINT64_C(0x0000900000000000)
#define KERNEL	     UINT64_C(0xffff888000000000)
#define EVENTS                                                                                     \
	(UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP |         \
	 UFFD_FEATURE_EVENT_FORK)

static const struct target_ops *const ops = &target_linux;

/* target_fail() ends a test, unless the test waits for it. */
static jmp_buf expected_failure;
static bool failure_expected;
static char failure[256];

_Noreturn void target_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(failure, sizeof(failure), format, arguments);
	va_end(arguments);
	if (failure_expected)
		longjmp(expected_failure, 1);
	fprintf(stderr, "%s\n", failure);
	exit(2);
}

_Noreturn void target_refuse(const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	target_fail("%s", text);
}

#define assert_target_fails(text, statement)                                                       \
	do {                                                                                       \
		failure_expected = true;                                                           \
		if (!setjmp(expected_failure)) {                                                   \
			statement;                                                                 \
			fail_msg("did not fail: " #statement);                                     \
		}                                                                                  \
		failure_expected = false;                                                          \
		if (!strstr(failure, text))                                                        \
			fail_msg("failed otherwise: %s", failure);                                 \
	} while (0)

/* Each test has a target and a process. */
static struct target *target;
static struct process *process;
static struct thread *thread;

/* Returns why not, or NULL. */
static inline const char *open_with(struct target_setup setup)
{
	const char *why;

	target = ops->open(&setup, &why);
	if (!target)
		return why;
	process = ops->process(target);
	thread = ops->first_thread(process);
	return NULL;
}

static inline int open_target(void **state)
{
	const char *why = open_with((struct target_setup){0});

	(void)state;
	if (why) {
		fprintf(stderr, "no linux target here: %s\n", why);
		exit(77);
	}
	return 0;
}

static inline int close_target(void **state)
{
	(void)state;
	if (target)
		ops->close(target);
	target = NULL;
	return 0;
}

static inline struct call run(struct thread *on, struct call call)
{
	ops->call(on, &call);
	return call;
}

static inline struct call mmap_call(uint64_t address, uint64_t length, int prot, int flags)
{
	return (struct call){.kind = CALL_MMAP,
			     .address = address,
			     .length = length,
			     .prot = prot,
			     .flags = flags};
}

static inline struct call range_call(enum call_kind kind, uint64_t address, uint64_t length)
{
	return (struct call){.kind = kind, .address = address, .length = length};
}

static inline struct call data_call(enum call_kind kind, uint64_t address, void *data,
				    uint64_t length)
{
	return (struct call){.kind = kind, .address = address, .length = length, .data = data};
}

static inline struct call madvise_call(uint64_t address, uint64_t length, int advice)
{
	return (struct call){
		.kind = CALL_MADVISE, .address = address, .length = length, .advice = advice};
}

static inline struct call mprotect_call(uint64_t address, uint64_t length, int prot)
{
	return (struct call){
		.kind = CALL_MPROTECT, .address = address, .length = length, .prot = prot};
}

#define assert_done(answer) assert_int_equal((answer).status, CALL_DONE)
#define assert_error(why, answer)                                                                  \
	do {                                                                                       \
		const struct call got = (answer);                                                  \
		assert_int_equal(got.status, CALL_ERROR);                                          \
		assert_int_equal(got.error, why);                                                  \
	} while (0)
#define assert_signal(what, why, answer)                                                           \
	do {                                                                                       \
		const struct call got = (answer);                                                  \
		assert_int_equal(got.status, what);                                                \
		assert_int_equal(got.code, why);                                                   \
	} while (0)

static inline uint64_t map(uint64_t pages, int prot, int flags)
{
	struct call call = run(thread, mmap_call(0, pages * PAGE, prot, flags));

	assert_done(call);
	return call.value;
}

static inline void put(struct thread *on, uint64_t address, const char *text)
{
	struct call call =
		run(on, data_call(CALL_WRITE, address, (void *)(uintptr_t)text, strlen(text) + 1));

	assert_done(call);
	assert_int_equal(call.done, strlen(text) + 1);
}

static inline void assert_text(struct thread *on, uint64_t address, const char *text)
{
	char got[64] = "";
	struct call call = run(on, data_call(CALL_READ, address, got, strlen(text) + 1));

	assert_done(call);
	assert_string_equal(got, text);
}

static inline struct process *fork_on(struct thread *on)
{
	struct call call = run(on, (struct call){.kind = CALL_FORK});

	assert_done(call);
	assert_non_null(call.child);
	return call.child;
}

static inline struct file *new_file(uint64_t pages)
{
	struct file *file = ops->file_shmem(target, pages * PAGE);

	assert_non_null(file);
	return file;
}

static inline struct call file_call(struct file *file, uint64_t offset, uint64_t length, int flags)
{
	struct call call = mmap_call(0, length, RW, flags);

	call.file = file;
	call.offset = offset;
	return call;
}

static inline uint64_t map_file(struct thread *on, struct file *file, uint64_t offset, int flags)
{
	struct call call = run(on, file_call(file, offset, PAGE, flags));

	assert_done(call);
	return call.value;
}

static inline void assert_resident(struct file *file, uint64_t offset, uint64_t length,
				   uint64_t want)
{
	uint64_t pages;

	assert_int_equal(ops->file_resident(file, offset, length, &pages), 0);
	assert_int_equal(pages, want);
}

static inline uint64_t pagemap(struct process *of, uint64_t address)
{
	uint64_t bits;

	assert_int_equal(ops->pagemap(of, address, 1, &bits), 0);
	return bits;
}

/* Skips the test where it may not be had. */
static inline struct userfault *open_userfault(int flags, uint64_t features)
{
	struct uffdio_api api = {.api = UFFD_API, .features = features};
	struct userfault *userfault = ops->userfaultfd(process, flags | O_CLOEXEC | O_NONBLOCK);

	if (!userfault || ops->userfault_ioctl(userfault, UFFDIO_API, &api) == EPERM)
		skip();
	return userfault;
}

static inline void register_range(struct userfault *userfault, uint64_t address, uint64_t pages,
				  uint64_t mode)
{
	struct uffdio_register range = {.range = {address, pages * PAGE}, .mode = mode};

	assert_int_equal(ops->userfault_ioctl(userfault, UFFDIO_REGISTER, &range), 0);
}

static inline int zeropage(struct userfault *userfault, uint64_t address)
{
	struct uffdio_zeropage range = {.range = {address, PAGE}};

	return ops->userfault_ioctl(userfault, UFFDIO_ZEROPAGE, &range);
}

/* Also processes that are half made. */
static inline void assert_close_leaves_nothing(void **state)
{
	ops->close(target);
	assert_int_equal(waitpid(-1, NULL, 0), -1);
	assert_int_equal(errno, ECHILD);
	open_target(state);
}

#define target_test(name) cmocka_unit_test_setup_teardown(name, open_target, close_target)

#endif
