/* SPDX-License-Identifier: MIT */
/*
 * The software MMU: a port of Quire to ordinary processes on Linux.
 *
 * A machine has memory, lazily taken from the host, and 1 to 64 CPUs.  A CPU enters an address
 * space and then loads, stores and fetches through its page tables as hardware would: it looks in
 * its TLB, walks on a miss, sets accessed and dirty, and takes a fault where the walk is refused.
 * Emulators, simulators and tests call the functions below; Quire's core calls the port functions
 * (<quire/port.h>) that this library supplies: locks, TLB shootdown and panic.
 *
 *	struct soft_machine *machine;
 *	struct quire_space *space;
 *	uint64_t address;
 *
 *	soft_machine_open(&(struct soft_config){.memory = 64 << 20, .cpus = 1}, &machine);
 *	quire_space_create(soft_machine_core(machine), &(struct quire_space_config){0}, &space);
 *	quire_mmap(space, 0, 4096, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
 *		   QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, &address);
 *	soft_cpu_enter(soft_machine_cpu(machine, 0), space);
 *	struct soft_result result = soft_store64(soft_machine_cpu(machine, 0), address, 42);
 *
 * Threads.  A CPU is used by one host thread at a time: the one that entered it.  Different CPUs
 * may be used at the same time, and every function of Quire may be called from any thread
 * meanwhile.  Guest memory behaves as on hardware without any ordering of its own: a naturally
 * aligned access of 1, 2, 4 or 8 bytes happens at once, others byte by byte in ascending order.
 */
#ifndef SOFT_H
#define SOFT_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quire/port.h>
#include <quire/quire.h>

#include "soft_swap.h"

#define SOFT_CPUS_MAX 256

struct soft_machine;
struct soft_cpu;

/* What a machine is made of.  Zero means the default. */
struct soft_config {
	uint64_t memory;       /* bytes, whole pages, at least QUIRE_MACHINE_MIN; 0: 64 MiB */
	unsigned cpus;	       /* 1 to SOFT_CPUS_MAX; 0: 1 */
	uint64_t commit_limit; /* as in struct quire_machine_config */
	uint32_t max_maps;     /* as in struct quire_machine_config */
	/* as in struct quire_machine_config */
	bool no_fault_around, report_swapped, strict_written, execute_only, software_accessed;

	/* As in struct quire_machine_config, but called with `context`. */
	bool (*reclaim)(void *context);
	void (*log)(void *context, const char *what, uint64_t address);
	void *context;

	/* The host backs the memory with huge pages, if it has any: fewer misses of the host's own TLB,
	 * but the memory is taken 2M at a time. */
	bool huge_pages;

	/* Where pages go when memory is short (soft_swap.h); closed with the machine.  NULL: nowhere. */
	struct soft_swap *swap;
};

/*
 * Makes a machine.  The host gives it memory page by page, when it is first touched.
 *   0        *machine is ready
 *   -EINVAL  a field is out of range
 *   -ENOMEM  the host refuses the memory, or it does not hold the swap's counts
 * On failure the swap stays the caller's.
 */
int soft_machine_open(const struct soft_config *config, struct soft_machine **machine);

/*
 * Ends a machine and gives its memory back.  No CPU may have a space entered.
 *   0          done
 *   -EBUSY     address spaces are left: nothing is changed
 *   -EUCLEAN   done, but frames were missing (a bug in Quire)
 */
int soft_machine_close(struct soft_machine *machine);

/* The core's machine, to create spaces in. */
struct quire_machine *soft_machine_core(const struct soft_machine *machine);
unsigned soft_machine_cpus(const struct soft_machine *machine);
/* CPU `number`, less than soft_machine_cpus(). */
struct soft_cpu *soft_machine_cpu(const struct soft_machine *machine, unsigned number);
/* Where the direct map holds the frame with this hardware number. */
unsigned char *soft_machine_frame(const struct soft_machine *machine, uint64_t frame);

/*
 * The calling thread takes the CPU and makes it use `space`, leaving the space it used before.
 * Cheap when there is nothing to change.  The CPU must be free or the calling thread's.
 */
void soft_cpu_enter(struct soft_cpu *cpu, struct quire_space *space);
/* The CPU forgets its translations and leaves its space, if any; any thread may take it next. */
void soft_cpu_leave(struct soft_cpu *cpu);
/* The space the CPU uses, or NULL. */
struct quire_space *soft_cpu_space(const struct soft_cpu *cpu);

/* What a CPU has done; read it while the CPU is idle. */
struct soft_counters {
	uint64_t walks;	 /* TLB misses: page-table walks */
	uint64_t faults; /* walks that were refused: calls of quire_fault() */
	uint64_t drains; /* times that flushes of other threads were taken in */
};
struct soft_counters soft_cpu_counters(const struct soft_cpu *cpu);

