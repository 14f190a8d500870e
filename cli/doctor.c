/* SPDX-License-Identifier: MIT */
/*
 * quire doctor: what this machine has for scripts that run on it, in plain words: each thing that
 * quire.has() knows, what is missing, and what to do about it; then the settings and limits that
 * scripts depend on.
 */
#define _GNU_SOURCE 1
#include "doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "linux_setting.h"
#include "profile.h"
#include "script.h"

#define HUGE_SIZES "/sys/kernel/mm/transparent_hugepage/hugepages-%ukB/%s"

/* What is said of one thing. */
struct words {
	enum profile_bit bit;
	bool wanted; /* scenarios are skipped without it */
	const char *there, *missing;
	const char *remedy; /* NULL: there is none */
};

static const struct words words[] = {
	{HAS_ROOT, true, "every right", "an ordinary user's rights",
	 "run as root: the kernel lets nobody else arrange swap and huge pages"},
	{HAS_USERFAULTFD, true, "contexts that hear of every fault", "",
	 "run as root, or sysctl vm.unprivileged_userfaultfd=1, or let the user open "
	 "/dev/userfaultfd"},
	{HAS_UFFD_WP, true, "userfaultfd protects against writes", "userfaultfd protects no memory",
	 "a kernel with CONFIG_HAVE_ARCH_USERFAULTFD_WP, 5.7 or later"},
	{HAS_USER_MODE_ONLY, true, "contexts that hear of the process's own faults",
	 "no contexts at all",
	 "allow the system call, or build the kernel with CONFIG_USERFAULTFD"},
	{HAS_EXECUTE_ONLY, false, "what may be executed and nothing else cannot be read",
	 "what may be executed can be read; beside this machine the library does the same", NULL},
	{HAS_SOFT_DIRTY, false, "pagemap tells which pages were written to since they were cleared",
	 "the kernel keeps no soft-dirty bits", "a kernel with CONFIG_MEM_SOFT_DIRTY"},
	{HAS_SWAP, false, "there is some now", "none now", NULL},
	{HAS_THP, false, "transparent huge pages of anonymous memory", "no transparent huge pages",
	 "a kernel with CONFIG_TRANSPARENT_HUGEPAGE"},
	{HAS_SHMEM_THP, false, "transparent huge pages of shared memory",
	 "no transparent huge pages of shared memory", "a kernel with CONFIG_TRANSPARENT_HUGEPAGE"},
	{HAS_HUGETLB_2M, false, "a pool of huge pages of 2M", "no huge pages of 2M",
	 "a kernel with CONFIG_HUGETLBFS"},
	{HAS_HUGETLB_1G, false, "a pool of huge pages of 1G", "no huge pages of 1G",
	 "a kernel with CONFIG_HUGETLBFS, on a processor with pages of 1G"},
	{HAS_DEVICE_DAX, false, "QUIRE_DEVICE_DAX names one", "QUIRE_DEVICE_DAX names none", NULL},
	{HAS_DEVICE_FSDAX, false, "QUIRE_DEVICE_FSDAX names one", "QUIRE_DEVICE_FSDAX names none",
	 NULL},
	{HAS_DEVICE_PFN, false, "QUIRE_DEVICE_PFN names one", "QUIRE_DEVICE_PFN names none", NULL},
	{HAS_GUARD, true, "guard regions (MADV_GUARD_INSTALL)", "no guard regions",
	 "Linux 6.13 or later"},
	{HAS_PAGEMAP_SCAN, true, "the PAGEMAP_SCAN request", "no PAGEMAP_SCAN request",
	 "Linux 6.7 or later"},
	{HAS_MEMORY_FAILURE, false, "broken memory can be simulated (MADV_HWPOISON)",
	 "broken memory cannot be simulated", "a kernel with CONFIG_MEMORY_FAILURE"},
	{HAS_PIN, true, "long-term pins, by io_uring", "no long-term pins: io_uring is refused",
	 "sysctl kernel.io_uring_disabled=0"},
	{HAS_MLOCK, true, "memory can be locked", "memory cannot be locked: its limit is 0",
	 "run as root, or raise the limit (ulimit -l)"},
	{HAS_COMMIT_LIMIT, true, "a mapping larger than memory and swap is refused",
	 "mappings are refused otherwise than by their size", "sysctl vm.overcommit_memory=0"},
	{HAS_LA57, false, "page tables of five levels", "page tables of four levels", NULL},
};

static void print_line(const char *name, const char *mark, const char *text)
{
	printf("  %-15s %-4s %s\n", name, mark, text);
}

static void print_remedy(const char *text)
{
	printf("  %-15s %-4s -> %s\n", "", "", text);
}

/* Whether all that scenarios want is there. */
static bool print_profile(const struct profile *profile)
{
	bool all = true;

	puts("\nWhat scripts can ask for (quire.has), on the linux target:");
	for (const struct bit_name *name = profile_names; name->name; name++) {
		const struct words *say = words;
		const char *missing;
		bool there = profile->has & name->bit;

		while (say->bit != name->bit)
			say++;
		missing = profile_explains(profile, name->name);
		print_line(name->name, there ? "yes" : "no",
			   there     ? say->there
			   : missing ? missing
				     : say->missing);
		if (!there && say->remedy)
			print_remedy(say->remedy);
		all &= there || !say->wanted;
	}
	return all;
}

