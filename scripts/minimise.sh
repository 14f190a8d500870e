#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Finds the few operations of a random script that a failure needs, and shows them.
#
#   minimise.sh SEED [OPERATIONS [SCRIPT [OPTION...]]]
#
# Runs `quire run OPTION... SCRIPT -- SEED OPERATIONS ONLY` (--on both) and leaves out operations as
# long as the exit status remains the same: half of them, then quarters, and so on, and again from
# the start when that has removed something.
set -u
cd "$(dirname "$0")/.." || exit 1

seed=${1:?usage: minimise.sh SEED [OPERATIONS [SCRIPT [OPTION...]]]}
operations=${2:-300}
script=${3:-tests/random/anonymous.lua}
shift $(($# < 3 ? $# : 3))
if [ $# -eq 0 ]; then set -- --on both; fi
QUIRE=${QUIRE:-build/quire}

run() { # NUMBER...: exit status
	local IFS=,
	"$QUIRE" run "${options[@]}" "$script" -- "$seed" "$operations" "$*" >/dev/null 2>&1 </dev/null
}
options=("$@")

mapfile -t kept < <(seq "$operations")
run "${kept[@]}"
wanted=$?
if [ $wanted -eq 0 ]; then
	echo "seed $seed does not fail" >&2
	exit 1
fi

# One pass: leaves out `chunk` operations at a time, where the failure can do without.
pass() {
	local at=0 fewer
	while [ $at -lt ${#kept[@]} ]; do
		fewer=("${kept[@]:0:at}" "${kept[@]:at+chunk}")
		run "${fewer[@]}"
		if [ $? -eq $wanted ]; then
			kept=("${fewer[@]}")
		else
			at=$((at + chunk))
		fi
	done
}

before=0
while [ ${#kept[@]} -ne $before ]; do
	before=${#kept[@]}
	chunk=$(((before + 1) / 2))
	while pass && [ $chunk -gt 1 ]; do chunk=$(((chunk + 1) / 2)); done
done

only=$(IFS=,; echo "${kept[*]}")
"$QUIRE" run "${options[@]}" --trace "$script" -- "$seed" "$operations" "$only" 2>&1 |
	grep -vE '(:pagemap|:rss|:maps|:mincore)\(|^ *(got|\})'
echo "replay: $QUIRE run $* $script -- $seed $operations $only"
