#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# How soon random cases find the mistakes that can be put into the library (docs/reliability.md): for
# each, after how many operations the library with it first differs from Linux or from the twin, fails
# the checker, or stops.
#
#   find_mistakes.sh [-a linux|twin] [-c CASES] [NAME...]		(linux; 1000; all)
#
# Prints a line for each, "NAME OPERATIONS how", or "NAME - not in N".  Not part of `make test`: what
# is not found tells what the generator does not do.
set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null

against=linux cases=1000
while getopts a:c: option; do
	case $option in
	a) against=$OPTARG ;;
	c) cases=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

operations() {
	grep -aoE '[0-9]+ operations,' "$work/log" | cut -d ' ' -f 1
}

# The first thing said about it.
how() {
	grep -am 1 -oE 'after [a-z_]+: .*|the targets differ in [^(]*|[a-z_/]+\.c:[0-9]+: .*' "$work/log" |
		grep -v '^the targets differ$' | sed 's/ at [0-9a-f]*:/:/; s/0x[0-9a-f]*/an address/' |
		grep . || sed -n 's/^case [0-9]* (seed [0-9]*): //p' "$work/log"
}

# What the kernel does not do again is nobody's mistake: quire check counts it as noise.
find_mistake() { # NAME
	build/mistakes/quire-"$1" check --against "$against" --seed 1 --cases "$cases" --jobs 1 --findings 1 \
		--shrink-time 1 --output "$work" >"$work/log" 2>&1
	case $? in
	1 | 3) printf '%-28s %6d  %s\n' "$1" "$(operations)" "$(how)" ;;
	0) printf '%-28s %6s  not in %d\n' "$1" - "$(operations)" ;;
	*) printf '%-28s %6s  %s\n' "$1" - "$(tail -n 1 "$work/log")" ;;
	esac
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
