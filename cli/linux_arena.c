/* SPDX-License-Identifier: MIT */
/*
 * The address space of an agent.
 *
 * A script must find the same clean space on every run: its first mapping without a hint ends at
 * WINDOW_TOP, the next lies below, as in a fresh process whose mmap base is WINDOW_TOP.  The agent
 * runs without address randomisation, so what the kernel and the loader mapped for it lies just
 * below the real mmap base, far above.  We map all that the agent will ever need there too, and
 * fence off what is left:
 *
 *	low						WINDOW_TOP			USER_END
 *	 .... fence executable heap fence ....  <- script   gap   keeper  fences and own memory
 *
 * A fence is a PROT_NONE mapping of the mailbox file, which merges with nothing of the script's.
 *
 * The gap makes that the end of the window looks like the end of memory: an access there finds no
 * mapping.  What keeps it free is that the kernel places nothing within its stack guard gap, 1M,
 * below a mapping that grows down.  The keeper is one, and is larger than the stack limit, so that
 * it never grows.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "linux_agent_internal.h"

#define KEEPER_SIZE (UINT64_C(64) << 20)
#define MAPS_MAX    (64u << 10)

static int fence_file;

static bool map_own(uint64_t address, uint64_t length, int prot, int flags, int file)
{
	return mmap((void *)address, length, prot, flags | MAP_FIXED_NOREPLACE | MAP_NORESERVE,
		    file, 0) == (void *)address;
}

static bool fence(uint64_t start, uint64_t end)
{
	return start >= end || map_own(start, end - start, PROT_NONE, MAP_SHARED, fence_file);
}

/* Reads /proc/self/maps as a string, without malloc. */
static bool read_maps(char *maps, size_t size)
{
	int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t n = -1;

	while (length < size - 1 && (n = read(file, maps + length, size - 1 - length)) > 0)
		length += (size_t)n;
	close(file);
	maps[length] = 0;
	return n == 0;
}

/* Takes the range off the front of a line of maps; moves *maps to the next. */
static bool next_range(char **maps, uint64_t *start, uint64_t *end)
{
	char *c = *maps;

	if (!*c)
		return false;
	*start = strtoul(c, &c, 16);
	*end = strtoul(c + 1, &c, 16);
	while (*c && *c++ != '\n')
		;
	*maps = c;
	return true;
}

/* Fences what is free above the window, and the pages next to what the agent has below. */
static bool fence_all(void)
{
	static char buffer[MAPS_MAX];
	char *maps = buffer;
	uint64_t start, end, low_end = 0, high_end = OWN_START;

	if (!read_maps(buffer, sizeof(buffer)))
		return false;
	while (next_range(&maps, &start, &end)) {
		if (start >= USER_END) /* vsyscall */
			break;
		if (start >= OWN_START) {
			if (!fence(high_end, start))
				return false;
			high_end = end;
		} else if (start != low_end) {
			if ((low_end && !fence(low_end, low_end + PAGE_SIZE)) ||
			    !fence(start - PAGE_SIZE, start))
				return false;
		}
		if (end <= WINDOW_TOP)
			low_end = end;
	}
	return fence(low_end, low_end + PAGE_SIZE) && fence(high_end, USER_END);
}

/* Is a mapping without a hint placed where it should be? */
static bool window_is_clean(void)
{
	void *expected = (void *)(WINDOW_TOP - PAGE_SIZE);
	void *page = mmap(NULL, PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page != MAP_FAILED)
		munmap(page, PAGE_SIZE);
	return page == expected;
}

const char *arena_set_up(int mailbox)
{
	const int private = MAP_PRIVATE | MAP_ANONYMOUS;

	fence_file = mailbox;
	if (!map_own(OWN_START, KEEPER_SIZE, PROT_NONE, private | MAP_GROWSDOWN, -1) ||
	    !map_own(MAILBOX_BASE, AGENT_SLOTS * sizeof(struct agent_slot), PROT_READ | PROT_WRITE,
		     MAP_SHARED, mailbox) ||
	    !map_own(THREADS_BASE, AGENT_THREADS * THREAD_SIZE, PROT_READ | PROT_WRITE, private,
		     -1))
		return "no room for the agent's own memory";
	if (!fence_all())
		return "can't fence the agent's own memory";
	if (!window_is_clean())
		return "the kernel does not map at the top of the window first";
	return NULL;
}
