/* SPDX-License-Identifier: MIT */
/*
 * The port's locks, on futexes.
 *
 * The short lock is a word: free, held, or held with threads asleep.  Who finds it held spins for a
 * little longer than the longest section, then sleeps: the holder may have lost its processor, and
 * on a small host it needs ours.
 *
 * The rwlock is phase-fair: readers that find a writer wait for that one writer only, and a writer
 * waits only for the readers that came before it.  So neither starves the other.  Both words count
 * readers, who take one atomic addition to come and one to go:
 *
 *	word[0], in:	readers that have come << 4 | QUEUE | SLEEPERS | PHASE | WRITER
 *	word[1], out:	readers that have gone << 4 | DRAINING
 *
 * A writer sets WRITER, which keeps other writers out, and learns from the same operation how many
 * readers had come: it waits until as many have gone.  A reader that counts itself in while WRITER
 * is set waits until either WRITER or PHASE changes.  PHASE turns over as a writer leaves, so the
 * reader notices even if the next one is there already, and that one has to wait for the reader.
 *
 *	in = 5, out = 3		two readers inside
 *	in = 5 W, out = 3	a writer waits until out = 5
 *	in = 7 W, out = 4	two more readers wait for the writer; it waits for the first two
 *	in = 7 W, out = 5	the writer is inside
 *	in = 7 P, out = 5	it has left; the two readers are inside
 *
 * Counts wrap: only equality is asked, and there are fewer threads than 2^28.
 */
#include "soft_internal.h"

#if QUIRE_PORT_TIER >= 1

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Turns of the spin loops; a few microseconds in all. */
#define SPINS 60

static void futex_wait(_Atomic uint32_t *word, uint32_t value, uint32_t bits)
{
	/* Returning early, whatever for, is fine: the caller looks again. */
	syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value, NULL, NULL, bits);
}

static void futex_wake(_Atomic uint32_t *word, int threads, uint32_t bits)
{
	syscall(SYS_futex, word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, threads, NULL, NULL, bits);
}

/* Waits for a moment for all of `bits` in `word` to be 0.  Whether they are. */
static bool spin_until_clear(const _Atomic uint32_t *word, uint32_t bits)
{
	for (int i = 0; i < SPINS; i++) {
		if (!(atomic_load_explicit(word, memory_order_relaxed) & bits))
			return true;
		soft_relax();
	}
	return false;
}

/* --- the short lock --- */

#define LOCK_HELD     1u
#define LOCK_SLEEPERS 2u

static bool lock_try(_Atomic uint32_t *word)
{
	uint32_t free = 0;

	return atomic_compare_exchange_strong_explicit(word, &free, LOCK_HELD, memory_order_acquire,
						       memory_order_relaxed);
}

static void lock_slow(_Atomic uint32_t *word)
{
	if (spin_until_clear(word, ~0u) && lock_try(word))
		return;
	/* Who has slept cannot know who else does: the lock is then taken as one with sleepers. */
	while (atomic_exchange_explicit(word, LOCK_HELD | LOCK_SLEEPERS, memory_order_acquire))
		futex_wait(word, LOCK_HELD | LOCK_SLEEPERS, FUTEX_BITSET_MATCH_ANY);
}

void quire_port_lock(void *host, struct quire_lock *lock)
{
	(void)host;
	if (!lock_try(&lock->word))
		lock_slow(&lock->word);
}

void quire_port_unlock(void *host, struct quire_lock *lock)
{
	(void)host;
	if (atomic_exchange_explicit(&lock->word, 0, memory_order_release) & LOCK_SLEEPERS)
		futex_wake(&lock->word, 1, FUTEX_BITSET_MATCH_ANY);
}

/* --- the rwlock --- */

#define ONE_READER 16u
#define READERS	   (~(ONE_READER - 1))

/* in */
#define WRITER	 1u /* a writer is inside, or waits for readers to go */
#define PHASE	 2u /* turns over as a writer leaves */
#define SLEEPERS 4u /* readers sleep until the writer leaves */
#define QUEUE	 8u /* writers sleep until the writer leaves */

