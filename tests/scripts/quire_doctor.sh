#!/bin/sh
# SPDX-License-Identifier: MIT
# `quire doctor`: whatever the machine has, it says what scripts find.
# Usage: quire_doctor.sh [QUIRE]; prints "ok - ..." or "not ok - ..." for each case.
# shellcheck source-path=SCRIPTDIR source=../script_support.sh
. "$(dirname "$0")/../script_support.sh"

expect "doctor --help" 0 "Exit status" doctor --help
expect "an argument" 2 "takes no arguments, not 'all'" doctor all
expect "the command's help lists it" 0 "  doctor " --help

# Every line with yes or no is an answer to quire.has(), and there is one for each.
"$quire" doctor >"$work/doctor"
status=$?
sed -n 's/^  \([a-z][a-z_0-9MG]*\)  *\(yes\|no\)  *.*/\1 \2/p' "$work/doctor" >"$work/answers"
while read -r name answer; do
	[ "$name" = swap ] && continue # which comes and goes
	echo "check.eq(quire.has('$name'), '$answer' == 'yes', '$name')"
done <"$work/answers" >"$work/answers.lua"
expect "it says what scripts find" 0 "1 passed" run --on linux "$work/answers.lua"
for name in root userfaultfd uffd_wp execute_only soft_dirty swap thp shmem_thp hugetlb_2M hugetlb_1G \
	device_dax device_fsdax device_pfn guard pagemap_scan memory_failure la57; do
	grep -q "^$name " "$work/answers" || echo "no line for $name"
done >"$work/output"
[ ! -s "$work/output" ]
report $? "a line for each name"

# 0: nothing is missing that scenarios want.
wanted=0
for name in root userfaultfd uffd_wp user_mode_only guard pagemap_scan pin; do
	grep -q "^$name yes" "$work/answers" || wanted=1
done
grep -q "every feature   yes" "$work/doctor" || wanted=1
echo "exit status $status, want $wanted" >"$work/output"
[ $status -eq $wanted ]
report $? "the exit status says whether scenarios are skipped"

# An answer is what the kernel does, seen by other means.
flag() { # NAME NUMBER: the answer is yes if the number is not 0
	answer=no
	[ "$2" -ne 0 ] && answer=yes
	echo "$1 should be $answer" >"$work/output"
	grep -q "^$1 $answer" "$work/answers"
	report $? "$1"
}
flag execute_only "$(grep -c '^flags.* ospke' /proc/cpuinfo)"
flag hugetlb_2M "$(find /sys/kernel/mm/hugepages -name hugepages-2048kB | wc -l)"

# As nobody, what is missing is said, with what to do about it.
if [ "$(id -u)" -eq 0 ] && [ "$(cat /proc/sys/vm/unprivileged_userfaultfd)" = 0 ] &&
	[ "$(stat -c %a /dev/userfaultfd)" = 600 ]; then
	cp "$quire" "$work/quire"
	chmod a+rx "$work" "$work/quire"
	setpriv --reuid=65534 --regid=65534 --clear-groups "$work/quire" doctor >"$work/output"
	[ $? -eq 1 ] && grep -q "userfaultfd  *no   userfaultfd: EPERM: needs root" "$work/output" &&
		grep -q -e "-> run as root, or sysctl vm.unprivileged_userfaultfd=1" "$work/output"
	report $? "nobody lacks userfaultfd"
fi

exit "$failed"
