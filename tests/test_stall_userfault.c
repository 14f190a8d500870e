/* SPDX-License-Identifier: MIT */
/* userfaultfd under every interleaving of two operations (stall.h). */
#include "stall.h"
#include "userfault/userfault.h"
#include "userfault_fixture.h"

#define PAGES 4

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

/* --- calls on a context beside its close --- */

static int call_wake(struct owner *owner)
{
	return wake_pages(owner->context, owner->base, PAGES);
}

static int call_read(struct owner *owner)
{
	struct quire_userfault *child;
	struct quire_uffd_msg message;

	return quire_userfault_read(owner->context, &message, &child);
}

static int call_poll(struct owner *owner)
{
	return quire_userfault_poll(owner->context);
}

/* As a kernel does, which has the file as long as it is in a system call. */
static void call_as_user(void *context)
{
	struct owner *owner = context;

	owner->request(owner);
	quire_userfault_close(owner->context);
}

/* As long as somebody uses the context its memory is registered. */
static void close_file(void *context)
{
	struct owner *owner = context;
	struct quire_vma_report vma;

	quire_userfault_close(owner->context);
	if (!owner->stall->stopped)
		return;
	assert_int_equal(quire_vma(owner->space, owner->base, &vma), 0);
	if (owner->stall->blocked || strstr(vma.flags, "um"))
		return;
	port_probe_set(NULL, NULL);
	fail_msg("closed while it is in use");
}

static void a_close_waits_for_the_last_user(void **state)
{
	static int (*const calls[])(struct owner * owner) = {
		request_register, request_protect, request_release, request_copy, request_zeropage,
		request_poison,	  request_move,	   call_wake,	    call_read,	  call_poll,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct owner owner = {.request = calls[i]};
		struct stall stall = {call_as_user, close_file, &owner, .stopped = true};

		owner.stall = &stall;
		for (unsigned k = 1; stall.stopped; k++) {
			struct quire_vma_report vma;

			open_owner(&owner);
			quire_userfault_get(owner.context);
			stall_run(&stall, k);
			assert_int_equal(quire_vma(owner.space, owner.base, &vma), 0);
			assert_null(strstr(vma.flags, "um"));
			owner.context = NULL;
			close_owner(&owner);
		}
	}
}

/* --- a thread that waits, and what wakes it --- */

/* A guest that never sleeps: its calls say that they would, and are made again (<quire/thread.h>). */
struct meeting {
	struct soft_fixture soft;
	struct quire_machine *machine;
	struct soft_cpu *cpu;
	struct quire_userfault *context; /* NULL: it has been closed */
	uint64_t base;
	struct quire_thread guest;
	struct quire_space *child; /* of the guest's fork */
	const struct action *action;
	const struct waker *waker;
	const struct waker *signal; /* or NULL */
	struct stall stall;
	bool done;	     /* the guest's call */
	_Atomic bool served; /* the waker has done what must let the guest go on, if it waits */
};

struct action {
	bool (*act)(struct meeting *meeting); /* whether it is done */
	bool faults;			      /* it waits for a page, not to be heard */
};

struct waker {
	bool (*act)(struct meeting *meeting); /* as in `served` */
	bool pages;			      /* it can only wake who waits for a page */
};

static bool call_store(struct meeting *meeting)
{
	return soft_store64(meeting->cpu, meeting->base, 1).outcome != QUIRE_BLOCKED;
}

static bool call_write(struct meeting *meeting)
{
	size_t done;

	return quire_access_write(meeting->soft.space, meeting->base, "x", 1, &done) !=
	       -QUIRE_EINPROGRESS;
}

static bool call_unmap(struct meeting *meeting)
{
	return quire_munmap(meeting->soft.space, meeting->base, PAGES * PAGE) != -QUIRE_EINPROGRESS;
}

static bool call_drop(struct meeting *meeting)
{
	return quire_madvise(meeting->soft.space, meeting->base, PAGE, QUIRE_MADV_DONTNEED) !=
	       -QUIRE_EINPROGRESS;
}

static bool call_move(struct meeting *meeting)
{
	uint64_t result;

	return quire_mremap(meeting->soft.space, meeting->base, PAGE, PAGE,
			    QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, meeting->base - 8 * PAGE,
			    &result) != -QUIRE_EINPROGRESS;
}

