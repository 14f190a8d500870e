/* SPDX-License-Identifier: MIT */
/*
 * What a pair of operations works on: a machine, made anew for each run, with one process (the parent)
 * that has a region of memory and a userfaultfd context, and perhaps another process that shares it.
 *
 *	BASE        REGION: pages 0 1 2 3, of one kind of memory, registered in one way
 *	            (large: of some megabytes, of which four pages are looked at)
 *	SOURCE      2 anonymous pages, for MOVE
 *	HOLE        2 anonymous pages that are not there, registered like the region, for MOVE
 *	ELSEWHERE   nothing: where mremap moves to
 */
#ifndef EXPLORER_WORLD_H
#define EXPLORER_WORLD_H

#include <quire/device.h>
#include <quire/migrate.h>
#include <quire/object.h>
#include <quire/pin.h>
#include <quire/report.h>
#include <quire/scan.h>
#include <quire/swap.h>
#include <quire/userfault.h>

#include "soft.h"

struct world;

#define PAGE	  QUIRE_PAGE_SIZE
#define MIB	  ((uint64_t)1 << 20)
#define BASE	  (64 * MIB)
#define SOURCE	  (96 * MIB)
#define HOLE	  (SOURCE + 8 * PAGE)
#define ELSEWHERE (128 * MIB)

#define PAGES  4 /* of the region, that are looked at */
#define TARGET 1 /* that most operations are about */

#define RWX	(QUIRE_PROT_READ | QUIRE_PROT_WRITE | QUIRE_PROT_EXEC)
#define PRIVATE (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED)

/* What the first word of a page is: who wrote it there. */
enum {
	VALUE_INITIAL = 0x100,	/* + page */
	VALUE_SOURCE = 0x200,	/* + page: what MOVE takes */
	VALUE_STORED = 0x1000,	/* + 0x100 * actor */
	VALUE_HANDLER = 0x5000, /* what the judge fills missing pages with */
	VALUE_JUDGE = 0x6000,	/* what the judge stores at the end */
};

/* A kind of memory. */
struct memory {
	const char *name;
	enum { ANONYMOUS, SHMEM, HOST_OBJECT, DEVICE } kind;
	enum quire_device_kind device; /* with leaves of up to 2M; it is large */
	bool private;		       /* mapping of an object */
	bool shared; /* with another process: a child, or one that maps the object */
	bool large;
	bool pinned;
	bool rare; /* such memory is not explored with rare registrations, unless all is asked for */
	bool given_up, locked;
	bool hollow; /* its object has no pages in memory */
	bool strict_written, report_swapped, no_fault_around;
	void (*prepare)(struct world *world);
};
extern const struct memory memories[];
extern const unsigned memory_count;

/* How the region is registered. */
struct registration {
	const char *name;
	uint64_t mode; /* 0: not at all */
	uint64_t features;
	bool protect; /* all of it is write-protected */
	bool rare;    /* is not explored with rare memory */
};
extern const struct registration registrations[];
extern const unsigned registration_count;

struct operation;

/* One of the two that meet: a thread of the guest with a CPU, or a monitor, and its operation. */
struct actor {
	struct world *world;
	unsigned number;
	const struct operation *operation;
	struct soft_cpu *cpu;
	struct quire_thread thread;

	/* what it got */
	int64_t result;
	uint64_t value;
	struct quire_space *made; /* by fork */
	struct quire_pin pin;	  /* still held */
	uint64_t frames[PAGES];
};

#define ACTORS	     2
#define CHILDREN_MAX 8

struct world {
	const struct memory *memory;
	const struct registration *registration;
	struct soft_machine *soft;
	struct quire_machine *machine;
	struct quire_space *space[2]; /* the parent, and who shares memory with it; NULL: gone */
	struct quire_object *object;
	struct quire_userfault *context;		/* NULL: closed */
	struct quire_userfault *children[CHILDREN_MAX]; /* contexts that came with fork events */
	unsigned child_count;
	uint64_t length; /* of the region, in bytes */
	uint64_t page[PAGES];
	struct actor actor[ACTORS];
	struct soft_cpu *judge;
	struct quire_pin pin; /* that the memory has from the start */
	uint64_t frames[PAGES];
};

/* Makes it; false: such memory cannot be registered so. */
bool world_open(struct world *world, const struct memory *memory,
		const struct registration *registration);
/* Gives everything back; what quire_machine_destroy() says. */
int world_close(struct world *world);

/* The actor's CPU is in the space, and its TLB has what it may have of the region. */
void world_enter(struct world *world, struct soft_cpu *cpu, struct quire_space *space);
/* No CPU is in the space. */
void world_leave(struct world *world, struct quire_space *space);

struct quire_entry_report entry_of(struct quire_space *space, uint64_t address);

/* Ends the program: `what` can not be, or cannot be judged. */
_Noreturn void fatal(const char *what, const char *file, int line);
#define must(condition) ((condition) ? (void)0 : fatal(#condition, __FILE__, __LINE__))

#endif
