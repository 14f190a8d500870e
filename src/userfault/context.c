/* SPDX-License-Identifier: MIT */
/*
 * Contexts: opening, negotiating, reading messages, closing.
 */
#include "userfault/userfault.h"

static void list_lock(struct quire_machine *machine)
{
	machine_lock(machine, &machine->userfault_lock);
}

static void list_unlock(struct quire_machine *machine)
{
	machine_unlock(machine, &machine->userfault_lock);
}

struct quire_userfault *context_new(struct quire_space *space)
{
	struct quire_machine *machine = space->machine;
	struct quire_userfault *context = slab_alloc(machine, sizeof(*context));

	if (!context)
		return NULL;
	context->machine = machine;
	context->space = space;
	context->highest = space->highest;
	context->users = context->references = 1;
	list_lock(machine);
	context->next = space->userfaults;
	space->userfaults = context;
	list_unlock(machine);
	return context;
}

/* Out of the space's list, which is locked. */
static void leave_space(struct quire_userfault *context)
{
	struct quire_space *space = context->space;
	struct quire_userfault **link;

	if (!space)
		return;
	for (link = &space->userfaults; *link != context; link = &(*link)->next)
		;
	*link = context->next;
}

void context_put(struct quire_userfault *context)
{
	struct quire_machine *machine = context->machine;

	if (atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) > 1)
		return;
	list_lock(machine);
	leave_space(context);
	list_unlock(machine);
	slab_free(machine, context);
}

void contexts_forget_space(struct quire_space *space)
{
	struct quire_machine *machine = space->machine;

	list_lock(machine);
	while (space->userfaults) {
		struct quire_userfault *context = space->userfaults;

		space->userfaults = context->next;
		context_lock(context);
		context->space = NULL;
		context_unlock(context);
	}
	list_unlock(machine);
}

struct quire_space *context_space(struct quire_userfault *context)
{
	struct quire_space *space;

	context_lock(context);
	space = context->space;
	if (space && !QUIRE_MISTAKE(REQUEST_BORROWS_SPACE))
		space_get(space);
	context_unlock(context);
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

int context_ask_again(const struct quire_userfault *context)
{
	if (context_gone(context))
		return -QUIRE_ESRCH;
	if (QUIRE_MISTAKE(REQUEST_ASKS_EARLY))
		return 0;
	return context_changing(context) ? -QUIRE_EAGAIN : 0;
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
	context_lock(context);
	if (!error && context->negotiated)
		error = -QUIRE_EINVAL;
	if (!error) {
		context->features = asked;
		atomic_store_explicit(&context->negotiated, true, memory_order_release);
	}
	context_unlock(context);
	*api = (struct quire_uffdio_api){0};
	if (!error)
		*api = (struct quire_uffdio_api){QUIRE_UFFD_API, UFFD_FEATURES, UFFD_IOCTLS};
	return error;
}

int quire_userfault_read(struct quire_userfault *context, struct quire_uffd_msg *message,
			 struct quire_userfault **child)
{
	struct quire_thread *thread;
	int error = 0;

	*child = NULL;
	if (!context_negotiated(context))
		return -QUIRE_EINVAL;
	context_lock(context);
	if (context->faults) {
		thread = context->faults;
		*message = thread->message;
		queue_move(&context->waiting, thread);
	} else if (context->events) {
		thread = context->events;
		*message = thread->message;
		*child = queue_remove_event(context, thread);
		queue_wake(context, thread);
	} else {
		error = -QUIRE_EAGAIN;
	}
	context_unlock(context);
	return error;
}

int quire_userfault_poll(struct quire_userfault *context)
{
	int readable;

	if (!context_negotiated(context))
		return -QUIRE_EINVAL;
	context_lock(context);
	readable = context->faults || context->events;
	context_unlock(context);
	return readable;
}

/* --- closing --- */

static void wake_all(struct quire_userfault *context, struct quire_thread **queue)
{
	while (*queue) {
		struct quire_thread *thread = *queue;

		queue_remove(thread);
		queue_wake(context, thread);
	}
}

/* A fork whose message nobody has read takes its child's context along, which comes to *more. */
static void end_waits(struct quire_userfault *context, struct quire_userfault **more)
{
	context_lock(context);
	context->closed = true;
	wake_all(context, &context->faults);
	if (!QUIRE_MISTAKE(CLOSE_LEAVES_SLEEPERS))
		wake_all(context, &context->waiting);
	while (context->events) {
		struct quire_thread *thread = context->events;
		struct quire_userfault *child = queue_remove_event(context, thread);

		if (child) {
			child->closing = *more;
			*more = child;
		}
		queue_wake(context, thread);
	}
	context_unlock(context);
}

static void end_context(struct quire_userfault *context, struct quire_userfault **more)
{
	struct quire_space *space = context_space(context);

	if (space) {
		space_write_lock(space);
		unregister_all(context, space);
		space_write_unlock(space);
		context_leave(space);
	}
	end_waits(context, more);
	context_put(context);
}

void quire_userfault_get(struct quire_userfault *context)
{
	atomic_fetch_add_explicit(&context->users, 1, memory_order_relaxed);
}

void quire_userfault_close(struct quire_userfault *context)
{
	struct quire_userfault *more = NULL;

	if (atomic_fetch_sub_explicit(&context->users, 1, memory_order_acq_rel) > 1 &&
	    !QUIRE_MISTAKE(CLOSE_ENDS_USERS))
		return;
	for (; context; context = more) {
		more = context->closing;
		end_context(context, &more);
	}
}
