/* SPDX-License-Identifier: MIT */
/*
 * Running a script on the targets, one after the other, and judging what came of it.
 *
 * What a worker writes to standard error is kept, for a panic says there which assertion failed.
 */
#define _GNU_SOURCE 1
#include "check_trial.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "worker.h"

/* What these scripts have a worker set on the machine ends with it, so it may be killed soon. */
#define GRACE 0.3

/* Standard error goes to a file of ours from now on; returns what it was. */
static int capture(int file)
{
	int before = dup(STDERR_FILENO);

	fflush(stderr);
	dup2(file, STDERR_FILENO);
	return before;
}

/* Puts it back, and reads what was written. */
static void release(int file, int before, char said[TRIAL_SAID_MAX])
{
	ssize_t length;

	dup2(before, STDERR_FILENO);
	close(before);
	length = pread(file, said, TRIAL_SAID_MAX - 1, 0);
	said[length > 0 ? length : 0] = 0;
	close(file);
}

static void run_side(struct trial *trial, int side, const struct check_targets *targets)
{
	const struct trial_script *script = &trial->script;
	const struct target_ops *ops = targets->ops[side];
	struct script_options options = {
		.file = script->name,
		.text = &script->text,
		.modules = script->modules,
		.arguments = script->arguments,
		.ops = ops,
		.other_ops = targets->ops[!side],
		.label = ops->name,
		.timeout = script->timeout,
		.grace = GRACE,
		.verify = script->verify && side == LIBRARY,
		.fail = script->fail,
		.count_allocations = script->count,
	};

	trial->names[side] = ops->name;
	trial->transcripts[side] = transcript_new(true);
	if (!trial->transcripts[side])
		target_fail("quire check: no memory for a transcript: %s", strerror(errno));
	trial->transcripts[side]->target = ops->name;
	trial->status[side] = worker_run(&options, trial->transcripts[side]);
}

/* Words with digits are the same whatever the digits are: they are numbers and names of things. */
static void copy_shape(char *shape, size_t room, const char *text)
{
	size_t used = 0;

	while (*text && *text != '\n' && used + 1 < room) {
		size_t length = 0;

		while (isalnum((unsigned char)text[length]))
			length++;
		if (!length) {
			shape[used++] = *text++;
		} else if (strcspn(text, "0123456789") < length) {
			shape[used++] = '#';
			text += length;
		} else {
			while (length-- && used + 1 < room)
				shape[used++] = *text++;
		}
	}
	shape[used] = 0;
}

/* "FILE:LINE: [TARGET] what" from `what` on. */
static const char *without_place(const char *text)
{
	const char *bracket = strstr(text, "] ");

	return bracket ? bracket + 2 : text;
}

static const struct entry *last_call(const struct transcript *transcript)
{
	const struct entry *last = NULL;

	for (const struct entry *e = transcript->first; e; e = e->next)
		if (e->kind == ENTRY_CALL)
			last = e;
	return last;
}

static void set_culprit(struct trial *trial, const struct entry *culprit)
{
	trial->culprit = culprit;
	if (culprit)
		snprintf(trial->symptom.function, sizeof(trial->symptom.function), "%s",
			 culprit->function);
}

