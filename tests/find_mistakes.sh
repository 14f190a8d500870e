#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# How soon random operations find the mistakes that can be put into the library (docs/reliability.md):
# for each, after how many operations the library with it first differs from Linux, fails the
# checker, or stops.
#
#   find_mistakes.sh [-s SEEDS] [NAME...]		(60; all)
#
# Prints a line for each, "NAME OPERATIONS how", or "NAME - not in N".  Not part of `make test`: what
# is not found tells what the generator does not do.
set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null

seeds=60
operations=300 # a seed
if [ "${1-}" = -s ]; then
	seeds=$2
	shift 2
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The command: runs the first OPERATIONS of SEED.
run_seed() { # PROGRAM SEED OPERATIONS OPTION...
	timeout 120 "$1" run --timeout 60 "${@:4}" tests/random/userfault.lua -- "$2" "$3"
}

fails() { # PROGRAM SEED OPERATIONS
	run_seed "$@" --on both >"$work/log" 2>&1
	case $? in
	0 | 77) return 1 ;;
	esac
}

# Whether the library does with the mistake what it does without; then Linux need not be asked.
unchanged() { # PROGRAM SEED
	local good=$work/good-$2
	[ -f "$good" ] || run_seed build/quire "$2" $operations --trace 2>&1 | cksum >"$good"
	run_seed "$1" "$2" $operations --trace 2>&1 | cksum | cmp -s - "$good"
}

# The fewest operations of the seed that fail; what follows them changes nothing.
fewest() { # PROGRAM SEED
	local pass=0 fail=$operations middle
	while [ $((fail - pass)) -gt 1 ]; do
		middle=$(((pass + fail) / 2))
		if fails "$1" "$2" $middle; then fail=$middle; else pass=$middle; fi
	done
	echo $fail
}

# The first thing said about it.
how() {
	local text
	text=$(grep -m 1 -aoE 'after [a-z_]+: .*|the targets differ in [^(]*|[a-z_/]+\.c:[0-9]+: .*|took longer.*' \
		"$work/log" | sed 's/ at [0-9a-f]*:/:/; s/0x[0-9a-f]*/an address/')
	echo "${text:-$(tail -n 1 "$work/log")}"
}

find_mistake() { # NAME
	local program=build/mistakes/quire-$1 seed first
	for seed in $(seq "$seeds"); do
		if unchanged "$program" "$seed" || ! fails "$program" "$seed" $operations; then continue; fi
		first=$(fewest "$program" "$seed")
		# What the kernel does in batches (docs/differences.md) is nobody's mistake.
		if fails build/quire "$seed" "$first"; then continue; fi
		fails "$program" "$seed" "$first"
		printf '%-28s %6d  %s\n' "$1" $(((seed - 1) * operations + first)) "$(how)"
		return
	done
	printf '%-28s %6s  not in %d\n' "$1" - $((seeds * operations))
}

scripts/build.sh default >"$work/log" && scripts/build.sh default mistakes >"$work/log" || {
	cat "$work/log"
	exit 1
}
if [ $# -eq 0 ]; then
	# shellcheck disable=SC2046 # words
	set -- $(sed -n 's/^quire-//p' build/mistakes/names)
fi
for name in "$@"; do find_mistake "$name"; done
