/* SPDX-License-Identifier: MIT */
/*
 * Page tables: the operations that change or read a range of entries.  What stands in an entry is
 * known here and in src/arch only.
 *
 * A *marker* on an absent entry speaks for the entry's whole span, at whatever level it stands.  A
 * range operation works on the highest entries that lie wholly inside its range, so it must not
 * begin or end in the middle of a marker or leaf: cut there first.
 *
 * Prepare and commit: table_edges_cost() and its kin tell how many tables a unit of work needs;
 * table_reserve() takes them from the allocator and may fail; everything else here returns void.
 *
 * Locks, unless a function says otherwise: the space's lock is held for writing.  Each table has a
 * lock of its own around its entries, taken inside; one is held at a time, and a child's only after
 * its parent's when two are (copy, move, a table that is put in).
 *
 * Ranges are [start, end), whole pages, inside the address space.
 */
#ifndef QUIRE_TABLE_TABLE_H
#define QUIRE_TABLE_TABLE_H

#include "frame/machine.h"
#include <quire/fault.h>
#include <quire/notifier.h>
#include <quire/report.h>

/*
 * The page tables of one address space, and what is counted of them.  The space embeds this; the
 * locks named here are the space's.
 */
enum table_resident {
	RESIDENT_ANON,
	RESIDENT_FILE,
	RESIDENT_SHMEM,
	RESIDENT_SWAP, /* swap entries */
	RESIDENT_KINDS
};

/* Who is told of changes (notify.c). */
struct quire_notifier {
	const struct quire_notifier_operations *operations; /* constant, as are the next two */
	void *context;
	struct page_tables *tables;
	struct quire_notifier *next; /* lock */
};

/* Every walk reads the first line; faults write to the second. */
struct page_tables {
	_Alignas(64) struct quire_machine *machine; /* constant, as are the next two */
	struct frame *root;
	uint64_t tag;
	struct quire_notifier *notifiers; /* lock */
	struct quire_cpus cpus;		  /* atomic: that have entered */

	/* atomic: pages mapped by leaves, the zero page aside */
	_Alignas(64) _Atomic uint64_t resident[RESIDENT_KINDS];
	_Atomic uint64_t frames;     /* atomic: frames of page tables, the root included */
	bool written;		     /* the space's lock is held for writing */
	struct quire_lock notifying; /* a bracket under the space's lock for reading is open */
	/* A leaf that only a shadow stack may have has gone from `address`; constant. */
	void (*gone_shadow_stack)(struct page_tables *tables, uint64_t address);
};

/* What a VMA lets its leaves allow. */
struct table_permissions {
	bool read;
	bool write; /* only with read */
	bool execute;
	bool shared; /* pages of objects may be written to where they stand, without a fault */
	bool dirty;  /* those may that have been written to */
	bool shadow_stack; /* who may write are calls and returns, not stores */
};

/* Tables prepared for a unit of work: zeroed frames. */
struct table_reserve {
	struct frame *chain;
	unsigned count;
};
/* Adds `count` tables.  0, or -NO_FRAMES: then nothing was added. */
int table_reserve(struct quire_machine *machine, struct table_reserve *reserve, unsigned count);
/* Gives back what was not used. */
void table_unreserve(struct quire_machine *machine, struct table_reserve *reserve);

/*
 * What an operation has taken out of the tables and must not be reused before one flush: frames,
 * tables, and the spans that any CPU may still translate; and the bracket that notifiers have been told of.
 * Lives on the operation's stack.
 */
#define GATHER_SHARED  8
#define GATHER_BATCHES 16
#define GATHER_SPANS   3
struct gather_span {
	uint64_t start;
	uint64_t
		end; /* in the bits below a page: what has changed, as follows; or GATHER_NOTHING */
};
#define GATHER_LEVEL	  ((uint64_t)0xf) /* of the smallest leaf that has */
#define GATHER_NOTHING	  UINT64_MAX
#define GATHER_WRITE_ONLY ((uint64_t)0x10) /* none lost more than permission to write */
struct gather {
	struct page_tables *tables;
	struct gather_span spans[GATHER_SPANS]; /* to flush */
	struct gather_span emptied;		/* that the unlinked tables translated */
	uint64_t told_start, told_end;		/* the open bracket; empty: none is */
	enum quire_notifier_reason why;		/* leaves change */
	struct frame *exclusive;		/* folios that no one else holds */
	struct frame *unlinked;			/* tables */
	/* folios that others hold too, one reference each: in the array, and when it is full in batches */
	struct folio *shared[GATHER_SHARED];
	unsigned shared_count;
	unsigned last;	       /* of the spans */
	struct frame *batches; /* frames full of pointers, the last one first */
	unsigned batch_count, batch_used;
};
void gather_begin(struct gather *gather, struct page_tables *tables,
		  enum quire_notifier_reason why);
