/* SPDX-License-Identifier: MIT */
#include "judge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

#define PROCESSES 4
#define PLACES	  (PAGES + 4)

static const char *const process_names[PROCESSES] = {"parent", "child", "child made by a",
						     "child made by b"};
static const char *const kind_names[ITEM_KINDS] = {
	[ITEM_RESULT] = "result",     [ITEM_VALUE] = "value", [ITEM_SLEEP] = "asleep",
	[ITEM_MESSAGE] = "message",   [ITEM_VMA] = "vma",     [ITEM_PROTECTION] = "protection",
	[ITEM_RESIDENCY] = "pagemap", [ITEM_LOAD] = "load",   [ITEM_STORE] = "store",
	[ITEM_AFTER] = "load after",  [ITEM_FILE] = "file",
};

static void add(struct outcome *outcome, enum item_kind kind, unsigned who, unsigned place,
		uint64_t value)
{
	must(outcome->count < ITEMS_MAX);
	outcome->item[outcome->count++] =
		(struct item){(uint8_t)kind, (uint8_t)who, (uint8_t)place, value};
}

static struct quire_space *process(const struct world *world, unsigned number)
{
	return number < 2 ? world->space[number] : world->actor[number - 2].made;
}

static uint64_t place(const struct world *world, unsigned number)
{
	const uint64_t others[] = {SOURCE, HOLE, ELSEWHERE, ELSEWHERE + world->page[TARGET] - BASE};

	return number < PAGES ? world->page[number] : others[number - PAGES];
}

/* --- what must hold --- */

static void note_fault(struct outcome *outcome, const char *text)
{
	if (!outcome->fault[0])
		snprintf(outcome->fault, sizeof(outcome->fault), "%s", text);
}

static void append(void *context, const char *bytes, size_t length)
{
	char *text = context;
	size_t used = strlen(text);
	size_t room = sizeof(((struct outcome *)0)->fault) - 1 - used;

	length = length < room ? length : room;
	for (size_t i = 0; i < length; i++)
		text[used + i] = bytes[i] == '\n' ? ';' : bytes[i];
	text[used + length] = 0;
}

static void check(struct world *world, struct outcome *outcome)
{
	struct quire_text text = {.emit = append, .context = outcome->fault};
	char excess[128];

	if (outcome->fault[0] || outcome->checked)
		return;
	outcome->checked = true;
	if (quire_check(world->machine, &text) && !outcome->fault[0])
		note_fault(outcome, "the checker finds a fault and does not say which");
	for (unsigned i = 0; i < soft_machine_cpus(world->soft); i++)
		if (!soft_tlb_check(soft_machine_cpu(world->soft, i), excess, sizeof(excess)))
			note_fault(outcome, excess);
	if (store_misused())
		note_fault(outcome, store_misused());
}

/* --- reports --- */

static int by_value(const void *a, const void *b)
{
	const struct item *left = a, *right = b;

	return (left->value > right->value) - (left->value < right->value);
}

/* Reads all there is; whether there was any. */
static bool receive(struct world *world, struct quire_userfault *context, unsigned who,
		    struct outcome *outcome)
{
	struct quire_uffd_msg message;
	struct quire_userfault *child;
	bool any = false;

	while (context && !quire_userfault_read(context, &message, &child)) {
		add(outcome, ITEM_MESSAGE, who, 0, pack_message(&message));
		keep_child(world, child);
		any = true;
	}
	return any;
}

static bool receive_all(struct world *world, struct outcome *outcome)
{
	bool any = receive(world, world->context, 0, outcome);

	for (unsigned i = 0; i < world->child_count; i++)
		any |= receive(world, world->children[i], i + 1, outcome);
	return any;
}

static void wake_everyone(struct quire_userfault *context)
{
	struct quire_uffdio_range all = {PAGE, ELSEWHERE * 2};

	quire_userfault_ioctl(context, QUIRE_UFFDIO_WAKE, &all, NULL);
}

