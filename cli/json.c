/* SPDX-License-Identifier: MIT */
/*
 *	{ "scripts": [ { "file", "status", "targets": [ { "target", "status", "reason", "checks",
 *	  "failures": [ { "line", "text" } ], "transcript": [ { "line", "call", "subject",
 *	  "function", "arguments", "results", "compared" } | { "line", "say" } ] } ],
 *	  "difference": { "line", "call", "at", "quire", "linux" } } ],
 *	  "passed", "failed", "skipped" }
 */
#include "json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool first_script = true;

const char *status_name(enum status status)
{
	switch (status) {
	case STATUS_PASSED:
		return "passed";
	case STATUS_FAILED:
		return "failed";
	case STATUS_ERROR:
		return "error";
	case STATUS_DIFFER:
		return "differ";
	case STATUS_SKIPPED:
		return "skipped";
	}
	return "unknown";
}

static void print_text(FILE *out, const char *text)
{
	json_print_string(out, text, strlen(text));
}

static void print_call_text(FILE *out, const struct entry *entry)
{
	char *text = entry_call_text(entry);

	print_text(out, text);
	free(text);
}

static void print_entry(FILE *out, const struct entry *entry)
{
	fprintf(out, "{\"line\":%d,", entry->line);
	if (entry->kind == ENTRY_SAY) {
		fputs("\"say\":", out);
		print_text(out, entry->text);
		putc('}', out);
		return;
	}
	fputs("\"call\":", out);
	print_call_text(out, entry);
	fputs(",\"subject\":", out);
	print_text(out, entry->subject);
	fputs(",\"function\":", out);
	print_text(out, entry->function);
	fputs(",\"arguments\":", out);
	value_print_json(out, entry->arguments);
	fputs(",\"results\":", out);
	if (entry->results)
		value_print_json(out, entry->results);
	else
		fputs("null", out);
	fprintf(out, ",\"compared\":%s}", entry->kind == ENTRY_CALL ? "true" : "false");
}

static void print_failures(FILE *out, const struct transcript *transcript)
{
	const char *separator = "";

	for (const struct entry *entry = transcript->first; entry; entry = entry->next) {
		if (entry->kind != ENTRY_CHECK)
			continue;
		fprintf(out, "%s{\"line\":%d,\"text\":", separator, entry->line);
		print_text(out, entry->text);
		putc('}', out);
		separator = ",";
	}
}

static void print_entries(FILE *out, const struct transcript *transcript)
{
	const char *separator = "";

	for (const struct entry *entry = transcript->first; entry; entry = entry->next) {
		if (entry->kind == ENTRY_CHECK || entry->kind == ENTRY_CELL ||
		    entry->kind == ENTRY_REACHED)
			continue;
		fputs(separator, out);
		print_entry(out, entry);
		separator = ",\n";
	}
}

static void print_run(FILE *out, const struct script_run *run)
{
	fprintf(out, "{\"target\":\"%s\",\"status\":\"%s\",\"reason\":", run->target,
		status_name(run->status));
	if (run->transcript->reason)
		print_text(out, run->transcript->reason);
	else
		fputs("null", out);
	fprintf(out, ",\"checks\":%" PRIu64 ",\"failures\":[", run->transcript->checks);
	print_failures(out, run->transcript);
	fputs("],\"transcript\":[", out);
	print_entries(out, run->transcript);
	fputs("]}", out);
}

static void print_side(FILE *out, const struct entry *entry)
{
	if (entry && entry->results)
		value_print_json(out, entry->results);
	else
		fputs("null", out);
}

static void print_difference(FILE *out, const struct difference *difference)
{
	const struct entry *entry = difference->quire ? difference->quire : difference->kernel;

	fprintf(out, ",\"difference\":{\"line\":%d,\"call\":", entry->line);
	print_call_text(out, entry);
	fputs(",\"at\":", out);
	print_text(out, difference->path);
	fprintf(out, ",\"%s\":", difference->quire_name);
	print_side(out, difference->quire);
	fprintf(out, ",\"%s\":", difference->kernel_name);
	print_side(out, difference->kernel);
	putc('}', out);
}

void json_begin(FILE *out)
{
	if (out)
		fputs("{\"scripts\":[", out);
}

void json_script(FILE *out, const char *file, enum status status, const struct script_run *runs,
		 size_t count, const struct difference *difference)
{
	if (!out)
		return;
	fputs(first_script ? "\n{\"file\":" : ",\n{\"file\":", out);
	first_script = false;
	print_text(out, file);
	fprintf(out, ",\"status\":\"%s\",\"targets\":[", status_name(status));
	for (size_t i = 0; i < count; i++) {
		fputs(i ? ",\n" : "", out);
		print_run(out, &runs[i]);
	}
	putc(']', out);
	if (difference)
		print_difference(out, difference);
	putc('}', out);
}

void json_end(FILE *out, unsigned long passed, unsigned long failed, unsigned long skipped)
{
	if (out)
		fprintf(out, "\n],\"passed\":%lu,\"failed\":%lu,\"skipped\":%lu}\n", passed, failed,
			skipped);
}
