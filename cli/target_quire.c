/* SPDX-License-Identifier: MIT */
/*
 * The quire target: the library on the software MMU, in this very process.
 *
 * A script should not be able to tell it from the running kernel by its limits: memory (which the
 * host gives page by page as it is used), what an overcommitting mapping may ask for, and the
 * lowest address of a mapping are the host's, unless the script's setup says otherwise.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "host.h"
#include "library_target.h"
#include "window.h"

#define DEFAULT_CPUS 2

static void *allocate(size_t size)
{
	void *object = calloc(1, size);

	if (!object)
		target_fail("quire: the host is out of memory");
	return object;
}

static void describe_host(struct soft_config *config)
{
	host_memory(&config->memory, &config->commit_limit);
	config->cpus = DEFAULT_CPUS;
}

static struct target *target_open(const struct target_setup *setup, const char **why)
{
	struct target *target = allocate(sizeof(*target));
	struct soft_config config = {0};
	int error;

	describe_host(&config);
	if (setup->memory)
		config.memory = setup->memory;
	if (setup->cpus)
		config.cpus = setup->cpus;
	config.report_swapped = setup->report_swapped;
	config.strict_written = setup->strict_written;
	config.execute_only = setup->execute_only;
	if (setup->has_swap && setup->swap)
		config.swap = soft_swap_compressed(setup->swap / QUIRE_PAGE_SIZE);
	error = soft_machine_open(&config, &target->machine);
	if (error) {
		*why = error == -QUIRE_EINVAL ? "a machine has whole pages of memory, 1M at least, "
						"and up to 64 CPUs"
					      : "the host cannot give that much memory";
		free(target);
		return NULL;
	}
	target->execute_only = setup->execute_only;
	target->config.lowest = host_mmap_lowest();
	target->config.highest = USER_END;
	target->config.mmap_base = WINDOW_TOP;
	return target;
}

static int library_swapoff(struct target *target)
{
	return -quire_swapoff(soft_machine_core(target->machine));
}

/* --- processes and threads --- */

static struct thread *process_thread(struct process *process)
{
	struct target *target = process->target;
	struct thread *thread = allocate(sizeof(*thread));
	unsigned cpu = target->threads++ % soft_machine_cpus(target->machine);

	thread->process = process;
	thread->cpu = soft_machine_cpu(target->machine, cpu);
	thread->guest = (struct quire_thread){.id = target->threads, .nowait = true};
	thread->next = process->threads;
	process->threads = thread;
	return thread;
}

struct process *library_process(struct target *target, struct quire_space *space)
{
	struct process *process = allocate(sizeof(*process));

	process->target = target;
	process->space = space;
	process->next = target->processes;
	target->processes = process;
	process_thread(process);
	return process;
}

static struct process *target_process(struct target *target)
{
	struct quire_space *space;
	int error = quire_space_create(soft_machine_core(target->machine), &target->config, &space);

	if (error) {
		errno = -error;
		return NULL;
	}
	return library_process(target, space);
}

static struct thread *process_first_thread(struct process *process)
{
	struct thread *thread = process->threads;

	while (thread->next)
		thread = thread->next;
	return thread;
}

void library_process_exit(struct process *process)
{
	struct soft_machine *machine = process->target->machine;

	if (!process->space)
		return;
	for (struct thread *thread = process->threads; thread; thread = thread->next)
		library_thread_end(thread);
	for (unsigned i = 0; i < soft_machine_cpus(machine); i++)
		if (soft_cpu_space(soft_machine_cpu(machine, i)) == process->space)
			soft_cpu_leave(soft_machine_cpu(machine, i));
	library_unpin_all(process);
	quire_space_destroy(process->space);
	process->space = NULL;
}

static void process_free(struct process *process)
{
	struct thread *thread;

	while ((thread = process->threads)) {
		process->threads = thread->next;
		free(thread);
	}
	library_pin_free_all(process);
	while (process->notifiers)
		library_notifier_close(process->notifiers);
	free(process);
}

static void target_close(struct target *target)
{
	struct process *process;

	/* First, for a thread may sleep in a call that needs a file, or a context. */
	for (process = target->processes; process; process = process->next)
		library_process_exit(process);
	while ((process = target->processes)) {
		target->processes = process->next;
		process_free(process);
	}
	while (target->files)
		library_file_close(target->files);
	while (target->userfaults)
		library_userfault_close(target->userfaults);
	library_device_free_all(target);
	if (soft_machine_close(target->machine))
		target_fail("quire: frames are missing at the end");
	free(target);
}

/* --- */

/* Whatever lets a thread go on has made it go on already. */
static void thread_result(struct thread *thread, struct call *call)
{
	if (thread->pending)
		call->status = CALL_BLOCKED;
}

static uint64_t target_fail_nth(struct target *target, uint64_t n, bool *fired)
{
	struct quire_machine *core = soft_machine_core(target->machine);

	*fired = quire_machine_failed(core);
	return quire_machine_fail_nth(core, n);
}

const struct target_ops target_quire = {
	.name = "quire",
	.profile = profile_model,
	.open = target_open,
	.close = target_close,
	.process = target_process,
	.first_thread = process_first_thread,
	.thread = process_thread,
	.exit = library_process_exit,
	.call = library_call,
	.result = thread_result,
	.signal = library_signal,
	.userfaultfd = library_userfaultfd,
	.userfault_ioctl = library_userfault_ioctl,
	.userfault_read = library_userfault_read,
	.userfault_poll = library_userfault_poll,
	.userfault_close = library_userfault_close,
	.pagemap = library_pagemap,
	.mincore = library_mincore,
	.smaps = library_smaps,
	.maps = library_maps,
	.rss = library_rss,
	.file_shmem = library_file_shmem,
	.file_device = library_file_device,
	.file_close = library_file_close,
	.file_write = library_file_write,
	.file_read = library_file_read,
	.file_truncate = library_file_truncate,
	.file_punch = library_file_punch,
	.file_allocate = library_file_allocate,
	.file_resident = library_file_resident,
	.swapoff = library_swapoff,
	.unpin = library_unpin,
	.migrate = library_migrate,
	.notifier = library_notifier,
	.notifier_read = library_notifier_read,
	.notifier_close = library_notifier_close,
	.scan = library_scan,
	.entry = library_entry,
	.tables = library_tables,
	.dump = library_dump,
	.draw = library_draw,
	.dump_machine = library_dump_machine,
	.verify = library_verify,
	.verify_range = library_verify_range,
	.fail_nth = target_fail_nth,
	.stats = library_stats,
	.leaf_counts = library_leaf_counts,
};
