/* SPDX-License-Identifier: MIT */
/*
 * What the kernel shows of an agent's memory.  All but mincore is read from /proc by the
 * controller; nothing disturbs the agent, and its threads may sleep.
 *
 * maps, smaps and rss are all made from /proc/PID/smaps, without the agent's own VMAs.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "linux_target.h"

#define PAGEMAP_KNOWN (~UINT64_C(0) << 55) /* the rest is where the page is */

/* One VMA of smaps. */
struct mapping {
	struct target_vma vma;
	bool shmem;
	const char *fields; /* the line after the VMA's own, and the rest of the text */
};

/* Opens /proc/PID/name; -1: errno says why. */
static int open_proc(const struct process *process, const char *name)
{
	char path[64];

	if (!process->pid) {
		errno = ESRCH;
		return -1;
	}
	snprintf(path, sizeof(path), "/proc/%d/%s", process->pid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* The whole of /proc/PID/name, malloc'ed; NULL: errno says why. */
static char *read_proc(const struct process *process, const char *name)
{
	int file = open_proc(process, name), error;
	size_t room = 0, length = 0;
	char *text = NULL;
	ssize_t n = 1;

	if (file < 0)
		return NULL;
	while (n > 0) {
		if (room - length <= PAGE_SIZE) { /* the kernel gives about a page at once */
			room = room ? 2 * room : 1u << 16;
			text = realloc(text, room);
			if (!text)
				target_fail("out of memory");
		}
		n = read(file, text + length, room - length - 1);
		length += n > 0 ? (size_t)n : 0;
	}
	error = errno;
	close(file);
	text[length] = 0;
	if (n == 0)
		return text;
	free(text);
	errno = error;
	return NULL;
}

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static const char *next_line(const char *line)
{
	const char *end = strchr(line, '\n');

	return end ? end + 1 : line + strlen(line);
}

static const char *next_word(const char *word)
{
	word += strcspn(word, " \n");
	return word + strspn(word, " ");
}

/* The line that starts a VMA, as in /proc/PID/maps: "START-END rwxp OFFSET DEVICE INODE NAME". */
static void parse_range(const char *line, struct mapping *mapping)
{
	struct target_vma *vma = &mapping->vma;
	unsigned long inode;
	bool anonymous;
	char *end;

	vma->start = strtoull(line, &end, 16);
	vma->end = strtoull(end + 1, NULL, 16);
	line = next_word(line);
	memcpy(vma->prot, line, 3);
	vma->shared = line[3] == 's';
	line = next_word(line);
	vma->offset = strtoull(line, NULL, 16);
	line = next_word(next_word(line));
	inode = strtoul(line, NULL, 10);
	line = next_word(line);
	/* Shared anonymous memory is a shmem file of the kernel's own. */
	anonymous = inode == 0 || starts_with(line, "/dev/zero (deleted)");
	vma->file = !anonymous;
	if (anonymous)
		vma->offset = 0;
	mapping->shmem = inode && (anonymous || starts_with(line, "/memfd:"));
}

/* "VmFlags: rd wr mr \n" */
static void parse_flags(const char *line, char flags[128])
{
	size_t length;

	line = next_word(line);
	length = strcspn(line, "\n");
	while (length && line[length - 1] == ' ')
		length--;
	if (length > 127)
		length = 127;
	memcpy(flags, line, length);
	flags[length] = 0;
}

/* Takes the next VMA from the text of smaps; its flags come last. */
static bool next_mapping(const char **text, struct mapping *mapping)
{
	const char *line = *text;

	memset(mapping, 0, sizeof(*mapping));
	if (!*line)
		return false;
	parse_range(line, mapping);
	mapping->fields = line = next_line(line);
	while (*line && *line != 'V')
		line = next_line(line);
	if (!*line)
		return false;
	parse_flags(line, mapping->vma.flags);
	*text = next_line(line);
	return true;
}

/* The next one that is the script's. */
static bool next_of_script(const struct process *process, const char **text,
			   struct mapping *mapping)
{
	while (next_mapping(text, mapping)) {
		if (mapping->vma.start >= USER_END)
			return false;
		if (!is_own(process, mapping->vma.start, mapping->vma.end))
			return true;
	}
	return false;
}

/* "4 kB", "1" */
static uint64_t parse_value(const char *value)
{
	char *end;
	uint64_t number = strtoull(value, &end, 10);

	return starts_with(end, " kB") ? number * 1024 : number;
}

/* Zero where the kernel does not show it. */
static uint64_t field(const struct mapping *mapping, const char *name)
{
	size_t length = strlen(name);

	for (const char *line = mapping->fields; *line && *line != 'V'; line = next_line(line))
		if (strncmp(line, name, length) == 0 && line[length] == ':')
			return parse_value(next_word(line));
	return 0;
}

static void all_fields(const struct mapping *mapping, struct target_smaps *smaps)
{
	memset(smaps, 0, sizeof(*smaps));
	smaps->start = mapping->vma.start;
	smaps->end = mapping->vma.end;
	strcpy(smaps->flags, mapping->vma.flags);
	for (const char *line = mapping->fields;
	     *line && *line != 'V' && smaps->count < TARGET_SMAPS_MAX; line = next_line(line)) {
		size_t length = strcspn(line, ":");

		if (length >= sizeof(smaps->field[0].name))
			continue;
		memcpy(smaps->field[smaps->count].name, line, length);
		smaps->field[smaps->count++].value = parse_value(next_word(line));
	}
}

void observe_own(struct process *process)
{
	char *text = read_proc(process, "smaps");
	const char *at = text;
	struct mapping mapping;

	if (!text)
		target_fail("linux: can't read smaps: %s", strerror(errno));
	while (next_mapping(&at, &mapping) && mapping.vma.end <= WINDOW_TOP) {
		if (!process->own_start)
			process->own_start = mapping.vma.start;
		process->own_end = mapping.vma.end;
	}
	/* The same for every program, if it is where programs are. */
	if (process->own_start >= PROGRAM_START && process->own_end <= PROGRAM_END) {
		process->own_start = PROGRAM_START;
		process->own_end = PROGRAM_END;
	}
	free(text);
}

int observe_pagemap(struct process *process, uint64_t address, uint64_t pages, uint64_t *bits)
{
	int file = open_proc(process, "pagemap");
	size_t length = pages * sizeof(*bits), done = 0;
	ssize_t n = 1;
	int error = 0;

	if (file < 0)
		return errno;
	while (done < length && n > 0) {
		n = pread(file, (char *)bits + done, length - done,
			  (off_t)(address / PAGE_SIZE * sizeof(*bits) + done));
		if (n > 0)
			done += (size_t)n;
	}
	if (n < 0)
		error = errno;
	else if (n == 0)
		error = EFAULT; /* beyond what a process can have */
	close(file);
	for (uint64_t i = 0; i < done / sizeof(*bits); i++)
		bits[i] &= PAGEMAP_KNOWN;
	return error;
}

int observe_scan(struct process *process, struct pm_scan_arg *argument, size_t *regions)
{
	int file = open_proc(process, "pagemap");
	int filled, error;

	if (file < 0)
		return errno;
	filled = ioctl(file, PAGEMAP_SCAN, argument);
	error = filled < 0 ? errno : 0;
	*regions = filled < 0 ? 0 : (size_t)filled;
	close(file);
	return error;
}

/* The agent's server asks, in pieces that fit into its data. */
int observe_mincore(struct process *process, uint64_t address, uint64_t length,
		    unsigned char *pages)
{
	const uint64_t most = (uint64_t)TARGET_TRANSFER_MAX * PAGE_SIZE;
	struct thread *server = &process->server;
	int64_t result;

	if (!process->pid)
		return ESRCH;
	do {
		uint64_t part = length < most ? length : most;
		uint64_t count = (part + PAGE_SIZE - 1) / PAGE_SIZE;

		result = thread_system_call(
			server, SYS_mincore,
			(uint64_t[6]){address, part, thread_address(server, server->slot->data)});
		if (result == 0)
			memcpy(pages, server->slot->data, count);
		pages += count;
		address += part;
		length -= part;
	} while (result == 0 && length);
	return (int)-result;
}

int observe_smaps(struct process *process, uint64_t address, struct target_smaps *smaps)
{
	const char *at;
	char *text;
	struct mapping mapping;
	int error = ENOENT;

	target_drain(process->target);
	at = text = read_proc(process, "smaps");
	if (!text)
		return errno;
	while (error && next_of_script(process, &at, &mapping)) {
		if (mapping.vma.start > address)
			break;
		if (mapping.vma.end > address) {
			all_fields(&mapping, smaps);
			error = 0;
		}
	}
	free(text);
	return error;
}

int observe_maps(struct process *process, struct target_vma **vmas, size_t *count)
{
	char *text = read_proc(process, "smaps");
	const char *at = text;
	struct mapping mapping;
	size_t room = 0;

	if (!text)
		return errno;
	*vmas = NULL;
	*count = 0;
	while (next_of_script(process, &at, &mapping)) {
		if (*count == room) {
			room = room ? 2 * room : 16;
			*vmas = realloc(*vmas, room * sizeof(**vmas));
			if (!*vmas)
				target_fail("out of memory");
		}
		(*vmas)[(*count)++] = mapping.vma;
	}
	free(text);
	return 0;
}

/* The page tables of all levels, the agent's own included. */
static int table_bytes(struct process *process, uint64_t *bytes)
{
	char *text = read_proc(process, "status");
	const char *line = text;

	if (!text)
		return errno;
	while (*line && !starts_with(line, "VmPTE:"))
		line = next_line(line);
	*bytes = parse_value(line + strcspn(line, "0123456789"));
	free(text);
	return 0;
}

int observe_rss(struct process *process, struct target_rss *rss)
{
	char *text = read_proc(process, "smaps");
	const char *at = text;
	struct mapping mapping;

	if (!text)
		return errno;
	memset(rss, 0, sizeof(*rss));
	while (next_of_script(process, &at, &mapping)) {
		uint64_t anon = field(&mapping, "Anonymous");
		uint64_t cached = field(&mapping, "Rss") - anon;

		rss->anon += anon;
		rss->swap += field(&mapping, "Swap");
		if (mapping.shmem)
			rss->shmem += cached;
		else
			rss->file += cached;
	}
	free(text);
	return table_bytes(process, &rss->tables);
}
