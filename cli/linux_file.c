/* SPDX-License-Identifier: MIT */
/*
 * Files between the controller and its agents.
 *
 * They pass through one pair of sockets, the channel, of which every agent has an end.  That is
 * enough, because the controller has one thread: a file that it sends is taken by the agent that it
 * then asks, before another one is sent.  The agent's part is plain system calls on messages that
 * the controller lays out in the slot's data.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "linux_target.h"

/* A message of one byte and one file. */
struct envelope {
	struct msghdr header;
	struct iovec vector;
	_Alignas(struct cmsghdr) unsigned char control[CMSG_SPACE(sizeof(int))];
	char byte;
};

/* Addresses in the envelope are those of its reader, to whom it lies at `base`. */
static void envelope_set(struct envelope *envelope, uint64_t base)
{
	memset(envelope, 0, sizeof(*envelope));
	envelope->header.msg_iov = (void *)(base + offsetof(struct envelope, vector));
	envelope->header.msg_iovlen = 1;
	envelope->header.msg_control = (void *)(base + offsetof(struct envelope, control));
	envelope->header.msg_controllen = sizeof(envelope->control);
	envelope->vector.iov_base = (void *)(base + offsetof(struct envelope, byte));
	envelope->vector.iov_len = 1;
}

static void envelope_set_file(struct envelope *envelope, int file)
{
	struct cmsghdr *control = (struct cmsghdr *)envelope->control;

	control->cmsg_level = SOL_SOCKET;
	control->cmsg_type = SCM_RIGHTS;
	control->cmsg_len = CMSG_LEN(sizeof(file));
	memcpy(CMSG_DATA(control), &file, sizeof(file));
}

/* -1: there was no room for one more. */
static int envelope_file(const struct envelope *envelope)
{
	const struct cmsghdr *control = (const struct cmsghdr *)envelope->control;
	int file = -1;

	if (control->cmsg_type == SCM_RIGHTS && control->cmsg_len == CMSG_LEN(sizeof(file)))
		memcpy(&file, CMSG_DATA(control), sizeof(file));
	return file;
}

/* One side's part of passing the message, by an agent's thread. */
static void agent_pass(struct thread *thread, uint64_t number, uint64_t flags)
{
	uint64_t header =
		thread_address(thread, thread->slot->data) + offsetof(struct envelope, header);
	int64_t result =
		thread_system_call(thread, number, (uint64_t[6]){AGENT_CHANNEL, header, flags});

	if (result < 0)
		target_fail("linux: an agent can't pass a file: %s", strerror((int)-result));
}

int thread_take_file(struct thread *thread, int file)
{
	struct envelope *theirs = (struct envelope *)thread->slot->data, ours;

	envelope_set(theirs, thread_address(thread, theirs));
	envelope_set_file(theirs, file);
	agent_pass(thread, SYS_sendmsg, 0);
	envelope_set(&ours, (uint64_t)&ours);
	if (recvmsg(thread->process->target->channel[0], &ours.header, MSG_CMSG_CLOEXEC) < 0)
		target_fail("linux: can't take a file: %s", strerror(errno));
	thread_close_file(thread, file);
	file = envelope_file(&ours);
	if (file < 0)
		errno = EMFILE;
	return file;
}

int thread_give_file(struct thread *thread, int file)
{
	struct envelope *theirs = (struct envelope *)thread->slot->data, ours;

	envelope_set(&ours, (uint64_t)&ours);
	envelope_set_file(&ours, file);
	if (sendmsg(thread->process->target->channel[0], &ours.header, 0) < 0)
		target_fail("linux: can't give a file: %s", strerror(errno));
	envelope_set(theirs, thread_address(thread, theirs));
	agent_pass(thread, SYS_recvmsg, MSG_CMSG_CLOEXEC);
	file = envelope_file(theirs);
	if (file < 0)
		target_fail("linux: an agent has no room for a file");
	return file;
}

void thread_close_file(struct thread *thread, int file)
{
	thread_system_call(thread, SYS_close, (uint64_t[6]){(uint64_t)file});
}
