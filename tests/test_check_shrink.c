/* SPDX-License-Identifier: MIT */
/*
 * Findings on targets of which one is faulty: what they are taken for, and what they shrink to.
 */
#define _GNU_SOURCE 1
#include "test_support.h"

#include "check_shrink.h"
#include "fake_target.h"

static const struct check_targets other_faulty = {.ops = {&sound, &faulty}, .verify = true};
static const struct check_targets library_faulty = {.ops = {&faulty, &sound}, .verify = true};
static const struct check_targets faulty_alone = {.ops = {&faulty}, .verify = true};

/* Much that does not matter before and after the operation that meets the fault. */
#define SCRIPT(operation)                                                                          \
	"local p, q = quire.process(), quire.process()\n"                                          \
	"local a = p:mmap{ length = 65536, prot = 'rw' }\n"                                        \
	"for i = 1, 20 do\n"                                                                       \
	"	p:thread():write(a + i, 'x')\n"                                                          \
	"	q:munmap(i, 1)\n"                                                                        \
	"	if i == 7 then p:mprotect(a, 4096, 'r') end\n"                                           \
	"	p:pagemap(a, 65536)\n"                                                                   \
	"end\n" operation "\n"                                                                     \
	"for i = 1, 20 do q:munmap(i, 1) end\n"

static void run(struct trial *trial, const struct check_targets *targets, const char *text)
{
	static char *const none[] = {NULL};
	struct trial_script script = {.name = "test.lua",
				      .text = {.bytes = text, .length = strlen(text)},
				      .arguments = none,
				      .timeout = 0.5,
				      .verify = true};

	trial_run(trial, targets, &script);
}

static void assert_shrinks(const struct check_targets *targets, const char *text,
			   enum trouble trouble, int side, const char *want)
{
	struct trial trial;
	struct shrunk shrunk;

	run(&trial, targets, text);
	assert_int_equal(trial.symptom.trouble, trouble);
	assert_int_equal(trial.symptom.side, side);
	shrunk = shrink(targets, &trial, 60);
	assert_true(shrunk.reproduces);
	assert_true(shrunk.in_time);
	assert_string_equal(shrunk.text, want);
	free(shrunk.text);
	trial_free(&trial);
}

static void agreement_is_no_finding(void **state)
{
	struct trial trial;

	(void)state;
	run(&trial, &library_faulty, SCRIPT(""));
	assert_int_equal(trial.symptom.trouble, TROUBLE_NONE);
	assert_int_equal(trial_status(&trial), STATUS_PASSED);
	assert_int_equal(trial.calls, 104);
	trial_free(&trial);
}

#define SHRUNK(operation)                                                                          \
	"local p1 = quire.process()\n"                                                             \
	"local m1 = p1:mmap{ length = 4096, prot = \"rw\" }\n"                                     \
	"p1:mprotect(m1, 4096, \"r\")\n"                                                           \
	"p1:" operation "(m1, 4096)\n"

static void a_difference_shrinks(void **state)
{
	(void)state;
	assert_shrinks(&library_faulty, SCRIPT("p:munmap(a, 4096)"), TROUBLE_DIFFERENCE, LIBRARY,
		       SHRUNK("munmap"));
}

static void a_crash_shrinks(void **state)
{
	(void)state;
	assert_shrinks(&library_faulty, SCRIPT("p:mlock(a, 4096)"), TROUBLE_DEATH, LIBRARY,
		       SHRUNK("mlock"));
	assert_shrinks(&other_faulty, SCRIPT("p:mlock(a, 4096)"), TROUBLE_DEATH, OTHER,
		       SHRUNK("mlock"));
	assert_shrinks(&faulty_alone, SCRIPT("p:mlock(a, 4096)"), TROUBLE_DEATH, LIBRARY,
		       SHRUNK("mlock"));
}

/* Each candidate that hangs takes its time, so this one is short. */
static void a_hang_shrinks(void **state)
{
	(void)state;
	assert_shrinks(&other_faulty,
		       "local p = quire.process()\n"
		       "p:munmap(0, 1)\n"
		       "p:mprotect(0, 1, 'r')\n"
		       "p:munlock(0, 1)\n"
		       "p:munmap(0, 2)\n",
		       TROUBLE_DEATH, OTHER,
		       "local p1 = quire.process()\n"
		       "p1:mprotect(0, 1, \"r\")\n"
		       "p1:munlock(0, 1)\n");
}

