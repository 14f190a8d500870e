/* SPDX-License-Identifier: MIT */
/*
 * Pins: blocks that somebody else uses for as long as he likes.
 *
 * A pin takes its pages one by one, as if each were written to, and has those already for whose next
 * it sleeps.  As long as they are there and may be written to it leaves no trace; from the first
 * that is not, all are dirty.  A block that is pinned outlives its entries and its file.
 *
 * And who may move to another place, of which nothing can be seen: all but those, and what is in swap
 * as well.
 */
#include "twin.h"

#include <errno.h>
#include <stdlib.h>

#define PIN_BYTES (UINT64_C(1) << 30) /* that one pin may have */

struct pin {
	struct process *process;
	struct block **blocks;
	uint64_t count; /* of them that it has */
	bool faulted;	/* for one of them, or tried to */
	struct pin *next;
};

static uint64_t pages_touched(const struct call *call)
{
	return (call->address % PAGE_BYTES + call->length + PAGE_BYTES - 1) / PAGE_BYTES;
}

static struct pin *pin_new(struct process *process, uint64_t pages)
{
	struct pin *pin = twin_allocate(sizeof(*pin));

	pin->process = process;
	pin->blocks = twin_allocate(pages * sizeof(struct block *));
	pin->next = process->pins;
	process->pins = pin;
	return pin;
}

static void let_go(struct pin *pin)
{
	while (pin->count) {
		struct block *block = pin->blocks[--pin->count];

		if (!block)
			continue;
		block->pins--;
		twin_block_left(block);
	}
}

void twin_unpin(struct pin *pin)
{
	struct pin **link = &pin->process->pins;

	let_go(pin);
	while (*link != pin)
		link = &(*link)->next;
	*link = pin->next;
	free(pin->blocks);
	free(pin);
}

void twin_unpin_all(struct process *process)
{
	for (struct pin *pin = process->pins; pin; pin = pin->next)
		let_go(pin);
}

void twin_pins_free(struct process *process)
{
	while (process->pins)
		twin_unpin(process->pins);
}

/* Has the next page, or an error, or sleeps. */
static int take_page(struct thread *thread, struct pin *pin, uint64_t number)
{
	const struct access access = {
		.thread = thread, .address = number * PAGE_BYTES, .write = true, .kernel = true};
	struct page *page = twin_page_at(thread->process, number);
	enum answer answer = THERE;

	if (!page || page->flags & BARE)
		return EFAULT;
	/* Where a file is may change. */
	if (twin_is_device(page) && !twin_is_dax(page))
		return EOPNOTSUPP;
	if (!(page->flags & MAY_WRITE))
		return EFAULT;
	pin->faulted |= page->entry != MEMORY || !page->writable;
	if (pin->faulted)
		answer = twin_fault(thread->process, page, &access);
	if (answer != THERE)
		return answer == SLEEPS ? BLOCKED : EFAULT;
	if (page->block)
		page->block->pins++;
	pin->blocks[pin->count++] = page->block; /* none: of a device */
	return 0;
}

int twin_pin(struct thread *thread, struct call *call)
{
	int error = 0;

	if (!call->length || call->length > PIN_BYTES)
		return EFAULT;
	if (call->address + call->length < call->address)
		return EOVERFLOW;
	if (!call->pin)
		call->pin = pin_new(thread->process, pages_touched(call));
	while (!error && call->pin->count < pages_touched(call))
		error = take_page(thread, call->pin, call->address / PAGE_BYTES + call->pin->count);
	if (error && error != BLOCKED) {
		twin_unpin(call->pin);
		call->pin = NULL;
	}
	return error;
}

/* The library takes sixteen pages at a time, and one that is mapped twice among them once. */
int twin_migrate(struct process *process, uint64_t address, uint64_t length, uint64_t *pages)
{
	uint64_t start = address / PAGE_BYTES;
	const struct block *taken[16];
	size_t count = 0;

	*pages = 0;
	if (address % PAGE_BYTES || round_up(length) < length ||
	    address + round_up(length) < address)
		return EINVAL;
	for (size_t i = twin_find(process, start);
	     i < process->count && process->pages[i].number - start < round_up(length) / PAGE_BYTES;
	     i++) {
		const struct page *page = &process->pages[i];
		size_t before = 0;

		if (page->entry != MEMORY)
			continue;
		while (before < count && taken[before] != page->block)
			before++;
		*pages += before == count && !page->block->pins && !page->block->swaps;
		taken[count++] = page->block;
		count %= sizeof(taken) / sizeof(*taken);
	}
	return 0;
}
