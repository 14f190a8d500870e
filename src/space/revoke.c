/* SPDX-License-Identifier: MIT */
/*
 * Taking a device's pages out of the mappings: revoke; truncation and holes of FSDAX.
 *
 *	1. what the device has answered so far does not count any more (object->generation), and faults
 *	   on pages that are going wait
 *	2. every mapping lets go of its leaves
 *	3. the device has the pages no more, and what it has answered meanwhile does not count either
 *
 * A fault installs what was answered with its space's lock held for reading, if the generation is
 * still the same: so either it is done when 2 comes by, or it asks again.  All of it happens with
 * object->changing held for writing, beside no other change.
 *
 * What must be asked of the device, where the bytes of the page at an edge are, is asked before that,
 * with no lock held, and again if the answer is not true any more.
 */
#include "space/rmap.h"

#define ALL_PAGES (UINT64_MAX >> PAGE_SHIFT)

/* Nothing that the device has answered so far counts any more. */
static void distrust(struct quire_object *object)
{
	atomic_fetch_add_explicit(&object->generation, 1, memory_order_acq_rel);
}

/* No mapping has what was answered for pages [first, end) any more. */
static void let_go(struct quire_object *object, uint64_t first, uint64_t end, unsigned keep)
{
	distrust(object);
	rmap_zap(object, first, end, keep);
}

void quire_device_revoke(struct quire_object *object, uint64_t offset, uint64_t length)
{
	uint64_t end = length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
	void *host = object->machine->host;

	quire_port_write_lock(host, &object->changing);
	let_go(object, offset >> PAGE_SHIFT, (end >> PAGE_SHIFT) + !page_aligned(end), PUNCH_KEEPS);
	quire_port_write_unlock(host, &object->changing);
}

/* The part of a page that becomes zeros; empty: nothing. */
struct edge {
	struct device_answer answer;
	uint64_t start, end; /* bytes in it */
};

static int ask_edge(struct quire_object *object, struct edge *edge)
{
	edge->answer.write = true;
	return edge->start < edge->end ? device_ask(object, &edge->answer) : 0;
}

static bool edge_true(const struct quire_object *object, const struct edge *edge)
{
	return edge->start >= edge->end || device_answer_true(object, &edge->answer);
}

static void clear_edge(struct quire_object *object, const struct edge *edge)
{
	if (edge->start < edge->end)
		memset((char *)page_memory(object->machine, device_answer_page(&edge->answer)) +
			       edge->start,
		       0, edge->end - edge->start);
}

/* Asks for both edges, and takes the lock for changes when what was said is true. */
static int ask_and_lock(struct quire_object *object, struct edge *front, struct edge *back)
{
	void *host = object->machine->host;

	for (;;) {
		int error = ask_edge(object, front);

		if (!error)
			error = ask_edge(object, back);
		if (error)
			return error;
		quire_port_write_lock(host, &object->changing);
		if (edge_true(object, front) && edge_true(object, back))
			return 0;
		quire_port_write_unlock(host, &object->changing);
	}
}

/* Pages [first, end) go, and the device hears of those before `known`. */
static void remove_pages(struct quire_object *object, uint64_t first, uint64_t end, uint64_t known,
			 unsigned keep)
{
	object_set_leaving(object, first, end);
	let_go(object, first, end, keep);
	if (first < known)
		object->device->discard(object->context, first, known - first);
	/* Who was not made to wait yet may have asked meanwhile, before the device knew. */
	distrust(object);
	object_set_leaving(object, 0, 0);
}

static void set_size(struct quire_object *object, uint64_t size)
{
	object_lock(object);
	object->size = size;
	object_unlock(object);
}

int device_truncate(struct quire_object *object, uint64_t size)
{
	struct edge tail = {.answer = {.index = size >> PAGE_SHIFT}, .start = size % PAGE_SIZE};
	struct edge none = {0};
	uint64_t was;

	for (;;) {
		int error;

		was = quire_object_size(object);
		if (size < was && !object->device->discard)
			return -QUIRE_EOPNOTSUPP;
		tail.end = size < was && tail.start ? PAGE_SIZE : 0;
		error = ask_and_lock(object, &tail, &none);
		if (error)
			return error;
		if (quire_object_size(object) == was)
			break;
		quire_port_write_unlock(object->machine->host, &object->changing);
	}
	set_size(object, size);
	if (size < was)
		remove_pages(object, page_up(size) >> PAGE_SHIFT, ALL_PAGES,
			     page_up(was) >> PAGE_SHIFT, TRUNCATE_KEEPS);
	clear_edge(object, &tail);
	quire_port_write_unlock(object->machine->host, &object->changing);
	return 0;
}

int device_punch(struct quire_object *object, uint64_t start, uint64_t end)
{
	uint64_t first, last, size = page_up(quire_object_size(object));
	struct edge front = {.answer = {.index = start >> PAGE_SHIFT}}, back = {0};
	int error;

	if (!object->device->discard)
		return -QUIRE_EOPNOTSUPP;
	/* Behind the end there is nothing. */
	end = min_u64(end, size);
	if (start >= end)
		return 0;
	first = page_up(start);
	last = page_down(end);
	/* `first` lies behind `last` where all is inside one page. */
	if (start < first) {
		front.start = start % PAGE_SIZE;
		front.end = first <= last ? PAGE_SIZE : end % PAGE_SIZE;
	}
	back.answer.index = end >> PAGE_SHIFT;
	if (first <= last)
		back.end = end % PAGE_SIZE;
	error = ask_and_lock(object, &front, &back);
	if (error)
		return error;
	clear_edge(object, &front);
	clear_edge(object, &back);
	if (first < last)
		remove_pages(object, first >> PAGE_SHIFT, last >> PAGE_SHIFT, last >> PAGE_SHIFT,
			     PUNCH_KEEPS);
	quire_port_write_unlock(object->machine->host, &object->changing);
	return 0;
}
