/* SPDX-License-Identifier: MIT */
/*
 * The jobs: processes that each work on every N-th case and send what came of it through a pipe.
 *
 * Results arrive in any order; they are handed on in that of the cases, so that nothing depends on
 * the number of jobs.
 */
#define _GNU_SOURCE 1
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker.h"

struct pending {
	struct case_result result;
	struct pending *next; /* of a case that comes later */
};

struct job {
	pid_t pid;
	int pipe; /* -1: the job has ended */
};

/* SIGINT or SIGTERM: no more cases, but what there is is summed up. */
static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
	interrupted = signal;
}

/* To a function of ours, or as they were. */
static void set_signals(void (*handler)(int))
{
	static const int signals[] = {SIGINT, SIGTERM};
	struct sigaction action = {.sa_handler = handler}, before;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
}

static void *allocate(size_t size)
{
	void *memory = calloc(1, size + 1);

	if (!memory)
		target_fail("out of memory");
	return memory;
}

/* --- a result on its way --- */

static void send_bytes(int pipe, const void *bytes, size_t length)
{
	while (length) {
		ssize_t n = write(pipe, bytes, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(STATUS_ERROR); /* there is no one any more who would read it */
		bytes = (const char *)bytes + n;
		length -= (size_t)n;
	}
}

static bool receive_bytes(int pipe, void *bytes, size_t length)
{
	while (length) {
		ssize_t n = read(pipe, bytes, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes = (char *)bytes + n;
		length -= (size_t)n;
	}
	return true;
}

static void send_text(int pipe, const char *text)
{
	size_t length = text ? strlen(text) + 1 : 0;

	send_bytes(pipe, &length, sizeof(length));
	send_bytes(pipe, text, length);
}

static bool receive_text(int pipe, char **text)
{
	size_t length;

	*text = NULL;
	if (!receive_bytes(pipe, &length, sizeof(length)))
		return false;
	if (!length)
		return true;
	*text = allocate(length);
	return receive_bytes(pipe, *text, length);
}

static void send_result(int pipe, const struct case_result *result, size_t cells)
{
	send_bytes(pipe, result, sizeof(*result));
	send_bytes(pipe, result->rules, difference_rule_count * sizeof(*result->rules));
	send_bytes(pipe, result->reached, cells * sizeof(*result->reached));
	send_text(pipe, result->report);
	send_text(pipe, result->script);
}

/* NULL: the job has ended. */
static struct pending *receive_result(int pipe, size_t cells)
{
	const size_t rules = difference_rule_count * sizeof(uint64_t);
	struct pending *pending = allocate(sizeof(*pending));
	struct case_result *result = &pending->result;

	if (receive_bytes(pipe, result, sizeof(*result))) {
		result->report = result->script = NULL;
		result->rules = allocate(rules);
		result->reached = allocate(cells * sizeof(uint64_t));
		if (receive_bytes(pipe, result->rules, rules) &&
		    receive_bytes(pipe, result->reached, cells * sizeof(uint64_t)) &&
		    receive_text(pipe, &result->report) && receive_text(pipe, &result->script))
			return pending;
		case_result_free(result);
	}
	free(pending);
	return NULL;
}

/* --- jobs --- */

static _Noreturn void work(const struct check_options *options, struct coverage *coverage,
			   unsigned first, int pipe, double deadline)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	for (uint64_t i = first; i < options->cases; i += options->jobs) {
		struct case_result result;

		if (options->time > 0 && seconds_now() >= deadline)
			break;
		check_case(options, options->first_case + i, coverage, &result);
		send_result(pipe, &result, coverage->count);
		case_result_free(&result);
	}
	_exit(STATUS_PASSED);
}

static void start(struct job *jobs, unsigned number, const struct check_options *options,
		  struct coverage *coverage, double deadline)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		target_fail("quire check: no pipe: %s", strerror(errno));
	fflush(NULL);
	jobs[number].pid = fork();
	if (jobs[number].pid < 0)
		target_fail("quire check: can't start a job: %s", strerror(errno));
	if (jobs[number].pid == 0) {
		set_signals(SIG_DFL);
		for (unsigned i = 0; i < number; i++)
			close(jobs[i].pipe);
		close(ends[0]);
		work(options, coverage, number, ends[1], deadline);
	}
	close(ends[1]);
	jobs[number].pipe = ends[0];
}

