#!/bin/sh
# SPDX-License-Identifier: MIT
# `quire check` itself: wrong options, that the same seed gives the same run, limits, interruption.
# What it finds and how that is shrunk: tests/test_check_shrink.c.
# Usage: quire_check.sh [QUIRE]; prints "ok - ..." or "not ok - ..." for each case.
# shellcheck source-path=SCRIPTDIR source=../script_support.sh
. "$(dirname "$0")/../script_support.sh"

# Standard output of a run on the library alone.
alone() { # FILE ARG...
	file=$1
	shift
	"$quire" check --against none --output "$work" "$@" >"$work/$file" 2>"$work/speed" </dev/null
	status=$?
	cp "$work/$file" "$work/output"
}

same() { # FILE FILE NAME
	diff "$work/$1" "$work/$2" >"$work/output"
	report $? "$3"
}

says() { # TEXT NAME
	grep -qF -e "$1" "$work/output"
	report $? "$2"
}

# ---- the command line
expect "check --help" 0 "Exit status" check --help
expect "unknown option" 2 "unrecognized option '--fast'" check --fast
expect "an argument" 2 "it takes no 'x.lua'" check x.lua
expect "--seed in words" 2 "--seed takes a number from 0, not 'new'" check --seed new
expect "--cases 0" 2 "--cases takes a number from 1, not '0'" check --cases 0
expect "--ops -1" 2 "--ops takes a number from 1, not '-1'" check --ops -1
expect "--jobs 0" 2 "--jobs takes a number from 1, not '0'" check --jobs 0
expect "--jobs beyond all measure" 2 "--jobs takes 1024 at most" check --jobs 100000
expect "--findings 0" 2 "--findings takes a number from 1" check --findings 0
expect "--time in words" 2 "--time takes seconds, not 'long'" check --time long
expect "--timeout 0" 2 "--timeout takes seconds, not '0'" check --timeout 0
expect "--inject in words" 2 "--inject takes a number from 0, not 'x'" check --inject x
expect "--against an unknown target" 2 "nothing called 'bsd'" check --against bsd
expect "--features that there are not" 2 "quire check: no feature 'telepathy'" \
	check --against none --features telepathy
expect "--output to nowhere" 2 "--output $work/none: No such file" check --output "$work/none"
expect "--case and --cases" 2 "exclude each other" check --case 1 --cases 2

# ---- the same seed, the same run
alone first --seed 5 --cases 12 --ops 60 --jobs 1 --coverage
[ $status -eq 0 ]
report $? "a run on the library alone"
says "seed 5" "it tells its seed"
says "12 cases, " "it counts its cases"
says "0 findings, 0 noise" "it counts its findings"
says "cells reached: " "it counts cells"
alone again --seed 5 --cases 12 --ops 60 --jobs 1 --coverage
same first again "the same seed, the same run"
alone jobs --seed 5 --cases 12 --ops 60 --jobs 5 --coverage
same first jobs "the same with more jobs"
alone other --seed 6 --cases 12 --ops 60 --jobs 1 --coverage
! diff "$work/first" "$work/other" >"$work/output"
report $? "another seed, another run"
alone unseeded --cases 1 --ops 5
says "seed " "without a seed it takes one and tells"
alone short --seed 5 --case 3 --ops 1
says "not reached:" "it names the cells that were not reached"
alone inject --seed 5 --case 3 --ops 20 --inject 5
[ $status -eq 0 ]
report $? "allocations that fail"

alone plain --seed 5 --cases 12 --ops 60 --features all,-fork --coverage
! grep -q "while a fork sleeps" "$work/plain" && grep -q "cells reached: " "$work/plain"
report $? "a feature left out"

# ---- the twin, which knows all that is drawn for it
"$quire" check --against twin --seed 1 --cases 60 --shrink-time 1 --output "$work" \
	>"$work/output" 2>&1 </dev/null
report $? "the library and the twin agree"
! grep -q "skipped" "$work/output"
report $? "no case is beyond the twin"

# ---- time
alone timed --seed 9 --time 1 --ops 20
[ $status -eq 0 ]
report $? "--time ends it"

# ---- the kernel: what it finds is not the point here
"$quire" check --seed 5 --cases 4 --ops 40 --shrink-time 1 --output "$work" \
	>"$work/output" 2>&1 </dev/null
status=$?
case $status in
0 | 3) says " calls compared" "a run beside the kernel" ;;
77) echo "ok - a run beside the kernel # SKIP $(tail -n 1 "$work/output")" ;;
*)
	echo "exit status $status" >>"$work/output"
	report 1 "a run beside the kernel"
	;;
esac

# ---- interruption
for seconds in 2 20 200; do
	timeout --preserve-status -s INT $seconds "$quire" check --against none --time 600 --output "$work" \
		>"$work/output" 2>&1
	status=$?
	grep -q '^seed ' "$work/output" && break
done
echo "exit status $status, want 130" >>"$work/output"
[ $status -eq 130 ] && grep -q ' findings' "$work/output"
report $? "SIGINT ends it with a summary"

exit "$failed"
