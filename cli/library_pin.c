/* SPDX-License-Identifier: MIT */
/*
 * Long-term pins and migration on the quire target.
 */
#include <errno.h>
#include <stdlib.h>

#include "library_target.h"

/* As io_uring, which the linux target pins with, has it. */
#define LENGTH_MAX ((uint64_t)1 << 30)

static struct pin *pin_new(struct process *process, const struct call *call)
{
	uint64_t pages = quire_pin_pages(call->address, call->length);
	struct pin *pin = calloc(1, sizeof(*pin));
	uint64_t *frames = calloc(pages, sizeof(*frames));

	if (!pin || !frames)
		target_fail("quire: the host is out of memory");
	pin->process = process;
	pin->pin = (struct quire_pin){
		.address = call->address, .length = call->length, .frames = frames};
	pin->next = process->pins;
	process->pins = pin;
	return pin;
}

static void pin_free(struct pin *pin)
{
	struct pin **link = &pin->process->pins;

	while (*link != pin)
		link = &(*link)->next;
	*link = pin->next;
	free(pin->pin.frames);
	free(pin);
}

static struct quire_machine *machine_of(struct process *process)
{
	return soft_machine_core(process->target->machine);
}

int library_pin(struct process *process, struct call *call, bool resumes)
{
	int error;

	if (call->length == 0 || call->length > LENGTH_MAX)
		return -QUIRE_EFAULT;
	if (call->address + call->length < call->address)
		return -QUIRE_EOVERFLOW;
	if (!resumes)
		call->pin = pin_new(process, call);
	error = quire_pin(process->space, &call->pin->pin);
	if (error && error != -QUIRE_EINPROGRESS) {
		pin_free(call->pin);
		call->pin = NULL;
	}
	return error;
}

void library_unpin(struct pin *pin)
{
	quire_unpin(machine_of(pin->process), &pin->pin, false);
	pin_free(pin);
}

void library_unpin_all(struct process *process)
{
	for (struct pin *pin = process->pins; pin; pin = pin->next)
		quire_unpin(machine_of(process), &pin->pin, false);
}

void library_pin_free_all(struct process *process)
{
	while (process->pins)
		pin_free(process->pins);
}

int library_migrate(struct process *process, uint64_t address, uint64_t length, uint64_t *pages)
{
	if (!process->space)
		return ESRCH;
	return -quire_migrate(process->space, address, length, pages);
}
