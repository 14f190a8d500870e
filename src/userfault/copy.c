/* SPDX-License-Identifier: MIT */
/*
 * COPY, ZEROPAGE, CONTINUE and POISON: putting something where nothing is, page by page.
 *
 * The destination must lie in one registered VMA.  A page that is there, or comes to be there, ends
 * the call with -EEXIST; what was done before stays, and then the error is -EAGAIN and the output
 * field tells how far.  Waiters in what was done are woken.
 *
 * A COPY that sleeps for its source goes on with that page, whatever became of the destination
 * meanwhile: it is looked at again when the source is there.
 */
#include "space/rmap.h"
#include "userfault/userfault.h"

#define ANY_MARK (~0u)
/* Internal: the page must be brought in first; or have left its object. */
#define SWAPPED	 4099
#define REMOVING 4103

struct filling {
	struct quire_userfault *context;
	struct quire_space *space;
	uint64_t start, end; /* of the destination */
	uint64_t page;	     /* up to where it is done */
	bool resumed;	     /* COPY: made again, its destination has been checked */
	bool wp;	     /* COPY, CONTINUE: what is put in is write-protected */

	/* Puts one page in; 0, -NO_FRAMES, or the error. */
	int (*fill)(struct filling *filling, uint64_t page);
	/* COPY: where the bytes come from */
	uint64_t source;
	struct quire_space *source_space; /* NULL: `source` is a host pointer */
	/* CONTINUE: the page that it waits for, with one user of its object */
	struct quire_object *object;
	uint64_t index;
};

/*
 * The VMA that the destination may be put in, which is made ready for pages even if it may not;
 * lock for reading.
 */
static int find_destination(const struct filling *filling, struct vma **vma)
{
	int error = context_ask_again(filling->context);

	/* Who may have slept for a source looks at the destination first, as on Linux. */
	if (error == -QUIRE_ESRCH || (error && !filling->source_space))
		return error;
	*vma = vma_find(filling->space, filling->start);
	if (!vma_holds(*vma, filling->start))
		return -QUIRE_ENOENT;
	error = (*vma)->flags & VMA_SHARED ? 0 : vma_prepare_anon(filling->space, *vma);
	if (error)
		return error;
	if ((*vma)->end < filling->end || !(*vma)->userfault)
		return -QUIRE_ENOENT;
	if (context_changing(filling->context))
		return -QUIRE_EAGAIN;
	if (filling->wp && !((*vma)->flags & VMA_UFFD_WP))
		return -QUIRE_EINVAL;
	return (*vma)->object && (*vma)->object->kind != FRAME_SHMEM ? -QUIRE_EINVAL : 0;
}

static int check_destination(const struct filling *filling)
{
	struct vma *vma;
	int error;

	space_read_lock(filling->space);
	error = find_destination(filling, &vma);
	space_read_unlock(filling->space);
	/* Each page asks again, and reclaims. */
	return error == -NO_FRAMES ? 0 : error;
}

/* -EFAULT where the object that is mapped ends before the page. */
static int check_end(const struct vma *vma, uint64_t page)
{
	if (!vma->object)
		return 0;
	return vma_index(vma, page) << PAGE_SHIFT < quire_object_size(vma->object) ? 0
										   : -QUIRE_EFAULT;
}

/* What of an entry a page may be put in the place of. */
static bool stands_aside(const struct table_snapshot *snapshot, unsigned marks)
{
	if (snapshot->kind == TABLE_MARKER)
		return (snapshot->marks & ~marks) == 0;
	return snapshot->kind == TABLE_ABSENT;
}

/* Installs a leaf in the place of nothing, or of a marker with `marks` at most.  Takes over the
 * mapping that leaf->frame brings on success only. */
static int install(struct filling *filling, const struct vma *vma, uint64_t page, unsigned marks,
		   struct table_leaf *leaf)
{
	struct quire_space *space = filling->space;
	struct table_reserve reserve = {0};
	struct table_snapshot snapshot;
	struct gather gather;
	int error;

	table_probe(&space->tables, page, &snapshot);
	if (!stands_aside(&snapshot, marks))
		return -QUIRE_EEXIST;
	error = table_reserve(space->machine, &reserve, snapshot.level);
	if (error)
		return error;
	if (QUIRE_MISTAKE(COPY_KEEPS_MARKER) && (snapshot.marks & MARK_UFFD_WP))
		leaf->uffd_wp = true;
	leaf->allow = vma_permissions(vma);
	if (leaf->uffd_wp || !(leaf->exclusive || (vma->flags & VMA_SHARED)))
		leaf->allow.write = false;
	gather_begin(&gather, &space->tables, QUIRE_NOTIFIER_CLEAR);
	if (!table_install(&space->tables, page, &snapshot, leaf, &reserve, &gather))
		error = -QUIRE_EEXIST;
	gather_end(&gather);
	table_unreserve(space->machine, &reserve);
	return error;
}

