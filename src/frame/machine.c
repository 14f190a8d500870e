/* SPDX-License-Identifier: MIT */
/*
 * Making, counting and ending a machine.
 *
 * The machine's own needs come from the start of its memory:
 *
 *	frame 0                                            reserved - 1   reserved
 *	| struct quire_machine | CPUs | descriptors ......... | zero page | free frames ...
 *
 * Where the memory reads as zero already, only the first of these pages and the zero page are
 * touched, and a descriptor for each free block.
 */
#include "frame/machine.h"
#include <quire/thread.h>

#define MAX_BYTES ((uint64_t)1 << 48)
#define MAX_MAPS  65530

#define RECLAIM_TRIES 16
#define RECLAIM_BATCH 32 /* frames at a time */

static bool config_valid(const struct quire_machine_config *config)
{
	uint64_t frames = config->bytes >> PAGE_SHIFT;

	return config->memory && page_aligned((uintptr_t)config->memory) &&
	       page_aligned(config->bytes) && config->bytes >= QUIRE_MACHINE_MIN &&
	       config->bytes <= MAX_BYTES && config->first_frame <= MACHINE_FRAMES_MAX - frames &&
	       config->cpus <= QUIRE_CPUS_MAX;
}

/* How many CPUs have a cache of free frames: those of all hold an eighth of the frames at most. */
static uint32_t count_cpus(uint64_t frames)
{
	uint32_t cpus = MACHINE_CPUS_MAX;

	while (cpus > 1 && cpus * FRAME_CACHE_LIMIT > frames / 8)
		cpus /= 2;
	return cpus;
}

/*
 * Where what follows the machine begins: the caches, the counts, the descriptors.  All of them are
 * whole cache lines.
 */
static uint64_t caches_offset(void)
{
	return sizeof(struct quire_machine);
}
static uint64_t counts_offset(uint64_t frames)
{
	return caches_offset() + count_cpus(frames) * sizeof(struct frame_cache);
}
static uint64_t descriptors_offset(uint64_t frames)
{
	return counts_offset(frames) + count_cpus(frames) * sizeof(struct machine_counts);
}

/* Bytes of the machine, its CPUs and its descriptors, in whole pages. */
static uint64_t overhead(uint64_t frames)
{
	return page_up(descriptors_offset(frames) + frames * sizeof(struct frame));
}

static void reserve(struct frame *frame)
{
	frame->kind = FRAME_RESERVED;
}

static void init(struct quire_machine *machine, const struct quire_machine_config *config)
{
	uint64_t frames = config->bytes >> PAGE_SHIFT;
	uint64_t reserved = (overhead(frames) >> PAGE_SHIFT) + 1;
	char *memory = config->memory;
	struct frame *descriptors = (void *)(memory + descriptors_offset(frames));

	machine->host = config->host;
	machine->cpus = count_cpus(frames);
	machine->frames.caches = (void *)(memory + caches_offset());
	machine->faults = (void *)(memory + counts_offset(frames));
	machine->reclaim = config->reclaim;
	machine->log = config->log;
	machine->commit_limit =
		(config->commit_limit ? config->commit_limit : config->bytes) >> PAGE_SHIFT;
	machine->max_maps = config->max_maps ? config->max_maps : MAX_MAPS;
	machine->no_fault_around = config->no_fault_around;
	machine->report_swapped = config->report_swapped;
	machine->strict_written = config->strict_written;
	machine->execute_only = config->execute_only;
	machine->software_accessed = config->software_accessed;
	machine->cpu_words = (uint16_t)(config->cpus ? (config->cpus + 63) / 64 : 1);
	list_init(&machine->spaces);
	list_init(&machine->objects);
	machine->next_tag = 1;
	frames_init(machine, descriptors, memory, config->first_frame, frames, reserved);
	slabs_init(machine);
	reserve(&descriptors[0]);
	machine->zero_page = &descriptors[reserved - 1];
	reserve(machine->zero_page);
}

int quire_machine_create(const struct quire_machine_config *config, struct quire_machine **machine)
{
	char *memory = config->memory;
	uint64_t bytes;

	if (!config_valid(config))
		return -QUIRE_EINVAL;
	bytes = overhead(config->bytes >> PAGE_SHIFT);
	if (!config->zeroed)
		memset(memory, 0, bytes + PAGE_SIZE);
	*machine = (struct quire_machine *)(void *)memory;
	init(*machine, config);
	return 0;
}

/* Whether every frame but the machine's own has come back. */
static bool all_free(struct quire_machine *machine)
{
	return frames_free(machine) == machine->frames.count - frames_used(machine, FRAME_RESERVED);
}

int quire_machine_destroy(struct quire_machine *machine)
{
	uint64_t spaces;

	machine_lock(machine, &machine->spaces_lock);
	spaces = machine->space_count;
	machine_unlock(machine, &machine->spaces_lock);
	if (spaces)
		return -QUIRE_EBUSY;
	swap_end(machine);
	device_memory_forget(machine);
	return all_free(machine) ? 0 : -QUIRE_EUCLEAN;
}