/* A handler's answer to the fault that the actor sleeps over. */
static void answer(struct actor *actor)
{
	struct quire_userfault *context = actor->thread.context;
	struct quire_uffd_msg message = actor->thread.message;

	if (!context || message.event != QUIRE_UFFD_EVENT_PAGEFAULT)
		return;
	answer_fault(context, &message);
	wake_everyone(context);
}

/* Until both are done.  What they sleep over first is noted, whoever may have read it. */
static void settle(struct world *world, struct schedule *schedule, struct outcome *outcome)
{
	unsigned first = outcome->count, rounds = 0;

	for (unsigned i = 0; i < ACTORS; i++)
		add(outcome, ITEM_SLEEP, i, 0,
		    schedule->task[i].done ? 0 : pack_message(&world->actor[i].thread.message));
	first = outcome->count;
	while (!schedule->task[0].done || !schedule->task[1].done) {
		if (++rounds > 16)
			schedule->fault("a thread sleeps for ever");
		if (!receive_all(world, outcome))
			for (unsigned i = 0; i < ACTORS; i++)
				if (!schedule->task[i].done)
					answer(&world->actor[i]);
		schedule_go_on(schedule);
	}
	receive_all(world, outcome);
	qsort(outcome->item + first, outcome->count - first, sizeof(struct item), by_value);
	for (unsigned i = first; i < outcome->count; i++)
		outcome->item[i].place = (uint8_t)(i - first);
}

/* --- processes --- */

static void look_at_vmas(struct world *world, unsigned number, struct outcome *outcome)
{
	struct quire_vma_report vma;
	uint64_t from = 0;

	for (unsigned i = 0; !quire_vma(process(world, number), from, &vma); i++, from = vma.end) {
		uint64_t letters = 0;

		for (const char *c = vma.flags; *c; c++)
			letters = letters * 31 + (unsigned char)*c;
		add(outcome, ITEM_VMA, number, i,
		    vma.start << 28 | (vma.end - vma.start) << 16 | (letters & 0xffff) << 8 |
			    (uint64_t)vma.shared << 4 | vma.prot);
	}
}

static void look_at_pagemap(struct world *world, unsigned number, struct outcome *outcome)
{
	const uint64_t protection = QUIRE_PAGEMAP_UFFD_WP | QUIRE_PAGEMAP_GUARD;
	uint64_t word;

	for (unsigned i = 0; i < PLACES; i++) {
		must(!quire_pagemap(process(world, number), place(world, i), 1, &word));
		add(outcome, ITEM_PROTECTION, number, i, word & protection);
		add(outcome, ITEM_RESIDENCY, number, i, word & ~protection);
	}
}

/* A page's word, or what came instead. */
static uint64_t told(struct world *world, struct quire_thread *thread, struct soft_result result,
		     uint64_t value)
{
	uint64_t message;

	if (result.outcome == QUIRE_DONE)
		return value;
	if (result.outcome != QUIRE_BLOCKED)
		return (uint64_t)(-1000 * (int64_t)result.outcome - result.code);
	message = pack_message(&thread->message);
	quire_thread_interrupt(world->machine, thread, false);
	return message;
}

static void access_all(struct world *world, enum item_kind kind, struct outcome *outcome)
{
	struct quire_thread thread = {.id = 99, .nowait = true};

	soft_thread_use(&thread);
	for (unsigned number = 0; number < PROCESSES; number++) {
		if (!process(world, number))
			continue;
		soft_cpu_enter(world->judge, process(world, number));
		for (unsigned i = 0; i < PLACES; i++) {
			uint64_t value = 0;
			struct soft_result result =
				kind == ITEM_STORE
					? soft_store64(world->judge, place(world, i),
						       VALUE_JUDGE + 0x10 * number + i)
					: soft_load64(world->judge, place(world, i), &value);

			add(outcome, kind, number, i, told(world, &thread, result, value));
		}
	}
	soft_thread_use(NULL);
}