/* Leaves of `level` and higher have changed in [start, end), which they fill.  write_only: they have
 * lost permission to write, or the dirty bit, and nothing else. */
void gather_next_span(struct gather *gather, uint64_t start, uint64_t end, uint64_t what);
static inline void gather_span(struct gather *gather, uint64_t start, uint64_t end, unsigned level,
			       bool write_only)
{
	uint64_t what = level | (write_only ? GATHER_WRITE_ONLY : 0);
	struct gather_span *last = &gather->spans[gather->last];

	if (last->end == (start | what))
		last->end = end | what;
	else
		gather_next_span(gather, start, end, what);
}
/* `table` has been unlinked from an entry of `level`, which translated from `start` on. */
void gather_table(struct gather *gather, struct frame *table, uint64_t start, unsigned level);
/* One mapping of `folio` has gone from an entry. */
void gather_folio(struct gather *gather, struct folio *folio);
/* Flushes what was gathered so far, freeing nothing. */
void gather_flush(struct gather *gather);
/* Flushes, closes the bracket, frees.  The operation has not ended before this. */
void gather_end(struct gather *gather);

/* A new root, or NULL; the root's release when every entry of the user half is absent. */
struct frame *table_root_new(struct quire_machine *machine, const uint64_t *entries, unsigned first,
			     unsigned count);
void table_root_free(struct quire_machine *machine, struct frame *root);
/* Copies the root entries beyond address `highest`, the host's, for a fork. */
void table_root_copy_host(struct quire_machine *machine, struct frame *from, struct frame *to,
			  uint64_t highest);
/* Bytes of addresses that the format maps for users. */
uint64_t table_address_end(void);
/* Whether `count` root entries from index `first` on lie beyond address `highest`. */
bool table_root_range_valid(unsigned first, unsigned count, uint64_t highest);

/*
 * The edges of a range.  An operation on [start, end) changes whole entries: so a marker or leaf that
 * reaches over an edge gives way to tables first, a *cut*; and where markers are to come to stand, so
 * does an absent entry that reaches over it (EDGES_FILL; the operation itself sees to that).
 * table_edges_cost(): how many tables either takes at most.
 * table_cut_edges(): cuts, with tables that were reserved for it.
 * table_cut_range(): both, where there is nothing else to prepare.  0 or -NO_FRAMES: nothing was changed.
 */
enum table_edges { EDGES_CUT, EDGES_FILL };
unsigned table_edges_cost(struct page_tables *tables, uint64_t start, uint64_t end,
			  enum table_edges edges);
void table_cut_edges(struct page_tables *tables, uint64_t start, uint64_t end,
		     struct table_reserve *reserve);
int table_cut_range(struct page_tables *tables, uint64_t start, uint64_t end);

/*
 * Makes entries absent, but for what is to be kept, and drops what they held.  Tables that become
 * empty go.  A marker that is kept as it is may reach over an edge: truncate and punch, which have no
 * tables to cut with, keep all but poison, which stands at level 0.
 */
enum table_zap {
	ZAP_ALL = 0,
	ZAP_KEEP_GUARDS = 1,
	ZAP_KEEP_POISON = 2,
	ZAP_KEEP_PROTECTION = 4, /* what was protected becomes, or stays, a marker */
	ZAP_KEEP_PRIVATE = 8,	 /* private pages stay; only those of objects go */
	/* protection binds nobody: a page's goes with it, or with its poison; a marker stays */
	ZAP_FORGET_DORMANT = 16,
	ZAP_KEEP_CACHED = 32, /* pages stay that their object has in its cache */
};
void table_zap(struct page_tables *tables, uint64_t start, uint64_t end, unsigned keep,
	       struct gather *gather);

/* Gives every leaf these permissions; write only where the leaf may have it without a fault
 * (exclusive or shared, not uffd-wp). */
void table_protect(struct page_tables *tables, uint64_t start, uint64_t end,
		   struct table_permissions allow, struct gather *gather);

