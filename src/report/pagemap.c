/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/pagemap and mincore(2).
 */
#include "object/object.h"
#include "space/space.h"

static uint64_t folio_word(const struct folio *folio)
{
	uint64_t word = folio_of_object(folio) ? QUIRE_PAGEMAP_FILE : 0;

	return folio_mapped_by(folio, 1) ? word | QUIRE_PAGEMAP_EXCLUSIVE : word;
}

static uint64_t page_word(struct quire_machine *machine, const struct table_run *run, uint64_t page)
{
	uint64_t word = run->soft_dirty ? QUIRE_PAGEMAP_SOFT_DIRTY : 0;
	const struct folio *folio;

	if (run->uffd_wp)
		word |= QUIRE_PAGEMAP_UFFD_WP;
	switch (run->kind) {
	case QUIRE_ENTRY_ABSENT:
		return 0;
	case QUIRE_ENTRY_LEAF:
	case QUIRE_ENTRY_MIGRATION:
		folio = run_folio(machine, run, (page - run->start) >> PAGE_SHIFT);
		word |= QUIRE_PAGEMAP_PRESENT | (run->device ? QUIRE_PAGEMAP_FILE : 0);
		return folio ? word | folio_word(folio) : word;
	case QUIRE_ENTRY_GUARD:
		word |= QUIRE_PAGEMAP_GUARD;
		break;
	default:
		break;
	}
	return word | QUIRE_PAGEMAP_SWAPPED;
}

/* Of the page in a run; nothing is told of bare frames, nor of what was copied from them. */
static uint64_t word_at(struct quire_space *space, const struct table_run *run, uint64_t page,
			const struct vma **vma)
{
	if (run->kind == QUIRE_ENTRY_ABSENT && !run->evicted)
		return 0;
	if (!*vma || page >= (*vma)->end)
		*vma = vma_find(space, page);
	if ((*vma)->flags & VMA_PFNMAP)
		return 0;
	if (run->evicted && vma_swapped(*vma, page))
		return QUIRE_PAGEMAP_SWAPPED;
	return page_word(space->machine, run, page);
}

int quire_pagemap(struct quire_space *space, uint64_t address, uint64_t pages, uint64_t *words)
{
	uint64_t bytes = pages << PAGE_SHIFT, end, shown;
	const struct vma *vma = NULL;
	struct table_run run;

	if (!page_aligned(address) || bytes >> PAGE_SHIFT != pages || address + bytes < address)
		return -QUIRE_EINVAL;
	end = address + bytes;
	shown = min_u64(end, space->highest);
	space_read_lock(space);
	for (uint64_t page = address; page < shown;) {
		table_run(&space->tables, page, shown, false, &run);
		for (; page < run.end; page += PAGE_SIZE)
			*words++ = word_at(space, &run, page, &vma);
	}
	space_read_unlock(space);
	for (uint64_t page = max_u64(address, shown); page < end; page += PAGE_SIZE)
		*words++ = 0;
	return 0;
}

/* In core: what a load would find without I/O.  Of memory that is not mapped now that is what its
 * object has in the cache.  A page may be back from swap without being mapped. */
static bool in_core(struct quire_machine *machine, const struct vma *vma,
		    const struct table_run *run, uint64_t page)
{
	if (vma->flags & VMA_PFNMAP)
		return false;
	if (run_maps(run))
		return true;
	if (run->kind == QUIRE_ENTRY_SWAP)
		return swap_in_core(machine, run->number + ((page - run->start) >> PAGE_SHIFT));
	return vma->object && object_in_core(vma->object, vma_index(vma, page));
}

static void mincore_vma(struct quire_space *space, const struct vma *vma, uint64_t start,
			uint64_t end, unsigned char *pages)
{
	struct table_run run;

	for (uint64_t page = start; page < end;) {
		table_run(&space->tables, page, end, false, &run);
		for (; page < run.end; page += PAGE_SIZE)
			*pages++ = in_core(space->machine, vma, &run, page);
	}
}

int quire_mincore(struct quire_space *space, uint64_t address, uint64_t length,
		  unsigned char *pages)
{
	uint64_t end = address + page_up(length);
	int error = 0;

	if (!page_aligned(address))
		return -QUIRE_EINVAL;
	if (!space_holds(space, address, length))
		return -QUIRE_ENOMEM;
	space_read_lock(space);
	for (uint64_t page = address; page < end && !error;) {
		const struct vma *vma = vma_find(space, page);
		uint64_t stop;

		if (!vma_holds(vma, page)) {
			error = -QUIRE_ENOMEM;
			break;
		}
		stop = min_u64(end, vma->end);
		mincore_vma(space, vma, page, stop, pages + ((page - address) >> PAGE_SHIFT));
		page = stop;
	}
	space_read_unlock(space);
	return error;
}
