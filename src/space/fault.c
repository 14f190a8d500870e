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
 *
 * A fetch from a page that is not there counts as a read, and only from one that is there is execute permission asked for: so a fetch
 * from a VMA without it leaves the zero page behind (as on Linux, x86_64).
 *
 * The kernel's own reads (access.c) want a page that no other process can change under them: they *unshare* it, which is a write
 * fault that leaves the page clean and read-only.
 *
 * A fault runs under the space's lock for reading, beside others.  It looks at the entry, lets go
 *of nothing while it prepares a page and the tables that are missing, and installs them if the
 *entry has not changed; if it has, someone else has served it and the access is made again.  When
 *no frame is left it gives up its locks, asks the host to reclaim, and starts over.
 */
#include "space/space.h"

static const struct quire_fault_result done = {.outcome = QUIRE_DONE};

static struct quire_fault_result segv(int code)
{
	return (struct quire_fault_result){.outcome = QUIRE_SEGV, .code = code};
}

static bool vma_allows(const struct vma *vma, enum quire_access access,
		       const struct table_snapshot *snapshot)
{
	if (access == QUIRE_WRITE)
		return vma->flags & VMA_WRITE;
	if (access == QUIRE_EXECUTE && snapshot->kind == TABLE_LEAF)
		return vma->flags & VMA_EXEC;
	return vma->flags & VMA_ACCESS;
}

/* Whether the entry lets the access through already. */
static bool spurious(const struct table_snapshot *snapshot, enum quire_access access)
{
	if (snapshot->kind != TABLE_LEAF || !snapshot->accessible)
		return false;
	if (access == QUIRE_WRITE)
		return snapshot->writable;
	return access != QUIRE_EXECUTE || snapshot->executable;
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
 * Puts `leaf` in the place of what the snapshot saw; whoever came first, the access can be made
 * again.  0 or -NO_FRAMES; leaf->frame is used up either way.
 */
static int install(struct quire_space *space, struct vma *vma, uint64_t page,
		   const struct table_snapshot *snapshot, const struct table_leaf *leaf)
{
	struct table_reserve reserve = {0};
	struct gather gather;
	bool installed = false;
	int error = table_reserve(space->machine, &reserve, snapshot->missing);

	if (!error) {
		if (leaf->frame)
			vma_prepare_anon(space, vma);
		gather_begin(&gather, &space->tables);
		installed = table_install(&space->tables, page, snapshot, leaf, &reserve, &gather);
		gather_end(&gather);
		table_unreserve(space->machine, &reserve);
	}
	if (!installed && leaf->frame)
		drop_page(space->machine, leaf->frame);
	return error;
}

static int map_zero_page(struct quire_space *space, struct vma *vma, uint64_t page,
			 const struct table_snapshot *snapshot)
{
	struct table_leaf leaf = {.allow = vma_permissions(vma)};

	leaf.allow.write = false;
	machine_bump(&space->machine->faults_zero);
	return install(space, vma, page, snapshot, &leaf);
}

/* A page of the VMA's own with the content of `source`, or zeros. */
static int map_own_page(struct quire_space *space, struct vma *vma, uint64_t page,
			const struct table_snapshot *snapshot, const struct frame *source,
			bool write)
{
	struct table_leaf leaf = {
		.frame = new_page(space->machine, source),
		.allow = vma_permissions(vma),
		.exclusive = true,
		.dirty = write,
	};

	if (!leaf.frame)
		return -NO_FRAMES;
	leaf.allow.write = write;
	if (source)
		machine_bump(&space->machine->faults_copy);
	return install(space, vma, page, snapshot, &leaf);
}

/* The page that the snapshot saw becomes this space's own; for a write, also writable and dirty. */
static int own_page(struct quire_space *space, struct vma *vma, uint64_t page,
		    const struct table_snapshot *snapshot, bool write)
{
	struct frame *source = snapshot->frame;
	int error = 0;

	switch (table_reuse(&space->tables, page, snapshot, write)) {
	case TABLE_REUSED:
		machine_bump(&space->machine->faults_reuse);
		break;
	case TABLE_MUST_COPY:
		error = map_own_page(space, vma, page, snapshot, source, write);
		if (frame_drop(source, FRAME_ONE_REFERENCE))
			frame_free(space->machine, source);
		break;
	case TABLE_CHANGED:
		break;
	}
	return error;
}

/* Lock for reading.  0: *result says; -NO_FRAMES: nothing was changed. */
static int fault(struct quire_space *space, uint64_t address, enum quire_access access,
		 bool unshare, struct quire_fault_result *result)
{
	struct vma *vma = vma_find(space, address);
	struct table_snapshot snapshot;
	uint64_t page = page_down(address);

	*result = segv(QUIRE_SEGV_MAPERR);
	if (!vma_holds(vma, address))
		return 0;
	table_probe(&space->tables, page, &snapshot);
	*result = segv(QUIRE_SEGV_ACCERR);
	if (!vma_allows(vma, access, &snapshot))
		return 0;
	*result = segv(QUIRE_SEGV_MAPERR);
	if (snapshot.kind == TABLE_MARKER)
		return 0;
	*result = done;
	if (spurious(&snapshot, access) && !unshare)
		return 0;
	machine_bump(&space->machine->faults);
	if (snapshot.frame)
		return own_page(space, vma, page, &snapshot, access == QUIRE_WRITE);
	if (access == QUIRE_WRITE)
		return map_own_page(space, vma, page, &snapshot, NULL, true);
	if (snapshot.kind == TABLE_ABSENT)
		return map_zero_page(space, vma, page, &snapshot);
	return 0;
}

static struct quire_fault_result fault_and_reclaim(struct quire_space *space, uint64_t address,
						   enum quire_access access, bool unshare)
{
	struct quire_fault_result result;
	unsigned tries = 0;
	int error;

	do {
		space_read_lock(space);
		error = fault(space, address, access, unshare, &result);
		space_read_unlock(space);
	} while (error && space_reclaim(space, &tries));
	if (error)
		result = (struct quire_fault_result){.outcome = QUIRE_OUT_OF_MEMORY};
	return result;
}

struct quire_fault_result quire_fault(struct quire_space *space, uint64_t address,
				      enum quire_access access)
{
	return fault_and_reclaim(space, address, access, false);
}

struct quire_fault_result space_unshare(struct quire_space *space, uint64_t address)
{
	return fault_and_reclaim(space, address, QUIRE_READ, true);
}

bool quire_translate(struct quire_space *space, uint64_t address, enum quire_access access,
		     struct quire_translation *translation)
{
	return table_translate(&space->tables, address, access, translation);
}
