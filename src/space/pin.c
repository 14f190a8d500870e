/* SPDX-License-Identifier: MIT */
/*
 * Pins.
 *
 * A pin is one more holder of a frame, counted apart from references: those come and go while
 * something is done to the page, and may be waited for.  (A device's page has nobody to count them: its
 * range does.)  It is taken through an entry that may be
 * written to, so that the page is the entry's own, or shared memory's; fork (table/copy.c), reclaim
 * and migration see to it that it stays that.
 */
#include "space/space.h"
#include <quire/pin.h>

uint64_t quire_pin_pages(uint64_t address, uint64_t length)
{
	uint64_t inside = address % PAGE_SIZE;

	/* The sum of all could wrap. */
	return length / PAGE_SIZE + page_up(inside + length % PAGE_SIZE) / PAGE_SIZE;
}

static int pin_page(struct quire_space *space, struct quire_pin *pin)
{
	uint64_t page = page_down(pin->address) + (pin->count << PAGE_SHIFT);
	struct quire_machine *machine = space->machine;
	struct table_held held;
	int error = space_pin_page(space, page, &held, &pin->faulted);

	if (error)
		return error;
	pin->frames[pin->count++] = held.page.number;
	if (!held.folio)
		return 0;
	atomic_fetch_add_explicit(&machine->pins, 1, memory_order_relaxed);
	return folio_pins(held.folio) > FRAME_PINS_MAX ? -QUIRE_ENOMEM : 0;
}

int quire_pin(struct quire_space *space, struct quire_pin *pin)
{
	uint64_t pages = quire_pin_pages(pin->address, pin->length);
	int error = 0;

	if (pin->length == 0 || !space_holds(space, pin->address, pin->length))
		return -QUIRE_EFAULT;
	while (!error && pin->count < pages)
		error = pin_page(space, pin);
	if (error && error != -QUIRE_EINPROGRESS)
		quire_unpin(space->machine, pin, false);
	return error;
}

void quire_unpin(struct quire_machine *machine, struct quire_pin *pin, bool written)
{
	for (; pin->count; pin->count--) {
		uint64_t number = pin->frames[pin->count - 1];
		struct folio *folio;

		if (!frame_exists(machine, number)) {
			device_memory_unpin(machine, number);
			continue;
		}
		folio = folio_at(machine, number);
		if (written)
			folio_mark(folio, FRAME_DIRTY);
		atomic_fetch_sub_explicit(&machine->pins, 1, memory_order_relaxed);
		if (folio_drop(folio, FRAME_ONE_PIN))
			folio_free(machine, folio);
	}
}
