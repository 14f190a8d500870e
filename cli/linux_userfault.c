/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd on the linux target.
 *
 * A userfaultfd acts on the address space that opened it, whoever uses it.  So the agent opens it,
 * and passes it to the controller, which keeps the only copy and makes all requests itself: it is
 * the monitor in a process of its own that userfaultfd was made for.  The child's userfaultfd that
 * a fork message brings arrives in the controller, too.  Two requests the process has to make
 * itself, and is lent a copy of the file for: a UFFDIO_COPY from its own memory, and UFFDIO_MOVE,
 * which the kernel refuses to anybody else.  A child forked in between closes it before anything
 * else.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "linux_target.h"

struct userfault {
	struct target *target;
	struct process *process; /* whose memory it is for; NULL: a child that is not there yet */
	struct process *parent;	 /* then: whose child */
	int file;
	struct userfault *next;
};

static struct userfault *add(struct target *target, int file)
{
	struct userfault *userfault = calloc(1, sizeof(*userfault));

	if (!userfault)
		target_fail("out of memory");
	userfault->target = target;
	userfault->file = file;
	userfault->next = target->userfaults;
	target->userfaults = userfault;
	return userfault;
}

/*
 * Who may not make the system call may be allowed to open the device.  Returns the agent's number of
 * the file, or the error of the system call.
 */
static int64_t open_in_agent(struct thread *server, int flags)
{
	static const char path[] = "/dev/userfaultfd";
	int64_t file = thread_system_call(server, SYS_userfaultfd, (uint64_t[6]){(uint64_t)flags});
	int64_t device, made;

	if (file != -EPERM && file != -ENOSYS)
		return file;
	memcpy(server->slot->data, path, sizeof(path));
	device = thread_system_call(server, SYS_openat,
				    (uint64_t[6]){(uint64_t)AT_FDCWD,
						  thread_address(server, server->slot->data),
						  O_RDWR | O_CLOEXEC});
	if (device < 0)
		return file;
	made = thread_system_call(
		server, SYS_ioctl,
		(uint64_t[6]){(uint64_t)device, USERFAULTFD_IOC_NEW, (uint64_t)flags});
	thread_close_file(server, (int)device);
	return made;
}

struct userfault *userfault_open(struct process *process, int flags)
{
	struct thread *server = &process->server;
	struct userfault *userfault;
	int64_t file;

	if (!process->pid) {
		errno = ESRCH;
		return NULL;
	}
	file = open_in_agent(server, flags);
	if (file < 0) {
		errno = (int)-file;
		return NULL;
	}
	file = thread_take_file(server, (int)file);
	if (file < 0)
		return NULL;
	userfault = add(process->target, (int)file);
	userfault->process = process;
	return userfault;
}

void userfault_adopt(struct process *child, const struct process *parent)
{
	for (struct userfault *u = child->target->userfaults; u; u = u->next) {
		if (!u->process && u->parent == parent)
			u->process = child;
	}
}

/* By the process itself; this does not sleep. */
static int move(struct userfault *userfault, struct uffdio_move *argument)
{
	struct thread *server = &userfault->process->server;
	int file = thread_give_file(server, userfault->file);
	struct uffdio_move *theirs = (struct uffdio_move *)server->slot->data;
	int64_t result;

	*theirs = *argument;
	result = thread_system_call(
		server, SYS_ioctl,
		(uint64_t[6]){(uint64_t)file, UFFDIO_MOVE, thread_address(server, theirs)});
	*argument = *theirs;
	thread_close_file(server, file);
	return result < 0 ? (int)-result : 0;
}

/* The rest of the requests are for memory that was registered before. */
static void check_request(const struct process *process, unsigned long request,
			  const void *argument)
{
	const struct uffdio_register *registration = argument;
	const struct uffdio_move *move = argument;

	if (request == UFFDIO_REGISTER)
		check_own(process, "register", registration->range.start, registration->range.len);
	else if (request == UFFDIO_MOVE)
		check_own(process, "move", move->src, move->len);
}

