/* SPDX-License-Identifier: MIT */
/*
 * Page faults on private anonymous memory.
 *
 *	stands there           read, execute              write
 *	nothing                the zero page, read-only   a new page of zeros
 *	the zero page          spurious                   a new page of zeros
 *	a page, exclusive      spurious                   gets its permission back
 *	a page, sole holder    spurious                   is taken over: exclusive, no copy
 *	a page of several      spurious                   is copied
 *	guard marker           SEGV                       SEGV
 *	poison marker          BUS                        BUS
 *
 * Where userfaultfd is registered, what is missing is reported instead of made, and a write to what
 * is protected is reported before it is copied.  A marker that only protects is as good as nothing,
 * but what comes to stand there is protected: so a write to one makes the page first, and is
 * reported when it is made again.
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
#include "space/hooks.h"
#include <quire/userfault.h>

/* One fault on its way. */
struct fault {
	struct quire_space *space;
	uint64_t address, page;
	enum quire_access access;
	bool unshare; /* see above */
	bool kernel;  /* on the process's behalf */

	struct vma *vma;
	struct table_snapshot seen;
	struct quire_fault_result result;
};

static void signal_fault(struct fault *fault, enum quire_outcome outcome, int code)
{
	fault->result = (struct quire_fault_result){.outcome = outcome, .code = code};
}

static bool writes(const struct fault *fault)
{
	return fault->access == QUIRE_WRITE;
}

static bool vma_allows(const struct fault *fault)
{
	uint64_t flags = fault->vma->flags;

	if (writes(fault))
		return flags & VMA_WRITE;
	if (fault->access == QUIRE_EXECUTE && fault->seen.kind == TABLE_LEAF)
		return flags & VMA_EXEC;
	return flags & VMA_ACCESS;
}

/* Whether the entry lets the access through already. */
static bool spurious(const struct fault *fault)
{
	const struct table_snapshot *seen = &fault->seen;

	if (seen->kind != TABLE_LEAF || !seen->accessible || fault->unshare)
		return false;
	if (writes(fault))
		return seen->writable;
	return fault->access != QUIRE_EXECUTE || seen->executable;
}

/* What comes to stand in the entry's place is protected as the entry was. */
static bool stays_protected(const struct fault *fault)
{
	bool marked = fault->seen.kind == TABLE_MARKER && (fault->seen.marks & MARK_UFFD_WP);

	if (QUIRE_MISTAKE(FAULT_LOSES_MARKER))
		marked = false;
	if (QUIRE_MISTAKE(UNSHARE_LOSES_PROTECTION) && fault->unshare)
		return false;
	return (marked || fault->seen.uffd_wp) && (fault->vma->flags & VMA_UFFD_WP);
}

static struct frame *new_page(struct quire_machine *machine, const struct frame *source)
{
	struct frame *page;

	if (!source) {
		page = frame_alloc_zeroed(machine);
	} else {
		page = frame_alloc(machine, 0);
		if (page)
			memcpy(frame_memory(machine, page), frame_memory(machine, source),
			       PAGE_SIZE);
	}
	if (page) {
		frame_set_kind(machine, page, FRAME_ANON);
		atomic_store_explicit(&page->flags, 0, memory_order_relaxed);
		atomic_store_explicit(&page->holders, FRAME_ONE_MAPPING, memory_order_relaxed);
	}
	return page;
}

/* The page was made for nothing: nobody has seen it. */
static void drop_page(struct quire_machine *machine, struct frame *page)
{
	atomic_store_explicit(&page->holders, 0, memory_order_relaxed);
	frame_free(machine, page);
}

/*
 * Puts `leaf` in the place of what was seen; whoever came first, the access can be made again.  0
 * or -NO_FRAMES; leaf->frame is used up either way.
 */
