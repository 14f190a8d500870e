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
report "examples/file-image runs" "a writable shared mapping is refused
one sees a b c d e f g h
two sees a b c d e f g h
both have read it: 8 frames of the image, 0 of private memory, 8 pages read
one sees a B c d e f g h
two sees a b c d e f g h
one has written to a page: 8 frames of the image, 1 of private memory, 8 pages read
memory was short: 0 frames of the image, 1 of private memory, 8 pages read
one sees a B c d e f ! !
one has read it again: 5 frames of the image, 1 of private memory, 15 pages read" \
	"$(build/examples/file-image 2>&1)"
report "examples/mirror runs" "filled: 0 1 2 3 4 5 6 7 (0 looked up)
a store to the first page is refused
one is read-only: 0 1 2 3 4 5 6 7 (1 looked up)
forked: 0 10 2 3 4 5 6 7 (6 looked up)
two were in swap: 0 10 2 3 4 5 6 7 (2 looked up)
two are gone: 0 10 2 3 4 5 - - (0 looked up)
the space has gone" "$(build/examples/mirror 2>&1)"
for options in "--threads 4" "--threads 1" "--swap"; do
	# shellcheck disable=SC2086 # a list of words
	report "examples/out-of-core-sort sorts with $options" \
		"the records are sorted, and their sum is what it was" \
		"$(build/examples/out-of-core-sort --data 8M --memory 1M $options 2>&1 | grep records\ are)"
done
report "examples/out-of-core-sort refuses what it cannot do" \
	"out-of-core-sort: --data 9X: not from 32768 to 1099511627776" \
	"$(build/examples/out-of-core-sort --data 9X 2>&1)"
report "the README shows examples/embed.c" "$(cat examples/embed.c)" \
	"$(awk '/^```c$/ { inside = 1; next } /^```$/ && inside { exit } inside' README.md)"
exit $status
