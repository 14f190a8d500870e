/* SPDX-License-Identifier: MIT */
/*
 * Faults where an object is mapped.
 *
 *	stands there        read                           write, shared             write, private
 *	nothing             the page, and its neighbours   the page, writable        a copy of the page
 *	a mark that protects  the page, protected          the page, protected       a copy, protected
 *	the page            spurious                       gets its permission       a copy (fault.c)
 *	beyond the object   BUS                            BUS                       BUS
 *
 * userfaultfd hears of a page that the object does not have (missing), or that it has and the
 * mapping has not (minor).  A write to what a mark protects finds the page protected when it is made
 * again, and is reported then.
 *
 * A page that must be read first, or made writable by its object, is an errand: the fault lets go of
 * its lock, has it done, and begins again.  A page that an errand has brought is not news, so no
 * minor fault is reported of it.
 */
#include "space/fault.h"
#include <quire/userfault.h>

/* Pages are mapped in stretches of at most so many, aligned alike where they can be. */
#define AROUND_PAGES OBJECT_FIND_MAX

int fault_send(struct fault *fault, enum fault_errand errand, uint64_t index)
{
	if (fault->object != fault->vma->object) {
		quire_assert(!fault->former);
		fault->former = fault->object;
		fault->object = fault->vma->object;
		quire_object_get(fault->object);
		fault->may_write = false;
	}
	fault->may_write = fault->may_write && fault->index == index;
	fault->errand = errand;
	fault->index = index;
	return -FAULT_ERRAND;
}

int fault_ask_object(struct fault *fault)
{
	struct quire_object *object = fault->object;
	int error = 0;

	fault->generation = atomic_load_explicit(&object->generation, memory_order_acquire);
	if (object->operations->make_writable)
		error = object->operations->make_writable(object->context, fault->index);
	if (!error && atomic_load_explicit(&object->watched, memory_order_acquire))
		error = strict_release(object, fault->index, fault->index + 1);
	fault->may_write = !error;
	return error;
}

int fault_make_page(struct fault *fault, unsigned how)
{
	if (fault->made)
		folio_put(fault->space->machine, fault->made);
	fault->made = NULL;
	return object_make_page(fault->object, fault->index, how, &fault->made);
}

/* Whether an errand has been run for this page of this object. */
static bool errand_done(const struct fault *fault, uint64_t index)
{
	return fault->object == fault->vma->object && fault->index == index;
}

static bool shared(const struct fault *fault)
{
	return fault->vma->flags & VMA_SHARED;
}

/* Whether what a write installs may be written to at once; or an errand is to ask. */
static bool must_ask(const struct fault *fault, uint64_t index)
{
	const struct quire_object *object = fault->vma->object;

	if (!shared(fault) || !fault_writes(fault) || fault_stays_protected(fault) ||
	    !object_asks(object))
		return false;
	return !fault->may_write || !errand_done(fault, index) ||
	       fault->generation != atomic_load_explicit(&object->generation, memory_order_acquire);
}

/* The page itself, as it comes to stand there. */
static struct table_leaf leaf_of(const struct fault *fault, struct folio *folio)
{
	struct table_leaf leaf = {
		.folio = folio,
		.allow = vma_permissions(fault->vma),
		.uffd_wp = fault_stays_protected(fault),
	};
	bool write = leaf.allow.write && !leaf.uffd_wp && shared(fault);

	leaf.allow.write = write && (leaf.allow.shared || fault_writes(fault));
	leaf.dirty = leaf.allow.write && fault_writes(fault);
	return leaf;
}

/* Takes over a reference to it. */
static int map_page(struct fault *fault, struct folio *folio)
{
	struct table_leaf leaf = leaf_of(fault, folio);

	if (fault_writes(fault) && shared(fault))
		folio_mark(folio, FRAME_DIRTY);
	folio_exchange(folio, FRAME_ONE_REFERENCE, FRAME_ONE_MAPPING);
	return fault_install(fault, &leaf);
}

/* --- the page that a read wants, and what lies around it --- */

/* Lets go of those that are left; whether there are any others. */
static bool put_pages(struct quire_machine *machine, struct folio **folios, unsigned count,
		      bool (*goes)(const struct folio *folio))
{
	bool others = false;

	for (unsigned i = 0; i < count; i++) {
		if (folios[i] && (!goes || goes(folios[i]))) {
			folio_put(machine, folios[i]);
			folios[i] = NULL;
		}
		others |= folios[i] != NULL;
	}
	return others;
}

/* What a fault of its own has to look at. */
static bool needs_more(const struct folio *folio)
{
	return folio_has(folio, FRAME_UNUSED) || folio_has(folio, FRAME_MIGRATING);
}

/* Maps those of `count` pages from `start` on that are in the cache, where nothing stands; whether
 * the one that the fault is at was among them. */
