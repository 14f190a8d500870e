/* SPDX-License-Identifier: MIT */
/*
 * What the quire target shows of its processes: the library's reports in the target's words.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw.h"
#include "library_target.h"

/* --- what the kernel shows too --- */

int library_pagemap(struct process *process, uint64_t address, uint64_t pages, uint64_t *bits)
{
	return -quire_pagemap(process->space, address, pages, bits);
}

int library_mincore(struct process *process, uint64_t address, uint64_t length,
		    unsigned char *pages)
{
	return -quire_mincore(process->space, address, length, pages);
}

/* In the order of /proc/PID/smaps. */
static const struct {
	const char *name;
	size_t offset; /* in struct quire_smaps */
} smaps_fields[] = {
	{"Size", offsetof(struct quire_smaps, size)},
	{"KernelPageSize", offsetof(struct quire_smaps, kernel_page_size)},
	{"MMUPageSize", offsetof(struct quire_smaps, mmu_page_size)},
	{"Rss", offsetof(struct quire_smaps, rss)},
	{"Pss", offsetof(struct quire_smaps, pss)},
	{"Pss_Dirty", offsetof(struct quire_smaps, pss_dirty)},
	{"Shared_Clean", offsetof(struct quire_smaps, shared_clean)},
	{"Shared_Dirty", offsetof(struct quire_smaps, shared_dirty)},
	{"Private_Clean", offsetof(struct quire_smaps, private_clean)},
	{"Private_Dirty", offsetof(struct quire_smaps, private_dirty)},
	{"Referenced", offsetof(struct quire_smaps, referenced)},
	{"Anonymous", offsetof(struct quire_smaps, anonymous)},
	{"KSM", offsetof(struct quire_smaps, ksm)},
	{"LazyFree", offsetof(struct quire_smaps, lazyfree)},
	{"AnonHugePages", offsetof(struct quire_smaps, anon_huge_pages)},
	{"ShmemPmdMapped", offsetof(struct quire_smaps, shmem_pmd_mapped)},
	{"FilePmdMapped", offsetof(struct quire_smaps, file_pmd_mapped)},
	{"Shared_Hugetlb", offsetof(struct quire_smaps, shared_hugetlb)},
	{"Private_Hugetlb", offsetof(struct quire_smaps, private_hugetlb)},
	{"Swap", offsetof(struct quire_smaps, swap)},
	{"SwapPss", offsetof(struct quire_smaps, swap_pss)},
	{"Locked", offsetof(struct quire_smaps, locked)},
	{"THPeligible", offsetof(struct quire_smaps, thp_eligible)},
	{"ProtectionKey", offsetof(struct quire_smaps, protection_key)}, /* the last one */
};
#define SMAPS_FIELDS (sizeof(smaps_fields) / sizeof(smaps_fields[0]))
_Static_assert(SMAPS_FIELDS <= TARGET_SMAPS_MAX, "every field has a place");

int library_smaps(struct process *process, uint64_t address, struct target_smaps *smaps)
{
	struct quire_vma_report vma;
	struct quire_smaps amounts;
	int error = quire_smaps(process->space, address, &amounts);

	if (!error)
		error = quire_vma(process->space, address, &vma);
	if (error)
		return -error;
	smaps->start = amounts.start;
	smaps->end = amounts.end;
	/* A kernel shows keys on a processor that has them. */
	smaps->count = SMAPS_FIELDS - !process->target->execute_only;
	for (unsigned i = 0; i < smaps->count; i++) {
		snprintf(smaps->field[i].name, sizeof(smaps->field[i].name), "%s",
			 smaps_fields[i].name);
		memcpy(&smaps->field[i].value, (const char *)&amounts + smaps_fields[i].offset,
		       sizeof(smaps->field[i].value));
	}
	snprintf(smaps->flags, sizeof(smaps->flags), "%s", vma.flags);
	return 0;
}

static struct target_vma vma_of(const struct quire_vma_report *report)
{
	struct target_vma vma = {
		.start = report->start,
		.end = report->end,
		.offset = report->offset,
		.prot =
			{
				report->prot & QUIRE_PROT_READ ? 'r' : '-',
				report->prot & QUIRE_PROT_WRITE ? 'w' : '-',
				report->prot & QUIRE_PROT_EXEC ? 'x' : '-',
			},
		.shared = report->shared,
		.file = report->file,
	};

