/* SPDX-License-Identifier: MIT */
/*
 * Contexts of userfaultfd: opening, negotiating, registering memory, protecting it, waking, closing.
 *
 * Protection (`protected` in a record) outlives what happens to the page: it counts only where
 * writes are reported, lies dormant elsewhere, and is cleared where memory that reports writes ceases
 * to be registered.
 */
#define _GNU_SOURCE 1
#include "twin.h"

#include <errno.h>
#include <fcntl.h>

#define ALL_FEATURES UINT64_C(0x1ffff)
#define REQUESTS                                                                                   \
	(UINT64_C(1) << _UFFDIO_REGISTER | UINT64_C(1) << _UFFDIO_UNREGISTER |                     \
	 UINT64_C(1) << _UFFDIO_API)
/* Of all memory. */
#define RANGE_REQUESTS                                                                             \
	(UINT64_C(1) << _UFFDIO_WAKE | UINT64_C(1) << _UFFDIO_COPY |                               \
	 UINT64_C(1) << _UFFDIO_ZEROPAGE | UINT64_C(1) << _UFFDIO_MOVE |                           \
	 UINT64_C(1) << _UFFDIO_POISON)

struct userfault *twin_userfaultfd(struct process *process, int flags)
{
	struct userfault *context;

	if (flags & ~(O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY)) {
		errno = EINVAL;
		return NULL;
	}
	context = twin_userfault_new(process);
	context->nonblock = flags & O_NONBLOCK;
	context->user_mode_only = flags & UFFD_USER_MODE_ONLY;
	return context;
}

/* Whatever was asked for, all that there is is told.  A refusal tells nothing. */
static int negotiate(struct userfault *context, struct uffdio_api *api)
{
	uint64_t features = api->features;
	int error = 0;

	if (context->negotiated || api->api != UFFD_API || features & ~ALL_FEATURES)
		error = EINVAL;
	*api = (struct uffdio_api){.api = 0};
	if (error)
		return error;
	/* A write that goes on by itself would not find its mark where nothing was marked. */
	if (features & UFFD_FEATURE_WP_ASYNC)
		features |= UFFD_FEATURE_WP_UNPOPULATED;
	context->negotiated = true;
	context->features = features;
	*api = (struct uffdio_api){.api = UFFD_API, .features = ALL_FEATURES, .ioctls = REQUESTS};
	return 0;
}

int twin_check_range(const struct target *target, uint64_t start, uint64_t length)
{
	const struct limits *limits = &target->limits;

	if (start % PAGE_BYTES || length % PAGE_BYTES || !length || start >= limits->highest ||
	    length > limits->highest - start)
		return EINVAL;
	return 0;
}

/* --- protection --- */

/* Only the protection of a page that is not there is a marker that comes and goes. */
static bool only_marks(const struct page *page)
{
	return page->entry == MARKER && !page->guard && !page->poison;
}

bool twin_marks_unpopulated(const struct page *page)
{
	return page->file ||
	       (page->context && page->context->features & UFFD_FEATURE_WP_UNPOPULATED);
}

static void protect_page(struct process *process, struct page *page, uint64_t end)
{
	if (page->entry == MARKER && !twin_is_device(page))
		return;
	if (page->entry == NONE) {
		if (!twin_marks_unpopulated(page))
			return;
		if (twin_is_device(page))
			twin_marker_set(process, page, end);
		page->entry = MARKER;
	}
	page->protected = true;
	page->writable = false;
}

static void unprotect_page(struct page *page)
{
	if (only_marks(page)) {
		twin_entry_clear(page);
	} else if (page->entry == DEVICE) {
		page->protected = false;
		page->writable = page->flags & MAY_WRITE && page->flags & SHARED &&
				 page->file->kind != DEVICE_FSDAX;
	} else if (page->flags & SHARED && page->entry == MEMORY) {
		/* Protected or not: the next write faults, and so marks the file's page dirty. */
		page->protected = page->writable = false;
	} else if (page->entry != MARKER && page->protected) {
		page->protected = false;
		page->writable = page->flags & MAY_WRITE && page->exclusive;
	}
}

