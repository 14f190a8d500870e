/* SPDX-License-Identifier: MIT */
/*
 * Notifiers on the quire target: each keeps what it has been told until a script reads it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "library_target.h"

struct notifier {
	struct process *process;
	struct quire_notifier *handle; /* NULL: the process has ended */
	struct target_notification *heard;
	size_t count, room;
	struct notifier *next;
};

static const char *const reasons[] = {
	[QUIRE_NOTIFIER_UNMAP] = "unmap",
	[QUIRE_NOTIFIER_PROTECT] = "protect",
	[QUIRE_NOTIFIER_CLEAR] = "clear",
	[QUIRE_NOTIFIER_MIGRATE] = "migrate",
};

static void hear(struct notifier *notifier, struct target_notification heard)
{
	if (notifier->count == notifier->room) {
		notifier->room = notifier->room ? 2 * notifier->room : 16;
		notifier->heard =
			realloc(notifier->heard, notifier->room * sizeof(*notifier->heard));
		if (!notifier->heard)
			target_fail("quire: the host is out of memory");
	}
	notifier->heard[notifier->count++] = heard;
}

static void hear_begin(void *context, uint64_t start, uint64_t end, enum quire_notifier_reason why)
{
	hear(context, (struct target_notification){true, start, end, reasons[why]});
}

static void hear_end(void *context, uint64_t start, uint64_t end, enum quire_notifier_reason why)
{
	hear(context, (struct target_notification){false, start, end, reasons[why]});
}

static void hear_release(void *context)
{
	struct notifier *notifier = context;

	notifier->handle = NULL;
}

int library_notifier(struct process *process, struct notifier **notifier)
{
	static const struct quire_notifier_operations operations = {
		.begin = hear_begin, .end = hear_end, .release = hear_release};
	struct notifier *made = calloc(1, sizeof(*made));
	int error;

	if (!made)
		target_fail("quire: the host is out of memory");
	error = quire_notifier_register(process->space, &operations, made, &made->handle);
	if (error) {
		free(made);
		return -error;
	}
	made->process = process;
	made->next = process->notifiers;
	process->notifiers = made;
	*notifier = made;
	return 0;
}

void library_notifier_read(struct notifier *notifier, struct target_notification **heard,
			   size_t *count)
{
	*heard = notifier->heard;
	*count = notifier->count;
	notifier->heard = NULL;
	notifier->count = notifier->room = 0;
}

void library_notifier_close(struct notifier *notifier)
{
	struct notifier **link = &notifier->process->notifiers;

	if (notifier->handle)
		quire_notifier_unregister(notifier->handle);
	while (*link != notifier)
		link = &(*link)->next;
	*link = notifier->next;
	free(notifier->heard);
	free(notifier);
}
