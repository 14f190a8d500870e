/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/smaps for one VMA.
 */
#include "space/space.h"

/* A page that n entries map counts for 1/n in each; the sum is kept with 12 bits of fraction, as
 * the kernel keeps it. */
#define PSS_SHIFT 12

struct sums {
	struct quire_smaps *smaps;
	uint64_t pss, pss_dirty, swap_pss; /* << PSS_SHIFT */
};

static void add_page(struct sums *sums, const struct table_run *run, const struct folio *folio)
{
	uint32_t mappings = folio_mappings(folio);
	uint64_t share = (PAGE_SIZE << PSS_SHIFT) / (mappings ? mappings : 1);
	bool dirty = run->dirty || folio_has(folio, FRAME_DIRTY);
	struct quire_smaps *smaps = sums->smaps;

	smaps->rss += PAGE_SIZE;
	if (!folio_of_object(folio))
		smaps->anonymous += PAGE_SIZE;
	sums->pss += share;
	if (dirty)
		sums->pss_dirty += share;
	else if (folio_has(folio, FRAME_LAZYFREE))
		smaps->lazyfree += PAGE_SIZE;
	if (run->young)
		smaps->referenced += PAGE_SIZE;
	if (mappings > 1)
		*(dirty ? &smaps->shared_dirty : &smaps->shared_clean) += PAGE_SIZE;
	else
		*(dirty ? &smaps->private_dirty : &smaps->private_clean) += PAGE_SIZE;
}

/* A page in swap that n entries share counts for 1/n in each. */
static void add_swap(struct sums *sums, struct quire_machine *machine, const struct table_run *run)
{
	uint64_t pages = (run->end - run->start) >> PAGE_SHIFT;

	sums->smaps->swap += run->end - run->start;
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t count = swap_count(machine, run->number + i);

		sums->swap_pss += (PAGE_SIZE << PSS_SHIFT) / (count ? count : 1);
	}
}

static bool object_swapped(struct quire_object *object)
{
	bool any;

	object_lock(object);
	any = object->swapped != 0;
	object_unlock(object);
	return any;
}

/* What the object has in swap of [start, end). */
static void add_swapped(struct sums *sums, const struct vma *vma, uint64_t start, uint64_t end)
{
	if (!object_swapped(vma->object))
		return;
	for (uint64_t page = start; page < end; page += PAGE_SIZE)
		if (vma_swapped(vma, page))
			sums->smaps->swap += PAGE_SIZE;
}

/*
 * As on Linux: where a process may have copies of its own, the object's swap counts where it has
 * nothing, not even a marker; elsewhere always.
 */
static bool may_have_copies(const struct vma *vma)
{
	return (vma->flags & VMA_WRITE) && !(vma->flags & VMA_SHARED);
}

static void add_run(struct sums *sums, const struct vma *vma, struct quire_machine *machine,
		    const struct table_run *run)
{
	if (run->kind == QUIRE_ENTRY_SWAP)
		add_swap(sums, machine, run);
	else if (run->kind == QUIRE_ENTRY_ABSENT && vma->object && may_have_copies(vma))
		add_swapped(sums, vma, run->start, run->end);
	for (uint64_t i = 0; run->counted && i < (run->end - run->start) >> PAGE_SHIFT; i++)
		add_page(sums, run, run_folio(machine, run, i));
}

/* As the kernel prints it: whole KiB. */
static uint64_t whole_kib(uint64_t fixed)
{
	return (fixed >> PSS_SHIFT) & ~(uint64_t)1023;
}

int quire_smaps(struct quire_space *space, uint64_t address, struct quire_smaps *smaps)
{
	struct sums sums = {.smaps = smaps};
	const struct vma *vma;
	struct table_run run;

	space_read_lock(space);
	vma = vma_find(space, address);
	if (!vma_holds(vma, address)) {
		space_read_unlock(space);
		return -QUIRE_ENOENT;
	}
	*smaps = (struct quire_smaps){
		.start = vma->start,
		.end = vma->end,
		.size = vma->end - vma->start,
		.kernel_page_size = vma_page_size(vma),
		.mmu_page_size = vma_page_size(vma),
	};
	for (uint64_t page = vma->start; page < vma->end; page = run.end) {
		table_run(&space->tables, page, vma->end, false, &run);
		add_run(&sums, vma, space->machine, &run);
	}
	if (vma->object && !may_have_copies(vma))
		add_swapped(&sums, vma, vma->start, vma->end);
	smaps->pss = whole_kib(sums.pss);
	smaps->pss_dirty = whole_kib(sums.pss_dirty);
	smaps->swap_pss = whole_kib(sums.swap_pss);
	smaps->protection_key = (vma->flags & VMA_EXECUTE_ONLY) != 0;
	if (vma->flags & VMA_LOCKED)
		smaps->locked = smaps->pss;
	space_read_unlock(space);
	return 0;
}
