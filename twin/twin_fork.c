/* SPDX-License-Identifier: MIT */
/*
 * fork: the child has the parent's mappings, and shares its blocks until one of them writes.
 */
#include "twin.h"

#include <stdlib.h>
#include <string.h>

/* The child's context for a parent's that wants to hear of forks: one for each. */
static struct userfault *child_context(struct thread *thread, struct process *child,
				       struct userfault *context)
{
	struct event *event;

	if (!context || !(context->features & UFFD_FEATURE_EVENT_FORK))
		return NULL;
	for (event = thread->events; event; event = event->next)
		if (event->context == context)
			return event->child;
	event = twin_add_event(thread, context, UFFD_EVENT_FORK);
	event->child = twin_userfault_new(child);
	event->child->features = context->features;
	event->child->negotiated = true;
	event->child->nonblock = context->nonblock;
	event->child->user_mode_only = context->user_mode_only;
	return event->child;
}

/* Both may read the block; only if it is the file's may either write to it. */
static void share_entry(struct page *parent, struct page *child)
{
	child->entry = parent->entry;
	child->dirty = parent->dirty && !(parent->flags & SHARED);
	child->guard = parent->guard;
	child->poison = parent->poison;
	child->protected = parent->protected && child->flags & REPORTS_WRITES && !parent->guard &&
			   !parent->poison;
	if (parent->entry == MEMORY) {
		child->block = parent->block;
		child->block->mappings++;
		parent->writable = parent->flags & SHARED && parent->writable;
		child->writable = parent->writable;
		parent->exclusive = false;
	}
	if (child->entry == MARKER && !child->guard && !child->poison && !child->protected)
		child->entry = NONE;
}

/* Entries are copied where there can be blocks, guards or protection; others are as good as empty. */
static bool has_entries(const struct page *parent, const struct page *child)
{
	if (parent->flags & FORKED_EMPTY)
		return false;
	return parent->origin || parent->flags & HAD_GUARDS || child->flags & REPORTS_WRITES;
}

int twin_fork(struct thread *thread, struct call *call)
{
	struct process *parent = thread->process, *child = twin_process(parent->target);
	uint64_t origin = 0;

	twin_make_room(child, parent->count);
	for (size_t i = 0; i < parent->count; i++) {
		struct page *from = &parent->pages[i], *to = &child->pages[child->count];

		if (from->flags & NOT_FORKED)
			continue;
		child->count++;
		child->vmas += from->first;
		*to = (struct page){.number = from->number,
				    .place = from->place,
				    .file = from->file,
				    .first = from->first,
				    .flags = from->flags & ~(uint32_t)LOCKED};
		to->context = child_context(thread, child, from->context);
		if (!to->context)
			to->flags &= ~(uint32_t)REPORTS;
		/* New blocks are the child's alone; those it shares have the parent's origin, too. */
		if (from->first)
			origin = ++parent->target->origins;
		if (from->origin && !(from->flags & FORKED_EMPTY)) {
			to->origin = origin;
			to->from_fork = true;
		}
		if (has_entries(from, to))
			share_entry(from, to);
	}
	call->child = child;
	return 0;
}
