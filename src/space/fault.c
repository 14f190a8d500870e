/* SPDX-License-Identifier: MIT */
/*
 * Page faults; here, on private memory.  fault_object.c has what is mapped from objects.
 *
 *	stands there           read, execute              write
 *	nothing                the zero page, read-only   a new page of zeros
 *	the zero page          spurious                   a new page of zeros
 *	a page, exclusive      spurious                   gets its permission back
 *	a page, sole holder    spurious                   is taken over: exclusive, no copy
 *	a page of several      spurious                   is copied
 *	guard marker           SEGV                       SEGV
 *	poison marker          BUS                        BUS
 *	migration entry        waits, and begins again    waits, and begins again
 *
 * Where userfaultfd is registered, what is missing is reported instead of made, and a write to what
 * is protected is reported before it is copied.  A marker that only protects is as good as nothing,
 * but what comes to stand there is protected: so a write to one makes the page first, and is
 * reported when it is made again.
 *
 * A spurious fault changes nothing, but where the hardware does not set accessed and dirty: there the fault
 * does, else the access would fault for ever.
 *
 * A fetch from a page that is not there counts as a read, and only from one that is there is
 * execute permission asked for: so a fetch from a VMA without it leaves the zero page behind (as on
 * Linux, x86_64).
 *
 * The kernel's own reads (access.c) want a page that no other process can change under them: they
 * *unshare* it, which is a write
 * fault that leaves the page clean and read-only.
 *
 * A fault runs under the space's lock for reading, beside others.  It looks at the entry, lets go
 * of no lock while it prepares a page and the tables that are missing, and installs them if the
 * entry has not changed; if it has, someone else has served it and the access is made again.  When
 * no frame is left it gives up its lock, asks the host to reclaim, and starts over.
 */
#include "space/fault.h"
#include "space/rmap.h"
#include <quire/userfault.h>

static bool vma_allows(const struct fault *fault)
{
	uint64_t flags = fault->vma->flags;

	if (fault_writes(fault) &&
	    (fault->access == QUIRE_SHADOW_STACK) != ((flags & VMA_SHADOW_STACK) != 0))
		return false;
	if (fault_writes(fault))
		return flags & VMA_WRITE;
	if (fault->access == QUIRE_EXECUTE && fault->seen.kind == TABLE_LEAF)
		return flags & VMA_EXEC;
	return fault->access == QUIRE_EXECUTE ? flags & VMA_ACCESS : vma_readable(fault->vma);
}

/* What the signal says of an access that the VMA does not allow. */
static int refusal(const struct fault *fault)
{
	bool data = fault->access != QUIRE_EXECUTE;

	return data && (fault->vma->flags & VMA_EXECUTE_ONLY) ? QUIRE_SEGV_PKUERR
							      : QUIRE_SEGV_ACCERR;
}

/* A device's page. */
static bool device_seen(const struct fault *fault)
{
	return fault->seen.kind == TABLE_LEAF && !fault->seen.folio && !fault->seen.zero;
}

/* Whether the page, which can be read, is to become the process's own all the same. */
static bool unshares(const struct fault *fault)
{
	return (fault->how & FAULT_UNSHARE) && !device_seen(fault) &&
	       !(fault->seen.folio && folio_of_object(fault->seen.folio));
}

/* Whether the entry lets the access through already. */
static bool spurious(const struct fault *fault)
{
	const struct table_snapshot *seen = &fault->seen;

	if (seen->kind != TABLE_LEAF || !seen->accessible || unshares(fault))
		return false;
	if (fault_writes(fault))
		return seen->writable;
	return fault->access != QUIRE_EXECUTE || seen->executable;
}

bool fault_stays_protected(const struct fault *fault)
{
	bool marked = fault->seen.kind == TABLE_MARKER && (fault->seen.marks & MARK_UFFD_WP);

	if (QUIRE_MISTAKE(FAULT_LOSES_MARKER))
		marked = false;
	if (QUIRE_MISTAKE(UNSHARE_LOSES_PROTECTION) && (fault->how & FAULT_UNSHARE))
		return false;
	/* A page that is unshared keeps what it has, even if that lies dormant. */
	if ((fault->how & FAULT_UNSHARE) && fault->seen.uffd_wp)
		return true;
	return (marked || fault->seen.uffd_wp) && (fault->vma->flags & VMA_UFFD_WP);
}