static void insert(struct pending **list, struct pending *pending)
{
	while (*list && (*list)->result.number < pending->result.number)
		list = &(*list)->next;
	pending->next = *list;
	*list = pending;
}

/* Hands on what is next, or everything; false: no more is wanted. */
static bool hand_on(struct pending **list, uint64_t *next, bool everything,
		    bool (*take)(void *context, const struct case_result *result), void *context)
{
	bool wanted = true;

	while (wanted && *list && (everything || (*list)->result.number == *next)) {
		struct pending *first = *list;

		*next = first->result.number + 1;
		wanted = take(context, &first->result);
		*list = first->next;
		case_result_free(&first->result);
		free(first);
	}
	return wanted;
}

/* Waits until a job has sent something.  Returns its number; `count`: none will any more. */
static unsigned await_job(const struct job *jobs, struct pollfd *polls, unsigned count)
{
	bool any = false;

	for (unsigned i = 0; i < count; i++) {
		polls[i] = (struct pollfd){.fd = jobs[i].pipe, .events = POLLIN};
		any |= jobs[i].pipe >= 0;
	}
	while (any && !interrupted && poll(polls, count, -1) < 0)
		if (errno != EINTR)
			target_fail("quire check: poll: %s", strerror(errno));
	for (unsigned i = 0; i < count && any && !interrupted; i++)
		if (polls[i].revents)
			return i;
	return count;
}

static void end(struct job *job, bool early)
{
	int ending = 0;

	if (early && job->pid > 0)
		kill(job->pid, SIGTERM);
	if (job->pipe >= 0)
		close(job->pipe);
	job->pipe = -1;
	while (job->pid > 0 && waitpid(job->pid, &ending, 0) < 0 && errno == EINTR)
		;
	job->pid = 0;
	if (!early && ending && !interrupted)
		target_fail("quire check: a job ended with %s %d",
			    WIFSIGNALED(ending) ? "signal" : "status",
			    WIFSIGNALED(ending) ? WTERMSIG(ending) : WEXITSTATUS(ending));
}

int check_jobs(const struct check_options *options, struct coverage *coverage,
	       bool (*take)(void *context, const struct case_result *result), void *context)
{
	struct job *jobs = allocate(options->jobs * sizeof(*jobs));
	struct pollfd *polls = allocate(options->jobs * sizeof(*polls));
	double deadline = seconds_now() + options->time;
	struct pending *list = NULL, *pending;
	uint64_t next = options->first_case;
	bool wanted = true;
	unsigned job;

	set_signals(interrupt);
	for (unsigned i = 0; i < options->jobs; i++)
		start(jobs, i, options, coverage, deadline);
	while (wanted && (job = await_job(jobs, polls, options->jobs)) < options->jobs) {
		pending = receive_result(jobs[job].pipe, coverage->count);
		if (!pending) {
			end(&jobs[job], false);
			continue;
		}
		insert(&list, pending);
		wanted = hand_on(&list, &next, false, take, context);
	}
	/* Where time was up or a signal came, jobs have come unequally far. */
	if (wanted)
		hand_on(&list, &next, true, take, context);
	for (unsigned i = 0; i < options->jobs; i++)
		end(&jobs[i], true);
	while ((pending = list)) {
		list = pending->next;
		case_result_free(&pending->result);
		free(pending);
	}
	set_signals(SIG_DFL);
	free(jobs);
	free(polls);
	return interrupted;
}