/* A page of the VMA's object, to which the caller has a reference. */
static int install_cached(struct filling *filling, const struct vma *vma, uint64_t page,
			  unsigned marks, struct folio *folio)
{
	struct table_leaf leaf = {.folio = folio, .dirty = true, .uffd_wp = filling->wp};
	int error;

	folio_hold(folio, FRAME_ONE_MAPPING);
	error = install(filling, vma, page, marks, &leaf);
	if (error)
		folio_exchange(folio, FRAME_ONE_MAPPING, 0);
	return error;
}

struct publishing {
	struct quire_object *object;
	uint64_t index;
	struct folio *folio;
	int error;
};

/* The page becomes one of the object's. */
static bool publish(void *context)
{
	struct publishing *publishing = context;

	publishing->error =
		object_add_page(publishing->object, publishing->index, publishing->folio);
	if (publishing->error)
		return false;
	folio_exchange(publishing->folio, FRAME_ONE_REFERENCE, FRAME_ONE_MAPPING);
	return true;
}

/*
 * Makes *frame, which holds the content, a page of the object, and maps it; both with the table locked,
 * so that no fault maps it from the cache first.  What is dirty is the leaf, as on Linux.
 */
static int add_cached(struct filling *filling, const struct vma *vma, uint64_t page, unsigned marks,
		      struct folio **folio)
{
	struct publishing publishing = {
		.object = vma->object,
		.index = vma_index(vma, page),
		.folio = *folio,
	};
	struct table_leaf leaf = {
		.folio = *folio,
		.dirty = true,
		.uffd_wp = filling->wp,
		.publish = publish,
		.context = &publishing,
	};
	int error = check_end(vma, page);

	if (QUIRE_MISTAKE(COPY_CACHES_FIRST) && !error && publish(&publishing))
		leaf.publish = NULL;
	if (!error)
		error = install(filling, vma, page, marks, &leaf);
	if (publishing.error)
		error = publishing.error == -QUIRE_EFBIG ? -QUIRE_EFAULT : publishing.error;
	if (!error)
		*folio = NULL;
	return error;
}

/* Makes it a page of the process's own, and maps it. */
static int add_own(struct filling *filling, const struct vma *vma, uint64_t page, unsigned marks,
		   struct folio **folio)
{
	struct table_leaf leaf = {
		.folio = *folio,
		.exclusive = true,
		.dirty = !QUIRE_MISTAKE(COPY_LEAVES_CLEAN),
		.uffd_wp = filling->wp,
	};
	struct quire_machine *machine = filling->space->machine;
	int error = check_end(vma, page);

	if (error)
		return error;
	folio_make_anon(machine, *folio);
	rmap_set_owner(*folio, vma, page);
	error = install(filling, vma, page, marks, &leaf);
	if (!error || !folio_drop(*folio, FRAME_ONE_MAPPING))
		*folio = NULL;
	return error;
}

/* The page goes where the VMA has its pages; *frame becomes NULL when it is used up. */
static int add_page(struct filling *filling, uint64_t page, unsigned marks, struct folio **folio)
{
	struct vma *vma;
	int error;

	space_read_lock(filling->space);
	error = find_destination(filling, &vma);
	if (!error)
		error = vma->flags & VMA_SHARED ? add_cached(filling, vma, page, marks, folio)
						: add_own(filling, vma, page, marks, folio);
	space_read_unlock(filling->space);
	return error;
}

/* --- COPY --- */

/* The bytes of one page, before anything is locked: the source may fault, and the fault sleep. */
static int read_source(const struct filling *filling, uint64_t offset, unsigned char *memory)
{
	uint64_t source = filling->source + offset;

	if (filling->source_space)
		return space_copy_in(filling->source_space, source, memory, PAGE_SIZE);
	memcpy(memory, (const void *)(uintptr_t)source, PAGE_SIZE);
	return 0;
}

static int fill_copy(struct filling *filling, uint64_t page)
{
	struct quire_machine *machine = filling->space->machine;
	struct folio *folio = folio_alloc(machine, 0);
	int error;

	if (!folio)
		return -NO_FRAMES;
	error = read_source(filling, page - filling->start, folio_memory(machine, folio));
	if (!error)
		error = add_page(filling, page, ANY_MARK, &folio);
	if (folio)
		folio_free(machine, folio);
	return error;
}