int userfault_ioctl(struct userfault *userfault, unsigned long request, void *argument)
{
	int error;

	if (userfault->process)
		check_request(userfault->process, request, argument);
	if (request == UFFDIO_MOVE && userfault->process && userfault->process->pid)
		error = move(userfault, argument);
	else
		error = ioctl(userfault->file, request, argument) < 0 ? errno : 0;
	target_settle(userfault->target);
	return error;
}

/* Among the agents' threads.  Thread ids are not given out again while a message tells them. */
static struct thread *thread_by_id(const struct target *target, uint32_t id)
{
	for (struct process *process = target->processes; process; process = process->next)
		for (struct thread *thread = process->threads; thread; thread = thread->next)
			if (thread->slot && (uint32_t)thread->slot->tid == id)
				return thread;
	return NULL;
}

static void take_message(struct userfault *userfault, const struct uffd_msg *from,
			 struct target_message *message)
{
	*message = (struct target_message){.message = *from};
	if (from->event == UFFD_EVENT_FORK) {
		message->child = add(userfault->target, (int)from->arg.fork.ufd);
		message->child->parent = userfault->process;
	} else if (from->event == UFFD_EVENT_PAGEFAULT && from->arg.pagefault.feat.ptid) {
		message->thread = thread_by_id(userfault->target, from->arg.pagefault.feat.ptid);
	}
}

/* Nobody else has the open file, so nobody sees its flags change. */
static ssize_t read_now(int file, void *buffer, size_t length)
{
	int flags = fcntl(file, F_GETFL);
	ssize_t done;
	int error;

	fcntl(file, F_SETFL, flags | O_NONBLOCK);
	done = read(file, buffer, length);
	error = errno;
	fcntl(file, F_SETFL, flags);
	errno = error;
	return done;
}

int userfault_read(struct userfault *userfault, struct target_message *messages, size_t count,
		   size_t *got)
{
	struct uffd_msg *buffer = calloc(count, sizeof(*buffer));
	ssize_t done;
	int error;

	if (!buffer)
		target_fail("out of memory");
	done = read_now(userfault->file, buffer, count * sizeof(*buffer));
	error = done < 0 ? errno : 0;
	*got = done < 0 ? 0 : (size_t)done / sizeof(*buffer);
	for (size_t i = 0; i < *got; i++)
		take_message(userfault, &buffer[i], &messages[i]);
	free(buffer);
	target_settle(userfault->target);
	return error;
}

int userfault_poll(struct userfault *userfault, int *events)
{
	struct pollfd file = {.fd = userfault->file, .events = POLLIN};

	if (poll(&file, 1, 0) < 0)
		return errno;
	*events = file.revents;
	return 0;
}

void userfault_close(struct userfault *userfault)
{
	struct target *target = userfault->target;
	struct userfault **link = &target->userfaults;

	while (*link != userfault)
		link = &(*link)->next;
	*link = userfault->next;
	close(userfault->file);
	free(userfault);
	target_settle(target);
}

void userfault_close_all(struct target *target)
{
	struct userfault *userfault;

	while ((userfault = target->userfaults)) {
		target->userfaults = userfault->next;
		close(userfault->file);
		free(userfault);
	}
}

void userfault_set_copy(struct thread *thread, const struct call *call)
{
	struct agent_slot *slot = thread->slot;
	struct uffdio_copy *copy = (struct uffdio_copy *)slot->data;

	thread->lent_file = thread_give_file(&thread->process->server, call->userfault->file);
	*copy = call->copy;
	slot_set_system_call(slot, SYS_ioctl,
			     (uint64_t[6]){(uint64_t)thread->lent_file, UFFDIO_COPY,
					   thread_address(thread, copy)});
}

void userfault_finish_copy(struct thread *thread, struct call *call)
{
	call->copy = *(struct uffdio_copy *)thread->slot->data;
	thread_close_file(&thread->process->server, thread->lent_file);
	target_settle(thread->process->target);
}
