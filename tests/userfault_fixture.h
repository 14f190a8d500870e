/* SPDX-License-Identifier: MIT */
/*
 * What tests of userfaultfd share: a context on a range of a soft machine's space, its requests,
 * and guests.
 *
 * A guest is a host thread with a CPU of its own that does one thing and may fall asleep over it;
 * the test looks at it from outside.
 */
#ifndef QUIRE_USERFAULT_FIXTURE_H
#define QUIRE_USERFAULT_FIXTURE_H

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "soft_fixture.h"
#include <quire/userfault.h>

#define MISSING	 QUIRE_UFFDIO_REGISTER_MODE_MISSING
#define WP	 QUIRE_UFFDIO_REGISTER_MODE_WP
#define DONTWAKE QUIRE_UFFDIO_MODE_DONTWAKE

/* Requests of WRITEPROTECT. */
#define PROTECT		 QUIRE_UFFDIO_WRITEPROTECT_MODE_WP
#define RELEASE		 0
#define RELEASE_DONTWAKE QUIRE_UFFDIO_WRITEPROTECT_MODE_DONTWAKE

#define FOREVER 60.0 /* seconds, after which a thread that should have gone on has not */
#define MOMENT	2e-3 /* seconds that are given to a thread that must not go on */

static inline double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* --- contexts --- */

static inline struct quire_userfault *open_with(struct quire_space *space, uint64_t features,
						struct quire_userfault_config config)
{
	struct quire_uffdio_api api = {.api = QUIRE_UFFD_API, .features = features};
	struct quire_userfault *context;

	assert_int_equal(quire_userfault_open(space, &config, &context), 0);
	assert_int_equal(quire_userfault_ioctl(context, QUIRE_UFFDIO_API, &api, NULL), 0);
	return context;
}

static inline struct quire_userfault *open_context(struct quire_space *space, uint64_t features)
{
	return open_with(space, features, (struct quire_userfault_config){0});
}

static inline int register_pages(struct quire_userfault *context, uint64_t address, uint64_t pages,
				 uint64_t mode)
{
	struct quire_uffdio_register request = {.range = {address, pages * PAGE}, .mode = mode};

	return quire_userfault_ioctl(context, QUIRE_UFFDIO_REGISTER, &request, NULL);
}

static inline int unregister_pages(struct quire_userfault *context, uint64_t address,
				   uint64_t pages)
{
	struct quire_uffdio_range range = {address, pages * PAGE};

	return quire_userfault_ioctl(context, QUIRE_UFFDIO_UNREGISTER, &range, NULL);
}

static inline int wake_pages(struct quire_userfault *context, uint64_t address, uint64_t pages)
{
	struct quire_uffdio_range range = {address, pages * PAGE};

	return quire_userfault_ioctl(context, QUIRE_UFFDIO_WAKE, &range, NULL);
}

static inline int writeprotect(struct quire_userfault *context, uint64_t address, uint64_t pages,
			       uint64_t mode)
{
	struct quire_uffdio_writeprotect request = {.range = {address, pages * PAGE}, .mode = mode};

	return quire_userfault_ioctl(context, QUIRE_UFFDIO_WRITEPROTECT, &request, NULL);
}

/* One page full of `value`. */
static inline int copy_value(struct quire_userfault *context, uint64_t address, uint64_t value,
			     uint64_t mode)
{
	uint64_t source[PAGE / 8];
	struct quire_uffdio_copy request = {
		.dst = address, .src = (uintptr_t)source, .len = PAGE, .mode = mode};

	for (unsigned i = 0; i < PAGE / 8; i++)
		source[i] = value;
	return quire_userfault_ioctl(context, QUIRE_UFFDIO_COPY, &request, NULL);
}

static inline int zeropage(struct quire_userfault *context, uint64_t address, uint64_t mode)
{
	struct quire_uffdio_zeropage request = {.range = {address, PAGE}, .mode = mode};

	return quire_userfault_ioctl(context, QUIRE_UFFDIO_ZEROPAGE, &request, NULL);
}

static inline int poison(struct quire_userfault *context, uint64_t address)
{
	struct quire_uffdio_poison request = {.range = {address, PAGE}};

	return quire_userfault_ioctl(context, QUIRE_UFFDIO_POISON, &request, NULL);
}

/* The next message, which comes soon; its child context is dropped if nobody wants it. */
static inline struct quire_uffd_msg next_message(struct quire_userfault *context,
						 struct quire_userfault **child)
{
	struct quire_userfault *dropped;
	struct quire_uffd_msg message;
	double end = seconds() + FOREVER;

	while (!quire_userfault_poll(context) && seconds() < end)
		sched_yield();
	assert_int_equal(quire_userfault_read(context, &message, child ? child : &dropped), 0);
	if (!child && dropped)
		quire_userfault_close(dropped);
	return message;
}

static inline void assert_fault(struct quire_uffd_msg message, uint64_t address, uint64_t flags)
{
	assert_int_equal(message.event, QUIRE_UFFD_EVENT_PAGEFAULT);
	assert_int_equal(message.arg.pagefault.address, address);
	assert_int_equal(message.arg.pagefault.flags, flags);
}

static inline void assert_no_message(struct quire_userfault *context)
{
	struct quire_userfault *child;
	struct quire_uffd_msg message;

	assert_int_equal(quire_userfault_poll(context), 0);
	assert_int_equal(quire_userfault_read(context, &message, &child), -QUIRE_EAGAIN);
}

/* --- guests --- */

struct guest {
	void (*act)(struct guest *guest); /* what it does */
	struct soft_fixture *fixture;
	unsigned cpu;
	uint64_t address, value;

	struct soft_result result;  /* of an access */
	int error;		    /* of a call */
	struct quire_space *child;  /* of a fork */
	uint64_t made;		    /* address that a call gives */
	struct quire_thread thread; /* what Quire knows of it */
	pthread_t host;
	_Atomic bool finished;
};

static inline void *run_guest(void *argument)
{
	struct guest *guest = argument;
	struct soft_cpu *cpu = soft_machine_cpu(guest->fixture->machine, guest->cpu);

	soft_thread_use(&guest->thread);
	soft_cpu_enter(cpu, guest->fixture->space);
	guest->act(guest);
	soft_cpu_leave(cpu);
	soft_thread_use(NULL);
	guest->finished = true;
	return NULL;
}

static inline void start_guest(struct guest *guest)
{
	assert_int_equal(pthread_create(&guest->host, NULL, run_guest, guest), 0);
}

/* It is asleep, and stays so. */
static inline void assert_sleeps(const struct guest *guest)
{
	double end = seconds() + MOMENT;

	while (seconds() < end) {
		assert_true(quire_thread_asleep(&guest->thread));
		assert_false(guest->finished);
		sched_yield();
	}
}

/* It finishes by itself. */
static inline void assert_finishes(struct guest *guest)
{
	double end = seconds() + FOREVER;

	while (!guest->finished && seconds() < end)
		sched_yield();
	assert_true(guest->finished);
	pthread_join(guest->host, NULL);
	assert_false(quire_thread_asleep(&guest->thread));
}

static inline void act_store(struct guest *guest)
{
	guest->result = soft_store64(soft_machine_cpu(guest->fixture->machine, guest->cpu),
				     guest->address, guest->value);
}

static inline void act_load(struct guest *guest)
{
	guest->result = soft_load64(soft_machine_cpu(guest->fixture->machine, guest->cpu),
				    guest->address, &guest->value);
}

#endif
