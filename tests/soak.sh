#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Random tests with one seed after the other until time is up:
#
#	every round	random operations on the library and on Linux; the same with allocations failing
#	every 20th	the unit tests, with seeds, plain and under sanitizers
#	once, first	every scenario with each of its allocations failing
#
#   soak.sh [SECONDS [FIRST-SEED]]
#
# A failure is shown with the command that shows it again, and the soak goes on.  At the end it says
# how much was done, how often which rule tolerated a difference, and ends with status 1 if anything
# failed.
set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null

seconds=${1:-3600}
seed=${2:-$(date +%s)}
SECONDS=0 # make passes on a variable of that name
operations=300
script=
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'seconds=0' INT TERM
fixed_layout=
if setarch "$(uname -m)" -R true 2>/dev/null; then fixed_layout="setarch $(uname -m) -R"; fi

rounds=0 failures=0 noise=0 skipped=0 done_operations=0 places=0 programs=0
declare -A rules=()

# Runs the command; returns its status.  What it said is in $work/log.
run() { # COMMAND...
	"$@" >"$work/log" 2>&1
}
failed() { # COMMAND...
	failures=$((failures + 1))
	echo "FAILED after $SECONDS s: QUIRE_SEED=$seed $*"
	tail -n 20 "$work/log" | cut -c 1-400 | sed 's/^/   /'
}
up() { [ $SECONDS -ge "$seconds" ]; }

# A difference that does not come again is the kernel's (docs/differences.md).
compare() {
	local try status command=(timeout 300 build/quire run --on both "$script" -- "$seed" $operations)
	local rule count
	for try in 1 2 3; do
		run "${command[@]}"
		status=$?
		if [ $status -ne 3 ]; then break; fi
	done
	while read -r rule count; do
		rules[$rule]=$((${rules[$rule]:-0} + count))
	done < <(sed -n 's/^tolerated by \([a-z-]*\): \([0-9]*\)$/\1 \2/p' "$work/log")
	case $status in
	0)
		done_operations=$((done_operations + operations))
		if [ "$try" -gt 1 ]; then noise=$((noise + 1)); fi
		;;
	77) skipped=$((skipped + 1)) ;;
	*) failed "${command[@]}" ;;
	esac
}

sweep() { # PLACES COMMAND...
	local sweep=$1
	shift
	if run timeout 1200 "$1" run --fail-sweep "$sweep" --timeout 120 "${@:2}"; then
		places=$((places + $(sed -n 's/.*: hit \([0-9]*\) places.*/\1/p' "$work/log" |
			paste -sd+ | sed 's/^$/0/')))
	else
		failed "$1" run --fail-sweep "$sweep" "${@:2}"
	fi
}

units() {
	local build name
	export QUIRE_SEED=$seed QUIRE_STRESS_SECONDS=60
	for build in build build-asan-ubsan build-tsan; do
		while read -r name && ! up; do
			programs=$((programs + 1))
			run $fixed_layout timeout 600 "$build/tests/$name" || failed "$build/tests/$name"
		done <"$build/tests/names"
	done
}

for scenario in scenarios/*.lua; do
	if ! up; then sweep 0 build-asan-ubsan/quire "$scenario"; fi
done
until up; do
	if [ $((rounds % 20)) -eq 0 ]; then units; fi
	script=tests/random/anonymous.lua
	if [ $((rounds % 2)) -eq 1 ]; then script=tests/random/userfault.lua; fi
	compare
	if [ $((rounds % 6)) -eq 0 ]; then sweep 0 build/quire "$script" -- "$seed" 100; fi
	if [ $((rounds % 5)) -eq 1 ]; then
		run $fixed_layout timeout 300 build-asan-ubsan/quire run "$script" -- "$seed" $operations ||
			failed build-asan-ubsan/quire run "$script" -- "$seed" $operations
	fi
	rounds=$((rounds + 1))
	seed=$((seed + 1))
done

echo "$rounds seeds, $done_operations operations on both targets, $places failed allocations," \
	"$programs runs of unit tests in $SECONDS s"
for rule in "${!rules[@]}"; do echo "   tolerated by $rule: ${rules[$rule]}"; done | sort
if [ $noise -gt 0 ]; then echo "   differed once and not again: $noise seeds"; fi
if [ $skipped -gt 0 ]; then echo "   skipped on Linux: $skipped seeds"; fi
echo "$failures failed"
[ $failures -eq 0 ]