/* --- ZEROPAGE and POISON --- */

/* Shared memory has no zero page: it gets a page of zeros. */
static int fill_shared_zeros(struct filling *filling, uint64_t page)
{
	struct quire_machine *machine = filling->space->machine;
	struct folio *folio = folio_alloc_zeroed(machine);
	int error;

	if (!folio)
		return -NO_FRAMES;
	error = add_page(filling, page, ANY_MARK, &folio);
	if (folio)
		folio_free(machine, folio);
	return error;
}

static int fill_zeropage(struct filling *filling, uint64_t page)
{
	struct table_leaf leaf = {0};
	bool shared = false;
	struct vma *vma;
	int error;

	space_read_lock(filling->space);
	error = find_destination(filling, &vma);
	if (!error)
		shared = vma->flags & VMA_SHARED;
	if (!error && !shared)
		error = check_end(vma, page);
	if (!error && !shared)
		error = install(filling, vma, page, 0, &leaf);
	space_read_unlock(filling->space);
	return shared ? fill_shared_zeros(filling, page) : error;
}

/* A marker is put in with the space's lock for writing. */
static int fill_poison(struct filling *filling, uint64_t page)
{
	struct page_tables *tables = &filling->space->tables;
	struct quire_machine *machine = filling->space->machine;
	struct table_reserve reserve = {0};
	struct table_snapshot snapshot;
	struct vma *vma;
	int error;

	space_write_lock(filling->space);
	error = find_destination(filling, &vma);
	if (!error)
		error = check_end(vma, page);
	table_probe(tables, page, &snapshot);
	if (!error && snapshot.kind != TABLE_ABSENT)
		error = -QUIRE_EEXIST;
	if (!error)
		error = table_reserve(machine, &reserve, snapshot.level);
	if (!error) {
		table_mark(tables, page, page + PAGE_SIZE, MARK_POISON, &reserve);
		table_unreserve(machine, &reserve);
	}
	space_write_unlock(filling->space);
	return error;
}

/* --- the way they all go --- */

/* Page by page, from filling->page on. */
static int fill_pages(struct filling *filling)
{
	unsigned tries = 0;
	int error = 0;

	while (!error && filling->page < filling->end) {
		error = filling->fill(filling, filling->page);
		if (!error) {
			filling->page += PAGE_SIZE;
			tries = 0;
		} else if (error == -NO_FRAMES && space_reclaim(filling->space, &tries)) {
			error = 0;
		}
	}
	return public_error(error);
}

/* *output: bytes done, or the error; -QUIRE_EINPROGRESS and -QUIRE_ESRCH leave it alone. */
static int fill_range(struct filling *filling, bool dontwake, int64_t *output)
{
	int error = filling->resumed ? 0 : check_destination(filling);
	uint64_t done;

	if (!error)
		error = fill_pages(filling);
	if (error == -QUIRE_EINPROGRESS)
		return error;
	done = filling->page - filling->start;
	if (done || error != -QUIRE_ESRCH)
		*output = done ? (int64_t)done : error;
	if (done && !dontwake)
		userfault_wake(filling->context, filling->start, filling->page);
	return done && error ? -QUIRE_EAGAIN : error;
}

/* A request with arguments that are `valid`, or not. */
static int fill(struct filling *filling, bool valid, bool dontwake, int64_t *output)
{
	int error = context_enter(filling->context, valid, filling->resumed, &filling->space);

	if (error == -QUIRE_EAGAIN)
		*output = error;
	if (error)
		return error;
	error = fill_range(filling, dontwake, output);
	context_leave(filling->space);
	return error;
}

/* A host pointer need not lie where a user's addresses do. */
static bool source_valid(const struct quire_uffdio_copy *request, const struct quire_space *source)
{
	if (source)
		return space_holds(source, request->src, request->len);
	return request->src + request->len >= request->src;
}

int userfault_copy(struct quire_userfault *context, struct quire_uffdio_copy *request,
		   struct quire_space *source)
{
	const uint64_t modes = QUIRE_UFFDIO_MODE_DONTWAKE | QUIRE_UFFDIO_COPY_MODE_WP;
	struct filling filling = {
		.context = context,
		.start = request->dst,
		.end = request->dst + request->len,
		.page = request->dst,
		.wp = request->mode & QUIRE_UFFDIO_COPY_MODE_WP,
		.fill = fill_copy,
		.source = request->src,
		.source_space = source,
	};
	const struct quire_call call = {
		QUIRE_CALL_COPY, context, {request->dst, request->src, request->len}};
	bool valid = range_valid(context, request->dst, request->len) &&
		     source_valid(request, source) && !(request->mode & ~modes);
	int error;