static bool call_fork(struct meeting *meeting)
{
	return quire_fork(meeting->soft.space, &meeting->child) != -QUIRE_EINPROGRESS;
}

static bool wake_by_close(struct meeting *meeting)
{
	bool needed = meeting->signal && meeting->action->faults && meeting->stall.stopped &&
		      meeting->stall.call == PORT_LOCK &&
		      meeting->stall.what == &meeting->context->lock;

	quire_userfault_close(meeting->context);
	meeting->context = NULL;
	/* A signal that is about to lock the context has it still, so the closer waited for it. */
	if (needed && !meeting->stall.blocked) {
		port_probe_set(NULL, NULL);
		fail_msg("the context has gone");
	}
	return true;
}

static bool wake_by_death(struct meeting *meeting)
{
	quire_thread_interrupt(meeting->machine, &meeting->guest, true);
	return true;
}

static bool wake_by_signal(struct meeting *meeting)
{
	quire_thread_interrupt(meeting->machine, &meeting->guest, false);
	return false; /* it may have come too early */
}

static bool wake_by_copy(struct meeting *meeting)
{
	return copy_value(meeting->context, meeting->base, 1, 0) != -QUIRE_EAGAIN;
}

static bool wake_by_unregister(struct meeting *meeting)
{
	return unregister_pages(meeting->context, meeting->base, PAGES) == 0;
}

static bool wake_by_wake(struct meeting *meeting)
{
	wake_pages(meeting->context, meeting->base, PAGES);
	return false; /* as a signal */
}

static bool wake_by_read(struct meeting *meeting)
{
	struct quire_userfault *child;
	struct quire_uffd_msg message;

	if (quire_userfault_read(meeting->context, &message, &child))
		return false;
	if (child)
		quire_userfault_close(child);
	/* Of a remapping, the unmapping is told as well. */
	return message.event != QUIRE_UFFD_EVENT_PAGEFAULT &&
	       message.event != QUIRE_UFFD_EVENT_REMAP;
}

static const struct action actions[] = {
	{call_store, true}, {call_write, true}, {call_unmap, false},
	{call_drop, false}, {call_move, false}, {call_fork, false},
};

static const struct waker wakers[] = {
	{wake_by_close, false}, {wake_by_death, false}, {wake_by_signal, false},
	{wake_by_copy, true},	{wake_by_wake, false},	{wake_by_unregister, true},
	{wake_by_read, false},
};

static void open_meeting(struct meeting *meeting)
{
	struct soft_config config = {.memory = 4 * MIB, .cpus = 1};

	meeting->soft = soft_fixture_open(&config);
	meeting->machine = soft_machine_core(meeting->soft.machine);
	meeting->cpu = soft_machine_cpu(meeting->soft.machine, 0);
	soft_cpu_enter(meeting->cpu, meeting->soft.space);
	meeting->base = map(meeting->soft.space, PAGES, RW);
	meeting->context =
		open_context(meeting->soft.space, QUIRE_UFFD_FEATURE_EVENT_FORK |
							  QUIRE_UFFD_FEATURE_EVENT_REMAP |
							  QUIRE_UFFD_FEATURE_EVENT_REMOVE |
							  QUIRE_UFFD_FEATURE_EVENT_UNMAP);
	assert_int_equal(register_pages(meeting->context, meeting->base, PAGES, MISSING), 0);
	meeting->guest = (struct quire_thread){.id = 1, .nowait = true};
	meeting->done = false;
	meeting->served = false;
	meeting->child = NULL;
}

static void guest_acts(void *context)
{
	struct meeting *meeting = context;

	soft_thread_use(&meeting->guest);
	meeting->done = meeting->action->act(meeting);
	soft_thread_use(NULL);
}

static void waker_acts(void *context)
{
	struct meeting *meeting = context;

	meeting->served |= meeting->waker->act(meeting);
}

static void signal_comes(void *context)
{
	struct meeting *meeting = context;

	meeting->served |= meeting->signal->act(meeting);
}

/* Whoever has been served does not sleep; closing serves all. */
static void close_meeting(struct meeting *meeting)
{
	if (meeting->served && (meeting->action->faults || !meeting->waker->pages))
		assert_false(quire_thread_asleep(&meeting->guest));
	if (meeting->context)
		quire_userfault_close(meeting->context);
	assert_false(quire_thread_asleep(&meeting->guest));
	if (!meeting->done)
		guest_acts(meeting);
	assert_true(meeting->done);
	soft_cpu_leave(meeting->cpu);
	if (meeting->child)
		quire_space_destroy(meeting->child);
	soft_fixture_close(&meeting->soft);
}

