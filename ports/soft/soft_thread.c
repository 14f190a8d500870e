/* SPDX-License-Identifier: MIT */
/*
 * Who calls Quire, and sleep.  Each host thread stands for a thread of the guest, which sleeps when
 * it must; a host thread that plays several says which with soft_thread_use().
 */
#include "soft_internal.h"

#include <linux/futex.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Thread_local struct quire_thread own;
static _Thread_local struct quire_thread *used;

void soft_thread_use(struct quire_thread *thread)
{
	used = thread;
}

struct quire_thread *quire_port_current(void *host)
{
	(void)host;
	return used ? used : &own;
}

void quire_port_wait(void *host, _Atomic uint32_t *word)
{
	(void)host;
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
}

void quire_port_wake(void *host, _Atomic uint32_t *word)
{
	(void)host;
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