	filling.resumed = source && call_resumes(source, &call);
	if (filling.resumed)
		filling.page = call_reached(source, filling.start);
	error = fill(&filling, valid, request->mode & QUIRE_UFFDIO_MODE_DONTWAKE, &request->copy);
	if (error == -QUIRE_EINPROGRESS)
		call_block(source, &call, filling.page);
	return error;
}

static int fill_plain(struct quire_userfault *context, const struct quire_uffdio_range *range,
		      uint64_t mode, bool wp, int64_t *output,
		      int (*fill_page)(struct filling *filling, uint64_t page))
{
	struct filling filling = {
		.context = context,
		.start = range->start,
		.end = range->start + range->len,
		.page = range->start,
		.wp = wp,
		.fill = fill_page,
	};
	bool valid = range_valid(context, range->start, range->len) &&
		     !(mode & ~QUIRE_UFFDIO_MODE_DONTWAKE);

	return fill(&filling, valid, mode & QUIRE_UFFDIO_MODE_DONTWAKE, output);
}

int userfault_zeropage(struct quire_userfault *context, struct quire_uffdio_zeropage *request)
{
	return fill_plain(context, &request->range, request->mode, false, &request->zeropage,
			  fill_zeropage);
}

int userfault_poison(struct quire_userfault *context, struct quire_uffdio_poison *request)
{
	return fill_plain(context, &request->range, request->mode, false, &request->updated,
			  fill_poison);
}

/* --- CONTINUE --- */

/* CONTINUE waits, with no lock held, for what `why` says of the page. */
static int wait_for(struct filling *filling, const struct vma *vma, uint64_t page, int why)
{
	filling->object = vma->object;
	filling->index = vma_index(vma, page);
	quire_object_get(filling->object);
	return -why;
}

/* The page that the object has; in a private mapping it can only be read. */
static int continue_page(struct filling *filling, const struct vma *vma, uint64_t page)
{
	enum object_page answer;
	struct folio *folio;
	int error;

	if (!vma->object)
		return -QUIRE_EINVAL;
	if (!object_find_lasting(vma->object, vma_index(vma, page), &answer, &folio))
		return wait_for(filling, vma, page, REMOVING);
	switch (answer) {
	case PAGE_BEYOND:
		return -QUIRE_EINVAL;
	case PAGE_ABSENT:
		return -QUIRE_EFAULT;
	case PAGE_SWAPPED:
		return wait_for(filling, vma, page, SWAPPED);
	case PAGE_FOUND:
		break;
	}
	folio_unmark(folio, FRAME_UNUSED);
	if (folio_has(folio, FRAME_MIGRATING))
		error = -MIGRATING;
	else
		error = install_cached(filling, vma, page, ANY_MARK, folio);
	folio_put(filling->space->machine, folio);
	return error;
}

static int fill_continue_found(struct filling *filling, uint64_t page)
{
	struct vma *vma;
	int error;

	space_read_lock(filling->space);
	error = find_destination(filling, &vma);
	if (!error)
		error = continue_page(filling, vma, page);
	space_read_unlock(filling->space);
	return error;
}

static int bring_in(struct filling *filling)
{
	struct folio *folio;
	int error = object_make_page(filling->object, filling->index, MAKE_SWAPPED, &folio);

	if (folio)
		folio_put(filling->space->machine, folio);
	if (error == -QUIRE_EFBIG)
		return 0; /* it has been cut off, which the next look finds */
	return error && error != -NO_FRAMES ? -QUIRE_EFAULT : error;
}

/* Until the page, which is in swap, on its way to another frame, or out of its object, is there. */
static int await_page(struct filling *filling, int why)
{
	int error = 0;

	if (why == -MIGRATING) {
		machine_await_migration(filling->space->machine);
		return 0;
	}
	if (why == -SWAPPED)
		error = bring_in(filling);
	else
		object_await_change(filling->object);
	quire_object_put(filling->object);
	return error;
}

static int fill_continue(struct filling *filling, uint64_t page)
{
	int error;

	do {
		error = fill_continue_found(filling, page);
		if (error != -SWAPPED && error != -MIGRATING && error != -REMOVING)
			return error;
		error = await_page(filling, error);
	} while (!error);
	return error;
}

int userfault_continue(struct quire_userfault *context, struct quire_uffdio_continue *request)
{
	const uint64_t wp = QUIRE_UFFDIO_CONTINUE_MODE_WP;

	return fill_plain(context, &request->range, request->mode & ~wp, request->mode & wp,
			  &request->mapped, fill_continue);
}