/* "EINVAL" */
static bool is_error(const struct value *value)
{
	return value->kind == VALUE_STRING && value->string.length < 20 &&
	       value->string.bytes[0] == 'E' &&
	       strspn(value->string.bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZ2") == value->string.length;
}

/* Another error is another finding. */
static const char *kind_of(const struct value *value)
{
	static const char *const kinds[] = {
		[VALUE_NIL] = "nil",	   [VALUE_BOOLEAN] = "boolean", [VALUE_INTEGER] = "integer",
		[VALUE_NUMBER] = "number", [VALUE_STRING] = "string",	[VALUE_NAME] = "name",
		[VALUE_TABLE] = "table"};

	if (!value)
		return "nothing";
	return is_error(value) ? value->string.bytes : kinds[value->kind];
}

static void judge_difference(struct trial *trial)
{
	const struct difference *difference = &trial->difference;
	struct symptom *symptom = &trial->symptom;
	char path[sizeof(symptom->shape)];

	symptom->trouble = TROUBLE_DIFFERENCE;
	set_culprit(trial, difference->quire ? difference->quire : difference->kernel);
	copy_shape(path, sizeof(path), difference->path);
	snprintf(symptom->shape, sizeof(symptom->shape), "%.128s%s %s/%s", path,
		 difference->calls ? " calls" : "", kind_of(difference->quire_value),
		 kind_of(difference->kernel_value));
}

/* A check that failed on the library. */
static bool judge_checks(struct trial *trial)
{
	const struct entry *call = NULL;

	for (const struct entry *e = trial->transcripts[LIBRARY]->first; e; e = e->next) {
		if (e->kind == ENTRY_CHECK) {
			trial->symptom.trouble = TROUBLE_VIOLATION;
			set_culprit(trial, call);
			copy_shape(trial->symptom.shape, sizeof(trial->symptom.shape),
				   without_place(e->text));
			return true;
		}
		call = e->kind == ENTRY_CALL ? e : call;
	}
	return false;
}

static void judge_end(struct trial *trial, int side, enum trouble trouble)
{
	const struct transcript *transcript = trial->transcripts[side];
	const struct entry *last = last_call(transcript);
	char *what, *call;

	trial->symptom.trouble = trouble;
	trial->symptom.side = side;
	set_culprit(trial, last);
	if (asprintf(&what, "%.*s %s", (int)strcspn(trial->said, "\n"), trial->said,
		     transcript->reason ? without_place(transcript->reason) : "") < 0)
		target_fail("out of memory");
	/* The reason ends with the call, which is compared by its function alone. */
	call = last && call_pending(last) ? strstr(what, " in ") : NULL;
	if (call)
		*call = 0;
	copy_shape(trial->symptom.shape, sizeof(trial->symptom.shape), what);
	free(what);
}

static bool judge_ends(struct trial *trial, bool died)
{
	for (int side = 0; side < CHECK_SIDES; side++) {
		if (!trial->names[side] || trial->status[side] != STATUS_ERROR ||
		    trial->transcripts[side]->died != died)
			continue;
		judge_end(trial, side, died ? TROUBLE_DEATH : TROUBLE_ERROR);
		return true;
	}
	return false;
}

static bool judge_skips(struct trial *trial)
{
	for (int side = 0; side < CHECK_SIDES; side++) {
		if (trial->names[side] && trial->status[side] == STATUS_SKIPPED) {
			trial->symptom.trouble = TROUBLE_SKIPPED;
			trial->symptom.side = side;
			return true;
		}
	}
	return false;
}

static uint64_t count_calls(const struct transcript *transcript)
{
	uint64_t count = 0;

	for (const struct entry *e = next_compared(transcript->first); e;
	     e = next_compared(e->next))
		count++;
	return count;
}

/*
 * What is worst comes first.  A script error may come of a difference, so that is looked for
 * before; a death ends the transcript early, so it is looked for before that.
 */
static void judge(struct trial *trial)
{
	bool both = trial->names[LIBRARY] && trial->names[OTHER];

	if (trial->names[LIBRARY])
		trial->calls = count_calls(trial->transcripts[LIBRARY]);
	if (judge_skips(trial) || judge_ends(trial, true))
		return;
	if (trial->names[LIBRARY] && judge_checks(trial))
		return;
	if (both && transcripts_differ(trial->transcripts[LIBRARY], trial->transcripts[OTHER],
				       &trial->difference))
		judge_difference(trial);
	else
		judge_ends(trial, false);
}

void trial_run(struct trial *trial, const struct check_targets *targets,
	       const struct trial_script *script)
{
	int file = memfd_create("quire-said", MFD_CLOEXEC);
	int before;

	if (file < 0)
		target_fail("quire check: no memory for messages: %s", strerror(errno));
	*trial = (struct trial){.script = *script};
	before = capture(file);
	for (int side = 0; side < CHECK_SIDES; side++)
		if (targets->ops[side] && (!script->sides || script->sides >> side & 1))
			run_side(trial, side, targets);
	release(file, before, trial->said);
	judge(trial);
}

void trial_free(struct trial *trial)
{
	for (int side = 0; side < CHECK_SIDES; side++)
		transcript_free(trial->transcripts[side]);
}

bool same_symptom(const struct symptom *a, const struct symptom *b)
{
	return a->trouble == b->trouble && a->side == b->side &&
	       strcmp(a->function, b->function) == 0 && strcmp(a->shape, b->shape) == 0;
}

static void print_first_check(FILE *out, const struct transcript *transcript)
{
	for (const struct entry *e = transcript->first; e; e = e->next) {
		if (e->kind == ENTRY_CHECK) {
			fprintf(out, "%s\n", e->text);
			return;
		}
	}
}

void trial_print(FILE *out, const struct trial *trial)
{
	const struct transcript *transcript = trial->transcripts[trial->symptom.side];

	switch (trial->symptom.trouble) {
	case TROUBLE_NONE:
		break;
	case TROUBLE_DIFFERENCE:
		difference_print(out, trial->script.name, &trial->difference);
		break;
	case TROUBLE_VIOLATION:
		print_first_check(out, transcript);
		break;
	case TROUBLE_SKIPPED:
	case TROUBLE_DEATH:
	case TROUBLE_ERROR:
		fprintf(out, "%s\n", transcript->reason ? transcript->reason : "no reason given");
		fputs(trial->said, out);
		break;
	}
}

enum status trial_status(const struct trial *trial)
{
	switch (trial->symptom.trouble) {
	case TROUBLE_NONE:
		return STATUS_PASSED;
	case TROUBLE_SKIPPED:
		return STATUS_SKIPPED;
	case TROUBLE_DIFFERENCE:
		return STATUS_DIFFER;
	default:
		return trial->symptom.side == LIBRARY ? STATUS_FAILED : STATUS_DIFFER;
	}
}