/* out */
#define DRAINING 1u /* the writer sleeps until the readers before it have gone */

/* Of the threads that sleep on `in`, whom a wake-up is for. */
#define FOR_READERS 1u
#define FOR_WRITERS 2u

/* `seen` is WRITER and PHASE as this reader met them. */
static void read_lock_slow(_Atomic uint32_t *in, uint32_t seen)
{
	uint32_t now = atomic_load_explicit(in, memory_order_acquire);

	for (int i = 0; (now & (WRITER | PHASE)) == seen; i++) {
		if (i < SPINS)
			soft_relax();
		else if (now & SLEEPERS)
			futex_wait(in, now, FOR_READERS);
		else
			atomic_fetch_or_explicit(in, SLEEPERS, memory_order_relaxed);
		now = atomic_load_explicit(in, memory_order_acquire);
	}
}

void quire_port_read_lock(void *host, struct quire_rwlock *lock)
{
	uint32_t in = atomic_fetch_add_explicit(&lock->word[0], ONE_READER, memory_order_acquire);

	(void)host;
	if (in & WRITER)
		read_lock_slow(&lock->word[0], in & (WRITER | PHASE));
}

void quire_port_read_unlock(void *host, struct quire_rwlock *lock)
{
	(void)host;
	if (atomic_fetch_add_explicit(&lock->word[1], ONE_READER, memory_order_release) & DRAINING)
		futex_wake(&lock->word[1], 1, FUTEX_BITSET_MATCH_ANY);
}

/* Waits until no other writer has the lock and takes WRITER.  Returns `in` as it was before. */
static uint32_t write_queue(_Atomic uint32_t *in)
{
	uint32_t now = WRITER;

	if (spin_until_clear(in, WRITER))
		now = atomic_fetch_or_explicit(in, WRITER, memory_order_acquire);
	/* As with the short lock: who has slept takes over the duty to wake others. */
	while (now & WRITER) {
		now = atomic_fetch_or_explicit(in, WRITER | QUEUE, memory_order_acquire);
		if (now & WRITER)
			futex_wait(in, now | QUEUE, FOR_WRITERS);
	}
	return now;
}

/* Waits until as many readers have gone as had come. */
static void write_drain(_Atomic uint32_t *out, uint32_t come)
{
	uint32_t now = atomic_load_explicit(out, memory_order_acquire);

	for (int i = 0; (now & READERS) != come; i++) {
		if (i < SPINS)
			soft_relax();
		else if (now & DRAINING)
			futex_wait(out, now, FUTEX_BITSET_MATCH_ANY);
		else
			atomic_fetch_or_explicit(out, DRAINING, memory_order_relaxed);
		now = atomic_load_explicit(out, memory_order_acquire);
	}
	if (now & DRAINING)
		atomic_fetch_and_explicit(out, ~DRAINING, memory_order_relaxed);
}

void quire_port_write_lock(void *host, struct quire_rwlock *lock)
{
	uint32_t in = atomic_fetch_or_explicit(&lock->word[0], WRITER, memory_order_acquire);

	(void)host;
	if (in & WRITER)
		in = write_queue(&lock->word[0]);
	write_drain(&lock->word[1], in & READERS);
}

/* Both bits may have been set anew by threads that found the next writer: all of them look again.
 */
static void wake_sleepers(_Atomic uint32_t *in)
{
	uint32_t now = atomic_fetch_and_explicit(in, ~(SLEEPERS | QUEUE), memory_order_relaxed);

	if (now & SLEEPERS)
		futex_wake(in, INT_MAX, FOR_READERS);
	if (now & QUEUE)
		futex_wake(in, 1, FOR_WRITERS);
}

void quire_port_write_unlock(void *host, struct quire_rwlock *lock)
{
	(void)host;
	if (atomic_fetch_xor_explicit(&lock->word[0], WRITER | PHASE, memory_order_release) &
	    (SLEEPERS | QUEUE))
		wake_sleepers(&lock->word[0]);
}

#endif
