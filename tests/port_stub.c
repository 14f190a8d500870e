/* SPDX-License-Identifier: MIT */
/*
 * The host for tests of single structures: one thread, so a lock that is taken twice would never be
 * had, and a lock that is released without being held is a bug.  A panic ends the test program,
 * unless the test expects it (see test_support.h).
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quire/machine.h>
#include <quire/port.h>

#include "port_stub.h"
#include "test_support.h"

static jmp_buf *expected_panic;

bool panics(void (*function)(void *), void *argument)
{
	jmp_buf escape;

	expected_panic = &escape;
	if (setjmp(escape)) {
		expected_panic = NULL;
		return true;
	}
	function(argument);
	expected_panic = NULL;
	return false;
}

_Noreturn void quire_port_panic(void *host, const char *file, int line, const char *what)
{
	(void)host;
	if (expected_panic)
		longjmp(*expected_panic, 1);
	fprintf(stderr, "panic: %s:%d: %s\n", file, line, what);
	abort();
}

static void expect(bool condition, const char *what)
{
	if (!condition)
		quire_port_panic(NULL, "port_stub", 0, what);
}

struct port_stub_flushes port_stub_flushes;

void quire_port_flush(void *host, const struct quire_flush *flushes, unsigned count)
{
	(void)host;
	expect(count > 0 && count <= PORT_STUB_FLUSHES, "a flush of nothing, or of too much");
	for (unsigned i = 0; i < count; i++) {
		expect(flushes[i].start < flushes[i].end, "an empty flush");
		expect((flushes[i].start | flushes[i].end) % flushes[i].stride == 0,
		       "a flush that is no multiple of its stride");
		port_stub_flushes.of[i] = flushes[i];
	}
	port_stub_flushes.count = count;
	port_stub_flushes.calls++;
}

#if QUIRE_PORT_TIER >= 1

void (*port_stub_before_lock)(void);
void quire_port_lock(void *host, struct quire_lock *lock)
{
	(void)host;
	if (port_stub_before_lock)
		port_stub_before_lock();
	expect(lock->word == 0, "a lock taken twice");
	lock->word = 1;
}

void quire_port_unlock(void *host, struct quire_lock *lock)
{
	(void)host;
	expect(lock->word == 1, "a lock released that was not held");
	lock->word = 0;
}

/* word[0] counts readers, word[1] is set while there is a writer. */
void quire_port_read_lock(void *host, struct quire_rwlock *lock)
{
	(void)host;
	expect(lock->word[0] == 0 && lock->word[1] == 0, "an rwlock taken twice");
	lock->word[0] = 1;
}

void quire_port_read_unlock(void *host, struct quire_rwlock *lock)
{
	(void)host;
	expect(lock->word[0] == 1, "an rwlock released that was not held for reading");
	lock->word[0] = 0;
}

void quire_port_write_lock(void *host, struct quire_rwlock *lock)
{
	(void)host;
	expect(lock->word[0] == 0 && lock->word[1] == 0, "an rwlock taken twice");
	lock->word[1] = 1;
}

void quire_port_write_unlock(void *host, struct quire_rwlock *lock)
{
	(void)host;
	expect(lock->word[1] == 1, "an rwlock released that was not held for writing");
	lock->word[1] = 0;
}

/* Nothing sleeps here. */
struct quire_thread *quire_port_current(void *host)
{
	(void)host;
	return NULL;
}

unsigned port_stub_cpu;
unsigned quire_port_cpu(void *host)
{
	(void)host;
	return port_stub_cpu;
}

void quire_port_wait(void *host, _Atomic uint32_t *word)
{
	(void)host;
	(void)word;
	quire_port_panic(NULL, "port_stub", 0, "a sleep");
}

void quire_port_wake(void *host, _Atomic uint32_t *word)
{
	(void)host;
	(void)word;
}

#endif

/* Swap: a few slots. */
static unsigned char swapped[64][QUIRE_PAGE_SIZE];

int quire_port_swap_write(void *host, uint64_t slot, const void *memory)
{
	(void)host;
	memcpy(swapped[slot - 1], memory, QUIRE_PAGE_SIZE);
	return 0;
}

int quire_port_swap_read(void *host, uint64_t slot, void *memory)
{
	(void)host;
	memcpy(memory, swapped[slot - 1], QUIRE_PAGE_SIZE);
	return 0;
}

void quire_port_swap_free(void *host, uint64_t slot)
{
	(void)host;
	memset(swapped[slot - 1], 0xee, QUIRE_PAGE_SIZE);
}
