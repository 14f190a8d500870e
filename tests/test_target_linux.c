/* SPDX-License-Identifier: MIT */
/*
 * The linux target: the address space of its processes, accesses, observations.
 *
 * Drawings: one letter a page, lower case read only, '.' not mapped, '|' WINDOW_TOP.
 */
#define _GNU_SOURCE 1
#include <signal.h>
#include <sys/syscall.h>

#include "linux_fixture.h"

/* The address space */

static void first_mapping_ends_at_the_top(void **state)
{
	(void)state;
	/* BBA| */
	assert_int_equal(map(1, RW, PRIVATE), WINDOW_TOP - PAGE);
	assert_int_equal(map(2, RW, SHARED), WINDOW_TOP - 3 * PAGE);
	/* BB.| */
	assert_done(run(thread, range_call(CALL_MUNMAP, WINDOW_TOP - PAGE, PAGE)));
	assert_int_equal(map(1, PROT_READ, PRIVATE), WINDOW_TOP - PAGE);
}

static void every_process_is_alike(void **state)
{
	struct process *other = ops->process(target);

	(void)state;
	assert_int_equal(map(3, RW, PRIVATE), WINDOW_TOP - 3 * PAGE);
	assert_int_equal(process->own_start, other->own_start);
	assert_int_equal(process->own_end, other->own_end);
	thread = ops->first_thread(other);
	assert_int_equal(map(3, RW, PRIVATE), WINDOW_TOP - 3 * PAGE);
}

