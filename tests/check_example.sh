#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The examples say what they should, and the embedding example of the README is the one that is built.
set -u
cd "$(dirname "$0")/.." || exit 1
status=0

report() { # NAME WANT GOT
	if [ "$2" = "$3" ]; then
		echo "ok - $1"
	else
		echo "not ok - $1"
		diff <(printf '%s\n' "$2") <(printf '%s\n' "$3") | sed 's/^/# /'
		status=1
	fi
}

report "examples/embed runs" "parent sees p, child sees c
a write now is a SEGV" "$(build/examples/embed 2>&1)"
report "examples/event-loop runs" "round 1: blocked 16 times, 8 pages fetched; dirty: x x x x x x x x
round 2: blocked 4 times, 0 pages fetched; dirty: x . x . x . x .
round 3: blocked 3 times, 0 pages fetched; dirty: x . . x . . x ." "$(build/examples/event-loop 2>&1)"
report "the README shows examples/embed.c" "$(cat examples/embed.c)" \
	"$(awk '/^```c$/ { inside = 1; next } /^```$/ { inside = 0 } inside' README.md)"
exit $status