/* What a marker says; a set of bits. */
enum table_mark {
	MARK_GUARD = 1,	  /* an access is a SEGV (MADV_GUARD_INSTALL) */
	MARK_POISON = 2,  /* an access is a BUS (UFFDIO_POISON); at level 0 only */
	MARK_UFFD_WP = 4, /* a page that comes to stand here is write-protected */
	/* A page of an object was evicted from here, and may still be in swap.  By itself as good as
	 * nothing to all but reports (struct quire_machine_config, report_swapped). */
	MARK_EVICTED = 8,
};

/*
 * Puts markers on a range, each at the highest entry that fits; everything in it must be absent
 * (zap first).  The cost is a bound that holds whatever tables the zap leaves: at most 2 * (levels
 * - 1).
 */
unsigned table_mark_cost(uint64_t start, uint64_t end);
void table_mark(struct page_tables *tables, uint64_t start, uint64_t end, unsigned marks,
		struct table_reserve *reserve);
/* Makes guard markers absent; everything else stays. */
void table_unguard(struct page_tables *tables, uint64_t start, uint64_t end, struct gather *gather);

/*
 * Write protection by userfaultfd (UFFDIO_WRITEPROTECT).  Protects every leaf, cutting those that reach
 * over an edge, and with `unpopulated` leaves a marker on what is absent.
 */
unsigned table_write_protect_cost(struct page_tables *tables, uint64_t start, uint64_t end,
				  bool unpopulated);
void table_write_protect(struct page_tables *tables, uint64_t start, uint64_t end, bool unpopulated,
			 struct table_reserve *reserve, struct gather *gather);
/*
 * Takes the protection away; leaves get back what `allow` and their page permit.  Cut the edges
 * first.
 */
void table_write_release(struct page_tables *tables, uint64_t start, uint64_t end,
			 struct table_permissions allow, struct gather *gather);

/*
 * The same for memory that has never been registered at its place, after a fork or move: guard and
 * poison markers forget it too.
 */
void table_write_forget(struct page_tables *tables, uint64_t start, uint64_t end,
			struct table_permissions allow, struct gather *gather);
/* Takes write permission from every leaf: the next write faults. */
void table_forbid_write(struct page_tables *tables, uint64_t start, uint64_t end,
			struct gather *gather);
/*
 * Protection that lay dormant is in force again: protected leaves that have become writable
 * meanwhile lose that.
 */
void table_write_revive(struct page_tables *tables, uint64_t start, uint64_t end,
			struct gather *gather);

/* MADV_COLD and FREE. */
enum table_aging {
	TABLE_COLD,	/* old, unless another entry maps the page, too */
	TABLE_LAZYFREE, /* old and clean, and the content may be dropped while it stays so */
};
void table_age(struct page_tables *tables, uint64_t start, uint64_t end, enum table_aging aging,
	       struct gather *gather);

/*
 * What reclaim does to one page, if its leaf maps `frame`.
 * table_old(): makes the leaf old; whether it was already, or there is none.
 * table_swap_out(): puts a swap entry for `slot`, which gets one count more, in its place.
 * table_unmap(): takes it out, and leaves `marks`; if it `protects`, protection stays as a marker.
 * table_drop_clean(): takes it out unless the page was written to.
 */
/* References to up to `room` pages of [*start, end), or, with `alone`, of those that one entry alone
 * maps; *start: how far.  Lock for reading at least. */
unsigned table_collect(struct page_tables *tables, uint64_t *start, uint64_t end, bool alone,
		       struct folio **folios, unsigned room);
bool table_old(struct page_tables *tables, uint64_t page, const struct folio *folio);
void table_swap_out(struct page_tables *tables, uint64_t page, struct folio *folio, uint64_t slot,
		    struct gather *gather);
void table_unmap(struct page_tables *tables, uint64_t page, struct folio *folio, unsigned marks,
		 bool protects, struct gather *gather);
void table_drop_clean(struct page_tables *tables, uint64_t page, struct folio *folio,
		      struct gather *gather);

/*
 * Migration of one page: begin makes the leaf that maps `frame`, if there is one, a *migration
 * entry*, which is a leaf like another to all range operations, but lets no access through; whether
 * there was one.  end makes it a leaf again, of `target`, which may be the same frame.
 */
bool table_migrate_begin(struct page_tables *tables, uint64_t page, const struct folio *folio,
			 struct gather *gather);
void table_migrate_end(struct page_tables *tables, uint64_t page, struct folio *folio,
		       struct folio *target, struct gather *gather);

