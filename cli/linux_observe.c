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
#include <inttypes.h>
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
	struct target_smaps smaps;
	bool shmem;
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

static FILE *fopen_proc(const struct process *process, const char *name)
{
	int file = open_proc(process, name);

	return file < 0 ? NULL : fdopen(file, "r");
}

static void drop_last_blank(char *text)
{
	size_t length = strlen(text);

	if (length && text[length - 1] == ' ')
		text[length - 1] = 0;
}

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

/* The line that starts a VMA, as in /proc/PID/maps. */
static bool parse_range(const char *line, struct mapping *mapping)
{
	struct target_vma *vma = &mapping->vma;
	char permissions[5];
	unsigned long inode;
	int name = 0;
	bool anonymous;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %lu %n", &vma->start,
		   &vma->end, permissions, &vma->offset, &inode, &name) != 5)
		return false;
	memcpy(vma->prot, permissions, 3);
	vma->shared = permissions[3] == 's';
	/* Shared anonymous memory is a shmem file of the kernel's own. */
	anonymous = inode == 0 || starts_with(line + name, "/dev/zero (deleted)");
	vma->file = !anonymous;
	if (anonymous)
		vma->offset = 0;
	mapping->shmem = inode && (anonymous || starts_with(line + name, "/memfd:"));
	return true;
}

/* "Rss:    4 kB" */
static void parse_field(const char *line, struct target_smaps *smaps)
{
	char name[sizeof(smaps->field[0].name)], unit[3] = "";
	uint64_t value;

	if (smaps->count == TARGET_SMAPS_MAX ||
	    sscanf(line, "%23[^:]: %" SCNu64 " %2s", name, &value, unit) < 2)
		return;
	strcpy(smaps->field[smaps->count].name, name);
	smaps->field[smaps->count].value = strcmp(unit, "kB") == 0 ? value * 1024 : value;
	smaps->count++;
}

/* Reads the next VMA from smaps; its flags come last. */
static bool next_mapping(FILE *file, struct mapping *mapping)
{
	char line[512];

	memset(mapping, 0, sizeof(*mapping));
	if (!fgets(line, sizeof(line), file) || !parse_range(line, mapping))
		return false;
	mapping->smaps.start = mapping->vma.start;
	mapping->smaps.end = mapping->vma.end;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "VmFlags: %127[^\n]", mapping->vma.flags) == 1) {
			drop_last_blank(mapping->vma.flags);
			strcpy(mapping->smaps.flags, mapping->vma.flags);
			return true;
		}
		parse_field(line, &mapping->smaps);
	}
	return false;
}

/* The next one that is the script's. */
static bool next_of_script(const struct process *process, FILE *file, struct mapping *mapping)
{
	while (next_mapping(file, mapping)) {
		if (mapping->vma.start >= USER_END)
			return false;
		if (!is_own(process, mapping->vma.start, mapping->vma.end))
			return true;
	}
	return false;
}

static uint64_t field(const struct mapping *mapping, const char *name)
{
	for (unsigned i = 0; i < mapping->smaps.count; i++)
		if (strcmp(mapping->smaps.field[i].name, name) == 0)
			return mapping->smaps.field[i].value;
	return 0;
}

void observe_own(struct process *process)
{
	FILE *file = fopen_proc(process, "smaps");
	struct mapping mapping;

	if (!file)
		target_fail("linux: can't read smaps: %s", strerror(errno));
	while (next_mapping(file, &mapping) && mapping.vma.end <= WINDOW_TOP) {
		if (!process->own_start)
			process->own_start = mapping.vma.start;
		process->own_end = mapping.vma.end;
	}
	fclose(file);
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
	FILE *file = fopen_proc(process, "smaps");
	struct mapping mapping;
	int error = ENOENT;

	if (!file)
		return errno;
	while (error && next_of_script(process, file, &mapping)) {
		if (mapping.vma.start > address)
			break;
		if (mapping.vma.end > address) {
			*smaps = mapping.smaps;
			error = 0;
		}
	}
	fclose(file);
	return error;
}

int observe_maps(struct process *process, struct target_vma **vmas, size_t *count)
{
	FILE *file = fopen_proc(process, "smaps");
	struct mapping mapping;
	size_t room = 0;

	if (!file)
		return errno;
	*vmas = NULL;
	*count = 0;
	while (next_of_script(process, file, &mapping)) {
		if (*count == room) {
			room = room ? 2 * room : 16;
			*vmas = realloc(*vmas, room * sizeof(**vmas));
			if (!*vmas)
				target_fail("out of memory");
		}
		(*vmas)[(*count)++] = mapping.vma;
	}
	fclose(file);
	return 0;
}

/* The page tables of all levels, the agent's own included. */
static int table_bytes(struct process *process, uint64_t *bytes)
{
	FILE *file = fopen_proc(process, "status");
	char line[512];

	if (!file)
		return errno;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "VmPTE: %" SCNu64, bytes) == 1)
			break;
	*bytes *= 1024;
	fclose(file);
	return 0;
}

int observe_rss(struct process *process, struct target_rss *rss)
{
	FILE *file = fopen_proc(process, "smaps");
	struct mapping mapping;

	if (!file)
		return errno;
	memset(rss, 0, sizeof(*rss));
	while (next_of_script(process, file, &mapping)) {
		uint64_t anon = field(&mapping, "Anonymous");
		uint64_t cached = field(&mapping, "Rss") - anon;

		rss->anon += anon;
		rss->swap += field(&mapping, "Swap");
		if (mapping.shmem)
			rss->shmem += cached;
		else
			rss->file += cached;
	}
	fclose(file);
	return table_bytes(process, &rss->tables);
}