static void nothing_is_mapped_above_the_top(void **state)
{
	uint64_t a = map(1, RW, PRIVATE);
	struct target_vma *vmas;
	size_t count;

	(void)state;
	/* A|.... */
	assert_signal(CALL_SEGV, SEGV_MAPERR,
		      run(thread, range_call(CALL_TOUCH_READ, a + PAGE, 1)));
	assert_signal(CALL_SEGV, SEGV_MAPERR,
		      run(thread, range_call(CALL_TOUCH_WRITE, OWN_START - 1, 1)));
	assert_error(ENOMEM, run(thread, mprotect_call(a, 2 * PAGE, PROT_READ)));
	assert_error(ENOMEM, run(thread, madvise_call(a, 2 * PAGE, MADV_DONTNEED)));
	/* A hint there is not taken, because the keeper needs its gap. */
	assert_int_equal(run(thread, mmap_call(a + PAGE, PAGE, RW, PRIVATE)).value, a - PAGE);
	/* What is put there is the script's. */
	assert_int_equal(run(thread, mmap_call(a + PAGE, PAGE, RW, SHARED | MAP_FIXED)).value,
			 a + PAGE);
	assert_int_equal(ops->maps(process, &vmas, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(vmas[2].start, a + PAGE);
	free(vmas);
	assert_done(run(thread, range_call(CALL_MUNMAP, a, 4 * PAGE)));
	assert_int_equal(ops->maps(process, &vmas, &count), 0);
	assert_int_equal(count, 1);
	free(vmas);
}

/* All of /proc/PID/maps but what lies in the window. */
static char *own_memory(const struct process *of)
{
	char path[64], line[512], *text;
	unsigned long start;
	size_t size;
	FILE *out = open_memstream(&text, &size), *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", of->pid);
	maps = fopen(path, "re");
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		sscanf(line, "%lx", &start);
		if (start < of->own_end || start > WINDOW_TOP)
			fputs(line, out);
	}
	fclose(maps);
	fclose(out);
	return text;
}

static void own_memory_never_changes(void **state)
{
	char *before = own_memory(process), *after;
	struct process *child;
	char byte;

	(void)state;
	for (int i = 0; i < 20; i++) {
		map(3, RW, PRIVATE);
		run(thread, data_call(CALL_READ, 0, &byte, 1));
		assert_non_null(ops->thread(process));
	}
	child = fork_on(thread);
	assert_non_null(ops->thread(child));
	after = own_memory(process);
	assert_string_equal(before, after);
	free(after);
	after = own_memory(child);
	assert_string_equal(before, after);
	free(after);
	free(before);
}

static void own_memory_is_protected(void **state)
{
	uint64_t a = map(1, RW, PRIVATE);
	char byte = 0;

	(void)state;
	assert_target_fails("munmap(", run(thread, range_call(CALL_MUNMAP, 0, WINDOW_TOP)));
	assert_target_fails("own memory", run(thread, mmap_call(process->own_start, PAGE, RW,
								PRIVATE | MAP_FIXED)));
	assert_target_fails("own memory", run(thread, mprotect_call(MAILBOX_BASE, 1, PROT_NONE)));
	assert_target_fails("own memory",
			    run(thread, madvise_call(MAILBOX_BASE, PAGE, MADV_REMOVE)));
	assert_target_fails("own memory",
			    run(thread, (struct call){.kind = CALL_MREMAP,
						      .address = a,
						      .length = PAGE,
						      .new_length = PAGE,
						      .flags = MREMAP_MAYMOVE | MREMAP_FIXED,
						      .new_address = OWN_START}));
	assert_target_fails("own memory",
			    run(thread, data_call(CALL_WRITE, THREADS_BASE, &byte, 1)));
}

static void bad_arguments_reach_the_kernel(void **state)
{
	(void)state;
	assert_error(EINVAL, run(thread, range_call(CALL_MUNMAP, WINDOW_TOP + 1, PAGE)));
	assert_error(EINVAL, run(thread, range_call(CALL_MUNMAP, OWN_START, 0)));
	assert_error(EINVAL, run(thread, range_call(CALL_MUNMAP, KERNEL, PAGE)));
	assert_error(EINVAL, run(thread, range_call(CALL_MUNMAP, 0, UINT64_MAX)));
	assert_error(EINVAL, run(thread, range_call(CALL_MUNMAP, USER_END - PAGE, 2 * PAGE)));
	assert_error(ENOMEM, run(thread, mmap_call(KERNEL, PAGE, RW, PRIVATE | MAP_FIXED)));
	assert_error(ENOMEM, run(thread, mmap_call(0, UINT64_MAX, RW, PRIVATE)));
	assert_error(EINVAL, run(thread, mmap_call(0, PAGE, RW, MAP_ANONYMOUS)));
	assert_error(EBADF, run(thread, mmap_call(0, PAGE, RW, MAP_PRIVATE)));
	assert_error(EEXIST,
		     run(thread, mmap_call(MAILBOX_BASE, PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE)));
	assert_error(EINVAL, run(thread, madvise_call(OWN_START, PAGE, 12345)));
	assert_error(ENOMEM, run(thread, range_call(CALL_MUNLOCK, KERNEL, PAGE)));
}

/* Accesses */

static void copies_stop_at_the_fault(void **state)
{
	uint64_t a = map(3, RW, PRIVATE);
	char data[2 * PAGE_SIZE];
	struct call call;

	(void)state;
	memset(data, 'x', sizeof(data));
	/* A.B| */
	assert_done(run(thread, range_call(CALL_MUNMAP, a + PAGE, PAGE)));
	call = run(thread, data_call(CALL_WRITE, a + PAGE - 5, data, 2 * PAGE));
	assert_signal(CALL_SEGV, SEGV_MAPERR, call);
	assert_int_equal(call.done, 5);
	assert_done(run(thread, data_call(CALL_READ, a + PAGE - 6, data, 6)));
	assert_memory_equal(data, "\0xxxxx", 6);
	call = run(thread, data_call(CALL_READ, a + 1, data, 2 * PAGE));
	assert_signal(CALL_SEGV, SEGV_MAPERR, call);
	assert_int_equal(call.done, PAGE - 1);
	assert_int_equal(data[PAGE - 2], 'x');
	/* A.b| */
	assert_done(run(thread, mprotect_call(a + 2 * PAGE, PAGE, PROT_READ)));
	call = run(thread, data_call(CALL_WRITE, a + 2 * PAGE, data, 1));
	assert_signal(CALL_SEGV, SEGV_ACCERR, call);
	assert_int_equal(call.done, 0);
	assert_signal(CALL_SEGV, SEGV_ACCERR,
		      run(thread, range_call(CALL_TOUCH_WRITE, a + 2 * PAGE, 1)));
	assert_done(run(thread, range_call(CALL_TOUCH_READ, a + 2 * PAGE, 1)));
}

static void no_address_harms_the_agent(void **state)
{
	const uint64_t bad[] = {0, 8, NONCANONICAL, KERNEL, UINT64_MAX};
	char byte;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const int code = bad[i] == NONCANONICAL ? SI_KERNEL : SEGV_MAPERR;

		assert_signal(CALL_SEGV, code, run(thread, range_call(CALL_TOUCH_READ, bad[i], 1)));
		assert_signal(CALL_SEGV, code,
			      run(thread, range_call(CALL_TOUCH_WRITE, bad[i], 1)));
		assert_signal(CALL_SEGV, code,
			      run(thread, range_call(CALL_TOUCH_EXECUTE, bad[i], 1)));
		assert_error(EFAULT, run(thread, data_call(CALL_SYSCALL_READ, bad[i], &byte, 1)));
	}
	assert_done(run(thread, data_call(CALL_READ, 0, &byte, 0)));
}

