/* SPDX-License-Identifier: MIT */
/*
 * Counts what one operation costs: locks by which they are, flushes, atomic operations, system calls
 * and instructions.  Unlike times, counts are the same on a busy machine and on an idle one.
 *
 *	quire_count [NAME]      NAME: only operations whose name contains it
 *
 * Each operation runs in a child that the parent steps through one instruction at a time
 * (ptrace(2)).  An atomic operation is an instruction with a lock prefix, or an exchange with memory;
 * a lock or a flush is met where the port's function begins, with the lock in its second argument.
 * Nothing is wrapped and nothing is built differently: what is counted is the library as it is.
 */
#define _GNU_SOURCE
#include "count.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* <sys/user.h> has some of its own. */
#undef PAGE_SIZE
#undef PAGE_SHIFT
#include "frame/machine.h"

#ifndef __x86_64__
#error "the instructions that count.c knows are those of x86_64"
#endif

enum cost {
	COST_FRAMES,
	COST_SLABS,
	COST_SWAP,
	COST_MACHINE, /* the machine's other short locks */
	COST_SHORT,   /* all other short locks: of tables, objects, contexts, lists of VMAs */
	COST_READ,
	COST_WRITE,
	COST_FLUSHES,
	COST_SYSCALLS,
	COST_ATOMICS,
	COST_INSTRUCTIONS,
	COSTS
};

static const char *const heading[COSTS] = {
	"frames", "slabs", "swap",   "machine", "short",  "read",
	"write",  "flush", "system", "atomic",	"instr.",
};

/* Where the child's machine is; the child tells. */
static struct count_shared *shared;

void count_require(int held, const char *what)
{
	if (held)
		return;
	fprintf(stderr, "quire_count: failed: %s\n", what);
	exit(1);
}

static enum cost kind_of_lock(uint64_t lock)
{
	struct quire_machine *machine = shared->machine;

	if (lock == (uintptr_t)&machine->frames.lock)
		return COST_FRAMES;
	if (lock == (uintptr_t)&machine->slabs.lock)
		return COST_SLABS;
	if (lock == (uintptr_t)&machine->swap.lock)
		return COST_SWAP;
	if (lock - (uintptr_t)machine < sizeof(*machine))
		return COST_MACHINE;
	return COST_SHORT;
}

static void count_call(const struct user_regs_struct *registers, uint64_t counts[COSTS])
{
	uint64_t at = registers->rip;

	if (at == (uintptr_t)quire_port_lock)
		counts[kind_of_lock(registers->rsi)]++;
	else if (at == (uintptr_t)quire_port_read_lock)
		counts[COST_READ]++;
	else if (at == (uintptr_t)quire_port_write_lock)
		counts[COST_WRITE]++;
	else if (at == (uintptr_t)quire_port_flush)
		counts[COST_FLUSHES]++;
}

/* What an instruction is, past its prefixes. */
static void count_instruction(const unsigned char *code, uint64_t counts[COSTS])
{
	bool locked = false;

	for (;; code++) {
		if (*code == 0xf0)
			locked = true;
		else if (*code != 0x66 && *code != 0xf2 && *code != 0xf3 && (*code & 0xf0) != 0x40)
			break;
	}
	/* xchg of a register and memory locks by itself */
	if ((*code == 0x86 || *code == 0x87) && (code[1] & 0xc0) != 0xc0)
		locked = true;
	counts[COST_ATOMICS] += locked;
	counts[COST_SYSCALLS] += code[0] == 0x0f && code[1] == 0x05;
}

#define STOP 0xcc /* int3: before and after what is counted */

static void wait_for_trap(pid_t child)
{
	int status;

	count_require(waitpid(child, &status, 0) == child && WIFSTOPPED(status) &&
			      WSTOPSIG(status) == SIGTRAP,
		      "an operation");
}

/* The child stands behind the first STOP. */
static void step_through(pid_t child, uint64_t counts[COSTS])
{
	uint64_t last = 0;

	for (;;) {
		struct user_regs_struct registers;
		unsigned char code[16] = {0};
		struct iovec to = {code, sizeof(code)}, from = {NULL, sizeof(code)};

		ptrace(PTRACE_GETREGS, child, NULL, &registers);
		from.iov_base = (void *)registers.rip; /* NOLINT: the child's address */
		count_require(process_vm_readv(child, &to, 1, &from, 1, 0) > 0, "reading code");
		if (code[0] == STOP)
			return;
		/* A repeated instruction is stepped through turn by turn, and is one. */
		if (registers.rip != last) {
			counts[COST_INSTRUCTIONS]++;
			count_call(&registers, counts);
			count_instruction(code, counts);
		}
		last = registers.rip;
		count_require(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) == 0, "a step");
		wait_for_trap(child);
	}
}

static void run_child(const struct count_operation *operation)
{
	shared->machine = operation->prepare();
	count_require(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0, "ptrace");
	__asm__ volatile("int3");
	operation->run();
	__asm__ volatile("int3");
	_exit(0);
}

static void measure(const struct count_operation *operation)
{
	uint64_t counts[COSTS] = {0};
	pid_t child;

	fflush(stdout);
	child = fork();
	count_require(child >= 0, "fork");
	if (!child)
		run_child(operation);
	wait_for_trap(child);
	step_through(child, counts);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);

	printf("%-37s %-4s", operation->name, operation->unit);
	for (unsigned i = 0; i < COSTS; i++) {
		double each = (double)counts[i] / operation->units;

		if (!counts[i])
			printf(" %7s", "-");
		else
			printf(" %7.*f", each < 10 && each != (int)each ? 2 : 0, each);
	}
	printf("\n");
}

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : "";

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	count_require(shared != MAP_FAILED, "mmap");
	printf("Compiler: %s.  Short locks: frames, slabs, swap, the machine's others, and the "
	       "rest;\n"
	       "rwlocks for reading and writing; flushes; system calls; atomic operations of "
	       "library "
	       "and port;\ninstructions of both.\n\n%-37s %-4s",
	       __VERSION__, "operation", "unit");
	for (unsigned i = 0; i < COSTS; i++)
		printf(" %7s", heading[i]);
	printf("\n");
	for (unsigned i = 0; i < count_operation_count; i++)
		if (strstr(count_operations[i].name, only))
			measure(&count_operations[i]);
	return 0;
}
