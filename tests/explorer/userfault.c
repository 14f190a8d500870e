/* SPDX-License-Identifier: MIT */
/* Operations of a monitor: requests on the context, messages, signals to the other thread. */
#include "operations.h"

#include <quire/errno.h>

static void request(struct actor *a, uint32_t number, void *argument)
{
	a->result = quire_userfault_ioctl(a->world->context, number, argument, NULL);
}

/* --- registration --- */

static void do_register(struct actor *a, uint64_t start, uint64_t length, uint64_t mode)
{
	struct quire_uffdio_register argument = {.range = {start, length}, .mode = mode};

	request(a, QUIRE_UFFDIO_REGISTER, &argument);
}

static void register_missing(struct actor *a)
{
	do_register(a, BASE, a->world->length, QUIRE_UFFDIO_REGISTER_MODE_MISSING);
}

static void register_wp(struct actor *a)
{
	do_register(a, BASE, a->world->length, QUIRE_UFFDIO_REGISTER_MODE_WP);
}

static void register_part(struct actor *a)
{
	do_register(a, target(a), PAGE,
		    QUIRE_UFFDIO_REGISTER_MODE_MISSING | QUIRE_UFFDIO_REGISTER_MODE_WP);
}

static void unregister(struct actor *a)
{
	struct quire_uffdio_range argument = {BASE, a->world->length};

	request(a, QUIRE_UFFDIO_UNREGISTER, &argument);
}

static void unregister_part(struct actor *a)
{
	struct quire_uffdio_range argument = {target(a), PAGE};

	request(a, QUIRE_UFFDIO_UNREGISTER, &argument);
}

/* --- protection --- */

static void write_protect(struct actor *a, uint64_t start, uint64_t length, uint64_t mode)
{
	struct quire_uffdio_writeprotect argument = {.range = {start, length}, .mode = mode};

	request(a, QUIRE_UFFDIO_WRITEPROTECT, &argument);
}

static void set(struct actor *a)
{
	write_protect(a, target(a), PAGE, QUIRE_UFFDIO_WRITEPROTECT_MODE_WP);
}

static void set_all(struct actor *a)
{
	write_protect(a, BASE, a->world->length, QUIRE_UFFDIO_WRITEPROTECT_MODE_WP);
}

static void clear(struct actor *a)
{
	write_protect(a, target(a), PAGE, 0);
}

static void clear_all(struct actor *a)
{
	write_protect(a, BASE, a->world->length, 0);
}

static void clear_silently(struct actor *a)
{
	write_protect(a, target(a), PAGE, QUIRE_UFFDIO_WRITEPROTECT_MODE_DONTWAKE);
}

/* --- pages --- */

static void do_copy(struct actor *a, uint64_t first, uint64_t pages, uint64_t mode)
{
	static uint64_t source[2][2][PAGE / sizeof(uint64_t)];
	struct quire_uffdio_copy argument = {.dst = target(a) + first * PAGE,
					     .src = (uintptr_t)source[a->number][first],
					     .len = pages * PAGE,
					     .mode = mode};

	source[a->number][0][0] = mark(a);
	source[a->number][1][0] = mark(a) + 1;
	request(a, QUIRE_UFFDIO_COPY, &argument);
	a->value = (uint64_t)argument.copy;
}

static void copy(struct actor *a)
{
	do_copy(a, 0, 1, 0);
}

static void copy_wp(struct actor *a)
{
	do_copy(a, 0, 1, QUIRE_UFFDIO_COPY_MODE_WP);
}

static void copy_two(struct actor *a)
{
	do_copy(a, 0, 2, 0);
}

static void copy_next(struct actor *a)
{
	do_copy(a, 1, 1, 0);
}

/* The range has to be in one VMA. */
static bool in_one_vma(struct actor *a)
{
	struct quire_vma_report vma;

	return parent(a) && !quire_vma(parent(a), target(a), &vma) && vma.start <= target(a) &&
	       vma.end >= target(a) + 2 * PAGE;
}

static void copy_two_steps(struct actor *a)
{
	uint64_t done;

	if (!in_one_vma(a)) {
		copy_two(a);
		return;
	}
	copy(a);
	done = a->value;
	if (a->result)
		return;
	schedule_step();
	if (in_one_vma(a))
		copy_next(a);
	else
		a->result = -QUIRE_ENOENT;
	if (a->result)
		a->result = -QUIRE_EAGAIN;
	else
		done += PAGE;
	a->value = done;
}

static void copy_silently(struct actor *a)
{
	do_copy(a, 0, 1, QUIRE_UFFDIO_MODE_DONTWAKE);
}

/* From memory of the process. */
static void copy_from_process(struct actor *a)
{
	struct quire_uffdio_copy argument = {.dst = HOLE, .src = target(a), .len = PAGE};

	a->result = quire_userfault_ioctl(a->world->context, QUIRE_UFFDIO_COPY, &argument,
					  a->world->space[0]);
	a->value = (uint64_t)argument.copy;
}