static struct folio *new_page(struct quire_machine *machine, const struct page *source)
{
	struct folio *page;

	if (!source) {
		page = folio_alloc_zeroed(machine);
	} else {
		page = folio_alloc(machine, 0);
		if (page)
			memcpy(folio_memory(machine, page), page_memory(machine, *source),
			       PAGE_SIZE);
	}
	if (page)
		folio_make_anon(machine, page);
	return page;
}

/* The page is one of the VMA's from now on. */
static int adopt(struct fault *fault, struct folio *folio)
{
	int error = vma_prepare_anon(fault->space, fault->vma);

	if (!error)
		rmap_set_owner(folio, fault->vma, fault->page);
	return error;
}

int fault_install(struct fault *fault, const struct table_leaf *leaf)
{
	struct quire_space *space = fault->space;
	struct table_reserve reserve = {0};
	struct gather gather;
	bool installed = false;
	int error = table_reserve(space->machine, &reserve, fault->seen.level - leaf->level);

	if (!error && leaf->folio && leaf->folio->head.kind == FRAME_ANON)
		error = adopt(fault, leaf->folio);
	if (!error) {
		gather_begin(&gather, &space->tables, QUIRE_NOTIFIER_CLEAR);
		installed = table_install(&space->tables, fault->page, &fault->seen, leaf, &reserve,
					  &gather);
		gather_end(&gather);
	}
	table_unreserve(space->machine, &reserve);
	if (!installed && leaf->folio && folio_drop(leaf->folio, FRAME_ONE_MAPPING))
		folio_free(space->machine, leaf->folio);
	return error;
}

static int map_zero_page(struct fault *fault)
{
	struct table_leaf leaf = {.allow = vma_permissions(fault->vma)};

	leaf.allow.write = false;
	leaf.uffd_wp = fault_stays_protected(fault);
	machine_bump(fault->space->machine, COUNT_FAULTS_ZERO);
	return fault_install(fault, &leaf);
}

int fault_map_own_page(struct fault *fault, const struct page *source)
{
	struct quire_machine *machine = fault->space->machine;
	struct table_leaf leaf = {
		.allow = vma_permissions(fault->vma),
		.exclusive = true,
		.dirty = fault_writes(fault),
		.uffd_wp = fault_stays_protected(fault),
	};

	leaf.folio = new_page(machine, source);
	if (!leaf.folio)
		return -NO_FRAMES;
	leaf.allow.write = fault_writes(fault) && !leaf.uffd_wp;
	if (!leaf.dirty)
		folio_mark(leaf.folio, FRAME_KEEP);
	if (source)
		machine_bump(machine, COUNT_FAULTS_COPY);
	return fault_install(fault, &leaf);
}

/* The page that was seen becomes this space's own; for a write, also writable and dirty. */
static int own_page(struct fault *fault)
{
	struct quire_machine *machine = fault->space->machine;
	struct folio *source = fault->seen.folio;
	int error = 0;

	switch (table_reuse(&fault->space->tables, fault->page, &fault->seen, fault_writes(fault),
			    vma_permissions(fault->vma))) {
	case TABLE_REUSED:
		if (folio_has(source, FRAME_WAS_CACHED))
			folio_mark(source, FRAME_DIRTY);
		machine_bump(machine, COUNT_FAULTS_REUSE);
		break;
	case TABLE_MUST_COPY:
		error = fault_map_own_page(fault, &fault->seen.page);
		folio_put(machine, source);
		break;
	case TABLE_CHANGED:
		break;
	}
	return error;
}

