/* SPDX-License-Identifier: MIT */
/*
 * Long-term pins on the linux target: what io_uring takes for its registered buffers.
 *
 * The process makes a ring, without mapping it, for each pin, and its thread registers the range as
 * the only buffer.  Closing a ring unpins some time later; unregistering the buffer, at once.
 */
#define _GNU_SOURCE 1
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "linux_target.h"

struct pin {
	struct process *process;
	int ring; /* the agent's number */
	struct pin *next;
};

int pin_set(struct thread *thread, const struct call *call)
{
	struct thread *server = &thread->process->server;
	struct iovec *buffer = &thread->slot->vector[0];
	int64_t ring;

	memset(server->slot->data, 0, sizeof(struct io_uring_params));
	ring = thread_system_call(server, SYS_io_uring_setup,
				  (uint64_t[6]){1, thread_address(server, server->slot->data)});
	if (ring < 0)
		return (int)-ring;
	thread->lent_file = (int)ring;
	*buffer = (struct iovec){.iov_base = (void *)call->address, .iov_len = call->length};
	slot_set_system_call(thread->slot, SYS_io_uring_register,
			     (uint64_t[6]){(uint64_t)ring, IORING_REGISTER_BUFFERS,
					   thread_address(thread, buffer), 1});
	return 0;
}

void pin_finish(struct thread *thread, struct call *call)
{
	struct pin *pin;

	if (call->status != CALL_DONE) {
		thread_close_file(&thread->process->server, thread->lent_file);
		return;
	}
	pin = calloc(1, sizeof(*pin));
	if (!pin)
		target_fail("out of memory");
	pin->process = thread->process;
	pin->ring = thread->lent_file;
	pin->next = pin->process->pins;
	pin->process->pins = pin;
	call->pin = pin;
}

static void let_go(const struct pin *pin)
{
	struct thread *server = &pin->process->server;

	thread_system_call(server, SYS_io_uring_register,
			   (uint64_t[6]){(uint64_t)pin->ring, IORING_UNREGISTER_BUFFERS, 0, 0});
	thread_close_file(server, pin->ring);
}

void pin_let_go_all(struct process *process)
{
	for (const struct pin *pin = process->pins; process->pid && pin; pin = pin->next)
		let_go(pin);
}

void pin_release(struct pin *pin)
{
	struct pin **link = &pin->process->pins;

	if (pin->process->pid)
		let_go(pin);
	while (*link != pin)
		link = &(*link)->next;
	*link = pin->next;
	free(pin);
}

void pin_free_all(struct process *process)
{
	struct pin *pin;

	while ((pin = process->pins)) {
		process->pins = pin->next;
		free(pin);
	}
}