static void a_violation_shrinks(void **state)
{
	(void)state;
	assert_shrinks(&library_faulty, SCRIPT("p:madvise(a, 4096, 'cold')"), TROUBLE_VIOLATION,
		       LIBRARY,
		       "local p1 = quire.process()\n"
		       "local m1 = p1:mmap{ length = 4096, prot = \"rw\" }\n"
		       "p1:mprotect(m1, 4096, \"r\")\n"
		       "p1:madvise(m1, 4096, \"cold\")\n");
}

/* On another thread of another process, at a place and with options of its own. */
static void what_remains_is_simplified(void **state)
{
	(void)state;
	assert_shrinks(&library_faulty,
		       "local p, q = quire.process(), quire.process()\n"
		       "local t = q:thread()\n"
		       "local a = t:mmap{ length = 1 << 20, prot = 'rw', noreserve = true,\n"
		       "                  address = 1 << 40, fixed = true }\n"
		       "t:mprotect(a, 1 << 20, 'r')\n"
		       "t:munmap(a + (1 << 16), 1 << 16)\n",
		       TROUBLE_DIFFERENCE, LIBRARY,
		       "local p2 = quire.process()\n"
		       "p2:mprotect(0x10000000000, 4096, \"r\")\n"
		       "p2:munmap(0x10000010000, 4096)\n");
	assert_shrinks(&other_faulty,
		       "local p = quire.process()\n"
		       "p:write(p:mmap{ length = 1 << 20, prot = 'rw', noreserve = true,\n"
		       "                address = 1 << 40, fixed = true }, ('x'):rep(100))\n"
		       "p:mprotect(p:mmap{ length = 1 << 20, prot = 'rw' }, 1, 'r')\n"
		       "p:mlock(0, 8192)\n",
		       TROUBLE_DEATH, OTHER,
		       "local p1 = quire.process()\n"
		       "local m2 = p1:mmap{ length = 4096, prot = \"rw\" }\n"
		       "p1:mprotect(m2, 1, \"r\")\n"
		       "p1:mlock(0, 4096)\n");
}

static bool same(const char *a, const char *b)
{
	struct trial first, second;
	bool result;

	run(&first, &library_faulty, a);
	run(&second, &library_faulty, b);
	result = same_symptom(&first.symptom, &second.symptom);
	trial_free(&first);
	trial_free(&second);
	return result;
}

static void numbers_do_not_count(void **state)
{
	(void)state;
	assert_true(
		same(SCRIPT("p:madvise(a, 1, 'cold')"), SCRIPT("p:madvise(a + 4096, 1, 'cold')")));
	assert_false(same(SCRIPT("p:madvise(a, 1, 'cold')"), SCRIPT("p:munmap(a, 1)")));
}

static void errors_are_told_apart(void **state)
{
	(void)state;
	assert_true(same(SCRIPT("p:mremap(a, 1, 1)"), SCRIPT("p:mremap(a, 1, 2)")));
	assert_false(same(SCRIPT("p:mremap(a, 1, 1)"), SCRIPT("p:mremap(a, 8192, 1)")));
}

/* The script of this one asks the target who it is. */
static void what_a_straight_line_does_not_show(void **state)
{
	struct shrunk shrunk;
	struct trial trial;

	(void)state;
	run(&trial, &library_faulty,
	    "local p = quire.process() if quire.target == 'sound' then error('no') end");
	assert_int_equal(trial.symptom.trouble, TROUBLE_ERROR);
	assert_int_equal(trial.symptom.side, OTHER);
	shrunk = shrink(&library_faulty, &trial, 60);
	assert_false(shrunk.reproduces);
	assert_int_equal(shrunk.before, shrunk.after);
	free(shrunk.text);
	trial_free(&trial);
}

static void time_is_kept(void **state)
{
	struct shrunk shrunk;
	struct trial trial;

	(void)state;
	run(&trial, &library_faulty, SCRIPT("p:munmap(a, 4096)"));
	shrunk = shrink(&library_faulty, &trial, 0);
	assert_true(shrunk.reproduces);
	assert_false(shrunk.in_time);
	assert_int_equal(shrunk.before, shrunk.after);
	free(shrunk.text);
	trial_free(&trial);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agreement_is_no_finding),
		cmocka_unit_test(a_difference_shrinks),
		cmocka_unit_test(a_crash_shrinks),
		cmocka_unit_test(a_hang_shrinks),
		cmocka_unit_test(a_violation_shrinks),
		cmocka_unit_test(what_remains_is_simplified),
		cmocka_unit_test(numbers_do_not_count),
		cmocka_unit_test(errors_are_told_apart),
		cmocka_unit_test(what_a_straight_line_does_not_show),
		cmocka_unit_test(time_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