static int serve(struct fault *fault)
{
	machine_bump(fault->space->machine, COUNT_FAULTS);
	if (vma_device(fault->vma) && !fault->seen.folio)
		return fault_on_device(fault);
	if (fault->vma->object && fault->seen.kind != TABLE_LEAF)
		return fault_on_object(fault);
	if (fault->vma->flags & VMA_SHARED)
		return fault_write_shared(fault);
	if (fault->seen.folio)
		return own_page(fault);
	if (fault_writes(fault))
		return fault_map_own_page(fault, device_seen(fault) ? &fault->seen.page : NULL);
	return fault->seen.kind == TABLE_LEAF ? 0 : map_zero_page(fault);
}

/* --- userfaultfd --- */

/* Whether the context must hear of it, and with which flags; where an object is mapped it depends on
 * what that has (fault_object.c). */
static bool reported(struct fault *fault, uint64_t *flags)
{
	uint64_t registered = fault->vma->flags;

	*flags = 0;
	if (QUIRE_MISTAKE(MARKER_TAKEN_FOR_PAGE) && (fault->seen.marks & MARK_UFFD_WP))
		return fault_writes(fault);
	if (fault->seen.kind != TABLE_LEAF)
		return (registered & VMA_UFFD_MISSING) && !fault->vma->object;
	*flags = QUIRE_UFFD_PAGEFAULT_FLAG_WP;
	return fault_writes(fault) && fault->seen.uffd_wp && (registered & VMA_UFFD_WP);
}

/* Whether what the fault has seen does not stand there any more. */
static bool overtaken(const struct fault *fault)
{
	struct table_snapshot now;

	table_probe(&fault->space->tables, fault->page, &now);
	return now.entry != fault->seen.entry || now.level != fault->seen.level;
}

/*
 * The thread waits from here on.  Whoever resolves faults may have come between the look at the
 * entry and that; so it is looked at again.
 */
int fault_report(struct fault *fault, uint64_t flags)
{
	const struct userfault_hooks *hooks = space_hooks(fault->space);
	enum quire_outcome outcome;
	int error = 0;

	/* As on Linux, which gets a page ready before it looks at the registration. */
	if (fault_writes(fault))
		flags |= QUIRE_UFFD_PAGEFAULT_FLAG_WRITE;
	if (fault_writes(fault) && fault->seen.kind != TABLE_LEAF &&
	    !(fault->vma->flags & VMA_SHARED))
		error = vma_prepare_anon(fault->space, fault->vma);
	if (error)
		return error;
	/* It was served while the object was asked. */
	if (overtaken(fault) && !QUIRE_MISTAKE(REPORT_WITHOUT_LOOKING))
		return 0;
	if (fault->how & FAULT_UNHEARD) {
		fault_signal(fault, QUIRE_BUS, QUIRE_BUS_ADRERR);
		return 0;
	}
	outcome = hooks->fault(fault->space, fault->vma, fault->address, flags,
			       fault->how & FAULT_KERNEL);
	fault_signal(fault, outcome, outcome == QUIRE_BUS ? QUIRE_BUS_ADRERR : 0);
	if (outcome != QUIRE_BLOCKED)
		return 0;
	if (overtaken(fault) && !QUIRE_MISTAKE(SLEEP_WITHOUT_LOOKING)) {
		hooks->withdraw(fault->vma);
		fault_signal(fault, QUIRE_DONE, 0);
	}
	return 0;
}

/*
 * Where memory is not registered for WP any more a marker protects nothing, and the access that
 * meets it takes it away.  What comes to stand there does that, too; a report would not.  0 or
 * -NO_FRAMES.  Not inlined: its frame is not on the stack while an errand runs.
 */
__attribute__((noinline)) static int forget_dormant(struct fault *fault)
{
	struct quire_space *space = fault->space;
	struct page_tables *tables = &space->tables;
	uint64_t start = fault->page, end = start + PAGE_SIZE;
	const struct vma *vma;
	int error = 0;

	space_write_lock(space);
	vma = vma_find(space, start);
	if (vma_holds(vma, start) && !(vma->flags & VMA_UFFD_WP)) {
		vma_whole_pages(vma, &start, &end);
		error = table_cut_range(tables, start, end);
		if (!error) {
			struct gather gather;

			gather_begin(&gather, tables, QUIRE_NOTIFIER_PROTECT);
			table_write_release(tables, start, end, vma_permissions(vma), &gather);
			gather_end(&gather);
		}
	}
	space_write_unlock(space);
	return error;
}

