/* SPDX-License-Identifier: MIT */
/* What the files of the port share. */
#ifndef SOFT_INTERNAL_H
#define SOFT_INTERNAL_H

#include "soft.h"

/*
 * Frames are numbered from 4 GiB of physical address on, so that a number taken for an index, or
 * the other way about, is noticed at once.
 */
#define SOFT_FIRST_FRAME ((uint64_t)1 << 20)

struct soft_machine {
	struct quire_machine *core;
	unsigned char *memory; /* the direct map */
	uint64_t bytes;
	bool (*reclaim)(void *context);
	void (*log)(void *context, const char *what, uint64_t address);
	void *context;
	struct soft_swap *swap; /* or NULL */
	bool membarrier;	/* the host can fence all threads at once (soft_flush.c) */
	unsigned cpus;
	struct soft_cpu *cpu[SOFT_CPUS_MAX];
};

/* A busy-wait's pause. */
static inline void soft_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* An address that is the calling thread's own. */
const void *soft_thread_mark(void);

/* --- soft_tlb.c.  The CPU must be the calling thread's, or idle. --- */

/* The place of `address` in the direct map, from the TLB or by a walk; NULL: the walk is refused. */
unsigned char *soft_tlb_reach(struct soft_cpu *cpu, uint64_t address, enum quire_access access);
/*
 * Whether the CPU, which may be another thread's, may have anything that is flushed.  If not, what it
 * looks at from now on is as the caller has left it.
 */
bool soft_tlb_may_hold(struct soft_cpu *cpu, const struct quire_flush *flush);
/* Forgets what the flush says, and what was met on the way to its span; or all. */
void soft_tlb_forget(struct soft_cpu *cpu, const struct quire_flush *flush);
void soft_tlb_forget_all(struct soft_cpu *cpu);

/* --- soft_flush.c --- */

/* Whether the host supports the asymmetric fence; makes it ready for use by this process. */
bool soft_flush_prepare(void);
/* Takes in what other threads have posted to the CPU, which is the calling thread's, or idle. */
void soft_flush_drain(struct soft_cpu *cpu);

#endif