void twin_set_protection(struct process *process, uint64_t start, uint64_t end, bool on)
{
	twin_leaf_cut(process, start);
	twin_leaf_cut(process, end);
	for (size_t i = twin_find(process, start), last = twin_find(process, end); i < last; i++) {
		if (on)
			protect_page(process, &process->pages[i], end);
		else
			unprotect_page(&process->pages[i]);
	}
}

/* VMA by VMA, up to the first that does not report writes. */
static int write_protect(struct userfault *context, struct uffdio_writeprotect *request)
{
	struct process *process = context->process;
	uint64_t start = request->range.start / PAGE_BYTES;
	uint64_t end = start + request->range.len / PAGE_BYTES;
	bool on = request->mode & UFFDIO_WRITEPROTECT_MODE_WP;
	bool silent = request->mode & UFFDIO_WRITEPROTECT_MODE_DONTWAKE;
	bool any = false;

	if (context->changing)
		return EAGAIN;
	if (twin_check_range(context->target, request->range.start, request->range.len) ||
	    request->mode & ~(UFFDIO_WRITEPROTECT_MODE_WP | UFFDIO_WRITEPROTECT_MODE_DONTWAKE) ||
	    (on && silent))
		return EINVAL;
	if (!process)
		return ESRCH;
	while (twin_mapped_in(process, start, end)) {
		size_t index = twin_find(process, start);
		uint64_t stop = twin_part_end(process, index, end);

		if (!(process->pages[index].flags & REPORTS_WRITES))
			return ENOENT;
		if (!twin_may_split(process, process->pages[index].number > start
						     ? process->pages[index].number
						     : start) ||
		    !twin_may_split(process, stop))
			return EINVAL;
		twin_set_protection(process, start, stop, on);
		start = stop;
		any = true;
	}
	if (!any)
		return ENOENT;
	if (!on && !silent)
		twin_wake(context, request->range.start, request->range.len);
	return 0;
}

/* --- registering --- */

/*
 * EINVAL: nothing there; or `minor` faults are asked for, and private anonymous memory has no page
 * cache in which a page could be, and not be mapped.  `other`: the error if someone else has
 * registered a part of it.
 */
static int check_owner(struct userfault *context, uint64_t start, uint64_t end, uint32_t modes,
		       int other)
{
	bool asynchronous = context->features & UFFD_FEATURE_WP_ASYNC;
	struct process *process = context->process;

	if (!twin_mapped_in(process, start, end))
		return EINVAL;
	for (size_t i = twin_find(process, start), last = twin_find(process, end); i < last; i++) {
		const struct page *page = &process->pages[i];

		if (modes & REPORTS_MINOR && !page->file)
			return EINVAL;
		/* Only where writes go on by themselves. */
		if (twin_is_device(page) &&
		    (page->flags & BARE || !asynchronous || (modes && modes != REPORTS_WRITES)))
			return EINVAL;
		if (process->pages[i].context && process->pages[i].context != context)
			return other;
	}
	return 0;
}

/* Writes that went unreported while protection lay dormant gave entries write permission. */
static void revive_protection(struct process *process, uint64_t start, uint64_t end)
{
	for (size_t i = twin_find(process, start), last = twin_find(process, end); i < last; i++)
		if (process->pages[i].protected)
			process->pages[i].writable = false;
}

static int register_piece(struct userfault *context, uint64_t start, uint64_t end, uint32_t modes)
{
	struct process *process = context->process;
	struct page *page = twin_page_at(process, start);
	int error;

	/* All that is asked for, or more, is there already. */
	if (page->context == context && (page->flags & modes) == modes)
		return 0;
	error = twin_modify(process, start, end, (page->flags & ~(uint32_t)REPORTS) | modes,
			    context);
	if (!error && modes & REPORTS_WRITES)
		revive_protection(process, start, end);
	return error;
}

static int unregister_piece(struct userfault *context, uint64_t start, uint64_t end)
{
	struct process *process = context->process;
	struct page *page = twin_page_at(process, start);

	if (!page->context)
		return 0;
	if (!twin_may_split(process, start) || !twin_may_split(process, end))
		return EINVAL;
	if (page->flags & REPORTS_MISSING)
		twin_wake(context, start * PAGE_BYTES, (end - start) * PAGE_BYTES);
	if (page->flags & REPORTS_WRITES)
		twin_set_protection(process, start, end, false);
	return twin_modify(process, start, end, page->flags & ~(uint32_t)REPORTS, NULL);
}