static int install(struct fault *fault, const struct table_leaf *leaf)
{
	struct quire_space *space = fault->space;
	struct table_reserve reserve = {0};
	struct gather gather;
	bool installed = false;
	int error = table_reserve(space->machine, &reserve, fault->seen.missing);

	if (!error) {
		if (leaf->frame)
			vma_prepare_anon(space, fault->vma);
		gather_begin(&gather, &space->tables);
		installed = table_install(&space->tables, fault->page, &fault->seen, leaf, &reserve,
					  &gather);
		gather_end(&gather);
		table_unreserve(space->machine, &reserve);
	}
	if (!installed && leaf->frame)
		drop_page(space->machine, leaf->frame);
	return error;
}

static int map_zero_page(struct fault *fault)
{
	struct table_leaf leaf = {.allow = vma_permissions(fault->vma)};

	leaf.allow.write = false;
	leaf.uffd_wp = stays_protected(fault);
	machine_bump(&fault->space->machine->faults_zero);
	return install(fault, &leaf);
}

/* A page of the VMA's own with the content of `source`, or zeros. */
static int map_own_page(struct fault *fault, const struct frame *source)
{
	struct table_leaf leaf = {
		.frame = new_page(fault->space->machine, source),
		.allow = vma_permissions(fault->vma),
		.exclusive = true,
		.dirty = writes(fault),
		.uffd_wp = stays_protected(fault),
	};

	if (!leaf.frame)
		return -NO_FRAMES;
	leaf.allow.write = writes(fault) && !leaf.uffd_wp;
	if (source)
		machine_bump(&fault->space->machine->faults_copy);
	return install(fault, &leaf);
}

/* The page that was seen becomes this space's own; for a write, also writable and dirty. */
static int own_page(struct fault *fault)
{
	struct quire_machine *machine = fault->space->machine;
	struct frame *source = fault->seen.frame;
	int error = 0;

	switch (table_reuse(&fault->space->tables, fault->page, &fault->seen, writes(fault))) {
	case TABLE_REUSED:
		machine_bump(&machine->faults_reuse);
		break;
	case TABLE_MUST_COPY:
		error = map_own_page(fault, source);
		if (frame_drop(source, FRAME_ONE_REFERENCE))
			frame_free(machine, source);
		break;
	case TABLE_CHANGED:
		break;
	}
	return error;
}

static int serve(struct fault *fault)
{
	machine_bump(&fault->space->machine->faults);
	if (fault->seen.frame)
		return own_page(fault);
	if (writes(fault))
		return map_own_page(fault, NULL);
	return fault->seen.kind == TABLE_LEAF ? 0 : map_zero_page(fault);
}

/* --- userfaultfd --- */

/* Whether the context must hear of it, and with which flags. */
static bool reported(struct fault *fault, uint64_t *flags)
{
	uint64_t registered = fault->vma->flags;

	*flags = writes(fault) ? QUIRE_UFFD_PAGEFAULT_FLAG_WRITE : 0;
	if (QUIRE_MISTAKE(MARKER_TAKEN_FOR_PAGE) && (fault->seen.marks & MARK_UFFD_WP))
		return writes(fault);
	if (fault->seen.kind != TABLE_LEAF)
		return registered & VMA_UFFD_MISSING;
	*flags |= QUIRE_UFFD_PAGEFAULT_FLAG_WP;
	return writes(fault) && fault->seen.uffd_wp && (registered & VMA_UFFD_WP);
}

/*
 * The thread waits from here on.  Whoever resolves faults may have come between the look at the
 * entry and that; so it is looked at again.
 */
static void report(struct fault *fault, uint64_t flags)
{
	const struct userfault_hooks *hooks = space_hooks(fault->space);
	struct table_snapshot now;
	enum quire_outcome outcome;

	/* As on Linux, which gets a page ready before it looks at the registration. */
	if (writes(fault) && fault->seen.kind != TABLE_LEAF)
		vma_prepare_anon(fault->space, fault->vma);
	outcome = hooks->fault(fault->space, fault->vma, fault->address, flags, fault->kernel);
	signal_fault(fault, outcome, outcome == QUIRE_BUS ? QUIRE_BUS_ADRERR : 0);
	if (outcome != QUIRE_BLOCKED)
		return;
	table_probe(&fault->space->tables, fault->page, &now);
	if (QUIRE_MISTAKE(SLEEP_WITHOUT_LOOKING))
		return;
	if (now.entry != fault->seen.entry || now.missing != fault->seen.missing) {
		hooks->withdraw(fault->space->machine);
		signal_fault(fault, QUIRE_DONE, 0);
	}
}

