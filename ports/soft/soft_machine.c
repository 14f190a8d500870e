/* SPDX-License-Identifier: MIT */
/*
 * Machines and their CPUs: what is made once, and who uses which CPU.
 *
 * A CPU belongs to the thread that entered it, until that thread leaves it.  Ownership is written
 * before quire_space_enter() and taken back after quire_space_leave(), so a thread that finds the
 * CPU in the mask of a flush also finds its owner.
 */
#include "soft_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define DEFAULT_MEMORY ((uint64_t)64 << 20)

_Noreturn void quire_port_panic(void *host, const char *file, int line, const char *what)
{
	(void)host;
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}

static void require(bool condition, const char *what)
{
	if (!condition)
		quire_port_panic(NULL, __FILE__, __LINE__, what);
}

static bool machine_reclaim(void *host)
{
	struct soft_machine *machine = host;

	return machine->reclaim(machine->context);
}

static void machine_log(void *host, const char *what, uint64_t address)
{
	struct soft_machine *machine = host;

	machine->log(machine->context, what, address);
}

int quire_port_swap_write(void *host, uint64_t slot, const void *memory)
{
	struct soft_swap *swap = ((struct soft_machine *)host)->swap;
	const soft_cell64 *from = memory;
	uint64_t copy[QUIRE_PAGE_SIZE / sizeof(uint64_t)];

	/* A CPU may get hold of the page again and change it; a compressor must not see that. */
	for (size_t i = 0; i < QUIRE_PAGE_SIZE / sizeof(uint64_t); i++)
		copy[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
	return swap->write(swap, slot, copy);
}

int quire_port_swap_read(void *host, uint64_t slot, void *memory)
{
	struct soft_swap *swap = ((struct soft_machine *)host)->swap;

	return swap->read(swap, slot, memory);
}

void quire_port_swap_free(void *host, uint64_t slot)
{
	struct soft_swap *swap = ((struct soft_machine *)host)->swap;

	swap->free(swap, slot);
}

static void machine_free(struct soft_machine *machine)
{
	for (unsigned i = 0; i < machine->cpus; i++)
		free(machine->cpu[i]);
	if (machine->memory)
		munmap(machine->memory, machine->bytes);
	free(machine);
}

static bool machine_add_cpu(struct soft_machine *machine)
{
	struct soft_cpu *cpu = aligned_alloc(alignof(struct soft_cpu), sizeof(*cpu));

	if (!cpu)
		return false;
	memset(cpu, 0, sizeof(*cpu));
	cpu->machine = machine;
	cpu->number = machine->cpus;
	memcpy(cpu->tlb, soft_tlb_nothing, sizeof(cpu->tlb));
	atomic_store(&cpu->attention, machine->membarrier ? 0 : SOFT_FENCE);
	atomic_store(&cpu->lookup, machine->membarrier ? cpu->tlb : soft_tlb_nothing);
	machine->cpu[machine->cpus++] = cpu;
	return true;
}

static bool machine_map(struct soft_machine *machine, uint64_t bytes, bool huge_pages)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return false;
	if (huge_pages)
		madvise(memory, bytes, MADV_HUGEPAGE); /* where the host refuses it does without */
	machine->memory = memory;
	machine->bytes = bytes;
	return true;
}

static int machine_create_core(struct soft_machine *machine, const struct soft_config *config)
{
	struct quire_machine_config core = {
		.host = machine,
		.memory = machine->memory,
		.bytes = machine->bytes,
		.first_frame = SOFT_FIRST_FRAME,
		.zeroed = true,
		.cpus = machine->cpus,
		.commit_limit = config->commit_limit,
		.max_maps = config->max_maps,
		.no_fault_around = config->no_fault_around,
		.report_swapped = config->report_swapped,
		.strict_written = config->strict_written,
		.execute_only = config->execute_only,
		.software_accessed = config->software_accessed,
		.reclaim = config->reclaim ? machine_reclaim : NULL,
		.log = config->log ? machine_log : NULL,
	};

	return quire_machine_create(&core, &machine->core);
}