static void largest_copy(void **state)
{
	unsigned char *data = malloc(TARGET_TRANSFER_MAX), *copy = malloc(TARGET_TRANSFER_MAX);
	uint64_t a = map(TARGET_TRANSFER_MAX / PAGE, RW, PRIVATE);

	(void)state;
	for (unsigned i = 0; i < TARGET_TRANSFER_MAX; i++)
		data[i] = (unsigned char)(i * 2654435761u >> 24);
	assert_done(run(thread, data_call(CALL_WRITE, a, data, TARGET_TRANSFER_MAX)));
	assert_done(run(thread, data_call(CALL_READ, a, copy, TARGET_TRANSFER_MAX)));
	assert_memory_equal(data, copy, TARGET_TRANSFER_MAX);
	memset(copy, 0, TARGET_TRANSFER_MAX);
	assert_done(run(thread, data_call(CALL_SYSCALL_WRITE, a, data, TARGET_TRANSFER_MAX)));
	assert_done(run(thread, data_call(CALL_SYSCALL_READ, a, copy, TARGET_TRANSFER_MAX)));
	assert_memory_equal(data, copy, TARGET_TRANSFER_MAX);
	free(data);
	free(copy);
}

static void kernel_copies_stop_at_the_fault(void **state)
{
	uint64_t a = map(3, RW, PRIVATE);
	char data[2 * PAGE_SIZE] = "x";
	struct call call;

	(void)state;
	/* A.b| */
	assert_done(run(thread, range_call(CALL_MUNMAP, a + PAGE, PAGE)));
	assert_done(run(thread, mprotect_call(a + 2 * PAGE, PAGE, PROT_READ)));
	call = run(thread, data_call(CALL_SYSCALL_WRITE, a + 1, data, 2 * PAGE));
	assert_error(EFAULT, call);
	assert_int_equal(call.done, PAGE - 1);
	call = run(thread, data_call(CALL_SYSCALL_READ, a + 1, data, 2 * PAGE));
	assert_error(EFAULT, call);
	assert_int_equal(call.done, PAGE - 1);
	assert_int_equal(data[0], 'x');
	call = run(thread, data_call(CALL_SYSCALL_WRITE, a + 2 * PAGE, data, 1));
	assert_error(EFAULT, call);
	assert_int_equal(call.done, 0);
}

static void zeroed_memory_executes(void **state)
{
	uint64_t a = map(3, RWX, PRIVATE);

	(void)state;
	/* Xr.| */
	assert_done(run(thread, mprotect_call(a + PAGE, PAGE, PROT_READ)));
	assert_done(run(thread, range_call(CALL_MUNMAP, a + 2 * PAGE, PAGE)));
	assert_done(run(thread, range_call(CALL_TOUCH_EXECUTE, a, 1)));
	assert_signal(CALL_SEGV, SEGV_ACCERR,
		      run(thread, range_call(CALL_TOUCH_EXECUTE, a + PAGE, 1)));
	assert_signal(CALL_SEGV, SEGV_MAPERR,
		      run(thread, range_call(CALL_TOUCH_EXECUTE, a + 2 * PAGE, 1)));
	assert_text(thread, a, "");
}

