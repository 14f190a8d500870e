/* SPDX-License-Identifier: MIT */
/*
 * Swap: where blocks are while nobody uses them, as much of it as it takes.
 *
 * A block that leaves memory is in swap; nothing is copied.  Entries that held it are SWAPPED then, a
 * file counts as one.  In between is the swap cache: a block is in memory that others have still to
 * fetch, or that was asked for ahead of its use.
 *
 *	mappings	swaps	cached
 *	some		none	no	in memory
 *	none		some	no	in swap
 *	none		some	yes	in swap, and ready in memory
 *	some		some	yes	mapped by some, to be fetched by others
 *	some		none	yes	fetched by all, and still as it is in swap
 */
#include "twin.h"

#include <errno.h>

/* --- out --- */

/* Whoever had pinned it would go on with another. */
static void out_of_file(const struct target *target, struct page *page)
{
	struct block *block = page->block;

	twin_entry_drop(page);
	if (block->pins)
		return;
	if (!block->dirty)
		twin_file_drop(page->file, page->place);
	else
		block->swaps = target->limits.swap;
}

static void out_to_swap(struct page *page)
{
	struct block *block = page->block;

	block->mappings--;
	block->swaps++;
	block->cached = block->dirty = false;
	block->counts = true;
	page->entry = SWAPPED;
	page->writable = page->young = page->dirty = false;
}

/* What several map stays.  Without swap only what was freed lazily can go, and what a file holds that
 * nobody has written to. */
void twin_page_out(const struct target *target, struct page *page)
{
	if (page->entry != MEMORY || page->block->mappings > 1)
		return;
	if (page->block->of_file)
		out_of_file(target, page);
	else if (page->block->lazy && (page->dirty || page->block->dirty))
		page->block->lazy = false;
	else if (page->block->pins)
		return;
	else if (page->block->lazy)
		twin_entry_clear(page);
	else if (target->limits.swap)
		out_to_swap(page);
}

/* --- in --- */

void twin_block_uncache(struct block *block)
{
	block->dirty |= block->cached;
	block->cached = false;
}

void twin_swap_in(struct page *page, bool writes)
{
	struct block *block = page->block;
	bool alone = block->swaps == 1 && !block->mappings;

	/* Who is alone takes the block out of swap at once, or when it writes. */
	block->cached |= block->swaps > 1;
	page->exclusive |= alone && (writes || !block->cached);
	if (alone && writes)
		twin_block_uncache(block);
	block->swaps--;
	block->mappings++;
	page->entry = MEMORY;
	page->young = true;
	page->writable = page->exclusive && page->flags & MAY_WRITE && !page->protected;
}

void twin_block_use(struct block *block)
{
	if (!block->swaps)
		return;
	block->swaps = 0;
	block->cached = false;
	block->dirty = true;
}

/* The file's block or the entry's: the one of a private mapping of a file is not asked for. */
void twin_read_ahead(struct page *page)
{
	struct block *block = page->entry == SWAPPED ? page->block : NULL;

	if (page->file)
		block = twin_file_block(page->file, page->place);
	if (block && block->swaps)
		block->cached = true;
}

/* --- the end of it --- */

static void bring_back(struct page *page)
{
	if (page->entry == SWAPPED) {
		page->block->cached = true;
		twin_swap_in(page, false);
		page->writable = page->young = false;
	}
	if (page->entry == MEMORY && !page->block->swaps)
		twin_block_uncache(page->block);
}

int twin_swapoff(struct target *target)
{
	if (!target->limits.swap)
		return EINVAL;
	target->limits.swap = false;
	for (struct process *process = target->processes; process; process = process->next)
		for (size_t i = 0; i < process->count; i++)
			bring_back(&process->pages[i]);
	for (struct file *file = target->files; file; file = file->next)
		for (size_t i = 0; i < file->count; i++)
			twin_block_use(file->blocks[i].block);
	return 0;
}
