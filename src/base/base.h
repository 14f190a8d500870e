/* SPDX-License-Identifier: MIT */
/*
 * The ground everything stands on: assertions, bit and address arithmetic, error numbers by their
 * short names, and doubly linked lists.
 */
#ifndef QUIRE_BASE_BASE_H
#define QUIRE_BASE_BASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quire/errno.h>
#include <quire/machine.h>
#include <quire/port.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

/*
 * quire_assert() states what must hold, and is compiled in where QUIRE_ASSERTIONS is 1.  The host
 * pointer is not at hand everywhere, so a panic passes NULL.
 */
#ifndef QUIRE_ASSERTIONS
#define QUIRE_ASSERTIONS 1
#endif
#define quire_assert(condition)                                                                    \
	do {                                                                                       \
		if (QUIRE_ASSERTIONS && !(condition))                                              \
			quire_port_panic(NULL, __FILE__, __LINE__, #condition);                    \
	} while (0)

/*
 * Mistakes put in on purpose, to see that the tests notice them (docs/reliability.md).
 * QUIRE_MISTAKE(NAME) is 1 where the compiler was given -DQUIRE_MISTAKE_NAME=, and 0 anywhere else:
 * that comma moves the 1 to the third place.
 */
#define MISTAKE_THIRD(first, second, third, ...) third
#define MISTAKE_EXPAND(...)			 MISTAKE_THIRD(__VA_ARGS__)
#define QUIRE_MISTAKE(name)			 MISTAKE_EXPAND(QUIRE_MISTAKE_##name, 1, 0, 0)

#define PAGE_SHIFT QUIRE_PAGE_SHIFT
#define PAGE_SIZE  QUIRE_PAGE_SIZE

static inline uint64_t page_down(uint64_t address)
{
	return address & ~(PAGE_SIZE - 1);
}
/* Wraps to 0 for the last page of the 64-bit range. */
static inline uint64_t page_up(uint64_t address)
{
	return (address + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
}
static inline bool page_aligned(uint64_t address)
{
	return (address & (PAGE_SIZE - 1)) == 0;
}
static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}
static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#define container_of(pointer, type, member)                                                        \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* A circular list; the head is a link of its own.  An unlinked link points to itself. */
struct list_link {
	struct list_link *next, *previous;
};

static inline void list_init(struct list_link *link)
{
	link->next = link->previous = link;
}
static inline bool list_empty(const struct list_link *head)
{
	return head->next == head;
}
static inline void list_insert_after(struct list_link *where, struct list_link *link)
{
	link->previous = where;
	link->next = where->next;
	where->next->previous = link;
	where->next = link;
}
static inline void list_remove(struct list_link *link)
{
	link->previous->next = link->next;
	link->next->previous = link->previous;
	list_init(link);
}

#endif