static void any_instruction_executes(void **state)
{
	static const char *const code[] = {
		"\xc3",	    /* ret */
		"\xf4",	    /* hlt: raises SIGSEGV itself */
		"\x0f\x0b", /* ud2 */
		"\xcc",	    /* int3 */
		"\xeb\xfe", /* jmp . */
		"\xf7\xf0", /* div %eax: not by zero, or so */
		"\x9d",	    /* popf: drops the trap flag */
		"\x0f\x05", /* syscall */
		"\xcd\x80", /* int $0x80 */
		"\x8b\x07", /* mov (%rdi), %eax: a fault of its own */
		"\xff\xd0", /* call *%rax */
		"\x55",	    /* push %rbp */
		"\xcf",	    /* iret */
		"\xfd",	    /* std */
		"\x8e\xd0", /* mov %eax, %ss */
	};
	uint64_t a = map(1, RWX, PRIVATE);

	(void)state;
	for (unsigned i = 0; i < sizeof(code) / sizeof(code[0]); i++) {
		put(thread, a, code[i]);
		assert_done(run(thread, range_call(CALL_TOUCH_EXECUTE, a, 1)));
		assert_text(thread, a, code[i]);
	}
	assert_int_equal(map(1, RW, PRIVATE), a - PAGE);
}

/* A file, beyond its end: what scripts of this slice can't have yet. */
static void beyond_the_end_of_a_file_is_a_bus_error(void **state)
{
	int64_t file, a;

	(void)state;
	strcpy((char *)thread->slot->data, "empty");
	file = thread_system_call(thread, SYS_memfd_create,
				  (uint64_t[6]){thread_address(thread, thread->slot->data), 0});
	assert_true(file >= 0);
	a = thread_system_call(thread, SYS_mmap,
			       (uint64_t[6]){0, PAGE, RWX, MAP_SHARED, (uint64_t)file, 0});
	assert_signal(CALL_BUS, BUS_ADRERR,
		      run(thread, range_call(CALL_TOUCH_READ, (uint64_t)a, 1)));
	assert_signal(CALL_BUS, BUS_ADRERR,
		      run(thread, range_call(CALL_TOUCH_WRITE, (uint64_t)a, 1)));
	assert_signal(CALL_BUS, BUS_ADRERR,
		      run(thread, range_call(CALL_TOUCH_EXECUTE, (uint64_t)a, 1)));
}

/* Observations */

static void pagemap_shows_pages(void **state)
{
	uint64_t a = map(3, RW, PRIVATE), bits[3];

	(void)state;
	assert_done(run(thread, range_call(CALL_TOUCH_WRITE, a + PAGE, 1)));
	assert_int_equal(ops->pagemap(process, a, 3, bits), 0);
	assert_int_equal(bits[0] & PM_PRESENT, 0);
	assert_int_equal(bits[1] & PM_PRESENT, PM_PRESENT);
	assert_int_equal(bits[1] << 9, 0); /* no frame number */
	assert_int_equal(bits[2] & PM_PRESENT, 0);
	assert_int_equal(ops->pagemap(process, KERNEL, 1, bits), EFAULT);
	ops->exit(process);
	assert_int_equal(ops->pagemap(process, a, 3, bits), ESRCH);
}

static void mincore_shows_pages(void **state)
{
	uint64_t a = map(3, RW, PRIVATE);
	unsigned char pages[3];

	(void)state;
	assert_done(run(thread, range_call(CALL_TOUCH_WRITE, a + PAGE, 1)));
	assert_int_equal(ops->mincore(process, a, 2 * PAGE + 1, pages), 0);
	assert_int_equal(pages[0], 0);
	assert_int_equal(pages[1], 1);
	assert_int_equal(pages[2], 0);
	assert_int_equal(ops->mincore(process, a + 1, PAGE, pages), EINVAL);
	assert_int_equal(ops->mincore(process, a - PAGE, PAGE, pages), ENOMEM);
	assert_int_equal(ops->mincore(process, a, 0, pages), 0);
}

static uint64_t smaps_field(const struct target_smaps *smaps, const char *name)
{
	for (unsigned i = 0; i < smaps->count; i++)
		if (strcmp(smaps->field[i].name, name) == 0)
			return smaps->field[i].value;
	fail_msg("smaps has no %s", name);
	return 0;
}

