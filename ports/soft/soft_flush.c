/* SPDX-License-Identifier: MIT */
/*
 * TLB shootdown.
 *
 * A CPU says that it is in an access (in_access = 1) before it looks anything up, and that it has
 * left it after the last byte has moved.  A flusher posts its range to each CPU and waits until the
 * CPU has either been seen outside of an access or has taken the post in, which it does at the
 * start of an access:
 *
 *	CPU					flusher
 *	in_access = 1				post, lookup = nothing
 *	(no fence)				fence on every processor
 *	lookup: nothing? take the posts in	wait until in_access == 0 or the post is taken
 *	look up, walk, move data		the old translation is out of use
 *	in_access = 0
 *
 * Which table an access is looked up in is one load: its own TLB, or soft_tlb_nothing, where it misses
 * and so takes the slow path.  Either the CPU's store to in_access came before the fence and the
 * flusher sees it, or its load of `lookup` comes after the fence and finds nothing.  The fence that the
 * CPU leaves out, because it would cost more than all the rest of a TLB hit, is made by membarrier(2)
 * on the flusher's side, in all threads of the process at once.  Where the host has no such call
 * `lookup` is always nothing, and the slow path has the fence.
 *
 * An access never waits for anything (a fault is taken outside of it), so the flusher waits for a
 * few hundred bytes to move at most, or for the host to run that thread again.  A busy CPU cannot
 * keep it waiting: its next access takes the post in.  Page tables are covered too, since a walk is
 * part of an access.
 *
 * A CPU that has not come by the regions of the range since it was empty is left alone: it notes a
 * region before it walks there (soft_tlb.c).  Threads that work on memory of their own do not stop each
 * other.
 *
 * The CPUs of the calling thread are in no access now.  Their entries are dropped on the spot, and
 * where no other CPU is named there is no fence: a program with one thread pays next to nothing.
 *
 * QUIRE_MISTAKE_NO_SHOOTDOWN builds a port that leaves other threads' CPUs alone, to show that
 * tests/test_shootdown notices.
 */
#include "soft_internal.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef QUIRE_MISTAKE_NO_SHOOTDOWN
#define SHOOTDOWN false
#else
#define SHOOTDOWN true
#endif

bool soft_flush_prepare(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

const void *soft_thread_mark(void)
{
	static _Thread_local char mark;

	return &mark;
}

/* Orders what this thread has stored before what it loads next, in the eyes of every thread. */
static void fence_all_threads(const struct soft_machine *machine)
{
	if (!machine->membarrier)
		return; /* the accesses fence, and the operations here are sequentially consistent
			 */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))
		quire_port_panic(NULL, __FILE__, __LINE__, "membarrier was registered and fails");
}

/* Returns the number of the post, to wait for. */
static uint64_t mailbox_post(struct soft_cpu *cpu, const struct quire_flush *flush)
{
	struct soft_mailbox *box = &cpu->mailbox;
	uint64_t post;

	quire_port_lock(NULL, &box->lock);
	if (box->count < SOFT_MAILBOX_FLUSHES)
		box->flush[box->count] = *flush;
	if (box->count <= SOFT_MAILBOX_FLUSHES)
		box->count++;
	post = ++box->posted;
	atomic_fetch_or(&cpu->attention, SOFT_FLUSH_POSTED);
	atomic_store(&cpu->lookup, soft_tlb_nothing);
	quire_port_unlock(NULL, &box->lock);
	return post;
}

void soft_flush_drain(struct soft_cpu *cpu)
{
	struct soft_mailbox *box = &cpu->mailbox;

	if (!(atomic_load(&cpu->attention) & SOFT_FLUSH_POSTED))
		return;
	quire_port_lock(NULL, &box->lock);
	if (box->count > SOFT_MAILBOX_FLUSHES)
		soft_tlb_forget_all(cpu);
	else
		for (unsigned i = 0; i < box->count; i++)
			soft_tlb_forget(cpu, &box->flush[i]);
	box->count = 0;
	if (atomic_fetch_and(&cpu->attention, ~(uint32_t)SOFT_FLUSH_POSTED) == SOFT_FLUSH_POSTED)
		atomic_store(&cpu->lookup, cpu->tlb);
	atomic_store_explicit(&box->taken, box->posted, memory_order_release);
	quire_port_unlock(NULL, &box->lock);
	cpu->counters.drains++;
}

static void wait_for(const struct soft_cpu *cpu, uint64_t post)
{
	for (unsigned spins = 0;
	     atomic_load(&cpu->in_access) &&
	     atomic_load_explicit(&cpu->mailbox.taken, memory_order_acquire) < post;
	     spins++) {
		if (spins < 100)
			soft_relax();
		else
			sched_yield();
	}
}

/* The CPUs that have been posted to, and the number of the last post of each. */
struct posted {
	uint64_t word[SOFT_CPUS_MAX / 64];
	uint64_t post[SOFT_CPUS_MAX];
	bool any;
};

/* Forgets at once what is the calling thread's, and posts to others. */
static void flush_cpu(struct soft_cpu *cpu, const struct quire_flush *flush, struct posted *posted)
{
	unsigned number = cpu->number;

	if (atomic_load_explicit(&cpu->owner, memory_order_relaxed) == soft_thread_mark()) {
		soft_tlb_forget(cpu, flush);
	} else if (SHOOTDOWN && soft_tlb_may_hold(cpu, flush)) {
		posted->post[number] = mailbox_post(cpu, flush);
		posted->word[number / 64] |= (uint64_t)1 << number % 64;
		posted->any = true;
	}
}

void quire_port_flush(void *host, const struct quire_flush *flushes, unsigned count)
{
	const struct soft_machine *machine = host;
	const unsigned words = (machine->cpus + 63) / 64;
	struct posted posted;

	/* Not `post`: it is large, and mostly nothing is posted. */
	memset(posted.word, 0, sizeof(posted.word));
	posted.any = false;
	for (const struct quire_flush *flush = flushes; flush < flushes + count; flush++) {
		for (unsigned i = 0; i < words; i++) {
			uint64_t cpus = quire_cpus_word(flush->cpus, i);

			for (; cpus; cpus &= cpus - 1)
				flush_cpu(machine->cpu[64 * i + (unsigned)__builtin_ctzll(cpus)],
					  flush, &posted);
		}
	}
	if (!SHOOTDOWN || !posted.any)
		return;
	fence_all_threads(machine);
	for (unsigned i = 0; i < words; i++) {
		for (uint64_t cpus = posted.word[i]; cpus; cpus &= cpus - 1) {
			unsigned number = 64 * i + (unsigned)__builtin_ctzll(cpus);

			wait_for(machine->cpu[number], posted.post[number]);
		}
	}
}
