/* SPDX-License-Identifier: MIT */
/*
 * MOVE: pages change their address without being copied.
 *
 * A page can be moved if it is this space's alone, that is exclusive, and not pinned; what it is
 * protected by stays behind.  Page by page, as COPY; but no page can be reached at its new place before
 * all have left their old ones for every CPU, which takes one flush.
 */
#include "space/rmap.h"
#include "userfault/userfault.h"

struct moving {
	struct quire_userfault *context;
	struct quire_space *space;
	uint64_t from, to, length;
	bool holes; /* an empty source is fine */
};

static int check_vmas(const struct moving *moving, struct vma **target)
{
	const struct vma *source = vma_find(moving->space, moving->from);
	uint64_t alike = VMA_ACCESS | VMA_LOCKED;
	int error = context_ask_again(moving->context);

	if (error)
		return error;
	*target = vma_find(moving->space, moving->to);
	if (!vma_holds(*target, moving->to))
		return -QUIRE_ENOENT;
	error = (*target)->flags & VMA_SHARED ? 0 : vma_prepare_anon(moving->space, *target);
	if (error)
		return error;
	if (!vma_holds(source, moving->from))
		return -QUIRE_ENOENT;
	if (source->object || (*target)->object || source->end - moving->from < moving->length ||
	    (*target)->end - moving->to < moving->length ||
	    (*target)->userfault != moving->context || !(source->flags & VMA_WRITE) ||
	    ((source->flags ^ (*target)->flags) & alike))
		return -QUIRE_EINVAL;
	return 0;
}

static int check_page(const struct moving *moving, const struct table_snapshot *source,
		      const struct table_snapshot *target)
{
	if (target->kind != TABLE_ABSENT)
		return -QUIRE_EEXIST;
	if (source->kind == TABLE_ABSENT)
		return moving->holes ? 0 : -QUIRE_ENOENT;
	if (source->kind == TABLE_MARKER)
		return -QUIRE_EFAULT;
	if (source->migrating)
		return -MIGRATING;
	if (source->folio && folio_pins(source->folio))
		return -QUIRE_EBUSY;
	if (QUIRE_MISTAKE(MOVE_TAKES_SHARED))
		return 0;
	return (source->folio || source->kind == TABLE_SWAP) && !source->exclusive ? -QUIRE_EBUSY
										   : 0;
}

static int move_page(const struct moving *moving, struct vma *target, uint64_t offset,
		     struct gather *gather)
{
	struct page_tables *tables = &moving->space->tables;
	uint64_t from = moving->from + offset, to = moving->to + offset;
	struct table_reserve reserve = {0};
	struct table_snapshot source, there;
	int error;

	table_probe(tables, from, &source);
	table_probe(tables, to, &there);
	error = check_page(moving, &source, &there);
	if (error || source.kind == TABLE_ABSENT)
		return error;
	error = table_reserve(moving->space->machine, &reserve, there.level);
	if (error)
		return error;
	if (source.folio)
		rmap_set_owner(source.folio, target, to);
	table_move_page(tables, from, to, &reserve, gather);
	table_unreserve(moving->space->machine, &reserve);
	return 0;
}

/*
 * What has been moved to [start, end) can be reached there from now on.  Not inlined: the two gathers are
 * not on the stack at once.
 */
__attribute__((noinline)) static void arrive(struct page_tables *tables, const struct vma *target,
					     uint64_t start, uint64_t end)
{
	struct gather gather;

	table_move_end(tables, start, end);
	if (QUIRE_MISTAKE(MOVE_KEEPS_PROTECTION))
		return;
	gather_begin(&gather, tables, QUIRE_NOTIFIER_PROTECT);
	table_write_release(tables, start, end, vma_permissions(target), &gather);
	gather_end(&gather);
}

/* From *done on; lock for writing. */
static int move_pages(const struct moving *moving, uint64_t *done)
{
	struct page_tables *tables = &moving->space->tables;
	uint64_t start = moving->to + *done;
	struct gather gather;
	struct vma *target;
	int error = check_vmas(moving, &target);

	if (error)
		return error;
	gather_begin(&gather, tables, QUIRE_NOTIFIER_CLEAR);
	while (!error && *done < moving->length) {
		error = move_page(moving, target, *done, &gather);
		if (!error)
			*done += PAGE_SIZE;
	}
	gather_end(&gather);
	if (start < moving->to + *done)
		arrive(tables, target, start, moving->to + *done);
	return error;
}

/* No lock held. */
static bool try_again(const struct moving *moving, int error, unsigned *tries)
{
	if (error != -MIGRATING)
		return error == -NO_FRAMES && space_reclaim(moving->space, tries);
	machine_await_migration(moving->space->machine);
	return true;
}

/* Pages move inside the caller's space only; whoever asks is not of one that has gone. */
static int of_gone(int error)
{
	return error == -QUIRE_ESRCH ? -QUIRE_EINVAL : error;
}

int userfault_move(struct quire_userfault *context, struct quire_uffdio_move *request)
{
	const uint64_t modes = QUIRE_UFFDIO_MODE_DONTWAKE | QUIRE_UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES;
	struct moving moving = {
		.context = context,
		.from = request->src,
		.to = request->dst,
		.length = request->len,
		.holes = request->mode & QUIRE_UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES,
	};
	unsigned tries = 0;
	uint64_t done = 0;
	bool valid = range_valid(context, request->dst, request->len) &&
		     range_valid(context, request->src, request->len) && !(request->mode & ~modes);
	int error = context_enter(context, valid, false, &moving.space);

	if (error == -QUIRE_EAGAIN)
		request->move = error;
	if (error)
		return of_gone(error);
	do {
		space_write_lock(moving.space);
		error = move_pages(&moving, &done);
		space_write_unlock(moving.space);
	} while (try_again(&moving, error, &tries));
	context_leave(moving.space);
	if (done || error != -QUIRE_ESRCH)
		request->move = done ? (int64_t)done : public_error(error);
	error = of_gone(public_error(error));
	if (done && !(request->mode & QUIRE_UFFDIO_MODE_DONTWAKE))
		userfault_wake(context, request->dst, request->dst + done);
	return done && error ? -QUIRE_EAGAIN : error;
}