static bool map_stretch(struct fault *fault, uint64_t start, unsigned count)
{
	struct quire_machine *machine = fault->space->machine;
	const struct vma *vma = fault->vma;
	struct folio **wanted, *folios[AROUND_PAGES];
	struct table_reserve reserve = {0};
	bool found = false;

	wanted = &folios[(fault->page - start) >> PAGE_SHIFT];
	object_find_pages(vma->object, vma_index(vma, start), count, folios);
	if (put_pages(machine, folios, count, needs_more) &&
	    !table_reserve(machine, &reserve, fault->seen.level)) {
		found = *wanted;
		table_install_around(&fault->space->tables, start, count, folios,
				     leaf_of(fault, NULL), &reserve);
		found = found && !*wanted;
	}
	table_unreserve(machine, &reserve);
	put_pages(machine, folios, count, NULL);
	return found;
}

/* The page and its neighbours in its table: from where it is aligned, or the VMA begins.  Whether it
 * is mapped by that. */
static bool map_around(struct fault *fault)
{
	const struct vma *vma = fault->vma;
	uint64_t around = AROUND_PAGES << PAGE_SHIFT, table = table_span(1);
	uint64_t start, end;

	if (fault_writes(fault) || (vma->flags & (VMA_UFFD_WP | VMA_UFFD_MINOR)) ||
	    fault->space->machine->no_fault_around)
		return false;
	start = max_u64(fault->page & ~(around - 1), vma->start);
	end = min_u64(min_u64(start + around, vma->end), (fault->page & ~(table - 1)) + table);
	return map_stretch(fault, start, (unsigned)((end - start) >> PAGE_SHIFT));
}

/* --- the page --- */

/* The object has the page: takes over a reference to it. */
static int serve_found(struct fault *fault, struct folio *folio)
{
	struct quire_machine *machine = fault->space->machine;
	struct page page;
	int error;

	if (folio_has(folio, FRAME_MIGRATING)) {
		folio_put(machine, folio);
		return fault_await_migration(fault);
	}
	if (folio_has(folio, FRAME_UNUSED))
		folio_unmark(folio, FRAME_UNUSED);
	if (shared(fault) || !fault_writes(fault))
		return map_page(fault, folio);
	page = folio_page(machine, folio, 0);
	error = fault_map_own_page(fault, &page);
	folio_put(machine, folio);
	return error;
}

/* Makes the page that the object has not, here if that needs no sleep. */
static int serve_absent(struct fault *fault, uint64_t index)
{
	struct quire_object *object = fault->vma->object;
	struct folio *folio;
	int error = object_make_page(object, index, MAKE_AWAKE, &folio);

	if (error == -WOULD_SLEEP)
		return fault_send(fault, ERRAND_MAKE, index);
	return error ? error : serve_found(fault, folio);
}

static void beyond(struct fault *fault)
{
	fault_signal(fault, QUIRE_BUS, QUIRE_BUS_ADRERR);
}

int fault_on_object(struct fault *fault)
{
	uint64_t index = vma_index(fault->vma, fault->page), registered = fault->vma->flags;
	struct folio *folio;
	enum object_page answer;
	int error = 0;

	/* A marker that protects nothing goes first, whatever comes then. */
	fault->dormant = fault->seen.kind == TABLE_MARKER && !(registered & VMA_UFFD_WP);
	if (fault->dormant)
		return 0;
	/* Even if there is no page to copy, or somebody else is asked for it. */
	if (fault_writes(fault) && !shared(fault))
		error = vma_prepare_anon(fault->space, fault->vma);
	if (error)
		return error;
	if (map_around(fault))
		return 0;
	if (!object_find_lasting(fault->vma->object, index, &answer, &folio))
		return fault_send(fault, ERRAND_REMOVAL, index);
	if (answer == PAGE_BEYOND) {
		beyond(fault);
		return 0;
	}
	if (answer == PAGE_ABSENT && (registered & VMA_UFFD_MISSING))
		return fault_report(fault, 0);

	if ((answer == PAGE_FOUND || answer == PAGE_SWAPPED) && (registered & VMA_UFFD_MINOR) &&
	    !(answer == PAGE_FOUND && folio == fault->made && errand_done(fault, index))) {
		if (answer == PAGE_FOUND)
			folio_put(fault->space->machine, folio);
		return fault_report(fault, QUIRE_UFFD_PAGEFAULT_FLAG_MINOR);
	}
	if (answer == PAGE_SWAPPED)
		return fault_send(fault, ERRAND_SWAP_IN, index);
	if (must_ask(fault, index)) {
		if (answer == PAGE_FOUND)
			folio_put(fault->space->machine, folio);
		return fault_send(fault, ERRAND_WRITABLE, index);
	}
	error = answer == PAGE_FOUND ? serve_found(fault, folio) : serve_absent(fault, index);
	if (error != -QUIRE_EFBIG)
		return error;
	beyond(fault); /* it was cut off this moment */
	return 0;
}

int fault_write_shared(struct fault *fault)
{
	uint64_t index = vma_index(fault->vma, fault->page);

	if (must_ask(fault, index))
		return fault_send(fault, ERRAND_WRITABLE, index);
	folio_mark(fault->seen.folio, FRAME_DIRTY);
	table_write_shared(&fault->space->tables, fault->page, &fault->seen);
	return 0;
}