/*
 * The guest's thread that the calling host thread plays from now on; NULL: one of its own, which
 * sleeps in the host.  See
 * <quire/thread.h>.
 */
void soft_thread_use(struct quire_thread *thread);

/* How an access came out. */
struct soft_result {
	enum quire_outcome outcome;
	int code;      /* si_code with QUIRE_SEGV and QUIRE_BUS; 0 otherwise */
	uint64_t done; /* bytes moved */
};

/*
 * Moves `length` bytes (any number, 0 included; any alignment) between `address` of the space that
 * the CPU has entered and `buffer`, ascending, faulting as it goes.  `done` bytes were moved when
 * a fault ends it early.  Addresses wrap at 2^64.
 */
struct soft_result soft_load(struct soft_cpu *cpu, uint64_t address, void *buffer, size_t length);
struct soft_result soft_store(struct soft_cpu *cpu, uint64_t address, const void *buffer,
			      size_t length);

/*
 * One access that keeps the content.  QUIRE_READ loads a byte; QUIRE_WRITE is an atomic `or` of 0
 * onto it, one write access; QUIRE_EXECUTE is the fetch of an instruction.  `done` is 1 or 0.
 */
struct soft_result soft_touch(struct soft_cpu *cpu, uint64_t address, enum quire_access access);

/*
 * soft_load8(), soft_load16(), soft_load32(), soft_load64() and soft_store8() to soft_store64(): a
 * load or store as an instruction makes it, of any alignment; where it crosses into another page
 * both are reached before anything is moved, so that it happens whole (`done` is its size) or not
 * at all.  A TLB hit is a few nanoseconds.  Defined at the end of this header:
 *
 *	struct soft_result soft_load64(struct soft_cpu *cpu, uint64_t address, uint64_t *value);
 *	struct soft_result soft_store64(struct soft_cpu *cpu, uint64_t address, uint64_t value);
 */

/*
 * Proves that the CPU's TLB grants nothing that the page tables do not.  True, or false with the
 * first violation in `text` (at most `size` bytes, one line, no newline).  Sets no accessed bits.
 * The CPU must be idle and nobody may change its space meanwhile.
 */
bool soft_tlb_check(struct soft_cpu *cpu, char *text, size_t size);

/*
 * The rest is the inside of a CPU, here for the inline functions alone.
 *
 * The TLB is direct mapped by page number; its entries are 4K.  Leaves that are larger are kept in a
 * second TLB as a whole, and where a page of one is used in pieces in this one: a miss that finds its
 * leaf there is no walk.
 * `key` is the page's address with the permissions in its low bits; a store needs SOFT_TLB_WRITE,
 * which stands only where the leaf is writable and dirty already, so that the first store to a
 * clean page walks and sets the dirty bit.  Adding `offset` to an address in the page gives its
 * place in the direct map.  The permission bits lie above those of an 8-byte offset, so that one
 * comparison proves page and alignment.  It proves that the page can be read, too: where it cannot,
 * SOFT_TLB_READ is missing and the key has the address of the neighbouring page, which belongs in
 * another entry, so that no load matches.  So it is with an empty entry, which has no permissions.
 */
#define SOFT_TLB_ENTRIES 1024
#define SOFT_TLB_PAGE	 (~(QUIRE_PAGE_SIZE - 1))
#define SOFT_TLB_READ	 ((uint64_t)0x10)
#define SOFT_TLB_WRITE	 ((uint64_t)0x20)
#define SOFT_TLB_EXECUTE ((uint64_t)0x40)

struct soft_tlb_entry {
	uint64_t key;
	uint64_t offset;
};

/* A TLB of empty entries: what a CPU looks its accesses up in when it is wanted for something else. */
extern const struct soft_tlb_entry soft_tlb_nothing[SOFT_TLB_ENTRIES];

/*
 * A leaf larger than 4K.  Direct mapped by regions: of 2M those that lie in one, larger ones of 1G.
 * Nothing larger is kept.
 */
#define SOFT_LARGE	 64
#define SOFT_HUGE	 16
#define SOFT_HUGE_REGION ((uint64_t)1 << 30)
struct soft_large_entry {
	uint64_t start, end; /* empty: both 0 */
	uint64_t allow;	     /* SOFT_TLB_READ, _WRITE, _EXECUTE */
	uint64_t offset;     /* as in struct soft_tlb_entry */
};

/* What the walker remembers of the upper levels: direct mapped by regions of 2M. */
#define SOFT_WALKS	 512
#define SOFT_WALK_REGION ((uint64_t)1 << 21)

/* Flushes that other threads have posted (soft_flush.c).  All zero is empty. */
#define SOFT_MAILBOX_FLUSHES 8
struct soft_mailbox {
	struct quire_lock lock;
	unsigned count;		/* lock: of flushes; more than SOFT_MAILBOX_FLUSHES: everything */
	uint64_t posted;	/* lock: how many posts so far */
	_Atomic uint64_t taken; /* how many of them the CPU has taken in; written under lock */
	struct quire_flush flush[SOFT_MAILBOX_FLUSHES]; /* lock */
};

