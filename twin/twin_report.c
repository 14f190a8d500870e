/* SPDX-License-Identifier: MIT */
/*
 * What can be seen of a process: pagemap, mincore, maps, smaps, rss.
 */
#include "twin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PAGEMAP_EXCLUSIVE (UINT64_C(1) << 56)
#define PAGEMAP_PROTECTED (UINT64_C(1) << 57)
#define PAGEMAP_GUARD	  (UINT64_C(1) << 58)
#define PAGEMAP_FILE	  (UINT64_C(1) << 61)
#define PAGEMAP_SWAPPED	  (UINT64_C(1) << 62)
#define PAGEMAP_PRESENT	  (UINT64_C(1) << 63)

/* A marker is told as if it were swapped out. */
static uint64_t pagemap_word(const struct page *page)
{
	uint64_t word = 0;

	if (page->flags & BARE)
		return 0;
	if (page->entry == DEVICE)
		word |= PAGEMAP_PRESENT | PAGEMAP_FILE;
	if (page->entry == MEMORY && page->block->mappings == 1)
		word |= PAGEMAP_EXCLUSIVE;
	if (page->entry == MEMORY || page->entry == ZEROS)
		word |= PAGEMAP_PRESENT;
	if (page->entry == MEMORY && page->block->of_file)
		word |= PAGEMAP_FILE;
	if (page->entry == MARKER || page->entry == SWAPPED)
		word |= PAGEMAP_SWAPPED;
	if (page->protected)
		word |= PAGEMAP_PROTECTED;
	if (page->guard)
		word |= PAGEMAP_GUARD;
	return word;
}

int twin_report_pagemap(struct process *process, uint64_t address, uint64_t pages, uint64_t *bits)
{
	uint64_t number = address / PAGE_BYTES;

	memset(bits, 0, pages * sizeof(*bits));
	for (size_t i = twin_find(process, number);
	     i < process->count && process->pages[i].number - number < pages; i++)
		bits[process->pages[i].number - number] = pagemap_word(&process->pages[i]);
	return 0;
}

static bool in_core(const struct page *page)
{
	if (page->flags & BARE)
		return false;
	if (page->entry == SWAPPED)
		return page->block->cached;
	return page->entry == DEVICE || page->entry == MEMORY || page->entry == ZEROS ||
	       (page->file && twin_file_shows(page->file, page->place));
}

int twin_report_mincore(struct process *process, uint64_t address, uint64_t length,
			unsigned char *pages)
{
	uint64_t highest = process->target->limits.highest;

	if (address % PAGE_BYTES)
		return EINVAL;
	if (address > highest || length > highest - address)
		return ENOMEM;
	for (uint64_t i = 0; i < round_up(length) / PAGE_BYTES; i++) {
		const struct page *page = twin_page_at(process, address / PAGE_BYTES + i);

		if (!page)
			return ENOMEM;
		pages[i] = in_core(page);
	}
	return 0;
}

/* --- VMAs --- */

/* In the order of the flags; all memory may always be given more permissions. */
static void write_letters(uint32_t flags, char *letters)
{
	static const char names[][3] = {"rd", "wr", "ex", "um", "gu", "uw", "lo", "sr", "rr",
					"dc", "ac", "nr", "wf", "dd", "hg", "nh", "mg", "ui"};
	static const char bare[][3] = {"pf", "", "", "io", "", "", "de"};

	*letters = '\0';
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i][0] == 'u' && names[i][1] == 'm')
			letters += sprintf(letters, "%smr mw %s%s", flags & SHARED ? "sh " : "",
					   flags & BARE ? "" : "me ", flags & SHARED ? "ms " : "");
		if (flags >> i & 1)
			letters += sprintf(letters, "%s ", names[i]);
		/* Behind the letters of what comes before it, where that is or not. */
		if (flags & BARE && i >= 3 && i <= 9 && *bare[i - 3])
			letters += sprintf(letters, "%s ", bare[i - 3]);
	}
	letters[-1] = '\0';
}

int twin_report_maps(struct process *process, struct target_vma **vmas, size_t *count)
{
	*vmas = twin_allocate((process->vmas + 1) * sizeof(**vmas));
	*count = 0;
	for (size_t i = 0; i < process->count; i = twin_vma_end(process, i)) {
		const struct page *page = &process->pages[i];
		struct target_vma *vma = &(*vmas)[(*count)++];

		vma->start = page->number * PAGE_BYTES;
		vma->end = (process->pages[twin_vma_end(process, i) - 1].number + 1) * PAGE_BYTES;
		vma->prot[0] = page->flags & MAY_READ ? 'r' : '-';
		vma->prot[1] = page->flags & MAY_WRITE ? 'w' : '-';
		vma->prot[2] = page->flags & MAY_EXECUTE ? 'x' : '-';
		vma->shared = page->flags & SHARED;
		vma->file = page->file && !page->file->nameless;
		vma->offset = vma->file ? page->place * PAGE_BYTES : 0;
		write_letters(page->flags, vma->flags);
	}
	return 0;
}

