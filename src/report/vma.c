/* SPDX-License-Identifier: MIT */
/*
 * What /proc/PID/maps and the sizes in /proc/PID/status tell.
 */
#include "space/space.h"

static const struct {
	uint64_t flag;
	char letters[3];
} vm_flags[] = {
	{VMA_READ, "rd"},	{VMA_WRITE, "wr"},	{VMA_EXEC, "ex"},
	{VMA_SHARED, "sh"},	{VMA_MAYREAD, "mr"},	{VMA_MAYWRITE, "mw"},
	{VMA_MAYEXEC, "me"},	{VMA_MAYSHARE, "ms"},	{VMA_UFFD_MISSING, "um"},
	{VMA_PFNMAP, "pf"},	{VMA_GUARD, "gu"},	{VMA_UFFD_WP, "uw"},
	{VMA_LOCKED, "lo"},	{VMA_IO, "io"},		{VMA_SEQUENTIAL, "sr"},
	{VMA_RANDOM, "rr"},	{VMA_DONTFORK, "dc"},	{VMA_DONTEXPAND, "de"},
	{VMA_ACCOUNT, "ac"},	{VMA_NORESERVE, "nr"},	{VMA_WIPEONFORK, "wf"},
	{VMA_DONTDUMP, "dd"},	{VMA_HUGEPAGE, "hg"},	{VMA_NOHUGEPAGE, "nh"},
	{VMA_MERGEABLE, "mg"},	{VMA_UFFD_MINOR, "ui"}, {VMA_SHADOW_STACK, "ss"},
};
#define VM_FLAGS (sizeof(vm_flags) / sizeof(vm_flags[0]))
_Static_assert(VM_FLAGS * 3 <= sizeof(((struct quire_vma_report *)0)->flags),
	       "the letters of all flags fit");

static void write_flags(uint64_t flags, char *to)
{
	for (unsigned i = 0; i < VM_FLAGS; i++) {
		if (!(flags & vm_flags[i].flag))
			continue;
		*to++ = vm_flags[i].letters[0];
		*to++ = vm_flags[i].letters[1];
		*to++ = ' ';
		flags &= ~vm_flags[i].flag;
	}
	/* Every mapping may be given some permission later, so there is a last blank to end at. */
	to[-1] = '\0';
}

int quire_vma(struct quire_space *space, uint64_t address, struct quire_vma_report *report)
{
	const struct vma *vma;
	int error = -QUIRE_ENOENT;

	space_read_lock(space);
	vma = vma_find(space, address);
	if (vma) {
		*report = (struct quire_vma_report){
			.start = vma->start,
			.end = vma->end,
			.prot = (uint8_t)(vma->flags & VMA_ACCESS),
			.shared = (vma->flags & VMA_MAYSHARE) != 0,
			.file = vma->object && !vma->object->anonymous,
		};
		if (report->file)
			report->offset = vma->index << PAGE_SHIFT;
		write_flags(vma->flags, report->flags);
		error = 0;
	}
	space_read_unlock(space);
	return error;
}

void quire_space_usage(struct quire_space *space, struct quire_usage *usage)
{
	struct page_tables *tables = &space->tables;

	space_read_lock(space);
	*usage = (struct quire_usage){
		.anon = atomic_load(&tables->resident[RESIDENT_ANON]) * PAGE_SIZE,
		.file = atomic_load(&tables->resident[RESIDENT_FILE]) * PAGE_SIZE,
		.shmem = atomic_load(&tables->resident[RESIDENT_SHMEM]) * PAGE_SIZE,
		.swap = atomic_load(&tables->resident[RESIDENT_SWAP]) * PAGE_SIZE,
		.tables = atomic_load(&tables->frames) * PAGE_SIZE,
		.mapped = space->mapped * PAGE_SIZE,
		.locked = space->locked * PAGE_SIZE,
		.maps = space->vma_count,
	};
	space_read_unlock(space);
}
