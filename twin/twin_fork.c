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

/* So that whoever has pinned it goes on to see what the parent writes. */
static bool copied_at_once(const struct page *parent)
{
	return parent->entry == MEMORY && parent->block->pins && !parent->block->of_file;
}

/* Both may read the block, or fetch it from swap; only if it is the file's may either write to it. */
static void share_block(struct page *parent, struct page *child)
{
	child->entry = parent->entry;
	child->block = parent->block;
	if (child->entry == MEMORY)
		child->block->mappings++;
	else
		child->block->swaps++;
	child->dirty = parent->dirty && !(parent->flags & SHARED);
	parent->writable = parent->flags & SHARED && parent->writable;
	child->writable = parent->writable;
	parent->exclusive = false;
}

static void copy_entry(struct page *parent, struct page *child)
{
	bool protected = parent->protected && child->flags & REPORTS_WRITES;

	if (copied_at_once(parent)) {
		twin_entry_set_block(child, twin_block_copy(parent->block));
	} else if (parent->entry == MEMORY || parent->entry == SWAPPED) {
		share_block(parent, child);
	} else if (parent->entry == MARKER) {
		child->guard = parent->guard;
		child->poison = parent->poison;
		protected = protected && !child->guard && !child->poison;
		if (child->guard || child->poison || protected)
			child->entry = MARKER;
	} else {
		child->entry = parent->entry;
		child->writable = parent->writable;
	}
	child->level = child->entry == NONE ? 0 : parent->level;
	child->protected = protected;
	if (protected)
		child->writable = false;
}

/* Entries are copied where there can be blocks, guards or protection; others are as good as empty. */
static bool has_entries(const struct page *parent, const struct page *child)
{
	if (parent->flags & FORKED_EMPTY)
		return false;
	return parent->origin || parent->flags & BARE || parent->flags & HAD_GUARDS ||
	       child->flags & REPORTS_WRITES;
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
			copy_entry(from, to);
	}
	call->child = child;
	return 0;
}