/* Why a CPU looks in soft_tlb_nothing. */
enum soft_attention {
	SOFT_FLUSH_POSTED = 1, /* the mailbox has something */
	SOFT_FENCE = 2,	       /* the host has no membarrier(2): accesses must fence themselves */
};

struct soft_cpu {
	_Atomic uint32_t in_access; /* 1 from before the TLB lookup to after the data movement */
	_Atomic uint32_t attention; /* enum soft_attention */
	/* where accesses are looked up: `tlb`; with attention, soft_tlb_nothing */
	_Atomic(const struct soft_tlb_entry *) lookup;
	struct quire_space *space;     /* owner */
	const void *_Atomic owner;     /* mark of the thread that uses the CPU; NULL: free */
	struct soft_machine *machine;  /* constant */
	unsigned number;	       /* constant */
	struct soft_counters counters; /* owner */
	uint64_t valid[SOFT_TLB_ENTRIES / 64]; /* owner: bit n is 0: entry n is empty */
	alignas(64) struct soft_mailbox mailbox;
	alignas(64) struct soft_tlb_entry tlb[SOFT_TLB_ENTRIES]; /* owner */
	struct soft_large_entry large[SOFT_LARGE + SOFT_HUGE];	 /* owner */
	bool any_large;			    /* owner: one is not empty, perhaps */
	struct quire_walk walk[SOFT_WALKS]; /* owner */
	/* bit n % 64 of word n / 64: something of a region whose number is n (modulo SOFT_WALKS) may
	 * be in `tlb` or `walk`, or on its way there; written by the owner */
	alignas(64) _Atomic uint64_t touched[SOFT_WALKS / 64];
};

/* The ways on after a TLB miss.  They end the access that the inline function has begun. */
struct soft_result soft_load_slow(struct soft_cpu *cpu, uint64_t address, void *buffer,
				  size_t length);
struct soft_result soft_store_slow(struct soft_cpu *cpu, uint64_t address, const void *buffer,
				   size_t length);

/*
 * Begins an access and looks `address` up: *place in the direct map; false on a miss or when the CPU
 * is wanted for something else.  That no fence stands between the store to in_access and what follows
 * is made good by the flusher (soft_flush.c).
 */
static inline bool soft_begin(struct soft_cpu *cpu, uint64_t address, size_t size, bool store,
			      void **place)
{
	const struct soft_tlb_entry *entry;

	atomic_store_explicit(&cpu->in_access, 1, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	entry = atomic_load_explicit(&cpu->lookup, memory_order_acquire) +
		(address >> QUIRE_PAGE_SHIFT) % SOFT_TLB_ENTRIES;
	*place = (void *)(uintptr_t)(address + entry->offset);
	return !((entry->key ^ address) & (SOFT_TLB_PAGE | (size - 1))) &&
	       (!store || (entry->key & SOFT_TLB_WRITE));
}

static inline struct soft_result soft_end(struct soft_cpu *cpu, size_t size)
{
	atomic_store_explicit(&cpu->in_access, 0, memory_order_release);
	return (struct soft_result){.outcome = QUIRE_DONE, .done = size};
}

#define SOFT_DEFINE_ACCESS(bits)                                                                   \
	typedef uint##bits##_t __attribute__((may_alias)) soft_cell##bits;                         \
                                                                                                   \
	static inline struct soft_result soft_load##bits(struct soft_cpu *cpu, uint64_t address,   \
							 uint##bits##_t *value)                    \
	{                                                                                          \
		void *place;                                                                       \
                                                                                                   \
		if (__builtin_expect(!soft_begin(cpu, address, bits / 8, false, &place), 0))       \
			return soft_load_slow(cpu, address, value, bits / 8);                      \
		*value = __atomic_load_n((const soft_cell##bits *)place, __ATOMIC_RELAXED);        \
		return soft_end(cpu, bits / 8);                                                    \
	}                                                                                          \
                                                                                                   \
	static inline struct soft_result soft_store##bits(struct soft_cpu *cpu, uint64_t address,  \
							  uint##bits##_t value)                    \
	{                                                                                          \
		void *place;                                                                       \
                                                                                                   \
		if (__builtin_expect(!soft_begin(cpu, address, bits / 8, true, &place), 0))        \
			return soft_store_slow(cpu, address, &value, bits / 8);                    \
		__atomic_store_n((soft_cell##bits *)place, value, __ATOMIC_RELAXED);               \
		return soft_end(cpu, bits / 8);                                                    \
	}

SOFT_DEFINE_ACCESS(8)
SOFT_DEFINE_ACCESS(16)
SOFT_DEFINE_ACCESS(32)
SOFT_DEFINE_ACCESS(64)
#undef SOFT_DEFINE_ACCESS

#endif
