/* SPDX-License-Identifier: MIT */
/* An emulator with one CPU and no TLB embeds Quire: memory, two port functions, and a fault loop.
 */
#include <quire/port.h>
#include <quire/quire.h>

#include <stdio.h>
#include <stdlib.h>

/* The port.  There is no TLB to forget anything; a broken invariant ends the program. */
void quire_port_flush(void *host, const struct quire_flush *flushes, unsigned count)
{
	(void)host, (void)flushes, (void)count;
}
_Noreturn void quire_port_panic(void *host, const char *file, int line, const char *what)
{
	(void)host, fprintf(stderr, "%s:%d: %s\n", file, line, what), abort();
}

/* Where a guest address is in our memory, after whatever faults it takes; NULL: the guest gets a
 * signal. */
static unsigned char *reach(struct quire_space *space, uint64_t address, enum quire_access access)
{
	struct quire_translation found;

	while (!quire_translate(space, address, access, &found))
		if (quire_fault(space, address, access).outcome != QUIRE_DONE)
			return NULL;
	return found.memory + address % QUIRE_PAGE_SIZE;
}

int main(void)
{
	const uint64_t bytes = 16 << 20;
	const struct quire_machine_config config = {.memory = aligned_alloc(4096, bytes),
						    .bytes = bytes};
	struct quire_machine *machine;
	struct quire_space *parent, *child;
	uint64_t page;

	if (!config.memory || quire_machine_create(&config, &machine) ||
	    quire_space_create(machine, &(struct quire_space_config){0}, &parent) ||
	    quire_mmap(parent, 0, 4096, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
		       QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, &page))
		return 1;
	*reach(parent, page, QUIRE_WRITE) = 'p';
	if (quire_fork(parent, &child))
		return 1;
	*reach(child, page, QUIRE_WRITE) = 'c'; /* copy-on-write */
	printf("parent sees %c, child sees %c\n", *reach(parent, page, QUIRE_READ),
	       *reach(child, page, QUIRE_READ));
	quire_mprotect(parent, page, 4096, QUIRE_PROT_READ);
	printf("a write now %s\n", reach(parent, page, QUIRE_WRITE) ? "lands" : "is a SEGV");
	quire_space_destroy(child);
	quire_space_destroy(parent);
	return quire_machine_destroy(machine);
}