static void smaps_shows_a_vma(void **state)
{
	uint64_t a = map(3, RW, PRIVATE);
	struct target_smaps smaps;

	(void)state;
	assert_done(run(thread, range_call(CALL_TOUCH_WRITE, a + PAGE, 1)));
	assert_int_equal(ops->smaps(process, a + 3 * PAGE - 1, &smaps), 0);
	assert_int_equal(smaps.start, a);
	assert_int_equal(smaps.end, a + 3 * PAGE);
	assert_string_equal(smaps.field[0].name, "Size");
	assert_int_equal(smaps_field(&smaps, "Size"), 3 * PAGE);
	assert_int_equal(smaps_field(&smaps, "Rss"), PAGE);
	assert_int_equal(smaps_field(&smaps, "Anonymous"), PAGE);
	assert_int_equal(smaps_field(&smaps, "THPeligible"), 0);
	assert_memory_equal(smaps.flags, "rd wr mr mw me ac", 17);
	assert_true(smaps.flags[strlen(smaps.flags) - 1] != ' ');
	assert_int_equal(ops->smaps(process, a - 1, &smaps), ENOENT);
	assert_int_equal(ops->smaps(process, a + 3 * PAGE, &smaps), ENOENT);
	assert_int_equal(ops->smaps(process, MAILBOX_BASE, &smaps), ENOENT);
}

static void maps_shows_the_scripts_vmas(void **state)
{
	struct target_vma *vmas;
	uint64_t a;
	size_t count;

	(void)state;
	assert_int_equal(ops->maps(process, &vmas, &count), 0);
	assert_int_equal(count, 0);
	free(vmas);
	/* BBaA| */
	a = map(2, RWX, PRIVATE);
	map(2, RW, SHARED);
	assert_done(run(thread, mprotect_call(a, PAGE, PROT_READ)));
	assert_int_equal(ops->maps(process, &vmas, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(vmas[0].start, a - 2 * PAGE);
	assert_int_equal(vmas[0].end, a);
	assert_true(vmas[0].shared);
	assert_false(vmas[0].file);
	assert_string_equal(vmas[0].prot, "rw-");
	assert_int_equal(vmas[0].offset, 0);
	assert_string_equal(vmas[1].prot, "r--");
	assert_string_equal(vmas[2].prot, "rwx");
	assert_false(vmas[2].shared);
	assert_memory_equal(vmas[2].flags, "rd wr ex", 8);
	free(vmas);
}

static void rss_counts_the_scripts_pages(void **state)
{
	uint64_t a = map(4, RW, PRIVATE), b = map(4, RW, SHARED);
	struct target_rss before, after;

	(void)state;
	assert_int_equal(ops->rss(process, &before), 0);
	assert_int_equal(before.anon + before.file + before.shmem + before.swap, 0);
	assert_done(run(thread, madvise_call(a, 2 * PAGE, MADV_POPULATE_WRITE)));
	assert_done(run(thread, madvise_call(b, 3 * PAGE, MADV_POPULATE_WRITE)));
	assert_int_equal(ops->rss(process, &after), 0);
	assert_int_equal(after.anon, 2 * PAGE);
	assert_int_equal(after.shmem, 3 * PAGE);
	assert_int_equal(after.file, 0);
	/* One table of level 0 and one of level 1 more. */
	assert_int_equal(after.tables - before.tables, 2 * PAGE);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		target_test(first_mapping_ends_at_the_top),
		target_test(every_process_is_alike),
		target_test(nothing_is_mapped_above_the_top),
		target_test(own_memory_never_changes),
		target_test(own_memory_is_protected),
		target_test(bad_arguments_reach_the_kernel),
		target_test(copies_stop_at_the_fault),
		target_test(no_address_harms_the_agent),
		target_test(largest_copy),
		target_test(kernel_copies_stop_at_the_fault),
		target_test(zeroed_memory_executes),
		target_test(any_instruction_executes),
		target_test(beyond_the_end_of_a_file_is_a_bus_error),
		target_test(pagemap_shows_pages),
		target_test(mincore_shows_pages),
		target_test(smaps_shows_a_vma),
		target_test(maps_shows_the_scripts_vmas),
		target_test(rss_counts_the_scripts_pages),
	};

	linux_agent_main_if_asked(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
