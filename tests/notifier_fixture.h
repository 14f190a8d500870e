/* SPDX-License-Identifier: MIT */
/*
 * What a notifier is told, judged from outside: before and after a call every page's entry is looked at.
 *
 *	what a page had that it has no more	was told: frame, permissions, dirty
 *	told					its first page and its last have changed
 *	at begin				nothing of the range has changed yet
 *	brackets				begin, end, begin, end, with the same range
 */
#ifndef QUIRE_NOTIFIER_FIXTURE_H
#define QUIRE_NOTIFIER_FIXTURE_H

#include "userfault_fixture.h"
#include <quire/notifier.h>

#define BASE	 ((uint64_t)0x100000000)
#define PAGES	 64
#define BRACKETS (4 * PAGES) /* of one call, at most */

struct heard {
	uint64_t start, end;
	enum quire_notifier_reason why;
};

struct recorder {
	struct quire_space *space;
	struct heard heard[BRACKETS];
	unsigned count;
	bool open, released;
	struct quire_entry_report before[PAGES];
};

static struct soft_fixture fixture;
static struct soft_cpu *cpu;
static struct recorder recorder;
static struct quire_notifier *notifier;

static inline uint64_t at(uint64_t page)
{
	return BASE + page * PAGE;
}

/* Whether what the page granted has been taken away already. */
static inline bool has_lost(const struct recorder *by, uint64_t page)
{
	const struct quire_entry_report *was = &by->before[page];
	struct quire_translation is;

	if (was->kind != QUIRE_ENTRY_LEAF || !was->readable)
		return false;
	return !quire_translate(by->space, at(page), QUIRE_READ, &is) || is.frame != was->frame ||
	       is.writable < (was->writable && was->dirty) || is.executable < was->exec;
}

static inline bool told_already(const struct recorder *by, uint64_t page)
{
	for (unsigned i = 0; i < by->count; i++)
		if (by->heard[i].start <= at(page) && at(page) < by->heard[i].end)
			return true;
	return false;
}

static inline void record_begin(void *context, uint64_t start, uint64_t end,
				enum quire_notifier_reason why)
{
	struct recorder *by = context;

	assert_false(by->open);
	assert_true(start < end && start % PAGE == 0 && end % PAGE == 0);
	for (uint64_t page = 0; page < PAGES; page++)
		if (start <= at(page) && at(page) < end && !told_already(by, page))
			assert_false(has_lost(by, page));
	assert_true(by->count < BRACKETS);
	by->heard[by->count] = (struct heard){start, end, why};
	by->open = true;
}

static inline void record_end(void *context, uint64_t start, uint64_t end,
			      enum quire_notifier_reason why)
{
	struct recorder *by = context;
	const struct heard *last = &by->heard[by->count++];

	assert_true(by->open);
	assert_true(last->start == start && last->end == end && last->why == why);
	by->open = false;
}

static inline void record_release(void *context)
{
	struct recorder *by = context;

	assert_false(by->open);
	by->released = true;
}

static const struct quire_notifier_operations operations = {
	.begin = record_begin, .end = record_end, .release = record_release};

static inline void open_memory(unsigned cpus)
{
	fixture = soft_fixture_open(&(struct soft_config){
		.memory = 16 * MIB, .cpus = cpus, .swap = soft_swap_compressed(1024)});
	cpu = soft_machine_cpu(fixture.machine, cpus - 1);
	soft_cpu_enter(cpu, fixture.space);
	recorder = (struct recorder){.space = fixture.space};
	assert_int_equal(quire_notifier_register(fixture.space, &operations, &recorder, &notifier),
			 0);
}

static inline struct quire_machine *core(void)
{
	return soft_machine_core(fixture.machine);
}

static inline void look(struct quire_entry_report pages[PAGES])
{
	for (uint64_t page = 0; page < PAGES; page++)
		pages[page] = entry_at(fixture.space, at(page));
}

static inline void listen(void)
{
	recorder.count = 0;
	look(recorder.before);
}

static inline bool maps(const struct quire_entry_report *entry)
{
	return entry->kind == QUIRE_ENTRY_LEAF;
}

static inline bool loses(const struct quire_entry_report *a, const struct quire_entry_report *b)
{
	return maps(a) && (!maps(b) || a->frame != b->frame || a->readable > b->readable ||
			   a->writable > b->writable || a->exec > b->exec || a->dirty > b->dirty);
}

static inline bool changes(const struct quire_entry_report *a, const struct quire_entry_report *b)
{
	/* What came in the course of the call may have gone again; the page of zeros may go and come. */
	return loses(a, b) || (!maps(a) && maps(b)) || (a->special && b->special) ||
	       (maps(a) && (a->young > b->young || a->readable != b->readable ||
			    a->writable != b->writable || a->exec != b->exec));
}

/* What was heard since listen() is what has happened; `whys`: a set of reasons that it may have had. */
static inline void judge(const char *what, unsigned whys)
{
	struct quire_entry_report after[PAGES];

	assert_false(recorder.open);
	look(after);
	for (uint64_t page = 0; page < PAGES; page++)
		if (loses(&recorder.before[page], &after[page]) && !told_already(&recorder, page))
			fail_msg("%s: page %u has changed, and nobody was told", what,
				 (unsigned)page);
	for (unsigned i = 0; i < recorder.count; i++) {
		const struct heard *heard = &recorder.heard[i];
		uint64_t first = (heard->start - BASE) / PAGE, last = (heard->end - BASE) / PAGE;

		assert_true(whys >> heard->why & 1);
		assert_true(heard->start >= BASE && last <= PAGES);
		if (!changes(&recorder.before[first], &after[first]) ||
		    !changes(&recorder.before[last - 1], &after[last - 1]))
			fail_msg("%s: pages %u to %u were told (%u), and an edge has not changed",
				 what, (unsigned)first, (unsigned)last, heard->why);
	}
}

#define UNMAP	(1u << QUIRE_NOTIFIER_UNMAP)
#define PROT	(1u << QUIRE_NOTIFIER_PROTECT)
#define CLEAR	(1u << QUIRE_NOTIFIER_CLEAR)
#define MIGRATE (1u << QUIRE_NOTIFIER_MIGRATE)
#define ALL	(UNMAP | PROT | CLEAR | MIGRATE)

#endif
