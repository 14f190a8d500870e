#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Random tests with one seed after the other, plain and under sanitizers, and every scenario with
# each of its allocations failing.  Stops at the first failure and says how to see it again.
#
#   soak.sh [SECONDS [FIRST-SEED]]
set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null

seconds=${1:-3600}
seed=${2:-$(date +%s)}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
fixed_layout=
if setarch "$(uname -m)" -R true 2>/dev/null; then fixed_layout="setarch $(uname -m) -R"; fi
rounds=0

try() { # COMMAND...
	if ! $fixed_layout timeout 600 "$@" >"$log" 2>&1; then
		cat "$log"
		echo "failed: QUIRE_SEED=$QUIRE_SEED $*"
		exit 1
	fi
}

while [ $SECONDS -lt "$seconds" ]; do
	export QUIRE_SEED=$seed
	for build in build build-asan-ubsan build-tsan; do
		while read -r name; do
			try "$build/tests/$name" </dev/null
		done <"$build/tests/names"
	done
	if [ $rounds -eq 0 ] && [ -x build-asan-ubsan/quire ]; then
		for scenario in scenarios/*.lua; do
			if [ -f "$scenario" ]; then
				try build-asan-ubsan/quire run --fail-sweep 0 "$scenario"
			fi
		done
	fi
	rounds=$((rounds + 1))
	seed=$((seed + 1))
done
echo "$rounds rounds in $SECONDS s, all passed"
