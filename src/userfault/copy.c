/* SPDX-License-Identifier: MIT */
/*
 * COPY, ZEROPAGE, CONTINUE and POISON: putting something where nothing is, page by page.
 *
 * The destination must lie in one registered VMA.  A page that is there, or comes to be there, ends
 * the call with -EEXIST; what was done before stays, and then the error is -EAGAIN and the output
 * field tells how far.  Waiters in what was done are woken.
 */
#include "userfault/userfault.h"

struct filling {
	struct quire_userfault *context;
	struct quire_space *space;
	uint64_t start, end; /* of the destination */
	bool wp;	     /* COPY: what is put in is write-protected */

	/* Puts one page in; 0, -NO_FRAMES, or the error. */
	int (*fill)(struct filling *filling, uint64_t page);
	/* COPY: where the bytes come from */
	uint64_t source;
	struct quire_space *source_space; /* NULL: `source` is a host pointer */
};

/*
 * The VMA that the destination may be put in, which is made ready for pages even if it may not;
 * lock for reading.
 */
static int find_destination(const struct filling *filling, struct vma **vma)
{
	*vma = vma_find(filling->space, filling->start);
	if (!vma_holds(*vma, filling->start))
		return -QUIRE_ENOENT;
	vma_prepare_anon(filling->space, *vma);
	if ((*vma)->end < filling->end || !(*vma)->userfault)
		return -QUIRE_ENOENT;
	return filling->wp && !((*vma)->flags & VMA_UFFD_WP) ? -QUIRE_EINVAL : 0;
}

static int check_destination(const struct filling *filling)
{
	struct vma *vma;
	int error;

	space_read_lock(filling->space);
	error = find_destination(filling, &vma);
	space_read_unlock(filling->space);
	return error;
}

/*
 * Installs a leaf over nothing, a page also over any marker.  leaf->frame is used up only on
 * success.
 */
static int install(struct filling *filling, uint64_t page, struct table_leaf *leaf)
{
	struct quire_space *space = filling->space;
	struct table_reserve reserve = {0};
	struct table_snapshot snapshot;
	struct gather gather;
	struct vma *vma;
	int error = find_destination(filling, &vma);

	if (error)
		return error;
	table_probe(&space->tables, page, &snapshot);
	if (snapshot.kind != TABLE_ABSENT && !(snapshot.kind == TABLE_MARKER && leaf->frame))
		return -QUIRE_EEXIST;
	error = table_reserve(space->machine, &reserve, snapshot.missing);
	if (error)
		return error;
	if (QUIRE_MISTAKE(COPY_KEEPS_MARKER) && (snapshot.marks & MARK_UFFD_WP))
		leaf->uffd_wp = true;
	leaf->allow = vma_permissions(vma);
	if (!leaf->frame || leaf->uffd_wp)
		leaf->allow.write = false;
	gather_begin(&gather, &space->tables);
	if (!table_install(&space->tables, page, &snapshot, leaf, &reserve, &gather))
		error = -QUIRE_EEXIST;
	gather_end(&gather);
	table_unreserve(space->machine, &reserve);
	return error;
}

/* --- COPY --- */

/* The bytes of one page, before anything is locked: the source may fault, and the fault sleep. */
static int read_source(const struct filling *filling, uint64_t offset, unsigned char *memory)
{
	uint64_t source = filling->source + offset;
	size_t done;

	if (filling->source_space)
		return quire_access_read(filling->source_space, source, memory, PAGE_SIZE, &done);
	memcpy(memory, (const void *)(uintptr_t)source, PAGE_SIZE);
	return 0;
}

static int fill_copy(struct filling *filling, uint64_t page)
{
	struct quire_machine *machine = filling->space->machine;
	struct table_leaf leaf = {.exclusive = true, .dirty = true, .uffd_wp = filling->wp};
	int error;

	if (QUIRE_MISTAKE(COPY_LEAVES_CLEAN))
		leaf.dirty = false;
	leaf.frame = frame_alloc(machine, 0);
	if (!leaf.frame)
		return -NO_FRAMES;
	error = read_source(filling, page - filling->start, frame_memory(machine, leaf.frame));
	if (!error) {
		frame_set_kind(machine, leaf.frame, FRAME_ANON);
		atomic_store_explicit(&leaf.frame->holders, FRAME_ONE_MAPPING,
				      memory_order_relaxed);
		space_read_lock(filling->space);
		error = install(filling, page, &leaf);
		space_read_unlock(filling->space);
	}
	if (error) {
		atomic_store_explicit(&leaf.frame->holders, 0, memory_order_relaxed);
		frame_free(machine, leaf.frame);
	}
	return error;
}

