/* SPDX-License-Identifier: MIT */
/*
 * Faults on swap entries.
 *
 * The page is in the slot's cache, or it is read first, with no lock held: an errand.  What no other
 * entry asks for is not put into the cache.  Then it takes the entry's place, as protected and as exclusive as it was, and the slot has one user less.
 * What the access may not do to the page yet is another fault's business.
 */
#include "space/fault.h"
#include "space/rmap.h"

void fault_drop_slot(struct fault *fault)
{
	struct quire_machine *machine = fault->space->machine;

	if (fault->read)
		folio_put(machine, fault->read);
	if (fault->slot)
		swap_drop(machine, fault->slot);
	fault->read = NULL;
	fault->slot = 0;
}

/* One count of the slot, so that it is not used for something else meanwhile; false: the entry is
 * another one by now. */
static bool hold_slot(struct fault *fault)
{
	if (fault->slot == fault->seen.slot)
		return true;
	fault_drop_slot(fault);
	if (!table_hold_slot(&fault->space->tables, fault->page, &fault->seen))
		return false;
	fault->slot = fault->seen.slot;
	fault->slot_read = false;
	return true;
}

/*
 * Linux takes a page that is about to be one entry's own from swap, and makes it dirty then.  It does
 * so when it is written to; one that it reads for a single entry never is in the slot's cache.
 * Whether the entry has it exclusively.
 */
static bool take_from_swap(const struct fault *fault, struct folio *folio, bool alone)
{
	bool takes =
		!(fault->how & FAULT_RESTORE) && alone && (fault->slot_read || fault_writes(fault));

	if (fault->how & FAULT_RESTORE || (takes && !fault->slot_read))
		folio_mark(folio, FRAME_DIRTY);
	if (!fault->slot_read)
		folio_mark(folio, FRAME_WAS_CACHED);
	return takes || fault->seen.exclusive;
}

/* The page comes to stand there; takes over a reference to it. */
static int map_page(struct fault *fault, struct folio *folio, bool alone)
{
	const struct table_snapshot *seen = &fault->seen;
	struct table_leaf leaf = {
		.folio = folio,
		.allow = vma_permissions(fault->vma),
		.exclusive = take_from_swap(fault, folio, alone),
		.uffd_wp = seen->uffd_wp,
		.old = fault->how & FAULT_RESTORE,
	};
	int error = vma_prepare_anon(fault->space, fault->vma);

	if (error) {
		folio_put(fault->space->machine, folio);
		return error;
	}
	/* Before it counts as mapped: who maps it is who it is found through. */
	rmap_set_owner(folio, fault->vma, fault->page);
	/* What swapoff brings back the next write asks for, as on Linux. */
	leaf.allow.write = leaf.allow.write && leaf.exclusive && !(fault->how & FAULT_RESTORE) &&
			   !fault_stays_protected(fault);
	folio_exchange(folio, FRAME_ONE_REFERENCE, FRAME_ONE_MAPPING);
	return fault_install(fault, &leaf);
}

/* What the fault has read, unless others ask for it by now: then it is put into the cache. */
static struct folio *take_read(struct fault *fault, bool *alone)
{
	struct quire_machine *machine = fault->space->machine;
	struct folio *folio = fault->read;

	fault->read = NULL;
	if (!folio)
		return NULL;
	*alone = swap_sole(machine, fault->slot);
	if (*alone)
		return folio;
	swap_cache(machine, fault->slot, folio);
	folio_put(machine, folio);
	return swap_cached(machine, fault->slot, alone);
}

int fault_on_swap(struct fault *fault)
{
	struct folio *folio;
	bool alone;

	if (!hold_slot(fault))
		return 0;
	folio = swap_cached(fault->space->machine, fault->slot, &alone);
	if (!folio)
		folio = take_read(fault, &alone);
	if (folio)
		return map_page(fault, folio, alone);
	fault->errand = ERRAND_READ_SLOT;
	return -FAULT_ERRAND;
}
