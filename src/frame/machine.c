/* SPDX-License-Identifier: MIT */
/*
 * Making, counting and ending a machine.
 *
 * The machine's own needs come from the start of its memory:
 *
 *	frame 0                                        reserved - 1   reserved
 *	| struct quire_machine | descriptors ............ | zero page | free frames ...
 *
 * Where the memory reads as zero already, only the first of these pages and the zero page are
 * touched, and a descriptor for each free block.
 */
#include "frame/machine.h"

#define MAX_BYTES  ((uint64_t)1 << 48)
#define MAX_FRAMES ((uint64_t)1 << 40) /* so that a physical address has 52 bits */
#define MAX_MAPS   65530

#define RECLAIM_TRIES 16
#define RECLAIM_BATCH 32 /* frames at a time */

static bool config_valid(const struct quire_machine_config *config)
{
	uint64_t frames = config->bytes >> PAGE_SHIFT;

	return config->memory && page_aligned((uintptr_t)config->memory) &&
	       page_aligned(config->bytes) && config->bytes >= QUIRE_MACHINE_MIN &&
	       config->bytes <= MAX_BYTES && config->first_frame <= MAX_FRAMES - frames;
}

/* Where the descriptors begin: behind the machine, each in a cache line of its own. */
static uint64_t descriptors_offset(void)
{
	uint64_t line = sizeof(struct frame);

	return (sizeof(struct quire_machine) + line - 1) & ~(line - 1);
}

/* Bytes of the machine and of its descriptors, in whole pages. */
static uint64_t overhead(uint64_t frames)
{
	return page_up(descriptors_offset() + frames * sizeof(struct frame));
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
	struct frame *descriptors = (struct frame *)(void *)(memory + descriptors_offset());

	machine->host = config->host;
	machine->reclaim = config->reclaim;
	machine->commit_limit =
		(config->commit_limit ? config->commit_limit : config->bytes) >> PAGE_SHIFT;
	machine->max_maps = config->max_maps ? config->max_maps : MAX_MAPS;
	machine->no_fault_around = config->no_fault_around;
	machine->report_swapped = config->report_swapped;
	machine->strict_written = config->strict_written;
	machine->execute_only = config->execute_only;
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
	struct frames *frames = &machine->frames;

	return frames->free == frames->count - frames->used[FRAME_RESERVED];
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
	return all_free(machine) ? 0 : -QUIRE_EUCLEAN;
}

/* Whether a frame could be had now. */
static bool any_free(struct quire_machine *machine)
{
	bool any;

	machine_lock(machine, &machine->frames.lock);
	any = machine->frames.free != 0;
	machine_unlock(machine, &machine->frames.lock);
	return any;
}

bool machine_reclaim(struct quire_machine *machine, unsigned *tries)
{
	bool wanted;

	if ((*tries)++ >= RECLAIM_TRIES)
		return false;
	/* A failure that was asked for (quire_machine_fail_nth) is not helped by pages. */
	wanted = atomic_exchange_explicit(&machine->frames.wanted, false, memory_order_relaxed);
	if (!wanted && reclaim_frames(machine, RECLAIM_BATCH))
		return true;
	if (machine->reclaim && machine->reclaim(machine->host))
		return true;
	/* Another thread may have given some back; or there are some, but too few for the unit. */
	return !wanted && any_free(machine);
}

static uint64_t relaxed(_Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void quire_machine_count(struct quire_machine *machine, struct quire_machine_counters *counters)
{
	struct frames *frames = &machine->frames;

	*counters = (struct quire_machine_counters){
		.frames = frames->count - relaxed(&frames->used[FRAME_RESERVED]),
		.frames_table = relaxed(&frames->used[FRAME_TABLE]),
		.frames_slab = relaxed(&frames->used[FRAME_SLAB]),
		.frames_anon = relaxed(&frames->used[FRAME_ANON]),
		.frames_shmem = relaxed(&frames->used[FRAME_SHMEM]),
		.frames_file = relaxed(&frames->used[FRAME_FILE]),
		.frames_node = relaxed(&frames->used[FRAME_NODE]),
		.frames_swap = relaxed(&frames->used[FRAME_SWAP]),
		.swap_ins = relaxed(&machine->swap_ins),
		.swap_outs = relaxed(&machine->swap_outs),
		.faults = relaxed(&machine->faults),
		.faults_zero = relaxed(&machine->faults_zero),
		.faults_copy = relaxed(&machine->faults_copy),
		.faults_reuse = relaxed(&machine->faults_reuse),
		.flushes = relaxed(&machine->flushes),
	};
	machine_lock(machine, &frames->lock);
	counters->frames_free = frames->free;
	counters->allocations = frames->allocations;
	machine_unlock(machine, &frames->lock);
	machine_lock(machine, &machine->swap.lock);
	counters->swap_slots = machine->swap.slots;
	counters->swap_used = machine->swap.used;
	machine_unlock(machine, &machine->swap.lock);
	machine_lock(machine, &machine->spaces_lock);
	counters->spaces = machine->space_count;
	machine_unlock(machine, &machine->spaces_lock);
}

uint64_t quire_machine_fail_nth(struct quire_machine *machine, uint64_t n)
{
	struct frames *frames = &machine->frames;
	uint64_t counted;

	machine_lock(machine, &frames->lock);
	counted = frames->allocations - frames->reported;
	frames->reported = frames->allocations;
	frames->fail_at = n ? frames->allocations + n : 0;
	atomic_store_explicit(&frames->failed, false, memory_order_relaxed);
	atomic_store_explicit(&frames->wanted, false, memory_order_relaxed);
	machine_unlock(machine, &frames->lock);
	return counted;
}

bool quire_machine_failed(const struct quire_machine *machine)
{
	return atomic_load_explicit(&machine->frames.failed, memory_order_relaxed);
}
