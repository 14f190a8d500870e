/* SPDX-License-Identifier: MIT */
/*
 * Contexts: opening, negotiating, reading messages, closing.
 */
#include "userfault/userfault.h"

struct quire_userfault *context_new(struct quire_space *space)
{
	struct quire_machine *machine = space->machine;
	struct quire_userfault *context = slab_alloc(machine, sizeof(*context));

	if (!context)
		return NULL;
	context->machine = machine;
	context->space = space;
	context->highest = space->highest;
	context->references = 1;
	queue_lock(machine);
	context->next = space->userfaults;
	space->userfaults = context;
	queue_unlock(machine);
	return context;
}

/* Out of the space's list; the queue lock is held. */
static void leave_space(struct quire_userfault *context)
{
	struct quire_userfault **link;

	if (!context->space)
		return;
	for (link = &context->space->userfaults; *link != context; link = &(*link)->next)
		;
	*link = context->next;
	context->space = NULL;
}

void context_put(struct quire_userfault *context)
{
	struct quire_machine *machine = context->machine;
	bool last;

	queue_lock(machine);
	last = --context->references == 0;
	if (last)
		leave_space(context);
	queue_unlock(machine);
	if (last)
		slab_free(machine, context);
}

struct quire_space *context_space(struct quire_userfault *context)
{
	struct quire_space *space;

	queue_lock(context->machine);
	space = context->space;
	if (space && !QUIRE_MISTAKE(REQUEST_BORROWS_SPACE))
		space_get(space);
	queue_unlock(context->machine);
	return space;
}

void context_leave(struct quire_space *space)
{
	if (!QUIRE_MISTAKE(REQUEST_BORROWS_SPACE))
		space_put(space);
}

int context_enter(struct quire_userfault *context, bool valid, bool resumes,
		  struct quire_space **space)
{
	if (!resumes && context_changing(context))
		return -QUIRE_EAGAIN;
	if (!valid)
		return -QUIRE_EINVAL;
	*space = context_space(context);
	return *space ? 0 : -QUIRE_ESRCH;
}

bool context_gone(const struct quire_userfault *context)
{
	bool gone;

	queue_lock(context->machine);
	gone = !context->space;
	queue_unlock(context->machine);
	return gone;
}

bool context_changing(struct quire_userfault *context)
{
	bool changing;

	queue_lock(context->machine);
	changing = context->changing;
	queue_unlock(context->machine);
	return changing;
}

uint64_t context_vma_flags(const struct quire_userfault *context)
{
	uint64_t flags = 0;

	if (context->features & QUIRE_UFFD_FEATURE_WP_UNPOPULATED)
		flags |= VMA_UFFD_UNPOPULATED;
	if (context->features & QUIRE_UFFD_FEATURE_WP_ASYNC)
		flags |= VMA_UFFD_ASYNC | VMA_UFFD_UNPOPULATED;
	if (context->features & QUIRE_UFFD_FEATURE_SIGBUS)
		flags |= VMA_UFFD_SIGBUS;
	return flags;
}

int quire_userfault_open(struct quire_space *space, const struct quire_userfault_config *config,
			 struct quire_userfault **context)
{
	unsigned tries = 0;

	atomic_store_explicit(&space->machine->userfault, &userfault_hooks, memory_order_release);
	do {
		*context = context_new(space);
		if (*context) {
			(*context)->config = *config;
			return 0;
		}
	} while (space_reclaim(space, &tries));
	return -QUIRE_ENOMEM;
}

int userfault_api(struct quire_userfault *context, struct quire_uffdio_api *api)
{
	uint64_t asked = api->features;
	int error = 0;

	if (api->api != QUIRE_UFFD_API || (asked & ~UFFD_FEATURES))
		error = -QUIRE_EINVAL;
	else if ((asked & QUIRE_UFFD_FEATURE_EVENT_FORK) && context->config.no_fork_event)
		error = -QUIRE_EPERM;
	queue_lock(context->machine);
	if (!error && context->negotiated)
		error = -QUIRE_EINVAL;
	if (!error) {
		context->features = asked;
		context->negotiated = true;
	}
	queue_unlock(context->machine);
	*api = (struct quire_uffdio_api){0};
	if (!error)
		*api = (struct quire_uffdio_api){QUIRE_UFFD_API, UFFD_FEATURES, UFFD_IOCTLS};
	return error;
}

int quire_userfault_read(struct quire_userfault *context, struct quire_uffd_msg *message,
			 struct quire_userfault **child)
{
	struct quire_machine *machine = context->machine;
	struct quire_thread *thread;
	int error = 0;

	*child = NULL;
	queue_lock(machine);
	if (!context->negotiated) {
		error = -QUIRE_EINVAL;
	} else if (context->faults) {
		thread = context->faults;
		*message = thread->message;
		queue_append(&context->waiting, context, thread);
	} else if (context->events) {
		thread = context->events;
		*message = thread->message;
		*child = thread->child;
		context->changing--;
		queue_wake(machine, thread);
	} else {
		error = -QUIRE_EAGAIN;
	}
	queue_unlock(machine);
	return error;
}

int quire_userfault_poll(struct quire_userfault *context)
{
	int readable;

	queue_lock(context->machine);
	readable = context->faults || context->events;
	if (!context->negotiated)
		readable = -QUIRE_EINVAL;
	queue_unlock(context->machine);
	return readable;
}

static void wake_all(struct quire_machine *machine, struct quire_thread **queue)
{
	while (*queue)
		queue_wake(machine, *queue);
}

void quire_userfault_close(struct quire_userfault *context)
{
	struct quire_machine *machine = context->machine;
	struct quire_space *space = context_space(context);

	if (space) {
		space_write_lock(space);
		unregister_all(context, space);
		space_write_unlock(space);
		context_leave(space);
	}
	queue_lock(machine);
	context->closed = true;
	wake_all(machine, &context->faults);
	if (!QUIRE_MISTAKE(CLOSE_LEAVES_SLEEPERS))
		wake_all(machine, &context->waiting);
	/* A fork whose message nobody has read takes its child's context along. */
	while (context->events) {
		struct quire_thread *thread = context->events;
		struct quire_userfault *child = thread->child;

		context->changing--;
		queue_wake(machine, thread);
		if (!child)
			continue;
		queue_unlock(machine);
		quire_userfault_close(child);
		queue_lock(machine);
	}
	queue_unlock(machine);
	context_put(context);
}
