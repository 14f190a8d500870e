/* SPDX-License-Identifier: MIT */
/*
 * The explorer: two operations on the same memory, one stopped before its k-th call of the port until
 * the other is done, for every k, over all pairs of operations, registrations and kinds of memory; or,
 * at depth 2, the second stopped before its j-th call too, until the first is done.
 *
 *	explore [--pair A,B] [--registration R] [--memory M] [--at K[,J]]
 *		[--sample N] [--time SECONDS] [--seed S] [--depth 2] [--all] [--jobs N] [--limit N] [--list] [-v]
 *
 * Cases are run by worker processes: one that crashes is a failure of its case, and the next takes
 * over (--jobs 0: by this one, for a debugger).  Nothing depends on time or chance; the seed chooses what
 * is in a sample.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "judge.h"
#include "options.h"

#define OPERATIONS_MAX 256
#define PATIENCE       60 /* seconds without a run: the worker hangs */

/* A pair in its world, and where they stop. */
struct place {
	uint64_t number; /* of all combinations */
	const struct operation *operation[ACTORS];
	const struct registration *registration;
	const struct memory *memory;
	unsigned stop[ACTORS];
};

struct worker {
	pid_t process;
	_Atomic uint64_t runs;
	struct place current;
	char last_words[200];
};

/* Shared by all processes. */
static struct shared {
	time_t end; /* of the time that there is */
	_Atomic uint64_t next;
	_Atomic uint64_t pairs, points, runs, failures, crashes;
	_Atomic uint64_t excepted[EXCEPTIONS_MAX];
	bool possible[64][64]; /* registration, memory */
	struct worker worker[JOBS_MAX];
} * shared;
static struct worker *self;

/* --- failures --- */

_Noreturn void fatal(const char *what, const char *file, int line)
{
	snprintf(self->last_words, sizeof(self->last_words), "%s (%s:%d)", what, file, line);
	_exit(3);
}

static void cannot_go_on(const char *what)
{
	snprintf(self->last_words, sizeof(self->last_words), "%s", what);
	_exit(3);
}

/* Whether there is still room in the output. */
static bool count_failure(void)
{
	return atomic_fetch_add(&shared->failures, 1) < options.limit;
}

static void print_command(const char *what, const struct place *place)
{
	printf("%s: explore --pair %s,%s --registration %s --memory %s", what,
	       place->operation[0]->name, place->operation[1]->name, place->registration->name,
	       place->memory->name);
	if (place->stop[0])
		printf(" --at %u", place->stop[0]);
	if (place->stop[1])
		printf(",%u", place->stop[1]);
	printf("\n");
}

/* --- one run --- */

static void run_operation(void *context)
{
	struct actor *actor = context;

	actor->operation->run(actor);
}

static void run_steps(void *context)
{
	struct actor *actor = context;

	actor->operation->steps(actor);
}

static void enter(struct world *world, struct actor *actor)
{
	if (actor->operation->flags & IN_PARENT)
		world_enter(world, actor->cpu, world->space[0]);
	if (actor->operation->flags & IN_CHILD)
		world_enter(world, actor->cpu, world->space[1]);
}

/* Runs the pair once, in the world that the place names. */
static void run(struct world *world, const struct place *place, struct schedule *schedule,
		bool steps, struct outcome *outcome)
{
	atomic_fetch_add(&self->runs, 1);
	atomic_fetch_add(&shared->runs, 1);
	self->current = *place;
	must(world_open(world, place->memory, place->registration));
	for (unsigned i = 0; i < ACTORS; i++) {
		struct actor *actor = &world->actor[i];

		actor->operation = place->operation[i];
		enter(world, actor);
		schedule->task[i] = (struct task){
			.run = steps && actor->operation->steps ? run_steps : run_operation,
			.context = actor,
			.thread = &actor->thread,
			.stop = place->stop[i]};
	}
	schedule_run(schedule);
	judge_look(world, schedule, outcome);
	judge_close(world, outcome);
}

/* Runs a point; whether there is one. */
static bool explore_point(struct place *place, const struct orders *orders, bool *failed)
{
	static struct outcome outcome;
	static struct world world;
	struct schedule schedule = {.fault = cannot_go_on};
	int allowed;

	run(&world, place, &schedule, false, &outcome);
	if (!schedule.task[0].stopped || (place->stop[1] && !schedule.task[1].stopped))
		return false;
	allowed = judge_allows(&world, &outcome, orders);
	atomic_fetch_add(&shared->points, 1);
	if (allowed >= 0)
		atomic_fetch_add(&shared->excepted[allowed], 1);
	if (options.verbose && allowed >= 0) {
		print_command("allowed", place);
		printf("   by %s\n", exceptions[allowed].name);
		judge_explain(&outcome, orders);
	}
	if (!outcome.fault[0] && allowed != NOT_ALLOWED)
		return true;
	*failed = true;
	if (count_failure()) {
		print_command("FAILED", place);
		if (outcome.fault[0])
			printf("   %s\n", outcome.fault);
		if (allowed == NOT_ALLOWED)
			judge_explain(&outcome, orders);
		fflush(stdout);
	}
	return true;
}