int soft_machine_open(const struct soft_config *config, struct soft_machine **result)
{
	unsigned cpus = config->cpus ? config->cpus : 1;
	struct soft_machine *machine;
	int error = -QUIRE_ENOMEM;

	if (cpus > SOFT_CPUS_MAX)
		return -QUIRE_EINVAL;
	machine = calloc(1, sizeof(*machine));
	if (!machine)
		return -QUIRE_ENOMEM;
	machine->reclaim = config->reclaim;
	machine->log = config->log;
	machine->context = config->context;
	machine->membarrier = soft_flush_prepare();
	while (machine->cpus < cpus)
		if (!machine_add_cpu(machine))
			goto fail;
	if (!machine_map(machine, config->memory ? config->memory : DEFAULT_MEMORY,
			 config->huge_pages))
		goto fail;
	error = machine_create_core(machine, config);
	if (!error && config->swap)
		error = quire_swapon(machine->core, config->swap->slots);
	if (error)
		goto fail;
	machine->swap = config->swap;
	*result = machine;
	return 0;

fail:
	machine_free(machine);
	return error;
}

int soft_machine_close(struct soft_machine *machine)
{
	int error;

	for (unsigned i = 0; i < machine->cpus; i++)
		require(!machine->cpu[i]->space, "a machine is closed while a CPU is in a space");
	error = quire_machine_destroy(machine->core);
	if (error == -QUIRE_EBUSY)
		return error;
	if (machine->swap)
		machine->swap->close(machine->swap);
	machine_free(machine);
	return error;
}

struct quire_machine *soft_machine_core(const struct soft_machine *machine)
{
	return machine->core;
}

unsigned soft_machine_cpus(const struct soft_machine *machine)
{
	return machine->cpus;
}

struct soft_cpu *soft_machine_cpu(const struct soft_machine *machine, unsigned number)
{
	require(number < machine->cpus, "a machine has no CPU of that number");
	return machine->cpu[number];
}

unsigned char *soft_machine_frame(const struct soft_machine *machine, uint64_t frame)
{
	uint64_t index = frame - SOFT_FIRST_FRAME;

	return index < machine->bytes / QUIRE_PAGE_SIZE
		       ? machine->memory + index * QUIRE_PAGE_SIZE
		       : quire_device_memory_at(machine->core, frame);
}

/* One more than the number of the CPU that the thread entered last; 0: none yet. */
static _Thread_local unsigned thread_cpu;

unsigned quire_port_cpu(void *host)
{
	static _Atomic unsigned threads;

	(void)host;
	if (!thread_cpu)
		thread_cpu = 1 + atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed);
	return thread_cpu - 1;
}

/* Makes the CPU the calling thread's. */
static void cpu_take(struct soft_cpu *cpu)
{
	const void *self = soft_thread_mark();
	const void *owner = atomic_load_explicit(&cpu->owner, memory_order_relaxed);

	if (owner == self)
		return;
	require(!owner && atomic_compare_exchange_strong(&cpu->owner, &owner, self),
		"a CPU is entered that another thread uses");
}

/* Forgets first: once the space does not know the CPU any more, no flush would tell it. */
static void cpu_leave_space(struct soft_cpu *cpu)
{
	soft_tlb_forget_all(cpu);
	quire_space_leave(cpu->space, cpu->number);
	cpu->space = NULL;
}

void soft_cpu_enter(struct soft_cpu *cpu, struct quire_space *space)
{
	cpu_take(cpu);
	thread_cpu = cpu->number + 1;
	if (cpu->space == space)
		return;
	if (cpu->space)
		cpu_leave_space(cpu);
	quire_space_enter(space, cpu->number);
	cpu->space = space;
}

void soft_cpu_leave(struct soft_cpu *cpu)
{
	if (!cpu->space)
		return;
	cpu_leave_space(cpu);
	atomic_store_explicit(&cpu->owner, NULL, memory_order_release);
}

struct quire_space *soft_cpu_space(const struct soft_cpu *cpu)
{
	return cpu->space;
}

struct soft_counters soft_cpu_counters(const struct soft_cpu *cpu)
{
	return cpu->counters;
}
