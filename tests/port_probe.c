/* SPDX-License-Identifier: MIT */
#include "port_probe.h"

#include <stddef.h>

#include <quire/port.h>

static _Thread_local port_probe *current_probe;
static _Thread_local void *current_context;

void port_probe_set(port_probe *probe, void *context)
{
	current_probe = probe;
	current_context = context;
}

const char *port_call_name(enum port_call call)
{
	static const char *const names[PORT_CALLS] = {
		[PORT_LOCK] = "lock",
		[PORT_UNLOCK] = "unlock",
		[PORT_READ_LOCK] = "read_lock",
		[PORT_READ_UNLOCK] = "read_unlock",
		[PORT_WRITE_LOCK] = "write_lock",
		[PORT_WRITE_UNLOCK] = "write_unlock",
		[PORT_FLUSH] = "flush",
		[PORT_WAIT] = "wait",
		[PORT_WAKE] = "wake",
		[PORT_SWAP_WRITE] = "swap_write",
		[PORT_SWAP_READ] = "swap_read",
		[PORT_SWAP_FREE] = "swap_free",
		[PORT_HOST] = "host",
	};

	return names[call];
}

void port_probe_call(enum port_call call, const void *what)
{
	if (current_probe)
		current_probe(current_context, call, what);
}

/* The linker binds the library's calls of quire_port_X to __wrap_quire_port_X, and ours of
 * __real_quire_port_X to the port. */
#define PROBE(result, name, call, what, parameters, arguments)                                     \
	result __real_quire_port_##name parameters;                                                \
	result __wrap_quire_port_##name parameters;                                                \
	result __wrap_quire_port_##name parameters                                                 \
	{                                                                                          \
		port_probe_call(call, what);                                                       \
		return __real_quire_port_##name arguments;                                         \
	}

PROBE(void, lock, PORT_LOCK, lock, (void *host, struct quire_lock *lock), (host, lock))
PROBE(void, unlock, PORT_UNLOCK, lock, (void *host, struct quire_lock *lock), (host, lock))
PROBE(void, read_lock, PORT_READ_LOCK, lock, (void *host, struct quire_rwlock *lock), (host, lock))
PROBE(void, read_unlock, PORT_READ_UNLOCK, lock, (void *host, struct quire_rwlock *lock),
      (host, lock))
PROBE(void, write_lock, PORT_WRITE_LOCK, lock, (void *host, struct quire_rwlock *lock),
      (host, lock))
PROBE(void, write_unlock, PORT_WRITE_UNLOCK, lock, (void *host, struct quire_rwlock *lock),
      (host, lock))
PROBE(void, flush, PORT_FLUSH, flushes,
      (void *host, const struct quire_flush *flushes, unsigned count), (host, flushes, count))
PROBE(void, wait, PORT_WAIT, (const void *)word, (void *host, _Atomic uint32_t *word), (host, word))
PROBE(void, wake, PORT_WAKE, (const void *)word, (void *host, _Atomic uint32_t *word), (host, word))
PROBE(int, swap_write, PORT_SWAP_WRITE, NULL, (void *host, uint64_t slot, const void *memory),
      (host, slot, memory))
PROBE(int, swap_read, PORT_SWAP_READ, NULL, (void *host, uint64_t slot, void *memory),
      (host, slot, memory))
PROBE(void, swap_free, PORT_SWAP_FREE, NULL, (void *host, uint64_t slot), (host, slot))