/* Adds all orders of the two, or of their steps; whether they are sound. */
static bool add_orders(struct place *place, bool steps, struct orders *orders)
{
	static struct outcome outcome;
	static struct world world;
	struct schedule schedule = {.fault = cannot_go_on, .by_steps = true};

	do {
		run(&world, place, &schedule, steps, &outcome);
		if (outcome.fault[0]) {
			if (count_failure()) {
				print_command("FAILED", place);
				printf("   one after the other: %s\n", outcome.fault);
				fflush(stdout);
			}
			return false;
		}
		orders_add(orders, &outcome);
	} while (schedule_next_script(&schedule));
	return true;
}

static bool explore_orders(struct place *place, struct orders *orders)
{
	orders->count = 0;
	place->stop[0] = place->stop[1] = 0;
	if (!add_orders(place, false, orders))
		return false;
	return (!place->operation[0]->steps && !place->operation[1]->steps) ||
	       add_orders(place, true, orders);
}

static void explore_pair(struct place *place)
{
	static struct orders orders;
	bool failed = false;

	if (!explore_orders(place, &orders))
		return;
	if (options.at[0]) {
		memcpy(place->stop, options.at, sizeof(place->stop));
		if (!explore_point(place, &orders, &failed))
			printf("they do not come to that point\n");
		return;
	}
	for (place->stop[0] = 1; !failed; place->stop[0]++) {
		place->stop[1] = 0;
		if (!explore_point(place, &orders, &failed))
			break;
		if (options.depth < 2)
			continue;
		for (place->stop[1] = 2; !failed; place->stop[1]++)
			if (!explore_point(place, &orders, &failed))
				break;
	}
	atomic_fetch_add(&shared->pairs, 1);
}

/* --- all of them --- */

/* What was asked for, of each. */
static struct {
	unsigned a[OPERATIONS_MAX], b[OPERATIONS_MAX], memory[64], registration[64];
	unsigned a_count, b_count, memory_count, registration_count;
} wanted;

