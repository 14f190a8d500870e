/* SPDX-License-Identifier: MIT */
/*
 * Supervising a worker.
 *
 * A worker that has to stop is asked first (SIGTERM), so that its target can put the machine's
 * settings back, and killed if it does not answer.  It is killed with the runner, too.  It has a
 * process group of its own: ^C reaches the runner alone, which then stops the worker.
 */
#define _GNU_SOURCE 1
#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long a worker that was asked to stop has, in seconds, unless it is told otherwise. */
#define GRACE 3.0

double seconds_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The end of a child, and what tells the runner to stop unless it was started to ignore it. */
static sigset_t awaited_signals(void)
{
	static const int stopping[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction action;
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	for (size_t i = 0; i < sizeof(stopping) / sizeof(stopping[0]); i++)
		if (sigaction(stopping[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(&signals, stopping[i]);
	return signals;
}

enum outcome {
	ENDED,
	EXPIRED,
	INTERRUPTED, /* the runner was told to stop: *signal */
};

/* Targets wait for each other, which takes as long as it takes. */
static double time_opening(const struct transcript *transcript)
{
	const volatile double *opening = &transcript->opening;
	double since = *opening;

	return transcript->opened + (since > 0 ? seconds_now() - since : 0);
}

/* For so many seconds, not counting those in which the target is opened. */
static enum outcome await(pid_t worker, const struct transcript *transcript, double seconds,
			  int *ending, int *signal)
{
	sigset_t signals = awaited_signals();
	double deadline = seconds_now() + seconds - time_opening(transcript);

	for (;;) {
		double left = deadline + time_opening(transcript) - seconds_now();
		struct timespec time;

		if (waitpid(worker, ending, WNOHANG) == worker)
			return ENDED;
		if (left <= 0)
			return EXPIRED;
		time.tv_sec = (time_t)left;
		time.tv_nsec = (long)((left - (double)time.tv_sec) * 1e9);
		*signal = sigtimedwait(&signals, NULL, &time);
		if (*signal > 0 && *signal != SIGCHLD)
			return INTERRUPTED;
	}
}

/* False: not even killing it was of use, and it is left where it is. */
static bool stop(const struct script_options *options, const struct transcript *transcript,
		 pid_t worker)
{
	int ending, ignored;

	kill(worker, SIGTERM);
	if (await(worker, transcript, options->grace > 0 ? options->grace : GRACE, &ending,
		  &ignored) == ENDED)
		return true;
	kill(worker, SIGKILL);
	return await(worker, transcript, GRACE, &ending, &ignored) == ENDED;
}

static _Noreturn void work(const struct script_options *options, struct transcript *transcript,
			   pid_t runner, const sigset_t *signals)
{
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != runner)
		_exit(STATUS_ERROR);
	sigprocmask(SIG_SETMASK, signals, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	transcript_keep_private(transcript);
	script_run(options, transcript);
}

/* Says what happened to the worker, and where the script was. */
static void explain(const struct script_options *options, struct transcript *transcript,
		    const char *what)
{
	const struct entry *last = transcript->last;
	bool in_call = last && call_pending(last);
	int line = transcript->line;
	char *call;

	transcript->died = true;
	if (in_call || (!line && last))
		line = last->line;
	transcript->reason = transcript_printf(transcript, "%s:%d: [%s] %s", options->file, line,
					       options->label, what);
	if (in_call) {
		call = entry_call_text(last);
		transcript->reason =
			transcript_printf(transcript, "%s in %s", transcript->reason, call);
		free(call);
	}
}

static enum status judge(const struct script_options *options, struct transcript *transcript,
			 int ending)
{
	char what[64];

	if (WIFSIGNALED(ending)) {
		snprintf(what, sizeof(what), "died of SIG%s", sigabbrev_np(WTERMSIG(ending)));
	} else if (transcript->finished) {
		return (enum status)WEXITSTATUS(ending);
	} else if (WEXITSTATUS(ending) == STATUS_ERROR) {
		transcript->died = true; /* target_fail() has said why */
		return STATUS_ERROR;
	} else {
		snprintf(what, sizeof(what), "left with exit status %d", WEXITSTATUS(ending));
	}
	explain(options, transcript, what);
	return STATUS_ERROR;
}

static enum status supervise(const struct script_options *options, struct transcript *transcript,
			     pid_t worker)
{
	int ending = 0, told = 0;
	char what[96];

	switch (await(worker, transcript, options->timeout, &ending, &told)) {
	case ENDED:
		return judge(options, transcript, ending);
	case EXPIRED:
		if (stop(options, transcript, worker))
			snprintf(what, sizeof(what), "timed out after %g s", options->timeout);
		else
			snprintf(what, sizeof(what),
				 "timed out after %g s, can't be killed (process %d),",
				 options->timeout, (int)worker);
		explain(options, transcript, what);
		return STATUS_ERROR;
	case INTERRUPTED:
		stop(options, transcript, worker);
		signal(told, SIG_DFL);
		kill(getpid(), told);
		break;
	}
	return STATUS_ERROR;
}

enum status worker_run(const struct script_options *options, struct transcript *transcript)
{
	sigset_t signals = awaited_signals(), before;
	pid_t runner = getpid(), worker;
	enum status status;

	profile_host(); /* asked once, for all workers */
	fflush(NULL);
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &signals, &before);
	worker = fork();
	if (worker == 0)
		work(options, transcript, runner, &before);
	if (worker > 0) {
		status = supervise(options, transcript, worker);
	} else {
		status = STATUS_ERROR;
		transcript->reason = strerror(errno);
	}
	/* A signal that made supervise() give up arrives here. */
	sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
}