/*
 * Moves the entries of [from, from + length) to [to, ...), which is absent throughout and does not
 * overlap.  Whole tables and leaves are moved where both ends are aligned alike; else leaves are cut, or
 * (`drop`) go: memory that is mapped by leaves of one size only.
 */
unsigned table_move_cost(struct page_tables *tables, uint64_t from, uint64_t to, uint64_t length,
			 bool drop);
void table_move(struct page_tables *tables, uint64_t from, uint64_t to, uint64_t length, bool drop,
		struct table_reserve *reserve, struct gather *gather);
/*
 * The same for one page that has an entry, and cannot be reached at either place until the caller has
 * flushed and called table_move_end() for where it has gone: it is a migration entry for that time.
 * The space's lock is held for writing all the while.
 */
void table_move_page(struct page_tables *tables, uint64_t from, uint64_t to,
		     struct table_reserve *reserve, struct gather *gather);
void table_move_end(struct page_tables *tables, uint64_t start, uint64_t end);

/*
 * fork: copies the entries of one VMA from `parent` to the same addresses of `child`, which are
 * absent.  In a private one writable and exclusive leaves lose both in the parent, but for pages
 * that are pinned: the parent keeps those, and the child gets copies, on frames of the reserve.  Both
 * locks are held for writing.
 * table_count_pinned(): how many pages of a private VMA are pinned; they don't become more meanwhile.
 */
unsigned table_count_pinned(struct page_tables *tables, uint64_t start, uint64_t end);
void table_copy(struct page_tables *parent, struct page_tables *child, uint64_t start, uint64_t end,
		bool shared, struct table_reserve *reserve, struct gather *gather);

/*
 * Faults.  The space's lock is held for reading.
 *
 * table_probe(): what stands at a page now, by a walk without locks: a snapshot.  An entry of `level`
 * stands there: table_install() links level - leaf->level tables to put in a leaf.
 */
struct table_snapshot {
	uint64_t entry; /* opaque */
	enum { TABLE_ABSENT, TABLE_LEAF, TABLE_MARKER, TABLE_SWAP } kind;
	unsigned level;
	unsigned marks; /* MARK_*, of a marker */
	bool accessible, writable, executable, exclusive, uffd_wp;
	bool migrating;	     /* the leaf is a migration entry: wait, and look again */
	struct folio *folio; /* of a leaf; NULL: the zero page's, or a device's */
	struct page page;    /* of a leaf: where the bytes are */
	bool zero;	     /* that is the zero page */
	uint64_t slot;	     /* of a swap entry */
};
void table_probe(struct page_tables *tables, uint64_t page, struct table_snapshot *snapshot);

/* What table_install() puts in the place of the snapshot; a page of an object only as long as it is
 * in the object's cache. */
struct table_leaf {
	/* one mapping of it becomes the entry's; NULL: the zero page, or a device's leaf, of which `page`
	 * is the first page */
	struct folio *folio;
	bool device;
	struct page page;
	unsigned level;
	struct table_permissions allow;
	bool exclusive;
	bool dirty;
	bool uffd_wp;
	bool old; /* nobody has used it yet */
	/* Called with the table locked before the leaf is put in; false: it is not.  Or NULL. */
	bool (*publish)(void *context);
	void *context;
};
/* One count more of the slot of the swap entry that `snapshot` saw, if it still stands there. */
bool table_hold_slot(struct page_tables *tables, uint64_t page,
		     const struct table_snapshot *snapshot);
/*
 * Replaces what `snapshot` saw by a leaf of leaf->level, if it still stands there, at that level or above;
 * tables are taken from the reserve, and what reaches beyond the leaf gives way to them.  Whether it did. What was replaced goes to the gather.
 */
bool table_install(struct page_tables *tables, uint64_t page, const struct table_snapshot *snapshot,
		   const struct table_leaf *leaf, struct table_reserve *reserve,
		   struct gather *gather);
/*
 * Puts leaves where nothing stands: of frames[i] at the i-th page of `count` from `page` on, inside
 * one table; tables are taken from the reserve.  A reference to each frame that came to stand there
 * has become a mapping, and frames[i] is NULL then.
 */
void table_install_around(struct page_tables *tables, uint64_t page, unsigned count,
			  struct folio **folios, struct table_leaf leaf,
			  struct table_reserve *reserve);
