/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/pagemap and mincore(2).
 */
#include "space/space.h"

static uint64_t page_word(const struct table_run *run, uint64_t page)
{
	uint64_t word = run->soft_dirty ? QUIRE_PAGEMAP_SOFT_DIRTY : 0;

	if (run->uffd_wp)
		word |= QUIRE_PAGEMAP_UFFD_WP;
	switch (run->kind) {
	case QUIRE_ENTRY_ABSENT:
		return 0;
	case QUIRE_ENTRY_LEAF:
		if (run->frame &&
		    frame_mappings(run->frame + ((page - run->start) >> PAGE_SHIFT)) == 1)
			word |= QUIRE_PAGEMAP_EXCLUSIVE;
		return word | QUIRE_PAGEMAP_PRESENT;
	case QUIRE_ENTRY_GUARD:
		word |= QUIRE_PAGEMAP_GUARD;
		break;
	default:
		break;
	}
	return word | QUIRE_PAGEMAP_SWAPPED;
}

int quire_pagemap(struct quire_space *space, uint64_t address, uint64_t pages, uint64_t *words)
{
	uint64_t bytes = pages << PAGE_SHIFT, end, shown;
	struct table_run run;

	if (!page_aligned(address) || bytes >> PAGE_SHIFT != pages || address + bytes < address)
		return -QUIRE_EINVAL;
	end = address + bytes;
	shown = min_u64(end, space->highest);
	space_read_lock(space);
	for (uint64_t page = address; page < shown;) {
		table_run(&space->tables, page, shown, false, &run);
		for (; page < run.end; page += PAGE_SIZE)
			*words++ = page_word(&run, page);
	}
	space_read_unlock(space);
	for (uint64_t page = max_u64(address, shown); page < end; page += PAGE_SIZE)
		*words++ = 0;
	return 0;
}

/* In core: what a load would find without I/O.  Memory that is not mapped yet is not, nor what a
 * marker stands for. */
static void mincore_vma(struct quire_space *space, uint64_t start, uint64_t end,
			unsigned char *pages)
{
	struct table_run run;

	for (uint64_t page = start; page < end;) {
		table_run(&space->tables, page, end, false, &run);
		for (; page < run.end; page += PAGE_SIZE)
			*pages++ = run.kind == QUIRE_ENTRY_LEAF;
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
		mincore_vma(space, page, stop, pages + ((page - address) >> PAGE_SHIFT));
		page = stop;
	}
	space_read_unlock(space);
	return error;
}
