/* SPDX-License-Identifier: MIT */
/* What tests see of the stub of the port. */
#ifndef QUIRE_PORT_STUB_H
#define QUIRE_PORT_STUB_H

#include <quire/port.h>

/* The last call of quire_port_flush(), and how many there were. */
#define PORT_STUB_FLUSHES 8
struct port_stub_flushes {
	struct quire_flush of[PORT_STUB_FLUSHES];
	unsigned count;
	unsigned calls;
};
extern struct port_stub_flushes port_stub_flushes;

#endif
