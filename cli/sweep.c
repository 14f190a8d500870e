/* SPDX-License-Identifier: MIT */
/*
 * --fail-count and --fail-sweep: how many allocations a script asks for, and whether it comes
 * through when any one of them fails.
 */
#define _GNU_SOURCE 1
#include "run.h"

#include <inttypes.h>
#include <stdio.h>

#include "worker.h"

uint64_t sweep_places(uint64_t wanted, uint64_t count)
{
	return wanted == 0 || wanted > count ? count : wanted;
}

uint64_t sweep_place(uint64_t i, uint64_t places, uint64_t count)
{
	return 1 + i * count / places;
}

/* Runs the script as it is and counts its allocations. */
static enum status count_in(const struct run_options *options, const char *file, uint64_t *count)
{
	struct script_options script = run_script_options(options, file, &target_quire);
	struct transcript *transcript = run_new_transcript(false);
	enum status status;

	script.print = false;
	script.count_allocations = true;
	status = worker_run(&script, transcript);
	run_print_reason(file, "quire", status, transcript);
	*count = transcript->allocations;
	transcript_free(transcript);
	return status;
}

enum status count_allocations(const struct run_options *options, const char *file)
{
	uint64_t count;
	enum status status = count_in(options, file, &count);

	if (status == STATUS_PASSED)
		printf("%" PRIu64 "\n", count);
	return status;
}

struct sweep {
	uint64_t hit;	 /* allocations that did fail */
	uint64_t failed; /* runs that did not come through */
	uint64_t first_failed;
	enum status status;
};

static void run_failing(const struct run_options *options, const char *file, uint64_t allocation,
			struct sweep *sweep)
{
	struct script_options script = run_script_options(options, file, &target_quire);
	struct transcript *transcript = run_new_transcript(false);
	char label[64];
	enum status status;

	snprintf(label, sizeof(label), "quire, allocation %" PRIu64 " failing", allocation);
	script.label = label;
	script.print = false;
	script.fail = allocation;
	status = worker_run(&script, transcript);
	if (status != STATUS_PASSED) {
		if (transcript->reason)
			fprintf(stderr, "[%s] %s\n", label, transcript->reason);
		if (!sweep->failed++)
			sweep->first_failed = allocation;
	}
	sweep->hit += transcript->allocation_failed;
	sweep->status = worse(sweep->status, status);
	transcript_free(transcript);
}

enum status sweep_allocations(const struct run_options *options, const char *file)
{
	struct sweep sweep = {.status = STATUS_PASSED};
	uint64_t count, places;
	enum status status = count_in(options, file, &count);

	if (status != STATUS_PASSED)
		return status;
	places = sweep_places(options->sweep_places, count);
	for (uint64_t i = 0; i < places; i++)
		run_failing(options, file, sweep_place(i, places, count), &sweep);
	printf("%s: hit %" PRIu64 " places of %" PRIu64 ", ", file, sweep.hit, count);
	if (sweep.failed)
		printf("%" PRIu64 " failed (the first: --fail %" PRIu64 ")\n", sweep.failed,
		       sweep.first_failed);
	else
		printf("all held\n");
	return sweep.status;
}