/* The protection of the page, of whatever size it is, goes, and the write goes on. */
static int release_page(struct fault *fault)
{
	struct quire_machine *machine = fault->space->machine;
	struct table_reserve reserve = {0};
	unsigned level = vma_page_level(fault->vma);
	int error;

	quire_assert(fault->seen.level >= level);
	error = table_reserve(machine, &reserve, fault->seen.level - level);
	if (error)
		return error;
	machine_bump(machine, COUNT_FAULTS);
	table_release_page(&fault->space->tables, fault->page, &fault->seen, level,
			   vma_permissions(fault->vma), &reserve);
	table_unreserve(machine, &reserve);
	return 0;
}

static int serve_registered(struct fault *fault, uint64_t flags)
{
	fault->dormant = fault->seen.kind == TABLE_MARKER && !(fault->vma->flags & VMA_UFFD_WP);
	if (fault->dormant)
		return 0;
	if (!(fault->vma->flags & VMA_UFFD_ASYNC) || fault->seen.kind != TABLE_LEAF)
		return fault_report(fault, flags);
	return release_page(fault);
}

/* --- all together --- */

/* What keeps the access from being made at all; whether there is such a thing. */
static bool refused(struct fault *fault)
{
	unsigned marks = fault->seen.kind == TABLE_MARKER ? fault->seen.marks : 0;

	if (!vma_allows(fault))
		fault_signal(fault, QUIRE_SEGV, refusal(fault));
	else if (marks & MARK_GUARD)
		fault_signal(fault, QUIRE_SEGV, QUIRE_SEGV_MAPERR);
	else if (marks & MARK_POISON)
		fault_signal(fault, QUIRE_BUS, QUIRE_BUS_ADRERR);
	else
		return false;
	fault->result.poisoned = fault->result.outcome == QUIRE_BUS;
	return true;
}

/* Lock for reading.  0: fault->result says; -NO_FRAMES, -FAULT_ERRAND: nothing was changed.  Not inlined:
 * while an errand runs, its frame is not on the stack. */
__attribute__((noinline)) static int handle(struct fault *fault)
{
	uint64_t flags;

	fault->vma = vma_find(fault->space, fault->address);
	if (!vma_holds(fault->vma, fault->address)) {
		fault_signal(fault, QUIRE_SEGV, QUIRE_SEGV_MAPERR);
		return 0;
	}
	table_probe(&fault->space->tables, fault->page, &fault->seen);
	if (refused(fault))
		return 0;
	fault_signal(fault, QUIRE_DONE, 0);
	if (QUIRE_MISTAKE(COPY_BEFORE_REPORT) && !fault->seen.exclusive && fault->seen.folio)
		fault->seen.uffd_wp = false;
	if (spurious(fault)) {
		if (fault->space->machine->software_accessed &&
		    !QUIRE_MISTAKE(SPURIOUS_SETS_NOTHING))
			table_use_page(&fault->space->tables, fault->page, &fault->seen,
				       fault->access == QUIRE_WRITE);
		return 0;
	}
	if (fault->seen.migrating)
		return fault_await_migration(fault);
	if (fault->seen.kind == TABLE_SWAP)
		return fault_on_swap(fault);
	if (fault->vma->userfault && reported(fault, &flags))
		return serve_registered(fault, flags);
	return serve(fault);
}

/* Sleeps if need be, and may. */
static void settle(struct fault *fault)
{
	const struct userfault_hooks *hooks = space_hooks(fault->space);

	if (fault->result.outcome == QUIRE_BLOCKED && !(fault->how & FAULT_AWAKE) &&
	    hooks->sleep(fault->space->machine))
		fault_signal(fault, QUIRE_DONE, 0);
}

/* Lets go of what an errand has brought. */
static void end_errand(struct fault *fault)
{
	if (fault->made)
		folio_put(fault->space->machine, fault->made);
	if (fault->object)
		quire_object_put(fault->object);
	fault_drop_slot(fault);
	fault->made = NULL;
	fault->object = NULL;
}