_Atomic uint32_t *machine_reclaiming(struct quire_machine *machine)
{
	struct quire_thread *thread = quire_port_current(machine->host);

	return thread ? &thread->reclaiming : &machine->reclaiming;
}

/* Pages leave memory, or the host gives some back.  What that allocates on its way, to keep a page,
 * must do with what there is: so this is never more than one deep. */
static bool gain(struct quire_machine *machine, bool pages)
{
	_Atomic uint32_t *mark = machine_reclaiming(machine);
	bool gained;

	if (atomic_exchange_explicit(mark, true, memory_order_acquire) &&
	    !QUIRE_MISTAKE(RECLAIM_RECURSES))
		return false;
	gained = pages && reclaim_frames(machine, RECLAIM_BATCH);
	if (!gained && machine->reclaim)
		gained = machine->reclaim(machine->host);
	atomic_store_explicit(mark, false, memory_order_release);
	spare_fill(machine);
	return gained;
}

bool machine_reclaim(struct quire_machine *machine, unsigned *tries)
{
	bool wanted;

	if ((*tries)++ >= RECLAIM_TRIES)
		return false;
	/* A failure that was asked for (quire_machine_fail_nth) is not helped by pages. */
	wanted = atomic_exchange_explicit(&machine->frames.wanted, false, memory_order_relaxed);
	if (gain(machine, !wanted))
		return true;
	/* Another thread may have given some back; or there are some, but too few for the unit. */
	return !wanted && frames_free(machine) != 0;
}

static uint64_t sum_of(const struct quire_machine *machine, enum machine_count count)
{
	uint64_t sum = 0;

	for (unsigned cpu = 0; cpu < machine->cpus; cpu++)
		sum += atomic_load_explicit(&machine->faults[cpu].of[count], memory_order_relaxed);
	return sum;
}

static void count_levels(const struct quire_machine *machine,
			 struct quire_machine_counters *counters)
{
	for (unsigned i = 0; i < QUIRE_LEAF_LEVELS; i++) {
		counters->level[i].protected_leaves =
			atomic_load_explicit(&machine->protected_leaves[i], memory_order_relaxed);
		counters->level[i].cut_leaves =
			atomic_load_explicit(&machine->cut_leaves[i], memory_order_relaxed);
	}
}

void quire_machine_count(struct quire_machine *machine, struct quire_machine_counters *counters)
{
	*counters = (struct quire_machine_counters){
		.frames = machine->frames.count - frames_used(machine, FRAME_RESERVED),
		.frames_free = frames_free(machine),
		.frames_table = frames_used(machine, FRAME_TABLE),
		.frames_slab = frames_used(machine, FRAME_SLAB),
		.frames_anon = frames_used(machine, FRAME_ANON),
		.frames_shmem = frames_used(machine, FRAME_SHMEM),
		.frames_file = frames_used(machine, FRAME_FILE),
		.frames_node = frames_used(machine, FRAME_NODE),
		.frames_swap = frames_used(machine, FRAME_SWAP),
		.swap_ins = sum_of(machine, COUNT_SWAP_INS),
		.swap_outs = sum_of(machine, COUNT_SWAP_OUTS),
		.faults = sum_of(machine, COUNT_FAULTS),
		.faults_zero = sum_of(machine, COUNT_FAULTS_ZERO),
		.faults_copy = sum_of(machine, COUNT_FAULTS_COPY),
		.faults_reuse = sum_of(machine, COUNT_FAULTS_REUSE),
		.shadow_stacks_misplaced = sum_of(machine, COUNT_SHADOW_STACKS),
		.flushes = sum_of(machine, COUNT_FLUSHES),
		.allocations = frames_allocations(machine),
	};
	machine_lock(machine, &machine->swap.lock);
	counters->swap_slots = machine->swap.slots;
	counters->swap_used = machine->swap.used;
	machine_unlock(machine, &machine->swap.lock);
	machine_lock(machine, &machine->spaces_lock);
	counters->spaces = machine->space_count;
	machine_unlock(machine, &machine->spaces_lock);
	count_levels(machine, counters);
}

uint64_t quire_machine_fail_nth(struct quire_machine *machine, uint64_t n)
{
	struct frames *frames = &machine->frames;
	uint64_t counted, now;

	machine_lock(machine, &frames->lock);
	now = frames_allocations(machine);
	counted = now - frames->reported;
	frames->reported = now;
	atomic_store_explicit(&frames->fail_in, (int64_t)min_u64(n, INT64_MAX),
			      memory_order_relaxed);
	atomic_store_explicit(&frames->failed, false, memory_order_relaxed);
	atomic_store_explicit(&frames->wanted, false, memory_order_relaxed);
	machine_unlock(machine, &frames->lock);
	return counted;
}

bool quire_machine_failed(const struct quire_machine *machine)
{
	return atomic_load_explicit(&machine->frames.failed, memory_order_relaxed);
}