static void look_at_file(struct world *world, unsigned when, struct outcome *outcome)
{
	size_t done;

	if (!world->object)
		return;
	add(outcome, ITEM_FILE, when, PAGES, quire_object_size(world->object));
	for (unsigned i = 0; i < PAGES; i++) {
		uint64_t word = 0;

		quire_object_read(world->object, world->page[i] - BASE, &word, sizeof(word), &done);
		add(outcome, ITEM_FILE, when, i, word);
	}
}

void judge_look(struct world *world, struct schedule *schedule, struct outcome *outcome)
{
	outcome->count = 0;
	outcome->fault[0] = 0;
	outcome->checked = false;
	/* Who sleeps over a copy's source holds a page that nobody else knows. */
	if (schedule->task[0].done && schedule->task[1].done)
		check(world, outcome);
	settle(world, schedule, outcome);
	check(world, outcome);
	for (unsigned i = 0; i < ACTORS; i++) {
		add(outcome, ITEM_RESULT, i, 0, (uint64_t)world->actor[i].result);
		add(outcome, ITEM_VALUE, i, 0, world->actor[i].value);
	}
	for (unsigned i = 0; i < PROCESSES; i++)
		if (process(world, i)) {
			look_at_vmas(world, i, outcome);
			look_at_pagemap(world, i, outcome);
		}
	look_at_file(world, 0, outcome);
	access_all(world, ITEM_LOAD, outcome);
	access_all(world, ITEM_STORE, outcome);
	access_all(world, ITEM_AFTER, outcome);
	look_at_file(world, 1, outcome);
}

void judge_close(struct world *world, struct outcome *outcome)
{
	if (world_close(world))
		note_fault(outcome, "frames are missing in the end");
}

/* --- may it be? --- */

static bool same_item(const struct item *a, const struct item *b)
{
	return a->kind == b->kind && a->who == b->who && a->place == b->place &&
	       a->value == b->value;
}

static bool has(const struct outcome *outcome, const struct item *item)
{
	for (unsigned i = 0; i < outcome->count; i++)
		if (same_item(&outcome->item[i], item))
			return true;
	return false;
}

static bool in_any(const struct orders *orders, const struct item *item)
{
	for (unsigned i = 0; i < orders->count; i++)
		if (has(&orders->outcome[i], item))
			return true;
	return false;
}

static bool excuses(const struct exception *exception, const struct item *item,
		    const struct orders *orders)
{
	unsigned kind = 1u << item->kind;

	if ((exception->free & kind) || ((exception->mixed & kind) && in_any(orders, item)))
		return true;
	return exception->result && item->kind <= ITEM_VALUE &&
	       item->value == (uint64_t)exception->result;
}

static bool excused(const struct exception *const *list, const struct item *item,
		    const struct orders *orders)
{
	for (; *list; list++)
		if (excuses(*list, item, orders))
			return true;
	return false;
}

/* What the order has may be missing. */
static bool dropped(const struct exception *const *list, const struct item *item)
{
	for (; *list; list++)
		if ((((*list)->free | (*list)->mixed) >> item->kind & 1) ||
		    ((*list)->result && item->kind <= ITEM_VALUE))
			return true;
	return false;
}

static bool is_like(const struct outcome *seen, const struct outcome *order,
		    const struct orders *orders, const struct exception *const *list)
{

	for (unsigned i = 0; i < seen->count; i++)
		if (!has(order, &seen->item[i]) && !excused(list, &seen->item[i], orders))
			return false;
	for (unsigned i = 0; i < order->count; i++)
		if (!has(seen, &order->item[i]) && !dropped(list, &order->item[i]))
			return false;
	return true;
}

static bool is_like_any(const struct outcome *seen, const struct orders *orders,
			const struct exception *const *list)
{
	for (unsigned i = 0; i < orders->count; i++)
		if (is_like(seen, &orders->outcome[i], orders, list))
			return true;
	return false;
}

static bool equal(const struct outcome *a, const struct outcome *b)
{
	if (a->count != b->count)
		return false;
	for (unsigned i = 0; i < a->count; i++)
		if (!same_item(&a->item[i], &b->item[i]))
			return false;
	return true;
}

