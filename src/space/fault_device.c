/* SPDX-License-Identifier: MIT */
/*
 * Faults on device memory (<quire/device.h>).
 *
 *	stands there           read                        write, shared               write, private
 *	nothing                a leaf, DAX and PFN         a leaf, writable and dirty  a copy of the page
 *	                       writable, all clean
 *	a mark that protects   a leaf, protected           a leaf, protected           a copy, protected
 *	a device's leaf        spurious                    gets its permission, or     a copy of the page
 *	                                                   gives way to another
 *	beyond the object      BUS                         BUS                         BUS
 *
 * A leaf stands at the highest level at which its span lies in the VMA and in the object, its address and
 * its index are aligned alike, and no table stands in its way; the device may say a lower one.  Where
 * leaves have one size (DAX) it stands at that level, or the access is a BUS.  Private memory of PFN is mapped
 * by the page, as is what is to be copied.
 *
 * Asking the device is an errand.  What it says is installed if it is still true (object/device.c), and
 * if the same would be asked again: a table may have come in between.  Pages that are being cut off or punched
 * are waited for, wherever in the leaf they lie.
 */
#include "space/fault.h"

static bool private(const struct fault *fault)
{
	return !(fault->vma->flags & VMA_MAYSHARE);
}

/* Whether the device is asked for something to write to. */
static bool wants_writable(const struct fault *fault)
{
	return fault_writes(fault) && !private(fault) && !fault_stays_protected(fault);
}

static bool level_fits(const struct fault *fault, uint64_t index, unsigned level, uint64_t pages)
{
	uint64_t span = table_span(level), inside = (span >> PAGE_SHIFT) - 1;
	uint64_t start = fault->page & ~(span - 1);

	if (QUIRE_MISTAKE(DEVICE_LEAF_BEYOND_VMA))
		start = max_u64(start, fault->vma->start);
	return level <= fault->seen.level && start >= fault->vma->start &&
	       (span <= fault->vma->end - start || QUIRE_MISTAKE(DEVICE_LEAF_BEYOND_VMA)) &&
	       ((index ^ fault->page >> PAGE_SHIFT) & inside) == 0 && (index | inside) < pages;
}

/* At what level to ask; false: no leaf can stand here. */
static bool choose_level(const struct fault *fault, uint64_t index, uint64_t pages, unsigned *level)
{
	const struct quire_device_operations *device = fault->vma->object->device;

	*level = device->level;
	if (device->kind == QUIRE_DEVICE_DAX)
		return level_fits(fault, index, *level, pages);
	if (private(fault) && (device->kind == QUIRE_DEVICE_PFN || fault_writes(fault)))
		*level = 0;
	while (*level && !level_fits(fault, index, *level, pages))
		--*level;
	return true;
}

/* Pages of the object; whether some of what a leaf of `level` would map here are being removed. */
static uint64_t count_pages(struct quire_object *object)
{
	return page_up(quire_object_size(object)) >> PAGE_SHIFT;
}

static bool leaving(struct quire_object *object, uint64_t index, unsigned level)
{
	uint64_t inside = (table_span(level) >> PAGE_SHIFT) - 1;
	bool answer;

	object_lock(object);
	if (QUIRE_MISTAKE(FAULT_WAITS_FOR_ITS_PAGE))
		inside = 0;
	answer = (index | inside) >= object->leaving_first &&
		 (index & ~inside) < object->leaving_end;
	object_unlock(object);
	return answer;
}

int fault_ask_device(struct fault *fault)
{
	struct quire_object *object = fault->object;
	uint64_t pages = table_span(fault->answer.level) >> PAGE_SHIFT;
	uint64_t first = fault->index & ~(pages - 1);
	int error = device_ask(object, &fault->answer);

	if (!error && fault->answer.write && object_watched(object))
		error = strict_release(object, first, first + pages);
	if (error)
		fault->answer.index = UINT64_MAX; /* nothing was answered */
	return error;
}

/* Whether the device has answered just this, and it is true. */
static bool answered(const struct fault *fault, const struct device_answer *question)
{
	const struct device_answer *answer = &fault->answer;

	return fault->object == fault->vma->object && fault->errand == ERRAND_MAP &&
	       answer->index == question->index && answer->level == question->level &&
	       answer->write == question->write &&
	       (device_answer_true(fault->object, answer) || QUIRE_MISTAKE(FAULT_TRUSTS_ANSWER));
}

/* The leaf that stands there is what the device says, and may be written to. */
static bool same_leaf(const struct fault *fault)
{
	const struct device_answer *answer = &fault->answer;

	return fault->seen.kind == TABLE_LEAF && answer->leaf.level == fault->seen.level &&
	       fault->seen.page.number == device_answer_page(answer).number;
}

static int map_leaf(struct fault *fault)
{
	const struct device_answer *answer = &fault->answer;
	struct table_leaf leaf = {
		.device = true,
		.page = {answer->leaf.frame},
		.level = answer->leaf.level,
		.allow = vma_permissions(fault->vma),
		.uffd_wp = fault_stays_protected(fault),
	};

	leaf.allow.write = leaf.allow.write && (fault->vma->flags & VMA_SHARED) && !leaf.uffd_wp &&
			   (leaf.allow.shared || answer->write);
	leaf.dirty = leaf.allow.write && answer->write;
	return fault_install(fault, &leaf);
}

static int use_answer(struct fault *fault)
{
	struct page page = device_answer_page(&fault->answer);

	if (private(fault) && fault_writes(fault))
		return fault_map_own_page(fault, &page);
	if (!same_leaf(fault))
		return map_leaf(fault);
	table_write_shared(&fault->space->tables, fault->page, &fault->seen);
	return 0;
}

int fault_on_device(struct fault *fault)
{
	struct quire_object *object = fault->vma->object;
	uint64_t index = vma_index(fault->vma, fault->page);
	struct device_answer question = {.index = index, .write = wants_writable(fault)};
	uint64_t pages = count_pages(object);

	/* A marker that protects nothing goes first, whatever comes then. */
	fault->dormant = fault->seen.kind == TABLE_MARKER && !(fault->vma->flags & VMA_UFFD_WP);
	if (fault->dormant)
		return 0;
	/* What is copied is what stands there. */
	if (fault->seen.kind == TABLE_LEAF && private(fault))
		return fault_map_own_page(fault, &fault->seen.page);
	if (index >= pages || !choose_level(fault, index, pages, &question.level)) {
		fault_signal(fault, QUIRE_BUS, QUIRE_BUS_ADRERR);
		return 0;
	}
	if (leaving(object, index, question.level))
		return fault_send(fault, ERRAND_REMOVAL, index);
	if (answered(fault, &question))
		return use_answer(fault);
	fault->answer = question;
	return fault_send(fault, ERRAND_MAP, index);
}