/*
 * Copy-on-write, without a copy if that can be: if the leaf of `snapshot` still stands, and is
 * exclusive or its frame has no other holder, makes it exclusive, and for a write writable, young
 * and dirty.  If it must be copied, takes a reference to its frame for that time.
 * table_write_shared(): the same for a shared mapping, where there is nothing to copy.
 */
enum table_reuse { TABLE_REUSED, TABLE_MUST_COPY, TABLE_CHANGED };
enum table_reuse table_reuse(struct page_tables *tables, uint64_t page,
			     const struct table_snapshot *snapshot, bool write,
			     struct table_permissions allow);
void table_write_shared(struct page_tables *tables, uint64_t page,
			const struct table_snapshot *snapshot);
/* What the hardware sets for an access that the leaf of `snapshot` lets through, if it still stands. */
void table_use_page(struct page_tables *tables, uint64_t page,
		    const struct table_snapshot *snapshot, bool write);
/*
 * Takes the protection from the leaf of `snapshot`, as table_write_release(), if it still stands: from
 * the part of it of `level`, for which it is cut with snapshot->level - level tables.
 */
void table_release_page(struct page_tables *tables, uint64_t page,
			const struct table_snapshot *snapshot, unsigned level,
			struct table_permissions allow, struct table_reserve *reserve);

/* What for a page is held. */
enum table_use {
	TABLE_READ,
	TABLE_READ_OWN, /* it is this entry's alone, or the zero page */
	TABLE_WRITE,	/* now: the entry is dirty then, and the page too if the entry was clean */
	TABLE_WRITABLE, /* at any time */
};

/*
 * Holds what `page` maps, if its leaf is fit for the use; else false.  The folio is held once more by
 * `what`, as of folio_hold(); NULL: the zero page or a device's, which nobody holds.  It is not young for
 * that: the process has not used the entry.
 */
struct table_held {
	struct folio *folio;
	struct page page; /* where the bytes are */
	uint64_t end;	  /* address: of what the leaf maps */
};
bool table_hold_page(struct page_tables *tables, uint64_t page, enum table_use use, uint64_t what,
		     struct table_held *held);

/* What the hardware's walker does for a user access; see quire_translate_from().  No lock. */
bool table_translate(struct page_tables *tables, uint64_t address, enum quire_access access,
		     struct quire_walk *walk, struct quire_translation *translation);

/*
 * Reports.  The space's lock is held at least for reading.
 *
 * A run is a stretch of equal entries: all absent, markers with the same marks, or leaves that
 * agree in every bit and whose frames (if any) follow one another by number.  Runs end where the
 * level changes, and at the end of the range.
 */
struct table_run {
	uint64_t start, end;
	unsigned level;
	enum quire_entry_kind kind; /* not PARKED */
	bool writable, user, exec, dirty, young, uffd_wp, soft_dirty, special, exclusive;
	bool readable, evicted;
	bool shadow_stack; /* has the encoding that only those may have */
	bool counted;	   /* leaves of folios: run_folio(); else `special`: of the zero page, or */
	bool device;
	uint64_t
		number; /* hardware number of the first frame, for leaves; the first slot, of swap */
};
/* The folio that the i-th page of a run of leaves is of; NULL: the run is not counted. */
static inline struct folio *run_folio(struct quire_machine *machine, const struct table_run *run,
				      uint64_t i)
{
	return run->counted ? folio_at(machine, run->number + i) : NULL;
}
/* Whether pages are there: a migration entry's is, too. */
static inline bool run_maps(const struct table_run *run)
{
	return run->kind == QUIRE_ENTRY_LEAF || run->kind == QUIRE_ENTRY_MIGRATION;
}
/* The run that begins at `start`; it ends at `end` at the latest.  single: do not look beyond the
 * first entry. */
void table_run(struct page_tables *tables, uint64_t start, uint64_t end, bool single,
	       struct table_run *run);

/* Bytes that an entry of `level` translates. */
uint64_t table_span(unsigned level);

/* Tables and markers of the space by level; the sum of what table_run's walk would meet. */
void table_count(struct page_tables *tables, struct quire_tables_report *report);

/*
 * The checker's view of the tables: counters of each table against its entries, no empty table, no
 * forbidden encoding, no frame that is not the machine's.  Tables on the way to the range are taken
 * in where the walk stops in them.
 */
typedef void table_violation(void *context, const char *what, uint64_t address);
void table_check(struct page_tables *tables, uint64_t start, uint64_t end,
		 table_violation *violation, void *context);

#endif
