/* SPDX-License-Identifier: MIT */
/*
 * Pages that are worked on together: see reclaim.h.
 */
#include "reclaim/reclaim.h"

/*
 * What is of the same owner now may be another's by the time of the walk.  Then that finds no entry
 * of it, which is as if it had no time to.
 */
static bool belongs(const struct folio *folio, const struct folio *first)
{
	return folio->head.kind == first->head.kind && folio_owner(folio) == folio_owner(first);
}

void batch_begin(struct batch *batch, struct quire_machine *machine, struct folio **folios,
		 unsigned count)
{
	*batch = (struct batch){.machine = machine, .folios = folios, .count = 1};
	if (!rmap_hold_owner(machine, folios[0], &batch->owner))
		return;
	for (unsigned i = 1; i < count; i++) {
		struct folio *folio = folios[i];

		if (!belongs(folio, folios[0]))
			continue;
		folios[i] = folios[batch->count];
		folios[batch->count++] = folio;
	}
}

void batch_end(struct batch *batch)
{
	rmap_drop_owner(batch->machine, &batch->owner);
}

void batch_walk(struct batch *batch, bool write, rmap_visit *visit, void *context)
{
	uint64_t first = UINT64_MAX, end = 0;

	if (!batch->owner.rmap)
		return;
	for (unsigned i = 0; i < batch->count; i++) {
		first = min_u64(first, folio_index(batch->folios[i]));
		end = max_u64(end, folio_index(batch->folios[i]) + 1);
	}
	rmap_walk_with(batch->machine, batch->owner.rmap, first, end, write, visit, context);
}

bool batch_place(const struct folio *folio, const struct vma *vma, uint64_t start, uint64_t stop,
		 uint64_t *address)
{
	*address = start + ((folio_index(folio) - vma_index(vma, start)) << PAGE_SHIFT);
	return *address >= start && *address < stop;
}