/* One line if they are all there. */
static bool print_features(const struct profile *profile)
{
	unsigned missing = 0, known = 0;

	for (const struct bit_name *name = userfault_feature_names; name->name; name++, known++) {
		const char *why;

		if (profile->userfault_features & name->bit)
			continue;
		missing++;
		why = profile_explains(profile, name->name);
		print_line(name->name, "no", why ? why : "");
	}
	if (!missing)
		printf("  %-15s %-4s all %u of userfaultfd\n", "every feature", "yes", known);
	return !missing;
}

/* --- settings --- */

static void print_size(uint64_t bytes)
{
	static const char units[] = "BKMGT";
	const char *unit = units;

	while (bytes >= 1024 && bytes % 1024 == 0 && unit[1]) {
		bytes /= 1024;
		unit++;
	}
	printf("%" PRIu64 "%c", bytes, *unit);
}

/* The sizes below the largest have switches of their own. */
static void print_huge_sizes(const char *file)
{
	char path[96], word[SETTING_ROOM];

	for (unsigned kib = 8; kib <= 2048; kib *= 2) {
		snprintf(path, sizeof(path), HUGE_SIZES, kib, file);
		if (!setting_choice(path, word))
			continue;
		putchar(' ');
		print_size((uint64_t)kib << 10);
		printf(":%s", word);
	}
	putchar('\n');
}

static void print_huge_policy(const char *name, const char *path, const char *file)
{
	char word[SETTING_ROOM];

	if (!setting_choice(path, word))
		return;
	printf("  %-20s %s; by size", name, word);
	print_huge_sizes(file);
}

/* Processes of scripts have no transparent huge pages unless they ask; files have what the machine says. */
static void warn_of_huge_shmem(void)
{
	char word[SETTING_ROOM];

	if (setting_choice(SETTING_SHMEM_THP, word) && strcmp(word, "never") != 0 &&
	    strcmp(word, "advise") != 0 && strcmp(word, "deny") != 0)
		printf("  %-20s -> scenarios on shared memory expect never, advise or deny\n", "");
}

static void print_pool(uint64_t page)
{
	int64_t total = setting_number(setting_pool(page, "nr_hugepages"));

	if (total < 0)
		return;
	printf("  pages of ");
	print_size(page);
	printf("          %" PRId64 " in the pool, %" PRId64 " free, %" PRId64 " more if need be\n",
	       total, setting_number(setting_pool(page, "free_hugepages")),
	       setting_number(setting_pool(page, "nr_overcommit_hugepages")));
}

static void print_swap(bool root)
{
	struct sysinfo host;

	if (sysinfo(&host))
		return;
	printf("  %-20s ", "swap");
	print_size((uint64_t)host.totalswap * host.mem_unit);
	if (!root)
		puts("; setup{ swap= } needs root");
	else if (access("/sys/class/zram-control", F_OK) == 0)
		puts("; setup{ swap= } makes a zram device");
	else
		puts("; setup{ swap= } makes a file in /var/tmp, there is no zram");
}

static void print_locked_memory(bool root)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit))
		return;
	printf("  %-20s ", "locked memory");
	if (limit.rlim_cur == RLIM_INFINITY)
		printf("unlimited");
	else
		print_size(limit.rlim_cur);
	puts(root ? "; root is not bound by it" : " (ulimit -l)");
}

static void print_number(const char *name, const char *path, const char *meaning)
{
	int64_t number = setting_number(path);

	if (number >= 0)
		printf("  %-20s %" PRId64 " (%s)\n", name, number, meaning);
}

static void print_settings(bool root)
{
	puts("\nSettings and limits:");
	print_swap(root);
	print_huge_policy("huge pages", SETTING_THP, "enabled");
	print_huge_policy("of shared memory", SETTING_SHMEM_THP, "shmem_enabled");
	warn_of_huge_shmem();
	print_pool(UINT64_C(2) << 20);
	print_pool(UINT64_C(1) << 30);
	print_locked_memory(root);
	print_number("mappings", "/proc/sys/vm/max_map_count", "vm.max_map_count, a process");
}

static void print_machine(bool root)
{
	struct utsname kernel;
	struct sysinfo host;

	if (uname(&kernel) || sysinfo(&host))
		return;
	printf("%s %s, %s, %ld processors, %" PRIu64 "M of memory; as %s.\n", kernel.sysname,
	       kernel.release, kernel.machine, sysconf(_SC_NPROCESSORS_ONLN),
	       ((uint64_t)host.totalram * host.mem_unit) >> 20, root ? "root" : "an ordinary user");
}

static void print_help(void)
{
	puts("Usage: quire doctor\n"
	     "Says what this machine has for scripts that run on it (--on linux), what is "
	     "missing,\n"
	     "and what to do about it. The library and the twin need nothing of this.\n\n"
	     "Exit status: 0 all that the scenarios want is there, 1 some of them are skipped "
	     "here,\n"
	     "2 usage.");
}

int doctor_command(int argc, char **argv)
{
	const struct profile *profile;
	bool all, root;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		print_help();
		return STATUS_PASSED;
	}
	if (argc > 1) {
		fprintf(stderr, "quire doctor: takes no arguments, not '%s'\n", argv[1]);
		return STATUS_ERROR;
	}
	profile = profile_host();
	root = profile->has & HAS_ROOT;
	print_machine(root);
	all = print_profile(profile);
	all &= print_features(profile);
	print_settings(root);
	puts(all ? "\nAll that the scenarios want is there."
		 : "\nScripts that want what is missing are skipped on linux; the library and the "
		   "twin run them all.");
	return all ? STATUS_PASSED : STATUS_FAILED;
}
