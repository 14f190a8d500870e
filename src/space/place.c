/* SPDX-License-Identifier: MIT */
/*
 * Where a mapping goes.
 *
 * A fixed address is taken as it is.  A hint is rounded down to a page, raised to the lowest
 * address, and taken if the whole mapping fits there.  Otherwise the highest hole below mmap_base
 * is used, at its upper end; if there is none, the lowest one from a third of the address space on,
 * which then lies above mmap_base.  MAP_32BIT looks for the lowest hole in the second gigabyte.
 *
 * A private anonymous mapping whose length is a multiple of the span that a leaf of level 1
 * translates (2M), and which has no hint, is aligned to that span, so that it may be mapped by huge
 * pages: a hole that is larger by one span is looked for, and the mapping put at the first boundary
 * behind its start.  If there is no such hole, any will do.  Device memory is put where its addresses
 * lie in such spans, or in the device's own pages, as its offsets do.  A mapping of another object is
 * not aligned, as on Linux where shared memory has no huge pages (shmem_enabled: never).
 */
#include "space/vma.h"

#define LOW_2G_START ((uint64_t)0x40000000)
#define LOW_2G_END   ((uint64_t)0x80000000)

static int place_fixed(const struct quire_space *space, uint64_t address, uint64_t length,
		       uint64_t *result)
{
	if (!space_holds(space, address, length))
		return -QUIRE_ENOMEM;
	if (!page_aligned(address))
		return -QUIRE_EINVAL;
	if (address < space->lowest)
		return -QUIRE_EPERM;
	*result = address;
	return 0;
}

/* The first address behind the first page, which stays free. */
static uint64_t search_start(const struct quire_space *space)
{
	return max_u64(space->lowest, PAGE_SIZE);
}

static bool find_hole(const struct quire_space *space, uint64_t length, int flags, uint64_t *result)
{
	uint64_t start = search_start(space);

	if (flags & QUIRE_MAP_32BIT)
		return gap_find_lowest(space, max_u64(start, LOW_2G_START),
				       min_u64(space->highest, LOW_2G_END), length, result);
	return gap_find_highest(space, start, space->mmap_base, length, result) ||
	       gap_find_lowest(space, max_u64(start, page_up(space->highest / 3)), space->highest,
			       length, result);
}

/* What is to be aligned, to what, and how far behind that it begins; nothing: span 0. */
struct alignment {
	uint64_t span, offset;
	bool behind; /* never where the hole begins */
};

static struct alignment alignment_of(const struct quire_object *object, uint64_t index,
				     uint64_t length)
{
	struct alignment alignment = {.span = table_span(1), .behind = true};

	if (!object || !object->device) {
		alignment.span = !object && length % alignment.span == 0 ? alignment.span : 0;
		return alignment;
	}
	if (object->device->kind == QUIRE_DEVICE_DAX) {
		alignment.span = table_span(object->device->level);
		alignment.behind = false;
	}
	alignment.offset = (index << PAGE_SHIFT) & (alignment.span - 1);
	/* There must be room for a leaf. */
	if (length < alignment.span + (-alignment.offset & (alignment.span - 1)))
		alignment.span = 0;
	return alignment;
}

static bool find_aligned_hole(const struct quire_space *space, uint64_t length, int flags,
			      const struct alignment *alignment, uint64_t *result)
{
	uint64_t span = alignment->span, more;

	if (!span || !find_hole(space, length + span, flags, result))
		return false;
	more = (alignment->offset - *result) & (span - 1);
	*result += more || !alignment->behind ? more : span;
	return true;
}

static bool hint_fits(const struct quire_space *space, uint64_t hint, uint64_t length, int flags)
{
	uint64_t end = space->highest;

	if (flags & QUIRE_MAP_32BIT)
		end = min_u64(end, LOW_2G_END);
	return length <= end && hint <= end - length && place_free(space, hint, hint + length);
}

static int place_by_search(const struct quire_space *space, uint64_t hint, uint64_t length,
			   int flags, const struct alignment *alignment, uint64_t *result)
{
	hint = page_down(hint);
	if (hint && hint < space->lowest)
		hint = space->lowest;
	*result = hint;
	if (hint && hint_fits(space, hint, length, flags))
		return 0;
	if (!hint && find_aligned_hole(space, length, flags, alignment, result))
		return 0;
	return find_hole(space, length, flags, result) ? 0 : -QUIRE_ENOMEM;
}

int place_mapping(const struct quire_space *space, uint64_t address, uint64_t length, int flags,
		  const struct quire_object *object, uint64_t index, uint64_t *result)
{
	const int fixed = QUIRE_MAP_FIXED | QUIRE_MAP_FIXED_NOREPLACE;
	int error;

	if (length > space->highest)
		return -QUIRE_ENOMEM;
	if (!(flags & fixed)) {
		struct alignment alignment = alignment_of(object, index, length);

		return place_by_search(space, address, length, flags, &alignment, result);
	}
	error = place_fixed(space, address, length, result);
	if (!error && (flags & QUIRE_MAP_FIXED_NOREPLACE) &&
	    !place_free(space, address, address + length))
		error = -QUIRE_EEXIST;
	return error;
}

bool place_free(const struct quire_space *space, uint64_t start, uint64_t end)
{
	const struct vma *vma = vma_find(space, start);

	return !vma || end <= vma->start;
}
