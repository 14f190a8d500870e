#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Random tests with one seed after the other until time is up:
#
#	every round	random cases on the library and on Linux (quire check)
#	every 5th	the same with allocations failing; under a sanitizer, on the library alone; in
#			small page tables, against the twin
#	every 20th	the unit tests, with seeds, plain and under sanitizers
#	once, first	every scenario with each of its allocations failing, or 200 of them;
#			pairs of operations, interleaved, for a quarter of the time (tests/explorer:
#			all of them take some hours)
#
#   soak.sh [SECONDS [FIRST-SEED]]
#
# A failure is shown with the command that shows it again, and the soak goes on; the script that it
# was shrunk to is kept in the working directory.  At the end it says how much was done, how often
# which rule tolerated a difference, and ends with status 1 if anything failed.
set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null

seconds=${1:-3600}
seed=${2:-$(date +%s)}
SECONDS=0 # make passes on a variable of that name
cases=100 # a round
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'seconds=0' INT TERM
fixed_layout=
if setarch "$(uname -m)" -R true 2>/dev/null; then fixed_layout="setarch $(uname -m) -R"; fi

rounds=0 failures=0 skipped=0 places=0 programs=0
declare -A rules=() totals=()
explored=

# Runs the command; returns its status.  What it said is in $work/log.
run() { # COMMAND...
	"$@" >"$work/log" 2>&1
}
failed() { # COMMAND...
	failures=$((failures + 1))
	echo "FAILED after $SECONDS s: QUIRE_SEED=$seed $*"
	head -n 30 "$work/log" | cut -c 1-400 | sed 's/^/   /'
	tail -n 3 "$work/log" | cut -c 1-400 | sed 's/^/   /'
}
up() { [ $SECONDS -ge "$seconds" ]; }

# Pairs of operations; what it says of itself is kept for the end.
explore() { # OPTION...
	run timeout 7200 build/tests/explore --jobs "$(nproc)" "$@" || failed build/tests/explore "$@"
	explored+=$(grep -a '^note: ' "$work/log" | sed 's/^note: /   /')$'\n'
}

# Random cases; adds what they report to the totals.
check() { # KIND PROGRAM OPTION...
	local kind=$1 rule count found status command=("${@:2}" --seed "$seed")
	run timeout 3000 "${command[@]}"
	status=$?
	while read -r rule count; do
		rules[$rule]=$((${rules[$rule]:-0} + count))
	done < <(sed -n 's/^tolerated by \([a-z-]*\): \([0-9]*\), .*/\1 \2/p' "$work/log")
	for count in cases operations "calls compared" findings noise; do
		found=$(grep -aoE "[0-9]+ $count(,|\$)" "$work/log" | tail -n 1)
		found=${found%% *}
		totals[$kind $count]=$((${totals[$kind $count]:-0} + ${found:-0}))
	done
	case $status in
	0) ;;
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
	export QUIRE_SEED=$seed QUIRE_STRESS_SECONDS=10
	for build in build build-asan-ubsan build-tsan; do
		while read -r name && ! up; do
			programs=$((programs + 1))
			run $fixed_layout timeout 600 "$build/tests/$name" || failed "$build/tests/$name"
		done <"$build/tests/names"
	done
}

for scenario in scenarios/*.lua; do
	if ! up; then sweep 200 build-asan-ubsan/quire "$scenario"; fi
done
if ! up; then explore --time $((seconds / 4)) --seed "$seed"; fi
if ! up; then explore --depth 2 --time $((seconds / 20)) --seed "$seed"; fi
until up; do
	if [ $((rounds % 20)) -eq 0 ]; then units; fi
	check linux build/quire check --cases $cases
	if [ $((rounds % 5)) -eq 1 ]; then
		check inject build/quire check --against none --inject 20 --cases 10
		check sanitizer $fixed_layout build-asan-ubsan/quire check --against none --cases 20 \
			--timeout 60
		check small build/quire-tiny check --against twin --cases $cases
	fi
	rounds=$((rounds + 1))
	seed=$((seed + 1))
done

echo "$rounds seeds, $places failed allocations of scenarios, $programs runs of unit tests in $SECONDS s"
for kind in linux inject sanitizer small; do
	printf '   %s: %d cases, %d operations, %d calls compared, %d findings, %d noise\n' $kind \
		"${totals[$kind cases]:-0}" "${totals[$kind operations]:-0}" \
		"${totals[$kind calls compared]:-0}" "${totals[$kind findings]:-0}" \
		"${totals[$kind noise]:-0}"
done
printf '%s' "$explored"
for rule in "${!rules[@]}"; do echo "   tolerated by $rule: ${rules[$rule]}"; done | sort
if [ $skipped -gt 0 ]; then echo "   skipped on Linux: $skipped seeds"; fi
echo "$failures failed"
[ $failures -eq 0 ]
