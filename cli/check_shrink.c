/* SPDX-License-Identifier: MIT */
/*
 * Shrinking: what comes after the finding is cut, what only looks is dropped, and then statements
 * are left out as long as the finding shows: half of them, quarters, and so on, and again from the
 * start when that has removed something.  What needs a statement that is left out goes with it.
 * What remains is simplified (check_simplify.c).
 *
 * A candidate is run on the targets that the finding needs, and with the invariant checker only if
 * the finding is the checker's.
 */
#define _GNU_SOURCE 1
#include "check_shrink.h"

#include <stdlib.h>
#include <string.h>

#include "check_emit.h"
#include "worker.h"

/* A candidate that takes longer hangs; where a hang is looked for, each one takes so long. */
#define CANDIDATE_TIMEOUT 3.0
#define HANGING_TIMEOUT	  1.0

struct shrinker {
	const struct check_targets *targets;
	const struct symptom *symptom;
	struct scenario scenario;
	struct trial_script script; /* how candidates are run */
	bool *before;		    /* what was kept before the candidate */
	double deadline;
	bool in_time;
};

static char *text_of(const struct scenario *scenario, size_t *length)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, length);

	if (!out)
		target_fail("out of memory");
	scenario_print(out, scenario);
	fclose(out);
	return text;
}

static bool reproduces(struct shrinker *shrinker)
{
	struct trial trial;
	char *text = text_of(&shrinker->scenario, &shrinker->script.text.length);
	bool same;

	shrinker->script.text.bytes = text;
	trial_run(&trial, shrinker->targets, &shrinker->script);
	same = same_symptom(&trial.symptom, shrinker->symptom);
	trial_free(&trial);
	free(text);
	return same;
}

static void save(struct shrinker *shrinker)
{
	for (size_t i = 0; i < shrinker->scenario.count; i++)
		shrinker->before[i] = shrinker->scenario.statements[i].kept;
}

static void restore(struct shrinker *shrinker)
{
	for (size_t i = 0; i < shrinker->scenario.count; i++)
		shrinker->scenario.statements[i].kept = shrinker->before[i];
}

/* The candidate has been marked since save().  Goes back if it does not show the finding. */
static bool accept(struct shrinker *shrinker)
{
	struct scenario *scenario = &shrinker->scenario;

	if (seconds_now() > shrinker->deadline)
		shrinker->in_time = false;
	scenario_close(scenario);
	if (shrinker->in_time && scenario->statements[scenario->count - 1].kept &&
	    reproduces(shrinker))
		return true;
	restore(shrinker);
	return false;
}

static void drop_observations(struct shrinker *shrinker)
{
	struct scenario *scenario = &shrinker->scenario;

	save(shrinker);
	for (size_t i = 0; i + 1 < scenario->count; i++)
		if (entry_observes(&scenario->statements[i].entry))
			scenario->statements[i].kept = false;
	accept(shrinker);
}

/* Drops `chunk` kept statements from the one at `at` on; returns where the next ones are. */
static size_t drop_chunk(struct scenario *scenario, size_t at, size_t chunk)
{
	for (; at + 1 < scenario->count && chunk; at++) {
		if (scenario->statements[at].kept) {
			scenario->statements[at].kept = false;
			chunk--;
		}
	}
	return at;
}

static void drop_chunks(struct shrinker *shrinker, size_t chunk)
{
	struct scenario *scenario = &shrinker->scenario;
	size_t at = 0;

	while (at + 1 < scenario->count && shrinker->in_time) {
		size_t kept = scenario_kept(scenario);

		save(shrinker);
		at = drop_chunk(scenario, at, chunk);
		if (scenario_kept(scenario) < kept)
			accept(shrinker);
	}
}

static void drop_statements(struct shrinker *shrinker)
{
	size_t before;

	do {
		before = scenario_kept(&shrinker->scenario);
		for (size_t chunk = (before + 1) / 2; chunk;
		     chunk = chunk > 1 ? (chunk + 1) / 2 : 0)
			drop_chunks(shrinker, chunk);
	} while (scenario_kept(&shrinker->scenario) < before && shrinker->in_time);
}

/* check_simplify.c asks whether what it changed still shows the finding. */
static bool still_shows(void *context)
{
	struct shrinker *shrinker = context;

	if (seconds_now() > shrinker->deadline)
		shrinker->in_time = false;
	return shrinker->in_time && reproduces(shrinker);
}

/* Simpler statements may need fewer others, and fewer be simpler. */
static void minimise(struct shrinker *shrinker)
{
	drop_observations(shrinker);
	do {
		drop_statements(shrinker);
	} while (scenario_simplify(&shrinker->scenario, still_shows, shrinker) &&
		 shrinker->in_time);
}

/* The targets that show it. */
static unsigned sides(const struct symptom *symptom)
{
	return symptom->trouble == TROUBLE_DIFFERENCE ? 0 : 1u << symptom->side;
}

static void set_script(struct shrinker *shrinker, const struct trial *found)
{
	static char *const none[] = {NULL};
	bool hangs = strstr(found->symptom.shape, "timed out");
	double timeout = hangs ? HANGING_TIMEOUT : CANDIDATE_TIMEOUT;

	shrinker->script = (struct trial_script){
		.name = "candidate.lua",
		.arguments = none,
		.timeout = timeout < found->script.timeout ? timeout : found->script.timeout,
		.sides = sides(&found->symptom),
		.verify = found->symptom.trouble == TROUBLE_VIOLATION,
		.fail = found->script.fail,
	};
}

static const struct transcript *transcript_of(const struct trial *found)
{
	if (found->symptom.trouble == TROUBLE_DIFFERENCE && !found->difference.quire)
		return found->transcripts[OTHER];
	return found->transcripts[found->symptom.side];
}

struct shrunk shrink(const struct check_targets *targets, const struct trial *found, double seconds)
{
	struct shrinker shrinker = {.targets = targets,
				    .symptom = &found->symptom,
				    .deadline = seconds_now() + seconds,
				    .in_time = true};
	struct shrunk shrunk = {.in_time = true};
	size_t length;

	shrinker.scenario = scenario_new(transcript_of(found), found->culprit);
	shrunk.before = shrunk.after = shrinker.scenario.count;
	if (shrinker.scenario.unwritable)
		shrunk.why_not = "it writes a long string that is not of one byte";
	else if (!shrinker.scenario.count)
		shrunk.why_not = "it makes no call";
	if (!shrunk.why_not) {
		set_script(&shrinker, found);
		shrinker.before = calloc(shrinker.scenario.count, sizeof(bool));
		if (!shrinker.before)
			target_fail("out of memory");
		shrunk.reproduces = reproduces(&shrinker);
		/* What fails an allocation by its number needs all that come before. */
		if (shrunk.reproduces && !found->script.fail)
			minimise(&shrinker);
		shrunk.in_time = shrinker.in_time;
		shrunk.after = scenario_kept(&shrinker.scenario);
		shrunk.text = text_of(&shrinker.scenario, &length);
		free(shrinker.before);
	}
	scenario_free(&shrinker.scenario);
	return shrunk;
}