	snprintf(vma.flags, sizeof(vma.flags), "%s", report->flags);
	return vma;
}

int library_maps(struct process *process, struct target_vma **vmas, size_t *count)
{
	struct quire_vma_report report;
	struct quire_usage usage;
	uint64_t address = 0;

	quire_space_usage(process->space, &usage);
	*count = 0;
	*vmas = calloc(usage.maps + 1, sizeof(**vmas));
	if (!*vmas)
		target_fail("quire: the host is out of memory");
	while (*count < usage.maps && !quire_vma(process->space, address, &report)) {
		(*vmas)[(*count)++] = vma_of(&report);
		address = report.end;
	}
	return 0;
}

int library_rss(struct process *process, struct target_rss *rss)
{
	struct quire_usage usage;
	struct quire_vma_report vma;
	struct quire_smaps smaps;

	quire_space_usage(process->space, &usage);
	/* As the linux target has it: with what objects have in swap. */
	usage.swap = 0;
	for (uint64_t address = 0; quire_vma(process->space, address, &vma) == 0; address = vma.end)
		if (quire_smaps(process->space, vma.start, &smaps) == 0)
			usage.swap += smaps.swap;
	*rss = (struct target_rss){
		.anon = usage.anon,
		.file = usage.file,
		.shmem = usage.shmem,
		.swap = usage.swap,
		.tables = usage.tables,
	};
	return 0;
}

/* --- what only the library shows --- */

static const char *const entry_kinds[] = {
	[QUIRE_ENTRY_ABSENT] = "absent",       [QUIRE_ENTRY_LEAF] = "leaf",
	[QUIRE_ENTRY_MARKER] = "marker",       [QUIRE_ENTRY_SWAP] = "swap",
	[QUIRE_ENTRY_MIGRATION] = "migration", [QUIRE_ENTRY_GUARD] = "guard",
	[QUIRE_ENTRY_POISON] = "poison",       [QUIRE_ENTRY_PARKED] = "parked",
};

int library_entry(struct process *process, uint64_t address, struct target_entry *entry)
{
	struct quire_entry_report report;
	int error = quire_entry(process->space, address, &report);

	if (error)
		return -error;
	*entry = (struct target_entry){
		.level = report.level,
		.kind = entry_kinds[report.kind],
		.readable = report.readable,
		.writable = report.writable,
		.user = report.user,
		.exec = report.exec,
		.dirty = report.dirty,
		.young = report.young,
		.uffd_wp = report.uffd_wp,
		.soft_dirty = report.soft_dirty,
		.special = report.special,
		.has_frame = report.has_frame,
		.frame = report.frame,
	};
	return 0;
}

int library_tables(struct process *process, struct target_tables *tables)
{
	struct quire_tables_report report;

	quire_tables(process->space, &report);
	tables->bytes = report.bytes;
	tables->levels = report.levels;
	for (unsigned i = 0; i < report.levels && i < TARGET_LEVELS; i++) {
		tables->level[i].tables = report.level[i].tables;
		tables->level[i].marks = report.level[i].marks;
		tables->level[i].leaves = report.level[i].leaves;
	}
	return 0;
}

/* Text that the library emits, as a string. */
struct capture {
	struct quire_text text;
	FILE *stream;
	char *bytes;
	size_t length;
};

static void capture_emit(void *context, const char *bytes, size_t length)
{
	struct capture *capture = context;

	fwrite(bytes, 1, length, capture->stream);
}

static void capture_begin(struct capture *capture)
{
	capture->stream = open_memstream(&capture->bytes, &capture->length);
	if (!capture->stream)
		target_fail("quire: the host is out of memory");
	capture->text = (struct quire_text){.emit = capture_emit, .context = capture};
}

static char *capture_end(struct capture *capture)
{
	if (fclose(capture->stream))
		target_fail("quire: the host is out of memory");
	return capture->bytes;
}

/* As capture_end(), but NULL if there is no text. */
static char *capture_end_violations(struct capture *capture)
{
	char *text = capture_end(capture);

	if (*text)
		return text;
	free(text);
	return NULL;
}