static bool is_order(const struct outcome *seen, const struct orders *orders)
{
	for (unsigned i = 0; i < orders->count; i++)
		if (equal(seen, &orders->outcome[i]))
			return true;
	return false;
}

void orders_add(struct orders *orders, const struct outcome *outcome)
{
	if (is_order(outcome, orders))
		return;
	must(orders->count < ORDERS_MAX);
	orders->outcome[orders->count++] = *outcome;
}

int judge_allows(const struct world *world, const struct outcome *seen, const struct orders *orders)
{
	const struct operation *a = world->actor[0].operation, *b = world->actor[1].operation;
	const struct exception *list[EXCEPTIONS_MAX + 1], *alone[2] = {0};
	unsigned count = 0;

	if (is_order(seen, orders))
		return AS_SERIAL;
	for (unsigned i = 0; i < exception_count; i++)
		if (exceptions[i].applies(world, a, b) || exceptions[i].applies(world, b, a))
			list[count++] = &exceptions[i];
	list[count] = NULL;
	for (unsigned i = 0; i < count; i++) {
		alone[0] = list[i];
		if (is_like_any(seen, orders, alone))
			return (int)(list[i] - exceptions);
	}
	if (!count || !is_like_any(seen, orders, list))
		return NOT_ALLOWED;
	return (int)(list[count - 1] - exceptions);
}

/* --- in words --- */

static const struct item *item_like(const struct outcome *outcome, const struct item *item)
{
	for (unsigned i = 0; i < outcome->count; i++) {
		const struct item *candidate = &outcome->item[i];

		if (candidate->kind == item->kind && candidate->who == item->who &&
		    candidate->place == item->place)
			return candidate;
	}
	return NULL;
}

static void print_value(const struct outcome *outcome, const struct item *item)
{
	const struct item *found = item_like(outcome, item);

	if (!found)
		printf(" -");
	else if (found->kind == ITEM_RESULT ||
		 (found->kind >= ITEM_LOAD && (int64_t)found->value < 0))
		printf(" %" PRId64, (int64_t)found->value);
	else
		printf(" %#" PRIx64, found->value);
}

static void print_name(const struct item *item)
{
	static const char *const page_names[PLACES] = {"page 0",    "page 1",	  "page 2",
						       "page 3",    "source",	  "hole",
						       "elsewhere", "elsewhere 1"};

	printf("   %s", kind_names[item->kind]);
	if (item->kind <= ITEM_SLEEP)
		printf(" of %c", 'a' + item->who);
	else if (item->kind == ITEM_FILE)
		printf(" %s stores", item->who ? "after" : "before");
	else if (item->kind != ITEM_MESSAGE)
		printf(" of %s", process_names[item->who]);
	if (item->kind == ITEM_MESSAGE || item->kind == ITEM_VMA)
		printf(" %u", item->place);
	else if (item->kind > ITEM_VMA)
		printf(" %s", page_names[item->place]);
	printf(":");
}

static bool agreed(const struct orders *orders, const struct item *item)
{
	for (unsigned i = 0; i < orders->count; i++)
		if (!has(&orders->outcome[i], item))
			return false;
	return true;
}

void judge_explain(const struct outcome *seen, const struct orders *orders)
{
	static struct outcome told;

	told.count = 0;
	for (unsigned o = 0; o <= orders->count; o++) {
		const struct outcome *outcome = o ? &orders->outcome[o - 1] : seen;

		for (unsigned i = 0; i < outcome->count; i++) {
			const struct item *item = &outcome->item[i];

			if (item_like(&told, item) || (has(seen, item) && agreed(orders, item)))
				continue;
			if (told.count < ITEMS_MAX)
				told.item[told.count++] = *item;
			print_name(item);
			print_value(seen, item);
			printf("; in order:");
			for (unsigned p = 0; p < orders->count; p++)
				print_value(&orders->outcome[p], item);
			printf("\n");
		}
	}
}