/* What smaps adds up, in bytes; shares of blocks in 1/4096 of one. */
struct sums {
	uint64_t resident, anonymous, share, share_dirty, referenced, lazy, swap, swap_share;
	uint64_t shared_clean, shared_dirty, private_clean, private_dirty;
};

static void add_memory(struct sums *sums, const struct page *page)
{
	const struct block *block = page->block;
	bool dirty = page->dirty || block->dirty, shared = block->mappings > 1;
	uint64_t share = (PAGE_BYTES << 12) / block->mappings;

	sums->resident += PAGE_BYTES;
	sums->anonymous += block->of_file ? 0 : PAGE_BYTES;
	sums->share += share;
	if (dirty)
		sums->share_dirty += share;
	if (page->young)
		sums->referenced += PAGE_BYTES;
	if (block->lazy && !dirty)
		sums->lazy += PAGE_BYTES;
	if (shared)
		*(dirty ? &sums->shared_dirty : &sums->shared_clean) += PAGE_BYTES;
	else
		*(dirty ? &sums->private_dirty : &sums->private_clean) += PAGE_BYTES;
}

/* A page of the file counts where a mapping could have it. */
static bool file_has_in_swap(const struct page *page)
{
	const struct block *block;

	if (!page->file ||
	    (page->entry != NONE && (page->flags & (SHARED | MAY_WRITE)) == MAY_WRITE))
		return false;
	block = twin_file_block(page->file, page->place);
	return block && block->swaps;
}

static void add(struct sums *sums, const struct page *page)
{
	if (page->entry == MEMORY)
		add_memory(sums, page);
	if (page->entry == SWAPPED)
		sums->swap_share += (PAGE_BYTES << 12) / page->block->swaps;
	sums->swap += page->entry == SWAPPED ? PAGE_BYTES : 0;
	sums->swap += file_has_in_swap(page) ? PAGE_BYTES : 0;
}

static void put(struct target_smaps *smaps, const char *name, uint64_t value)
{
	snprintf(smaps->field[smaps->count].name, sizeof(smaps->field->name), "%s", name);
	smaps->field[smaps->count++].value = value;
}

/* smaps counts in KiB. */
static uint64_t whole(uint64_t share)
{
	return share >> 12 & ~UINT64_C(1023);
}

static void put_sums(struct target_smaps *smaps, const struct sums *sums, const struct page *page)
{
	uint32_t flags = page->flags;

	put(smaps, "Size", smaps->end - smaps->start);
	put(smaps, "KernelPageSize", twin_page_bytes(page));
	put(smaps, "MMUPageSize", twin_page_bytes(page));
	put(smaps, "Rss", sums->resident);
	put(smaps, "Pss", whole(sums->share));
	put(smaps, "Pss_Dirty", whole(sums->share_dirty));
	put(smaps, "Shared_Clean", sums->shared_clean);
	put(smaps, "Shared_Dirty", sums->shared_dirty);
	put(smaps, "Private_Clean", sums->private_clean);
	put(smaps, "Private_Dirty", sums->private_dirty);
	put(smaps, "Referenced", sums->referenced);
	put(smaps, "Anonymous", sums->anonymous);
	put(smaps, "LazyFree", sums->lazy);
	put(smaps, "Swap", sums->swap);
	put(smaps, "SwapPss", whole(sums->swap_share));
	put(smaps, "Locked", flags & LOCKED ? whole(sums->share) : 0);
	put(smaps, "ProtectionKey", flags & NO_DATA ? 1 : 0);
}

int twin_report_smaps(struct process *process, uint64_t address, struct target_smaps *smaps)
{
	const struct page *page = twin_page_at(process, address / PAGE_BYTES);
	struct sums sums = {0};
	size_t begin, end;

	if (!page)
		return ENOENT;
	begin = twin_vma_begin(process, (size_t)(page - process->pages));
	end = twin_vma_end(process, begin);
	for (size_t i = begin; i < end; i++)
		add(&sums, &process->pages[i]);
	smaps->start = process->pages[begin].number * PAGE_BYTES;
	smaps->end = (process->pages[end - 1].number + 1) * PAGE_BYTES;
	smaps->count = 0;
	put_sums(smaps, &sums, page);
	write_letters(page->flags, smaps->flags);
	return 0;
}

int twin_report_rss(struct process *process, struct target_rss *rss)
{
	*rss = (struct target_rss){.anon = 0};
	for (size_t i = 0; i < process->count; i++) {
		struct sums sums = {0};

		add(&sums, &process->pages[i]);
		rss->anon += sums.anonymous;
		rss->shmem += sums.resident - sums.anonymous;
		rss->swap += sums.swap;
	}
	return 0;
}