/* WP_ASYNC: the protection goes, and the write goes on. */
static void release(struct fault *fault)
{
	table_write_release(&fault->space->tables, fault->page, fault->page + PAGE_SIZE,
			    vma_permissions(fault->vma), NULL);
}

static int serve_registered(struct fault *fault, uint64_t flags)
{
	if (!(fault->vma->flags & VMA_UFFD_ASYNC) || fault->seen.kind != TABLE_LEAF) {
		report(fault, flags);
		return 0;
	}
	machine_bump(&fault->space->machine->faults);
	release(fault);
	return 0;
}

/* --- all together --- */

/* What keeps the access from being made at all; whether there is such a thing. */
static bool refused(struct fault *fault)
{
	unsigned marks = fault->seen.kind == TABLE_MARKER ? fault->seen.marks : 0;

	if (!vma_allows(fault))
		signal_fault(fault, QUIRE_SEGV, QUIRE_SEGV_ACCERR);
	else if (marks & MARK_GUARD)
		signal_fault(fault, QUIRE_SEGV, QUIRE_SEGV_MAPERR);
	else if (marks & MARK_POISON)
		signal_fault(fault, QUIRE_BUS, QUIRE_BUS_ADRERR);
	else
		return false;
	fault->result.poisoned = fault->result.outcome == QUIRE_BUS;
	return true;
}

/* Lock for reading.  0: fault->result says; -NO_FRAMES: nothing was changed. */
static int handle(struct fault *fault)
{
	uint64_t flags;

	fault->vma = vma_find(fault->space, fault->address);
	if (!vma_holds(fault->vma, fault->address)) {
		signal_fault(fault, QUIRE_SEGV, QUIRE_SEGV_MAPERR);
		return 0;
	}
	table_probe(&fault->space->tables, fault->page, &fault->seen);
	if (refused(fault))
		return 0;
	signal_fault(fault, QUIRE_DONE, 0);
	if (QUIRE_MISTAKE(COPY_BEFORE_REPORT) && !fault->seen.exclusive && fault->seen.frame)
		fault->seen.uffd_wp = false;
	if (spurious(fault))
		return 0;
	if (fault->vma->userfault && reported(fault, &flags))
		return serve_registered(fault, flags);
	return serve(fault);
}

/* Sleeps if need be, and may. */
static void settle(struct fault *fault)
{
	const struct userfault_hooks *hooks = space_hooks(fault->space);

	if (fault->result.outcome == QUIRE_BLOCKED && hooks->sleep(fault->space->machine))
		signal_fault(fault, QUIRE_DONE, 0);
}

struct quire_fault_result space_fault(struct quire_space *space, uint64_t address,
				      enum quire_access access, bool kernel, bool unshare)
{
	struct fault fault = {
		.space = space,
		.address = address,
		.page = page_down(address),
		.access = access,
		.unshare = unshare,
		.kernel = kernel,
	};
	unsigned tries = 0;
	int error;

	do {
		space_read_lock(space);
		error = handle(&fault);
		space_read_unlock(space);
	} while (error && space_reclaim(space, &tries));
	if (error)
		signal_fault(&fault, QUIRE_OUT_OF_MEMORY, 0);
	settle(&fault);
	return fault.result;
}

struct quire_fault_result quire_fault(struct quire_space *space, uint64_t address,
				      enum quire_access access)
{
	return space_fault(space, address, access, false, false);
}

bool quire_translate(struct quire_space *space, uint64_t address, enum quire_access access,
		     struct quire_translation *translation)
{
	return table_translate(&space->tables, address, access, translation);
}
