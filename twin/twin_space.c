/* SPDX-License-Identifier: MIT */
/*
 * The array of pages, and the VMAs that can be seen in it.
 *
 * Which pages make one VMA depends on what has happened to them: two that are alike may be two VMAs
 * for ever.  So each record says whether a VMA begins there.  Whatever changes a mapping splits off
 * the pages that it changes, changes them, and looks at both ends whether they are like their
 * neighbours now.
 */
#include "twin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

size_t twin_find(const struct process *process, uint64_t number)
{
	size_t low = 0, high = process->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (process->pages[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct page *twin_page_at(struct process *process, uint64_t number)
{
	size_t index = twin_find(process, number);

	if (index == process->count || process->pages[index].number != number)
		return NULL;
	return &process->pages[index];
}

size_t twin_vma_begin(const struct process *process, size_t index)
{
	while (!process->pages[index].first)
		index--;
	return index;
}

size_t twin_vma_end(const struct process *process, size_t index)
{
	do
		index++;
	while (index < process->count && !process->pages[index].first);
	return index;
}

uint64_t twin_part_end(const struct process *process, size_t index, uint64_t end)
{
	do
		index++;
	while (index < process->count && !process->pages[index].first &&
	       process->pages[index].number < end);
	return process->pages[index - 1].number + 1;
}

bool twin_mapped_in(const struct process *process, uint64_t start, uint64_t end)
{
	size_t index = twin_find(process, start);

	return index < process->count && process->pages[index].number < end;
}

static bool inside_vma(const struct process *process, uint64_t number)
{
	size_t index = twin_find(process, number);

	return index < process->count && process->pages[index].number == number &&
	       !process->pages[index].first;
}

size_t twin_splits_at(const struct process *process, uint64_t start, uint64_t end)
{
	return (size_t)inside_vma(process, start) + inside_vma(process, end);
}

bool twin_may_split(struct process *process, uint64_t number)
{
	return !inside_vma(process, number) ||
	       number * PAGE_BYTES % twin_page_bytes(twin_page_at(process, number)) == 0;
}

void twin_split(struct process *process, uint64_t number)
{
	if (!inside_vma(process, number))
		return;
	twin_leaf_cut(process, number);
	twin_page_at(process, number)->first = true;
	process->vmas++;
}

/*
 * Blocks of one VMA have one origin, so that whoever looks for all entries that map a block knows
 * where to look.  Memory that never had a block joins any; but what comes from a fork has several
 * origins, which only they share that came from the same VMA.  A VMA that grows (`grown`) takes what
 * lies behind it all the same.
 */
static bool origins_agree(const struct page *left, const struct page *right, bool grown)
{
	if (!left->origin)
		return !right->from_fork;
	if (!right->origin)
		return !left->from_fork || grown;
	return left->origin == right->origin;
}

static bool can_join(const struct page *left, const struct page *right, bool grown)
{
	return left->number + 1 == right->number && left->place + 1 == right->place &&
	       !(left->flags & BARE) && left->context == right->context &&
	       left->file == right->file &&
	       ((left->flags ^ right->flags) & ~(uint32_t)HAD_GUARDS) == 0 &&
	       origins_agree(left, right, grown);
}

/* What is not the same in the two halves of a VMA that has just been joined. */
static void unite(struct process *process, const struct page *left, const struct page *right,
		  size_t index)
{
	const struct page *known = left->origin ? left : right;
	bool same = left->origin == right->origin && left->flags == right->flags;
	uint32_t flags = left->flags | right->flags;
	uint64_t origin = known->origin;
	bool from_fork = known->from_fork;

	if (same)
		return;
	for (size_t i = twin_vma_begin(process, index), end = twin_vma_end(process, index); i < end;
	     i++) {
		process->pages[i].flags = flags;
		process->pages[i].origin = origin;
		process->pages[i].from_fork = from_fork;
	}
}

/* Makes one VMA of what ends before the page and what begins there, if nothing tells them apart. */
void twin_join(struct process *process, uint64_t number, bool grown)
{
	size_t index = twin_find(process, number);
	struct page *right = &process->pages[index];

	if (index == 0 || index == process->count || right->number != number || !right->first ||
	    !can_join(right - 1, right, grown))
		return;
	right->first = false;
	process->vmas--;
	unite(process, right - 1, right, index);
}

void twin_make_room(struct process *process, size_t count)
{
	if (count <= process->room)
		return;
	process->room = count * 2;
	process->pages = realloc(process->pages, process->room * sizeof(*process->pages));
	if (!process->pages)
		target_fail("twin: the host is out of memory");
}

/* Makes `count` pages from like->number on, which are a VMA and have empty entries. */
struct page *twin_insert(struct process *process, const struct page *like, uint64_t count)
{
	size_t index = twin_find(process, like->number);
	struct page *pages;

	if (process->count + count > PAGES_MAX)
		target_skip("twin: a process with more than %u pages is beyond the twin",
			    PAGES_MAX);
	twin_make_room(process, process->count + count);
	pages = &process->pages[index];
	memmove(pages + count, pages, (process->count - index) * sizeof(*pages));
	for (uint64_t i = 0; i < count; i++) {
		pages[i] = (struct page){
			.number = like->number + i,
			.first = i == 0,
			.from_fork = like->from_fork,
			.flags = like->flags,
			.origin = like->origin,
			.place = like->place + i,
			.file = like->file,
			.context = like->context,
		};
	}
	process->count += count;
	process->vmas++;
	return pages;
}

void twin_remove_pages(struct process *process, uint64_t start, uint64_t end)
{
	size_t from, to;

	twin_leaf_cut(process, start);
	twin_split(process, end);
	from = twin_find(process, start);
	to = twin_find(process, end);
	for (size_t i = from; i < to; i++) {
		process->vmas -= process->pages[i].first;
		twin_entry_clear(&process->pages[i]);
	}
	memmove(&process->pages[from], &process->pages[to],
		(process->count - to) * sizeof(*process->pages));
	process->count -= to - from;
}

int twin_modify(struct process *process, uint64_t start, uint64_t end, uint32_t flags,
		struct userfault *context)
{
	if (process->vmas + twin_splits_at(process, start, end) > VMAS_MAX)
		return ENOMEM;
	if (!twin_may_split(process, start) || !twin_may_split(process, end))
		return EINVAL;
	twin_split(process, start);
	twin_split(process, end);
	for (size_t i = twin_find(process, start), last = twin_find(process, end); i < last; i++) {
		process->pages[i].flags = flags;
		process->pages[i].context = context;
	}
	twin_join(process, start, false);
	twin_join(process, end, false);
	return 0;
}

/* --- origins --- */

/* Whose origin a VMA may take, so that the two can be joined when they have become alike. */
static const struct page *origin_of_neighbour(const struct page *left, const struct page *right,
					      const struct page *neighbour)
{
	uint32_t differ = (left->flags ^ right->flags) & ~(uint32_t)(MAY_ANYTHING | HAD_GUARDS);

	if (left->number + 1 != right->number || left->place + 1 != right->place ||
	    left->file != right->file || differ)
		return NULL;
	return neighbour->origin && !neighbour->from_fork ? neighbour : NULL;
}

/* The page's VMA is about to have its first block: it takes the origin of the VMA behind it, or of
 * the one before it, or a new one. */
void twin_origin_needed(struct process *process, struct page *page)
{
	size_t begin, end;
	const struct page *pages = process->pages, *taken = NULL;
	uint64_t origin;

	if (page->origin || page->flags & SHARED)
		return;
	begin = twin_vma_begin(process, (size_t)(page - pages));
	end = twin_vma_end(process, (size_t)(page - pages));
	if (end < process->count)
		taken = origin_of_neighbour(&pages[end - 1], &pages[end], &pages[end]);
	if (!taken && begin > 0)
		taken = origin_of_neighbour(&pages[begin - 1], &pages[begin], &pages[begin - 1]);
	origin = taken ? taken->origin : ++process->target->origins;
	for (size_t i = begin; i < end; i++)
		process->pages[i].origin = origin;
}

/* --- entries --- */

struct block *twin_block_new(void)
{
	return twin_allocate(sizeof(struct block));
}

struct block *twin_block_copy(const struct block *of)
{
	struct block *block = twin_block_new();

	if (of)
		memcpy(block->bytes, of->bytes, PAGE_BYTES);
	return block;
}

struct block *twin_block_at(const struct page *page)
{
	if (page->entry == DEVICE)
		return twin_file_block(page->file, page->place);
	return page->entry == MEMORY ? page->block : NULL;
}

void twin_block_left(struct block *block)
{
	if (!block->mappings && !block->swaps && !block->pins && !block->of_file)
		free(block);
}

void twin_entry_clear(struct page *page)
{
	if (page->entry == MEMORY && page->dirty)
		page->block->dirty |= page->block->of_file;
	if (page->entry == MEMORY)
		page->block->mappings--;
	if (page->entry == SWAPPED)
		page->block->swaps--;
	if (page->entry == MEMORY || page->entry == SWAPPED)
		twin_block_left(page->block);
	page->entry = NONE;
	page->block = NULL;
	page->level = 0;
	page->writable = page->young = page->dirty = false;
	page->exclusive = page->protected = page->guard = page->poison = false;
}

void twin_entry_drop(struct page *page)
{
	bool marks = page->file && page->protected;
	unsigned level = page->level;

	if (page->guard)
		return;
	if (page->entry != MARKER || page->poison)
		marks = marks && page->flags & REPORTS_WRITES;
	twin_entry_clear(page);
	if (marks) {
		page->entry = MARKER;
		page->level = level;
	}
	page->protected = marks;
}

/* The page has the block to itself, as if just written to. */
void twin_entry_set_block(struct page *page, struct block *block)
{
	twin_entry_clear(page);
	block->mappings++;
	page->entry = MEMORY;
	page->block = block;
	page->exclusive = page->young = page->dirty = true;
	page->writable = page->flags & MAY_WRITE;
}