static void copy_from_process_steps(struct actor *a)
{
	static unsigned char source[ACTORS][PAGE];
	struct quire_uffdio_copy argument = {
		.dst = HOLE, .src = (uintptr_t)source[a->number], .len = PAGE};
	size_t done;

	a->result = quire_access_read(parent(a), target(a), source[a->number], PAGE, &done);
	a->value = (uint64_t)a->result;
	if (a->result)
		return;
	schedule_step();
	request(a, QUIRE_UFFDIO_COPY, &argument);
	a->value = (uint64_t)argument.copy;
}

static void zero_page(struct actor *a)
{
	struct quire_uffdio_zeropage argument = {.range = {target(a), PAGE}};

	request(a, QUIRE_UFFDIO_ZEROPAGE, &argument);
}

static void do_continue(struct actor *a, uint64_t mode)
{
	struct quire_uffdio_continue argument = {.range = {target(a), PAGE}, .mode = mode};

	request(a, QUIRE_UFFDIO_CONTINUE, &argument);
}

static void go_on(struct actor *a)
{
	do_continue(a, 0);
}

static void go_on_wp(struct actor *a)
{
	do_continue(a, QUIRE_UFFDIO_CONTINUE_MODE_WP);
}

static void poison(struct actor *a)
{
	struct quire_uffdio_poison argument = {.range = {target(a), PAGE}};

	request(a, QUIRE_UFFDIO_POISON, &argument);
}

static void do_move(struct actor *a, uint64_t to, uint64_t from)
{
	struct quire_uffdio_move argument = {.dst = to, .src = from, .len = PAGE};

	request(a, QUIRE_UFFDIO_MOVE, &argument);
}

static void move_in(struct actor *a)
{
	do_move(a, target(a), SOURCE);
}

static void move_out(struct actor *a)
{
	do_move(a, HOLE, target(a));
}

/* --- messages --- */

static void wake(struct actor *a)
{
	struct quire_uffdio_range argument = {BASE, a->world->length};

	request(a, QUIRE_UFFDIO_WAKE, &argument);
}

uint64_t pack_message(const struct quire_uffd_msg *message)
{
	uint64_t packed = (uint64_t)message->event << 56;

	switch (message->event) {
	case QUIRE_UFFD_EVENT_PAGEFAULT:
		return packed | message->arg.pagefault.flags << 48 | message->arg.pagefault.address;
	case QUIRE_UFFD_EVENT_REMAP:
		return packed | message->arg.remap.len << 36 | message->arg.remap.to << 8 |
		       message->arg.remap.from >> 12;
	case QUIRE_UFFD_EVENT_REMOVE:
	case QUIRE_UFFD_EVENT_UNMAP:
		return packed | (message->arg.remove.end - message->arg.remove.start) << 28 |
		       message->arg.remove.start;
	default:
		return packed;
	}
}

void keep_child(struct world *world, struct quire_userfault *child)
{
	if (!child)
		return;
	must(world->child_count < CHILDREN_MAX);
	world->children[world->child_count++] = child;
}

static bool read_message(struct actor *a, struct quire_uffd_msg *message)
{
	struct quire_userfault *child;

	a->result = quire_userfault_read(a->world->context, message, &child);
	if (a->result)
		return false;
	a->value = pack_message(message);
	keep_child(a->world, child);
	return true;
}

static void read_one(struct actor *a)
{
	struct quire_uffd_msg message;

	read_message(a, &message);
}

int answer_fault(struct quire_userfault *context, const struct quire_uffd_msg *message)
{
	static uint64_t page[PAGE / sizeof(uint64_t)];
	uint64_t address = message->arg.pagefault.address & ~(PAGE - 1);
	uint64_t flags = message->arg.pagefault.flags;
	struct quire_uffdio_writeprotect release = {.range = {address, PAGE}};
	struct quire_uffdio_continue resume = {.range = {address, PAGE}};
	struct quire_uffdio_copy fill = {.dst = address, .src = (uintptr_t)page, .len = PAGE};

	page[0] = VALUE_HANDLER;
	if (flags & QUIRE_UFFD_PAGEFAULT_FLAG_WP)
		return quire_userfault_ioctl(context, QUIRE_UFFDIO_WRITEPROTECT, &release, NULL);
	if (flags & QUIRE_UFFD_PAGEFAULT_FLAG_MINOR)
		return quire_userfault_ioctl(context, QUIRE_UFFDIO_CONTINUE, &resume, NULL);
	return quire_userfault_ioctl(context, QUIRE_UFFDIO_COPY, &fill, NULL);
}

/* Reads a message and answers it, as a handler does. */
static void serve(struct actor *a)
{
	struct quire_uffd_msg message;

	if (!read_message(a, &message) || message.event != QUIRE_UFFD_EVENT_PAGEFAULT)
		return;
	schedule_step();
	a->result = answer_fault(a->world->context, &message);
}

static void poll(struct actor *a)
{
	a->result = quire_userfault_poll(a->world->context);
}

static void close(struct actor *a)
{
	quire_userfault_close(a->world->context);
	a->world->context = NULL;
}