/* Each VMA's part; modes 0 unregisters. */
static int for_each_piece(struct userfault *context, uint64_t start, uint64_t end, uint32_t modes)
{
	struct process *process = context->process;

	while (twin_mapped_in(process, start, end)) {
		size_t index = twin_find(process, start);
		uint64_t from = process->pages[index].number;
		uint64_t stop = twin_part_end(process, index, end);
		int error;

		error = modes ? register_piece(context, from, stop, modes)
			      : unregister_piece(context, from, stop);
		if (error)
			return error;
		start = stop;
	}
	return 0;
}

static int register_range(struct userfault *context, struct uffdio_register *request)
{
	uint64_t known =
		UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MINOR;
	uint64_t start = request->range.start / PAGE_BYTES;
	uint64_t end = start + request->range.len / PAGE_BYTES;
	uint32_t modes = 0;
	int error;

	if (!request->mode || request->mode & ~known)
		return EINVAL;
	if (twin_check_range(context->target, request->range.start, request->range.len))
		return EINVAL;
	if (!context->process)
		return ENOMEM;
	if (request->mode & UFFDIO_REGISTER_MODE_MISSING)
		modes |= REPORTS_MISSING;
	if (request->mode & UFFDIO_REGISTER_MODE_WP)
		modes |= REPORTS_WRITES;
	if (request->mode & UFFDIO_REGISTER_MODE_MINOR)
		modes |= REPORTS_MINOR;
	error = check_owner(context, start, end, modes, EBUSY);
	if (error)
		return error;
	error = for_each_piece(context, start, end, modes);
	if (error)
		return error;
	request->ioctls = RANGE_REQUESTS;
	if (modes & REPORTS_WRITES)
		request->ioctls |= UINT64_C(1) << _UFFDIO_WRITEPROTECT;
	if (modes & REPORTS_MINOR)
		request->ioctls |= UINT64_C(1) << _UFFDIO_CONTINUE;
	return 0;
}

static int unregister_range(struct userfault *context, const struct uffdio_range *range)
{
	uint64_t start = range->start / PAGE_BYTES, end = start + range->len / PAGE_BYTES;
	int error;

	if (twin_check_range(context->target, range->start, range->len))
		return EINVAL;
	if (!context->process)
		return ENOMEM;
	error = check_owner(context, start, end, 0, EINVAL);
	return error ? error : for_each_piece(context, start, end, 0);
}

/* --- the end --- */

/* All that it has registered is registered no more, and nobody waits. */
void twin_userfault_release(struct userfault *context)
{
	struct process *process = context->process;

	context->closed = true;
	for (size_t i = 0; process && i < process->count;) {
		uint64_t start = process->pages[i].number;
		uint64_t stop = twin_part_end(process, i, UINT64_MAX);

		if (process->pages[i].context == context)
			unregister_piece(context, start, stop);
		i = twin_find(process, stop);
	}
	twin_wake(context, 0, 0);
	twin_drop_events(context);
}

static int wake_range(struct userfault *context, const struct uffdio_range *range)
{
	if (twin_check_range(context->target, range->start, range->len))
		return EINVAL;
	twin_wake(context, range->start, range->len);
	return 0;
}

int twin_userfault_request(struct userfault *context, unsigned long request, void *argument)
{
	if (request == UFFDIO_API)
		return negotiate(context, argument);
	if (!context->negotiated)
		return EINVAL;
	switch (request) {
	case UFFDIO_REGISTER:
		return register_range(context, argument);
	case UFFDIO_UNREGISTER:
		return unregister_range(context, argument);
	case UFFDIO_WAKE:
		return wake_range(context, argument);
	case UFFDIO_WRITEPROTECT:
		return write_protect(context, argument);
	case UFFDIO_COPY:
		return twin_fill_copy(context, argument, NULL);
	case UFFDIO_ZEROPAGE:
		return twin_fill_zeros(context, argument);
	case UFFDIO_CONTINUE:
		return twin_fill_continue(context, argument);
	case UFFDIO_POISON:
		return twin_fill_poison(context, argument);
	case UFFDIO_MOVE:
		return twin_fill_move(context, argument);
	default:
		return EINVAL;
	}
}