static int run_errand(struct fault *fault)
{
	if (fault->former)
		quire_object_put(fault->former);
	fault->former = NULL;
	switch (fault->errand) {
	case ERRAND_MAKE:
		return fault_make_page(fault, 0);
	case ERRAND_SWAP_IN:
		return fault_make_page(fault, MAKE_SWAPPED);
	case ERRAND_WRITABLE:
		return fault_ask_object(fault);
	case ERRAND_READ_SLOT:
		fault->slot_read = true;
		return swap_read(fault->space->machine, fault->slot,
				 fault->how & FAULT_RESTORE ? NULL : &fault->read);
	case ERRAND_MAP:
		return fault_ask_device(fault);
	case ERRAND_REMOVAL:
		object_await_change(fault->object);
		return 0;
	case ERRAND_MIGRATION:
		break;
	}
	machine_await_migration(fault->space->machine);
	return 0;
}

/* Whether the fault is to be handled again. */
static bool again(struct fault *fault, int *error, unsigned *tries)
{
	if (*error == -FAULT_ERRAND) {
		*error = run_errand(fault);
		if (!*error)
			return true;
		/* A page that cannot be read; one that the object has lost meanwhile, too. */
		if (*error != -NO_FRAMES)
			fault_signal(fault, QUIRE_BUS, QUIRE_BUS_ADRERR);
	} else if (!*error && fault->dormant) {
		*error = forget_dormant(fault);
		fault->dormant = false;
		if (!*error)
			return true;
	}
	return *error == -NO_FRAMES && space_reclaim(fault->space, tries);
}

struct quire_fault_result space_fault(struct quire_space *space, uint64_t address,
				      enum quire_access access, unsigned how)
{
	struct fault fault = {
		.space = space,
		.address = address,
		.page = page_down(address),
		.access = access,
		.how = how,
	};
	unsigned tries = 0;
	int error;

	do {
		fault.dormant = false;
		space_read_lock(space);
		error = handle(&fault);
		space_read_unlock(space);
	} while (again(&fault, &error, &tries));
	end_errand(&fault);
	if (error == -NO_FRAMES)
		fault_signal(&fault, QUIRE_OUT_OF_MEMORY, 0);
	settle(&fault);
	return fault.result;
}

/* Lock for reading. */
static int handle_swap(struct fault *fault)
{
	fault->vma = vma_find(fault->space, fault->address);
	if (!vma_holds(fault->vma, fault->address))
		return 0;
	table_probe(&fault->space->tables, fault->page, &fault->seen);
	if (QUIRE_MISTAKE(SWAPOFF_LOSES_PROTECTION))
		fault->seen.uffd_wp = false;
	return fault->seen.kind == TABLE_SWAP ? fault_on_swap(fault) : 0;
}

int space_swap_in(struct quire_space *space, uint64_t page)
{
	struct fault fault = {
		.space = space,
		.address = page,
		.page = page,
		.how = FAULT_RESTORE,
	};
	int error, errand;

	do {
		space_read_lock(space);
		error = handle_swap(&fault);
		space_read_unlock(space);
		errand = error == -FAULT_ERRAND ? run_errand(&fault) : 0;
	} while (error == -FAULT_ERRAND && !errand);
	end_errand(&fault);
	if (errand && errand != -NO_FRAMES)
		return -QUIRE_EIO;
	return errand ? errand : error;
}

struct quire_fault_result quire_fault(struct quire_space *space, uint64_t address,
				      enum quire_access access)
{
	return space_fault(space, address, access, 0);
}

bool quire_translate(struct quire_space *space, uint64_t address, enum quire_access access,
		     struct quire_translation *translation)
{
	struct quire_walk walk = {0};

	return table_translate(&space->tables, address, access, &walk, translation);
}

bool quire_translate_from(struct quire_space *space, uint64_t address, enum quire_access access,
			  struct quire_walk *walk, struct quire_translation *translation)
{
	return table_translate(&space->tables, address, access, walk, translation);
}