/* Without frame numbers: they depend on what ran before. */
char *library_dump(struct process *process)
{
	struct capture capture;

	capture_begin(&capture);
	quire_space_dump(process->space, false, &capture.text);
	return capture_end(&capture);
}

/* With them: this one is compared with another of the same machine. */
char *library_draw(struct process *process)
{
	return draw_space(process->space);
}

char *library_dump_machine(struct target *target)
{
	struct capture capture;

	capture_begin(&capture);
	quire_machine_dump(soft_machine_core(target->machine), true, &capture.text);
	return capture_end(&capture);
}

/* Checks the TLBs of the CPUs in `space`; NULL: of all. */
static void check_tlbs(struct target *target, const struct quire_space *space,
		       struct capture *capture)
{
	char text[128];

	for (unsigned i = 0; i < soft_machine_cpus(target->machine); i++) {
		struct soft_cpu *cpu = soft_machine_cpu(target->machine, i);

		if (space && soft_cpu_space(cpu) != space)
			continue;
		if (!soft_tlb_check(cpu, text, sizeof(text)))
			fprintf(capture->stream, "%s\n", text);
	}
}

char *library_verify(struct target *target)
{
	struct capture capture;

	capture_begin(&capture);
	quire_check(soft_machine_core(target->machine), &capture.text);
	check_tlbs(target, NULL, &capture);
	return capture_end_violations(&capture);
}

char *library_verify_range(struct process *process, uint64_t start, uint64_t end)
{
	struct capture capture;

	if (!process->space)
		return NULL;
	capture_begin(&capture);
	quire_check_range(process->space, start, end, &capture.text);
	check_tlbs(process->target, process->space, &capture);
	return capture_end_violations(&capture);
}

/* --- counters --- */

static const char *const stat_names[] = {
	"frames",	"frames_free",
	"frames_table", "frames_slab",
	"frames_anon",	"frames_shmem",
	"frames_file",	"frames_node",
	"swap_slots",	"swap_used",
	"swap_ins",	"swap_outs",
	"spaces",	"faults",
	"faults_zero",	"faults_copy",
	"faults_reuse", "flushes",
	"allocations",	"tlb_walks",
	"tlb_refused",	"shadow_stacks_misplaced",
};
#define STATS (sizeof(stat_names) / sizeof(stat_names[0]))
_Static_assert(STATS <= LIBRARY_STATS_MAX, "every counter has a place");

unsigned library_stats(struct target *target, const char *const **names, const uint64_t **values)
{
	struct quire_machine_counters core;
	struct soft_counters cpus = {0};

	quire_machine_count(soft_machine_core(target->machine), &core);
	for (unsigned i = 0; i < soft_machine_cpus(target->machine); i++) {
		struct soft_counters one = soft_cpu_counters(soft_machine_cpu(target->machine, i));

		cpus.walks += one.walks;
		cpus.faults += one.faults;
	}
	const uint64_t stats[STATS] = {
		core.frames,	   core.frames_free,
		core.frames_table, core.frames_slab,
		core.frames_anon,  core.frames_shmem,
		core.frames_file,  core.frames_node,
		core.swap_slots,   core.swap_used,
		core.swap_ins,	   core.swap_outs,
		core.spaces,	   core.faults,
		core.faults_zero,  core.faults_copy,
		core.faults_reuse, core.flushes,
		core.allocations,  cpus.walks,
		cpus.faults,	   core.shadow_stacks_misplaced,
	};

	memcpy(target->stats, stats, sizeof(stats));
	*names = stat_names;
	*values = target->stats;
	return STATS;
}

void library_leaf_counts(struct target *target,
			 struct target_leaf_counts counts[TARGET_LEAF_LEVELS])
{
	struct quire_machine_counters core;

	_Static_assert(TARGET_LEAF_LEVELS == QUIRE_LEAF_LEVELS, "as the library has them");
	quire_machine_count(soft_machine_core(target->machine), &core);
	for (unsigned i = 0; i < TARGET_LEAF_LEVELS; i++)
		counts[i] = (struct target_leaf_counts){core.level[i].protected_leaves,
							core.level[i].cut_leaves};
}
