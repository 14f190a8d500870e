/* SPDX-License-Identifier: MIT */
/*
 * Faults on swap entries.
 *
 * The page is in the slot's cache, or it is read into it first, with no lock held: an errand.  Then
 * it takes the entry's place, as protected and as exclusive as it was, and the slot has one user less.
 * What the access may not do to the page yet is another fault's business.
 */
#include "space/fault.h"

/* Notes that the slot must be read; the count keeps it from being used for something else. */
static int send(struct fault *fault)
{
	if (fault->slot)
		swap_drop(fault->space->machine, fault->slot);
	swap_hold(fault->space->machine, fault->seen.slot);
	fault->slot = fault->seen.slot;
	fault->errand = ERRAND_READ_SLOT;
	return -FAULT_ERRAND;
}

int fault_read_slot(struct fault *fault)
{
	struct quire_machine *machine = fault->space->machine;
	struct frame *frame = frame_alloc(machine, 0);
	int error;

	if (!frame)
		return -NO_FRAMES;
	error = quire_port_swap_read(machine->host, fault->slot, frame_memory(machine, frame));
	if (error) {
		frame_free(machine, frame);
		return error;
	}
	machine_bump(&machine->swap_ins);
	frame_make_anon(machine, frame);
	frame_exchange(frame, FRAME_ONE_MAPPING, FRAME_ONE_REFERENCE);
	swap_cache(machine, fault->slot, frame); /* unless another is there by now */
	frame_put(machine, frame);
	return 0;
}

int fault_on_swap(struct fault *fault)
{
	const struct table_snapshot *seen = &fault->seen;
	struct table_leaf leaf = {
		.allow = vma_permissions(fault->vma),
		.exclusive = seen->exclusive,
		.uffd_wp = seen->uffd_wp,
	};

	leaf.frame = swap_cached(fault->space->machine, seen->slot);
	if (!leaf.frame)
		return send(fault);
	leaf.allow.write = leaf.allow.write && leaf.exclusive && !fault_stays_protected(fault);
	frame_exchange(leaf.frame, FRAME_ONE_REFERENCE, FRAME_ONE_MAPPING);
	return fault_install(fault, &leaf);
}