/* --- signals to the other one's thread --- */

static void interrupt(struct actor *a)
{
	quire_thread_interrupt(a->world->machine, &a->world->actor[!a->number].thread, false);
}

static void kill(struct actor *a)
{
	quire_thread_interrupt(a->world->machine, &a->world->actor[!a->number].thread, true);
}

#define REGISTERED (ON_CONTEXT | WITH_REGISTERED)

const struct operation userfault_operations[] = {
	{"register-missing", ON_CONTEXT, register_missing, NULL},
	{"register-wp", ON_CONTEXT, register_wp, NULL},
	{"register-part", ON_CONTEXT, register_part, NULL},
	{"unregister", REGISTERED, unregister, NULL},
	{"unregister-part", REGISTERED, unregister_part, NULL},
	{"wp", REGISTERED, set, NULL},
	{"wp-all", REGISTERED, set_all, NULL},
	{"wp-clear", REGISTERED, clear, NULL},
	{"wp-clear-all", REGISTERED, clear_all, NULL},
	{"wp-clear-dontwake", REGISTERED, clear_silently, NULL},
	{"copy", REGISTERED | FILLS, copy, NULL},
	{"copy-wp", REGISTERED | FILLS, copy_wp, NULL},
	{"copy-two", REGISTERED | FILLS, copy_two, copy_two_steps},
	{"copy-dontwake", REGISTERED | FILLS, copy_silently, NULL},
	{"copy-from", REGISTERED | ACCESSES | IN_PARENT, copy_from_process,
	 copy_from_process_steps},
	{"zeropage", REGISTERED | FILLS, zero_page, NULL},
	{"continue", REGISTERED | FILLS, go_on, NULL},
	{"continue-wp", REGISTERED | FILLS, go_on_wp, NULL},
	{"poison", REGISTERED | FILLS, poison, NULL},
	{"move-in", REGISTERED | WITH_ANONYMOUS, move_in, NULL},
	{"move-out", REGISTERED | WITH_ANONYMOUS, move_out, NULL},
	{"wake", REGISTERED, wake, NULL},
	{"read", REGISTERED, read_one, NULL},
	{"serve", REGISTERED | FILLS, serve, NULL},
	{"poll", REGISTERED | LOOKS, poll, NULL},
	{"close", CLOSES | WITH_REGISTERED, close, NULL},
	{"interrupt", WITH_REGISTERED, interrupt, NULL},
	{"kill", WITH_REGISTERED, kill, NULL},
};
const unsigned userfault_operation_count =
	sizeof(userfault_operations) / sizeof(userfault_operations[0]);

/* --- all tables --- */

unsigned operation_count(void)
{
	return memory_operation_count + machine_operation_count + userfault_operation_count;
}

const struct operation *operation_at(unsigned number)
{
	if (number < memory_operation_count)
		return &memory_operations[number];
	number -= memory_operation_count;
	if (number < machine_operation_count)
		return &machine_operations[number];
	return &userfault_operations[number - machine_operation_count];
}

bool operations_can_meet(const struct operation *a, const struct operation *b)
{
	for (unsigned i = 0; i < 2; i++) {
		if ((a->flags & ENDS_PARENT) && (b->flags & (ENDS_PARENT | IN_PARENT)))
			return false;
		if ((a->flags & ENDS_CHILD) && (b->flags & (ENDS_CHILD | IN_CHILD)))
			return false;
		if ((a->flags & CLOSES) && (b->flags & (CLOSES | ON_CONTEXT)))
			return false;
		if ((a->flags & WITH_PIN) && (b->flags & WITH_PIN))
			return false;
		const struct operation *swapped = a;

		a = b;
		b = swapped;
	}
	return true;
}

bool registration_matters(const struct registration *registration, const struct operation *a,
			  const struct operation *b)
{
	unsigned flags = a->flags | b->flags;
	unsigned meets = ACCESSES | FILLS | LOCKS | ON_CONTEXT | CLOSES | WITH_REGISTERED;

	if ((a->flags & LOOKS) && (b->flags & LOOKS))
		return false;
	if (registration->features & QUIRE_UFFD_FEATURE_SIGBUS)
		return flags & (ACCESSES | LOCKS);
	if (registration->features & QUIRE_UFFD_FEATURE_EVENT_FORK)
		return flags & (FORKS | UNMAPS | REMOVES | ENDS_PARENT);
	return !registration->mode || registration->protect || (flags & meets);
}

bool operation_fits(const struct operation *operation, const struct memory *memory,
		    const struct registration *registration)
{
	unsigned flags = operation->flags;

	if ((flags & (IN_CHILD | ENDS_CHILD | WITH_CHILD)) && !memory->shared)
		return false;
	if ((flags & WITH_OBJECT) && memory->kind == ANONYMOUS)
		return false;
	if ((flags & WITH_ANONYMOUS) && memory->kind != ANONYMOUS)
		return false;
	if ((flags & WITH_PIN) && !memory->pinned)
		return false;
	return !(flags & WITH_REGISTERED) || registration->mode;
}