static void meet(struct meeting *meeting, bool guest_stops)
{
	struct stall *stall = &meeting->stall;

	*stall = (struct stall){guest_stops ? guest_acts : waker_acts,
				guest_stops ? waker_acts : guest_acts, meeting, .stopped = true};
	for (unsigned k = 1; stall->stopped; k++) {
		open_meeting(meeting);
		stall_run(stall, k);
		close_meeting(meeting);
	}
}

static void nobody_sleeps_for_ever(void **state)
{
	struct meeting meeting = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		for (size_t j = 0; j < sizeof(wakers) / sizeof(wakers[0]); j++) {
			meeting.action = &actions[i];
			meeting.waker = &wakers[j];
			meet(&meeting, true);
			meet(&meeting, false);
		}
	}
}

/* The guest waits already. */
static void meet_signal(struct meeting *meeting, bool signal_stops)
{
	struct stall *stall = &meeting->stall;

	*stall = (struct stall){signal_stops ? signal_comes : waker_acts,
				signal_stops ? waker_acts : signal_comes, meeting, .stopped = true};
	for (unsigned k = 1; stall->stopped; k++) {
		open_meeting(meeting);
		guest_acts(meeting);
		assert_false(meeting->done);
		stall_run(stall, k);
		close_meeting(meeting);
	}
}

static void a_signal_keeps_the_context_it_finds(void **state)
{
	static const struct waker signals[] = {{wake_by_death, false}, {wake_by_signal, false}};
	struct meeting meeting = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		for (size_t j = 0; j < sizeof(wakers) / sizeof(wakers[0]); j++) {
			for (size_t k = 0; k < 2; k++) {
				meeting.action = &actions[i];
				meeting.waker = &wakers[j];
				meeting.signal = &signals[k];
				meet_signal(&meeting, true);
				meet_signal(&meeting, false);
			}
		}
	}
}

/* --- requests beside calls that are told --- */

struct change {
	struct meeting meeting;
	struct owner owner; /* the same space and context, as requests know it */
};

static void change_memory(void *context)
{
	guest_acts(&((struct change *)context)->meeting);
}

static void make_request_on_change(void *context)
{
	make_request(&((struct change *)context)->owner);
}

static void open_change(struct change *change)
{
	struct meeting *meeting = &change->meeting;

	open_meeting(meeting);
	assert_int_equal(register_pages(meeting->context, meeting->base, PAGES, MISSING | WP), 0);
	change->owner.space = meeting->soft.space;
	change->owner.context = meeting->context;
	change->owner.base = meeting->base;
}

static void meet_request(struct change *change, bool request_stops)
{
	struct stall *stall = &change->meeting.stall;

	*stall = (struct stall){request_stops ? make_request_on_change : change_memory,
				request_stops ? change_memory : make_request_on_change, change,
				.stopped = true};
	for (unsigned k = 1; stall->stopped; k++) {
		open_change(change);
		stall_run(stall, k);
		if (change->owner.answer != 0)
			assert_int_equal(change->owner.answer, -QUIRE_EAGAIN);
		close_meeting(&change->meeting);
	}
}

/* What it changes is there before, and after it an event is unread. */
static void a_request_comes_before_a_change_or_after_it(void **state)
{
	static int (*const calls[])(struct owner * owner) = {request_protect, request_release,
							     request_copy,    request_zeropage,
							     request_poison,  request_move};
	struct change change = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (actions[i].faults)
			continue;
		for (size_t j = 0; j < sizeof(calls) / sizeof(calls[0]); j++) {
			change.meeting.action = &actions[i];
			change.owner.request = calls[j];
			meet_request(&change, true);
			meet_request(&change, false);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_keeps_its_space),
		cmocka_unit_test(a_space_ends_beside_requests),
		cmocka_unit_test(a_close_waits_for_the_last_user),
		cmocka_unit_test(nobody_sleeps_for_ever),
		cmocka_unit_test(a_signal_keeps_the_context_it_finds),
		cmocka_unit_test(a_request_comes_before_a_change_or_after_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