/* --- ZEROPAGE and POISON --- */

static int fill_zeropage(struct filling *filling, uint64_t page)
{
	struct table_leaf leaf = {0};
	int error;

	space_read_lock(filling->space);
	error = install(filling, page, &leaf);
	space_read_unlock(filling->space);
	return error;
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
	table_probe(tables, page, &snapshot);
	if (!error && snapshot.kind != TABLE_ABSENT)
		error = -QUIRE_EEXIST;
	if (!error)
		error = table_reserve(machine, &reserve, snapshot.missing);
	if (!error) {
		table_mark(tables, page, page + PAGE_SIZE, MARK_POISON, &reserve);
		table_unreserve(machine, &reserve);
	}
	space_write_unlock(filling->space);
	return error;
}

/* --- the way they all go --- */

/* Page by page; *done tells how far it came. */
static int fill_pages(struct filling *filling, uint64_t *done)
{
	uint64_t page = filling->start;
	unsigned tries = 0;
	int error = check_destination(filling);

	while (!error && page < filling->end) {
		error = filling->fill(filling, page);
		if (!error) {
			page += PAGE_SIZE;
			tries = 0;
		} else if (error == -NO_FRAMES && space_reclaim(filling->space, &tries)) {
			error = 0;
		}
	}
	*done = page - filling->start;
	return public_error(error);
}

/* *output: bytes done, or the error. */
static int fill_range(struct filling *filling, bool dontwake, int64_t *output)
{
	uint64_t done;
	int error = fill_pages(filling, &done);

	if (error == -QUIRE_EINPROGRESS && !done)
		return error;
	*output = done ? (int64_t)done : error;
	if (done && !dontwake)
		userfault_wake(filling->context, filling->start, filling->start + done);
	return done && error ? -QUIRE_EAGAIN : error;
}

static int enter(struct filling *filling, int64_t *output)
{
	int error = context_enter(filling->context, &filling->space);

	if (error == -QUIRE_EAGAIN)
		*output = error;
	return error;
}

int userfault_copy(struct quire_userfault *context, struct quire_uffdio_copy *request,
		   struct quire_space *source)
{
	const uint64_t modes = QUIRE_UFFDIO_MODE_DONTWAKE | QUIRE_UFFDIO_COPY_MODE_WP;
	struct filling filling = {
		.context = context,
		.start = request->dst,
		.end = request->dst + request->len,
		.wp = request->mode & QUIRE_UFFDIO_COPY_MODE_WP,
		.fill = fill_copy,
		.source = request->src,
		.source_space = source,
	};
	int error = enter(&filling, &request->copy);

	if (error)
		return error;
	if (!range_valid(filling.space, request->dst, request->len) ||
	    request->src + request->len < request->src || (request->mode & ~modes))
		return -QUIRE_EINVAL;
	return fill_range(&filling, request->mode & QUIRE_UFFDIO_MODE_DONTWAKE, &request->copy);
}

static int fill_plain(struct quire_userfault *context, const struct quire_uffdio_range *range,
		      uint64_t mode, int64_t *output,
		      int (*fill)(struct filling *filling, uint64_t page))
{
	struct filling filling = {
		.context = context,
		.start = range->start,
		.end = range->start + range->len,
		.fill = fill,
	};
	int error = enter(&filling, output);

	if (error)
		return error;
	if (!range_valid(filling.space, range->start, range->len) ||
	    (mode & ~QUIRE_UFFDIO_MODE_DONTWAKE))
		return -QUIRE_EINVAL;
	return fill_range(&filling, mode & QUIRE_UFFDIO_MODE_DONTWAKE, output);
}

int userfault_zeropage(struct quire_userfault *context, struct quire_uffdio_zeropage *request)
{
	return fill_plain(context, &request->range, request->mode, &request->zeropage,
			  fill_zeropage);
}

int userfault_poison(struct quire_userfault *context, struct quire_uffdio_poison *request)
{
	return fill_plain(context, &request->range, request->mode, &request->updated, fill_poison);
}

/* CONTINUE maps what the page cache has; anonymous memory has none. */
static int fill_continue(struct filling *filling, uint64_t page)
{
	(void)filling;
	(void)page;
	return -QUIRE_EINVAL;
}

int userfault_continue(struct quire_userfault *context, struct quire_uffdio_continue *request)
{
	const uint64_t wp = (uint64_t)1 << 1;

	return fill_plain(context, &request->range, request->mode & ~wp, &request->mapped,
			  fill_continue);
}
