/* SPDX-License-Identifier: MIT */
/*
 * Loads, stores and instruction fetches of a script's thread, and how they survive a fault.
 *
 * As a kernel guards its accesses to user memory, each access here is one instruction with a known
 * address and a place to continue.  When it raises SIGSEGV or SIGBUS, the handler notes the signal
 * in the thread and moves the instruction pointer to that place.  The handler finds the thread from
 * its own stack pointer.  A signal from anywhere else is a bug of the agent, and kills it.
 *
 * Copies are one `rep movsb`: forward, with the bytes still to do in rcx, exact at a fault.
 *
 * To execute an instruction, we `iretq` to it with the trap flag set: it runs, and SIGTRAP brings
 * us back.  It finds a stack and rax on scratch memory (zeroed memory is `add %al, (%rax)`) and
 * all else zero.  Any other signal also means that it was fetched, and so does a fault anywhere but
 * in its own fetch.
 */
#define _GNU_SOURCE 1
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "linux_agent_internal.h"

#define TRAP_PAGE_FAULT	 14
#define PAGE_FAULT_FETCH 0x10
#define FLAGS_NORMAL	 0x202 /* interrupts on, nothing else */

/* The names of instructions and of the places to continue at. */
extern const char copy_instruction[], copy_end[];
extern const char touch_instruction[], touch_end[];
extern const char execute_jump[], execute_end[];

/* Returns the bytes that were not copied. */
uint64_t guarded_copy(void *to, const void *from, uint64_t length);
void guarded_touch(void *address);
/* Jumps to address with the stack in the middle of scratch; leaves its own in *resume. */
void guarded_execute(uint64_t address, uint64_t *scratch, uint64_t *resume);

__asm__(".text\n"
	"guarded_copy:\n"
	"	mov	%rdx, %rcx\n"
	"copy_instruction:\n"
	"	rep movsb\n"
	"copy_end:\n"
	"	mov	%rcx, %rax\n"
	"	ret\n"

	"guarded_touch:\n"
	"touch_instruction:\n"
	"	lock orb $0, (%rdi)\n"
	"touch_end:\n"
	"	ret\n"

	"guarded_execute:\n"
	"	push	%rbx\n"
	"	push	%rbp\n"
	"	push	%r12\n"
	"	push	%r13\n"
	"	push	%r14\n"
	"	push	%r15\n"
	"	mov	%rsp, (%rdx)\n"
	"	mov	%ss, %eax\n"
	"	push	%rax\n"
	"	push	%rsi\n"
	"	pushf\n"
	"	orl	$0x100, (%rsp)\n" /* the trap flag */
	"	mov	%cs, %eax\n"
	"	push	%rax\n"
	"	push	%rdi\n"
	"	mov	%rsi, %rax\n"
	"	xor	%ebx, %ebx\n"
	"	xor	%ecx, %ecx\n"
	"	xor	%edx, %edx\n"
	"	xor	%esi, %esi\n"
	"	xor	%edi, %edi\n"
	"	xor	%ebp, %ebp\n"
	"	xor	%r8d, %r8d\n"
	"	xor	%r9d, %r9d\n"
	"	xor	%r10d, %r10d\n"
	"	xor	%r11d, %r11d\n"
	"	xor	%r12d, %r12d\n"
	"	xor	%r13d, %r13d\n"
	"	xor	%r14d, %r14d\n"
	"	xor	%r15d, %r15d\n"
	"execute_jump:\n"
	"	iretq\n"
	"execute_end:\n"
	"	pop	%r15\n"
	"	pop	%r14\n"
	"	pop	%r13\n"
	"	pop	%r12\n"
	"	pop	%rbp\n"
	"	pop	%rbx\n"
	"	ret\n");

static struct agent_thread *current_thread(void)
{
	uint64_t on_stack = (uint64_t)__builtin_frame_address(0);

	return (struct agent_thread *)(on_stack & ~(uint64_t)(THREAD_SIZE - 1));
}

/* The instruction was not even fetched: the jump to it failed, or the fetch faulted. */
static bool fetch_failed(uint64_t target, const siginfo_t *info, const greg_t *registers)
{
	if (registers[REG_RIP] == (greg_t)execute_jump)
		return true;
	return registers[REG_TRAPNO] == TRAP_PAGE_FAULT &&
	       (registers[REG_ERR] & PAGE_FAULT_FETCH) && (uint64_t)info->si_addr == target;
}

static void return_from_execute(struct agent_thread *self, greg_t *registers)
{
	registers[REG_RIP] = (greg_t)execute_end;
	registers[REG_RSP] = (greg_t)self->resume;
	registers[REG_EFL] = FLAGS_NORMAL;
	self->resume = 0;
}

static void handle_signal(int signal, siginfo_t *info, void *context)
{
	struct agent_thread *self = current_thread();
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	bool fault = signal == SIGSEGV || signal == SIGBUS;

	if (self->resume) {
		fault = fault && fetch_failed(self->target, info, registers);
		return_from_execute(self, registers);
	} else if (fault && registers[REG_RIP] == (greg_t)copy_instruction) {
		registers[REG_RIP] = (greg_t)copy_end;
	} else if (fault && registers[REG_RIP] == (greg_t)touch_instruction) {
		registers[REG_RIP] = (greg_t)touch_end;
	} else {
		struct sigaction die = {.sa_handler = SIG_DFL};

		sigaction(signal, &die, NULL); /* it comes again at once */
		return;
	}
	if (fault) {
		self->signal = signal;
		self->code = info->si_code;
	}
}

static void only_interrupt(int signal)
{
	(void)signal;
}

void access_set_up(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGTRAP, SIGILL, SIGFPE};
	struct sigaction action = {.sa_sigaction = handle_signal,
				   .sa_flags = SA_SIGINFO | SA_ONSTACK};
	struct sigaction interrupt = {.sa_handler = only_interrupt, .sa_flags = SA_ONSTACK};
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	sigaction(AGENT_SIGNAL, &interrupt, NULL);
}

void access_set_up_thread(struct agent_thread *self)
{
	const stack_t stack = {.ss_sp = self->signal_stack, .ss_size = SIGNAL_STACK_SIZE};

	/* In a child this may be the memory of a thread that was executing when its parent forked. */
	self->resume = 0;
	system_call(SYS_sigaltstack, (uint64_t[6]){(uint64_t)&stack});
}

uint64_t access_load(struct agent_thread *self, void *to, uint64_t address, uint64_t length)
{
	self->signal = 0;
	return length - guarded_copy(to, (const void *)address, length);
}

uint64_t access_store(struct agent_thread *self, uint64_t address, const void *from,
		      uint64_t length)
{
	self->signal = 0;
	return length - guarded_copy((void *)address, from, length);
}

void access_touch(struct agent_thread *self, uint64_t address)
{
	self->signal = 0;
	guarded_touch((void *)address);
}

void access_execute(struct agent_thread *self, uint64_t address)
{
	self->signal = 0;
	self->target = address;
	guarded_execute(address, self->scratch + sizeof(self->scratch) / sizeof(uint64_t) / 2,
			&self->resume);
}
