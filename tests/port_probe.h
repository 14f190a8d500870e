/* SPDX-License-Identifier: MIT */
/*
 * Looks at the calls of the port, in programs that are linked with -Wl,--wrap for each (wrap_port in
 * CMakeLists.txt).  A thread that has set a probe hears of each of its calls just before it is made.
 */
#ifndef QUIRE_PORT_PROBE_H
#define QUIRE_PORT_PROBE_H

enum port_call {
	PORT_LOCK,
	PORT_UNLOCK,
	PORT_READ_LOCK,
	PORT_READ_UNLOCK,
	PORT_WRITE_LOCK,
	PORT_WRITE_UNLOCK,
	PORT_FLUSH,
	PORT_WAIT,
	PORT_WAKE,
	PORT_SWAP_WRITE,
	PORT_SWAP_READ,
	PORT_SWAP_FREE,
	PORT_HOST, /* what a program calls by itself: port_probe_call() */
	PORT_CALLS
};

/* `what`: the lock, the word that is waited on, the first flush; NULL for swap. */
typedef void port_probe(void *context, enum port_call call, const void *what);

/* The calling thread's probe; NULL: none. */
void port_probe_set(port_probe *probe, void *context);

/* Tells the probe of a call that the wrappers do not see. */
void port_probe_call(enum port_call call, const void *what);

const char *port_call_name(enum port_call call);

#endif
