/* SPDX-License-Identifier: MIT */
/* userfaultfd under every interleaving of two operations (stall.h). */
#include "stall.h"
#include "space/space.h"
#include "userfault_fixture.h"

#define PAGES 4

static void drop(void *context, const char *bytes, size_t length)
{
	(void)context, (void)bytes, (void)length;
}

static const struct quire_text nowhere = {.emit = drop};

/* A context of another process than the fixture's. */
struct owner {
	struct soft_fixture soft;
	struct quire_machine *machine;
	struct quire_space *space; /* NULL: it has been destroyed */
	struct quire_userfault *context;
	uint64_t base;
	int (*request)(struct owner *owner);
	int answer;
	uint64_t tables;	   /* frames, without the space */
	const struct stall *stall; /* of a thread that may stop before it locks the space */
};

static uint64_t tables(struct quire_machine *machine)
{
	struct quire_machine_counters counters;

	quire_machine_count(machine, &counters);
	return counters.frames_table;
}

static void open_owner(struct owner *owner)
{
	struct soft_config config = {.memory = 4 * MIB, .cpus = 2};
	const struct quire_space_config bounds = {.lowest = 16 * PAGE};

	owner->soft = soft_fixture_open(&config);
	owner->machine = soft_machine_core(owner->soft.machine);
	owner->tables = tables(owner->machine);
	assert_int_equal(quire_space_create(owner->machine, &bounds, &owner->space), 0);
	owner->base = map(owner->space, PAGES, RW);
	owner->context = open_context(owner->space, QUIRE_UFFD_FEATURE_MOVE);
	assert_int_equal(register_pages(owner->context, owner->base, PAGES, MISSING | WP), 0);
}

static void close_owner(struct owner *owner)
{
	if (owner->context)
		quire_userfault_close(owner->context);
	if (owner->space)
		quire_space_destroy(owner->space);
	soft_fixture_close(&owner->soft);
}

/* --- requests beside the end of their space --- */

static int request_register(struct owner *owner)
{
	return register_pages(owner->context, owner->base, PAGES, MISSING | WP);
}

static int request_unregister(struct owner *owner)
{
	return unregister_pages(owner->context, owner->base, PAGES);
}

static int request_protect(struct owner *owner)
{
	return writeprotect(owner->context, owner->base, PAGES, PROTECT);
}

static int request_release(struct owner *owner)
{
	return writeprotect(owner->context, owner->base, PAGES, RELEASE);
}

static int request_copy(struct owner *owner)
{
	return copy_value(owner->context, owner->base, 1, 0);
}

static int request_zeropage(struct owner *owner)
{
	return zeropage(owner->context, owner->base, 0);
}

static int request_poison(struct owner *owner)
{
	return poison(owner->context, owner->base);
}

static int request_move(struct owner *owner)
{
	struct quire_uffdio_move request = {.dst = owner->base,
					    .src = owner->base + PAGE,
					    .len = PAGE,
					    .mode = QUIRE_UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES};

	return quire_userfault_ioctl(owner->context, QUIRE_UFFDIO_MOVE, &request, NULL);
}

static int request_close(struct owner *owner)
{
	quire_userfault_close(owner->context);
	owner->context = NULL;
	return 0;
}

static void make_request(void *context)
{
	struct owner *owner = context;

	owner->answer = owner->request(owner);
}

/* Whoever is about to lock the space has it still. */
static void destroy_space(void *context)
{
	struct owner *owner = context;
	const void *lock = &owner->space->lock;
	bool needed = owner->stall->stopped && owner->stall->what == lock &&
		      owner->stall->call != PORT_READ_UNLOCK &&
		      owner->stall->call != PORT_WRITE_UNLOCK;

	quire_space_destroy(owner->space);
	owner->space = NULL;
	if (!needed)
		return;
	port_probe_set(NULL, NULL);
	assert_true(tables(owner->machine) > owner->tables);
}

/* What a request says that came before the end, and one that came after it. */
static const struct {
	int (*make)(struct owner *owner);
	int after;
} requests[] = {
	{request_register, -QUIRE_ENOMEM},
	{request_unregister, -QUIRE_ENOMEM},
	{request_protect, -QUIRE_ESRCH},
	{request_release, -QUIRE_ESRCH},
	{request_copy, -QUIRE_ESRCH},
	{request_zeropage, -QUIRE_ESRCH},
	{request_poison, -QUIRE_ESRCH},
	{request_move, -QUIRE_EINVAL},
	{request_close, 0},
};

static void end_beside_requests(bool request_stops)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct owner owner = {.request = requests[i].make};
		struct stall stall = {request_stops ? make_request : destroy_space,
				      request_stops ? destroy_space : make_request, &owner,
				      .stopped = true};

		owner.stall = &stall;
		for (unsigned k = 1; stall.stopped; k++) {
			open_owner(&owner);
			stall_run(&stall, k);
			if (owner.answer != 0)
				assert_int_equal(owner.answer, requests[i].after);
			assert_int_equal(tables(owner.machine), owner.tables);
			close_owner(&owner);
		}
	}
}

static void a_request_keeps_its_space(void **state)
{
	(void)state;
	end_beside_requests(true);
}

static void a_space_ends_beside_requests(void **state)
{
	(void)state;
	end_beside_requests(false);
}

static void dump(void *context)
{
	struct owner *owner = context;

	quire_machine_dump(owner->machine, true, &nowhere);
}

static void a_dump_keeps_the_space_it_is_at(void **state)
{
	struct owner owner;
	struct stall stall = {dump, destroy_space, &owner, .stopped = true};

	(void)state;
	owner.stall = &stall;
	for (unsigned k = 1; stall.stopped; k++) {
		open_owner(&owner);
		stall_run(&stall, k);
		close_owner(&owner);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_keeps_its_space),
		cmocka_unit_test(a_space_ends_beside_requests),
		cmocka_unit_test(a_dump_keeps_the_space_it_is_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