#define WANT(list, number, condition)                                                              \
	do                                                                                         \
		if (condition)                                                                     \
			wanted.list[wanted.list##_count++] = (number);                             \
	while (0)

static uint64_t combinations(void)
{
	wanted.a_count = wanted.b_count = wanted.memory_count = wanted.registration_count = 0;
	for (unsigned i = 0; i < operation_count(); i++) {
		WANT(a, i, !options.a || options.a == operation_at(i));
		WANT(b, i, !options.b || options.b == operation_at(i));
	}
	for (unsigned i = 0; i < memory_count; i++)
		WANT(memory, i, !options.memory || options.memory == &memories[i]);
	for (unsigned i = 0; i < registration_count; i++)
		WANT(registration, i,
		     !options.registration || options.registration == &registrations[i]);
	return (uint64_t)wanted.a_count * wanted.b_count * wanted.memory_count *
	       wanted.registration_count;
}

/* Samples jump about; a step that has no factor in common with the total meets all. */
static uint64_t permute(uint64_t number, uint64_t total)
{
	uint64_t step = 1000003 + 2 * (options.seed % 1000000);
	uint64_t a, b;

	for (;; step++) {
		for (a = total, b = step % total; b;) {
			uint64_t rest = a % b;

			a = b;
			b = rest;
		}
		if (a == 1)
			break;
	}
	return (number * (step % total) + options.seed) % total;
}

static unsigned digit(uint64_t *number, const unsigned *list, unsigned count)
{
	unsigned chosen = list[*number % count];

	*number /= count;
	return chosen;
}

/* Whether it is one that says something. */
static bool choose(uint64_t number, struct place *place)
{
	unsigned memory, registration;

	*place = (struct place){.number = number};
	place->operation[1] = operation_at(digit(&number, wanted.b, wanted.b_count));
	place->operation[0] = operation_at(digit(&number, wanted.a, wanted.a_count));
	memory = digit(&number, wanted.memory, wanted.memory_count);
	registration = digit(&number, wanted.registration, wanted.registration_count);
	place->memory = &memories[memory];
	place->registration = &registrations[registration];
	if (!shared->possible[registration][memory] ||
	    (place->memory->rare && place->registration->rare && !options.all))
		return false;
	for (unsigned i = 0; i < ACTORS; i++)
		if (!operation_fits(place->operation[i], place->memory, place->registration))
			return false;
	return operations_can_meet(place->operation[0], place->operation[1]) &&
	       registration_matters(place->registration, place->operation[0], place->operation[1]);
}

static uint64_t count_pairs(void)
{
	uint64_t total = combinations(), count = 0;
	struct place place;

	for (uint64_t number = 0; number < total; number++)
		count += choose(number, &place);
	return count;
}

static void work(void)
{
	uint64_t total = combinations(), number;
	struct place place;

	while ((number = atomic_fetch_add(&shared->next, 1)) < total) {
		if ((options.sample && shared->pairs >= options.sample) ||
		    (options.seconds && time(NULL) >= shared->end))
			break;
		if (options.sample || options.seconds)
			number = permute(number, total);
		if (choose(number, &place))
			explore_pair(&place);
	}
}

static void find_possible(void)
{
	static struct world world;

	for (unsigned r = 0; r < registration_count; r++)
		for (unsigned m = 0; m < memory_count; m++) {
			self->current.memory = &memories[m];
			self->current.registration = &registrations[r];
			shared->possible[r][m] =
				world_open(&world, &memories[m], &registrations[r]);
			if (shared->possible[r][m])
				must(!world_close(&world));
		}
}

/* --- workers --- */

static void start(struct worker *worker, void (*job)(void))
{
	pid_t process;

	worker->last_words[0] = 0;
	fflush(stdout);
	process = fork();
	if (process < 0) {
		perror("explore: fork");
		exit(2);
	}
	if (process == 0) {
		self = worker;
		job();
		fflush(stdout);
		_exit(0);
	}
	worker->process = process;
}

static const char *end_of(int status, char *text, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(text, size, "killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(text, size, "exit status %d", WEXITSTATUS(status));
	return text;
}

/* Says what became of a worker's case; whether there is more to do. */
static bool report_end(struct worker *worker, int status)
{
	char text[100];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return false;
	atomic_fetch_add(&shared->crashes, 1);
	if (count_failure()) {
		print_command("FAILED", &worker->current);
		printf("   %s\n", worker->last_words[0] ? worker->last_words
							: end_of(status, text, sizeof(text)));
		fflush(stdout);
	}
	return true;
}

static void watch(void)
{
	uint64_t seen[JOBS_MAX] = {0};
	time_t since[JOBS_MAX] = {0};
	unsigned left = options.jobs;

	while (left) {
		for (unsigned i = 0; i < options.jobs; i++) {
			struct worker *worker = &shared->worker[i];
			int status;

			if (!worker->process)
				continue;
			if (waitpid(worker->process, &status, WNOHANG) == worker->process) {
				worker->process = 0;
				if (report_end(worker, status))
					start(worker, work);
				else
					left--;
			} else if (seen[i] != worker->runs || !since[i]) {
				seen[i] = worker->runs;
				since[i] = time(NULL);
			} else if (time(NULL) - since[i] > PATIENCE) {
				snprintf(worker->last_words, sizeof(worker->last_words), "hangs");
				kill(worker->process, SIGKILL);
			}
		}
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	}
}

/* --- the command --- */

/* In this process, for a debugger. */
static void work_alone(void)
{
	self = &shared->worker[0];
	find_possible();
	work();
}

static void work_together(void)
{
	struct worker *first = &shared->worker[0];
	int status;

	start(first, find_possible);
	waitpid(first->process, &status, 0);
	if (status) {
		printf("not ok - explorer: %s with %s: %s\n", first->current.memory->name,
		       first->current.registration->name, first->last_words);
		exit(1);
	}
	for (unsigned i = 0; i < options.jobs; i++)
		start(&shared->worker[i], work);
	watch();
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		return 2;
	shared->end = time(NULL) + (time_t)options.seconds;
	if (options.jobs)
		work_together();
	else
		work_alone();
	for (unsigned i = 0; i < exception_count; i++)
		if (shared->excepted[i])
			printf("note: allowed by %s: %" PRIu64 "\n", exceptions[i].name,
			       shared->excepted[i]);
	printf("note: %" PRIu64 " of %" PRIu64 " pairs, %" PRIu64 " points, %" PRIu64
	       " runs, %" PRIu64 " crashes\n",
	       shared->pairs, count_pairs(), shared->points, shared->runs, shared->crashes);
	printf("%s - explorer: %" PRIu64 " failures\n", shared->failures ? "not ok" : "ok",
	       shared->failures);
	return shared->failures != 0;
}
