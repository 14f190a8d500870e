/* SPDX-License-Identifier: MIT */
/* Sorting in guest memory: quicksort, by several threads. */
#include "guest.h"

#include <pthread.h>

#define FEW_RECORDS 32 /* are sorted by insertion */

/* Some of the records, and the CPUs that work on them. */
struct part {
	struct guest *guest;
	uint64_t first, count;
	unsigned first_cpu, cpus;
	struct soft_cpu *cpu; /* entered: the first */
};

static uint64_t get(const struct part *part, uint64_t index)
{
	uint64_t address = part->guest->base + index * RECORD, value = 0;

	must(soft_load64(part->cpu, address, &value).outcome == QUIRE_DONE, "a load");
	return value;
}

static void put(const struct part *part, uint64_t index, uint64_t value)
{
	uint64_t address = part->guest->base + index * RECORD;

	must(soft_store64(part->cpu, address, value).outcome == QUIRE_DONE, "a store");
}

static void enter(struct part *part)
{
	part->cpu = soft_machine_cpu(part->guest->machine, part->first_cpu);
	soft_cpu_enter(part->cpu, part->guest->space);
}

static void leave(struct part *part)
{
	soft_cpu_leave(part->cpu);
}

static struct part all(struct guest *guest)
{
	return (struct part){.guest = guest, .count = guest->records, .cpus = guest->threads};
}

static void count_done(struct guest *guest, uint64_t records)
{
	atomic_fetch_add_explicit(&guest->done, records, memory_order_relaxed);
}

/* --- filling and verifying --- */

/* A number that looks like chance. */
static uint64_t scatter(uint64_t value)
{
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
	value = (value ^ value >> 27) * 0x94d049bb133111eb;
	return value ^ value >> 31;
}

void *guest_fill(void *argument)
{
	struct guest *guest = argument;
	struct part part = all(guest);

	enter(&part);
	for (uint64_t i = 0; i < guest->records; i++) {
		uint64_t value = scatter(guest->seed + i * 0x9e3779b97f4a7c15);

		put(&part, i, value);
		guest->sum[0] += scatter(value);
		count_done(guest, 1);
	}
	leave(&part);
	return NULL;
}

void *guest_verify(void *argument)
{
	struct guest *guest = argument;
	struct part part = all(guest);
	uint64_t before = 0;

	enter(&part);
	guest->sorted = true;
	for (uint64_t i = 0; i < guest->records; i++) {
		uint64_t value = get(&part, i);

		guest->sorted = guest->sorted && before <= value;
		guest->sum[1] += scatter(value);
		before = value;
		count_done(guest, 1);
	}
	leave(&part);
	return NULL;
}

/* --- sorting --- */

static void insertion_sort(const struct part *part)
{
	for (uint64_t i = part->first + 1; i < part->first + part->count; i++) {
		uint64_t value = get(part, i), hole = i, above;

		for (; hole > part->first && (above = get(part, hole - 1)) > value; hole--)
			put(part, hole, above);
		put(part, hole, value);
	}
	count_done(part->guest, part->count);
}

/* Hoare's: nothing in front of the place returned is larger than anything from there on. */
static uint64_t partition(const struct part *part)
{
	uint64_t low = part->first, high = part->first + part->count - 1;
	uint64_t pivot = get(part, low + (high - low) / 2);

	for (;; low++, high--) {
		uint64_t left, right;

		while ((left = get(part, low)) < pivot)
			low++;
		while ((right = get(part, high)) > pivot)
			high--;
		if (low >= high)
			return high + 1;
		put(part, low, right);
		put(part, high, left);
	}
}

/* Leaves in *part what lies in front of the place, and returns the rest. */
static struct part split(struct part *part, uint64_t place)
{
	struct part rest = *part;

	rest.first = place;
	rest.count = part->first + part->count - place;
	part->count -= rest.count;
	return rest;
}

static void quicksort(struct part part)
{
	while (part.count > FEW_RECORDS) {
		struct part rest = split(&part, partition(&part));

		quicksort(rest.count < part.count ? rest : part); /* so that it is not deep */
		part = rest.count < part.count ? part : rest;
	}
	insertion_sort(&part);
}

/* Half of the CPUs sort what lies above the pivot, while the others sort the rest. */
static void *sort(void *argument)
{
	struct part *part = argument, rest;
	pthread_t thread;

	enter(part);
	if (part->cpus == 1 || part->count <= FEW_RECORDS) {
		quicksort(*part);
		leave(part);
		return NULL;
	}
	rest = split(part, partition(part));
	rest.cpus = part->cpus / 2;
	part->cpus -= rest.cpus;
	rest.first_cpu = part->first_cpu + part->cpus;
	must(pthread_create(&thread, NULL, sort, &rest) == 0, "pthread_create");
	sort(part);
	pthread_join(thread, NULL);
	return NULL;
}

void *guest_sort(void *argument)
{
	struct part part = all(argument);

	return sort(&part);
}
